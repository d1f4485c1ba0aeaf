"""What a mirror and a quarter turn mean for each target of a study, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tamesu.fields import DirectionField, Field, LabelField, LabelsField, NumberField, PointsField
from tamesu.moving import elements_drawn, symmetry_maps
from tamesu.texts import language, say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

MIRROR, TURN = 4, 1  # of `Maps.elements`
MAX_SHOWN = 8  # classes or pairs named in a sentence


def images_of(field: Field, classes: Sequence[str], element: int) -> dict[str, str | None]:
    """The class that each class is seen as through a symmetry of the square; None where there is no answer."""
    values = np.empty(len(classes), dtype=object)
    for i, name in enumerate(classes):
        values[i] = (name,) if isinstance(field, LabelsField) else name
    maps = symmetry_maps(element, len(classes))
    moved, allowed = field.act(values, maps), field.allows(values, maps)
    names = [one[0] if isinstance(one, tuple) and one else one for one in moved]
    return {name: str(other) if known and other else None for name, other, known in zip(classes, names, allowed, strict=True)}


def changed_classes(field: Field, classes: Sequence[str]) -> list[str]:
    """Classes that a mirror or a quarter turn makes other ones, each before the one it becomes."""
    if field.swap_with is not None:
        return []
    found: dict[str, None] = {}
    for element in (MIRROR, TURN):
        images = images_of(field, classes, element)
        for name in classes:
            other = images[name]
            if other is not None and other != name:
                found |= {name: None, other: None}
    return [name for name in found if name in classes]


def meanings(rows: Dataset, recipe: Recipe) -> list[str]:
    """One sentence for each target and each of mirror and quarter turn, with how many rows it is about."""
    elements = elements_drawn(recipe.augment)
    found = []
    for name, field in recipe.targets.items():
        counts = _counts(rows, name, field)
        words = list(_words(field, counts, MIRROR))
        found.append(say("{name}, in a mirror: {what}.", name=name, what=clauses(words)))
        if getattr(field, "turn", None) is not None or {1, 2, 3} & set(elements):
            words = list(_words(field, counts, TURN))
            found.append(say("{name}, turned by a quarter anticlockwise: {what}.", name=name, what=clauses(words)))
    return found


def _counts(rows: Dataset, name: str, field: Field) -> Counter[str]:
    """Rows of each class; empty for a target without classes."""
    if not isinstance(field, (LabelField, LabelsField, DirectionField)):
        return Counter()
    values = rows.values(name, field)
    held = Counter(one for row in values for one in (row if isinstance(field, LabelsField) else (row,)) if one is not None)
    return Counter({one: held[one] for one in rows.classes.get((name, field.kind), tuple(sorted(held)))})


def _words(field: Field, counts: Counter[str], element: int) -> Iterator[str]:
    declared = getattr(field, "mirror" if element == MIRROR else "turn", "by itself")
    if element == MIRROR and field.swap_with is not None:
        yield say("it changes places with {other}", other=field.swap_with)
    elif declared is None and not (isinstance(field, PointsField) and (element == TURN or len(field.point_names) == 1)):
        yield say("not declared")
    elif counts:
        yield from _class_words(field, counts, element)
    elif isinstance(field, NumberField):
        yield {"same": say("it stays"), "negate": say("it changes its sign")}.get(str(declared), say("never shown so"))
    elif isinstance(field, PointsField):
        yield from _point_words(field, element)
    else:
        yield say("it moves with the picture")


def _class_words(field: Field, counts: Counter[str], element: int) -> Iterator[str]:
    images = images_of(field, list(counts), element)
    pairs, arrows = [], []
    for name, other in images.items():
        if other is None or other == name:
            continue
        if images.get(other) == name:
            if list(counts).index(name) < list(counts).index(other):
                pairs.append(say("{one} ↔ {other} ({n} and {m} rows)", one=name, other=other, n=counts[name], m=counts[other]))
        else:
            arrows.append(say("{one} → {other} ({n} rows)", one=name, other=other, n=counts[name]))
    kept = [name for name, other in images.items() if other == name]
    never = [name for name, other in images.items() if other is None]
    if pairs or arrows:
        yield some(pairs + arrows)
    if kept:
        yield say("{n} of {k} classes stay ({rows} rows)", n=len(kept), k=len(images), rows=sum(counts[name] for name in kept))
    if never:
        shown = some([say("{one} ({n} rows)", one=name, n=counts[name]) for name in never])
        yield say("never shown so: {classes}", classes=shown)


def _point_words(field: PointsField, element: int) -> Iterator[str]:
    mirror: Any = field.mirror
    if element == MIRROR and mirror == "never":
        yield say("never shown so")
        return
    names = field.point_names
    order = field.order_in_mirror if element == MIRROR else range(len(names))
    pairs = [f"{names[i]} ↔ {names[j]}" for i, j in enumerate(order) if i < j]
    yield some(pairs) if pairs else say("it moves with the picture")


def some(parts: Sequence[str]) -> str:
    """The first of several names or pairs, and how many more there are."""
    shown = ("、" if language() == "ja" else ", ").join(parts[:MAX_SHOWN])
    return shown if len(parts) <= MAX_SHOWN else say("{shown}, and {n} more", shown=shown, n=len(parts) - MAX_SHOWN)


def clauses(parts: Iterable[str]) -> str:
    """Parts of a sentence that have commas of their own."""
    return ("；" if language() == "ja" else "; ").join(parts)
