"""Tokens for a FHIR server: of a file, or by SMART Backend Services, where a signed assertion is exchanged for one.

Owns the assertion, the exchange and how long a token is used. Must not know what is asked with it. Tokens and keys are
in no text, no log and no `repr`.

Source: HL7 SMART App Launch 2.2, "Backend Services" and "Client Authentication: Asymmetric": RS384 or ES384, `iss` and
`sub` the client, `aud` the token endpoint, `exp` at most five minutes ahead, `jti` used once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import httpx
import jwt
import msgspec

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.settings import FhirServer, SmartSettings, check_url
from connectors.fhir_sources.unpacking import unpacked

ASSERTION_S = 240.0
"""How long an assertion counts; SMART allows 300 at the most, and clocks differ."""
EARLY_S = 30.0
"""A token is used for so much less than it counts, so that none ends on its way."""
UNSTATED_S = 300.0
"""How long a token is used whose answer does not say how long it counts; SMART recommends no more than this."""
ANSWER_BYTES_MAX = 64 * 1024
GRANT = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DISCOVERY = "/.well-known/smart-configuration"


class Tokens(Protocol):
    """Gives the token a request carries."""

    async def token(self) -> str:
        """Give a token, or an empty text where none is needed; raises `FhirSourceError`."""
        ...

    def forget(self, token: str) -> None:
        """Let go of a token that the server did not take."""
        ...


class NoToken:
    """For a server that asks for none."""

    async def token(self) -> str:
        """Give an empty text."""
        return ""

    def forget(self, token: str) -> None:
        """There is none."""


class FileToken:
    """A token that stands in a file, read anew each time: who renews it writes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """Read it; raises `FhirSourceError` where there is none."""
        return await asyncio.to_thread(read_secret, self._path, "token_file")

    def forget(self, token: str) -> None:
        """The file may hold another by the next time."""


class SmartTokens:
    """Asks the authorization server for tokens, each used until shortly before it ends."""

    def __init__(
        self,
        server: FhirServer,
        client: httpx.AsyncClient,
        *,
        elapsed_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._base = server.base_url
        self._smart = server.smart
        self._client = client
        self._elapsed_s = elapsed_s
        self._now_s = now_s
        self._token = ""
        self._until_s = 0.0
        self._endpoint = server.smart.token_url
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Give the token at hand, or ask for one."""
        async with self._asking:  # Many that find none ask once.
            if not self._token or self._elapsed_s() >= self._until_s:
                self._token, lasts_s = await self._exchange()
                self._until_s = self._elapsed_s() + max(0.0, lasts_s - EARLY_S)
            return self._token

    def forget(self, token: str) -> None:
        """Let go of a token, unless another has come meanwhile."""
        if token == self._token:
            self._token = ""

    async def _exchange(self) -> tuple[str, float]:
        endpoint = self._endpoint = self._endpoint or await self._discover()
        form = {
            "grant_type": GRANT,
            "scope": self._smart.scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": await asyncio.to_thread(assertion, self._smart, endpoint, self._now_s()),
        }
        status, document = await self._ask("POST", endpoint, form)
        token = document.get("access_token")
        if status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            word = document.get("error")
            known = word if isinstance(word, str) and word.isascii() and word.replace("_", "").isalpha() else ""
            raise FhirSourceError("no_token", f"the token endpoint says {status} {known[:40]}".strip(), status=status)
        if str(document.get("token_type", "")).lower() != "bearer":
            raise FhirSourceError("no_token", "the token is of another type than bearer")
        lasts = document.get("expires_in")
        number = isinstance(lasts, int | float) and not isinstance(lasts, bool)
        return token, float(lasts) if number and lasts is not None else UNSTATED_S

    async def _discover(self) -> str:
        """Read where tokens are given (SMART App Launch, section 2.1.3)."""
        status, document = await self._ask("GET", self._base + DISCOVERY, None)
        endpoint = document.get("token_endpoint")
        if status != 200 or not isinstance(endpoint, str):
            raise FhirSourceError("no_token", f"{DISCOVERY} names no token endpoint ({status})", status=status)
        try:
            check_url("token_endpoint", endpoint)
        except ValueError:
            raise FhirSourceError("no_token", "the token endpoint is no address with TLS") from None
        return endpoint

    async def _ask(self, method: str, url: str, form: dict[str, str] | None) -> tuple[int, dict[str, Any]]:
        headers = {"accept": "application/json"}
        try:
            async with self._client.stream(method, url, data=form, headers=headers) as response:
                body = b""
                async for part in unpacked(response):
                    body += part
                    if len(body) > ANSWER_BYTES_MAX:
                        raise FhirSourceError("no_token", "the answer about a token is too long")
        except (httpx.TransportError, httpx.DecodingError) as error:
            kind: Any = "timeout" if isinstance(error, httpx.TimeoutException) else "unreachable"
            raise FhirSourceError(kind, f"the token endpoint: {type(error).__name__}") from None
        try:
            document = msgspec.json.decode(body)
        except UNDECODABLE:
            document = None
        if response.status_code >= 500 or response.status_code == 429:
            raise FhirSourceError("server_error", f"the token endpoint: {response.status_code}")
        return response.status_code, document if isinstance(document, dict) else {}


def assertion(smart: SmartSettings, endpoint: str, now_s: float) -> str:
    """Sign who we are, for one token endpoint and one time; raises `FhirSourceError` where the key cannot be used."""
    claims = {
        "iss": smart.client_id,
        "sub": smart.client_id,
        "aud": endpoint,
        "jti": str(uuid4()),
        "iat": int(now_s),
        "exp": int(now_s + ASSERTION_S),
    }
    key = read_secret(Path(smart.key_file), "smart.key_file")
    headers = {"kid": smart.key_id} if smart.key_id else None
    try:
        return jwt.encode(claims, key, smart.algorithm, headers=headers)
    except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError) as error:
        text = f"smart.key_file: no private key for {smart.algorithm} ({type(error).__name__})"
        raise FhirSourceError("no_token", text) from None


def read_secret(path: Path, key: str) -> str:
    """Read what stands in a file; raises `FhirSourceError` that names the key, and not the content."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise FhirSourceError("no_token", f"{key}: {why}") from None
    if not text:
        raise FhirSourceError("no_token", f"{key}: empty")
    return text


def tokens_for(server: FhirServer, client: httpx.AsyncClient) -> Tokens:
    """Give what a server's configuration asks for.

    >>> type(tokens_for(FhirServer("https://ehr.example/fhir"), httpx.AsyncClient())).__name__
    'NoToken'
    """
    if server.smart.wanted:
        return SmartTokens(server, client)
    return FileToken(Path(server.token_file)) if server.token_file else NoToken()


def public_keys(smart: SmartSettings) -> str:
    """Give our public key as a JWK Set, for the authorization server; raises `FhirSourceError` where there is none."""
    text = read_secret(Path(smart.key_file), "smart.key_file")
    try:
        algorithm = jwt.get_algorithm_by_name(smart.algorithm)
        key = algorithm.prepare_key(text)
        jwk = algorithm.to_jwk(key.public_key(), as_dict=True)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise FhirSourceError("no_token", f"smart.key_file: no private key ({type(error).__name__})") from None
    named = {"kid": smart.key_id} if smart.key_id else {}
    whole = {**jwk, **named, "alg": smart.algorithm, "use": "sig", "key_ops": ["verify"]}
    return msgspec.json.encode({"keys": [whole]}).decode()
