"""HL7 times: TS and DTM text to instants (chapter 2A, `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]`).

Owns the reading of times, of zones and of the two strange hours a year. Must not know the present: there is no clock
here. ISO 8601 spellings are read too, for they are unambiguous and some senders use them; so are seventeen digits,
milliseconds without their point, which no other form has. `01/02/2025` is ambiguous, and is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from connectors.hl7v2.memo import Memo
from events import MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis
from events.times import YEAR_MAX, YEAR_MIN

INSTANTS_MAX = 8_192
"""Times remembered per zone: an ORU names the same one in each OBX, and a round charts a ward at the same minutes."""
MINUTES_MAX = 4_096
"""Minutes remembered per zone, some three days of them: the zone rules are asked once a minute, not once a value."""
CLOCKS_MAX = 64
"""Zones and fixed offsets remembered: more than one hospital group's feeds."""
OFFSET_MINUTES_MAX = 14 * 60
"""No place is further from UTC (Kiribati)."""

_PATTERN = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)"
    r"(?:[T ]?(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?)?)?)?)?"
    r"(?P<offset>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_POINTLESS = re.compile(r"(\d{14})(\d{3}(?:Z|[+-]\d\d:?\d\d)?)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MILLI = timedelta(milliseconds=1)


class Instant(msgspec.Struct, frozen=True, gc=False):
    """An instant in milliseconds, and what was odd about its text."""

    millis: Millis
    note: str = ""
    """`local_time_ambiguous`, `local_time_nonexistent`, `time_not_exact` (no minute given: the start is taken), or
    empty."""
    offset: str = ""
    """The offset the text itself gave, as `+HHMM`."""


class Clock:
    """Reads times of one zone; `clock.instants[text]` is an `Instant`, or None where the text is no time.

    >>> clock = clock_of("Europe/London", "earlier")
    >>> clock.instants["20260401120000"].millis == clock.instants["202604011100+0000"].millis
    True
    >>> clock.instants["20261025013000"].note, clock.instants["20260329013000"].note
    ('local_time_ambiguous', 'local_time_nonexistent')
    >>> clock.instants["01/02/2025"] is None
    True
    """

    __slots__ = ("_fold", "_minutes", "_zone", "instants")

    def __init__(self, zone: tzinfo, fold: int) -> None:
        self._zone = zone
        self._fold = fold
        self._minutes: Memo[Instant | None] = Memo(self._read_minute, limit=MINUTES_MAX)
        self.instants: Memo[Instant | None] = Memo(self._read, limit=INSTANTS_MAX)

    def _read(self, text: str) -> Instant | None:
        if len(text) == 14 and text.isascii() and text.isdigit():  # the usual one, to the second
            base = self._minutes[text[:12]]
            second = int(text[12:])
            if base is None or second > 59:
                return None
            return Instant(base.millis + second * MILLIS_PER_SECOND, base.note)
        return self._read_any(text)

    def _read_any(self, text: str) -> Instant | None:
        match = _matched(text)
        if match is None:
            return None
        part = match.groupdict()
        prefix = (
            f"{part['year']}{part['month'] or '01'}{part['day'] or '01'}{part['hour'] or '00'}{part['minute'] or '00'}"
        )
        second = int(part["second"] or 0)
        if second > 59:
            return None
        offset = _offset(part["offset"])
        if part["offset"] and offset is None:
            return None
        base = self._minutes[prefix] if offset is None else UTC_CLOCK._minutes[prefix]
        if base is None:
            return None
        note = base.note or ("" if part["minute"] else "time_not_exact")
        rest = second * MILLIS_PER_SECOND + int((part["fraction"] or "0").ljust(3, "0")[:3])
        if offset is None:
            return Instant(base.millis + rest, note)
        sign = "-" if offset < 0 else "+"
        spelling = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d}"
        return Instant(base.millis + rest - offset * MILLIS_PER_MINUTE, note, spelling)

    def _read_minute(self, text: str) -> Instant | None:
        """Read `YYYYMMDDHHMM` as local time; the gap of spring is passed by shifting forward, as PEP 495 says."""
        try:
            local = datetime(
                int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), tzinfo=self._zone
            )
        except ValueError:
            return None
        if not YEAR_MIN <= local.year <= YEAR_MAX:
            return None
        first = local.utcoffset()
        second = local.replace(fold=1).utcoffset()
        if first is None or second is None or first == second:
            return Instant((local - _EPOCH) // _ONE_MILLI)
        if first < second:
            return Instant((local - _EPOCH) // _ONE_MILLI, "local_time_nonexistent")
        return Instant((local.replace(fold=self._fold) - _EPOCH) // _ONE_MILLI, "local_time_ambiguous")


def _matched(text: str) -> re.Match[str] | None:
    plain = text.strip()
    pointless = _POINTLESS.fullmatch(plain)
    return _PATTERN.fullmatch(plain if pointless is None else f"{pointless[1]}.{pointless[2]}")


def _offset(text: str | None) -> int | None:
    """Give an offset in minutes, or None where there is none or it cannot be."""
    if not text:
        return None
    if text == "Z":
        return 0
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if int(digits[2:]) > 59 or minutes > OFFSET_MINUTES_MAX:
        return None
    return -minutes if text[0] == "-" else minutes


UTC_CLOCK = Clock(UTC, 0)


def _make_clock(key: str) -> Clock:
    fold, _, name = key.partition(" ")
    if name[:1] in {"+", "-"}:
        minutes = _offset(name) or 0
        return Clock(timezone(timedelta(minutes=minutes)), 0)
    return Clock(ZoneInfo(name), int(fold))


_clocks: Memo[Clock] = Memo(_make_clock, limit=CLOCKS_MAX)


def clock_of(zone: str, ambiguous_hour: str) -> Clock:
    """Give the clock of an IANA zone, or of a fixed offset as `+HHMM`. The zone's existence was checked by the
    settings.

    >>> clock_of("+0100", "earlier").instants["197001010100"].millis
    0
    """
    return _clocks[f"{1 if ambiguous_hour == 'later' else 0} {zone}"]


def birth_date(text: str) -> str | None:
    """Read as much of a date of birth as there is (PID-7), as ISO 8601; None where it is no date.

    >>> birth_date("19420902000000"), birth_date("1970"), birth_date("19700230")
    ('1942-09-02', '1970', None)
    """
    match = _matched(text)
    if match is None:
        return None
    year, month, day = match["year"], match["month"], match["day"]
    try:
        datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    except ValueError:
        return None
    if not YEAR_MIN <= int(year) <= YEAR_MAX:
        return None
    return "-".join([part for part in (year, month, day) if part])
