"""Planted truth about what goes in: depth, places, numbers, groups, series, pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
    cells,
    classes,
    columns,
    numbers,
    settings,
)

SIZE = 16


def planes(rng: Rng, tilts: bool) -> Rows:
    """Depth of tilted planes at random distances, in millimetres; the class is the tilt, or how far it is."""
    n = 200
    side = rng.integers(0, 2, n)
    slope = np.where(side, 1, -1) * 0.8 if tilts else rng.uniform(-0.8, 0.8, n)
    far = rng.uniform(800, 4000, n) if tilts else np.where(side, 2600, 1800) + rng.normal(0, 300, n)
    x = (np.arange(SIZE) - (SIZE - 1) / 2) / 16
    depth = far[:, None, None] / (1 - slope[:, None, None] * x) * np.ones((n, SIZE, SIZE))
    depth += rng.normal(0, 8, depth.shape)
    depth[rng.random(depth.shape) < 0.05] = 0
    return {"depth": depth.astype(np.uint16), "y": classes(side)}


def blobs(rng: Rng, place: bool) -> Rows:
    """A round or a square blob anywhere; the class is where it is, or which it is."""
    n = 240
    left, square = rng.integers(0, 2, n), rng.integers(0, 2, n)
    cx, cy = np.where(left, 5, 10) + rng.integers(-2, 3, n), rng.integers(4, 12, n)
    return {"picture": shown(shape(square, cx, cy), rng), "y": classes(left if place else square)}


def shape(square: np.ndarray, cx: np.ndarray, cy: np.ndarray) -> np.ndarray:
    """Where a square, or a diamond of the same area, is.  (n, h, w) bool"""
    y, x = np.mgrid[:SIZE, :SIZE]
    dx, dy = np.abs(x - cx[:, None, None]), np.abs(y - cy[:, None, None])
    return np.where(square[:, None, None], np.maximum(dx, dy) <= 2, dx + dy <= 3)


def shown(inside: np.ndarray, rng: Rng) -> np.ndarray:
    return np.clip(inside * 160 + rng.normal(60, 25, inside.shape), 0, 255).astype(np.uint8)


def shapes(rng: Rng, in_colour: bool, n: int = 60) -> Rows:
    """A square or a diamond, in a picture of colours or in another one beside it; the one that does not show it is noise."""
    square = rng.integers(0, 2, n)
    where = rng.integers(5, 11, (2, n))
    seen = [shown(shape(square, *where), rng) for _ in range(3)]
    noise = [shown(np.zeros((n, SIZE, SIZE), dtype=bool), rng) for _ in range(3)]
    colour, beside = (seen, noise[0]) if in_colour else (noise, seen[0])
    return {"colour": np.stack(colour, axis=3), "beside": 1000 + 4 * beside.astype(np.uint16), "y": classes(square)}


def pretrained(rng: Rng, in_colour: bool) -> Rows:
    """The same, with the weights of a network that knows such shapes in colours written beside the study."""
    import timm
    import torch
    from safetensors.torch import save_file

    known = shapes(rng, True, 600)
    pictures = torch.from_numpy((known["colour"] - 70.0) / 50.0).float().permute(0, 3, 1, 2)
    answer = torch.from_numpy((known["y"] == "b").astype(np.int64))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        network = timm.create_model("test_resnet", num_classes=0)
        head = torch.nn.Linear(network.num_features, 2)
        optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=0.005)
        for _ in range(6):
            for part in torch.randperm(600).split(50):
                loss = torch.nn.functional.cross_entropy(head(network(pictures[part])), answer[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    save_file(network.state_dict(), Path("weights.safetensors"))
    return shapes(rng, in_colour)


def skewed(rng: Rng, in_log: bool) -> Rows:
    x = np.exp(rng.normal(0, 2.5, 240))
    signal = np.log1p(x) if in_log else np.minimum(x, 100) / 10
    return {"x": x if in_log else np.minimum(x, 100), "z": rng.normal(size=240), "y": signal + 0.3 * rng.normal(size=240)}


def ranked(rng: Rng, by_rank: bool) -> Rows:
    """What counts is a value's place among the others, where a few lie far off; or the value, of which many lie close."""
    z = rng.normal(size=240)
    x = np.sign(z) * np.expm1(2 * np.abs(z)) if by_rank else np.sign(z) * np.abs(z) ** 3
    return {"x": x, "y": (z if by_rank else x) + 0.2 * rng.normal(size=240)}


def ended(rng: Rng, errors: bool) -> Rows:
    """Between 0 and 100 with typing errors beyond; or up to 200 in truth."""
    x = rng.uniform(0, 100 if errors else 200, 240)
    typed = np.where(rng.random(240) < 0.04, 100 * x, x) if errors else x
    return {"x": typed, "y": np.minimum(x, 100 if errors else 200) / 20 + 0.3 * rng.normal(size=240)}


def zeros(rng: Rng, missing: bool) -> Rows:
    """0 where nothing was read, and then the answer is its mean; or 0 as a value like others."""
    x = rng.uniform(4, 16, 300) if missing else rng.uniform(-6, 6, 300)
    none = rng.random(300) < 0.25
    read = np.where(none, 0.0, x)
    signal = np.where(none, 13.0, x) if missing else read
    return {"x": read, "y": signal + 0.5 * rng.normal(size=300)}


def hours(rng: Rng, cyclic: bool) -> Rows:
    hour = rng.uniform(0, 168, 240)  # of the week
    signal = np.cos(2 * np.pi * (hour - 1) / 24) if cyclic else hour / 84
    return {"hour": hour, "y": 2 * signal + 0.3 * rng.normal(size=240)}


def sensors(rng: Rng, small: bool) -> Rows:
    """Two columns beside fifty; what counts is in the two, or in the fifty."""
    two, fifty = rng.normal(size=(300, 2)), rng.normal(size=(300, 50))
    signal = two[:, 0] - two[:, 1] if small else fifty.sum(axis=1) / 5
    return columns(two, "a") | columns(fifty, "b") | {"y": signal + 0.3 * rng.normal(size=300)}


def tracks(rng: Rng, speed: bool) -> Rows:
    """Walks that start anywhere; the class is which way they go, or where they are."""
    n, t = 200, 24
    up = rng.integers(0, 2, n)
    start = rng.normal(0, 6, n) if speed else np.where(up, 1.0, -1.0)
    drift = np.where(up, 0.08, -0.08) if speed else rng.choice([-0.08, 0.08], n)
    walk = start[:, None] + np.cumsum(drift[:, None] + rng.normal(0, 0.15, (n, t)), axis=1)
    return {"walk": cells(walk), "y": classes(up)}


def hums(rng: Rng, power: bool) -> Rows:
    """A slow or a quick hum, of any phase, in noise of any level; or noise whose level is the class."""
    n, t = 120, 48
    quick = rng.integers(0, 2, n)
    noise = rng.normal(size=(n, t))
    if not power:
        return {"sound": cells(noise + np.where(quick, 0.5, -0.5)[:, None]), "y": classes(quick)}
    pitch = np.where(quick, rng.uniform(0.16, 0.24, n), rng.uniform(0.06, 0.11, n))
    hum = np.sin(2 * np.pi * (pitch[:, None] * np.arange(t) + rng.random((n, 1))))
    return {"sound": cells(noise + hum + rng.normal(0, 8, (n, 1))), "y": classes(quick)}


X = numbers("x") | {"y": NUMBER}
HOUR = numbers("hour") | {"y": NUMBER}
DEPTH = {"depth": {"kind": "depth", "camera": [16.0, 16.0, 7.5, 7.5]}, "y": LABEL}
PICTURE = {"picture": {"kind": "image"}, "y": LABEL}
PAIR = {"colour": {"kind": "image"}, "beside": {"kind": "depth", "of": "colour"}, "y": LABEL}
WALK = {"walk": {"kind": "series", "names": ["x"]}, "y": LABEL}
SOUND = {"sound": {"kind": "series", "names": ["x"]}, "y": LABEL}
SENSORS = numbers("a0", "a1", *(f"b{i}" for i in range(50))) | {"y": NUMBER}
GROUPS = {"few": {"fields": ["a0", "a1"]}, "many": {"fields": [f"b{i}" for i in range(50)]}}
BALANCED = {"model": {"stem": "balanced", "groups": GROUPS}}
BELIEVED = {"model": {"stem": "balanced", "groups": GROUPS | {"few": GROUPS["few"] | {"weight": 1000.0}}}}
NORMALS = {"channels": {"depth": ["normals"]}}
COORDS = {"channels": {"coords": "frame"}}
DERIVATIVE = {"channels": {"series": ["derivative"]}}
ZERO = {"model": {"new_channels": "zero"}}
KNOWN = settings(
    8,
    model={"backbone": "timm:test_resnet", "fusion": "early", "weights": "weights.safetensors"},
    training=FEW_ROWS | {"learning_rate": 0.005},
)


def of_x(**said: Any) -> dict[str, Any]:
    """What an idea says of the input x."""
    return {"fields": {"x": said}}


CASES = {
    "normals": Case("depth", lambda r: planes(r, True), DEPTH, NORMALS, TRUE, settings(12)),
    "normals, where distance counts": Case("depth", lambda r: planes(r, False), DEPTH, NORMALS, FALSE, settings(12)),
    "coordinates": Case("place", lambda r: blobs(r, True), PICTURE, COORDS, TRUE, settings(10)),
    "coordinates, where shape counts": Case("place", lambda r: blobs(r, False), PICTURE, COORDS, FALSE, settings(10)),
    "log of a skewed number": Case(
        "numbers", lambda r: skewed(r, True), numbers("x", "z") | {"y": NUMBER}, of_x(skew="log1p"), TRUE, settings(30)
    ),
    "quantiles, where ranks count": Case(
        "numbers", lambda r: ranked(r, True), X, of_x(skew="quantile"), TRUE, settings(40, **LINEAR)
    ),
    "quantiles, where values count": Case(
        "numbers", lambda r: ranked(r, False), X, of_x(skew="quantile"), FALSE, settings(40, **LINEAR)
    ),
    "clipped typing errors": Case("numbers", lambda r: ended(r, True), X, of_x(clip=[0, 100]), TRUE, settings(40, **LINEAR)),
    "clipped in the midst": Case("numbers", lambda r: ended(r, False), X, of_x(clip=[0, 100]), FALSE, settings(40, **LINEAR)),
    "0 is missing": Case(
        "numbers",
        lambda r: zeros(r, True),
        X,
        of_x(zero_is_missing=True, indicator=True),
        TRUE,
        settings(60, **LINEAR),
    ),
    "0 is a value": Case(
        "numbers",
        lambda r: zeros(r, False),
        X,
        of_x(zero_is_missing=True, missing=-6.0),
        FALSE,
        settings(60, **LINEAR),
    ),
    "cycle": Case("numbers", lambda r: hours(r, True), HOUR, {"fields": {"hour": {"cycle": 24.0}}}, TRUE, settings(30)),
    "cycle of what is none": Case(
        "numbers", lambda r: hours(r, False), HOUR, {"fields": {"hour": {"cycle": 5.0}}}, FALSE, settings(30)
    ),
    "balanced, the few count": Case("groups", lambda r: sensors(r, True), SENSORS, BALANCED, TRUE, settings(20)),
    "much belief in the few, the many count": Case(
        "groups", lambda r: sensors(r, False), SENSORS, BELIEVED, FALSE, settings(20, 0.15)
    ),
    "new channels from zero": Case("pretrained", lambda r: pretrained(r, True), PAIR, ZERO, TRUE, KNOWN),
    "new channels from zero, which count": Case("pretrained", lambda r: pretrained(r, False), PAIR, ZERO, FALSE, KNOWN),
    "derivative": Case("series", lambda r: tracks(r, True), WALK, DERIVATIVE, TRUE, settings(10)),
    "derivative alone, where places count": Case("series", lambda r: tracks(r, False), WALK, DERIVATIVE, FALSE, settings(10)),
    "spectrum": Case(
        "series",
        lambda r: hums(r, True),
        SOUND,
        {"channels": {"series": ["spectrum"]}},
        TRUE,
        settings(8, model={"width": 16}, training=FEW_ROWS),
    ),
    "spectrum alone, where the level counts": Case(
        "series",
        lambda r: hums(r, False),
        SOUND,
        {"channels": {"series": ["spectrum"]}},
        FALSE,
        settings(8, model={"width": 16}, training=FEW_ROWS),
    ),
}
