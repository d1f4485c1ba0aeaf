"""Planted truth about what comes out: outputs that keep a constraint, laws, events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nights import NIGHTS, RULE, write_jerks, write_nights
from planted_case import (
    FALSE,
    FEW_ROWS,
    LABEL,
    LINEAR,
    NUMBER,
    TRUE,
    Case,
    Rng,
    Rows,
    columns,
    numbers,
    of_y,
    settings,
)


def grades(rng: Rng) -> Rows:
    x = rng.normal(size=(300, 20))
    level = np.digitize(x[:, :3].sum(axis=1) + rng.logistic(0, 0.7, 300), [-1.8, -0.5, 0.5, 1.8])
    return columns(x) | {"y": np.array(list("abcde"))[level]}


def bounded(rng: Rng) -> Rows:
    x = rng.normal(size=(300, 3))
    return columns(x) | {"y": 1 / (1 + np.exp(-4 * x[:, 0] - 3 * x[:, 1]))}


def winds(rng: Rng) -> Rows:
    x = rng.normal(size=(300, 2))
    angle = np.arctan2(x[:, 1], x[:, 0] + 0.5) + 0.1 * rng.normal(size=300)
    return columns(x) | {"u": np.cos(angle), "v": np.sin(angle)}


def pushes(rng: Rng, far: bool) -> Rows:
    """Arrows that are never longer than 1: most as long as they may be, in the direction of the inputs; or short ones."""
    x = rng.normal(size=(300, 2))
    length = np.linalg.norm(x, axis=1, keepdims=True)
    arrow = x / length * np.tanh(3 * length) if far else 0.15 * np.clip(x, -3, 3)
    arrow += 0.01 * rng.normal(size=arrow.shape)
    arrow /= np.maximum(1, np.linalg.norm(arrow, axis=1, keepdims=True))
    return columns(x) | {"u": arrow[:, 0], "v": arrow[:, 1]}


def mixtures(rng: Rng, steep: bool) -> Rows:
    """Shares of three: as inputs compete for them, or a straight line of the inputs each."""
    x = rng.normal(size=(300, 3)) if steep else rng.uniform(0, 1, (300, 2))
    rate = np.exp(2 * x) if steep else np.column_stack([0.02 + 0.48 * x, 0.98 - 0.48 * x.sum(axis=1)])
    share = rate / rate.sum(axis=1, keepdims=True)
    return columns(x) | dict(zip(("sand", "silt", "clay"), share.T, strict=True))


def stairs(rng: Rng, level: bool) -> Rows:
    """Numbers that rise from column to column: often by nothing; or by a straight line of the inputs."""
    x = rng.normal(size=(300, 3)) if level else rng.uniform(0, 1, (300, 3))
    rise = np.log1p(np.exp(6 * x[:, 1:])) / 6 if level else 0.02 + x[:, 1:]
    return columns(x) | {"p": x[:, 0], "q": x[:, 0] + rise[:, 0], "r": x[:, 0] + rise.sum(axis=1)}


def gauges(rng: Rng, alike: bool) -> Rows:
    """Four readings of one thing, each with an error of its own, and few of them; or of four things."""
    x = rng.normal(size=(80, 16))
    thing = np.repeat(2 * x[:, :1], 4, axis=1) if alike else 2 * x[:, :4]
    return columns(x) | columns(thing + rng.normal(size=(80, 4)), "r")


def flows(rng: Rng) -> Rows:
    """What flows in flows out or is stored; each output has an error of its own that the law takes out."""
    n = 160
    inflow, x = rng.normal(10, 4, n), rng.normal(size=n)
    share = 1 / (1 + np.exp(-x))
    out = inflow * share
    return {"inflow": inflow, "x": x, "noise": rng.normal(size=n), "out": out, "stored": inflow - out}


def measured(rng: Rng) -> Rows:
    """Flows of which each is measured with an error of its own; few rows, and many columns that say nothing."""
    n = 60
    inflow, noise = rng.normal(10, 4, n), rng.normal(size=(n, 24))
    out, stored = 0.4 * inflow + noise[:, 0], 0.6 * inflow - noise[:, 0]
    error = rng.normal(0, 1.5, (2, n))
    return {"inflow": inflow} | columns(noise, "noise") | {"out": out + error[0], "stored": stored + error[1]}


def sleepers(rng: Rng) -> Rows:
    """Nights, written into the folder a study runs in; see nights.py."""
    write_nights(Path.cwd(), 120, int(rng.integers(2**31)))
    return {"night": pd.read_csv("nights.csv")["night"].to_numpy()}


def jerks(rng: Rng) -> Rows:
    """Nights in which falling asleep and waking up look alike, farther apart than a network sees."""
    write_jerks(Path.cwd(), 60, int(rng.integers(2**31)))
    return {"night": pd.read_csv("nights.csv")["night"].to_numpy()}


def several(*names: str, **more: Any) -> dict[str, Any]:
    """A target of these columns."""
    return {"kind": "numbers", "columns": list(names), "target": True, **more}


def laws(how: str, out: float = 1.0, **more: Any) -> dict[str, Any]:
    law = {"sum": {"inflow": 1.0, "out": -out, "stored": -1.0}, "equals": 0.0, "as": how, **more}
    return {"fields": {"flow": {"laws": [law]}}}


X2, X3, X16, X20 = (numbers(*(f"x{i}" for i in range(n))) for n in (2, 3, 16, 20))
GAUGES = several("r0", "r1", "r2", "r3")
ONE_SUM = of_y(learn=["r0 + r1 + r2 + r3"])
ARROW = {"kind": "vector", "columns": ["u", "v"], "target": True}
SOIL = ["sand", "silt", "clay"]
SHARES = of_y(kind="shares", columns=SOIL, target=True)
MEASURED = numbers("inflow", *(f"noise{i}" for i in range(24))) | {"flow": several("out", "stored")}
FLOW = numbers("inflow", "x", "noise") | {"flow": several("out", "stored")}
SMALL = {"data": {"id": "night"}, "model": {"width": 16}}
BROAD = NIGHTS | {"sleep": NIGHTS["sleep"] | {"width": 60.0}}
WIDTH = {"fields": {"sleep": {"width": 60.0}}}
LONG = settings(60, **LINEAR)
SLOW = settings(60, model=LINEAR["model"])


CASES = {
    "range": Case("outputs", bounded, X3 | {"y": NUMBER}, of_y(range=[0.0, 1.0]), TRUE, LONG),
    "order": Case("outputs", grades, X20 | {"y": LABEL}, of_y(order=list("abcde")), TRUE, SLOW),
    "wrong order": Case("outputs", grades, X20 | {"y": LABEL}, of_y(order=list("bdaec")), FALSE, SLOW),
    "unit vector": Case("outputs", winds, X2 | {"y": ARROW}, of_y(unit=True), TRUE, LONG),
    "within a disk": Case("outputs", lambda r: pushes(r, True), X2 | {"y": ARROW}, of_y(within=1.0), TRUE, LONG),
    "within a disk, far from its edge": Case(
        "outputs", lambda r: pushes(r, False), X2 | {"y": ARROW}, of_y(within=1.0), FALSE, LONG
    ),
    "shares": Case(
        "outputs",
        lambda r: mixtures(r, True),
        X3 | {"y": several(*SOIL)},
        SHARES,
        TRUE,
        settings(60, metric="mcrmse", **LINEAR),
    ),
    "shares that are straight lines": Case(
        "outputs",
        lambda r: mixtures(r, False),
        X2 | {"y": several(*SOIL)},
        SHARES,
        FALSE,
        settings(60, metric="mcrmse", **LINEAR),
    ),
    "rising": Case("outputs", lambda r: stairs(r, True), X3 | {"y": several("p", "q", "r")}, of_y(rising=True), TRUE, LONG),
    "rising, by straight lines": Case(
        "outputs", lambda r: stairs(r, False), X3 | {"y": several("p", "q", "r")}, of_y(rising=True), FALSE, LONG
    ),
    "one sum for four gauges": Case("outputs", lambda r: gauges(r, True), X16 | {"y": GAUGES}, ONE_SUM, TRUE, LONG),
    "one sum for four strangers": Case("outputs", lambda r: gauges(r, False), X16 | {"y": GAUGES}, ONE_SUM, FALSE, LONG),
    "law, projected": Case("laws", flows, FLOW, laws("projection"), TRUE, settings(20)),
    "wrong law, projected": Case("laws", flows, FLOW, laws("projection", 3.0), FALSE, settings(20)),
    "law, as a penalty": Case("laws", measured, MEASURED, laws("penalty", weight=1.0), TRUE, LONG),
    "wrong law, as a penalty": Case("laws", measured, MEASURED, laws("penalty", 3.0, weight=100.0), FALSE, LONG),
    "events as wide as they are": Case(
        "events", sleepers, BROAD, {"fields": {"sleep": {"width": 3.0}}}, TRUE, settings(8, **SMALL)
    ),
    "events in the wrong width": Case("events", sleepers, NIGHTS, WIDTH, FALSE, settings(8, **SMALL)),
    "one onset, then one wake-up": Case("events", jerks, NIGHTS, RULE, TRUE, settings(8, training=FEW_ROWS, **SMALL)),
    "the same where they look different": Case("events", sleepers, NIGHTS, RULE, FALSE, settings(8, 0.1, **SMALL)),
}
