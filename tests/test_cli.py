"""The command line as a person meets it: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from test_study import STUDY, write_rows

HERE = Path(__file__).parent


def run(*words: object, cwd: Path | None = None, lang: str = "C.UTF-8", **more: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(HERE), "LC_ALL": lang, "COLUMNS": "120"}
    command = [sys.executable, "-m", "tamesu", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, check=False, **more)


@pytest.fixture
def study_file(tmp_path):
    write_rows(tmp_path / "train.csv", 200, 0)
    write_rows(tmp_path / "test.csv", 20, 1, target=False)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "study.yaml"


def test_json_is_alone_on_standard_output(study_file):
    done = run("try", study_file, "with-z", "--json", "--workers", 1)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "tamesu/try/1"
    assert document["ideas"][0]["outcome"] == "helps"
    assert "trainings" in done.stderr
    fit = json.loads(run("fit", study_file, "--json").stdout)
    assert fit["schema"] == "tamesu/fit/1"
    assert len(fit["baseline"]["folds"]) == 5


def test_all_mistakes_are_told_at_once_with_their_lines(study_file):
    text = study_file.read_text(encoding="utf-8")
    text = text.replace("kind: number}\n  y", "kind: numbr}\n  y").replace("max_repeats: 3", "max_repeat: 3")
    study_file.write_text(text + "  nothing: {sise: 3}\n", encoding="utf-8")
    done = run("try", study_file)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for line, words in ((5, "numbr"), (8, "max_repeats"), (13, "sise")):
        assert any(f"study.yaml:{line} " in said and words in said for said in done.stderr.splitlines()), done.stderr
    assert not (study_file.parent / "runs").exists()


def test_mistakes_in_the_rows_are_told_before_anything_is_trained(study_file):
    table = study_file.parent / "train.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("train2", "train1")
    lines[5] = lines[5].rsplit(",", 1)[0] + ","
    table.write_text("\n".join(lines), encoding="utf-8")
    done = run("check", study_file)
    assert done.returncode == 2
    assert "'train1'" in done.stderr
    assert "'train4'" in done.stderr
    assert not list((study_file.parent / "runs").glob("*/trials/*/result.json"))


def test_a_users_mistake_shows_a_traceback_only_when_asked(study_file):
    missing = study_file.with_name("stdy.yaml")
    assert "Traceback" not in run("check", missing).stderr
    assert "Traceback" in run("--debug", "check", missing).stderr


def test_japanese_where_the_locale_asks_for_it(study_file):
    done = run("check", study_file, lang="ja_JP.UTF-8")
    assert "問題はありません" in done.stdout
    assert "試すアイデア" in run("try", "--help", lang="ja_JP.UTF-8").stdout


def test_budget_is_a_time(study_file):
    assert run("try", study_file, "--budget", "soon").returncode == 2
    done = run("try", study_file, "--max-trainings", 6, "--json")
    assert json.loads(done.stdout)["stopped"] == "budget"


def test_ctrl_c_loses_nothing(study_file):
    text = STUDY.replace("linear:Linear", "slow_linear:Slow")
    study_file.write_text(text, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(HERE), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tamesu", "try", str(study_file), "--workers", "1"],
        env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    trials = study_file.parent / "runs" / "rows" / "trials"
    deadline = time.monotonic() + 60
    while len(list(trials.glob("[0-9a-f]*/result.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Nothing is lost" in said
    kept = {path: path.stat().st_mtime_ns for path in trials.glob("[0-9a-f]*/result.json")}
    assert len(kept) >= 3
    assert run("try", study_file, "with-z").returncode == 0
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "what was finished is not trained again"


def test_a_failed_idea_is_exit_code_1(study_file):
    study_file.write_text(STUDY + "  broken: {learner: 'linear:Failing'}\n", encoding="utf-8")
    done = run("try", study_file, "broken", "--json")
    assert done.returncode == 1
    assert "the user's own mistake" in json.loads(done.stdout)["ideas"][0]["note"]


def test_modules_beside_the_study_can_be_named_in_it(study_file):
    """From wherever the command is run, and in the workers too."""
    code = "from linear import Linear\n\n\nclass Mine(Linear):\n    pass\n"
    (study_file.parent / "beside_the_study.py").write_text(code, encoding="utf-8")
    text = study_file.read_text(encoding="utf-8")
    study_file.write_text(text.replace("learner: linear:Linear", "learner: beside_the_study:Mine"), encoding="utf-8")
    assert "beside_the_study" in study_file.read_text(encoding="utf-8")
    done = run("fit", study_file, "--workers", 1, cwd=HERE)
    assert done.returncode == 0, done.stderr


def test_keep_predict_report(study_file):
    assert run("try", study_file, "with-z").returncode == 0
    kept = run("keep", study_file, "with-z")
    assert kept.returncode == 0, kept.stderr
    assert run("predict", study_file, "--out", study_file.with_name("out.csv")).returncode == 0
    assert len(study_file.with_name("out.csv").read_text().splitlines()) == 21
    assert run("report", study_file, "--out", study_file.with_name("r.html")).returncode == 0
    assert study_file.with_name("r.html").stat().st_size > 10_000


def test_init_writes_a_study_that_checks(study_file):
    study_file.unlink()
    done = run("init", study_file.parent)
    assert done.returncode == 0, done.stderr
    assert run("check", study_file).returncode == 0
    assert run("init", study_file.parent).returncode == 2, "what is there is not overwritten"


def test_importing_tamesu_loads_no_engine():
    code = "import sys, tamesu; print(sorted(set(sys.modules) & {'torch', 'pandas', 'sklearn', 'cv2', 'numpy'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
