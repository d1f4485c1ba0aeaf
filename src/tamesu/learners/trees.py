"""Gradient boosting on table columns: XGBoost, LightGBM and CatBoost behind one learner.

`fit` reads as the method: targets and inputs are fitted on the training rows, the number of rounds is fixed by an inner split
of those same rows, then the library trains on all of them. Missing numbers and categories reach the library as such.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.errors import StoreError
from tamesu.fields import Field, LabelField, NumberField
from tamesu.learners.base import NAME_FILE, OnEpoch, learner_name
from tamesu.learners.tree_libraries import LIBRARIES, Booster, Library, Task, Trainable
from tamesu.learners.tree_rounds import choose_rounds
from tamesu.losses import log_softmax
from tamesu.preprocess import MISSING, OTHER, FittedInputs, fit_inputs
from tamesu.recipe import Recipe
from tamesu.targets import Target, make_target, target_from_json
from tamesu.targets.classes import UNSEEN, LabelTarget
from tamesu.targets.numbers import NumberTarget
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset


class TreesLearner:
    """Trains boosted trees on the numbers and labels of the table."""

    library: Library

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe cannot be honoured, one sentence each."""
        if importlib.util.find_spec(self.library.package) is None:
            return [say("{learner} is not installed. Run: pip install 'tamesu[trees]'", learner=recipe.learner)]
        name, field = recipe.target
        cannot = [
            (f"fields.{one}", say("inputs of kind {kind}", kind=given.kind))
            for one, given in recipe.inputs.items()
            if not isinstance(given, LabelField | NumberField)
        ]
        cannot += [(f"fields.{one}.aux", say("auxiliary targets")) for one in recipe.auxiliaries]
        if type(make_target(name, field, dataset.classes.get((name, field.kind), ("",)))) not in (LabelTarget, NumberTarget):
            cannot.append((f"fields.{name}", say("targets of kind {kind} with these settings", kind=field.kind)))
        if field.loss is not None:
            cannot.append((f"fields.{name}.loss", say("another loss than its own")))
        if recipe.augment.balance:
            cannot.append(("augment.balance", say("rows drawn by their class")))
        sentences = [
            say("{learner} cannot use {what} ({where}). Remove it, or put it in an idea with learner: torch.", **each)
            for each in ({"learner": recipe.learner, "what": what, "where": where} for where, what in cannot)
        ]
        if not recipe.inputs:
            sentences.append(say("{learner} must have an input, a label or a number; got none.", learner=recipe.learner))
        own = [one for one in recipe.trees.params if one in self.library.fixed]
        sentences += [
            say(
                "trees.params: {name} is set by tamesu: by the target, trees.rounds, trees.learning_rate, or the seed.",
                name=one,
            )
            for one in own
        ]
        return sentences

    def fit(
        self, rows: Dataset, recipe: Recipe, seed: int, device: str = "cpu", on_epoch: OnEpoch | None = None
    ) -> FittedTrees:
        """Trains on all of `rows`.

        Raises:
            DataError: A target's value is missing or unknown.
        """
        name, field = recipe.target
        values = rows.values(name, field)
        target = make_target(name, field, rows.classes.get((name, field.kind), ())).fit(values)
        y = target.as_trained(target.encode(values))
        inputs = fit_inputs(rows, recipe.inputs)
        columns = TreeColumns(inputs, _with_others(inputs, rows))
        present, codes = np.unique(y, return_inverse=True) if _is_class(target) else (np.zeros(0, dtype=np.int64), y)
        task = Task(len(present) if _is_class(target) else 0, device, seed)
        data = Trainable(columns.table(rows, recipe.inputs), codes, columns.is_category)
        if len(np.unique(codes)) < 2:  # nothing to tell apart: no library takes such rows
            return FittedTrees(
                self, recipe, columns, {name: target}, present, len(rows), None, [_entry(0, recipe.trees, device)]
            )
        rounds = recipe.trees.rounds
        n_rounds = choose_rounds(self.library, data, recipe.trees, task) if rounds == "auto" else rounds
        booster = self.library.train(data, recipe.trees, task, n_rounds)
        log = [_entry(n_rounds, recipe.trees, device)]
        if on_epoch is not None:
            on_epoch(1, float("nan"))
        return FittedTrees(self, recipe, columns, {name: target}, present, len(rows), booster, log)

    def load(self, folder: Path) -> FittedTrees:
        """What `FittedTrees.save` wrote.

        Raises:
            StoreError: The folder does not hold it.
        """
        folder = Path(folder)
        try:
            kept = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(say("{where}: must be a saved model; {error}.", where=folder, error=error)) from error
        targets = {one["name"]: target_from_json(one) for one in kept["targets"]}
        columns = TreeColumns(FittedInputs.load(folder / "inputs"), tuple(kept["with_others"]))
        booster = self.library.load(folder, len(kept["present"])) if kept["is_trained"] else None
        recipe, present = Recipe.model_validate(kept["recipe"]), np.array(kept["present"], dtype=np.int64)
        return FittedTrees(self, recipe, columns, targets, present, kept["n_rows"], booster, kept["log"])


class XGBoostLearner(TreesLearner):
    """`learner: xgboost`."""

    library = LIBRARIES["xgboost"]


class LightGBMLearner(TreesLearner):
    """`learner: lightgbm`."""

    library = LIBRARIES["lightgbm"]


class CatBoostLearner(TreesLearner):
    """`learner: catboost`."""

    library = LIBRARIES["catboost"]


@dataclass(frozen=True, eq=False)
class TreeColumns:
    """The table as trees take it: what is missing stays so, unless the study says what to put there.

    Attributes:
        inputs: Fitted on the training rows.
        with_others: Label inputs of which training had classes that are joined as "other".
    """

    inputs: FittedInputs
    with_others: tuple[str, ...]

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """Which columns are codes of categories.  (f,)"""
        inputs = self.inputs
        return np.arange(len(inputs.feature_names) + len(inputs.labels)) >= len(inputs.feature_names)

    def table(self, rows: Dataset, fields: dict[str, Field]) -> NDArray[np.float64]:
        """Numbers and codes of categories, NaN where missing; a class that training did not have is missing.  (n, f)"""
        made = self.inputs.transform(rows)
        table = made.table.astype(np.float64)
        for j, (column, name) in enumerate(zip(made.feature_names, self.inputs.feature_fields, strict=True)):
            field = fields[name]
            if isinstance(field, NumberField) and field.missing == "median" and not column.endswith("_missing"):
                table[np.isnan(rows.values(name, field)), j] = np.nan
        codes = made.categories.astype(np.float64)
        for j, name in enumerate(self.inputs.labels):
            codes[made.categories[:, j] == MISSING, j] = np.nan
            if name not in self.with_others:
                codes[made.categories[:, j] == OTHER, j] = np.nan
        return np.concatenate([table, codes - 1], axis=1)  # codes from 0: other, then the classes


@dataclass(eq=False)
class FittedTrees:
    """Trained trees, and how their inputs and outputs are read.

    Attributes:
        present: Codes of the classes that training had; none for a number.
        n_rows: Rows they were trained on.
        booster: None where training had one class, or one number, alone.
        log: One entry: the rounds, and the device.
    """

    learner: TreesLearner
    recipe: Recipe
    columns: TreeColumns
    targets: dict[str, Target]
    present: NDArray[np.int64]
    n_rows: int
    booster: Booster | None
    log: list[dict[str, Any]]

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target: (n, k) probabilities, or (n,) numbers in its unit."""
        ((name, target),) = self.targets.items()
        if self.booster is None:
            margins = np.zeros((len(rows), max(1, len(self.present))))
        else:
            margins = self.booster.margins(self.columns.table(rows, self.recipe.inputs), self.columns.is_category)
        return {name: np.asarray(target.decode(self._raw(margins, target), np))}

    def _raw(self, margins: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
        """Margins of the classes that training had, as those of all: one it did not have is unlikely, not impossible."""
        if not _is_class(target):
            return margins
        raw = np.full((len(margins), target.n_outputs), np.log(UNSEEN / (self.n_rows + UNSEEN)))
        raw[:, self.present] = log_softmax(margins, np)
        return raw

    def save(self, folder: Path) -> None:
        """Writes the library's own file, fitted.json, learner.json and the fitted inputs into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.booster is not None:
            self.booster.save(folder)
        self.columns.inputs.save(folder / "inputs")
        kept = {
            "recipe": self.recipe.model_dump(mode="json"),
            "targets": [target.to_json() for target in self.targets.values()],
            "with_others": list(self.columns.with_others),
            "present": self.present.tolist(),
            "n_rows": self.n_rows,
            "is_trained": self.booster is not None,
            "log": self.log,
        }
        (folder / "fitted.json").write_text(json.dumps(kept), encoding="utf-8")
        (folder / NAME_FILE).write_text(json.dumps({"learner": learner_name(self.learner)}), encoding="utf-8")


def _with_others(inputs: FittedInputs, rows: Dataset) -> tuple[str, ...]:
    codes = inputs.transform(rows).categories
    return tuple(name for j, name in enumerate(inputs.labels) if (codes[:, j] == OTHER).any())


def _is_class(target: Target) -> bool:
    return isinstance(target, LabelTarget)


def _entry(n_rounds: int, settings: TreesConfig, device: str) -> dict[str, Any]:
    return {"epoch": 1, "loss": None, "learning_rate": settings.learning_rate, "rounds": n_rounds, "device": device}
