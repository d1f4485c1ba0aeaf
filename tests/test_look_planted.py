"""Faults planted in generated data are found, and clean data gives no finding (the data of bench/look_planted.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up, and look_planted imports look_faults by its name
    spec.loader.exec_module(module)
    return module


faults, planted = _script("look_faults"), _script("look_planted")
MEDIUM = 1


def _findings(data):
    return [one for several in planted.look(data).values() for one in several]


def _found(data):
    """Faults by whether a finding names them."""
    findings = _findings(data)
    return {fault: any(one.kind == kind and fits(one) for one in findings) for fault, (kind, fits) in data.expected.items()}


@pytest.mark.parametrize("make", [faults.unknown, faults.mixed_labels, faults.copied, faults.grouped, faults.mislabelled])
def test_faults_of_a_table_are_found(make):
    found = _found(make(np.random.default_rng([7, 0]), MEDIUM))
    assert found == dict.fromkeys(found, True)


def test_damaged_files_are_found(tmp_path):
    found = _found(faults.damaged(np.random.default_rng([7, 1]), MEDIUM, tmp_path))
    assert found == dict.fromkeys(found, True)
    assert len(found) == 8


def test_a_fault_that_is_not_there_is_not_found():
    """The matches of the bench can fail: what clean data gives fits none of them."""
    expected = faults.unknown(np.random.default_rng(3), MEDIUM).expected
    clean = faults.Data(faults.table(np.random.default_rng(4), 600), None, faults.FIELDS, expected=expected)
    assert not any(_found(clean).values())


@pytest.mark.parametrize("name", ["clean table", "clean table, number", "clean table, alone", "clean pictures"])
def test_clean_data_gives_no_finding(name, tmp_path):
    data = faults.clean_sets(np.random.default_rng([7, 2]), tmp_path)[name]
    assert [one.sentence for one in _findings(data)] == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_recall_and_false_findings_over_fifty_seeds():
    results = planted.run_seeds(range(50), workers=2)
    told = planted.report(results)
    hits = [hit for one in results for _, _, hit in one["found"]]
    assert np.mean(hits) >= 0.95, told
    for one in results:
        sets = [row[0] for row in one["false"]]
        assert max((sets.count(name) for name in sets), default=0) <= 1, told
