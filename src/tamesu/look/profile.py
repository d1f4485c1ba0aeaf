"""Every column of every population on the same axes: histograms, quantiles, shares, lengths; figures only, no findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.look.columns import EMPTY, Column
from tamesu.look.finding import Part
from tamesu.look.material import TEST, TRAIN, Material
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MAX_COLUMNS = 300  # profiled in full; the document stays small
MAX_POPULATIONS = 6  # as many as colours that can be told apart
MAX_LEVELS = 12  # of a category
MAX_CLASSES = 60
N_BINS = 30
LOW_QUANTILE, HIGH_QUANTILE = 0.005, 0.995  # of what is drawn; the rest is counted at the ends
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LOG_RATIO = 100.0  # of the upper to the lower end, from which a logarithmic axis shows more
EXAMPLES, EXAMPLE_LENGTH = 3, 80
WHOLE_LIMIT, HUGE = 2.0**50, 1.7e308  # up to here a half is exact; about the largest number there is


class Sides(NamedTuple):
    """What is held side by side."""

    by: str
    names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]
    n_left_out: int = 0


def find_profile(material: Material, progress: Progress | None = None) -> Part:
    """Describes every column, and every property of pictures and series, in each population.

    Args:
        material: All rows.
        progress: Told ("profile", columns done, columns in all).

    Returns:
        No findings. Figures: `by`, `populations` (names), `n` (rows of each), `columns` (the target first) and
        `labels` (`names`, and `counts` by population) where the target is one class a row. Of a column: `name`, `kind`,
        `source` (table or measured), `missing` (share by population), `n_distinct`, `distance` (largest total variation
        distance, 0–1, of a population from the first); of numbers and dates `low`, `high`, `log`, `counts`, `below`, `above`,
        `quantiles` (of `QUANTILES`); of categories `levels`, `shares`, `other`; of text `lengths` (as quantiles), `examples`.
    """
    sides = _sides(material)
    wanted = list(_wanted(material))
    warnings = []
    if len(wanted) > MAX_COLUMNS:
        names = ", ".join(f"`{name}`" for name, _ in wanted[MAX_COLUMNS : MAX_COLUMNS + 3])
        text = say(
            "{n} columns are profiled; {m} further ones are not ({names} …).",
            n=MAX_COLUMNS,
            m=len(wanted) - MAX_COLUMNS,
            names=names,
        )
        warnings.append(text)
        wanted = wanted[:MAX_COLUMNS]
    if sides.n_left_out:
        text = say("{n} populations are drawn; the {m} smallest ones are not.", n=len(sides.names), m=sides.n_left_out)
        warnings.append(text)
    columns = []
    for i, (name, values) in enumerate(wanted):
        columns.append(_of_column(values, sides) if isinstance(values, Column) else _of_numbers(name, values, sides))
        if progress is not None:
            progress("profile", i + 1, len(wanted))
    figures: dict[str, Any] = {
        "by": sides.by,
        "populations": list(sides.names),
        "n": [len(rows) for rows in sides.rows],
        "columns": columns,
    }
    if material.classes and len(material.labels) == len(material):
        figures["labels"] = _labels(material, sides)
    return Part(figures=figures, warnings=tuple(warnings))


def _sides(material: Material) -> Sides:
    """The populations, the first and then the largest; all rows of each table where there are none."""
    found = material.populations
    if found is None:
        tables = [("train", TRAIN), ("test", TEST)]
        rows = [(name, np.flatnonzero(material.table == code)) for name, code in tables]
        rows = [(name, one) for name, one in rows if len(one) or name == "train"]
        return Sides("table", tuple(name for name, _ in rows), tuple(one for _, one in rows))
    counts = np.bincount(found.of[found.of >= 0], minlength=len(found.names))
    others = 1 + np.argsort(-counts[1:], kind="stable")[: MAX_POPULATIONS - 1]
    kept = [0, *sorted(int(i) for i in others)] if found.names else []
    return Sides(
        found.by,
        tuple(found.names[i] for i in kept),
        tuple(np.flatnonzero(found.of == i) for i in kept),
        len(found.names) - len(kept),
    )


def _wanted(material: Material) -> Iterator[tuple[str, Column | NDArray[Any]]]:
    """What is profiled: the target, declared columns, the others, then what was measured of pictures and series."""
    names_pictures = set(material.pictures)
    columns = [
        one
        for name, one in material.columns.items()
        if name != material.id_column and one.field not in names_pictures and name not in names_pictures
    ]
    for one in sorted(columns, key=lambda one: (not one.is_target, not one.declared)):
        yield one.name, one
    measured: dict[str, NDArray[Any]] = {}
    for field, facts in material.pictures.items():
        for name, sides in (("height", facts.heights), ("width", facts.widths)):
            measured[f"{field}.{name}"] = np.where(facts.whole, sides, np.nan)
        measured |= {f"{field}.{name}": values for name, values in facts.properties.items()}
    measured |= material.properties
    for name, values in measured.items():
        if len(values) == len(material):
            yield name, values


def _of_column(column: Column, sides: Sides) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "source": "table",
        "n_distinct": int(column.n_distinct),
        "missing": _shares([column.empty[rows] for rows in sides.rows]),
    }
    if column.declared:
        figures["declared"] = column.declared
    if column.is_target:
        figures["is_target"] = True
    if column.kind in ("number", "date"):
        figures |= _histogram([column.numbers[rows] for rows in sides.rows])
    elif column.kind == "category":
        figures |= _levels(column, sides)
    elif column.kind == "text":
        figures |= _lengths(column, sides)
    return figures


def _of_numbers(name: str, values: NDArray[Any], sides: Sides) -> dict[str, Any]:
    by_side = [np.asarray(values[rows], dtype=np.float64) for rows in sides.rows]
    return {
        "name": name,
        "kind": "number",
        "source": "measured",
        "missing": _shares([np.isnan(one) for one in by_side]),
        **_histogram(by_side),
    }


def _histogram(by_side: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Numbers of each population in the same bins."""
    finite = [np.sort(one[np.isfinite(one)]) for one in by_side]
    known = [one for one in finite if len(one)]
    if not known:
        return {
            "low": None,
            "high": None,
            "log": False,
            "counts": [],
            "below": [],
            "above": [],
            "quantiles": [],
            "distance": 0.0,
        }
    low = min(float(_quantile(one, LOW_QUANTILE)) for one in known)
    high = max(float(_quantile(one, HIGH_QUANTILE)) for one in known)
    median = min(float(_quantile(one, 0.5)) for one in known)
    low, high, n_bins, is_log = _axis(low, high, median, all((one == np.rint(one)).all() for one in known))
    counts, below, above = [], [], []
    for values, ordered in zip(by_side, finite, strict=True):
        inside = ordered[(ordered >= low) & (ordered <= high)]
        start, stop, place = (math.log(low), math.log(high), np.log(inside)) if is_log else (low, high, inside)
        shares = (place / 2 - start / 2) / (stop / 2 - start / 2)  # halves: the span of huge numbers would not be finite
        bins = np.clip((shares * n_bins).astype(np.int64), 0, n_bins - 1)
        counts.append(np.bincount(bins, minlength=n_bins).tolist())
        below.append(int((values < low).sum()))
        above.append(int((values > high).sum()))
    span = high - low
    return {
        "low": _rounded(low, span if not is_log else low),
        "high": _rounded(high, span),
        "log": is_log,
        "counts": counts,
        "below": below,
        "above": above,
        "quantiles": [[_rounded(float(_quantile(one, q)), span) for q in QUANTILES] if len(one) else None for one in finite],
        "distance": _distance([[low_n, *row, high_n] for low_n, row, high_n in zip(below, counts, above, strict=True)]),
    }


def _axis(low: float, high: float, median: float, is_whole: bool) -> tuple[float, float, int, bool]:
    """Ends of the axis, how many bins it has, and whether it is logarithmic."""
    size = max(abs(low), abs(high))
    if is_whole and high - low <= N_BINS and size < WHOLE_LIMIT:
        return low - 0.5, high + 0.5, int(high - low) + 1, False  # a bin for each, so that none is empty by accident
    if high - low <= max(1e-14 * size, 1e-300):  # one number, but for rounding
        room = 0.5 * size if size > 1e-300 else 0.5
        return max(low - room, -HUGE), min(high + room, HUGE), 1, False
    return low, high, N_BINS, low > 0 and high / low > LOG_RATIO and (median - low) < 0.1 * (high - low)


def _levels(column: Column, sides: Sides) -> dict[str, Any]:
    """The most frequent levels, each population counting alike so that a level of a small one is not lost."""
    k = len(column.levels)
    counts = [np.bincount(codes[codes >= 0], minlength=k) for codes in (column.codes[rows] for rows in sides.rows)]
    totals = [int((column.codes[rows] != EMPTY).sum()) for rows in sides.rows]
    shares = [count / max(1, total) for count, total in zip(counts, totals, strict=True)]
    order = np.argsort(-np.sum(shares, axis=0), kind="stable")[:MAX_LEVELS]
    order = order[np.sum(shares, axis=0)[order] > 0]
    rest = [total - int(count[order].sum()) for count, total in zip(counts, totals, strict=True)]
    return {
        "levels": [_cut(column.levels[i]) for i in order],
        "shares": [[_share(value) for value in share[order]] for share in shares],
        "other": [_share(n / max(1, total)) for n, total in zip(rest, totals, strict=True)],
        "distance": _distance([[*count, total - int(count.sum())] for count, total in zip(counts, totals, strict=True)]),
    }


def _lengths(column: Column, sides: Sides) -> dict[str, Any]:
    lengths = np.array([len(str(level)) for level in column.levels], dtype=np.float64)
    found = []
    for rows in sides.rows:
        codes = column.codes[rows]
        ordered = np.sort(lengths[codes[codes >= 0]])
        found.append([round(float(_quantile(ordered, q))) for q in QUANTILES] if len(ordered) else None)
    return {
        "lengths": found,
        "examples": [_cut(level, EXAMPLE_LENGTH) for level in column.levels[:EXAMPLES]],
        "distance": 0.0,
    }


def _labels(material: Material, sides: Sides) -> dict[str, Any]:
    k = len(material.classes)
    counts = []
    for rows in sides.rows:
        labels = material.labels[rows]
        counts.append(np.bincount(labels[labels >= 0], minlength=k))
    total = np.sum(counts, axis=0) if counts else np.zeros(k)
    order = np.argsort(-total, kind="stable")[:MAX_CLASSES]
    return {
        "names": [material.classes[i] for i in order],
        "counts": [count[order].tolist() for count in counts],
        "n_left_out": k - len(order),
    }


def _distance(counts: Sequence[Sequence[int]]) -> float:
    """The largest total variation distance of a population from the first; 0 where one of the two is empty."""
    parts = [np.asarray(one, dtype=np.float64) for one in counts]
    if not parts or parts[0].sum() == 0:
        return 0.0
    first = parts[0] / parts[0].sum()
    return _share(max((0.5 * float(np.abs(one / one.sum() - first).sum()) for one in parts[1:] if one.sum() > 0), default=0.0))


def _quantile(ordered: NDArray[np.float64], q: float) -> float:
    """Of sorted numbers, between neighbours as `np.quantile` has it; without overflow for huge ones."""
    at = q * (len(ordered) - 1)
    left = math.floor(at)
    right = min(left + 1, len(ordered) - 1)
    return float(ordered[left] * (1 - (at - left)) + ordered[right] * (at - left))


def _shares(masks: Sequence[NDArray[np.bool_]]) -> list[float | None]:
    return [_share(float(one.mean())) if len(one) else None for one in masks]


def _share(value: float) -> float:
    return round(float(value), 4)


def _rounded(value: float, span: float) -> float:
    """To four figures of the span: a year among years keeps its last digit."""
    if not math.isfinite(span) or span == 0:
        return float(value)
    return round(float(value), max(0, min(320, 4 - math.floor(math.log10(abs(span))))))


def _cut(value: object, length: int = 40) -> str:
    text = str(value)
    return text if len(text) <= length else text[: length - 1] + "…"


__all__ = ["MAX_COLUMNS", "QUANTILES", "find_profile"]
