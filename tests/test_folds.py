import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from tamesu.config import FoldsConfig
from tamesu.errors import DataError
from tamesu.folds import check_folds, make_splits, split_lockbox


@st.composite
def studies(draw):
    """A study's rows: how many, their classes or none, their groups or none, and how they are split."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_splits = draw(st.integers(2, 6))
    n = draw(st.integers(n_splits, 80))
    labels = draw(st.sampled_from(["none", "classes", "marks"]))
    groups = None
    if draw(st.booleans()):
        groups = rng.integers(0, draw(st.integers(n_splits, 30)), n)
        groups[:n_splits] = np.arange(n_splits)
        groups = np.array([f"group {g}" for g in groups], dtype=object)
    classes = rng.integers(0, draw(st.integers(1, 5)), n)
    return {
        "folds": FoldsConfig(n_splits=n_splits, seed=draw(st.integers(0, 99))),
        "n": n,
        "groups": groups,
        "labels": {"none": None, "classes": classes, "marks": rng.integers(0, 2, (n, 3))}[labels],
    }


@given(studies())
@settings(max_examples=80, deadline=None)
def test_each_row_is_scored_once_a_repeat_and_groups_never_split(study):
    folds, n, groups = study["folds"], study["n"], study["groups"]
    splits = make_splits(folds, n=n, labels=study["labels"], groups=groups, n_repeats=2)
    assert [(s.repeat, s.fold) for s in splits] == [(r, k) for r in range(2) for k in range(folds.n_splits)]
    for repeat in range(2):
        tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), np.arange(n))
    for split in splits:
        assert len(split.test) > 0
        assert len(split.train) > 0
        np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(n))
        assert (np.diff(split.train) > 0).all()
        assert (np.diff(split.test) > 0).all()
        if groups is not None:
            assert not set(groups[split.train]) & set(groups[split.test])


@given(studies())
@settings(max_examples=30, deadline=None)
def test_more_repeats_keep_the_earlier_ones(study):
    few, more = (make_splits(**study, n_repeats=r) for r in (1, 3))
    for one, same in zip(few, more, strict=False):
        np.testing.assert_array_equal(one.test, same.test)


@given(st.integers(0, 1000), st.integers(2, 7), st.integers(20, 200))
@settings(max_examples=30, deadline=None)
def test_ungrouped_folds_share_every_class_and_the_rows_as_evenly_as_can_be(seed, n_splits, n):
    labels = np.random.default_rng(seed).integers(0, 4, n)
    splits = make_splits(FoldsConfig(n_splits=n_splits, seed=seed), n=n, labels=labels, groups=None, n_repeats=1)
    counts = np.array([np.bincount(labels[s.test], minlength=4) for s in splits])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1


def _unevenness(tests, labels):
    wanted = np.bincount(labels) / len(tests)
    return np.mean([np.abs(np.bincount(labels[test], minlength=len(wanted)) / wanted - 1).mean() for test in tests])


@pytest.mark.parametrize(
    ("n_groups", "n_classes", "one_class_each"), [(12, 2, True), (30, 4, True), (30, 4, False), (200, 10, False)]
)
def test_grouped_folds_are_as_balanced_as_sklearns_and_differ_between_repeats(n_groups, n_classes, one_class_each):
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(n_groups), rng.integers(5, 40, n_groups))
    labels = (np.arange(n_groups) % n_classes)[groups] if one_class_each else rng.integers(0, n_classes, len(groups))
    splits = make_splits(FoldsConfig(), n=len(groups), labels=labels, groups=groups, n_repeats=20)
    ours = np.mean([_unevenness([s.test for s in splits if s.repeat == r], labels) for r in range(20)])
    theirs = np.mean(
        [
            _unevenness(
                [t for _, t in StratifiedGroupKFold(5, shuffle=True, random_state=r).split(groups, labels, groups)], labels
            )
            for r in range(20)
        ]
    )
    assert ours < 1.15 * theirs
    assert len({frozenset(s.test.tobytes() for s in splits if s.repeat == r) for r in range(20)}) >= 5


def test_a_class_of_five_groups_is_in_each_of_five_folds():
    groups = np.arange(60)
    labels = (groups >= 55).astype(int)
    for split in make_splits(FoldsConfig(), n=60, labels=labels, groups=groups, n_repeats=5):
        assert labels[split.test].sum() == 1


def test_many_labels_are_spread_over_the_folds():
    labels = (np.random.default_rng(0).random((300, 6)) < [0.5, 0.3, 0.1, 0.05, 0.04, 0.03]).astype(int)
    for split in make_splits(FoldsConfig(), n=300, labels=labels, groups=None, n_repeats=2):
        assert np.abs(labels[split.test].sum(axis=0) - labels.sum(axis=0) / 5).max() <= 1.5


def test_seeds_and_repeats_change_the_folds():
    labels = np.arange(50) % 2
    drawn = {
        s.test.tobytes()
        for seed in range(3)
        for s in make_splits(FoldsConfig(seed=seed), n=50, labels=labels, groups=None, n_repeats=3)
    }
    assert len(drawn) == 45


def test_folds_do_not_depend_on_the_process():
    program = (
        "import numpy as np; from tamesu.config import FoldsConfig; from tamesu.folds import make_splits; import hashlib;"
        "g = np.array([f'g{i % 40}' for i in range(300)], dtype=object);"
        "y = np.array([f'c{i * i % 7}' for i in range(300)], dtype=object);"
        "s = make_splits(FoldsConfig(), n=300, labels=y, groups=g, n_repeats=2);"
        "print(hashlib.sha256(b''.join(x.test.tobytes() for x in s)).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_folds_are_those_of_earlier_releases():
    # Trials are named after their rows: if this changes, every stored training is lost to its owner.
    rows = make_splits(FoldsConfig(n_splits=3), n=9, labels=np.arange(9) % 2, groups=None, n_repeats=1)
    grouped = make_splits(FoldsConfig(n_splits=3), n=9, labels=np.arange(9) % 2, groups=np.arange(9) // 2, n_repeats=1)
    assert [s.test.tolist() for s in rows] == [[3, 4, 8], [1, 5, 6], [0, 2, 7]]
    assert [s.test.tolist() for s in grouped] == [[0, 1, 6, 7], [2, 3, 8], [4, 5]]


def test_leave_one_out_has_one_repeat():
    splits = make_splits(FoldsConfig(scheme="leave_one_out"), n=4, labels=None, groups=None, n_repeats=5)
    assert [s.test.tolist() for s in splits] == [[0], [1], [2], [3]]
    assert splits[1].train.tolist() == [0, 2, 3]


def test_leave_one_group_out_scores_each_group_once():
    groups = np.array(["b", "a", "b", "c"], dtype=object)
    splits = make_splits(FoldsConfig(scheme="leave_one_group_out"), n=4, labels=None, groups=groups, n_repeats=5)
    assert [s.test.tolist() for s in splits] == [[0, 2], [1], [3]]
    assert [s.repeat for s in splits] == [0, 0, 0]


@given(studies(), st.sampled_from([0.1, 0.2, 0.5]))
@settings(max_examples=40, deadline=None)
def test_the_lockbox_divides_rows_but_no_group(study, share):
    study["folds"] = study["folds"].model_copy(update={"lockbox": share})
    if study["n"] < 20 or (study["groups"] is not None and len(set(study["groups"])) < 15):
        return
    kept, aside = split_lockbox(**study)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, aside])), np.arange(study["n"]))
    if study["groups"] is not None:
        assert not set(study["groups"][kept]) & set(study["groups"][aside])
    else:
        assert abs(len(aside) - share * study["n"]) <= 2


def test_the_lockbox_is_stratified_and_none_by_default():
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    _, aside = split_lockbox(FoldsConfig(lockbox=0.2), n=1000, labels=labels, groups=None)
    np.testing.assert_allclose(np.bincount(labels[aside]), [140, 50, 10], atol=1)
    kept, aside = split_lockbox(FoldsConfig(), n=10, labels=None, groups=None)
    assert (len(kept), len(aside)) == (10, 0)


def test_a_lockbox_of_less_than_a_group_is_refused():
    with pytest.raises(DataError, match=r"folds: `lockbox` must be a share that leaves rows on both sides"):
        split_lockbox(FoldsConfig(lockbox=0.2), n=10, labels=None, groups=np.zeros(10, dtype=int))


IMPOSSIBLE = [
    (FoldsConfig(), 3, None, "there must be at least as many rows as folds, 5; got 3. Add rows, or lower `n_splits`."),
    (FoldsConfig(), 0, None, "there must be at least as many rows as folds, 5; got 0. Add rows, or lower `n_splits`."),
    (
        FoldsConfig(),
        8,
        [0, 0, 1, 1, 2, 2, 3, 3],
        "there must be at least as many groups as folds, 5; got 4. Lower `n_splits`, or use a finer group.",
    ),
    (
        FoldsConfig(scheme="leave_one_group_out"),
        8,
        None,
        "`group` must name a field of kind 'group' for scheme 'leave_one_group_out'; got nothing.",
    ),
    (
        FoldsConfig(scheme="leave_one_out"),
        2,
        [0, 1],
        "`scheme` must keep groups whole; got 'leave_one_out' with a group field. "
        "Write `scheme: leave_one_group_out`, or remove `group`.",
    ),
    (
        FoldsConfig(scheme="leave_one_out"),
        5001,
        None,
        "'leave_one_out' must have at most 5000 folds; got 5001, one training each. Write `scheme: k_fold`.",
    ),
]


@pytest.mark.parametrize(("folds", "n", "groups", "message"), IMPOSSIBLE)
def test_folds_that_cannot_be_are_refused(folds, n, groups, message):
    groups = None if groups is None else np.array(groups)
    assert check_folds(folds, n=n, groups=groups) == ([message], [])
    with pytest.raises(DataError) as caught:
        make_splits(folds, n=n, labels=None, groups=groups, n_repeats=1)
    assert str(caught.value) == f"folds: {message}"


def test_classes_that_are_never_learned_or_not_always_scored_are_found():
    labels = np.array(["a"] * 10 + ["b"] * 3 + ["c"], dtype=object)
    assert check_folds(FoldsConfig(), n=14, labels=labels) == (
        [
            "every class must have at least 2 rows, or it is scored without ever being learned; got 1 row of 'c'. "
            "Add rows, join the class with another, or remove it."
        ],
        ["'b' is in fewer rows than there are folds (5): some folds are scored without it."],
    )


def test_a_group_that_holds_a_whole_class_is_found():
    labels = np.array(["a"] * 10 + ["b"] * 3 + ["a"] * 2, dtype=object)
    groups = np.array([f"g{i // 2}" for i in range(10)] + ["g9"] * 3 + ["g8"] * 2, dtype=object)
    assert check_folds(FoldsConfig(), n=15, labels=labels, groups=groups) == (
        [
            "every class must be in at least 2 groups, or it is scored without ever being learned; got 'b' wholly in one group "
            "(such as 'g9'). Add rows, join the class with another, or remove it."
        ],
        [],
    )


def test_repeats_that_cannot_differ_are_pointed_out():
    groups = np.repeat(np.arange(5), 4)
    _, warnings = check_folds(FoldsConfig(), n=20, groups=groups, n_repeats=5)
    assert warnings == [
        "every repeat has the same folds, as there are as many groups as folds. Write `max_repeats: 1`, or lower `n_splits`."
    ]
    assert check_folds(FoldsConfig(), n=20, groups=groups, n_repeats=1) == ([], [])


def test_sound_folds_raise_nothing():
    assert check_folds(FoldsConfig(), n=20, labels=np.arange(20) % 2, groups=np.arange(20), n_repeats=5) == ([], [])


def test_a_missing_stratum_is_a_stratum():
    labels = np.array(["a", None] * 10, dtype=object)
    for split in make_splits(FoldsConfig(), n=20, labels=labels, groups=None, n_repeats=1):
        assert sum(labels[i] is None for i in split.test) == 2


def test_a_hundred_thousand_rows_are_split_quickly():
    rng = np.random.default_rng(0)
    n = 100_000
    start = time.process_time()
    make_splits(FoldsConfig(), n=n, labels=rng.integers(0, 10, n), groups=None, n_repeats=5)
    make_splits(FoldsConfig(), n=n, labels=rng.integers(0, 10, n), groups=rng.integers(0, 20_000, n), n_repeats=1)
    assert time.process_time() - start < 5  # 0.4 s on an idle core
