"""The network in Keras: on every backend the function that PyTorch's is, and models of the user's own."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from side_by_side import SideBySide

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
pytest.importorskip("torch")

from tamesu.config import InputGroup, ModelConfig  # noqa: E402
from tamesu.knets.applications import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from tamesu.knets.network import Network, check_network, make_network  # noqa: E402
from tamesu.nets.shapes import Head, InputShape  # noqa: E402
from tamesu.pixels import FittedPixels  # noqa: E402

BACKENDS = ("torch", "jax", "tensorflow")
HERE = Path(__file__).parent
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiling takes longer than computing


INSTALLED = [one for one in BACKENDS if find_spec(one) is not None]
COMMON = {"XLA_FLAGS": QUICK, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
SCRIPTS = SideBySide(
    {one: [sys.executable, str(HERE / "keras_parity.py")] for one in INSTALLED},
    {
        one: {**os.environ, **COMMON, "KERAS_BACKEND": one, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        for one in INSTALLED
    },
)


@pytest.fixture(scope="module", params=BACKENDS)
def found(request) -> dict:
    """What `keras_parity.py` found on one backend."""
    if request.param not in INSTALLED:
        pytest.skip(f"{request.param} is not installed")
    code, told, errors = SCRIPTS.answer(request.param)
    assert code == 0, errors[-3000:]
    out = json.loads(told.strip().split("\n")[-1])
    assert out["backend"] == request.param
    return out


@pytest.mark.parametrize("what", ["predicting", "training", "running"])
def test_it_is_the_function_that_pytorchs_is(found, what):
    assert {name: one[what] for name, one in found["parity"].items() if not one[what] < 1e-5} == {}


def test_padding_is_not_there(found):
    """Parity is with batches that have no padding; here it is filled otherwise, or all there is."""
    for name, one in found["parity"].items():
        assert one["padding"] < 1e-6, name
        assert one["without rows"] == 0, name


def test_a_file_gives_the_same_network(found):
    assert found["parity"]["everything, balanced"]["saved"] < 1e-6


def test_activations_are_pytorchs(found):
    assert all(one < 1e-5 for one in found["activations"].values())


def test_batches_of_any_padding_compile_once_also_in_half_precision(found):
    if "compilations" in found:
        assert found["compilations"] == 1
    else:
        assert 0 < found["half"]["mixed_bfloat16"] < 0.05
        assert 0 < found["half"]["mixed_float16"] < 0.01


def test_weights_start_as_in_pytorch(found):
    assert {name: one for name, one in found.get("start", {}).items() if not 0.8 < one < 1.25} == {}


# ── models of the user's own, and of keras.applications ─────────────────────────────────────────────────────────────────

PICTURES = InputShape({"photo": {"photo": 3}}, (16, 12), 0, ())
TABLE = InputShape({}, (0, 0), 3, (4, 2))
SERIES = InputShape({}, (0, 0), 0, (), {"imu": 2})
HEADS = {"y": Head(4)}


def dense(n, activation=None):
    return keras.layers.Dense(n, activation=activation)


def pooled(input_shape):
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(5, 3, activation="relu")(inputs)
    return inputs, keras.layers.GlobalAveragePooling2D()(x)


def build_features(input_shape):
    return keras.Model(*pooled(input_shape))


def build_finished(input_shape, n_outputs):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, dense(n_outputs)(x))


def build_softmax(input_shape, n_outputs):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, dense(n_outputs, "softmax")(x))


def build_sigmoid(input_shape, n_outputs):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, dense(n_outputs, "sigmoid")(x))


def build_one_too_many(input_shape, n_outputs):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, dense(n_outputs + 1)(x))


def build_maps(input_shape):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Conv2D(5, 3)(inputs))


def build_two(input_shape):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, [x, dense(2)(x)])


def build_compiled(input_shape, n_outputs):
    model = build_finished(input_shape, n_outputs)
    model.compile(loss="mse")
    return model


def build_lambda(input_shape):
    inputs, x = pooled(input_shape)
    return keras.Model(inputs, keras.layers.Lambda(lambda one: one * 2)(x))


def build_sequential(input_shape):
    return keras.Sequential([keras.Input(input_shape), dense(7, "relu")])


def build_recurrent(input_shape):
    return keras.Sequential([keras.Input(input_shape), keras.layers.GRU(6)])


def build_nothing(input_shape):
    return None


def build_wrongly(input_shape):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(2, 99)])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = dense(3)

    def call(self, x):
        return self.dense(x)


def build_subclassed(input_shape):
    return Subclassed()


def own(name):
    return ModelConfig(backbone=f"{__name__}:{name}")


def batch_of(shape, n=4, seed=0):
    rng = np.random.default_rng(seed)
    groups = {group: channels for stack in shape.stacks.values() for group, channels in stack.items()}
    return {
        "pictures": {name: rng.normal(size=(n, *shape.size, c)).astype(np.float32) for name, c in groups.items()},
        "table": rng.normal(size=(n, shape.n_features)).astype(np.float32),
        "categories": np.ones((n, len(shape.category_sizes)), dtype=np.int32),
        "series": {name: rng.normal(size=(n, 9, c)).astype(np.float32) for name, c in shape.series.items()},
        "lengths": {name: np.full(n, 9, dtype=np.int32) for name in shape.series},
        "weight": np.ones(n, dtype=np.float32),
    }


def raw_of(network, batch):
    raw = network(keras.tree.map_structure(keras.ops.convert_to_tensor, batch))
    return {name: keras.ops.convert_to_numpy(values) for name, values in raw.items()}


@pytest.mark.parametrize(
    ("name", "shape", "heads"),
    [
        (
            "build_features",
            PICTURES,
            {"y": Head(4), "mask": Head(2, "pixels", "photo", size=(16, 12)), "z": Head(1, branch="own")},
        ),
        ("build_finished", PICTURES, HEADS),
        ("build_sequential", TABLE, {"y": Head(4), "z": Head(1)}),
        ("build_recurrent", SERIES, HEADS),
    ],
)
def test_own_models_get_heads_and_are_kept(tmp_path, monkeypatch, name, shape, heads):
    assert check_network(own(name), shape, heads) == []
    network = make_network(own(name), shape, heads)
    found = raw_of(network, batch_of(shape))
    assert {target: values.shape[-1] for target, values in found.items()} == {n: head.n_outputs for n, head in heads.items()}
    network.save(tmp_path / "network.keras")
    monkeypatch.setitem(sys.modules, __name__, None)  # what a file names is not imported
    again = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    for target, values in raw_of(again, batch_of(shape)).items():
        np.testing.assert_allclose(values, found[target], atol=1e-6)


def test_a_finished_model_is_all_there_is():
    network = make_network(own("build_finished"), PICTURES, HEADS)
    (branch,) = network.pictures.values()
    assert len(network.trainable_variables) == len(branch.backbone.model.trainable_variables)
    batch = batch_of(PICTURES)
    direct = branch.backbone.model(keras.ops.convert_to_tensor(batch["pictures"]["photo"]))[0]
    np.testing.assert_allclose(raw_of(network, batch)["y"], keras.ops.convert_to_numpy(direct), atol=1e-6)


def test_an_own_model_takes_the_table_as_numbers_and_categories():
    network = make_network(own("build_sequential"), TABLE, HEADS)
    assert network.table.wrapped.model.inputs[0].shape == (None, 3 + 4 + 2)
    one, other = batch_of(TABLE), batch_of(TABLE)
    other["categories"] = other["categories"] * 0
    assert np.abs(raw_of(network, one)["y"] - raw_of(network, other)["y"]).max() > 1e-4


SAID = {
    "build_maps": "must return features of shape (batch, features); got (batch, 14, 10, 5).",
    "build_two": "must return features of shape (batch, features); got ((None, 5), (None, 2)).",
    "build_nothing": "must return a keras.Model; got NoneType.",
    "build_one_too_many": "must return 4 outputs, as the target needs; got 5.",
    "build_softmax": "must return raw outputs (logits); got probabilities between 0 and 1. "
    "Take the activation off the last layer: Dense(n_outputs).",
    "build_compiled": "must not be compiled: its loss and optimizer are not used, those of the study are. Take compile() out.",
}
SAID["build_sigmoid"] = SAID["build_softmax"]


@pytest.mark.parametrize("name", SAID)
def test_what_is_wrong_with_an_own_model_is_said(name):
    assert check_network(own(name), PICTURES, HEADS) == [f"model.backbone: {__name__}:{name} {SAID[name]}"]


@pytest.mark.parametrize(("name", "shape"), [("build_lambda", PICTURES), ("build_subclassed", TABLE)])
def test_models_that_only_their_code_could_load_are_refused(name, shape):
    (told,) = check_network(own(name), shape, HEADS)
    assert "must return a model that can be saved without its code" in told


def test_a_finished_model_is_for_one_input_and_one_target():
    both = InputShape(PICTURES.stacks, PICTURES.size, 2, ())
    for shape, heads in ((both, HEADS), (PICTURES, HEADS | {"z": Head(1)})):
        (told,) = check_network(own("build_finished"), shape, heads)
        assert "must return features, build_model(input_shape)" in told
    assert check_network(own("build_features"), both, HEADS | {"z": Head(1)}) == []


def test_an_error_of_the_users_is_kept_and_says_where():
    with pytest.raises(ValueError) as caught:
        check_network(own("build_wrongly"), PICTURES, HEADS)
    assert f"while building model.backbone {__name__}:build_wrongly for inputs of shape (16, 12, 3)" in caught.value.__notes__
    (told,) = check_network(own("not_there"), PICTURES, HEADS)
    assert "must name a function that can be imported" in told


def test_steps_need_the_built_in_branch():
    (told,) = check_network(own("build_recurrent"), SERIES, {"y": Head(2, "steps", "imu")})
    assert told == "model.backbone: must be tiny where something is predicted at each step of a series."


def test_mistakes_of_settings_are_said():
    assert "Did you mean 'relu'" in check_network(ModelConfig(activation="rleu"), PICTURES, HEADS)[0]
    assert "Did you mean 'tiny'" in check_network(ModelConfig(backbone="tny"), PICTURES, HEADS)[0]
    (told,) = check_network(ModelConfig(backbone="applications:MobilNetV2"), PICTURES, HEADS)
    assert "must name a model of keras.applications" in told
    assert "Did you mean 'MobileNetV2'" in told
    (told,) = check_network(ModelConfig(backbone="applications:MobileNet"), PICTURES, HEADS)
    assert "must be one that takes pictures of 3 channels at (16, 12) px; got Input size must be at least 32x32" in told
    assert "width: must be left out" in check_network(ModelConfig(backbone="applications:VGG16", width=3), PICTURES, HEADS)[0]


def application_shape(channels):
    return InputShape({"photo": {"photo": channels}}, (32, 32), 0, ())


def save_weights(name, path):
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3))
    model.save_weights(path)
    return model


@pytest.mark.parametrize("name", ["EfficientNetB0", "VGG16"])  # layers of its own; blue first
def test_pretrained_applications_see_pictures_as_they_were_trained_on_them(tmp_path, name):
    file = tmp_path / "w.weights.h5"
    original = save_weights(name, file)
    model = ModelConfig(backbone=f"applications:{name}", weights=str(file), dropout=0)
    network = make_network(model, application_shape(3), HEADS)
    network.set_pixels({"photo": FittedPixels(IMAGENET_MEAN, IMAGENET_STD, 0, 255)})
    pictures = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    module = sys.modules[getattr(keras.applications, name).__module__]
    expected = original(keras.ops.convert_to_tensor(module.preprocess_input(pictures.astype(np.float32))))
    (branch,) = network.pictures.values()
    found = branch({"photo": keras.ops.convert_to_tensor(pictures)}, keras.ops.ones(2)).features
    expected, found = keras.ops.convert_to_numpy(expected), keras.ops.convert_to_numpy(found)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    if name == "VGG16":  # 60 MB
        return
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    batch = {"pictures": {"photo": pictures}, "weight": np.ones(2, dtype=np.float32)}
    np.testing.assert_allclose(raw_of(again, batch)["y"], raw_of(network, batch)["y"], atol=1e-6)


def test_pretrained_applications_take_other_channels(tmp_path):
    file = tmp_path / "w.weights.h5"
    save_weights("MobileNet", file)

    def branch(channels, new_channels="repeat"):
        model = ModelConfig(backbone="applications:MobileNet", weights=str(file), new_channels=new_channels)
        maps = Head(1, "pixels", "photo", size=(32, 32))
        (made,) = make_network(model, application_shape(channels), {"y": Head(1), "m": maps}).pictures.values()
        return made

    three, five = branch(3), branch(5, "zero")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(three.backbone.scale), IMAGENET_STD / 127.5, rtol=1e-5)  # -1 to 1
    np.testing.assert_allclose(five.backbone.offset[3:], np.repeat((IMAGENET_MEAN / 127.5 - 1).mean(), 2), atol=1e-5)
    values = np.random.default_rng(0).normal(size=(2, 32, 32, 5)).astype(np.float32)
    seen = [
        made({"photo": keras.ops.convert_to_tensor(values[..., :channels])}, keras.ops.ones(2)).features
        for made, channels in ((three, 3), (five, 5))
    ]
    expected, found = (keras.ops.convert_to_numpy(one) for one in seen)
    np.testing.assert_allclose(found / expected.max(), expected / expected.max(), atol=1e-4)


def test_weights_of_something_else_are_refused(tmp_path):
    def told(file):
        return check_network(ModelConfig(backbone="applications:MobileNet", weights=str(file)), application_shape(3), HEADS)

    assert told("nowhere.h5") == ["model.weights: must be none, hub or a file that exists; got 'nowhere.h5'."]
    (tmp_path / "text.weights.h5").write_text("hello")
    assert "must hold weights of applications:MobileNet without its classifier" in told(tmp_path / "text.weights.h5")[0]


def test_a_balanced_stem_comes_before_other_backbones():
    shape = InputShape({"photo": {"photo": 3, "depth": 1}}, (16, 12), 0, ())
    model = own("build_features").model_copy(
        update={"stem": "balanced", "groups": {"d": InputGroup(fields=("depth",), weight=3)}}
    )
    network = make_network(model, shape, HEADS)
    (branch,) = network.pictures.values()
    np.testing.assert_allclose(branch.stem.balance.shares, [0.25, 0.75])
    assert raw_of(network, batch_of(shape))["y"].shape == (4, 4)


def test_kernels_decay_and_nothing_else():
    shape = InputShape({"photo": {"photo": 3}}, (8, 8), 2, (5,), {"imu": 2})
    network = make_network(ModelConfig(width=4, hidden=8), shape, HEADS)
    assert isinstance(network, Network)
    assert {v.name for v in network.decaying()} == {"kernel"}
    assert {v.name for v in network.not_decaying()} == {"bias", "gamma", "beta", "embeddings"}
    assert len(network.decaying()) + len(network.not_decaying()) == len(network.trainable_variables)
