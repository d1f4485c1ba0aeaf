"""How a network fares in the first epochs: units that are dead, activations that are flat, layers that no gradient reaches.

`Watch` looks on while one batch is trained; what is trained is the same to the bit with and without it. `health_advice` says in
sentences what the numbers suggest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

from tamesu.nets.activations import ACTIVATIONS
from tamesu.texts import say

N_WATCHED_EPOCHS = 3
# timm has some under names of its own
KINDS = {kind.__name__ for kind in ACTIVATIONS.values()} - {"Identity"} | {"ReLU6", "PReLU", "Swish", "HardSwish", "QuickGELU"}
BOUNDED = {"Tanh", "Sigmoid"}  # flat on both sides: for the others a flat half is how they work
SAME = 1e-4  # a unit whose outputs differ by no more is dead; what comes in has a spread of about 1
FLAT = 0.01  # of a slope that is 1 where an activation does most
N_FLAT_ROWS = 8  # whose slopes are computed
LEAST_VALUES = 16  # of a unit, before it can be called dead
MANY_DEAD, MANY_FLAT, MANY_TIMES_SMALLER = 0.25, 0.5, 1e4


class Watch:
    """Looks at a network while it trains one batch: `with Watch(network) as watch: step()`, then `watch.report()`.

    Of a compiled network it sees the gradients only, as what is compiled does not call back.
    """

    def __init__(self, network: nn.Module, compiled: bool = False):
        self._network, self._compiled = network, compiled
        self._handles: list[RemovableHandle] = []
        self._layers: list[dict[str, Any]] = []
        self._gradients: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Watch:
        """Begins to look."""
        for name, module, axis in _activations(self._network) if not self._compiled else ():
            self._handles.append(module.register_forward_pre_hook(self._hear(name, axis)))
        for name, module in self._network.named_modules():
            if isinstance(module, nn.Linear | _ConvNd) and module.weight.requires_grad:
                self._handles.append(module.weight.register_post_accumulate_grad_hook(self._weigh(name)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Looks no more."""
        for handle in self._handles:
            handle.remove()

    def report(self) -> dict[str, Any]:
        """What was seen, as plain values.

        Returns:
            `layers`, one for each activation in the order they were reached: `name`, `kind`, `units`, `dead` (units that gave
            the same for all that came in; None where too little came in) and `flat_fraction` (share of outputs where its slope
            is near 0). `gradients`, one for each layer in the network's order: `name`, `size` (root mean square) and
            `relative` (its length over that of the weights); None where it is not finite.
        """
        order = [name for name, _ in self._network.named_modules() if name in self._gradients]
        return {"layers": list(self._layers), "gradients": [self._gradients[name] for name in order]}

    def _hear(self, name: str, axis: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            came_in = args[0].detach().float().clone()  # it may be overwritten
            out, slope = _out_and_slope(module, came_in)
            units = out.movedim(axis, 0).flatten(1)
            enough = units.shape[1] >= LEAST_VALUES
            self._layers.append(
                {
                    "name": name,
                    "kind": type(module).__name__,
                    "units": len(units),
                    "dead": int((units.amax(1) - units.amin(1) <= SAME).sum()) if enough else None,
                    "flat_fraction": _short((slope.abs() < FLAT).float().mean()),
                }
            )

        return hook

    def _weigh(self, name: str) -> Callable[[Tensor], None]:
        def hook(weight: Tensor) -> None:
            if weight.grad is not None:
                length, own = weight.grad.detach().float().norm(), weight.detach().float().norm()
                size = length / math.sqrt(weight.numel())
                self._gradients[name] = {"name": name, "size": _short(size), "relative": _short(length / own)}

        return hook


def health_advice(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the last of the reports suggests to try, one sentence each; nothing where all is well.

    Args:
        log: Of a training, one entry an epoch; the first ones hold `health`, a `Watch`'s report.
    """
    watched = [entry for entry in log if "health" in entry]
    if not watched:
        return []
    epoch, report = watched[-1]["epoch"], watched[-1]["health"]
    sentences = [*_dead_advice(report, epoch), *_flat_advice(report, epoch)]
    if epoch > 1:  # blocks that start as their shortcut have no gradient in the first step
        sentences += _gradient_advice(report["gradients"])
    return sentences


def _dead_advice(report: Mapping[str, Any], epoch: int) -> Iterator[str]:
    layers = [one for one in report["layers"] if one["dead"] is not None and one["dead"] > MANY_DEAD * one["units"]]
    if not layers:
        return
    n, total = sum(one["dead"] for one in layers), sum(one["units"] for one in layers)
    names = ", ".join(one["name"] for one in layers[:3])
    if any(one["kind"].startswith("ReLU") for one in layers):
        yield say(
            "In epoch {epoch}, {n} of {total} units of {names} give the same whatever comes in. "
            "Try model.activation: leaky_relu or gelu, or a lower train.learning_rate.",
            epoch=epoch,
            n=n,
            total=total,
            names=names,
        )
    else:
        yield say(
            "In epoch {epoch}, {n} of {total} units of {names} give the same whatever comes in. "
            "Try a lower train.learning_rate, or another model.activation.",
            epoch=epoch,
            n=n,
            total=total,
            names=names,
        )


def _flat_advice(report: Mapping[str, Any], epoch: int) -> Iterator[str]:
    for one in report["layers"]:
        is_gate = one["name"].rpartition(".")[2] == "gate"  # between 0 and 1 on purpose
        if one["kind"] in BOUNDED and not is_gate and (one["flat_fraction"] or 0) > MANY_FLAT:
            yield say(
                "In epoch {epoch}, {percent} % of the outputs of {name} lie where {kind} is flat and passes no gradient on. "
                "Try model.activation: relu or gelu, or a lower train.learning_rate.",
                epoch=epoch,
                percent=round(100 * one["flat_fraction"]),
                name=one["name"],
                kind=one["kind"],
            )
            return


def _gradient_advice(gradients: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    endless = [one["name"] for one in gradients if one["size"] is None]
    if endless:
        yield say(
            "The gradient of {name} is not finite. Try a lower train.learning_rate, or train.precision: float32.",
            name=endless[0],
        )
        return
    if not gradients:
        return
    small, large = min(gradients, key=lambda one: one["size"]), max(gradients, key=lambda one: one["size"])
    if small["size"] == 0:
        yield say(
            "No gradient reaches {name}: it learns nothing. "
            "Try model.activation: gelu or leaky_relu, or a smaller model.depth.",
            name=small["name"],
        )
    elif large["size"] > MANY_TIMES_SMALLER * small["size"]:
        yield say(
            "The gradient of {name} is {times} times smaller than that of {other}: little is learned there. "
            "Try model.activation: gelu or silu, or a smaller model.depth.",
            name=small["name"],
            times=f"{large['size'] / small['size']:.0e}",
            other=large["name"],
        )


def _activations(network: nn.Module) -> Iterator[tuple[str, nn.Module, int]]:
    """Each activation with its name, and on which axis its units lie: where the layer before it has them."""
    axis = 1
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.LayerNorm):
            axis = -1
        elif isinstance(module, _ConvNd | nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
            axis = 1
        elif type(module).__name__ in KINDS:
            yield name, module, axis


def _out_and_slope(module: nn.Module, came_in: Tensor) -> tuple[Tensor, Tensor]:
    """What an activation gives for all that came in, and its slope at some of it."""
    with torch.autocast(came_in.device.type, enabled=False):
        some = came_in[:N_FLAT_ROWS].clone().requires_grad_()
        with torch.enable_grad():
            slope = torch.autograd.grad(module.forward(some.clone()).sum(), some)[0]
        with torch.no_grad():
            return module.forward(came_in), slope


def _short(value: Tensor) -> float | None:
    """Four digits; None where it is not finite, which JSON has no name for."""
    number = float(value)
    return float(f"{number:.4g}") if math.isfinite(number) else None
