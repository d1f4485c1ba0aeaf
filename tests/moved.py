"""Studies of generated pictures, with fields of every kind: what the tests of preview and tally look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tamesu.study import Study

CLASSES = ("keep_left", "keep_right", "round", "speed_50", "右折", "左折")
PAIRS = {"keep_left": "keep_right", "左折": "右折", "speed_50": "never"}
SIDES = {"keep_left": 3, "左折": 3, "keep_right": 18, "右折": 18}
EYES = {"l": ["lx", "ly"], "r": ["rx", "ry"]}
MIRROR = {"mirror": {"augment": {"mirror": 0.5}}}


def sign_rows(n: int = 96, size: tuple[int, int] = (24, 24)) -> dict[str, Any]:
    """Pictures with a bright bar at the side that the sign names, and a number that goes with the side."""
    rng = np.random.default_rng(3)
    signs = np.array([CLASSES[i % len(CLASSES)] for i in range(n)], dtype=object)
    pictures = rng.integers(40, 90, (n, *size, 3)).astype(np.uint8)
    for i, sign in enumerate(signs):
        x = SIDES.get(sign, 11)
        pictures[i, 5:15, x : x + 3] = 255
        pictures[i, :3] = 10  # the sky, so that up is told from down
    return {"picture": pictures, "sign": signs, "offset": rng.normal(0, 3, n)}


def sign_study(
    runs: Path, *, sign: Any = None, offset: Any = None, ideas: Any = None, rows: Any = None, **settings: Any
) -> Study:
    """A label with two pairs, one class that is never mirrored, and a number that changes its sign."""
    return Study(
        train=sign_rows(),
        fields={
            "picture": {"kind": "image"},
            "offset": offset or {"kind": "number", "mirror": "negate"},
            "sign": {"kind": "label", "target": True, "mirror": PAIRS} | (sign or {}),
        },
        ideas=MIRROR if ideas is None else ideas,
        runs=runs,
        **settings,
    )


def every_kind(runs: Path, target: str = "tags", **settings: Any) -> Study:
    """A picture with a mask, depth, points, boxes and arrows on it, a series beside it, and several classes to predict."""
    rng = np.random.default_rng(5)
    n, h, w = 40, 30, 40
    pictures = rng.integers(30, 120, (n, h, w, 3)).astype(np.uint8)
    mask = np.zeros((n, h, w), dtype=np.uint8)
    mask[:, 8:20, 4:12], mask[:, 8:20, 28:36] = 1, 2
    depth = rng.integers(600, 1400, (n, h, w)).astype(np.uint16)
    depth[:, 2:6, 2:6] = 0
    names = ("left", "right", "up", "down", "none")
    frame = pd.DataFrame(
        {
            "lx": np.full(n, 6.0), "ly": np.linspace(9, 11, n), "rx": np.full(n, 33.0), "ry": np.full(n, 12.0),
            "vx": np.full(n, 2.0), "vy": np.full(n, -1.0),
            "box": ["4 8 12 20"] * n,
            "heading": np.linspace(-170, 170, n),
            "line": np.linspace(0, 170, n),
            "arrow": [names[i % 5] for i in range(n)],
            "track": ["0 0 1 0 2 1"] * n,
            "tags": [("left day", "right", "night", "")[i % 4] for i in range(n)],
        }
    )  # fmt: skip
    fields: dict[str, Any] = {
        "picture": {"kind": "image"},
        "mask": {"kind": "mask", "of": "picture", "names": {1: "left", 2: "right"}, "mirror": {"left": "right"}},
        "depth": {"kind": "depth", "of": "picture"},
        "eyes": {"kind": "points", "of": "picture", "points": EYES, "mirror": {"l": "r"}},
        "box": {"kind": "boxes", "of": "picture"},
        "wind": {"kind": "vector", "columns": ["vx", "vy"]},
        "heading": {"kind": "angle"},
        "line": {"kind": "angle", "period_deg": 180},
        "arrow": {"kind": "direction", "angles": {"right": 0, "up": 90, "left": 180, "down": -90}},
        "track": {"kind": "series", "names": ["x", "y"], "vectors": [["x", "y"]]},
        "tags": {"kind": "labels", "mirror": {"left": "right"}, "turn": "same"},
    }
    fields[target]["target"] = True
    return Study(
        train=dict(frame) | {"picture": pictures, "mask": mask, "depth": depth},
        fields=fields,
        ideas={"all": {"augment": {"mirror": 0.5, "turn": 0.5}}},
        runs=runs,
        **settings,
    )
