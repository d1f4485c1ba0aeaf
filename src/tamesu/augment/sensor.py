"""What a lens, a sensor and a file do to light, in this order: blur, shot noise and noise, noise of whole rows, JPEG."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tamesu.amounts import Strength, drawn, is_off
from tamesu.augment.step import Levels, Pixels, Step, in_one_row
from tamesu.config import AugmentConfig
from tamesu.draws import GOLDEN, Draws, mixed

LEAST_SIGMA = 0.2  # pixels; below, a neighbour weighs less than 4e-6
N_BANK = 1 << 22  # standard normal numbers that all pictures read from, each from a place of its own
N_STRETCH = 1 << 20  # numbers read in one stretch; a larger picture reads several
LARGEST = 4.0  # standard deviations at which the bank is cut
BANK_STEP = LARGEST / 127  # standard deviations between neighbouring numbers of the bank for bytes
BANK_MIDDLE = 128  # stands for 0 in the bank for bytes
MAX_CHANNELS = 4  # what OpenCV blurs at once


def blur(config: AugmentConfig, draws: Draws, strength: Strength = None) -> Step | None:
    """A Gaussian blur; None where it is off."""
    if is_off(config.blur):
        return None
    sigmas = drawn(draws, "blur", config.blur, 0, strength, one_sided=True)
    sizes = 2 * np.maximum(1, (3 * sigmas).astype(int)) + 1  # beyond three standard deviations nothing is left to see

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        sigma, size = float(sigmas[i]), (int(sizes[i]), int(sizes[i]))
        if sigma < LEAST_SIGMA:
            return source
        if source.shape[2] <= MAX_CHANNELS:
            cv2.GaussianBlur(source, size, sigma, dst=target)
            return target
        for k in range(source.shape[2]):
            target[:, :, k] = cv2.GaussianBlur(np.ascontiguousarray(source[:, :, k]), size, sigma)
        return target

    return step


def noise(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """Gaussian noise of each value, its variance the sum of a part that is always there and one that goes with the light.

    The numbers are read from a bank made once, from a drawn place and with a drawn sign. Within a picture they are as
    independent as the generator's; two pictures may share a stretch, but shifted against each other. They are cut at four
    standard deviations, and for bytes rounded to 1/32 of one before they are scaled.
    """
    if is_off(config.noise) and is_off(config.shot_noise):
        return None
    always = drawn(draws, "noise", config.noise, 0, strength, one_sided=True)
    at_white = drawn(draws, "shot_noise", config.shot_noise, 0, strength, one_sided=True)
    n_stretches = -(-int(np.prod(pictures.shape[1:])) // N_STRETCH)
    bits = draws.bits("noise_bank")
    starts = mixed(bits[:, None] + np.arange(n_stretches, dtype=np.uint64) * GOLDEN) % np.uint64(N_BANK - N_STRETCH)
    places = starts.astype(np.int64).tolist()
    always = np.where(bits >> np.uint64(63), -always, always)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if always[i] == 0 and at_white[i] == 0:
            return source
        given, out = in_one_row(source), in_one_row(target)
        for k, place in enumerate(places[i]):
            part = slice(k * N_STRETCH, (k + 1) * N_STRETCH)
            _add_noise(given[:, part], out[:, part], place, always[i], at_white[i], levels)
        return target

    return step


def _add_noise(given: Pixels, out: Pixels, place: int, always: float, at_white: float, levels: Levels) -> None:
    """Noise from one place of the bank.  Values are (1, n)."""
    stretch = slice(place, place + given.shape[1])
    if levels.are_bytes and at_white == 0:
        scale = always * 255 * BANK_STEP
        cv2.addWeighted(given, 1.0, byte_bank()[None, stretch], scale, -BANK_MIDDLE * scale, dst=out)
        return
    normal = float_bank()[None, stretch]
    if levels.are_bytes:
        light = np.arange(256) / 255
        deviations = (255 * np.sqrt(always**2 + at_white**2 * light)).astype(np.float32)
        cv2.add(given, cv2.multiply(cv2.LUT(given, deviations), normal), dst=out, dtype=cv2.CV_8U)
        return
    values = given.astype(np.float32)
    if at_white == 0:
        values += normal * np.float32(always * levels.span)
    else:
        shares = np.clip((values - np.float32(levels.low)) / np.float32(levels.span), 0, 1)
        values += normal * (levels.span * np.sqrt(always**2 + at_white**2 * shares)).astype(np.float32)
    levels.store(values, out)


@functools.cache
def float_bank() -> NDArray[np.float32]:
    """Standard normal numbers, cut at four standard deviations.  (N_BANK,)"""
    return _quantiles()[_codes()]


@functools.cache
def byte_bank() -> NDArray[np.uint8]:
    """The same numbers as bytes: 128 is 0, and one step is `BANK_STEP`.  (N_BANK,)"""
    return np.rint(_quantiles() / BANK_STEP + BANK_MIDDLE).astype(np.uint8)[_codes()]


def _quantiles() -> NDArray[np.float32]:
    """The normal distribution in 65536 equal parts, of variance 1 after the cut."""
    values = np.clip(ndtri((np.arange(65536) + 0.5) / 65536), -LARGEST, LARGEST)
    return np.clip(values / values.std(), -LARGEST, LARGEST).astype(np.float32)


def _codes() -> NDArray[np.uint16]:
    """Evenly spread random numbers, the same on every machine."""
    return mixed(np.arange(N_BANK // 4, dtype="<u8") * GOLDEN).astype("<u8").view("<u2")


def row_noise(pictures: Pixels, config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """Noise that is the same for all values of a row of pixels; None where it is off."""
    if is_off(config.row_noise):
        return None
    _, h, w, c = pictures.shape
    deviation = drawn(draws, "row_noise", config.row_noise, 0, strength, one_sided=True) * levels.span
    shifts = draws.normal("row_noise_rows", h) * deviation[:, None].astype(np.float32)  # (b, h)
    if not levels.are_bytes:

        def arithmetic(i: int, source: Pixels, target: Pixels) -> Pixels:
            return levels.store(source.astype(np.float32) + shifts[i, :, None, None], target)

        return arithmetic
    whole = np.rint(shifts)
    up, down = np.clip(whole, 0, 255).astype(np.uint8), np.clip(-whole, 0, 255).astype(np.uint8)

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if deviation[i] == 0:
            return source
        out, rows = target.reshape(h, w * c), np.empty((h, w * c), dtype=np.uint8)
        rows[:] = up[i, :, None]
        cv2.add(source.reshape(h, w * c), rows, dst=out)
        rows[:] = down[i, :, None]
        cv2.subtract(out, rows, dst=out)
        return target

    return step


def jpeg(config: AugmentConfig, draws: Draws, levels: Levels, strength: Strength = None) -> Step | None:
    """Written as a JPEG and read again; None where it is off.

    Of pictures of other types 256 levels remain, since that is what such a file holds.
    """
    if is_off(config.jpeg):
        return None
    lost = drawn(draws, "jpeg", config.jpeg, 0, strength, one_sided=True)
    quality = np.clip(np.rint(100 - lost), 1, 100).astype(int).tolist()

    def step(i: int, source: Pixels, target: Pixels) -> Pixels:
        if lost[i] < 0.5:
            return source
        if levels.are_bytes:
            return _as_jpeg(source, quality[i], target)
        scaled = (source.astype(np.float32) - np.float32(levels.low)) * np.float32(255 / levels.span)
        written = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        read = _as_jpeg(written, quality[i], written)
        return levels.store(read.astype(np.float32) * np.float32(levels.span / 255) + np.float32(levels.low), target)

    return step


def _as_jpeg(source: NDArray[np.uint8], quality: int, target: NDArray[np.uint8]) -> NDArray[np.uint8]:
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if source.shape[2] == 3:
        _, file = cv2.imencode(".jpg", cv2.cvtColor(source, cv2.COLOR_RGB2BGR), how)
        cv2.cvtColor(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB, dst=target)
        return target
    for k in range(source.shape[2]):
        _, file = cv2.imencode(".jpg", np.ascontiguousarray(source[:, :, k]), how)
        target[:, :, k] = np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE))
    return target
