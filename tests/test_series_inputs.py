"""Series as a network takes them: grids, gaps, derivatives, spectra, scales, and every way the readings can be kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.config import ChannelsConfig, StudyConfig
from tamesu.data import Data, read_data
from tamesu.dataset import Dataset
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError, DataError
from tamesu.fields import SeriesField
from tamesu.series_channels import WINDOW, derivative, second_derivative, series_channel_names, spectrum
from tamesu.series_grid import Grid, back_to, classes_on, resample
from tamesu.series_inputs import FittedSeries, fit_series

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data"))
times_of = st.lists(st.floats(0.01, 5), min_size=2, max_size=12).map(np.cumsum)


def rows_of(cells: list[Any], name: str = "s") -> Dataset:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    ids = np.array([f"r{i}" for i in range(len(cells))], dtype=object)
    return Dataset(ids, pd.DataFrame({name: column}), {}, {}, {name: ""}, "toy")


def read(folder: Path, fields: dict[str, Any], rows: Any) -> Data:
    declared = {**fields, "y": {"kind": "number", "target": True}}
    config = StudyConfig.model_validate({"fields": declared, "data": {"id": "id"}})
    versions = {name: [one] for name, one in config.fields.items()}
    return read_data(config, versions, base=folder, cache=folder / "cache", train=rows)


# ── grids ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_regular_grid_by_hand() -> None:
    places, values = np.array([10.0, 20, 40]), np.array([[0.0], [1], [5]])
    times = Grid(step=5).times(places)
    assert times.tolist() == [10, 15, 20, 25, 30, 35, 40]
    assert resample(values, places, times).ravel().tolist() == [0, 0.5, 1, 2, 3, 4, 5]
    gaps = resample(values, places, times, gap=10).ravel()
    np.testing.assert_array_equal(gaps, [0, 0.5, 1, np.nan, np.nan, np.nan, 5])
    assert Grid(step=5, length=3).times(places).tolist() == [10, 15, 20]
    assert Grid(length=4, fit="stretch").times(places).tolist() == [10, 20, 30, 40]
    assert Grid(length=4, fit="stretch").times(places[:1]).tolist() == [10]
    assert Grid(step=5).times(places[:0]).tolist() == []
    assert len(Grid(step=0.1).times(np.array([0.0, 0.3]))) == 4  # 0.3 is three steps of 0.1, whatever 0.1 * 3 says


def test_empty_cells_and_times_that_come_twice() -> None:
    places = np.array([0.0, 1, 1, 2, 3])
    values = np.array([[0.0, 1], [np.nan, 2], [4, 4], [8, np.nan], [np.nan, np.nan]])
    found = resample(values, places, np.array([0.0, 0.5, 1, 2, 3]))
    np.testing.assert_allclose(found, [[0, 1], [2, 2], [4, 3], [8, 3], [8, 3]])
    assert np.isnan(resample(np.full((3, 1), np.nan), np.arange(3.0), np.arange(3.0))).all()
    np.testing.assert_array_equal(  # a gap counts from reading to reading, and from an end
        resample(np.array([[np.nan], [0], [np.nan], [np.nan], [6]]), np.arange(5.0), np.arange(5.0), gap=2).ravel(),
        [0, 0, np.nan, np.nan, 6],
    )


@given(times_of, st.floats(0.05, 3), st.floats(-5, 5), st.floats(-5, 5))
def test_a_straight_line_stays_one_on_any_grid(places: np.ndarray, step: float, slope: float, level: float) -> None:
    line = (level + slope * places)[:, None]
    for grid in (Grid(step=step), Grid(length=7, fit="stretch"), Grid(), Grid(step=step, length=3)):
        times = grid.times(places)
        assert len(times) == grid.count(places) >= 1
        assert times[0] == places[0]
        assert times[-1] <= places[-1] + 1e-6
        np.testing.assert_allclose(resample(line, places, times).ravel(), level + slope * times, atol=1e-7)


@given(times_of, st.floats(0.05, 3))
def test_shares_go_back_to_the_rows_own_times(places: np.ndarray, step: float) -> None:
    times = Grid(step=step).times(places)
    shares = np.stack([np.linspace(0, 1, len(times)), 1 - np.linspace(0, 1, len(times))], axis=1)
    back = back_to(shares, times, places, step)
    assert np.isfinite(back).all()  # every reading lies within a step of the grid
    np.testing.assert_allclose(back.sum(axis=1), 1)
    cut = back_to(shares[:1], times[:1], places)
    assert np.isfinite(cut[0]).all()
    assert np.isnan(cut[1:]).all()
    codes = np.arange(len(places))
    np.testing.assert_array_equal(classes_on(codes, places, places), codes)
    nearest = np.abs(times[:, None] - places).min(axis=1)
    np.testing.assert_allclose(np.abs(times - places[classes_on(codes, places, times)]), nearest)


# ── channels ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(times_of.filter(lambda t: len(t) > 2), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_derivatives_of_a_parabola_are_exact(times: np.ndarray, a: float, b: float, c: float) -> None:
    values = (a * times**2 + b * times + c)[:, None]
    size = 1e-6 * (1 + np.abs(values).max()) / np.diff(times).min() ** 2
    np.testing.assert_allclose(derivative(values, times).ravel(), 2 * a * times + b, atol=size)
    np.testing.assert_allclose(second_derivative(values, times).ravel(), 2 * a, atol=size)


def test_derivatives_of_short_rows_and_of_one_time() -> None:
    one = np.array([[3.0, 4.0]])
    assert derivative(one, np.array([7.0])).tolist() == [[0, 0]]
    assert second_derivative(one, np.array([7.0])).tolist() == [[0, 0]]
    assert derivative(np.array([[0.0], [6.0]]), np.array([0.0, 2.0])).ravel().tolist() == [3, 3]
    twice = derivative(np.array([[0.0], [1.0], [3.0], [4.0]]), np.array([0.0, 1.0, 1.0, 2.0]))
    np.testing.assert_allclose(twice.ravel(), [2, 2, 2, 2])
    assert derivative(np.zeros((0, 2)), np.zeros(0)).shape == (0, 2)


def test_a_spectrum_shows_the_rhythm_where_it_is() -> None:
    steps = np.arange(200)
    slow_then_fast = np.where(steps < 100, np.sin(2 * np.pi * steps / WINDOW), np.sin(2 * np.pi * steps * 6 / WINDOW))
    bands = spectrum(slow_then_fast[:, None])
    assert bands.shape == (200, 4)
    assert (bands[20:80].argmax(axis=1) == 0).all()
    assert (bands[120:180].argmax(axis=1) == 3).all()
    assert np.ptp(spectrum(np.full((30, 1), 5.0))) == 0
    names = series_channel_names(("x", "y"), ("values", "spectrum"), has_gaps=True)
    assert len(names) == 2 + 2 * 4 + 1


# ── fit and transform ───────────────────────────────────────────────────────────────────────────────────────────────────


def random_cells(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, size=(int(rng.integers(1, 30)), 2)) for _ in range(n)]


@pytest.mark.parametrize("wanted", [(), ("values", "derivative", "second", "spectrum"), ("derivative",)])
def test_training_rows_are_standardised_without_their_padding(wanted: tuple[str, ...], tmp_path: Path) -> None:
    field = SeriesField(names=("x", "y"))
    rows = rows_of(random_cells(20))
    fitted = fit_series(rows, {"s": field}, ChannelsConfig(series=wanted))
    found = fitted.transform(rows)["s"]
    assert found.values.shape == (20, fitted.length["s"], fitted.channels["s"])
    assert found.values.dtype == np.float32
    there = np.arange(found.values.shape[1]) < found.lengths[:, None]
    np.testing.assert_allclose(found.values[there].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.values[there].std(axis=0), 1, atol=1e-3)
    assert (found.values[~there] == 0).all()
    fitted.save(tmp_path)
    again = FittedSeries.load(tmp_path).transform(rows)["s"]
    np.testing.assert_array_equal(again.values, found.values)
    one = fitted.transform(rows.take([3]))["s"]  # no row looks at another
    np.testing.assert_array_equal(one.values[0], found.values[3])


def test_lengths_starts_and_rows_without_readings() -> None:
    cells = [np.array([[1.0], [2], [3]]), np.array([[5.0]]), np.zeros((0, 1)), np.array([[4.0], [np.nan], [8.0]])]
    rows = rows_of(cells)
    fitted = fit_series(rows, {"s": SeriesField(names=("x",), start="zero")}, ChannelsConfig())
    assert fitted.length == {"s": 3}
    found = fitted.transform(rows)["s"]
    assert found.lengths.tolist() == [3, 1, 0, 3]
    scale = fitted.fitted["s"].spread[0]
    np.testing.assert_allclose(np.diff(found.values[:, :, 0])[0] * scale, [1, 1], rtol=1e-5)
    np.testing.assert_allclose(np.diff(found.values[:, :, 0])[3] * scale, [2, 2], rtol=1e-5)  # NaN inside: a straight line
    assert found.values[0, 0, 0] == found.values[1, 0, 0] == found.values[3, 0, 0]
    longer = fitted.transform(rows_of([np.ones((9, 1))]))["s"]
    assert (longer.values.shape[1], longer.lengths[0]) == (9, 9)
    cut = fit_series(rows, {"s": SeriesField(names=("x",), length=2)}, ChannelsConfig()).transform(rows)["s"]
    assert cut.values.shape[1] == 2
    assert cut.lengths.tolist() == [2, 1, 0, 2]
    stretched = fit_series(rows, {"s": SeriesField(names=("x",), length=5, fit="stretch")}, ChannelsConfig())
    assert stretched.transform(rows)["s"].lengths.tolist() == [5, 1, 0, 5]


def test_a_gap_is_the_mean_and_said_to_be_one() -> None:
    field = SeriesField(names=("t", "x"), time="t", step=1.0, gap=2.0)
    rows = rows_of([np.array([[0.0, 1], [1, 2], [2, 3], [6, 9]]), np.array([[3.0, 4], [0, 1]])])
    fitted = fit_series(rows, {"s": field}, ChannelsConfig(series=("values", "derivative")))
    assert fitted.fitted["s"].names == ("x", "x derivative", "known")
    found = fitted.transform(rows)["s"]
    assert found.values[0, :, 2].tolist() == [1, 1, 1, 0, 0, 0, 1]
    assert (found.values[0, 3:6, 0] == 0).all()
    assert (found.values[1, 1:3, 2] == 0).all()  # 0 and 3 are further apart than 2


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-6, 1e300), st.floats(-1e3, 1e3))
def test_the_unit_of_a_channel_has_no_say(factor: float, shift: float) -> None:
    cells = random_cells(6)
    plain = fit_series(rows_of(cells), {"s": SeriesField(names=("x", "y"))}, ChannelsConfig()).transform(rows_of(cells))["s"]
    other = rows_of([one * factor + shift * factor for one in cells])
    found = fit_series(other, {"s": SeriesField(names=("x", "y"))}, ChannelsConfig()).transform(other)["s"]
    np.testing.assert_allclose(found.values, plain.values, atol=1e-2)
    assert np.isfinite(found.values).all()


# ── where readings come from ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_way_to_keep_readings_gives_the_same(tmp_path: Path) -> None:
    frames = [
        pd.DataFrame({"t": [0.0, 2, 3], "x": [1.0, 2, 4], "z": [5.0, 5, 6]}),
        pd.DataFrame({"t": [1.0], "x": [7.0], "z": [8.0]}),
    ]
    ids = ["a", "b"]
    pd.concat([one.assign(id=name) for name, one in zip(ids, frames, strict=True)]).to_csv(tmp_path / "long.csv", index=False)
    for name, one in zip(ids, frames, strict=True):
        one[::-1].to_csv(tmp_path / f"{name}.csv", index=False)
        one.to_parquet(tmp_path / f"{name}.parquet")
        np.save(tmp_path / f"{name}.npy", one.to_numpy())
    lists = pd.DataFrame({"id": ids, "y": [1, 2], "s": [one.to_numpy().tolist() for one in frames]})
    lists = lists.assign(**{key: [one[key].tolist() for one in frames] for key in ("t", "x", "z")})
    lists.to_parquet(tmp_path / "lists.parquet")
    held = pd.read_parquet(tmp_path / "lists.parquet")
    shape = {"kind": "series", "names": ["t", "x", "z"], "time": "t", "step": 1.0}
    ways = [
        (
            {"kind": "series", "step": 1.0, "table": {"file": "long.csv", "key": "id", "columns": ["x", "z"], "order": "t"}},
            held,
        ),
        (shape, held),
        (shape, {"id": ids, "y": [1, 2], "s": [one.to_numpy() for one in frames]}),
        ({**shape, "names": [], "columns": ["t", "x", "z"]}, held),
        *(
            ({**shape, "column": "file", "file": True}, {"id": ids, "y": [1, 2], "file": [f"{name}.{end}" for name in ids]})
            for end in ("csv", "parquet", "npy")
        ),
    ]
    found = []
    for declared, rows in ways:
        data = read(tmp_path, {"s": declared}, rows)
        field = SeriesField.model_validate(declared)
        fitted = fit_series(data.train, {"s": field}, ChannelsConfig(series=("values", "derivative")))
        found.append(fitted.transform(data.train)["s"])
        assert any("one step" in text for text in data.warnings)
    for one in found[1:]:
        np.testing.assert_array_equal(one.values, found[0].values)
        assert one.lengths.tolist() == [4, 1]


def test_files_that_cannot_be_read_are_told_with_their_rows(tmp_path: Path) -> None:
    pd.DataFrame({"t": [0, 1], "x": [1, 2]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"t": [0, 1], "x": ["1", "two"]}).to_csv(tmp_path / "b.csv", index=False)
    np.save(tmp_path / "c.npy", np.zeros((3, 5)))
    field = {"kind": "series", "column": "file", "file": True, "names": ["x"], "time": "t"}
    rows = {"id": list("abcde"), "y": [1, 2, 3, 4, 5], "file": ["a.csv", "b.csv", "c.npy", "gone.csv", None]}
    with pytest.raises(DataError) as caught:
        read(tmp_path, {"s": field}, rows)
    assert caught.value.mistakes == [
        "b.csv x: row '3' must be numbers; got 'two'.",
        "train file: row 'c' must hold numbers of shape (t, 2); got (3, 5) of float64.",
        f"train file: row 'd' must name a file; {tmp_path / 'gone.csv'} is not there.",
    ]
    with pytest.raises(DataError, match="the series of row 'e' must have steps; got none"):
        read(tmp_path, {"s": field}, {"id": ["a", "e"], "y": [1, 2], "file": ["a.csv", None]})
    data = read(tmp_path, {"s": {**field, "may_miss": True}}, {"id": ["a", "e"], "y": [1, 2], "file": ["a.csv", None]})
    assert any("'e' is empty" in text for text in data.warnings)
    before = data.train.digests["s"]
    pd.DataFrame({"t": [0, 2], "x": [1, 2]}).to_csv(tmp_path / "a.csv", index=False)  # another time is another series
    data = read(tmp_path, {"s": {**field, "may_miss": True}}, {"id": ["a", "e"], "y": [1, 2], "file": ["a.csv", None]})
    assert data.train.digests["s"] != before


def test_cells_that_are_no_series(tmp_path: Path) -> None:
    for cell, names in ((np.zeros((2, 5)), ["x", "y"]), (np.zeros((2, 4)), ["x", "y"]), ([[1, 2], [3]], ["x", "y"])):
        with pytest.raises(DataError, match="row 'b' must hold rows of 2 numbers"):
            read(tmp_path, {"s": {"kind": "series", "names": names}}, {"id": ["a", "b"], "y": [1, 2], "s": [[[1, 2]], cell]})
    rows = {"id": ["a"], "y": [1], "p": [[1, 2]], "q": [[1]]}
    with pytest.raises(DataError, match=r"as many numbers in each of its columns; got \[2, 1\]"):
        read(tmp_path, {"s": {"kind": "series", "columns": ["p", "q"]}}, rows)
    huge = {"kind": "series", "names": ["t", "x"], "time": "t", "step": 0.001}
    with pytest.raises(DataError, match=r"would have 10000001 steps of 0\.001"):
        read(tmp_path, {"s": huge}, {"id": ["a", "b"], "y": [1, 2], "s": [[[0, 1], [1e4, 2]], [[0, 1]]]})


TABLE = {"file": "a.csv", "key": "id", "columns": ["x"]}
REFUSED = [
    ({"names": ["x"], "step": 2}, "s.step: must be left out where nothing says when"),
    ({"table": TABLE, "gap": 2}, "s.gap: must be left out where nothing says when"),
    ({"names": ["t", "x"], "time": "tt"}, "s.time: must be one of the names of what a cell holds; got 'tt'. Did you mean 't'?"),
    ({"table": TABLE, "file": True}, "s.file: must be left out where the readings come from `table`"),
    ({"names": ["x"], "fit": "stretch"}, "s.length: must be a number of steps with fit: stretch"),
    (
        {"names": ["t", "x"], "time": "t", "fit": "stretch", "length": 9, "step": 1},
        "s.step: must be left out with fit: stretch",
    ),
    ({"names": ["x"], "columns": ["x"]}, "s.names: must be left out where `columns` hold the readings"),
    ({"names": ["t"], "time": "t"}, "s.names: must be channels beside the time"),
    ({"names": ["x"], "length": 0}, "s.length"),
]


@pytest.mark.parametrize(("settings_of", "expected"), REFUSED)
def test_settings_that_cannot_be(settings_of: dict[str, Any], expected: str) -> None:
    fields = {"s": {"kind": "series", **settings_of}, "y": {"kind": "number", "target": True}}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": fields})
    assert expected in str(caught.value)


@pytest.mark.skipif(not (DATA / "unistroke_gestures").exists(), reason="needs the gestures")
def test_gestures(tmp_path: Path) -> None:
    folder = DATA / "unistroke_gestures"
    side = {"file": "points.csv", "key": "gesture_id", "columns": ["x", "y"], "order": "t_ms"}
    field = SeriesField.model_validate({"column": "gesture_id", "table": side, "step": 20, "start": "zero"})
    config = StudyConfig.model_validate(
        {
            "data": {"train": "gestures.csv", "id": "gesture_id"},
            "fields": {"pen": field, "class": {"kind": "label", "target": True}},
        }
    )
    data = read_data(config, {name: [one] for name, one in config.fields.items()}, base=folder, cache=tmp_path)
    rows = data.train.take(np.arange(0, 1760, 9))
    found = fit_series(rows, {"pen": field}, ChannelsConfig(series=("values", "derivative"))).transform(rows)["pen"]
    longest = [one[-1] - one[0] for one in field.places(rows.table["pen"], rows.ids, "")]
    np.testing.assert_array_equal(found.lengths, np.array(longest) // 20 + 1)
    assert np.isfinite(found.values).all()
