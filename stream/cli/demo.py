"""`wardstream demo`: a simulated hospital through the whole embedded service.

Owns the command and its view. Must not know physiology, nor decide what is said.
"""

from __future__ import annotations

import re
import tempfile
import time
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.sources import Arrival
from stream.board import Board
from stream.cli import EXIT_DONE
from stream.cli.board_view import render_board
from stream.cli.options import make_release, read_pseudonyms, warn
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

BATCH = 50
VIEW_S = 0.25


HELP = """Show a simulated hospital through the whole service: HL7 v2 in, alerts out, the journal on disk.

The model is enabled here and nowhere else. Kill it at any moment: with --data-dir, the same command goes on where
it was, and ends with the same digest.

\b
Examples:
  wardstream demo
  wardstream demo --once --data-dir ward/
"""


@click.command("demo", help=HELP)
@click.option("--once", is_flag=True, help="Run fast to the end, print the board and the summary, exit 0.")
@click.option(
    "--speed",
    default=600.0,
    show_default=True,
    type=click.FloatRange(1, 100_000),
    help="Times real time (without --once).",
)
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same hospital and the same alerts.")
@click.option("--beds", default=24, show_default=True, type=click.IntRange(1, 500))
@click.option("--hours", default=36, show_default=True, type=click.IntRange(1, 720))
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the journal here. Default: a temporary folder.",
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also write the board as SVG.")
def command(
    *, once: bool, speed: float, seed: int, beds: int, hours: int, data_dir: Path | None, picture: Path | None
) -> int:
    """Run the demo."""
    release, versions = make_release(Settings(), None, None, enabled=True)
    with tempfile.TemporaryDirectory(prefix="wardstream-demo-") as scratch:
        service = EmbeddedService(data_dir or Path(scratch), release, versions, read_pseudonyms(), warn=warn)
        board = Board(service.host.shelf)
        service.listen = board.take
        messages = list(hospital_stream(seed=seed, beds=beds, hours=hours))
        began = time.perf_counter()
        if once:
            _run_fast(service, messages)
        else:
            _run_live(service, board, messages, speed)
        console = Console(record=picture is not None, width=118 if picture is not None else None)
        console.print(render_board(board))
        console.print(_summary(service, time.perf_counter() - began))
        console.print(f"digest {service.digest()}", soft_wrap=True, highlight=False)
        if picture is not None:
            svg = console.export_svg(title="wardstream demo --once", unique_id="demo")
            # Rich's fonts come from a public server; a picture in a hospital's README asks nobody for anything.
            picture.write_text(re.sub(r"@font-face\s*{[^}]*}", "", svg))
        service.close()
    return EXIT_DONE


def _run_fast(service: EmbeddedService, messages: list[tuple[int, bytes]]) -> None:
    with Progress(
        TextColumn("a ward's traffic"), BarColumn(), TextColumn("{task.completed} messages"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("demo", total=len(messages))
        arrivals = arrivals_of(messages, service.settings)
        while batch := list(islice(arrivals, BATCH)):
            service.accept(batch)
            progress.advance(task, len(batch))


def _run_live(service: EmbeddedService, board: Board, messages: list[tuple[int, bytes]], speed: float) -> None:
    began = time.monotonic()
    first = messages[0][0]
    arrivals = arrivals_of(messages, service.settings)
    pending = next(arrivals, None)
    with Live(render_board(board), refresh_per_second=4) as live:
        while pending is not None:
            due = first + (time.monotonic() - began) * 1000 * speed
            batch: list[Arrival] = []
            while pending is not None and (pending.received_time or 0) <= due and len(batch) < BATCH:
                batch.append(pending)
                pending = next(arrivals, None)
            if batch:
                service.accept(batch)
                live.update(render_board(board))
            else:
                time.sleep(VIEW_S)


def _summary(service: EmbeddedService, wall_s: float) -> Table:
    counts = service.journal.counts()
    tally = service.host.pipeline.tally
    table = Table(title="Summary", show_header=False)
    for name in ("messages", "accepted", "dead_letters", "duplicates"):
        table.add_row(name.replace("_", " "), f"{counts.get(name, 0):,}")
    table.add_row("observations", f"{tally.observations:,}")
    table.add_row(
        "quarantined", ", ".join(f"{reason} {count}" for reason, count in sorted(tally.quarantined.items())) or "0"
    )
    table.add_row("patients", f"{tally.patients:,}")
    table.add_row("scores", f"{tally.scores:,}")
    table.add_row("alerts", ", ".join(f"{name} {count}" for name, count in sorted(tally.alerts.items())) or "0")
    table.add_row("wall", f"{wall_s:.1f} s")
    return table
