"""Changes of light: brightness, contrast, noise, and a rectangle greyed out; for a whole batch at once.

Each acts on pictures of any range: amounts are shares of the full range, `low` to `high` of the picture's type or of
the training rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import AugmentConfig
from tamesu.draws import Draws

ERASED_FRACTION = (0.02, 0.25)  # area of the rectangle: a range around that of Zhong et al. (2020), Random Erasing
ERASED_ASPECT = (0.5, 2.0)  # its height over its width


def augment(pictures: NDArray[Any], config: AugmentConfig, draws: Draws, low: float, high: float) -> NDArray[Any]:
    """The batch in another light; the batch itself where nothing is asked for.

    Args:
        pictures: uint8, uint16 or float32.  (b, h, w, c)
        draws: One key for each picture.
        low: What black is.
        high: What white is.

    Returns:
        (b, h, w, c), of the same type, within `low` to `high`.
    """
    if not (config.brightness or config.contrast or config.noise or config.erase):
        return pictures
    out = pictures
    if config.brightness or config.contrast or config.noise:
        out = _relit(pictures, config, draws, low, high)
    return erase(out, config.erase, draws, (low + high) / 2) if config.erase else out


def _relit(pictures: NDArray[Any], config: AugmentConfig, draws: Draws, low: float, high: float) -> NDArray[Any]:
    span = high - low
    values = pictures.astype(np.float32)
    factor = draws.uniform("contrast", 1 - config.contrast, 1 + config.contrast).astype(np.float32)[:, None, None, None]
    shift = draws.uniform("brightness", -config.brightness, config.brightness).astype(np.float32)[:, None, None, None] * span
    if config.contrast:
        middle = values.mean(axis=(1, 2), keepdims=True)
        values = middle + (values - middle) * factor
    values += shift
    if config.noise:
        noise = draws.normal("noise", int(np.prod(pictures.shape[1:]))).reshape(pictures.shape)
        values += noise * np.float32(config.noise * span)
    np.clip(values, low, high, out=values)
    return values if pictures.dtype.kind == "f" else np.rint(values).astype(pictures.dtype)


def erase(pictures: NDArray[Any], chance: float, draws: Draws, grey: float) -> NDArray[Any]:
    """One rectangle of some pictures replaced by grey.

    Source:
        Zhong et al. (2020), Random Erasing Data Augmentation, AAAI.
    """
    _, h, w, _ = pictures.shape
    area = draws.uniform("erase_area", *ERASED_FRACTION)
    aspect = np.exp(draws.uniform("erase_aspect", *np.log(ERASED_ASPECT)))
    height, width = np.minimum(np.sqrt(area * aspect), 1) * h, np.minimum(np.sqrt(area / aspect), 1) * w
    top, left = draws.uniform("erase_y") * (h - height), draws.uniform("erase_x") * (w - width)
    y, x = np.arange(h) + 0.5, np.arange(w) + 0.5
    rows = (y >= top[:, None]) & (y < (top + height)[:, None])
    columns = (x >= left[:, None]) & (x < (left + width)[:, None])
    hit = rows[:, :, None] & columns[:, None, :] & (draws.uniform("erase") < chance)[:, None, None]
    return np.where(hit[:, :, :, None], np.array(grey, dtype=pictures.dtype), pictures)
