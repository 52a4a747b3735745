"""[patient] over a real Redis: clocks that err, timers by the thousand, states of no use, records that come and go."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from alerts.contract import AlertEvent
from connectors.kafka.headers import received_time
from connectors.kafka.record import Record
from connectors.redis.connection import connect
from connectors.redis.layout import PartitionKeys
from connectors.redis.settings import RedisSettings
from events import Admission, Demographics, Envelope, Location, Merge, content_id, encode_envelope
from features.store import LostStateError
from stream.effects import Effect, Forward
from stream.fold import CONTROL_KEY, tick
from stream.live.outputs import records_of
from stream.live.patient_stage import CLOCKS_APART
from stream.live.stage import LogItem
from stream.parse import spread
from stream.partition_fold import PartitionFold
from tests.stream.live.partitions import (
    LOG,
    MINUTE,
    SICK,
    START,
    WELL,
    Messages,
    items,
    of_schema_nine,
    patient_partition,
)

DAY = 24 * 60 * MINUTE
LETTERS = "deadletters.v1"
DATED_2099 = 4_070_908_800_000
PEOPLE = [str(number) for number in range(6)]
Written = list[Record]
Spoil = Callable[[bytes], bytes]


def said(records: Written) -> list[tuple[str, bytes | None]]:
    """Give what was written, whatever the order; heartbeats are the stage's own, and no replay makes them."""
    return sorted((one.topic, one.value or b"") for one in records if b'"state":"alive"' not in (one.value or b""))


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        LogItem(0, b"p", b"garbage", (("ws_received", b"999999999999999"),), 0),
        LogItem(0, b"p", b"garbage", (), 10**15),
    ],
    ids=["header", "record"],
)
def test_a_record_of_an_absurd_time_becomes_a_letter(redis_settings: RedisSettings, item: LogItem) -> None:
    """What cannot be read is kept as a letter, whatever its stamp says, and the partition goes on."""
    stage = patient_partition(redis_settings)
    stage.open(LOG)
    assert [record.topic for record in stage.work([item])] == ["deadletters.v1"]
    stage.commit()
    assert stage.folded == 0


@pytest.mark.parametrize("received", [START + 2 * DAY, DATED_2099, 10**17], ids=["later", "2099", "never"])
def test_an_envelope_of_an_absurd_time_is_a_letter_and_moves_no_clock(
    redis_settings: RedisSettings, received: int
) -> None:
    """Received long after it was written, which [parse] writes none of, it is kept as a letter; the next is folded."""
    stage = patient_partition(redis_settings)
    stage.open(LOG)
    absurd = Envelope("i", "p", 0, received, (Demographics(0, birth_date="1950-01-01"),))
    [letter] = stage.work([LogItem(0, b"p", encode_envelope(absurd), (), START)])
    stage.commit()
    assert (letter.topic, b"unreadable_record" in (letter.value or b"")) == ("deadletters.v1", True)
    stage.work(items([Messages().envelope(0, SICK)], 1))
    stage.commit()
    assert (stage.folded, stage.pipeline.control.clock) == (1, START)


def test_clocks_that_are_apart_are_told_until_a_record_is_believed(redis_settings: RedisSettings) -> None:
    """While all that comes was received long after it was written the partition says so; then no more."""
    stage, messages = patient_partition(redis_settings), Messages()
    stage.open(LOG)
    early, fair = messages.envelope(0, SICK), messages.envelope(1, SICK)
    stage.work([LogItem(0, b"p", encode_envelope(early), (), START - 2 * DAY)])
    stage.commit()
    assert [CLOCKS_APART in problem for problem in stage.problems] == [True]
    stage.work(items([fair], 1))
    stage.commit()
    assert stage.problems == ()


def test_a_batch_decides_of_times_as_its_records_one_by_one(redis_settings: RedisSettings) -> None:
    """Whether a record is believed hangs on the records before it, not on how they were taken together."""
    log = [
        LogItem(at, b"", encode_envelope(Envelope(f"e{at}", "", 0, START + at * DAY, ())), (), written)
        for at, written in enumerate((START, 1, START + 2 * DAY, 1))
    ]
    log.append(LogItem(4, b"", encode_envelope(Envelope("e4", "", 0, START + 6 * DAY, ())), (), 1))
    found = []
    for number, size in enumerate((1, len(log))):
        stage = patient_partition(redis_settings, number=number, ticks=False)
        stage.open(LOG)
        letters = []
        for begin in range(0, len(log), size):
            letters += [record.value for record in stage.work(log[begin : begin + size]) if record.topic == LETTERS]
            stage.commit()
        found.append((len(letters), stage.pipeline.control.clock))
    assert found == [(1, START + 3 * DAY)] * 2


def told_of_the_sick(second_received: int | None) -> list[tuple[str, str, int]]:
    """Give what is told of a sick patient over three days, after a well one's record of that time."""
    messages, fold, effects = Messages(), PartitionFold(0, 1, {}), []
    envelopes = [messages.envelope(0.5, WELL, "2", second_received), messages.envelope(1, SICK, "1")]
    for envelope in envelopes:
        effects += fold.fold(envelope)
    for minute in (*range(2, 60), *range(60, 3 * 24 * 60, 10)):
        effects += fold.fold(tick(START + minute * MINUTE))
    return [(each.state, each.reason, each.seq) for each in effects if type(each) is AlertEvent]


def test_one_stamp_of_the_future_ages_nobody() -> None:
    """A message stamped 2099 by its gateway changes nothing of when another patient's alert escalates and expires."""
    stamped = received_time((("ws_received", b"%d" % DATED_2099),), START + MINUTE // 2)
    usual = told_of_the_sick(None)
    assert len(usual) > 1
    assert told_of_the_sick(stamped) == usual


# -- timers ------------------------------------------------------------------------------------------------------------


def test_the_timers_of_ten_thousand_patients_come_due_at_once(redis_settings: RedisSettings) -> None:
    """A ward's whole year forgotten by one record is one commit, and none too large."""
    people, portion = 10_500, 1_500
    admission = Admission(START, location=Location(ward="W1"))
    stage = patient_partition(redis_settings)
    stage.open(LOG)
    for begin in range(0, people, portion):
        batch = [
            Envelope(content_id("e", str(n)), f"p{n}", START, START + n, (admission,))
            for n in range(begin, begin + portion)
        ]
        stage.work(items(batch, begin))
        stage.commit()
    stage.work(items([tick(START + 31 * DAY)], people))
    stage.commit()
    assert stage.folded == people


def test_a_backlog_is_told_the_release_once(redis_settings: RedisSettings) -> None:
    """What was entered lies behind the backlog: it is not entered again each second until it comes."""
    now = [START]
    stage = patient_partition(redis_settings, lambda: now[0], ticks=False)
    stage.open(LOG)
    messages, entered = Messages(), []
    for second in range(15):
        now[0] = START + second * 1_000
        entered += stage.idle(now[0])
        stage.work(items([messages.envelope(second / 60, WELL)], second))
        stage.commit()
    assert len(entered) == 1


# -- states of no use --------------------------------------------------------------------------------------------------


SIX_HOURS = 360
EARLIER = 6
"""Of the envelopes, these are folded before a state is spoilt."""


def half_an_hourly() -> list[Envelope]:
    """Give somebody's vital signs each half an hour, sick and well by turns."""
    messages = Messages()
    return [messages.envelope(minute, SICK if minute % 60 else WELL) for minute in range(0, SIX_HOURS, 30)]


def folded_earlier(
    redis: RedisSettings, envelopes: list[Envelope], key: str, spoil: Callable[[bytes], bytes]
) -> Written:
    """Fold the first envelopes, and spoil one of the states that are stored then; give what was written."""
    stage = patient_partition(redis)
    stage.open(LOG)
    first = stage.work(items(envelopes[:EARLIER]))
    stage.commit()
    client, name = connect(redis), PartitionKeys(redis.prefix, "patient", 0).state(key)
    data = client.get(name)
    assert isinstance(data, bytes)
    client.set(name, spoil(data))
    return first


def check_folded_anew(redis: RedisSettings, envelopes: list[Envelope], first: Written) -> None:
    """See that a new process begins at the beginning, and writes what was written, and what should be from there on."""
    stage = patient_partition(redis)
    assert stage.open(LOG) == 0
    assert said(stage.work(items(envelopes[:EARLIER]))) == said(first)
    stage.commit()
    rest = stage.work(items(envelopes[EARLIER:], EARLIER))
    stage.commit()
    _whole, effects = replayed(envelopes)
    assert any(type(effect) is AlertEvent for effect in effects)
    assert said([*first, *rest]) == said(records_of(effects, "s"))
    assert stage.folded == len(envelopes) - 1


def test_a_patient_of_another_schema_is_folded_anew(redis_settings: RedisSettings) -> None:
    """Who meets such a state empties the partition and ends; the next process folds the log to the same outputs."""
    envelopes = half_an_hourly()
    first = folded_earlier(redis_settings, envelopes, envelopes[0].patient, of_schema_nine)
    stage = patient_partition(redis_settings)
    assert stage.open(LOG) == EARLIER
    with pytest.raises(LostStateError, match="folded anew"):
        stage.work(items(envelopes[EARLIER:], EARLIER))
    check_folded_anew(redis_settings, envelopes, first)


def test_a_damaged_control_state_is_folded_anew(redis_settings: RedisSettings) -> None:
    """The partition is emptied where it is opened, and the log is folded from its beginning to the same outputs."""
    envelopes = half_an_hourly()
    first = folded_earlier(redis_settings, envelopes, CONTROL_KEY, lambda data: data[:-1])
    check_folded_anew(redis_settings, envelopes, first)


# -- records that come and go ------------------------------------------------------------------------------------------


def life(seed: int) -> list[Envelope]:
    """Give sixty records of six patients; one in five says that its patient is three of the others as well."""
    rnd, messages, log = Random(seed), Messages(), []  # noqa: S311 - a story by its seed
    for number in range(60):
        person = rnd.choice(PEOPLE)
        envelope = messages.envelope(number * 7, rnd.choice((SICK, WELL)), person)
        if rnd.random() < 0.2:
            others = rnd.sample([other for other in PEOPLE if other != person], 3)
            keys = [messages.envelope(number * 7, WELL, other).patient for other in others]
            merges = [Merge(envelope.event_time, key) for key in keys]
            fields = {name: getattr(envelope, name) for name in envelope.__struct_fields__}
            log += spread(Envelope(**{**fields, "events": (*merges, *envelope.events)}))
        else:
            log.append(envelope)
    return log


def replayed(log: list[Envelope]) -> tuple[list[Envelope], list[Effect]]:
    """Fold a log in memory; give it with what was passed on, as the partition has it, and all that came of it."""
    fold, whole, effects = PartitionFold(0, 1, {}), list(log), []
    for envelope in whole:  # grows meanwhile
        read = fold.read(encode_envelope(envelope))
        came = [] if read is None else fold.fold(read)
        whole.extend(effect.envelope for effect in came if type(effect) is Forward)
        effects += came
    return whole, effects


@pytest.mark.parametrize("seed", range(4))
def test_a_merge_of_more_than_is_live_loses_nothing(redis_settings: RedisSettings, seed: int) -> None:
    """With two records live, in batches and restarts as they fall, the outputs are those of a fold in memory."""
    log, effects = replayed(life(seed))
    rnd, at, written = Random(seed), 0, []  # noqa: S311 - batches by their seed
    stage = patient_partition(redis_settings, live_records_max=2)
    stage.open(LOG)
    while at < len(log):
        size = rnd.randint(1, 9)
        written += stage.work(items(log[at : at + size], at))
        stage.commit()
        at += size
        if rnd.random() < 0.2:
            stage = patient_partition(redis_settings, live_records_max=2)
            stage.open(LOG)
    assert said(written) == said(records_of(effects, "s"))
