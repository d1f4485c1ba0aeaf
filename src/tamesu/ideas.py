"""Ideas as patches: what one may change, how it is merged into the study, and how lists of values become several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from tamesu.check import Examined, examine
from tamesu.config import StudyConfig
from tamesu.fields import Field, as_text
from tamesu.fields.derived import with_kind
from tamesu.learners.names import SKLEARN, TREES, kind_of
from tamesu.mistakes import FIELD_MODELS, Mistake, Path, dotted, shown
from tamesu.texts import say

# Settings of a target that an idea may declare otherwise: what is predicted and scored stays the same.
MAY_DIFFER = (
    *("mirror", "turn", "angles", "tolerance_deg", "pasted", "merge", "loss"),
    *("range", "order", "unit", "within", "learn", "rising", "laws", "width", "once", "in_order"),
)
SAME_VALUES = ({"numbers", "shares"},)  # kinds whose values are the same, and what is known of them is not
SAME_FOR_BOTH = ("data", "folds", "metric", "name", "lang", "verdict", "draft", "ideas")
MAX_ARMS = 100  # arms one idea may expand to: more is a typing error, or a search that this tool is not for
VALUE_CHARACTERS = 28


class Variant(NamedTuple):
    """One arm to be: its name and its patch, with no list of values left in it."""

    name: str
    patch: dict[str, Any]


class Expanded(NamedTuple):
    """What an idea comes to."""

    variants: list[Variant]
    mistakes: list[Mistake]


def as_settings(value: Any) -> Any:
    """Settings in one form, wherever they came from: plain values, keys as text, lists as tuples."""
    if isinstance(value, BaseModel):
        kind = {"kind": getattr(value, "kind")} if hasattr(value, "kind") else {}  # noqa: B009
        return as_settings(kind | {name: getattr(value, name) for name in value.model_fields_set})
    if isinstance(value, Mapping):
        return {as_text(key): as_settings(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(as_settings(one) for one in value)
    return value.item() if isinstance(value, np.generic) else value


def as_written(value: Any) -> Any:
    """The same with lists in place of tuples, as YAML and JSON have them."""
    if isinstance(value, Mapping):
        return {key: as_written(one) for key, one in value.items()}
    return [as_written(one) for one in value] if isinstance(value, list | tuple) else value


def split_ideas(config: StudyConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings a study was made from, without its ideas; and the ideas."""
    raw = as_settings(config)
    return raw, raw.pop("ideas", {})


def merged(base: Mapping[str, Any], patch: Mapping[str, Any], path: Path = ()) -> dict[str, Any]:
    """`base` with the patch in it: mappings merge, everything else is replaced.

    A field that changes its kind keeps its column and nothing else, since other kinds have other settings; a study that changes
    its learner does not keep the parameters of the one it had; an ensemble of other members has nothing of the one before.
    """
    out = dict(base) if path else without_left(base, patch)
    for key, new in patch.items():
        old = out.get(key)
        if path == ("fields",):
            old, new = with_kind(old), with_kind(new) if isinstance(new, str) else new
        if not (isinstance(new, Mapping) and isinstance(old, Mapping)):
            out[key] = new
        elif is_another((*path, key), old, new):
            out[key] = {name: old[name] for name in ("column",) if name in old} | dict(new)
        else:
            out[key] = merged(old, new, (*path, key))
    return out


def params_left(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Path | None:
    """Where `base` has parameters of a library whose learner the patch takes another for; None where there are none."""
    before = base.get("learner")
    if not isinstance(before, str) or patch.get("learner", before) == before:
        return None
    section = "trees" if before in TREES else "sklearn" if kind_of(before) == SKLEARN else ""
    said = base.get(section)
    return (section, "params") if isinstance(said, Mapping) and "params" in said else None


def without_left(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`base` without what the patch's learner has no use for."""
    left = params_left(base, patch)
    return dict(base) if left is None else _left(base, [left])


def is_another(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether what is declared at `path` takes the place of the old as a whole: a field of another kind, an ensemble."""
    if path == ("ensemble",):
        return "members" in new
    return len(path) == 2 and path[0] == "fields" and "kind" in new and new["kind"] != old.get("kind")


def expand(raw: Mapping[str, Any], base: Examined, name: str, patch: Any) -> Expanded:
    """The arms of one idea.

    A patch that is valid as it is makes one arm. Otherwise each list in a place that takes no such list is a list of
    values to try, and every combination is an arm. So `size: [32, 48]` is one picture size and `batch_size: [32, 48]` two arms.

    Args:
        raw: The study without its ideas.
        base: The same, examined: what is wrong there is not the idea's mistake.
    """
    if not isinstance(patch, Mapping):
        return Expanded([], [])  # reported with the other settings of a wrong type
    if not patch:
        return Expanded([], [Mistake(("ideas", name), say("must change something; got an empty patch. Remove the idea."))])
    mistakes = [Mistake(("ideas", name, *one.path), one.text) for one in _forbidden(base.config, patch)]
    allowed = _left(patch, [one.path[2:] for one in mistakes])
    if mistakes and not allowed:
        return Expanded([], mistakes)
    new = _new_mistakes(raw, base, allowed)
    wrong = {one.path for one in new if one.wrong_type}
    lists = {path: values for path, values in _lists(allowed) if path in wrong}
    empty = [path for path, values in lists.items() if not values]
    n_arms = int(np.prod([len(values) for values in lists.values()], dtype=float))
    if empty:
        return Expanded(
            [], [*mistakes, *(Mistake(("ideas", name, *path), say("must list at least one value; got [].")) for path in empty)]
        )
    if n_arms > MAX_ARMS:
        text = say("must come to at most {limit} arms; got {n}. Try fewer values at a time.", limit=MAX_ARMS, n=n_arms)
        return Expanded([], [*mistakes, Mistake(("ideas", name), text)])
    if not lists:
        return Expanded([Variant(name, dict(patch))], mistakes + [_in_idea(name, one, allowed, {}) for one in new])
    variants = []
    for indices in itertools.product(*(range(len(values)) for values in lists.values())):
        chosen = dict(zip(lists, indices, strict=True))
        one_patch = _with_values(allowed, {path: lists[path][i] for path, i in chosen.items()})
        mistakes += [_in_idea(name, one, allowed, chosen) for one in _new_mistakes(raw, base, one_patch)]
        variants.append(Variant(f"{name}: " + _label({path: lists[path][i] for path, i in chosen.items()}), one_patch))
    return Expanded(_unique_names(variants), list(dict.fromkeys(mistakes)))


def _forbidden(config: StudyConfig | None, patch: Mapping[str, Any]) -> Iterator[Mistake]:
    """What the two arms of a comparison must have in common."""
    for key in patch:
        if key in SAME_FOR_BOTH:
            yield Mistake(
                (key,), say("must not be in an idea: the two arms could not be compared. Change it in the study itself.")
            )
    fields = patch.get("fields")
    for name, declared in fields.items() if isinstance(fields, Mapping) else ():
        old = config.fields.get(name) if config is not None else None
        if old is None or not isinstance(declared, Mapping):
            continue
        if old.kind in ("group", "id"):
            text = say(
                "must stay as it is in an idea: it is the study's {kind}, and the two arms could not be compared.",
                kind=old.kind,
            )
            yield Mistake(("fields", name), text)
            continue
        for key, value in declared.items():
            if key == "column" and value != old.column:
                yield Mistake(
                    ("fields", name, key),
                    say("must stay as it is in an idea; to try another column, declare it as another field."),
                )
            elif (
                old.target
                and key not in MAY_DIFFER
                and not (key == "kind" and any({value, old.kind} <= kinds for kinds in SAME_VALUES))
                and key in FIELD_MODELS[old.kind].model_fields
                and value != getattr(old, key)
            ):
                yield Mistake(
                    ("fields", name, key),
                    say(
                        "must stay as it is in an idea: {name!r} is the target, and the two arms could not be compared.",
                        name=name,
                    ),
                )


def _fixed(target: Field) -> set[str]:
    """Settings of a target that say what is predicted, and not how it is learnt or what a moved picture makes of it."""
    return set(FIELD_MODELS[target.kind].model_fields) - set(MAY_DIFFER)


def _new_mistakes(raw: Mapping[str, Any], base: Examined, patch: Mapping[str, Any]) -> list[Mistake]:
    known = {(one.path, one.text) for one in base.mistakes}
    return [one for one in examine(merged(raw, patch)).mistakes if (one.path, one.text) not in known]


def _in_idea(name: str, mistake: Mistake, patch: Mapping[str, Any], chosen: Mapping[Path, int]) -> Mistake:
    """A mistake of the patched study as one of the idea, at the line of the idea that made it."""
    path, depth = mistake.path, 0
    here: Any = patch
    while depth < len(path) and isinstance(here, Mapping) and path[depth] in here:
        here = here[path[depth]]
        depth += 1
    inside = path[:depth]
    text = mistake.text if depth == len(path) else f"{dotted(path)}: {mistake.text}"
    index = (chosen[inside],) if inside in chosen else ()
    return Mistake(("ideas", name, *inside, *index), text)


def _lists(patch: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, tuple[Any, ...]]]:
    for key, value in patch.items():
        if isinstance(value, Mapping):
            yield from _lists(value, (*path, key))
        elif isinstance(value, list | tuple):
            yield (*path, key), tuple(value)


def _left(patch: Mapping[str, Any], without: list[Path], path: Path = ()) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in patch.items():
        here = (*path, key)
        if here in without:
            continue
        left = _left(value, without, here) if isinstance(value, Mapping) else value
        if left or not isinstance(value, Mapping) or not value:  # a mapping that lost everything is no part of the patch
            out[key] = left
    return out


def _with_values(patch: Mapping[str, Any], values: Mapping[Path, Any], path: Path = ()) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in patch.items():
        here = (*path, key)
        if here in values:
            out[key] = values[here]
        else:
            out[key] = _with_values(value, values, here) if isinstance(value, Mapping) else value
    return out


def _label(values: Mapping[Path, Any]) -> str:
    """`batch_size=16, learning_rate=0.1`; as much of the path as tells the settings apart."""
    parts = []
    for path, value in values.items():
        depth = 1
        while depth < len(path) and sum(other[-depth:] == path[-depth:] for other in values) > 1:
            depth += 1
        text = value if isinstance(value, str) else shown(value)
        short = text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"
        parts.append(f"{dotted(path[-depth:])}={short}")
    return ", ".join(parts)


def _unique_names(variants: list[Variant]) -> list[Variant]:
    seen: dict[str, int] = {}
    out = []
    for variant in variants:
        seen[variant.name] = seen.get(variant.name, 0) + 1
        again = seen[variant.name]
        out.append(variant if again == 1 else variant._replace(name=f"{variant.name} ({again})"))
    return out
