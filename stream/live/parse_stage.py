"""[parse]: the records of one ingest partition to envelopes, letters and identity links.

Owns the order of a batch: decode, look, resolve, claim, hand back what is to be produced. Must not know Faust, Kafka's
clients or Redis, nor how anybody is resolved: `stream.parse.Parser` does that, on as much of the map as a batch needs.

What a batch comes to depends on what other partitions did to the map in between. So it is decided once: the claim that
makes it so leaves a note of the very records, and work that is repeated gives the note. Where Redis itself lost it, the
log has what was produced (`History`), and that is given again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random

from connectors.decoded import Decoded, RefusalReason
from connectors.kafka.headers import cloud_headers
from connectors.kafka.record import Record
from connectors.kafka.topics import EVENTS, IDENTITIES, TOPICS
from connectors.redis.identity_store import (
    CLAIMS_TRIED_MAX,
    ChangedError,
    IdentityRecord,
    Link,
    Name,
    Noted,
    RedisIdentityStore,
    link_id,
)
from events import (
    Carried,
    Envelope,
    Handover,
    Millis,
    Retirement,
    content_id,
    decode_envelope,
    encode_envelope,
)
from events.encoding import ENVELOPE_BYTES_MAX, UndecodableEnvelopeError
from features.store import FencedError, StoreUnavailableError
from stream.identity import Pseudonyms
from stream.live.act_records import ActReader
from stream.live.letters import letter_record
from stream.live.parsing import IngestRecord, by_patient, read_item
from stream.live.resolving import Resolution
from stream.live.stage import LogItem, LogRange, first_offset, following, lost_records
from stream.parse import DeadLetter, Parser, spread
from stream.settings import Settings

PORTION_BYTES_MAX = 4 * 1024 * 1024
"""Of ingest records claimed together: their note lies in Redis until they are committed. An ordinary batch of 500 is
a quarter of it; one longer record is a portion of its own."""
CHANGED_WAIT_S = 0.02
"""At the most, before looking again: a few times what a claim takes, so that two who collide do not go on so."""
CLOCKS_APART_MS = 60_000
"""How far the clocks of Redis and of the broker may be apart where the log is searched for what Redis lost."""


class History(Protocol):
    """What was produced, read back from the log where Redis may have lost it."""

    def identities(self, since: Millis) -> Iterable[bytes]:
        """Give the values of `identities.v1`, of records with a time from `since` on; 0 is all."""
        ...

    def envelopes(self, since: Millis) -> Iterable[bytes]:
        """Give the values of `events.v1`, of all partitions, of records with a time from `since` on; 0 is all."""
        ...


class ParsePartition:
    """One ingest partition of [parse]; see `stream.live.stage.StagePartition`.

    `history` is asked only where Redis was started anew since this partition's last commit.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        identities: RedisIdentityStore,
        settings: Settings,
        pseudonyms: Pseudonyms,
        *,
        history: History | None = None,
        acts: ActReader | None = None,
    ) -> None:
        """`acts` says who may act; without one nobody is asked who they are."""
        self.folded = -1
        self.epoch = 0
        self.problems: tuple[str, ...] = ()
        self.counts: Counter[str] = Counter()
        """`accepted`, `duplicates`, `dead_letters`, `conflicts`, `repeated` (from a note), `looked_again`."""
        self._topic = topic
        self.number = partition
        self._identities = identities
        self._settings = settings
        self._pseudonyms = pseudonyms
        self._history = history
        self._acts = acts or ActReader()
        self._source = f"/wardstream/{topic}/{partition}"
        self._start = 0
        self._at = -1
        self._noted: Noted = {}
        self._unsure = False
        """Whether a claim may have been written without our knowing: its answer was lost."""
        self._recalled: dict[str, Envelope] = {}
        """By position: what the log has of records that Redis knows nothing of."""
        self._recalled_ids: dict[str, str] = {}
        """The position by the id of every envelope in that part of the log, whichever partition it came of."""

    # -- steps ------------------------------------------------------------------------------------------------------

    def open(self, log: LogRange) -> int:
        """Take the partition: a new epoch, and the notes of what was claimed and not committed."""
        self._place, self._noted = self._identities.take(self._topic, self.number)
        self.epoch, watermark = int(self._place.epoch), self._place.watermark
        start = first_offset(watermark, log)
        lost = lost_records(watermark, log)
        self.problems = (f"{self._topic}/{self.number}: {lost}",) if lost and watermark >= 0 else ()
        self.folded, self._start, self._at, self._unsure = watermark, start, start - 1, False
        self._recalled, self._recalled_ids = {}, {}
        if self._place.since is not None and self._history is not None:
            self._recover(self._history, max(self._place.since - CLOCKS_APART_MS, 0), watermark)
        return start

    def still_ours(self) -> bool:
        """Whether nobody took the partition since it was opened, and Redis stands where we left it."""
        try:
            self._identities.notes(self._place)
        except FencedError:
            return False
        return True

    def work(self, batch: Sequence[LogItem]) -> list[Record]:
        """Decode, resolve and claim a batch; give what is to be produced. May be called again where it raised."""
        if self._unsure:
            self._noted = self._identities.notes(self._place)
            self._unsure = False
        at = self._at
        records: list[Record] = []
        for portion in self._portions(batch):
            records.extend(self._work(portion))
            at = portion[-1].offset
        self._at = at
        return records

    def commit(self) -> None:
        """Note that what `work` gave is acknowledged."""
        self._identities.commit(self._place, self._at)
        self.folded = self._at
        self._noted = {offset: records for offset, records in self._noted.items() if offset > self._at}

    def idle(self, _now: Millis) -> list[Record]:
        """Give nothing: an ingest topic has no time of its own."""
        return []

    # -- a batch ----------------------------------------------------------------------------------------------------

    def _portions(self, batch: Sequence[LogItem]) -> Iterator[list[LogItem]]:
        """Part a batch so that no claim's note is too large; what is done already is left out."""
        portion: list[LogItem] = []
        size = 0
        for item in following(batch, self._at, self._start, f"{self._topic}/{self.number}"):
            size += len(item.value or b"")
            if portion and size > PORTION_BYTES_MAX:
                yield portion
                portion, size = [], len(item.value or b"")
            portion.append(item)
        if portion:
            yield portion

    def _work(self, portion: Sequence[LogItem]) -> Iterator[Record]:
        fresh = [item for item in portion if item.offset not in self._noted]
        self.counts["repeated"] += len(portion) - len(fresh)
        if fresh:
            read = [by_patient(read_item(self._topic, self.number, item, self._settings, self._acts)) for item in fresh]
            self._noted.update(self._claimed(read))
        for item in portion:
            yield from self._noted[item.offset]

    def _claimed(self, read: Sequence[IngestRecord]) -> Noted:
        """Resolve records and claim them; where another worker came between, look again."""
        for attempt in Retrying(
            retry=retry_if_exception_type(ChangedError),
            stop=stop_after_attempt(CLAIMS_TRIED_MAX),
            wait=wait_random(0, CHANGED_WAIT_S),
            reraise=True,
        ):
            with attempt:
                self.counts["looked_again"] += attempt.retry_state.attempt_number > 1
                trial = Resolution(self._identities, self._pseudonyms, self._recalled_ids)
                try:
                    trial.look(read)
                    noted = self._resolved(trial, read)
                    self._identities.claim(
                        self._place, trial.snapshot, trial.fresh, trial.change(), noted, read[-1].offset
                    )
                except StoreUnavailableError:
                    self._unsure = True
                    raise
        self.counts.update(trial.counts)
        return noted

    def _resolved(self, trial: Resolution, read: Sequence[IngestRecord]) -> Noted:
        """Resolve records on a snapshot, as often as it turns out to lack somebody's names."""
        while True:
            parser = trial.parser()
            noted = {one.offset: self._records(trial, parser, one) for one in read}
            links = trial.written()
            if links is not None:
                break
        # The links stand before what was resolved by them.
        first = read[0].offset
        noted[first] = [*(self._identity(name, link) for name, link in links.items()), *noted[first]]
        return noted

    def _records(self, trial: Resolution, parser: Parser, one: IngestRecord) -> list[Record]:
        records: list[Record] = []
        kept_out: Decoded | None = None
        for taken in one.messages:
            if taken.decoded is kept_out:
                continue  # The second patient of a message that was refused: it is one dead letter.
            recalled = self._recalled.get(taken.position)
            parsed = trial.step(parser, taken, one.received_time)
            decoded = taken.decoded
            kept_out = decoded.beside if isinstance(decoded, Decoded) and type(parsed) is DeadLetter else None
            if recalled is not None:
                # It was decided before and stands on the log: the step was for the claim and the links. Only what it
                # says to other keys may have been cut off; the envelope itself, written again, could come so late that
                # the folds no longer know it for a repeat.
                _whole, *told = spread(recalled)
                records.extend(self._event(one, encode_envelope(one)) for one in told)
                continue
            if type(parsed) is Envelope:
                data = encode_envelope(parsed)
                if len(data) > ENVELOPE_BYTES_MAX:
                    detail = "what it says is longer than a record may be"
                    letter = DeadLetter(
                        RefusalReason.OVERSIZED,
                        "$",
                        detail,
                        taken.position,
                        one.received_time,
                        parsed.message_id,
                        parsed.feed,
                    )
                    records.append(letter_record(letter, taken.data, one.feed))
                else:
                    records.extend(self._envelope_records(parsed, data))
            elif type(parsed) is DeadLetter:
                records.append(letter_record(parsed, taken.data, one.feed))
        return records

    def _envelope_records(self, envelope: Envelope, data: bytes) -> Iterator[Record]:
        whole, *told = spread(envelope)
        yield self._event(whole, data if whole is envelope else encode_envelope(whole))
        for one in told:
            yield self._event(one, encode_envelope(one))

    def _event(self, envelope: Envelope, data: bytes) -> Record:
        headers = cloud_headers(
            envelope.envelope_id,
            TOPICS[EVENTS].event_type,
            self._source,
            envelope.received_time,
            schema=TOPICS[EVENTS].schema,
        )
        return Record(EVENTS, envelope.patient.encode(), data, headers)

    def _identity(self, name: Name, link: Link) -> Record:
        key = link_id(name)
        value = _encode(IdentityRecord(*name, link.patient, link.former, link.used, link.version))
        headers = cloud_headers(
            content_id("identity", key, str(link.version), link.patient),
            TOPICS[IDENTITIES].event_type,
            self._source,
            link.used,
            schema=TOPICS[IDENTITIES].schema,
        )
        return Record(IDENTITIES, key.encode(), value, headers)

    # -- where Redis lost something ---------------------------------------------------------------------------------

    def _recover(self, history: History, since: Millis, watermark: int) -> None:
        """Put back the links that Redis may have lost, and recall what was produced beyond its watermark."""
        self._identities.rebuild(history.identities(since))
        own = f"{self._topic}/{self.number}/"
        for data in history.envelopes(since):
            try:
                envelope = decode_envelope(data)
            except UndecodableEnvelopeError:
                continue
            if envelope.hops or type(envelope.events[0] if envelope.events else None) in _DERIVED:
                continue
            self._recalled_ids.setdefault(envelope.envelope_id, envelope.position)
            if envelope.position.startswith(own):
                offset = int(envelope.position[len(own) :].partition("#")[0])
                if offset > watermark and offset not in self._noted:
                    self._recalled.setdefault(envelope.position, envelope)
        self._identities.commit(self._place, watermark)


_DERIVED = {Retirement, Handover, Carried}
"""What the log has beside the messages: made anew from them, with their position."""
_encode = msgspec.json.Encoder(order="sorted").encode
