"""What maps did to the training pictures and their targets, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tamesu.meanings import clauses, some
from tamesu.report import words
from tamesu.texts import say

View = dict[str, Any]
MAX_PAIRS = 8  # pairs, and classes that are never mirrored, named in a sentence


def maps_view(summary: Mapping[str, Any]) -> list[View]:
    """One account for all arms whose maps did the same; empty where no picture was mirrored or turned."""
    arms = [(say("baseline"), summary["baseline"].get("maps"))]
    arms += [(one["arm"], one.get("maps")) for one in summary.get("ideas", [])]
    found: list[tuple[Mapping[str, Any], list[str]]] = []
    for name, maps in arms:
        if maps:
            same = next((names for other, names in found if other == maps), None)
            if same is None:
                found.append((maps, [name]))
            else:
                same.append(name)
    return [_account(maps, names) for maps, names in found]


def _account(maps: Mapping[str, Any], names: Sequence[str]) -> View:
    return {
        "names": list(names),
        "pictures": say("Pictures: {what}.", what=some(list(_pictures(maps)))),
        "targets": [{"name": name, "text": clauses(_target(one))} for name, one in maps["targets"].items()],
        "more": list(_more(maps)),
    }


def _pictures(maps: Mapping[str, Any]) -> Iterator[str]:
    shares = {name: f"{100 * maps[name]:.0f}%" for name in ("mirrored", "flipped", "turned")}
    n = 0
    if maps["mirrored"]:
        yield say("{share} mirrored", share=shares["mirrored"])
        n += 1
    if maps["flipped"]:
        yield say("{share} flipped", share=shares["flipped"])
        n += 1
    if maps["turned"]:
        yield say("{share} turned by quarter turns", share=shares["turned"])
        n += 1
    if maps["rotated_deg"] >= 0.05:
        yield say("rotated by {angle}° on average", angle=f"{maps['rotated_deg']:.1f}")
        n += 1
    if not n:
        yield say("none mirrored nor turned, since no target has an answer to that")


def _target(one: Mapping[str, Any]) -> Iterator[str]:
    if "classes" in one:
        yield from _classes(one["classes"])
    elif one["pairs"]:
        pairs = [f"`{left}` ↔ `{right}`" for left, right in one["pairs"]]
        yield say("{pairs} changed places {n} times", pairs=some(pairs), n=words.count(one["changed"]))
    elif one["kind"] == "points":
        yield say("moved with the pictures")
    else:
        yield say("changed {n} times", n=words.count(one["changed"]))


def _classes(classes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    order = list(classes)
    swapped = []
    for name, one in classes.items():
        for other, n in one["became"].items():
            back = classes.get(other, {}).get("became", {}).get(name, 0)
            if not back:
                swapped.append((n, say("`{one}` became `{other}` {n} times", one=name, other=other, n=words.count(n))))
            elif order.index(name) < order.index(other):
                text = say("`{one}` ↔ `{other}` swapped {n} times", one=name, other=other, n=words.count(n + back))
                swapped.append((n + back, text))
    swapped.sort(key=lambda pair: -pair[0])
    yield from (text for _, text in swapped[:MAX_PAIRS])
    if len(swapped) > MAX_PAIRS:
        yield say("{n} more pairs", n=len(swapped) - MAX_PAIRS)
    kept = [one for one in classes.values() if one["kept"]]
    if kept:
        times = words.count(sum(one["kept"] for one in kept))
        yield say("kept in a mirror: {n} of {k} classes, {times} times", n=len(kept), k=len(classes), times=times)
    never = [f"`{name}`" for name, one in classes.items() if not one["may_mirror"] and one["seen"]]
    if never:
        yield say("never mirrored: {classes}", classes=some(never))


def _more(maps: Mapping[str, Any]) -> Iterator[str]:
    if maps["redrawn"]:
        yield say(
            "{n} maps ({share}) were drawn again: a target or an input has no answer to what came first.",
            n=words.count(maps["redrawn"]),
            share=f"{100 * maps['redrawn'] / max(1, maps['rows_seen']):.0f}%",
        )
    if maps["epochs_counted"] < maps["epochs"]:
        yield say(
            "Counted in the training of repeat 1, fold 1: the first {m} of {n} epochs, {rows} pictures.",
            m=maps["epochs_counted"],
            n=maps["epochs"],
            rows=words.count(maps["rows_seen"]),
        )
    else:
        yield say(
            "Counted in the training of repeat 1, fold 1: {n} epochs, {rows} pictures.",
            n=maps["epochs"],
            rows=words.count(maps["rows_seen"]),
        )
