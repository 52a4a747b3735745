"""A record of ack.ingest.v1 is an act of whoever signed it, or is refused; without people, as in earlier releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.acts.audit import ActNote
from connectors.acts.door import sign_act, token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.decoded import Decoded, Refusal
from connectors.signing import generate_key
from events import Acknowledgement, to_iso
from stream.live.act_records import ActReader
from stream.live.parsing import ACKNOWLEDGEMENTS, read_item
from stream.live.stage import LogItem
from stream.settings import Settings

NOW = 1_770_000_000_000
PAGER, GATEWAY = generate_key(), generate_key()
ACTORS = {
    "pager": Person("ward_system", ("acknowledge",), wards=("Cedar",), public_key=PAGER.public),
    "doctor-7": Person("doctor", ("acknowledge", "limit"), wards=("Cedar",), token_sha256=token_hash("d" * 43)),
}
PEOPLE = PeopleSettings(actors=ACTORS, gateway_keys=(GATEWAY.public,))
HERE, THERE = "c" * 32, "0a" * 16
WARDS = {HERE: "Cedar", THERE: "Oak"}
SAID = {"kind": "acknowledge", "act_id": "a" * 16, "patient": HERE, "alert_id": "a-1", "at": to_iso(NOW - 5_000)}
PLAIN = {"patient": HERE, "alert_id": "a-1", "actor": "nurse", "at": to_iso(NOW - 5_000)}
Headers = tuple[tuple[str, bytes], ...]


def data_of(**fields: Any) -> bytes:
    return json.dumps({**SAID, **fields}).encode()


def signed(data: bytes, private_pem: bytes = PAGER.private_pem, actor: str = "") -> Headers:
    """Give the headers of a signed record."""
    signature = sign_act(private_pem, data, actor)
    headers = (("ws_key_id", signature.key_id.encode()), ("ws_signature", signature.hex.encode()))
    return headers if not actor else (*headers, ("ws_actor", actor.encode()))


def read(
    data: bytes,
    headers: Headers = (),
    people: PeopleSettings | None = PEOPLE,
    *,
    written: int = NOW,
    told: list[ActNote] | None = None,
) -> Decoded | Refusal:
    """Read one record that the broker wrote at `written`."""
    acts = ActReader(people, WARDS.get, (told if told is not None else []).append)
    [taken] = read_item(ACKNOWLEDGEMENTS, 3, LogItem(7, b"PAGER", data, headers, written), Settings(), acts).messages
    return taken.decoded


def test_a_signed_act_is_its_signers() -> None:
    """What a registered key signed is an event of that actor, and is told."""
    told: list[ActNote] = []
    decoded = read(data_of(), signed(data_of()), told=told)
    assert isinstance(decoded, Decoded)
    assert decoded.events == (Acknowledgement(NOW - 5_000, "a-1", "pager"),)
    assert [(one.outcome, one.actor, one.kind) for one in told] == [("let_in", "pager", "acknowledge")]


def test_a_gateways_act_is_whose_it_says() -> None:
    """What a gateway signed for somebody is his; where the patient lies the gateway has looked."""
    data = data_of(patient=THERE)
    decoded = read(data, signed(data, GATEWAY.private_pem, "doctor-7"))
    assert isinstance(decoded, Decoded)
    assert decoded.events == (Acknowledgement(NOW - 5_000, "a-1", "doctor-7"),)


def test_a_signed_plain_acknowledgement_is_its_signers() -> None:
    """The actor whom a plain acknowledgement names does not count where somebody signed it."""
    data = json.dumps(PLAIN).encode()
    decoded = read(data, signed(data))
    assert isinstance(decoded, Decoded)
    assert decoded.events == (Acknowledgement(NOW - 5_000, "a-1", "pager"),)


@pytest.mark.parametrize(
    ("data", "headers", "reason", "place"),
    [
        (data_of(), (), "unauthorised", "signature"),
        (json.dumps(PLAIN).encode(), (), "unauthorised", "signature"),
        (data_of(), signed(data_of(), generate_key().private_pem), "unauthorised", "signature"),
        (data_of(alert_id="a-2"), signed(data_of()), "forged", "signature"),
        (data_of(), (*signed(data_of()), ("ws_actor", b"doctor-7")), "unauthorised", "signature"),
        (data_of(), signed(data_of(), GATEWAY.private_pem, "left"), "unauthorised", "actor"),
        (data_of(), signed(data_of(), GATEWAY.private_pem, "pager"), "unauthorised", "actor"),
        (data_of(kind="agree"), signed(data_of(kind="agree")), "not_entitled", "$.kind"),
        (data_of(patient=THERE), signed(data_of(patient=THERE)), "not_entitled", "$.patient"),
        (data_of(patient="f" * 32), signed(data_of(patient="f" * 32)), "not_entitled", "$.patient"),
    ],
    ids=[
        "unsigned",
        "plain, unsigned",
        "a stranger",
        "altered",
        "for another",
        "who left",
        "who signs",
        "right",
        "ward",
        "unknown",
    ],
)
def test_what_nobody_may_do_is_refused(data: bytes, headers: Headers, reason: str, place: str) -> None:
    """Unsigned, forged, or not its signer's to do: refused with its reason and place, and told."""
    told: list[ActNote] = []
    refusal = read(data, headers, told=told)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position, refusal.feed) == (reason, place, "PAGER")
    assert [(one.outcome, one.reason) for one in told] == [("refused", reason)]


def test_an_old_act_written_again_is_late() -> None:
    """A captured record that somebody writes again is late by the broker's time, whatever its stamp says."""
    headers = (*signed(data_of()), ("ws_received", b"%d" % NOW))
    later = NOW + 2 * 86_400_000
    refusal = read(data_of(), headers, written=later)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "late"


def test_without_people_a_plain_acknowledgement_is_taken_as_before() -> None:
    """Where nobody can be asked for, an unsigned acknowledgement is its named actor's, however old."""
    decoded = read(json.dumps(PLAIN).encode(), people=None, written=NOW + 10**10)
    assert isinstance(decoded, Decoded)
    assert decoded.events == (Acknowledgement(NOW - 5_000, "a-1", "nurse"),)


@pytest.mark.parametrize("people", [None, PeopleSettings(actors=ACTORS, require_signed_acts=False)])
def test_unsigned_nobody_does_more_than_acknowledge(people: PeopleSettings | None) -> None:
    """Without a signature no limit is set and nothing dismissed, whatever the configuration says."""
    limit = {
        **{name: SAID[name] for name in ("act_id", "patient", "at")},
        "kind": "limit",
        "limit_id": "l",
        "limit": "end_of_life",
        "expires_at": to_iso(NOW + 1_000_000),
        "reason": "comfort_care",
    }
    for document in (limit, {**SAID, "kind": "dismiss", "reason": "other"}):
        refusal = read(json.dumps(document).encode(), people=people)
        assert isinstance(refusal, Refusal)
        assert (refusal.reason, refusal.position) == ("unauthorised", "$.kind")


def test_unsigned_nobody_passes_for_one_who_signs() -> None:
    """With signatures not required, an unsigned acknowledgement in a registered actor's name is refused all the same,
    one in another name is taken within the window, and a signature that is there is checked.
    """
    lax = PeopleSettings(actors=ACTORS, require_signed_acts=False)
    plain = json.dumps({**PLAIN, "actor": "pager"}).encode()
    for refusal in (read(plain, people=lax), read(data_of(), signed(data_of(alert_id="b")), lax)):
        assert isinstance(refusal, Refusal)
    assert isinstance(read(json.dumps(PLAIN).encode(), people=lax), Decoded)
    late = read(json.dumps(PLAIN).encode(), people=lax, written=NOW + 86_400_000)
    assert isinstance(late, Refusal)
    assert late.reason == "late"
