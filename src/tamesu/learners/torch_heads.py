"""What auxiliary heads weigh as training goes on, and what each of them does to the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tamesu.fields.base import Aux
from tamesu.learners.schedules import weight_at
from tamesu.texts import say

N_WATCHED_BATCHES = 2  # of an epoch: each costs one more way back through the network a head
AGAINST = -0.1  # a mean cosine below this: what helps the auxiliary hurts the target
DROWNS = 0.8  # share of the gradient above which little is left for the target


class HeadWeights(nn.Module):
    """Weights of auxiliaries; learned ones by how well each can be predicted, while the target keeps its weight of 1.

    A learned head adds weight * (exp(-s) loss + s), where s, its log variance, starts at 0.

    Args:
        auxiliaries: By target.

    Source:
        Kendall, Gal & Cipolla (2018), Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
        Semantics, CVPR.
    """

    def __init__(self, auxiliaries: Mapping[str, Aux]):
        super().__init__()
        self.auxiliaries = dict(auxiliaries)
        learned = [name for name, one in self.auxiliaries.items() if one.schedule == "learned"]
        self.places = {name: i for i, name in enumerate(learned)}
        self.log_variances = nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in learned])

    def weighted(self, name: str, loss: Tensor, step: int, n_steps: int) -> Tensor:
        """What a target adds to the loss that is lowered."""
        if name not in self.auxiliaries:
            return loss
        weight = weight_at(self.auxiliaries[name], step, n_steps)
        if name not in self.places:
            return loss * weight
        log_variance = self.log_variances[self.places[name]]
        return weight * (torch.exp(-log_variance) * loss + log_variance)


class HeadWatch:
    """Looks on while heads are trained: their shares of loss and gradient, and whether they pull the target's way.

    The gradient is that of what all heads share: every parameter of the network that is in no head. It is computed beside
    the training's own, which stays as it is bit by bit.

    Args:
        network: With its heads in `heads`.
        main: The target; the others are compared with it.
    """

    def __init__(self, network: nn.Module, main: str):
        own = {id(one) for one in getattr(network, "heads", nn.Module()).parameters()}
        self._shared = [one for one in network.parameters() if one.requires_grad and id(one) not in own]
        self._main = main
        self._seen: list[dict[str, dict[str, float]]] = []

    @property
    def wants_more(self) -> bool:
        """Whether another batch of this epoch is to be seen."""
        return bool(self._shared) and len(self._seen) < N_WATCHED_BATCHES

    def see(self, weighted: Mapping[str, Tensor]) -> None:
        """Takes in one batch, before its gradient is computed.

        Args:
            weighted: By target, what it adds to the loss that is lowered.
        """
        gradients = {name: self._gradient(loss) for name, loss in weighted.items() if loss.requires_grad}
        if self._main not in gradients:
            return
        main = gradients[self._main]
        lengths = {name: float(one.norm()) for name, one in gradients.items()}
        total, total_length = sum(abs(float(one.detach())) for one in weighted.values()), sum(lengths.values())
        self._seen.append(
            {
                name: {
                    "loss": float(weighted[name].detach()),
                    "loss_share": _ratio(abs(float(weighted[name].detach())), total),
                    "share": _ratio(lengths[name], total_length),
                    "cosine": 1.0 if name == self._main else _ratio(float(one @ main), lengths[name] * lengths[self._main]),
                }
                for name, one in gradients.items()
            }
        )

    def report(self) -> dict[str, dict[str, float | None]]:
        """By target, the means over the batches seen since the last report: plain values, None where not finite.

        Returns:
            `loss` as it is weighted, `loss_share` of all losses, `share` of the lengths of all gradients, and `cosine` of its
            gradient with the target's.
        """
        seen, self._seen = self._seen, []
        names = dict.fromkeys(name for one in seen for name in one)
        return {
            name: {key: _mean([one[name][key] for one in seen if name in one]) for key in next(iter(seen))[self._main]}
            for name in names
        }

    def _gradient(self, loss: Tensor) -> Tensor:
        found = torch.autograd.grad(loss, self._shared, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(of) if one is None else one for one, of in zip(found, self._shared, strict=True)]
        return torch.cat([one.detach().reshape(-1).float() for one in parts])


def head_advice(log: Sequence[Mapping[str, Any]], main: str) -> list[str]:
    """What the reports suggest to try, one sentence each; nothing where all heads go along.

    Args:
        log: Of a training, one entry an epoch; `heads` holds a `HeadWatch`'s report.
        main: The target.
    """
    reports = [entry["heads"] for entry in log if entry.get("heads")]
    sentences = []
    for name in dict.fromkeys(name for one in reports for name in one if name != main):
        cosine = _mean([one[name]["cosine"] for one in reports if name in one and one[name]["cosine"] is not None])
        share = _mean([one[name]["share"] for one in reports if name in one and one[name]["share"] is not None])
        if cosine is not None and cosine < AGAINST:
            sentences.append(
                say(
                    "Auxiliary {name!r} pulls the other way than the target (mean cosine of the gradients {cosine:.2f}). "
                    "Try a lower aux.weight, branch: own, or schedule: anneal.",
                    name=name,
                    cosine=cosine,
                )
            )
        elif share is not None and share > DROWNS:
            sentences.append(
                say(
                    "Auxiliary {name!r} has {percent:.0f} % of the gradient; little is left for the target. "
                    "Try a lower aux.weight, or schedule: anneal.",
                    name=name,
                    percent=100 * share,
                )
            )
    return sentences


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float | None:
    mean = sum(values) / len(values) if values else math.nan
    return mean if math.isfinite(mean) else None
