"""A class at every step of a series: brought to the network's steps and back, trained, scored, refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from tamesu.config import ChannelsConfig, StudyConfig
from tamesu.data import Data, read_data
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError, DataError
from tamesu.fields import SeriesField, Steps, StepsField
from tamesu.learners.base import load_fitted
from tamesu.metrics import default_metric, get_metric
from tamesu.plan import make_plan
from tamesu.series_inputs import fit_series
from tamesu.study import Study
from tamesu.targets import make_target, target_from_json
from tamesu.targets.steps import StepsTarget
from tamesu.trial import run_trial

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data"))


def steps(names: list[str | None], places: list[float] | None = None) -> Steps:
    at = np.arange(len(names)) if places is None else places
    return Steps(np.array(names, dtype=object), np.array(at, dtype=np.float64))


def values_of(*rows: Steps) -> np.ndarray:
    out = np.empty(len(rows), dtype=object)
    out[:] = rows
    return out


def make(classes: tuple[str, ...] = ("a", "b"), **grid: Any) -> StepsTarget:
    field = StepsField.model_validate({"of": "s", "target": True})
    plain = {"step": None, "length": None, "fit": "cut", "gap": None, "longest": 1}
    return StepsTarget("act", field, classes, grid=plain | grid if grid else {})


def tables(folder: Path, n: int = 24, seed: int = 0) -> dict[str, Any]:
    """A long table: of each row so many uneven times, a number, and the class that its sign is."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n):
        t = np.cumsum(rng.uniform(0.5, 1.5, size=int(rng.integers(8, 25))))
        x = np.sign(np.sin(t / 3 + rng.uniform(0, 6)))
        frames.append(
            pd.DataFrame({"id": f"r{i}", "t": t, "x": x + rng.normal(0, 0.2, len(t)), "act": np.where(x > 0, "up", "down")})
        )
    pd.concat(frames).to_csv(folder / "long.csv", index=False)
    return {"id": [f"r{i}" for i in range(n)]}


def declared(**series: Any) -> dict[str, Any]:
    side = {"file": "long.csv", "key": "id", "order": "t"}
    return {
        "s": {"kind": "series", "column": "id", "table": {**side, "columns": ["x"]}, **series},
        "act": {"kind": "steps", "of": "s", "column": "id", "table": {**side, "columns": [], "name": "act"}, "target": True},
    }


def read(folder: Path, fields: dict[str, Any], rows: Any) -> Data:
    config = StudyConfig.model_validate({"fields": fields, "data": {"id": "id"}})
    versions = {name: [one] for name, one in config.fields.items()}
    return read_data(config, versions, base=folder, cache=folder / "cache", train=rows)


# ── the target ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_encoded_by_hand() -> None:
    rows = values_of(steps(["a", None, "b"], [0, 1, 4]), steps(["b"], [7]))
    target = make(step=1.0, longest=6)
    assert target.encode(rows).tolist() == [[0, -1, -1, 1, 1, -1], [1, -1, -1, -1, -1, -1]]
    assert target.truth(rows).tolist() == [[0, -1, 1], [1, -1, -1]]
    assert make(step=1.0, gap=2.0, longest=6).encode(rows)[0].tolist() == [0, -1, -1, -1, 1, -1]
    assert target.known(values_of(steps([None, None]), steps([None, "a"]), steps([]))).tolist() == [False, True, False]
    assert target_from_json(target.to_json()).encode(rows).tolist() == target.encode(rows).tolist()
    with pytest.raises(DataError, match="must be a class of the training table; got 'c'"):
        target.truth(values_of(steps(["c"])))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_encoded_comes_back(data: st.DataObject) -> None:
    """With steps fine enough, a network that is right at its steps is right at the rows' own."""
    n = data.draw(st.integers(1, 10))
    places = np.cumsum(data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))).astype(float)
    names = data.draw(st.lists(st.sampled_from(["a", "b"]), min_size=n, max_size=n))
    rows = values_of(steps(names, places.tolist()))
    for grid in ({"step": 1.0}, {"step": 0.25}, {"step": None}, {"length": 400, "fit": "stretch"}):
        target = make(**grid, longest=3)
        encoded = target.encode(rows)
        raw = np.where(np.arange(2) == np.maximum(encoded, 0)[:, :, None], 40.0, -40.0)
        back = target.at_times(target.decode(raw, np), [places])
        assert back.shape == (1, n, 2)
        assert back.argmax(axis=2).tolist() == target.truth(rows).tolist()
        np.testing.assert_allclose(target.decode(torch.from_numpy(raw), torch).numpy(), target.decode(raw, np), atol=1e-9)


def test_predictions_are_finite_everywhere_and_uniform_where_nothing_is_known() -> None:
    target = make(("a", "b", "c"), length=2, longest=2)
    raw = np.random.default_rng(0).normal(size=(3, 2, 3))
    back = target.at_times(target.decode(raw, np), [np.arange(4.0), np.arange(1.0), np.zeros(0)])
    assert back.shape == (3, 4, 3)
    np.testing.assert_allclose(back.sum(axis=2), 1)
    np.testing.assert_allclose(back[0, 2:], 1 / 3)  # cut
    np.testing.assert_allclose(back[1, 1:], 1 / 3)  # beyond its end
    np.testing.assert_allclose(back[2], 1 / 3)
    np.testing.assert_allclose(back[0, :2], target.decode(raw, np)[0])


def test_an_encoding_is_on_the_steps_of_its_series(tmp_path: Path) -> None:
    fields = declared(step=2.0, length=5)
    data = read(tmp_path, fields, tables(tmp_path))
    series = fit_series(data.train, {"s": SeriesField.model_validate(fields["s"])}, ChannelsConfig())
    field = StepsField.model_validate(fields["act"])
    target = make_target("act", field, data.train.classes["act", "steps"]).on_grid(series)
    assert (target.classes, target.along, target.n_outputs) == (("down", "up"), "s", 2)
    encoded, given_to = target.encode(data.train.values("act", field)), series.transform(data.train)["s"]
    assert encoded.shape == given_to.values.shape[:2]
    np.testing.assert_array_equal((encoded >= 0).sum(axis=1), given_to.lengths)


# ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_metrics_are_those_of_scikit_learn_over_known_steps() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(-1, 3, size=(12, 9))
    y[:, 0] = np.arange(12) % 3
    p = rng.dirichlet(np.ones(3), size=(12, 9))
    known = y >= 0
    by_row = [log_loss(y[i][known[i]], p[i][known[i]], labels=[0, 1, 2]) for i in range(12)]
    np.testing.assert_allclose(get_metric("steps_log_loss").row_values(y, p), by_row)
    assert get_metric("steps_log_loss").score(y, p) == pytest.approx(np.mean(by_row))
    right = [(p[i].argmax(axis=1) == y[i])[known[i]].mean() for i in range(12)]
    assert get_metric("steps_accuracy").score(y, p) == pytest.approx(np.mean(right))
    f1 = get_metric("steps_f1_macro")
    assert f1.score(y, p) == pytest.approx(f1_score(y[known], p[known].argmax(axis=1), average="macro"))
    without = np.array([f1.score(np.delete(y, i, axis=0), np.delete(p, i, axis=0)) for i in range(12)])
    np.testing.assert_allclose(f1.row_values(y, p), 12 * f1.score(y, p) - 11 * without)
    assert default_metric("steps").name == "steps_log_loss"


def test_what_stands_beyond_the_end_has_no_say_in_a_score() -> None:
    rng = np.random.default_rng(4)
    y = np.array([[0, 1, -1, -1], [1, 1, 0, -1]])
    p = rng.dirichlet(np.ones(2), size=(2, 4))
    other = p.copy()
    other[y < 0] = [0.01, 0.99]
    for name in ("steps_log_loss", "steps_accuracy", "steps_f1_macro"):
        metric = get_metric(name)
        for same in (other, p[:, :3], np.concatenate([p, other], axis=1)):  # shorter and longer ones too
            np.testing.assert_allclose(metric.row_values(y, same), metric.row_values(y, p))
    assert np.isnan(get_metric("steps_log_loss").row_values(np.array([[-1]]), p[:1, :1])).all()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_classes_from_a_table_from_files_and_from_lists(tmp_path: Path) -> None:
    rows = tables(tmp_path, 4)
    long = pd.read_csv(tmp_path / "long.csv")
    for name, one in long.groupby("id"):
        one.sample(frac=1, random_state=0).to_csv(tmp_path / f"{name}.csv", index=False)
    files = {
        "s": {"kind": "series", "column": "file", "file": True, "names": ["x"], "time": "t"},
        "act": {"kind": "steps", "of": "s", "column": "file", "file": True, "name": "act", "time": "t", "target": True},
    }
    lists = {
        "s": {"kind": "series", "names": ["x"]},
        "act": {"kind": "steps", "of": "s", "target": True},
    }
    grouped = [long[long.id == name] for name in rows["id"]]
    held = {**rows, "s": [one.x.tolist() for one in grouped], "act": [one.act.tolist() for one in grouped]}
    ways = [(declared(), rows), (files, {**rows, "file": [f"{one}.csv" for one in rows["id"]]}), (lists, held)]
    found = []
    for fields, given_rows in ways:
        data = read(tmp_path, fields, given_rows)
        field = StepsField.model_validate(fields["act"])
        found.append(make_target("act", field, data.train.classes["act", "steps"]).truth(data.train.values("act", field)))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    assert read(tmp_path, lists, held | {"act": [" ".join(one) for one in held["act"]]}).train.classes["act", "steps"] == (
        "down",
        "up",
    )


def test_a_class_that_is_not_known(tmp_path: Path) -> None:
    rows = tables(tmp_path, 6)
    long = pd.read_csv(tmp_path / "long.csv")
    long.loc[[0, 1], "act"] = [None, "?"]
    long.to_csv(tmp_path / "long.csv", index=False)
    fields = declared()
    fields["act"]["missing_values"] = ["?"]
    data = read(tmp_path, fields, rows)
    field = StepsField.model_validate(fields["act"])
    assert list(data.train.values("act", field)[0].names[:2]) == [None, None]
    assert data.train.classes["act", "steps"] == ("down", "up")
    long["act"] = long["act"].where(long["id"] != "r2")
    long.to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(DataError, match="row 'r2' must have a target"):
        read(tmp_path, fields, rows)


def test_classes_that_do_not_stand_at_the_steps(tmp_path: Path) -> None:
    rows = tables(tmp_path, 3)
    long = pd.read_csv(tmp_path / "long.csv")
    long[1:].to_csv(tmp_path / "short.csv", index=False)
    fields = declared()
    fields["act"]["table"]["file"] = "short.csv"
    with pytest.raises(DataError, match=r"row 'r0' must have a class at every step of 's'; got (\d+) where it has"):
        read(tmp_path, fields, rows)
    long.assign(t=long["t"] + 1).to_csv(tmp_path / "short.csv", index=False)
    read(tmp_path, fields, rows)  # the steps are the series' own: one after the other is enough
    fields["s"]["step"] = 1.0
    with pytest.raises(DataError, match="must have its classes at the times of 's'; got others"):
        read(tmp_path, fields, rows)


SERIES = {"kind": "series", "table": {"file": "a.csv", "key": "id", "columns": ["x"], "order": "t"}}
STEPS = {"kind": "steps", "of": "s", "target": True}
REFUSED = [
    ({"s": SERIES, "f": {**STEPS, "of": "z"}}, "f.of: must be the name of a field of kind 'series'; got 'z'"),
    ({"s": SERIES, "f": STEPS | {"file": True}}, "f.name: must be given: the column of the classes"),
    ({"s": SERIES, "f": STEPS | {"name": "act"}}, "f.name: must be left out without `file`"),
    ({"s": SERIES, "f": STEPS | {"table": SERIES["table"]}}, "f.table.name: must be given: the column of the classes"),
    ({"s": {**SERIES, "step": 1}, "f": STEPS}, "f.time: must be given, as 's' is looked at on other steps than its own"),
    (
        {
            "s": {"kind": "series", "column": "file", "file": True, "names": ["x", "act"]},
            "f": STEPS | {"column": "file", "file": True, "name": "act"},
        },
        "must not read the column 'file: act', which is the target 'f'",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), REFUSED)
def test_settings_that_cannot_be(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": fields})
    assert expected in str(caught.value)


# ── trained ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("series", [{}, {"step": 0.7}, {"length": 30, "fit": "stretch"}])
def test_a_network_learns_the_class_of_every_step(tmp_path: Path, series: dict[str, Any]) -> None:
    rows = tables(tmp_path, 32)
    config = StudyConfig.model_validate(
        {
            "fields": declared(**series),
            "data": {"id": "id"},
            "model": {"width": 8},
            "train": {"epochs": 12, "batch_size": 8, "learning_rate": 0.02},
            "folds": {"n_splits": 2},
        }
    )
    plan = make_plan(config, base=tmp_path, cache=tmp_path / "cache", train=rows)
    assert plan.metric.name == "steps_log_loss"
    trial = plan.trial(plan.baseline, 0, 0)
    result, fitted = run_trial(plan.rows, trial, "cpu", 1)
    prediction, truth = result.predictions["act"], plan.y[trial.split.test]
    assert np.isfinite(prediction).all()
    np.testing.assert_allclose(prediction.sum(axis=2), 1, atol=1e-6)
    assert get_metric("steps_accuracy").score(truth, prediction) > 0.9
    fitted.save(tmp_path / "model")
    again = load_fitted(tmp_path / "model").predict(plan.rows.take(trial.split.test).without(["act"]))["act"]
    np.testing.assert_allclose(again, prediction, atol=1e-6)


@pytest.mark.skipif(not (DATA / "batteryless_activity").exists(), reason="needs the activities")
def test_activities_of_one_file_a_row(tmp_path: Path) -> None:
    files = {"column": "file", "file": True, "time": "time_s"}
    fields = {
        "sensor": {"kind": "series", **files, "names": ["acc_frontal_g", "acc_vertical_g"], "step": 5.0},
        "activity": {"kind": "steps", "of": "sensor", **files, "name": "activity", "target": True},
    }
    config = StudyConfig.model_validate({"fields": fields, "data": {"train": "trials.csv", "id": "file"}})
    versions = {name: [one] for name, one in config.fields.items()}
    data = read_data(config, versions, base=DATA / "batteryless_activity", cache=tmp_path)
    rows = data.train.take(np.arange(0, 87, 4))
    series = fit_series(rows, {"sensor": SeriesField.model_validate(fields["sensor"])}, ChannelsConfig())
    field = StepsField.model_validate(fields["activity"])
    target = make_target("activity", field, data.train.classes["activity", "steps"]).on_grid(series)
    assert target.classes == ("1", "2", "3", "4")
    encoded = target.encode(rows.values("activity", field))
    given_to = series.transform(rows)["sensor"]
    np.testing.assert_array_equal((encoded >= 0).sum(axis=1), given_to.lengths)
    assert (target.truth(rows.values("activity", field)) >= 0).sum() == rows_in_table(rows.ids)
    shares = np.eye(4)[np.maximum(encoded, 0)]
    back = target.at_times(shares, series.times(rows, "sensor"))
    assert np.isfinite(back).all()
    truth = target.truth(rows.values("activity", field))
    right = (back.argmax(axis=2) == truth)[truth >= 0].mean()
    assert right > 0.9  # activities last longer than five seconds


def rows_in_table(ids: np.ndarray) -> int:
    table = pd.read_csv(DATA / "batteryless_activity" / "trials.csv").set_index("file")
    return int(table.loc[list(ids), "n_rows"].sum())


def test_a_study_from_its_tables_to_its_predictions(tmp_path: Path) -> None:
    rows = tables(tmp_path, 16)
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    pd.DataFrame({"id": rows["id"][:3]}).to_csv(tmp_path / "test.csv", index=False)
    study = {
        "fields": declared(step=0.7),
        "data": {"train": "train.csv", "test": "test.csv", "id": "id"},
        "model": {"width": 4},
        "train": {"epochs": 1, "batch_size": 8},
        "folds": {"n_splits": 2, "max_repeats": 1},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    loaded = Study.load(tmp_path / "study.yaml")
    result = loaded.fit()
    assert np.isfinite(result.baseline.score)
    predicted = loaded.predict()
    long = pd.read_csv(tmp_path / "long.csv").groupby("id").size()
    assert predicted.groupby("id").size().to_dict() == {name: int(long[name]) for name in rows["id"][:3]}
    np.testing.assert_allclose(predicted[["p_down", "p_up"]].sum(axis=1), 1, atol=1e-6)
    out_of_fold = next((tmp_path / "runs").rglob("out_of_fold.csv"))
    assert len(pd.read_csv(out_of_fold)) == int(long.sum())
