"""The documents tell the truth: every setting is described, every script they name is there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tamesu.config import Sometimes, StudyConfig
from tamesu.document import config_from_mapping
from tamesu.fields import KINDS, SeriesMirror, SideTable, SwapWith
from tamesu.metrics import METRICS
from tamesu.mistakes import FIELD_MODELS

ROOT = Path(__file__).parents[1]
SECTIONS = {name: field.annotation for name, field in StudyConfig.model_fields.items()}


def test_every_setting_kind_and_metric_is_described():
    text = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[a-z0-9_]+", text))
    names = set(SECTIONS) | set(KINDS)
    for section in SECTIONS.values():
        names |= set(getattr(section, "model_fields", {}))
    for kind in (*FIELD_MODELS.values(), SideTable, SeriesMirror, SwapWith, Sometimes):
        names |= set(kind.model_fields)
    assert names <= words, sorted(names - words)
    shown = {name for name in METRICS if not name.startswith("pinball") and name not in {"msle"}}
    assert shown <= words, sorted(shown - words)


def test_examples_of_settings_are_valid():
    """Every example of docs/study.md, laid over one study with every kind of picture in it."""
    text = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?ms)^ *```yaml\n(.*?)^ *```", text)]
    assert len(blocks) >= 5
    fields = {
        "photo": {"kind": "image"},
        "age": {"kind": "number"},
        "target": {"kind": "label", "target": True, "turn": "same"},
    }
    for block in blocks:
        given = YAML(typ="safe", pure=True).load(block)
        declared = {name: one for name, one in given.items() if isinstance(one, dict) and "kind" in one}
        others = {name: one for name, one in given.items() if name not in declared}
        own = any(one.get("target") for one in declared.values())
        whole = {name: one for name, one in fields.items() if not (own and name == "target")} | declared
        config_from_mapping({"fields": whole, **others})


@pytest.mark.parametrize("page", ["README.md", "README.ja.md", "docs/verdict.md", "bench/README.md", "CONTRIBUTING.md"])
def test_what_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for script in re.findall(r"bench/\w+\.py", text):
        assert (ROOT / script).exists(), script
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / page).parent / link).exists(), link
