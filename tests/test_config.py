# ruff: noqa: E501 (one case a line)
"""The settings' types and limits, and the sentences made from them."""

from __future__ import annotations

import numpy as np
import pytest

from tamesu import config as config_module
from tamesu.check import ACTIVATIONS, check_config
from tamesu.config import StudyConfig
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.fields import KINDS, LabelField, NumberField
from tamesu.mistakes import FIELD_MODELS, dotted, rule_of, sections, shown
from tamesu.texts import say

FIELDS = {"x": {"kind": "number"}, "y": {"kind": "label", "target": True}}


def mistakes(**more) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": FIELDS} | more)
    return caught.value.mistakes


def test_every_default_is_valid():
    config = config_from_mapping({"fields": FIELDS})
    assert config == config_from_mapping(config.model_dump())


def every_setting():
    models = {"": StudyConfig, **sections()} | {f"fields.{kind}": model for kind, model in FIELD_MODELS.items()}
    return [(where, name, info) for where, model in models.items() for name, info in model.model_fields.items()]


@pytest.mark.parametrize(("where", "name", "info"), every_setting(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_setting_has_a_rule_in_words(where, name, info):
    rule = rule_of(info)
    assert rule
    for word in ("Annotated", "typing", "class", "Literal", "None", "["):
        assert word not in rule.replace("[a, b]", "")


@pytest.mark.parametrize(("section", "name"), [(s, n) for s, model in sections().items() for n in model.model_fields])
def test_every_setting_refuses_what_is_of_no_type(section, name):
    found = mistakes(**{section: {name: {"no": {"such": object}}}})
    mine = [one for one in found if one.startswith(f"Study {section}.{name}")]
    takes_a_mapping = section == "data" or any(
        part in str(sections()[section].model_fields[name].annotation) for part in ("Sometimes", "InputGroup")
    )
    assert len(mine) == (1 if not takes_a_mapping else len(found)) > 0, found
    assert all("must be" in one for one in mine)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": {"epochs": "20"}}, "Study train.epochs: must be a whole number of at least 1; got '20'."),
        ({"train": {"epochs": 20.0}}, "Study train.epochs: must be a whole number of at least 1; got 20.0."),
        ({"train": {"epochs": True}}, "Study train.epochs: must be a whole number of at least 1; got true."),
        (
            {"train": {"learning_rate": float("nan")}},
            "Study train.learning_rate: must be 'auto', or a number above 0; got nan.",
        ),
        (
            {"size": [1, 2, 3]},
            "Study size: must be 'auto', or a whole number of at least 1, or a pair [a, b], each a whole number of at least 1; got [1, 2, 3].",
        ),
        (
            {"augment": {"scale": [1.1, 0.9]}},
            "Study augment.scale: must be a pair [low, high] with low not above high; got [1.1, 0.9].",
        ),
        ({"augment": {"scale": -0.1}}, "Study augment.scale: must be at least 0: one number x means both ways; got -0.1."),
        ({"augment": {"hue_deg": 200}}, "Study augment.hue_deg: must be within -180 and 180; got 200.0."),
        (
            {"folds": {"scheme": "leave_one_group_out"}},
            "Study folds.group: must be given with scheme: leave_one_group_out; got nothing.",
        ),
        ({"folds": {"lockbox": 0.6}}, "Study folds.lockbox: must be a number from 0 to 0.5; got 0.6."),
        ({"verdict": {"alpha": 0.5}}, "Study verdict.alpha: must be a number above 0 and below 0.5; got 0.5."),
        (
            {"learner": "keras", "model": {"backbone": "timm:resnet18"}},
            "Study model.backbone: must be tiny, applications:<name>, or module:function; got 'timm:resnet18'. timm:resnet18 is for learner: torch.",
        ),
        (
            {"learner": "Torch"},
            "Study learner: must be torch, keras, xgboost, lightgbm, catboost, an estimator such as sklearn.ensemble.RandomForestClassifier, or module:Name; got 'Torch'. Did you mean 'torch'?",
        ),
        ({"metric": "acuracy"}, "Did you mean 'accuracy'?"),
        ({"metric": "rmse"}, "Study metric: must be a metric for a target of kind label"),
        ({"despite": "gravity"}, "Study despite: must be 'upright'; got 'gravity'."),
    ],
)
def test_sentences(settings, said):
    (found,) = mistakes(**settings)
    assert said in found


def test_a_mistake_in_one_section_hides_none_in_another():
    found = mistakes(train={"epochs": 0}, folds={"group": "g"}, augment={"mirror": 0.5}, nonsense=1)
    assert {one.split(":")[0] for one in found} == {
        "Study train.epochs",
        "Study folds.group",
        "Study augment.mirror",
        "Study nonsense",
    }


def test_a_field_with_a_mistake_makes_no_second_one():
    """folds.group names a field whose own declaration is wrong: it is there all the same."""
    (found,) = mistakes(fields=FIELDS | {"g": {"kind": "group", "nonsense": 1}}, folds={"group": "g"})
    assert found.startswith("Study fields.g.nonsense")


@pytest.mark.parametrize(
    ("mirror", "fine"),
    [
        ({"a": "b"}, True),
        ({"a": "b", "b": "a"}, True),
        ({"a": "a"}, True),
        ({"a": "never", "b": "c"}, True),
        ({"a": "never", "b": "never"}, True),
        ({"a": "b", "b": "c"}, False),
        ({"a": "b", "c": "b"}, False),
        ({"a": "b", "b": "never"}, False),
        ({"a": "a", "b": "a"}, False),
    ],
)
def test_mirror_maps_are_involutions(mirror, fine):
    fields = {"x": {"kind": "image"}, "y": {"kind": "label", "target": True, "mirror": mirror}}
    if fine:
        config_from_mapping({"fields": fields, "augment": {"mirror": 0.5}})
    else:
        with pytest.raises(ConfigError, match="must pair the classes"):
            config_from_mapping({"fields": fields})


@pytest.mark.parametrize("kind", ["label", "labels", "number"])
def test_mirroring_asks_what_a_mirror_does(kind):
    fields = {"x": {"kind": "image"}, "y": {"kind": kind, "target": True}}
    with pytest.raises(ConfigError, match="does not say what a mirror does") as caught:
        config_from_mapping({"fields": fields, "augment": {"mirror": 0.1}})
    assert ("negate" in str(caught.value)) == (kind == "number")
    answers = ["same", "never", "negate"] if kind == "number" else ["same", "never", {"a": "b"}]
    for answer in answers:
        config_from_mapping(
            {"fields": {"x": {"kind": "image"}, "y": {**fields["y"], "mirror": answer}}, "augment": {"mirror": 0.1}}
        )


def test_upright_limits_rotation():
    turned = {"kind": "label", "target": True, "turn": "same", "mirror": "same"}
    image = {"fields": {"p": {"kind": "image"}, "y": turned}, "upright": True}
    config_from_mapping(image | {"augment": {"rotate_deg": 15}})
    config_from_mapping(image | {"augment": {"mirror": 0.5}})
    for more in (
        {"augment": {"rotate_deg": [-20, 5]}},
        {"augment": {"rotate_deg": {"range": 20, "chance": 0.1}}},
        {"augment": {"flip": 0.5}},
        {"augment": {"turn": 0.5}},
        {"tta": {"turns": True}},
    ):
        with pytest.raises(ConfigError, match="despite: upright"):
            config_from_mapping(image | more)
        config_from_mapping(image | more | {"despite": "upright"})
        config_from_mapping(image | more | {"upright": False})


def test_models_and_numpy_values_from_python():
    fields = {"x": NumberField(), "y": LabelField(target=True)}
    config = config_from_mapping(
        {"fields": fields, "train": {"epochs": np.int64(3), "ema": np.float64(0.5)}, "size": (8, np.int32(9))}
    )
    assert config.train.epochs == 3
    assert config.size == (8, 9)


def test_check_config_by_itself():
    config = StudyConfig(fields={"x": NumberField(), "y": LabelField(target=True)}, folds=config_module.FoldsConfig(group="g"))
    with pytest.raises(ConfigError, match=r"^here folds\.group: must be"):
        check_config(config, {"fields": {"x": {"kind": "number"}}}, "here")


def test_activations_are_those_of_the_networks():
    activations = pytest.importorskip("tamesu.nets.activations")
    assert set(ACTIVATIONS) == set(activations.ACTIVATIONS)


def test_kinds_and_models_agree():
    for kind in KINDS:
        assert FIELD_MODELS[kind].model_fields["kind"].default == kind


def test_paths_and_values_as_written():
    assert dotted(("fields", "a.b", "scale", 1)) == "fields.'a.b'.scale[1]"
    assert shown({"a": [True, None, "x", 0.5]}) == "{a: [true, " + say("nothing") + ", 'x', 0.5]}"
    assert len(shown("x" * 500)) == 70
