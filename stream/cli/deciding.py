"""What the commands that decide something share: where, who, reading what was decided, writing a decision.

Owns those steps: the live service is reached by its topics, an embedded one by its folder (stream/cli/folder.py). Must
not know what a decision comes to.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from connectors.kafka.settings import PASSWORD_VARIABLE
from connectors.kafka.topics import CONTROL, MODELS
from stream.cli.key_file import read_key
from stream.cli.options import read_site
from stream.settings import ConfigurationError, SiteFile

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


class Decider(NamedTuple):
    """Who decides, why, and with which key."""

    who: str
    reason: str
    key_path: Path | None


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
    from stream.decision_keys import WHO_PATTERN

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
key_option = click.option(
    "--key",
    "key_path",
    # Not asked here whether it is there: a kill switch is engaged all the same (`_key_for`), the rest is refused.
    type=click.Path(path_type=Path),
    help="Your private key (of `models keygen`): signs the decision, as [decision_keys] in force may demand.",
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


def decide(place: Place, decision: Decision, versions_folder: Path | None = None, key_path: Path | None = None) -> None:
    """Write a decision, say that it stands and how to see that it took effect.

    Raises `ConfigurationError` before anything is written where it would not count: not signed as the keys in force
    demand, or overtaken.
    """
    key = _key_for(decision, key_path)
    if place.folder is not None:
        took_effect = _decide_on_folder(place, place.folder, decision, versions_folder, key)
    else:
        _decide_live(place, decision, key)
        took_effect = False
    if not took_effect:
        click.echo(f"See it take effect: wardstream control status {place.option}")


def check_ready(decisions: Decisions, wanted: Sequence[Decision], key_path: Path | None) -> None:
    """Raise `ConfigurationError` where one of several decisions would not count, before the first is written."""
    key = None if key_path is None else read_key(key_path)
    for decision in wanted:
        _ready(decisions, decision, key)


def _key_for(decision: Decision, key_path: Path | None) -> bytes | None:
    """Read the key; what makes the model say less is decided without one that cannot be used."""
    from stream.loudness import is_louder

    try:
        return None if key_path is None else read_key(key_path)
    except ConfigurationError as fault:
        if is_louder(decision.event, None):
            raise
        click.echo(f"Warning: {fault}. It is decided unsigned.", err=True)
        return None


def _decide_on_folder(
    place: Place, folder: Path, decision: Decision, versions_folder: Path | None, key: bytes | None
) -> bool:
    from stream.cli.folder import decide_on_folder

    if key is not None:
        decision = _ready(read_decisions(place), decision, key)
    answer = decide_on_folder(folder, decision, versions_folder)
    took_effect = answer.in_force is not None and answer.in_force.sequence >= answer.sequence
    click.echo(
        f"Decision {answer.sequence} stands in the log of {folder}" + (", and is in force." if took_effect else ".")
    )
    return took_effect


def _decide_live(place: Place, decision: Decision, key: bytes | None) -> None:
    from connectors.kafka.record import Record
    from stream.decisions import decision_key, encode_decision
    from stream.trust import WORDS

    site = place.site()
    decision, demanded = _ready_to_send(place, decision, key)
    sequence = send(site, Record(CONTROL, decision_key(decision), encode_decision(decision))) + 1
    if demanded and sequence:
        refused = {one.decided.sequence: one.fault for one in read_decisions(place).book.refused}
        if (fault := refused.get(sequence)) is not None:
            raise ConfigurationError(f"decision {sequence} stands and does not count, for {WORDS[fault]}")
    click.echo(f"Decision {sequence or 'of unknown number'} stands on {site.kafka.prefix}{CONTROL}.")


def _ready_to_send(place: Place, decision: Decision, key: bytes | None) -> tuple[Decision, bool]:
    """Give a decision with its place in the chain, signed where there is a key, and whether it had to be.

    What makes the model say less is written whatever is wrong with reading the topic; a kill switch does not even wait.
    """
    from connectors.kafka.faults import BrokerError
    from events import KillSwitch
    from stream.loudness import is_louder

    urgent = isinstance(decision.event, KillSwitch) and decision.event.engaged
    try:
        decisions = read_decisions(place, TIPS_WITHIN_S if urgent else None)
    except Exception as fault:
        if is_louder(decision.event, None) or not (urgent or isinstance(fault, BrokerError)):
            raise
        why = "not read in time" if isinstance(fault, TimeoutError) else str(fault) or type(fault).__name__
        click.echo(f"Warning: {why}. The decision names none before it: `audit verify` will say so.", err=True)
        return decision, False
    return _ready(decisions, decision, key), decisions.demands(decision)


def _ready(decisions: Decisions, decision: Decision, key: bytes | None) -> Decision:
    """Give a decision as it is to be written; raises `ConfigurationError` where it would not count."""
    import msgspec

    from stream.decisions import signer
    from stream.trust import refusal_words

    decision = msgspec.structs.replace(decision, previous=decisions.chain.tips)
    decision = decision if key is None else signer(key)(decision)
    fault = decisions.fault_of(decision)
    if fault is not None:
        raise ConfigurationError(refusal_words(fault, decisions.keys))
    return decision
