"""The door for fields that a map moves: points, boxes, series, masks, depth; each mistake told with the sample's id."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu.config import StudyConfig
from tamesu.data import Data, read_data
from tamesu.dataset import Dataset, column_digest
from tamesu.decode import IMAGE, Reading, decode, inspect, reduce
from tamesu.errors import DataError
from tamesu.fields.cells import Rows, read_numbers
from tamesu.picture_contents import CONTENTS
from tamesu.texts import use_language

REAL = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
TARGET = {"y": {"kind": "number", "target": True}}
IDS = list("abcdef")
MASK, DEPTH = Reading("mask"), Reading("depth", 0.0)


def read(base: Path, fields: dict[str, Any], train: Any = None, test: Any = None, **data: Any) -> Data:
    if isinstance(train, str):
        data, train = {**data, "train": train}, None
    config = StudyConfig.model_validate({"data": {"id": "id", **data}, "fields": {**fields, **TARGET}})
    versions = {name: [field] for name, field in config.fields.items()}
    return read_data(config, versions, base=base, cache=base / "cache", train=train, test=test)


def mistakes(base: Path, *args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(base, *args, **kwargs)
    return caught.value.mistakes


def values(data: Data, name: str, **settings: Any) -> Any:
    config = StudyConfig.model_validate({"fields": {name: settings}})
    return data.train.values(name, config.fields[name])


def table(n: int = 6, **columns: Any) -> dict[str, Any]:
    return {"id": IDS[:n], "y": list(range(n)), **columns}


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def pictures(base: Path, n: int = 6, h: int = 20, w: int = 30) -> list[str]:
    for name in IDS[:n]:
        save(base / f"{name}.png", np.full((h, w, 3), 7, dtype=np.uint8))
    return [f"{name}.png" for name in IDS[:n]]


# ---- cells of several columns


def test_points_and_vectors_are_columns_side_by_side(tmp_path: Path) -> None:
    text = "id,y,lx,ly,rx,ry,more\na,1,1,2,3,4,0\nb,2,1.5,,5,6,0\nc,3,NA,2,7,8,0\nd,4,0,1,1,0,0\n"
    (tmp_path / "train.csv").write_text(text)
    eyes = {"kind": "points", "points": {"left": ["lx", "ly"], "right": ["rx", "ry"]}, "mirror": {"left": "right"}}
    arrow = {"kind": "vector", "columns": ["rx", "ry"]}
    data = read(tmp_path, {"eyes": eyes, "arrow": arrow, "x": {"kind": "number", "column": "lx"}}, train="train.csv")
    assert data.ignored == ("more",)
    assert data.train.table["arrow"].tolist() == [(3, 4), (5, 6), (7, 8), (1, 0)]
    places = values(data, "eyes", **eyes)
    assert places.shape == (4, 2, 2)
    assert np.isnan(places[1:3, 0]).all()  # half a point is none
    assert places[0].tolist() == [[1, 2], [3, 4]]
    taken = data.train.take([2, 0]).without(["x"])
    assert taken.table["eyes"].tolist()[1] == (1, 2, 3, 4)
    assert pickle.loads(pickle.dumps(taken)).table["eyes"].tolist()[1] == (1, 2, 3, 4)
    for old, new, changed in (("1.5,,5", "1.6,,5", {"eyes", "x"}), ("7,8", "7,9", {"eyes", "arrow"}), ("d,4", "d,5", {"y"})):
        (tmp_path / "train.csv").write_text(text.replace(old, new))
        again = read(tmp_path, {"eyes": eyes, "arrow": arrow, "x": {"kind": "number", "column": "lx"}}, train="train.csv")
        assert {name for name in again.train.digests if again.train.digests[name] != data.train.digests[name]} == changed


def test_swapped_columns_are_other_data(tmp_path: Path) -> None:
    rows = table(4, p=[1.0, 2, 3, 4], q=[4.0, 3, 2, 1])
    one, other = (read(tmp_path, {"v": {"kind": "vector", "columns": list(names)}}, train=rows) for names in ("pq", "qp"))
    assert one.train.digests["v"] != other.train.digests["v"]


def test_a_column_that_is_missing_among_several(tmp_path: Path) -> None:
    fields = {"eyes": {"kind": "points", "points": {"left": ["lx", "ly"]}}}
    assert mistakes(tmp_path, fields, train=table(4, lx=[1, 2, 3, 4], l_y=[1, 2, 3, 4])) == [
        "train: field 'eyes' must have all its columns; got no column 'ly'. Did you mean 'l_y'?"
    ]
    said = mistakes(tmp_path, fields, train=table(4, lx=["1", "2", "?", "left"], ly=[1, 2, 3, 4]))
    assert said == ["train eyes: row 'd' must hold 2 numbers; got ('left', 4)."]


def test_versions_that_read_other_columns(tmp_path: Path) -> None:
    configs = [
        StudyConfig.model_validate({"fields": {"v": {"kind": "vector", "columns": list(names)}, **TARGET}})
        for names in ("pq", "qp")
    ]
    versions = {"v": [config.fields["v"] for config in configs], "y": [configs[0].fields["y"]]}
    with pytest.raises(DataError, match=r"^fields.v: the columns it is read from cannot differ between ideas\.$"):
        read_data(configs[0], versions, base=tmp_path, cache=tmp_path, train=table(4, p=[1, 2, 3, 4], q=[1, 2, 3, 4]))


def test_arrays_from_python_are_cells(tmp_path: Path) -> None:
    rows = table(
        4,
        p=np.arange(16.0).reshape(4, 2, 2),
        v=np.arange(8).reshape(4, 2),
        s=[np.ones((t, 3)) for t in range(1, 5)],
        b=[[[0, 0, 2, 2]]] * 4,
    )
    points = {"kind": "points", "names": ["one", "two"]}
    fields = {"p": points, "v": {"kind": "vector"}, "s": {"kind": "series", "names": ["x", "y", "z"]}, "b": {"kind": "boxes"}}
    data = read(tmp_path, fields, train=rows)
    assert np.array_equal(values(data, "p", **points), rows["p"])
    assert np.array_equal(values(data, "v", kind="vector"), rows["v"])
    assert [one.shape for one in values(data, "s", **fields["s"])] == [(1, 3), (2, 3), (3, 3), (4, 3)]
    assert values(data, "b", kind="boxes")[2].edges.tolist() == [[0, 0, 2, 2]]
    assert mistakes(tmp_path, {**fields, "p": {"kind": "number"}}, train=rows) == [
        "train p: must hold one value a row; got arrays. Declare `kind: image`."
    ]


@given(st.lists(st.tuples(st.floats(-9, 9) | st.none(), st.floats(-9, 9)), max_size=4))
def test_quick_and_slow_ways_read_the_same(cells: list[tuple[float | None, float]]) -> None:
    ids = np.arange(len(cells)).astype(object)
    quick = read_numbers(pd.Series(cells, dtype=object), ids, "t", n_each=2, may_miss=True)
    slow = read_numbers(
        pd.Series([" ".join(map(str, one)) for one in cells if None not in one], dtype=object),
        ids,
        "t",
        n_each=2,
        may_miss=True,
    )
    assert np.array_equal(quick[[None not in one for one in cells]], slow)
    assert np.isnan(quick[:, 0]).tolist() == [one[0] is None for one in cells]


# ---- side tables

BOXES = "file,class,x0,y0,x1,y1\nc.png,cat,0,0,30,20\na.png,dog,1,2,3,4\nc.png,dog,5,5,9,9\n"
SIDE = {"file": "boxes.csv", "key": "file", "columns": ["x0", "y0", "x1", "y1"], "name": "class"}


def boxes(**more: Any) -> dict[str, Any]:
    return {"file": {"kind": "image"}, "cells": {"kind": "boxes", "table": SIDE, **more}}


def boxes_study(base: Path, text: str = BOXES, **more: Any) -> Any:
    (base / "boxes.csv").write_text(text)
    return read(base, boxes(**more), train=table(3, file=pictures(base, 3)))


def test_boxes_of_a_side_table(tmp_path: Path) -> None:
    data = boxes_study(tmp_path)
    found = values(data, "cells", **boxes()["cells"])
    assert [one.names for one in found] == [("dog",), (), ("cat", "dog")]
    assert found[2].edges.tolist() == [[0, 0, 30, 20], [5, 5, 9, 9]]
    assert data.train.classes["cells", "boxes"] == ("cat", "dog")
    assert data.warnings == ()
    assert data.train.take([2]).table["cells"][0].names == ("cat", "dog")
    assert boxes_study(tmp_path, BOXES + "\n").train.digest(["cells"]) == data.train.digest(["cells"])
    for old, new in (("1,2,3,4", "1,2,3,5"), ("a.png,dog", "a.png,cat"), ("a.png", "b.png")):
        assert boxes_study(tmp_path, BOXES.replace(old, new)).train.digests["cells"] != data.train.digests["cells"]


def test_the_key_is_a_column_or_the_id(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("key,x0,y0,x1,y1\n01,0,0,1,1\nb,0,0,2,2\n")
    side = {"file": "boxes.csv", "key": "key", "columns": ["x0", "y0", "x1", "y1"]}
    rows = {"id": ["a", "b"] * 2, "other": ["01", "1", "x", "01"], "y": [1, 2, 3, 4]}

    def sizes(**field: Any) -> list[int]:
        unique = {**rows, "id": ["a", "b", "c", "d"]}
        cells = {"kind": "boxes", "table": side, **field}
        return [len(one) for one in values(read(tmp_path, {"cells": cells}, train=unique), "cells", **cells)]

    assert sizes() == [0, 1, 0, 0]  # the rows' ids
    assert sizes(column="other") == [1, 0, 0, 1]
    rows["key"] = ["b", "b", "b", "01"]
    assert sizes() == [1, 1, 1, 1]
    assert mistakes(
        tmp_path, {"cells": {"kind": "boxes", "table": side, "column": "othr"}}, train={**rows, "id": list("abcd")}
    ) == ["train: field 'cells' must be a column; got no column 'othr'. Did you mean 'other'?"]


def test_series_are_sorted_by_their_order_and_may_be_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": list("abab"), "t": [10, 5, 9, 7], "x": [1.0, 2, 3, 4], "z": [0, 0, 1, 1]})
    table_of = {"file": "times.csv", "key": "id", "columns": ["x", "z"], "order": "t"}
    series = {"kind": "series", "table": table_of, "may_miss": True}
    frame.to_csv(tmp_path / "times.csv", index=False)
    data = read(tmp_path, {"pen": series}, train=table(4))
    assert [one.tolist() for one in values(data, "pen", **series)][:2] == [[[3, 1], [1, 0]], [[2, 0], [4, 1]]]
    assert data.warnings == ("times.csv pen: the series of rows 'c', 'd' is empty.",)
    frame.to_parquet(tmp_path / "times.parquet")
    series["table"]["file"] = "times.parquet"
    assert read(tmp_path, {"pen": series}, train=table(4)).train.digests == data.train.digests
    (tmp_path / "times.parquet").unlink()
    frame.assign(t=["2024-10-01", "2024-02-01", "2024-09-30", "2024-03-01"]).to_parquet(tmp_path / "times.parquet")
    dated = read(tmp_path, {"pen": series}, train=table(4))
    assert [one.tolist() for one in values(dated, "pen", **series)][:2] == [[[3, 1], [1, 0]], [[2, 0], [4, 1]]]
    assert dated.train.digests["pen"] != data.train.digests["pen"]  # when a reading was taken counts
    assert np.diff(dated.train.table["pen"][0].times).tolist() == [86400]  # seconds


def test_numbers_as_keys_are_texts_as_written(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1.0, 2.0, 1.0], "x": [5, 6, 7]}).to_parquet(tmp_path / "times.parquet")
    series = {"kind": "series", "table": {"file": "times.parquet", "key": "id", "columns": ["x"]}}
    rows = {"id": ["1", "2"], "y": [1, 2]}
    assert [one.tolist() for one in values(read(tmp_path, {"s": series}, train=rows), "s", **series)] == [[[5], [7]], [[6]]]


SIDE_MISTAKES = [
    (
        "file,class,x0,y0,x1\na.png,dog,1,2,3\n",
        "boxes.csv: must have the column 'y1'; it is not there. Known: class, file, x0, x1, y0.",
    ),
    (BOXES.replace("1,2,3,4", "1,2,three,4"), "boxes.csv x1: row 'a.png' must be numbers; got 'three'."),
    (BOXES.replace("a.png,dog", "a.png,"), "boxes.csv class: row 'a.png' must not be empty."),
    (BOXES.replace("a.png", ""), "boxes.csv file: row '3' must not be empty."),
    (BOXES.replace("1,2,3,4", "1,2,,4"), "boxes.csv cells: row 'a' must have boxes of four numbers; got 1 2 nan 4."),
    (BOXES.replace(".png", ".jpg"), "boxes.csv file: must hold keys of the table's rows; got only others: 'c.jpg', 'a.jpg'."),
    ("file,class,x0\na,b,c,d\ne,f,g,h\n", "boxes.csv:2: a row must have as many cells as the header, 3; got more."),
    (
        BOXES.replace("1,2,3,4", "3,2,3,4"),
        "boxes.csv cells: row 'a' must have boxes with an area; got edges 3 2 3 4. "
        "Take such boxes out of boxes.csv, or write `drop_empty: true`.",
    ),
    (
        BOXES.replace("1,2,3,4", "3,4,1,2"),
        "boxes.csv cells: row 'a' must have boxes from left to right and from top to bottom; got edges 3 4 1 2. "
        "Look whether `format`, now edges, is right; if it is, swap these corners.",
    ),
    (
        BOXES.replace("1,2,3,4", "30,2,33,4"),
        "boxes.csv cells: row 'a' must have boxes in the picture 'file'; got edges 30 2 33 4 beside 20 × 30 pixels.",
    ),
]


@pytest.mark.parametrize(("text", "expected"), SIDE_MISTAKES)
def test_mistakes_in_a_side_table(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        boxes_study(tmp_path, text)
    assert caught.value.mistakes == [expected]


def test_all_mistakes_of_boxes_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(BOXES + "a.png,x,3,3,3,3\nb.png,x,9,9,1,1\nb.png,x,99,0,100,9\nc.png,x,0,0,inf,1\n")
    said = mistakes(tmp_path, boxes(), train=table(3, file=pictures(tmp_path, 3)))
    assert [text.split(" must")[0] for text in said] == [f"boxes.csv cells: row '{name}'" for name in "cbab"]
    missing = {"kind": "boxes", "table": {**SIDE, "file": "box.csv"}}
    assert mistakes(tmp_path, {"cells": missing}, train=table(3)) == [
        f"fields.cells.table.file: {tmp_path / 'box.csv'} must exist; there is no such file or folder."
    ]
    three = {"kind": "boxes", "table": {**SIDE, "columns": ["x0", "y0", "x1"]}}
    assert "fields.cells.table.columns: must be four columns; got 3." in mistakes(tmp_path, {"cells": three}, train=table(3))


def test_boxes_without_an_area_may_be_dropped(tmp_path: Path) -> None:
    data = boxes_study(tmp_path, BOXES + "c.png,cat,4,4,9,4\n", drop_empty=True)
    assert data.warnings == ("boxes.csv cells: 1 boxes without an area are left out, of row 'c'.",)
    found = values(data, "cells", **boxes(drop_empty=True)["cells"])
    assert found[2].names == ("cat", "dog")
    assert len(found[2].edges) == 2


def test_boxes_that_reach_out_and_keys_of_no_row(tmp_path: Path) -> None:
    data = boxes_study(tmp_path, BOXES.replace("1,2,3,4", "-3,2,3,4") + "x.png,cat,0,0,1,1\ny.png,cat,0,0,1,1\n")
    assert data.warnings == (
        "boxes.csv cells: 1 boxes reach beyond the picture 'file', of row 'a'; the first has edges -3 2 3 4.",
        "boxes.csv file: 2 keys belong to no row: 'x.png', 'y.png'.",
    )


def test_a_side_table_serves_both_tables(tmp_path: Path) -> None:
    pd.DataFrame({"id": list("aabbzz"), "x": [1, 2, 3, 3, 4, 5]}).to_csv(tmp_path / "times.csv", index=False)
    series = {"kind": "series", "table": {"file": "times.csv", "key": "id", "columns": ["x"]}}
    data = read(
        tmp_path,
        {"pen": series},
        train=table(
            2,
        ),
        test={"id": ["z"]},
    )
    assert data.test is not None
    assert data.test.table["pen"][0].numbers.tolist() == [[4], [5]]
    assert data.warnings == ()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5), max_size=3), min_size=1, max_size=4), st.data())
def test_digest_of_rows_tells_them_apart(numbers: list[list[float]], data: st.DataObject) -> None:
    def column(lists: list[list[float]]) -> pd.Series:
        out = np.empty(len(lists), dtype=object)
        for i, one in enumerate(lists):
            out[i] = Rows(np.array(one, dtype=np.float64).reshape(-1, 1), ())
        return pd.Series(out)

    other = data.draw(st.permutations(numbers))
    assert (column_digest(column(numbers)) == column_digest(column(other))) == (numbers == other)


# ---- masks and depth


def test_masks_keep_their_ids(tmp_path: Path) -> None:
    ids = np.zeros((9, 14), dtype=np.uint8)
    ids[2:7, 3:9] = 3
    palette = Image.fromarray(ids, mode="P")
    palette.putpalette([200, 10, 10] * 256)
    palette.save(tmp_path / "a.png")
    save(tmp_path / "b.png", ids)
    save(tmp_path / "c.png", ids.astype(np.uint16) * 300)
    small = Image.fromarray(ids, mode="P")
    small.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2, 255, 255, 255])
    small.save(tmp_path / "d.png", bits=2)
    files = [f"{name}.png" for name in "abcd"]
    data = read(tmp_path, {"m": {"kind": "mask"}}, train=table(4, m=files))
    held = data.train.pictures["m"]
    assert (held.channels, held.dtype, held.reading) == (1, np.uint16, MASK)
    for i in (0, 1, 3):
        assert np.array_equal(held.original(i)[:, :, 0], ids)
    assert held.original(2).max() == 900  # 8 bits among 16 are not stretched, nor the other way round
    held.prepare((4, 7))
    assert set(np.unique(held.read(0, (4, 7)))) == {0, 3}
    as_image = read(tmp_path, {"m": {"kind": "image"}}, train=table(2, m=files[:2])).train.pictures["m"]
    assert as_image.original(0)[0, 0].tolist() == [200, 10, 10]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(0, 10_000))
def test_reduced_masks_hold_only_ids_that_were_there(h: int, w: int, level: int, seed: int) -> None:
    ids = np.random.default_rng(seed).choice([0, 7, 65535], size=(h, w, 1)).astype(np.uint16)
    small = reduce(ids, -(-h >> level), -(-w >> level), MASK)
    assert small.shape[:2] == (-(-h >> level), -(-w >> level))
    for i in range(small.shape[0]):  # each is one of those it covers
        top, bottom = i * h // small.shape[0], -(-(i + 1) * h // small.shape[0])
        assert set(small[i].ravel()) <= set(ids[top:bottom].ravel())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.sampled_from([0.0, 65535.0, 9.0]), st.integers(0, 10_000))
def test_reduced_depth_never_mixes_holes_with_readings(h: int, w: int, share: float, missing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.integers(1000, 1100, (2 * h, 2 * w, 1)).astype(np.uint16)
    depth[rng.random(depth.shape) < share] = missing
    small = reduce(depth, h, w, Reading("depth", missing))[:, :, 0].astype(float)
    blocks = depth[:, :, 0].astype(float).reshape(h, 2, w, 2).transpose(0, 2, 1, 3).reshape(h, w, 4)
    seen = blocks != missing
    mean = (blocks * seen).sum(axis=2) / np.maximum(seen.sum(axis=2), 1)
    expected = np.where(seen.sum(axis=2) >= 2, mean, missing)
    assert np.abs(small - expected).max() <= 0.51
    assert ((small == missing) == (seen.sum(axis=2) < 2)).all()


def test_depth_is_raw_and_what_is_no_number_is_a_hole(tmp_path: Path) -> None:
    steps = np.arange(48, dtype=np.uint16).reshape(6, 8) * 100
    save(tmp_path / "a.png", steps)
    data = read(tmp_path, {"d": {"kind": "depth", "unit_m": 0.5}}, train=table(2, d=["a.png", "a.png"]))
    held = data.train.pictures["d"]
    assert (held.dtype, held.reading) == (np.uint16, DEPTH)
    assert np.array_equal(held.original(0)[:, :, 0], steps)
    metres = np.full((2, 6, 8), 1.5)
    metres[0, 0, 0], metres[1, 2, 2] = np.nan, np.inf
    for i, name in enumerate("bc"):
        Image.fromarray(metres[i].astype(np.float32)).save(tmp_path / f"{name}.tiff")
    for given_as in (metres, ["b.tiff", "c.tiff"]):
        held = read(tmp_path, {"d": {"kind": "depth", "missing": -1}}, train=table(2, d=given_as)).train.pictures["d"]
        assert held.dtype == np.float32
        assert np.argwhere(held.original(0)[:, :, 0] == -1).tolist() == [[0, 0]]
        assert np.argwhere(held.original(1)[:, :, 0] == -1).tolist() == [[2, 2]]
        assert (held.read(1, (3, 4)) == 1.5).all()
    whole = read(tmp_path, {"d": {"kind": "depth"}}, train=table(2, d=np.full((2, 4, 4), 200))).train.pictures["d"]
    assert whole.dtype == np.uint16  # numbers from Python, not stored in eight bits


def test_how_a_set_is_read_is_part_of_its_name(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((8, 8), 500, dtype=np.uint16))
    kinds = ({"kind": "image"}, {"kind": "mask"}, {"kind": "depth"}, {"kind": "depth", "missing": 500})
    for rows in (table(2, p=["a.png", "a.png"]), table(2, p=np.full((2, 8, 8), 500, dtype=np.uint16))):
        folders = {read(tmp_path, {"p": kind}, train=rows).train.pictures["p"].folder for kind in kinds}
        assert len(folders) == 4


def test_image_path_is_untouched() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 48, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    info = inspect(buffer.getvalue())
    assert not info.indexed
    for level in range(4):
        assert np.array_equal(
            decode(buffer.getvalue(), info, 3, "uint8", level), decode(buffer.getvalue(), info, 3, "uint8", level, IMAGE)
        )


def file_mistakes(base: Path, kind: str, pixels: np.ndarray, name: str = "b.png", **settings: Any) -> list[str]:
    good = np.ones((8, 8), dtype=np.uint16)
    save(base / "a.png", good)
    save(base / name, pixels)
    return mistakes(base, {"p": {"kind": kind, **settings}}, train=table(2, p=["a.png", name]))


def test_files_that_cannot_hold_ids_or_distances(tmp_path: Path) -> None:
    gray, colour = np.full((8, 8), 9, dtype=np.uint8), np.full((8, 8, 3), 9, dtype=np.uint8)
    assert file_mistakes(tmp_path, "mask", gray, "b.jpg") == [
        "train p: row 'b' must be PNG or another format that keeps every id; got JPEG, which changes them."
    ]
    for kind, pixels in (("mask", colour), ("mask", np.dstack([colour, gray]))):
        n = pixels.shape[2]
        assert file_mistakes(tmp_path, kind, pixels) == [
            f"train p: row 'b' must hold one number a pixel, as grey pictures do; got {n} channels."
        ]
    for kind in ("mask", "depth"):
        assert mistakes(tmp_path, {"p": {"kind": kind}}, train=table(2, p=np.ones((2, 8, 8, 3), np.uint16))) == [
            "train p: rows 'a', 'b' must hold one number a pixel, as grey pictures do; got 3 channels."
        ]
    eight = (
        "train p: {} must hold 16 bits a pixel, or decimals; got 8 bits, too few for distances. "
        "Export depth as 16-bit PNG or float TIFF."
    )
    assert file_mistakes(tmp_path, "depth", gray) == [eight.format("row 'b'")]
    assert file_mistakes(tmp_path, "depth", colour, "b.jpg") == [eight.format("row 'b'")]
    assert mistakes(tmp_path, {"p": {"kind": "depth"}}, train=table(6, p=np.ones((6, 4, 4), np.uint8))) == [
        eight.format("rows 'a', 'b', 'c', 'd', 'e' (and 1 more)")
    ]
    assert mistakes(tmp_path, {"p": {"kind": "mask"}}, train=table(2, p=np.full((2, 8, 8), 0.5))) == [
        "train p: rows 'a', 'b' must hold ids that are whole numbers from 0 to 65535; got other numbers."
    ]


def masks(*ids: int) -> np.ndarray:
    out = np.zeros((len(ids), 8, 8), dtype=np.uint8)
    out[:, 2:5, 2:5] = np.array(ids)[:, None, None]
    return out


def test_what_lies_in_masks(tmp_path: Path) -> None:
    names = {"kind": "mask", "names": {1: "left", 2: "right"}, "outside": 255}
    data = read(tmp_path, {"m": names}, train=table(4, m=masks(1, 2, 0, 255)))
    assert data.warnings == ("train m: no object lies in the masks of rows 'c', 'd'.",)
    assert (Path(data.train.pictures["m"].folder) / CONTENTS).exists()
    again = read(tmp_path, {"m": {**names, "mirror": {"left": "right"}}}, train=table(4, m=masks(1, 2, 0, 255)))
    assert again.warnings == data.warnings
    assert mistakes(tmp_path, {"m": names}, train=table(4, m=masks(0, 0, 0, 255))) == [
        "train m: every mask is empty; got no id but 0, 255."
    ]
    assert mistakes(tmp_path, {"m": names}, train=table(4, m=masks(1, 3, 2, 7))) == [
        "train m: rows 'b', 'd' must hold only ids that `names` lists; got 3, 7. Add what is missing to `names`."
    ]
    assert mistakes(tmp_path, {"m": {**names, "mirror": {"left": "rihgt"}}}, train=table(2, m=masks(1, 2))) == [
        "fields.m.mirror: must name what the field itself names; got 'rihgt'. Did you mean 'right'?"
    ]
    assert read(tmp_path, {"m": {"kind": "mask"}}, train=table(2, m=masks(1, 2) > 0)).train.pictures["m"].original(0).max() == 1


def test_depth_without_a_reading_is_told(tmp_path: Path) -> None:
    depth = np.full((4, 8, 8), 900, dtype=np.uint16)
    depth[2] = 0
    data = read(tmp_path, {"d": {"kind": "depth"}}, train=table(4, d=depth))
    assert data.warnings == ("train d: every pixel of row 'c' is without a reading.",)


def test_sizes_of_pictures_that_lie_on_each_other(tmp_path: Path) -> None:
    image = np.zeros((4, 8, 9, 3), dtype=np.uint8)
    mask = [*masks(1, 1, 1), np.ones((8, 9), dtype=np.uint8)]
    rows = table(4, i=image, m=mask, d=np.full((4, 5, 9), 900, dtype=np.uint16))
    said = "train m: rows 'a', 'b', 'c' must be as large as 'i'; got 8 × 8 where it has 8 × 9 pixels."
    fields = {"i": {"kind": "image"}, "m": {"kind": "mask"}}
    assert mistakes(tmp_path, fields, train=rows) == [said]
    two = {"i": {"kind": "image"}, "j": {"kind": "image", "column": "i"}}
    assert read(tmp_path, {**two, "m": {"kind": "mask"}}, train=rows).warnings == ()  # on which of the two is not said
    assert mistakes(tmp_path, {**two, "m": {"kind": "mask", "of": "i"}}, train=rows) == [said]
    depth = {"i": {"kind": "image"}, "d": {"kind": "depth"}}
    assert read(tmp_path, depth, train=rows).warnings == (
        "train d: rows 'a', 'b', 'c', 'd' and 'i' differ in size (5 × 9, 8 × 9 pixels): each is fitted into the frame by "
        "itself. If they show the same pixels, make them alike and write `of: i`.",
    )
    depth["d"]["of"] = "i"
    assert mistakes(tmp_path, depth, train=rows) == [
        "train d: rows 'a', 'b', 'c', 'd' must be as large as 'i'; got 5 × 9 where it has 8 × 9 pixels."
    ]


def test_versions_that_read_a_picture_otherwise(tmp_path: Path) -> None:
    kinds = [{"kind": "image"}, {"kind": "mask"}, {"kind": "depth"}, {"kind": "depth", "missing": 3}, {"kind": "ignore"}]
    read_as = [StudyConfig.model_validate({"fields": {"p": kind, **TARGET}}) for kind in kinds]
    rows = table(2, p=np.full((2, 4, 4), 900, dtype=np.uint16))

    def go(*which: int) -> Data:
        versions = {"p": [read_as[i].fields["p"] for i in which], "y": [read_as[0].fields["y"]]}
        return read_data(read_as[0], versions, base=tmp_path, cache=tmp_path, train=rows)

    assert go(1, 4).train.pictures["p"].reading == MASK
    for pair in ((0, 1), (2, 3)):
        with pytest.raises(
            DataError, match=r"^train p: `kind` of a picture, `missing` and `encoding` cannot differ between ideas\."
        ):
            go(*pair)


def test_a_mask_that_changes_while_it_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tamesu import agreement

    def gone(*_: Any) -> Any:
        raise DataError("train m: a.png must stay as it is")

    monkeypatch.setattr(agreement, "mask_ids", gone)
    assert mistakes(tmp_path, {"m": {"kind": "mask"}}, train=table(2, m=masks(1, 2))) == ["train m: a.png must stay as it is"]


# ---- places and names


def test_points_outside_their_picture(tmp_path: Path) -> None:
    fields = {"file": {"kind": "image"}, "eyes": {"kind": "points", "points": {"left": ["lx", "ly"], "right": ["rx", "ry"]}}}
    files = pictures(tmp_path, 4)

    def rows(rx: list[float]) -> dict[str, Any]:
        return table(4, file=files, lx=[0, 29.5, 30, -1], ly=[0, 19, 20, 0], rx=rx, ry=[1, 1, 1, 1])

    assert read(tmp_path, fields, train=rows([1, np.nan, 1, 1])).warnings == ()
    assert mistakes(tmp_path, fields, train=rows([1, 31, 1, -1.5])) == [
        "train eyes: rows 'b', 'd' must have points inside the picture 'file'; got 'right' at x 31, y 1 of 20 × 30 pixels."
    ]


NAMES = [
    ({"kind": "label", "mirror": {"u": "w"}}, "fields.y.mirror: must name classes of the training rows; got 'w'. Known: u, v."),
    (
        {"kind": "label", "turn": {"u": "v", "v": "up"}},
        "fields.y.turn: must name classes of the training rows; got 'up'. Did you mean 'u'?",
    ),
    (
        {"kind": "labels", "mirror": {"lft": "v"}},
        "fields.y.mirror: must name classes of the training rows; got 'lft'. Known: u, v.",
    ),
    (
        {"kind": "direction", "angles": {"u": 90, "w": 0}},
        "fields.y.angles: must name classes of the training rows; got 'w'. Known: u, v.",
    ),
]


@pytest.mark.parametrize(("field", "expected"), NAMES)
def test_names_that_are_no_class(tmp_path: Path, field: dict[str, Any], expected: str) -> None:
    config = StudyConfig.model_validate({"fields": {"y": {**field, "target": True}}})
    with pytest.raises(DataError) as caught:
        read_data(config, {"y": [config.fields["y"]]}, base=tmp_path, cache=tmp_path, train={"y": list("uvuv")})
    assert caught.value.mistakes == [expected]


def test_names_of_boxes_and_points(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(BOXES)
    rows = table(3, file=pictures(tmp_path, 3), p=["1 1 2 2"] * 3)
    points = {"kind": "points", "names": ["one", "two"], "mirror": {"one": "tow"}}
    assert mistakes(tmp_path, {**boxes(mirror={"cat": "dgo"}), "p": points}, train=rows) == [
        "fields.cells.mirror: must name classes of the training rows; got 'dgo'. Did you mean 'dog'?",
        "fields.p.mirror: must name what the field itself names; got 'tow'. Did you mean 'two'?",
    ]


def test_directions_without_an_angle_stay(tmp_path: Path) -> None:
    direction = {"kind": "direction", "angles": {"left": 180, "right": 0}}
    rows = table(6, arrow=["left", "none", "right", None, "left", "none"])
    data = read(tmp_path, {"arrow": direction}, train=rows, test={"id": ["z"], "arrow": ["up"]})
    assert data.train.classes["arrow", "direction"] == ("left", "none", "right")
    assert data.warnings == ("test arrow: 1 classes are not in the training rows: 'up'.",)


def test_fields_that_change_places_read_each_other(tmp_path: Path) -> None:
    fields = {name: {"kind": "label", "mirror": {"swap_with": other}} for name, other in (("l", "r"), ("r", "l"))}
    data = read(tmp_path, fields, train=table(4, l=list("aabb"), r=list("abca")))
    assert data.train.classes["l", "label"] == data.train.classes["r", "label"] == ("a", "b", "c")
    fields["l"] = {"kind": "number", "mirror": {"swap_with": "r"}}
    assert mistakes(tmp_path, fields, train=table(4, l=[1, 2, 3, 4], r=list("abca"))) == [
        "fields.l.mirror: swap_with reads train r: rows 'a', 'b', 'c', 'd' must be numbers; got 'a'. "
        "List what means missing in `missing_values`, or declare `kind: label`."
    ]


TARGETS: list[tuple[dict[str, Any], Any, str | None]] = [
    ({"kind": "vector"}, ["1 2", "1 2"], "train y: the target must have two values or more; got [1.0, 2.0] in every row."),
    ({"kind": "vector"}, ["1 2", ""], "train y: row 'b' must hold numbers; got an empty cell."),
    ({"kind": "angle"}, [90, 90], "train y: the target must have two values or more; got 90.0 in every row."),
    (
        {"kind": "points", "names": ["p"]},
        ["1 2", ""],
        "train y: row 'b' must have a target; got an empty cell. Leave such rows out.",
    ),
    ({"kind": "points", "names": ["p", "q"]}, ["1 2 3 4", [1, 2, None, None]], None),
    (
        {"kind": "direction", "angles": {"u": 0}},
        ["u", "v"],
        "train y: class 'u' must have two rows or more; got one, 'a'. Join it with another.",
    ),
]


@pytest.mark.parametrize(("field", "cells", "expected"), TARGETS)
def test_targets_that_cannot_be_learnt(tmp_path: Path, field: dict[str, Any], cells: Any, expected: str | None) -> None:
    config = StudyConfig.model_validate({"data": {"id": "id"}, "fields": {"y": {**field, "target": True}}})
    versions = {"y": [config.fields["y"]]}
    rows = {"id": list("ab"), "y": cells}
    if expected is None:
        assert len(read_data(config, versions, base=tmp_path, cache=tmp_path, train=rows).train) == 2
        return
    with pytest.raises(DataError) as caught:
        read_data(config, versions, base=tmp_path, cache=tmp_path, train=rows)
    assert expected in caught.value.mistakes


def test_mistakes_are_told_in_japanese(tmp_path: Path) -> None:
    use_language("ja")
    try:
        said = mistakes(tmp_path, {"m": {"kind": "mask"}}, train=table(2, m=masks(0, 0)))
    finally:
        use_language("en")
    assert said == ["train m: どのマスクも空です（ID は 0 のみ）。"]


# ---- data as found


def real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not there; TAMESU_DATA says where data sets are")
    return (REAL / name).resolve()


def test_blood_cells(tmp_path: Path) -> None:
    folder = real("bccd_cells")
    side = {"file": str(folder / "boxes.csv"), "key": "file", "columns": ["xmin", "ymin", "xmax", "ymax"], "name": "class"}
    cells = {"kind": "boxes", "table": side}
    listed = pd.read_csv(folder / "boxes.csv")
    flat = listed.file[listed.xmin == listed.xmax].iloc[0]
    rows = pd.DataFrame({"file": [flat, *[name for name in listed.file.unique() if name != flat][:19]]})
    rows = rows.assign(id=[Path(name).stem for name in rows.file], y=range(20))
    said = mistakes(tmp_path, {"file": {"kind": "image"}, "cells": cells}, train=rows, root=str(folder))
    assert len(said) == 1
    assert f"row '{Path(flat).stem}' must have boxes with an area" in said[0]
    data = read(tmp_path, {"file": {"kind": "image"}, "cells": {**cells, "drop_empty": True}}, train=rows, root=str(folder))
    assert data.train.classes["cells", "boxes"] == ("Platelets", "RBC", "WBC")
    assert sum(map(len, values(data, "cells", **cells, drop_empty=True))) == listed.file.isin(rows.file).sum() - 1
    assert any("180 keys belong to no row" in text for text in data.warnings)


def test_hand_depth(tmp_path: Path) -> None:
    folder = real("sr305_hand_depth")
    camera = [476.007, 476.007, 313.683, 242.755]
    fields = {"depth": {"kind": "depth", "unit_m": 0.000125, "camera": camera}}
    rows = pd.read_csv(folder / "labels.csv").assign(y=lambda found: found.frame, id=lambda found: found.depth)
    data = read(tmp_path, fields, train=rows, root=str(folder))
    held = data.train.pictures["depth"]
    assert held.dtype == np.uint16
    assert held.shapes.tolist() == [[480, 640]] * len(rows)
    whole, small = held.original(0)[:, :, 0], held.read(0, (120, 160))[:, :, 0]
    assert abs((whole == 0).mean() - rows.depth_zero_fraction[0]) < 1e-3
    assert small.shape == (120, 160)
    near = whole[whole > 0].min()
    assert small[small > 0].min() >= near  # an average with holes would lie below every reading


def test_colour_and_depth_of_a_hand(tmp_path: Path) -> None:
    folder = real("asl_rgbd_ah")
    fields = {"color": {"kind": "image"}, "depth": {"kind": "depth", "of": "color"}}
    rows = pd.read_csv(folder / "labels.csv")[::10].assign(y=lambda found: found.frame_no, id=lambda found: found.color)
    data = read(tmp_path, fields, train=rows, root=str(folder))
    assert np.array_equal(data.train.pictures["depth"].shapes, data.train.pictures["color"].shapes)
    mixed = rows.assign(depth=[*rows.depth[1:], rows.depth.iloc[0]])
    said = mistakes(tmp_path, fields, train=mixed, root=str(folder))
    assert len(said) == 1
    assert "must be as large as 'color'" in said[0]


def test_gestures(tmp_path: Path) -> None:
    folder = real("unistroke_gestures")
    side = {"file": str(folder / "points.csv"), "key": "gesture_id", "columns": ["x", "y"], "order": "t_ms"}
    series = {"kind": "series", "table": side, "vectors": [["x", "y"]]}
    config = StudyConfig.model_validate(
        {
            "data": {"train": str(folder / "gestures.csv"), "id": "gesture_id"},
            "fields": {
                "pen": series,
                "class": {"kind": "label", "target": True, "mirror": {"left_sq_bracket": "right_sq_bracket"}},
                "n_points": {"kind": "number"},
            },
        }
    )
    data = read_data(config, {name: [one] for name, one in config.fields.items()}, base=tmp_path, cache=tmp_path)
    pens = data.train.values("pen", config.fields["pen"])
    assert [len(pen) for pen in pens] == data.train.table["n_points"].tolist()
    assert pens[0][:2].tolist() == [[66, 218], [68, 217]]
    assert data.warnings == ()
    assert data.ignored == ("subject", "repetition")


def test_faces(tmp_path: Path) -> None:
    folder = real("cmu_faces32")

    def go(mirror: dict[str, str]) -> Data:
        config = StudyConfig.model_validate(
            {
                "data": {"train": str(folder / "labels.csv"), "root": str(folder), "id": "file"},
                "fields": {"file": {"kind": "image"}, "pose": {"kind": "label", "target": True, "mirror": mirror}},
            }
        )
        return read_data(config, {name: [one] for name, one in config.fields.items()}, base=tmp_path, cache=tmp_path / "cache")

    assert isinstance(go({"left": "right"}).train, Dataset)
    with pytest.raises(
        DataError, match=r"fields.pose.mirror: must name classes of the training rows; got 'rihgt'. Did you mean 'right'"
    ):
        go({"left": "rihgt"})
