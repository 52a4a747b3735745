"""A dialect: one set of delimiters, and how its segments PID and PV1 and its coded elements read.

Owns the meaning of the fields that recur from message to message, and remembers them: a patient's PID is the same
line in each of his messages, a code the same field in each OBX. Must not know events or message types.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Literal

import msgspec

from connectors.decoded import Identifier, RefusalReason
from connectors.hl7v2.delimiters import Delimiters, fit_marks, unescape
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.mdil import MDIL, mdc_number
from connectors.hl7v2.memo import Memo
from connectors.hl7v2.times import birth_date
from events import Coding, Location

CODES_MAX = 8_192
"""OBX-3 fields remembered: a large laboratory's catalogue has some 5,000."""
SEGMENTS_MAX = 4_096
"""PID and PV1 lines remembered, each: the inpatients of a large hospital; at ~400 bytes a line some 2 MB."""
REPETITIONS_MAX = 1_000
"""Identifiers or codes in one field, ten times what [parse] takes: a bound on what one message costs."""
FLAGS_MAX = 8
"""Repetitions of OBX-8 and OBX-18 that are kept: a result has one or two flags, and one or two devices."""
FLAG_CHARS_MAX = 60
"""As much of each part of them is kept: a code of table 0078 has some four characters, an EUI-64 sixteen."""
NAMES_MAX = 4_096
"""Short recurring fields remembered: units, versions, feeds."""
DIALECTS_MAX = 64
"""Sets of delimiters remembered, with the code table of a route: a hospital has one, and one for each such sender."""

SYSTEMS = {
    "LN": "loinc",
    "LOINC": "loinc",
    "2.16.840.1.113883.6.1": "loinc",
    "MDC": "mdc",
    "2.16.840.1.113883.6.24": "mdc",
    "SCT": "snomed",
    "SNM": "snomed",
    "SNOMED": "snomed",
    "SNOMED-CT": "snomed",
    "SNOMED CT": "snomed",
    "2.16.840.1.113883.6.96": "snomed",
    "UCUM": "ucum",
}
"""HL7 table 0396 names, their common misspellings and their OIDs, to the names of our vocabulary."""

SEXES: dict[str, Literal["male", "female", "other", "unknown"]] = {
    "M": "male",
    "F": "female",
    "O": "other",
    "A": "other",
    "N": "other",
    "X": "other",
    "U": "unknown",
}
"""PID-8 (HL7 table 0001; the mapping is that of the HL7 v2-to-FHIR guide)."""
PREFERRED_TYPES = frozenset({"MR", "MRN", "PI"})
"""PID-3.5 of the identifiers that name a patient best (HL7 table 0203; MRN is a common misspelling)."""
PREGNANT = "B6"
"""PV1-15, ambulatory status (HL7 table 0009, which sites may change: `Hl7Settings.pregnancy_from_visits`)."""

_UNNAMED = "?"
"""Stands for an authority that a PID line does not name, while the line is remembered without its feed."""
_REFERENCE_ID = re.compile(r"MDC_[A-Z0-9_]+")


class Code(msgspec.Struct, frozen=True, gc=False):
    """An OBX-3: its codings, best first, and the 63 bits by which it enters an observation's id."""

    codings: tuple[Coding, ...]
    key: int


class Patient(msgspec.Struct, frozen=True, gc=False):
    """What a PID says."""

    identifiers: tuple[Identifier, ...]
    birth_date: str | None
    sex: Literal["male", "female", "other", "unknown"] | None
    deceased: bool | None
    notes: tuple[str, ...]
    complete: bool
    """Whether every identifier names its authority in CX.4; else the feed's settings decide."""
    field: str
    """PID-3, else PID-2 (2.3), as sent."""
    races: tuple[str, ...] = ()
    """The codes of PID-10's repetitions; the events have them only where a site records ethnicity."""
    ethnic_groups: tuple[str, ...] = ()
    """Those of PID-22."""
    account: str = ""
    """PID-18, as sent; it names the visit where a site says so."""


class Visit(msgspec.Struct, frozen=True, gc=False):
    """What a PV1 says. The times are text: they need the feed's zone."""

    location: Location
    patient_class: str = ""
    encounter: str = ""
    disposition: str = ""
    admitted: str = ""
    discharged: str = ""
    pregnant: bool | None = None


NO_VISIT = Visit(Location())


def key_of(domain: str, text: str) -> int:
    """Hash a part of an observation's identity to 63 bits; parts of different domains never cancel out."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, person=domain.encode()).digest(), "big") >> 1


class Dialect:
    r"""Reads fields and lines of one set of delimiters.

    >>> dialect = dialect_of("|^~\\&")
    >>> dialect.codes["147842^MDC_ECG_HEART_RATE^MDC"].codings
    (('mdc', '147842'), ('mdc', 'MDC_ECG_HEART_RATE'))
    >>> dialect.visits["PV1|1|I|ICU^101^A^HOSP"].location.bed
    'A'
    """

    def __init__(self, delimiters: Delimiters, local: str = "") -> None:
        self.delimiters = delimiters
        self._local = local
        self.codes: Memo[Code] = Memo(self._code, limit=CODES_MAX)
        self.patients: Memo[Patient] = Memo(self._patient, limit=SEGMENTS_MAX)
        self.visits: Memo[Visit] = Memo(self._visit, limit=SEGMENTS_MAX)
        self.firsts: Memo[str] = Memo(self.first, limit=NAMES_MAX)
        self.units: Memo[str] = Memo(self._unit, limit=NAMES_MAX)
        self.flags: Memo[tuple[str, ...]] = Memo(self._flags, limit=NAMES_MAX)
        self.devices: Memo[tuple[Coding, ...]] = Memo(self._devices, limit=NAMES_MAX)
        self.producers: Memo[Coding | None] = Memo(self._producer, limit=NAMES_MAX)
        self.kinds: Memo[str] = Memo(self._kind, limit=NAMES_MAX)
        self.sub_keys: Memo[int] = Memo(lambda text: key_of("sub-id", text), limit=NAMES_MAX)

    def leaf(self, text: str) -> str:
        """Give the plain text of a field's smallest part: trimmed, null as empty, escapes undone."""
        plain = text.strip()
        if plain == '""':
            return ""
        return unescape(plain, self.delimiters) if self.delimiters.escape in plain else plain

    def first(self, field: str) -> str:
        """Give the first component of a field's first repetition."""
        return self.leaf(field.split(self.delimiters.repetition, 1)[0].split(self.delimiters.component, 1)[0])

    def codings(self, field: str) -> tuple[Coding, ...]:
        """Read the codings of a CE, CWE or CNE: first, alternate and second alternate triplet, an MDC reference id, and
        the MDC number of an MDIL code before that code itself.
        """
        parts = [self.leaf(part) for part in field.split(self.delimiters.component, 12)[:12]]
        parts += [""] * (12 - len(parts))
        codings: list[Coding] = []
        for code, label, system in ((0, 1, 2), (3, 4, 5), (9, 10, 11)):
            name = SYSTEMS.get(parts[system].upper()) or self._local or parts[system]
            if parts[system].upper() == MDIL and (number := mdc_number(parts[code])):
                codings.append(("mdc", number))
            if parts[code]:
                codings.append((name, parts[code]))
            if name == "mdc" and _REFERENCE_ID.fullmatch(parts[label]):
                codings.append((name, parts[label]))
        return tuple(dict.fromkeys(codings))

    def identifiers(
        self, field: str, authority: str = "", fallback: str = "", place: str = "PID-3"
    ) -> tuple[Identifier, ...]:
        """Read the repetitions of a CX (PID-3, MRG-1): the preferred types first, else in the order sent.

        The authority is CX.4 (namespace, else universal id), else `authority`, else `fallback` with the type CX.5: a
        type alone is no authority, for every hospital has a patient 42 of type MR. Raises `Fault` at `place` past
        `REPETITIONS_MAX`.
        """
        best: list[Identifier] = []
        rest: list[Identifier] = []
        repetitions = field.split(self.delimiters.repetition)
        if len(repetitions) > REPETITIONS_MAX:
            raise Fault(RefusalReason.INVALID_VALUE, place, f"more than {REPETITIONS_MAX} identifiers")
        for repetition in repetitions:
            parts = repetition.split(self.delimiters.component)
            value = self.leaf(parts[0])
            if not value:
                continue
            kind = self.leaf(parts[4]) if len(parts) > 4 else ""
            assigner = parts[3].split(self.delimiters.subcomponent) if len(parts) > 3 else [""]
            named = next((name for part in assigner[:2] if (name := self.leaf(part))), "")
            named = named or authority or (f"{fallback}^{kind}" if kind else fallback)
            (best if kind in PREFERRED_TYPES else rest).append(Identifier(named, value))
        return tuple(dict.fromkeys(best + rest))

    def split(self, line: str, length: int) -> list[str]:
        """Split a line into fields, blank ones added up to `length`."""
        fields = line.split(self.delimiters.field)
        return fields + [""] * (length - len(fields))

    def _unit(self, field: str) -> str:
        """Read OBX-6 (CWE): its code, else the alternate one, else a text: a unit that is there is never none."""
        parts = field.split(self.delimiters.repetition, 1)[0].split(self.delimiters.component, 5)
        leaves = [self.leaf(part) for part in parts[:5]] + [""] * 4
        return leaves[0] or leaves[3] or leaves[1] or leaves[4]

    def _kind(self, field: str) -> str:
        """Read MSH-9's type and trigger, `ORU^R01`; empty where one is missing."""
        parts = field.split(self.delimiters.component, 2)
        kind, trigger = self.first(parts[0]), self.first(parts[1]) if len(parts) > 1 else ""
        return f"{kind}^{trigger}" if kind and trigger else ""

    def _code(self, field: str) -> Code:
        codings = self.codings(field)
        return Code(codings, key_of("code", "\x1f".join(codings[0])) if codings else 0)

    def _flags(self, field: str) -> tuple[str, ...]:
        """Read OBX-8: the code of each repetition."""
        marks = self.delimiters
        parts = field.split(marks.repetition, FLAGS_MAX)[:FLAGS_MAX]
        return tuple(filter(None, (self.leaf(part.split(marks.component, 1)[0])[:FLAG_CHARS_MAX] for part in parts)))

    def _producer(self, field: str) -> Coding | None:
        """Read OBX-15: its first coding."""
        coding = next(iter(self.codings(field)), None)
        return None if coding is None else (coding[0][:FLAG_CHARS_MAX], coding[1][:FLAG_CHARS_MAX])

    def _devices(self, field: str) -> tuple[Coding, ...]:
        """Read OBX-18 (EI): who names the device, by namespace else universal id, and its id, of each repetition."""
        marks = self.delimiters
        devices: list[Coding] = []
        for repetition in field.split(marks.repetition, FLAGS_MAX)[:FLAGS_MAX]:
            parts = [self.leaf(part)[:FLAG_CHARS_MAX] for part in repetition.split(marks.component, 4)[:3]]
            name, namespace, universal = (*parts, "", "", "")[:3]
            if name or universal:
                devices.append((namespace or (universal if name else ""), name or universal))
        return tuple(devices)

    def _patient(self, line: str) -> Patient:
        fields = self.split(line, 31)
        field = fields[3] if self.identifiers(fields[3]) else fields[2]
        identifiers = self.identifiers(field, authority=_UNNAMED)
        notes = []
        born_text, sex_text = self.first(fields[7]), self.first(fields[8]).upper()
        born = birth_date(born_text) if born_text else None
        if born_text and born is None:
            notes.append("birth_date_unreadable")
        sex = SEXES.get(sex_text)
        if sex_text and sex is None:
            notes.append("sex_unknown_code")
        death = self.first(fields[30]).upper()
        deceased = True if death == "Y" or (not death and self.first(fields[29])) else False if death == "N" else None
        complete = all(identifier.authority != _UNNAMED for identifier in identifiers)
        backgrounds = self._codes_of(fields[10]), self._codes_of(fields[22])
        return Patient(
            identifiers, born, sex, deceased, tuple(notes), complete, field, *backgrounds, self.first(fields[18])
        )

    def _codes_of(self, field: str) -> tuple[str, ...]:
        """Give the first component of each repetition, where it says anything; of a thousand, nobody has more."""
        marks = self.delimiters
        parts = field.split(marks.repetition, REPETITIONS_MAX)[:REPETITIONS_MAX]
        return tuple(filter(None, [self.leaf(part.split(marks.component, 1)[0]).upper() for part in parts]))

    def _visit(self, line: str) -> Visit:
        fields = self.split(line, 46)
        place = fields[3].split(self.delimiters.repetition, 1)[0].split(self.delimiters.component)
        place = [self.leaf(part.split(self.delimiters.subcomponent, 1)[0]) for part in place[:4]]
        location = Location(*place)
        return Visit(
            location,
            self.first(fields[2]).upper(),
            self.first(fields[19]),
            self.first(fields[36]),
            fields[44],
            fields[45],
            self._pregnant(fields[15]),
        )

    def _pregnant(self, field: str) -> bool | None:
        """Read PV1-15: B6 among its repetitions says so, an explicit null takes it back, anything else says nothing."""
        if not field:
            return None
        return True if PREGNANT in self._codes_of(field) else False if field.strip() == '""' else None


def _make_dialect(key: str) -> Dialect:
    """Check MSH-1 and MSH-2 and make their dialect; raises `Fault`."""
    marks, _, local = key.partition("\n")
    if (
        len(marks) == 6 and marks[3] == marks[4]
    ):  # `^~\\\\&`: an escape character that was escaped; no other reading fits
        marks = marks[:4] + marks[5:]
    if not fit_marks(marks):
        raise Fault(RefusalReason.INVALID_VALUE, "MSH-2", "needs four or five different delimiters")
    return Dialect(Delimiters(*marks), local)


_dialects: Memo[Dialect] = Memo(_make_dialect, limit=DIALECTS_MAX)


def dialect_of(marks: str, local: str = "") -> Dialect:
    r"""Give the dialect of MSH-1 followed by MSH-2, such as `|^~\&`; raises `Fault` where they cannot be delimiters.

    `local` is the name by which codings of no standard system are read; empty: by their own.
    """
    return _dialects[f"{marks}\n{local}" if local else marks]
