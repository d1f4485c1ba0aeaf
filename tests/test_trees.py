"""Gradient boosting: the contract, the library by hand, what it cannot honour, classes and values that are rare."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tamesu import Study
from tamesu.errors import ConfigError
from tamesu.fields import LabelField, NumberField
from tamesu.fields.base import Aux
from tamesu.learners.base import make_learner
from tamesu.learners.tree_libraries import LIBRARIES
from tamesu.testing import TABLE_FIELDS, check_learner, toy_recipe, toy_tables

NAMES = tuple(LIBRARIES)
ROUNDS = {"rounds": 30}


def recipe_of(name: str, fields=None, **trees):
    from tamesu.config import TreesConfig

    return toy_recipe(fields or TABLE_FIELDS, learner=name).model_copy(update={"trees": TreesConfig(**(ROUNDS | trees))})


@pytest.mark.parametrize("name", NAMES)
def test_contract(name):
    check_learner(make_learner(name), pictures=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("params", [{}, {"max_depth": 2}])
def test_numbers_equal_the_library_by_hand(name, params):
    data = toy_tables(120)
    fields = {"size": NumberField(scale="none"), "amount": NumberField(target=True)}
    fitted = make_learner(name).fit(data, recipe_of(name, fields, params=params), 3, "cpu")
    x, y = data.table[["size"]].to_numpy(dtype=float), data.table["amount"].to_numpy(dtype=float)
    x = x.astype(np.float32).astype(float)
    scaled = (y - y.mean()) / y.std()
    expected = {"xgboost": _by_xgboost, "lightgbm": _by_lightgbm, "catboost": _by_catboost}[name](x, scaled, params)
    found = (fitted.predict(data)["amount"] - y.mean()) / y.std()
    assert found == pytest.approx(expected, abs=1e-5)
    assert fitted.log[0]["rounds"] == 30


def _by_xgboost(x, y, params):
    import xgboost

    return xgboost.XGBRegressor(n_estimators=30, learning_rate=0.1, **params).fit(x, y).predict(x)


def _by_lightgbm(x, y, params):
    import lightgbm

    return lightgbm.LGBMRegressor(n_estimators=30, learning_rate=0.1, verbosity=-1, **params).fit(x, y).predict(x)


def _by_catboost(x, y, params):
    import catboost

    made = catboost.CatBoostRegressor(
        iterations=30, learning_rate=0.1, random_seed=3, verbose=False, allow_writing_files=False, **params
    )
    return made.fit(x, y).predict(x)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_tells(name):
    """A missing number and a missing category reach the library: nothing else tells the classes apart."""
    rng = np.random.default_rng(0)
    data = toy_tables(160)
    yes = rng.random(160) < 0.5
    data.table["size"] = np.where(yes, np.nan, rng.normal(size=160))
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
    result = study.try_ideas()
    assert result.ideas[0].judgement.outcome.name == "helps"


def test_pictures_are_refused_at_check(tmp_path):
    with pytest.raises(ConfigError, match="cannot use inputs of kind image"):
        Study(
            train={"x": np.zeros((30, 8, 8), dtype=np.uint8), "y": ["a", "b", "c"] * 10},
            fields={"x": "image", "y": {"kind": "label", "target": True}},
            learner="xgboost",
            runs=tmp_path,
        ).check()
