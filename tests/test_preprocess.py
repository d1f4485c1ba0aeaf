import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer as TheirIterative
from sklearn.impute import KNNImputer
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tamesu import imputers
from tamesu.arrows import turn_arrows
from tamesu.dataset import Dataset
from tamesu.errors import StoreError
from tamesu.fields import AngleField, DirectionField, GroupField, LabelField, NumberField, VectorField
from tamesu.imputers import IterativeImputer, NearestImputer
from tamesu.maps import make_maps
from tamesu.preprocess import FittedInputs, fit_inputs

NAN = float("nan")


def make_rows(**columns):
    table = pd.DataFrame(columns)
    ids = np.array([f"r{i}" for i in range(len(table))], dtype=object)
    return Dataset(ids=ids, table=table, pictures={}, classes={}, digests={}, where="train.csv")


def gappy(seed=0, n=60, f=4, gaps=0.2):
    """Numbers that hang together, some of them missing, and one class."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 2)) @ rng.normal(size=(2, f)) + 0.1 * rng.normal(size=(n, f)) + 5
    values[rng.random((n, f)) < gaps] = np.nan
    columns = {f"x{j}": values[:, j] for j in range(f)}
    return make_rows(**columns, kind=rng.choice(np.array(["a", "b", "c", "d", None], dtype=object), n))


MIXED = {
    "x0": NumberField(missing="nearest", indicator=True),
    "x1": NumberField(missing="iterative", scale="minmax"),
    "x2": NumberField(missing="mean", scale="none"),
    "x3": NumberField(missing=-1.0),
    "kind": LabelField(rare=3),
}


def one_column(values, test=None, **settings_):
    """What a single number column becomes."""
    fields = {"x": NumberField(**settings_)}
    fitted = fit_inputs(make_rows(x=values), fields)
    return fitted.transform(make_rows(x=values if test is None else test)).table


@pytest.mark.parametrize(("missing", "value"), [("median", 2.0), ("mean", 4.0), (-7.5, -7.5)])
def test_gaps_are_filled_from_training_rows(missing, value):
    assert one_column([1.0, 2.0, 9.0, NAN], [NAN, 100.0], missing=missing, scale="none")[:, 0].tolist() == [value, 100.0]


def test_scaling_is_scikit_learns():
    values = np.array([1.0, 2.0, 9.0, 5.0])
    np.testing.assert_allclose(one_column(values), StandardScaler().fit_transform(values[:, None]), rtol=1e-6)
    np.testing.assert_allclose(one_column(values, scale="minmax"), MinMaxScaler().fit_transform(values[:, None]), rtol=1e-6)
    np.testing.assert_allclose(one_column([0.0, NAN, 4.0], missing=2.0)[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)


def test_a_filled_in_constant_is_scaled_with_the_rest():
    assert one_column([5.0, 5.0, NAN, NAN], missing=-1.0)[:, 0].tolist() == [1, 1, -1, -1]


def test_indicators_follow_their_column():
    fitted = fit_inputs(make_rows(a=[1.0, NAN, 3.0], b=[1.0, 2.0, 3.0]), {"a": NumberField(indicator=True), "b": NumberField()})
    inputs = fitted.transform(make_rows(a=[NAN, 3.0], b=[1.0, 2.0]))
    assert inputs.feature_names == ("a", "a_missing", "b")
    assert inputs.table[:, 1].tolist() == [1, 0]
    assert inputs.table.dtype == np.float32


@pytest.mark.parametrize("missing", ["median", "mean", 0.0, "nearest", "iterative"])
@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_columns_that_teach_nothing_are_zero_throughout_and_said_so(missing, scale):
    fields = {name: NumberField(missing=missing, scale=scale) for name in ("empty", "same", "x")}
    fitted = fit_inputs(make_rows(empty=[NAN] * 4, same=[0.1] * 4, x=[1.0, 2.0, 3.0, 4.0]), fields)
    assert fitted.warnings == (
        "train.csv empty: missing in every training row; the input is 0 throughout.",
        "train.csv same: the same in every training row; the input is 0 throughout.",
    )
    table = fitted.transform(make_rows(empty=[7.0, NAN], same=[1e9, NAN], x=[1.0, NAN])).table
    assert table[:, :2].tolist() == [[0, 0], [0, 0]]
    assert np.isfinite(table).all()


@pytest.mark.filterwarnings("error")
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=2, max_size=8),
    st.sampled_from(["median", "mean", "nearest", "iterative", 3.0]),
    st.sampled_from(["standard", "minmax", "none"]),
)
@settings(max_examples=50, deadline=None)
def test_any_finite_numbers_become_finite_inputs(values, missing, scale):
    fields = {name: NumberField(missing=missing, scale=scale) for name in "ab"}
    rows = make_rows(a=np.array(values), b=np.arange(float(len(values))))
    fitted = fit_inputs(rows, fields)
    for some in (rows, make_rows(a=[NAN, 1.7e308, -1.7e308, 0.0], b=[NAN, NAN, 1e300, 1.0])):
        assert np.isfinite(fitted.transform(some).table).all()


def test_categories_are_missing_other_or_known():
    fitted = fit_inputs(make_rows(c=["b", "a", "b", "a", "z", None, 3]), {"c": LabelField(rare=2)})
    inputs = fitted.transform(make_rows(c=["a", "b", "z", "new", None, ""]))
    assert inputs.categories[:, 0].tolist() == [2, 3, 1, 1, 0, 0]
    assert (inputs.category_sizes, inputs.category_names) == ((4,), ("c",))
    assert inputs.table.shape == (6, 0)


def test_targets_and_other_kinds_are_no_inputs():
    fields = {"x": NumberField(), "y": NumberField(target=True), "c": LabelField(target=True), "g": GroupField()}
    fitted = fit_inputs(make_rows(x=[1.0, 2.0]), fields)
    inputs = fitted.transform(make_rows(x=[1.0]))
    assert (inputs.feature_names, inputs.category_names, inputs.categories.shape) == (("x",), (), (1, 0))


def standardised(seed, n=60, f=4):
    rows = gappy(seed, n, f)
    values = rows.table[[f"x{j}" for j in range(f)]].to_numpy()
    return (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)


def test_nearest_is_scikit_learns():
    train, test = standardised(0), standardised(1, n=20)
    expected = KNNImputer(n_neighbors=5).fit(train).transform(test)
    np.testing.assert_allclose(NearestImputer.fit(train).fill(test), expected, atol=2e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_iterative_is_scikit_learns():
    train, test = standardised(0), standardised(1, n=20)
    low, high = np.nanmin(train, axis=0), np.nanmax(train, axis=0)
    expected = TheirIterative(random_state=0, min_value=low, max_value=high).fit(train).transform(test)
    np.testing.assert_allclose(IterativeImputer.fit(train).fill(test), expected, rtol=1e-9)


@pytest.mark.parametrize("strategy", ["nearest", "iterative"])
def test_joint_filling_is_better_than_the_median(strategy):
    whole = gappy(0, n=300, gaps=0.0)
    holes = make_rows(
        **{name: whole.table[name].where(np.arange(300) % 5 != j) for j, name in enumerate(["x0", "x1", "x2", "x3"])}
    )
    error = {}
    for missing in ("median", strategy):
        fields = {f"x{j}": NumberField(missing=missing, scale="none") for j in range(4)}
        error[missing] = np.abs(fit_inputs(holes, fields).transform(holes).table - whole.table.iloc[:, :4]).to_numpy().mean()
    assert error[strategy] < 0.4 * error["median"]


@given(st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None)
def test_a_row_is_transformed_alike_whatever_stands_beside_it(seed, random):
    fitted = fit_inputs(gappy(seed), MIXED)
    rows = gappy(seed + 1, n=23)
    together = fitted.transform(rows)
    index = random.sample(range(23), random.randint(1, 23))
    some = fitted.transform(rows.take(np.array(index)))
    np.testing.assert_array_equal(some.table, together.table[index])
    np.testing.assert_array_equal(some.categories, together.categories[index])


@given(st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_what_is_saved_transforms_to_the_same_bits(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("inputs") / "new"
    fitted = fit_inputs(gappy(seed), MIXED)
    fitted.save(folder)
    loaded = FittedInputs.load(folder)
    rows = gappy(seed + 1)
    before, after = fitted.transform(rows), loaded.transform(rows)
    np.testing.assert_array_equal(before.table, after.table)
    np.testing.assert_array_equal(before.categories, after.categories)
    assert (before.feature_names, before.category_sizes) == (after.feature_names, after.category_sizes)
    assert (loaded.numbers, loaded.labels, loaded.warnings) == (fitted.numbers, fitted.labels, fitted.warnings)


def test_a_broken_or_foreign_folder_is_refused(tmp_path):
    fit_inputs(gappy(), MIXED).save(tmp_path)
    (tmp_path / "inputs.npz").write_bytes((tmp_path / "inputs.npz").read_bytes()[:100])
    with pytest.raises(StoreError, match=r"must hold fitted inputs; got .* Train again\."):
        FittedInputs.load(tmp_path)
    with pytest.raises(StoreError, match="must hold fitted inputs"):
        FittedInputs.load(tmp_path / "nowhere")
    np.savez(tmp_path / "inputs.npz", fill=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="must hold fitted inputs"):
        FittedInputs.load(tmp_path)


def test_poison_in_scored_rows_changes_no_other_row():
    rows = gappy(0, n=80)
    train, test = np.arange(60), np.arange(60, 80)
    clean = fit_inputs(rows.take(train), MIXED).transform(rows.take(test))
    poisoned = gappy(0, n=80)
    poisoned.table.loc[70, ["x0", "x1", "x2", "x3"]] = [1e30, np.nan, -1e30, np.nan]
    poisoned.table.loc[70, "kind"] = "never seen"
    after = fit_inputs(poisoned.take(train), MIXED).transform(poisoned.take(test))
    others = np.arange(20) != 10
    np.testing.assert_array_equal(after.table[others], clean.table[others])
    np.testing.assert_array_equal(after.categories[others], clean.categories[others])
    assert (after.table[10] != clean.table[10]).any()


def test_many_rows_are_thinned_before_the_slow_imputers(monkeypatch):
    monkeypatch.setattr(imputers, "MOST_DONORS", 50)
    monkeypatch.setattr(imputers, "MOST_ROWS", 50)
    train = standardised(0, n=400)
    assert NearestImputer.fit(train).donors.shape == (50, 4)
    assert np.isfinite(IterativeImputer.fit(train).fill(train)).all()


@pytest.mark.parametrize("imputer", [NearestImputer, IterativeImputer])
def test_filling_is_exact_to_the_bit_beside_other_rows(imputer):
    # Whole numbers make many equal distances, which a matrix product adding up in another order would break differently.
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (600, 24)) / 0.7 - 1.3
    values[rng.random(values.shape) < 0.2] = np.nan
    fitted = imputer.fit(values[:300])
    together = fitted.fill(values[300:])
    alone = np.concatenate([fitted.fill(values[i : i + 1]) for i in range(300, 600)])
    np.testing.assert_array_equal(alone, together)


# ── arrows ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

ARROWS = {
    "size": NumberField(indicator=True),
    "course": AngleField(zero="up", positive="clockwise"),
    "tilt": AngleField(unit="rad", period_deg=180),
    "way": DirectionField(angles={"right": 0, "up": 90, "left": 180, "down": 270}),
    "wind": VectorField(),
    "pull": VectorField(y="up", columns=("a", "b", "c")),
}


def arrow_rows(n=40, seed=0):
    rng = np.random.default_rng(seed)
    ways = np.array(["right", "up", "left", "down", "none", None], dtype=object)
    return make_rows(
        size=rng.normal(size=n),
        course=np.where(rng.random(n) < 0.2, NAN, rng.uniform(-200, 400, n)),
        tilt=rng.uniform(-3, 3, n),
        way=rng.choice(ways, n),
        wind=[None if rng.random() < 0.2 else tuple(rng.normal(0, 5, 2)) for _ in range(n)],
        pull=[tuple(rng.normal(0, 5, 3)) for _ in range(n)],
    )


def test_arrows_become_pairs_of_columns():
    rows = make_rows(
        size=[1.0, 2.0],
        course=[90.0, NAN],
        tilt=[np.pi / 2, 0.0],
        way=["up", "none"],
        wind=[(3.0, 4.0), None],
        pull=[(0.0, 1.0, 2.0), (2.0, 0.0, 0.0)],
    )
    inputs = fit_inputs(rows, ARROWS).transform(rows)
    names = dict(zip(inputs.feature_names, inputs.table.T, strict=True))
    assert list(names)[2:] == [
        *("course_cos", "course_sin", "tilt_cos", "tilt_sin", "way_cos", "way_sin"),
        *("wind_x", "wind_y", "pull_x", "pull_y", "pull_z"),
    ]
    at = {name: values.round(6).tolist() for name, values in names.items()}
    assert (at["course_cos"], at["course_sin"]) == ([1, 0], [0, 0])  # clockwise from up: 90 points right; missing is 0, 0
    assert (at["tilt_cos"], at["tilt_sin"]) == ([-1, 1], [0, 0])  # a line goes around twice
    assert (at["way_cos"], at["way_sin"]) == ([0, 0], [1, 0])
    np.testing.assert_allclose([at["wind_x"], at["wind_y"]], [[0.6, 0], [-0.8, 0]], atol=1e-6)  # y down, turned up
    np.testing.assert_allclose(at["pull_z"], [2 / np.sqrt(4.5), 0], atol=1e-6)  # one spread for the three
    assert inputs.arrows == ((2, 3, 1.0), (4, 5, 2.0), (6, 7, 1.0), (8, 9, 1.0), (10, 11, 1.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(-3.1, 3.1))
def test_arrows_in_the_table_turn_as_their_fields_do(seed, mirrored, angle):
    rows = arrow_rows(seed=seed)
    fitted = fit_inputs(rows, ARROWS)
    inputs = fitted.transform(rows)
    maps = make_maps((9, 9), mirrored=np.full(len(rows), mirrored), rotate_rad=angle)
    moved = rows.table.copy()
    for name, field in ARROWS.items():
        if name not in ("size", "way"):  # a direction between two classes has no name
            values = field.act(rows.values(name, field), maps)
            moved[name] = values if values.ndim == 1 else list(map(tuple, values))
    expected = fitted.transform(make_rows(**moved)).table
    turned = turn_arrows(inputs.table, inputs.arrows, maps)
    others = [i for i, name in enumerate(inputs.feature_names) if not name.startswith("way")]
    np.testing.assert_allclose(turned[:, others], expected[:, others], atol=2e-6)
    np.testing.assert_array_equal(inputs.table, fitted.transform(rows).table)  # what was given stays


def test_directions_in_the_table_are_the_turned_class():
    field = ARROWS["way"]
    rows = make_rows(way=["right", "up", "left", "none", None])
    fitted = fit_inputs(rows, {"way": field})
    inputs = fitted.transform(rows)
    maps = make_maps((9, 9), turns=np.full(5, 1), mirrored=True)
    expected = fitted.transform(make_rows(way=field.act(rows.values("way", field), maps))).table
    np.testing.assert_allclose(turn_arrows(inputs.table, inputs.arrows, maps), expected, atol=1e-6)


def test_saved_arrows_transform_to_the_same_bits(tmp_path):
    rows = arrow_rows()
    fitted = fit_inputs(rows.take(slice(0, 30)), ARROWS)
    fitted.save(tmp_path)
    back, before = FittedInputs.load(tmp_path).transform(rows), fitted.transform(rows)
    np.testing.assert_array_equal(back.table, before.table)
    assert (back.arrows, back.feature_names) == (before.arrows, before.feature_names)


def test_vectors_are_scaled_by_training_rows_alone_and_nothing_overflows():
    rows = make_rows(wind=[(3.0, 4.0), (0.0, 0.0), None])
    fitted = fit_inputs(rows, {"wind": VectorField()})
    assert fitted.pointing.spreads["wind"] == pytest.approx(np.sqrt(12.5))
    huge = make_rows(wind=[(1e300, 0.0), (0.0, -1e-300), None])
    assert np.isfinite(fitted.transform(huge).table).all()
    assert np.isfinite(fit_inputs(huge, {"wind": VectorField()}).transform(huge).table).all()
    nothing = make_rows(wind=[None, (0.0, 0.0)])
    assert not fit_inputs(nothing, {"wind": VectorField()}).transform(nothing).table.any()
