"""The routes that take messages in: POST and PUT of FHIR, POST of HL7 v2.

Owns the way from a body to its answer: read, decode, offer, wait until all is durable, answer by the receipts. Must
not know how anything is stored or decided.

What is answered, for FHIR: 200 where something could be used (with an error issue for each entry that could not),
422 where nothing could, 400 and 413 where the body as a whole is no FHIR; refused entries are kept as dead letters in
each case. For HL7: the ACKs, 200 where all are AA, else 422; 503 and 507 where nothing was stored, with AR. A batch is
answered by a batch, and by 422 too where its counts are not what is there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

from aiohttp import web

from connectors.decoded import Decoded, RefusalReason
from connectors.fhir.operation_outcome import Issue, issue_of
from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.acknowledgement import Verdict, answers
from connectors.hl7v2.batch import BatchAccount, account, wrap_answers
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.arrivals import fhir_arrivals, hl7_arrivals, in_portions
from connectors.http.body import Room, body_of
from connectors.http.faults import FHIR_JSON, NOT_STORED, HttpFault, outcome
from connectors.http.limits import (
    DECODED_INLINE_BYTES_MAX,
    DECODERS_MAX,
    HL7_MESSAGES_MAX,
    RETRY_AFTER_S,
    HttpLimits,
)
from connectors.intake import Intake, NotStoredError, Receipt
from connectors.sources.arrival import Arrival
from events import Millis

FHIR_TYPES = frozenset({FHIR_JSON, "application/json"})
HL7_TYPES = frozenset({"application/hl7-v2", "application/hl7-v2+er7", "x-application/hl7-v2+er7", "text/plain"})
HL7_ANSWER = "application/hl7-v2"
UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii"})
"""FHIR JSON is UTF-8; ASCII is a part of it."""

_NO_FHIR = frozenset({RefusalReason.GARBAGE, RefusalReason.TRUNCATED, RefusalReason.WRONG_ENCODING})
_RUN_BYTES = 4
"""Of an ACK's control id, what tells one run of the service from another: 8 of MSH-10's 20 characters."""

Result = TypeVar("Result")


class Taking:
    """The handlers, with what they share."""

    def __init__(
        self, intake: Intake, hl7: Hl7Settings, fhir: FhirSettings, limits: HttpLimits, clock: Callable[[], Millis]
    ) -> None:
        self._intake = intake
        self._hl7 = hl7
        self._fhir = fhir
        self._limits = limits
        self._clock = clock
        self._requests = count(1)
        self._answers = count(1)
        self._run = secrets.token_hex(_RUN_BYTES).upper()
        self._decoders = asyncio.Semaphore(DECODERS_MAX)
        self.room = Room(limits.bodies_bytes_max)
        self.stopping = False

    async def fhir(self, request: web.Request) -> web.Response:
        """Take a resource or a Bundle."""
        kind = request.match_info.get("kind", "")
        if kind and kind not in RESOURCE_TYPES:
            raise HttpFault(404, "no resource type of FHIR is called so", code="not-supported", close=True)
        self._check_type(request, FHIR_TYPES)
        if (request.charset or "utf-8").lower() not in UTF8_NAMES:
            raise HttpFault(415, "FHIR JSON is UTF-8: no other charset is taken", close=True)
        name = f"http/{next(self._requests)}"
        async with body_of(request, self.room, self._limits) as body:
            if not body.strip():
                raise HttpFault(400, "no content: a subscription needs a payload (channel.payload)", code="required")
            arrivals = await self._decoded(body, lambda: fhir_arrivals(body, self._fhir, name, kind))
            receipts = await self._stored(arrivals)
        return _fhir_answer(arrivals, receipts, kind)

    async def hl7(self, request: web.Request) -> web.Response:
        """Take one HL7 v2 message or several, framed or not; the charset is MSH-18's, whatever the header says."""
        self._check_type(request, HL7_TYPES)
        name = f"http/{next(self._requests)}"
        async with body_of(request, self.room, self._limits) as body:
            arrivals, batch = await self._decoded(body, lambda: (hl7_arrivals(body, self._hl7, name), account(body)))
            if arrivals is None:
                raise HttpFault(413, f"more than {HL7_MESSAGES_MAX} messages in one body", code="too-costly")
            if not arrivals:
                raise HttpFault(400, "no content: there is no message in the body", code="required")
            try:
                receipts = await self._stored(arrivals)
            except NotStoredError as error:
                if _wants_outcome(request):
                    raise
                verdicts: list[Verdict] = [error.reason] * len(arrivals)
                headers = {"Retry-After": str(RETRY_AFTER_S)}
                return self._acknowledged(arrivals, verdicts, batch, NOT_STORED[error.reason][0], headers)
        refused = bool(batch.problems) or any(receipt.refusal is not None for receipt in receipts)
        if _wants_outcome(request):
            issues = [_stored_issue(arrivals, receipts, "messages"), *_refusals(arrivals, receipts, "")]
            issues += [Issue("error", "invariant", problem) for problem in batch.problems]
            return outcome(422 if refused else 200, [issue for issue in issues if issue is not None])
        told: list[Verdict] = ["stored" if receipt.refusal is None else receipt.refusal for receipt in receipts]
        return self._acknowledged(arrivals, told, batch, 422 if refused else 200)

    def _check_type(self, request: web.Request, taken: frozenset[str]) -> None:
        if self.stopping:
            raise NotStoredError("stopping")
        if "Content-Type" not in request.headers or request.content_type.lower() not in taken:
            accepted = ", ".join(sorted(taken))
            raise HttpFault(415, f"expected one of: {accepted}", headers={"Accept": accepted}, close=True)

    async def _decoded(self, body: bytes, decode: Callable[[], Result]) -> Result:
        """Decode, beside the event loop where it takes long."""
        if len(body) <= DECODED_INLINE_BYTES_MAX:
            return decode()
        async with self._decoders:
            return await asyncio.to_thread(decode)

    async def _stored(self, arrivals: list[Arrival]) -> list[Receipt]:
        """Offer all, in order, and wait until all is durable. Raises `NotStoredError`."""
        receipts: list[Receipt] = []
        for portion in in_portions(arrivals, self._limits.offered_at_once_max):
            receipts += await (await self._intake.offer(portion))
        assert len(receipts) == len(arrivals), "the intake gives one receipt an arrival"
        return receipts

    def _control_id(self) -> str:
        return f"H{self._run}{next(self._answers)}"

    def _acknowledged(
        self,
        arrivals: Sequence[Arrival],
        verdicts: Sequence[Verdict],
        batch: BatchAccount,
        status: int,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        now = self._clock()
        told = [
            answer
            for arrival, verdict in zip(arrivals, verdicts, strict=True)
            for answer in answers(
                arrival.data or b"",
                verdict,
                now=now,
                control_id=self._control_id,
                asked=self._hl7.answers_as_asked(arrival.data or b""),
            )
        ]
        body = wrap_answers(told, batch, now=now, control_id=self._control_id()) if batch.wrapped else b"".join(told)
        return web.Response(status=status, body=body, content_type=HL7_ANSWER, headers=headers)


def _wants_outcome(request: web.Request) -> bool:
    return FHIR_JSON in request.headers.get("Accept", "").lower()


def _fhir_answer(arrivals: Sequence[Arrival], receipts: Sequence[Receipt], kind: str) -> web.Response:
    stored = _stored_issue(arrivals, receipts, "resources")
    refusals = _refusals(arrivals, receipts, kind)
    if stored is not None:
        return outcome(200, [stored, *refusals])
    first = receipts[0].refusal
    assert first is not None, "what is not stored as accepted or known is refused"
    whole = len(receipts) == 1 and (first.position == "$" or first.position.startswith("byte "))
    status = 422
    if whole and first.reason in _NO_FHIR:
        status = 400
    elif whole and first.reason is RefusalReason.OVERSIZED:
        status = 413
    return outcome(status, refusals)


def _stored_issue(arrivals: Sequence[Arrival], receipts: Sequence[Receipt], noun: str) -> Issue | None:
    """Say how many are stored; a joined arrival stands for several resources."""
    stored = known = 0
    for arrival, receipt in zip(arrivals, receipts, strict=True):
        if receipt.refusal is None:
            stored += _parts(arrival)
            known += _parts(arrival) if receipt.outcome == "duplicate" else 0
    if not stored:
        return None
    text = f"{stored} {noun if stored > 1 else noun.rstrip('s')} stored"
    return Issue("information", "informational", text + (f", {known} of them known already" if known else ""))


def _parts(arrival: Arrival) -> int:
    return arrival.decoded.parts if isinstance(arrival.decoded, Decoded) else 1


def _refusals(arrivals: Sequence[Arrival], receipts: Sequence[Receipt], kind: str) -> list[Issue]:
    return [
        issue_of(receipt.refusal, kind or (arrival.decoded.kind if isinstance(arrival.decoded, Decoded) else ""))
        for arrival, receipt in zip(arrivals, receipts, strict=True)
        if receipt.refusal is not None
    ]
