"""`wardstream models hold / demote / restore`: how a version stands, decided by a person.

Owns the three commands, for the live service and for an embedded one. Must not know what a standing comes to:
stream/control.py does. Monitors write the same event; a person's later word counts.
"""

from __future__ import annotations

from pathlib import Path

import click

from guardrails import configuration
from guardrails.configuration import VERSION_ID
from stream.cli import EXIT_DONE
from stream.cli.deciding import Decider, Place, decide, key_option, place_options, who_option
from stream.clock import wall_ms
from stream.settings import ConfigurationError

WHERE_HELP = """
The live service (--config) applies it within seconds, an embedded one (--data-dir) at once; one that is stopped when it
starts. The configuration may say it too: [guardrails.versions.ID] standing = "held".

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

Where [decision_keys] are in force it needs --key; to hold and to demote need none.
""" + WHERE_HELP.format(name="restore", reason="recalibrated, reviewed")

_version = click.argument("version")
_reason = click.option("--reason", required=True, help="Why, in words; kept with the decision. No patient in it.")


@click.command("hold", help=HOLD_HELP)
@_version
@_reason
@who_option
@key_option
@place_options
def hold(version: str, reason: str, who: str, key_path: Path | None, place: Place) -> int:
    """Hold a version."""
    return _stand("held", version, Decider(who, reason, key_path), place)


@click.command("demote", help=DEMOTE_HELP)
@_version
@_reason
@who_option
@key_option
@place_options
def demote(version: str, reason: str, who: str, key_path: Path | None, place: Place) -> int:
    """Demote a version."""
    return _stand("demoted", version, Decider(who, reason, key_path), place)


@click.command("restore", help=RESTORE_HELP)
@_version
@_reason
@who_option
@key_option
@place_options
def restore(version: str, reason: str, who: str, key_path: Path | None, place: Place) -> int:
    """Restore a version."""
    return _stand("good", version, Decider(who, reason, key_path), place)


def _stand(standing: configuration.Standing, version: str, by: Decider, place: Place) -> int:
    """Decide it."""
    from events import Standing
    from stream.decisions import Decision

    if not VERSION_ID.fullmatch(version):
        raise ConfigurationError(f"{version!r} is no version's id: its 12 digits, as `models list` has them")
    click.echo(f"Version {version}: {standing}. NEWS2's alerts are not touched by this.")
    decide(place, Decision(Standing(wall_ms(), version, standing, by.reason), by.who, by.reason), key_path=by.key_path)
    return EXIT_DONE
