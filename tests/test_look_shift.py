"""Shift, leaks, duplicates and groups: what is planted is found, what is not is not; poison for what must not matter."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from tamesu.document import config_from_mapping
from tamesu.ideas import merged
from tamesu.look.duplicates import Twins, _meeting, find_duplicates, twins_of
from tamesu.look.groups import find_groups
from tamesu.look.leaks import find_leaks
from tamesu.look.reading import make_material
from tamesu.look.shift import find_shift


def table(n: int, seed: int, start: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    out = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(4)})
    out["wage"] = rng.lognormal(size=n)
    out["count"] = rng.poisson(3, n)
    out["c"] = rng.choice(list("abcde"), n, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    out["town"] = rng.choice([f"t{i}" for i in range(40)], n)
    out.loc[rng.random(n) < 0.07, "x1"] = np.nan
    out["id"] = [f"r{i + start}" for i in range(n)]
    out["y"] = np.where(out["x0"] + rng.normal(size=n) > 0, "u", "v")
    return out


FIELDS = {"id": {"kind": "id"}, "x0": {"kind": "number"}, "c": {"kind": "label"}, "y": {"kind": "label", "target": True}}


def clean(seed: int):
    return make_material(table(600, seed), table(400, 500 + seed, start=600), fields=FIELDS)


@pytest.mark.parametrize("find", [find_shift, find_leaks, find_duplicates, find_groups])
def test_clean_data_give_no_finding(find):
    assert [one.sentence for seed in range(3) for one in find(clean(seed)).findings] == []


def test_a_shifted_column_is_named_with_its_interval_and_an_idea_that_the_study_accepts():
    a, b = table(600, 0), table(400, 1, start=600)
    b["x0"] += 0.6
    found = find_shift(make_material(a, b, fields=FIELDS)).findings
    whole = next(one for one in found if one.interval)
    assert 0.5 < whole.interval[0] < whole.interval[1] < 1
    assert len(whole.rows) == 10
    column = next(one for one in found if one.fields == ("x0",) and not one.interval)
    study = {"fields": FIELDS, "data": {"train": "t.csv"}}
    assert config_from_mapping(study | {"ideas": {column.suggestion.idea: dict(column.suggestion.patch)}})


def test_rows_of_groups_count_as_groups():
    """Two rooms with a few subjects each differ by chance; as independent rows they would seem to differ for sure."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(3):
        centre = rng.normal(size=16)
        subject = np.repeat(np.arange(16), 50)
        t = pd.DataFrame({"x": centre[subject] + 0.1 * rng.normal(size=800), "subject": subject.astype(str)})
        t["room"] = np.where(subject % 2 == 0, "one", "two")
        t["y"] = rng.choice(["u", "v"], 800)
        fields = {"subject": {"kind": "group"}, "x": {"kind": "number"}, "y": {"kind": "label", "target": True}}
        config = config_from_mapping({"fields": fields, "folds": {"group": "subject"}})
        false += len(find_shift(make_material(t, config=config, compare="room")).findings)
    assert false <= 1


def test_a_copy_of_the_target_is_a_leak_and_a_good_predictor_is_none():
    a = table(800, 3)
    rng = np.random.default_rng(3)
    a["good"] = np.where(rng.random(800) < 0.9, a["y"] == "u", a["y"] == "v").astype(int)
    assert not find_leaks(make_material(a, fields=FIELDS)).findings
    a["copy"] = a["y"].map({"u": 10, "v": 20})
    found = find_leaks(make_material(a, fields=FIELDS | {"copy": {"kind": "number"}})).findings
    assert [one.fields for one in found] == [("copy",)]
    assert found[0].suggestion.patch == {"fields": {"copy": {"kind": "ignore"}}}


def test_a_number_that_is_a_line_of_the_target_is_a_leak():
    a = table(500, 4)
    a["price"] = np.random.default_rng(0).normal(50, 10, 500)
    a["with_tax"] = (a["price"] * 1.1).round(1)
    fields = {"price": {"kind": "number", "target": True}, "id": {"kind": "id"}}
    assert [one.fields for one in find_leaks(make_material(a, fields=fields)).findings] == [("with_tax",)]


def test_twins_by_hand():
    twins = twins_of(np.array([5, 1, 5, 2, 1, 5], dtype=np.uint64))
    assert {tuple(np.flatnonzero(twins.clusters == i)) for i in range(2)} == {(0, 2, 5), (1, 4)}
    assert twins.clusters[3] == -1
    assert sorted(twins.mixed(np.array([0, 0, 1, 0, 0, 0]))) == [0, 2, 5]
    assert len(Twins(np.full(3, -1)).pairs(9)) == 0


def test_hashes_within_three_bits_always_meet():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2**63, 500).astype(np.uint64)
    other = one.copy()
    for _ in range(3):
        other ^= np.uint64(1) << rng.integers(0, 64, 500).astype(np.uint64)
    a, b = _meeting(np.concatenate([one, other]))
    assert {(i, i + 500) for i in range(500)} <= set(zip(a.tolist(), b.tolist(), strict=True))


def test_few_coarse_columns_make_equal_rows_by_chance():
    rng = np.random.default_rng(0)
    coarse = pd.DataFrame({name: rng.integers(0, 2, 500) for name in "abcd"} | {"y": rng.choice(["u", "v"], 500)})
    assert not find_duplicates(make_material(coarse, target="y")).findings


def test_copies_are_told_for_each_border_they_cross():
    a, b = table(500, 5), table(300, 6, start=500)
    copy = a.iloc[:4].assign(id=["k0", "k1", "k2", "k3"], y=["u", "v", "u", "v"])
    a.loc[:3, "y"] = ["v", "u", "v", "u"]
    b = pd.concat([b, a.iloc[10:13].assign(id=["m0", "m1", "m2"])])
    found = find_duplicates(make_material(pd.concat([a, copy]), b.drop(columns="y"), fields=FIELDS)).findings
    said = " ".join(one.sentence for one in found)
    assert "different labels" in said
    assert "both sides of train" in said
    labels = next(one for one in found if "different labels" in one.sentence)
    assert set(labels.rows) == {"k0", "k1", "k2", "k3", "r0", "r1", "r2", "r3"}


def grouped(noise: float, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(40, 6))
    of = np.repeat(np.arange(40), 10)
    x = centre[of] + noise * rng.normal(size=(400, 6))
    y = np.where(rng.normal(size=40) > 0, "u", "v")[of]
    return pd.DataFrame({f"x{i}": x[:, i] for i in range(6)} | {"subject": [f"s{i}" for i in of], "y": y})


def test_a_hidden_group_is_named_with_the_score_it_inflates():
    found = find_groups(make_material(grouped(0.2), target="y")).findings
    assert [one.fields for one in found] == [("subject",)]
    assert found[0].interval[0] > 0.2  # labels are the subjects' own, by a coin: all of the plain score is imagined
    assert found[0].suggestion.patch == {"fields": {"subject": {"kind": "group"}}, "folds": {"group": "subject"}}
    study = {"fields": {"x0": {"kind": "number"}, "y": {"kind": "label", "target": True}}}
    assert config_from_mapping(merged(study, found[0].suggestion.patch)).folds.group == "subject"


def filed(folder, names: list[str], of: list[int], noise: float = 8.0) -> pd.DataFrame:
    """Pictures on disk, those of one number alike, and labels by a coin for each number."""
    rng = np.random.default_rng(0)
    rough = {k: cv2.resize(rng.integers(0, 255, (5, 5, 3)).astype(np.uint8), (32, 32)) for k in sorted(set(of))}
    for name, k in zip(names, of, strict=True):
        pixels = np.clip(rough[k] + noise * rng.normal(size=(32, 32, 3)), 0, 255).astype(np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), pixels)
    labels = {k: "uv"[int(rng.integers(2))] for k in sorted(set(of))}
    return pd.DataFrame({"file": names, "y": [labels[k] for k in of]})


FILED = {"file": {"kind": "image"}, "y": {"kind": "label", "target": True}}
TRACKS = [(f"images/train/{k % 3}/{k:05d}_{i:05d}.png", k) for k in range(20) for i in range(6)]


def test_tracks_are_found_in_file_names_and_numbered_files_are_no_group(tmp_path):
    alone = [(f"images/test/{i:05d}.png", 100 + i) for i in range(70)]
    names, of = zip(*TRACKS, *alone, strict=True)
    found = find_groups(make_material(filed(tmp_path, list(names), list(of)), fields=FILED, base=tmp_path)).findings
    assert len(found) == 1
    assert "20 groups" in found[0].sentence
    assert all(key.startswith("images/train/") for key in found[0].evidence["sides"])
    assert found[0].suggestion.note


def test_file_names_that_say_more_than_a_column_come_first_and_the_same_is_said_once(tmp_path):
    names, of = zip(*TRACKS, strict=True)
    table = filed(tmp_path, list(names), list(of))
    said = find_groups(make_material(table.assign(track=[f"t{k}" for k in of]), fields=FILED, base=tmp_path)).findings
    assert [one.fields for one in said] == [("track",)]
    loose = table.assign(place=[f"p{k if i % 2 else (k * 7 + i) % 40}" for i, k in enumerate(of)])  # half of it by chance
    both = find_groups(make_material(loose, fields=FILED, base=tmp_path)).findings
    assert both[0].fields == ("file",)


def test_people_are_found_before_the_first_separator(tmp_path):
    rng = np.random.default_rng(0)
    files = [(f"p{k:02d}-walk{rng.integers(9)}-{i}.png", k) for k in range(15) for i in range(7)]
    names, of = zip(*files, strict=True)
    found = find_groups(make_material(filed(tmp_path, list(names), list(of)), fields=FILED, base=tmp_path)).findings
    assert any(set(one.evidence["sides"]) <= {f"p{k:02d}" for k in range(15)} for one in found)


@pytest.mark.parametrize(
    "name",
    ["images/test/{i:05d}.png", "img_{i}.png", "{k}/x-{i}.png", "d{k}/{i}_{k}.png", "{k}_{i}.png", "s{k}-t{j}-{i}.png"],
)
def test_file_names_of_unrelated_pictures_are_no_group(name, tmp_path):
    names = [name.format(i=i, k=i % 12, j=i % 5) for i in range(120)]
    table = filed(tmp_path, names, list(range(120)))
    assert find_groups(make_material(table, fields=FILED, base=tmp_path)).findings == ()


def test_a_declared_group_is_no_finding_and_scattered_rows_are_no_group():
    fields = {"subject": {"kind": "group"}, "x0": {"kind": "number"}, "y": {"kind": "label", "target": True}}
    config = config_from_mapping({"fields": fields, "folds": {"group": "subject"}})
    assert not find_groups(make_material(grouped(0.2), config=config)).findings
    assert not find_groups(make_material(grouped(3.0), target="y")).findings
