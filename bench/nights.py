"""Nights of a made-up sleeper: how much an arm moves in every five minutes, with one falling asleep and one waking up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

STEPS, STEP = 96, 5.0  # eight hours


def write_nights(folder: Path, n: int, seed: int, *, alike: bool = False) -> None:
    """nights.csv (night), signal.csv (night, minute, moves) and events.csv (night, minute, event) in the folder.

    Args:
        alike: Falling asleep and waking up look the same, a jerk: only that one comes before the other tells them apart.
    """
    rng = np.random.default_rng(seed)
    minute = np.arange(STEPS) * STEP
    signal, events = [], []
    for night in range(n):
        onset, wakeup = rng.integers(4, 56), rng.integers(60, 92)
        if alike:
            onset, wakeup = np.sort(rng.choice(np.arange(4, 92, 8), 2, replace=False))
        asleep = (np.arange(STEPS) >= onset) & (np.arange(STEPS) < wakeup) & (not alike)
        moves = np.where(asleep, 0.25, 1.0) * rng.exponential(1.0, STEPS)
        if alike:
            moves[[onset, wakeup]] += rng.uniform(4, 8, 2)
        signal.append(pd.DataFrame({"night": night, "minute": minute, "moves": moves.round(4)}))
        events += [(night, minute[onset], "onset"), (night, minute[wakeup], "wakeup")]
    pd.DataFrame({"night": np.arange(n)}).to_csv(folder / "nights.csv", index=False)
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
