"""The trials an ensemble's trial is made of: ordinary ones, each with its own key, stored and taken again like all others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tamesu.folds import Split, inner_splits
from tamesu.strata import read_groups, read_strata
from tamesu.trial import KEY_BYTES, TRIAL_VERSION, Trial, make_seed, make_trial

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

SEED_STRIDE = 1000  # seed shifts of one member's trainings: far from those that a study asks for itself, 0, 1, 2 …
ByMember = tuple[tuple[Trial, ...], ...]  # in the recipe's order, each with its seeds


@dataclass(frozen=True, eq=False)
class Parts:
    """What an ensemble's trial is made of.

    Attributes:
        scored: Trained on the training rows of the split; their predictions of the scored rows are joined.
        inner: By inner split of the training rows: the same, trained without the rows they predict, so that how much each
            member is worth can be learned. Empty where nothing is learned.
    """

    scored: ByMember
    inner: tuple[ByMember, ...] = ()

    def __iter__(self) -> Iterator[Trial]:
        """Every training."""
        return (trial for members in (*self.inner, self.scored) for seeds in members for trial in seeds)


def make_ensemble_trial(dataset: Dataset, recipe: Recipe, split: Split, seed_shift: int, keep_model: bool) -> Trial:
    """As `make_trial`, of a recipe with members; its key is that of what it is made of.

    Weights and ranks are learned from predictions of training rows by models that have not seen them. Those of the study's
    other folds would not do: their models have seen the rows that are scored here. So the training rows are split once more.
    """
    parts = Parts(
        _members(dataset, recipe, split, seed_shift, keep_model),
        tuple(_members(dataset, recipe, one, seed_shift, False) for one in inner_of(dataset, recipe, split)),
    )
    ensemble = recipe.ensemble
    named = [TRIAL_VERSION, ensemble.method, len(recipe.members), ensemble.seeds, [part.key for part in parts]]
    key = hashlib.blake2b(json.dumps(named).encode(), digest_size=KEY_BYTES).hexdigest()
    seed = make_seed(recipe.train.seed, split.repeat, split.fold, seed_shift)
    read = {name: field for member in recipe.trained for name, field in member.read.items()}
    return Trial(key, recipe, split, seed, keep_model, dataset.digest(read), parts)


def inner_of(dataset: Dataset, recipe: Recipe, split: Split) -> list[Split]:
    """The inner splits that the recipe's ensemble learns from; none for a plain mean.

    Raises:
        DataError: The training rows cannot be split.
    """
    if recipe.ensemble.method == "mean":
        return []
    train = dataset.take(split.train)
    labels, groups = read_strata(recipe.folds, train, recipe.fields), read_groups(recipe.folds, train, recipe.fields)
    return inner_splits(split, recipe.folds, labels=labels, groups=groups)


def _members(dataset: Dataset, recipe: Recipe, split: Split, seed_shift: int, keep_model: bool) -> ByMember:
    shifts = [seed_shift + SEED_STRIDE * seed for seed in range(recipe.ensemble.seeds)]
    return tuple(
        tuple(make_trial(dataset, member, split, shift, keep_model) for shift in shifts) for member in recipe.members.values()
    )
