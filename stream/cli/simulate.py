"""`wardstream simulate`: a seeded hospital's traffic, to a file.

Owns the command. Must not know physiology.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, cast

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from events import MILLIS_PER_HOUR
from stream.cli import EXIT_DONE
from stream.simulation import Wire, hospital_stream

HELP = """Write a simulated hospital's traffic to FILE, in order of the time it was sent.

\b
FILE's ending chooses the format: .hl7 is HL7 v2 (ER7, segments by CR), .ndjson is FHIR R4 (a Bundle a line);
either may end in .gz. The same seed, beds and hours give the same bytes.

\b
Examples:
  wardstream simulate ward.hl7
  wardstream simulate week.ndjson.gz --beds 200 --hours 168 --seed 3
"""


@click.command("simulate", help=HELP)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=7, show_default=True)
@click.option("--beds", default=24, show_default=True, type=click.IntRange(1, 5_000))
@click.option("--hours", default=48.0, show_default=True, type=click.FloatRange(min=0, min_open=True, max=8_784))
def command(file: Path, seed: int, beds: int, hours: float) -> int:
    """Write the traffic."""
    name = file.name.removesuffix(".gz")
    wires: dict[str, Wire] = {".hl7": "hl7v2", ".ndjson": "fhir"}
    wire = wires.get(Path(name).suffix)
    if wire is None:
        raise click.UsageError(f"{file.name}: end it in .hl7 or .ndjson (.gz too), so that the format is known")
    written = 0
    with Progress(
        TextColumn("simulate"), BarColumn(), TextColumn("{task.fields[count]} messages"), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True,
    ) as progress, _open(file) as out:  # fmt: skip
        task = progress.add_task("simulate", total=hours, count=0)
        first: int | None = None
        for sent, data in hospital_stream(seed=seed, beds=beds, hours=hours, wire=wire):
            first = sent if first is None else first
            out.write(data if wire == "hl7v2" else data + b"\n")
            written += 1
            progress.update(task, completed=(sent - first) / MILLIS_PER_HOUR, count=written)
    click.echo(f"{written} messages in {file}")
    return EXIT_DONE


def _open(file: Path) -> IO[bytes]:
    if file.suffix == ".gz":
        # mtime 0: the same hospital gives the same file.
        return cast("IO[bytes]", gzip.GzipFile(file, "wb", mtime=0))
    return file.open("wb")
