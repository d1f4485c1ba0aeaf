"""One map a sample, drawn from what the study allows and from the sample's own seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength, drawn, is_off, limits
from tamesu.config import AugmentConfig
from tamesu.draws import Draws
from tamesu.maps import Maps, Size, make_maps

N_TRIES = 16  # orientations drawn for a row until every target knows what it means; then the picture stays upright
MOST_CUT = 0.95  # of the area: less than a twentieth shows nothing of the picture
LEAST_FACTOR = 0.05  # pictures are never shrunk further
Allows = Callable[[Maps], NDArray[np.bool_]]


def draw_maps(
    augment: AugmentConfig, size: Size, draws: Draws, allows: Allows | None = None, strength: Strength = None
) -> Maps:
    """One map of the frame for each row: mirror, turn and rotate, then shear, crop, scale, aspect and shift.

    Shifts are whole pixels: where nothing else moves, no pixel is blurred by an interpolation that scored pictures do
    not go through.

    Args:
        size: Height and width of the frame.
        allows: Given maps, which rows may be moved so: orientations are drawn again for the others.
        strength: How much stronger than written each row is varied.
    """
    mirrored, turns, rotate_rad = _orientations(augment, size, draws, allows, strength)
    h, w = size
    shear_rad = np.deg2rad(drawn(draws, "shear", augment.shear_deg, 0, strength))
    factor = np.maximum(drawn(draws, "scale", augment.scale, 1, strength), LEAST_FACTOR)
    root = np.sqrt(np.maximum(drawn(draws, "aspect", augment.aspect, 1, strength), LEAST_FACTOR))
    shift_x = np.rint(draws.uniform("translate_x", -1, 1) * augment.translate * w)
    shift_y = np.rint(draws.uniform("translate_y", -1, 1) * augment.translate * h)
    if not is_off(augment.crop):
        cut = np.clip(drawn(draws, "crop", augment.crop, 0, strength, one_sided=True), 0, MOST_CUT)
        zoom = 1 / np.sqrt(1 - cut)
        factor = factor * zoom  # the window that is left fills the frame, wherever it was
        room_x, room_y = (np.maximum(np.minimum(zoom, one) - 1, 0) / 2 for one in (factor * root, factor / root))
        shift_x = shift_x + draws.uniform("crop_x", -1, 1) * room_x * w  # as far as the window stays inside the picture
        shift_y = shift_y + draws.uniform("crop_y", -1, 1) * room_y * h
    return make_maps(
        size,
        mirrored=mirrored,
        turns=turns,
        rotate_rad=rotate_rad,
        shear_rad=shear_rad,
        scale_x=factor * root,
        scale_y=factor / root,
        shift_x=shift_x,
        shift_y=shift_y,
    )


def most_enlarged(augment: AugmentConfig) -> float:
    """By how much these maps enlarge a picture at most, along either side."""
    scale, aspect = max(limits(augment.scale, 1)), limits(augment.aspect, 1)
    cut = min(max(limits(augment.crop, one_sided=True)), MOST_CUT)
    stretched = max(max(aspect), 1 / max(min(aspect), LEAST_FACTOR))
    return float(max(scale, 1) * np.sqrt(stretched / (1 - cut)))


def _orientations(
    augment: AugmentConfig, size: Size, draws: Draws, allows: Allows | None, strength: Strength
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    mirrored, turns, rotate_rad = _orientation(augment, draws, "", strength)
    moves = augment.mirror or augment.flip or augment.turn or not is_off(augment.rotate_deg)
    if allows is None or not moves:
        return mirrored, turns, rotate_rad
    for attempt in range(1, N_TRIES + 1):
        wrong = ~allows(make_maps(size, mirrored=mirrored, turns=turns, rotate_rad=rotate_rad))
        if not wrong.any():
            break
        again = _orientation(augment, draws, f"#{attempt}", strength)
        if attempt == N_TRIES:
            again = (np.zeros_like(mirrored), np.zeros_like(turns), np.zeros_like(rotate_rad))
        mirrored, turns, rotate_rad = (
            np.where(wrong, new, old) for new, old in zip(again, (mirrored, turns, rotate_rad), strict=True)
        )
    return mirrored, turns, rotate_rad


def _orientation(
    augment: AugmentConfig, draws: Draws, attempt: str, strength: Strength
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    n = len(draws.keys)
    mirrored = draws.uniform(f"mirror{attempt}") < augment.mirror
    turns = np.zeros(n, dtype=np.int64)
    if augment.turn:
        turned = draws.uniform(f"turn{attempt}?") < augment.turn
        turns = np.where(turned, 1 + (3 * draws.uniform(f"turn{attempt}")).astype(np.int64), turns)
    if augment.flip:  # up and down change places: a mirror, then half a turn
        flipped = draws.uniform(f"flip{attempt}") < augment.flip
        mirrored, turns = mirrored ^ flipped, (turns + 2 * flipped) % 4
    return mirrored, turns, np.deg2rad(drawn(draws, f"rotate{attempt}", augment.rotate_deg, 0, strength))
