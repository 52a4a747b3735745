"""`wardstream learner`: learns from examples.v1, and makes candidate versions where it is told to.

Owns the command: its options, and where a candidate version goes. Must not know how anything is learned.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.kafka.settings import PASSWORD_VARIABLE
from models.version import ModelVersion
from stream.cli.listening import serve
from stream.cli.options import code_version, config_option, read_site
from stream.learning import OutcomeDefinition
from stream.logs import set_up_logs
from stream.settings import ConfigurationError, SiteFile

SECONDS_PER_HOUR = 3_600.0

HELP = """Learn from what the workers scored and what happened later (topic examples.v1), and say how well it goes.

It predicts each score before it learns from it, with the outcome's real delay, and logs the figures. Nothing it learns
scores anybody: with --version-every-h it writes a candidate version to [live] state_folder for review; with --key too,
it signs and publishes it (models.v1), where it scores nothing until a person promotes it.

It keeps no state of its own: started again it reads the topic from its beginning and knows the same. Kill it at will.

\b
Examples:
  wardstream learner --config wardstream.toml --critical-care-ward "Critical Care"
  wardstream learner --config wardstream.toml --version-every-h 24 --key learner-key.pem

\b
Environment: WARDSTREAM_KAFKA_PASSWORD. Health: /health/live, /health/ready and /metrics on [live] health_port.
"""


@click.command("learner", help=HELP)
@config_option
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    help="What counts; may be repeated. Default: death, critical_care, cardiac_arrest.",
)
@click.option("--critical-care-ward", "wards", multiple=True, help="A transfer to it is an outcome; may be repeated.")
@click.option("--horizon-h", default=12, show_default=True, type=click.IntRange(1, 168))
@click.option(
    "--version-every-h",
    "every_h",
    default=0.0,
    type=click.FloatRange(min=0),
    help="Make a candidate so often; 0: never.",
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The learner's own private key (`models keygen`): candidates are signed and published.",
)
@click.option("--health-port", type=click.IntRange(0, 65_535), help="Health and metrics; 0 takes a free one.")
def command(
    config_path: Path | None,
    outcomes: tuple[str, ...],
    wards: tuple[str, ...],
    horizon_h: int,
    every_h: float,
    key_path: Path | None,
    health_port: int | None,
) -> int:
    """Run until told to stop."""
    from stream.live.learner import LearnerProcess

    site = read_site(config_path)
    live = site.live if health_port is None else msgspec.structs.replace(site.live, health_port=health_port)
    definition = OutcomeDefinition(horizon_h=horizon_h, critical_care_wards=frozenset(wards))
    if outcomes:
        definition = msgspec.structs.replace(definition, kinds=outcomes)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    log = set_up_logs(live.log_level)
    candidates = Candidates(site, key_path, password, log) if every_h else None

    def make() -> LearnerProcess:
        return LearnerProcess(
            site.kafka,
            live,
            definition,
            code_version=code_version(),
            log=log,
            password=password,
            publish=None if candidates is None else candidates.keep,
            publish_every_s=every_h * SECONDS_PER_HOUR,
        )

    return asyncio.run(serve(make, log, advice="start again: it reads examples.v1 anew and knows the same"))


class Candidates:
    """Where candidate versions go: to a folder for review, and where there is a key, signed to models.v1."""

    def __init__(self, site: SiteFile, key_path: Path | None, password: str, log: FilteringBoundLogger) -> None:
        if not site.live.state_folder:
            raise ConfigurationError("live.state_folder is not set: a candidate version is written there for review")
        self._folder = Path(site.live.state_folder) / "candidates"
        self._site = site
        self._key = None if key_path is None else key_path.read_bytes()
        self._password = password
        self._log = log

    async def keep(self, version: ModelVersion) -> None:
        """Write a candidate, and publish it where there is a key."""
        from models.version import dump

        await asyncio.to_thread(self._write, version.version, dump(version))
        self._log.info("candidate", version=version.version, signed=self._key is not None)
        if self._key is not None:
            await self._publish(version, self._key)

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}.part"
        unfinished.write_bytes(content)
        unfinished.replace(self._folder / f"{name}.json")

    async def _publish(self, version: ModelVersion, key: bytes) -> None:
        from connectors.kafka.outbox import Outbox
        from connectors.signing import sign
        from models.version import dump
        from stream.live.versions import version_record

        outbox = Outbox(self._site.kafka, client_id="wardstream.learner", password=self._password)
        await outbox.start()
        try:
            await outbox.send([version_record(version, sign(key, dump(version)))])
        finally:
            await outbox.stop()
