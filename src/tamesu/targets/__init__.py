"""What is predicted: how values become what is trained, how raw outputs become a prediction, and what a map does to both.

A target is made from a field and its classes, and fitted on training rows (`fit` returns a new one). A further kind is one
class in one of these files, and one more line here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from tamesu.fields import (
    AngleField,
    DirectionField,
    Field,
    LabelField,
    LabelsField,
    NumberField,
    PointsField,
    VectorField,
)
from tamesu.targets.base import Target
from tamesu.targets.classes import DirectionTarget, LabelsTarget, LabelTarget
from tamesu.targets.numbers import AngleTarget, NumberTarget, VectorTarget
from tamesu.targets.places import PointsTarget

__all__ = [
    "AngleTarget",
    "DirectionTarget",
    "LabelTarget",
    "LabelsTarget",
    "NumberTarget",
    "PointsTarget",
    "Target",
    "VectorTarget",
    "make_target",
    "target_from_json",
]

_CLASSES: dict[type, type[Target]] = {
    LabelField: LabelTarget,
    LabelsField: LabelsTarget,
    DirectionField: DirectionTarget,
    NumberField: NumberTarget,
    AngleField: AngleTarget,
    VectorField: VectorTarget,
    PointsField: PointsTarget,
}


def make_target(name: str, field: Field, classes: tuple[str, ...] = ()) -> Target:
    """What is predicted for a field; `classes` are those of the whole training table (none for a number)."""
    return _CLASSES[type(field)](name, field, tuple(classes))


def target_from_json(kept: dict[str, Any]) -> Target:
    """The target that `to_json` described."""
    field: Field = TypeAdapter(Field).validate_python(kept["field"])
    target = make_target(kept["name"], field, tuple(kept["classes"]))
    return replace(target, **{one: kept[one] for one in target.learned if one in kept})
