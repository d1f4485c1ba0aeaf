"""Generated data with faults planted in it, and clean data: what bench/look_planted.py counts, and tests/test_look_planted.py.

Strengths were fixed before the first run: weak is what a careful person would still want to be told of, in 600 to 1,600 rows
or 160 pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tamesu.look.finding import Finding

STRENGTHS = ("weak", "medium", "strong")
Fits = Callable[[Finding], bool]


@dataclass
class Data:
    """A generated data set, and the faults in it."""

    train: pd.DataFrame
    test: pd.DataFrame | None
    fields: dict[str, Any]
    base: Path = Path(".")
    out_of_fold: pd.DataFrame | None = None
    expected: dict[str, tuple[str, Fits]] = field(default_factory=dict)  # fault: kind, and how its finding is known

    def expect(self, fault: str, kind: str, *words: str, rows: list[str] | None = None) -> None:
        """A finding of this kind, of which every word is in fields, labels or sentence, and one of the rows is named."""

        def fits(one: Finding) -> bool:
            text = " ".join((*one.fields, *one.labels, one.sentence))
            return all(word in text for word in words) and (rows is None or bool(set(rows) & set(one.rows)))

        self.expected[fault] = (kind, fits)


def table(rng: np.random.Generator, n: int, start: int = 0) -> pd.DataFrame:
    """Rows of a plain table: numbers, counts, ratings, categories, empty cells at random, four classes."""
    out = pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(start, start + n)],
            "size": rng.normal(size=n).round(4),
            "income": rng.lognormal(3, 0.7, n).round(3),
            "count": rng.poisson(2.5, n),
            "rating": rng.integers(1, 6, n),
            "height": rng.normal(120, 15, n).round(2),
            "share": rng.beta(2, 3, n).round(5),
            "other": rng.normal(size=n).round(4),
            "spare": rng.normal(size=n).round(4),
            "region": rng.choice(["north", "south", "east", "west"], n),
            "job": rng.choice(list("abcdefgh"), n, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.05, 0.03]),
            "town": rng.choice([f"town {i}" for i in range(25)], n),
            "name": ["".join(rng.choice(list("abcdefghijklmnop"), 8)) for _ in range(n)],
        }
    )
    score = np.stack([1.2 * out["size"], out["height"] / 15 - 8, 1.0 * (out["region"] == "north"), np.full(n, 0.4)], axis=1)
    out["y"] = np.array(["oak", "elm", "ash", "fir"])[(score + rng.gumbel(size=(n, 4))).argmax(axis=1)]
    out.loc[rng.random(n) < 0.06, "other"] = np.nan
    return out.astype(object).where(out.notna(), None)


FIELDS: dict[str, Any] = {"id": {"kind": "id"}, "y": {"kind": "label", "target": True}}


def shifted(rng: np.random.Generator, s: int) -> Data:
    """Train and test differ in eight ways."""
    n = int(rng.integers(700, 1400))
    a, b = table(rng, n), table(rng, n, start=n)
    b["size"] = b["size"].astype(float) + (0.4, 0.6, 1.0)[s]
    b["other"] = pd.to_numeric(b["other"]) * (1.7, 2.2, 3.5)[s]
    b["income"] = b["income"].astype(float) * (1.4, 1.8, 3.0)[s]
    b.loc[rng.random(n) < (0.12, 0.2, 0.4)[s], "region"] = "west"
    b.loc[rng.random(n) < (0.03, 0.06, 0.12)[s], "job"] = "z"
    b.loc[rng.random(n) < (0.12, 0.2, 0.4)[s], "share"] = None
    b["spare"] = None
    a["day"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 365, n), "D")
    b["day"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(rng.integers(0, 365, n) + (60, 150, 400)[s], "D")
    a["day"], b["day"] = a["day"].astype(str), b["day"].astype(str)
    out = Data(a, b.drop(columns="y"), FIELDS)
    for fault, column in (("mean", "size"), ("spread", "other"), ("scale", "income"), ("category share", "region")):
        out.expect(f"shift: {fault}", "shift", f"`{column}` differs between")
    out.expect("shift: new category", "shift", "`job`", "'z'")
    out.expect("shift: missing share", "shift", "`share`", "empty")
    out.expect("shift: column empty in test", "shift", "`spare`")
    out.expect("shift: dates", "shift", "`day`", "time")
    return out


def leaking(rng: np.random.Generator, s: int) -> Data:
    """The target, or the population, stands in other columns."""
    n = int(rng.integers(700, 1400))
    a, b = table(rng, n), table(rng, n // 2, start=n)
    code = {"oak": 7, "elm": 3, "ash": 11, "fir": 5}
    a["code"] = a["y"].map(code)
    b["code"] = None
    noisy = a["y"].where(rng.random(n) > (0.015, 0.01, 0.005)[s], "elm")
    a["kind"], b["kind"] = noisy.str.upper(), None
    paid = (a["y"] == "ash") & (rng.random(n) < (0.5, 0.7, 1.0)[s])
    a["paid"] = np.where(paid, rng.lognormal(3, 1, n).round(2), None)
    b["paid"] = None
    a = a.sort_values("y", kind="stable")
    a["id"] = [f"r{i}" for i in range(n)]
    b["name"] = [("x-" if rng.random() < (0.93, 0.97, 1.0)[s] else "") + one for one in b["name"]]
    out = Data(a, b.drop(columns="y"), FIELDS)
    out.expect("leak: another name", "leak", "`code`")
    out.expect("leak: noisy copy", "leak", "`kind`")
    out.expect("leak: filled for one class", "leak", "`paid`")
    out.expect("leak: order of ids", "leak", "`id`")
    out.expect("leak: way of writing", "leak", "`name`")
    return out


def unknown(rng: np.random.Generator, s: int) -> Data:
    """Cells that say nothing, in ten ways."""
    n = int(rng.integers(800, 1600))
    a = table(rng, n)

    def some(share: float) -> Any:
        return rng.random(n) < share

    a.loc[some((0.02, 0.05, 0.15)[s]), "share"] = 999
    a.loc[some((0.02, 0.05, 0.15)[s]), "income"] = -1
    a.loc[some((0.02, 0.05, 0.15)[s]), "height"] = 0
    a.loc[some((0.02, 0.05, 0.15)[s]), "job"] = "?"
    a.loc[some((0.04, 0.08, 0.15)[s]), "region"] = "unknown"
    a.loc[some((0.04, 0.08, 0.15)[s]), "region"] = None
    a.loc[some((0.02, 0.05, 0.15)[s]), "town"] = "不明"
    is_oak = (a["y"] == "oak").to_numpy()
    a.loc[rng.random(n) < np.where(is_oak, (0.25, 0.35, 0.5)[s], 0.05), "spare"] = None
    together = some((0.03, 0.06, 0.15)[s])
    for name in ("left", "middle", "right"):
        a[name] = rng.normal(size=n).round(3)
        a.loc[together, name] = None
    a["notes"] = None
    a["level"] = rng.integers(1, 40, n).astype(object)
    a.loc[some((0.02, 0.05, 0.15)[s]), "level"] = "NA"
    out = Data(a, None, FIELDS)
    out.expect("sentinel: 999", "sentinel", "`share` is 999 in")
    out.expect("sentinel: -1", "sentinel", "`income` is -1 in")
    out.expect("sentinel: zero", "sentinel", "`height` is 0 in")
    out.expect("unknown: ?", "unknown", "`job`", "?")
    out.expect("unknown: beside empty", "unknown", "`region`", "unknown")
    out.expect("unknown: 不明", "unknown", "`town`", "不明")
    out.expect("missing: tells the target", "missing", "`spare`")
    out.expect("missing: together", "missing", "`left`", "`middle`", "`right`")
    out.expect("unknown: NA among numbers", "unknown", "`level`", "NA")
    out.expect("missing: whole column", "missing", "`notes`")
    return out


def mixed_labels(rng: np.random.Generator, s: int) -> Data:
    """Labels that are one, spelt twice, rare, or of two kinds."""
    n = int(rng.integers(900, 1600))
    kind = rng.integers(0, 5, n)
    centres = 3.0 * np.eye(5, 6)
    x = centres[kind] + rng.normal(size=(n, 6))
    labels = np.array(["oak", "elm", "ash", "fir", "yew"])[kind].astype(object)
    labels[(kind == 0) & (rng.random(n) < 0.5)] = "quercus"
    labels[(kind == 1) & (rng.random(n) < (0.05, 0.15, 0.4)[s])] = "Elm "
    side = np.where(rng.random(n) < 0.5, 1.0, -1.0) * (3.0, 3.5, 5.0)[s]
    x[kind == 4] += np.stack([side * 0, side * 0, side, side, side * 0, side * 0.7], axis=1)[kind == 4]
    rare = rng.choice(n, 6, replace=False)
    labels[rare] = ["rare 1", "rare 2", "rare 3"] * 2
    a = pd.DataFrame({"id": [f"r{i}" for i in range(n)]} | {f"x{i}": x[:, i].round(4) for i in range(6)} | {"y": labels})
    out = Data(a, None, FIELDS)
    out.expect("merge: one distribution", "merge", "oak", "quercus")
    out.expect("merge: spelling", "merge", "elm", "Elm")
    out.expect("merge: too few", "merge", "rare 1")
    out.expect("split: two clusters", "split", "yew")
    return out


def copied(rng: np.random.Generator, s: int) -> Data:
    """Rows that come twice, in train and across."""
    n = int(rng.integers(700, 1300))
    a, b = table(rng, n), table(rng, n // 2, start=n)
    k = (4, 10, 40)[s]
    chosen = rng.choice(n, 3 * k, replace=False)
    twins = a.iloc[chosen[:k]].assign(id=[f"t{i}" for i in range(k)])
    against = a.iloc[chosen[k : 2 * k]].assign(id=[f"u{i}" for i in range(k)])
    against["y"] = against["y"].map({"oak": "elm", "elm": "ash", "ash": "fir", "fir": "oak"})
    b = pd.concat([b, a.iloc[chosen[2 * k :]].assign(id=[f"v{i}" for i in range(k)])], ignore_index=True)
    a = pd.concat([a, twins, against], ignore_index=True)
    out = Data(a, b.drop(columns="y"), FIELDS)
    out.expect("duplicate: rows", "duplicate", "equal in all columns", "of all rows")
    out.expect("duplicate: other label", "duplicate", "different labels", rows=[f"u{i}" for i in range(k)])
    out.expect("duplicate: train and test", "duplicate", "both sides of train", rows=[f"v{i}" for i in range(k)])
    out.expect("duplicate: folds", "duplicate", "folds would put")
    return out


def grouped(rng: np.random.Generator, s: int) -> Data:
    """Rows of one subject are nearly the same; some labels are wrong."""
    n_groups, each = int(rng.integers(40, 80)), 12
    of = np.repeat(np.arange(n_groups), each)
    centre = rng.normal(size=(n_groups, 8))
    x = centre[of] + (0.35, 0.25, 0.12)[s] * rng.normal(size=(len(of), 8))
    y = np.where(centre[:, 0] + 0.8 * rng.normal(size=n_groups) > 0, "yes", "no")[of]
    a = pd.DataFrame({f"x{i}": x[:, i].round(4) for i in range(8)} | {"subject": [f"s{i}" for i in of], "y": y})
    a = a.sample(frac=1, random_state=int(rng.integers(1 << 30))).reset_index(drop=True)
    out = Data(a, None, {"y": {"kind": "label", "target": True}})
    out.expect("group: subjects", "group", "`subject`")
    return out


def mislabelled(rng: np.random.Generator, s: int) -> Data:
    """Some labels are wrong, and `fit` has left its out-of-fold predictions."""
    n = 1200
    kind = rng.integers(0, 4, n)
    x = 3.2 * np.eye(4, 6)[kind] + rng.normal(size=(n, 6))
    names = np.array(["oak", "elm", "ash", "fir"])
    wrong = rng.random(n) < (0.03, 0.06, 0.1)[s]
    given = np.where(wrong, (kind + rng.integers(1, 4, n)) % 4, kind)
    ids = [f"r{i}" for i in range(n)]
    a = pd.DataFrame({"id": ids} | {f"x{i}": x[:, i].round(4) for i in range(6)} | {"y": names[given]})
    told = cross_val_predict(LogisticRegression(max_iter=300), x, names[given], cv=5, method="predict_proba")
    classes = sorted(names)
    fold = pd.DataFrame({"id": ids, "y": names[given], "prediction": [classes[i] for i in told.argmax(axis=1)]})
    for i, name in enumerate(classes):
        fold[f"p_{name}"] = told[:, i]
    out = Data(a, None, FIELDS, out_of_fold=fold.astype(str))
    bad = {one for one, is_wrong in zip(ids, wrong, strict=True) if is_wrong}
    # Not one of them but most of those named must be wrong, and most of the wrong ones named, as far as they can be shown.
    out.expected["label error: flipped"] = (
        "label_error",
        lambda one: len(bad & set(one.rows)) >= 0.8 * max(1, len(one.rows)) and len(one.rows) >= 0.5 * min(50, len(bad)),
    )
    return out


def scene(rng: np.random.Generator, kind: int, side: int = 64) -> np.ndarray:
    """A picture: a soft background, clutter, and a disk, a box or a cross in a colour of its own."""
    ground = cv2.resize(rng.integers(40, 215, (4, 4, 3)).astype(np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        a, b = (tuple(int(v) for v in rng.integers(0, side, 2)) for _ in range(2))
        cv2.line(ground, a, b, tuple(int(v) for v in rng.integers(0, 255, 3)), int(rng.integers(1, 4)))
    x, y, r = (int(v) for v in (*rng.integers(side // 4, 3 * side // 4, 2), rng.integers(side // 8, side // 4)))
    colour = [(220, 60, 60), (60, 200, 80), (70, 90, 230)][kind]
    if kind == 0:
        cv2.circle(ground, (x, y), r, colour, -1)
    elif kind == 1:
        cv2.rectangle(ground, (x - r, y - r), (x + r, y + r), colour, -1)
    else:
        cv2.line(ground, (x - r, y), (x + r, y), colour, 4)
        cv2.line(ground, (x, y - r), (x, y + r), colour, 4)
    return np.clip(ground.astype(float) + rng.normal(0, 6, ground.shape), 0, 255).astype(np.uint8)


def pictures(
    rng: np.random.Generator, folder: Path, n: int, name: str, change: Callable[[np.ndarray], np.ndarray] | None = None
) -> pd.DataFrame:
    """Scenes as PNG files, and their table."""
    rows = []
    for i in range(n):
        kind = int(rng.integers(3))
        one = scene(rng, kind)
        one = one if change is None else change(one)
        cv2.imwrite(str(folder / f"{name}{i}.png"), cv2.cvtColor(one, cv2.COLOR_RGB2BGR))
        rows.append((f"{name}{i}.png", ("disk", "box", "cross")[kind]))
    return pd.DataFrame(rows, columns=["file", "y"])


PICTURE_FIELDS: dict[str, Any] = {"file": {"kind": "image"}, "y": {"kind": "label", "target": True}}


def damaged(rng: np.random.Generator, s: int, folder: Path) -> Data:
    """Files that are not as they should be."""
    a = pictures(rng, folder, 120, "a")
    k = (1, 3, 8)[s]

    def taken(n: int = k) -> list[str]:
        nonlocal left
        out, left = left[:n], left[n:]
        return out

    left = list(rng.permutation(a["file"].to_numpy()))
    for one in taken():
        (folder / one).write_bytes((folder / one).read_bytes()[:-200])
    renamed = taken()
    for one in renamed:
        Image.open(folder / one).convert("RGB").save(folder / "tmp.jpg", "JPEG", quality=95)
        (folder / one).write_bytes((folder / "tmp.jpg").read_bytes())
        (folder / "tmp.jpg").unlink()
    turned, printed, moving, deep, gone = (
        [one.replace(".png", end) for one in taken()] for end in (".jpg", ".c.jpg", ".gif", ".d.png", ".gone.png")
    )
    extra = []
    for one in (*turned, *printed, *moving, *deep):
        whole = Image.fromarray(scene(rng, 0))
        if one in turned:
            exif = Image.Exif()
            exif[0x0112] = 6
            whole.save(folder / one, "JPEG", quality=95, exif=exif)
        elif one in printed:
            whole.convert("CMYK").save(folder / one, "JPEG", quality=95)
        elif one in moving:
            whole.save(folder / one, "GIF", save_all=True, append_images=[Image.fromarray(scene(rng, 1))])
        else:
            cv2.imwrite(str(folder / one), np.asarray(whole).astype(np.uint16) * 200)
        extra.append((one, "disk"))
    extra += [(one, "disk") for one in gone]
    a = pd.concat([a, pd.DataFrame(extra, columns=["file", "y"])], ignore_index=True)
    cv2.imwrite(str(folder / "stray.png"), scene(rng, 1))
    out = Data(a, None, PICTURE_FIELDS, base=folder)
    out.expect("file: truncated", "file", "cannot be read")
    out.expect("file: wrong extension", "file", "format their name")
    out.expect("file: EXIF", "file", "EXIF")
    out.expect("file: CMYK", "file", "CMYK")
    out.expect("file: animated", "file", "more than one picture")
    out.expect("file: 16 bits", "file", "16 bits")
    out.expect("file: missing", "file", "not there")
    out.expect("file: unused", "file", "stray.png")
    return out


def alike(rng: np.random.Generator, s: int, folder: Path) -> Data:
    """Pictures that come twice: the same, or saved anew, smaller, lighter."""
    a, b = pictures(rng, folder, 160, "a"), pictures(rng, folder, 80, "b")
    k = (3, 6, 15)[s]
    names = list(rng.permutation(a["file"].to_numpy()))
    rows = a.set_index("file")["y"]
    more, same, near, other = [], names[:k], names[k : 2 * k], names[2 * k : 3 * k]
    for one in same:
        (folder / f"same-{one}").write_bytes((folder / one).read_bytes())
        more.append((f"same-{one}", rows[one]))
    for i, one in enumerate((*near, *other)):
        picture = cv2.imread(str(folder / one))
        if i % 3 == 0:
            cv2.imwrite(str(folder / "t.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
            picture = cv2.imread(str(folder / "t.jpg"))
            (folder / "t.jpg").unlink()
        elif i % 3 == 1:
            picture = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
        else:
            picture = np.clip(picture.astype(float) * 1.15, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"near-{one}"), picture)
        label = rows[one] if one in near else {"disk": "box", "box": "cross", "cross": "disk"}[rows[one]]
        more.append((f"near-{one}", label))
    a = pd.concat([a, pd.DataFrame(more, columns=["file", "y"])], ignore_index=True)
    across = names[3 * k : 4 * k]
    for one in across:
        (folder / f"copy-{one}").write_bytes((folder / one).read_bytes())
    b = pd.concat([b, pd.DataFrame({"file": [f"copy-{one}" for one in across], "y": [rows[one] for one in across]})])
    fields = PICTURE_FIELDS | {"file": {"kind": "image"}}
    out = Data(a, b.reset_index(drop=True).drop(columns="y"), fields, base=folder)
    out.expect("duplicate: files", "duplicate", "pixel by pixel", "of all rows")
    out.expect("duplicate: near pictures", "duplicate", "nearly the same", "of all rows")
    out.expect("duplicate: near, other label", "duplicate", "nearly the same", "different labels")
    out.expect("duplicate: files across", "duplicate", "pixel by pixel", "both sides of train")
    return out


def lit(rng: np.random.Generator, s: int, folder: Path) -> Data:
    """Test pictures of another camera; frames of tracks; wrong boxes."""
    a = []
    for track in range(24):
        kind = int(rng.integers(3))
        first = scene(rng, kind)
        for frame in range(6):
            moved = cv2.warpAffine(
                first,
                np.float32([[1, 0, rng.normal(0, 0.7)], [0, 1, rng.normal(0, 0.7)]]),
                (64, 64),
                borderMode=cv2.BORDER_REFLECT,
            )
            noisy = np.clip(moved.astype(float) + rng.normal(0, (12, 8, 4)[s], moved.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{track:03d}_{frame}.png"), cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR))
            a.append((f"{track:03d}_{frame}.png", f"track {track}", ("disk", "box", "cross")[kind]))
    train = pd.DataFrame(a, columns=["file", "track", "y"])

    def change(picture: np.ndarray) -> np.ndarray:
        lighter = picture.astype(float) + (25, 40, 70)[s]
        cast = lighter * np.array([1.0, (0.93, 0.88, 0.75)[s], (0.88, 0.8, 0.6)[s]])
        return cv2.GaussianBlur(np.clip(cast, 0, 255).astype(np.uint8), (0, 0), (0.8, 1.2, 2.0)[s])

    test = pictures(rng, folder, 120, "t", change).assign(track=[f"other {i}" for i in range(120)])
    k = (1, 3, 8)[s]
    boxes = pd.DataFrame([(name, 10, 10, 30, 34) for name in train["file"]], columns=["file", "x0", "y0", "x1", "y1"])
    flat = list(rng.choice(train["file"], k, replace=False))
    boxes.loc[boxes["file"].isin(flat), "x1"] = 10
    boxes.to_csv(folder / "boxes.csv", index=False)
    side = {"file": "boxes.csv", "key": "file", "columns": ["x0", "y0", "x1", "y1"]}
    fields = PICTURE_FIELDS | {"things": {"kind": "boxes", "column": "file", "table": side}}
    out = Data(train, test.drop(columns="y"), fields, base=folder)
    out.expect("shift: brightness", "shift", "file.brightness")
    out.expect("shift: sharpness", "shift", "file.sharpness")
    out.expect("shift: colour", "shift", "file.blue")
    out.expect("group: tracks", "group", "`track`")
    out.expect("size: boxes without area", "size", "area")
    return out


def clean_sets(rng: np.random.Generator, folder: Path) -> dict[str, Data]:
    """Nothing is wrong with these."""
    n = int(rng.integers(500, 1500))
    both = table(rng, n), table(rng, n // 2, start=n)
    number = table(rng, n)
    number["price"] = (number["size"].astype(float) * 2 + number["income"].astype(float) / 20 + rng.normal(size=n)).round(3)
    three = pictures(rng, folder, 160, "c"), pictures(rng, folder, 80, "d")
    fields = {"id": {"kind": "id"}, "price": {"kind": "number", "target": True}}
    return {
        "clean table": Data(both[0], both[1].drop(columns="y"), FIELDS),
        "clean table, number": Data(number.drop(columns="y"), None, fields),
        "clean table, alone": Data(table(rng, int(rng.integers(200, 600))), None, FIELDS),
        "clean pictures": Data(three[0], three[1].drop(columns="y"), PICTURE_FIELDS, base=folder),
    }


TABLES = (shifted, leaking, unknown, mixed_labels, copied, grouped, mislabelled)
PICTURES = (damaged, alike, lit)
