"""Predictions for the test rows as the file to hand in, checked against the sample that shows what it must look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.classes import ONE_CLASS
from tamesu.errors import DataError, suggest
from tamesu.fields import EventsField, Field, LabelsField, PointsField, as_text, some_rows
from tamesu.step_tables import event_table, step_table
from tamesu.targets import make_target
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.plan import Plan
    from tamesu.store import Store

PROBABILITY_METRICS = frozenset({"auc", "average_precision", "log_loss", "brier"})
SEVERAL = frozenset({"vector", "points", "shares", "numbers"})  # kinds whose prediction is several numbers a row
LIKELY = 0.5  # of many labels, those at least this likely are named


def predict_test(plan: Plan, store: Store, *, base: Path) -> pd.DataFrame:
    """Mean prediction of the baseline's fold models for the test rows, as a submission.

    Args:
        plan: The study; its baseline's first repeat must be trained.
        store: Where the models are.
        base: The study's folder.

    Raises:
        DataError: The sample submission and the test rows do not fit each other.
    """
    from tamesu.learners.base import load_fitted

    test = plan.data.test
    assert test is not None, "the caller checks that there are test rows"
    name, field = plan.baseline.recipe.target
    data = plan.config.data
    sample = None if data.sample_submission is None else read_sample(base / data.sample_submission, data.sample_submission)
    id_name = data.id or "id"
    if sample is not None:  # before hours of prediction
        _check_ids(test.ids, sample, data.sample_submission or "", id_name)
    folds = [
        np.asarray(load_fitted(store.model_path(plan.trial(plan.baseline, 0, fold).key)).predict(test)[name], dtype=np.float64)
        for fold in range(plan.n_splits)
    ]
    return make_submission(
        test.ids,
        make_target(name, field, plan.classes).join(np.stack(folds)),
        name=name,
        field=field,
        classes=plan.classes,
        id_name=id_name,
        sample=sample,
        where=data.sample_submission or "",
        probability=plan.config.metric in PROBABILITY_METRICS,
    )


def make_submission(
    ids: NDArray[np.object_],
    prediction: NDArray[Any],
    *,
    name: str,
    field: Field,
    classes: Sequence[str],
    id_name: str = "id",
    sample: pd.DataFrame | None = None,
    where: str = "sample_submission.csv",
    probability: bool = False,
) -> pd.DataFrame:
    """Predictions as a table to hand in: with a sample its ids, order and columns; without one id, prediction, probabilities.

    Args:
        ids: Test rows.  (n,)
        prediction: Probabilities (n, k), values (n,) of a number or an angle, or (n, k) and (n, k, 2) of vectors and points.
        name: The target.
        field: What the target is.
        classes: Of the target, in the order of the probabilities; none for a number.
        id_name: Column of ids where there is no sample.
        sample: Every cell as text.
        where: What messages call the sample.
        probability: Of two classes, whether a single column is the probability of the second rather than a class.

    Raises:
        DataError: Ids or columns of the sample do not fit the predictions; all mistakes together.
    """
    if sample is None:
        return _plain(ids, prediction, name, field, classes, id_name)
    id_column = _check_ids(ids, sample, where, id_name)
    places = pd.Series(np.arange(len(ids)), index=ids)
    rows = places[[as_text(one) for one in sample[id_column]]].to_numpy()
    wanted = [column for column in sample.columns if column != id_column]
    columns = _columns(sample, wanted, prediction[rows], field, classes, where, probability)
    frame = pd.DataFrame({column: sample[id_column] if column == id_column else columns[column] for column in sample.columns})
    check_submission(frame, sample, where, id_column)
    return frame


def check_submission(frame: pd.DataFrame, sample: pd.DataFrame, where: str, id_column: str | None = None) -> None:
    """Refuse a submission that a competition would refuse.

    Args:
        frame: To hand in.
        sample: What it must look like.
        where: What messages call the sample.
        id_column: By default the sample's first.

    Raises:
        DataError: Other columns, ids or order than the sample's, or empty cells; all mistakes together.
    """
    mistakes = []
    if list(frame.columns) != list(sample.columns):
        text = say(
            "{where}: columns must be {wanted}; got {got}.", where=where, wanted=list(sample.columns), got=list(frame.columns)
        )
        raise DataError(text)
    id_column = id_column or str(sample.columns[0])
    ids = np.array([as_text(one) for one in frame[id_column]], dtype=object)
    wanted = np.array([as_text(one) for one in sample[id_column]], dtype=object)
    mistakes += _id_mistakes(ids, wanted, where)
    if not mistakes and (ids != wanted).any():
        mistakes.append(
            say(
                "{where}: ids must be in the sample's order; row {row} differs.", where=where, row=int((ids != wanted).argmax())
            )
        )
    for column in frame.columns:
        empty = frame[column].isna().to_numpy()
        if empty.any() and not sample[column].isna().all():
            mistakes.append(
                say(
                    "{where} {column}: {rows} must have a value; got none.",
                    where=where,
                    column=column,
                    rows=some_rows(ids, empty),
                )
            )
    if mistakes:
        raise DataError(mistakes)


def read_sample(path: Path, where: str) -> pd.DataFrame:
    """A sample submission with every cell as text.

    Raises:
        DataError: It is not there or is no table.
    """
    from tamesu.sources import read_source

    frame = read_source(
        path.name, key="data.sample_submission", base=path.parent, root=path.parent, numbers=(), used=None
    ).frame
    if len(frame.columns) < 2 or len(frame) == 0:
        raise DataError(
            say("{where}: must have a column of ids and one to predict, and rows; got {n}.", where=where, n=frame.shape)
        )
    return frame


def _plain(
    ids: NDArray[np.object_], prediction: NDArray[Any], name: str, field: Field, classes: Sequence[str], id_name: str
) -> pd.DataFrame:
    if field.kind == "steps":
        return step_table(ids, prediction, classes, id_name)
    if isinstance(field, EventsField):
        return event_table(ids, prediction, field.names, id_name)
    frame = pd.DataFrame({id_name: ids})
    if field.kind in ("number", "angle"):
        frame["prediction"] = prediction
        return frame
    if field.kind in SEVERAL:
        flat = pd.DataFrame(prediction.reshape(len(ids), -1), columns=list(value_names(field)))
        return pd.concat([frame, flat], axis=1)
    frame["prediction"] = _names(prediction, field, classes)
    shares = pd.DataFrame(prediction, columns=[f"p_{one}" for one in classes])
    return pd.concat([frame, shares], axis=1)


def _names(prediction: NDArray[Any], field: Field, classes: Sequence[str]) -> NDArray[np.object_]:
    """The likeliest class, or all likely ones joined."""
    if isinstance(field, LabelsField):
        joined = [
            field.separator.join(one for one, share in zip(classes, row, strict=True) if share >= LIKELY) for row in prediction
        ]
        return np.array(joined, dtype=object)
    return np.array(classes, dtype=object)[prediction.argmax(axis=1)]


def _columns(
    sample: pd.DataFrame,
    wanted: list[str],
    prediction: NDArray[Any],
    field: Field,
    classes: Sequence[str],
    where: str,
    probability: bool,
) -> dict[str, NDArray[Any]]:
    """What goes under each column of the sample beside the id."""
    if field.kind in ("number", "angle"):
        if len(wanted) != 1:
            raise DataError(
                say("{where}: must have one column beside the id for a number; got {got}.", where=where, got=wanted)
            )
        return {wanted[0]: prediction}
    if field.kind in ("steps", "events"):
        text = say("{where}: predictions of a class at every step are written without a sample; take it out.", where=where)
        raise DataError(text)
    if field.kind in SEVERAL:
        return _value_columns(wanted, prediction.reshape(len(prediction), -1), value_names(field), where)
    if len(wanted) == 1 and wanted[0] not in classes:
        if field.kind in ONE_CLASS and len(classes) == 2 and (probability or _holds_decimals(sample[wanted[0]])):
            return {wanted[0]: prediction[:, 1]}
        return {wanted[0]: _names(prediction, field, classes)}
    found = {column: _class_of(column, classes) for column in wanted}
    mistakes = [
        say("{where}: column {column!r} must be a class.{near}", where=where, column=column, near=suggest(column, classes))
        for column, one in found.items()
        if one is None
    ]
    lacking = [one for one in classes if one not in found.values()]
    if lacking and not mistakes:
        mistakes.append(say("{where}: must have a column for every class; {classes} have none.", where=where, classes=lacking))
    if mistakes:
        raise DataError(mistakes)
    return {column: prediction[:, list(classes).index(str(one))] for column, one in found.items()}


def value_names(field: Field) -> tuple[str, ...]:
    """Names of the single numbers of a field of a kind in `SEVERAL`: its columns, or x, y, z, or `<point>_x`, `<point>_y`."""
    if isinstance(field, PointsField) and not field.cell_columns:
        return tuple(f"{point}_{axis}" for point in field.point_names for axis in "xy")
    return field.cell_columns or ("x", "y", "z")[: getattr(field, "n_numbers", 2)]


def _value_columns(wanted: list[str], values: NDArray[Any], names: tuple[str, ...], where: str) -> dict[str, NDArray[Any]]:
    """Several numbers a row under the sample's columns: by their names where those are the same, else in their order."""
    if len(wanted) != len(names):
        raise DataError(
            say(
                "{where}: must have {n} columns beside the id, for {names}; got {got}.",
                where=where,
                n=len(names),
                names=list(names),
                got=wanted,
            )
        )
    order = list(names) if set(names) == set(wanted) else wanted
    return {column: values[:, order.index(column)] for column in wanted}


def _class_of(column: str, classes: Sequence[str]) -> str | None:
    """The class a column is named after: `cat`, or `p_cat` where no other class fits."""
    if column in classes:
        return column
    ends = [one for one in classes if column.endswith(f"_{one}")]
    return max(ends, key=len) if ends else None


def _holds_decimals(column: pd.Series) -> bool:
    values = pd.to_numeric(column, errors="coerce")
    return bool(values.notna().all() and (values % 1 != 0).any())


def _check_ids(ids: NDArray[np.object_], sample: pd.DataFrame, where: str, id_name: str) -> str:
    """The sample's column of ids, which must be those of the test rows."""
    id_column = id_name if id_name in sample.columns else str(sample.columns[0])
    wanted = np.array([as_text(one) for one in sample[id_column]], dtype=object)
    mistakes = _id_mistakes(ids, wanted, f"{where} {id_column}")
    if mistakes:
        if not set(ids) & set(wanted):
            mistakes.append(say("data.id: no id of {where} is a test row's; name the column of ids in data.id.", where=where))
        raise DataError(mistakes)
    return id_column


def _id_mistakes(ids: NDArray[np.object_], wanted: NDArray[np.object_], where: str) -> list[str]:
    twice, again = pd.Series(wanted).duplicated().to_numpy(), pd.Series(ids).duplicated().to_numpy()
    lacking, extra = ~pd.Series(wanted).isin(set(ids)).to_numpy(), ~pd.Series(ids).isin(set(wanted)).to_numpy()
    mistakes = []
    if twice.any():
        mistakes.append(
            say("{where}: ids must be unique; got {rows} more than once.", where=where, rows=some_rows(wanted, twice))
        )
    if again.any():
        mistakes.append(say("{where}: {rows} must be predicted once; got more.", where=where, rows=some_rows(ids, again)))
    if lacking.any():
        mistakes.append(
            say(
                "{where}: {rows} must be predicted; the test rows have no such ids.",
                where=where,
                rows=some_rows(wanted, lacking),
            )
        )
    if extra.any():
        mistakes.append(
            say(
                "{where}: {rows} of the test rows must be in the sample; they are not.", where=where, rows=some_rows(ids, extra)
            )
        )
    return mistakes
