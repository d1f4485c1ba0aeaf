"""One run at a time in a run folder: a lock that the operating system lets go of, however the process ends."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import platform
import sys
import warnings
from pathlib import Path
from types import TracebackType

from tamesu.errors import StoreError
from tamesu.texts import say

_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_FAR = 1 << 30  # Windows locks a byte and hides it from readers: one far behind the text


class RunLock:
    """Held from `with RunLock(folder):` to its end, or to the end of the process, kill -9 included.

    Results may be shared by many runs; what a run writes beside them (the ledger, the report) may not.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.path = Path(folder) / "run.lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StoreError: Another run holds it (names its process), or the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                say(
                    "{path}: the run folder must be writable; got {reason!r}. Choose another one, or change its permissions.",
                    path=self.path.parent,
                    reason=error.strerror or str(error),
                )
            ) from error
        try:
            _lock(fd)
        except OSError as error:
            holder = _read(fd)
            os.close(fd)
            if error.errno in _BUSY:
                raise StoreError(
                    say(
                        "{path}: one run at a time must use this folder; got one that is running as {holder}. "
                        "Wait until it is done, stop it, or give this study another `name`.",
                        path=self.path.parent,
                        holder=holder,
                    )
                ) from None
            warnings.warn(
                say(
                    "{path}: this file system has no locks ({reason}); take care that one run at a time uses the folder.",
                    path=self.path.parent,
                    reason=error.strerror,
                ),
                stacklevel=2,
            )
            return
        self._fd = fd
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only its label is missing
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\t{platform.node()}\t{now}\n".encode())

    def release(self) -> None:
        """Let the lock go; the file stays, since removing it would let two runs in."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.release()


def _lock(fd: int) -> None:
    """Lock the open file or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(fd: int) -> str:
    """Who holds the lock, in words; `?` while they are writing it down."""
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        pid, host, start = os.read(fd, 400).decode("utf-8", "replace").strip().split("\t")
    except (OSError, ValueError):
        return "?"
    return say("process {pid} on {host} since {start}", pid=pid, host=host, start=start)
