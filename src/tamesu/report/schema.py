"""The shape of the JSON document, as a function that finds what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tamesu.report.words import OUTCOMES

Kinds = tuple[type, ...]
NUMBER: Kinds = (int, float)
NUMBER_OR_NULL: Kinds = (int, float, type(None))
INTEGER: Kinds = (int,)
TEXT: Kinds = (str,)

METRIC: dict[str, Kinds] = {"name": TEXT, "unit": TEXT, "higher_is_better": (bool,)}
FOLD: dict[str, Kinds] = {
    "repeat": INTEGER,
    "fold": INTEGER,
    "n_test": INTEGER,
    "score": NUMBER_OR_NULL,
    "judged": NUMBER_OR_NULL,
    "fit_time_s": NUMBER_OR_NULL,
    "epochs": (list,),
    "loss": (list,),
}
IDEA: dict[str, Kinds] = {
    "name": TEXT,
    "arm": TEXT,
    "outcome": TEXT,
    "gain": NUMBER_OR_NULL,
    "interval": (list, type(None)),
    "p_value": NUMBER_OR_NULL,
    "n_trainings": INTEGER,
    "seconds": NUMBER,
    "note": TEXT,
    "n_saved": INTEGER,
    "confirmed": (bool,),
    "reason": TEXT,
    "patch": (dict,),
    "folds": (list,),
}
BASELINE: dict[str, Kinds] = {
    "score": NUMBER_OR_NULL,
    "interval": (list,),
    "judged": NUMBER_OR_NULL,
    "n_trainings": INTEGER,
    "seconds": NUMBER,
    "folds": (list,),
}
MAPS: dict[str, Kinds] = {  # of `maps`, which older documents do not have
    "epochs": INTEGER,
    "epochs_counted": INTEGER,
    "rows_seen": INTEGER,
    "mirrored": NUMBER,
    "flipped": NUMBER,
    "turned": NUMBER,
    "rotated_deg": NUMBER,
    "redrawn": INTEGER,
    "targets": (dict,),
}
ENSEMBLE: dict[str, Kinds] = {"method": TEXT, "seeds": INTEGER, "members": (list,)}  # likewise
MEMBER: dict[str, Kinds] = {"name": TEXT, "weight": NUMBER_OR_NULL}
SUMMARY: dict[str, Kinds] = {
    "schema": TEXT,
    "study": TEXT,
    "lang": TEXT,
    "stopped": TEXT,
    "target": (dict,),
    "metric": (dict,),
    "judged_metric": (dict,),
    "alpha": NUMBER,
    "baseline": (dict,),
    "sensitivity": (dict,),
    "n_trainings": INTEGER,
    "n_saved": INTEGER,
    "seconds": NUMBER,
    "data": (dict,),
    "data_digest": TEXT,
    "mistakes": (dict, type(None)),
    "versions": (dict,),
    "warnings": (list,),
    "command": TEXT,
    "study_yaml": TEXT,
}
SCHEMAS = ("tamesu/try/1", "tamesu/fit/1")


def check_summary(document: Any) -> list[str]:
    """What keeps `document` from being a `tamesu/try/1` or `tamesu/fit/1`, one line each with its place; [] = nothing."""
    found = _check(document, SUMMARY, "$")
    if found:
        return found
    if document["schema"] not in SCHEMAS:
        return [f"$.schema: must be one of {', '.join(SCHEMAS)}; got {document['schema']!r}"]
    found += _check(document["metric"], METRIC, "$.metric") + _check(document["judged_metric"], METRIC, "$.judged_metric")
    found += _check_arm(document["baseline"], BASELINE, "$.baseline")
    if document["schema"] == "tamesu/try/1":
        ideas = document.get("ideas")
        if not isinstance(ideas, list):
            return [*found, "$.ideas: must be a list; it is missing"]
        for i, idea in enumerate(ideas):
            found += _check_idea(idea, f"$.ideas[{i}]")
    return found


def _check_idea(idea: Any, where: str) -> list[str]:
    found = _check_arm(idea, IDEA, where)
    if found:
        return found
    if idea["outcome"] not in OUTCOMES:
        found.append(f"{where}.outcome: must be one of {', '.join(OUTCOMES)}; got {idea['outcome']!r}")
    if (idea["gain"] is None) != (idea["interval"] is None):
        found.append(f"{where}.interval: must be there exactly when `gain` is")
    if idea["outcome"] != "undecided" and idea["gain"] is None:
        found.append(f"{where}.gain: must be a number where the outcome is {idea['outcome']!r}")
    return found


def _check_arm(arm: Any, shape: Mapping[str, Kinds], where: str) -> list[str]:
    found = _check(arm, shape, where)
    if found:
        return found
    interval = arm["interval"]
    if interval is not None and (len(interval) != 2 or not all(isinstance(edge, NUMBER_OR_NULL) for edge in interval)):
        found.append(f"{where}.interval: must be [low, high]; got {interval!r}")
    for i, fold in enumerate(arm["folds"]):
        found += _check(fold, FOLD, f"{where}.folds[{i}]")
    if arm.get("maps") is not None:
        found += _check(arm["maps"], MAPS, f"{where}.maps")
    if arm.get("ensemble") is not None:
        found += _check(arm["ensemble"], ENSEMBLE, f"{where}.ensemble")
        for i, member in enumerate(arm["ensemble"].get("members", [])):
            found += _check(member, MEMBER, f"{where}.ensemble.members[{i}]")
    return found


def _check(value: Any, shape: Mapping[str, Kinds], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: must be an object; got {type(value).__name__}"]
    found = [f"{where}.{key}: must be there" for key in shape if key not in value]
    for key, kinds in shape.items():
        if key in value and not _is(value[key], kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            found.append(f"{where}.{key}: must be {expected}; got {type(value[key]).__name__}")
    return found


def _is(value: Any, kinds: Kinds) -> bool:
    """A bool is an int to Python, not to a reader of JSON."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
