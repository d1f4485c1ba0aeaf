"""Nights of a made-up sleeper: how much an arm moves in every five minutes, with one falling asleep and one waking up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STEPS, STEP = 96, 5.0  # eight hours


def write_nights(folder: Path, n: int, seed: int) -> None:
    """nights.csv (night), signal.csv (night, minute, moves) and events.csv (night, minute, event) in the folder."""
    rng = np.random.default_rng(seed)
    minute = np.arange(STEPS) * STEP
    signal, events = [], []
    for night in range(n):
        onset, wakeup = rng.integers(4, 56), rng.integers(60, 92)
        asleep = (np.arange(STEPS) >= onset) & (np.arange(STEPS) < wakeup)
        moves = np.where(asleep, 0.25, 1.0) * rng.exponential(1.0, STEPS)
        signal.append(pd.DataFrame({"night": night, "minute": minute, "moves": moves.round(4)}))
        events += [(night, minute[onset], "onset"), (night, minute[wakeup], "wakeup")]
    _write(folder, signal, events)


def write_jerks(folder: Path, n: int, seed: int) -> None:
    """The same files, of nights of 320 steps with two jerks that look alike, 150 steps or more apart: at the first of them the
    sleeper falls asleep, at the second wakes up. Which of the two one is cannot be told from the 64 steps to either side that a
    network sees.
    """
    rng = np.random.default_rng(seed)
    steps = 320
    minute = np.arange(steps) * STEP
    signal, events = [], []
    for night in range(n):
        onset, wakeup = rng.integers(70, 90), rng.integers(230, 250)
        moves = rng.exponential(0.5, steps)
        moves[[onset, wakeup]] = 8.0
        signal.append(pd.DataFrame({"night": night, "minute": minute, "moves": moves.round(4)}))
        events += [(night, minute[onset], "onset"), (night, minute[wakeup], "wakeup")]
    _write(folder, signal, events)


def _write(folder: Path, signal: list[pd.DataFrame], events: list[tuple[int, float, str]]) -> None:
    pd.DataFrame({"night": np.arange(len(signal))}).to_csv(folder / "nights.csv", index=False)
    pd.concat(signal).to_csv(folder / "signal.csv", index=False)
    pd.DataFrame(events, columns=["night", "minute", "event"]).to_csv(folder / "events.csv", index=False)


NIGHTS = {
    "moves": {
        "kind": "series",
        "column": "night",
        "table": {"file": "signal.csv", "key": "night", "columns": ["moves"], "order": "minute"},
    },
    "sleep": {
        "kind": "events",
        "of": "moves",
        "column": "night",
        "table": {"file": "events.csv", "key": "night", "columns": ["minute"], "name": "event"},
        "names": ["onset", "wakeup"],
        "tolerances": [5.0, 15.0, 30.0],
        "most": 3,
        "target": True,
    },
}
RULE = {"fields": {"sleep": {"once": ["onset", "wakeup"], "in_order": ["onset", "wakeup"]}}}
