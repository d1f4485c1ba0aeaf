"""The arms of a study: the baseline and its ideas as recipes, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tamesu.check import Examined, examine, raise_mistakes
from tamesu.config import StudyConfig
from tamesu.ideas import as_settings, as_written, expand, merged, split_ideas
from tamesu.members import BASELINE, find_members
from tamesu.mistakes import Mistake, Path, shown
from tamesu.recipe import Recipe, make_ensemble, make_recipe
from tamesu.texts import say
from tamesu.unused import unused_settings


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: the baseline, or the baseline with an idea."""

    name: str
    idea: str  # the idea it comes from; empty for the baseline
    patch: dict[str, Any]
    recipe: Recipe


class ArmPlan(NamedTuple):
    """The arms of a study, baseline first, with what a reader should know about them and what is wrong."""

    arms: list[Arm]
    notes: list[str]
    mistakes: list[Mistake]


def make_arms(config: StudyConfig, auto_size: tuple[int, int]) -> list[Arm]:
    """The baseline and one arm for each idea or listed value.

    Raises:
        ConfigError: An idea is not a valid patch, or changes nothing; all of them.
    """
    plan = plan_arms(config, auto_size)
    raise_mistakes(plan.mistakes, "")
    return plan.arms


def plan_arms(config: StudyConfig, auto_size: tuple[int, int]) -> ArmPlan:
    """As `make_arms`, with the notes beside the arms and the mistakes not raised."""
    raw, ideas = split_ideas(config)
    return plan_ideas(raw, ideas, Examined(config, []), auto_size)


def plan_ideas(raw: Mapping[str, Any], ideas: Mapping[str, Any], base: Examined, auto_size: tuple[int, int]) -> ArmPlan:
    """The arms of `ideas` on the study `raw`; where that has mistakes of its own, only the ideas' mistakes are of use.

    Args:
        raw: The study without its ideas.
        ideas: Patches by name.
        base: `raw`, examined.
        auto_size: What `size: auto` stands for, (h, w).
    """
    sound = base.config is not None and not base.mistakes
    arms: list[Arm] = []
    notes: list[str] = []
    mistakes: list[Mistake] = []
    if sound:
        recipe, mistakes = _recipe_of(raw, ideas, auto_size, ())
        arms.append(Arm(BASELINE, "", {}, recipe))
    for name, patch in ideas.items():
        if name in (BASELINE, ""):
            mistakes.append(
                Mistake(("ideas", name), say("must have another name; {name!r} is taken by the study itself.", name=name))
            )
            continue
        expanded = expand(raw, base, name, patch)
        mistakes += expanded.mistakes
        if not sound or expanded.mistakes:
            continue
        made = []
        wrong: list[Mistake] = []
        for variant in expanded.variants:
            recipe, of_members = _recipe_of(merged(raw, variant.patch), ideas, auto_size, ("ideas", name))
            made.append(Arm(variant.name, name, as_written(variant.patch), recipe))
            wrong += of_members
        if wrong:
            mistakes += dict.fromkeys(wrong)
            continue
        changing = [arm for arm in made if arm.recipe.training_json() != arms[0].recipe.training_json()]
        unused = [one for arm in made for one in unused_settings(arm.patch, arm.recipe.trained, ("ideas", name))]
        mistakes += dict.fromkeys(unused)
        if made and not changing and not unused:
            mistakes.append(_changes_nothing(name, patch, made, arms[0]))
        elif len(changing) < len(made):
            same = ", ".join(arm.name for arm in made if arm not in changing)
            notes.append(say("ideas.{name}: left out {same}: that is the baseline.", name=name, same=same))
        arms += changing
    mistakes += unused_settings(raw, [one for arm in arms for one in arm.recipe.trained]) if sound else []
    return ArmPlan(arms, notes + _equal_arms(arms), mistakes)


def patched(config: StudyConfig, patch: Mapping[str, Any]) -> StudyConfig:
    """The study with a patch in it: mappings merge, everything else is replaced; its ideas stay as they are.

    Raises:
        ConfigError: The result is not a valid study.
    """
    raw, ideas = split_ideas(config)
    return _validated(merged(raw, as_settings(patch)) | ({"ideas": ideas} if ideas else {}))


def _validated(raw: Mapping[str, Any]) -> StudyConfig:
    examined = examine(raw)
    raise_mistakes(examined.mistakes, "")
    if examined.config is None:  # mistakes would have been raised
        raise AssertionError("a study without mistakes has a config")
    return examined.config


def _recipe_of(
    raw: Mapping[str, Any], ideas: Mapping[str, Any], auto_size: tuple[int, int], at: Path
) -> tuple[Recipe, list[Mistake]]:
    """The recipe of a study without mistakes of its own, and what is wrong with the members of its ensemble.

    Args:
        raw: The study without its ideas.
        ideas: Patches by name, among which members are.
        auto_size: What `size: auto` stands for, (h, w).
        at: Where in the document this study is declared.
    """
    config = _validated(raw)
    recipe = make_recipe(config, auto_size)
    if not config.ensemble.members:
        return recipe, []
    found = find_members(raw, ideas, at)
    if found.mistakes:
        return recipe, found.mistakes
    members = {name: make_recipe(_validated(one), auto_size) for name, one in found.studies.items()}
    return make_ensemble(recipe, members, config), []


def _changes_nothing(name: str, patch: Mapping[str, Any], made: Sequence[Arm], baseline: Arm) -> Mistake:
    """The two ways to change nothing: the study says so already, or it says so where nothing listens."""
    if all(arm.recipe == baseline.recipe for arm in made):
        text = say("must change something; got {patch}, which the study says already. Remove the idea.", patch=shown(patch))
    else:
        text = say("must change what is trained; got {patch}, which has no effect in this study.", patch=shown(patch))
    return Mistake(("ideas", name), text)


def _equal_arms(arms: Sequence[Arm]) -> list[str]:
    first: dict[str, str] = {}
    notes = []
    for arm in arms:
        twin = first.setdefault(arm.recipe.training_json(), arm.name)
        if twin != arm.name:
            notes.append(
                say("{name!r} and {twin!r} train the same; one of them tells as much as both.", name=arm.name, twin=twin)
            )
    return notes
