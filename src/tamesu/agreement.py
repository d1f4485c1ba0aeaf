"""Whether the fields of one table agree: places lie in their picture, masks fit it, and the settings name what the data hold.

Everything here looks at a whole table at once and names at most five rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.check_depth import check_camera
from tamesu.classes import Typed
from tamesu.dataset import Dataset
from tamesu.errors import DataError, suggest
from tamesu.fields import BoxesField, DepthField, EventsField, Field, MaskField, PointsField, SeriesField, StepsField, some_rows
from tamesu.findings import Findings
from tamesu.losses import class_weight_mistakes
from tamesu.picture_contents import mask_ids, n_readings
from tamesu.picture_files import Progress
from tamesu.placement import check_boxes, check_points
from tamesu.series_agreement import check_events, check_series, check_steps
from tamesu.symmetry import name_mistakes
from tamesu.texts import say

Versions = Mapping[str, list[Field]]


def check_agreement(
    dataset: Dataset, typed: Typed, fields: Versions, where: Mapping[str, str], progress: Progress | None = None
) -> Findings:
    """Compare the fields of one table with each other.

    Args:
        dataset: The table.
        typed: Every version of its fields, with its values.
        fields: By name, every version of each field over all arms.
        where: What messages about each field start with.
        progress: Called with (done, total) while masks and depth maps are looked into.

    Raises:
        OSError: What masks and depth maps hold cannot be kept in the cache.
    """
    found = Findings()
    for name in dataset.pictures:
        for one in _different(fields[name]):
            _check_picture(found, dataset, name, one, fields, where[name], progress)
    for name, one, values in typed:
        if isinstance(one, PointsField):
            check_points(found, where[name], one, values, dataset, picture_of(name, one, fields))
        elif isinstance(one, BoxesField):
            whole = one.model_copy(update={"drop_empty": False}).read(dataset.table[name], dataset.ids, where[name])
            check_boxes(found, where[name], one, whole, dataset, picture_of(name, one, fields))
        elif isinstance(one, SeriesField):
            check_series(found, where[name], one, values, dataset.table[name], dataset.ids)
        elif isinstance(one, StepsField):
            check_steps(found, where[name], one, values, dataset, fields)
        elif isinstance(one, EventsField):
            check_events(found, where[name], one, values, dataset, fields)
        _check_partner(found, name, one, dataset, where)
    return found


def unknown_names(typed: Typed, fields: Versions, classes: Mapping[tuple[str, str], tuple[str, ...]]) -> list[str]:
    """Names in `mirror`, `turn`, `merge`, `order`, `angles` and `loss` that nothing in the rows or the field is called."""
    mistakes = []
    pictures = [(name, one, None) for name, versions in fields.items() for one in versions if isinstance(one, MaskField)]
    for name, one, _ in [*typed, *pictures]:
        known = classes.get((name, one.kind), ())
        mistakes += [f"fields.{name}.{setting}: {text}" for setting, text in _unknown(one, known)]
    return list(dict.fromkeys(mistakes))


def picture_of(name: str, one: Any, fields: Versions) -> str | None:
    """The picture a field lies on: the one it names, else the only image, else the only depth map; None where that is open."""
    if one.of is not None:
        return str(one.of) if any(other.is_picture for other in fields.get(one.of, [])) else None
    for kind in ("image",) if one.kind == "depth" else ("image", "depth"):
        named = [other for other in fields if other != name and any(version.kind == kind for version in fields[other])]
        if named:
            return named[0] if len(named) == 1 else None
    return None


def _different(versions: list[Field]) -> list[Field]:
    """The versions that are pictures, each way to look at them once."""
    seen: dict[Any, Field] = {}
    for one in versions:
        if isinstance(one, MaskField):
            seen.setdefault((one.of, one.outside, tuple(one.names)), one)
        elif isinstance(one, DepthField):
            seen.setdefault((one.of, one.missing, one.camera), one)
    return list(seen.values())


def _check_picture(
    found: Findings, dataset: Dataset, name: str, one: Any, fields: Versions, where: str, progress: Progress | None
) -> None:
    of = picture_of(name, one, fields)
    if of in dataset.pictures:
        _check_sizes(found, where, dataset, name, str(of), is_sure=one.of is not None or one.kind == "mask")
    if one.kind == "depth" and one.camera is not None:
        check_camera(found, where, one.camera, dataset.pictures[name].shapes, dataset.ids)
    try:
        if one.kind == "mask":
            _check_ids(found, where, one, mask_ids(dataset.pictures[name], progress), dataset.ids)
            return
        blank = n_readings(dataset.pictures[name], progress) == 0
    except DataError as error:
        found.mistakes += error.mistakes
        return
    if len(blank) and blank.all():
        text = say(
            "{where}: no picture holds a reading; all pixels are {missing}. Is `missing` right?",
            where=where,
            missing=f"{one.missing:g}",
        )
        found.warnings.append(text)
    elif blank.any():
        text = say("{where}: every pixel of {rows} is without a reading.", where=where, rows=some_rows(dataset.ids, blank))
        found.warnings.append(text)


def _check_sizes(found: Findings, where: str, dataset: Dataset, name: str, of: str, is_sure: bool) -> None:
    own, other = dataset.pictures[name].shapes, dataset.pictures[of].shapes
    differs = (own != other).any(axis=1)
    if not differs.any():
        return
    i = int(differs.argmax())
    shown = {"h": own[i, 0], "w": own[i, 1], "h_of": other[i, 0], "w_of": other[i, 1]}
    rows = some_rows(dataset.ids, differs)
    if is_sure:
        text = say(
            "{where}: {rows} must be as large as {of!r}; got {h} × {w} where it has {h_of} × {w_of} pixels.",
            where=where,
            rows=rows,
            of=of,
            **shown,
        )
        found.mistakes.append(text)
    else:
        text = say(
            "{where}: {rows} and {of!r} differ in size ({h} × {w}, {h_of} × {w_of} pixels): each is fitted into the frame by "
            "itself. If they show the same pixels, make them alike and write `of: {of}`.",
            where=where,
            rows=rows,
            of=of,
            **shown,
        )
        found.warnings.append(text)


def _check_ids(found: Findings, where: str, one: MaskField, ids_of: list[NDArray[np.int64]], ids: NDArray[Any]) -> None:
    background = {0, one.outside}
    blank = np.array([background.issuperset(held.tolist()) for held in ids_of], dtype=bool)
    if len(blank) and blank.all():
        text = say(
            "{where}: every mask is empty; got no id but {ids}.", where=where, ids=", ".join(map(str, sorted(background)))
        )
        found.mistakes.append(text)
    elif blank.any():
        found.warnings.append(say("{where}: no object lies in the masks of {rows}.", where=where, rows=some_rows(ids, blank)))
    if not one.names:
        return
    strange = [set(held.tolist()) - background - set(one.names) for held in ids_of]
    mask = np.array([bool(one) for one in strange], dtype=bool)
    if mask.any():
        numbers = sorted(set().union(*strange))
        text = say(
            "{where}: {rows} must hold only ids that `names` lists; got {ids}. Add what is missing to `names`.",
            where=where,
            rows=some_rows(ids, mask),
            ids=", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else ""),
        )
        found.mistakes.append(text)


def _check_partner(found: Findings, name: str, one: Field, dataset: Dataset, where: Mapping[str, str]) -> None:
    """In a mirror the field takes its partner's cells: it must be able to read them."""
    partner = one.swap_with
    if partner is None or partner not in dataset.table:
        return
    try:
        one.read(dataset.table[partner], dataset.ids, where[partner])
    except DataError as error:
        for text in error.mistakes:
            found.mistakes.append(say("fields.{name}.mirror: swap_with reads {text}", name=name, text=text))


def _unknown(one: Field, classes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(setting, sentence) for each name that is not known."""
    yield from (
        ("loss", text)
        for text in class_weight_mistakes(one, tuple(one.names.values()) if isinstance(one, MaskField) else classes)
    )
    if one.kind in ("label", "labels", "boxes"):
        for setting in ("mirror", "turn"):
            yield from ((setting, text) for text in name_mistakes(getattr(one, setting, None), classes))
        for name in dict.fromkeys(text for pair in getattr(one, "merge", {}).items() for text in pair):
            if name not in classes:
                hint = suggest(name, classes)
                yield "merge", say("must name classes of the training rows; got {name!r}.{hint}", name=name, hint=hint)
        order = getattr(one, "order", ())
        for name in order:
            if name not in classes:
                hint = suggest(name, classes)
                yield "order", say("must name classes of the training rows; got {name!r}.{hint}", name=name, hint=hint)
        lacking = [name for name in classes if order and name not in order]
        if lacking:
            yield "order", say("must name every class; it lacks {names}.", names=", ".join(map(repr, lacking[:5])))
    elif one.kind == "direction":
        yield from (("angles", text) for text in name_mistakes({angle: angle for angle in one.angles}, classes))
    elif isinstance(one, PointsField | MaskField) and isinstance(one.mirror, dict):
        own = one.point_names if isinstance(one, PointsField) else tuple(one.names.values())
        for name in dict.fromkeys(text for pair in one.mirror.items() for text in pair):
            if name not in own and name != "never":
                hint = suggest(name, own)
                yield "mirror", say("must name what the field itself names; got {name!r}.{hint}", name=name, hint=hint)
