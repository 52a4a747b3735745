"""`wardstream replay kafka:events.v1`: the live service's own log through the same core, and what disagrees with it.

Owns the versions that such a replay has, and what is said of its end. Must not know how a replay works. It is isolated:
it reads in no consumer group, and holds neither a producer nor a Redis client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from connectors.kafka.faults import BrokerError
from connectors.kafka.topics import MODELS
from events import Millis
from models.version import ModelVersion
from stream.cli import EXIT_DONE, EXIT_FAILED, EXIT_REFUSED_IN_PART
from stream.cli.options import warn
from stream.cli.progress import show_progress
from stream.kafka_log import KafkaLog
from stream.kafka_replay import EventsReplay
from stream.live.versions import LiveVersions
from stream.output_set import NAMED_MAX
from stream.release import Release
from stream.settings import SiteFile, configuration_hash

Show = Callable[[dict[str, object], Path], None]


def replay_events(
    folder: Path,
    site: SiteFile,
    password: str,
    versions: Mapping[str, ModelVersion],
    *,
    release: Release | None,
    fhir: bool,
    since: Millis,
    end: Millis | None,
    quiet: bool,
    show: Show,
) -> int:
    """Replay the log of an installation; give the exit code. With a `release` it is a what-if."""
    began = time.perf_counter()
    with KafkaLog(site.kafka, password) as log:
        known = published_versions(log, versions, site)
        replay = EventsReplay(log, folder, known, release=release, fhir=fhir, since=since, end=end)
        with show_progress("replay", [replay], quiet=quiet) as advance:
            replay.on_progress = advance
            replay.run()
    result = replay.finish(time.perf_counter() - began)
    for text in replay.warnings:
        warn(text)
    recorded = replay.control.configuration_hash
    if release is None and recorded != configuration_hash(site.settings):
        warn(
            f"the log was decided by configuration {recorded} at its end, and the file given says otherwise; the log's "
            "holds here. To try the file's, add --what-if"
        )
    if not quiet:
        if release is not None:
            click.echo("a what-if: candidates are told in order of received time and event id, not as it was live")
        show(result.summary, folder)
    return _verdict(replay, result.summary)


def published_versions(log: KafkaLog, versions: Mapping[str, ModelVersion], site: SiteFile) -> LiveVersions:
    """Give the versions at hand, and those of `models.v1` whose signatures are trusted."""
    known = LiveVersions(versions, site.live.version_keys)
    try:
        for record in log.read_all(MODELS):
            known.take(record.key, record.value, record.headers)
    except BrokerError as fault:
        # Who may read the log alone can still replay it, with the versions in --models-dir.
        warn(f"{MODELS} cannot be read: {fault}")
    for problem in known.problems():
        warn(problem)
    return known


def _verdict(replay: EventsReplay, summary: Mapping[str, object]) -> int:
    disagreements = replay.disagreements()
    for line in disagreements[:NAMED_MAX]:
        click.echo(f"Error: {line}", err=True)
    if disagreements or summary["unfoldable"]:
        click.echo(
            f"Error: {len(disagreements)} record(s) stand otherwise in the log than they follow from it, and "
            f"{summary['unfoldable']} could not be folded: that is a fault of ours, see summary.json",
            err=True,
        )
        return EXIT_FAILED
    behind = {kind: count for kind, count in replay.not_yet().items() if count}
    if behind:
        warn(f"not yet on record: {behind}. The live service has yet to write them, or it stopped before it did")
    return EXIT_REFUSED_IN_PART if summary["dead_letters"] else EXIT_DONE
