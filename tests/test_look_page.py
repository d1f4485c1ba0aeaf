"""The page of `look`: everything that was found is on it, nothing from outside, safe with any names."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from look_pages import findings, make_document, picture_facts, table_material
from tamesu.look import page as page_module
from tamesu.look.page import render_page, write_page
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
    outline(text)


def test_many_findings_are_folded():
    text = render_page(make_document(table_material(), found=findings() * 9))
    assert "15 weaker findings" in text
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
    for part in ("97 of 100", "jpg 90", "cmyk 2", "480 × 640 (90)", "1 more sizes", "64 × 64 px"):
        assert part in text


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


def test_arrays_from_python(pictured):
    grey = np.full((200, 100), 50, dtype=np.uint8)
    found = make_thumbnails(pictured, ["r0002"], arrays={"r0002": grey})
    assert pixels_of(found["r0002"]).shape == (96, 48, 3)


def test_the_mean_picture_is_the_mean(pictured):
    found = make_class_pictures(pictured)
    assert {one.name for one in found} <= set(pictured.classes)
    mean = pixels_of(found[0].mean)
    assert mean.shape == (48, 48, 3)
    np.testing.assert_allclose(mean[:, :, 0].mean(axis=0)[::12], np.linspace(20, 220, 48)[::12], atol=12)
