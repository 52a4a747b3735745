"""The service as a process with a FHIR server as a source: HAPI's own server is asked, and what it has is scored."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from connectors.sqlite.journal import SqliteJournal
from events import Observation
from tests.fhir_server.servers import HapiServer, encounter, free_port, observation, patient
from tests.listening import COMMAND, WITHIN_S, ListeningProcess
from tests.stream.test_run_mllp import Running, start

__all__ = ["start"]

IMPORTED_S = 180
"""For HAPI's export and ours of it, on shared cores: it works at one in rounds of its own."""
SICK: dict[str, tuple[float, str]] = {
    "9279-1": (28, "/min"),
    "8867-4": (132, "/min"),
    "8480-6": (88, "mm[Hg]"),
    "8310-5": (36.8, "Cel"),
}
"""Three red parameters."""


def table(server: HapiServer, **keys: object) -> str:
    """Write the source's table."""
    lines = {"base_url": server.url, "poll_s": 1, **keys}
    return "[fhir_sources.servers.ehr]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())


def ago(minutes: float) -> str:
    """Give a moment before now."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="seconds")


def admit(server: HapiServer, name: str, ward: str = "Ward A") -> str:
    """Put a patient into a bed; give the patient's id."""
    who = server.unique(name)
    server.put(patient(who))
    server.put(encounter(f"e-{who}", who, ago(600), ward=ward))
    return who


def chart(server: HapiServer, who: str, minutes: float, values: dict[str, tuple[float, str]] = SICK) -> None:
    """Put a set of vital signs."""
    for code, (value, unit) in values.items():
        server.put(observation(server.unique("o"), who, value, ago(minutes), code=code, unit=unit))


def test_a_server_is_polled_through_its_and_our_restarts(
    own_plain_server: Callable[[], HapiServer], start: Callable[[str], Running], tmp_path: Path
) -> None:
    """A patient in a bed is admitted, scored and alerted on from polling alone; both sides die and come back.

    Everything is in the journal once: neither the overlap, nor our kill -9, nor a server that was away doubles or loses
    a resource.
    """
    server = own_plain_server()
    who = admit(server, "one")
    chart(server, who, 2)
    service = start(table(server))
    while not service.get("/alerts/open").json()["alerts"]:
        assert service.process.poll() is None
    (alert,) = service.get("/alerts/open").json()["alerts"]
    assert (alert["trigger"], alert["ward"]) == ("news2_floor", "Ward A")
    service.kill()
    chart(server, who, 1)
    service = start(table(server))
    _wait(service, lambda: _journalled(tmp_path)["Observation"] == 2 * len(SICK))
    server.kill()
    _wait(service, lambda: "fhir_source_failed" in {line["event"] for line in service.logs()})
    server.start()  # it has forgotten everything, and begins with version 1 again
    admit(server, "two")
    chart(server, who, 0.5)
    _wait(service, lambda: _journalled(tmp_path)["Observation"] == 3 * len(SICK))
    _wait(service, lambda: "fhir_source_resumed" in {line["event"] for line in service.logs()})
    metrics = service.get("/metrics").text
    assert 'wardstream_fhir_source_resources_total{source="ehr",type="Observation",way="poll"}' in metrics
    assert 'wardstream_fhir_source_success_age_seconds{source="ehr"}' in metrics
    assert service.stop() == 0
    assert _journalled(tmp_path) == {"Patient": 2, "Encounter": 2, "Observation": 3 * len(SICK)}
    text = service.errors.read_text()
    assert who not in text
    assert "_lastUpdated" not in text, "an address may name a patient"


def test_a_server_tells_the_service_of_itself(jpa_server: HapiServer, tmp_path: Path) -> None:
    """Between two looks that lie an hour apart, HAPI delivers to the running service, which scores and alerts.

    The secret is asked for beside the site's own token, and stands in no log.
    """
    port, secret = free_port(), "s" * 40
    (tmp_path / "secret").write_text(secret)
    endpoint = f"http://127.0.0.1:{port}/fhir/subscriptions/ehr"
    subscription = {"style": "criteria", "endpoint": endpoint, "secret_file": str(tmp_path / "secret"), "look_s": 1}
    config = tmp_path / "wardstream.toml"
    config.write_text(
        table(jpa_server, poll_s=3_600, types=["Observation", "Encounter"])
        + "[fhir_sources.servers.ehr.subscription]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in subscription.items())
        + f"[service]\nmllp_port = 0\nhttp_port = {port}\n"
    )
    ward = jpa_server.unique("Ward T")
    who = admit(jpa_server, "told", ward)
    arguments = ("run", "--data-dir", str(tmp_path / "data"), "--config", str(config))
    service = ListeningProcess(arguments, tmp_path / "service.log")
    try:
        _wait(service, lambda: 'subscriptions_active{source="ehr"} 2.0' in service.get("/metrics").text)
        chart(jpa_server, who, 1)
        _wait(service, lambda: any(one["ward"] == ward for one in service.get("/alerts/open").json()["alerts"]))
        metrics = service.get("/metrics").text
        assert 'wardstream_fhir_source_resources_total{source="ehr",type="Observation",way="hook"}' in metrics
        assert 'wardstream_fhir_source_notifications_total{kind="resource",source="ehr"}' in metrics
        refused = httpx.put(f"{endpoint}/Observation/x", json={}, timeout=WITHIN_S, trust_env=False)
        assert refused.status_code == 401
        assert service.stop() == 0
    finally:
        service.kill()
    text = service.errors.read_text()
    assert secret not in text
    assert who not in text


WELL: dict[str, tuple[float, str]] = {
    "9279-1": (16, "/min"),
    "8867-4": (72, "/min"),
    "8480-6": (128, "mm[Hg]"),
    "8310-5": (36.8, "Cel"),
}


def test_an_import_alerts_on_no_news_of_the_past(
    jpa_server: HapiServer, start: Callable[[str], Running], tmp_path: Path
) -> None:
    """HAPI's export is fetched and taken in: who was sick and is well alerts nobody, who was sick last is on the board.

    Done again, it is all known.
    """
    wards = {"recovered": jpa_server.unique("Ward R"), "sick": jpa_server.unique("Ward S")}
    who = {name: admit(jpa_server, name, ward) for name, ward in wards.items()}
    chart(jpa_server, who["recovered"], 10, WELL)
    for one in who.values():
        chart(jpa_server, one, 180)
    config = tmp_path / "import.toml"
    config.write_text(table(jpa_server))
    service = start("")
    to = ("--to", f"{service.url}/fhir", "--look-s", "0.5")
    for _ in range(2):
        command = (*COMMAND, "fhir", "import", "ehr", "--config", str(config), *to)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=IMPORTED_S)
        assert done.returncode == 0, done.stderr
        assert who["sick"] not in done.stdout + done.stderr
    assert json.loads(done.stdout)["refused"] == 0
    _wait(service, lambda: not service.get("/patients").json()["behind_records"])
    events = service.get("/alerts?limit=1000").json()["alerts"]
    of = {name: [one for one in events if one["ward"] == ward] for name, ward in wards.items()}
    assert {one["disposition"] for one in of["recovered"]} <= {"board"}
    first = of["sick"][0]
    assert (first["state"], first["disposition"]) == ("raised", "board"), "late news waits a minute, then it is told"
    feeds = service.get("/feeds").json()["feeds"]
    assert sum(one["duplicates"] for one in feeds) >= 2 * (len(WELL) + len(SICK)), "the second import was known"


def _wait(service: ListeningProcess, until: Callable[[], bool]) -> None:
    while not until():
        assert service.process.poll() is None, service.errors.read_text()[-2000:]


def _journalled(tmp_path: Path) -> Counter[str]:
    """Count the observations of the journal, and its messages of other types."""
    found: Counter[str] = Counter()
    journal = SqliteJournal(tmp_path / "ward" / "data", read_only=True)
    try:
        for _, envelope in journal.read():
            measured = sum(type(event) is Observation for event in envelope.events)
            kind = envelope.message_id.partition("/")[0]
            found["Observation"] += measured
            found[kind] += kind in {"Patient", "Encounter"}
    finally:
        journal.close()
    return +found
