"""Rows, files and pictures that come twice: within the training rows, across classes, across train and test, across folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tamesu.look.features import is_feature
from tamesu.look.finding import ROWS_SHOWN, Finding, Part, Suggestion
from tamesu.look.material import Material, PictureFacts
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
BY_CHANCE = 0.1  # of the twins that are there, chance may explain so many at most
MAX_BITS = 8  # bits in which the hashes of near-duplicates may differ
BUCKET = 60  # pictures of one hash part that are compared with each other; more are alike for another reason
RANDOM_PAIRS = 20_000
CLOSE, CLOSEST = 0.45, 0.6  # of the usual distance of two pictures, and of that of the closest hundredth of pairs
PAIRS_SHOWN = 24
FORMLESS = 0.02  # contrast below which pictures are alike by having nothing in them


@dataclass(frozen=True)
class Twins:
    """Rows that are copies of one another.

    Attributes:
        clusters: Cluster of each row; -1: it has no twin.  (n,)
    """

    clusters: NDArray[np.int64]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows that have a twin."""
        return np.flatnonzero(self.clusters >= 0)

    def pairs(self, most: int) -> list[tuple[int, int]]:
        """Two of each cluster, as far as they go."""
        order = self.rows[np.argsort(self.clusters[self.rows], kind="stable")]
        same = self.clusters[order[1:]] == self.clusters[order[:-1]]
        return [(int(a), int(b)) for a, b in zip(order[:-1][same], order[1:][same], strict=True)][:most]

    def mixed(self, of: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of clusters that hold more than one value of `of`; -1 is none.  (m,)"""
        rows = self.rows[of[self.rows] >= 0]
        if len(rows) == 0:
            return rows
        k = int(self.clusters.max()) + 1
        low, high = np.full(k, np.iinfo(np.int64).max), np.full(k, -1)
        np.minimum.at(low, self.clusters[rows], of[rows])
        np.maximum.at(high, self.clusters[rows], of[rows])
        return rows[(high > low)[self.clusters[rows]]]


def find_duplicates(material: Material, progress: Progress | None = None) -> Part:
    """What comes twice, and what that would spoil.

    Args:
        material: What was read.
        progress: Not told anything.
    """
    findings: list[Finding] = []
    figures: dict[str, object] = {}
    if len(material) < 2:
        return Part()
    rows = _equal_rows(material)
    if rows is not None:
        what = say("rows are equal in all columns but id and target")
        findings += _findings(material, rows, what, strength=0.4, fields=())
        figures["rows"] = len(rows.rows)
    for name, facts in material.pictures.items():
        exact = twins_of(facts.pixel_digests, facts.whole)
        if len(exact.rows):
            what = say("pictures of `{field}` are the same, pixel by pixel", field=name)
            findings += _findings(material, exact, what, strength=0.6, fields=(name,))
        near = near_duplicates(facts, exact)
        if len(near.rows):
            what = say("pictures of `{field}` are nearly the same", field=name)
            findings += _findings(material, near, what, strength=0.5, fields=(name,))
        figures[name] = {"same": len(exact.rows), "nearly": len(near.rows)}
    return Part(tuple(findings), figures)


def twins_of(digests: NDArray[np.uint64], known: NDArray[np.bool_] | None = None) -> Twins:
    """Rows of equal digests."""
    clusters = np.full(len(digests), -1, dtype=np.int64)
    rows = np.arange(len(digests)) if known is None else np.flatnonzero(known)
    _, place, counts = np.unique(digests[rows], return_inverse=True, return_counts=True)
    several = counts > 1
    number = np.where(several, np.cumsum(several) - 1, -1)
    clusters[rows] = number[place]
    return Twins(clusters)


def _equal_rows(material: Material) -> Twins | None:
    """Equal rows, where there are clearly more than chance makes of such columns."""
    twins = twins_of(material.row_digests)
    n_twins = len(twins.rows)
    kept = [one for one in material.columns.values() if not one.is_target and one.name != material.id_column]
    if n_twins == 0 or not kept or all(one.kind == "empty" for one in kept):
        return None
    log_chance = 0.0  # that two rows agree in every column, were the columns independent of each other
    for column in kept:
        counts = np.append(column.counts, (column.codes == -1).sum()).astype(float)
        log_chance += np.log(max(float(((counts / len(material)) ** 2).sum()), 1.0 / len(material) ** 2))
    expected = np.exp(log_chance) * len(material) ** 2  # rows with a twin, for few of them
    has_detail = any(one.n_distinct > 20 for one in kept if is_feature(one, material) or one.is_name or one.kind == "text")
    if expected > BY_CHANCE * n_twins or not (has_detail or len(kept) >= 12):
        return None
    return twins


def near_duplicates(facts: PictureFacts, exact: Twins) -> Twins:
    """Pictures that are far more alike than others of the same set are; exact copies count once.

    Hashes are compared within buckets of equal 16-bit parts, so that two hashes that differ in up to three bits always meet,
    and most that differ in a few more; the description must then be far closer than that of the closest unrelated pairs.
    """
    none = Twins(np.full(len(facts.whole), -1, dtype=np.int64))
    contrast = facts.properties.get("contrast")
    usable = facts.whole & (facts.hashes != 0)
    if contrast is not None:
        usable &= contrast > FORMLESS
    first = np.ones(len(usable), dtype=bool)  # one of each set of copies
    copies = exact.rows
    first[copies] = False
    first[np.unique(exact.clusters[copies], return_index=True)[1]] = False
    if len(copies):
        first[copies[np.unique(exact.clusters[copies], return_index=True)[1]]] = True
    rows = np.flatnonzero(usable & first)
    if len(rows) < 8:
        return none
    close, bits = _closeness(facts, rows)
    a, b = _meeting(facts.hashes[rows])
    if len(a) == 0:
        return none
    apart = np.bitwise_count(facts.hashes[rows[a]] ^ facts.hashes[rows[b]])
    keep = apart <= bits
    a, b = rows[a[keep]], rows[b[keep]]
    distances = _distances(facts, a, b)
    keep = distances < close
    a, b = a[keep], b[keep]
    if len(a) == 0:
        return none
    n = len(facts.whole)
    _, of = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    counts = np.bincount(of)
    several = counts > 1
    return Twins(np.where(several[of], (np.cumsum(several) - 1)[of], -1))


def _closeness(facts: PictureFacts, rows: NDArray[np.int64]) -> tuple[float, int]:
    """The distance and the number of bits below which two pictures are not merely of one kind."""
    rng = np.random.default_rng(0)
    a, b = rng.choice(rows, RANDOM_PAIRS), rng.choice(rows, RANDOM_PAIRS)
    a, b = a[a != b], b[a != b]
    distances = _distances(facts, a, b)
    bits = np.bitwise_count(facts.hashes[a] ^ facts.hashes[b])
    close = min(CLOSE * float(np.median(distances)), CLOSEST * float(np.quantile(distances, 0.01)))
    return close, int(min(MAX_BITS, max(2, np.quantile(bits, 0.01) - 4)))


def _distances(facts: PictureFacts, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    out = np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), 50_000):  # piece by piece: descriptions may lie in a file
        part = slice(start, start + 50_000)
        out[part] = np.linalg.norm(facts.embedding[a[part]] - facts.embedding[b[part]], axis=1)
    return out


def _meeting(hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of hashes that agree in one of four 16-bit parts, each pair once."""
    n = len(hashes)
    found: list[NDArray[np.int64]] = []
    for part in range(4):
        key = (hashes >> np.uint64(16 * part)) & np.uint64(0xFFFF)
        order = np.argsort(key, kind="stable")
        sizes = np.bincount(key.astype(np.int64), minlength=65536)
        in_small = sizes[key[order].astype(np.int64)] <= BUCKET
        order = order[in_small]
        sorted_keys = key[order]
        for step in range(1, BUCKET):
            same = (
                np.flatnonzero(sorted_keys[step:] == sorted_keys[:-step]) if len(order) > step else np.empty(0, dtype=np.int64)
            )
            if len(same) == 0:
                break
            low, high = np.minimum(order[same], order[same + step]), np.maximum(order[same], order[same + step])
            near = np.bitwise_count(hashes[low] ^ hashes[high]) <= MAX_BITS
            found.append(low[near].astype(np.int64) * n + high[near])
    pairs = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    return pairs // max(n, 1), pairs % max(n, 1)


def _findings(material: Material, twins: Twins, what: str, *, strength: float, fields: tuple[str, ...]) -> Iterator[Finding]:
    """One finding for the copies, and one for each border they cross."""
    rows = twins.rows
    share = len(rows) / len(material)
    text = say("{n} {what} ({share} of all rows).", n=len(rows), what=what, share=f"{share:.1%}")
    note = say("Keep one of each; the ids are in the JSON document.")
    yield _one(material, twins, rows, text, min(0.8, strength + share), fields, note)
    labels = twins.mixed(material.labels) if material.classes else rows[:0]
    if len(labels):
        text = say("{n} {what}, and have different labels.", n=len(labels), what=what)
        note = say("At most one of the labels is right: look at them, and correct or leave out.")
        yield _one(material, twins, labels, text, min(1.0, 0.7 + len(labels) / len(material)), fields, note)
    populations = material.populations
    across = populations.of if populations is not None else material.table.astype(np.int64)
    crossing = twins.mixed(across)
    if len(crossing):
        names = ", ".join(populations.names) if populations is not None else say("train and test")
        text = say("{n} {what}, and are on both sides of {names}.", n=len(crossing), what=what, names=names)
        note = say("Scores on such rows are not those of new ones: take them out of one side.")
        yield _one(material, twins, crossing, text, min(1.0, 0.75 + len(crossing) / len(material)), fields, note)
    torn = twins.mixed(material.folds) if material.folds is not None else rows[:0]
    if len(torn):
        text = say("{n} {what}, and the folds would put them on both sides.", n=len(torn), what=what)
        note = say("The model would be scored on what it has learnt by heart: keep one of each, or give copies one group.")
        yield _one(material, twins, torn, text, min(0.95, 0.55 + len(torn) / len(material)), fields, note)


def _one(
    material: Material,
    twins: Twins,
    rows: NDArray[np.int64],
    text: str,
    strength: float,
    fields: tuple[str, ...],
    note: str,
) -> Finding:
    chosen = np.full(len(twins.clusters), -1, dtype=np.int64)
    chosen[rows] = twins.clusters[rows]
    pairs = [list(material.shown(np.array(pair))) for pair in Twins(chosen).pairs(PAIRS_SHOWN)]
    order = rows[np.argsort(twins.clusters[rows], kind="stable")][:ROWS_SHOWN]
    return Finding(
        "duplicate",
        text,
        strength,
        fields=fields,
        rows=material.shown(order),
        suggestion=Suggestion(note=note),
        evidence={"n": len(rows), "pairs": pairs},
    )
