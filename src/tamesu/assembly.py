"""An engine around an engine: ensembles are assembled here from trainings that the inner engine does.

An ensemble's trial is never trained itself. The parts it lacks are handed to the inner engine, each once, whoever else wants
it; what is stored is taken as it is. When all are there they are joined, and the result is stored like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.engines.base import Finished, describe_error
from tamesu.errors import StoreError
from tamesu.joining import Joining, equal_joining, rank_joining, stacked_joining
from tamesu.learners.ensemble import FittedEnsemble, KeptModel
from tamesu.targets import make_target
from tamesu.trial import TrialResult, check_predictions, plain, read_versions

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.engines.base import Engine, NextTrial
    from tamesu.parts import Parts
    from tamesu.recipe import Recipe
    from tamesu.store import Store
    from tamesu.trial import Trial


@dataclass(eq=False)
class _Waiting:
    """An ensemble's trial, and the parts of it that are not there yet, by key."""

    trial: Trial
    missing: dict[str, Trial]


class Assembly:
    """Runs trials in the engine given, and assembles ensembles from them.

    Args:
        engine: Where ordinary trials run; it writes their results into `store`.
        dataset: The rows that the trials' splits are of.
        store: Where parts and ensembles are.
        may_train: Asked before a part is started that nobody handed out; None: every one may be.
    """

    def __init__(self, engine: Engine, dataset: Dataset, store: Store, may_train: Callable[[Trial], bool] | None = None):
        self.engine, self.dataset, self.store, self.n_workers = engine, dataset, store, engine.n_workers
        self._may_train = may_train or (lambda part: True)
        self._waiting: list[_Waiting] = []
        self._running: dict[str, Trial] = {}
        self._behind: dict[str, Trial] = {}  # asked for with its model while it runs without
        self._again: list[Trial] = []  # the same, once that has finished
        self._ready: list[Finished] = []

    def run(self, next_trial: NextTrial) -> Iterator[Finished]:
        """Trials as they finish, and the parts that were trained for them; see `Engine.run`.

        Raises:
            StoreError: A result cannot be kept, or was lost.
        """
        while True:
            for finished in self.engine.run(lambda: self._next(next_trial)):
                self._take(finished)
                yield finished
                yield from self._handed_back()
            if not self._ready:
                return
            yield from self._handed_back()  # with these in, the caller may want more

    def close(self) -> None:
        """End the inner engine's workers."""
        self.engine.close()

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _next(self, next_trial: NextTrial) -> Trial | None:
        """What to train now: a part that was wanted before, or what is wanted next."""
        while True:
            trial = self._missing_part() or (self._again.pop() if self._again else next_trial())
            if trial is None:
                return None
            if trial.parts is not None:
                missing = {part.key: part for part in trial.parts if not self.store.holds(part)}
                self._waiting.append(_Waiting(trial, missing))
                self._assemble()
            elif trial.key in self._running:
                if trial.keep_model and not self._running[trial.key].keep_model:
                    self._behind[trial.key] = trial
            elif self.store.holds(trial):  # since the caller looked: it was a part
                self._ready.append(Finished(trial, self.store.read(trial.key)))
            else:
                self._running[trial.key] = trial
                return trial

    def _missing_part(self) -> Trial | None:
        parts = (part for waiting in self._waiting for part in waiting.missing.values() if part.key not in self._running)
        part = next(parts, None)
        return part if part is not None and self._may_train(part) else None

    def _take(self, finished: Finished) -> None:
        """Pass a finished training on to the ensembles that wait for it; one that failed fails them."""
        done = finished.trial
        self._running.pop(done.key, None)
        if (behind := self._behind.pop(done.key, None)) is not None:
            self._again.append(behind)
        for waiting in [one for one in self._waiting if done.key in one.missing]:
            if finished.result is None:
                self._waiting.remove(waiting)
                self._ready.append(Finished(waiting.trial, None, finished.error, finished.traceback))
            elif done.keep_model or not waiting.missing[done.key].keep_model:
                del waiting.missing[done.key]
        self._assemble()

    def _assemble(self) -> None:
        for waiting in [one for one in self._waiting if not one.missing]:
            self._waiting.remove(waiting)
            self._ready.append(self._finish(waiting.trial))

    def _finish(self, trial: Trial) -> Finished:
        assert trial.parts is not None
        try:
            result, joining = join_parts(self.dataset, trial, self.store.read)
            model = None
            if trial.keep_model:
                kept = [[KeptModel(self.store.model_path(part.key)) for part in seeds] for seeds in trial.parts.scored]
                model = FittedEnsemble(kept, joining)
            self.store.write(result, model)
        except StoreError:
            raise
        except Exception as error:
            return Finished(trial, None, *describe_error(error))
        return Finished(trial, result)

    def _handed_back(self) -> Iterator[Finished]:
        while self._ready:
            yield self._ready.pop(0)


def join_parts(dataset: Dataset, trial: Trial, read: Callable[[str], TrialResult]) -> tuple[TrialResult, Joining]:
    """The result of an ensemble's trial from those of its parts, and how their predictions were joined.

    Times are those of all parts together: what the ensemble costs by itself.

    Args:
        dataset: The rows that the trial's split is of.
        read: A result by its key.

    Raises:
        FitError: The joined predictions are not finite.
    """
    assert trial.parts is not None
    recipe, split, (name, _) = trial.recipe, trial.split, trial.recipe.target
    results = {part.key: read(part.key) for part in trial.parts}
    predictions = {key: result.predictions[name] for key, result in results.items()}
    joining = fit_joining(dataset.take(split.train), recipe, out_of_fold(trial.parts, predictions))
    joined = joining.join([[predictions[part.key] for part in seeds] for seeds in trial.parts.scored])
    one = results[trial.parts.scored[0][0].key]
    result = TrialResult(
        key=trial.key,
        repeat=split.repeat,
        fold=split.fold,
        seed=trial.seed,
        ids=one.ids,
        predictions=check_predictions({name: joined}, (name,), one.ids, split, dataset.where),
        log=[],
        fit_time_s=sum(part.fit_time_s for part in results.values()),
        predict_time_s=sum(part.predict_time_s for part in results.values()),
        device=one.device,
        threads=one.threads,
        versions=read_versions(),
        recipe=plain(recipe.model_dump(mode="json")),
        data_digest=trial.data_digest,
        n_train=len(split.train),
        weights=joining.weights,
    )
    return result, joining


def fit_joining(rows: Dataset, recipe: Recipe, predictions: list[list[NDArray[Any]]]) -> Joining:
    """How an ensemble's members are joined, learned where its method learns anything.

    Args:
        rows: The training rows, and nothing else.
        recipe: Of the ensemble.
        predictions: Of these rows, by member and seed, each by a model that was not trained on the row; empty for a mean.
    """
    name, field = recipe.target
    target = make_target(name, field, rows.classes.get((name, field.kind), ()))
    match recipe.ensemble.method:
        case "rank_mean":
            return rank_joining(target, predictions)
        case "stack":
            values = rows.values(name, field)
            target = target.fit(values)
            return stacked_joining(target, predictions, target.truth(values))
    return equal_joining(target, len(recipe.members))


def out_of_fold(parts: Parts, predictions: Mapping[str, NDArray[Any]]) -> list[list[NDArray[Any]]]:
    """What the inner trainings predict of all training rows, in the rows' order, by member and seed; empty without any.

    Args:
        parts: Of an ensemble's trial.
        predictions: By key of the trial.
    """
    if not parts.inner:
        return []
    order = np.argsort(np.concatenate([members[0][0].split.test for members in parts.inner]))
    return [
        [np.concatenate([predictions[part.key] for part in same])[order] for same in zip(*seeds, strict=True)]
        for seeds in zip(*parts.inner, strict=True)
    ]
