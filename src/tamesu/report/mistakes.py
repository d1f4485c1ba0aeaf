"""Where the baseline goes wrong: counts per class, and the rows it gets most wrong."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.data import Dataset
from tamesu.results import StudyResult

MAX_WORST = 24  # rows shown
MAX_MATRIX = 60  # classes of a whole confusion matrix; beyond, only the pairs
MAX_PAIRS = 15
MAX_POINTS = 800  # of a scatter
MAX_INPUTS, MAX_TEXT = 6, 40  # columns and characters shown of a row without a picture
TINY = 1e-15  # keeps log(p) finite


def describe_mistakes(result: StudyResult, dataset: Dataset | None) -> dict[str, Any] | None:
    """Counts and worst rows of the out-of-fold predictions; None where there are none."""
    prediction = result.baseline.predictions
    if prediction is None:
        return None
    prediction = np.asarray(prediction, dtype=np.float64)
    scored = np.isfinite(prediction).reshape(len(prediction), -1).all(axis=1)
    if not scored.any():
        return None
    describe = DESCRIBED[result.target_kind]
    found = describe(result, prediction[scored], np.asarray(result.y)[scored])
    rows, loss = np.flatnonzero(scored), found.pop("_loss")
    order = np.argsort(-loss, kind="stable")[:MAX_WORST]
    worst = [{"id": str(result.ids[rows[i]]), "row": int(rows[i]), "loss": loss[i], **found["_row"](i)} for i in order]
    del found["_row"]
    for row, inputs in zip(worst, _inputs_of([rows[i] for i in order], result, dataset), strict=True):
        row["inputs"] = inputs
    return {"kind": result.target_kind, "n_scored": int(scored.sum()), **found, "worst": worst}


def natural_order(classes: tuple[str, ...]) -> list[int]:
    """Positions of the classes as a person counts: speed_2 before speed_10."""
    return sorted(
        range(len(classes)), key=lambda i: [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in _parts(classes[i])]
    )


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"([0-9]+)", text) if part]


def _of_label(result: StudyResult, p: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    order = natural_order(result.classes)
    names, k = result.classes, len(result.classes)
    y = y.astype(int)
    said = p.argmax(axis=1)
    counts = np.zeros((k, k), dtype=int)  # truth, prediction
    np.add.at(counts, (y, said), 1)
    n_true = counts.sum(axis=1)
    pairs = [(int(counts[t, s]), t, s) for t, s in zip(*np.nonzero(counts), strict=True) if t != s]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))

    def row(i: int) -> dict[str, Any]:
        return {
            "truth": names[y[i]],
            "prediction": names[said[i]],
            "probability": p[i, said[i]],
            "truth_probability": p[i, y[i]],
        }

    return {
        "classes": [names[i] for i in order],
        "counts": counts[np.ix_(order, order)] if k <= MAX_MATRIX else None,
        "per_class": [{"class": names[i], "n": int(n_true[i]), "n_right": int(counts[i, i])} for i in order],
        "pairs": [
            {"truth": names[t], "prediction": names[s], "n": n, "n_truth": int(n_true[t])} for n, t, s in pairs[:MAX_PAIRS]
        ],
        "_loss": -np.log(np.maximum(p[np.arange(len(y)), y], TINY)),
        "_row": row,
    }


def _of_labels(result: StudyResult, p: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    names = result.classes
    y = y.astype(bool)
    said = p >= 0.5
    hit, n_true, n_said = (y & said).sum(0), y.sum(0), said.sum(0)
    per_class = [
        {"class": names[i], "n": int(n_true[i]), "n_said": int(n_said[i]), "n_right": int(hit[i])} for i in natural_order(names)
    ]

    def listed(mask: NDArray[np.bool_]) -> str:
        return ", ".join(names[j] for j in np.flatnonzero(mask))

    def row(i: int) -> dict[str, Any]:
        return {
            "truth": listed(y[i]),
            "prediction": listed(said[i]),
            "missed": listed(y[i] & ~said[i]),
            "extra": listed(~y[i] & said[i]),
        }

    right = np.where(y, p, 1 - p)
    return {"per_class": per_class, "_loss": -np.log(np.maximum(right, TINY)).sum(axis=1), "_row": row}


def _of_number(result: StudyResult, prediction: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    y = y.astype(np.float64)
    said = prediction
    if (period := result.target_period) is not None:  # drawn the short way round
        prediction = y + (prediction - y + period / 2) % period - period / 2
    off = np.abs(prediction - y)
    shown = np.arange(len(y))
    if len(y) > MAX_POINTS:
        shown = np.sort(np.random.default_rng(0).choice(len(y), MAX_POINTS, replace=False))
    return {
        "points": np.stack([y[shown], prediction[shown]], axis=1),
        "off_by": _off_by(off),
        "_loss": off,
        "_row": lambda i: {"truth": y[i], "prediction": said[i]},
    }


def _of_steps(result: StudyResult, p: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    """A class at every step, counted over the known steps of all rows."""
    p, k = p[:, : y.shape[1]], len(result.classes)
    known: NDArray[np.bool_] = (y >= 0) & np.asarray(np.isfinite(p).all(axis=2))
    said = np.nan_to_num(p).argmax(axis=2)
    counts = np.zeros((k, k), dtype=int)  # truth, prediction
    np.add.at(counts, (y[known], said[known]), 1)
    order = natural_order(result.classes)
    n_known = np.maximum(known.sum(axis=1), 1)
    right = ((said == y) & known).sum(axis=1) / n_known
    shares = np.take_along_axis(p, np.maximum(y, 0)[:, :, None], axis=2)[:, :, 0]
    loss = np.where(known, -np.log(np.maximum(np.nan_to_num(shares), TINY)), 0.0).sum(axis=1) / n_known

    def row(i: int) -> dict[str, Any]:
        wrong = known[i] & (said[i] != y[i])
        pairs = np.bincount(y[i][wrong] * k + said[i][wrong], minlength=k * k)
        truth, prediction = divmod(int(pairs.argmax()), k)
        often = bool(wrong.any())
        return {
            "truth": result.classes[truth] if often else "",
            "prediction": result.classes[prediction] if often else "",
            "probability": right[i],
            "truth_probability": float(np.exp(-loss[i])),
        }

    return {
        "classes": [result.classes[i] for i in order],
        "counts": counts[np.ix_(order, order)] if k <= MAX_MATRIX else None,
        "per_class": [{"class": result.classes[i], "n": int(counts[i].sum()), "n_right": int(counts[i, i])} for i in order],
        "pairs": [],
        "_loss": loss,
        "_row": row,
    }


def _of_places(result: StudyResult, prediction: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    """Vectors (n, k), or points (n, k, 2) with NaN where one is not seen."""
    distance = np.sqrt(((prediction - y) ** 2).sum(axis=-1)).reshape(len(y), -1)
    seen = ~np.isnan(distance)
    off = np.where(seen, distance, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return {
        "off_by": _off_by(off),
        "_loss": off,
        "_row": lambda i: {"truth": y[i].tolist(), "prediction": prediction[i].tolist()},
    }


def _of_events(result: StudyResult, prediction: NDArray[np.float64], y: NDArray[Any]) -> dict[str, Any]:
    """(n, k, m) true times, NaN for none, and (n, k, m, 2) of times and sureness: how far the nearest surest lies from each."""
    times = np.where(prediction[..., 1] > 0, prediction[..., 0], np.inf)
    away = np.abs(y[:, :, :, None] - times[:, :, None, :]).min(axis=3)  # to the nearest predicted of its kind
    there = ~np.isnan(y) & np.isfinite(away)
    off = np.where(there, away, 0).reshape(len(y), -1).sum(axis=1) / np.maximum(there.reshape(len(y), -1).sum(axis=1), 1)
    return {
        "off_by": _off_by(off),
        "_loss": off,
        "_row": lambda i: {"truth": y[i][~np.isnan(y[i])].tolist(), "prediction": times[i][np.isfinite(times[i])].tolist()},
    }


def _off_by(off: NDArray[np.float64]) -> dict[str, Any]:
    return {"median": np.median(off), "90%": np.quantile(off, 0.9), "max": off.max()}


DESCRIBED = {
    "label": _of_label,
    "direction": _of_label,
    "labels": _of_labels,
    "number": _of_number,
    "angle": _of_number,
    "vector": _of_places,
    "points": _of_places,
    "steps": _of_steps,
    "shares": _of_places,
    "numbers": _of_places,
    "events": _of_events,
}


def _inputs_of(rows: list[int], result: StudyResult, dataset: Dataset | None) -> list[dict[str, str]]:
    """What the table says about the rows: for people who have no picture to look at."""
    if dataset is None:
        return [{} for _ in rows]
    at = {str(name): i for i, name in enumerate(dataset.ids)}
    columns = [name for name in dataset.table.columns if name != result.target][:MAX_INPUTS]
    found: list[dict[str, str]] = []
    for row in rows:
        i = at.get(str(result.ids[row]))
        cells = {} if i is None else {str(c): dataset.table[c].iloc[i] for c in columns}
        found.append({name: _short(value) for name, value in cells.items()})
    return found


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
