"""Which backend Keras computes with: one a process, chosen before Keras is imported."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tamesu.errors import FitError
from tamesu.learners.names import BACKENDS
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.recipe import Recipe


def installed_backends() -> tuple[str, ...]:
    """Those that are installed, in the order in which `auto` takes them; imports none."""
    return tuple(one for one in BACKENDS if importlib.util.find_spec(one) is not None)


def default_backend() -> str:
    """What `auto` stands for here: the first that is installed; the first of all where none is, so that check can name it."""
    return next(iter(installed_backends()), BACKENDS[0])


def backend_mistakes(backend: str) -> list[str]:
    """What is missing for it, one sentence each."""
    missing = [one for one in ("keras", backend) if importlib.util.find_spec(one) is None]
    if not missing:
        return []
    others = ", ".join(installed_backends()) or "-"
    command = f"pip install 'tamesu[{backend},keras]'"
    return [
        say(
            "model.backend: {backend} needs {packages}, not installed here (installed backends: {others}). Run: {command}",
            backend=backend,
            packages=", ".join(missing),
            others=others,
            command=command,
        )
    ]


def import_keras(backend: str, *, exact: bool = True) -> Any:
    """Keras on this backend.

    Args:
        backend: One of `BACKENDS`.
        exact: Whether another one, where Keras is there with it already, is an error; what is saved can be read with any.

    Raises:
        FitError: Keras is not installed, or is there with another backend, which cannot be changed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
        _load_triton_first()
    try:
        import keras
    except ImportError as error:
        raise FitError("\n".join(backend_mistakes(backend)) or str(error)) from error
    if exact and keras.backend.backend() != backend:
        raise FitError(
            say(
                "Keras computes with {found} in this process and cannot change to {backend}. "
                "Leave n_workers at its default: each training then has a process with its own backend.",
                found=keras.backend.backend(),
                backend=backend,
            )
        )
    return keras


def _load_triton_first() -> None:
    """PyTorch's compiler crashes the process if it is loaded after TensorFlow (seen with triton 3.8 and TensorFlow 2.21)."""
    both = all(importlib.util.find_spec(one) is not None for one in ("triton", "tensorflow"))
    if both and "tensorflow" not in sys.modules:
        importlib.import_module("triton")


@contextlib.contextmanager
def training_state(keras: Any, recipe: Recipe, seed: int) -> Iterator[None]:
    """Nothing left of a training before, everything random from the seed, and numbers of the precision that is asked for.

    Keras takes its seeds from Python's `random`; its own `set_random_seed` would import TensorFlow on every backend.
    """
    keras.utils.clear_session()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.train.precision == "bfloat16" else "float32")
    with contextlib.ExitStack() as before:
        before.callback(keras.config.set_dtype_policy, "float32")
        before.callback(random.setstate, random.getstate())
        random.seed(seed)
        if keras.backend.backend() == "tensorflow":
            import tensorflow

            tensorflow.config.experimental.enable_op_determinism()
            tensorflow.random.set_seed(seed)
        if keras.backend.backend() == "torch":
            import torch

            from tamesu.learners.torch_steps import quiet_random_state

            before.enter_context(quiet_random_state(seed, torch.device("cuda" if torch.cuda.is_available() else "cpu")))
        yield
