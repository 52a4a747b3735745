"""One partition folded from its records alone: which received times are believed, and what one that is not changes."""

from __future__ import annotations

import pytest

from alerts.contract import AlertEvent
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Envelope, Millis, encode_envelope
from events.encoding import UndecodableEnvelopeError
from events.times import INSTANT_MAX
from stream.control import Control
from stream.fold import tick
from stream.partition_fold import RECEIVED_AHEAD_MS_MAX, PartitionFold, UnbelievableTimeError, check_received
from tests.stream.live.partitions import SICK, START, WELL, Messages

DAY = 24 * MILLIS_PER_HOUR
DATED_2099 = 4_070_908_800_000
UNKNOWN = (0, -1)
"""What Kafka says of a record that has no time."""
LATER = 40 * DAY
"""How much later a copy of a log may have been written than the log."""


def record_of(received: Millis, name: str = "absurd") -> bytes:
    """Give a record of everybody that says nothing, received at some time."""
    return encode_envelope(Envelope(name, "", 0, received, ()))


@pytest.mark.parametrize("ahead", [0, MILLIS_PER_HOUR, RECEIVED_AHEAD_MS_MAX])
def test_a_clock_that_is_a_day_ahead_is_believed(ahead: int) -> None:
    """Up to the limit beyond the record's own time, which a wrong time zone stays below, a record is read."""
    assert PartitionFold(0, 1, {}).read(record_of(START + ahead), START) is not None


@pytest.mark.parametrize("received", [START + RECEIVED_AHEAD_MS_MAX + 1, DATED_2099, INSTANT_MAX])
def test_a_record_received_long_after_it_was_written_is_refused(received: Millis) -> None:
    """What lies beyond is refused and says why; where Kafka names no time there is nothing to hold it against."""
    with pytest.raises(UndecodableEnvelopeError, match="24 h after it was written"):
        PartitionFold(0, 1, {}).read(record_of(received), START)
    for record_time in UNKNOWN:
        assert PartitionFold(0, 1, {}).read(record_of(received), record_time) is not None


@pytest.mark.parametrize("received", [-1, -START, INSTANT_MAX + 1, 10**17])
@pytest.mark.parametrize("record_time", [*UNKNOWN, START, 10**17])
def test_a_year_never_meant_is_refused_whatever_kafka_says(received: Millis, record_time: Millis) -> None:
    """A record received before 1970 or after 2200 is refused by its content alone."""
    with pytest.raises(UndecodableEnvelopeError, match="a year never meant"):
        PartitionFold(0, 1, {}).read(record_of(received), record_time)


def test_a_broker_that_comes_back_years_behind_silences_nobody() -> None:
    """Records that say they were written long ago are read where one that was written near their times came before."""
    fold, written = PartitionFold(0, 1, {}), START - 900 * DAY
    for received in (START, START + DAY // 2, START + DAY):
        record_time = START if received == START else written
        envelope = fold.read(record_of(received, str(received)), record_time)
        assert envelope is not None
        fold.fold(envelope)
    with pytest.raises(UnbelievableTimeError):
        fold.read(record_of(START + 3 * DAY), written)


def test_a_clock_that_runs_ahead_is_not_led_on_by_itself() -> None:
    """Ticks that are each a little ahead of the one before move the clock no further than a day beyond the broker's.

    Not after the partition has come to another worker either: what the broker said last is kept with the states.
    """
    fold = PartitionFold(0, 1, {})
    for hours in range(0, 24 * 40, 20):
        received = START + hours * MILLIS_PER_HOUR
        try:
            envelope = fold.read(record_of(received, str(received)), START)
        except UnbelievableTimeError:
            continue
        assert envelope is not None
        fold.fold(envelope)
    assert fold.pipeline.control.clock == START + 20 * MILLIS_PER_HOUR
    taken = Control({})
    taken.restore(fold.pipeline.control.encode())
    with pytest.raises(UnbelievableTimeError):
        check_received(Envelope("next", "", 0, START + 2 * DAY, ()), 1, taken)


def test_a_silence_of_months_ends_with_the_next_record() -> None:
    """However long nothing came, the next record is read and moves the clock: no jump is too far by itself."""
    fold = PartitionFold(0, 1, {})
    for received in (START, START + 200 * DAY):
        envelope = fold.read(record_of(received, str(received)), received)
        assert envelope is not None
        fold.fold(envelope)
    assert fold.pipeline.control.clock == START + 200 * DAY


def told(log: list[tuple[bytes, Millis]]) -> list[bytes | AlertEvent]:
    """Fold records with the times they were written at; give the alerts, and what was refused, in order."""
    fold, found = PartitionFold(0, 1, {}), []
    for value, record_time in log:
        try:
            envelope = fold.read(value, record_time)
        except UndecodableEnvelopeError:
            found.append(value)
            continue
        effects = [] if envelope is None else fold.fold(envelope)
        found += [effect for effect in effects if type(effect) is AlertEvent]
    return found


def sick_for_a_day() -> list[Envelope]:
    """Give somebody who is sick for a while and then not heard of, with the ticks that find it out."""
    messages = Messages()
    first = [messages.envelope(minute, SICK if minute else WELL) for minute in range(0, 60, 15)]
    return [*first, *(tick(START + minute * MILLIS_PER_MINUTE) for minute in range(60, 26 * 60, 10))]


@pytest.mark.parametrize("absurd", [START + 3 * DAY, DATED_2099, 10**17])
def test_one_absurd_record_changes_nothing_of_what_is_told(absurd: Millis) -> None:
    """A record of the far future amid a sick patient's is refused; alerts are raised, escalate and expire as without.

    A copy of the log, written weeks later, is told alike where the record is as far ahead of that too.
    """
    log = [(encode_envelope(envelope), envelope.received_time) for envelope in sick_for_a_day()]
    usual = told(log)
    assert len(usual) > 2
    with_it = [*log[:2], (record_of(absurd), START + 20 * MILLIS_PER_MINUTE), *log[2:]]
    assert [one for one in told(with_it) if isinstance(one, AlertEvent)] == usual
    assert record_of(absurd) in told(with_it)
    copied = [(value, record_time + LATER) for value, record_time in with_it]
    if absurd > START + 2 * LATER:
        assert told(copied) == told(with_it)
