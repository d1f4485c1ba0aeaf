"""Materials and documents with everything the page of `look` draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from tamesu.look.columns import read_column
from tamesu.look.finding import Finding, Suggestion
from tamesu.look.material import Material, PictureFacts, Populations
from tamesu.look.profile import find_profile


def table_material(n: int = 600, seed: int = 0, **more) -> Material:
    """Train (two thirds) and test with numbers, dates, categories, text, holes and a shift in `x`."""
    rng = np.random.default_rng(seed)
    is_test = np.arange(n) >= 2 * n // 3
    amount = rng.lognormal(3, 2, n)
    amount[rng.random(n) < np.where(is_test, 0.3, 0.02)] = np.nan
    frame = pd.DataFrame(
        {
            "label": rng.choice(["cat", "dog", "a_label_with_a_long_name_that_does_not_fit"], n, p=[0.6, 0.3, 0.1]),
            "x": rng.normal(0, 1, n) + 1.5 * is_test,
            "amount": amount,
            "year": rng.integers(1990, 2021, n),
            "colour": rng.choice(["red", "green", "blue", ""], n),
            "town": rng.choice([f"town {i}" for i in range(40)], n),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="D"),
            "remark": [f"row {i}: {'very ' * int(rng.integers(1, 9))}long remark <b>&</b>" for i in range(n)],
            "nothing": [None] * n,
        }
    )
    frame.loc[is_test, "label"] = None
    columns = {name: read_column(frame[name], name, is_target=name == "label") for name in frame}
    classes = ("a_label_with_a_long_name_that_does_not_fit", "cat", "dog")
    labels = frame["label"].map({name: i for i, name in enumerate(classes)}).fillna(-1).to_numpy(np.int64)
    known = {
        "target": "label",
        "target_kind": "label",
        "classes": classes,
        "labels": labels,
        "populations": Populations("table", ("train", "test"), is_test.astype(np.int64)),
    } | more
    ids = np.array([f"r{i:04d}" for i in range(n)], dtype=object)
    return Material("pets", ids, is_test.astype(np.int8), columns, np.arange(n, dtype=np.uint64), **known)


def picture_facts(folder, n: int, kind: str = "image", seed: int = 0) -> PictureFacts:
    """Pictures on disk of noise on a slope, the second one damaged, the third one not there."""
    rng = np.random.default_rng(seed)
    paths, status = np.array([""] * n, dtype=object), np.array([""] * n, dtype=object)
    for i in range(n):
        h, w = 40 + i % 30, 60
        slope = np.linspace(0, 200, w)[None, :, None] * np.ones((h, 1, 1))
        path = folder / f"{kind}{i}.png"
        if kind == "image":
            pixels = np.uint8(np.clip(slope + rng.normal(20, 20, (h, w, 3)), 0, 255))
        elif kind == "depth":
            pixels = np.uint16(500 + 10 * slope[:, :, 0])
            pixels[:5] = 0
        else:
            pixels = np.uint8(slope[:, :, 0] // 70)
        Image.fromarray(pixels).save(path)
        paths[i] = str(path)
    paths[2], status[2] = "", "none"
    (folder / f"{kind}1.png").write_bytes((folder / f"{kind}1.png").read_bytes()[:60])
    zeros, numbers = np.zeros(n, dtype=np.uint64), np.full(n, 60, dtype=np.int32)
    whole = status == ""
    brightness = np.where(whole, rng.random(n), np.nan).astype(np.float32)
    empty = np.zeros((n, 0), dtype=np.float32)
    return PictureFacts(
        "photo", kind, paths, paths, status, numbers, numbers, {"brightness": brightness}, {}, zeros, zeros, zeros, empty, 0
    )


def findings() -> list[Finding]:
    """One of each kind, with every sort of evidence, hostile names among it."""
    group = Suggestion({"folds": {"group": "town"}}, note="Rows of one town look alike; keep them in one fold.")
    idea = Suggestion({"fields": {"x": {"use": False}}}, idea="without-x", note="See what is lost without it.")
    ids = tuple(f"r{i:04d}" for i in range(60))
    return [
        Finding(
            "duplicate",
            "12 pictures of the test rows are in the training rows too: 6.0 % (3.5 to 9.9 %).",
            1.0,
            rows=ids,
            interval=(0.035, 0.099),
            evidence={"pairs": [[ids[i], ids[400 // 10 + i]] for i in range(0, 18, 2)]},
            suggestion=Suggestion(note="Take them out of the training table: `r0000` and 11 more."),
        ),
        Finding(
            "shift",
            "`x` tells train from test: AUC 0.87 (0.84 to 0.90).",
            0.87,
            ("x",),
            interval=(0.84, 0.9),
            evidence={
                "bars": {"x": 0.87, "amount": 0.62, "a_column_with_a_very_long_name_that_has_to_break_somewhere": 0.55},
                "sides": {"most like `train`": list(ids[5:25]), "most like test": list(ids[30:36])},
            },
            suggestion=idea,
        ),
        Finding(
            "leak",
            "`town` and the row number give the label away: <script>alert(1)</script> 0.99",
            0.7,
            ("town",),
            evidence={
                "table": {
                    "head": ["level", "rows", "share of dog"],
                    "rows": [[f"town {i}", 1200 + i, 0.123456 * i] for i in range(14)],
                }
            },
            suggestion=group,
        ),
        Finding(
            "merge", "`cat` and `dog` cannot be told apart: AUC 0.52 (0.48 to 0.56).", 0.5, labels=("cat", "dog"), rows=ids[:3]
        ),
        Finding(
            "label_error",
            "`label`: about 2.1 % of the labels look wrong (1.1 to 3.8 %).",
            0.4,
            ("label",),
            rows=ids[20:26],
            evidence={
                "proposals": [[ids[20 + i], "cat", "a_label_with_a_long_name_that_does_not_fit"] for i in range(6)],
                "table": {
                    "head": ["id", "as given", "proposed", "p"],
                    "rows": [[ids[20 + i], "cat", "dog", 0.9] for i in range(6)],
                },
            },
        ),
        Finding(
            "missing", "`amount` is empty in 30.1 % of the test rows and in 2.0 % of the training rows.", 0.31, ("amount",)
        ),
    ]


def figure_parts() -> dict:
    """Figures of every analysis that the page draws, long names among them."""
    long_name = "a_column_with_a_very_long_name_that_has_to_break_somewhere"
    ids = [f"r{i:04d}" for i in range(60)]
    columns = [("amount", 0.3, 0.0, 0.02), (long_name, 0.05, 0.4, 0.0), *((f"c{i}", 0.01 * i, 0.0, 0.0) for i in range(1, 17))]
    under, at_size = {"8": 0.0, "16": 0.02, "32": 0.31}, {"8": 0.28, "16": 0.6, "32": 0.93}
    cell = {"n": 400, "median_px": 41.5, "median_at_size_px": 9.1, "under_at_size": at_size}
    return {
        "missing": {
            "n_rows": 90,
            "n_columns": 25,
            "columns": [
                {"name": name, "empty": gone, "missing": gone, "unknown": unknown, "sentinel": sentinel}
                for name, gone, unknown, sentinel in columns
            ],
            "patterns": [
                {"columns": ["amount", long_name, *(f"c{i}" for i in range(9))], "n": 1234, "share": 0.3},
                {"columns": ["c1"], "n": 3, "share": 0.0007},
            ],
        },
        "merges": {
            "pairs": [
                {"labels": ["cat", long_name], "auc": 0.93, "low": 0.88, "high": 0.97},
                {"labels": ["cat", "dog"], "auc": 0.51, "low": 0.44, "high": 0.58, "sides": {"cat": ids[:6], "dog": ids[6:12]}},
            ]
        },
        "label_errors": {
            "n": 1200,
            "accuracy": 0.9417,
            "kappa": 0.91,
            "wrong_fraction": 0.021,
            "interval": [0.011, 0.038],
            "n_listed": 25,
            "pairs": [["cat", "dog", 17], [long_name, "cat", 8]],
        },
        "leaks": {
            "columns": ["town"],
            "scores": {"town": 0.992, long_name: 0.41, "x": 0.34},
            "by_chance": 0.3333,
            "sure": 0.97,
        },
        "groups": {"candidates": {"town": {"share": 0.93, "chance": 0.07, "groups": 12}}},
        "duplicates": {"rows": 14, "photo": {"same": 6, "nearly": 23}},
        "files": {
            "photo": {"n": 90, "whole": 88, "formats": {"png": 90}, "flags": {"cmyk": 2, "exif_rotated": 1}, "n_unused": 4}
        },
        "sizes": {
            "size": [64, 64],
            "pictures": {"photo": {"n": 97, "n_sizes": 5, "sizes": [[480, 640, 90], [64, 64, 7]]}},
            "objects": {
                "cells": cell
                | {"under": under, "p90_at_size_px": 22.4, "classes": {"RBC": cell, long_name: cell}}
                | {"tries": [{"size": 128, "cost_factor": 4.0, "under_8": 0.05, "under_16": 0.31, "under_32": 0.7}]},
                "points": {"n": 0},
            },
            "receptive_field": {"backbone": "tiny", "whole": False, "px": 95, "stride_px": 16, "largest_objects_px": 22.4},
        },
    }


def make_document(material: Material, lang: str = "en", found: list[Finding] | None = None, **more) -> dict:
    """The document of a look at `material` with these findings."""
    part = find_profile(material)
    populations = material.populations
    return {
        "schema": "tamesu/look/1",
        "name": material.name,
        "lang": lang,
        "created": "2026-01-02T03:04:05+09:00",
        "seconds": 12.3,
        "n_rows": {"train": int(material.is_train.sum()), "test": int((~material.is_train).sum())},
        "n_pictures": {name: int(one.whole.sum()) for name, one in material.pictures.items()},
        "target": material.target,
        "findings": [one.as_dict() for one in (findings() if found is None else found)],
        "populations": None if populations is None else {"by": populations.by, "names": list(populations.names), "n": []},
        "why_alone": material.why_alone,
        "parts": {"profile": dict(part.figures)} | figure_parts(),
        "warnings": ["Label errors were not looked for: `label` has fewer than 20 rows of `dog`."],
    } | more
