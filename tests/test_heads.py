"""Weights of auxiliary heads, and the report of what each does to the target."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu import testing  # noqa: E402
from tamesu.fields import LabelField, NumberField  # noqa: E402
from tamesu.fields.base import Aux  # noqa: E402
from tamesu.learners.schedules import weight_at  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.learners.torch_heads import HeadWatch, HeadWeights, head_advice  # noqa: E402


def test_schedules():
    assert [weight_at(Aux(weight=0.4), step, 10) for step in (0, 9)] == [0.4, 0.4]
    anneal = [weight_at(Aux(weight=0.4, schedule="anneal"), step, 10) for step in (0, 5, 10)]
    assert anneal == pytest.approx([0.4, 0.2, 0.0])


def test_a_learned_weight_settles_where_the_loss_says():
    """weight * (exp(-s) L + s) is least at s = log L, whatever the weight; the target's own loss is untouched."""
    weights = HeadWeights({"aux": Aux(weight=0.3, schedule="learned"), "other": Aux(weight=0.5)})
    optimizer = torch.optim.Adam(weights.parameters(), lr=0.05)
    loss = torch.tensor(4.0)
    assert weights.weighted("aux", loss, 0, 10).item() == pytest.approx(1.2)
    for _ in range(400):
        optimizer.zero_grad()
        weights.weighted("aux", loss, 0, 10).backward()
        optimizer.step()
    assert weights.log_variances[0].item() == pytest.approx(np.log(4), abs=0.02)
    assert weights.weighted("main", loss, 0, 10) is loss
    assert float(weights.weighted("other", loss, 0, 10)) == 2.0


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(2, 1, bias=False)
        self.heads = nn.ModuleDict({"a": nn.Linear(1, 1)})


def test_cosines_and_shares_of_planted_gradients():
    network = Shared()
    (w,) = network.body.parameters()
    watch = HeadWatch(network, "main")
    watch.see(
        {"main": w[0, 0], "with": 3 * w[0, 0], "against": -w[0, 0], "beside": w[0, 1], "own": network.heads["a"].bias.sum()}
    )
    report = watch.report()
    assert {name: one["cosine"] for name, one in report.items()} == pytest.approx(
        {"main": 1, "with": 1, "against": -1, "beside": 0, "own": 0}, abs=1e-6
    )
    assert report["with"]["share"] == pytest.approx(0.5)
    assert all(one.grad is None for one in network.parameters())
    assert watch.report() == {}
    log = [{"epoch": 1, "heads": report}]
    (told,) = head_advice(log, "main")
    assert "'against'" in told
    assert not head_advice([{"epoch": 1}], "main")


def recipe(report, schedule):
    aux = {"weight": 0.5, "schedule": schedule}
    fields = {
        "u": NumberField(),
        "h": NumberField(aux=aux),
        "y": LabelField(target=True),
    }
    return testing.toy_recipe(fields, train={"epochs": 3, "report": report})


def rows(n=40):
    import pandas as pd

    rng = np.random.default_rng(0)
    u = rng.normal(size=n)
    y = np.where(u > 0, "a", "b").astype(object)
    return testing._dataset(pd.DataFrame({"u": u, "h": u + rng.normal(size=n), "y": y}), {})


@pytest.mark.parametrize("schedule", ["fixed", "anneal", "learned"])
def test_looking_on_changes_nothing(schedule):
    watched, plain = (TorchLearner().fit(rows(), recipe(report, schedule), 0) for report in (True, False))
    assert np.array_equal(watched.predict(rows())["y"], plain.predict(rows())["y"])
    kept = [{key: entry[key] for key in ("epoch", "loss")} for entry in watched.log]
    assert kept == [{key: entry[key] for key in ("epoch", "loss")} for entry in plain.log]
    json.dumps(watched.log, allow_nan=False)
    assert all(set(entry["heads"]) == {"h", "y"} for entry in watched.log)
    assert all("heads" not in entry for entry in plain.log)


def test_schedules_train_differently():
    found = [TorchLearner().fit(rows(), recipe(False, one), 0).predict(rows())["y"] for one in ("fixed", "anneal", "learned")]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
