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
from collections.abc import Iterable, Iterator
from pathlib import Path

from connectors.datasets import physionet2012, physionet2019
from connectors.datasets.rendering import render_all
from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode as decode_fhir
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.sources import Arrival, SourceSettings, group_arrivals, open_source
from stream.cli.options import make_release
from stream.replay import Replay
from stream.settings import Settings, parse_toml

ROOT = Path(__file__).resolve().parents[1]
SOURCES: tuple[tuple[str, str], ...] = (
    ("simhospital (HL7 v2.3)", "hl7v2/simhospital"),
    ("linuxforhealth (HL7 v2)", "hl7v2/linuxforhealth"),
    ("microsoft (HL7 v2 ADT)", "hl7v2/microsoft/messages"),
    ("cosyte (HL7 v2)", "hl7v2/cosyte"),
    ("synthea (FHIR R4)", "fhir/synthea"),
    ("subscriptions (FHIR R4)", "fhir/subscriptions/r4"),
    ("microsoft (FHIR R4)", "hl7v2/microsoft/expected_fhir"),
    ("v2-to-fhir samples (FHIR R4)", "v2-to-fhir/samples/fhir-bundles"),
    ("PhysioNet 2012 set a, a tenth, as HL7 v2", "hl7v2:physionet2012"),
    ("PhysioNet 2012 set a, a tenth, as FHIR", "fhir:physionet2012"),
    ("PhysioNet 2012 set a, a tenth", "tenth:physionet2012"),
    ("PhysioNet 2019 hospital A, a tenth, as HL7 v2", "hl7v2:physionet2019"),
    ("PhysioNet 2019 hospital A, a tenth, as FHIR", "fhir:physionet2019"),
    ("PhysioNet 2019 hospital A, a tenth", "tenth:physionet2019"),
    ("PhysioNet 2012 set a", "physionet2012:physionet2012"),
    ("PhysioNet 2019 hospital A", "physionet2019:physionet2019"),
)
SLOW = frozenset({"PhysioNet 2019 hospital A"})

HEADER = """# Real input

Written by `make real-input`; do not edit. Each row is one replay of data that nobody here wrote, through the same core as
live, with the shipped configuration. Messages = accepted + dead letters + duplicates, in every row.

A message is an HL7 v2 message, a FHIR resource (each entry of a Bundle by itself) or a row of an ICU table. Dead letters
of the HL7 corpora are mostly message types that carry nothing for us (orders, documents, schedules), by design of those
corpora; docs/conformance.md gives each of them with why it is right. The 2019 data have no consciousness: its NEWS2 is partial, and so are its alerts. The 2012 data
have no SpO2 by oximeter: theirs is partial too. A tenth of each ICU set is replayed three ways, as rows, as HL7 v2 and as
FHIR, to the same scores and alerts. The model is in shadow: its alerts are computed and counted, and nobody is told.

| source | messages | accepted | dead letters | duplicates | observations | quarantined | unmapped | scores | floor alerts raised | model alerts raised (shadow) | alerts told per patient-day | s | observations/s |
| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""  # noqa: E501 - a table's header is one line


def arrivals(spec: str, data: Path) -> Iterable[Arrival]:
    """Open a source; a tenth of an ICU set may also come as the messages that its stays would be."""
    kind, colon, folder = spec.rpartition(":")
    if kind not in ("hl7v2", "fhir", "tenth"):
        return group_arrivals(open_source(f"{kind}{colon}{data / folder}"))
    if kind == "tenth":
        return open_source(f"{folder}:{data / folder}", SourceSettings(every=10))
    read = {"physionet2012": physionet2012.read, "physionet2019": physionet2019.read}[folder]
    return group_arrivals(rendered(decoded(read(data / folder, 10)), kind))


def decoded(messages: Iterable[Decoded | Refusal]) -> Iterator[Decoded]:
    """Give the messages of an ICU set, all of which are known to be as described."""
    for one in messages:
        assert isinstance(one, Decoded), one
        yield one


def rendered(messages: Iterable[Decoded], kind: str) -> Iterator[Arrival]:
    """Give each message of an ICU set as bytes, decoded anew."""
    hl7, fhir = Settings().hl7, Settings().fhir
    for number, (original, data) in enumerate(render_all(messages, "hl7v2" if kind == "hl7v2" else "fhir"), start=1):
        if kind == "hl7v2":
            yield Arrival(f"{number}", original.sent_time, data, "hl7v2", decode_hl7(data, hl7))
        else:
            for one in decode_fhir(data, fhir):
                yield Arrival(f"{number}", original.sent_time, data, "fhir", one)


def replay(name: str, spec: str, data: Path, out: Path) -> dict[str, object]:
    """Replay one source; give its summary."""
    settings = parse_toml((ROOT / "deploy" / "simhospital.toml").read_text()) if "simhospital" in spec else Settings()
    release, versions = make_release(settings, None, None)
    began = time.perf_counter()
    run = Replay(
        out,
        release,
        versions,
        on_progress=lambda done: print(f"\r{name}: {done:,}", end="", file=sys.stderr) if sys.stderr.isatty() else None,
    )
    run.messages(arrivals(spec, data))
    result = run.finish(time.perf_counter() - began)
    print(file=sys.stderr)
    return result.summary


def row(name: str, summary: dict[str, object]) -> str:
    """Give a source's line of the table."""
    reasons = summary["dead_letters_by_reason"]
    assert isinstance(reasons, dict)
    ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    letters = ", ".join(f"{reason} {count:,}" for reason, count in ranked) or "0"
    alerts = summary["alerts"]
    assert isinstance(alerts, dict)
    seconds = float(str(summary["wall_s"]))
    observations = int(str(summary["observations"]))
    total = int(str(summary["accepted"])) + int(str(summary["dead_letters"])) + int(str(summary["duplicates"]))
    assert total == summary["messages"], f"{name}: {summary}"
    assert summary["unfoldable"] == 0, f"{name}: {summary}"
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
