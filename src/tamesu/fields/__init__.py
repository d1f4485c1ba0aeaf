"""The kinds of field: what a column means, how its cells are read, and what a map does to them.

A kind is one frozen model. `read` turns the raw column into one typed array, or raises `DataError` naming the rows; `act`
gives what is true of the picture as a map shows it, and `allows` says for which rows that is known. A further kind is one
class in one of these files, and one more name here.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field as Setting

from tamesu.fields.base import MISSING_TEXT, FieldBase, Name, SideTable, SwapWith, as_text, some_rows
from tamesu.fields.derived import DerivedField
from tamesu.fields.directions import AngleField, DirectionField, VectorField
from tamesu.fields.events import EventsField
from tamesu.fields.pictures import DepthField, Encoding, ImageField, MaskField
from tamesu.fields.places import Boxes, BoxesField, PointsField
from tamesu.fields.series import SeriesField, SeriesMirror
from tamesu.fields.several import NumbersField, SharesField
from tamesu.fields.steps import Steps, StepsField
from tamesu.fields.table import GroupField, IdField, IgnoreField, LabelField, LabelsField, NumberField

AnyField = (
    ImageField
    | MaskField
    | DepthField
    | LabelField
    | LabelsField
    | NumberField
    | DirectionField
    | AngleField
    | VectorField
    | PointsField
    | SharesField
    | NumbersField
    | BoxesField
    | SeriesField
    | StepsField
    | EventsField
    | DerivedField
    | GroupField
    | IdField
    | IgnoreField
)
Field = Annotated[AnyField, Setting(discriminator="kind")]
KINDS: tuple[str, ...] = tuple(one.model_fields["kind"].default for one in get_args(AnyField))
PictureField = ImageField | MaskField | DepthField

__all__ = [
    "KINDS",
    "MISSING_TEXT",
    "AngleField",
    "Boxes",
    "BoxesField",
    "DepthField",
    "DerivedField",
    "DirectionField",
    "Encoding",
    "EventsField",
    "Field",
    "FieldBase",
    "GroupField",
    "IdField",
    "IgnoreField",
    "ImageField",
    "LabelField",
    "LabelsField",
    "MaskField",
    "Name",
    "NumberField",
    "NumbersField",
    "PictureField",
    "PointsField",
    "SeriesField",
    "SeriesMirror",
    "SharesField",
    "SideTable",
    "Steps",
    "StepsField",
    "SwapWith",
    "VectorField",
    "as_text",
    "some_rows",
]
