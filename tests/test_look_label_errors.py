"""Label errors: the published rule by hand, planted wrong labels, and clean labels."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.look.columns import read_column
from tamesu.look.label_errors import (
    confident_joint,
    doubt_labels,
    find_label_errors,
    joint_of,
    rank_labels,
    robust_z,
    wrong_fraction,
)
from tamesu.look.material import Material

DIGITS = tuple("0123456789")


def material_of(labels, classes=DIGITS, *, kind="label"):
    ids = np.array([f"r{i}" for i in range(len(labels))], dtype=object)
    column = read_column(pd.Series(labels), "digit", declared=kind, field="digit", is_target=True)
    place = {name: i for i, name in enumerate(classes)}
    return Material(
        name="digits",
        ids=ids,
        table=np.zeros(len(ids), dtype=np.int8),
        columns={"digit": column},
        row_digests=np.arange(len(ids), dtype=np.uint64),
        target="digit",
        target_kind=kind,
        classes=classes if kind == "label" else (),
        labels=np.array([place.get(str(one), -1) for one in labels], dtype=np.int64),
    )


def frame_of(probabilities, labels, classes=DIGITS):
    names = np.array(classes, dtype=object)
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(len(labels))], "digit": names[labels]})
    frame["prediction"] = names[probabilities.argmax(axis=1)]
    return frame.assign(**{f"p_{name}": probabilities[:, i] for i, name in enumerate(classes)})


@cache
def digits(wrong_fraction, seed=0):
    """Labels, which of them are wrong, and out-of-fold probabilities of a model fitted on them."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    flipped = rng.random(len(y)) < wrong_fraction
    given = np.where(flipped, (y + rng.integers(1, 10, len(y))) % 10, y)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    p = cross_val_predict(LogisticRegression(C=0.1, max_iter=150), x / 16, given, cv=folds, method="predict_proba")
    return given, flipped, p


def test_the_published_rule_by_hand():
    # thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6; class 1 (0.7 + 0.9 + 0.2) / 3 = 0.6
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.1, 0.9], [0.8, 0.2]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    counts = confident_joint(p, labels)
    assert counts.tolist() == [[2, 1], [1, 2]]
    assert joint_of(counts, labels) == pytest.approx(np.array([[2, 1], [1, 2]]) / 6)
    doubts = doubt_labels(p, labels)
    assert doubts.rows.tolist() == [2, 5]  # margins -0.8 and -0.6
    assert doubts.proposed.tolist() == [1, 0]
    assert doubts.margins == pytest.approx([-0.8, -0.6])


def test_a_row_that_reaches_no_threshold_is_not_counted():
    p = np.array([[0.9, 0.1], [0.55, 0.45], [0.1, 0.9], [0.2, 0.8]])
    assert confident_joint(p, np.array([0, 0, 1, 1])).sum() == 2  # thresholds 0.725 and 0.85


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_the_joint_keeps_the_shares_of_the_labels(seed, k, n):
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(k), size=n), rng.integers(0, k, n)
    joint = joint_of(confident_joint(p, labels), labels)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=k) / n)
    doubts = doubt_labels(p, labels)
    assert len(set(doubts.rows.tolist())) == len(doubts.rows)
    assert (doubts.margins < 0).all()
    assert (np.diff(doubts.margins) >= 0).all()
    assert (doubts.proposed != labels[doubts.rows]).all()


def test_wrong_labels_among_digits_are_found():
    given_labels, flipped, p = digits(0.05)
    part = find_label_errors(material_of(given_labels.astype(str)), out_of_fold=frame_of(p, given_labels))
    (finding,) = part.findings
    top = [int(one[1:]) for one in finding.rows]
    assert len(top) == 50
    assert flipped[top].mean() > 0.85
    n_listed = part.figures["n_listed"]
    listed = rank_labels(p, given_labels)[0][:n_listed]
    assert flipped[listed].mean() > 0.85
    assert flipped[listed].sum() / flipped.sum() > 0.85
    confident = doubt_labels(p, given_labels).rows
    assert flipped[confident].mean() > 0.85
    assert flipped[confident].sum() / flipped.sum() > 0.7
    assert finding.interval[0] < 0.05 < finding.interval[1] + 0.01
    assert 0.5 < finding.strength <= 0.9
    table = finding.evidence["table"]
    assert table["head"] == ["id", "as given", "proposed", "p"]
    assert len(table["rows"]) == 50
    assert finding.evidence["proposals"] == [row[:3] for row in table["rows"]]
    assert json.loads(json.dumps(finding.as_dict()))["kind"] == "label_error"
    assert json.dumps(part.figures)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clean_digits_give_no_finding(seed):
    labels, _, p = digits(0.0, seed)
    part = find_label_errors(material_of(labels.astype(str)), out_of_fold=frame_of(p, labels))
    assert part.findings == ()
    assert part.figures["n_listed"] < 0.03 * len(labels)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, 4.0])
def test_rows_that_are_merely_hard_are_no_wrong_labels(slope):
    rng = np.random.default_rng(3)
    p = 1 / (1 + np.exp(-slope * 1.6 * rng.standard_normal(2000)))
    labels = (rng.random(2000) < p).astype(int)
    classes = ("no", "yes")
    frame = frame_of(np.stack([1 - p, p], axis=1), labels, classes)
    part = find_label_errors(material_of(np.array(classes)[labels], classes), out_of_fold=frame)
    assert part.findings == ()


def test_a_rare_class_that_the_model_does_not_know_is_no_wrong_label():
    rng = np.random.default_rng(4)
    p = rng.uniform(0.02, 0.08, 2000)
    labels = (rng.random(2000) < p).astype(int)
    classes = ("no", "yes")
    part = find_label_errors(
        material_of(np.array(classes)[labels], classes),
        out_of_fold=frame_of(np.stack([1 - p, p], axis=1), labels, classes),
    )
    assert part.findings == ()


def test_a_rare_class_that_is_always_taken_for_another_is_no_wrong_label():
    labels = np.where(np.arange(2000) % 20 == 0, 2, np.arange(2000) % 2)
    told = np.where(labels == 2, 0, labels)
    p = np.where(np.arange(3) == told[:, None], 0.98, 0.01)
    classes = ("a", "b", "rare")
    part = find_label_errors(material_of(np.array(classes)[labels], classes), out_of_fold=frame_of(p, labels, classes))
    assert part.findings == ()


def test_the_share_is_flat_only_where_labels_are_wrong():
    confidence = np.linspace(1, 0.5, 400)
    everywhere, at_the_end = np.arange(400) % 20 == 0, np.arange(400) > 150
    everyone = np.ones(400, dtype=bool)
    fraction, low, high, flatness = wrong_fraction(confidence, everywhere, everyone)
    assert low < fraction == 0.05 < high
    assert flatness == pytest.approx(1.0)
    assert wrong_fraction(confidence, at_the_end, everyone)[3] == 0


def test_labels_corrected_since_the_fit_are_left_out():
    given_labels, flipped, p = digits(0.05)
    corrected = given_labels.copy()
    corrected[np.flatnonzero(flipped)] = (given_labels[flipped] + 1) % 10
    part = find_label_errors(material_of(corrected.astype(str)), out_of_fold=frame_of(p, given_labels))
    assert part.findings == ()
    assert any(str(int(flipped.sum())) in one for one in part.warnings)


def numbers(errors, truth=None):
    truth = np.linspace(0, 100, len(errors)) if truth is None else truth
    frame = pd.DataFrame({"id": [f"r{i}" for i in range(len(errors))], "digit": truth + errors, "prediction": truth})
    return find_label_errors(material_of(truth + errors, kind="number"), out_of_fold=frame)


def test_numbers_far_from_the_model_are_found():
    errors = np.random.default_rng(5).standard_normal(1000)
    errors[[10, 500]] = 30, -25
    (finding,) = numbers(errors).findings
    assert finding.rows == ("r10", "r500")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("freedom", [2, 3, 5, np.inf])
def test_heavy_tails_are_no_wrong_numbers(seed, freedom):
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal(1000) if np.isinf(freedom) else rng.standard_t(freedom, 1000)
    assert numbers(errors).findings == ()


def test_without_a_fit_it_says_what_to_do():
    part = find_label_errors(material_of(np.array(["1", "2"])))
    assert part.findings == ()
    assert part.warnings == ()
    assert "tamesu fit" in part.figures["needs"]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"id": ["r0", "r1"], "other": ["1", "2"]}),
        pd.DataFrame({"id": ["r0", "r1"], "digit": ["1", None], "p_1": [np.nan, "x"], "p_2": [1, 2]}),
        pd.DataFrame({"id": ["r0", "r1"], "digit": ["1", "2"], "p_1": [0.1, 0.9]}),
        pd.DataFrame({"id": ["r0", "r1"], "digit": ["a", np.inf], "prediction": [1, None]}),
        pd.DataFrame({"id": ["r0"], "digit": [1.0]}),
        pd.DataFrame({"id": [f"r{i}" for i in range(60)], "digit": [1.0] * 60, "prediction": [1.0] * 60}),
    ],
)
def test_odd_predictions_end_in_a_sentence(frame):
    part = find_label_errors(material_of(np.array(["1", "2"])), out_of_fold=frame)
    assert part.findings == ()
    assert part.warnings or part.figures


def test_residuals_without_spread_have_no_unit():
    z, threshold = robust_z(np.array([0.0] * 99 + [5.0]))
    assert (z == 0).all()
    assert np.isinf(threshold)
