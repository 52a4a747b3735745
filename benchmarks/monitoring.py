"""How often the monitoring is wrong, and how soon it tells what is: on the simulated hospital, and on ICU data.

    .venv/bin/python benchmarks/monitoring.py [--beds 100] [--days 7] [--seeds 1 2 3] [--source physionet2019:DIR]

Owns the alterations of a log and the counting. Must not know a rule of the monitoring: it folds a log as any host does
and reads the signals. The tables are those of docs/monitoring.md. Figures on the simulated hospital are a rehearsal.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from statistics import median

import msgspec

from alerts.monitoring import Signal
from connectors.decoded import Decoded
from connectors.sources import Arrival, SourceSettings, open_source
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Coding, Envelope, Event, Millis, Observation
from stream.fold import tick
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parser, RecentMessages
from stream.partition_fold import PartitionFold
from stream.release import Release
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

DAY = 24 * MILLIS_PER_HOUR
PULSE: Coding = ("loinc", "8867-4")
FELT_MS = 12 * MILLIS_PER_HOUR
"""How long an alteration is looked for."""

Alter = Callable[[Envelope], Envelope | None]


def hospital_log(seed: int, beds: int, days: float) -> list[Envelope]:
    """Give a simulated hospital's log."""
    return log_of(arrivals_of(hospital_stream(seed=seed, beds=beds, hours=24 * days), Settings()))


def log_of(arrivals: Iterable[Arrival]) -> list[Envelope]:
    """Give the envelopes that arrivals come to."""
    parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
    log = []
    for arrival in arrivals:
        if isinstance(arrival.decoded, Decoded):
            parsed, _ = parser.step(arrival.decoded, arrival.received_time or 0, "")
            if type(parsed) is Envelope:
                log.append(parsed)
    return log


def signals_of(log: Iterable[Envelope]) -> Iterator[Signal]:
    """Fold a log with a tick a minute where it is silent, as a host does; give what the monitoring says."""
    fold = PartitionFold(0, 1, {}, Release(Settings(), "bench"))
    minute = None
    for envelope in log:
        at = envelope.received_time // MILLIS_PER_MINUTE
        if minute is not None and at > minute:
            yield from (one for one in fold.fold(tick(at * MILLIS_PER_MINUTE)) if type(one) is Signal)
        minute = at
        yield from (one for one in fold.fold(envelope) if type(one) is Signal)


# -- alterations -------------------------------------------------------------------------------------------------------


def observations(change: Callable[[Observation], Observation]) -> Alter:
    """Alter each observation of a message."""

    def alter(envelope: Envelope) -> Envelope:
        events: tuple[Event, ...] = tuple(
            change(event) if type(event) is Observation else event for event in envelope.events
        )
        return msgspec.structs.replace(envelope, events=events)

    return alter


def with_fields(when: Callable[[Observation], bool], **fields: object) -> Alter:
    """Alter the fields of some observations."""
    return observations(lambda one: msgspec.structs.replace(one, **fields) if when(one) else one)


def has(code: str) -> Callable[[Observation], bool]:
    """Say whether an observation is of a LOINC code."""
    return lambda one: ("loinc", code) in one.codings


def scaled(code: str, factor: float, offset: float = 0.0) -> Alter:
    """Alter a code's numbers, under the label they had."""
    wanted = has(code)

    def change(one: Observation) -> Observation:
        if not wanted(one) or one.value is None:
            return one
        return msgspec.structs.replace(one, value=round(one.value * factor + offset, 2))

    return observations(change)


def frozen(log: list[Envelope], since: Millis) -> Alter:
    """Say of each patient what was said last before it froze, at new times; of those who come later it says nothing."""
    last = {
        envelope.patient: envelope
        for envelope in log
        if envelope.received_time < since and any(type(event) is Observation for event in envelope.events)
    }

    def alter(envelope: Envelope) -> Envelope | None:
        if not any(type(event) is Observation for event in envelope.events):
            return envelope
        before = last.get(envelope.patient)
        return None if before is None else msgspec.structs.replace(envelope, events=before.events)

    return alter


def stuck(patients: set[str]) -> Alter:
    """Let the pulse of one patient stand still: of the first who is heard."""
    wanted = has("8867-4")
    held: dict[str, float] = {}

    def alter(envelope: Envelope) -> Envelope | None:
        if not patients:
            patients.add(envelope.patient)
        if envelope.patient not in patients:
            return envelope

        def change(one: Observation) -> Observation:
            if not wanted(one) or one.value is None:
                return one
            return msgspec.structs.replace(one, value=held.setdefault(envelope.patient, one.value))

        return observations(change)(envelope)

    return alter


Make = Callable[[list[Envelope], Millis], Alter]
ALTERATIONS: dict[str, tuple[str, Make]] = {
    "feed silent": ("feed_silent", lambda _log, _since: lambda _envelope: None),
    "pulse under a local code": (
        "code_remapped", lambda _log, _since: with_fields(has("8867-4"), codings=(("LOCAL", "HR-2"),)),
    ),
    "lactate under a local code": (
        "code_remapped", lambda _log, _since: with_fields(has("2524-7"), codings=(("LOCAL", "LAC-2"),)),
    ),
    "pulse in an unknown unit": ("unit_changed", lambda _log, _since: with_fields(has("8867-4"), unit="bpx")),
    "lactate in mg/dL": ("unit_changed", lambda _log, _since: with_fields(has("2524-7"), unit="mg/dL")),
    "temperature in F, labelled C": ("scale_changed", lambda _log, _since: scaled("8310-5", 1.8, 32)),
    "haemoglobin in g/dL, labelled g/L": ("scale_changed", lambda _log, _since: scaled("718-7", 0.1)),
    "a pulse stands still": ("flat_line", lambda _log, _since: stuck(set())),
    "the feed is frozen": ("feed_frozen", frozen),
}  # fmt: skip


def altered(log: list[Envelope], since: Millis, alter: Alter) -> Iterator[Envelope]:
    """Give a log that is altered from an instant on."""
    for envelope in log:
        if envelope.received_time < since:
            yield envelope
        elif envelope.received_time < since + FELT_MS:
            changed = alter(envelope)
            if changed is not None:
                yield changed
    yield tick(since + FELT_MS)


def detection(log: list[Envelope], kind: str, make: Make, since: Millis) -> float | None:
    """Give how many minutes after its beginning an alteration is told; None where it is not."""
    for one in signals_of(altered(log, since, make(log, since))):
        if one.kind == kind and one.state == "raised" and one.received_time >= since:
            return (one.received_time - since) / MILLIS_PER_MINUTE
    return None


# -- the tables --------------------------------------------------------------------------------------------------------


def false_alarms(log: list[Envelope], *, first_day: bool) -> Counter[str]:
    """Count what is raised of a log in which nothing was altered, on its first day or after it."""
    begin = log[0].received_time
    return Counter(
        one.kind for one in signals_of(log) if one.state == "raised" and (one.received_time < begin + DAY) == first_day
    )


def measure_source(spec: str, every: int, limit: int) -> None:
    """Print what is raised of a source in which nothing is known to be wrong."""
    log = log_of(islice(open_source(spec, SourceSettings(every=every)), limit))
    begin, end = log[0].received_time, log[-1].received_time
    raised = Counter(one.kind for one in signals_of(log) if one.state == "raised")
    print(json.dumps({
        "records": len(log), "patients": len({one.patient for one in log}), "days": round((end - begin) / DAY, 1),
        "raised": raised,
    }, indent=1))  # fmt: skip


def main() -> None:
    """Print both tables as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--beds", type=int, default=100)
    options.add_argument("--days", type=float, default=7)
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options.add_argument("--source", help="false alarms on this source (see `wardstream replay --help`) instead")
    options.add_argument("--limit", type=int, default=200_000, help="messages of --source")
    options.add_argument("--every", type=int, default=20, help="one stay in so many of --source")
    given = options.parse_args()
    if given.source:
        measure_source(given.source, given.every, given.limit)
        return
    raised: dict[str, Counter[str]] = {"first day": Counter(), "after it": Counter()}
    delays: dict[str, list[float | None]] = {name: [] for name in ALTERATIONS}
    began = time.perf_counter()
    for seed in given.seeds:
        log = hospital_log(seed, given.beds, given.days)
        for name, first in (("first day", True), ("after it", False)):
            raised[name].update(false_alarms(log, first_day=first))
        for hour in (34, 40):
            since = log[0].received_time + int((given.days * 24 - hour) * MILLIS_PER_HOUR)
            for name, (kind, make) in ALTERATIONS.items():
                delays[name].append(detection(log, kind, make, since))
    days = (given.days - 1) * len(given.seeds)
    print(json.dumps({
        "beds": given.beds, "days": given.days, "seeds": given.seeds,
        "false alarms a day, after the first": {k: round(n / days, 3) for k, n in sorted(raised["after it"].items())},
        "raised on the first day": dict(raised["first day"]),
        "minutes until told": {
            name: {"told": f"{len(found)} of {len(each)}", "median": median(found or [0]), "most": max(found or [0])}
            for name, each in delays.items() for found in [[one for one in each if one is not None]]
        },
        "wall_s": round(time.perf_counter() - began, 1),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
