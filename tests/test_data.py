"""The door: every source gives the same rows, and every mistake is told at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu.config import StudyConfig
from tamesu.data import Data, Dataset, in_order, read_data
from tamesu.dataset import column_digest, texts_digest
from tamesu.errors import DataError

FIELDS: dict[str, Any] = {"age": {"kind": "number"}, "sort": {"kind": "label"}, "y": {"kind": "label", "target": True}}
TABLE = "id,age,sort,y,more\na,1,None,yes,1\nb,2.5,NA,no,1\nc,,01,yes,2\nd,NA,1,no,2\n"


def read(base: Path, fields: dict[str, Any] = FIELDS, train: Any = None, test: Any = None, **data: Any) -> Data:
    config = StudyConfig.model_validate({"data": data, "fields": fields})
    versions = {name: [field] for name, field in config.fields.items()}
    return read_data(config, versions, base=base, cache=base / "cache", train=train, test=test)


def mistakes(base: Path, *args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(base, *args, **kwargs)
    return caught.value.mistakes


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def picture(path: Path, value: int = 0, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size, size, 3), value, dtype=np.uint8)).save(path)


def values(dataset: Dataset, name: str) -> list[Any]:
    config = StudyConfig.model_validate({"fields": FIELDS})
    return list(dataset.values(name, config.fields[name]))


def test_csv(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TABLE)
    data = _csv(tmp_path)
    assert data.train.ids.tolist() == ["a", "b", "c", "d"]
    assert values(data.train, "sort") == ["None", "NA", "01", "1"]  # texts stay what they are
    assert np.array_equal(values(data.train, "age"), [1, 2.5, np.nan, np.nan], equal_nan=True)
    assert data.ignored == ("more",)
    assert data.train.classes == {("sort", "label"): ("01", "1", "NA", "None"), ("y", "label"): ("no", "yes")}
    assert data.test is None
    assert data.warnings == ()


def _csv(base: Path, **data: Any) -> Data:
    config = StudyConfig.model_validate({"data": {"train": "train.csv", "id": "id", **data}, "fields": FIELDS})
    versions = {name: [field] for name, field in config.fields.items()}
    return read_data(config, versions, base=base, cache=base / "cache")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    write(tmp_path / "train.csv", TABLE.replace("yes", "左").replace("no", "右"), encoding)
    data = _csv(tmp_path)
    assert data.train.classes["y", "label"] == ("右", "左")
    assert data.warnings == (("train.csv is not UTF-8; it was read as CP932 (Shift_JIS).",) if encoding == "cp932" else ())


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_separators(tmp_path: Path, separator: str) -> None:
    write(tmp_path / "train.csv", TABLE.replace(",", separator))
    assert values(_csv(tmp_path).train, "y") == ["yes", "no", "yes", "no"]


def test_all_sources_give_the_same_rows(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TABLE)
    expected = _csv(tmp_path).train
    frame = pd.read_csv(tmp_path / "train.csv", keep_default_na=False, na_values={"age": ["", "NA"]}, dtype={"sort": str})
    frame.to_parquet(tmp_path / "train.parquet")
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        frame.to_sql("rows", connection, index=False)
    connection.close()
    sources: list[Data] = [
        _csv(tmp_path, train="train.parquet"),
        _csv(tmp_path, train={"sql": "select * from rows", "url": "sqlite:///rows.db"}),
        _read_python(tmp_path, frame),
        _read_python(tmp_path, {name: frame[name].to_list() for name in frame}),
        _read_python(tmp_path, {name: frame[name].to_numpy() for name in frame}),
    ]
    for data in sources:
        assert data.train.ids.tolist() == expected.ids.tolist()
        assert data.train.classes == expected.classes
        assert data.train.digest(FIELDS) == expected.digest(FIELDS)
        assert data.ignored == ("more",)
        for name in FIELDS:
            assert list(map(str, values(data.train, name))) == list(map(str, values(expected, name)))


def _read_python(base: Path, rows: Any, test: Any = None, fields: dict[str, Any] = FIELDS, **data: Any) -> Data:
    config = StudyConfig.model_validate({"data": {"id": "id", **data}, "fields": fields})
    versions = {name: [field] for name, field in config.fields.items()}
    return read_data(config, versions, base=base, cache=base / "cache", train=rows, test=test)


def test_folder_per_class(tmp_path: Path) -> None:
    for i, name in enumerate(["犬/1.png", "犬/deep/er/2.png", "ねこ/1.png", "ねこ/2.png"]):
        picture(tmp_path / "images" / name, i)
    picture(tmp_path / "images" / "loose.png")
    picture(tmp_path / "images" / "犬" / ".hidden.png")
    write(tmp_path / "images" / "犬" / "notes.txt", "x")
    fields = {"file": {"kind": "image"}, "label": {"kind": "label", "target": True}}
    data = _folder(tmp_path, fields)
    assert data.train.ids.tolist() == ["ねこ/1.png", "ねこ/2.png", "犬/1.png", "犬/deep/er/2.png"]
    assert data.train.classes == {("label", "label"): ("ねこ", "犬")}
    assert data.train.pictures["file"].original(3)[0, 0, 0] == 1
    assert data.warnings == ("images: 2 files are no pictures of a class and were left out: loose.png, 犬/notes.txt.",)
    picture(tmp_path / "test" / "a.png")
    data = _folder(tmp_path, fields, test="test")
    assert data.test is not None
    assert data.test.ids.tolist() == ["a.png"]
    assert list(data.test.table.columns) == []


def _folder(base: Path, fields: dict[str, Any], **data: Any) -> Data:
    config = StudyConfig.model_validate({"data": {"train": "images", **data}, "fields": fields})
    return read_data(config, {name: [field] for name, field in config.fields.items()}, base=base, cache=base / "cache")


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="one folder per class; got a folder without any"):
        _folder(tmp_path, {"file": {"kind": "image"}, "label": {"kind": "label", "target": True}})


def test_arrays_from_python(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 8), dtype=np.uint8)
    fields = {"x": {"kind": "image"}, "y": {"kind": "label", "target": True}}
    for rows in (
        {"x": pixels, "y": [0, 1] * 3},
        {"x": list(pixels), "y": [0, 1] * 3},
        pd.DataFrame({"x": list(pixels), "y": [0, 1] * 3}),
    ):
        data = read(tmp_path, fields, train=rows)
        assert np.array_equal(data.train.pictures["x"].original(4)[:, :, 0], pixels[4])
        assert data.train.ids.tolist() == list("012345")
        assert data.train.classes["y", "label"] == ("0", "1")


def test_frame_of_file_names(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / "p" / f"{i}.png", i)
    rows = pd.DataFrame({"path": [Path(f"{i}.png") for i in range(4)], "y": list("abab")}, index=[9, 8, 7, 6])
    fields = {"x": {"kind": "image", "column": "path"}, "y": {"kind": "label", "target": True}}
    data = read(tmp_path, fields, train=rows, root="p")
    assert data.train.pictures["x"].original(3)[0, 0, 0] == 3
    assert data.ignored == ()


def test_all_mistakes_in_one_pass(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:500])
    write(tmp_path / "train.csv", "id,file,age,y\na,a.png,1,x\nb,gone.png,two,x\nb,cut.jpg,3,z\nd,a.png,3,\n")
    fields = {**FIELDS, "sort": {"kind": "label", "column": "agee"}, "file": {"kind": "image"}}
    config = StudyConfig.model_validate({"data": {"train": "train.csv", "id": "id", "test": "no.csv"}, "fields": fields})
    with pytest.raises(DataError) as caught:
        read_data(config, {name: [field] for name, field in config.fields.items()}, base=tmp_path, cache=tmp_path / "cache")
    assert caught.value.mistakes == [
        f"data.test: {tmp_path / 'no.csv'} must exist; there is no such file or folder.",
        "train.csv: field 'sort' must be a column; got no column 'agee'. Did you mean 'age'?",
        "train.csv id: ids must be unique; got row 'b' more than once.",
        f"train.csv file: row 'b' must name files that exist; got 'gone.png'. Names start at {tmp_path}.",
        "train.csv file: row 'b' must be whole pictures; got a JPEG file that is cut off or damaged ('cut.jpg').",
        "train.csv age: row 'b' must be numbers; got 'two'. "
        "List what means missing in `missing_values`, or declare `kind: label`.",
        "train.csv y: row 'd' must have a target; got an empty cell. Leave such rows out.",
        "train.csv y: class 'z' must have two rows or more; got one, 'b'. Join it with another.",
    ]


TARGETS = [
    ({"kind": "label"}, ["a", "a", "a"], "train y: the target must have two values or more; got 'a' in every row."),
    ({"kind": "number"}, [1.5, 1.5, 1.5], "train y: the target must have two values or more; got 1.5 in every row."),
    ({"kind": "number"}, [1.5, np.nan, 2], "train y: row '1' must have a target; got an empty cell. Leave such rows out."),
    ({"kind": "labels"}, ["a", "a", "a"], "train y: the target must have two values or more; got ('a',) in every row."),
    ({"kind": "label"}, ["a", "b", "b"], "train y: class 'a' must have two rows or more; got one, '0'. Join it with another."),
]


@pytest.mark.parametrize(("field", "target", "expected"), TARGETS)
def test_targets_that_cannot_be_learnt(tmp_path: Path, field: dict[str, Any], target: list[Any], expected: str) -> None:
    assert mistakes(tmp_path, {"y": {**field, "target": True}}, train={"y": target}) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "train.csv: must have a header and rows; the file is empty."),
        ("id,age,sort,y\n", "train.csv: must have rows; got none."),
        (
            "id,age,sort,y\na,1,s,x\nb,1,s,x,9\n",
            "train.csv:3: a row must have as many cells as the header, 4; got 5. Texts with a comma need quotes.",
        ),
        ("id,age,sort,y\na,1,s,x,9\nb,1,s,x,9\n", "train.csv:2: a row must have as many cells as the header, 4; got more."),
        ('id,age,sort,y\na,1,s,x\nb,1,"s,x\n', "train.csv:3: a quote is opened here and never closed."),
    ],
)
def test_unreadable_csv(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path / "train.csv", text)
    with pytest.raises(DataError) as caught:
        _csv(tmp_path)
    assert caught.value.mistakes == [expected]


def test_unreadable_bytes_parquet_and_sql(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"id,age\n\x81\xff\xfd,1\n")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    sqlite3.connect(tmp_path / "rows.db").close()
    for train, expected in [
        ("train.csv", "train.csv: must be text in UTF-8 or CP932"),
        ("x.parquet", "x.parquet: must be a parquet table"),
        ("x.xlsx", "data.train: .* must exist"),
        ({"sql": "select * from rows", "url": "sqlite:///no.db"}, "data.train: .*no.db must exist"),
        ({"sql": "select * from rows", "url": "sqlite:///rows.db"}, "data.train: the query must run; got no such table: rows"),
        ({"sql": "select 1", "url": "nothing"}, "data.train: the query must run"),
    ]:
        with pytest.raises(DataError, match=expected):
            _csv(tmp_path, train=train)
    assert not (tmp_path / "no.db").exists()


def test_python_mistakes(tmp_path: Path) -> None:
    fields = {"y": {"kind": "label", "target": True}}
    assert mistakes(tmp_path, fields, train={"y": [1, 2], "x": [1]}) == [
        "train: columns must be equally long; got {'y': 2, 'x': 1}."
    ]
    assert "must be a DataFrame" in mistakes(tmp_path, fields, train=[1, 2])[0]
    assert "must be (n,)" in mistakes(tmp_path, fields, train={"y": np.zeros((2, 2))})[0]
    assert mistakes(tmp_path, fields) == ["data.train: must name the training rows; got nothing."]


def test_test_table(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TABLE)
    write(tmp_path / "test.csv", "id,age,sort,y\nx,1,None,yes\ny,2,new,other\n")
    data = _csv(tmp_path, test="test.csv")
    assert data.test is not None
    assert data.test.ids.tolist() == ["x", "y"]
    assert list(data.test.table.columns) == ["age", "sort"]
    assert data.test.classes == data.train.classes
    assert data.warnings == (
        "test.csv y: the target in the test table is left out.",
        "test.csv y: 1 classes are not in the training rows: 'other'.",
        "test.csv sort: 1 classes are not in the training rows: 'new'.",
    )
    write(tmp_path / "test.csv", "id,Age,sort\nx,1,None\n")
    with pytest.raises(DataError) as caught:
        _csv(tmp_path, test="test.csv")
    assert caught.value.mistakes == ["test.csv: field 'age' must be a column; got no column 'age'. Did you mean 'Age'?"]
    write(tmp_path / "test.csv", "id,age,sort\nx,old,None\n")
    with pytest.raises(DataError, match=r"test.csv age: row 'x' must be numbers; got 'old'"):
        _csv(tmp_path, test="test.csv")


def test_versions_of_a_field(tmp_path: Path) -> None:
    number, label = {"kind": "number"}, {"kind": "label"}
    other = {"kind": "number", "column": "b"}
    target = {"y": {"kind": "label", "target": True}}
    rows = {"a": ["1", "2", "1", "2"], "b": [1, 2, 3, 4], "y": list("xyxy")}
    configs = [StudyConfig.model_validate({"fields": {"a": one, **target}}) for one in (number, label, other)]

    def go(*which: int) -> Data:
        versions = {"a": [configs[i].fields["a"] for i in which], "y": [configs[0].fields["y"]]}
        return read_data(configs[0], versions, base=tmp_path, cache=tmp_path, train=rows)

    assert go(0, 1).train.classes["a", "label"] == ("1", "2")
    with pytest.raises(DataError, match=r"fields.a.column: cannot differ between ideas"):
        go(0, 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=8))
def test_take_is_indexing(index: list[int]) -> None:
    table = pd.DataFrame({"y": list("abcdef")})
    ids = np.array(list("uvwxyz"), dtype=object)
    dataset = Dataset(ids, table, {}, {("y", "label"): tuple("abcdef")}, {"y": "d"}, "t")
    taken = dataset.take(np.array(index, dtype=int))
    assert taken.ids.tolist() == ids[index].tolist()
    assert taken.table["y"].tolist() == [table["y"][i] for i in index]
    assert taken.classes == dataset.classes
    assert isinstance(taken.table.index, pd.RangeIndex)


def test_without(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TABLE)
    dataset = _csv(tmp_path).train.without(["y", "nothing"])
    assert list(dataset.table.columns) == ["age", "sort"]
    assert set(dataset.digests) == {"age", "sort"}
    with pytest.raises(KeyError):
        values(dataset, "y")


def test_poison_one_cell(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TABLE)
    before = _csv(tmp_path).train
    write(tmp_path / "train.csv", TABLE.replace("2.5", "2.6"))
    after = _csv(tmp_path).train
    assert {name for name in FIELDS if before.digests[name] != after.digests[name]} == {"age"}
    assert before.digest(["sort", "y"]) == after.digest(["y", "sort"])
    assert before.digest(["age"]) != after.digest(["age"])
    assert before.take([1, 0, 2, 3]).digest(["y"]) != before.digest(["y"])


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=5),
    st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=5),
)
def test_text_digests_tell_texts_apart(one: list[str | None], other: list[str | None]) -> None:
    assert (texts_digest(one) == texts_digest(other)) == (one == other)


def test_number_digests() -> None:
    numbers = pd.Series([1.0, np.nan, 0.0])
    assert column_digest(numbers) == column_digest(pd.Series([1.0, -np.nan, -0.0]))
    assert column_digest(numbers) != column_digest(pd.Series([np.nan, 1.0, 0.0]))
    assert column_digest(pd.Series([1, 2])) == column_digest(pd.Series([1.0, 2.0]))


def test_classes_are_sorted_as_people_do() -> None:
    assert in_order(["10", "9", "-1"]) == ["-1", "9", "10"]
    assert in_order(["b", "a", "10", "9"]) == ["10", "9", "a", "b"]


def test_a_million_numbers_are_quick(tmp_path: Path) -> None:
    import time

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.normal(size=200_000), "sort": rng.integers(0, 9, 200_000), "y": rng.integers(0, 2, 200_000)}
    )
    frame.insert(0, "id", np.arange(200_000))
    frame.to_csv(tmp_path / "train.csv", index=False)
    start = time.perf_counter()
    _csv(tmp_path)
    assert time.perf_counter() - start < 10


def test_import_is_light() -> None:
    code = "import sys, tamesu.data; print([m for m in ('torch', 'cv2', 'sqlalchemy', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
