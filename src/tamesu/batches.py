"""Rows as batches of one static shape: read, moved, lit, mixed and encoded, by threads that work ahead.

`make_batches` goes through the rows of a `Feed` once. Training batches are shuffled and augmented, and every random number
is a pure function of (seed, row id, epoch); scoring batches are in order, plain, or seen through maps that are asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.arrows import turn_arrows
from tamesu.augment import vary
from tamesu.augment.mixing import mix
from tamesu.augment.paste import paste
from tamesu.balance import epoch_rows, repeated_keys
from tamesu.channels import position_channels, position_numbers
from tamesu.draws import Draws, make_draws
from tamesu.feed import Feed
from tamesu.fields import Field
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps, whole_frames
from tamesu.stacks import depth_channels, position_group, stack_of
from tamesu.warp import view

N_AHEAD = 4  # batches made before they are asked for
InnerMaps = Callable[[NDArray[np.int64]], Maps | None]  # for rows, the maps of the frame they are seen through


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows, always `batch_size` of them: the last places of a batch may be padding, of weight 0.

    Attributes:
        pictures: By group of channels (see `stacks`), uint8, uint16 or float32; NaN: no reading.  (b, h, w, c)
            Where the feed `tells_places`, those of position are (b, 2, 4).
        table: Numbers, standardised.  (b, f) float32
        categories: Codes for embeddings.  (b, g) int64
        targets: By target, encoded, as the loss takes it; empty when scoring.
        weight: 1 for a row, 0 for padding.  (b,) float32
        known: By target that some rows lack: 1 where there is a value.  (b,) float32
        laws: By target that needs them, values of inputs in their own units.  (b, g) float32
        series: By series field, padded with 0 at the end.  (b, t, c) float32
        lengths: Of those, in steps.  (b,) int64
        rows: Positions in the dataset; -1 for padding.  (b,) int64
        partner: With which row of the batch each is mixed; None where nothing is.  (b,) int64
        share: How much of each row is its own.  (b,) float32
        maps: By picture field, from original pixels to the frame, of the rows that are not padding.
    """

    pictures: dict[str, NDArray[Any]]
    table: NDArray[np.float32]
    categories: NDArray[np.int64]
    targets: dict[str, NDArray[Any]]
    weight: NDArray[np.float32]
    rows: NDArray[np.int64]
    known: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    laws: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    series: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    lengths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    partner: NDArray[np.int64] | None = None
    share: NDArray[np.float32] | None = None
    maps: Mapping[str, Maps] | None = None

    @property
    def n_real(self) -> int:
        """Rows that are not padding; they come first."""
        return int(np.count_nonzero(self.weight))


def make_batches(
    feed: Feed,
    batch_size: int,
    *,
    epoch: int | None = None,
    seed: int = 0,
    n_threads: int = 1,
    n_ahead: int = N_AHEAD,
    inner: InnerMaps | None = None,
) -> Iterator[Batch]:
    """Goes through the rows once.

    Rows are spread evenly: with batches of 32, 33 rows come as 17 and 16, not as 32 and 1, so that no step stands on a
    handful of rows. A batch has `batch_size` places all the same; those left over are padding.

    Args:
        epoch: Which epoch of training, from 0: shuffled and augmented. None: in order, as they are.
        seed: With the epoch and the row's id decides every random number.
        n_threads: Threads that make batches ahead; 0 makes each when it is asked for.
        n_ahead: How many batches may wait, at most.
        inner: When scoring, maps of the frame that pictures are seen through; None: as they are.

    Yields:
        Batches of `batch_size` places. Closing the iterator stops the threads.

    Raises:
        Exception: Whatever went wrong in a thread, when its batch is asked for.
    """
    order, draws = rows_of_epoch(feed, epoch, seed)
    parts = np.array_split(np.arange(len(order)), max(1, -(-len(order) // batch_size))) if len(order) else []

    def make(part: NDArray[np.int64]) -> Batch:
        if draws is None:
            return _scored_batch(feed, order[part], batch_size, inner)
        return _training_batch(feed, order[part], batch_size, Draws(draws.keys[part]))

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


def rows_of_epoch(feed: Feed, epoch: int | None, seed: int) -> tuple[NDArray[np.int64], Draws | None]:
    """Which rows come in which order, and the random numbers of each; no random numbers when scoring.  (n,)"""
    if epoch is None:
        return np.arange(len(feed)), None
    draws = make_draws(feed.keys, seed, epoch)
    if feed.weights is None:
        order = np.argsort(draws.bits("order"), kind="stable")
        return order, Draws(draws.keys[order])
    order, occurrence = epoch_rows(feed.weights, draws, draws.bits("order"), feed.classes)
    return order, Draws(repeated_keys(draws.keys[order], occurrence))


def draw_batch_maps(feed: Feed, index: NDArray[np.int64], draws: Draws) -> Maps:
    """The maps of the frame that these rows are moved by in training, as their targets and inputs allow."""
    strength = None if feed.strength is None else feed.strength[index]
    return draw_maps(feed.augment, feed.size, draws, lambda maps: allowed_rows(feed, index, maps), strength)


def full_maps(feed: Feed, index: NDArray[np.int64], inner: Maps | None) -> dict[str, Maps]:
    """By picture field, from the original pixels of these rows to the frame."""
    out = {}
    for name, all_shapes in feed.shapes.items():
        shapes = all_shapes[index]
        partner = feed.fields[name].swap_with
        if inner is not None and partner is not None and partner in feed.pictures:
            shapes = np.where(inner.mirrored[:, None], feed.shapes[partner][index], shapes)
        frames = whole_frames(shapes, feed.size, feed.resize)
        out[name] = frames if inner is None else frames.then(inner)
    return out


def maps_of(field: Field, maps: Mapping[str, Maps]) -> Maps:
    """The maps of the picture that a field belongs to: the one it names, or the first."""
    of = getattr(field, "of", None)
    return maps[of] if of is not None and of in maps else next(iter(maps.values()))


def moved_targets(feed: Feed, index: NDArray[np.int64], maps: Mapping[str, Maps]) -> dict[str, NDArray[Any]]:
    """What is trained for these rows once their pictures are moved; as encoded where there are no pictures."""
    out = {}
    for name, target in feed.targets.items():
        if name not in feed.encoded:
            continue
        own = maps_of(target.field, maps) if maps else None
        values = feed.encoded[name][index]
        out[name] = values if own is None else target.move(_exchanged(feed, name, index, own), own)
    return out


def _training_batch(feed: Feed, index: NDArray[np.int64], batch_size: int, draws: Draws) -> Batch:
    if not feed.pictures:
        return _padded_batch(
            feed, index, batch_size, {}, feed.inputs.table[index], feed.inputs.categories[index], moved_targets(feed, index, {})
        )
    inner = draw_batch_maps(feed, index, draws)
    maps = full_maps(feed, index, inner)
    targets = moved_targets(feed, index, maps)
    table, categories = _moved_inputs(feed, index, inner)
    pictures = {name: seen_pictures(feed, name, index, inner) for name in feed.pictures}
    if feed.augment.paste:
        pictures, targets = paste(feed, index, pictures, targets, maps, draws)
    targets |= {name: one.encode_seen(pictures[name]) for name, one in feed.targets.items() if one.spread == "pixels"}
    pictures = {name: varied_pictures(feed, name, index, pictures[name], draws) for name in feed.given}
    mixes = bool(feed.augment.mixup or feed.augment.cutmix)
    given = {} if mixes else channel_groups(feed, pictures, maps)
    batch = _padded_batch(feed, index, batch_size, given, table, categories, targets)
    if not mixes:
        return replace(batch, maps=maps)
    kinds = {name: feed.fields[name].kind for name in feed.given}
    mixed = mix(pictures, kinds, feed.augment, draws)
    partner, share = mixed.padded(batch_size)
    given = channel_groups(feed, mixed.pictures, maps)
    return replace(
        batch,
        pictures={name: _padded(values, batch_size) for name, values in given.items()},
        table=_padded(mixed.table(table), batch_size),
        partner=partner,
        share=share,
        maps=maps,
    )


def _scored_batch(feed: Feed, index: NDArray[np.int64], batch_size: int, inner_maps: InnerMaps | None) -> Batch:
    inner = None if inner_maps is None else inner_maps(index)
    pictures = {name: seen_pictures(feed, name, index, inner) for name in feed.given}
    table, categories = feed.inputs.table[index], feed.inputs.categories[index]
    if inner is not None:
        table, categories = _moved_inputs(feed, index, inner)
    maps = full_maps(feed, index, inner)
    given = channel_groups(feed, pictures, maps)
    batch = _padded_batch(feed, index, batch_size, given, table, categories, moved_targets(feed, index, {}))
    return replace(batch, maps=maps) if feed.pictures else batch


def seen_pictures(feed: Feed, name: str, index: NDArray[np.int64], inner: Maps | None) -> NDArray[Any]:
    """The pictures of these rows through the maps; mirrored ones come from the field they change places with.  (b, h, w, c)"""
    field = feed.fields[name]
    partner = field.swap_with if field.swap_with in feed.pictures else None
    sides = [(name, np.arange(len(index)))]
    if inner is not None and partner is not None and inner.mirrored.any():
        sides = [(name, np.flatnonzero(~inner.mirrored)), (partner, np.flatnonzero(inner.mirrored))]
    parts = [
        view(
            feed.pictures[source],
            index[rows],
            None if inner is None else inner[rows],
            field,
            feed.size,
            feed.resize,
            feed.augment.border,
        )
        for source, rows in sides
        if len(rows)
    ]
    seen = parts[0] if len(parts) == 1 else np.concatenate(parts)[np.argsort(np.concatenate([rows for _, rows in sides]))]
    return seen if inner is None else field.act(seen, inner)


def channel_groups(feed: Feed, pictures: Mapping[str, NDArray[Any]], maps: Mapping[str, Maps]) -> dict[str, NDArray[Any]]:
    """The pictures a learner is given with what is computed from them as they are seen, by group.  (b, h, w, c)"""
    out = {}
    for name, values in pictures.items():
        out[name] = depth_channels(values, maps[name], feed.fields[name], feed.channels)
    if feed.channels.places:
        main = [name for name in pictures if stack_of(name, feed.fields, feed.given, feed.fusion) == name]
        for name in main:
            own = maps[name]
            seen = position_numbers(own) if feed.tells_places else position_channels(own, feed.size, feed.channels)
            out[position_group(name)] = seen
    return out


def varied_pictures(feed: Feed, name: str, index: NDArray[np.int64], seen: NDArray[Any], draws: Draws) -> NDArray[Any]:
    """Pictures of these rows in another light, through another sensor, with patches: as training has them.  (b, h, w, c)"""
    low, high = feed.ranges.get(name, range_of(seen.dtype))
    strength = None if feed.strength is None else feed.strength[index]
    return vary(seen, feed.fields[name], feed.augment, draws, low, high, strength, name)


def allowed_rows(feed: Feed, index: NDArray[np.int64], maps: Maps) -> NDArray[np.bool_]:
    """The rows whose targets and inputs say what they are once seen through these maps of the frame.  (b,)"""
    allowed = np.ones(len(index), dtype=bool)
    if feed.allowed is not None:
        allowed &= feed.allowed[index, maps.elements]
    for one in feed.fields.values():
        allowed &= one.allows(None, maps)
    for name, target in feed.targets.items():
        if name in feed.encoded:
            fine = target.allows(_exchanged(feed, name, index, maps), maps)
            allowed &= fine | ~feed.known[name][index] if name in feed.known else fine
    return allowed


def _exchanged(feed: Feed, name: str, index: NDArray[np.int64], maps: Maps) -> NDArray[Any]:
    """A target's values, those of mirrored rows taken from the field it changes places with."""
    own = feed.encoded[name][index]
    if name not in feed.partners:
        return own
    side = maps.mirrored.reshape(-1, *(1,) * (own.ndim - 1))
    return np.where(side, feed.partners[name][index], own)


def _moved_inputs(feed: Feed, index: NDArray[np.int64], inner: Maps) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    table, categories = feed.inputs.table[index], feed.inputs.categories[index]
    for element, moved in feed.moved_inputs.items():
        hit = inner.elements == element
        if hit.any():
            table, categories = table.copy(), categories.copy()
            table[hit], categories[hit] = moved.table[index[hit]], moved.categories[index[hit]]
    return turn_arrows(table, feed.inputs.arrows, inner), categories


def _padded_batch(
    feed: Feed,
    index: NDArray[np.int64],
    batch_size: int,
    pictures: Mapping[str, NDArray[Any]],
    table: NDArray[np.float32],
    categories: NDArray[np.int64],
    targets: Mapping[str, NDArray[Any]],
) -> Batch:
    trained = {name: feed.targets[name].as_trained(values) for name, values in targets.items()}
    return Batch(
        pictures={name: _padded(values, batch_size) for name, values in pictures.items()},
        table=_padded(table, batch_size),
        categories=_padded(categories, batch_size),
        targets={name: _padded(values, batch_size) for name, values in trained.items()},
        weight=_padded(np.ones(len(index), dtype=np.float32), batch_size),
        rows=_padded(index, batch_size, filling=-1),
        known={name: _padded(known[index].astype(np.float32), batch_size) for name, known in feed.known.items()},
        laws={name: _padded(values[index].astype(np.float32), batch_size) for name, values in feed.laws.items()},
        series={name: _padded(one.values[index], batch_size) for name, one in feed.series.items()},
        lengths={name: _padded(one.lengths[index], batch_size) for name, one in feed.series.items()},
    )


def range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """What is black and what is white, where pictures do not say."""
    return (0.0, float(np.iinfo(dtype).max)) if dtype.kind in "iu" else (0.0, 1.0)


def _padded(values: NDArray[Any], length: int, filling: int = 0) -> NDArray[Any]:
    if len(values) == length:
        return values
    out = np.full((length, *values.shape[1:]), filling, dtype=values.dtype)
    out[: len(values)] = values
    return out
