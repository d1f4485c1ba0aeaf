"""Numbers that networks make of rows: the embedding of a pretrained one, or what networks trained for it predict.

A trained network is at home in its own training rows and says of them more than it can say of others; whoever learned from
that would trust it too much. So each training row's numbers come from a network that did not see it: the training rows are
split once more (see `inner_splits`), and every part is predicted by a network of the others. Rows that come later get the
mean over those networks. What is joined are predictions, not embeddings: two networks' embeddings share no axes.

Source:
    Wolpert (1992), Stacked Generalization, Neural Networks 5; van der Laan, Polley & Hubbard (2007), Super Learner.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tamesu.batches import make_batches
from tamesu.config import AugmentConfig
from tamesu.feed import make_feed
from tamesu.inner import inner_splits
from tamesu.learners.network import count_predicted
from tamesu.learners.network_inputs import input_shape
from tamesu.learners.torch import TorchLearner, set_pixels
from tamesu.learners.torch_fitted import FittedTorch, load_fitted_torch
from tamesu.learners.torch_steps import autocast, count_batch_threads, quiet_random_state
from tamesu.pixels import fit_pixels
from tamesu.preprocess import fit_inputs
from tamesu.targets import make_target
from tamesu.trial import make_seed

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

LEAST = 1e-6  # probability whose logarithm stands for that of less likely ones
OF_CLASSES = ("label", "labels", "direction")  # targets predicted as probabilities
STEPS = 2.0**18  # of what is kept of a number, between two powers of two
PARTS = "parts.json"


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a pretrained network makes of each picture, before any head.

    Attributes:
        networks: By picture field; none of them has a head.
        names: Of the numbers.
        fields: The field each comes from.
    """

    networks: dict[str, FittedTorch]
    names: tuple[str, ...]
    fields: tuple[str, ...]

    def transform(self, rows: Dataset) -> NDArray[np.float64]:
        """(n, f)"""
        if not len(rows):
            return np.zeros((0, len(self.names)))
        return np.concatenate([_embedded(one, rows) for one in self.networks.values()], axis=1)

    def save(self, folder: Path) -> None:
        """Writes a folder for each network."""
        _save_networks(folder, list(self.networks.values()), self.names, self.fields, list(self.networks))

    @classmethod
    def load(cls, folder: Path) -> Embeddings:
        """What `save` wrote."""
        networks, kept = _load_networks(folder)
        return cls(dict(zip(kept["of"], networks, strict=True)), tuple(kept["names"]), tuple(kept["fields"]))


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """What networks trained inside the training rows predict: log probabilities of classes, numbers in the target's unit.

    Attributes:
        networks: One for each inner fold.
        names: Of the numbers.
        fields: `network` for each: they come from everything that the network was given.
    """

    networks: tuple[FittedTorch, ...]
    names: tuple[str, ...]
    fields: tuple[str, ...]

    def transform(self, rows: Dataset) -> NDArray[np.float64]:
        """Rows that no network was trained on: the mean over the networks.  (n, f)"""
        return np.mean([_predicted(one, rows) for one in self.networks], axis=0)

    def save(self, folder: Path) -> None:
        """Writes a folder for each network."""
        _save_networks(folder, list(self.networks), self.names, self.fields, [])

    @classmethod
    def load(cls, folder: Path) -> CrossFitted:
        """What `save` wrote."""
        networks, kept = _load_networks(folder)
        return cls(tuple(networks), tuple(kept["names"]), tuple(kept["fields"]))


def fit_embeddings(rows: Dataset, recipe: Recipe, seed: int, device: str) -> tuple[Embeddings, NDArray[np.float64]]:
    """The networks of the pictures, and what they make of the training rows.

    Mean and spread of the training pictures are all that is fitted; weights stay as they come.
    """
    pictures = {name: field for name, field in recipe.inputs.items() if field.is_picture}
    networks = {name: _headless(rows, recipe, name, seed, device) for name in pictures}
    values = [_embedded(one, rows) for one in networks.values()]
    each = [(f"{name}.network.{i + 1}", name) for name, one in zip(networks, values, strict=True) for i in range(one.shape[1])]
    made = Embeddings(networks, tuple(name for name, _ in each), tuple(field for _, field in each))
    return made, np.concatenate(values, axis=1)


def fit_crossed(rows: Dataset, recipe: Recipe, seed: int, device: str) -> tuple[CrossFitted, NDArray[np.float64]]:
    """The networks of the inner folds, and what those that did not see a training row predict of it; NaN of a single row."""
    learner, recipe = TorchLearner(), recipe.model_copy(update={"learner": "torch"})
    splits = inner_splits(rows, recipe, seed)
    networks = tuple(
        learner.fit(rows.take(split.train), recipe, make_seed(seed, 0, split.fold), device) for split in splits
    ) or (learner.fit(rows, recipe, seed, device),)
    names = _output_names(rows, recipe)
    values = np.full((len(rows), len(names)), np.nan)
    for split, network in zip(splits, networks, strict=False):
        values[split.test] = _predicted(network, rows.take(split.test).without(recipe.unseen))
    return CrossFitted(networks, names, ("network",) * len(names)), values


def _headless(rows: Dataset, recipe: Recipe, name: str, seed: int, device: str) -> FittedTorch:
    """The backbone of `model` for one picture field, with the training pictures' mean and spread."""
    alone = recipe.model_copy(update={"fields": {name: recipe.fields[name]}, "augment": AugmentConfig(), "learner": "torch"})
    learner, place = TorchLearner(), torch.device(device)
    inputs = fit_inputs(rows, {})
    feed = make_feed(rows, alone, inputs, {})
    shape = input_shape(feed, inputs)
    with quiet_random_state(seed, place):
        network = learner.make_network(alone, shape, {}).to(place)
    set_pixels(network, fit_pixels(feed))
    return FittedTorch(learner, alone, network.eval(), shape, inputs, {}, [], device=place)


def _embedded(fitted: FittedTorch, rows: Dataset) -> NDArray[np.float64]:
    """What the backbone makes of the rows, in order and as they are.  (n, f)"""
    feed = make_feed(rows, fitted.recipe, fitted.inputs, {})
    batch_size = count_predicted(fitted.recipe.size)
    network: Any = fitted.network.eval()
    parts = []
    with torch.inference_mode(), autocast(fitted.recipe.train, fitted.device):
        for batch in make_batches(feed, batch_size, n_threads=count_batch_threads(fitted.device)):
            n = batch.n_real
            given = {name: torch.from_numpy(one[:n]).to(fitted.device) for name, one in batch.pictures.items()}
            nothing = torch.zeros((n, 0), device=fitted.device)
            parts.append(network.features(given, nothing, nothing.long()).joined.double().cpu().numpy())
    return _steady(np.concatenate(parts))


def _predicted(fitted: FittedTorch, rows: Dataset) -> NDArray[np.float64]:
    """Predictions of the target as numbers side by side: logarithms of probabilities, numbers as they are.  (n, f)"""
    ((name, target),) = fitted.judged.items()
    values = np.asarray(fitted.predict(rows)[name], dtype=np.float64).reshape(len(rows), -1)
    return _steady(np.log(np.maximum(values, LEAST)) if target.kind in OF_CLASSES else values)


def _steady(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the last bits, which hang on how many rows went through a network together: they must decide no branch."""
    part, power = np.frexp(values)
    return np.ldexp(np.round(part * STEPS) / STEPS, power)


def _output_names(rows: Dataset, recipe: Recipe) -> tuple[str, ...]:
    name, field = recipe.target
    target = make_target(name, field, rows.classes.get((name, field.kind), ()))
    if target.kind in OF_CLASSES:
        return tuple(f"network.{name}.{one}" for one in target.classes)
    n_outputs = int(np.prod(target.prediction_shape, dtype=np.int64))
    return (f"network.{name}",) if n_outputs == 1 else tuple(f"network.{name}.{i + 1}" for i in range(n_outputs))


def _save_networks(
    folder: Path, networks: list[FittedTorch], names: tuple[str, ...], fields: tuple[str, ...], of: list[str]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, one in enumerate(networks):
        one.save(folder / f"network_{i}")
    kept = {"n": len(networks), "names": names, "fields": fields, "of": of}
    (folder / PARTS).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def _load_networks(folder: Path) -> tuple[list[FittedTorch], dict[str, Any]]:
    kept = json.loads((folder / PARTS).read_text(encoding="utf-8"))
    return [load_fitted_torch(TorchLearner(), folder / f"network_{i}") for i in range(kept["n"])], kept
