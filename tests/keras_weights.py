"""The weights of a PyTorch network, put into the Keras network of the same study."""

from __future__ import annotations

import numpy as np

State = dict[str, np.ndarray]


def take_torch_weights(network, torch_network) -> None:
    """Makes a Keras network (`knets.network.Network`) the same function as a PyTorch one (`nets.heads.Network`)."""
    # copied: JAX would go on looking at PyTorch's own memory
    state = {name: tensor.detach().cpu().numpy().copy() for name, tensor in torch_network.state_dict().items()}
    for name, branch in network.pictures.items():
        for group, standardise in zip(branch.groups, branch.standardise, strict=True):
            prefix = f"standardise.{torch_network.group_keys[group]}"
            standardise.mean.assign(state[f"{prefix}.mean"])
            standardise.scale.assign(state[f"{prefix}.scale"])
        _take_tiny(branch.backbone, state, f"backbones.{torch_network.keys[name]}")
    if network.table is not None:
        _take_table(network.table, state)
    for name, branch in network.series.items():
        _take_series(branch, state, f"series.{torch_network.series_keys[name]}")
    for name, head in network.heads.items():
        _take_head(head, state, f"heads.{torch_network.head_keys[name]}")


def running_values(network) -> list[np.ndarray]:
    """What a Keras network learns without a gradient, in the order of its branches."""
    wanted = {"running_mean", "running_var", "covariance", "mean", "n_batches"}
    return [np.array(v.numpy()) for v in network.non_trainable_variables if v.name in wanted]


def _take_tiny(tiny, state: State, prefix: str) -> None:
    for i, one in enumerate(tiny.stem):
        _take_conv_norm(one, state, f"{prefix}.stem.{2 * i}")  # an activation comes after each
    for i, block in enumerate(tiny.blocks):
        before = f"{prefix}.blocks.{i}"
        _take_conv_norm(block.first, state, f"{before}.first")
        _take_conv_norm(block.second, state, f"{before}.second")
        if block.widen is not None:
            at = 0 if block.pool is None else 1
            _take_linear(block.widen, state, f"{before}.shortcut.{at}")
            _take_norm(block.widen_norm, state, f"{before}.shortcut.{at + 1}")


def _take_conv_norm(one, state: State, prefix: str) -> None:
    conv = f"{prefix}.0"
    if f"{conv}.balance.weight" in state:
        _take_balance(one.conv.balance, state, f"{conv}.balance")
        conv = f"{conv}.conv"
    one.conv.kernel.assign(state[f"{conv}.weight"].transpose(2, 3, 1, 0))
    _take_norm(one.norm, state, f"{prefix}.1")


def _take_norm(norm, state: State, prefix: str) -> None:
    norm.gamma.assign(state[f"{prefix}.weight"])
    norm.beta.assign(state[f"{prefix}.bias"])
    norm.running_mean.assign(state[f"{prefix}.running_mean"])
    norm.running_var.assign(state[f"{prefix}.running_var"])


def _take_balance(balance, state: State, prefix: str) -> None:
    for name in ("weight", "covariance", "mean", "n_batches"):
        getattr(balance, name).assign(state[f"{prefix}.{name}"])


def _take_linear(dense, state: State, prefix: str) -> None:
    weight = state[f"{prefix}.weight"]  # a convolution over one place is a matrix too
    dense.kernel.assign(weight.reshape(weight.shape[:2]).T)
    if dense.use_bias:
        dense.bias.assign(state[f"{prefix}.bias"])


def _take_table(table, state: State) -> None:
    for i, embedding in enumerate(table.embeddings):
        embedding.embeddings.assign(state[f"table.embeddings.{i}.weight"])
    if table.balance is not None:
        _take_balance(table.balance.balance, state, "table.balance.balance")
    for i, (hidden, norm) in enumerate(zip(table.hidden, table.norms, strict=True)):
        _take_linear(hidden, state, f"table.layers.{4 * i}")
        norm.gamma.assign(state[f"table.layers.{4 * i + 1}.weight"])
        norm.beta.assign(state[f"table.layers.{4 * i + 1}.bias"])


def _take_series(branch, state: State, prefix: str) -> None:
    branch.stem.kernel.assign(state[f"{prefix}.stem.weight"].transpose(2, 1, 0))
    _take_norm(branch.stem_norm, state, f"{prefix}.stem_norm")
    for i, block in enumerate(branch.blocks):
        for name in ("first", "second"):
            getattr(block, name).kernel.assign(state[f"{prefix}.blocks.{i}.{name}.weight"].transpose(2, 1, 0))
            _take_norm(getattr(block, f"{name}_norm"), state, f"{prefix}.blocks.{i}.{name}_norm")
        if block.widen is not None:
            _take_linear(block.widen, state, f"{prefix}.blocks.{i}.shortcut")
    _take_linear(branch.pool, state, f"{prefix}.pool")


def _take_head(head, state: State, prefix: str) -> None:
    kind = type(head).__name__
    if kind == "StepsHead":
        _take_linear(head.at_step, state, f"{prefix}.at_step")
        _take_linear(head.of_row, state, f"{prefix}.of_row")
    elif kind == "MapHead":
        _take_linear(head.before, state, f"{prefix}.before.0")
        head.after.kernel.assign(state[f"{prefix}.after.weight"].transpose(2, 3, 1, 0))
        head.after.bias.assign(state[f"{prefix}.after.bias"])
    elif head.before is None:
        _take_linear(head.linear, state, prefix)
    else:
        _take_linear(head.before, state, f"{prefix}.before.0")
        _take_linear(head.linear, state, f"{prefix}.linear")
