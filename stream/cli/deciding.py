"""What the commands that decide something share: where, who, reading what was decided, writing a decision.

Owns those steps: the live service is reached by its topics, an embedded one by its folder (stream/cli/folder.py). Must
not know what a decision comes to.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from connectors.kafka.settings import PASSWORD_VARIABLE
from connectors.kafka.topics import CONTROL, MODELS
from stream.cli.options import read_site
from stream.settings import SiteFile

if TYPE_CHECKING:
    from connectors.kafka.record import Record
    from stream.decisions import Decision, Decisions
    from stream.live.versions import LiveVersions

WHO_DEFAULT = "operator"
TIPS_WITHIN_S = 5.0
"""How long a kill switch looks for what it has to name: a hundred times what a healthy broker takes."""

site_option = click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The site's wardstream.toml: its [kafka] table says where the live service's topics are.",
)
_live_option = click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of the live service: the site's wardstream.toml, whose [kafka] table says where its topics are.",
)
folder_option = click.option(
    "--data-dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of an embedded service, running or stopped: its data folder.",
)


class Place(NamedTuple):
    """The service that is decided over: the live one by its configuration, or an embedded one by its folder."""

    config_path: Path | None
    folder: Path | None

    @property
    def option(self) -> str:
        """How it is named on the command line."""
        return f"--data-dir {self.folder}" if self.folder is not None else f"--config {self.config_path}"

    def site(self) -> SiteFile:
        """Read the live service's configuration."""
        return read_site(self.config_path)


def place_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command both options; it gets `place`. Exactly one must be named."""

    @_live_option
    @folder_option
    @wraps(command)
    def with_place(*given: object, config_path: Path | None, folder: Path | None, **named: object) -> int:
        if (config_path is None) == (folder is None):
            raise click.UsageError("name the service: --config of the live one, or --data-dir of an embedded one")
        return command(*given, place=Place(config_path, folder), **named)

    return with_place


def _check_who(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    from stream.decisions import WHO_PATTERN

    if not re.match(WHO_PATTERN, text):
        raise click.BadParameter("a role or an account, such as duty-manager: no blanks, and never a person's name")
    return text


who_option = click.option(
    "--as",
    "who",
    default=WHO_DEFAULT,
    show_default=True,
    callback=_check_who,
    metavar="ROLE",
    help="Who decides: a role or an account, kept with the decision for good. Never a person's name.",
)
reason_option = click.option("--reason", default="", help="Why, in words; kept with the decision. No patient in it.")


def password() -> str:
    """Give Kafka's password from the environment, or nothing."""
    return os.environ.get(PASSWORD_VARIABLE, "")


def read_decisions(place: Place, within_s: float | None = None) -> Decisions:
    """Read every decision there is; raises `BrokerError` or `JournalError`, and `TimeoutError` past `within_s`."""
    from connectors.kafka.reading import read_topic
    from stream.decisions import Decisions

    if place.folder is not None:
        from stream.cli.folder import folder_decisions

        return folder_decisions(place.folder)
    site = place.site()

    async def read() -> Decisions:
        decisions = Decisions()
        async with asyncio.timeout(within_s):
            async for record in read_topic(site.kafka, CONTROL, password=password()):
                decisions.take(record.offset, record.value, record.record_time)
        decisions.caught_up = True
        return decisions

    return asyncio.run(read())


def read_versions(site: SiteFile) -> LiveVersions:
    """Read every version that a worker of this site would load; raises `BrokerError`. What is refused is warned of."""
    from connectors.kafka.reading import read_topic
    from stream.live.versions import LiveVersions
    from stream.versions import load_versions

    async def read() -> LiveVersions:
        versions = LiveVersions(load_versions()[0], site.live.version_keys)
        async for record in read_topic(site.kafka, MODELS, password=password()):
            versions.take(record.key, record.value, record.headers)
        return versions

    versions = asyncio.run(read())
    for problem in versions.problems():
        click.echo(f"Warning: {problem}", err=True)
    return versions


def send(site: SiteFile, record: Record) -> int:
    """Write one record and give its offset (-1 where the broker does not say); raises `BrokerError`."""
    from connectors.kafka.outbox import Outbox

    async def write() -> int:
        outbox = Outbox(site.kafka, client_id="wardstream.cli", password=password())
        try:
            await outbox.start()
            return (await outbox.send([record]))[0][1]
        finally:
            await outbox.stop()

    return asyncio.run(write())


def _tips(place: Place, within_s: float | None) -> tuple[str, ...]:
    """Give what the next record names; none where the topic cannot be read, or not in time.

    A kill switch neither fails nor waits for its place in the chain: whatever is wrong with reading, it is written.
    """
    from connectors.kafka.faults import BrokerError

    try:
        return read_decisions(place, within_s).chain.tips
    except Exception as fault:
        if within_s is None and not isinstance(fault, BrokerError):
            raise
        why = "not read in time" if isinstance(fault, TimeoutError) else str(fault) or type(fault).__name__
        click.echo(f"Warning: {why}. The decision names none before it: `audit verify` will say so.", err=True)
        return ()


def decide(place: Place, decision: Decision, versions_folder: Path | None = None) -> None:
    """Write a decision, say that it stands and how to see that it took effect."""
    if place.folder is not None:
        from stream.cli.folder import decide_on_folder

        answer = decide_on_folder(place.folder, decision, versions_folder)
        where = f"in the log of {place.folder}"
        took_effect = answer.in_force is not None and answer.in_force.sequence >= answer.sequence
        click.echo(f"Decision {answer.sequence} stands {where}" + (", and is in force." if took_effect else "."))
    else:
        import msgspec

        from connectors.kafka.record import Record
        from events import KillSwitch
        from stream.decisions import decision_key, encode_decision

        site = place.site()
        urgent = isinstance(decision.event, KillSwitch)
        decision = msgspec.structs.replace(decision, previous=_tips(place, TIPS_WITHIN_S if urgent else None))
        sequence = send(site, Record(CONTROL, decision_key(decision), encode_decision(decision))) + 1
        click.echo(f"Decision {sequence or 'of unknown number'} stands on {site.kafka.prefix}{CONTROL}.")
        took_effect = False
    if not took_effect:
        click.echo(f"See it take effect: wardstream control status {place.option}")
