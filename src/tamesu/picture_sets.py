"""From a column of file names or arrays to one set of `Pictures`, with every mistake in it."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.decode import IMAGE, PictureInfo, Reading, UnreadableError, distances, to_channels
from tamesu.fields import as_text, some_rows
from tamesu.picture_files import Progress, add_suffix, content_digest, scan_files
from tamesu.pictures import Pictures, write_set
from tamesu.texts import say

CHANNELS = {"gray": 1, "rgb": 3, "rgba": 4}
LARGE_PIXELS = 40_000_000  # more than nearly every camera makes: reading them will rule the time


@dataclass(frozen=True)
class PictureColumn:
    """What became of one column of pictures; no pictures where there are mistakes."""

    pictures: Pictures | None
    digest: str
    mistakes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_files(
    column: pd.Series,
    ids: NDArray[Any],
    *,
    where: str,
    root: Path,
    channels: str,
    cache: Path,
    progress: Progress | None = None,
    reading: Reading = IMAGE,
) -> PictureColumn:
    """Pictures of a column of file names, each looked at once."""
    blank = column.isna().to_numpy() | (column.astype(str).str.strip() == "").to_numpy()
    if blank.any():
        return PictureColumn(
            None, "", (say("{where}: {rows} must name a file; got an empty cell.", where=where, rows=some_rows(ids, blank)),)
        )
    names = [as_text(name) for name in column.astype(object)]
    suffix = add_suffix(root, names)
    start = str(root.absolute())
    paths = [os.path.join(start, name + suffix) for name in names]  # as texts: a hundred thousand `Path`s take seconds
    index_file = cache / "pictures" / f"index-{hashlib.blake2b(str(root.resolve()).encode(), digest_size=8).hexdigest()}.json"
    scan = scan_files(paths, index_file, progress)
    mistakes = _file_mistakes(scan.missing, scan.reasons, names, ids, where, root)
    if mistakes:
        return PictureColumn(None, "", tuple(mistakes))
    infos = [_as_stored(info, reading) for info in scan.infos if info is not None]
    mistakes = _stored_wrongly(infos, reading, ids, where)
    if mistakes:
        return PictureColumn(None, "", tuple(mistakes))
    try:
        n_channels, dtype = _common_format(infos, channels)
    except UnreadableError as error:
        return PictureColumn(None, "", (f"{where}: {error}",))
    digest = content_digest(scan.digests)
    key = hashlib.blake2b(
        "\0".join([digest, str(n_channels), dtype, *reading.key, *paths]).encode("utf-8", "surrogateescape"),
        digest_size=12,
    )
    folder = cache / "pictures" / key.hexdigest()
    pictures = write_set(folder, infos=infos, paths=paths, channels=n_channels, dtype=dtype, where=where, reading=reading)
    warnings = _warnings(infos, n_channels, ids, where)
    if suffix:
        warnings.append(say("{where}: file names lack {suffix!r}; it was added.", where=where, suffix=suffix))
    return PictureColumn(pictures, digest, (), tuple(warnings))


def read_arrays(
    arrays: Any, ids: NDArray[Any], *, where: str, channels: str, cache: Path, reading: Reading = IMAGE
) -> PictureColumn:
    """Pictures given from Python as (n, h, w), (n, h, w, c), or a list of (h, w) or (h, w, c)."""
    try:
        typed, infos = _typed_arrays(arrays, ids, where, reading)
        mistakes = _stored_wrongly(infos, reading, ids, where)
        if mistakes:
            return PictureColumn(None, "", tuple(mistakes))
        typed, n_channels = _same_channels(typed, infos, where, channels)
    except UnreadableError as error:
        return PictureColumn(None, "", (str(error),))
    digest = hashlib.blake2b(digest_size=16)
    for array in typed:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    how = "" if reading == IMAGE else "-".join(("", reading.kind, f"{reading.missing:g}", *reading.key[2:]))
    folder = cache / "pictures" / f"arrays-{digest.hexdigest()}{how}"
    dtype = infos[0].dtype if infos else "uint8"
    pictures = write_set(
        folder, infos=infos, paths=[], channels=n_channels, dtype=dtype, where=where, arrays=typed, reading=reading
    )
    return PictureColumn(pictures, digest.hexdigest(), (), tuple(_warnings(infos, n_channels, ids, where)))


def _file_mistakes(
    missing: Sequence[int], reasons: dict[int, str], names: Sequence[str], ids: NDArray[Any], where: str, root: Path
) -> list[str]:
    mistakes = []
    if missing:
        first = names[missing[0]]
        near = _near_file(root / first)
        mistakes.append(
            say(
                "{where}: {rows} must name files that exist; got {name!r}. Names start at {root}.{near}",
                where=where,
                rows=_rows(ids, missing),
                name=first,
                root=root,
                near="" if near is None else say(" Did you mean {name!r}?", name=near),
            )
        )
    for reason in dict.fromkeys(reasons.values()):
        hit = [i for i, found in reasons.items() if found == reason]
        mistakes.append(
            say(
                "{where}: {rows} must be whole pictures; got {reason} ({name!r}).",
                where=where,
                rows=_rows(ids, hit),
                reason=reason,
                name=names[hit[0]],
            )
        )
    return mistakes


def _near_file(path: Path) -> str | None:
    """The file in the same folder that is named most alike, if any is."""
    names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    other_case = [name for name in names if name.lower() == path.name.lower()]
    return next(iter(other_case or difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)), None)


def _common_format(infos: Sequence[PictureInfo], channels: str) -> tuple[int, str]:
    """Channels and type that all pictures of a field are read as."""
    have = {info.channels for info in infos}
    dtypes = {info.dtype for info in infos}
    if "float32" in dtypes and len(dtypes) > 1:
        raise UnreadableError(
            say("pictures must all hold decimals or none of them; got {dtypes}.", dtypes=", ".join(sorted(dtypes)))
        )
    dtype = next((dtype for dtype in ("float32", "uint16") if dtype in dtypes), "uint8")
    if channels != "auto":
        return CHANNELS[channels], dtype
    return (1 if have <= {1} else 3), dtype


def _as_stored(info: PictureInfo, reading: Reading) -> PictureInfo:
    """What a field of this kind sees of a file: of a palette, a mask sees the ids and not the colours."""
    return info._replace(channels=1, dtype="uint8") if reading.kind == "mask" and info.indexed else info


def _stored_wrongly(infos: Sequence[PictureInfo], reading: Reading, ids: NDArray[Any], where: str) -> list[str]:
    """Files that cannot hold ids, or distances, without damage."""
    if reading.kind == "image":
        return []
    channels = np.array([info.channels for info in infos])
    dtypes = np.array([info.dtype for info in infos])
    mistakes = []
    damaged = np.array([info.reader == "jpeg" for info in infos], dtype=bool)
    if reading.kind == "mask" and damaged.any():
        text = say(
            "{where}: {rows} must be PNG or another format that keeps every id; got JPEG, which changes them.",
            where=where,
            rows=some_rows(ids, damaged),
        )
        mistakes.append(text)
    coarse = dtypes == "uint8"
    if reading.kind == "depth" and coarse.any():
        text = say(
            "{where}: {rows} must hold 16 bits a pixel, or decimals; got 8 bits, too few for distances. "
            "Export depth as 16-bit PNG or float TIFF.",
            where=where,
            rows=some_rows(ids, coarse),
        )
        mistakes.append(text)
    packed = dtypes == "float32"
    if reading.is_packed and packed.any():
        text = say(
            "{where}: {rows} must hold whole numbers of 16 bits, since `encoding` says how their bits are packed; "
            "got decimals.",
            where=where,
            rows=some_rows(ids, packed),
        )
        mistakes.append(text)
    several = (channels != 1) & ~(damaged if reading.kind == "mask" else coarse)
    if several.any():
        text = say(
            "{where}: {rows} must hold one number a pixel, as grey pictures do; got {n} channels.",
            where=where,
            rows=some_rows(ids, several),
            n=int(channels[several][0]),
        )
        mistakes.append(text)
    decimal = (dtypes == "float32") & (channels == 1)
    if reading.kind == "mask" and decimal.any():
        text = say(
            "{where}: {rows} must hold ids that are whole numbers from 0 to 65535; got other numbers.",
            where=where,
            rows=some_rows(ids, decimal),
        )
        mistakes.append(text)
    return mistakes


def _typed_arrays(arrays: Any, ids: NDArray[Any], where: str, reading: Reading) -> tuple[list[NDArray[Any]], list[PictureInfo]]:
    """Arrays as (h, w, c) of one type."""
    wrong = np.array([array is None or np.ndim(array) not in (2, 3) for array in arrays], dtype=bool)
    if wrong.any():
        got = "None" if arrays[int(wrong.argmax())] is None else np.shape(arrays[int(wrong.argmax())])
        raise UnreadableError(
            say("{where}: {rows} must be (h, w) or (h, w, c); got {got}.", where=where, rows=some_rows(ids, wrong), got=got)
        )
    raw = [array if np.ndim(array) == 3 else np.asarray(array)[:, :, None] for array in arrays]
    first_axis = {array.shape[0] for array in raw}
    if first_axis <= {1, 3, 4} and min(min(array.shape[1:]) for array in raw) > 4:
        raise UnreadableError(
            say("{where}: pictures must be (h, w, c), channels last; got {shape}.", where=where, shape=raw[0].shape)
        )
    empty = np.array([array.size == 0 for array in raw], dtype=bool)
    if empty.any():
        raise UnreadableError(
            say("{where}: {rows} must have pixels; got an empty array.", where=where, rows=some_rows(ids, empty))
        )
    dtype = _pixel_dtype(raw, reading)
    white = np.uint8(255 if reading.kind == "image" else 1)
    typed = [(array * white if array.dtype == bool else array).astype(dtype, copy=False) for array in raw]
    if reading.kind == "depth":
        typed = [distances(array, reading) for array in typed]
    if dtype == "float32":
        endless = np.array([not np.isfinite(array).all() for array in typed], dtype=bool)
        if endless.any():
            raise UnreadableError(
                say(
                    "{where}: {rows} must hold finite numbers; got NaN or an infinite one.",
                    where=where,
                    rows=some_rows(ids, endless),
                )
            )
    return typed, [PictureInfo(array.shape[0], array.shape[1], array.shape[2], dtype, "pillow", 1) for array in typed]


def _same_channels(
    typed: Sequence[NDArray[Any]], infos: Sequence[PictureInfo], where: str, channels: str
) -> tuple[list[NDArray[Any]], int]:
    have = {info.channels for info in infos}
    n_channels = CHANNELS[channels] if channels != "auto" else next(iter(have)) if len(have) == 1 else 3
    try:
        return [to_channels(array, n_channels) for array in typed], n_channels
    except UnreadableError as error:
        raise UnreadableError(
            say("{where}: pictures must have the same channels; got {error}.", where=where, error=error)
        ) from error


def _pixel_dtype(arrays: Sequence[NDArray[Any]], reading: Reading) -> str:
    if all(array.dtype in (np.uint8, np.bool_) for array in arrays):
        return "uint8"
    if all(array.dtype.kind in "bui" for array in arrays):  # whole numbers from a list or a wide array
        low, high = min(int(array.min()) for array in arrays), max(int(array.max()) for array in arrays)
        may_be_narrow = reading.kind != "depth" and not any(array.dtype == np.uint16 for array in arrays)
        if low >= 0 and high <= 255 and may_be_narrow:
            return "uint8"
        if low >= 0 and high <= 65535:
            return "uint16"
    return "float32"


def _warnings(infos: Sequence[PictureInfo], n_channels: int, ids: NDArray[Any], where: str) -> list[str]:
    warnings = []
    have = np.array([info.channels for info in infos])
    if len(np.unique(have)) > 1:
        counts = {int(c): int((have == c).sum()) for c in np.unique(have)}
        shown = ", ".join(f"{n} × {c}" for c, n in counts.items())
        warnings.append(
            say(
                "{where}: pictures have different channels ({shown}); all are read with {channels}.",
                where=where,
                shown=shown,
                channels=n_channels,
            )
        )
    large = np.array([info.height * info.width > LARGE_PIXELS for info in infos], dtype=bool)
    if large.any():
        row = int(large.argmax())
        warnings.append(
            say(
                "{where}: {rows} are very large ({h} × {w} pixels); reading them will take long.",
                where=where,
                rows=some_rows(ids, large),
                h=infos[row].height,
                w=infos[row].width,
            )
        )
    return warnings


def _rows(ids: NDArray[Any], positions: Sequence[int]) -> str:
    mask = np.zeros(len(ids), dtype=bool)
    mask[list(positions)] = True
    return some_rows(ids, mask)
