"""Claims about message types that a site lets pass: accepted, counted by type, and nothing of them is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import acknowledge, code_of
from connectors.hl7v2.codec import decode, decode_piece
from connectors.hl7v2.framing import split
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.tolerated import tolerated_type
from events import from_iso

SETTINGS = Hl7Settings()
NOON = from_iso("2026-04-19T12:00:00Z")


def order(kind: str = "ORM^O01", control: str = "77", version: str = "2.5", more: str = "") -> bytes:
    """Make an order sent at noon."""
    header = f"MSH|^~\\&|LAB|MAIN|||20260419120000||{kind}|{control}|P|{version}"
    return f"{header}\rPID|1||42^^^HOSP^MR\rORC|NW|P1\rOBR|1|P1||718-7^Hb^LN{more}".encode()


@pytest.mark.parametrize("kind", ["ORM^O01", "OMG^O19", "OML^O21", "OML^O33", "OMI^O23"])
def test_an_order_is_accepted_and_nothing_of_it_is_used(kind: str) -> None:
    """No event, no patient made known; the message keeps its name, its time and a hash, and is answered AA."""
    decoded = decode(order(kind), SETTINGS)
    assert isinstance(decoded, Decoded)
    assert (decoded.kind, decoded.events, decoded.subject, decoded.encounter) == (kind, (), (), "")
    assert (decoded.message_id, decoded.sent_time, tolerated_type(decoded)) == ("77", NOON, kind[:3])
    assert code_of(acknowledge(order(kind), "stored", now=0, control_id="1")) == "AA"


def test_an_order_sent_again_is_the_same_message() -> None:
    """A repeat has the hash of the first; another content or control id has another."""
    sent = (order(), order(), order(control="78"), order(more="x"))
    hashes = [one.content_hash for data in sent if isinstance(one := decode(data, SETTINGS), Decoded)]
    assert hashes[0] == hashes[1]
    assert (len(hashes), len(set(hashes))) == (4, 3)


def test_an_order_needs_no_patient() -> None:
    """An order whose PID is missing is as good as any other: nothing of it is used."""
    assert isinstance(decode(order().replace(b"PID|1||42^^^HOSP^MR\r", b""), SETTINGS), Decoded)


@pytest.mark.parametrize(
    ("data", "reason", "position"),
    [
        (order("MDM^T02"), RefusalReason.UNSUPPORTED_TYPE, "MSH-9"),
        (order("ORU^W01"), RefusalReason.UNSUPPORTED_TYPE, "MSH-9"),
        (order("ORM"), RefusalReason.MISSING_FIELD, "MSH-9"),
        (order(control=""), RefusalReason.MISSING_FIELD, "MSH-10"),
        (order(version="9.9"), RefusalReason.UNSUPPORTED_VERSION, "MSH-12"),
        (order(more="\rMSH|^~\\&|LAB|MAIN|||20260419120000||ORU^R01|78|P|2.5"), RefusalReason.GARBAGE, "MSH[2]"),
    ],
)
def test_what_is_not_let_pass_is_refused_as_ever(data: bytes, reason: RefusalReason, position: str) -> None:
    """Other types, and an order with a broken header or with a second message inside, are refused by name."""
    refusal = decode(data, SETTINGS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position) == (reason, position)


def test_a_site_says_which_types_it_lets_pass() -> None:
    """The list is the site's: documents where it says so, no orders where it leaves them out."""
    chosen = Hl7Settings(tolerated_types=frozenset({"MDM"}))
    assert isinstance(decode(order("MDM^T02"), chosen), Decoded)
    assert isinstance(decode(order(), chosen), Refusal)


@pytest.mark.parametrize("name", ["ADT", "ORU", "orm", "ORM^O01", ""])
def test_what_is_read_is_never_let_pass(name: str) -> None:
    """ADT and ORU cannot be let pass: a trigger of theirs that is not read must be seen. Names are three letters."""
    with pytest.raises(ValueError, match="tolerated_types"):
        Hl7Settings(tolerated_types=frozenset({name}))


def test_a_strict_route_takes_orders_too() -> None:
    """Strictness is about values: an order has none that are used."""
    strict = Hl7Settings(routes=(Route("lab", sender="LAB|*", strict=True),))
    assert isinstance(decode(order(), strict), Decoded)


def test_what_is_not_let_pass_has_no_tolerated_type() -> None:
    """A result without an event for us is no order."""
    assert tolerated_type(decode(order("ORU^R01"), SETTINGS)) == ""


def test_orders_of_others_are_let_pass(shared_data: Path) -> None:
    """Every order of the shared corpora that names itself is accepted without an event."""
    seen = 0
    for folder in ("linuxforhealth", "cosyte"):
        for path in sorted((shared_data / "hl7v2" / folder).rglob("*.hl7")):
            for piece in split(path.read_bytes()):
                result = decode_piece(piece, SETTINGS)
                if isinstance(result, Decoded) and result.kind[:3] in SETTINGS.tolerated_types:
                    seen += 1
                    assert (result.events, tolerated_type(result)) == ((), result.kind[:3])
    assert seen >= 15
