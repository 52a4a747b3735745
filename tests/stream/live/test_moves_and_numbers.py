"""A44, A45, A47 and orders by the live [parse] over a real Redis: the same records as of the embedded service."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import render_adt
from connectors.hl7v2.settings import Hl7Settings
from connectors.kafka.topics import EVENTS
from connectors.redis.connection import connect
from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.settings import RedisSettings
from events import Admission, Cancellation, Envelope, Event, Location, Merge, decode_envelope
from stream.identity import IdentityMap, Pseudonyms
from stream.live.parse_stage import ParsePartition
from stream.live.parsing import HL7
from stream.live.stage import LogItem, LogRange
from stream.parse import Parser, RecentMessages, apart, spread
from stream.settings import Settings
from tests.stream.live.partitions import MINUTE, SICK, START, Messages

ORDER = b"MSH|^~\\&|LAB|MAIN|||20260101000500||ORM^O01|order|P|2.5\rPID|1||9^^^MRN^MR\rOBR|1|P1"
KEYS = Pseudonyms(b"k")


def day() -> list[bytes]:
    """Write a day of both: a visit moved, one moved after a merge, numbers changed in time and too late, an order."""
    messages = Messages()

    def adt(trigger: str, person: str, minute: int, retired: str, encounter: str) -> bytes:
        return render_adt(
            trigger, control_id=f"{trigger}-{person}-{minute}", sent_time=START + minute * MINUTE, feed="LAB|MAIN",
            patient=Identifier("MRN", person), event_time=START + minute * MINUTE, encounter=encounter,
            location=Location("W", "1", "2"), retired=Identifier("MRN", retired),
        )  # fmt: skip

    return [
        messages.admission(0),
        messages.vitals(1, SICK),
        adt("A45", "2", 2, "1", "V1"),
        messages.vitals(3, SICK, "2"),
        adt("A40", "2", 4, "3", "V2"),
        adt("A45", "3", 5, "2", "V3"),
        adt("A47", "4", 6, "3", ""),
        messages.vitals(7, SICK, "4"),
        messages.vitals(8, SICK, "5"),
        adt("A47", "5", 9, "4", ""),
        ORDER,
        adt("A45", "7", 10, "6", "V7"),
        adt("A45", "2", 2, "1", "V1"),
    ]


def embedded(data: list[bytes]) -> Iterator[Envelope]:
    """Give the records that one process with the whole map makes, for a log in partitions."""
    parser = Parser(IdentityMap(KEYS), RecentMessages())
    for offset, one in enumerate(data):
        kept_out = False
        for decoded, position in apart(decode(one, Hl7Settings()), f"{HL7}/0/{offset}"):
            parsed, _known = parser.step(decoded, START + offset * MINUTE, position)
            if isinstance(parsed, Envelope) and not kept_out:
                yield from spread(parsed)
            kept_out = not isinstance(parsed, Envelope)


def live(redis: RedisSettings, data: list[bytes], batch: int) -> list[Envelope]:
    """Give the records of the live [parse], so many messages at once."""
    identities = RedisIdentityStore(connect(redis), redis.prefix)
    stage = ParsePartition(HL7, 0, identities, Settings(), KEYS)
    stage.open(LogRange(0, len(data)))
    log = [LogItem(offset, b"LAB|MAIN", one, (), START + offset * MINUTE) for offset, one in enumerate(data)]
    found: list[Envelope] = []
    for begin in range(0, len(log), batch):
        records = stage.work(log[begin : begin + batch])
        stage.commit()
        found += [decode_envelope(record.value or b"") for record in records if record.topic == EVENTS]
    assert stage.counts["tolerated_ORM"] == 1
    return found


def test_the_live_parse_says_what_the_embedded_says(redis_settings: RedisSettings) -> None:
    """One message at a time and all at once, the live [parse] writes the records of the whole map."""
    expected = list(embedded(day()))
    for batch in (1, 4, 100):
        apart_from_others = msgspec.structs.replace(redis_settings, prefix=f"{redis_settings.prefix}-{batch}")
        assert live(apart_from_others, day(), batch) == expected


def test_what_is_expected_of_both_moves_and_joins() -> None:
    """The records that the two are compared by hold what these messages are for: moves, and one joining of numbers."""
    told: list[tuple[str, Event]] = [(one.patient, event) for one in embedded(day()) for event in one.events]
    one, two, three, five, six = (KEYS.of("patient", "MRN", number) for number in "12356")
    assert [key for key, event in told if isinstance(event, Cancellation) and event.moved] == [one, two, six]
    assert [key for key, event in told if isinstance(event, Admission)][1:3] == [two, three]
    joined = [(key, event.retired) for key, event in told if isinstance(event, Merge)]
    assert joined == [(two, three), (five, three)]
