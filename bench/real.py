"""Verdicts on real data: traffic signs (`gtsrb_directions`, train rows, grouped by track, 32 px), ideas whose truth is known.

    TAMESU_DATA=../shared/data python bench/real.py [--out FOLDER]

`longer` should matter (the baseline is trained for half the default epochs), `smaller` may, `another-seed` is nothing
but luck and must never be called helpful or harmful, `rate-d30` (learning rate / 30) must hurt. `rate-x30` was expected to
hurt as well and did not; `rate-d30` was added after that was seen.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
STUDY = """\
name: gtsrb
data: {{train: train.csv, root: {root}, id: file}}
fields:
  file: {{kind: image}}
  class_name: {{kind: label, target: true}}
  track: {{kind: group}}
metric: accuracy
folds: {{group: track}}
size: 32
train: {{epochs: 10}}
ideas:
  longer: {{train: {{epochs: 30}}}}
  smaller: {{size: 16}}
  another-seed: {{train: {{seed: 1}}}}
  rate-d30: {{train: {{learning_rate: 0.00017}}}}
  rate-x30: {{train: {{learning_rate: 0.15}}}}
"""


def main() -> None:
    """Write the study and try it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-real"))
    options = parser.parse_args()
    folder = DATA / "gtsrb_directions"
    table = pd.read_csv(folder / "labels.csv")
    root = folder if (folder / table["file"][0]).exists() else folder / "images"
    options.out.mkdir(parents=True, exist_ok=True)
    table[table["split"] == "train"].to_csv(options.out / "train.csv", index=False)
    study = options.out / "study.yaml"
    study.write_text(STUDY.format(root=root), encoding="utf-8")
    command = [sys.executable, "-m", "tamesu", "try", str(study)]
    raise SystemExit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
