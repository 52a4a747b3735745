"""A gateway vouches for an act by its own signature, and does not start where no worker would take it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.acts.codec import Act, decoded_act, read_act
from connectors.acts.door import Door, Who, token_hash
from connectors.acts.people import PeopleSettings, Person
from connectors.kafka.headers import header
from connectors.signing import Signature, generate_key
from connectors.sources.arrival import Arrival
from stream.live.act_signing import act_signer
from stream.settings import ConfigurationError

KEY = generate_key()
NURSE = {"nurse-1": Person("nurse", ("acknowledge",), token_sha256=token_hash("n" * 43))}
DATA = (
    b'{"kind":"acknowledge","act_id":"aaaaaaaaaaaaaaaa","patient":"00000000000000000000000000000000",'
    b'"alert_id":"a-1","at":"2026-01-01T00:00:00Z"}'
)


def people(key_file: Path, *trusted: str) -> PeopleSettings:
    return PeopleSettings(actors=NURSE, gateway_keys=trusted, gateway_key_file=str(key_file))


def test_what_a_gateway_signs_is_whom_it_authenticated(tmp_path: Path) -> None:
    """The headers that it gives are, to who trusts its key, a proof that the act is that actor's; of no other actor."""
    file = tmp_path / "gateway.pem"
    file.write_bytes(KEY.private_pem)
    settings = people(file, KEY.public)
    act = read_act(DATA)
    assert isinstance(act, Act)
    headers = act_signer(settings)(Arrival("acts/1", None, DATA, "act", decoded_act(act, "nurse-1")))
    signature = Signature(header(headers, "ws_key_id"), header(headers, "ws_signature"))
    door = Door(settings)
    assert door.by_signature(DATA, header(headers, "ws_actor"), signature) == Who("nurse-1", NURSE["nurse-1"])
    assert not isinstance(door.by_signature(DATA, "nurse-2", signature), Who)


@pytest.mark.parametrize(
    ("content", "trusted", "said"),
    [
        (None, (KEY.public,), "gateway_key_file: cannot be read"),
        (b"no key", (KEY.public,), "gateway_key_file: no private key"),
        (KEY.private_pem, (generate_key().public,), "gateway_keys: lacks"),
    ],
    ids=["absent", "no key", "not trusted"],
)
def test_a_key_that_would_not_do_is_refused_at_the_start(
    tmp_path: Path, content: bytes | None, trusted: tuple[str, ...], said: str
) -> None:
    """A key that is not there, is none, or that no worker would trust: the setting is named."""
    file = tmp_path / "gateway.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        act_signer(people(file, *trusted))


def test_without_a_key_file_nobody_may_act_over_http(tmp_path: Path) -> None:
    """Where somebody has a token and the gateway no key, it says so; without anybody no key is needed."""
    with pytest.raises(ConfigurationError, match="gateway_key_file: missing"):
        act_signer(PeopleSettings(actors=NURSE))
    act_signer(PeopleSettings())
