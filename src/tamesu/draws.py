"""Random numbers that are a pure function of (seed, row, epoch, what is drawn): no state, no order, any subset.

A row's augmentation is the same whichever batch, thread or machine it lands in, and two arms that draw the same thing
see the same numbers.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the increment of splitmix64: 2**64 / golden ratio


@dataclass(frozen=True, eq=False)
class Draws:
    """The random numbers of some rows in one epoch.

    Attributes:
        keys: One number a row that no other row, seed or epoch shares.  (b,)
    """

    keys: Bits

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> NDArray[np.float64]:
        """Evenly between `low` and `high`, one for each row.  (b,)"""
        return low + (high - low) * as_fraction(self.bits(name))

    def bits(self, name: str) -> Bits:
        """64 random bits for each row.  (b,)"""
        return mixed(self.keys + name_key(name))

    def normal(self, name: str, n_each: int) -> NDArray[np.float32]:
        """Standard normal numbers, many for each row.  (b, n_each)

        Each is the sum of four 16-bit uniforms: within 0.01 of the normal distribution function and bounded by 3.5, as
        sensor noise is, for a tenth of the time of an exact draw.
        """
        counters = np.arange(n_each, dtype=np.uint64) * GOLDEN
        parts = mixed(self.bits(name)[:, None] + counters).view(np.uint16).reshape(len(self.keys), n_each, 4)
        total = parts.sum(axis=2, dtype=np.float32)
        # four uniforms on 0..65535 have mean 2 * 65535 and variance 4 * (65536**2 - 1) / 12
        return (total - np.float32(2 * 65535)) / np.float32(np.sqrt((65536.0**2 - 1) / 3))


def make_draws(row_keys: Bits, seed: int, epoch: int) -> Draws:
    """The draws of the rows with these keys (see `row_keys`) in one epoch."""
    start = mixed(np.array([seed], dtype=np.uint64) * GOLDEN + np.uint64(1))
    start = mixed(start + np.array([epoch], dtype=np.uint64) * GOLDEN)
    return Draws(mixed(row_keys ^ start))


def row_keys(ids: Iterable[Any]) -> Bits:
    """A number for each row that depends on its id alone.  (n,)"""
    joined = b"".join(hashlib.blake2b(str(one).encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in ids)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


def mixed(bits: Bits) -> Bits:
    """Splitmix64's output function: every input bit changes about half of the output bits.

    Source:
        Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators, OOPSLA; constants of variant 13 by Stafford.
    """
    z = bits + GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def as_fraction(bits: Bits) -> NDArray[np.float64]:
    """Random bits as numbers in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


@functools.cache
def name_key(name: str) -> np.uint64:
    """The number that stands for what is drawn."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))
