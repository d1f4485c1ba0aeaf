"""100,000 JPEG files of 64 px train at flat memory: under 1.5 GB above what the engine needs for a few rows.

    python bench/scale.py [--rows 100000] [--width 8] [--out FOLDER]

A narrow network, since memory is the question here: what is read, decoded and batched is the same for a wide one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tamesu.engines.local import LocalEngine
from tamesu.study import Study

LIMIT_MB = 1500
STUDY = """\
name: scale
data: {{train: train.csv, root: images, id: file}}
fields: {{file: {{kind: image}}, label: {{kind: label, target: true}}}}
size: 64
model: {{width: {width}, depth: 1}}
train: {{epochs: 1, batch_size: 64}}
folds: {{n_splits: 2}}
"""


@dataclass
class Memory:
    """Resident memory of processes over time, sampled in a thread."""

    pids: list[int]
    samples: list[tuple[float, float]] = field(default_factory=list)  # seconds, MB in all
    stop: threading.Event = field(default_factory=threading.Event)

    def sample(self) -> None:
        """Until `stop` is set."""
        started = time.monotonic()
        while not self.stop.wait(0.1):
            self.samples.append((time.monotonic() - started, sum(map(resident_mb, self.pids))))


def resident_mb(pid: int) -> float:
    """Resident memory of a process, without the file pages that the system may take back at any time."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def write_study(folder: Path, n_rows: int, width: int) -> Path:
    """A study of noisy stripes: 400 pictures, each written many times."""
    import cv2

    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    encoded = []
    for i in range(400):
        slope = np.indices((64, 64)).sum(axis=0) if i % 2 else np.indices((64, 64))[0]
        picture = 127 + 60 * np.sin(slope / 5 + i)[..., None] + rng.normal(0, 25, (64, 64, 3))
        encoded.append(cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8))[1].tobytes())
    lines = ["file,label"]
    for i in range(n_rows):
        name = f"{i // 1000:03d}/{i:06d}.jpg"
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        (folder / "images" / name).write_bytes(encoded[i % 400])
        lines.append(f"{name},{'diagonal' if i % 2 else 'level'}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    (folder / "study.yaml").write_text(STUDY.format(width=width))
    return folder / "study.yaml"


def train(study: Path) -> tuple[np.ndarray, float, float]:
    """Memory of the worker over the training, the peak here and there, and the seconds it took."""
    started = time.monotonic()
    opened = Study.load(study)
    plan = opened.check()
    for pictures in plan.rows.pictures.values():
        pictures.prepare(plan.baseline.recipe.size)
    took_s = time.monotonic() - started
    print(f"  read and prepared {len(plan.rows)} rows in {took_s:.0f} s; here {resident_mb(os.getpid()):.0f} MB", flush=True)
    trial = plan.trial(plan.baseline, 0, 0, 0)
    waiting = iter([trial])
    with LocalEngine(plan.rows, None, n_workers=1, devices=["cpu"]) as engine:
        memory = Memory([])

        def watch() -> None:
            while not engine._workers:
                time.sleep(0.01)
            memory.pids = [engine._workers[0].process.pid]  # type: ignore[union-attr]
            memory.sample()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        started = time.monotonic()
        for finished in engine.run(lambda: next(waiting, None)):
            if finished.result is None:
                raise SystemExit(f"{finished.error}\n{finished.traceback}")
        took_s = time.monotonic() - started
        memory.stop.set()
        watcher.join()
    return np.array(memory.samples), resident_mb(os.getpid()), took_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--out", type=Path, help="keep the files here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tamesu-bench-") as name:
        folder = options.out or Path(name)
        print("the engine's own, with 1,000 rows:")
        few, few_here, _ = train(write_study(folder / "few", 1_000, options.width))
        print(f"  worker {few[:, 1].max():.0f} MB")
        print(f"{options.rows} rows:")
        many, here, took_s = train(write_study(folder / "many", options.rows, options.width))
    second_half = many[len(many) // 2 :]
    growth = np.polyfit(second_half[:, 0], second_half[:, 1], 1)[0] * (second_half[-1, 0] - second_half[0, 0])
    above = many[:, 1].max() - few[:, 1].max() + max(0.0, here - few_here)
    print(f"  worker {many[:, 1].max():.0f} MB at its peak, {took_s:.0f} s of training")
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        print(f"    after {share:4.0%}  {many[min(len(many) - 1, int(share * len(many))), 1]:7.0f} MB")
    print(f"growth over the second half {growth:.0f} MB")
    print(f"above the engine's own, worker and parent together: {above:.0f} MB (limit {LIMIT_MB})")
    if above > LIMIT_MB:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
