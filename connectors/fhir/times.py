"""FHIR date, dateTime and instant to milliseconds.

Owns R4's own narrow syntax (https://hl7.org/fhir/R4/datatypes.html#dateTime) and the declared rules for what is less
than an instant. Must not know the current time. Years outside 1850 to 2200 are refused, as in HL7 v2: they stand for
"unknown", and would be a time nobody meant.

A date alone is the start of its day in the feed's zone (`date_only`): the oldest instant it can mean, so that a value
never looks fresher than it is. A year or a month is the start of that. A date-time without an offset is no FHIR; it is
refused unless the operator named a zone for such (`zoneless`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from connectors.decoded import RefusalReason
from connectors.fhir.faults import Fault
from connectors.fhir.settings import FhirSettings
from events import MILLIS_PER_SECOND, Millis, from_iso
from events.times import INSTANT_MAX, INSTANT_MIN, YEAR_MAX, YEAR_MIN

ZONES_CACHED_MAX = 64
"""Zones in use at once: one or two a feed."""

INSTANTS_MAX = 8_192
"""Instants remembered: what is charted together has one time, and says it in each resource."""

_instant = lru_cache(maxsize=INSTANTS_MAX)(from_iso)
_INSTANT_CHARS_MIN = len("2020-01-01T00:00:00Z")
_INSTANT_CHARS_MAX = 64
"""Longer than nanoseconds with an offset (35); what is longer is no time."""
_DATE = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?")
_DATE_TIME = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}):(?P<second>[0-9]{2})(?P<fraction>\.[0-9]+)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)


@lru_cache(maxsize=ZONES_CACHED_MAX)
def zone_named(name: str) -> ZoneInfo:
    """Give a zone by its IANA name; raises `ZoneInfoNotFoundError` (the operator's fault) for an unknown one."""
    return ZoneInfo(name)


def read_time(text: str, settings: FhirSettings, path: str, notes: list[str]) -> Millis:
    """Read a dateTime or instant at `path`; raises `Fault` (INVALID_TIME) where it is none.

    >>> notes = []
    >>> read_time("1970-01-01T01:00:00+01:00", FhirSettings(server="s"), ".issued", notes), notes
    (0, [])
    >>> read_time("1970-01-02", FhirSettings(server="s"), ".effectiveDateTime", notes), notes
    (86400000, ['date_only'])
    """
    # The common case is decided by position alone; fromisoformat would also take forms that FHIR forbids.
    if (
        _INSTANT_CHARS_MIN <= len(text) <= _INSTANT_CHARS_MAX
        and text[10] == "T"
        and text[4] == text[7] == "-"
        and text[13] == text[16] == ":"
        and text[19] in "Z.+-"
        and (text[-1] == "Z" or text[-6] in "+-")
    ):
        try:
            instant = _instant(text)
        except ValueError:
            instant = _read_slowly(text, settings, path, notes)
    else:
        instant = _read_slowly(text, settings, path, notes)
    if INSTANT_MIN <= instant <= INSTANT_MAX:
        return instant
    raise Fault(RefusalReason.INVALID_TIME, path, f"not within the years {YEAR_MIN} to {YEAR_MAX}")


def _read_slowly(text: str, settings: FhirSettings, path: str, notes: list[str]) -> Millis:
    if len(text) <= _INSTANT_CHARS_MAX:
        try:
            if _DATE.fullmatch(text):
                notes.append("date_only")
                return _local(text + "0000-01-01"[len(text) :] + "T00:00:00", settings.zone, notes)
            parts = _DATE_TIME.fullmatch(text)
            if parts is not None:
                leap = parts["second"] == "60"
                text = f"{parts['minute']}:{'59' if leap else parts['second']}{parts['fraction'] or ''}"
                after = MILLIS_PER_SECOND if leap else 0
                if parts["zone"] is not None:
                    return from_iso(text + parts["zone"]) + after
                if settings.zone_for_zoneless is not None:
                    notes.append("zoneless")
                    return _local(text, settings.zone_for_zoneless, notes) + after
                raise Fault(RefusalReason.INVALID_TIME, path, "a date-time needs its zone")
        except (ValueError, OverflowError):
            pass
    raise Fault(RefusalReason.INVALID_TIME, path, "not a FHIR date, dateTime or instant")


def _local(text: str, zone: str, notes: list[str]) -> Millis:
    moment = datetime.fromisoformat(text).replace(tzinfo=zone_named(zone))
    before, after = moment.utcoffset(), moment.replace(fold=1).utcoffset()
    if before != after:
        assert before is not None
        assert after is not None
        # Offsets fall across an hour that comes twice, and rise across one that never was.
        notes.append("local_time_ambiguous" if before > after else "local_time_nonexistent")
    offset = before or timedelta()
    return from_iso(moment.replace(tzinfo=None).isoformat() + "Z") - offset // timedelta(milliseconds=1)


def is_credible(date: str) -> bool:
    """Tell whether a date's year is one that is meant; 0001 and 9999 stand for "unknown".

    >>> is_credible("1942-09"), is_credible("0001-01-01")
    (True, False)
    """
    return YEAR_MIN <= int(date[:4]) <= YEAR_MAX


def is_date(text: str) -> bool:
    """Tell whether `text` is a FHIR date, of a day that exists if it names one.

    >>> is_date("1942-09"), is_date("1942-02-30")
    (True, False)
    """
    if not _DATE.fullmatch(text) or text.startswith("0000"):
        return False
    try:
        datetime.fromisoformat(text + "0000-01-01"[len(text) :])
    except ValueError:
        return False
    return True
