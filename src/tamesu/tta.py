"""Test-time augmentation: scored pictures seen through several maps, each prediction moved back, all of them averaged.

A picture is always seen as it is. Beside that `mirror` shows it mirrored, `turns` by the three quarter turns (with `mirror`
also mirrored: all eight symmetries of the square), and `draws: n` through n more maps, drawn from `augment` as in training but
from (row id, number of the draw) alone. Targets are never read: which maps say anything is known from the declarations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import is_off
from tamesu.config import AugmentConfig, StudyConfig, TtaConfig
from tamesu.draws import Draws, make_draws
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps, make_maps
from tamesu.mistakes import Mistake, must_be
from tamesu.moving import allowed_elements, elements_drawn, moved_rows, symmetry_maps
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.batches import InnerMaps
    from tamesu.dataset import Dataset
    from tamesu.feed import Feed
    from tamesu.preprocess import FittedInputs
    from tamesu.recipe import Recipe
    from tamesu.targets import Target

SEED = 2**40  # trainings have seeds below 2**31: no map here is one that a network was trained on
MOVING = ("mirror", "flip", "turn", "translate")  # chances and shares of `augment` that make a map
STRETCHING = ("rotate_deg", "scale", "aspect", "shear_deg", "crop")  # and its magnitudes


def tta_feed(plain: Feed, rows: Dataset, recipe: Recipe, inputs: FittedInputs) -> Feed:
    """Rows that are scored, with what the maps they are seen through make of the table.

    Args:
        plain: The same rows without that, as `make_feed` makes them.
        inputs: Fitted on the training rows.
    """
    elements = set(_exact(recipe.tta))
    if recipe.tta.draws:
        elements |= set(elements_drawn(recipe.augment))
    if not elements or not plain.pictures:
        return plain
    fields = {name: one for name, one in recipe.inputs.items() if one.kind in ("label", "number")}
    moved = {element: moved_rows(rows, fields, element) for element in sorted(elements)}
    return replace(
        plain,
        moved_inputs={element: inputs.transform(one) for element, one in moved.items() if one is not None},
        allowed=allowed_elements(rows, fields),
    )


def tta_views(feed: Feed, tta: TtaConfig, targets: Mapping[str, Target]) -> list[InnerMaps | None]:
    """What pictures are seen through, one after the other; None: as they are, which comes first.

    Symmetries that say nothing of any target (a mirror, where none may be mirrored) are left out.

    Args:
        feed: Rows that are scored, from `tta_feed`.
    """
    views: list[InnerMaps | None] = [None]
    if not feed.pictures:
        return views
    for element in _exact(tta):
        if any(one.speaks(symmetry_maps(element, 1)).any() for one in targets.values()):
            views.append(_exact_view(feed, element))
    return views + [_drawn_view(feed, targets, number) for number in range(tta.draws)]


def move_back(target: Target, prediction: NDArray[Any], feed: Feed, maps: Maps) -> NDArray[Any]:
    """A prediction made through maps, for all rows of a feed in order; NaN for rows whose inputs do not allow the map.

    Args:
        maps: From original pixels to the frame, as `Batch.maps` has them.
    """
    back = target.move_back(prediction, maps)
    if feed.allowed is not None:
        back[~feed.allowed[np.arange(len(feed)), maps.elements]] = np.nan
    return back


def all_maps(parts: Sequence[Maps]) -> Maps:
    """The maps of several batches as one."""
    return Maps(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("matrix", "source", "target")))


def tta_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """Views that show nothing new, or nothing that could be put back."""
    tta = config.tta
    pictures = any(one.is_picture and one.is_given for one in config.fields.values())
    for key, asked in (("mirror", tta.mirror), ("turns", tta.turns), ("draws", tta.draws)):
        if asked and not pictures:
            yield must_be(("tta", key), say("left out where no input is a picture"), asked)
    if not pictures:
        return
    for name, field in config.fields.items():
        if field.target and tta.mirror and field.swap_with is not None:
            text = say(
                "must be off where the target {name!r} changes places with {other!r} in a mirror: a mirrored picture shows the "
                "other one's value.",
                name=name,
                other=field.swap_with,
            )
            yield Mistake(("tta", "mirror"), text)
        for key, move, asked in (("mirror", "mirror", tta.mirror), ("turns", "turn", tta.turns)):
            if field.target and asked and getattr(field, move, None) == "never":
                text = say(
                    "must be off where fields.{name}.{move} is never: no picture seen so says anything of the target.",
                    name=name,
                    move=move,
                )
                yield Mistake(("tta", key), text)
    if tta.draws and not _moves(config.augment):
        yield must_be(("tta", "draws"), say("0 where `augment` draws no map: pictures would be seen as they are"), tta.draws)


def _moves(augment: AugmentConfig) -> bool:
    around = {"scale": 1.0, "aspect": 1.0}
    return any(getattr(augment, name) for name in MOVING) or not all(
        is_off(getattr(augment, name), around.get(name, 0.0)) for name in STRETCHING
    )


def _exact(tta: TtaConfig) -> tuple[int, ...]:
    """The symmetries of the square, beside none, that are asked for."""
    turns = range(4) if tta.turns else range(1)
    return tuple(side + k for side in ((0, 4) if tta.mirror else (0,)) for k in turns if side + k)


def _exact_view(feed: Feed, element: int) -> InnerMaps:
    one = make_maps(feed.size, mirrored=element >= 4, turns=element % 4)
    return lambda index: one[np.zeros(len(index), dtype=np.int64)]


def _drawn_view(feed: Feed, targets: Mapping[str, Target], number: int) -> InnerMaps:
    keys = make_draws(feed.keys, SEED, number).keys

    def view(index: NDArray[np.int64]) -> Maps:
        def allows(maps: Maps) -> NDArray[np.bool_]:
            spoken = np.all([one.speaks(maps) for one in targets.values()], axis=0)
            return spoken if feed.allowed is None else spoken & feed.allowed[index, maps.elements]

        return draw_maps(feed.augment, feed.size, Draws(keys[index]), allows)

    return view
