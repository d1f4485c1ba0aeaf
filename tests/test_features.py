"""Numbers of pictures and series: what they say, that rows do not look at each other, that networks are cross-fitted."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from tamesu import Study
from tamesu.dataset import Dataset
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.features import FittedFeatures, check_features, distances, fit_features, pictures, series
from tamesu.features.measured import measured_names
from tamesu.fields import DepthField, ImageField, LabelField, MaskField, NumberField, SeriesField
from tamesu.fields.table import GroupField
from tamesu.inner import inner_splits
from tamesu.testing import ArrayPictures, toy_pictures, toy_recipe

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 20, 3), dtype=np.uint8)


def by_name(names, values):
    assert len(names) == len(values) == len(set(names))
    return dict(zip(names, np.asarray(values, dtype=float), strict=True))


def recipe_of(fields, size=(12, 12), learner="lightgbm", **features):
    return toy_recipe(fields, size, learner=learner, train={"epochs": 1}, features=features)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_colours_against_numpy(channels, dtype):
    full = np.iinfo(dtype).max if dtype != "float32" else 1
    seen = (RNG.uniform(size=(24, 20, channels)) * full).astype(dtype)
    found = by_name(pictures.colour_names(channels), pictures.colour_values(seen))
    shares = seen.astype(float) / full
    for i, name in enumerate(pictures.CHANNEL_NAMES.get(channels, tuple(f"channel{i + 1}" for i in range(channels)))):
        assert found[f"{name}_mean"] == pytest.approx(shares[..., i].mean(), abs=1e-5)
        assert found[f"{name}_spread"] == pytest.approx(shares[..., i].std(), abs=1e-5)
        for q in pictures.QUANTILES:
            expected = np.percentile(shares[..., i], q, method="closest_observation")
            assert found[f"{name}_quantile{q}"] == pytest.approx(expected, abs=0.02)


def test_hue_is_an_arrow_and_light_knows_where():
    blue_left = np.zeros((16, 16, 3), dtype=np.uint8)
    blue_left[:, :8, 2] = 255
    found = by_name(pictures.colour_names(3), pictures.colour_values(blue_left))
    assert found["saturation_mean"] == pytest.approx(0.5)
    assert (found["hue_cos"], found["hue_sin"]) == pytest.approx((0.5 * np.cos(np.deg2rad(240)), 0.5 * np.sin(np.deg2rad(240))))
    assert found["light_row1_column1"] > 0.1
    assert found["light_row1_column4"] == 0


def test_edges_run_where_they_do():
    bars = np.zeros((32, 32, 1), dtype=np.uint8)
    bars[:, 16:] = 255
    found = by_name(pictures.texture_names(), pictures.texture_values(bars))
    assert found["turn0_row2_column2"] > 0.1  # light grows to the right
    assert sum(found[f"turn{t}"] for t in (45, 68, 90, 112, 135)) == 0
    assert found["turn0_row1_column1"] == 0
    turned = by_name(pictures.texture_names(), pictures.texture_values(bars.swapaxes(0, 1)))
    assert turned["turn90_row2_column2"] > 0.1
    assert turned["gradient1_mean"] == pytest.approx(found["gradient1_mean"])
    assert found["gradient1_mean"] == pytest.approx(1 / 31)
    assert np.isnan(by_name(pictures.texture_names(), pictures.texture_values(bars[:8, :8]))["gradient4_mean"])


def test_patterns_against_their_definition():
    seen = RNG.integers(0, 256, (9, 11, 1), dtype=np.uint8)
    count = np.zeros(pictures.N_PATTERNS)
    around = [(np.sin(a), np.cos(a)) for a in np.arange(8) * np.pi / 4]
    for y in range(1, 8):
        for x in range(1, 10):
            bits = [int(seen[y - round(dy), x + round(dx), 0] >= seen[y, x, 0]) for dy, dx in around]
            changes = sum(bits[i] != bits[i - 1] for i in range(8))
            count[sum(bits) if changes <= 2 else 9] += 1
    found = by_name(pictures.texture_names(), pictures.texture_values(seen))
    assert [found[f"pattern{i}"] for i in range(9)] + [found["pattern_other"]] == pytest.approx(count / count.sum(), abs=1e-6)


def test_depth_counts_readings_alone():
    depth = np.full((16, 16, 1), 2.0, dtype=np.float32)
    depth[:, 8:] = 3.0
    depth[:4, :4] = 0  # no reading
    found = by_name(distances.metre_names(), distances.metre_values(depth))
    assert found["known_fraction"] == pytest.approx(1 - 16 / 256)
    assert (found["quantile5_m"], found["quantile95_m"]) == (2.0, 3.0)
    assert np.isnan(found["mean_m_row1_column1"])
    assert found["mean_m_row4_column4"] == pytest.approx(3.0)
    relief = by_name(distances.relief_names(), distances.relief_values(depth))
    n_pairs = 2 * 15 * 16 - (3 * 4 + 4) * 2  # pairs of which neither is in the hole
    assert relief["step_mean_m"] == pytest.approx(16 / n_pairs, rel=1e-5)
    nothing = distances.metre_values(np.zeros((6, 6, 1), dtype=np.float32))
    assert nothing[0] == 0
    assert np.isnan(nothing[1:]).all()
    assert np.isnan(distances.relief_values(np.zeros((6, 6, 1), dtype=np.float32))).all()


def test_masks_say_how_much_of_what_and_where():
    ids = np.zeros((8, 8, 1), dtype=np.uint8)
    ids[:4, :4], ids[6:, 6:] = 1, 2
    found = by_name(distances.id_names(("cat", "dog")), distances.id_values(ids, (1, 2), 0))
    assert (found["cat_fraction"], found["dog_fraction"]) == (0.25, 4 / 64)
    assert found["n_ids"] == 2
    assert found["centre_x"] == pytest.approx((16 * 0.25 + 4 * 7 / 8) / 20)
    edges = by_name(distances.edge_names(), distances.edge_values(ids, 0))
    assert edges["n_parts"] == 2
    empty = by_name(distances.id_names(()), distances.id_values(np.zeros((5, 5, 1), dtype=np.uint8), (), 0))
    assert empty["something_fraction"] == 0
    assert np.isnan(empty["centre_x"])


def test_a_line_has_its_slope_and_a_wave_its_pitch():
    times = np.cumsum(RNG.uniform(0.5, 1.5, 60))
    line = np.stack([3 * times + 2, np.full(60, np.nan)], axis=1)
    found = by_name(series.statistics_names(("a", "b")), series.statistics(line, times))
    assert found["a_slope"] == pytest.approx(3)
    assert found["a_change_mean"] == pytest.approx(3)
    assert found["a_change_spread"] == pytest.approx(0, abs=1e-6)
    assert (found["length"], found["b_known_fraction"]) == (60, 0)
    assert np.isnan(found["b_mean"])
    wave = np.sin(2 * np.pi * 0.2 * np.arange(200))[:, None]
    found = by_name(series.spectrum_names(("a",)), series.spectrum_energies(wave, np.arange(200.0)))
    assert found["a_pitch"] == pytest.approx(0.2, abs=0.002)
    shares = [found[f"a_band{i + 1}_fraction"] for i in range(series.N_BANDS)]
    assert sum(shares) == pytest.approx(1)
    assert shares[4] > 0.99  # 1/8 to 1/4 waves a step
    assert found["a_energy"] == pytest.approx(np.log(0.5), abs=0.01)
    for few in (np.zeros((0, 1)), np.zeros((1, 1)), np.full((5, 1), 7.0)):
        values = series.spectrum_energies(few, np.arange(float(len(few))))
        assert not np.isinf(values).any()
        assert len(series.statistics(few, np.arange(float(len(few))))) == len(series.statistics_names(("a",)))


def toy_rows(n: int = 30) -> Dataset:
    """Every kind that is measured; `share` is to be predicted."""
    data = toy_pictures(n, (14, 14), channels=3)
    rng = np.random.default_rng(1)
    depth = tuple(rng.integers(0, 4000, (14, 14, 1)).astype(np.uint16) for _ in range(n))
    masks = tuple((one[:, :, :1] > 60).astype(np.uint8) for one in data.pictures["picture"].arrays)
    table = data.table.assign(
        wave=[rng.normal(size=(int(rng.integers(0, 9)), 2)) for _ in range(n)], person=[f"p{i % 6}" for i in range(n)]
    )
    more = {"depth": ArrayPictures(depth), "mask": ArrayPictures(masks)}
    return replace(
        data,
        table=table,
        pictures={**data.pictures, **more},
        digests={**data.digests, **dict.fromkeys((*more, "wave", "person"), "toy")},
    )


FIELDS = {
    "picture": ImageField(),
    "depth": DepthField(),
    "mask": MaskField(input=True, names={1: "bright"}),
    "wave": SeriesField(names=("x", "y"), may_miss=True),
    "share": NumberField(target=True),
}


def test_a_row_is_measured_alike_alone_and_among_others(tmp_path):
    data, recipe = toy_rows(), recipe_of(FIELDS)
    fitted = fit_features(data.take(slice(0, 20)), recipe, 0, "cpu")
    assert len(fitted.names) == len(fitted.fields) == len(set(fitted.names)) == fitted.train_values.shape[1]
    assert {
        "picture.colour.red_mean",
        "depth.metres.known_fraction",
        "mask.ids.bright_fraction",
        "wave.statistics.x_mean",
    } < set(fitted.names)
    assert set(fitted.fields) == {"picture", "depth", "mask", "wave"}
    together = fitted.transform(data)
    np.testing.assert_array_equal(together[:20], fitted.train_values)
    alone = np.concatenate([fitted.transform(data.take([i])) for i in range(len(data))])
    np.testing.assert_array_equal(together, alone)
    assert fitted.transform(data.take([])).shape == (0, len(fitted.names))
    assert not np.isinf(together).any()
    fitted.save(tmp_path / "features")
    loaded = FittedFeatures.load(tmp_path / "features")
    assert (loaded.names, loaded.fields) == (fitted.names, fitted.fields)
    np.testing.assert_array_equal(together, loaded.transform(data))


def test_what_is_not_asked_for_is_not_measured():
    data = toy_rows(4)
    fitted = fit_features(data, recipe_of(FIELDS, pictures=("size",), series=()), 0, "cpu")
    assert fitted.names[:4] == ("depth.size.height", "depth.size.width", "depth.size.area", "depth.size.aspect")
    assert fitted.train_values[0].tolist() == [14, 14, 196, 1] * 3


def test_pictures_are_measured_once_in_a_process(tmp_path):
    """Their files may then be gone."""
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"{i}.png"), RNG.integers(0, 256, (10 + i, 12, 3), dtype=np.uint8))
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(12)], "y": ["a", "b"] * 6})
    study = Study(
        train=table,
        data={"root": str(tmp_path)},
        fields={"file": "image", "y": {"kind": "label", "target": True}},
        learner="lightgbm",
        folds={"n_splits": 2},
        runs=tmp_path / "runs",
    )
    plan = study.check()
    some = plan.rows.take([7, 2, 5])
    first = fit_features(some, plan.baseline.recipe, 0, "cpu").transform(plan.rows)
    in_memory = ArrayPictures(tuple(plan.rows.pictures["file"].original(i) for i in range(12)))
    by_hand = fit_features(replace(plan.rows, pictures={"file": in_memory}), plan.baseline.recipe, 0, "cpu").train_values
    np.testing.assert_allclose(first, by_hand, atol=1e-6)
    for file in tmp_path.glob("*.png"):
        file.unlink()
    again = fit_features(plan.rows.take(slice(4, 12)), plan.baseline.recipe, 1, "cpu").transform(plan.rows)
    np.testing.assert_array_equal(first, again)
    names = [name for name, _ in measured_names(plan.baseline.recipe.inputs, {"file": 3}, plan.baseline.recipe)]
    assert first[:, names.index("file.size.height")].tolist() == [10.0 + i for i in range(12)]


GROUPED = {"picture": ImageField(), "person": GroupField(), "share": NumberField(target=True)}


def test_inner_folds_keep_groups_whole_and_classes_even():
    data = toy_rows(36)
    for split in inner_splits(data, recipe_of(GROUPED), 3):
        people = data.table["person"]
        assert set(people[split.train]).isdisjoint(people[split.test])
    by_class = recipe_of({"picture": ImageField(), "side": LabelField(target=True)})
    counts = [np.mean(data.table["side"][split.test] == "left") for split in inner_splits(data, by_class, 0)]
    assert np.ptp(counts) < 0.2
    assert inner_splits(data.take([0]), by_class, 0) == []


def test_no_network_predicts_a_row_it_was_trained_on():
    """Poison: other targets for a whole group leave the numbers of that group as they are, and move those of others."""
    data, recipe = toy_rows(24), recipe_of(GROUPED, network="trained", pictures=())
    honest = fit_features(data, recipe, 5, "cpu")
    assert honest.names == ("network.share",)
    assert honest.fields == ("network",)
    ours = (data.table["person"] == "p2").to_numpy()
    poisoned = replace(data, table=data.table.assign(share=np.where(ours, 5 - data.table["share"], data.table["share"])))
    moved = fit_features(poisoned, recipe, 5, "cpu")
    np.testing.assert_array_equal(honest.train_values[ours], moved.train_values[ours])
    assert (honest.train_values[~ours] != moved.train_values[~ours]).any()
    assert np.abs(honest.transform(data) - honest.train_values).max() > 1e-3  # the mean of networks that did see them


def test_outputs_of_a_class_and_back(tmp_path):
    data = toy_rows(24)
    recipe = recipe_of({"picture": ImageField(), "side": LabelField(target=True)}, network="trained", pictures=("size",))
    fitted = fit_features(data, recipe, 5, "cpu")
    assert fitted.names[-2:] == ("network.side.left", "network.side.right")
    assert np.exp(fitted.train_values[:, -2:]).sum(axis=1) == pytest.approx(np.ones(24), abs=1e-4)
    fitted.save(tmp_path / "f")
    unseen = data.without(["side"])
    np.testing.assert_allclose(fitted.transform(unseen), FittedFeatures.load(tmp_path / "f").transform(unseen), atol=1e-5)
    single = fit_features(data.take([0]), recipe, 5, "cpu")
    assert np.isnan(single.train_values[:, -2:]).all()
    assert np.isfinite(single.transform(unseen)[:, -2:]).all()


def test_an_embedding_is_what_the_backbone_makes(tmp_path):
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    name = "test_resnet"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = timm.create_model(name, pretrained=False, num_classes=0).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    data = toy_rows(20)
    recipe = toy_recipe(
        {"picture": ImageField(), "side": LabelField(target=True)},
        (32, 32),
        learner="lightgbm",
        model={"backbone": f"timm:{name}", "weights": str(tmp_path / "weights.pth"), "width": 32, "hidden": 64},
        features={"network": "pretrained", "pictures": ()},
    )
    assert check_features(recipe, data) == []
    fitted = fit_features(data.take(slice(0, 14)), recipe, 0, "cpu")
    assert set(fitted.fields) == {"picture"}
    seen = np.stack([cv2.resize(one, (32, 32)) for one in data.pictures["picture"].arrays]).astype(np.float32)
    mean, std = seen[:14].mean(axis=(0, 1, 2)), seen[:14].std(axis=(0, 1, 2))
    with torch.inference_mode():
        by_hand = network(torch.from_numpy((seen - mean) / std).permute(0, 3, 1, 2)).numpy()
    found = fitted.transform(data.without(["side"]))
    assert found == pytest.approx(by_hand, rel=0.02, abs=0.02)  # pictures are enlarged by another interpolation rule
    poisoned = replace(data, table=data.table.assign(side=data.table["side"].to_numpy()[::-1]))
    np.testing.assert_array_equal(fit_features(poisoned.take(slice(0, 14)), recipe, 0, "cpu").train_values, fitted.train_values)
    fitted.save(tmp_path / "f")
    np.testing.assert_array_equal(FittedFeatures.load(tmp_path / "f").transform(data), found)
    assert fitted.transform(data.take([])).shape == (0, len(fitted.names))


def test_what_networks_cannot_make():
    data = toy_rows(12)
    said = check_features(recipe_of({"wave": FIELDS["wave"], "share": FIELDS["share"]}, network="pretrained"), data)
    assert said == ["features.network: must be none or trained where no input is a picture; got 'pretrained'."]
    said = check_features(recipe_of(FIELDS, network="pretrained"), data)
    assert "must have model.backbone: timm:<name>" in said[0]
    assert check_features(recipe_of(FIELDS, network="trained"), data) == []
    said = check_features(recipe_of({"picture": ImageField(), "share": FIELDS["share"]}, pictures=()), data)
    assert said == ["features: must say what is measured of pictures or series where there is no other input; got nothing."]


def test_settings_of_features_that_are_told_before_the_data():
    fields = {"x": "number", "y": {"kind": "label", "target": True}}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping({"fields": fields, "learner": "lightgbm", "features": {"pictures": ["size"], "series": []}})
    assert caught.value.mistakes == [
        "Study features.pictures: must be left out where no input is a picture; got ['size'].",
        "Study features.series: must be left out where no input is of kind series; got [].",
    ]
    study = {"fields": fields | {"p": "image"}, "learner": "lightgbm", "model": {"activation": "rely"}}
    with pytest.raises(ConfigError, match="Did you mean 'relu'"):
        config_from_mapping(study | {"features": {"network": "trained"}})
