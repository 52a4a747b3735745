"""A record of `ack.ingest.v1` to an act that may be folded: who signed it, and whether he may.

Owns what the record's headers mean, and what is taken without a signature. Must not know Kafka, nor what an act does.

    value      the act (docs/schemas/act.v1.json)
    ws_key_id, ws_signature      Ed25519 over: `wardstream act 1`, line end, ws_actor, line end, the value
    ws_actor   only from a gateway: whom it authenticated

Without people (`[people]`) nobody can be asked for; then a plain acknowledgement is taken as it stands, for Kafka's own
rights say who may write here, and nothing else is. With people, only what one of them or a gateway signed, unless
`require_signed_acts` is off. What is refused is a dead letter, and told.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.acts.audit import ActNote, note
from connectors.acts.codec import Act, decoded_act, read_act
from connectors.acts.documents import AcknowledgementRecord
from connectors.acts.door import ACTOR, KEY_ID, SIGNATURE, Door, Who, elsewhere
from connectors.acts.people import PeopleSettings
from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.kafka.headers import AHEAD_MS_MAX, header
from connectors.signing import Signature
from events import Millis
from stream.live.stage import LogItem


class ActReader:
    """Reads records of one kind of installation: with people, or without."""

    def __init__(
        self,
        people: PeopleSettings | None = None,
        ward_of: Callable[[str], str | None] = lambda _patient: None,
        told: Callable[[ActNote], None] = lambda _note: None,
    ) -> None:
        """`ward_of` says where a patient lies, None where nobody knows him; it may raise `features.store.StoreFault`.

        `told` hears of every act, again where work is repeated.
        """
        self._door = Door(people or PeopleSettings())
        self._ward_of = ward_of
        self._told = told

    def use_people(self, people: PeopleSettings) -> None:
        """Let these people act from here on, and nobody else; any thread may read meanwhile."""
        self._door.use(people)

    def read(self, item: LogItem, feed: str, received: Millis) -> Decoded | Refusal:
        """Read one record; raises only what `ward_of` does."""
        data = item.value or b""
        act = read_act(data, feed)
        if isinstance(act, Refusal):
            self._told(note("refused", reason=act.reason.value))
            return act
        who = self._who(item, data, act)
        fault = who if isinstance(who, Refusal) else self._fault(who, act, item, received)
        known = who if isinstance(who, Who) else None
        if fault is not None:
            self._told(note("refused", who=known, act=act, reason=fault.reason.value))
            return Refusal(fault.reason, fault.position, fault.detail, decoded_act(act, "").message_id, feed, act.at)
        self._told(note("let_in", who=known, act=act))
        return decoded_act(act, known.actor if known is not None else claimed_actor(act))

    def _who(self, item: LogItem, data: bytes, act: Act) -> Who | Refusal | None:
        """Say who signed a record; None for what is taken unsigned."""
        people = self._door.people
        signature = Signature(header(item.headers, KEY_ID), header(item.headers, SIGNATURE))
        if people.configured and (people.require_signed_acts or signature.hex):
            return self._door.by_signature(data, header(item.headers, ACTOR), signature)
        if act.kind != "acknowledge":
            return Refusal(RefusalReason.UNAUTHORISED, "$.kind", "this takes somebody who is known and signs: [people]")
        if claimed_actor(act) in people.actors:
            return Refusal(RefusalReason.UNAUTHORISED, "$.actor", "this actor signs what he does, and this is unsigned")
        return None

    def _fault(self, who: Who | None, act: Act, item: LogItem, received: Millis) -> Refusal | None:
        """Say why somebody's act is not let in."""
        if who is None:
            return self._door.untimely(act, received) if self._door.people.configured else None
        fault = self._door.refusal(who, act, received)
        if fault is not None or not who.person.wards or header(item.headers, ACTOR):
            return fault  # A gateway has looked where the patient lies.
        return elsewhere(who, self._ward_of(act.document.patient))


def claimed_actor(act: Act) -> str:
    """Give whom an unsigned acknowledgement names."""
    return act.document.actor if isinstance(act.document, AcknowledgementRecord) else ""


def credible(received: Millis, record_time: Millis) -> Millis:
    """Give when an act was taken: a stamp that is far before the record was written is not believed.

    The broker writes the time of this topic's records itself, so that an old act cannot be passed off as of its day.

    >>> credible(5, 10**9), credible(10**9 - 5, 10**9)
    (1000000000, 999999995)
    """
    return received if record_time - received <= AHEAD_MS_MAX else record_time
