"""[patient] over a real Redis: clocks that err, timers by the thousand, states of no use, records that come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from alerts.contract import AlertEvent
from connectors.kafka.headers import received_time
from connectors.kafka.record import Record
from connectors.redis.connection import connect
from connectors.redis.layout import PartitionKeys
from connectors.redis.settings import RedisSettings
from events import (
    Acknowledgement,
    Admission,
    Availability,
    Demographics,
    Envelope,
    KillSwitch,
    Limit,
    Location,
    Merge,
    Promotion,
    content_id,
    decode_envelope,
    encode_envelope,
)
from features.store import LostStateError
from models.version import ModelVersion
from stream.decisions import Decision, encode_decision
from stream.effects import Effect, Forward
from stream.fold import CONTROL_KEY, tick
from stream.live.outputs import records_of
from stream.live.patient_stage import CLOCKS_APART, DECISION_REFUSED, PatientPartition
from stream.live.stage import OWED_MS, LogItem, VersionAwaitedError
from stream.parse import spread
from stream.partition_fold import PartitionFold
from stream.versions import load_versions
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


def entered_over(stage: PatientPartition, now: list[int], seconds: int, begin: int, written: int) -> list[Envelope]:
    """Let so many seconds pass in which all that the partition enters comes back at once; give what it entered."""
    entered: list[Envelope] = []
    for _ in range(seconds):
        now[0] += 1_000
        came = [decode_envelope(record.value or b"") for record in stage.idle(now[0])]
        stage.work([each._replace(record_time=written) for each in items(came, begin + len(entered))])
        stage.commit()
        entered += came
    return entered


def test_a_clock_that_is_ahead_enters_no_tick_a_second(redis_settings: RedisSettings) -> None:
    """What the partition entered and refused itself is entered again at the pace of what is lost, not as it comes."""
    now = [START + 2 * DAY]
    stage = patient_partition(redis_settings, lambda: now[0])
    stage.open(LOG)
    entered = Counter(one.envelope_id for one in entered_over(stage, now, 59, 0, START))
    assert len(entered) > 1
    assert max(entered.values()) <= 59_000 // OWED_MS + 1
    assert [CLOCKS_APART in problem for problem in stage.problems] == [True]
    entered_over(stage, now, 300, sum(entered.values()), START)
    assert len(stage._owed) <= len(entered), "what is no longer wanted is not remembered"


def test_a_worker_whose_clock_is_wrong_is_told_though_patients_records_are_believed(
    redis_settings: RedisSettings,
) -> None:
    """Its ticks and decisions are refused, each; what gateways with right clocks send takes nothing away from that."""
    now, messages = [START + 2 * DAY], Messages()
    stage = patient_partition(redis_settings, lambda: now[0])
    stage.open(LOG)
    tick_ = entered_over(stage, now, 2, 0, START)[0]
    assert tick_.received_time > START + DAY
    assert [CLOCKS_APART in problem for problem in stage.problems] == [True]
    stage.work([one._replace(record_time=START) for one in items([messages.envelope(0, SICK)], stage._at + 1)])
    stage.commit()
    assert [CLOCKS_APART in problem for problem in stage.problems] == [True]
    now[0] = START + 1000
    stage.work([one._replace(record_time=START) for one in items([tick(START + 60_000)], stage._at + 1)])
    stage.commit()
    assert stage.problems == ()


# -- decisions ---------------------------------------------------------------------------------------------------------


def test_a_decision_that_takes_no_effect_is_told_and_entered_once(redis_settings: RedisSettings) -> None:
    """Its id came by before, with what a release of then could make nothing of; a replay says as much.

    The next decision takes effect, and then nothing is told.
    """
    now = [START]
    stage = patient_partition(redis_settings, lambda: now[0], ticks=False)
    engaged = encode_decision(Decision(KillSwitch(START, engaged=True), "role:x"))
    stage._decisions.take(0, engaged, START)
    stage.open(LOG)
    [decided] = stage._decisions.lacking(0, START)
    log = [msgspec.structs.replace(decided, events=())]
    stage.work(items(log))
    stage.commit()
    log += entered_over(stage, now, 100, len(log), START)
    assert [one.envelope_id for one in log].count(decided.envelope_id) == 2
    assert [DECISION_REFUSED in problem for problem in stage.problems] == [True]
    fold = PartitionFold(0, 1, {})
    for envelope in log:
        if (read := fold.read(encode_envelope(envelope))) is not None:
            fold.fold(read)
    replayed, control = fold.pipeline.control, stage.pipeline.control
    assert (replayed.sequence, replayed.kill_switch) == (control.sequence, control.kill_switch) == (0, False)
    stage._decisions.take(1, engaged.replace(b"role:x", b"role:y"), START)
    entered_over(stage, now, 3, len(log), START)
    assert (control.sequence, control.kill_switch, stage.problems) == (2, True, ())


def test_a_version_that_is_lacking_is_told_until_it_has_come(redis_settings: RedisSettings) -> None:
    """After a while NEWS2 alone is scored, aloud, beside whatever else is told; no more once the version is there."""
    now, versions = [START], dict[str, ModelVersion]()
    stage = patient_partition(redis_settings, lambda: now[0], versions=versions)
    stage.open(LOG._replace(begin=3))  # records are gone that were never folded: that is told too
    [lost] = stage.problems
    shipped, _ = load_versions()
    name = next(iter(shipped))
    events = (Availability(START, name, available=True), Promotion(START, name, enabled=True, sequence=1))
    stage.work(items([Envelope("e", "", START, START, events)], 3))
    stage.commit()
    with pytest.raises(VersionAwaitedError):
        stage.work(items([tick(START)], 4))
    now[0] += 40_000
    stage.work(items([tick(START)], 4))
    stage.commit()
    assert [name in problem for problem in stage.problems] == [False, True]
    versions[name] = shipped[name]
    stage.work(items([tick(START + MINUTE)], 5))
    assert stage.problems == (lost,)


def test_what_became_of_acts_is_counted_once(redis_settings: RedisSettings) -> None:
    """An answer to no alert and a limit, by their outcomes; a batch without acts adds nothing."""
    stage, messages = patient_partition(redis_settings), Messages()
    stage.open(LOG)
    first = messages.envelope(0, SICK)
    acts = (
        Acknowledgement(START, "no alert", "role:x"),
        Limit(START, "l", "end_of_life", START + DAY, "role:x", "comfort_care"),
    )
    log = [first, *(Envelope(f"a{n}", first.patient, START, START, (act,)) for n, act in enumerate(acts))]
    stage.work(items(log))
    stage.commit()
    stage.work(items([messages.envelope(1, SICK)], len(log)))
    assert stage.counts.acts == {"unknown_alert": 1, "limit_set": 1}


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
