"""Pictures inside the report: small, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_SIDE = 176  # pixels of the longer side; twice what is shown, for fine screens
LOSSLESS_SIDE = 64  # up to here PNG: JPEG smears small pictures
NATIVE_SIDE = 64  # the report shows pictures up to this size with visible pixels


class HasOriginals(Protocol):
    """`Pictures` as the report needs them."""

    def original(self, i: int) -> NDArray[Any]:
        """Full-size pixels of row i.  (h, w, c)."""


def worst_pictures(
    rows: Iterable[Mapping[str, Any]], pictures: HasOriginals | Mapping[str, NDArray[Any]]
) -> dict[str, dict[str, Any]]:
    """For each id of the worst rows {uri, pixelated}; rows whose picture is not to be had are left out.

    Args:
        rows: `summary["mistakes"]["worst"]`.
        pictures: Pixels by id, or the pictures of the rows that were scored, in their order.
    """
    found = {}
    for row in rows:
        if isinstance(pictures, Mapping):
            pixels = pictures.get(row["id"])
        else:
            pixels = pictures.original(row["row"])
        if pixels is not None:
            found[row["id"]] = {"uri": data_uri(pixels), "pixelated": max(pixels.shape[:2]) <= NATIVE_SIDE}
    return found


def data_uri(pixels: NDArray[Any]) -> str:
    """A picture, (h, w) or (h, w, c) of any number type, as a small PNG or JPEG in a `data:` URI."""
    image = Image.fromarray(_as_bytes(pixels))
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    kind = "PNG" if max(pixels.shape[:2]) <= LOSSLESS_SIDE else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"optimize": True} if kind == "PNG" else {"quality": 82}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey or RGB bytes: of other channel counts the first three, or the first; other number types stretched to their range."""
    if pixels.ndim == 3:
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    values = pixels.astype(np.float64)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return np.round(255 * scaled).astype(np.uint8)
