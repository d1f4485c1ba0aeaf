"""The summary, the report and the terminal's table, on realistic results that no training was needed for."""

from __future__ import annotations

import ast
import dataclasses
import html.parser
import json
import re
import shutil
import string
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import fake_results
from tamesu.errors import StoreError
from tamesu.report import check_summary, render_report, summarise, verdict_table, words, write_report
from tamesu.report.axes import Axis, gain_axis
from tamesu.report.maps_view import maps_view
from tamesu.report.mistakes import natural_order
from tamesu.report.pictures import data_uri
from tamesu.texts import LANGUAGES, language, use_language

SOURCE = Path(__file__).parents[1] / "src" / "tamesu"
GOLDEN = Path(__file__).parent / "golden" / "report_summary.json"
STUDIES = [
    fake_results.label_study,
    fake_results.number_study,
    fake_results.labels_study,
    fake_results.undecided_study,
    fake_results.interrupted_study,
    fake_results.twelve_ideas,
    fake_results.hostile_study,
    fake_results.fit_study,
]
VOID = {"meta", "img", "br", "hr", "input", "link"}


def summary_of(make, **changes):
    return json.loads(json.dumps(summarise(make(**changes)), allow_nan=False))


@pytest.fixture(autouse=True)
def _english():
    before = use_language("en")
    yield
    use_language(before)


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text; an end tag that closes nothing is a mistake."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts, self.mistakes = [], [], [], [], []
        self.feed(text)
        self.close()
        self.mistakes += [f"not closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"unexpected end: {tag} at {self.getpos()}")

    def handle_data(self, data):
        self.texts.append(data)


# ── the summary ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", STUDIES)
def test_every_summary_is_strict_json_of_the_promised_shape(make):
    assert check_summary(summary_of(make)) == []


def test_summary_golden():
    """A reviewed snapshot; after a wanted change delete the file, run twice, read the difference."""
    summary = summary_of(fake_results.label_study)
    for arm in [summary["baseline"], *summary["ideas"]]:
        arm["folds"] = arm["folds"][:1]
    summary["mistakes"]["worst"] = summary["mistakes"]["worst"][:3]
    rounded = json.loads(json.dumps(summary), parse_float=lambda text: float(f"{float(text):.6g}"))
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(rounded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        pytest.fail(f"{GOLDEN.name} was not there and is written now: review it")
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert list(rounded) == list(expected)  # the order of keys is part of the promise
    assert rounded == expected


def test_keys_that_every_reader_may_rely_on_come_first():
    summary = summary_of(fake_results.label_study)
    assert summary["schema"] == "tamesu/try/1"
    assert list(summary["ideas"][0])[:9] == [
        "name", "arm", "outcome", "gain", "interval", "p_value", "n_trainings", "seconds", "note",
    ]  # fmt: skip
    assert summary_of(fake_results.fit_study)["schema"] == "tamesu/fit/1"
    assert "ideas" not in summary_of(fake_results.fit_study)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("metric"), "$.metric: must be there"),
        (lambda s: s["ideas"][0].update(outcome="better"), "$.ideas[0].outcome"),
        (lambda s: s["ideas"][1].update(gain=None), "$.ideas[1].interval"),
        (lambda s: s["baseline"].update(interval=[0.1]), "$.baseline.interval"),
        (lambda s: s["baseline"].update(n_trainings=True), "$.baseline.n_trainings: must be int"),
        (lambda s: s.update(schema="tamesu/try/9"), "$.schema"),
        (lambda s: s["ideas"][0]["folds"][0].pop("score"), "$.ideas[0].folds[0].score"),
        (lambda s: s["ideas"][3]["maps"].pop("redrawn"), "$.ideas[3].maps.redrawn"),
    ],
)
def test_a_spoilt_summary_is_found_out(spoil, said):
    summary = summary_of(fake_results.label_study)
    spoil(summary)
    assert any(said in line for line in check_summary(summary))


def test_what_is_not_a_number_becomes_null():
    result = fake_results.label_study()
    baseline = replace(result.baseline, score=float("nan"), low=np.float64("nan"), high=float("inf"), seed_variance=None)
    summary = json.loads(json.dumps(summarise(replace(result, baseline=baseline)), allow_nan=False))
    assert summary["baseline"]["score"] is None
    assert summary["baseline"]["interval"] == [None, None]
    assert "—" in render_report(summary)


def test_a_run_stopped_before_anything_was_trained_still_renders():
    result = fake_results.interrupted_study()
    nan = float("nan")
    nothing = fake_results.BaselineResult(nan, nan, nan, nan, (), 0, 0.0)
    waiting = tuple(idea for idea in result.ideas if idea.judgement is None)
    html_text = render_report(summarise(replace(result, baseline=nothing, ideas=waiting, n_trainings=0)))
    assert "not judged yet" in html_text


def test_confusion_counts_are_those_of_the_predictions():
    result = fake_results.label_study()
    found = summarise(result)["mistakes"]
    said = result.baseline.predictions.argmax(1)
    right = {one["class"]: one["n_right"] for one in found["per_class"]}
    for code, name in enumerate(result.classes):
        assert right[name] == int(((result.y == code) & (said == code)).sum())
    assert found["classes"].index("speed_20") < found["classes"].index("speed_100")
    assert sum(map(sum, found["counts"])) == len(result.y)
    i, j = found["classes"].index("turn_left"), found["classes"].index("turn_right")
    assert found["counts"][i][j] == int(((result.y == 8) & (said == 9)).sum())


def test_the_worst_rows_are_the_worst_and_unscored_rows_are_left_out():
    result = fake_results.label_study()
    prediction = result.baseline.predictions.copy()
    prediction[:100] = np.nan
    prediction[500] = np.eye(10)[(result.y[500] + 1) % 10]
    summary = summarise(replace(result, baseline=replace(result.baseline, predictions=prediction)))
    worst = summary["mistakes"]["worst"]
    assert summary["mistakes"]["n_scored"] == 800
    assert (worst[0]["id"], worst[0]["row"], worst[0]["truth_probability"]) == ("00500.png", 500, 0.0)
    assert all(one["row"] >= 100 for one in worst)
    losses = [one["loss"] for one in worst]
    assert losses == sorted(losses, reverse=True)


def test_the_table_speaks_for_rows_without_a_picture():
    result = fake_results.number_study()

    @dataclasses.dataclass
    class Rows:
        ids: np.ndarray
        table: pd.DataFrame

    frame = pd.DataFrame({"price": result.y, "area": np.arange(len(result.y)) * 0.5, "street": "x" * 90})
    worst = summarise(result, Rows(result.ids, frame))["mistakes"]["worst"]
    assert worst[0]["inputs"]["area"] == f"{worst[0]['row'] * 0.5:.6g}"
    assert "price" not in worst[0]["inputs"]
    assert len(worst[0]["inputs"]["street"]) == 40


def test_natural_order():
    assert natural_order(("b10", "b9", "a", "10", "9")) == [4, 3, 2, 1, 0]


def test_overuse_follows_the_ledger():
    alarm = {m: summary_of(fake_results.label_study, n_compared=m)["sensitivity"]["alarm"] for m in (5, 10, 11, 20, 21)}
    assert alarm == {5: "none", 10: "none", 11: "amber", 20: "amber", 21: "red"}
    near = summary_of(fake_results.label_study, luck_line=0.05)
    assert near["sensitivity"]["alarm"] == "amber"
    assert "less than twice the luck line" in render_report(near)


def test_the_real_judgement_has_what_the_summary_reads():
    from tamesu.judgement import Judgement
    from tamesu.report.summary import DETAILS

    known = {one.name for one in dataclasses.fields(Judgement)}
    assert set(DETAILS) | {"outcome", "gain", "low", "high", "p_value", "look", "reason"} <= known


# ── words and numbers ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "width", "unit", "text"),
    [
        (0.03149, 0.018, "", "+0.031"),
        (-0.0149, 0.0031, "fraction", "−1.49 pp"),
        (-0.00001, 0.02, "", "0.000"),
        (12345.6, 400.0, "target", "+12,346"),
        (None, None, "", "—"),
    ],
)
def test_gains_as_text(value, width, unit, text):
    assert words.Amounts({"name": "m", "unit": unit, "higher_is_better": True}).gain(value, width) == text


def test_sentences_say_the_direction_and_the_way_on():
    summary = summary_of(fake_results.label_study)
    said = {idea["arm"]: words.sentence(idea, summary) for idea in summary["ideas"]}
    assert said["longer"] == (
        "`longer` helps: log loss gets better by about 0.061 (95% interval: 0.043 to 0.079). "
        "Confirmed: it holds even with 20 ideas planned on these data."
    )
    assert said["hot"] == "`hot` hurts: log loss gets worse by about 1.42 (95% interval: 1.11 to 1.73)."
    assert "p ≤ 0.005" in said["bigger"]
    assert "about 4,200 rows" in said["mirror"]
    assert "inside the margin of ±0.0040" in said["other-seed"]


def test_a_confirmation_out_of_reach_is_said_so():
    summary = summary_of(fake_results.label_study)
    assert "cannot be confirmed" in words.sentence(summary["ideas"][1] | {"level": 0.0}, summary)


def test_headlines():
    summary = summary_of(fake_results.label_study)
    assert words.headline(summary) == "2 of 5 ideas help."
    assert words.headline(summary | {"ideas": summary["ideas"][:1]}) == "The idea helps."
    assert words.headline(summary | {"ideas": [summary["ideas"][-1]]}) == "The idea does not help."
    assert words.headline(summary_of(fake_results.undecided_study)) == "No idea is shown to help so far."
    assert words.headline(summary_of(fake_results.fit_study)) == "The baseline reaches accuracy 89.0%."


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ticks_are_round_and_on_the_axis():
    axis = Axis(-0.123, 0.456)
    assert axis.ticks() == [-0.1, 0.0, 0.1, 0.2, 0.3, 0.4]
    assert axis.at(-0.123) == 0
    assert axis.at(9) == 100
    assert Axis.over([3.0, 3.0]).holds(3.0)


def test_one_far_interval_does_not_squeeze_the_others():
    axis = gain_axis([(0.01, 0.03), (-0.02, 0.01), (-9.0, -7.0)], 0.004)
    assert axis.high - axis.low < 0.2
    assert not axis.holds(-7.0)
    assert gain_axis([], None).holds(0.0)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4), (300, 200, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_any_picture_becomes_a_small_uri(shape, dtype):
    uri = data_uri((np.random.default_rng(0).random(shape) * 255).astype(dtype))
    assert uri.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
    assert len(uri) < 40_000


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("make", STUDIES)
def test_the_page_is_whole_small_and_needs_no_network(make, lang):
    summary = summary_of(make, lang=lang)
    pictures = fake_results.pictures_for([one["id"] for one in summary["mistakes"]["worst"]])
    text = render_report(summary, pictures)
    page = Page(text)
    assert page.mistakes == []
    assert ("html", "lang", lang) in page.attributes
    assert len(text.encode()) < 3_000_000
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert [v for _, k, v in page.attributes if k in ("src", "href") and not v.startswith("data:image/")] == []
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("img") == 24


def test_names_cannot_break_out():
    summary = summary_of(fake_results.hostile_study)
    text = render_report(summary, fake_results.pictures_for([one["id"] for one in summary["mistakes"]["worst"]]))
    page = Page(text)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<script" not in text
    assert "49" not in "".join(page.texts[:4])  # {{ 7*7 }} is text, not a template
    shown = "".join(page.texts)
    for name in ('<script>alert("x")</script>', "{{ 7*7 }}", "</style><b>", "{name}", "%s"):
        assert name in shown


def test_the_language_is_put_back_even_after_an_error():
    use_language("en")
    render_report(summary_of(fake_results.label_study, lang="ja"))
    assert language() == "en"
    with pytest.raises(KeyError):
        render_report({"lang": "ja"})
    assert language() == "en"


def test_pictures_by_position_or_by_id_are_the_same():
    summary = summary_of(fake_results.label_study)
    by_id = fake_results.pictures_for([one["id"] for one in summary["mistakes"]["worst"]])
    at = {one["row"]: by_id[one["id"]] for one in summary["mistakes"]["worst"]}

    class Stored:
        def original(self, i):
            return at[i]

    assert render_report(summary, Stored()) == render_report(summary, by_id)


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    summary = summary_of(fake_results.fit_study)
    path = write_report(summary, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="file"):
        write_report(summary, tmp_path / "file" / "report.html")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_terminal_says_the_same_words(lang):
    use_language(lang)
    summary = summary_of(fake_results.interrupted_study, lang=lang)
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(verdict_table(summary))
    shown = console.export_text()
    for state in ("helps", "undecided", "waiting", "failed"):
        assert words.state_word(state) in shown
    assert "[/]" in _printed(verdict_table(_with_name(summary, "[bold]x[/]")))  # names are no markup


def _with_name(summary, name):
    return summary | {"ideas": [summary["ideas"][0] | {"arm": name}]}


def _printed(table):
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


# ── texts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _spoken():
    for file in sorted((SOURCE / "report").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                assert isinstance(node.args[0], ast.Constant), f"{file.name}:{node.lineno}: say() needs a literal"
                yield node.args[0].value
    for file in sorted((SOURCE / "report" / "templates").glob("*.j2")):
        calls = re.findall(r"""\bsay\(\s*(?:"([^"]*)"|'([^']*)')?""", file.read_text(encoding="utf-8"))
        for double, single in calls:
            assert double or single, f"{file.name}: say() needs a literal"
            yield double or single


def test_every_text_is_there_in_japanese_with_the_same_places():
    known = {}
    for file in (SOURCE / "texts" / "ja").glob("*.toml"):
        known |= {entry["en"]: entry["ja"] for entry in tomllib.loads(file.read_text(encoding="utf-8"))["text"]}
    spoken = set(_spoken())
    assert len(spoken) > 100
    assert sorted(spoken - known.keys()) == []

    def places(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert [text for text in spoken if places(text) != places(known[text])] == []
    own = tomllib.loads((SOURCE / "texts" / "ja" / "report.toml").read_text(encoding="utf-8"))["text"]
    assert sorted(entry["en"] for entry in own if entry["en"] not in spoken) == []  # nothing stale


# ── what maps did ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_maps_are_told_in_words_once_for_all_arms_they_are_the_same_in():
    summary = summary_of(fake_results.label_study)
    (account,) = maps_view(summary)
    assert account["names"] == ["mirror"]
    assert account["pictures"] == "Pictures: 42% mirrored, rotated by 3.8° on average."
    assert account["targets"][0]["text"] == (
        "`turn_left` ↔ `turn_right` swapped 817 times; `keep_left` ↔ `keep_right` swapped 805 times; "
        "`go_left` ↔ `go_right` swapped 801 times; kept in a mirror: 1 of 10 classes, 404 times; "
        "never mirrored: `speed_100`, `speed_20`, `speed_50`"
    )
    assert account["more"][0].startswith("1,320 maps (9%) were drawn again")
    summary["baseline"]["maps"] = dict(summary["ideas"][3]["maps"])
    assert [one["names"] for one in maps_view(summary)] == [["baseline", "mirror"]]
    summary["baseline"]["maps"] |= {
        "epochs_counted": 4,
        "targets": {"eyes": {"kind": "points", "changed": 7, "pairs": [["l", "r"]]}},
    }
    first, second = maps_view(summary)
    assert "first 4 of 20 epochs" in first["more"][-1]
    assert first["targets"] == [{"name": "eyes", "text": "`l` ↔ `r` changed places 7 times"}]
    assert second["names"] == ["mirror"]


def test_class_names_in_the_account_of_maps_cannot_break_out():
    summary = summary_of(fake_results.hostile_study)
    classes = summary["target"]["classes"] + [f"filler {i}" for i in range(10)]
    summary["baseline"]["maps"] = fake_results.sign_maps(tuple(classes[:10]))
    page = Page(render_report(summary))
    assert page.mistakes == []
    assert page.tags.count("script") == 0


def test_names_in_a_preview_are_text_and_cannot_break_out():
    evil = '"><script>alert(1)</script>'
    page = Page(render_report(summary_of(fake_results.label_study), sheet=fake_results.sheet(evil, evil, "右折")))
    assert page.mistakes == []
    assert page.tags.count("script") == 0
    assert f"sign: {evil} → 右折" in [text.strip() for text in page.texts]
    images = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert len(images) == 2 * 5
    assert all(one.startswith("data:image/") for one in images)


def test_a_summary_from_before_maps_were_counted_still_renders():
    summary = summary_of(fake_results.label_study)
    for arm in (summary["baseline"], *summary["ideas"]):
        del arm["maps"]
    assert check_summary(summary) == []
    assert 'id="maps"' not in render_report(summary)


# ── a real browser ──────────────────────────────────────────────────────────────────────────────────────────────────

MEASURE = """<script>addEventListener("load", () => {
  document.title = "measured " + document.documentElement.scrollWidth + " of " + innerWidth;
  const outside = e => !e.closest(".scroll, pre, svg");
  const wide = [...document.querySelectorAll("main *")].filter(outside)
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  document.body.dataset.wide = wide.map(e => e.tagName + "." + e.className).join(" ");
});</script></body>"""
FRAME = """<iframe id="f" src="report.html" style="width:WIDTHpx;height:900px;border:0"></iframe><pre id="said"></pre><script>
f.onload = () => setTimeout(() => {
  const page = f.contentDocument;
  said.textContent = page.title + " | wide: [" + page.body.dataset.wide + "]";
}, 50)</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize(
    ("make", "lang", "width"),
    [
        (fake_results.label_study, "ja", 1280),
        (fake_results.label_study, "ja", 400),
        (fake_results.twelve_ideas, "en", 400),
        (fake_results.hostile_study, "en", 400),
    ],
)
def test_it_renders_in_a_browser_without_sideways_scrolling(tmp_path, make, lang, width):
    text = render_report(summary_of(make, lang=lang), sheet=fake_results.sheet())
    text = re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", MEASURE)  # the page itself allows no script
    # a window of less than 500 px is not to be had, so the page is measured inside a frame
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    frame = FRAME.replace("WIDTH", str(width))
    (tmp_path / "frame.html").write_text(f"<!DOCTYPE html><body>{frame}", encoding="utf-8")
    dom = _chromium(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom", tmp_path / "frame.html"
    )
    assert f"measured {width} of {width} | wide: []" in dom


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_screenshot_shows_something(tmp_path):
    from PIL import Image

    write_report(summary_of(fake_results.label_study), tmp_path / "report.html")
    _chromium(tmp_path, "--window-size=1280,900", f"--screenshot={tmp_path / 'shot.png'}", tmp_path / "report.html")
    pixels = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    assert pixels.shape[1] == 1280
    green = (pixels[..., 1].astype(int) - pixels[..., 0] > 60).sum()  # the intervals and badges of what helps
    assert green > 300


def _chromium(folder, *arguments):
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
    ]
    command = ["chromium", *flags, f"--user-data-dir={folder / 'profile'}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


@pytest.mark.parametrize("make", STUDIES)
def test_a_notebook_shows_the_table_and_not_the_arrays(make):
    shown = repr(make())
    assert len(shown) < 6000
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "array(" not in shown
    assert all(arm.name[:12] in shown for arm in make().ideas)
