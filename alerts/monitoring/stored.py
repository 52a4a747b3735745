"""The stored form of the monitoring: by chunks, so that a batch writes only what it touched.

Owns the keys, the schema number and the checksum. Must not know a store. A state that is damaged or of another schema
is of no use and is begun anew: no clinical output rests on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from alerts.monitoring.channel import Channel
from alerts.monitoring.feed import Feed
from alerts.monitoring.signal import Signal, SignalKind
from alerts.monitoring.silence import Silence
from alerts.monitoring.usual import Usual
from alerts.monitoring.voice import Key, Voice
from alerts.monitoring.ward import Ward
from alerts.monitoring.watch import Acuity, Watch
from alerts.sealing import BrokenSealError, seal, unseal
from events import Coding, Millis

SCHEMA = 1
"""Of all chunks; another one is not read."""
MONITOR_KEY = "~monitor/"
"""The head lies under it, the chunks under keys that begin so: no patient key can."""
WARDS_KEY = f"{MONITOR_KEY}wards"
FEED_CHUNKS = 16
PATIENT_CHUNKS = 64
"""Of a thousand patients, a batch that touches one writes sixteen."""

Bins = dict[int, int]
StoredUsual = list[tuple[int, Bins]]


class UnreadableMonitorError(ValueError):
    """What was kept of the monitoring is damaged or of another schema: it is begun anew."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    clock: Millis
    standing: list[Signal]
    told: list[tuple[SignalKind, str, int]]


class _Silence(msgspec.Struct, frozen=True, array_like=True):
    first: Millis
    heard: Millis
    since: Millis
    deadline: Millis
    limit: Millis
    hour: int
    told: bool
    usual: StoredUsual


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


class _Feed(msgspec.Struct, frozen=True, array_like=True):
    name: str
    silence: _Silence
    messages: int
    channels: list[_Channel]
    lost: list[tuple[int, int]]
    """By feature: the place of its channel."""
    wards: dict[str, Millis]
    full: bool
    pairs: int
    stale: int
    stalled: list[str]
    frozen: int
    frozen_since: Millis


class _Ward(msgspec.Struct, frozen=True, array_like=True):
    name: str
    silence: _Silence
    present: int
    usual: list[StoredUsual]
    patience: list[tuple[int, Millis]]


class _Watch(msgspec.Struct, frozen=True, array_like=True):
    patient: str
    ward: str
    here: bool
    acuity: Acuity
    heard: Millis
    since: Millis
    deadline: Millis
    told: bool
    event_time: Millis
    values: dict[int, float]
    runs: dict[int, tuple[int, Millis]]


class Kept(NamedTuple):
    """All that was kept of the monitoring."""

    clock: Millis
    standing: dict[Key, Signal]
    told: dict[Key, int]
    feeds: dict[str, Feed]
    wards: dict[str, Ward]
    patients: list[dict[str, Watch]]


def feed_key(number: int) -> str:
    """Give the key of a chunk of feeds.

    >>> feed_key(3)
    '~monitor/f3'
    """
    return f"{MONITOR_KEY}f{number}"


def patient_key(number: int) -> str:
    """Give the key of a chunk of patients."""
    return f"{MONITOR_KEY}p{number}"


def chunk_of(key: str) -> int:
    """Give the number of a chunk of feeds or patients."""
    return int(key[len(MONITOR_KEY) + 1 :])


def monitor_keys() -> list[str]:
    """Give every key that anything may lie under, for one read when a host opens."""
    feeds = [feed_key(number) for number in range(FEED_CHUNKS)]
    return [MONITOR_KEY, WARDS_KEY, *feeds, *[patient_key(number) for number in range(PATIENT_CHUNKS)]]


# -- writing -----------------------------------------------------------------------------------------------------------


def pack_head(clock: Millis, voice: Voice) -> bytes:
    """Write the clock, what stands, and the last `seq` of what does not."""
    told = [(kind, subject, seq) for (kind, subject), seq in voice.told.items()]
    return seal(SCHEMA, _Head(clock, list(voice.standing.values()), told))


def pack_feeds(feeds: Iterable[Feed]) -> bytes | None:
    """Write feeds; None where there are none."""
    rows = [_feed_row(feed) for feed in feeds]
    return seal(SCHEMA, rows) if rows else None


def pack_wards(wards: Mapping[str, Ward]) -> bytes | None:
    """Write wards; None where there are none."""
    rows = [
        _Ward(name, _silence_row(ward.silence), ward.present, [usual.stored() for usual in ward.usual], ward.patience)
        for name, ward in wards.items()
    ]
    return seal(SCHEMA, rows) if rows else None


def pack_patients(patients: Mapping[str, Watch]) -> bytes | None:
    """Write patients; None where there are none."""
    rows = [
        _Watch(
            name, one.ward, one.here, one.acuity, one.heard, one.since, one.deadline, one.told, one.event_time,
            one.values, one.runs,
        )
        for name, one in patients.items()
    ]  # fmt: skip
    return seal(SCHEMA, rows) if rows else None


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
    try:
        head = unseal(SCHEMA, found[MONITOR_KEY], _Head)
        feeds, wards, patients = [], [], []
        for key in monitor_keys():
            data = found.get(key)
            if data is None or key == MONITOR_KEY:
                continue
            if key == WARDS_KEY:
                wards = unseal(SCHEMA, data, list[_Ward])
            elif key == feed_key(chunk_of(key)):
                feeds += [(chunk_of(key), row) for row in unseal(SCHEMA, data, list[_Feed])]
            else:
                patients.append((chunk_of(key), unseal(SCHEMA, data, list[_Watch])))
        return Kept(
            head.clock,
            {(signal.kind, signal.subject): signal for signal in head.standing},
            {(kind, subject): seq for kind, subject, seq in head.told},
            {row.name: _feed_from(row, chunk) for chunk, row in feeds},
            {row.name: _ward_from(row) for row in wards},
            [{row.patient: _watch_from(row, chunk) for row in rows} for chunk, rows in patients],
        )
    except BrokenSealError as fault:
        raise UnreadableMonitorError(str(fault)) from None
    except (IndexError, OverflowError) as fault:
        raise UnreadableMonitorError(type(fault).__name__) from None


def _silence_from(row: _Silence) -> Silence:
    silence = Silence(row.first)
    silence.heard, silence.since, silence.deadline = row.heard, row.since, row.deadline
    silence.limit, silence.hour, silence.told = row.limit, row.hour, row.told
    silence.usual = Usual(row.usual)
    return silence


def _feed_from(row: _Feed, chunk: int) -> Feed:
    feed = Feed(row.name, row.silence.first, chunk)
    feed.silence, feed.messages = _silence_from(row.silence), row.messages
    channels = [_channel_from(one) for one in row.channels]
    feed.channels = {(channel.codings, channel.unit): channel for channel in channels}
    feed.lost = {index: channels[place] for index, place in row.lost}
    feed.wards, feed.full, feed.pairs, feed.stale = row.wards, row.full, row.pairs, row.stale
    feed.stalled, feed.frozen, feed.frozen_since = row.stalled, row.frozen, row.frozen_since
    return feed


def _channel_from(row: _Channel) -> Channel:
    channel = Channel(row.codings, row.unit, row.first, row.first_time)
    for name in _Channel.__struct_fields__:
        setattr(channel, name, getattr(row, name))
    return channel


def _ward_from(row: _Ward) -> Ward:
    ward = Ward(row.silence.first)
    ward.silence, ward.present = _silence_from(row.silence), row.present
    ward.usual = (Usual(row.usual[0], 1), Usual(row.usual[1], 1), Usual(row.usual[2], 1))
    ward.patience = row.patience
    return ward


def _watch_from(row: _Watch, chunk: int) -> Watch:
    watch = Watch(chunk)
    for name in _Watch.__struct_fields__:
        if name != "patient":
            setattr(watch, name, getattr(row, name))
    return watch
