"""Classes that may be one or two: planted ones are found, clean data and weak columns give none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.document import config_from_mapping
from tamesu.look.merges import find_merges, spelling
from tamesu.look.reading import make_material
from tamesu.look.separation import auc_interval
from tamesu.look.splits import excess_mass, least_excess
from tamesu.yamltext import YamlText


def _clouds(n: list[int], middles: np.ndarray, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(n)), n)
    x = middles[y] + rng.normal(size=(len(y), middles.shape[1]))
    return pd.DataFrame({**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "label": [f"k{chr(97 + i)}" for i in y]})


MIDDLES = np.random.default_rng(7).normal(size=(4, 4)) * 2.5


@pytest.mark.parametrize("seed", range(3))
def test_two_names_of_one_class_are_found(seed: int) -> None:
    middles = MIDDLES.copy()
    middles[1] = middles[0]
    part = find_merges(make_material(_clouds([90, 70, 80, 80], middles, seed), target="label"))
    assert [(one.kind, one.labels) for one in part.findings] == [("merge", ("ka", "kb"))]
    found = part.findings[0]
    assert found.suggestion.patch == {"fields": {"label": {"merge": {"kb": "ka"}}}}
    assert found.suggestion.idea == "merge-kb-ka"
    assert found.interval is not None
    assert found.interval[0] < 0.55
    assert set(found.evidence["sides"]) == {"ka", "kb"}
    (_, right_a, wrong_a), (_, wrong_b, right_b) = found.evidence["table"]["rows"]
    assert (right_a + wrong_a, right_b + wrong_b) == (90, 70)
    assert found.evidence["confused"]["fraction"] == pytest.approx((wrong_a + wrong_b) / 160)
    json.dumps(found.as_dict())


def test_clean_classes_give_nothing() -> None:
    part = find_merges(make_material(_clouds([90, 70, 80, 80], MIDDLES), target="label"))
    assert part.findings == ()
    assert part.warnings == ()
    assert all(one["low"] > 0.6 for one in part.figures["pairs"])


def test_columns_that_say_nothing_say_nothing_of_merging() -> None:
    part = find_merges(make_material(_clouds([80, 80, 80, 80], np.zeros((4, 4))), target="label"))
    assert part.findings == ()
    assert len(part.warnings) == 1


def test_another_name_of_the_class_does_not_hide_a_pair() -> None:
    middles = MIDDLES.copy()
    middles[1] = middles[0]
    table = _clouds([90, 70, 80, 80], middles)
    table["class_id"] = table.label.map({"ka": 11, "kb": 12, "kc": 13, "kd": 14})
    found = find_merges(make_material(table, target="label")).findings
    assert [one.labels for one in found] == [("ka", "kb")]


def test_groups_that_differ_are_no_difference_of_classes() -> None:
    """Two classes of one kind in 12 tracks each: the tracks differ, the classes do not."""
    rng = np.random.default_rng(3)
    middles = MIDDLES.copy()
    middles[1] = middles[0]
    table = _clouds([120, 120, 120, 120], middles, 3)
    track = np.arange(480) // 10
    table[["x0", "x1"]] += rng.normal(size=(48, 2))[track]
    table["track"] = [f"t{i}" for i in track]
    from tamesu.config import StudyConfig

    fields = {"label": {"kind": "label", "target": True}, "track": {"kind": "group"}}
    fields |= {f"x{i}": {"kind": "number"} for i in range(4)}
    config = StudyConfig.model_validate({"fields": fields, "folds": {"group": "track"}})
    found = find_merges(make_material(table, config=config)).findings
    assert ("ka", "kb") in [one.labels for one in found]
    assert all(one.kind == "merge" for one in found)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Cat", "cat", True),
        (">50K.", ">50K", True),
        ("up right", "up_right", True),
        ("ＡＢＣ", "abc", True),
        ("ﾈｺ", "ネコ", True),
        ("3.0", "3", True),
        ("<=50K", ">50K", False),
        ("-1", "1", False),
        ("C++", "C", False),
        ("1-2", "12", False),
        ("left", "right", False),
    ],
)
def test_spelling(first: str, second: str, same: bool) -> None:
    assert (spelling(first) == spelling(second)) is same


def test_spellings_in_train_and_test() -> None:
    table = _clouds([60, 60], MIDDLES[:2])
    other = table.copy()
    other["label"] += "."
    found = find_merges(make_material(table, other, target="label")).findings
    assert sorted(one.labels for one in found) == [("ka", "ka."), ("kb", "kb.")]
    assert all(not one.suggestion.patch and one.suggestion.note for one in found)
    table.loc[:9, "label"] = "KA"
    found = find_merges(make_material(table, target="label")).findings
    assert [one.suggestion.patch for one in found] == [{"fields": {"label": {"merge": {"KA": "ka"}}}}]


def test_letters_of_either_case_are_two_classes() -> None:
    table = _clouds([60, 60], MIDDLES[:2])
    table["label"] = table.label.map({"ka": "a", "kb": "A"})
    assert find_merges(make_material(table, target="label")).findings == ()


def test_merge_is_an_idea_the_study_accepts() -> None:
    middles = MIDDLES.copy()
    middles[1] = middles[0]
    found = find_merges(make_material(_clouds([90, 70, 80, 80], middles), target="label")).findings[0]
    written = YamlText(found.suggestion.yaml()).values  # as it is pasted into the study
    fields = {"x0": {"kind": "number"}, "label": {"kind": "label", "target": True}}
    study = {"data": {"train": "t.csv"}, "fields": fields, **written}
    assert config_from_mapping(study).ideas["merge-kb-ka"] == {"fields": {"label": {"merge": {"kb": "ka"}}}}


@pytest.mark.parametrize("seed", range(3))
def test_class_of_two_groups_is_found(seed: int) -> None:
    table = _clouds([120, 80, 90, 80], MIDDLES, seed)
    table.loc[:50, ["x0", "x1", "x2"]] += 3.5
    part = find_merges(make_material(table, target="label"))
    assert [(one.kind, one.labels) for one in part.findings] == [("split", ("ka",))]
    assert sorted(part.findings[0].evidence["n"])[0] == pytest.approx(51, abs=5)


def test_what_divides_all_classes_is_no_split() -> None:
    table = _clouds([120, 100, 90, 110], MIDDLES)
    table["x0"] += 8 * (np.arange(len(table)) % 2)
    assert [one.labels for one in find_merges(make_material(table, target="label")).findings if one.kind == "split"] == []


def test_group_a_category_names_is_no_split() -> None:
    table = _clouds([120, 80, 90, 80], MIDDLES)
    table.loc[:50, ["x0", "x1", "x2"]] += 3.5
    table["half"] = np.where(np.arange(len(table)) % 3, "y", "z")
    table.loc[:119, "half"] = np.repeat(["y", "z"], [51, 69])
    assert find_merges(make_material(table, target="label")).findings == ()


@given(
    st.integers(40, 400), st.sampled_from(["normal", "exponential", "lognormal", "uniform", "standard_t"]), st.integers(0, 999)
)
@settings(max_examples=60, deadline=None)
def test_one_heap_has_little_excess_mass(n: int, shape: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, size=n) if shape == "standard_t" else getattr(rng, shape)(size=n)
    assert excess_mass(x) < least_excess(n, 10_000)
    assert excess_mass(5 - 3 * x) == pytest.approx(excess_mass(x), abs=1e-9)


def test_excess_mass_of_two_far_points_is_the_smaller_share() -> None:
    x = np.concatenate([np.linspace(0, 1, 300), np.linspace(50, 51, 100)])
    assert excess_mass(x) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"x": [1.0, 2.0]}),
        pd.DataFrame({"x": [], "label": []}),
        pd.DataFrame({"x": [1.0], "label": ["a"]}),
        pd.DataFrame({"x": [None] * 90, "label": ["a", "b", "c"] * 30}),
        pd.DataFrame({"x": [np.inf, -np.inf, np.nan] * 40, "label": ["a", "b", None] * 40}),
        pd.DataFrame({"x": [1.0] * 120, "label": ["a", "b", "c"] * 40}),
        pd.DataFrame({"label": ["a", "b", "c"] * 40}),
        pd.DataFrame({"x": range(12_000), "label": [f"k{i}" for i in range(12_000)]}),
    ],
)
def test_odd_data_gives_a_part(table: pd.DataFrame) -> None:
    part = find_merges(make_material(table, target="label" if "label" in table else ""))
    assert [one for one in part.findings if one.kind == "split"] == []
    json.dumps([[one.as_dict() for one in part.findings], part.figures])


def test_perfect_separation_is_sure() -> None:
    y = np.repeat([False, True], [100, 80])
    auc, low, high, _ = auc_interval(np.arange(180.0), y)
    assert (auc, high) == (1.0, 1.0)
    assert 0.94 < low < 0.99
    assert auc_interval(np.arange(180.0), y, np.arange(180) // 10)[1] < low  # 8 and 10 groups say less
