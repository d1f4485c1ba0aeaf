"""tamesu's learners as scikit-learn's estimators: its own checks, its tools around them, and what columns mean."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tamesu
from tamesu import TamesuClassifier, TamesuRegressor
from tamesu.errors import ConfigError, DataError

NETWORK = {
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 0.01,
    "model": {"hidden": 16, "dropout": 0.0},
    "device": "cpu",
}
BOOSTED = {
    "learner": "lightgbm",
    "settings": {"trees": {"rounds": 20, "params": {"min_child_samples": 2, "min_data_in_bin": 1}}},
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@parametrize_with_checks(
    [TamesuClassifier(**NETWORK), TamesuRegressor(**NETWORK), TamesuClassifier(**BOOSTED), TamesuRegressor(**BOOSTED)]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def numbers(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, np.where(x[:, 0] + x[:, 1] > 0, "up", "down"), 100 + 20 * x[:, 0]


def mixed(n=60, seed=0):
    """Numbers with gaps, texts, categories and truth values; one of each says what the class is."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(n) < 0.2, np.nan, y + rng.normal(size=n)),
            "colour": np.where(y == 1, "red", "blue").astype(object),
            "grade": pd.Categorical(np.where(y == 1, "good", "bad")),
            "flag": y == 1,
        },
        index=np.arange(n) * 3 + 7,
    )
    return frame, y


def test_names_are_public_and_lazy():
    assert tamesu.TamesuClassifier is TamesuClassifier
    assert {"TamesuClassifier", "TamesuRegressor"} <= set(tamesu.__all__)


def test_equals_the_library_by_hand():
    """With an estimator of scikit-learn's own as learner, it is that estimator on standardised columns."""
    x, y, z = numbers()
    by_hand = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    found = TamesuClassifier(learner="sklearn.linear_model.LogisticRegression").fit(x, y)
    assert found.predict_proba(x) == pytest.approx(by_hand.predict_proba(x), abs=1e-5)
    by_hand = make_pipeline(StandardScaler(), Ridge(alpha=3)).fit(x, z)
    settings = {"sklearn": {"params": {"alpha": 3}}}
    found = TamesuRegressor(learner="sklearn.linear_model.Ridge", settings=settings).fit(x, z)
    assert found.predict(x) == pytest.approx(by_hand.predict(x), abs=1e-4)


@pytest.mark.parametrize("column", ["amount", "colour", "grade", "flag"])
def test_columns_of_a_table_mean_what_their_types_say(column):
    frame, y = mixed()
    model = TamesuClassifier(**NETWORK, random_state=0).fit(frame[[column]], y)
    assert model.config_.fields[column].kind == ("number" if column == "amount" else "label")
    assert model.score(frame[[column]], y) > (0.6 if column == "amount" else 0.95)
    assert list(model.feature_names_in_) == [column]
    assert model.n_features_in_ == 1


def test_fields_say_what_columns_mean():
    frame, y = mixed()
    frame["hour"] = np.where(y == 1, 23.5, 11.5)
    fields = {"hour": {"kind": "number", "cycle": 24}, "colour": "ignore", "answer": {"kind": "label", "target": True}}
    model = TamesuClassifier(**NETWORK, fields=fields, random_state=0).fit(frame, y)
    assert model.target_ == "answer"
    assert model.score(frame, y) > 0.95
    shuffled = frame.assign(colour="green", amount=0.0)
    assert np.array_equal(model.predict_proba(frame), model.predict_proba(shuffled))


def test_a_column_of_pictures():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    pictures = [np.full((8, 8), 40 + 160 * one, dtype=np.uint8) + rng.integers(0, 20, (8, 8), dtype=np.uint8) for one in y]
    frame = pd.DataFrame({"photo": pd.Series(pictures, dtype=object), "noise": rng.normal(size=40)})
    settings = {"size": 8, "augment": {"brightness": 0.05}}
    model = TamesuClassifier(**NETWORK | {"model": {"width": 8}}, settings=settings, random_state=0).fit(frame, y)
    assert model.config_.fields["photo"].kind == "image"
    assert model.score(frame, y) > 0.95
    again = pickle.loads(pickle.dumps(model))
    assert again.predict_proba(frame.iloc[:5]) == pytest.approx(model.predict_proba(frame.iloc[:5]), abs=1e-5)


def test_a_column_of_series():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 40)
    moves = [rng.normal(size=(12, 2)) + 3 * one for one in y]
    frame = pd.DataFrame({"moves": pd.Series(moves, dtype=object)})
    fields = {"moves": {"kind": "series", "names": ["x", "y"]}}
    assert TamesuClassifier(**NETWORK, fields=fields, random_state=0).fit(frame, y).score(frame, y) > 0.9
    with pytest.raises(DataError, match=r"moves: must be numbers, classes or pictures; got object \(12, 2\)"):
        TamesuClassifier(**NETWORK).fit(frame, y)


@pytest.mark.parametrize("classes", [["no", "yes"], [False, True], [3, 10], ["1", " 1"], [-1, 2]])
def test_classes_come_back_as_they_were(classes):
    x, y, _ = numbers()
    given = np.array(classes)  # "1" and " 1" are one text once blanks are dropped
    model = TamesuClassifier(**BOOSTED).fit(x, given[(y == "up").astype(int)])
    assert model.classes_.tolist() == sorted(given.tolist())
    assert model.predict(x).dtype == model.classes_.dtype
    assert model.score(x, given[(y == "up").astype(int)]) > 0.9


def test_in_pipelines_searches_and_ensembles_of_theirs():
    x, y, z = numbers()
    network = TamesuClassifier(**NETWORK | {"epochs": 2}, random_state=0)
    assert len(cross_val_score(make_pipeline(StandardScaler(), network), x, y, cv=3)) == 3
    boosted = TamesuClassifier(**BOOSTED)
    vote = VotingClassifier([("network", network), ("boosted", boosted)], voting="soft").fit(x, y)
    assert vote.predict_proba(x).shape == (60, 2)
    assert CalibratedClassifierCV(boosted, cv=2).fit(x, y).score(x, y) > 0.8
    assert cross_val_predict(TamesuRegressor(**BOOSTED), x, z, cv=3).shape == (60,)
    search = GridSearchCV(boosted, {"settings": [BOOSTED["settings"], {"trees": {"rounds": 1}}]}, cv=2).fit(x, y)
    assert search.best_params_ == {"settings": BOOSTED["settings"]}


def test_a_search_in_two_processes():
    x, y, _ = numbers(40)
    values = {"settings": [BOOSTED["settings"], {"trees": {"rounds": 1}}]}
    scores = [
        GridSearchCV(TamesuClassifier(**BOOSTED, random_state=0), values, cv=2, n_jobs=n)
        .fit(x, y)
        .cv_results_["mean_test_score"]
        for n in (1, 2)
    ]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("settings", [NETWORK, BOOSTED, {"learner": "sklearn.linear_model.LogisticRegression"}])
def test_what_is_fitted_is_copied_and_kept(settings, tmp_path):
    x, y, _ = numbers()
    model = TamesuClassifier(**settings, random_state=0).fit(x, y)
    joblib.dump(model, tmp_path / "model.joblib")
    for again in (copy.deepcopy(model), joblib.load(tmp_path / "model.joblib")):
        assert np.array_equal(again.predict_proba(x), model.predict_proba(x))
        assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        clone(model).predict(x)


def test_a_row_is_predicted_alike_alone_and_among_others():
    x, _, z = numbers(300)
    model = TamesuRegressor(**NETWORK | {"epochs": 1}, random_state=0).fit(x, z)
    together = model.predict(x)
    assert np.array_equal(together[:3], np.concatenate([model.predict(x[i : i + 1]) for i in range(3)]))
    assert np.array_equal(together[::-1], model.predict(x[::-1]))


def test_random_state_decides_everything_random():
    x, y, _ = numbers()
    first, again, other = (TamesuClassifier(**NETWORK, random_state=seed).fit(x, y).predict_proba(x) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learner": "lightgb"}, "TamesuClassifier learner: must be"),
        ({"learner": "sklearn.svm.LinearSVC"}, "TamesuClassifier: sklearn.svm.LinearSVC gives no probabilities"),
        ({"epochs": 0}, "TamesuClassifier train.epochs: must be a whole number of at least 1"),
        ({"learner": "lightgbm", "model": {"width": 3}}, "lightgbm cannot use model.width"),
        ({"settings": {"folds": {"n_splits": 3}}}, "settings must not hold 'folds'"),
        ({"fields": {"x0": "number", "y": {"kind": "number", "target": True}}}, "fields must hold a target of kind label"),
        ({"fields": {"x0": "numbr"}}, "TamesuClassifier fields.x0: must be one of"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(settings, sentence):
    x, y, _ = numbers()
    with pytest.raises(ConfigError) as caught:
        TamesuClassifier(**settings).fit(x, y)
    assert sentence in str(caught.value)


def test_rows_that_cannot_be():
    x, y, _ = numbers()
    with pytest.raises(DataError, match="field 'z' must be a column"):
        TamesuClassifier(fields={"z": "number"}).fit(x, y)
    frame, codes = mixed()
    frame["when"] = pd.Timestamp("2026-01-01")
    with pytest.raises(DataError, match="TamesuClassifier when: must be numbers, classes or pictures; got datetime64"):
        TamesuClassifier().fit(frame, codes)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TamesuClassifier().fit(frame.drop(columns="when"), codes[:-1])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        TamesuClassifier().fit(x[:0], y[:0])
