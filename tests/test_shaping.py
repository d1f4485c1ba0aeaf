"""Numbers clipped, made less skew, and laid around a circle: by the training rows alone, one row never looking at another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.preprocessing import PowerTransformer, QuantileTransformer

from tamesu.dataset import Dataset
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.fields import AngleField, NumberField
from tamesu.preprocess import FittedInputs, fit_inputs
from tamesu.shaping import MOST_VALUES, fit_shape, normal_scores, yeo_johnson

NAN = float("nan")
SKEWS = ("none", "log1p", "yeo_johnson", "quantile")
SHAPED = {
    "income": NumberField(skew="yeo_johnson", missing="nearest", indicator=True),
    "flow": NumberField(skew="quantile", scale="minmax", missing=-1.0),
    "rain": NumberField(skew="log1p", clip=(None, 30.0), missing="iterative"),
    "age": NumberField(clip=(0.0, 100.0)),
    "hour": NumberField(cycle=24, indicator=True),
    "course": AngleField(),
}


def make_rows(**columns):
    table = pd.DataFrame(columns)
    ids = np.array([f"r{i}" for i in range(len(table))], dtype=object)
    return Dataset(ids=ids, table=table, pictures={}, classes={}, digests={}, where="train.csv")


def skewed(seed=0, n=80, gaps=0.15):
    rng = np.random.default_rng(seed)
    columns = {
        "income": rng.lognormal(3, 1.5, n) - 5,
        "flow": np.round(rng.gamma(0.5, 4, n)),
        "rain": rng.exponential(12, n),
        "age": rng.normal(50, 40, n),
        "hour": rng.uniform(-30, 60, n),
        "course": rng.uniform(0, 360, n),
    }
    return make_rows(**{name: np.where(rng.random(n) < gaps, NAN, values) for name, values in columns.items()})


def one_column(values, test=None, **settings_):
    fitted = fit_inputs(make_rows(x=values), {"x": NumberField(**settings_)})
    return fitted.transform(make_rows(x=values if test is None else test)).table


def test_log1p_answers_every_number():
    got = one_column([0.0, 1.0, 2.0], [-np.e + 1, -1.0, 0.0, np.e - 1, NAN], skew="log1p", scale="none")[:, 0]
    np.testing.assert_allclose(got, [-1, -np.log(2), 0, 1, np.log(2)], rtol=1e-6)


def test_yeo_johnson_is_scikit_learns():
    values = np.random.default_rng(0).lognormal(1, 1, 200) - 2
    theirs = PowerTransformer("yeo-johnson").fit_transform(values[:, None])
    np.testing.assert_allclose(one_column(values, skew="yeo_johnson"), theirs, rtol=1e-5, atol=1e-5)
    for power in (-1.5, 0.0, 0.7, 1.0, 2.0, 3.1):
        np.testing.assert_allclose(yeo_johnson(values, power), stats.yeojohnson(values, power), rtol=1e-9)


def test_quantiles_are_scikit_learns_between_the_ends():
    values = np.round(np.random.default_rng(0).gamma(2, 5, 500), 1)
    transformer = QuantileTransformer(n_quantiles=500, output_distribution="normal", subsample=None).fit(values[:, None])
    test = np.random.default_rng(1).permutation(values)[:100] + 0.03
    test = test[(test > values.min()) & (test < values.max())]
    theirs = transformer.transform(test[:, None])[:, 0]
    within = np.abs(theirs) < stats.norm.ppf(1 - 0.5 / 500)
    got = one_column(values, test, skew="quantile", scale="none")[:, 0]
    np.testing.assert_allclose(got[within], theirs[within], rtol=1e-4, atol=1e-5)
    assert within.mean() > 0.9


def test_the_ends_of_quantiles_are_no_outliers():
    got = one_column(np.arange(100.0) ** 3, [-1e9, 0.0, 99.0**3, 1e300], skew="quantile", scale="none")[:, 0]
    end = stats.norm.ppf(1 - 0.5 / 100)
    np.testing.assert_allclose(got, [-end, -end, end, end], rtol=1e-6)
    assert normal_scores(np.array([7.0]), np.array([1.0, 7.0, 7.0, 7.0, 9.0]), 5)[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("skew", ["log1p", "yeo_johnson", "quantile"])
def test_skew_numbers_become_less_skew(skew):
    values = np.random.default_rng(0).lognormal(2, 1.2, 400)
    assert abs(stats.skew(one_column(values, skew=skew)[:, 0])) < 0.5 < abs(stats.skew(values)) / 4


def test_what_lies_beyond_is_clipped_before_it_is_scaled():
    got = one_column([-50.0, 0.0, 100.0, 1e6], [-1e9, 50.0, 1e9, NAN], clip=(0, 100), scale="minmax")[:, 0]
    np.testing.assert_allclose(got, [0, 0.5, 1, 0.5])
    assert one_column([1.0, 2.0, 9.0], [9.0], clip=(None, 4), scale="none").tolist() == [[4]]
    assert one_column([1.0, 2.0, 9.0], [0.0], clip=(2, None), scale="none").tolist() == [[2]]


def test_a_constant_for_what_is_missing_is_not_clipped():
    assert one_column([1.0, 2.0, 9.0], [NAN, -7.0], clip=(0, 10), missing=-1.0, scale="none")[:, 0].tolist() == [-1, 0]


def test_a_cycle_is_a_cosine_and_a_sine():
    fields = {"a": NumberField(), "hour": NumberField(cycle=24, indicator=True), "wind": AngleField()}
    rows = make_rows(a=[1.0, 2.0, 3.0, 4.0], hour=[0.0, 6.0, 30.0, NAN], wind=[0.0, 90.0, 180.0, NAN])
    fitted = fit_inputs(rows, fields)
    inputs = fitted.transform(rows)
    assert inputs.feature_names == ("a", "hour_cos", "hour_sin", "hour_missing", "wind_cos", "wind_sin")
    assert fitted.feature_fields == ("a", "hour", "hour", "hour", "wind", "wind")
    np.testing.assert_allclose(inputs.table[:, 1:4], [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], atol=1e-7)
    assert inputs.arrows == ((4, 5, 1.0),)  # the hour does not turn with the picture
    np.testing.assert_allclose(inputs.table[:, 4], [1, 0, -1, 0], atol=1e-7)


def test_shaped_columns_that_teach_nothing_are_told():
    fields = {"far": NumberField(clip=(0, 1)), "noon": NumberField(cycle=24), "never": NumberField(cycle=7)}
    fitted = fit_inputs(make_rows(far=[2.0, 3.0, 4.0], noon=[12.0, 36.0, 12.0], never=[NAN] * 3), fields)
    assert fitted.warnings == (
        "train.csv far: the same in every training row; the input is 0 throughout.",
        "train.csv noon: the same in every training row, up to whole cycles; it teaches nothing.",
        "train.csv never: missing in every training row; the input is 0 throughout.",
    )


@pytest.mark.filterwarnings("error")
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=8),
    st.sampled_from(SKEWS),
    st.sampled_from(["median", "nearest", 3.0]),
    st.sampled_from([None, (None, 5.0), (-1e9, 1e300)]),
)
@settings(max_examples=60, deadline=None)
def test_any_finite_numbers_become_finite_inputs(values, skew, missing, clip):
    fields = {"a": NumberField(skew=skew, missing=missing, clip=clip), "b": NumberField(), "c": NumberField(cycle=0.3)}
    rows = make_rows(a=np.array(values), b=np.arange(float(len(values))), c=np.array(values))
    fitted = fit_inputs(rows, fields)
    for some in (rows, make_rows(a=[NAN, 1.7e308, -1.7e308], b=[NAN, 1e300, 1.0], c=[NAN, 1.7e308, 5e-324])):
        assert np.isfinite(fitted.transform(some).table).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=40, unique=True), st.sampled_from(SKEWS))
@settings(max_examples=40, deadline=None)
def test_order_is_kept(values, skew):
    values = np.sort(np.array(values))
    moved = fit_shape(values, NumberField(skew=skew)).move(values)
    assert (np.diff(moved) >= 0).all()


@given(st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None)
def test_a_row_is_transformed_alike_whatever_stands_beside_it(seed, random):
    fitted = fit_inputs(skewed(seed), SHAPED)
    rows = skewed(seed + 1, n=37)
    together = fitted.transform(rows)
    for index in ([random.randrange(37)], random.sample(range(37), random.randint(2, 36))):
        np.testing.assert_array_equal(fitted.transform(rows.take(np.array(index))).table, together.table[index])


@given(st.integers(0, 1000))
@settings(max_examples=6, deadline=None)
def test_what_is_saved_transforms_to_the_same_bits(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("inputs")
    fitted = fit_inputs(skewed(seed), SHAPED)
    fitted.save(folder)
    loaded = FittedInputs.load(folder)
    before, after = fitted.transform(skewed(seed + 1)), loaded.transform(skewed(seed + 1))
    np.testing.assert_array_equal(before.table, after.table)
    assert (before.feature_names, before.arrows) == (after.feature_names, after.arrows)
    assert (loaded.numbers, loaded.cycles, loaded.feature_fields) == (fitted.numbers, fitted.cycles, fitted.feature_fields)


def test_poison_in_scored_rows_changes_no_other_row():
    rows, poisoned = skewed(0, n=80), skewed(0, n=80)
    poisoned.table.loc[70, list(SHAPED)] = [1e30, -1e30, np.nan, 1e9, -7e5, 33.0]
    train, test = np.arange(60), np.arange(60, 80)
    clean = fit_inputs(rows.take(train), SHAPED).transform(rows.take(test)).table
    after = fit_inputs(poisoned.take(train), SHAPED).transform(poisoned.take(test)).table
    others = np.arange(20) != 10
    np.testing.assert_array_equal(after[others], clean[others])
    assert (after[10] != clean[10]).any()


def test_many_values_are_thinned_before_the_power_is_sought():
    values = np.random.default_rng(0).lognormal(0, 1, 3 * MOST_VALUES)
    theirs = PowerTransformer("yeo-johnson").fit(values[:, None]).lambdas_[0]
    assert fit_shape(values, NumberField(skew="yeo_johnson")).power == pytest.approx(theirs, abs=0.02)


def test_defaults_are_left_as_they_are():
    values = np.random.default_rng(0).normal(size=50) * 1e3
    assert fit_shape(values, NumberField()).move(values) is values


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"clip": [5, 5]}, "fields.x.clip: must be [low, high], low below high, one of which may be null; got [5"),
        ({"clip": [None, None]}, "fields.x.clip: must be [low, high]"),
        ({"clip": [5]}, "fields.x.clip: must be a pair [a, b], each a number; got [5]"),
        ({"cycle": 0}, "fields.x.cycle: must be a number above 0"),
        ({"cycle": 24, "skew": "log1p"}, "fields.x.skew: must be left out beside `cycle`"),
        ({"cycle": 24, "missing": "mean"}, "fields.x.missing: must be left out beside `cycle`"),
        ({"skew": "log"}, "fields.x.skew: must be one of none, log1p, yeo_johnson, quantile; got 'log'"),
    ],
)
def test_shapes_that_cannot_be_are_refused(given_, told):
    with pytest.raises(ConfigError) as error:
        config_from_mapping({"fields": {"x": {"kind": "number", **given_}, "y": {"kind": "label", "target": True}}})
    assert any(told in one for one in error.value.mistakes), error.value.mistakes


def test_shapes_of_what_is_predicted_are_refused():
    with pytest.raises(ConfigError, match=r"fields.y.skew: must be left out of what is predicted"):
        config_from_mapping({"fields": {"x": {"kind": "number"}, "y": {"kind": "number", "target": True, "skew": "log1p"}}})
