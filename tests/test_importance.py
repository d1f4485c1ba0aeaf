"""Importance by exchange: what decides is found, what says nothing is not, and no value leaves its fold."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

import fake_results
import test_steps
from golden_text import check_golden
from tamesu import ConfigError, Study
from tamesu.dataset import Dataset
from tamesu.exchange import Asked, Unit, draw_donors, exchanged, find_units
from tamesu.fields import DepthField, ImageField, LabelField, NumberField
from tamesu.importance import Importance, _over_rows
from tamesu.live import Watcher
from tamesu.metrics import METRICS
from tamesu.report import render_report, summarise
from tamesu.report.importance_view import ideas_yaml, importance_view
from tamesu.testing import toy_recipe
from tamesu.texts import use_language
from test_cli import run
from test_report import FRAME, MEASURE, Page, _chromium
from test_study import STUDY, write_rows

HERE = Path(__file__).parent
N = 240


@pytest.fixture(autouse=True)
def _own_learners(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def table(n: int = N, seed: int = 0) -> pd.DataFrame:
    """`y` is 3 `decides` + `helps` and noise; `nothing` says nothing, `same` is one value, `part` is both halves of `helps`."""
    rng = np.random.default_rng(seed)
    decides, helps, nothing = rng.normal(size=(3, n))
    y = 3 * decides + helps + rng.normal(0, 0.5, n)
    return pd.DataFrame({"decides": decides, "helps": helps, "nothing": nothing, "same": np.full(n, 7.0), "y": y})


FIELDS = {name: {"kind": "number"} for name in ("decides", "helps", "nothing", "same")} | {
    "y": {"kind": "number", "target": True}
}


def study_of(folder: Path, rows: pd.DataFrame | None = None, fields=None, **settings) -> Study:
    settings = {"learner": "linear:Linear", "runs": folder} | settings
    return Study(table() if rows is None else rows, fields=fields or FIELDS, **settings)


def importance_of(study: Study, *given, **options) -> Importance:
    return study.importance(*given, watch=Watcher(), n_workers=0, **options)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    import sys

    sys.path.insert(0, str(HERE))
    study = study_of(tmp_path_factory.mktemp("runs"), ideas={"without-helps": {"fields": {"helps": {"kind": "ignore"}}}})
    yield study, importance_of(study)
    sys.path.remove(str(HERE))


def by_name(found: Importance) -> dict:
    return {one.unit.name: one for one in found.units}


# ── what is found ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_decides_is_first_and_what_says_nothing_shows_no_effect(measured):
    _, found = measured
    assert [one.unit.name for one in found.units][:2] == ["decides", "helps"]
    assert {one.unit.name: one.effect for one in found.units} == {
        "decides": "worse",
        "helps": "worse",
        "nothing": "none",
        "same": "constant",
    }
    nothing = by_name(found)["nothing"].judged
    assert nothing.low <= 0 <= nothing.high


def test_of_a_linear_model_it_is_twice_the_weighted_variance(measured):
    """E (y - f(x'))² - E (y - f(x))² = 2 w² Var(x) for squared error and independent inputs."""
    _, found = measured
    for name, weight in (("decides", 3.0), ("helps", 1.0)):
        expected = 2 * weight**2 * table()[name].var()
        assert by_name(found)[name].judged.estimate == pytest.approx(expected, rel=0.15)


def test_a_constant_field_is_exactly_zero(measured):
    one = by_name(measured[1])["same"]
    assert (one.judged.estimate, one.judged.low, one.judged.high, one.moved_fraction) == (0.0, 0.0, 0.0, 0.0)


def test_noise_is_covered_about_as_often_as_promised(tmp_path):
    """Twelve fields that say nothing: at most two whole intervals off zero, of twelve at 95 %."""
    rng = np.random.default_rng(1)
    rows = table()
    names = [f"noise{i}" for i in range(12)]
    rows = rows.assign(**{name: rng.normal(size=N) for name in names})
    found = by_name(importance_of(study_of(tmp_path, rows, FIELDS | {name: {"kind": "number"} for name in names})))
    off = [name for name in names if not found[name].judged.low <= 0 <= found[name].judged.high]
    assert len(off) <= 2, off
    assert any(found[name].judged.estimate > 0 for name in names)  # a mean above zero is not yet an effect
    assert all((one.effect == "worse") == (one.judged.low > 0) for name, one in found.items() if name != "same")


def test_the_same_again_is_the_same_to_the_bit_and_more_exchanges_are_another_mean(measured):
    study, found = measured
    assert importance_of(study).as_dict() == found.as_dict()
    other = by_name(importance_of(study, n_repeats=2))["decides"].judged.estimate
    assert other != by_name(found)["decides"].judged.estimate
    assert other == pytest.approx(by_name(found)["decides"].judged.estimate, rel=0.2)


def test_each_metric_in_its_own_unit_and_worse_is_above_zero(tmp_path):
    rows = table().assign(y=np.where(table()["y"] > 0, "yes", "no"))
    fields = FIELDS | {"y": {"kind": "label", "target": True}}
    found = importance_of(study_of(tmp_path, rows, fields, metric="auc"))
    first = found.units[0]
    assert first.unit.name == "decides"
    assert found.metric.higher_is_better
    assert 0.2 < first.shown.estimate < 0.6  # an AUC near 1 falls towards 0.5
    assert first.judged.low > 0
    assert 0.9 < found.score <= 1


def test_an_idea_is_measured_with_its_own_models(measured):
    study, _ = measured
    found = importance_of(study, "without-helps")
    assert found.units[0].unit.name == "decides"
    assert "helps" not in by_name(found)
    assert found.arm == "without-helps"
    assert found.ideas == {}
    importance_of(study)  # the baseline again, for other tests


@pytest.mark.parametrize("learner", ["lightgbm", "torch"])
def test_every_learner_can_be_asked(tmp_path, learner):
    rows = table(120).drop(columns="same").assign(kind=np.where(np.arange(120) % 2, "a", "b"), nothing=np.nan)
    rows.loc[::3, "nothing"] = 1.0
    rows["y"] += 4 * (rows["kind"] == "a")
    fields = {name: {"kind": "number"} for name in ("decides", "nothing")} | {"kind": {"kind": "label"}, "y": FIELDS["y"]}
    more = {"trees": {"rounds": 20}} if learner == "lightgbm" else {"training": {"epochs": 25}}
    found = by_name(importance_of(study_of(tmp_path, rows, fields, learner=learner, folds={"n_splits": 3}, **more)))
    assert {name for name, one in found.items() if one.effect == "worse"} == {"decides", "kind"}


def test_a_picture_is_exchanged_as_a_whole(tmp_path):
    rng = np.random.default_rng(0)
    n = 90
    bright = rng.integers(0, 2, n)
    pictures = (rng.integers(0, 60, (n, 8, 8)) + 150 * bright[:, None, None]).astype(np.uint8)
    rows = {"photo": pictures, "noise": rng.normal(size=n), "y": np.where(bright == 1, "day", "night")}
    fields = {"photo": {"kind": "image"}, "noise": {"kind": "number"}, "y": {"kind": "label", "target": True}}
    settings = {"model": {"width": 8}, "training": {"epochs": 12}, "folds": {"n_splits": 3}}
    found = importance_of(study_of(tmp_path, rows, fields, learner="torch", **settings))
    assert (found.units[0].unit.name, found.units[0].effect) == ("photo", "worse")
    assert found.units[0].moved_fraction == 1.0
    assert by_name(found)["noise"].effect == "none"


def test_a_series_is_exchanged_as_a_whole_where_a_class_stands_at_every_step(tmp_path, monkeypatch):
    """Rows get series of other lengths than their own: what is not predicted then counts as not known."""
    ids = test_steps.tables(tmp_path, n=40)["id"]
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"id": ids, "noise": np.random.default_rng(0).normal(size=40)})
    fields = test_steps.declared() | {"noise": {"kind": "number"}}
    settings = {"data": {"id": "id"}, "training": {"epochs": 25, "batch_size": 8}, "folds": {"n_splits": 2}}
    found = importance_of(study_of(tmp_path, rows, fields, learner="torch", **settings), n_repeats=2)
    assert (found.units[0].unit.name, found.units[0].unit.kind) == ("s", "series")
    assert found.units[0].judged.low > 0
    assert found.units[0].moved_fraction == 1.0


# ── what belongs together ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_one_source_is_exchanged_as_one_too():
    fields = {"photo": ImageField(), "far": DepthField(of="photo"), "a": NumberField(), "b": NumberField(), "c": LabelField()}
    groups = {"sensor": {"fields": ("a", "b")}, "alone": {"fields": ("c",)}}
    recipe = toy_recipe(fields | {"y": NumberField(target=True)}, (8, 8), model={"groups": groups})
    units = {one.name: one.fields for one in find_units(recipe) if one.kind == "group"}
    assert units == {"sensor": ("a", "b"), "photo + far": ("photo", "far")}
    assert {one.name for one in find_units(recipe) if one.kind != "group"} == set(fields)


def test_two_copies_stand_in_for_each_other_and_their_group_tells(tmp_path):
    """A learner that leans on each copy half: each alone costs half of the weight squared, both together four times that."""
    rows = table().assign(copy=table()["decides"])
    fields = FIELDS | {"copy": {"kind": "number"}}
    settings = {"model": {"groups": {"both": {"fields": ["decides", "copy"]}}}, "learner": "torch", "training": {"epochs": 15}}
    found = by_name(importance_of(study_of(tmp_path, rows, fields, folds={"n_splits": 3}, **settings)))
    assert found["both"].judged.estimate > 1.5 * max(found["decides"].judged.estimate, found["copy"].judged.estimate)


# ── what is never touched ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [2, 3, 7, 50])
def test_every_exchange_is_a_permutation_without_a_fixed_row(n):
    donors = draw_donors(n, 6, 3)
    assert (np.sort(donors, axis=1) == np.arange(n)).all()
    assert (donors != np.arange(n)).all()


def test_every_other_row_is_as_likely_a_donor():
    counts = np.bincount(draw_donors(5, 4000, 0)[:, 0], minlength=5)
    assert counts[0] == 0
    assert counts[1:] == pytest.approx(1000, abs=120)


def fold_rows(values, **more) -> Dataset:
    frame = pd.DataFrame({"x": values, **more})
    ids = np.array([f"r{i}" for i in range(len(frame))], dtype=object)
    return Dataset(ids, frame, {}, {}, dict.fromkeys(frame, ""), "fold")


def test_only_the_unit_moves_within_the_fold_and_only_moved_rows_are_asked_again():
    seen: list[Dataset] = []

    def predict(rows: Dataset) -> np.ndarray:
        seen.append(rows)
        return rows.table["x"].to_numpy()

    rows = fold_rows([1.0, 1.0, 2.0, np.nan, np.nan], z=[10, 11, 12, 13, 14])
    asked = Asked(predict, rows, np.zeros(5), lambda prediction: np.nan_to_num(prediction)[None])
    donors = np.array([[1, 0, 3, 4, 2]])
    ((change, n_moved),) = exchanged(asked, [Unit("x", "number", ("x",))], donors)
    (given,) = seen
    assert list(given.ids) == ["r2", "r4"]  # the others were given what they had
    assert list(given.table["z"]) == [12, 14]
    assert given.table["x"].tolist()[1] == 2.0
    assert np.isnan(given.table["x"][0])
    assert change.tolist() == [[0, 0, 0, 0, 2]]
    assert n_moved == 2
    assert rows.table["x"].tolist()[:3] == [1.0, 1.0, 2.0]  # what was given stays as it was


def test_another_folds_rows_and_targets_never_matter(tmp_path, monkeypatch):
    """Poison: whatever a fold model is asked holds cells of its own scored rows alone, and no target."""
    import linear

    asked: list[Dataset] = []
    plain = linear.FittedLinear.predict

    def watched(self, rows):
        asked.append(rows)
        return plain(self, rows)

    monkeypatch.setattr(linear.FittedLinear, "predict", watched)
    study = study_of(tmp_path)
    study.fit(watch=Watcher(), n_workers=0)
    asked.clear()
    importance_of(study)
    plan = study.check()
    folds = {fold: set(split.test) for (repeat, fold), split in plan.splits.items() if repeat == 0}
    whole = {name: {value: i for i, value in enumerate(plan.rows.table[name])} for name in ("decides", "helps", "nothing")}
    assert len(asked) == 5 * (1 + 3)  # as they are, and each field but the constant one
    for i, rows in enumerate(asked):
        assert "y" not in rows.table
        for name, position in whole.items():
            assert {position[value] for value in rows.table[name]} <= folds[i // 4]


def test_scored_targets_score_and_nothing_else(tmp_path, monkeypatch):
    """Poison: with other scored targets the models are asked the very same, and say the very same."""
    import linear

    study = study_of(tmp_path)
    said: list[list[np.ndarray]] = []
    for shift in (0.0, 100.0):
        importance_of(study)
        plan = study.check()
        study._plan = dataclasses.replace(plan, y=plan.y + shift)
        answers: list[np.ndarray] = []
        plain = linear.FittedLinear.predict
        with monkeypatch.context() as patch:
            patch.setattr(linear.FittedLinear, "predict", lambda self, rows: _kept(answers, plain(self, rows)))  # noqa: B023
            found = importance_of(study)
        said.append(answers)
    assert all(np.array_equal(a, b) for a, b in zip(*said, strict=True))
    assert found.judged > 1000


def _kept(answers, prediction):
    answers.append(prediction["y"])
    return prediction


def test_groups_are_exchanged_within_their_fold_and_count_as_one(tmp_path):
    rows = table().assign(who=[f"p{i // 12}" for i in range(N)])
    fields = FIELDS | {"who": {"kind": "group"}}
    grouped = importance_of(study_of(tmp_path / "g", rows, fields, folds={"group": "who"}))
    assert grouped.n_groups == N // 12
    assert grouped.units[0].effect == "worse"
    assert "who" not in by_name(grouped)


def test_rows_of_a_group_count_as_one(tmp_path):
    rows = table().assign(who=[f"p{i // 12}" for i in range(N)])
    study = study_of(tmp_path, rows, FIELDS | {"who": {"kind": "group"}}, folds={"group": "who"})
    plan = study.check()
    fold_of = np.full(N, -1)
    for fold in range(5):
        fold_of[plan.splits[0, fold].test] = fold
    changes = np.repeat(np.random.default_rng(0).normal(size=N // 12), 12)  # the rows of a group all say the same
    by_group = _over_rows(changes, fold_of, plan)
    by_row = _over_rows(changes, fold_of, dataclasses.replace(plan, groups=None))
    assert by_group.estimate == by_row.estimate == pytest.approx(changes.mean())
    assert by_group.standard_error > 1.2 * by_row.standard_error  # how folds differ tells part of it anyway


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ({}, {"n_repeats": 0}, "importance: n_repeats must be at least 1; got 0"),
        ({"folds": {"scheme": "leave_one_out"}}, {}, "folds: every fold must score two rows or more"),
        ({}, {"idea": "nowhere"}, "ideas: 'nowhere' must be an idea of the study"),
        (
            {"ideas": {"seed": {"train": {"epochs": [2, 3]}}}},
            {"idea": "seed"},
            "importance: 'seed' must name one arm; it has 2",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(tmp_path, settings, options, said):
    study = study_of(tmp_path, table(40), **settings)
    with pytest.raises(ConfigError, match=said):
        importance_of(study, **options)
    assert not list(tmp_path.rglob("result.json"))


# ── what is left and shown ──────────────────────────────────────────────────────────────────────────────────────────


def test_ideas_to_try_are_valid_lines_of_the_study(measured):
    study, found = measured
    assert ideas_yaml(found.ideas) == "ideas:\n  no-nothing: {fields: {nothing: {kind: ignore}}}\n"
    read = YAML(typ="safe", pure=True).load(ideas_yaml(found.ideas))["ideas"]
    fields = {name: dict(one) for name, one in FIELDS.items()}
    assert len(study_of(study.folder.path.parent / "more", fields=fields, ideas=read).check().arms) == 2


def test_an_idea_that_is_there_already_or_cannot_be_is_not_suggested(tmp_path):
    ideas = {"no-nothing": {"fields": {"nothing": {"kind": "ignore"}}}}
    assert importance_of(study_of(tmp_path / "a", ideas=ideas)).ideas == {}
    only = {"nothing": {"kind": "number"}, "y": FIELDS["y"]}
    assert importance_of(study_of(tmp_path / "b", fields=only)).ideas == {}  # nothing would be left to learn from


def test_json_golden(measured):
    document = measured[1].as_dict() | {"models": ["…"], "data_digest": "…"}
    rounded = json.loads(json.dumps(document, allow_nan=False), parse_float=lambda text: float(f"{float(text):.5g}"))
    check_golden("importance.json", json.dumps(rounded, indent=1) + "\n")


def test_it_stays_in_the_run_folder_and_goes_with_its_models(tmp_path):
    study = study_of(tmp_path)
    study.fit(watch=Watcher(), n_workers=0)
    found = importance_of(study)
    assert json.loads((study.folder.path / "importance.json").read_text(encoding="utf-8")) == found.as_dict()
    assert 'id="importance"' in (study.folder.path / "report.html").read_text(encoding="utf-8")
    changed = study_of(tmp_path, table(seed=1))
    assert changed.folder.importance_of(changed.check()) is None
    assert 'id="importance"' not in changed.report().read_text(encoding="utf-8")


def test_a_score_without_a_value_in_a_fold_has_no_interval(tmp_path):
    rows = table(60).assign(y=np.where(np.arange(60) < 2, "rare", "usual"))
    fields = FIELDS | {"y": {"kind": "label", "target": True}}
    found = importance_of(study_of(tmp_path, rows, fields, metric="auc", folds={"stratify": "none"}))
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert all(one["metric_interval"] == [None, None] for one in document["fields"] if one["effect"] != "constant")
    assert "—" not in repr(found) or document["score"] is None
    importance_view(document)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_report_draws_every_input_and_names_cannot_break_out(measured, lang):
    use_language(lang)
    document = measured[1].as_dict()
    document["fields"][1] |= {"name": '<script>alert("x")</script>', "kind": "group", "fields": ["a", "</style><b>"]}
    summary = summarise(fake_results.number_study(lang=lang))
    page = Page(render_report(summary, importance=document))
    assert page.mistakes == []
    assert "script" not in page.tags
    assert '<script>alert("x")</script>' in "".join(page.texts)
    assert ("section", "id", "importance") in page.attributes
    assert 'id="importance"' not in render_report(summary)
    view = importance_view(document)
    assert [row["effect"] for row in view["rows"]] == ["worse", "worse", "constant", "none"]
    first, zero = view["rows"][0], view["zero"]
    assert zero < first["plot"]["low"] < first["at"] < first["plot"]["high"] <= 100
    assert view["rows"][3]["plot"]["low"] <= zero <= view["rows"][3]["plot"]["high"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_it_fits_a_narrow_screen(measured, tmp_path):
    document = measured[1].as_dict()
    document["fields"][1] |= {"name": "x" * 70, "kind": "group", "fields": ["y" * 60, "z"]}
    text = render_report(summarise(fake_results.fit_study()), importance=document)
    text = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", MEASURE)
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    (tmp_path / "frame.html").write_text("<!DOCTYPE html><body>" + FRAME.replace("WIDTH", "400"), encoding="utf-8")
    flags = ("--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom")
    assert "measured 400 of 400 | wide: []" in _chromium(tmp_path, *flags, tmp_path / "frame.html")


def test_the_command_line(tmp_path):
    write_rows(tmp_path / "train.csv", 120, 0)
    write_rows(tmp_path / "test.csv", 5, 1, target=False)
    study = tmp_path / "study.yaml"
    study.write_text(STUDY.replace("max_repeats: 3", "max_repeats: 3, n_splits: 3"), encoding="utf-8")
    shown = run("importance", study, "with-z", "--repeats", 2, "--workers", 1)
    assert shown.returncode == 0, shown.stderr
    assert "with-z: RMSE" in shown.stdout
    assert "stand in for each other" in shown.stdout
    document = json.loads(run("importance", study, "--json", lang="ja_JP.UTF-8").stdout)
    assert (document["schema"], document["arm"], document["n_repeats"]) == ("tamesu/importance/1", "baseline", 5)
    assert json.loads((tmp_path / "runs" / "rows" / "importance.json").read_text(encoding="utf-8")) == document
    assert run("importance", study, "no-such").returncode == 2


def test_a_notebook_shows_the_table(measured):
    shown = repr(measured[1])
    assert "no effect seen" in shown
    assert "mse worse by" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_metrics_laid_out_on_rows_are_exchanged_too():
    """Unmoved rows keep their predictions: a metric that looks at a whole fold sees the whole fold."""
    y = np.array([0, 0, 1, 1])
    sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    rows = fold_rows([0.0, 0.0, 1.0, 1.0])
    asked = Asked(
        lambda asked: np.where(asked.table[["x"]].to_numpy() > 0.5, sure[3], sure[0]),
        rows,
        sure,
        lambda prediction: METRICS["auc"].row_losses(y, prediction)[None],
    )
    ((change, n_moved),) = exchanged(asked, [Unit("x", "number", ("x",))], np.array([[2, 3, 0, 1]]))
    assert n_moved == 4
    assert change.mean() == pytest.approx(1.0)  # from 1 to 0
