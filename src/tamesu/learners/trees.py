"""Gradient boosting: XGBoost, LightGBM and CatBoost behind one learner.

`fit` reads as the method: target, columns and features are fitted on the training rows, the number of rounds is fixed by an
inner split of those same rows, then the library trains on all of them. Missing numbers and categories reach the library as
such.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.arrows import ArrowField
from tamesu.balance import row_weights
from tamesu.errors import StoreError
from tamesu.features import check_features
from tamesu.fields import Field, LabelField, NumberField, PictureField, SeriesField
from tamesu.inner import inner_splits
from tamesu.learners.base import NAME_FILE, OnEpoch, learner_name
from tamesu.learners.tree_columns import TreeColumns, fit_columns
from tamesu.learners.tree_libraries import LIBRARIES
from tamesu.learners.tree_library import Booster, Library, Objective, Task, Trainable
from tamesu.learners.tree_rounds import choose_rounds
from tamesu.learners.tree_targets import Answers, can_answer, load_answers, make_answers, objective_of
from tamesu.losses import said_loss
from tamesu.recipe import Recipe
from tamesu.targets import make_target, target_from_json
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset

MOST_CLASSES = 1000  # every round grows a tree for each
N_ASKED = 200  # rows on which a library is asked about its parameters
GIVEN = (LabelField, NumberField, ArrowField, PictureField, SeriesField)


class TreesLearner:
    """Trains boosted trees on the table, and on what is measured of pictures and series."""

    library: Library

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe cannot be honoured, one sentence each."""
        if importlib.util.find_spec(self.library.package) is None:
            return [say("{learner} is not installed. Run: pip install 'tamesu[trees]'", learner=recipe.learner)]
        sentences = [
            say("{learner} cannot use {what} ({where}). Remove it, or put it in an idea with learner: torch.", **each)
            for each in (
                {"learner": recipe.learner, "what": what, "where": where} for where, what in _impossible(recipe, dataset)
            )
        ]
        if not recipe.inputs:
            sentences.append(
                say("{learner} must have an input, such as a label, a number or a picture; got none.", learner=recipe.learner)
            )
        name, field = recipe.target
        n_classes = len(dataset.classes.get((name, field.kind), ()))
        if n_classes > MOST_CLASSES:
            text = say(
                "{learner} grows a tree for each class in every round: {name!r} must have at most {most} classes; got {n}. "
                "Join classes with merge, or use learner: torch.",
                learner=recipe.learner,
                name=name,
                most=MOST_CLASSES,
                n=n_classes,
            )
            sentences.append(text)
        sentences += self.library.fixed_mistakes(recipe.trees.params)
        sentences += check_features(recipe, dataset)
        return sentences or self._check_params(recipe, dataset)

    def _check_params(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        if not recipe.trees.params:
            return []
        name, field = recipe.target
        n_classes = 0
        if field.kind == "label":  # of one class alone no library is asked; three stand for any more
            n_classes = int(np.clip(len(dataset.classes.get((name, field.kind), ())), 2, 3))
        rows = dataset.take(slice(0, N_ASKED))
        plain = recipe.model_copy(update={"features": recipe.features.model_copy(update={"network": "none"})})
        columns, x = fit_columns(rows, plain, 0, "cpu")
        data = Trainable(x, np.arange(len(rows)) % max(2, n_classes), columns.is_category)
        task = Task(objective_of(field) or Objective("l2"), 2 if field.kind == "label" and field.order else n_classes, "cpu", 0)
        return self.library.param_mistakes(recipe.trees, task, data)

    def fit(
        self, rows: Dataset, recipe: Recipe, seed: int, device: str = "cpu", on_epoch: OnEpoch | None = None
    ) -> FittedTrees:
        """Trains on all of `rows`.

        Raises:
            DataError: A target's value is missing or unknown.
            ValueError: A loss that `check` refuses.
        """
        name, field = recipe.target
        values = rows.values(name, field)
        target = make_target(name, field, rows.classes.get((name, field.kind), ())).fit(values)
        encoded = target.encode(values)
        answers = make_answers(target, target.as_trained(encoded))
        objective = objective_of(field)
        if objective is None:
            raise ValueError(f"trees cannot lower the loss of {name!r} (see `check`)")
        columns, x = fit_columns(rows, recipe, seed, device)
        weight, is_category = row_weights(target, encoded, recipe.augment), columns.is_category
        task = Task(objective, answers.n_classes, self._device(device), seed)
        boosters: list[Booster] = []
        rounds: list[int] = []
        splits = inner_splits(rows, recipe, seed) if recipe.trees.rounds == "auto" else []
        for y in answers.asked(target.as_trained(encoded)):
            data = Trainable(x, y, is_category, weight)
            said = recipe.trees.rounds
            rounds.append(choose_rounds(self.library, data, recipe.trees, task, splits) if said == "auto" else said)
            boosters.append(self.library.train(data, recipe.trees, task, rounds[-1]))
        entry = {"epoch": 1, "loss": None, "learning_rate": recipe.trees.learning_rate}
        log = [entry | {"rounds": rounds[0] if len(rounds) == 1 else rounds or 0, "device": task.device}]
        if on_epoch is not None:
            on_epoch(1, float("nan"))
        return FittedTrees(self, recipe, columns, answers, tuple(boosters), log)

    def _device(self, device: str) -> str:
        """cuda where it is asked for and the library can train there; else the CPU, which is told."""
        if device == "cpu":
            return "cpu"
        problem = self.library.gpu_problem() if device == "cuda" else device
        if problem is None:
            return "cuda"
        text = say(
            "{learner} trains on the CPU: it cannot use this GPU ({problem}).", learner=self.library.package, problem=problem
        )
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return "cpu"

    def load(self, folder: Path) -> FittedTrees:
        """What `FittedTrees.save` wrote.

        Raises:
            StoreError: The folder does not hold it.
        """
        folder = Path(folder)
        try:
            kept = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
            columns = TreeColumns.load(folder / "columns")
        except (OSError, ValueError) as error:
            raise StoreError(say("{where}: must be a saved model; {error}.", where=folder, error=error)) from error
        answers = load_answers(target_from_json(kept["target"]), kept["present"], kept["n_rows"])
        boosters = tuple(self.library.load(folder / f"trees_{i}", answers.n_classes) for i in range(kept["n_boosters"]))
        return FittedTrees(self, Recipe.model_validate(kept["recipe"]), columns, answers, boosters, kept["log"])


class XGBoostLearner(TreesLearner):
    """`learner: xgboost`."""

    library = LIBRARIES["xgboost"]


class LightGBMLearner(TreesLearner):
    """`learner: lightgbm`."""

    library = LIBRARIES["lightgbm"]


class CatBoostLearner(TreesLearner):
    """`learner: catboost`."""

    library = LIBRARIES["catboost"]


@dataclass(eq=False)
class FittedTrees:
    """Trained trees, and how their inputs and outputs are read.

    Attributes:
        boosters: One, or of classes in order one for each cut between two; none where there is nothing to tell apart.
        log: One entry: the rounds (of each booster, where they are several), and the device.
    """

    learner: TreesLearner
    recipe: Recipe
    columns: TreeColumns
    answers: Answers
    boosters: tuple[Booster, ...]
    log: list[dict[str, Any]]

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target: (n, k) probabilities, or (n,) numbers in its unit."""
        margins = []
        if self.boosters:
            x, is_category = self.columns.table(rows), self.columns.is_category
            margins = [booster.margins(x, is_category) for booster in self.boosters]
        return {self.answers.target.name: self.answers.prediction(margins, len(rows))}

    def save(self, folder: Path) -> None:
        """Writes the library's own files, fitted.json, learner.json and the columns into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for i, booster in enumerate(self.boosters):
            (folder / f"trees_{i}").mkdir(exist_ok=True)
            booster.save(folder / f"trees_{i}")
        self.columns.save(folder / "columns")
        kept = {
            "recipe": self.recipe.model_dump(mode="json"),
            "target": self.answers.target.to_json(),
            "present": self.answers.present.tolist(),
            "n_rows": self.answers.n_rows,
            "n_boosters": len(self.boosters),
            "log": self.log,
        }
        (folder / "fitted.json").write_text(json.dumps(kept), encoding="utf-8")
        (folder / NAME_FILE).write_text(json.dumps({"learner": learner_name(self.learner)}), encoding="utf-8")


def _impossible(recipe: Recipe, dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Where something stands that trees cannot use, and what it is."""
    trains_network = recipe.features.network == "trained"  # which takes more than trees do
    for name, given in recipe.inputs.items():
        if not (isinstance(given, GIVEN) or trains_network):
            yield f"fields.{name}", say("inputs of kind {kind}", kind=given.kind)
    for name in () if trains_network else recipe.auxiliaries:
        yield f"fields.{name}.aux", say("auxiliary targets")
    name, field = recipe.target
    if not can_answer(make_target(name, field, dataset.classes.get((name, field.kind), ("",)))):
        yield f"fields.{name}", say("targets of kind {kind} with these settings", kind=field.kind)
    elif objective_of(field) is None:
        yield from _impossible_loss(name, field)


def _impossible_loss(name: str, field: Field) -> Iterator[tuple[str, str]]:
    said, options = said_loss(field)
    if objective_of(field.model_copy(update={"loss": said})) is None:
        yield f"fields.{name}.loss", say("the loss {loss}", loss=said)
        return
    for option in options:
        if objective_of(field.model_copy(update={"loss": {"name": said, option: options[option]}})) is None:
            yield f"fields.{name}.loss.{option}", say("{option} of a loss", option=option)
