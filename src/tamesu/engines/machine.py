"""What this machine offers: cores, threads for each trial, accelerators, and the environment a worker starts with.

Threads for each trial are a fixed function of the machine, never of the load: sums are split by thread, so another
number of threads gives other last bits. That way a trial alone and one beside others predict the same bits.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # XLA's, and so JAX's
)
FIXED_VARIABLES = {
    "OMP_DYNAMIC": "FALSE",  # else OpenMP and MKL take fewer threads on a busy machine, and sums change their order
    "MKL_DYNAMIC": "FALSE",
    "PYTHONHASHSEED": "0",  # the order of sets of text is then the same in every worker
    "PYTHONUNBUFFERED": "1",  # what user code printed before a crash is not lost
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # TensorFlow and JAX else take all of a GPU's memory when they start
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
MAX_CONCURRENT = 8  # CPU trials side by side on a large machine; beyond that, memory runs out before cores do


def count_cores() -> int:
    """Cores this process may use: those of the machine, of its CPU affinity, or of its container, whichever is least."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_cores(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return max(1, math.floor(min(n_cores, quota)))


def threads_per_trial(n_cores: int) -> int:
    """Threads for one trial on the CPU."""
    return 1 if n_cores <= MAX_CONCURRENT else n_cores // MAX_CONCURRENT


@functools.cache
def find_devices() -> tuple[str, ...]:
    """The accelerators here (`cuda:0`, `cuda:1`, …, or `mps`), else `cpu`; loads no framework.

    PyTorch is asked which it can use; where it is not installed, for TensorFlow, JAX or trees alone, the driver is.
    """
    has_torch = importlib.util.find_spec("torch") is not None
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ("mps",) if has_torch else ("cpu",)
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists() or Path("/dev/kfd").exists():
        n = _count_cuda() if has_torch else _count_driven()
        return tuple(f"cuda:{i}" for i in range(n)) or ("cpu",)
    return ("cpu",)


def devices_for(asked: str) -> tuple[str, ...]:
    """The devices that `device:` of a study stands for here; none where there is no such device.

    Args:
        asked: auto, cpu, gpu or tpu.
    """
    if asked in ("cpu", "tpu"):  # a TPU's cores are one device: a batch's rows are shared out over them
        return (asked,)
    found = find_devices()
    return () if asked == "gpu" and found == ("cpu",) else found


def worker_environment(
    device: str, threads: int, environment: Mapping[str, str], backend: str = "", compiled: str = ""
) -> dict[str, str]:
    """The environment of a worker: thread counts (read when NumPy and PyTorch load, so they come first) and its one device.

    Args:
        device: cpu, mps, cuda, or cuda:<i> counted among the visible ones.
        environment: What it is based on.
        backend: Of Keras, where trainings need one.
        compiled: Folder in which JAX finds what another training of the same shapes has compiled.
    """
    env = {**environment, **dict.fromkeys(THREAD_VARIABLES, str(threads)), **FIXED_VARIABLES}
    if device == "cpu":
        env["CUDA_VISIBLE_DEVICES"] = ""
    elif device.startswith("cuda:"):
        visible = [one.strip() for one in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
        index = int(device.partition(":")[2])
        env["CUDA_VISIBLE_DEVICES"] = visible[index] if index < len(visible) else str(index)
    if backend:
        env["KERAS_BACKEND"] = backend
    if backend == "jax" and compiled:
        env |= {"JAX_COMPILATION_CACHE_DIR": compiled, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    package_home = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (package_home, environment.get("PYTHONPATH"))))
    return env


@contextlib.contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """PyTorch and OpenCV, where loaded, use this many threads inside; afterwards as many as before."""
    with contextlib.ExitStack() as before:
        if torch := sys.modules.get("torch"):
            before.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        if cv2 := sys.modules.get("cv2"):
            before.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(threads)
        yield


def _cgroup_cores(mount: Path, membership: Path) -> float:
    """The CPU quota of this process's control groups (v2 or v1) in cores; inf without one."""
    groups = {""}
    with contextlib.suppress(OSError):
        groups |= {line.rsplit(":", 1)[-1].strip("/") for line in membership.read_text().splitlines()}
    best = math.inf
    for group in groups:
        for folder in (Path(group), *Path(group).parents):
            with contextlib.suppress(OSError, ValueError):
                quota, period = (mount / folder / "cpu.max").read_text().split()
                best = min(best, int(quota) / int(period))  # "max" is no number: no quota
            with contextlib.suppress(OSError, ValueError):
                quota_us = int((mount / "cpu" / folder / "cpu.cfs_quota_us").read_text())
                period_us = int((mount / "cpu" / folder / "cpu.cfs_period_us").read_text())
                best = min(best, quota_us / period_us if quota_us > 0 else math.inf)
    return max(best, 1.0)


def _count_cuda() -> int:
    """How many CUDA devices PyTorch sees, asked in another process: this one stays light and free of a CUDA context."""
    question = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    try:
        answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, timeout=120, check=True)
        return int(answer.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0  # PyTorch is broken or has no CUDA: the CPU does the work, and `tamesu doctor` tells why


def _count_driven() -> int:
    """How many CUDA devices the driver lists."""
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in told.splitlines())
