"""Every ward story holds on the live host: one log, real workers, one of which is killed.

A story is recorded by the embedded host: its messages go through the codecs and [parse] once, and the envelopes are the
log. Stories under the defaults share a partition of `events.v1`, as the patients of one hospital do. Those that have a
model, a configuration or a kill switch of their own, which are a partition's, follow one another on a few partitions, a
week apart, each from a clean beginning. One about what is usual for a feed has a partition to itself. What comes out of
the topics of scores, suppressed, alerts and signals is judged by the very lines that judge the embedded host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alerts.contract import AlertEvent
from connectors.kafka.outbox import Outbox
from connectors.kafka.partitioning import partition_for
from connectors.kafka.reading import read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import ALERTS, EVENTS, SCORES, SIGNALS, SUPPRESSED
from connectors.redis.settings import RedisSettings
from connectors.signing import generate_key, sign
from events import Envelope, Event, KillSwitch, Millis, Promotion, content_id, encode_envelope, from_iso
from events.control import Acknowledgement, Feedback, Standing
from models.version import ModelVersion, dump
from stream.cli.options import code_version
from stream.effects import Forward
from stream.live.versions import version_record
from stream.parse import spread
from stream.partition_fold import PartitionFold
from stream.scenarios.acts import CONTROLS
from stream.scenarios.judging import judge
from stream.scenarios.loading import load_stories
from stream.scenarios.names import Names
from stream.scenarios.playing import Output, Played, play, versions_of
from stream.scenarios.sense import verb_of
from stream.scenarios.telling import timeline
from stream.scenarios.words import Story
from tests.live.cluster import Cluster

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
STAGES = "patient,ward"
NAMED = {
    SCORES: ("scores", "score_id"),
    SUPPRESSED: ("suppressed", "suppression_id"),
    ALERTS: ("alerts", "event_id"),
    SIGNALS: ("signals", "signal_id"),
}
BATCH = 500
DRAINED_S = 240.0
"""On a busy machine; on a quiet one it takes some twenty seconds."""
IN_TURN = 6
"""Partitions for the stories that follow one another."""


class Recorded(msgspec.Struct, frozen=True):
    """One story, with the partition it lies on."""

    name: str
    story: Story
    names: Names
    played: Played
    partition: int


class Recording(msgspec.Struct, frozen=True):
    """All stories, and the log of each partition."""

    stories: list[Recorded]
    logs: list[list[Envelope]]


def is_plain(story: Story) -> bool:
    """Say whether a story is under the defaults, so that it may share its partition's control state."""
    verbs = {verb_of(step) for step in story.timeline}
    return not (story.model or story.configuration or story.scale_2 or verbs & {*CONTROLS})


def groups_of(stories: dict[str, Story]) -> list[dict[str, Story]]:
    """Part the stories into those of one partition each."""
    together: dict[str, dict[str, Story]] = {}
    alone: list[dict[str, Story]] = []
    others: list[tuple[str, Story]] = []
    for name, story in sorted(stories.items()):
        if any(claim.startswith("signal.") for claim in story.shows):
            alone.append({name: story})
        elif is_plain(story):
            together.setdefault(story.zone, {})[name] = story
        else:
            others.append((name, story))
    in_turn = [
        {name: weeks_later(story, turn) for turn, (name, story) in enumerate(others[number::IN_TURN])}
        for number in range(IN_TURN)
    ]
    return [*together.values(), *alone, *in_turn]


def weeks_later(story: Story, weeks: int) -> Story:
    """Give a story that begins some weeks later."""
    begins = datetime.fromisoformat(story.start) + timedelta(weeks=weeks)
    return msgspec.structs.replace(story, start=begins.strftime("%Y-%m-%d %H:%M"))


def lands_on(partition: int, partitions: int) -> Callable[[str], bool]:
    """Give what says whether a key lands on a partition and is nobody's yet."""
    used: set[str] = set()

    def lands(key: str) -> bool:
        fits = key not in used and partition_for(key.encode(), partitions) == partition
        used.update({key} if fits else ())
        return fits

    return lands


def record(stories: dict[str, Story]) -> Recording:
    """Play every story on the embedded host; give them with the log of each partition."""
    groups = groups_of(stories)
    recorded: list[Recorded] = []
    logs: list[list[Envelope]] = []
    for partition, together in enumerate(groups):
        lands = lands_on(partition, len(groups))
        versions: dict[str, ModelVersion] = {}
        merged: list[Envelope] = []
        triggers: dict[str, str] = {}
        for name, story in together.items():
            names = Names(story, lands)
            played = play(story, names, code_version=code_version())
            if not is_plain(story):
                merged += beginning(name, played.log[0].received_time, sorted(versions))
            versions |= versions_of(story)
            recorded.append(Recorded(name, story, names, played, partition))
            merged += played.log
            triggers |= {
                output.document["alert_id"]: output.document["trigger"]
                for output in played.outputs
                if output.kind == "alerts"
            }
        merged.sort(key=lambda told: told.received_time)
        logs.append(passed_on(merged, PartitionFold(partition, len(groups), versions), triggers))
    return Recording(recorded, logs)


def beginning(name: str, at: Millis, versions: list[str]) -> list[Envelope]:
    """Take back what the story before decided: kill switch, standings, promotion."""
    events: list[Event] = [KillSwitch(at, engaged=False), *(Standing(at, version, "good") for version in versions)]
    events.append(Promotion(at, "", enabled=False))
    return [Envelope(content_id("begins", name, repr(event)), "", at, at, (event,)) for event in events]


def passed_on(merged: list[Envelope], fold: PartitionFold, triggers: dict[str, str]) -> list[Envelope]:
    """Give a partition's log: what was recorded, each once, and what the fold passes on in its place.

    An answer is to the alert that this fold told. After an unmerge that one's id is not the embedded host's: there the
    unmerge itself makes it stand again, here the record that is handed back.
    """
    log: list[Envelope] = []
    newest: dict[tuple[str, str], str] = {}
    for envelope in merged:
        waiting = spread(envelope)
        while waiting:
            told = waiting.pop(0)
            answered = tuple(_answer(event, told.patient, triggers, newest) for event in told.events)
            told = msgspec.structs.replace(told, events=answered)
            read = fold.read(encode_envelope(told))
            if read is None:
                continue
            log.append(told)
            for effect in fold.fold(read):
                if type(effect) is Forward:
                    waiting.append(effect.envelope)
                elif type(effect) is AlertEvent:
                    newest[effect.patient, effect.trigger] = effect.alert_id
    return log


def _answer(event: Event, patient: str, triggers: dict[str, str], newest: dict[tuple[str, str], str]) -> Event:
    if not isinstance(event, Acknowledgement | Feedback) or event.alert_id in newest.values():
        return event
    trigger = triggers.get(event.alert_id, "")
    return msgspec.structs.replace(event, alert_id=newest.get((patient, trigger), event.alert_id))


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Give every story that holds, recorded."""
    return record({name: story for name, story in load_stories(FOLDER).items() if not story.awaits})


async def write(settings: KafkaSettings, recording: Recording, pem: bytes) -> None:
    """Write the logs, and the signed versions that they name."""
    versions: dict[str, ModelVersion] = {}
    for one in recording.stories:
        versions |= versions_of(one.story)
    records = [version_record(version, sign(pem, dump(version))) for version in versions.values()]
    for partition, log in enumerate(recording.logs):
        records += [Record(EVENTS, told.patient.encode(), encode_envelope(told), (), partition) for told in log]
    outbox = Outbox(settings, client_id="stories")
    await outbox.start()
    try:
        for at in range(0, len(records), BATCH):
            await outbox.send(records[at : at + BATCH])
    finally:
        await outbox.stop()


async def outputs_of(settings: KafkaSettings) -> dict[str, list[Output]]:
    """Give what came out by patient key: each output once, in the order of its topic."""
    found: dict[str, list[Output]] = {}
    seen: set[tuple[str, str]] = set()
    for topic, (kind, field) in NAMED.items():
        async for item in read_topic(settings, topic):
            document = msgspec.json.decode(item.value or b"")
            output = Output(kind, document[field], document)
            if (kind, output.name) not in seen:
                seen.add((kind, output.name))
                found.setdefault(owner(output), []).append(output)
    return found


def owner(output: Output) -> str:
    """Say whose an output is: a patient's, or of a signal the partition's that it was learned from."""
    return f"partition {output.document['partition']}" if output.kind == "signals" else output.document["patient"]


@pytest.fixture
def cluster(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings, recording: Any) -> Iterator[Any]:
    """Give an installation with as many partitions, and the private key that it trusts."""
    pair = generate_key()
    settings = msgspec.structs.replace(kafka, partitions=len(recording.logs))
    one = Cluster(tmp_path, settings, redis_settings, live=f'version_keys = ["{pair.public}"]\nbatch_records_max = 20')
    yield one, pair.private_pem
    one.stop()


@pytest.mark.asyncio
async def test_every_story_holds_on_kafka_and_redis(cluster: Any, recording: Recording) -> None:
    """Two workers, of which one is killed with signal 9, tell each story's wards what the story expects and no more."""
    one, pem = cluster
    await one.declare()
    await write(one.kafka, recording, pem)
    for name in ("w0", "w1"):
        one.start(name, STAGES)
    records = sum(len(log) for log in recording.logs)

    async def begun() -> bool:
        return (await one.behind())["patient"] < records

    await one.until(begun, DRAINED_S)
    one.kill("w0")
    one.restart("w0")
    await one.drain(DRAINED_S)
    found = await outputs_of(one.kafka)
    failures = await asyncio.to_thread(judge_all, recording.stories, found)
    assert failures == "", "\n" + failures


def judge_all(recorded: list[Recorded], found: dict[str, list[Output]]) -> str:
    """Judge every story by what came out of the live host; tell the timelines of those that fail."""
    lines = []
    for one in recorded:
        keys = sorted(key for key in found if not one.names.who(key).startswith("somebody"))
        keys.append(f"partition {one.partition}")
        outputs = [
            output
            for key in keys
            for output in found.get(key, ())
            if from_iso(output.document["received_time"]) <= one.played.end
        ]
        outputs.sort(key=lambda output: output.document["received_time"])
        played = msgspec.structs.replace(one.played, outputs=tuple(outputs))
        judged = judge(played, one.names)
        if not judged.well:
            lines.append(f"{one.name}\n{timeline(one.story, played, judged, whole=False)}")
    return "\n".join(lines)


def test_each_record_lies_on_its_own_partition(recording: Recording) -> None:
    """Every patient's key belongs on the partition that has his records; no two stories have a patient in common."""
    partitions = len(recording.logs)
    strays = [
        told.envelope_id
        for number, log in enumerate(recording.logs)
        for told in log
        if told.patient and partition_for(told.patient.encode(), partitions) != number
    ]
    assert strays == []
    keys = [one.names.key(name) for one in recording.stories for name in one.story.patients]
    assert len(keys) == len(set(keys))


def test_the_recording_holds_what_the_judge_asks(recording: Recording) -> None:
    """Judged by what the embedded host put out under these names every story holds; judged by nothing, none does."""
    by_key: dict[str, list[Output]] = {}
    for one in recording.stories:
        for output in one.played.outputs:
            name = f"partition {one.partition}" if output.kind == "signals" else owner(output)
            by_key.setdefault(name, []).append(output)
    assert judge_all(recording.stories, by_key) == ""
    assert judge_all(recording.stories, {}).count(".yaml") == len(recording.stories)
