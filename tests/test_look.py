"""`look` as a whole: what is read whatever its state, what is kept, what is written. The analyses have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from tamesu.cli import app
from tamesu.errors import ConfigError, DataError
from tamesu.look import look_at, open_study, write_ideas
from tamesu.look import run as running
from tamesu.look.columns import read_column
from tamesu.look.features import make_features
from tamesu.look.finding import KINDS, Finding, Part, Suggestion
from tamesu.look.reading import make_material
from tamesu.look.run import ANALYSES, material_digest, run_analyses
from tamesu.look.separation import auc_interval, holm, tell_apart, wilson
from tamesu.study import Study


def frame(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "x": x,
            "colour": rng.choice(["red", "green", "blue"], n),
            "y": np.where(x + rng.normal(size=n) > 0, "yes", "no"),
        }
    )


# --- columns ---


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "-3e2", "4"], "number"),
        (["1", "2", "3", "4", "?", "?"], "number"),
        (["a", "b", "a", "b"], "category"),
        (["1", "2", "one", "two"], "category"),
        ([f"name {i}" for i in range(200)], "text"),
        (["2020-01-02", "2021-03-04", "2022-05-06"], "date"),
        ([None, "", "  "], "empty"),
        ([1.5, 2.5, np.inf], "number"),
        ([True, False, True], "category"),
        ([{"a": 1}, [1, 2], 3], "category"),
        (list(pd.to_datetime(["2020-01-02", "2021-03-04"])), "date"),
    ],
)
def test_a_column_is_taken_for_what_its_cells_are(cells, kind):
    assert read_column(pd.Series(cells), "c").kind == kind


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5), st.floats(), st.integers()), min_size=1, max_size=40))
def test_codes_and_levels_say_what_the_cells_say(cells):
    column = read_column(pd.Series(cells, dtype=object), "c")
    for cell, code in zip(cells, column.codes, strict=True):
        text = "" if cell is None or cell != cell else str(cell).strip()
        assert (code == -1) == (text == "")
        if code >= 0:
            assert column.levels[code] == text
    assert column.counts.sum() == (column.codes >= 0).sum()


def test_levels_beyond_the_limit_are_other_and_the_frequent_ones_are_kept():
    cells = pd.Series([f"v{i}" for i in range(30_000)] + ["often"] * 5)
    column = read_column(cells, "c")
    assert column.levels[0] == "often"
    assert (column.codes == -2).sum() == 20_001
    assert column.n_distinct == 30_001
    assert column.is_name


def test_numbers_keep_what_is_infinite_and_words_are_no_numbers():
    column = read_column(pd.Series(["1", "inf", "-inf", "x", "2", "3", "4", "5"]), "c")
    assert column.kind == "number"
    assert np.array_equal(column.numbers, [1, np.inf, -np.inf, np.nan, 2, 3, 4, 5], equal_nan=True)
    assert column.levels[column.codes[3]] == "x"


# --- telling apart ---


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(5, 60))
def test_auc_is_scikit_learns_and_lies_in_its_interval(seed, n0, n1):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=n0 + n1), 1)
    y = np.arange(n0 + n1) < n1
    auc, low, high, _ = auc_interval(scores, y)
    assert auc == pytest.approx(roc_auc_score(y, scores))
    assert low <= auc + 1e-9
    assert high >= auc - 1e-9


def test_p_value_is_that_of_the_rank_sum_test():
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=200), np.arange(200) < 80
    expected = stats.mannwhitneyu(scores[y], scores[~y], use_continuity=False, method="asymptotic").pvalue
    assert auc_interval(scores, y)[3] == pytest.approx(expected, rel=1e-6)


def test_groups_widen_the_interval_and_rows_by_themselves_are_groups_of_one():
    rng = np.random.default_rng(1)
    of_group = np.repeat(rng.normal(size=20), 10)
    y = np.repeat(np.arange(20) % 2 == 0, 10)
    scores = of_group + 0.01 * rng.normal(size=200)
    plain, grouped = auc_interval(scores, y), auc_interval(scores, y, np.repeat(np.arange(20), 10))
    single = auc_interval(scores, y, np.arange(200))
    assert grouped[2] - grouped[1] > 2 * (plain[2] - plain[1])
    assert single[1:3] == pytest.approx(plain[1:3], abs=0.01)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (57, 200)])
def test_interval_of_a_share_is_wilsons(k, n):
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_two_kinds_are_told_apart_where_they_differ_and_only_there():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    y = np.arange(600) % 2 == 0
    rows = np.arange(600)
    same = tell_apart(make_features(make_material(table), rows), y)
    table.loc[y, "a"] += 1.0
    other = tell_apart(make_features(make_material(table), rows), y)
    assert same.low < 0.5 < same.high
    assert other.low > 0.65
    assert roc_auc_score(y, other.scores) == pytest.approx(other.auc, abs=1e-9)


def test_nothing_is_learnt_by_heart_from_names():
    table = frame()
    features = make_features(make_material(table, target="y"), np.arange(len(table)))
    assert set(features.names) == {"x", "colour"}


# --- reading ---


def test_material_of_a_study_with_test_rows():
    material = make_material(
        frame(), frame(100, 1).drop(columns="y"), fields={"id": {"kind": "id"}, "y": {"kind": "label", "target": True}}
    )
    assert material.classes == ("no", "yes")
    assert (material.labels[:300] >= 0).all()
    assert (material.labels[300:] == -1).all()
    assert material.populations.names == ("train", "test")
    assert set(material.folds[:300]) == {0, 1, 2, 3, 4}
    assert (material.folds[300:] == -1).all()
    assert material.ids[0] == "r0"


def test_equal_rows_have_equal_digests_whatever_their_id_and_label():
    table = frame(50)
    table.loc[7, ["x", "colour"]] = table.loc[3, ["x", "colour"]]
    table.loc[7, "y"] = {"yes": "no", "no": "yes"}[table.loc[3, "y"]]
    digests = make_material(table, fields={"id": {"kind": "id"}, "y": {"kind": "label", "target": True}}).row_digests
    assert digests[7] == digests[3]
    assert len(np.unique(digests)) == 49


@pytest.mark.parametrize(
    ("compare", "names"),
    [("colour", ("blue", "green", "red")), ("colour=red:blue", ("red", "blue")), ("red:green", ("red", "green"))],
)
def test_populations_by_a_column(compare, names):
    assert make_material(frame(), compare=compare).populations.names == names


@pytest.mark.parametrize("compare", ["nothing=a:b", "colour=red:pink", "train:test"])
def test_what_is_not_there_cannot_be_compared(compare):
    with pytest.raises(ConfigError, match="--compare"):
        make_material(frame(), compare=compare)


# --- odd data: a page all the same ---

ODD = {
    "no rows to compare with": (frame(), frame(0)),
    "one row": (frame(1), None),
    "no rows": (frame(0), None),
    "two rows": (frame(2), frame(1)),
    "all missing": (frame().assign(gone=None, x=np.nan), None),
    "many categories": (pd.DataFrame({"c": [f"c{i}" for i in range(100_000)], "y": ["a", "b"] * 50_000}), None),
    "prose": (frame().assign(text=[f"This is the {i}th sentence, {i * 7} words long." for i in range(300)]), None),
    "dates": (frame().assign(day=pd.date_range("2020-01-01", periods=300).astype(str)), None),
    "mixed types": (frame().assign(mixed=[1, "two", None, 4.5, True, (1, 2)] * 50), None),
    "infinite": (
        frame().assign(x=np.where(np.arange(300) % 3 == 0, np.inf, np.where(np.arange(300) % 3 == 1, -np.inf, 1))),
        None,
    ),
    "constant": (frame().assign(x=1.0, colour="red"), None),
    "one class": (frame().assign(y="yes"), None),
    "a class a row": (frame().assign(y=[f"c{i}" for i in range(300)]), None),
    "huge numbers": (frame().assign(x=np.linspace(-1e300, 1e300, 300)), None),
    "names that are no names": (frame().rename(columns={"x": "a.b", "colour": "{x}`"}), None),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("target", ["y", ""])
def test_odd_data_give_a_page_all_the_same(name, target, tmp_path):
    train, test = ODD[name]
    if target and name == "many categories":
        train = train.iloc[:30_000]
    material = make_material(train, test, target=target if len(train) else "")
    parts = run_analyses(material, strict=True)
    assert set(parts) == set(ANALYSES)
    for part in parts.values():
        for finding in part.findings:
            assert finding.kind in KINDS
            assert finding.sentence
            assert 0 <= finding.strength <= 1


def test_a_study_with_no_target_and_mistakes_in_it_is_looked_at(tmp_path):
    frame().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "study.yaml").write_text(
        "data: {train: t.csv}\nfields:\n  x: {kind: number, colour: 3}\n  colour: {kind: label}\ntrain: {epochs: -1}\n"
    )
    config, base, mistakes = open_study(tmp_path / "study.yaml")
    found = look_at(config, tmp_path / "runs", base=base, warnings=mistakes)
    assert found.page.exists()
    assert any("train.epochs" in one for one in found.document["warnings"])
    assert any("target" in one for one in found.document["warnings"])


def test_a_folder_without_pictures_says_so(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.md").write_text("nothing")
    with pytest.raises(DataError, match="picture"):
        open_study(tmp_path)


def test_a_table_without_a_study_is_looked_at(tmp_path):
    frame().to_csv(tmp_path / "t.csv", index=False)
    config, base, _ = open_study(tmp_path / "t.csv")
    found = look_at(config, tmp_path / "runs", base=base)
    assert found.document["n_rows"]["train"] == 300


# --- what is kept and written ---


def test_an_interrupted_look_goes_on_where_it_was(tmp_path, monkeypatch):
    material = make_material(frame(), target="y")
    ran: list[str] = []
    run = running._run

    def stop_at_missing(name, *rest):
        ran.append(name)
        if name == "missing" and ran.count("missing") == 1:
            raise KeyboardInterrupt
        return run(name, *rest)

    monkeypatch.setattr(running, "_run", stop_at_missing)
    with pytest.raises(KeyboardInterrupt):
        run_analyses(material, cache=tmp_path)
    again = run_analyses(material, cache=tmp_path)
    assert ran.count("files") == 1
    assert ran.count("missing") == 2
    monkeypatch.undo()
    fresh = run_analyses(material)
    assert [one.as_dict() for part in again.values() for one in part.findings] == [
        one.as_dict() for part in fresh.values() for one in part.findings
    ]


def test_other_rows_are_another_material():
    table = frame()
    one = material_digest(make_material(table, target="y"))
    assert one == material_digest(make_material(table.copy(), target="y"))
    table.loc[5, "x"] += 1
    assert one != material_digest(make_material(table, target="y"))
    assert one != material_digest(make_material(frame(), target="colour"))


def test_a_failing_analysis_is_a_warning_and_the_others_are_made(monkeypatch):
    monkeypatch.setattr(running, "ANALYSES", {"files": "files:find_files", "shift": "shift:not_there"})
    parts = run_analyses(make_material(frame()))
    assert "could not be looked at" in parts["shift"].warnings[0]
    with pytest.raises(AttributeError):
        run_analyses(make_material(frame()), strict=True)


def test_suggestions_are_yaml_to_paste():
    declaration = Suggestion({"folds": {"group": "track"}, "fields": {"track": {"kind": "group"}}})
    assert declaration.yaml() == "folds:\n  group: track\nfields:\n  track:\n    kind: group\n"
    idea = Suggestion({"size": 64}, idea="bigger", note="four times the cost")
    assert idea.yaml() == "# four times the cost\nideas:\n  bigger:\n    size: 64\n"


def test_ideas_are_written_once_commented_and_nothing_else_moves(tmp_path):
    study = tmp_path / "study.yaml"
    before = "name: a  # mine\r\nfields:\r\n  x: {kind: number}\r\n"
    study.write_bytes(before.encode())
    finding = Finding("group", "`track` holds rows together.", 0.9, suggestion=Suggestion({"folds": {"group": "track"}}))
    document = {"findings": [finding.as_dict(), Finding("file", "x", 0.1).as_dict()]}
    assert write_ideas(document, study) == 1
    text = study.read_bytes().decode()
    assert text.startswith(before)
    assert "\n" not in text.replace("\r\n", "")
    assert all(line.startswith("#") or not line for line in text[len(before) :].splitlines())
    assert "#   group: track" in text
    assert write_ideas(document, study) == 0
    assert study.read_bytes().decode() == text


def test_each_idea_is_written_once(tmp_path):
    """Two findings may lead to one idea, and two columns' names to one name of an idea."""
    study = tmp_path / "study.yaml"
    study.write_text("name: a\nideas:\n  mine: {size: 32}\n")

    def finding(strength, patch, idea):
        return Finding("missing", f"sentence {strength}", strength, suggestion=Suggestion(patch, idea)).as_dict()

    first, second = ({"fields": {name: {"kind": "number", "indicator": True}}} for name in ("frame", "Frame"))
    document = {
        "findings": [
            finding(0.5, first, "frame-indicator"),
            finding(0.4, first, "frame-indicator"),
            finding(0.3, second, "frame-indicator"),
            finding(0.2, first, "mine"),
        ]
    }
    assert write_ideas(document, study) == 2
    text = study.read_text()
    assert [line for line in text.splitlines() if "-indicator" in line] == [
        "#   frame-indicator:",
        "#   frame-indicator-2:",
    ]
    assert "sentence 0.5" in text
    assert "sentence 0.4" not in text
    assert write_ideas(document, study) == 0
    assert study.read_text() == text


def test_the_command(tmp_path):
    frame().to_csv(tmp_path / "train.csv", index=False)
    frame(100, 1).assign(x=lambda t: t.x + 3).drop(columns="y").to_csv(tmp_path / "test.csv", index=False)
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: a\ndata: {train: train.csv, test: test.csv, id: id}\n"
        "fields:\n  x: {kind: number}\n  colour: {kind: label}\n  y: {kind: label, target: true}\n"
    )
    result = CliRunner().invoke(app, ["look", str(study), "--json", "--write-ideas"], catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["schema"] == "tamesu/look/1"
    assert any(one["kind"] == "shift" and "x" in one["fields"] for one in document["findings"])
    strengths = [one["strength"] for one in document["findings"]]
    assert strengths == sorted(strengths, reverse=True)
    assert (tmp_path / "runs" / "a" / "look.html").exists()
    assert json.loads((tmp_path / "runs" / "a" / "look.json").read_text()) == document
    assert "# " in study.read_text()
    shown = CliRunner().invoke(app, ["look", str(study)], catch_exceptions=False)
    assert "look.html" in shown.stdout


def test_from_python(tmp_path):
    study = Study(frame(), fields={"x": {"kind": "number"}, "y": {"kind": "label", "target": True}}, runs=tmp_path)
    found = study.look(compare="colour=red:blue")
    assert found.document["populations"]["by"] == "colour"
    assert Path(found.page).exists()


def test_part_survives_the_cache(tmp_path):
    part = Part(
        (Finding("shift", "s", 0.5, fields=("a",), rows=("1",), interval=(0.1, 0.2), evidence={"bars": {"a": 1.0}}),),
        {"x": [1, 2]},
        ("w",),
    )
    path = tmp_path / "p.json"
    import dataclasses

    path.write_text(json.dumps(dataclasses.asdict(part)))
    assert running._read_part(path) == part
