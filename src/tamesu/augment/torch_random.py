"""Random numbers of PyTorch taken from a generator of one's own, without touching the global one.

The global generator belongs to the training that runs in another thread: seeding it here, even for a moment, would
change what that training draws.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

DRAWS = frozenset(  # what accepts `generator=`
    {
        *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli, torch.multinomial),
        *(torch.poisson, torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.random_, torch.Tensor.bernoulli_),
        *(torch.Tensor.bernoulli, torch.Tensor.exponential_, torch.Tensor.log_normal_, torch.Tensor.geometric_),
        *(torch.Tensor.cauchy_, torch.Tensor.multinomial),
    }
)


class RandomFrom(TorchFunctionMode):
    """Within `with RandomFrom(generator):`, in this thread alone, random tensors come from that generator."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls `func`, with the generator where it draws."""
        named = dict(kwargs or {})
        if func is torch.rand_like:
            return torch.empty_like(*args, **named).uniform_(generator=self.generator)
        if func is torch.randn_like:
            return torch.empty_like(*args, **named).normal_(generator=self.generator)
        if func in DRAWS and named.get("generator") is None:
            named["generator"] = self.generator
        return func(*args, **named)
