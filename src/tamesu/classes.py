"""Classes as the training rows have them, and what makes a target impossible to learn."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields import Field, some_rows
from tamesu.texts import say

ONE_CLASS = frozenset({"label", "direction"})  # kinds whose value is one class
Typed = list[tuple[str, Field, Any]]  # name, one version of the field, its values


def in_order(classes: Iterable[str]) -> list[str]:
    """Classes as people sort them: by value if all are numbers, so that '10' follows '9'."""
    names = list(classes)
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)


def find_classes(typed: Typed) -> dict[tuple[str, str], tuple[str, ...]]:
    """(field name, kind) → the classes its rows have, in order; two labels that change places in a mirror share theirs."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, field, values in typed:
        if field.kind in ("label", "direction", "labels", "boxes", "steps"):
            found.setdefault((name, field.kind), set()).update(seen_classes(field, values))
    shared = {key: set(classes) for key, classes in found.items()}
    for name, field, _ in typed:
        partner = (str(field.swap_with), field.kind)
        if (name, field.kind) in found and partner in found:
            shared[name, field.kind] |= found[partner]
            shared[partner] |= found[name, field.kind]
    return {key: tuple(in_order(classes)) for key, classes in shared.items()}


def seen_classes(field: Field, values: Any) -> set[str]:
    """Every class among the values of a label, direction, labels, boxes or steps field."""
    if field.kind in ONE_CLASS:
        return {value for value in values if value is not None}
    if field.kind == "steps":
        return {name for value in values for name in value.names if name is not None}
    return set().union(*(value.names if field.kind == "boxes" else value for value in values))


def target_mistakes(where: str, kind: str, values: NDArray[Any], ids: NDArray[np.object_]) -> list[str]:
    """What makes a target impossible to learn or to score: missing, constant, or a class with one row.

    Args:
        values: As the field reads them; first axis n.
    """
    mistakes = []
    if kind == "events":  # a row without any is one in which nothing happens
        return [] if (~np.isnan(values)).any() else [say("{where}: the target must have an event in some row.", where=where)]
    missing = _missing(kind, values)
    if missing.any():
        rows = some_rows(ids, missing)
        mistakes.append(
            say("{where}: {rows} must have a target; got an empty cell. Leave such rows out.", where=where, rows=rows)
        )
    if kind == "steps":
        return mistakes + _steps_mistakes(where, values)
    there = values[~missing]
    counts = collections.Counter(there.tolist() if there.ndim == 1 else [row.tobytes() for row in there])
    if len(counts) == 1:
        value = there[:1].tolist()[0]
        mistakes.append(
            say("{where}: the target must have two values or more; got {value!r} in every row.", where=where, value=value)
        )
    elif kind in ONE_CLASS:
        for alone in in_order(label for label, n in counts.items() if n == 1):
            row = str(ids[np.flatnonzero(values == alone)[0]])
            mistakes.append(
                say(
                    "{where}: class {label!r} must have two rows or more; got one, {row!r}. Join it with another.",
                    where=where,
                    label=alone,
                    row=row,
                )
            )
    return mistakes


def _steps_mistakes(where: str, values: NDArray[Any]) -> list[str]:
    """One class at every step of every row."""
    seen = {name for one in values for name in one.names if name is not None}
    if len(seen) != 1:
        return []
    value = next(iter(seen))
    return [say("{where}: the target must have two values or more; got {value!r} in every row.", where=where, value=value)]


def _missing(kind: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    if kind == "steps":
        return np.array([all(name is None for name in one.names) for one in values], dtype=bool)
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=bool)
    gone = np.isnan(values.reshape(len(values), -1))
    return gone.all(axis=1) if kind == "points" else gone.any(axis=1)  # a point may be hidden
