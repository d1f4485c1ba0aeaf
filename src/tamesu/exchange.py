"""Values of inputs exchanged among the scored rows of one fold, and what that does to each row's loss.

Nothing is trained here, and a row never gets a value from outside its own fold. A field is exchanged as the table or the file
has it, before preprocessing: whatever is made of it (one-hot columns, an indicator of missing values, channels) follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.agreement import picture_of

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """What is exchanged together.

    Attributes:
        name: The field's, or that of several.
        kind: The field's, or group.
        fields: One, or those that are one source.
    """

    name: str
    kind: str
    fields: tuple[str, ...]


def find_units(recipe: Recipe) -> tuple[Unit, ...]:
    """Every input by itself; then what belongs together: `model.groups`, and pictures with what lies on them."""
    inputs = recipe.inputs
    units = [Unit(name, field.kind, (name,)) for name, field in inputs.items()]
    together = {name: tuple(one for one in group.fields if one in inputs) for name, group in recipe.model.groups.items()}
    versions = {name: [field] for name, field in inputs.items()}
    lies_on = {name: picture_of(name, field, versions) for name, field in inputs.items() if hasattr(field, "of")}
    for below in dict.fromkeys(one for one in lies_on.values() if one in inputs):
        fields = (below, *(name for name, of in lies_on.items() if of == below))
        together.setdefault(" + ".join(fields), fields)
    known: set[frozenset[str]] = {frozenset(one.fields) for one in units}
    for name, fields in together.items():
        if frozenset(fields) not in known and fields:
            known.add(frozenset(fields))
            units.append(Unit(name, "group", fields))
    return tuple(units)


def draw_donors(n: int, n_repeats: int, seed: int) -> NDArray[np.int64]:
    """Whose values each row is given: each time a permutation, never its own, any other's as likely.  (r, n)

    A plain permutation leaves one row in n where it was, which makes effects in small folds look smaller than they are.
    """
    rng = np.random.default_rng(seed)
    donors = np.empty((n_repeats, n), dtype=np.int64)
    for one in donors:
        order = rng.permutation(n)
        one[order] = np.roll(order, rng.integers(1, n))
    return donors


@dataclass(frozen=True, eq=False)
class Asked:
    """A fold model and its scored rows, of which it has no targets.

    Attributes:
        predict: (m', …) predictions of any rows.
        rows: Scored in this fold, without what is predicted.  m
        reference: Predictions of them as they are.  (m, …)
        losses: (m, …) predictions of all of them to (s, m), the loss of each row on s scales.
    """

    predict: Callable[[Dataset], NDArray[Any]]
    rows: Dataset
    reference: NDArray[Any]
    losses: Callable[[NDArray[Any]], Array]


def exchanged(asked: Asked, units: Sequence[Unit], donors: NDArray[np.int64]) -> Iterator[tuple[Array, int]]:
    """For each unit the change of every row's loss, mean over exchanges (s, m), and how many values were others than before.

    Only rows that got another value are predicted again: the change of the others is 0, exactly.

    Args:
        asked: A fold.
        units: What to exchange, one after the other.
        donors: Positions in the fold.  (r, m)
    """
    before = asked.losses(asked.reference)
    for unit in units:
        moved = np.zeros(donors.shape, dtype=bool)
        for name in unit.fields:
            codes = _codes(asked.rows, name)
            moved |= codes[donors] != codes
        if not moved.any():
            yield np.zeros_like(before), 0
            continue
        taking, giving = np.nonzero(moved)[1], donors[moved]
        predicted = asked.predict(asked.rows.take(taking).with_cells(unit.fields, asked.rows.take(giving)))
        change, end = np.zeros_like(before), np.cumsum(moved.sum(axis=1))
        for at, part in zip(moved, np.split(predicted, end[:-1]), strict=True):
            whole = asked.reference.copy()
            whole[at] = part
            change += asked.losses(whole) - before
        yield change / len(donors), int(moved.sum())


def _codes(rows: Dataset, name: str) -> NDArray[np.int64]:
    """The same number where a field holds the same cell; pictures, and cells of many numbers, all count as different.  (n,)"""
    if name in rows.pictures:
        return np.arange(len(rows))
    try:
        return pd.factorize(rows.table[name])[0]
    except TypeError:  # lists, arrays and rows of a side table have no hash
        return np.arange(len(rows))
