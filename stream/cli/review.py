"""`wardstream models review`: who is in force, who would like to be, and what is lacking.

Owns the command, for the live service and for an embedded one. Must not know how a gate judges, nor what a promotion
comes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console

from stream.cli import EXIT_DONE
from stream.cli.deciding import Place, place_options, read_decisions
from stream.cli.promotion import gate_table, plan_of, standing_findings

if TYPE_CHECKING:
    from stream.promotion import Review

REVIEW_HELP = """Show the champion, the challengers, what each gate said of them, and what is lacking.

\b
Examples:
  wardstream models review --config wardstream.toml
  wardstream models review --data-dir ward/ --json
"""


@click.command("review", help=REVIEW_HELP)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@place_options
def review_command(place: Place, *, as_json: bool) -> int:
    """Show how things stand."""
    from stream.promotion import review

    decisions = read_decisions(place)
    found = review(decisions, plan_of(place, decisions))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _show_review(found)
        _show_findings(place)
    return EXIT_DONE


def _show_findings(place: Place) -> None:
    """Say what monitors hold against a promotion, as far as their topic can be read."""
    from connectors.kafka.faults import BrokerError
    from events import to_iso

    try:
        findings = standing_findings(place)
    except BrokerError as fault:
        click.echo(f"Warning: what monitors have in alarm cannot be read: {fault}", err=True)
        return
    for one in findings:
        subject = one.figures.get("subject", "")
        about = f" of {one.version}" if one.version else ""
        click.echo(f"In alarm since {to_iso(one.at)[:19]}Z: {one.monitor} {subject}{about}: {one.response}")


def _show_review(found: Review) -> None:
    from events import to_iso

    if found.champion:
        when = to_iso(found.promoted_at)[:19] + "Z" if found.promoted_at is not None else ""
        click.echo(
            f"Champion: {found.champion} ({found.standing}), since {when} by {found.promoted_by}: {found.reason}"
        )
    else:
        click.echo("Champion: none; NEWS2 alone.")
    if found.shadow:
        click.echo(f"In shadow: {found.shadow} ({found.standing}); nobody is told what it says.")
    allowed = "within the envelope" if found.automatic else "never; each awaits a person"
    click.echo(f"Promotion without a person: {allowed}.")
    for one in found.challengers:
        click.echo(f"\nChallenger {one.version}: {one.step}, {to_iso(one.at)[:19]}Z, beside {one.champion}")
        if one.figures:
            click.echo(", ".join(f"{name} {text}" for name, text in one.figures.items()))
        if one.gates:
            Console().print(gate_table(one.gates))
        for words in one.outside:
            click.echo(f"Outside the envelope: {words}.")
        for words in one.lacking:
            click.echo(f"Lacking: {words}")
    if not found.challengers:
        click.echo("No challenger was proposed.")
