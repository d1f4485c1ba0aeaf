"""Knowledge whose truth is known: generated problems in which a piece of knowledge is true and worth something, or false.

    python bench/planted_knowledge.py [--only NAME …] [--seeds N]

Every case is one study with one idea. Where the knowledge is true the verdict must be `helps`; where it is false, `hurts`
or `no difference` (`undecided` is counted as a miss in both). Quick on purpose: small tables and pictures of 16 px.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nights import NIGHTS, write_nights

Rng = np.random.Generator
TRUE, FALSE = ("helps",), ("hurts", "no difference")


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        item: Which kind of knowledge it is about.
        make: The training rows, columns by name.
        fields: What the study says of them.
        idea: The patch that is tried.
        expected: Verdicts that are right.
        settings: The rest of the study.
    """

    item: str
    make: Callable[[Rng], dict[str, Any]]
    fields: dict[str, Any]
    idea: dict[str, Any]
    expected: tuple[str, ...]
    settings: dict[str, Any]


def settings(epochs: int = 15, margin: float | str = "auto", **more: Any) -> dict[str, Any]:
    return {"training": {"epochs": epochs}, "verdict": {"budget": 1, "margin": margin}, **more}


def planes(rng: Rng, tilts: bool) -> dict[str, Any]:
    """Depth of tilted planes at random distances, in millimetres; the class is the tilt, or how far it is."""
    n, size = 200, 16
    side = rng.integers(0, 2, n)
    slope = np.where(side, 1, -1) * 0.8 if tilts else rng.uniform(-0.8, 0.8, n)
    far = rng.uniform(800, 4000, n) if tilts else np.where(side, 2600, 1800) + rng.normal(0, 300, n)
    x = (np.arange(size) - (size - 1) / 2) / 16
    depth = far[:, None, None] / (1 - slope[:, None, None] * x) * np.ones((n, size, size))
    depth += rng.normal(0, 8, depth.shape)
    depth[rng.random(depth.shape) < 0.05] = 0
    return {"depth": depth.astype(np.uint16), "y": np.where(side, "b", "a")}


def blobs(rng: Rng, place: bool) -> dict[str, Any]:
    """A round or a square blob anywhere; the class is where it is, or which it is."""
    n, size = 240, 16
    left, square = rng.integers(0, 2, n), rng.integers(0, 2, n)
    y, x = np.mgrid[:size, :size]
    cx, cy = np.where(left, 5, 10) + rng.integers(-2, 3, n), rng.integers(4, 12, n)
    dx, dy = np.abs(x - cx[:, None, None]), np.abs(y - cy[:, None, None])
    inside = np.where(square[:, None, None], np.maximum(dx, dy) <= 2, dx + dy <= 3)
    pictures = np.clip(inside * 160 + rng.normal(60, 25, (n, size, size)), 0, 255).astype(np.uint8)
    return {"picture": pictures, "y": np.where(left if place else square, "b", "a")}


def skewed(rng: Rng, in_log: bool) -> dict[str, Any]:
    x = np.exp(rng.normal(0, 2.5, 240))
    signal = np.log1p(x) if in_log else np.minimum(x, 100) / 10
    return {"x": x if in_log else np.minimum(x, 100), "z": rng.normal(size=240), "y": signal + 0.3 * rng.normal(size=240)}


def hours(rng: Rng, cyclic: bool) -> dict[str, Any]:
    hour = rng.uniform(0, 168, 240)  # of the week
    signal = np.cos(2 * np.pi * (hour - 1) / 24) if cyclic else hour / 84
    return {"hour": hour, "y": 2 * signal + 0.3 * rng.normal(size=240)}


def sensors(rng: Rng, small: bool) -> dict[str, Any]:
    """Two columns beside fifty; what counts is in the two, or in the fifty."""
    two, fifty = rng.normal(size=(300, 2)), rng.normal(size=(300, 50))
    signal = two[:, 0] - two[:, 1] if small else fifty.sum(axis=1) / 5
    table = {f"a{i}": two[:, i] for i in range(2)} | {f"b{i}": fifty[:, i] for i in range(50)}
    return table | {"y": signal + 0.3 * rng.normal(size=300)}


def tracks(rng: Rng, speed: bool) -> dict[str, Any]:
    """Walks that start anywhere; the class is which way they go, or where they are."""
    n, t = 200, 24
    up = rng.integers(0, 2, n)
    start = rng.normal(0, 6, n) if speed else np.where(up, 1.0, -1.0)
    drift = np.where(up, 0.08, -0.08) if speed else rng.choice([-0.08, 0.08], n)
    walk = start[:, None] + np.cumsum(drift[:, None] + rng.normal(0, 0.15, (n, t)), axis=1)
    cells = np.empty(n, dtype=object)
    cells[:] = [one[:, None] for one in walk]
    return {"walk": cells, "y": np.where(up, "b", "a")}


def grades(rng: Rng) -> dict[str, Any]:
    x = rng.normal(size=(300, 8))
    level = np.digitize(x[:, :3].sum(axis=1) + rng.logistic(0, 0.7, 300), [-1.5, 0, 1.5])
    return {f"x{i}": x[:, i] for i in range(8)} | {"y": np.array(list("abcd"))[level]}


def bounded(rng: Rng) -> dict[str, Any]:
    x = rng.normal(size=(300, 3))
    return {f"x{i}": x[:, i] for i in range(3)} | {"y": 1 / (1 + np.exp(-4 * x[:, 0] - 3 * x[:, 1]))}


def winds(rng: Rng) -> dict[str, Any]:
    x = rng.normal(size=(300, 2))
    angle = np.arctan2(x[:, 1], x[:, 0] + 0.5) + 0.1 * rng.normal(size=300)
    return {"x0": x[:, 0], "x1": x[:, 1], "u": np.cos(angle), "v": np.sin(angle)}


def flows(rng: Rng) -> dict[str, Any]:
    """What flows in flows out or is stored; each output has an error of its own that the law takes out."""
    n = 160
    inflow, x = rng.normal(10, 4, n), rng.normal(size=n)
    share = 1 / (1 + np.exp(-x))
    out = inflow * share
    return {"inflow": inflow, "x": x, "noise": rng.normal(size=n), "out": out, "stored": inflow - out}


def sleepers(rng: Rng) -> dict[str, Any]:
    """Nights, written into the folder a study runs in; see nights.py."""
    write_nights(Path.cwd(), 120, int(rng.integers(2**31)))
    return {"night": pd.read_csv("nights.csv")["night"].to_numpy()}


def outliers(rng: Rng) -> dict[str, Any]:
    x = rng.normal(size=(240, 3))
    wild = np.where(rng.random(240) < 0.12, rng.normal(0, 30, 240), 0)
    return {f"x{i}": x[:, i] for i in range(3)} | {"y": x[:, 0] + x[:, 1] + 0.2 * rng.normal(size=240) + wild}


def latent(rng: Rng, tells: bool) -> dict[str, Any]:
    """The target is a noisy sign of something that the auxiliary knows without noise; or of something else."""
    n = 160
    x = rng.normal(size=(n, 20))
    level = x[:, :5].sum(axis=1)
    beside = level if tells else rng.normal(size=n)
    return {f"x{i}": x[:, i] for i in range(20)} | {
        "beside": beside,
        "y": np.where(level + 2 * rng.normal(size=n) > 0, "b", "a"),
    }


def numbers(*names: str) -> dict[str, Any]:
    return {name: {"kind": "number"} for name in names}


LABEL = {"kind": "label", "target": True}
NUMBER = {"kind": "number", "target": True}
DEPTH = {"depth": {"kind": "depth", "camera": [16.0, 16.0, 7.5, 7.5]}, "y": LABEL}
PICTURE = {"picture": {"kind": "image"}, "y": LABEL}
WALK = {"walk": {"kind": "series", "names": ["x"]}, "y": LABEL}
SENSORS = numbers("a0", "a1", *(f"b{i}" for i in range(50))) | {"y": NUMBER}
GROUPS = {"few": {"fields": ["a0", "a1"]}, "many": {"fields": [f"b{i}" for i in range(50)]}}
FLOW = numbers("inflow", "x", "noise") | {"flow": {"kind": "numbers", "columns": ["out", "stored"], "target": True}}
BALANCED = {"model": {"stem": "balanced", "groups": GROUPS}}
BELIEVED = {"model": {"stem": "balanced", "groups": GROUPS | {"few": GROUPS["few"] | {"weight": 1000.0}}}}
LATENT = numbers(*(f"x{i}" for i in range(20))) | {"beside": {"kind": "ignore"}, "y": LABEL}
SMALL = {"data": {"id": "night"}, "model": {"width": 16}}
BROAD = NIGHTS | {"sleep": NIGHTS["sleep"] | {"width": 60.0}}
NARROW = {"fields": {"sleep": {"width": 3.0}}}
NORMALS = {"channels": {"depth": ["normals"]}}
COORDS = {"channels": {"coords": "frame"}}
DERIVATIVE = {"channels": {"series": ["derivative"]}}
BESIDE = {"fields": {"beside": {"kind": "number", "aux": 1.0}}}
HEAVY = {"fields": {"beside": {"kind": "number", "aux": 300.0}}}
GRADES = numbers(*(f"x{i}" for i in range(8))) | {"y": LABEL}


def laws(how: str, out: float = 1.0) -> dict[str, Any]:
    law = {"sum": {"inflow": 1.0, "out": -out, "stored": -1.0}, "equals": 0.0, "as": how}
    return {"fields": {"flow": {"laws": [law]}}}


CASES = {
    "normals": Case("depth", lambda r: planes(r, True), DEPTH, NORMALS, TRUE, settings(12)),
    "normals, where distance counts": Case("depth", lambda r: planes(r, False), DEPTH, NORMALS, FALSE, settings(12)),
    "coordinates": Case("place", lambda r: blobs(r, True), PICTURE, COORDS, TRUE, settings(10)),
    "coordinates, where shape counts": Case("place", lambda r: blobs(r, False), PICTURE, COORDS, FALSE, settings(10)),
    "log of a skewed number": Case(
        "numbers",
        lambda r: skewed(r, True),
        numbers("x", "z") | {"y": NUMBER},
        {"fields": {"x": {"skew": "log1p"}}},
        TRUE,
        settings(30),
    ),
    "cycle": Case(
        "numbers",
        lambda r: hours(r, True),
        numbers("hour") | {"y": NUMBER},
        {"fields": {"hour": {"cycle": 24.0}}},
        TRUE,
        settings(30),
    ),
    "cycle of what is none": Case(
        "numbers",
        lambda r: hours(r, False),
        numbers("hour") | {"y": NUMBER},
        {"fields": {"hour": {"cycle": 5.0}}},
        FALSE,
        settings(30),
    ),
    "balanced, the few count": Case("groups", lambda r: sensors(r, True), SENSORS, BALANCED, TRUE, settings(20)),
    "much belief in the few, the many count": Case(
        "groups", lambda r: sensors(r, False), SENSORS, BELIEVED, FALSE, settings(20, 0.15)
    ),
    "derivative": Case("series", lambda r: tracks(r, True), WALK, DERIVATIVE, TRUE, settings(10)),
    "derivative alone, where places count": Case("series", lambda r: tracks(r, False), WALK, DERIVATIVE, FALSE, settings(10)),
    "range": Case(
        "outputs",
        bounded,
        numbers("x0", "x1", "x2") | {"y": NUMBER},
        {"fields": {"y": {"range": [0.0, 1.0]}}},
        TRUE,
        settings(60, model={"hidden": 0, "dropout": 0.0}),
    ),
    "order": Case(
        "outputs",
        grades,
        GRADES,
        {"fields": {"y": {"order": list("abcd")}}},
        TRUE,
        settings(60, model={"hidden": 0, "dropout": 0.0}),
    ),
    "wrong order": Case(
        "outputs",
        grades,
        GRADES,
        {"fields": {"y": {"order": list("bdac")}}},
        FALSE,
        settings(60, model={"hidden": 0, "dropout": 0.0}),
    ),
    "unit vector": Case(
        "outputs",
        winds,
        numbers("x0", "x1") | {"y": {"kind": "vector", "columns": ["u", "v"], "target": True}},
        {"fields": {"y": {"unit": True}}},
        TRUE,
        settings(60, model={"hidden": 0, "dropout": 0.0}),
    ),
    "law, projected": Case("laws", flows, FLOW, laws("projection"), TRUE, settings(20)),
    "wrong law, projected": Case("laws", flows, FLOW, laws("projection", 3.0), FALSE, settings(20)),
    "events as wide as they are": Case("events", sleepers, BROAD, NARROW, TRUE, settings(8, **SMALL)),
    "events in the wrong width": Case(
        "events", sleepers, NIGHTS, {"fields": {"sleep": {"width": 60.0}}}, FALSE, settings(8, **SMALL)
    ),
    "l1 with outliers": Case(
        "losses",
        outliers,
        numbers("x0", "x1", "x2") | {"y": NUMBER},
        {"fields": {"y": {"loss": "l1"}}},
        TRUE,
        settings(20, metric="mae"),
    ),
    "a high quantile for the middle": Case(
        "losses",
        outliers,
        numbers("x0", "x1", "x2") | {"y": NUMBER},
        {"fields": {"y": {"loss": {"name": "quantile", "quantile": 0.95}}}},
        FALSE,
        settings(20, metric="mae"),
    ),
    "auxiliary that knows": Case("auxiliary", lambda r: latent(r, True), LATENT, BESIDE, TRUE, settings(20)),
    "auxiliary of noise, heavy": Case("auxiliary", lambda r: latent(r, False), LATENT, HEAVY, FALSE, settings(6, 0.15)),
}


def run(name: str, seed: int) -> tuple[str, str]:
    """The verdict, and the gain it stands on."""
    from tamesu import Study

    case = CASES[name]
    with tempfile.TemporaryDirectory() as runs, contextlib.chdir(runs), contextlib.redirect_stderr(None):
        rows = case.make(np.random.default_rng([seed, list(CASES).index(name)]))
        if not any(np.ndim(one) > 1 for one in rows.values()):
            rows = pd.DataFrame(rows)  # type: ignore[assignment]
        study = Study(rows, fields=case.fields, ideas={"idea": case.idea}, runs=Path(runs), name="planted", **case.settings)
        judgement = study.try_ideas().ideas[0].judgement
    low, high = judgement.low, judgement.high
    return str(judgement.outcome.value).replace("_", " "), f"{judgement.gain:+.3g} ({low:+.3g} to {high:+.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    print("| knowledge | right | got | gain | seconds |\n|---|---|---|---|---|")
    right = 0
    for name in options.only:
        begun = time.monotonic()
        got = [run(name, seed) for seed in range(options.seeds)]
        right += sum(verdict in CASES[name].expected for verdict, _ in got)
        verdicts, gains = ", ".join(one for one, _ in got), ", ".join(one for _, one in got)
        wanted = " or ".join(CASES[name].expected)
        print(f"| {name} | {wanted} | {verdicts} | {gains} | {time.monotonic() - begun:.0f} |", flush=True)
    n = len(options.only) * options.seeds
    print(f"\n{right} of {n} as they should be, in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
