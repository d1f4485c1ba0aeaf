"""Ensembles as ideas: what their names stand for, how predictions are joined, and that no scored row has a say in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.optimize import nnls
from scipy.stats import rankdata

import toy
from tamesu import ConfigError, Study
from tamesu.arms import make_arms
from tamesu.assembly import Assembly
from tamesu.config import FoldsConfig
from tamesu.document import config_from_mapping, read_study
from tamesu.engines.serial import SerialEngine
from tamesu.fields import AngleField, LabelField, LabelsField, NumberField, PointsField, VectorField
from tamesu.folds import Split, inner_splits
from tamesu.joining import Joining, equal_joining, make_scale, rank_joining, stacked_joining
from tamesu.learners.base import load_fitted
from tamesu.live import Watcher
from tamesu.parts import SEED_STRIDE
from tamesu.report.schema import check_summary
from tamesu.store import Store
from tamesu.targets import make_target
from tamesu.trial import make_trial
from tamesu.tryout import RESEEDED

HERE = Path(__file__).parent
FIELDS = {"x": "number", "z": "number", "y": {"kind": "number", "target": True}}
NAMED = {"boosted": {"learner": "lightgbm"}, "wide": {"model": {"hidden": 9}}, "batch": {"train": {"batch_size": [8, 16]}}}
NUMBER = make_target("y", NumberField(target=True))
LABEL = make_target("y", LabelField(target=True), ("a", "b", "c"))
TARGETS = {
    "number": NUMBER,
    "label": LABEL,
    "labels": make_target("y", LabelsField(target=True), ("a", "b")),
    "angle": make_target("y", AngleField(target=True)),
    "unit": make_target("y", VectorField(target=True, columns=("u", "v"), unit=True)),
}


def arms(**more):
    config = config_from_mapping({"fields": FIELDS, **more})
    return {arm.name: arm for arm in make_arms(config, (0, 0))}


def recipes(**more):
    return {name: arm.recipe for name, arm in arms(**more).items()}


def toy_recipes(**ensembles):
    ideas = {"longer": {"train": {"epochs": 3}}, "without-z": {"fields": {"z": "ignore"}}}
    ideas |= {name: {"ensemble": one} for name, one in ensembles.items()}
    return recipes(learner="toy:Ridge", train={"epochs": 2}, ideas=ideas)


def shares(rng, *shape):
    raw = rng.uniform(0.01, 1, shape)
    return raw / raw.sum(axis=-1, keepdims=True)


def some_predictions(kind, n_members=3, n=20, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "label":
        return shares(rng, n_members, n, 3)
    if kind == "labels":
        return rng.uniform(size=(n_members, n, 2))
    if kind == "angle":
        return rng.uniform(-180, 180, (n_members, n))
    if kind == "unit":
        return (lambda raw: raw / np.linalg.norm(raw, axis=-1, keepdims=True))(rng.normal(size=(n_members, n, 2)))
    return rng.normal(10, 3, (n_members, n))


# ── what the names stand for ────────────────────────────────────────────────────────────────────────────────────────────


def test_members_are_the_study_and_its_ideas():
    found = recipes(ideas=NAMED | {"blend": {"ensemble": {"members": ["baseline", "boosted", "batch: batch_size=8"]}}})
    blend = found["blend"]
    assert set(blend.members) == {"baseline", "boosted", "batch: batch_size=8"}
    assert all(blend.members[name] == found[name] for name in blend.members)
    assert blend.trained == tuple(blend.members.values())
    assert blend.leading == found["baseline"]
    assert found["boosted"].trained == (found["boosted"],)


def test_what_else_an_idea_says_is_said_of_every_member():
    patch = {"ensemble": {"members": ["baseline", "wide"]}, "train": {"epochs": 3}}
    longer = recipes(ideas=NAMED | {"blend": patch})["blend"]
    assert {one.train.epochs for one in longer.members.values()} == {3}
    assert {one.model.hidden for one in longer.members.values()} == {64, 9}


def test_on_top_of_an_ensemble_an_idea_is_one_for_every_member():
    kept = recipes(
        ensemble={"members": ["baseline", "wide"], "method": "stack"}, ideas=NAMED | {"longer": {"train": {"epochs": 3}}}
    )
    assert set(kept["baseline"].members) == {"baseline", "wide"}
    assert {one.train.epochs for one in kept["longer"].members.values()} == {3}
    assert {one.model.hidden for one in kept["longer"].members.values()} == {64, 9}
    assert kept["boosted"].members == {}, "both members would be the same training: it is that"
    assert kept["wide"].training_json() == recipes(ideas=NAMED)["wide"].training_json()


def test_an_ensemble_idea_takes_the_place_of_a_kept_one():
    ideas = NAMED | {"five": {"ensemble": {"members": ["baseline"], "seeds": 5}}, "mean": {"ensemble": {"method": "mean"}}}
    found = recipes(ensemble={"members": ["baseline", "wide"], "method": "stack", "seeds": 2}, ideas=ideas)
    five, mean = found["five"], found["mean"]
    assert (list(five.members), five.ensemble.seeds, five.ensemble.method) == (["baseline"], 5, "mean")
    assert (set(mean.members), mean.ensemble.seeds, mean.ensemble.method) == ({"baseline", "wide"}, 2, "mean")
    alone = recipes(ensemble={"members": ["baseline", "wide"]}, ideas=NAMED | {"alone": {"ensemble": {"members": []}}})["alone"]
    assert alone.members == {}


def test_lists_of_values_make_several_ensembles():
    ideas = {"more": {"ensemble": {"members": ["baseline"], "seeds": [3, 5]}}}
    pairs = {"pairs": {"ensemble": {"members": [["baseline", "wide"], ["baseline", "boosted"]]}}}
    assert set(arms(ideas=ideas)) == {"baseline", "more: seeds=3", "more: seeds=5"}
    assert sum(bool(one.members) for one in recipes(ideas=NAMED | pairs).values()) == 2


def test_names_and_order_of_members_do_not_matter():
    def text(members, **more):
        ideas = {"wide": NAMED["wide"], "same": NAMED["wide"], "blend": {"ensemble": {"members": members, **more}}}
        return recipes(ideas=ideas)["blend"].training_json()

    assert text(["baseline", "wide"]) == text(["wide", "baseline"]) == text(["same", "baseline"])
    assert text(["baseline", "wide", "same"]) == text(["baseline", "wide"]), "trainings count once"
    others = [text(["baseline", "wide"], method="stack"), text(["baseline", "wide"], seeds=2), text(["baseline"], seeds=2)]
    assert len({text(["baseline", "wide"]), *others}) == 4


def test_keeping_one_on_top_of_another_leaves_nothing_of_that(tmp_path):
    text = """\
data: {train: rows.csv}
fields: {x: number, y: {kind: number, target: true}}
ensemble:
  members: [baseline, wide]   # the best so far
  method: stack
ideas:
  wide: {model: {hidden: 9}}
  five: {ensemble: {members: [baseline], seeds: 5}}
"""
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    config, document = read_study(path)
    five = next(arm for arm in make_arms(config, (0, 0)) if arm.name == "five")
    document.keep(five)
    again, _ = read_study(path)
    assert again.ensemble == five.recipe.ensemble
    assert "method" not in path.read_text(encoding="utf-8")


MISTAKES = """\
data: {train: rows.csv}
fields:
  x: number
  y: {kind: label, target: true}
ideas:
  boosted: {learner: lightgbm}
  batch: {train: {batch_size: [8, 16]}}
  blend: {ensemble: {members: [baseline, boosted]}}
  one: {ensemble: {members: [baseline]}}
  unknown:
    ensemble:
      members:
        - baseline
        - bosted
  several: {ensemble: {members: [baseline, batch]}}
  none: {ensemble: {members: [baseline, "batch: batch_size=9"]}}
  nested: {ensemble: {members: [blend, boosted]}}
  itself: {ensemble: {members: [itself, boosted]}}
  twice: {ensemble: {members: [boosted, boosted], seeds: 2}}
  alone: {ensemble: {members: [boosted], seeds: 3, method: stack}}
  without: {ensemble: {seeds: 3}}
  beside: {ensemble: {members: [baseline, boosted]}, fields: {x: {kind: nmber}}}
"""
TOLD = """\
:9 ideas.one.ensemble.members: must come to at least two trainings; got 'baseline' once. Name another member, or set seeds.
:14 ideas.unknown.ensemble.members[1]: must be baseline, an idea of the study or one of its arms; got 'bosted'. Did you mean 'boosted'?
:15 ideas.several.ensemble.members[1]: must name one arm of 'batch': 'batch: batch_size=8', 'batch: batch_size=16'; got 'batch'.
:16 ideas.none.ensemble.members[1]: must name one arm of 'batch': 'batch: batch_size=8', 'batch: batch_size=16'; got 'batch: batch_size=9'. Did you mean 'batch: batch_size=8'?
:17 ideas.nested.ensemble.members[0]: must be no ensemble itself; got 'blend'. Name its members instead: ['baseline', 'boosted'].
:18 ideas.itself.ensemble.members[0]: must be no ensemble itself; got 'itself'. Name its members instead: ['itself', 'boosted'].
:19 ideas.twice.ensemble.members: must name each member once; got 'boosted' again.
:20 ideas.alone.ensemble.method: must be mean where there is one member: its trainings count alike; got 'stack'.
:21 ideas.without.ensemble.seeds: must come with ensemble.members, such as [baseline, other-idea]; got 3.
:22 ideas.beside.fields.x.kind: must be one of"""  # noqa: E501


def test_every_mistake_is_told_with_its_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(MISTAKES, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    told = [sentence.removeprefix(str(path)) for sentence in caught.value.mistakes]
    assert [one[: len(wanted)] for one, wanted in zip(told, TOLD.splitlines(), strict=True)] == TOLD.splitlines()


def test_a_member_that_cannot_be_in_a_patched_study_is_told():
    ideas = {"no-x": {"fields": {"x": "ignore"}}, "no-z": {"fields": {"z": "ignore"}}}
    with pytest.raises(
        ConfigError, match=r"Study ideas.no-z.ensemble.members\[1\]: must be possible here; got 'no-x', of which "
    ):
        config_from_mapping({"fields": FIELDS, "ensemble": {"members": ["baseline", "no-x"]}, "ideas": ideas})


STEPS = {"kind": "steps", "of": "s", "table": {"file": "a", "key": "k", "columns": [], "name": "c"}}
EVENTS = {"kind": "events", "of": "s", "table": {"file": "a", "key": "k", "columns": ["t"], "name": "c"}, "names": ["c"]}


@pytest.mark.parametrize(
    ("target", "method", "words"),
    [
        (STEPS, "stack", "must be 'mean'"),
        ({"kind": "angle"}, "rank_mean", "must be one of mean, stack for a target of kind angle"),
        (EVENTS, "mean", "no mean"),
    ],
)
def test_methods_that_a_target_cannot_have_are_told(target, method, words):
    series = {"kind": "series", "table": {"file": "b", "key": "k", "columns": ["v"], "order": "t"}}
    fields = {"x": "number", "s": series, "y": target | {"target": True}}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": fields, "ensemble": {"members": ["baseline"], "seeds": 2, "method": method}})
    assert any(words in one for one in caught.value.mistakes), caught.value.mistakes


# ── the trials it is made of ────────────────────────────────────────────────────────────────────────────────────────────


def test_inner_folds_are_of_training_rows_only_balanced_and_keep_groups():
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 20, 200), rng.integers(0, 3, 200)
    test = np.flatnonzero(groups < 4)
    split = Split(1, 2, np.setdiff1d(np.arange(200), test), test)
    inner = inner_splits(split, FoldsConfig(n_splits=10), labels=labels[split.train], groups=groups[split.train])
    assert len(inner) == 5
    assert np.array_equal(np.sort(np.concatenate([one.test for one in inner])), split.train)
    for one in inner:
        assert np.array_equal(np.union1d(one.train, one.test), split.train)
        assert not set(groups[one.train]) & set(groups[one.test])
        assert (one.repeat, one.fold) == (1, 2)
    plain = inner_splits(split, FoldsConfig(n_splits=3), labels=labels[split.train], groups=None)
    counts = np.array([np.bincount(labels[one.test], minlength=3) for one in plain])
    assert len(plain) == 3
    assert np.ptp(counts, axis=0).max() <= 1
    few = inner_splits(split, FoldsConfig(scheme="leave_one_group_out"), labels=None, groups=np.arange(len(split.train)) % 2)
    assert len(few) == 2


def test_inner_folds_follow_the_folds_of_the_study(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=120), "y": rng.normal(size=120), "day": np.arange(120) % 12})
    fields = {"x": "number", "day": "group", "y": {"kind": "number", "target": True}}
    ideas = {"longer": {"train": {"epochs": 3}}, "stack": {"ensemble": {"members": ["baseline", "longer"], "method": "stack"}}}
    folds = {"n_splits": 3, "group": "day"}
    plan = Study(train=frame, fields=fields, learner="toy:Ridge", folds=folds, ideas=ideas, runs=tmp_path).check()
    trial = plan.trial(plan.arms[2], 1, 2)
    day = plan.groups
    assert len(trial.parts.inner) == 3
    for members in trial.parts.inner:
        inner = members[0][0].split
        assert not set(day[inner.train]) & set(day[inner.test])
        assert not set(inner.train) & set(trial.split.test)
        assert {part.split for seeds in members for part in seeds} == {inner}


def test_seeds_are_ordinary_trainings_and_their_own():
    dataset, split = toy.make_rows(), toy.make_split()
    found = toy_recipes(five={"members": ["baseline"], "seeds": 5})
    keys = [[part.key for part in make_trial(dataset, found["five"], split, seed_shift=shift).parts] for shift in (0, RESEEDED)]
    alone = [make_trial(dataset, found["baseline"], split, seed_shift=shift).key for shift in range(SEED_STRIDE)]
    assert [one[0] for one in keys] == [alone[0], alone[RESEEDED]], "the first is the one that is trained anyway"
    assert not set(keys[0]) & set(keys[1]), "with another seed, every part has another"
    assert len(set(keys[0][1:]) | set(alone)) == 4 + SEED_STRIDE


def test_the_key_is_that_of_what_it_is_made_of():
    dataset, split = toy.make_rows(), toy.make_split()

    def key(dataset=dataset, split=split, shift=0, **ensemble):
        one = {"members": ["baseline", "longer"]} | ensemble
        return make_trial(dataset, toy_recipes(blend=one)["blend"], split, shift).key

    assert key() == key() == key(members=["longer", "baseline"])
    assert key(dataset=toy.make_rows(spare=0.0)) == key()
    x = dataset.table["x"].to_numpy() + 1
    others = [key(method="stack"), key(seeds=2), key(members=["baseline", "without-z"]), key(shift=1)]
    others += [key(dataset=toy.make_rows(x=x)), key(split=toy.make_split(fold=1)), key(method="rank_mean")]
    assert len({key(), *others}) == 1 + len(others)


# ── joining ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", TARGETS)
def test_of_identical_members_every_method_makes_that_member(kind):
    target, (one,) = TARGETS[kind], some_predictions(kind, 1)
    same = [[one], [one, one], [one]]
    np.testing.assert_allclose(equal_joining(target, 3).join(same), one, rtol=1e-12, atol=1e-12)
    if kind in ("number", "label", "labels"):
        np.testing.assert_allclose(rank_joining(target, same).join(same), one, rtol=1e-9, atol=1e-12)
    truth = np.arange(20) % 3 if kind == "label" else one
    if kind != "label":
        np.testing.assert_allclose(stacked_joining(target, same, truth).join(same), one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("method", ["mean", "rank_mean", "stack"])
def test_a_row_is_joined_alike_alone_and_among_others_and_when_read_again(kind, method, tmp_path):
    target, out_of_fold, scored = TARGETS[kind], some_predictions(kind), some_predictions(kind, seed=1)
    truth = np.arange(20) % 3 if kind == "label" else some_predictions(kind, 1, seed=2)[0]
    if method == "rank_mean" and kind in ("angle", "unit"):
        return
    joining = {
        "mean": lambda: equal_joining(target, 3),
        "rank_mean": lambda: rank_joining(target, [[one] for one in out_of_fold]),
        "stack": lambda: stacked_joining(target, [[one] for one in out_of_fold], truth),
    }[method]()
    together = joining.join([[one] for one in scored])
    joining.save(tmp_path)
    again = Joining.load(tmp_path)
    for rows in ([3], [7, 1, 12]):
        assert np.array_equal(again.join([[one[rows]] for one in scored]), together[rows])
    if kind == "label":
        np.testing.assert_allclose(together.sum(axis=1), 1)
    if kind == "unit":
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1)


def test_angles_are_joined_around_their_circle():
    joined = equal_joining(TARGETS["angle"], 2).join([[np.array([359.0, 10.0])], [np.array([1.0, 20.0])]])
    np.testing.assert_allclose(joined, [0, 15], atol=1e-9)


@given(arrays.arrays(float, st.integers(2, 40), elements=st.floats(-1e3, 1e3)), st.floats(-2e3, 2e3))
def test_a_scale_leads_there_and_back(values, one):
    scale = make_scale(values)
    places = scale.place(values)
    assert ((places > 0) & (places < 1)).all()
    np.testing.assert_allclose(scale.value(places), values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(places, (rankdata(values) - 0.5) / len(values), atol=1e-9)
    low, high = scale.values[0], scale.values[-1]
    np.testing.assert_allclose(scale.value(scale.place(np.clip(one, low, high))), np.clip(one, low, high), rtol=1e-6, atol=1e-3)


def assert_rises_with(values, ranks):
    """Values are the same function of ranks everywhere, and a rising one."""
    for rank in np.unique(ranks):
        assert np.ptp(values[ranks == rank]) < 1e-9 * np.ptp(values)
    assert (np.diff(values[np.unique(ranks, return_index=True)[1]]) > 0).all()


def test_the_mean_of_ranks_has_their_order_whatever_the_members_scales():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=400)
    members = np.stack([truth + rng.normal(0, 0.2, 400), np.exp(9 * (truth + rng.normal(0, 0.2, 400)))])
    joined = rank_joining(NUMBER, [[one] for one in members]).join([[one] for one in members])
    assert_rises_with(joined, np.sum([rankdata(one) for one in members], axis=0))
    two = make_target("y", LabelField(target=True), ("a", "b"))
    shares_of = np.stack([np.stack([1 - p, p], axis=1) for p in rng.uniform(size=(2, 400))])
    joined = rank_joining(two, [[one] for one in shares_of]).join([[one] for one in shares_of])
    np.testing.assert_allclose(joined.sum(axis=1), 1, rtol=1e-12)
    assert_rises_with(joined[:, 1], np.sum([rankdata(one[:, 1]) for one in shares_of], axis=0))


def test_least_squares_find_the_better_of_two_and_what_each_knows():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 100)
    good = np.eye(3)[truth] * 0.8 + 0.2 * shares(rng, 300, 3)
    noise = shares(rng, 300, 3)
    weights = stacked_joining(LABEL, [[noise], [good]], truth).weights
    assert sum(weights) == pytest.approx(1)
    assert weights[1] > 0.95
    design = np.stack([noise.ravel(), good.ravel()], axis=1)
    by_hand, _ = nnls(design, np.eye(3)[truth].ravel())
    assert weights == pytest.approx(by_hand / by_hand.sum(), abs=1e-9)

    a, b = rng.normal(size=(2, 300))
    target = NUMBER.fit(a + b + 100)
    joining = stacked_joining(target, [[a + 100], [b + 100]], a + b + 100)
    assert joining.weights == pytest.approx([1, 1], abs=0.05), "each knows a part: they add up"
    np.testing.assert_allclose(joining.join([[a + 100], [b + 100]]), a + b + 100, atol=0.2)
    bounded = make_target("y", NumberField(target=True, range=(0, 1)))
    half = stacked_joining(bounded, [[np.clip(a, 0, 1)], [np.clip(b, 0, 1)]], np.clip(a + b, 0, 1))
    assert sum(half.weights) == pytest.approx(1), "of a number in a range, weights keep it there"


def test_members_of_no_use_count_alike_and_unseen_points_do_not_count():
    truth = np.array([0, 0, 1, 1, 2, 2])
    wrong = [[np.roll(np.eye(3)[truth], shift, axis=1)] for shift in (1, 2)]
    assert stacked_joining(LABEL, wrong, truth).weights == (0.5, 0.5)
    points = make_target("y", PointsField(target=True, points={"a": ("ax", "ay"), "b": ("bx", "by")}))
    rng = np.random.default_rng(0)
    places = rng.uniform(1, 9, (50, 2, 2))
    near, far = places + rng.normal(0, 0.1, places.shape), places + rng.normal(0, 5, places.shape)
    seen = places.copy()
    seen[:40, 1] = np.nan
    assert stacked_joining(points, [[near], [far]], seen).weights[0] > 0.9


# ── nothing that is scored has a say ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["mean", "rank_mean", "stack"])
def test_scored_targets_change_nothing(tmp_path, method):
    dataset, split = toy.make_rows(), toy.make_split()
    trial = make_trial(dataset, toy_recipes(blend={"members": ["baseline", "without-z"], "method": method})["blend"], split)

    def run(rows, name):
        store = Store(tmp_path / name)
        with Assembly(SerialEngine(rows, store), rows, store) as engine:
            list(engine.run(iter([trial, None]).__next__))
        return store.read(trial.key)

    y = dataset.table["y"].to_numpy()
    clean = run(dataset, "clean")
    poisoned = run(toy.make_rows(y=np.where(np.isin(np.arange(len(y)), split.test), 1e9, y)), "poisoned")
    assert clean.predictions["y"].tobytes() == poisoned.predictions["y"].tobytes()
    assert clean.weights == poisoned.weights
    other = run(toy.make_rows(y=np.where(np.arange(len(y)) == split.train[0], 1e3, y)), "other")
    assert clean.predictions["y"].tobytes() != other.predictions["y"].tobytes()
    if method == "stack":
        assert clean.weights != other.weights


# ── the whole flow ──────────────────────────────────────────────────────────────────────────────────────────────────────

STUDY = """\
name: rows
data: {train: train.csv, test: test.csv, id: id}
fields:
  x: {kind: number}
  y: {kind: number, target: true}
learner: linear:Linear
folds: {max_repeats: 2, lockbox: 0.2}
ideas:
  other: {fields: {x: {kind: ignore}, z: {kind: number}}}
  blend: {ensemble: {members: [baseline, other]}}
  # weighed
  stack: {ensemble: {members: [baseline, other], method: stack}}
  five: {ensemble: {members: [baseline], seeds: 5}}
"""


class Counter(Watcher):
    """Counts what was trained."""

    n = 0

    def finished(self, tryout, finished):
        self.n += finished.trial.parts is None
        assert self.n == tryout.n_new


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    rng = np.random.default_rng(0)
    for name, n in (("train", 200), ("test", 10)):
        x, z = rng.normal(size=(2, n))
        table = pd.DataFrame({"id": [f"{name}{i}" for i in range(n)], "x": x, "z": z, "y": 2 * x + z + rng.normal(0, 0.3, n)})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


def test_an_ensemble_gets_a_verdict_costs_only_what_is_new_and_can_be_kept(study_file):
    folder, load = study_file.parent / "runs" / "rows", lambda: Study.load(study_file)
    load().fit(repeats=2, watch=Watcher(), n_workers=0)
    result = load().try_ideas("other", "five", "blend", "stack", watch=Watcher(), n_workers=0)
    assert "Weighted: baseline" in repr(result)
    document = json.loads((folder / "try.json").read_text(encoding="utf-8"))
    assert check_summary(document) == []
    ideas = {idea["arm"]: idea for idea in document["ideas"]}
    assert {name: ideas[name]["outcome"] for name in ("five", "stack")} == {"five": "no difference", "stack": "helps"}
    assert ideas["blend"]["ensemble"]["members"] == [{"name": "baseline", "weight": 0.5}, {"name": "other", "weight": 0.5}]
    (first, second) = ideas["stack"]["ensemble"]["members"]
    assert (first["name"], second["name"]) == ("baseline", "other")
    assert min(first["weight"], second["weight"]) > 0.8
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Mean of baseline, other." in page
    assert "Mean of baseline. 5 trainings of each." in page
    assert f"Weighted: baseline {first['weight']:.2f}, other {second['weight']:.2f}." in page

    study = load()
    study.keep("stack")
    text = study_file.read_text(encoding="utf-8")
    assert "ensemble: {members: [baseline, other], method: stack}" in text.split("ideas:")[0]
    assert "blend: {ensemble: {members: [baseline, other]}}" in text.split("ideas:")[1]
    counter = Counter()
    kept = load().fit(watch=counter, n_workers=0)
    n_new_folds = 5 - len({one["fold"] for one in ideas["stack"]["folds"]})
    assert counter.n == 5 + 10 * n_new_folds, "models of `other`, which were not kept before, and the inner folds not tried yet"
    assert kept.baseline.score < 0.5
    assert kept.baseline.ensemble["method"] == "stack"


def test_a_mean_of_what_was_tried_trains_nothing(study_file):
    study = Study.load(study_file)
    study.fit(repeats=2, watch=Watcher(), n_workers=0)
    plan, store = study.check(), study.folder.store
    named = {arm.name: arm for arm in plan.arms}
    with SerialEngine(plan.rows, store) as engine:
        list(engine.run(iter([*(plan.trial(named["other"], r, k) for r in range(2) for k in range(5)), None]).__next__))
        list(engine.run(iter([*(plan.trial(plan.baseline, 0, k, RESEEDED) for k in range(5)), None]).__next__))
    counter = Counter()
    result = study.try_ideas("blend", watch=counter, n_workers=0, max_trainings=0)
    assert counter.n == 0
    assert result.stopped == ""
    assert result.ideas[0].judgement is not None


def test_predictions_and_the_lockbox_are_those_of_all_members(study_file):
    text = study_file.read_text(encoding="utf-8").replace("ideas:", "ensemble: {members: [baseline, other]}\nideas:")
    first = Study.load(study_file)
    first.fit(watch=Watcher(), n_workers=0)
    study_file.write_text(text.replace("  blend: {ensemble: {members: [baseline, other]}}\n", ""), encoding="utf-8")
    study = Study.load(study_file)
    frame = study.predict()
    plan, store = study.check(), study.folder.store
    by_hand = []
    for fold in range(5):
        trial = plan.trial(plan.baseline, 0, fold)
        model = load_fitted(store.model_path(trial.key))
        own = [load_fitted(store.model_path(part.key)).predict(plan.data.test)["y"] for part in trial.parts]
        np.testing.assert_allclose(model.predict(plan.data.test)["y"], np.mean(own, axis=0))
        assert {path.name for path in store.model_path(trial.key).iterdir()} == {"0", "1", "joining.json", "learner.json"}
        by_hand.append(np.mean(own, axis=0))
    np.testing.assert_allclose(frame["prediction"], np.mean(by_hand, axis=0))
    importance = study.importance(n_repeats=1, watch=Watcher(), n_workers=0)
    assert {one.unit.name: one.effect for one in importance.units} == {"x": "worse", "z": "worse"}, "what any member is given"
    judged, count = study.open_lockbox()
    assert (judged.n_rows, count) == (40, 1)


def test_the_budget_holds_for_parts(study_file):
    counter = Counter()
    result = Study.load(study_file).try_ideas("five", watch=counter, n_workers=0, max_trainings=13)
    assert counter.n == 13
    assert result.stopped == "budget"
    assert result.ideas[0].judgement is None


def test_training_rows_that_cannot_be_split_once_more_are_told(study_file):
    rows = pd.read_csv(study_file.parent / "train.csv").assign(day=lambda rows: np.where(np.arange(len(rows)) % 2, "a", "b"))
    rows.to_csv(study_file.parent / "train.csv", index=False)
    text = study_file.read_text(encoding="utf-8").replace(
        "{max_repeats: 2, lockbox: 0.2}", "{scheme: leave_one_group_out, group: day}"
    )
    study_file.write_text(
        text.replace("  x: {kind: number}\n", "  x: {kind: number}\n  day: {kind: group}\n"), encoding="utf-8"
    )
    with pytest.raises(
        ConfigError, match=r":13 ideas.stack.ensemble.method: must be mean where a fold has only one row or group"
    ):
        Study.load(study_file).check()


def test_pictures_are_prepared_at_the_sizes_of_all_members(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"{i}.png" for i in range(20)]
    for name in names:
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / name)
    ideas = {"larger": {"size": 16}, "blend": {"ensemble": {"members": ["baseline", "larger"]}}}
    study = Study(
        train={"picture": [str(tmp_path / name) for name in names], "y": np.arange(20.0)},
        fields={"picture": {"kind": "image"}, "y": {"kind": "number", "target": True}},
        learner="toy:Ridge",
        size=8,
        ideas=ideas,
        runs=tmp_path,
    )
    plan = study.check()
    counts = []
    for names in ((), ("blend",), ("larger",)):
        study.folder.prepare_pictures(plan, plan.ideas(names) if names else (), Watcher())
        counts.append(len(list(study.folder.cache.rglob("*"))))
    assert counts[0] < counts[1] == counts[2]


def test_what_a_member_cannot_be_trained_on_is_told_once(study_file):
    text = study_file.read_text(encoding="utf-8").replace("  other:", "  odd: {learner: 'linear:Picky'}\n  other:")
    study_file.write_text(text.replace("five: {ensemble: {members: [baseline]", "five: {ensemble: {members: [baseline, odd]"))
    with pytest.raises(ConfigError) as caught:
        Study.load(study_file).check()
    assert [one.partition("study.yaml")[2] for one in caught.value.mistakes] == [":9 ideas.odd: linear is picky"]
