"""What mirroring is worth on real signs: `gtsrb_directions`, train rows, grouped by track, 5 folds, 32 px.

    TAMESU_DATA=../shared/data python bench/mirror.py [--out FOLDER] [--epochs 12]

`mirror` swaps the classes as the data set's own `class_id_if_mirrored` says and should help; `mirror-naive` keeps them, as
libraries do that know nothing of the classes, and should hurt. Prints the table of verdicts, then the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()
STUDY = """\
name: gtsrb-mirror
data: {{train: train.csv, root: {root}, id: file}}
fields:
  file: {{kind: image}}
  class_name: {{kind: label, target: true, mirror: {pairs}}}
  track: {{kind: group}}
metric: accuracy
folds: {{group: track}}
size: 32
train: {{epochs: {epochs}}}
ideas:
  mirror: {{augment: {{mirror: 0.5}}}}
  mirror-naive: {{augment: {{mirror: 0.5}}, fields: {{class_name: {{mirror: same}}}}}}
"""


def main() -> None:
    """Write the study, try it, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-mirror"))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    folder = DATA / "gtsrb_directions"
    table = pd.read_csv(folder / "labels.csv")
    root = folder if (folder / table["file"][0]).exists() else folder / "images"
    options.out.mkdir(parents=True, exist_ok=True)
    table[table["split"] == "train"].to_csv(options.out / "train.csv", index=False)
    study = options.out / "study.yaml"
    text = STUDY.format(root=root, pairs=json.dumps(mirror_pairs(table)), epochs=options.epochs)
    study.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "tamesu", "try", str(study)]
    code = subprocess.run(command, check=False).returncode
    if code == 0:  # everything is in the store by now: this trains nothing
        code = subprocess.run([*command, "--json"], check=False).returncode
    raise SystemExit(code)


def mirror_pairs(table: pd.DataFrame) -> dict[str, str]:
    """Class to class, each pair once, from the data set's own column."""
    names = dict(zip(table["class_id"], table["class_name"], strict=True))
    images = {names[one]: names[other] for one, other in zip(table["class_id"], table["class_id_if_mirrored"], strict=True)}
    return {one: other for one, other in sorted(images.items()) if one < other}


if __name__ == "__main__":
    main()
