"""Mixup, cutmix and paste: shares that are true, pixels from where they should be, labels and boxes that follow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from tamesu.augment.mixing import blend, mix, mixing_mistakes
from tamesu.augment.paste import next_rows, paste_scene, scenes
from tamesu.config import AugmentConfig, StudyConfig
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import Boxes
from tamesu.losses import LOSSES, mixed_loss
from tamesu.mistakes import dotted

SIZE = (24, 32)


def draws_of(n: int, seed: int = 0, epoch: int = 0) -> Draws:
    return make_draws(row_keys(range(n)), seed, epoch)


def pictures_of(n: int, dtype: str = "uint8", c: int = 3) -> np.ndarray:
    rng = np.random.default_rng(n)
    high = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    return (rng.random((n, *SIZE, c)) * high).astype(dtype)


# ---- partners


@given(n=st.integers(2, 40), seed=st.integers(0, 2**31), shuffled=st.randoms())
@settings(max_examples=30, deadline=None)
def test_everybody_has_another_partner_however_the_batch_lies(n, seed, shuffled):
    draws = draws_of(n, seed)
    partner = next_rows(draws, "any")
    assert sorted(partner) == list(range(n))
    assert (partner != np.arange(n)).all()
    order = np.array(shuffled.sample(range(n), n))
    again = next_rows(Draws(draws.keys[order]), "any")
    np.testing.assert_array_equal(order[again], partner[order])


def test_a_row_alone_is_not_mixed():
    given_pictures = {"photo": pictures_of(1)}
    mixed = mix(given_pictures, {"photo": "image"}, AugmentConfig(mixup=1.0), draws_of(1))
    np.testing.assert_array_equal(mixed.pictures["photo"], given_pictures["photo"])
    assert mixed.share.tolist() == [1]
    assert mixed.partner.tolist() == [0]


# ---- mixup


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_mixup_is_the_mean_by_its_share(dtype):
    pictures = pictures_of(9, dtype)
    mixed = mix({"photo": pictures}, {"photo": "image"}, AugmentConfig(mixup=1.0), draws_of(9))
    share = mixed.share.astype(np.float64)[:, None, None, None]
    expected = share * pictures + (1 - share) * pictures[mixed.partner].astype(np.float64)
    assert mixed.pictures["photo"].dtype == pictures.dtype
    np.testing.assert_allclose(mixed.pictures["photo"], expected, atol=1e-6 if dtype == "float32" else 0.51)
    np.testing.assert_array_equal(pictures, pictures_of(9, dtype))  # what was given stays


@given(share=st.floats(0, 1, width=32), dtype=st.sampled_from(["uint8", "uint16", "float32"]))
@settings(max_examples=30, deadline=None)
def test_a_picture_mixed_with_itself_is_itself(share, dtype):
    picture = pictures_of(1, dtype)[0]
    np.testing.assert_array_equal(blend(picture, picture, np.float32(share)), picture)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha):
    n = 4000
    mixed = mix({"photo": np.zeros((n, 1, 1, 1), np.uint8)}, {"photo": "image"}, AugmentConfig(mixup=alpha), draws_of(n))
    assert kstest(mixed.share, beta(alpha, alpha).cdf).pvalue > 0.01


def test_a_mixed_row_does_not_depend_on_the_order_of_the_batch():
    pictures, draws, order = pictures_of(8), draws_of(8), np.random.default_rng(1).permutation(8)
    config = AugmentConfig(mixup=0.4, cutmix=1.0)
    one = mix({"photo": pictures}, {"photo": "image"}, config, draws)
    other = mix({"photo": pictures[order]}, {"photo": "image"}, config, Draws(draws.keys[order]))
    np.testing.assert_array_equal(other.pictures["photo"], one.pictures["photo"][order])
    np.testing.assert_array_equal(other.share, one.share[order])


def test_mixup_refuses_masks_and_mixes_tables():
    with pytest.raises(ValueError, match="mask"):
        mix({"mask": pictures_of(4, c=1)}, {"mask": "mask"}, AugmentConfig(mixup=1.0), draws_of(4))
    mixed = mix({"photo": pictures_of(4)}, {"photo": "image"}, AugmentConfig(mixup=1.0), draws_of(4))
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    expected = mixed.share[:, None] * table + (1 - mixed.share[:, None]) * table[mixed.partner]
    np.testing.assert_allclose(mixed.table(table), expected, rtol=1e-5)
    assert mixed.table(table).dtype == np.float32


# ---- cutmix


@given(seed=st.integers(0, 1000), alpha=st.sampled_from([0.3, 1.0, 5.0]))
@settings(max_examples=25, deadline=None)
def test_cutmix_cuts_one_rectangle_of_its_share_out_of_every_picture(seed, alpha):
    n = 6
    rows = np.arange(n)[:, None, None, None]
    pictures = {
        "photo": np.broadcast_to(rows, (n, *SIZE, 3)).astype(np.uint8),
        "mask": np.broadcast_to(rows, (n, *SIZE, 1)).astype(np.uint16),
        "depth": np.broadcast_to(rows, (n, *SIZE, 1)).astype(np.float32),
    }
    kinds = {"photo": "image", "mask": "mask", "depth": "depth"}
    mixed = mix(pictures, kinds, AugmentConfig(cutmix=alpha), draws_of(n, seed))
    for i in range(n):
        cut = mixed.pictures["photo"][i, :, :, 0] == mixed.partner[i]
        if mixed.partner[i] == i:
            assert mixed.share[i] == 1
            continue
        assert 1 - cut.mean() == pytest.approx(mixed.share[i], abs=1e-6)
        height, width = cut.any(axis=1).sum(), cut.any(axis=0).sum()
        assert height * width == cut.sum()
        for name, values in mixed.pictures.items():
            expected = np.broadcast_to(np.where(cut[:, :, None], mixed.partner[i], i), values[i].shape)
            np.testing.assert_array_equal(values[i], expected, err_msg=name)


def test_with_both_each_row_draws_which():
    n = 200
    pictures = {"photo": np.broadcast_to(np.arange(n)[:, None, None, None], (n, *SIZE, 1)).astype(np.float32)}
    mixed = mix(pictures, {"photo": "image"}, AugmentConfig(mixup=8.0, cutmix=8.0), draws_of(n))
    is_cut = np.array([len(np.unique(one)) == 2 for one in mixed.pictures["photo"]])
    assert 0.35 < is_cut.mean() < 0.65


def test_padding_is_its_own_partner():
    mixed = mix({"photo": pictures_of(5)}, {"photo": "image"}, AugmentConfig(mixup=1.0), draws_of(5))
    partner, share = mixed.padded(8)
    assert partner[5:].tolist() == [5, 6, 7]
    assert share[5:].tolist() == [1, 1, 1]
    assert (partner[:5] < 5).all()


# ---- the loss


RNG = np.random.default_rng(0)
N, K = 7, 4
LOSS_OF = {kind: next(iter(losses.values())) for kind, losses in LOSSES.items()}  # each kind's own
RAW = {"label": RNG.normal(size=(N, K)), "labels": RNG.normal(size=(N, K)), "number": RNG.normal(size=(N, 1))}
ENCODED = {"label": RNG.integers(0, K, N), "labels": RNG.integers(0, 2, (N, K)).astype(float), "number": RNG.normal(size=N)}
PARTNER, SHARE, WEIGHT = np.roll(np.arange(N), 1), RNG.random(N), np.array([1.0] * 5 + [0.0] * 2)


@pytest.mark.parametrize("kind", RAW)
def test_mixed_loss_is_the_same_in_numpy_and_torch_and_has_right_gradients(kind):
    torch = pytest.importorskip("torch")
    raw, rest = RAW[kind], (ENCODED[kind], PARTNER, SHARE, WEIGHT)
    options = {} if kind == "number" else {"label_smoothing": 0.1}
    ours = mixed_loss(LOSS_OF[kind], raw, *rest, np, **options)
    theirs = mixed_loss(LOSS_OF[kind], torch.from_numpy(raw), *map(torch.from_numpy, rest), torch, **options)
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    assert (ours[WEIGHT == 0] == 0).all()
    leaf = torch.tensor(raw, requires_grad=True)
    given = [torch.from_numpy(one) for one in rest]
    assert torch.autograd.gradcheck(lambda x: mixed_loss(LOSS_OF[kind], x, *given, torch), leaf)


@pytest.mark.parametrize("kind", RAW)
def test_a_row_that_is_all_its_own_or_all_its_partners(kind):
    loss, raw, encoded = LOSS_OF[kind], RAW[kind], ENCODED[kind]
    own = loss(raw, encoded, WEIGHT, np)
    np.testing.assert_array_equal(mixed_loss(loss, raw, encoded, PARTNER, np.ones(N), WEIGHT, np), own)
    np.testing.assert_array_equal(mixed_loss(loss, raw, encoded, None, None, WEIGHT, np), own)
    other = loss(raw, encoded[PARTNER], WEIGHT, np)
    np.testing.assert_array_equal(mixed_loss(loss, raw, encoded, PARTNER, np.zeros(N), WEIGHT, np), other)


def test_mixed_cross_entropy_is_that_of_mixed_classes():
    one_hot = np.eye(K)[ENCODED["label"]]
    mixed = SHARE[:, None] * one_hot + (1 - SHARE[:, None]) * one_hot[PARTNER]
    log_probability = RAW["label"] - np.log(np.exp(RAW["label"]).sum(axis=1, keepdims=True))
    ours = mixed_loss(LOSS_OF["label"], RAW["label"], ENCODED["label"], PARTNER, SHARE, np.ones(N), np)
    np.testing.assert_allclose(ours, -(mixed * log_probability).sum(axis=1))


# ---- paste

FIELDS = {
    "photo": {"kind": "image"},
    "mask": {"kind": "mask", "of": "photo", "names": {0: "ground", 1: "cup", 2: "dog"}},
    "depth": {"kind": "depth", "of": "photo"},
    "boxes": {
        "kind": "boxes",
        "of": "photo",
        "table": {"file": "b.csv", "key": "k", "columns": ["a", "b", "c", "d"], "name": "n"},
    },
    "found": {"kind": "labels", "target": True},
}
CLASSES = ("bird", "cup", "dog")


def study(fields: dict, **augment: float) -> StudyConfig:
    return StudyConfig.model_validate({"fields": fields, "augment": augment})


def boxes_of(*given: Boxes) -> np.ndarray:
    out = np.empty(len(given), dtype=object)
    out[:] = given
    return out


def two_rows() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A row with a dog on the left, and one with a large cup in the middle that covers most of where the dog was."""
    mask = np.zeros((2, *SIZE, 1), np.uint8)
    mask[0, 8:14, 6:12] = 2
    mask[1, 4:20, 7:25] = 1
    pictures = {
        "photo": pictures_of(2),
        "mask": mask,
        "depth": pictures_of(2, "float32", 1),
    }
    boxes = boxes_of(Boxes(np.array([[6.0, 8, 12, 14]]), ("dog",)), Boxes(np.array([[7.0, 4, 25, 20]]), ("cup",)))
    return pictures, {"boxes": boxes}


def test_scenes_are_pictures_with_what_lies_on_them():
    scene = scenes(study(FIELDS).fields)[0]
    assert (scene.cutter, scene.names) == ("mask", {1: "cup", 2: "dog"})
    assert (scene.images, scene.exact, scene.boxes) == (("photo",), ("mask", "depth"), ("boxes",))
    only_boxes = scenes(study({name: FIELDS[name] for name in ("photo", "boxes")}).fields)[0]
    assert (only_boxes.cutter, only_boxes.names) == ("boxes", {})
    assert scenes(study({"photo": FIELDS["photo"], "mask": {"kind": "mask"}}).fields) == []


@pytest.mark.parametrize("cutter", ["mask", "boxes"])
def test_pasted_objects_bring_pixels_ids_depths_boxes_and_labels(cutter):
    pictures, boxes = two_rows()
    fields = FIELDS if cutter == "mask" else {name: one for name, one in FIELDS.items() if name != "mask"}
    given = {name: values for name, values in pictures.items() if name in fields}
    pasted = paste_scene(scenes(study(fields).fields)[0], given, boxes, 1.0, draws_of(2))
    cup = pictures["mask"][1, :, :, 0] == 1
    inner = np.zeros_like(cup)
    inner[5:19, 8:24] = True  # a pixel further in
    photo = pasted.pictures["photo"]
    np.testing.assert_array_equal(photo[0][inner], pictures["photo"][1][inner])
    np.testing.assert_array_equal(photo[0][~cup], pictures["photo"][0][~cup])
    assert not np.array_equal(photo[0][cup & ~inner], pictures["photo"][1][cup & ~inner])  # the edge is blended
    np.testing.assert_array_equal(
        pasted.pictures["depth"][0], np.where(cup[:, :, None], pictures["depth"][1], pictures["depth"][0])
    )
    if cutter == "mask":
        np.testing.assert_array_equal(pasted.pictures["mask"][0], np.where(cup[:, :, None], 1, pictures["mask"][0]))
    # 5 of the dog's 6 columns are under the cup: the dog is gone; the dog pasted on the cup leaves it seen
    assert (pasted.added, pasted.hidden) == ([{"cup"}, {"dog"}], [{"dog"}, frozenset()])
    assert pasted.boxes["boxes"][0].names == ("cup",)
    assert pasted.boxes["boxes"][1].names == ("cup", "dog")
    np.testing.assert_array_equal(pasted.boxes["boxes"][1].edges, [[7, 4, 25, 20], [6, 8, 12, 14]])
    encoded = np.array([[1, 0, 1], [0, 1, 0]], dtype=np.float32)  # a bird that no mask shows stays
    assert pasted.labels(encoded, CLASSES).tolist() == [[1, 1, 0], [0, 1, 1]]
    assert encoded.tolist() == [[1, 0, 1], [0, 1, 0]]
    original, _ = two_rows()
    for name, values in given.items():
        np.testing.assert_array_equal(values, original[name])


def test_nothing_is_pasted_without_objects_or_chance():
    pictures, boxes = two_rows()
    scene = scenes(study(FIELDS).fields)[0]
    never = paste_scene(scene, pictures, boxes, 0.0, draws_of(2))
    bare = pictures | {"mask": np.zeros_like(pictures["mask"])}
    empty = paste_scene(scene, bare, boxes, 1.0, draws_of(2))
    for pasted in (never, empty):
        np.testing.assert_array_equal(pasted.pictures["photo"], pictures["photo"])
        assert pasted.added == [frozenset()] * 2
        assert pasted.boxes["boxes"][0].names == ("dog",)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_pasted_pixels_are_the_partners_and_the_mask_tells_which(seed):
    n = 5
    rng = np.random.default_rng(seed)
    pictures = {
        "photo": pictures_of(n, "uint16"),
        "mask": rng.integers(0, 3, (n, 4, 4, 1)).repeat(6, 1).repeat(8, 2).astype(np.uint8),
    }
    scene = scenes(study({name: FIELDS[name] for name in pictures}).fields)[0]
    draws = draws_of(n, seed)
    pasted = paste_scene(scene, pictures, {}, 0.7, draws)
    partner = next_rows(draws, "paste_order")
    for i in range(n):
        taken = np.isin(pictures["mask"][partner[i]], [k for k, name in scene.names.items() if name in pasted.added[i]])
        np.testing.assert_array_equal(
            pasted.pictures["mask"][i], np.where(taken, pictures["mask"][partner[i]], pictures["mask"][i])
        )
        outside = ~taken[:, :, 0]
        np.testing.assert_array_equal(pasted.pictures["photo"][i][outside], pictures["photo"][i][outside])
        between = np.minimum(pictures["photo"][i], pictures["photo"][partner[i]]) <= pasted.pictures["photo"][i]
        assert between.all()
        for name in pasted.hidden[i]:
            number = next(k for k, one in scene.names.items() if one == name)
            assert (pasted.pictures["mask"][i] == number).sum() < 0.25 * (pictures["mask"][i] == number).sum()


def test_boxes_without_names_and_boxes_of_no_pixels():
    fields = {"photo": FIELDS["photo"], "boxes": {"kind": "boxes"}}
    boxes = boxes_of(Boxes(np.array([[2.0, 2, 2.2, 2.2]])), Boxes(np.array([[10.0, 10, 20, 20]])))
    pasted = paste_scene(scenes(study(fields).fields)[0], {"photo": pictures_of(2)}, {"boxes": boxes}, 1.0, draws_of(2))
    np.testing.assert_array_equal(pasted.boxes["boxes"][0].edges, [[2, 2, 2.2, 2.2], [10, 10, 20, 20]])
    assert pasted.boxes["boxes"][0].names == ()
    np.testing.assert_array_equal(pasted.boxes["boxes"][1].edges, [[10, 10, 20, 20]])  # nothing to cut out of the other
    assert pasted.added == [frozenset()] * 2


# ---- what a study may not mix


LABEL = {"kind": "label", "target": True, "mirror": "same"}


@pytest.mark.parametrize(
    ("fields", "augment", "expected"),
    [
        ({"photo": {"kind": "image"}, "y": LABEL}, {"mixup": 0.2, "cutmix": 1.0, "balance": 0.5}, []),
        ({"x": {"kind": "number"}, "y": LABEL}, {"mixup": 0.2, "cutmix": 1.0}, ["mixup: 0 without", "cutmix: 0 without"]),
        (
            {"photo": {"kind": "image"}, "m": {"kind": "mask", "input": True}, "y": LABEL},
            {"mixup": 0.2, "cutmix": 1.0},
            ["mixup: 0 where a mask"],
        ),
        ({"photo": {"kind": "image"}, "d": {"kind": "depth"}, "y": LABEL}, {"mixup": 0.2}, ["mixup: 0 where a depth"]),
        (
            {"photo": {"kind": "image"}, "y": {"kind": "points", "target": True, "names": ["eye"]}},
            {"mixup": 0.2, "cutmix": 0.2, "paste": 0.5, "balance": 0.5},
            [
                "mixup: 0 where the target 'y'",
                "cutmix: 0 where the target 'y'",
                "paste: 0 without",
                "balance: 0 where",
            ],
        ),
        ({"photo": {"kind": "image"}, "s": {"kind": "series"}, "y": LABEL}, {"cutmix": 0.2}, ["cutmix: 0 where a series"]),
        ({"photo": {"kind": "image"}, "y": LABEL}, {"paste": 0.2}, ["paste: 0 without a mask"]),
        ({"photo": {"kind": "image"}, "m": {"kind": "mask"}, "y": LABEL}, {"paste": 0.2}, ["paste: 0 without a mask"]),
        (FIELDS, {"paste": 0.2}, []),
        (FIELDS | {"found": LABEL}, {"paste": 0.2}, ["paste: 0 where the target 'found' does not say"]),
        (FIELDS | {"found": LABEL | {"pasted": "same"}}, {"paste": 0.2}, []),
        (FIELDS | {"found": {"kind": "number", "target": True, "pasted": "same"}}, {"paste": 0.2}, []),
        (FIELDS | {"depth": {"kind": "depth"}}, {"paste": 0.2}, ["of: must name the picture"]),
        (
            {"photo": {"kind": "image"}, "b": {"kind": "boxes"}, "y": {"kind": "labels", "target": True}},
            {"paste": 0.2},
            ["paste: 0 where the boxes 'b'"],
        ),
        ({"photo": {"kind": "image"}, "y": {"kind": "number", "target": True}}, {"balance": 0.2}, ["balance: 0 where"]),
    ],
)
def test_what_cannot_be_mixed_is_said(fields, augment, expected):
    told = [f"{dotted(one.path)}: {one.text.replace('must be ', '')}" for one in mixing_mistakes(study(fields, **augment))]
    assert len(told) == len(expected), told
    for text, start in zip(told, expected, strict=True):
        assert start in text
