"""What must hold on each of Keras's backends: `python tests/keras_cases.py BACKEND` runs all of it in one process.

Prints one line of JSON a case, {"case", "error"}, the error empty where it holds. A process has one backend, and TensorFlow
takes seconds to import: `test_keras_learner.py` starts one process a backend.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import keras_start
from tamesu.batches import make_batches
from tamesu.errors import FitError
from tamesu.learners.base import load_fitted, make_learner
from tamesu.learners.keras import KerasLearner
from tamesu.learners.keras_batches import arrays_of
from tamesu.learners.network import prepare
from tamesu.losses import LOSSES
from tamesu.testing import PICTURE_FIELDS, TABLE_FIELDS, check_learner, toy_pictures, toy_recipe, toy_tables

BACKEND = sys.argv[1] if __name__ == "__main__" else ""
N_STEPS = 50


def settings(**more):
    return {**more, "learner": "keras", "model": {"backend": BACKEND, **more.get("model", {})}}


def contract_of_tables():
    check_learner(KerasLearner(), pictures=False, **settings())


def contract_of_pictures():
    check_learner(KerasLearner(), tables=False, **settings())


def every_loss_is_numpys():
    import keras

    from test_losses import EACH, WEIGHT, case

    for kind, name, options in EACH:
        loss, given = LOSSES[kind][name], (*case(kind, name), WEIGHT)
        single = [np.float32(one) if one.dtype.kind == "f" else one for one in given]
        tensors = [keras.ops.convert_to_tensor(np.float32(one)) for one in given]
        found = keras.ops.convert_to_numpy(loss(*tensors, keras.ops, **options))
        np.testing.assert_allclose(
            found, loss(*single, np, **options), rtol=1e-5, atol=1e-6, err_msg=f"{kind} {name} {options}"
        )


def every_decode_is_numpys():
    import keras

    import test_outputs
    import test_targets

    rng = np.random.default_rng(0)
    targets = {name: test_outputs.fitted(name)[0] for name in test_outputs.CASES} | {"ordered": test_outputs.ordered()[0]}
    targets |= {name: test_targets.target_of(name, test_targets.values_of(name, 30, rng)) for name in test_targets.NAMES}
    for name, target in targets.items():
        raw = np.float32(rng.normal(size=(20, target.n_outputs)))
        found = np.asarray(keras.ops.convert_to_numpy(target.decode(keras.ops.convert_to_tensor(raw), keras.ops)))
        expected = np.asarray(target.decode(raw.astype(np.float64), np))
        scale = np.abs(expected).max() + 1e-9
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5, err_msg=name)
        trained = keras.ops.convert_to_numpy(target.trained(keras.ops.convert_to_tensor(raw), keras.ops))
        wanted = np.asarray(target.trained(raw.astype(np.float64), np))
        np.testing.assert_allclose(trained / np.abs(wanted).max(), wanted / np.abs(wanted).max(), atol=1e-5, err_msg=name)


def fifty_steps_are_pytorchs():
    """The same start, batches and optimiser: the same losses, to one in a hundred."""
    from keras_weights import take_torch_weights
    from tamesu.learners.torch import TorchLearner

    rows = toy_pictures(49)
    model = {"width": 8, "dropout": 0.0}
    train = {"epochs": 13, "learning_rate": 0.003}
    recipe = toy_recipe(PICTURE_FIELDS, (12, 12), **settings(model=model, train=train))
    watched: dict[str, list[float]] = {"torch": [], "keras": []}

    class Torchs(TorchLearner):
        def make_network(self, recipe, shape, targets):
            self.network = super().make_network(recipe, shape, targets)
            self.start = {name: one.clone() for name, one in self.network.state_dict().items()}
            return self.network

        def loss(self, *args):
            found = super().loss(*args)
            watched["torch"].append(float(found))
            return found

    theirs = Torchs()
    theirs.fit(rows, recipe, 1, "cpu")

    class Kerass(KerasLearner):
        def make_network(self, recipe, shape, targets):
            network = super().make_network(recipe, shape, targets)
            theirs.network.load_state_dict(theirs.start)
            take_torch_weights(network, theirs.network)
            return network

        def make_trainer(self, *args):
            trainer = super().make_trainer(*args)
            step = trainer._step

            def watch(*given):
                found = step(*given)
                watched["keras"].append(float(found[0]))
                return found

            trainer._step = watch
            return trainer

    fitted = Kerass().fit(rows, recipe, 1, "cpu")
    assert len(watched["keras"]) == len(watched["torch"]) >= N_STEPS
    assert watched["torch"][N_STEPS - 1] < 0.7 * watched["torch"][0], watched["torch"]
    np.testing.assert_allclose(watched["keras"][:N_STEPS], watched["torch"][:N_STEPS], rtol=0.01, atol=1e-4)
    assert BACKEND == "torch" or fitted.n_compiled == 1


def a_step_is_compiled_once():
    """Also where the last batch is not full, and where rows are mixed."""
    for mixup in (0.0, 0.4):
        recipe = toy_recipe(PICTURE_FIELDS, (12, 12), **settings(augment={"mixup": mixup, "noise": 0.1}))
        fitted = KerasLearner().fit(toy_pictures(53), recipe, 1, "cpu")
        assert fitted.n_compiled == (0 if BACKEND == "torch" else 1), fitted.n_compiled
        fitted.predict(toy_pictures(7))
        fitted.predict(toy_pictures(300))


def auxiliaries_of_every_kind():
    import test_auxiliary

    for schedule in ("fixed", "anneal", "learned"):
        made = test_auxiliary.recipe({"weight": 0.5, "branch": "own", "schedule": schedule}, **settings())
        fitted = KerasLearner().fit(test_auxiliary.rows(), made, 1, "cpu")
        assert fitted.log[-1]["loss"] < fitted.log[0]["loss"]
        assert set(fitted.predict(test_auxiliary.rows())) == {"y"}


def averaged_weights_predict():
    """Averages of a training that stands still are its weights; they are what predicts."""
    rows = toy_tables(64)
    still = toy_recipe(TABLE_FIELDS, **settings(train={"learning_rate": 1e-9, "ema": 0.5}))
    plain = toy_recipe(TABLE_FIELDS, **settings(train={"learning_rate": 1e-9}))
    one, other = (KerasLearner().fit(rows, recipe, 1, "cpu").predict(rows)["answer"] for recipe in (still, plain))
    np.testing.assert_allclose(one, other, atol=1e-4)
    fast = toy_recipe(TABLE_FIELDS, **settings(train={"learning_rate": 0.05, "ema": 0.9, "epochs": 6}))
    found = KerasLearner().fit(rows, fast, 1, "cpu").predict(rows)["answer"]
    assert not np.allclose(found, one, atol=1e-2)


def steps_that_are_not_finite_are_left_out():
    rows = toy_tables(48)
    recipe = toy_recipe(TABLE_FIELDS, **settings(train={"epochs": 2}))

    class Poisoned(KerasLearner):
        def make_trainer(self, *args):
            trainer = super().make_trainer(*args)
            train = trainer.train
            count = iter(range(100))

            def poisoned(batch, n_rows):
                if next(count) == 1:
                    batch["inputs"]["table"][:] = np.nan
                train(batch, n_rows)

            trainer.train = poisoned
            return trainer

    fitted = Poisoned().fit(rows, recipe, 1, "cpu")
    assert fitted.log[0]["skipped_steps"] == 1
    assert "skipped_steps" not in fitted.log[1]
    assert np.isfinite(fitted.predict(rows)["answer"]).all()


def short_numbers_train():
    rows = toy_pictures(49)
    recipe = toy_recipe(PICTURE_FIELDS, (12, 12), **settings(train={"precision": "bfloat16", "epochs": 8}))
    fitted = KerasLearner().fit(rows, recipe, 1, "cpu")
    assert fitted.log[-1]["loss"] < 0.8 * fitted.log[0]["loss"]
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder))
        loaded = load_fitted(Path(folder))
        np.testing.assert_allclose(loaded.predict(rows)["side"], fitted.predict(rows)["side"], atol=0.02)


def rows_are_shared_out_over_devices():
    """Four devices of the host in place of a TPU's cores: the same losses as on one."""
    if BACKEND != "jax":
        return
    import jax

    assert len(jax.devices()) == keras_start.N_DEVICES
    rows = toy_pictures(45)
    recipe = toy_recipe(PICTURE_FIELDS, (12, 12), **settings(model={"dropout": 0.0}, train={"batch_size": 18}))

    class Shared(KerasLearner):
        def make_trainer(self, network, recipe, targets, device, n_steps):
            import tamesu.learners.keras_devices as devices

            kept, devices.devices_of = devices.devices_of, lambda backend, device: jax.devices()
            try:
                return super().make_trainer(network, recipe, targets, device, n_steps)
            finally:
                devices.devices_of = kept

    one, four = (learner.fit(rows, recipe, 1, "cpu") for learner in (KerasLearner(), Shared()))
    np.testing.assert_allclose([e["loss"] for e in four.log], [e["loss"] for e in one.log], rtol=1e-3)
    assert four.n_compiled == 1


def on_another_device_of_the_host():
    """A logical CPU of TensorFlow in place of a TPU's core."""
    if BACKEND != "tensorflow":
        return
    import tensorflow as tf

    import tamesu.learners.keras_devices as devices

    assert len(tf.config.list_logical_devices("CPU")) == keras_start.N_DEVICES
    rows, recipe = toy_pictures(33), toy_recipe(PICTURE_FIELDS, (12, 12), **settings())
    plain = KerasLearner().fit(rows, recipe, 1, "cpu").predict(rows)["side"]
    kept, devices.placed = devices.placed, lambda backend, device: devices.on_tensorflow("/CPU:1")
    try:
        fitted = KerasLearner().fit(rows, recipe, 1, "cpu")
    finally:
        devices.placed = kept
    assert all(one.value.device.endswith("CPU:1") for one in fitted.network.trainable_variables)
    np.testing.assert_allclose(fitted.predict(rows)["side"], plain, atol=1e-5)


def no_such_device():
    recipe = toy_recipe(TABLE_FIELDS, **settings())
    with pytest.raises(FitError, match=r"sees no tpu|needs model\.backend: jax or tensorflow"):
        KerasLearner().fit(toy_tables(20), recipe, 1, "tpu")


def a_gpu_that_is_not_seen_is_told():
    with pytest.warns(RuntimeWarning, match="trains on the CPU: it cannot use this GPU"):
        fitted = KerasLearner().fit(toy_tables(20), toy_recipe(TABLE_FIELDS, **settings()), 1, "cuda")
    assert {entry["device"] for entry in fitted.log} == {"cpu"}


def padding_repeats_rows():
    ready = prepare(toy_tables(20), toy_recipe(TABLE_FIELDS, **settings()))
    batch = next(iter(make_batches(ready.feed, 12, n_threads=0)))
    arrays = arrays_of(batch, 16)
    n = batch.n_real
    assert arrays["weight"].tolist() == [1.0] * n + [0.0] * (16 - n)
    np.testing.assert_array_equal(arrays["inputs"]["table"][n : 2 * n][:4], arrays["inputs"]["table"][:4])


def another_backend_is_refused():
    other = next(one for one in ("tensorflow", "jax", "torch") if one != BACKEND)
    recipe = toy_recipe(TABLE_FIELDS, learner="keras", model={"backend": other})
    with pytest.raises(FitError, match=f"cannot change to {other}"):
        make_learner("keras").fit(toy_tables(20), recipe, 1, "cpu")


CASES: tuple[Callable[[], None], ...] = (
    contract_of_tables,
    contract_of_pictures,
    every_loss_is_numpys,
    every_decode_is_numpys,
    fifty_steps_are_pytorchs,
    a_step_is_compiled_once,
    auxiliaries_of_every_kind,
    averaged_weights_predict,
    steps_that_are_not_finite_are_left_out,
    short_numbers_train,
    rows_are_shared_out_over_devices,
    on_another_device_of_the_host,
    no_such_device,
    a_gpu_that_is_not_seen_is_told,
    padding_repeats_rows,
    another_backend_is_refused,
)


def main() -> None:
    for case in CASES:
        if len(sys.argv) > 2 and case.__name__ not in sys.argv[2:]:
            continue
        try:
            case()
            error = ""
        except BaseException:
            error = traceback.format_exc()
        print(json.dumps({"case": case.__name__, "error": error}), flush=True)


if __name__ == "__main__":
    main()
