"""What a run found, as plain frozen values: filled by `try` and `fit`, read by the report.

StudyResult
├── baseline: BaselineResult ── folds: FoldScore …
└── ideas: ArmResult …       ── folds: FoldScore …, judgement, metric_gain
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from tamesu.verdict import Judgement


@dataclass(frozen=True)
class MetricInfo:
    """What a score is called, counted in, and which way it gets better."""

    name: str
    unit: str = ""  # "" without one; "fraction" is shown in percent; "target": the target's own unit
    higher_is_better: bool = False


@dataclass(frozen=True)
class FoldScore:
    """One training and what its test fold said."""

    repeat: int  # from 0
    fold: int  # from 0
    n_test: int
    score: float  # the study's metric
    judged: float  # the judged loss
    fit_time_s: float
    log: list[dict[str, Any]] = field(default_factory=list)  # per epoch {"epoch", "loss", "learning_rate"}
    weights: tuple[float, ...] = ()  # of an ensemble's members, in the recipe's order


@dataclass(frozen=True)
class Gain:
    """A difference to the baseline in a metric's unit with its interval; positive is better."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ArmResult:
    """An idea (one arm of it), tried against the baseline."""

    name: str  # of the arm
    idea: str
    patch: Mapping[str, Any]
    judgement: Judgement | None  # None: not one look was reached
    metric_gain: Gain | None
    folds: tuple[FoldScore, ...]
    n_trainings: int
    n_saved: int  # trainings of the full plan that the verdict did not need
    seconds: float
    note: str = ""
    confirmed: bool = False
    level: float | None = None  # the p-value that "confirmed" asked for
    maps: Mapping[str, Any] | None = (
        None  # what the maps of one training did (`tally`); None: no picture was mirrored or turned
    )
    ensemble: Mapping[str, Any] | None = None  # {"method", "seeds", "members": [{"name", "weight"}]}; None: it is none


@dataclass(frozen=True)
class BaselineResult:
    """The study as it stands, under cross-validation."""

    score: float
    low: float
    high: float
    judged: float
    folds: tuple[FoldScore, ...]
    n_trainings: int
    seconds: float
    seed_variance: float | None = None  # of one fold mean's change under another seed, in the judged loss
    predictions: NDArray[Any] | None = None  # out of fold, mean over repeats, rows as in the data; NaN where unscored
    fold_of: NDArray[Any] | None = None  # (r, n) the fold a row was scored in, -1 where it was not
    maps: Mapping[str, Any] | None = None  # as of an idea
    ensemble: Mapping[str, Any] | None = None  # as of an idea


@dataclass(frozen=True, repr=False)
class StudyResult:
    """All that a report or a JSON document says; shows itself as the table of the command line."""

    study: str
    lang: str
    task: str  # "fit" or "try"
    metric: MetricInfo
    judged_metric: MetricInfo
    target: str
    target_kind: str
    classes: tuple[str, ...]
    y: NDArray[Any]  # (n, …) as `Target.truth` gives it: label (n,) codes, labels (n, k) 0/1, number (n,), points (n, k, 2) …
    ids: NDArray[Any]  # (n,)
    n_rows: int
    n_test_rows: int | None  # 0 or None: no test rows
    n_groups: int | None  # 0 or None: rows are not grouped
    baseline: BaselineResult
    ideas: tuple[ArmResult, ...]
    n_trainings: int
    n_saved: int
    seconds: float
    n_planned: int  # the idea budget M
    n_compared: int  # comparisons in the ledger so far, these included
    luck_line: float | None  # what the best of n_compared useless ideas shows, in the judged loss
    smallest_gain: float | None  # found with 80 % power, in the judged loss
    data_digest: str
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    resolved_yaml: str = ""
    command: str = ""
    target_period: float | None = None  # of an angle, in its own unit
    stopped: str = ""  # "budget", "interrupted", or "": it ran to its end

    def __repr__(self) -> str:
        from tamesu.report.table import plain_table

        return plain_table(self)
