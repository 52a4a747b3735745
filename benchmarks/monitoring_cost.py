"""What the monitoring of one large partition costs: each message, each commit, and a minute in which many are due.

    .venv/bin/python benchmarks/monitoring_cost.py [--patients 12500] [--wards 400]

Owns the partition that is made and the clock that is read. Must not know a rule of the monitoring. The figures are
those of docs/monitoring.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from alerts.monitoring import Monitor, monitor_keys
from connectors.sqlite.state_store import SqliteStateStore
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Envelope, Location, Millis, Observation, Tick
from features.stay import Stay

FEEDS = 4
CODES = ("8867-4", "9279-1", "59408-5", "8480-6", "8310-5", "2345-7", "2524-7", "718-7")
"""Eight observations a message."""
UNITS = ("/min", "/min", "%", "mm[Hg]", "Cel", "mmol/L", "mmol/L", "g/L")
BATCHES = (1, 5, 20)
BEGIN: Millis = 1_000 * MILLIS_PER_HOUR


class Score:
    """A NEWS2 of nothing unusual."""

    total, red = 3, False


class Record:
    """A patient's record, as far as the monitoring asks."""

    def __init__(self, ward: str) -> None:
        self.away = ""
        self.stay = Stay(admitted=True, location=Location(ward))

    @property
    def state(self) -> Record:
        """Be one's own state."""
        return self


class Partition:
    """One partition: its monitoring, its patients, and the time by its log."""

    def __init__(self, patients: int, wards: int) -> None:
        self.monitor = Monitor()
        self.records = [Record(f"W{number % wards}") for number in range(patients)]
        self.now = BEGIN
        self.count = 0

    def message(self, number: int) -> int:
        """Chart eight values of a patient; give how many signals it came to."""
        self.count += 1
        events = tuple(
            Observation(self.count * 8 + at, (("loinc", code),), 40.0 + (self.count * 7 + at) % 53, unit, self.now)
            for at, (code, unit) in enumerate(zip(CODES, UNITS, strict=True))
        )
        feed = f"CHART{number % FEEDS}"
        envelope = Envelope(str(self.count), f"patient-{number:08d}", self.now, self.now, events, feed=feed)
        said = self.monitor.hear(envelope)
        self.monitor.follow(envelope, self.records[number], Score(), said)
        return len(said)

    def chart(self, over: Millis) -> None:
        """Chart every patient once, evenly over a span."""
        begin, every = self.now, len(self.records)
        for number in range(every):
            self.now = begin + over * number // every
            self.message(number)
        self.now = begin + over

    def tick(self) -> tuple[float, int]:
        """Let a minute pass; give the milliseconds it took and how many signals it came to."""
        self.now += MILLIS_PER_MINUTE
        envelope = Envelope(f"t{self.now}", "", self.now, self.now, (Tick(self.now),))
        began = time.perf_counter()
        said = self.monitor.hear(envelope)
        return 1_000 * (time.perf_counter() - began), len(said)


def commits(partition: Partition, batch: int, times: int = 60) -> dict[str, float]:
    """Measure a batch that touches so many patients, and what is written of it."""
    folded, encoded, size, keys = [], [], [], []
    patients = len(partition.records)
    for each in range(times):
        partition.now += 100
        began = time.perf_counter()
        for at in range(batch):
            partition.message((each * 7919 + at * 104_729) % patients)
        folded.append(time.perf_counter() - began)
        began = time.perf_counter()
        changes = partition.monitor.take_changes()
        encoded.append(time.perf_counter() - began)
        size.append(sum(len(data) for data in changes.values() if data is not None))
        keys.append(len(changes))
    return {
        "message_us": round(1e6 * median(folded) / batch, 1),
        "take_changes_ms": round(1e3 * median(encoded), 3),
        "keys": median(keys),
        "bytes": median(size),
    }


def moved(partition: Partition) -> dict[str, float]:
    """Chart everybody within half a minute of each hour: the deadlines that come due in one minute have moved on."""
    worst, due = 0.0, 0
    for _ in range(20):
        partition.chart(MILLIS_PER_MINUTE // 2)
        for _ in range(59):
            took, said = partition.tick()
            worst, due = max(worst, took), due + said
    return {"worst_tick_ms": round(worst, 1), "signals": due}


def overdue(partition: Partition) -> dict[str, float]:
    """Let everybody who was charted within a minute become overdue at once; commit; chart them all again."""
    partition.chart(MILLIS_PER_MINUTE // 2)
    partition.monitor.take_changes()
    worst, said_most, said_all = 0.0, 0, 0
    for _ in range(20 * 60):
        took, said = partition.tick()
        worst, said_most, said_all = max(worst, took), max(said_most, said), said_all + said
    began = time.perf_counter()
    partition.monitor.take_changes()
    committed = time.perf_counter() - began
    few = commits(partition, 5)
    return {
        "worst_tick_ms": round(worst, 1),
        "signals_in_it": said_most,
        "signals": said_all,
        "commit_of_all_ms": round(1e3 * committed, 1),
        "then_a_commit_of_5_ms": few["take_changes_ms"],
        "of_bytes": few["bytes"],
    }


def opening(states: dict[str, bytes]) -> dict[str, float]:
    """Measure how long reading all that is kept takes, of SQLite and of the monitoring itself."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStateStore(Path(folder) / "states.sqlite")
        epoch = store.acquire_epoch()
        store.commit(epoch, states, 0)
        began = time.perf_counter()
        found = store.load(monitor_keys())
        read = time.perf_counter() - began
        store.close()
    began = time.perf_counter()
    assert Monitor().restore(found)
    return {
        "keys": len(found),
        "bytes": sum(map(len, found.values())),
        "sqlite_ms": round(1e3 * read, 1),
        "restore_ms": round(1e3 * (time.perf_counter() - began), 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=12_500)
    options.add_argument("--wards", type=int, default=400)
    given = options.parse_args()
    partition = Partition(given.patients, given.wards)
    partition.chart(4 * MILLIS_PER_HOUR)
    partition.chart(4 * MILLIS_PER_HOUR)
    states = {key: data for key, data in partition.monitor.take_changes().items() if data is not None}
    gc.collect()
    began = time.perf_counter()
    gc.collect()
    collected = time.perf_counter() - began
    print(json.dumps({
        "patients": given.patients, "wards": given.wards,
        "commit": {batch: commits(partition, batch) for batch in BATCHES},
        "opening": opening(states),
        "full_collection_ms": round(1e3 * collected, 1),
        "charted_each_hour": moved(Partition(given.patients, given.wards)),
        "overdue_at_once": overdue(partition),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
