"""What every network's training has in common, whatever framework computes it: what is fitted before, how it predicts after."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tamesu.batches import Batch, InnerMaps, make_batches, maps_of
from tamesu.errors import FitError
from tamesu.feed import Feed, law_inputs, make_feed
from tamesu.fields import some_rows
from tamesu.learners.base import NAME_FILE, learner_name
from tamesu.learners.network_inputs import fit_series_inputs, fit_target, input_shape, table_inputs
from tamesu.maps import Maps, Size
from tamesu.nets.shapes import InputShape
from tamesu.pixels import FittedPixels, fit_pixels
from tamesu.preprocess import FittedInputs, fit_inputs
from tamesu.recipe import Recipe
from tamesu.series_inputs import FittedSeries
from tamesu.targets import Target, make_target, target_from_json
from tamesu.texts import say
from tamesu.tta import all_maps, move_back, tta_feed, tta_views

if TYPE_CHECKING:
    from tamesu.dataset import Dataset

PREDICT_PIXELS = 2**20  # pictures of this many pixels together make a batch when predicting
MakeTargets = Callable[["Dataset", Recipe, "FittedSeries | None"], dict[str, Target]]


def count_predicted(size: Size) -> int:
    """Rows that make a batch when predicting."""
    return int(np.clip(PREDICT_PIXELS // max(1, size[0] * size[1]), 1, 256))


def make_targets(rows: Dataset, recipe: Recipe, series: FittedSeries | None = None) -> dict[str, Target]:
    """What is predicted, and what is predicted beside it, fitted on the training rows."""
    fields = {**recipe.targets, **recipe.auxiliaries}
    made = {name: make_target(name, field, rows.classes.get((name, field.kind), ())) for name, field in fields.items()}
    return {name: fit_target(target, rows, series) for name, target in made.items()}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that is fitted on the training rows before there is a network.

    Attributes:
        feed: The rows, ready for batches.
        pixels: Mean and spread of the pictures, by group of channels.
        shape: What a network is given.
    """

    feed: Feed
    inputs: FittedInputs
    targets: dict[str, Target]
    series: FittedSeries | None
    pixels: dict[str, FittedPixels]
    shape: InputShape


def prepare(rows: Dataset, recipe: Recipe, make: MakeTargets = make_targets) -> Prepared:
    """Fits targets, inputs and pixels.

    Args:
        rows: Training rows, with their targets.
        recipe: What is trained.
        make: Makes the targets.

    Raises:
        DataError: A target's value is missing or unknown.
    """
    series = fit_series_inputs(rows, recipe)
    targets = make(rows, recipe, series)
    inputs = fit_inputs(rows, table_inputs(recipe))
    feed = make_feed(rows, recipe, inputs, targets, series)
    pixels = fit_pixels(feed)
    feed = feed.with_ranges({name: (one.low, one.high) for name, one in pixels.items()})
    return Prepared(feed, inputs, targets, series, pixels, input_shape(feed, inputs))


@dataclass(eq=False)
class FittedNetwork(ABC):
    """A trained network, and how its inputs and outputs are read.

    Attributes:
        log: One entry an epoch.
    """

    learner: Any
    recipe: Recipe
    network: Any
    shape: InputShape
    inputs: FittedInputs
    targets: dict[str, Target]
    log: list[dict[str, Any]]
    series: FittedSeries | None = None
    n_threads: ClassVar[int] = 1  # that make batches ahead

    @abstractmethod
    def raw_outputs(self, batch: Batch) -> dict[str, NDArray[np.float64]]:
        """By target, what the network says of the batch's real rows."""

    @abstractmethod
    def save_network(self, folder: Path) -> None:
        """Writes the network in its framework's own format, which holds no code."""

    def feed_of(self, rows: Dataset) -> Feed:
        """Rows to be predicted, ready for batches."""
        return tta_feed(make_feed(rows, self.recipe, self.inputs, {}, self.series), rows, self.recipe, self.inputs)

    def count_threads(self) -> int:
        """Threads that make batches ahead."""
        return self.n_threads

    @property
    def judged(self) -> dict[str, Target]:
        """What is asked for: the targets without their auxiliaries."""
        return {name: target for name, target in self.targets.items() if target.field.target}

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target: (n, k) probabilities, (n,) numbers or angles, (n, 2) vectors, or (n, k, 2) places in original pixels.

        Where the study asks for it, rows are seen through several maps and the predictions, moved back, are joined.

        Raises:
            FitError: A prediction is not finite.
        """
        feed = self.feed_of(rows)
        views = [self._predict_view(feed, inner, rows) for inner in tta_views(feed, self.recipe.tta, self.judged)]
        if len(views) == 1:
            return views[0]
        return {name: target.join(np.stack([view[name] for view in views])) for name, target in self.judged.items()}

    def _predict_view(self, feed: Feed, inner: InnerMaps | None, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target, what is seen through the maps says of the original pictures; NaN where it says nothing."""
        batch_size = count_predicted(self.recipe.size)
        parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in self.judged}
        maps: dict[str, list[Maps]] = {name: [] for name in self.judged}
        for batch in make_batches(feed, batch_size, n_threads=self.count_threads(), inner=inner):
            raw = self.raw_outputs(batch)
            for name in self.judged:
                parts[name].append(raw[name])
                if batch.maps:
                    maps[name].append(maps_of(self.targets[name].field, batch.maps))
        out = {}
        for name, target in self.judged.items():
            raw_all = np.concatenate(parts[name]) if parts[name] else np.zeros((0, target.n_outputs))
            out[name] = np.asarray(target.decode(raw_all, np, law_inputs(rows, self.recipe, target) if target.needs else None))
            if target.spread == "steps" and self.series is not None:
                out[name] = target.at_times(out[name], self.series.times(rows, target.along))
            self._check_finite(name, out[name], rows)
            if maps[name]:
                out[name] = move_back(target, out[name], feed, all_maps(maps[name]))
        return out

    def save(self, folder: Path) -> None:
        """Writes the network, fitted.json, learner.json and the fitted inputs into a folder.

        Raises:
            OSError: The folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_network(folder)
        self.inputs.save(folder / "inputs")
        if self.series is not None:
            self.series.save(folder / "series")
        kept = {
            "recipe": self.recipe.model_dump(mode="json"),
            "shape": self.shape.to_json(),
            "targets": [target.to_json() for target in self.targets.values()],
            "log": self.log,
        }
        (folder / "fitted.json").write_text(json.dumps(kept), encoding="utf-8")
        (folder / NAME_FILE).write_text(json.dumps({"learner": learner_name(self.learner)}), encoding="utf-8")

    def _check_finite(self, name: str, values: NDArray[Any], rows: Dataset) -> None:
        wrong = ~np.isfinite(values).reshape(len(values), -1).all(axis=1) if values.size else np.zeros(len(values), dtype=bool)
        if wrong.any():
            raise FitError(
                say(
                    "{where}: predictions of {name!r} must be finite; got {value} for {rows} after {epochs} epochs at "
                    "learning rate {rate}. Lower train.learning_rate, or raise train.warmup_fraction.",
                    where=rows.where,
                    name=name,
                    value=values[wrong].ravel()[~np.isfinite(values[wrong].ravel())][0],
                    rows=some_rows(rows.ids, wrong),
                    epochs=self.recipe.train.epochs,
                    rate=self.recipe.train.learning_rate,
                )
            )


@dataclass(frozen=True, eq=False)
class Kept:
    """What `FittedNetwork.save` wrote, the network itself apart."""

    recipe: Recipe
    shape: InputShape
    targets: Mapping[str, Target]
    log: list[dict[str, Any]]
    inputs: FittedInputs
    series: FittedSeries | None


def load_kept(folder: Path) -> Kept:
    """Reads it back."""
    kept = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    shape = InputShape.from_json(kept["shape"])
    return Kept(
        recipe=Recipe.model_validate(kept["recipe"]),
        shape=shape,
        targets={one["name"]: target_from_json(one) for one in kept["targets"]},
        log=kept["log"],
        inputs=FittedInputs.load(folder / "inputs"),
        series=FittedSeries.load(folder / "series") if shape.series else None,
    )
