"""The simulated hospital as arrivals: bytes, decoded by the same codecs as anybody's.

Owns the joining of hospital and codecs. Must not know physiology or what becomes of a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from connectors.fhir.codec import decode as decode_fhir
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.hospital import Hospital, as_fhir, as_hl7
from connectors.hospital.hospital import START_TIME
from connectors.sources import Arrival, group_arrivals
from events import Millis
from stream.settings import Settings

Wire = Literal["hl7v2", "fhir"]


def hospital_stream(
    *, seed: int, beds: int, hours: float, wire: Wire = "hl7v2", start_time: Millis = START_TIME
) -> Iterator[tuple[Millis, bytes]]:
    """Give (sent time, message) of a hospital, in order.

    >>> first, second = list(hospital_stream(seed=1, beds=2, hours=9))[:2]
    >>> first[0] <= second[0]
    True
    """
    render = as_hl7 if wire == "hl7v2" else as_fhir
    for story in Hospital(seed, beds, hours, start_time):
        data = render(story)
        if data is not None:
            yield story.sent_time, data


def arrivals_of(messages: Iterable[tuple[Millis, bytes]], settings: Settings) -> Iterator[Arrival]:
    """Decode HL7 v2 or FHIR messages as they would arrive at their sent times."""
    return group_arrivals(_decoded(messages, settings))


def _decoded(messages: Iterable[tuple[Millis, bytes]], settings: Settings) -> Iterator[Arrival]:
    for number, (sent, data) in enumerate(messages, start=1):
        if data[:1] == b"{":
            for one in decode_fhir(data, settings.fhir):
                yield Arrival(f"hospital#{number}", sent, data, "fhir", one)
        else:
            yield Arrival(f"hospital#{number}", sent, data, "hl7v2", decode_hl7(data, settings.hl7))
