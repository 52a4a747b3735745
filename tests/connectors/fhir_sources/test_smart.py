"""Claims about SMART Backend Services, on a token endpoint that verifies the signature by the library."""

# ruff: noqa: ASYNC240 - files of a few bytes, on the disk of a test

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.settings import FhirServer, SmartSettings
from connectors.fhir_sources.smart import ASSERTION_TYPE, NoToken, SmartTokens, assertion, public_keys, tokens_for
from tests.connectors.fhir_sources.conftest import Asked, FakeFhir

KEYS = {"RS384": rsa.generate_private_key(65_537, 2_048), "ES384": ec.generate_private_key(ec.SECP384R1())}


class TokenEndpoint:
    """An authorization server: gives a token for an assertion that its library verifies, and none for any other."""

    def __init__(self, fake: FakeFhir, algorithm: str) -> None:
        self.fake = fake
        self.algorithm = algorithm
        self.url = fake.base.replace("/fhir", "/auth/token")
        self.claims: list[dict[str, Any]] = []
        self.heads: list[dict[str, Any]] = []
        self.used: set[str] = set()
        self.lasts: object = 300
        self.word = "invalid_client"
        fake.extra["POST", "auth/token"] = self.serve
        fake.extra["GET", "fhir/.well-known/smart-configuration"] = self.discover
        fake.accepted_tokens = set()

    async def discover(self, _request: web.Request) -> web.Response:
        """Say where tokens are given."""
        return web.json_response({"token_endpoint": self.url, "grant_types_supported": ["client_credentials"]})

    async def serve(self, request: web.Request) -> web.Response:
        """Verify, and give a token that the FHIR server takes from now on."""
        form = await request.post()
        assert (form["grant_type"], form["client_assertion_type"]) == ("client_credentials", ASSERTION_TYPE)
        given = str(form["client_assertion"])
        try:
            claims = jwt.decode(
                given,
                KEYS[self.algorithm].public_key(),
                algorithms=[self.algorithm],
                audience=self.url,
                issuer="ward",
                options={"require": ["iss", "sub", "aud", "exp", "jti"]},
            )
        except jwt.PyJWTError:
            return web.json_response({"error": self.word}, status=400)
        assert claims["sub"] == "ward"
        assert claims["exp"] - time.time() <= 300
        assert claims["jti"] not in self.used, "a jti is used once"
        self.used.add(claims["jti"])
        self.claims.append(claims)
        self.heads.append(jwt.get_unverified_header(given))
        token = f"token-{len(self.claims)}"
        assert self.fake.accepted_tokens is not None
        self.fake.accepted_tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "bearer", "expires_in": self.lasts})


@pytest.fixture(params=["RS384", "ES384"])
def endpoint(request: pytest.FixtureRequest, fake: FakeFhir) -> TokenEndpoint:
    """An authorization server beside the FHIR server."""
    return TokenEndpoint(fake, request.param)


@pytest.fixture
def key_file(endpoint: TokenEndpoint, tmp_path: Path) -> Path:
    """Our private key."""
    path = tmp_path / "key.pem"
    path.write_bytes(
        KEYS[endpoint.algorithm].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def smart(endpoint: TokenEndpoint, key_file: Path, **fields: Any) -> SmartSettings:
    """Give the settings."""
    values: dict[str, Any] = {
        "client_id": "ward",
        "key_file": str(key_file),
        "key_id": "k1",
        "algorithm": endpoint.algorithm,
    }
    return SmartSettings(**{**values, **fields})


@pytest.mark.asyncio
async def test_a_signed_assertion_is_exchanged_once_for_many_requests(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path
) -> None:
    """The endpoint is discovered; the token serves every request until it ends, though many ask at once."""
    asked = ask(smart=smart(endpoint, key_file))
    await asyncio.gather(*(asked.client.get("Observation") for _ in range(5)))
    await asked.poller.look()
    assert len(endpoint.claims) == 1
    assert endpoint.heads == [{"alg": endpoint.algorithm, "kid": "k1", "typ": "JWT"}]
    assert set(endpoint.fake.tokens_seen) == {"token-1"}


@pytest.mark.asyncio
async def test_a_token_is_renewed_before_it_ends(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path
) -> None:
    """Half a minute before its end another is asked for, with another jti; one without an end counts five minutes."""
    asked = ask(smart=smart(endpoint, key_file))
    elapsed = [0.0]
    tokens = SmartTokens(asked.server, asked.client._http, elapsed_s=lambda: elapsed[0])
    assert await tokens.token() == "token-1"
    elapsed[0] = 269.0
    assert await tokens.token() == "token-1"
    elapsed[0] = 270.0
    endpoint.lasts = None
    assert await tokens.token() == "token-2"
    elapsed[0] += 269.0
    assert await tokens.token() == "token-2"


@pytest.mark.asyncio
async def test_a_token_that_is_not_taken_any_more_is_replaced_once(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path
) -> None:
    """401: a new token, one try; where that one is not taken either, it is told."""
    asked = ask(smart=smart(endpoint, key_file))
    await asked.client.get("Observation")
    endpoint.fake.accepted_tokens = set()
    await asked.client.get("Observation")
    assert len(endpoint.claims) == 2
    real, endpoint.fake.accepted_tokens = endpoint.fake.accepted_tokens, None

    async def never(_request: web.Request) -> web.Response:
        return web.Response(status=401)

    endpoint.fake.answers = [never, never]
    endpoint.fake.accepted_tokens = real
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation")
    assert raised.value.kind == "unauthorized"
    assert len(endpoint.claims) == 3


@pytest.mark.asyncio
async def test_a_key_that_is_not_registered_is_told_without_it(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path
) -> None:
    """The endpoint's word is told, and neither assertion nor key; what it says in other words is not."""
    other = rsa.generate_private_key(65_537, 2_048)
    text = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if endpoint.algorithm == "ES384":
        text = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    key_file.write_bytes(text)
    asked = ask(smart=smart(endpoint, key_file))
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation")
    assert str(raised.value) == "no_token: the token endpoint says 400 invalid_client"
    endpoint.word = "patient Müller 42"
    with pytest.raises(FhirSourceError) as raised:
        await asked.client.get("Observation")
    assert str(raised.value) == "no_token: the token endpoint says 400"


@pytest.mark.asyncio
@pytest.mark.parametrize("content", [b"", b"no key", b"\xff\xfe"])
async def test_a_key_that_cannot_be_used_is_the_operators(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path, content: bytes
) -> None:
    """An empty, foreign or missing key file is named by its setting, not by its content."""
    key_file.write_bytes(content)
    asked = ask(smart=smart(endpoint, key_file, token_url=endpoint.url))
    with pytest.raises(FhirSourceError, match=r"no_token: smart\.key_file"):
        await asked.client.get("Observation")
    key_file.unlink()
    with pytest.raises(FhirSourceError, match=r"no_token: smart\.key_file: No such file"):
        await asked.client.get("Observation")


@pytest.mark.asyncio
async def test_a_token_endpoint_without_tls_is_not_spoken_to(
    ask: Callable[..., Asked], endpoint: TokenEndpoint, key_file: Path
) -> None:
    """What the discovery names must be secured like anything that a token passes through."""
    endpoint.url = "http://auth.example/token"
    asked = ask(smart=smart(endpoint, key_file))
    with pytest.raises(FhirSourceError, match="no address with TLS"):
        await asked.client.get("Observation")


def test_the_key_set_that_is_printed_verifies_what_we_sign(endpoint: TokenEndpoint, key_file: Path) -> None:
    """An authorization server that was given our key set takes our assertion; the private part is not in it."""
    settings = smart(endpoint, key_file)
    text = public_keys(settings)
    key = jwt.PyJWKSet.from_json(text)["k1"]
    given = assertion(settings, endpoint.url, time.time())
    assert jwt.decode(given, key, algorithms=[endpoint.algorithm], audience=endpoint.url)["iss"] == "ward"
    assert not {"d", "p", "q"} & set(json.loads(text)["keys"][0])


def test_without_credentials_there_is_no_token() -> None:
    """A server that asks for none gets none."""
    assert isinstance(tokens_for(FhirServer("https://ehr.example/fhir"), None), NoToken)  # type: ignore[arg-type]
