"""Targets that live in the picture are learned and come back in original pixels; several views agree on what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from tamesu.batches import make_batches  # noqa: E402
from tamesu.config import StudyConfig, TtaConfig  # noqa: E402
from tamesu.dataset import Dataset  # noqa: E402
from tamesu.errors import FitError  # noqa: E402
from tamesu.feed import make_feed  # noqa: E402
from tamesu.fields import (  # noqa: E402
    AngleField,
    DirectionField,
    Field,
    ImageField,
    LabelField,
    LabelsField,
    NumberField,
    PointsField,
    VectorField,
)
from tamesu.learners.network_inputs import table_inputs  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.learners.torch_fitted import FittedTorch  # noqa: E402
from tamesu.maps import Maps, identity_maps, make_maps  # noqa: E402
from tamesu.nets.shapes import InputShape  # noqa: E402
from tamesu.preprocess import fit_inputs  # noqa: E402
from tamesu.targets import make_target  # noqa: E402
from tamesu.testing import ArrayPictures, toy_recipe  # noqa: E402
from tamesu.tta import SEED, tta_feed, tta_mistakes, tta_views  # noqa: E402

SIDE = 16
WAYS = {"right": 0, "up": 90, "left": 180, "down": 270}
EYES = {"mirror": {"left": "right"}, "names": ("left", "right")}
TARGETS: dict[str, Field] = {
    "way": DirectionField(target=True, angles=WAYS),
    "side": LabelField(target=True, mirror={"left": "right"}, turn="same"),
    "sides": LabelsField(target=True, mirror={"left": "right"}, turn="same"),
    "lean": NumberField(target=True, mirror="negate", turn="same"),
    "course": AngleField(target=True),
    "wind": VectorField(target=True),
    "eyes": PointsField(target=True, **EYES),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def needles(n: int, seed: int = 0, *, shape: tuple[int, int] = (SIDE, SIDE), every_way: bool = True) -> Dataset:
    """Pictures of a needle from a faint tail to a bright head, at any place; of what it shows, one column a target."""
    rng = np.random.default_rng(seed)
    h, w = shape
    way = rng.integers(0, 4 if every_way else 2, n)
    angle = np.pi / 2 * way + rng.uniform(-0.2, 0.2, n)
    middle = np.stack([rng.uniform(0.35, 0.65, n) * w, rng.uniform(0.35, 0.65, n) * h], axis=1)
    arrow = 0.28 * min(h, w) * np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    ends = np.stack([middle - arrow, middle + arrow], axis=1)  # (n, 2, 2) tail, head
    y, x = np.mgrid[:h, :w]
    pictures = []
    for tail, head in ends:
        far = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4) for px, py in (tail, head)]
        pictures.append((40 * far[0] + 200 * far[1])[:, :, None].astype(np.uint8))
    leftmost = ends[np.arange(n)[:, None], np.argsort(ends[:, :, 0], axis=1)]
    side = np.where(arrow[:, 0] > 0, "right", "left").astype(object)
    table = pd.DataFrame(
        {
            "way": np.array(list(WAYS), dtype=object)[way],
            "side": side,
            "sides": side,
            "lean": arrow[:, 0],
            "course": np.rad2deg(angle),
            "wind": list(map(tuple, arrow)),
            "eyes": [tuple(one) for one in leftmost.reshape(n, 4)],
            "head": [tuple(one) for one in ends[:, 1]],
            "drift": np.rad2deg(angle),
            "hint": side,
        }
    )
    ids = np.array([f"needle-{i}" for i in range(n)], dtype=object)
    classes = {("way", "direction"): tuple(sorted(WAYS)), **{(one, "label"): ("left", "right") for one in ("side", "hint")}}
    classes["sides", "labels"] = ("left", "right")
    return Dataset(ids, table, {"picture": ArrayPictures(tuple(pictures))}, classes, dict.fromkeys(table, ""), "needles")


def recipe_of(*names: str, fields: dict[str, Field] | None = None, tta: dict[str, Any] | None = None, **sections: Any):
    declared = {"picture": ImageField(), **{name: TARGETS[name] for name in names}, **(fields or {})}
    recipe = toy_recipe(declared, (SIDE, SIDE), **sections)
    return recipe.model_copy(update={"tta": TtaConfig(**(tta or {}))})


def trained(rows: Dataset, recipe, seed: int = 0) -> FittedTorch:
    return TorchLearner().fit(rows, recipe, seed)


def again(fitted: FittedTorch, **tta: Any) -> FittedTorch:
    """The same network, scored otherwise."""
    recipe = fitted.recipe.model_copy(update={"tta": TtaConfig(**tta)})
    return FittedTorch(**{**vars(fitted), "recipe": recipe})


def moved(rows: Dataset, maps: Maps) -> Dataset:
    """The pictures as a symmetry of the square shows them."""
    element = int(maps.elements[0])
    arrays = [one[:, ::-1] if element >= 4 else one for one in rows.pictures["picture"].arrays]
    turned = tuple(np.ascontiguousarray(np.rot90(one, element % 4)) for one in arrays)
    return Dataset(**{**vars(rows), "pictures": {"picture": ArrayPictures(turned)}})


def around(a: np.ndarray, b: np.ndarray, period: float = 360.0) -> np.ndarray:
    return np.abs((a - b + period / 2) % period - period / 2)


# ── every kind is learned, and comes back in its own unit ───────────────────────────────────────────────────────────────


def test_a_point_is_found_in_original_pixels():
    """Pictures twice as wide as the frame: the error is told in their pixels."""
    rows = needles(260, shape=(20, 40))
    test = rows.take(slice(200, None))
    field = PointsField(target=True, names=("head",))
    recipe = recipe_of(fields={"head": field}, train={"epochs": 14}, augment={"mirror": 0.5, "translate": 0.1})
    truth = test.values("head", field)
    errors = {}
    for epochs in (1, 14):
        settings = recipe.train.model_copy(update={"epochs": epochs})
        fitted = trained(rows.take(slice(0, 200)), recipe.model_copy(update={"train": settings}))
        found = fitted.predict(test.without(["head"]))["head"]
        assert found.shape == (60, 1, 2)
        errors[epochs] = np.linalg.norm(found - truth, axis=2).mean()
    blind = np.linalg.norm(rows.values("head", field).mean(axis=0) - truth, axis=2).mean()
    assert errors[14] < 0.4 * blind
    assert errors[14] < 0.6 * errors[1]


def test_a_direction_is_learned_from_half_of_its_classes_by_turning():
    """Training shows needles that point right or up: only turns whose labels follow can teach the others."""
    rows, test = needles(200, every_way=False), needles(80, seed=1)
    recipe = recipe_of("way", augment={"mirror": 0.5, "turn": 0.75}, train={"epochs": 8})
    found = trained(rows, recipe).predict(test)["way"]
    classes = rows.classes["way", "direction"]
    assert np.mean([classes[i] for i in found.argmax(axis=1)] == test.table["way"]) > 0.9


def test_an_angle_is_learned_with_mirrors_and_turns():
    rows, test = needles(200, every_way=False), needles(80, seed=1)
    recipe = recipe_of("course", augment={"mirror": 0.5, "turn": 0.75, "rotate_deg": 20}, train={"epochs": 12})
    found = trained(rows, recipe).predict(test)["course"]
    assert np.median(around(found, test.table["course"].to_numpy())) < 15


def test_an_arrow_beside_the_picture_turns_with_it():
    """The picture says nothing here: the answer is in the table, which must turn as the picture does."""
    rows = needles(200, every_way=False)
    blank = {"picture": ArrayPictures((np.zeros((SIDE, SIDE, 1), np.uint8),) * 200)}
    test = Dataset(**{**vars(needles(80, seed=1)), "pictures": {"picture": blank["picture"].take(slice(0, 80))}})
    fields: dict[str, Field] = {"drift": AngleField()}
    recipe = recipe_of("wind", fields=fields, augment={"mirror": 0.5, "turn": 0.75}, train={"epochs": 15})
    fitted = trained(Dataset(**{**vars(rows), "pictures": blank}), recipe)
    found, truth = fitted.predict(test)["wind"], np.array(list(test.table["wind"]))
    assert np.linalg.norm(found - truth, axis=1).mean() < 0.3 * np.linalg.norm(truth, axis=1).mean()


def test_what_is_saved_predicts_the_same(tmp_path):
    rows = needles(30)
    for name in ("way", "course", "wind", "eyes"):
        fitted = trained(rows, recipe_of(name, train={"epochs": 1}, tta={"mirror": True}))
        fitted.save(tmp_path / name)
        back = TorchLearner().load(tmp_path / name).predict(rows)[name]
        np.testing.assert_array_equal(back, fitted.predict(rows)[name])


# ── several views ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", TARGETS)
def test_a_network_seen_through_all_symmetries_says_of_a_moved_picture_what_the_move_makes_of_its_answer(name):
    """However a network errs, the mean over a group of views turns and mirrors as the field says."""
    rows = needles(40)
    plain = trained(rows, recipe_of(name, train={"epochs": 2}))
    fitted, target = again(plain, mirror=True, turns=True), plain.targets[name]
    for element in (4, 1, 6):
        maps = make_maps((SIDE, SIDE), mirrored=np.full(40, element >= 4), turns=element % 4)
        other = moved(rows, maps)
        expected, found = fitted.predict(rows)[name], fitted.predict(other)[name]
        back = target.move_back(_as_of_frame(name, found), maps)
        plain_back = target.move_back(_as_of_frame(name, plain.predict(other)[name]), maps)
        if name == "course":
            assert around(back, expected).max() < 1e-3
            assert around(plain_back, plain.predict(rows)[name]).max() > 0.1
        else:
            np.testing.assert_allclose(back, expected, atol=2e-4 * (1 + np.abs(expected).max()))
            assert np.abs(plain_back - plain.predict(rows)[name]).max() > 1e-3


def _as_of_frame(name: str, prediction: np.ndarray) -> np.ndarray:
    """Points as shares of the frame, which `move_back` starts from."""
    return (2 * prediction + 1) / SIDE - 1 if name == "eyes" else prediction


class Oracle(TorchLearner):
    """Sees where the needle's ends are and which way it points, and always errs a little to the right of what it sees."""

    def predict_step(self, network, batch, recipe, device):
        (pictures,) = batch.pictures.values()
        seen = pictures[: batch.n_real, :, :, 0].astype(float)
        weight = np.where(seen > 60, seen, 0)
        y, x = np.mgrid[: seen.shape[1], : seen.shape[2]]
        head = np.stack([(weight * one).sum(axis=(1, 2)) / weight.sum(axis=(1, 2)) for one in (x, y)], axis=1)
        head[:, 0] += 0.5
        return {"head": torch.from_numpy((2 * head + 1) / np.array([seen.shape[2], seen.shape[1]]) - 1)}


def oracle(rows: Dataset, size: tuple[int, int], **tta: Any) -> np.ndarray:
    field = PointsField(target=True, names=("head",))
    recipe = toy_recipe({"picture": ImageField(), "head": field}, size).model_copy(update={"tta": TtaConfig(**tta)})
    inputs, shape = fit_inputs(rows, table_inputs(recipe)), InputShape({"picture": {"picture": 1}}, size, 0, ())
    targets = {"head": make_target("head", field)}
    return FittedTorch(Oracle(), recipe, torch.nn.Identity(), shape, inputs, targets, []).predict(rows)["head"]


@pytest.mark.parametrize("tta", [{"mirror": True}, {"turns": True}, {"mirror": True, "turns": True}])
def test_views_cancel_what_a_network_gets_wrong_on_one_side(tta):
    rows = needles(20, shape=(30, 30))
    truth = np.array(list(rows.table["head"]))[:, None]
    off = oracle(rows, (30, 30)) - truth
    np.testing.assert_allclose(off[..., 0].mean(), 0.5, atol=0.1)
    off = oracle(rows, (30, 30), **tta) - truth
    np.testing.assert_allclose(off.mean(axis=0), 0, atol=0.12)


def test_points_come_back_through_a_frame_of_another_shape_and_through_drawn_maps():
    rows = needles(20, shape=(36, 54))
    truth = np.array(list(rows.table["head"]))[:, None]
    for tta in ({}, {"draws": 6}):
        off = np.abs(oracle(rows, (24, 32), **tta) - truth)
        assert np.median(off) < 1.2  # the oracle's half pixel of the frame is up to 0.85 of the original's


def test_views_are_the_picture_itself_then_the_symmetries_then_draws():
    rows = needles(6)
    recipe = recipe_of("way", augment={"turn": 0.5, "translate": 0.2}, tta={"mirror": True, "turns": True, "draws": 2})
    inputs = fit_inputs(rows, table_inputs(recipe))
    feed = tta_feed(make_feed(rows, recipe, inputs, {}), rows, recipe, inputs)
    targets = {"way": make_target("way", TARGETS["way"], tuple(WAYS))}
    first, *others = tta_views(feed, recipe.tta, targets)
    index = np.arange(6)
    assert first is None
    assert [int(view(index).elements[0]) for view in others[:7]] == [1, 2, 3, 4, 5, 6, 7]
    one, two = (view(index).matrix for view in others[7:])
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(others[7](index[[4, 1]]).matrix, one[[4, 1]])  # by row id, not by company
    assert not np.array_equal(one, identity_maps([[SIDE, SIDE]] * 6).matrix)
    assert SEED >= 2**31


def test_a_mirror_that_says_nothing_is_not_looked_through():
    rows = needles(6)
    recipe = recipe_of(
        fields={"side": LabelField(target=True, mirror="never", turn="same")}, tta={"mirror": True, "turns": True}
    )
    inputs = fit_inputs(rows, table_inputs(recipe))
    feed = tta_feed(make_feed(rows, recipe, inputs, {}), rows, recipe, inputs)
    views = tta_views(feed, recipe.tta, {"side": make_target("side", recipe.fields["side"], ("left", "right"))})
    assert [int(view(np.arange(6)).elements[0]) for view in views[1:]] == [1, 2, 3]


def test_inputs_follow_the_view_and_rows_whose_inputs_do_not_allow_it_are_seen_as_they_are():
    rows = needles(40)
    hint = LabelField(mirror={"left": "right"})
    fitted = trained(rows, recipe_of("side", fields={"hint": hint}, train={"epochs": 2}, tta={"mirror": True}))
    mirrored = moved(rows, make_maps((SIDE, SIDE), mirrored=np.full(40, True)))
    swapped = Dataset(
        **{**vars(mirrored), "table": rows.table.assign(hint=rows.table["hint"].map({"left": "right", "right": "left"}))}
    )
    np.testing.assert_allclose(fitted.predict(swapped)["side"], fitted.predict(rows)["side"][:, ::-1], atol=1e-5)
    assert np.abs(fitted.predict(mirrored)["side"] - fitted.predict(rows)["side"][:, ::-1]).max() > 1e-4
    once = {"hint": LabelField(mirror={"right": "never"})}
    partly = trained(rows, recipe_of("side", fields=once, train={"epochs": 2}))
    as_they_are, seen = partly.predict(rows)["side"], again(partly, mirror=True).predict(rows)["side"]
    kept = (rows.table["hint"] == "right").to_numpy()
    np.testing.assert_array_equal(seen[kept], as_they_are[kept])
    assert np.abs(seen[~kept] - as_they_are[~kept]).max() > 1e-4


@pytest.mark.parametrize("tta", [{"mirror": True, "turns": True}, {"draws": 3}])
def test_scoring_reads_no_target_and_no_other_row(tta):
    rows = needles(40)
    fitted = trained(rows, recipe_of("way", train={"epochs": 1}, augment={"turn": 0.5}, tta=tta))
    expected = fitted.predict(rows)["way"]
    poisoned = Dataset(**{**vars(rows), "table": rows.table.assign(way="none")})
    np.testing.assert_array_equal(fitted.predict(poisoned)["way"], expected)
    np.testing.assert_array_equal(fitted.predict(rows.without(["way"]))["way"], expected)
    np.testing.assert_allclose(fitted.predict(rows.take([7, 3]))["way"], expected[[7, 3]], atol=1e-6)
    np.testing.assert_allclose(expected.sum(axis=1), 1)


def test_a_view_that_is_not_finite_is_an_error_and_not_left_out():
    class Broken(TorchLearner):
        def predict_step(self, network, batch, recipe, device):
            raw = super().predict_step(network, batch, recipe, device)
            turned = batch.maps["picture"].mirrored.any()
            return {name: values * (float("nan") if turned else 1) for name, values in raw.items()}

    fitted = Broken().fit(needles(20), recipe_of("wind", train={"epochs": 1}, tta={"mirror": True}), 0)
    with pytest.raises(FitError, match="must be finite"):
        fitted.predict(needles(20))


def test_without_tables_of_pictures_nothing_changes():
    fields: dict[str, Field] = {"lean": NumberField(), "course": AngleField(target=True)}
    recipe = toy_recipe(fields).model_copy(update={"tta": TtaConfig(mirror=True)})
    rows = needles(30)
    found = trained(rows, recipe).predict(rows)["course"]
    assert found.shape == (30,)
    assert (np.abs(found) <= 180).all()


def test_scored_batches_carry_their_maps():
    rows = needles(5, shape=(20, 40))
    recipe = recipe_of("eyes")
    inputs = fit_inputs(rows, table_inputs(recipe))
    (batch,) = make_batches(make_feed(rows, recipe, inputs, {}), 8, n_threads=0)
    np.testing.assert_array_equal(batch.maps["picture"].source, [[20, 40]] * 5)
    np.testing.assert_allclose(batch.maps["picture"].matrix[0, :2, :2], [[0.4, 0], [0, 0.8]])


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────────


def told(fields: dict[str, Any], tta: dict[str, Any], **sections: Any) -> dict[str, str]:
    config = StudyConfig.model_validate({"fields": fields, "tta": tta, **sections})
    return {".".join(map(str, one.path)): one.text for one in tta_mistakes(config)}


def test_views_that_can_say_nothing_are_refused():
    picture, label = {"kind": "image"}, {"kind": "label", "target": True}
    assert told({"p": picture, "y": label | {"mirror": {"a": "b"}}}, {"mirror": True}) == {}
    assert told({"x": {"kind": "number"}, "y": label}, {"mirror": True, "turns": True, "draws": 1}) == {
        f"tta.{key}": f"must be left out where no input is a picture; got {value}."
        for key, value in (("mirror", "true"), ("turns", "true"), ("draws", "1"))
    }
    assert told({"p": picture, "y": label | {"mirror": "never", "turn": "never"}}, {"mirror": True, "turns": True}) == {
        f"tta.{key}": f"must be off where fields.y.{move} is never: no picture seen so says anything of the target."
        for key, move in (("mirror", "mirror"), ("turns", "turn"))
    }
    swapped = told({"p": picture, "z": {"kind": "label"}, "y": label | {"mirror": {"swap_with": "z"}}}, {"mirror": True})
    assert list(swapped) == ["tta.mirror"]
    assert "'y' changes places with 'z'" in swapped["tta.mirror"]
    still = {"augment": {"translate": 0.0}}
    assert list(told({"p": picture, "y": label}, {"draws": 4}, **still)) == ["tta.draws"]
    assert told({"p": picture, "y": label}, {"draws": 4}, augment={"translate": 0.0, "scale": 0.1}) == {}
