"""Sizes: planted ones are found, clean sets give nothing, receptive fields are those that were published."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tamesu.config import ModelConfig, StudyConfig
from tamesu.document import config_from_mapping
from tamesu.look import sizes as sizes_module
from tamesu.look.columns import read_column
from tamesu.look.material import Material, Objects, PictureFacts
from tamesu.look.receptive import Reach, UnknownFieldError
from tamesu.look.sizes import find_sizes, make_frame

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIELDS = {"file": {"kind": "image"}, "what": {"kind": "label", "target": True}, "cells": {"kind": "boxes"}}


def facts_of(heights, widths, *, kind="image", paths=None, field="file"):
    n = len(heights)
    text = np.array([""] * n, dtype=object)
    return PictureFacts(
        field=field,
        kind=kind,
        names=text,
        paths=text if paths is None else np.array([str(one) for one in paths], dtype=object),
        status=np.array(["" if h > 0 else "missing" for h in heights], dtype=object),
        heights=np.asarray(heights, dtype=np.int32),
        widths=np.asarray(widths, dtype=np.int32),
        properties={},
        flags={},
        file_digests=np.zeros(n, dtype=np.uint64),
        pixel_digests=np.zeros(n, dtype=np.uint64),
        hashes=np.zeros(n, dtype=np.uint64),
        embedding=np.zeros((n, 0), dtype=np.float32),
        n_structure=0,
    )


def boxes_of(edges, names=None, rows=None, **known):
    edges = np.asarray(edges, dtype=np.float64).reshape(-1, 4)
    codes, classes = pd.factorize(np.array(names if names is not None else [None] * len(edges), dtype=object), sort=True)
    return Objects(
        field="cells",
        picture="file",
        rows=np.arange(len(edges)) if rows is None else np.asarray(rows),
        heights=edges[:, 3] - edges[:, 1],
        widths=edges[:, 2] - edges[:, 0],
        codes=codes.astype(np.int64),
        classes=tuple(map(str, classes)),
        edges=edges,
        **known,
    )


def material_of(facts, objects=None, **settings):
    n = 0 if facts is None else len(facts.heights)
    config = StudyConfig.model_validate({"fields": FIELDS, "learner": "none_of_ours", **settings})
    return Material(
        name="study",
        ids=np.array([f"r{i}" for i in range(n)], dtype=object),
        table=np.zeros(n, dtype=np.int8),
        columns={"what": read_column(pd.Series(["x"] * n, dtype=object), "what")},
        row_digests=np.arange(n, dtype=np.uint64),
        pictures={} if facts is None else {"file": facts},
        objects={} if objects is None else {"cells": objects},
        config=config,
    )


def sentences(material):
    part = find_sizes(material)
    assert json.dumps(part.figures, allow_nan=False)
    for one in part.findings:
        assert one.kind == "size"
        assert 0 < one.strength <= 1
        assert one.suggestion.yaml()
        assert json.dumps(one.as_dict(), allow_nan=False)
        patch = dict(one.suggestion.patch)
        if patch:
            body = {"ideas": {one.suggestion.idea: patch}} if one.suggestion.idea else {}
            fields = FIELDS | patch.get("fields", {})
            config_from_mapping({"fields": fields} | body)
    return [one.sentence for one in part.findings]


@pytest.mark.parametrize("size", ["auto", 32, (48, 64)])
def test_pictures_of_one_size_give_nothing(size):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 30, (2, 200))
    w, h = rng.uniform(20, 30, (2, 200))
    facts = facts_of([60] * 200, [80] * 200)
    assert sentences(material_of(facts, boxes_of(np.stack([x, y, x + w, y + h], axis=1), ["a", "b"] * 100), size=size)) == []


def test_sizes_that_vary_a_little_give_nothing():
    rng = np.random.default_rng(1)
    heights, widths = rng.integers(50, 90, (2, 300))
    assert sentences(material_of(facts_of(heights, widths))) == []


def test_without_pictures_it_says_nothing():
    assert find_sizes(material_of(None)).findings == ()
    assert sentences(material_of(facts_of([0, 0], [0, 0]))) == []


def test_few_pictures_of_another_size():
    heights = [64] * 200
    heights[7] = heights[90] = 16
    part = find_sizes(material_of(facts_of(heights, [64] * 200)))
    assert part.findings[0].rows == ("r7", "r90")
    assert "2 of 200" in part.findings[0].sentence


def test_sizes_far_apart():
    heights = np.geomspace(16, 256, 100).astype(int)
    (text, *_) = sentences(material_of(facts_of(heights, heights)))
    assert "factor" in text


def test_pictures_that_stretch_deforms():
    facts = facts_of([60] * 100, [120] * 100)
    (text,) = sentences(material_of(facts, size=32))
    assert "100 %" in text
    assert "2.0 times" in text
    for resize in ("pad", "crop"):
        assert sentences(material_of(facts, size=32, resize=resize)) == []


def test_a_size_above_that_of_the_pictures():
    (finding,) = find_sizes(material_of(facts_of([32] * 50, [32] * 50), size=64)).findings
    assert "enlarges" in finding.sentence
    assert finding.suggestion.patch == {"size": 32}
    assert "0.25 times" in finding.suggestion.note


def test_wrong_boxes_are_told_apart():
    edges = [[1, 1, 30, 30]] * 20 + [[5, 5, 5, 9], [20, 20, 10, 30], [50, 50, 90, 60], [np.nan, 1, 2, 3]]
    material = material_of(facts_of([64] * 24, [64] * 24), boxes_of(edges))
    found = find_sizes(material).findings
    assert [one.rows for one in found] == [("r20",), ("r21",), ("r22",)]
    assert found[0].suggestion.patch == {"fields": {"cells": {"kind": "boxes", "drop_empty": True}}}
    assert [text.split(":")[1].strip() for text in sentences(material)] == [
        "boxes without an area",
        "boxes that end before they start",
        "boxes that reach outside their picture",
    ]


def test_objects_too_small_at_size_lead_to_a_larger_one():
    edges = [[0, 0, 10 + i % 3, 10] for i in range(60)]
    (finding,) = find_sizes(material_of(facts_of([128] * 60, [128] * 60), boxes_of(edges, ["speck"] * 60), size=32)).findings
    assert "speck" in finding.sentence
    assert finding.labels == ("speck",)
    assert finding.strength > 0.6
    assert finding.suggestion.patch == {"size": 128}
    assert "16.0 times" in finding.suggestion.note


def test_frames_are_those_of_the_geometry():
    frame = make_frame(StudyConfig.model_validate({"fields": FIELDS}), facts_of([480] * 3, [640] * 3))
    assert frame.size == (72, 96)
    assert frame.is_auto
    for resize, wanted in (("stretch", (0.5, 0.25)), ("pad", (0.25, 0.25)), ("crop", (0.5, 0.5))):
        one = make_frame(StudyConfig.model_validate({"fields": FIELDS, "size": 32, "resize": resize}), facts_of([64], [128]))
        assert tuple(float(scale[0]) for scale in one.scales(np.array([64]), np.array([128]))) == wanted


def reaching(monkeypatch, reach, **settings):
    def given(model, size):
        if isinstance(reach, Exception):
            raise reach
        return reach

    monkeypatch.setattr(sizes_module, "receptive_field", given)
    return find_sizes(material_of(facts_of([64] * 20, [64] * 20), learner="torch", **settings))


def test_a_network_that_sees_too_little_or_too_coarsely(monkeypatch):
    assert reaching(monkeypatch, Reach(95, 16)).findings == ()
    assert reaching(monkeypatch, Reach(1, 1, whole=True)).findings == ()
    (narrow,) = reaching(monkeypatch, Reach(9, 4)).findings
    assert narrow.suggestion.patch == {"model": {"depth": 2}}
    assert "9 px" in narrow.sentence
    (coarse,) = reaching(monkeypatch, Reach(435, 64)).findings
    assert coarse.suggestion.patch == {"size": 128}
    part = reaching(monkeypatch, UnknownFieldError("no torch"))
    assert part.findings == ()
    assert "no torch" in part.warnings[0]


def test_receptive_fields_are_those_published():
    pytest.importorskip("torch")
    from tamesu.look.receptive import reach_of, receptive_field
    from tamesu.nets.tiny import Block

    assert Reach().through(3, 1).through(3, 1).px == 5
    assert Reach().through(3, 1, 2).px == 5
    assert reach_of(Block(4, 8, 2, "relu")) == Reach(7, 2)  # a shortcut beside the convolutions, not behind them
    assert receptive_field(ModelConfig(), (64, 64)) == Reach(95, 16)
    assert receptive_field(ModelConfig(depth=2), (64, 64)).px > 95
    with pytest.raises(UnknownFieldError):
        receptive_field(ModelConfig(backbone="nowhere:at_all"), (64, 64))
    pytest.importorskip("timm")
    # Araujo, Norris & Sim (2019), table 1; torchvision's and timm's ResNet-18 is v1
    assert receptive_field(ModelConfig(backbone="timm:resnet18", weights="hub"), (64, 64)) == Reach(435, 32)
    assert receptive_field(ModelConfig(backbone="timm:vit_tiny_patch16_224"), (64, 64)).whole


def pixels_that_matter(network, size):
    """The side of the square of input pixels on which the middle number of the last map depends."""
    import torch

    picture = torch.rand(1, 3, size, size, requires_grad=True)
    out = network(picture)
    out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
    rows = picture.grad.abs().sum(dim=(0, 1, 3)).nonzero().ravel()
    return int(rows.max() - rows.min()) + 1


def test_a_receptive_field_is_where_gradients_come_from():
    torch = pytest.importorskip("torch")
    from torch import nn

    from tamesu.look.receptive import reach_of

    torch.manual_seed(0)
    for layers in (
        [nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 5, 1, 2), nn.AvgPool2d(2)],
        [nn.Conv2d(3, 4, 7, 2), nn.AvgPool2d(3, 2), nn.Conv2d(4, 4, 3, dilation=2)],
    ):
        network = nn.Sequential(*layers)
        assert reach_of(network).px == pixels_that_matter(network, 96)


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_any_objects(n):
    assert sentences(material_of(facts_of([64] * 3, [64] * 3), boxes_of([[0, 0, 9, 9]] * n, unread=(2,)))) == []


@pytest.mark.skipif(not (DATA / "bccd_cells").exists(), reason="bccd_cells is not there")
def test_blood_cells_of_three_sizes_and_the_box_of_no_area():
    from tamesu.fields import BoxesField
    from tamesu.look.objects import read_objects

    table = pd.read_csv(DATA / "bccd_cells" / "boxes.csv")
    files = table.drop_duplicates("file").reset_index(drop=True)
    side = {"file": "boxes.csv", "key": "file", "columns": ["xmin", "ymin", "xmax", "ymax"], "name": "class"}
    ids = files["file"].to_numpy(dtype=object)
    objects = read_objects("cells", BoxesField(table=side), files["file"], ids, picture="file", base=DATA / "bccd_cells")
    material = material_of(facts_of(files["img_height"], files["img_width"]), objects)
    part = find_sizes(material)
    flat = next(one for one in part.findings if "without an area" in one.sentence)
    assert len(flat.rows) == 1
    assert flat.labels == ("RBC",)
    assert "1 of 2,744" in flat.sentence
    classes = part.figures["objects"]["cells"]["classes"]
    for name, px in (("RBC", 102), ("WBC", 187), ("Platelets", 39)):
        assert classes[name]["median_px"] == pytest.approx(px, abs=5)
    differ = next(one for one in part.findings if "differ in size" in one.sentence)
    assert differ.labels == ("Platelets", "RBC", "WBC")
    small = next(one for one in part.findings if "under 8 px" in one.sentence)
    assert small.labels == ("Platelets",)
    assert small.suggestion.idea
    assert len(part.findings) == 3
