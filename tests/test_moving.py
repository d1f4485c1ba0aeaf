"""What a batch's maps do to everything beside the pixels: table inputs, targets, fields that change places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamesu.batches import draw_batch_maps, make_batches, rows_of_epoch
from tamesu.config import AugmentConfig, TtaConfig
from tamesu.feed import make_feed
from tamesu.fields import (
    AngleField,
    GroupField,
    ImageField,
    LabelField,
    MaskField,
    NumberField,
    PictureField,
    SwapWith,
    VectorField,
)
from tamesu.folds import Split
from tamesu.moving import elements_drawn
from tamesu.preprocess import fit_inputs
from tamesu.targets import make_target
from tamesu.testing import ArrayPictures, toy_pictures, toy_recipe
from tamesu.trial import make_trial, run_trial

SIDE = LabelField(target=True, mirror={"left": "right"}, turn="same")


def feed_of(rows, fields, augment, size=(12, 12)):
    recipe = toy_recipe(fields, size, augment={"translate": 0} | augment)
    inputs = fit_inputs(rows, {k: f for k, f in recipe.inputs.items() if not isinstance(f, PictureField)})
    targets = {k: make_target(k, f, rows.classes.get((k, f.kind), ())) for k, f in recipe.targets.items()}
    targets = {k: target.fit(rows.values(k, target.field)) for k, target in targets.items()}
    return make_feed(rows, recipe, inputs, targets)


def one_epoch(feed, n):
    (batch,) = make_batches(feed, n, epoch=0, seed=3)
    order, draws = rows_of_epoch(feed, 0, 3)
    return batch, order, draw_batch_maps(feed, order, draws)


@pytest.mark.parametrize(
    ("augment", "elements"),
    [
        ({}, ()),
        ({"mirror": 0.5}, (4,)),
        ({"flip": 0.5}, (6,)),
        ({"mirror": 0.5, "flip": 0.5}, (2, 4, 6)),
        ({"turn": 0.5}, (1, 2, 3)),
        ({"turn": 0.5, "mirror": 0.5}, (1, 2, 3, 4, 5, 6, 7)),
        ({"rotate_deg": 30}, ()),
        ({"rotate_deg": 180}, (1, 2, 3)),
    ],
)
def test_which_symmetries_can_be_drawn(augment, elements):
    assert elements_drawn(AugmentConfig(**augment)) == elements
    feed = feed_of(toy_pictures(60), {"picture": ImageField(), "side": SIDE}, augment)
    _, _, maps = one_epoch(feed, 60)
    assert set(maps.elements) - {0} == set(elements)


def test_arrows_in_the_table_turn_with_the_picture():
    rows = toy_pictures(60)
    rng = np.random.default_rng(1)
    wind, heading = rng.normal(size=(60, 2)), rng.uniform(-180, 180, 60)
    table = rows.table.assign(wind=list(map(tuple, wind)), heading=heading)
    rows = replace(rows, table=table)
    wind_field, heading_field = VectorField(y="up"), AngleField(zero="up", positive="clockwise")
    fields = {"picture": ImageField(), "side": SIDE, "wind": wind_field, "heading": heading_field}
    feed = feed_of(rows, fields, {"mirror": 0.5, "turn": 0.5, "rotate_deg": 20})
    batch, order, maps = one_epoch(feed, 60)
    assert len(set(maps.elements)) == 8
    moved = replace(
        rows.take(order),
        table=rows.table.iloc[order]
        .reset_index(drop=True)
        .assign(wind=list(map(tuple, wind_field.act(wind[order], maps))), heading=heading_field.act(heading[order], maps)),
    )
    inputs = fit_inputs(rows, {"heading": heading_field, "wind": wind_field})  # in the recipe's order
    np.testing.assert_allclose(batch.table, inputs.transform(moved).table, atol=1e-4)
    assert not np.allclose(batch.table, inputs.transform(rows.take(order)).table, atol=0.1)


def test_inputs_that_change_places():
    rows = toy_pictures(40)
    rng = np.random.default_rng(2)
    rows = replace(rows, table=rows.table.assign(left_eye=rng.normal(size=40), right_eye=rng.normal(size=40) + 9))
    eyes = {
        "left_eye": NumberField(mirror=SwapWith(swap_with="right_eye"), scale="none"),
        "right_eye": NumberField(mirror=SwapWith(swap_with="left_eye"), scale="none"),
    }
    batch, order, maps = one_epoch(feed_of(rows, {"picture": ImageField(), "side": SIDE, **eyes}, {"mirror": 0.5}), 40)
    left, right = (rows.table[name].to_numpy()[order] for name in eyes)
    np.testing.assert_allclose(batch.table[:, 0], np.where(maps.mirrored, right, left), rtol=1e-5)
    np.testing.assert_allclose(batch.table[:, 1], np.where(maps.mirrored, left, right), rtol=1e-5)


def test_a_target_takes_the_value_of_the_field_it_changes_places_with():
    rows = toy_pictures(40)
    shade = rows.table["shade"].to_numpy()
    other = np.roll(shade, 1)
    rows = replace(
        rows,
        table=rows.table.assign(left=shade, right=other),
        classes={**rows.classes, ("left", "label"): ("bright", "dim"), ("right", "label"): ("bright", "dim")},
        digests={**rows.digests, "left": "l", "right": "r"},
    )
    fields = {
        "picture": ImageField(),
        "left": LabelField(target=True, mirror={"swap_with": "right"}),
        "right": LabelField(mirror={"swap_with": "left"}),
    }
    batch, order, maps = one_epoch(feed_of(rows, fields, {"mirror": 0.5}), 40)
    expected = np.where(maps.mirrored, other[order], shade[order]) == "dim"
    np.testing.assert_array_equal(batch.targets["left"], expected)
    given = np.where(maps.mirrored, shade[order], other[order])  # and the input has what was the target's
    assert len({(a, b) for a, b in zip(given, batch.categories[:, 0], strict=True)}) == 2


def test_rows_whose_inputs_have_no_mirror_image_are_not_mirrored():
    rows = toy_pictures(60)
    fields = {"picture": ImageField(), "side": SIDE, "shade": LabelField(mirror={"dim": "never"})}
    feed = feed_of(rows, fields, {"mirror": 1.0})
    _, order, maps = one_epoch(feed, 60)
    np.testing.assert_array_equal(maps.mirrored, rows.table["shade"].to_numpy()[order] == "bright")


def test_pictures_that_change_places():
    rows = toy_pictures(30)
    right = ArrayPictures(tuple(255 - one for one in rows.pictures["picture"].arrays))
    rows = replace(rows, pictures={"left": rows.pictures["picture"], "right": right})
    fields = {
        "left": ImageField(mirror=SwapWith(swap_with="right")),
        "right": ImageField(mirror=SwapWith(swap_with="left")),
        "side": SIDE,
    }
    batch, order, maps = one_epoch(feed_of(rows, fields, {"mirror": 0.5}), 30)
    assert 5 < maps.mirrored.sum() < 25
    for place, (row, mirrored) in enumerate(zip(order, maps.mirrored, strict=True)):
        for name, other in (("left", "right"), ("right", "left")):
            picture = rows.pictures[other if mirrored else name].arrays[row]
            np.testing.assert_array_equal(batch.pictures[name][place], picture[:, ::-1] if mirrored else picture)


def test_ids_of_a_mask_follow_the_mirror():
    rows = toy_pictures(30)
    ids = tuple(np.repeat([[1] * 6 + [2] * 6], 12, axis=0).astype(np.uint8)[:, :, None] for _ in range(30))
    rows = replace(rows, pictures={**rows.pictures, "organ": ArrayPictures(ids)})
    mask = MaskField(input=True, names={1: "left_lung", 2: "right_lung"}, mirror={"left_lung": "right_lung"})
    fields = {"picture": ImageField(), "organ": mask, "side": SIDE}
    batch, _, maps = one_epoch(feed_of(rows, fields, {"mirror": 0.5}), 30)
    assert 5 < maps.mirrored.sum() < 25
    for seen in batch.pictures["organ"]:  # left stays left, whichever way round the picture is
        np.testing.assert_array_equal(seen, ids[0])
    never = {**fields, "organ": mask.model_copy(update={"mirror": "never"})}
    assert not one_epoch(feed_of(rows, never, {"mirror": 1.0}), 30)[2].mirrored.any()


SHADES = ("bright", "dim")


def poison_case(name):
    """Rows, recipe, and the columns that scored rows must be able to hold anything in."""
    rows = toy_pictures(48)
    shade = rows.table["shade"].to_numpy()
    rows = replace(
        rows,
        table=rows.table.assign(left=shade, right=np.roll(shade, 1)),
        classes={**rows.classes, ("left", "label"): SHADES, ("right", "label"): SHADES},
        digests={**rows.digests, "left": "l", "right": "r"},
    )
    if name == "a field beside the target":
        left, right = LabelField(target=True, mirror={"swap_with": "right"}), GroupField()  # no input: read in training alone
        fields, augment, hidden = {"picture": ImageField(), "left": left, "right": right}, {"mirror": 0.5}, ("left", "right")
        tta = {}
    else:
        fields, augment, hidden = {"picture": ImageField(), "side": SIDE}, {"mirror": 0.5, "turn": 0.3}, ("side",)
        augment |= {"mixup": 0.4, "cutmix": 1.0, "balance": 0.5, "crop": 0.2, "noise": 0.1}
        tta = {"mirror": True, "turns": True, "draws": 2}
    return rows, toy_recipe(fields, (12, 12), augment=augment).model_copy(update={"tta": TtaConfig(**tta)}), hidden


@pytest.mark.parametrize("name", ["a field beside the target", "everything at once"])
def test_what_scored_rows_hold_cannot_matter(name):
    rows, recipe, hidden = poison_case(name)
    split = Split(0, 0, np.arange(12, 48), np.arange(12))
    clean, _ = run_trial(rows, make_trial(rows, recipe, split), "cpu", 1)
    table = rows.table.copy()
    for column in hidden:
        table.loc[split.test, column] = "poison"
    poisoned, _ = run_trial(replace(rows, table=table), make_trial(rows, recipe, split), "cpu", 1)
    target = recipe.target[0]
    assert clean.predictions[target].tobytes() == poisoned.predictions[target].tobytes()
    assert set(recipe.companions) == {"right"} & set(hidden)
