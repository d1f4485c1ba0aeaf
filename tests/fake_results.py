"""Realistic results without any training: what the report tests draw."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from tamesu.results import ArmResult, BaselineResult, FoldScore, Gain, MetricInfo, StudyResult
from tamesu.sheet import Area, Cell, Line, Mark, Note, Sheet, Track

SIGNS = (
    "go_left",
    "go_right",
    "keep_left",
    "keep_right",
    "roundabout",
    "speed_100",
    "speed_20",
    "speed_50",
    "turn_left",
    "turn_right",
)
LOG_LOSS = MetricInfo("log_loss", "nats", False)
ACCURACY = MetricInfo("accuracy", "fraction", True)
RMSE = MetricInfo("rmse", "target", False)
SQUARED = MetricInfo("squared_error", "target²", False)

YAML = """\
name: traffic-signs
lang: en
data: {train: train.csv, root: images, id: id}
fields:
  file: {kind: image}
  sign: {kind: label, target: true}
  track: {kind: group}
metric: accuracy
folds: {scheme: k_fold, n_splits: 5, max_repeats: 5, stratify: auto, group: track, seed: 0}
size: [32, 32]
augment: {mirror: 0.0, rotate_deg: 0.0, translate: 0.08}
learner: torch
model: {backbone: tiny, width: 32, depth: 2, activation: relu}
train: {epochs: 20, batch_size: 32, learning_rate: 0.002, seed: 0}
verdict: {alpha: 0.05, margin: auto, budget: 20}
"""


class FakeOutcome(enum.Enum):
    helps = "helps"
    hurts = "hurts"
    no_difference = "no difference"
    undecided = "undecided"


class Look(NamedTuple):
    repeat: int
    fold: int


@dataclass(frozen=True)
class FakeJudgement:
    """The shape of `tamesu.verdict.Judgement`."""

    outcome: FakeOutcome
    gain: float
    low: float
    high: float
    p_value: float | None
    look: Look
    final: bool = True
    standard_error: float = 0.006
    margin: float = 0.004
    n_rows: int = 900
    n_differ: int = 900
    small: bool = False
    reason: str = ""
    rows_needed: int | None = None
    repeats_needed: int | None = None
    split_fraction: float | None = 0.2

    def sentence(self) -> str:
        return "…"


def fold_scores(
    rng, *, repeats=2, n_splits=5, score=0.89, spread=0.012, judged=0.34, epochs=20, start=2.3, end=0.12, n_test=180
):
    found = []
    for repeat in range(repeats):
        for fold in range(n_splits):
            t = np.arange(1, epochs + 1) / epochs
            loss = end + (start - end) * np.exp(-5 * t) * np.exp(rng.normal(0, 0.05, epochs))
            rate = 0.002 * (1 + np.cos(np.pi * t)) / 2
            log = [{"epoch": e + 1, "loss": float(loss[e]), "learning_rate": float(rate[e])} for e in range(epochs)]
            found.append(
                FoldScore(
                    repeat,
                    fold,
                    n_test + fold % 2,
                    float(score + rng.normal(0, spread)),
                    float(judged + rng.normal(0, spread)),
                    float(11 + rng.normal(0, 0.4)),
                    log,
                )
            )
    return tuple(found)


def idea(rng, name, outcome, gain, half, *, patch=None, arm=None, metric=None, look=(2, 5), **more):
    if outcome == "undecided" and not more.get("reason"):
        more |= {"reason": "more_data", "rows_needed": 2700}
    judged = {k: more.pop(k) for k in list(more) if k in FakeJudgement.__dataclass_fields__}
    folds = (
        more.pop("folds", None)
        or fold_scores(rng, repeats=look[0], score=0.9 + gain / 4, end=more.pop("end", 0.12))[: 5 * (look[0] - 1) + look[1]]
    )
    p_value = float(2 * np.exp(-((gain / (half / 1.96)) ** 2) / 2) / 2.5) if half else None
    judgement = FakeJudgement(
        FakeOutcome(outcome), gain, gain - half, gain + half, p_value, Look(*look), standard_error=half / 1.96, **judged
    )
    return ArmResult(
        arm or name,
        name,
        patch or {"augment": {name: 0.5}},
        judgement,
        Gain(*(metric or (gain / 4, (gain - half) / 4, (gain + half) / 4))),
        folds,
        n_trainings=len(folds),
        n_saved=25 - len(folds),
        seconds=11.0 * len(folds),
        **more,
    )


def label_predictions(rng, y, k, sure=2.6):
    raw = rng.normal(0, 1, (len(y), k))
    raw[np.arange(len(y)), y] += sure
    for a, b in ((0, 1), (2, 3), (8, 9)):  # left and right are taken for each other
        if b < k:
            raw[y == a, b] += 1.4
            raw[y == b, a] += 1.2
    p = np.exp(1.6 * raw)
    return p / p.sum(axis=1, keepdims=True)


def sign_maps(classes=SIGNS):
    """What a mirror with swapped signs does: as `tamesu.tally.tally` gives it."""
    other = {one: two for a, b in ((0, 1), (2, 3), (8, 9)) for one, two in ((classes[a], classes[b]), (classes[b], classes[a]))}
    never = classes[5:8]
    counts = {}
    for i, name in enumerate(classes):
        mirrored = 0 if name in never else 400 + i
        became = {other[name]: mirrored} if name in other else {}
        kept = 0 if became else mirrored
        counts[name] = {"seen": 900, "mirrored": mirrored, "kept": kept, "became": became, "may_mirror": name not in never}
    return {
        "epochs": 20,
        "epochs_counted": 20,
        "rows_seen": 14400,
        "mirrored": 0.4183,
        "flipped": 0.0,
        "turned": 0.0,
        "rotated_deg": 3.75,
        "redrawn": 1320,
        "targets": {"sign": {"kind": "label", "classes": counts}},
    }


def sheet(row="00017.png", name="keep_left", other="keep_right"):
    """A preview of one row in six views, with a point, an area, a track and a value that a map changed."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    area = Area("lane", np.pad(np.ones((4, 4), dtype=int), 10), {1: name})
    track = Track("pen", {name: np.array([[0.1, 0.2], [0.9, 0.8]])})
    cells = [
        Cell(
            f"epoch {i}",
            f"mirrored, rotated by +{i}°",
            pixels,
            (Mark("dot", name, ((3.0, 4.0),), "eye"),),
            (area,),
            notes,
            (track,),
        )
        for i in range(5)
        for notes in [(Note("sign", other if i % 2 else name, name, True), Note("speed", "3", "3"))]
    ]
    hidden = Cell("mirrored", "never seen in training", None, notes=(Note("sign", name, name, True),))
    marked = {"eye": (name,), "lane": (name, other), "pen": (name,)}
    return Sheet(f"study · {name}", (Line(row, "picture", 0, (*cells, hidden)),), ("What is shown.",), marked)


def four_ideas(rng):
    return (
        idea(rng, "longer", "helps", 0.061, 0.018, patch={"train": {"epochs": 40}}, look=(1, 3), confirmed=True, level=0.005),
        idea(rng, "bigger", "helps", 0.024, 0.017, patch={"size": 48}, look=(2, 5), level=0.005),
        idea(rng, "other-seed", "no difference", 0.0004, 0.0031, patch={"train": {"seed": 1}}, look=(1, 5)),
        idea(
            rng,
            "mirror",
            "undecided",
            0.009,
            0.017,
            patch={"augment": {"mirror": 0.5}},
            look=(2, 5),
            reason="more_data",
            rows_needed=4200,
            maps=sign_maps(),
        ),
        idea(rng, "hot", "hurts", -1.42, 0.31, patch={"train": {"learning_rate": 0.06}}, look=(1, 2), end=2.1),
    )


def label_study(**changes) -> StudyResult:
    rng = np.random.default_rng(7)
    n, k = 900, len(SIGNS)
    y = rng.choice(k, n, p=np.linspace(1, 2, k) / np.linspace(1, 2, k).sum())
    folds = fold_scores(rng)
    result = StudyResult(
        study="traffic-signs",
        lang="en",
        task="try",
        metric=ACCURACY,
        judged_metric=LOG_LOSS,
        target="sign",
        target_kind="label",
        classes=SIGNS,
        y=y,
        ids=np.array([f"{i:05d}.png" for i in range(n)], dtype=object),
        n_rows=n,
        n_test_rows=300,
        n_groups=64,
        baseline=BaselineResult(0.8902, 0.876, 0.904, 0.3391, folds, 10, 112.0, 0.00019, label_predictions(rng, y, k)),
        ideas=four_ideas(rng),
        n_trainings=49,
        n_saved=76,
        seconds=612.0,
        n_planned=20,
        n_compared=5,
        luck_line=0.0151,
        smallest_gain=0.0178,
        data_digest="6b1f0f3c9a2e4d5588aa10c7e1f2d3b4",
        versions={"tamesu": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.4.6"},
        warnings=("train.csv: 2 rows are exact copies of others (00017.png, 00412.png).",),
        ignored=("photographer", "taken_at"),
        resolved_yaml=YAML,
        command="tamesu try study.yaml",
    )
    return replace(result, **changes)


def number_study(**changes) -> StudyResult:
    """A table without pictures, a number as the target."""
    rng = np.random.default_rng(3)
    n = 2000
    y = np.exp(rng.normal(3, 0.5, n))
    prediction = y * np.exp(rng.normal(0, 0.16, n)) + rng.normal(0, 1, n)
    folds = fold_scores(rng, score=4.2, spread=0.3, judged=17.6, start=1.1, end=0.13, n_test=400)
    ideas = (
        idea(
            rng,
            "log-age",
            "helps",
            1.9,
            1.1,
            patch={"fields": {"age": {"scale": "minmax"}}},
            margin=0.2,
            metric=(0.23, 0.1, 0.36),
        ),
        idea(
            rng,
            "deep",
            "undecided",
            0.3,
            1.6,
            patch={"model": {"hidden": 256}},
            margin=0.2,
            reason="more_repeats",
            split_fraction=0.7,
            repeats_needed=12,
        ),
    )
    return label_study(
        study="house-prices",
        metric=RMSE,
        judged_metric=SQUARED,
        target="price",
        target_kind="number",
        classes=(),
        y=y,
        ids=np.arange(n).astype(str).astype(object),
        n_rows=n,
        n_groups=None,
        n_test_rows=None,
        baseline=BaselineResult(4.21, 3.98, 4.45, 17.7, folds, 10, 90.0, 0.31, prediction),
        ideas=ideas,
        smallest_gain=1.2,
        luck_line=0.61,
        n_compared=14,
        warnings=(),
        **changes,
    )


def labels_study(**changes) -> StudyResult:
    rng = np.random.default_rng(5)
    n, classes = 600, ("cat", "dog", "grass", "indoor", "person", "sky", "tree")
    y = (rng.random((n, len(classes))) < np.linspace(0.05, 0.5, len(classes))).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1.3, y.shape) + 3.2 * y - 1.6)))
    return label_study(
        study="photo-tags", target="tags", target_kind="labels", classes=classes, y=y,
        ids=np.arange(n).astype(str).astype(object),
        n_rows=n, baseline=BaselineResult(0.81, 0.79, 0.83, 0.41, fold_scores(np.random.default_rng(1)), 10, 100.0, 0.0002, p),
        **changes,
    )  # fmt: skip


def undecided_study(**changes) -> StudyResult:
    rng = np.random.default_rng(9)
    reasons = ("more_data", "more_repeats", "few_differ", "tiny_n", "few_groups")
    ideas = tuple(
        idea(
            rng,
            name,
            "undecided",
            0.004 * i,
            0.02,
            reason=name,
            split_fraction=0.7 if name == "more_repeats" else 0.2,
            rows_needed=5000 if name == "more_data" else None,
        )
        for i, name in enumerate(reasons)
    )
    return label_study(ideas=ideas, **changes)


def interrupted_study(**changes) -> StudyResult:
    rng = np.random.default_rng(11)
    waiting = ArmResult("coords", "coords", {"channels": {"coords": True}}, None, None, (), 0, 0, 0.0)
    early = idea(rng, "mirror", "undecided", 0.012, 0.03, look=(1, 2), reason="budget")
    failed = ArmResult(
        "broken",
        "broken",
        {"model": {"backbone": "timm:nope"}},
        None,
        None,
        (),
        1,
        0,
        3.0,
        note="FitError: the loss is not finite",
    )
    return label_study(ideas=(*four_ideas(rng)[:1], early, waiting, failed), stopped="interrupted", **changes)


def twelve_ideas(**changes) -> StudyResult:
    rng = np.random.default_rng(13)
    ideas = tuple(
        idea(rng, "batch", outcome, gain, 0.012, arm=f"batch={size}", patch={"train": {"batch_size": size}}, look=look)
        for size, outcome, gain, look in (
            (8, "hurts", -0.031, (1, 5)), (16, "no difference", 0.0005, (3, 5)),
            (64, "undecided", 0.006, (2, 5)), (128, "hurts", -0.018, (2, 5)),
        )
    )  # fmt: skip
    more = tuple(
        idea(rng, f"idea-{i}", outcome, gain, 0.011 + 0.002 * i, patch={"augment": {"rotate_deg": 5 * i, "scale": [0.9, 1.1]}})
        for i, (outcome, gain) in enumerate(
            [("helps", 0.02), ("undecided", -0.004), ("undecided", 0.011), ("helps", 0.035)] * 2
        )
    )
    return label_study(ideas=ideas + more, n_compared=27, **changes)


def hostile_study(**changes) -> StudyResult:
    """Names that would break out of HTML, attributes or styles if they were not escaped."""
    evil = (
        '<script>alert("x")</script>',
        '"><img src=x onerror=alert(1)>',
        "a & b",
        "</style><b>",
        "{{ 7*7 }}",
        "*b* `c`",
        "日本語",
        "'",
        "%s",
        "{name}",
    )
    base = label_study()
    ids = base.ids.copy()
    ids[:] = [f'<svg onload="alert({i})">' for i in range(len(ids))]
    nasty = replace(base.ideas[0], name=evil[0], idea=evil[0], patch={evil[1]: evil[3]}, note=evil[0])
    return label_study(
        study=evil[0], target=evil[1], classes=evil, ids=ids,
        ideas=(nasty, *base.ideas[1:]), warnings=evil, ignored=evil,
        resolved_yaml="name: '</pre><script>alert(2)</script>'\n", command=evil[0], versions={evil[1]: evil[0]}, **changes,
    )  # fmt: skip


def fit_study(**changes) -> StudyResult:
    return label_study(task="fit", ideas=(), luck_line=None, smallest_gain=None, command="tamesu fit study.yaml", **changes)


def pictures_for(ids, side=48):
    """A small made-up sign for each id."""
    found = {}
    for i, name in enumerate(ids):
        rng = np.random.default_rng(i)
        y, x = np.mgrid[0:side, 0:side] / side - 0.5
        disc = (x**2 + y**2 < 0.19)[..., None]
        arrow = ((abs(y) < 0.07) & (abs(x) < 0.3))[..., None]
        colour = np.array([40, 90, 190]) + rng.integers(-30, 30, 3)
        pixels = np.where(disc, np.where(arrow, 240, colour), 90 + 60 * rng.random(3))
        found[str(name)] = np.clip(pixels + rng.normal(0, 12, (side, side, 3)), 0, 255).astype(np.uint8)
    return found
