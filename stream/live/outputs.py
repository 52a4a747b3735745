"""From effects to records of topics: which topic, which key, which bytes.

Owns that mapping. Must not know a client, a partition or a decision. The bytes are those of `stream.effects`, so that
live and replay put out the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from alerts.contract import AlertEvent
from alerts.monitoring.signal import Signal
from alerts.ward import routes
from connectors.kafka.record import Headers, Record
from connectors.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, SCORES, SIGNALS, SUPPRESSED, topic_headers
from events import encode_envelope
from stream.effects import Effect, Forward, Score, Suppression, Unfoldable, Unheeded, effect_id, encode_effect


def records_of(effects: Iterable[Effect], source: str) -> list[Record]:
    """Give the records of effects, in order; `source` names the partition they came of (CloudEvents `source`)."""
    records: list[Record] = []
    for effect in effects:
        if type(effect) is Score:
            records.append(_record(SCORES, effect.patient, effect, source))
        elif type(effect) is AlertEvent:
            content, headers = encode_effect(effect), _headers(CANDIDATES, effect, source)
            records.extend(Record(CANDIDATES, ward.encode(), content, headers) for ward in routes(effect))
        elif type(effect) is Suppression:
            records.append(_record(SUPPRESSED, effect.patient, effect, source))
        elif type(effect) is Signal:
            records.append(_record(SIGNALS, effect.subject, effect, source))
        elif type(effect) is Forward:
            envelope = effect.envelope
            headers = topic_headers(EVENTS, envelope.envelope_id, source, envelope.received_time)
            records.append(Record(EVENTS, envelope.patient.encode(), encode_envelope(envelope), headers))
        elif type(effect) is Unheeded:
            records.append(_record(DEAD_LETTERS, "unheeded", effect, source))
        else:
            assert type(effect) is Unfoldable
            records.append(_record(DEAD_LETTERS, "unfoldable", effect, source))
    return records


Said = Score | Suppression | Unfoldable | Unheeded | Signal
"""What is a record of its own, as it is."""


def _record(topic: str, key: str, effect: Said, source: str) -> Record:
    return Record(topic, key.encode(), encode_effect(effect), _headers(topic, effect, source))


def _headers(topic: str, effect: Said | AlertEvent, source: str) -> Headers:
    return topic_headers(topic, effect_id(effect), source, effect.received_time)
