"""Workers: warm, bit-exact beside each other, replaced when they die, gone when the parent is."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import toy
from tamesu.engines import machine
from tamesu.engines.local import LocalEngine, _share_out
from tamesu.engines.serial import SerialEngine
from tamesu.errors import FitError, StoreError
from tamesu.learners.base import load_fitted
from tamesu.store import Store
from tamesu.trial import run_trial

TESTS = str(Path(__file__).parent)
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def feed(trials):
    waiting = iter(trials)
    return lambda: next(waiting, None)


def run_all(engine, trials):
    return {finished.trial.key: finished for finished in engine.run(feed(trials))}


def is_alive(pid: int) -> bool:
    """Running; a zombie that nobody has waited for is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def dataset():
    return toy.make_rows()


@pytest.fixture(scope="module")
def warm(dataset):
    """One engine for all tests that leave their workers in order."""
    with LocalEngine(dataset, n_workers=2, devices=["cpu"]) as engine:
        yield engine


@pytest.mark.parametrize("kind", [LocalEngine, SerialEngine])
def test_results_come_back_and_are_stored(tmp_path, dataset, kind):
    store = Store(tmp_path)
    trials = toy.make_trials(dataset, 6)
    with kind(dataset, store) as engine:
        finished = run_all(engine, trials)
    assert {key for key, one in finished.items() if one.error is None} == {trial.key for trial in trials}
    assert store.keys() == sorted(finished)
    for trial in trials:
        expected, _ = run_trial(dataset, trial, "cpu", 1)
        for result in (store.read(trial.key), finished[trial.key].result):
            assert result.predictions["y"].tobytes() == expected.predictions["y"].tobytes()
            assert list(result.ids) == list(expected.ids)


@pytest.mark.parametrize("url", ["{tmp}/store", "memory://engine"])
def test_models_are_kept_where_asked(tmp_path, dataset, url):
    store = Store(url.format(tmp=tmp_path))
    recipe = toy.make_toy_recipe()
    trials = [toy.make_trial(dataset, recipe, toy.make_split(fold=fold), keep_model=fold == 0) for fold in range(2)]
    with LocalEngine(dataset, store, n_workers=1) as engine:
        run_all(engine, trials)
    assert [store.has_model(trial.key) for trial in trials] == [True, False]
    again = load_fitted(store.model_path(trials[0].key)).predict(dataset.take(trials[0].split.test))
    np.testing.assert_array_equal(again["y"], store.read(trials[0].key).predictions["y"])


def test_alone_or_beside_others_the_bits_are_the_same(warm, dataset):
    trials = toy.make_trials(dataset, 8)
    together = run_all(warm, trials)
    for trial in trials[:3]:
        with LocalEngine(dataset, n_workers=1) as engine:
            alone = run_all(engine, [trial])
        assert alone[trial.key].result.predictions["y"].tobytes() == together[trial.key].result.predictions["y"].tobytes()
        assert alone[trial.key].result.threads == together[trial.key].result.threads


def test_warm_start_is_quick(warm, dataset):
    run_all(warm, toy.make_trials(dataset, 2))
    took_s = []
    for seed in range(1, 4):  # the best of three: other processes may be busy
        trials = toy.make_trials(dataset, 10, seed=seed)
        started = time.perf_counter()
        run_all(warm, trials)
        took_s.append((time.perf_counter() - started) / len(trials))
    assert min(took_s) < 0.05


def test_worker_has_its_threads_and_not_the_main_module(dataset):
    (trial,) = toy.make_trials(dataset, 1, "toy:Surroundings")
    with LocalEngine(dataset, n_workers=1, threads=1) as engine:
        (entry,) = run_all(engine, [trial])[trial.key].result.log
    assert entry["main"] == "tamesu.engines.worker"
    assert entry["pid"] != os.getpid()
    assert {entry["OMP_NUM_THREADS"], entry["MKL_NUM_THREADS"], entry["OPENBLAS_NUM_THREADS"]} == {"1"}
    assert entry["CUDA_VISIBLE_DEVICES"] == ""


def test_epochs_are_told(dataset):
    told = []
    with LocalEngine(dataset, n_workers=1, on_epoch=lambda *news: told.append(news)) as engine:
        (trial,) = toy.make_trials(dataset, 1, epochs=3)
        run_all(engine, [trial])
    assert [(one.key, epoch, loss) for one, epoch, loss in told] == [
        (trial.key, 1, 1.0),
        (trial.key, 2, 0.5),
        (trial.key, 3, pytest.approx(1 / 3)),
    ]


def test_asks_for_more_after_each_result_and_stops_when_there_is_none(warm, dataset):
    rounds = [toy.make_trials(dataset, 2, seed=seed) for seed in range(3)]
    seen, asked = [], 0

    def next_trial():
        nonlocal asked
        asked += 1
        n_started = 2 * (len(seen) // 2 + 1)  # the next round is known only when the one before is complete
        queue = [trial for trials in rounds for trial in trials][:n_started]
        started = next_trial.started
        if started < len(queue):
            next_trial.started += 1
            return queue[started]
        return None

    next_trial.started = 0
    for finished in warm.run(next_trial):
        seen.append(finished.trial.key)
    assert seen[:2] != seen[2:4]
    assert sorted(seen) == sorted(trial.key for trials in rounds for trial in trials)
    assert asked <= 6 + len(seen) + 1
    assert list(warm.run(lambda: None)) == []


@pytest.mark.parametrize("kind", ["local", "serial"])
def test_an_error_of_user_code_fails_its_trial_only(warm, dataset, kind):
    engine = warm if kind == "local" else SerialEngine(dataset)
    trials = [
        *toy.make_trials(dataset, 2),
        *toy.make_trials(dataset, 1, "toy:Broken"),
        *toy.make_trials(dataset, 1, "toy:Refusing"),
    ]
    finished = run_all(engine, trials)
    assert [finished[trial.key].error for trial in trials] == [
        None,
        None,
        "ZeroDivisionError: the user's own mistake\nwhile training repeat 0, fold 0 of toy.csv",
        "toy.csv: x must be positive; got -1.\nwhile training repeat 0, fold 0 of toy.csv",
    ]
    assert 'raise ZeroDivisionError("the user\'s own mistake")' in finished[trials[2].key].traceback


@posix
@pytest.mark.parametrize(("order", "ending"), [(9, "by signal SIGKILL"), (3, "with exit code 3"), (11, "by signal SIGSEGV")])
def test_a_crash_fails_its_trial_and_the_run_goes_on(dataset, order, ending):
    trials = [*toy.make_trials(dataset, 1, "toy:Crashing", epochs=order), *toy.make_trials(dataset, 3)]
    with LocalEngine(dataset, n_workers=2) as engine:
        finished = run_all(engine, trials)
    crashed = finished[trials[0].key]
    expected = f"repeat 0, fold 0: the training must end by itself; got a worker process ended {ending}, 2 times."
    assert crashed.error.startswith(expected)
    assert "about to crash" in crashed.traceback
    assert all(finished[trial.key].error is None for trial in trials[1:])
    assert len(finished) == 4


@posix
def test_a_single_crash_is_forgiven(tmp_path, monkeypatch, dataset):
    monkeypatch.setenv("TOY_FLAG", str(tmp_path / "flag"))
    trials = toy.make_trials(dataset, 1, "toy:CrashingOnce")
    with LocalEngine(dataset, n_workers=1) as engine:
        assert run_all(engine, trials)[trials[0].key].error is None


@posix
def test_workers_killed_at_random_moments_are_replaced(tmp_path, dataset):
    trials = toy.make_trials(dataset, 12, "toy:Slow", epochs=5)
    store = Store(tmp_path)
    rng = np.random.default_rng()
    with LocalEngine(dataset, store, n_workers=2) as engine:
        stop = threading.Event()

        def kill_now_and_then():
            hit = set()  # a trial that ends its worker twice is given up: not what is tested here
            while len(hit) < 3 and not stop.wait(rng.uniform(0.0, 0.1)):
                for worker in engine._workers[:1]:
                    if worker.is_ready and worker.trial and worker.trial.key not in hit:
                        hit.add(worker.trial.key)
                        os.kill(worker.process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_now_and_then)
        killer.start()
        finished = [one.trial.key for one in engine.run(feed(trials)) if one.error is None]
        stop.set()
        killer.join()
    assert sorted(finished) == sorted(trial.key for trial in trials)
    assert store.keys() == sorted(finished)


def test_a_broken_installation_is_told_once(dataset, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", os.devnull)
    with LocalEngine(dataset, n_workers=1) as engine, pytest.raises(FitError, match="worker processes must start"):
        run_all(engine, toy.make_trials(dataset, 1))


def test_data_that_cannot_be_sent(dataset):
    odd = toy.make_rows(spare=[lambda: 0] * 40)
    with LocalEngine(odd, n_workers=1) as engine, pytest.raises(FitError, match="must be picklable"):
        run_all(engine, toy.make_trials(dataset, 1))


def test_a_store_that_cannot_be_written_ends_the_run(tmp_path, dataset):
    (tmp_path / "store").write_text("a file")
    with (
        LocalEngine(dataset, Store(tmp_path / "store"), n_workers=1) as engine,
        pytest.raises(StoreError, match="must be a folder"),
    ):
        run_all(engine, toy.make_trials(dataset, 2))


def test_leaving_early_ends_the_trials_under_way(dataset):
    with LocalEngine(dataset, n_workers=2) as engine:
        pids = []
        for _ in engine.run(feed([*toy.make_trials(dataset, 1), *toy.make_trials(dataset, 3, "toy:Slow", epochs=6000)])):
            pids = [worker.process.pid for worker in engine._workers]
            break
        else:
            pytest.fail("nothing finished")
        time.sleep(0.1)
        assert not any(worker.trial for worker in engine._workers)
        assert len([pid for pid in pids if is_alive(pid)]) == len(engine._workers)
        assert len(run_all(engine, toy.make_trials(dataset, 2, seed=5))) == 2
    assert not any(map(is_alive, pids))


PARENT = """
import sys, toy
from tamesu.engines.local import LocalEngine
from tamesu.store import Store
rows = toy.make_rows()
store = Store(sys.argv[1])
store.check_writable()
trials = iter([trial for trial in toy.make_trials(rows, 12, "toy:Slow", epochs=int(sys.argv[2])) if trial.key not in store])
engine = LocalEngine(rows, store, n_workers=2)
try:
    for finished in engine.run(lambda: next(trials, None)):
        print("done", finished.trial.key, *[worker.process.pid for worker in engine._workers], flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
    raise SystemExit(130)
"""


def start_parent(store: Path, epochs: int) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *filter(None, sys.path)])}
    return subprocess.Popen([sys.executable, "-c", PARENT, str(store), str(epochs)], stdout=subprocess.PIPE, text=True, env=env)


def wait_until_dead(pids: list[int], within_s: float = 3.0) -> None:
    deadline = time.monotonic() + within_s
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, pids))


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_orphans_and_nothing_lost_when_the_parent_ends(tmp_path, how):
    with start_parent(tmp_path, 10) as parent:
        words = [parent.stdout.readline().split() for _ in range(4)]
        done, pids = [word[1] for word in words], [int(pid) for pid in words[-1][2:]]
        assert len(pids) == 2
        parent.send_signal(how)
        if how == signal.SIGINT:
            rest = parent.stdout.read()
            assert rest.endswith("stopped\n")
        parent.wait(timeout=5)
    wait_until_dead(pids)
    assert set(done) <= set(Store(tmp_path).keys())


@posix
def test_killed_and_restarted_until_done_recomputes_nothing(tmp_path):
    rng = np.random.default_rng()
    written: dict[str, int] = {}
    for _ in range(20):
        with start_parent(tmp_path, 3) as parent:
            first = parent.stdout.readline()
            if first.startswith("done"):
                time.sleep(rng.uniform(0, 0.15))
            parent.kill()
            pids = [int(pid) for line in [first] for pid in line.split()[2:]]
            parent.stdout.read()
        wait_until_dead(pids)
        now = {key: (tmp_path / key / "result.json").stat().st_mtime_ns for key in [*Store(tmp_path).keys()]}
        assert written.items() <= now.items()
        written = now
        if len(written) == 12:
            break
    dataset = toy.make_rows()
    trials = toy.make_trials(dataset, 12, "toy:Slow", epochs=3)
    assert sorted(written) == sorted(trial.key for trial in trials)
    for trial in trials[::5]:
        expected, _ = run_trial(dataset, trial, "cpu", 1)
        assert Store(tmp_path).read(trial.key).predictions["y"].tobytes() == expected.predictions["y"].tobytes()


class TestMachine:
    @given(st.integers(1, 1000), st.none() | st.integers(1, 2000), st.none() | st.integers(1, 2000))
    def test_never_more_threads_than_cores(self, n_cores, wanted, threads):
        n_workers, n_threads = _share_out(["cpu"], n_cores, wanted, threads)
        assert 1 <= n_workers * n_threads <= n_cores
        assert threads is not None or n_threads == machine.threads_per_trial(n_cores)

    def test_accelerators_share_the_cores(self):
        assert _share_out(["cuda:0", "cuda:1"], 16, None, None) == (2, 8)
        assert _share_out(["cuda:0", "cuda:1"], 1, None, None) == (2, 1)
        assert _share_out(["mps"], 8, None, None) == (1, 8)

    def test_each_worker_sees_its_device(self):
        env = {"CUDA_VISIBLE_DEVICES": "4, 7", "HOME": "/h"}
        assert machine.worker_environment("cuda:1", 2, env)["CUDA_VISIBLE_DEVICES"] == "7"
        assert machine.worker_environment("cuda:1", 2, {})["CUDA_VISIBLE_DEVICES"] == "1"
        assert machine.worker_environment("cpu", 2, env)["CUDA_VISIBLE_DEVICES"] == ""
        assert machine.worker_environment("cpu", 2, env)["OMP_NUM_THREADS"] == "2"
        assert machine.worker_environment("cpu", 2, env)["HOME"] == "/h"

    @pytest.mark.parametrize(
        ("files", "n_cores"),
        [
            ({"a/b/cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, 2.5),
            ({"a/b/cpu.max": "50000 100000"}, 1.0),
            ({"cpu/a/b/cpu.cfs_quota_us": "300000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 3.0),
            ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, float("inf")),
            ({}, float("inf")),
        ],
    )
    def test_container_quota(self, tmp_path, files, n_cores):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        (tmp_path / "me").write_text("0::/a/b\n")
        assert machine._cgroup_cores(tmp_path, tmp_path / "me") == n_cores

    def test_threads_are_put_back(self):
        import cv2

        before = cv2.getNumThreads()
        with machine.limit_threads(1):
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == before


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands for the driver's program")
def test_without_pytorch_the_driver_says_which_gpus_there_are(tmp_path, monkeypatch):
    from tamesu.engines import machine

    script = tmp_path / "nvidia-smi"
    script.write_text(
        "#!/bin/sh\necho 'GPU 0: One (UUID: a)'\necho '  MIG 1g'\necho 'GPU 1: Other (UUID: b)'\n", encoding="utf-8"
    )
    script.chmod(0o755)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    assert machine.find_devices.__wrapped__() == ("cuda:0", "cuda:1")
    assert machine.devices_for("cpu") == ("cpu",)
    script.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    assert machine.find_devices.__wrapped__() == ("cpu",)
