"""Claims about messages that name a patient by very many identifiers: bounded, kept, and cheap to refuse."""

from __future__ import annotations

import msgspec
import pytest

from connectors.decoded import Decoded, Identifier, Refusal
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_oru
from connectors.hl7v2.settings import Hl7Settings
from events import Envelope, Location
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import IDENTIFIERS_MAX, DeadLetter, Parser, RecentMessages

START = 1_767_225_600_000
REFUSED = ("invalid_value", "subject")


def named(count: int) -> bytes:
    """Render a message whose PID-3 has so many identifiers, each of its own authority."""
    data = render_oru(
        control_id=f"C{count}",
        sent_time=START,
        feed="LAB|MAIN",
        patient=Identifier("A0", "1"),
        encounter="V1",
        location=Location("W1"),
        observed_time=START,
        order="O1",
        results=[Result("8867-4", value=72.0, unit="/min")],
    )
    first = next(line.split(b"|")[3] for line in data.split(b"\r") if line.startswith(b"PID"))
    return data.replace(first, b"~".join(first.replace(b"A0", b"A%d" % number) for number in range(count)), 1)


def read(count: int) -> Decoded:
    decoded = decode(named(count), Hl7Settings())
    assert isinstance(decoded, Decoded)
    assert len(decoded.subject) == count
    return decoded


def new_parser() -> Parser:
    return Parser(IdentityMap(Pseudonyms(b"key")), RecentMessages())


def test_more_identifiers_than_are_taken_are_a_dead_letter() -> None:
    """A message with one identifier more than IDENTIFIERS_MAX is a dead letter, and none of them stays in memory."""
    parser = new_parser()
    parsed, _ = parser.step(read(IDENTIFIERS_MAX + 1), START, "here")
    assert isinstance(parsed, DeadLetter)
    assert (str(parsed.reason), parsed.fault) == REFUSED
    assert parser.take_identities() == []


def test_as_many_identifiers_as_are_taken() -> None:
    """A message with exactly IDENTIFIERS_MAX identifiers is taken, and each of them leads to its patient."""
    parser = new_parser()
    parsed, _ = parser.step(read(IDENTIFIERS_MAX), START, "here")
    assert isinstance(parsed, Envelope)
    assert {key for _, _, key, _ in parser.take_identities()} == {parsed.patient}


@pytest.mark.parametrize("retired", [1, IDENTIFIERS_MAX])
def test_retired_identifiers_count_too(retired: int) -> None:
    """The identifiers that a merge retires are counted with those of the patient who stays."""
    parser = new_parser()
    numbers = tuple(Identifier("MRN", str(number)) for number in range(retired))
    merge = msgspec.structs.replace(read(IDENTIFIERS_MAX + 1 - retired), retired=numbers)
    parsed, _ = parser.step(merge, START, "here")
    assert isinstance(parsed, DeadLetter)
    assert parser.take_identities() == []


def test_a_dead_letter_of_identifiers_leaves_nothing_in_the_journal(ward) -> None:
    """The service keeps such a message as a dead letter and no link of it; the next one of its patient is taken."""
    refused = ward.send(named(IDENTIFIERS_MAX + 1), 1)
    assert isinstance(refused, DeadLetter)
    assert list(ward.service.journal.identities()) == []
    assert isinstance(ward.send(named(IDENTIFIERS_MAX), 2), Envelope)
    assert len(list(ward.service.journal.identities())) == IDENTIFIERS_MAX


class Counted(str):
    """Text that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_who_is_meant_is_found_in_linear_time() -> None:
    """Of a patient with N identifiers and a message with N others, some few comparisons an identifier are made."""
    count = IDENTIFIERS_MAX
    known = IdentityMap(Pseudonyms(b"key"))
    shared = Identifier("SHARED", "1")
    known.resolve((shared, *(Identifier(Counted(f"A{number}"), Counted("1")) for number in range(count))))
    Counted.comparisons = 0
    known.resolve((Identifier("NEW", "1"), *(Identifier(Counted(f"B{n}"), Counted("1")) for n in range(count)), shared))
    assert Counted.comparisons <= 10 * count


def test_a_refusal_stays_what_it_is() -> None:
    """What the codec refused is a dead letter with the codec's own reason."""
    refusal = decode(b"garbage", Hl7Settings())
    assert isinstance(refusal, Refusal)
    parsed, _ = new_parser().step(refusal, START, "here")
    assert isinstance(parsed, DeadLetter)
    assert parsed.reason is refusal.reason
