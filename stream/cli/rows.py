"""`wardstream rows`: point-in-time training rows of a source, as a Parquet file.

Owns the command. Must not know how a row is made or a label matures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import code_version, config_option, read_pseudonyms, read_site
from stream.cli.outcome_options import chosen_definition, outcome_options
from stream.cli.progress import show_progress
from stream.cli.replay import merge_sources, open_sources, replay_journal

if TYPE_CHECKING:
    from stream.release import Release
    from stream.row_recorder import RowRecorder

JOURNAL = "journal:"

HELP = """Write what SOURCE… teaches: each score's inputs as they were known then, and the label it got later.

\b
FILE is Parquet: a column an input (32-bit floats, NaN unknown), then label, at and matured_at (ms), after_action,
patient and row (numbers), and facts for subgroups. Rows stand in the order they are learned in. It names nobody; it is
patients' data all the same. docs/rows.md says what each column means.

\b
Examples:
  wardstream rows physionet2019:DIR --outcome sepsis --out rows.parquet
  wardstream rows ward.hl7 --critical-care-ward "Critical Care" --out rows.parquet
  wardstream rows journal:/var/lib/wardstream --config wardstream.toml --out rows.parquet
"""


@click.command("rows", help=HELP)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--out", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
@outcome_options
@click.option(
    "--every", default=1, show_default=True, type=click.IntRange(min=1), help="Of a public data set, each n-th stay."
)
@config_option
@click.option("--quiet", is_flag=True, help="No progress and no table.")
def command(
    sources: tuple[str, ...],
    path: Path,
    outcomes: tuple[str, ...],
    wards: tuple[str, ...],
    horizon_h: int | None,
    every: int,
    config_path: Path | None,
    *,
    quiet: bool,
) -> int:
    """Write the rows; exit 1 where there were none."""
    from stream.release import Release
    from stream.row_recorder import RowRecorder
    from stream.rows import RowFile, record_rows

    site = read_site(config_path)
    definition = chosen_definition(site, outcomes, wards, horizon_h)
    note = {
        "outcome": msgspec.json.encode(definition, order="sorted").decode(),
        "code_version": code_version(),
        "source": " ".join(source.partition(":")[0] if ":" in source else Path(source).name for source in sources),
        "every": str(every),
    }
    began = time.perf_counter()
    release = Release(site.settings, code_version())
    journal = _journal(sources)
    opened = [] if journal else open_sources(sources, site.settings, every=every)
    with RowFile(path, note) as file, show_progress("rows", opened, quiet=quiet) as advance:
        recorder = RowRecorder(definition, file.write)
        if journal is not None:
            _record_journal(journal, release, recorder, advance)
        else:
            record_rows(merge_sources(opened), release, recorder, read_pseudonyms(), advance)
        counts = msgspec.to_builtins(recorder.join.joiner.counts)
        file.add_note({"labels": msgspec.json.encode(counts, order="sorted").decode()})
    if not quiet:
        _show(path, recorder.rows, recorder.patients, counts, time.perf_counter() - began)
    if not recorder.rows:
        click.echo("Error: no row got a label: no patient was scored, or none for a whole horizon.", err=True)
        return EXIT_FAILED
    return EXIT_DONE


def _journal(sources: tuple[str, ...]) -> Path | None:
    """Give the folder of a recorded log, where that is what is read."""
    folders = [Path(source.removeprefix(JOURNAL)) for source in sources if source.startswith(JOURNAL)]
    if folders and len(sources) > 1:
        raise click.UsageError("a recorded log is read by itself: it is whole, not one source among others")
    return folders[0] if folders else None


def _record_journal(folder: Path, release: Release, recorder: RowRecorder, advance: Callable[[int], None]) -> None:
    """Fold a recorded log as it was; what is said is written where nobody reads it."""
    from stream.replay import Replay
    from stream.versions import load_versions

    versions, _wrong = load_versions(None)
    with TemporaryDirectory() as scratch:
        replay = Replay(Path(scratch), release, versions, on_progress=advance, learner=recorder)
        replay_journal(replay, folder, None, 0, what_if=False)
        replay.finish(0.0)
    recorder.finish()


def _show(path: Path, rows: int, patients: int, counts: dict[str, int], wall_s: float) -> None:
    table = Table(title=f"Rows written to {path}", show_header=False)
    for name, count in (("rows", rows), ("patients", patients), *counts.items()):
        table.add_row(name, str(count))
    table.add_row("wall_s", f"{wall_s:.1f}")
    Console().print(table)
