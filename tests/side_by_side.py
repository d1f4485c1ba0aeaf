"""Scripts of tests that run at once, each in its process: what one waits for, another computes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


class SideBySide:
    """Processes, started together when the first answer is asked for.

    Args:
        commands: By name.
        environments: Of each.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], environments: Mapping[str, Mapping[str, str]]):
        self._commands, self._environments = commands, environments
        self._folder = tempfile.TemporaryDirectory(prefix="tamesu-tests-")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def answer(self, name: str, timeout_s: float = 850) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of one, once it has ended."""
        if not self._processes:
            self._processes = {one: self._start(one) for one in self._commands}
        code = self._processes[name].wait(timeout_s)
        return code, *(self._path(name, end).read_text(encoding="utf-8", errors="replace") for end in ("out", "err"))

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        with self._path(name, "out").open("wb") as out, self._path(name, "err").open("wb") as err:
            return subprocess.Popen(self._commands[name], env=self._environments[name], stdout=out, stderr=err)

    def _path(self, name: str, end: str) -> Path:
        return Path(self._folder.name) / f"{name}.{end}"
