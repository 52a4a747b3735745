"""The stored form of the monitoring: by chunks, so that a batch writes only what it touched.

Owns the keys, the schema number and the checksum. Must not know a store. A state that is damaged or of another schema
is of no use and is begun anew: no clinical output rests on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec

from alerts.monitoring.channel import Channel
from alerts.monitoring.feed import Feed
from alerts.monitoring.signal import Signal, SignalKind
from alerts.monitoring.silence import Silence
from alerts.monitoring.usual import Stored, Usual
from alerts.monitoring.voice import VOICE_CHUNKS, Key, Voice
from alerts.monitoring.ward import Ward
from alerts.monitoring.watch import Watch
from alerts.sealing import BrokenSealError, seal, unseal
from events import Coding, Millis

SCHEMA = 2
"""Of all chunks; another one is not read."""
MONITOR_KEY = "~monitor/"
"""The head lies under it, the chunks under keys that begin so: no patient key can."""
RETIRED_KEY = f"{MONITOR_KEY}wards"
"""Schema 1 kept all wards under it: it goes with the next commit."""
FEED_CHUNKS = 16
WARD_CHUNKS = 512
PATIENT_CHUNKS = 4_096
"""So many that a batch writes little beside what it touched: of 20,000 patients five for one, of 500 wards one. A chunk
that is empty has no entry, so a small hospital has as many as it has patients."""

Bins = dict[int, int]


class UnreadableMonitorError(ValueError):
    """What was kept of the monitoring is damaged or of another schema: it is begun anew."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    clock: Millis
    excused: Millis
    unsaid: int
    place: int


class _Told(msgspec.Struct, frozen=True, array_like=True):
    place: int
    kind: SignalKind
    subject: str
    seq: int
    standing: Signal | None


class _Silence(msgspec.Struct, frozen=True, array_like=True):
    first: Millis
    heard: Millis
    since: Millis
    deadline: Millis
    limit: Millis
    hour: int
    told: bool
    usual: Stored


class _Channel(msgspec.Struct, frozen=True, array_like=True):
    codings: tuple[Coding, ...]
    unit: str
    first: int
    first_time: Millis
    last: int
    last_time: Millis
    from_message: int
    count: int
    seen: int
    newcomer: bool
    low: float
    high: float
    bins: Bins
    samples: int
    sampled: int
    odd: list[tuple[float, str]]
    standing: int
    same: int
    again: int
    breaks: int
    run_min: int
    passed: int = 0
    qualifiers: tuple[Coding, ...] = ()
    """Neither was kept by earlier releases."""


class _Feed(msgspec.Struct, frozen=True, array_like=True):
    name: str
    silence: _Silence
    messages: int
    channels: list[_Channel]
    lost: list[tuple[int, int]]
    """By feature: the place of its channel."""
    wards: dict[str, Millis]
    full: bool
    looked_hour: int
    pairs: int
    stale: int
    stalled: list[str]
    frozen: int
    frozen_since: Millis


class _Ward(msgspec.Struct, frozen=True, array_like=True):
    name: str
    silence: _Silence
    present: int
    usual: tuple[Stored, Stored, Stored]
    patience: list[tuple[int, Millis]]


class Kept(NamedTuple):
    """All that was kept of the monitoring."""

    clock: Millis
    excused: Millis
    unsaid: int
    place: int
    said: list[tuple[int, Key, int, Signal | None]]
    """Place, key, last `seq`, and the signal where it stands; in their order."""
    feeds: dict[str, Feed]
    wards: dict[str, Ward]
    patients: list[dict[str, Watch]]
    """By chunk."""


def feed_key(number: int) -> str:
    """Give the key of a chunk of feeds.

    >>> feed_key(3)
    '~monitor/f3'
    """
    return f"{MONITOR_KEY}f{number}"


def patient_key(number: int) -> str:
    """Give the key of a chunk of patients."""
    return f"{MONITOR_KEY}p{number}"


def ward_key(number: int) -> str:
    """Give the key of a chunk of wards."""
    return f"{MONITOR_KEY}w{number}"


def voice_key(number: int) -> str:
    """Give the key of a chunk of what was said."""
    return f"{MONITOR_KEY}s{number}"


def chunk_for(name: str, chunks: int) -> int:
    """Give the chunk that a name belongs in: the same everywhere.

    >>> chunk_for("CHART", 16)
    10
    """
    return crc32(name.encode()) % chunks


def chunk_of(key: str) -> int:
    """Give the number of a chunk."""
    return int(key[len(MONITOR_KEY) + 1 :])


def monitor_keys() -> list[str]:
    """Give every key that anything may lie under, for one read when a host opens."""
    sorts = (
        (feed_key, FEED_CHUNKS),
        (ward_key, WARD_CHUNKS),
        (voice_key, VOICE_CHUNKS),
        (patient_key, PATIENT_CHUNKS),
    )
    return [MONITOR_KEY, RETIRED_KEY, *[key_of(number) for key_of, chunks in sorts for number in range(chunks)]]


# -- writing -----------------------------------------------------------------------------------------------------------


def pack_head(clock: Millis, excused: Millis, voice: Voice) -> bytes:
    """Write the clock, when all were excused last, and the numbers that the voice goes on from."""
    return seal(SCHEMA, _Head(clock, excused, voice.unsaid, voice.place))


def pack_voice(voice: Voice, number: int) -> bytes | None:
    """Write a chunk of what stands and of the last `seq` of what does not; None where there is none."""
    rows = []
    for key, place in voice.members[number].items():
        raised = voice.standing.get(key)
        rows.append(_Told(place, *key, voice.told[key] if raised is None else raised.seq, raised))
    return seal(SCHEMA, rows) if rows else None


def pack_feeds(feeds: Iterable[Feed]) -> bytes | None:
    """Write feeds; None where there are none."""
    rows = [_feed_row(feed) for feed in feeds]
    return seal(SCHEMA, rows) if rows else None


def pack_wards(wards: Mapping[str, Ward]) -> bytes | None:
    """Write wards; None where there are none."""
    rows = [
        _Ward(
            name, _silence_row(ward.silence), ward.present,
            (ward.usual[0].stored(), ward.usual[1].stored(), ward.usual[2].stored()), ward.patience,
        )
        for name, ward in wards.items()
    ]  # fmt: skip
    return seal(SCHEMA, rows) if rows else None


def pack_patients(patients: Mapping[str, Watch]) -> bytes | None:
    """Write patients; None where there are none."""
    return seal(SCHEMA, patients) if patients else None


def _silence_row(one: Silence) -> _Silence:
    return _Silence(
        one.first, one.heard, one.since, one.deadline, one.limit, one.hour, one.told, one.usual.stored()
    )  # fmt: skip


def _feed_row(feed: Feed) -> _Feed:
    places = {id_of: place for place, id_of in enumerate(feed.channels)}
    return _Feed(
        feed.name,
        _silence_row(feed.silence),
        feed.messages,
        [_channel_row(channel) for channel in feed.channels.values()],
        [(index, places[channel.codings, channel.unit]) for index, channel in feed.lost.items()],
        feed.wards,
        feed.full,
        feed.looked_hour,
        feed.pairs,
        feed.stale,
        feed.stalled,
        feed.frozen,
        feed.frozen_since,
    )


def _channel_row(one: Channel) -> _Channel:
    return _Channel(*[getattr(one, name) for name in _Channel.__struct_fields__])


# -- reading -----------------------------------------------------------------------------------------------------------


def unpack(found: Mapping[str, bytes]) -> Kept:
    """Read what was written; raises `UnreadableMonitorError`."""
    if MONITOR_KEY not in found:
        raise UnreadableMonitorError("nothing is kept")
    try:
        head = unseal(SCHEMA, found[MONITOR_KEY], _Head)
        said: list[_Told] = []
        for data in _chunks(found, voice_key, VOICE_CHUNKS):
            said += unseal(SCHEMA, data, list[_Told])
        said.sort(key=lambda row: row.place)
        feeds: list[_Feed] = []
        for data in _chunks(found, feed_key, FEED_CHUNKS):
            feeds += unseal(SCHEMA, data, list[_Feed])
        wards: list[_Ward] = []
        for data in _chunks(found, ward_key, WARD_CHUNKS):
            wards += unseal(SCHEMA, data, list[_Ward])
        patients = [unseal(SCHEMA, data, dict[str, Watch]) for data in _chunks(found, patient_key, PATIENT_CHUNKS)]
        return Kept(
            head.clock,
            head.excused,
            head.unsaid,
            head.place,
            [(row.place, (row.kind, row.subject), row.seq, row.standing) for row in said],
            {row.name: _feed_from(row) for row in feeds},
            {row.name: _ward_from(row) for row in wards},
            patients,
        )
    except BrokenSealError as fault:
        raise UnreadableMonitorError(str(fault)) from None
    except (IndexError, OverflowError) as fault:
        raise UnreadableMonitorError(type(fault).__name__) from None


def _chunks(found: Mapping[str, bytes], key_of: Callable[[int], str], chunks: int) -> Iterator[bytes]:
    for number in range(chunks):
        data = found.get(key_of(number))
        if data is not None:
            yield data


def _silence_from(row: _Silence) -> Silence:
    silence = Silence(row.first)
    silence.heard, silence.since, silence.deadline = row.heard, row.since, row.deadline
    silence.limit, silence.hour, silence.told = row.limit, row.hour, row.told
    silence.usual = Usual(row.usual)
    return silence


def _feed_from(row: _Feed) -> Feed:
    feed = Feed(row.name, row.silence.first, chunk_for(row.name, FEED_CHUNKS))
    feed.silence, feed.messages = _silence_from(row.silence), row.messages
    channels = [_channel_from(one) for one in row.channels]
    feed.channels = {(channel.codings, channel.unit): channel for channel in channels}
    feed.lost = {index: channels[place] for index, place in row.lost}
    feed.wards, feed.full, feed.looked_hour = row.wards, row.full, row.looked_hour
    feed.pairs, feed.stale = row.pairs, row.stale
    feed.stalled, feed.frozen, feed.frozen_since = row.stalled, row.frozen, row.frozen_since
    return feed


def _channel_from(row: _Channel) -> Channel:
    channel = Channel(row.codings, row.unit, row.first, row.first_time)
    for name in _Channel.__struct_fields__:
        setattr(channel, name, getattr(row, name))
    return channel


def _ward_from(row: _Ward) -> Ward:
    ward = Ward(row.silence.first, chunk_for(row.name, WARD_CHUNKS))
    ward.silence, ward.present = _silence_from(row.silence), row.present
    ward.usual = (Usual(row.usual[0], 1), Usual(row.usual[1], 1), Usual(row.usual[2], 1))
    ward.patience = row.patience
    return ward
