"""ORU: results, one OBX after another, each under its OBR.

Owns statuses, times and identities of results. Must not know what a code means, nor convert a unit.

**Identity.** A result is named by feed, order, code, sub-id and stated time, so that a correction names what it
corrects. The order is the filler's number (OBR-3, else ORC-3), else the placer's (OBR-2, else ORC-2), else OBR-4. The
stated time is OBX-14, else OBR-7; it belongs to the identity because vital-sign feeds reuse one order number for
days, and a new value taken for a repeat of the old one is a deterioration missed. Where none is stated MSH-7 stands
for it, here as for the time itself: a well value two hours later must not replace the sick one. The price: a
correction that moves OBX-14, or one without times, matches nothing, and shows as an unmatched correction. The parts
are hashed apart and combined by exclusive or, one hash an order and one a code.

**Statuses** (OBX-11, HL7 table 0085) are the table `STATUSES`. An unknown status is read as preliminary and noted:
the value still counts, unverified, for hiding it could hide a deterioration.
"""

from __future__ import annotations

import msgspec

from connectors.decoded import RefusalReason
from connectors.hl7v2.dialect import NAMES_MAX, Code, key_of
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.header import TIME_FROM_MESSAGE, Header, read_instant
from connectors.hl7v2.memo import Memo
from connectors.hl7v2.pcd import NOT_AVAILABLE, OF_A_DEVICE, as_vouched_for, is_device_row, is_devices
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.values import READ, TEXTUAL, UNSUPPORTED, Value, numbers, read_values
from events import Coding, Correction, Event, Millis, Observation
from events.clinical import ObservationStatus

FIELDS = 21
"""We read up to OBX-20 and OBR-15."""
TEXT_LINES_MAX = 200
"""Lines read of a text that has more than a message may have events: 200 characters of it are kept."""
QUALIFIERS_MAX = 50
"""Codings of specimen, method and site that one result may have: some five are sent. Each is looked at by each result,
and kept by each."""
_BLANKS = [""] * FIELDS
_MASK = (1 << 63) - 1
_SPREAD = 0x9E3779B97F4A7C15
"""An odd constant (2^64 over the golden ratio) that spreads a time's few changing bits over the whole id."""

STATUSES: dict[str, tuple[ObservationStatus, str]] = {
    "": ("final", ""),
    "F": ("final", ""),
    "U": ("final", ""),
    "B": ("final", ""),
    "P": ("preliminary", ""),
    "R": ("preliminary", ""),
    "I": ("preliminary", ""),
    "S": ("preliminary", ""),
    "V": ("preliminary", ""),
    "C": ("corrected", "correction"),
    "A": ("corrected", "correction"),
    "D": ("withdrawn", "withdrawal"),
    "W": ("withdrawn", "withdrawal"),
    "X": ("withdrawn", "withdrawal"),
    "N": ("final", "not_asked"),
    "O": ("final", "order_detail"),
}
"""OBX-11: the status in our words, and what else is to be done with the OBX."""
UNKNOWN_STATUS: tuple[ObservationStatus, str] = ("preliminary", "")
NOT_ASKED = Value(absent_reason="not-asked")


_feed_keys: Memo[int] = Memo(lambda feed: key_of("feed", feed), limit=NAMES_MAX)


class Results:
    """Collects the observations of one ORU message, line by line, in the order sent."""

    __slots__ = (
        "_clock",
        "_codes",
        "_dialect",
        "_group_from",
        "_group_key",
        "_group_time",
        "_header",
        "_limit",
        "_number",
        "_orc",
        "_orders",
        "_own",
        "_qualifiers",
        "_seen",
        "_separator",
        "_spread",
        "_stated",
        "_stated_field",
        "_units",
        "events",
        "latest",
        "notes",
    )

    def __init__(self, header: Header, settings: Hl7Settings) -> None:
        self._header = header
        self._dialect = header.dialect
        self._codes = header.dialect.codes
        self._units = header.dialect.units
        self._clock = header.clock
        self._separator = header.dialect.delimiters.field
        self._limit = settings.events_max
        self._number = 0
        self._orders = 0
        self._orc = ""
        self._seen: dict[int, Observation] = {}
        self._own = OF_A_DEVICE if header.route.devices else ()
        self._qualifiers: tuple[Coding, ...] = self._own
        self._group_from = 0
        self._group_key = _feed_keys[header.feed]
        self._group_time: Millis | None = None
        self._stated_field = ""
        self._stated: Millis | None = None
        self._spread = 0
        self.events: list[Event] = []
        self.latest: Millis | None = None
        self.notes: list[str] = []

    def common_order(self, line: str) -> None:
        """Remember an ORC for the OBR that follows: its order numbers stand in for OBR-2 and OBR-3."""
        self._orc = line

    def order(self, line: str) -> None:
        """Open a group by its OBR."""
        self._orders += 1
        fields = line.split(self._separator)
        fields += _BLANKS
        stated = self._instant(fields[7], "OBR", self._orders, 7) if fields[7] else None
        self._group_time = stated
        order = fields[3].strip() or fields[2].strip()
        if not order and self._orc:
            orc = self._dialect.split(self._orc, 4)
            order = orc[3].strip() or orc[2].strip()
        self._orc = ""
        domain = "order" if order else "panel"
        self._group_key = key_of(domain, f"{self._header.feed}\x1f{order or fields[4]}")
        self._qualifiers = self._own + self._specimen(fields[15]) if fields[15] else self._own
        self._group_from = len(self.events)

    def specimen(self, line: str) -> None:
        """Add SPM-4, which follows the results it belongs to, to the group's results."""
        codings = self._dialect.codings(self._dialect.split(line, 5)[4])
        self._qualifiers += codings
        if len(self._qualifiers) > QUALIFIERS_MAX:
            raise Fault(RefusalReason.INVALID_VALUE, "SPM-4", f"more than {QUALIFIERS_MAX} specimens of one order")
        replace = msgspec.structs.replace
        for index in range(self._group_from, len(self.events)):
            event = self.events[index]
            if isinstance(event, Observation):
                self.events[index] = replace(event, qualifiers=event.qualifiers + codings)
            elif isinstance(event, Correction):
                changed = replace(event.observation, qualifiers=event.observation.qualifiers + codings)
                self.events[index] = replace(event, observation=changed)

    def result(self, line: str) -> None:
        """Add an OBX."""
        self._number += 1
        fields = line.split(self._separator)
        fields += _BLANKS
        code = self._codes[fields[3]]
        codings = code.codings
        if not codings:
            self.notes.append("obx3_missing")
            return
        field = fields[14]
        if field and field == self._stated_field:  # the same time as the OBX before, as nearly always
            stated, spread = self._stated, self._spread
        else:
            own = self._instant(field, "OBX", self._number, 14) if field else None
            stated = self._group_time if own is None else own
            spread = 0 if stated is None else (stated * _SPREAD) & _MASK
            if own is not None and not self.notes:  # what is odd about a time is noted of each OBX
                self._stated_field, self._stated, self._spread = field, own, spread
        key = self._group_key ^ code.key
        if fields[4]:
            key ^= self._dialect.sub_keys[fields[4].strip()]
        if stated is None:
            event_time = self._message_time()
            self.notes.append(TIME_FROM_MESSAGE)
            key ^= (event_time * _SPREAD) & _MASK
        else:
            event_time = stated
            key ^= spread
        latest = self.latest
        if latest is None or event_time > latest:
            self.latest = event_time
        status = fields[11]
        number = numbers[fields[5]] if fields[2] == "NM" else None
        if number is None or (status and status != "F") or fields[17] or fields[20]:
            self._unusual(fields, code, key, event_time)
            return
        unit = self._units[fields[6]] if fields[6] else ""
        observation = Observation(key, codings, number, unit, event_time, "final", "", (), "", "", self._qualifiers)
        if fields[8] or fields[15] or fields[18]:
            observation = self._with_evidence(observation, fields)
        if self._seen.setdefault(key, observation) is observation:
            self.events.append(observation)
        else:
            self._repeated(observation)

    def _unusual(self, fields: list[str], code: Code, key: int, event_time: Millis) -> None:
        """Add an OBX that is anything but a plain final number."""
        dialect = self._dialect
        status, treatment = self._status(fields[11])
        if treatment == "order_detail":
            self.notes.append("obx_order_detail")
            return
        if not fields[5] and is_devices(code.codings):
            if is_device_row(fields[4].strip()):
                self.notes.append("obx_device_row")
                return
            if treatment == "withdrawal" and dialect.first(fields[11]).upper() == "X":
                status, treatment = NOT_AVAILABLE
        kind = dialect.firsts[fields[2]].upper()
        unit = dialect.units[fields[6]] if fields[6] else ""
        values = [NOT_ASKED] if treatment == "not_asked" else self._values(kind, fields[5], unit)
        self.notes += _oddities(kind, fields[5], values)
        qualifiers = self._qualified(fields)
        for index, value in enumerate(values):
            observation = Observation(
                key ^ key_of("repetition", str(index)) if index else key,
                code.codings,
                value.value,
                unit,
                event_time,
                status=status,
                comparator=value.comparator,
                answers=value.answers,
                text=value.text,
                absent_reason=value.absent_reason,
                qualifiers=qualifiers,
            )
            if fields[8] or fields[15] or fields[18]:
                observation = self._with_evidence(observation, fields)
            if treatment in {"correction", "withdrawal"}:
                self.events.append(Correction(observation, treatment == "withdrawal"))
            elif observation.observation_id in self._seen:
                self._repeated(observation)
            else:
                self._seen[observation.observation_id] = observation
                self.events.append(observation)

    def _qualified(self, fields: list[str]) -> tuple[Coding, ...]:
        """Give the qualifiers of a result with its OBX-17 and OBX-20; raises `Fault` past `QUALIFIERS_MAX`."""
        qualifiers = self._qualifiers
        for place in (17, 20):
            if fields[place]:
                for repetition in fields[place].split(self._dialect.delimiters.repetition, QUALIFIERS_MAX + 1):
                    qualifiers += self._dialect.codings(repetition)
                if len(qualifiers) > QUALIFIERS_MAX:
                    detail = f"more than {QUALIFIERS_MAX} methods, sites and specimens"
                    raise Fault(RefusalReason.INVALID_VALUE, f"OBX[{self._number}]-{place}", detail)
        return qualifiers

    def _with_evidence(self, observation: Observation, fields: list[str]) -> Observation:
        """Add OBX-8, OBX-15 and OBX-18: no part of its identity, nor of the value unless a device disclaims that."""
        dialect = self._dialect
        told = msgspec.structs.replace(
            observation,
            interpretation=dialect.flags[fields[8]] if fields[8] else (),
            producer=dialect.producers[fields[15]] if fields[15] else None,
            devices=dialect.devices[fields[18]] if fields[18] else (),
        )
        return as_vouched_for(told, self.notes) if fields[8] else told

    def _values(self, kind: str, field: str, unit: str) -> list[Value]:
        """Read OBX-5; raises `Fault` where the message has more values than it may, before they are all read."""
        mark, room = self._dialect.delimiters.repetition, self._limit - len(self.events)
        few = len(field) <= room or field.count(mark) < room
        if not few and kind in TEXTUAL:
            field, few = mark.join(field.split(mark, TEXT_LINES_MAX)[:TEXT_LINES_MAX]), True
        values = read_values(kind, field, self._dialect, unit) if few else []
        if not few or len(values) > room:
            raise Fault(RefusalReason.TOO_MANY_EVENTS, f"OBX[{self._number}]-5", f"more than {self._limit} events")
        return values

    def _repeated(self, observation: Observation) -> None:
        """Add an observation whose identity the message has used: the same value is a repeat, another one a second
        result.
        """
        first = self._seen[observation.observation_id]
        said = (observation.value, observation.comparator, observation.text, observation.answers)
        if said != (first.value, first.comparator, first.text, first.answers):
            self.notes.append("obx_same_identity")
            salt = key_of("occurrence", str(self._number))
            observation = msgspec.structs.replace(observation, observation_id=observation.observation_id ^ salt)
        self.events.append(observation)

    def _status(self, field: str) -> tuple[ObservationStatus, str]:
        treatment = STATUSES.get(self._dialect.first(field).upper())
        if treatment is None:
            self.notes.append("obx11_unknown")
            return UNKNOWN_STATUS
        return treatment

    def _instant(self, field: str, segment: str, number: int, index: int) -> Millis | None:
        instant = self._clock.instants[field]
        if instant is None:
            instant = read_instant(self._clock, field, f"{segment}[{number}]-{index}", self._dialect)
            if instant is None:
                return None
        if instant.note:
            self.notes.append(instant.note)
        return instant.millis

    def _message_time(self) -> Millis:
        """Give MSH-7, the last resort; raises `Fault` where it is missing."""
        if self._header.sent is None:
            raise Fault(RefusalReason.MISSING_FIELD, "MSH-7", "the message says nowhere when it was observed")
        return self._header.sent.millis

    def _specimen(self, field: str) -> tuple[Coding, ...]:
        """Read OBR-15 (SPS, until 2.6): its first component is a CWE of sub-components."""
        marks = self._dialect.delimiters
        return self._dialect.codings(field.split(marks.component, 1)[0].replace(marks.subcomponent, marks.component))


def _oddities(kind: str, field: str, values: list[Value]) -> list[str]:
    """Note what is odd about an OBX-2 and OBX-5."""
    notes = ["obx5_repeats"] if len(values) > 1 else []
    if UNSUPPORTED in values:
        notes.append("obx2_unsupported")
    elif field and kind not in READ:
        notes.append("obx2_unknown")
    elif field and not kind:
        notes.append("obx2_empty")
    return notes
