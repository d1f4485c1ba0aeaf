"""Files that are not what they should be: missing, damaged, turned, of another format than their name says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tamesu.look.finding import ROWS_SHOWN, Finding, Part, Suggestion
from tamesu.look.material import Material, PictureFacts
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
UNIFORM = 0.99  # a property that nearly all pictures have is how they are, and no fault of some


def find_files(material: Material, progress: Progress | None = None) -> Part:
    """What is wrong with the files of each picture field, and what they are.

    Args:
        material: What was read.
        progress: Not told anything: nothing takes long here.
    """
    findings: list[Finding] = []
    figures = {}
    for name, facts in material.pictures.items():
        if len(facts.status) == 0:
            continue
        findings += _not_whole(material, facts)
        findings += _odd(material, facts)
        if facts.unused:
            findings.append(_unused(facts))
        figures[name] = _figures(facts)
    declared = [name for name, one in material.config.fields.items() if one.is_picture] if material.config else []
    empty = [name for name in declared if name in material.pictures and not material.pictures[name].whole.any()]
    warnings = tuple(
        say("`{name}`: no picture could be read; nothing can be said about pictures.", name=name) for name in empty
    )
    return Part(tuple(findings), figures, warnings)


def _not_whole(material: Material, facts: PictureFacts) -> Iterator[Finding]:
    """Rows without a picture, by why."""
    n = len(facts.status)
    missing, none = facts.status == "missing", facts.status == "none"
    damaged = ~(facts.whole | missing | none)
    if missing.any():
        yield _finding(
            material,
            facts,
            missing,
            say(
                "`{field}`: {n} of {total} rows name a file that is not there, such as {example}.",
                field=facts.field,
                n=int(missing.sum()),
                total=n,
                example=facts.names[missing][0],
            ),
            strength=0.9,
            note=say("Put the files where the table says, or take these rows out of it."),
        )
    if none.any():
        yield _finding(
            material,
            facts,
            none,
            say("`{field}`: {n} of {total} rows name no file.", field=facts.field, n=int(none.sum()), total=n),
            strength=0.8,
            note=say("Name a file for these rows, or take them out."),
        )
    for reason in sorted(set(facts.status[damaged])):
        hit = facts.status == reason
        yield _finding(
            material,
            facts,
            hit,
            say(
                "`{field}`: {n} of {total} files cannot be read: {reason}, such as {example}.",
                field=facts.field,
                n=int(hit.sum()),
                total=n,
                reason=reason,
                example=facts.names[hit][0],
            ),
            strength=0.9,
            note=say("Restore these files from where they came, or take their rows out."),
        )


def _odd(material: Material, facts: PictureFacts) -> Iterator[Finding]:
    """Pictures that can be read, and yet are not as the others."""
    whole = int(facts.whole.sum())
    for flag, (sentence, note, strength) in _sentences().items():
        hit = facts.flags[flag]
        is_fact = flag in ("palette", "sixteen_bit", "has_alpha", "cmyk") and hit.sum() >= UNIFORM * whole
        if not hit.any() or is_fact or (facts.kind != "image" and flag in ("palette", "sixteen_bit")):
            continue
        text = sentence.replace("{field}", facts.field).replace("{n}", str(int(hit.sum()))).replace("{total}", str(whole))
        yield _finding(material, facts, hit, text, strength=strength, note=note)


def _sentences() -> dict[str, tuple[str, str, float]]:
    """Of each flag: the sentence, what to do, how much it matters."""
    shown = {"field": "{field}", "n": "{n}", "total": "{total}"}
    return {
        "wrong_extension": (
            say("`{field}`: {n} of {total} files are not of the format their name says.", **shown),
            say("They are read by what is in them. Rename them, since other programs may not."),
            0.4,
        ),
        "exif_rotated": (
            say("`{field}`: {n} of {total} pictures are stored turned, with an EXIF note that says how.", **shown),
            say("tamesu turns them as the note says. Boxes and points must be those of the upright picture."),
            0.3,
        ),
        "animated": (
            say("`{field}`: {n} of {total} files hold more than one picture; only the first is seen.", **shown),
            say("Write the pictures that matter to files of their own."),
            0.5,
        ),
        "cmyk": (
            say("`{field}`: {n} of {total} pictures are made for print (CMYK).", **shown),
            say("They are converted to RGB; their colours may differ from those of the others."),
            0.35,
        ),
        "palette": (
            say("`{field}`: {n} of {total} pictures have a palette.", **shown),
            say("They are read in the palette's colours. If the numbers are ids, declare `kind: mask`."),
            0.25,
        ),
        "sixteen_bit": (
            say("`{field}`: {n} of {total} pictures have 16 bits a pixel, the others 8.", **shown),
            say("8-bit pictures are stretched to the same range. If the numbers are distances, declare `kind: depth`."),
            0.4,
        ),
        "has_alpha": (
            say("`{field}`: {n} of {total} pictures have transparent parts or an opacity channel.", **shown),
            say("Where opacity is not kept they are laid over white; `channels: rgba` keeps it."),
            0.25,
        ),
    }


def _unused(facts: PictureFacts) -> Finding:
    n = len(facts.unused)
    return Finding(
        "file",
        say(
            "`{field}`: {n} pictures lie beside the named ones and no row names them, such as {example}.",
            field=facts.field,
            n=n,
            example=facts.unused[0],
        ),
        0.2,
        fields=(facts.field,),
        suggestion=Suggestion(note=say("Nothing has to be done, unless the table should have had them.")),
        evidence={"unused": list(facts.unused[:ROWS_SHOWN])},
    )


def _finding(
    material: Material, facts: PictureFacts, hit: NDArray[np.bool_], sentence: str, *, strength: float, note: str
) -> Finding:
    rows = np.flatnonzero(hit)
    return Finding(
        "file",
        sentence,
        strength,
        fields=(facts.field,),
        rows=material.shown(rows[:ROWS_SHOWN]),
        suggestion=Suggestion(note=note),
        evidence={"n": len(rows), "names": [str(one) for one in facts.names[rows[:ROWS_SHOWN]]]},
    )


def _figures(facts: PictureFacts) -> dict[str, object]:
    suffixes, counts = np.unique([str(name).rpartition(".")[2].lower() for name in facts.names], return_counts=True)
    sides = {
        name: [int(one) for one in np.quantile(values[facts.whole], (0, 0.25, 0.5, 0.75, 1))] if facts.whole.any() else None
        for name, values in (("height_px", facts.heights), ("width_px", facts.widths))
    }
    order = np.argsort(-counts)[:12]
    return {
        "n": len(facts.status),
        "whole": int(facts.whole.sum()),
        "formats": {str(suffixes[i]): int(counts[i]) for i in order} if any(facts.paths) else {},
        "flags": {name: int(hit.sum()) for name, hit in facts.flags.items() if hit.any()},
        "sides": sides,
        "n_unused": len(facts.unused),
    }
