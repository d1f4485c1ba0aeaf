"""`look` on the target: counts by class, what tells pairs apart, rare classes, several classes a row, numbers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.document import config_from_mapping
from tamesu.look.labels import find_labels
from tamesu.look.reading import make_material


def _table(counts: dict[str, int], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = np.repeat(list(counts), list(counts.values()))
    shift = {name: 3.0 * i for i, name in enumerate(counts)}
    size = np.array([shift[name] for name in label]) + rng.normal(size=len(label))
    colour = np.where(label == next(iter(counts)), "red", "blue")
    return pd.DataFrame({"size": size, "noise": rng.normal(size=len(label)), "colour": colour, "label": label})


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6))
@settings(max_examples=15, deadline=None)
def test_counts_add_up(counts: list[int]) -> None:
    table = _table({f"c{i}": n for i, n in enumerate(counts)})
    figures = find_labels(make_material(table, table.head(2), target="label")).figures
    assert sum(one["count"] for one in figures["classes"]) == len(table) == figures["n_rows"]
    assert {one["name"]: one["count"] for one in figures["classes"]} == dict(table.label.value_counts())
    assert sum(one["tables"]["test"] for one in figures["classes"]) == 2
    assert sum(one["share"] for one in figures["classes"]) == pytest.approx(1)
    assert all(1 <= len(one["examples"]) <= 12 for one in figures["classes"])


def test_what_tells_pairs_apart() -> None:
    table = _table({"a": 80, "b": 80, "c": 80})
    figures = find_labels(make_material(table, target="label")).figures
    pairs = {tuple(one["labels"]): one for one in figures["pairs"]}
    assert pairs["a", "b"]["by"] == "colour"
    assert pairs["a", "b"]["auc"] == 1.0
    assert "red" in pairs["a", "b"]["value"] or "blue" in pairs["a", "b"]["value"]
    assert pairs["b", "c"]["by"] == "size"
    first, second = table["size"][table.label == "b"], table["size"][table.label == "c"]
    auc = (first.to_numpy()[:, None] < second.to_numpy()[None]).mean()
    assert pairs["b", "c"]["auc"] == pytest.approx(auc, abs=1e-4)
    assert figures["pairs"][0]["labels"] == ["b", "c"]  # the closest first


def test_profile_of_a_class() -> None:
    table = _table({"a": 50, "b": 50})
    table.loc[:9, "noise"] = np.nan
    one = next(c for c in find_labels(make_material(table, target="label")).figures["classes"] if c["name"] == "a")
    assert one["columns"]["size"]["quartiles"][1] == pytest.approx(table["size"][:50].median(), rel=1e-4)
    assert one["columns"]["colour"] == {"level": "red", "share": 1.0}
    assert one["missing"]["noise"] == pytest.approx(0.2)


def test_rare_classes_are_told_and_can_be_drawn_more_often() -> None:
    found = find_labels(make_material(_table({"a": 90, "b": 60, "rare": 3}), target="label")).findings
    assert [one.kind for one in found] == ["merge"]
    assert found[0].labels == ("rare",)
    assert "1 of 3 classes" in found[0].sentence
    study = {"data": {"train": "t.csv"}, "fields": {"size": {"kind": "number"}, "label": {"kind": "label", "target": True}}}
    config_from_mapping(study | dict(found[0].suggestion.patch))
    single = find_labels(make_material(_table({"a": 90, "b": 60, "once": 1}), target="label")).findings[0]
    assert not single.suggestion.patch
    assert single.strength > found[0].strength
    assert not find_labels(make_material(_table({"a": 90, "b": 60, "c": 5}), target="label")).findings


def test_several_classes_a_row() -> None:
    table = pd.DataFrame({"x": range(6), "tags": ["cat dog", "cat", "", "dog cat", "bird", "cat dog"]})
    figures = find_labels(make_material(table, fields={"tags": {"kind": "labels", "target": True}})).figures
    assert {one["name"]: one["count"] for one in figures["classes"]} == {"cat": 4, "dog": 3, "bird": 1}
    assert figures["together"][0] == {"labels": ["cat", "dog"], "count": 3, "by_chance": 2.0}
    assert figures["per_row"] == {"0": 1, "1": 2, "2": 3}


def test_number_target() -> None:
    rng = np.random.default_rng(0)
    y = rng.lognormal(size=500)
    y[:60] = 2.0
    figures = find_labels(make_material(pd.DataFrame({"x": y, "y": y}), target="y")).figures["number"]
    assert figures["quantiles"]["0.5"] == pytest.approx(np.median(y), rel=1e-4)
    assert figures["skew"] > 1
    assert abs(figures["log_skew"]) < 1
    assert figures["heaps"] == [{"value": 2.0, "share": 0.12}]
    assert sum(figures["histogram"]["counts"]) == 500


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"x": [1.0, 2.0]}),
        pd.DataFrame({"x": [], "label": []}),
        pd.DataFrame({"x": [1.0], "label": ["a"]}),
        pd.DataFrame({"x": [np.inf, -np.inf, np.nan] * 10, "label": ["a", "b", None] * 10}),
        pd.DataFrame({"x": ["t" + str(i) for i in range(300)], "label": [str(i) for i in range(300)]}),
        pd.DataFrame({"x": range(12_000), "label": [f"k{i}" for i in range(12_000)]}),
        pd.DataFrame({"x": pd.date_range("2020", periods=30), "label": ["a", "b", 3] * 10}),
    ],
)
def test_odd_data_gives_a_part(table: pd.DataFrame) -> None:
    part = find_labels(make_material(table, target="label" if "label" in table else ""))
    assert len(json.dumps([one.as_dict() for one in part.findings])) < 100_000
    assert len(json.dumps(part.figures)) < 300_000
