"""How long `tamesu look` takes for 100,000 pictures and for 1,000,000 rows, in how much memory; and what is left after kill -9.

python bench/look_scale.py                                   # full size
python bench/look_scale.py --pictures 2000 --rows 20000      # a quick look
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

LIMIT_S, LIMIT_GB = 600, 4.0


def write_pictures(folder: Path, n: int) -> Path:
    """Pictures of 64 px in 10 classes, one in a hundred a copy saved anew, and their study."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        kind = int(rng.integers(10))
        ground = cv2.resize(rng.integers(0, 255, (5, 5, 3)).astype(np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
        centre, colour = tuple(int(v) for v in rng.integers(16, 48, 2)), tuple(int(v) for v in rng.integers(0, 255, 3))
        cv2.ellipse(ground, centre, (14, 3 + kind), 18 * kind, 0, 360, colour, -1)
        cv2.imwrite(str(folder / "images" / f"{i}.jpg"), ground, [cv2.IMWRITE_JPEG_QUALITY, 90])
        if i % 100 == 1:
            copy = cv2.imread(str(folder / "images" / f"{i - 1}.jpg"))
            cv2.imwrite(str(folder / "images" / f"{i}.jpg"), copy, [cv2.IMWRITE_JPEG_QUALITY, 60])
        rows.append((f"{i}.jpg", f"class {kind}"))
    pd.DataFrame(rows, columns=["file", "y"]).to_csv(folder / "train.csv", index=False)
    study = folder / "study.yaml"
    study.write_text(
        "name: pictures\ndata: {train: train.csv, root: images}\n"
        "fields:\n  file: {kind: image}\n  y: {kind: label, target: true}\n"
    )
    return study


def write_table(folder: Path, n: int) -> Path:
    """Thirty columns: 17 numbers, 4 counts, 6 categories, a name, an id, the target; a tenth of the rows are test rows."""
    folder.mkdir(parents=True)
    for name, rows, seed in (("train", n - n // 10, 0), ("test", n // 10, 1)):
        rng = np.random.default_rng(seed)
        table: dict[str, object] = {"id": np.arange(rows) + seed * n}
        for i in range(17):
            table[f"x{i}"] = np.where(rng.random(rows) < 0.03, np.nan, rng.normal(size=rows).round(5))
        table |= {f"k{i}": rng.integers(0, 50, rows) for i in range(4)}
        table |= {f"c{i}": rng.choice([f"level {j}" for j in range(3 + 8 * i)], rows) for i in range(6)}
        table["name"] = [f"name number {i}" for i in range(rows)]
        if name == "train":
            table["y"] = np.where(np.nan_to_num(table["x0"]) + rng.normal(size=rows) > 0, "yes", "no")
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
    fields = "".join(f"  x{i}: {{kind: number}}\n" for i in range(17)) + "".join(f"  c{i}: {{kind: label}}\n" for i in range(6))
    study = folder / "study.yaml"
    study.write_text(
        "name: table\ndata: {train: train.csv, test: test.csv, id: id}\n"
        f"fields:\n{fields}  y: {{kind: label, target: true}}\n"
    )
    return study


def look(study: Path, runs: Path, kill_after_s: float | None = None) -> tuple[float, float]:
    """Seconds and peak gigabytes of one `tamesu look`; with `kill_after_s`, killed then."""
    started = time.monotonic()
    command = [sys.executable, "-m", "tamesu", "look", str(study), "--runs", str(runs)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while running.poll() is None:
        peak = max(peak, _resident_gb(running.pid))
        if kill_after_s is not None and time.monotonic() - started > kill_after_s:
            running.send_signal(signal.SIGKILL)
            running.wait()
            return time.monotonic() - started, peak
        time.sleep(0.1)
    if running.returncode:
        raise SystemExit(f"look ended with {running.returncode}: {' '.join(command)}")
    return time.monotonic() - started, peak


def _resident_gb(pid: int) -> float:
    """Memory of its own: pages of mapped files do not count."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1e6
    except OSError:  # it ended meanwhile
        pass
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    place = args.folder or Path(tempfile.mkdtemp(prefix="look-scale-"))
    print(f"{os.cpu_count()} cores\n\n| data | seconds | limit | GB | limit |\n|---|---|---|---|---|")
    if args.pictures:
        few = write_pictures(place / "few", args.pictures // 10)
        many = write_pictures(place / "many", args.pictures)
        seconds, gb = look(few, place / "runs-few")
        print(f"| {args.pictures // 10:,} pictures of 64 px | {seconds:.0f} | | {gb:.2f} | |", flush=True)
        seconds, gb = look(many, place / "runs")
        print(f"| {args.pictures:,} pictures of 64 px | {seconds:.0f} | {LIMIT_S} | {gb:.2f} | flat |", flush=True)
        again, _ = look(many, place / "runs")
        print(f"| the same, looked at again | {again:.0f} | | | |", flush=True)
        killed, _ = look(many, place / "runs-killed", kill_after_s=seconds / 2)
        rest, _ = look(many, place / "runs-killed")
        print(f"| the same, killed after {killed:.0f} s and started again | {rest:.0f} | | | |", flush=True)
    if args.rows:
        study = write_table(place / "table", args.rows)
        seconds, gb = look(study, place / "runs")
        print(f"| {args.rows:,} rows of 30 columns | {seconds:.0f} | {LIMIT_S} | {gb:.2f} | {LIMIT_GB} |", flush=True)
    if args.folder is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
