"""Whether points and boxes lie in their picture, and boxes are boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.dataset import Dataset
from tamesu.fields import BoxesField, PointsField, some_rows
from tamesu.findings import Findings
from tamesu.texts import say

SLACK = 0.5  # pixels beyond the picture's edge that rounding, or counting from 1, explains


def check_points(
    found: Findings, where: str, one: PointsField, places: NDArray[np.float64], dataset: Dataset, of: str | None
) -> None:
    """Points beyond their picture are mistakes.

    Args:
        found: Gains what is wrong.
        where: What messages start with.
        one: The field.
        places: In original pixels, NaN where not seen.  (n, k, 2)
        dataset: The rows and their pictures.
        of: The picture they lie in; None: nothing is checked.
    """
    if of is None or of not in dataset.pictures:
        return
    shapes = dataset.pictures[of].shapes
    low, high = -0.5 - SLACK, shapes[:, None, ::-1] - 0.5 + SLACK
    outside = np.any((places < low) | (places > high), axis=2)  # (n, k)
    if not outside.any():
        return
    i, j = np.argwhere(outside)[0]
    text = say(
        "{where}: {rows} must have points inside the picture {of!r}; got {name!r} at x {x:g}, y {y:g} of {h} × {w} pixels.",
        where=where,
        rows=some_rows(dataset.ids, outside.any(axis=1)),
        of=of,
        name=one.point_names[j],
        x=places[i, j, 0],
        y=places[i, j, 1],
        h=shapes[i, 0],
        w=shapes[i, 1],
    )
    found.mistakes.append(text)


def check_boxes(found: Findings, where: str, one: BoxesField, values: Any, dataset: Dataset, of: str | None) -> None:
    """Boxes that are none, and boxes that miss their picture, are mistakes.

    Args:
        found: Gains what is wrong and what is worth knowing.
        where: What messages start with.
        one: The field.
        values: Its boxes, those without an area too, one `Boxes` a row.
        dataset: The rows and their pictures.
        of: The picture they lie in; None: only the boxes themselves are looked at.
    """
    boxes = _AllBoxes(found, where, one, values, dataset.ids)
    sound = _check_edges(boxes, dataset.where if one.table is None else one.table.file)
    if of is not None and of in dataset.pictures:
        _check_frames(boxes, sound, of, dataset.pictures[of].shapes[boxes.row][:, ::-1])


class _AllBoxes:
    """The boxes of all rows, one after the other, and how a message names some of them."""

    def __init__(self, found: Findings, where: str, one: BoxesField, values: Any, ids: NDArray[Any]):
        self.found, self.where, self.field, self.ids = found, where, one, ids
        self.edges = np.concatenate([np.empty((0, 4)), *(boxes.edges for boxes in values)])  # (m, 4)
        self.row = np.repeat(np.arange(len(values)), [len(boxes) for boxes in values])  # (m,)

    def about(self, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """What a sentence about some boxes puts in: where, their rows, and the edges of the first.  mask: (m,)"""
        hit = np.zeros(len(self.ids), dtype=bool)
        hit[self.row[mask]] = True
        box = " ".join(f"{edge:g}" for edge in self.edges[int(mask.argmax())])
        return {"where": self.where, "rows": some_rows(self.ids, hit), "box": box}


def _check_edges(boxes: _AllBoxes, source: str) -> NDArray[np.bool_]:
    """Which are boxes with an area.  (m,)"""
    found, edges = boxes.found, boxes.edges
    unknown = ~np.isfinite(edges).all(axis=1)
    size = np.where(unknown[:, None], 1, edges[:, 2:] - edges[:, :2])
    turned = np.any(size < 0, axis=1)
    flat = np.any(size == 0, axis=1) & ~turned
    if unknown.any():
        found.mistakes.append(say("{where}: {rows} must have boxes of four numbers; got {box}.", **boxes.about(unknown)))
    if turned.any():
        text = say(
            "{where}: {rows} must have boxes from left to right and from top to bottom; got edges {box}. "
            "Look whether `format`, now {format}, is right; if it is, swap these corners.",
            format=boxes.field.format,
            **boxes.about(turned),
        )
        found.mistakes.append(text)
    if flat.any() and boxes.field.drop_empty:
        about = boxes.about(flat)
        text = say(
            "{where}: {n} boxes without an area are left out, of {rows}.",
            where=about["where"],
            n=int(flat.sum()),
            rows=about["rows"],
        )
        found.warnings.append(text)
    elif flat.any():
        text = say(
            "{where}: {rows} must have boxes with an area; got edges {box}. "
            "Take such boxes out of {source}, or write `drop_empty: true`.",
            source=source,
            **boxes.about(flat),
        )
        found.mistakes.append(text)
    return ~(unknown | turned | flat)


def _check_frames(boxes: _AllBoxes, sound: NDArray[np.bool_], of: str, frame: NDArray[np.int64]) -> None:
    """Whether boxes lie in pictures of these widths and heights.  frame: (m, 2)"""
    low, high = boxes.edges[:, :2], boxes.edges[:, 2:]
    gone = ((high <= 0) | (low >= frame)).any(axis=1) & sound
    over = ((low < -SLACK) | (high > frame + SLACK)).any(axis=1) & sound & ~gone
    if gone.any():
        w, h = frame[int(gone.argmax())]
        text = say(
            "{where}: {rows} must have boxes in the picture {of!r}; got edges {box} beside {h} × {w} pixels.",
            of=of,
            h=h,
            w=w,
            **boxes.about(gone),
        )
        boxes.found.mistakes.append(text)
    if over.any():
        text = say(
            "{where}: {n} boxes reach beyond the picture {of!r}, of {rows}; the first has edges {box}.",
            n=int(over.sum()),
            of=of,
            **boxes.about(over),
        )
        boxes.found.warnings.append(text)
