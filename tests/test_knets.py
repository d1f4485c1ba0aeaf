"""The network in Keras: on every backend the function that PyTorch's is, and models of the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
pytest.importorskip("torch")

BACKENDS = ("torch", "jax", "tensorflow")
HERE = Path(__file__).parent
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiling takes longer than computing


@pytest.fixture(scope="module", params=BACKENDS)
def found(request) -> dict:
    """What `keras_parity.py` found on one backend."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    settings = {"KERAS_BACKEND": request.param, "XLA_FLAGS": QUICK, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, str(HERE / "keras_parity.py")],
        env=os.environ | settings | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    out = json.loads(done.stdout.strip().split("\n")[-1])
    assert out["backend"] == request.param
    return out


@pytest.mark.parametrize("what", ["predicting", "training", "running"])
def test_it_is_the_function_that_pytorchs_is(found, what):
    assert {name: one[what] for name, one in found["parity"].items() if not one[what] < 1e-5} == {}


def test_padding_is_not_there(found):
    """Parity is with batches that have no padding; here it is filled otherwise, or all there is."""
    for name, one in found["parity"].items():
        assert one["padding"] < 1e-6, name
        assert one["without rows"] == 0, name


def test_a_file_gives_the_same_network(found):
    assert all(one["saved"] < 1e-6 for one in found["parity"].values())


def test_activations_are_pytorchs(found):
    assert all(one < 1e-5 for one in found["activations"].values())


def test_batches_of_any_padding_compile_once_also_in_half_precision(found):
    if "compilations" in found:
        assert found["compilations"] == 1
    else:
        assert 0 < found["half"]["mixed_bfloat16"] < 0.05
        assert 0 < found["half"]["mixed_float16"] < 0.01


def test_weights_start_as_in_pytorch(found):
    assert {name: one for name, one in found.get("start", {}).items() if not 0.8 < one < 1.25} == {}
