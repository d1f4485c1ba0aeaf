"""A preview of training pictures: samples as they are, as the first epochs see them, and through one exact mirror or turn.

What is shown is what `batches` makes: the same draws, maps, pictures and values. `make_sheet` says what is on the sheet,
`drawing` draws it. Rows without pictures are not moved in training; of these, the mirror shows what is declared.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.drawing import draw_sheet
from tamesu.draws import mixed, row_keys
from tamesu.errors import ConfigError, suggest
from tamesu.fields import PictureField
from tamesu.files import write_atomically
from tamesu.lettering import Lettering
from tamesu.meanings import changed_classes, meanings
from tamesu.moving import elements_drawn
from tamesu.sheet import Line, Sheet
from tamesu.tally import has_maps
from tamesu.texts import language, say, use_language
from tamesu.views import Column, Views

if TYPE_CHECKING:
    from tamesu.arms import Arm
    from tamesu.dataset import Dataset
    from tamesu.plan import Plan
    from tamesu.recipe import Recipe

SHOWN_KINDS = ("image", "mask", "depth", "points", "boxes", "vector", "angle", "direction", "series")
BETWEEN_SAMPLES = ("mixup", "cutmix", "paste")


def make_sheet(plan: Plan, arm: Arm, *, n: int = 8, n_variants: int = 4, rows: Sequence[str] = ()) -> Sheet:
    """What a preview shows.

    Args:
        arm: The baseline or an idea.
        n: Samples at most; every class appears as far as that goes, those that a map changes first.
        n_variants: Epochs of training shown.
        rows: Ids of the samples to show, in place of chosen ones.

    Raises:
        ConfigError: There is nothing to show, a row is not known, or a target does not say what a mirror does to it.
    """
    recipe = arm.recipe.leading
    if not any(field.kind in SHOWN_KINDS for field in recipe.fields.values()):
        raise ConfigError(
            say("preview: must have pictures, arrows, points, boxes or series to show; got a study of a table alone.")
        )
    train = plan.splits[0, 0].train
    if rows:
        wanted, n_left = _positions(plan.rows, rows), 0
    else:
        chosen, n_left = choose_rows(plan.rows.take(train), recipe, n)
        wanted = train[chosen]
    folds = np.where(np.isin(wanted, train), 0, 1).tolist()  # a row is scored in one fold only
    views = {fold: Views.of(plan, recipe, fold) for fold in sorted(set(folds))}
    columns = _columns(recipe, n_variants)
    ids = plan.rows.ids[wanted]
    lines = [line for one, fold in zip(ids, folds, strict=True) for line in views[fold].lines(one, columns)]
    return Sheet(f"{plan.config.name} · {arm.name}", tuple(lines), tuple(_remarks(recipe, n_left)), _marked(lines))


@dataclass(frozen=True)
class Preview:
    """A preview that was written.

    Attributes:
        path: The PNG file.
        sentences: What mirrors and turns mean for each target, names that the font could not write, how to see an idea.
    """

    path: Path
    sentences: tuple[str, ...]


def write_preview(plan: Plan, arm: Arm, path: Path, *, size: int = 160, **options: Any) -> Preview:
    """Draw a preview into a PNG file.

    Args:
        size: Pixels of a picture's longer side on the sheet.
        options: As of `make_sheet`.

    Raises:
        ConfigError: As `make_sheet` does.
        StoreError: The file cannot be written.
    """
    lettering, spoken = Lettering(), language()
    if not lettering.can_write(say("original")):
        use_language("en")  # on the sheet only: what the font cannot write, nobody can read
    try:
        image = draw_sheet(make_sheet(plan, arm, **options), size, lettering)
    finally:
        use_language(spoken)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
    sentences = meanings(plan.rows, arm.recipe.leading)
    if lettering.numbers:
        sentences.append(say("No font here has all characters; on the sheet stand numbers for these names:"))
        sentences += [f"#{number} = {name}" for name, number in lettering.numbers.items()]
    if not has_maps(arm.recipe.leading):
        ideas = ", ".join(dict.fromkeys(repr(one.idea) for one in plan.arms[1:] if has_maps(one.recipe.leading)))
        sentences.append(say("{arm} mirrors and turns no picture.", arm=arm.name))
        if ideas:
            sentences.append(say("Ideas that do: {ideas}. To see one, name it with --idea.", ideas=ideas))
    return Preview(path, tuple(sentences))


def choose_rows(rows: Dataset, recipe: Recipe, n: int) -> tuple[NDArray[np.int64], int]:
    """At most n rows in which as many classes appear as can be, and how many do not; the same for the same rows.

    Classes that a mirror or a turn changes come first, each beside the one it becomes.
    """
    order = np.argsort(mixed(row_keys(rows.ids)), kind="stable").tolist()
    held: list[set[tuple[str, str]]] = [set() for _ in order]  # of each row, (field, class)
    wanted: list[tuple[str, str]] = []
    for name, field in sorted(recipe.fields.items(), key=lambda one: not one[1].target):
        if field.kind in ("label", "labels", "direction") and name in rows.table:
            for i, value in enumerate(rows.values(name, field)):
                held[i] |= {(name, one) for one in (value if field.kind == "labels" else (value,))}
            classes = rows.classes.get((name, field.kind), ())
            changed = changed_classes(field, classes)
            others = [one for one in classes if one not in changed] if field.target else []
            wanted += [(name, one) for one in (*changed, *others)]
    first: dict[tuple[str, str], int] = {}
    for i in order:
        for one in held[i]:
            first.setdefault(one, i)
    chosen: dict[int, None] = {}
    found: set[tuple[str, str]] = set()
    for one in wanted:
        if one in first and one not in found and len(chosen) < n:
            chosen[first[one]] = None
            found |= held[first[one]]
    n_left = sum(one in first and one not in found for one in wanted)
    chosen |= dict.fromkeys([i for i in order if i not in chosen][: max(0, n - len(chosen))])
    return np.array(list(chosen), dtype=np.int64), n_left


def _columns(recipe: Recipe, n_variants: int) -> list[Column]:
    has_pictures = any(isinstance(field, PictureField) for field in recipe.inputs.values())
    n_epochs = min(n_variants, recipe.train.epochs) if has_pictures else 0
    columns = [Column(say("epoch {n}", n=epoch + 1), epoch=epoch) for epoch in range(n_epochs)]
    elements = elements_drawn(recipe.augment)
    if not has_pictures or recipe.augment.mirror or any(element >= 4 for element in elements):
        columns.append(Column(say("mirrored"), mirrored=True))
    if recipe.augment.flip:
        columns.append(Column(say("flipped"), mirrored=True, turns=2))
    if 1 in elements:
        columns.append(Column(say("turned by 90°"), turns=1))
    return columns


def _remarks(recipe: Recipe, n_left: int) -> list[str]:
    if any(isinstance(field, PictureField) for field in recipe.inputs.values()):
        found = [
            say(
                "Left the original, then what training sees in its first epochs, then exact maps. "
                "A changed value has a coloured ground."
            )
        ]
    else:
        found = [say("Rows without pictures stay as they are in training; the mirror shows what the study declares.")]
    between = [name for name in BETWEEN_SAMPLES if getattr(recipe.augment, name)]
    if between:
        found.append(say("Not shown: {names}, which join samples of a batch.", names=", ".join(between)))
    if n_left:
        found.append(say("{n} more classes have no sample here; --n shows more of them, --rows those you name.", n=n_left))
    return found


def _marked(lines: Sequence[Line]) -> dict[str, tuple[str, ...]]:
    """By field the names that have a colour, in the order they turn up."""
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        for cell in line.cells:
            for mark in cell.marks:
                found.setdefault(mark.field, {})[mark.name] = None
            for area in cell.areas:
                for one in np.unique(area.ids):
                    if one != area.background:
                        found.setdefault(area.field, {})[area.name(int(one))] = None
            for track in cell.tracks:
                found.setdefault(track.field, {}).update(dict.fromkeys(track.lines))
    return {field: tuple(names) for field, names in found.items()}


def _positions(rows: Dataset, ids: Sequence[str]) -> NDArray[np.int64]:
    place = {str(one): i for i, one in enumerate(rows.ids)}
    unknown = [one for one in ids if one not in place]
    if unknown:
        raise ConfigError(
            [
                say("--rows: must name training rows of the study; got {name!r}.{hint}", name=one, hint=suggest(one, place))
                for one in unknown
            ]
        )
    return np.array([place[one] for one in ids], dtype=np.int64)
