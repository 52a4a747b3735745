"""A census made ADT^A01: when the stay began, and where the patient lies at the moment of the census.

Owns the two messages of a patient. Must not know how they are sent. They are what an engine's flood at go-live says: so
the service takes them as it takes those, and the same file gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from connectors.census.rows import Lying
from connectors.decoded import Identifier
from connectors.hl7v2.render import render_adt
from events import Location, Millis


def messages_of(lying: Lying, as_of: Millis, feed: str) -> Iterator[bytes]:
    r"""Give a patient's messages, as from the sender `feed` (MSH-3|MSH-4), in order.

    The first begins the stay at the time of admission and names no place: where he lay then the census does not know.
    The second is of the census's own moment; so what an ADT message says of later stands, whichever comes first.

    >>> [line[:3].decode() for line in next(messages_of(Lying("42", "H", Location("A")), 0, "PAS|MAIN")).split(b"\r")]
    ['MSH', 'EVN', 'PID', 'PV1', '']
    """
    stated = [(lying.admitted, Location())] if lying.admitted is not None and lying.admitted < as_of else []
    for event_time, location in [*stated, (as_of, lying.location)]:
        said = msgspec.json.encode((feed, as_of, event_time, msgspec.to_builtins(lying)))
        yield render_adt(
            "A01",
            control_id=f"C{blake2b(said, digest_size=9).hexdigest()}",
            sent_time=as_of,
            feed=feed,
            patient=Identifier(lying.authority, lying.patient),
            event_time=event_time,
            encounter=lying.visit,
            location=location,
            birth_date=lying.birth_date,
            sex=lying.sex,
            patient_class=lying.patient_class,
        )
