"""Brightness, contrast, saturation, hue and gamma: one colour matrix and one table of levels a picture.

All but gamma are affine in the colours, so they are multiplied into one matrix, whatever is asked for; without
saturation and hue everything is a table of 256 levels. The order is brightness and contrast, saturation, hue, gamma,
and values are cut to the range once before gamma and once at the end.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength, drawn, is_off
from tamesu.augment.step import Levels, Pixels, Step
from tamesu.config import AugmentConfig
from tamesu.draws import Draws

LUMA = np.array([0.299, 0.587, 0.114])  # how bright red, green and blue look: ITU-R BT.601
LEAST_GAMMA = 0.05  # an exponent of 0 would leave white only
MAX_CHANNELS = 4  # what OpenCV averages at once
Rows = NDArray[np.float64]  # (b,)


def relight(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """The light of each row, drawn; None where nothing is asked for.

    Saturation and hue act on pictures of three channels, and on no others.

    Args:
        pictures: The rows as they are: contrast is about the mean of each over pixels and channels.  (b, h, w, c)
    """
    in_colour = pictures.shape[3] == 3 and not (is_off(config.saturation, 1) and is_off(config.hue_deg))
    if is_off(config.brightness) and is_off(config.contrast, 1) and is_off(config.gamma, 1) and not in_colour:
        return None
    gain = np.maximum(drawn(draws, "contrast", config.contrast, 1, strength), 0)
    offset = drawn(draws, "brightness", config.brightness, 0, strength) * levels.span
    if not is_off(config.contrast, 1):
        offset = offset + (1 - gain) * means(pictures)
    gamma = np.maximum(drawn(draws, "gamma", config.gamma, 1, strength), LEAST_GAMMA)
    if not in_colour:
        return by_tables(gain, offset, gamma) if levels.are_bytes else by_numbers(gain, offset, gamma, levels)
    saturation = np.maximum(drawn(draws, "saturation", config.saturation, 1, strength), 0)
    hue_rad = np.deg2rad(drawn(draws, "hue", config.hue_deg, 0, strength))
    matrix = gain[:, None, None] * colour_matrices(saturation, hue_rad)
    affine = np.concatenate([matrix, np.broadcast_to(offset[:, None, None], (len(gain), 3, 1))], axis=2)
    return by_matrices(affine, gamma, levels)


def colour_matrices(saturation: Rows, hue_rad: Rows) -> NDArray[np.float64]:
    """Saturation, then hue: matrices that leave every grey as it is.  (b, 3, 3)

    Saturation mixes with the grey that looks as bright; hue turns the colour cube about its grey diagonal, red towards
    green, so that a third of a turn is an exchange of the channels.

    Source:
        Haeberli (1993), Matrix Operations for Image Processing.
    """
    s = saturation[:, None, None]
    saturated = s * np.eye(3) + (1 - s) * LUMA
    cos, sin = np.cos(hue_rad)[:, None, None], np.sin(hue_rad)[:, None, None]
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turned = cos * np.eye(3) + (1 - cos) / 3 + sin * across
    return turned @ saturated


def means(pictures: Pixels) -> Rows:
    """The mean of each picture over pixels and channels.  (b,)"""
    c = pictures.shape[3]
    if c > MAX_CHANNELS:
        return np.array([one.mean(dtype=np.float64) for one in pictures])
    return np.array([sum(cv2.mean(one)[:c]) / c for one in pictures])


def by_tables(gain: Rows, offset: Rows, gamma: Rows) -> Step:
    """The step for uint8 whose channels do not mix."""
    tables = gamma_tables(gamma, gain[:, None] * np.arange(256) + offset[:, None])
    same = (gain == 1) & (offset == 0) & (gamma == 1)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        return source if same[i] else look_up(source, tables[i], target)

    return step


def gamma_tables(gamma: Rows, values: NDArray[Any]) -> NDArray[np.uint8]:
    """What each of 256 levels becomes.  (b, 256)

    Args:
        values: What it is before gamma, in levels, perhaps beyond them.  (b, 256) or (256,)
    """
    light = np.clip(values / 255, 0, 1)
    if np.any(gamma != 1):
        light = light ** gamma[:, None]
    return np.rint(255 * np.broadcast_to(light, (len(gamma), 256))).astype(np.uint8)


def by_matrices(affine: NDArray[np.float64], gamma: Rows, levels: Levels) -> Step:
    """The step for colours.

    Args:
        affine: A matrix and an offset each.  (b, 3, 4)
    """
    same = (affine == np.eye(3, 4)).all(axis=(1, 2)) & (gamma == 1)
    if not levels.are_bytes:

        def arithmetic(i: int, source: Pixels, target: Pixels) -> Pixels:
            if same[i]:
                return source
            values = source.astype(np.float32)
            return finish(np.asarray(cv2.transform(values, affine[i]), dtype=np.float32), gamma[i], levels, target)

        return arithmetic
    tables = gamma_tables(gamma, np.arange(256)) if np.any(gamma != 1) else None

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if same[i]:
            return source
        cv2.transform(source, affine[i], dst=target)
        return target if tables is None or gamma[i] == 1 else look_up(target, tables[i], target)

    return step


def by_numbers(gain: Rows, offset: Rows, gamma: Rows, levels: Levels) -> Step:
    """The step for any type whose channels do not mix."""
    same = (gain == 1) & (offset == 0) & (gamma == 1)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if same[i]:
            return source
        values = source.astype(np.float32)
        values *= np.float32(gain[i])
        values += np.float32(offset[i])
        return finish(values, gamma[i], levels, target)

    return step


def finish(values: NDArray[np.float32], gamma: float, levels: Levels, target: Pixels) -> Pixels:
    """Gamma, and the values into `target`."""
    if gamma != 1:
        values -= np.float32(levels.low)
        values /= np.float32(levels.span)
        np.clip(values, 0, 1, out=values)
        np.power(values, np.float32(gamma), out=values)
        values *= np.float32(levels.span)
        values += np.float32(levels.low)
    return levels.store(values, target)


def _fast_translate() -> Callable[..., Any] | None:
    """`stringzilla.translate`, where it is installed: a table look-up of many bytes at a time."""
    try:
        return importlib.import_module("stringzilla").translate  # type: ignore[no-any-return]
    except (ImportError, AttributeError):
        return None


TRANSLATE = _fast_translate()


def look_up(source: Pixels, table: NDArray[np.uint8], target: Pixels) -> Pixels:
    """Each byte replaced by what the table says; the same bytes whichever library does it.

    Args:
        table: (256,)
        target: Contiguous; may be `source`.
    """
    if TRANSLATE is None:
        cv2.LUT(source.reshape(len(source), -1), table, dst=target.reshape(len(target), -1))
        return target
    if source is not target:
        np.copyto(target, source)
    TRANSLATE(target.data, table.data, inplace=True)
    return target
