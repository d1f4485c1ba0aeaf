"""The demo: scikit-learn's handwritten digits as a study with three ideas whose verdicts a person can foresee."""

from __future__ import annotations

from pathlib import Path

from tamesu.errors import ConfigError
from tamesu.texts import language, say

STUDY_EN = """\
# Handwritten digits, 8 × 8 pixels (scikit-learn's `load_digits`). Try it:  tamesu try study.yaml
name: digits
data:
  train: train.csv
  root: images
  id: file
fields:                              # what each column means
  file:  {kind: image}
  digit: {kind: label, target: true}
metric: accuracy
model: {width: 16}                   # a small network for small pictures
train: {epochs: 10, batch_size: 64}
ideas:                               # each is tried with and without
  mirror-naive:                      # "a mirrored digit is the same digit": it is not
    augment: {mirror: 0.5}
    fields: {digit: {mirror: same}}
  no-shift:                          # leave out the small shifts that tamesu makes by default
    augment: {translate: 0}
  another-seed:                      # nothing but luck
    train: {seed: 1}
"""

STUDY_JA = """\
# 手書き数字、8 × 8 画素(scikit-learn の `load_digits`)。実行:  tamesu try study.yaml
name: digits
lang: ja
data:
  train: train.csv
  root: images
  id: file
fields:                              # 各列の意味
  file:  {kind: image}
  digit: {kind: label, target: true}
metric: accuracy
model: {width: 16}                   # 小さな画像には小さなネットワーク
train: {epochs: 10, batch_size: 64}
ideas:                               # それぞれ「あり」と「なし」で試す
  mirror-naive:                      # 「左右反転しても同じ数字」: 実際は違う
    augment: {mirror: 0.5}
    fields: {digit: {mirror: same}}
  no-shift:                          # tamesu が既定で行う小さな平行移動をやめる
    augment: {translate: 0}
  another-seed:                      # 運だけが違う
    train: {seed: 1}
"""


def write_demo(folder: Path) -> Path:
    """Write pictures, table and study.yaml below `folder`; what is already there stays as it is.

    Raises:
        ConfigError: Another study.yaml is there.
    """
    study = folder / "study.yaml"
    text = STUDY_JA if language() == "ja" else STUDY_EN
    if study.exists():
        if "name: digits" not in study.read_text(encoding="utf-8"):
            raise ConfigError(
                say("{path}: must not exist yet, or be the demo's; found another study. Name another folder.", path=study)
            )
        return study
    import cv2
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = ["file,digit"]
    for i, (picture, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        name = f"{i:04d}.png"
        cv2.imencode(".png", np.rint(picture * (255 / 16)).astype(np.uint8))[1].tofile(folder / "images" / name)
        rows.append(f"{name},{digit}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    study.write_text(text, encoding="utf-8")
    return study
