"""A ward that sends HL7 v2 to the embedded service, and the command line in this process: what the stream tests share.

All parts are real: rendered bytes, the codec, SQLite. A time is given in minutes after the ward's first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.sources import Arrival
from events import MILLIS_PER_MINUTE, Envelope, Event, Location, content_id
from models.version import ModelVersion
from stream.cli import main
from stream.identity import Pseudonyms
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.versions import load_versions

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z, a whole minute."""
AUTHORITY = "MRN"
CODES = {
    "rr": ("9279-1", "/min"),
    "spo2": ("59408-5", "%"),
    "fio2": ("3150-6", "%"),
    "sbp": ("8480-6", "mm[Hg]"),
    "hr": ("8867-4", "/min"),
    "acvpu": ("67775-7", ""),
    "temp": ("8310-5", "Cel"),
    "lactate": ("2524-7", "mmol/L"),
    "sodium": ("2951-2", "mmol/L"),
}
WELL: dict[str, Any] = {
    "rr": 16.0, "spo2": 98.0, "fio2": 21.0, "sbp": 128.0, "hr": 72.0, "acvpu": ("loinc", "LA9340-6"), "temp": 36.8,
}  # fmt: skip
"""NEWS2 0."""
SICK: dict[str, Any] = {**WELL, "rr": 28.0, "spo2": 90.0, "sbp": 88.0, "hr": 132.0}
"""NEWS2 12: four red parameters, and nothing else."""
MEDIUM: dict[str, Any] = {"rr": 22.0, "spo2": 93.0, "hr": 112.0}
"""NEWS2 6 upon what is well."""


class Ward:
    """Sends messages to one embedded service; what was said is read back from its journal."""

    WELL = WELL
    SICK = SICK
    START = START

    def __init__(
        self,
        folder: Path,
        *,
        settings: Settings | None = None,
        version: ModelVersion | str = "",
        enabled: bool = False,
    ) -> None:
        versions = {version.version: version} if isinstance(version, ModelVersion) else {}
        name = version.version if isinstance(version, ModelVersion) else version
        self.release = Release(settings or Settings(), "test", name, enabled)
        self.service = EmbeddedService(folder, self.release, versions)
        self.sent: list[bytes] = []
        self._numbers = count(1)

    def at(self, minute: float) -> int:
        """Give the instant of a minute."""
        return START + int(minute * MILLIS_PER_MINUTE)

    def send(self, data: bytes, minute: float) -> Any:
        """Let bytes arrive; give what became of them."""
        arrival = Arrival(
            f"ward#{len(self.sent)}", self.at(minute), data, "hl7v2", decode(data, self.release.settings.hl7)
        )
        self.sent.append(data)
        return self.service.accept([arrival])[0]

    def adt(
        self,
        trigger: str,
        mrn: str,
        minute: float,
        *,
        event_minute: float | None = None,
        told_minute: float | None = None,
        **fields: Any,
    ) -> Any:
        """Send an ADT message; `ward` names the ward the patient lies in, `told_minute` when it was written."""
        fields.setdefault("location", Location(fields.pop("ward", "Ward A"), "1", "12"))
        fields.setdefault("encounter", f"VISIT-{mrn}")
        data = render_adt(
            trigger,
            control_id=f"C{next(self._numbers)}",
            sent_time=self.at(minute if told_minute is None else told_minute),
            feed="PAS|MAIN",
            patient=Identifier(AUTHORITY, mrn),
            event_time=self.at(minute if event_minute is None else event_minute),
            **fields,
        )
        return self.send(data, minute)

    def admit(self, mrn: str, minute: float = 0, **fields: Any) -> Any:
        """Admit an adult."""
        return self.adt("A01", mrn, minute, **{"birth_date": "1950-01-01", "sex": "female", **fields})

    def results(self, mrn: str, minute: float, results: list[Result], *, observed: float, order: str = "") -> Any:
        """Send results as they are; without an order number the observed time names the order, as a chart would."""
        data = render_oru(
            control_id=f"C{next(self._numbers)}",
            sent_time=self.at(minute),
            feed="MONITOR|WARD",
            patient=Identifier(AUTHORITY, mrn),
            encounter=f"VISIT-{mrn}",
            location=Location(),
            observed_time=self.at(observed),
            order=order or f"O-{mrn}-{observed}",
            results=results,
        )
        return self.send(data, minute)

    def chart(
        self,
        mrn: str,
        minute: float,
        values: Mapping[str, Any],
        *,
        observed: float | None = None,
        status: Any = "F",
        units: Mapping[str, str] | None = None,
    ) -> Any:
        """Chart values, observed a minute before they are sent unless it is said when."""
        units = units or {}
        results = [
            Result(code=CODES[name][0], value=value, unit=units.get(name, CODES[name][1]), status=status)
            for name, value in values.items()
        ]
        return self.results(mrn, minute, results, observed=minute - 1 if observed is None else observed)

    def pass_time(self, minute: float) -> None:
        """Let time pass: a well patient on another ward is charted, as always somewhere in a hospital."""
        self.chart("other-ward", minute, WELL)

    def enter(self, event: Event, minute: float, mrn: str = "") -> None:
        """Enter an event straight into the log."""
        patient = self.key(mrn) if mrn else ""
        at = self.at(minute)
        self.service.host.enter([Envelope(content_id("test", repr(event)), patient, at, at, (event,))])

    def key(self, mrn: str) -> str:
        """Give a patient's pseudonym."""
        return Pseudonyms().of("patient", AUTHORITY, mrn)

    def outputs(self, kind: str) -> list[dict[str, Any]]:
        """Give the outputs of a kind, in the order they came about."""
        return [json.loads(content) for found, _id, content in self.service.outputs.outputs() if found == kind]

    def alerts(self, mrn: str = "", trigger: str = "") -> list[dict[str, Any]]:
        """Give the alert events, of one patient and trigger if they are named."""
        return [
            alert
            for alert in self.outputs("alerts")
            if (not mrn or alert["patient"] == self.key(mrn)) and (not trigger or alert["trigger"] == trigger)
        ]

    def story(self, mrn: str = "", trigger: str = "news2_floor") -> list[str]:
        """Give what was said, as `state reason`."""
        return [f"{alert['state']} {alert['reason']}" for alert in self.alerts(mrn, trigger)]

    def score(self, mrn: str) -> dict[str, Any]:
        """Give a patient's newest score."""
        return [score for score in self.outputs("scores") if score["patient"] == self.key(mrn)][-1]

    def tally(self) -> Any:
        """Give the run's counters."""
        return self.service.host.pipeline.tally


@pytest.fixture
def new_ward(tmp_path: Path) -> Callable[..., Ward]:
    """Give a maker of wards, each with a data folder of its own."""
    numbers = count(1)
    return lambda **how: Ward(tmp_path / f"ward-{next(numbers)}", **how)


@pytest.fixture
def ward(new_ward: Callable[..., Ward]) -> Ward:
    """Give a ward on NEWS2 alone."""
    return new_ward()


@pytest.fixture
def night(ward: Ward) -> Ward:
    """Give a ward with one admitted patient."""
    ward.admit("1")
    return ward


def acts(ward: Ward) -> dict[str, int]:
    """Give how often each act counted."""
    return dict(ward.tally().acts)


@pytest.fixture(scope="session")
def shipped() -> ModelVersion:
    """Give the version that ships."""
    versions, _wrong = load_versions()
    return next(iter(versions.values()))


@pytest.fixture(scope="session")
def constant_version(shipped: ModelVersion) -> Callable[[float], ModelVersion]:
    """Give a maker of versions that always answer the same logit, whatever the patient."""

    def make(logit: float) -> ModelVersion:
        return msgspec.structs.replace(shipped, weights=(0.0,) * len(shipped.weights), intercept=logit)

    return make


class Done(msgspec.Struct, frozen=True):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Give the command line, run in this process through its own entry point."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["wardstream", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            main()
        captured = capsys.readouterr()
        code = done.value.code
        assert isinstance(code, int)
        return Done(code, captured.out, captured.err)

    return run
