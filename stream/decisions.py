"""What people decided, in order, and what of it a log lacks.

Owns the form of a decision, the list of them, and the envelopes that bring one into a log. Must not know where they are
kept, nor what one comes to (stream/control.py). The live service's are the records of `control.v1`, the embedded one's
the rows of its journal.

A decision's place on `control.v1` (its offset + 1) is its `sequence`. Whoever owns a partition appends to it what is
above the highest sequence that the partition has applied; the control state ignores what is not above. So a broadcast
that stopped half-way is completed by the next owner, and one that was made twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, NamedTuple

import msgspec

from connectors.kafka.topics import CONTROL
from events import (
    Availability,
    ChangeStep,
    Configuration,
    Envelope,
    KillSwitch,
    Millis,
    Promotion,
    Standing,
    content_id,
)
from events.encoding import misfit
from models.version import ModelVersion
from stream.catalogues import catalogue_for
from stream.chain import TIPS_MAX, Chain
from stream.control import DECISIONS, Control, usable
from stream.decision_keys import WHO_PATTERN, DecisionKey
from stream.settings import ConfigurationError, Settings, parse_json
from stream.trust import Claim, DecisionFault, DecisionSignature, Verdict, sign_content, verdict_on
from stream.verdict_book import Refused, VerdictBook

DECISION_BYTES_MAX = 1024 * 1024
"""A configuration of 256 KiB, escaped as JSON, and its frame."""
DECISIONS_KEPT_MAX = 1_000
"""Held in memory, newest, beside the newest of each kind (of standings, of each version): a partition that lacks more
is given what is in force."""
VERSIONS_KEPT_MAX = 250
"""Of those older ones that are of a version which is not in force: four times what a partition remembers of standings.
Anybody who may write the topic may hold versions that there are not."""
PROBLEMS_MAX = 20
"""Named in health; the first ones, for what went wrong first explains the rest."""
START = "wardstream:start"
"""Who decides by starting an embedded service with a configuration that declares other keys."""

DecisionEvent = Promotion | Configuration | KillSwitch | Standing | ChangeStep

FIGURES_MAX = 64
"""Of one decision: the gates, or a monitor's figures."""
RecordHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class UnreadableDecisionError(ValueError):
    """Bytes on `control.v1` that are no decision of this release; the text never holds the data."""


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing somebody decided; its `event_time` is when. Its event has no sequence yet: the topic gives it."""

    event: DecisionEvent
    who: Annotated[str, msgspec.Meta(pattern=WHO_PATTERN)]
    """A role or a key id, never a name."""
    reason: str = ""
    undoes: int = 0
    """The sequence of the promotion that a rollback takes back."""
    figures: Annotated[dict[str, str], msgspec.Meta(max_length=FIGURES_MAX)] = {}
    """What it was decided on, by name: the gates' words, a monitor's figures. Nothing of any patient."""
    previous: Annotated[tuple[RecordHash, ...], msgspec.Meta(max_length=TIPS_MAX)] = ()
    """The records before it that none has named yet, by hash (stream/chain.py); who writes it puts them in."""
    signature: DecisionSignature | None = None
    """Over all of the above, by who decided (stream/trust.py)."""

    @property
    def at(self) -> Millis:
        """When it was decided, by the clock of where it was decided."""
        return self.event.event_time


class Decided(NamedTuple):
    """A decision with its place."""

    sequence: int
    decision: Decision
    received_time: Millis
    """When its record was stored."""


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    """Write a decision as it stands on `control.v1`."""
    return _encoder.encode(decision)


def decode_decision(data: bytes | None) -> Decision:
    """Read a decision; raises `UnreadableDecisionError`.

    >>> decode_decision(encode_decision(Decision(KillSwitch(0, True), "role:duty-manager"))).event.engaged
    True
    """
    if data is None or len(data) > DECISION_BYTES_MAX:
        raise UnreadableDecisionError("no value" if data is None else f"{len(data)} bytes")
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise UnreadableDecisionError(misfit(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableDecisionError("no JSON") from None


def signed_content(decision: Decision) -> bytes:
    """Give what is signed: all of a decision but its signature, in canonical bytes."""
    return encode_decision(msgspec.structs.replace(decision, signature=None))


def signer(private_pem: bytes) -> Callable[[Decision], Decision]:
    """Give what signs decisions with a key (PEM): the last step before one is written, after `previous` is in it.

    Raises `SigningKeyError`.

    >>> from connectors.signing import generate_key
    >>> signed = signer(generate_key().private_pem)(Decision(KillSwitch(0, False), "safety-officer"))
    >>> len(signed.signature.signature)
    128
    """
    sign_content(private_pem, b"")

    def sign_one(decision: Decision) -> Decision:
        content = signed_content(decision)
        return msgspec.structs.replace(decision, signature=sign_content(private_pem, content))

    return sign_one


def decision_key(decision: Decision) -> bytes:
    """Give the record's key: the kind of decision, for people who read the topic."""
    return type(decision.event).__name__.casefold().encode()


class Decisions:
    """All decisions that the tail has shown so far. One writer (the tail), many readers: each reads a whole list."""

    def __init__(self, *, of_one_box: bool = False) -> None:
        """Begin with none. `of_one_box`: they are an embedded service's, whose start may declare other keys."""
        self._of_one_box = of_one_box
        self.newest = 0
        """The sequence of the newest record, read or unreadable."""
        self.newest_in_force = 0
        """The sequence of the newest that counts: no partition applies a higher one."""
        self.settings: Settings | None = None
        """What was configured last; None where nothing was."""
        self.book = VerdictBook()
        """Who signed what, and what does not count."""
        self.kill_switch = False
        """Whether the newest word on the kill switch was: engaged."""
        self.kill_switch_sequence = 0
        """Which decision said so; 0 before any."""
        self.chain = Chain()
        """The chain that the records make, as far as they were read."""
        self.caught_up = False
        """Whether the tail has reached the end that the topic had when it began to read."""
        self._kept: tuple[Decided, ...] = ()
        self.standings: dict[str, Standing] = {}
        """The newest word on each version's standing, the newest last."""
        self._promotions: list[Decided] = []
        """The promotions that stand: a rollback takes away what it undoes."""
        self._problems: list[str] = []
        self._unread = ""
        """What is wrong with the newest configuration, where this release cannot read it."""

    def take(self, offset: int, value: bytes | None, record_time: Millis) -> Decided | None:
        """Take the next record of the topic; one seen before changes nothing. None where there is nothing to apply."""
        sequence = offset + 1
        if sequence <= self.newest:
            return None
        self.newest = sequence
        try:
            decision = decode_decision(value)
        except UnreadableDecisionError as error:
            self.chain.lose(sequence) if value is None else self.chain.take(sequence, value, None)
            if len(self._problems) < PROBLEMS_MAX:
                self._problems.append(_unread(sequence, str(error)))
            return None
        assert value is not None, "it was read"
        decided, verdict = Decided(sequence, decision, record_time), self._verdict(decision, value)
        self.chain.take(sequence, value, decision.previous)
        if verdict.fault is not None:
            self.book.refuse(decided, verdict.fault)
            return None
        self.book.take(sequence, verdict, keyed=bool(self.keys))
        if type(decision.event) is Configuration:
            # No partition of this release could go by it: it is not entered, and the one before stays in force.
            settings = _read(decision.event)
            self._unread = "" if settings is not None else _unread(sequence, "a configuration of another form")
            if settings is None:
                return None
            self.settings = settings
        self.newest_in_force = sequence
        self._kept = tuple(_bounded((*self._kept, decided)))
        event = decision.event
        if type(event) is KillSwitch:
            self.kill_switch, self.kill_switch_sequence = event.engaged, sequence
        elif type(event) is Standing:
            self.standings.pop(event.version, None)
            self.standings[event.version] = event
        elif type(event) is Promotion:
            before = [former for former in self._promotions if former.sequence < decision.undoes]
            if decision.undoes and _goes_back(event, before):
                self._promotions = before
            else:
                self._promotions = [*self._promotions, decided][-DECISIONS_KEPT_MAX:]
        return decided

    @property
    def keys(self) -> Mapping[str, DecisionKey]:
        """The keys in force, by name: those that the newest configuration declared."""
        return {} if self.settings is None else self.settings.decision_keys

    def demands(self, decision: Decision) -> bool:
        """Whether a decision counts only where a declared key signed it."""
        return self._verdict(decision, None).needed

    def fault_of(self, decision: Decision) -> DecisionFault | None:
        """Say why a decision would not count, if its record came next; None where it would."""
        return self._verdict(decision, None).fault

    def _verdict(self, decision: Decision, value: bytes | None) -> Verdict:
        """Judge a decision under what is in force; `value` are its bytes, where it stands in the log."""
        event = decision.event
        if not self.keys or (self._of_one_box and decision.who == START and isinstance(event, Configuration)):
            return Verdict(None, "", needed=False)
        claim = Claim(
            event,
            decision.who,
            signed_content(decision),
            decision.signature,
            canonical=value is None or value == encode_decision(decision),
            informed=not self.chain.newest or self.chain.newest in decision.previous,
            standing=self.standings.get(event.version) if isinstance(event, Standing) else None,
        )
        automatic = self.settings is not None and self.settings.change_control.automatic
        return verdict_on(claim, self.keys, automatic=automatic)

    def kept(self) -> tuple[Decided, ...]:
        """Give the decisions in memory, in order."""
        return self._kept

    def lacking(self, applied_sequence: int, at: Millis) -> list[Envelope]:
        """Give the records that bring a partition from what it has applied to the newest decision, in order.

        `at` is the present: a decision whose record claims a later time than that is entered at `at`, for the clock of
        a partition never goes back. Enter them together and in this order: one that overtook another would shut it out.
        The records' ids are derived from what was decided, the same for every partition.
        """
        return [envelope_of(decided, at) for decided in self._kept if decided.sequence > applied_sequence]

    def standing_promotions(self) -> list[Decided]:
        """Give the promotions that no rollback took away, the one in force last."""
        return list(self._promotions)

    def problems(self, applied_sequence: int = 0) -> tuple[str, ...]:
        """Say what an operator should know of, given the highest sequence that a partition has applied."""
        found = [*self._problems, *([self._unread] if self._unread else ())]
        place = "the journal" if self._of_one_box else CONTROL
        found += [_refusal_text(one, place) for one in self.book.unseen]
        if self.caught_up and applied_sequence > self.newest:
            found.append(
                f"{CONTROL} ends at decision {self.newest}, a partition has applied {applied_sequence}: the topic was "
                "made anew or is another installation's; what is decided now takes no effect until that is mended"
            )
        return tuple(found)


def _goes_back(event: Promotion, before: list[Decided]) -> bool:
    """Whether a rollback puts in force what it says that was before; else it is a promotion like any other.

    What makes the model say less counts unsigned: it must not make readers believe that a version speaks.
    """
    last = before[-1].decision.event if before else Promotion(0, "", enabled=False)
    return isinstance(last, Promotion) and (last.version, last.enabled) == (event.version, event.enabled)


def _read(event: Configuration) -> Settings | None:
    """Read a configuration; None where this release cannot."""
    try:
        settings = parse_json(event.content)
        catalogue_for(settings)
    except ConfigurationError:
        return None
    return settings


def _refusal_text(refused: Refused, place: str) -> str:
    sequence, decision, _ = refused.decided
    return (
        f"{place}: decision {sequence} ({kind_of(decision.event)[0]}, as {decision.who}) does not count, for "
        f"{refused.words}. Find out who wrote it; what is to count is decided with --key, and ends this"
    )


def _unread(sequence: int, why: str) -> str:
    return (
        f"{CONTROL}: decision {sequence} cannot be read ({why}) and is not applied here: "
        "bring this worker to the release that wrote it, or decide it again"
    )


def _bounded(decisions: tuple[Decided, ...]) -> Iterator[Decided]:
    """Keep the newest, and of the older ones the last of each kind; of what is of a version, the newest words."""
    excess = max(len(decisions) - DECISIONS_KEPT_MAX, 0)
    older, newer = decisions[:excess], decisions[excess:]
    if older:
        newest = {kind_of(decided.decision.event): decided for decided in decisions}
        last = newest.get((Promotion.__name__, ""))
        in_force = getattr(last.decision.event, "version", "") if last is not None else ""
        older = tuple(decided for decided in older if newest[kind_of(decided.decision.event)] is decided)
        spare = [decided for decided in older if kind_of(decided.decision.event)[1] not in ("", in_force)]
        forgotten = {decided.sequence for decided in spare[: max(len(spare) - VERSIONS_KEPT_MAX, 0)]}
        yield from (decided for decided in older if decided.sequence not in forgotten)
    yield from newer


def kind_of(event: DecisionEvent) -> tuple[str, str]:
    """Say what a decision decides: of two of one kind the later counts. Each version stands, and is judged, by itself.

    >>> kind_of(Standing(0, "4f1c02aa91be", "held"))
    ('Standing', '4f1c02aa91be')
    """
    return type(event).__name__, event.version if isinstance(event, Standing | ChangeStep) else ""


def envelope_of(decided: Decided, at: Millis, place: str = CONTROL) -> Envelope:
    """Give the record of a decision for a log; `place` names where the decisions are kept, for people."""
    sequence, decision, record_time = decided
    event = msgspec.structs.replace(decision.event, sequence=sequence)
    name = content_id("decision", str(sequence), encode_decision(decision))
    received = max(min(record_time, at), 0)  # no time at all (-1) is one that no log takes
    return Envelope(
        name, "", event.event_time, received, (event,), message_id="control", position=f"{place}#{sequence}"
    )


def is_decision(envelope: Envelope) -> bool:
    """Whether a record of `events.v1` brings a decision of `control.v1` into its partition."""
    return any(isinstance(event, DECISIONS) and event.sequence > 0 for event in envelope.events)


def availability(
    control: Control, versions: Mapping[str, ModelVersion], at: Millis, upcoming: Iterable[Envelope] = ()
) -> list[Envelope]:
    """Give the records that make a partition's log say which versions its owner has, where it says otherwise.

    `upcoming` are the decisions about to be appended: a version that one of them promotes is called available before
    it is promoted, so that no patient is scored without it in between. Records are appended in the order: these, then
    those. An id is the same until the record has been folded.
    """
    names = [control.version] if control.awaits else []
    names += [event.version for envelope in upcoming for event in envelope.events if type(event) is Promotion]
    wanted: list[Envelope] = []
    for name in dict.fromkeys(name for name in names if name):
        available = usable(versions, name) is not None
        if available != (name in control.available):
            number = str(control.availabilities + len(wanted))
            record = content_id("availability", number, name, str(available))
            event = Availability(at, name, available)
            wanted.append(Envelope(record, "", at, at, (event,), message_id="control"))
    return wanted
