# ruff: noqa: E501 (one case a line)
"""study.yaml: every mistake with its line, and `keep` that changes what it should and nothing else."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from golden_text import check_golden
from tamesu.arms import make_arms, patched
from tamesu.document import config_from_mapping, read_study, resolved_yaml
from tamesu.errors import ConfigError, StoreError
from tamesu.texts import language, use_language

STUDY = """\
# 交通標識の study
name: traffic-signs
data: {train: train.csv}
fields:
  file:   {kind: image}          # the picture
  sign:   {kind: label, target: true, mirror: {keep_left: keep_right}}
  track:  {kind: group}
  age:    {kind: number, missing: mean}
folds: {n_splits: 5, group: track}
size: 48

ideas:
  # a bigger picture
  bigger:   {size: 64}           # 大きな画像
  mirror:   {augment: {mirror: 0.5}}
  batch:    {train: {batch_size: [16, 32, 64]}}
  no-age:   {fields: {age: {kind: ignore}}}
# the end
"""

BROKEN = {
    "many": """\
name: 3
data: {train: train.csv}
fields:
  file: {kind: image}
  sign: {kind: label, target: true, mirror: {a: b, b: c}}
  track: {kind: group}
  steer: {kind: nummer}
  plain: 3
  short: nummer
folds: {n_splits: 1, group: trck, stratify: file}
metric: rmse
augment:
  mirror: 0.5
  rotate_deg:
    - 20
    - -5
  scale: 2
  boarder: edge
model: {activation: geluu, backbone: resnet18, weights: hub}
train: {epocs: 3, learning_rate: .inf, batch_size: true}
upright: yes
despite: uprigt
epochs: 3
channels: {coords: yes-please}
ideas:
  bigger: {sise: 3}
  folds: {folds: {n_splits: 3}, metric: auc}
  batch: {train: {batch_size: [16, -3, x]}}
  empty: {}
  none:
  gone: {fields: {track: {kind: ignore}, sign: {separator: ","}}}
  kind: {fields: {sign: {kind: number}}}
""",
    "between": """\
data: {train: train.csv}
fields:
  file: {kind: image}
  sign: {kind: label, target: true}
  steer: {kind: number, target: true}
  copy: {kind: label, column: sign}
  track: {kind: group}
metric: log_los
folds: {scheme: leave_one_group_out}
upright: true
learner: lightgbn
augment: {mirror: 0.5, rotate_deg: [-30, 30]}
""",
    "meaning": """\
data: {train: train.csv}
fields:
  photo: {kind: image}
  other: {kind: image, mirror: {swap_with: photo}}
  heart: {kind: mask, names: {1: left_ventricle, 2: right_ventricle}, mirror: {left_ventricle: right}}
  track:
    kind: series
    table: {file: points.csv, key: id, columns: [x, y, force], order: t}
    vectors: [[x, y]]
    mirror:
      negate: [x]
      swap: {x: z}
  sign:
    kind: label
    target: true
    turn: {up: left, left: down, down: up}
  left:  {kind: number, mirror: {swap_with: rihgt}}
  right: {kind: number, mirror: {swap_with: left}}
  way: {kind: direction, angles: {up: 90, north: 90}}
upright: true
augment:
  mirror: 0.5
  flip: 0.5
  rotate_deg: {range: [20, 10], chance: 0.5}
  crop: 2
tta: {turns: true}
ideas:
  turned: {augment: {turn: 0.5}}
  naive: {fields: {sign: {mirror: same, turn: same}}, augment: {mirror: 0.5}}
""",
    "ideas": """\
data: {train: train.csv}
fields:
  file: {kind: image}
  sign: {kind: label, target: true}
  age: {kind: number}
upright: true
train: {batch_size: 32}
ideas:
  same: {train: {batch_size: 32}}
  same-again: {train: {batch_size: [32]}}
  unheard: {despite: upright}
  mirror: {augment: {mirror: 0.5}}
  turn: {augment: {rotate_deg: 40}}
  column: {fields: {age: {column: years}}}
  nothing: {train: {batch_size: []}}
  too-many: {train: {epochs: [1,2,3,4,5,6,7,8,9,10,11], batch_size: [1,2,3,4,5,6,7,8,9,10]}}
  other-target: {fields: {age: {target: true}}}
  baseline: {size: 64}
""",
    "duplicates": "data: {train: a.csv, train: b.csv}\nname: x\nfields: {}\nname: y\n? [a, b]\n: 1\nbad: !!python/object:os.system {}\n",
    "tab": "data:\n\ttrain: a.csv\n",
    "unclosed": "data: {train: a.csv\nfields: 3\n",
    "colon": "name: a: b\n",
    "alias": "data: *nowhere\n",
    "cycle": "data: &a {train: *a}\n",
    "two": "name: a\n---\nname: b\n",
    "control": "name: a\nlang: \x07\n",
    "empty": "# nothing yet\n",
    "list": "- name\n- fields\n",
    "nothing-declared": "name: x\n",
    "no-data": "fields: {x: {kind: number}, y: {kind: number, target: true}}\n",
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = language()
    yield
    use_language(before)


def write(text: str, name: str = "study.yaml") -> str:
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return name


def mistakes(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_study(write(text))
    assert caught.value.exit_code == 2
    return str(caught.value) + "\n"


@pytest.mark.parametrize("case", BROKEN)
def test_mistakes_golden(case):
    check_golden(f"study_{case}.txt", mistakes(BROKEN[case]))


def test_mistakes_golden_japanese():
    use_language("ja")
    check_golden("study_many.ja.txt", mistakes(BROKEN["many"]))


def test_files_that_are_no_study_golden(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.yaml").write_bytes("name: a\nlang: é\n".encode("latin-1"))
    (tmp_path / "table.csv").write_bytes(b"a,b\n" * 1_000_001)
    found = []
    for name in ("missing.yaml", "folder", "latin.yaml", "table.csv"):
        with pytest.raises(ConfigError) as caught:
            read_study(name)
        found.append(str(caught.value))
    check_golden("study_files.txt", "\n".join(found) + "\n")


def test_no_word_of_pydantic_is_shown():
    for text in BROKEN.values():
        said = mistakes(text)
        assert "pydantic" not in said
        assert "Input should" not in said
        assert "constrained" not in said
        assert "tuple[" not in said


def test_from_python_golden():
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(
            {"fields": {"x": {"kind": "numbr"}, "y": {"kind": "label", "target": 1}}, "folds": {"group": "g"}, "sise": 3}
        )
    check_golden("study_python.txt", str(caught.value) + "\n")


def test_class_names_may_be_bare_numbers():
    fields = {"x": {"kind": "image"}, "y": {"kind": "label", "target": True, "mirror": {6: 9}, "missing_values": [0]}}
    label = config_from_mapping({"fields": fields}).fields["y"]
    assert label.mirror == {"6": "9"}
    assert label.missing_values == ("0",)


def test_a_field_in_short():
    config = config_from_mapping({"fields": {"x": "image", "y": {"kind": "label", "target": True}}})
    assert config.fields["x"] == type(config.fields["x"])()


def test_mistakes_are_told_in_the_language_of_the_study():
    said = mistakes("data: {train: a.csv}\nlang: ja\nsise: 3\nfields: {x: image, y: {kind: label, target: true}}\n")
    assert said == "study.yaml:3 sise: 'sise' という設定項目はありません。'size' のことですか？\n"


def test_lines_of_every_key():
    config, document = read_study(write(STUDY))
    assert config.name == "traffic-signs"
    assert document.where(("fields", "sign", "mirror", "keep_left")) == "study.yaml:6 fields.sign.mirror.keep_left"
    assert document.where(("ideas", "batch", "train", "batch_size", 1)) == "study.yaml:16 ideas.batch.train.batch_size[1]"
    assert document.where(("train", "epochs")) == "study.yaml:2 train.epochs"  # not there: where the study begins
    assert document.where(("folds", "seed")) == "study.yaml:9 folds.seed"  # not there: its section
    assert document.locate("ideas.no-age") == "study.yaml:17 ideas.no-age"


def test_locate_names_with_dots():
    _, document = read_study(write(STUDY.replace("bigger:", '"a.b":')))
    assert document.locate("ideas.a.b") == "study.yaml:14 ideas.'a.b'"


def test_empty_sections_are_the_defaults():
    config, _ = read_study(write(STUDY.split("ideas:")[0] + "augment:\nideas:\n  # later\n"))
    assert config.ideas == {}
    assert config.augment.mirror == 0


# ---- keep


def keep(name: str, text: str = STUDY) -> str:
    config, document = read_study(write(text))
    arm = next(one for one in make_arms(config, (32, 32)) if one.name == name)
    after = document.keep(arm)
    wanted = patched(config, arm.patch)
    wanted = wanted.model_copy(update={"ideas": {key: one for key, one in wanted.ideas.items() if key != arm.idea}})
    assert read_study("study.yaml")[0] == wanted == document.config
    return after


@pytest.mark.parametrize("name", ["bigger", "mirror", "batch: batch_size=16", "batch: batch_size=64", "no-age"])
def test_keep_changes_only_its_lines(name):
    after = keep(name)
    before_lines, after_lines = STUDY.split("\n"), after.split("\n")
    assert len([line for line in before_lines if line not in after_lines]) <= 2
    assert len([line for line in after_lines if line not in before_lines]) == 1
    for comment in ("# 交通標識の study", "# the picture", "# a bigger picture", "# the end"):
        assert comment in after


def test_keep_golden():
    check_golden("keep.txt", keep("mirror") + "=====\n" + keep("bigger") + "=====\n" + keep("no-age"))


HEAD = "data: {train: t.csv}\nfields:\n  file: {kind: image}\n  y: {kind: label, target: true, mirror: same}\n  age: {kind: number}\n"
SHAPES = {
    "block": HEAD
    + "train:\n  epochs: 3 # few\n  # more\nideas:\n  i:\n    train:\n      epochs: 5\n    augment:\n      noise: 0.1\n",
    "flow": "{data: {train: t.csv}, fields: {x: {kind: number}, y: {kind: number, target: true}}, ideas: {i: {train: {epochs: 5}}}}",
    "flow, more ideas": "{data: {train: t.csv}, ideas: {h: {train: {ema: 0.9}}, i: {train: {epochs: 5}}, }, "
    "fields: {x: {kind: number}, y: {kind: number, target: true}}}\n",
    "json": '{"data": {"train": "t.csv"},\n "fields": {"x": {"kind": "number"}, "y": {"kind": "number", "target": true}},\n'
    ' "ideas": {\n  "i": {"train": {"epochs": 5}}\n }}\n',
    "empty section": HEAD + "train:\naugment:   # later\nideas: {i: {train: {epochs: 5}, augment: {noise: 0.1}}}\n",
    "anchor in the idea": HEAD + "ideas:\n  i: {train: &t {epochs: 5}}\n  j: {train: *t, size: 20}\n",
    "alias in the baseline": HEAD
    + "train: &t {ema: 0.9}\nideas:\n  j: {train: {epochs: 7}, size: 20}\n  i: {train: {epochs: 5}}\n",
    "shared number": HEAD + "folds: {seed: &s 3}\ntrain: {seed: *s, epochs: 2}\nideas:\n  i: {train: {seed: 4}}\n",
    "shared field": HEAD + "  b: &f {kind: number, missing: mean}\n  c: *f\nideas:\n  i: {fields: {c: {missing: median}}}\n",
    "merge key": HEAD
    + "  b: &f {kind: number, missing: mean}\n  c: {<<: *f, scale: none}\nideas:\n  i: {fields: {c: {missing: median}}}\n",
    "merge key, changed source": HEAD
    + "  b: &f {kind: number, missing: mean}\n  c: {<<: *f}\nideas:\n  i: {fields: {b: {missing: median}}}\n",
    "no newline at the end": HEAD + "ideas: {i: {train: {epochs: 5}}}",
    "last line of a block": HEAD + "ideas:\n  i: {train: {epochs: 5}}\n\n\n# after blank lines\n",
    "a new field": HEAD + "ideas:\n  i: {fields: {新しい列: {kind: label, rare: 3}}}\n",
    "another kind": HEAD
    + "  zone:\n    kind: number  # a code\n    column: ゾーン\n    missing: mean\n  z: {kind: number}\nideas:\n"
    "  i: {fields: {zone: {kind: label}}}\n",
    "a field in short": HEAD + "  b: number  # in short\nideas:\n  i: {fields: {b: {skew: log1p}}}\n",
    "a field in short to another kind": HEAD + "  b: number\nideas:\n  i: {fields: {b: label}}\n",
    "a field to one in short": HEAD + "  b: {kind: number, skew: log1p}\nideas:\n  i: {fields: {b: label}}\n",
    "a mapping to a word": HEAD.replace("same", "{a: b}")
    + "augment: {mirror: 0.5}\nideas:\n  i: {fields: {y: {mirror: same}}}\n",
    "a word to a mapping": HEAD
    + "augment: {mirror: 0.5}\nideas:\n  i: {fields: {y: {mirror: {右: 左, 'no': 'yes', '1': '2'}}}}\n",
    "a pair": HEAD
    + "augment:\n  scale:\n    - 0.9\n    - 1.1\n  noise: 0.2\nideas:\n  i: {augment: {scale: [0.8, 1.2]}, size: [20, 30]}\n",
    "ideas first": "ideas:\n  i: {train: {epochs: 5}}\n" + HEAD,
    "quoted keys": HEAD + '"train": {"epochs": 3}\nideas:\n  "i": {"train": {"epochs": 5}}\n',
    "comment behind a key": HEAD
    + "train: # fixed\n  epochs: 3\nideas: # to try\n  i: # longer\n    train: {epochs: 5} # five\n",
    "folded text": HEAD + "name: >\n  a long\n  name\nideas:\n  i: {train: {epochs: 5}}\n",
    "explicit key": HEAD + "? train\n: {epochs: 3}\nideas:\n  i: {train: {epochs: 5}}\n",
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("shape", SHAPES)
def test_keep_equals_the_patched_study(shape, newline):
    keep("i", SHAPES[shape].replace("\n", newline))
    written = open("study.yaml", encoding="utf-8", newline="").read()  # noqa: SIM115
    assert written.count("\r\n") == (written.count("\n") if newline == "\r\n" else 0)
    for comment in (
        line.split("#")[1] for line in SHAPES[shape].split("\n") if "#" in line and shape != "comment behind a key"
    ):
        assert comment.strip() in written


VALUES = {
    ("train", "epochs"): st.integers(1, 99),
    ("train", "learning_rate"): st.floats(1e-9, 1e3),
    ("train", "compile"): st.booleans(),
    ("augment", "scale"): st.floats(0, 0.99) | st.tuples(st.floats(0.1, 0.9), st.floats(1, 2)).map(list),
    ("augment", "border"): st.sampled_from(["edge", "constant"]),
    ("model", "weights"): st.just("none"),
    ("model", "width"): st.integers(1, 512),
    ("size",): st.integers(1, 99) | st.lists(st.integers(1, 99), min_size=2, max_size=2),
    ("fields", "age"): st.just({"kind": "ignore"}) | st.fixed_dictionaries({"indicator": st.booleans()}),
    ("fields", "y", "mirror"): st.sampled_from(["same", "never"])
    | st.dictionaries(st.text(min_size=1, max_size=5), st.just("never"), min_size=1, max_size=3),
}
LINES = [
    "train: {epochs: 7}  # 七",
    "augment:\n  scale: 0.5\n  # 明るさ\n  noise: 0.1",
    "model: {width: 8,\n   depth: 1}",
    "size: 10 # px",
    "# alone",
]


@settings(max_examples=40, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(sorted(VALUES, key=str)), min_size=1, max_size=4, unique=True),
    lines=st.lists(st.sampled_from(LINES), unique=True),
    data=st.data(),
)
def test_keep_law(tmp_path_factory, chosen, lines, data):
    """Whatever the patch and the file: what is kept loads as the patched study, and every comment is still there."""
    patch: dict = {}
    for path in chosen:
        here = patch
        for key in path[:-1]:
            here = here.setdefault(key, {})
        here[path[-1]] = data.draw(VALUES[path])
    text = HEAD + "".join(f"{line}\n" for line in lines)
    raw = YAML(typ="safe", pure=True).load(text)
    whole = text + resolved_ideas(patch)
    os.chdir(tmp_path_factory.mktemp("keep"))
    config, document = read_study_or_none(whole)
    if config is None:  # the patch happens to change nothing
        return
    (arm,) = make_arms(config, (33, 33))[1:]
    document.keep(arm)
    after, _ = read_study("study.yaml")
    assert after == patched(config_from_mapping(raw), patch)
    kept = open("study.yaml", encoding="utf-8").read()  # noqa: SIM115
    assert all(line.split("#")[1] in kept for line in text.split("\n") if "#" in line)


def resolved_ideas(patch: dict) -> str:
    from tamesu.yamltext import written

    return written({"ideas": {"i": patch}})


def read_study_or_none(text: str):
    try:
        return read_study(write(text))
    except ConfigError as error:
        if all("must change" in one for one in error.mistakes):
            return None, None
        raise


@pytest.mark.parametrize(
    "text",
    [
        "\U00018d09",
        "😀",
        "a\tb\n",
        "\x85\u2028\ufeff",
        "~",
        "<<",
        "null",
        "1_0",
        "yes",
        "010",
        "a #b",
        "*a",
        ": ",
        "{",
        "'\"\\\\",
    ],
)
def test_any_text_is_written_so_that_it_reads_the_same(text):
    from tamesu.yamltext import YamlText, written

    values = {text: text, "list": [text, {"inner": text}], "nested": {"deep": text}}
    assert YamlText(written(values)).values == values


def test_keep_refuses_what_would_not_load_and_writes_nothing():
    text = STUDY.replace("  mirror:   {augment", "  also:     {size: 64}\n  mirror:   {augment")
    config, document = read_study(write(text))
    with pytest.raises(ConfigError, match=r"ideas\.also: must change something"):
        document.keep(make_arms(config, (32, 32))[1])
    assert open("study.yaml", encoding="utf-8").read() == text  # noqa: SIM115


def test_keep_refuses_a_file_that_has_changed():
    config, document = read_study(write(STUDY))
    write(STUDY + "# edited meanwhile\n")
    with pytest.raises(ConfigError, match="has changed since"):
        document.keep(make_arms(config, (32, 32))[1])


def test_keep_retains_mode_and_link(tmp_path):
    write(STUDY, "real.yaml")
    os.chmod("real.yaml", 0o640)
    os.symlink("real.yaml", "study.yaml")
    config, document = read_study("study.yaml")
    document.keep(make_arms(config, (32, 32))[1])
    assert os.path.islink("study.yaml")
    assert stat.S_IMODE(os.stat("real.yaml").st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["real.yaml", "study.yaml"]


def test_keep_leaves_the_file_when_the_disk_is_full(monkeypatch):
    config, document = read_study(write(STUDY))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        document.keep(make_arms(config, (32, 32))[1])
    assert open("study.yaml", encoding="utf-8").read() == STUDY  # noqa: SIM115
    assert os.listdir(".") == ["study.yaml"]


def test_resolved_yaml_is_the_study():
    config, _ = read_study(write(STUDY))
    assert config_from_mapping(YAML(typ="safe", pure=True).load(resolved_yaml(config))) == config


def test_resolved_yaml_holds_no_password():
    data = {"train": {"sql": "select 1", "url": "postgresql://me:secret@host/db"}}
    fields = {"x": {"kind": "number"}, "y": {"kind": "number", "target": True}}
    text = resolved_yaml(config_from_mapping({"data": data, "fields": fields}))
    assert "secret" not in text
    assert "postgresql://me:***@host/db" in text
