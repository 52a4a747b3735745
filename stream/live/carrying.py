"""What is carried over to an installation's new prefix: decisions, versions, links, examples, and each patient.

Owns what is read of the old installation, and the records that the new one's log begins with. Must not know when that
is allowed (`stream.live.repartition`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import msgspec

from alerts.lifecycle import TERMINAL
from connectors.kafka.outbox import Outbox
from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERT_STATES, ALERTS, CONTROL, EVENTS, EXAMPLES, IDENTITIES, MODELS, topic_headers
from connectors.redis.carrying import carry_parse
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.layout import PATIENT_STAGE, Client
from connectors.redis.partition_store import RedisPartitionStore
from events import Availability, Carried, CodeVersion, Envelope, Event, Millis, content_id, encode_envelope
from events.encoding import ENVELOPE_BYTES_MAX
from stream.control import Control, StoredControl, read_control
from stream.decisions import Decisions
from stream.fold import CONTROL_KEY
from stream.live.parsing import INGEST_TOPICS
from stream.records import NO_PATIENT, UnreadableRecordError, read_stored
from stream.settings import SiteFile

BATCH_RECORDS = 500


class RepartitionRefusedError(Exception):
    """The installation, or where it is to go, is not ready: the operator's. The text says what to do first."""


class End(NamedTuple):
    """One of the two installations, with its secrets."""

    site: SiteFile
    kafka_password: str = ""
    redis_password: str = ""


class CarriedOver(msgspec.Struct, frozen=True):
    """What was carried over."""

    patients: int
    alert_events: int
    """All that was told of the alerts that are open."""
    decisions: int
    versions: int
    identities: int
    examples: int
    remembered: int
    """Keys of what [parse] knows in Redis."""


async def carry(
    old: End, new: End, source: Client, target: Client, partitions: int, tell: Callable[[str], None]
) -> CarriedOver:
    """Carry everything; `partitions` are the old installation's. Raises `RepartitionRefusedError`."""
    alerts = await _open_alerts(old)
    at, controls = await asyncio.to_thread(_controls, old.site, source, partitions)
    decisions = await _decisions(old)
    prelude = prelude_of(decisions, controls, at)
    outbox = Outbox(new.site.kafka, client_id="wardstream.repartition", password=new.kafka_password)
    await outbox.start()
    try:
        decided = await _carry_decisions(old, outbox)
        versions = await _carry_newest(old, outbox, MODELS)
        identities = await _carry_newest(old, outbox, IDENTITIES)
        examples = await _carry_examples(old, outbox)
        remembered = await asyncio.to_thread(_carry_memory, old, new, source, target)
        tell(f"carried: {decided} decisions, {versions} model versions, {identities} identity links")
        for number in range(new.site.kafka.partitions):
            await outbox.send([_record(envelope, number) for envelope in prelude])
        patients = await _carry_patients(old, outbox, source, Snapshot(alerts, partitions), tell)
    finally:
        await outbox.stop()
    events = sum(len(told) for told in alerts.values())
    return CarriedOver(patients, events, decided, versions, identities, examples, remembered)


async def _decisions(old: End) -> Decisions:
    decisions = Decisions()
    async for record in read_topic(old.site.kafka, CONTROL, password=old.kafka_password):
        decisions.take(record.offset, record.value, record.record_time)
    if decisions.kill_switch:
        raise RepartitionRefusedError(
            "the kill switch is engaged: what is told again of open alerts would be held. Release it first"
        )
    return decisions


def _controls(site: SiteFile, client: Client, partitions: int) -> tuple[Millis, list[StoredControl]]:
    """Give when anybody was last heard of, and what is in force in each old partition that held a record; blocks."""
    found: list[StoredControl] = []
    newest: Millis = 0
    for number in range(partitions):
        stored = RedisPartitionStore(client, site.redis.prefix, PATIENT_STAGE, number).load([CONTROL_KEY])
        if CONTROL_KEY in stored:
            found.append(read_control(stored[CONTROL_KEY]))
        newest = max(newest, *(_heard(data) for _, data in _states(site, client, number)), 0)
    return newest, found


def _heard(data: bytes) -> Millis:
    """Say when a patient was last heard of; a state that cannot be read must not be carried."""
    try:
        return read_stored(data).heard
    except UnreadableRecordError as fault:
        raise RepartitionRefusedError(
            f"a state in Redis is of no use ({fault}): start the old workers, which fold it anew, and begin again"
        ) from None


def prelude_of(decisions: Decisions, controls: Sequence[StoredControl], at: Millis) -> list[Envelope]:
    """Give the records that bring a new partition to what is in force in the old ones.

    Raises `RepartitionRefusedError` where an old one is not where the decisions say: its worker had not got to it.
    """
    first = controls[0] if controls else None
    events: list[Event] = []
    if first is not None:
        events += [CodeVersion(at, first.code_version)] if first.code_version else []
        events += [Availability(at, version, True) for version in first.available]
    head = [
        Envelope(content_id("carried", str(at), repr(event)), "", at, at, (event,), message_id="control")
        for event in events
    ]
    prelude = [*head, *decisions.lacking(0, at)]
    reached = Control({})
    for envelope in prelude:
        for event in envelope.events:
            reached.apply(event)
    wanted = _in_force(read_control(reached.encode()))
    if any(_in_force(one) != wanted for one in controls):
        raise RepartitionRefusedError(
            f"a partition of the old installation has not applied what {CONTROL} says: start its workers once more, "
            "let them run for a minute, stop them, and begin again"
        )
    return prelude


def _in_force(control: StoredControl) -> tuple[object, ...]:
    standings = tuple(sorted(control.standings))
    return (control.configuration, control.version, control.enabled, control.kill_switch, control.sequence, standings)


async def _carry_decisions(old: End, outbox: Outbox) -> int:
    """Carry `control.v1` whole: a decision's place is its number."""
    count = 0
    async for record in read_topic(old.site.kafka, CONTROL, password=old.kafka_password):
        [(_, offset)] = await outbox.send([Record(CONTROL, record.key, record.value, record.headers, 0)])
        if offset != record.offset:
            raise RepartitionRefusedError(
                f"{CONTROL}: decision {record.offset + 1} would be number {offset + 1} at the new prefix: the topic is "
                "not whole, or somebody decided there already. Take another new prefix; see docs/live.md"
            )
        count += 1
    return count


async def _carry_newest(old: End, outbox: Outbox, topic: str) -> int:
    """Carry the newest record of each key of a compacted topic."""
    newest: dict[bytes, KafkaRecord] = {}
    async for record in read_topic(old.site.kafka, topic, password=old.kafka_password):
        newest.pop(record.key, None)
        if record.value is not None:
            newest[record.key] = record
    batch = [Record(topic, one.key, one.value, one.headers) for one in newest.values()]
    for begin in range(0, len(batch), BATCH_RECORDS):
        await outbox.send(batch[begin : begin + BATCH_RECORDS])
    return len(batch)


async def _carry_examples(old: End, outbox: Outbox) -> int:
    """Carry `examples.v1` in its order: the learner knows what it reads there, and nothing else."""
    batch: list[Record] = []
    count = 0
    async for record in read_topic(old.site.kafka, EXAMPLES, password=old.kafka_password):
        batch.append(Record(EXAMPLES, record.key, record.value, record.headers, 0))
        if len(batch) == BATCH_RECORDS:
            await outbox.send(batch)
            count += len(batch)
            batch = []
    await outbox.send(batch)
    return count + len(batch)


def _carry_memory(old: End, new: End, source: Client, target: Client) -> int:
    """Carry what [parse] knows, and note each new ingest partition as one whose Redis has lost nothing; blocks."""
    count = carry_parse(source, old.site.redis.prefix, target, new.site.redis.prefix)
    identities = RedisIdentityStore(target, new.site.redis.prefix)
    for topic in INGEST_TOPICS:
        for number in range(new.site.kafka.partitions):
            place, _ = identities.take(topic, number)
            identities.commit(place, place.watermark)
    return count


# -- patients ---------------------------------------------------------------------------------------------------------


class _Alert(msgspec.Struct):
    event_id: str
    alert_id: str
    seq: int
    state: str
    patient: str
    received_time: str


Told = dict[str, list[str]]
"""By patient: the alert events of his open alerts, as JSON, in order."""


async def _open_alerts(end: End) -> Told:
    """Give all that was told of the alerts that are open."""
    newest: dict[bytes, bytes | None] = {}
    async for record in read_topic(end.site.kafka, ALERT_STATES, password=end.kafka_password):
        newest[record.key] = record.value
    ids = {
        alert.alert_id
        for value in newest.values()
        if value is not None and (alert := msgspec.json.decode(value, type=_Alert)).state not in TERMINAL
    }
    events: dict[str, tuple[_Alert, str]] = {}
    async for record in read_topic(end.site.kafka, ALERTS, password=end.kafka_password):
        content = record.value or b""
        alert = msgspec.json.decode(content, type=_Alert)
        if alert.alert_id in ids:
            events[alert.event_id] = (alert, content.decode())
    told: Told = {}
    for alert, text in sorted(events.values(), key=lambda one: (one[0].received_time, one[0].alert_id, one[0].seq)):
        told.setdefault(alert.patient, []).append(text)
    return told


class Snapshot:
    """Makes the first record that each patient has in the new log."""

    def __init__(self, alerts: Told, partitions: int) -> None:
        """`alerts` are taken out as their patients come."""
        self.alerts = alerts
        self.partitions = partitions
        """Of the old installation."""

    def envelope(self, patient: str, record: bytes, position: str) -> Envelope:
        """Give a patient's record with what was told of him; raises `RepartitionRefusedError` where it is too large."""
        heard = _heard(record)
        event = Carried(heard, record, tuple(self.alerts.pop(patient, ())))
        name = content_id("carried", patient, sha256(record).hexdigest())
        made = Envelope(name, patient, heard, heard, (event,), message_id="carried", position=position)
        if len(encode_envelope(made)) > ENVELOPE_BYTES_MAX:
            raise RepartitionRefusedError(
                f"{position}: a patient's record is larger than a record of {EVENTS} may be; tell us"
            )
        return made


async def _carry_patients(
    old: End, outbox: Outbox, source: Client, snapshot: Snapshot, tell: Callable[[str], None]
) -> int:
    count = 0
    for number in range(snapshot.partitions):
        states = _states(old.site, source, number)
        while portion := await asyncio.to_thread(lambda taken: list(islice(taken, BATCH_RECORDS)), states):
            await outbox.send(
                [
                    _record(snapshot.envelope(patient, data, f"{old.site.kafka.prefix}{EVENTS}/{number}"), None)
                    for patient, data in portion
                ]
            )
            count += len(portion)
        tell(f"carried: {count} patients, up to partition {number}")
    if snapshot.alerts:
        raise RepartitionRefusedError(
            f"{len(snapshot.alerts)} patients have open alerts on {ALERT_STATES}, and no state in Redis: the two "
            "contradict each other; see `wardstream doctor`"
        )
    return count


def _states(site: SiteFile, client: Client, number: int) -> Iterator[tuple[str, bytes]]:
    """Give every patient's state of a partition; blocks."""
    for key, data in RedisPartitionStore(client, site.redis.prefix, PATIENT_STAGE, number).items():
        if key[:1] not in NO_PATIENT:
            yield key, data


def _record(envelope: Envelope, partition: int | None) -> Record:
    headers = topic_headers(EVENTS, envelope.envelope_id, "/wardstream/repartition", envelope.received_time)
    return Record(EVENTS, envelope.patient.encode(), encode_envelope(envelope), headers, partition)


# -- afterwards -------------------------------------------------------------------------------------------------------


async def compare(old: End, new: End) -> tuple[int, list[str]]:
    """Give how many events of open alerts there were, and which of them the new installation does not tell alike.

    To be asked once the new workers have folded what was carried.
    """
    carried = await _open_alerts(old)
    anew: dict[str, bytes] = {}
    async for record in read_topic(new.site.kafka, ALERTS, password=new.kafka_password):
        content = record.value or b""
        anew[msgspec.json.decode(content, type=_Alert).event_id] = content
    wrong: list[str] = []
    count = 0
    for text in (text for told in carried.values() for text in told):
        name = msgspec.json.decode(text, type=_Alert).event_id
        count += 1
        if name not in anew:
            wrong.append(f"alert event {name}: not told by the new installation")
        elif anew[name] != text.encode():
            wrong.append(f"alert event {name}: told otherwise")
    return count, wrong
