"""Recipes and arms: patches, lists of values, and a hash that sees what is trained and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_text import check_golden
from tamesu.arms import make_arms, patched, plan_arms
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.ideas import as_written, merged
from tamesu.recipe import Recipe, make_recipe

STUDY = {
    "fields": {
        "file": {"kind": "image"},
        "sign": {"kind": "label", "target": True, "mirror": {"left": "right"}},
        "track": {"kind": "group"},
        "age": {"kind": "number"},
        "code": {"kind": "id"},
    },
    "folds": {"group": "track"},
    "train": {"batch_size": 32},
}


def study(**more):
    return config_from_mapping(STUDY | more)


def arms(patch, auto_size=(40, 30), **more):
    return make_arms(study(ideas={"idea": patch}, **more), auto_size)


def test_baseline_first_then_the_ideas_in_order():
    made = make_arms(study(ideas={"b": {"size": 64}, "a": {"augment": {"mirror": 0.5}}}), (40, 30))
    assert [(arm.name, arm.idea) for arm in made] == [("baseline", ""), ("b", "b"), ("a", "a")]
    assert made[0].patch == {}
    assert made[0].recipe.size == (40, 30)
    assert made[1].recipe.size == (64, 64)
    assert made[1].patch == {"size": 64}
    assert made[2].recipe.augment.mirror == 0.5
    assert made[2].recipe.augment.translate == made[0].recipe.augment.translate


def test_what_a_recipe_says_of_its_fields():
    recipe = make_recipe(study(), (40, 30))
    assert recipe.target[0] == "sign"
    assert list(recipe.targets) == ["sign"]
    assert list(recipe.inputs) == ["age", "file"]


def test_without_pictures_there_is_no_size():
    config = config_from_mapping({"fields": {"x": {"kind": "number"}, "y": {"kind": "number", "target": True}}, "size": 32})
    assert make_recipe(config, (9, 9)).size == (0, 0)


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ({"train": {"batch_size": [16, 64]}}, ["idea: batch_size=16", "idea: batch_size=64"]),
        ({"size": [32, 64]}, ["idea"]),  # one size, 32 high and 64 wide
        ({"size": [32, 48, 64]}, ["idea: size=32", "idea: size=48", "idea: size=64"]),
        ({"size": [[32, 64], [64, 32]]}, ["idea: size=[32, 64]", "idea: size=[64, 32]"]),
        ({"augment": {"scale": [0.9, 1.1]}}, ["idea"]),
        ({"augment": {"rotate_deg": [5, 10, 15]}}, ["idea: rotate_deg=5", "idea: rotate_deg=10", "idea: rotate_deg=15"]),
        ({"augment": {"rotate_deg": [[5, 10], [0, 15]]}}, ["idea: rotate_deg=[5, 10]", "idea: rotate_deg=[0, 15]"]),
        ({"augment": {"blur": {"range": [0.5, 1], "chance": 0.5}}}, ["idea"]),  # one range
        ({"augment": {"blur": {"range": 1, "chance": [0.2, 0.5]}}}, ["idea: chance=0.2", "idea: chance=0.5"]),
        ({"augment": {"blur": {"range": [1, 2, 3], "chance": 0.5}}}, [f"idea: range={n}" for n in (1, 2, 3)]),
        (
            {"augment": {"blur": [{"range": 1, "chance": 0.5}, {"range": 2, "chance": 0.5}]}},
            [f"idea: blur={{range: {n}, chance: 0.5}}" for n in (1, 2)],
        ),
        ({"resize": ["pad", "crop"]}, ["idea: resize=pad", "idea: resize=crop"]),
        (
            {"fields": {"sign": {"mirror": ["same", "never"]}}, "augment": {"mirror": 0.5, "erase": 0.5}},
            ["idea: mirror=same", "idea: mirror=never"],
        ),
        ({"model": {"activation": ["gelu", "silu"]}}, ["idea: activation=gelu", "idea: activation=silu"]),
        ({"fields": {"age": {"missing_values": ["-", "?"]}}}, ["idea"]),
        ({"fields": {"age": {"missing": ["mean", 0]}}}, ["idea: missing=mean", "idea: missing=0"]),
        ({"train": [{"epochs": 5}, {"ema": 0.9}]}, ["idea: train={epochs: 5}", "idea: train={ema: 0.9}"]),
        (
            {"train": {"batch_size": [16, 64], "ema": [0.0, 0.9]}, "size": 9},
            [f"idea: batch_size={b}, ema={e}" for b in (16, 64) for e in (0.0, 0.9)],
        ),
        ({"train": {"seed": [1, 2]}, "size": [8, 9, 10]}, [f"idea: seed={s}, size={n}" for s in (1, 2) for n in (8, 9, 10)]),
        (
            {"fields": {"age": {"scale": ["none", "minmax"]}, "new": {"kind": "number", "scale": ["none", "minmax"]}}},
            [f"idea: age.scale={a}, new.scale={b}" for a in ("none", "minmax") for b in ("none", "minmax")],
        ),
    ],
)
def test_lists_of_values(patch, names):
    made = arms(patch)[1:]
    assert [arm.name for arm in made] == names
    assert {arm.idea for arm in made} == {"idea"}
    for arm in made:
        assert arm.recipe == make_recipe(patched(study(), arm.patch), (40, 30))


def test_a_listed_value_that_is_the_baseline_is_left_out_with_a_note():
    plan = plan_arms(study(ideas={"batch": {"train": {"batch_size": [16, 32, 64]}}}), (40, 30))
    assert [arm.name for arm in plan.arms] == ["baseline", "batch: batch_size=16", "batch: batch_size=64"]
    assert plan.notes == ["ideas.batch: left out batch: batch_size=32: that is the baseline."]


def test_arms_that_train_the_same_are_noted():
    plan = plan_arms(study(ideas={"big": {"size": 64}, "large": {"size": [64, 64]}}), (40, 30))
    assert plan.notes == ["'large' and 'big' train the same; one of them tells as much as both."]


def test_arm_names_are_unique():
    made = arms({"fields": {"age": {"missing_values": [[f"{'x' * 40}{i}"] for i in range(3)]}}}, auto_size=(8, 8))
    assert len({arm.name for arm in made}) == len(made)


@pytest.mark.parametrize(
    "patch",
    [
        {"size": [40, 30]},  # what auto comes to
        {"despite": "upright"},
        {"fields": {"sign": {"mirror": "same"}}},  # nothing is mirrored
        {"fields": {"other": {"kind": "ignore"}}},
    ],
)
def test_an_idea_that_changes_nothing_is_refused(patch):
    config = study(ideas={"idea": patch}) if "size" in patch else None
    with pytest.raises(ConfigError, match="must change"):
        make_arms(config, (40, 30)) if config else study(ideas={"idea": patch})


def test_mirroring_a_target_that_is_never_mirrored_changes_nothing():
    fields = STUDY["fields"] | {"sign": {"kind": "label", "target": True, "mirror": "never"}}
    with pytest.raises(ConfigError, match="has no effect"):
        study(fields=fields, ideas={"idea": {"augment": {"mirror": 0.5}}})


REFUSED = {
    "data": {"data": {"train": "other.csv"}},
    "folds": {"folds": {"n_splits": 3}},
    "metric": {"metric": "auc"},
    "verdict and draft": {"verdict": {"alpha": 0.1}, "draft": True},
    "name, lang, ideas": {"name": "x", "lang": "ja", "ideas": {}},
    "target becomes another kind": {"fields": {"sign": {"kind": "labels"}}},
    "target is given up": {"fields": {"sign": {"target": False}}},
    "target is read otherwise": {"fields": {"sign": {"missing_values": ["?"]}}},
    "group": {"fields": {"track": {"kind": "label"}}},
    "id": {"fields": {"code": {"kind": "ignore"}}},
    "another column": {"fields": {"age": {"column": "years"}}},
    "new group": {"fields": {"day": {"kind": "group"}}},
    "null section": {"train": None},
    "unknown in a list": {"train": [{"epochs": 3}, {"epocs": 3}]},
}


def test_ideas_that_are_refused_golden():
    found = []
    for what, patch in REFUSED.items():
        with pytest.raises(ConfigError) as caught:
            study(ideas={"idea": patch})
        found.append(f"# {what}\n{caught.value}\n")
    check_golden("ideas_refused.txt", "".join(found))


def test_ideas_that_are_fine():
    for patch in (
        {"fields": {"age": {"kind": "ignore"}}},
        {"fields": {"age": {"kind": "label"}}},
        {"fields": {"height": {"kind": "number"}}},
        {"fields": {"sign": {"mirror": "same"}}, "augment": {"mirror": 0.5}},
        {"augment": {"rotate_deg": 90}, "despite": "upright", "fields": {"sign": {"turn": "never"}}},
    ):
        assert len(arms(patch, upright=True)) == 2


def test_patched_merges_mappings_and_replaces_the_rest():
    config = patched(study(augment={"noise": 0.1, "scale": [0.9, 1.1]}), {"augment": {"scale": 0.2}, "size": 9})
    assert config.augment.noise == 0.1
    assert config.augment.scale == 0.2
    assert config.size == 9
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        patched(study(), {"train": {"epochs": 0}})


def test_a_field_of_another_kind_keeps_its_column_only():
    old = {"fields": {"a": {"kind": "number", "column": "A", "missing": "mean"}}}
    assert merged(old, {"fields": {"a": {"kind": "label"}}}) == {"fields": {"a": {"column": "A", "kind": "label"}}}


# ---- the canonical text

patches = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 300),
        "upright": st.booleans(),
        "train": st.fixed_dictionaries({}, optional={"epochs": st.integers(1, 9), "learning_rate": st.floats(1e-12, 1e12)}),
        "augment": st.fixed_dictionaries({}, optional={"noise": st.floats(0, 5), "mirror": st.just(0.5)}),
        "model": st.fixed_dictionaries({}, optional={"width": st.integers(1, 99), "weights": st.just("none")}),
    },
)


def shuffled(value, random):
    if not isinstance(value, dict):
        return value
    keys = list(value)
    random.shuffle(keys)
    return {key: shuffled(value[key], random) for key in keys}


@settings(deadline=None)
@given(patch=patches, random=st.randoms(use_true_random=False))
def test_key_order_does_not_matter(patch, random):
    raw = merged(STUDY, patch)
    first = make_recipe(config_from_mapping(raw), (7, 8))
    second = make_recipe(config_from_mapping(shuffled(raw, random)), (7, 8))
    assert first.training_json() == second.training_json()
    assert list(first.inputs) == list(second.inputs)


@settings(deadline=None)
@given(patch=patches)
def test_json_round_trip(patch):
    recipe = make_recipe(config_from_mapping(merged(STUDY, patch)), (7, 8))
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.training_json() == recipe.training_json()
    assert Recipe.model_validate(json.loads(json.dumps(as_written(recipe.model_dump())))) == recipe


@settings(deadline=None)
@given(one=patches, other=patches)
def test_equal_texts_are_equal_trainings(one, other):
    first, second = (make_recipe(patched(study(), patch), (7, 8)) for patch in (one, other))
    same = (first.size, first.augment, first.model, first.train) == (second.size, second.augment, second.model, second.train)
    mirrored = first.augment.mirror, second.augment.mirror
    assert (first.training_json() == second.training_json()) == (same and mirrored[0] == mirrored[1])


def test_training_json_is_pinned():
    """A change here makes every stored training unreachable: raise trial.TRIAL_VERSION and say so in the change log."""
    chosen = {
        "train": {"batch_size": 32, "epochs": 20, "learning_rate": 0.002, "weight_decay": 0.05, "clip_norm": 1.0, "seed": 0},
        "model": {"width": 32, "depth": 2, "activation": "relu", "dropout": 0.1, "hidden": 64},
        "augment": {"translate": 0.08, "scale": [0.9, 1.1], "mirror": 0.5},
    }
    check_golden("training.json", make_recipe(study(**chosen), (40, 30)).training_json() + "\n")


def test_training_json_leaves_out_what_is_not_trained_on():
    base = make_recipe(study(), (40, 30)).training_json()
    fields = STUDY["fields"] | {"extra": {"kind": "ignore"}, "age": {"kind": "number", "column": "years"}}
    assert make_recipe(study(fields=fields, name="other", metric="accuracy"), (40, 30)).training_json() == base
    assert make_recipe(study(train={"seed": 1}), (40, 30)).training_json() != base
    assert make_recipe(study(fields=STUDY["fields"] | {"more": {"kind": "number"}}), (40, 30)).training_json() != base


def test_training_json_is_the_same_in_another_process():
    code = (
        "from tamesu.document import config_from_mapping; from tamesu.recipe import make_recipe\n"
        f"print(make_recipe(config_from_mapping({STUDY!r}), (40, 30)).training_json())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert texts == {make_recipe(study(), (40, 30)).training_json()}


@pytest.mark.parametrize(
    ("fields", "more", "rate"),
    [
        ({"a": "number"}, {}, 0.001),
        ({"a": "number", "p": "image"}, {}, 0.005),
        ({"p": "image"}, {"model": {"backbone": "timm:resnet18", "weights": "hub"}}, 0.0005),
        ({"p": "image"}, {"train": {"learning_rate": 0.02}}, 0.02),
    ],
)
def test_the_learning_rate_follows_from_what_is_learned(fields, more, rate):
    config = config_from_mapping({"fields": {**fields, "y": {"kind": "label", "target": True}}, **more})
    assert make_arms(config, (8, 8))[0].recipe.train.learning_rate == rate
