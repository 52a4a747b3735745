"""A log told in ward words, for tests of the monitoring.

Owns the making of envelopes and what the monitoring says to them. Must not know any rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.monitoring import Monitor, MonitoringSettings, Signal
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Coding, Envelope, Event, Location, Millis, Observation, Tick
from features.stay import Stay

MINUTE, HOUR, DAY = MILLIS_PER_MINUTE, MILLIS_PER_HOUR, 24 * MILLIS_PER_HOUR
PULSE: Coding = ("loinc", "8867-4")
GLUCOSE: Coding = ("loinc", "2345-7")
TEMPERATURE: Coding = ("loinc", "8310-5")


@dataclass
class Score:
    """A NEWS2."""

    total: int
    red: bool = False


class Record:
    """A patient's record, as far as the monitoring asks."""

    def __init__(self, ward: str = "W3") -> None:
        self.away = ""
        self.stay = Stay(admitted=True, location=Location(ward))

    @property
    def state(self) -> Record:
        """Be one's own state."""
        return self


class Log:
    """One partition's log, and all that was said to it."""

    def __init__(self, settings: MonitoringSettings | None = None, monitor: Monitor | None = None) -> None:
        self.monitor = monitor or Monitor()
        if settings is not None:
            self.monitor.use(self.monitor._desk.catalogue, settings)
        self.records: dict[str, Record] = {}
        self.said: list[Signal] = []
        self.count = 0

    def message(
        self,
        at: Millis,
        patient: str = "p",
        values: Sequence[tuple[Coding, float, str]] | None = None,
        *,
        feed: str = "CHART",
        event_time: Millis | None = None,
        total: int = 0,
        ward: str | None = "W3",
        events: tuple[Event, ...] = (),
    ) -> list[Signal]:
        """Chart values of a patient on a ward; without one he is nowhere."""
        self.count += 1
        if values is None:
            values = ((PULSE, 60.0 + self.count * 7 % 31, "/min"),)
        true_at = at if event_time is None else event_time
        read = tuple(Observation(self.count * 100 + n, (code,), value, unit, true_at)
                     for n, (code, value, unit) in enumerate(values))  # fmt: skip
        envelope = Envelope(f"e{self.count}", patient, true_at, at, (*events, *read), feed=feed)
        said = self.monitor.hear(envelope)
        if ward is not None:
            record = self.records.setdefault(patient, Record(ward))
            self.monitor.follow(envelope, record, Score(total), said)
        self.said += said
        return said

    def leave(self, at: Millis, patient: str = "p") -> list[Signal]:
        """Discharge a patient."""
        self.count += 1
        record = self.records[patient]
        record.stay.admitted, record.stay.discharged_time = False, at
        envelope = Envelope(f"e{self.count}", patient, at, at, (Tick(at),), feed="ADT")
        said = self.monitor.hear(envelope)
        self.monitor.follow(envelope, record, None, said)
        self.said += said
        return said

    def tick(self, at: Millis, *, behind: bool = False) -> list[Signal]:
        """Let time pass."""
        said = self.monitor.hear(Envelope(f"t{at}", "", at, at, (Tick(at, behind),)))
        self.said += said
        return said

    def of(self, kind: str, state: str = "raised") -> list[Signal]:
        """Give what was said of a kind."""
        return [one for one in self.said if one.kind == kind and one.state == state]
