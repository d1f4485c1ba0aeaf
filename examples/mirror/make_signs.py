"""Draw small traffic signs whose class a mirror changes, and the study that asks what mirroring is worth.

    python examples/mirror/make_signs.py signs
    tamesu try signs/study.yaml

Every sign is seen in a track of a few frames, as from a passing car: the same place, wear and surroundings, coming nearer.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels of a picture
FINE = 8  # drawn so many times larger, then averaged down
CLASSES = ("keep_left", "keep_right", "turn_left", "turn_right", "straight", "roundabout")
N_TRACKS = 25  # of each class
N_FRAMES = 4  # of each track

STUDY = """\
# Drawn traffic signs (make_signs.py). Try it:  tamesu try study.yaml
name: signs
data: {train: train.csv, root: images, id: file}
fields:                              # what each column means
  file: {kind: image}
  sign:
    kind: label
    target: true
    mirror: {keep_left: keep_right, turn_left: turn_right, roundabout: never}   # straight stays as it is
  track: {kind: group}               # frames of one sign are never on both sides of a split
metric: accuracy
folds: {group: track}
size: 24
model: {width: 16}                   # a small network for small pictures
ideas:                               # each is tried with and without
  mirror:                            # half of the pictures mirrored, and the classes with them
    augment: {mirror: 0.5}
  mirror-naive:                      # "a mirrored sign is the same sign": what most libraries do
    augment: {mirror: 0.5}
    fields: {sign: {mirror: same}}
"""

Points = NDArray[np.float64]


def make_signs(folder: Path, n_tracks: int = N_TRACKS, n_frames: int = N_FRAMES, seed: int = 0) -> Path:
    """Write pictures, table and study below `folder`.

    Args:
        n_tracks: Of each class.
        n_frames: Of each track.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for sign in CLASSES:
        for place in range(n_tracks):
            for frame, picture in enumerate(track_of(sign, n_frames, rng)):
                name = f"{sign}_{place:02d}_{frame}.png"
                cv2.imencode(".png", picture[:, :, ::-1])[1].tofile(folder / "images" / name)
                rows.append((name, sign, f"{sign}_{place:02d}"))
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "sign", "track"), *rows])
    study = folder / "study.yaml"
    study.write_text(STUDY, encoding="utf-8")
    return study


def track_of(sign: str, n_frames: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """One sign as a car comes nearer: place, colours, wear and light are the track's, the rest is the frame's.  (h, w, 3)"""
    around = backdrop(rng)
    tilt_rad, middle = rng.normal(0, 0.12), rng.normal(0, 0.07, 2)
    blue = np.array([25, 70, 165]) + rng.normal(0, 25, 3)
    light, fade = rng.uniform(0.5, 1.1), rng.uniform(0.5, 1)
    wear = spots(rng, n=int(rng.integers(0, 4)))
    frames = []
    for size in np.linspace(0.6, 0.85, n_frames) + rng.normal(0, 0.05):
        at = middle + rng.normal(0, 0.03, 2)
        disc = drawn([circle()], size, tilt_rad, at)[:, :, None]
        arrow = drawn(shapes_of(sign), size, tilt_rad, at)[:, :, None]
        white = blue + fade * (235 - blue)
        picture = around * (1 - disc) + disc * (blue * (1 - arrow) + white * arrow)
        picture = light * (picture * (1 - wear) + 90 * wear) + rng.normal(0, 10, (SIDE, SIDE, 3))
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.1)))
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
    return frames


def shapes_of(sign: str) -> list[Points]:
    """The white parts of a sign, x right and y down from its middle, its edge at 1."""
    if sign == "straight":
        return arrow_to((0, -0.75), start=(0, 0.7))
    if sign == "roundabout":  # three arrows round the middle, clockwise; seen in a mirror it would be a sign of another country
        return [turned(part, 2 * np.pi / 3 * k) for k in range(3) for part in bent_arrow()]
    if sign.endswith("left"):
        return arrow_to((-0.5, 0.5), start=(0.5, -0.5)) if sign == "keep_left" else elbow()
    return [part * (-1, 1) for part in shapes_of(sign.replace("right", "left"))]  # the same sign in a mirror


def arrow_to(tip: tuple[float, float], start: tuple[float, float], head: float = 0.42, thick: float = 0.13) -> list[Points]:
    """A straight arrow: shaft and head."""
    end, begin = np.array(tip), np.array(start)
    ahead = (end - begin) / np.hypot(*(end - begin))
    aside = np.array([-ahead[1], ahead[0]])
    neck = end - head * ahead
    shaft = np.array([begin + thick * aside, neck + thick * aside, neck - thick * aside, begin - thick * aside])
    return [shaft, np.array([end, neck + 0.8 * head * aside, neck - 0.8 * head * aside])]


def elbow() -> list[Points]:
    """Up from below, then to the left."""
    return [*arrow_to((-0.72, -0.15), start=(0.3, -0.15)), np.array([(0.05, -0.15), (0.3, -0.15), (0.3, 0.65), (0.05, 0.65)])]


def bent_arrow() -> list[Points]:
    """A third of a ring with a head, clockwise."""
    angles = np.linspace(-2.2, -0.9, 12)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    head = np.array([ring[-1] * 0.3, ring[-1] * 0.85, 0.58 * np.array([np.cos(-0.4), np.sin(-0.4)])])
    return [np.concatenate([0.68 * ring, 0.46 * ring[::-1]]), head]


def circle() -> Points:
    """The edge of the sign."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def turned(part: Points, angle_rad: float) -> Points:
    """Clockwise about the middle."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return part @ np.array([[cos, sin], [-sin, cos]])


def drawn(parts: list[Points], size: float, tilt_rad: float, middle: Points) -> NDArray[np.float64]:
    """How much of each pixel the parts cover, 0 to 1.  (h, w)"""
    large = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for part in parts:
        places = (turned(part, tilt_rad) * size / 2 + middle + 0.5) * SIDE * FINE
        cv2.fillPoly(large, [np.rint(places).astype(np.int32)], 255)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA) / 255


def backdrop(rng: np.random.Generator) -> NDArray[np.float64]:
    """Sky, walls and bushes: a gradient, bars and blots.  (h, w, 3)"""
    top, bottom = rng.uniform(40, 220, 3), rng.uniform(40, 220, 3)
    share = np.linspace(0, 1, SIDE)[:, None, None]
    picture = np.ascontiguousarray(np.broadcast_to((1 - share) * top + share * bottom, (SIDE, SIDE, 3)))
    for _ in range(rng.integers(2, 7)):
        start, end = rng.integers(0, SIDE, (2, 2)).tolist()
        cv2.line(picture, start, end, rng.uniform(20, 250, 3).tolist(), int(rng.integers(1, 6)), cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)


def spots(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Dirt, leaves, stickers: where the sign cannot be seen, 0 to 1.  (h, w, 1)"""
    cover = np.zeros((SIDE, SIDE), np.float64)
    for _ in range(n):
        axes = rng.integers(2, 5, 2).tolist()
        cv2.ellipse(cover, rng.integers(6, SIDE - 6, 2).tolist(), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return cv2.GaussianBlur(cover, (0, 0), 0.7)[:, :, None]


def main() -> None:
    """Write the data set into the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracks", type=int, default=N_TRACKS, help="of each class")
    parser.add_argument("--frames", type=int, default=N_FRAMES, help="of each track")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study = make_signs(options.folder, options.tracks, options.frames, options.seed)
    print(f"{study}\ntamesu try {study}")


if __name__ == "__main__":
    main()
