"""What the Keras network does on one backend, beside PyTorch's: `KERAS_BACKEND=jax python keras_parity.py` prints JSON.

One process holds one backend, and starting it costs seconds: all cases go through one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import torch

from keras_weights import running_values, take_torch_weights
from tamesu.config import InputGroup, ModelConfig
from tamesu.knets.network import Network, make_network
from tamesu.nets.heads import Network as TorchNetwork
from tamesu.nets.shapes import Head, InputShape

N, N_REAL = 6, 4  # rows of a batch, and those that are no padding
N_BATCHES = 2
STEPS = 21
MODEL = ModelConfig(width=6, hidden=8, dropout=0.0)
EVERYTHING = InputShape(
    stacks={"photo": {"photo": 3, "depth": 2, "photo@position": 2}, "other": {"other": 1}},
    size=(27, 22),
    n_features=3,
    category_sizes=(4, 9),
    series={"imu": 2, "sound": 1},
    holes=("depth",),
    feature_fields=("a", "b", "c"),
    category_fields=("kind", "make"),
)
ALL_HEADS = {
    "sign": Head(4),
    "sooner": Head(2, branch="early"),
    "beside": Head(3, branch="own"),
    "when": Head(2, "steps", "sound"),
    "mask": Head(3, "pixels", "depth", size=(27, 22)),
}
GROUPS = {"range": InputGroup(fields=("depth", "a", "b"), weight=2)}


def only(**given) -> InputShape:
    return InputShape(**({"stacks": {}, "size": (0, 0), "n_features": 0, "category_sizes": ()} | given))


def pictures_of(size, channels=3) -> InputShape:
    return only(stacks={"photo": {"photo": channels}}, size=size)


CASES = {
    "large pictures": (MODEL.model_copy(update={"depth": 2, "activation": "silu"}), pictures_of((83, 90), 1), {"y": Head(1)}),
    "pictures of one pixel, categories": (
        MODEL.model_copy(update={"hidden": 0}),
        only(stacks={"photo": {"photo": 2}}, size=(1, 1), category_sizes=(4, 9)),
        {"y": Head(2, branch="own")},
    ),
    "table and series": (
        MODEL.model_copy(update={"depth": 2}),
        only(n_features=3, category_sizes=(4, 9), series={"imu": 3}),
        {"y": Head(2)},
    ),
    "everything, balanced": (MODEL.model_copy(update={"stem": "balanced", "groups": GROUPS}), EVERYTHING, ALL_HEADS),
}
PLAIN = (MODEL, EVERYTHING, ALL_HEADS)


def draw(shape: InputShape, seed: int) -> dict:
    """A batch; rows after the first `N_REAL` are padding, filled with what must not matter."""
    rng = np.random.default_rng(seed)
    garbage = np.where(np.arange(N) < N_REAL, 1, 50).astype(np.float32)
    pictures = {}
    for groups in shape.stacks.values():
        for group, channels in groups.items():
            values = rng.normal(size=(N, *shape.size, channels)).astype(np.float32) * garbage[:, None, None, None]
            if group in shape.holes:
                values[rng.random(values.shape) < 0.2] = np.nan
            is_photo = group == "photo"
            pictures[group] = (values * 40 + 100).clip(0, 255).astype(np.uint8) if is_photo else values
    lengths = {name: np.array([STEPS, 1, 0, 9, 5, STEPS], dtype=np.int32) for name in shape.series}
    return {
        "pictures": pictures,
        "table": rng.normal(size=(N, shape.n_features)).astype(np.float32) * garbage[:, None],
        "categories": rng.integers(0, shape.category_sizes or 1, (N, len(shape.category_sizes))).astype(np.int32),
        "series": {
            name: rng.normal(size=(N, STEPS, channels)).astype(np.float32) * garbage[:, None, None]
            for name, channels in shape.series.items()
        },
        "lengths": lengths,
        "weight": (np.arange(N) < N_REAL).astype(np.float32),
    }


def of_torch(network: TorchNetwork, batch: dict) -> dict[str, np.ndarray]:
    """Raw outputs of the rows that are no padding."""
    pictures, series, lengths = (
        {name: torch.from_numpy(values[:N_REAL]) for name, values in batch[key].items()}
        for key in ("pictures", "series", "lengths")
    )
    table = torch.from_numpy(batch["table"][:N_REAL])
    with torch.no_grad():
        raw = network(pictures, table, torch.from_numpy(batch["categories"][:N_REAL]).long(), series, lengths)
    return {name: values.numpy() for name, values in raw.items()}


def of_keras(network: Network, batch: dict, training: bool = False) -> dict[str, np.ndarray]:
    """The same of Keras, of a batch with padding."""
    raw = network(keras.tree.map_structure(keras.ops.convert_to_tensor, batch), training=training)
    return {name: keras.ops.convert_to_numpy(values)[:N_REAL] for name, values in raw.items()}


def distance(one: dict, other: dict) -> float:
    """The largest difference, as a share of the largest value."""
    assert one.keys() == other.keys()
    assert all(one[name].shape == other[name].shape for name in one), {n: (one[n].shape, other[n].shape) for n in one}
    assert all(np.isfinite(values).all() for values in (*one.values(), *other.values()))
    return max(float(np.abs(one[name] - other[name]).max() / max(1, np.abs(one[name]).max())) for name in one)


def make_both(model: ModelConfig, shape: InputShape, heads: dict) -> tuple[TorchNetwork, Network]:
    """Two networks of the same weights, none of them at a value that hides a mistake."""
    torch.manual_seed(0)
    torch_network = TorchNetwork(model, shape, heads)
    with torch.no_grad():
        for name, values in torch_network.state_dict().items():
            if "norm" in name or values.ndim == 1:
                values.copy_(torch.rand(values.shape) + 0.5)
            elif name.endswith("balance.weight"):
                values.add_(torch.randn(values.shape) * 0.3)
    network = make_network(model, shape, heads)
    take_torch_weights(network, torch_network)
    return torch_network, network


def compare(model: ModelConfig, shape: InputShape, heads: dict) -> dict[str, float]:
    """How far the two networks of one case are apart: when predicting, while training, and in what they learn on the way."""
    torch_network, network = make_both(model, shape, heads)
    batches = [draw(shape, seed) for seed in range(N_BATCHES)]
    out = {"predicting": distance(of_torch(torch_network.eval(), batches[0]), of_keras(network, batches[0]))}
    torch_network.train()
    out["training"] = max(distance(of_torch(torch_network, one), of_keras(network, one, training=True)) for one in batches)
    learned = running_values(network)
    take_torch_weights(network, torch_network)
    out["running"] = apart(running_values(network), learned)
    of_keras(network, draw(shape, 9) | {"weight": np.zeros(N, dtype=np.float32)}, training=True)
    out["without rows"] = apart(running_values(network), running_values(make_same(network, torch_network)))
    filled = keras.tree.map_structure(lambda a, b: np.concatenate([a[:N_REAL], b[N_REAL:]]), batches[0], batches[1])
    one, other = (of_keras(make_same(network, torch_network), batch, training=True) for batch in (batches[0], filled))
    out["padding"] = distance(one, other)
    if shape is EVERYTHING:
        out["saved"] = saved_and_loaded(network, batches[0])
    return out


def make_same(network: Network, torch_network: TorchNetwork) -> Network:
    """The Keras network as the PyTorch one is now."""
    take_torch_weights(network, torch_network)
    return network


def apart(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The largest difference, as a share of the largest value; 0 where there are none."""
    return max([float(np.abs(a - b).max() / max(1, np.abs(a).max())) for a, b in zip(one, other, strict=True)], default=0.0)


def saved_and_loaded(network: Network, batch: dict) -> float:
    """How far a network is from what its file gives."""
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "network.keras")
        again = keras.saving.load_model(Path(folder) / "network.keras", safe_mode=True)
    assert type(again) is Network
    assert [v.shape for v in again.decaying()] == [v.shape for v in network.decaying()]
    return distance(of_keras(network, batch), of_keras(again, batch))


def count_compilations() -> int:
    """How often training steps, in half precision, over batches with more and less padding are traced."""
    model, _, heads = CASES["everything, balanced"]
    shape = replace(EVERYTHING, stacks={"photo": EVERYTHING.stacks["photo"]}, series={"sound": 1})
    network = make_in_half_precision("mixed_bfloat16", model.model_copy(update={"dropout": 0.3}), shape, heads)
    batches = [draw(shape, seed) | {"weight": (np.arange(N) < n).astype(np.float32)} for seed, n in enumerate((N, 4, 1, 0))]
    batches = [keras.tree.map_structure(keras.ops.convert_to_tensor, one) for one in batches]
    return {"jax": _traces_of_jax, "tensorflow": _traces_of_tensorflow}[keras.backend.backend()](network, batches)


def _traces_of_jax(network: Network, batches: list) -> int:
    import jax

    traces = []

    def loss(trainable, other, batch):
        traces.append(1)
        raw, other = network.stateless_call(trainable, other, batch, training=True)
        return sum((values**2).mean() for values in raw.values()), other

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    trainable = [v.value for v in network.trainable_variables]
    other = [v.value for v in network.non_trainable_variables]
    for batch in batches:
        (value, other), gradients = step(trainable, other, batch)
        assert np.isfinite(value)
        assert all(np.isfinite(one).all() for one in gradients)
    return len(traces)


def _traces_of_tensorflow(network: Network, batches: list) -> int:
    import tensorflow as tf

    traces = []

    @tf.function(jit_compile=True)
    def step(batch):
        traces.append(1)
        with tf.GradientTape() as tape:
            raw = network(batch, training=True)
            loss = sum(tf.reduce_mean(values**2) for values in raw.values())
        return loss, tape.gradient(loss, [v.value for v in network.trainable_variables])

    for batch in batches:
        value, gradients = step(batch)
        assert np.isfinite(value)
        assert all(one is not None and np.isfinite(tf.convert_to_tensor(one)).all() for one in gradients)
    return len(traces)


def in_half_precision() -> dict[str, float]:
    """By type, how far outputs of mixed precision are from those in full."""
    model, shape, heads = PLAIN
    torch_network, _ = make_both(model, shape, heads)
    batch, out = draw(shape, 0), {}
    kept = {name: values.clone() for name, values in torch_network.state_dict().items()}
    exact = of_torch(torch_network.train(), batch)
    torch_network.load_state_dict(kept)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        network = make_same(make_in_half_precision(policy, model, shape, heads), torch_network)
        found = of_keras(network, batch, training=True)
        assert {keras.backend.standardize_dtype(v.dtype) for v in network.weights if v.name != "seed_generator_state"} == {
            "float32"
        }
        assert {values.dtype for values in found.values()} == {np.dtype("float32")}
        out[policy] = distance(exact, found)
    return out


def make_in_half_precision(policy: str, *case) -> Network:
    """A network whose layers compute in less than float32."""
    keras.config.set_dtype_policy(policy)
    try:
        return make_network(*case)
    finally:
        keras.config.set_dtype_policy("float32")


def start_values() -> dict[str, float]:
    """By weight of a wide network, how its spread at the start compares with PyTorch's."""
    model = MODEL.model_copy(update={"width": 48, "hidden": 96})
    torch.manual_seed(0)
    torch_network = TorchNetwork(model, EVERYTHING, ALL_HEADS)
    drawn, given = make_network(model, EVERYTHING, ALL_HEADS), make_network(model, EVERYTHING, ALL_HEADS)
    take_torch_weights(given, torch_network)
    out = {}
    for ours, theirs in zip(drawn.trainable_variables, given.trainable_variables, strict=True):
        one, other = (np.asarray(keras.ops.convert_to_numpy(v.value)) for v in (ours, theirs))
        if one.size >= 200:
            out[ours.path] = float(max(one.std() / other.std(), np.abs(one).max() / np.abs(other).max() / 1.2))
        elif other.std() == 0:
            assert np.array_equal(one, other), ours.path
    return out


def compare_activations() -> dict[str, float]:
    """By name, how far ours is from PyTorch's."""
    from tamesu.knets.activations import ACTIVATIONS
    from tamesu.nets.activations import ACTIVATIONS as TORCH_ACTIVATIONS

    assert ACTIVATIONS.keys() == TORCH_ACTIVATIONS.keys()
    values = np.linspace(-8, 8, 101, dtype=np.float32)
    out = {}
    for name, one in ACTIVATIONS.items():
        theirs = TORCH_ACTIVATIONS[name]()(torch.from_numpy(values)).numpy()
        out[name] = float(np.abs(keras.ops.convert_to_numpy(one(keras.ops.convert_to_tensor(values))) - theirs).max())
    return out


def main() -> None:
    """All of it; what does not depend on the backend once."""
    warnings.simplefilter("ignore")
    keras.utils.set_random_seed(0)
    out: dict[str, object] = {"backend": keras.backend.backend()}
    out["parity"] = {name: compare(*case) for name, case in CASES.items()}
    out["activations"] = compare_activations()
    if keras.backend.backend() == "torch":
        out |= {"half": in_half_precision(), "start": start_values()}
    else:
        out["compilations"] = count_compilations()
    print(json.dumps(out))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
