"""What is wrong with the settings, in our own sentences: one per setting, with the rule it breaks and what was found."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tamesu.config import StudyConfig
from tamesu.errors import suggest
from tamesu.fields import KINDS, Field, FieldBase
from tamesu.texts import say

Path = tuple[str | int, ...]
SHOWN_CHARACTERS = 70
FIELD_MODELS: dict[str, type[FieldBase]] = dict(zip(KINDS, get_args(get_args(Field)[0]), strict=True))


@dataclass(frozen=True)
class Mistake:
    """One mistake: which setting, and the sentence that follows `where: `.

    `wrong_type` marks a value that the setting cannot be at all: in an idea, a list in such a place is a list of values to try.
    """

    path: Path
    text: str
    wrong_type: bool = False


def dotted(path: Sequence[str | int]) -> str:
    """`fields.sign.mirror`, `augment.scale[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if part and "." not in part else repr(part))
    return text


def value_at(raw: Any, path: Iterable[str | int]) -> Any:
    """What `raw` holds at `path`; None where there is nothing."""
    for part in path:
        if isinstance(raw, Mapping):
            raw = raw.get(part)
        elif isinstance(raw, (list, tuple)) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            return None
    return raw


def shown(value: Any) -> str:
    """A value as one would write it in the study, shortened."""
    text = _written(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _written(value: Any) -> str:
    if value is None:
        return say("nothing")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_written(one) for one in value) + "]"
    return repr(value) if isinstance(value, (str, int, float)) else f"'{value}'"


def must_be(path: Path, rule: str, value: Any, hint: str = "", wrong_type: bool = False) -> Mistake:
    """The usual sentence: what the setting must be, and what it is."""
    return Mistake(path, say("must be {rule}; got {value}.{hint}", rule=rule, value=shown(value), hint=hint), wrong_type)


def model_mistakes(raw: Mapping[str, Any]) -> tuple[StudyConfig | None, list[Mistake]]:
    """The study that `raw` describes, or every setting of it that is unknown, missing, or of the wrong type or size."""
    try:
        return StudyConfig.model_validate(raw, strict=True), []
    except ValidationError as error:
        found = [_mistake(one, raw) for one in error.errors(include_url=False)]
    unique = {mistake.path: mistake for mistake in reversed(found) if mistake is not None}
    if not unique:
        raise AssertionError("pydantic's errors are all left to another one")
    return None, list(reversed(unique.values()))


def _mistake(error: Mapping[str, Any], raw: Mapping[str, Any]) -> Mistake | None:
    """pydantic's error as ours; None where another union member's error says it better."""
    path: Path = ()
    here: Any = StudyConfig
    keys: Any = None
    kind_of_error = error["type"]
    for part in error["loc"]:
        value = value_at(raw, path)
        if _is_section(here):
            if part not in here.model_fields:
                return _unknown_key((*path, part), here)
            path, here = (*path, part), _inner(here.model_fields[part])
        elif _is_field(here):
            if part in FIELD_MODELS:  # the tag of the kind, not a key
                here = FIELD_MODELS[part]
        elif part == "[key]" and keys is not None:
            return must_be(path, say("named by {rule}", rule=rule_of(keys)), path[-1])
        elif get_origin(here) is dict:
            keys, here = get_args(here)
            path = (*path, part)
        elif isinstance(value, Mapping) and (model := _section_in(here)) is not None:
            if part != model.__name__:
                return None
            here = model
        else:  # inside a list: the whole of it is what is wrong
            kind_of_error = "wrong"
            break
    return _wrong_value(kind_of_error, path, here, raw)


def _wrong_value(kind_of_error: str, path: Path, here: Any, raw: Mapping[str, Any]) -> Mistake:
    value = value_at(raw, path)
    if kind_of_error == "missing":
        if path == ("fields",):
            rule = say("given: what each column means, such as {{photo: {{kind: image}}, sign: {{kind: label, target: true}}}}")
            return must_be(path, rule, None)
        return must_be(path, say("given"), None)
    if _is_field(here) or (isinstance(here, type) and issubclass(here, FieldBase)):
        if kind_of_error.startswith("union_tag"):
            kind = value.get("kind") if isinstance(value, Mapping) else value if isinstance(value, str) else None
            if kind is not None:
                where = (*path, "kind") if isinstance(value, Mapping) else path
                return must_be(where, one_of(KINDS), kind, did_you_mean(kind, KINDS), wrong_type=True)
        rule = say("a kind, or a mapping with a `kind`, one of {kinds}", kinds=", ".join(KINDS))
        return must_be(path, rule, value, wrong_type=True)
    if path and path[0] == "ideas" and len(path) == 2:
        return must_be(path, say("a patch of the study, such as {{augment: {{mirror: 0.5}}}}"), value)
    return must_be(path, rule_of(here), value, _hint(here, value), wrong_type=True)


def _unknown_key(path: Path, section: type[BaseModel]) -> Mistake:
    key = path[-1]
    known = list(section.model_fields)
    hint = did_you_mean(key, known)
    if not hint and issubclass(section, FieldBase):
        kinds = [kind for kind, model in FIELD_MODELS.items() if key in model.model_fields]
        if kinds:
            hint = say(" It is a setting of kind {kinds}.", kinds=", ".join(kinds))
    if not hint:
        elsewhere = [f"{name}.{key}" for name, model in sections().items() if key in model.model_fields]
        if key in StudyConfig.model_fields:
            elsewhere = [str(key)]
        hint = say(" Did you mean {name!r}?", name=elsewhere[0]) if elsewhere else suggest(key, known)
    return Mistake(path, say("must be a known setting; got {key!r}.{hint}", key=key, hint=hint))


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """` Did you mean 'mirror'?` where one known name is close, else nothing."""
    if not isinstance(name, str):
        return ""
    known = list(known)
    exact = [one for one in known if one.lower() == name.lower()]
    if exact:
        return say(" Did you mean {name!r}?", name=exact[0])
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return say(" Did you mean {name!r}?", name=close[0]) if close else ""


def sections() -> dict[str, type[BaseModel]]:
    """The study's sections by their key."""
    return {name: info.annotation for name, info in StudyConfig.model_fields.items() if _is_section(info.annotation)}  # type: ignore[misc]


def _hint(here: Any, value: Any) -> str:
    if isinstance(value, str):
        if value.lower() in {"yes", "no", "on", "off"} and bool in _members(here):
            return say(" Write true or false.")
        return did_you_mean(value, [one for member in _members(here) for one in _literals(member)])
    if isinstance(value, bool | int | float) and str in _members(here):
        return say(" Put it in quotes.")
    return ""


# ---- rules, from the types in config.py and fields: each is stated once, there


def rule_of(annotation: Any) -> str:
    """What a setting of this type must be: `a whole number of at least 1`, `one of auto, gray`, …"""
    literals = [one for member in _members(annotation) for one in _literals(member)]
    others = [_rule(member) for member in _members(annotation) if not _literals(member) and member is not types.NoneType]
    rules = ([one_of(literals)] if literals else []) + list(dict.fromkeys(others))
    text = rules[0]
    for rule in rules[1:]:
        text = say("{first}, or {second}", first=text, second=rule)
    return text


def one_of(names: Sequence[object]) -> str:
    """`'auto'`, or `one of 'auto', 'gray'`."""
    if len(names) == 1:
        return repr(names[0])
    return say("one of {names}", names=", ".join(str(name) for name in names))


def _rule(annotation: Any) -> str:
    base, limits = _without_metadata(annotation)
    if base is bool:
        return say("true or false")
    if base is int:
        return _whole_number(limits)
    if base is float:
        return _number(limits)
    if base is str:
        return say("text")
    if get_origin(base) is tuple:
        parts = get_args(base)
        if len(parts) == 2 and parts[1] is not Ellipsis:
            return say("a pair [a, b], each {rule}", rule=rule_of(parts[0]))
        if parts[-1] is not Ellipsis:
            return say("a list of {n}, each {rule}", n=len(parts), rule=rule_of(parts[-1]))
        return say("a list, each {rule}", rule=rule_of(parts[0]))
    if _is_section(base):
        return say("a mapping with {names}", names=", ".join(base.model_fields))
    return say("a mapping such as {{a: b}}")


def _whole_number(limits: Mapping[str, Any]) -> str:
    low = limits["ge"] if "ge" in limits else limits["gt"] + 1 if "gt" in limits else None
    if low is None:
        return say("a whole number")
    if "le" in limits:
        return say("a whole number from {low} to {high}", low=low, high=limits["le"])
    return say("a whole number of at least {low}", low=low)


def _number(limits: Mapping[str, Any]) -> str:
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is None:
        return say("a number")
    if high is None:
        return say("a number of at least {low}", low=low) if "ge" in limits else say("a number above {low}", low=low)
    if "ge" in limits and "le" in limits:
        return say("a number from {low} to {high}", low=low, high=high)
    if "ge" in limits:
        return say("a number of at least {low} and below {high}", low=low, high=high)
    return say("a number above {low} and below {high}", low=low, high=high)


def _members(annotation: Any) -> list[Any]:
    """The members of a union, or the type itself."""
    if isinstance(annotation, FieldInfo):
        inner = annotation.annotation
        if get_origin(inner) in (Union, types.UnionType):
            return [leaf for member in get_args(inner) for leaf in _members(member)]
        return [Annotated[inner, *annotation.metadata]] if annotation.metadata else [inner]
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for member in get_args(annotation) for leaf in _members(member)]
    return [annotation]


def _without_metadata(annotation: Any) -> tuple[Any, dict[str, Any]]:
    if get_origin(annotation) is not Annotated:
        return annotation, {}
    base, *metadata = get_args(annotation)
    flat = [limit for one in metadata for limit in (one.metadata if isinstance(one, FieldInfo) else [one])]
    found: dict[str, Any] = {}
    for limit in flat:
        found |= {name: getattr(limit, name) for name in ("ge", "gt", "le", "lt") if getattr(limit, name, None) is not None}
    return base, found


def _literals(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _inner(info: FieldInfo) -> Any:
    """The type of a setting, where it is one section or mapping (or nothing); with its limits otherwise."""
    present = [member for member in _members(info.annotation) if member is not types.NoneType]
    return present[0] if len(present) == 1 and (_is_section(present[0]) or get_origin(present[0]) is dict) else info


def _is_section(here: Any) -> bool:
    return isinstance(here, type) and issubclass(here, BaseModel)


def _section_in(here: Any) -> type[BaseModel] | None:
    """The one section among a union's members, as in `data.train`."""
    models = [member for member in _members(here) if _is_section(member)]
    return models[0] if models else None


def _is_field(here: Any) -> bool:
    return here == Field
