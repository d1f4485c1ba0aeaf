import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from tamesu.errors import ConfigError, FitError
from tamesu.fields import AngleField, NumberField
from tamesu.metrics import (
    METRICS,
    Metric,
    check_class_order,
    check_metric,
    default_metric,
    get_metric,
    judged_metric,
    margin_floor,
    metric_for,
)

NAN = float("nan")


def label_fold(seed=0, n=60, k=3, decimals=None):
    """Classes and probabilities that know something of them; few decimals make ties."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    raw = rng.random((n, k)) + 0.5 * np.eye(k)[y]
    if decimals is not None:
        raw = np.round(raw, decimals) + 0.1
    return y, raw / raw.sum(axis=1, keepdims=True)


def labels_fold(seed=0, n=60, k=4, decimals=None):
    rng = np.random.default_rng(seed)
    y = (rng.random((n, k)) < 0.4).astype(int)
    p = np.clip(0.6 * rng.random((n, k)) + 0.3 * y, 0, 1)
    return y, p if decimals is None else np.round(p, decimals)


def number_fold(seed=0, n=60):
    rng = np.random.default_rng(seed)
    y = rng.gamma(2.0, 3.0, n) + 0.1
    return y, np.abs(y + rng.normal(0, 1, n))


def angle_fold(seed=0, n=60):
    rng = np.random.default_rng(seed)
    y = rng.uniform(-180, 180, n)
    return y, y + rng.normal(0, 40, n) + 360 * rng.integers(-1, 2, n)


def vector_fold(seed=0, n=60):
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 3, (n, 2))
    return y, y + rng.normal(0, 1, (n, 2))


def points_fold(seed=0, n=60):
    """Places of which some are not seen, but never all of a row."""
    rng = np.random.default_rng(seed)
    y = rng.uniform(0, 50, (n, 3, 2))
    hidden = rng.random((n, 3)) < 0.3
    hidden[:, 0] = False
    return np.where(hidden[:, :, None], np.nan, y), y + rng.normal(0, 2, (n, 3, 2))


def unit(degrees):
    return np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], axis=1)


def one_hot(y, p):
    return np.eye(p.shape[1])[y]


LABEL_REFERENCES = {
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=range(p.shape[1])),
    "brier": lambda y, p: ((p - one_hot(y, p)) ** 2).sum(axis=1).mean(),
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(1)),
    "f1": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "f1_macro": lambda y, p: sk.f1_score(y, p.argmax(1), average="macro"),
    "f1_micro": lambda y, p: sk.f1_score(y, p.argmax(1), average="micro"),
    "auc": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    "average_precision": lambda y, p: sk.average_precision_score(label_binarize(y, classes=range(p.shape[1])), p),
    "qwk": lambda y, p: sk.cohen_kappa_score(y, p.argmax(1), weights="quadratic"),
    "mcc": lambda y, p: sk.matthews_corrcoef(y, p.argmax(1)),
}
BINARY_REFERENCES = LABEL_REFERENCES | {
    "brier": lambda y, p: sk.brier_score_loss(y, p[:, 1]),
    "auc": lambda y, p: sk.roc_auc_score(y, p[:, 1]),
    "average_precision": lambda y, p: sk.average_precision_score(y, p[:, 1]),
}
LABELS_REFERENCES = {
    "log_loss": lambda y, p: np.mean([sk.log_loss(y[:, j], p[:, j], labels=[0, 1]) for j in range(y.shape[1])]),
    "brier": lambda y, p: np.mean([sk.brier_score_loss(y[:, j], p[:, j]) for j in range(y.shape[1])]),
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= 0.5),
    "f1": lambda y, p: sk.f1_score(y, p >= 0.5, average="macro", zero_division=np.nan),
    "f1_macro": lambda y, p: sk.f1_score(y, p >= 0.5, average="macro", zero_division=np.nan),
    "f1_micro": lambda y, p: sk.f1_score(y, p >= 0.5, average="micro"),
    "auc": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
    "average_precision": lambda y, p: sk.average_precision_score(y, p, average="macro"),
}
NUMBER_REFERENCES = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "rmsle": sk.root_mean_squared_log_error,
    "msle": sk.mean_squared_log_error,
    "r2": sk.r2_score,
    "mape": sk.mean_absolute_percentage_error,
    "pinball": lambda y, p: sk.mean_pinball_loss(y, p, alpha=0.5),
    "pinball_0.1": lambda y, p: sk.mean_pinball_loss(y, p, alpha=0.1),
}
ANGLE_REFERENCES = {  # by unit vectors: the angle between them, and half their squared distance
    "angle_mae": lambda y, p: np.rad2deg(np.arccos(np.clip((unit(y) * unit(p)).sum(axis=1), -1, 1))).mean(),
    "angle_cosine": lambda y, p: ((unit(y) - unit(p)) ** 2).sum(axis=1).mean() / 2,
}
VECTOR_REFERENCES = {
    "vector_mae": lambda y, p: np.linalg.norm(y - p, axis=1).mean(),
    "vector_mse": lambda y, p: 2 * sk.mean_squared_error(y, p),
    "vector_rmse": lambda y, p: np.sqrt(2 * sk.mean_squared_error(y, p)),
}
POINTS_REFERENCES = {"point_error": lambda y, p: np.mean(np.nanmean(np.linalg.norm(y - p, axis=2), axis=1))}
STEPS_REFERENCES = {
    "steps_log_loss": lambda y, p: np.mean(
        [sk.log_loss(one[one >= 0], guess[one >= 0], labels=range(3)) for one, guess in zip(y, p, strict=True)]
    ),
    "steps_accuracy": lambda y, p: np.mean(
        [np.mean((guess.argmax(axis=1) == one)[one >= 0]) for one, guess in zip(y, p, strict=True)]
    ),
    "steps_f1_macro": lambda y, p: sk.f1_score(y[y >= 0], p[y >= 0].argmax(axis=1), average="macro"),
}
NUMBERS_REFERENCES = {
    "mcrmse": lambda y, p: np.mean(sk.root_mean_squared_error(y, p, multioutput="raw_values")),
    "mcmae": sk.mean_absolute_error,
    "mcmse": sk.mean_squared_error,
}
SHARES_REFERENCES = NUMBERS_REFERENCES | {
    "shares_kl": lambda y, p: np.mean([entropy(one, guess) for one, guess in zip(y, p, strict=True)]),
    "shares_mae": sk.mean_absolute_error,
}
EVENTS_REFERENCES = {"event_ap"}  # tests/test_events.py


def shares_fold(seed, n=30, k=3):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k), n), rng.dirichlet(np.full(k, 3.0), n)


def numbers_fold(seed, n=40, k=3):
    y = np.random.default_rng(seed).normal(size=(n, k))
    return y, y + np.random.default_rng(seed + 1000).normal(size=(n, k))


def steps_fold(seed, n=30, t=11, k=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(-1, k, size=(n, t))
    y[:, 0] = np.arange(n) % k
    return y, rng.dirichlet(np.ones(k), size=(n, t))


CASES = [
    *((name, f"label-{k}", lambda s, k=k: label_fold(s, k=k), ref) for k in (3, 6) for name, ref in LABEL_REFERENCES.items()),
    *((name, "label-2", lambda s: label_fold(s, k=2), ref) for name, ref in BINARY_REFERENCES.items()),
    *((name, "label-ties", lambda s: label_fold(s, k=3, decimals=0), ref) for name, ref in LABEL_REFERENCES.items()),
    *((name, "binary-ties", lambda s: label_fold(s, k=2, decimals=0), ref) for name, ref in BINARY_REFERENCES.items()),
    *((name, "labels", labels_fold, ref) for name, ref in LABELS_REFERENCES.items()),
    *((name, "labels-ties", lambda s: labels_fold(s, decimals=1), ref) for name, ref in LABELS_REFERENCES.items()),
    *((name, "number", number_fold, ref) for name, ref in NUMBER_REFERENCES.items()),
    *((name, "angle", angle_fold, ref) for name, ref in ANGLE_REFERENCES.items()),
    *((name, "vector", vector_fold, ref) for name, ref in VECTOR_REFERENCES.items()),
    *((name, "points", points_fold, ref) for name, ref in POINTS_REFERENCES.items()),
    *((name, "steps", steps_fold, ref) for name, ref in STEPS_REFERENCES.items()),
    *((name, "shares", shares_fold, ref) for name, ref in SHARES_REFERENCES.items()),
    *((name, "numbers", numbers_fold, ref) for name, ref in NUMBERS_REFERENCES.items()),
]
BY_KIND = pytest.mark.parametrize(
    ("name", "kind", "fold", "reference"), CASES, ids=[f"{name}-{kind}" for name, kind, *_ in CASES]
)


@BY_KIND
def test_scores_are_scikit_learns(name, kind, fold, reference):
    for seed in range(3):
        y, p = fold(seed)
        assert get_metric(name).score(y, p) == pytest.approx(reference(y, p), rel=1e-9)


def test_every_named_metric_has_a_reference_for_every_kind_it_scores():
    references = {
        "label": LABEL_REFERENCES,
        "direction": LABEL_REFERENCES,
        "labels": LABELS_REFERENCES,
        "number": NUMBER_REFERENCES,
        "angle": ANGLE_REFERENCES,
        "vector": VECTOR_REFERENCES,
        "points": POINTS_REFERENCES,
        "steps": STEPS_REFERENCES,
        "shares": SHARES_REFERENCES,
        "numbers": NUMBERS_REFERENCES,
        "events": EVENTS_REFERENCES,
    }
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.kinds == {kind for kind, known in references.items() if name in known}


@BY_KIND
def test_directions_are_those_of_better_predictions(name, kind, fold, reference):
    y, p = fold(0)
    perfect = one_hot(y, p) if y.ndim < p.ndim else np.where(np.isnan(y), 0, y).astype(float)
    metric = get_metric(name)
    better, worse = metric.score(y, perfect), metric.score(y, p)
    assert (better > worse) == metric.higher_is_better
    assert metric.row_losses(y, perfect).mean() < metric.row_losses(y, p).mean()


@BY_KIND
def test_rows_are_exact_for_means_and_linear_scores_and_the_jackknife_for_others(name, kind, fold, reference):
    metric = get_metric(name)
    y, p = fold(1)
    rows = metric.row_values(y, p)
    assert rows.shape == (len(y),)
    if metric.is_row_mean or name in ("auc", "balanced_accuracy"):
        assert rows.mean() == pytest.approx(metric.score(y, p), rel=1e-12)
    if metric.is_row_mean:  # no row looks at another
        np.testing.assert_allclose([metric.score(y[i : i + 1], p[i : i + 1]) for i in range(len(y))], rows, rtol=1e-12)
    elif name not in ("auc", "balanced_accuracy"):
        brute = Metric("brute", metric.function, "", metric.higher_is_better).row_values(y, p)
        np.testing.assert_allclose(rows, brute, rtol=1e-7, atol=1e-9)


@BY_KIND
def test_spread_of_rows_is_the_spread_of_the_score(name, kind, fold, reference):
    if "ties" in kind or kind == "label-6":
        return
    metric = get_metric(name)
    folds = [fold(seed) for seed in range(150)]
    spread = np.std([metric.score(y, p) for y, p in folds])
    said = np.sqrt(np.mean([metric.row_values(y, p).var(ddof=1) / len(y) for y, p in folds]))
    assert said == pytest.approx(spread, rel=0.3)


def test_auc_rows_give_delongs_variance():
    y, p = label_fold(0, n=80, k=2)
    positive, negative = p[y == 1, 1], p[y == 0, 1]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    delong = wins.mean(axis=1).var(ddof=1) / len(positive) + wins.mean(axis=0).var(ddof=1) / len(negative)
    rows = get_metric("auc").row_values(y, p)
    ours = sum(rows[y == c].var(ddof=1) * (y == c).sum() for c in (0, 1)) / len(y) ** 2
    assert ours == pytest.approx(delong, rel=1e-12)


# ── edges ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["auc", "average_precision", "f1", "balanced_accuracy", "mcc", "qwk", "log_loss"])
def test_a_class_that_is_absent_from_the_fold_is_left_out(name):
    y, p = label_fold(0, k=3)
    padded = np.column_stack([p * 0.999, np.full(len(p), 0.001)])
    expected = get_metric(name).score(y, p)
    if name == "log_loss":
        expected -= np.log(0.999)
    assert get_metric(name).score(y, padded) == pytest.approx(expected, rel=1e-9)
    assert np.isfinite(get_metric(name).row_values(y, padded)).all()


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("auc", NAN),
        ("qwk", NAN),
        ("accuracy", 1.0),
        ("balanced_accuracy", 1.0),
        ("f1", 1.0),
        ("mcc", 0.0),
        ("average_precision", NAN),
    ],
)
def test_a_fold_of_one_class(name, score):
    y, p = np.zeros(8, dtype=int), np.tile([0.8, 0.2], (8, 1))
    np.testing.assert_equal(get_metric(name).score(y, p), score)
    np.testing.assert_equal(get_metric(name).row_values(y, p), np.full(8, score))


@pytest.mark.parametrize(
    ("name", "score"), [("auc", 0.5), ("mcc", 0.0), ("qwk", 0.0), ("balanced_accuracy", 0.5), ("average_precision", 0.4)]
)
def test_constant_predictions_of_two_classes(name, score):
    y, p = np.array([1, 0, 0, 1, 0]), np.tile([0.7, 0.3], (5, 1))
    assert get_metric(name).score(y, p) == pytest.approx(score)


def test_r2_of_a_constant_target_is_not_a_number():
    y = np.full(5, 0.1)
    assert np.isnan(get_metric("r2").score(y, np.arange(5.0)))
    assert np.isnan(get_metric("r2").score(np.array([1.0]), np.array([1.0])))
    assert get_metric("r2").score(1e9 + np.arange(5.0), 1e9 + np.arange(5.0)[::-1]) == pytest.approx(-3)


def test_targets_a_metric_is_undefined_for_are_not_a_number():
    assert np.isnan(get_metric("mape").score(np.array([0.0, 1.0]), np.array([1.0, 1.0])))
    assert np.isnan(get_metric("rmsle").score(np.array([-0.5, 1.0]), np.array([1.0, 1.0])))
    assert get_metric("rmsle").score(np.array([0.0, 0.0]), np.array([-3.0, 0.0])) == 0  # a prediction below 0 counts as 0


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 4), st.sampled_from([None, 0, 1]))
@settings(max_examples=100, deadline=None)
def test_small_folds_never_fail_and_undefined_is_undefined_everywhere(seed, n, k, decimals):
    for fold, kind in ((label_fold(seed, n, k, decimals), "label"), (labels_fold(seed, n, k, decimals), "labels")):
        for metric in METRICS.values():
            if kind in metric.kinds:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    score, rows = metric.score(*fold), metric.row_values(*fold)
                assert np.isfinite(rows).all() == np.isfinite(score)
                assert np.isnan(rows).all() == np.isnan(score)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in METRICS.values():
            if "number" in metric.kinds:
                y, p = number_fold(seed, n)
                assert np.isfinite(metric.row_values(y, p)).all() == np.isfinite(metric.score(y, p))


def test_one_confident_mistake_costs_no_more_than_the_precision_of_the_prediction():
    p = np.array([[1.0, 0.0]])
    assert get_metric("log_loss").score(np.array([1]), p) == pytest.approx(36.04, abs=0.01)
    assert get_metric("log_loss").score(np.array([1]), p.astype(np.float32)) == pytest.approx(15.94, abs=0.01)
    assert get_metric("log_loss").score(np.array([[1, 0]]), p[:, ::-1]) == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize(
    ("y", "prediction", "message"),
    [
        (np.zeros(3), np.zeros(4), "prediction: must have the shape that targets of shape (3,) ask for; got (4,)."),
        (np.zeros((3, 2)), np.zeros(3), "prediction: must have the shape that targets of shape (3, 2) ask for; got (3,)."),
        (
            np.zeros(3),
            np.array([1, np.nan, np.inf]),
            "prediction: must be finite; got NaN or infinity in 2 of 3 rows. Lower `train.learning_rate`.",
        ),
        (
            np.array([0, 2]),
            np.full((2, 2), 0.5),
            "prediction: must be probabilities of at least 3 classes that add up to 1 in each row; "
            "got 2 columns that add up to 1 … 1.",
        ),
        (
            np.array([0, 1]),
            np.array([[1.0, 1.0], [0.5, 0.5]]),
            "prediction: must be probabilities of at least 2 classes that add up to 1 in each row; "
            "got 2 columns that add up to 1 … 2.",
        ),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(y, prediction, message):
    for scored in (METRICS["log_loss"].score, METRICS["log_loss"].row_values):
        with pytest.raises(FitError) as caught:
            scored(y, prediction)
        assert str(caught.value) == message


# ── which metric ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rsme", "metric: must be the name of a metric, or `module:name` of your own; got 'rsme'. Did you mean 'rmse'?"),
        ("pinball_0.0", "metric: the quantile of pinball must lie between 0 and 1; got 'pinball_0.0'."),
        (
            "pinball_1.5",
            "metric: must be the name of a metric, or `module:name` of your own; got 'pinball_1.5'. Did you mean 'pinball'?",
        ),
        (
            "no_module_here:f",
            "metric: must be in a module that Python finds; got 'no_module_here:f'. Put no_module_here.py beside the study.",
        ),
        (
            "own_metrics:sacore",
            "metric: must be a Metric or a function of its module; got 'own_metrics:sacore'. Did you mean 'score'?",
        ),
        (
            "own_metrics:bare",
            "metric: your own must say its direction and unit; got 'own_metrics:bare' without. Below the function write "
            '`bare.higher_is_better = True` (or False) and `bare.unit = "score"` (what it is measured in).',
        ),
    ],
)
def test_metrics_that_are_not_there_are_refused(name, message, own_metrics):
    with pytest.raises(ConfigError) as caught:
        get_metric(name)
    assert str(caught.value) == message


OWN = """
import numpy as np
from tamesu.metrics import Metric

def score(y, prediction):
    return -np.median(np.abs(y - prediction))
score.higher_is_better = True
score.unit = "yen"
score.kinds = ["number"]

def bare(y, prediction):
    return 0.0

def broken(y, prediction):
    raise KeyError("dog")
broken.higher_is_better = False
broken.unit = "yen"

READY = Metric("ready", score, "yen", True)
"""


@pytest.fixture
def own_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_metrics.py").write_text(OWN)
    (tmp_path / "own_crash.py").write_text("import a_package_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_metrics", None)


@pytest.mark.usefixtures("own_metrics")
def test_your_own_metric_is_scored_and_laid_out_by_the_jackknife():
    metric = get_metric("own_metrics:score")
    assert (metric.name, metric.unit, metric.higher_is_better, metric.kinds) == ("own_metrics:score", "yen", True, {"number"})
    y, p = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0])
    assert metric.score(y, p) == -1
    np.testing.assert_allclose(metric.row_values(y, p), [-3 + 2 * 1.5, -3 + 2 * 1.0, -3 + 2 * 0.5])
    np.testing.assert_allclose(metric.row_losses(y, p), [0, 1, 2])
    assert get_metric("own_metrics:READY").name == "ready"


@pytest.mark.usefixtures("own_metrics")
def test_errors_of_your_own_metric_keep_their_type_and_name_it():
    with pytest.raises(KeyError) as caught:
        get_metric("own_metrics:broken").score(np.zeros(2), np.zeros(2))
    assert caught.value.__notes__ == ["while computing metric 'own_metrics:broken'"]
    with pytest.raises(ModuleNotFoundError) as caught:
        get_metric("own_crash:f")
    assert caught.value.__notes__ == ["while loading metric 'own_crash:f'"]


@pytest.mark.parametrize(
    ("name", "kind", "judge", "judged"),
    [
        ("log_loss", "label", "auto", "log_loss"),
        ("brier", "label", "auto", "brier"),
        ("accuracy", "labels", "auto", "accuracy"),
        ("f1", "label", "auto", "log_loss"),
        ("auc", "labels", "auto", "log_loss"),
        ("qwk", "label", "auto", "log_loss"),
        ("qwk", "label", "metric", "qwk"),
        ("auc", "label", "metric", "auc"),
        ("rmse", "number", "auto", "mse"),
        ("rmsle", "number", "auto", "msle"),
        ("rmse", "number", "metric", "rmse"),
        ("r2", "number", "auto", "mse"),
        ("mae", "number", "auto", "mae"),
        ("mape", "number", "auto", "mape"),
        ("pinball_0.9", "number", "auto", "pinball_0.9"),
        ("f1", "direction", "auto", "log_loss"),
        ("angle_mae", "angle", "auto", "angle_mae"),
        ("vector_rmse", "vector", "auto", "vector_mse"),
        ("vector_mae", "vector", "auto", "vector_mae"),
        ("point_error", "points", "auto", "point_error"),
    ],
)
def test_verdicts_are_given_on_the_proper_loss_behind_the_metric(name, kind, judge, judged):
    assert judged_metric(get_metric(name), kind, judge).name == judged


def test_defaults_and_floors():
    assert [default_metric(kind).name for kind in ("label", "labels", "number")] == ["log_loss", "log_loss", "rmse"]
    assert (
        margin_floor(METRICS["accuracy"]) == margin_floor(METRICS["auc"]) == margin_floor(METRICS["qwk"]) == ("absolute", 0.005)
    )
    assert (
        margin_floor(METRICS["log_loss"]) == margin_floor(METRICS["mape"]) == margin_floor(METRICS["mse"]) == ("relative", 0.01)
    )
    assert margin_floor(Metric("profit", lambda y, p: 0.0, "yen", True)) == ("relative", 0.01)


def test_every_kind_of_target_has_a_metric_and_a_judged_loss():
    own = Metric("own", lambda y, p: 0.0, "", True)
    judged = {"direction": "log_loss", "angle": "angle_cosine", "vector": "vector_mse", "points": "point_error"}
    for kind, name in judged.items():
        assert kind in default_metric(kind).kinds
        assert judged_metric(own, kind, "auto").name == name
        assert kind in METRICS[name].kinds
    assert [default_metric(kind).name for kind in ("angle", "vector", "points")] == ["angle_mae", "vector_rmse", "point_error"]


def test_angles_are_compared_around_their_own_circle():
    y, p = np.array([170.0, 10.0, -90.0]), np.array([-170.0, 350.0, 90.0])
    arrow = metric_for(METRICS["angle_mae"], AngleField())
    np.testing.assert_allclose(arrow.row_values(y, p), [20, 20, 180])
    line = metric_for(METRICS["angle_mae"], AngleField(period_deg=180))
    np.testing.assert_allclose(line.row_values(y, p), [20, 20, 0], atol=1e-9)
    radians = metric_for(METRICS["angle_mae"], AngleField(unit="rad", period_deg=180))
    np.testing.assert_allclose(radians.row_values(np.deg2rad(y), np.deg2rad(p)), np.deg2rad([20, 20, 0]), atol=1e-9)
    assert (arrow.unit, radians.unit, line.name) == ("deg", "rad", "angle_mae")
    cosine = metric_for(METRICS["angle_cosine"], AngleField(period_deg=180))
    np.testing.assert_allclose(cosine.row_values(y, p), 1 - np.cos(np.deg2rad([40, 40, 0])), atol=1e-9)
    assert metric_for(METRICS["rmse"], NumberField()) is METRICS["rmse"]


def test_points_that_are_not_seen_do_not_count():
    y = np.array([[[0.0, 0.0], [np.nan, np.nan]], [[3.0, 4.0], [0.0, 0.0]]])
    p = np.array([[[3.0, 4.0], [9.0, 9.0]], [[3.0, 4.0], [0.0, 1.0]]])
    np.testing.assert_array_equal(METRICS["point_error"].row_values(y, p), [5, 0.5])
    unseen = METRICS["point_error"].row_values(np.full((1, 1, 2), np.nan), np.zeros((1, 1, 2)))
    assert np.isnan(unseen).all()


def test_metrics_that_do_not_fit_the_target_are_found():
    assert check_metric(METRICS["qwk"], "label", 5) is None
    assert check_metric(METRICS["rmse"], "label", 3) == (
        "must score a target of kind 'label'; got 'rmse', which scores number. Known: accuracy, auc, average_precision, "
        "balanced_accuracy, brier, f1, f1_macro, f1_micro, log_loss, mcc, qwk."
    )
    assert check_metric(METRICS["rmsle"], "number", 0, y=np.array([1.0, 0.0])) is None
    assert (
        check_metric(METRICS["rmsle"], "number", 0, y=np.array([1.0, -2.5]))
        == "'rmsle' must have targets of at least 0; got -2.5."
    )
    assert check_metric(METRICS["mape"], "number", 0, y=np.array([1.0, 0.0, 0.0])) == (
        "'mape' must have targets other than 0; got 0 in 2 rows. `mae` has no such limit."
    )
    assert check_metric(METRICS["accuracy"], "label", 1) == "must have at least 2 classes to score; got 1."


def test_qwk_says_the_order_it_reads():
    assert check_class_order(METRICS["qwk"], ("0", "1", "2")) == []
    assert check_class_order(METRICS["mcc"], ("b", "a")) == []
    assert check_class_order(METRICS["qwk"], ("0", "1", "10", "2")) == [
        "metric: qwk needs ordered classes; these numbers are taken in the order 0 < 1 < 10 < 2."
    ]
    assert check_class_order(METRICS["qwk"], ("bad", "fair", "good")) == [
        "metric: qwk needs ordered classes, and these are not numbers; taken in the order bad < fair < good."
    ]
