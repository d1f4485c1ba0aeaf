"""The folder that a study's runs write: trainings, decoded pictures, results, predictions, report.

runs/<study>/
  trials/<key>/       finished trainings (or in the store named by --store)
  cache/              decoded pictures; may be deleted at any time
  ledger/             every comparison made on these rows
  try.json fit.json   the last result of each
  importance.json     what the models use, as last measured
  study.resolved.yaml the study with every default
  out_of_fold.csv     predictions of the baseline for the rows when they were not trained on
  report.html
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamesu.arms import Arm
from tamesu.classes import ONE_CLASS
from tamesu.errors import StoreError
from tamesu.fields import EventsField, PictureField
from tamesu.files import write_atomically
from tamesu.ledger import Ledger, ledger_key
from tamesu.lock import RunLock
from tamesu.map_draws import most_enlarged
from tamesu.maps import Size
from tamesu.recipe import Recipe
from tamesu.results import StudyResult
from tamesu.step_tables import event_table, step_table
from tamesu.store import Store
from tamesu.submission import SEVERAL, value_names
from tamesu.texts import say

N_PREVIEWED = 6  # samples in the report

if TYPE_CHECKING:
    import pandas as pd

    from tamesu.live import Watcher
    from tamesu.plan import Plan
    from tamesu.sheet import Sheet


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
    def importance(self) -> Path:
        """What the models use, as last measured."""
        return self.path / "importance.json"

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
        """Decode the pictures once for every size that will be trained at, and for the larger ones that maps enlarge."""
        from tamesu.warp import ALL_PIXELS

        recipes = [recipe for arm in (plan.baseline, *ideas) for recipe in arm.recipe.trained]
        for size, name in sorted({(size, name) for recipe in recipes for size, name in _read_sizes(recipe)}):
            what = say("preparing {field} at {height} × {width}", field=name, height=size[0], width=size[1])
            if size == ALL_PIXELS:
                what = say("preparing {field}", field=name)
            plan.rows.pictures[name].prepare(size, lambda done, total, what=what: watch.reading(what, done, total))  # type: ignore[misc]

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
        pictures = None if name is None else plan.rows.pictures[name]
        write_report(summary, path, pictures, _preview(summary, plan), self.importance_of(plan))
        return path

    def write_importance(self, document: Mapping[str, Any], plan: Plan) -> None:
        """Leave what the models use, also in the report where there is one."""
        write_atomically(self.importance, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        summary = self.last_summary()
        if summary is not None:
            self.write_report(summary, plan)

    def importance_of(self, plan: Plan) -> dict[str, Any] | None:
        """What was last measured of the models of this study; None where they have been trained otherwise since."""
        if not self.importance.exists():
            return None
        document = json.loads(self.importance.read_text(encoding="utf-8"))
        arm = next((one for one in plan.arms if one.name == document["arm"]), None)
        models = [] if arm is None else [plan.trial(arm, 0, fold).key for fold in range(plan.n_splits)]
        return document if document["models"] == models else None

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


def _preview(summary: Mapping[str, Any], plan: Plan) -> Sheet | None:
    """What the training pictures of the baseline look like, or of the first idea tried, whichever moves them."""
    from tamesu.preview import make_sheet

    moved = {arm["arm"] for arm in summary.get("ideas", []) if arm.get("maps")}
    if summary["baseline"].get("maps"):
        moved.add(plan.baseline.name)
    arm = next((one for one in plan.arms if one.name in moved), None)
    return None if arm is None else make_sheet(plan, arm, n=N_PREVIEWED, n_variants=3)


def _read_sizes(recipe: Recipe) -> set[tuple[Size, str]]:
    """What pictures of which field are read for in training and scoring."""
    from tamesu.warp import ENLARGED, read_size

    fields = {name: one for name, one in {**recipe.inputs, **recipe.companions}.items() if isinstance(one, PictureField)}
    doublings = max(0, math.ceil(math.log2(most_enlarged(recipe.augment) / ENLARGED)))
    sizes = [(recipe.size[0] << k, recipe.size[1] << k) for k in range(doublings + 1)]
    return {(read_size(one, size), name) for name, one in fields.items() for size in sizes}


def out_of_fold(result: StudyResult, plan: Plan) -> pd.DataFrame:
    """Predictions of the baseline for rows it was not trained on, mean over repeats: id, truth, prediction, probabilities."""
    import pandas as pd

    name, target = plan.baseline.recipe.target
    mean = result.baseline.predictions
    frame = pd.DataFrame({plan.config.data.id or "id": plan.rows.ids})
    if mean is None:
        return frame
    if target.kind == "steps":
        return step_table(plan.rows.ids, mean, plan.classes, frame.columns[0], plan.y, name)
    if isinstance(target, EventsField):
        return event_table(plan.rows.ids, mean, target.names, frame.columns[0])
    if target.kind in ("number", "angle"):
        return frame.assign(**{name: plan.y, "prediction": mean})
    if target.kind in SEVERAL:
        parts = value_names(target)
        truth = pd.DataFrame(plan.y.reshape(len(frame), -1), columns=[f"{name}_{one}" for one in parts])
        said = pd.DataFrame(mean.reshape(len(frame), -1), columns=[f"prediction_{one}" for one in parts])
        return pd.concat([frame, truth, said], axis=1)
    shares = pd.DataFrame(mean, columns=[f"p_{one}" for one in plan.classes])
    if target.kind in ONE_CLASS:
        known = ~np.isnan(mean).any(axis=1)
        best = np.where(known, np.nan_to_num(mean).argmax(axis=1), -1)
        frame[name] = [plan.classes[code] for code in plan.y]
        frame["prediction"] = [plan.classes[code] if code >= 0 else None for code in best]
    return pd.concat([frame, shares], axis=1)
