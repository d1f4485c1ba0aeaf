"""Pictures that are arrays of numbers: .npy files, packed distances, and OpenEXR files as far as OpenCV reads them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.texts import say

ARRAY_SUFFIXES = frozenset({".npy", ".exr", ".pfm"})
NPY_START = b"\x93NUMPY"
EXR_START = b"\x76\x2f\x31\x01"
MAX_CHANNELS = 4
BITS = 16


def read_npy(data: bytes) -> NDArray[Any]:
    """The numbers of a .npy file as uint8, uint16 or float32.  (h, w) or (h, w, c)

    Whole numbers of other types are uint16 if all of them fit, else float32.

    Raises:
        ValueError: It is damaged, holds Python objects, or no picture; the message is the reason, for a person.
    """
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(say("an .npy file that is damaged: {error}", error=error)) from error
    if pixels.dtype.kind not in "buif":
        raise ValueError(say("an .npy file of {dtype}, which are no pixels", dtype=pixels.dtype))
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and not 1 <= pixels.shape[2] <= MAX_CHANNELS):
        raise ValueError(say("an .npy file of shape {shape} in place of (h, w) or (h, w, c)", shape=pixels.shape))
    pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if pixels.dtype in (np.bool_, np.uint8):
        return pixels.astype(np.uint8)
    if pixels.dtype.kind in "iu" and pixels.size and pixels.min() >= 0 and pixels.max() < 2**BITS:
        return pixels.astype(np.uint16)
    return pixels.astype(np.float32)


def unreadable_exr(data: bytes) -> str:
    """Why an OpenEXR file cannot be read here; the empty text for any other file."""
    if not data.startswith(EXR_START):
        return ""
    return say(
        "an OpenEXR file, which this OpenCV does not read (if it was built with OpenEXR, set OPENCV_IO_ENABLE_OPENEXR=1); "
        "export it as .npy, float TIFF or 16-bit PNG"
    )


def unpack(pixels: NDArray[Any], swap_bytes: bool, rotate_bits: int) -> NDArray[Any]:
    """16-bit numbers with their bits in order: the two bytes exchanged, then rotated to the right."""
    out = pixels.byteswap() if swap_bytes else pixels
    if rotate_bits:
        out = (out >> np.uint16(rotate_bits)) | (out << np.uint16(BITS - rotate_bits))
    return out
