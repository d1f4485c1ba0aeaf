"""Two populations side by side: can they be told apart, by what, and which rows of one look like the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamesu.look.columns import Column
from tamesu.look.features import make_features
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import MAX_ROWS, Separation, holm, sample, tell_apart
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MAX_PAIRS = 6
LEVEL = 0.01  # of the corrected p-values
LEAST_AUC = 0.55  # a classifier below this tells nothing that matters
LEAST_DISTANCE = 0.1  # largest gap between two distribution functions, or share of rows that would have to change level
LEAST_MISSING = 0.08  # difference of two shares of empty cells
LEAST_NEW = 0.01  # share of rows whose level the other population lacks
FEW = 10  # rows a population needs
SHOWN = 8  # columns that get a finding of their own
TYPICAL = 10  # rows named


@dataclass(frozen=True)
class Difference:
    """How one column differs between two populations."""

    column: str  # or "field.property"
    what: str  # values, missing, new, absent, date
    effect: float  # 0–1
    p_value: float
    sentence: str


def find_shift(material: Material, progress: Progress | None = None) -> Part:
    """What differs between the populations, by a cross-validated classifier and column by column.

    Args:
        material: What was read.
        progress: Not told anything.
    """
    populations = material.populations
    if populations is None:
        return Part(warnings=(material.why_alone,) if material.why_alone else ())
    findings: list[Finding] = []
    figures: dict[str, Any] = {}
    warnings: list[str] = []
    for first, second in list(populations.pairs())[:MAX_PAIRS]:
        rows = populations.rows(first), populations.rows(second)
        if min(map(len, rows)) < FEW:
            text = say(
                "{first} and {second}: fewer than {n} rows in one of them; too few to compare.",
                first=first,
                second=second,
                n=FEW,
            )
            warnings.append(text)
            continue
        differences = _differences(material, *rows, (first, second))
        told, chosen = _separation(material, *rows)
        kept = [one for one in differences if one.effect >= 0]
        kept.sort(key=lambda one: -one.effect)
        findings += _whole(material, told, chosen, kept, (first, second))
        findings += [_of_column(material, one) for one in kept[:SHOWN]]
        figures[f"{first} : {second}"] = {
            "auc": None if told is None else told.auc,
            "interval": None if told is None else [told.low, told.high],
            "columns": [{"column": one.column, "what": one.what, "effect": one.effect, "p_value": one.p_value} for one in kept],
        }
    return Part(tuple(findings), figures, tuple(warnings))


def _separation(
    material: Material, first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[Separation | None, NDArray[np.int64]]:
    chosen = np.concatenate([sample(first, MAX_ROWS // 2), sample(second, MAX_ROWS // 2)])
    y = np.arange(len(chosen)) >= min(len(first), MAX_ROWS // 2)
    leave_out = {material.populations.by} if material.populations else set()
    return tell_apart(make_features(material, chosen, leave_out=leave_out), y, _units(material, chosen)), chosen


def _units(material: Material, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Groups that are declared; rows of none are groups of their own."""
    if material.groups is None:
        return None
    groups = material.groups[rows]
    return np.where(groups >= 0, groups, groups.max() + 1 + np.arange(len(rows)))


def _whole(
    material: Material,
    told: Separation | None,
    chosen: NDArray[np.int64],
    differences: list[Difference],
    names: tuple[str, str],
) -> Iterator[Finding]:
    """The finding about all columns together."""
    if told is None or told.low <= 0.5 or told.auc < LEAST_AUC or told.p_value > LEVEL:
        return
    first, second = names
    by = ", ".join(f"`{one.column}`" for one in differences[:3])
    sentence = say(
        "A classifier tells {first} from {second}: AUC {auc} ({low} to {high}).",
        first=first,
        second=second,
        auc=f"{told.auc:.2f}",
        low=f"{told.low:.2f}",
        high=f"{told.high:.2f}",
    )
    if by:
        sentence += " " + say("What gives them away most: {columns}.", columns=by)
    of_first = np.arange(len(chosen)) < int((material.populations.of[chosen] == material.populations.names.index(first)).sum())  # type: ignore[union-attr]
    order = np.argsort(-told.scores, kind="stable")
    like = [i for i in order if of_first[i]][:TYPICAL]
    unlike = [i for i in order if not of_first[i]][:TYPICAL]
    yield Finding(
        "shift",
        sentence,
        min(1.0, 2 * (told.auc - 0.5)),
        fields=tuple(dict.fromkeys(one.column.split(".")[0] for one in differences[:SHOWN])),
        rows=material.shown(chosen[np.array(like, dtype=np.int64)]),
        interval=(told.low, told.high),
        suggestion=Suggestion(
            note=say("Scores on rows like the training rows will not hold there. Try ideas that make the difference smaller.")
        ),
        evidence={
            "sides": {
                say("{first} that looks like {second}", first=first, second=second): list(material.shown(chosen[like])),
                say("{second} at its most typical", second=second): list(material.shown(chosen[unlike])),
            }
        },
    )


def _of_column(material: Material, one: Difference) -> Finding:
    field = one.column.split(".")[0] if one.column in material.properties else one.column
    fields = (one.column,) if field == one.column else (field, one.column)
    column = material.columns.get(one.column)
    suggestion = _suggestion(one, column, material)
    return Finding("shift", one.sentence, min(0.95, 0.2 + 0.75 * one.effect), fields=fields, suggestion=suggestion)


def _suggestion(one: Difference, column: Column | None, material: Material) -> Suggestion:
    if one.column in material.properties:
        name = one.column.rpartition(".")[2]
        light = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.3, "sharpness": None}.get(name)
        if light is not None:
            return Suggestion({"augment": {name: light}}, idea=f"vary-{name}")
        if name == "sharpness":
            return Suggestion({"augment": {"blur": 1.0}}, idea="vary-sharpness")
        return Suggestion(note=say("Vary this in training, or bring both to one: `size`, `resize`, `augment`."))
    if column is None or column.is_target:
        return Suggestion(note=say("The shares of the target differ: probabilities have to be corrected for it."))
    if column.kind == "date":
        return Suggestion(
            note=say("A shift in time: group the folds by period, so that they are scored on a time they have not seen.")
        )
    if column.declared in ("number", "label"):
        return Suggestion({"fields": {column.field: {"kind": "ignore"}}}, idea=f"without-{column.field}")
    return Suggestion(note=say("The study does not use it. Keep it so, or ask what made it differ."))


def _differences(
    material: Material, first: NDArray[np.int64], second: NDArray[np.int64], names: tuple[str, str]
) -> list[Difference]:
    """Every column and property that differs, corrected for how many were looked at."""
    found: list[Difference] = []
    thinner = _thinner(material, first, second)
    by = material.populations.by if material.populations else ""
    for column in material.columns.values():
        if column.name in (by, material.id_column) or column.kind == "empty" or column.declared in ("id", "group"):
            continue
        found += _of_cells(column, first, second, names, thinner)
    for name, values in material.properties.items():
        found += _of_numbers(name, values[first].astype(float), values[second].astype(float), names, thinner)
    if not found:
        return []
    corrected = holm(np.array([one.p_value for one in found]))
    least = {"values": LEAST_DISTANCE, "missing": LEAST_MISSING, "new": LEAST_NEW, "absent": 0.0, "date": LEAST_DISTANCE}
    kept = [one for one, p in zip(found, corrected, strict=True) if p < LEVEL and one.effect >= least[one.what]]
    best: dict[str, Difference] = {}
    for one in sorted(kept, key=lambda one: -one.effect):  # a column is told once, by what shows most, with its other sides
        first_told = best.get(one.column)
        text = one.sentence if first_told is None else f"{first_told.sentence} {one.sentence}"
        best[one.column] = replace(first_told or one, sentence=text)
    return list(best.values())


def _thinner(material: Material, first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """By how much fewer independent rows there are than rows: the size of the usual group."""
    if material.groups is None:
        return 1.0
    groups = material.groups[np.concatenate([first, second])]
    return max(1.0, len(groups) / max(1, len(np.unique(groups))))


def _of_cells(
    column: Column, first: NDArray[np.int64], second: NDArray[np.int64], names: tuple[str, str], thinner: float
) -> Iterator[Difference]:
    gone = column.empty[first], column.empty[second]
    shares = float(gone[0].mean()), float(gone[1].mean())
    if max(shares) == 1.0:
        if min(shares) < 1.0 and not column.is_target:
            there, lacking = names if shares[1] == 1.0 else names[::-1]
            text = say(
                "`{column}` is filled in {there} and empty in all of {lacking}.",
                column=column.name,
                there=there,
                lacking=lacking,
            )
            yield Difference(column.name, "absent", 1.0 - min(shares), 0.0, text)
        return
    yield from _of_missing(column.name, gone, names, thinner)
    if column.kind in ("number", "date"):
        yield from _of_numbers(column.name, column.numbers[first], column.numbers[second], names, thinner, column.kind)
    elif column.kind == "category" and not column.is_name:
        yield from _of_levels(column, first, second, names, thinner)


def _of_missing(
    name: str, gone: tuple[NDArray[np.bool_], NDArray[np.bool_]], names: tuple[str, str], thinner: float
) -> Iterator[Difference]:
    shares = float(gone[0].mean()), float(gone[1].mean())
    n = [len(one) / thinner for one in gone]
    pooled = (shares[0] * n[0] + shares[1] * n[1]) / sum(n)
    if not 0 < pooled < 1:
        return
    error = float(np.sqrt(pooled * (1 - pooled) * (1 / n[0] + 1 / n[1])))
    p_value = float(2 * stats.norm.sf(abs(shares[1] - shares[0]) / error))
    text = say(
        "`{column}` is empty in {first_share} of {first} and {second_share} of {second}.",
        column=name,
        first_share=f"{shares[0]:.0%}",
        first=names[0],
        second_share=f"{shares[1]:.0%}",
        second=names[1],
    )
    yield Difference(name, "missing", abs(shares[1] - shares[0]), p_value, text)


def _of_numbers(
    name: str,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    names: tuple[str, str],
    thinner: float,
    kind: str = "number",
) -> Iterator[Difference]:
    """Two distributions of numbers, by the largest gap between them."""
    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if min(len(first), len(second)) < FEW:
        return
    gap = float(stats.ks_2samp(sample_values(first), sample_values(second), method="asymp").statistic)
    effective = len(first) * len(second) / (len(first) + len(second)) / thinner
    p_value = float(stats.kstwobign.sf(gap * np.sqrt(effective)))
    middles = float(np.median(first)), float(np.median(second))
    if kind == "date":
        days = [str(np.datetime64(int(one), "D")) for one in (first.min(), first.max(), second.min(), second.max())]
        text = say(
            "`{column}`: {first} is from {a} to {b}, {second} from {c} to {d}: they differ in time.",
            column=name,
            first=names[0],
            second=names[1],
            **dict(zip("abcd", days, strict=True)),
        )
        yield Difference(name, "date", gap, p_value, text)
        return
    text = say(
        "`{column}` differs between {first} and {second}: median {a} and {b}, middle half {c} and {d}; "
        "the two distributions are up to {gap} of the rows apart.",
        column=name,
        first=names[0],
        second=names[1],
        a=f"{middles[0]:.4g}",
        b=f"{middles[1]:.4g}",
        c=_middle_half(first),
        d=_middle_half(second),
        gap=f"{gap:.0%}",
    )
    yield Difference(name, "values", gap, p_value, text)


def _middle_half(values: NDArray[np.float64]) -> str:
    low, high = np.percentile(values, (25, 75))
    return f"{low:.4g}–{high:.4g}"


def sample_values(values: NDArray[np.float64], most: int = 100_000) -> NDArray[np.float64]:
    """At most so many of the values, evenly taken."""
    return values if len(values) <= most else values[np.linspace(0, len(values) - 1, most).astype(np.int64)]


def _of_levels(
    column: Column, first: NDArray[np.int64], second: NDArray[np.int64], names: tuple[str, str], thinner: float
) -> Iterator[Difference]:
    """Two distributions of levels, by the share of rows that would have to change level."""
    k = len(column.levels)
    counts = np.stack([np.bincount(column.codes[rows][column.codes[rows] >= 0], minlength=k) for rows in (first, second)])
    totals = counts.sum(axis=1)
    if min(totals) < FEW:
        return
    shares = counts / totals[:, None]
    common = counts.sum(axis=0) >= 10
    table = np.concatenate([counts[:, common], counts[:, ~common].sum(axis=1, keepdims=True)], axis=1)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] > 1:
        statistic, _, dof, _ = stats.chi2_contingency(table, correction=False)
        tables = table / table.sum(axis=1, keepdims=True)
        # Levels wander by chance: what is beyond that is the difference.
        moved = float(np.abs(tables[0] - tables[1]).sum() / 2)
        change = np.abs(shares[0] - shares[1])
        top = int(change.argmax())
        text = say(
            "`{column}` differs between {first} and {second}: {level} is {a} and {b}; "
            "{moved} of the rows would have to change.",
            column=column.name,
            first=names[0],
            second=names[1],
            level=repr(str(column.levels[top])),
            a=f"{shares[0, top]:.0%}",
            b=f"{shares[1, top]:.0%}",
            moved=f"{moved:.0%}",
        )
        yield Difference(column.name, "values", moved, float(stats.chi2.sf(statistic / thinner, dof)), text)
    yield from _of_new(column, counts, totals, names, thinner)


def _of_new(
    column: Column, counts: NDArray[np.int64], totals: NDArray[np.int64], names: tuple[str, str], thinner: float
) -> Iterator[Difference]:
    """Levels of one population that the other lacks, where chance does not explain it."""
    for here, other in ((0, 1), (1, 0)):
        alone = np.flatnonzero((counts[other] == 0) & (counts[here] > 0))
        if len(alone) == 0:
            continue
        chance = totals[here] / totals.sum()
        p_values = holm(np.exp(np.log(chance) * counts[here][alone] / thinner))
        sure = alone[p_values < LEVEL]
        if len(sure) == 0:
            continue
        share = float(counts[here][sure].sum() / totals[here])
        shown = ", ".join(repr(str(column.levels[i])) for i in sure[:4]) + (", …" if len(sure) > 4 else "")
        text = say(
            "`{column}`: {levels} is there in {here} only ({share} of its rows), never in {other}.",
            column=column.name,
            levels=shown,
            here=names[here],
            other=names[other],
            share=f"{share:.1%}",
        )
        yield Difference(column.name, "new", share, float(p_values.min()), text)
