"""The verdict on a live run: nothing lost, one content an id, outputs as the replay of its own logs has them.

Where WARDSTREAM_FAULTS names a file, each verdict that a test gives on a fault adds a line to it: `make faults` makes
docs/faults.md of those.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Collection, Sequence
from pathlib import Path

import msgspec

from connectors.kafka.reading import log_range, read_topic
from connectors.kafka.settings import KafkaSettings
from connectors.sources.arrival import Arrival
from models.version import ModelVersion
from stream.kafka_log import KafkaLog
from stream.kafka_outcome import check_state, read_outputs
from stream.kafka_replay import EventsReplay
from stream.output_set import OutputSet
from tests.live.cluster import Cluster, expected_ids
from tests.live.deaths import undeclared

FAULTS_VARIABLE = "WARDSTREAM_FAULTS"
OUTPUTS = {"scores.v1": "scores", "suppressed.v1": "suppressed"}
"""Topics written without transactions, so that offsets count records."""


class FaultCount(msgspec.Struct):
    """One line of docs/faults.md."""

    fault: str
    times: int
    messages: int
    envelopes: int
    redelivered: int
    lost: int
    divergent: int
    contradictions: int
    healthy_s: float
    """The longest time from the end of a fault until every worker said that it was well."""
    deaths: int
    """Workers that ended by themselves and were started again."""
    seed: int = 0
    never_again: str = ""
    """Why nothing can be written twice under this fault; empty where something can."""


class Verdict(msgspec.Struct):
    """What was found."""

    ids: set[str]
    """Of the envelopes on events.v1 that came of messages."""
    two_contents: list[str]
    repeats: int
    """Envelopes and outputs that were written more than once."""
    live: OutputSet
    replayed: OutputSet
    disagreements: list[str]
    not_yet: dict[str, int]
    states: list[str]
    unfoldable: list[str]
    deaths: list[str]
    """Of workers that ended by themselves, of a fault that they should not end of."""

    def well(self) -> list[str]:
        """Say what is wrong; nothing where all is well."""
        found = [f"{name} has two contents on events.v1" for name in self.two_contents]
        found += [f"{name} came out with two contents" for name in self.live.diverged]
        found += self.live.difference(self.replayed)
        found += self.disagreements + self.states + self.unfoldable + self.deaths
        found += [f"{count} {kind} were never written" for kind, count in self.not_yet.items() if count]
        return found

    def words(self) -> str:
        """Say it in a line."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.live.counts().items())
        return f"{len(self.ids)} envelopes, {self.repeats} records written again; {counts}"

    def note(
        self,
        cluster: Cluster,
        fault: str,
        expected: Collection[str],
        *,
        times: int = 1,
        healthy_s: float,
        seed: int = 0,
        never_again: str = "",
    ) -> FaultCount:
        """Count a fault for docs/faults.md, where that is asked for."""
        count = FaultCount(
            fault=fault,
            times=times,
            messages=cluster.sent,
            envelopes=len(self.ids),
            redelivered=self.repeats,
            lost=len(set(expected) - self.ids) + len(self.replayed.difference(self.live)),
            divergent=len(self.two_contents) + len(self.live.diverged) + len(self.disagreements),
            contradictions=len(self.states),
            healthy_s=round(healthy_s, 1),
            deaths=cluster.deaths,
            seed=seed,
            never_again=never_again,
        )
        path = os.environ.get(FAULTS_VARIABLE)
        if path:
            with Path(path).open("ab") as lines:
                lines.write(msgspec.json.encode(count) + b"\n")
        return count


async def verdict(cluster: Cluster, versions: dict[str, ModelVersion] | None = None) -> Verdict:
    """Read a run's logs and outputs, replay the logs, compare."""
    contents = await cluster.accepted()
    ids = {name for name, _, passed in contents if not passed}
    by_id: dict[str, set[bytes]] = {}
    for name, content, _ in contents:
        by_id.setdefault(name, set()).add(content)
    live, replay, states = await asyncio.to_thread(_replayed, cluster.kafka, cluster.folder / "replay", versions or {})
    repeats = len(contents) - len(by_id)
    for topic, kind in OUTPUTS.items():
        written = sum(end - begin for begin, end in (await log_range(cluster.kafka, topic)).values())
        repeats += written - len(live.ids(kind))
    return Verdict(
        ids,
        sorted(name for name, found in by_id.items() if len(found) > 1),
        repeats,
        live,
        replay.outputs,
        replay.disagreements(),
        replay.not_yet(),
        states,
        await _unfoldable(cluster),
        undeclared(cluster.ended),
    )


async def check_run(
    cluster: Cluster,
    feeding: Awaitable[object],
    arrivals: Sequence[Arrival],
    fault: str,
    *,
    healthy_s: float,
    times: int = 1,
    seed: int = 0,
    never_again: str = "",
) -> Verdict:
    """Wait until all that is sent is folded, then hold the run to the verdict, and count it under the fault's name."""
    await feeding
    await cluster.drain()
    found = await verdict(cluster)
    expected = expected_ids(arrivals)
    found.note(cluster, fault, expected, times=times, healthy_s=healthy_s, seed=seed, never_again=never_again)
    wrong = found.well()
    assert (found.ids ^ expected, wrong) == (set(), []), wrong  # pytest explains no assertion outside a test
    return found


async def _unfoldable(cluster: Cluster) -> list[str]:
    """Give what our own code could not fold: a bug of ours, whatever the fault."""
    return [
        f"a record could not be folded: {(record.value or b'')[:200]!r}"
        async for record in read_topic(cluster.kafka, "deadletters.v1")
        if record.key == b"unfoldable"
    ]


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
