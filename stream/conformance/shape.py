"""What a conformance report says, as it is written: `conformance.v1`.

Owns the shape of the JSON. Must not know how a figure is counted. Nothing in it names a patient: places are numbers
of messages, words are of a feed's vocabulary (codes, units, senders, authorities, wards), figures of many values.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "conformance.v1"

Severity = Literal["must", "should", "note"]
Verdict = Literal["ready", "ready_with_findings", "not_ready"]


class Candidate(msgspec.Struct, frozen=True):
    """One feature that a code may mean."""

    feature: str
    loinc: str
    """The first LOINC code of the feature in our catalogue; empty where it has none."""
    likeness: float
    """0 to 1, by name; a tenth more where the unit fits, a tenth less where it is one that we do not know."""
    reasons: tuple[str, ...]


class Tally(msgspec.Struct, frozen=True):
    """A word, how often it was seen, and in which message first."""

    word: str
    count: int
    example: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One thing that an integration engineer should know of, and what to do about it."""

    severity: Severity
    """`must`: mend it before go-live; `should`: look at it; `note`: good to know."""
    name: str
    title: str
    action: str
    count: int = 0
    example: str = ""


class Fault(msgspec.Struct, frozen=True):
    """Messages refused for one cause."""

    reason: str
    place: str
    """Segment and field, or element; without the numbers that differ from message to message."""
    detail: str
    count: int
    example: str
    action: str


class CodeUse(msgspec.Struct, frozen=True):
    """One code of results in one unit."""

    system: str
    code: str
    name: str
    unit: str
    count: int
    patients: int
    example: str
    feature: str = ""
    """The feature it is mapped to; empty where it is to none."""
    unit_fault: str = ""
    """Why values in this unit are quarantined; empty where they can be converted, or the code is mapped to nothing."""
    fates: tuple[tuple[str, int], ...] = ()
    """What became of the values: `usable`, or the reason why not."""
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    """The 5th, 50th and 95th hundredth of the numbers as sent, where there are enough of them."""
    candidates: tuple[Candidate, ...] = ()


class Sender(msgspec.Struct, frozen=True):
    """One feed: MSH-3|MSH-4, or the FHIR server's configured name."""

    name: str
    messages: int
    refused: int
    first_time: str = ""
    last_time: str = ""
    per_hour: float | None = None
    peak_per_minute: int = 0
    longest_silence_s: int = 0
    zone: str = ""
    """Where its local times are read: `each time has its zone`, `MSH-7's offset`, or the zone of the settings."""


class Times(msgspec.Struct, frozen=True):
    """What the times of a sample are like."""

    zoneless: tuple[Tally, ...] = ()
    """Fields that hold local times, by how many messages; of those whose zone only the settings say."""
    future: int = 0
    """Results and moves dated further after their message than a clock may go wrong."""
    future_example: str = ""
    ahead: int = 0
    """Messages dated after now."""
    ahead_example: str = ""
    untimed: int = 0
    delay_s_p50: float | None = None
    delay_s_p95: float | None = None
    """From when a result was true to when its message was sent."""


class Inputs(msgspec.Struct, frozen=True):
    """One input of NEWS2 and how much of it the sample has."""

    name: str
    results: int
    patients: int
    features: tuple[str, ...]


class People(msgspec.Struct, frozen=True):
    """Who and where, in numbers."""

    patients: int = 0
    observed: int = 0
    """Of them, with at least one result that is mapped."""
    observed_without_ward: int = 0
    observed_without_bed: int = 0
    without_birth_date: int = 0
    never_admitted: int = 0
    """Observed, and no admission of theirs in the sample."""
    conflicts: int = 0
    """Messages whose identifiers disagree about who it is."""
    authorities: tuple[Tally, ...] = ()
    unnamed_authority: int = 0
    unnamed_example: str = ""
    wards: tuple[Tally, ...] = ()
    beds: int = 0
    example_without_ward: str = ""


class Account(msgspec.Struct, frozen=True):
    """Each message is one of these."""

    messages: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    accepted_without_events: int = 0
    """Of the accepted: understood, and nothing in them is for us."""


class Report(msgspec.Struct, frozen=True):
    """The whole report."""

    schema: str
    verdict: Verdict
    sources: int
    skipped: int
    """Files that are of no kind that is read."""
    configuration: str
    account: Account
    findings: tuple[Finding, ...]
    faults: tuple[Fault, ...]
    senders: tuple[Sender, ...]
    kinds: tuple[Tally, ...]
    ignored_kinds: tuple[Tally, ...]
    """Types of messages that were understood and hold nothing for us."""
    foreign_kinds: tuple[Tally, ...]
    """Types of messages that are refused as not for us."""
    versions: tuple[Tally, ...]
    charsets: tuple[Tally, ...]
    segments: tuple[Tally, ...]
    fields_read: tuple[Tally, ...]
    fields_unread: tuple[Tally, ...]
    """Fields and elements that the sample fills and that decide nothing for us."""
    events: tuple[Tally, ...]
    statuses: tuple[Tally, ...]
    notes: tuple[Tally, ...]
    inputs: tuple[Inputs, ...]
    codes_mapped: tuple[CodeUse, ...]
    codes_unmapped: tuple[CodeUse, ...]
    unknown_answers: tuple[Tally, ...]
    people: People
    times: Times
    repeated_control_ids: int = 0
    repeated_example: str = ""
