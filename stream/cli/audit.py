"""`wardstream audit verify` and `wardstream changed`: is the chain of decisions whole, and what changed since when.

Owns the two commands, for the live service and for an embedded one. Must not know how the chain is made
(stream/chain.py), nor what a decision comes to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.table import Table

from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.control import in_words
from stream.cli.deciding import Place, place_options, read_decisions
from stream.cli.options import read_instant

if TYPE_CHECKING:
    from events import Millis
    from stream.decisions import Decided

HELP = """Hold the record of what was decided against itself.

\b
Examples:
  wardstream audit verify --config wardstream.toml
  wardstream audit verify --data-dir ward/ --head 0d6e4079e36703eb
"""
VERIFY_HELP = """Check that no decision was altered, removed or slipped in. Exit 1 where one was.

Each decision (promotion, rollback, standing, step of change control, configuration, kill switch) names the ones before
it by their hash. The head that is printed stands for all of them: note it where nobody who can write here can write,
and give it as --head the next time; then a record cut off at the end, or a chain written anew, shows too.

\b
Examples:
  wardstream audit verify --config wardstream.toml
  wardstream audit verify --data-dir ward/ --head 0d6e4079e36703eb
"""
CHANGED_HELP = """List what was decided since T: what, when, by whom, why, and on which figures.

\b
Examples:
  wardstream changed --since 2026-03-01T00:00:00Z --config wardstream.toml
  wardstream changed --since 2026-03-01T00:00:00Z --data-dir ward/ --json
"""
HEAD_DIGITS_MIN = 8


@click.group("audit", help=HELP)
def command() -> None:
    """Group the commands."""


def _check_head(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not re.fullmatch(rf"[0-9a-f]{{{HEAD_DIGITS_MIN},64}}", text):
        raise click.BadParameter(f"a head that `audit verify` printed, or its first {HEAD_DIGITS_MIN} digits or more")
    return text


@command.command("verify", help=VERIFY_HELP)
@click.option("--head", callback=_check_head, help="A head noted earlier: it must still be in the chain.")
@place_options
def verify(head: str | None, place: Place) -> int:
    """Check the chain."""
    chain = read_decisions(place).chain
    problems = list(chain.faults)
    if head is not None and not chain.knows(head):
        problems.append(f"the head {head} is not in the chain: records were cut off, or all were written anew")
    before = f", {chain.unchained} before the chain begins" if chain.unchained else ""
    click.echo(f"{chain.records} decisions{before}.")
    for name in chain.tips:
        click.echo(f"Head: {name}")
    for problem in problems:
        click.echo(f"Wrong: {problem}", err=True)
    if not problems:
        click.echo("The chain is whole." + ("" if head is None else " It holds the head that was given."))
    return EXIT_FAILED if problems else EXIT_DONE


class Change(msgspec.Struct, frozen=True):
    """One line of `changed --json`."""

    sequence: int
    at: str
    kind: str
    what: str
    who: str
    reason: str
    figures: dict[str, str]


@click.command("changed", help=CHANGED_HELP)
@click.option("--since", required=True, callback=read_instant, help="An ISO 8601 instant with its zone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@place_options
def changed(since: Millis, place: Place, *, as_json: bool) -> int:
    """List what changed."""
    decisions = read_decisions(place)
    found = [_change(one) for one in decisions.kept() if max(one.decision.at, one.received_time) >= since]
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one).decode())
    else:
        table = Table("number", "when", "what", "by", "reason", "on")
        for one in found:
            figures = "\n".join(f"{name}: {text}" for name, text in one.figures.items())
            table.add_row(str(one.sequence), one.at, one.what, one.who, one.reason, figures)
        Console().print(table if found else "Nothing was decided since then.")
    for problem in (*decisions.problems(), *decisions.chain.faults):
        click.echo(f"Wrong: {problem}", err=True)
    return EXIT_FAILED if decisions.chain.faults else EXIT_DONE


def _change(decided: Decided) -> Change:
    from events import to_iso

    decision = decided.decision
    return Change(
        decided.sequence,
        to_iso(decision.at)[:19] + "Z",
        type(decision.event).__name__,
        in_words(decided),
        decision.who,
        decision.reason,
        decision.figures,
    )
