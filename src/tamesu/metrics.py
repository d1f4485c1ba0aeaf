"""How predictions are scored: a `Metric` knows its function, its unit and its direction, and lays its score out on rows.

y: label and direction (n,) class codes, labels (n, k) of 0 and 1, number and angle (n,), vector (n, k), points (n, k, 2) with
NaN where a point is not seen, steps (n, t) codes with -1 where the class is not known or the row has ended.
prediction: label and direction (n, k) probabilities that add up to 1, labels (n, k) probabilities, steps (n, t', k)
probabilities (see `step_scores`); of the others the same shape as y, in the target's unit, without NaN.
A score that a fold cannot give is NaN, never a made-up number; `scores` says when.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu import event_scores, row_losses, scores, step_scores
from tamesu.errors import ConfigError, FitError, suggest
from tamesu.fields import AngleField, EventsField, Field
from tamesu.scores import Array
from tamesu.texts import say

LABEL, LABELS, NUMBER = frozenset({"label", "direction"}), frozenset({"labels"}), frozenset({"number"})
SHARES, NUMBERS = frozenset({"shares"}), frozenset({"numbers"})
ANGLE, VECTOR, POINTS = frozenset({"angle"}), frozenset({"vector"}), frozenset({"points"})
STEPS, EVENTS = frozenset({"steps"}), frozenset({"events"})
CLASSES, ALL = LABEL | LABELS, LABEL | LABELS | NUMBER | ANGLE | VECTOR | POINTS | STEPS | SHARES | NUMBERS | EVENTS
SCORE = "score"  # the unit of what has none: at most 1, higher is better
ABSOLUTE_FLOOR, RELATIVE_FLOOR = 0.005, 0.01  # smallest gains that matter: VERDICT, section 3
SUM_TOLERANCE = 0.01  # probabilities of low precision do not add up to exactly 1


@dataclass(frozen=True)
class Metric:
    """A score: what it is called, how it is computed and read.

    Attributes:
        function: (y, prediction) of one test fold to a number.
        unit: nats, fraction, target, target^2, score (none) …; the report shows a fraction in percent.
        kinds: Kinds of target it can score.
        rows: (y, prediction) to (n,) values whose mean is, or estimates, the score; None: the jackknife, n calls of `function`.
        is_row_mean: The score is the mean of `rows`, each of which depends on its own row alone.
        least: Smallest target it is defined for.
        zero_allowed: Whether it is defined for a target of 0.
        mean_behind: The mean over rows that this is the root of, for verdicts.
    """

    name: str
    function: Callable[[Any, Any], float]
    unit: str
    higher_is_better: bool
    kinds: frozenset[str] = ALL
    rows: Callable[[Any, Any], Array] | None = None
    is_row_mean: bool = False
    least: float = -np.inf
    zero_allowed: bool = True
    mean_behind: Metric | None = None

    def score(self, y: NDArray[Any], prediction: NDArray[Any]) -> float:
        """The score of one test fold; NaN where it is undefined.

        Raises:
            FitError: Predictions that are not finite, or not of the target's shape.
        """
        y, prediction = _checked(y, prediction)
        with _Note(self.name):
            return float(self.function(y, prediction))

    def row_values(self, y: NDArray[Any], prediction: NDArray[Any]) -> Array:
        """The score laid out on the rows of one test fold; all NaN where it is undefined.  (n,)

        Exact for means over rows; DeLong's placements for AUC; jackknife pseudo-values for the rest.

        Raises:
            FitError: As for `score`.
        """
        y, prediction = _checked(y, prediction)
        with _Note(self.name):
            if self.rows is not None:
                return np.asarray(self.rows(y, prediction), dtype=np.float64)
            n = len(y)
            whole = float(self.function(y, prediction))
            keep = (np.arange(n) != i for i in range(n))
            return scores.pseudo_values(whole, np.array([float(self.function(y[k], prediction[k])) for k in keep]))

    def row_losses(self, y: NDArray[Any], prediction: NDArray[Any]) -> Array:
        """`row_values` with the sign of a loss: lower is better.  (n,)"""
        values = self.row_values(y, prediction)
        return -values if self.higher_is_better else values


class _Note:
    """An error inside a metric keeps its type and says which metric it was."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.add_note(say("while computing metric {name!r}", name=self.name))


def _checked(y: NDArray[Any], prediction: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    y, prediction = np.asarray(y), np.asarray(prediction)
    if is_steps := y.ndim == 2 and prediction.ndim == 3:
        prediction = step_scores.as_long_as(y, prediction)
    is_label = y.ndim == 1 and prediction.ndim == 2
    more = is_steps or (y.ndim == 3 and prediction.ndim == 4)  # of events, a time and how sure it is
    right_shape = len(y) == len(prediction) if is_label else y.shape == prediction.shape[: y.ndim if more else None]
    if not right_shape or prediction.ndim not in (1, 2, 3, 4):
        raise FitError(
            say(
                "prediction: must have the shape that targets of shape {wanted} ask for; got {got}.",
                wanted=y.shape,
                got=prediction.shape,
            )
        )
    if not np.isfinite(prediction).all():
        n_wrong = int((~np.isfinite(prediction.reshape(len(prediction), -1))).any(axis=1).sum())
        raise FitError(
            say(
                "prediction: must be finite; got NaN or infinity in {n_wrong} of {n} rows. Lower `train.learning_rate`.",
                n_wrong=n_wrong,
                n=len(prediction),
            )
        )
    if is_label and len(y) and (y.max() >= prediction.shape[1] or np.abs(prediction.sum(axis=1) - 1).max() > SUM_TOLERANCE):
        raise FitError(
            say(
                "prediction: must be probabilities of at least {k} classes that add up to 1 in each row; "
                "got {got} columns that add up to {low:.4g} … {high:.4g}.",
                k=int(y.max()) + 1,
                got=prediction.shape[1],
                low=prediction.sum(axis=1).min(),
                high=prediction.sum(axis=1).max(),
            )
        )
    return (y.astype(np.int64) if is_label or is_steps else y), prediction


# ── means over rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _mean_of(y: Any, prediction: Any, rows: Callable[[Any, Any], Array]) -> float:
    return float(rows(y, prediction).mean()) if len(y) else float("nan")


def _root_mean_of(y: Any, prediction: Any, rows: Callable[[Any, Any], Array]) -> float:
    return float(np.sqrt(_mean_of(y, prediction, rows)))


def _root_rows_of(y: Any, prediction: Any, rows: Callable[[Any, Any], Array]) -> Array:
    return scores.root_rows(rows(y, prediction))


def _row_mean(name: str, rows: Callable[[Any, Any], Array], unit: str, kinds: frozenset[str], **more: Any) -> Metric:
    function = functools.partial(_mean_of, rows=rows)
    return Metric(name, function, unit, kinds=kinds, rows=rows, is_row_mean=True, **({"higher_is_better": False} | more))


def _laid_out(name: str, rows: Callable[[Any, Any], Array], kinds: frozenset[str], unit: str = SCORE) -> Metric:
    """A score that is the mean of rows which depend on each other."""
    return Metric(name, functools.partial(_mean_of, rows=rows), unit, higher_is_better=True, kinds=kinds, rows=rows)


def _root(name: str, rows: Callable[[Any, Any], Array], unit: str, **more: Any) -> Metric:
    function, its_rows = functools.partial(_root_mean_of, rows=rows), functools.partial(_root_rows_of, rows=rows)
    return Metric(name, function, unit, higher_is_better=False, rows=its_rows, **({"kinds": NUMBER} | more))


def _pinball(name: str, quantile: float) -> Metric:
    return _row_mean(name, functools.partial(row_losses.pinball_rows, quantile=quantile), "target", NUMBER)


def _event_ap(tolerances: tuple[float, ...]) -> Metric:
    return Metric("event_ap", functools.partial(event_scores.event_ap, tolerances=tolerances), SCORE, True, EVENTS)


def _angle_mae(period: float, unit: str) -> Metric:
    return _row_mean("angle_mae", functools.partial(row_losses.around_rows, period=period), unit, ANGLE)


def _angle_cosine(period: float, unit: str) -> Metric:
    return _row_mean("angle_cosine", functools.partial(row_losses.cosine_rows, period=period), "1 - cos", ANGLE)


# ── the named metrics ───────────────────────────────────────────────────────────────────────────────────────────────────

LOG_LOSS = _row_mean("log_loss", row_losses.log_loss_rows, "nats", CLASSES)
BRIER = _row_mean("brier", row_losses.brier_rows, "probability^2", CLASSES)
ACCURACY = _row_mean("accuracy", row_losses.accuracy_rows, "fraction", CLASSES, higher_is_better=True)
BALANCED_ACCURACY = _laid_out("balanced_accuracy", scores.balanced_accuracy_rows, LABEL, unit="fraction")
F1_MACRO = Metric("f1_macro", scores.f1_macro, SCORE, True, CLASSES, scores.f1_macro_rows)
F1_MICRO = Metric("f1_micro", scores.f1_micro, SCORE, True, CLASSES, scores.f1_micro_rows)
F1 = replace(F1_MACRO, name="f1")
AUC = _laid_out("auc", scores.auc_rows, CLASSES)
AVERAGE_PRECISION = Metric("average_precision", scores.average_precision, SCORE, True, CLASSES, scores.average_precision_rows)
QWK = Metric("qwk", scores.qwk, SCORE, True, LABEL, scores.qwk_rows)
MCC = Metric("mcc", scores.mcc, SCORE, True, LABEL, scores.mcc_rows)
MSE = _row_mean("mse", row_losses.squared_rows, "target^2", NUMBER)
RMSE = _root("rmse", row_losses.squared_rows, "target", mean_behind=MSE)
MSLE = _row_mean("msle", row_losses.squared_log_rows, "log target^2", NUMBER, least=0.0)
RMSLE = _root("rmsle", row_losses.squared_log_rows, "log target", least=0.0, mean_behind=MSLE)
MAE = _row_mean("mae", row_losses.absolute_rows, "target", NUMBER)
MAPE = _row_mean("mape", row_losses.relative_rows, "fraction", NUMBER, zero_allowed=False)
R2 = Metric("r2", scores.r2, SCORE, True, NUMBER, scores.r2_rows)
PINBALL = _pinball("pinball", 0.5)
ANGLE_MAE = _angle_mae(360.0, "deg")
ANGLE_COSINE = _angle_cosine(360.0, "deg")
VECTOR_MAE = _row_mean("vector_mae", row_losses.distance_rows, "target", VECTOR)
VECTOR_MSE = _row_mean("vector_mse", row_losses.squared_distance_rows, "target^2", VECTOR)
VECTOR_RMSE = _root("vector_rmse", row_losses.squared_distance_rows, "target", kinds=VECTOR, mean_behind=VECTOR_MSE)
SHARES_KL = _row_mean("shares_kl", row_losses.divergence_rows, "nats", SHARES)
SHARES_MAE = _row_mean("shares_mae", row_losses.mean_absolute_rows, "target", SHARES)
MCMAE = _row_mean("mcmae", row_losses.mean_absolute_rows, "target", NUMBERS | SHARES)
MCMSE = _row_mean("mcmse", row_losses.mean_squared_rows, "target^2", NUMBERS | SHARES)
MCRMSE = Metric(
    "mcrmse", scores.mean_column_rmse, "target", False, NUMBERS | SHARES, scores.mean_column_rmse_rows, mean_behind=MCMSE
)
POINT_ERROR = _row_mean("point_error", row_losses.point_rows, "px", POINTS)
STEPS_LOG_LOSS = _row_mean("steps_log_loss", step_scores.steps_log_loss_rows, "nats", STEPS)
STEPS_ACCURACY = _row_mean("steps_accuracy", step_scores.steps_accuracy_rows, "fraction", STEPS, higher_is_better=True)
STEPS_F1_MACRO = Metric("steps_f1_macro", step_scores.steps_f1_macro, SCORE, True, STEPS, step_scores.steps_f1_macro_rows)
EVENT_AP = _event_ap((1.0, 3.0, 10.0))
DEFAULTS = {  # by kind of target, what a study without `metric` is scored by; log loss where not named
    "number": RMSE,
    "angle": ANGLE_MAE,
    "vector": VECTOR_RMSE,
    "points": POINT_ERROR,
    "steps": STEPS_LOG_LOSS,
    "shares": SHARES_KL,
    "numbers": MCRMSE,
    "events": EVENT_AP,
}
PROPER = DEFAULTS | {"number": MSE, "angle": ANGLE_COSINE, "vector": VECTOR_MSE, "numbers": MCMSE}  # and what verdicts stand on
OF_ANGLES = {"angle_mae": _angle_mae, "angle_cosine": _angle_cosine}

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(LOG_LOSS, BRIER, ACCURACY, BALANCED_ACCURACY, F1, F1_MACRO, F1_MICRO, AUC, AVERAGE_PRECISION, QWK, MCC),
        *(RMSE, MAE, RMSLE, R2, MAPE, PINBALL, MSE, MSLE),
        *(ANGLE_MAE, ANGLE_COSINE, VECTOR_RMSE, VECTOR_MAE, VECTOR_MSE, POINT_ERROR),
        *(SHARES_KL, SHARES_MAE, MCRMSE, MCMAE, MCMSE),
        *(STEPS_LOG_LOSS, STEPS_ACCURACY, STEPS_F1_MACRO, EVENT_AP),
    )
}


def get_metric(name: str) -> Metric:
    """A named metric, `pinball_0.1` for another quantile, or your own: `my_module:my_metric`.

    Your own is a `Metric`, or a function (y, prediction) -> float that carries `higher_is_better` and `unit`, and perhaps
    `kinds`; it is called with one test fold.

    Raises:
        ConfigError: There is no such metric, or your own does not say which way is better.
    """
    if name in METRICS:
        return METRICS[name]
    if quantile := re.fullmatch(r"pinball_(0?\.\d+)", name):
        if 0 < float(quantile[1]) < 1:
            return _pinball(name, float(quantile[1]))
        raise ConfigError(say("metric: the quantile of pinball must lie between 0 and 1; got {name!r}.", name=name))
    if ":" in name:
        return _own_metric(name)
    raise ConfigError(
        say("metric: must be the name of a metric, or `module:name` of your own; got {name!r}.", name=name)
        + suggest(name, METRICS)
    )


def _own_metric(name: str) -> Metric:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            error.add_note(say("while loading metric {name!r}", name=name))
            raise
        raise ConfigError(
            say(
                "metric: must be in a module that Python finds; got {name!r}. Put {module}.py beside the study.",
                name=name,
                module=module_name,
            )
        ) from None
    except Exception as error:
        error.add_note(say("while loading metric {name!r}", name=name))
        raise
    found = getattr(module, attribute, None)
    if isinstance(found, Metric):
        return found
    if not callable(found):
        public = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise ConfigError(
            say("metric: must be a Metric or a function of its module; got {name!r}.", name=name) + suggest(attribute, public)
        )
    if not isinstance(getattr(found, "higher_is_better", None), bool) or not isinstance(getattr(found, "unit", None), str):
        raise ConfigError(
            say(
                "metric: your own must say its direction and unit; got {name!r} without. Below the function write "
                '`{function}.higher_is_better = True` (or False) and `{function}.unit = "score"` (what it is measured in).',
                name=name,
                function=attribute,
            )
        )
    return Metric(name, found, found.unit, found.higher_is_better, frozenset(getattr(found, "kinds", ALL)))


def metric_for(metric: Metric, field: Field) -> Metric:
    """The metric as it is for a target of this field: angles are compared around its own circle, in its own unit."""
    if metric.name == EVENT_AP.name and isinstance(field, EventsField):
        return _event_ap(field.tolerances)
    if metric.name not in OF_ANGLES or not isinstance(field, AngleField):
        return metric
    return OF_ANGLES[metric.name](float(np.deg2rad(field.period_deg)) / field.unit_rad, field.unit)


def field_period(field: Field) -> float | None:
    """After how many of its units an angle is the same again; None for other kinds."""
    return float(np.deg2rad(field.period_deg)) / field.unit_rad if isinstance(field, AngleField) else None


def default_metric(kind: str) -> Metric:
    """What a study without `metric` is scored by."""
    return DEFAULTS.get(kind, LOG_LOSS)


def judged_metric(metric: Metric, kind: str, judge: Literal["auto", "metric"]) -> Metric:
    """What verdicts are given on: the proper loss behind the metric, unless that is a mean over rows or is itself asked for.

    Log loss for classes, the squared error for numbers and vectors, the distance for points, and for angles 1 - cos of the
    difference: half the squared distance of their unit vectors, least for the mean direction.
    """
    if judge == "metric" or metric.is_row_mean:
        return metric
    if metric.mean_behind is not None:
        return metric.mean_behind
    return PROPER.get(kind, LOG_LOSS)


def margin_floor(metric: Metric) -> tuple[Literal["relative", "absolute"], float]:
    """The smallest gain that matters: 1 % of the baseline's loss, or 0.005 of a score that goes up to 1."""
    if metric.higher_is_better and metric.unit in ("fraction", SCORE):
        return "absolute", ABSOLUTE_FLOOR
    return "relative", RELATIVE_FLOOR


def check_metric(metric: Metric, kind: str, n_classes: int = 2, y: NDArray[Any] | None = None) -> str | None:
    """Why this metric cannot score this target, as what follows `metric: `; None if it can.

    Args:
        metric: As chosen.
        kind: The target's.
        n_classes: Classes of a label.
        y: All targets, to see whether the metric is defined for them.
    """
    if kind not in metric.kinds:
        known = [name for name, one in METRICS.items() if kind in one.kinds]
        return say(
            "must score a target of kind {kind!r}; got {name!r}, which scores {kinds}.",
            kind=kind,
            name=metric.name,
            kinds=", ".join(sorted(metric.kinds)),
        ) + suggest(metric.name, known)
    if kind in LABEL and n_classes < 2:
        return say("must have at least 2 classes to score; got {n_classes}.", n_classes=n_classes)
    if kind == "number" and y is not None and len(y):
        if y.min() < metric.least:
            return say(
                "{name!r} must have targets of at least {least:g}; got {found:g}.",
                name=metric.name,
                least=metric.least,
                found=y.min(),
            )
        if not metric.zero_allowed and (y == 0).any():
            n_zero = int((y == 0).sum())
            return say(
                "{name!r} must have targets other than 0; got 0 in {n_zero} rows. `mae` has no such limit.",
                name=metric.name,
                n_zero=n_zero,
            )
    return None


def check_class_order(metric: Metric, classes: tuple[str, ...]) -> list[str]:
    """Warnings for QWK, which reads classes as ordered: what the order is, if names do not say so plainly."""
    if metric.name != QWK.name:
        return []
    shown = " < ".join(classes[:8]) + (" < …" if len(classes) > 8 else "")
    try:
        values = [float(name) for name in classes]
    except ValueError:
        return [say("metric: qwk needs ordered classes, and these are not numbers; taken in the order {order}.", order=shown)]
    if values != sorted(values):
        return [say("metric: qwk needs ordered classes; these numbers are taken in the order {order}.", order=shown)]
    return []
