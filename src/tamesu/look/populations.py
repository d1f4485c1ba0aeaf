"""Which rows are held side by side: train and test, or the values of a column."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import ConfigError, suggest
from tamesu.guess import SPLIT_NAMES
from tamesu.look.columns import Column
from tamesu.look.material import Populations
from tamesu.texts import say

MOST = 6  # values of a column that are compared


def make_populations(
    compare: str, columns: Mapping[str, Column], table: NDArray[np.int8], *, has_test: bool, splits: str = ""
) -> tuple[Populations | None, str]:
    """The populations asked for, or those that are there.

    Args:
        compare: "train:test", a column's name, "column=a:b", or "" for the test table, else a column called split.
        columns: All columns.
        table: 0 for rows of the training table, 1 for those of the test table.  (n,)
        has_test: There is a test table, be it empty.
        splits: A column that is never taken by itself: the target.

    Returns:
        The populations, and why there are none.

    Raises:
        ConfigError: The column or the value is not there.
    """
    if not compare:
        if has_test:
            return _tables(table)
        found = next((c for c in columns.values() if c.name.lower() in SPLIT_NAMES and c.name != splits), None)
        if found is None or not 2 <= len(found.levels) <= MOST:
            return None, say("There is one table, and no column says which rows are of another kind; name one with --compare.")
        return _of_column(found, ())
    if "=" in compare or compare in columns:
        name, _, values = compare.partition("=") if compare not in columns else (compare, "", "")
        if name not in columns:
            raise ConfigError(
                say("--compare: must name a column; got {name}.{hint}", name=repr(name), hint=suggest(name, columns))
            )
        return _of_column(columns[name], tuple(one.strip() for one in values.split(":") if one.strip()))
    wanted = tuple(one.strip() for one in compare.split(":"))
    if wanted == ("train", "test") and has_test:
        return _tables(table)
    holding = [one for one in columns.values() if len(wanted) > 1 and set(wanted) <= set(map(str, one.levels))]
    if len(holding) != 1:
        known = ", ".join(repr(one.name) for one in columns.values() if 2 <= len(one.levels) <= MOST)
        raise ConfigError(
            say(
                "--compare: must be train:test (with data.test), a column, or column=a:b; got {given}. "
                "Columns of few values: {known}.",
                given=repr(compare),
                known=known or "–",
            )
        )
    return _of_column(holding[0], wanted)


def _tables(table: NDArray[np.int8]) -> tuple[Populations | None, str]:
    counts = np.bincount(table, minlength=2)
    if counts.min() == 0:
        empty = "data.train" if counts[0] == 0 else "data.test"
        return None, say("{table} has no rows: train and test cannot be held side by side.", table=empty)
    return Populations("table", ("train", "test"), table.astype(np.int64)), ""


def _of_column(column: Column, wanted: tuple[str, ...]) -> tuple[Populations | None, str]:
    levels = [str(one) for one in column.levels]
    missing = [one for one in wanted if one not in levels]
    if missing:
        raise ConfigError(
            say(
                "--compare: {value} must be a value of `{column}`; it has {known}.{hint}",
                value=repr(missing[0]),
                column=column.name,
                known=", ".join(map(repr, levels[:MOST])),
                hint=suggest(missing[0], levels),
            )
        )
    names = wanted or _in_order(levels[:MOST])
    if len(names) < 2:
        return None, say("`{column}` has fewer than two values: there is nothing to hold side by side.", column=column.name)
    place = {name: i for i, name in enumerate(names)}
    of_level = np.array([place.get(level, -1) for level in levels] + [-1, -1], dtype=np.int64)
    return Populations(column.name, tuple(names), of_level[column.codes]), ""


def _in_order(levels: list[str]) -> tuple[str, ...]:
    """`train` first and `test` after it; others by name."""
    return tuple(sorted(levels, key=lambda one: (one.lower() not in ("train", "gallery", "database"), one)))
