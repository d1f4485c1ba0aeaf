"""Training pictures varied: light, lens and sensor, patches, depth, and functions of your own.

`vary` composes what a study asks for into a few steps, made once for a batch, and sends each row through them: as light
goes, from the scene's shadows through exposure and colours, the lens, the sensor and the file to what is covered up at last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength
from tamesu.augment import depth, light, outside, patches, sensor
from tamesu.augment.outside import check_functions
from tamesu.augment.step import Levels, Step
from tamesu.config import AugmentConfig
from tamesu.draws import Draws, mixed, name_key
from tamesu.fields import Field

__all__ = ["check_functions", "vary"]


def vary(
    pictures: NDArray[Any],
    field: Field,
    config: AugmentConfig,
    draws: Draws,
    low: float = 0,
    high: float = 255,
    strength: Strength = None,
    name: str = "",
) -> NDArray[Any]:
    """One field's pictures as training sees them; the very same object where nothing is asked for.

    Images get everything but `holes` and `depth_step`, depth gets these alone, masks nothing. The fourth of four channels
    is how opaque a pixel is, and stays. Each row depends on its own pixels and draws and on no other row.

    Args:
        pictures: uint8, uint16 or float32; depth: metres, 0 where there is no reading. Never written to.  (b, h, w, c)
        draws: One key for each row.
        low: What black is.
        high: What white is. Depth may be anything.
        strength: How much stronger than written each row is varied.  (b,)
        name: The field's: pictures of one row then share their light, and have noise and patches of their own.

    Returns:
        (b, h, w, c), of the same type, images within `low` to `high`.

    Raises:
        ConfigError: A function cannot be found, moves pixels, or returns another shape or type.
    """
    if field.kind == "mask" or not len(pictures):
        return pictures
    own = Draws(mixed(draws.keys ^ name_key(name))) if name else draws
    if field.kind == "depth":
        return _through([depth.holes(pictures, config, own, strength), depth.steps(config, own, strength)], pictures)
    if pictures.shape[3] == 4:
        colours = np.ascontiguousarray(pictures[..., :3])
        varied = vary(colours, field, config, draws, low, high, strength, name)
        return pictures if varied is colours else np.concatenate([varied, pictures[..., 3:]], axis=3)
    levels = Levels(pictures.dtype, low, high)
    steps = [
        patches.shadow(pictures, config, own, levels, strength),
        light.relight(pictures, config, draws, levels, strength),
        sensor.blur(config, own, strength),
        sensor.noise(pictures, config, own, levels, strength),
        sensor.row_noise(pictures, config, own, levels, strength),
        sensor.jpeg(config, own, levels, strength),
        patches.erase(pictures, config, own, levels, strength),
        patches.dropout(pictures, config, own, levels, strength),
        *outside.apply_functions(config, own, levels, strength),
    ]
    return _through(steps, pictures)


def _through(steps: list[Step | None], pictures: NDArray[Any]) -> NDArray[Any]:
    """Every row through every step that is not off; each writes into the row's place in the result."""
    asked = [step for step in steps if step is not None]
    if not asked:
        return pictures
    out = np.empty(pictures.shape, dtype=pictures.dtype)
    for i in range(len(pictures)):
        source, target = pictures[i], out[i]
        for step in asked:
            source = step(i, source, target)
        if source is not target:
            np.copyto(target, source)
    return out
