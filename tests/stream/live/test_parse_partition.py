"""[parse] over a real Redis: stamps that no clock gives, and messages that Redis has forgotten."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.kafka.topics import EVENTS, IDENTITIES
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.settings import RedisSettings
from stream.identity import Pseudonyms
from stream.live.parse_stage import ParsePartition
from stream.live.parsing import HL7
from stream.live.stage import LogItem, LogRange
from stream.settings import Settings
from tests.stream.live.partitions import LOG, MINUTE, SICK, START, WELL, Messages


class Written:
    """What [parse] wrote, as the log has it."""

    def __init__(self) -> None:
        self._identities: list[bytes] = []
        self.kept: list[bytes] = []
        """Of `events.v1`."""

    def identities(self, since: int) -> Iterable[bytes]:  # noqa: ARG002 - a history's signature
        """Give all."""
        return list(self._identities)

    def envelopes(self, since: int) -> Iterable[bytes]:  # noqa: ARG002 - a history's signature
        """Give all."""
        return list(self.kept)

    def run(self, redis: RedisSettings, log: list[LogItem]) -> list[bytes]:
        """Begin a process, let it do what is to be done, and give the envelopes that it writes."""
        identities = RedisIdentityStore(connect(redis), redis.prefix)
        stage = ParsePartition(HL7, 0, identities, Settings(), Pseudonyms(b"k"), history=self)
        start = stage.open(LogRange(0, len(log)))
        records = stage.work(log[start:])
        stage.commit()
        envelopes = [record.value or b"" for record in records if record.topic == EVENTS]
        self.kept += envelopes
        self._identities += [record.value or b"" for record in records if record.topic == IDENTITIES]
        return envelopes


def test_a_record_of_an_absurd_time_becomes_a_letter(redis_settings: RedisSettings) -> None:
    """What cannot be read is kept as a letter, whatever its stamp says, and the partition goes on."""
    identities = RedisIdentityStore(connect(redis_settings), redis_settings.prefix)
    stage = ParsePartition(HL7, 0, identities, Settings(), Pseudonyms(b"k"))
    stage.open(LOG)
    records = stage.work([LogItem(0, b"LAB|MAIN", b"garbage", (("ws_received", b"999999999999999"),), 0)])
    assert [record.topic for record in records] == ["deadletters.v1"]
    stage.commit()
    assert stage.folded == 0


def test_a_wiped_redis_lets_parse_write_only_what_the_log_lacks(redis_settings: RedisSettings) -> None:
    """What the log has is not written again, for it could come later than repeats are known; the rest is, as it was."""
    messages, written = Messages(), Written()
    minutes = (1, 60, 120, 180, 240, 300, 420, 430)
    values = [messages.admission(0), *(messages.vitals(minute, SICK if minute >= 420 else WELL) for minute in minutes)]
    log = [
        LogItem(offset, b"LAB|MAIN", data, (), START + minute * MINUTE)
        for offset, (minute, data) in enumerate(zip((0, *minutes), values, strict=True))
    ]
    first = written.run(redis_settings, log)
    assert len(first) == len(log)
    written.kept = first[:-2]
    client = connect(redis_settings)
    client.unlink(*client.scan_iter(match=f"{redis_settings.prefix}:*"))
    assert written.run(redis_settings, log) == first[-2:]
