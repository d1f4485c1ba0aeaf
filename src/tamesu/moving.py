"""The table's values as a map leaves them, and which maps the values of a row allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import is_off, limits
from tamesu.fields import Field
from tamesu.maps import Maps, make_maps
from tamesu.symmetry import N_ELEMENTS

if TYPE_CHECKING:
    from tamesu.config import AugmentConfig
    from tamesu.dataset import Dataset


def elements_drawn(augment: AugmentConfig) -> tuple[int, ...]:
    """The symmetries of the square, beside none, that this augmentation comes near (see `Maps.elements`)."""
    rotates_far = not is_off(augment.rotate_deg) and max(map(abs, limits(augment.rotate_deg))) >= 45
    turns = {0, 1, 2, 3} if augment.turn or rotates_far else {0}
    flipped = {(k + 2) % 4 for k in turns}
    elements = set(turns)
    if augment.mirror:
        elements |= {4 + k for k in turns}
    if augment.flip:
        elements |= {4 + k for k in flipped}
    if augment.mirror and augment.flip:
        elements |= flipped
    return tuple(sorted(elements - {0}))


def moved_rows(rows: Dataset, fields: Mapping[str, Field], element: int) -> Dataset | None:
    """The rows with their table as it is when every picture is moved by one symmetry; None where that changes nothing.

    Args:
        fields: Inputs, by name. One that says nothing about mirrors or turns stays; one that changes places with another
            takes its values.
        element: 4 if mirrored, plus quarter turns after that.
    """
    maps = symmetry_maps(element, len(rows))
    table = rows.table.copy(deep=False)
    changed = False
    for name, field in fields.items():
        partner = field.swap_with if element >= 4 else None
        source = partner if partner is not None and partner in rows.table else name
        if source not in rows.table:
            continue
        values = decided(field).act(rows.values(source, field), maps)
        if not _same(rows.values(name, field), values):
            table[name] = values if values.ndim == 1 else list(map(tuple, values))
            changed = True
    return replace(rows, table=table) if changed else None


def allowed_elements(rows: Dataset, fields: Mapping[str, Field]) -> NDArray[np.bool_] | None:
    """Which symmetries the inputs of each row allow; None where all do.  (n, 8)"""
    allowed = np.ones((len(rows), N_ELEMENTS), dtype=bool)
    for name, field in fields.items():
        if name in rows.table:
            values = rows.values(name, field)
            for element in range(1, N_ELEMENTS):
                allowed[:, element] &= decided(field).allows(values, symmetry_maps(element, len(rows)))
    return None if allowed.all() else allowed


def decided(field: Field) -> Field:
    """An input that says nothing about mirrors or turns, as one that they leave as it is."""
    mute = {name: "same" for name in ("mirror", "turn") if getattr(field, name, "same") is None}
    return field.model_copy(update=mute) if mute else field


def symmetry_maps(element: int, n: int) -> Maps:
    """One symmetry of the square, for n rows."""
    one = make_maps((2, 2), mirrored=element >= 4, turns=element % 4)
    return one[np.zeros(n, dtype=np.int64)]


def _same(one: Any, other: Any) -> bool:
    kind = np.asarray(one).dtype.kind
    return bool(np.array_equal(one, other, equal_nan=kind == "f"))
