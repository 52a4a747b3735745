"""`wardstream evaluate`: how well the learner does on a source, predicting before it learns.

Owns the command and the shape of `evaluation.json`. Must not know how a figure is computed.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from events import Millis, from_iso
from models.evaluation import Accumulator, Figures
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import (
    config_option,
    make_release,
    model_option,
    models_folder_option,
    read_pseudonyms,
    read_settings,
)
from stream.cli.progress import show_progress
from stream.cli.replay import merge_sources, open_sources
from stream.learning import LearnerFold, OutcomeDefinition
from stream.replay import Replay

HELP = """Learn from SOURCE… online and say how well: each score is predicted before its outcome is learned.

\b
Labels mature as late as they would at a site (a 12 h horizon, and an hour for charting). With --hold-out-from TIME,
what was scored from then on is only evaluated, never learned; what a version would say of its own limits is made of
it, and measured. DIR gets evaluation.json, report.md and the outputs of the replay.

\b
Examples:
  wardstream evaluate physionet2019:DIR --outcome sepsis --out out/
  wardstream evaluate ward.hl7 --critical-care-ward "Critical Care" --out out/
"""


@click.command("evaluate", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--out", "folder", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    help="What counts; may be repeated. Default: death, critical_care, cardiac_arrest.",
)
@click.option("--critical-care-ward", "wards", multiple=True, help="A transfer to it is an outcome; may be repeated.")
@click.option("--horizon-h", default=12, show_default=True, type=click.IntRange(1, 168))
@click.option("--hold-out-from", "hold_out", default=None, metavar="TIME", help="Stop learning from scores of then on.")
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Of a public data set, each n-th stay."
)
@config_option
@model_option
@models_folder_option
def command(
    sources: tuple[str, ...],
    folder: Path,
    outcomes: tuple[str, ...],
    wards: tuple[str, ...],
    horizon_h: int,
    hold_out: str | None,
    every: int,
    config_path: Path | None,
    model_name: str | None,
    models_dir: Path | None,
) -> int:
    """Run the evaluation; exit 1 where no outcome was met, since nothing was evaluated then."""
    settings = read_settings(config_path)
    release, versions = make_release(settings, model_name, models_dir)
    definition = OutcomeDefinition(horizon_h=horizon_h, critical_care_wards=frozenset(wards))
    if outcomes:
        definition = msgspec.structs.replace(definition, kinds=outcomes)
    fold = LearnerFold(definition, _instant(hold_out))
    began = time.perf_counter()
    opened = open_sources(sources, settings, every=every)
    with show_progress("evaluate", opened) as advance:
        replay = Replay(folder, release, versions, pseudonyms=read_pseudonyms(), on_progress=advance, learner=fold)
        replay.messages(merge_sources(opened))
    result = replay.finish(time.perf_counter() - began)
    fold.finish()
    report = _report(fold, definition)
    report["digest"] = result.digest
    if hold_out is not None:
        report["limits"] = fold.held_back.summaries(settings.guardrails.thresholds_of("")[0]).measured
    (folder / "evaluation.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    rows = _rows(fold)
    (folder / "report.md").write_text(_markdown(rows, definition))
    _show(rows)
    if not fold.prequential.accumulator.figures().positives:
        click.echo("Error: no outcome was met; name what counts with --outcome or --critical-care-ward.", err=True)
        return EXIT_FAILED
    return EXIT_DONE


def _instant(text: str | None) -> Millis | None:
    if text is None:
        return None
    try:
        return from_iso(text)
    except ValueError:
        raise click.UsageError("--hold-out-from wants an ISO 8601 instant with its zone") from None


def _rows(fold: LearnerFold) -> list[tuple[str, Figures]]:
    """Give the figures by what they are of; a hold-out only where there was one."""
    rows: list[tuple[str, Accumulator]] = [
        ("learner, prequential", fold.prequential.accumulator),
        ("NEWS2, same rows", fold.news2),
    ]
    if fold.hold_out.figures().rows:
        rows.append(("learner, hold-out", fold.hold_out))
    return [(name, accumulator.figures()) for name, accumulator in rows]


def _report(fold: LearnerFold, definition: OutcomeDefinition) -> dict[str, object]:
    return {
        "outcomes": definition.kinds,
        "horizon_h": definition.horizon_h,
        "patients": len(fold.patients),
        "labels": msgspec.to_builtins(fold.joiner.counts),
        "refused": fold.prequential.refused,
        "figures": {name: msgspec.to_builtins(figures) for name, figures in _rows(fold)},
    }


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


def _markdown(rows: list[tuple[str, Figures]], definition: OutcomeDefinition) -> str:
    head = f"# Evaluation\n\n{', '.join(definition.kinds)} within {definition.horizon_h} h.\n\n"
    table = f"| | {' | '.join(_COLUMNS)} |\n| --- |{' ---: |' * len(_COLUMNS)}\n"
    return head + table + "".join(f"| {name} | {' | '.join(_cells(figures))} |\n" for name, figures in rows)


def _show(rows: list[tuple[str, Figures]]) -> None:
    table = Table("", *_COLUMNS, box=SIMPLE_HEAD)
    for name, figures in rows:
        table.add_row(name, *_cells(figures))
    Console().print(table)
