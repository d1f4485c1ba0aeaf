"""Small pictures for the page: of rows, and per class the mean picture and how much its pictures differ."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tamesu.decode import Reading, UnreadableError, decode, inspect
from tamesu.drawing import COLOURS, colour_depth
from tamesu.look.material import Material, PictureFacts
from tamesu.look.separation import sample
from tamesu.shown import rgb_of

QUALITY = 75  # of JPEG
MEAN_SIDE = 48  # pixels
MEAN_CLASSES, MEAN_PICTURES = 30, 100
OUTSIDE = (236, 236, 236)  # id 0 of a mask
N_THREADS = 4


class ClassPicture(NamedTuple):
    """One class, averaged.

    Attributes:
        name: Of the class.
        mean: Data URI of the mean of its pictures, each stretched to a square.
        spread: Data URI of the standard deviation at each pixel; white: the most of all classes.
        n: Pictures averaged.
        examples: Ids of some of them.
    """

    name: str
    mean: str
    spread: str
    n: int
    examples: tuple[str, ...]


def make_thumbnails(material: Material, ids: Iterable[str], size_px: int = 96) -> dict[str, str]:
    """A data URI for each of these rows that has a picture that can be read.

    Args:
        material: Its `first_picture` is shown.
        ids: Of rows, as `Material.shown` writes them.
        size_px: Of the longer side.
    """
    facts = material.first_picture
    wanted = list(dict.fromkeys(str(one) for one in ids))
    if facts is None or not wanted:
        return {}
    place = _places(material, facts, wanted)

    def read(one: str) -> str | None:
        pixels = _read(facts, place.get(one), size_px)
        return None if pixels is None else data_uri(pixels, size_px)

    with ThreadPoolExecutor(N_THREADS) as pool:
        found = pool.map(read, wanted)
        return {one: uri for one, uri in zip(wanted, found, strict=True) if uri is not None}


def make_class_pictures(material: Material, seed: int = 0) -> tuple[ClassPicture, ...]:
    """Mean and spread of the pictures of the largest classes; () without classes, pictures or files."""
    facts = material.first_picture
    if facts is None or not material.classes or facts.kind == "mask":
        return ()
    usable = material.is_train & facts.whole & (material.labels >= 0)
    counts = np.bincount(material.labels[usable], minlength=len(material.classes))
    found: list[tuple[str, NDArray[np.float64], NDArray[np.float64], int, tuple[str, ...]]] = []
    with ThreadPoolExecutor(N_THREADS) as pool:
        for code in np.argsort(-counts, kind="stable")[:MEAN_CLASSES]:
            rows = sample(np.flatnonzero(usable & (material.labels == code)), MEAN_PICTURES, seed)
            pixels = [one for one in pool.map(lambda row: _square(facts, int(row)), rows) if one is not None]
            if pixels:
                stack = np.stack(pixels).astype(np.float64)
                examples = material.shown(sample(rows, 4, seed))
                found.append((material.classes[code], stack.mean(0), stack.std(0).mean(-1), len(pixels), examples))
    most = max((float(spread.max()) for _, _, spread, _, _ in found), default=1.0) or 1.0
    return tuple(
        ClassPicture(
            name,
            data_uri(np.rint(mean).astype(np.uint8), MEAN_SIDE),
            data_uri(np.repeat(np.rint(255 * spread / most).astype(np.uint8)[:, :, None], 3, axis=2), MEAN_SIDE),
            n,
            examples,
        )
        for name, mean, spread, n, examples in found
    )


def data_uri(pixels: NDArray[np.uint8], size_px: int) -> str:
    """RGB bytes, (h, w, 3), as a JPEG of at most this size in a `data:` URI."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _places(material: Material, facts: PictureFacts, ids: list[str]) -> dict[str, int]:
    wanted = set(ids)
    namesake = facts.whole & material.is_namesake
    rows = np.flatnonzero(facts.whole & ~namesake)
    rows = np.concatenate([rows[np.isin(material.ids[rows].astype(str), ids)], np.flatnonzero(namesake)])
    found: dict[str, int] = {}
    for one, row in zip(material.shown(rows), rows, strict=True):
        if one in wanted:
            found.setdefault(one, int(row))
    return found


def _square(facts: PictureFacts, row: int) -> NDArray[np.uint8] | None:
    pixels = _read(facts, row, 2 * MEAN_SIDE)
    if pixels is None:
        return None
    return np.asarray(Image.fromarray(pixels).resize((MEAN_SIDE, MEAN_SIDE), Image.Resampling.BOX))


def _read(facts: PictureFacts, row: int | None, size_px: int) -> NDArray[np.uint8] | None:
    """Pixels as a screen shows them, not much larger than needed; None where there is no such file or it cannot be read."""
    if row is not None and facts.arrays is not None:
        given = facts.arrays[row]
        return None if given is None else _as_rgb(np.asarray(given), facts.kind)
    path = "" if row is None else str(facts.paths[row])
    if not path:
        return None
    try:
        data = Path(path).read_bytes()
        info = inspect(data)
        level = max(0, math.floor(math.log2(max(info.height, info.width) / size_px)))
        channels = 1 if facts.kind != "image" else 3
        dtype = "float32" if facts.kind == "depth" else "int64" if facts.kind == "mask" else info.dtype
        pixels = decode(data, info, channels, dtype, level, Reading(facts.kind))
    except (UnreadableError, OSError):
        return None  # the findings of kind "file" name it; the page shows the row without a picture
    return _as_rgb(pixels, facts.kind)


def _as_rgb(pixels: NDArray[Any], kind: str = "image") -> NDArray[np.uint8]:
    """(h, w) or (h, w, c) to (h, w, 3) bytes; near is red and far blue in depth, every id of a mask has its colour."""
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if kind == "mask":
        palette = np.array([OUTSIDE, *COLOURS], dtype=np.uint8)
        ids = pixels[:, :, 0].astype(np.int64)
        return np.asarray(palette[np.where(ids == 0, 0, 1 + (ids - 1) % len(COLOURS))])
    if kind == "depth":
        depth = pixels[:, :, 0].astype(np.float32)
        known = depth[depth > 0]
        low, high = np.quantile(known, (0.01, 0.99)) if known.size else (0.0, 1.0)
        return colour_depth(depth, float(low), float(high))
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels)
    return rgb_of(pixels, None, None)


__all__ = ["ClassPicture", "data_uri", "make_class_pictures", "make_thumbnails"]
