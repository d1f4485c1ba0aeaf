"""What a training's maps do to its rows and targets, counted: the same draws by the same rules, without any pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import is_off
from tamesu.batches import draw_batch_maps, full_maps, maps_of, moved_targets, rows_of_epoch
from tamesu.config import ModelConfig
from tamesu.draws import Draws
from tamesu.feed import Feed, make_feed
from tamesu.fields import PictureField
from tamesu.learners.base import make_learner
from tamesu.learners.names import CLASSES, NETWORKS
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps
from tamesu.moving import symmetry_maps
from tamesu.preprocess import fit_inputs
from tamesu.targets import Target, make_target
from tamesu.targets.classes import ClassTarget, LabelsTarget
from tamesu.trial import make_seed

if TYPE_CHECKING:
    from tamesu.arms import Arm
    from tamesu.config import AugmentConfig
    from tamesu.dataset import Dataset
    from tamesu.plan import Plan
    from tamesu.recipe import Recipe

MAX_DRAWS = 2_000_000  # rows times epochs that are gone through; beyond, the first epochs stand for all
AT_ONCE = 1 << 16  # rows
MIRROR, FLIP = 4, 6  # of `Maps.elements`: left and right exchanged; up and down
STILL_RAD = np.deg2rad(0.01)
MODULES = tuple(CLASSES[name].partition(":")[0] for name in NETWORKS)  # of learners that are made of batches


def orients(augment: AugmentConfig) -> bool:
    """Pictures are mirrored, flipped, turned or rotated: the targets have to say what that does to them."""
    return bool(augment.mirror or augment.flip or augment.turn) or not is_off(augment.rotate_deg)


def has_maps(recipe: Recipe) -> bool:
    """Training pictures of this recipe come mirrored, flipped, turned or rotated."""
    return orients(recipe.augment) and any(isinstance(one, PictureField) for one in recipe.inputs.values())


def training_feed(rows: Dataset, recipe: Recipe) -> Feed:
    """Training rows as a training with this recipe moves them; of its inputs only the pictures are there.

    Raises:
        ConfigError: A target does not say what a mirror does to it.
    """
    made = {name: make_target(name, one, rows.classes.get((name, one.kind), ())) for name, one in recipe.targets.items()}
    targets = {name: target.fit(rows.values(name, target.field)) for name, target in made.items()}
    return make_feed(rows, recipe, fit_inputs(rows, {}), targets)


def tally(rows: Dataset, recipe: Recipe, seed: int) -> dict[str, Any] | None:
    """What happens to these rows over all epochs of one training; None where their pictures are never mirrored nor turned.

    Exact, not an estimate: every number a map is drawn from is a function of (seed, row id, epoch).

    Args:
        rows: The training rows of one split.
        seed: Of the training, as `make_seed` makes it.

    Returns:
        `epochs`, of which `epochs_counted`; `rows_seen`, one for each row and epoch; of these, as shares: `mirrored` (left and
        right exchanged), `flipped` (up and down), `turned` (by quarter turns); `rotated_deg`, the mean size of what is turned
        beside that; `redrawn`, how many maps were drawn again since a target or an input has no answer; and `targets`, by name.
        A target with classes has `classes`: of each, times `seen`, in `mirrored` pictures, `kept` there, as what it `became`
        otherwise, and whether it `may_mirror`; other targets have how many values were `changed`, and the `pairs` that swap.

    Raises:
        ConfigError: A target does not say what a mirror does to it.
    """
    if not has_maps(recipe):
        return None
    feed = training_feed(rows, recipe)
    n_epochs = min(recipe.train.epochs, max(1, MAX_DRAWS // max(1, len(feed))))
    total = _Total(feed)
    for epoch in range(n_epochs):
        order, draws = rows_of_epoch(feed, epoch, seed)
        if draws is None:
            raise AssertionError("an epoch of training has draws")
        for start in range(0, len(order), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            total.add(order[part], Draws(draws.keys[part]))
    return {"epochs": recipe.train.epochs, "epochs_counted": n_epochs, **total.result()}


def tally_arms(plan: Plan, arms: Iterable[Arm]) -> dict[str, dict[str, Any] | None]:
    """By name of the arm, what the maps of its first training did; arms that move their rows alike are counted once.

    None also for a learner that is not made of batches: what it does to pictures is not known.
    """
    split = plan.splits[0, 0]
    rows = plan.rows.take(split.train)
    counted: dict[str, dict[str, Any] | None] = {}
    found = {}
    for arm in arms:
        recipe = next(filter(_is_of_batches, (arm.recipe.leading, *arm.recipe.trained)), arm.recipe.leading)
        key = recipe.model_copy(update={"model": ModelConfig(), "learner": str(_is_of_batches(recipe))}).model_dump_json()
        if key not in counted:
            seed = make_seed(recipe.train.seed, split.repeat, split.fold)
            counted[key] = tally(rows, recipe, seed) if _is_of_batches(recipe) else None
        found[arm.name] = counted[key]
    return found


def _is_of_batches(recipe: Recipe) -> bool:
    return any(one.__module__ in MODULES for one in type(make_learner(recipe.learner)).__mro__)


@dataclass
class _Classes:
    """What becomes of the classes of one target."""

    target: ClassTarget | LabelsTarget
    seen: NDArray[np.int64] = field(init=False)
    mirrored: NDArray[np.int64] = field(init=False)
    kept: NDArray[np.int64] = field(init=False)
    became: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        k = len(self.target.classes)
        self.seen, self.mirrored, self.kept = (np.zeros(k, dtype=np.int64) for _ in range(3))

    def add(self, before: NDArray[Any], after: NDArray[Any], maps: Maps) -> None:
        if isinstance(self.target, ClassTarget):
            self._add_pairs(before.astype(np.int64), after.astype(np.int64), maps.mirrored)
            return
        for element in np.unique(maps.elements):  # several classes at once: a permutation for each symmetry
            hit = maps.elements == element
            for code in np.flatnonzero(before[hit].any(axis=0)):
                n = int(np.count_nonzero(before[hit, code]))
                self._count(int(code), int(self.target.codes[element, code]), n, n if element >= MIRROR else 0)

    def _add_pairs(self, before: NDArray[np.int64], after: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> None:
        pairs, place = np.unique(np.stack([before, after], axis=1), axis=0, return_inverse=True)
        counts = np.bincount(place.ravel(), minlength=len(pairs))
        in_mirror = np.bincount(place.ravel()[mirrored], minlength=len(pairs))
        for (one, other), n, n_mirrored in zip(pairs.tolist(), counts.tolist(), in_mirror.tolist(), strict=True):
            self._count(one, other, n, n_mirrored)

    def _count(self, one: int, other: int, n: int, n_mirrored: int) -> None:
        self.seen[one] += n
        self.mirrored[one] += n_mirrored
        if one == other:
            self.kept[one] += n_mirrored
        else:
            self.became[one, other] += n

    def result(self) -> dict[str, Any]:
        k, names = len(self.target.classes), self.target.classes
        alone = np.arange(k) if isinstance(self.target, ClassTarget) else np.eye(k, dtype=np.float32)
        may_mirror = self.target.allows(alone, symmetry_maps(MIRROR, k))
        became: dict[int, dict[str, int]] = {}
        for (one, other), n in sorted(self.became.items()):
            became.setdefault(one, {})[names[other]] = n
        return {
            name: {
                "seen": int(self.seen[i]),
                "mirrored": int(self.mirrored[i]),
                "kept": int(self.kept[i]),
                "became": became.get(i, {}),
                "may_mirror": bool(may_mirror[i]),
            }
            for i, name in enumerate(names)
        }


class _Total:
    """Counts so far."""

    def __init__(self, feed: Feed):
        self.feed = feed
        self.n = self.mirrored = self.flipped = self.turned = self.redrawn = 0
        self.rotated_rad = 0.0
        self.changed: Counter[str] = Counter()
        self.classes = {
            name: _Classes(one)
            for name, one in feed.targets.items()
            if isinstance(one, (ClassTarget, LabelsTarget)) and name not in feed.partners
        }

    def add(self, index: NDArray[np.int64], draws: Draws) -> None:
        feed = self.feed
        inner = draw_batch_maps(feed, index, draws)
        strength = None if feed.strength is None else feed.strength[index]
        first = draw_maps(feed.augment, feed.size, draws, None, strength)  # what was drawn before anything was asked
        self.redrawn += int((first.matrix != inner.matrix).any(axis=(1, 2)).sum())
        by_quarters = bool(feed.augment.turn or feed.augment.flip)
        turned = inner.turns if by_quarters else np.zeros(len(index), dtype=np.int64)
        flipped = inner.mirrored & (turned == FLIP - MIRROR)
        self.n += len(index)
        self.flipped += int(flipped.sum())
        self.mirrored += int((inner.mirrored & ~flipped).sum())
        self.turned += int(((turned > 0) & ~flipped).sum())
        self.rotated_rad += float(np.abs(inner.tilt_rad if by_quarters else inner.angle_rad).sum())
        maps = full_maps(feed, index, inner)
        is_moved = inner.mirrored | (np.abs(inner.angle_rad) > STILL_RAD)
        for name, after in moved_targets(feed, index, maps).items():
            before = feed.encoded[name][index]
            if name in self.classes:
                self.classes[name].add(before, after, maps_of(feed.targets[name].field, maps))
            else:
                self.changed[name] += self._n_changed(name, before, after, inner, is_moved)

    def _n_changed(self, name: str, before: NDArray[Any], after: NDArray[Any], inner: Maps, is_moved: NDArray[np.bool_]) -> int:
        declared = self.feed.targets[name].field
        if name in self.feed.partners:
            return int(inner.mirrored.sum())
        if declared.is_placed:  # every map moves places: what counts is which point is which
            return int(inner.mirrored.sum()) if _pairs(declared) else 0
        if declared.kind == "number":
            return int((before != after).sum())
        return int(is_moved.sum())

    def result(self) -> dict[str, Any]:
        n = max(1, self.n)
        return {
            "rows_seen": self.n,
            "mirrored": self.mirrored / n,
            "flipped": self.flipped / n,
            "turned": self.turned / n,
            "rotated_deg": float(np.rad2deg(self.rotated_rad / n)),
            "redrawn": self.redrawn,
            "targets": {name: self._target(name, one) for name, one in self.feed.targets.items()},
        }

    def _target(self, name: str, target: Target) -> dict[str, Any]:
        if name in self.classes:
            return {"kind": target.kind, "classes": self.classes[name].result()}
        partner = target.field.swap_with
        pairs = [[name, partner]] if name in self.feed.partners else _pairs(target.field)
        return {"kind": target.kind, "changed": self.changed[name], "pairs": pairs}


def _pairs(declared: Any) -> list[list[str]]:
    """Names of points that change places in a mirror, each pair once."""
    mirror = getattr(declared, "mirror", None)
    if not declared.is_placed or not isinstance(mirror, Mapping):
        return []
    return [list(one) for one in dict.fromkeys(tuple(sorted(pair)) for pair in mirror.items())]
