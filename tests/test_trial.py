"""A trial is a pure function of its key's parts, and what is scored is never seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import toy
from tamesu.errors import DataError, FitError
from tamesu.trial import make_seed, make_trial, plain, run_trial


def run(dataset, trial):
    return run_trial(dataset, trial, "cpu", 1)


def test_predicts_each_scored_row_once():
    dataset = toy.make_rows()
    split = toy.make_split(fold=3)
    result, _ = run(dataset, make_trial(dataset, toy.make_toy_recipe(), split))
    assert list(result.ids) == list(dataset.ids[split.test])
    assert result.predictions["y"].shape == (len(split.test),)
    error = result.predictions["y"] - dataset.table["y"].to_numpy()[split.test]
    assert np.abs(error).max() < 1
    assert (result.repeat, result.fold, result.n_train) == (0, 3, len(split.train))
    assert {"tamesu", "numpy", "python"} <= result.versions.keys()
    assert result.recipe["train"]["epochs"] == 2
    assert [entry["loss"] for entry in result.log] == [1.0, 0.5]


def test_fit_and_predict_reach_only_their_rows():
    dataset, split = toy.make_rows(), toy.make_split()
    peekers = []
    trial = make_trial(dataset, toy.make_toy_recipe("toy:Peeker"), split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy.Peeker, "__init__", lambda self: peekers.append(self))
        _, fitted = run(dataset, trial)
    ids, cells = peekers[0].seen
    assert ids == sorted(dataset.ids[split.train])
    hidden = dataset.table["y"].to_numpy()[split.test]
    assert not np.isin(hidden, cells).any()
    assert "y" not in fitted.columns
    assert "x" in fitted.columns


def test_poisoned_scored_targets_change_nothing():
    dataset, split = toy.make_rows(), toy.make_split(fold=1)
    poisoned_y = dataset.table["y"].to_numpy().copy()
    poisoned_y[split.test] = 1e9
    trial = make_trial(dataset, toy.make_toy_recipe(), split)
    clean, _ = run(dataset, trial)
    poisoned, _ = run(toy.make_rows(y=poisoned_y), trial)
    assert clean.predictions["y"].tobytes() == poisoned.predictions["y"].tobytes()
    poisoned_y[split.train[0]] = 1e9
    other, _ = run(toy.make_rows(y=poisoned_y), trial)
    assert clean.predictions["y"].tobytes() != other.predictions["y"].tobytes()


def test_second_run_is_bit_identical_whatever_ran_between():
    dataset = toy.make_rows()
    one, two = toy.make_trials(dataset, 2)
    first, _ = run(dataset, one)
    np.random.seed(99)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    run(dataset, two)
    again, _ = run(dataset, one)
    assert first.predictions["y"].tobytes() == again.predictions["y"].tobytes()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002 - the caller's random state is left alone


class TestKey:
    def key(self, dataset=None, recipe=None, split=None, **options):
        dataset = dataset or toy.make_rows()
        return make_trial(dataset, recipe or toy.make_toy_recipe(), split or toy.make_split(), **options).key

    def test_is_stable(self):
        assert self.key() == self.key()
        assert len(self.key()) == 32
        assert self.key(keep_model=True) == self.key()

    def test_does_not_change_with_what_nobody_reads(self):
        assert self.key(dataset=toy.make_rows(spare=0.0)) == self.key()
        assert self.key(dataset=toy.make_rows(new="text")) == self.key()
        assert self.key(recipe=toy.make_toy_recipe(spare={"kind": "ignore"})) == self.key()

    @pytest.mark.parametrize("name", ["x", "y"])
    def test_changes_with_a_column_that_is_read(self, name):
        values = toy.make_rows().table[name].to_numpy().copy()
        values[0] += 1
        assert self.key(dataset=toy.make_rows(**{name: values})) != self.key()

    def test_changes_with_recipe_split_and_seed(self):
        keys = [
            self.key(),
            self.key(recipe=toy.make_toy_recipe(epochs=3)),
            self.key(recipe=toy.make_toy_recipe(seed=1)),
            self.key(recipe=toy.make_toy_recipe(spare={"kind": "number"})),
            self.key(split=toy.make_split(fold=1)),
            self.key(split=toy.make_split(repeat=1)),
            self.key(split=replace(toy.make_split(), train=toy.make_split().train[:-1])),
            self.key(split=replace(toy.make_split(), test=toy.make_split().test[:-1])),
            self.key(seed_shift=1),
        ]
        assert len(set(keys)) == len(keys)

    def test_changes_with_the_code_a_recipe_names(self, tmp_path, monkeypatch):
        module = tmp_path / "my_learner_module.py"
        monkeypatch.syspath_prepend(tmp_path)
        keys = []
        for source in ("A = 1\n", "A = 12\n", "A = 1\n"):
            module.write_text(source)
            keys.append(self.key(recipe=toy.make_toy_recipe("my_learner_module:A")))
        assert keys[0] == keys[2]
        assert keys[0] != keys[1]


@given(st.integers(0, 10**9), st.integers(0, 19), st.integers(0, 9), st.integers(0, 5))
def test_seed_fits_every_library(base, repeat, fold, shift):
    seed = make_seed(base, repeat, fold, shift)
    assert 0 <= seed < 2**31
    assert seed == make_seed(base, repeat, fold, shift)
    assert seed != make_seed(base, repeat, fold, shift + 1)


@pytest.mark.parametrize(
    ("learner", "words"),
    [
        ("toy:Diverging", ["toy.csv, repeat 0, fold 2", "'y' must be finite; got nan for rows 'row-", "learning_rate"]),
        ("toy:Nameless", ["must predict 'y'; got ['why']"]),
        ("toy:Short", ["one row for each of the 8 scored rows; got shape (7,)"]),
    ],
)
def test_bad_predictions_are_refused(learner, words):
    dataset = toy.make_rows()
    trial = make_trial(dataset, toy.make_toy_recipe(learner), toy.make_split(fold=2))
    with pytest.raises(FitError) as caught:
        run(dataset, trial)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("learner", "kind"), [("toy:Broken", ZeroDivisionError), ("toy:Refusing", DataError)])
def test_errors_of_user_code_keep_their_type(learner, kind):
    dataset = toy.make_rows()
    trial = make_trial(dataset, toy.make_toy_recipe(learner), toy.make_split(repeat=1, fold=2))
    with pytest.raises(kind) as caught:
        run(dataset, trial)
    assert caught.value.__notes__ == ["while training repeat 1, fold 2 of toy.csv"]


def test_plain_is_json():
    assert plain({"a": np.float32(0.5), 1: (np.arange(2), float("nan"), np.inf, True, None)}) == {
        "a": 0.5,
        "1": [[0, 1], None, None, True, None],
    }
