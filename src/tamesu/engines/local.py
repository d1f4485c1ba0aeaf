"""Trials in warm worker processes on this machine: one for each accelerator, or as many as the cores carry."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from tamesu.engines.base import Finished, NextTrial, OnTrialEpoch, describe_error
from tamesu.engines.machine import count_cores, find_devices, threads_per_trial, worker_environment
from tamesu.engines.worker import SavedModel
from tamesu.errors import FitError, StoreError
from tamesu.learners.names import backend_of
from tamesu.texts import language, say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.store import Store
    from tamesu.trial import Trial

MAX_CRASHES = 2  # a training that ended its process this often is given up; once may be a neighbour's fault (memory)
MAX_DEAD_STARTS = 3  # workers that end before they are ready: the installation is broken, another start helps nobody
MAX_WARM = 3  # times as many processes as may be busy: those of other backends wait for their next training
_POLL_S = 0.5  # a dead worker whose own children keep its pipe open is noticed within this time

Events = queue.SimpleQueue["tuple[_Worker, tuple[Any, ...]]"]


class LocalEngine:
    """Runs trials in worker processes of this machine.

    Args:
        store: Workers write results there themselves; None: results are only handed back.
        n_workers: At most this many at a time; None: one for each accelerator, else cores // threads.
        devices: cpu, mps, cuda:0, cuda:1, …; None: all accelerators, else the CPU.
        threads: For each trial; None: a fixed function of the machine. On the CPU, other numbers give other last bits.
        on_epoch: Called with (trial, epoch, loss) in this process.
        on_print: Called with each line a worker prints.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: Store | None = None,
        *,
        n_workers: int | None = None,
        devices: Sequence[str] | None = None,
        threads: int | None = None,
        on_epoch: OnTrialEpoch | None = None,
        on_print: Callable[[str], None] | None = None,
    ):
        self.devices = tuple(devices) if devices else find_devices()
        self.n_workers, self.threads = _share_out(self.devices, count_cores(), n_workers, threads)
        self.dataset, self.store = dataset, store
        self.on_epoch, self.on_print = on_epoch, on_print
        self._workers: list[_Worker] = []
        self._events: Events = queue.SimpleQueue()
        self._crashes: collections.Counter[str] = collections.Counter()
        self._dead_starts = 0
        self._numbers = itertools.count()
        self._compiled = tempfile.TemporaryDirectory(prefix="tamesu-compiled-", ignore_cleanup_errors=True)
        self._closer = weakref.finalize(self, _kill_all, self._workers)

    def run(self, next_trial: NextTrial) -> Iterator[Finished]:
        """Trials as they finish; see `Engine.run`. Leaving the iteration, by an error or Ctrl-C, ends the trials under way.

        Raises:
            StoreError: A result cannot be kept; training on would lose every further one.
            FitError: Workers cannot be started.
        """
        again: collections.deque[Trial] = collections.deque()  # lost to a crash
        asks = True  # until None came; then again as soon as something finished
        try:
            while True:
                while (asks or again) and len(self._busy()) < self.n_workers:
                    trial = again.popleft() if again else next_trial()
                    if trial is None:
                        asks = False
                    else:
                        self._worker_for(backend_of(trial.recipe)).run(trial)
                if not any(worker.trial for worker in self._workers):
                    return
                for finished in self._finished(again):
                    asks = True
                    yield finished
        finally:
            for worker in [worker for worker in self._workers if worker.trial]:
                self._end(worker)

    def close(self) -> None:
        """End all workers."""
        self._closer()
        self._compiled.cleanup()
        self._closer = weakref.finalize(self, _kill_all, self._workers)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.trial is not None]

    def _worker_for(self, backend: str) -> _Worker:
        """A worker without a trial whose process is this backend's: a warm one, or one that is started."""
        idle = [worker for worker in self._workers if worker.trial is None]
        used = collections.Counter(worker.device for worker in self._busy())
        warm = [worker for worker in idle if worker.backend == backend]
        if warm:
            return min(warm, key=lambda worker: used[worker.device])
        device = min(self.devices, key=lambda one: used[one])
        for other in idle:  # an accelerator's memory is not shared, and that of the machine has an end
            if device != "cpu" or len(self._workers) >= MAX_WARM * self.n_workers:
                self._end(other)
        return self._start(_Worker(device, self.threads, next(self._numbers), backend))

    def _start(self, worker: _Worker) -> _Worker:
        self._workers.append(worker)
        shared = self.store is not None and self.store.is_shared
        settings = {
            "sys_path": list(sys.path),
            "language": language(),
            "device": worker.device.partition(":")[0],
            "threads": worker.threads,
            "store": self.store.where if self.store is not None and shared else None,
        }
        worker.start(settings, self.dataset, self._events, self.on_print, self._compiled.name)
        return worker

    def _finished(self, again: collections.deque[Trial]) -> Iterator[Finished]:
        """Wait for one event, and the trial that it finishes, if any."""
        try:
            worker, message = self._events.get(timeout=_POLL_S)
        except queue.Empty:
            dead = [worker for worker in self._workers if worker.process and worker.process.poll() is not None]
            if not dead:
                return
            worker, message = dead[0], ("gone",)
        if worker not in self._workers:  # a last word of one that was ended
            return
        trial = worker.trial
        match message:
            case ("epoch", key, epoch, loss) if trial and trial.key == key and self.on_epoch:
                self.on_epoch(trial, epoch, loss)
            case ("ready",):
                self._dead_starts = 0
                worker.is_ready = True
            case ("result", result, model) if trial:
                if self.store is not None and not self.store.is_shared:
                    self.store.write(result, SavedModel(model) if model else None)  # type: ignore[arg-type]
                worker.trial = None
                yield Finished(trial, result)
            case ("error", text, trace) if trial:
                worker.trial = None
                yield Finished(trial, None, text, trace)
            case ("store", text, _):
                raise StoreError(text)
            case ("unsent", text):
                raise FitError(
                    say(
                        "the data must be picklable to reach worker processes; got {reason!r}. Use text, numbers or arrays.",
                        reason=text,
                    )
                )
            case ("gone",):
                yield from self._replace(worker, again)

    def _replace(self, worker: _Worker, again: collections.deque[Trial]) -> Iterator[Finished]:
        """A worker ended on its own: its trial is tried once more in a fresh process, then given up."""
        trial, ending, words = worker.trial, worker.ending(), worker.last_words()
        self._end(worker)
        if trial is None:
            return
        if not worker.is_ready:
            self._dead_starts += 1
            if self._dead_starts >= MAX_DEAD_STARTS:
                raise FitError(
                    say("worker processes must start; got {ending}. They said:\n{words}", ending=ending, words=words or "-")
                )
            again.append(trial)
            return
        self._crashes[trial.key] += 1
        if self._crashes[trial.key] < MAX_CRASHES:
            again.append(trial)
            return
        text = say(
            "repeat {repeat}, fold {fold}: the training must end by itself; got {ending}, {n} times. Often memory ran out: "
            "lower `train.batch_size` or `size`, or run fewer trainings at a time.",
            repeat=trial.split.repeat,
            fold=trial.split.fold,
            ending=ending,
            n=MAX_CRASHES,
        )
        yield Finished(trial, None, text, words)

    def _end(self, worker: _Worker) -> None:
        worker.kill()
        with contextlib.suppress(ValueError):
            self._workers.remove(worker)


class _Worker:
    """One process and the threads that talk with it."""

    def __init__(self, device: str, threads: int, number: int, backend: str = ""):
        self.device, self.threads, self.number, self.backend = device, threads, number, backend
        self.trial: Trial | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self._outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lines: collections.deque[str] = collections.deque(maxlen=60)
        self._listeners: list[threading.Thread] = []

    def start(
        self,
        settings: dict[str, Any],
        dataset: Dataset,
        events: Events,
        on_print: Callable[[str], None] | None,
        compiled: str = "",
    ) -> None:
        # its own group: the terminal's Ctrl-C reaches the parent only, and what a learner started can be ended with it
        new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tamesu.engines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=worker_environment(self.device, self.threads, os.environ, self.backend, compiled),
            creationflags=new_group,
            start_new_session=not new_group,
        )
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._spawn(self._send, process.stdin, [settings, dataset], events)
        self._listeners.append(self._spawn(self._hear, process.stderr, on_print))
        self._listeners.append(self._spawn(self._receive, process.stdout, events))

    def run(self, trial: Trial) -> None:
        self.trial = trial
        self._outbox.put(trial)

    def kill(self) -> None:
        """End the process and what it started, now; results are written atomically, so nothing breaks."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()
        self._outbox.put(None)

    def ending(self) -> str:
        """How the process ended, in words."""
        assert self.process is not None
        deadline = time.monotonic() + 5
        while (code := self.process.poll()) is None and time.monotonic() < deadline:  # its pipe closes a little earlier
            time.sleep(0.01)
        if code is None:
            return say("a worker process that closed its pipe")
        if code < 0:
            with contextlib.suppress(ValueError):
                return say("a worker process ended by signal {signal}", signal=signal.Signals(-code).name)
        return say("a worker process ended with exit code {code}", code=code)

    def last_words(self) -> str:
        """The end of what the process printed."""
        for listener in self._listeners:
            listener.join(timeout=1)
        return "\n".join(self._lines)

    def _send(self, pipe: IO[bytes], first: list[Any], events: Events) -> None:
        """Pickle straight into the pipe, so that a large dataset is never held a second time."""
        try:
            with pipe:
                for message in first:
                    pickle.dump(message, pipe, protocol=pickle.HIGHEST_PROTOCOL)
                pipe.flush()
                while (trial := self._outbox.get()) is not None:
                    pickle.dump(trial, pipe, protocol=pickle.HIGHEST_PROTOCOL)
                    pipe.flush()
        except OSError:  # the worker is gone: its other pipe tells
            return
        except Exception as error:  # a column holds something that cannot be pickled
            events.put((self, ("unsent", describe_error(error)[0])))

    def _receive(self, pipe: IO[bytes], events: Events) -> None:
        with pipe, contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                events.put((self, pickle.load(pipe)))
        events.put((self, ("gone",)))

    def _hear(self, pipe: IO[bytes], on_print: Callable[[str], None] | None) -> None:
        with pipe, contextlib.suppress(OSError, ValueError):
            for line in pipe:
                text = line.decode("utf-8", "replace").rstrip()
                self._lines.append(text)
                if on_print is not None:
                    on_print(text)

    def _spawn(self, target: Callable[..., None], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True, name=f"tamesu-worker-{self.number}")
        thread.start()
        return thread


def _share_out(devices: Sequence[str], n_cores: int, n_workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers, and threads for each: never more threads than cores, unless there are more accelerators than cores."""
    if set(devices) == {"cpu"}:
        threads = min(threads or threads_per_trial(n_cores), n_cores)
        most = n_cores // threads
        return min(n_workers or most, most), threads
    n_workers = n_workers or len(devices)
    return n_workers, min(threads or n_cores, max(1, n_cores // n_workers))


def _kill_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.kill()
    workers.clear()
