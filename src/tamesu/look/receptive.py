"""How much of a picture one number of a network's last map depends on: its theoretical receptive field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tamesu.errors import TamesuError

if TYPE_CHECKING:
    from torch import nn

    from tamesu.config import ModelConfig


class UnknownFieldError(TamesuError):
    """The receptive field of a network cannot be worked out; the message says why."""


@dataclass(frozen=True)
class Reach:
    """What a map's numbers see.

    Attributes:
        px: Side of the square of input pixels that one number depends on.
        stride_px: Input pixels from one number to the next.
        whole: It depends on all pixels, as with attention, whatever `px` says.
    """

    px: int = 1
    stride_px: int = 1
    whole: bool = False

    def through(self, kernel: int, stride: int, dilation: int = 1) -> Reach:
        """The reach after a convolution or pooling.

        Source:
            Araujo, Norris & Sim (2019), Computing Receptive Fields of Convolutional Neural Networks, Distill: eq. 1 and 2.
        """
        return Reach(self.px + dilation * (kernel - 1) * self.stride_px, self.stride_px * stride, self.whole)


def receptive_field(model: ModelConfig, size: tuple[int, int]) -> Reach:
    """The receptive field of a backbone's last map, before it is averaged.

    Args:
        model: Which backbone; its weights do not matter and are not read.
        size: Height and width of the pictures in pixels, on which the built-in backbone's layers depend.

    Raises:
        UnknownFieldError: PyTorch or timm is not there, the backbone cannot be made, or its layers cannot be followed.
    """
    try:
        import torch

        from tamesu.nets.backbones import make_backbone

        with torch.random.fork_rng(devices=[]):  # a look leaves nobody's random state changed
            network, _ = make_backbone(model.model_copy(update={"weights": "none"}), 3, size)
        return reach_of(network)
    except UnknownFieldError:
        raise
    except Exception as error:  # a user's or timm's network may fail in any way, and what is asked is not worth stopping for
        raise UnknownFieldError(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from error


def reach_of(network: nn.Module) -> Reach:
    """The reach of a network's output, along the path that sees most.

    Layers are followed as they are called, so that a shortcut counts beside the path it leads around, not after it. Means over
    the whole map are passed by: what is asked is what the map before them sees.
    """
    import torch

    if any(_is_attention(module) for module in network.modules()):
        return Reach(whole=True)

    class Tracer(torch.fx.Tracer):
        """Takes modules without spatial layers for one step: nothing in them widens the view, much in them cannot be traced."""

        def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
            del module_qualified_name
            return _window(m) is not None or not any(_window(one) is not None for one in m.modules())

    graph = Tracer().trace(network)
    modules = dict(network.named_modules())
    reaches: dict[Any, Reach] = {}
    for node in graph.nodes:
        reach = _widest(reaches[one] for one in node.all_input_nodes)
        if node.op == "call_module":
            window = _window(modules[str(node.target)])
            reach = reach if window is None else reach.through(*window)
        reaches[node] = reach
        if node.op == "output":
            return reach
    return Reach()


def _window(module: Any) -> tuple[int, int, int] | None:
    """Kernel, stride and dilation, the larger of both axes; None of a layer that has none or sees one pixel."""
    from torch import nn

    if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d | nn.LPPool2d):
        return None
    kernel, stride = _larger(module.kernel_size), _larger(module.stride)
    window = kernel, stride, _larger(getattr(module, "dilation", 1))
    return None if window == (1, 1, window[2]) else window


def _larger(value: Any) -> int:
    return max(value) if isinstance(value, tuple) else int(value)


def _is_attention(module: Any) -> bool:
    return hasattr(module, "num_heads") and "attention" in type(module).__name__.lower()


def _widest(reaches: Iterable[Reach]) -> Reach:
    found = list(reaches)
    if not found:
        return Reach()
    return Reach(max(one.px for one in found), max(one.stride_px for one in found), any(one.whole for one in found))
