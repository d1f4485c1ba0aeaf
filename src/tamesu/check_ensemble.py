"""What must be right about an ensemble before its members are looked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tamesu.mistakes import Mistake, must_be, one_of
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.config import StudyConfig

RANKED = ("label", "direction", "labels", "number")  # each column has an order of its own, and nothing ties it to the others
WEIGHED = (*RANKED, "angle", "vector", "points", "shares", "numbers")  # predictions that can be set side by side, row by row
METHODS = {"mean": (*WEIGHED, "steps"), "rank_mean": RANKED, "stack": WEIGHED}


def ensemble_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """Members named once, at least two trainings in all, and a method that fits them and the target."""
    ensemble = config.ensemble
    members = ensemble.members
    if not members:
        for name in sorted(ensemble.model_fields_set & {"method", "seeds"}):
            if getattr(ensemble, name) != type(ensemble).model_fields[name].default:
                text = say(
                    "must come with ensemble.members, such as [baseline, other-idea]; got {value}.",
                    value=getattr(ensemble, name),
                )
                yield Mistake(("ensemble", name), text)
        return
    for position, name in enumerate(members):
        if name in members[:position]:
            yield Mistake(("ensemble", "members"), say("must name each member once; got {name!r} again.", name=name))
    if len(members) == 1 and ensemble.seeds == 1:
        text = say(
            "must come to at least two trainings; got {name!r} once. Name another member, or set seeds.", name=members[0]
        )
        yield Mistake(("ensemble", "members"), text)
    elif len(members) == 1 and ensemble.method != "mean":
        rule = say("mean where there is one member: its trainings count alike")
        yield must_be(("ensemble", "method"), rule, ensemble.method)
    for name, target in config.fields.items():
        fitting = [method for method, kinds in METHODS.items() if target.kind in kinds]
        if not target.target or ensemble.method in fitting:
            continue
        if fitting:
            rule = say("{methods} for a target of kind {kind}", methods=one_of(fitting), kind=target.kind)
            yield must_be(("ensemble", "method"), rule, ensemble.method)
        else:
            text = say(
                "must be left out: {name!r} is of kind {kind}, whose predictions have no mean.", name=name, kind=target.kind
            )
            yield Mistake(("ensemble", "members"), text)
