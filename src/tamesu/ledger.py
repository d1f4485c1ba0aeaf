"""The ledger: every comparison ever looked at on some rows, also abandoned ones and peeks.

One file of JSON lines for each pair of rows and target, named by their hash, only ever appended to:

    {"kind": "opened", "comparison": "9f…", "idea": "mirror", "position": 3, "n_confirmed": 1, "budget": 20, …}
    {"kind": "looked", "comparison": "9f…", "repeat": 1, "fold": 5, "outcome": "undecided", "final": false, …}
    {"kind": "kept", "comparison": "9f…", "idea": "mirror", "gain": 0.02, …}
    {"kind": "lockbox", "gain": 0.02, …}

A comparison (baseline recipe against idea recipe) counts once, however often it is looked at: a later look updates it.
Two processes may append at the same time; a line torn by a killed process is passed over and reported.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tamesu.errors import StoreError
from tamesu.judgement import Judgement
from tamesu.multiplicity import PLANNED_IDEAS, Alarm, claimed_gain, confirm_level, luck_line, overuse, overuse_sentence
from tamesu.texts import say

try:
    import fcntl
except ImportError:  # Windows: there a single append of a whole line must do
    fcntl = None  # type: ignore[assignment]

SCHEMA = "tamesu/ledger/1"


@dataclass(frozen=True)
class Comparison:
    """An idea against a baseline, as the ledger last saw it."""

    key: str
    idea: str
    position: int  # j: how many comparisons had been opened on these rows, this one included
    n_confirmed: int  # D when it was opened
    n_looks: int = 0
    outcome: str = ""
    final: bool = False
    confirmed: bool = False
    gain: float | None = None
    standard_error: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Standing:
    """Where a project stands with its rows."""

    comparisons: tuple[Comparison, ...]  # by position
    lockbox: tuple[Mapping[str, Any], ...]  # every opening, as it was written
    torn: tuple[int, ...]  # numbers of lines that could not be read
    kept: Mapping[str, float] = field(default_factory=dict)  # comparison → gain, of ideas that were taken into the study

    @property
    def claimed_gain(self) -> float | None:
        """What all kept ideas together gained by cross-validation; None without one."""
        return claimed_gain(list(self.kept.values()))

    @property
    def n_compared(self) -> int:
        """m: comparisons looked at, abandoned ones counted."""
        return len(self.comparisons)

    @property
    def n_confirmed(self) -> int:
        """D: confirmed ideas that help."""
        return sum(one.confirmed and one.outcome == "helps" for one in self.comparisons)

    @property
    def n_looks(self) -> int:
        """Looks at all comparisons together."""
        return sum(one.n_looks for one in self.comparisons)

    @property
    def n_lockbox(self) -> int:
        """How often the rows set aside were looked at."""
        return len(self.lockbox)

    def level(self, key: str | None = None, *, budget: int = PLANNED_IDEAS, any_dependence: bool = False) -> float:
        """Level at which comparison `key` is confirmed, or the next one that is opened; 0 when the planned ideas are used up.

        A comparison keeps the position and the number of confirmed ideas it was opened with.
        """
        known = next((one for one in self.comparisons if one.key == key), None)
        j, confirmed = (known.position, known.n_confirmed) if known else (self.n_compared + 1, self.n_confirmed)
        return confirm_level(j, n_confirmed=confirmed, budget=budget, any_dependence=any_dependence)

    def luck_line(self, judgements: Iterable[Judgement] = ()) -> float | None:
        """About the gain that the best of so many useless ideas shows; None before anything was looked at.

        Args:
            judgements: Those whose (median) standard error is used; none: those in the ledger.
        """
        errors = [one.standard_error for one in judgements] or [c.standard_error for c in self.comparisons if c.standard_error]
        finite = [error for error in errors if error is not None and np.isfinite(error)]
        return luck_line(float(np.median(finite)), self.n_compared) if finite and self.n_compared else None

    def alarm(self, *, budget: int = PLANNED_IDEAS) -> Alarm:
        """Over-use of the rows: none, amber or red."""
        return overuse(
            self.n_compared, budget, claimed_gain=self.claimed_gain, luck=self.luck_line(), lockbox=self._lockbox_interval
        )

    def alarm_sentence(self, *, budget: int = PLANNED_IDEAS) -> str | None:
        """The warning of over-use to print; None where there is nothing to warn of."""
        inside, claimed = self._lockbox_interval, self.claimed_gain
        outside = inside is not None and claimed is not None and not inside[0] <= claimed <= inside[1]
        return overuse_sentence(self.alarm(budget=budget), self.n_compared, budget, outside_lockbox=outside)

    @property
    def _lockbox_interval(self) -> tuple[float, float] | None:
        return (float(self.lockbox[-1]["low"]), float(self.lockbox[-1]["high"])) if self.lockbox else None

    def warning(self) -> str | None:
        """What was wrong with the file; None: nothing."""
        if not self.torn:
            return None
        lines = ", ".join(str(number) for number in self.torn)
        return say(
            "ledger: line {lines} cannot be read (a run was killed while writing?); that look is not counted.", lines=lines
        )


class Ledger:
    """The comparisons made on one set of rows and one target.

    Args:
        folder: Holds one file for each pair of rows and target; made when first written to.
        key: The pair's hash, from `ledger_key` or a data set's digest.
    """

    def __init__(self, folder: str | Path, key: str):
        self.path = Path(folder) / f"{key}.jsonl"

    def standing(self) -> Standing:
        """Everything the file says.

        Raises:
            StoreError: The file is there but cannot be read.
        """
        try:
            text = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise StoreError(say("{path}: must be readable; got {error}.", path=self.path, error=error)) from error
        return _standing(text)

    def open(self, comparison: str, idea: str, *, budget: int = PLANNED_IDEAS) -> Comparison:
        """Count a comparison before its first look; one that is known is returned as it stands.

        Call it when an idea starts, not when it ends: an idea that is given up must count too.

        Args:
            comparison: Hash of the baseline's recipe and the idea's.
            idea: Its name, for people.
            budget: Planned ideas, noted for people.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._locked() as file:
            standing = _standing(file.read())
            known = next((one for one in standing.comparisons if one.key == comparison), None)
            if known is not None:
                return known
            opened = Comparison(comparison, idea, standing.n_compared + 1, standing.n_confirmed)
            _append(
                file,
                {
                    "kind": "opened",
                    "comparison": comparison,
                    "idea": idea,
                    "position": opened.position,
                    "n_confirmed": opened.n_confirmed,
                    "budget": budget,
                },
            )
            return opened

    def look(self, comparison: str, idea: str, judgement: Judgement, *, confirmed: bool = False) -> None:
        """Note what was seen, peeks included; counts the comparison if `open` was not called.

        Raises:
            StoreError: The file cannot be written.
        """
        self.open(comparison, idea)
        entry = {
            "kind": "looked",
            "comparison": comparison,
            "idea": idea,
            "repeat": judgement.look.repeat,
            "fold": judgement.look.fold,
            "outcome": judgement.outcome.value,
            "reason": judgement.reason,
            "final": judgement.final,
            "confirmed": confirmed,
            "gain": judgement.gain,
            "low": _finite(judgement.low),
            "high": _finite(judgement.high),
            "standard_error": _finite(judgement.standard_error),
            "p_value": judgement.p_value,
            "level": judgement.level,
        }
        with self._locked() as file:
            _append(file, entry)

    def keep(self, comparison: str, idea: str, gain: float) -> None:
        """Note that an idea became part of the study, with the gain it was kept for; the same one again counts once.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._locked() as file:
            _append(file, {"kind": "kept", "comparison": comparison, "idea": idea, "gain": gain})

    def open_lockbox(self, gain: float, low: float, high: float, **more: Any) -> int:
        """Note that the rows set aside were looked at; returns how often that has happened.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._locked() as file:
            count = _standing(file.read()).n_lockbox + 1
            _append(file, {"kind": "lockbox", "opening": count, "gain": gain, "low": low, "high": high, **more})
            return count

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, open for appending and for nobody else until the block ends."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
                file.seek(0)
                yield file
        except OSError as error:
            raise StoreError(
                say("{path}: must be a file that can be appended to; got {error}.", path=self.path, error=error)
            ) from error


def ledger_key(ids: Iterable[object], target: Iterable[object]) -> str:
    """Hash of rows and target; the order of the rows does not matter.

    Args:
        ids: Names of the rows.
        target: Value of each row, in the same order.
    """
    pairs = sorted(json.dumps([str(row), str(value)]) for row, value in zip(ids, target, strict=True))
    return hashlib.blake2b("\n".join(pairs).encode(), digest_size=16).hexdigest()


def comparison_key(baseline: str, idea: str) -> str:
    """Hash of a baseline's recipe and an idea's, each as its canonical JSON."""
    return hashlib.blake2b(json.dumps([baseline, idea]).encode(), digest_size=16).hexdigest()


def _append(file: BinaryIO, entry: Mapping[str, Any]) -> None:
    """One whole line, on the disk before this returns; a torn last line is closed first, so that it spoils only itself."""
    file.seek(0, os.SEEK_END)
    torn = False
    if file.tell():
        file.seek(-1, os.SEEK_END)
        torn = file.read(1) != b"\n"
    stamped = {"schema": SCHEMA, **entry, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    line = json.dumps(stamped, ensure_ascii=False, allow_nan=False) + "\n"
    file.write((b"\n" if torn else b"") + line.encode())
    file.flush()
    os.fsync(file.fileno())


def _standing(text: bytes) -> Standing:
    comparisons: dict[str, Comparison] = {}
    lockbox, torn, kept = [], [], dict[str, float]()
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if entry["kind"] == "lockbox":
                lockbox.append(entry)
            elif entry["kind"] == "kept":
                kept[entry["comparison"]] = float(entry["gain"])
            else:
                comparisons[entry["comparison"]] = _updated(comparisons.get(entry["comparison"]), entry, len(comparisons) + 1)
        except (ValueError, KeyError, TypeError):
            torn.append(number)
    return Standing(tuple(comparisons.values()), tuple(lockbox), tuple(torn), kept)


def _updated(known: Comparison | None, entry: Mapping[str, Any], position: int) -> Comparison:
    if known is None:
        known = Comparison(entry["comparison"], entry["idea"], entry.get("position", position), entry.get("n_confirmed", 0))
    if entry["kind"] != "looked":
        return known
    return Comparison(
        key=known.key,
        idea=known.idea,
        position=known.position,
        n_confirmed=known.n_confirmed,
        n_looks=known.n_looks + 1,
        outcome=entry["outcome"],
        final=entry["final"],
        confirmed=entry["confirmed"],
        gain=entry["gain"],
        standard_error=entry["standard_error"],
        p_value=entry["p_value"],
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
