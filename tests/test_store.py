"""Nothing finished is lost, nothing half-written is read."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

import toy
from tamesu.errors import StoreError
from tamesu.folders import LocalFolder
from tamesu.store import RunLock, Store

KEYS = [f"{i:032x}" for i in range(1, 20)]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and permissions")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    if request.param == "local":
        yield Store(tmp_path / "store")
    else:
        url = f"memory://{tmp_path.name}"
        yield Store(url)
        with contextlib.suppress(FileNotFoundError):
            fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def python(code: str, *args: object) -> subprocess.Popen:
    """Another process, with the test folder's modules."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, args)], env=env, stdout=subprocess.PIPE, text=True)


def assert_equal(result, expected):
    assert list(result.ids) == list(expected.ids)
    assert result.ids.dtype == object
    assert result.predictions.keys() == expected.predictions.keys()
    for name, array in expected.predictions.items():
        assert result.predictions[name].dtype == array.dtype
        np.testing.assert_array_equal(result.predictions[name], array)
    for name in ("key", "repeat", "fold", "seed", "log", "device", "threads", "versions", "recipe", "data_digest", "n_train"):
        assert getattr(result, name) == getattr(expected, name), name


def test_reads_what_was_written(store):
    store.check_writable()
    assert store.keys() == []
    expected = toy.make_result(KEYS[0])
    store.write(expected)
    assert KEYS[0] in store
    assert KEYS[1] not in store
    assert "../../etc/passwd" not in store
    assert store.keys() == [KEYS[0]]
    assert_equal(store.read(KEYS[0]), expected)
    assert_equal(next(iter(store.read_all())), expected)
    assert_equal(Store(store.where).read(KEYS[0]), expected)
    with pytest.raises(StoreError, match="must be finished to be read"):
        store.read(KEYS[1])


def test_model_travels(store):
    fitted = toy.FittedRidge(np.array([1.0, 2.0]), [])
    store.write(toy.make_result(KEYS[0]), fitted)
    store.write(toy.make_result(KEYS[1]))
    assert store.has_model(KEYS[0])
    assert not store.has_model(KEYS[1])
    folder = store.model_path(KEYS[0])
    np.testing.assert_array_equal(np.load(folder / "weight.npy"), [1.0, 2.0])
    with pytest.raises(StoreError, match="must have kept its model"):
        store.model_path(KEYS[1])


def test_model_is_added_to_a_finished_trial(store):
    store.write(toy.make_result(KEYS[0]))
    store.write(toy.make_result(KEYS[0]), toy.FittedRidge(np.ones(2), []))
    assert store.has_model(KEYS[0])
    assert_equal(store.read(KEYS[0]), toy.make_result(KEYS[0]))


def test_first_writer_stays(store):
    store.write(toy.make_result(KEYS[0], value=1))
    store.write(toy.make_result(KEYS[0], value=2))
    assert store.read(KEYS[0]).predictions["y"][0] == 1


@pytest.mark.parametrize("name", ["predictions.npz", "result.json"])
@pytest.mark.parametrize("damage", ["torn", "flipped", "gone", "empty"])
def test_damaged_entry_counts_as_not_done_and_is_replaced(tmp_path, name, damage):
    store = Store(tmp_path)
    store.write(toy.make_result(KEYS[0]))
    path = tmp_path / KEYS[0] / name
    content = path.read_bytes()
    match damage:
        case "torn":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = content.index(b'"digest": "') + 11 if name.endswith("json") else len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
    if (name, damage) == ("result.json", "gone"):
        assert KEYS[0] not in store
        assert store.keys() == []
    else:
        with pytest.warns(UserWarning, match="damaged .* trained again"):
            assert KEYS[0] not in store
        with pytest.warns(UserWarning, match="damaged"):
            assert list(store.read_all()) == []
    with contextlib.nullcontext() if damage == "gone" and name == "result.json" else pytest.warns(UserWarning, match="damaged"):
        store.write(toy.make_result(KEYS[0], value=7))
    assert store.read(KEYS[0]).predictions["y"][0] == 7
    assert [p.name for p in tmp_path.iterdir()] == [KEYS[0]]


def test_pickled_arrays_are_refused(tmp_path):
    store = Store(tmp_path)
    bad = replace(toy.make_result(KEYS[0]), predictions={"y": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle"):
        store.write(bad)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_the_dead_are_cleared_and_others_are_not(tmp_path):
    writer = python(
        "import os, sys; from tamesu.folders import LocalFolder; from pathlib import Path\n"
        "path = LocalFolder(Path(sys.argv[1]))._temporary(); path.mkdir(); (path / 'x').touch(); print(path)\n"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)",
        tmp_path,
    )
    dead = Path(writer.communicate()[0].strip())
    alive = LocalFolder(tmp_path)._temporary()
    elsewhere = tmp_path / dead.name.replace("unfinished-", "unfinished-other.")
    ancient = tmp_path / (elsewhere.name + "0")
    for path in (alive, elsewhere, ancient):
        path.mkdir()
    os.utime(ancient, (0, time.time() - 25 * 3600))
    assert dead.exists()
    assert Store(tmp_path).keys() == []
    Store(tmp_path).check_writable()
    assert not dead.exists()
    assert not ancient.exists()
    assert alive.exists()
    assert elsewhere.exists()


def test_remote_leftovers_are_cleared():
    fs = fsspec.filesystem("memory")
    folder = Store("memory://left")._folder
    folder._put(f"/left/{KEYS[0]}/{LocalFolder(Path('x'))._temporary().name.split('-', 1)[1]}/predictions.npz", b"1")
    owner = LocalFolder(Path("x"))._temporary().name.split("-", 1)[1].split("-")
    folder._put(f"/left/{KEYS[1]}/{owner[0]}-999999999-abcd/predictions.npz", b"1")
    Store("memory://left").check_writable()
    assert [path.split("/")[2] for path in fs.find("/left")] == [KEYS[0]]
    fs.rm("/left", recursive=True)


WRITER = """
import sys, toy, numpy as np
from tamesu.store import Store
store = Store(sys.argv[1])
store.check_writable()
print("ready", flush=True)
for i in range(1, 400):
    store.write(toy.make_result(f"{i:032x}", value=i), toy.FittedRidge(np.full(2, i), []))
    print(i, flush=True)
"""


@posix
def test_killed_writers_leave_only_whole_entries(tmp_path):
    rng = np.random.default_rng()
    finished = 0
    for _ in range(4):
        with python(WRITER, tmp_path) as writer:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            told = [int(line) for line in writer.stdout.read().split()]
        store = Store(tmp_path)
        keys = store.keys()
        assert len(keys) >= max(finished, *told, 0)
        finished = len(keys)
        for i, result in enumerate(store.read_all(), start=1):
            assert result.predictions["y"][0] == i
            assert np.load(store.model_path(result.key) / "weight.npy")[0] == i
    store.check_writable()
    assert {path.name for path in tmp_path.iterdir()} == set(keys)


def test_two_processes_fill_one_store(tmp_path):
    writers = [python(WRITER.replace("400", "60"), tmp_path) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    for writer in writers:
        writer.stdout.close()
    store = Store(tmp_path)
    assert store.keys() == [f"{i:032x}" for i in range(1, 60)]
    assert [result.predictions["y"][0] for result in store.read_all()] == list(range(1, 60))
    assert {path.name for path in tmp_path.iterdir()} == set(store.keys())


@contextlib.contextmanager
def mounted(folder: Path, options: str):
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("cannot mount here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@as_root
def test_full_disk_says_what_to_do_and_loses_nothing(tmp_path):
    with mounted(tmp_path / "small", "size=1m") as folder:
        store = Store(folder / "store")
        store.check_writable()
        large = np.zeros(40_000)
        written = []

        def fill_up():
            for key in KEYS:
                store.write(replace(toy.make_result(key, n=1), predictions={"y": large}))
                written.append(key)

        with pytest.raises(StoreError, match=r"small/store.* must have room .*No space left.*free some space") as caught:
            fill_up()
        assert isinstance(caught.value.__cause__, OSError)
        assert len(written) == 3
        assert store.keys() == written
        assert all(len(store.read(key).predictions["y"]) == 40_000 for key in written)
        (folder / "filler").write_bytes(bytes(30_000))
        with pytest.raises(StoreError, match="must have room"):
            store.check_writable()
        (folder / "filler").unlink()
        with pytest.raises(StoreError, match="must have room"):  # the writer of the model hides the disk's own error
            store.write(toy.make_result(KEYS[5]), GreedyModel())
        assert store.keys() == written


class GreedyModel(toy.FittedRidge):
    def __init__(self):
        pass

    def save(self, folder):
        try:
            (folder / "model").write_bytes(bytes(1 << 20))
        except OSError:
            raise RuntimeError("writer failed") from None


@posix
def test_file_size_limit_is_a_full_disk(tmp_path):
    code = """
import resource, signal, sys, toy
from tamesu.store import Store
from tamesu.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = Store(sys.argv[1])
store.check_writable()
store.write(toy.make_result("0" * 32))
try:
    store.write(toy.make_result("1" * 32, n=20_000))
except StoreError as error:
    print(error, store.keys())
"""
    said = python(code, tmp_path).communicate()[0]
    assert "must have room" in said
    assert said.strip().endswith(f"['{'0' * 32}']")


@as_root
def test_read_only_file_system(tmp_path):
    with mounted(tmp_path / "fixed", "size=1m") as folder:
        Store(folder).write(toy.make_result(KEYS[0]))
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(StoreError, match=r"must be writable; got 'Read-only file system'"):
            Store(folder).check_writable()
        with pytest.raises(StoreError, match="must be writable"):
            Store(folder).write(toy.make_result(KEYS[1]))
        assert Store(folder).keys() == [KEYS[0]]


@posix
def test_no_permission(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with contextlib.ExitStack() as as_before:
        if os.geteuid() == 0:  # root may write anywhere: be nobody for a moment
            for path in (tmp_path, *tmp_path.parents):
                if path.stat().st_uid == 0 and path.is_relative_to("/tmp") and path != Path("/tmp"):
                    as_before.callback(os.chmod, path, path.stat().st_mode & 0o7777)
                    os.chmod(path, 0o755)
            os.seteuid(65534)
            as_before.callback(os.seteuid, 0)
        with pytest.raises(StoreError, match=r"closed.* must be writable; got 'Permission denied'"):
            Store(folder / "store").check_writable()
        with pytest.raises(StoreError, match=r"the run folder must be writable"):
            RunLock(folder).acquire()


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "store").write_text("hello")
    with pytest.raises(StoreError, match=r"must be a folder"):
        Store(tmp_path / "store").check_writable()


def test_unknown_url():
    with pytest.raises(StoreError, match=r"nonsense://x: the store must be a folder or a URL"):
        Store("nonsense://x")


def test_other_errors_name_the_place(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"must be reachable; got 'Input/output error'"):
        Store(tmp_path / "s").check_writable()


class TestRunLock:
    def test_names_the_process_that_holds_it(self, tmp_path):
        code = (
            "import sys, time; from tamesu.store import RunLock; lock = RunLock(sys.argv[1]); lock.acquire()\n"
            "print('held', flush=True); time.sleep(60)"
        )
        with python(code, tmp_path) as holder:
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(StoreError, match=rf"one run at a time .*process {holder.pid} on .* since 20"),
                RunLock(tmp_path),
            ):
                pass
            holder.kill()
        with RunLock(tmp_path):  # the system let it go with the process
            pass

    def test_is_free_again_after_use(self, tmp_path):
        for _ in range(2):
            with RunLock(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()} "):
                RunLock(tmp_path).acquire()

    def test_workers_do_not_inherit_it(self, tmp_path):
        with RunLock(tmp_path):
            child = python("import time; time.sleep(60)")
        with RunLock(tmp_path):
            child.kill()
        child.communicate()


def test_ten_thousand_trials_list_quickly(tmp_path):
    for i in range(10_000):
        os.mkdir(tmp_path / f"{i:032x}")
        (tmp_path / f"{i:032x}" / "result.json").touch()
    took_s = []
    for _ in range(3):  # the best of three: other processes may be busy
        started = time.perf_counter()
        assert len(Store(tmp_path).keys()) == 10_000
        took_s.append(time.perf_counter() - started)
    assert min(took_s) < 1
