"""Typed values as they are shown in a preview: in words, as arrows, dots, boxes, areas and tracks; maps in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.drawing import colour_depth
from tamesu.fields import (
    AngleField,
    BoxesField,
    DepthField,
    DirectionField,
    Field,
    MaskField,
    PointsField,
    SeriesField,
    VectorField,
)
from tamesu.maps import Maps
from tamesu.sheet import Area, Mark, Note, Track
from tamesu.texts import say

ARROW = 0.38  # length of an arrow, as a share of the picture's shorter side
STILL_DEG = 0.5  # rotations below are not worth a word
EMPTY = "—"


def describe(inner: Maps) -> str:
    """What one map does, in words: `mirrored, rotated by 7°`."""
    angle = float(np.rad2deg(inner.angle_rad[0]))
    is_mirrored, turns = bool(inner.mirrored[0]), int(inner.turns[0])
    tilt = float(np.rad2deg(inner.tilt_rad[0]))
    parts = []
    if is_mirrored and turns == 2:
        parts, angle = [say("flipped")], tilt
    elif is_mirrored:
        parts = [say("mirrored")]
    if abs(angle) >= STILL_DEG:
        parts.append(say("rotated by {angle}°", angle=f"{angle:+.0f}".replace("-", "−")))
    return ", ".join(parts) or say("upright")


def as_text(field: Field, value: Any) -> str:
    """One value in words, as its field means it."""
    if isinstance(value, tuple):
        return ", ".join(value) or EMPTY
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return EMPTY
    if isinstance(value, str):
        return value
    if isinstance(field, AngleField):
        return f"{_number(float(value))}°" if field.unit == "deg" else f"{_number(float(value))} rad"
    if isinstance(field, VectorField):
        return EMPTY if np.isnan(value).any() else f"({', '.join(_number(float(one)) for one in value)})"
    return _number(float(value))


def notes_of(
    fields: Mapping[str, Field], values: Mapping[str, Any], original: Mapping[str, Any], names: Sequence[str]
) -> tuple[Note, ...]:
    """The values of one sample in words, beside what they were."""
    found = []
    for name in names:
        field, here, was = fields[name], values[name][0], original[name][0]
        if isinstance(field, AngleField):  # the same angle may be written as another number
            same = np.isclose(field.from_rad(field.to_rad(was)), field.from_rad(field.to_rad(here)))
            here = was if same else here
        found.append(Note(name, as_text(field, here), as_text(field, was), field.target))
    return tuple(found)


def marks_of(
    fields: Mapping[str, Field], values: Mapping[str, Any], lengths: Mapping[str, float], size: tuple[int, ...]
) -> tuple[Mark, ...]:
    """What the values of one sample are on its picture.

    Args:
        values: One row of each field, in the picture's pixels.
        lengths: By vector field the length that the longest arrow stands for.
        size: Height and width of the picture.
    """
    found: list[Mark] = []
    for name, rows in values.items():
        field = fields[name]
        if isinstance(field, PointsField):
            found += [
                Mark("dot", point, ((float(x), float(y)),), name)
                for point, (x, y) in zip(field.point_names, rows[0], strict=True)
                if -0.5 <= x < size[1] - 0.5 and -0.5 <= y < size[0] - 0.5  # false for a point that is not seen
            ]
        elif isinstance(field, BoxesField):
            boxes = rows[0]
            names = boxes.names or ("",) * len(boxes)
            found += [
                Mark("box", one, ((left, top), (right, low)), name)
                for one, (left, top, right, low) in zip(names, boxes.edges, strict=True)
            ]
        else:
            found += _arrow(name, field, rows[0], lengths, size)
    return tuple(found)


def areas_of(masks: Mapping[str, tuple[Any, NDArray[Any]]]) -> tuple[Area, ...]:
    """Masks by field, with the ids of each pixel."""
    found = []
    for name, (field, ids) in masks.items():
        if isinstance(field, MaskField):
            found.append(Area(name, ids, dict(field.names), field.outside))
    return tuple(found)


def tracks_of(fields: Mapping[str, Field], values: Mapping[str, Any]) -> tuple[Track, ...]:
    """Series as lines: along the plane where they have vectors there, otherwise channels over time."""
    found = []
    for name, rows in values.items():
        field = fields[name]
        if isinstance(field, SeriesField):
            found.append(Track(name, _lines(field, rows[0]), in_plane=bool(field.vectors)))
    return tuple(found)


def limits_of(pixels: NDArray[Any], field: Any) -> tuple[float, float]:
    """What is drawn black and what white of a picture and of all that is made of it; of depth, what is nearest and farthest."""
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    known = pixels[pixels > 0] if isinstance(field, DepthField) else pixels
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def rgb_of(pixels: NDArray[Any], field: Any, limits: tuple[float, float] | None) -> NDArray[np.uint8]:
    """A picture as bytes that a screen shows.  (h, w, c) to (h, w, 3)

    Args:
        limits: As `limits_of` gives them; None: of this picture.
    """
    low, high = limits or limits_of(pixels, field)
    if isinstance(field, DepthField):
        return colour_depth(pixels[:, :, 0], low, high)
    if isinstance(field, MaskField):
        return np.full((*pixels.shape[:2], 3), 240, dtype=np.uint8)
    shown = pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    share = np.clip((shown.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1)
    return np.rint(255 * share).astype(np.uint8)


def _arrow(name: str, field: Field, value: Any, lengths: Mapping[str, float], size: tuple[int, ...]) -> list[Mark]:
    arrow = _plane(field, value, lengths.get(name, 1.0))
    if arrow is None:
        return []
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    tip = arrow * ARROW * min(size[:2])
    is_line = isinstance(field, AngleField) and field.period_deg < 360
    start = middle - tip if is_line else middle
    ends = ((float(start[0]), float(start[1])), (float((middle + tip)[0]), float((middle + tip)[1])))
    return [Mark("line" if is_line else "arrow", name, ends, name)]


def _plane(field: Field, value: Any, length: float) -> NDArray[np.float64] | None:
    """Where a value points: x right, y down, at most 1 long; None where it points nowhere."""
    if isinstance(field, VectorField):
        arrow = np.asarray(value[:2], dtype=np.float64) * (1, -1 if field.y == "up" else 1) / length
        return None if np.isnan(arrow).any() else arrow
    if isinstance(field, AngleField):
        angle_rad = float(field.to_rad(np.array([value]))[0])
    elif isinstance(field, DirectionField) and value in field.angles:
        angle_rad = float(np.deg2rad(field.angles[value]))
    else:
        return None
    return None if np.isnan(angle_rad) else np.array([np.cos(angle_rad), -np.sin(angle_rad)])


def _lines(field: SeriesField, one: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Places of each line, in a frame from 0 to 1.  (t, 2)"""
    place = {name: i for i, name in enumerate(field.channel_names)}
    if field.vectors:
        raw = {f"{x}, {y}": one[:, [place[x], place[y]]] for x, y in field.vectors}
        every = np.concatenate(list(raw.values()))
        if not np.isfinite(every).any():
            return {}
        low, high = np.nanmin(every, axis=0), np.nanmax(every, axis=0)
        span = float(np.max(high - low)) or 1.0  # one scale for both, about the middle: shapes stay what they are
        scaled = {name: (line - (low + high) / 2) / span + 0.5 for name, line in raw.items()}
    else:
        low, high = np.nanmin(one, initial=0.0), np.nanmax(one, initial=0.0)
        times = np.linspace(0, 1, len(one)) if len(one) > 1 else np.zeros(len(one))
        scaled = {name: np.stack([times, 1 - (one[:, i] - low) / ((high - low) or 1.0)], axis=1) for name, i in place.items()}
    return {name: line[np.isfinite(line).all(axis=1)] for name, line in scaled.items()}


def _number(value: float) -> str:
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return "0" if float(text) == 0 else text.replace("-", "−")
