"""How often the verdict is wrong, and how often it finds what is there: measured on made data with known truth.

    python bench/calibration.py                 a smaller grid, about 20 minutes on 2 cores
    python bench/calibration.py --quick         logistic regression only, about 1 minute
    python bench/calibration.py --full          1,000 data sets a cell and more learners: many hours
    python bench/calibration.py --many-ideas    40 ideas on one data set, with the ledger

Every finished data set is one line in --out; started again, only what is missing is computed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one data set a process: threads would only get in each other's way
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

import planted
from tamesu.ledger import Ledger
from tamesu.multiplicity import two_level
from tamesu.verdict import Judge, Look, Outcome, seed_variance

FLOORS = {"log_loss": ("relative", 0.01), "accuracy": ("absolute", 0.005)}
DATASETS = {"lr": 500, "net": 150, "forest": 40, "knn": 100}
CHUNK = 10  # data sets a task
N_IDEAS = 40


def judge_one(
    learner: str,
    n: int,
    idea: str,
    seed: int,
    *,
    n_splits: int = 5,
    max_repeats: int = 5,
    factor: float | None = None,
    rules: bool = False,
) -> list[dict[str, Any]]:
    """The sequential verdict on one data set, by each metric; with `rules` also what fixed 5x5 tests say."""
    made = planted.make_comparison(learner, n, idea, seed, n_splits=n_splits, max_repeats=max_repeats)
    made.train_to(1)
    again, found = made.reseeded(), []
    for metric, floor in FLOORS.items():
        a, b, folds = made.a[metric], made.b[metric], made.fold_of
        noise = seed_variance(a, again[metric], folds)
        judge = Judge(n_splits, max_repeats, margin_floor=floor, factor=factor)
        for look in judge.looks():
            made.train_to(look.repeat)
            said = judge.judge(a, b, folds, look, seed_variance=noise)
            if said.final:
                break
        row = {"learner": learner, "n": n, "idea": idea, "metric": metric, "seed": seed, "outcome": said.outcome.value}
        row |= {"trainings": 2 * ((said.look.repeat - 1) * n_splits + said.look.fold), "reason": said.reason}
        row |= {"gain": said.gain, "low": said.low, "high": said.high, "margin": said.margin, "truth": made.true_gain[metric]}
        if rules:
            made.train_to(max_repeats)
            for name, rule in (("nb", Judge(n_splits, max_repeats, method="folds", margin=0.0)), ("two_way", judge)):
                row[name] = fixed_test(rule, a, b, folds, noise)
        found.append(row)
    return found


def fixed_test(judge: Judge, a: Any, b: Any, folds: Any, noise: float) -> int:
    """+1 or -1 where the interval at the last look excludes zero, as a test without early looks."""
    said = judge.judge(a, b, folds, Look(judge.max_repeats, judge.n_splits), seed_variance=noise)
    return int(said.low > 0) - int(said.high < 0)


# ── the grid ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tasks(options: argparse.Namespace, done: set[tuple]) -> Iterator[tuple]:
    """(learner, n, idea, seeds) still to do, in chunks."""
    for learner, n, idea in product(options.learners, options.sizes, planted.IDEAS):
        if options.cells and f"{learner}/{n}/{idea}" not in options.cells:
            continue
        count = options.datasets or (1000 if options.full else DATASETS[learner])
        missing = [seed for seed in range(count) if (learner, n, idea, seed) not in done]
        for start in range(0, len(missing), CHUNK):
            yield (
                learner,
                n,
                idea,
                missing[start : start + CHUNK],
                options.rules or learner == "lr",
                options.factor,
                options.draft,
            )


def run_task(task: tuple) -> list[dict[str, Any]]:
    learner, n, idea, seeds, rules, factor, draft = task
    n_splits, max_repeats = (3, 8) if draft else (5, 5)
    return [
        row
        for seed in seeds
        for row in judge_one(learner, n, idea, seed, n_splits=n_splits, max_repeats=max_repeats, factor=factor, rules=rules)
    ]


def run_grid(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows of the grid, those of earlier runs included."""
    rows = read_rows(options.out)
    todo = list(tasks(options, {(r["learner"], r["n"], r["idea"], r["seed"]) for r in rows}))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.jobs) as pool, options.out.open("a", encoding="utf-8") as file:
        for count, found in enumerate(pool.map(run_task, todo), start=1):
            file.write("".join(json.dumps(row) + "\n" for row in found))
            file.flush()
            rows += found
            print(f"\r{count}/{len(todo)} chunks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of an earlier run; a line that was torn when it was killed is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{path}: a torn line is left out", file=sys.stderr)
    return rows


# ── the tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def summarise(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a cell: shares of outcomes, trainings, coverage."""
    cells = defaultdict(list)
    for row in rows:
        cells[row["learner"], row["n"], row["idea"], row["metric"]].append(row)
    return [_cell(key, found) for key, found in sorted(cells.items())]


def _cell(key: tuple, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    learner, n, idea, metric = key
    null = idea in planted.NULLS
    truth = 0.0 if null else float(np.mean([row["truth"] for row in rows]))
    outcomes = [row["outcome"] for row in rows]
    right = "helps" if truth > 0 else "hurts"
    verdict = np.array([outcome in ("helps", "hurts") for outcome in outcomes])
    beyond = [abs(truth) >= row["margin"] for row in rows]
    cell = {"learner": learner, "n": n, "idea": idea, "metric": metric, "datasets": len(rows), "null": null, "truth": truth}
    cell |= {"verdict": verdict.mean() if null else np.mean([outcome == right for outcome in outcomes])}
    cell |= {"wrong": 0.0 if null else np.mean([v and o != right for v, o in zip(verdict, outcomes, strict=True)])}
    cell |= {"false_same": np.mean([o == "no difference" and far for o, far in zip(outcomes, beyond, strict=True)])}
    cell |= {"covered": np.mean([row["low"] <= truth <= row["high"] for row in rows])}
    cell |= {"trainings": np.mean([row["trainings"] for row in rows])}
    for rule in ("nb", "two_way"):
        signs = [row[rule] for row in rows if rule in row]
        cell[rule] = math.nan if not signs else np.mean([s != 0 if null else s == np.sign(truth) for s in signs])
    return cell


def table(cells: list[dict[str, Any]]) -> str:
    """The cells as Markdown, nulls first."""
    heads = ["learner", "n", "idea", "metric", "data sets", "truth", "FP / power", "NB 5x5", "two-way 5x5"]
    lines = [_line([*heads, "wrong dir.", "false same", "coverage", "trainings"]), "|---" * 13 + "|"]
    for c in sorted(cells, key=lambda cell: not cell["null"]):
        shares = [c["verdict"], c["nb"], c["two_way"], c["wrong"], c["false_same"], c["covered"]]
        what = [c["learner"], c["n"], c["idea"], c["metric"], c["datasets"], f"{c['truth']:.4f}"]
        lines.append(
            _line([*what, *("-" if math.isnan(share) else f"{share:.3f}" for share in shares), f"{c['trainings']:.1f}"])
        )
    return "\n".join(lines)


def _line(entries: Iterable[object]) -> str:
    return "| " + " | ".join(str(entry) for entry in entries) + " |"


def targets(cells: list[dict[str, Any]]) -> str:
    """The target numbers against what was measured."""

    def mean(name: str, chosen: Iterable[dict[str, Any]]) -> float:
        values = [cell[name] for cell in chosen]
        return float(np.mean(values)) if values else math.nan

    main = [c for c in cells if c["learner"] != "knn"]
    nulls, effects = [c for c in main if c["null"]], [c for c in main if not c["null"]]
    compared = [c for c in effects if not math.isnan(c["nb"])]
    worst = max(nulls, key=lambda c: c["verdict"], default=None)
    slack = 0 if worst is None else 2 * math.sqrt(0.05 * 0.95 / worst["datasets"])
    lowest = min(main, key=lambda c: c["covered"], default=None)
    lines = ["| target | wanted | measured |", "|---|---|---|"]
    lines.append(f"| FP, mean of null cells | <= 3 % | {mean('verdict', nulls):.1%} |")
    if worst:
        name = f"{worst['learner']} {worst['n']} {worst['idea']} {worst['metric']}"
        lines.append(f"| FP, worst cell (5 % + 2 SE) | <= {0.05 + slack:.1%} | {worst['verdict']:.1%} ({name}) |")
    for group, share in (("null", 25), ("clear", 25), ("small", 33)):
        chosen = nulls if group == "null" else [c for c in effects if c["idea"] == group]
        lines.append(f"| trainings, {group}, share of 50 | <= {share} % | {mean('trainings', chosen) / 50:.0%} |")
    for rule, name, wanted in (("nb", "NB 5x5", "+8"), ("two_way", "fixed two-way", "-5")):
        if compared:
            gap = 100 * (mean("verdict", compared) - mean(rule, compared))
            lines.append(f"| power against {name} | >= {wanted} points | {gap:+.1f} |")
    lines.append(
        f"| false 'no difference', worst cell | <= 5 % | {max((c['false_same'] for c in main), default=math.nan):.1%} |"
    )
    lines.append(f"| wrong direction, mean | <= 0.1 % | {mean('wrong', effects):.2%} |")
    if lowest:
        lines.append(f"| coverage, lowest cell | >= 95 % | {lowest['covered']:.1%} (mean {mean('covered', main):.1%}) |")
    for idea in ("small", "clear", "harm"):
        lines.append(f"| power, {idea} | | {mean('verdict', [c for c in effects if c['idea'] == idea]):.2f} |")
    return "\n".join(lines)


# ── many ideas ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def many_ideas(seed: int, *, n: int = 500, n_true: int = 0) -> dict[str, Any]:
    """A project of 40 ideas on one data set: swap a column for an equally good one; `n_true` of them add a real one.

    The baseline is updated whenever an idea is confirmed. The true columns measure one thing, so one of them is enough.
    """
    rng = np.random.default_rng([seed, n, n_true])
    shared, real = rng.normal(size=(2, n))
    core, twins = rng.normal(size=(n, 3)), shared[:, None] + 0.7 * rng.normal(size=(n, N_IDEAS + 1))
    true_columns = real[:, None] + 0.4 * rng.normal(size=(n, 3))
    logit = 1.2 * core[:, 0] + 0.8 * core[:, 1] + 0.9 * shared + (1.0 if n_true else 0.0) * real
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    order = rng.permutation(N_IDEAS)
    true_ideas = {int(idea): j for j, idea in enumerate(order[:n_true])}
    baseline = np.column_stack([core, twins[:, :1]])
    folds = np.stack([planted.stratified_folds(y, 5, rng) for _ in range(5)])
    result: dict[str, Any] = {
        "seed": seed,
        "n_true": n_true,
        "false_suggestive": 0,
        "false_confirmed": 0,
        "true_suggestive": 0,
        "true_confirmed": 0,
        "trainings": 0,
        "luck": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(folder, "rows")
        for i in range(N_IDEAS):
            if i in true_ideas:
                changed = np.column_stack([baseline, true_columns[:, true_ideas[i]]])
            else:
                changed = np.column_stack([baseline[:, :3], twins[:, i + 1], baseline[:, 4:]])
            ledger.open(str(i), f"idea {i}", budget=N_IDEAS)
            level = ledger.standing().level(str(i), budget=N_IDEAS)
            said, at_level, trainings = judge_at_both(baseline, changed, y, folds, level)
            confirmed = two_level(said.outcome, at_level.outcome) == "confirmed" and said.outcome is Outcome.helps
            ledger.look(str(i), f"idea {i}", said, confirmed=confirmed)
            kind = "true" if i in true_ideas else "false"
            result[f"{kind}_suggestive"] += said.outcome is Outcome.helps
            result[f"{kind}_confirmed"] += confirmed
            result["trainings"] += trainings
            if confirmed:
                baseline = changed
        result["luck"] = ledger.standing().luck_line()
    return result


def judge_at_both(before: Any, after: Any, y: Any, folds: Any, level: float) -> tuple:
    """Verdicts at alpha and, going on from there, at `level`; and the idea's trainings."""
    train = (folds[:, None, :] != np.arange(5)[None, :, None]).reshape(25, -1)
    own = (np.arange(25).reshape(5, 5)[np.arange(5)[:, None], folds], np.arange(len(y)))
    a, b = (planted.row_losses(y, planted.logistic(x, y, train, np.zeros(25)))["log_loss"][own] for x in (before, after))
    judge = Judge(5, 5)
    said = at_level = None
    for look in judge.looks():
        if said is None or not said.final:
            said = judge.judge(a, b, folds, look)
        at_level = judge.judge(a, b, folds, look, level=level)
        if said.final and (said.outcome is not Outcome.helps or at_level.final):
            break
    return said, at_level, (look.repeat - 1) * 5 + look.fold


def run_many_ideas(options: argparse.Namespace) -> str:
    """The experiment of many ideas as Markdown."""
    count = options.datasets or 60
    heads = ["40 ideas", "projects", "any false, suggestive", "any false, confirmed"]
    lines = [_line([*heads, "a true one suggestive", "a true one confirmed", "trainings"]), "|---" * 7 + "|"]
    with ProcessPoolExecutor(options.jobs) as pool:
        for n_true in (0, 3):
            found = list(pool.map(many_ideas_of, [(seed, n_true) for seed in range(count)]))
            share = {key: np.mean([project[key] > 0 for project in found]) for key in found[0] if key.endswith(("ive", "ed"))}
            real = [f"{share['true_suggestive']:.2f}", f"{share['true_confirmed']:.2f}"] if n_true else ["-", "-"]
            name = f"{n_true} real, one enough" if n_true else "all useless"
            false = [f"{share['false_suggestive']:.2f}", f"{share['false_confirmed']:.2f}"]
            lines.append(_line([name, count, *false, *real, f"{np.mean([project['trainings'] for project in found]):.0f}"]))
    return "\n".join(lines)


def many_ideas_of(task: tuple[int, int]) -> dict[str, Any]:
    seed, n_true = task
    return many_ideas(seed, n_true=n_true)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="logistic regression, n = 200, 100 data sets a cell")
    parser.add_argument("--full", action="store_true", help="1,000 data sets a cell, kNN too")
    parser.add_argument("--many-ideas", action="store_true", help="40 ideas on one data set, with the ledger")
    parser.add_argument("--draft", action="store_true", help="3 folds, up to 8 repeats")
    parser.add_argument(
        "--rules", action="store_true", help="compare with fixed 5x5 tests for every learner (slower), not only lr"
    )
    parser.add_argument("--factor", type=float, help="variance factor, 1.7 is strict")
    parser.add_argument("--learners", nargs="+", choices=list(planted.LEARNERS))
    parser.add_argument("--sizes", nargs="+", type=int)
    parser.add_argument("--cells", nargs="+", help="only these, as learner/n/idea")
    parser.add_argument("--datasets", type=int, help="data sets a cell, or projects")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, help="where finished data sets are kept; delete it to start anew")
    options = parser.parse_args()
    if options.many_ideas:
        print(run_many_ideas(options))
        return
    if options.quick:
        options.sizes, options.learners = options.sizes or [200], options.learners or ["lr"]
        options.datasets = options.datasets or 100
    options.sizes = options.sizes or [200, 500, 1000]
    options.learners = options.learners or (list(planted.LEARNERS) if options.full else ["lr", "net", "forest"])
    variant = ("-draft" if options.draft else "") + (f"-factor{options.factor}" if options.factor else "")
    options.out = options.out or Path(f"runs/calibration{variant}.jsonl")
    wanted = set(product(options.learners, options.sizes))
    cells = summarise(row for row in run_grid(options) if (row["learner"], row["n"]) in wanted)
    print(table(cells), "", targets(cells), sep="\n")


if __name__ == "__main__":
    main()
