"""Planted truth about how it is learnt: losses, auxiliary targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted_case import FALSE, FEW_ROWS, LABEL, NUMBER, TRUE, Case, Rng, Rows, cells, classes, columns, numbers, of_y, settings

SIZE = 16


def outliers(rng: Rng) -> Rows:
    x = rng.normal(size=(240, 3))
    wild = np.where(rng.random(240) < 0.12, rng.normal(0, 30, 240), 0)
    return columns(x) | {"y": x[:, 0] + x[:, 1] + 0.2 * rng.normal(size=240) + wild}


def rare(rng: Rng) -> Rows:
    """One row in eight is of the rare class, which overlaps with the other."""
    x = rng.normal(size=(400, 4))
    return columns(x) | {"y": classes(x[:, 0] + 0.7 * rng.normal(size=400) > 1.4)}


def knocks(rng: Rng) -> Rows:
    """A series with short knocks that are hard to tell from noise; the class of each step is whether there is one."""
    n, t = 120, 40
    knocking = np.zeros((n, t), dtype=bool)
    for row in knocking:
        start = rng.integers(0, t - 3)
        row[start : start + 3] = True
    names = np.empty(n, dtype=object)
    names[:] = [np.where(row, "knock", "quiet").tolist() for row in knocking]
    return {"sound": cells(0.8 * knocking + 0.8 * rng.normal(size=(n, t))), "state": names}


def latent(rng: Rng, tells: bool) -> Rows:
    """The target is a noisy sign of something that the auxiliary knows without noise; or of something else."""
    n = 160
    x = rng.normal(size=(n, 20))
    level = x[:, :5].sum(axis=1)
    beside = level if tells else rng.normal(size=n)
    return columns(x) | {"beside": beside, "y": classes(level + 2 * rng.normal(size=n) > 0)}


def rival(rng: Rng) -> Rows:
    """The auxiliary is a product of inputs that the target does not need, and takes all the room there is."""
    x = rng.normal(size=(240, 6))
    target = np.tanh(2 * x[:, 0]) * np.sign(x[:, 1])
    return columns(x) | {"beside": x[:, 2] * x[:, 3] + x[:, 4] * x[:, 5], "y": target + 0.1 * rng.normal(size=240)}


def drifts(rng: Rng, moves: bool) -> Rows:
    """Walks with a noisy sign of how far they come as the class; or of where they begin."""
    n, t = 160, 24
    start = rng.normal(0, 3, n)
    walk = start[:, None] + np.cumsum(rng.normal(0, 0.5, (n, t)), axis=1)
    level = walk[:, -1] - walk[:, 0] if moves else start
    return {"walk": cells(walk), "y": classes(level + level.std() * rng.normal(size=n) > 0)}


def hills(rng: Rng, slope: bool) -> Rows:
    """A picture of a lit slope, its depth with holes and noise beside; the class is a noisy sign of the slope, or not of it."""
    n = 160
    tilt = rng.normal(size=n)
    x = (np.arange(SIZE) - (SIZE - 1) / 2) / SIZE
    depth = 2000 + 600 * tilt[:, None, None] * x + rng.normal(0, 20, (n, SIZE, SIZE))
    depth[rng.random(depth.shape) < 0.5] = 0
    light = 120 + 25 * tilt[:, None, None] * x[None, :, None] + rng.normal(0, 40, (n, SIZE, SIZE))
    bright = rng.integers(0, 2, n)
    y = tilt + 1.5 * rng.normal(size=n) > 0 if slope else bright.astype(bool)
    light += 0 if slope else np.where(bright, 8, -8)[:, None, None]
    return {"picture": np.clip(light, 0, 255).astype(np.uint8), "depth": depth.clip(0).astype(np.uint16), "y": classes(y)}


def stripes(rng: Rng, helps: bool) -> Rows:
    """Stripes that lean to one side or the other; the number beside is nothing that a picture tells, or how they lean."""
    n = 200
    lean = rng.normal(size=n)
    y, x = np.mgrid[:SIZE, :SIZE]
    across = x * np.cos(lean)[:, None, None] + y * np.sin(lean)[:, None, None] + rng.uniform(0, 9, (n, 1, 1))
    picture = 128 + 60 * np.sin(across) + rng.normal(0, 40, (n, SIZE, SIZE))
    noisy = lean + (0.7 if helps else 0.1) * rng.normal(size=n) > 0
    beside = lean if helps else rng.normal(size=n)
    return {"picture": np.clip(picture, 0, 255).astype(np.uint8), "beside": beside, "y": classes(noisy)}


def beside(weight: float, kind: str = "number", **more: Any) -> dict[str, Any]:
    """An idea that has the column beside predicted too."""
    return {"fields": {"beside": {"kind": kind, "aux": {"weight": weight, **more}}}}


X3, X6 = (numbers(*(f"x{i}" for i in range(n))) for n in (3, 6))
LATENT = numbers(*(f"x{i}" for i in range(20))) | {"beside": {"kind": "ignore"}, "y": LABEL}
RIVAL = X6 | {"beside": {"kind": "number", "aux": {"weight": 3.0}}, "y": NUMBER}
ALLIED = LATENT | {"beside": {"kind": "number", "aux": {"weight": 3.0}}}
SOUND = {"sound": {"kind": "series", "names": ["x"]}, "state": {"kind": "steps", "of": "sound", "target": True}}
DICE = {"fields": {"state": {"loss": "dice"}}}
WALK = {"walk": {"kind": "series", "names": ["x"]}, "net": {"kind": "ignore"}, "y": LABEL}
HILL = {"picture": {"kind": "image"}, "depth": {"kind": "ignore"}, "y": LABEL}
STRIPES = {"picture": {"kind": "image"}, "y": LABEL}
MOVING = settings(10, channels={"series": ["values", "derivative"]}, training=FEW_ROWS)
NARROW = {"model": {"hidden": 4, "dropout": 0.0}, "training": {"learning_rate": 0.01}}


def net(weight: float) -> dict[str, Any]:
    """An idea that has how far a walk comes predicted too."""
    return {"fields": {"net": {"kind": "derived", "derive": "walk", "what": "net", "aux": weight}}}


def depth(weight: float, smooth: float) -> dict[str, Any]:
    """An idea that has the depth of a picture predicted too, smooth where no edge is seen."""
    said = {"kind": "depth", "of": "picture", "aux": weight, "loss": {"name": "l1_smooth", "smooth": smooth}}
    return {"fields": {"depth": said}}


CASES = {
    "l1 with outliers": Case("losses", outliers, X3 | {"y": NUMBER}, of_y(loss="l1"), TRUE, settings(20, metric="mae")),
    "a high quantile for the middle": Case(
        "losses",
        outliers,
        X3 | {"y": NUMBER},
        of_y(loss={"name": "quantile", "quantile": 0.95}),
        FALSE,
        settings(20, metric="mae"),
    ),
    "weights for the rare class": Case(
        "losses",
        rare,
        numbers("x0", "x1", "x2", "x3") | {"y": LABEL},
        of_y(loss={"name": "cross_entropy", "class_weights": "balanced"}),
        TRUE,
        settings(20, metric="balanced_accuracy", judge="metric"),
    ),
    "the same where probabilities count": Case(
        "losses",
        rare,
        numbers("x0", "x1", "x2", "x3") | {"y": LABEL},
        of_y(loss={"name": "cross_entropy", "class_weights": "balanced"}),
        FALSE,
        settings(20, metric="log_loss"),
    ),
    "focal, where probabilities count": Case(
        "losses",
        rare,
        numbers("x0", "x1", "x2", "x3") | {"y": LABEL},
        of_y(loss={"name": "focal", "gamma": 5}),
        FALSE,
        settings(20, metric="log_loss"),
    ),
    "Dice for a rare state": Case(
        "losses",
        knocks,
        SOUND,
        DICE,
        TRUE,
        settings(8, judge="metric", metric="steps_f1_macro", model={"width": 16}, training=FEW_ROWS),
    ),
    "Dice, where probabilities count": Case(
        "losses", knocks, SOUND, DICE, FALSE, settings(8, metric="steps_log_loss", model={"width": 16}, training=FEW_ROWS)
    ),
    "auxiliary that knows": Case(
        "auxiliary", lambda r: latent(r, True), LATENT, beside(1.0), TRUE, settings(20, training={"learning_rate": 0.005})
    ),
    "auxiliary of noise, heavy": Case("auxiliary", lambda r: latent(r, False), LATENT, beside(300.0), FALSE, settings(6, 0.15)),
    "an ally that fades": Case(
        "auxiliary",
        lambda r: latent(r, True),
        ALLIED,
        {"fields": {"beside": {"aux": {"schedule": "anneal"}}}},
        FALSE,
        settings(20, 0.05),
    ),
    "a rival of learned weight": Case(
        "auxiliary", rival, RIVAL, {"fields": {"beside": {"aux": {"schedule": "learned"}}}}, FALSE, settings(60, 0.05, **NARROW)
    ),
    "how far, beside which way": Case("auxiliary", lambda r: drifts(r, True), WALK, net(1.0), TRUE, MOVING),
    "how far, beside where from": Case("auxiliary", lambda r: drifts(r, False), WALK, net(300.0), FALSE, MOVING),
    "depth of the slope, smooth": Case(
        "auxiliary", lambda r: hills(r, True), HILL, depth(1.0, 1.0), TRUE, settings(10, training=FEW_ROWS)
    ),
    "depth beside brightness, heavy": Case(
        "auxiliary", lambda r: hills(r, False), HILL, depth(100.0, 10.0), FALSE, settings(10, 0.05)
    ),
    "noise beside, from half-way": Case(
        "auxiliary",
        lambda r: stripes(r, False),
        STRIPES | {"beside": {"kind": "number", "aux": {"weight": 300.0}}},
        {"fields": {"beside": {"aux": {"branch": "early"}}}},
        TRUE,
        settings(10),
    ),
    "an ally beside, on its own branch": Case(
        "auxiliary",
        lambda r: stripes(r, True),
        STRIPES | {"beside": {"kind": "number", "aux": {"weight": 1.0}}},
        {"fields": {"beside": {"aux": {"branch": "own"}}}},
        FALSE,
        settings(10, 0.1),
    ),
}
