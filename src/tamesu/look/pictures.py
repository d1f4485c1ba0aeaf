"""One pass over a column of pictures: each file is read once, measured and let go; chunks are kept, so a scan can go on."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.decode import IMAGE_SUFFIXES, PictureInfo, Reading, UnreadableError, decode, inspect, reduced
from tamesu.fields import Encoding
from tamesu.files import write_atomically
from tamesu.look.material import PictureFacts
from tamesu.look.picture_numbers import (
    DEPTH,
    LIGHT,
    N_EMBEDDING,
    N_STRUCTURE,
    SIDE,
    depth_numbers,
    describe,
    light_numbers,
    perceptual_hash,
    small,
)
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
VERSION = 1  # of what is measured
CHUNK = 1_000  # pictures kept together
PIECE = 50  # pictures a thread takes at once
FLAGS = ("animated", "cmyk", "exif_rotated", "palette", "sixteen_bit", "wrong_extension", "has_alpha")
MOST_UNUSED = 10_000
# What a file starts with, and the suffixes that say so.
STARTS: tuple[tuple[bytes, int, tuple[str, ...]], ...] = (
    (b"\xff\xd8", 0, (".jpg", ".jpeg")),
    (b"\x89PNG", 0, (".png",)),
    (b"GIF8", 0, (".gif",)),
    (b"BM", 0, (".bmp",)),
    (b"WEBP", 8, (".webp",)),
    (b"II*\0", 0, (".tif", ".tiff")),
    (b"MM\0*", 0, (".tif", ".tiff")),
)


class _Seen(NamedTuple):
    """One picture, measured."""

    status: str
    height: int = 0
    width: int = 0
    numbers: tuple[float, ...] = ()
    flags: int = 0  # one bit each, in the order of `FLAGS`
    file_digest: int = 0
    pixel_digest: int = 0
    hash: int = 0
    embedding: NDArray[np.float32] | None = None


def scan_pictures(
    field: str,
    names: Sequence[str | None],
    root: Path,
    *,
    kind: Literal["image", "mask", "depth"] = "image",
    unit_m: float = 0.001,
    missing: float = 0.0,
    encoding: Encoding | None = None,
    arrays: Sequence[NDArray[Any] | None] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PictureFacts:
    """What the pictures of a column are, and what is wrong with them.

    Args:
        field: The field's name.
        names: Files by row, relative to `root` or whole; None: the row names none.  n
        root: Folder that names start from.
        kind: How the numbers in the pictures are read.
        unit_m: Metres a stored unit of depth is.
        missing: The stored depth that is no reading.
        encoding: How the bits of stored depth are packed.
        arrays: Pictures in memory in place of files, (h, w) or (h, w, c) each; None for a row without one.  n
        cache: Where finished chunks are kept; None: nowhere.
        progress: Called with (what, done, total).
    """
    n = len(names) if arrays is None else len(arrays)
    paths = ["" if name is None else str(root / name) for name in names] if arrays is None else [""] * n
    packed = {} if encoding is None else encoding.model_dump()
    settings = f"{VERSION} {kind} {unit_m} {missing}" + (f" {packed}" if packed else "")
    reading = Reading(kind, missing if kind == "depth" else 0.0, **packed)
    columns: list[dict[str, NDArray[Any]]] = []
    embedding = _room(n, cache, settings, paths)
    for start in range(0, n, CHUNK):
        end = min(n, start + CHUNK)
        file = None if cache is None or arrays is not None else _chunk_file(cache, paths[start:end], settings)
        kept = _read_chunk(file)
        if kept is None:
            items: list[Any] = paths[start:end] if arrays is None else list(arrays[start:end])
            kept = _pack(_measured(items, reading, unit_m, partial(_tell_from, progress, start, n)), kind)
            if file is not None:
                _write_chunk(file, kept)
        embedding[start:end] = kept.pop("embedding")
        columns.append(kept)
        _tell(progress, end, n)
    whole = {key: np.concatenate([one[key] for one in columns]) for key in columns[0]} if columns else _pack([], kind)
    numbers = whole["numbers"]
    measured = {key: numbers[:, i] for i, key in enumerate(_properties(kind))}
    return PictureFacts(
        field=field,
        kind=kind,
        names=np.array([name or "" for name in names] if arrays is None else list(map(str, range(n))), dtype=object),
        paths=np.array(paths, dtype=object),
        status=whole["status"].astype(object),
        heights=whole["heights"],
        widths=whole["widths"],
        properties=measured,
        flags={flag: (whole["flags"] >> i & 1).astype(bool) for i, flag in enumerate(FLAGS)},
        file_digests=whole["file_digests"],
        pixel_digests=whole["pixel_digests"],
        hashes=whole["hashes"],
        embedding=embedding,
        n_structure=N_STRUCTURE,
        unused=_unused([path for path in paths if path], root) if arrays is None else (),
        arrays=arrays,
    )


def _properties(kind: str) -> tuple[str, ...]:
    own = {"image": LIGHT, "depth": DEPTH, "mask": ()}[kind]
    return (*own, "aspect", "file_kb")


def _tell_from(progress: Progress | None, start: int, total: int, done: int) -> None:
    _tell(progress, start + done, total)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(say("looking at pictures"), done, total)


def _measured(items: list[Any], reading: Reading, unit_m: float, tell: Callable[[int], None]) -> list[_Seen]:
    """Each item measured, in threads: decoding and OpenCV work without Python's lock."""
    pieces = [items[i : i + PIECE] for i in range(0, len(items), PIECE)]
    out: list[_Seen] = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for seen in pool.map(lambda piece: [_measure(one, reading, unit_m) for one in piece], pieces):
            out += seen
            tell(len(out))
    return out


def _measure(item: str | NDArray[Any] | None, reading: Reading, unit_m: float) -> _Seen:
    if item is None:
        return _Seen("none")
    if not isinstance(item, str):
        pixels = item if item.ndim == 3 else item[:, :, None]
        return _numbers(pixels, pixels.shape[0], pixels.shape[1], 0, item.nbytes, 0, reading, unit_m)
    if not item:
        return _Seen("none")
    try:
        with open(item, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return _Seen("missing")
    except OSError as error:
        return _Seen(say("a file that cannot be read: {error}", error=error.strerror or error))
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1
    try:
        info = inspect(data)
        level = _level(info)
        dtype = info.dtype
        pixels = decode(data, info, info.channels if reading.kind == "image" else 1, dtype, level, reading)
    except UnreadableError as error:
        return _Seen(str(error), file_digest=digest)
    flags = _flags(data, item, info)
    return _numbers(pixels, info.height, info.width, flags, len(data), digest, reading, unit_m)


def _level(info: PictureInfo) -> int:
    """How often the picture can be halved and still be as large as it is measured."""
    level = 0
    while level < 3 and max(reduced(info.height, level + 1), reduced(info.width, level + 1)) >= SIDE:
        level += 1
    return level


def _numbers(
    pixels: NDArray[Any], height: int, width: int, flags: int, n_bytes: int, digest: int, reading: Reading, unit_m: float
) -> _Seen:
    shape = f"{height} {width} {pixels.shape[2]}".encode()
    of_pixels = int.from_bytes(hashlib.blake2b(np.ascontiguousarray(pixels).tobytes() + shape, digest_size=8).digest(), "big")
    shared = (width / height, n_bytes / 1024)
    if reading.kind == "image":
        rgb = small(pixels)
        numbers = (*light_numbers(rgb), *shared)
    elif reading.kind == "depth":
        numbers = (*depth_numbers(pixels, unit_m, reading.missing), *shared)
        rgb = small(_stretched(pixels.astype(np.float32)))
    else:
        numbers = shared
        rgb = small(_stretched(pixels.astype(np.float32)))
    return _Seen("", height, width, numbers, flags, digest, of_pixels or 1, perceptual_hash(rgb), describe(rgb))


def _stretched(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ids or distances over the whole range of grey."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    return values / top if top > 0 else values


def _flags(data: bytes, path: str, info: PictureInfo) -> int:
    suffix = Path(path).suffix.lower()
    meant = next((suffixes for start, at, suffixes in STARTS if data[at : at + len(start)] == start), None)
    known = {one for _, _, suffixes in STARTS for one in suffixes}
    said = {
        "animated": data[:4] == b"GIF8" or b"acTL" in data[:4096] or data[8:16] == b"WEBPVP8X",
        "cmyk": data[:2] == b"\xff\xd8" and info.reader == "pillow",
        "exif_rotated": info.orientation > 1,
        "palette": info.indexed,
        "sixteen_bit": info.dtype == "uint16",
        "wrong_extension": meant is not None and suffix in known and suffix not in meant,
        "has_alpha": info.channels == 4,
    }
    if said["animated"]:
        said["animated"] = _n_frames(data) > 1
    return sum(1 << i for i, flag in enumerate(FLAGS) if said[flag])


def _n_frames(data: bytes) -> int:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(getattr(image, "n_frames", 1))
    except (OSError, SyntaxError, ValueError, EOFError):  # it was decoded before; what cannot be counted does not move
        return 1


def _pack(seen: list[_Seen], kind: str) -> dict[str, NDArray[Any]]:
    """Measured pictures as columns."""
    n, names = len(seen), _properties(kind)
    numbers = np.full((n, len(names)), np.nan, dtype=np.float32)
    embedding = np.zeros((n, N_EMBEDDING), dtype=np.float32)
    for i, one in enumerate(seen):
        if one.status == "":
            numbers[i] = one.numbers
            embedding[i] = one.embedding
    return {
        "status": np.array([one.status for one in seen], dtype=str) if n else np.empty(0, dtype="U1"),
        "heights": np.array([one.height for one in seen], dtype=np.int32),
        "widths": np.array([one.width for one in seen], dtype=np.int32),
        "numbers": numbers,
        "flags": np.array([one.flags for one in seen], dtype=np.uint8),
        "file_digests": np.array([one.file_digest for one in seen], dtype=np.uint64),
        "pixel_digests": np.array([one.pixel_digest for one in seen], dtype=np.uint64),
        "hashes": np.array([one.hash for one in seen], dtype=np.uint64),
        "embedding": embedding,
    }


def _room(n: int, cache: Path | None, settings: str, paths: list[str]) -> NDArray[np.float32]:
    """Where descriptions are put: a file where there is a cache, so that memory stays flat."""
    if cache is None or n < 10 * CHUNK:
        return np.zeros((n, N_EMBEDDING), dtype=np.float32)
    folder = cache / "look" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.blake2b((settings + "\n".join(paths)).encode(), digest_size=8).hexdigest()
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(n, N_EMBEDDING))


def _chunk_file(cache: Path, paths: list[str], settings: str) -> Path:
    """The chunk's file; its name holds the sizes and times of all its pictures, so that a changed one makes another."""
    total = hashlib.blake2b(settings.encode(), digest_size=12)
    for path in paths:
        try:
            state = os.stat(path) if path else None
        except OSError:
            state = None
        total.update(f"{path}\0{state and (state.st_size, state.st_mtime_ns)}\n".encode("utf-8", "surrogateescape"))
    return cache / "look" / "pictures" / f"{total.hexdigest()}.npz"


def _read_chunk(file: Path | None) -> dict[str, NDArray[Any]] | None:
    if file is None or not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, EOFError):  # only a shortcut: damaged, it is made anew
        return None


def _write_chunk(file: Path, columns: dict[str, NDArray[Any]]) -> None:
    out = io.BytesIO()
    np.savez(out, **columns)  # type: ignore[arg-type]
    write_atomically(file, out.getvalue())


def _unused(paths: list[str], root: Path) -> tuple[str, ...]:
    """Pictures in the folders of the named ones that no row names."""
    named = {os.path.realpath(path) for path in paths}
    folders = sorted({os.path.dirname(path) for path in paths})
    out: list[str] = []
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        with os.scandir(folder) as entries:
            files = sorted(one.name for one in entries if one.is_file() and not one.name.startswith("."))
        pictures = [name for name in files if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        whole = [os.path.join(folder, name) for name in pictures]
        out += [os.path.relpath(path, root) for path in whole if os.path.realpath(path) not in named]
        if len(out) >= MOST_UNUSED:
            break
    return tuple(out[:MOST_UNUSED])


__all__ = ["scan_pictures"]
