"""Claims about what the feeds say of a pregnancy: the newest word holds, for the stay, a week, and in doubt not."""

from __future__ import annotations

import pytest

from events import MILLIS_PER_HOUR, Admission, Correction, Demographics, Discharge, Location, Observation
from features.pregnancy import HOLDS_MS, is_pregnant, pregnancy_until
from features.state import PatientState

HOUR = MILLIS_PER_HOUR
PREGNANT, NOT, UNKNOWN = ("loinc", "LA15173-0"), ("loinc", "LA26683-5"), ("loinc", "LA4489-6")
SNOMED_PREGNANT, SNOMED_NOT = ("snomed", "77386006"), ("snomed", "60001007")
NOW = 400 * HOUR


def charted(*answers, at, identity=1, text=""):
    """Give an answer to "Pregnancy status"."""
    return Observation(identity, (("loinc", "82810-3"),), None, "", at, answers=answers, text=text)


def observed(state, *answers, at, identity=1, text=""):
    """Chart an answer as it is received."""
    return state.observe(charted(*answers, at=at, identity=identity, text=text), at, "m")


def said(state, pregnant, at):
    """Let ADT say it."""
    state.apply(Demographics(at, pregnant=pregnant), at)


@pytest.fixture
def state():
    """Give a woman who was admitted at hour 300."""
    state = PatientState()
    state.apply(Admission(300 * HOUR, Location("A")), 300 * HOUR)
    state.apply(Demographics(300 * HOUR, sex="female"), 300 * HOUR)
    return state


@pytest.mark.parametrize(
    ("answer", "holds"),
    [(PREGNANT, True), (SNOMED_PREGNANT, True), (NOT, False), (SNOMED_NOT, False), (UNKNOWN, False)],
)
def test_each_coded_answer(state, answer, holds):
    """The answers of the International Patient Summary are read, in LOINC and SNOMED CT."""
    assert observed(state, answer, at=390 * HOUR).outcome == "accepted"
    assert is_pregnant(state, NOW) is holds


def test_a_word_is_no_answer(state):
    """Text that names no code says nothing that could silence the floor; it is quarantined and counted."""
    assert observed(state, at=390 * HOUR, text="Pregnant").reason == "unknown_answer"
    assert not is_pregnant(state, NOW)


def test_nothing_said_is_nothing():
    """Who is spoken of nowhere is not pregnant for us."""
    assert pregnancy_until(PatientState(), NOW) is None


def test_it_counts_for_a_week_from_when_it_was_true(state):
    """The statement ends a week after its own time, however late it came, and a newer one begins a week anew."""
    state.observe(charted(PREGNANT, at=380 * HOUR), 390 * HOUR, "m")
    assert pregnancy_until(state, NOW) == 380 * HOUR + HOLDS_MS
    assert is_pregnant(state, 380 * HOUR + HOLDS_MS - 1)
    assert not is_pregnant(state, 380 * HOUR + HOLDS_MS)
    said(state, True, 395 * HOUR)
    assert pregnancy_until(state, NOW) == 395 * HOUR + HOLDS_MS


@pytest.mark.parametrize("first", ["adt", "chart"])
def test_the_newest_word_holds_whoever_says_it(state, first):
    """Patient system and chart are one: the later statement counts, by its own time and not by its arrival."""

    def say(source, pregnant, at):
        if source == "adt":
            said(state, pregnant, at)
        else:
            observed(state, PREGNANT if pregnant else NOT, at=at, identity=at)

    second = "chart" if first == "adt" else "adt"
    say(first, True, 380 * HOUR)
    say(second, False, 385 * HOUR)
    assert not is_pregnant(state, NOW)
    say(first, True, 390 * HOUR)
    assert is_pregnant(state, NOW)
    say(second, False, 370 * HOUR)
    assert is_pregnant(state, NOW)


def test_of_two_at_one_time_the_one_that_denies_it_holds(state):
    """Whichever comes first, and from whichever source: in doubt NEWS2 is told."""
    for answers in ((PREGNANT, NOT), (NOT, PREGNANT)):
        for number, answer in enumerate(answers):
            observed(state, answer, at=380 * HOUR, identity=number + 1)
        assert not is_pregnant(state, NOW)
    for pregnant in (True, False, True):
        said(state, pregnant, 385 * HOUR)
    assert not is_pregnant(state, NOW)
    observed(state, PREGNANT, at=385 * HOUR, identity=9)
    assert not is_pregnant(state, NOW)


def test_an_answer_that_cannot_be_read_takes_back_what_was_known(state):
    """A newer answer in no table may say that she has given birth; a readable one settles it again."""
    observed(state, PREGNANT, at=380 * HOUR)
    observed(state, ("snomed", "86569001"), at=385 * HOUR, identity=2)
    assert not is_pregnant(state, NOW)
    observed(state, PREGNANT, at=390 * HOUR, identity=3)
    assert is_pregnant(state, NOW)


def test_charted_in_error_it_is_taken_back(state):
    """A withdrawn answer counts no more; what was said before it does again."""
    observed(state, PREGNANT, at=380 * HOUR)
    state.correct(Correction(charted(at=380 * HOUR), withdrawn=True), NOW, "m")
    assert not is_pregnant(state, NOW)
    observed(state, PREGNANT, at=381 * HOUR, identity=2)
    observed(state, NOT, at=382 * HOUR, identity=3)
    state.correct(Correction(charted(at=382 * HOUR, identity=3), withdrawn=True), NOW, "m")
    assert is_pregnant(state, NOW)


def test_it_holds_for_the_stay_it_was_made_in(state):
    """After the discharge, and in the next stay, it must be said anew; said as she is admitted, it is of that stay."""
    said(state, True, 390 * HOUR)
    state.apply(Discharge(395 * HOUR), 395 * HOUR)
    assert not is_pregnant(state, NOW)
    state.apply(Admission(396 * HOUR, Location("B")), 396 * HOUR)
    assert not is_pregnant(state, NOW)
    said(state, True, 396 * HOUR)
    assert is_pregnant(state, NOW)


def test_nobody_is_taken_for_pregnant_who_cannot_be(state):
    """Of a man, or somebody of sixty and more, it is a slip or another patient's; unknown age and sex are believed."""
    said(state, True, 390 * HOUR)
    for fields, holds in (
        ({"sex": "male"}, False),
        ({"sex": "unknown"}, True),
        ({"birth_date": "1909"}, False),
        ({"birth_date": "1940"}, True),
    ):
        state.apply(Demographics(391 * HOUR, **fields), 391 * HOUR)
        assert is_pregnant(state, NOW) is holds


def test_it_is_kept_merged_and_read_from_what_an_older_release_stored(state):
    """It survives storing, a merge takes the newer word, and a stay without the fields reads as nothing said."""
    said(state, True, 390 * HOUR)
    assert is_pregnant(PatientState.decode(state.encode(), state.catalogue), NOW)
    other = PatientState()
    said(other, False, 391 * HOUR)
    state.absorb(other)
    assert not is_pregnant(state, NOW)
    other = PatientState()
    said(other, True, 392 * HOUR)
    state.absorb(other)
    assert is_pregnant(state, NOW)


def test_what_is_not_true_yet_does_not_count(state):
    """Asked as of an earlier moment, a later statement says nothing."""
    said(state, True, 390 * HOUR)
    observed(state, PREGNANT, at=391 * HOUR)
    assert pregnancy_until(state, 389 * HOUR) is None
