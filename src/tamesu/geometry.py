"""What a map does to places, arrows, angles and cameras in a picture. Pure functions of arrays and `Maps`.

Places are in pixels, (0, 0) the centre of the first pixel; edges of boxes are half a pixel further out, so that a box around
a whole picture is 0, 0, w, h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tamesu.maps import Maps

Floats = NDArray[np.float64]


def move_points(points: Floats, maps: Maps) -> Floats:
    """Where places of the picture are after the map; NaN stays NaN.  (b, k, 2)"""
    return points @ maps.matrix[:, :2, :2].transpose(0, 2, 1) + maps.matrix[:, None, :2, 2]


def move_boxes(edges: Floats, one: Maps, keep: float = 0.25) -> tuple[Floats, NDArray[np.bool_]]:
    """Boxes of one picture after its map: the upright boxes around where their corners went, cut at the frame.

    Args:
        edges: left, top, right, bottom.  (m, 4)
        one: The picture's map; of length 1.
        keep: Boxes of which less than this share of their area is left inside the frame are gone.

    Returns:
        (m, 4) edges, and which boxes are left (m,).
    """
    x, y = edges[:, [0, 2, 2, 0]] - 0.5, edges[:, [1, 1, 3, 3]] - 0.5
    corners = move_points(np.stack([x, y], axis=2).reshape(1, -1, 2), one).reshape(-1, 4, 2) + 0.5
    low, high = corners.min(axis=1), corners.max(axis=1)
    frame = np.array(one.target[0][::-1], dtype=np.float64)
    inside_low, inside_high = np.clip(low, 0, frame), np.clip(high, 0, frame)
    whole, inside = np.prod(high - low, axis=1), np.prod(inside_high - inside_low, axis=1)
    kept = (inside > 0) & (inside >= keep * whole)
    return np.concatenate([inside_low, inside_high], axis=1), kept


def move_vectors(vectors: Floats, maps: Maps, y_up: bool = False) -> Floats:
    """Arrows after the map: turned and mirrored, as long as before; a third number stays.  (b, 2) or (b, 3)"""
    flip = np.array([1.0, -1.0 if y_up else 1.0])
    moved = np.einsum("bij,bj->bi", maps.orthogonal, vectors[:, :2] * flip) * flip
    return np.concatenate([moved, vectors[:, 2:]], axis=1)


def move_angles(angles_rad: Floats, maps: Maps) -> Floats:
    """Angles of arrows after the map, anticlockwise from the right.  (b,)"""
    return np.where(maps.mirrored, np.pi - angles_rad, angles_rad) + maps.angle_rad


def move_camera(intrinsics: Floats, maps: Maps) -> Floats:
    """Intrinsics with which the moved picture gives the same places, mirrored and turned as the map does to directions.

    A mirrored picture is that of a mirrored scene, and a turned one that of a turned camera: `Maps.orthogonal` is taken out,
    and what is left has positive focal lengths, so that a depth and a pixel still give a place in front of the camera. It is
    upper triangular, as intrinsics are, unless a map both turns (not by quarters) and stretches.

    Args:
        intrinsics: [[fx, s, cx], [0, fy, cy], [0, 0, 1]] of the frame the maps start from.  (3, 3) or (b, 3, 3)

    Returns:
        (b, 3, 3)

    Source:
        Hartley & Zisserman (2004), Multiple View Geometry, 6.2.4: a camera as intrinsics times an orthogonal matrix.
    """
    moved = maps.matrix @ intrinsics
    moved[:, :2, :2] = moved[:, :2, :2] @ maps.orthogonal.transpose(0, 2, 1)
    return moved


def camera_matrix(fx: float, fy: float, cx: float, cy: float) -> Floats:
    """Intrinsics as a matrix.  (3, 3)"""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
