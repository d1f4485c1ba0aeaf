"""Cells that say "missing" without being empty: numbers such as 999 or -1, and words such as "?" or "unknown"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.look.columns import Column

Reason = Literal["far", "spike", "edge", "zero"]
Meaning = Literal["missing", "unknown", "perhaps"]

MIN_DISTINCT = 5  # different other numbers: below, they are codes, and only what lies far away is asked about
FAR_FROM_CODES = 5.0  # times the range of the codes
MANY_DISTINCT = 10  # for what is no number that is conventionally used
MIN_ROWS = 3
MAX_ZERO_FRACTION = 0.6  # of the numbers: where more are 0, it says "nothing" (a gain, a cost)
NEAREST = 5  # other numbers beside the one asked about
SPIKE = 3.0  # times the most frequent of the nearest: what a smooth distribution does not do at its end
ROUNDS = 4  # sentinels of one column

_REPEATED = [9.0, *(float(str(digit) * n) for digit in (9, 8) for n in range(2, 8))]
_WITH_POINT = [float("9" * n + "." + "9" * m) for n in (1, 2, 3, 4) for m in (1, 2)]
_POSITIVE = [*_REPEATED, *_WITH_POINT, 777.0, 7777.0, 998.0, 9998.0, 65535.0, 32767.0, 2147483647.0]
CONVENTIONAL = frozenset([*_POSITIVE, *(-one for one in _POSITIVE), -1.0, -32768.0, -2147483648.0])

_MISSING = frozenset(
    {
        *("?", "??", "???", "*", "-", "--", "---", "–", "—", ".", "..", "…", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>"),
        *("nan", "null", "(null)", "nil", "missing", "n.d.", "n.d", "nd", "blank", "(blank)", "empty", "no answer", "no data"),
        *("no response", "not recorded", "not available", "not reported", "not applicable", "not given", "not measured"),
        *("not answered", "did not answer", "not entered", "no value"),
        *("欠損", "欠測", "欠損値", "無回答", "未回答", "未記入", "未入力", "記入なし", "回答なし", "データなし"),
    }
)
_UNKNOWN = re.compile(
    r"\b(unknown|unkown|unknwon|unk|undetermined|unidentified|unspecified|undisclosed|undefined|not known|not specified"
    r"|not stated|not disclosed|can't say|don't know|dont know|do not know|prefer not to (say|answer)|refused to answer)\b"
    r"|不明|未知|わからない|分からない|不詳|未詳|特定できず"
)
_PERHAPS = frozenset({"none", "nothing", "なし", "無し", "無", "ナシ", "特になし", "該当なし"})
MAX_WORDS = 6  # in a level that says unknown: more are prose


@dataclass(frozen=True)
class Sentinel:
    """A number that probably means "missing".

    Attributes:
        value: The number.
        n: Rows that hold it.
        low: The smallest of the other numbers.
        high: The largest.
        reason: far: it lies away from all others; spike: at their end, with far more rows than those beside it; edge: -1 where
            no other is negative; zero: all others are far above zero.
        n_others: Rows with other numbers.
    """

    value: float
    n: int
    low: float
    high: float
    reason: Reason
    n_others: int


def find_sentinels(column: Column) -> tuple[Sentinel, ...]:
    """Numbers of a column that probably mean "missing", the most certain reason of each.

    Only the ends of what is there are asked about: a number amid the others is a number.
    """
    if column.kind != "number":
        return ()
    known = column.numbers[np.isfinite(column.numbers)]
    values, counts = np.unique(known, return_counts=True)
    found: list[Sentinel] = []
    for _ in range(ROUNDS):
        one = _at_an_end(values, counts)
        if one is None:
            break
        found.append(one)
        keep = values != one.value
        values, counts = values[keep], counts[keep]
    return tuple(found)


def word_meaning(level: str) -> Meaning | None:
    """What a word says of its cell: missing; unknown; perhaps missing, or a class of its own; None: neither."""
    text = level.strip().lower()
    if text in _PERHAPS:
        return "perhaps"
    if text in _MISSING:
        return "missing"
    if len(text.split()) <= MAX_WORDS and len(text) <= 60 and _UNKNOWN.search(text):
        return "unknown"
    return None


def missing_words(column: Column) -> dict[str, Meaning]:
    """The levels of a column that say that something is missing, with what they say.

    Names and prose are looked through for whole cells that come twice or more.
    """
    if column.kind in ("empty", "date"):
        return {}
    found: dict[str, Meaning] = {}
    for code, level in enumerate(column.levels):
        if column.counts[code] < 2 and len(column) > 50:
            break  # levels are in order of frequency
        text = str(level)
        if column.kind == "number" and _is_number(text):
            continue
        meaning = word_meaning(text)
        if meaning is not None:
            found[text] = meaning
    return found


def _at_an_end(values: NDArray[np.float64], counts: NDArray[np.int64]) -> Sentinel | None:
    """The largest or the smallest number, if it means "missing"; else the zero below all others."""
    if len(values) < 3:
        return None
    for at in (len(values) - 1, 0):
        reason = _reason(values, counts, at)
        if reason is not None:
            others, n = np.delete(values, at), int(counts[at])
            return Sentinel(float(values[at]), n, float(others[0]), float(others[-1]), reason, int(counts.sum()) - n)
    return None


def _reason(values: NDArray[np.float64], counts: NDArray[np.int64], at: int) -> Reason | None:
    value, n = float(values[at]), int(counts[at])
    others, weights = np.delete(values, at), np.delete(counts, at)
    low, high = _quantiles(others, weights)
    gap = float(np.abs(others - value).min())
    width = float(others[-1] - others[0])
    is_far_away = value in CONVENTIONAL and gap >= FAR_FROM_CODES * width
    if is_far_away and abs(value) >= (9 if n >= MIN_ROWS else 99):  # the latter in a single row too
        return "far"
    if n < MIN_ROWS or len(others) < MIN_DISTINCT:
        return None
    beside = weights[-NEAREST:] if at else weights[:NEAREST]
    is_other_sign = value < 0 <= others[0]
    is_spike = n >= max(MIN_ROWS if is_other_sign else 5, SPIKE * beside.max())
    if value == 0 and at == 0:
        is_rare = n <= MAX_ZERO_FRACTION * (n + weights.sum()) and len(others) >= MANY_DISTINCT
        return "zero" if is_rare and _is_below_all(others, weights) else None
    if value in CONVENTIONAL:
        if gap > max(high - low, 0.0) and _is_outside(value, gap, others):
            return "far"
        if is_spike and (abs(value) >= 9 or value < 0) and n >= 0.003 * (n + weights.sum()):
            return "spike"
        if value == -1 and _is_hard_edge(others, weights, n):
            return "edge"
        return None
    if len(others) >= MANY_DISTINCT and is_spike and gap > width > 0 and n >= 0.002 * (n + weights.sum()):
        return "far"
    return None


def _is_outside(value: float, gap: float, others: NDArray[np.float64]) -> bool:
    """A conventional number beyond the end, by more than the others lie apart at that end: a long tail is none."""
    end = others[-10:] if value > others[-1] else others[:10]
    return gap > 2 * float(np.diff(end).max(initial=0.0))


def _is_hard_edge(others: NDArray[np.float64], weights: NDArray[np.int64], n: int) -> bool:
    """Counts that begin at 0 or 1 with as many rows as beside: what tapers off to both sides does not reach one further."""
    whole = others[0] in (0.0, 1.0) and bool((others == np.round(others)).all()) and n >= 0.002 * weights.sum()
    is_rare_beside = n >= 5 + 3 * weights[0]  # a tail never rises again
    tapers = weights[0] < 0.8 * weights[1] if len(others) >= MANY_DISTINCT else weights[0] < max(weights[1], 5 * n)
    up, down = weights[1] / weights[0], weights[0] / n
    is_cut_off = n * up / down**2 >= 5  # rows that a bell as steep as this one would have one further, where none is
    return bool(whole and (is_rare_beside or is_cut_off or not tapers))


def _is_below_all(others: NDArray[np.float64], weights: NDArray[np.int64]) -> bool:
    """Zero is impossible where the least other number is a fair part of the usual one, and far off in steps of theirs."""
    middle = _quantile(others, weights, 0.5)
    steps = np.diff(others[: 2 * NEAREST])
    return bool(others[0] > 0.2 * middle and others[0] >= 5 * np.mean(steps))


def _quantiles(values: NDArray[np.float64], weights: NDArray[np.int64]) -> tuple[float, float]:
    return _quantile(values, weights, 0.05), _quantile(values, weights, 0.95)


def _quantile(values: NDArray[np.float64], weights: NDArray[np.int64], q: float) -> float:
    total = np.cumsum(weights)
    return float(values[np.searchsorted(total, q * total[-1])])


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False


__all__ = ["Meaning", "Sentinel", "find_sentinels", "missing_words", "word_meaning"]
