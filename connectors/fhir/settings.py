"""What the codec must be told about a FHIR feed, and the limits it keeps.

Owns `FhirSettings`, its validation and the limits. Must not know where the settings are kept.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from connectors.zones import check_zone

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


FeedLimit = Literal["scale_2", "not_for_escalation"]
"""The limits that a feed may set: none of them silences the floor (docs/decisions/0043)."""


class FhirSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One FHIR feed.

    >>> FhirSettings(server="ehr").zone
    'UTC'
    >>> FhirSettings(zone_for_zoneless="Mars/Olympus")
    Traceback (most recent call last):
    ValueError: zone_for_zoneless: unknown time zone 'Mars/Olympus'; expected an IANA name such as 'Europe/London'
    """

    server: str = "fhir"
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
    ethnicity: bool = False
    """Whether the site records ethnicity for figures by subgroup, from US Core's race and ethnicity and UK Core's
    ethnic category of a Patient; off, no extension is read (docs/decisions/0039)."""
    limits: dict[str, FeedLimit] = {}
    """Codes of a Flag or ServiceRequest that set a limit: `"http://snomed.info/sct|..." = "scale_2"`; with `!` before
    it, of a ServiceRequest that says what is not to be done. None: no Flag and no ServiceRequest is read."""
    limit_authors: tuple[str, ...] = ()
    """Whose Flags and ServiceRequests set them: `Practitioner/17`, `PractitionerRole/9`, or `system|value`."""
    pregnancy_conditions: tuple[str, ...] = ()
    """`system|code` of Conditions that say a pregnancy, for a week (docs/decisions/0026). None: none is read."""

    def __post_init__(self) -> None:
        if not self.server.strip():
            raise ValueError("server: empty; expected a name for the feed, such as 'ehr'")
        check_zone("zone", self.zone)
        if self.zone_for_zoneless is not None:
            check_zone("zone_for_zoneless", self.zone_for_zoneless)
        if self.limits and not self.limit_authors:
            raise ValueError("limit_authors: empty, so nobody could set the limits that `limits` names")
        for code in (*self.limits, *self.pregnancy_conditions):
            system, bar, value = code.removeprefix("!").partition("|")
            if not (system and bar and value):
                raise ValueError(f"limits, pregnancy_conditions: {code!r}; expected 'system|code'")
        for base in self.bases:
            # With a slash at its end it would match no reference, and the feed's own patients would count as foreign.
            if not base.startswith(("http://", "https://")) or base.endswith("/"):
                raise ValueError(
                    f"bases: {base!r}; expected a URL without a slash at its end, such as 'http://ehr/fhir'"
                )
