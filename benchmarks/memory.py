"""What a patient costs: resident memory and stored bytes of whole service records, charted hourly and each minute.

Owns the two charts, the measurement and its report. Must not know how a record is kept. Resident memory is what
`tracemalloc` counts as still allocated after a day's messages went through the pipeline, divided by the patients; the
outputs are let go of as a host lets go of them. Run: `.venv/bin/python benchmarks/memory.py`.
"""

from __future__ import annotations

import argparse
import gc
import json
import tracemalloc
from pathlib import Path

from core import Core

from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Admission, Demographics, Envelope, Location, Observation
from features.series import RAW_ENTRIES_MAX

PATIENTS = 200
VITALS = (
    ("8867-4", "/min", 80.0), ("9279-1", "/min", 16.0), ("59408-5", "%", 97.0), ("8480-6", "mm[Hg]", 122.0),
    ("8462-4", "mm[Hg]", 76.0), ("8310-5", "Cel", 36.8), ("3150-6", "%", 21.0), ("9269-2", "{score}", 15.0),
)  # fmt: skip
"""Eight vital signs: LOINC, unit, and a value that each reading departs from a little."""
LABORATORY = (
    ("2524-7", "mmol/L", 1.2), ("6690-2", "10*3/uL", 8.0), ("2160-0", "mg/dL", 0.9), ("3094-0", "mg/dL", 14.0),
    ("777-3", "10*3/uL", 220.0), ("1963-8", "mmol/L", 24.0),
)  # fmt: skip
LABORATORY_EVERY_MS = 6 * MILLIS_PER_HOUR
DAY_MS = 24 * MILLIS_PER_HOUR
START_MS = 1_767_600_000_000
TARGETS_KB = {"hourly": 25.0, "minute": 60.0}
STORED_PART_MAX = 1 / 3
"""The stored state may be at most a third of the resident one's target."""


def envelope(patient: int, number: int, at: int) -> Envelope:
    """Make one patient's message of a moment; new texts each time, as from a wire."""
    events: list[Observation | Admission | Demographics] = []
    if number == 0:
        events.append(Admission(at, Location(ward="W7", room="1", bed=str(patient)), "I"))
        events.append(Demographics(at, "1950-01-01", "female"))
    charted = VITALS + (LABORATORY if (at - START_MS) % LABORATORY_EVERY_MS == 0 else ())
    for place, (code, unit, value) in enumerate(charted):
        wobble = (number * 7 + patient * 3 + place) % 5
        identity = (patient * 1_000_003 + number * 97 + place) * 0x9E3779B97F4A7C15 & (1 << 63) - 1
        events.append(Observation(identity, (("loinc", code),), value + wobble, unit, at))
    name = f"{patient}-{number}"
    return Envelope(f"e{name}", f"patient-{patient:026d}", at, at, tuple(events), "F", f"m{name}")


def measure(every_ms: int, patients: int) -> dict[str, float]:
    """Chart each patient for a day; give KB a patient, resident and stored, and the readings a patient."""
    gc.collect()
    core = Core()
    core.pipeline.step(envelope(0, 0, START_MS))  # what all patients share is made before counting
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number, at in enumerate(range(START_MS, START_MS + DAY_MS, every_ms)):
        for patient in range(1, patients + 1):
            core.pipeline.step(envelope(patient, number, at))
    gc.collect()
    resident = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    changes = core.shelf.take_changes()
    stored = sum(len(data) for data in changes.values() if data is not None)
    return {
        "resident_kb": resident / patients / 1024,
        "stored_kb": stored / len(changes) / 1024,
        "messages": DAY_MS / every_ms,
    }


def main() -> None:
    """Measure both charts, print them beside their targets and, where asked, write them as JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=PATIENTS)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    print(f"{chosen.patients} patients, a day each, 8 vital signs and 6 laboratory values; {RAW_ENTRIES_MAX} in full")
    results = {}
    for name, every_ms in (("hourly", MILLIS_PER_HOUR), ("minute", MILLIS_PER_MINUTE)):
        result = results[name] = measure(every_ms, chosen.patients)
        target = TARGETS_KB[name]
        print(
            f"{name:8} resident {result['resident_kb']:6.1f} KB (target {target:.0f})   "
            f"stored {result['stored_kb']:6.1f} KB (target {target * STORED_PART_MAX:.1f})"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
