"""Small files, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from tamesu.errors import StoreError
from tamesu.texts import say


def write_atomically(path: Path, content: str | bytes) -> None:
    """Put `content` (text as UTF-8, line ends as they are) where `path` says: the old file or the new one, never a half.

    Raises:
        StoreError: The disk is full or may not be written; the old file is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise StoreError(_explained(path, error)) from error
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_of(path))
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise StoreError(_explained(path, error)) from error


def _mode_of(path: Path) -> int:
    """The permissions a file has, or those a new one gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _explained(path: Path, error: OSError) -> str:
    return say(
        "{path}: must be writable; got {reason}. Free space or change permissions; what was there before is untouched.",
        path=path,
        reason=error.strerror or str(error),
    )
