"""Whether depth fields can give the channels a study asks for, and whether cameras fit the pictures they are said to be of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import DepthField, some_rows
from tamesu.findings import Findings
from tamesu.mistakes import Mistake, must_be
from tamesu.texts import say

NEED_CAMERA = ("xyz", "normals")
OFF_MIDDLE = 0.2  # of a side: no lens is mounted so far off, but a camera of another size is
WIDEST_DEG = 150.0  # beyond, no pinhole camera sees
NARROWEST_DEG = 5.0  # less is a telescope, which measures no depth


def depth_mistakes(name: str, field: DepthField, wanted: tuple[str, ...]) -> Iterator[Mistake]:
    """What a depth field says of itself and cannot be, and what channels need that it does not say.

    Args:
        name: The field's.
        wanted: Channels from depth.
    """
    if field.clip_m is not None and field.clip_m[0] >= field.clip_m[1]:
        rule = say("[nearest, farthest] in metres, nearest below farthest")
        yield must_be(("fields", name, "clip_m"), rule, field.clip_m)
    asked = [one for one in wanted if one in NEED_CAMERA]
    if not field.is_given:
        return
    if asked and field.camera is None:
        text = say(
            "must be left without {names} unless fields.{name} says camera: [fx, fy, cx, cy], in pixels of its pictures.",
            names=", ".join(asked),
            name=name,
        )
        yield Mistake(("channels", "depth"), text)
    if "clipped" in wanted and field.clip_m is None:
        text = say("must be left without clipped unless fields.{name} says clip_m: [nearest, farthest], in metres.", name=name)
        yield Mistake(("channels", "depth"), text)


def check_camera(
    found: Findings, where: str, camera: tuple[float, float, float, float], shapes: NDArray[np.int64], ids: NDArray[Any]
) -> None:
    """A camera whose axis lies beside the picture is a mistake; one far off the middle, or of a strange angle, a warning.

    Args:
        found: Gains what is wrong.
        where: What messages start with.
        camera: fx, fy, cx, cy in pixels.
        shapes: Heights and widths of the pictures.  (n, 2)
        ids: Of the rows.  (n,)
    """
    if len(shapes) == 0:
        return
    fx, fy, cx, cy = camera
    h, w = shapes[:, 0], shapes[:, 1]
    beside = ~((cx >= 0) & (cx <= w - 1) & (cy >= 0) & (cy <= h - 1))
    shift = np.maximum(np.abs(cx - (w - 1) / 2) / w, np.abs(cy - (h - 1) / 2) / h)
    angle = np.rad2deg(2 * np.arctan2(np.stack([w, h]) / 2, np.array([[fx], [fy]])))
    shown: dict[str, Any] = {"cx": f"{cx:g}", "cy": f"{cy:g}"}
    if beside.any():
        i = int(beside.argmax())
        text = say(
            "{where}: `camera` must be that of the pictures as they are stored; got cx {cx}, cy {cy}, which lies outside "
            "{rows} of {h} × {w} pixels. Is it of another size?",
            where=where,
            rows=some_rows(ids, beside),
            h=h[i],
            w=w[i],
            **shown,
        )
        found.mistakes.append(text)
    elif (shift > OFF_MIDDLE).any():
        off = shift > OFF_MIDDLE
        i = int(off.argmax())
        text = say(
            "{where}: `camera` has cx {cx}, cy {cy}, far off the middle of {rows} of {h} × {w} pixels. Is it of another size?",
            where=where,
            rows=some_rows(ids, off),
            h=h[i],
            w=w[i],
            **shown,
        )
        found.warnings.append(text)
    strange = ((angle > WIDEST_DEG) | (angle < NARROWEST_DEG)).any(axis=0)
    if strange.any():
        i = int(strange.argmax())
        text = say(
            "{where}: `camera` sees {across:.0f} × {down:.0f} degrees of {rows}, which no depth camera does. Are fx and fy in "
            "pixels?",
            where=where,
            across=angle[0, i],
            down=angle[1, i],
            rows=some_rows(ids, strange),
        )
        found.warnings.append(text)
    if (shapes != shapes[0]).any():
        text = say(
            "{where}: pictures of several sizes have one `camera`, which fits only those that are cut off at the right "
            "and below.",
            where=where,
        )
        found.warnings.append(text)
