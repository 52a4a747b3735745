"""The importer of PhysioNet 2019."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from connectors.datasets.physionet2019 import COLUMNS, EPOCH, HEADER, parse_stay, read
from connectors.decoded import Decoded, Refusal, RefusalReason
from events import MILLIS_PER_HOUR, Demographics, Observation, Outcome


def stay_file(labels: str, **cells: str) -> bytes:
    rows = ["|".join(HEADER)]
    for hour, label in enumerate(labels, 1):
        own = {"HR": "80", "Age": "83.14", "Gender": "0", "ICULOS": str(hour), "SepsisLabel": label, **cells}
        rows.append("|".join(own.get(name, "NaN") for name in HEADER))
    return "\n".join(rows).encode()


def outcomes(labels: str) -> list[tuple[int, int]]:
    """(hour at which it is told, hour of onset)."""
    return [
        ((time - EPOCH) // MILLIS_PER_HOUR, (event.event_time - EPOCH) // MILLIS_PER_HOUR)
        for time, message in parse_stay("p1", stay_file(labels), EPOCH)
        if isinstance(message, Decoded)
        for event in message.events
        if isinstance(event, Outcome)
    ]


def test_onset_is_six_hours_after_the_first_label() -> None:
    """Sepsis is told at its onset, six hours after the first labelled row."""
    assert outcomes("00" + "1" * 10) == [(8, 8)]


def test_onset_after_the_last_row_is_told_at_the_last_row() -> None:
    """Where the stay ends before the onset, the outcome is told at the end with the onset's own time."""
    assert outcomes("00111") == [(4, 8)]
    assert outcomes("00000") == []


def test_a_row_keeps_every_number_with_code_unit_and_time() -> None:
    """Each cell that is not NaN becomes one observation; the age becomes a birth year."""
    items = parse_stay("p1", stay_file("0", Lactate="2.35", FiO2="0.4"), EPOCH)
    messages = [message for _, message in items if isinstance(message, Decoded)]
    assert messages[0].events[1] == Demographics(EPOCH, "1936", "female")
    told = [(e.codings[0][1], e.value, e.unit) for e in messages[1].events if isinstance(e, Observation)]
    assert told == [("8867-4", 80.0, "/min"), ("3150-6", 0.4, "1"), ("2524-7", 2.35, "mmol/L")]


def test_bad_files_and_rows_are_refused_in_their_place() -> None:
    """A wrong header refuses the file; a cell that is no finite number refuses its row and no other."""
    [(_, refusal)] = parse_stay("p1", b"HR|SBP\n1|2", EPOCH)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.GARBAGE
    for cell in ("eighty", "inf", "1e999"):
        kinds = [type(message) for _, message in parse_stay("p1", stay_file("0", HR=cell), EPOCH)]
        assert kinds == [Decoded, Refusal, Decoded]


def test_real_stays_come_in_order_and_complete(shared_data: Path) -> None:
    """On each 200th stay: times never go back, ids are unique, and every charted cell is one observation."""
    messages = [m for m in read(shared_data / "physionet2019", every=200) if isinstance(m, Decoded)]
    times = [m.sent_time for m in messages if m.sent_time is not None]
    assert len(times) == len(messages) > 4_000
    assert all(before <= after for before, after in pairwise(times))
    ids = [e.observation_id for m in messages for e in m.events if isinstance(e, Observation)]
    assert len(ids) == len(set(ids)) > 30_000
    assert len(COLUMNS) == 34
    assert sum(m.kind == "admission" for m in messages) == sum(m.kind == "discharge" for m in messages) == 102
