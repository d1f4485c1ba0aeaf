"""Batches: every row once, one shape, draws by row, threads that end and errors that surface."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from tamesu.batches import make_batches
from tamesu.errors import ConfigError
from tamesu.feed import make_feed
from tamesu.fields import ImageField, LabelField, LabelsField, NumberField
from tamesu.pixels import fit_pixels
from tamesu.preprocess import fit_inputs
from tamesu.targets import make_target
from tamesu.testing import ArrayPictures, toy_pictures, toy_recipe

SWAP = {"left": "right"}


def make_toy_feed(n=49, *, augment=None, fields=None, size=(12, 12), training=True, rows=None):
    rows = toy_pictures(n) if rows is None else rows
    fields = fields or {"picture": ImageField(), "side": LabelField(target=True, mirror=SWAP)}
    recipe = toy_recipe(fields, size, augment=augment or {})
    inputs = fit_inputs(rows, {k: f for k, f in recipe.inputs.items() if not isinstance(f, ImageField)})
    targets = {k: make_target(k, f, rows.classes.get((k, f.kind), ())) for k, f in recipe.targets.items()} if training else {}
    targets = {k: target.fit(rows.values(k, target.field)) for k, target in targets.items()}
    return make_feed(rows, recipe, inputs, targets)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 64])
@pytest.mark.parametrize("epoch", [None, 0])
def test_every_row_once_in_batches_of_one_shape(n, epoch):
    feed = make_toy_feed(n)
    batches = list(make_batches(feed, 16, epoch=epoch))
    rows = np.concatenate([batch.rows[: batch.n_real] for batch in batches])
    assert sorted(rows) == list(range(n))
    sizes = [batch.n_real for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert len(batches) == -(-n // 16)
    for batch in batches:
        assert batch.pictures["picture"].shape == (16, 12, 12, 1)
        assert batch.targets["side"].shape == batch.weight.shape == (16,)
        assert (batch.weight[: batch.n_real] == 1).all()
        assert (batch.weight[batch.n_real :] == 0).all()
        assert (batch.rows[batch.n_real :] == -1).all()
    if epoch is None:
        np.testing.assert_array_equal(rows, np.arange(n))


def test_no_rows_are_no_batches():
    feed = make_toy_feed(5)
    empty = replace(feed, keys=feed.keys[:0])
    assert list(make_batches(empty, 16)) == []


def test_scoring_batches_are_plain():
    rows = toy_pictures(20)
    feed = make_toy_feed(rows=rows, augment={"mirror": 0.5, "rotate_deg": 30, "noise": 0.1}, training=False)
    got = np.concatenate([batch.pictures["picture"][: batch.n_real] for batch in make_batches(feed, 8)])
    np.testing.assert_array_equal(got, rows.pictures["picture"].read_many(np.arange(20), (12, 12)))


AUGMENT = {"mirror": 0.5, "rotate_deg": 10, "scale": 0.1, "brightness": 0.1, "contrast": 0.1, "noise": 0.05, "erase": 0.3}


def by_id(rows, batches, name="picture"):
    return {
        rows.ids[row]: (batch.pictures[name][i], batch.targets["side"][i])
        for batch in batches
        for i, row in enumerate(batch.rows[: batch.n_real])
    }


def test_a_rows_draws_are_its_own_whatever_the_batch_the_threads_or_the_other_rows():
    rows = toy_pictures(40)
    some = rows.take(np.array([31, 2, 17, 5]))
    whole = by_id(rows, make_batches(make_toy_feed(rows=rows, augment=AUGMENT), 16, epoch=3, seed=7, n_threads=3))
    part = by_id(some, make_batches(make_toy_feed(rows=some, augment=AUGMENT), 3, epoch=3, seed=7, n_threads=0))
    for name, (picture, code) in part.items():
        np.testing.assert_array_equal(picture, whole[name][0])
        assert code == whole[name][1]


def test_epochs_and_seeds_differ():
    rows = toy_pictures(40)
    feed = make_toy_feed(rows=rows, augment=AUGMENT)
    first, again, epoch, seed = (
        next(iter(make_batches(feed, 40, epoch=e, seed=s))) for e, s in [(0, 0), (0, 0), (1, 0), (0, 1)]
    )
    np.testing.assert_array_equal(first.pictures["picture"], again.pictures["picture"])
    for other in (epoch, seed):
        assert not np.array_equal(first.rows, other.rows)
        assert not np.array_equal(first.pictures["picture"], other.pictures["picture"])


def brighter_side(pictures: np.ndarray) -> np.ndarray:
    half = pictures.shape[2] // 2
    return (pictures[:, :, half:].mean(axis=(1, 2, 3)) > pictures[:, :, :half].mean(axis=(1, 2, 3))).astype(int)


@pytest.mark.parametrize("mirror", [SWAP, {"left": "right", "right": "left"}, {"left": "never"}, "never"])
def test_the_label_follows_the_mirror(mirror):
    fields = {"picture": ImageField(), "side": LabelField(target=True, mirror=mirror)}
    rows = toy_pictures(60)
    feed = make_toy_feed(rows=rows, augment={"mirror": 1.0, "translate": 0}, fields=fields)
    (batch,) = make_batches(feed, 60, epoch=0)
    moved = brighter_side(batch.pictures["picture"])
    if mirror == {"left": "never"}:  # the right ones are mirrored and, as nothing else is said, stay "right"
        before = feed.encoded["side"][batch.rows]
        np.testing.assert_array_equal(moved, 0)
        np.testing.assert_array_equal(batch.targets["side"], before)
    else:
        np.testing.assert_array_equal(batch.targets["side"], moved)
        was_moved = moved != feed.encoded["side"][batch.rows]
        assert was_moved.all() == (mirror != "never")


def test_a_target_that_is_mute_about_mirrors_is_refused():
    fields = {"picture": ImageField(), "side": LabelField(target=True)}
    with pytest.raises(ConfigError, match=r"fields.side.mirror must say .* `same`, `{a: b}` \(a number: `negate`\) or `never`"):
        make_toy_feed(augment={"mirror": 0.5}, fields=fields)
    make_toy_feed(augment={"mirror": 0.5}, fields=fields, training=False)  # scored rows are not mirrored


def test_inputs_follow_the_mirror():
    fields = {
        "picture": ImageField(),
        "both": LabelsField(target=True, mirror=SWAP),
        "side": LabelField(mirror=SWAP),
        "share": NumberField(mirror="negate", scale="none"),
    }
    rows = toy_pictures(40)
    feed = make_toy_feed(rows=rows, augment={"mirror": 0.5, "translate": 0}, fields=fields)
    (batch,) = make_batches(feed, 40, epoch=0)
    mirrored = brighter_side(batch.pictures["picture"]) != brighter_side(
        rows.pictures["picture"].read_many(batch.rows, (12, 12))
    )
    assert 5 < mirrored.sum() < 35
    share = rows.table["share"].to_numpy()[batch.rows]
    np.testing.assert_allclose(batch.table[:, 0], np.where(mirrored, -share, share), rtol=1e-5)
    codes = feed.inputs.categories[batch.rows, 0]
    np.testing.assert_array_equal(batch.categories[:, 0] != codes, mirrored)


def test_pictures_of_many_sizes_come_at_one():
    rng = np.random.default_rng(0)
    arrays = tuple(rng.integers(0, 255, (h, w, 3), dtype=np.uint8) for h, w in [(12, 12), (20, 13), (8, 30), (40, 40)])
    rows = replace(toy_pictures(4), pictures={"picture": ArrayPictures(arrays)})
    for augment in ({}, {"rotate_deg": 5}):
        for epoch in (None, 0):
            (batch,) = make_batches(make_toy_feed(rows=rows, augment=augment), 4, epoch=epoch)
            assert batch.pictures["picture"].shape == (4, 12, 12, 3)


class Broken(ArrayPictures):
    def read_many(self, index, size):
        raise OSError("the disk is gone")


def test_errors_in_a_thread_surface():
    rows = toy_pictures(40)
    rows = replace(rows, pictures={"picture": Broken(rows.pictures["picture"].arrays)})
    with pytest.raises(OSError, match="the disk is gone"):
        list(make_batches(make_toy_feed(rows=rows), 4))


def test_closing_early_stops_the_threads():
    def running():
        return [thread for thread in threading.enumerate() if thread.name.startswith("tamesu-batches")]

    batches = make_batches(make_toy_feed(200), 4, n_threads=2)
    next(batches)
    assert running()
    batches.close()
    assert not running()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pixels_are_those_of_the_rows_given(dtype):
    rows = toy_pictures(50, channels=2, dtype=dtype)
    everything = rows.pictures["picture"].read_many(np.arange(50), (12, 12)).astype(float)
    fitted = fit_pixels(make_toy_feed(rows=rows, augment={"noise": 0.5}))["picture"]
    np.testing.assert_allclose(fitted.mean, everything.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(fitted.std, everything.std(axis=(0, 1, 2)), rtol=1e-5)
    assert fitted.high == (everything.max() if dtype == "float32" else np.iinfo(dtype).max)


def test_a_channel_that_never_changes_is_not_blown_up():
    rows = replace(toy_pictures(9), pictures={"picture": ArrayPictures((np.full((12, 12, 1), 7, np.uint8),) * 9)})
    assert fit_pixels(make_toy_feed(rows=rows))["picture"].std.tolist() == [1.0]
