"""A story's times: moments since its start, and the ward's clock.

Owns the reading and writing of both. Must not know any step.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from connectors.hl7v2.times import clock_of
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis


def span(moment: str) -> Millis:
    """Read `+H:MM` or `+H:MM:SS`.

    >>> span("+1:30"), span("+0:00:05")
    (5400000, 5000)
    """
    hours, minutes, *seconds = moment.lstrip("+").split(":")
    rest = int(seconds[0]) * MILLIS_PER_SECOND if seconds else 0
    return int(hours) * MILLIS_PER_HOUR + int(minutes) * MILLIS_PER_MINUTE + rest


def moment(elapsed: Millis) -> str:
    """Write a time since the start as a story does.

    >>> moment(5_400_000), moment(5_000)
    ('+1:30', '+0:00:05')
    """
    minutes, rest = divmod(elapsed, MILLIS_PER_MINUTE)
    text = f"+{minutes // 60}:{minutes % 60:02d}"
    return f"{text}:{rest // MILLIS_PER_SECOND:02d}" if rest else text


def on_clock(text: str, zone: str) -> Millis:
    """Read a time of the ward's clock; in the repeated hour of autumn the earlier one, as the service's default does.

    >>> on_clock("2026-07-01 12:00", "Europe/London") - on_clock("2026-07-01 11:00", "UTC")
    0
    """
    digits = "".join(letter for letter in text if letter.isdigit())
    instant = clock_of(zone, "earlier").instants[digits]
    if instant is None:
        raise ValueError(f"{text!r} is no time")
    return instant.millis


def clock_text(instant: Millis, zone: str) -> str:
    """Write an instant as the ward's clock shows it, for people.

    >>> clock_text(1_782_903_600_000, "Europe/London")
    'Wed 12:00'
    """
    seconds = instant / MILLIS_PER_SECOND
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).strftime("%a %H:%M")


def local_digits(instant: Millis, zone: str) -> str:
    """Write an instant as HL7 TS of the ward's clock, without an offset."""
    seconds = instant / MILLIS_PER_SECOND
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).strftime("%Y%m%d%H%M%S")


def is_clock(text: str) -> bool:
    """Say whether a `taken` is of the ward's clock.

    >>> is_clock("2026-10-25 01:30"), is_clock("+0:05")
    (True, False)
    """
    return not text.startswith("+")
