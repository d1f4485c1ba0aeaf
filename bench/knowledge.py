"""Knowledge on real data, with and without: one study for each data set, each verdict as it came out.

    TAMESU_DATA=../shared/data python bench/knowledge.py [--only NAME …] [--out FOLDER]

The studies are as written here before any was run; settings that were changed after a result was seen are named in
bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()


def asl(out: Path) -> str:
    """Letters of a hand in colour and depth; 40 pictures a fifth of the recording, neighbours alike."""
    return f"""\
name: asl_rgbd_ah
data: {{train: {DATA}/asl_rgbd_ah/labels.csv, root: {DATA}/asl_rgbd_ah, id: color}}
fields:
  color: {{kind: image}}
  depth: {{kind: depth, of: color, unit_m: 0.001, clip_m: [0.4, 1.2], camera: [575, 575, 60, 60]}}
  letter: {{kind: label, target: true}}
  time_block: {{kind: group}}
metric: accuracy
folds: {{group: time_block}}
size: 48
ideas:
  mask and log: {{channels: {{depth: [valid, log]}}}}
  mask, log, normals: {{channels: {{depth: [valid, log, normals]}}}}
  clipped: {{channels: {{depth: [valid, clipped]}}}}
  early fusion: {{model: {{fusion: early}}, channels: {{depth: [valid, log]}}}}
  colour only: {{fields: {{depth: {{kind: ignore}}}}}}
"""


def grocery(out: Path) -> str:
    """24 fine classes from shops, 15 pictures each; 12 coarse classes beside."""
    table = pd.read_csv(DATA / "grocery_hier" / "labels.csv")
    table[table["domain"] == "natural"].to_csv(out / "grocery.csv", index=False)
    return f"""\
name: grocery_hier
data: {{train: grocery.csv, root: {DATA}/grocery_hier, id: file}}
fields:
  file: {{kind: image}}
  fine: {{kind: label, target: true}}
  coarse: {{kind: ignore}}
metric: accuracy
size: 64
ideas:
  coarse: {{fields: {{coarse: {{kind: label, aux: 0.3}}}}}}
  coarse, half-way: {{fields: {{coarse: {{kind: label, aux: {{weight: 0.3, branch: early}}}}}}}}
  coordinates: {{channels: {{coords: frame}}}}
"""


def faces(out: Path) -> str:
    """Which way 20 people look; people are groups, and who it is may be learnt beside."""
    return f"""\
name: cmu_faces32
data: {{train: {DATA}/cmu_faces32/labels.csv, root: {DATA}/cmu_faces32, id: file}}
fields:
  file: {{kind: image}}
  pose: {{kind: label, target: true}}
  person: {{kind: group}}
  who: {{kind: ignore, column: person}}
  eyes: {{kind: ignore}}
metric: accuracy
folds: {{group: person}}
ideas:
  person: {{fields: {{who: {{kind: label, aux: 0.3}}}}}}
  eyes: {{fields: {{eyes: {{kind: label, aux: 0.3}}}}}}
  coordinates: {{channels: {{coords: frame}}}}
"""


def strokes(out: Path) -> str:
    """16 gestures drawn by 11 people."""
    folder = DATA / "unistroke_gestures"
    return f"""\
name: unistroke_gestures
data: {{train: {folder}/gestures.csv, id: gesture_id}}
fields:
  pen:
    kind: series
    table: {{file: {folder}/points.csv, key: gesture_id, columns: [x, y], order: t_ms}}
    length: 64
    fit: stretch
  class: {{kind: label, target: true}}
  subject: {{kind: group}}
  velocity: {{kind: ignore}}
metric: accuracy
folds: {{group: subject}}
train: {{epochs: 10}}
ideas:
  velocity: {{channels: {{series: [values, derivative]}}}}
  velocity only: {{channels: {{series: [derivative]}}}}
  velocity beside: {{fields: {{velocity: {{kind: derived, derive: pen, order: 1, aux: 0.3}}}}}}
"""


def activity(out: Path) -> str:
    """What someone does at every moment, from a sensor; 87 trials in two rooms."""
    folder = DATA / "batteryless_activity"
    columns = ["acc_frontal_g", "acc_vertical_g", "acc_lateral_g", "rssi", "phase", "frequency_mhz", "antenna_id"]
    parts = []
    for file in pd.read_csv(folder / "trials.csv")["file"]:
        parts.append(pd.read_csv(folder / file).assign(file=file))
    pd.concat(parts).to_csv(out / "steps.csv", index=False)
    table = f"{{file: steps.csv, key: file, columns: [{', '.join(columns)}], order: time_s}}"
    return f"""\
name: batteryless_activity
data: {{train: {folder}/trials.csv, id: file}}
fields:
  sensor: {{kind: series, table: {table}}}
  activity:
    kind: steps
    of: sensor
    table: {{file: steps.csv, key: file, columns: [], name: activity, order: time_s}}
    target: true
train: {{epochs: 8, batch_size: 4}}
ideas:
  derivative: {{channels: {{series: [values, derivative]}}}}
  spectrum: {{channels: {{series: [values, spectrum]}}}}
  regular steps: {{fields: {{sensor: {{step: 1, gap: 10}}}}}}
"""


def cells(out: Path) -> str:
    """How many red cells are in a picture, with and without knowing where they are."""
    folder = DATA / "bccd_cells"
    boxes = pd.read_csv(folder / "boxes.csv")
    boxes = boxes[(boxes["xmax"] > boxes["xmin"]) & (boxes["ymax"] > boxes["ymin"])]
    counts = boxes.assign(red=boxes["class"] == "RBC").groupby("file")["red"].sum()
    counts.rename("n_red").reset_index().to_csv(out / "cells.csv", index=False)
    boxes.to_csv(out / "boxes.csv", index=False)
    table = "{file: boxes.csv, key: file, columns: [xmin, ymin, xmax, ymax], name: class}"
    return f"""\
name: bccd_cells
data: {{train: cells.csv, root: {folder}, id: file}}
fields:
  file: {{kind: image}}
  n_red: {{kind: number, target: true}}
  places: {{kind: ignore, column: file}}
metric: mae
size: [72, 96]
train: {{epochs: 40}}
ideas:
  where they are: {{fields: {{places: {{kind: boxes, of: file, table: {table}, aux: 0.3}}}}}}
  not below 0: {{fields: {{n_red: {{range: [0, null]}}}}}}
  least absolute error: {{fields: {{n_red: {{loss: l1}}}}}}
"""


STUDIES: dict[str, Callable[[Path], str]] = {
    "asl_rgbd_ah": asl,
    "grocery_hier": grocery,
    "cmu_faces32": faces,
    "unistroke_gestures": strokes,
    "batteryless_activity": activity,
    "bccd_cells": cells,
}


def run(name: str, out: Path) -> None:
    """One study; its lines of the table."""
    from tamesu import Study

    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(STUDIES[name](folder), encoding="utf-8")
    started = time.monotonic()
    study = Study.load(folder / "study.yaml")
    study.try_ideas()
    found = json.loads((folder / "runs" / name / "try.json").read_text(encoding="utf-8"))
    metric, baseline = found["metric"], found["baseline"]
    for idea in found["ideas"]:
        interval = "" if idea["interval"] is None else " ({:+.3g} to {:+.3g})".format(*idea["interval"])
        gain = idea["note"].splitlines()[0] if idea["gain"] is None else f"{idea['gain']:+.3g}{interval}"
        verdict = idea["outcome"].replace("_", " ") + (f", {idea['reason'].replace('_', ' ')}" if idea["reason"] else "")
        print(
            f"| {name} | {metric['name']} {baseline['score']:.4g} | {idea['arm']} | **{verdict}** | {gain} "
            f"| {idea['n_trainings']} |",
            flush=True,
        )
    print(f"| {name} | | {time.monotonic() - started:.0f} s | | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--out", type=Path, default=Path("runs/bench-knowledge"))
    options = parser.parse_args()
    print("| data | baseline | idea | verdict | gain (95 %) | trainings |\n|---|---|---|---|---|---|")
    for name in options.only:
        run(name, options.out)


if __name__ == "__main__":
    main()
