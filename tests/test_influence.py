"""What is hashed of a recipe: equal texts are equal trainings, to the last bit of what a network is given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.batches import make_batches
from tamesu.document import config_from_mapping
from tamesu.feed import make_feed
from tamesu.fields import ImageField, LabelField, LabelsField, NumberField
from tamesu.learners.network_inputs import table_inputs
from tamesu.preprocess import fit_inputs
from tamesu.recipe import make_recipe
from tamesu.targets import make_target
from tamesu.testing import toy_pictures, toy_recipe

SIDE = {"kind": "label", "target": True}
MANY = {"kind": "labels", "target": True}
FIELDS = {"p": {"kind": "image"}, "y": SIDE, "age": {"kind": "number"}}


def text(fields=None, **more) -> str:
    return make_recipe(config_from_mapping({"fields": FIELDS | (fields or {}), **more}), (9, 9)).training_json()


def same(one: dict, other: dict) -> bool:
    return text(**one) == text(**other)


def with_y(**said):
    return {"fields": {"y": SIDE | said}}


MIRRORED = {"augment": {"mirror": 0.5}}
TURNED = {"augment": {"turn": 0.5}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_y(mirror="same"), {}),
        (with_y(turn={"a": "b", "b": "a"}), {}),
        (with_y(mirror={"a": "b"}, turn="same") | TURNED, with_y(turn="same") | TURNED),
        (with_y(turn="same", mirror="same") | MIRRORED, with_y(mirror="same") | MIRRORED),
        (with_y(mirror="never") | MIRRORED, {}),
        (with_y(mirror="never", turn="same") | {"augment": {"flip": 0.5}}, {}),
        (with_y(turn="never") | TURNED, {}),
        (with_y(turn="same") | {"augment": {"rotate_deg": 15}}, {"augment": {"rotate_deg": 15}}),
        ({"augment": {"holes": 0.5, "depth_step": 0.1}}, {}),
        ({"fields": {"age": {"kind": "number", "mirror": "negate"}}}, {}),
        ({"fields": {"m": {"kind": "mask", "names": {1: "a"}}}}, {}),
        ({"fields": {"m": {"kind": "boxes"}}}, {}),
        ({"fields": {"p": {"kind": "image", "camera": [1, 1, 0, 0]}}}, {}),
        ({"upright": True}, {}),
        ({"tta": {"mirror": False}}, {}),
    ],
    ids=str,
)
def test_what_has_no_effect_is_left_out(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_y(mirror="same") | MIRRORED, with_y(mirror={"a": "b"}) | MIRRORED),
        (with_y(turn="same") | TURNED, with_y(turn={"a": "b", "b": "a"}) | TURNED),
        (with_y(turn="never") | {"augment": {"rotate_deg": 20}}, with_y(turn="same") | {"augment": {"rotate_deg": 20}}),
        (with_y(mirror="same") | {"tta": {"mirror": True}}, with_y(mirror={"a": "b"}) | {"tta": {"mirror": True}}),
        (with_y(mirror="same") | {"tta": {"mirror": True}}, with_y(mirror="same")),
        (with_y(mirror="never", turn="same") | {"augment": {"mirror": 0.5, "rotate_deg": 5}}, {"augment": {"rotate_deg": 5}}),
        (
            {"fields": {"y": {"kind": "labels", "target": True, "mirror": "never"}}, **MIRRORED},
            {"fields": {"y": {"kind": "labels", "target": True}}},
        ),
        ({"resize": "pad"}, {}),
        ({"fields": {"d": {"kind": "depth"}}, "augment": {"holes": 0.5}}, {"fields": {"d": {"kind": "depth"}}}),
        ({"fields": {"m": {"kind": "mask", "input": True}}}, {}),
        ({"fields": {"d": {"kind": "depth", "unit_m": 0.01}}}, {"fields": {"d": {"kind": "depth"}}}),
        ({"augment": {"balance": 0.5}}, {}),
    ],
    ids=str,
)
def test_what_has_an_effect_stays(one, other):
    assert not same(one, other)


def test_pictures_of_any_kind_have_a_size_and_are_augmented():
    for kind in ({"kind": "depth"}, {"kind": "mask", "input": True}):
        fields = {"p": kind, "y": SIDE}
        config = config_from_mapping({"fields": fields, "augment": {"scale": 0.1, "noise": 0.1}, "size": 7})
        recipe = make_recipe(config, (9, 9))
        assert recipe.size == (7, 7)
        hashed = json.loads(recipe.training_json())
        assert hashed["augment"]["scale"] == 0.1
        assert "noise" not in hashed["augment"]
        assert ("holes" in hashed["augment"]) == (kind["kind"] == "depth")


def test_without_pictures_only_the_rates_of_classes_count():
    fields = {"p": {"kind": "number"}, "y": SIDE | {"mirror": "same"}}
    plain = text(fields)
    assert json.loads(plain)["augment"] == {}
    assert text(fields, augment={"mirror": 0.5, "noise": 0.1}, resize="pad") == plain
    assert text(fields, augment={"balance": 0.5}) != plain


def test_names_of_columns_do_not_count():
    def points(x, y, **more):
        return text({"y": {"kind": "points", "target": True, "points": {"nose": [x, y]}}}, **more)

    assert points("a", "b") == points("c", "d")
    assert text({"v": {"kind": "vector", "columns": ["a", "b"]}}) == text({"v": {"kind": "vector", "columns": ["c", "d"]}})
    assert text({"v": {"kind": "vector", "columns": ["a", "b"]}}) != text({"v": {"kind": "vector", "columns": ["a", "b", "c"]}})


def test_directions_count_once_something_moves():
    def arrows(up, **more):
        angles = {"right": 0, "up": up, "left": 180}
        return text({"y": {"kind": "direction", "target": True, "angles": angles}}, **more)

    assert arrows(90) == arrows(80)
    for moves in ({"mirror": 0.5}, {"rotate_deg": 5}, {"shear_deg": 5}):
        assert arrows(90, augment=moves) != arrows(80, augment=moves)
    assert arrows(90, tta={"turns": True}) != arrows(80, tta={"turns": True})


def test_a_learner_of_ones_own_may_use_everything():
    assert not same({"learner": "m:L", **with_y(mirror="same")}, {"learner": "m:L"})
    assert not same(
        {"learner": "m:L", "tta": {"mirror": True}, **with_y(mirror="same")}, {"learner": "m:L", **with_y(mirror="same")}
    )


# ---- equal texts are equal trainings

SWAP = {"left": "right"}
chance = st.sampled_from([0.0, 0.0, 0.5, 1.0])
augments = st.fixed_dictionaries(
    {},
    optional={
        "mirror": chance,
        "flip": chance,
        "turn": chance,
        "rotate_deg": st.sampled_from([0.0, 10.0, 40.0]),
        "shear_deg": st.sampled_from([0.0, 10.0]),
        "balance": st.sampled_from([0.0, 1.0]),
        "holes": st.sampled_from([0.0, 0.5]),
    },
)
either = st.sampled_from(["same", "never"])
mirrors = st.sampled_from(["same", "never", SWAP, {"left": "never"}])
turns = st.sampled_from(["same", "never", {"left": "right", "right": "left"}])
sides = st.builds(lambda m, t: LabelField(target=True, mirror=m, turn=t), mirrors, turns)
numbers = st.builds(lambda m, t: NumberField(target=True, mirror=m, turn=t), either | st.just("negate"), either)
many = st.builds(lambda m, t: LabelsField(target=True, mirror=m, turn=t), mirrors, turns)
targets = sides.map(lambda one: {"side": one}) | numbers.map(lambda one: {"share": one}) | many.map(lambda one: {"both": one})
shades = st.sampled_from([None, "same", "never", {"dim": "bright"}]).map(lambda m: LabelField(mirror=m))
ROWS = toy_pictures(12)


def batch_of(recipe):
    inputs = fit_inputs(ROWS, table_inputs(recipe))
    made = {name: make_target(name, one, ROWS.classes.get((name, one.kind), ())) for name, one in recipe.targets.items()}
    made = {name: one.fit(ROWS.values(name, one.field)) for name, one in made.items()}
    (batch,) = make_batches(make_feed(ROWS, recipe, inputs, made), 12, epoch=0, n_threads=0)
    return batch


@settings(deadline=None, max_examples=150)
@given(target=targets, others=st.lists(st.tuples(augments, shades, targets), min_size=2, max_size=6))
def test_equal_texts_are_equal_batches(target, others):
    """Trainings that are taken for one another are one: pictures, tables, targets and their order."""
    ((name, _),) = target.items()
    first = {}
    for augment, shade, another in others:
        fields = {"picture": ImageField(), "shade": shade, **(another if name in another else target)}
        recipe = toy_recipe(fields, (8, 8), augment=augment)
        key = recipe.training_json()
        batch = batch_of(recipe)
        known = first.setdefault(key, batch)
        np.testing.assert_array_equal(batch.rows, known.rows)
        np.testing.assert_array_equal(batch.pictures["picture"], known.pictures["picture"])
        np.testing.assert_array_equal(batch.categories, known.categories)
        np.testing.assert_array_equal(batch.targets[name], known.targets[name])


@settings(deadline=None, max_examples=100)
@given(field=sides | numbers, only=st.sampled_from(["mirror", "flip", "turn"]), shade=shades)
def test_a_forbidden_move_that_is_left_out_moves_nothing(field, only, shade):
    name = "side" if isinstance(field, LabelField) else "share"
    fields = {"picture": ImageField(), "shade": shade, name: field}
    still, moved = (toy_recipe(fields, (8, 8), augment=augment) for augment in ({}, {only: 0.7}))
    if still.training_json() != moved.training_json():
        return
    one, other = batch_of(still), batch_of(moved)
    np.testing.assert_array_equal(one.pictures["picture"], other.pictures["picture"])
    np.testing.assert_array_equal(one.targets[name], other.targets[name])
    np.testing.assert_array_equal(one.categories, other.categories)
