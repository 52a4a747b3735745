"""The route by which people act: POST of one act by somebody who says by a bearer token who he is.

Owns the way from a body to its answer: who, what, whether he may, offer, wait until it is durable, answer. Must not
know what an act does, nor how it is stored.

What is answered: 202 durable, and its effect follows with the log; 200 known already, nothing changes; 400, 413, 415,
422 no act of ours, with the path; 401 nobody we know; 403 not his to do; 409 a limit that would change nothing. What
somebody we know hands in and is refused is kept as a dead letter, what nobody stands behind is only counted: else
whoever reaches us could fill the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import msgspec
from aiohttp import web

from connectors.acts.audit import ActNote, note
from connectors.acts.codec import ACT_BYTES_MAX, Act, decoded_act, read_act
from connectors.acts.door import Door, Who, elsewhere, outdated
from connectors.decoded import Refusal, RefusalReason
from connectors.fhir.operation_outcome import issue_of
from connectors.http.access import bearer, lies_on
from connectors.http.body import Room, body_of
from connectors.http.faults import HttpFault, outcome
from connectors.http.limits import HttpLimits
from connectors.http.ports import Reading
from connectors.intake import Intake, NotStoredError, Receipt
from connectors.sources.arrival import Arrival
from events import Millis, uuid_text

ACTS_PATH = "/acts"
ACT_TYPES = frozenset({"application/json"})
BODIES_MAX = 256
"""So many acts are read at once: a ward round everywhere at the same moment."""
HTTP_UNKNOWN = 401
POSITION = "acts"
"""How the place of an act begins, in its dead letter too: it cannot be sent again for its actor."""


class Entrance(msgspec.Struct, frozen=True):
    """Who may act on one service, and what is asked of it for that."""

    door: Door
    told: Callable[[ActNote], None] = lambda _note: None
    """Hears of every act that is handed in."""


class Acting:
    """The handler."""

    def __init__(
        self,
        intake: Intake,
        reading: Reading,
        entrance: Entrance | None,
        limits: HttpLimits,
        clock: Callable[[], Millis],
    ) -> None:
        """Without an entrance, or with nobody who may act, everything is refused."""
        self._intake = intake
        self._reading = reading
        self._entrance = entrance
        self._limits = msgspec.structs.replace(limits, body_bytes_max=ACT_BYTES_MAX)
        self._clock = clock
        self._room = Room(BODIES_MAX * ACT_BYTES_MAX)
        self._requests = count(1)
        self.stopping = False

    def who(self, token: str) -> Who | None:
        """Say who of those who may act has this bearer token."""
        return None if self._entrance is None else self._entrance.door.by_token(token)

    async def act(self, request: web.Request) -> web.Response:
        """Take one act."""
        if self.stopping:
            raise NotStoredError("stopping")
        entrance = self._entrance
        if entrance is None or not entrance.door.people.configured:
            raise HttpFault(403, "nobody here may act: [people] of the configuration names nobody", close=True)
        who = _known(entrance, request)
        try:
            _check_type(request)
            async with body_of(request, self._room, self._limits) as body:
                # A body may come slowly, and meanwhile he may have been taken off the list.
                who = _known(entrance, request)
                act = read_act(body)
                fault = act if isinstance(act, Refusal) else await self._fault(entrance, who, act)
                return await self._taken(entrance, who, body, act if isinstance(act, Act) else None, fault)
        except HttpFault as unread:
            if unread.status == HTTP_UNKNOWN:
                raise  # It is told already.
            entrance.told(note("refused" if unread.status < 500 else "not_stored", who=who, reason=unread.issue.code))
            raise

    async def _fault(self, entrance: Entrance, who: Who, act: Act) -> Refusal | None:
        """Say what keeps an act out, or None."""
        fault = entrance.door.refusal(who, act, self._clock())
        if fault is not None:
            return fault
        patient, wards = act.document.patient, who.person.wards
        if wards and not await lies_on(wards, patient, self._reading):
            return elsewhere(who, None)
        if act.kind != "limit":
            return None
        return outdated(act, who.actor, await self._reading.limits_of(patient), self._clock())

    async def _taken(
        self, entrance: Entrance, who: Who, body: bytes, act: Act | None, fault: Refusal | None
    ) -> web.Response:
        """Offer an act, or the letter about one; tell what became of it, and answer."""
        name = f"{POSITION}/{next(self._requests)}"
        if fault is None:
            assert act is not None, "what could not be read has a fault"
            decoded = decoded_act(act, who.actor)
            arrival = Arrival(name, None, body, "act", decoded)
        else:
            message_id = "" if act is None else decoded_act(act, who.actor).message_id
            arrival = Arrival(name, None, body, "act", msgspec.structs.replace(fault, message_id=message_id))
        try:
            [receipt] = await (await self._intake.offer([arrival]))
        except NotStoredError as error:
            entrance.told(note("not_stored", who=who, act=act, reason=error.reason))
            raise
        reason = "" if receipt.refusal is None else receipt.refusal.reason.value
        entrance.told(note(receipt.outcome, who=who, act=act, reason=reason))
        if receipt.refusal is not None:
            return outcome(_status(receipt.refusal), [issue_of(receipt.refusal, "" if act is None else act.kind)])
        assert act is not None
        return _answer(act, who, receipt)


def _known(entrance: Entrance, request: web.Request) -> Who:
    """Give who acts, of those who may at this moment."""
    who = entrance.door.by_token(bearer(request))
    if who is not None:
        return who
    entrance.told(note("refused", reason=RefusalReason.UNAUTHORISED.value))
    headers = {"WWW-Authenticate": 'Bearer realm="wardstream acts"'}
    raise HttpFault(401, "the bearer token of somebody who may act is needed", headers=headers, close=True)


def _check_type(request: web.Request) -> None:
    if "Content-Type" not in request.headers or request.content_type.lower() not in ACT_TYPES:
        raise HttpFault(415, "expected application/json", headers={"Accept": "application/json"}, close=True)


def _answer(act: Act, who: Who, receipt: Receipt) -> web.Response:
    told = {
        "outcome": receipt.outcome,
        "record": uuid_text(decoded_act(act, who.actor).content_hash),
        "actor": who.actor,
        "kind": act.kind,
    }
    status = 200 if receipt.outcome == "duplicate" else 202
    return web.Response(status=status, body=msgspec.json.encode(told), content_type="application/json")


def _status(refusal: Refusal) -> int:
    """Give the status for a refusal of an act."""
    if refusal.reason is RefusalReason.NOT_ENTITLED:
        return 403
    if refusal.reason is RefusalReason.OUTDATED:
        return 409
    if refusal.reason is RefusalReason.GARBAGE:
        return 400
    return 413 if refusal.reason is RefusalReason.OVERSIZED else 422
