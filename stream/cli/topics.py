"""`wardstream topics`: the live service's topics at its broker: declared, checked, listed, and their contracts.

Owns the commands and their tables. Must not know how a broker is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.kafka.settings import PASSWORD_VARIABLE
from connectors.kafka.topics import Declaration, declarations
from events import MILLIS_PER_DAY
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import config_option, read_site
from stream.cli.repartition import command as repartition

if TYPE_CHECKING:
    from connectors.kafka.admin import Change

HELP = """Declare and check the topics of the live service.

Gateways, workers and the learner never create a topic: one that is missing, or has the wrong number of partitions, is
refused when they start. So declare them first, once for an installation, and again after an upgrade.

The broker's address, the prefix of the names, the number of partitions and how long records are kept stand in the
[kafka] table of wardstream.toml; the password, where there is one, in WARDSTREAM_KAFKA_PASSWORD.

\b
Examples:
  wardstream topics list --config wardstream.toml      what would be declared; asks no broker
  wardstream topics declare --config wardstream.toml   create what is missing
  wardstream topics check --config wardstream.toml     exit code 1 where anything is missing or wrong
  wardstream topics schemas contracts/                 the JSON Schemas and the AsyncAPI document
"""
DECLARE_HELP = """Create the topics that are missing, and say of each whether it is as declared.

A topic that is there is never changed, unless --alter is given: then its retention, cleanup policy and size limit are
set as declared. A number of partitions is never changed: keys would move to other partitions, away from their history.
Records are never deleted by this command, but a broker deletes what is older than a shorter retention.
"""
CHECK_HELP = """Compare the broker's topics with what is declared; change nothing.

Exit code 0: all are there and as declared. 1: the table and the lines below it say what is not, and what to do. A
longer retention than configured, or a larger size limit, is no fault.
"""


@click.group("topics", help=HELP)
def command() -> None:
    """Group the commands."""


command.add_command(repartition)


@command.command("declare", help=DECLARE_HELP)
@config_option
@click.option("--alter", is_flag=True, help="Set retention, cleanup and size limit of existing topics as declared.")
def declare_topics(config_path: Path | None, *, alter: bool) -> int:
    """Create what is missing."""
    from connectors.kafka.admin import declare

    settings = read_site(config_path).kafka
    _quieten()
    changes = asyncio.run(declare(settings, _password(), alter=alter))
    _show(changes)
    return EXIT_DONE


@command.command("check", help=CHECK_HELP)
@config_option
def check_topics(config_path: Path | None) -> int:
    """Compare, and say what differs."""
    from connectors.kafka.admin import inspect

    settings = read_site(config_path).kafka
    _quieten()
    changes = asyncio.run(inspect(settings, _password()))
    _show(changes)
    differences = [text for change in changes for text in change.differences]
    for text in differences:
        click.echo(text, err=True)
    return EXIT_FAILED if differences else EXIT_DONE


@command.command("list")
@config_option
def list_topics(config_path: Path | None) -> int:
    """List the topics as they would be declared; asks no broker."""
    settings = read_site(config_path).kafka
    table = Table()
    for column in ("topic", "holds", "key", "partitions", "kept", "schema"):
        table.add_column(column, overflow="fold")
    for each in declarations(settings):
        table.add_row(
            each.name, each.topic.summary, each.topic.key, str(each.partitions), _kept(each), each.topic.schema or "-"
        )
    Console().print(table)
    return EXIT_DONE


@command.command("schemas")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def write_schemas(folder: Path) -> int:
    """Write the contracts into DIR: asyncapi.json, and schemas/*.json, which it refers to."""
    from stream.live.asyncapi import asyncapi_text
    from stream.live.topic_schemas import schema_texts

    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    (folder / "asyncapi.json").write_text(asyncapi_text(), encoding="utf-8")
    texts = schema_texts()
    for name, text in texts.items():
        (folder / "schemas" / name).write_text(text, encoding="utf-8")
    click.echo(f"wrote asyncapi.json and {len(texts)} schemas to {folder}")
    return EXIT_DONE


def _show(changes: Iterable[Change]) -> None:
    table = Table()
    for column in ("topic", "partitions", "kept", "state"):
        table.add_column(column, overflow="fold")
    for change in changes:
        each = change.declaration
        style = "green" if not change.differences else "red"
        table.add_row(each.name, str(each.partitions), _kept(each), Text(change.action, style))
    Console().print(table)


def _kept(each: Declaration) -> str:
    """Say how long a topic's records are kept.

    >>> from connectors.kafka.settings import KafkaSettings
    >>> [_kept(each) for each in declarations(KafkaSettings())[3:5]]
    ['45 days', '45 days']
    """
    if each.topic.cleanup == "compact":
        return "the newest of each key"
    retention = int(each.config["retention.ms"])
    return "for good" if retention < 0 else f"{retention / MILLIS_PER_DAY:g} days"


def _password() -> str:
    return os.environ.get(PASSWORD_VARIABLE, "")


def _quieten() -> None:
    """Let our own one line say what is wrong, and not the client's log as well."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
