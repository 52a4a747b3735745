"""Claims about the settings of a FHIR feed."""

from __future__ import annotations

import msgspec
import pytest

from connectors.fhir.settings import FhirSettings


def test_one_key_is_enough() -> None:
    """A table with one key takes the defaults for the rest."""
    settings = msgspec.convert({"zone": "Europe/London"}, FhirSettings)
    assert (settings.server, settings.zone) == ("fhir", "Europe/London")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"zone": "Mars/Olympus"}, "zone: unknown time zone 'Mars/Olympus'; expected"),
        ({"zone": ""}, "zone: unknown time zone ''; expected"),
        ({"zone_for_zoneless": "../x"}, "zone_for_zoneless: unknown time zone '../x'; expected"),
        ({"server": " "}, "server: empty; expected"),
        ({"bases": ["http://ehr/fhir/"]}, "bases: 'http://ehr/fhir/'; expected"),
        ({"bases": ["ehr"]}, "bases: 'ehr'; expected"),
        ({"zones": {}}, "unknown field `zones`"),
        ({"zone": 1}, r"Expected `str`, got `int` - at `\$.zone`"),
    ],
)
def test_each_mistake_names_its_key(table: dict[str, object], words: str) -> None:
    """A wrong setting fails when the settings are read, with the key and what is expected there."""
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(table, FhirSettings)
