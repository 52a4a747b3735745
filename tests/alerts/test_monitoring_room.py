"""What the monitoring watches when there was too much of it: room comes back, and is used."""

from __future__ import annotations

from alerts.monitoring import Signal
from alerts.monitoring import residents as bounds
from events import Admission, Discharge, Envelope, Event, Location, Millis, Observation, Tick
from features.store import MemoryStateStore
from stream.control import Control
from stream.fold import fold_record
from stream.pipeline import Pipeline
from stream.records import RecordShelf

HOUR = 3_600_000
PULSE = (("loinc", "8867-4"),)


class Hospital:
    """One partition, and what its monitoring said."""

    def __init__(self) -> None:
        control = Control({})
        self.pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control)
        self.at: Millis = 1_000 * HOUR
        self.said: list[Signal] = []
        self._number = 0

    def write(self, patient: str, *events: Event) -> None:
        """Fold one record."""
        self._number += 1
        name = str(self._number)
        envelope = Envelope(name, patient, self.at, self.at, events, feed="CHART" if patient else "", message_id=name)
        self.said += [one for one in fold_record(self.pipeline, envelope) if type(one) is Signal]

    def told(self, kind: str) -> list[str]:
        """Give the states of the signals of one kind."""
        return [one.state for one in self.said if one.kind == kind]


def test_wards_that_nobody_lies_on_make_room_for_one_that_somebody_does(monkeypatch) -> None:
    """Names mistyped once fill the memory; the silence of a real ward is told all the same."""
    monkeypatch.setattr(bounds, "WARDS_MAX", 5)
    hospital = Hospital()
    for number in range(9):
        hospital.write(f"typo{number}", Admission(hospital.at, Location(f"T{number}", "1", "1")))
        hospital.write(f"typo{number}", Discharge(hospital.at))
    hospital.write("p", Admission(hospital.at, Location("REAL", "1", "1")))
    hospital.write("p", Observation(1, PULSE, 72.0, "/min", event_time=hospital.at))
    hospital.at += 20 * HOUR
    hospital.write("", Tick(hospital.at))
    assert [one.ward for one in hospital.said if one.kind == "ward_silent"] == ["REAL"]


def test_that_too_much_is_watched_ends_when_there_is_room(monkeypatch) -> None:
    """The signal is cleared as soon as a further patient would be watched."""
    monkeypatch.setattr(bounds, "PATIENTS_MAX", 5)
    hospital = Hospital()
    for number in range(9):
        hospital.write(f"p{number}", Admission(hospital.at, Location("A", "1", "1")))
    for number in range(9):
        hospital.write(f"p{number}", Discharge(hospital.at))
    for _ in range(5):
        hospital.at += 24 * HOUR
        hospital.write("", Tick(hospital.at))
    assert hospital.told("monitor_full") == ["raised", "cleared"]
