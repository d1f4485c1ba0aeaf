"""Pictures varied: each step does what its setting says, for every type of pixel, and for each row by itself."""

from __future__ import annotations

import inspect
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from tamesu.augment import check_functions, light, sensor, vary
from tamesu.config import AugmentConfig
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.errors import ConfigError
from tamesu.fields import DepthField, ImageField, MaskField
from tamesu.testing import check_augmentation, disturb_random_states

IMAGE, MASK, DEPTH = ImageField(), MaskField(), DepthField()
RANGES = {"uint8": (0, 255), "uint16": (0, 65535), "float32": (-1.0, 3.0)}
SETTINGS = {
    "brightness": 0.3,
    "contrast": 0.5,
    "gamma": 0.5,
    "saturation": 0.8,
    "hue_deg": 90,
    "blur": 2.0,
    "noise": 0.1,
    "shot_noise": 0.1,
    "row_noise": 0.1,
    "jpeg": 60,
    "shadow": 1.0,
    "erase": 1.0,
    "dropout": 0.3,
}
EVERYTHING = AugmentConfig(**SETTINGS)


def make_pictures(n=6, size=(20, 26), channels=3, dtype="uint8", seed=0):
    """Smooth pictures with some texture, over most of the range.  (n, h, w, c)"""
    rng = np.random.default_rng(seed)
    low, high = RANGES[dtype]
    coarse = rng.uniform(0.1, 0.9, (n, 5, 5, channels)).astype(np.float32)
    many = np.stack([cv2.resize(one, size[::-1]).reshape(*size, channels) for one in coarse])
    values = low + (high - low) * np.clip(many + rng.normal(0, 0.03, many.shape), 0, 1)
    values = values if dtype == "float32" else np.rint(values)
    return values.astype(dtype)


def draws_of(n, epoch=0):
    return make_draws(row_keys(range(n)), 1, epoch)


def varied(pictures, config=None, *, field=IMAGE, draws=None, strength=None, **amounts):
    config = config or AugmentConfig(**amounts)
    low, high = RANGES[pictures.dtype.name]
    return vary(pictures, field, config, draws or draws_of(len(pictures)), low, high, strength)


@pytest.mark.parametrize("dtype", RANGES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_every_augmentation_keeps_the_contract(dtype, channels):
    pictures = make_pictures(4, channels=channels, dtype=dtype)
    for name, amount in SETTINGS.items():
        config = AugmentConfig(**{name: amount})
        check_augmentation(lambda p, d, c=config: vary(p, IMAGE, c, d, *RANGES[dtype]), pictures, *RANGES[dtype])
    check_augmentation(lambda p, d: vary(p, IMAGE, EVERYTHING, d, *RANGES[dtype]), pictures, *RANGES[dtype])


@pytest.mark.parametrize("field", [IMAGE, MASK, DEPTH])
def test_nothing_asked_for_gives_the_same_object(field):
    pictures = make_pictures(dtype="float32", channels=1)
    assert varied(pictures, field=field) is pictures
    assert varied(pictures, field=field, saturation=0.5, hue_deg=30, contrast=[1, 1]) is pictures  # grey: no colours to change
    assert varied(pictures, field=field, blur={"range": 2, "chance": 0}) is pictures


def test_masks_are_never_touched():
    ids = np.random.default_rng(0).integers(0, 5, (3, 9, 9, 1)).astype(np.uint8)
    assert varied(ids, EVERYTHING.model_copy(update={"holes": 0.5, "depth_step": 1.0}), field=MASK) is ids


def test_pictures_are_not_touched_by_depths_settings():
    pictures = make_pictures()
    assert varied(pictures, holes=0.5, depth_step=0.1) is pictures
    depths = make_depths()
    assert varied(depths, EVERYTHING, field=DEPTH) is depths


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_changes_every_type(name):
    for dtype in RANGES:
        pictures = make_pictures(dtype=dtype)
        assert not np.array_equal(varied(pictures, **{name: SETTINGS[name]}), pictures)


def test_alpha_stays():
    pictures = make_pictures(channels=4)
    out = varied(pictures, EVERYTHING)
    assert np.array_equal(out[..., 3], pictures[..., 3])
    assert np.array_equal(out[..., :3], varied(np.ascontiguousarray(pictures[..., :3]), EVERYTHING))


def test_views_are_varied_like_arrays():
    pictures = make_pictures(5)
    mirrored = pictures[:, :, ::-1]
    mirrored.flags.writeable = False
    assert np.array_equal(varied(mirrored, EVERYTHING), varied(np.ascontiguousarray(mirrored), EVERYTHING))


def test_strength_multiplies_deviations_and_chances():
    pictures = make_pictures(8)
    assert np.array_equal(varied(pictures, EVERYTHING, strength=np.ones(8)), varied(pictures, EVERYTHING))
    none = AugmentConfig(**{name: amount for name, amount in SETTINGS.items() if name != "jpeg"})
    assert np.array_equal(varied(pictures, none, strength=np.zeros(8)), pictures)
    flat = np.full((200, 4, 4, 1), 0.0, dtype=np.float32)
    strong = varied(flat, brightness=0.1, strength=np.full(200, 2.0))
    assert np.allclose(strong, 2 * varied(flat, brightness=0.1), atol=1e-5)


def test_two_pictures_of_a_row_share_their_light_and_not_their_noise():
    pictures, draws = make_pictures(), draws_of(6)

    def of(name, **amounts):
        return vary(pictures, IMAGE, AugmentConfig(**amounts), draws, 0, 255, None, name)

    assert np.array_equal(of("left", brightness=0.3, hue_deg=20), of("right", brightness=0.3, hue_deg=20))
    assert not np.array_equal(of("left", noise=[0.1, 0.1]), of("right", noise=[0.1, 0.1]))


# light


@pytest.mark.parametrize("dtype", RANGES)
def test_brightness_adds_a_share_of_the_range(dtype):
    low, high = RANGES[dtype]
    pictures = make_pictures(dtype=dtype)
    out = varied(pictures, brightness=[0.21, 0.21]).astype(np.float64)
    wanted = np.clip(pictures.astype(np.float64) + 0.21 * (high - low), low, high)
    assert np.abs(out - wanted).max() <= (0.51 if dtype != "float32" else 1e-5)


@pytest.mark.parametrize("dtype", RANGES)
def test_contrast_keeps_the_mean(dtype):
    low, high = RANGES[dtype]
    middle = make_pictures(dtype=dtype) // 2 + (high + low) // 4 if dtype != "float32" else make_pictures(dtype=dtype)
    middle = middle.astype(dtype)
    for factor in (0.0, 0.5, 1.2):
        out = varied(middle, contrast=[factor, factor]).astype(np.float64)
        assert np.allclose(out.mean(axis=(1, 2, 3)), middle.mean(axis=(1, 2, 3)), atol=0.01 * (high - low))
        assert np.allclose(out.std(axis=(1, 2, 3)), factor * middle.std(axis=(1, 2, 3)), atol=0.02 * (high - low))


def test_the_same_amounts_are_drawn_as_before():
    """The names of the draws: a study's brightness and contrast do not change with the version."""
    pictures, draws = make_pictures(dtype="float32", n=4), draws_of(4)
    shift, factor = draws.uniform("brightness", -0.05, 0.05) * 4, draws.uniform("contrast", 0.9, 1.1)
    middle = pictures.mean(axis=(1, 2, 3), keepdims=True)
    wanted = middle + (pictures - middle) * factor[:, None, None, None] + shift[:, None, None, None]
    assert np.allclose(varied(pictures, brightness=0.05, contrast=0.1, draws=draws), np.clip(wanted, -1, 3), atol=1e-5)


@pytest.mark.parametrize("dtype", RANGES)
def test_grey_stays_grey(dtype):
    grey = np.repeat(make_pictures(channels=1, dtype=dtype), 3, axis=3)
    gamma = 0 if dtype == "uint8" else 0.4  # it would multiply the level that rounding may be off
    out = varied(grey, saturation=0.9, hue_deg=180, brightness=0.1, gamma=gamma).astype(np.float64)
    low, high = RANGES[dtype]
    assert np.ptp(out, axis=3).max() <= (1 if dtype != "float32" else 1e-4 * (high - low))


def test_a_full_turn_of_hue_changes_nothing_and_a_third_exchanges_channels():
    pictures = make_pictures()
    assert np.abs(varied(pictures, hue_deg=[360, 360]).astype(int) - pictures).max() <= 1
    red_to_green = varied(pictures, hue_deg=[120, 120])
    assert np.abs(red_to_green.astype(int) - pictures[..., [2, 0, 1]]).max() <= 1


def test_no_saturation_is_grey():
    out = varied(make_pictures(), saturation=[0, 0]).astype(int)
    assert np.ptp(out, axis=3).max() <= 1


def test_saturation_and_hue_agree_with_torchvision():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    pictures = make_pictures()
    planes = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy())
    for factor in (0.0, 0.4, 1.5):
        wanted = functional.adjust_saturation(planes, factor).numpy().transpose(0, 2, 3, 1)
        assert np.abs(varied(pictures, saturation=[factor, factor]).astype(int) - wanted).max() <= 2
    turned = functional.adjust_hue(planes, 1 / 3).numpy().transpose(0, 2, 3, 1)  # where both are defined alike
    assert np.abs(varied(pictures, hue_deg=[120, 120]).astype(int) - turned).max() <= 3


def test_gamma_agrees_with_torchvision_and_keeps_the_order():
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for gamma in (0.3, 1.7):
        out = varied(ramp, gamma=[gamma, gamma])
        assert (np.diff(out.ravel().astype(int)) >= 0).all()
        assert (out.ravel()[0], out.ravel()[-1]) == (0, 255)
        wanted = functional.adjust_gamma(torch.from_numpy(ramp[:, :, :, 0]), gamma).numpy()
        assert np.abs(out[..., 0].astype(int) - wanted).max() <= 1


@settings(max_examples=25, deadline=None)
@given(
    brightness=st.floats(-0.5, 0.5),
    contrast=st.floats(0, 2),
    gamma=st.floats(0.3, 3),
    seed=st.integers(0, 99),
)
def test_tables_agree_with_arithmetic(brightness, contrast, gamma, seed):
    pictures = make_pictures(2, channels=3, seed=seed)
    config = AugmentConfig(brightness=(brightness, brightness), contrast=(contrast, contrast), gamma=(gamma, gamma))
    quick = varied(pictures, config)
    exact = vary(pictures.astype(np.float32), IMAGE, config, draws_of(2), 0, 255)
    assert np.abs(quick - exact).max() <= 0.51


@settings(max_examples=25, deadline=None)
@given(brightness=st.floats(-0.3, 0.3), saturation=st.floats(0, 2), hue=st.floats(-180, 180), seed=st.integers(0, 99))
def test_colour_matrices_agree_with_arithmetic(brightness, saturation, hue, seed):
    pictures = make_pictures(2, seed=seed)
    config = AugmentConfig(brightness=(brightness, brightness), saturation=(saturation, saturation), hue_deg=(hue, hue))
    quick = varied(pictures, config)
    exact = vary(pictures.astype(np.float32), IMAGE, config, draws_of(2), 0, 255)
    assert np.abs(quick - exact).max() <= 1.51  # OpenCV multiplies bytes with coefficients of 10 bits


def test_whole_numbers_are_rounded_not_cut():
    pictures = make_pictures(dtype="uint16")
    config = AugmentConfig(gamma=(0.6, 0.6))
    exact = vary(pictures.astype(np.float32), IMAGE, config, draws_of(6), 0, 65535)
    assert np.abs(varied(pictures, config) - exact.astype(np.float64)).max() <= 0.51


def test_both_ways_to_look_up_give_the_same_bytes(monkeypatch):
    pictures = make_pictures()
    first = varied(pictures, gamma=0.5, brightness=0.3, contrast=0.3)
    monkeypatch.setattr(light, "TRANSLATE", None)
    assert np.array_equal(first, varied(pictures, gamma=0.5, brightness=0.3, contrast=0.3))


# lens, sensor, file


@pytest.mark.parametrize("dtype", RANGES)
def test_blur_is_gaussian(dtype):
    low, high = RANGES[dtype]
    pictures = np.random.default_rng(0).uniform(low, high, (2, 40, 50, 3)).astype(dtype)
    for sigma in (0.5, 1.0, 2.5):
        out = varied(pictures, blur=[sigma, sigma]).astype(np.float64)
        exact = ndimage.gaussian_filter(pictures.astype(np.float64), (0, sigma, sigma, 0), mode="mirror", truncate=6)
        assert np.abs(out - exact).max() < 0.02 * (high - low)
        assert np.abs(out - exact).mean() < 0.004 * (high - low)


def normal_noise(dtype, name="noise", amount=0.05, level=0.5, n=8, size=(64, 64), channels=3):
    """What is added to a flat picture, in its own units.  (n, h, w, c)"""
    low, high = RANGES[dtype]
    flat = np.full((n, *size, channels), low + level * (high - low)).astype(dtype)
    out = varied(flat, **{name: [amount, amount]})
    return (out.astype(np.float64) - flat) / (high - low)


@pytest.mark.parametrize("dtype", RANGES)
def test_noise_is_normal_with_the_deviation_asked_for(dtype):
    values = normal_noise(dtype)
    assert abs(values.mean()) < 0.002
    assert values.std() == pytest.approx(0.05, rel=0.02)
    assert values.reshape(8, -1).std(axis=1) == pytest.approx(0.05, rel=0.03)
    assert abs(stats.skew(values.ravel())) < 0.05
    assert abs(stats.kurtosis(values.ravel())) < 0.1
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, values.size) / 255 if dtype == "uint8" else 0  # undoes the rounding
    spread = np.sqrt(0.05**2 + (1 / 255**2 / 6 if dtype == "uint8" else 0))
    assert stats.kstest((values.ravel() + jitter) / spread, "norm").statistic < 0.01


@pytest.mark.parametrize("dtype", RANGES)
def test_noise_is_independent_between_pixels_channels_and_pictures(dtype):
    values = normal_noise(dtype, n=6) / 0.05
    limit = 4.5 / np.sqrt(64 * 64)
    for apart in (1, 2, 7):
        assert abs((values[:, :, apart:] * values[:, :, :-apart]).mean()) < limit
        assert abs((values[:, apart:] * values[:, :-apart]).mean()) < limit
    assert abs((values[..., 0] * values[..., 1]).mean()) < limit
    flat = values.reshape(6, -1)
    between = np.corrcoef(flat)[~np.eye(6, dtype=bool)]
    assert np.abs(between).max() < 4.5 / np.sqrt(flat.shape[1])


@pytest.mark.parametrize("dtype", RANGES)
@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
def test_shot_noise_falls_with_the_root_of_the_light(dtype, level):
    values = normal_noise(dtype, "shot_noise", 0.05, level)
    assert values.std() == pytest.approx(0.05 * np.sqrt(level), rel=0.03)
    assert abs(values.mean()) < 0.002


@pytest.mark.parametrize("dtype", RANGES)
def test_row_noise_is_the_same_along_a_row(dtype):
    values = normal_noise(dtype, "row_noise", 0.05)
    assert np.ptp(values, axis=(2, 3)).max() < 1e-6
    rows = values[:, :, 0, 0]
    assert rows.std() == pytest.approx(0.05, rel=0.12)
    assert abs((rows[:, 1:] * rows[:, :-1]).mean()) < 0.3 * 0.05**2


def test_pictures_larger_than_a_stretch_of_the_bank(monkeypatch):
    monkeypatch.setattr(sensor, "N_STRETCH", 1000)
    values = normal_noise("uint8", n=3, size=(40, 50))
    assert values.std() == pytest.approx(0.05, rel=0.03)


def test_noise_makes_no_picture_darker_or_brighter_at_its_ends():
    black = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    assert varied(black, noise=[0.1, 0.1]).max() < 120  # cut at 4 deviations, and nothing wraps around
    assert varied(black + np.uint8(255), noise=[0.1, 0.1]).min() > 130


def test_jpeg_is_what_opencv_writes():
    picture = make_pictures(1, size=(32, 48))
    out = varied(picture, jpeg=[40, 40])
    _, file = cv2.imencode(".jpg", picture[0, :, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert np.array_equal(out[0], cv2.imdecode(file, cv2.IMREAD_COLOR)[:, :, ::-1])


# patches


@pytest.mark.parametrize("dtype", RANGES)
def test_shadows_only_darken_and_are_soft(dtype):
    low, high = RANGES[dtype]
    white = np.full((20, 48, 64, 3), high, dtype=dtype)
    out = (varied(white, shadow=1.0).astype(np.float64) - low) / (high - low)
    assert out.max() <= 1
    assert 0.28 <= out.min() <= 0.4
    dark = (out < 0.999).mean(axis=(1, 2, 3))
    assert (dark > 0.05).mean() > 0.8
    steps = np.abs(np.diff(out, axis=2)).max()
    assert 0.02 < steps < 0.5


def test_shadows_come_as_often_as_asked():
    white = np.full((400, 6, 6, 1), 255, dtype=np.uint8)
    out = varied(white, shadow=0.3)
    assert (out.min(axis=(1, 2, 3)) < 255).mean() == pytest.approx(0.3, abs=0.08)


def test_erased_rectangles_have_the_area_asked_for():
    black = np.zeros((300, 40, 40, 1), dtype=np.uint8)
    out = varied(black, erase=0.5)
    area = (out == 127).mean(axis=(1, 2, 3))
    assert (area > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert 0.01 < area[area > 0].min() < area.max() < 0.28


def test_as_many_squares_are_dropped_as_asked():
    for size in ((40, 40), (24, 64), (3, 5)):
        black = np.zeros((300, *size, 3), dtype=np.float32)
        out = vary(black, IMAGE, AugmentConfig(dropout=0.2), draws_of(300), 0, 1)
        assert (out == 0.5).mean() == pytest.approx(0.2, abs=0.03)
    assert (varied(np.zeros((2, 9, 9, 1), dtype=np.uint8), dropout=1.0) == 127).all()


# depth


def make_depths(n=6, size=(48, 64)):
    """A slanted wall with a box before it and some pixels without a reading, metres.  (n, h, w, 1)"""
    y, x = np.mgrid[: size[0], : size[1]]
    wall = (2 + 0.01 * x + 0.005 * y).astype(np.float32)
    wall[12:30, 20:40] = 1.0
    wall[:4, :6] = 0
    return np.repeat(wall[None, :, :, None], n, axis=0)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.6])
def test_as_many_readings_are_lost_as_asked(share):
    depths = make_depths(200)
    out = varied(depths, field=DEPTH, holes=share)
    had, has = depths > 0, out > 0
    assert (has <= had).all()
    assert np.array_equal(out[has], depths[has])
    lost = 1 - has.sum(axis=(1, 2, 3)) / had.sum(axis=(1, 2, 3))
    assert lost.mean() == pytest.approx(share, rel=0.12)
    assert lost.std() > 0.2 * min(share, 1 - share)


def test_holes_gather_at_edges_and_hang_together():
    depths = make_depths(200)
    out = varied(depths, field=DEPTH, holes=0.1)
    lost = (depths > 0) & (out == 0)
    edge = np.zeros(depths.shape[1:3], dtype=bool)
    edge[10:32, 18:42] = True
    edge[14:28, 22:38] = False
    assert lost[:, edge].mean() > 2 * lost[:, ~edge].mean()
    beside = lost[:, 1:][lost[:, :-1]].mean()
    assert beside > 0.5  # a lost pixel's neighbour is mostly lost too: blobs, not dots


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (300, 220)])
def test_holes_in_any_size(size):
    depths = np.ones((30, *size, 1), dtype=np.float32)
    lost = varied(depths, field=DEPTH, holes=0.2) == 0
    assert lost.mean() == pytest.approx(0.2, abs=0.2 if size == (1, 1) else 0.05)
    assert (varied(depths, field=DEPTH, holes=1.0) == 0).all()
    assert not varied(np.zeros_like(depths), field=DEPTH, holes=0.5).any()


def test_distances_come_in_steps_and_nothing_becomes_a_hole():
    depths = make_depths()
    depths[0, 40, 40] = 0.01
    out = varied(depths, field=DEPTH, depth_step=0.05)
    assert out.dtype == np.float32
    assert np.allclose(out / 0.05, np.rint(out / 0.05), atol=1e-3)
    assert np.array_equal(out == 0, depths == 0)
    assert np.abs(out - depths).max() <= 0.0401


# functions of one's own and of libraries


def halved(picture, rng):
    return picture // 2


def sprinkled(picture, rng, amount=3):
    picture[rng.integers(0, picture.shape[0], amount), 0] = 255  # its own copy: changing it is fine
    return picture


def cropped(picture, rng):
    return picture[1:]


def failing(picture, rng):
    raise ValueError("no such colour")


class Lifted:
    def __init__(self, by=1):
        self.by = by

    def __call__(self, picture, rng):
        return np.minimum(picture.astype(int) + self.by, 255).astype(picture.dtype)


OWN = SimpleNamespace(halved=halved, sprinkled=sprinkled, cropped=cropped, failing=failing, Lifted=Lifted, number=3)


@pytest.fixture(autouse=True)
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_steps", OWN)
    from tamesu.augment import outside

    monkeypatch.setattr(outside, "_found", {})


def with_functions(*functions):
    return AugmentConfig(functions=functions)


def test_functions_of_ones_own_are_called_in_order():
    pictures = make_pictures()
    assert np.array_equal(varied(pictures, with_functions("own_steps:halved")), pictures // 2)
    both = varied(pictures, with_functions("own_steps:halved", {"name": "own_steps:Lifted", "by": 7}))
    assert np.array_equal(both, pictures // 2 + 7)


def test_functions_come_as_often_as_asked():
    pictures = np.full((400, 4, 4, 1), 200, dtype=np.uint8)
    out = varied(pictures, with_functions({"name": "own_steps:halved", "p": 0.25}))
    assert (out[:, 0, 0, 0] == 100).mean() == pytest.approx(0.25, abs=0.08)


FUNCTIONS = [
    {"name": "own_steps:sprinkled", "amount": 5},
    {"name": "albumentations:GaussianBlur", "p": 0.8, "blur_limit": [3, 5]},
    {"name": "albumentations:RandomToneCurve", "p": 1.0},
    {"name": "albumentations:ISONoise", "p": 1.0},
    {"name": "albumentations:GaussNoise", "p": 1.0},
    {"name": "torchvision.transforms.v2:ColorJitter", "brightness": 0.4, "hue": 0.1},
    {"name": "torchvision.transforms.v2:GaussianNoise", "p": 0.7},
    {"name": "torchvision.transforms.v2:RandomSolarize", "threshold": 128, "p": 0.5},
    {"name": "torchvision.transforms.v2:RandomPhotometricDistort"},
    {"name": "torchvision.transforms.v2:RandomErasing", "value": "random"},
    {"name": "torchvision.transforms.v2:JPEG", "quality": [20, 60]},
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one["name"].split(":")[1])
def test_a_row_is_the_same_whatever_batch_thread_and_random_state(function):
    need_library(function["name"])
    assert check_functions([function]) == []
    config, pictures, draws = with_functions(function), make_pictures(16), draws_of(16)
    whole = varied(pictures, config, draws=draws)
    assert not np.array_equal(whole, pictures)
    disturb_random_states()
    barrier = threading.Barrier(4)

    def part(k):
        barrier.wait(timeout=20)
        return varied(pictures[k::4], config, draws=Draws(draws.keys[k::4]))

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(part, range(4)))
    for k in range(4):
        assert np.array_equal(whole[k::4], parts[k])


def test_each_thread_has_its_own_transform():
    """They keep the numbers they drew in themselves while they run."""
    need_library("albumentations")
    from tamesu.augment import outside

    found = outside.find({"name": "albumentations:GaussianBlur"})
    mine = outside._instance(found)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(outside._instance, found).result()
    assert mine is not other
    assert mine is outside._instance(found)


def test_torchvision_leaves_the_global_generator_alone():
    torch = pytest.importorskip("torch")
    need_library("torchvision")
    before = torch.random.get_rng_state()
    varied(make_pictures(), with_functions("torchvision.transforms.v2:GaussianNoise"))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("name", ["albumentations:GaussianBlur", "torchvision.transforms.v2:GaussianBlur"])
def test_libraries_see_other_types_from_zero_to_one(dtype, name):
    need_library(name)
    settings = {"blur_limit": [5, 5]} if name.startswith("alb") else {"kernel_size": 5}
    pictures = make_pictures(2, channels=1, dtype=dtype)
    out = varied(pictures, with_functions({"name": name, "p": 1.0, **settings}))
    low, high = RANGES[dtype]
    change = np.abs(out.astype(np.float64) - pictures).mean() / (high - low)
    assert 0.003 < change < 0.1


def test_transforms_made_in_ones_own_module():
    need_library("albumentations")
    import albumentations

    OWN.inverted = albumentations.InvertImg(p=1.0)
    pictures = make_pictures()
    assert np.array_equal(varied(pictures, with_functions("own_steps:inverted")), 255 - pictures)


REFUSED = {
    "own_steps:nothing": "own_steps must have 'nothing'; it has none.",
    "own_steps:number": "must be a function",
    "own_step:halved": "Put own_step.py beside the study",
    "halved": "my_module:my_function",
    "albumentations:HorizontalFlip": "must leave every pixel where it is",
    "albumentations:Compose": "one transform, not several",
    "albumentations:ToGrey": "Did you mean 'ToGray'?",
    "albumentations:Normalize": "must return a picture of the shape and type it was given",
    "torchvision.transforms.v2:RandomHorizontalFlip": "must leave every pixel where it is",
    "torchvision.transforms.v2:RandAugment": "must leave every pixel where it is",
    "torchvision.transforms.v2:Compose": "one transform, not several",
    "torchvision.transforms:ColorJitter": "must be a transform of torchvision.transforms.v2",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_applied_is_refused_with_the_way_out(name):
    need_library(name)
    (mistake,) = check_functions([name])
    assert mistake.startswith("augment.functions[0]: ")
    assert REFUSED[name] in mistake
    with pytest.raises(ConfigError):
        varied(make_pictures(), with_functions(name))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ({"name": "own_steps:sprinkled", "amonut": 3}, "its settings; got"),
        ({"name": "own_steps:Lifted", "bye": 3}, "Did you mean 'by'?"),
        ({"name": "own_steps:halved", "p": 3}, "must be a number from 0 to 1; got 3"),
        ({"name": "albumentations:GaussianBlur", "blur_limits": 3}, "Did you mean 'blur_limit'?"),
        ({"name": "albumentations:GaussNoise", "std_range": [3, 5]}, "must accept its settings"),
        ({"name": "torchvision.transforms.v2:ColorJitter", "hue": 3}, "must accept its settings"),
    ],
)
def test_wrong_settings_are_told(function, said):
    need_library(function["name"])
    (mistake,) = check_functions([function])
    assert said in mistake


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    (mistake,) = check_functions(["albumentations:GaussianBlur"])
    assert "Run: pip install 'albumentations==2.0.8'" in mistake


def test_what_goes_wrong_in_a_function_names_it():
    with pytest.raises(ValueError, match="no such colour") as caught:
        varied(make_pictures(), with_functions("own_steps:failing"))
    assert "own_steps:failing" in caught.value.__notes__[0]
    with pytest.raises(ConfigError, match=r"own_steps:cropped must return .* \(20, 26, 3\) uint8; got \(19, 26, 3\) uint8"):
        varied(make_pictures(), with_functions("own_steps:cropped"))


def test_every_photometric_transform_of_torchvision_exists():
    transforms = pytest.importorskip("torchvision.transforms.v2")
    from tamesu.augment.outside import PHOTOMETRIC

    assert all(inspect.isclass(getattr(transforms, name)) for name in PHOTOMETRIC)


def need_library(name):
    package = name.partition(":")[0].partition(".")[0]
    if package in ("albumentations", "torchvision"):
        pytest.importorskip(package)
