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
    from stream.decisions import Decided, Decisions
    from stream.verdict_book import Refused

HELP = """Hold the record of what was decided against itself.

\b
Examples:
  wardstream audit verify --config wardstream.toml
  wardstream audit verify --data-dir ward/ --head 0d6e4079e36703eb
"""
VERIFY_HELP = """Check that no decision was altered, removed or slipped in, and who signed. Exit 1 where one was.

Each decision (promotion, rollback, standing, step of change control, configuration, kill switch) names the ones before
it by their hash. The head that is printed stands for all of them: note it where nobody who can write here can write,
and give it as --head the next time; then a record cut off at the end, or a chain written anew, shows too.

Each key in force is named with how many decisions it signed. What [decision_keys] demanded and nobody signed rightly is
listed: on the live service no worker enters it (exit 0); in the journal of one box it has had its effect (exit 1).

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
    decisions = read_decisions(place)
    chain = decisions.chain
    problems = list(chain.faults)
    if head is not None and not chain.knows(head):
        problems.append(f"the head {head} is not in the chain: records were cut off, or all were written anew")
    before = f", {chain.unchained} before the chain begins" if chain.unchained else ""
    click.echo(f"{chain.records} decisions{before}.")
    _tell_signatures(decisions)
    refused = [_refusal(one) for one in decisions.book.refused]
    if place.folder is not None:
        # The service asks before it writes: what stands there all the same was put in, with its record in the log.
        problems += [f"{one}; it was put into the journal, and had its effect" for one in refused]
    for name in chain.tips:
        click.echo(f"Head: {name}")
    for one in refused if place.folder is None else ():
        click.echo(f"Without effect: {one}")
    for problem in problems:
        click.echo(f"Wrong: {problem}", err=True)
    if not problems:
        click.echo("The chain is whole." + ("" if head is None else " It holds the head that was given."))
    return EXIT_FAILED if problems else EXIT_DONE


def _tell_signatures(decisions: Decisions) -> None:
    """Say who may sign now, how many each key signed, and how many nobody did."""
    from connectors.signing import key_id

    book = decisions.book
    for name in sorted({*decisions.keys, *book.signed}):
        key = decisions.keys.get(name)
        held = f"{key_id(key.public_key)}, as {', '.join(key.roles)}" if key is not None else "no more in force"
        click.echo(f"Signed by {name} ({held}): {book.signed[name]}")
    for why, count in book.unsigned.items() if decisions.keys or book.signed else ():
        click.echo(f"Not signed, and in force ({why}): {count}")


def _refusal(refused: Refused) -> str:
    one = refused.decided
    return f"decision {one.sequence} ({in_words(one)}, as {one.decision.who}) does not count, for {refused.words}"


class Change(msgspec.Struct, frozen=True):
    """One line of `changed --json`."""

    sequence: int
    at: str
    kind: str
    what: str
    who: str
    reason: str
    figures: dict[str, str]
    signed_by: str = ""
    """The name of the key, where one was declared and its signature fits."""
    refused: str = ""
    """Why it does not count; empty where it does."""


@click.command("changed", help=CHANGED_HELP)
@click.option("--since", required=True, callback=read_instant, help="An ISO 8601 instant with its zone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@place_options
def changed(since: Millis, place: Place, *, as_json: bool) -> int:
    """List what changed."""
    decisions = read_decisions(place)
    refused = {one.decided.sequence: one for one in decisions.book.refused}
    every = sorted((*decisions.kept(), *(one.decided for one in refused.values())), key=lambda one: one.sequence)
    found = [
        _change(one, decisions.book.signer_of(one.sequence), refused.get(one.sequence))
        for one in every
        if max(one.decision.at, one.received_time) >= since
    ]
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one).decode())
    else:
        table = Table("number", "when", "what", "by", "reason", "on")
        for one in found:
            figures = "\n".join(f"{name}: {text}" for name, text in one.figures.items())
            what = f"NOT TRUSTED: {one.what} ({one.refused})" if one.refused else one.what
            by = f"{one.who}, signed by {one.signed_by}" if one.signed_by else one.who
            table.add_row(str(one.sequence), one.at, what, by, one.reason, figures)
        Console().print(table if found else "Nothing was decided since then.")
    for problem in (*decisions.problems(), *decisions.chain.faults):
        click.echo(f"Wrong: {problem}", err=True)
    return EXIT_FAILED if decisions.chain.faults else EXIT_DONE


def _change(decided: Decided, signed_by: str, refused: Refused | None) -> Change:
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
        signed_by,
        "" if refused is None else refused.words,
    )
