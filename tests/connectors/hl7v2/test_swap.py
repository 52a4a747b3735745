"""Claims about A17: two patients change places by one message, or nobody does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import acknowledge
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from events import Demographics, Location, Transfer, from_iso

SETTINGS = Hl7Settings()
NOON = from_iso("2026-04-19T12:00:00Z")
HEADER = "MSH|^~\\&|EPIC|MAIN|||20260419121500||ADT^A17^ADT_A17|77|P|2.5.1"
EVN = "EVN|A17|20260419121000||||20260419120000"
ROTH = "PID|1||42^^^HOSP^MR"
BAUER = "PID|2||43^^^HOSP^MR"
TO_TWO = "PV1|1|I|A^1^2^HOSP|||A^1^1^HOSP"
TO_ONE = "PV1|2|I|A^1^1^HOSP|||A^1^2^HOSP"


def a17(*segments: str) -> bytes:
    """Make an A17 whose event is at noon and was recorded ten minutes later."""
    return "\r".join((HEADER, EVN, *segments)).encode()


def both(data: bytes) -> tuple[Decoded, Decoded]:
    """Decode what must decode, to what it says of each of the two."""
    decoded = decode(data, SETTINGS)
    assert isinstance(decoded, Decoded), decoded
    assert decoded.beside is not None
    return decoded, decoded.beside


def test_each_of_the_two_moves() -> None:
    """Each patient is transferred to the place in the PV1 after his PID, when the swap occurred (EVN-6)."""
    first, second = both(a17(ROTH, TO_TWO, BAUER, TO_ONE))
    assert (first.subject, first.events) == (
        (Identifier("HOSP", "42"),),
        (Transfer(NOON, Location("A", "1", "2", "HOSP")),),
    )
    assert (second.subject, second.events) == (
        (Identifier("HOSP", "43"),),
        (Transfer(NOON, Location("A", "1", "1", "HOSP")),),
    )
    assert [(one.kind, one.message_id, one.event_time) for one in (first, second)] == [("ADT^A17", "77", NOON)] * 2


def test_the_whole_grammar() -> None:
    """PD1, PV2, DB1 and OBX may stand with each patient (v2.5.1, ADT_A17), and move nobody; a PID tells who he is."""
    more = ["PV2||", "DB1|1", "OBX|1|NM|8867-4^^LN||72|/min|||||F"]
    born = ROTH + "||Doe^J||19420902|F"
    first, second = both(a17(born, "PD1|", TO_TWO, *more, BAUER, "PD1|", TO_ONE, *more))
    assert first.events == (
        Demographics(NOON, "1942-09-02", "female", None),
        Transfer(NOON, Location("A", "1", "2", "HOSP")),
    )
    assert second.events == (Transfer(NOON, Location("A", "1", "1", "HOSP")),)


def test_each_has_his_own_visit() -> None:
    """PV1-19 is of the patient whose PV1 it stands in."""
    visits = [f"PV1||I|A^1^{bed}|||||||||||||||| V{bed}".replace(" ", "") for bed in (2, 1)]
    first, second = both(a17(ROTH, visits[0], BAUER, visits[1]))
    assert (first.encounter, second.encounter) == ("V2", "V1")


def test_each_half_is_known_again_by_itself() -> None:
    """The two halves have identities of their own, the same ones when the message is sent again with a new MSH-7."""
    data = a17(ROTH, TO_TWO, BAUER, TO_ONE)
    hashes = [one.content_hash for one in both(data)]
    assert len(set(hashes)) == 2
    assert [one.content_hash for one in both(data.replace(b"20260419121500", b"20260419123000"))] == hashes


def test_set_ids_may_be_absent_or_all_alike() -> None:
    """Many senders write 1 into every PV1-1, or nothing: the order of segments is what counts."""
    for number in ("1", ""):
        first, _ = both(a17(ROTH, f"PV1|{number}|I|A^1^2", BAUER, f"PV1|{number}|I|A^1^1"))
        assert first.events == (Transfer(NOON, Location("A", "1", "2")),)


def test_wards_without_beds_may_be_one() -> None:
    """Where a feed tells no beds, both may be said to lie on one ward."""
    first, second = both(a17(ROTH, "PV1||I|A", BAUER, "PV1||I|A"))
    assert first.events == second.events == (Transfer(NOON, Location("A")),)


@pytest.mark.parametrize(
    ("segments", "reason", "position"),
    [
        ((), RefusalReason.MISSING_SEGMENT, "PID[1]"),
        ((ROTH, TO_TWO), RefusalReason.MISSING_SEGMENT, "PID[2]"),
        ((ROTH, TO_TWO, BAUER), RefusalReason.MISSING_SEGMENT, "PV1[2]"),
        ((ROTH, BAUER, TO_ONE), RefusalReason.MISSING_SEGMENT, "PV1[1]"),
        ((ROTH, BAUER, TO_TWO, TO_ONE), RefusalReason.MISSING_SEGMENT, "PV1[1]"),
        ((ROTH, TO_TWO, TO_ONE, BAUER), RefusalReason.INVALID_VALUE, "PV1[2]"),
        ((TO_TWO, ROTH, TO_ONE, BAUER), RefusalReason.INVALID_VALUE, "PV1[1]"),
        ((ROTH, TO_ONE, BAUER, TO_TWO), RefusalReason.INVALID_VALUE, "PV1[1]-1"),
        ((ROTH, TO_TWO, BAUER, TO_ONE, "PID|3||44^^^HOSP^MR"), RefusalReason.INVALID_VALUE, "PID[3]"),
        ((ROTH, TO_TWO, ROTH, TO_ONE), RefusalReason.INVALID_VALUE, "PID[2]-3"),
        ((ROTH + "~9^^^NHS^NH", TO_TWO, "PID|2||9^^^NHS^NH", TO_ONE), RefusalReason.INVALID_VALUE, "PID[2]-3"),
        ((ROTH, TO_TWO, "PID|2||^^^HOSP", TO_ONE), RefusalReason.MISSING_IDENTIFIER, "PID[2]-3"),
        (("PID|1||", TO_TWO, BAUER, TO_ONE), RefusalReason.MISSING_IDENTIFIER, "PID[1]-3"),
        ((ROTH, TO_TWO, BAUER, "PV1|2|I"), RefusalReason.MISSING_FIELD, "PV1[2]-3"),
        ((ROTH, "PV1|1|I", BAUER, TO_ONE), RefusalReason.MISSING_FIELD, "PV1[1]-3"),
        ((ROTH, TO_TWO, BAUER, TO_TWO), RefusalReason.INVALID_VALUE, "PV1[2]-3"),
        ((ROTH, TO_TWO, HEADER, BAUER, TO_ONE), RefusalReason.GARBAGE, "MSH[2]"),
    ],
)
def test_what_is_no_swap_moves_nobody(segments: tuple[str, ...], reason: RefusalReason, position: str) -> None:
    """One patient, three, one twice, a PV1 that is missing, doubled, crossed or without a place: refused whole."""
    refusal = decode(a17(*segments), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position, refusal.message_id) == (reason, position, "77")


def test_a_shared_placeholder_does_not_make_two_people_one() -> None:
    """Two who have record numbers of their own beside one placeholder number are two, as everywhere."""
    same = "~000000000^^^SSA^SS"
    first, second = both(a17(ROTH + same, TO_TWO, BAUER + same, TO_ONE))
    assert first.subject[0] != second.subject[0]


def test_the_sender_is_told_where() -> None:
    """The answer to a refused swap names the segment by its number."""
    refusal = decode(a17(ROTH, TO_TWO, BAUER), SETTINGS)
    assert isinstance(refusal, Refusal)
    answer = acknowledge(a17(ROTH, TO_TWO, BAUER), refusal, now=0, control_id="A1")
    assert b"MSA|AE|77" in answer
    assert b"ERR||PV1^2|100^" in answer


@given(st.permutations([ROTH, TO_TWO, BAUER, TO_ONE]))
def test_in_no_order_does_anybody_get_the_others_bed(segments: list[str]) -> None:
    """However the four segments are shuffled: the swap as it is meant, or a refusal."""
    result = decode(a17(*segments), SETTINGS)
    if isinstance(result, Refusal):
        return
    assert result.beside is not None
    places = {one.subject[0].value: one.events[-1] for one in (result, result.beside)}
    assert places == {
        "42": Transfer(NOON, Location("A", "1", "2", "HOSP")),
        "43": Transfer(NOON, Location("A", "1", "1", "HOSP")),
    }


def test_it_is_kept_and_read_as_it_is() -> None:
    """A source that is sorted on disk gives both halves back."""
    decoded, _ = both(a17(ROTH, TO_TWO, BAUER, TO_ONE))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(decoded), type=Decoded) == decoded
