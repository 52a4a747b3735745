"""Names of time zones, as an operator writes them.

Owns the check that a zone exists, with words that say which key is wrong. Must not know what the zone is for.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def check_zone(key: str, name: str) -> None:
    """Raise `ValueError`, naming `key`, where `name` is no IANA zone.

    >>> check_zone("zone", "Europe/London")
    >>> check_zone("zone", "Mars/Olympus")
    Traceback (most recent call last):
    ValueError: zone: unknown time zone 'Mars/Olympus'; expected an IANA name such as 'Europe/London'
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{key}: unknown time zone {name!r}; expected an IANA name such as 'Europe/London'") from None
