"""Numbers of pictures and series for learners that take tables alone: measured, and where asked for made by networks.

`fit_features(training rows)` → `FittedFeatures`, which transforms any rows by what the training rows alone taught, one row
never looking at another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import StoreError
from tamesu.features.measured import measure, measured_names
from tamesu.fields import Field, SeriesField
from tamesu.recipe import Recipe
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.features.network import CrossFitted, Embeddings

FILE = "features.json"


@dataclass(frozen=True, eq=False)
class FittedFeatures:
    """How rows become numbers.

    Attributes:
        recipe: Of it, the pictures and series, `size`, `resize` and `features` say what is measured.
        channels: Of each picture.
        network: What networks make of the rows; None without.
        train_values: Of the rows it was fitted on, which differ from `transform` of them where networks were trained on them
            (see `features.network`); no rows after loading.  (n, f)
    """

    recipe: Recipe
    channels: dict[str, int]
    network: Embeddings | CrossFitted | None
    train_values: NDArray[np.float64]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the numbers, such as `file.colour.red_mean`.  (f,)"""
        return (*(name for name, _ in self._measured), *(self.network.names if self.network else ()))

    @property
    def fields(self) -> tuple[str, ...]:
        """The field each comes from; `network` where it comes from all that a network was given.  (f,)"""
        return (*(field for _, field in self._measured), *(self.network.fields if self.network else ()))

    @property
    def _measured(self) -> tuple[tuple[str, str], ...]:
        return measured_names(measured_fields(self.recipe), self.channels, self.recipe)

    def transform(self, rows: Dataset) -> NDArray[np.float64]:
        """Any rows that it was not fitted on, NaN where something cannot be known.  (n, f)

        Raises:
            DataError: A file is gone or has changed, or cells are no series.
        """
        measured = measure(rows, measured_fields(self.recipe), self.channels, self.recipe)
        return measured if self.network is None else np.concatenate([measured, self.network.transform(rows)], axis=1)

    def save(self, folder: Path) -> None:
        """Writes features.json, and the networks where there are any; never pickle."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = {"recipe": self.recipe.model_dump(mode="json"), "channels": self.channels}
        (folder / FILE).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        if self.network is not None:
            self.network.save(folder / "networks")

    @classmethod
    def load(cls, folder: Path) -> FittedFeatures:
        """What `save` wrote; it transforms as before.

        Raises:
            StoreError: The folder does not hold it.
        """
        try:
            kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            text = say("{where}: must hold fitted inputs; got {error}. Train again.", where=folder, error=error)
            raise StoreError(text) from error
        recipe = Recipe.model_validate(kept["recipe"])
        network: Embeddings | CrossFitted | None = None
        if recipe.features.network != "none":
            from tamesu.features.network import CrossFitted, Embeddings

            network = (Embeddings if recipe.features.network == "pretrained" else CrossFitted).load(folder / "networks")
        fitted = cls(recipe, kept["channels"], network, np.zeros((0, 0)))
        return cls(recipe, kept["channels"], network, np.zeros((0, len(fitted.names))))


def measured_fields(recipe: Recipe) -> dict[str, Field]:
    """The inputs that are pictures or series."""
    return {name: field for name, field in recipe.inputs.items() if field.is_picture or isinstance(field, SeriesField)}


def fit_features(rows: Dataset, recipe: Recipe, seed: int, device: str) -> FittedFeatures:
    """Learn what has to be learned of pictures and series: nothing, unless `features.network` asks for networks.

    Args:
        rows: Training rows, and nothing else; with their targets where networks are trained.
        recipe: What is measured, and the networks' `model` and `train`.
        seed: Decides everything random.
        device: cpu, cuda or mps; of the networks.

    Raises:
        DataError: A file is gone or has changed, or cells are no series.
    """
    given = measured_fields(recipe)
    channels = {name: rows.pictures[name].channels for name, field in given.items() if field.is_picture}
    measured = measure(rows, given, channels, recipe)
    if recipe.features.network == "none":
        return FittedFeatures(recipe, channels, None, measured)
    from tamesu.features.network import fit_crossed, fit_embeddings

    fit = fit_embeddings if recipe.features.network == "pretrained" else fit_crossed
    network, values = fit(rows, recipe, seed, device)
    return FittedFeatures(recipe, channels, network, np.concatenate([measured, values], axis=1))


def check_features(recipe: Recipe, dataset: Dataset) -> list[str]:
    """What of `features` cannot be, one sentence each: nothing to measure, or a network that is not there."""
    if recipe.features.network == "none":
        given, wanted = measured_fields(recipe), recipe.features
        measured = any(wanted.pictures if field.is_picture else wanted.series for field in given.values())
        if measured or len(given) < len(recipe.inputs) or not given:
            return []
        return [say("features: must say what is measured of pictures or series where there is no other input; got nothing.")]
    from tamesu.errors import ConfigError
    from tamesu.learners.base import make_learner

    try:
        network = make_learner("torch")
    except ConfigError as error:
        return error.mistakes
    if recipe.features.network == "trained":
        return network.check(recipe.model_copy(update={"learner": "torch"}), dataset)
    if not any(field.is_picture for field in recipe.inputs.values()):
        return [say("features.network: must be none or trained where no input is a picture; got 'pretrained'.")]
    if not recipe.model.backbone.startswith("timm:") or recipe.model.weights == "none":
        text = say(
            "features.network: pretrained must have model.backbone: timm:<name> and model.weights: hub or a file; got "
            "backbone {backbone} with weights {weights}.",
            backbone=recipe.model.backbone,
            weights=recipe.model.weights,
        )
        return [text]
    return network.check(recipe.model_copy(update={"learner": "torch"}), dataset)
