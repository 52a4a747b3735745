"""`wardstream deadletters list / show / redrive`: what could not be used, and trying it again.

Owns the three commands. Must not know why a message was refused. What a message says is shown only where it is asked
for by number: it names people.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import msgspec
from rich.console import Console
from rich.table import Table

from connectors.sqlite.journal import SqliteJournal
from events import to_iso
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import TOKEN_VARIABLE
from stream.parse import DeadLetter

TIMEOUT_S = 60.0
"""For one message to be stored again: a disk that takes longer is the operator's to look at."""
SHOWN = 50
"""Lines of a listing: the newest; `--all` shows them all."""

HELP = """List what could not be used, show one, or try them again.

A message that was refused is kept with its bytes, the reason and the place of the fault. Once the cause is mended (a
time zone, a code map, a newer release), send it to the running service again.

\b
Examples:
  wardstream deadletters list --data-dir /var/lib/wardstream
  wardstream deadletters show 12 --data-dir /var/lib/wardstream
  wardstream deadletters redrive --reason invalid_time --data-dir /var/lib/wardstream --to http://127.0.0.1:8080
"""

_folder = click.option(
    "--data-dir",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service; it may be running.",
)
_reason = click.option("--reason", help="Only those refused for this reason, such as invalid_time.")


@click.group("deadletters", help=HELP)
def command() -> None:
    """Hold the three commands."""


def _letters(folder: Path, reason: str | None) -> Iterator[tuple[int, DeadLetter, bytes | None]]:
    journal = SqliteJournal(folder, read_only=True)
    try:
        for number, data, original in journal.numbered_dead_letters():
            letter = msgspec.json.decode(data, type=DeadLetter)
            if reason is None or letter.reason == reason:
                yield number, letter, original
    finally:
        journal.close()


@command.command("list")
@_folder
@_reason
@click.option("--all", "everything", is_flag=True, help=f"All of them; without it the newest {SHOWN}.")
def list_letters(folder: Path, reason: str | None, *, everything: bool) -> int:
    """List them: number, when, why, where the fault is, and how many of each reason. Nothing of their text."""
    rows = [(number, letter, len(original or b"")) for number, letter, original in _letters(folder, reason)]
    table = Table()
    for column in ("number", "received", "reason", "fault at", "feed", "bytes"):
        table.add_column(column, justify="right" if column in ("number", "bytes") else "left")
    for number, letter, size in rows if everything else rows[-SHOWN:]:
        received = to_iso(letter.received_time)[:19]
        table.add_row(str(number), received, letter.reason, letter.fault, letter.feed, f"{size:,}")
    Console().print(table)
    counts = Counter(letter.reason.value for _number, letter, _size in rows)
    click.echo(
        f"{len(rows):,} dead letters: " + (", ".join(f"{n:,} {why}" for why, n in counts.most_common()) or "none")
    )
    return EXIT_DONE


@command.command("show")
@click.argument("number", type=int)
@_folder
def show(number: int, folder: Path) -> int:
    """Show one whole, its bytes too: they name people."""
    for found, letter, original in _letters(folder, None):
        if found == number:
            click.echo(f"{letter.reason} at {letter.fault}: {letter.detail} ({letter.position})", err=True)
            click.echo((original or b"").decode("utf-8", "backslashreplace").replace("\r", "\n"))
            return EXIT_DONE
    click.echo(f"Error: no dead letter {number} here; `wardstream deadletters list` shows which there are", err=True)
    return EXIT_FAILED


@command.command("redrive")
@click.argument("numbers", nargs=-1, type=int)
@_folder
@_reason
@click.option("--to", "url", default="http://127.0.0.1:8080", show_default=True, help="The running service.")
def redrive(numbers: tuple[int, ...], folder: Path, reason: str | None, url: str) -> int:
    """Send them to the running service again: those named by number, of one reason, or all.

    The letters stay where they are; one that is refused again is one more of them. What was taken before, or is taken
    twice, is a duplicate to the service, and nothing is told anew. Exit code 3 where some were refused again.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    outcomes: Counter[str] = Counter()
    with httpx.Client(timeout=TIMEOUT_S, headers=headers, trust_env=False) as client:
        for number, letter, original in list(_letters(folder, reason)):
            if numbers and number not in numbers:
                continue
            if letter.position.startswith("acts/"):
                outcomes["acts: for their actor to do again"] += 1
                continue
            if not original or letter.reason == "oversized":
                outcomes["not whole"] += 1  # Of an oversized one only the beginning is kept.
                continue
            outcomes[_send(client, url.rstrip("/"), original)] += 1
    if missing := len(numbers) - outcomes.total():
        outcomes["not found"] = missing if numbers else 0
    click.echo(", ".join(f"{count:,} {what}" for what, count in outcomes.most_common() if count) or "no dead letters")
    return EXIT_DONE if set(outcomes) <= {"taken"} else EXIT_REFUSED_IN_PART


def _send(client: httpx.Client, url: str, original: bytes) -> str:
    """Send one message; say what became of it."""
    fhir = original.lstrip()[:1] == b"{"
    path, kind = ("/fhir", "application/fhir+json") if fhir else ("/hl7", "application/hl7-v2")
    try:
        answer = client.post(url + path, content=original, headers={"content-type": kind})
    except httpx.TransportError as error:
        raise click.ClickException(
            f"{url} does not answer ({type(error).__name__}): start the service, or name it by --to"
        ) from None
    if answer.status_code in (401, 403):
        raise click.ClickException(f"{url} asks for a token: set {TOKEN_VARIABLE}")
    if answer.status_code == 200:
        return "taken"
    return "refused again" if answer.status_code < 500 else "not stored: try later"
