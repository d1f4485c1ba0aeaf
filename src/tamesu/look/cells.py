"""Which cells of each column are missing, and how the study would be told so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.fields.base import MISSING_TEXT, as_text
from tamesu.look.columns import Column
from tamesu.look.finding import Suggestion
from tamesu.look.material import Material
from tamesu.look.sentinels import Meaning, Sentinel, find_sentinels, missing_words
from tamesu.texts import say

NOT_CELLS = ("id", "image", "mask", "depth", "series", "points", "boxes", "ignore")  # told of elsewhere, or left out


@dataclass(frozen=True, eq=False)
class Cells:
    """What is missing in one column.

    Attributes:
        column: The column.
        gone: Empty, or a word that means missing.  (n,)
        unknown: A word that says unknown, or that may be a class of its own.  (n,)
        sentinel: A number that means missing.  (n,)
        words: By level, what it says; those the study knows of are left out.
        sentinels: Numbers; those the study knows of are left out.
    """

    column: Column
    gone: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    sentinel: NDArray[np.bool_]
    words: Mapping[str, Meaning]
    sentinels: tuple[Sentinel, ...]

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Cells that say something.  (n,)"""
        return ~(self.gone | self.unknown | self.sentinel)


def read_cells(material: Material, column: Column) -> Cells:
    """Every cell of a column that says nothing, in whichever way."""
    declared = settings(material, column)
    own = {as_text(one) for one in declared.get("missing_values", ())}
    words, sentinels = missing_words(column), find_sentinels(column)
    codes = {str(level): code for code, level in enumerate(column.levels)}
    known = [codes[one] for one in own if one in codes]
    as_missing = [codes[one] for one, meaning in words.items() if meaning == "missing"]
    as_unknown = [codes[one] for one, meaning in words.items() if meaning != "missing" and one not in own]
    gone = column.empty | np.isin(column.codes, known + as_missing)
    if column.kind == "number":
        gone |= np.isnan(column.numbers) & ~np.isin(column.codes, as_unknown)
    zero = bool(declared.get("zero_is_missing"))
    new = tuple(one for one in sentinels if as_text(one.value) not in own and not (one.value == 0 and zero))
    numbers = np.array([one.value for one in sentinels])
    return Cells(
        column,
        gone,
        np.isin(column.codes, as_unknown),
        np.isin(column.numbers, numbers) & ~gone if len(numbers) else np.zeros(len(column), dtype=bool),
        {word: meaning for word, meaning in words.items() if word not in own},
        new,
    )


def settings(material: Material, column: Column) -> dict[str, Any]:
    """What the study says of the column's field; nothing where it does not name it."""
    fields = {} if material.config is None else material.config.fields
    field = fields.get(column.field or column.name)
    return {} if field is None or not column.declared else field.model_dump()


def declaration(material: Material, column: Column, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that gives the column's field further settings; {} where its kind has none, and of the target."""
    kind = column.declared or {"number": "number", "category": "label"}.get(column.kind, "")
    if column.is_target or kind not in ("number", "label"):
        return {}
    allowed = ("missing_values", "zero_is_missing", "indicator") if kind == "number" else ("missing_values",)
    added = {key: value for key, value in wanted.items() if key in allowed}
    if not added:
        return {}
    if "missing_values" in added:
        before = settings(material, column).get("missing_values", ())
        added["missing_values"] = [*before, *(one for one in added["missing_values"] if one not in before)]
    if not column.declared:
        added = {"kind": kind} | added
    return {"fields": {column.field or column.name: added}}


def word_suggestion(material: Material, column: Column, words: list[str], question: bool) -> Suggestion:
    """How to say that words mean missing: a correction where it is sure, an idea where it is a question."""
    if column.is_target and question:
        return Suggestion(note=say("Keep it as a class if it says that there is none; leave these rows out if nobody looked."))
    if column.is_target:
        return Suggestion(note=say("Rows whose target says nothing teach nothing: leave them out, or keep a class for them."))
    if column.declared == "group":
        return Suggestion(note=say("These rows would be one group: give each its own, unless they do belong together."))
    if column.kind == "number" and column.declared in ("", "number"):
        words = [word for word in words if word.lower() not in MISSING_TEXT]
        if not words:
            return Suggestion(note=say("Nothing has to be declared: a `number` field reads it as missing."))
    patch = declaration(material, column, {"missing_values": words})
    if not patch:
        return Suggestion(note=say("Empty these cells, or leave the column out."))
    idea = f"{idea_name(column)}-missing" if question else ""
    return Suggestion(patch, idea)


def idea_name(column: Column) -> str:
    """The column's name as the start of an idea's name."""
    return "".join(one if one.isalnum() else "-" for one in column.name).strip("-").lower() or "column"


def join(patches: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Patches of fields as one."""
    fields = {name: one for patch in patches for name, one in patch.get("fields", {}).items()}
    return {"fields": fields} if fields else {}


def compared(material: Material) -> NDArray[np.bool_]:
    """The rows that are compared: of the training table, or all where it is empty."""
    return material.is_train if material.is_train.any() else np.ones(len(material), dtype=bool)


def asked_rows(material: Material, cells: Cells) -> NDArray[np.bool_]:
    """The compared rows in which a missing cell of this column is news.

    Where a column of the table says which population a row is of, another one that is empty in all of a population is told
    of by `shift`: those rows say nothing more of why cells are missing.
    """
    rows = compared(material)
    populations = material.populations
    if populations is None or populations.by == "table":
        return rows
    news = rows.copy()
    for i in range(len(populations.names)):
        here = rows & (populations.of == i)
        if cells.gone[here].all():
            news &= ~here
    return news if news.any() else rows


def joined(sentence: str, *further: str) -> str:
    """Sentences in a row, empty ones left out."""
    return " ".join([sentence, *(one for one in further if one)])


def told_by(cells: Cells) -> tuple[str, ...]:
    """What would say by itself that a cell is missing: the column, under either name."""
    return (cells.column.name, cells.column.field)


def quoted(words: tuple[str, ...] | list[str], at_most: int = 6) -> str:
    """Names or words between backticks."""
    return ", ".join(f"`{word}`" for word in words[:at_most]) + (", …" if len(words) > at_most else "")


def percent(share: float) -> str:
    """0.123 as 12.3 %, with more digits where it is small."""
    return f"{share * 100:.2g} %" if 0 < share < 0.01 else f"{share * 100:.1f} %".replace(".0 %", " %")


def number(value: float) -> str:
    """A number as text, four digits or all of a whole one."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e12 else f"{value:.4g}"


__all__ = [
    "NOT_CELLS",
    "Cells",
    "asked_rows",
    "compared",
    "declaration",
    "idea_name",
    "join",
    "joined",
    "number",
    "percent",
    "quoted",
    "read_cells",
    "settings",
    "told_by",
    "word_suggestion",
]
