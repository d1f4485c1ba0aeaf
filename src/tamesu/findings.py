"""What a look at the rows brought up."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Findings:
    """What is wrong, and what is worth knowing; one sentence each."""

    mistakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
