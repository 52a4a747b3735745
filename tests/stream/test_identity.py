"""Who is meant: two people never become one by a shared number, and only a merge joins two records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Identifier
from stream.identity import USED_STEP_MS, IdentityMap, Link, Pseudonyms, keys_to_load

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
    links = {Identifier(link.authority, link.value): link.patient for link in known.take_unsaved()}
    again = IdentityMap(Pseudonyms(b"key"), links)
    for name in links:
        assert again.resolve((name,)) == known.resolve((name,))


def test_a_visit_has_one_name_from_whichever_feed():
    """The pseudonym of a visit depends on the patient and the number alone."""
    known = people()
    assert known.encounter("p", "V1") == known.encounter("p", "V1")
    assert known.encounter("p", "V1") != known.encounter("q", "V1")
    assert known.encounter("p", "") == ""


NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)


def step(known: IdentityMap, names: list[str], retired: list[str], at: int) -> None:
    identifiers = tuple(Identifier(f"A{ord(name) % 2}", name) for name in names)
    key = known.resolve(identifiers)
    known.touch(key, at)
    known.merge(key, tuple(Identifier(f"A{ord(name) % 2}", name) for name in retired))
    known.unmerge(identifiers[:1], tuple(Identifier(f"A{ord(name) % 2}", name) for name in retired[1:]))
    known.forget([known.resolve((Identifier("A1", "a"),))], at - 3 * USED_STEP_MS)


def inside(known: IdentityMap) -> object:
    links = {key: list(names) for key, names in known._names_of.items() if names}
    return (dict(known._key_of), links, dict(known._used), dict(known._former), known.conflicts)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6), st.lists(st.tuples(NAMES, NAMES), max_size=6))
def test_what_was_undone_never_was(stored: list, failed: list):
    """After messages, merges and forgetting that were not stored, the map is as it was and has nothing to store."""
    known = people()
    for number, (names, retired) in enumerate(stored):
        step(known, names, retired, number * USED_STEP_MS)
    known.take_unsaved()
    known.take_former()
    known.settle()
    before = inside(known)
    for number, (names, retired) in enumerate(failed):
        step(known, names, retired, (10 + number) * USED_STEP_MS)
    known.undo()
    assert inside(known) == before
    assert (known.take_unsaved(), known.take_former()) == ([], [])


def test_when_a_patient_was_named_is_noted_once_a_day():
    """All links of a patient are stored anew a day after they last were, and not more often."""
    known = people()
    key = known.resolve((mrn("1"), Identifier("NHS", "42")))
    known.touch(key, 1_000)
    assert len(known.take_unsaved()) == 2
    known.touch(key, 999 + USED_STEP_MS)
    assert (known.take_unsaved(), known.used(key)) == ([], 1_000)
    known.touch(key, 1_000 + USED_STEP_MS)
    assert len(known.take_unsaved()) == 2
    assert known.used(key) == 1_000 + USED_STEP_MS


def local(value: str) -> Identifier:
    return Identifier("fhir/Patient", value)


def test_a_servers_own_id_is_joined_to_the_number_it_turns_out_to_mean():
    """Results under a server's id alone are of a key given for want of a better one; a message that ties the id to a
    known number retires it into the number's key, once, and it is no conflict.
    """
    known = people()
    provisional, numbered = known.resolve((local("7"),)), known.resolve((mrn("100"),))
    assert provisional != numbered
    assert known.resolve((mrn("100"), local("7"))) == numbered
    assert known.take_joined() == (provisional,)
    assert known.resolve((local("7"),)) == known.resolve((local("7"), mrn("100"))) == numbered
    assert known.take_joined() == ()
    assert known.conflicts == 0


def test_a_servers_id_beside_the_numbers_of_two_people_joins_nobody():
    """Where a message names two known numbers, an id beside them is left as it is, and the disagreement is counted."""
    known = people()
    keys = [known.resolve((name,)) for name in (mrn("100"), mrn("200"), local("7"))]
    assert known.resolve((mrn("100"), mrn("200"), local("7"))) == keys[0]
    assert known.resolve((local("7"),)) == keys[2]
    assert (known.take_joined(), known.conflicts) == ((), 1)


def test_what_joined_an_id_is_taken_back_with_its_batch():
    """Where the journal could not store the batch, the id leads to its own key again, and the next try joins it."""
    known = people()
    provisional, numbered = known.resolve((local("7"),)), known.resolve((mrn("100"),))
    known.settle()
    known.resolve((mrn("100"), local("7")))
    assert known.take_joined() == (provisional,)
    known.undo()
    assert known.resolve((local("7"),)) == provisional
    assert known.resolve((mrn("100"), local("7"))) == numbered
    assert known.take_joined() == (provisional,)


def test_an_unmerge_gives_everybody_who_was_retired_his_key_again():
    """All numbers that shared the retired key lead to it again, those of the survivor stay; told again, nothing
    happens.
    """
    known = people()
    survivor = known.resolve((mrn("1"), Identifier("NHS", "1")))
    retired = known.resolve((mrn("2"), Identifier("NHS", "2")))
    known.merge(survivor, (mrn("2"),))
    assert known.named((Identifier("NHS", "2"),), survivor) == (retired,)
    assert known.unmerge((mrn("1"),), (mrn("2"),)) == (survivor, retired)
    assert known.resolve((Identifier("NHS", "2"),)) == known.resolve((mrn("2"),)) == retired
    assert known.resolve((Identifier("NHS", "1"),)) == survivor
    assert known.named((mrn("2"),), retired) == ()
    assert known.unmerge((mrn("1"),), (mrn("2"),)) is None


def test_an_unmerge_named_the_other_way_round_restores_the_retired_one():
    """Who is restored follows from who was retired, not from who is named first."""
    known = people()
    survivor, retired = known.resolve((mrn("1"),)), known.resolve((mrn("2"),))
    known.merge(survivor, (mrn("2"),))
    assert known.unmerge((mrn("2"),), (mrn("1"),)) == (survivor, retired)


def test_a_chain_of_merges_is_parted_where_it_is_said_to_be():
    """A into B, B into C: parting B from C takes A along; parting A from the rest leaves B in C."""
    for one, other, expected in (
        ("C", "B", {"A": "B", "B": "B", "C": "C"}),
        ("C", "A", {"A": "A", "B": "C", "C": "C"}),
    ):
        known = people()
        keys = {name: known.resolve((mrn(name),)) for name in "ABC"}
        known.merge(keys["B"], (mrn("A"),))
        known.merge(keys["C"], (mrn("B"),))
        assert known.named((mrn("A"),), keys["C"]) == (keys["A"], keys["B"])
        assert known.unmerge((mrn(one),), (mrn(other),)) == (keys["C"], keys[other])
        assert {name: known.resolve((mrn(name),)) for name in "ABC"} == {k: keys[v] for k, v in expected.items()}


def test_two_who_were_never_merged_but_named_together_are_two_from_then_on():
    """Numbers that one message once named beside each other are parted by a new key; nobody known is unmerged twice."""
    known = people()
    key = known.resolve((mrn("1"), Identifier("LAB", "9")))
    parted = known.unmerge((mrn("1"),), (Identifier("LAB", "9"),))
    assert parted is not None
    assert parted[0] == key
    assert known.resolve((Identifier("LAB", "9"),)) == parted[1] != key
    assert known.resolve((mrn("1"),)) == key
    assert known.unmerge((mrn("1"),), (mrn("1"),)) is None
    assert known.unmerge((mrn("1"),), (mrn("7"),)) is None
    assert known.conflicts == 1


def test_a_stand_in_key_leaves_no_way_back():
    """A server's own id that is joined to its number is that number's for good: no later message is told apart."""
    known = people()
    provisional, numbered = known.resolve((local("7"),)), known.resolve((mrn("100"),))
    known.resolve((mrn("100"), local("7")))
    assert known.take_joined() == (provisional,)
    assert known.named((local("7"),), numbered) == ()


def test_another_number_of_the_same_patient_keeps_his_key():
    """A47: who was known by one number is known by the new one too, under the key he had; nobody is retired."""
    known = people()
    key = known.resolve((mrn("1"), Identifier("NHS", "9")))
    assert known.renumber((mrn("2"), Identifier("NHS", "9")), (mrn("1"),)) == (key, ())
    assert known.resolve((mrn("2"),)) == known.resolve((mrn("1"),)) == known.resolve((mrn("2"), Identifier("NHS", "9")))
    assert known.conflicts == 0


def test_a_new_number_under_which_results_came_already_joins_what_was_known():
    """A47 told after the first result under the new number: what is kept of the former number is retired into it."""
    known = people()
    old, new = known.resolve((mrn("1"),)), known.resolve((mrn("2"),))
    assert known.renumber((mrn("2"),), (mrn("1"),)) == (new, (old,))
    assert known.resolve((mrn("1"),)) == new
    assert known.renumber((mrn("2"),), (mrn("1"),)) == (new, ())


def test_a_changed_number_joins_nobody_by_a_placeholder():
    """A47 beside a number that others have too leaves those alone: only the number it names is his."""
    known = people()
    other = known.resolve((mrn("7"), Identifier("NHS", "0000000000")))
    key = known.resolve((mrn("1"),))
    assert known.renumber((mrn("2"), Identifier("NHS", "0000000000")), (mrn("1"),)) == (key, ())
    assert known.resolve((mrn("7"),)) == other
    assert known.conflicts == 1


def test_a_former_placeholder_joins_nobody():
    """MRG-1 of an A47 or A40 beside a number that others have too retires whom it names first, and nobody else."""
    placeholder = Identifier("NHS", "0000000000")
    for told in ("renumber", "merge"):
        known = people()
        other = known.resolve((mrn("7"), placeholder))
        key, survivor = known.resolve((mrn("1"),)), known.resolve((mrn("3"),))
        if told == "renumber":
            assert known.renumber((mrn("2"),), (mrn("1"), placeholder)) == (key, ())
        else:
            assert known.merge(survivor, (mrn("1"), placeholder)) == (key,)
        assert known.resolve((mrn("7"), placeholder)) == known.resolve((mrn("7"),)) == other
        assert known.conflicts == 1


def test_of_somebody_unknown_both_numbers_lead_to_one_key():
    """A47 of a patient who was never heard of makes him known by both numbers, and retires nobody."""
    known = people()
    key, retired = known.renumber((mrn("2"),), (mrn("1"),))
    assert retired == ()
    assert known.resolve((mrn("1"),)) == key


class Links:
    """What a host keeps of the map."""

    def __init__(self) -> None:
        self.links: dict[Identifier, Link] = {}
        self.used: dict[str, int] = {}

    def part(self, names: list[Identifier]) -> IdentityMap:
        """Make the part of the map that is needed for these names."""
        found = {name: self.links[name] for name in names if name in self.links}
        keys = keys_to_load(Pseudonyms(b"key"), names, found)
        held = {name: link for name, link in self.links.items() if link.patient in keys} | found
        return IdentityMap(
            Pseudonyms(b"key"),
            {name: link.patient for name, link in held.items()},
            used=[(key, at) for key, at in self.used.items() if key in keys],
            former={name: link.former for name, link in held.items()},
        )

    def keep(self, known: IdentityMap) -> None:
        """Store what is new."""
        for link in known.take_unsaved():
            self.links[Identifier(link.authority, link.value)] = link
            self.used[link.patient] = known.used(link.patient)


MESSAGES = st.tuples(st.sampled_from(["named", "merge", "unmerge", "renumber"]), NAMES, NAMES)
AUTHORITIES = ("A0", "A1", "fhir/Patient")


def identifiers_of(names: list[str]) -> tuple[Identifier, ...]:
    return tuple(Identifier(AUTHORITIES[ord(name) % 3], name) for name in names)


def answer(known: IdentityMap, message: tuple[str, list[str], list[str]], at: int) -> object:
    """Do to a map what [parse] does; give all that comes of it."""
    kind, one, other = message
    subject, others = identifiers_of(one), identifiers_of(other)
    if kind == "unmerge":
        return known.unmerge(subject, others)
    if kind == "renumber":
        return known.renumber(subject, others), known.take_joined()
    key = known.resolve(subject)
    known.touch(key, at)
    merged = known.merge(key, others) if kind == "merge" else ()
    return key, known.take_joined(), merged, known.named(subject, key)


@given(st.lists(st.lists(MESSAGES, min_size=1, max_size=3), max_size=8))
def test_a_part_of_the_map_answers_as_the_whole(batches: list):
    """A map of the links that `keys_to_load` asks for gives every batch the answers, and the stored links, of the whole
    map.
    """
    whole, store, at = people(), Links(), 0
    stored: dict[Identifier, Link] = {}
    for batch in batches:
        names = [name for _, one, other in batch for name in identifiers_of([*one, *other])]
        part = store.part(names)
        conflicts = whole.conflicts
        for message in batch:
            at += USED_STEP_MS // 2
            assert answer(part, message, at) == answer(whole, message, at)
        assert part.conflicts == whole.conflicts - conflicts
        store.keep(part)
        stored |= {Identifier(link.authority, link.value): link for link in whole.take_unsaved()}
    assert store.links == stored


def test_a_servers_patient_that_a_link_retired_is_that_patient_with_all_his_numbers():
    """Patient.link first, the retired Patient's own resource later: no second patient; an unmerge parts all of him."""
    people = IdentityMap(Pseudonyms(b"key"))
    survivor = people.resolve((Identifier("MRN", "1"), Identifier("ehr/Patient", "p1")))
    [retired] = people.merge(survivor, (Identifier("ehr/Patient", "p2"),))
    assert people.resolve((Identifier("MRN", "2"), Identifier("ehr/Patient", "p2"))) == survivor
    assert people.find((Identifier("MRN", "2"),)) == survivor
    assert people.conflicts == 0
    assert people.unmerge((Identifier("MRN", "1"),), (Identifier("MRN", "2"),)) == (survivor, retired)
    assert people.find((Identifier("ehr/Patient", "p2"),)) == people.find((Identifier("MRN", "2"),)) == retired


def test_a_number_that_was_retired_and_is_given_to_somebody_else_joins_nobody():
    """What is true of a server's ids is not of others: a placeholder number that was merged is used again."""
    people = IdentityMap(Pseudonyms(b"key"))
    survivor = people.resolve((Identifier("MRN", "1"),))
    people.merge(survivor, (Identifier("TEMP", "9"),))
    assert people.resolve((Identifier("MRN", "2"), Identifier("TEMP", "9"))) != survivor
