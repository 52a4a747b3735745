"""Merges across records and partitions: retiring a key, handing its record over, passing on, joining, and undoing it.

Owns what becomes of a patient's record at each of these, and the records of the log that one fold sends another. Must
not know alerts, scores, or where a partition lies: all it sends goes through the log, under the receiver's key.

    R is retired into S      R's fold hands its record to S (Handover), and keeps only where R leads
    something for R          passed on to S, as named R
    S takes R's record       joined, and kept apart by its key too (stream.parts)
    R is restored from S     S gives R's part back: on the spot, or home through the log
    something for R at S     sent home: it was on its way when R was restored
    R's own record at R      R is a patient of its own again, and recalls what it handed over before

The last rule also ends a ring (A into B, B into A, however long): the handover comes round to the key it is of, which
thereby stays; all others of the ring lead to it. docs/decisions/0017 has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from alerts.book import AlertBook
from alerts.limits import PatientLimits
from events import Envelope, Event, Handover, Millis, Retirement, Unmerge, content_id
from stream.effects import Forward
from stream.parts import MERGED, RESTORED, Merges, Part, copied, result_ids
from stream.records import PatientRecord

HOPS_MAX = 8
"""How often a record is passed on: chains of merges are two or three long. Beyond, merges and unmerges have crossed so
that two keys each think the other is right: it is told, and the key it has come to keeps it."""


def destination(envelope: Envelope, record: PatientRecord) -> tuple[str, bool]:
    """Give the key that an envelope is for instead of the one it came under, and whether it goes home there.

    Empty where it is for this one.
    """
    merges = record.merges
    if merges is None:
        return "", False
    first, path = envelope.events[0], envelope.named
    if type(first) is Retirement:
        return "", False
    if type(first) is Handover:
        if first.retired == envelope.patient:
            return merges.away if first.home and first.record else "", False
        if not first.record:
            return merges.away, False
        path = (first.retired, *path)
    home = merges.home_of(path)
    return (home, True) if home else (merges.away, False)


def passed_on(envelope: Envelope, to: str, *, home: bool) -> Forward:
    """Give an envelope for another key; `home` where it was restored from here."""
    first = envelope.events[0]
    events: tuple[Event, ...] = envelope.events
    named = (*envelope.named, envelope.patient)
    if to in named:
        named = named[: named.index(to)]
    if type(first) is Handover:
        events = (msgspec.structs.replace(first, home=home and first.retired == to),)
        named = () if first.retired == to else named
    elif any(type(event) is Unmerge for event in events):
        # Whether it lies beside this key says nothing of the next one.
        events = tuple(_apart(event) for event in events)
    return Forward(
        msgspec.structs.replace(
            envelope,
            envelope_id=content_id("forward", envelope.envelope_id),
            patient=to,
            events=events,
            named=named,
            hops=envelope.hops + 1,
        )
    )


def _apart(event: Event) -> Event:
    return msgspec.structs.replace(event, apart=True) if type(event) is Unmerge else event


def retire(
    cause: Envelope, key: str, record: PatientRecord, survivor: str, *, provisional: bool = False
) -> list[Forward]:
    """Empty a record whose key is retired: only where it leads is left; give what is handed over.

    Told another survivor before, the newest holds. The caller has taken the open alerts back.
    """
    merges = record.merges
    handed: list[Forward] = []
    if record.heard and not record.away:
        handed.append(_handover(cause, survivor, Handover(cause.event_time, key, record.encode(), False, provisional)))
    left = Merges(survivor)
    if merges is not None:
        left.changes = merges.changes
    record.merges = left
    record.state = type(record.state)(record.state.catalogue)
    record.book = AlertBook()
    record.scale_2, record.limits = False, None
    return handed


def send_home(cause: Envelope, key: str, record: PatientRecord) -> Forward:
    """Give a restored patient's record for its own key."""
    return _handover(cause, key, Handover(cause.event_time, key, record.encode(), home=True))


def recall(cause: Envelope, key: str, away: str) -> Forward:
    """Ask whoever has something of a restored key to send it home: behind all that was handed and passed there."""
    return _handover(cause, away, Handover(cause.event_time, key))


def _handover(cause: Envelope, to: str, event: Handover) -> Forward:
    word = "home" if event.home else "handover" if event.record else "recall"
    name = content_id(word, cause.envelope_id, event.retired)
    return Forward(
        Envelope(
            name,
            to,
            cause.event_time,
            cause.received_time,
            (event,),
            cause.feed,
            cause.message_id,
            cause.position,
        )
    )


def join(
    record: PatientRecord,
    key: str,
    retired: PatientRecord,
    *,
    into: str = "",
    on_second: bool,
    provisional: bool = False,
) -> None:
    """Join another patient's record to this one, and keep what it is made of apart; `retired` is used up.

    `into` is the key it was merged into, where that was not this one but has been merged into it since. `on_second`:
    the retired patient was scored on SpO2's second scale. A `provisional` one's is joined for good.
    """
    theirs = retired.merges
    if provisional and (theirs is None or not theirs.others):
        if record.merges is not None and record.merges.own is not None:
            record.merges.own.absorb(copied(retired.state))
            record.merges.own_scale_2 = record.merges.own_scale_2 or on_second
        record.scale_2 = record.scale_2 or on_second
        _join_limits(record, retired, "")
        record.state.absorb(retired.state)
        return
    merges = record.merges = record.merges or Merges()
    merges.begin(record.state, scale_2=record.scale_2)
    if theirs is None or theirs.own is None:
        parts = {key: Part(copied(retired.state), into, scale_2=retired.scale_2)}
    else:
        parts = {key: Part(theirs.own, into, scale_2=theirs.own_scale_2)}
        for name, part in theirs.others.items():
            part.into = part.into or key
            parts[name] = part
    _join_limits(record, retired, key)
    for name, part in parts.items():
        _keep_apart(record, merges, name, part)
    record.scale_2 = record.scale_2 or on_second
    record.state.absorb(retired.state)


def _join_limits(record: PatientRecord, joined: PatientRecord, key: str) -> None:
    """Let the limits of a record that is joined hold for this one; its own are known by `key` from here on."""
    if joined.limits is not None:
        record.limits = record.limits or PatientLimits()
        record.limits.join(joined.limits, key)


def _keep_apart(record: PatientRecord, merges: Merges, key: str, part: Part) -> None:
    settled = merges.add(key, part)
    if settled is not None and record.limits is not None:
        record.limits.settle(*settled)


def come_home(record: PatientRecord, returned: PatientRecord | None) -> None:
    """Make a key a patient of its own again, and give it back what had been kept of it; `returned` is used up."""
    merges = record.merges
    if merges is not None:
        merges.away = ""
    if returned is None:
        return
    theirs = returned.merges
    apart = (merges is not None and merges.own is not None) or (theirs is not None and bool(theirs.others))
    if apart:
        merges = record.merges = merges or Merges()
        own = merges.begin(record.state, scale_2=record.scale_2)
        base = theirs.own if theirs is not None and theirs.own is not None else copied(returned.state)
        own.absorb(base)
        merges.own_scale_2 = merges.own_scale_2 or (returned.scale_2 if theirs is None else theirs.own_scale_2)
        for name, part in ({} if theirs is None else theirs.others).items():
            _keep_apart(record, merges, name, part)
    _join_limits(record, returned, "")
    record.scale_2 = record.scale_2 or returned.scale_2
    record.heard = max(record.heard, returned.heard)
    record.state.absorb(returned.state)


class Parted(msgspec.Struct, frozen=True):
    """What an unmerge came to: the restored patient's record, and the results that are the other's no more."""

    record: PatientRecord
    gone: frozenset[int]


def part(record: PatientRecord, key: str, at: Millis, is_on_second: Callable[[str, bool], bool]) -> Parted | None:
    """Take a source out of a joined record, as heard of `at`; None where there is nothing of it here.

    `is_on_second` says whether a key is on SpO2's second scale, given what merges of its own had brought it.
    """
    merges = record.merges
    taken = {} if merges is None else merges.take_out(key)
    if merges is None or not taken:
        return None
    assert merges.own is not None, "a record with parts has its own"
    limits = None if record.limits is None else record.limits.part(taken, key)
    first = taken.pop(key)
    restored = PatientRecord(first.state, AlertBook(), heard=at, scale_2=first.scale_2)
    restored.limits = limits
    if taken:
        within = restored.merges = Merges()
        within.begin(first.state, scale_2=first.scale_2)
        for name, one in taken.items():
            one.into = "" if one.into == key else one.into
            within.add(name, one)
            restored.scale_2 = restored.scale_2 or is_on_second(name, one.scale_2)
        restored.state = within.view()
    before = result_ids(restored.state)
    record.state = merges.view()
    record.scale_2 = merges.own_scale_2 or any(is_on_second(name, one.scale_2) for name, one in merges.others.items())
    if not merges.others:
        # The view is its own again; what is named by others' keys goes where it belongs.
        merges.own, merges.own_scale_2 = None, False
    return Parted(restored, frozenset(before - result_ids(record.state)))


def strays(record: PatientRecord, given: PatientRecord, path: tuple[str, ...]) -> tuple[str, ...]:
    """Give the parts of a record handed over along a path which have been restored from this one meanwhile."""
    here, theirs = record.merges, given.merges
    if here is None or theirs is None:
        return ()
    return tuple(key for key in theirs.others if here.home_of((*theirs.path(key), *path)) == key)


def file_apart(record: PatientRecord, envelope: Envelope) -> None:
    """Make room for what names a retired key of which no record was known: it must be told apart from here on."""
    merges = record.merges = record.merges or Merges()
    merges.begin(record.state, scale_2=record.scale_2)
    for key, into in zip(envelope.named, (*envelope.named[1:], ""), strict=True):
        if key not in merges.others:
            merges.add(key, Part(type(record.state)(record.state.catalogue), into))


def keep_here(record: PatientRecord, envelope: Envelope) -> None:
    """Let a key be a patient's own again, because what is passed on from it comes back."""
    merges = record.merges
    assert merges is not None, "nothing leads elsewhere"
    first = envelope.events[0]
    merges.away = ""
    for key in (first.retired, *envelope.named) if type(first) is Handover else envelope.named:
        merges.note(MERGED, key)


def note_restored(record: PatientRecord, key: str) -> None:
    """Remember that a key was merged into this record and is no more: what is on its way here for it goes home."""
    merges = record.merges = record.merges or Merges()
    merges.note(RESTORED, key)
