"""Weights from a file into a backbone: by name, or by order where the same tensors are only called otherwise."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tamesu.errors import ConfigError
from tamesu.nets.plans import N_COLOURS, NewChannels, colour_mix
from tamesu.texts import say

WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema", "net")  # where checkpoints keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")  # what wrappers put before every name
N_CLASSIFIER = 2  # tensors after the last of the backbone: weight and bias
N_SHOWN = 5


def load_weights(backbone: nn.Module, file: str, new_channels: NewChannels = "repeat") -> None:
    """Puts the weights of a file into a backbone; those of a classifier are left out, the first convolution is adapted.

    What stays at its fresh value, and names that were matched by order only, are told in a warning.

    Args:
        backbone: Changed in place.
        file: Where the weights are.
        new_channels: How the first convolution sees channels beside red, green and blue (see `plans.colour_mix`).

    Raises:
        ConfigError: The file is not there or not readable as weights, or nothing in it fits.
    """
    found = _without_prefixes(read_weights(file), backbone.state_dict())
    wanted = {name: tensor for name, tensor in backbone.state_dict().items() if not _is_counter(name)}
    matched = {name: _adapted(found[name], tensor, new_channels) for name, tensor in wanted.items() if name in found}
    fitting = {name: tensor for name, tensor in matched.items() if tensor is not None}
    if len(fitting) < len(wanted):
        by_order = _match_by_order(found, wanted, new_channels)
        if by_order is not None:
            fitting = by_order
            text = say("model.weights: {file} names its tensors otherwise; they were matched by order and shape.", file=file)
            warnings.warn(text, RuntimeWarning, stacklevel=2)
    missing = [name for name in wanted if name not in fitting]
    if not fitting:
        text = say(
            "model.weights: {file} must hold weights of this backbone; none of its {n} tensors fits.", file=file, n=len(found)
        )
        raise ConfigError(text + _closest(missing, found))
    if missing:
        text = say(
            "model.weights: {n} of {total} tensors are not in {file}; they start fresh.",
            n=len(missing),
            total=len(wanted),
            file=file,
        )
        warnings.warn(text + _closest(missing, found), RuntimeWarning, stacklevel=2)
    backbone.load_state_dict(fitting, strict=False)


def read_weights(file: str) -> dict[str, Tensor]:
    """All tensors of a .safetensors file, or of a checkpoint that PyTorch reads without running code.

    Raises:
        ConfigError: The file is not there, or is not such a file.
    """
    path = Path(file)
    if not path.is_file():
        raise ConfigError(say("model.weights: must be none, hub or a file that exists; got {file!r}.", file=file))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(
            say(
                "model.weights: {file} must be a .safetensors file or a checkpoint readable with weights_only; got {error}.",
                file=file,
                error=str(error).strip().split("\n")[0],
            )
        ) from error
    return _tensors(content)


def _tensors(content: Any) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in WRAPPERS:
            if isinstance(content.get(key), Mapping):
                return _tensors(content[key])
        return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    return {}


def _without_prefixes(found: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what a wrapper put before all of them, as long as that finds more of the wanted ones."""
    best = {name: tensor for name, tensor in found.items() if not _is_counter(name)}
    for prefix in PREFIXES:
        shorter = {name.removeprefix(prefix): tensor for name, tensor in best.items()}
        if len(shorter) == len(best) and len(shorter.keys() & wanted.keys()) > len(best.keys() & wanted.keys()):
            best = shorter
    return best


def _match_by_order(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], new_channels: NewChannels
) -> dict[str, Tensor] | None:
    """The file's tensors under the backbone's names, where all shapes agree one after the other."""
    if not 0 <= len(found) - len(wanted) <= N_CLASSIFIER:
        return None
    both = zip(wanted.items(), found.values(), strict=False)
    pairs = {name: _adapted(given, tensor, new_channels) for (name, tensor), given in both}
    fitting = {name: tensor for name, tensor in pairs.items() if tensor is not None}
    return fitting if len(fitting) == len(wanted) else None


def _adapted(given: Tensor, wanted: Tensor, new_channels: NewChannels) -> Tensor | None:
    """The tensor if it fits; a first convolution for another number of channels is adapted to it."""
    if given.shape == wanted.shape:
        return given
    both_convolve = given.ndim == 4 == wanted.ndim and given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]
    if not both_convolve or given.shape[1] != N_COLOURS:  # only what looks at red, green and blue
        return None
    return adapt_kernel(given, wanted.shape[1], new_channels)


def adapt_kernel(kernel: Tensor, n_channels: int, new_channels: NewChannels) -> Tensor:
    """A kernel that looks at red, green and blue, for another number of channels (see `plans.colour_mix`).

    Args:
        kernel: (k, 3, h, w)
        n_channels: What it is to look at.
        new_channels: How it sees those after the first three.

    Returns:
        (k, n_channels, h, w)
    """
    mix = torch.from_numpy(colour_mix(n_channels, new_channels)).to(kernel)
    return torch.einsum("nc,kchw->knhw", mix, kernel)


def take_weights(backbone: nn.Module, donor: nn.Module, new_channels: NewChannels) -> None:
    """Puts the weights of a backbone for red, green and blue into the same one for another number of channels, in place."""
    wanted = backbone.state_dict()
    adapted = {name: _adapted(given, wanted[name], new_channels) for name, given in donor.state_dict().items()}
    backbone.load_state_dict({name: wanted[name] if one is None else one for name, one in adapted.items()})


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _closest(missing: list[str], found: Mapping[str, Tensor]) -> str:
    """For some of the names that were looked for, what the file has instead."""
    lines = []
    for name in missing[:N_SHOWN]:
        close = difflib.get_close_matches(name, found, n=1, cutoff=0.3)
        shown = f"{close[0]} {tuple(found[close[0]].shape)}" if close else "-"
        lines.append(f"{name}: {shown}")
    return say(" Looked for, and the closest there: {pairs}.", pairs="; ".join(lines)) if lines else ""
