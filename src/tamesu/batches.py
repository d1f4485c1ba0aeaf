"""Rows as batches of one static shape: read, moved, lit and encoded, by threads that work ahead.

`make_feed` does once what every epoch shares; `make_batches` goes through the rows once. Training batches are shuffled
and augmented, and every random number is a pure function of (seed, row id, epoch); scoring batches are in order, plain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.augment import augment
from tamesu.config import AugmentConfig
from tamesu.draws import Bits, Draws, make_draws, row_keys
from tamesu.errors import ConfigError
from tamesu.fields import Field, ImageField, LabelField, NumberField
from tamesu.geometry import Maps, Size, draw_maps, resize, shift_many, warp_read
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.pictures import Pictures
    from tamesu.preprocess import FittedInputs, Inputs
    from tamesu.recipe import Recipe
    from tamesu.targets import Target

N_AHEAD = 4  # batches made before they are asked for


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows, always `batch_size` of them: the last places of a batch may be padding, of weight 0.

    Attributes:
        pictures: By image field, uint8, uint16 or float32.  (b, h, w, c)
        table: Numbers, standardised.  (b, f) float32
        categories: Codes for embeddings.  (b, g) int64
        targets: By target, encoded; empty when scoring.
        weight: 1 for a row, 0 for padding.  (b,) float32
        rows: Positions in the dataset; -1 for padding.  (b,) int64
    """

    pictures: dict[str, NDArray[Any]]
    table: NDArray[np.float32]
    categories: NDArray[np.int64]
    targets: dict[str, NDArray[Any]]
    weight: NDArray[np.float32]
    rows: NDArray[np.int64]

    @property
    def n_real(self) -> int:
        """Rows that are not padding; they come first."""
        return int(np.count_nonzero(self.weight))


@dataclass(frozen=True, eq=False)
class Feed:
    """Rows made ready once for any number of epochs.

    Attributes:
        keys: A number for each row that depends on its id alone.  (n,)
        pictures: By image field.
        size: Height and width of every picture in a batch; (0, 0) without pictures.
        inputs: Numbers and categories.  (n, f), (n, g)
        mirrored_inputs: The same as they are when the picture is mirrored; None where a mirror leaves them.
        targets: What is predicted; empty when scoring.
        encoded: The targets' values, encoded.
        ranges: What is black and what is white, by image field; from the type where not named.
    """

    keys: Bits
    pictures: Mapping[str, Pictures]
    size: Size
    augment: AugmentConfig
    inputs: Inputs
    mirrored_inputs: Inputs | None
    targets: Mapping[str, Target]
    encoded: Mapping[str, NDArray[Any]]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> Feed:
        """The same rows, with what is black and white in their pictures."""
        return replace(self, ranges=ranges)


def make_feed(rows: Dataset, recipe: Recipe, inputs: FittedInputs, targets: Mapping[str, Target]) -> Feed:
    """Rows ready for batches.

    Args:
        inputs: Fitted on the training rows, whichever rows these are.
        targets: Fitted on the training rows; {} for rows that are scored.

    Raises:
        ConfigError: Pictures are to be mirrored and a target does not say what a mirror does to it.
        DataError: A target's value is missing or of no known class.
    """
    images = [name for name, one in recipe.inputs.items() if isinstance(one, ImageField)]
    mirrors = bool(images) and recipe.augment.mirror > 0 and bool(targets)
    if mirrors:
        check_mirrors(targets)
    return Feed(
        keys=row_keys(rows.ids),
        pictures={name: rows.pictures[name] for name in images},
        size=recipe.size,
        augment=recipe.augment,
        inputs=inputs.transform(rows),
        mirrored_inputs=_mirrored_inputs(rows, recipe.inputs, inputs) if mirrors else None,
        targets=dict(targets),
        encoded={name: _single(target.encode(rows.values(name, target.field))) for name, target in targets.items()},
    )


def check_mirrors(targets: Mapping[str, Target]) -> None:
    """Refuses targets that do not say what a mirrored picture does to them.

    Raises:
        ConfigError: Names them, and the ways to answer.
    """
    mute = [name for name, target in targets.items() if target.field.mirror is None]
    if mute:
        raise ConfigError(
            [
                say(
                    "augment.mirror: fields.{name}.mirror must say what a mirrored picture does to the target; got nothing. "
                    "Answer `same`, `{{a: b}}` (a number: `negate`) or `never`.",
                    name=name,
                )
                for name in mute
            ]
        )


def make_batches(
    feed: Feed, batch_size: int, *, epoch: int | None = None, seed: int = 0, n_threads: int = 1, n_ahead: int = N_AHEAD
) -> Iterator[Batch]:
    """Goes through the rows once.

    Rows are spread evenly: with batches of 32, 33 rows come as 17 and 16, not as 32 and 1, so that no step stands on a
    handful of rows. A batch has `batch_size` places all the same; those left over are padding.

    Args:
        epoch: Which epoch of training, from 0: shuffled and augmented. None: in order, as they are.
        seed: With the epoch and the row's id decides every random number.
        n_threads: Threads that make batches ahead; 0 makes each when it is asked for.
        n_ahead: How many batches may wait, at most.

    Yields:
        Batches of `batch_size` places. Closing the iterator stops the threads.

    Raises:
        Exception: Whatever went wrong in a thread, when its batch is asked for.
    """
    draws = None if epoch is None else make_draws(feed.keys, seed, epoch)
    order = np.arange(len(feed)) if draws is None else np.argsort(draws.bits("order"), kind="stable")
    parts = np.array_split(order, max(1, -(-len(feed) // batch_size))) if len(feed) else []

    def make(part: NDArray[np.int64]) -> Batch:
        return _make_batch(feed, part, batch_size, None if draws is None else Draws(draws.keys[part]))

    if n_threads == 0:
        yield from map(make, parts)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="tamesu-batches")
    waiting: deque[Future[Batch]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(make, part))
            if len(waiting) > n_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _make_batch(feed: Feed, index: NDArray[np.int64], batch_size: int, draws: Draws | None) -> Batch:
    encoded = {name: values[index] for name, values in feed.encoded.items()}
    table, categories = feed.inputs.table[index], feed.inputs.categories[index]
    maps = None
    if draws is not None and feed.pictures:
        maps = draw_maps(feed.augment, feed.size, draws, _may_mirror(feed.targets, encoded))
        encoded = {name: feed.targets[name].mirror(values, maps.mirrored) for name, values in encoded.items()}
        if feed.mirrored_inputs is not None:
            side = maps.mirrored[:, None]
            table = np.where(side, feed.mirrored_inputs.table[index], table)
            categories = np.where(side, feed.mirrored_inputs.categories[index], categories)
    pictures = {}
    for name in feed.pictures:
        values = _moved(feed, name, index, maps)
        if draws is not None:
            values = augment(values, feed.augment, draws, *feed.ranges.get(name, _range(values.dtype)))
        pictures[name] = _padded(values, batch_size)
    return Batch(
        pictures=pictures,
        table=_padded(table, batch_size),
        categories=_padded(categories, batch_size),
        targets={name: _padded(values, batch_size) for name, values in encoded.items()},
        weight=_padded(np.ones(len(index), dtype=np.float32), batch_size),
        rows=_padded(index, batch_size, filling=-1),
    )


def _moved(feed: Feed, name: str, index: NDArray[np.int64], maps: Maps | None) -> NDArray[Any]:
    """The pictures of these rows at the batch's size.  (b, h, w, c)"""
    pictures, size, border = feed.pictures[name], feed.size, feed.augment.border
    if maps is None or maps.is_whole_pixel:
        many = pictures.read_many(index, size)
        if many is None or many.shape[1:3] != size:
            read = (pictures.read(int(i), size) for i in index) if many is None else iter(many)
            many = np.stack([resize(one, size) for one in read])
        return many if maps is None else shift_many(many, maps, border)
    return np.stack([warp_read(pictures.read(int(i), size), maps, j, border) for j, i in enumerate(index)])


def _may_mirror(targets: Mapping[str, Target], encoded: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_] | bool:
    allowed: NDArray[np.bool_] | bool = True
    for name, target in targets.items():
        allowed = allowed & target.may_mirror(encoded[name])
    return allowed


def _mirrored_inputs(rows: Dataset, fields: Mapping[str, Field], inputs: FittedInputs) -> Inputs | None:
    """The inputs as they are when every picture is mirrored; None where no input says that a mirror changes it."""
    table = rows.table.copy(deep=False)
    changed = False
    for name, one in fields.items():
        if isinstance(one, NumberField) and one.mirror == "negate":
            table[name] = -rows.values(name, one)
            changed = True
        elif isinstance(one, LabelField) and isinstance(one.mirror, dict):
            other = one.mirror | {b: a for a, b in one.mirror.items() if b not in one.mirror}
            table[name] = [other.get(value, value) for value in rows.values(name, one)]
            changed = True
    return inputs.transform(replace(rows, table=table)) if changed else None


def _single(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as float32, what networks compute in; codes as they are."""
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    return (0.0, float(np.iinfo(dtype).max)) if dtype.kind in "iu" else (0.0, 1.0)


def _padded(values: NDArray[Any], length: int, filling: int = 0) -> NDArray[Any]:
    if len(values) == length:
        return values
    out = np.full((length, *values.shape[1:]), filling, dtype=values.dtype)
    out[: len(values)] = values
    return out
