"""The two ways to an endpoint, MLLP and FHIR over HTTP, with one face for the sender.

Owns what an answer means: stored, refused for good, busy (send it again), or sent to the wrong place. Must not know a
schedule, nor when to try again.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal, Protocol

import msgspec

from connectors.http.client import FhirClient, FhirClientError, Posted
from connectors.mllp.client import Acknowledged, MllpClient, MllpClientError

BROKEN = (MllpClientError, FhirClientError)
"""The exchange ended without an answer: what is unanswered is to be sent again."""
TRY_AGAIN_CODE = "207"
"""HL7 table 0357, application internal error: an AR with it says nothing against the message."""
BUSY_STATUSES = frozenset({408, 429, 502, 503, 504, 507})
"""Not read in time, too many requests, unavailable (a proxy: 502, 504), no room to store: each of them passes."""
WRONG_PLACE_STATUSES = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 415})
"""Every message would get this answer: the address, the token or the kind of endpoint is wrong."""

Answer = Acknowledged | Posted


class Verdict(msgspec.Struct, frozen=True):
    """What an answer means for the message. `words` are the receiver's, in plain ASCII, short."""

    kind: Literal["stored", "refused", "busy", "wrong_place"]
    words: str = ""
    wait_s: float = 0.0
    """How long the receiver asks to wait."""


def judge(answer: Answer) -> Verdict:
    """Say what an answer means.

    >>> judge(Acknowledged("AE", "PID^1^3 101", "101"))
    Verdict(kind='refused', words='AE PID^1^3 101', wait_s=0.0)
    >>> judge(Posted(503, (), 2.0)).kind, judge(Acknowledged("AR", "", "207")).kind, judge(Posted(404)).kind
    ('busy', 'busy', 'wrong_place')
    """
    if answer.stored:
        return Verdict("stored")
    if isinstance(answer, Acknowledged):
        words = f"{answer.code} {answer.error}".strip()
        busy = answer.code in {"AR", "CR"} and answer.error_code == TRY_AGAIN_CODE
        return Verdict("busy" if busy else "refused", words)
    words = f"HTTP {answer.status}" + (f" {answer.issues[0]}" if answer.issues else "")
    if answer.status in BUSY_STATUSES:
        return Verdict("busy", words, answer.retry_after_s or 0.0)
    return Verdict("wrong_place" if answer.status in WRONG_PLACE_STATUSES else "refused", words)


class Link(Protocol):
    """One connection, which may be opened again after it broke."""

    async def open(self) -> None:
        """Connect; raises one of `BROKEN`."""
        ...

    async def submit(self, data: bytes) -> asyncio.Future[Answer]:
        """Send a message; the future is its answer, or one of `BROKEN`. The caller keeps to his window."""
        ...

    async def close(self) -> None:
        """Close; does nothing where nothing is open."""
        ...


class MllpLink:
    """Over MLLP, a window of messages in flight."""

    def __init__(self, host: str, port: int, *, window: int, ack_timeout_s: float) -> None:
        """Name the receiver."""
        self._make = partial(MllpClient, host, port, window=window, ack_timeout_s=ack_timeout_s)
        self._client: MllpClient | None = None

    async def open(self) -> None:
        """Connect."""
        client = self._make()
        await client.open()
        self._client = client

    async def submit(self, data: bytes) -> asyncio.Future[Answer]:
        """Send a message."""
        assert self._client is not None
        return await self._client.submit(data)  # type: ignore[return-value] # a future's answer is only read

    async def close(self) -> None:
        """Close."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class FhirLink:
    """Over HTTP, a request at a time: HTTP promises no order among several."""

    def __init__(self, base_url: str, *, token: str, timeout_s: float) -> None:
        """Name the server."""
        self._make = partial(FhirClient, base_url, token=token, timeout_s=timeout_s)
        self._client: FhirClient | None = None
        self._request: asyncio.Task[Posted] | None = None

    async def open(self) -> None:
        """Make ready: HTTP connects with the first request."""
        self._client = self._make()

    async def submit(self, data: bytes) -> asyncio.Future[Answer]:
        """Send a Bundle."""
        assert self._client is not None
        self._request = asyncio.create_task(self._client.send(data))
        return self._request  # type: ignore[return-value] # a future's answer is only read

    async def close(self) -> None:
        """Close."""
        if self._request is not None and not self._request.done():
            self._request.cancel()
            await asyncio.wait([self._request])
        client, self._client = self._client, None
        if client is not None:
            await client.close()
