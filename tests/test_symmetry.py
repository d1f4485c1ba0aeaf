"""What mirrors and turns do to classes: the laws of the square, and every way to break them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tamesu.maps import make_maps
from tamesu.symmetry import NEVER, Symmetry, name_mistakes, product, symmetry_mistakes

ROUND = {"up": "left", "left": "down", "down": "right", "right": "up"}
SIDES = {"left": "right"}
Moves = dict[str, str]


def closed(moves: tuple[str, ...], names: str) -> bool:
    """It is a permutation."""
    return sorted(moves) == sorted(names)


def test_products_are_those_of_the_maps():
    square = [make_maps((8, 8), mirrored=element >= 4, turns=element % 4) for element in range(8)]
    for first, second in itertools.product(range(8), repeat=2):
        assert square[first].then(square[second]).elements[0] == product(first, second)


def test_images_by_hand():
    symmetry = Symmetry(SIDES, ROUND)
    assert [symmetry.image("up", element) for element in range(4)] == ["up", "left", "down", "right"]
    assert [symmetry.image("left", element) for element in range(4, 8)] == ["right", "up", "left", "down"]  # mirror first
    assert symmetry.image("none", 7) == "none"


def test_images_are_those_of_arrows():
    """Reference: the four arrows drawn, moved, and read again."""
    arrows = {"right": (1, 0), "up": (0, -1), "left": (-1, 0), "down": (0, 1)}
    for element in range(8):
        linear = make_maps((8, 8), mirrored=element >= 4, turns=element % 4).orthogonal[0]
        for name, arrow in arrows.items():
            seen = Symmetry(SIDES, ROUND).image(name, element)
            np.testing.assert_allclose(linear @ arrow, arrows[seen], atol=1e-12)


@pytest.mark.parametrize("silent", ["never", None])
def test_what_has_no_image(silent):
    assert Symmetry(silent, "same").image("a", 4) is None
    assert Symmetry(silent, "same").image("a", 1) == "a"
    assert Symmetry("same", silent).image("a", 5) is None
    assert Symmetry("same", silent).image("a", 4) == "a"
    assert not Symmetry("same", silent).bears_any_tilt
    assert Symmetry("same", "same").bears_any_tilt


def test_a_class_that_is_never_mirrored():
    symmetry = Symmetry({"a": "b", "c": "never"}, "same")
    assert [symmetry.image(name, 4) for name in "abcd"] == ["b", "a", None, "d"]
    assert symmetry.image("c", 2) == "c"
    np.testing.assert_array_equal(symmetry.codes(("a", "b", "c"))[4], [1, 0, NEVER])


def test_fields_that_change_places_keep_their_classes():
    assert Symmetry({"swap_with": "other"}, None).image("a", 4) == "a"
    assert not list(symmetry_mistakes({"swap_with": "other"}, None))


def test_codes_of_classes_that_are_not_there():
    codes = Symmetry({"a": "b"}, {"a": "b", "b": "a"}).codes(("a", "c"))
    np.testing.assert_array_equal(codes[[0, 1, 4, 5]], [[0, 1], [NEVER, 1], [NEVER, 1], [0, 1]])
    assert Symmetry("same").codes(()).shape == (8, 0)


def test_exactly_the_mirrors_that_are_mirrors_are_accepted():
    """Brute force: every way to write three classes' images."""
    names = "abc"
    for images in itertools.product(names, repeat=3):
        moves = dict(zip(names, images, strict=True))
        is_mirror = all(moves[moves[name]] == name for name in names)
        assert (not list(symmetry_mistakes(moves, None))) == is_mirror, moves


def test_exactly_the_turns_that_are_turns_are_accepted():
    names = "abcde"
    for images in itertools.product(names, repeat=5):
        moves = dict(zip(names, images, strict=True))
        four = [moves[moves[moves[moves[name]]]] for name in names]
        assert (not list(symmetry_mistakes(None, moves))) == (four == list(names)), moves


def test_exactly_the_pairs_that_fit_are_accepted():
    """Brute force: every mirror with every turn of four classes; accepted are those with F F = R R R R = F R F R = 1."""
    names = "abcd"
    permutations = [dict(zip(names, images, strict=True)) for images in itertools.permutations(names)]
    mirrors = [moves for moves in permutations if all(moves[moves[name]] == name for name in names)]
    turns = [moves for moves in permutations if all(moves[moves[moves[moves[name]]]] == name for name in names)]
    n_fit = 0
    for mirror, turn in itertools.product(mirrors, turns):
        fits = all(turn[mirror[turn[mirror[name]]]] == name for name in names)
        assert (not list(symmetry_mistakes(mirror, turn))) == fits, (mirror, turn)
        n_fit += fits
    assert n_fit == 76  # the ways the square's symmetries can act on four things


def test_what_is_accepted_obeys_every_law_where_it_is_known():
    """With classes that are never mirrored or turned: two ways to the same picture never end at different classes."""
    names, choices = "abc", ("a", "b", "c", "never")
    n_accepted = 0
    for mirror_to, turn_to in itertools.product(itertools.product(choices, repeat=3), repeat=2):
        mirror, turn = dict(zip(names, mirror_to, strict=True)), dict(zip(names, turn_to, strict=True))
        if list(symmetry_mistakes(mirror, turn)):
            continue
        n_accepted += 1
        images = [{name: Symmetry(mirror, turn).image(name, element) for name in names} for element in range(8)]
        for first, second in itertools.product(range(8), repeat=2):
            for name in names:
                between = images[first][name]
                ends = {None if between is None else images[second][between], images[product(first, second)][name]} - {None}
                assert len(ends) <= 1, (mirror, turn, first, second, name)
    assert n_accepted > 300


@pytest.mark.parametrize(
    ("mirror", "turn", "where", "said"),
    [
        ({"a": "b", "c": "b"}, None, "mirror", "'b' with both 'a' and 'c'"),
        ({"a": "b", "b": "c"}, None, "mirror", "'b' with both 'a' and 'c'"),
        ({"a": "never", "b": "a"}, None, "mirror", "'a' with both 'never' and 'b'"),
        ("same", {"a": "c", "b": "c"}, "turn", "both 'a' and 'b' turned into 'c'"),
        ("same", {"a": "b"}, "turn", "a → b → b → b → b"),
        ("same", {"a": "b", "b": "c", "c": "a"}, "turn", "a → b → c → a → b"),
        ({"up": "down"} | SIDES, ROUND | {"left": "up", "up": "left", "down": "right", "right": "down"}, None, ""),
        ({"up": "left"}, ROUND, "turn", "'left' as both"),
        ("same", ROUND, "turn", "'up' as both"),
        ({"b": "c"}, {"a": "b", "b": "c", "c": "never"}, "turn", "'a' as both"),
    ],
)
def test_mistakes_say_what_is_wrong(mirror, turn, where, said):
    found = list(symmetry_mistakes(mirror, turn))
    if where is None:
        assert found == []
        return
    ((setting, text),) = found
    assert setting == where
    assert said in text


@pytest.mark.parametrize("mirror", ["same", "never", None, SIDES, {"right": "left", "left": "right"}, {"left": "left"}])
def test_good_mirrors_are_no_mistake(mirror):
    assert list(symmetry_mistakes(mirror, None)) == []


def test_names_that_are_no_class():
    (text,) = name_mistakes({"keep_left": "keep_rigth", "x": "never"}, ["keep_left", "keep_right", "x"])
    assert "'keep_rigth'" in text
    assert "keep_right" in text
    assert list(name_mistakes("same", ["a"])) == []
    assert list(name_mistakes({"swap_with": "other_field"}, ["a"])) == []
