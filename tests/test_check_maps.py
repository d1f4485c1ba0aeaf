"""Magnitudes that can be, moves whose meaning is declared, and what gravity forbids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.amounts import drawn
from tamesu.arms import make_arms
from tamesu.check_maps import DOMAINS, LARGE_ROTATION_DEG
from tamesu.config import AugmentConfig
from tamesu.document import config_from_mapping
from tamesu.draws import make_draws, row_keys
from tamesu.errors import ConfigError
from tamesu.symmetry import TILT_RAD

CLASS_KINDS = ("label", "labels", "number")
BY_THEMSELVES = {
    "direction": {"kind": "direction", "angles": {"right": 0, "left": 180}},
    "angle": {"kind": "angle"},
    "vector": {"kind": "vector"},
    "one point": {"kind": "points", "names": ["nose"]},
}


def study(target, **more):
    return {"fields": {"p": {"kind": "image"}, "y": target | {"target": True}}, **more}


def mistakes(target, **more) -> list[str]:
    try:
        config_from_mapping(study(target, **more))
    except ConfigError as error:
        return [one.removeprefix("Study ") for one in error.mistakes]
    return []


MIRRORING = [{"augment": {"mirror": 0.1}}, {"augment": {"flip": 0.1}}, {"tta": {"mirror": True}}]
TURNING = [
    {"augment": {"turn": 0.1}},
    {"augment": {"flip": 0.1}},
    {"augment": {"rotate_deg": 16}},
    {"augment": {"rotate_deg": [-16, 0]}},
    {"augment": {"rotate_deg": {"range": 90, "chance": 0.01}}},
    {"tta": {"turns": True}},
]
HARMLESS = [
    {"augment": {"rotate_deg": 15, "scale": 0.3, "shear_deg": 20, "crop": 0.5}},
    {"augment": {"rotate_deg": {"range": 90, "chance": 0}}},
]


def setting(moves) -> str:
    ((section, one),) = moves.items()
    return f"{section}.{next(iter(one))}"


@pytest.mark.parametrize("kind", CLASS_KINDS)
@pytest.mark.parametrize("moves", MIRRORING, ids=setting)
def test_mirroring_asks_what_a_mirror_does(kind, moves):
    found = [one for one in mistakes({"kind": kind, "turn": "same"}, **moves) if "a mirror does" in one]
    assert len(found) == 1
    assert found[0].startswith(setting(moves))
    for way in ("mirror: same", "mirror: never", "swap_with", "negate" if kind == "number" else "mirror: {a: b}"):
        assert way in found[0]
    for answer in ("same", "negate" if kind == "number" else {"a": "b"}):
        assert mistakes({"kind": kind, "turn": "same", "mirror": answer}, **moves) == []


@pytest.mark.parametrize("kind", CLASS_KINDS)
@pytest.mark.parametrize("moves", TURNING, ids=setting)
def test_turning_asks_what_a_turn_does(kind, moves):
    found = [one for one in mistakes({"kind": kind, "mirror": "same"}, **moves) if "a quarter turn does" in one]
    assert len(found) == 1
    assert found[0].startswith(setting(moves))
    for way in ("turn: same", "turn: never", "kind: angle" if kind == "number" else "kind: direction"):
        assert way in found[0]
    for answer in ("same",) if kind == "number" else ("same", {"a": "b", "b": "a"}):
        assert mistakes({"kind": kind, "mirror": "same", "turn": answer}, **moves) == []


@pytest.mark.parametrize("moves", HARMLESS, ids=str)
def test_small_moves_ask_nothing(moves):
    assert mistakes({"kind": "label"}, **moves) == []


@pytest.mark.parametrize("target", BY_THEMSELVES)
@pytest.mark.parametrize("moves", MIRRORING + TURNING, ids=setting)
def test_kinds_that_know_by_themselves(target, moves):
    assert mistakes(BY_THEMSELVES[target], **moves) == []


def test_several_points_say_which_change_places():
    points = {"kind": "points", "names": ["l", "r"]}
    (found,) = mistakes(points, augment={"mirror": 0.5})
    assert "mirror: {left_eye: right_eye}" in found
    assert mistakes(points, augment={"turn": 0.5}) == []
    for answer in ("same", "never", {"l": "r"}):
        assert mistakes(points | {"mirror": answer}, augment={"mirror": 0.5}) == []


def test_one_sentence_for_each_meaning_however_many_settings_ask():
    found = mistakes(
        {"kind": "label"}, augment={"mirror": 0.5, "flip": 0.5, "turn": 0.5, "rotate_deg": 90}, tta={"mirror": True}
    )
    assert [one.split(": ")[0] for one in found] == ["augment.mirror", "augment.flip"]


def test_an_input_may_say_nothing():
    fields = {"age": {"kind": "number"}, "site": {"kind": "label"}, "p": {"kind": "image"}}
    target = {"kind": "label", "target": True, "mirror": "same", "turn": "same"}
    config = config_from_mapping({"fields": {**fields, "y": target}, "augment": {"mirror": 0.5, "turn": 0.5}})
    assert config.fields["site"].mirror is None


def test_an_idea_may_declare_otherwise_knowingly():
    cycle = {"up": "left", "left": "down", "down": "right", "right": "up"}
    target = {"kind": "label", "mirror": {"left": "right"}, "turn": cycle}
    moves = {"mirror": 0.5, "turn": 0.5}
    naive = {"fields": {"y": {"mirror": "same", "turn": "same"}}, "augment": moves}
    ideas = {"swapped": {"augment": moves}, "naive": naive, "one": {"fields": {"y": {"mirror": "never"}}, "augment": moves}}
    arms = make_arms(config_from_mapping(study(target, ideas=ideas)), (9, 9))
    assert [arm.name for arm in arms] == ["baseline", "swapped", "naive", "one"]
    assert arms[1].recipe.targets["y"].turn == cycle
    assert arms[2].recipe.targets["y"].turn == "same"
    assert len({arm.recipe.training_json() for arm in arms}) == 4

    arrows = {"kind": "direction", "angles": {"right": 0, "up": 90, "left": 180}}
    skew = {"fields": {"y": {"angles": {"up": 80}, "tolerance_deg": 5}}, "augment": {"mirror": 0.5}}
    made = make_arms(config_from_mapping(study(arrows, ideas={"skew": skew, "plain": {"augment": {"mirror": 0.5}}})), (9, 9))
    assert made[1].recipe.targets["y"].angles == {"right": 0, "up": 80, "left": 180}
    assert made[1].recipe.training_json() != made[2].recipe.training_json()


@pytest.mark.parametrize("name", ["mirror", "turn"])
def test_an_idea_is_asked_too(name):
    (found,) = mistakes({"kind": "label"}, ideas={"it": {"augment": {name: 0.5}}})
    assert found.startswith(f"ideas.it.augment.{name}: is 0.5, but the target 'y' does not say")


def test_gravity():
    said = {"kind": "label", "mirror": "same", "turn": "same"}
    assert mistakes(said, upright=True, augment={"mirror": 0.5, "rotate_deg": 15}) == []
    for moves in TURNING:
        (found,) = mistakes(said, upright=True, **moves)
        assert found.startswith(setting(moves))
        assert "despite: upright" in found
        assert mistakes(said, upright=True, despite="upright", **moves) == []
        idea = moves | {"despite": "upright"}
        assert mistakes(said, upright=True, ideas={"try": idea}) == []
        assert len(mistakes(said, upright=True, ideas={"try": moves})) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rotate_deg", [5, -5], "must be a pair [low, high] with low not above high; got [5.0, -5.0]."),
        ("rotate_deg", -5, "must be at least 0: one number x means both ways; got -5.0."),
        ("shear_deg", 61, "must be within -60 and 60; got 61.0."),
        ("shear_deg", [-61, 0], "must be within -60 and 60; got [-61.0, 0.0]."),
        ("scale", 1, "must be factors above 0, such as [0.9, 1.1], or one number below 1; got 1.0."),
        ("scale", [0, 1], "must be factors above 0"),
        ("aspect", [-1, 1], "must be factors above 0"),
        ("gamma", [0.0, 2], "must be factors above 0"),
        ("contrast", 1.1, "must be factors of at least 0, such as [0.9, 1.1], or one number of at most 1; got 1.1."),
        ("saturation", [-0.1, 1], "must be factors of at least 0"),
        ("brightness", 1.5, "must be within -1 and 1; got 1.5."),
        ("hue_deg", [0, 181], "must be within -180 and 180"),
        ("crop", 0.96, "must be within 0 and 0.95; got 0.96."),
        ("crop", [-0.1, 0.2], "must be within 0 and 0.95"),
        ("jpeg", 96, "must be within 0 and 95"),
        ("blur", -1, "must be at least 0; got -1.0."),
        ("noise", [-0.1, 0.1], "must be at least 0; got [-0.1, 0.1]."),
        ("shot_noise", -0.1, "must be at least 0"),
        ("row_noise", -0.1, "must be at least 0"),
    ],
)
def test_magnitudes_that_cannot_be(name, value, said):
    (found,) = mistakes({"kind": "label", "turn": "same"}, augment={name: value})
    assert found.startswith(f"augment.{name}: {said}")
    (found,) = mistakes({"kind": "label", "turn": "same"}, augment={name: {"range": value, "chance": 0.5}})
    assert found.startswith(f"augment.{name}.range: {said}")


def test_how_amounts_are_written():
    (found,) = mistakes({"kind": "label"}, augment={"blur": {"range": 1, "chance": 2}})
    assert found.startswith("augment.blur.chance: must be a number from 0 to 1; got 2.")
    found = mistakes({"kind": "label"}, augment={"blur": {"rage": 1, "chance": 0.5}})
    assert "augment.blur.rage: must be a known setting; got 'rage'. Did you mean 'range'?" in found
    (found,) = mistakes({"kind": "label"}, augment={"blur": "much"})
    assert "must be a number, or a pair [a, b], each a number, or a mapping with range, chance; got 'much'." in found


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(DOMAINS)),
    given_amount=st.floats(0, 200) | st.tuples(st.floats(-200, 200), st.floats(-200, 200)).map(list),
)
def test_what_passes_is_drawn_within_its_domain(name, given_amount):
    if mistakes({"kind": "label", "turn": "same"}, augment={name: given_amount}):
        return
    amount = getattr(config_from_mapping(study({"kind": "label", "turn": "same"}, augment={name: given_amount})).augment, name)
    domain = DOMAINS[name]
    draws = make_draws(row_keys(np.array([str(i) for i in range(50)], dtype=object)), 0, 0)
    values = drawn(draws, name, amount, domain.around, one_sided=domain.one_sided)
    assert values.min() >= domain.low
    assert values.max() <= domain.high


def test_every_amount_has_a_domain():
    amounts = {name for name, info in AugmentConfig.model_fields.items() if "Sometimes" in str(info.annotation)}
    assert amounts == set(DOMAINS)


def test_a_tilt_is_one_number():
    assert pytest.approx(TILT_RAD) == np.deg2rad(LARGE_ROTATION_DEG)


def test_parts_of_augmentation_are_asked():
    target = {"kind": "number", "mirror": "same"}
    assert mistakes(target, augment={"balance": 0.5})[0].startswith("augment.balance")
    assert mistakes(target, augment={"paste": 0.5})[0].startswith("augment.paste")
    assert mistakes(target, augment={"functions": ["no_such_module:f"]})[0].startswith("augment.functions[0]: ")
    assert mistakes(target, tta={"draws": 2}, augment={"translate": 0})[0].startswith("tta.draws")
