"""What the codec must be told about a FHIR feed, and the limits it keeps.

Owns `FhirSettings` and the limits. Must not know where the settings are kept.
"""

from __future__ import annotations

import msgspec

BUNDLE_BYTES_MAX = 64 * 1024 * 1024
"""A longer Bundle is refused: the largest shared patient record is 3 MiB; a search page is far smaller."""
BUNDLE_ENTRIES_MAX = 100_000
"""More entries than this are refused: 64 MiB of the smallest useful Observation (600 bytes) hold about as many."""
BUNDLE_DEPTH_MAX = 4
"""Bundles within Bundles past this depth are refused: a message in a history in a batch is 3."""
LINE_BYTES_MAX = BUNDLE_BYTES_MAX
"""A longer line of NDJSON is refused unread: no single resource or Bundle that we accept is longer."""
TEXT_CHARS_MAX = 200
"""As much of a textual value as an event carries."""


class FhirSettings(msgspec.Struct, frozen=True):
    """One FHIR feed.

    >>> FhirSettings(server="ehr").zone
    'UTC'
    """

    server: str
    """The feed's configured name; also the authority of its ids: `ehr/Patient` and `123` name a patient."""
    zone: str = "UTC"
    """IANA zone in which a date without a time begins (`effectiveDateTime: 2020-01-01` is midnight there)."""
    zone_for_zoneless: str | None = None
    """IANA zone for date-times that lack their offset, which FHIR forbids; None refuses them."""
    bases: tuple[str, ...] = ()
    """Base URLs of this server (`http://ehr/fhir`). Empty: the feed is one server, so every absolute reference is its
    own. Given: a reference to another base gets that base as authority, and never meets our Patient of the same id."""
    authorities: dict[str, str] = {}
    """Identifier.system to the assigning authority that HL7 v2 feeds use for the same numbers (PID-3.4)."""
