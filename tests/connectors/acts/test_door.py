"""Who may act, and when not: by token, by signature, by right, by ward, by time."""

from __future__ import annotations

import json

import msgspec
import pytest

from connectors.acts.codec import Act, read_act
from connectors.acts.door import Door, Who, elsewhere, sign_act, token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.decoded import Refusal
from connectors.signing import DOMAIN, Signature, generate_key, key_id, sign
from events import from_iso, to_iso

NURSE_TOKEN, DOCTOR_TOKEN = "n" * 43, "d" * 43
PAGER, GATEWAY, STRANGER = generate_key(), generate_key(), generate_key()
PEOPLE = PeopleSettings(
    actors={
        "cedar-nurses": Person(
            "nurse", ("acknowledge", "feedback"), wards=("Cedar",), token_sha256=token_hash(NURSE_TOKEN)
        ),
        "doctor-7": Person("doctor", ("acknowledge", "limit"), token_sha256=token_hash(DOCTOR_TOKEN)),
        "pager": Person("ward_system", ("acknowledge",), public_key=PAGER.public),
    },
    gateway_keys=(GATEWAY.public,),
)
AT = from_iso("2026-01-01T12:00:00Z")
DATA = json.dumps(
    {"kind": "acknowledge", "act_id": "a" * 16, "patient": "0" * 32, "alert_id": "x", "at": to_iso(AT)}
).encode()


def door() -> Door:
    return Door(PEOPLE)


def an_act(**fields: object) -> Act:
    act = read_act(json.dumps({**json.loads(DATA), **fields}).encode())
    assert isinstance(act, Act)
    return act


def who(name: str) -> Who:
    return Who(name, PEOPLE.actors[name])


@pytest.mark.parametrize(
    ("token", "actor"),
    [
        (NURSE_TOKEN, "cedar-nurses"),
        (DOCTOR_TOKEN, "doctor-7"),
        (NURSE_TOKEN[:-1], None),
        (token_hash(NURSE_TOKEN), None),
        ("", None),
        ("\udcff" * 43, None),
    ],
)
def test_a_token_is_somebodys_or_nobodys(token: str, actor: str | None) -> None:
    """Only the whole token tells who it is: not a part, not its hash as the file has it, not an empty one."""
    found = door().by_token(token)
    assert (None if found is None else found.actor) == actor


def test_a_short_token_is_nobodys_whatever_the_file_says() -> None:
    """A token below 128 bits can be guessed; its hash in the file lets nobody in."""
    people = PeopleSettings(actors={"n": Person("nurse", ("feedback",), token_sha256=token_hash("secret"))})
    assert Door(people).by_token("secret") is None


def test_what_somebody_signed_is_his() -> None:
    """A registered key's signature says whose act it is."""
    found = door().by_signature(DATA, "", sign_act(PAGER.private_pem, DATA))
    assert isinstance(found, Who)
    assert found.actor == "pager"


def test_a_gateway_speaks_for_whom_it_authenticated() -> None:
    """A gateway's signature over act and actor makes it that actor's."""
    found = door().by_signature(DATA, "doctor-7", sign_act(GATEWAY.private_pem, DATA, "doctor-7"))
    assert isinstance(found, Who)
    assert found.actor == "doctor-7"


@pytest.mark.parametrize(
    ("data", "actor", "signature", "reason"),
    [
        (DATA, "", Signature("", ""), "unauthorised"),
        (DATA, "", sign_act(STRANGER.private_pem, DATA), "unauthorised"),
        (DATA + b" ", "", sign_act(PAGER.private_pem, DATA), "forged"),
        (DATA, "", Signature(key_id(PAGER.public), "zz"), "forged"),
        (DATA, "", Signature(key_id(PAGER.public), sign_act(STRANGER.private_pem, DATA).hex), "forged"),
        (DATA, "", sign(PAGER.private_pem, b"\n" + DATA, domain=DOMAIN), "forged"),
        (DATA, "doctor-7", sign_act(PAGER.private_pem, DATA, "doctor-7"), "unauthorised"),
        (DATA, "doctor-7", sign_act(GATEWAY.private_pem, DATA, "cedar-nurses"), "forged"),
        (DATA, "", sign_act(GATEWAY.private_pem, DATA), "unauthorised"),
        (DATA, "gone", sign_act(GATEWAY.private_pem, DATA, "gone"), "unauthorised"),
    ],
    ids=[
        "unsigned",
        "a stranger's key",
        "altered after signing",
        "no hexadecimal",
        "under another's key id",
        "signed as a model version",
        "an actor as a gateway",
        "a gateway's, for another actor",
        "a gateway for itself",
        "a gateway, for one who left",
    ],
)
def test_what_nobody_signed_as_it_is_is_refused(data: bytes, actor: str, signature: Signature, reason: str) -> None:
    """Unsigned, unknown, altered, borrowed or misdirected signatures are refused, and which it is is told."""
    found = door().by_signature(data, actor, signature)
    assert isinstance(found, Refusal)
    assert found.reason == reason


def test_a_right_that_is_not_given_is_not_had() -> None:
    """An actor does what his rights say, and nothing else."""
    assert door().refusal(who("pager"), an_act(), AT) is None
    fault = door().refusal(who("pager"), an_act(kind="agree"), AT)
    assert fault is not None
    assert (fault.reason, fault.position) == ("not_entitled", "$.kind")


@pytest.mark.parametrize(
    ("received", "reason"),
    [(AT, None), (AT + 3_600_000, None), (AT + 3_600_001, "late"), (AT - 300_000, None), (AT - 300_001, "future_time")],
)
def test_an_act_comes_within_its_window(received: int, reason: str | None) -> None:
    """An act from an hour ago is taken and one from longer ago is late; five minutes ahead of our clock is the most."""
    fault = door().refusal(who("doctor-7"), an_act(), received)
    assert (None if fault is None else fault.reason) == reason


@pytest.mark.parametrize(
    ("actor", "ward", "allowed"),
    [
        ("cedar-nurses", "Cedar", True),
        ("cedar-nurses", "Oak", False),
        ("cedar-nurses", None, False),
        ("doctor-7", "Oak", True),
        ("doctor-7", None, True),
    ],
)
def test_an_actor_of_some_wards_acts_there_only(actor: str, ward: str | None, allowed: bool) -> None:  # noqa: FBT001
    """Where wards are named, a patient elsewhere or unknown is not his; without wards every patient is."""
    assert (elsewhere(who(actor), ward) is None) == allowed


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"actors": {"Jo Doe": {"role": "nurse", "rights": ["feedback"], "token_sha256": "0" * 64}}}, "regex"),
        ({"actors": {"n": {"role": "nurse", "rights": [], "token_sha256": "0" * 64}}}, "length >= 1"),
        ({"actors": {"n": {"role": "nurse", "rights": ["feedback"]}}}, "actors.n: neither"),
        ({"actors": {"n": {"role": "nurse", "rights": ["all"], "token_sha256": "0" * 64}}}, "Invalid enum value"),
        (
            {"actors": {n: {"role": "nurse", "rights": ["feedback"], "token_sha256": "0" * 64} for n in "ab"}},
            "token_sha256 is another actor's",
        ),
        (
            {
                "actors": {"p": {"role": "nurse", "rights": ["feedback"], "public_key": "0" * 64}},
                "gateway_keys": ["0" * 64],
            },
            "gateway_keys: a key that is an actor's too",
        ),
        ({"late_s_max": 90_000.0}, "<= 86400"),
    ],
)
def test_people_that_leave_it_open_who_acts_are_refused(document: dict[str, object], said: str) -> None:
    """A name, no right, no credential, one for two, or a window past what is remembered: refused at start."""
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(document, PeopleSettings)
