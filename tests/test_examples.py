"""The examples that come with tamesu: they are drawn, checked and shown as their page says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "mirror" / "make_signs.py"


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tamesu(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tamesu", "--lang", "en", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def signs(tmp_path_factory) -> Path:
    """A tiny set, made as a person makes it."""
    folder = tmp_path_factory.mktemp("examples") / "signs"
    command = [sys.executable, str(SCRIPT), str(folder), "--tracks", "6", "--frames", "2"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert str(folder / "study.yaml") in made.stdout
    return folder


def test_the_signs_pass_their_check(signs):
    done = tamesu("check", signs / "study.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "72 rows" in done.stdout
    assert "3 arms" in done.stdout


def test_the_signs_can_be_looked_at(signs, tmp_path):
    sheet = tmp_path / "sheet.png"
    done = tamesu("preview", signs / "study.yaml", "--idea", "mirror", "--out", sheet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "keep_left ↔ keep_right" in done.stdout
    assert "roundabout" in done.stdout
    assert cv2.imread(str(sheet)) is not None


def test_a_naive_mirror_must_be_asked_for(signs, tmp_path):
    """Without a word on what a mirror does, the study is refused."""
    text = (signs / "study.yaml").read_text(encoding="utf-8")
    mute = re.sub(r"\n    mirror: \{keep_left.*", "", text)
    assert mute != text
    study = signs / "mute.yaml"
    study.write_text(mute, encoding="utf-8")
    done = tamesu("check", study)
    assert done.returncode == 2
    assert "does not say what a mirror does" in done.stdout + done.stderr
    assert "mirror-naive" not in done.stdout + done.stderr  # that one has answered


def test_the_same_seed_draws_the_same_signs(signs, tmp_path):
    make_signs = module_of(SCRIPT)
    make_signs.make_signs(tmp_path, n_tracks=6, n_frames=2)
    pictures = sorted(path.name for path in (signs / "images").iterdir())
    assert len(pictures) == 72
    for name in pictures[::10]:
        assert (tmp_path / "images" / name).read_bytes() == (signs / "images" / name).read_bytes()


def test_right_signs_are_left_signs_in_a_mirror():
    make_signs = module_of(SCRIPT)

    def shown(sign: str) -> np.ndarray:
        return make_signs.drawn(make_signs.shapes_of(sign), size=0.8, tilt_rad=0.0, middle=np.zeros(2))

    for pair in ("keep", "turn"):
        left, right = shown(f"{pair}_left"), shown(f"{pair}_right")
        assert np.abs(left[:, ::-1] - right).mean() < 0.01
        assert np.abs(left - right).mean() > 0.05
    assert np.abs(shown("straight")[:, ::-1] - shown("straight")).mean() < 0.01
    assert np.abs(shown("roundabout")[:, ::-1] - shown("roundabout")).mean() > 0.02


@pytest.mark.parametrize("page", ["mirror.md", "mirror.ja.md"])
def test_the_pages_show_the_study_that_is_written(page):
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    shown, written = YAML(typ="safe").load(block[1]), YAML(typ="safe").load(module_of(SCRIPT).STUDY)
    for part in ("data", "fields", "metric", "folds", "ideas"):
        assert shown[part] == written[part]


@pytest.mark.parametrize("page", ["docs/mirror.md", "docs/mirror.ja.md", "examples/mirror/README.md"])
def test_what_the_pages_name_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for script in re.findall(r"(?:bench|examples)/[\w/]+\.py", text):
        assert (ROOT / script).exists(), script
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / link).exists(), link
