"""Gradient boosting: the contract, the library by hand, ranks and losses, what it cannot honour, what is rare."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tamesu import Study
from tamesu.arms import make_arms
from tamesu.config import AugmentConfig, FeaturesConfig, TreesConfig
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.fields import AngleField, ImageField, LabelField, NumberField, SeriesField
from tamesu.fields.base import Aux
from tamesu.fields.table import GroupField
from tamesu.learners.base import make_learner
from tamesu.learners.tree_libraries import LIBRARIES
from tamesu.learners.tree_library import Objective
from tamesu.learners.tree_targets import OrderedAnswers, make_answers, objective_of
from tamesu.losses import LOSSES
from tamesu.targets import make_target
from tamesu.testing import TABLE_FIELDS, check_learner, toy_pictures, toy_recipe, toy_tables

NAMES = tuple(LIBRARIES)
ROUNDS = {"rounds": 30}


def recipe_of(name: str, fields=None, **trees):
    return toy_recipe(fields or TABLE_FIELDS, learner=name).model_copy(update={"trees": TreesConfig(**(ROUNDS | trees))})


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    check_learner(make_learner(name), learner=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("params", [{}, {"max_depth": 2}])
def test_numbers_equal_the_library_by_hand(name, params):
    data = toy_tables(120)
    fields = {"size": NumberField(), "amount": NumberField(target=True)}
    fitted = make_learner(name).fit(data, recipe_of(name, fields, params=params), 3, "cpu")
    x, y = data.table[["size"]].to_numpy(dtype=float), data.table["amount"].to_numpy(dtype=float)
    scaled = (y - y.mean()) / y.std()
    expected = {"xgboost": _by_xgboost, "lightgbm": _by_lightgbm, "catboost": _by_catboost}[name](x, scaled, params)
    found = (fitted.predict(data)["amount"] - y.mean()) / y.std()
    assert found == pytest.approx(expected, abs=1e-5)
    assert fitted.log[0]["rounds"] == 30


def _by_xgboost(x, y, params, weight=None):
    import xgboost

    return xgboost.XGBRegressor(n_estimators=30, learning_rate=0.1, **params).fit(x, y, sample_weight=weight).predict(x)


def _by_lightgbm(x, y, params, weight=None):
    import lightgbm

    made = lightgbm.LGBMRegressor(n_estimators=30, learning_rate=0.1, verbosity=-1, **params)
    return made.fit(x, y, sample_weight=weight).predict(x)


def _by_catboost(x, y, params, weight=None):
    import catboost

    made = catboost.CatBoostRegressor(
        iterations=30, learning_rate=0.1, random_seed=3, verbose=False, allow_writing_files=False, **params
    )
    return made.fit(x, y, sample_weight=weight).predict(x)


BY_HAND = {"xgboost": _by_xgboost, "lightgbm": _by_lightgbm, "catboost": _by_catboost}
NATIVE = {  # loss of the study, and the parameters that a user of each library writes for it
    "l1": ({"objective": "reg:absoluteerror"}, {"objective": "regression_l1"}, {"loss_function": "MAE"}),
    "huber": (
        {"objective": "reg:pseudohubererror", "huber_slope": 0.5},
        {"objective": "huber", "alpha": 0.5},
        {"loss_function": "Huber:delta=0.5"},
    ),
    "quantile": (
        {"objective": "reg:quantileerror", "quantile_alpha": 0.8},
        {"objective": "quantile", "alpha": 0.8},
        {"loss_function": "Quantile:alpha=0.8"},
    ),
}
SAID = {"l1": "l1", "huber": {"name": "huber", "delta": 0.5}, "quantile": {"name": "quantile", "quantile": 0.8}}


@pytest.mark.parametrize("loss", list(NATIVE))
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_the_librarys_own(name, loss):
    data = toy_tables(120)
    data.table["amount"] += np.random.default_rng(0).normal(0, 2, 120)
    fields = {"size": NumberField(), "amount": NumberField(target=True, loss=SAID[loss])}
    predicted = make_learner(name).fit(data, recipe_of(name, fields), 3, "cpu").predict(data)["amount"]
    x, y = data.table[["size"]].to_numpy(dtype=float), data.table["amount"].to_numpy(dtype=float)
    params = NATIVE[loss][NAMES.index(name)]
    expected = BY_HAND[name](x, (y - y.mean()) / y.std(), params)
    assert (predicted - y.mean()) / y.std() == pytest.approx(expected, abs=1e-5)
    if loss == "quantile":
        assert 0.7 < (y <= predicted).mean() < 0.95


def test_every_option_of_a_loss_has_its_default():
    said = {name: objective_of(NumberField(target=True, loss=name)) for name in LOSSES["number"]}
    assert said == {
        "l2": Objective("l2"),
        "l1": Objective("l1"),
        "huber": Objective("huber", 1.0),
        "quantile": Objective("quantile", 0.5),
        "crps": None,
    }


@pytest.mark.parametrize("name", NAMES)
def test_numbers_stay_in_their_range(name):
    data = toy_tables(80)
    data.table["amount"] = np.clip(data.table["amount"], 8, None)
    low = NumberField(target=True, range=(8, None))
    fields = {"size": NumberField(), "amount": low}
    recipe = recipe_of(name, fields, rounds=60, learning_rate=0.5)
    within = make_learner(name).fit(data, recipe, 0, "cpu").predict(data)["amount"]
    free = recipe.model_copy(update={"fields": fields | {"amount": NumberField(target=True)}})
    unbounded = make_learner(name).fit(data, free, 0, "cpu").predict(data)["amount"]
    assert within.min() >= 8
    assert within == pytest.approx(np.maximum(unbounded, 8), abs=1e-9)


LEVELS = ("low", "middle", "high")


def ordered_tables(n=150):
    data = toy_tables(n)
    noisy = data.table["size"] + np.random.default_rng(0).normal(0, 0.3, n)
    level = np.select([noisy < -0.5, noisy < 0.6], LEVELS[:2], LEVELS[2]).astype(object)
    return replace(
        data,
        table=data.table.assign(level=level),
        classes={**data.classes, ("level", "label"): tuple(sorted(LEVELS))},
    )


@pytest.mark.parametrize("name", NAMES)
def test_ranks_are_cuts_between_neighbours(name, tmp_path):
    data = ordered_tables()
    fields = {"size": NumberField(), "level": LabelField(target=True, order=LEVELS)}
    fitted = make_learner(name).fit(data, recipe_of(name, fields), 0, "cpu")
    shares = fitted.predict(data)["level"]
    assert shares.sum(axis=1) == pytest.approx(np.ones(150))
    order = [sorted(LEVELS).index(one) for one in LEVELS]
    above = 1 - np.cumsum(shares[:, order], axis=1)[:, :-1]
    assert (np.diff(above, axis=1) <= 1e-12).all()
    likely = np.array(sorted(LEVELS))[shares.argmax(axis=1)]
    assert (likely == data.table["level"]).mean() > 0.75
    y = (data.table["level"] != "low").to_numpy().astype(float)
    two = {"size": NumberField(), "above": LabelField(target=True)}
    as_two = replace(
        data,
        table=data.table.assign(above=np.where(y > 0, "1", "0").astype(object)),
        classes={("above", "label"): ("0", "1")},
    )
    alone = make_learner(name).fit(as_two, recipe_of(name, two), 0, "cpu").predict(as_two)["above"][:, 1]
    apart = np.abs(above[:, 0] - alone) < 0.02  # up to the repair
    assert apart.mean() > 0.9
    fitted.save(tmp_path / "m")
    assert len(list((tmp_path / "m").glob("trees_*"))) == 2
    assert np.array_equal(make_learner(name).load(tmp_path / "m").predict(data)["level"], shares)


def test_cuts_that_cross_are_mended():
    target = make_target("level", LabelField(target=True, order=LEVELS), tuple(sorted(LEVELS)))
    values = np.array(["low", "middle", "high", "high"], dtype=object)
    target = target.fit(values)
    answers = make_answers(target, target.encode(values))
    assert isinstance(answers, OrderedAnswers)
    assert [one.tolist() for one in answers.asked(target.encode(values))] == [[0, 1, 1, 1], [0, 0, 1, 1]]
    odds = np.log(np.array([0.9, 0.3, 0.4]) / (1 - np.array([0.9, 0.3, 0.4])))
    crossing = np.log(np.array([0.2, 0.3, 0.8]) / (1 - np.array([0.2, 0.3, 0.8])))
    margins = [np.stack([np.zeros(3), one], axis=1) for one in (odds, crossing)]
    shares = answers.prediction(margins, 3)[:, [sorted(LEVELS).index(one) for one in LEVELS]]
    floor = 0.5 / 4.5  # of four rows
    raw = np.maximum([[0.1, 0.7, 0.2], [0.7, 0.0, 0.3], [0.4, 0.0, 0.6]], floor)
    assert shares == pytest.approx(raw / raw.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name", NAMES)
def test_class_weights_and_balance_are_row_weights(name):
    """A class that counts three times is predicted as if its rows were there three times; balance likens the classes."""
    data = toy_tables(200)
    rng = np.random.default_rng(0)
    data.table["answer"] = np.where(rng.random(200) < 0.1, "yes", "no").astype(object)
    data.table["size"] = 1.0 + np.arange(200) % 2
    fields = {"size": NumberField(), "answer": LabelField(target=True)}
    yes = (data.table["answer"] == "yes").mean()

    def mean_yes(**changed):
        recipe = recipe_of(name, fields | changed, rounds=80, learning_rate=0.3)
        return make_learner(name).fit(data, recipe, 0, "cpu").predict(data)["answer"][:, 1].mean()

    assert mean_yes() == pytest.approx(yes, abs=0.03)
    weighted = LabelField(target=True, loss={"name": "cross_entropy", "class_weights": {"yes": 3}})
    assert mean_yes(answer=weighted) == pytest.approx(3 * yes / (1 + 2 * yes), abs=0.05)
    even = LabelField(target=True, loss={"name": "cross_entropy", "class_weights": "balanced"})
    assert mean_yes(answer=even) == pytest.approx(0.5, abs=0.05)
    balanced = recipe_of(name, fields, rounds=80, learning_rate=0.3).model_copy(update={"augment": AugmentConfig(balance=1.0)})
    predicted = make_learner(name).fit(data, balanced, 0, "cpu").predict(data)["answer"][:, 1]
    assert predicted.mean() == pytest.approx(0.5, abs=0.05)
    both = balanced.model_copy(update={"fields": fields | {"answer": weighted}})
    predicted = make_learner(name).fit(data, both, 0, "cpu").predict(data)["answer"][:, 1]
    assert predicted.mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_category_of_floats_is_a_class_by_its_text(name):
    """Cells 1.0 and 2.0 are the classes 1 and 2, as a person writes them, and a gap is missing: no library sees a float."""
    rng = np.random.default_rng(0)
    data = toy_tables(90)
    cells = rng.choice([1.0, 2.0, 2.5, np.nan], 90)
    texts = np.array([None if np.isnan(one) else f"{one:g}" for one in cells], dtype=object)
    data.table["answer"] = np.where(cells == 2.5, "yes", "no").astype(object)
    fields = {"colour": LabelField(), "answer": LabelField(target=True)}
    found = []
    for column in (cells, texts):
        rows = replace(data, table=data.table.assign(colour=column))
        assert make_learner(name).check(recipe_of(name, fields), rows) == []
        found.append(make_learner(name).fit(rows, recipe_of(name, fields), 0, "cpu").predict(rows)["answer"])
    assert np.array_equal(*found)
    assert ((found[0].argmax(axis=1) == 1) == (cells == 2.5)).mean() > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_groups_stay_together_where_rounds_are_chosen(name):
    """A number that only tells the group helps in no other group: with whole groups held out, it is not boosted for long."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 8)
    table = toy_tables(240).table.assign(
        person=[f"p{g}" for g in group], size=rng.normal(size=30)[group], amount=rng.normal(size=30)[group]
    )
    data = replace(toy_tables(240), table=table)
    fields = {"size": NumberField(), "amount": NumberField(target=True)}
    rounds = [
        make_learner(name).fit(data, recipe_of(name, one, rounds="auto"), 0, "cpu").log[0]["rounds"]
        for one in (fields, fields | {"person": GroupField()})
    ]
    assert rounds[1] * 2 < rounds[0]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_tells(name):
    """A missing number and a missing category reach the library: nothing else tells the classes apart."""
    rng = np.random.default_rng(0)
    data = toy_tables(160)
    yes = rng.random(160) < 0.5
    data.table["size"] = np.where(yes, np.nan, rng.integers(-1, 2, 160))  # no number stands in for what is missing
    data.table["answer"] = np.where(yes, "yes", "no").astype(object)
    fields = {"size": NumberField(), "answer": LabelField(target=True)}
    learner = make_learner(name)
    predicted = learner.fit(data, recipe_of(name, fields), 0, "cpu").predict(data)["answer"]
    assert ((predicted.argmax(axis=1) == 1) == yes).mean() > 0.98  # CatBoost may join the lowest number with what is missing
    data.table["colour"] = np.where(yes, None, data.table["colour"])
    fields = {"colour": LabelField(), "answer": LabelField(target=True)}
    predicted = learner.fit(data, recipe_of(name, fields), 0, "cpu").predict(data)["answer"]
    assert ((predicted.argmax(axis=1) == 1) == yes).mean() > 0.98  # CatBoost may join the lowest number with what is missing


@pytest.mark.parametrize("name", NAMES)
def test_a_category_that_training_did_not_have(name, tmp_path):
    data = toy_tables(80)
    learner = make_learner(name)
    fitted = learner.fit(data, recipe_of(name), 0, "cpu")
    data.table["colour"] = "violet"
    unseen = fitted.predict(data)["answer"]
    data.table["colour"] = None
    assert np.array_equal(unseen, fitted.predict(data)["answer"])
    fitted.save(tmp_path / "model")
    assert np.array_equal(unseen, learner.load(tmp_path / "model").predict(data)["answer"])


@pytest.mark.parametrize("name", NAMES)
def test_the_scored_rows_do_not_choose_the_rounds(name):
    """Rounds come from the training rows alone: the same rows give the same number, whatever else there is."""
    data = toy_tables(90)
    learner = make_learner(name)
    rows = data.take(slice(0, 60))
    rounds = [learner.fit(rows, recipe_of(name, rounds="auto"), seed, "cpu").log[0]["rounds"] for seed in (1, 1, 2)]
    assert rounds[0] == rounds[1]
    assert min(rounds) >= 1


def test_what_trees_cannot_honour():
    fields = {**TABLE_FIELDS, "amount": NumberField(aux=Aux(weight=0.3))}
    said = make_learner("lightgbm").check(recipe_of("lightgbm", fields, params={"seed": 3}), toy_tables(20))
    assert said == [
        "lightgbm cannot use auxiliary targets (fields.amount.aux). Remove it, or put it in an idea with learner: torch.",
        "trees.params: seed is set by tamesu: by the target, trees.rounds, trees.learning_rate, or the seed.",
    ]
    for loss, what in [
        ("crps", "the loss crps (fields.amount.loss)"),
        ("my_module:my_loss", "the loss my_module:my_loss (fields.amount.loss)"),
    ]:
        fields = {"size": NumberField(), "amount": NumberField(target=True, loss=loss)}
        assert (
            f"lightgbm cannot use {what}." in make_learner("lightgbm").check(recipe_of("lightgbm", fields), toy_tables(20))[0]
        )
    loss = {"name": "cross_entropy", "label_smoothing": 0.1}
    fields = {"size": NumberField(), "answer": LabelField(target=True, loss=loss)}
    said = make_learner("catboost").check(recipe_of("catboost", fields), toy_tables(20))
    assert "label_smoothing of a loss (fields.answer.loss.label_smoothing)" in said[0]


def test_more_classes_than_trees_can_hold():
    data = toy_tables(20)
    many = replace(data, classes={**data.classes, ("answer", "label"): tuple(f"c{i}" for i in range(1001))})
    said = make_learner("xgboost").check(recipe_of("xgboost"), many)
    assert "'answer' must have at most 1000 classes; got 1001" in said[0]


@pytest.mark.parametrize(
    ("name", "params", "part"),
    [
        (
            "xgboost",
            {"max_dept": 3},
            "max_dept must be a parameter of xgboost, which does not know it. Did you mean 'max_depth'?",
        ),
        ("xgboost", {"max_depth": "deep"}, "it says: Invalid Parameter format for max_depth"),
        (
            "lightgbm",
            {"num_leafs": 7},
            "num_leafs must be a parameter of lightgbm, which does not know it. Did you mean 'num_leaves'?",
        ),
        ("lightgbm", {"bagging_fraction": 3}, "it says: Check failed: (bagging_fraction) <= (1.0)"),
        ("catboost", {"dept": 3}, "dept must be a parameter of catboost, which does not know it. Did you mean 'depth'?"),
        ("catboost", {"subsample": 3}, "it says: Subsample should be in (0,1]"),
    ],
)
def test_parameters_that_the_library_does_not_take(name, params, part):
    (said,) = make_learner(name).check(recipe_of(name, params=params), toy_tables(40))
    assert said.startswith("trees.params: ")
    assert part in said


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("xgboost", {"max_bin": 16, "reg_lambda": 2}),
        ("lightgbm", {"min_child_samples": 5, "reg_alpha": 0.1}),
        ("catboost", {"max_depth": 3}),
    ],
)
def test_parameters_by_any_name_the_library_has(name, params):
    assert make_learner(name).check(recipe_of(name, params=params), toy_tables(40)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_is_not_there_is_told(name):
    data = toy_tables(40)
    if LIBRARIES[name].gpu_problem() is None:
        assert make_learner(name).fit(data, recipe_of(name), 0, "cuda").log[0]["device"] == "cuda"
        return
    with pytest.warns(RuntimeWarning, match=f"{name} trains on the CPU: it cannot use this GPU"):
        fitted = make_learner(name).fit(data, recipe_of(name), 0, "cuda")
    assert fitted.log[0]["device"] == "cpu"


def test_angles_and_series_and_pictures_are_inputs(tmp_path):
    data = toy_pictures(60, (12, 12))
    rng = np.random.default_rng(0)
    heading = rng.uniform(-180, 180, 60)
    table = data.table.assign(
        heading=heading,
        wave=[rng.normal(size=9) * (3 if h > 0 else 1) for h in heading],
        answer=np.where(heading > 0, "left", "right").astype(object),
    )
    data = replace(data, table=table, classes={("answer", "label"): ("left", "right")})
    wave = SeriesField(names=("x",))
    for inputs in ({"heading": AngleField()}, {"wave": wave}, {"wave": wave, "picture": ImageField(), "heading": AngleField()}):
        recipe = recipe_of("catboost", {**inputs, "answer": LabelField(target=True)}).model_copy(update={"size": (12, 12)})
        learner = make_learner("catboost")
        assert learner.check(recipe, data) == []
        fitted = learner.fit(data.take(slice(0, 40)), recipe, 0, "cpu")
        predicted = fitted.predict(data.without(["answer"]))["answer"]
        assert ((predicted.argmax(axis=1) == 0) == (heading > 0))[40:].mean() > 0.8
        fitted.save(tmp_path / "m")
        assert np.array_equal(learner.load(tmp_path / "m").predict(data)["answer"], predicted)


def test_bright_pictures_are_told_from_dim_ones():
    data = toy_pictures(80, (12, 12))
    recipe = recipe_of("lightgbm", {"picture": ImageField(), "shade": LabelField(target=True)}, params={"min_data_in_leaf": 5})
    recipe = recipe.model_copy(update={"size": (12, 12)})
    predicted = make_learner("lightgbm").fit(data.take(slice(0, 60)), recipe, 0, "cpu").predict(data)["shade"]
    assert (np.array(["bright", "dim"])[predicted.argmax(axis=1)] == data.table["shade"])[60:].mean() > 0.8


def test_trees_on_what_trained_networks_say():
    """The network sees which side is bright; poisoned scored rows change nothing."""
    data = toy_pictures(60, (12, 12))
    fields = {"picture": ImageField(), "side": LabelField(target=True), "share": NumberField(aux=0.1)}
    recipe = recipe_of("xgboost", fields).model_copy(
        update={"size": (12, 12), "features": FeaturesConfig(network="trained", pictures=())}
    )
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 8, "learning_rate": 0.01})})
    learner = make_learner("xgboost")
    assert learner.check(recipe, data) == []
    fitted = learner.fit(data.take(slice(0, 40)), recipe, 0, "cpu")
    honest = fitted.predict(data.without(["side", "share"]))["side"]
    assert ((honest.argmax(axis=1) == 0) == (data.table["side"] == "left"))[40:].mean() > 0.85
    poisoned = replace(data, table=data.table.assign(side=data.table["side"].to_numpy()[::-1], share=0.0))
    assert np.array_equal(fitted.predict(poisoned)["side"], honest)


def test_settings_of_a_network_that_makes_features_are_used():
    study = {"fields": {"x": "image", "y": {"kind": "label", "target": True}}, "learner": "lightgbm"}

    def key(**more):
        return make_arms(config_from_mapping(study | more), (8, 8))[0].recipe.training_json()

    network = {"features": {"network": "trained"}}
    said = {"model": {"width": 16}, "train": {"epochs": 3}, "augment": {"contrast": 0.2}}
    assert len({key(), key(**network), *(key(**network, **{name: one}) for name, one in said.items())}) == 5
    for name in said:
        with pytest.raises(ConfigError, match=f"lightgbm cannot use {name}"):
            key(**{name: said[name]})
    timm = {"features": {"network": "pretrained"}, "model": {"backbone": "timm:test_resnet", "weights": "hub"}}
    assert "timm:test_resnet" in key(**timm)
    with pytest.raises(ConfigError, match=r"lightgbm cannot use train\.epochs"):
        key(**timm, train={"epochs": 3})


def test_a_group_counts_where_training_rows_are_split_once_more():
    fields = {"x": "number", "y": {"kind": "label", "target": True}}
    grouped = {"fields": fields | {"g": "group"}, "folds": {"group": "g"}, "learner": "xgboost"}

    def recipe(**more):
        return make_arms(config_from_mapping(grouped | more), (0, 0))[0].recipe

    assert "g" in recipe().read
    assert "g" in json.loads(recipe().training_json())["fields"]
    assert "g" not in recipe(trees={"rounds": 9}).read
    assert "g" not in json.loads(recipe(trees={"rounds": 9}).training_json())["fields"]
    assert "g" in recipe().unseen


def test_as_an_idea(tmp_path):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 120))
    table = pd.DataFrame({"a": a, "b": b, "y": np.where(np.sign(a) == np.sign(b), "same", "other")})
    study = Study(
        train=table,
        fields={"a": "number", "b": "number", "y": {"kind": "label", "target": True}},
        training={"epochs": 1},
        folds={"n_splits": 3, "max_repeats": 2},
        ideas={"boosted": {"learner": "lightgbm"}},
        runs=tmp_path,
    )
    result = study.try_ideas(n_workers=0)
    assert result.ideas[0].judgement.outcome.name == "helps"
