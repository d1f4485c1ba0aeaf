"""What maps did to targets, counted without pixels, against what the batches of a training really were."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

import tamesu.tally
from moved import PAIRS, every_kind, sign_study
from tamesu.batches import make_batches
from tamesu.draws import make_draws
from tamesu.map_draws import draw_maps
from tamesu.tally import STILL_RAD, has_maps, tally, tally_arms, training_feed
from tamesu.trial import make_seed

SEED = 11
AUGMENTS = {
    "mirror": {"mirror": 0.5},
    "all": {"mirror": 0.4, "flip": 0.3, "turn": 0.6, "rotate_deg": 8},
    "balanced": {"mirror": 0.5, "balance": 0.7, "rotate_deg": 10, "scale": 0.2},
    "rotated": {"rotate_deg": [-12, 12]},
}


def recipe_of(study, augment, epochs=3):
    recipe = study.check().baseline.recipe
    return recipe.model_copy(
        update={
            "augment": recipe.augment.model_validate(recipe.augment.model_dump() | augment),
            "train": recipe.train.model_copy(update={"epochs": epochs, "batch_size": 16}),
        }
    )


def trained(rows, recipe):
    """(feed, what every row of every batch of a training was): before, after, map."""
    feed = training_feed(rows, recipe)
    found = []
    for epoch in range(recipe.train.epochs):
        for batch in make_batches(feed, recipe.train.batch_size, epoch=epoch, seed=SEED, n_threads=0):
            index = batch.rows[: batch.n_real]
            maps = next(iter(batch.maps.values()))
            for name in feed.targets:
                found += [
                    (name, feed.encoded[name][i], batch.targets[name][j], bool(maps.mirrored[j]), float(maps.angle_rad[j]))
                    for j, i in enumerate(index)
                ]
    return feed, found


@pytest.mark.parametrize("kind", AUGMENTS)
@pytest.mark.parametrize("at_once", [7, 1 << 16])
def test_counts_are_what_the_batches_of_a_training_were(tmp_path, monkeypatch, kind, at_once):
    monkeypatch.setattr(tamesu.tally, "AT_ONCE", at_once)
    study = sign_study(tmp_path, sign={"turn": "same"}, size=24)
    rows, recipe = study.check().rows, recipe_of(study, AUGMENTS[kind])
    feed, seen = trained(rows, recipe)
    found = tally(rows, recipe, SEED)
    assert found["rows_seen"] == len(seen)
    mirrored = np.array([one[3] for one in seen])
    angles = np.array([one[4] for one in seen])
    assert found["mirrored"] + found["flipped"] == pytest.approx(mirrored.mean())
    if kind in ("balanced", "rotated"):
        assert found["rotated_deg"] == pytest.approx(np.rad2deg(np.abs(angles)).mean())
        assert found["turned"] == 0
    if kind == "all":
        quarters = np.rint(angles / (np.pi / 2)).astype(int) % 4
        flipped = mirrored & (quarters == 2)
        assert found["flipped"] == pytest.approx(flipped.mean())
        assert found["turned"] == pytest.approx(((quarters > 0) & ~flipped).mean())
    classes = feed.targets["sign"].classes
    became, times = defaultdict(Counter), defaultdict(Counter)
    for _, before, after, is_mirrored, _ in seen:
        times["seen"][classes[before]] += 1
        times["mirrored"][classes[before]] += is_mirrored
        times["kept"][classes[before]] += is_mirrored and before == after
        if before != after:
            became[classes[before]][classes[after]] += 1
    for name, one in found["targets"]["sign"]["classes"].items():
        assert {key: one[key] for key in ("seen", "mirrored", "kept")} == {key: times[key][name] for key in times}
        assert one["became"] == dict(became[name])
        assert one["may_mirror"] == (PAIRS.get(name) != "never")
    assert became["keep_left"] or kind == "rotated"


def test_a_map_counts_as_drawn_again_when_the_first_one_had_no_answer(tmp_path):
    study = sign_study(tmp_path, size=24)
    rows, recipe = study.check().rows, recipe_of(study, AUGMENTS["mirror"])
    feed = training_feed(rows, recipe)
    never = rows.values("sign", recipe.fields["sign"]) == "speed_50"
    first = [draw_maps(recipe.augment, recipe.size, make_draws(feed.keys, SEED, epoch)).mirrored[never] for epoch in range(3)]
    assert tally(rows, recipe, SEED)["redrawn"] == np.concatenate(first).sum() > 0


def test_several_classes_at_once(tmp_path):
    study = every_kind(tmp_path, size=30)
    rows, recipe = study.check().rows, recipe_of(study, {"mirror": 0.5, "turn": 0.3})
    feed, seen = trained(rows, recipe)
    found = tally(rows, recipe, SEED)["targets"]["tags"]["classes"]
    place = {name: i for i, name in enumerate(feed.targets["tags"].classes)}
    left, right = place["left"], place["right"]
    swapped = sum(bool(before[left] and after[right]) for _, before, after, *_ in seen)
    assert found["left"]["became"] == {"right": swapped}
    assert found["left"]["seen"] == sum(bool(before[left]) for _, before, *_ in seen)
    assert found["day"]["kept"] == sum(bool(before[place["day"]]) and mirrored for _, before, _, mirrored, _ in seen)


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ({"kind": "number", "mirror": "negate"}, lambda is_mirrored, angle_rad: is_mirrored),
        ({"kind": "number", "mirror": "same", "turn": "same"}, lambda is_mirrored, angle_rad: False),
        ({"kind": "angle"}, lambda is_mirrored, angle_rad: is_mirrored or abs(angle_rad) > STILL_RAD),
    ],
)
def test_targets_without_classes(tmp_path, target, counts):
    study = sign_study(tmp_path, size=24, sign={"target": False}, offset=target | {"target": True}, ideas={})
    rows, recipe = study.check().rows, recipe_of(study, {"mirror": 0.5, "rotate_deg": {"range": 8, "chance": 0.5}})
    _, seen = trained(rows, recipe)
    found = tally(rows, recipe, SEED)["targets"]["offset"]
    assert found["changed"] == sum(counts(is_mirrored, angle_rad) for _, _, _, is_mirrored, angle_rad in seen)
    assert found["pairs"] == []


def test_points_change_places_with_every_mirror(tmp_path):
    study = every_kind(tmp_path, size=30, target="eyes")
    rows, recipe = study.check().rows, recipe_of(study, {"mirror": 0.5})
    _, seen = trained(rows, recipe)
    found = tally(rows, recipe, SEED)["targets"]["eyes"]
    assert found == {"kind": "points", "changed": sum(one[3] for one in seen), "pairs": [["l", "r"]]}


def test_where_nothing_is_mirrored_or_turned_there_is_nothing_to_count(tmp_path):
    study = sign_study(tmp_path, size=24)
    recipe = recipe_of(study, {"translate": 0.2, "scale": 0.3, "shear_deg": 5})
    assert not has_maps(recipe)
    assert tally(study.check().rows, recipe, SEED) is None
    assert has_maps(recipe_of(study, {"rotate_deg": [3, 3]}))


def test_long_trainings_are_counted_by_their_first_epochs(tmp_path, monkeypatch):
    study = sign_study(tmp_path, size=24)
    rows = study.check().rows
    recipe = recipe_of(study, AUGMENTS["mirror"], epochs=5)
    monkeypatch.setattr(tamesu.tally, "MAX_DRAWS", 2 * len(rows) + 1)
    found = tally(rows, recipe, SEED)
    assert (found["epochs"], found["epochs_counted"], found["rows_seen"]) == (5, 2, 2 * len(rows))
    short = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 2})})
    assert found["targets"] == tally(rows, short, SEED)["targets"]


def test_arms_that_move_rows_alike_are_counted_once(tmp_path, monkeypatch):
    ideas = {"mirror": {"augment": {"mirror": 0.5}}, "wide": {"augment": {"mirror": 0.5}, "model": {"width": 16}}}
    plan = sign_study(tmp_path, size=24, ideas=ideas).check()
    calls = []
    count = tamesu.tally.tally
    monkeypatch.setattr(tamesu.tally, "tally", lambda *given: calls.append(1) or count(*given))
    found = tally_arms(plan, plan.arms)
    assert found["baseline"] is None
    assert found["mirror"] is found["wide"]
    assert len(calls) == 2
    split, recipe = plan.splits[0, 0], plan.arms[1].recipe
    assert found["mirror"] == count(plan.rows.take(split.train), recipe, make_seed(recipe.train.seed, 0, 0))


def test_a_learner_that_makes_no_batches_is_not_accounted_for(tmp_path):
    plan = sign_study(tmp_path, size=24).check()
    arm = replace(plan.arms[1], recipe=plan.arms[1].recipe.model_copy(update={"learner": "linear:Linear"}))
    assert tally_arms(plan, [arm]) == {"mirror": None}
