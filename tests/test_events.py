"""Events under a rule: soft bumps there, the best sequence back, average precision at tolerances."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.errors import ConfigError, DataError
from tamesu.event_scores import event_ap
from tamesu.fields import EventsField, SideTable
from tamesu.fields.cells import Rows
from tamesu.metrics import METRICS, metric_for
from tamesu.targets.events import best_chain, best_events, bumps, peaks

TABLE = SideTable(file="events.csv", key="night", columns=("minute",), name="event")
SLEEP = ("onset", "wakeup")


def nights():
    spec = importlib.util.spec_from_file_location("nights", Path(__file__).parents[1] / "bench" / "nights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def events_field(**more) -> EventsField:
    return EventsField(of="moves", table=TABLE, names=SLEEP, target=True, **more)


def cells(*rows) -> pd.Series:
    """Each row as [(time, name), …]."""
    out = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        out[i] = Rows(np.array([[time] for time, _ in row], dtype=float).reshape(-1, 1), tuple(name for _, name in row))
    return pd.Series(out)


IDS = np.array(["a", "b"], dtype=object)


@given(st.integers(1, 7), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_the_chain_is_the_best_of_all(t, k, apart, seed):
    sure = np.random.default_rng(seed).random((t, k)).round(1)
    chosen = best_chain(sure, apart)
    steps = [chosen[j] for j in sorted(chosen)]
    assert (np.diff(steps) >= apart).all()
    every = [
        sum(sure[step, j] for j, step in zip(events, places, strict=True))
        for m in range(min(t, k) + 1)
        for events in itertools.combinations(range(k), m)
        for places in itertools.combinations(range(t), m)
        if (np.diff(places) >= apart).all()
    ]
    assert sum(sure[step, j] for j, step in chosen.items()) == pytest.approx(max(every))


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=1, max_size=40), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_decoded_obeys_the_rule(sure, ordered, daily):
    field = events_field(once=SLEEP, in_order=SLEEP if ordered else (), period=10.0 if daily else None, most=6)
    grid = np.arange(len(sure), dtype=float)
    found = best_events(np.array(sure), grid, field)
    assert found.shape == (2, field.most, 2)
    assert np.isfinite(found).all()
    times = [one[one[:, 1] > 0, 0] for one in found]
    for own in times:
        days = np.floor(own / 10.0) if daily else np.zeros(len(own))
        assert len(np.unique(days)) == len(days)
    if ordered:
        for day in np.unique(np.floor(grid / 10.0)) if daily else [None]:
            first, second = (own if day is None else own[np.floor(own / 10.0) == day] for own in times)
            assert len(first) == 0 or len(second) == 0 or first[0] < second[0]


def test_one_bump_is_not_two_events():
    """The first is the surer one, and as likely to be either event: it is the onset, and the other the wake-up."""
    bump = np.exp(-0.5 * ((np.arange(80) - np.array([[20], [60]])) / 3) ** 2)
    both = 0.6 * bump[0] + 0.2 * bump[1]
    sure = np.stack([both, np.roll(both, 1)], axis=1)
    found = best_events(sure, np.arange(80.0), events_field(once=SLEEP, in_order=SLEEP, most=3))
    np.testing.assert_array_equal(found[:, 0, 0], [20, 61])


def test_without_a_rule_events_are_peaks_apart():
    sure = np.zeros(60)
    sure[[10, 12, 30, 50]] = [0.9, 0.8, 0.5, 0.7]
    assert peaks(sure + 1e-3 * np.cos(np.arange(60)), 3.0)[:3] == [10, 50, 30]
    field = events_field(width=3.0, most=2)
    found = best_events(np.stack([sure, sure], axis=1), np.arange(60.0), field)
    assert found[0, :, 0].tolist() == [10, 50]  # the two surest, in time


def test_bumps_and_back():
    field = events_field(once=SLEEP, in_order=SLEEP, width=2.0)
    grid = np.arange(50) * 5.0
    soft = bumps(grid, np.array([[60.0], [182.0]]), field.width)
    assert soft.max(axis=0).tolist() == [1.0, 1.0]
    found = best_events(soft, grid, field)
    assert found[:, 0, 0].tolist() == [60.0, 180.0]  # up to the grid
    assert bumps(grid, np.full((2, 1), np.nan), 2.0).max() == 0


def slow_ap(y, prediction, tolerance):
    """One event, written plainly."""
    said = sorted(
        ((sure, row, time) for row, slots in enumerate(prediction) for time, sure in slots if sure > 0), key=lambda one: -one[0]
    )
    left = {(row, i): time for row, slots in enumerate(y) for i, time in enumerate(slots) if not np.isnan(time)}
    n_true, n_right, total = len(left), 0, 0.0
    for rank, (_, row, time) in enumerate(said, start=1):
        near = [(abs(there - time), key) for key, there in left.items() if key[0] == row and abs(there - time) <= tolerance]
        if near:
            del left[min(near)[1]]
            n_right += 1
            total += n_right / rank
    return total / n_true


@given(st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_average_precision_is_what_it_says(seed):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random((5, 1, 3)) < 0.6, rng.uniform(0, 30, (5, 1, 3)), np.nan)
    sure = np.where(rng.random((5, 1, 3)) < 0.7, rng.random((5, 1, 3)), 0)
    prediction = np.stack([np.where(sure > 0, rng.uniform(0, 30, (5, 1, 3)), 0), sure], axis=-1)
    if np.isnan(y).all():
        assert np.isnan(event_ap(y, prediction, [3.0]))
        return
    wanted = np.mean([slow_ap(y[:, 0], prediction[:, 0], tolerance) for tolerance in (1.0, 5.0)])
    assert event_ap(y, prediction, [1.0, 5.0]) == pytest.approx(wanted)


def test_average_precision_by_hand():
    y = np.array([[[10.0, np.nan]], [[20.0, np.nan]]])
    perfect = np.array([[[[10.0, 0.9], [0, 0]]], [[[20.0, 0.8], [0, 0]]]])
    assert event_ap(y, perfect, [1.0]) == 1
    assert event_ap(y, np.zeros_like(perfect), [1.0]) == 0
    twice = perfect.copy()
    twice[0, 0, 1] = [10.2, 0.85]  # found already: a false alarm surer than the second event
    assert event_ap(y, twice, [1.0]) == pytest.approx((1 + 2 / 3) / 2)
    late = perfect.copy()
    late[:, :, 0, 0] += 4
    assert event_ap(y, late, [1.0, 5.0]) == 0.5
    assert metric_for(METRICS["event_ap"], events_field(tolerances=(5.0,))).score(y, late) == 1


@pytest.mark.parametrize(
    ("row", "more", "text"),
    [
        ([(1.0, "nap")], {}, "events that `names` names; got 'nap'"),
        ([(np.nan, "onset")], {}, "a time for each event; got an empty cell"),
        ([(1.0, "onset"), (2.0, "onset")], {"once": SLEEP}, "'onset' at most once, as `once` says"),
        ([(1.0, "onset"), (2.0, "onset")], {"most": 1}, "'onset' at most 1 times; got 2. Raise `most`"),
        ([(5.0, "onset"), (2.0, "wakeup")], {"once": SLEEP, "in_order": SLEEP}, "events in the order onset, wakeup"),
    ],
)
def test_rows_that_break_the_rule_are_named(row, more, text):
    with pytest.raises(DataError) as caught:
        events_field(**more).read(cells([(1.0, "onset")], row), IDS, "events.csv sleep")
    assert "row 'b' must hold" in str(caught.value)
    assert text in str(caught.value)


def test_once_a_period():
    field = events_field(once=SLEEP, in_order=SLEEP, period=24.0, most=3)
    values = field.read(cells([(1.0, "onset"), (8.0, "wakeup"), (25.0, "onset")], []), IDS, "e")
    assert values.shape == (2, 2, 3)
    assert values[0, 0, :2].tolist() == [1.0, 25.0]
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"once": ["onst"]}, "once: must be names of this field's events; got 'onst'"),
        ({"in_order": ["onset", "wakeup"]}, "in_order: must be of events that are in `once`"),
        ({"period": 24.0}, "period: must be left out where nothing is in `once`"),
        ({"names": ["onset", "onset"]}, "names: must name each one differently"),
    ],
)
def test_what_cannot_be_is_told(more, text):
    from tamesu.document import config_from_mapping

    fields = dict(nights().NIGHTS)
    fields["sleep"] = fields["sleep"] | more
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"name": "s", "fields": fields})
    assert any(text in one for one in caught.value.mistakes), caught.value.mistakes


def test_nights_are_learnt_from_tables_to_predictions(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from tamesu import Study

    made = nights()
    made.write_nights(tmp_path, 80, seed=0)
    monkeypatch.chdir(tmp_path)
    rule = {"fields": {"sleep": made.NIGHTS["sleep"] | made.RULE["fields"]["sleep"]}}
    fields = made.NIGHTS | rule["fields"]
    study = Study(
        pd.read_csv("nights.csv"), fields=fields, name="nights", runs=tmp_path / "runs", data={"id": "night"},
        training={"epochs": 20, "batch_size": 8}, folds={"n_splits": 2, "max_repeats": 1}, model={"width": 16},
    )  # fmt: skip
    result = study.fit()
    found = result.baseline.predictions
    assert found.shape == (80, 2, 3, 2)
    assert (found[:, 0, 0, 0] < found[:, 1, 0, 0]).all()
    truth = study.check().y
    assert np.median(np.abs(found[:, :, 0, 0] - truth[:, :, 0])) <= 20.0
    table = pd.read_csv(next((tmp_path / "runs").rglob("out_of_fold.csv")))
    assert list(table.columns) == ["night", "event", "time", "sure"]


def test_events_outside_their_series_are_told(tmp_path, monkeypatch):
    from tamesu import Study

    made = nights()
    made.write_nights(tmp_path, 6, seed=0)
    events = pd.read_csv(tmp_path / "events.csv")
    events.loc[0, "minute"] = -5.0
    events.to_csv(tmp_path / "events.csv", index=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        Study(pd.read_csv("nights.csv"), fields=made.NIGHTS, data={"id": "night"}).check()
    assert "the events of row '0' must lie within the times of 'moves'; got -5 outside 0 to 475" in str(caught.value)
