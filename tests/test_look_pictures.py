"""The scan of pictures: measured once, kept in chunks, faults told; and what `find_files` says of them."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from tamesu.look import pictures as module
from tamesu.look.files import find_files
from tamesu.look.picture_numbers import depth_numbers, describe, light_numbers, perceptual_hash, small
from tamesu.look.pictures import scan_pictures
from tamesu.look.reading import make_material


def scene(seed: int = 0, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC)


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: cv2.resize(p, (40, 40), interpolation=cv2.INTER_AREA),
        lambda p: np.clip(p.astype(float) * 1.1, 0, 255).astype(np.uint8),
        lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR),
    ],
)
def test_hash_and_description_stay_near_through_small_changes_and_only_then(change):
    for seed in range(8):
        one, same, other = scene(seed), change(scene(seed)), scene(seed + 100)
        assert bits(perceptual_hash(one), perceptual_hash(same)) <= 8
        assert bits(perceptual_hash(one), perceptual_hash(other)) > 12
        near, far = (np.linalg.norm(describe(one) - describe(small(two))) for two in (same, other))
        assert near < 0.6 * far


def test_a_picture_without_form_has_no_hash():
    assert perceptual_hash(np.full((32, 32, 3), 128, np.uint8)) == 0


def test_numbers_by_hand():
    white = np.full((20, 20, 3), 255, np.uint8)
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 255
    assert light_numbers(white)[:4] == pytest.approx([1, 0, 0, 0])
    assert light_numbers(red)[3:] == pytest.approx([1, 1, 0, 0])
    blurred = cv2.GaussianBlur(scene(), (0, 0), 3)
    assert light_numbers(blurred)[2] < light_numbers(np.ascontiguousarray(scene()))[2]
    depth = np.full((10, 10, 1), 2000, np.uint16)
    depth[:5] = 0
    assert depth_numbers(depth, 0.001, 0) == pytest.approx([2, 2, 2, 0.5])
    assert np.isnan(depth_numbers(np.zeros((4, 4, 1)), 0.001, 0)[:3]).all()


def write(folder, n=6):
    names = [f"p{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), scene(i))
    return names


def test_a_stopped_scan_goes_on_and_a_changed_file_is_looked_at_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    names, cache = write(tmp_path), tmp_path / "cache"
    seen: list[str] = []
    measure = module._measure

    def stop(item, *rest):
        if item.endswith("p4.png") and len(seen) < 6:
            seen.append(item)
            raise KeyboardInterrupt
        seen.append(item)
        return measure(item, *rest)

    monkeypatch.setattr(module, "_measure", stop)
    with pytest.raises(KeyboardInterrupt):
        scan_pictures("file", names, tmp_path, cache=cache)
    seen[:] = [""] * 6
    again = scan_pictures("file", names, tmp_path, cache=cache)
    assert [os.path.basename(one) for one in seen[6:]] == ["p4.png", "p5.png"]
    assert again.whole.all()
    cv2.imwrite(str(tmp_path / "p1.png"), scene(50))
    changed = scan_pictures("file", names, tmp_path, cache=cache)
    assert changed.file_digests[1] != again.file_digests[1]
    assert np.array_equal(np.delete(changed.embedding, 1, 0), np.delete(again.embedding, 1, 0))
    fresh = scan_pictures("file", names, tmp_path)
    assert np.array_equal(fresh.hashes, changed.hashes)
    assert np.array_equal(fresh.embedding, changed.embedding)


def test_the_same_pixels_in_another_format_are_the_same(tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.png")
    Image.fromarray(scene()).save(tmp_path / "a.bmp")
    facts = scan_pictures("file", ["a.png", "a.bmp"], tmp_path)
    assert facts.file_digests[0] != facts.file_digests[1]
    assert facts.pixel_digests[0] == facts.pixel_digests[1]


def test_arrays_are_measured_as_files_are(tmp_path):
    names = write(tmp_path, 3)
    files = scan_pictures("file", names, tmp_path)
    arrays = scan_pictures("file", [], tmp_path, arrays=[cv2.cvtColor(scene(i), cv2.COLOR_BGR2RGB) for i in range(3)])
    assert np.array_equal(files.hashes, arrays.hashes)
    assert np.allclose(files.embedding, arrays.embedding)


FAULTS = {
    "cannot be read": lambda f, p: f.write_bytes(f.read_bytes()[:-60]),
    "format their name": lambda f, p: f.write_bytes(cv2.imencode(".jpg", p)[1].tobytes()),
    "not there": lambda f, p: f.unlink(),
    "16 bits": lambda f, p: cv2.imwrite(str(f), p.astype(np.uint16) * 200),
    "transparent": lambda f, p: Image.fromarray(p).convert("RGBA").save(f),
    "palette": lambda f, p: Image.fromarray(p).convert("P").save(f),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_a_faulty_file_is_told_by_its_id_and_a_sound_folder_says_nothing(sentence, tmp_path):
    import pandas as pd

    names = write(tmp_path, 12)
    table = pd.DataFrame({"file": names, "y": ["a", "b"] * 6})
    fields = {"file": {"kind": "image"}, "y": {"kind": "label", "target": True}}
    assert not find_files(make_material(table, fields=fields, base=tmp_path)).findings
    FAULTS[sentence](tmp_path / names[3], scene(3))
    found = find_files(make_material(table, fields=fields, base=tmp_path)).findings
    if sentence == "not there":
        found = [one for one in found if "beside" not in one.sentence]
    assert [sentence in one.sentence for one in found] == [True]
    assert found[0].rows == ("3",)
    assert found[0].suggestion.note
