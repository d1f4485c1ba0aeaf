"""Labels that are probably wrong, from what a model said of rows it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.fields import as_text
from tamesu.look.finding import ROWS_SHOWN, Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import wilson
from tamesu.texts import say

MIN_ROWS = 50
MIN_FRACTION = 0.005  # of wrong labels: what the lower end of its interval must be above
MIN_KAPPA = 0.6  # a model that is right less often beyond chance knows too little to contradict a label
MIN_RECALL = 0.5  # of a class, for its labels to be doubted: one the model does not know is always contradicted
MIN_FLATNESS = 0.3  # errors of the surest quarter over those of the surest half: hard rows grow rare there, wrong labels do not
MIN_ROBUST_Z = 6.0  # of a residual
MAX_PAIRS = 20  # in the figures
MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Doubts:
    """Labels that confident learning takes for wrong.

    Attributes:
        rows: The least credible first.  (m,)
        proposed: The class that is more credible.  (m,)
        margins: Probability of the label less that of the best other class; -1 to 1.  (m,)
        joint: Estimated share of rows by label (first axis) and true class; sums to 1.  (k, k)
    """

    rows: NDArray[np.int64]
    proposed: NDArray[np.int64]
    margins: NDArray[np.float64]
    joint: NDArray[np.float64]


def doubt_labels(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Doubts:
    """Confident learning: rows that `prune by both` takes out, ranked by their normalised margin.

    Args:
        probabilities: Out-of-fold.  (n, k)
        labels: As given.  (n,)

    Source:
        Northcutt, Jiang & Chuang (2021), Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of Artificial
        Intelligence Research 70: equations 1 to 3 (thresholds, confident joint, joint), section 3.2 (pruning).
    """
    n, k = probabilities.shape
    joint = joint_of(confident_joint(probabilities, labels), labels)
    own = probabilities[np.arange(n), labels]
    by_class, by_noise_rate = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for given in range(k):
        rows = np.flatnonzero(labels == given)
        n_wrong = _count(n * (joint[given].sum() - joint[given, given]))
        by_class[rows[np.argsort(own[rows], kind="stable")[:n_wrong]]] = True
        for other in np.flatnonzero(joint[given] > 0):
            if other != given:
                margins = own[rows] - probabilities[rows, other]
                by_noise_rate[rows[np.argsort(margins, kind="stable")[: _count(n * joint[given, other])]]] = True
    order, proposed, margins = rank_labels(probabilities, labels)
    rows = order[(by_class & by_noise_rate & (margins < 0))[order]]
    return Doubts(rows, proposed[rows], margins[rows], joint)


def rank_labels(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows from the least to the most credible label, and of each row the best other class and the normalised margin.

    Source:
        Northcutt, Jiang & Chuang (2021), section 3.2: p(label) less the largest p(other).
    """
    own = probabilities[np.arange(len(labels)), labels]
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    margins = own - others.max(axis=1)
    return np.argsort(margins, kind="stable"), others.argmax(axis=1), margins


def confident_joint(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows by label and by the class they are confidently counted as.  (k, k)

    A row counts for the most probable of the classes whose threshold it reaches; one that reaches none is not counted.
    A class' threshold is the mean probability of that class among the rows labelled with it.
    """
    k = probabilities.shape[1]
    sums = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=k)
    counts = np.bincount(labels, minlength=k)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    reached = probabilities >= thresholds - 1e-12  # a class of equal probabilities reaches its mean in spite of rounding
    counted = np.where(reached, probabilities, -1.0).argmax(axis=1)
    sure = reached.any(axis=1)
    return np.bincount(labels[sure] * k + counted[sure], minlength=k * k).reshape(k, k)


def joint_of(counts: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The confident joint, scaled so that each label has the share of rows it has.  (k, k)"""
    of_label = np.bincount(labels, minlength=len(counts)).astype(np.float64)
    sums = counts.sum(axis=1)
    shares = np.divide(counts, sums[:, None], out=np.eye(len(counts)), where=sums[:, None] > 0)
    joint: NDArray[np.float64] = shares * of_label[:, None] / max(1.0, of_label.sum())
    return joint


def find_label_errors(
    material: Material,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    out_of_fold: pd.DataFrame | None = None,
) -> Part:
    """Labels and numbers of the target that a model fitted on other rows contradicts.

    Args:
        material: What was read.
        progress: Not told anything: this takes no time.
        out_of_fold: As `tamesu fit` writes it: id, target, prediction, and for classes `p_<class>`. None: there is none yet.
    """
    if out_of_fold is None or len(out_of_fold) == 0:
        return Part(figures={"needs": say("Run `tamesu fit` first: its out-of-fold predictions say which labels look wrong.")})
    target = _target(material, out_of_fold)
    if target is None:
        return Part(
            warnings=(say("label errors: the out-of-fold predictions are not of this target; run `tamesu fit` again."),)
        )
    shares = [name for name in out_of_fold.columns if str(name).startswith("p_")]
    if shares:
        return _find_classes(material, out_of_fold, target, shares)
    return _find_numbers(material, out_of_fold, target)


def _find_classes(material: Material, frame: pd.DataFrame, target: str, shares: list[str]) -> Part:
    classes = [name.removeprefix("p_") for name in shares]
    place = {name: i for i, name in enumerate(classes)}
    labels = np.array([place.get(as_text(one), -1) for one in frame[target]], dtype=np.int64)
    values = frame[shares].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    rows = _rows_of(material, frame)
    same = _unchanged(material, rows, [classes[code] if code >= 0 else "" for code in labels])
    known = (labels >= 0) & np.isfinite(values).all(axis=1)
    warnings = _warnings(known, same)
    used = np.flatnonzero(known & same)
    if len(used) < MIN_ROWS or len(classes) < 2:
        return Part(warnings=(*warnings, _too_few(len(used))))
    p, y = values[used], labels[used]
    doubts = doubt_labels(p, y)
    told = p.argmax(axis=1)
    recall = np.array([(told[y == one] == one).mean() if (y == one).any() else 0.0 for one in range(len(classes))])
    fraction, low, high, flatness = wrong_fraction(p.max(axis=1), told != y, recall[y] >= MIN_RECALL)
    order, proposed_of, _ = rank_labels(p, y)
    in_doubt = order[(told[order] != y[order]) & (recall[y[order]] >= MIN_RECALL)]
    listed = in_doubt[: max(1, _count(fraction * len(used)))]  # so many are wrong by the estimate: precision equals recall
    proposed = proposed_of[listed]
    kappa = _kappa(told, y, len(classes))
    figures = {
        "n": len(used),
        "accuracy": round(float((told == y).mean()), 4),
        "kappa": round(kappa, 4),
        "wrong_fraction": round(fraction, 5),
        "interval": [round(low, 5), round(high, 5)],
        "confident_joint_fraction": round(float(1 - np.trace(doubts.joint)), 5),
        "n_confident": len(doubts.rows),
        "n_listed": len(listed),
        "pairs": _pairs(y[listed], proposed, classes),
    }
    if kappa < MIN_KAPPA or low <= MIN_FRACTION or flatness < MIN_FLATNESS or len(listed) == 0:
        return Part(figures=figures, warnings=warnings)
    ids = [as_text(one) for one in frame.iloc[used[listed[:ROWS_SHOWN]], 0]]
    table = [
        [ids[i], classes[y[row]], classes[proposed[i]], round(float(p[row, proposed[i]]), 3)]
        for i, row in enumerate(listed[:ROWS_SHOWN])
    ]
    finding = Finding(
        "label_error",
        say(
            "`{target}`: about {fraction} % of the labels look wrong ({low} to {high} %): the model, fitted without them, "
            "contradicts {n} of {total}.",
            target=target,
            fraction=f"{100 * fraction:.1f}",
            low=f"{100 * low:.1f}",
            high=f"{100 * high:.1f}",
            n=f"{len(listed):,}",
            total=f"{len(used):,}",
        ),
        strength=0.5 + min(0.4, 4 * low),
        fields=(target,),
        labels=tuple(dict.fromkeys(classes[one] for one in y[listed])),
        rows=tuple(ids),
        interval=(low, high),
        suggestion=_look_at_them(),
        evidence={"proposals": [row[:3] for row in table], "table": {"head": [*_head(), "p"], "rows": table}},
    )
    return Part((finding,), figures, warnings)


def wrong_fraction(
    confidence: NDArray[np.float64], contradicts: NDArray[np.bool_], eligible: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """The share of wrong labels where the model is surest, with its 95 % interval and how flat it is there.

    Where labels are right and rows merely hard, errors vanish as the model grows sure; wrong labels are as frequent among sure
    rows as among others. So the surest half of the rows tells their share, and that its surest quarter does not have far fewer.

    Args:
        confidence: The largest probability of each row.  (n,)
        contradicts: The model says another class than the label.  (n,)
        eligible: The model knows the class that the label names.  (n,)

    Returns:
        Share, its lower and upper end, and the surest quarter's share over that of the half (0 where that has none).
    """
    order = np.argsort(-confidence[eligible], kind="stable")
    wrong = contradicts[eligible][order]
    half, quarter = wrong[: len(wrong) // 2], wrong[: len(wrong) // 4]
    if len(quarter) == 0:
        return 0.0, 0.0, 1.0, 0.0
    fraction = float(half.mean())
    low, high = wilson(int(half.sum()), len(half))
    return fraction, low, high, float(quarter.mean()) / fraction if fraction > 0 else 0.0


def _find_numbers(material: Material, frame: pd.DataFrame, target: str) -> Part:
    if "prediction" not in frame.columns:
        return Part(warnings=(say("label errors: only classes and numbers are judged; `{target}` is neither.", target=target),))
    given = pd.to_numeric(frame[target], errors="coerce").to_numpy(dtype=np.float64)
    told = pd.to_numeric(frame["prediction"], errors="coerce").to_numpy(dtype=np.float64)
    if material.target_kind == "angle":  # the shortest way round: rows on both sides of a full turn are close
        return Part(warnings=(say("label errors: only classes and numbers are judged; `{target}` is neither.", target=target),))
    known = np.isfinite(given) & np.isfinite(told)
    used = np.flatnonzero(known)
    warnings = _warnings(known, np.ones(len(known), dtype=bool))
    if len(used) < MIN_ROWS:
        return Part(warnings=(*warnings, _too_few(len(used))))
    z, threshold = robust_z(given[used] - told[used])
    order = np.argsort(-np.abs(z), kind="stable")
    far = order[np.abs(z[order]) > threshold]
    figures = {"n": len(used), "threshold_z": round(threshold, 2), "n_listed": len(far)}
    if len(far) == 0:
        return Part(figures=figures, warnings=warnings)
    at = used[far[:ROWS_SHOWN]]
    ids = [as_text(one) for one in frame.iloc[at, 0]]
    numbers = [f"{z[row]:.1f}" for row in far[:ROWS_SHOWN]]
    proposals = [[i, f"{given[r]:.6g}", f"{told[r]:.6g}"] for i, r in zip(ids, at, strict=True)]
    low, high = wilson(len(far), len(used))
    finding = Finding(
        "label_error",
        say(
            "`{target}`: {n} of {total} numbers lie further from what the model says than its errors explain, up to {z} times "
            "their usual spread.",
            target=target,
            n=f"{len(far):,}",
            total=f"{len(used):,}",
            z=f"{abs(z[far[0]]):.0f}",
        ),
        strength=0.5 + min(0.4, 4 * low),
        fields=(target,),
        rows=tuple(ids),
        interval=(low, high),
        suggestion=_look_at_them(),
        evidence={
            "proposals": proposals,
            "table": {
                "head": [*_head(), "z"],
                "rows": [[*one, s] for one, s in zip(proposals, numbers, strict=True)],
            },
        },
    )
    return Part((finding,), figures, warnings)


def robust_z(residuals: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Residuals in units of their spread, and the size beyond which their own distribution has none.

    The bound continues the tail between its 90th and 97th percentile as a power law to one row in ten such sets, which is
    generous to heavy tails; it is never below `MIN_ROBUST_Z`.
    """
    middle = np.median(residuals)
    spread = MAD_TO_SD * float(np.median(np.abs(residuals - middle)))
    if spread == 0:  # more than half are predicted exactly: no unit to measure the others by
        return np.zeros(len(residuals)), float("inf")
    z = (residuals - middle) / spread
    near, far = np.quantile(np.abs(z), [0.90, 0.97])
    power = np.log(far / near) / np.log(0.10 / 0.03)
    return z, float(max(MIN_ROBUST_Z, near * (0.10 * 10 * len(z)) ** power))


def _target(material: Material, frame: pd.DataFrame) -> str | None:
    """The target's column in the predictions, which are called as the field is."""
    column = material.columns.get(material.target)
    names = [material.target, column.field if column is not None else ""]
    return next((name for name in names if name and name in frame.columns[1:]), None)


def _rows_of(material: Material, frame: pd.DataFrame) -> NDArray[np.int64]:
    """The training row of each prediction; -1 where there is none.  (n,)"""
    train = np.flatnonzero(material.is_train)
    found = pd.Index([as_text(one) for one in material.ids[train]])
    if not found.is_unique:
        return np.full(len(frame), -1)
    at = found.get_indexer(pd.Index([as_text(one) for one in frame.iloc[:, 0]]))
    return np.where(at >= 0, train[at], -1) if len(train) else np.full(len(frame), -1)


def _unchanged(material: Material, rows: NDArray[np.int64], given: list[str]) -> NDArray[np.bool_]:
    """Rows whose label is still the one the model was fitted with; others were corrected since.  (n,)"""
    if not material.classes or not len(material.labels):
        return np.ones(len(rows), dtype=bool)
    names = np.array([*material.classes, ""], dtype=object)
    now = names[np.where(rows >= 0, material.labels[rows], -1)]
    return np.asarray((rows < 0) | (now == "") | (now == np.array(given, dtype=object)))


def _pairs(given: NDArray[np.int64], proposed: NDArray[np.int64], classes: list[str]) -> list[list[Any]]:
    k = len(classes)
    codes, counts = np.unique(given * k + proposed, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_PAIRS]
    return [[classes[codes[i] // k], classes[codes[i] % k], int(counts[i])] for i in order]


def _kappa(told: NDArray[np.int64], y: NDArray[np.int64], k: int) -> float:
    """Agreement beyond chance (Cohen 1960); 0 where chance agrees always."""
    by_chance = float((np.bincount(told, minlength=k) * np.bincount(y, minlength=k)).sum()) / len(y) ** 2
    return (float((told == y).mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def _count(number: float) -> int:
    return int(np.floor(number + 0.5))


def _head() -> list[str]:
    return [say("id"), say("as given"), say("proposed")]


def _look_at_them() -> Suggestion:
    return Suggestion(note=say("Look at these rows; correct the table, or leave out the rows that nobody can tell."))


def _warnings(known: NDArray[np.bool_], same: NDArray[np.bool_]) -> tuple[str, ...]:
    out = []
    if n := int((~known).sum()):
        out.append(say("label errors: rows without an out-of-fold prediction, left out here: {n}.", n=f"{n:,}"))
    if n := int((known & ~same).sum()):
        out.append(say("label errors: labels changed since `tamesu fit`, left out here: {n}.", n=f"{n:,}"))
    return tuple(out)


def _too_few(n: int) -> str:
    return say("label errors: too few rows with an out-of-fold prediction ({n}).", n=f"{n:,}")
