"""Knowledge whose truth is known: generated problems in which a piece of knowledge is true and worth something, or false.

    python bench/planted_knowledge.py [--only NAME …] [--seeds N]

Every case is one study with one idea. Where the knowledge is true the verdict must be `helps`; where it is false, `hurts`
or `no difference` (`undecided` is counted as a miss in both). Quick on purpose: small tables and pictures of 16 px. The cases
are in planted_inputs.py, planted_outputs.py and planted_learning.py.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

import planted_inputs
import planted_learning
import planted_outputs

CASES = planted_inputs.CASES | planted_outputs.CASES | planted_learning.CASES


def run(name: str, seed: int) -> tuple[str, str, int]:
    """The verdict, the gain it stands on, and how many trainings it took."""
    from tamesu import Study

    case = CASES[name]
    with tempfile.TemporaryDirectory() as runs, contextlib.chdir(runs), contextlib.redirect_stderr(None):
        rows = case.make(np.random.default_rng([seed, zlib.crc32(name.encode())]))  # the same whichever cases there are
        if not any(np.ndim(one) > 1 for one in rows.values()):
            rows = pd.DataFrame(rows)  # type: ignore[assignment]
        study = Study(rows, fields=case.fields, ideas={"idea": case.idea}, runs=Path(runs), name="planted", **case.settings)
        idea = study.try_ideas().ideas[0]
    judgement = idea.judgement
    low, high = judgement.low, judgement.high
    gain = f"{judgement.gain:+.3g} ({low:+.3g} to {high:+.3g})"
    return str(judgement.outcome.value).replace("_", " "), gain, idea.n_trainings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    print("| knowledge | of | right | got | gain | trainings | seconds |\n|---|---|---|---|---|---|---|")
    right = 0
    for name in options.only:
        begun = time.monotonic()
        got = [run(name, seed) for seed in range(options.seeds)]
        right += sum(verdict in CASES[name].expected for verdict, *_ in got)
        verdicts, gains, trainings = (", ".join(str(one) for one in part) for part in zip(*got, strict=True))
        wanted, spent = " or ".join(CASES[name].expected), time.monotonic() - begun
        print(f"| {name} | {CASES[name].item} | {wanted} | {verdicts} | {gains} | {trainings} | {spent:.0f} |", flush=True)
    n = len(options.only) * options.seeds
    print(f"\n{right} of {n} as they should be, in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
