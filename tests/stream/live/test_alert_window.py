"""Claims about the numbered alerts of the live service: they rise, survive a restart, and no gap goes untold."""

from __future__ import annotations

from connectors.kafka.reading import KafkaRecord
from stream.live.alert_window import NUMBERS_PER_MS, OVERLAP_MS, AlertWindow

AT = 1_767_225_600_000


def record(partition: int, offset: int, at: int) -> KafkaRecord:
    return KafkaRecord(partition, offset, at, b"W", b'{"n":"%d/%d"}' % (partition, offset), ())


def window_of(salt: int, *records: KafkaRecord, events_max: int = 100) -> AlertWindow:
    window = AlertWindow(salt, events_max)
    window.begin_at(AT)
    for one in records:
        window.add(one, f"{one.partition}/{one.offset}", "raised")
    return window


def documents(window: AlertWindow, after: int) -> list[bytes]:
    return [alert.document for alert in window.after(after, 1_000)]


def test_numbers_rise_though_record_times_fall() -> None:
    """A record of another partition that is older than the last one heard has a higher number all the same."""
    window = window_of(7, record(0, 0, AT + 50), record(1, 0, AT + 20), record(0, 1, AT + 50))
    numbers = [alert.number for alert in window.after(0, 10)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


def test_an_event_heard_twice_is_told_once() -> None:
    """A stage that repeated its work writes the same event again; it is one event here."""
    window = AlertWindow(1)
    assert window.add(record(0, 0, AT), "e", "raised")
    assert not window.add(record(0, 9, AT + 5), "e", "raised")
    assert len(window) == 1


def test_one_s_own_number_gives_exactly_what_came_after() -> None:
    """A listener that goes on here by the last number it had gets nothing twice and misses nothing."""
    window = window_of(7, *(record(0, n, AT + n) for n in range(10)))
    numbers = [alert.number for alert in window.after(0, 10)]
    for at, number in enumerate(numbers):
        assert [alert.number for alert in window.after(number, 10)] == numbers[at + 1 :]


def test_another_process_s_number_misses_nothing() -> None:
    """Whatever order another process heard the same records in, its number leaves out none it had not yet given."""
    records = [record(n % 3, n, AT + 10_000 * n) for n in range(30)]
    swapped = [*records]
    swapped[20], swapped[21] = swapped[21], swapped[20]
    before, after = window_of(3, *swapped), window_of(4, *records)
    given = before.after(0, 30)
    for at, alert in enumerate(given):
        unheard = {one.document for one in given[at + 1 :]}
        assert unheard <= set(documents(after, alert.number))


def test_the_overlap_is_bounded() -> None:
    """A listener of another process hears no more than the overlap twice."""
    after = window_of(4, *(record(0, n, AT + 60_000 * n) for n in range(30)))
    foreign = (AT + 60_000 * 20) * NUMBERS_PER_MS + 55
    assert after.after(foreign, 30)[0].number >= foreign - (OVERLAP_MS + 60_000) * NUMBERS_PER_MS
    assert len(after.after(foreign, 30)) <= 9 + OVERLAP_MS // 60_000 + 1


def test_a_listener_from_before_the_window_is_told_of_the_gap() -> None:
    """The window says that it does not reach back to a number from before it, and that it does to those within."""
    window = window_of(7, *(record(0, n, AT + 300_000 * n) for n in range(5)), events_max=3)
    numbers = [alert.number for alert in window.after(0, 10)]
    assert len(numbers) == 3
    assert all(window.reaches(number) for number in numbers)
    assert window.reaches(0)
    assert not window.reaches(AT * NUMBERS_PER_MS + 1)


def test_numbers_are_exact_in_a_browser() -> None:
    """A number is below 2**53, so that JavaScript keeps it as it is."""
    window = window_of(99, record(0, 0, AT))
    assert 0 < window.newest < 2**53
