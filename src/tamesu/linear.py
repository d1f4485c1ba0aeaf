"""Linear expressions and laws over named quantities, as a study writes them: `x - 2*y`, `{in: [a], out: [b], stored: [c]}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tamesu.texts import say

NAME = r"[^\W\d]\w*"
TERM = re.compile(rf"\s*([+-])?\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*(?:\*\s*)?)?({NAME}|`[^`]+`)\s*")
LAW_KEYS = ("in", "out", "stored", "sum", "equals", "as", "weight")
How = Literal["projection", "penalty"]


class NoLaw(ValueError):
    """What is written is no linear expression, or no law; its text says why."""


@dataclass(frozen=True)
class Law:
    """The sum of quantities times their coefficients is a number.

    Attributes:
        coefficients: By name.
        equals: That number.
        how: projection: predictions obey it exactly; penalty: training is drawn to it.
        weight: Of the penalty.
    """

    coefficients: dict[str, float]
    equals: float = 0.0
    how: How = "projection"
    weight: float = 0.1


def read_linear(text: str) -> dict[str, float]:
    """Coefficients by name of `x + 2*y - z`; a name of other signs stands in backticks.

    Raises:
        NoLaw: It is something else.
    """
    found: dict[str, float] = {}
    at = 0
    while at < len(text):
        term = TERM.match(text, at)
        if term is None or (at > 0 and term[1] is None):
            raise NoLaw(say("must be a sum of names and their multiples, such as x - 2*y; got {text!r}.", text=text))
        name = term[3].strip("`")
        found[name] = found.get(name, 0.0) + (-1 if term[1] == "-" else 1) * float(term[2] or 1)
        at = term.end()
    if not any(found.values()):
        raise NoLaw(say("must be a sum of names and their multiples, such as x - 2*y; got {text!r}.", text=text))
    return found


def read_law(said: Mapping[str, Any]) -> Law:
    """A law: what is `in` is `out` or `stored`, or a `sum` of multiples `equals` a number.

    Raises:
        NoLaw: It is something else.
    """
    unknown = [key for key in said if key not in LAW_KEYS]
    if unknown:
        raise NoLaw(say("must hold {known}; got {key!r}.", known=", ".join(LAW_KEYS), key=unknown[0]))
    coefficients: dict[str, float] = {}
    for key, sign in (("in", 1.0), ("out", -1.0), ("stored", -1.0)):
        for name in _names(said.get(key, ()), key):
            coefficients[name] = coefficients.get(name, 0.0) + sign
    for name, factor in _factors(said.get("sum", {})).items():
        coefficients[name] = coefficients.get(name, 0.0) + factor
    coefficients = {name: factor for name, factor in coefficients.items() if factor}
    if not coefficients:
        raise NoLaw(say("must name quantities under in, out and stored, or their multiples under sum; got none."))
    how = said.get("as", "projection")
    if how not in ("projection", "penalty"):
        raise NoLaw(say("must come as projection or penalty; got {value!r}.", value=how))
    return Law(
        coefficients, _number(said.get("equals", 0.0), "equals"), how, _number(said.get("weight", 0.1), "weight", least=0.0)
    )


def _names(value: Any, key: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) for one in names):
        raise NoLaw(say("must list names under {key}; got {value!r}.", key=key, value=value))
    return tuple(names)


def _factors(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        return read_linear(value)
    if not isinstance(value, Mapping):
        raise NoLaw(say("must be {{name: factor}} or a text such as x - 2*y under sum; got {value!r}.", value=value))
    return {str(name): _number(factor, "sum") for name, factor in value.items()}


def _number(value: Any, key: str, least: float = float("-inf")) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise NoLaw(say("must have a number under {key}; got {value!r}.", key=key, value=value))
    return float(value)
