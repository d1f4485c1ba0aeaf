"""Study: the whole flow on one screen. Start reading here.

study.yaml → config → rows, arms, folds (`plan`) → trainings (`tryout`, `engines`, `store`) → verdicts → report.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamesu.arms import Arm
from tamesu.assembly import Assembly
from tamesu.conclude import Comparisons, conclude
from tamesu.config import StudyConfig
from tamesu.document import StudyDocument, config_from_mapping, read_study
from tamesu.engines import make_engine
from tamesu.errors import ConfigError, StoreError
from tamesu.live import Silent, Watcher
from tamesu.plan import Plan, Progress, make_plan
from tamesu.report.summary import summarise
from tamesu.results import StudyResult
from tamesu.runfolder import RunFolder
from tamesu.texts import language, say, use_language
from tamesu.tryout import Tryout

if TYPE_CHECKING:
    import pandas as pd

    from tamesu.importance import Importance
    from tamesu.look import Look
    from tamesu.multiplicity import LockboxJudgement
    from tamesu.preview import Preview


class Study:
    """What is known about some data, and ideas to try on it.

    Args:
        train: Rows: a DataFrame, or a mapping of column name to array (pictures: (n, h, w) or (n, h, w, c)).
        fields: What each column means, `{"age": {"kind": "number"}, …}`; one has `target: True`.
        test: Rows to predict, without the target.
        ideas: Named patches of the study.
        runs: Folder for everything a run writes.
        store: Folder or fsspec URL for finished trainings; inside the run folder where not given.
        training: The section `train` of study.yaml, `{"epochs": 10}`, whose name the rows have here.
        settings: Any other key of study.yaml: `metric="accuracy"`, `folds={"group": "track"}` …

    Raises:
        ConfigError: Settings that cannot be, all of them together.

    Example:
        >>> study = Study(train=frame, fields={"x": {"kind": "number"}, "y": {"kind": "label", "target": True}},
        ...               ideas={"longer": {"train": {"epochs": 40}}})            # doctest: +SKIP
        >>> study.try_ideas().ideas[0].judgement.outcome                          # doctest: +SKIP
    """

    def __init__(
        self,
        train: Any = None,
        *,
        fields: Mapping[str, Any],
        test: Any = None,
        ideas: Mapping[str, Any] | None = None,
        runs: str | Path = "runs",
        store: str | None = None,
        training: Mapping[str, Any] | None = None,
        **settings: Any,
    ):
        said = {"fields": fields, "ideas": ideas or {}, "train": training or {}, **settings}
        config = config_from_mapping(said, where="Study")
        self._open(config, None, Path.cwd(), Path(runs), store, train, test)

    @classmethod
    def load(cls, path: str | Path, *, runs: str | Path | None = None, store: str | None = None) -> Study:
        """The study declared in a study.yaml; paths in it start from its folder, and modules beside it can be named in it."""
        path = Path(path)
        beside = str(path.parent.resolve())
        if beside not in sys.path:
            sys.path.append(beside)  # last: a file of the user's takes no library's place
        config, document = read_study(path)
        study = cls.__new__(cls)
        study._open(config, document, path.parent, Path(runs) if runs else path.parent / "runs", store, None, None)
        return study

    def _open(
        self,
        config: StudyConfig,
        document: StudyDocument | None,
        base: Path,
        runs: Path,
        store: str | None,
        train: Any,
        test: Any,
    ) -> None:
        if config.lang != "auto":
            use_language(config.lang)
        self.config, self.document, self.base = config, document, base
        self.folder = RunFolder(runs / config.name, store)
        self._train, self._test = train, test
        self._plan: Plan | None = None

    def check(self, watch: Watcher | None = None) -> Plan:
        """Find everything that is wrong before anything is trained: settings, rows, files, folds, ideas, writing rights.

        Raises:
            ConfigError: Settings that cannot be.
            DataError: Rows or files that are not what the study says.
            StoreError: The run folder cannot be written.
        """
        if self._plan is None:
            self.folder.check_writable()
            self._plan = make_plan(
                self.config,
                base=self.base,
                cache=self.folder.cache,
                train=self._train,
                test=self._test,
                locate=self.document.locate if self.document else str,
                progress=(watch or Silent()).reading,
            )
        return self._plan

    def look(self, compare: str = "", out: str | Path | None = None, progress: Progress | None = None) -> Look:
        """Say what the data says before anything is trained: one HTML page, one JSON document.

        Args:
            compare: Rows held side by side: "train:test", a column, or "column=a:b"; "": the test rows, if there are any.
            out: The page; look.html in the run folder where not given. The JSON document lies beside it.
            progress: Told what is being done, how much of it is done, and of how much.

        Raises:
            ConfigError: `compare` names nothing that is there.
            DataError: There is no table to look at.
            StoreError: The page cannot be written.
        """
        from tamesu.look import look_at

        given = {"train": self._train, "test": self._test, "compare": compare, "out": Path(out) if out else None}
        return look_at(self.config, self.folder.path, base=self.base, progress=progress, **given)

    def preview(self, idea: str | None = None, out: str | Path | None = None, **options: Any) -> Preview:
        """Draw samples before and after what training does to them, with their targets: a wrong pair is seen at once.

        Args:
            idea: An idea, or one of its arms; None: the baseline.
            out: The PNG file; preview.png in the run folder where not given.
            options: `n` samples, `n_variants` of each, `rows` by id in place of chosen ones, `size` of a picture in pixels.

        Raises:
            ConfigError: There is nothing to show, the idea or a row is not known, or it names several arms.
            StoreError: The file cannot be written.
        """
        from tamesu.preview import write_preview

        plan = self.check()
        arm = plan.baseline if idea is None else plan.arm(idea, "preview")
        return write_preview(plan, arm, Path(out) if out else self.folder.path / "preview.png", **options)

    def fit(self, *, repeats: int = 1, watch: Watcher | None = None, **limits: Any) -> StudyResult:
        """Train the baseline alone: fold scores, out-of-fold predictions, and the fold models that `predict` uses."""
        return self._run("fit", names=None, baseline_repeats=repeats, watch=watch, **limits)

    def try_ideas(self, *names: str, confirm: bool = False, watch: Watcher | None = None, **limits: Any) -> StudyResult:
        """Train with and without each idea until its verdict stands.

        Args:
            names: Ideas to try; none: all.
            confirm: Go on with an idea that helps until that holds at the stricter level for many ideas.
            watch: Told of every event; by default a live table on standard error.
            limits: `budget_s`, `max_trainings`, `n_workers` (0: train in this process).
        """
        return self._run("try", names=names, confirm=confirm, watch=watch, **limits)

    def _run(
        self,
        task: str,
        *,
        names: tuple[str, ...] | None,
        watch: Watcher | None,
        n_workers: int | None = None,
        budget_s: float | None = None,
        **options: Any,
    ) -> StudyResult:
        watch = watch or Watcher.for_terminal()
        started = time.monotonic()
        with self.folder.lock(), watch:
            plan = self.check(watch)
            ideas = () if names is None else _some(plan.ideas(names))
            self.folder.prepare_pictures(plan, ideas, watch)
            comparisons = Comparisons(self.folder.ledger(plan), plan, ideas)
            deadline = None if budget_s is None else started + budget_s
            tryout = Tryout(plan, self.folder.store, ideas, levels=comparisons.levels, deadline=deadline, **options)
            self._run_trials(tryout, watch, n_workers)
            standing = comparisons.note(tryout.ideas)
            result = conclude(tryout, task=task, seconds=time.monotonic() - started, standing=standing)
            self.folder.write(summarise(result, plan.rows), result, plan)
            watch.ended(tryout)
        return result

    def _run_trials(self, tryout: Tryout, watch: Watcher, n_workers: int | None) -> None:
        """Train until the try-out wants no more; what Ctrl-C stops goes on in the next run."""
        watch.started(tryout)
        try:
            rows, store = tryout.plan.rows, self.folder.store
            trainer = make_engine(rows, store, n_workers, self.config.device)
            with Assembly(trainer, rows, store, tryout.may_train) as engine:
                for finished in engine.run(tryout.next_trial):
                    tryout.record(finished)
                    watch.finished(tryout, finished)
        except KeyboardInterrupt:
            tryout.stopped = "interrupted"

    def importance(
        self, idea: str | None = None, *, n_repeats: int = 5, watch: Watcher | None = None, n_workers: int | None = None
    ) -> Importance:
        """Say which inputs the models use: how much worse they predict scored rows whose values of a field are exchanged.

        The fold models of the first repeat are used, and trained where they are missing.

        Args:
            idea: An idea, or one of its arms; None: the baseline.
            n_repeats: Exchanges that are averaged.
            watch: Told of every event; by default a live table on standard error.
            n_workers: Processes that train; 0: this one.

        Raises:
            ConfigError: The idea is not known or names several arms, or there is nothing to exchange.
        """
        from tamesu.importance import check_exchange, measure_importance

        watch = watch or Watcher.for_terminal()
        with self.folder.lock(), watch:
            plan = self.check(watch)
            standing = plan if idea is None else plan.standing_on(plan.arm(idea, "importance"))
            check_exchange(standing, n_repeats)
            self.folder.prepare_pictures(standing, (), watch)
            tryout = Tryout(standing, self.folder.store)
            self._run_trials(tryout, watch, n_workers)
            if tryout.stopped:
                raise KeyboardInterrupt
            found = measure_importance(standing, self.folder.store, n_repeats=n_repeats, progress=watch.reading)
            self.folder.write_importance(found.as_dict(), plan)
        return found

    def keep(self, name: str) -> Path:
        """Write an idea into the baseline of study.yaml, comments preserved, and its verdict into the journal."""
        if self.document is None:
            raise ConfigError(
                say("keep: must have a study.yaml to write to; this study was made in Python. Patch its settings instead.")
            )
        from tamesu.journal import write_entry

        plan = self.check()
        arm = plan.arm(name, "keep")
        verdict = self.folder.verdict_on(arm)
        if verdict is not None and verdict["gain"] is not None:
            self.folder.ledger(plan).keep(plan.comparison_key(arm), name, verdict["gain"])
        self.document.keep(arm)
        return write_entry(self.base / "journal.md", arm, verdict)

    def predict(self, out: str | Path | None = None) -> pd.DataFrame:
        """Mean prediction of the fold models for the test rows, as a submission; trains the baseline where models are missing.

        Raises:
            ConfigError: The study names no test rows.
            DataError: The sample submission and the test rows do not fit each other.
        """
        from tamesu.submission import predict_test

        plan = self.check()
        if plan.data.test is None:
            raise ConfigError(say("data.test: must name the rows to predict; got none."))
        self.fit()
        frame = predict_test(plan, self.folder.store, base=self.base)
        self.folder.write_frame(frame, Path(out) if out else self.folder.path / "submission.csv")
        return frame

    def open_lockbox(self) -> tuple[LockboxJudgement, int]:
        """Score the first baseline and the present one on the rows set aside; counted, since every look wears it out."""
        from tamesu.lockbox import open_lockbox

        with self.folder.lock():
            return open_lockbox(self.check(), self.folder)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the last run's result as one HTML file, and return where it is.

        Raises:
            StoreError: Nothing has been run yet.
        """
        summary = self.folder.last_summary()
        if summary is None:
            raise StoreError(
                say(
                    "{path}: must hold a finished run; found none. Run `tamesu try` or `tamesu fit` first.",
                    path=self.folder.path,
                )
            )
        return self.folder.write_report(summary | {"lang": language()}, self.check(), Path(out) if out else None)


def _some(ideas: tuple[Arm, ...]) -> tuple[Arm, ...]:
    if not ideas:
        raise ConfigError(say("ideas: must name at least one idea to try; got none. Add one to `ideas`, or run `tamesu fit`."))
    return ideas


__all__ = ["Study"]
