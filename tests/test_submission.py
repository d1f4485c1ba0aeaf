"""A submission has the sample's ids, order and columns, or is refused with every reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamesu.errors import DataError
from tamesu.fields import AngleField, DirectionField, Field, LabelField, LabelsField, NumberField, PointsField, VectorField
from tamesu.submission import check_submission, make_submission, read_sample

LABEL = LabelField(target=True)
IDS = np.array(["a", "b", "c"], dtype=object)
SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]])
CLASSES = ("cat", "dog", "owl")


def make(prediction: Any, field: Field = LABEL, sample: dict[str, list[str]] | None = None, **options: Any) -> pd.DataFrame:
    options = {"classes": CLASSES if field.kind != "number" else (), "where": "sample.csv", **options}
    frame = None if sample is None else pd.DataFrame(sample)
    return make_submission(IDS, np.asarray(prediction), name="y", field=field, sample=frame, **options)


def test_without_a_sample() -> None:
    frame = make(SHARES, id_name="name")
    assert frame.to_dict("list") == {
        "name": ["a", "b", "c"],
        "prediction": ["cat", "owl", "dog"],
        "p_cat": [0.7, 0.1, 0.2],
        "p_dog": [0.2, 0.3, 0.5],
        "p_owl": [0.1, 0.6, 0.3],
    }
    assert make([1.5, 2, 3], NumberField(target=True)).to_dict("list") == {"id": ["a", "b", "c"], "prediction": [1.5, 2, 3]}


@given(st.permutations(["a", "b", "c"]))
def test_order_of_the_sample_is_followed(order: list[str]) -> None:
    frame = make([1, 2, 3], NumberField(target=True), {"row": order, "price": ["0"] * 3})
    assert frame["row"].tolist() == order
    assert dict(zip(frame["row"], frame["price"], strict=True)) == {"a": 1, "b": 2, "c": 3}


def test_a_class_in_one_column() -> None:
    frame = make(SHARES, sample={"id": ["c", "a", "b"], "y": ["cat"] * 3})
    assert frame.to_dict("list") == {"id": ["c", "a", "b"], "y": ["dog", "cat", "owl"]}


@pytest.mark.parametrize("prefix", ["", "p_", "class_"])
def test_a_column_for_each_class(prefix: str) -> None:
    frame = make(SHARES, sample={"id": ["b", "a", "c"], **{prefix + one: ["0"] * 3 for one in ("owl", "cat", "dog")}})
    assert frame[prefix + "owl"].tolist() == [0.6, 0.1, 0.3]
    assert frame[prefix + "cat"].tolist() == [0.1, 0.7, 0.2]


def test_one_column_of_two_classes() -> None:
    two = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    for cells, probability, expected in [
        (["0", "0", "0"], False, ["0", "1", "0"]),
        (["0.5"] * 3, False, [0.1, 0.8, 0.4]),
        (["0"] * 3, True, [0.1, 0.8, 0.4]),
    ]:
        frame = make(two, classes=("0", "1"), sample={"id": ["a", "b", "c"], "y": cells}, probability=probability)
        assert frame["y"].tolist() == expected


def test_many_labels() -> None:
    field = LabelsField(target=True, separator="|")
    shares = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3], [0.0, 0.0, 1.0]])
    assert make(shares, field, {"id": ["a", "b", "c"], "tags": [""] * 3})["tags"].tolist() == ["cat|dog", "", "owl"]
    assert make(shares, field, {"id": ["a", "b", "c"], **dict.fromkeys(CLASSES, ["0"] * 3)})["owl"].tolist() == [0.1, 0.3, 1.0]


def test_ids_that_do_not_fit() -> None:
    with pytest.raises(DataError) as caught:
        make(SHARES, sample={"id": ["a", "a", "d"], "y": ["cat"] * 3})
    assert caught.value.mistakes == [
        "sample.csv id: ids must be unique; got row 'a' more than once.",
        "sample.csv id: row 'd' must be predicted; the test rows have no such ids.",
        "sample.csv id: rows 'b', 'c' of the test rows must be in the sample; they are not.",
    ]
    with pytest.raises(DataError, match=r"name the column of ids in data\.id"):
        make(SHARES, sample={"id": ["x", "y", "z"], "y": ["cat"] * 3})


def test_columns_that_do_not_fit() -> None:
    ids = {"id": ["a", "b", "c"]}
    with pytest.raises(DataError, match=r"column 'dgo' must be a class. Did you mean 'dog'\?"):
        make(SHARES, sample={**ids, "cat": [""] * 3, "dgo": [""] * 3, "owl": [""] * 3})
    with pytest.raises(DataError, match=r"must have a column for every class; \['owl'\] have none"):
        make(SHARES, sample={**ids, "cat": [""] * 3, "dog": [""] * 3})
    with pytest.raises(DataError, match="one column beside the id for a number"):
        make([1, 2, 3], NumberField(target=True), {**ids, "x": [""] * 3, "y": [""] * 3})


def test_check_of_a_finished_file() -> None:
    sample = pd.DataFrame({"id": ["a", "b"], "y": ["0", "0"]})
    check_submission(sample, sample, "s.csv")
    with pytest.raises(DataError, match="columns must be"):
        check_submission(sample[["y", "id"]], sample, "s.csv")
    with pytest.raises(DataError, match="in the sample's order; row 0 differs"):
        check_submission(sample.iloc[::-1].reset_index(drop=True), sample, "s.csv")
    with pytest.raises(DataError, match=r"s.csv y: row 'b' must have a value"):
        check_submission(sample.assign(y=["0", None]), sample, "s.csv")


def test_sample_is_text(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id,y\n007,NA\n", encoding="utf-8")
    assert read_sample(tmp_path / "sample.csv", "sample.csv").to_dict("list") == {"id": ["007"], "y": ["NA"]}
    (tmp_path / "sample.csv").write_text("id\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match="must have a column of ids and one to predict"):
        read_sample(tmp_path / "sample.csv", "sample.csv")


WIND = VectorField(target=True, columns=("u", "v"))
EYES = PointsField(target=True, names=("left", "right"))
PLACES = np.arange(12.0).reshape(3, 2, 2)


def test_arrows_and_places_are_several_columns() -> None:
    wind, eyes = make(np.arange(6.0).reshape(3, 2), WIND, classes=()), make(PLACES, EYES, classes=())
    assert wind.to_dict("list") == {"id": ["a", "b", "c"], "u": [0, 2, 4], "v": [1, 3, 5]}
    assert list(eyes.columns) == ["id", "left_x", "left_y", "right_x", "right_y"]
    assert eyes.loc[1].tolist() == ["b", 4, 5, 6, 7]
    assert make([1.0, 2.0, 3.0], AngleField(target=True), classes=())["prediction"].tolist() == [1, 2, 3]


def test_several_columns_follow_the_sample_by_name_or_in_order() -> None:
    named = make(np.arange(6.0).reshape(3, 2), WIND, {"id": ["c", "a", "b"], "v": ["0"] * 3, "u": ["0"] * 3}, classes=())
    assert named.to_dict("list") == {"id": ["c", "a", "b"], "v": [5, 1, 3], "u": [4, 0, 2]}
    places = make(PLACES, EYES, {"id": ["b", "a", "c"], **{f"c{i}": ["0"] * 3 for i in range(4)}}, classes=())
    assert places.loc[0].tolist() == ["b", 4, 5, 6, 7]
    with pytest.raises(DataError, match=r"sample.csv: must have 2 columns beside the id, for \['u', 'v'\]; got \['u'\]"):
        make(np.zeros((3, 2)), WIND, {"id": ["a", "b", "c"], "u": ["0"] * 3}, classes=())


def test_a_direction_is_handed_in_as_a_class() -> None:
    field = DirectionField(target=True, angles={"cat": 0, "dog": 90, "owl": 180})
    assert make(SHARES, field, {"id": ["c", "a", "b"], "y": ["cat"] * 3})["y"].tolist() == ["dog", "cat", "owl"]
