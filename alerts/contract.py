"""The contract with a ward: one alert event, whole in itself, and its canonical JSON.

Owns the event's shape and bytes. Must not know how it is transported or rendered (FHIR, webhook, SSE). The patient and
encounter are the pseudonyms the pipeline was given; nothing here names a person.

Reading it: events of one `alert_id` are ordered by `seq`, gapless from 1. An event replaces what the one before said.
The same `event_id` always has the same content, so receiving it twice is harmless.
"""

from __future__ import annotations

from typing import Literal, Self

import msgspec

from alerts.lifecycle import State
from events import Location, Millis, content_id, from_iso, to_iso
from features.reading import Reading
from guardrails.floor import Priority
from guardrails.verdict import Verdict
from models.explaining.told import ToldExplanation
from models.news2 import News2

CONTRACT_VERSION = "1"
"""Raised when a field changes its meaning or goes; a new optional field does not raise it."""

Trigger = Literal["news2_floor", "model"]
Disposition = Literal["told", "held", "shadow", "board", "waiting"]
"""Told to the ward; held by the kill switch; computed by a version in shadow; shown on the board, paging nobody; and
waiting for room in the ward's budget, shown on the board meanwhile."""
Reason = Literal[
    "band_rise",
    "new_red",
    "late_stands",
    "band_fall",
    "input_expired",
    "input_quarantined",
    "inputs_usable",
    "calm",
    "risk_threshold",
    "risk_risen",
    "risk_persists",
    "now_audible",
    "risk_below_threshold",
    "abstained",
    "correction",
    "merge",
    "admission_cancelled",
    "discharged",
    "deceased",
    "not_applicable",
    "transferred",
    "acknowledged",
    "dismissed",
    "disagreed",
    "unanswered",
    "no_fresh_evidence",
]
"""Why this event was said; each is counted."""


class News2Summary(msgspec.Struct, frozen=True):
    """NEWS2 (RCP 2017) as a ward is told it. A sub-score of null is missing, stale or quarantined, and said to be so.

    `low` and `high` bound what the total could be once what is missing, stale or in quarantine is known.
    """

    total: int
    low: int
    high: int
    band: Literal["low", "low_medium", "medium", "high"]
    red: bool
    scale: Literal[1, 2]
    respiration_rate: int | None
    spo2: int | None
    oxygen: int | None
    systolic_bp: int | None
    pulse: int | None
    consciousness: int | None
    temperature: int | None
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


assert News2Summary.__struct_fields__ == News2.__struct_fields__, "an open alert keeps a News2 as the summary's fields"


class Evidence(msgspec.Struct, frozen=True):
    """One value an alert rests on, and the message it came in."""

    feature: str
    value: float
    unit: str
    event_time: Millis
    message_id: str
    observation_id: int

    @classmethod
    def of(cls, reading: Reading, unit: str) -> Self:
        """Take it from a reading; `unit` is the feature's canonical one (UCUM)."""
        return cls(reading.feature, reading.value, unit, reading.event_time, reading.message_id, reading.observation_id)


class Contribution(msgspec.Struct, frozen=True):
    """What one feature added to the model's log-odds."""

    feature: str
    log_odds: float


class AlertEvent(msgspec.Struct, frozen=True):
    """One thing said about one alert. Times are milliseconds here and ISO 8601 in UTC in the JSON."""

    event_id: str
    alert_id: str
    episode_id: str
    seq: int
    """1, 2, 3 ... without gaps per alert: a consumer that misses one knows."""
    state: State
    reason: Reason
    trigger: Trigger
    priority: Priority
    disposition: Disposition
    shadow: bool
    patient: str
    encounter: str
    facility: str
    ward: str
    room: str
    bed: str
    observed_time: Millis
    """When it was true of the patient: the newest reading behind it."""
    received_time: Millis
    """When the cause of this event was stored."""
    expires_at: Millis
    """If nothing more is heard, do not trust it after this."""
    late: bool
    age_ms: int
    """Age of the evidence at `received_time`; `late` where it is too old to be news."""
    news2: News2Summary | None
    probability: float | None
    probability_low: float | None
    probability_high: float | None
    indeterminate: bool
    """True where the model has no answer that may be acted on."""
    horizon_h: int | None
    contributions: tuple[Contribution, ...]
    parameters: tuple[str, ...]
    """NEWS2 parameters this event is about: those that turned red, were lost or are in doubt."""
    verdicts: tuple[Verdict, ...]
    evidence: tuple[Evidence, ...]
    """Given with events that rest on a new score; the others rest on what an earlier `seq` gave."""
    model_version: str
    configuration_hash: str
    actor: str = ""
    """Who answered: a role or a pseudonym, never a name."""
    limit_reason: str = ""
    """The codes of the clinicians' limits in force for this patient, with commas between, or empty."""
    contract: str = CONTRACT_VERSION
    answer_code: str = ""
    """The coded reason of whoever dismissed the alert or disagreed; the JSON has it only where one was given."""
    waiting_place: int | None = None
    """Of an event that waits: its place on its ward when it went out, 1 is next; the JSON has it only there."""
    waited_ms: int | None = None
    """Of an event that is told after its alert has waited: for how long. Such an event has an id of its own, and the
    alert and `seq` of the one that waited; the JSON has it only there."""
    explanation: ToldExplanation | None = None
    """Of a model's alert: in words why the score is what it is that was last told of it, until the model abstains. The
    JSON has it only there; the floor's `news2` says it all."""
    former_ward: str | None = None
    """Of an event that moves the alert to another ward: the one it leaves, empty where that was not known. It says who
    must hear of it and is no part of the content: the JSON, and so every digest, is without it."""


NO_WARD = "-"
"""Stands for the ward of a patient who lies nowhere known, where a name is needed: some clients spread an empty key
over all partitions."""
TIME_FIELDS = ("observed_time", "received_time", "expires_at")
EVIDENCE_TIME_FIELDS = ("event_time",)
ABSENT_FIELDS = ("waiting_place", "waited_ms", "explanation")
"""Left out of the JSON where they say nothing: an event that never waits has the bytes it always had."""

_encoder = msgspec.json.Encoder(order="sorted")


def place(location: Location) -> tuple[str, str, str, str]:
    """Facility, ward, room and bed, in the order of the event's fields.

    >>> place(Location(ward="W1", bed="7"))
    ('', 'W1', '', '7')
    """
    return location.facility, location.ward, location.room, location.bed


def name_event(alert_id: str, seq: int) -> str:
    """Derive an event's id: the same alert and seq always give the same one.

    >>> name_event("a", 1) == name_event("a", 1) != name_event("a", 2)
    True
    """
    return content_id("alert_event", alert_id, str(seq))


def to_json(event: AlertEvent) -> bytes:
    """Encode canonically: keys sorted, every field present but `former_ward`, an empty `answer_code` and what of
    `ABSENT_FIELDS` is not known, times as ISO 8601, floats in shortest round-trip form.
    """
    document = msgspec.to_builtins(event)
    del document["former_ward"]
    for field in ABSENT_FIELDS:
        if document[field] is None:
            del document[field]
    if not event.answer_code:
        del document["answer_code"]
    for field in TIME_FIELDS:
        document[field] = to_iso(document[field])
    if event.explanation is not None:
        document["explanation"]["as_of"] = to_iso(event.explanation.as_of)
    for item in document["evidence"]:
        for field in EVIDENCE_TIME_FIELDS:
            item[field] = to_iso(item[field])
    # 63-bit ids lose digits in JSON readers that know doubles only (RFC 8259 section 6): sent as text.
    for item in document["evidence"]:
        item["observation_id"] = str(item["observation_id"])
    return _encoder.encode(document)


def from_json(content: bytes) -> AlertEvent:
    """Read an event back from its canonical JSON; raises `msgspec.ValidationError` where it is none of this contract.

    `to_json(from_json(content)) == content` is a law of the tests.
    """
    document = msgspec.json.decode(content)
    for field in TIME_FIELDS:
        document[field] = from_iso(document[field])
    if (explanation := document.get("explanation")) is not None:
        explanation["as_of"] = from_iso(explanation["as_of"])
    for item in document["evidence"]:
        for field in EVIDENCE_TIME_FIELDS:
            item[field] = from_iso(item[field])
        item["observation_id"] = int(item["observation_id"])
    return msgspec.convert(document, AlertEvent)
