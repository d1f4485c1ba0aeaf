"""Parts of a picture that are darker or gone: soft shadows, one rectangle greyed out, squares of a grid greyed out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength, hit
from tamesu.augment.step import Levels, Pixels, Step
from tamesu.config import AugmentConfig
from tamesu.draws import GOLDEN, Draws, as_fraction, mixed

ERASED_FRACTION = (0.02, 0.25)  # area of the rectangle: a range around that of Zhong et al. (2020), Random Erasing
ERASED_ASPECT = (0.5, 2.0)  # its height over its width
N_SQUARES = 8  # along the longer side of the picture; Singh & Lee (2017) hide pieces of 1/4 to 1/14 of a side
SHADOW_DARKENS = (0.25, 0.7)  # share of the light that is missing in a shadow
SHADOW_CORNERS = (3, 6)
SHADOW_REACH = (0.3, 0.9)  # from the shadow's middle to its corners, as a share of the side
SHADOW_SOFT = (0.5, 3.0)  # standard deviation of its edge, in 1/64 of the side
SHADOW_GRID = 64  # it is drawn so large and then stretched: its edge is soft anyway


def shadow(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """A soft polygon in which some pictures are darker; None where it is off."""
    if config.shadow == 0:
        return None
    _, h, w, c = pictures.shape
    there = hit(draws, "shadow", config.shadow, strength)
    corners = _corners(draws)
    n_corners = np.rint(draws.uniform("shadow_corners", SHADOW_CORNERS[0] - 0.499, SHADOW_CORNERS[1] + 0.499)).astype(int)
    darkens, softness = draws.uniform("shadow_dark", *SHADOW_DARKENS), draws.uniform("shadow_soft", *SHADOW_SOFT)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if not there[i]:
            return source
        small = np.zeros((SHADOW_GRID, SHADOW_GRID), dtype=np.float32)
        corner = corners[i][np.sort(np.argsort(corners[i, :, 2])[: n_corners[i]]), :2]
        cv2.fillPoly(small, [np.rint(corner * SHADOW_GRID).astype(np.int32)], float(darkens[i]))
        light = 1 - cv2.GaussianBlur(small, (0, 0), float(softness[i]), borderType=cv2.BORDER_REPLICATE)
        if levels.are_bytes:
            factor = cv2.resize(np.rint(255 * light).astype(np.uint8), (w, h))
            many = factor[:, :, None] if c == 1 else cv2.merge([factor] * c)
            cv2.multiply(source, many, dst=target, scale=1 / 255)
            return target
        values = source.astype(np.float32) - np.float32(levels.low)
        values *= cv2.resize(light, (w, h))[:, :, None]
        return levels.store(values + np.float32(levels.low), target)

    return step


def _corners(draws: Draws) -> NDArray[np.float64]:
    """Corners around a drawn middle in the order of their direction, as shares of the sides, and which go first.

    Returns:
        x, y, and a number by which a few of them are chosen.  (b, k, 3)
    """
    most = SHADOW_CORNERS[1]
    middle = np.stack([draws.uniform("shadow_x"), draws.uniform("shadow_y")], axis=1)
    parts = many_uniform(draws, "shadow", 3 * most).reshape(-1, most, 3)
    angle = 2 * np.pi * (np.arange(most) + parts[:, :, 0]) / most
    reach = SHADOW_REACH[0] + (SHADOW_REACH[1] - SHADOW_REACH[0]) * parts[:, :, 1]
    places = middle[:, None] + reach[:, :, None] * np.stack([np.cos(angle), np.sin(angle)], axis=2)
    return np.concatenate([places, parts[:, :, 2:]], axis=2)


def erase(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """One rectangle of some pictures replaced by grey; None where it is off.

    Source:
        Zhong et al. (2020), Random Erasing Data Augmentation, AAAI.
    """
    if config.erase == 0:
        return None
    _, h, w, _ = pictures.shape
    area = draws.uniform("erase_area", *ERASED_FRACTION)
    aspect = np.exp(draws.uniform("erase_aspect", *np.log(ERASED_ASPECT)))
    height, width = np.minimum(np.sqrt(area * aspect), 1) * h, np.minimum(np.sqrt(area / aspect), 1) * w
    top, left = draws.uniform("erase_y") * (h - height), draws.uniform("erase_x") * (w - width)
    # pixels whose centre lies within
    y0, y1, x0, x1 = (np.ceil(edge - 0.5).astype(int) for edge in (top, top + height, left, left + width))
    there = draws.uniform("erase") < (config.erase if strength is None else config.erase * strength)
    grey = _grey(levels)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if not there[i]:
            return source
        if source is not target:
            np.copyto(target, source)
        target[y0[i] : y1[i], x0[i] : x1[i]] = grey
        return target

    return step


def dropout(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """Squares of a grid replaced by grey, each with the same chance; None where it is off.

    Source:
        Singh & Lee (2017), Hide-and-Seek: Forcing a Network to be Meticulous, ICCV; the grid's place is drawn here too.
    """
    if config.dropout == 0:
        return None
    b, h, w, _ = pictures.shape
    side = max(1, round(max(h, w) / N_SQUARES))
    n_y, n_x = -(-h // side) + 1, -(-w // side) + 1
    first_y, first_x = -(draws.uniform("dropout_y") * side).astype(int), -(draws.uniform("dropout_x") * side).astype(int)
    chance = np.full(b, config.dropout) if strength is None else config.dropout * strength
    parts = many_uniform(draws, "dropout", n_y * n_x)
    gone = parts < chance[:, None]  # (b, squares)
    grey = _grey(levels)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        squares = np.flatnonzero(gone[i])
        if not len(squares):
            return source
        if source is not target:
            np.copyto(target, source)
        tops, lefts = first_y[i] + squares // n_x * side, first_x[i] + squares % n_x * side
        for y, x in zip(tops.tolist(), lefts.tolist(), strict=True):
            target[max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = grey
        return target

    return step


def many_uniform(draws: Draws, name: str, n_each: int) -> NDArray[np.float64]:
    """Evenly between 0 and 1, many for each row.  (b, n_each)"""
    counters = np.arange(n_each, dtype=np.uint64) * GOLDEN
    return as_fraction(mixed(draws.bits(name)[:, None] + counters))


def _grey(levels: Levels) -> float:
    grey = (levels.low + levels.high) / 2
    return grey if levels.dtype.kind == "f" else int(grey)
