"""Estimators of scikit-learn's kind as learners: `learner: sklearn.ensemble.RandomForestClassifier`, by any dotted name.

`fit` reads as the method: target and columns are fitted on the training rows, then a fresh estimator is made with the study's
parameters, seeded, and fitted on those rows. Whatever it holds out, calibrates or searches is inside them.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.balance import row_weights
from tamesu.errors import ConfigError, StoreError
from tamesu.features import check_features, measured_fields
from tamesu.feed import law_inputs
from tamesu.learners.base import NAME_FILE, OnEpoch
from tamesu.learners.network_inputs import table_inputs
from tamesu.learners.sklearn_columns import EstimatorColumns, fit_columns
from tamesu.learners.sklearn_estimators import at_work, make_seeded, role_mistakes, takes_weights, threads_to_fit
from tamesu.learners.sklearn_files import load_estimator, packed, save_estimator
from tamesu.learners.sklearn_named import names_in
from tamesu.learners.sklearn_outputs import Outputs, as_outputs, make_outputs, outputs_of, role_for
from tamesu.recipe import Recipe
from tamesu.targets import Target, make_target, target_from_json
from tamesu.targets.several import NumbersTarget
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset


class SklearnLearner:
    """Trains the estimator that `learner` names, with the parameters of `sklearn.params`."""

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe cannot be honoured, one sentence each."""
        if importlib.util.find_spec("skops") is None:
            return [say("{learner} needs skops, which saves it. Run: pip install 'tamesu[sklearn]'", learner=recipe.learner)]
        name, field = recipe.target
        target = make_target(name, field, dataset.classes.get((name, field.kind), ("",)))
        sentences = [
            say("{learner} cannot use {what} ({where}). Remove it, or put it in an idea with learner: torch.", **each)
            for each in ({"learner": recipe.learner, "what": what, "where": where} for where, what in _not_used(recipe, target))
        ]
        if not recipe.inputs:
            sentences.append(
                say("{learner} must have an input, such as a label, a number or a picture; got none.", learner=recipe.learner)
            )
        sentences += check_features(recipe, dataset)
        return sentences + _estimator_mistakes(recipe, target)

    def fit(
        self, rows: Dataset, recipe: Recipe, seed: int, device: str = "cpu", on_epoch: OnEpoch | None = None
    ) -> FittedSklearn:
        """Trains on all of `rows`.

        Raises:
            DataError: A target's value is missing or unknown.
        """
        name, field = recipe.target
        values = rows.values(name, field)
        target = make_target(name, field, rows.classes.get((name, field.kind), ())).fit(values)
        y = as_outputs(target, values)
        outputs = make_outputs(target, y)
        columns, matrix = fit_columns(rows, recipe, seed, device)
        estimator = None
        if outputs.learnt.any():  # else there is nothing to tell apart, and estimators take no such rows
            estimator = make_seeded(recipe.learner, recipe.sklearn.params, seed, outputs.n_columns)
            with at_work(seed, threads_to_fit(estimator)):
                estimator.fit(matrix, outputs.trained(y), **sample_weight(recipe, target, y))
        if on_epoch is not None:
            on_epoch(1, float("nan"))
        return FittedSklearn(recipe, columns, outputs, estimator, [{"epoch": 1, "loss": None, "device": "cpu"}])

    def load(self, folder: Path) -> FittedSklearn:
        """What `FittedSklearn.save` wrote.

        Raises:
            StoreError: The folder does not hold it, or its files hold something that the study does not name.
        """
        folder = Path(folder)
        try:
            kept = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(say("{where}: must be a saved model; {error}.", where=folder, error=error)) from error
        recipe = Recipe.model_validate(kept["recipe"])
        fixed = tuple(np.nan if one is None else one for one in kept["fixed"])
        outputs = outputs_of(target_from_json(kept["target"]), kept["n_rows"], fixed)
        estimator = load_estimator(folder, _names(recipe)) if kept["is_trained"] else None
        return FittedSklearn(recipe, EstimatorColumns.load(folder / "inputs"), outputs, estimator, kept["log"])


@dataclass(eq=False)
class FittedSklearn:
    """A fitted estimator, and how its inputs and outputs are read.

    Attributes:
        estimator: None where every training row had the same.
        log: One entry.
    """

    recipe: Recipe
    columns: EstimatorColumns
    outputs: Outputs
    estimator: Any
    log: list[dict[str, Any]]

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target: (n, k) probabilities, (n,) numbers or (n, k) numbers, as its kind has them."""
        target = self.outputs.target
        given = law_inputs(rows, self.recipe, target) if target.needs else None
        answers = None
        if self.estimator is not None and len(rows):
            with at_work(0):
                answers = self.outputs.answers(self.estimator, self.columns.matrix(rows))
        return {target.name: self.outputs.predicted(answers, len(rows), given)}

    def save(self, folder: Path) -> None:
        """Writes estimator.skops, fitted.json, learner.json and the fitted inputs into a folder.

        Raises:
            StoreError: The estimator holds what cannot be written without pickle.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.estimator is not None:
            save_estimator(self.estimator, folder, _names(self.recipe))
        self.columns.save(folder / "inputs")
        kept = {
            "recipe": self.recipe.model_dump(mode="json"),
            "target": self.outputs.target.to_json(),
            "n_rows": self.outputs.n_rows,
            "fixed": [None if np.isnan(one) else one for one in self.outputs.fixed],
            "is_trained": self.estimator is not None,
            "log": self.log,
        }
        (folder / "fitted.json").write_text(json.dumps(kept), encoding="utf-8")
        (folder / NAME_FILE).write_text(json.dumps({"learner": self.recipe.learner}), encoding="utf-8")


def sample_weight(recipe: Recipe, target: Target, y: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """What `fit` is given beside the training rows: their weights, unless all count alike."""
    weights = row_weights(target, y, recipe.augment)
    return {} if weights is None else {"sample_weight": weights}


def _estimator_mistakes(recipe: Recipe, target: Target) -> list[str]:
    """Why the estimator cannot do what the study asks of it; its name and parameters are right by themselves."""
    role = role_for(target)
    if role is None:
        return []
    try:
        estimator = make_seeded(recipe.learner, recipe.sklearn.params, 0)
    except ConfigError as error:
        return error.mistakes
    mistakes = list(role_mistakes(estimator, recipe.learner, role, target.kind))
    asked = target.field.loss is not None or recipe.augment.balance  # of losses, those that weight classes are left
    if asked and not takes_weights(estimator):
        text = say(
            "{learner} cannot weight rows, as class_weights and augment.balance ask: its fit has no sample_weight. "
            "Leave them out.",
            learner=recipe.learner,
        )
        mistakes.append(text)
    try:
        packed(estimator, _names(recipe))
    except StoreError as error:
        mistakes.append(str(error))
    return mistakes


def _not_used(recipe: Recipe, target: Target) -> Iterator[tuple[str, str]]:
    """Settings of fields that no estimator can make use of: where, and what."""
    taken = {**table_inputs(recipe), **measured_fields(recipe)}
    name, field = recipe.target
    for one, given in recipe.inputs.items():
        if one not in taken:
            yield f"fields.{one}", say("inputs of kind {kind}", kind=given.kind)
    for one in recipe.auxiliaries:
        yield f"fields.{one}.aux", say("auxiliary targets")
    if role_for(target) is None:
        yield f"fields.{name}", say("targets of kind {kind} with these settings", kind=field.kind)
    if field.loss is not None and not _weights_only(field.loss, target):
        yield f"fields.{name}.loss", say("another loss than its own")
    if isinstance(target, NumbersTarget):
        if target.field.learn:
            yield f"fields.{name}.learn", say("sums learnt in place of columns")
        if any(law.how == "penalty" for law in target.laws):
            yield f"fields.{name}.laws", say("laws with as: penalty")


def _weights_only(loss: Any, target: Target) -> bool:
    """Whether a loss says no more than how much each class counts."""
    return target.kind in ("label", "direction") and set(loss) == {"name", "class_weights"} and loss["name"] == "cross_entropy"


def _names(recipe: Recipe) -> set[str]:
    return set(names_in(recipe.learner, recipe.sklearn.params))
