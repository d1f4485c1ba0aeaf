"""kill -9 at random moments, start again: nothing finished is lost or recomputed, and the result is an undisturbed run's.

    python bench/crash.py [--kills 20] [--epochs 2] [--seed N]

Runs `tamesu try --json` on the digits demo once undisturbed. Then again in an empty folder, killed `--kills` times: the
main process, a worker, or all of them at once. A learner that writes down every training it begins shows whether
any that was finished is begun again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tamesu.demo import write_demo
from tamesu.store import Store

LEARNER = '''
import hashlib, json, os
from tamesu.learners.torch import TorchLearner

class Counting(TorchLearner):
    """Writes down each training that begins."""

    def fit(self, rows, recipe, seed, device="cpu", on_epoch=None):
        text = json.dumps([recipe.model_dump(mode="json"), seed], sort_keys=True)
        with open(os.environ["BEGUN"], "a") as file:
            file.write(hashlib.blake2b(text.encode(), digest_size=8).hexdigest() + "\\n")
        return super().fit(rows, recipe, seed, device, on_epoch)
'''
TIMES = re.compile(r"seconds|time|started|finished|date|.*_s$|.*_time.*|.*seconds.*|n_new|n_reused")  # what may differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=None, help="of the moments; printed")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="tamesu-bench-") as name:
        study = write_demo(Path(name))
        (Path(name) / "counting.py").write_text(LEARNER)
        text = study.read_text().replace("epochs: 8", f"epochs: {options.epochs}")
        study.write_text(text.replace("ideas:", "learner: counting:Counting\nideas:", 1))
        started = time.monotonic()
        with start(study, "calm") as process:
            calm = process.communicate()[0]
        took_s = time.monotonic() - started
        if process.returncode:
            raise SystemExit(f"the undisturbed run failed: {(Path(name) / 'calm.stderr').read_text()[-2000:]}")
        print(f"undisturbed: {took_s:.0f} s, {len(Store(Path(name) / 'calm' / 'digits' / 'trials').keys())} trainings")
        disturbed = disturb(study, random.Random(seed), options.kills)
        different = differences(json.loads(calm), json.loads(disturbed))
    for line in different:
        print(f"DIFFERS {line}")
    print("the results differ" if different else "the result equals the undisturbed run's")
    if different:
        raise SystemExit(1)


def start(study: Path, runs: str) -> subprocess.Popen[str]:
    folder = study.parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "BEGUN": str(folder / f"{runs}.begun")}
    command = [sys.executable, "-m", "tamesu", "try", str(study), "--json", "--runs", str(folder / runs)]
    with (folder / f"{runs}.stderr").open("w") as words:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True, env=env)


def disturb(study: Path, rng: random.Random, n_kills: int) -> str:
    """The document of a run that was killed and started again and again."""
    store = Store(study.parent / "rough" / "digits" / "trials")
    begun = study.parent / "rough.begun"
    begun.touch()
    for i in range(n_kills + 1):
        before, n_lines = finished(store), len(begun.read_text().splitlines())
        with start(study, "rough") as process:
            if i == n_kills:
                document = process.communicate()[0]
            else:
                whom = rng.choice(("main", "worker", "all"))
                when_s = wait_a_while(process, store, rng)
                kill(process, whom, rng)
                process.wait()
        after = finished(store)
        lost = before.items() - after.items()
        twice = set(before.values()) & set(begun.read_text().splitlines()[n_lines:])
        what = "to the end" if i == n_kills else f"killed {whom} at {when_s:.1f} s"
        print(f"{i + 1:3}  {what:26} {len(after):3} finished   lost {len(lost)}   recomputed {len(twice)}", flush=True)
        if lost or twice:
            raise SystemExit("a finished training was lost or recomputed")
    if process.returncode:
        raise SystemExit(f"the last run failed: {(study.parent / 'rough.stderr').read_text()[-2000:]}")
    return document


def wait_a_while(process: subprocess.Popen[str], store: Store, rng: random.Random) -> float:
    """Until a random moment, one time in four while it starts, else soon after a training finished; seconds since the start."""
    started = time.monotonic()
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0.1, 8.0))
    else:
        n_before = len(store.keys())
        while process.poll() is None and len(store.keys()) == n_before:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 3.0))
    return time.monotonic() - started


def finished(store: Store) -> dict[str, str]:
    """Of each finished trial its key, and the name under which the learner wrote it down."""
    names = {}
    for result in store.read_all():
        text = json.dumps([result.recipe, result.seed], sort_keys=True)
        names[result.key] = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return names


def kill(process: subprocess.Popen[str], whom: str, rng: random.Random) -> None:
    """kill -9 for the main process, or for a worker and then, shortly after, the main process, or for all at once."""
    if process.poll() is not None:  # done before its end came
        return
    workers = children(process.pid)
    victims = {"main": [], "worker": workers[:1], "all": workers}[whom]
    for pid in victims:
        if is_process(pid):
            os.kill(pid, signal.SIGKILL)
    if whom == "worker":
        time.sleep(rng.uniform(0.0, 2.0))
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while any(map(is_process, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left := [pid for pid in workers if is_process(pid)]:
        raise SystemExit(f"orphans: {left}")


def children(pid: int) -> list[int]:
    """Processes started by `pid` (Linux)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(one) for one in task.read_text().split()]
    return found


def is_process(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """Places at which two JSON documents differ, apart from times and from the run folder's name."""
    if isinstance(a, dict) and isinstance(b, dict):
        names = [name for name in sorted({*a, *b}) if not TIMES.fullmatch(name)]
        return [line for name in names for line in differences(a.get(name), b.get(name), f"{where}.{name}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [line for i, (x, y) in enumerate(zip(a, b, strict=True)) for line in differences(x, y, f"{where}[{i}]")]
    if isinstance(a, str) and isinstance(b, str):
        b = b.replace("/rough/", "/calm/")
    return [] if a == b else [f"{where}: {str(a)[:80]} / {str(b)[:80]}"]


if __name__ == "__main__":
    main()
