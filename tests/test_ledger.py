"""The ledger: counts once, survives kills and two writers, and grants levels."""

from __future__ import annotations

import json
import multiprocessing
import sys

import numpy as np
import pytest

from tamesu.errors import StoreError
from tamesu.ledger import Ledger, comparison_key, ledger_key
from tamesu.verdict import Judge, Outcome, compare


@pytest.fixture(scope="module")
def judgement():
    rng = np.random.default_rng(0)
    folds = np.stack([rng.permutation(100) % 5 for _ in range(2)])
    a = rng.gamma(2, size=(2, 100))
    return compare(a, a - 0.5 + rng.normal(0, 0.1, size=(2, 100)), folds)


def test_an_idea_counts_once_however_often_it_is_looked_at(tmp_path, judgement):
    ledger = Ledger(tmp_path, "rows")
    assert ledger.standing().n_compared == 0
    ledger.open("k1", "mirror")
    ledger.open("k1", "mirror")
    ledger.look("k1", "mirror", judgement)
    ledger.look("k1", "mirror", judgement, confirmed=True)
    ledger.open("k2", "given up before its first look")
    ledger.look("k3", "a peek", judgement)
    standing = ledger.standing()
    assert (standing.n_compared, standing.n_looks, standing.n_confirmed) == (3, 3, 1)
    first = standing.comparisons[0]
    assert (first.idea, first.position, first.n_looks, first.outcome, first.confirmed) == ("mirror", 1, 2, "helps", True)
    assert [one.position for one in standing.comparisons] == [1, 2, 3]
    assert Ledger(tmp_path, "other rows").standing().n_compared == 0


def test_levels(tmp_path, judgement):
    ledger = Ledger(tmp_path, "rows")
    assert ledger.standing().level(budget=4) == pytest.approx(0.1 / 4)
    for i in range(2):
        ledger.look(f"good {i}", "good", judgement, confirmed=True)
    assert ledger.standing().level(budget=4) == pytest.approx(2 * 0.1 / 4)
    ledger.open("third", "third", budget=4)
    ledger.look("fourth", "fourth", judgement, confirmed=True)
    assert ledger.standing().level("third", budget=4) == pytest.approx(2 * 0.1 / 4)  # as when it was opened
    assert ledger.standing().level("third", budget=4, any_dependence=True) == pytest.approx(2 * 0.1 / 4 / (11 / 6))
    assert ledger.standing().level(budget=4) == 0  # the fifth of four
    assert ledger.standing().alarm(budget=4) == "amber"
    assert ledger.standing().alarm(budget=3) == "red"


def test_a_harmful_idea_does_not_raise_the_levels(tmp_path, judgement):
    rng = np.random.default_rng(0)
    a, folds = rng.gamma(2, size=(1, 100)), np.arange(100)[None] % 5
    worse = compare(a, a + 0.5 + rng.normal(0, 0.1, size=(1, 100)), folds)
    assert worse.outcome is Outcome.hurts
    ledger = Ledger(tmp_path, "rows")
    for i in range(3):
        ledger.look(str(i), "bad", worse, confirmed=True)
    assert ledger.standing().n_confirmed == 0


def test_luck_line(tmp_path, judgement):
    ledger = Ledger(tmp_path, "rows")
    assert ledger.standing().luck_line() is None
    for i in range(8):
        ledger.look(str(i), "idea", judgement)
    wanted = judgement.standard_error * np.sqrt(2 * np.log(8))
    assert ledger.standing().luck_line() == pytest.approx(wanted)
    assert ledger.standing().luck_line([judgement]) == pytest.approx(wanted)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_passed_over_and_told(tmp_path, judgement, cut):
    ledger = Ledger(tmp_path, "rows")
    ledger.look("k1", "one", judgement)
    ledger.look("k2", "two", judgement)
    assert ledger.standing().warning() is None
    ledger.path.write_bytes(ledger.path.read_bytes()[:-cut])
    standing = ledger.standing()
    n_torn = 0 if cut == 1 else 1  # without its line end alone, the line is still whole
    assert len(standing.torn) == n_torn
    assert standing.n_compared == 2
    assert (standing.warning() is not None) == bool(n_torn)
    ledger.look("k3", "three", judgement)  # the next line starts a new one
    standing = ledger.standing()
    assert (standing.n_compared, len(standing.torn)) == (3, n_torn)
    assert standing.comparisons[-1].outcome == "helps"
    if n_torn:
        assert "line 4 cannot be read" in standing.warning()


def test_every_line_is_json_with_a_schema(tmp_path, judgement):
    ledger = Ledger(tmp_path, "rows")
    ledger.look("k1", "鏡", judgement)
    early = Judge(5, 2).judge(np.ones((1, 4)), np.zeros((1, 4)), np.array([[0, 1, 2, 3]]), (1, 1))
    assert not np.isfinite(early.high)
    ledger.look("k1", "鏡", early)  # an infinite interval is no JSON number
    entries = [json.loads(line) for line in ledger.path.read_text(encoding="utf-8").splitlines()]
    assert [entry["kind"] for entry in entries] == ["opened", "looked", "looked"]
    assert {entry["schema"] for entry in entries} == {"tamesu/ledger/1"}
    assert entries[0]["idea"] == "鏡"
    assert entries[1]["p_value"] == judgement.p_value
    assert entries[2]["high"] is None


def test_lockbox_openings_are_counted(tmp_path):
    ledger = Ledger(tmp_path, "rows")
    assert ledger.open_lockbox(0.02, 0.01, 0.03, release="1.0") == 1
    assert ledger.open_lockbox(0.02, 0.01, 0.03) == 2
    standing = ledger.standing()
    assert (standing.n_lockbox, standing.n_compared) == (2, 0)
    assert standing.lockbox[0]["release"] == "1.0"
    assert standing.alarm() == "none"
    ledger.keep("k1", "mirror", 0.02)
    ledger.keep("k1", "mirror", 0.02)  # the same once more counts once
    assert ledger.standing().claimed_gain == 0.02
    assert ledger.standing().alarm() == "none"
    ledger.keep("k2", "crop", 0.03)
    assert ledger.standing().alarm() == "red", "0.05 claimed, 0.01 to 0.03 on the rows set aside"
    assert "set aside" in ledger.standing().alarm_sentence()


def _append_many(folder, who):
    ledger = Ledger(folder, "rows")
    for i in range(40):
        ledger.open(f"{who}-{i}", f"idea {i} of {who} " + "x" * 500)


@pytest.mark.skipif(sys.platform == "win32", reason="file locks are POSIX")
def test_two_processes_may_write(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(tmp_path, who)) for who in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    standing = Ledger(tmp_path, "rows").standing()
    assert (standing.n_compared, standing.torn) == (120, ())
    assert [one.position for one in standing.comparisons] == list(range(1, 121))  # no position was given twice


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="must be a file that can be appended to"):
        Ledger(tmp_path / "file", "rows").open("k", "idea")
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(StoreError, match="must be readable"):
        Ledger(tmp_path, "rows").standing()


def test_keys():
    assert ledger_key(["a", "b"], [1, 2]) == ledger_key(["b", "a"], [2, 1])
    assert ledger_key(["a", "b"], [1, 2]) != ledger_key(["a", "b"], [2, 1])
    assert ledger_key(["a", "b"], [1, 2]) != ledger_key(["a"], [1])
    assert comparison_key("x", "y") != comparison_key("y", "x")
    assert comparison_key("ab", "c") != comparison_key("a", "bc")
