"""One step of a training on each of Keras's backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tamesu.learners.keras_steps import Arrays, Trainer, average


class TorchTrainer(Trainer):
    """On PyTorch: nothing is compiled."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._kept = [ops.copy(one.value) for one in self.averaged]

    def _step(self, batch: Arrays, weights: Any, rate: Any, share: Any) -> tuple[Any, Any]:
        import torch

        batch = tensors(batch)
        raw = self.network(batch["inputs"], training=True)
        loss = self.lowered(raw, batch, ops.convert_to_tensor(weights), self.lowered.log_variances)
        own = [one.value for one in self.variables]
        found = torch.autograd.grad(loss, own, allow_unused=True)
        gradients = [torch.zeros_like(of) if one is None else one for one, of in zip(found, own, strict=True)]
        with torch.no_grad():
            gradients, is_finite = self._clipped(gradients, loss)
            if is_finite:
                self.optimizer.learning_rate = float(rate)
                self.optimizer.apply(gradients, self.variables)
                if self._kept:
                    self._kept = average(self._kept, [one.value.detach() for one in self.averaged], float(share))
        return loss.detach(), is_finite

    def finish(self) -> None:  # noqa: D102
        for one, value in zip(self.averaged, self._kept, strict=True):
            one.assign(value)


class TensorFlowTrainer(Trainer):
    """On TensorFlow: one graph, traced once."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        import tensorflow as tf

        self._tf = tf
        self._kept = [keras.Variable(one.value, trainable=False, dtype=one.dtype) for one in self.averaged]
        self._traced = tf.function(self._traced_step, autograph=False)

    def _step(self, batch: Arrays, weights: Any, rate: Any, share: Any) -> tuple[Any, Any]:
        out: tuple[Any, Any] = self._traced(batch, weights, rate, share)
        return out

    def _traced_step(self, batch: Arrays, weights: Any, rate: Any, share: Any) -> tuple[Any, Any]:
        tf = self._tf
        self.n_compiled += 1  # Python runs while a graph is traced, and not when it is used
        with tf.GradientTape() as tape:
            raw = self.network(batch["inputs"], training=True)
            loss = self.lowered(raw, batch, weights, self.lowered.log_variances)
        found = tape.gradient(loss, [one.value for one in self.variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients, is_finite = self._clipped([tf.convert_to_tensor(one) for one in found], loss)
        tf.cond(is_finite, lambda: self._apply(gradients, rate, share), lambda: tf.constant(0))
        return loss, is_finite

    def _apply(self, gradients: list[Any], rate: Any, share: Any) -> Any:
        self.optimizer.learning_rate.assign(rate)
        self.optimizer.apply(gradients, self.variables)
        kept = average([one.value for one in self._kept], [one.value for one in self.averaged], share)
        for one, value in zip(self._kept, kept, strict=True):
            one.assign(value)
        return self._tf.constant(0)

    def finish(self) -> None:  # noqa: D102
        for one, value in zip(self.averaged, self._kept, strict=True):
            one.assign(value.value)


class JaxTrainer(Trainer):
    """On JAX: one compiled function from state to state; over several devices rows are shared out, and nothing else changes."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        import jax

        self._jax, devices = jax, self.devices
        self._place = jax.device_put if devices is None else rows_over(jax, devices)
        fixed = [one.value for one in self.network.non_trainable_variables]
        state = [one.value for one in self.variables], fixed, [one.value for one in self.optimizer.variables]
        self._state: tuple[list[Any], ...] = (*state, [self._jax.numpy.copy(one.value) for one in self.averaged])
        if devices is not None:
            self._state = jax.device_put(self._state, whole_on(jax, devices))
        self._rate_at = next(i for i, one in enumerate(self.optimizer.variables) if one is self.optimizer.learning_rate)
        self._averaged_at = [next(i for i, one in enumerate(self._own()) if one is each) for each in self.averaged]
        self._compiled = jax.jit(self._pure_step, donate_argnums=0)

    def _own(self) -> list[Any]:
        return [*self.network.trainable_variables, *self.network.non_trainable_variables]

    def _step(self, batch: Arrays, weights: Any, rate: Any, share: Any) -> tuple[Any, Any]:
        self._state, loss, is_finite = self._compiled(self._state, self._place(batch), weights, rate, share)
        return loss, is_finite

    def _pure_step(self, state: tuple[list[Any], ...], batch: Arrays, weights: Any, rate: Any, share: Any) -> Any:
        self.n_compiled += 1
        before, fixed, slots, kept = state

        def lowered(values: list[Any]) -> tuple[Any, list[Any]]:
            raw, after = self.network.stateless_call(values[: self.n_own], fixed, batch["inputs"], training=True)
            return self.lowered(raw, batch, weights, values[self.n_own :]), after

        (loss, fixed), gradients = self._jax.value_and_grad(lowered, has_aux=True)(before)
        gradients, is_finite = self._clipped(gradients, loss)
        slots = [rate.astype(one.dtype) if i == self._rate_at else one for i, one in enumerate(slots)]
        after, new_slots = self.optimizer.stateless_apply(slots, gradients, before)
        after, slots = self._if(is_finite, after, before), self._if(is_finite, new_slots, slots)
        own = [*after[: self.n_own], *fixed]
        moved = average(kept, [own[i] for i in self._averaged_at], share)
        return (after, fixed, slots, self._if(is_finite, moved, kept)), loss, is_finite

    def _if(self, condition: Any, new: list[Any], old: list[Any]) -> list[Any]:
        return [self._jax.numpy.where(condition, one, other) for one, other in zip(new, old, strict=True)]

    def finish(self) -> None:  # noqa: D102
        after, fixed, _, kept = self._jax.device_get(self._state)
        for one, value in zip([*self.variables, *self.network.non_trainable_variables], [*after, *fixed], strict=True):
            one.assign(value)
        for one, value in zip(self.averaged, kept, strict=True):
            one.assign(value)


def rows_over(jax: Any, devices: list[Any]) -> Callable[[Arrays], Arrays]:
    """Puts a batch on devices, so many rows on each.

    Source:
        JAX documentation, "Distributed arrays and automatic parallelization".
    """
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    shared = NamedSharding(Mesh(devices, ("rows",)), PartitionSpec("rows"))
    return lambda batch: jax.device_put(batch, shared)


def whole_on(jax: Any, devices: list[Any]) -> Any:
    """Where what every device has a copy of is put."""
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    return NamedSharding(Mesh(devices, ("rows",)), PartitionSpec())


def tensors(batch: Any) -> Any:
    """The arrays of a batch as PyTorch's."""
    if isinstance(batch, dict):
        return {name: tensors(one) for name, one in batch.items()}
    return ops.convert_to_tensor(batch)


TRAINERS: dict[str, type[Trainer]] = {"torch": TorchTrainer, "tensorflow": TensorFlowTrainer, "jax": JaxTrainer}


def make_predictor(network: Any) -> Callable[[Arrays], dict[str, Any]]:
    """Inputs to raw outputs by target, compiled where the backend compiles."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        traced: Callable[[Arrays], dict[str, Any]] = tf.function(
            lambda inputs: network(inputs, training=False), autograph=False
        )
        return traced
    if backend == "jax":
        import jax

        values = [one.value for one in network.trainable_variables], [one.value for one in network.non_trainable_variables]
        compiled = jax.jit(lambda state, inputs: network.stateless_call(*state, inputs, training=False)[0])
        return lambda inputs: compiled(values, inputs)
    import torch

    def predict(inputs: Arrays) -> dict[str, Any]:
        with torch.no_grad():
            out: dict[str, Any] = network(tensors(inputs), training=False)
            return out

    return predict
