"""Objects as they are written: boxes, points, masks, wrong ones included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu.errors import DataError
from tamesu.fields import BoxesField, MaskField, PointsField
from tamesu.look.objects import read_mask_objects, read_objects, regions

IDS = np.array(["a", "b", "c"], dtype=object)


def test_boxes_of_one_cell_keep_their_sizes_wrong_or_not():
    cells = pd.Series(["1 2 11 22; 5 5 5 9", None, "9 9 3 4"])
    found = read_objects("cells", BoxesField(), cells, IDS, picture="file")
    assert found.rows.tolist() == [0, 0, 2]
    assert found.widths.tolist() == [10, 0, -6]
    assert found.heights.tolist() == [20, 4, -5]
    assert found.codes.tolist() == [-1, -1, -1]
    assert found.classes == ()
    assert found.unread == ()
    assert found.picture == "file"
    assert found.edges[0].tolist() == [1, 2, 11, 22]


def test_a_cell_nobody_can_read_costs_only_its_row():
    cells = pd.Series(["1 2 11 22", "1 2 3", "0 0 4 4"])
    found = read_objects("cells", BoxesField(format="corner_size"), cells, IDS, picture="file")
    assert found.unread == (1,)
    assert found.rows.tolist() == [0, 2]
    assert found.widths.tolist() == [11, 4]


def test_a_side_table_gives_classes(tmp_path):
    table = pd.DataFrame(
        {
            "file": ["b", "a", "b", "z"],
            "x0": [0, 0, 2, 0],
            "y0": 0,
            "x1": [4, 8, 2, 9],
            "y1": 6,
            "what": ["cat", "dog", "cat", "ox"],
        }
    )
    table["what"] = ["cat", "dog", "cat", "ox"]
    table.to_csv(tmp_path / "boxes.csv", index=False)
    field = BoxesField(table={"file": "boxes.csv", "key": "file", "columns": ["x0", "y0", "x1", "y1"], "name": "what"})
    found = read_objects("things", field, pd.Series(["a", "b", "c"]), IDS, picture="file", base=tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.codes.tolist() == [1, 0, 0]
    assert found.rows.tolist() == [0, 1, 1]
    assert found.widths.tolist() == [8, 4, 0]
    with pytest.raises(DataError):
        read_objects("things", field, pd.Series(["a"]), IDS[:1], picture="file", base=tmp_path / "nowhere")


def test_points_give_the_extent_of_those_seen():
    field = PointsField(names=("left", "right", "nose"))
    cells = pd.Series(["1 1 5 1 3 9", "2 2 na na na na", "1 1 na na 4 5"])
    found = read_objects("face", field, cells.replace({"na": None}), IDS, picture="file")
    assert found.rows.tolist() == [0]
    assert found.unread == (1, 2)
    pairs = pd.Series([(1, 1, 5, 1, 3, 9), (2, 2, np.nan, np.nan, np.nan, np.nan), (1, 1, np.nan, np.nan, 4, 5)])
    found = read_objects("face", field, pairs, IDS, picture="file")
    assert found.rows.tolist() == [0, 2]
    assert found.widths.tolist() == [4, 3]
    assert found.heights.tolist() == [8, 4]
    assert found.is_extent


@pytest.mark.parametrize("cells", [pd.Series([None] * 3), pd.Series(["?", "x", 7]), pd.Series([], dtype=object)])
@pytest.mark.parametrize("field", [BoxesField(), PointsField(names=("a", "b"))])
def test_no_objects_at_all(cells, field):
    found = read_objects("cells", field, cells, IDS[: len(cells)], picture="file")
    assert len(found.rows) == len(found.heights) == len(found.codes) == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_regions_cover_the_mask_they_were_drawn_on(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 60), dtype=np.uint8)
    x, y, w, h = rng.integers(0, 20), rng.integers(0, 10), rng.integers(3, 10), rng.integers(3, 10)
    mask[y : y + h, x : x + w] = 2
    mask[30:35, 40:50] = 2
    mask[39, 59] = 1  # a speck
    found = sorted(regions(mask), key=lambda one: one[1][1])
    assert [value for value, _ in found] == [2, 2]
    assert found[0][1].tolist() == [x, y, x + w, y + h]
    assert found[1][1].tolist() == [40, 30, 50, 35]


def test_masks_are_read_from_their_files(tmp_path):
    from test_look_sizes import facts_of

    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[2:12, 3:8] = 1
    mask[0:4, 20:30] = 3
    Image.fromarray(mask).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    facts = facts_of([20, 20], [30, 30], kind="mask", paths=[tmp_path / "0.png", tmp_path / "1.png"])
    found = read_mask_objects("organs", MaskField(names={1: "liver"}), facts, picture="file")
    assert found.classes == ("liver", "3")
    assert found.codes.tolist() == [0, 1]
    assert found.heights.tolist() == [10, 4]
    assert found.widths.tolist() == [5, 10]
    assert found.unread == (1,)
