"""Ensembles are assembled from ordinary trainings: each once, stored like all others, whatever else is wanted meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

import toy
from tamesu.arms import make_arms
from tamesu.assembly import Assembly
from tamesu.document import config_from_mapping
from tamesu.engines.local import LocalEngine
from tamesu.engines.serial import SerialEngine
from tamesu.learners.base import load_fitted
from tamesu.store import Store
from tamesu.testing import toy_tables
from tamesu.trial import make_trial

FIELDS = {"x": "number", "z": "number", "y": {"kind": "number", "target": True}}
IDEAS = {
    "longer": {"train": {"epochs": 3}},
    "without-z": {"fields": {"z": "ignore"}},
    "broken": {"learner": "toy:Broken"},
    "crashing": {"learner": "toy:Crashing", "train": {"epochs": 9}},
    "blend": {"ensemble": {"members": ["baseline", "longer"]}},
    "three": {"ensemble": {"members": ["baseline", "longer", "without-z"]}},
    "five": {"ensemble": {"members": ["baseline"], "seeds": 5}},
    "stack": {"ensemble": {"members": ["baseline", "longer"], "method": "stack", "seeds": 2}},
    "with-broken": {"ensemble": {"members": ["baseline", "broken"]}},
    "with-crashing": {"ensemble": {"members": ["baseline", "crashing"]}},
}
N_INNER = 5
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def dataset():
    return toy.make_rows()


def make_recipes(learner="toy:Ridge"):
    config = config_from_mapping({"fields": FIELDS, "learner": learner, "train": {"epochs": 2}, "ideas": IDEAS})
    return {arm.name: arm.recipe for arm in make_arms(config, (0, 0))}


@pytest.fixture(scope="module")
def recipes():
    return make_recipes()


def feed(trials):
    waiting = iter(trials)
    return lambda: next(waiting, None)


class Recorder:
    """An engine that remembers what it was given to train."""

    def __init__(self, engine):
        self.engine, self.n_workers, self.trained = engine, engine.n_workers, []

    def run(self, next_trial):
        def ask():
            if (trial := next_trial()) is not None:
                self.trained.append(trial.key)
            return trial

        yield from self.engine.run(ask)

    def close(self):
        self.engine.close()


def run_all(engine, dataset, store, trials, **options):
    """By key, everything that came back."""
    with Assembly(engine, dataset, store, **options) as assembly:
        return {one.trial.key: one for one in assembly.run(feed(trials))}


def predictions(store, trials):
    return [store.read(trial.key).predictions["y"] for trial in trials]


@pytest.mark.parametrize("kind", [LocalEngine, SerialEngine])
def test_a_mean_is_that_of_its_parts(tmp_path, dataset, recipes, kind):
    store, split = Store(tmp_path), toy.make_split()
    trial = make_trial(dataset, recipes["three"], split)
    finished = run_all(kind(dataset, store), dataset, store, [trial])
    parts = list(trial.parts)
    assert set(finished) == {trial.key, *(part.key for part in parts)}
    alone = [make_trial(dataset, recipes[name], split) for name in ("baseline", "longer", "without-z")]
    assert {one.key for one in alone} == {part.key for part in parts}
    result = store.read(trial.key)
    np.testing.assert_allclose(result.predictions["y"], np.mean(predictions(store, alone), axis=0), rtol=1e-12)
    assert list(result.ids) == list(dataset.ids[split.test])
    assert result.weights == pytest.approx([1 / 3] * 3)
    assert result.fit_time_s == pytest.approx(sum(store.read(part.key).fit_time_s for part in parts))
    assert result.recipe["ensemble"]["members"] == ["baseline", "longer", "without-z"]


@pytest.mark.parametrize("kind", [LocalEngine, SerialEngine])
def test_a_stack_is_weighed_by_inner_folds_of_its_training_rows(tmp_path, dataset, recipes, kind):
    store, split = Store(tmp_path), toy.make_split()
    trial = make_trial(dataset, recipes["stack"], split)
    finished = run_all(kind(dataset, store), dataset, store, [trial])
    assert len(finished) == 1 + 2 * 2 * (N_INNER + 1)

    y = dataset.table["y"].to_numpy()
    members = [np.empty(len(y)), np.empty(len(y))]
    for inner in trial.parts.inner:
        for member, seeds in zip(members, inner, strict=True):
            member[seeds[0].split.test] = np.mean(predictions(store, seeds), axis=0)
    train = y[split.train]
    design = np.stack([member[split.train] for member in members], axis=1)
    weights, _ = nnls((design - train.mean()) / train.std(), (train - train.mean()) / train.std())
    result = store.read(trial.key)
    assert result.weights == pytest.approx(weights, abs=1e-9)
    scored = np.stack([np.mean(predictions(store, seeds), axis=0) for seeds in trial.parts.scored])
    by_hand = train.mean() + weights @ (scored - train.mean())
    np.testing.assert_allclose(result.predictions["y"], by_hand, rtol=1e-9)


@pytest.mark.parametrize("method", ["rank_mean", "stack"])
def test_of_labels_it_makes_probabilities(tmp_path, method):
    rows = toy_tables(60)
    rows = replace(rows, digests={name: name for name in rows.table})
    fields = {"size": "number", "colour": "label", "answer": {"kind": "label", "target": True}}
    ideas = {"less": {"fields": {"size": "ignore"}}}
    ideas |= {"blend": {"ensemble": {"members": ["baseline", "less"], "method": method}}}
    arm = make_arms(config_from_mapping({"fields": fields, "learner": "linear:Linear", "ideas": ideas}), (0, 0))[2]
    store, trial = Store(tmp_path), make_trial(rows, arm.recipe, toy.make_split(60), keep_model=True)
    assert run_all(SerialEngine(rows, store), rows, store, [trial])[trial.key].error is None
    result = store.read(trial.key)
    assert sum(result.weights) == pytest.approx(1)
    np.testing.assert_allclose(result.predictions["answer"].sum(axis=1), 1)
    truth = rows.take(trial.split.test).table["answer"].to_numpy()
    assert (np.array(["no", "yes"])[result.predictions["answer"].argmax(axis=1)] == truth).mean() > 0.7
    again = load_fitted(store.model_path(trial.key)).predict(rows.take(trial.split.test))
    np.testing.assert_array_equal(again["answer"], result.predictions["answer"])


def test_each_training_is_done_once_whoever_wants_it(tmp_path, dataset, recipes):
    split = toy.make_split()
    names = ["five", "baseline", "blend", "three", "longer", "without-z"]
    for order, kind in ((names, SerialEngine), (names[::-1], SerialEngine), (names, LocalEngine)):
        store = Store(tmp_path / f"{order[0]}-{kind.__name__}")
        trials = [make_trial(dataset, recipes[name], split) for name in order]
        engine = Recorder(kind(dataset, store))
        finished = run_all(engine, dataset, store, trials)
        assert {trial.key for trial in trials} <= finished.keys()
        assert len(engine.trained) == len(set(engine.trained)) == 3 + 4, "three trainings, and four more seeds of one"


def test_what_is_stored_is_not_trained_again(tmp_path, dataset, recipes):
    store, split = Store(tmp_path), toy.make_split()
    alone = [make_trial(dataset, recipes[name], split) for name in ("baseline", "longer")]
    run_all(SerialEngine(dataset, store), dataset, store, alone)
    trial = make_trial(dataset, recipes["blend"], split)
    assert set(run_all(SerialEngine(dataset, store), dataset, store, [trial])) == {trial.key}


def test_what_an_ensemble_makes_wanted_is_asked_for(tmp_path, dataset, recipes):
    """Folds that are only wanted when the one before is done, as a verdict wants them, though no training ends between."""
    store, splits = Store(tmp_path), [toy.make_split(fold=fold) for fold in range(3)]
    run_all(SerialEngine(dataset, store), dataset, store, [make_trial(dataset, recipes["blend"], one) for one in splits])
    for kind in (SerialEngine, LocalEngine):
        fresh = Store(tmp_path / kind.__name__)
        for result in store.read_all():
            if not result.weights:
                fresh.write(result)
        done = []

        def next_trial(done=done):
            return make_trial(dataset, recipes["blend"], splits[len(done)]) if len(done) < 3 and not next_trial.busy else None

        next_trial.busy = False
        with Assembly(kind(dataset, fresh), dataset, fresh) as assembly:

            def ask(next_trial=next_trial):
                trial = next_trial()
                next_trial.busy = trial is not None
                return trial

            for finished in assembly.run(ask):
                done.append(finished.trial.key)
                next_trial.busy = False
        assert len(done) == 3


def test_a_part_that_fails_fails_its_ensembles_and_no_other(tmp_path, dataset, recipes):
    store, split = Store(tmp_path), toy.make_split()
    broken, blend = (make_trial(dataset, recipes[name], split) for name in ("with-broken", "blend"))
    finished = run_all(SerialEngine(dataset, store), dataset, store, [broken, blend])
    assert finished[broken.key].result is None
    assert "the user's own mistake" in finished[broken.key].error
    assert "ZeroDivisionError" in finished[broken.key].traceback
    assert broken.key not in store
    assert finished[blend.key].error is None


def test_a_part_that_ends_its_process_fails_its_ensemble(tmp_path, dataset, recipes):
    store = Store(tmp_path)
    trial = make_trial(dataset, recipes["with-crashing"], toy.make_split())
    with LocalEngine(dataset, store, n_workers=1) as engine:
        finished = run_all(engine, dataset, store, [trial])
    assert "SIGKILL" in finished[trial.key].error


def test_what_was_interrupted_goes_on_where_it_was(tmp_path, dataset, recipes):
    store, n = Store(tmp_path / "stopped"), 7
    trial = make_trial(dataset, recipes["stack"], toy.make_split())
    with pytest.raises(KeyboardInterrupt), LocalEngine(dataset, store, n_workers=2) as engine:  # noqa: PT012
        for i, _ in enumerate(Assembly(engine, dataset, store).run(feed([trial])), 1):
            if i == n:
                raise KeyboardInterrupt
    assert trial.key not in store
    left = {part.key for part in trial.parts} - set(store.keys())
    assert 0 < len(left) <= len(list(trial.parts)) - n
    finished = run_all(SerialEngine(dataset, store), dataset, store, [trial])
    assert set(finished) == left | {trial.key}
    whole = Store(tmp_path / "whole")
    run_all(SerialEngine(dataset, whole), dataset, whole, [trial])
    assert whole.read(trial.key).predictions["y"].tobytes() == store.read(trial.key).predictions["y"].tobytes()


KILLED = """
import os, sys, test_assembly, toy
dataset, recipe = toy.make_rows(), test_assembly.make_recipes()["stack"]
store = test_assembly.Store(sys.argv[1])
trial = test_assembly.make_trial(dataset, recipe, toy.make_split())
engine = test_assembly.Assembly(test_assembly.SerialEngine(dataset, store), dataset, store)
for i, _ in enumerate(engine.run(test_assembly.feed([trial])), 1):
    if i == 5:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_what_was_killed_goes_on_where_it_was(tmp_path, dataset, recipes):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    assert ended.returncode == -9
    store, trial = Store(tmp_path), make_trial(dataset, recipes["stack"], toy.make_split())
    assert len(store.keys()) == 5
    engine = Recorder(SerialEngine(dataset, store))
    assert run_all(engine, dataset, store, [trial])[trial.key].error is None
    assert len(engine.trained) == len(list(trial.parts)) - 5


@pytest.mark.parametrize("name", ["blend", "stack"])
@pytest.mark.parametrize("url", ["{tmp}/store", "memory://assembly-{name}"])
def test_the_kept_model_predicts_what_is_stored(tmp_path, dataset, recipes, name, url):
    store, split = Store(url.format(tmp=tmp_path, name=name)), toy.make_split()
    without = make_trial(dataset, recipes[name], split)
    run_all(SerialEngine(dataset, store), dataset, store, [without])
    assert not store.has_model(without.key)
    trial = make_trial(dataset, recipes[name], split, keep_model=True)
    finished = run_all(SerialEngine(dataset, store), dataset, store, [trial])
    n_scored = sum(len(seeds) for seeds in trial.parts.scored)
    assert len(finished) == 1 + n_scored, "the parts that predict are trained again for their models, inner ones are not"
    again = load_fitted(store.model_path(trial.key)).predict(dataset.take(split.test))
    np.testing.assert_array_equal(again["y"], store.read(trial.key).predictions["y"])


def test_a_training_under_way_without_its_model_is_done_again_with_it(tmp_path, dataset, recipes):
    split = toy.make_split()
    alone = make_trial(dataset, recipes["baseline"], split)
    kept = make_trial(dataset, recipes["blend"], split, keep_model=True)
    first, second = Store(tmp_path / "1"), Store(tmp_path / "2")
    with LocalEngine(dataset, first, n_workers=2) as engine:
        finished = list(Assembly(engine, dataset, first).run(feed([alone, kept])))
    assert first.has_model(alone.key)
    assert first.has_model(kept.key)
    assert all(one.error is None for one in finished)

    part_first = [
        make_trial(dataset, recipes["blend"], split),
        make_trial(dataset, recipes["baseline"], split, keep_model=True),
    ]
    with LocalEngine(dataset, second, n_workers=2) as engine:
        list(Assembly(engine, dataset, second).run(feed(part_first)))
    assert second.has_model(alone.key)
    assert part_first[0].key in second


def test_parts_are_trained_where_they_may_be(tmp_path, dataset, recipes):
    store, asked = Store(tmp_path), []

    def may_train(part):
        asked.append(part.key)
        return len(asked) <= 3

    trial, alone = (make_trial(dataset, recipes[name], toy.make_split()) for name in ("five", "longer"))
    finished = run_all(SerialEngine(dataset, store), dataset, store, [trial, alone], may_train=may_train)
    assert set(finished) == {*asked[:3], alone.key}
    assert set(run_all(SerialEngine(dataset, store), dataset, store, [trial])) >= {trial.key}
