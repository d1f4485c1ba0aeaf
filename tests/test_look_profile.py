"""The profile: the same axes for all populations, nothing lost at the ends, plain values whatever the data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from look_pages import picture_facts, table_material
from tamesu.look.columns import read_column
from tamesu.look.material import Material, Populations
from tamesu.look.page import render_page
from tamesu.look.profile import MAX_COLUMNS, QUANTILES, find_profile


def material_of(frame: pd.DataFrame, of=None, names=("a", "b"), **more) -> Material:
    n = len(frame)
    columns = {name: read_column(frame[name], name) for name in frame}
    populations = None if of is None else Populations("table", names, np.asarray(of, dtype=np.int64))
    ids = np.arange(n).astype(str).astype(object)
    return Material(
        "m", ids, np.zeros(n, dtype=np.int8), columns, np.zeros(n, dtype=np.uint64), populations=populations, **more
    )


def column_of(part, name: str) -> dict:
    return next(one for one in part.figures["columns"] if one["name"] == name)


numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(numbers, st.data())
def test_every_number_is_counted_once(values, data):
    of = data.draw(st.lists(st.integers(-1, 1), min_size=len(values), max_size=len(values)))
    values, of = np.array(values, dtype=float), np.array(of)
    part = find_profile(material_of(pd.DataFrame({"x": values}), of))
    json.dumps(part.figures, allow_nan=False)
    render_page({"name": "m", "lang": "en", "target": "", "created": "", "parts": {"profile": part.figures}})
    figures = column_of(part, "x")
    if figures["kind"] != "number" or figures["low"] is None:
        return
    for i in (0, 1):
        mine = values[of == i]
        counted = figures["below"][i] + sum(figures["counts"][i]) + figures["above"][i]
        assert counted == (~np.isnan(mine)).sum()


def test_quantiles_are_numpys():
    x = np.random.default_rng(0).normal(5, 3, 997)
    figures = column_of(find_profile(material_of(pd.DataFrame({"x": x}))), "x")
    np.testing.assert_allclose(figures["quantiles"][0], np.quantile(x, QUANTILES), atol=1e-3)


def test_populations_share_one_axis_and_a_shift_is_seen():
    part = find_profile(table_material())
    x, year = column_of(part, "x"), column_of(part, "year")
    assert len(x["counts"][0]) == len(x["counts"][1])
    assert x["distance"] > 0.4 > 0.3 > year["distance"]
    assert column_of(part, "amount")["missing"][1] > 0.15 > 0.1 > column_of(part, "amount")["missing"][0]
    assert part.figures["n"] == [400, 200]
    assert part.figures["labels"]["counts"][1] == [0, 0, 0]
    assert sum(part.figures["labels"]["counts"][0]) == 400


def test_what_is_very_skewed_gets_a_logarithmic_axis():
    rng = np.random.default_rng(0)
    part = find_profile(material_of(pd.DataFrame({"money": rng.lognormal(0, 3, 2000), "height": rng.normal(170, 9, 2000)})))
    assert column_of(part, "money")["log"]
    assert not column_of(part, "height")["log"]


def test_whole_numbers_get_a_bin_each():
    figures = column_of(find_profile(material_of(pd.DataFrame({"die": np.tile([1, 2, 3, 4, 5, 6], 50)}))), "die")
    assert figures["counts"] == [[50] * 6]


def test_a_level_of_a_small_population_is_not_lost():
    cells = [f"common {i % 12}" for i in range(1200)] + ["rare"] * 6
    figures = column_of(find_profile(material_of(pd.DataFrame({"c": cells}), [0] * 1200 + [1] * 6)), "c")
    assert "rare" in figures["levels"]
    for shares, other in zip(figures["shares"], figures["other"], strict=True):
        assert sum(shares) + other == pytest.approx(1, abs=0.002)
    assert figures["distance"] == 1


def test_dates_and_text():
    part = find_profile(table_material())
    seen, remark = column_of(part, "seen"), column_of(part, "remark")
    assert seen["kind"] == "date"
    assert seen["low"] >= 19723  # 2024-01-01
    assert len(remark["examples"]) == 3
    assert remark["lengths"][0][1] <= remark["lengths"][0][5]
    assert column_of(part, "nothing")["kind"] == "empty"


def test_pictures_and_series_are_numbers(tmp_path):
    length = np.linspace(1, 2, 30).astype(np.float32)
    facts = picture_facts(tmp_path, 30)
    part = find_profile(table_material(30, pictures={"photo": facts}, properties={"walk.length": length}))
    assert {"photo.height", "photo.width", "photo.brightness", "walk.length"} <= {
        one["name"] for one in part.figures["columns"]
    }
    assert column_of(part, "photo.brightness")["missing"][0] == pytest.approx(1 / 20)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_rows(n):
    frame = pd.DataFrame({"x": [1.0] * n, "c": ["a"] * n})
    assert find_profile(material_of(frame)).figures["n"] == [n]
    json.dumps(find_profile(material_of(frame, [1] * n)).figures, allow_nan=False)


def test_too_many_columns_are_said_to_be_left_out():
    frame = pd.DataFrame({f"x{i}": [1.0, 2.0] for i in range(MAX_COLUMNS + 7)})
    part = find_profile(material_of(frame))
    assert len(part.figures["columns"]) == MAX_COLUMNS
    assert "7" in part.warnings[0]
    assert len(part.warnings) == 1


def test_many_populations_are_cut():
    names = tuple(f"p{i}" for i in range(9))
    of = np.repeat(np.arange(9), np.arange(1, 10))
    part = find_profile(material_of(pd.DataFrame({"x": np.arange(45.0)}), of, names))
    assert part.figures["populations"] == ["p0", "p4", "p5", "p6", "p7", "p8"]
    assert len(part.warnings) == 1
