"""The page of `look` in a real browser: it fits wide and narrow windows, needs no network, and draws what it should."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from look_pages import make_document, picture_facts, table_material
from tamesu.look.page import write_page

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
# a window of less than 500 px is not to be had, so the page is measured inside a frame
FRAME = """<!DOCTYPE html><body><iframe id="f" src="look.html" style="width:WIDTHpx;height:900px;border:0"></iframe>
<pre id="said"></pre><script>
f.onload = () => setTimeout(() => {
  const page = f.contentDocument, view = f.contentWindow;
  const inside = e => e.closest(".scroll, pre, .hidden, .ids, svg");
  const right = e => e.getBoundingClientRect().right;
  const wide = [...page.querySelectorAll("body *")].filter(e => !inside(e) && right(e) > view.innerWidth + 1);
  const cut = [...page.querySelectorAll("p, h1, h2, h3, dt, dd, li")].filter(e => e.scrollWidth > e.clientWidth + 2);
  const fetched = view.performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"));
  const copy = page.querySelectorAll("button.copy:not([hidden])").length;
  const figures = ["#cells .parts i", "#cells .patterns .tone", "#labels .span .dot", "#labels .two .pic",
    "#bounds .against .mark", "#files .twice .tone", ".proposals .pic"];
  const drawn = figures.map(one => [...page.querySelectorAll(one)].filter(
    e => e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().height > 3).length);
  const names = list => list.map(e => e.className || e.tagName);
  said.textContent = `measured ${page.documentElement.scrollWidth} of ${view.innerWidth} | wide: [${names(wide)}]`
    + ` | cut: [${names(cut)}] | fetched: [${fetched.map(e => e.name)}] | copy: ${copy} | drawn: ${drawn}`;
}, 50)</script>"""


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return table_material(90, pictures={"photo": picture_facts(tmp_path_factory.mktemp("pictures"), 90)})


@pytest.mark.parametrize(("lang", "width"), [("en", 1280), ("ja", 400), ("en", 400)])
def test_it_fits_and_fetches_nothing(material, tmp_path, lang, width):
    path = write_page(make_document(material, lang), tmp_path / "look.html", material)
    assert path.stat().st_size < 6_000_000
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    dom = _chromium(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom", tmp_path / "frame.html"
    )
    said = re.search(r'<pre id="said">(.*?)</pre>', dom, re.S)[1]
    assert said == f"measured {width} of {width} | wide: [] | cut: [] | fetched: [] | copy: 2 | drawn: 20,2,2,6,4,3,6"


def test_histograms_bars_and_pictures_are_drawn(material, tmp_path):
    write_page(make_document(material), tmp_path / "look.html", material)
    _chromium(tmp_path, "--window-size=1280,6600", f"--screenshot={tmp_path / 'shot.png'}", tmp_path / "look.html")
    pixels = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB")).astype(int)
    for colour in ((0, 114, 178), (213, 94, 0)):  # of the two populations
        assert (np.abs(pixels - colour).sum(axis=-1) < 12).sum() > 1500
    picture = pixels[400:900, 130:230]  # in the first card
    assert picture.std() > 20


def _chromium(folder, *arguments):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = ["chromium", *flags, *quiet, f"--user-data-dir={folder / 'profile'}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
