"""`wardstream learner`: learns from examples.v1, and makes candidate versions where it is told to.

Owns the command: its options, and where a candidate version goes. Must not know how anything is learned.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.kafka.settings import PASSWORD_VARIABLE
from models.version import ModelVersion
from stream.cli.key_file import read_key
from stream.cli.listening import serve
from stream.cli.options import BUILD_VARIABLE, code_version, config_option, read_site
from stream.cli.outcome_options import chosen_definition, outcome_options
from stream.live.cadence import SNAPSHOT_RECORDS, SNAPSHOT_S, Cadence
from stream.logs import set_up_logs
from stream.settings import ConfigurationError, SiteFile, configuration_hash

if TYPE_CHECKING:
    from stream.live.company import Company
    from stream.outcomes import OutcomeDefinition

SECONDS_PER_HOUR = 3_600.0
SECONDS_PER_MINUTE = 60.0
LEARNERS = ("crossed-boosted", "boosting", "crossed-logistic", "river-logistic")
"""Those of models/learners/factory.py, which is loaded only where one is made."""

HELP = """Learn from what the workers scored and what happened later (topic examples.v1), and say how well it goes.

It predicts each score before it learns from it, with the outcome's real delay, and logs the figures. Nothing it learns
scores anybody: with --version-every-h it writes a candidate version to [live] state_folder for review; with --key too,
it signs and publishes it (models.v1), where it scores nothing until a person promotes it.

Beside learning it watches the version in force (docs/drift.md): what it finds stands in its health, on /findings and on
findings.v1. Where a limit is broken it takes the version out of force by a decision of its own, wardstream:monitor,
unless [change_control] monitor_demotes = false. --no-monitors does none of that, and asks for fewer rights.

With [live] state_folder it writes snapshots to learner/ there, and goes on from the newest one that is whole and of
the same release, learner and outcome definition; without one it reads the topic from its beginning. It knows the same
either way. Kill it at will.

\b
Examples:
  wardstream learner --config wardstream.toml --critical-care-ward "Critical Care"
  wardstream learner --config wardstream.toml --version-every-h 24 --key learner-key.pem

\b
Environment: WARDSTREAM_KAFKA_PASSWORD. On [live] health_port: /health/live, /health/ready, /metrics, /findings and
/contest.
"""


@click.command("learner", help=HELP)
@config_option
@outcome_options
@click.option(
    "--version-every-h",
    "every_h",
    default=0.0,
    type=click.FloatRange(min=0),
    help="Make a candidate so often; 0: never.",
)
@click.option(
    "--learner",
    "learner",
    default=LEARNERS[0],
    show_default=True,
    type=click.Choice(LEARNERS),
    help="What learns. River's logistic makes versions of the form that ships, the others ensembles.",
)
@click.option(
    "--snapshot-records",
    default=SNAPSHOT_RECORDS,
    show_default=True,
    type=click.IntRange(1),
    help="Write a snapshot after so many records.",
)
@click.option(
    "--snapshot-min",
    default=SNAPSHOT_S / SECONDS_PER_MINUTE,
    show_default=True,
    type=click.FloatRange(min=1 / SECONDS_PER_MINUTE),
    help="Write one after so many minutes, where anything came.",
)
@click.option(
    "--key",
    "key_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The learner's own private key (`models keygen`): candidates are signed and published, its decisions signed.",
)
@click.option(
    "--monitors/--no-monitors",
    default=True,
    show_default=True,
    help="Watch the version in force, and weigh challengers beside it.",
)
@click.option(
    "--judge-every-h",
    "judge_h",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Weigh the challengers in shadow so often.",
)
@click.option("--health-port", type=click.IntRange(0, 65_535), help="Health and metrics; 0 takes a free one.")
def command(
    config_path: Path | None,
    outcomes: tuple[str, ...],
    wards: tuple[str, ...],
    horizon_h: int | None,
    every_h: float,
    learner: str,
    snapshot_records: int,
    snapshot_min: float,
    key_path: Path | None,
    judge_h: float,
    health_port: int | None,
    *,
    monitors: bool,
) -> int:
    """Run until told to stop."""
    from stream.libraries import libraries_digest
    from stream.live.example_fold import Origin
    from stream.live.learner import LearnerProcess
    from stream.live.learner_snapshots import Snapshots, head_of

    site = read_site(config_path)
    live = site.live if health_port is None else msgspec.structs.replace(site.live, health_port=health_port)
    definition = chosen_definition(site, outcomes, wards, horizon_h)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    log = set_up_logs(live.log_level)
    candidates = Candidates(site, key_path, password, log) if every_h else None
    release = code_version()
    origin = Origin(release, os.environ.get(BUILD_VARIABLE, ""), configuration_hash(site.settings), libraries_digest())
    snapshots = None
    if live.state_folder:
        snapshots = Snapshots(Path(live.state_folder) / "learner", head_of(release, learner, definition))

    key = None if key_path is None else read_key(key_path)

    def make() -> LearnerProcess:
        company = company_of(site, definition, key, password, log, judge_h * SECONDS_PER_HOUR) if monitors else None
        return LearnerProcess(
            site.kafka,
            live,
            definition,
            origin=origin,
            log=log,
            learner=learner,
            password=password,
            snapshots=snapshots,
            publish=None if candidates is None else candidates.keep,
            cadence=Cadence(snapshot_records, snapshot_min * SECONDS_PER_MINUTE, every_h * SECONDS_PER_HOUR),
            company=company,
        )

    return asyncio.run(serve(make, log, advice="start again: it goes on from its last snapshot and knows the same"))


def company_of(
    site: SiteFile,
    definition: OutcomeDefinition,
    key: bytes | None,
    password: str,
    log: FilteringBoundLogger,
    judge_s: float,
) -> Company:
    """Give what works beside the learner: the monitors of the version in force, and the contest of challengers."""
    from stream.decisions import signer
    from stream.live.company import Company, Following
    from stream.live.contesting import ContestCompanion
    from stream.live.monitoring import Monitors
    from stream.settings import Settings

    # Until a configuration is decided the defaults are in force, and not what this process's own file says.
    begun = Settings()
    sign = None if key is None else signer(key)
    following = Following(site.kafka, password, site.live.version_keys, sign=sign)
    monitors = Monitors(following, definition, begun, log)
    evidence = Path(site.live.state_folder) / "evidence" if site.live.state_folder else None
    contest = ContestCompanion(
        following, definition, begun, evidence_folder=evidence, judge_s=judge_s, findings=monitors.holding
    )
    return Company(following, (monitors, contest))


class Candidates:
    """Where candidate versions go: to a folder for review, and where there is a key, signed to models.v1."""

    def __init__(self, site: SiteFile, key_path: Path | None, password: str, log: FilteringBoundLogger) -> None:
        if not site.live.state_folder:
            raise ConfigurationError("live.state_folder is not set: a candidate version is written there for review")
        self._folder = Path(site.live.state_folder) / "candidates"
        self._site = site
        self._key = None if key_path is None else read_key(key_path)
        self._password = password
        self._log = log

    async def keep(self, version: ModelVersion) -> bool:
        """Write a candidate, and publish it where there is a key; say whether there is."""
        from models.version import dump

        await asyncio.to_thread(self._write, version.version, dump(version))
        self._log.info("candidate", version=version.version, signed=self._key is not None)
        if self._key is None:
            return False
        await self._publish(version, self._key)
        return True

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
