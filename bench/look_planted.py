"""Faults planted in generated data: how many does `look` find, and what does it say of clean data?

    python bench/look_planted.py                 # 50 seeds
    python bench/look_planted.py --seeds 4 --json out.json

Each seed makes ten data sets with 50 faults in all, at one of three strengths by turns, and four clean ones (`look_faults.py`).
A fault counts as found where a finding of its kind names its column, label or row, or says its word.
"""

from __future__ import annotations

import argparse
import collections
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from look_faults import PICTURES, STRENGTHS, TABLES, Data, clean_sets
from tamesu.look.finding import Finding
from tamesu.look.reading import make_material
from tamesu.look.run import run_analyses


def look(data: Data) -> dict[str, list[Finding]]:
    """Findings by the analysis that made them."""
    material = make_material(data.train, data.test, fields=data.fields, base=data.base)
    parts = run_analyses(material, out_of_fold=data.out_of_fold, strict=True)
    return {name: list(part.findings) for name, part in parts.items()}


def one_seed(seed: int) -> dict[str, Any]:
    """Which faults were found, and what was said of clean data."""
    found: list[tuple[str, str, bool]] = []
    false: list[tuple[str, str, str, str]] = []
    strength = seed % 3
    with tempfile.TemporaryDirectory() as place:
        for i, make in enumerate((*TABLES, *PICTURES)):
            rng = np.random.default_rng([seed, i])
            folder = Path(place) / make.__name__
            folder.mkdir()
            data = make(rng, strength, folder) if make in PICTURES else make(rng, strength)  # type: ignore[operator]
            findings = [one for several in look(data).values() for one in several]
            for fault, (kind, fits) in data.expected.items():
                found.append((fault, STRENGTHS[strength], any(one.kind == kind and fits(one) for one in findings)))
        folder = Path(place) / "clean"
        folder.mkdir()
        clean = clean_sets(np.random.default_rng([seed, 99]), folder)
        for name, data in clean.items():
            false += [(name, analysis, one.kind, one.sentence) for analysis, several in look(data).items() for one in several]
    return {"seed": seed, "found": found, "false": false, "n_clean": len(clean)}


def run_seeds(seeds: range, workers: int = 1) -> list[dict[str, Any]]:
    """What `one_seed` gives for each, in their order."""
    if workers == 1:
        return [one_seed(seed) for seed in seeds]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(one_seed, seeds))


def report(results: list[dict[str, Any]]) -> str:
    """The tables for bench/README.md."""
    hits: dict[str, dict[str, list[bool]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for one in results:
        for fault, strength, hit in one["found"]:
            hits[fault][strength].append(hit)
    every = [hit for of in hits.values() for several in of.values() for hit in several]
    n_clean = sum(one["n_clean"] for one in results)
    false = [row for one in results for row in one["false"]]
    per_set = collections.Counter((one["seed"], row[0]) for one in results for row in one["false"])
    lines = [
        f"{len(results)} seeds, {len(hits)} faults: recall {np.mean(every):.3f} ({sum(every)} of {len(every)}); {len(false)} "
        f"findings in {n_clean} clean data sets ({len(false) / n_clean:.3f} each, {max(per_set.values(), default=0)} at most).",
        "",
    ]
    lines += ["| fault | weak | medium | strong |", "|---|---|---|---|"]
    for fault, of in sorted(hits.items()):
        cells = [f"{sum(of[s])}/{len(of[s])}" if of[s] else "–" for s in STRENGTHS]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    kinds = collections.Counter((name, kind) for name, _, kind, _ in false)
    lines += ["", *(f"- {name}: {kind} ×{n}" for (name, kind), n in kinds.most_common())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.monotonic()
    results = run_seeds(range(args.first, args.first + args.seeds), args.workers)
    print(report(results))
    print(f"\n{time.monotonic() - started:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(results, ensure_ascii=False))


if __name__ == "__main__":
    main()
