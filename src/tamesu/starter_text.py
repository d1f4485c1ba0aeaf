"""The text of a first study.yaml: what was guessed, and in comments what else could be said."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tamesu.fields import KINDS
from tamesu.guess import Column
from tamesu.proposals import mirror_pairs
from tamesu.starter import Sketch
from tamesu.texts import language, say

PLAIN = re.compile(r"([^\W\d]|/)[\w./-]*( [\w./-]+)*")
NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "~", "nan", "inf"})
SPELT_MISSING = frozenset({"?", "na", "n/a", "nan", "null"})  # "None" and "Unknown" may be answers
MENTIONED = 30  # columns in comments at most
METRICS = {
    "label": "log_loss | accuracy | balanced_accuracy | f1_macro | auc | qwk | mcc | brier",
    "labels": "log_loss | f1_micro | f1_macro | average_precision",
    "number": "rmse | mae | rmsle | r2 | mape | pinball_0.9",
}


def render(sketch: Sketch) -> str:
    """The whole file."""
    lines = [
        comment(say("What tamesu guessed from the data. Read it, correct it, then run: tamesu try study.yaml")),
        f"name: {scalar(sketch.name)}",
        *([f"lang: {language()}"] if language() != "en" else []),
        "",
        *_data(sketch),
        "",
        *_fields(sketch),
        "",
        comment(say("How good a prediction is. Others: {metrics}", metrics=METRICS[sketch.target_kind])),
        f"metric: {'rmse' if sketch.target_kind == 'number' else 'log_loss'}",
        "",
        *_folds(sketch),
        *_size(sketch),
        "",
        comment(say("Each idea is tried with and without; the same folds and seeds for both.")),
        "ideas:",
        *(f"  {name}: {flow(patch)}" for name, patch in ideas(sketch).items()),
        *_move_ideas(sketch),
    ]
    return "\n".join(lines) + "\n"


def ideas(sketch: Sketch) -> dict[str, dict[str, Any]]:
    """A few things worth trying on nearly any data of this kind."""
    if sketch.image is not None:
        size = sketch.size or 32
        return {
            "bigger": {"size": -(-size * 3 // 2 // 8) * 8},
            "longer": {"train": {"epochs": 40}},
            "rotate": {"augment": {"rotate_deg": 10}},
            "translate": {"augment": {"translate": 0.15}},
        }
    found: dict[str, dict[str, Any]] = {
        **_boosted(sketch),
        "longer": {"train": {"epochs": 40}},
        "wider": {"model": {"hidden": 128}},
    }
    holes = [column.name for column, kind in sketch.features if kind == "number" and column.n_missing]
    if holes:
        found["tell-missing"] = {"fields": {name: {"indicator": True} for name in holes[:3]}}
    else:
        found["faster"] = {"train": {"learning_rate": 0.005}}
    return found


def _boosted(sketch: Sketch) -> dict[str, dict[str, Any]]:
    """The first question of a table: would gradient boosting do better?"""
    installed = [one for one in ("lightgbm", "xgboost", "catboost") if importlib.util.find_spec(one)]
    return {"boosted": {"learner": installed[0]}} if installed and sketch.target_kind in ("label", "number") else {}


def scalar(value: object) -> str:
    """A value as YAML writes it, in quotes only where it would be read as something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) is not None and value.lower() not in NOT_TEXT
        return value if is_plain or value == "." else json.dumps(value, ensure_ascii=False)
    return str(value)


def flow(value: object) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def comment(text: str, indent: int = 0) -> str:
    """A comment of one or several lines."""
    return "\n".join(" " * indent + f"# {line}" for line in text.splitlines())


def _data(sketch: Sketch) -> Iterator[str]:
    layout = sketch.layout
    yield "data:"
    yield f"  train: {scalar(layout.train)}"
    if sketch.split is not None:
        counts = ", ".join(f"{name} {n}" for name, n in sketch.split.counts.most_common())
        yield comment(say("Column {name!r} says {counts}. All rows are used here.", name=sketch.split.name, counts=counts), 2)
        yield comment(say("To keep its test rows out, put them into a file of their own and name that under test."), 2)
    if layout.test is not None:
        yield f"  test: {scalar(layout.test)}"
    if layout.sample is not None:
        yield f"  sample_submission: {scalar(layout.sample)}"
    if sketch.root != ".":
        yield f"  root: {scalar(sketch.root)}"
    if sketch.id is not None:
        yield f"  id: {scalar(sketch.id.name)}"


def _fields(sketch: Sketch) -> Iterator[str]:
    yield comment(say("What each column means. Kinds: {kinds}", kinds=", ".join(KINDS)))
    yield "fields:"
    if sketch.image is not None:
        yield f"  {scalar(sketch.image.name)}: {{kind: image}}"
    yield from _target(sketch)
    if sketch.group is not None:
        yield f"  {scalar(sketch.group.name)}: {{kind: group}}"
    for column, kind in sketch.features:
        yield f"  {scalar(column.name)}: {flow({'kind': kind, **_missing(column, kind)})}"
    if sketch.left_out:
        yield comment(say("Left out; remove the # to use one:"), 2)
    for column, kind, why in sketch.left_out[:MENTIONED]:
        declared: dict[str, Any] = {"kind": kind}
        partner = _partner(sketch, column, kind)
        if partner is not None:
            declared["mirror"] = {"swap_with": partner}
            why = f"{why}; {say('proposal: check the mirror')}"
        yield f"  # {scalar(column.name)}: {flow(declared)}    # {why}"
    if len(sketch.left_out) > MENTIONED:
        yield comment(say("and {n} more", n=len(sketch.left_out) - MENTIONED), 2)
    yield from _points(sketch)


def _partner(sketch: Sketch, column: Column, kind: str) -> str | None:
    """The column that this one seems to change places with in a mirror: of one kind with it, and in the file too."""
    name = sketch.moves.partners.get(column.name)
    kinds = {one.name: its for one, its, _ in sketch.left_out[:MENTIONED]} | {sketch.target.name: sketch.target_kind}
    return name if name is not None and kinds.get(name) == kind and kind in ("label", "number") else None


def _target(sketch: Sketch) -> Iterator[str]:
    target, kind = sketch.target, sketch.target_kind
    declared: dict[str, Any] = {"kind": kind, "target": True}
    if sketch.separator not in (None, " "):
        declared["separator"] = sketch.separator
    proposed = list(_proposals(sketch))
    if proposed:  # a key a line, so that one more is one # less
        yield f"  {scalar(target.name)}:"
        yield from (f"    {key}: {scalar(value)}" for key, value in declared.items())
    else:
        yield f"  {scalar(target.name)}: {flow(declared)}"
    yield from proposed
    if target.n_missing:
        yield comment(say("{n} rows have no target: leave them out of the table before training.", n=target.n_missing), 4)
    if kind == "label":
        alone = [label for label, n in target.counts.items() if n == 1]
        if alone:
            yield comment(say("Classes with one row must be joined with another: {classes}", classes=", ".join(alone[:8])), 4)
        if target.numbers is not None and len(target.counts) > 2:
            yield comment(say("If its order or its amount counts, try kind: number, or metric: qwk."), 4)


def _folds(sketch: Sketch) -> Iterator[str]:
    if sketch.group is not None:
        name, n = sketch.group.name, len(sketch.group.counts)
        yield comment(
            say(
                "Rows of one {name!r} ({n} of them) stay on one side of a split: alike rows on both would flatter.",
                name=name,
                n=n,
            )
        )
        yield f"folds: {{n_splits: 5, group: {scalar(name)}}}"
    else:
        yield "folds: {n_splits: 5}"
    for column in sketch.maybe_groups:
        name, n = column.name, len(column.counts)
        yield comment(say("{name!r} ({n} values) may be a group. Then add to fields and folds:", name=name, n=n))
        yield comment(f"  {scalar(name)}: {{kind: group}}        folds: {{n_splits: 5, group: {scalar(name)}}}")


def _size(sketch: Sketch) -> Iterator[str]:
    if sketch.size is not None and sketch.picture_shape is not None:
        h, w = sketch.picture_shape
        yield ""
        yield comment(say("Pixels a side, or [height, width]; the pictures are {h} × {w} (median).", h=h, w=w))
        yield f"size: {sketch.size}"


def _move_ideas(sketch: Sketch) -> Iterator[str]:
    moves = sketch.moves
    if moves.pairs or moves.turns:
        name = "mirror" if moves.pairs else "turn"
        yield comment(say("Once what {name} does is right above; look: tamesu preview study.yaml --idea {name}", name=name), 2)
    if moves.pairs:
        yield "  # mirror: {augment: {mirror: 0.5}}"
    if moves.turns:
        yield "  # turn: {augment: {turn: 0.5}}"


def _proposals(sketch: Sketch) -> Iterator[str]:
    """What could be said of the target, to be looked at by a person."""
    moves, partner = sketch.moves, _partner(sketch, sketch.target, sketch.target_kind)
    if moves.pairs or moves.turns or partner:
        yield comment(say("proposal: check. Names suggest what a mirror or a turn does; remove the # where it is so:"), 4)
    if moves.pairs:
        yield comment(f"mirror: {flow(moves.pairs)}", 4)
    elif partner:
        yield comment(f"mirror: {flow({'swap_with': partner})}", 4)
    if moves.turns:
        yield comment(say("what each becomes in a quarter turn anticlockwise:"), 4)
        yield comment(f"turn: {flow(moves.turns)}", 4)
    if moves.angles:
        yield comment(say("or, in place of kind, mirror and turn: classes that point somewhere, in degrees from the right:"), 4)
        yield comment("kind: direction", 4)
        yield comment(f"angles: {flow({name: int(angle) for name, angle in moves.angles.items()})}", 4)


def _points(sketch: Sketch) -> Iterator[str]:
    points = sketch.moves.points
    if points:
        declared: dict[str, Any] = {"kind": "points", "points": points}
        pairs = mirror_pairs(points)
        if pairs:
            declared["mirror"] = pairs
        yield comment(
            say("proposal: check. Points of the picture; to predict them, give target: true to this field instead:"), 2
        )
        yield comment(f"points: {flow(declared)}", 2)


def _missing(column: Column, kind: str) -> dict[str, list[str]]:
    """Texts of a label that look like an empty cell; numbers know them anyway."""
    if kind != "label":
        return {}
    spelt = sorted({cell for cell in column.cells if cell is not None and cell.lower() in SPELT_MISSING})
    return {"missing_values": spelt} if spelt else {}
