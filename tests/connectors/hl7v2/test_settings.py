"""Claims about the settings of HL7 v2 feeds."""

from __future__ import annotations

import msgspec
import pytest

from connectors.hl7v2.settings import EVENTS_LIMIT, MESSAGE_BYTES_LIMIT, Hl7Settings


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"zone": "Mars/Olympus"}, "zone: unknown time zone 'Mars/Olympus'; expected"),
        ({"zone": "Europe"}, "zone: unknown time zone 'Europe'; expected"),
        ({"zones": {"LAB|MAIN": "nowhere"}}, r'zones."LAB\|MAIN": unknown time zone'),
        ({"message_bytes_max": 0}, "message_bytes_max: 0; expected 1 to"),
        ({"message_bytes_max": MESSAGE_BYTES_LIMIT + 1}, "message_bytes_max: "),
        ({"events_max": -1}, "events_max: -1; expected 1 to"),
        ({"events_max": EVENTS_LIMIT + 1}, "events_max: "),
        ({"accepted_versions": []}, "accepted_versions: empty; expected"),
        ({"ambiguous_hour": "both"}, "ambiguous_hour"),
        ({"authority": {}}, "unknown field `authority`"),
    ],
)
def test_each_mistake_names_its_key(table: dict[str, object], words: str) -> None:
    """A wrong setting fails when the settings are read, with the key and what is expected there."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(table, Hl7Settings)


def test_the_limits_themselves_are_accepted() -> None:
    """The bounds of the bounds are legal."""
    settings = msgspec.convert({"message_bytes_max": MESSAGE_BYTES_LIMIT, "events_max": 1}, Hl7Settings)
    assert (settings.message_bytes_max, settings.events_max) == (MESSAGE_BYTES_LIMIT, 1)
