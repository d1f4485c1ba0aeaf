"""What this machine has: cores, memory, disk, libraries, accelerators, and the pip command for what is missing."""

from __future__ import annotations

import collections
import concurrent.futures
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tamesu.texts import say

if TYPE_CHECKING:
    from rich.console import RenderableType

OF_EXTRA = re.compile(r"(?P<package>[\w.-]+)[^;\[]*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")
NOT_SHOWN = ("all", "dev")
PROBES = {  # package → code that prints a line for each device that it sees
    "torch": """
import torch
n = torch.cuda.device_count()
print(*[torch.cuda.get_device_name(i) for i in range(n)] or ["MPS" if torch.backends.mps.is_available() else "CPU"], sep="\\n")
""",
    "tensorflow": """
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU") + tf.config.list_physical_devices("TPU")
print(*[tf.config.experimental.get_device_details(one).get("device_name", one.name) for one in gpus] or ["CPU"], sep="\\n")
""",
    "jax": """
import jax
print(*[one.device_kind if one.platform != "cpu" else "CPU" for one in jax.devices()], sep="\\n")
""",
    "xgboost": """
import xgboost
print("CPU, CUDA" if xgboost.build_info().get("USE_CUDA") else "CPU")
""",
    "catboost": """
from catboost.utils import get_gpu_device_count
print(*["GPU"] * get_gpu_device_count() or ["CPU"], sep="\\n")
""",
    "lightgbm": """
import lightgbm
print("CPU")
""",
}
PROBE_S = 120


@dataclass(frozen=True)
class Library:
    """An optional package.

    Attributes:
        version: Empty where it is not installed.
        devices: What it sees, or why it does not start; empty of one that has none.
    """

    extra: str
    package: str
    version: str
    devices: str


def examine() -> RenderableType:
    """Two tables to print: this machine, and the frameworks with what each sees."""
    from rich.console import Group
    from rich.table import Table

    here = Table(title="tamesu doctor", title_justify="left", show_header=False)
    here.add_column(style="bold")
    here.add_column()
    for name, value in machine():
        here.add_row(name, value)
    found = Table()
    for name in (say("extra"), say("package"), say("version"), say("devices")):
        found.add_column(name, overflow="fold")
    for one in libraries():
        command = f"pip install 'tamesu[{one.extra}]'".replace("[", "\\[")
        found.add_row(one.extra, one.package, one.version or say("missing: {command}", command=command), one.devices)
    return Group(here, found)


def machine() -> list[tuple[str, str]]:
    """Python, cores, memory, disk."""
    from tamesu.engines.machine import count_cores

    disk = shutil.disk_usage(os.getcwd())
    rows = [
        ("Python", f"{platform.python_version()}  {sys.executable}"),
        (say("system"), platform.platform()),
        (say("cores"), str(count_cores())),
        (say("disk"), say("{free:.0f} GB free here", free=disk.free / 1e9)),
    ]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        rows.append((say("memory"), f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB"))
    return rows


def libraries() -> list[Library]:
    """Every package that an extra brings; each framework is asked for its devices in a process of its own.

    A broken one cannot break this, and none is loaded here.
    """
    extras = optional_packages()
    versions = {package: installed_version(package) for package in extras}
    asked = [package for package in PROBES if versions.get(package)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        seen = dict(zip(asked, pool.map(_devices, asked), strict=True))
    return [Library(extra, package, versions[package], seen.get(package, "")) for package, extra in extras.items()]


def optional_packages() -> dict[str, str]:
    """By package the extra of tamesu that brings it; of several the one that brings the least beside it."""
    found = [match for one in importlib.metadata.requires("tamesu") or [] if (match := OF_EXTRA.fullmatch(one))]
    pairs = [(one["extra"], one["package"]) for one in found if one["package"] != "tamesu" and one["extra"] not in NOT_SHOWN]
    sizes = collections.Counter(extra for extra, _ in pairs)
    found_in = dict(pair[::-1] for pair in sorted(pairs, key=lambda pair: -sizes[pair[0]]))
    return dict(sorted(found_in.items(), key=lambda pair: pair[::-1]))


def installed_version(package: str) -> str:
    """Of a package, or of another that brings the same module, such as tensorflow-cpu; empty where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        others = importlib.metadata.packages_distributions().get(package, [])
        return f"{importlib.metadata.version(others[0])} ({others[0]})" if others else ""


def _devices(package: str) -> str:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBES[package]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROBE_S,
            env=os.environ | quiet,
        )
    except subprocess.TimeoutExpired:
        return say("does not answer within {s} s", s=PROBE_S)
    if done.returncode:
        return say("does not start: {error}", error=(done.stderr.strip().splitlines() or [str(done.returncode)])[-1])
    return ", ".join(done.stdout.split("\n")).strip(", ")
