"""Effects: what the folds want told, stored or shown, as data.

Owns the output records beside the alert event (which `alerts` owns) and the one encoding of all of them. Must not know
where an effect is carried: a host writes it to a file, a table or a topic, and decides nothing.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from alerts.contract import AlertEvent, to_json
from alerts.monitoring.signal import Signal, encode_signal
from events import Envelope, LimitKind, Millis, encode_envelope, from_iso, to_iso
from guardrails.verdict import Verdict
from models.news2 import News2


class Score(msgspec.Struct, frozen=True, gc=False):
    """One scoring of one patient, with every verdict on it: a line of `scores.ndjson`."""

    score_id: str
    patient: str
    encounter: str
    source: str
    message_id: str
    event_time: Millis
    received_time: Millis
    news2: News2
    probability: float | None
    verdicts: tuple[Verdict, ...]
    model: str


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """A model alert that would have been told and was not: by which filter, and why. A line of `suppressed.ndjson`."""

    suppression_id: str
    patient: str
    encounter: str
    received_time: Millis
    probability: float | None
    withheld_by: Verdict
    model: str


class Unfoldable(msgspec.Struct, frozen=True):
    """A record of the log that our own code failed on: an alarm, and a line of `dead_letters.ndjson`."""

    envelope_id: str
    message_id: str
    received_time: Millis
    fault: str
    """The error's type; its text may quote what nobody should read."""


class Unheeded(msgspec.Struct, frozen=True):
    """A limit that somebody set or withdrew and that changed nothing: a line of `dead_letters.ndjson`.

    `fault` is why: `limit_outdated` (a later decision stands under its `limit_id`), `limit_over`, `limit_too_long`,
    `limit_unnamed`, `bad_thresholds`, `too_many_limits`, `unknown_limit` (a withdrawal of what is not known).
    """

    unheeded_id: str
    patient: str
    message_id: str
    """The act's own id, where it came as an act."""
    received_time: Millis
    actor: str
    limit: LimitKind
    limit_id: str
    fault: str


class Forward(msgspec.Struct, frozen=True):
    """A record for the log, under its own patient's key: what a retired patient's fold hands or passes to another.

    A live host appends it to the log. In a recorded log it stands already: whoever folds one drops what is made anew.
    """

    envelope: Envelope

    @property
    def patient(self) -> str:
        """For whom it is."""
        return self.envelope.patient

    @property
    def received_time(self) -> Millis:
        """When its cause was stored."""
        return self.envelope.received_time


Effect = Score | AlertEvent | Suppression | Unfoldable | Unheeded | Forward | Signal

_encoder = msgspec.json.Encoder(order="sorted")
_ID_OF: dict[type, attrgetter[str]] = {
    Score: attrgetter("score_id"),
    AlertEvent: attrgetter("event_id"),
    Suppression: attrgetter("suppression_id"),
    Unfoldable: attrgetter("envelope_id"),
    Unheeded: attrgetter("unheeded_id"),
    Forward: attrgetter("envelope.envelope_id"),
    Signal: attrgetter("signal_id"),
}


def effect_kind(effect: Effect) -> str:
    """Name the stream an effect belongs to: `scores`, `suppressed`, `dead_letters`, `forwards`, `signals`, `alerts`."""
    if type(effect) is Score:
        return "scores"
    if type(effect) is Forward:
        return "forwards"
    if type(effect) is Unfoldable or type(effect) is Unheeded:
        return "dead_letters"
    if type(effect) is Signal:
        return "signals"
    return "suppressed" if type(effect) is Suppression else "alerts"


def effect_id(effect: Effect) -> str:
    """Give the id an effect is compared by: derived from its cause, the same when work is repeated."""
    name: str = _ID_OF[type(effect)](effect)
    return name


def encode_effect(effect: Effect) -> bytes:
    """Encode an effect canonically: the bytes that are stored under its id and enter the digest.

    Times are ISO 8601 in UTC; a score's `source` is left out, because where a message stood changes nothing it says.
    """
    if type(effect) is AlertEvent:
        return to_json(effect)
    if type(effect) is Signal:
        return encode_signal(effect)
    if type(effect) is Forward:
        return encode_envelope(effect.envelope)
    document: dict[str, object] = {name: getattr(effect, name) for name in effect.__struct_fields__ if name != "source"}
    document["received_time"] = to_iso(effect.received_time)
    if type(effect) is Unfoldable:
        document["reason"] = "unfoldable"
    if type(effect) is Unheeded:
        document["reason"] = "unheeded"
    if type(effect) is Score:
        document["event_time"] = to_iso(effect.event_time)
    return _encoder.encode(document)


def decode_score(content: bytes) -> Score:
    """Read a score back from the bytes it was stored as; its `source` is not among them.

    Raises `msgspec.ValidationError` where they are no score of this release.
    """
    document = msgspec.json.decode(content)
    for field in ("event_time", "received_time"):
        document[field] = from_iso(document[field])
    return msgspec.convert({**document, "source": ""}, Score)


def decode_suppression(content: bytes) -> Suppression:
    """Read a suppression back from the bytes it was stored as; raises as `decode_score` does."""
    document = msgspec.json.decode(content)
    document["received_time"] = from_iso(document["received_time"])
    return msgspec.convert(document, Suppression)
