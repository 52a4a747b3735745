"""Every real source through replay, accounted for: writes `docs/real-input.md`.

Owns the list of sources and the table. Must not know how a replay works. Run: `make real-input` (about a quarter of an
hour on two cores; `--quick` leaves the whole of the ICU data out).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from connectors.sources import open_source
from stream.cli.options import make_release
from stream.replay import Replay
from stream.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCES: tuple[tuple[str, str], ...] = (
    ("simhospital (HL7 v2.3)", "hl7v2/simhospital"),
    ("linuxforhealth (HL7 v2)", "hl7v2/linuxforhealth"),
    ("microsoft (HL7 v2 ADT)", "hl7v2/microsoft/messages"),
    ("cosyte (HL7 v2)", "hl7v2/cosyte"),
    ("v2-to-fhir samples (HL7 v2)", "v2-to-fhir/samples/messages"),
    ("synthea (FHIR R4)", "fhir/synthea"),
    ("subscriptions (FHIR R4)", "fhir/subscriptions/r4"),
    ("microsoft (FHIR R4)", "hl7v2/microsoft/expected_fhir"),
    ("v2-to-fhir samples (FHIR R4)", "v2-to-fhir/samples/fhir-bundles"),
    ("PhysioNet 2012 set a", "physionet2012:physionet2012"),
    ("PhysioNet 2019 hospital A", "physionet2019:physionet2019"),
)
SLOW = frozenset({"PhysioNet 2019 hospital A"})
REASONS_SHOWN = 6

HEADER = """# Real input

Written by `make real-input`; do not edit. Each row is one replay of data that nobody here wrote, through the same core as
live, with the shipped configuration. Messages = accepted + dead letters + duplicates, in every row.

A message is an HL7 v2 message, a FHIR resource (each entry of a Bundle by itself) or a row of an ICU table. Dead letters
of the HL7 corpora are mostly message types that carry nothing for us (orders, documents, schedules), by design of those
corpora. The 2019 data have no consciousness: its NEWS2 is partial, and so are its alerts. The model is in shadow: its
alerts are computed and counted, and nobody is told.

| source | messages | accepted | dead letters | duplicates | observations | quarantined | unmapped | scores | floor alerts raised | model alerts raised (shadow) | alerts per patient-day | s | observations/s |
| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""  # noqa: E501 - a table's header is one line


def replay(name: str, spec: str, data: Path, out: Path) -> dict[str, object]:
    """Replay one source; give its summary."""
    release, versions = make_release(Settings(), None, None)
    kind, colon, folder = spec.rpartition(":")
    began = time.perf_counter()
    run = Replay(out, release, versions, on_progress=lambda done: print(f"\r{name}: {done:,}", end="", file=sys.stderr))
    run.messages(open_source(f"{kind}{colon}{data / folder}"))
    result = run.finish(time.perf_counter() - began)
    print(file=sys.stderr)
    return result.summary


def row(name: str, summary: dict[str, object]) -> str:
    """Give a source's line of the table."""
    reasons = summary["dead_letters_by_reason"]
    assert isinstance(reasons, dict)
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    letters = ", ".join(f"{reason} {count:,}" for reason, count in ranked[:REASONS_SHOWN]) or "0"
    alerts = summary["alerts"]
    assert isinstance(alerts, dict)
    seconds = float(str(summary["wall_s"]))
    observations = int(str(summary["observations"]))
    total = int(str(summary["accepted"])) + int(str(summary["dead_letters"])) + int(str(summary["duplicates"]))
    assert total == summary["messages"], f"{name}: {summary}"
    cells = [
        name,
        f"{summary['messages']:,}",
        f"{summary['accepted']:,}",
        letters,
        f"{summary['duplicates']:,}",
        f"{observations:,}",
        f"{summary['quarantined']:,}",
        f"{summary['unmapped_codes']:,}",
        f"{summary['scores']:,}",
        f"{alerts.get('news2_floor', {}).get('raised', 0):,}",
        f"{alerts.get('model', {}).get('raised', 0):,}",
        str(summary["alerts_per_patient_day"]),
        f"{seconds:,.1f}",
        f"{observations / seconds:,.0f}" if observations else "",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    """Replay every source and write the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="leave out the largest source")
    arguments.add_argument("--out", type=Path, default=ROOT / "docs" / "real-input.md")
    chosen = arguments.parse_args()
    data = Path(os.environ.get("WARDSTREAM_DATA", ROOT.parent / "shared" / "data"))
    lines = [HEADER]
    with tempfile.TemporaryDirectory() as scratch:
        for name, spec in SOURCES:
            if chosen.quick and name in SLOW:
                continue
            lines.append(row(name, replay(name, spec, data, Path(scratch) / "out")))
            print(lines[-1], end="")
    chosen.out.write_text("".join(lines))


if __name__ == "__main__":
    main()
