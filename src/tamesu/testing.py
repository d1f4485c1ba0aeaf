"""Contract checks for learners and kinds of field of your own, and toy data whose answer is known.

from tamesu.testing import check_learner
def test_my_learner():
    check_learner(MyLearner())
"""

from __future__ import annotations

import copy
import random
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.config import AugmentConfig, DecidedTrainConfig, FeaturesConfig, ModelConfig, SklearnConfig, TreesConfig
from tamesu.dataset import Dataset
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import AngleField, Boxes, Field, FieldBase, ImageField, LabelField, NumberField
from tamesu.maps import make_maps
from tamesu.symmetry import N_ELEMENTS, product

if TYPE_CHECKING:
    from tamesu.learners.base import Learner
    from tamesu.maps import Maps
    from tamesu.recipe import Recipe

Size = tuple[int, int]
Augmentation = Callable[[NDArray[Any], Draws], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ArrayPictures:
    """Pictures held in memory, with the interface of `tamesu.pictures.Pictures`.

    Attributes:
        arrays: One (h, w, c) array a row.
    """

    arrays: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.arrays)

    def take(self, index: NDArray[Any] | Sequence[int] | slice) -> ArrayPictures:
        """These pictures, in this order."""
        return ArrayPictures(tuple(self.arrays[i] for i in np.arange(len(self))[index]))

    @property
    def channels(self) -> int:
        """Channels of every picture."""
        return int(self.arrays[0].shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.arrays[0].dtype

    @property
    def shapes(self) -> NDArray[np.int64]:
        """Heights and widths.  (n, 2)"""
        return np.array([one.shape[:2] for one in self.arrays])

    def sizes(self, index: NDArray[Any]) -> NDArray[np.int64]:
        """Heights and widths of these.  (b, 2)"""
        return self.shapes[index]

    def read(self, i: int, size: Size) -> NDArray[Any]:
        """One picture.  (h, w, c)"""
        return self.arrays[i]

    def read_many(self, index: NDArray[Any], size: Size) -> NDArray[Any] | None:
        """These pictures where all are equally large.  (b, h, w, c)"""
        chosen = [self.arrays[i] for i in index]
        return np.stack(chosen) if len({one.shape for one in chosen}) == 1 else None

    def prepare(self, size: Size, progress: Any = None) -> None:
        """Nothing to do."""

    def original(self, i: int) -> NDArray[Any]:
        """One picture.  (h, w, c)"""
        return self.arrays[i]


def toy_pictures(n: int = 64, size: Size = (12, 12), channels: int = 1, seed: int = 0, dtype: str = "uint8") -> Dataset:
    """Pictures with a bright half: `side` is "left" or "right", `share` how bright (0–1), `shade` a class of it.

    A mirror turns left into right. Fields: picture (image), side (label), shade (label), both (labels), share (number).
    """
    rng = np.random.default_rng(seed)
    side, share = rng.integers(0, 2, n), rng.uniform(0.2, 1, n)
    full = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    values = rng.uniform(0, 0.2, (n, *size, channels))
    half = size[1] // 2
    for i in range(n):
        values[i, :, half * side[i] : half * (side[i] + 1)] += 0.7 * share[i]
    names, shades = np.array(["left", "right"], dtype=object)[side], np.where(share > 0.6, "bright", "dim").astype(object)
    table = pd.DataFrame({"side": names, "shade": shades, "both": names + " " + shades, "share": share})
    return _dataset(table, {"picture": ArrayPictures(tuple((values * full).astype(dtype)))})


def toy_tables(n: int = 64, seed: int = 0) -> Dataset:
    """A table: `answer` is "yes" where `size` + (`colour` is red) > 0, `amount` is 3 `size` + 10, `noise` says nothing.

    Fields: size, noise (numbers, some missing), colour (label), answer (label), amount (number).
    """
    rng = np.random.default_rng(seed)
    size, red = rng.normal(size=n), rng.integers(0, 2, n)
    table = pd.DataFrame(
        {
            "size": size,
            "noise": np.where(rng.uniform(size=n) < 0.1, np.nan, rng.normal(size=n)),
            "colour": np.where(red == 1, "red", "blue").astype(object),
            "answer": np.where(size + red > 0.5, "yes", "no").astype(object),
            "amount": 3 * size + 10,
        }
    )
    return _dataset(table, {})


def toy_recipe(fields: dict[str, Field], size: Size = (0, 0), **sections: Any) -> Recipe:
    """A recipe that trains in a moment; `augment`, `model`, `train`, `trees`, `sklearn`, `features` take mappings."""
    from tamesu.recipe import Recipe

    quick = {"epochs": 3, "batch_size": 16}
    return Recipe(
        fields=fields,
        upright=False,
        despite=None,
        size=size,
        augment=AugmentConfig(**sections.get("augment", {})),
        learner=sections.get("learner", "torch"),
        model=ModelConfig(**{"width": 8, "depth": 1, "hidden": 16} | sections.get("model", {})),
        train=DecidedTrainConfig(**quick | sections.get("train", {})),
        trees=TreesConfig(**{"rounds": 20} | sections.get("trees", {})),
        sklearn=SklearnConfig(**sections.get("sklearn", {})),
        features=FeaturesConfig(**sections.get("features", {})),
    )


PICTURE_FIELDS: dict[str, Field] = {"picture": ImageField(), "side": LabelField(target=True)}
TABLE_FIELDS: dict[str, Field] = {"size": NumberField(), "colour": LabelField(), "answer": LabelField(target=True)}


def check_learner(
    learner: Learner, /, *, pictures: bool = True, tables: bool = True, exact: bool = True, **settings: Any
) -> None:
    """Raises where a learner breaks the contract that verdicts stand on.

    Args:
        learner: What is checked; it is trained a dozen times on toy data.
        settings: Sections of the recipe it is trained with (see `toy_recipe`), its name in `learner` among them.
        pictures: Whether it takes pictures.
        tables: Whether it takes numbers and labels.
        exact: Whether the same seed must give the same bits, as it must on a CPU.

    Raises:
        AssertionError: Says which promise is broken.
    """
    cases = []
    if pictures:
        cases.append((toy_pictures(49), toy_recipe(PICTURE_FIELDS, (12, 12), **settings), "side"))
    if tables:
        cases.append((toy_tables(49), toy_recipe(TABLE_FIELDS, **settings), "answer"))
    for dataset, recipe, target in cases:
        promise(learner.check(recipe, dataset) == [], f"check must accept the toy recipe; got {learner.check(recipe, dataset)}")
        check_repeatable(learner, dataset, recipe, exact=exact)
        check_blind(learner, dataset, recipe, target)
        check_keeps(learner, dataset, recipe)
        check_rare(learner, dataset, recipe, target)
        check_padding(learner, dataset, recipe, target)
    if tables:
        check_one_column(learner, toy_tables(49), settings)


def check_repeatable(learner: Learner, dataset: Dataset, recipe: Recipe, *, exact: bool = True) -> None:
    """The same seed gives the same predictions, whatever random numbers others draw; another seed gives others."""
    first = learner.fit(dataset, recipe, 1, "cpu").predict(dataset)
    disturb_random_states()
    again = learner.fit(dataset, recipe, 1, "cpu").predict(dataset)
    for name in first:
        same = np.array_equal(first[name], again[name]) if exact else np.allclose(first[name], again[name], atol=1e-3)
        promise(same, f"the same seed must give the same predictions of {name!r}")
        promise(len(first[name]) == len(dataset), f"predict must give one row for each row of {name!r}")
        promise(bool(np.isfinite(first[name]).all()), f"predictions of {name!r} must be finite")


def disturb_random_states() -> None:
    """Draws from the global random states, as other code in the same process may."""
    random.random()
    np.random.random(7)  # noqa: NPY002 - the global state is the point
    if "torch" in sys.modules:
        sys.modules["torch"].rand(7)


def check_blind(learner: Learner, dataset: Dataset, recipe: Recipe, target: str) -> None:
    """Poison: what is scored changes nothing. Targets there may be gone, and one row's files act on that row alone."""
    train, test = dataset.take(slice(0, 33)), dataset.take(slice(33, None))
    fitted = learner.fit(train, recipe, 1, "cpu")
    honest = fitted.predict(test.without([target]))[target]
    poisoned_table = test.table.copy()
    poisoned_table[target] = poisoned_table[target].to_numpy()[::-1]
    poisoned = fitted.predict(replace(test, table=poisoned_table))[target]
    promise(np.array_equal(honest, poisoned), "the scored rows' targets must not change what is predicted")
    if test.pictures:
        black = {name: _first_blackened(one, recipe.size) for name, one in test.pictures.items()}
        changed = fitted.predict(replace(test, pictures=black).without([target]))[target]  # type: ignore[arg-type]
        promise(
            np.allclose(honest[1:], changed[1:], atol=1e-6), "one row's picture must not change what is predicted for others"
        )
    alone = np.concatenate([fitted.predict(test.take([i]).without([target]))[target] for i in range(3)])
    promise(np.allclose(honest[:3], alone, atol=1e-5), "a row must be predicted alike alone and among others")
    promise(len(fitted.predict(test.take([]).without([target]))[target]) == 0, "no rows must give no predictions")


def check_keeps(learner: Learner, dataset: Dataset, recipe: Recipe) -> None:
    """What is saved predicts the same after loading, and holds no pickle."""
    from tamesu.learners.base import load_fitted

    fitted = learner.fit(dataset, recipe, 1, "cpu")
    with tempfile.TemporaryDirectory() as name:
        fitted.save(Path(name))
        pickles = [path.name for path in Path(name).rglob("*") if path.is_file() and path.read_bytes()[:1] == b"\x80"]
        promise(not pickles, f"save must not pickle; got {pickles}")
        loaded = load_fitted(Path(name))
        for target, values in fitted.predict(dataset).items():
            promise(
                np.allclose(values, loaded.predict(dataset)[target], atol=1e-6),
                f"a loaded model must predict {target!r} as before",
            )
    epochs = [entry["epoch"] for entry in fitted.log]
    promise(
        epochs == list(range(1, 1 + (len(epochs) or recipe.train.epochs))),
        f"the log must have one entry an epoch, from 1, and at least one; got {epochs}",
    )


def check_rare(learner: Learner, dataset: Dataset, recipe: Recipe, target: str) -> None:
    """Rows that few folds hold: a class that training never saw, one row more than a batch, a single row."""
    column = dataset.table[target].to_numpy()
    only = dataset.take(column == column[0])
    classes = dataset.classes[target, "label"]
    predicted = learner.fit(only, recipe, 1, "cpu").predict(dataset)[target]
    promise(predicted.shape == (len(dataset), len(classes)), "a class missing from the training rows must keep its column")
    for n in (recipe.train.batch_size + 1, 1):
        values = learner.fit(dataset.take(slice(0, n)), recipe, 1, "cpu").predict(dataset)[target]
        promise(bool(np.isfinite(values).all()), f"training on {n} rows in batches of {recipe.train.batch_size} must work")


def check_padding(learner: Learner, dataset: Dataset, recipe: Recipe, target: str) -> None:
    """Places of weight 0 are as if they were not there: rows that fill a batch, and the same in a larger one."""
    n = recipe.train.batch_size
    rows = dataset.take(slice(0, n))
    still = recipe.model_copy(update={"model": recipe.model.model_copy(update={"dropout": 0.0})})
    larger = still.model_copy(update={"train": recipe.train.model_copy(update={"batch_size": 3 * n + 1})})
    full, padded = (learner.fit(rows, one, 1, "cpu").predict(dataset)[target] for one in (still, larger))
    promise(np.allclose(full, padded, atol=1e-4), "places without a row must not change what is trained")


def check_one_column(learner: Learner, dataset: Dataset, settings: Mapping[str, Any]) -> None:
    """A single number, and a single label, are inputs enough."""
    for name in ("size", "colour"):
        fields = {name: TABLE_FIELDS[name], "answer": TABLE_FIELDS["answer"]}
        predicted = learner.fit(dataset, toy_recipe(fields, **settings), 1, "cpu").predict(dataset)["answer"]
        promise(bool(np.isfinite(predicted).all()), f"the one column {name!r} must be enough to train on")


def check_augmentation(augment: Augmentation, pictures: NDArray[Any], low: float, high: float) -> None:
    """Raises where something that varies pictures breaks the contract that verdicts stand on.

    Args:
        augment: Given pictures (b, h, w, c) and the draws of their rows, returns pictures.
        pictures: At least three different ones.  (b, h, w, c)
        low: What black is.
        high: What white is.

    Raises:
        AssertionError: Says which promise is broken.
    """
    draws = make_draws(row_keys(range(len(pictures))), 0, 0)
    given = pictures.copy()
    given.flags.writeable = False  # whoever writes to it fails here
    first = augment(given, draws)
    promise(np.array_equal(given, pictures), "the pictures given must not be changed")
    promise(first.shape == pictures.shape, f"must return the shape {pictures.shape}; got {first.shape}")
    promise(first.dtype == pictures.dtype, f"must return the type {pictures.dtype}; got {first.dtype}")
    promise(bool(np.isfinite(first).all() and first.min() >= low and first.max() <= high), f"must stay within {low} to {high}")
    disturb_random_states()
    promise(np.array_equal(first, augment(given, draws)), "the same draws must give the same pictures")
    order = np.arange(len(pictures))[::-1]
    turned = augment(pictures[order], Draws(draws.keys[order]))
    promise(np.array_equal(first, turned[order]), "a row must not depend on its place in the batch")
    alone = augment(pictures[1:2], Draws(draws.keys[1:2]))
    promise(np.array_equal(first[1:2], alone), "a row must be varied alike alone and among others")


def _first_blackened(pictures: Any, size: Size) -> ArrayPictures:
    arrays = [pictures.read(i, size) for i in range(len(pictures))]
    return ArrayPictures((np.zeros_like(arrays[0]), *arrays[1:]))


def check_field(field: FieldBase, values: Any, others: Maps | None = None) -> None:
    """Raises where a kind of field breaks the laws of maps, on values it has read.

    The laws: nothing moved is nothing changed; what a map does, its inverse undoes; two maps one after the other are their
    product acting once; two mirrors are none, four quarter turns are none, and a mirror turns a turn round. They are asked
    of all pairs of the square's eight symmetries, for the rows whose values have an answer.

    Args:
        field: What is checked; its `act` and `allows`.
        values: True of square pictures of 24 x 24 pixels, one a row.
        others: More maps to be undone, one a row; of rows the field does not allow nothing is asked.

    Raises:
        AssertionError: Says which law is broken, and by which value.
    """
    square = [make_maps((24, 24), mirrored=element >= 4, turns=element % 4) for element in range(N_ELEMENTS)]
    many = [one[np.zeros(len(values), dtype=np.int64)] for one in square]
    _promise_alike(field, values, field.act(values, many[0]), "a map that moves nothing must change nothing")
    promise(bool(field.allows(values, many[0]).all()), "a map that moves nothing must be allowed")
    _check_rows_alone(field, values, many[5])
    for first in range(N_ELEMENTS):
        for second in range(N_ELEMENTS):
            law = f"symmetry {first} and then {second} must be symmetry {product(first, second)}"
            _check_product(field, values, many[first], many[second], law)
    for maps in (*many, *(() if others is None else (others,))):
        _check_undone(field, values, maps)


def _check_product(field: FieldBase, values: Any, first: Maps, second: Maps, law: str) -> None:
    known = field.allows(values, first) & field.allows(values, first.then(second))
    between = field.act(values[known], first[known])
    also = field.allows(between, second[known])
    twice = field.act(between[also], second[known][also])
    once = field.act(values[known][also], first.then(second)[known][also])
    _promise_alike(field, once, twice, law)


def _check_undone(field: FieldBase, values: Any, maps: Maps) -> None:
    known = field.allows(values, maps)
    moved, back = field.act(values[known], maps[known]), maps[known].inverse
    promise(bool(field.allows(moved, back).all()), "what a map may do to a value, its inverse may undo")
    _promise_alike(field, values[known], field.act(moved, back), "a map and then its inverse must change nothing")


def _check_rows_alone(field: FieldBase, values: Any, maps: Maps) -> None:
    before, allowed, together = copy.deepcopy(values), field.allows(values, maps), field.act(values, maps)
    _promise_alike(field, before, values, "act must leave the values it is given as they are")
    promise(allowed.shape == (len(values),) and allowed.dtype == bool, "allows must give one truth value a row")
    promise(len(together) == len(values), "act must give one value a row")
    for i in range(len(values)):
        alone = field.act(values[i : i + 1], maps[i : i + 1])
        _promise_alike(field, together[i : i + 1], alone, "a row must be moved alike alone and among others")
        promise(bool(field.allows(values[i : i + 1], maps[i : i + 1])[0] == allowed[i]), "a row must be allowed alike alone")


def _promise_alike(field: FieldBase, expected: Any, found: Any, law: str) -> None:
    for one, other in zip(expected, found, strict=True):
        promise(_are_alike(field, one, other), f"kind {field.kind!r}: {law}; got {other} for {one}")


def _are_alike(field: FieldBase, one: Any, other: Any) -> bool:
    if isinstance(one, Boxes):
        return one.names == other.names and _are_alike(field, one.edges, other.edges)
    if isinstance(field, AngleField):  # 180 and -180 degrees are one angle
        period = np.deg2rad(field.period_deg) / field.unit_rad
        return bool(np.isnan([one, other]).all() or abs((one - other + period / 2) % period - period / 2) < 1e-6)
    if isinstance(one, (float, np.ndarray)):
        return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, rtol=1e-9, atol=1e-6, equal_nan=True))
    return bool(one == other)


def promise(kept: bool, text: str) -> None:
    """Raises `AssertionError` with `text` unless it is kept; unlike `assert`, also under `python -O`."""
    if not kept:
        raise AssertionError(text)


def _dataset(table: pd.DataFrame, pictures: dict[str, Any]) -> Dataset:
    columns = [name for name in table.columns if any(isinstance(cell, str) for cell in table[name])]
    classes = {(name, "label"): tuple(sorted(set(table[name].dropna()))) for name in columns}
    classes |= {
        (name, "labels"): tuple(sorted({one for cell in table[name].dropna() for one in cell.split()})) for name in columns
    }
    ids = np.array([f"row{i}" for i in range(len(table))], dtype=object)
    digests = dict.fromkeys([*table.columns, *pictures], "toy")
    return Dataset(ids=ids, table=table, pictures=pictures, classes=classes, digests=digests, where="toy")
