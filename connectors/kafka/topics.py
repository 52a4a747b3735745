"""The topics, as data: what each holds, how it is keyed, how long it is kept, how many partitions it has.

Owns the table and what it comes to as settings of a broker. Must not know a client, nor what a record says.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from connectors.kafka.headers import cloud_headers
from connectors.kafka.record import Headers
from connectors.kafka.settings import KafkaSettings
from events import MILLIS_PER_DAY, Millis

Retention = Literal["events", "outputs", "forever"]

RECORD_BYTES_MAX = 4 * 1024 * 1024 + 64 * 1024
"""The longest value and key with its headers: an envelope (`events.encoding.ENVELOPE_BYTES_MAX`) and 64 KiB of room."""
BATCH_BYTES_MAX = RECORD_BYTES_MAX + 64 * 1024
"""What a topic takes in one batch (`max.message.bytes`): one record of the longest kind with the batch's own header."""

_REPLICAS_FOR_TWO_ACKS = 3
"""From three copies on, a write counts when two have it: one broker may be lost without losing an ACK, and without
stopping."""
_SEGMENT_MS_COMPACTED = MILLIS_PER_DAY
"""Only closed segments are compacted: closed daily, so that a restart reads at most a day's repeats."""


class Topic(msgspec.Struct, frozen=True):
    """One topic, by its own name (without an installation's prefix)."""

    name: str
    summary: str
    key: str
    """What its records are keyed by, in words."""
    retention: Retention
    schema: str = ""
    """The file under `docs/schemas` that a value keeps to; empty where it is a foreign format."""
    cleanup: Literal["delete", "compact"] = "delete"
    stamped: bool = False
    """The broker gives the records their time: who writes them cannot say that it was another."""
    single: bool = False
    """One partition, whatever the installation's count: its order is the order."""
    content_type: str = "application/json"

    @property
    def event_type(self) -> str:
        """The CloudEvents type of its records."""
        return f"wardstream.{self.name}"


class Declaration(msgspec.Struct, frozen=True):
    """One topic as a broker is to have it."""

    topic: Topic
    name: str
    """With the prefix."""
    partitions: int
    replication: int
    config: dict[str, str]


EVENTS: Final = "events.v1"
CANDIDATES: Final = "candidates.v1"
GATES: Final = "gates.v1"
ALERTS: Final = "alerts.v1"
SCORES: Final = "scores.v1"
SUPPRESSED: Final = "suppressed.v1"
DEAD_LETTERS: Final = "deadletters.v1"
SIGNALS: Final = "signals.v1"
EXAMPLES: Final = "examples.v1"
FINDINGS: Final = "findings.v1"
IDENTITIES: Final = "identities.v1"
MODELS: Final = "models.v1"
CONTROL: Final = "control.v1"
ALERT_STATES: Final = "alerts.state.v1"
"""The topics that our code names; each is declared below."""

_TABLE = (
    Topic(
        "hl7v2.ingest.v1", "HL7 v2 messages as they were taken, before anything is decided", "sender or feed",
        "events", stamped=True, content_type="application/hl7-v2",
    ),
    Topic(
        "fhir.ingest.v1", "FHIR resources and Bundles as they were taken", "sender or feed",
        "events", stamped=True, content_type="application/fhir+json",
    ),
    Topic(
        "ack.ingest.v1", "what people did: acknowledgements, feedback, decisions, limits", "sender or feed",
        "events", "act.v1.json", stamped=True,
    ),
    Topic(
        EVENTS, "the log: one envelope a message and patient", "patient key", "events", "events.v1.json", stamped=True
    ),
    Topic(
        DEAD_LETTERS, "messages that could not be used: the reason, the place, the bytes", "feed",
        "outputs", "deadletters.v1.json",
    ),
    Topic(SCORES, "every score with its verdicts", "patient key", "outputs", "scores.v1.json"),
    Topic(
        SUPPRESSED, "model alerts that were withheld, and by which filter", "patient key",
        "outputs", "suppressed.v1.json",
    ),
    Topic(
        SIGNALS, "what is no longer heard, or heard otherwise; two heartbeats a minute of each partition", "subject",
        "outputs", "signals.v1.json",
    ),
    Topic(
        CANDIDATES, "alert events before the ward's own stage; without a key, the passing of time, or a beat", "ward",
        "outputs", "alert.v1.json", stamped=True,
    ),
    Topic(ALERTS, "alert events as the ward is told them", "ward", "outputs", "alert.v1.json"),
    Topic(
        ALERT_STATES, "the newest event of each open alert; a tombstone ends it", "ward|alert_id",
        "forever", "alert.v1.json", cleanup="compact",
    ),
    Topic(
        EXAMPLES, "scores to be learned from, in the learner's one order", "patient key",
        "events", "examples.v1.json", single=True,
    ),
    Topic(
        FINDINGS, "what the monitors of the version in force find; a tombstone: it has passed", "monitor|level|subject",
        "forever", "findings.v1.json", cleanup="compact", single=True,
    ),
    Topic(
        MODELS, "signed model versions", "content hash",
        "forever", "models.v1.json", cleanup="compact", single=True,
    ),
    Topic(
        CONTROL, "what people decided, in order", "kind of decision", "forever", "control.v1.json", single=True
    ),
    Topic(
        GATES, "where on candidates.v1 the delivery gate moved, or other ward settings came into force", "partition",
        "forever", "gates.v1.json", single=True,
    ),
    Topic(
        IDENTITIES, "the identity map's own log: which identifier is which patient key",
        "SHA-256 of authority and value", "forever", "identities.v1.json", cleanup="compact",
    ),
)  # fmt: skip

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _TABLE}
"""By name, in the order of the flow."""


def partitions_of(topic: Topic, settings: KafkaSettings) -> int:
    """Say how many partitions a topic has in an installation.

    >>> partitions_of(TOPICS["control.v1"], KafkaSettings(partitions=16))
    1
    """
    return 1 if topic.single else settings.partitions


def declarations(settings: KafkaSettings) -> list[Declaration]:
    """Give every topic as an installation's broker is to have it.

    >>> declarations(KafkaSettings(prefix="st-marys."))[3].name
    'st-marys.events.v1'
    """
    return [
        Declaration(
            topic, settings.prefix + topic.name, partitions_of(topic, settings), settings.replication,
            _config(topic, settings),
        )
        for topic in TOPICS.values()
    ]  # fmt: skip


def _config(topic: Topic, settings: KafkaSettings) -> dict[str, str]:
    days = {"events": settings.events_days, "outputs": settings.outputs_days, "forever": None}[topic.retention]
    config = {
        "cleanup.policy": topic.cleanup,
        "retention.ms": "-1" if days is None else str(round(days * MILLIS_PER_DAY)),
        "retention.bytes": "-1",  # a full disk is the operator's to see; an early loss would be nobody's
        "max.message.bytes": str(BATCH_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime" if topic.stamped else "CreateTime",
        "min.insync.replicas": "2" if settings.replication >= _REPLICAS_FOR_TWO_ACKS else "1",
        "unclean.leader.election.enable": "false",  # a broker that lags must never become the truth
    }
    if topic.cleanup == "compact":
        config["segment.ms"] = str(_SEGMENT_MS_COMPACTED)
    return config


def topic_headers(topic: str, event_id: str, source: str, time_millis: Millis, **extensions: str | int) -> Headers:
    """Give the CloudEvents headers of a record for a topic: its type and schema are the topic's.

    >>> dict(topic_headers("alerts.v1", "i-1", "/ward/3", 0))["ce_type"]
    b'wardstream.alerts.v1'
    """
    declared = TOPICS[topic]
    return cloud_headers(event_id, declared.event_type, source, time_millis, schema=declared.schema, **extensions)  # type: ignore[arg-type]
