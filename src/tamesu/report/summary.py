"""What a run found as one plain dict: the JSON document of `--json`, and all that the HTML report draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from tamesu.data import Dataset
from tamesu.multiplicity import overuse
from tamesu.report.mistakes import describe_mistakes
from tamesu.results import ArmResult, FoldScore, Gain, MetricInfo, StudyResult

UNDECIDED = "undecided"
NOT_JUDGED = "not_judged"  # the reason of an idea that was stopped, or failed, before its first look
DETAILS = (  # of a judgement, as they are
    "final",
    "small",
    "margin",
    "standard_error",
    "n_rows",
    "n_differ",
    "rows_needed",
    "repeats_needed",
    "split_fraction",
)


def summarise(result: StudyResult, dataset: Dataset | None = None) -> dict[str, Any]:
    """All that was found, strict JSON: no NaN (null instead), plain numbers, keys always in the same order.

    `gain`, `interval` and `p_value` of an idea belong together and are those of the judged metric, positive is better;
    `metric_gain` is the same in the study's metric.

    Args:
        result: What the run found.
        dataset: The rows, to show what the table says about those the baseline gets most wrong.
    """
    settings = _settings(result.resolved_yaml)
    summary: dict[str, Any] = {
        "schema": f"tamesu/{result.task}/1",
        "study": result.study,
        "lang": result.lang,
        "stopped": result.stopped,
        "target": {"name": result.target, "kind": result.target_kind, "classes": list(result.classes)},
        "metric": _metric(result.metric),
        "judged_metric": _metric(result.judged_metric),
        "alpha": settings["alpha"],
        "baseline": _baseline(result),
    }
    if result.task == "try":
        summary["ideas"] = [_idea(arm) for arm in result.ideas]
    summary |= {
        "sensitivity": _sensitivity(result),
        "n_trainings": result.n_trainings,
        "n_saved": result.n_saved,
        "seconds": result.seconds,
        "data": {"n_rows": result.n_rows, "n_test_rows": result.n_test_rows, "n_groups": result.n_groups},
        "data_digest": result.data_digest,
        "ignored": list(result.ignored),
        "mistakes": describe_mistakes(result, dataset),
        "versions": dict(sorted(result.versions.items())),
        "seeds": settings["seeds"],
        "warnings": list(result.warnings),
        "command": result.command,
        "study_yaml": result.resolved_yaml,
    }
    return _plain(summary)


def _metric(metric: MetricInfo) -> dict[str, Any]:
    return {"name": metric.name, "unit": metric.unit, "higher_is_better": metric.higher_is_better}


def _settings(resolved_yaml: str) -> dict[str, Any]:
    study = YAML(typ="safe", pure=True).load(resolved_yaml) if resolved_yaml.strip() else {}

    def setting(section: str, name: str) -> Any:
        return (study.get(section) or {}).get(name)

    alpha = setting("verdict", "alpha")
    return {
        "alpha": 0.05 if alpha is None else alpha,
        "seeds": {"folds": setting("folds", "seed"), "train": setting("train", "seed")},
    }


def _baseline(result: StudyResult) -> dict[str, Any]:
    baseline = result.baseline
    return {
        "score": baseline.score,
        "interval": [baseline.low, baseline.high],
        "judged": baseline.judged,
        "n_trainings": baseline.n_trainings,
        "seconds": baseline.seconds,
        "folds": _folds(baseline.folds),
        "maps": baseline.maps,
    } | ({"ensemble": baseline.ensemble} if baseline.ensemble else {})


def _folds(folds: Iterable[FoldScore]) -> list[dict[str, Any]]:
    return [
        {
            "repeat": one.repeat,
            "fold": one.fold,
            "n_test": one.n_test,
            "score": one.score,
            "judged": one.judged,
            "fit_time_s": one.fit_time_s,
            "epochs": [entry["epoch"] for entry in one.log],
            "loss": [entry["loss"] for entry in one.log],
        }
        | ({"inside": inside} if (inside := _inside(one.log)) else {})
        for one in folds
    ]


def _inside(log: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """With `train.report`, what was seen in the network: by epoch, its health and what each head did."""
    seen = ({key: entry[key] for key in ("epoch", "health", "heads") if key in entry} for entry in log)
    return [entry for entry in seen if len(entry) > 1]


def _gain(gain: Gain | None) -> dict[str, Any] | None:
    return None if gain is None else {"gain": gain.value, "interval": [gain.low, gain.high]}


def _idea(arm: ArmResult) -> dict[str, Any]:
    judged = arm.judgement
    look = None if judged is None else judged.look
    return {
        "name": arm.idea,
        "arm": arm.name,
        "outcome": UNDECIDED if judged is None else judged.outcome.value,
        "gain": None if judged is None else judged.gain,
        "interval": None if judged is None else [judged.low, judged.high],
        "p_value": None if judged is None else judged.p_value,
        "n_trainings": arm.n_trainings,
        "seconds": arm.seconds,
        "note": arm.note,
        "n_saved": arm.n_saved,
        "metric_gain": _gain(arm.metric_gain),
        "confirmed": arm.confirmed,
        "level": arm.level,
        "reason": NOT_JUDGED if judged is None else judged.reason,
        "look": None if look is None else {"repeat": look.repeat, "fold": look.fold},
        **{name: None if judged is None else getattr(judged, name) for name in DETAILS},
        "patch": arm.patch,
        "folds": _folds(arm.folds),
        "maps": arm.maps,
    } | ({"ensemble": arm.ensemble} if arm.ensemble else {})


def _sensitivity(result: StudyResult) -> dict[str, Any]:
    """What this cross-validation can and cannot see, in the judged metric; VERDICT section 7 for the alarm."""
    judged = [arm.judgement for arm in result.ideas if arm.judgement is not None]
    claims = [one.gain for one in judged if one.outcome.value == "helps"]
    claimed = max(claims, default=None)
    m, budget, luck = result.n_compared, result.n_planned, result.luck_line
    near_luck = claimed is not None and luck is not None and claimed < 2 * luck
    variance = result.baseline.seed_variance
    return {
        "seed_noise": None if variance is None else math.sqrt(max(variance, 0.0)),
        "margin": next((one.margin for one in judged), None),
        "smallest_gain": result.smallest_gain,
        "luck_line": luck,
        "claimed_gain": claimed,
        "n_planned": budget,
        "n_compared": m,
        "alarm": overuse(m, budget, claimed_gain=claimed, luck=luck),
        "claim_near_luck": near_luck,
    }


def _plain(value: Any) -> Any:
    """`value` of nothing but dict, list, str, int, bool, None and finite float."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return str(value)
