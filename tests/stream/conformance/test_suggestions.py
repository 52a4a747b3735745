"""Candidates: every feature can be found by its name, nothing is suggested that cannot be, and advice covers all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.decoded import RefusalReason
from features import default_catalogue
from stream.causes import ADVICE
from stream.conformance.advice import NOTES
from stream.conformance.counting import Counted, Spread
from stream.conformance.suggestions import WORDS, candidates

CATALOGUE = default_catalogue()
CODECS = Path(__file__).resolve().parents[3] / "connectors"
NOTE = re.compile(r"notes(?:\.append\(|\s*\+?=\s*\(?)\"([a-z0-9_]+)\"")


def spread(*numbers: float) -> Spread:
    values = Spread()
    for number in numbers:
        values.add(number)
    return values


@pytest.mark.parametrize("feature", [feature.name for feature in CATALOGUE.features])
def test_every_feature_is_found_by_each_of_its_names(feature: str) -> None:
    """Each name that a feature is known by, in its own unit, gives that feature first."""
    unit = CATALOGUE.by_name(feature).unit
    for name in WORDS[feature].split("|"):
        best = candidates(name.title(), "C1", [unit], Spread(), CATALOGUE)
        assert feature in [one.feature for one in best if one.likeness == best[0].likeness], name


@pytest.mark.parametrize(
    ("name", "unit"),
    [("Cholesterol", "mmol/L"), ("Red Cell Count", "10*12/L"), ("eGFR", "mL/min"), ("Body height", "cm"), ("", "%")],
)
def test_what_we_do_not_have_has_no_candidate(name: str, unit: str) -> None:
    """A code of something that is not in the catalogue is given no candidate."""
    assert candidates(name, "", [unit], Spread(), CATALOGUE) == []


def test_a_unit_or_value_that_cannot_be_rules_out() -> None:
    """A name alone is not enough: a unit of another kind, or values outside the possible, rule a feature out."""
    assert candidates("Temperature", "T", ["mmHg"], Spread(), CATALOGUE) == []
    assert candidates("Temperature", "T", ["Cel"], spread(98.2, 99.1, 97.5), CATALOGUE) == []
    assert candidates("Temperature", "T", ["[degF]"], spread(98.2, 99.1, 97.5), CATALOGUE)[0].feature == "temperature"


def test_every_reason_has_its_advice() -> None:
    """There is something to do about every reason of refusal."""
    assert {reason.value for reason in RefusalReason} <= {str(reason) for reason in ADVICE}


def test_every_note_of_the_codecs_has_its_words() -> None:
    """Each note that a codec makes is explained."""
    made = {
        note for folder in ("hl7v2", "fhir") for file in (CODECS / folder).glob("*.py")
        for note in NOTE.findall(file.read_text())
    }  # fmt: skip
    assert len(made) > 15
    assert made - NOTES.keys() == set()


def test_counting_is_bounded() -> None:
    """Past their limits counts go on under one word, and a spread keeps its shape in bounded memory."""
    counted = Counted(limit=3)
    for number in range(10):
        counted.add(str(number))
    assert (len(counted), counted.total, counted.count("(other)")) == (4, 10, 7)
    values = spread(*(float(number % 1000) for number in range(100_000)))
    middle = values.quantile(0.5)
    assert middle is not None
    assert abs(middle - 500) < 15
    assert len(values._kept) <= 4_096
