"""`wardstream evaluate`: how well a learner does on a source, predicting before it learns, and beside others.

Owns the command: its options, its progress, what it writes where and its exit codes. Must not know how a figure is
computed (`stream.evaluating`) or told (`stream.reporting`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from connectors.sqlite.locks import lock_folder
from events import Millis, from_iso
from models.evaluation import Figures
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import (
    code_version,
    config_option,
    make_release,
    model_option,
    models_folder_option,
    read_pseudonyms,
    read_site,
)
from stream.cli.outcome_options import chosen_definition, outcome_options
from stream.cli.progress import show_progress
from stream.cli.replay import merge_sources, open_sources
from stream.cli.stages import show_stages
from stream.outcomes import OutcomeDefinition
from stream.release import Release
from stream.replay import Replay
from stream.settings import configuration_hash

if TYPE_CHECKING:
    from stream.evaluating.scores import Recorder
    from stream.evaluating.shape import Evaluation

LEARNERS = ("crossed-boosted", "boosting", "crossed-logistic", "river-logistic")
BESIDE = (*LEARNERS, "stock-logistic", "stock-hoeffding-tree", "adaptive-random-forest")
"""As `stream.evaluating.contenders` has them, named here so that --help need not import River."""
OUTSIDE_MAX = 8
"""Files of other models' probabilities: more lines than these nobody tells apart."""
ROUNDS = 200
RESERVED = ("NEWS2", "qSOFA", "SIRS", "champion")
"""Names that a report has already."""

HELP = """Learn from SOURCE… online and say how well: each score is predicted before its outcome is learned.

\b
Labels mature as late as they would at a site (a 12 h horizon, and an hour for charting). With --hold-out-from TIME,
what was scored from then on is only evaluated, never learned; what a version would say of its own limits is made of
it, and measured. NEWS2, qSOFA, SIRS and the version that ran are measured on the same rows.

\b
DIR gets
  report.html      one page with every plot, its table, what it means and what it cannot say: open it in a browser
  evaluation.json  every figure, and the digests of all that it was made of (docs/schemas/evaluation.v1.json)
  report.md        the shortest table
  parts/           scores, labels, predictions as Parquet: a second call goes on from there, also after a kill
and the outputs of the replay. The same inputs give the same evaluation.json and report.html, byte for byte.

\b
Others may be laid beside: --beside names a learner of ours or one of River's (slow: an hour of the forest for the
whole of physionet2019). --predictions FILE is any model's: a .parquet or .csv with a column `probability`, and `row`
(the number of the score, as in parts/*/rows.parquet), or `patient` and `at`. All are compared on the rows of which
every one of them spoke; name a file with NAME=FILE.

\b
Examples:
  wardstream evaluate physionet2019:DIR --outcome sepsis --out out/
  wardstream evaluate ward.hl7 --critical-care-ward "Critical Care" --out out/
  wardstream evaluate physionet2019:DIR --outcome sepsis --every 10 --beside stock-hoeffding-tree --out out/
  wardstream evaluate physionet2019:DIR --outcome sepsis --predictions LightGBM=lightgbm.parquet --out out/

\b
Exit codes: 0 done; 1 no outcome was met, so nothing was evaluated (the files are there); 2 wrong usage.
"""


@click.command("evaluate", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--out", "folder", required=True, type=click.Path(file_okay=False, path_type=Path))
@outcome_options
@click.option("--hold-out-from", "hold_out", default=None, metavar="TIME", help="Stop learning from scores of then on.")
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Of a public data set, each n-th stay."
)
@click.option(
    "--learner", default=LEARNERS[0], show_default=True, type=click.Choice(LEARNERS), help="Which one is evaluated."
)
@click.option("--beside", multiple=True, type=click.Choice(BESIDE), help="Another, on the same rows; may be repeated.")
@click.option(
    "--predictions",
    "files",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Another model's probabilities; may be repeated.",
)
@click.option(
    "--rounds", default=ROUNDS, show_default=True, type=click.IntRange(20, 10_000), help="Of the bootstrap by stay."
)
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@config_option
@model_option
@models_folder_option
def command(  # noqa: PLR0913 - as many as there are options
    sources: tuple[str, ...],
    folder: Path,
    outcomes: tuple[str, ...],
    wards: tuple[str, ...],
    horizon_h: int | None,
    hold_out: str | None,
    every: int,
    learner: str,
    beside: tuple[str, ...],
    files: tuple[str, ...],
    rounds: int,
    config_path: Path | None,
    model_name: str | None,
    models_dir: Path | None,
    *,
    quiet: bool,
) -> int:
    """Run the evaluation; exit 1 where no outcome was met, since nothing was evaluated then."""
    from stream.evaluating.evaluation import Question, evaluate, outside_digests, record
    from stream.evaluating.parts import FOLDER, Parts
    from stream.evaluating.predicting import PredictionsError
    from stream.evaluating.provenance import made_of

    site = read_site(config_path)
    settings = site.settings
    release, versions = make_release(settings, model_name, models_dir)
    definition = chosen_definition(site, outcomes, wards, horizon_h)
    border, outside = _instant(hold_out), _outside(files)
    opened = open_sources(sources, settings, every=every)
    ran = _in_words(definition, every, release)
    made = made_of(sources, configuration_hash(settings), code_version(), ran)
    key = made.digest().removeprefix("sha256:")
    chosen = {
        "learner": learner,
        "beside": ", ".join(beside) or "none",
        "predictions": ", ".join(f"{name} ({digest})" for name, digest in outside_digests(outside)) or "none",
        "held out from": hold_out or "nothing held out",
        "bootstrap rounds": str(rounds),
    }
    made = msgspec.structs.replace(made, choices={**ran, **chosen})

    def replay(recorder: Recorder) -> str:
        began = time.perf_counter()
        with show_progress("replay", opened, quiet=quiet) as advance:
            run = Replay(folder, release, versions, pseudonyms=read_pseudonyms(), on_progress=advance, learner=recorder)
            run.messages(merge_sources(opened))
        return run.finish(time.perf_counter() - began).digest

    raise_at, clear_at = settings.guardrails.thresholds_of("")
    question = Question(sources, definition, learner, beside, outside, border, rounds, raise_at, clear_at)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with lock_folder(folder / FOLDER):
        parts = Parts(folder, key)
        heard = record(parts, definition, replay)
        try:
            with show_stages(quiet=quiet) as begin:
                evaluation = evaluate(parts, heard, question, made, begin)
        except PredictionsError as error:
            raise click.UsageError(f"--predictions {error}") from None
    _write(folder, evaluation)
    if not quiet:
        _show(evaluation, folder)
    if not evaluation.figures["learner, prequential"].positives:
        click.echo("Error: no outcome was met; name what counts with --outcome or --critical-care-ward.", err=True)
        return EXIT_FAILED
    return EXIT_DONE


def _in_words(definition: OutcomeDefinition, every: int, release: Release) -> dict[str, str]:
    """Say what the rows and their labels rest on, beside the sources and the configuration."""
    found: dict[str, str] = {}
    for name in definition.__struct_fields__:
        value = getattr(definition, name)
        found[name.replace("_", " ")] = ", ".join(sorted(value)) if isinstance(value, tuple | frozenset) else str(value)
    return {
        **found,
        "stays": "all" if every == 1 else f"each {every}th",
        "version that ran": release.version or "none",
        # The outputs of the replay name patients by it; what it is cannot be told from this.
        "pseudonyms": read_pseudonyms().of("evaluation", "made of")[:8],
    }


def _instant(text: str | None) -> Millis | None:
    if text is None:
        return None
    try:
        return from_iso(text)
    except ValueError:
        raise click.UsageError("--hold-out-from wants an ISO 8601 instant with its zone") from None


def _outside(files: tuple[str, ...]) -> dict[str, Path]:
    """Read [NAME=]FILE: a file without a name is shown under its own."""
    found: dict[str, Path] = {}
    for text in files:
        name, equals, rest = text.partition("=")
        path = Path(rest if equals else text)
        name = name if equals and name else path.stem
        if not path.is_file():
            raise click.UsageError(f"--predictions {path}: there is no such file")
        if name in found or name in BESIDE or name in RESERVED:
            raise click.UsageError(f"--predictions {name}: that name is taken; give another as NAME=FILE")
        found[name] = path
    if len(found) > OUTSIDE_MAX:
        raise click.UsageError(f"--predictions: at most {OUTSIDE_MAX} files")
    return found


def _write(folder: Path, evaluation: Evaluation) -> None:
    """Write what is to be read; each file is there whole or as it was."""
    from stream.evaluating.shape import encode
    from stream.reporting.page import page

    texts = {
        "evaluation.json": encode(evaluation),
        "report.md": _markdown(evaluation).encode(),
        "report.html": page(evaluation).encode(),
    }
    for name, text in texts.items():
        making = folder / f"{name}.making"
        making.write_bytes(text)
        making.replace(folder / name)


_COLUMNS = {
    "rows": "rows",
    "pos.": "positives",
    "patients": "groups",
    "AUROC": "auroc",
    "AP": "average_precision",
    "Brier": "brier",
    "ECE": "calibration_error",
}
"""Short headings, so that the table fits a terminal; `evaluation.json` has the full names."""


def _cells(figures: Figures) -> list[str]:
    values = [getattr(figures, name) for name in _COLUMNS.values()]
    return [f"{value:.4f}" if isinstance(value, float) else str(value) for value in values]


def _markdown(evaluation: Evaluation) -> str:
    from stream.reporting.opening import foretold

    head = f"# Evaluation\n\n{', '.join(evaluation.outcomes)} {foretold(evaluation)}.\n\n"
    table = f"| | {' | '.join(_COLUMNS)} |\n| --- |{' ---: |' * len(_COLUMNS)}\n"
    rows = "".join(f"| {name} | {' | '.join(_cells(figures))} |\n" for name, figures in evaluation.figures.items())
    return head + table + rows


def _show(evaluation: Evaluation, folder: Path) -> None:
    console = Console()
    table = Table("", *_COLUMNS, box=SIMPLE_HEAD)
    for name, figures in evaluation.figures.items():
        table.add_row(name, *_cells(figures))
    console.print(table)
    console.print(f"report {folder / 'report.html'}", soft_wrap=True, highlight=False)
    console.print(f"made of {evaluation.made_of_digest}", soft_wrap=True, highlight=False)
