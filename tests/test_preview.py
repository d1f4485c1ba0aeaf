"""The preview: what its sheet says is what training uses, whatever kinds of field there are and whatever they are called."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import tamesu.lettering
from moved import CLASSES, MIRROR, every_kind, sign_rows, sign_study
from tamesu.batches import make_batches
from tamesu.cli import app
from tamesu.drawing import HOLE, colour_of, draw_cell, draw_sheet, lay_out
from tamesu.errors import ConfigError
from tamesu.lettering import Lettering, font_folders
from tamesu.meanings import changed_classes, meanings
from tamesu.preview import choose_rows, make_sheet
from tamesu.report import render_report
from tamesu.sheet import Cell, Mark, Note, Sheet
from tamesu.tally import training_feed
from tamesu.texts import use_language
from tamesu.trial import make_seed

has_japanese = pytest.mark.skipif(not Lettering().can_write("左折"), reason="no font with Japanese here")


@pytest.fixture(autouse=True)
def _english():
    use_language("en")


def cells_of(sheet, title):
    return {line.row: next(one for one in line.cells if one.title == title) for line in sheet.lines if not line.picture}


# ── what is shown is what training uses ─────────────────────────────────────────────────────────────────────────────


def test_names_and_pixels_are_those_of_the_training_batches(tmp_path):
    ideas = {"moved": {"augment": {"mirror": 0.5, "rotate_deg": 10, "brightness": 0.2, "noise": 0.05}}}
    plan = sign_study(tmp_path, ideas=ideas, size=24).check()
    recipe = plan.arms[1].recipe
    sheet = make_sheet(plan, plan.arms[1], n_variants=3)
    rows = plan.rows.take(plan.splits[0, 0].train)
    feed = training_feed(rows, recipe)
    classes = feed.targets["sign"].classes
    changed = 0
    for epoch in range(3):
        shown = cells_of(sheet, f"epoch {epoch + 1}")
        for batch in make_batches(feed, 16, epoch=epoch, seed=make_seed(recipe.train.seed, 0, 0), n_threads=0):
            for j, i in enumerate(batch.rows[: batch.n_real]):
                cell = shown.get(str(rows.ids[i]))
                if cell is not None:
                    note = cell.note("sign")
                    assert note.text == classes[batch.targets["sign"][j]]
                    np.testing.assert_array_equal(cell.pixels, batch.pictures["picture"][j])
                    assert note.is_changed == (note.text != note.was)
                    changed += note.is_changed
    assert changed


def test_the_exact_mirror_shows_the_pair_and_a_wrong_pair_is_seen_at_once(tmp_path):
    ideas = MIRROR | {"naive": {"augment": {"mirror": 0.5}, "fields": {"sign": {"mirror": "same"}}}}
    plan = sign_study(tmp_path, ideas=ideas, size=24).check()
    right, wrong = (cells_of(make_sheet(plan, arm), "mirrored") for arm in plan.arms[1:])
    scored = {line.row: line.cells[0].pixels for line in make_sheet(plan, plan.arms[1]).lines}
    pairs = {"keep_left": "keep_right", "keep_right": "keep_left", "左折": "右折", "右折": "左折", "round": "round"}
    seen = set()
    for row, cell in right.items():
        note = cell.note("sign")
        seen.add(note.was)
        if note.was == "speed_50":
            assert cell.pixels is None
            continue
        assert note.text == pairs[note.was]
        np.testing.assert_array_equal(cell.pixels, scored[row][:, ::-1])
        assert cell.note("offset").change == cell.note("offset").was + " → " + cell.note("offset").text
    assert seen == set(CLASSES)
    for row, cell in wrong.items():
        assert cell.note("sign").text == cell.note("sign").was
        np.testing.assert_array_equal(cell.pixels, scored[row][:, ::-1])


def test_the_same_study_gives_the_same_sheet(tmp_path):
    plan = sign_study(tmp_path / "one", size=24).check()
    again = sign_study(tmp_path / "two", size=24).check()
    images = [draw_sheet(make_sheet(one, one.arms[1])) for one in (plan, again)]
    assert images[0].tobytes() == images[1].tobytes()
    few = make_sheet(plan, plan.arms[1], n=2)
    rows = [line.row for line in few.lines]
    asked = make_sheet(plan, plan.arms[1], rows=rows[::-1])
    for line, other in zip(few.lines, asked.lines[::-1], strict=True):
        for cell, twin in zip(line.cells, other.cells, strict=True):
            assert cell.notes == twin.notes
            np.testing.assert_array_equal(cell.pixels, twin.pixels)


def test_a_scored_row_is_shown_as_the_fold_that_trains_on_it_sees_it(tmp_path):
    plan = sign_study(tmp_path, size=24).check()
    scored = str(plan.rows.ids[plan.splits[0, 0].test[0]])
    (line,) = make_sheet(plan, plan.arms[1], rows=[scored]).lines
    assert (line.row, line.fold) == (scored, 1)
    with pytest.raises(ConfigError, match="'no-such-row'"):
        make_sheet(plan, plan.arms[1], rows=["no-such-row"])


def test_every_class_appears_as_far_as_there_is_room_pairs_first(tmp_path):
    plan = sign_study(tmp_path, size=24).check()
    field = plan.arms[1].recipe.fields["sign"]
    values = plan.rows.values("sign", field)
    for n in (1, 4, 6, 9):
        chosen, n_left = choose_rows(plan.rows, plan.arms[1].recipe, n)
        assert len(set(chosen.tolist())) == n
        assert n_left == max(0, 6 - n)
        assert set(values[chosen[:4]]) <= {"keep_left", "keep_right", "左折", "右折"}
        if n >= 2:
            assert set(values[chosen[:2]]) == {"keep_left", "keep_right"}
        assert n < 6 or set(values[chosen]) == set(CLASSES)
    assert "2 more classes" in make_sheet(plan, plan.arms[1], n=4).remarks[-1]
    few, _ = choose_rows(plan.rows.take(slice(0, 3)), plan.arms[1].recipe, 8)
    assert len(few) == 3


def test_without_any_map_the_baseline_is_shown_with_the_way_to_an_idea(tmp_path):
    study = sign_study(tmp_path, size=24)
    shown = study.preview(n_variants=2)
    plan = study.check()
    assert [cell.title for cell in make_sheet(plan, plan.baseline, n_variants=2).lines[0].cells] == [
        "original",
        "epoch 1",
        "epoch 2",
    ]
    assert shown.path == tmp_path / "study" / "preview.png"
    assert shown.sentences[-2:] == (
        "baseline mirrors and turns no picture.",
        "Ideas that do: 'mirror'. To see one, name it with --idea.",
    )
    assert study.preview("mirror").sentences == tuple(meanings(plan.rows, plan.arms[1].recipe))


def test_an_idea_of_several_arms_must_be_named_exactly(tmp_path):
    study = sign_study(tmp_path, ideas={"chance": {"augment": {"mirror": [0.2, 0.5]}}}, size=24)
    with pytest.raises(ConfigError, match="must name one arm; it has 2"):
        study.preview("chance")
    name = study.check().arms[1].name
    assert study.preview(name, tmp_path / "x.png", n=1).path.exists()
    with pytest.raises(ConfigError, match="must be an idea of the study"):
        study.preview("no such idea")


# ── every kind ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory):
    plan = every_kind(tmp_path_factory.mktemp("runs"), size=[30, 40]).check()
    return plan, make_sheet(plan, plan.arms[1], n=5, n_variants=2)


def test_places_masks_and_names_move_together(all_kinds):
    _, sheet = all_kinds
    pictures = [line for line in sheet.lines if line.picture == "picture"]
    for line in pictures:
        original, mirrored = line.cells[0], line.cells[-2]
        assert mirrored.title == "mirrored"
        before, after = (
            {mark.name: mark.places[0] for mark in cell.marks if mark.field == "eyes"} for cell in (original, mirrored)
        )
        assert after["l"] == pytest.approx((39 - before["r"][0], before["r"][1]))  # the right eye is the left one now
        (box,) = (mark for mark in mirrored.marks if mark.kind == "box")
        assert box.places == ((28.0, 8.0), (36.0, 20.0))
        (was,), (area,) = original.areas, mirrored.areas
        assert area.name(int(area.ids[10, 6])) == was.name(int(was.ids[10, 6])) == "left"  # ids swapped as well as sides
        np.testing.assert_array_equal(area.ids > 0, (was.ids > 0)[:, ::-1])


def test_arrows_point_where_the_map_leaves_them(all_kinds):
    _, sheet = all_kinds
    depth = [line for line in sheet.lines if line.picture == "depth"]
    pictures = [line for line in sheet.lines if line.picture == "picture"]
    assert len(depth) == len(pictures) == 5
    arrows = 0
    for line in pictures:
        original, mirrored, turned = line.cells[0], line.cells[-2], line.cells[-1]
        for field in ("wind", "heading", "arrow"):
            steps = []
            for cell in (original, mirrored, turned):
                found = [mark for mark in cell.marks if mark.field == field]
                steps.append(np.subtract(found[0].places[1], found[0].places[0]) if found else None)
            if steps[0] is None:  # a direction that is none
                assert steps[1] is None
                continue
            arrows += 1
            np.testing.assert_allclose(steps[1], steps[0] * (-1, 1), atol=1e-6)
            np.testing.assert_allclose(steps[2], (steps[0][1], -steps[0][0]), atol=1e-6)
    assert arrows > 10
    assert all(mark.kind == "line" for line in pictures for cell in line.cells for mark in cell.marks if mark.field == "line")


def test_depth_is_coloured_and_its_holes_are_marked(all_kinds):
    _, sheet = all_kinds
    line = next(line for line in sheet.lines if line.picture == "depth")
    pixels = line.cells[0].pixels
    assert (pixels[3, 3] == HOLE).all()
    assert not (pixels[15, 15] == HOLE).all()
    assert (line.cells[-2].pixels[3, 36] == HOLE).all()
    assert line.cells[0].notes == ()  # words stand under the first picture of a sample


def test_a_series_is_drawn_as_a_track(all_kinds):
    _, sheet = all_kinds
    line = next(line for line in sheet.lines if line.picture == "picture")
    (track,), (mirrored,) = line.cells[0].tracks, line.cells[-2].tracks
    np.testing.assert_allclose(mirrored.lines["x, y"], track.lines["x, y"] * (-1, 1) + (1, 0))


def test_every_kind_is_drawn_with_its_legend(all_kinds):
    _, sheet = all_kinds
    image = draw_sheet(sheet, 120)
    layout = lay_out(sheet, 120, Lettering())
    assert image.width == layout.width
    assert image.height > layout.height
    assert set(sheet.marked) == {"eyes", "box", "mask", "wind", "heading", "line", "arrow", "track"}
    colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert {colour_of(sheet.marked, field, name) for field, names in sheet.marked.items() for name in names} <= colours


def test_rows_without_pictures_show_what_a_mirror_would_mean(tmp_path):
    plan = every_kind(tmp_path).check()
    kept = {name: plan.baseline.recipe.fields[name] for name in ("wind", "track", "tags", "heading")}
    recipe = plan.baseline.recipe.model_copy(update={"fields": kept})
    sheet = make_sheet(plan, replace(plan.baseline, recipe=recipe), n=3)
    assert [cell.title for cell in sheet.lines[0].cells] == ["original", "mirrored"]
    assert sheet.lines[0].cells[1].tracks
    draw_sheet(sheet)
    table = recipe.model_copy(update={"fields": {"tags": kept["tags"]}})
    with pytest.raises(ConfigError, match="must have pictures"):
        make_sheet(plan, replace(plan.baseline, recipe=table))


def test_the_words_for_a_mirror(tmp_path):
    plan = sign_study(tmp_path / "signs", sign={"turn": {"keep_left": "never"}}, size=24).check()
    recipe = plan.arms[1].recipe
    in_mirror, turned = meanings(plan.rows, recipe)
    assert in_mirror == (
        "sign, in a mirror: keep_left ↔ keep_right (16 and 16 rows), 右折 ↔ 左折 (16 and 16 rows); "
        "1 of 6 classes stay (16 rows); never shown so: speed_50 (16 rows)."
    )
    assert turned.endswith("5 of 6 classes stay (80 rows); never shown so: keep_left (16 rows).")
    assert changed_classes(recipe.fields["sign"], CLASSES) == ["keep_left", "keep_right", "右折", "左折"]
    plan = every_kind(tmp_path / "all", target="arrow").check()
    sentences = meanings(plan.rows, plan.arms[1].recipe)
    assert sentences[0].startswith("arrow, in a mirror: left ↔ right (8 and 8 rows); 3 of 5 classes stay")
    assert "down → right (8 rows)" in sentences[1]
    plan = every_kind(tmp_path / "points", target="eyes").check()
    assert meanings(plan.rows, plan.arms[1].recipe)[0] == "eyes, in a mirror: l ↔ r."


# ── letters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_font_without_the_letters_gives_numbers_and_says_so(tmp_path, monkeypatch):
    lettering = Lettering(folders=())
    assert lettering.spelled("keep_left → −3") in ("keep_left → −3", "keep_left > -3")
    assert not lettering.can_write("左折")
    assert lettering.spelled("左折") == "#1"
    assert lettering.spelled("右折") == "#2"
    assert lettering.spelled("左折") == "#1"
    assert lettering.numbers == {"左折": 1, "右折": 2}
    monkeypatch.setattr(tamesu.lettering, "font_folders", lambda: ())
    study = sign_study(tmp_path, size=24)
    use_language("ja")
    sentences = study.preview("mirror").sentences
    assert any(one.startswith("#") and one.endswith("= 左折") for one in sentences)
    assert "フォント" in sentences[1]
    assert len(sentences) == 4  # nothing but the two names: signs are made plainer instead
    plan = study.check()
    use_language("en")
    sheet = make_sheet(plan, plan.arms[1], n=4)
    assert draw_sheet(sheet, lettering=Lettering()).height > draw_sheet(replace(sheet, lines=sheet.lines[:1])).height


@has_japanese
def test_japanese_names_are_written_where_a_font_has_them(tmp_path):
    shown = sign_study(tmp_path, size=24).preview("mirror")
    assert not any(one.startswith("#") for one in shown.sentences)
    lettering = Lettering()
    assert lettering.spelled("左折") == "左折"
    assert not lettering.can_write("\U0010fffe")


def test_long_texts_are_cut_into_lines_that_fit():
    lettering = Lettering()
    for text in ("keep_left → keep_right", "a_very_long_class_name_without_any_blank", "左折 → 右折" * 9, "", "a b c " * 40):
        lines = lettering.lines(text, 70)
        assert 1 <= len(lines) <= 3
        assert all(lettering.width(one) <= 70 for one in lines)
    assert lettering.lines("keep_left → keep_right", 500) == ["keep_left → keep_right"]
    assert lettering.lines("abc " * 60, 80)[-1].endswith("…")
    assert all(isinstance(one, Path) for one in font_folders())


def test_many_marks_are_numbered_and_a_changed_value_has_a_ground():
    pixels = np.full((20, 30, 3), 128, dtype=np.uint8)
    names = tuple(f"point {i}" for i in range(9))
    marks = tuple(Mark("dot", name, ((3.0 * i, 10.0),), "body") for i, name in enumerate(names))
    cell = Cell("original", "", pixels, marks, notes=(Note("sign", "b", "a", True),))
    sheet = Sheet("t", (), (), {"body": names})
    plain = draw_cell(cell, 120, sheet.marked)
    assert plain.size == (120, 80)
    assert draw_cell(cell, 120, sheet.marked, Lettering()).tobytes() != plain.tobytes()
    assert cell.note("sign").change == "a → b"
    assert cell.note("other") is None


# ── command line and report ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def study_file(tmp_path):
    rows = sign_rows(48)
    (tmp_path / "pictures").mkdir()
    lines = ["file,sign,offset"]
    for i, (picture, sign, offset) in enumerate(zip(rows["picture"], rows["sign"], rows["offset"], strict=True)):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{i}.png")
        lines.append(f"pictures/{i}.png,{sign},{offset}")
    (tmp_path / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(
        "data: {train: train.csv}\nsize: 24\nfields:\n  file: {kind: image}\n  offset: {kind: number, mirror: negate}\n"
        "  sign: {kind: label, target: true, mirror: {keep_left: keep_right, 左折: 右折, speed_50: never}}\n"
        "model: {width: 8}\ntrain: {epochs: 1}\nfolds: {n_splits: 2, max_repeats: 1}\n"
        "ideas:\n  mirror: {augment: {mirror: 0.5}}\n",
        encoding="utf-8",
    )
    return tmp_path / "study.yaml"


def run(*words, lang="en"):
    """The command line in this process: (exit code, standard output)."""
    done = CliRunner().invoke(app, ["--lang", lang, *map(str, words)])
    return done.exit_code, done.stdout


def test_at_the_command_line(study_file):
    out = study_file.with_name("sheet.png")
    code, said = run("preview", study_file, "--idea", "mirror", "--n", 3, "--variants", 2, "--out", out, "--size", 64)
    path, *sentences = said.splitlines()
    assert code == 0
    assert path == str(out)
    assert sentences == [
        "sign, in a mirror: keep_left ↔ keep_right (8 and 8 rows), 右折 ↔ 左折 (8 and 8 rows); "
        "1 of 6 classes stay (8 rows); never shown so: speed_50 (8 rows)."
    ]
    with Image.open(io.BytesIO(out.read_bytes())) as image:
        assert image.width == 2 * 12 + 96 + 3 * (64 + 8) - 8  # one epoch is all it trains
        assert image.height > 3 * 64
    code, said = run("preview", study_file, "--rows", "3, 4", lang="ja")
    assert code == 0
    assert "sign、左右反転：keep_left ↔ keep_right" in said
    assert "--idea で指定" in said
    assert (study_file.parent / "runs" / "study" / "preview.png").exists()
    assert run("preview", study_file, "--idea", "miror")[0] != 0


def test_the_report_counts_maps_and_shows_them(tmp_path, study_file):
    from tamesu.study import Study

    study = Study.load(study_file)
    result = study.try_ideas(n_workers=0)
    assert result.baseline.maps is None
    counted = result.ideas[0].maps["targets"]["sign"]["classes"]
    n = counted["keep_left"]["became"]["keep_right"] + counted["keep_right"]["became"]["keep_left"]
    page = (study.folder.path / "report.html").read_text(encoding="utf-8")
    assert f"<code>keep_left</code> ↔ <code>keep_right</code> swapped {n} times" in page
    assert "never mirrored: <code>speed_50</code>" in page
    assert 'class="sub changed"' in page
    assert "→ 左折" in page or "→ 右折" in page
    assert page.count('<div class="views">') == 6
    again = render_report(study.folder.last_summary())  # from the JSON alone: the account without pictures
    assert "never mirrored: <code>speed_50</code>" in again
    assert '<div class="views">' not in again
