"""Instants as whole milliseconds since the Unix epoch, UTC.

Owns the conversion to and from ISO 8601 text. Must not know the current time: the core has no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

Millis = int

MILLIS_PER_SECOND = 1_000
MILLIS_PER_MINUTE = 60_000
MILLIS_PER_HOUR = 3_600_000
MILLIS_PER_DAY = 86_400_000

YEAR_MIN, YEAR_MAX = 1850, 2200
"""Years outside were never meant: no living patient was born before 1850, and systems fill unknown dates with 0001 and
9999."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MILLI = timedelta(milliseconds=1)
INSTANT_MIN: Millis = (datetime(YEAR_MIN, 1, 1, tzinfo=UTC) - _EPOCH) // _ONE_MILLI
INSTANT_MAX: Millis = (datetime(YEAR_MAX + 1, 1, 1, tzinfo=UTC) - _EPOCH) // _ONE_MILLI - 1
"""The first and the last instant of those years, in milliseconds."""


def to_iso(instant: Millis) -> str:
    """Write an instant as ISO 8601 in UTC, with milliseconds only where there are any.

    >>> to_iso(0)
    '1970-01-01T00:00:00Z'
    >>> to_iso(1_500)
    '1970-01-01T00:00:01.500Z'
    """
    moment = _EPOCH + instant * _ONE_MILLI
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    millis = instant % MILLIS_PER_SECOND
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def from_iso(text: str) -> Millis:
    """Read an ISO 8601 instant that carries its zone.

    Raises `ValueError` where the text is no instant or names no zone: a zone is never guessed here.

    >>> from_iso("1970-01-01T01:00:00+01:00")
    0
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return (moment - _EPOCH) // _ONE_MILLI
