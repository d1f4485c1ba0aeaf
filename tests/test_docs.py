"""The documents tell the truth: every setting is described, every script they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tamesu.config import StudyConfig
from tamesu.fields import KINDS
from tamesu.metrics import METRICS

ROOT = Path(__file__).parents[1]
SECTIONS = {name: field.annotation for name, field in StudyConfig.model_fields.items()}


def test_every_setting_kind_and_metric_is_described():
    text = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", text))
    names = set(SECTIONS) | set(KINDS)
    for section in SECTIONS.values():
        names |= set(getattr(section, "model_fields", {}))
    assert names <= words, sorted(names - words)
    shown = {name for name in METRICS if not name.startswith("pinball") and name not in {"msle"}}
    assert shown <= words, sorted(shown - words)


@pytest.mark.parametrize("page", ["README.md", "README.ja.md", "docs/verdict.md", "bench/README.md", "CONTRIBUTING.md"])
def test_what_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for script in re.findall(r"bench/\w+\.py", text):
        assert (ROOT / script).exists(), script
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / link).exists(), link
