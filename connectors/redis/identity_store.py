"""What [parse] remembers in Redis: who is who, which content was taken, and how far each ingest partition is.

Owns the keys `<prefix>:{parse}:…`, their sizes and lives, and the order in which they are written: docs/decisions/0019
has the layout and why. Must not know how an identifier is resolved, nor Kafka. All keys share one hash tag, because a
merge in one partition concerns links that any other partition may be reading.

    open ──► look (links, claims) ──► [the core resolves] ──► claim (checked, written, noted) ──► [produced] ──► commit

A claim is optimistic: it is written only if all that was read is still so. It leaves a note of what is to be produced;
whoever repeats the work after a crash produces that note, whatever the links say by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1, sha256
from itertools import islice
from time import monotonic_ns
from typing import Any, NamedTuple

import cramjam
import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from connectors.kafka.record import Record
from connectors.redis.faults import FAULTS, translated
from connectors.redis.identity_scripts import CLAIM, COMMIT, LOOK, NOTES, TAKE
from connectors.redis.layout import Client
from connectors.redis.scripts import Script
from events import MILLIS_PER_HOUR, Millis
from events.identifiers import join_parts
from features.store import FencedError, LostStateError, StoreFault

CLAIMS_HOURS = 25
"""A feed that sends a whole day again, an hour late, changes nothing."""
RETENTION_DAYS = 400
"""A patient of whom nothing was heard for so long is forgotten: who comes each year is known again."""
BUCKETS_BITS = 18
"""Claims lie in 262,144 sets a slot. Redis keeps a set of at most 512 integers as a sorted array of 8 bytes each
(`set-max-intset-entries`): up to 134 million claims in half a day, 3,000 a second. More stay right, and take more
room."""
LIVE_SLOTS = 3
"""A slot is half of `claims_hours`: the current one and two before it hold all claims of that time."""
CLAIMS_TRIED_MAX = 20
"""Times in a row that another worker may come between: each time he at least has gone on."""
REBUILD_LINKS = 500
"""Links put back in one call: Redis serves others in between."""
LOOKS_MAX = 3
"""Times the slot may change under our hands: it does so twice a day."""

Name = tuple[str, str]
"""Authority and value."""


class ChangedError(StoreFault):
    """Another worker changed what a claim rests on: nobody's fault; look again."""


class Link(NamedTuple):
    """One identifier's link to a patient key."""

    patient: str
    used: Millis
    """When the patient was last noted as named."""
    version: int
    """Of two records of one link the higher one is newer."""
    former: str = ""
    """The keys that led there through merges, parted by blanks: where an unmerge takes it back to."""


class Snapshot(NamedTuple):
    """What a batch is resolved on."""

    links: dict[Name, Link]
    names: dict[str, list[Name]]
    """Of the patient keys asked for, all identifiers that lead there."""
    known: frozenset[bytes]
    """Which of the content hashes asked for were claimed."""
    version: int
    read: dict[bytes, str | None]
    """Each key read with its value: what a claim checks."""

    def version_of(self, name: Name) -> int:
        """Give the version of a link, 0 where there is none."""
        link = self.links.get(name)
        return 0 if link is None else link.version

    def concerned(self, links: Mapping[Name, str]) -> set[str]:
        """Give the patient keys that gain or lose an identifier, or are noted anew, where links are written."""
        return {*links.values(), *(self.links[name].patient for name in links if name in self.links)}

    def change(self, links: Mapping[Name, Link]) -> Change:
        """Say what links come to for the keys concerned, whose names must have been read."""
        names: dict[str, list[Name]] = {}
        for name, link in links.items():
            before = self.links.get(name)
            gaining = names.setdefault(link.patient, list(self.names[link.patient]))
            if before is not None and before.patient != link.patient:
                losing = names.setdefault(before.patient, list(self.names[before.patient]))
                if name in losing:
                    losing.remove(name)
            if name not in gaining:
                gaining.append(name)
        return Change(links, names)


class Change(NamedTuple):
    """What a batch does to the map."""

    links: Mapping[Name, Link]
    names: Mapping[str, Sequence[Name]]
    """Of each patient key concerned, all identifiers after it; none where the key is no longer anybody's."""


class IdentityRecord(msgspec.Struct, frozen=True):
    """The value of a record of `identities.v1`: one link, as a rebuilt map needs it."""

    authority: str
    value: str
    key: str
    """The patient key."""
    former: str
    used: Millis
    version: int


Noted = dict[int, list[Record]]
"""By offset of the ingest record: what is to be produced for it."""


class Place:
    """One ingest partition, taken: how this worker knows it in Redis."""

    def __init__(
        self, keys: tuple[bytes, bytes], epoch: str, watermark: int, server: str, since: Millis | None
    ) -> None:
        self.keys = keys
        self.epoch = epoch
        self.watermark = watermark
        """As Redis has it."""
        self.server = server
        self.since = since
        """None, or the moment from which on Redis may have lost what it had."""
        self.notes: dict[int, str] = {}
        """The notes that are not done with: the last offset of each, and its field."""


def link_id(name: Name) -> str:
    """Name an identifier: the key of its record on `identities.v1`, and its key in Redis.

    >>> len(link_id(("HOSP", "42")))
    32
    """
    return sha256(join_parts(name)).hexdigest()[:32]


class RedisIdentityStore:
    """The identity map, the claims and the watermarks of [parse]. One object serves all partitions of a process.

    Raises `FencedError`, `LostStateError`, `StoreFullError` and `StoreUnavailableError` of `features.store`; after the
    last, a claim may have been written: `notes` tells.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        retention_ms: Millis = RETENTION_DAYS * 24 * MILLIS_PER_HOUR,
        claims_hours: int = CLAIMS_HOURS,
    ) -> None:
        self._client = client
        self._tag = f"{prefix}:{{parse}}:".encode()
        self._meta = self._tag + b"meta"
        self._restarts = self._tag + b"restarts"
        self._ids, self._names, self._claims = self._tag + b"id:", self._tag + b"names:", self._tag + b"c:"
        self.retention_ms = retention_ms
        self._slot_ms = claims_hours * MILLIS_PER_HOUR // (LIVE_SLOTS - 1)
        self._ahead_ms: Millis = 0
        """Redis's clock less ours; only Redis's counts, so that all workers agree on the slot."""

    # -- an ingest partition ----------------------------------------------------------------------------------------

    def take(self, topic: str, partition: int) -> tuple[Place, Noted]:
        """Take a new epoch for an ingest partition; give its place, and what was claimed and not committed."""
        name = f"{topic}/{partition}".encode()
        keys = (self._tag + b"p:" + name, self._tag + b"notes:" + name)
        _, epoch, watermark, server, now, since, flat = self._call(TAKE, [self._meta, self._restarts, *keys], [])
        self._set_clock(now)
        lost = int(float(since)) if since else None
        place = Place(keys, epoch.decode(), int(watermark), server.decode(), lost)
        return place, _read_notes(place, flat)

    def watermark(self, topic: str, partition: int) -> int:
        """Give how far an ingest partition is, whoever works it; -1 where nobody has begun."""
        try:
            found = self._client.hget(self._tag + b"p:" + f"{topic}/{partition}".encode(), "watermark")
        except FAULTS as error:
            raise translated(error) from error
        return -1 if found is None else int(found)

    def notes(self, place: Place) -> Noted:
        """Give what was claimed and not committed, as Redis has it now; fenced."""
        _, flat = self._call(NOTES, list(place.keys), [place.epoch, place.watermark, place.server])
        return _read_notes(place, flat)

    def commit(self, place: Place, watermark: int) -> None:
        """Note that all up to an offset is produced and acknowledged."""
        done = [at for at in place.notes if at <= watermark]
        fields = [place.notes[at] for at in done]
        arguments = [place.epoch, place.watermark, place.server, watermark, *fields]
        self._call(COMMIT, [self._meta, *place.keys], arguments)
        place.watermark, place.since = watermark, None
        for at in done:
            del place.notes[at]

    # -- looking ----------------------------------------------------------------------------------------------------

    def look(self, names: Iterable[Name], hashes: Sequence[bytes]) -> Snapshot:
        """Read the links of identifiers and which contents were claimed, in one call."""
        keys = {name: self._ids + link_id(name).encode() for name in names}
        version, known, values = self._look(list(keys.values()), hashes)
        read = dict(zip(keys.values(), values, strict=True))
        links = {name: _read_link(value) for name, value in zip(keys, values, strict=True) if value is not None}
        claimed = frozenset(one for one, bit in zip(hashes, known, strict=True) if bit == 49)  # ord("1")
        return Snapshot(links, {}, claimed, version, read)

    def add_names(self, snapshot: Snapshot, patients: Iterable[str]) -> None:
        """Read the identifiers of patient keys into a snapshot, in one call."""
        wanted = [patient for patient in dict.fromkeys(patients) if patient not in snapshot.names]
        keys = [self._names + patient.encode() for patient in wanted]
        _, _, values = self._look(keys, ())
        for patient, key, value in zip(wanted, keys, values, strict=True):
            snapshot.read[key] = value
            snapshot.names[patient] = [] if value is None else _decode_names(value)
        more = {name for patient in wanted for name in snapshot.names[patient]}.difference(snapshot.links)
        if more:
            found = self.look(sorted(more), ())
            snapshot.links.update(found.links)
            snapshot.read.update(found.read)

    def _look(self, keys: list[bytes], hashes: Sequence[bytes]) -> tuple[int, bytes, list[str | None]]:
        members = [_member(one) for one in hashes]
        for _ in range(LOOKS_MAX):
            slot = self._slot()
            buckets = [self._bucket(slot - back, one) for one in hashes for back in range(LIVE_SLOTS)]
            try:
                answer = self._call(LOOK, [self._meta, *keys, *buckets], [len(keys), slot, self._slot_ms, *members])
            except ChangedError:
                continue
            values = [_text(value) for part in answer[3:] for value in _decode_values(part)]
            return int(answer[1]), answer[2], values
        raise ChangedError("the clock of Redis does not stand still")

    # -- writing ----------------------------------------------------------------------------------------------------

    def claim(
        self, place: Place, snapshot: Snapshot, hashes: Sequence[bytes], change: Change, noted: Noted, watermark: int
    ) -> None:
        """Write a batch's claims and links, and a note of what comes of it, if all that was read is still so.

        `noted` has every offset of the batch, of which `watermark` is the last. Raises `ChangedError` where another
        worker came between: look again.
        """
        note = bytes(cramjam.lz4.compress_block(_encode_note(list(noted.items()))))
        fence = [place.epoch, place.watermark, place.server]
        self._write(place.keys, fence, snapshot, hashes, change, [str(watermark), note])
        place.notes[watermark] = str(watermark)

    def apply(self, snapshot: Snapshot, change: Change) -> None:
        """Write links alone, if all that was read is still so; raises `ChangedError`."""
        nowhere = (self._meta, self._meta)
        self._write(nowhere, ["", "", ""], snapshot, (), change, ["", b""])

    def _write(
        self,
        place: tuple[bytes, bytes],
        fence: list[Any],
        snapshot: Snapshot,
        hashes: Sequence[bytes],
        change: Change,
        note: list[Any],
    ) -> None:
        slot = self._slot()
        written = {self._ids + link_id(name).encode(): _write_link(link) for name, link in change.links.items()}
        deleted = []
        for patient, names in change.names.items():
            if names:
                written[self._names + patient.encode()] = msgspec.json.encode(names).decode()
            else:
                deleted.append(self._names + patient.encode())
        version = max((link.version for link in change.links.values()), default=0)
        digest = sha1(usedforsecurity=False)
        digest.update(
            "".join(["-" if one is None else f"{len(one.encode())}:{one}" for one in snapshot.read.values()]).encode()
        )
        counts = [len(snapshot.read), len(hashes), len(written)]
        ends = [self.retention_ms, (slot + LIVE_SLOTS) * self._slot_ms, version]
        keys = [*snapshot.read, *(self._bucket(slot, one) for one in hashes), *written, *deleted]
        arguments = [*fence, slot, self._slot_ms, digest.hexdigest(), *counts, *ends, *note]
        arguments += [*(_member(one) for one in hashes), *written.values()]
        self._call(CLAIM, [self._meta, *place, *keys], arguments)

    def rebuild(self, records: Iterable[bytes]) -> int:
        """Put back links that Redis may have lost, from the values of `identities.v1`; give how many were put back.

        Safe at any time, and beside workers that go on: the newer version of each link wins.
        """
        records = iter(records)
        count = 0
        while portion := list(islice(records, REBUILD_LINKS)):
            for attempt in Retrying(
                retry=retry_if_exception_type(ChangedError), stop=stop_after_attempt(CLAIMS_TRIED_MAX), reraise=True
            ):
                with attempt:
                    restored = self._restore(portion)
            count += restored
        return count

    def _restore(self, portion: Iterable[bytes]) -> int:
        told: dict[Name, Link] = {}
        for data in portion:
            one = _decode_record(data)
            name = (one.authority, one.value)
            if name not in told or told[name].version <= one.version:
                told[name] = Link(one.key, one.used, one.version, one.former)
        snapshot = self.look(told, ())
        newer = {name: link for name, link in told.items() if link.version > snapshot.version_of(name)}
        if newer:
            self.add_names(snapshot, snapshot.concerned({name: link.patient for name, link in newer.items()}))
            self.apply(snapshot, snapshot.change(newer))
        return len(newer)

    # -- parts ------------------------------------------------------------------------------------------------------

    def _slot(self) -> int:
        return (monotonic_ns() // 1_000_000 + self._ahead_ms) // self._slot_ms

    def _set_clock(self, now: bytes) -> None:
        self._ahead_ms = int(now) - monotonic_ns() // 1_000_000

    def _bucket(self, slot: int, content_hash: bytes) -> bytes:
        number = int.from_bytes(content_hash[:4]) >> (32 - BUCKETS_BITS)
        return b"%s%d:%x" % (self._claims, slot, number)

    def _call(self, script: Script, keys: list[bytes], arguments: list[Any]) -> list[Any]:
        try:
            answer = script.run(self._client, keys, arguments)
        except FAULTS as error:
            raise translated(error) from error
        word = answer[0]
        if word == b"OK":
            return answer
        said = answer[1].decode()
        if word == b"CHANGED":
            if said.isdigit():
                self._set_clock(answer[1])
            raise ChangedError(said)
        if word == b"FENCED":
            raise FencedError(f"a newer epoch was taken: {said}")
        raise LostStateError(f"what [parse] keeps is not as this worker left it ({said})")


_decode_values = msgspec.msgpack.Decoder(list[str | bool]).decode
_decode_names = msgspec.json.Decoder(list[Name]).decode
_decode_record = msgspec.json.Decoder(IdentityRecord).decode
_encode_note = msgspec.msgpack.Encoder().encode
_decode_note = msgspec.msgpack.Decoder(list[tuple[int, list[Record]]]).decode


def _read_notes(place: Place, flat: Sequence[bytes]) -> Noted:
    place.notes.clear()
    noted: Noted = {}
    for field, data in sorted(zip(flat[::2], flat[1::2], strict=True), key=lambda note: int(note[0])):
        place.notes[int(field)] = field.decode()
        noted.update(_decode_note(bytes(cramjam.lz4.decompress_block(data))))
    return noted


def _text(value: str | bool) -> str | None:  # noqa: FBT001 - as Redis packs it
    """Give a value, None where the key is not there: Lua's false."""
    return value if isinstance(value, str) else None


def _read_link(value: str) -> Link:
    patient, used, version, former = value.split(" ", 3)
    return Link(patient, int(used), int(version), former)


def _write_link(link: Link) -> str:
    return f"{link.patient} {link.used} {link.version} {link.former}"


def _member(content_hash: bytes) -> int:
    """Give what stands for a content within its bucket: with the bucket's bits, 82 of the hash's 128.

    Two of 100 million contents a day that are not the same are taken for the same once in a million years.
    """
    return int.from_bytes(content_hash[8:16], signed=True)
