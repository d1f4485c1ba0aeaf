"""Settings that no learner of the study makes use of."""

from __future__ import annotations

from typing import Any

import pytest

from tamesu.arms import make_arms
from tamesu.config import StudyConfig
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.unused import SECTIONS, USERS

FIELDS = {"a": "number", "y": {"kind": "label", "target": True}}


def mistakes(**more: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": FIELDS, **more})
    return caught.value.mistakes


def test_every_setting_of_a_section_has_its_learners() -> None:
    for setting in USERS:
        section, _, name = setting.partition(".")
        assert section in SECTIONS
        assert not name or name in type(StudyConfig.model_fields[section].default).model_fields


def test_of_the_baseline() -> None:
    said = mistakes(learner="lightgbm", augment={"contrast": 0.5, "balance": 0.3}, model={"width": 16}, train={"seed": 3})
    assert said == [
        "Study augment.contrast: lightgbm cannot use augment.contrast. Remove it, or put it in an idea with learner: torch.",
        "Study model.width: lightgbm cannot use model.width. Remove it, or put it in an idea with learner: torch.",
    ]
    assert mistakes(trees={"rounds": 7})[0].startswith("Study trees.rounds: torch cannot use trees.rounds.")


def test_what_another_arm_uses_may_be_said_for_all() -> None:
    study = {"fields": FIELDS, "model": {"width": 16}, "trees": {"rounds": 7}, "train": {"epochs": 3}}
    config = config_from_mapping(study | {"ideas": {"boosted": {"learner": "lightgbm"}, "wide": {"model": {"hidden": 9}}}})
    assert [arm.name for arm in make_arms(config, (0, 0))] == ["baseline", "boosted", "wide"]


def test_what_is_as_it_would_be_without() -> None:
    assert config_from_mapping({"fields": FIELDS, "learner": "xgboost", "augment": {"contrast": 0.0}}).learner == "xgboost"


def test_of_an_idea() -> None:
    ideas = {"boosted": {"learner": "catboost", "train": {"epochs": [2, 3]}}, "slow": {"trees": {"learning_rate": 0.01}}}
    assert mistakes(ideas=ideas) == [
        "Study ideas.boosted.train.epochs: catboost cannot use train.epochs. Remove it, or put it in an idea with "
        "learner: torch.",
        "Study ideas.slow.trees.learning_rate: torch cannot use trees.learning_rate. Remove it, or put it in an idea with "
        "learner: catboost.",
    ]


def test_a_learner_of_ones_own_may_use_anything() -> None:
    study = {"fields": FIELDS, "learner": "my_module:Mine", "trees": {"rounds": 7}, "augment": {"contrast": 0.5}}
    assert config_from_mapping(study).trees.rounds == 7


def test_what_a_learner_does_not_use_does_not_train_it_again() -> None:
    study = {"fields": FIELDS, "ideas": {"boosted": {"learner": "lightgbm"}}}

    def key(**more: Any) -> str:
        return make_arms(config_from_mapping(study | more), (0, 0))[1].recipe.training_json()

    assert key() == key(train={"epochs": 3}, model={"width": 9}, augment={"contrast": 0.2})
    others = [
        key(),
        key(trees={"rounds": 9}),
        key(augment={"balance": 0.5}),
        key(train={"seed": 4}),
        key(fields=FIELDS | {"b": "number"}),
    ]
    assert len(set(others)) == len(others)
