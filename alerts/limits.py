"""What clinicians set for one patient, each until it ends or is withdrawn, by the key it came under.

Owns which limits are kept, what they come to at a moment, and their stored form. Must not know how one is signed or
sent, what a score is, or how anything is told. Nothing else in the service changes what the floor tells.

Each ends at its `expires_at`, `LIMIT_MS_MAX` ahead at the most, and must then be set anew:

- `thresholds`: the NEWS2 totals from which the ward is told of this patient.
- `scale_2`: NEWS2's second SpO2 scale.
- `end_of_life`: the model is silent, nothing escalates, and the floor is the board's, unless totals are set with it.
- `not_for_escalation`: what is told is told, and never escalated.
- `pregnancy`: NEWS2 does not apply, and that is said.

Of two limits that speak of the floor (`thresholds`, `end_of_life`) the one recorded last holds; the other is in force
again when that one has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Self, get_args

import msgspec

from events import MILLIS_PER_HOUR, Limit, LimitKind, Millis
from guardrails.limits import ClinicianLimit

LIMIT_MS_MAX = 90 * 24 * MILLIS_PER_HOUR
"""No limit lasts longer: what was right for a patient a season ago is looked at again. It is refused and not cut short:
who asked for more must know that he did not get it."""
CLOCK_SLACK_MS = 24 * MILLIS_PER_HOUR
"""The door counts from when a limit was decided, by the sender's clock, and this fold from when it was stored: what the
one let in the other must not drop."""
LIMITS_MAX = 64
"""Kept for one patient, withdrawn ones that would still last too. Beyond, a new one is refused, which tells more."""
UNKNOWN_MAX = 32
"""Up to so many kept, a withdrawal of what is not known is remembered too, for a day."""
NEWS2_MAX = 20
"""A total that is never above it cannot be named as a limit."""
KINDS: tuple[LimitKind, ...] = get_args(LimitKind)


class KeptLimit(msgspec.Struct, frozen=True, array_like=True):
    """One limit as it is kept. `source` is the merged key it came under, empty for the record's own."""

    kind: LimitKind
    limit_id: str
    source: str
    since: Millis
    """When it was decided, and never later than it was stored: of two the later one holds."""
    expires_at: Millis
    actor: str = ""
    reason: str = ""
    notify_at: int = 0
    interrupt_at: int = 0
    tell_red: bool = True
    withdrawn: bool = False
    """Kept until it would have ended, so that the record that set it may come again and change nothing."""

    @property
    def code(self) -> str:
        """Its reason, or its kind where none was given."""
        return self.reason or self.kind

    def holds(self, at: Millis) -> bool:
        """Whether it is in force."""
        return at < self.expires_at and not self.withdrawn


class InForce(msgspec.Struct, frozen=True):
    """What a patient's limits come to at one moment."""

    thresholds: ClinicianLimit | None = None
    """What the floor tells by."""
    board_only: bool = False
    """The floor is the board's: at the end of life, without totals of its own."""
    scale_2: bool = False
    end_of_life: bool = False
    pregnancy: bool = False
    escalate_from: Millis = 0
    """Nothing escalates before then."""
    reason: str = ""
    """The codes of all of them, in order, with commas between."""


NO_LIMITS = InForce()


def limit_fault(limit: Limit, at: Millis) -> str:
    """Say why a limit, stored at `at`, cannot be kept; empty where it can. To withdraw one asks for nothing else.

    >>> limit_fault(Limit(0, "l", "thresholds", 1_000, notify_at=9, interrupt_at=7), 0)
    'bad_thresholds'
    """
    if not limit.limit_id:
        return "limit_unnamed"
    if limit.withdrawn:
        return ""
    if limit.expires_at <= at:
        return "limit_over"
    if limit.expires_at - at > LIMIT_MS_MAX + CLOCK_SLACK_MS:
        return "limit_too_long"
    totals = limit.kind == "thresholds" or (limit.kind == "end_of_life" and limit.notify_at != 0)
    return "bad_thresholds" if totals and not 0 < limit.notify_at <= limit.interrupt_at <= NEWS2_MAX else ""


class PatientLimits:
    """All limits of one patient. Mutable: it belongs to its record."""

    __slots__ = ("kept",)

    def __init__(self, kept: Iterable[KeptLimit] = ()) -> None:
        self.kept = _ordered(kept)
        """The latest last."""

    def take(self, limit: Limit, at: Millis, source: str = "") -> str:
        """Keep, replace or withdraw a limit that was stored at `at`; say what became of it, as it is counted.

        The same one again changes nothing, nor does one decided before what is kept under its name (`why_not`).

        >>> limits = PatientLimits()
        >>> one = Limit(5, "l", "not_for_escalation", 1_000)
        >>> limits.take(one, 5), limits.take(one, 9), limits.at(9).escalate_from
        ('limit_set', 'limit_repeated', 1000)
        """
        why_not = self.why_not(limit, at)
        if why_not:
            return why_not
        named = [one for one in self.kept if one.limit_id == limit.limit_id]
        since = min(limit.event_time, at)
        if limit.withdrawn:
            became = self._withdraw(named, since, at)
            if became == "unknown_limit" and len(self.kept) < UNKNOWN_MAX:
                # What it ends may be on its way here, in the record of a number that was joined or parted.
                until = at + CLOCK_SLACK_MS
                gone = KeptLimit(limit.kind, limit.limit_id, source, since, until, limit.actor, withdrawn=True)
                self.kept = _ordered([*self.kept, gone])
            return became
        one = _kept(limit, since, source)
        # Of the same name under another number: it is replaced here, and after an unmerge neither has the other's.
        elsewhere = [old for old in named if old.source != source]
        self._let_go(elsewhere, since, [old for old in named if old.source == source])
        self.kept = _ordered([*self.kept, one])
        return "limit_replaced" if named else "limit_set"

    def why_not(self, limit: Limit, at: Millis) -> str:
        """Say why a limit that is stored at `at` could not be kept, or that it is the same again; empty where it can.

        Of one that is withdrawn only whether it is named: what it ends may be on its way.

        >>> limits = PatientLimits()
        >>> limits.take(Limit(5, "l", "scale_2", 1_000), 5), limits.why_not(Limit(4, "l", "pregnancy", 1_000), 9)
        ('limit_set', 'limit_outdated')
        """
        fault = limit_fault(limit, at)
        if fault or limit.withdrawn:
            return fault
        named = [one for one in self.kept if one.limit_id == limit.limit_id]
        since = min(limit.event_time, at)
        if any(_kept(limit, since, one.source) == one for one in named):
            return "limit_repeated"
        if any(since <= one.since for one in named):
            return "limit_outdated"
        return "too_many_limits" if not named and len(self.kept) >= LIMITS_MAX else ""

    def _withdraw(self, named: list[KeptLimit], since: Millis, at: Millis) -> str:
        """End all limits of one name: a decision may come under either number of a merged patient."""
        lasting = [one for one in named if one.expires_at > at]
        if not lasting:
            return "unknown_limit"
        standing = [one for one in lasting if not one.withdrawn]
        if not standing:
            return "limit_repeated"
        # It came after what it ends, though its sender's clock may be behind: to tell too much is the safe error.
        self._let_go(standing, max(since, *(one.since for one in lasting)))
        return "limit_withdrawn"

    def at(self, moment: Millis) -> InForce:
        """Give what they come to at a moment."""
        standing = [one for one in self.kept if one.holds(moment)]
        if not standing:
            return NO_LIMITS
        kinds = {one.kind for one in standing}
        of_floor = next((one for one in reversed(standing) if one.kind in ("thresholds", "end_of_life")), None)
        silent = [one.expires_at for one in standing if one.kind in ("end_of_life", "not_for_escalation")]
        by_totals = of_floor is not None and of_floor.notify_at > 0
        return InForce(
            thresholds=_clinician_limit(of_floor) if of_floor is not None and by_totals else None,
            board_only=of_floor is not None and not by_totals,
            scale_2="scale_2" in kinds,
            end_of_life="end_of_life" in kinds,
            pregnancy="pregnancy" in kinds,
            escalate_from=max(silent, default=0),
            reason=",".join(dict.fromkeys(one.code for one in standing)),
        )

    def standing(self, moment: Millis) -> tuple[KeptLimit, ...]:
        """Give those in force at a moment, for people to see."""
        return tuple(one for one in self.kept if one.holds(moment))

    def next_end(self) -> Millis | None:
        """Give when time has something to do: the first of them ends, or need be remembered no more."""
        return min((one.expires_at for one in self.kept), default=None)

    @property
    def last_end(self) -> Millis:
        """When none of them is in force any more; 0 where none is."""
        return max((one.expires_at for one in self.kept if not one.withdrawn), default=0)

    def end(self, now: Millis) -> bool:
        """Drop what is over; say whether anything was in force until now."""
        over = [one for one in self.kept if one.expires_at <= now]
        self.kept = tuple(one for one in self.kept if one.expires_at > now)
        return any(not one.withdrawn for one in over)

    # -- merges -----------------------------------------------------------------------------------------------------

    def join(self, others: PatientLimits, key: str) -> None:
        """Take in the limits of another record; what was its own came under `key` (empty: is this one's own now)."""
        kept = {(one.source, one.limit_id): one for one in self.kept}
        for one in others.kept:
            theirs = one if one.source else msgspec.structs.replace(one, source=key)
            known = kept.get((theirs.source, theirs.limit_id))
            if known is None or known.since < theirs.since:
                kept[theirs.source, theirs.limit_id] = theirs
        self.kept = _ordered(kept.values())[-LIMITS_MAX:]

    def part(self, keys: Collection[str], key: str) -> Self:
        """Take out what came under these keys, and give it as the limits of `key`'s own record."""
        taken = [one for one in self.kept if one.source in keys]
        self.kept = tuple(one for one in self.kept if one.source not in keys)
        return type(self)(msgspec.structs.replace(one, source="") if one.source == key else one for one in taken)

    def settle(self, key: str, into: str) -> None:
        """Count what came under a key as of the one that it was joined with for good."""
        moved = [msgspec.structs.replace(one, source=into) if one.source == key else one for one in self.kept]
        self.kept = _ordered(moved)

    # -- stored form ------------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Write them; nothing where there are none.

        >>> PatientLimits.decode(PatientLimits().encode()).kept
        ()
        """
        return _encoder.encode(self.kept) if self.kept else b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; raises `msgspec.DecodeError`."""
        return cls(_decoder.decode(data)) if data else cls()

    def _let_go(self, withdrawn: list[KeptLimit], since: Millis, replaced: Iterable[KeptLimit] = ()) -> None:
        """Withdraw some as of a moment, and drop those in whose place another comes."""
        gone = {(one.source, one.limit_id) for one in (*withdrawn, *replaced)}
        kept = [one for one in self.kept if (one.source, one.limit_id) not in gone]
        ended = [msgspec.structs.replace(one, since=since, withdrawn=True) for one in withdrawn]
        self.kept = _ordered([*kept, *ended])


def _ordered(kept: Iterable[KeptLimit]) -> tuple[KeptLimit, ...]:
    return tuple(sorted(kept, key=lambda one: (one.since, one.limit_id, one.source)))


def _kept(limit: Limit, since: Millis, source: str) -> KeptLimit:
    return KeptLimit(
        limit.kind,
        limit.limit_id,
        source,
        since,
        limit.expires_at,
        limit.actor,
        limit.reason,
        limit.notify_at,
        limit.interrupt_at,
        limit.tell_red,
    )


def _clinician_limit(one: KeptLimit) -> ClinicianLimit:
    return ClinicianLimit(one.notify_at, one.interrupt_at, one.expires_at, one.tell_red, one.code, one.actor)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[KeptLimit, ...])
