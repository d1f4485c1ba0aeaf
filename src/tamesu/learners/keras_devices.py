"""The devices a Keras training runs on: the one its process was given, or a TPU.

With JAX all cores of a TPU share the rows of each batch; with TensorFlow one core has them all.

Source:
    JAX documentation, "Distributed arrays and automatic parallelization"; TensorFlow guide "Use TPUs" (initialisation, manual
    device placement).
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

from tamesu.errors import FitError
from tamesu.texts import say


def devices_of(backend: str, device: str) -> list[Any] | None:
    """JAX devices that share a batch's rows; None where there is nothing to share.

    Args:
        backend: Of Keras, which is imported.
        device: cpu, cuda, mps or tpu.

    Raises:
        FitError: There is no such device.
    """
    if device != "tpu":
        return None
    if backend == "torch":
        raise FitError(say("device: tpu needs model.backend: jax or tensorflow; got {backend}.", backend=backend))
    if backend == "tensorflow":
        return None
    import jax

    found = [one for one in jax.devices() if one.platform == "tpu"]
    if not found:
        raise _unseen(backend, device)
    return found


def used_device(backend: str, device: str) -> str:
    """What a training that was given this device computes on: the CPU where the backend sees no GPU, which is told."""
    if device != "cuda" or _sees_gpu(backend):
        return device
    text = say("{learner} trains on the CPU: it cannot use this GPU ({problem}).", learner=backend, problem=say("it sees none"))
    warnings.warn(text, RuntimeWarning, stacklevel=3)
    return "cpu"


def _sees_gpu(backend: str) -> bool:
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available())
    if backend == "jax":
        import jax

        return any(one.platform == "gpu" for one in jax.devices())
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def placed(backend: str, device: str) -> contextlib.AbstractContextManager[Any]:
    """Inside, a training's variables and steps are on the device.

    Raises:
        FitError: TensorFlow sees no TPU.
    """
    if backend != "tensorflow" or device != "tpu":
        return contextlib.nullcontext()
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise _unseen(backend, device) from error
    return on_tensorflow(tf.config.list_logical_devices("TPU")[0].name)


def on_tensorflow(name: str) -> contextlib.AbstractContextManager[Any]:
    """Inside, TensorFlow computes on the device of this name."""
    import tensorflow as tf

    return tf.device(name)


def _unseen(backend: str, device: str) -> FitError:
    return FitError(
        say("device: {backend} sees no {device} here. `tamesu doctor` shows what it sees.", backend=backend, device=device)
    )
