"""The survey: every message of a sample, counted by all that an integration engineer needs to know.

Owns the walk from arrivals to a report. Must not know what is a finding: `stream.conformance.findings` says. Messages
go through the codec and [parse] of the service, so the account is the service's: accepted, duplicate, refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from connectors.decoded import Decoded, RefusalReason
from connectors.sources.arrival import Arrival
from events import Correction, Envelope, Millis, Observation
from stream.catalogues import catalogue_for
from stream.causes import Cause, advice_for, cause_of
from stream.conformance import er7, resources
from stream.conformance.coding import Codes
from stream.conformance.counting import Counted, Shapes
from stream.conformance.er7 import Look
from stream.conformance.findings import findings_of, verdict_of
from stream.conformance.persons import Persons
from stream.conformance.shape import SCHEMA, Account, Fault, Report
from stream.conformance.traffic import Traffic
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import DeadLetter, Duplicate, Parser, RecentMessages, apart
from stream.settings import Settings, configuration_hash

CAUSES_MAX = 1_000
"""Causes of refusal told apart: reasons times places are some hundreds."""
FILES_MAX = 1_000_000
SETTLED_AFTER = 500
"""Messages after which what is new of identities is let go of: nothing here stores it."""
NO_KIND = "(no type)"


class Survey:
    """One survey. Feed it arrivals in order of received time, then ask for its report.

    >>> from connectors.decoded import Refusal
    >>> survey = Survey(Settings(), now=0)
    >>> survey.take(Arrival("a.hl7#1", 0, b"hello", "hl7v2", Refusal(RefusalReason.GARBAGE, "byte 1", "no MSH")))
    >>> report = survey.report(sources=1, skipped=0)
    >>> report.verdict, report.account.refused, report.faults[0].example
    ('not_ready', 1, '#1')
    """

    def __init__(self, settings: Settings, now: Millis, *, identified: bool = False) -> None:
        """`now` is the wall clock in milliseconds; `identified` names the files in examples, which may name people."""
        self._settings = settings
        self._identified = identified
        self._parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
        self._codes = Codes(catalogue_for(settings))
        self._persons = Persons()
        self._traffic = Traffic(settings.hl7, now)
        self._account = dict.fromkeys(Account.__struct_fields__, 0)
        self._faults: dict[tuple[Cause, str], list[Any]] = {}
        self._files: set[str] = set()
        self._kinds, self._ignored, self._foreign = Counted(), Counted(), Counted()
        self._versions, self._charsets = Counted(), Counted()
        self._segments, self._fields = Shapes(), Shapes()
        self._events, self._notes = Counted(), Counted()

    @property
    def messages(self) -> int:
        """How many messages were taken."""
        return self._account["messages"]

    def take(self, arrival: Arrival) -> None:
        """Count one message."""
        if len(self._files) < FILES_MAX:
            self._files.add(arrival.position.rpartition("#")[0])
        data = arrival.data or b""
        seen = Look() if not data else er7.look(data) if arrival.format == "hl7v2" else resources.look(data)
        self._take_look(arrival, seen)
        account = self._account
        account["messages"] += 1
        received = arrival.received_time or 0
        (decoded, position), *others = apart(arrival.decoded, arrival.position)
        parsed, _known = self._parser.step(decoded, received, position)
        if isinstance(parsed, DeadLetter):
            account["refused"] += 1
            self._refused(parsed, seen, arrival)
        elif isinstance(parsed, Duplicate):
            account["duplicates"] += 1
        else:
            account["accepted"] += 1
            assert isinstance(decoded, Decoded)
            if not parsed.events:
                account["accepted_without_events"] += 1
                self._ignored.add(decoded.kind or NO_KIND, arrival.position)
            self._accepted(decoded, parsed, seen, arrival)
            for other, place in others:
                beside, _known = self._parser.step(other, received, place)
                if isinstance(other, Decoded) and isinstance(beside, Envelope):
                    self._accepted(other, beside, Look(), arrival)
        refused, duplicate = isinstance(parsed, DeadLetter), isinstance(parsed, Duplicate)
        self._traffic.take(arrival, seen, refused=refused, duplicate=duplicate)
        if account["messages"] % SETTLED_AFTER == 0:
            self._parser.take_identities()
            self._parser.take_former()
            self._parser.settle()

    def _take_look(self, arrival: Arrival, seen: Look) -> None:
        example = arrival.position
        kind = seen.kind or (arrival.decoded.kind if isinstance(arrival.decoded, Decoded) else "")
        self._kinds.add(kind or NO_KIND, example)
        if arrival.format == "hl7v2" and arrival.data:
            self._versions.add(seen.version or "(none)", example)
            self._charsets.add(seen.charset, example)
        self._segments.add(tuple(dict.fromkeys(seen.segments)), example)
        self._fields.add(seen.fields, example)
        for coding, name in seen.names:
            self._codes.name(coding, name)

    def _refused(self, letter: DeadLetter, seen: Look, arrival: Arrival) -> None:
        if letter.reason is RefusalReason.UNSUPPORTED_TYPE:
            self._foreign.add(seen.kind or NO_KIND, arrival.position)
        key = (cause_of(letter.reason, letter.fault), letter.detail)
        if key not in self._faults and len(self._faults) >= CAUSES_MAX:
            key = (Cause(letter.reason, "(other places)"), "")
        self._faults.setdefault(key, [0, arrival.position])[0] += 1

    def _accepted(self, decoded: Decoded, envelope: Envelope, seen: Look, arrival: Arrival) -> None:
        example = arrival.position
        self._persons.name(decoded, example)
        hl7 = self._settings.hl7
        known = decoded.feed in hl7.authorities
        if seen.unnamed_identifier and not known and not er7.route_for(arrival.data or b"", hl7).authority:
            self._persons.unnamed += 1
            self._persons.unnamed_example = self._persons.unnamed_example or example
        self._persons.take(envelope, example)
        for note in decoded.notes:
            self._notes.add(note, example)
        received = arrival.received_time or 0
        for event in envelope.events:
            self._events.add(str(type(event).__struct_config__.tag), example)
            result = event.observation if isinstance(event, Correction) else event
            if isinstance(result, Observation):
                feature = self._codes.take(result, envelope.patient, received, example)
                if feature:
                    self._persons.observe(envelope.patient, feature, example)

    def report(self, *, sources: int, skipped: int) -> Report:
        """Give the report of what was taken."""
        codes, traffic, fields = self._codes, self._traffic, self._fields.words().told()
        facts = Report(
            schema=SCHEMA,
            verdict="ready",
            sources=sources,
            skipped=skipped,
            configuration=configuration_hash(self._settings),
            account=Account(**self._account),
            findings=(),
            faults=self._told_faults(),
            senders=traffic.senders(),
            kinds=self._kinds.told(),
            ignored_kinds=self._ignored.told(),
            foreign_kinds=self._foreign.told(),
            versions=self._versions.told(),
            charsets=self._charsets.told(),
            segments=self._segments.words().told(),
            fields_read=tuple(tally for tally in fields if _is_read(tally.word)),
            fields_unread=tuple(tally for tally in fields if not _is_read(tally.word)),
            events=self._events.told(),
            statuses=codes.statuses.told(),
            notes=self._notes.told(),
            inputs=self._persons.inputs(),
            codes_mapped=tuple(codes.mapped()),
            codes_unmapped=tuple(codes.unmapped()),
            unknown_answers=codes.unknown_answers.told(),
            people=self._persons.told(self._parser.conflicts),
            times=traffic.times(codes.future, codes.future_example),
            repeated_control_ids=traffic.repeated,
            repeated_example=traffic.repeated_example,
        )
        found = tuple(findings_of(facts, self._settings))
        whole = msgspec.structs.replace(facts, findings=found, verdict=verdict_of(found))
        return whole if self._identified else self._without_names(whole)

    def _told_faults(self) -> tuple[Fault, ...]:
        ranked = sorted(self._faults.items(), key=lambda item: (-item[1][0], item[0]))
        return tuple(
            Fault(cause.reason, cause.place, detail, count, example, advice_for(cause.reason))
            for (cause, detail), (count, example) in ranked
        )

    def _without_names(self, report: Report) -> Report:
        """Put a file's number among the sample's files, in order of their names, in the place of its name."""
        alone = len(self._files) == 1
        numbers = {name: "" if alone else f"file {number} " for number, name in enumerate(sorted(self._files), 1)}
        told: Report = msgspec.convert(_renamed(msgspec.to_builtins(report), numbers), Report)
        return told


def _is_read(field: str) -> bool:
    """Whether a field (`PID-3`) or element (`Patient.gender`) decides what a message means to us."""
    segment, dash, number = field.partition("-")
    if dash:
        return int(number) in er7.READ.get(segment, ())
    kind, _, element = field.partition(".")
    return element in resources.READ.get(kind, ())


def _renamed(tree: Any, numbers: dict[str, str], key: str = "") -> Any:
    if isinstance(tree, dict):
        return {name: _renamed(value, numbers, name) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_renamed(value, numbers, key) for value in tree]
    if isinstance(tree, str) and tree and "example" in key:
        name, _, number = tree.rpartition("#")
        return f"{numbers.get(name, 'file ? ')}#{number}"
    return tree
