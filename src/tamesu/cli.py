"""The command line: parse, call one public function, print. Progress goes to standard error, results to standard output."""

from __future__ import annotations

import json
import re
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tamesu.errors import TamesuError
from tamesu.texts import say, use_language

if TYPE_CHECKING:
    from tamesu.results import StudyResult
    from tamesu.study import Study

use_language("auto")  # help is spoken in the locale's language
app = typer.Typer(
    name="tamesu",
    help=say("Tell the model what you already know about your data, and find out whether it helped."),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
DEBUG = {"on": False}
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help=say("A study.yaml."))]
Runs = Annotated[Path | None, typer.Option("--runs", help=say("Folder for results; by default `runs` beside the study."))]
StoreUrl = Annotated[
    str | None, typer.Option("--store", help=say("Folder or fsspec URL for finished trainings, to share them."))
]
Json = Annotated[bool, typer.Option("--json", help=say("One JSON document on standard output, nothing else."))]
Workers = Annotated[int | None, typer.Option("--workers", min=0, help=say("Processes; 0: train in this one."))]
Budget = Annotated[str | None, typer.Option("--budget", help=say("Start no training after this long: 90s, 20m, 2h."))]
MaxTrainings = Annotated[int | None, typer.Option("--max-trainings", min=1, help=say("New trainings at most."))]


@app.callback()
def _settings(
    debug: Annotated[bool, typer.Option("--debug", help=say("Show tracebacks."))] = False,
    lang: Annotated[str, typer.Option("--lang", help=say("en, ja, or auto: the locale's."))] = "auto",
) -> None:
    DEBUG["on"] = debug
    use_language(lang)


@app.command(help=say("Look at a folder or a table and write a commented study.yaml that runs."))
def init(
    path: Annotated[Path, typer.Argument(help=say("A folder of pictures, or a csv or parquet file."))],
    target: Annotated[str | None, typer.Option("--target", help=say("The column to predict."))] = None,
) -> None:
    """Look at a folder or a table and write a commented study.yaml that runs."""
    from tamesu.starter import init_study

    written = init_study(path, target=target)
    typer.echo(say("{path} written. Read it, then: tamesu try {path}", path=written))


@app.command(help=say("Find every mistake in the study, its rows and its files; train nothing."))
def check(study: StudyFile, runs: Runs = None, store: StoreUrl = None) -> None:
    """Find every mistake in the study, its rows and its files; train nothing."""
    plan = _load(study, runs, store).check()
    for warning in plan.warnings:
        typer.echo(say("note: {warning}", warning=warning), err=True)
    typer.echo(
        say(
            "{study}: {rows} rows, {folds} folds × up to {repeats} repeats, {arms} arms; nothing is wrong.",
            study=study,
            rows=len(plan.rows),
            folds=plan.n_splits,
            repeats=plan.n_repeats,
            arms=len(plan.arms),
        )
    )


@app.command(help=say("Say what the data says before anything is trained: one HTML page, one JSON document."))
def look(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help=say("A study.yaml, a table, or a folder of pictures."))],
    compare: Annotated[
        str, typer.Option("--compare", help=say("Rows to hold side by side: train:test, a column, or column=a:b."))
    ] = "",
    ideas: Annotated[
        bool, typer.Option("--write-ideas", help=say("Add what is suggested to the study, commented out."))
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help=say("Where to write the HTML file."))] = None,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """Say what the data says before anything is trained: one HTML page, one JSON document."""
    from tamesu.look import look_at, open_study, write_ideas
    from tamesu.look.progress import watched
    from tamesu.look.table import findings_table

    config, base, warnings = open_study(path)
    if ideas and path.suffix.lower() not in (".yaml", ".yml"):
        raise typer.BadParameter(say("--write-ideas needs a study.yaml to write to; `tamesu init` writes one."))
    folder = (runs or base / "runs") / config.name
    with watched() as progress:
        found = look_at(config, folder, base=base, compare=compare, out=out, warnings=warnings, progress=progress)
    if as_json:
        typer.echo(found.path.read_text(encoding="utf-8"))
    else:
        _print(findings_table(found.document))
        for warning in found.document["warnings"]:
            typer.echo(say("note: {warning}", warning=warning), err=True)
        typer.echo(say("page: {path}", path=found.page))
    if ideas:
        n = write_ideas(found.document, path)
        typer.echo(say("{n} suggestions added to {study}, commented out.", n=n, study=path), err=True)


@app.command(
    help=say("Draw samples as they are and as training sees them, with their targets, into a PNG file; train nothing.")
)
def preview(
    study: StudyFile,
    idea: Annotated[str | None, typer.Option("--idea", help=say("The idea to show; none: the baseline."))] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=200, help=say("Samples; every class appears as far as they go."))] = 8,
    variants: Annotated[int, typer.Option("--variants", min=0, max=50, help=say("Epochs of training shown of each."))] = 4,
    rows: Annotated[str | None, typer.Option("--rows", metavar="ID,ID", help=say("The samples to show, by id."))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=say("Where to write the PNG file."))] = None,
    size: Annotated[int, typer.Option("--size", min=32, max=1024, help=say("Pixels of a picture on the sheet."))] = 160,
    runs: Runs = None,
    store: StoreUrl = None,
) -> None:
    """Draw samples as they are and as training sees them, with their targets; train nothing."""
    ids = tuple(one.strip() for one in rows.split(",") if one.strip()) if rows else ()
    shown = _load(study, runs, store).preview(idea, out, n=n, n_variants=variants, rows=ids, size=size)
    typer.echo(shown.path)
    for sentence in shown.sentences:
        typer.echo(sentence)


@app.command(help=say("Train the study as it stands: fold scores, out-of-fold predictions, models."))
def fit(
    study: StudyFile,
    repeats: Annotated[int, typer.Option(min=1, help=say("Repeats of the cross-validation."))] = 1,
    budget: Budget = None,
    max_trainings: MaxTrainings = None,
    workers: Workers = None,
    runs: Runs = None,
    store: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Train the study as it stands: fold scores, out-of-fold predictions, models."""
    opened = _load(study, runs, store)
    result = opened.fit(repeats=repeats, budget_s=_seconds(budget), max_trainings=max_trainings, n_workers=workers)
    _finish(opened, result, as_json)


@app.command("try", help=say("Train with and without each idea until its verdict stands."))
def try_(
    study: StudyFile,
    ideas: Annotated[list[str] | None, typer.Argument(metavar="[IDEA]...", help=say("Ideas to try; none: all."))] = None,
    budget: Budget = None,
    max_trainings: MaxTrainings = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help=say("Go on with an idea that helps until that is confirmed."))
    ] = False,
    workers: Workers = None,
    runs: Runs = None,
    store: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Train with and without each idea until its verdict stands."""
    opened = _load(study, runs, store)
    result = opened.try_ideas(
        *(ideas or ()), confirm=confirm, budget_s=_seconds(budget), max_trainings=max_trainings, n_workers=workers
    )
    _finish(opened, result, as_json)


@app.command(help=say("Say which inputs the models use: exchange the values of each among scored rows, see what gets worse."))
def importance(
    study: StudyFile,
    idea: Annotated[str | None, typer.Argument(metavar="[IDEA]", help=say("The idea to show; none: the baseline."))] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help=say("Exchanges of each input that are averaged."))] = 5,
    workers: Workers = None,
    runs: Runs = None,
    store: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Say which inputs the models use: exchange the values of each among scored rows, see what gets worse."""
    from tamesu.report.importance_table import importance_table
    from tamesu.report.importance_view import ideas_yaml

    opened = _load(study, runs, store)
    found = opened.importance(idea, n_repeats=repeats, n_workers=workers)
    document = found.as_dict()
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    _print(importance_table(document))
    typer.echo(
        say(
            "This is what these models use, not what would be lost without an input: inputs that say the same stand in for "
            "each other, and share what they are worth."
        )
    )
    if found.ideas:
        typer.echo(say("Whether an input without effect can go is an idea to try:"))
        typer.echo(ideas_yaml(found.ideas))
    typer.echo(opened.folder.importance)


@app.command(help=say("Write an idea into the baseline of study.yaml, and its verdict into the journal."))
def keep(study: StudyFile, idea: str, runs: Runs = None, store: StoreUrl = None) -> None:
    """Write an idea into the baseline of study.yaml, and its verdict into the journal."""
    journal = _load(study, runs, store).keep(idea)
    typer.echo(say("{idea} is part of {study} now; noted in {journal}.", idea=idea, study=study, journal=journal))


@app.command(help=say("Predict the test rows with the mean of the fold models; write a submission."))
def predict(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option("--out", help=say("Where to write the submission."))] = None,
    runs: Runs = None,
    store: StoreUrl = None,
) -> None:
    """Predict the test rows with the mean of the fold models; write a submission."""
    opened = _load(study, runs, store)
    frame = opened.predict(out)
    typer.echo(say("{path}: {rows} rows", path=out or opened.folder.path / "submission.csv", rows=len(frame)))


@app.command(help=say("Write the last run as one HTML file."))
def report(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option("--out", help=say("Where to write the HTML file."))] = None,
    runs: Runs = None,
    store: StoreUrl = None,
) -> None:
    """Write the last run as one HTML file."""
    typer.echo(_load(study, runs, store).report(out))


@app.command(
    help=say("Open the lockbox: the first baseline against the present one on rows set aside. Every opening is counted.")
)
def lockbox(study: StudyFile, runs: Runs = None, store: StoreUrl = None) -> None:
    """Open the lockbox: the first baseline against the present one on rows set aside. Every opening is counted."""
    from tamesu.lockbox import lockbox_sentence

    typer.echo(lockbox_sentence(*_load(study, runs, store).open_lockbox()))


@app.command(help=say("Say what this machine has and what is missing."))
def doctor() -> None:
    """Say what this machine has and what is missing."""
    from tamesu.doctor import examine

    _print(examine())


@app.command(help=say("Run the main job on scikit-learn's digits: a study of handwritten digits with three ideas."))
def demo(folder: Annotated[Path, typer.Argument(help=say("Where to put the demo study."))] = Path("demo")) -> None:
    """Run the main job on scikit-learn's digits: a study of handwritten digits with three ideas."""
    from tamesu.demo import write_demo

    study = write_demo(folder)
    typer.echo(say("{study} written; trying its ideas. The same as: tamesu try {study}", study=study), err=True)
    opened = _load(study, None, None)
    _finish(opened, opened.try_ideas(), as_json=False)


def _load(study: Path, runs: Path | None, store: str | None) -> Study:
    from tamesu.study import Study

    return Study.load(study, runs=runs, store=store)


def _finish(study: Study, result: StudyResult, as_json: bool) -> None:
    """Print what was found; exit 1 where an idea failed, 130 where the run was interrupted."""
    from tamesu.report.summary import summarise
    from tamesu.report.table import verdict_table

    summary = summarise(result, study.check().rows)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _print(verdict_table(summary))
        for warning in result.warnings:
            typer.echo(say("note: {warning}", warning=warning), err=True)
        typer.echo(say("report: {path}", path=study.folder.path / "report.html"))
    if result.stopped:
        typer.echo(say("Stopped before the end. Nothing is lost: run the same command again and it goes on."), err=True)
    if result.stopped == "interrupted":
        raise typer.Exit(130)
    if any(idea.judgement is None and idea.note and not result.stopped for idea in result.ideas):
        raise typer.Exit(1)


def _print(what: Any) -> None:
    from rich.console import Console

    Console().print(what)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if match is None:
        raise typer.BadParameter(say("--budget must be a time such as 90s, 20m or 2h; got {text}.", text=repr(text)))
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def main() -> None:
    """Entry point: a user's mistake is a sentence and an exit code, never a traceback."""
    try:
        app()
    except TamesuError as error:
        if DEBUG["on"]:
            traceback.print_exc()
        print(_with_notes(error), file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print(say("Stopped. Nothing is lost: run the same command again and it goes on."), file=sys.stderr)
        raise SystemExit(130) from None


def _with_notes(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", ())])
