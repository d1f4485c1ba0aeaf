"""A first study.yaml from a folder or a table: it runs as it stands, and its comments say what was guessed and why."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tamesu import guess, proposals
from tamesu.errors import ConfigError, DataError, suggest
from tamesu.files import write_atomically
from tamesu.guess import Column
from tamesu.picture_files import add_suffix, list_pictures, scan_files
from tamesu.sources import CSV_SUFFIXES, PARQUET_SUFFIXES, RawTable, read_source
from tamesu.texts import language, say, use_language

SIZES = (16, 24, 32, 48, 64, 96)  # the built-in backbones are made for 8-96 pixels
SIZED = 100  # pictures whose size is looked at
MIN_GROUPS = 10


@dataclass(frozen=True)
class Layout:
    """What lies where: paths as the study will name them, relative to its folder."""

    base: Path  # the study's folder
    train: str
    test: str | None = None
    sample: str | None = None


@dataclass
class Moves:
    """What names suggest about mirrors and turns: proposals, never declared without a person."""

    pairs: dict[str, str] = field(default_factory=dict)  # classes of the target that change places in a mirror
    turns: dict[str, str] = field(default_factory=dict)  # what they become in a quarter turn
    angles: dict[str, float] = field(default_factory=dict)  # degrees, where the classes are directions
    partners: dict[str, str] = field(default_factory=dict)  # columns that change places in a mirror, both ways
    points: dict[str, tuple[str, str]] = field(default_factory=dict)  # columns of x and y, by the point's name


@dataclass
class Sketch:
    """Everything guessed, for `starter_text` to write down."""

    name: str
    layout: Layout
    target: Column
    target_kind: str  # label, labels or number
    separator: str | None = None
    root: str = "."
    image: Column | None = None
    size: int | None = None
    picture_shape: tuple[int, int] | None = None  # median height and width
    id: Column | None = None
    group: Column | None = None  # set in the study
    maybe_groups: list[Column] = field(default_factory=list)  # only mentioned
    features: list[tuple[Column, str]] = field(default_factory=list)  # with their kind
    left_out: list[tuple[Column, str, str]] = field(default_factory=list)  # with their kind and why
    moves: Moves = field(default_factory=lambda: Moves())
    split: Column | None = None


def init_study(path: str | Path, target: str | None = None, lang: str | None = None, out: str | Path | None = None) -> Path:
    """Look at a folder or a table, and write a commented study.yaml that runs.

    Args:
        path: A folder with pictures or tables, or a csv or parquet file.
        target: The column to predict; None: guessed.
        lang: Language of the comments: en, ja or auto; None: the one spoken now.
        out: Where to write; None: study.yaml beside the data.

    Raises:
        ConfigError: There is a study already.
        DataError: Nothing to start from, or a target that is not there or cannot be guessed.
    """
    from tamesu.starter_text import render

    path = Path(path)
    place = Path(out) if out is not None else (path if path.is_dir() else path.parent) / "study.yaml"
    if place.exists():
        raise ConfigError(say("{path}: must not exist yet; init never overwrites a study. Move it away first.", path=place))
    spoken = language()
    try:
        use_language(lang or spoken)
        sketch = look(path, place, target)
        write_atomically(place, render(sketch))
    finally:
        use_language(spoken)
    return place


def look(path: Path, place: Path, target: str | None = None) -> Sketch:
    """Everything a first study needs to know about the data at `path`, for a study at `place`.

    Raises:
        DataError: Nothing to start from, or a target that is not there or cannot be guessed.
    """
    layout = _layout(path, place)
    raw = _read(layout, layout.train)
    if guess.lacks_header(raw.columns):
        shown = ", ".join(map(repr, raw.columns[:5]))
        raise DataError(
            say("{where}: the first line must name the columns; got {shown}, …. Add such a line.", where=raw.where, shown=shown)
        )
    columns = guess.read_columns(raw.frame)
    test = None if layout.test is None else _read(layout, layout.test)
    sample = None if layout.sample is None else _read(layout, layout.sample)
    image, root = _image(columns, raw, layout)
    chosen = _target(columns, test, sample, image, target, raw.where)
    kind, separator = _target_kind(chosen)
    sketch = Sketch(_study_name(path), layout, chosen, kind, separator, root, image)
    wanted_id = str(sample.columns[0]) if sample is not None else None
    sketch.id = None if raw.id else guess.find_id([c for c in columns if c is not chosen], wanted_id, image)
    if image is not None:
        sketch.moves = _moves(sketch, columns)
    _sort_columns(sketch, columns, None if test is None else test.columns)
    if image is None and not sketch.features:
        shown = "; ".join(f"{column.name!r} ({why})" for column, _, why in sketch.left_out[:8])
        raise DataError(
            say(
                "{where}: must have a column to predict {target!r} from; all seem unfit: {shown}.",
                where=raw.where,
                target=chosen.name,
                shown=shown,
            )
        )
    if image is not None:
        sketch.picture_shape = _median_shape(image, raw.root if raw.id else layout.base / root)
        sketch.size = _size(sketch.picture_shape)
    return sketch


def _layout(path: Path, place: Path) -> Layout:
    if not path.exists():
        raise DataError(say("{path}: must be a folder, a csv or a parquet file; there is no such thing.", path=path))
    base = place.parent.resolve()

    def named(file: Path) -> str:
        return _from(base, file)

    folder = path if path.is_dir() else path.parent
    tables = sorted(
        file for file in folder.iterdir() if file.is_file() and file.name.lower().endswith((*CSV_SUFFIXES, *PARQUET_SUFFIXES))
    )
    tables = [file for file in tables if not file.name.lower().endswith("readme.txt")]
    sample = next((file for file in tables if "sample" in file.stem.lower() or "submission" in file.stem.lower()), None)
    tests = [file for file in tables if re.match(r"test\b|test_", file.name.lower())]
    trains = [path] if path.is_file() else [file for file in tables if re.match(r"train\b|train_", file.name.lower())]
    if not trains:
        rest = [file for file in tables if file != sample and file not in tests]
        if not rest or (len(rest) > 1 and _class_folders(folder)):
            return _folder_layout(folder, base, named)
        if len(rest) > 1:
            names = ", ".join(file.name for file in rest[:6])
            raise DataError(
                say(
                    "{path}: must hold one table, or one named train.csv; got {names}. Name the one to use.",
                    path=path,
                    names=names,
                )
            )
        trains = rest
    # A table beside train.csv belongs to it; beside any other file, nobody knows.
    goes_with = trains[0].stem.lower().startswith("train") or path.is_dir()
    test = tests[0] if tests and goes_with and tests[0] != trains[0] else None
    return Layout(base, named(trains[0]), named(test) if test else None, named(sample) if sample and test else None)


def _from(base: Path, file: Path) -> str:
    """`file` as the study in `base` names it: relative if it lies below."""
    file = file.resolve()
    return (file.relative_to(base) if file.is_relative_to(base) else file).as_posix()


def _folder_layout(folder: Path, base: Path, named: Callable[[Path], str]) -> Layout:
    inside = [folder / name for name in ("train", "training", "Train", "Training") if (folder / name).is_dir()]
    train = next((one for one in inside if _class_folders(one)), folder)
    if not _class_folders(train):
        raise DataError(
            say("{path}: must hold a csv or parquet table, or one folder of pictures per class; got neither.", path=folder)
        )
    tests = [folder / name for name in ("test", "Test", "testing", "Testing") if train != folder and (folder / name).is_dir()]
    test = next((one for one in tests if list_pictures(one)[0]), None)
    return Layout(base, named(train), None if test is None else named(test))


def _class_folders(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.name.startswith(".") and list_pictures(one)[0]]


def _read(layout: Layout, source: str) -> RawTable:
    return read_source(source, key="data.train", base=layout.base, root=layout.base, numbers=(), used=None)


def _image(columns: list[Column], raw: RawTable, layout: Layout) -> tuple[Column | None, str]:
    if raw.id is not None:
        return next(column for column in columns if column.name == raw.id), "."
    table = (layout.base / layout.train).parent
    for column in columns:
        root = guess.find_files(column, table)
        if root is not None:
            return column, _from(layout.base, table / root)
    return None, "."


def _target(
    columns: list[Column], test: RawTable | None, sample: RawTable | None, image: Column | None, target: str | None, where: str
) -> Column:
    names = [column.name for column in columns]
    if target is not None and target not in names:
        raise DataError(
            say(
                "{where}: the target must be a column; got {name!r}.{near}",
                where=where,
                name=target,
                near=suggest(target, names),
            )
        )
    wanted = [target] if target is not None else list(sample.columns[1:]) if sample is not None else []
    one = guess.find_target(columns, None if test is None else test.columns, wanted, image)
    if one is None:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise DataError(
            say("{where}: which column is the target? Name it with --target. Columns: {shown}.", where=where, shown=shown)
        )
    return one


def _target_kind(column: Column) -> tuple[str, str | None]:
    if column.is_quantity:
        return "number", None
    separator = guess.find_separator(column)
    return ("label", None) if separator is None else ("labels", separator)


def _moves(sketch: Sketch, columns: list[Column]) -> Moves:
    """What the names of classes and columns suggest, where there are pictures to be moved."""
    taken = [column.name for column in (sketch.target, sketch.image, sketch.id) if column is not None]
    points = proposals.point_columns([one.name for one in columns if one.numbers is not None and one.name not in taken])
    parts = {name for pair in points.values() for name in pair}
    pairs = proposals.mirror_pairs(column.name for column in columns if column.name not in parts)
    found = Moves(partners=pairs | {other: one for one, other in pairs.items()}, points=points)
    if sketch.target_kind == "number":
        return found
    cells = list(sketch.target.counts)
    if sketch.separator is not None:
        cells = [part.strip() for cell in cells for part in cell.split(sketch.separator) if part.strip()]
    names = sorted(set(cells))
    found.pairs, found.turns = proposals.mirror_pairs(names), proposals.turn_cycles(names)
    if sketch.target_kind == "label":
        found.angles = proposals.direction_angles(names)
    return found


def _sort_columns(sketch: Sketch, columns: list[Column], test_names: tuple[str, ...] | None) -> None:
    """What each other column is good for: a group, an input, or nothing by itself."""
    taken = {name for pair in sketch.moves.points.values() for name in pair}
    others = (sketch.target, sketch.image, sketch.id)
    rest = [column for column in columns if column not in others and column.name not in taken]
    sketch.split = guess.split_column(rest)
    for column in guess.find_groups(rest):
        if sketch.group is None and _is_clear_group(column, sketch.target, sketch.target_kind):
            sketch.group = column
        else:
            sketch.maybe_groups.append(column)
    for column in rest:
        kind = "number" if column.is_quantity or (column.numbers is not None and len(column.counts) > 2) else "label"
        if sketch.moves.partners.get(column.name) == sketch.target.name:
            kind = sketch.target_kind
        if column is sketch.group or column is sketch.split or not len(column.known):
            continue
        if test_names is not None and column.name not in test_names:
            sketch.left_out.append((column, kind, say("not in the test table")))
        elif guess.is_same_as(column, sketch.target):
            sketch.left_out.append((column, kind, say("says the same as the target")))
        elif len(column.counts) == 1 and not column.n_missing:
            sketch.left_out.append((column, kind, say("the same in every row")))
        elif column.is_name or (column.is_unique and column.words()[-1:] == ["id"]):
            sketch.left_out.append(
                (column, kind, say("{n} values in {rows} rows: rather a name", n=len(column.counts), rows=len(column.cells)))
            )
        elif column in sketch.maybe_groups:
            sketch.left_out.append((column, kind, say("may be a group, see below")))
        elif sketch.image is not None:
            sketch.left_out.append((column, kind, say("would it be known when predicting?")))
        else:
            sketch.features.append((column, kind))


def _is_clear_group(column: Column, target: Column, kind: str) -> bool:
    """Filled in every row, many, and no class inside one group alone."""
    if len([cell for cell in column.cells if cell is not None]) < len(column.cells) or len(column.counts) < MIN_GROUPS:
        return False
    if kind != "label":
        return True
    pairs = set(zip(target.cells, column.cells, strict=True))
    return all(sum(one == label for one, _ in pairs) >= 2 for label in target.counts)


def _median_shape(image: Column, root: Path) -> tuple[int, int] | None:
    names = image.known[:: max(1, len(image.known) // SIZED)][:SIZED].tolist()
    suffix = add_suffix(root, names)
    infos = [info for info in scan_files([root / (name + suffix) for name in names], None).infos if info is not None]
    if not infos:
        return None
    return int(np.median([info.height for info in infos])), int(np.median([info.width for info in infos]))


def _size(shape: tuple[int, int] | None) -> int | None:
    if shape is None:
        return None
    return max((size for size in SIZES if size <= min(shape)), default=min(shape))


def _study_name(path: Path) -> str:
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    return re.sub(r"[^\w.-]+", "-", folder.name).strip("-.") or "study"
