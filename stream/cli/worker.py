"""`wardstream worker`: the stages of the live service, on Kafka and Redis.

Owns the command line of a worker and how the process ends. Must not know how a stage works.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click
import msgspec

from connectors.kafka.settings import PASSWORD_VARIABLE as KAFKA_PASSWORD
from connectors.redis.settings import PASSWORD_VARIABLE as REDIS_PASSWORD
from stream.cli.listening import put_off_hang_ups
from stream.cli.options import code_version, config_option, read_pseudonyms, read_site
from stream.live_settings import STAGES, Stage
from stream.logs import set_up_logs
from stream.people_file import PeopleFile

HELP = """Run stages of the live service: [parse], [patient] and [ward], each a share of its topic's partitions.

Start as many workers as there is work for; Kafka shares the partitions out among them, and Redis says where each goes
on. Kill one at any moment: the others take over what it had, and nothing is lost or said otherwise than it was.

\b
Try it (Kafka and Redis on this machine, see `wardstream live up`):
  wardstream topics declare --config wardstream.toml
  wardstream worker --config wardstream.toml
  wardstream worker --config wardstream.toml --stages patient --name second

\b
Environment: WARDSTREAM_PSEUDONYM_KEY, WARDSTREAM_KAFKA_PASSWORD, WARDSTREAM_REDIS_PASSWORD.
SIGHUP reads [people] again.
Exit codes: 0 told to stop, 1 a stage died: start it again (a supervisor should), 2 wrong usage.
"""


@click.command("worker", help=HELP)
@config_option
@click.option("--stages", metavar="LIST", help="Of parse,patient,ward. Default: what [live] stages says, which is all.")
@click.option("--name", help="This process's own, lasting name among workers. Default: [live] name, else the host's.")
@click.option("--health-port", type=click.IntRange(0, 65_535), help="Health and metrics; 0: none.")
def command(config_path: Path | None, stages: str | None, name: str | None, health_port: int | None) -> int:
    """Run until told to stop."""
    from stream.live.running import run_worker
    from stream.live.worker import Secrets

    site = read_site(config_path)
    given = {"name": name, "health_port": health_port}
    live = msgspec.structs.replace(site.live, **{key: value for key, value in given.items() if value is not None})
    site = msgspec.structs.replace(site, live=live)
    log = set_up_logs(live.log_level)
    secrets = Secrets(os.environ.get(KAFKA_PASSWORD, ""), os.environ.get(REDIS_PASSWORD, ""), read_pseudonyms())
    # Python's own handler would raise in the middle of anything.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    people = PeopleFile(config_path, site.people, log)
    put_off_hang_ups(people)
    return asyncio.run(run_worker(site, _chosen(stages, live.stages), secrets, code_version(), log, people))


def _chosen(text: str | None, default: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if text is None:
        return default
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in STAGES]
    if wrong or not names:
        raise click.BadParameter(f"{wrong or 'nothing'}: choose of {', '.join(STAGES)}", param_hint="--stages")
    return tuple(stage for stage in STAGES if stage in names)
