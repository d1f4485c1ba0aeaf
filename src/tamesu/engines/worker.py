"""A worker process: told the dataset once, then one trial after the other, over its standard input and output.

Started as `python -m tamesu.engines.worker`, so it never imports the user's main module: notebooks and scripts
without a guard work. Each message is one pickle; the pipes are private to parent and worker. The worker ends
itself, and whatever its learner started, as soon as the parent is gone.
"""

from __future__ import annotations

import faulthandler
import math
import os
import pickle
import queue
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tamesu.store import Store
    from tamesu.trial import Trial, TrialResult


def main() -> None:
    """Serve trials until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    incoming, outgoing = _take_pipes()
    faulthandler.enable()
    settings = pickle.load(incoming)
    sys.path[:] = settings["sys_path"]  # `my_module:my_loss` is found here as it is there
    dataset = pickle.load(incoming)
    trials: queue.SimpleQueue[Trial] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, trials), daemon=True).start()
    _serve(dataset, settings, trials, outgoing)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes, moved away from where user code prints and reads: its prints go to standard error."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return incoming, outgoing


def _listen(incoming: IO[bytes], trials: queue.SimpleQueue[Trial]) -> None:
    try:
        while True:
            trials.put(pickle.load(incoming))
    except (EOFError, OSError, pickle.UnpicklingError):  # the parent is gone, or took its leave
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(0)


def _serve(dataset: Any, settings: dict[str, Any], trials: queue.SimpleQueue[Trial], outgoing: IO[bytes]) -> None:
    from tamesu.engines.base import describe_error
    from tamesu.errors import StoreError
    from tamesu.store import Store
    from tamesu.texts import use_language
    from tamesu.trial import run_trial

    use_language(settings["language"])
    store = Store(settings["store"]) if settings["store"] else None
    lock = threading.Lock()  # a learner may report epochs from a thread

    def send(*message: Any) -> None:
        with lock:
            pickle.dump(message, outgoing, protocol=pickle.HIGHEST_PROTOCOL)
            outgoing.flush()

    def answer(trial: Trial) -> tuple[Any, ...]:
        def on_epoch(epoch: int, loss: float | None) -> None:
            send("epoch", trial.key, int(epoch), math.nan if loss is None else float(loss))

        try:
            result, fitted = run_trial(dataset, trial, settings["device"], settings["threads"], on_epoch)
            return "result", result, _keep(store, result, fitted if trial.keep_model else None)
        except StoreError as error:
            return "store", *describe_error(error)
        except Exception as error:
            return "error", *describe_error(error)

    send("ready")
    while True:
        send(*answer(trials.get()))


def _keep(store: Store | None, result: TrialResult, fitted: Any) -> Path | None:
    """Write the result, or, where the store is in the parent's memory, leave the model where the parent can fetch it."""
    if store is not None:
        store.write(result, fitted)
        return None
    if fitted is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="tamesu-model-"))
    fitted.save(folder)
    return folder


class SavedModel:
    """A fitted model that another process saved to a local folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, folder: Path) -> None:
        """Move its files there."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
