"""What this machine has: cores, memory, disk, libraries, accelerators, and the pip command for what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tamesu.texts import say

if TYPE_CHECKING:
    from rich.console import RenderableType

EXTRAS = {  # package → the extra that brings it
    "torch": "torch",
    "safetensors": "torch",
    "torchvision": "timm",
    "timm": "timm",
    "xgboost": "trees",
    "lightgbm": "trees",
    "catboost": "trees",
    "sqlalchemy": "sql",
}


def examine() -> RenderableType:
    """A table to print. PyTorch is asked for its devices in a process of its own, so that a broken one cannot break this."""
    from rich.table import Table

    table = Table(title="tamesu doctor", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in (*machine(), *libraries(), *devices()):
        table.add_row(name, value)
    return table


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


def libraries() -> list[tuple[str, str]]:
    """The version of each optional library, or how to install it."""
    rows = []
    for package, extra in EXTRAS.items():
        try:
            rows.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((package, say("missing: pip install 'tamesu[{extra}]'", extra=extra)))
    return rows


def devices() -> list[tuple[str, str]]:
    """What PyTorch sees."""
    if importlib.util.find_spec("torch") is None:
        return []
    code = (
        "import torch; n = torch.cuda.device_count(); "
        "print(*[torch.cuda.get_device_name(i) for i in range(n)], sep='\\n') if n else "
        "print('MPS' if torch.backends.mps.is_available() else 'CPU')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        return [(say("devices"), say("PyTorch does not start: {error}", error=done.stderr.strip().splitlines()[-1:]))]
    return [(say("devices"), ", ".join(done.stdout.split("\n")).strip(", "))]
