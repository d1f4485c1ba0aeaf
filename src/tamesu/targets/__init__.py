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
    BoxesField,
    DepthField,
    DerivedField,
    DirectionField,
    EventsField,
    Field,
    LabelField,
    LabelsField,
    MaskField,
    NumberField,
    NumbersField,
    PointsField,
    SharesField,
    StepsField,
    VectorField,
)
from tamesu.targets.base import Target
from tamesu.targets.classes import DirectionTarget, LabelsTarget, LabelTarget
from tamesu.targets.constrained import BallTarget, BoundedTarget, OrderedTarget, UnitVectorTarget
from tamesu.targets.derived import CountsTarget, make_derived
from tamesu.targets.events import EventsTarget
from tamesu.targets.maps import DepthTarget, MaskTarget
from tamesu.targets.numbers import AngleTarget, NumberTarget, VectorTarget
from tamesu.targets.places import PointsTarget
from tamesu.targets.several import NumbersTarget, SharesTarget
from tamesu.targets.steps import StepsTarget

__all__ = [
    "AngleTarget",
    "DirectionTarget",
    "EventsTarget",
    "LabelTarget",
    "LabelsTarget",
    "NumberTarget",
    "NumbersTarget",
    "PointsTarget",
    "SharesTarget",
    "StepsTarget",
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
    SharesField: SharesTarget,
    NumbersField: NumbersTarget,
    StepsField: StepsTarget,
    EventsField: EventsTarget,
    BoxesField: CountsTarget,
    MaskField: MaskTarget,
    DepthField: DepthTarget,
}


def make_target(name: str, field: Field, classes: tuple[str, ...] = ()) -> Target:
    """What is predicted for a field; `classes` are those of the whole training table (none for a number)."""
    if isinstance(field, DerivedField):
        return make_derived(name, field)
    return _class_of(field)(name, field, tuple(classes))


def _class_of(field: Field) -> type[Target]:
    """What is known of a field beside its kind asks for another target."""
    if isinstance(field, NumberField) and field.range is not None:
        return BoundedTarget
    if isinstance(field, LabelField) and field.order:
        return OrderedTarget
    if isinstance(field, VectorField) and (field.unit or field.within):
        return UnitVectorTarget if field.unit else BallTarget
    return _CLASSES[type(field)]


def target_from_json(kept: dict[str, Any]) -> Target:
    """The target that `to_json` described."""
    field: Field = TypeAdapter(Field).validate_python(kept["field"])
    target = make_target(kept["name"], field, tuple(kept["classes"]))
    return replace(target, **{one: kept[one] for one in target.learned if one in kept})
