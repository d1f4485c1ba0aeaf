"""Findings as the cards of the page: a heading, the sentence, the evidence, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tamesu.look.profile_view import short
from tamesu.look.words import kind_word
from tamesu.texts import say

Entry = Mapping[str, Any]
PAIRS_SHOWN, SIDE_SHOWN, BARS_SHOWN, ROWS_SHOWN, PROPOSALS_SHOWN = 6, 8, 12, 10, 16
CARDS_OPEN = 30  # further findings are folded away


def finding_views(findings: Sequence[Entry], thumbnails: Mapping[str, str]) -> list[dict[str, Any]]:
    """One card a finding, in the given order."""
    return [_card(i, one, thumbnails) for i, one in enumerate(findings)]


def shown_ids(findings: Sequence[Entry]) -> Iterator[str]:
    """Ids of the rows that cards want pictures of, those of the first card first."""
    for one in findings:
        evidence = one.get("evidence") or {}
        pairs, sides = _pairs(evidence), _sides(evidence)
        for pair in pairs[:PAIRS_SHOWN]:
            yield from pair
        for _, ids in sides:
            yield from ids[:SIDE_SHOWN]
        proposals = evidence.get("proposals") or []
        yield from (str(proposal[0]) for proposal in proposals[:PROPOSALS_SHOWN])
        if not pairs and not sides and not proposals:
            yield from (str(row) for row in one.get("rows", [])[:SIDE_SHOWN])


def counts_of_kinds(findings: Sequence[Entry]) -> list[dict[str, Any]]:
    """How many findings of each kind there are, the strongest kind first, with where its first card is."""
    found: dict[str, dict[str, Any]] = {}
    for i, one in enumerate(findings):
        entry = found.setdefault(one["kind"], {"kind": one["kind"], "title": kind_word(one["kind"]), "n": 0, "at": i})
        entry["n"] += 1
    return list(found.values())


def _card(i: int, one: Entry, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    evidence = one.get("evidence") or {}
    pairs, sides = _pairs(evidence), _sides(evidence)
    rows = [str(row) for row in one.get("rows", [])]
    proposals = _proposals(evidence, thumbnails)
    strip = [row for row in rows[:SIDE_SHOWN] if row in thumbnails] if not pairs and not sides and not proposals else []
    interval = one.get("interval")
    note, patch = _told(one.get("suggestion", ""))
    return {
        "i": i,
        "kind": one["kind"],
        "title": kind_word(one["kind"]),
        "sentence": one["sentence"],
        "strength": round(100 * one["strength"]),
        "interval": "" if interval is None else say("{low} to {high}", low=short(interval[0]), high=short(interval[1])),
        "pairs": pairs[:PAIRS_SHOWN],
        "n_more_pairs": max(0, len(pairs) - PAIRS_SHOWN),
        "sides": [
            {"name": name, "ids": ids[:SIDE_SHOWN], "n_more": max(0, len(ids) - SIDE_SHOWN)} for name, ids in sides if ids
        ],
        "proposals": proposals,
        "strip": strip,
        "bars": _bars(evidence.get("bars")),
        "table": None if proposals else _table(evidence.get("table")),
        "rows": rows,
        "note": note,
        "patch": patch,
        "yaml": one.get("suggestion", ""),
        "is_idea": patch.startswith("ideas:"),
    }


def _pairs(evidence: Entry) -> list[tuple[str, str]]:
    return [(str(pair[0]), str(pair[1])) for pair in evidence.get("pairs") or [] if len(pair) == 2]


def _proposals(evidence: Entry, thumbnails: Mapping[str, str]) -> list[dict[str, str]]:
    """Rows with what they are called and what they may be, where there are pictures to judge that by."""
    shown = [tuple(map(str, one)) for one in evidence.get("proposals") or [] if str(one[0]) in thumbnails]
    return [{"id": one, "given": given, "proposed": proposed} for one, given, proposed in shown[:PROPOSALS_SHOWN]]


def _sides(evidence: Entry) -> list[tuple[str, list[str]]]:
    sides = evidence.get("sides") or {}
    return [(str(name), [str(one) for one in ids]) for name, ids in sides.items()]


def _bars(bars: Mapping[str, float] | None) -> list[dict[str, Any]]:
    known = [(str(name), float(value)) for name, value in (bars or {}).items() if value is not None]
    most = max((abs(value) for _, value in known), default=0.0)
    if most <= 1.0 and most > 0.2:  # shares, AUC and the like: against the whole
        most = 1.0
    return [
        {"name": name, "to": round(100 * abs(value) / (most or 1.0), 2), "text": short(value)}
        for name, value in known[:BARS_SHOWN]
    ]


def _table(table: Entry | None) -> dict[str, Any] | None:
    if not table or not table.get("rows"):
        return None
    rows = [[_cell(cell) for cell in row] for row in table["rows"]]
    numeric = [
        all(isinstance(row[k], (int, float)) or row[k] is None for row in table["rows"]) for k in range(len(table["rows"][0]))
    ]
    return {
        "head": [str(one) for one in table.get("head", [])],
        "rows": rows[:ROWS_SHOWN],
        "is_number": numeric,
        "n_more": max(0, len(rows) - ROWS_SHOWN),
    }


def _cell(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else short(value)


def _told(suggestion: str) -> tuple[str, str]:
    """The comment above a suggestion as prose, and the YAML below it."""
    lines = suggestion.splitlines()
    n = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "\n".join(line.lstrip("# ").rstrip() for line in lines[:n]), "\n".join(lines[n:]).strip("\n")


__all__ = ["counts_of_kinds", "finding_views", "shown_ids"]
