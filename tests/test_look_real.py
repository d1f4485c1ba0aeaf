"""What `look` must find in real data sets: each is known to be there, by the sets' own descriptions.

Of the larger sets some rows at even steps are read: what must be found shows in these too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tamesu.look.finding import Finding, Part
from tamesu.look.material import Material
from tamesu.look.reading import make_material
from tamesu.look.run import ANALYSES, run_analyses

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")).resolve()
Seen = tuple[Material, dict[str, Part]]


def there(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not there; TAMESU_DATA says where data sets are")
    return DATA / name


def seen(material: Material) -> Seen:
    return material, run_analyses(material, strict=True)


def findings(parts: dict[str, Part], kind: str, fits: Callable[[Finding], bool] = lambda one: True) -> list[Finding]:
    return [one for name in ANALYSES for one in parts[name].findings if one.kind == kind and fits(one)]


def names(field: str, word: str = "") -> Callable[[Finding], bool]:
    return lambda one: field in one.fields and word.lower() in (one.sentence + " ".join(one.labels)).lower()


@pytest.fixture(scope="module")
def comics() -> Iterator[Seen]:
    folder = there("comic_characters")
    dc = pd.read_csv(folder / "dc-wikia-data.csv", dtype=str, keep_default_na=False)
    marvel = pd.read_csv(folder / "marvel-wikia-data.csv", dtype=str, keep_default_na=False)
    return seen(
        make_material(dc[::3], marvel[::6], fields={"page_id": {"kind": "id"}, "ALIGN": {"kind": "label", "target": True}})
    )


def test_comics_two_sources_are_told_apart(comics):
    material, parts = comics
    assert material.populations.names == ("train", "test")
    assert max(one.strength for one in findings(parts, "shift")) > 0.5


def test_comics_the_name_tells_the_source(comics):
    assert findings(comics[1], "leak", names("urlslug"))


def test_comics_unknown_identity_beside_empty_cells(comics):
    assert findings(comics[1], "unknown", names("ID", "Identity Unknown"))


def test_comics_a_value_of_one_source_only(comics):
    assert findings(comics[1], "shift", names("ID", "No Dual Identity")) or "No Dual Identity" in str(
        comics[1]["shift"].figures
    )


@pytest.fixture(scope="module")
def bank() -> Iterator[Seen]:
    table = pd.read_csv(there("bank_additional") / "bank-additional.csv", dtype=str, keep_default_na=False)
    return seen(make_material(table, target="y"))


def test_bank_999_is_no_number_of_days(bank):
    assert findings(bank[1], "sentinel", names("pdays", "999"))


@pytest.mark.parametrize("column", ["default", "education"])
def test_bank_unknown_is_no_answer(bank, column):
    assert findings(bank[1], "unknown", names(column, "unknown"))


def test_bank_exact_duplicates(bank):
    found = findings(bank[1], "duplicate")
    assert found
    assert len(found[0].rows) >= 19


@pytest.fixture(scope="module")
def birds() -> Iterator[Seen]:
    table = pd.read_csv(there("birdstrikes") / "birdstrikes.csv", dtype=str, keep_default_na=False)
    return seen(make_material(table[::2], target="Effect Amount of damage"))


def test_birds_none_means_no_damage(birds):
    assert findings(birds[1], "unknown", names("Effect Amount of damage", "None"))


def test_birds_unknown_species(birds):
    assert findings(birds[1], "unknown", names("Wildlife Species", "Unknown bird"))


def test_birds_speed_is_often_empty(birds):
    assert findings(birds[1], "missing", names("Speed IAS in knots"))


@pytest.fixture(scope="module")
def adult() -> Iterator[Seen]:
    folder = there("adult_income")
    train, test = (
        pd.read_csv(folder / f"{one}.csv", dtype=str, keep_default_na=False, skipinitialspace=True) for one in ("train", "test")
    )
    return seen(make_material(train[::4], test[::4], target="income"))


@pytest.mark.parametrize("column", ["workclass", "occupation", "native_country"])
def test_adult_a_question_mark_is_missing(adult, column):
    assert findings(adult[1], "unknown", names(column, "?"))


def test_adult_labels_are_spelt_differently_in_test(adult):
    assert findings(adult[1], "merge", lambda one: {">50K", ">50K."} <= set(one.labels))


def test_adult_a_cap_is_no_gain(adult):
    assert findings(adult[1], "sentinel", names("capital_gain", "99999"))


def test_adult_otherwise_train_and_test_are_one_population(adult):
    assert not findings(adult[1], "shift", lambda one: "income" not in one.fields)


@pytest.fixture(scope="module")
def steps() -> Iterator[Seen]:
    folder = there("batteryless_activity")
    tables = []
    for path in sorted(folder.glob("S[12]/*.csv"))[::3]:
        tables.append(pd.read_csv(path).assign(room=path.parent.name, trial=path.stem))
    table = pd.concat(tables, ignore_index=True)
    fields = {"activity": {"kind": "label", "target": True}, "trial": {"kind": "group"}}
    return seen(make_material(table, fields=fields, compare="room"))


def test_steps_the_rooms_differ_through_the_antenna(steps):
    assert findings(steps[1], "shift", names("antenna_id"))


@pytest.fixture(scope="module")
def signs() -> Iterator[Seen]:
    folder = there("gtsrb_directions")
    table = pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)
    train = table[(table.split == "train") & (pd.factorize(table.track)[0] % 2 == 0)].drop(
        columns="split"
    )  # every second track
    fields = {"file": {"kind": "image"}, "class_name": {"kind": "label", "target": True}}
    return seen(make_material(train, fields=fields, base=folder))


def test_signs_frames_of_a_track_belong_together(signs):
    found = findings(signs[1], "group", names("track"))
    assert found
    assert "group: track" in found[0].suggestion.yaml()


def test_signs_the_class_under_another_name_is_a_leak(signs):
    assert findings(signs[1], "leak", names("class_id"))


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Iterator[Seen]:
    folder = there("bccd_cells")
    place = tmp_path_factory.mktemp("cells")
    boxes = pd.read_csv(folder / "boxes.csv")
    boxes.to_csv(place / "boxes.csv", index=False)
    side = {"file": "boxes.csv", "key": "file", "columns": ["xmin", "ymin", "xmax", "ymax"], "name": "class"}
    boxes["file"] = [str(folder / name) for name in boxes["file"]]
    boxes.to_csv(place / "boxes.csv", index=False)
    rows = boxes.groupby("file", as_index=False).size()
    fields = {
        "file": {"kind": "image"},
        "cells": {"kind": "boxes", "table": side, "column": "file"},
        "size": {"kind": "number", "target": True},
    }
    return seen(make_material(rows, fields=fields, base=place))


def test_cells_the_box_without_area(cells):
    assert findings(cells[1], "size", lambda one: "area" in one.sentence and len(one.rows) == 1)


def test_cells_three_sizes(cells):
    text = " ".join(one.sentence for one in findings(cells[1], "size")) + str(cells[1]["sizes"].figures)
    assert all(name in text for name in ("RBC", "WBC", "Platelets"))


@pytest.fixture(scope="module")
def grocery() -> Iterator[Seen]:
    folder = there("grocery_hier")
    table = pd.read_csv(folder / "labels.csv", dtype=str, keep_default_na=False)
    fields = {"file": {"kind": "image"}, "fine": {"kind": "label", "target": True}}
    return seen(make_material(table, fields=fields, base=folder, compare="domain"))


def test_grocery_gallery_and_query_differ_by_their_looks(grocery):
    assert findings(grocery[1], "shift", lambda one: any("file" in field for field in one.fields))
