"""Missing and unknown: empty cells, what stands for them, and whether it tells something that a cell is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.look.cells import (
    NOT_CELLS,
    Cells,
    asked_rows,
    compared,
    declaration,
    idea_name,
    joined,
    number,
    percent,
    quoted,
    read_cells,
    told_by,
)
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.sentinels import Sentinel
from tamesu.look.separation import Separation, holm
from tamesu.look.telling import EFFECT, Difference, others_tell, said, target_difference, together
from tamesu.look.unknowns import find_beside, find_words
from tamesu.texts import say

Progress = Callable[[str, int, int], None]

LEVEL = 0.01  # of p-values, all columns together
TOLD_AUC = 0.65  # from which other columns say which cells are missing
MAX_ASKED = 12  # columns of which a classifier is asked, those with most missing cells
MAX_TOGETHER = 400  # columns compared with each other
MAX_PATTERN, PATTERNS_SHOWN = 60, 12  # columns that make a pattern of missing cells, and patterns in the figures
MOSTLY_FRACTION = 0.5  # empty cells from which a column is named for them alone

_STRENGTH = {"far": 0.8, "spike": 0.65, "zero": 0.6, "edge": 0.5}


def find_missing(material: Material, progress: Progress | None = None) -> Part:
    """Empty cells, sentinel values, words that mean missing, and classes that say unknown.

    Args:
        material: All that was read.
        progress: Called with (what is done, done, total).
    """
    columns = [
        one
        for one in material.columns.values()
        if one.declared not in NOT_CELLS and one.name != material.id_column and len(one)
    ]
    cells: list[Cells] = []
    for done, column in enumerate(columns):
        cells.append(read_cells(material, column))
        if progress:
            progress(say("missing cells"), done + 1, len(columns))
    blank = [one for one in cells if not one.filled.any() and not one.unknown.any() and not one.sentinel.any()]
    some = [one for one in cells if one not in blank]
    groups = together(_by_name(material, some))
    told = _tell_target(material, some)
    findings = [_blank(one) for one in blank]
    for one in some:
        findings += [_sentinel(material, one, sentinel, told.get((one.column.name, "sentinel"))) for sentinel in one.sentinels]
    findings += find_words(material, some, told)
    findings += find_beside(material, some)
    findings += _empty(material, some, told, groups, progress)
    findings += [_together(material, group) for group in groups]
    return Part(tuple(findings), _figures(material, cells, groups))


def _by_name(material: Material, cells: list[Cells]) -> dict[str, NDArray[np.bool_]]:
    rows = compared(material)
    masks = {one.column.name: (one.gone & asked_rows(material, one))[rows] for one in cells if not one.column.is_target}
    most = sorted(masks, key=lambda name: -int(masks[name].sum()))[:MAX_TOGETHER]
    return {name: masks[name] for name in masks if name in set(most)}


def _tell_target(material: Material, cells: list[Cells]) -> dict[tuple[str, str], Difference]:
    """What of the target is told, with certainty and by an effect that matters, by (column, how the cell is missing)."""
    asked: dict[tuple[str, str], Difference] = {}
    for one in cells:
        if one.column.is_target or one.column.name == material.target:
            continue
        rows = asked_rows(material, one)
        for how in ("gone", "unknown", "sentinel"):
            mask = getattr(one, how) & rows
            found = target_difference(material, one.filled & rows, mask) if mask.any() else None
            if found is not None:
                asked[one.column.name, how] = found
    if not asked:
        return {}
    corrected = holm(np.array([one.p_value for one in asked.values()]))
    return {key: one for (key, one), p in zip(asked.items(), corrected, strict=True) if p < LEVEL and one.effect >= EFFECT}


def _blank(cells: Cells) -> Finding:
    column = cells.column
    name = column.field or column.name
    if column.is_target:
        suggestion = Suggestion(note=say("Without a target nothing can be trained: name another column, or fill this one."))
    elif column.declared:
        suggestion = Suggestion({"fields": {name: {"kind": "ignore"}}})
    else:
        suggestion = Suggestion(note=say("Leave the column out."))
    return Finding(
        "missing", say("`{column}` is empty in every row.", column=column.name), 0.4, (column.name,), suggestion=suggestion
    )


def _sentinel(material: Material, cells: Cells, one: Sentinel, told: Difference | None) -> Finding:
    column, value = cells.column, number(one.value)
    shown = {
        "column": column.name,
        "value": value,
        "n": one.n,
        "share": percent(one.n / max(1, one.n + one.n_others)),
        "low": number(one.low),
        "high": number(one.high),
    }
    if one.reason == "zero":
        text = say("`{column}` is 0 in {n} rows ({share}), {low} to {high} in all others: 0 may mean missing.", **shown)
    else:
        text = say(
            "`{column}` is {value} in {n} rows ({share}), {low} to {high} in all others: {value} may mean missing.",
            **shown,
        )
    wanted: dict[str, Any] = {"zero_is_missing": True} if one.value == 0 else {"missing_values": [_plain(one.value)]}
    if told is not None or one.n >= 0.2 * (one.n + one.n_others):
        wanted["indicator"] = True  # filled with the median, these rows would be like any other
    patch = declaration(material, column, wanted)
    note = "" if patch else say("Empty these cells, or leave the column out.")
    if column.is_target:
        note = say("Rows whose target says nothing teach nothing: leave them out, or keep a class for them.")
    rows = material.shown(np.flatnonzero(column.numbers == one.value)[:50])
    evidence: dict[str, Any] = {"value": one.value, "n": one.n, "low": one.low, "high": one.high, "reason": one.reason}
    if told is not None:
        evidence["target"] = asdict(told)
        text = joined(text, said(material, told))
    interval = None if told is None else (told.low, told.high)
    return Finding(
        "sentinel",
        text,
        _STRENGTH[one.reason],
        (column.name,),
        (value,),
        rows,
        interval,
        Suggestion(patch, note=note),
        evidence,
    )


def _plain(value: float) -> int | float:
    return int(value) if value == round(value) else value


def _empty(
    material: Material,
    cells: list[Cells],
    told: dict[tuple[str, str], Difference],
    groups: list[tuple[str, ...]],
    progress: Progress | None,
) -> list[Finding]:
    """Columns whose missing cells tell something of the target or follow from other columns, and those mostly empty."""
    train = compared(material)
    rows = {one.column.name: asked_rows(material, one) for one in cells}
    shares = {one.column.name: float(one.gone[rows[one.column.name]].mean()) for one in cells}
    asked = [one for one in cells if not one.column.is_target and shares[one.column.name] > 0]
    asked = sorted(asked, key=lambda one: -min(shares[one.column.name], 1 - shares[one.column.name]))[:MAX_ASKED]
    parts: dict[str, Separation] = {}
    for done, one in enumerate(asked):
        partners = next((group for group in groups if one.column.name in group), ())
        found = _follows(material, one, rows[one.column.name], partners)
        if found is not None:
            parts[one.column.name] = found
        if progress:
            progress(say("why cells are missing"), done + 1, len(asked))
    corrected = holm(np.array([one.p_value for one in parts.values()])) if parts else np.empty(0)
    follows = {
        name: one
        for (name, one), p in zip(parts.items(), corrected, strict=True)
        if p < LEVEL and one.auc >= TOLD_AUC and one.low > 0.5
    }
    findings = []
    for one in cells:
        name = one.column.name
        if one.column.is_target and one.gone[rows[name]].any():
            findings.append(_target_gone(material, one, rows[name]))
        elif (name, "gone") in told or name in follows or shares[name] >= MOSTLY_FRACTION:
            share = float(one.gone[train].mean())
            findings.append(_missing(material, one, share, told.get((name, "gone")), follows.get(name)))
    return findings


def _follows(material: Material, cells: Cells, rows: NDArray[np.bool_], partners: tuple[str, ...]) -> Separation | None:
    """How well other columns say where a cell is missing; within one population where a column names them.

    That more is missing in one population than in another is `shift`'s to say.
    """
    populations = material.populations
    if populations is not None and populations.by != "table":
        kinds = [rows & (populations.of == i) for i in range(len(populations.names))]
        rows = max(kinds, key=lambda here: min((cells.gone & here).sum(), (~cells.gone & here).sum()))
    return others_tell(material, rows & ~cells.gone, rows & cells.gone, (*told_by(cells), *partners))


def _target_gone(material: Material, cells: Cells, train: NDArray[np.bool_]) -> Finding:
    rows = np.flatnonzero(cells.gone & train)
    share = len(rows) / max(1, int(train.sum()))
    text = say(
        "The target `{column}` is missing in {n} rows ({share}).", column=cells.column.name, n=len(rows), share=percent(share)
    )
    note = say("Rows whose target says nothing teach nothing: leave them out, or keep a class for them.")
    shown = material.shown(rows[:50])
    return Finding("missing", text, 0.6, (cells.column.name,), (), shown, suggestion=Suggestion(note=note))


def _missing(material: Material, cells: Cells, share: float, told: Difference | None, follows: Separation | None) -> Finding:
    column = cells.column
    text = say("`{column}` is missing in {share} of the rows.", column=column.name, share=percent(share))
    why, strength = "", 0.2
    if follows is not None:
        strength = 0.25 + 0.4 * (follows.auc - 0.5)
        why = say(
            "Which rows, other columns tell with AUC {auc} ({low} to {high}): it is not at random.",
            auc=f"{follows.auc:.2f}",
            low=f"{follows.low:.2f}",
            high=f"{follows.high:.2f}",
        )
    if told is not None:
        strength = min(0.8, 0.35 + told.effect)
    evidence: dict[str, Any] = {"share": share}
    if told is not None:
        evidence["target"] = asdict(told)
    if follows is not None:
        evidence["auc"] = [follows.auc, follows.low, follows.high]
    interval = (told.low, told.high) if told is not None else None if follows is None else (follows.low, follows.high)
    return Finding(
        "missing",
        joined(text, "" if told is None else said(material, told), why),
        strength,
        (column.name,),
        (),
        material.shown(np.flatnonzero(cells.gone)[:50]),
        interval,
        _indicated(material, cells),
        evidence,
    )


def _indicated(material: Material, cells: Cells) -> Suggestion:
    """How a model is shown that a cell is missing."""
    column = cells.column
    patch = declaration(material, column, {"indicator": True})
    if patch:
        return Suggestion(patch, f"{idea_name(column)}-indicator")
    if column.declared == "label":
        return Suggestion(note=say("Nothing has to be declared: to a `label` input an empty cell is a class of its own."))
    if not column.declared and column.kind == "category":
        name = column.field or column.name
        note = say("To a `label` input an empty cell is a class of its own.")
        return Suggestion({"fields": {name: {"kind": "label"}}}, f"{idea_name(column)}-input", note)
    return Suggestion(note=say("Add a column that says whether this one is filled, and declare it as a `label`."))


def _together(material: Material, group: tuple[str, ...]) -> Finding:
    columns = [material.columns[name] for name in group]
    first, train = read_cells(material, columns[0]), compared(material)
    empty = first.gone & asked_rows(material, first)
    text = say(
        "{columns} are missing in the same rows: {n} rows ({share}).",
        columns=quoted(group, 12),
        n=int(empty.sum()),
        share=percent(float(empty[train].mean())),
    )
    patches = {one.name: patch for one in columns if (patch := declaration(material, one, {"indicator": True}))}
    if patches:
        name, patch = next(iter(patches.items()))
        note = say("One indicator says it of all of them.")
        suggestion = Suggestion(patch, f"{idea_name(material.columns[name])}-indicator", note)
    else:
        suggestion = Suggestion(note=say("Ask where these columns come from: one source may be missing for these rows."))
    return Finding("missing", text, 0.35, group, (), material.shown(np.flatnonzero(empty)[:50]), suggestion=suggestion)


def _figures(material: Material, cells: list[Cells], groups: list[tuple[str, ...]]) -> dict[str, Any]:
    """Of each column with anything missing the share of its rows, in the order of the table."""
    n = max(1, len(material))
    rows = [
        {
            "name": one.column.name,
            "empty": round(float(one.column.empty.sum() / n), 6),
            "missing": round(float(one.gone.sum() / n), 6),
            "unknown": round(float(one.unknown.sum() / n), 6),
            "sentinel": round(float(one.sentinel.sum() / n), 6),
        }
        for one in cells
        if not one.filled.all()
    ]
    return {
        "n_rows": len(material),
        "columns": rows[:500],
        "n_columns": len(cells),
        "together": [list(one) for one in groups],
        "patterns": _patterns(material, cells),
    }


def _patterns(material: Material, cells: list[Cells]) -> list[dict[str, Any]]:
    """Which columns are missing in the same rows, the most frequent combination first; rows with all of them left out."""
    holes = [one for one in cells if not one.filled.all() and one.filled.any() and not one.column.is_target]
    holes = sorted(holes, key=lambda one: int(one.filled.sum()))[:MAX_PATTERN]
    codes = np.zeros(len(material), dtype=np.uint64)
    for i, one in enumerate(holes):
        codes |= (~one.filled).astype(np.uint64) << np.uint64(i)
    found, counts = np.unique(codes[codes > 0], return_counts=True)
    return [
        {
            "columns": [one.column.name for i, one in enumerate(holes) if int(found[k]) >> i & 1],
            "n": int(counts[k]),
            "share": round(float(counts[k] / max(1, len(material))), 6),
        }
        for k in np.argsort(-counts, kind="stable")[:PATTERNS_SHOWN]
    ]


__all__ = ["find_missing"]
