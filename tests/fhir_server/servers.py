"""HAPI's FHIR servers, each a process of its own: the plain one, up in seconds; the JPA one, which has Subscriptions.

One JPA server for a whole run of tests, started when a test first asks; where WARDSTREAM_TEST_HAPI (a port of this
machine) is set, the one there is used and never stopped. A plain one forgets everything when it is killed: a test that
needs one starts its own (`own_plain_server`).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.local.ports import free_ports

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("WARDSTREAM_CLIENTS", HERE.parents[1] / ".clients"))
HAPI_VARIABLE = "WARDSTREAM_TEST_HAPI"
WITHIN_S = 120
"""The JPA server is up in 35 s on two busy cores."""

DATABASE = "database"
UNTIL_S = 150
"""HAPI's own rounds (its search, its subscriptions) take seconds, and more on a loaded machine."""
LOOK_S = 0.05


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has come about at a server."""
    async with asyncio.timeout(UNTIL_S):
        while not await happened():  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)


class HapiServer:
    """One HAPI FHIR server."""

    def __init__(self, kind: str, main: str, folder: Path, *, memory_mib: int) -> None:
        """`folder` is for its log and, of one that has any, its database, which outlives the process."""
        libs = CACHE / f"fhir_server_{kind}" / "libs"
        for need in (shutil.which("java"), libs.exists() or None):
            if need is None:
                absent(f"HAPI'S FHIR SERVER ({kind})")
        self._command = [
            "java",
            f"-Xmx{memory_mib}m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            f"-Ddatabase=jdbc:h2:file:{folder / DATABASE / 'fhir'};WRITE_DELAY=0;DB_CLOSE_ON_EXIT=FALSE",
            "-cp",
            f"{libs}/*",
            str(HERE / kind / main),
        ]
        self._errors = folder / f"{kind}.log"
        self._database = folder / DATABASE
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self._numbers = count(1)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/fhir"

    def start(self) -> None:
        """Start it, at the address it had before, and wait until it answers."""
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                [*self._command, str(self.port)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{") and json.loads(line).get("event") == "listening":
                return
        raise AssertionError(f"it ended: {self._errors.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill it; nothing where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(WITHIN_S)
            self._process = None

    def forget(self) -> None:
        """Kill it, and take away all that it stored."""
        self.kill()
        shutil.rmtree(self._database)

    @property
    def is_ours(self) -> bool:
        """Whether we started it, and may kill it."""
        return self._process is not None

    def unique(self, word: str) -> str:
        """Give an id that no other test of this run uses."""
        return f"{word}-{os.getpid()}-{next(self._numbers)}"

    def put(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Store a resource under its id; give it as it is stored."""
        url = f"{self.url}/{resource['resourceType']}/{resource['id']}"
        response = httpx.put(url, json=resource, headers=_FHIR, timeout=WITHIN_S, trust_env=False)
        assert response.status_code in {200, 201}, response.text
        stored: dict[str, Any] = response.json()
        return stored

    def get(self, path: str) -> dict[str, Any]:
        """Read."""
        response = httpx.get(f"{self.url}/{path}", timeout=WITHIN_S, trust_env=False)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document


_FHIR = {"content-type": "application/fhir+json"}


def absent(what: str) -> None:
    """Skip the test loudly; fail it in CI."""
    message = f"{what} IS ABSENT: run deploy/clients.sh; this claim was NOT tested"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """Give a port of this machine that nobody uses now, and no connection will have while its server is down."""
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def jpa_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HapiServer]:
    """Give the run's JPA server."""
    server = HapiServer("jpa", "JpaServer.java", tmp_path_factory.mktemp("hapi"), memory_mib=1_000)
    if given := os.environ.get(HAPI_VARIABLE):
        server.port = int(given)
    else:
        server.start()
    yield server
    server.kill()


@pytest.fixture
def own_plain_server(tmp_path: Path) -> Iterator[Callable[[], HapiServer]]:
    """Give what starts a plain server of the test's own."""
    started: list[HapiServer] = []

    def begin() -> HapiServer:
        started.append(HapiServer("plain", "PlainServer.java", tmp_path, memory_mib=300))
        started[-1].start()
        return started[-1]

    yield begin
    for server in started:
        server.kill()


def observation(
    identity: str, patient: str, value: float, at: str, *, code: str = "8867-4", unit: str = "/min"
) -> dict[str, Any]:
    """Give a vital sign."""
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": at,
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }


def patient(identity: str) -> dict[str, Any]:
    """Give a patient."""
    return {
        "resourceType": "Patient",
        "id": identity,
        "identifier": [{"system": "urn:mrn", "value": f"MRN-{identity}"}],
        "gender": "female",
        "birthDate": "1950-01-01",
    }


def encounter(identity: str, patient_id: str, since: str, *, ward: str = "Ward A") -> dict[str, Any]:
    """Give a stay that goes on."""
    return {
        "resourceType": "Encounter",
        "id": identity,
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "period": {"start": since},
        "location": [{"location": {"display": ward}, "status": "active"}],
    }
