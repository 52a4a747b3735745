"""Asks one FHIR server: with its token, within bounds, again where that may help.

Owns the request, its retries, and that a token goes to the server's own address and nowhere else. Must not know what is
asked or what becomes of it. No address is logged and none stands in a fault, for addresses carry ids.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir_sources.faults import FhirSourceError, fault_of
from connectors.fhir_sources.settings import FhirServer
from connectors.fhir_sources.smart import NoToken, Tokens, tokens_for
from connectors.fhir_sources.unpacking import unpacked
from connectors.http.client import read_retry_after
from events import Millis

FHIR_JSON = "application/fhir+json"
ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""Of one answer, unpacked: a page of 200 Observations is some 300 KB. A longer one is asked for in smaller pages."""
ATTEMPTS_MAX = 4
"""Of one request, within one look; the next look begins anew."""
FIRST_WAIT_S = 0.5
WAIT_MAX_S = 30.0
"""Longest wait within one look. A server that asks for more (Retry-After) is left alone until the look after that."""
CONNECTIONS_MAX = 4
IDLE_S = 2.0
"""A connection idle for longer is not used again: servers close theirs after 5 s at the soonest."""
CODES_MAX = 5
WHOLE_TIMEOUTS = 4
"""An answer, with the token for it, may take so many times `timeout_s` from its beginning to its end."""

Sleep = Callable[[float], Awaitable[None]]


class Answer(msgspec.Struct, frozen=True):
    """One answer, whole."""

    status: int
    body: bytes
    server_time: Millis | None = None
    """The server's own clock, as its Date says."""
    location: str = ""
    """Content-Location."""
    retry_after_s: float | None = None
    progress: str = ""

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class SourceClient:
    """One FHIR server to ask. For one event loop; `close` at the end."""

    def __init__(
        self,
        server: FhirServer,
        *,
        tokens: Tokens | None = None,
        sleep: Sleep = asyncio.sleep,
        heard: Callable[[FhirSourceError], None] = lambda _fault: None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        """`heard` hears of each failed attempt, also where the next one goes well."""
        self.base = server.base_url
        self._http = httpx.AsyncClient(
            timeout=server.timeout_s,
            headers={"accept-encoding": "gzip"},
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(cafile=server.ca_file or None),
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=IDLE_S
            ),
        )
        self._tokens = tokens_for(server, self._http) if tokens is None else tokens
        self._whole_s = server.timeout_s * WHOLE_TIMEOUTS
        self._sleep = sleep
        self._heard = heard
        self._answer_bytes_max = answer_bytes_max
        self._dice = random.Random()  # noqa: S311 - it only spreads retries

    async def get(self, url: str, *, prefer: str = "", accept: str = FHIR_JSON) -> Answer:
        """Read an address of the server (relative to its base, or whole); raises `FhirSourceError`."""
        return await self.ask("GET", url, prefer=prefer, accept=accept)

    async def ask(
        self, method: str, url: str, body: bytes | None = None, *, prefer: str = "", accept: str = FHIR_JSON
    ) -> Answer:
        """Make a request, again where it may help; raises `FhirSourceError`. What is asked must bear being repeated."""
        whole = self.within(url)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_may_help),
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                try:
                    return await self._in_time(method, whole, body, prefer, accept)
                except FhirSourceError as fault:
                    self._heard(fault)
                    raise
        raise AssertionError("the last attempt returns or raises")

    def within(self, url: str) -> str:
        """Give an address of this server, whole; raises `FhirSourceError` for one of anybody else's."""
        try:
            whole = urljoin(self.base + "/", url)
            httpx.URL(whole)
        except (ValueError, httpx.InvalidURL):
            raise FhirSourceError("foreign_link", "no address at all") from None
        if not same_server(self.base, whole):
            raise FhirSourceError("foreign_link", "an address of another server")
        return whole

    @asynccontextmanager
    async def stream(self, url: str, *, accept: str, authorized: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read a long answer part by part; without the token where it is not `authorized`. Raises `FhirSourceError`."""
        token = await self._tokens.token() if authorized and same_server(self.base, url) else ""
        headers = {"accept": accept} | ({"authorization": f"Bearer {token}"} if token else {})
        try:
            async with self._http.stream("GET", url, headers=headers) as response:
                if response.status_code != 200:
                    raise fault_of(response.status_code, "", _retry_after(response))
                yield unpacked(response)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _broken(error) from None

    async def _in_time(self, method: str, url: str, body: bytes | None, prefer: str, accept: str) -> Answer:
        """Bound the whole answer too: one that drips would hold the source for ever, each pause within its bound."""
        try:
            async with asyncio.timeout(self._whole_s):
                return await self._once(method, url, body, prefer, accept)
        except TimeoutError:
            raise FhirSourceError("timeout", "the answer does not end") from None

    async def _once(self, method: str, url: str, body: bytes | None, prefer: str, accept: str) -> Answer:
        token = await self._tokens.token()
        answer, codes = await self._send(method, url, body, prefer, accept, token)
        if answer.status == 401 and token and not isinstance(self._tokens, NoToken):
            self._tokens.forget(token)  # It may have been withdrawn: ask with a new one, once.
            answer, codes = await self._send(method, url, body, prefer, accept, await self._tokens.token())
        if not 200 <= answer.status < 300:
            raise fault_of(answer.status, codes, answer.retry_after_s)
        return answer

    async def _send(
        self, method: str, url: str, body: bytes | None, prefer: str, accept: str, token: str
    ) -> tuple[Answer, str]:
        headers = {"accept": accept}
        if prefer:
            headers["prefer"] = prefer
        if body is not None:
            headers["content-type"] = FHIR_JSON
        if token:
            headers["authorization"] = f"Bearer {token}"
        try:
            async with self._http.stream(method, url, content=body, headers=headers) as response:
                data = await self._read(response)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _broken(error) from None
        answer = Answer(
            response.status_code,
            data,
            _date(response),
            response.headers.get("content-location", ""),
            _retry_after(response),
            response.headers.get("x-progress", ""),
        )
        return answer, "" if response.is_success else issue_codes(data)

    async def _read(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in unpacked(response):
            size += len(part)
            if size > self._answer_bytes_max:
                raise FhirSourceError("too_large", f"more than {self._answer_bytes_max} bytes")
            parts.append(part)
        return b"".join(parts)

    def _wait(self, state: RetryCallState) -> float:
        """Wait what the server asks for; else ever longer, and no two of us the same time."""
        outcome = state.outcome
        fault = outcome.exception() if outcome is not None else None
        asked = fault.retry_after_s if isinstance(fault, FhirSourceError) else None
        spread = min(WAIT_MAX_S, FIRST_WAIT_S * 2 ** (state.attempt_number - 1)) * self._dice.uniform(0.5, 1.0)
        return max(float(spread), asked or 0.0)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def same_server(base: str, url: str) -> bool:
    """Say whether an address lies within a base URL: same scheme, host, port, and path.

    >>> same_server("https://ehr.example/fhir", "https://ehr.example:443/fhir?_getpages=1")
    True
    >>> [same_server("https://ehr.example/fhir", url) for url in (
    ...     "http://ehr.example/fhir/Patient", "https://ehr.example.evil/fhir", "https://ehr.example/fhirx",
    ...     "https://ehr.example@evil/fhir", "https://ehr.example/fhir/../admin")]
    [False, False, False, False, False]
    """
    try:
        ours, theirs = urlsplit(base), urlsplit(url)
        addresses = [(one.scheme, one.hostname, one.port or _PORTS.get(one.scheme)) for one in (ours, theirs)]
    except ValueError:
        return False
    if addresses[0] != addresses[1] or theirs.username is not None or ".." in theirs.path.split("/"):
        return False
    return theirs.path == ours.path or theirs.path.startswith(ours.path + "/")


def issue_codes(body: bytes) -> str:
    """Give what an OperationOutcome's issues are called, and none of its words: those name patients.

    >>> issue_codes(b'{"resourceType":"OperationOutcome","issue":[{"code":"not-found","diagnostics":"Patient/123"}]}')
    'not-found'
    """
    try:
        found = _decode_outcome(body)
    except UNDECODABLE:
        return ""
    codes = dict.fromkeys(one.code for one in found.issue if one.code.replace("-", "").isalpha() and one.code.isascii())
    return " ".join(list(codes)[:CODES_MAX])


class _Issue(msgspec.Struct, frozen=True):
    code: str = ""


class _Outcome(msgspec.Struct, frozen=True):
    issue: list[_Issue] = []


_decode_outcome = msgspec.json.Decoder(_Outcome).decode
_PORTS = {"http": 80, "https": 443}


def _may_help(error: BaseException) -> bool:
    if not isinstance(error, FhirSourceError) or not error.passes:
        return False
    return error.retry_after_s is None or error.retry_after_s <= WAIT_MAX_S


def _broken(error: Exception) -> FhirSourceError:
    if isinstance(error, httpx.TimeoutException):
        return FhirSourceError("timeout", type(error).__name__)
    if isinstance(error, httpx.ConnectError):
        return FhirSourceError("unreachable", type(error).__name__)
    return FhirSourceError("broken_off", type(error).__name__)


def _retry_after(response: httpx.Response) -> float | None:
    return read_retry_after(response.headers.get("retry-after", ""), time.time())


def _date(response: httpx.Response) -> Millis | None:
    try:
        return int(parsedate_to_datetime(response.headers.get("date", "")).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None
