"""Mean, spread and range of the training pictures, by channel: what a network's input is standardised with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.batches import make_batches
from tamesu.config import ChannelsConfig
from tamesu.feed import Feed
from tamesu.stacks import depth_channels, has_depth_channels

N_ROWS = 4096  # pictures looked at: their mean is then known to 1/64 of a standard deviation or better
READ_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class FittedPixels:
    """How the pictures of one field are distributed in the training rows.

    Attributes:
        mean: (c,) float32
        std: 1 for a channel that never changes.  (c,) float32
        low: What is black: 0, or for float pictures the smallest value seen.
        high: What is white: the largest the type holds, or for float pictures the largest value seen.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> FittedPixels:
        """What `to_json` described."""
        return cls(np.float32(kept["mean"]), np.float32(kept["std"]), kept["low"], kept["high"])  # type: ignore[arg-type]


def fit_pixels(feed: Feed) -> dict[str, FittedPixels]:
    """By image field; from at most `N_ROWS` of the rows, chosen by their ids."""
    chosen = np.sort(np.argsort(feed.keys, kind="stable")[:N_ROWS])
    out = {}
    for name in feed.given:
        out[name] = _fit(feed.plain(name, chosen), name, feed.channels)
    return out


def _fit(feed: Feed, name: str, channels: ChannelsConfig) -> FittedPixels:
    total: Any = 0.0
    square: Any = 0.0
    count: Any = 0
    low, high = np.inf, -np.inf
    for batch in make_batches(feed, READ_AT_ONCE):
        values = batch.pictures[name][: batch.n_real]
        low, high, dtype = min(low, float(values.min())), max(high, float(values.max())), values.dtype
        if has_depth_channels(feed.fields[name], channels) and batch.maps is not None:
            values = depth_channels(values, batch.maps[name], feed.fields[name], channels)
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        known = ~np.isnan(flat)
        flat = np.where(known, flat, 0)
        total, square, count = total + flat.sum(axis=0), square + (flat**2).sum(axis=0), count + known.sum(axis=0)
    count = np.maximum(count, 1)  # a channel without any reading has mean 0 and spread 1
    mean = np.asarray(total) / count
    std = np.sqrt(np.maximum(np.asarray(square) / count - mean**2, 0))
    if dtype.kind in "iu":
        low, high = 0.0, float(np.iinfo(dtype).max)
    largest = np.abs(mean) if has_depth_channels(feed.fields[name], channels) else max(abs(low), abs(high))
    small = 1e-6 * largest  # below this, a spread is rounding
    return FittedPixels(mean.astype(np.float32), np.where(std > small, std, 1).astype(np.float32), low, high)
