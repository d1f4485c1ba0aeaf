"""Estimators of scikit-learn's kind as learners: the contract, the library by hand, what cannot be, what a file may hold."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("skops")

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import OneHotEncoder

import estimators_of_ones_own as own
from tamesu import Study
from tamesu.arms import make_arms
from tamesu.config import AugmentConfig, SklearnConfig
from tamesu.dataset import Dataset
from tamesu.document import config_from_mapping, read_study
from tamesu.errors import ConfigError, FitError, StoreError
from tamesu.fields import (
    AngleField,
    DirectionField,
    LabelField,
    LabelsField,
    NumberField,
    NumbersField,
    SharesField,
    VectorField,
)
from tamesu.fields.base import Aux
from tamesu.learners.base import load_fitted, make_learner
from tamesu.learners.sklearn import sample_weight
from tamesu.learners.sklearn_columns import EstimatorColumns, fit_columns
from tamesu.learners.sklearn_files import FILE, is_trusted
from tamesu.learners.sklearn_outputs import as_outputs, make_outputs
from tamesu.targets import make_target
from tamesu.testing import (
    PICTURE_FIELDS,
    TABLE_FIELDS,
    check_learner,
    toy_pictures,
    toy_recipe,
    toy_tables,
)
from tamesu.trial import make_trial

FOREST = "sklearn.ensemble.RandomForestClassifier"
LOGISTIC = "sklearn.linear_model.LogisticRegression"
RIDGE = "sklearn.linear_model.Ridge"
LINEAR_SVC = {"learner": "sklearn.svm.LinearSVC"}
CALIBRATED = ("sklearn.calibration.CalibratedClassifierCV", {"estimator": LINEAR_SVC, "cv": 2})
SCALED = [["scale", {"learner": "sklearn.preprocessing.StandardScaler"}], ["model", {"learner": LOGISTIC, "params": {"C": 2}}]]
MINI_BOOST = {"n_estimators": 4, "verbose": -1, "min_child_samples": 2}
NUMBERS = {"size": NumberField(), "amount": NumberField(target=True)}
STUDY_FIELDS = {"a": "number", "b": "label", "y": {"kind": "label", "target": True}}


def recipe_of(name, fields=None, params=None, **more):
    changed = {"sklearn": SklearnConfig(params=params or {})} | more
    return toy_recipe(fields or TABLE_FIELDS, learner=name).model_copy(update=changed)


def trained(name, data, fields=None, params=None, seed=3, **more):
    return make_learner(name).fit(data, recipe_of(name, fields, params, **more), seed, "cpu")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        (FOREST, {"n_estimators": 5}),
        (LOGISTIC, {}),
        ("sklearn.pipeline.Pipeline", {"steps": SCALED}),
        ("lightgbm.LGBMClassifier", MINI_BOOST),
        ("estimators_of_ones_own.make_squares", {"c": 2.0}),
        ("estimators_of_ones_own.Plain", {}),
        ("estimators_of_ones_own.Noisy", {}),
    ],
)
def test_contract(name, params):
    check_learner(make_learner(name), pictures=False, learner=name, sklearn={"params": params})


def one_hot(data):
    scaled = (data.table[["size"]] - data.table["size"].mean()) / data.table["size"].std(ddof=0)
    ones = OneHotEncoder(sparse_output=False).fit_transform(data.table[["colour"]].fillna("?"))
    return np.concatenate([scaled.to_numpy(dtype=np.float64).astype(np.float32), ones], axis=1)


def test_classes_equal_the_library_by_hand():
    data = toy_tables(80)
    fields = {"size": NumberField(), "colour": LabelField(), "answer": LabelField(target=True)}
    x, y = one_hot(data), data.table["answer"].to_numpy()
    found = trained(LOGISTIC, data, fields, {"C": 0.5}).predict(data)["answer"]
    assert found == pytest.approx(LogisticRegression(C=0.5).fit(x, y).predict_proba(x), abs=1e-6)
    found = trained(FOREST, data, fields, {"n_estimators": 7}, seed=11).predict(data)["answer"]
    assert found == pytest.approx(RandomForestClassifier(7, random_state=11).fit(x, y).predict_proba(x), abs=1e-9)


def test_numbers_equal_the_library_by_hand_in_their_own_unit():
    data = toy_tables(80)
    data.table["amount"] = np.round(np.exp(data.table["size"]))  # counts, with zeros: what a Poisson loss is for
    x, y = one_hot(data)[:, :1], data.table["amount"].to_numpy(dtype=float)
    assert (y == 0).any()
    found = trained("sklearn.linear_model.PoissonRegressor", data, NUMBERS).predict(data)["amount"]
    assert found == pytest.approx(PoissonRegressor().fit(x, y).predict(x), rel=1e-6)
    found = trained("sklearn.neighbors.KNeighborsRegressor", data, NUMBERS).predict(data)["amount"]
    assert found == pytest.approx(KNeighborsRegressor().fit(x, y).predict(x), rel=1e-6)


def test_a_class_that_training_did_not_have_is_unlikely_and_not_impossible():
    data = toy_tables(60)
    data = Dataset(**{**vars(data), "classes": {**data.classes, ("answer", "label"): ("maybe", "no", "yes")}})
    found = trained(LOGISTIC, data).predict(data)["answer"]
    assert found.sum(axis=1) == pytest.approx(1)
    assert found[:, 0] == pytest.approx(0.5 / 61, rel=1e-2)


def several(n=60, seed=0):
    """Numbers and the targets that follow from them."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n))
    share = 1 / (1 + np.exp(-a))
    names = [" ".join([*["p"] * int(u > 0), *["q"] * int(v > 0), "always"]) for u, v in zip(a, b, strict=True)]
    table = {
        "a": a,
        "b": b,
        "names": np.array(names, dtype=object),
        "way": np.where(a > 0, "right", "left").astype(object),
        "angle": np.rad2deg(np.arctan2(b, a)),
        "arrow": [tuple(one) for one in np.stack([a, b], axis=1)],
        "unit": [tuple(one) for one in np.stack([a, b], axis=1) / np.hypot(a, b)[:, None]],
        "parts": [tuple(one) for one in np.stack([share, 1 - share], axis=1) * 10],
        "flows": [tuple(one) for one in np.stack([a, b, a + b], axis=1)],
        "within": np.clip(a, 0, 1),
    }
    classes = {("names", "labels"): ("always", "never", "p", "q"), ("way", "direction"): ("left", "right")}
    ids = np.array([f"r{i}" for i in range(n)], dtype=object)
    return Dataset(ids, pd.DataFrame(table), {}, classes, dict.fromkeys(table, "toy"), "toy")


INPUTS = {"a": NumberField(), "b": NumberField()}
TARGETS = {
    "names": LabelsField(target=True),
    "way": DirectionField(target=True, angles={"left": 180, "right": 0}),
    "angle": AngleField(target=True),
    "arrow": VectorField(target=True),
    "unit": VectorField(target=True, unit=True),
    "parts": SharesField(target=True, columns=("u", "v"), total=10),
    "flows": NumbersField(target=True, columns=("u", "v", "w"), laws=({"sum": "u + v - w", "equals": 0},)),
    "within": NumberField(target=True, range=(0.0, 1.0)),
}
CLASSIFIED = ("names", "way")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", ["one output", "several"])
def test_every_kind_of_target(name, kind, tmp_path):
    """Estimators of several outputs and those of one, repeated; what the study knows of the target holds."""
    estimators = {
        ("one output", True): (LOGISTIC, {}),
        ("one output", False): ("sklearn.svm.SVR", {"C": 30}),
        ("several", True): ("sklearn.ensemble.ExtraTreesClassifier", {"n_estimators": 20}),
        ("several", False): ("sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 20}),
    }
    learner, params = estimators[kind, name in CLASSIFIED]
    data, fields = several(), INPUTS | {name: TARGETS[name]}
    recipe = recipe_of(learner, fields, params)
    assert make_learner(learner).check(recipe, data) == []
    fitted = make_learner(learner).fit(data.take(slice(0, 45)), recipe, 0, "cpu")
    found = fitted.predict(data)[name]
    target = make_target(name, TARGETS[name], data.classes.get((name, TARGETS[name].kind), ()))
    assert found.shape == (60, *target.prediction_shape)
    assert len(fitted.predict(data.take([]))[name]) == 0
    fitted.save(tmp_path)
    assert np.array_equal(load_fitted(tmp_path).predict(data)[name], found)
    truth = target.truth(data.values(name, TARGETS[name]))
    if name == "names":
        assert (found[:, 0] > 0.98).all()
        assert (found[:, 1] < 0.02).all()
        assert ((found > 0.5) == truth)[45:].mean() > 0.85
    elif name == "way":
        assert (found.argmax(axis=1) == truth)[45:].mean() > 0.85
    elif name == "angle":
        off = np.abs((found - truth + 180) % 360 - 180)
        assert np.median(off[45:]) < 15
    else:
        assert np.corrcoef(found[45:].ravel(), truth[45:].ravel())[0, 1] > 0.9
    if name == "unit":
        assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    if name == "parts":
        assert found.sum(axis=1) == pytest.approx(10)
        assert (found >= 0).all()
    if name == "flows":
        assert found[:, 0] + found[:, 1] == pytest.approx(found[:, 2], abs=1e-9)
    if name == "within":
        assert found.min() >= 0
        assert found.max() <= 1


def test_a_target_alike_in_all_rows_is_predicted_so():
    data = several(20)
    data.table["arrow"] = [(2.0, row) for row in data.table["b"]]
    found = trained(RIDGE, data, INPUTS | {"arrow": TARGETS["arrow"]}).predict(data)["arrow"]
    assert found[:, 0] == pytest.approx(2.0)
    data.table["arrow"] = [(2.0, 3.0)] * 20
    found = trained(RIDGE, data, INPUTS | {"arrow": TARGETS["arrow"]}).predict(data)["arrow"]
    assert found == pytest.approx(np.tile([2.0, 3.0], (20, 1)))


def test_only_training_rows_are_fitted_on():
    """Poison: what the estimator is handed is the training rows, in the columns that they ask for."""
    own.Peeping.seen.clear()
    data = toy_tables(60)
    train = data.take(slice(0, 40))
    data.table.loc[40:, "colour"] = "violet"
    before = trained("estimators_of_ones_own.Peeping", train).predict(data)["answer"]
    data.table.loc[40:, ["size", "answer"]] = [1e6, "no"]
    again = trained("estimators_of_ones_own.Peeping", train).predict(data.take(slice(0, 40)))["answer"]
    assert np.array_equal(before[:40], again)
    (x, y, weight), (x_again, *_) = own.Peeping.seen
    assert np.array_equal(x, x_again)
    assert len(x) == len(y) == 40
    assert weight is None
    assert np.isfinite(before).all()


def test_seeds_reach_every_estimator_inside():
    data = toy_tables(60)
    name, params = (
        "sklearn.ensemble.VotingClassifier",
        {
            "voting": "soft",
            "estimators": [["forest", {"learner": FOREST, "params": {"n_estimators": 3}}], ["logistic", {"learner": LOGISTIC}]],
        },
    )
    fitted = trained(name, data, params=params, seed=17)
    assert fitted.estimator.named_estimators_["forest"].random_state == 17
    assert fitted.estimator.estimators[0][1].n_jobs is None
    fitted = trained("lightgbm.LGBMClassifier", data, params=MINI_BOOST, seed=5)
    assert fitted.estimator.random_state == 5
    assert fitted.estimator.n_jobs >= 1


@pytest.mark.parametrize("way", ["balance", "class_weights"])
def test_rows_are_weighted(way):
    data = toy_tables(60)
    loss = {"name": "cross_entropy", "class_weights": {"yes": 3}} if way == "class_weights" else None
    fields = {"size": NumberField(), "answer": LabelField(target=True, loss=loss)}
    more = {"augment": AugmentConfig(balance=1.0)} if way == "balance" else {}
    own.Peeping.seen.clear()
    trained("estimators_of_ones_own.Peeping", data, fields, **more)
    ((_, y, weight),) = own.Peeping.seen
    assert weight is not None
    sums = [weight[y == code].sum() for code in (0, 1)]
    if way == "balance":
        assert sums[0] == pytest.approx(sums[1])
    else:
        assert set(weight[y == 1]) == {3.0}
        assert set(weight[y == 0]) == {1.0}
    recipe = recipe_of("estimators_of_ones_own.Plain", fields, **more)
    (said,) = make_learner("estimators_of_ones_own.Plain").check(recipe, data)
    assert "its fit has no sample_weight" in said


def test_without_weights_none_are_given():
    data = toy_tables(20)
    field = LabelField(target=True)
    target = make_target("answer", field, data.classes["answer", "label"]).fit(data.values("answer", field))
    y = as_outputs(target, data.values("answer", field))
    assert sample_weight(recipe_of(LOGISTIC), target, y) == {}
    assert make_outputs(target, y).n_columns == 1


# ---- what cannot be


def mistakes(learner, params=None, ideas=None, **more):
    study = {"fields": STUDY_FIELDS, "learner": learner, "sklearn": {"params": params or {}}, "ideas": ideas or {}, **more}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(study)
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("learner", "params", "sentence"),
    [
        (
            "sklearn.ensemble.RandomForestClasifier",
            {},
            "sklearn.ensemble has no 'RandomForestClasifier'. Did you mean 'RandomForestClassifier'?",
        ),
        ("sklearn.ensembles.X", {}, "sklearn has no 'ensembles'. Did you mean 'ensemble'?"),
        ("no_such_package.Thing", {}, "there is no module 'no_such_package'. Install its package."),
        ("estimators_of_ones_own.A_NUMBER", {}, "must be a class or a function that makes an estimator"),
        (
            FOREST,
            {"n_estimator": 3},
            "sklearn.params.n_estimator: is no parameter of " + FOREST + ". Did you mean 'n_estimators'?",
        ),
        (
            FOREST,
            {"n_estimators": -3},
            "The 'n_estimators' parameter of RandomForestClassifier must be an int in the range [1, inf)",
        ),
        (FOREST, {"random_state": 3}, "sklearn.params.random_state: is set by tamesu"),
        (FOREST, {"n_jobs": 3}, "sklearn.params.n_jobs: is set by tamesu"),
        (FOREST, {"n_estimators": [3, 4]}, "must be one value; a list of values to try belongs in an idea"),
        (FOREST, {"max_features": float("inf")}, "must be a finite number"),
        (
            CALIBRATED[0],
            {"estimator": {"learner": "sklearn.svm.LinearSV"}},
            "sklearn.params.estimator.learner: sklearn.svm has no",
        ),
        (CALIBRATED[0], {"estimator": LINEAR_SVC | {"params": {"D": 1}}}, "sklearn.params.estimator.params.D: is no parameter"),
        (CALIBRATED[0], {"estimator": LINEAR_SVC | {"param": {}}}, "must be an estimator, {learner: …, params: {…}}"),
        (CALIBRATED[0], {"estimator": {"learner": "svc"}}, "must be a dotted name such as sklearn.svm.LinearSVC"),
    ],
)
def test_names_and_parameters_are_checked_when_the_study_is_read(learner, params, sentence):
    (said,) = mistakes(learner, params)
    assert sentence in said


def said_of(name, fields=None, params=None, data=None):
    return make_learner(name).check(recipe_of(name, fields, params), data or toy_tables(20))


def test_what_an_estimator_cannot_be_used_for():
    (said,) = said_of("sklearn.svm.LinearSVC")
    assert "gives no probabilities" in said
    assert "CalibratedClassifierCV, sklearn: {params: {estimator: {learner: sklearn.svm.LinearSVC}}}" in said
    assert said_of(CALIBRATED[0], params=CALIBRATED[1]) == []
    assert "gives no probabilities" in said_of("sklearn.svm.SVC")[0]
    stack = {"estimators": [["logistic", {"learner": LOGISTIC}], ["svm", LINEAR_SVC]], "cv": 2}  # knows once it is fitted
    assert said_of("sklearn.ensemble.StackingClassifier", params=stack) == []
    (said,) = said_of("sklearn.ensemble.RandomForestRegressor")
    assert "must be a classifier" in said
    assert f"Did you mean {FOREST!r}?" in said
    (said,) = said_of(LOGISTIC, NUMBERS)
    assert "must be a regressor" in said
    (said,) = said_of("sklearn.preprocessing.StandardScaler")
    assert "must be a classifier" in said


def test_what_no_estimator_can_honour():
    fields = {"size": NumberField(), "amount": NumberField(aux=Aux()), "answer": LabelField(target=True, loss="focal")}
    assert [one.partition("(")[2].partition(")")[0] for one in said_of(LOGISTIC, fields)] == [
        "fields.amount.aux",
        "fields.answer.loss",
    ]
    ordered = {"size": NumberField(), "answer": LabelField(target=True, order=("no", "yes"))}
    assert "targets of kind label with these settings" in said_of(LOGISTIC, ordered)[0]
    learnt = NumbersField(target=True, columns=("u", "v", "w"), learn=("u + v", "w"))
    assert "sums learnt in place of columns" in said_of(RIDGE, INPUTS | {"flows": learnt}, data=several())[0]
    law = {"sum": "u + v - w", "equals": 0, "as": "penalty"}
    penalised = NumbersField(target=True, columns=("u", "v", "w"), laws=(law,))
    assert "laws with as: penalty" in said_of(RIDGE, INPUTS | {"flows": penalised}, data=several())[0]
    assert "must have an input" in said_of(LOGISTIC, {"answer": LabelField(target=True)})[0]


def test_answers_that_are_no_prediction():
    name, data = "estimators_of_ones_own.Diverging", toy_tables(20)
    with pytest.raises(FitError, match="must answer with finite numbers; got nan"):
        trained(name, data).predict(data)
    with pytest.raises(FitError, match="must answer with 2 columns; got 3"):
        trained(name, data, params={"power": 2}).predict(data)


def test_what_cannot_be_saved_is_said_before_it_is_trained():
    (said,) = said_of("estimators_of_ones_own.make_lambda")
    assert "cannot be saved" in said


def test_pictures_and_series_are_given_as_what_is_measured_of_them(tmp_path):
    """The contract with pictures; and features that are scaled by the training rows, of which an unknown one is the mean."""
    check_learner(make_learner(LOGISTIC), tables=False, learner=LOGISTIC)
    data = toy_pictures(40)
    recipe = toy_recipe(PICTURE_FIELDS, (12, 12), learner=LOGISTIC)
    train, test = data.take(slice(0, 30)), data.take(slice(30, None))
    columns, matrix = fit_columns(train, recipe, 0, "cpu")
    assert matrix.shape[1] == len(columns.features.names) > 20
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-9)
    assert set(np.round(matrix.std(axis=0), 6)) <= {0.0, 1.0}
    np.testing.assert_allclose(columns.matrix(train), matrix)
    assert not np.allclose(columns.matrix(test).mean(axis=0), 0, atol=0.05)
    columns.save(tmp_path)
    np.testing.assert_array_equal(EstimatorColumns.load(tmp_path).matrix(test), columns.matrix(test))


def test_mistakes_of_an_idea_are_told_where_it_says_them():
    ideas = {"forest": {"learner": FOREST, "sklearn": {"params": {"n_estimators": [3, "many"]}}}}
    (said,) = mistakes("sklearn.linear_model.LogisticRegression", ideas=ideas)
    assert said.startswith("Study ideas.forest.sklearn.params.n_estimators[1]: ")


# ---- as an idea


def test_values_of_a_parameter_are_tried_and_lists_that_belong_are_not():
    ideas = {
        "forest": {"learner": FOREST, "sklearn": {"params": {"n_estimators": [3, 5]}}},
        "inside": {
            "learner": CALIBRATED[0],
            "sklearn": {"params": {"estimator": LINEAR_SVC | {"params": {"C": [0.1, 1.0]}}}},
        },
        "net": {
            "learner": "sklearn.neural_network.MLPClassifier",
            "sklearn": {"params": {"hidden_layer_sizes": [8, 8]}},
        },
        "scaled": {"learner": "sklearn.pipeline.Pipeline", "sklearn": {"params": {"steps": SCALED}}},
    }
    config = config_from_mapping({"fields": STUDY_FIELDS, "ideas": ideas})
    assert [arm.name for arm in make_arms(config, (0, 0))] == [
        "baseline",
        "forest: n_estimators=3",
        "forest: n_estimators=5",
        "inside: C=0.1",
        "inside: C=1.0",
        "net",
        "scaled",
    ]


def test_another_learner_starts_without_the_parameters_of_the_first():
    study = {
        "fields": STUDY_FIELDS,
        "learner": FOREST,
        "sklearn": {"params": {"n_estimators": 3}},
        "ideas": {
            "logistic": {"learner": LOGISTIC, "sklearn": {"params": {"C": 2.0}}},
            "deep": {"sklearn": {"params": {"max_depth": 4}}},
        },
    }
    _, logistic, deep = make_arms(config_from_mapping(study), (0, 0))
    assert logistic.recipe.sklearn.params == {"C": 2.0}
    assert deep.recipe.sklearn.params == {"n_estimators": 3, "max_depth": 4}


@pytest.mark.parametrize("said", ["sklearn:\n  params: {n_estimators: 3}  # few", "sklearn: {params: {n_estimators: 3}}"])
@pytest.mark.parametrize(
    ("learner", "params"),
    [(LOGISTIC, {"C": 2.0}), ("sklearn.ensemble.ExtraTreesClassifier", {"n_estimators": 3}), ("lightgbm", {})],
)
def test_keep_leaves_the_parameters_of_the_first_learner_out(said, learner, params, tmp_path):
    patch = {"learner": learner} | ({"sklearn": {"params": params}} if params else {})
    lines = ["data: {train: t.csv}", f"fields: {json.dumps(STUDY_FIELDS)}", f"learner: {FOREST}", said]
    (tmp_path / "study.yaml").write_text("\n".join([*lines, f"ideas: {{other: {json.dumps(patch)}}}"]) + "\n")
    config, document = read_study(tmp_path / "study.yaml")
    document.keep(make_arms(config, (0, 0))[1])
    kept, _ = read_study(tmp_path / "study.yaml")
    assert kept.learner == learner
    assert kept.sklearn.params == params


def test_as_an_idea(tmp_path):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 120))
    table = pd.DataFrame({"a": a, "b": b, "y": np.where(np.sign(a) == np.sign(b), "same", "other")})
    study = Study(
        train=table,
        fields={"a": "number", "b": "number", "y": {"kind": "label", "target": True}},
        learner=LOGISTIC,
        folds={"n_splits": 3, "max_repeats": 2},
        ideas={"neighbours": {"learner": "sklearn.neighbors.KNeighborsClassifier", "sklearn": {"params": {"n_neighbors": 7}}}},
        metric="accuracy",
        runs=tmp_path,
    )
    assert study.try_ideas(n_workers=0).ideas[0].judgement.outcome.name == "helps"


def test_an_edited_estimator_is_trained_again(tmp_path, monkeypatch):
    from toy import make_rows, make_split, make_toy_recipe

    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "an_edited_module.py").write_text("from sklearn.linear_model import Ridge\n")

    def key(name, **params):
        recipe = make_toy_recipe(name).model_copy(update={"sklearn": SklearnConfig(params=params)})
        return make_trial(make_rows(), recipe, make_split()).key

    nested = {"regressor": {"learner": "an_edited_module.Ridge"}}
    name = "sklearn.compose.TransformedTargetRegressor"
    before = key("an_edited_module.Ridge"), key(name, **nested), key(RIDGE)
    (tmp_path / "an_edited_module.py").write_text("from sklearn.linear_model import Lasso as Ridge\n")
    after = key("an_edited_module.Ridge"), key(name, **nested), key(RIDGE)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]


# ---- what a file may hold


def test_what_a_file_may_name():
    assert is_trusted("sklearn.tree._tree.Tree", {FOREST})
    assert is_trusted("sklearn.feature_selection._univariate_selection.f_classif", {FOREST})
    assert is_trusted("estimators_of_ones_own.Plain", {"estimators_of_ones_own.Plain"})
    assert is_trusted("estimators_of_ones_own.squared", {"estimators_of_ones_own.make_squares"})
    for name in (
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "functools.partial",
        "numpy.memmap",
        "sklearn.datasets._base.load_files",
        "sklearn.utils._testing.assert_run_python_script_without_output",
        "sklearn.utils._joblib.joblib",
        "sklearn.base.clone",
        "sklearn.os.system",
        "estimators_of_ones_own.Plain",
        "no_such_package.Thing",
    ):
        assert not is_trusted(name, {FOREST}), name
    assert not is_trusted("estimators_of_ones_own.np", {"estimators_of_ones_own.Plain"})
    assert not is_trusted("estimators_of_ones_own.StandardScaler", {"estimators_of_ones_own.Plain"})


def test_a_changed_file_is_refused_and_nothing_in_it_runs(tmp_path):
    import skops.io

    trained(LOGISTIC, toy_tables(30)).save(tmp_path)
    flag = tmp_path / "ran"
    bad = LogisticRegression()
    bad.callback = Path(flag).touch
    (tmp_path / FILE).write_bytes(skops.io.dumps(bad))
    with pytest.raises(StoreError, match="must hold what the study names"):
        load_fitted(tmp_path)
    (tmp_path / FILE).write_bytes(pickle.dumps(Ridge()))
    with pytest.raises(StoreError, match="must be a saved model"):
        load_fitted(tmp_path)
    assert not flag.exists()


def test_a_recipe_in_the_folder_names_what_may_be_loaded(tmp_path):
    """A model of a user's class is loaded where the recipe names that module, and not where it names another."""
    name = "estimators_of_ones_own.Plain"
    trained(name, toy_tables(30)).save(tmp_path)
    load_fitted(tmp_path)
    kept = json.loads((tmp_path / "fitted.json").read_text())
    kept["recipe"]["learner"] = LOGISTIC
    (tmp_path / "fitted.json").write_text(json.dumps(kept))
    with pytest.raises(StoreError, match="must hold what the study names"):
        load_fitted(tmp_path)
