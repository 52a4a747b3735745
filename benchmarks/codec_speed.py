"""The codecs beside the named libraries, in one run, by turns: bytes to canonical events, and bytes to their objects.

Owns the contenders, the turns and the report. Must not know how any of them works. What is measured is CPU of the
reading thread, so that what else the machine does counts for nobody. Each contender is asked for the same: patient, and
of each result code, value, unit and time. Ours gives whole events with identity, status and content hash besides.

Run: `make codecs`, or `.venv/bin/python benchmarks/codec_speed.py --rounds 5`. hl7apy is in the extra `bench`; without
it, or without Java and `deploy/clients.sh`, those peers are left out and named.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mllp_servers import CACHE, ROOT
from peer import VITALS, messages

from connectors.decoded import Decoded
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.hl7v2.settings import Hl7Settings

PATIENTS = 500
HL7_PER_S_TARGET = 12_000
HL7_RATIO_TARGET = 20
FHIR_PER_S_TARGET = 50_000
JVM_TURNS = 6
"""Turns of a JVM before it is measured: it compiles for a while."""
ANSWER_S_MAX = 300.0
PEERS = ROOT / "benchmarks" / "peers"
OURS = "wardstream"

Turn = Callable[[], tuple[int, float]]
"""Reads a share of the texts; gives how many, and the seconds of CPU."""


class Contender(NamedTuple):
    """One library, and how it takes a turn."""

    name: str
    turn: Turn
    warm_ups: int = 1


def python_turn(read: Callable[[bytes], object], texts: Sequence[bytes]) -> Turn:
    """Make a turn of a function of ours or of a library in this process."""

    def turn() -> tuple[int, float]:
        gc.collect()
        began = time.thread_time()
        for text in texts:
            read(text)
        return len(texts), time.thread_time() - began

    return turn


# -- HL7 v2 ----------------------------------------------------------------------------------------------------------


def read_ours(text: bytes) -> object:
    """Read a message to events."""
    decoded = decode_hl7(text, _HL7)
    assert type(decoded) is Decoded
    return decoded


_HL7 = Hl7Settings()


def python_hl7() -> Callable[[bytes], object]:
    """Read by python-hl7."""
    from datetime import datetime

    import hl7

    def read(text: bytes) -> object:
        parsed = hl7.parse(text.decode())
        patient = str(parsed.segment("PID")[3][0][0])
        return patient, [
            (
                str(obx[3][0][0]),
                float(str(obx[5])),
                str(obx[6][0][0]),
                datetime.strptime(str(obx[14]), "%Y%m%d%H%M%S%z"),
            )
            for obx in parsed.segments("OBX")
        ]

    return read


def hl7apy() -> Callable[[bytes], object]:
    """Read by hl7apy, tolerantly, without looking for groups: its quickest way."""
    from datetime import datetime

    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message

    def read(text: bytes) -> object:
        parsed = parse_message(text.decode(), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
        patient = parsed.pid.pid_3.cx_1.value
        return patient, [
            (
                obx.obx_3.ce_1.value,
                float(obx.obx_5.value),
                obx.obx_6.ce_1.value,
                datetime.strptime(obx.obx_14.value, "%Y%m%d%H%M%S%z"),
            )
            for obx in parsed.obx
        ]

    return read


# -- FHIR ------------------------------------------------------------------------------------------------------------


def observations(count: int) -> Iterator[bytes]:
    """Give Observations of the vital signs that the HL7 messages have."""
    for number in range(count):
        code, display, unit, normal, _spread, decimals = VITALS[number % len(VITALS)]
        minute = number // len(VITALS) % 1_440
        yield json.dumps(
            {
                "resourceType": "Observation", "id": f"o{number}", "status": "final",
                "meta": {"versionId": "1", "lastUpdated": f"2026-01-05T{minute // 60:02d}:{minute % 60:02d}:30Z"},
                "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                          "code": "vital-signs"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]},
                "subject": {"reference": f"Patient/p{number % PATIENTS}"},
                "encounter": {"reference": f"Encounter/e{number % PATIENTS}"},
                "effectiveDateTime": f"2026-01-05T{minute // 60:02d}:{minute % 60:02d}:00+00:00",
                "issued": f"2026-01-05T{minute // 60:02d}:{minute % 60:02d}:20.000Z",
                "valueQuantity": {"value": round(normal + number % 7 / 10, decimals), "unit": unit,
                                  "system": "http://unitsofmeasure.org", "code": unit},
            },
            separators=(",", ":"),
        ).encode()  # fmt: skip


_FHIR = FhirSettings(server="ehr")


def read_ours_fhir(text: bytes) -> object:
    """Read a resource to events."""
    (decoded,) = decode_fhir(text, _FHIR)
    assert type(decoded) is Decoded
    return decoded


def fhir_resources() -> Callable[[bytes], object]:
    """Read by fhir.resources, R4B, which validates."""
    from fhir.resources.R4B.observation import Observation

    def read(text: bytes) -> object:
        one = Observation.model_validate_json(text)
        subject, codings, quantity = one.subject, one.code.coding, one.valueQuantity
        assert subject is not None, "the generator gives one"
        assert codings, "the generator gives one"
        assert quantity is not None, "the generator gives one"
        assert quantity.value is not None, "the generator gives one"
        return (
            subject.reference,
            codings[0].code,
            float(quantity.value),
            quantity.code,
            one.effectiveDateTime,
        )

    return read


# -- a JVM -----------------------------------------------------------------------------------------------------------


def java_turn(stack: ExitStack, libraries: str, program: str, texts: Sequence[bytes]) -> Turn:
    """Start a Java peer; raises `FileNotFoundError` where it cannot be."""
    jars = CACHE / libraries / "libs"
    if not jars.is_dir():
        raise FileNotFoundError(f"no {libraries} in {CACHE.name}: run deploy/clients.sh")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    packed = folder / "texts"
    packed.write_bytes(b"".join(len(text).to_bytes(4, "big") + text for text in texts))
    classes = folder / "classes"
    sources = [str(PEERS / "Turns.java"), str(PEERS / f"{program}.java")]
    subprocess.run(["javac", "-d", str(classes), "-cp", f"{jars}/*", *sources], check=True)  # noqa: S603, S607 - ours
    process = stack.enter_context(
        subprocess.Popen(  # noqa: S603 - ours
            ["java", "-Xms512m", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{classes}:{jars}/*", program, str(packed)],  # noqa: S607
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
    )  # fmt: skip
    stack.callback(process.kill)
    assert process.stdin is not None
    assert process.stdout is not None
    commands, answers = process.stdin, process.stdout

    def turn() -> tuple[int, float]:
        commands.write("go\n")
        commands.flush()
        answer = json.loads(answers.readline())
        return answer["texts"], answer["seconds"]

    return turn


# -- the run ---------------------------------------------------------------------------------------------------------


def run(contenders: list[Contender], rounds: int) -> dict[str, list[float]]:
    """Let each warm up, then take turns; give each one's texts a second, round by round."""
    for one in contenders:
        for _ in range(one.warm_ups):
            one.turn()
    rates: dict[str, list[float]] = {one.name: [] for one in contenders}
    for number in range(rounds):
        for one in contenders:
            count, seconds = one.turn()
            rates[one.name].append(count / seconds)
            print(f"round {number + 1}: {one.name}: {rates[one.name][-1]:,.0f}/s", file=sys.stderr, flush=True)
    return rates


def made(name: str, make: Callable[[], Turn], warm_ups: int = 1) -> list[Contender]:
    """Give a contender, or nothing where a part of it is not here, and say so."""
    try:
        return [Contender(name, make(), warm_ups)]
    except (FileNotFoundError, ModuleNotFoundError) as missing:
        print(f"left out {name}: {missing}", file=sys.stderr)
        return []


def hl7_contenders(stack: ExitStack, count: int) -> list[Contender]:
    """Give who reads ORU^R01 of 8 OBX; the slow ones get fewer of them."""
    texts = list(messages(PATIENTS, count, seed=7))
    return [
        Contender(OURS, python_turn(read_ours, texts)),
        *made("HAPI HL7v2 2.6.0", lambda: java_turn(stack, "hapi", "ParseHl7", texts), JVM_TURNS),
        *made("python-hl7 0.4.5", lambda: python_turn(python_hl7(), texts[: count // 10])),
        *made("hl7apy 1.3", lambda: python_turn(hl7apy(), texts[: count // 100])),
    ]


def fhir_contenders(stack: ExitStack, count: int) -> list[Contender]:
    """Give who reads Observations."""
    texts = list(islice(observations(count), count))
    return [
        Contender(OURS, python_turn(read_ours_fhir, texts)),
        *made("HAPI FHIR 8.6.0", lambda: java_turn(stack, "hapi_fhir", "ParseFhir", texts), JVM_TURNS),
        *made("fhir.resources 8.3.0", lambda: python_turn(fhir_resources(), texts[: count // 10])),
    ]


def report(title: str, rates: dict[str, list[float]], targets: Mapping[str, float]) -> bool:
    """Print a table; give whether the targets were reached."""
    print(f"\n{title} (a second of one core; median of the rounds)")
    ours = statistics.median(rates[OURS])
    for name, each in rates.items():
        median = statistics.median(each)
        print(
            f"  {name:22}{median:10,.0f}  {min(each):9,.0f} to {max(each):9,.0f}   ours is {ours / median:8.2f} times"
        )
    reached = True
    for name, wanted in targets.items():
        found = ours if name == OURS else ours / statistics.median(rates[name]) if name in rates else None
        if found is None:
            continue
        reached = reached and found >= wanted
        what = "a second" if name == OURS else f"times {name}"
        print(f"  target {wanted:,.0f} {what}: {found:,.1f}: {'reached' if found >= wanted else 'NOT REACHED'}")
    return reached


def main() -> int:
    """Run both comparisons."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--messages", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        found["hl7v2"] = run(hl7_contenders(stack, chosen.messages), chosen.rounds)
    with ExitStack() as stack:
        found["fhir"] = run(fhir_contenders(stack, 2 * chosen.messages), chosen.rounds)
    hl7_targets = {OURS: HL7_PER_S_TARGET, "python-hl7 0.4.5": HL7_RATIO_TARGET}
    reached = report("ORU^R01 of 8 OBX", found["hl7v2"], hl7_targets)
    reached = report("Observations", found["fhir"], {OURS: FHIR_PER_S_TARGET}) and reached
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
