"""Copy-paste: objects of another sample, cut out by its mask or its boxes, pasted in at the same place.

What lies on the picture follows: masks and depth are pasted along, boxes are added and covered ones dropped, and a `labels`
target gains what was pasted and loses what can no longer be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tamesu.amounts import Strength, hit
from tamesu.draws import GOLDEN, Draws, as_fraction, mixed
from tamesu.fields import Boxes, BoxesField, DepthField, Field, ImageField, MaskField
from tamesu.mistakes import Mistake, must_be
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.config import StudyConfig
    from tamesu.feed import Feed
    from tamesu.maps import Maps

HIDDEN_FRACTION = 0.75  # an object of which more than this is covered is gone
Region = NDArray[np.bool_]  # (h, w)


@dataclass(frozen=True)
class Scene:
    """The fields that lie on one picture, and the one that says where its objects are.

    Attributes:
        cutter: The mask or the boxes that objects are cut out by.
        names: Of the objects by their id in the mask; empty where boxes cut.
        images: Pasted with an edge that is soft by a pixel.
        exact: Masks and depths: pasted as they are.
        boxes: Boxes that follow.
    """

    cutter: str
    names: Mapping[int, str]
    images: tuple[str, ...]
    exact: tuple[str, ...]
    boxes: tuple[str, ...]

    @property
    def pictures(self) -> tuple[str, ...]:
        """Every picture something is pasted into."""
        return (*self.images, *self.exact)


@dataclass(frozen=True, eq=False)
class Pasted:
    """A batch after objects were pasted in.

    Attributes:
        pictures: By field; those of other scenes as they came.  (b, h, w, c)
        boxes: By field.  (b,) object
        added: Names of what was pasted into each row.  b
        hidden: Names of what can no longer be seen in it.  b
    """

    pictures: dict[str, NDArray[Any]]
    boxes: dict[str, NDArray[np.object_]]
    added: list[frozenset[str]]
    hidden: list[frozenset[str]]

    def labels(self, encoded: NDArray[Any], classes: Sequence[str]) -> NDArray[Any]:
        """A `labels` target's 0 and 1, after; names that are no class are left out.  (b, k)"""
        out = encoded.copy()
        for i, (added, hidden) in enumerate(zip(self.added, self.hidden, strict=True)):
            for k, name in enumerate(classes) if added or hidden else ():
                out[i, k] = 1 if name in added else 0 if name in hidden else out[i, k]
        return out


def scenes(fields: Mapping[str, Field]) -> list[Scene]:
    """The pictures whose objects can be cut out: by a mask with `names`, else by boxes; each with what lies on it."""
    images = [name for name, one in fields.items() if isinstance(one, ImageField)]
    bases = images or [name for name, one in fields.items() if isinstance(one, DepthField) and one.of is None]

    def on(base: str, kind: type[MaskField] | type[BoxesField] | type[DepthField]) -> list[str]:
        only = base if len(bases) == 1 and kind is not DepthField else None
        return [name for name, one in fields.items() if isinstance(one, kind) and (one.of or only) == base]

    found = []
    for base in bases:
        masks, boxes, depths = on(base, MaskField), on(base, BoxesField), on(base, DepthField)
        named = {name: object_names(fields[name]) for name in masks}
        cutters = [name for name in masks if named[name]] + boxes
        if cutters:
            exact = (*masks, *depths, *([] if base in images else [base]))
            shown = (base,) if base in images else ()
            found.append(Scene(cutters[0], named.get(cutters[0], {}), shown, exact, tuple(boxes)))
    return found


def object_names(field: Field) -> dict[int, str]:
    """The ids of a mask that are objects, by name: all that are named but the one that lies `outside`."""
    if not isinstance(field, MaskField):
        return {}
    return {number: name for number, name in sorted(field.names.items()) if number != field.outside}


def next_rows(draws: Draws, name: str) -> NDArray[np.int64]:
    """Another row for each: the next in an order drawn by `name`, and after the last the first.  (b,)

    A row is its own only where it is alone. The order is by the rows' own numbers, so it does not matter how the batch lies.
    """
    order = np.argsort(draws.bits(name), kind="stable")
    partner = np.empty(len(order), dtype=np.int64)
    partner[order] = np.roll(order, -1)
    return partner


def paste(
    feed: Feed,
    index: NDArray[np.int64],
    pictures: Mapping[str, NDArray[Any]],
    targets: Mapping[str, NDArray[Any]],
    maps: Mapping[str, Maps],
    draws: Draws,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The rows `index` of a feed as `paste_scene` leaves them: every scene's pictures, and the `labels` targets that follow.

    Args:
        pictures: By picture field, through the training maps; all that the feed has.  (b, h, w, c)
        targets: Encoded, moved.  (b, …)
        maps: By picture field, from original pixels to the frame.
        draws: One key for each row.
    """
    chance, out, follow = feed.augment.paste, dict(pictures), dict(targets)
    strength = None if feed.strength is None else feed.strength[index]
    fields: dict[str, Field] = dict(feed.fields)
    fields.update({name: field for name, (field, _) in feed.boxes.items()})
    for scene in scenes(fields):
        lying = maps[scene.pictures[0]]
        boxes = {name: field.act(values[index], lying) for name, (field, values) in feed.boxes.items() if name in scene.boxes}
        pasted = paste_scene(scene, out, boxes, chance, draws, strength)
        out = pasted.pictures
        for name, target in feed.targets.items():
            if target.kind == "labels":
                follow[name] = pasted.labels(follow[name], target.classes)
    return out, follow


def paste_scene(
    scene: Scene,
    pictures: Mapping[str, NDArray[Any]],
    boxes: Mapping[str, NDArray[np.object_]],
    chance: float,
    draws: Draws,
    strength: Strength = None,
) -> Pasted:
    """Objects of the next row pasted into some rows of a batch: each with an even chance, at least one.

    Everything is as the training maps show it: pictures seen through them, ids of masks and names of boxes exchanged where a
    mirror does so, boxes in pixels of the batch's frame. Objects come from rows as they were given, never from pasted ones.

    Args:
        scene: One of `scenes(fields)`.
        pictures: The real rows of a batch by field, no padding; left as they are.  (b, h, w, c)
        boxes: One `Boxes` a row by field; {} where the scene has none.  (b,) object
        chance: That anything is pasted into a row.
        draws: One key for each row.
        strength: How much more often than written.  (b,)

    Source:
        Ghiasi et al. (2021), Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation, CVPR.
    """
    partner = next_rows(draws, "paste_order")
    pasted = Pasted(
        pictures={name: values.copy() if name in scene.pictures else values for name, values in pictures.items()},
        boxes={name: values.copy() for name, values in boxes.items()},
        added=[frozenset()] * len(partner),
        hidden=[frozenset()] * len(partner),
    )
    which = draws.bits("paste_which")
    for i in np.flatnonzero(hit(draws, "paste", chance, strength) & (partner != np.arange(len(partner)))):
        own, other = _objects(scene, pictures, boxes, int(i)), _objects(scene, pictures, boxes, int(partner[i]))
        chosen = [k for k in _chosen(len(other), which[i]) if other[k][1].any()]
        if chosen:
            region = _union([other[k][1] for k in chosen])
            pasted.added[i] = frozenset(other[k][0] for k in chosen if other[k][0])
            pasted.hidden[i] = _lost(own, region) - pasted.added[i]
            _paste_row(scene, pasted, pictures, (int(i), int(partner[i])), region)
            for name in scene.boxes:
                lying, coming = boxes[name][i], boxes[name][partner[i]]
                taken = chosen if name == scene.cutter else _followers(coming, other, region)
                pasted.boxes[name][i] = _joined(lying, _visible(lying, region), coming, taken)
    return pasted


def _paste_row(scene: Scene, into: Pasted, pictures: Mapping[str, NDArray[Any]], rows: tuple[int, int], region: Region) -> None:
    i, other = rows
    for name in scene.images:
        into.pictures[name][i] = _soft(pictures[name][i], pictures[name][other], region)
    for name in scene.exact:
        into.pictures[name][i][region] = pictures[name][other][region]


Objects = list[tuple[str, Region]]  # what each is, "" where it has no name, and where


def _objects(scene: Scene, pictures: Mapping[str, NDArray[Any]], boxes: Mapping[str, NDArray[np.object_]], row: int) -> Objects:
    """What can be cut out of a row, by id, or in the boxes' order."""
    size = pictures[scene.pictures[0]].shape[1:3]
    if scene.names:
        ids = pictures[scene.cutter][row][:, :, 0]
        regions = [(name, ids == number) for number, name in scene.names.items()]
        return [(name, region) for name, region in regions if region.any()]
    here: Boxes = boxes[scene.cutter][row]
    return [(here.names[k] if here.names else "", _inside(edges, size)) for k, edges in enumerate(here.edges)]


def _chosen(n: int, bits: np.uint64) -> list[int]:
    """Each of n with an even chance; the one nearest to it where it would be none."""
    drawn = as_fraction(mixed(bits + np.arange(n, dtype=np.uint64) * GOLDEN))
    return [k for k in range(n) if drawn[k] < max(0.5, drawn.min() + 1e-12)]


def _inside(edges: NDArray[np.float64], size: tuple[int, ...]) -> Region:
    """The pixels whose centres are in a box."""
    out = np.zeros(size, dtype=bool)
    left, top, right, bottom = np.maximum(np.ceil(edges - 0.5), 0).astype(int)
    out[top:bottom, left:right] = True
    return out


def _union(regions: list[Region]) -> Region:
    union: Region = np.logical_or.reduce(regions)
    return union


def _soft(own: NDArray[Any], other: NDArray[Any], region: Region) -> NDArray[Any]:
    """The other picture inside the region, blended in its outermost pixels only; outside nothing changes."""
    share = cv2.blur(region.astype(np.float32), (3, 3), borderType=cv2.BORDER_REPLICATE)[region][:, None]
    out = own.copy()
    values = own[region] + share * (other[region].astype(np.float32) - own[region])
    whole = np.where(share >= 1 - 1e-6, other[region], values)
    out[region] = whole if own.dtype.kind == "f" else np.rint(whole)
    return out


def _covered(regions: list[Region], by: Region) -> NDArray[np.float64]:
    """The share of each region that is covered; 0 of one without pixels.  (m,)"""
    return np.array([(one & by).sum() / max(one.sum(), 1) for one in regions])


def _visible(boxes: Boxes, region: Region) -> list[int]:
    covered = _covered([_inside(edges, region.shape) for edges in boxes.edges], region)
    return [k for k in range(len(boxes)) if covered[k] <= HIDDEN_FRACTION]


def _followers(boxes: Boxes, objects: Objects, region: Region) -> list[int]:
    """Boxes of the other picture that came along: those in which at least half of the objects' pixels did.

    Where a box and objects have the same name, only those count.
    """
    known = {name for name, _ in objects}
    taken = []
    for k, edges in enumerate(boxes.edges):
        name = boxes.names[k] if boxes.names else None
        alike = [one for its_name, one in objects if name not in known or its_name == name]
        meant = _union(alike) & _inside(edges, region.shape)
        if meant.any() and (meant & region).sum() >= 0.5 * meant.sum():
            taken.append(k)
    return taken


def _joined(own: Boxes, kept: list[int], other: Boxes, taken: list[int]) -> Boxes:
    edges = np.concatenate([own.edges[kept].reshape(-1, 4), other.edges[taken].reshape(-1, 4)])
    names = tuple(own.names[k] for k in kept if own.names) + tuple(other.names[k] for k in taken if other.names)
    return Boxes(edges, names if len(names) == len(edges) else ())


def _lost(own: Objects, region: Region) -> frozenset[str]:
    """Names of which every object is covered."""
    covered = _covered([one for _, one in own], region)
    seen = {name for (name, _), share in zip(own, covered, strict=True) if share <= HIDDEN_FRACTION}
    return frozenset(name for name, _ in own if name) - seen


# ---- what may not be pasted


def paste_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """What `paste` cannot honour in this study: nothing to cut by, or a target that does not say what an object does to it."""
    path, value = ("augment", "paste"), config.augment.paste
    found = scenes(config.fields)
    if not found:
        yield must_be(path, say("0 without a mask with `names`, or boxes, of a picture: they say where its objects are"), value)
        return
    for name, field in config.fields.items():
        if isinstance(field, DepthField) and field.of is None and not any(name in scene.exact for scene in found):
            text = say(
                "must name the picture it lies on where objects are pasted (augment.paste): write of: {picture}.",
                picture=next((one for scene in found for one in scene.images), ""),
            )
            yield Mistake(("fields", name, "of"), text)
    for name, field in config.fields.items():
        if field.is_predicted and getattr(field, "pasted", None) != "same":
            yield from _target_mistakes(config, name, field, found)


def _target_mistakes(config: StudyConfig, name: str, field: Any, found: list[Scene]) -> Iterator[Mistake]:
    path, value = ("augment", "paste"), config.augment.paste
    if field.kind == "labels":
        for scene in found:
            boxes = config.fields[scene.cutter]
            if isinstance(boxes, BoxesField) and (boxes.table is None or boxes.table.name is None):
                rule = say(
                    "0 where the boxes {boxes!r} have no names: the target {name!r} could not follow",
                    boxes=scene.cutter,
                    name=name,
                )
                yield must_be(path, rule, value, say(" Name them by fields.{boxes}.table.name.", boxes=scene.cutter))
        return
    rule = say("0 where the target {name!r} does not say what a pasted object does to it", name=name)
    hint = say(" Write pasted: same in fields.{name} if it stays.", name=name) if "pasted" in type(field).model_fields else ""
    yield must_be(path, rule, value, hint)
