"""Keras with the backend that a script's first argument names, before anything else imports it; several devices on the CPU."""

from __future__ import annotations

import os
import sys
import tempfile

from tamesu.learners.keras_backend import import_keras

N_DEVICES = 4


def start(backend: str) -> None:
    """Imports Keras; devices of the host stand for the cores of a TPU."""
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_HOME": tempfile.gettempdir()}
    # what is compiled here runs for a moment only: optimising it would cost more than it gains
    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={N_DEVICES} {quick}"
    import_keras(backend)
    if backend == "tensorflow":
        import tensorflow as tf

        many = [tf.config.LogicalDeviceConfiguration()] * N_DEVICES
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], many)


if sys.argv[0].endswith("keras_cases.py"):
    start(sys.argv[1])
