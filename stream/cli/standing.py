"""`wardstream models hold / demote / restore`: how a version stands, decided by a person.

Owns the three commands, for the live service and for the folder of an embedded one that is stopped. Must not know
what a standing comes to: stream/control.py does. Monitors write the same event; a person's later word counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from guardrails import configuration
from guardrails.configuration import VERSION_ID
from stream.cli import EXIT_DONE
from stream.cli.deciding import decide, who_option
from stream.cli.options import read_site
from stream.clock import wall_ms
from stream.settings import ConfigurationError

if TYPE_CHECKING:
    from events import Standing

WHERE_HELP = """
With --config the live service (Kafka) applies it within seconds. With --data-dir it enters the log of an embedded
service, which must be stopped; or say it in the configuration: [guardrails.versions.ID] standing = "held".

\b
Examples:
  wardstream models {name} 4f1c02aa91be --reason "{reason}" --as safety-officer --config wardstream.toml
  wardstream models {name} 4f1c02aa91be --reason "{reason}" --data-dir ward/
"""
HOLD_HELP = """Hold a version: it is computed and published, and nobody is told what it says.

It stays held when it is promoted again, until it is restored. NEWS2's own alerts are never touched.
""" + WHERE_HELP.format(name="hold", reason="calibration drifts on 4A")
DEMOTE_HELP = """Demote a version: it is not asked any more. NEWS2 alone, until it is restored or another is promoted.

An alert of the model that is open is updated to say that the model abstains.
""" + WHERE_HELP.format(name="demote", reason="worse than NEWS2 since March")
RESTORE_HELP = """Restore a held or demoted version: it may speak again, if it is promoted.
""" + WHERE_HELP.format(name="restore", reason="recalibrated, reviewed")

_version = click.argument("version")
_reason = click.option("--reason", required=True, help="Why, in words; kept with the decision. No patient in it.")
_config = click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the live service: the site's wardstream.toml.",
)
_folder = click.option(
    "--data-dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data folder of an embedded service that is stopped.",
)


@click.command("hold", help=HOLD_HELP)
@_version
@_reason
@who_option
@_config
@_folder
def hold(version: str, reason: str, who: str, config_path: Path | None, folder: Path | None) -> int:
    """Hold a version."""
    return _stand("held", version, reason, who, config_path, folder)


@click.command("demote", help=DEMOTE_HELP)
@_version
@_reason
@who_option
@_config
@_folder
def demote(version: str, reason: str, who: str, config_path: Path | None, folder: Path | None) -> int:
    """Demote a version."""
    return _stand("demoted", version, reason, who, config_path, folder)


@click.command("restore", help=RESTORE_HELP)
@_version
@_reason
@who_option
@_config
@_folder
def restore(version: str, reason: str, who: str, config_path: Path | None, folder: Path | None) -> int:
    """Restore a version."""
    return _stand("good", version, reason, who, config_path, folder)


def _stand(
    standing: configuration.Standing,
    version: str,
    reason: str,
    who: str,
    config_path: Path | None,
    folder: Path | None,
) -> int:
    """Decide it on the live service, or enter it into a stopped one's log."""
    from events import Standing

    if (config_path is None) == (folder is None):
        raise click.UsageError("name the service: --config of the live one, or --data-dir of an embedded one")
    if not VERSION_ID.fullmatch(version):
        raise ConfigurationError(f"{version!r} is no version's id: its 12 digits, as `models list` has them")
    event = Standing(wall_ms(), version, standing, reason)
    click.echo(f"Version {version}: {standing}. NEWS2's alerts are not touched by this.")
    if config_path is not None:
        from stream.live.decisions import Decision

        decide(read_site(config_path), Decision(event, who, reason), config_path)
    elif folder is not None:
        _enter(folder, event, who)
        click.echo(f"It stands in the log of {folder}, and counts from the next start on.")
    return EXIT_DONE


def _enter(folder: Path, event: Standing, who: str) -> None:
    """Append the event to a stopped service's journal; raises `JournalError` where it runs."""
    import msgspec

    from connectors.sqlite.journal import LogRecord, SqliteJournal
    from events import Envelope, content_id
    from stream.service import lock_folder

    with lock_folder(folder):
        journal = SqliteJournal(folder)
        try:
            end = journal.end()
            newest = [envelope.received_time for _, envelope in journal.read(end - 1)] if end > journal.begin() else []
            # A millisecond on, as a release is entered: the log's clock is its own, and never the wall's.
            at = max([journal.begin_clock(), *newest]) + 1
            event = msgspec.structs.replace(event, reason=f"{who}: {event.reason}")
            name = content_id("control", repr(event))
            envelope = Envelope(name, "", event.event_time, at, (event,), message_id="control")
            journal.append([LogRecord(envelope)], (), (), {})
        finally:
            journal.close()
