"""`wardstream control`: what people decide over a service while it runs, and how far each decision has got.

Owns the commands. Must not know what a decision comes to: workers do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console
from rich.table import Table

from connectors.kafka.topics import CONTROL
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.deciding import (
    Decider,
    Place,
    decide,
    folder_option,
    key_option,
    place_options,
    read_decisions,
    reason_option,
    who_option,
)
from stream.cli.key_file import read_key
from stream.cli.options import read_site
from stream.clock import wall_ms
from stream.settings import ConfigurationError

if TYPE_CHECKING:
    from stream.control import StoredControl
    from stream.decisions import Decided, Decisions
    from stream.settings import Settings, SiteFile

HELP = """Decide over a service while it runs: silence the model, change the configuration, see what is in force.

Of the live service (--config) each decision is one record on the topic control.v1, which workers bring into every
partition's log; of an embedded one (--data-dir) it is one record of its log, put there by the service itself, or by the
command where it is stopped. It is kept for good with who decided and why; nothing is restarted. Model versions are
promoted, held and demoted by `wardstream models`.

\b
Examples:
  wardstream control status --config wardstream.toml
  wardstream control kill-switch engage --reason "false alarms on 4A" --as duty-manager --config wardstream.toml
  wardstream control kill-switch release --reason "mended, reviewed" --as safety-officer --config wardstream.toml
  wardstream control configure wardstream.toml --as safety-officer --reason "threshold of ward 4A"
"""
KILL_SWITCH_HELP = """Cut the model's voice (engage), or give it back (release).

Engaged, nothing that the model says is told to a ward, at the latest after some seconds and also while workers catch
up: it is still published, as `held`. NEWS2's own alerts go on untouched.

\b
Examples:
  wardstream control kill-switch engage --reason "false alarms on 4A" --config wardstream.toml
  wardstream control kill-switch release --reason "mended, reviewed" --config wardstream.toml
  wardstream control kill-switch engage --reason "false alarms on 4A" --data-dir ward/
"""
CONFIGURE_HELP = """Put the decided part of FILE in force: guardrails, alerts, code maps. All of it, not a difference.

FILE is a wardstream.toml; it is checked first, and a wrong one changes nothing. Its tables about machines ([kafka],
[redis], [service], [live]) are not decided by this: each process reads its own file. Where the live service is is read
from --config, or from FILE itself. An embedded service goes by its own --config again when it is started again, and
reads how messages are decoded only then: keep that file and FILE one.

\b
Examples:
  wardstream control configure wardstream.toml --data-dir ward/ --as safety-officer --reason "threshold of ward 4A"
  wardstream control configure wardstream.toml --as safety-officer --reason "threshold of ward 4A"
"""
STATUS_HELP = """Show what is decided, and how far each partition, or the embedded service, has applied it.

Exit 1 where a partition lacks a decision, or where something is wrong: right after a decision, ask again in some
seconds; a partition that stays behind has no worker, or one that is not well.

\b
Example:
  wardstream control status --config wardstream.toml
  wardstream control status --data-dir ward/
"""

STEP_WORDS = {
    "proposed": "proposed",
    "passed": "passed every gate",
    "lacking": "judged: something is lacking",
    "failed": "stopped by a gate",
}
STANDING_WORDS = {"good": "restored", "held": "held", "demoted": "demoted: NEWS2 alone"}


@click.group("control", help=HELP)
def command() -> None:
    """Group the commands."""


@command.command("kill-switch", help=KILL_SWITCH_HELP)
@click.argument("position", type=click.Choice(["engage", "release"]))
@click.option("--reason", required=True, help="Why, in words; kept with the decision. No patient in it.")
@who_option
@key_option
@place_options
def kill_switch(
    position: Literal["engage", "release"], reason: str, who: str, key_path: Path | None, place: Place
) -> int:
    """Move the kill switch."""
    from events import KillSwitch
    from stream.decisions import Decision

    engaged = position == "engage"
    said = "The model's voice is cut" if engaged else "The model has its voice back"
    click.echo(f"{said}; NEWS2's alerts are not touched by this.")
    decide(place, Decision(KillSwitch(wall_ms(), engaged, reason), who, reason), key_path=key_path)
    return EXIT_DONE


@command.command("configure", help=CONFIGURE_HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where the live service is, if FILE does not say.",
)
@folder_option
@click.option(
    "--new-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where FILE keeps none of the keys in force: the private key of one that it declares. It signs nothing.",
)
@click.option("--drop-keys", is_flag=True, help="FILE declares no [decision_keys], and from here on nobody need sign.")
@who_option
@reason_option
@key_option
def configure(
    file: Path,
    config_path: Path | None,
    folder: Path | None,
    who: str,
    reason: str,
    key_path: Path | None,
    new_key: Path | None,
    *,
    drop_keys: bool,
) -> int:
    """Put a configuration in force."""
    from events import Configuration
    from stream.catalogues import catalogue_for
    from stream.decisions import Decision
    from stream.settings import configuration_hash, configuration_text

    if config_path is not None and folder is not None:
        raise click.UsageError("name one service: --config of the live one, or --data-dir of an embedded one")
    place = Place(None, folder) if folder is not None else Place(config_path or file, None)
    settings = read_site(file).settings
    catalogue_for(settings)
    _check_keys(read_decisions(place), settings, Decider(who, reason, key_path), new_key, drop_keys=drop_keys)
    name = configuration_hash(settings)
    click.echo(f"Putting configuration {name} in force, for every patient.")
    decide(
        place, Decision(Configuration(wall_ms(), name, configuration_text(settings)), who, reason), key_path=key_path
    )
    return EXIT_DONE


def _check_keys(
    decisions: Decisions, settings: Settings, by: Decider, new_key: Path | None, *, drop_keys: bool
) -> None:
    """Refuse what would drop the keys unsaid, or declare keys of which nobody has shown to hold one."""
    from connectors.signing import public_key
    from stream.loudness import may_configure

    declared = settings.decision_keys
    if decisions.keys and not declared and not drop_keys:
        raise ConfigurationError(
            f"FILE declares no [decision_keys], and {', '.join(decisions.keys)} are in force: copy them into it, or "
            "say --drop-keys where from here on nobody need sign"
        )
    if not declared:
        return
    shown = {public_key(read_key(path)) for path in (by.key_path, new_key) if path is not None}
    shown |= {key.public_key for key in decisions.keys.values()} if decisions.keys else set()
    if not any(key.public_key in shown and may_configure(key) for key in declared.values()):
        raise ConfigurationError(
            "nobody has shown to hold one of the [decision_keys] of FILE that may decide a configuration: what nobody "
            "can sign for could never be taken back. Sign with one of them (--key FILE), keep one that is in force, or "
            "give the private key of a new one (--new-key FILE)"
        )


@command.command("status", help=STATUS_HELP)
@place_options
def status(place: Place) -> int:
    """Show what is decided and how far it is applied."""
    return _live_status(place) if place.folder is None else _folder_status(place, place.folder)


def _folder_status(place: Place, folder: Path) -> int:
    """Show what is decided over an embedded service, and what is in force where it runs."""
    from stream.cli.folder import look_at_folder

    answer, decisions = look_at_folder(folder), read_decisions(place)
    console = Console()
    console.print(_decided_table(decisions))
    problems = list(decisions.problems())
    if answer is None:
        click.echo("The service is stopped: what is decided counts when it starts.")
    elif (now := answer.in_force) is None:
        problems.append("the service runs, and its fold does not answer")
    else:
        version = (now.version + ("" if now.enabled else " in shadow")) if now.version else "NEWS2 alone"
        table = Table("decision", "version", "configuration", "kill switch", "release", title="Applied")
        table.add_row(
            str(now.sequence),
            version if now.available or not now.version else f"{version}: NOT ASKED, NEWS2 alone",
            now.configuration,
            "engaged" if now.kill_switch else "the version is held" if now.silenced else "",
            now.code_version,
        )
        console.print(table)
        if now.sequence < decisions.newest_in_force:
            problems.append(f"decision {decisions.newest_in_force} is not applied yet")
    for problem in problems:
        click.echo(f"Wrong: {problem}", err=True)
    return EXIT_FAILED if problems else EXIT_DONE


def _live_status(place: Place) -> int:
    """Show what is decided over the live service, and how far each partition is."""
    from connectors.redis.connection import RedisConnectionError
    from connectors.redis.layout import LayoutError
    from features.store import StoreFault
    from stream.control import ForeignStateError

    site = place.site()
    decisions = read_decisions(place)
    console = Console()
    console.print(_decided_table(decisions))
    problems, behind = list(decisions.problems()), 0
    try:
        partitions, behind, applied, otherwise = _partition_table(site, decisions)
    except (RedisConnectionError, LayoutError, StoreFault, ForeignStateError) as fault:
        problems.append(f"how far it is applied cannot be seen: {fault}")
    else:
        console.print(partitions)
        problems = list(decisions.problems(applied))
        if otherwise:
            problems.append(
                f"partitions {', '.join(map(str, otherwise))} go by other than what {CONTROL} says: somebody wrote "
                "decisions into events.v1, or an older release applied what does not count"
            )
    for problem in problems:
        click.echo(f"Wrong: {problem}", err=True)
    if behind:
        click.echo(f"{behind} partitions have not applied decision {decisions.newest_in_force} yet.", err=True)
    return EXIT_FAILED if behind or problems else EXIT_DONE


def _decided_table(decisions: Decisions) -> Table:
    """Give the newest decision of each kind."""
    from events import to_iso
    from stream.decisions import kind_of

    newest: dict[tuple[str, str], Decided] = {kind_of(each.decision.event): each for each in decisions.kept()}
    keys = ", ".join(f"{name} ({', '.join(key.roles)})" for name, key in decisions.keys.items())
    demanded = f"; what makes the model say more is to be signed by {keys}" if keys else ""
    table = Table(title=f"Decided (newest: {decisions.newest}){demanded}")
    for column in ("number", "when", "what", "by", "reason"):
        table.add_column(column)
    for decided in sorted(newest.values(), key=lambda each: each.sequence):
        decision = decided.decision
        when = to_iso(decision.at)[:19] + "Z"
        signed_by = decisions.book.signer_of(decided.sequence)
        by = f"{decision.who}, signed by {signed_by}" if signed_by else decision.who
        table.add_row(str(decided.sequence), when, in_words(decided), by, decision.reason)
    if not newest:
        table.add_row("0", "", "nothing: NEWS2 alone, the default configuration", "", "")
    return table


def in_words(decided: Decided) -> str:
    """Say what was decided."""
    from events import ChangeStep, Configuration, KillSwitch, Standing

    event = decided.decision.event
    if isinstance(event, ChangeStep):
        return f"version {event.version}: {STEP_WORDS[event.step]}"
    if isinstance(event, Standing):
        return f"version {event.version} {STANDING_WORDS[event.standing]}"
    if isinstance(event, KillSwitch):
        return "kill switch engaged" if event.engaged else "kill switch released"
    if isinstance(event, Configuration):
        return f"configuration {event.configuration_hash}"
    said = f"version {event.version}" if event.version else "NEWS2 alone"
    shadow = " in shadow" if event.version and not event.enabled else ""
    return said + shadow + (f" (rollback of {decided.decision.undoes})" if decided.decision.undoes else "")


def _partition_table(site: SiteFile, decisions: Decisions) -> tuple[Table, int, int, list[int]]:
    """Give how far each partition is, from the states in Redis, how many are behind, and the newest one applied.

    Last come the partitions that are as far as the decisions, and go by something else.
    """
    from alerts.gate import GatePositions
    from connectors.redis.connection import connect
    from connectors.redis.layout import read_layout
    from connectors.redis.partition_store import RedisPartitionStore
    from connectors.redis.settings import PASSWORD_VARIABLE
    from stream.control import goes_by, read_control
    from stream.fold import CONTROL_KEY
    from stream.live.ward_stage import GATE_KEY

    table = Table(title="Applied, by partition (gate: the wards', on candidates.v1)")
    for column in ("partition", "decision", "version", "configuration", "kill switch", "gate", "release"):
        table.add_column(column)
    client = connect(site.redis, os.environ.get(PASSWORD_VARIABLE, ""))
    behind = applied = 0
    wanted, otherwise = goes_by(_reached(decisions)), []
    prefix = site.redis.prefix
    for number in range(read_layout(client, prefix).partitions):
        gates = RedisPartitionStore(client, prefix, "ward", number).load([GATE_KEY]).get(GATE_KEY)
        gate = "closed" if GatePositions.decode(number, gates).closed else "open"
        data = RedisPartitionStore(client, prefix, "patient", number).load([CONTROL_KEY]).get(CONTROL_KEY)
        if data is None:
            behind += decisions.newest_in_force > 0
            table.add_row(str(number), "none", "", "", "", gate, "")
            continue
        stored = read_control(data)
        behind += stored.sequence < decisions.newest_in_force
        applied = max(applied, stored.sequence)
        if stored.sequence >= decisions.newest_in_force and goes_by(stored) != wanted:
            otherwise.append(number)
        loaded = not stored.awaits or not stored.version or stored.version in stored.available
        version = stored.version or "NEWS2 alone"
        if (stands := dict(stored.standings).get(stored.version)) is not None:
            version += f" ({stands})"
        table.add_row(
            str(number),
            str(stored.sequence),
            version if loaded else f"{version}: NOT AVAILABLE, NEWS2 alone",
            _hash_of(stored.configuration),
            "engaged" if stored.kill_switch else "",
            gate,
            stored.code_version,
        )
    return table, behind, applied, otherwise


def _reached(decisions: Decisions) -> StoredControl:
    """Give what a partition comes to that has applied all that counts."""
    from stream.control import Control, read_control

    control = Control({})
    for envelope in decisions.lacking(0, wall_ms()):
        for event in envelope.events:
            control.apply(event)
    return read_control(control.encode())


def _hash_of(configuration: str) -> str:
    from stream.settings import configuration_hash, parse_json

    return configuration_hash(parse_json(configuration)) if configuration else "default"
