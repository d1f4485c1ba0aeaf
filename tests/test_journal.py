"""The journal: readable, dated, and only ever longer."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path

import pytest

from golden_text import check_golden
from tamesu.arms import make_arms
from tamesu.document import config_from_mapping
from tamesu.errors import StoreError
from tamesu.journal import write_entry
from tamesu.texts import language, use_language

NOW = datetime.datetime(2026, 4, 1, 9, 30, tzinfo=datetime.UTC)
VERDICT = {"outcome": "helps", "gain": 0.0312345, "interval": [0.011, 0.052], "p_value": 0.00312, "n_trainings": 25}


@pytest.fixture(autouse=True)
def _language():
    before = language()
    use_language("en")
    yield
    use_language(before)


def arm():
    fields = {"x": {"kind": "image"}, "印": {"kind": "label", "target": True}}
    ideas = {"batch": {"train": {"batch_size": [16, 64]}, "fields": {"印": {"mirror": {"左": "右"}}}}}
    return make_arms(config_from_mapping({"fields": fields, "ideas": ideas}), (32, 32))[1]


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_entries_golden(tmp_path, lang):
    use_language(lang)
    path = tmp_path / "journal.md"
    assert write_entry(path, arm(), VERDICT, now=NOW) == path
    write_entry(path, arm(), None, now=NOW)
    write_entry(
        path, arm(), {"outcome": "undecided", "gain": None, "interval": None, "p_value": None, "n_trainings": 3}, now=NOW
    )
    check_golden(f"journal.{lang}.md", path.read_text(encoding="utf-8"))


def test_what_people_wrote_stays(tmp_path):
    path = tmp_path / "journal.md"
    path.write_bytes("# 日誌\r\nmy own note without a newline".encode())
    write_entry(path, arm(), VERDICT, now=NOW)
    assert path.read_bytes().startswith("# 日誌\r\nmy own note without a newline\n".encode())


def test_entries_written_at_once_are_all_there(tmp_path):
    path = tmp_path / "journal.md"
    write_entry(path, arm(), VERDICT, now=NOW)
    threads = [threading.Thread(target=write_entry, args=(path, arm(), VERDICT)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text(encoding="utf-8").count("## 20") == 9
    assert path.read_text(encoding="utf-8").count("```") == 18


def test_a_journal_that_cannot_be_written(tmp_path):
    with pytest.raises(StoreError, match="must be writable"):
        write_entry(tmp_path / "no" / "journal.md", arm(), VERDICT)
    with pytest.raises(StoreError, match="must be writable"):
        write_entry(Path(tmp_path), arm(), VERDICT)
