"""Where finished things are kept: a folder here, or one behind a URL, where an entry appears whole or not at all.

An entry is a folder of files whose last file, `result.json`, makes it count. Locally an entry is filled beside its
place and renamed into it; behind a URL, where nothing can be renamed, its files go under a name of their own and
`result.json`, which points to them, is written last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from tamesu.errors import StoreError
from tamesu.texts import say

RESULT = "result.json"
MODEL = "model"
KEY = re.compile(r"[0-9a-f]{32}")
STALE_S = 24 * 3600  # a leftover this old belongs to nobody, whatever its process number says
_UNFINISHED = "unfinished"

Fill = Callable[[Path, str], None]  # writes the entry's files into a folder; the text is their place inside the entry


class Folder(Protocol):
    """Entries by key."""

    where: str
    is_shared: bool  # other processes see the same entries

    def keys(self) -> list[str]:
        """Keys of the finished entries, sorted."""

    def read(self, key: str, name: str) -> bytes:
        """One file of an entry; FileNotFoundError where there is none."""

    def publish(self, key: str, fill: Fill, is_finished: Callable[[], bool]) -> None:
        """Make the entry, unless somebody else finished it meanwhile."""

    def fetch_model(self, key: str, part: str, into: Path) -> Path | None:
        """The entry's model as a local folder, or None."""

    def has_model(self, key: str, part: str) -> bool:
        """Whether the entry has a model."""

    def open_for_writing(self) -> None:
        """Make the folder, clear away what dead writers left, and prove that it can be written."""


class LocalFolder:
    """Entries in a folder of this machine, or of a shared file system."""

    is_shared = True

    def __init__(self, root: Path):
        self.root = root
        self.where = str(root)

    def keys(self) -> list[str]:
        """Folders named like a key that hold a `result.json`, sorted."""
        try:
            with os.scandir(self.root) as entries:
                names = [entry.name for entry in entries if KEY.fullmatch(entry.name)]
        except FileNotFoundError:
            return []
        return sorted(name for name in names if os.path.exists(f"{self.where}/{name}/{RESULT}"))

    def read(self, key: str, name: str) -> bytes:
        """One file of an entry; FileNotFoundError where there is none."""
        with open(self.root / key / name, "rb") as file:
            return file.read()

    def has_model(self, key: str, part: str) -> bool:
        """Whether the entry has a model."""
        return (self.root / key / MODEL).is_dir()

    def fetch_model(self, key: str, part: str, into: Path) -> Path | None:
        """The entry's own model folder, or None."""
        return self.root / key / MODEL if self.has_model(key, part) else None

    def publish(self, key: str, fill: Fill, is_finished: Callable[[], bool]) -> None:
        """Fill a folder beside, flush it to disk, rename it into place."""
        temporary = self._temporary()
        try:
            temporary.mkdir(parents=True)
            fill(temporary, "")
            _sync_tree(temporary)
            self._move_in(temporary, self.root / key, is_finished)
            _sync(self.root)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def open_for_writing(self) -> None:
        """Make the folder, clear away what dead writers left, and prove that it can be written."""
        self.root.mkdir(parents=True, exist_ok=True)
        for path in self.root.glob(f".{_UNFINISHED}-*"):
            with contextlib.suppress(FileNotFoundError):  # another run clears at the same time
                if _is_left_over(path.name, path.stat().st_mtime):
                    shutil.rmtree(path, ignore_errors=True)
        probe = self._temporary()
        try:
            probe.mkdir()
            (probe / "probe").write_bytes(bytes(1 << 16))
            _sync_tree(probe)
            os.rename(probe, probe := self._temporary())
        finally:
            shutil.rmtree(probe, ignore_errors=True)

    def _temporary(self) -> Path:
        return self.root / f".{_UNFINISHED}-{_owner()}-{secrets.token_hex(4)}"

    def _move_in(self, temporary: Path, place: Path, is_finished: Callable[[], bool]) -> None:
        for attempt in range(3):
            try:
                os.rename(temporary, place)
                return
            except OSError:
                if not place.exists() or attempt == 2:
                    raise
            if is_finished():  # the loser of a race drops its own, but for a model the winner did not keep
                if (temporary / MODEL).is_dir() and not (place / MODEL).exists():
                    with contextlib.suppress(OSError):  # somebody else was quicker
                        os.rename(temporary / MODEL, place / MODEL)
                        _sync(place)
                return
            damaged = self._temporary()
            os.rename(place, damaged)
            shutil.rmtree(damaged, ignore_errors=True)


class RemoteFolder:
    """Entries behind an fsspec URL (`s3://…`, `gs://…`, `memory://…`)."""

    def __init__(self, url: str):
        import fsspec

        self.where = url
        self.is_shared = not url.startswith("memory:")
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                say(
                    "{where}: the store must be a folder or a URL that fsspec can open; got {reason!r}. "
                    "Install the driver (s3fs for s3://, gcsfs for gs://), or use a folder.",
                    where=url,
                    reason=str(error),
                )
            ) from error
        self.root = root.rstrip("/")

    def keys(self) -> list[str]:
        """Names with a `result.json` below them, sorted."""
        return sorted(key for key, rest in self._objects() if rest == RESULT)

    def read(self, key: str, name: str) -> bytes:
        """One object of an entry; FileNotFoundError where there is none."""
        return bytes(self.fs.cat_file(f"{self.root}/{key}/{name}"))

    def has_model(self, key: str, part: str) -> bool:
        """Whether the entry that counts has a model."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(f"{self.root}/{key}/{part}{MODEL}"))

    def fetch_model(self, key: str, part: str, into: Path) -> Path | None:
        """The model copied here, or None."""
        if not self.has_model(key, part):
            return None
        source, target = f"{self.root}/{key}/{part}{MODEL}", into / key / MODEL
        if not target.exists():
            arriving = into / f"{key}-{secrets.token_hex(4)}"
            for path in self.fs.find(source):
                local = arriving / path[len(source) :].lstrip("/")
                local.parent.mkdir(parents=True, exist_ok=True)
                local.write_bytes(self.fs.cat_file(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(arriving, target)
        return target

    def publish(self, key: str, fill: Fill, is_finished: Callable[[], bool]) -> None:
        """Upload under a name of one's own, and last the `result.json` that points there."""
        part = f"{_owner()}-{secrets.token_hex(4)}/"  # its own: two writers never mix their files
        with tempfile.TemporaryDirectory(prefix="tamesu-") as name:
            fill(Path(name), part)
            if is_finished() and not (Path(name) / MODEL).exists():
                return
            files = sorted(path for path in Path(name).rglob("*") if path.is_file() and path != Path(name) / RESULT)
            for path in files:
                self._put(f"{self.root}/{key}/{part}{path.relative_to(name).as_posix()}", path.read_bytes())
            self._put(f"{self.root}/{key}/{RESULT}", (Path(name) / RESULT).read_bytes())

    def open_for_writing(self) -> None:
        """Clear away what dead writers left, and prove that it can be written."""
        objects = self._objects()
        finished = {key for key, rest in objects if rest == RESULT}
        parts = {(key, rest.partition("/")[0]) for key, rest in objects if key not in finished and "/" in rest}
        for key, part in parts:
            if _is_left_over(f".{_UNFINISHED}-{part}", time.time()):
                self.fs.rm(f"{self.root}/{key}/{part}", recursive=True)
        probe = f"{self.root}/.{_UNFINISHED}-{_owner()}-{secrets.token_hex(4)}"
        self._put(probe, b"probe")
        self.fs.rm_file(probe)

    def _put(self, path: str, content: bytes) -> None:
        if not getattr(self.fs, "key_separator", None):  # object stores have no folders; file systems behind a URL do
            self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self.fs.pipe_file(path, content)

    def _objects(self) -> list[tuple[str, str]]:
        """Key and the rest of the path of every object."""
        self.fs.invalidate_cache()
        try:
            paths = self.fs.find(self.root)
        except FileNotFoundError:
            return []
        split = (path[len(self.root) :].lstrip("/").partition("/") for path in paths)
        return [(key, rest) for key, _, rest in split if KEY.fullmatch(key)]


def open_folder(where: str | os.PathLike[str]) -> Folder:
    """The folder at a path or a URL."""
    text = os.fspath(where)
    if text.startswith("file://"):
        return LocalFolder(Path(text.removeprefix("file://")))
    return RemoteFolder(text) if "://" in text else LocalFolder(Path(text).absolute())


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """An error of the file system, inside, as a StoreError that says what to do; what is finished stays."""
    try:
        yield
    except OSError as error:
        raise StoreError(explain(where, error)) from error


def explain(where: str, error: OSError) -> str:
    """The sentence for an error of the file system."""
    values: dict[str, Any] = {"where": error.filename or where, "reason": error.strerror or str(error)}
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return say(
            "{where}: the store must have room for the next result; got {reason!r}. Finished trainings are kept: "
            "free some space and run the same command again.",
            **values,
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return say(
            "{where}: the store must be writable; got {reason!r}. Finished trainings are kept: change the permissions, "
            "or choose another folder.",
            **values,
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return say("{where}: the store must be a folder; got {reason!r}. Choose another place for it.", **values)
    return say(
        "{where}: the store must be reachable; got {reason!r}. Finished trainings are kept: run the same command again.",
        **values,
    )


def _owner() -> str:
    """Who writes: host (with the container's process space, where numbers mean something) and process number."""
    space = ""
    with contextlib.suppress(OSError):
        space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    return f"{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}_{space}-{os.getpid()}"


def _is_left_over(name: str, written_at: float) -> bool:
    """Whether the writer of an unfinished entry is dead: on this host by its number, elsewhere by age."""
    if time.time() - written_at > STALE_S:
        return True
    host, pid = name.removeprefix(f".{_UNFINISHED}-").split("-")[:2]
    return host == _owner().split("-")[0] and not _is_alive(int(pid))


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_tree(folder: Path) -> None:
    """On disk before the rename makes it count: else a power cut could leave a finished name over empty files."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent) / name)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder to flush it
        return
    fd = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(fd)
