"""What challengers in shadow cost the learner: microseconds a record beside plain learning in the same run, and memory.

    .venv/bin/python benchmarks/contest.py [--patients 1200] [--train 20000]

Owns the made-up topic, the clocks and the table. Must not know how a challenger is asked. The versions are ones that
the learner itself froze on the way. Folds with none to three challengers take the same records in turn, a few hundred
each, so that what else the machine does meets all of them alike. The figures are those of docs/change-control.md.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import time
from collections.abc import Sequence
from math import nan
from pathlib import Path

import msgspec

from events import MILLIS_PER_HOUR, Discharge, Envelope, Outcome, content_id
from models.inputs import LEARNING_INPUTS
from models.version import ModelVersion, dump
from models.weighing import Levels, weigh
from stream.contest_rows import ROWS_MAX, SLOTS, ContestRows, heard
from stream.facts import PatientFacts
from stream.live.contest import Contest, evidence_on
from stream.live.example_fold import ExampleFold, ExampleFoldState, Origin
from stream.live.examples import decode_example, encode_example, happened, scored
from stream.outcomes import OutcomeDefinition
from stream.row_recorder import TrainingRow

START = 1_767_225_600_000
DEFINITION = OutcomeDefinition()
TURN = 250
HOURS = 24
ORIGIN = Origin("benchmark", "none", "none")


def topic(patients: int, seed: int = 7) -> list[bytes]:
    """Make examples: patients scored every hour for a day, the sicker of whom deteriorate."""
    draw = random.Random(seed)  # noqa: S311 - made up, seeded
    timed: list[tuple[int, int, bytes]] = []
    for number in range(patients):
        patient, begin = content_id("patient", str(number)), START + number * MILLIS_PER_HOUR // 4
        sick = draw.random() < 0.2
        for hour in range(HOURS):
            vector = [draw.gauss(0.7 if sick and at < 40 else 0.0, 1.0) for at in range(len(LEARNING_INPUTS.names))]
            vector[draw.randrange(len(vector))] = nan
            at = begin + hour * MILLIS_PER_HOUR
            timed.append((at, number, encode_example(scored(patient, at, vector))))
        end = begin + (HOURS + 1) * MILLIS_PER_HOUR
        event = Outcome(end, "death") if sick else Discharge(end)
        told = happened(Envelope(content_id("end", patient), patient, end, end, (event,)))
        assert told is not None
        timed.append((end, number, encode_example(told)))
    return [value for _at, _number, value in sorted(timed)]


def resident_mb() -> float:
    """Give what this process holds, in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def with_champion(values: Sequence[bytes], champion: ModelVersion) -> list[bytes]:
    """Let records say that a version is in force and said something."""
    found = []
    for value in values:
        example = decode_example(value)
        if hasattr(example, "vector"):
            example = msgspec.structs.replace(example, probability=0.1, version=champion.version)
        found.append(encode_example(example))
    return found


PLAIN = -1
"""Among the numbers of challengers: no contest at all."""


def raced(state: bytes, values: Sequence[bytes], at_hand: dict[str, ModelVersion], begin: int) -> dict[int, float]:
    """Let folds without a contest, and with none to three challengers, take the same records; give each its seconds."""
    folds: dict[int, ExampleFold] = {}
    for count in range(PLAIN, SLOTS + 1):
        beside = {"contest": lambda: Contest(DEFINITION, at_hand.get)} if count >= 0 else None
        read = msgspec.msgpack.decode(state, type=ExampleFoldState)
        folds[count] = ExampleFold.restored(DEFINITION, read, beside=beside)
        if count > 0:
            names = list(at_hand)[-count:]
            folds[count].beside.told("contest", msgspec.json.encode({"challengers": names}))
    took = dict.fromkeys(folds, 0.0)
    for at in range(0, len(values), TURN):
        for count, fold in folds.items():
            begun = time.process_time()
            for offset, value in enumerate(values[at : at + TURN], begin + at):
                fold.take(offset, value)
            took[count] += time.process_time() - begun
    for count, fold in folds.items():
        assert not fold.beside.faults
        running = [one.running for one in fold.beside.folds.values() if isinstance(one, Contest)]
        assert [len(each) for each in running] == ([count] if count >= 0 else [])
    contest = folds[SLOTS].beside.folds["contest"]
    assert isinstance(contest, Contest)
    name = next(iter(contest.running))
    begun = time.process_time()
    rows = contest.heard(name, "news2")
    evidence_on(rows, None, at_hand[name], Levels(0.1, 0.07))
    print(f"weighing {len(rows.rows.labels):,} rows: {time.process_time() - begun:.2f} s")
    print(f"state with {SLOTS} challengers: {len(contest.state()) / 1e6:.1f} MB")
    return took


def full_rows() -> None:
    """Fill the rows to their bound, and weigh them: what they take, in a snapshot too, and the seconds and peak."""
    before, rows = resident_mb(), ContestRows()
    draw = random.Random(3)  # noqa: S311 - made up, seeded
    facts = [PatientFacts("female", f"Ward {number}", f"Ward {number % 7}") for number in range(20)]
    for number in range(ROWS_MAX):
        at, patient, risk = START + number * 60_000, number // 40, draw.random() ** 4
        said = heard((3.0, 70.0), "", None, (risk, 0.5 * risk, risk * draw.random()))
        rows.add(TrainingRow(said, draw.random() < risk, at, at + 1, False, patient, number, facts[patient % 20]), 0)
    kept, stored = resident_mb() - before, sum(len(data) for data in rows.state().columns.values()) / 1e6
    print(f"{ROWS_MAX:,} rows with {SLOTS} challengers: {kept:.0f} MB resident, {stored:.0f} MB in a snapshot")
    begun = time.process_time()
    found = rows.heard(0, 0, START, "news2")
    copied = time.process_time() - begun
    evidence = weigh(
        found.rows, champion="news2", challenger="0" * 12, levels=Levels(0.1, 0.07), champion_levels=Levels(5, 5),
        source="made", usual_rate=0.2,
    )  # fmt: skip
    took, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"weighing {evidence.rows:,}: {copied:.2f} s in the fold's thread, {took:.1f} s in all; peak {peak:.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=1_200)
    parser.add_argument("--train", type=int, default=20_000)
    chosen = parser.parse_args()
    full_rows()
    values = topic(chosen.patients)
    fold, made = ExampleFold(DEFINITION), dict[str, ModelVersion]()
    marks = [chosen.train * part // (SLOTS + 1) for part in range(1, SLOTS + 2)]
    for offset, value in enumerate(values[: chosen.train]):
        fold.take(offset, value)
        if fold.next_offset in marks:
            version = fold.candidate(ORIGIN)
            made[version.version] = version
    champion = next(iter(made.values()))
    sizes = ", ".join(f"{len(dump(one)) / 1e6:.2f}" for one in made.values())
    print(f"versions: {len(made)}, MB: {sizes}")
    state = msgspec.msgpack.encode(fold.state())
    rest = with_champion(values[chosen.train :], champion)
    before = resident_mb()
    took = raced(state, rest, made, chosen.train)
    print(f"memory of {len(took)} folds: {resident_mb() - before:.0f} MB")
    print("| challengers | µs a record | beside plain learning |\n| ---: | ---: | ---: |")
    for count, seconds in took.items():
        name = "no contest" if count == PLAIN else count
        print(f"| {name} | {1e6 * seconds / len(rest):.0f} | {seconds / took[PLAIN]:.2f} |")


if __name__ == "__main__":
    main()
