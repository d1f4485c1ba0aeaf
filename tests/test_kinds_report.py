"""What is reported, and left in files, of targets that live in the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fake_results
from tamesu.conclude import _mean_over_repeats
from tamesu.fields import AngleField, DirectionField, Field, LabelField, PointsField, VectorField
from tamesu.report import check_summary, render_report, summarise
from tamesu.runfolder import out_of_fold

N = 12
RNG = np.random.default_rng(0)
ANGLE, WIND = AngleField(target=True), VectorField(target=True, columns=("u", "v"))
EYES = PointsField(target=True, names=("left", "right"))
WAY = DirectionField(target=True, angles={"left": 180, "right": 0})


def study(kind: str, y: np.ndarray, prediction: np.ndarray, **changes: Any):
    result = fake_results.number_study()
    baseline = replace(result.baseline, predictions=prediction, fold_of=None)
    ids = np.array([f"r{i}" for i in range(len(y))], dtype=object)
    return replace(result, target="y", target_kind=kind, y=y, ids=ids, n_rows=len(y), baseline=baseline, **changes)


def plan_of(field: Field, result, classes: tuple[str, ...] = ()):
    """As much of a plan as a table of predictions asks for."""
    data, ids = SimpleNamespace(id="id"), SimpleNamespace(ids=result.ids)
    arm = SimpleNamespace(recipe=SimpleNamespace(target=("y", field)))
    return SimpleNamespace(config=SimpleNamespace(data=data), rows=ids, baseline=arm, y=result.y, classes=classes)


def points() -> tuple[np.ndarray, np.ndarray]:
    y = RNG.uniform(0, 50, (N, 2, 2))
    y[3, 0] = np.nan  # not seen
    return y, np.nan_to_num(y) + np.array([3.0, 4.0])


CASES = {
    "angle": (lambda: study("angle", np.full(N, 170.0), np.full(N, -170.0), target_period=360.0), 20.0),
    "vector": (lambda: study("vector", np.zeros((N, 2)), np.full((N, 2), 3.0)), np.sqrt(18)),
    "points": (lambda: study("points", *points()), 5.0),
}


@pytest.mark.parametrize("kind", CASES)
def test_errors_are_told_in_the_unit_of_the_target(kind):
    make, off = CASES[kind]
    summary = summarise(make())
    assert check_summary(summary) == []
    found = json.loads(json.dumps(summary, allow_nan=False))["mistakes"]
    assert found["off_by"]["median"] == pytest.approx(off)
    assert found["worst"][0]["loss"] == pytest.approx(off)
    page = render_report(summary)
    assert f"Half of the predictions are off by less than {off:.3g}" in page
    assert f"off by {off:.3g}" in page


def test_an_angle_is_shown_as_it_was_predicted_and_a_point_that_is_not_seen_as_a_dash():
    (angle, *_), (eyes, *_) = (summarise(CASES[kind][0]())["mistakes"]["worst"] for kind in ("angle", "points"))
    assert (angle["truth"], angle["prediction"]) == (170, -170)
    assert "—; " in render_report(summarise(CASES["points"][0]()))
    assert len(eyes["truth"]) == 2


def test_a_direction_is_reported_as_a_class():
    share = np.tile([0.25, 0.75], (N, 1))
    found = summarise(study("direction", np.arange(N) % 2, share, classes=("left", "right")))["mistakes"]
    assert found["counts"] == [[0, N // 2], [0, N // 2]]
    assert "left" in render_report(summarise(study("direction", np.arange(N) % 2, share, classes=("left", "right"))))


def test_out_of_fold_predictions_have_a_column_for_each_number():
    wind = study("vector", np.zeros((N, 2)), np.ones((N, 2)))
    assert list(out_of_fold(wind, plan_of(WIND, wind)).columns) == ["id", "y_u", "y_v", "prediction_u", "prediction_v"]
    eyes = study("points", *points())
    frame = out_of_fold(eyes, plan_of(EYES, eyes))
    assert list(frame.columns)[1:3] == ["y_left_x", "y_left_y"]
    np.testing.assert_allclose(frame["prediction_right_y"] - frame["y_right_y"], 4)
    angle = CASES["angle"][0]()
    assert out_of_fold(angle, plan_of(ANGLE, angle))["prediction"].tolist() == [-170] * N
    way = study("direction", np.arange(N) % 2, np.tile([0.25, 0.75], (N, 1)), classes=("left", "right"))
    assert out_of_fold(way, plan_of(WAY, way, ("left", "right")))["prediction"].tolist() == ["right"] * N


def test_repeats_are_joined_as_the_target_says():
    def joined(field: Field, predictions: np.ndarray, classes: tuple[str, ...] = ()) -> np.ndarray:
        plan = SimpleNamespace(baseline=SimpleNamespace(recipe=SimpleNamespace(target=("y", field))), classes=classes)
        return _mean_over_repeats(SimpleNamespace(plan=plan, baseline=SimpleNamespace(predictions=predictions)))

    nan = float("nan")
    np.testing.assert_allclose(joined(ANGLE, np.array([[170.0, 30.0, nan], [-170.0, nan, nan]])), [-180, 30, nan])
    half = joined(LabelField(target=True), np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), ("a", "b"))
    np.testing.assert_array_equal(half, [[0.5, 0.5]])
    assert joined(ANGLE, None) is None
