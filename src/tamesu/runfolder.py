"""The folder that a study's runs write: trainings, decoded pictures, results, predictions, report.

runs/<study>/
  trials/<key>/       finished trainings (or in the store named by --store)
  cache/              decoded pictures; may be deleted at any time
  ledger/             every comparison made on these rows
  try.json fit.json   the last result of each
  study.resolved.yaml the study with every default
  out_of_fold.csv     predictions of the baseline for the rows when they were not trained on
  report.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamesu.errors import StoreError
from tamesu.files import write_atomically
from tamesu.ledger import Ledger, ledger_key
from tamesu.lock import RunLock
from tamesu.recipe import Arm, Recipe
from tamesu.results import StudyResult
from tamesu.store import Store
from tamesu.texts import say

if TYPE_CHECKING:
    import pandas as pd

    from tamesu.live import Watcher
    from tamesu.plan import Plan


class RunFolder:
    """One study's run folder; made when it is first written to."""

    def __init__(self, path: Path, store: str | None):
        self.path = path
        self.store_url = store or str(path / "trials")
        self._store: Store | None = None

    @property
    def cache(self) -> Path:
        """Decoded pictures."""
        return self.path / "cache"

    @property
    def store(self) -> Store:
        """Finished trainings."""
        if self._store is None:
            self._store = Store(self.store_url)
        return self._store

    def check_writable(self) -> None:
        """Raise StoreError where nothing can be written, before anything is trained."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                say(
                    "{path}: must be a folder that can be written to; got {error}. Name another with --runs.",
                    path=self.path,
                    error=error,
                )
            ) from error
        self.store.check_writable()

    def lock(self) -> RunLock:
        """Held while a run writes here: a second one is refused."""
        return RunLock(self.path)

    def prepare_pictures(self, plan: Plan, ideas: tuple[Arm, ...], watch: Watcher) -> None:
        """Decode the pictures once for every size that will be trained at."""
        for size in sorted({arm.recipe.size for arm in (plan.baseline, *ideas)}):
            for name, pictures in plan.rows.pictures.items():
                what = say("preparing {field} at {height} × {width}", field=name, height=size[0], width=size[1])
                pictures.prepare(size, lambda done, total, what=what: watch.reading(what, done, total))  # type: ignore[misc]

    def ledger(self, plan: Plan) -> Ledger:
        """Every comparison made on these rows and this target, by whichever study: it lies beside the run folders."""
        name, _ = plan.baseline.recipe.target
        return Ledger(self.path.parent / "ledger", ledger_key(plan.rows.ids, plan.rows.table[name]))

    def first_baseline(self, plan: Plan) -> Recipe:
        """The baseline of the first run on these rows; the present one is noted where this is the first."""
        path = self.path / "first_baseline.json"
        if not path.exists():
            write_atomically(path, plan.baseline.recipe.model_dump_json())
        return Recipe.model_validate_json(path.read_text(encoding="utf-8"))

    def write(self, summary: Mapping[str, Any], result: StudyResult, plan: Plan) -> None:
        """Leave everything a run leaves."""
        self.first_baseline(plan)
        write_atomically(self.path / f"{result.task}.json", json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
        write_atomically(self.path / "study.resolved.yaml", result.resolved_yaml)
        self.write_frame(out_of_fold(result, plan), self.path / "out_of_fold.csv")
        self.write_report(summary, plan)

    def write_frame(self, frame: pd.DataFrame, path: Path) -> None:
        """A table as csv, whole or not at all."""
        write_atomically(path, frame.to_csv(index=False))

    def write_report(self, summary: Mapping[str, Any], plan: Plan, path: Path | None = None) -> Path:
        """The result as one HTML file."""
        from tamesu.report.html import write_report

        path = path or self.path / "report.html"
        name = next(iter(plan.rows.pictures), None)
        write_report(summary, path, pictures=None if name is None else plan.rows.pictures[name])
        return path

    def last_summary(self) -> dict[str, Any] | None:
        """What the last `try` or `fit` left, whichever came later; None before the first."""
        written = [path for path in (self.path / "try.json", self.path / "fit.json") if path.exists()]
        if not written:
            return None
        return json.loads(max(written, key=os.path.getmtime).read_text(encoding="utf-8"))

    def verdict_on(self, arm: Arm) -> dict[str, Any] | None:
        """The last verdict on an idea; None if it was never tried."""
        path = self.path / "try.json"
        if not path.exists():
            return None
        ideas = json.loads(path.read_text(encoding="utf-8"))["ideas"]
        return next((idea for idea in ideas if idea["arm"] == arm.name), None)


def out_of_fold(result: StudyResult, plan: Plan) -> pd.DataFrame:
    """Predictions of the baseline for rows it was not trained on, mean over repeats: id, truth, prediction, probabilities."""
    import pandas as pd

    name, target = plan.baseline.recipe.target
    mean = result.baseline.predictions
    frame = pd.DataFrame({plan.config.data.id or "id": plan.rows.ids})
    if mean is None:
        return frame
    if target.kind == "number":
        return frame.assign(**{name: plan.y, "prediction": mean})
    shares = pd.DataFrame(mean, columns=[f"p_{one}" for one in plan.classes])
    if target.kind == "label":
        known = ~np.isnan(mean).any(axis=1)
        best = np.where(known, np.nan_to_num(mean).argmax(axis=1), -1)
        frame[name] = [plan.classes[code] for code in plan.y]
        frame["prediction"] = [plan.classes[code] if code >= 0 else None for code in best]
    return pd.concat([frame, shares], axis=1)
