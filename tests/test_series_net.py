"""The series branch: what stands beyond a row's end has no say, in training or prediction, and every length works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tamesu.nets.series import MaskedNorm, SeriesBranch


def make_branch(seed: int = 0, channels: int = 3) -> SeriesBranch:
    torch.manual_seed(seed)
    branch = SeriesBranch(channels, 8, 1, "relu")
    with torch.no_grad():
        for name, parameter in branch.named_parameters():  # blocks start as their shortcut: here they must do something
            if name.endswith("second_norm.weight"):
                parameter.fill_(0.7)
    return branch


def batch(lengths: list[int], longest: int, garbage: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    values = np.full((len(lengths), longest, 3), garbage, dtype=np.float32)
    for i, length in enumerate(lengths):
        values[i, :length] = rng.normal(size=(40, 3))[:length]
    return torch.from_numpy(values), torch.tensor(lengths)


@pytest.mark.parametrize("training", [True, False])
def test_padding_never_matters(training: bool) -> None:
    lengths = [9, 1, 0, 20]
    outputs, states, gradients = [], [], []
    for longest, garbage in ((20, 0.0), (37, 0.0), (64, 1e3)):
        branch = make_branch().train(training)
        pooled, steps = branch(*batch(lengths, longest, garbage))
        assert steps.shape == (4, longest, branch.n_features)
        assert pooled.shape == (4, branch.n_features)
        assert (steps[:, 20:] == 0).all()
        (pooled.square().sum() + steps.square().sum()).backward()
        outputs.append((pooled.detach(), steps[:, :20].detach()))
        states.append(branch.state_dict())
        gradients.append([parameter.grad for parameter in branch.parameters()])
    for pooled, steps in outputs[1:]:
        torch.testing.assert_close(pooled, outputs[0][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(steps, outputs[0][1], rtol=1e-4, atol=1e-5)
    for state, gradient in zip(states[1:], gradients[1:], strict=True):
        torch.testing.assert_close(state, states[0], rtol=1e-4, atol=1e-5)
        for one, first in zip(gradient, gradients[0], strict=True):
            torch.testing.assert_close(one, first, rtol=1e-3, atol=1e-4)


def test_a_row_is_the_same_in_any_company() -> None:
    branch = make_branch().eval()
    values, lengths = batch([9, 1, 20], 20)
    pooled, steps = branch(values, lengths)
    for i, length in enumerate([9, 1, 20]):
        alone_pooled, alone_steps = branch(values[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(alone_pooled[0], pooled[i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone_steps[0], steps[i, :length], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [[1], [1, 1], [0], [0, 0, 1]])
def test_rows_of_one_step_or_none(lengths: list[int]) -> None:
    branch = make_branch().train()
    pooled, steps = branch(*batch(lengths, 5))
    (pooled.sum() + steps.sum()).backward()
    assert torch.isfinite(pooled).all()
    assert torch.isfinite(steps).all()
    assert (pooled[torch.tensor(lengths) == 0] == 0).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in branch.parameters())
    assert all(torch.isfinite(buffer).all() for buffer in branch.buffers())


def test_a_step_sees_its_neighbours_on_both_sides_and_far_away() -> None:
    branch = make_branch().eval()
    values = torch.zeros(1, 101, 3, requires_grad=True)
    _, steps = branch(values + torch.randn(1, 101, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([101]))
    (seen,) = torch.autograd.grad(steps[0, 50].square().sum(), values)
    reached = seen[0].abs().sum(dim=1).nonzero().ravel()
    assert reached.min() <= 20
    assert reached.max() >= 80


def test_norm_is_batch_norm_without_padding() -> None:
    own, known = MaskedNorm(4), torch.nn.BatchNorm1d(4)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        values = torch.randn(6, 4, 11, generator=generator) * 3 + 1
        torch.testing.assert_close(own(values, torch.ones(6, 1, 11)), known(values), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own.running_mean, known.running_mean)
    torch.testing.assert_close(own.running_var, known.running_var, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own.eval()(values, torch.ones(6, 1, 11)), known.eval()(values), rtol=1e-4, atol=1e-5)


def test_norm_takes_its_statistics_from_the_steps_that_are_there() -> None:
    own, known = MaskedNorm(4), torch.nn.BatchNorm1d(4)
    values = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(5)) * 2 - 3
    mask = (torch.arange(7)[None] < torch.tensor([7, 2, 4])[:, None]).float()[:, None]
    there = mask[:, 0].bool()
    found = own(torch.where(mask.bool(), values, 1e3), mask).transpose(1, 2)[there]
    expected = known(values.transpose(1, 2)[there])  # (steps, channels)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(own.running_mean, known.running_mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own.running_var, known.running_var, rtol=1e-4, atol=1e-4)


def test_rows_in_one_line_are_rows_side_by_side():
    torch.manual_seed(0)
    branch = SeriesBranch(3, 8, 1, "relu").train()
    for block in branch.blocks:
        torch.nn.init.ones_(block.second_norm.weight)
    lengths = torch.tensor([1, 40, 0, 17, 40])
    values = torch.randn(5, 40, 3)
    is_step = torch.arange(40) < lengths[:, None]
    in_line = branch._of_steps_in_line(values, lengths, is_step)
    apart = branch._of_steps(values.transpose(1, 2), is_step[:, None].float()).transpose(1, 2)
    torch.testing.assert_close(in_line, apart, rtol=1e-4, atol=1e-5)
    assert not in_line[~is_step].any()
