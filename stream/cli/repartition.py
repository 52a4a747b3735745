"""`wardstream topics repartition`: another number of partitions, by carrying the installation over to a new prefix.

Owns the command. Must not know how records are carried.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import click
import msgspec

from connectors.kafka.settings import PASSWORD_VARIABLE as KAFKA_PASSWORD
from connectors.redis.settings import PASSWORD_VARIABLE as REDIS_PASSWORD
from stream.cli import EXIT_DONE, EXIT_FAILED
from stream.cli.options import read_site

SHOWN_MAX = 20
HELP = """Carry an installation over to a new prefix with another number of partitions.

NEW.toml is OLD.toml with another [kafka] prefix and partitions and another [redis] prefix. The old installation must be
drained and its workers stopped; that is checked, and nothing of it is changed. Gateways may run under the new prefix
already: what they take waits there. The whole procedure is in docs/live.md.

\b
  wardstream topics declare --config NEW.toml                             then gateways go over, the old workers drain
  wardstream topics repartition --config OLD.toml --to NEW.toml           with all workers stopped
  wardstream worker --config NEW.toml                                     they go on where the old ones ended
  wardstream topics repartition --config OLD.toml --to NEW.toml --verify  every open alert is told alike

\b
Environment: WARDSTREAM_KAFKA_PASSWORD and WARDSTREAM_REDIS_PASSWORD, of users who may read the old and write the new.
Exit codes: 0 done, 1 refused or failed (the text says what to do), 2 wrong usage.
"""
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("repartition", help=HELP)
@click.option("--config", "old_path", type=_file, required=True, metavar="OLD.toml", help="The installation as it is.")
@click.option("--to", "new_path", type=_file, required=True, metavar="NEW.toml", help="As it is to be.")
@click.option("--verify", is_flag=True, help="Carry nothing: compare what both told of the alerts that were open.")
def command(old_path: Path, new_path: Path, *, verify: bool) -> int:
    """Carry it over, or compare."""
    from connectors.redis.connection import RedisConnectionError
    from connectors.redis.layout import LayoutError
    from features.store import StoreFault
    from stream.live.carrying import End, RepartitionRefusedError, compare
    from stream.live.repartition import repartition

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    secrets = os.environ.get(KAFKA_PASSWORD, ""), os.environ.get(REDIS_PASSWORD, "")
    old, new = (End(read_site(path), *secrets) for path in (old_path, new_path))
    try:
        if verify:
            return _tell(*asyncio.run(compare(old, new)))
        carried = asyncio.run(repartition(old, new, click.echo))
    except (RepartitionRefusedError, RedisConnectionError, LayoutError, StoreFault) as fault:
        click.echo(f"Error: {fault}", err=True)
        return EXIT_FAILED
    counts = ", ".join(f"{count} {name}" for name, count in msgspec.structs.asdict(carried).items())
    click.echo(f"done: {counts}")
    click.echo(f"now start workers with --config {new_path}; then compare, with --verify")
    return EXIT_DONE


def _tell(count: int, wrong: list[str]) -> int:
    for line in wrong[:SHOWN_MAX]:
        click.echo(line, err=True)
    click.echo(
        f"{count} events of open alerts in the old installation; {len(wrong)} are missing or other in the new one"
    )
    return EXIT_FAILED if wrong else EXIT_DONE
