"""Losses of maps such as depth: smooth where the picture is, and right where something is known."""

from __future__ import annotations

from types import ModuleType
from typing import Literal

from tamesu.losses.known import Array, is_number, mean_known
from tamesu.losses.numbers import absolute_error

SMALLEST = 1e-7  # a mean that a map is divided by


def edge_aware_smoothness(
    maps: Array,
    guide: Array,
    xp: ModuleType,
    *,
    of: Literal["depth", "inverse"] = "inverse",
    normalise: bool = True,
    valid: Array | None = None,
) -> Array:
    """How much a map changes from pixel to pixel, where the picture does not: |∂d| exp(-|∂I|), along x and along y.

    Two neighbours count where both are valid: finite, and of inverse depth above 0. Where the picture holds no number, no
    edge is known.

    Args:
        maps: Depth, or any other map.  (n, h, w)
        guide: The picture, in units in which an edge is about 1 or more; its channels' mean change counts.  (n, h, w, c)
        of: inverse: of 1 / depth, so that what is near counts more.
        normalise: Divided by the row's mean, so that a map is not made smooth by making it small.
        valid: Where the map counts; None: everywhere.  (n, h, w) bool

    Returns:
        Mean along x plus mean along y; 0 where nothing counts.  (n,)

    Source:
        Godard, Mac Aodha & Brostow (2017), Unsupervised Monocular Depth Estimation with Left-Right Consistency, CVPR,
        equation 3; divided by the mean as in Godard et al. (2019), Digging into Self-Supervised Monocular Depth Estimation.
    """
    counts = xp.isfinite(maps)
    if valid is not None:
        counts = counts & valid
    if of == "inverse":
        counts = counts & (maps > 0)
        values = xp.where(counts, 1 / xp.where(counts, maps, 1.0), 0.0)
    else:
        values = xp.where(counts, maps, 0.0)
    if normalise:
        mean = xp.abs(mean_known(values, counts, xp))
        values = values / xp.where(mean > SMALLEST, mean, 1.0)[:, None, None]
    along_x = _change(values[:, :, 1:] - values[:, :, :-1], guide[:, :, 1:] - guide[:, :, :-1], xp)
    along_y = _change(values[:, 1:] - values[:, :-1], guide[:, 1:] - guide[:, :-1], xp)
    return mean_known(along_x, counts[:, :, 1:] & counts[:, :, :-1], xp) + mean_known(
        along_y, counts[:, 1:] & counts[:, :-1], xp
    )


def smooth_absolute_error(raw: Array, encoded: Array, weight: Array, xp: ModuleType, *, smooth: float = 0.1) -> Array:
    """Difference without sign where the map is known, and `smooth` times how little its own edges explain of what changes.

    Edges are those of the known map itself, which has them where objects end; between pixels of which one is unknown the
    prediction is to be smooth.

    Args:
        raw: (n, h, w, 1)
        encoded: In standard deviations, NaN where unknown.  (n, h, w)
        weight: 0 for padding.  (n,)
        smooth: At least 0.

    Returns:
        (n,) in standard deviations.
    """
    rough = edge_aware_smoothness(raw[..., 0], encoded[..., None], xp, of="depth", normalise=False)
    return absolute_error(raw, encoded, weight, xp) + smooth * rough * weight


def _change(step: Array, edge: Array, xp: ModuleType) -> Array:
    known = is_number(edge)
    return xp.abs(step) * xp.exp(-xp.mean(xp.abs(xp.where(known, edge, 0.0)), axis=-1))
