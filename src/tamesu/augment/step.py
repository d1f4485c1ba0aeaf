"""What the steps of an augmentation share: one row's pixels in, one row's pixels out, and how levels are kept.

A step is made once for a batch, where all its algebra is done for every row together. For each row it then reads
`source` and writes `target`, which may be the same memory, and returns whichever of the two holds the result: rows it
leaves alone cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Step = Callable[[int, Pixels, Pixels], Pixels]  # row, source (h, w, c), target (h, w, c) contiguous


@dataclass(frozen=True)
class Levels:
    """What the pixels of a field may be.

    Attributes:
        low: What black is.
        high: What white is.
    """

    dtype: np.dtype[Any]
    low: float
    high: float

    @property
    def span(self) -> float:
        """From black to white."""
        return self.high - self.low

    @property
    def are_bytes(self) -> bool:
        """All of uint8 is used: tables of 256 levels and saturating arithmetic do."""
        return self.dtype == np.uint8 and (self.low, self.high) == (0, 255)

    def store(self, values: NDArray[np.float32], target: Pixels) -> Pixels:
        """Puts values, which are overwritten, within the range and into `target`; whole numbers are rounded."""
        np.clip(values, self.low, self.high, out=values)
        if self.dtype.kind != "f":
            np.rint(values, out=values)
        np.copyto(target, values, casting="unsafe")
        return target


def in_one_row(pixels: Pixels) -> Pixels:
    """All values side by side, as the fastest calls of OpenCV want them; a view where the memory is contiguous.  (1, h*w*c)"""
    return pixels.reshape(1, -1)
