"""What is measured in one depth map or in one mask without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.features.pictures import PLACES, QUANTILES, Array, grid


def metre_names() -> tuple[str, ...]:
    """What `metre_values` gives."""
    return ("known_fraction", "mean_m", "spread_m", *(f"quantile{q}_m" for q in QUANTILES), *(f"mean_m_{p}" for p in PLACES))


def metre_values(depth_m: NDArray[Any]) -> Array:
    """How much of it was measured, how far that is, and where in a grid of cells; NaN where nothing was measured.

    Args:
        depth_m: 0 where there is no reading.  (h, w, 1)
    """
    metres = np.ascontiguousarray(depth_m[:, :, 0], dtype=np.float32)
    known = metres > 0
    share = grid(known.astype(np.float32))
    cells = np.where(share > 0, grid(metres) / np.where(share > 0, share, 1), np.nan)
    there = metres[known]
    if not len(there):
        return np.concatenate([[0.0], np.full(2 + len(QUANTILES), np.nan), cells]).astype(np.float32)
    quantiles = np.percentile(there, QUANTILES)
    return np.concatenate([[known.mean(), there.mean(), there.std()], quantiles, cells]).astype(np.float32)


def relief_names() -> tuple[str, ...]:
    """What `relief_values` gives."""
    return ("step_mean_m", "step_spread_m", "step_quantile95_m")


def relief_values(depth_m: NDArray[Any]) -> Array:
    """How far the distance changes from a pixel to the next, both of them measured; NaN where no two are.

    Args:
        depth_m: 0 where there is no reading.  (h, w, 1)
    """
    metres = depth_m[:, :, 0].astype(np.float32)
    steps = [np.abs(np.diff(metres, axis=axis)) for axis in (0, 1)]
    both = [metres[1:] * metres[:-1] > 0, metres[:, 1:] * metres[:, :-1] > 0]
    there = np.concatenate([step[known] for step, known in zip(steps, both, strict=True)])
    if not len(there):
        return np.full(len(relief_names()), np.nan, dtype=np.float32)
    return np.array([there.mean(), there.std(), np.percentile(there, 95)], dtype=np.float32)


def id_names(names: Sequence[str]) -> tuple[str, ...]:
    """What `id_values` gives."""
    of_ids = (f"{name}_fraction" for name in names)
    return ("something_fraction", "n_ids", "centre_x", "centre_y", *of_ids, *(f"something_{place}" for place in PLACES))


def id_values(ids: NDArray[Any], named: Sequence[int], outside: int) -> Array:
    """How much of the picture each id has, and where everything is that is not `outside`; places as shares of the sides.

    Args:
        ids: (h, w, 1)
        named: Ids that the study names.
        outside: The id of nothing.
    """
    seen = ids[:, :, 0]
    there = (seen != outside).astype(np.float32)
    total = float(there.sum())
    centre = [np.nan, np.nan]
    if total:
        centre = [float((there.sum(axis=i) * _middles(there.shape[1 - i])).sum()) / total for i in (0, 1)]
    shares = [float((seen == one).mean()) for one in named]
    n_ids = len(np.unique(seen[seen != outside]))
    return np.array([there.mean(), n_ids, *centre, *shares, *grid(there)], dtype=np.float32)


def edge_names() -> tuple[str, ...]:
    """What `edge_values` gives."""
    return ("edge_fraction", "n_parts")


def edge_values(ids: NDArray[Any], outside: int) -> Array:
    """How many pixels have another id beside them, and in how many parts lies what is not `outside`.  (h, w, 1)"""
    seen = ids[:, :, 0]
    edges = np.zeros(seen.shape, dtype=bool)
    edges[:-1] |= seen[1:] != seen[:-1]
    edges[:, :-1] |= seen[:, 1:] != seen[:, :-1]
    n_parts = cv2.connectedComponents((seen != outside).astype(np.uint8), connectivity=8)[0] - 1
    return np.array([edges.mean(), n_parts], dtype=np.float32)


def _middles(n: int) -> NDArray[np.float64]:
    return (np.arange(n) + 0.5) / n
