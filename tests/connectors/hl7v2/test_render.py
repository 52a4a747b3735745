"""The law of rendering: what is put in comes out of the decoder unchanged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_number, render_oru
from connectors.hl7v2.settings import Hl7Settings
from events import Admission, Coding, Correction, Demographics, Discharge, Location, Merge, Observation, Transfer

SETTINGS = Hl7Settings(location_from_results=False)
TIMES = st.integers(-3_000_000_000_000, 7_000_000_000_000)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: text == text.strip() and not text.startswith('"')
)
NAMES = WORDS.filter(bool)
CODES = NAMES.filter(lambda text: text.upper() not in {"LN", "MDC", "SCT", "SNM", "UCUM", "LOINC", "SNOMED"})
FEEDS = st.tuples(WORDS.filter(lambda text: "|" not in text), WORDS).map("|".join)
VALUES = (
    st.none()
    | st.floats(-1e9, 1e9).map(lambda value: round(value, 6))
    | st.tuples(st.sampled_from(["loinc", "local"]), CODES)
)
PLACES = st.builds(Location, WORDS, WORDS, WORDS, WORDS)
RESULTS = st.builds(
    Result,
    code=CODES,
    system=st.sampled_from(["loinc", "snomed", "WelchAllyn"]),
    label=WORDS,
    value=VALUES,
    unit=WORDS,
    event_time=st.none() | TIMES,
    status=st.sampled_from(["F", "P", "C", "W"]),
    sub_id=WORDS,
)


def read(data: bytes) -> Decoded:
    """Decode what must decode."""
    decoded = decode(data, SETTINGS)
    assert isinstance(decoded, Decoded), decoded
    return decoded


@given(FEEDS, NAMES, NAMES, NAMES, WORDS, TIMES, TIMES, st.lists(RESULTS, max_size=5))
def test_results_round_trip(
    feed: str, control: str, authority: str, value: str, encounter: str, sent: int, observed: int, results: list[Result]
) -> None:
    """Codes, values, units, times and statuses of an ORU come back as they were put in."""
    patient = Identifier(authority, value)
    data = render_oru(
        control_id=control, sent_time=sent, feed=feed, patient=patient, encounter=encounter, location=Location("W"),
        observed_time=observed, order="F1", results=results,
    )  # fmt: skip
    decoded = read(data)
    assert (decoded.feed, decoded.message_id, decoded.sent_time) == (feed, control, sent)
    assert (decoded.subject, decoded.encounter) == ((patient,), encounter)
    assert len(decoded.events) == len(results)
    for event, result in zip(decoded.events, results, strict=True):
        observation = event.observation if isinstance(event, Correction) else event
        assert isinstance(observation, Observation)
        assert isinstance(event, Correction) == (result.status in {"C", "W"})
        assert observation.codings == ((result.system, result.code),)
        assert observation.event_time == (observed if result.event_time is None else result.event_time)
        assert observation.unit == result.unit
        assert said(observation) == result.value


def said(observation: Observation) -> float | Coding | None:
    """Give an observation's value as `Result` has it."""
    return observation.answers[0] if observation.answers else observation.value


@given(st.sampled_from(["A01", "A02", "A03", "A08", "A40"]), NAMES, TIMES, TIMES, PLACES, NAMES, st.booleans())
def test_administration_round_trips(
    trigger: str,
    value: str,
    sent: int,
    when: int,
    place: Location,
    encounter: str,
    deceased: bool,  # noqa: FBT001 - drawn
) -> None:
    """Place, time, person and merge of an ADT come back as they were put in."""
    place = Location("W", place.room, place.bed, place.facility)
    data = render_adt(
        trigger, control_id="1", sent_time=sent, feed="A|B", patient=Identifier("H", value), event_time=when,
        encounter=encounter, location=place, birth_date="1950-01", sex="female", deceased=deceased,
        retired=Identifier("H", "old"), name="A|B",
    )  # fmt: skip
    decoded = read(data)
    expected = {
        "A01": [Admission(when, place, "I", sent if sent > when else None)],
        "A02": [Transfer(when, place)],
        "A03": [Discharge(when, "", deceased)],
        "A08": [],
        "A40": [Merge(when, "")],
    }[trigger]
    assert decoded.events == (Demographics(when, "1950-01", "female", deceased), *expected)
    assert (decoded.encounter, decoded.subject, decoded.notes) == (encounter, (Identifier("H", value),), ())
    assert decoded.retired == ((Identifier("H", "old"),) if trigger == "A40" else ())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_round_trip(value: float) -> None:
    """A number is written without an exponent and reads back as the same float."""
    text = render_number(value)
    assert "e" not in text.lower()
    assert float(text) == value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_words_for_nan(value: float) -> None:
    """NaN and infinity cannot be rendered: they would arrive as text."""
    with pytest.raises(ValueError, match="finite"):
        render_number(value)


@pytest.mark.parametrize("text", ['""', "a\rb", "\\F\\", "|^~\\&", "x\x0by\x1cz"])
def test_text_that_looks_like_syntax(text: str) -> None:
    """Text that holds delimiters, line ends, marks or HL7's null comes back as it was."""
    data = render_oru(
        control_id="1", sent_time=0, feed="A|B", patient=Identifier("H", "1"), encounter="", location=Location(),
        observed_time=0, order="1", results=[Result("c", value=text)],
    )  # fmt: skip
    [event] = read(data).events
    assert isinstance(event, Observation)
    assert event.text == text
