"""The pictures of one field: read at the smallest pyramid level that still fills the size asked for.

A set of pictures is a folder in the cache: `set.npz` says where the files are and what they hold, and
`pixels-<levels>.bin` holds decoded pixels, one picture after the other, so that training decodes nothing. Processes
share those files; a `Pictures` is only the folder's name and row numbers.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import socket
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.decode import IMAGE, PictureInfo, Reading, UnreadableError, decode, reduce, reduced
from tamesu.errors import DataError
from tamesu.picture_files import Progress, in_threads
from tamesu.texts import say

SMALL_BYTES = 256 * 2**20  # sets up to this size are mapped into memory, larger ones are read piece by piece
DISK_FRACTION = 0.5  # of the free disk, at most, for one file of decoded pixels
READERS = ("jpeg", "opencv", "pillow", "numpy")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures by row; holds no pixels, so it is cheap to pass to another process.

    Attributes:
        folder: Where the set is kept.
        rows: Which pictures of the set, in order; None: all.
    """

    folder: str
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._set.heights) if self.rows is None else len(self.rows)

    def take(self, index: NDArray[Any] | Sequence[int] | slice) -> Pictures:
        """These pictures, in this order; `index` holds positions or is a mask."""
        rows = np.arange(len(self._set.heights)) if self.rows is None else self.rows
        chosen = index if isinstance(index, slice) else np.asarray(index)
        if isinstance(chosen, np.ndarray) and chosen.dtype != np.bool_:
            chosen = chosen.astype(np.int64)  # an empty list is float
        return Pictures(self.folder, rows[chosen])

    @property
    def channels(self) -> int:
        """Channels of every picture: 1 grey, 3 colour, 4 colour with opacity, or those of the arrays given."""
        return self._set.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels: uint8, uint16 or float32."""
        return self._set.dtype

    @property
    def reading(self) -> Reading:
        """What its numbers are (light, ids or distances), and so how they are reduced; pixels stay raw, in no unit."""
        return self._set.reading

    @property
    def shapes(self) -> NDArray[np.int64]:
        """Heights and widths of the originals, as seen.  (n, 2)"""
        shapes = np.stack([self._set.heights, self._set.widths], axis=1)
        return shapes if self.rows is None else shapes[self.rows]

    def sizes(self, index: NDArray[Any]) -> NDArray[np.int64]:
        """Heights and widths of these originals, without looking at all others.  (b, 2)"""
        rows = index if self.rows is None else self.rows[index]
        return np.stack([self._set.heights[rows], self._set.widths[rows]], axis=1)

    def read(self, i: int, size: tuple[int, int]) -> NDArray[Any]:
        """One picture, halved as often as it still fills `size` in both directions; it may be read-only.  (h, w, c)

        Raises:
            DataError: The file is gone or has changed.
        """
        row = int(i) if self.rows is None else int(self.rows[i])
        levels = self._set.levels(size)
        pixels = self._set.pixels(levels)
        return self._set.decoded(row, int(levels.of[row])) if pixels is None else pixels.one(row)

    def read_many(self, index: NDArray[Any] | Sequence[int], size: tuple[int, int]) -> NDArray[Any] | None:
        """These pictures at once, where they are prepared and equally large; None where not.  (b, h, w, c)"""
        rows = np.asarray(index) if self.rows is None else self.rows[index]
        pixels = self._set.pixels(self._set.levels(size))
        return None if pixels is None else pixels.many(rows)

    def prepare(self, size: tuple[int, int], progress: Progress | None = None) -> None:
        """Decodes every picture of the set once, for `size`, into a file that all processes share.

        Where the disk has no room for it, pictures are decoded as they are read, and a warning says so.

        Raises:
            DataError: A file is gone or has changed.
        """
        levels = self._set.levels(size)
        if self._set.pixels(levels) is None:
            self._set.write_pixels(levels, progress)

    def original(self, i: int) -> NDArray[Any]:
        """All pixels of one picture.  (h, w, c)"""
        return self._set.decoded(int(i) if self.rows is None else int(self.rows[i]), 0)

    @property
    def _set(self) -> _PictureSet:
        return _open_set(self.folder)


@dataclass(frozen=True, eq=False)
class _Levels:
    """How often each picture is halved, where each then starts in the file of pixels, and that file's name."""

    of: NDArray[np.uint8]  # (n,)
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    starts: NDArray[np.int64]  # (n + 1,) bytes
    file: str


class _Pixels:
    """One file of decoded pixels, open for reading in this process."""

    def __init__(self, path: Path, levels: _Levels, channels: int, dtype: np.dtype[Any]):
        self.levels, self.channels, self.dtype = levels, channels, dtype
        self.shapes = np.stack([levels.heights, levels.widths], axis=1)
        self.is_uniform = bool((self.shapes == self.shapes[:1]).all())
        self.file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        # Reading piece by piece keeps memory flat: pages of a mapped file count as the process's own.
        is_mapped = levels.starts[-1] <= SMALL_BYTES or not hasattr(os, "preadv")
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray) if is_mapped and len(self.shapes) else None
        self.uniform: NDArray[Any] | None = None
        if self.bytes is not None and self.is_uniform:
            self.uniform = self.bytes.view(dtype).reshape(len(self.shapes), *self.shapes[0], channels)

    def one(self, row: int) -> NDArray[Any]:
        if self.uniform is not None:
            return self.uniform[row]
        start, end = int(self.levels.starts[row]), int(self.levels.starts[row + 1])
        data = self.bytes[start:end] if self.bytes is not None else os.pread(self.file, end - start, start)
        return np.frombuffer(data, dtype=self.dtype).reshape(self.levels.heights[row], self.levels.widths[row], self.channels)

    def many(self, rows: NDArray[Any]) -> NDArray[Any] | None:
        if self.uniform is not None:
            return self.uniform[rows]
        if len(rows) == 0 or not (self.is_uniform or (self.shapes[rows] == self.shapes[rows[0]]).all()):
            return None
        out = np.empty((len(rows), *self.shapes[rows[0]], self.channels), dtype=self.dtype)
        flat = out.view(np.uint8).reshape(len(rows), -1)
        for j, start in enumerate(self.levels.starts[rows]):
            if self.bytes is not None:
                flat[j] = self.bytes[start : start + flat.shape[1]]
            else:
                os.preadv(self.file, [memoryview(flat[j])], int(start))
        return out

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)


class _PictureSet:
    """One set as this process sees it: what `set.npz` says, and the files of pixels opened so far."""

    def __init__(self, folder: Path):
        self.folder = folder
        with np.load(folder / "set.npz", allow_pickle=False) as kept:
            self.heights, self.widths = kept["heights"].astype(np.int64), kept["widths"].astype(np.int64)
            self.natural_channels, self.natural_dtypes = kept["natural_channels"], kept["natural_dtypes"]
            self.readers, self.orientations = kept["readers"], kept["orientations"]
            self.names, self.name_ends = kept["names"].tobytes(), kept["name_ends"]
            self.channels, self.dtype = int(kept["channels"]), np.dtype(str(kept["dtype"]))
            self.indexed, self.where = kept["indexed"], str(kept["where"])
            packed = kept["packed"].tolist() if "packed" in kept else (0, 0)  # a set written before there were any
            self.reading = Reading(str(kept["reads"]), float(kept["missing"]), bool(packed[0]), int(packed[1]))  # type: ignore[arg-type]
        self.is_array = len(self.name_ends) == 0
        self.levels = functools.lru_cache(maxsize=32)(self._levels)
        self._open: dict[str, _Pixels] = {}

    def _levels(self, size: tuple[int, int]) -> _Levels:
        level = np.zeros(len(self.heights), dtype=np.uint8)
        for step in range(1, 16):
            fills = (-(-self.heights >> step) >= size[0]) & (-(-self.widths >> step) >= size[1])
            level[fills] = step
        heights = -(-self.heights >> level.astype(np.int64))
        widths = -(-self.widths >> level.astype(np.int64))
        starts = np.concatenate([[0], np.cumsum(heights * widths * self.channels * self.dtype.itemsize)]).astype(np.int64)
        key = hashlib.blake2b(level.tobytes(), digest_size=8).hexdigest() if level.any() else "original"
        return _Levels(level, heights, widths, starts, f"pixels-{key}.bin")

    def pixels(self, levels: _Levels) -> _Pixels | None:
        """The file of pixels at these levels, None while nobody has prepared it."""
        if levels.file not in self._open:
            path = self.folder / levels.file
            if not path.exists():
                return None
            self._open[levels.file] = _Pixels(path, levels, self.channels, self.dtype)
        return self._open[levels.file]

    def path(self, row: int) -> str:
        start = int(self.name_ends[row - 1]) if row else 0
        return self.names[start : int(self.name_ends[row])].decode("utf-8", "surrogateescape")

    def decoded(self, row: int, level: int) -> NDArray[Any]:
        """One picture from its own file.  (h, w, c)"""
        if self.is_array:
            whole = self.pixels(self.levels((2**31, 2**31)))
            if whole is None:
                raise DataError(
                    say("{where}: {file} must stay there while tamesu runs; it is gone.", where=self.where, file=self.folder)
                )
            pixels = whole.one(row)
            return reduce(pixels, reduced(pixels.shape[0], level), reduced(pixels.shape[1], level), self.reading)
        info = PictureInfo(
            int(self.heights[row]),
            int(self.widths[row]),
            int(self.natural_channels[row]),
            str(self.natural_dtypes[row]),
            READERS[self.readers[row]],  # type: ignore[arg-type]
            int(self.orientations[row]),
            bool(self.indexed[row]),
        )
        path = self.path(row)
        try:
            with open(path, "rb") as file:
                return decode(file.read(), info, self.channels, str(self.dtype), level, self.reading)
        except (OSError, UnreadableError) as error:
            raise DataError(
                say(
                    "{where}: {file} must stay as it is while tamesu runs; got {error}. Run the command again.",
                    where=self.where,
                    file=path,
                    error=error,
                )
            ) from error

    def write_pixels(self, levels: _Levels, progress: Progress | None) -> None:
        needed, free = int(levels.starts[-1]), shutil.disk_usage(self.folder).free
        if needed > DISK_FRACTION * free:
            _warn_no_room(self.folder, needed, free)
            return
        _remove_abandoned(self.folder)
        part = _part_name(self.folder / levels.file)
        lock = threading.Lock()
        try:
            with open(part, "wb") as file:

                def write(row: int) -> None:
                    pixels = self.decoded(row, int(levels.of[row]))
                    with lock:
                        file.seek(int(levels.starts[row]))
                        file.write(pixels.data)

                for _ in in_threads(write, range(len(self.heights)), progress):
                    pass
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.folder / levels.file)
        except OSError as error:  # the disk filled up meanwhile, or may not be written
            warnings.warn(say("Pictures are decoded again in every epoch: {error}.", error=error), RuntimeWarning, stacklevel=2)
        finally:
            part.unlink(missing_ok=True)


def write_set(
    folder: Path,
    *,
    infos: Sequence[PictureInfo],
    paths: Sequence[str],
    channels: int,
    dtype: str,
    where: str,
    arrays: Sequence[NDArray[Any]] | NDArray[Any] | None = None,
    reading: Reading = IMAGE,
) -> Pictures:
    """Describes a set of pictures in its folder, and for arrays writes their pixels beside it.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoded = [path.encode("utf-8", "surrogateescape") for path in paths]
    columns: dict[str, Any] = {
        "heights": np.array([info.height for info in infos], dtype=np.int32),
        "widths": np.array([info.width for info in infos], dtype=np.int32),
        "natural_channels": np.array([info.channels for info in infos], dtype=np.uint8),
        "natural_dtypes": np.array([info.dtype for info in infos], dtype="U8"),
        "readers": np.array([READERS.index(info.reader) for info in infos], dtype=np.uint8),
        "orientations": np.array([info.orientation for info in infos], dtype=np.uint8),
        "indexed": np.array([info.indexed for info in infos], dtype=bool),
        "names": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        "name_ends": np.cumsum([len(name) for name in encoded], dtype=np.int64),
        "channels": np.array(channels),
        "dtype": np.array(dtype),
        "where": np.array(where),
        "reads": np.array(reading.kind),
        "missing": np.array(reading.missing),
        "packed": np.array([int(reading.swap_bytes), reading.rotate_bits]),
    }
    pixels = folder / "pixels-original.bin"
    if arrays is not None and not pixels.exists():
        part = _part_name(pixels)
        with open(part, "wb") as file:
            for array in arrays:
                file.write(np.ascontiguousarray(array).data)
        os.replace(part, pixels)
    part = _part_name(folder / "set.npz")
    with open(part, "wb") as file:
        np.savez(file, **columns)
    os.replace(part, folder / "set.npz")
    return Pictures(str(folder))


@functools.lru_cache(maxsize=16)
def _open_set(folder: str) -> _PictureSet:
    return _PictureSet(Path(folder))


def _part_name(path: Path) -> Path:
    """A name of our own to write under until the file is whole; two threads or machines never share it."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.tmp")


def _remove_abandoned(folder: Path) -> None:
    """Removes what a process of this machine that no longer lives had begun to write."""
    for part in folder.glob(f"*.{socket.gethostname()}.*.tmp"):
        try:
            os.kill(int(part.name.split(".")[-3]), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except PermissionError:  # it lives, and is somebody else's
            continue


def _warn_no_room(folder: Path, needed: int, free: int) -> None:
    warnings.warn(
        say(
            "Pictures are decoded again in every epoch: {folder} would need {needed:.1f} GB and has {free:.1f} GB free.",
            needed=needed / 1e9,
            folder=folder,
            free=free / 1e9,
        ),
        RuntimeWarning,
        stacklevel=3,
    )
