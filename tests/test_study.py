"""The whole flow on small tables: declare, try both, get a verdict, go on after a stop, keep, predict."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tamesu import ConfigError, FitError, StoreError, Study
from tamesu.live import Watcher

HERE = Path(__file__).parent
STUDY = """\
# what is known about these rows
name: rows
data: {train: train.csv, test: test.csv, id: id}
fields:
  x: {kind: number}
  y: {kind: number, target: true}   # the target
learner: linear:Linear
folds: {max_repeats: 3}
ideas:
  with-z: {fields: {z: {kind: number}}}
  without-x: {fields: {x: {kind: ignore}, noise: {kind: number}}}
  noise: {fields: {noise: {kind: number}}}
"""


@pytest.fixture(autouse=True)
def _own_learners(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def study_file(tmp_path):
    write_rows(tmp_path / "train.csv", 300, 0)
    write_rows(tmp_path / "test.csv", 20, 1, target=False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


def write_rows(path: Path, n: int, seed: int, target: bool = True) -> None:
    rng = np.random.default_rng(seed)
    x, z, noise = rng.normal(size=(3, n))
    table = pd.DataFrame({"id": [f"{path.stem}{i}" for i in range(n)], "x": x, "z": z, "noise": noise})
    if target:
        table["y"] = 2 * x + z + rng.normal(0, 0.3, n)
    table.to_csv(path, index=False)


def outcomes(result):
    return {idea.name: idea.judgement.outcome.value for idea in result.ideas}


def without_times(folder: Path) -> dict:
    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in {"seconds", "fit_time_s"}}
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip(json.loads((folder / "runs" / "rows" / "try.json").read_text(encoding="utf-8")))


def test_known_truths_get_their_verdicts(study_file):
    result = Study.load(study_file).try_ideas(watch=Watcher(), n_workers=2)
    assert outcomes(result)["with-z"] == "helps"
    assert outcomes(result)["without-x"] == "hurts"
    assert outcomes(result)["noise"] in {"no difference", "undecided"}
    assert all(idea.n_saved > 0 for idea in result.ideas if idea.name != "noise"), "clear ends stop early"
    folder = study_file.parent / "runs" / "rows"
    assert (folder / "report.html").stat().st_size > 10_000
    assert len(pd.read_csv(folder / "out_of_fold.csv")) == 300


def test_a_stopped_run_goes_on_and_ends_the_same(study_file, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    for name in ("train.csv", "test.csv", "study.yaml"):
        (whole / name).write_bytes((study_file.parent / name).read_bytes())
    Study.load(whole / "study.yaml").try_ideas(watch=Watcher(), n_workers=1)
    stopped = Study.load(study_file).try_ideas(watch=Watcher(), max_trainings=7)
    assert stopped.stopped == "budget"
    assert stopped.n_trainings == 7
    again = Study.load(study_file).try_ideas(watch=Watcher(), n_workers=2)
    assert again.stopped == ""
    assert without_times(study_file.parent) == without_times(whole)


def test_nothing_is_trained_twice(study_file):
    class Counter(Watcher):
        n = 0

        def finished(self, tryout, finished):
            self.n += 1

    first, second = Counter(), Counter()
    Study.load(study_file).try_ideas(watch=first)
    Study.load(study_file).try_ideas(watch=second)
    assert first.n > 0
    assert second.n == 0


def test_verdicts_do_not_depend_on_the_order_trainings_finish_in(study_file):
    results = [
        Study.load(study_file, runs=study_file.parent / f"runs{n}").try_ideas(watch=Watcher(), n_workers=n) for n in (1, 2)
    ]
    assert outcomes(results[0]) == outcomes(results[1])
    assert [i.judgement.gain for i in results[0].ideas] == [i.judgement.gain for i in results[1].ideas]


def test_keep_writes_the_idea_and_its_verdict(study_file):
    study = Study.load(study_file)
    study.try_ideas("with-z", watch=Watcher())
    journal = study.keep("with-z")
    text = study_file.read_text(encoding="utf-8")
    assert "# the target" in text
    assert "with-z" not in text
    kept = Study.load(study_file)
    assert "z" in kept.config.fields
    assert "Helps" in journal.read_text(encoding="utf-8")
    assert kept.fit(watch=Watcher()).baseline.score < 0.5, "with z the error is little more than the noise of 0.3"


def test_predict_follows_the_test_rows(study_file):
    frame = Study.load(study_file).predict()
    truth = pd.read_csv(study_file.parent / "test.csv")
    assert list(frame["id"]) == list(truth["id"])
    assert np.corrcoef(frame["prediction"], truth["x"])[0, 1] > 0.8


def test_an_idea_that_fails_fails_alone(study_file):
    text = study_file.read_text(encoding="utf-8") + "  broken: {learner: 'linear:Failing'}\n"
    study_file.write_text(text, encoding="utf-8")
    result = Study.load(study_file).try_ideas("broken", "with-z", watch=Watcher())
    broken, with_z = sorted(result.ideas, key=lambda idea: idea.name)
    assert broken.judgement is None
    assert "the user's own mistake" in broken.note
    assert with_z.judgement.outcome.value == "helps"


def test_a_baseline_that_fails_stops_the_run(study_file):
    text = study_file.read_text(encoding="utf-8").replace("linear:Linear", "linear:Failing")
    study_file.write_text(text, encoding="utf-8")
    with pytest.raises(FitError, match="the user's own mistake"):
        Study.load(study_file).fit(watch=Watcher())


def test_two_runs_do_not_write_one_folder(study_file):
    study = Study.load(study_file)
    with study.folder.lock(), pytest.raises(StoreError, match="one run at a time"):
        Study.load(study_file).fit(watch=Watcher())


def test_an_unknown_idea_is_named_with_the_closest(study_file):
    with pytest.raises(ConfigError, match="Did you mean 'with-z'"):
        Study.load(study_file).try_ideas("with-y", watch=Watcher())


def test_what_a_learner_cannot_do_is_said_before_training(tmp_path):
    pictures = np.zeros((60, 8, 8), dtype=np.uint8)
    study = Study(
        train={"picture": pictures, "y": np.arange(60.0)},
        fields={"picture": {"kind": "image"}, "y": {"kind": "number", "target": True}},
        learner="linear:Linear",
        runs=tmp_path,
    )
    with pytest.raises(ConfigError, match="linear cannot use pictures"):
        study.check()


def test_the_lockbox_compares_the_first_baseline_with_the_present(study_file):
    text = study_file.read_text(encoding="utf-8").replace("max_repeats: 3", "max_repeats: 3, lockbox: 0.2")
    study_file.write_text(text, encoding="utf-8")
    study = Study.load(study_file)
    plan = study.check()
    assert len(plan.rows) == 240
    with pytest.raises(ConfigError, match="nothing was kept"):
        study.open_lockbox()
    study.try_ideas("with-z", watch=Watcher())
    study.keep("with-z")
    judged, count = Study.load(study_file).open_lockbox()
    assert judged.low > 0
    assert (judged.n_rows, count) == (60, 1)
    assert Study.load(study_file).open_lockbox()[1] == 2


def test_scored_rows_cannot_matter(study_file):
    """Poison: other targets and inputs in the scored fold leave every prediction for the other folds' models as it was."""
    from tamesu.trial import run_trial

    plan = Study.load(study_file).check()
    trial = plan.trial(plan.baseline, 0, 0)
    before, fitted = run_trial(plan.rows, trial, "cpu", 1)
    table = plan.rows.table.copy()
    table.loc[trial.split.test, "y"] = 1e6
    poisoned = dataclasses.replace(plan.rows, table=table)
    after, poisoned_fit = run_trial(poisoned, trial, "cpu", 1)
    assert np.array_equal(before.predictions["y"], after.predictions["y"])
    assert np.array_equal(fitted.weight, poisoned_fit.weight)
