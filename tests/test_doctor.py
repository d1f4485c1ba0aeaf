"""What the machine has: every optional package, what it sees, and how to get what is missing."""

from __future__ import annotations

import importlib.metadata
import io
import sys

import pytest
from rich.console import Console

from tamesu import doctor
from tamesu.texts import use_language


def printed(width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(doctor.examine())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_package_has_the_extra_that_brings_the_least_beside_it() -> None:
    extras = doctor.optional_packages()
    assert extras["torch"] == "torch"
    assert extras["timm"] == extras["torchvision"] == "timm"
    assert extras["xgboost"] == extras["lightgbm"] == extras["catboost"] == "trees"
    assert "pytest" not in extras
    assert "numpy" not in extras


def test_one_table_with_devices_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBES", {"torch": doctor.PROBES["torch"]})
    monkeypatch.setattr(doctor, "optional_packages", lambda: {"torch": "torch", "nowhere": "trees"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = printed()
    line = next(one for one in text.splitlines() if " torch " in one)
    assert importlib.metadata.version("torch") in line
    assert "CPU" in line
    assert "missing: pip install 'tamesu[trees]'" in text
    use_language("ja")
    assert "ありません: pip install 'tamesu[trees]'" in printed()


def test_a_framework_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBES", {"torch": "raise SystemExit('no driver')", "numpy": "import time; time.sleep(60)"})
    monkeypatch.setattr(doctor, "PROBE_S", 3)
    monkeypatch.setattr(doctor, "optional_packages", lambda: {"torch": "torch", "numpy": "torch"})
    found = {one.package: one.devices for one in doctor.libraries()}
    assert found == {"torch": "does not start: no driver", "numpy": "does not answer within 3 s"}


@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_each_library_answers(package: str) -> None:
    pytest.importorskip(package)
    assert "CPU" in doctor._devices(package)


def test_nothing_is_loaded_here() -> None:
    before = set(sys.modules)
    doctor.libraries()
    assert not {"tensorflow", "jax", "catboost"} & (set(sys.modules) - before)
