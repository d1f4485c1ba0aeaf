"""Settings that no learner of a study makes use of: whoever wrote them believes that they act."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tamesu.config import StudyConfig
from tamesu.learners.names import NETWORKS, SKLEARN, TREES, kind_of
from tamesu.mistakes import Mistake, Path
from tamesu.texts import say

SEEDED = "train.seed"  # every learner's
USERS: dict[str, tuple[str, ...]] = {  # setting, or its whole section → the learners that make use of it
    "channels": NETWORKS,
    "augment": NETWORKS,
    "augment.balance": (*NETWORKS, *TREES, SKLEARN),
    "tta": NETWORKS,
    "model": NETWORKS,
    "model.backend": ("keras",),
    "train": NETWORKS,
    "train.report": ("torch",),
    "train.channels_last": ("torch",),
    "train.compile": ("torch",),
    "trees": TREES,
    "sklearn": (SKLEARN,),
    "features": (*TREES, SKLEARN),
}
SECTIONS = tuple(one for one in USERS if "." not in one)
KNOWN = {name for names in USERS.values() for name in names}


def unused_settings(said: Mapping[str, Any], learners: Collection[str], at: Path = ()) -> Iterator[Mistake]:
    """What is written though none of `learners` makes use of it; nothing where one is the user's own.

    Args:
        said: The study, or an idea's patch.
        learners: Of the arms that what is said is for.
        at: Where in the study it is said.
    """
    kinds = {kind_of(one) for one in learners}
    if "" in kinds:
        return
    for section in SECTIONS:
        written = said.get(section)
        for name, value in written.items() if isinstance(written, Mapping) else ():
            users = _users(f"{section}.{name}")
            if users.isdisjoint(kinds) and not _is_default(section, name, value):
                text = say(
                    "{learner} cannot use {setting}. Remove it, or put it in an idea with learner: {user}.",
                    learner=", ".join(sorted(learners)),
                    setting=f"{section}.{name}",
                    user=min(users, key=lambda one: (one not in NETWORKS[:1], one)),
                )
                yield Mistake((*at, section, name), text)


def used_settings(learner: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those of `settings`, by section, that this learner, which is none of one's own, makes use of."""
    kind = kind_of(learner)
    kept = {
        section: {name: one for name, one in of.items() if kind in _users(f"{section}.{name}")}
        for section, of in settings.items()
    }
    return {section: of for section, of in kept.items() if of}


def _users(setting: str) -> set[str]:
    return KNOWN if setting == SEEDED else set(USERS.get(setting, USERS[setting.partition(".")[0]]))


def _is_default(section: str, name: str, value: Any) -> bool:
    default = getattr(StudyConfig.model_fields[section].default, name, None)
    return bool(value == default)
