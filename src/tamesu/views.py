"""How training sees single rows: the original, one epoch's draw, or an exact mirror or turn, with their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.batches import allowed_rows, draw_batch_maps, full_maps, maps_of, seen_pictures, varied_pictures
from tamesu.draws import Draws, make_draws
from tamesu.feed import Feed
from tamesu.fields import PictureField
from tamesu.maps import Maps, make_maps, whole_frames
from tamesu.moving import decided
from tamesu.pixels import fit_pixels
from tamesu.sheet import Cell, Line
from tamesu.shown import areas_of, describe, limits_of, marks_of, notes_of, rgb_of, tracks_of
from tamesu.tally import training_feed
from tamesu.texts import say
from tamesu.trial import make_seed
from tamesu.warp import view

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.plan import Plan
    from tamesu.recipe import Recipe

ORIGINAL_SIDE = 320  # originals are shown at most this large
MAX_NOTES = 8  # values in words under a picture
ARROWS = ("vector", "angle", "direction")
WITHOUT_VALUE = ("group", "id", "ignore")
BLANK = (96, 96)  # height and width of the ground that rows without pictures are drawn on
Values = dict[str, Any]  # by field, as its `read` gives them, one a sample


@dataclass(frozen=True)
class Column:
    """What one cell of each line shows."""

    title: str
    epoch: int | None = None  # of training
    mirrored: bool = False  # an exact map, where it is no epoch
    turns: int = 0


class _View(NamedTuple):
    """How one row is seen; without values where it is never seen so."""

    title: str
    how: str
    pictures: Mapping[str, NDArray[Any]]  # by field (1, h, w, c)
    values: Values


@dataclass(frozen=True, eq=False)
class Views:
    """The training rows of one fold, and how they are seen."""

    rows: Dataset
    recipe: Recipe
    feed: Feed  # of a training: what maps are drawn from
    shown: Feed  # the same with every picture that is declared, given to the learner or not
    seed: int
    fold: int

    @classmethod
    def of(cls, plan: Plan, recipe: Recipe, fold: int) -> Views:
        """The training rows of one fold of the first repeat, as a training with this recipe sees them."""
        rows = plan.rows.take(plan.splits[0, fold].train)
        feed = training_feed(rows, recipe)
        if any(rows.pictures[name].dtype.kind == "f" for name in feed.given):
            feed = feed.with_ranges({name: (one.low, one.high) for name, one in fit_pixels(feed).items()})
        declared = {name: one for name, one in recipe.fields.items() if isinstance(one, PictureField)}
        beside = {name: one for name, one in declared.items() if name not in feed.pictures}
        shown = replace(
            feed,
            pictures={**feed.pictures, **{name: rows.pictures[name] for name in beside}},
            fields={**feed.fields, **beside},
        )
        return cls(rows, recipe, feed, shown, make_seed(recipe.train.seed, 0, fold), fold)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where the row with an id is."""
        return {str(one): i for i, one in enumerate(self.rows.ids)}

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The pictures that have a line of their own; masks lie on the picture they belong to."""
        names = [name for name, one in self.shown.fields.items() if one.kind in ("image", "depth")]
        names.sort(key=lambda name: self.shown.fields[name].kind != "image")
        return tuple(names) or tuple(self.shown.fields)[:1] or ("",)

    def base_of(self, field: Any) -> str:
        """The picture that a field is drawn on."""
        of = getattr(field, "of", None)
        first = next(iter(self.shown.pictures), None) if field.is_placed else None  # whose maps `maps_of` takes
        return next((one for one in (of, first) if one in self.bases), self.bases[0])

    def lines(self, row: str, columns: Sequence[Column]) -> list[Line]:
        """One line for each picture of a row: the original, then what each column asks for."""
        index = np.array([self.position[str(row)]])
        original = self._values(index, None, None)
        views = [self._view(index, column) for column in columns]
        names = self._noted(original, [one.values for one in views if one.values])
        lines = []
        for base in self.bases:
            first = self._original(index, base, original)
            limits = limits_of(first.pictures[base][0], self.shown.fields[base]) if base else None
            cells = [self._cell(one, base, original, names, limits) for one in (first, *views)]
            lines.append(Line(str(row), base if len(self.bases) > 1 else "", self.fold, tuple(cells)))
        return lines

    def _view(self, index: NDArray[np.int64], column: Column) -> _View:
        feed = self.feed
        if column.epoch is None:
            inner = make_maps(feed.size if feed.pictures else BLANK, mirrored=[column.mirrored], turns=[column.turns])
            if not (allowed_rows(feed, index, inner) & self._allowed_values(index, inner)).all():
                return _View(column.title, say("never seen in training"), {}, {})
            pictures = {name: seen_pictures(self.shown, name, index, inner) for name in self.shown.pictures}
            how = say("and nothing else")
        else:
            draws = Draws(make_draws(feed.keys, self.seed, column.epoch).keys[index])
            inner = draw_batch_maps(feed, index, draws)
            seen = {name: seen_pictures(self.shown, name, index, inner) for name in self.shown.pictures}
            pictures = {name: varied_pictures(self.shown, name, index, one, draws) for name, one in seen.items()}
            how = describe(inner)
        maps = full_maps(self.shown, index, inner) or {"": inner}
        return _View(column.title, how, pictures, self._values(index, inner, maps))

    def _allowed_values(self, index: NDArray[np.int64], inner: Maps) -> NDArray[np.bool_]:
        """What `allowed_rows` says, for rows without pictures: a feed of these asks nobody."""
        allowed = np.ones(len(index), dtype=bool)
        some = self.rows.take(index)
        for name, field in self.recipe.fields.items():
            if not self.feed.pictures and field.kind not in WITHOUT_VALUE and name in some.table:
                allowed &= (field if field.is_predicted else decided(field)).allows(some.values(name, field), inner)
        return allowed

    def _values(self, index: NDArray[np.int64], inner: Maps | None, maps: Mapping[str, Maps] | None) -> Values:
        """The typed values of these rows, as the maps leave them."""
        out: Values = {}
        some = self.rows.take(index)
        for name, field in self.recipe.fields.items():
            if field.kind in WITHOUT_VALUE or field.is_picture or name not in some.table:
                continue
            values = some.values(name, field)
            if inner is not None and maps is not None:
                own = maps_of(field, maps) if field.is_predicted or field.is_placed else inner
                if field.swap_with in some.table and inner.mirrored.any():  # one row: all of it is mirrored
                    values = some.values(str(field.swap_with), field)
                values = (field if field.is_predicted else decided(field)).act(values, own)
            out[name] = values
        return out

    def _original(self, index: NDArray[np.int64], base: str, original: Values) -> _View:
        """The picture whole and in its own proportions."""
        if not base:
            return _View(say("original"), "", {}, original)
        shape, fields = self.shown.pictures[base].shapes[index], self.recipe.fields
        small = np.maximum(1, np.rint(shape[0] * min(1.0, ORIGINAL_SIDE / shape[0].max()))).astype(int)
        size = (int(small[0]), int(small[1]))
        pictures = {
            name: view(one, index, None, self.shown.fields[name], size, "stretch", self.shown.augment.border)
            for name, one in self.shown.pictures.items()
        }
        maps = whole_frames(shape, size)
        values = {name: fields[name].act(one, maps) if fields[name].is_placed else one for name, one in original.items()}
        how = say("{height} × {width} pixels", height=shape[0][0], width=shape[0][1])
        return _View(say("original"), how, pictures, values)

    def _cell(
        self, shown: _View, base: str, original: Values, names: Sequence[str], limits: tuple[float, float] | None
    ) -> Cell:
        values, fields = shown.values or original, self.recipe.fields
        notes = () if base != self.bases[0] else notes_of(fields, values, original, names)  # true of all of a row's pictures
        if not shown.values:
            return Cell(shown.title, shown.how, None, notes=notes)
        here = {name: one for name, one in values.items() if self.base_of(fields[name]) == base}
        has_marks = any(fields[name].is_placed or fields[name].kind in ARROWS for name in here)
        pixels = np.full((*(BLANK if has_marks else (1, BLANK[1])), 3), 255, dtype=np.uint8)
        if base:
            pixels = rgb_of(shown.pictures[base][0], self.shown.fields[base], limits)
        masks = {
            name: (one, shown.pictures[name][0, :, :, 0])
            for name, one in self.shown.fields.items()
            if one.kind == "mask" and self.base_of(one) == base
        }
        return Cell(
            shown.title,
            shown.how,
            pixels,
            marks=marks_of(fields, here, self.lengths, pixels.shape[:2]),
            areas=areas_of(masks),
            notes=notes,
            tracks=tracks_of(fields, here),
        )

    def _noted(self, original: Values, moved: Sequence[Values]) -> list[str]:
        """The fields in words: targets, then those that some map changes, then others while there is room."""
        fields = self.recipe.fields
        worded = [name for name in original if not fields[name].is_placed and fields[name].kind != "series"]
        changed = {one.field for values in moved for one in notes_of(fields, values, original, worded) if one.is_changed}
        return sorted(worded, key=lambda name: 0 if fields[name].target else 1 if name in changed else 2)[:MAX_NOTES]

    @cached_property
    def lengths(self) -> dict[str, float]:
        """By vector field the length of its longest arrow."""
        out = {}
        for name, field in self.recipe.fields.items():
            if field.kind == "vector" and name in self.rows.table:
                arrows = self.rows.values(name, field)[:, :2]
                out[name] = float(np.nanmax(np.hypot(arrows[:, 0], arrows[:, 1]), initial=0.0)) or 1.0
        return out
