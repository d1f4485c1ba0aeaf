"""What columns seem to mean, from their names and cells: guesses for a first study.yaml, which a person then corrects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.decode import IMAGE_SUFFIXES
from tamesu.fields import MISSING_TEXT, as_text
from tamesu.picture_files import add_suffix

TARGET_NAMES = (
    "target",
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "y",
    "category",
    "diagnosis",
    "outcome",
    "result",
)
TARGET_NAMES_JA = ("目的変数", "正解", "正解ラベル", "ラベル", "クラス", "種類", "分類")
GROUP_NAMES = (
    "track",
    "subject",
    "patient",
    "person",
    "user",
    "session",
    "group",
    "series",
    "participant",
    "speaker",
    "video",
    "site",
)
GROUP_NAMES_JA = ("被験者", "患者", "人物", "グループ", "個体")
SPLIT_NAMES = ("split", "subset", "fold", "set", "partition", "usage")
SEPARATORS = ("|", ";", ",", " ")
LABEL_MOST = 20  # whole numbers of up to so many values are taken for classes, more for a quantity
FEATURE_MOST = 50  # texts of more values than this, most of them seen once or twice, are names rather than categories
LOOKED_AT = 200  # cells that are tried as file names
DEEP = 2  # levels of folders in which files are searched


@dataclass(frozen=True, eq=False)
class Column:
    """One column as text, None where empty."""

    name: str
    cells: NDArray[np.object_]

    @cached_property
    def known(self) -> NDArray[np.object_]:
        """Cells that say something."""
        return np.array([cell for cell in self.cells if cell is not None and cell.lower() not in MISSING_TEXT], dtype=object)

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each text is there."""
        return Counter(self.known.tolist())

    @cached_property
    def n_missing(self) -> int:
        """Cells that say nothing."""
        return len(self.cells) - len(self.known)

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The known cells as numbers, None unless all of them are."""
        if not len(self.known):
            return None
        values = pd.to_numeric(pd.Series(self.known, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        return values if np.isfinite(values).all() else None

    @property
    def is_unique(self) -> bool:
        """Whether it tells every row from every other."""
        return not self.n_missing and len(self.counts) == len(self.cells) > 1

    @property
    def is_quantity(self) -> bool:
        """Numbers that are decimals, or of too many values to be classes."""
        if self.numbers is None:
            return False
        return len(self.counts) > LABEL_MOST or bool((self.numbers % 1 != 0).any())

    @property
    def is_name(self) -> bool:
        """Texts that hardly repeat: they name a row rather than say something of it."""
        return self.numbers is None and len(self.counts) > FEATURE_MOST and len(self.counts) > 0.1 * len(self.known)

    def words(self) -> list[str]:
        """Its name's words: `roi_x1` and `PassengerId` are two each."""
        return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_A-Za-z]+", self.name)]


def read_columns(frame: pd.DataFrame) -> list[Column]:
    """A table's columns as text."""
    columns = []
    for name in frame.columns:
        missing = frame[name].isna().to_numpy()
        pairs = zip(missing, frame[name].astype(object), strict=True)
        texts: list[Any] = [None if gone else as_text(cell) or None for gone, cell in pairs]
        columns.append(Column(str(name), np.array(texts, dtype=object)))
    return columns


def lacks_header(names: Sequence[str]) -> bool:
    """Whether the first line holds data: numbers or `?` where names should be (0, 1, 2 … may be names of pixels)."""
    plain = [re.sub(r"\.\d+$", "", name) if name.count(".") > 1 else name for name in names]
    data = [name for name in plain if name == "?" or re.fullmatch(r"[-+]?\d+(\.\d+)*(e[-+]?\d+)?", name)]
    counted = {str(i) for i in range(len(names) + 1)}
    return len(data) * 3 > len(names) and not set(data) <= counted


def find_files(column: Column, base: Path) -> str | None:
    """The folder below `base` (`.` for itself) where the files that this column names start; None where it names none."""
    names = list(dict.fromkeys(column.known[:LOOKED_AT].tolist()))
    suffixed = sum(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in names)
    if not names or (suffixed < 0.95 * len(names) and not column.is_unique):
        return None
    for folder in _folders(base, DEEP):
        if any(_is_there(folder, name) for name in names[:3]):
            return folder.relative_to(base).as_posix()
    return None


def find_target(
    columns: Sequence[Column], test_names: Sequence[str] | None, wanted: Sequence[str], image: Column | None
) -> Column | None:
    """The column to predict: in the sample submission, not in the test table, or named like one; None if nothing tells."""
    by_name = {column.name: column for column in columns}
    for name in wanted:
        if name in by_name:
            return by_name[name]
    open_to = [column for column in columns if column is not image and len(column.counts) > 1]
    if test_names is not None:
        absent = [column for column in open_to if column.name not in test_names]
        if len(absent) == 1:
            return absent[0]
        open_to = absent or open_to
    named = sorted((c for c in open_to if _target_rank(c) is not None), key=lambda c: (_target_rank(c), c.numbers is not None))
    if named:
        return named[0]
    if image is not None:  # beside pictures: the first column of few values that each come more than once
        few = [
            c
            for c in open_to
            if 1 < len(c.counts) <= 0.2 * len(c.known) and min(c.counts.values()) > 1 and not _is_about_pictures(c)
        ]
        return few[0] if few else None
    last = open_to[-1] if open_to else None
    return None if last is None or last.is_name or last.n_missing else last  # tables mostly end with it


def find_separator(column: Column) -> str | None:
    """What stands between several classes in one cell; None where a cell is one class."""
    if column.numbers is not None:
        return None
    for separator in SEPARATORS:
        cells = [[part.strip() for part in cell.split(separator) if part.strip()] for cell in column.counts]
        words = {part for parts in cells for part in parts}
        if sum(len(parts) > 1 for parts in cells) < 0.2 * len(cells) or any(len(set(parts)) < len(parts) for parts in cells):
            continue
        # "keep left", "keep right" are two classes of two words; "cat dog", "dog", "cat" are combinations of two.
        alone = {parts[0] for parts in cells if len(parts) == 1}
        if len(words) < len(cells) and len(alone) >= 0.5 * len(words):
            return separator
    return None


def find_groups(columns: Sequence[Column]) -> list[Column]:
    """Columns named like something that repeats over rows: a person, a recording, a track."""
    found = []
    for column in columns:
        is_named = any(word in GROUP_NAMES for word in column.words()) or any(name in column.name for name in GROUP_NAMES_JA)
        if is_named and 1 < len(column.counts) < 0.9 * len(column.known):
            found.append(column)
    return found


def find_id(columns: Sequence[Column], wanted: str | None, image: Column | None) -> Column | None:
    """The column that names a row."""
    unique = [column for column in columns if column.is_unique]
    for column in unique:
        if column.name == wanted:
            return column
    named = [
        column for column in unique if column.words()[-1:] == ["id"] or column.words()[:1] == ["id"] or column.name == "ID"
    ]
    return named[0] if named else image if image in unique else None


def split_column(columns: Sequence[Column]) -> Column | None:
    """A column that says which rows somebody else trained on and tested with."""
    for column in columns:
        if column.name.lower() in SPLIT_NAMES and {"train", "test"} <= {text.lower() for text in column.counts}:
            return column
    return None


def is_same_as(column: Column, target: Column) -> bool:
    """Whether each value of one goes with one value of the other: it tells the target, and would not be known in time."""
    if len(column.counts) < 2 or len(column.counts) > 0.5 * len(column.cells):
        return False
    pairs = set(zip(column.cells, target.cells, strict=True))
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _target_rank(column: Column) -> int | None:
    name = column.name.lower()
    if column.name in TARGET_NAMES_JA:
        return 0
    if name in TARGET_NAMES:
        return 1
    return (
        2 if column.words()[:1] in (["target"], ["label"], ["class"]) and not {"if", "mirrored"} & set(column.words()) else None
    )


def _is_about_pictures(column: Column) -> bool:
    words = {"width", "height", "size", "frame", "domain", *GROUP_NAMES}
    return column.name.lower() in SPLIT_NAMES or bool(words & set(column.words()))


def _folders(base: Path, deep: int) -> list[Path]:
    below = sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [base, *below, *(deeper for path in below if deep > 1 for deeper in _folders(path, deep - 1)[1:])]


def _is_there(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file() or bool(add_suffix(folder, [name]))
    except (OSError, ValueError):  # a text too long, or of characters no file name has
        return False
