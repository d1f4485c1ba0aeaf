"""What a depth sensor does: readings lost in blobs and along edges, and distances in steps.

A pixel without a reading stays one, and no other becomes one by rounding.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength
from tamesu.augment.step import Pixels, Step
from tamesu.config import AugmentConfig
from tamesu.draws import Draws

N_BLOBS = 12  # bumps of the random field along each side; those above a threshold are holes
EDGE_JUMP = 0.05  # share of the distance by which neighbours differ at an edge
EDGE_WEIGHT = 1.0  # how much sooner readings are lost there, in standard deviations of the field
N_COUNTED = 96  # along the shorter side: readings looked at to find the threshold


def holes(depths: Pixels, config: AugmentConfig, draws: Draws, strength: Strength = None) -> Step | None:
    """Readings lost in blobs that gather at edges, where the sensor's pattern is hidden from its camera; None where it is off.

    The share that is lost is drawn for each row, around the one asked for and as far as both ends allow.
    """
    if config.holes == 0:
        return None
    _, h, w, _ = depths.shape
    mean = np.full(len(depths), config.holes) if strength is None else np.minimum(config.holes * strength, 1)
    share = mean + np.minimum(mean, 1 - mean) * draws.uniform("holes", -1, 1)
    fields = draws.normal("holes_field", N_BLOBS * N_BLOBS).reshape(-1, N_BLOBS, N_BLOBS)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        depth = np.ascontiguousarray(source[:, :, 0])
        field = cv2.resize(fields[i], (w, h), interpolation=cv2.INTER_CUBIC)
        field += EDGE_WEIGHT * _edges(depth)
        lost = _highest(field, depth > 0, float(share[i]))
        if source is not target:
            np.copyto(target, source)
        target[lost] = 0
        return target

    return step


def _edges(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 beside a jump in distance or a hole, fading to 0 over a few pixels.  (h, w)"""
    beside = np.ones((3, 3), dtype=np.uint8)
    furthest = cv2.dilate(depth, beside)
    jumps = furthest - cv2.erode(depth, beside) > EDGE_JUMP * furthest
    return np.asarray(cv2.blur(cv2.dilate(jumps.astype(np.float32), beside), (5, 5)), dtype=np.float32)


def _highest(field: NDArray[np.float32], readings: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The readings with the highest values, this share of all readings; large pictures are counted on a lattice.  (h, w)"""
    apart = max(1, min(field.shape) // N_COUNTED)
    counted = field[::apart, ::apart][readings[::apart, ::apart]]
    if share >= 1:
        return readings
    kept = round((1 - share) * len(counted))
    if kept >= len(counted):
        return np.zeros(field.shape, dtype=bool)
    return readings & (field >= np.partition(counted, kept)[kept])


def steps(config: AugmentConfig, draws: Draws, strength: Strength = None) -> Step | None:
    """Distances rounded to multiples of a step, at least one; None where it is off."""
    if config.depth_step == 0:
        return None
    step_m = np.full(len(draws.keys), config.depth_step) if strength is None else config.depth_step * strength

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if step_m[i] <= 0:
            return source
        size = np.float32(step_m[i])
        rounded = np.maximum(np.rint(source / size), 1) * size
        np.copyto(target, np.where(source > 0, rounded, source), casting="unsafe")
        return target

    return step
