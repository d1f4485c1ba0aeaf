"""The devices a Keras training runs on: the one its process was given, or all cores of a TPU together."""

from __future__ import annotations

from typing import Any

from tamesu.errors import FitError
from tamesu.texts import say


def devices_of(backend: str, device: str) -> list[Any] | None:
    """JAX devices that share a batch's rows; None where there is nothing to share.

    Args:
        backend: Of Keras, which is imported.
        device: cpu, cuda, mps or tpu.

    Raises:
        FitError: A device was asked for that the backend does not see.
    """
    if device in ("cpu", "mps"):
        return None
    if backend == "jax":
        return _jax_devices(device)
    if device == "tpu":
        raise FitError(say("device: tpu needs model.backend: jax; got {backend}.", backend=backend))
    if not _sees_gpu(backend):
        raise _unseen(backend, device)
    return None


def _jax_devices(device: str) -> list[Any] | None:
    import jax

    found = [one for one in jax.devices() if one.platform == {"cuda": "gpu"}.get(device, device)]
    if not found:
        raise _unseen("jax", device)
    return found if device == "tpu" else None


def _sees_gpu(backend: str) -> bool:
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available())
    import tensorflow

    return bool(tensorflow.config.list_physical_devices("GPU"))


def _unseen(backend: str, device: str) -> FitError:
    return FitError(
        say("device: {backend} sees no {device} here. `tamesu doctor` shows what it sees.", backend=backend, device=device)
    )
