"""The PyTorch learner keeps the contract, honours its settings, and can be subclassed step by step."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.errors import ConfigError, FitError, StoreError  # noqa: E402
from tamesu.fields import ImageField, LabelField, LabelsField, NumberField  # noqa: E402
from tamesu.learners.base import learner_name, load_fitted, make_learner  # noqa: E402
from tamesu.learners.schedules import cosine_with_warmup  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.learners.torch_steps import Average, decay_groups  # noqa: E402
from tamesu.testing import PICTURE_FIELDS, TABLE_FIELDS, check_learner, toy_pictures, toy_recipe, toy_tables  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_contract():
    check_learner(TorchLearner())


class Forgetful(TorchLearner):
    """Keeps no seed: what the contract check must notice."""

    def make_network(self, recipe, shape, targets):
        torch.manual_seed(int(np.random.default_rng().integers(2**31)))
        return super().make_network(recipe, shape, targets)


class Peeking(TorchLearner):
    """Standardises with what it predicts together: rows act on each other."""

    def predict_step(self, network, batch, recipe, device):
        raw = super().predict_step(network, batch, recipe, device)
        return {name: values - values.mean(0) for name, values in raw.items()}


@pytest.mark.parametrize(("learner", "broken"), [(Forgetful(), "same seed"), (Peeking(), "alike alone|other rows")])
def test_the_contract_check_can_fail(learner, broken):
    with pytest.raises(AssertionError, match=broken):
        check_learner(learner, pictures=False)


def test_it_learns_pictures():
    rows, recipe = toy_pictures(200), toy_recipe(PICTURE_FIELDS, (12, 12), train={"epochs": 6})
    fitted = TorchLearner().fit(rows.take(slice(0, 120)), recipe, 0)
    test = rows.take(slice(120, None))
    probability = fitted.predict(test.without(["side"]))["side"]
    assert np.mean(probability.argmax(1) == (test.table["side"] == "right")) > 0.95
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert fitted.log[-1]["loss"] < 0.5 * fitted.log[0]["loss"]
    assert set(fitted.log[0]) == {"epoch", "loss", "learning_rate"}


def test_it_learns_tables_numbers_and_labels():
    rows = toy_tables(300)
    test = rows.take(slice(200, None))
    recipe = toy_recipe(TABLE_FIELDS, train={"epochs": 20})
    predicted = TorchLearner().fit(rows.take(slice(0, 200)), recipe, 0).predict(test)["answer"]
    assert np.mean(predicted.argmax(1) == (test.table["answer"] == "yes")) > 0.9
    fields = {"size": NumberField(), "noise": NumberField(), "amount": NumberField(target=True)}
    amount = TorchLearner().fit(rows.take(slice(0, 200)), toy_recipe(fields, train={"epochs": 20}), 0).predict(test)["amount"]
    assert amount.shape == (100,)
    assert np.corrcoef(amount, test.table["amount"])[0, 1] > 0.95
    assert abs(amount.mean() - 10) < 1


def test_it_learns_many_labels_from_pictures_and_a_column():
    rows = toy_pictures(200)
    fields = {"picture": ImageField(), "share": NumberField(), "both": LabelsField(target=True)}
    fitted = TorchLearner().fit(rows, toy_recipe(fields, (12, 12), train={"epochs": 6}), 0)
    classes = rows.classes["both", "labels"]
    truth = np.array([[name in cell.split() for name in classes] for cell in rows.table["both"]])
    assert np.mean((fitted.predict(rows)["both"] > 0.5) == truth) > 0.9


def test_a_mirrored_left_is_a_right():
    """All training pictures show the same side: only a mirror whose label follows can teach the other."""
    rows = toy_pictures(300)
    left = rows.take((rows.table["side"] == "left").to_numpy())
    fields = {"picture": ImageField(), "side": LabelField(target=True, mirror={"left": "right"})}
    recipe = toy_recipe(fields, (12, 12), augment={"mirror": 0.5}, train={"epochs": 6})
    probability = TorchLearner().fit(left, recipe, 0).predict(rows)["side"]
    assert np.mean(probability.argmax(1) == (rows.table["side"] == "right")) > 0.95


def test_padding_equals_absence():
    """The same rows in batches of more places train to the same bits: nothing reads the padding."""
    rows = toy_pictures(30)
    learner = TorchLearner()
    tight = learner.fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12), train={"batch_size": 30}), 0)
    loose = learner.fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12), train={"batch_size": 41}), 0)
    np.testing.assert_array_equal(tight.predict(rows)["side"], loose.predict(rows)["side"])


def test_random_state_outside_is_left_alone():
    rows, recipe = toy_pictures(20), toy_recipe(PICTURE_FIELDS, (12, 12), train={"epochs": 1})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    TorchLearner().fit(rows, recipe, 0)
    torch.testing.assert_close(torch.rand(3), expected)


SETTINGS = [
    {"train": {"ema": 0.9}},
    {"train": {"label_smoothing": 0.2}},
    {"train": {"clip_norm": 0.01}},
    {"train": {"weight_decay": 5.0}},
    {"train": {"warmup_fraction": 0.9}},
    {"train": {"precision": "bfloat16"}},
    {"model": {"activation": "tanh"}},
    {"model": {"dropout": 0.5}},
    {"model": {"depth": 2}},
    {"augment": {"noise": 0.2}},
]


def test_every_setting_acts_and_none_breaks():
    rows = toy_pictures(33)
    plain = TorchLearner().fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12)), 0).predict(rows)["side"]
    for setting in SETTINGS:
        changed = TorchLearner().fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12), **setting), 0).predict(rows)["side"]
        assert np.isfinite(changed).all(), setting
        assert not np.array_equal(plain, changed), setting
    unclipped = [TorchLearner().fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12), train={"clip_norm": c}), 0) for c in (0.0, 1e9)]
    np.testing.assert_array_equal(*(fitted.predict(rows)["side"] for fitted in unclipped))
    order = TorchLearner().fit(rows, toy_recipe(PICTURE_FIELDS, (12, 12), train={"channels_last": False}), 0)
    np.testing.assert_allclose(order.predict(rows)["side"], plain, atol=1e-3)


def test_a_reckless_learning_rate_is_still_judged():
    rows = toy_pictures(33)
    recipe = toy_recipe(PICTURE_FIELDS, (12, 12), train={"learning_rate": 3.0})
    assert np.isfinite(TorchLearner().fit(rows, recipe, 0).predict(rows)["side"]).all()


class Overflowing(TorchLearner):
    """Every second loss is not finite."""

    def loss(self, raw, batch, weight, training):
        return super().loss(raw, batch, weight, training) * (float("inf") if training.step % 2 else 1.0)


class Exploding(TorchLearner):
    """Its outputs are not finite."""

    def predict_step(self, network, batch, recipe, device):
        return {name: values * np.inf for name, values in super().predict_step(network, batch, recipe, device).items()}


def test_steps_that_are_not_finite_are_left_out_and_counted():
    rows, recipe = toy_pictures(64), toy_recipe(PICTURE_FIELDS, (12, 12), train={"epochs": 2})
    fitted = Overflowing().fit(rows, recipe, 0)
    assert [entry["skipped_steps"] for entry in fitted.log] == [2, 2]
    assert all(np.isfinite(entry["loss"]) for entry in fitted.log)
    json.dumps(fitted.log, allow_nan=False)
    assert np.isfinite(fitted.predict(rows)["side"]).all()


def test_predictions_that_are_not_finite_are_an_error():
    rows, recipe = toy_tables(20), toy_recipe(TABLE_FIELDS, train={"epochs": 2})
    with pytest.raises(
        FitError, match=r"'answer' must be finite; got nan for rows .* after 2 epochs at learning rate 0.005. Lower"
    ):
        Exploding().fit(rows, recipe, 0).predict(rows)


class Linear(TorchLearner):
    """A network of one's own in one overridden step."""

    def make_network(self, recipe, shape, targets):
        return OwnNetwork(shape.n_features)


class OwnNetwork(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.layer = nn.Linear(n_features, 2)

    def forward(self, pictures, table, categories):
        return {"answer": self.layer(table)}


def test_a_subclass_by_dotted_name_is_kept_and_loaded(tmp_path):
    learner = make_learner(f"{__name__}:Linear")
    assert learner_name(learner) == f"{__name__}:Linear"
    rows = toy_tables(40)
    fitted = learner.fit(rows, toy_recipe({"size": NumberField(), "answer": LabelField(target=True)}), 0, "cpu")
    fitted.save(tmp_path)
    loaded = load_fitted(tmp_path)
    assert isinstance(loaded.learner, Linear)
    np.testing.assert_array_equal(loaded.predict(rows)["answer"], fitted.predict(rows)["answer"])


def test_learners_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"must be a learner of tamesu or my_module:MyLearner; got 'troch'. Did you mean 'torch'"
    ):
        make_learner("troch")
    with pytest.raises(ConfigError, match="must be importable; got 'no_such_module:Learner'"):
        make_learner("no_such_module:Learner")
    with pytest.raises(ConfigError, match=r"must have 'Lineer'; it has none. Did you mean 'Linear'"):
        make_learner(f"{__name__}:Lineer")
    with pytest.raises(ConfigError, match="must have the methods check, fit and load"):
        make_learner(f"{__name__}:OwnFitted")
    with pytest.raises(StoreError, match="must be a saved model"):
        load_fitted(tmp_path)


class OwnFitted:
    pass


def test_what_cannot_be_honoured_is_said_before_training():
    rows = toy_pictures(9)
    learner = TorchLearner()
    assert learner.check(toy_recipe(PICTURE_FIELDS, (12, 12)), rows) == []
    assert "got none" in learner.check(toy_recipe({"side": LabelField(target=True)}), rows)[0]
    assert "'rellu'" in learner.check(toy_recipe(PICTURE_FIELDS, (12, 12), model={"activation": "rellu"}), rows)[0]
    assert "'tyny'" in learner.check(toy_recipe(PICTURE_FIELDS, (12, 12), model={"backbone": "tyny"}), rows)[-1]
    missing = learner.check(toy_recipe(PICTURE_FIELDS, (12, 12), model={"weights": "gone.pt"}), rows)
    assert "'gone.pt'" in missing[0]


def test_epochs_are_told_as_they_end():
    told = []
    TorchLearner().fit(toy_tables(20), toy_recipe(TABLE_FIELDS), 0, on_epoch=lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == [1, 2, 3]


def test_importing_the_contract_loads_no_engine():
    import subprocess

    code = "import sys, tamesu.learners.base; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_schedule_warms_up_and_falls_to_zero():
    schedule = cosine_with_warmup(100, 0.1)
    values = [schedule(step) for step in range(100)]
    assert values[0] == pytest.approx(0.1)
    assert values[9] == 1
    assert np.argmax(values) in {9, 10}
    assert (np.diff(values[10:]) < 0).all()
    assert 0 < values[-1] < 0.001
    assert cosine_with_warmup(1, 0.0)(0) == 1


def test_only_matrices_decay():
    network = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 5), nn.BatchNorm1d(5))
    decaying, other = decay_groups(network, 0.1)
    assert [tuple(one.shape) for one in decaying["params"]] == [(5, 4)]
    assert (decaying["weight_decay"], other["weight_decay"]) == (0.1, 0)
    assert len(other["params"]) == 4


def test_the_average_follows_weights_and_statistics():
    network = nn.BatchNorm1d(1)
    average = Average(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(3)
        network.running_mean.fill_(2)
    for _ in range(40):
        average.update(network)
    assert average.network.weight.item() == pytest.approx(3, abs=1e-3)
    assert average.network.running_mean.item() == pytest.approx(2, abs=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_trains_on_a_gpu():
    rows, recipe = toy_pictures(200), toy_recipe(PICTURE_FIELDS, (12, 12), train={"epochs": 6, "ema": 0.9})
    predicted = TorchLearner().fit(rows, recipe, 0, "cuda").predict(rows)["side"]
    assert np.mean(predicted.argmax(1) == (rows.table["side"] == "right")) > 0.95


def test_another_table_gives_the_same_predictions_for_its_own_rows():
    rows, recipe = toy_tables(60), toy_recipe(TABLE_FIELDS)
    fitted = TorchLearner().fit(rows.take(slice(0, 40)), recipe, 0)
    changed = rows.table.copy()
    changed.loc[50:, "size"] = 1e9
    before, after = fitted.predict(rows)["answer"], fitted.predict(replace(rows, table=changed))["answer"]
    np.testing.assert_allclose(before[:50], after[:50], atol=1e-7)
