"""What every decoded resource says of itself: its name, its hash, when it was sent.

Owns `Piece`, one resource's bytes with where they stood. Must not know any type's content.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from connectors.decoded import Identifier
from connectors.fhir import wire
from connectors.fhir.references import Surroundings
from connectors.fhir.times import read_time
from events import Millis

CONTENT_HASH_BYTES = 16
PATIENT_NAME_HEX_DIGITS = 12
"""Of a Patient's content hash, in its message id: enough to find one among a hospital's."""


class Piece(msgspec.Struct, frozen=True):
    """One resource as it came."""

    kind: str
    data: bytes
    around: Surroundings

    def hashed(self, subject: tuple[Identifier, ...] = ()) -> bytes:
        """Hash feed, patient and the resource's own bytes: the same resource sent twice is the same message.

        Type, id and version stand in the bytes. The patient is added because a `urn:uuid:` may mean one person in this
        Bundle and another in the next.
        """
        who = f"{subject[0].authority}\x1f{subject[0].value}" if subject else ""
        head = f"{self.around.settings.server}\x1f{who}\x1f"
        return blake2b(head.encode() + self.data, digest_size=CONTENT_HASH_BYTES).digest()

    def sent(self, meta: wire.Meta | None, notes: list[str], issued: str | None = None) -> Millis | None:
        """Give `issued`, else meta.lastUpdated, else Bundle.timestamp, else None; raises `Fault` for what is no
        time.
        """
        settings = self.around.settings
        if issued is not None:
            return read_time(issued, settings, ".issued", notes)
        if meta is not None and meta.lastUpdated is not None:
            return read_time(meta.lastUpdated, settings, ".meta.lastUpdated", notes)
        return self.around.sent_time


def patient_message_id(content_hash: bytes) -> str:
    """Name a Patient by its content: its id names a person, and message ids stand in dead letters and alerts.

    >>> patient_message_id(bytes(16))
    'Patient/000000000000'
    """
    return f"Patient/{content_hash.hex()[:PATIENT_NAME_HEX_DIGITS]}"


def message_id(kind: str, resource_id: str | None, meta: wire.Meta | None) -> str:
    """Name a resource's version as FHIR does.

    >>> message_id("Observation", "abc", wire.Meta(versionId="2"))
    'Observation/abc/_history/2'
    >>> message_id("Observation", None, None)
    'Observation'
    """
    if not resource_id:
        return kind
    if meta is None or not meta.versionId:
        return f"{kind}/{resource_id}"
    return f"{kind}/{resource_id}/_history/{meta.versionId}"
