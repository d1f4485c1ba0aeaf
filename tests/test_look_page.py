"""The page of `look`: everything that was found is on it, nothing from outside, safe with any names."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from look_pages import findings, make_document, picture_facts, table_material
from tamesu.look import page as page_module
from tamesu.look.duplicates import find_duplicates
from tamesu.look.page import render_page, write_page
from tamesu.look.reading import make_material
from tamesu.look.run import run_analyses
from tamesu.look.thumbnails import make_class_pictures, make_thumbnails
from tamesu.texts import language

VOID = {"meta", "img", "br", "input", "link"}


class Outline(HTMLParser):
    """Tags that are closed in order, headings, and images without a text."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.headings, self.silent, self.ids, self.links = [], [], [], set(), []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and not named.get("alt"):
            self.silent.append(attrs)
        if tag == "svg" and not (named.get("aria-label") or named.get("aria-hidden")):
            self.silent.append(attrs)
        if "id" in named:
            assert named["id"] not in self.ids
            self.ids.add(named["id"])
        if tag == "a":
            self.links.append(named["href"])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    assert not found.open
    return found


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    return table_material(90, pictures={"photo": picture_facts(tmp_path_factory.mktemp("pictures"), 90)})


def test_everything_found_is_on_the_page():
    text = render_page(make_document(table_material()))
    assert text.count('<section class="card') == len(findings())
    for part in ("AUC 0.87", "0.84 to 0.9", "without-x", "town 9", "What could not be said", "fewer than 20 rows"):
        assert part in text
    assert "<code>x</code>" in text
    assert "town 13" not in re.findall(r"<table.*?</table>", text, re.S)[0]


def test_names_cannot_break_out():
    text = render_page(make_document(table_material()))
    assert "<script>alert" not in text
    assert "<b>&</b>" not in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_it_is_whole_and_has_a_text_for_every_picture(pictured, lang):
    thumbnails = make_thumbnails(pictured, [f"r{i:04d}" for i in range(60)])
    found = outline(render_page(make_document(pictured, lang), thumbnails, make_class_pictures(pictured)))
    assert not found.silent
    assert found.headings[0] == 1
    assert all(later - before <= 1 for before, later in zip(found.headings, found.headings[1:], strict=False))
    assert {link[1:] for link in found.links} <= found.ids
    assert language() == "en"


def test_nothing_comes_from_outside(pictured):
    text = render_page(make_document(pictured), make_thumbnails(pictured, ["r0000"]))
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"url\((?!data:)", text)


def test_without_findings_it_says_so():
    text = render_page(make_document(table_material(), found=[], warnings=[]))
    assert "Nothing was found that needs a look before training." in text
    assert '<section class="card' not in text
    outline(text)


def test_a_bare_document_has_a_page():
    text = render_page({"name": "bare", "lang": "en", "target": "", "created": "", "n_rows": {"train": 0}})
    found = outline(text)
    assert found.ids == {"findings"}
    assert found.links == ["#findings"]
    assert "<h1>bare</h1>" in text
    assert re.search(r'training rows</dt><dd class="value">0</dd>', text)


def test_many_findings_are_folded():
    text = render_page(make_document(table_material(), found=findings() * 9))
    assert "24 weaker findings" in text
    outline(text)


def test_japanese():
    text = render_page(make_document(table_material(), "ja"))
    assert '<html lang="ja">' in text
    assert "どうするか" in text
    assert "What to do" not in text


def test_each_picture_is_embedded_once_and_the_page_stays_small(pictured, tmp_path, monkeypatch):
    text = write_page(make_document(pictured), tmp_path / "look.html", pictured).read_text(encoding="utf-8")
    uris = re.findall(r"background-image:url\((data:[^)]*)\)", text)
    assert len(uris) == len(set(uris)) > 20
    monkeypatch.setattr(page_module, "MAX_BYTES", 90_000)
    small = write_page(make_document(pictured), tmp_path / "small.html", pictured)
    assert small.stat().st_size <= 90_000
    outline(small.read_text(encoding="utf-8"))


def test_files_and_sizes_are_told():
    parts = {
        "files": {"photo": {"n": 100, "whole": 97, "formats": {"jpg": 90, "png": 10}, "flags": {"cmyk": 2}, "n_unused": 4}},
        "sizes": {"size": [64, 64], "pictures": {"photo": {"n": 97, "n_sizes": 5, "sizes": [[480, 640, 90], [64, 64, 7]]}}},
    }
    text = render_page(make_document(table_material(), parts=parts))
    for part in ("97 of 100", "jpg 90", "CMYK 2", "480 × 640 (90)", "1 more sizes", "64 × 64 px"):
        assert part in text


def section(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}">.*?</section>', text, re.S)[0]


def test_missing_cells_are_drawn_with_the_columns_missing_together():
    text = section(render_page(make_document(table_material())), "cells")
    assert text.index("a_column_with_a_very_long_name") < text.index("<dt>amount</dt>")  # 45 % before 32 %
    assert 'style="width:30.0%"' in text
    assert 'style="width:40.0%"' in text
    assert "7 columns have no such cell." in text
    assert "3 more columns" in text
    patterns = re.findall(r"<li>.*?</li>", text, re.S)
    assert "1,234" in patterns[0]
    assert patterns[0].count("<code>") == 8
    assert "and 3 more columns" in patterns[0]


def test_pairs_of_labels_are_drawn_with_the_pictures_of_both(pictured):
    text = section(render_page(make_document(pictured), make_thumbnails(pictured, [f"r{i:04d}" for i in range(12)])), "labels")
    assert text.index("AUC 0.51 (0.44 to 0.58)") < text.index("AUC 0.93 (0.88 to 0.97)")
    spot = re.search(r'class="dot" style="left:([\d.]+)%', text)
    assert float(spot[1]) == pytest.approx(100 * (0.51 - 0.3) / 0.7, abs=0.01)
    two = re.search(r'<div class="two">.*?</div></div></div>', text, re.S)[0]
    assert re.findall(r'title="(\w+): (r\d+)"', two) == [
        (side, f"r{i:04d}") for side, i in (("cat", 0), ("cat", 3), ("dog", 6), ("dog", 7), ("dog", 8), ("dog", 9))
    ]


def test_doubted_labels_are_pictures_with_the_proposal(pictured):
    text = render_page(make_document(pictured), make_thumbnails(pictured, [f"r{i:04d}" for i in range(30)]))
    card = next(one for one in re.findall(r'<section class="card.*?</section>', text, re.S) if "k-label_error" in one)
    assert card.count("<s>cat</s>") == 6
    assert "<table" not in card
    assert "2.1 % (1.1 % to 3.8 %)" in section(text, "labels")
    without = render_page(make_document(pictured))
    card = next(one for one in re.findall(r'<section class="card.*?</section>', without, re.S) if "k-label_error" in one)
    assert "<table" in card


def test_what_fit_is_needed_for_is_said():
    parts = {"label_errors": {"needs": "Run `tamesu fit` first."}, "labels": {"classes": [{"name": "cat", "count": 3}]}}
    assert "Run <code>tamesu fit</code> first." in section(render_page(make_document(table_material(), parts=parts)), "labels")


def test_leaks_groups_and_copies_are_drawn():
    text = section(render_page(make_document(table_material())), "bounds")
    assert re.search(r'<dt>town</dt>.*?class="tone" style="width:99.2%".*?left:33.33%', text, re.S)
    assert re.search(r'<dt>x</dt>.*?class="faint" style="width:34.0%"', text, re.S)
    assert "93%, 12 groups" in text
    assert re.findall(r'<td class="n">(\d+)</td>', text) == ["14", "6", "23"]


def test_object_sizes_are_drawn():
    text = section(render_page(make_document(table_material())), "files")
    for part in ("<td>RBC</td>", "9.1", "128 × 128 px", "4 times", "<code>tiny</code> sees 95 px at once", "under 8 px", "28%"):
        assert part in text
    assert "<code>points</code>" not in text  # nothing is marked in it


def test_figures_as_the_analyses_make_them_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    n = 240
    kind = rng.integers(0, 3, n)
    train = pd.DataFrame(
        {
            "x": kind + 0.4 * rng.normal(size=n),
            "z": rng.normal(size=n),
            "copy": kind * 10,
            "a": np.where(np.arange(n) % 9 == 0, np.nan, rng.normal(size=n)),
            "b": np.where(np.arange(n) % 9 == 0, np.nan, rng.normal(size=n)),
            "town": [f"t{i // 6}" for i in range(n)],
            "y": np.array(["cat", "dog", "cow"])[kind],
        }
    )
    train = pd.concat([train, train.iloc[:5]], ignore_index=True)
    parts = run_analyses(make_material(train, target="y"), strict=True)
    document = make_document(make_material(train, target="y"), parts={name: dict(one.figures) for name, one in parts.items()})
    text = render_page(document)
    outline(text)
    for name in ("cells", "labels", "bounds"):
        assert section(text, name)
    assert "<dt>copy</dt>" in section(text, "bounds")
    assert re.search(r"<code>[ab]</code> <code>[ab]</code>", section(text, "cells"))
    assert 'class="span"' in section(text, "labels")


# ── thumbnails ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pixels_of(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def test_thumbnails_are_the_pictures_and_unreadable_ones_are_left_out(pictured):
    found = make_thumbnails(pictured, ["r0000", "r0001", "r0002", "r0003", "unknown"])
    assert set(found) == {"r0000", "r0003"}
    pixels = pixels_of(found["r0000"])
    assert pixels.shape == (40, 60, 3)
    assert pixels[:, -10:].mean() > pixels[:, :10].mean() + 100


def test_depth_and_masks_are_coloured(tmp_path):
    for kind in ("depth", "mask"):
        facts = picture_facts(tmp_path, 8, kind)
        pixels = pixels_of(make_thumbnails(table_material(8, pictures={kind: facts}), ["r0000"])["r0000"]).astype(int)
        assert np.abs(pixels[20, 10] - pixels[20, 50]).sum() > 100
        assert np.ptp(pixels[20, 50]) > 30  # a colour, no grey


def test_arrays_from_python_are_shown(tmp_path):
    rng = np.random.default_rng(0)
    photos = [np.full((60, 30, 3), 10 * i, dtype=np.uint8) for i in range(20)]
    photos[3] = photos[7] = rng.integers(0, 255, (60, 30, 3)).astype(np.uint8)
    data = {"photo": photos, "y": ["a", "b"] * 10}
    fields = {"photo": {"kind": "image"}, "y": {"kind": "label", "target": True}}
    material = make_material(data, fields=fields)
    found = list(find_duplicates(material).findings)
    assert found[0].evidence["pairs"] == [["3", "7"]]
    text = write_page(make_document(material, found=found), tmp_path / "look.html", material).read_text(encoding="utf-8")
    assert 'aria-label="picture of row 7"' in text
    assert "mean of 10 pictures" in text


def test_a_test_row_with_the_id_of_a_training_row_is_shown_by_its_own_picture(tmp_path):
    for table, value in (("a", 30), ("b", 220)):
        for i in range(12):
            Image.fromarray(np.full((20, 20, 3), value + i, np.uint8)).save(tmp_path / f"{table}{i}.png")
    train, test = (pd.DataFrame({"file": [f"{table}{i}.png" for i in range(12)]}) for table in "ab")
    material = make_material(train, test, fields={"file": {"kind": "image"}}, base=tmp_path)
    shown = material.shown(np.array([4, 16]))
    assert shown == ("4", "4 (test)")
    found = make_thumbnails(material, shown)
    assert [round(float(pixels_of(found[one]).mean())) for one in shown] == [34, 224]


def test_the_mean_picture_is_the_mean(pictured):
    found = make_class_pictures(pictured)
    assert {one.name for one in found} <= set(pictured.classes)
    mean = pixels_of(found[0].mean)
    assert mean.shape == (48, 48, 3)
    np.testing.assert_allclose(mean[:, :, 0].mean(axis=0)[::12], np.linspace(20, 220, 48)[::12], atol=12)
