"""The PyTorch learner, in small steps that a subclass can replace.

`fit` reads as the method: targets, inputs and pixels are fitted on the training rows, then a network goes through a
fixed number of epochs. To change a step, subclass `TorchLearner`, override it, and name your class in the study:
`learner: my_module:MyLearner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tamesu.batches import Batch, make_batches
from tamesu.config import DecidedTrainConfig
from tamesu.errors import ConfigError
from tamesu.feed import Feed
from tamesu.fields import PictureField
from tamesu.learners.base import OnEpoch
from tamesu.learners.network import make_targets, prepare
from tamesu.learners.network_inputs import head_of
from tamesu.learners.network_loss import target_losses
from tamesu.learners.schedules import cosine_with_warmup
from tamesu.learners.torch_fitted import FittedTorch, load_fitted_torch
from tamesu.learners.torch_heads import HeadWatch, HeadWeights
from tamesu.learners.torch_steps import (
    Average,
    Training,
    autocast,
    count_batch_threads,
    decay_groups,
    quiet_random_state,
    told_places,
)
from tamesu.losses import loss_of
from tamesu.nets.activations import make_activation
from tamesu.nets.heads import Network, Standardise
from tamesu.nets.health import N_WATCHED_EPOCHS, Watch
from tamesu.nets.settings import check_model
from tamesu.nets.shapes import InputShape
from tamesu.pixels import FittedPixels
from tamesu.stacks import make_stacks
from tamesu.targets import Target
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe
    from tamesu.series_inputs import FittedSeries


class TorchLearner:
    """Trains a network on pictures, table, or both, for a fixed number of epochs."""

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe cannot be honoured, one sentence each."""
        mistakes = []
        if not recipe.inputs:
            mistakes.append(
                say("fields: must have an input (an image, a label, a number or a series that is not predicted); got none.")
            )
        has_images = any(isinstance(field, PictureField) for field in recipe.inputs.values())
        try:
            make_activation(recipe.model.activation)
        except ConfigError as error:
            mistakes += error.mistakes
        if has_images:
            mistakes += check_model(recipe.model) or self._check_backbone(recipe, dataset)
        return mistakes

    def _check_backbone(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        fresh = recipe.model.model_copy(update={"weights": "none"}) if recipe.model.weights == "hub" else recipe.model
        given = {name: one for name, one in recipe.inputs.items() if isinstance(one, PictureField)}
        channels = {name: dataset.pictures[name].channels for name in given}
        stacks = make_stacks(given, channels, recipe.channels, recipe.model.fusion)
        try:
            with quiet_random_state(0, torch.device("cpu")):
                Network(fresh, InputShape(stacks, recipe.size, 0, ()), {})
        except ConfigError as error:
            return error.mistakes
        return []

    def fit(
        self, rows: Dataset, recipe: Recipe, seed: int, device: str = "cpu", on_epoch: OnEpoch | None = None
    ) -> FittedTorch:
        """Trains on all of `rows`.

        Raises:
            DataError: A target's value is missing or unknown.
            ConfigError: The recipe asks for what this learner does not have (see `check`).
        """
        place = torch.device(device)
        with quiet_random_state(seed, place):
            ready = prepare(rows, recipe, self.make_targets)
            targets = ready.targets
            network = self.make_network(recipe, ready.shape, targets)
            feed = told_places(ready.feed, network)
            set_pixels(network, ready.pixels)
            training = self.make_training(network, recipe, targets, place, n_steps=self.count_steps(feed, recipe.train))
            log = [self.train_epoch(training, feed, epoch, seed, on_epoch) for epoch in range(recipe.train.epochs)]
            trained = training.result()
            return FittedTorch(self, recipe, trained, ready.shape, ready.inputs, targets, log, ready.series, place)

    def load(self, folder: Path) -> FittedTorch:
        """What `FittedTorch.save` wrote."""
        return load_fitted_torch(self, Path(folder))

    # ---- the steps, in the order they are taken

    def make_targets(self, rows: Dataset, recipe: Recipe, series: FittedSeries | None = None) -> dict[str, Target]:
        """What is predicted, and what is predicted beside it, fitted on the training rows."""
        return make_targets(rows, recipe, series)

    def make_network(self, recipe: Recipe, shape: InputShape, targets: Mapping[str, Target]) -> nn.Module:
        """The network: (pictures by field (b, h, w, c), table (b, f), categories (b, g)) to raw outputs by target."""
        return Network(recipe.model, shape, {name: head_of(target, recipe.size) for name, target in targets.items()})

    def make_training(
        self, network: nn.Module, recipe: Recipe, targets: Mapping[str, Target], device: torch.device, n_steps: int
    ) -> Training:
        """Everything that changes while training."""
        order = torch.channels_last if recipe.train.channels_last else torch.contiguous_format
        network = network.to(device=device, memory_format=order)  # type: ignore[call-overload]
        network.train()
        optimizer = self.make_optimizer(network, recipe.train)
        auxiliaries = {name: one.auxiliary for name, one in recipe.auxiliaries.items() if one.auxiliary is not None}
        weights = HeadWeights(auxiliaries).to(device) if auxiliaries else None
        if weights is not None and weights.places:
            optimizer.add_param_group({"params": list(weights.parameters()), "weight_decay": 0.0})
        main = next(name for name, one in targets.items() if one.field.target)
        watches = weights is not None and recipe.train.report and not recipe.train.compile
        return Training(
            network=network,
            forward=torch.compile(network) if recipe.train.compile else network,
            optimizer=optimizer,
            schedule=self.make_schedule(recipe.train, n_steps),
            average=Average(network, recipe.train.ema) if recipe.train.ema else None,
            settings=recipe.train,
            targets=dict(targets),
            losses={name: loss_of(target, recipe.train) for name, target in targets.items()},
            device=device,
            n_steps=n_steps,
            head_weights=weights,
            head_watch=HeadWatch(network, main) if watches else None,
        )

    def make_optimizer(self, network: nn.Module, settings: DecidedTrainConfig) -> torch.optim.Optimizer:
        """AdamW; weights decay, biases and scales do not."""
        groups = decay_groups(network, settings.weight_decay)
        on = next(network.parameters()).device.type
        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=on in {"cpu", "cuda"})

    def make_schedule(self, settings: DecidedTrainConfig, n_steps: int) -> Callable[[int], float]:
        """Step to share of the learning rate: a linear warm-up, then half a cosine down to zero."""
        return cosine_with_warmup(n_steps, settings.warmup_fraction)

    def count_steps(self, feed: Feed, settings: DecidedTrainConfig) -> int:
        """Steps of the whole training."""
        return settings.epochs * -(-len(feed) // settings.batch_size)

    def train_epoch(self, training: Training, feed: Feed, epoch: int, seed: int, on_epoch: OnEpoch | None) -> dict[str, Any]:
        """Goes through the rows once; returns the epoch's entry in the log."""
        training.start_epoch()
        n_threads = count_batch_threads(training.device)
        looks = training.settings.report and epoch < N_WATCHED_EPOCHS
        health: dict[str, Any] = {}
        for batch in make_batches(feed, training.settings.batch_size, epoch=epoch, seed=seed, n_threads=n_threads):
            if looks and not health:
                with Watch(training.network, training.settings.compile) as watch:
                    self.train_step(training, batch)
                health = {"health": watch.report()}
            else:
                self.train_step(training, batch)
        entry = training.end_epoch(epoch + 1) | health
        if on_epoch is not None:
            on_epoch(epoch + 1, float("nan") if entry["loss"] is None else entry["loss"])
        return entry

    def train_step(self, training: Training, batch: Batch) -> None:
        """One step down the gradient; one that is not finite is left out and counted."""
        weight = torch.from_numpy(batch.weight[: batch.n_real]).to(training.device)
        with autocast(training.settings, training.device):
            raw = self.forward(training.forward, batch, training.device)
        loss = self.loss(raw, batch, weight, training)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        training.apply_gradient(loss.detach(), batch.n_real)

    def forward(self, network: Any, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        """Raw outputs of the batch's rows; padding is cut off before, as batch normalisation would see it."""
        n = batch.n_real
        pictures = {name: torch.from_numpy(values[:n]).to(device) for name, values in batch.pictures.items()}
        table, categories = torch.from_numpy(batch.table[:n]).to(device), torch.from_numpy(batch.categories[:n]).to(device)
        if not batch.series:
            raw: dict[str, Tensor] = network(pictures, table, categories)
        else:
            series = {name: torch.from_numpy(values[:n]).to(device) for name, values in batch.series.items()}
            lengths = {name: torch.from_numpy(values[:n]).to(device) for name, values in batch.lengths.items()}
            raw = network(pictures, table, categories, series, lengths)
        return {name: values.float() for name, values in raw.items()}

    def loss(self, raw: Mapping[str, Tensor], batch: Batch, weight: Tensor, training: Training) -> Tensor:
        """Mean over rows of the target's loss, and those of its auxiliaries by their weights."""
        losses = self.losses(raw, batch, weight, training)
        weighted = {name: training.weight_of(name, each) for name, each in losses.items()}
        if training.head_watch is not None and training.head_watch.wants_more:
            training.head_watch.see(weighted)
        total = weight.new_zeros(())
        for each in weighted.values():
            total = total + each
        return total

    def losses(self, raw: Mapping[str, Tensor], batch: Batch, weight: Tensor, training: Training) -> dict[str, Tensor]:
        """By target, the mean loss of the rows that hold a value of it."""
        n = batch.n_real
        given = {
            kind: {name: torch.from_numpy(values[:n]).to(training.device) for name, values in of.items()}
            for kind, of in (("targets", batch.targets), ("known", batch.known), ("laws", batch.laws))
        }
        partner, share = mixed_with(batch, training.device)
        whole = {**given, "weight": weight, "partner": partner, "share": share}
        return target_losses(raw, whole, training.targets, training.losses, torch)

    def predict_step(self, network: nn.Module, batch: Batch, recipe: Recipe, device: torch.device) -> dict[str, Tensor]:
        """Raw outputs of the batch's real rows, in float64 on the CPU."""
        with torch.inference_mode(), autocast(recipe.train, device):
            raw = self.forward(network, batch, device)
        return {name: values.cpu().double() for name, values in raw.items()}


def mixed_with(batch: Batch, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
    """Which row each of the batch's rows is mixed with, and how much of it is its own; None where nothing is.  (n,), (n,)"""
    if batch.partner is None or batch.share is None:
        return None, None
    n = batch.n_real
    return torch.from_numpy(batch.partner[:n]).to(device), torch.from_numpy(batch.share[:n]).to(device)


def set_pixels(network: nn.Module, pixels: Mapping[str, FittedPixels]) -> None:
    """Puts mean and spread of the training pictures into the network, where it standardises."""
    if isinstance(network, Network):
        for name, fitted in pixels.items():
            standardise = network.standardise[network.group_keys[name]]
            if isinstance(standardise, Standardise):
                standardise.set(fitted.mean, fitted.std)
