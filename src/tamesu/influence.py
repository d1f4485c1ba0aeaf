"""What of a recipe has an influence on its training and predictions: the rest is left out before it is hashed.

For the built-in learner only; another may make use of anything. Where it is not certain that a setting has no effect it
stays: a training that is done twice costs time, one that is taken for another is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tamesu.amounts import is_off
from tamesu.check_maps import LARGE_ROTATION_DEG, furthest
from tamesu.fields import DerivedField, DirectionField, Field, MaskField, NumberField, PointsField, VectorField
from tamesu.fields.table import LabelField

if TYPE_CHECKING:
    from tamesu.config import AugmentConfig
    from tamesu.recipe import Recipe

FOR_IMAGES = (
    *("brightness", "contrast", "gamma", "saturation", "hue_deg"),
    *("blur", "noise", "shot_noise", "row_noise", "jpeg"),
    *("shadow", "erase", "dropout", "functions", "border", "mixup"),
)
FOR_DEPTH = ("holes", "depth_step")


def influential(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide what is trained and how it predicts, as plain values."""
    kinds: set[str] = {field.kind for field in recipe.inputs.values() if field.is_picture}
    out: dict[str, Any] = {
        "learner": recipe.learner,
        "model": recipe.model.model_dump(),
        "train": recipe.train.model_dump(exclude={"report"}),  # it looks on
        "size": recipe.size if kinds else (0, 0),
    }
    if kinds:
        out["resize"] = recipe.resize
        if recipe.tta.mirror or recipe.tta.turns or recipe.tta.draws:
            out["tta"] = recipe.tta.model_dump()
    out["augment"] = _augment(recipe, kinds)
    moves = _Moves(recipe, bool(kinds), out["augment"])
    out["fields"] = {name: _field(field, moves) for name, field in recipe.read.items()}
    channels = _channels(recipe, kinds)
    return out | ({"channels": channels} if channels else {})


def _channels(recipe: Recipe, kinds: set[str]) -> dict[str, Any]:
    """Only what some input has a use for."""
    said = recipe.channels.model_dump(exclude_defaults=True)
    of = {"depth": {"depth"}, "series": {"series"}}
    there = {field.kind for field in recipe.inputs.values()}
    return {name: value for name, value in said.items() if (of[name] & there if name in of else kinds)}


def _augment(recipe: Recipe, kinds: set[str]) -> dict[str, Any]:
    augment = recipe.augment
    if not kinds:  # rows are still drawn by their class
        return {"balance": augment.balance} if augment.balance else {}
    out = augment.model_dump()
    without = (() if "image" in kinds else FOR_IMAGES) + (() if "depth" in kinds else FOR_DEPTH)
    out = {name: value for name, value in out.items() if name not in without}
    alone = "" if recipe.tta.draws else _only_orientation(augment)
    if any(alone in _forbidden(field) for field in recipe.targets.values()):
        out[alone] = 0.0
    return out


def _only_orientation(augment: AugmentConfig) -> str:
    """The setting that alone mirrors or rotates pictures; empty where none or several do.

    Of several, one that is forbidden still has an effect: where it was drawn, the others are drawn again.
    """
    asked = [name for name in ("mirror", "flip", "turn") if getattr(augment, name)]
    asked += [] if is_off(augment.rotate_deg) else ["rotate_deg"]
    return asked[0] if len(asked) == 1 else ""


def _forbidden(target: Field) -> set[str]:
    """Settings that never move a picture of any row, as this target forbids it."""
    found = set()
    if isinstance(target, LabelField | NumberField | PointsField) and target.mirror == "never":
        found |= {"mirror", "flip"}
    if isinstance(target, LabelField | NumberField) and target.turn == "never":
        found |= {"turn", "flip"}
    return found


class _Moves:
    """Which ways pictures are moved, in training or when predicting."""

    def __init__(self, recipe: Recipe, has_pictures: bool, augment: Mapping[str, Any]):
        given, tta = recipe.augment, recipe.tta
        angle = furthest(given.rotate_deg)
        flipped = bool(augment.get("flip"))
        self.mirrored = has_pictures and (bool(augment.get("mirror")) or flipped or tta.mirror)
        # rare classes are turned further than written
        far = angle > LARGE_ROTATION_DEG or (angle > 0 and given.balance > 0)
        self.turned = has_pictures and (bool(augment.get("turn")) or flipped or far or tta.turns)
        self.at_all = has_pictures and (
            self.mirrored or self.turned or angle > 0 or not is_off(given.shear_deg) or tta.draws > 0
        )
        self.pasted = has_pictures and given.paste > 0
        self.places = bool({"xyz", "normals"} & set(recipe.channels.depth))  # then the camera counts


def declared(field: Field, without: Iterable[str] = ()) -> dict[str, Any]:
    """What the study says of a field beside its kind's defaults, as plain values."""
    return {"kind": field.kind, **field.model_dump(exclude=set(without), exclude_defaults=True)}


def _field(field: Field, moves: _Moves) -> dict[str, Any]:
    """A field without its columns' names, whose content counts with the data, and without what no move asks for."""
    out = declared(field, {"column"} if moves.places else {"column", "camera"})
    if isinstance(field, DerivedField):
        out["sources"] = [declared(one, {"column", "target", "aux", "loss"}) for one in field.sources]
    if isinstance(field, PointsField):
        out |= {"points": None, "names": field.point_names}
    if isinstance(field, VectorField):
        out["columns"] = len(field.columns)
    without = (() if moves.mirrored else ("mirror",)) + (() if moves.turned else ("turn",))
    without += () if moves.pasted else ("pasted",)
    if isinstance(field, MaskField) and not (moves.mirrored or moves.pasted):
        without += ("names",)
    if isinstance(field, DirectionField) and field.target and not moves.at_all:
        without += ("angles", "tolerance_deg")
    return {key: value for key, value in out.items() if key not in without}
