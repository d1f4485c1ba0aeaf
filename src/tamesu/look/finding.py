"""What `look` says: findings, each with its evidence and with what to do about it as YAML ready to paste."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tamesu.yamltext import written

Kind = Literal[
    "shift", "leak", "merge", "split", "missing", "sentinel", "unknown", "duplicate", "group", "size", "file", "label_error"
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
ROWS_SHOWN = 50  # ids in a finding at most


@dataclass(frozen=True)
class Suggestion:
    """What a finding leads to.

    Attributes:
        patch: Settings of the study: `{"folds": {"group": "track"}}`.
        idea: The name of the idea that the patch is to be tried as; "" where it corrects the declaration itself.
        note: A comment above it: what to weigh, or what has to be done outside the study; with an empty patch it stands alone.
    """

    patch: Mapping[str, Any] = field(default_factory=dict)
    idea: str = ""
    note: str = ""

    def yaml(self) -> str:
        """The YAML to paste at the top level of study.yaml."""
        body = {"ideas": {self.idea: self.patch}} if self.idea else self.patch
        lines = "".join(f"# {line}\n" for line in self.note.splitlines())
        return lines + (written(body) if body else "")


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing before training.

    Attributes:
        kind: One of `KINDS`.
        sentence: What was found, whole and with its numbers, for a person.
        strength: How much it matters, 0–1, comparable among findings; the page shows the strongest first.
        fields: Columns concerned.
        labels: Classes concerned.
        rows: Ids of samples to look at; the first `ROWS_SHOWN` are kept.
        interval: 95 % interval of the number in the sentence, in that number's unit.
        suggestion: What to do.
        evidence: More numbers for the page and the JSON, plain values only. Known to the page, each optional:
            `pairs` [[id, id], …] shown side by side; `sides` {name: [id, …]} rows of pictures or ids under a name;
            `proposals` [[id, given, proposed], …] shown as pictures; `bars` {name: value};
            `table` {"head": […], "rows": [[…], …]}.
    """

    kind: Kind
    sentence: str
    strength: float
    fields: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    suggestion: Suggestion = Suggestion()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The finding in the JSON document."""
        return {
            "kind": self.kind,
            "fields": list(self.fields),
            "labels": list(self.labels),
            "rows": list(self.rows[:ROWS_SHOWN]),
            "strength": round(float(min(1.0, max(0.0, self.strength))), 4),
            "interval": None if self.interval is None else [float(self.interval[0]), float(self.interval[1])],
            "sentence": self.sentence,
            "suggestion": self.suggestion.yaml(),
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True)
class Part:
    """What one analysis gives.

    Attributes:
        findings: In any order.
        figures: For the page and the JSON document under the analysis' name: plain values (numbers, text, lists, mappings).
        warnings: What could not be said, and why.
    """

    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
