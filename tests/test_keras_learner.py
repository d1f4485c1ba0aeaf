"""The Keras learner on each of its backends, each in a process of its own; and a study that uses all of them at once."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import keras_cases
from side_by_side import SideBySide
from tamesu import Study
from tamesu.errors import ConfigError
from tamesu.learners.names import BACKENDS

HERE = Path(__file__).parent
CASES = [one.__name__ for one in keras_cases.CASES]
pytestmark = pytest.mark.timeout(900)


installed = [one for one in BACKENDS if importlib.util.find_spec("keras") and importlib.util.find_spec(one)]
scripts = SideBySide(
    {one: [sys.executable, str(HERE / "keras_cases.py"), one] for one in installed}, dict.fromkeys(installed, os.environ)
)


@functools.cache
def answers(backend: str) -> dict[str, str]:
    """By case, what went wrong."""
    _, out, err = scripts.answer(backend)
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {one["case"]: one["error"] for one in lines} | {"": err[-3000:]}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_on_each_backend(backend: str, case: str) -> None:
    if backend not in installed:
        pytest.skip(f"{backend} is not installed")
    found = answers(backend)
    assert case in found, found[""]
    assert not found[case], found[case]


FIELDS = {"a": "number", "b": "number", "y": {"kind": "label", "target": True}}


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    return pd.DataFrame({"a": a, "b": b, "y": np.where(a + 0.3 * b > 0, "up", "down")})


needs_all = pytest.mark.skipif(len(installed) < len(BACKENDS), reason="not every backend is installed")


@needs_all
def test_each_backend_has_a_process_of_its_own(tmp_path):
    """One run, four kinds of process; what is kept predicts in a process that has another backend."""
    test = table(7).drop(columns="y")
    ideas = {name: {"learner": "keras", "model": {"backend": name}} for name in ("jax", "torch")}
    study = Study(
        train=table(),
        test=test,
        fields=FIELDS,
        learner="keras",
        model={"backend": "tensorflow"},
        training={"epochs": 2},
        folds={"n_splits": 2, "max_repeats": 1},
        ideas=ideas | {"network": {"learner": "torch"}},
        runs=tmp_path,
    )
    before = threading.active_count()
    result = study.try_ideas(n_workers=1)
    assert [idea.note for idea in result.ideas] == ["", "", ""]
    assert [len(idea.folds) for idea in result.ideas] == [2, 2, 2]
    frame = study.predict()
    assert len(frame) == 7
    assert threading.active_count() <= before + 2


def test_what_is_missing_is_told_at_check(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "jax" else find(name, *rest))
    study = Study(train=table(), fields=FIELDS, learner="keras", model={"backend": "jax"}, runs=tmp_path)
    with pytest.raises(
        ConfigError, match=r"model.backend: jax needs jax, not installed here .*pip install 'tamesu\[jax,keras\]'"
    ):
        study.check()


def test_a_device_that_is_not_here(tmp_path):
    study = Study(train=table(), fields=FIELDS, device="gpu", runs=tmp_path)
    with pytest.raises(ConfigError, match="device: must be a device that is here; got 'gpu', but no GPU is seen"):
        study.check()


def test_a_setting_of_another_learner(tmp_path):
    with pytest.raises(ConfigError, match=r"keras cannot use train\.report"):
        Study(train=table(), fields=FIELDS, learner="keras", training={"report": True}, runs=tmp_path)


@pytest.mark.skipif(
    any(importlib.util.find_spec(one) is None for one in ("tensorflow", "torch")), reason="not both are installed"
)
def test_pytorch_may_come_after_tensorflow():
    """Without care, PyTorch's compiler ends a process in which TensorFlow is loaded."""
    code = (
        "from tamesu.learners.keras_backend import import_keras; import_keras('tensorflow'); import torch;"
        "torch.optim.AdamW([torch.nn.Parameter(torch.zeros(3))], fused=True); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.endswith("alive\n"), (done.returncode, done.stderr[-500:])
