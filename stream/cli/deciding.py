"""What the commands that decide something share: who decides, reading what was decided, writing a decision.

Owns those steps against a live installation. Must not know what a decision comes to: workers do.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connectors.kafka.settings import PASSWORD_VARIABLE
from connectors.kafka.topics import CONTROL, MODELS
from stream.settings import SiteFile

if TYPE_CHECKING:
    from connectors.kafka.record import Record
    from stream.live.decisions import Decision, Decisions
    from stream.live.versions import LiveVersions

WHO_DEFAULT = "operator"

site_option = click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The site's wardstream.toml: its [kafka] table says where the live service's topics are.",
)


def _check_who(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    from stream.live.decisions import WHO_PATTERN

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


def read_decisions(site: SiteFile) -> Decisions:
    """Read every decision there is; raises `BrokerError`."""
    from connectors.kafka.reading import read_topic
    from stream.live.decisions import Decisions

    async def read() -> Decisions:
        decisions = Decisions()
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


def decide(site: SiteFile, decision: Decision, config_path: Path) -> int:
    """Write a decision, say that it stands and how to see that it took effect; give its sequence."""
    from connectors.kafka.record import Record
    from stream.live.decisions import decision_key, encode_decision

    sequence = send(site, Record(CONTROL, decision_key(decision), encode_decision(decision))) + 1
    click.echo(f"Decision {sequence or 'of unknown number'} stands on {site.kafka.prefix}{CONTROL}.")
    click.echo(f"See it take effect: wardstream control status --config {config_path}")
    return sequence
