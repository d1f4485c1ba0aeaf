"""From the trainings of a run to what is reported of it."""

from __future__ import annotations

import importlib.metadata
import platform

import numpy as np
from numpy.typing import NDArray

import tamesu
from tamesu.document import resolved_yaml
from tamesu.ledger import Standing
from tamesu.metrics import Metric
from tamesu.results import ArmResult, BaselineResult, FoldScore, Gain, MetricInfo, StudyResult
from tamesu.texts import language, say
from tamesu.tryout import ArmScores, IdeaState, Tryout
from tamesu.verdict import Judgement, Look, interval, smallest_detectable_gain

REPORTED_PACKAGES = ("numpy", "torch", "torchvision", "timm", "scikit-learn", "opencv-python-headless")


def conclude(tryout: Tryout, *, task: str, seconds: float, standing: Standing | None, command: str) -> StudyResult:
    """All that is reported of a run; ideas that are not settled are there as far as they got."""
    plan = tryout.plan
    name, target = plan.baseline.recipe.target
    ideas = tuple(_arm_result(tryout, state) for state in tryout.ideas)
    gains = [idea.judgement for idea in ideas if idea.judgement is not None]
    return StudyResult(
        study=plan.config.name,
        lang=language(),
        task=task,
        metric=_info(plan.metric),
        judged_metric=_info(plan.judged),
        target=name,
        target_kind=target.kind,
        classes=plan.classes,
        y=plan.y,
        ids=plan.rows.ids,
        n_rows=len(plan.rows),
        n_test_rows=0 if plan.data.test is None else len(plan.data.test),
        n_groups=0 if plan.groups is None else len(np.unique(plan.groups)),
        baseline=_baseline_result(tryout),
        ideas=ideas,
        n_trainings=tryout.n_known,
        n_saved=sum(idea.n_saved for idea in ideas),
        seconds=seconds,
        n_planned=plan.config.verdict.budget,
        n_compared=standing.n_compared if standing else 0,
        luck_line=standing.luck_line(gains) if standing else None,
        smallest_gain=_smallest_gain(tryout, gains),
        data_digest=plan.rows.digest(tuple(plan.baseline.recipe.fields)),
        versions=versions(),
        warnings=plan.warnings,
        ignored=plan.data.ignored,
        resolved_yaml=resolved_yaml(plan.config),
        command=command,
        stopped=tryout.stopped,
    )


def versions() -> dict[str, str]:
    """Versions of what a result depends on, as far as installed; importing none of it."""
    found = {"tamesu": tamesu.__version__, "python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
