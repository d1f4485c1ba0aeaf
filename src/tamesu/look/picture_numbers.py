"""What is measured in one picture: light, colour, sharpness, a perceptual hash, a short description of form and colour.

Everything is measured at a fixed size, so that numbers of large and small pictures can be compared.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.features.pictures import BINS, CELLS, directions

SIDE = 128  # pixels: numbers are measured on a picture whose longer side is at most this
THUMB = 8  # pixels of the grey thumbnail
COLOUR_BINS = 4  # each way
N_STRUCTURE = CELLS * CELLS * BINS + THUMB * THUMB
N_EMBEDDING = N_STRUCTURE + COLOUR_BINS * COLOUR_BINS + COLOUR_BINS
FLAT = 0.01  # contrast below which a picture has no form to be hashed
LIGHT = ("brightness", "contrast", "sharpness", "saturation", "red", "green", "blue")
DEPTH = ("nearest_m", "median_m", "farthest_m", "hole_fraction")


def small(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The picture as 8-bit colour, its longer side at most `SIDE`.  (h, w, c) → (h, w, 3)"""
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    elif pixels.dtype.kind == "f":
        finite = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
        top = float(finite.max(initial=0.0))
        pixels = np.clip(finite * (255.0 if top <= 1 else 255.0 / top if top > 255 else 1.0), 0, 255).astype(np.uint8)
    if pixels.shape[2] == 4:
        pixels = pixels[:, :, :3]
    elif pixels.shape[2] not in (1, 3):
        pixels = pixels[:, :, :1]
    height, width = pixels.shape[:2]
    if max(height, width) > SIDE:
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)


def light_numbers(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`LIGHT` of a picture as `small` gives it: means and spreads as shares of the full range; sharpness is the mean
    gradient over the contrast.  (7,)"""
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    contrast = float(gray.std())
    side = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA if min(gray.shape) >= 64 else cv2.INTER_LINEAR)
    gradient = float(np.abs(cv2.Laplacian(side, cv2.CV_32F)).mean())
    means = rgb.reshape(-1, 3).mean(axis=0) / 255
    top, low = rgb.max(axis=2).astype(np.float32), rgb.min(axis=2).astype(np.float32)
    saturation = float(((top - low) / np.maximum(top, 1)).mean())
    total = max(float(means.sum()), 1e-6)
    sharpness = gradient / contrast if contrast > FLAT else 0.0
    return np.array([gray.mean(), contrast, sharpness, saturation, *(means / total)], dtype=np.float32)


def depth_numbers(pixels: NDArray[Any], unit_m: float, missing: float) -> NDArray[np.float32]:
    """`DEPTH` of a depth map in stored units; NaN where nothing was measured.  (4,)"""
    values = pixels[:, :, 0].astype(np.float64)
    seen = np.isfinite(values) & (values != missing)
    holes = 1.0 - float(seen.mean())
    if not seen.any():
        return np.array([np.nan, np.nan, np.nan, holes], dtype=np.float32)
    near, middle, far = np.percentile(values[seen], (1, 50, 99)) * unit_m
    return np.array([near, middle, far, holes], dtype=np.float32)


def perceptual_hash(rgb: NDArray[np.uint8]) -> int:
    """64 bits, one for each low frequency that is above their median; 0 for a picture without form.

    Source:
        Zauner (2010), Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1 (DCT based).
    """
    gray = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if gray.std() < 255 * FLAT:
        return 0
    low = cv2.dct(gray)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def describe(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Form (gradient directions in a grid and a thumbnail, both free of light and contrast), then colour.  (N_EMBEDDING,)"""
    gray = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    thumb = cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA).ravel()
    thumb = (thumb - thumb.mean()) / max(float(thumb.std()), FLAT)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).reshape(-1, 3)
    hue = np.minimum(hsv[:, 0].astype(np.int64) * COLOUR_BINS // 180, COLOUR_BINS - 1)
    saturation = hsv[:, 1].astype(np.int64) * COLOUR_BINS // 256
    light = hsv[:, 2].astype(np.int64) * COLOUR_BINS // 256
    colour = np.bincount(hue * COLOUR_BINS + saturation, minlength=COLOUR_BINS**2) / len(hsv)
    value = np.bincount(light, minlength=COLOUR_BINS) / len(hsv)
    # Each part has a length of about one, so that none of them drowns the others.
    return np.concatenate([directions(gray), thumb / THUMB, np.sqrt(colour), np.sqrt(value)]).astype(np.float32)
