"""What the PyTorch learner leaves: a network with everything that was fitted beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from tamesu.batches import InnerMaps, make_batches, maps_of
from tamesu.errors import FitError
from tamesu.feed import Feed, law_inputs, make_feed
from tamesu.fields import some_rows
from tamesu.learners.base import NAME_FILE, learner_name
from tamesu.learners.torch_steps import count_batch_threads, told_places
from tamesu.maps import Maps
from tamesu.nets.shapes import InputShape
from tamesu.preprocess import FittedInputs
from tamesu.recipe import Recipe
from tamesu.series_inputs import FittedSeries
from tamesu.targets import Target, target_from_json
from tamesu.texts import say
from tamesu.tta import all_maps, move_back, tta_feed, tta_views

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.learners.torch import TorchLearner

PREDICT_PIXELS = 2**20  # pictures of this many pixels together make a batch when predicting


@dataclass(eq=False)
class FittedTorch:
    """A trained network, and how its inputs and outputs are read.

    Attributes:
        log: One entry an epoch.
    """

    learner: TorchLearner
    recipe: Recipe
    network: nn.Module
    shape: InputShape
    inputs: FittedInputs
    targets: dict[str, Target]
    log: list[dict[str, Any]]
    device: torch.device
    series: FittedSeries | None = None

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
        feed = tta_feed(make_feed(rows, self.recipe, self.inputs, {}, self.series), rows, self.recipe, self.inputs)
        feed = told_places(feed, self.network)
        views = [self._predict_view(feed, inner, rows) for inner in tta_views(feed, self.recipe.tta, self.judged)]
        if len(views) == 1:
            return views[0]
        return {name: target.join(np.stack([view[name] for view in views])) for name, target in self.judged.items()}

    def _predict_view(self, feed: Feed, inner: InnerMaps | None, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target, what is seen through the maps says of the original pictures; NaN where it says nothing."""
        pixels = max(1, self.recipe.size[0] * self.recipe.size[1])
        batch_size = int(np.clip(PREDICT_PIXELS // pixels, 1, 256))
        self.network.eval()
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in self.targets}
        maps: dict[str, list[Maps]] = {name: [] for name in self.judged}
        for batch in make_batches(feed, batch_size, n_threads=count_batch_threads(self.device), inner=inner):
            for name, raw in self.learner.predict_step(self.network, batch, self.recipe, self.device).items():
                if name not in self.judged:
                    continue
                parts[name].append(raw)
                if batch.maps:
                    maps[name].append(maps_of(self.targets[name].field, batch.maps))
        out = {}
        for name, target in self.judged.items():
            raw = torch.cat(parts[name]) if parts[name] else torch.zeros(0, target.n_outputs, dtype=torch.float64)
            laws = torch.from_numpy(law_inputs(rows, self.recipe, target)) if target.needs else None
            decoded = target.decode(raw, torch, laws)
            out[name] = decoded.numpy() if isinstance(decoded, torch.Tensor) else np.asarray(decoded)
            if target.spread == "steps" and self.series is not None:
                out[name] = target.at_times(out[name], self.series.times(rows, target.along))
            self._check_finite(name, out[name], rows)
            if maps[name]:
                out[name] = move_back(target, out[name], feed, all_maps(maps[name]))
        return out

    def save(self, folder: Path) -> None:
        """Writes network.safetensors, fitted.json, learner.json and the fitted inputs into a folder.

        Raises:
            OSError: The folder cannot be written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # clone: a tensor in channels-last order, or one that shares memory, is not what safetensors takes
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / "network.safetensors")
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


def load_fitted_torch(learner: TorchLearner, folder: Path) -> FittedTorch:
    """What `FittedTorch.save` wrote, on the CPU."""
    kept = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    recipe = Recipe.model_validate(kept["recipe"])
    targets = {one["name"]: target_from_json(one) for one in kept["targets"]}
    shape = InputShape.from_json(kept["shape"])
    # the weights come from our own file: nothing is fetched, nor is the file they once came from needed
    fresh = recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": "none"})})
    with torch.random.fork_rng(devices=[]):
        network = learner.make_network(fresh, shape, targets)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    order = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
    network = network.to(memory_format=order).eval()  # type: ignore[call-overload]
    inputs = FittedInputs.load(folder / "inputs")
    series = FittedSeries.load(folder / "series") if shape.series else None
    return FittedTorch(learner, recipe, network, shape, inputs, targets, kept["log"], torch.device("cpu"), series)
