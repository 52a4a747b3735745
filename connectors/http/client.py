"""Sends FHIR Bundles over HTTP: one POST each, and what the server says of it.

Owns the request and the reading of the answer. Must not know what a Bundle says, when to send it, or when to try again.
Content never gets into an error; a server's words get into `Posted.issues`, few, short and in plain ASCII.
"""

from __future__ import annotations

import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

TIMEOUT_S = 30.0
"""For connecting, and for each pause within the answer."""
IDLE_S = 2.0
"""A connection idle for longer is not used again: servers close theirs after 5 s at the soonest, and a request that
crosses that with it is lost without an answer."""
ANSWER_BYTES_MAX = 1024 * 1024
"""Read of an answer: the OperationOutcome of a large Bundle is below 100 KB. Of a longer one the status counts."""
ISSUES_MAX = 20
"""Issues kept of one answer; they are shown to people."""
ISSUE_CHARS_MAX = 200
"""A line."""
RETRY_AFTER_MAX_S = 3_600.0
"""A server that says tomorrow is asked again within the hour."""

MEDIA_TYPE = "application/fhir+json"
_UNSAFE = re.compile(r"[^ -~]+")
_FAULTS = frozenset({"error", "fatal"})


class FhirClientError(Exception):
    """No answer, or half of one: the Bundle may or may not be stored. Send it again."""


class Posted(msgspec.Struct, frozen=True):
    """What the server says of one Bundle.

    >>> Posted(200).stored, Posted(422, ("error required: Bundle.entry[0]",)).stored
    (True, False)
    """

    status: int
    """The HTTP status."""
    issues: tuple[str, ...] = ()
    """What an OperationOutcome, or an entry of a batch-response, says is wrong: severity, code, where, words."""
    retry_after_s: float | None = None
    """Retry-After, as seconds from now."""

    @property
    def stored(self) -> bool:
        """Whether all of the Bundle was taken."""
        return 200 <= self.status < 300 and not self.issues


class FhirClient:
    """One FHIR base URL to post to: `send` as often as wished, then `close`. For one event loop.

    Redirects are not followed and no proxy of the environment is used: what is named is what is spoken to. For https,
    the certificates are the system's, or those that SSL_CERT_FILE names.
    """

    def __init__(self, base_url: str, *, token: str = "", timeout_s: float = TIMEOUT_S, connections: int = 1) -> None:
        """Name the server; with `token`, each request carries it as a bearer token. Nothing is opened yet."""
        headers = {"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._base_url = base_url
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context() if base_url.startswith("https:") else False,
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_S
            ),
        )

    async def send(self, bundle: bytes) -> Posted:
        """POST one Bundle (JSON) to the base URL; raises `FhirClientError` where no whole answer came."""
        try:
            async with self._client.stream("POST", self._base_url, content=bundle) as response:
                body = await _read(response)
        except httpx.TransportError as error:
            raise FhirClientError(f"no answer: {type(error).__name__}") from error
        except httpx.DecodingError as error:
            raise FhirClientError("an answer that cannot be unpacked") from error
        retry_after = response.headers.get("retry-after", "")
        return Posted(response.status_code, read_issues(body), read_retry_after(retry_after, time.time()))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def _read(response: httpx.Response) -> bytes:
    """Read the answer, or nothing of one that is too long."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            return b""
        parts.append(part)
    return b"".join(parts)


def read_issues(body: bytes) -> tuple[str, ...]:
    r"""Give what an answer says is wrong; nothing where it is neither OperationOutcome nor batch-response.

    >>> read_issues(b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value",'
    ...     b'"expression":["Bundle.entry[2]"],"diagnostics":"no number"},{"severity":"warning","code":"x"}]}')
    ('error value: Bundle.entry[2]: no number',)
    >>> read_issues(b'{"resourceType":"Bundle","entry":[{"response":{"status":"201"}},{"response":{"status":"422"}}]}')
    ('entry[1]: 422',)
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    if document.get("resourceType") == "OperationOutcome":
        return _outcome_issues(document)
    if document.get("resourceType") == "Bundle":
        statuses = [_get(entry, "response", "status") for entry in _list(document, "entry")]
        wrong = [(n, status) for n, status in enumerate(statuses) if isinstance(status, str) and status[:1] != "2"]
        return tuple(_plain(f"entry[{n}]: {status}") for n, status in wrong[:ISSUES_MAX])
    return ()


def read_retry_after(value: str, now_s: float) -> float | None:
    """Give Retry-After as seconds from now; None where there is none that can be read.

    >>> read_retry_after("7", 0.0), read_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 30.0), read_retry_after("soon", 0)
    (7.0, 30.0, None)
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_MAX_S)
    try:
        moment_s = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment_s - now_s), RETRY_AFTER_MAX_S)


def _outcome_issues(document: dict[str, Any]) -> tuple[str, ...]:
    issues = []
    for issue in _list(document, "issue"):
        if not isinstance(issue, dict) or issue.get("severity") not in _FAULTS:
            continue
        where = _list(issue, "expression") or _list(issue, "location")
        words = issue.get("diagnostics") or _get(issue, "details", "text") or ""
        parts = [f"{issue['severity']} {issue.get('code', '')}", str(where[0]) if where else "", str(words)]
        issues.append(_plain(": ".join(part for part in parts if part)))
        if len(issues) == ISSUES_MAX:
            break
    return tuple(issues)


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []


def _get(value: object, *names: str) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _plain(text: str) -> str:
    return _UNSAFE.sub("?", text)[:ISSUE_CHARS_MAX]
