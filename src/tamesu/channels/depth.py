"""Channels from distances: which pixels hold one, its logarithm and inverse, places in space, surface normals, slopes.

0 is no distance but "no reading": there every channel is NaN, except `valid`, which is 0.

What they are in a moved picture: a mirrored picture is that of a mirrored scene, and a turned one that of a turned camera
(`geometry.move_camera`). So the scene keeps its distances, and its x and y become Q (x, y), Q being the mirror and the
rotation of the map (`Maps.orthogonal`); crop, scale and shift only say which place a pixel shows. At each pixel

- `xyz` is diag(Q, 1) times the place the original shows there,
- `normals` are diag(Q, 1) times the original's and still point to the camera: a mirror would turn a cross product round,
  so none is taken,
- `gradient` is Q times the original's: per pixel of the original however large that is shown, along the frame's axes.

Hence channels of the moved picture are the moved channels of the picture. Where pixels are copies of the nearest of the
original, it is those pixels' own places that are computed with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.channels.rays import Chain, Frame, Rays, differences, make_frames, moved
from tamesu.check_depth import NEED_CAMERA
from tamesu.errors import ConfigError
from tamesu.fields import DepthField
from tamesu.maps import Maps
from tamesu.texts import say

Depth = NDArray[np.float32]
NAMES: dict[str, tuple[str, ...]] = {
    "metres": ("metres",),
    "valid": ("valid",),
    "log": ("log",),
    "inverse": ("inverse",),
    "clipped": ("clipped",),
    "xyz": ("x", "y", "z"),
    "normals": ("normal_x", "normal_y", "normal_z"),
    "gradient": ("gradient_x", "gradient_y"),
}
# Surfaces seen at a flatter angle give a depth camera nothing to measure; what looks like one is a jump from one object to
# another. Nguyen, Izadi & Lovell (2012), Modeling Kinect Sensor Noise: readings beyond 80 degrees are not to be used.
STEEPEST_DEG = 85.0
STRIP_PIXELS = 2**15  # planes of 128 KB: about eight are in use at a time, and a core has a megabyte close by
FLATTEST = math.cos(math.radians(STEEPEST_DEG)) ** 2


def channel_names(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """What each channel of these is called."""
    return tuple(name for one in wanted for name in NAMES[one])


def make_channels(values: Depth, maps: Maps, field: DepthField, wanted: tuple[str, ...]) -> Depth:
    """Channels of distances as they are seen.

    metres; valid: 1 where there is a reading, else 0; log: natural, of metres; inverse: 1 / m; clipped: metres, within
    `field.clip_m`; xyz: right, down and ahead of the camera, in metres; normals: of length 1, towards the camera;
    gradient: metres per pixel of the original, to the right and down the frame.

    A gradient or normal is NaN where the pixel itself or one of the neighbours it is made from has no reading or lies outside
    the frame; a normal also where the surface would be seen at less than 5 degrees, as at the edges of objects.

    Args:
        values: Metres, 0 where there is no reading.  (b, h, w, 1)
        maps: From pixels of the originals to those of the frame.
        field: Its camera is in pixels of the originals.
        wanted: Names of channels or of groups of them, in order.

    Returns:
        NaN where there is no reading.  (b, h, w, c)

    Raises:
        ConfigError: What is wanted needs a camera or `clip_m`, which the field does not have.
    """
    _check(field, wanted)
    b, h, w, _ = values.shape
    out = np.empty((b, h, w, len(channel_names(wanted))), dtype=np.float32)
    names = channel_names(wanted)
    camera = field.camera if set(NEED_CAMERA) & set(wanted) else None
    looks_around = camera is not None or "gradient" in wanted
    frames = make_frames(maps, (h, w), camera, field.resample == "nearest") if looks_around else repeat(None, b)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 makes the NaN of a hole
        for depth, frame, made in zip(values[:, :, :, 0], frames, out, strict=True):
            for rows, seen in _strips(h, w, frame):
                part = np.ascontiguousarray(depth[seen], dtype=np.float32)
                planes = _planes(part, None if frame is None else frame.rays(seen), field, wanted)
                cv2.merge([planes[name][rows.start - seen.start :][: rows.stop - rows.start] for name in names], made[rows])
    return out


def _strips(h: int, w: int, frame: Frame | None) -> Iterator[tuple[slice, slice]]:
    """Rows that are computed at once, and those that must be seen for it: so few that their planes stay near the processor."""
    halo = 0 if frame is None else frame.reach + frame.blur
    step = max(STRIP_PIXELS // w, 4 * halo, 1)
    for start in range(0, h, step):
        stop = min(h, start + step)
        yield slice(start, stop), slice(max(0, start - halo), min(h, stop + halo))


def _check(field: DepthField, wanted: tuple[str, ...]) -> None:
    asked = [one for one in wanted if one in NEED_CAMERA]
    if asked and field.camera is None:
        raise ConfigError([say("channels.depth: {names} need the camera of the depth field.", names=", ".join(asked))])
    if "clipped" in wanted and field.clip_m is None:
        raise ConfigError([say("channels.depth: clipped needs clip_m of the depth field.")])


def _planes(depth: Depth, rays: Rays | None, field: DepthField, wanted: tuple[str, ...]) -> dict[str, Depth]:
    """The channels by name.  (h, w) each"""
    valid = (depth > 0).astype(np.float32)
    metres = np.divide(depth, valid)  # NaN in holes from here on, and in all that is computed from them
    planes = {"metres": metres, "valid": valid, "z": metres}
    if "log" in wanted:
        planes["log"] = np.log(metres)
    if "clipped" in wanted and field.clip_m is not None:
        nearest, farthest = (np.float32(end) for end in field.clip_m)
        planes["clipped"] = np.minimum(np.maximum(metres, nearest), farthest)
    if "inverse" in wanted or "normals" in wanted:
        planes["inverse"] = np.reciprocal(metres)
    if rays is None:
        return planes
    if rays.x is not None and rays.y is not None:
        planes["x"], planes["y"] = metres * rays.x, metres * rays.y
    if {"normals", "gradient"} & set(wanted):
        whole = _whole(valid, rays)
        if "normals" in wanted:
            planes["normal_x"], planes["normal_y"], planes["normal_z"] = _normals(planes["inverse"], whole, rays)
        if "gradient" in wanted:
            planes["gradient_x"], planes["gradient_y"] = _gradient(metres, whole, rays)
    return planes


def _whole(valid: Depth, rays: Rays) -> Depth:
    """1 where a slope can be told, else 0: at a pixel itself, its neighbours on four sides and all between, inside the frame.

    Where distances may have been interpolated without a neighbour that is a hole or lies beyond the picture, they are none.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * rays.reach + 1, 2 * rays.reach + 1))
    whole = _eroded(valid, cross)
    if rays.among is None:
        return whole
    side = 2 * rays.blur + 1
    clear = cv2.erode(valid, np.ones((side, side), dtype=np.uint8)) * rays.among
    used = np.zeros_like(cross)
    used[rays.reach, :: rays.reach] = used[:: rays.reach, rays.reach] = 1
    return np.minimum(whole, _eroded(clear, used))


def _eroded(mask: Depth, element: NDArray[Any]) -> Depth:
    """Beyond the frame there is nothing."""
    eroded: Any = cv2.erode(mask, element, borderType=cv2.BORDER_CONSTANT, borderValue=0)  # type: ignore[call-overload]
    return np.asarray(eroded, dtype=np.float32)


def _normals(inverse: Depth, whole: Depth, rays: Rays) -> tuple[Depth, Depth, Depth]:
    """Normals of length 1 towards the camera.

    On a plane n · X = d, the place X that a pixel shows is its ray r times its distance z, so d / z = n · r: the inverse
    distance is linear in the pixel, and its slopes against the ray's x and y are those of n / d. Differences of the inverse
    are thus exact on planes, whatever their tilt, and the normal always faces the camera, since n · r has the sign of d.

    """
    if rays.x is None or rays.y is None or rays.length_squared is None or rays.tilt is None:
        raise ValueError("normals need a camera")  # which the caller made sure of
    x, y = _sloped(inverse, rays.reach, rays.tilt)
    z = inverse - rays.x * x
    part = rays.y * y
    z -= part
    squares = x * x
    squares += np.multiply(y, y, out=part)
    squares += np.multiply(z, z, out=part)
    # the cosine of the angle to the ray is n · r / (|n| |r|), and n · r the inverse distance
    seen = np.multiply(inverse, inverse, out=part)
    seen /= rays.length_squared
    is_seen = (seen >= np.float32(FLATTEST) * squares) * whole
    np.sqrt(squares, out=squares)
    squares *= -is_seen  # towards the camera
    np.divide(is_seen, squares, out=squares)  # 0 / 0
    x *= squares
    y *= squares
    z *= squares
    return x, y, z


def _gradient(metres: Depth, whole: Depth, rays: Rays) -> tuple[Depth, Depth]:
    x, y = _sloped(metres, rays.reach, rays.slope)
    known = np.divide(whole, whole)  # 0 / 0
    x *= known
    y *= known
    return x, y


def _sloped(plane: Depth, reach: int, slopes: Chain) -> tuple[Depth, Depth]:
    """Differences between the neighbours left and right, above and below, made slopes; NaN where one is missing."""
    return moved(slopes, differences(plane, 1, reach), differences(plane, 0, reach))
