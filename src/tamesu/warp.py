"""Batches of pictures seen through maps: `view` in training and scoring, `view_back` for predictions that live in the picture.

What becomes of a picture depends on that picture and its map alone, never on the rows it shares a batch with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.decode import reduce
from tamesu.fields import DepthField, ImageField, MaskField
from tamesu.maps import Maps, Resize, Size, whole_frames
from tamesu.resample import (
    BORDERS,
    MAX_CHANNELS,
    Border,
    Matrices,
    Scratch,
    between,
    draw,
    kept_sides,
    resize_picture,
    scales,
    warp_depth,
    warp_ids,
    warp_picture,
)

if TYPE_CHECKING:
    from tamesu.fields import Field
    from tamesu.pictures import Pictures

__all__ = ["Border", "read_size", "resize_picture", "shift_many", "view", "view_back", "warp_depth", "warp_ids", "warp_picture"]

ALL_PIXELS: Size = (2**31, 2**31)  # a size that no picture fills: it is read as large as it is
ENLARGED = 2**0.5  # beyond this, the pixels of a level are nearer to twice their size than to their own: the next has more


def view(
    pictures: Pictures,
    index: NDArray[Any] | Sequence[int],
    inner: Maps | None,
    field: Field,
    size: Size,
    resize: Resize = "stretch",
    border: Border | None = None,
) -> NDArray[Any]:
    """Pictures of some rows as maps show them: brought to one size and moved, in one interpolation.

    Args:
        pictures: Of the whole field.
        index: Rows.  (b,)
        inner: Maps of the frame onto itself, one a row; None: whole pictures, as they are scored.
        field: What the pixels mean: colours are interpolated, ids of a mask never, depths between readings only.
        size: Height and width of the frame.
        resize: How a whole picture comes to the frame.
        border: What stands where an image does not reach. None: reflected; black where `resize` is "pad". A mask is
            `field.outside` there, and a depth has no reading.

    Returns:
        (b, h, w, c). Images and masks are of their own type; depths are float32 in metres, 0 where there is no reading.

    Raises:
        DataError: A file is gone or has changed.
    """
    rows = np.asarray(index, dtype=np.int64)
    if isinstance(field, ImageField):
        return _view_images(pictures, rows, inner, size, resize, border or ("constant" if resize == "pad" else "reflect"))
    matrices = _full(pictures.sizes(rows), inner, size, resize)
    read = (pictures.read(int(row), ALL_PIXELS) for row in rows)
    if isinstance(field, DepthField):
        out = np.empty((len(rows), *size, pictures.channels), dtype=np.float32)
        for i, (picture, matrix) in enumerate(zip(read, matrices, strict=True)):
            out[i] = warp_depth(in_metres(picture, field), matrix, size, field.resample)
        return out
    if not isinstance(field, MaskField):
        raise TypeError(f"fields of kind {field.kind!r} are no pictures")
    masks = np.empty((len(rows), *size, pictures.channels), dtype=pictures.dtype)
    for i, (picture, matrix) in enumerate(zip(read, matrices, strict=True)):
        masks[i] = warp_ids(picture, matrix, size, field.outside)
    return masks


def read_size(field: Field, size: Size) -> Size:
    """The size to `prepare` a field's pictures for: ids and depths are read whole, since their means say nothing."""
    return size if isinstance(field, ImageField) else ALL_PIXELS


def in_metres(picture: NDArray[Any], field: DepthField) -> NDArray[np.float32]:
    """Depths as stored, in metres; 0 where there is no reading.  (h, w, c)"""
    is_reading = picture != field.missing
    if picture.dtype.kind == "f":
        is_reading &= np.isfinite(picture)
    return np.where(is_reading, picture, 0).astype(np.float32) * np.float32(field.unit_m)


def view_back(
    seen: NDArray[Any],
    maps: Maps,
    sizes: NDArray[np.int64] | None = None,
    kind: Literal["mask", "map"] = "map",
    outside: int = 0,
) -> list[NDArray[Any]]:
    """What was predicted for the pixels of a frame, for the pixels of the pictures themselves.

    Args:
        seen: Ids, or numbers such as probabilities.  (b, h, w) or (b, h, w, c)
        maps: From the pictures to the frame the predictions were made on.
        sizes: Heights and widths of the pictures; None: those the maps start from.  (b, 2)
        kind: mask: ids, of the nearest pixel; map: numbers, interpolated.
        outside: The id of pixels that the frame does not show; numbers are NaN there.

    Returns:
        One array a row, of that picture's height and width: ids of their own type, numbers as float32.
    """
    frames = maps.source if sizes is None else np.asarray(sizes)
    pixels = seen if seen.ndim == 4 else seen[:, :, :, None]
    out = []
    for one, matrix, (h, w) in zip(pixels, maps.inverse.matrix, frames.tolist(), strict=True):
        if kind == "mask":
            back = warp_ids(np.ascontiguousarray(one), matrix, (h, w), outside)
        else:
            back = warp_picture(np.ascontiguousarray(one, dtype=np.float32), matrix, (h, w), "edge")
            is_shown = warp_ids(np.ones((*one.shape[:2], 1), dtype=np.uint8), matrix, (h, w))
            back[is_shown[:, :, 0] == 0] = np.nan
        out.append(back if seen.ndim == 4 else back[:, :, 0])
    return out


def shift_many(pictures: NDArray[Any], maps: Maps, border: Border) -> NDArray[Any]:
    """A batch moved by maps of whole pixels: the same as `warp_picture` on each, in a fraction of the time.  (b, h, w, c)"""
    _, h, w, c = pictures.shape
    middle = np.array([(w - 1) / 2, (h - 1) / 2])
    shift = maps.matrix[:, :2, 2] - middle + maps.matrix[:, :2, :2] @ middle  # what remains beside the turn about the middle
    if not (shift.any() or maps.mirrored.any() or maps.turns.any()):
        return pictures
    far = (2 * np.abs(shift[:, 0]) >= w) | (2 * np.abs(shift[:, 1]) >= h)  # a border would reflect what was cut off
    is_plain = ~far & ((h == w) | (maps.turns % 2 == 0)) & (c <= MAX_CHANNELS)
    out = np.empty_like(pictures)
    columns = (shift.astype(np.int64).tolist(), maps.mirrored.tolist(), maps.turns.tolist(), is_plain.tolist())
    for i, ((x, y), is_mirrored, turns, plain) in enumerate(zip(*columns, strict=True)):
        if not plain:
            out[i] = warp_picture(pictures[i], maps.matrix[i], (h, w), border)
            continue
        source = pictures[i, :, ::-1] if is_mirrored else pictures[i]
        source = np.rot90(source, turns) if turns else source
        if border == "wrap":
            out[i] = np.roll(source, (y, x), (0, 1))
            continue
        kept = source[max(-y, 0) : h - max(y, 0), max(-x, 0) : w - max(x, 0)]
        if x or y:
            kept = np.ascontiguousarray(kept)
            cv2.copyMakeBorder(kept, max(y, 0), max(-y, 0), max(x, 0), max(-x, 0), BORDERS[border], dst=out[i])
        else:
            out[i] = kept
    return out


# ---- images


class _Plan(NamedTuple):
    """How each of some images is drawn; all of it worked out for the batch at once.

    Attributes:
        sizes: To read them for.  (b, 2)
        kept: What they are brought down to by area means before they are drawn.  (b, 2)
        window: The part that is seen: top, bottom, left, right.  (b, 4)
        back: From pixels of the frame to those of the window.  (b, 2, 3)
    """

    sizes: NDArray[np.int64]
    kept: NDArray[np.int64]
    window: NDArray[np.int64]
    back: Matrices


def _view_images(
    pictures: Pictures, rows: NDArray[np.int64], inner: Maps | None, size: Size, resize: Resize, border: Border
) -> NDArray[Any]:
    shapes = pictures.sizes(rows)
    fills = (resize == "stretch") | (shapes == size).all(axis=1)
    is_whole = fills if inner is None else fills & inner.moves_whole_pixels
    if is_whole.all():
        return _shifted(pictures, rows, inner, size, border)
    out = np.empty((len(rows), *size, pictures.channels), dtype=pictures.dtype)
    if is_whole.any():
        out[is_whole] = _shifted(pictures, rows[is_whole], None if inner is None else inner[is_whole], size, border)
    free = np.flatnonzero(~is_whole)
    plan = _plan(shapes[free], _full(shapes, inner, size, resize)[free], size, border)
    scratch = Scratch()
    columns = zip(free.tolist(), rows[free].tolist(), *(part.tolist() for part in plan[:3]), plan.back, strict=True)
    for i, row, asked, kept, (top, bottom, left, right), back in columns:
        picture = reduce(pictures.read(row, (asked[0], asked[1])), *kept)
        draw(picture[top:bottom, left:right], back, out[i], border, scratch)
    return out


def _shifted(pictures: Pictures, rows: NDArray[np.int64], inner: Maps | None, size: Size, border: Border) -> NDArray[Any]:
    """Images that fill the frame, moved by whole pixels if at all: resized as scored ones are, never interpolated again."""
    many = pictures.read_many(rows, size)
    if many is None or many.shape[1:3] != size:
        read = (pictures.read(int(row), size) for row in rows) if many is None else iter(many)
        many = np.empty((len(rows), *size, pictures.channels), dtype=pictures.dtype)
        for i, one in enumerate(read):
            many[i] = resize_picture(one, size)
    return many if inner is None else shift_many(many, inner, border)


def _full(shapes: NDArray[np.int64], inner: Maps | None, size: Size, resize: Resize) -> Matrices:
    """From pixels of the originals to those of the frame.  (b, 3, 3)"""
    frames = whole_frames(shapes, size, resize)
    return frames.matrix if inner is None else inner.matrix @ frames.matrix


def _plan(shapes: NDArray[np.int64], full: Matrices, size: Size, border: Border) -> _Plan:
    """How to draw originals of these sizes under these maps.

    They are read at the level of the pyramid that suits how large the map shows them: the one that fills the frame, larger
    ones where it enlarges, and less of it, by further halves, where it shrinks.
    """
    of_original = scales(full)
    levels = _levels(shapes, np.broadcast_to(np.array(size), shapes.shape))
    sides = -(-shapes >> levels[:, None])
    enlarged = (of_original * shapes / sides).max(axis=1) / ENLARGED
    doublings = np.clip(np.ceil(np.log2(np.maximum(enlarged, 1))).astype(np.int64), 0, levels)
    sizes = np.array(size) << doublings[:, None]
    if doublings.any():
        sides = -(-shapes >> _levels(shapes, sizes)[:, None])
    kept = kept_sides(sides, of_original * shapes / sides)
    back: Matrices = np.linalg.inv(full @ between(kept, shapes))[:, :2].astype(np.float64, copy=False)
    window = _windows(kept, back, size, border)
    back[:, :, 2] -= window[:, [2, 0]]
    return _Plan(sizes, kept, window, back)


def _levels(shapes: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each picture is halved when read for its size; as `Pictures.read` does it.  (b,)"""
    fills = (-(-shapes[:, None, :] >> np.arange(16)[:, None]) >= sizes[:, None, :]).all(axis=2)  # (b, 16)
    return np.maximum(fills.sum(axis=1) - 1, 0)


def _windows(kept: NDArray[np.int64], back: Matrices, size: Size, border: Border) -> NDArray[np.int64]:
    """Top, bottom, left and right of what a frame shows of each picture, and of what its border is made from.  (b, 4)"""
    if border == "wrap":  # made from the other side
        return np.stack(
            [np.zeros(len(kept), dtype=np.int64), kept[:, 0], np.zeros(len(kept), dtype=np.int64), kept[:, 1]], axis=1
        )
    h, w = size
    corners = np.array([[0, w - 1, 0, w - 1], [0, 0, h - 1, h - 1], [1, 1, 1, 1]], dtype=np.float64)
    places = (back @ corners)[:, ::-1]  # (b, 2 of y and x, 4)
    low, high = np.floor(places.min(axis=2)).astype(np.int64) - 1, np.ceil(places.max(axis=2)).astype(np.int64) + 2
    beyond_low, beyond_high = np.maximum(-low, 0), np.maximum(high - kept, 0)  # so much is reflected
    start = np.clip(np.minimum(low, kept - beyond_high - 1), 0, kept - 1)
    end = np.clip(np.maximum(high, beyond_low + 1), start + 1, kept)
    return np.stack([start[:, 0], end[:, 0], start[:, 1], end[:, 1]], axis=1)
