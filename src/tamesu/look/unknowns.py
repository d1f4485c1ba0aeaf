"""Words in place of a value: those that mean missing, classes that say unknown, and these beside empty cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.look.cells import (
    Cells,
    compared,
    declaration,
    idea_name,
    join,
    joined,
    percent,
    quoted,
    told_by,
    word_suggestion,
)
from tamesu.look.finding import Finding, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import Separation, holm
from tamesu.look.telling import EFFECT, Difference, others_tell, said, side_by_side, target_difference
from tamesu.texts import say

APART_AUC = 0.6  # from which unknown and empty rows are said to differ
MIN_BESIDE = 10  # rows of unknown, and of empty cells, to hold them side by side
Told = Mapping[tuple[str, str], Difference]  # by (column, how its cells are missing)


def find_words(material: Material, cells: list[Cells], told: Told) -> list[Finding]:
    """Words that mean missing, the same ones of several columns together; words that say unknown, column by column."""
    findings: list[Finding] = []
    alike: dict[tuple[str, ...], list[Cells]] = {}
    for one in cells:
        missing = tuple(sorted(word for word, meaning in one.words.items() if meaning == "missing"))
        if missing:
            alike.setdefault(missing, []).append(one)
        unknown = [word for word, meaning in one.words.items() if meaning != "missing"]
        if unknown:
            findings.append(_unknown(material, one, unknown, told.get((one.column.name, "unknown"))))
    findings += [_missing_word(material, words, ones) for words, ones in alike.items()]
    return findings


def _count(cells: Cells, words: tuple[str, ...] | list[str]) -> int:
    levels = [str(one) for one in cells.column.levels]
    return sum(int(cells.column.counts[levels.index(word)]) for word in words)


def _missing_word(material: Material, words: tuple[str, ...], cells: list[Cells]) -> Finding:
    names = tuple(one.column.name for one in cells)
    counts = {one.column.name: _count(one, words) for one in cells}
    suggestions = [word_suggestion(material, one.column, list(words), question=False) for one in cells]
    notes = list(dict.fromkeys(one.note for one in suggestions if one.note))
    patch = join([one.patch for one in suggestions])
    n = max(counts.values())
    text = say(
        "{words} stands for a missing value in {columns}: up to {n} rows ({share}).",
        words=quoted(words),
        columns=quoted(names),
        n=n,
        share=percent(n / max(1, len(material))),
    )
    places = np.flatnonzero(np.any([one.gone & ~one.column.empty for one in cells], axis=0))[:50]
    return Finding(
        "unknown",
        text,
        0.5 if patch else 0.3,
        names,
        words,
        material.shown(places),
        suggestion=Suggestion(patch, note="" if patch else "\n".join(notes)),
        evidence={"bars": counts},
    )


def _unknown(material: Material, cells: Cells, words: list[str], told: Difference | None) -> Finding:
    column = cells.column
    n = _count(cells, words)
    filled = int((~column.empty).sum())
    shown = {"column": column.name, "words": quoted(words), "n": n, "share": percent(n / max(1, filled))}
    if all(cells.words[word] == "perhaps" for word in words):
        text = say(
            "{words} in `{column}` may be a class of its own or mean missing: it is a text, {n} rows ({share}). Which is it?",
            **shown,
        )
    else:
        text = say("{words} in `{column}` says that nothing is known: {n} rows ({share}).", **shown)
    text = joined(text, "" if told is None else said(material, told))
    rows = material.shown(np.flatnonzero(cells.unknown)[:50])
    levels = [str(one) for one in column.levels]
    evidence: dict[str, Any] = {"bars": {word: int(column.counts[levels.index(word)]) for word in words[:20]}}
    if told is not None:
        evidence["target"] = asdict(told)
    return Finding(
        "unknown",
        text,
        0.45 if told is None else 0.55,
        (column.name,),
        tuple(words),
        rows,
        None if told is None else (told.low, told.high),
        word_suggestion(material, column, words, question=True),
        evidence,
    )


def find_beside(material: Material, cells: list[Cells]) -> list[Finding]:
    """Columns with empty cells and a class that says unknown: do both behave the same?"""
    train = compared(material)
    asked: list[tuple[Cells, Difference | None, Separation | None]] = []
    for one in cells:
        unknown, empty = one.unknown & train, one.gone & train
        if min(unknown.sum(), empty.sum()) < MIN_BESIDE or one.column.is_target:
            continue
        different = target_difference(material, empty, unknown)
        asked.append((one, different, others_tell(material, empty, unknown, told_by(one))))
    if not asked:
        return []
    p_values = [1.0 if test is None else test.p_value for _, *tests in asked for test in tests]
    corrected = holm(np.array(p_values)).reshape(-1, 2)
    return [_same_or_not(material, *one, p) for one, p in zip(asked, corrected, strict=True)]


def _same_or_not(
    material: Material, cells: Cells, different: Difference | None, apart: Separation | None, p: NDArray[np.float64]
) -> Finding:
    column = cells.column
    words = [word for word, meaning in cells.words.items() if meaning != "missing"]
    by_target = different is not None and p[0] < 0.05 and different.effect >= EFFECT
    by_others = apart is not None and p[1] < 0.05 and apart.auc >= APART_AUC
    shown = {"column": column.name, "words": quoted(words), "n": int(cells.unknown.sum()), "m": int(cells.gone.sum())}
    if different is None and apart is None:
        text = say("{words} ({n} rows) stands beside {m} empty cells in `{column}`: too few to compare them.", **shown)
    elif by_target or by_others:
        text = say("{words} ({n} rows) and the {m} empty cells in `{column}` are not the same: keep them apart.", **shown)
    else:
        text = say("{words} ({n} rows) and the {m} empty cells in `{column}` behave the same: they may be one.", **shown)
    told = [side_by_side(material, different), _auc(apart)]
    is_same = not (by_target or by_others)
    patch = declaration(material, column, {"missing_values": words}) if is_same else {}
    if is_same:
        suggestion = Suggestion(patch, f"{idea_name(column)}-merged" if patch else "")
        if not patch:
            suggestion = Suggestion(note=say("Write both the same way."))
    else:
        suggestion = Suggestion(note=say("Leave both as they are: they mean different things, and a label keeps them apart."))
    evidence: dict[str, Any] = {"same": is_same}
    if different is not None:
        evidence["target"] = asdict(different)
    if apart is not None:
        evidence["auc"] = [apart.auc, apart.low, apart.high]
    interval = (different.low, different.high) if different is not None else None if apart is None else (apart.low, apart.high)
    return Finding("unknown", joined(text, *told), 0.5, (column.name,), tuple(words), (), interval, suggestion, evidence)


def _auc(apart: Separation | None) -> str:
    if apart is None:
        return ""
    return say(
        "Other columns tell them apart with AUC {auc} ({low} to {high}).",
        auc=f"{apart.auc:.2f}",
        low=f"{apart.low:.2f}",
        high=f"{apart.high:.2f}",
    )


__all__ = ["find_beside", "find_words"]
