"""The verdict on a live run: nothing lost, one content an id, outputs as the replay of its own logs has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from connectors.kafka.settings import KafkaSettings
from models.version import ModelVersion
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import check_state, read_outputs
from stream.kafka_replay import EventsReplay
from stream.output_set import OutputSet
from tests.live.cluster import Cluster


class Verdict(msgspec.Struct):
    """What was found."""

    ids: set[str]
    """Of the envelopes on events.v1 that came of messages."""
    two_contents: list[str]
    repeats: int
    live: OutputSet
    replayed: OutputSet
    disagreements: list[str]
    not_yet: dict[str, int]
    states: list[str]

    def well(self) -> list[str]:
        """Say what is wrong; nothing where all is well."""
        found = [f"{name} has two contents on events.v1" for name in self.two_contents]
        found += [f"{name} came out with two contents" for name in self.live.diverged]
        found += self.live.difference(self.replayed)
        found += self.disagreements + self.states
        found += [f"{count} {kind} were never written" for kind, count in self.not_yet.items() if count]
        return found

    def words(self) -> str:
        """Say it in a line."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.live.counts().items())
        return f"{len(self.ids)} envelopes, {self.repeats} written twice; {counts}"


async def verdict(cluster: Cluster, versions: dict[str, ModelVersion] | None = None) -> Verdict:
    """Read a run's logs and outputs, replay the logs, compare."""
    contents = await cluster.accepted()
    ids = {name for name, _, passed in contents if not passed}
    by_id: dict[str, set[bytes]] = {}
    for name, content, _ in contents:
        by_id.setdefault(name, set()).add(content)
    live, replay, states = await asyncio.to_thread(_replayed, cluster.kafka, cluster.folder / "replay", versions or {})
    return Verdict(
        ids,
        sorted(name for name, found in by_id.items() if len(found) > 1),
        len(contents) - len(by_id),
        live,
        replay.outputs,
        replay.disagreements(),
        replay.not_yet(),
        states,
    )


def _replayed(
    kafka: KafkaSettings, folder: Path, versions: dict[str, ModelVersion]
) -> tuple[OutputSet, EventsReplay, list[str]]:
    folder.mkdir(exist_ok=True)
    with KafkaLog(kafka) as log:
        live = read_outputs(log)
        replay = EventsReplay(log, folder, versions)
        replay.run()
        replay.finish(0.0)
    return live, replay, check_state(kafka)
