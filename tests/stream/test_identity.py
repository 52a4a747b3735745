"""Who is meant: two people never become one by a shared number, and only a merge joins two records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Identifier
from stream.identity import IdentityMap, Pseudonyms

PLACEHOLDER = Identifier("NHS", "9999999999")


def people() -> IdentityMap:
    return IdentityMap(Pseudonyms(b"key"))


def mrn(value: str) -> Identifier:
    return Identifier("MRN", value)


def test_two_record_numbers_beside_one_placeholder_are_two_people():
    """A placeholder number that several records share joins none of them, and each disagreement is counted."""
    known = people()
    keys = [known.resolve((mrn(value), PLACEHOLDER)) for value in ("100", "200", "300")]
    assert len(set(keys)) == 3
    assert known.conflicts == 2


def test_a_second_number_leads_to_the_same_patient():
    """A number first met beside a known one is that patient's from then on."""
    known = people()
    key = known.resolve((mrn("1"), Identifier("NHS", "42")))
    assert known.resolve((Identifier("NHS", "42"),)) == key
    assert known.conflicts == 0


def test_numbers_of_two_known_patients_in_one_message_are_counted_and_join_nobody():
    """A message that names two known patients goes to the one it names first; the conflict is counted."""
    known = people()
    first, second = known.resolve((mrn("1"),)), known.resolve((Identifier("NHS", "42"),))
    assert known.resolve((mrn("1"), Identifier("NHS", "42"))) == first
    assert known.resolve((Identifier("NHS", "42"),)) == second
    assert known.conflicts == 1


def test_a_merge_moves_every_number_of_every_retired_record():
    """After a merge, each number that shared a key with a retired one leads to the survivor."""
    known = people()
    survivor = known.resolve((mrn("1"), Identifier("NHS", "42")))
    known.resolve((mrn("2"), Identifier("LOCAL", "b")))
    third = known.resolve((mrn("3"),))
    retired = known.merge(survivor, (Identifier("NHS", "42"), mrn("2"), mrn("3")))
    assert len(retired) == 2
    assert third in retired
    for name in (mrn("1"), mrn("2"), mrn("3"), Identifier("LOCAL", "b")):
        assert known.resolve((name,)) == survivor


def test_a_merge_into_oneself_retires_nobody():
    """A40 with the survivor's own number in MRG-1 changes nothing."""
    known = people()
    survivor = known.resolve((mrn("1"),))
    assert known.merge(survivor, (mrn("1"),)) == ()


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True), max_size=12))
def test_what_is_stored_restores_the_map(messages: list[list[str]]):
    """A map rebuilt from the links it gave to be stored resolves everything alike."""
    known = people()
    for names in messages:
        known.resolve(tuple(Identifier(f"A{ord(name) % 2}", name) for name in names))
    links = {Identifier(authority, value): key for authority, value, key in known.take_unsaved()}
    again = IdentityMap(Pseudonyms(b"key"), links)
    for name in links:
        assert again.resolve((name,)) == known.resolve((name,))


def test_a_visit_has_one_name_from_whichever_feed():
    """The pseudonym of a visit depends on the patient and the number alone."""
    known = people()
    assert known.encounter("p", "V1") == known.encounter("p", "V1")
    assert known.encounter("p", "V1") != known.encounter("q", "V1")
    assert known.encounter("p", "") == ""
