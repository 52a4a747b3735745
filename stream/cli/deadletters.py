"""`wardstream deadletters list / show / redrive`: what could not be used, and trying it again.

Owns the three commands and where they look: an embedded service's folder, or a live installation's topic. Must not know
why a message was refused. What a message says is shown only where it is asked for by name: it names people.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stream.causes import advice_for
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import TOKEN_VARIABLE, config_option, read_settings, read_site
from stream.letters.grouping import grouped
from stream.letters.kept import KeptLetter, Taken, folder_letters, topic_letters
from stream.letters.pointing import point
from stream.letters.redriving import DONE, TIMEOUT_S, Redriver, ServiceError
from stream.printable import in_a_cell, printable

SHOWN = 50
"""Lines of a listing: the newest; `--all` shows them all."""

HELP = """List what could not be used, show one, or try them again.

A message that was refused is kept with its bytes, the reason and the place of the fault. Once the cause is mended (a
time zone, a code map, a newer release), send it to the running service again. Letters are never changed: they go by the
retention.

With --data-dir they are those of an embedded service, which may be running; without it those of the live service, whose
topic --config names (WARDSTREAM_KAFKA_PASSWORD where it asks for one).

\b
Examples:
  wardstream deadletters list --data-dir /var/lib/wardstream
  wardstream deadletters list --config wardstream.toml --reason invalid_time --each
  wardstream deadletters show 12 --data-dir /var/lib/wardstream
  wardstream deadletters redrive --reason invalid_time --data-dir /var/lib/wardstream --to http://127.0.0.1:8080
"""

_folder = click.option(
    "--data-dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service; without it the live service's topic is read.",
)
_reason = click.option("--reason", help="Only those refused for this reason, such as invalid_time.")
_place = click.option("--at", "place", help="Only those whose fault is there, as list shows it, such as OBX-14.")


@click.group("deadletters", help=HELP)
def command() -> None:
    """Hold the three commands."""


@contextmanager
def _kept(folder: Path | None, config_path: Path | None) -> Iterator[tuple[Iterator[KeptLetter], Taken | None]]:
    """Give the letters, and who knows which of their messages were taken since; nobody does of a topic."""
    if folder is None:
        from connectors.kafka.settings import PASSWORD_VARIABLE

        if config_path is None:
            raise click.UsageError("give --data-dir of an embedded service, or --config of a live one")
        yield topic_letters(read_site(config_path).kafka, os.environ.get(PASSWORD_VARIABLE, "")), None
        return
    taken = Taken(folder, read_settings(config_path))
    try:
        yield folder_letters(folder), taken
    finally:
        taken.close()


def _chosen(letters: Iterator[KeptLetter], reason: str | None, place: str | None) -> Iterator[KeptLetter]:
    for letter in letters:
        if (reason is None or letter.reason == reason) and (place is None or letter.cause.place == place):
            yield letter


@command.command("list")
@_folder
@config_option
@_reason
@_place
@click.option("--each", is_flag=True, help="A line a letter, not a cause.")
@click.option("--all", "everything", is_flag=True, help=f"With --each, all of them; without it the newest {SHOWN}.")
def list_letters(
    folder: Path | None,
    config_path: Path | None,
    reason: str | None,
    place: str | None,
    *,
    each: bool,
    everything: bool,
) -> int:
    """List them by cause: how many, of whom, since when, and what to do. Nothing of their text.

    `open` are the different messages that have not been taken since, by what the log holds (--data-dir alone knows).
    """
    with _kept(folder, config_path) as (kept, taken):
        counts: Counter[str] = Counter()
        letters = _counted(_chosen(kept, reason, place), counts)
        if each:
            _list_each(deque(letters, maxlen=None if everything else SHOWN))
        else:
            _list_causes(letters, taken)
    told = ", ".join(f"{count:,} {why}" for why, count in counts.most_common())
    click.echo(f"{counts.total():,} dead letters: {told or 'none'}")
    return EXIT_DONE


def _counted(letters: Iterator[KeptLetter], counts: Counter[str]) -> Iterator[KeptLetter]:
    for letter in letters:
        counts[letter.reason] += 1
        yield letter


def _list_each(letters: Iterable[KeptLetter]) -> None:
    table = Table()
    for column in ("number", "received", "reason", "fault at", "feed", "bytes"):
        table.add_column(column, justify="right" if column in ("number", "bytes") else "left")
    for one in letters:
        table.add_row(
            one.name, one.received[:19], one.reason, in_a_cell(one.fault), in_a_cell(one.feed), f"{len(one.data):,}"
        )
    Console().print(table)


def _list_causes(letters: Iterable[KeptLetter], taken: Taken | None) -> None:
    table = Table()
    for column in ("reason", "at", "letters", "messages", "open", "first", "last", "newest", "feeds", "what to do"):
        table.add_column(column, justify="right" if column in ("letters", "messages", "open", "newest") else "left")
    knows: Callable[[KeptLetter], bool] = (lambda _letter: False) if taken is None else taken
    for group in grouped(letters, knows):
        table.add_row(
            group.cause.reason, in_a_cell(group.cause.place), f"{group.letters:,}", f"{group.messages:,}",
            "?" if taken is None else f"{group.open:,}", group.first[:16], group.last[:16], group.example,
            in_a_cell(", ".join(group.feeds)), advice_for(group.cause.reason),
        )  # fmt: skip
    Console().print(table)


@command.command("show")
@click.argument("name", metavar="NUMBER")
@_folder
@config_option
@click.option("--raw", is_flag=True, help="Nothing but the bytes, as they came.")
def show(name: str, folder: Path | None, config_path: Path | None, *, raw: bool) -> int:
    """Show one whole, with an arrow at the fault. Its text names people."""
    with _kept(folder, config_path) as (kept, _taken):
        found = next((letter for letter in kept if letter.name == name), None)
    if found is None:
        click.echo(f"Error: no dead letter {name} here; `wardstream deadletters list --each` shows them", err=True)
        return EXIT_FAILED
    if raw:
        sys.stdout.buffer.write(found.data)
        sys.stdout.flush()
        return EXIT_DONE
    lines, fault = point(found)
    click.echo(printable(f"{found.reason} at {found.fault}: {found.detail} ({found.source})"), err=True)
    click.echo("\n".join(map(printable, lines)))
    if fault:
        click.echo(printable(fault))
    click.echo(advice_for(found.reason), err=True)
    return EXIT_DONE


@command.command("redrive")
@click.argument("names", metavar="[NUMBER]...", nargs=-1)
@_folder
@config_option
@_reason
@_place
@click.option("--to", "url", default="http://127.0.0.1:8080", show_default=True, help="The running service.")
@click.option("--dry-run", is_flag=True, help="Only ask what would become of them; send nothing.")
def redrive(
    names: tuple[str, ...],
    folder: Path | None,
    config_path: Path | None,
    reason: str | None,
    place: str | None,
    url: str,
    *,
    dry_run: bool,
) -> int:
    """Send them to the running service again: those named by number, of one cause, or all.

    Each different message is sent once, and only where the service says that it would take it: what is refused again
    adds no letter. What was taken before is a duplicate to the service, and nothing is told anew; so it may be run as
    often as you like. Exit code 3 where some were refused again.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    outcomes: Counter[str] = Counter()
    with (
        _kept(folder, config_path) as (kept, taken),
        httpx.Client(timeout=TIMEOUT_S, headers=headers, trust_env=False) as client,
    ):
        letters = (one for one in _chosen(kept, reason, place) if not names or one.name in names)
        known: Callable[[KeptLetter], bool] = (lambda _letter: False) if taken is None else taken
        redriver = Redriver(client, url, known, dry_run=dry_run, remedy=f"set {TOKEN_VARIABLE}")
        try:
            for letter in track(letters, "redrive", total=None, console=Console(stderr=True), transient=True):
                outcomes[redriver.drive(letter)] += 1
        except ServiceError as error:
            raise click.ClickException(str(error)) from None
    if missing := len(names) - outcomes.total():
        outcomes["not found"] = missing if names else 0
    click.echo(", ".join(f"{count:,} {what}" for what, count in outcomes.most_common() if count) or "no dead letters")
    return EXIT_DONE if {what for what, count in outcomes.items() if count} <= DONE else EXIT_REFUSED_IN_PART
