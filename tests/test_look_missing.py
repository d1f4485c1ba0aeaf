"""Missing and unknown: what is planted is found, what is clean stays quiet, and every suggestion is a valid study."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.document import config_from_mapping
from tamesu.look.columns import read_column
from tamesu.look.finding import Part
from tamesu.look.material import TEST, Material
from tamesu.look.missing import find_missing
from tamesu.look.sentinels import find_sentinels, word_meaning
from tamesu.look.telling import target_difference, together

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[1].parent / "shared" / "data"))


def material(table: pd.DataFrame, target: str = "", kind: str = "label", n_test: int = 0) -> Material:
    n = len(table)
    columns = {name: read_column(table[name], name, is_target=name == target) for name in table}
    labels, classes = np.full(n, -1), ()
    if target and kind == "label":
        classes = tuple(sorted(str(one) for one in columns[target].levels))
        place = np.array([classes.index(str(one)) for one in columns[target].levels] + [-1])
        labels = place[columns[target].codes]
    which = np.zeros(n, dtype=np.int8)
    which[n - n_test :] = TEST
    ids = np.arange(n).astype(str).astype(object)
    known = {"target": target, "target_kind": kind if target else "", "classes": classes, "labels": labels}
    return Material("study", ids, which, columns, np.arange(n, dtype=np.uint64), **known)


def clean(n: int, seed: int, holes: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng([4, seed, n])
    hidden = rng.normal(size=n)
    table = pd.DataFrame(
        {
            "age": np.clip(rng.normal(48, 18, n), 0, 99).round(),
            "height": (170 + 8 * hidden + rng.normal(0, 5, n)).round(1),
            "siblings": rng.poisson(0.8, n),
            "gain": np.where(rng.random(n) < 0.9, 0, np.exp(rng.normal(7, 1.2, n)).round()),
            "scale": rng.integers(1, 6, n),
            "change": rng.normal(0, 3, n).round(),
            "tail": rng.standard_t(2, n).round(2),
            "city": rng.choice(list("abcdef"), n, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05]),
            "y": np.where(hidden + rng.normal(size=n) > 0.5, "pos", "neg"),
        }
    ).astype(object)
    for name in table.columns[:-1]:
        table[name] = table[name].where(rng.random(n) > (rng.choice([0, 0.1]) if holes else 0))
    return table.map(lambda cell: cell if isinstance(cell, str) or cell != cell else f"{cell:g}")


def found(part: Part, kind: str, column: str) -> list:
    return [one for one in part.findings if one.kind == kind and column in one.fields]


def check_suggestions(part: Part, columns: list[str]) -> None:
    """Each patch, by itself, makes a valid study."""
    for finding in part.findings:
        suggestion = finding.suggestion
        assert suggestion.patch or suggestion.note, finding.sentence
        fields = {"other": {"kind": "number"}, "answer": {"kind": "label", "target": True}}
        study = {"data": {"train": "t.csv"}, "fields": fields, "metric": "accuracy"}
        if suggestion.idea:
            config_from_mapping(study | {"ideas": {suggestion.idea: suggestion.patch}})
        else:
            config_from_mapping(study | {"fields": fields | dict(suggestion.patch.get("fields", {}))})
        assert set(suggestion.patch.get("fields", {})) <= set(columns)


@pytest.mark.parametrize(("n", "seed", "target"), [(60, 0, "y"), (400, 1, ""), (900, 2, "y")])
def test_clean_tables_are_quiet(n, seed, target):
    part = find_missing(material(clean(n, seed, holes=True), target))
    assert [one.sentence for one in part.findings] == []
    assert part.figures["n_rows"] == n


@pytest.mark.parametrize(
    ("column", "value", "share"),
    [
        *[("age", "999", 0.01), ("age", "-1", 0.01), ("height", "0", 0.01), ("height", "-999", 0.5), ("gain", "99999", 0.01)],
        *[
            ("scale", "99", 0.02),
            ("tail", "9999", 0.9),
            ("siblings", "-9", 0.05),
            ("siblings", "-1", 0.05),
            ("height", "-1", 0.01),
        ],
    ],
)
def test_sentinels_are_found(column, value, share):
    table = clean(1000, 5)
    table.loc[np.random.default_rng(0).random(1000) < share, column] = value
    part = find_missing(material(table, "y"))
    (one,) = [finding for finding in part.findings if finding.kind == "sentinel"]
    assert (one.fields, one.labels) == ((column,), (value,))
    wanted = "zero_is_missing" if value == "0" else "missing_values"
    assert wanted in one.suggestion.patch["fields"][column]
    check_suggestions(part, list(table))


@pytest.mark.parametrize(
    "numbers",
    [
        np.repeat([1, 2, 3, 4, 5], 100),
        np.repeat([-1, 0, 1], 100),
        np.concatenate([np.zeros(900), np.exp(np.random.default_rng(0).normal(8, 1.5, 100)).round()]),
        np.repeat(np.arange(100), np.linspace(20, 1, 100).astype(int)),  # ages up to 99
        np.repeat(np.arange(-10, 11), 10 * (11 - np.abs(np.arange(-10, 11)))),
        np.repeat([0, 1, 2, 3, 4, 5, 6, 9], [900, 200, 100, 8, 6, 6, 2, 2]),
    ],
)
def test_numbers_that_are_meant(numbers):
    assert find_sentinels(read_column(pd.Series(numbers), "x")) == ()


def test_two_sentinels_of_one_column():
    numbers = np.concatenate([np.random.default_rng(0).normal(50, 10, 500), np.full(20, 9999), np.full(30, -99)])
    assert {one.value for one in find_sentinels(read_column(pd.Series(numbers), "x"))} == {9999, -99}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *[("?", "missing"), ("N/A", "missing"), ("無回答", "missing"), ("not recorded", "missing"), ("欠損", "missing")],
        *[("unknown", "unknown"), ("Identity Unknown", "unknown"), ("Unknown bird - small", "unknown"), ("不明", "unknown")],
        *[("None", "perhaps"), ("なし", "perhaps"), ("no", None), ("other", None), ("nonexistent", None), ("Nancy", None)],
        ("the unknown soldier was buried here in the year of his death", None),
    ],
)
def test_words(text, meaning):
    assert word_meaning(text) == meaning


def test_words_are_found():
    table = clean(600, 6)
    table.loc[:19, "city"], table.loc[10:29, "age"], table.loc[100:130, "scale"] = "不明", "?", "not recorded"
    part = find_missing(material(table, "y"))
    assert found(part, "unknown", "city")[0].labels == ("不明",)
    assert found(part, "unknown", "age")[0].suggestion.patch == {}  # a number field reads it so
    assert found(part, "unknown", "scale")[0].suggestion.patch["fields"]["scale"]["missing_values"] == ["not recorded"]
    check_suggestions(part, list(table))


@pytest.mark.parametrize("same", [True, False])
def test_unknown_beside_empty(same):
    rng = np.random.default_rng(7)
    table = clean(1200, 7)
    is_pos = (table["y"] == "pos").to_numpy()
    unknown = np.full(1200, 0.15) if same else np.where(is_pos, 0.28, 0.1)
    empty = np.full(1200, 0.15) if same else np.where(is_pos, 0.1, 0.28)
    drawn = rng.random(1200)
    table.loc[drawn < unknown, "city"] = "unknown"
    table.loc[(drawn >= unknown) & (drawn < unknown + empty), "city"] = None
    part = find_missing(material(table, "y"))
    (one,) = [finding for finding in found(part, "unknown", "city") if "same" in finding.evidence]
    assert one.evidence["same"] == same
    assert one.suggestion.idea == ("city-merged" if same else "")
    check_suggestions(part, list(table))


def test_a_missing_cell_that_tells_of_the_target():
    table = clean(1000, 8)
    rng = np.random.default_rng(8)
    table["age"] = table["age"].where(rng.random(1000) > np.where(table["y"] == "pos", 0.35, 0.1))
    part = find_missing(material(table, "y"))
    (one,) = found(part, "missing", "age")
    low, high = one.interval
    assert 0 < low < high
    assert one.suggestion.patch == {"fields": {"age": {"kind": "number", "indicator": True}}}
    assert not [other for other in part.findings if other is not one]


def test_a_missing_cell_that_follows_from_another_column():
    table = clean(1000, 9)
    chosen = (table["city"] == "b").to_numpy() & (np.random.default_rng(9).random(1000) < 0.6)
    table.loc[chosen, "height"] = None
    assert "auc" in found(find_missing(material(table)), "missing", "height")[0].evidence


def test_columns_missing_together():
    table = clean(500, 10)
    names = ["age", "height", "scale"]
    table[names] = table[names].fillna("50")
    table.loc[np.random.default_rng(10).random(500) < 0.06, names] = None
    (one,) = [finding for finding in find_missing(material(table, "y")).findings if len(finding.fields) == 3]
    assert set(one.fields) == set(names)


def split_table(n: int = 900) -> pd.DataFrame:
    """One table of two kinds of rows; `track`, `roi` and `y` are there in the first kind only, `height` mostly there."""
    table = clean(n, 11)
    is_test = np.arange(n) >= 2 * n // 3
    table["split"] = np.where(is_test, "test", "train")
    table["track"] = [f"t{i // 6}" for i in range(n)]
    table["roi"] = np.random.default_rng(11).integers(0, 60, n).astype(str)
    table.loc[is_test, ["track", "roi", "y"]] = None
    table["height"] = table["height"].where(np.random.default_rng(12).random(n) > np.where(is_test, 0.4, 0.05))
    return table


@pytest.mark.parametrize("compare", ["", "split", "test:train", "split=train:test"])
def test_what_shift_says_of_populations_in_one_table_is_not_said_again(compare):
    from tamesu.look.reading import make_material
    from tamesu.look.shift import find_shift

    seen = make_material(split_table(), target="y", compare=compare)
    shift = {one.fields[0] for one in find_shift(seen).findings if len(one.fields) == 1}
    assert shift == {"track", "roi", "height"}
    assert [one.sentence for one in find_missing(seen).findings] == []


def test_what_shift_does_not_say_of_populations_in_one_table_is_said():
    from tamesu.look.reading import make_material

    table = split_table()
    rng = np.random.default_rng(13)
    table["age"] = table["age"].where(rng.random(len(table)) > np.where(table["y"] == "pos", 0.5, 0.1))
    by_city = (table["city"] == "b").to_numpy() & (rng.random(len(table)) < 0.7)
    table.loc[by_city, "track"] = None  # beside the test rows, where it is empty throughout
    part = find_missing(make_material(table, target="y", compare="split"))
    assert {one.fields for one in part.findings} == {("age",), ("track",)}
    assert "target" in found(part, "missing", "age")[0].evidence
    assert "auc" in found(part, "missing", "track")[0].evidence


@given(st.lists(st.booleans(), min_size=6, max_size=60))
@settings(max_examples=40, deadline=None)
def test_equal_columns_are_together(mask):
    rows = np.array(mask)
    wanted = [("a", "b")] if 5 <= rows.sum() < len(rows) else []
    assert together({"a": rows, "b": rows.copy(), "c": np.zeros(len(rows), dtype=bool)}) == wanted


def test_the_difference_of_the_target_against_scipy():
    from scipy import stats

    table = pd.DataFrame({"y": ["u"] * 30 + ["v"] * 70 + ["u"] * 60 + ["v"] * 40})
    first = np.arange(200) < 100
    told = target_difference(material(table, "y"), first, ~first)
    assert told is not None
    assert told.difference == pytest.approx(0.3)
    assert told.p_value == pytest.approx(stats.chi2_contingency([[30, 70], [60, 40]])[1])
    assert told.low == pytest.approx(0.1628, abs=2e-3)  # Newcombe's method 10, by hand
    assert told.high == pytest.approx(0.4213, abs=2e-3)


def test_what_the_study_says_is_not_said_again():
    table = pd.DataFrame({"x": ["1", "2", "3", "4", "5", "6", "7", "999"] * 30, "c": ["a", "b", "c", "?", "unknown"] * 48})
    plain = material(table)
    fields = {
        "x": {"kind": "number", "missing_values": [999]},
        "c": {"kind": "label", "missing_values": ["?", "unknown"]},
        "y": {"kind": "label", "target": True},
    }
    config = config_from_mapping({"data": {"train": "t.csv"}, "fields": fields, "metric": "accuracy"})
    columns = {name: read_column(table[name], name, declared=fields[name]["kind"], field=name) for name in table}
    assert {one.kind for one in find_missing(plain).findings} >= {"sentinel", "unknown"}
    assert find_missing(replace(plain, columns=columns, config=config)).findings == ()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_odd_tables(n):
    table = pd.DataFrame({"a": ["1", None, "inf"][:n], "b": [None] * n, "c": ["x", "2020-01-01", "?"][:n]}, dtype=object)
    blank, word = [("missing", ("b",))], [("unknown", ("c",))]  # of one row no word stands for a missing value
    wanted = {0: [], 1: blank, 3: blank + word}[n]
    for seen, target in ((material(table, "c"), "c"), (material(table, "a", "number"), "a"), (material(table, n_test=n), "")):
        part = find_missing(seen)
        gone = [("missing", (target,))] if n == 3 and target else []
        assert [(one.kind, one.fields) for one in part.findings] == wanted + gone
        assert part.figures["n_rows"] == n


def test_odd_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "many": rng.integers(0, 10**9, 3000).astype(str),
            "endless": np.where(rng.random(3000) < 0.1, np.inf, rng.normal(size=3000)),
            "mixed": [1, "a", None, 2.5, True, "2020-01-01"] * 500,
            "day": pd.date_range("2020-01-01", periods=3000),
            "none": [None] * 3000,
        }
    )
    part = find_missing(material(table))
    assert [one.fields for one in part.findings if "every row" in one.sentence] == [("none",)]


# ── real tables ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def real(path: str, target: str, rows: int | None = 3000, **how) -> Part:
    if not (DATA / path).exists():
        pytest.skip(f"{path} is not there")
    table = pd.read_csv(DATA / path, dtype=str, keep_default_na=False, na_values=[""], nrows=rows, **how)
    table.columns = [str(one) for one in table.columns]
    part = find_missing(material(table, target))
    check_suggestions(part, list(table))
    return part


def test_bank():
    part = real("bank_additional/bank-additional.csv", "y")
    assert found(part, "sentinel", "pdays")[0].suggestion.patch["fields"]["pdays"]["missing_values"] == [999]
    for column in ("job", "marital", "education", "default", "housing", "loan"):
        assert found(part, "unknown", column)[0].labels == ("unknown",)
    assert not found(part, "sentinel", "previous")


def test_birdstrikes():
    part = real("birdstrikes/birdstrikes.csv", "Wildlife Size")
    (none,) = found(part, "unknown", "Effect Amount of damage")
    assert none.labels == ("None",)
    assert "Which is it?" in none.sentence
    assert "Unknown bird or bat" in found(part, "unknown", "Wildlife Species")[0].labels
    assert found(part, "missing", "Speed IAS in knots")


def test_adult():
    part = real("adult_income/train.csv", "income")
    for column in ("workclass", "occupation", "native_country"):
        assert found(part, "unknown", column)[0].labels == ("?",)
    assert found(part, "sentinel", "capital_gain")[0].labels == ("99999",)
    assert not found(part, "sentinel", "capital_loss")


def test_comic_characters():
    part = real("comic_characters/dc-wikia-data.csv", "ALIGN", rows=None)
    assert found(part, "unknown", "ID")[0].labels == ("Identity Unknown",)


def test_horses():
    part = real("horse_colic/horse-colic.csv", "24", header=None)
    assert len(found(part, "unknown", "5")[0].fields) > 15
    assert not found(part, "sentinel", "2")  # age: 1 adult, 9 young


def test_titanic():
    part = real("titanic/train.csv", "Survived")
    assert found(part, "missing", "Age")
    assert "target" in found(part, "missing", "Cabin")[0].evidence
    assert not found(part, "sentinel", "SibSp")
