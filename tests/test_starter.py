"""init writes a study that loads and whose rows pass, and guesses what a person would."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tamesu import guess, proposals
from tamesu.arms import make_arms
from tamesu.config import StudyConfig
from tamesu.data import Data, read_data
from tamesu.document import read_study
from tamesu.errors import ConfigError, DataError
from tamesu.guess import Column
from tamesu.starter import init_study
from tamesu.texts import language

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


def loaded(study: Path, cache: Path) -> tuple[StudyConfig, Data]:
    config, _ = read_study(study)
    assert len(make_arms(config, auto_size=(32, 32))) > 3
    fields = {name: [field] for name, field in config.fields.items()}
    return config, read_data(config, fields, base=study.parent, cache=cache)


def column(*cells: str | None, name: str = "x") -> Column:
    return Column(name, np.array(cells, dtype=object))


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), dtype=np.uint8)).save(path)


REAL: list[tuple[str, dict[str, Any]]] = [
    ("gtsrb_directions", {"target": "class_name", "kind": "label", "inputs": ["file"], "id": "file", "rows": 2303, "size": 32}),
    ("cifar10_jpg", {"target": "class", "kind": "label", "inputs": ["file"], "id": "file", "rows": 5500, "size": 32}),
    ("sign_digits", {"target": "digit", "kind": "label", "inputs": ["file"], "id": "file", "rows": 350, "size": 96}),
    (
        "titanic",
        {
            "target": "Survived",
            "kind": "label",
            "inputs": ["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked"],
            "id": "PassengerId",
            "rows": 891,
        },
    ),
    ("adult_income", {"target": "income", "kind": "label", "id": None, "rows": 8000}),
]


@pytest.mark.parametrize(("name", "expected"), REAL, ids=[name for name, _ in REAL])
def test_real_sets(tmp_path: Path, name: str, expected: dict[str, Any]) -> None:
    if not (DATA / name).is_dir():
        pytest.skip("the real data are not here")
    config, data = loaded(init_study(DATA / name, out=tmp_path / "study.yaml"), tmp_path / "cache")
    target = next(key for key, field in config.fields.items() if field.target)
    assert (target, config.fields[target].kind) == (expected["target"], expected["kind"])
    assert (config.data.id, len(data.train)) == (expected["id"], expected["rows"])
    assert config.size == expected.get("size", "auto")
    inputs = [key for key, field in config.fields.items() if field.is_input and not field.target]
    assert inputs == expected.get("inputs", inputs)
    assert (data.test is not None) == (name in ("titanic", "adult_income"))


def test_a_table_without_a_header(tmp_path: Path) -> None:
    rows = "2,1,530101,38.5,?\n1,1,534817,39.2,?\n"
    (tmp_path / "horse.csv").write_text(rows * 5, encoding="utf-8")
    with pytest.raises(DataError, match=r"horse.csv: the first line must name the columns; got '2', '1', '530101'"):
        init_study(tmp_path)
    if (DATA / "horse_colic").is_dir():
        with pytest.raises(DataError, match="the first line must name the columns"):
            init_study(DATA / "horse_colic", out=tmp_path / "study.yaml")
    assert not (tmp_path / "study.yaml").exists()


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_folder_per_class(tmp_path: Path, lang: str) -> None:
    for label in ("左手", "右手", "yes", "1"):
        for i in range(3):
            picture(tmp_path / label / f"{i}.png")
    spoken = language()
    study = init_study(tmp_path, lang=lang)
    assert language() == spoken
    text = study.read_text(encoding="utf-8")
    assert "# mirror: {右手: 左手}" in text or "# mirror: {左手: 右手}" in text
    config, data = loaded(study, tmp_path / "runs")
    assert (config.lang, config.size, len(data.train)) == ("auto" if lang == "en" else "ja", 24, 12)
    assert data.train.classes["label", "label"] == ("1", "yes", "右手", "左手")
    study.write_text(text.replace("# mirror", "mirror"), encoding="utf-8")
    assert loaded(study, tmp_path / "runs")[0].ideas["mirror"] == {"augment": {"mirror": 0.5}}


def test_train_and_test_folders(tmp_path: Path) -> None:
    for label in "ab":
        for i in range(3):
            picture(tmp_path / "train" / label / f"{i}.png")
    picture(tmp_path / "test" / "9.png")
    config, data = loaded(init_study(tmp_path), tmp_path / "runs")
    assert (config.data.train, config.data.test) == ("train", "test")
    assert data.test is not None
    assert data.test.ids.tolist() == ["9.png"]


def test_competition(tmp_path: Path) -> None:
    """Names without a suffix, pictures in a folder, a group, a sample submission."""
    rng = np.random.default_rng(0)
    names = [f"img{i:03d}" for i in range(120)]
    for name in names:
        picture(tmp_path / "images" / f"{name}.jpg", (64, 64))
    frame = pd.DataFrame(
        {
            "image_id": names,
            "patient": [f"p{i // 4}" for i in range(120)],
            "grade": rng.integers(0, 3, 120),
            "age": rng.normal(60, 9, 120),
        }
    )
    frame[:100].to_csv(tmp_path / "train.csv", index=False)
    frame[100:].drop(columns="grade").to_csv(tmp_path / "test.csv", index=False)
    pd.DataFrame({"image_id": names[100:], "grade": 0}).to_csv(tmp_path / "sample_submission.csv", index=False)
    config, data = loaded(init_study(tmp_path), tmp_path / "runs")
    assert config.data.sample_submission == "sample_submission.csv"
    assert (config.data.id, config.data.root, config.folds.group) == ("image_id", "images", "patient")
    assert {name: field.kind for name, field in config.fields.items()} == {
        "image_id": "image",
        "grade": "label",
        "patient": "group",
    }
    assert (len(data.train), config.size) == (100, 64)


@pytest.mark.parametrize("spread", [True, False])
def test_a_group_is_set_only_where_folds_can_keep_it(tmp_path: Path, spread: bool) -> None:
    groups = np.arange(120) // 6
    y = np.where(groups < (2 if spread else 1), "rare", np.where(groups % 2, "u", "v"))
    pd.DataFrame({"x": np.arange(120) / 7, "subject": groups, "y": y}).to_csv(tmp_path / "train.csv", index=False)
    study = init_study(tmp_path)
    assert loaded(study, tmp_path / "runs")[0].folds.group == ("subject" if spread else None)
    assert ("'subject' (20 values) may be a group" in study.read_text(encoding="utf-8")) == (not spread)


def test_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "1,u\n2,v\n" * 5, encoding="utf-8")
    (tmp_path / "study.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="init never overwrites a study"):
        init_study(tmp_path)
    assert (tmp_path / "study.yaml").read_text(encoding="utf-8") == "mine"


def test_what_cannot_be_started_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a csv or parquet table, or one folder of pictures per class; got neither"):
        init_study(tmp_path)
    with pytest.raises(DataError, match="there is no such thing"):
        init_study(tmp_path / "nowhere")
    (tmp_path / "t.csv").write_text("age,grade\n" + "1,u\n2,v\n" * 5, encoding="utf-8")
    with pytest.raises(DataError, match=r"the target must be a column; got 'grad'. Did you mean 'grade'\?"):
        init_study(tmp_path, target="grad")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"must hold one table, or one named train.csv; got other.csv, t.csv"):
        init_study(tmp_path)
    with pytest.raises(
        DataError, match=r"must have a column to predict 'age' from; all seem unfit: 'grade' \(says the same as the target\)"
    ):
        init_study(tmp_path / "t.csv", target="age")
    (tmp_path / "t.csv").write_text("age,grade\n" + "1,u\n2,v\n2,u\n" * 5, encoding="utf-8")
    assert loaded(init_study(tmp_path / "t.csv", target="age", out=tmp_path / "s.yaml"), tmp_path)[0].fields["age"].target


def test_awkward_names_survive_yaml(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "yes": [1.5, 2, 3, 4] * 3,
            "1": [1, 2.5, 4, 5] * 3,
            "a: b #c": list("uvuv") * 3,
            'q"{': list("xyxz") * 3,
            "目的変数": list("aabb") * 3,
        }
    )
    frame.to_csv(tmp_path / "train.csv", index=False)
    config, _ = loaded(init_study(tmp_path), tmp_path / "runs")
    assert set(config.fields) == set(frame.columns)
    assert config.fields["目的変数"].target


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["cat dog", "cat", "dog", "dog owl", "owl", "cat owl"], " "),
        (["a|b", "a", "b", "b|c", "c"], "|"),
        (["keep left", "keep right", "turn left", "turn right", "ahead only"], None),
        (["stop", "go", "yield", "turn left"], None),
        (["cat", "dog"], None),
        (["1", "2"], None),
    ],
)
def test_separator(cells: list[str], expected: str | None) -> None:
    assert guess.find_separator(column(*cells * 3)) == expected


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["turn_left", "turn_right", "ahead"], {"turn_left": "turn_right"}),
        (["L", "R", "hand_l", "hand_r", "left"], {"L": "R", "hand_l": "hand_r"}),
        (["Keep Left", "Keep Right", "LEFT", "RIGHT"], {"Keep Left": "Keep Right", "LEFT": "RIGHT"}),
        (["左折", "右折", "直進", "ひだり", "みぎ"], {"左折": "右折", "ひだり": "みぎ"}),
        (["lt_leg", "rt_leg", "handL", "handR", "lHand", "rHand"], {"lt_leg": "rt_leg", "handL": "handR", "lHand": "rHand"}),
        (["left_to_right", "right_to_left"], {"left_to_right": "right_to_left"}),
        (["bell", "berr", "all", "arr"], {}),
        (list("ABCDLRU"), {}),  # an alphabet
    ],
)
def test_mirror_pairs(names: list[str], pairs: dict[str, str]) -> None:
    assert proposals.mirror_pairs(names) == pairs
    assert proposals.mirror_pairs(reversed(names)) == pairs


def test_turns_and_directions() -> None:
    four = {"up": "left", "left": "down", "down": "right", "right": "up"}
    assert proposals.turn_cycles([*four, "none"]) == four
    assert proposals.turn_cycles(["上", "下", "左", "右"]) == {"上": "左", "左": "下", "下": "右", "右": "上"}
    assert proposals.turn_cycles(["up", "left", "right", "straight"]) == {}
    eight = {
        "right": 0,
        "upper_right": 45,
        "up": 90,
        "upper_left": 135,
        "left": 180,
        "lower_left": 225,
        "down": 270,
        "lower_right": 315,
    }
    assert proposals.direction_angles([*eight, "none"]) == eight
    assert proposals.turn_cycles(list(eight))["upper_left"] == "lower_left"
    assert proposals.direction_angles(["right", "up", "left", "down", *"12345"]) == {}  # few of many
    assert (
        proposals.direction_angles([f"{what} {way}" for what in ("bus", "car") for way in four]) == {}
    )  # two things that point


def test_point_columns() -> None:
    found = proposals.point_columns(
        ["nose_x", "nose_y", "lx", "ly", "x1", "y1", "EyeX", "EyeY", "max", "may", "proxy", "x_mouth", "y_mouth"]
    )
    assert found == {
        "nose": ("nose_x", "nose_y"),
        "l": ("lx", "ly"),
        "1": ("x1", "y1"),
        "Eye": ("EyeX", "EyeY"),
        "mouth": ("x_mouth", "y_mouth"),
    }


def uncommented(text: str, *starts: str) -> str:
    """The lines that are such a key behind a #, without it."""
    keys = "|".join(map(re.escape, starts))
    return re.sub(rf"(?m)^( *)# (?=({keys}))", r"\1", text)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_proposals_load_as_they_are_and_without_the_hash(tmp_path: Path, lang: str) -> None:
    """Classes that point, two columns for the two sides, and points of the picture."""
    ways = ["right", "up", "left", "down", "none"]
    rows = []
    for i in range(60):
        picture(tmp_path / f"{i:02d}.png")
        rows.append({"file": f"{i:02d}.png", "way": ways[i % 5], "left_grade": i % 4, "right_grade": i % 3})
        rows[-1] |= {f"{side}_{axis}": i * 0.25 for side in ("left_eye", "right_eye", "nose") for axis in "xy"}
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    study = init_study(tmp_path, target="way", lang=lang)
    text = study.read_text(encoding="utf-8")
    assert text.count("proposal: check" if lang == "en" else "提案") == 4
    plain, _ = loaded(study, tmp_path / "runs")
    assert set(plain.fields) == {"file", "way"}
    assert "mirror" not in plain.ideas

    study.write_text(uncommented(text, "mirror:", "turn:", "left_grade:", "right_grade:", "points:"), encoding="utf-8")
    config, _ = loaded(study, tmp_path / "runs")
    assert config.fields["way"].mirror == {"left": "right"}
    assert config.fields["way"].turn == {"up": "left", "left": "down", "down": "right", "right": "up"}
    assert config.fields["left_grade"].swap_with == "right_grade"
    assert config.fields["right_grade"].swap_with == "left_grade"
    assert config.fields["points"].points == {one: (f"{one}_x", f"{one}_y") for one in ("left_eye", "right_eye", "nose")}
    assert config.fields["points"].mirror == {"left_eye": "right_eye"}
    assert {"mirror", "turn"} <= set(config.ideas)

    directions = uncommented(text, "kind: direction", "angles:").replace("    kind: label\n", "")
    study.write_text(directions, encoding="utf-8")
    assert loaded(study, tmp_path / "runs")[0].fields["way"].angles == {"right": 0, "up": 90, "left": 180, "down": 270}


def test_a_target_that_changes_places_with_another_column(tmp_path: Path) -> None:
    rows = []
    for i in range(60):
        picture(tmp_path / f"{i:02d}.png")
        rows.append({"file": f"{i:02d}.png", "left_grade": "abc"[i % 3], "right_grade": "abc"[i % 7 % 3]})
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    study = init_study(tmp_path, target="left_grade")
    text = study.read_text(encoding="utf-8")
    study.write_text(uncommented(text, "mirror:", "right_grade:"), encoding="utf-8")
    config, _ = loaded(study, tmp_path / "runs")
    assert config.fields["left_grade"].swap_with == "right_grade"
    assert config.fields["right_grade"].swap_with == "left_grade"


def test_headers() -> None:
    assert guess.lacks_header(["2", "1", "530101", "38.50", "?"])
    assert guess.lacks_header(["0.1", "0.1.1", "a"])
    assert not guess.lacks_header(["0", "1", "2", "label"])
    assert not guess.lacks_header(["age", "2020", "sex", "x"])


def test_leaks_and_names_are_left_out(tmp_path: Path) -> None:
    n = 200
    y = np.arange(n) % 3
    frame = pd.DataFrame(
        {"code": [f"k{one}" for one in y], "name": [f"n{i}" for i in range(n)], "size": np.arange(n) * 0.5, "same": "s", "y": y}
    )
    frame.to_csv(tmp_path / "train.csv", index=False)
    config, _ = loaded(init_study(tmp_path), tmp_path / "runs")
    assert set(config.fields) == {"size", "y"}


@pytest.mark.parametrize("installed", ["lightgbm", "catboost", None])
def test_of_a_table_the_first_idea_is_boosting(tmp_path: Path, installed: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    trees = {"lightgbm", "xgboost", "catboost"} - {installed}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in trees else found(name, *rest))
    pd.DataFrame({"x": np.arange(60) / 7, "y": ["u", "v", "v"] * 20}).to_csv(tmp_path / "train.csv", index=False)
    config, _ = loaded(init_study(tmp_path), tmp_path / "runs")
    assert next(iter(config.ideas)) == ("boosted" if installed else "longer")
    if installed:
        assert config.ideas["boosted"] == {"learner": installed}
