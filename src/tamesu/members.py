"""The members of an ensemble: which study each name stands for.

`baseline` is the study without its ensemble, the name of an idea or of one of its arms that study with the idea in it. A
patch on top of an ensemble is a patch of that study, and so reaches every member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tamesu.check import Examined, examine
from tamesu.ideas import expand, merged
from tamesu.mistakes import Mistake, Path, did_you_mean, dotted, shown
from tamesu.texts import say

BASELINE = "baseline"


class Members(NamedTuple):
    """The studies of an ensemble's members by name, each without ideas, and what is wrong with those that have none."""

    studies: dict[str, Mapping[str, Any]]
    mistakes: list[Mistake]


class _Refused(Exception):
    """Why a name is no member: what follows `must be …; got …`."""


def find_members(raw: Mapping[str, Any], ideas: Mapping[str, Any], at: Path) -> Members:
    """What the names in `ensemble.members` stand for.

    Args:
        raw: A study with an ensemble, without its ideas.
        ideas: Patches by name.
        at: Where in the document this study is declared.
    """
    plain = {key: one for key, one in raw.items() if key != "ensemble"}
    base = examine(plain)
    found = Members({}, [])
    for position, name in enumerate(raw["ensemble"]["members"]):
        try:
            found.studies[name] = _study_of(name, plain, base, ideas)
        except _Refused as refused:
            found.mistakes.append(Mistake((*at, "ensemble", "members", position), str(refused)))
    return found


def _study_of(name: str, plain: Mapping[str, Any], base: Examined, ideas: Mapping[str, Any]) -> Mapping[str, Any]:
    if name == BASELINE:
        return plain
    idea = name if name in ideas else next((one for one in ideas if name.startswith(f"{one}: ")), None)
    if idea is None:
        known = [BASELINE, *ideas]
        hint = did_you_mean(name, known)
        raise _Refused(
            say("must be baseline, an idea of the study or one of its arms; got {name!r}.{hint}", name=name, hint=hint)
        )
    expanded = expand(plain, base, idea, ideas[idea])
    if expanded.mistakes:
        first = expanded.mistakes[0]
        raise _Refused(
            say(
                "must be possible here; got {name!r}, of which {where} {reason}",
                name=name,
                where=dotted(first.path),
                reason=first.text,
            )
        )
    arms = {variant.name: variant.patch for variant in expanded.variants}
    if name == idea and len(arms) == 1:
        name = next(iter(arms))
    if name not in arms:
        hint = did_you_mean(name, arms) if name != idea else ""
        listed = ", ".join(map(repr, arms))
        raise _Refused(
            say("must name one arm of {idea!r}: {arms}; got {name!r}.{hint}", idea=idea, arms=listed, name=name, hint=hint)
        )
    study = merged(plain, arms[name])
    if study.get("ensemble", {}).get("members"):
        raise _Refused(
            say(
                "must be no ensemble itself; got {name!r}. Name its members instead: {members}.",
                name=name,
                members=shown(study["ensemble"]["members"]),
            )
        )
    return study
