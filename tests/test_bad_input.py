"""Every mistake a user can make is told before anything is trained: where, what was expected, what was found, what to do."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tamesu import ConfigError, DataError, StoreError, Study
from tamesu.errors import TamesuError
from tamesu.live import Watcher

STUDY = """\
data: {train: train.csv, root: images, id: id}
fields:
  file: {kind: image}
  age: {kind: number}
  who: {kind: group}
  sign: {kind: label, target: true}
folds: {group: who}
learner: torch
ideas:
  longer: {train: {epochs: 40}}
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    rows = []
    for i in range(60):
        picture = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
        cv2.imencode(".jpg", picture)[1].tofile(tmp_path / "images" / f"{i}.jpg")
        rows.append({"id": f"r{i}", "file": f"{i}.jpg", "age": i % 7, "who": f"p{i % 15}", "sign": "ab"[i // 15 % 2]})
    pd.DataFrame(rows).to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


def change_table(folder: Path, change) -> None:
    table = pd.read_csv(folder / "train.csv", dtype=object)
    change(table).to_csv(folder / "train.csv", index=False)


def change_study(folder: Path, old: str, new: str) -> None:
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "study.yaml").write_text(text.replace(old, new), encoding="utf-8")


def mistakes(folder: Path) -> str:
    with pytest.raises(TamesuError) as caught:
        Study.load(folder / "study.yaml").check()
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, (ConfigError, DataError))
    assert not list(folder.glob("runs/*/trials/*/result.json"))
    return str(caught.value)


def test_the_study_is_fine_as_it_is(folder):
    assert len(Study.load(folder / "study.yaml").check().rows) == 60


def test_a_missing_file_one_that_is_no_picture_and_a_truncated_one(folder):
    images = folder / "images"
    (images / "3.jpg").unlink()
    (images / "4.jpg").write_text("this is no picture")
    whole = (images / "5.jpg").read_bytes()
    (images / "5.jpg").write_bytes(whole[: len(whole) // 2])
    said = mistakes(folder)
    for row in ("r3", "r4", "r5"):
        assert row in said


def test_a_column_that_is_not_there_is_told_with_the_closest(folder):
    change_study(folder, "  age: {kind: number}", "  agee: {kind: number}")
    assert "age" in mistakes(folder).replace("agee", "")


def test_a_constant_target(folder):
    change_table(folder, lambda table: table.assign(sign="a"))
    assert "'a'" in mistakes(folder)


def test_a_class_with_one_sample(folder):
    change_table(folder, lambda table: table.assign(sign=["rare", *table["sign"][1:]]))
    assert "rare" in mistakes(folder)


def test_a_group_that_holds_a_whole_class(folder):
    table = pd.read_csv(folder / "train.csv", dtype=object)
    table.loc[table["who"] == "p3", "sign"] = "one"
    table.to_csv(folder / "train.csv", index=False)
    said = mistakes(folder)
    assert "'one'" in said
    assert "p3" in said


def test_nan_in_the_target_and_ids_that_come_twice_are_told_together(folder):
    change_table(folder, lambda table: table.assign(sign=[None, *table["sign"][1:]], id=[*table["id"][:-1], "r7"]))
    said = mistakes(folder)
    assert "r0" in said
    assert "r7" in said


def test_no_rows(folder):
    change_table(folder, lambda table: table[:0])
    assert "train.csv" in mistakes(folder)


def test_test_columns_that_differ_and_an_unseen_label(folder):
    test = pd.read_csv(folder / "train.csv", dtype=object)[:5].drop(columns=["sign", "age"])
    test.to_csv(folder / "test.csv", index=False)
    change_study(folder, "train: train.csv,", "train: train.csv, test: test.csv,")
    assert "age" in mistakes(folder)
    test.assign(age="3", sign="never-seen").to_csv(folder / "test.csv", index=False)
    plan = Study.load(folder / "study.yaml").check()
    assert any("never-seen" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("idea", "word"),
    [
        ("{train: {epochs: 20}}", "change"),
        ("{data: {train: other.csv}}", "data"),
        ("{folds: {n_splits: 3}}", "folds"),
        ("{metric: accuracy}", "metric"),
        ("{train: {epoch: 3}}", "epochs"),
        ("{model: {activation: relo}}", "relu"),
        ("{augment: {mirror: 0.5}}", "mirror: same"),
        ("{augment: {turn: 0.5}}", "turn: same"),
        ("{augment: {flip: 0.5}}", "turn: same"),
        ("{augment: {rotate_deg: 30}}", "kind: direction"),
        ("{tta: {mirror: true}}", "mirror: same"),
        ("{fields: {sign: {mirror: {a: b, b: c}}}}", "must pair the classes"),
        ("{fields: {sign: {turn: {a: b}}}}", "four quarter turns"),
        ("{fields: {age: {mirror: {swap_with: ages}}}}", "must be the name of a field of kind 'number'"),
        ("{augment: {crop: 2}}", "0.95"),
        ("{augment: {blur: [2, 1]}}", "not above high"),
        ("{augment: {paste: 0.5}}", "mask"),
        ("{augment: {functions: ['nowhere:f']}}", "nowhere"),
    ],
)
def test_an_idea_that_cannot_be(folder, idea, word):
    change_study(folder, "{train: {epochs: 40}}", idea)
    said = mistakes(folder)
    assert "longer" in said
    assert word in said


SERIES = (
    "  track: {kind: series, column: id, table: {file: track.csv, key: row, columns: [x, y], order: t}, vectors: [[x, y]]}\n"
)


def add_series(folder: Path) -> None:
    rows = [{"row": f"r{i}", "t": t, "x": t, "y": i} for i in range(60) for t in range(3)]
    pd.DataFrame(rows).to_csv(folder / "track.csv", index=False)
    change_study(folder, "  age: {kind: number}\n", "  age: {kind: number}\n" + SERIES)


def test_a_series_is_an_input(folder):
    add_series(folder)
    plan = Study.load(folder / "study.yaml").check()
    assert list(plan.baseline.recipe.inputs) == ["age", "file", "track"]


def test_no_right_to_write(folder):
    blocked = folder / "blocked"
    blocked.write_text("a file, where a folder is needed")
    with pytest.raises(StoreError, match="blocked"):
        Study.load(folder / "study.yaml", runs=blocked).check()


def test_a_full_disk_loses_nothing(folder):
    """A real, full file system: 1 MB of memory, where this user may mount one."""
    small = folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        (small / "filler").write_bytes(os.urandom(1000_000))
        with pytest.raises((StoreError, DataError)) as caught:
            Study.load(folder / "study.yaml", runs=small).fit(watch=Watcher())
        assert os.strerror(errno.ENOSPC) in str(caught.value)
        (small / "filler").unlink()
        assert len(Study.load(folder / "study.yaml", runs=small).check().rows) == 60
    finally:
        subprocess.run(["umount", small], check=True)
