"""Masks, depth and boxes predicted beside a target: encoded as the picture is seen, decoded on a coarse grid."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamesu.data import read_data  # noqa: E402
from tamesu.document import config_from_mapping  # noqa: E402
from tamesu.errors import ConfigError  # noqa: E402
from tamesu.fields import Boxes, BoxesField, DepthField, MaskField  # noqa: E402
from tamesu.learners.base import load_fitted  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.recipe import make_recipe  # noqa: E402
from tamesu.targets import make_target, target_from_json  # noqa: E402
from tamesu.targets.maps import DepthTarget, MaskTarget, encode_maps, grid_of  # noqa: E402


def test_grids_are_coarse_and_keep_their_shape():
    assert grid_of((16, 16)) == (16, 16)
    assert grid_of((96, 48)) == (24, 12)
    assert grid_of((500, 3)) == (24, 1)


def test_a_place_holds_the_pixel_in_its_middle():
    seen = np.arange(48 * 48).reshape(1, 48, 48, 1)
    found = encode_maps(MaskField(), seen, (24, 24))
    assert np.array_equal(found[0], seen[0, 1::2, 1::2, 0])


def test_mirroring_a_mask_mirrors_what_is_encoded():
    seen = np.random.default_rng(0).integers(0, 3, size=(2, 24, 24, 1))
    target = MaskTarget("m", MaskField(aux=0.3), (), (0, 1))
    assert np.array_equal(target.encode_seen(seen[:, :, ::-1]), target.encode_seen(seen)[:, :, ::-1])
    assert set(np.unique(target.encode_seen(seen))) == {-1, 0, 1}  # id 2 is not one of training's


def test_depth_without_a_reading_is_unknown_and_the_rest_standardised():
    target = DepthTarget("d", DepthField(aux=0.3), (), 2.0, 0.5)
    seen = np.full((1, 8, 8, 1), 3.0, dtype=np.float32)
    seen[0, :4] = 0
    encoded = target.encode_seen(seen)
    assert np.isnan(encoded[0, :4]).all()
    assert (encoded[0, 4:] == 2).all()
    assert np.allclose(target.decode(encoded[..., None], np)[0, 4:], 3)


def test_boxes_are_counted_by_class():
    target = make_target("b", BoxesField(aux=0.3, mirror={"l": "r"}), ("l", "r"))
    box = np.zeros((1, 4))
    values = np.empty(3, dtype=object)
    values[:] = [
        Boxes(np.zeros((0, 4)), ()),
        Boxes(box, ("l",)),
        Boxes(np.zeros((3, 4)), ("l", "r", "r")),
    ]
    target = target.fit(values)
    encoded = target.encode(values)
    assert np.allclose(np.expm1(target.decode(encoded, np)), [[0, 0], [1, 0], [1, 2]])
    again = target_from_json(target.to_json())
    assert np.array_equal(again.encode(values), encoded)


def pictures(n=16, side=16):
    rng = np.random.default_rng(0)
    mask = np.zeros((n, side, side), dtype=np.uint8)
    mask[:, 4:12, 4:12] = 1
    mask[::2, 8:] = 2
    depth = rng.integers(500, 2000, size=(n, side, side)).astype(np.uint16)
    depth[:, :3] = 0
    photo = (mask[..., None] * 60 + rng.integers(0, 40, size=(n, side, side, 3))).astype(np.uint8)
    return photo, mask, depth


FIELDS = {
    "photo": {"kind": "image"},
    "mask": {"kind": "mask", "aux": 0.5, "mirror": "same"},
    "depth": {"kind": "depth", "of": "photo", "aux": 0.5},
    "y": {"kind": "label", "target": True, "mirror": "same"},
}


def study(tmp_path, **more):
    photo, mask, depth = pictures()
    raw = {"name": "s", "fields": FIELDS, "size": 16, "train": {"epochs": 2, "batch_size": 8, "report": True}, **more}
    config = config_from_mapping(raw)
    versions = {name: [one] for name, one in config.fields.items()}
    table = {"photo": photo, "mask": mask, "depth": depth, "y": np.array(["a", "b"] * 8, dtype=object)}
    data = read_data(config, versions, base=tmp_path, cache=tmp_path / "cache", train=table)
    return data.train, make_recipe(config, (16, 16))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"augment": {"mirror": 0.5, "rotate_deg": 10}},
        {"augment": {"mixup": 0.4}},
        {"train": {"epochs": 2, "report": False}},
    ],
)
def test_maps_are_learnt_beside_a_class_and_not_asked_for(tmp_path, more):
    rows, recipe = study(tmp_path, **more)
    assert set(recipe.inputs) == {"photo"}
    fitted = TorchLearner().fit(rows, recipe, 0)
    assert fitted.targets["mask"].ids == (0, 1, 2)
    assert 0.5 < fitted.targets["depth"].mean < 2  # metres
    scored = rows.without(["mask", "depth", "y"])
    found = fitted.predict(scored)
    assert set(found) == {"y"}
    fitted.save(tmp_path / "model")
    assert np.array_equal(load_fitted(tmp_path / "model").predict(scored)["y"], found["y"])
    if recipe.train.report:
        assert set(fitted.log[0]["heads"]) == {"mask", "depth", "y"}


def test_a_decoder_learns_where_things_are(tmp_path):
    rows, recipe = study(tmp_path, train={"epochs": 12, "batch_size": 8, "report": True})
    log = TorchLearner().fit(rows, recipe, 0).log
    assert log[-1]["heads"]["mask"]["loss"] < 0.5 * log[0]["heads"]["mask"]["loss"]


def test_a_backbone_of_timm_shows_its_last_map(tmp_path):
    pytest.importorskip("timm")
    rows, recipe = study(tmp_path, model={"backbone": "timm:resnet10t"}, train={"epochs": 1})
    assert set(TorchLearner().fit(rows, recipe, 0).predict(rows)) == {"y"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mask": {"kind": "mask", "target": True}}, "fields.mask.kind: must be"),
        ({"mask": {"kind": "mask", "aux": 0.3, "input": True}}, "fields.mask.input: must be false where aux is given"),
        ({"photo": {"kind": "ignore"}, "x": {"kind": "number"}}, "fields.depth.aux: must come with a picture that is given"),
    ],
)
def test_what_cannot_be_is_told(change, text):
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"name": "s", "fields": {**FIELDS, **change}})
    assert any(text in one for one in caught.value.mistakes), caught.value.mistakes
