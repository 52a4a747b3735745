"""`wardstream run` as a process: what it prints, answers, refuses and logs, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hospital import Hospital, as_hl7
from connectors.mllp.client import Acknowledged, MllpClient, MllpClientError
from connectors.sqlite.journal import SqliteJournal
from events import Location, to_iso
from stream.cli.listening import notify
from stream.clock import wall_ms

COMMAND = (sys.executable, "-m", "stream.cli", "run", "--mllp-port", "0", "--http-port", "0")
WITHIN_S = 60
SURNAME, NUMBER, VISIT = "ZZYXQUAINT", "MRNQ4711X", "VISITQ0815"
"""What must stand nowhere but in the journal."""


class Service:
    """One running service."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.errors = folder.with_suffix(".log")
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "--data-dir", str(folder), *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(env or {})},
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        said = json.loads(line)
        assert said["event"] == "listening"
        self.mllp = int(said["mllp"].rpartition(":")[2])
        self.url = f"http://{said['http']}"

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Ask over HTTP."""
        return httpx.get(self.url + path, timeout=WITHIN_S, trust_env=False, **how)

    def post(self, path: str, **how: Any) -> httpx.Response:
        """Send over HTTP."""
        return httpx.post(self.url + path, timeout=WITHIN_S, trust_env=False, **how)

    def send(self, *messages: bytes) -> list[Acknowledged]:
        """Send over MLLP; give what was answered."""

        async def send() -> list[Acknowledged]:
            client = MllpClient("127.0.0.1", self.mllp, window=16)
            await client.open()
            answers = [answer async for answer in client.send_all(messages)]
            await client.close()
            return answers

        return asyncio.run(send())

    def folded(self) -> None:
        """Wait until all that is stored is folded."""
        while self.get("/patients").json()["behind_records"]:
            pass

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN_S)

    def logs(self) -> list[dict[str, Any]]:
        """Give what it logged: every line is a JSON object."""
        return [json.loads(line) for line in self.errors.read_text().splitlines()]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Give a service on a new folder."""
    running = Service(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def chart(*, pulse: float, control_id: str, mrn: str = NUMBER) -> bytes:
    """Render most of a set of vital signs, taken a minute ago."""
    values = [("9279-1", 30.0, "/min"), ("59408-5", 89.0, "%"), ("8867-4", pulse, "/min"), ("8480-6", 85.0, "mm[Hg]")]
    return render_oru(
        control_id=control_id, sent_time=wall_ms(), feed="MON|W", patient=Identifier("MRN", mrn), encounter=VISIT,
        location=Location("Ward A", "1", "12"), observed_time=wall_ms() - 60_000, order=f"O{control_id}",
        name=f"{SURNAME}^ANNA", results=[Result(code, value=value, unit=unit) for code, value, unit in values],
    )  # fmt: skip


def admit() -> bytes:
    """Render the patient's admission."""
    return render_adt(
        "A01", control_id="A1", sent_time=wall_ms(), feed="PAS|M", patient=Identifier("MRN", NUMBER),
        event_time=wall_ms() - 120_000, encounter=VISIT, location=Location("Ward A", "1", "12"), name=f"{SURNAME}^ANNA",
        birth_date="1950-01-01", sex="female",
    )  # fmt: skip


def test_a_message_becomes_an_alert_that_can_be_read(service: Service) -> None:
    """A sick patient's chart is acknowledged; board, alerts, feeds and readiness show it, with each input's age."""
    assert [answer.code for answer in service.send(admit(), chart(pulse=135, control_id="C1"))] == ["AA", "AA"]
    service.folded()
    [patient] = service.get("/patients").json()["patients"]
    assert (patient["ward"], patient["bed"]) == ("Ward A", "12")
    assert patient["news2"]["total"] == patient["scored_total"] >= 12
    assert patient["news2"]["missing"] == ["oxygen", "consciousness", "temperature"]
    assert {one["feature"] for one in patient["inputs"]} == {"respiration_rate", "spo2", "heart_rate", "systolic_bp"}
    assert all(60 <= one["age_s"] < 60 + WITHIN_S and not one["stale"] for one in patient["inputs"])
    assert patient["alert"]["state"] == "raised"
    alerts = service.get("/alerts?after=0").json()
    told = [alert for alert in alerts["alerts"] if alert["disposition"] == "told"]
    assert [alert["trigger"] for alert in told] == ["news2_floor"]
    assert service.get("/alerts/open").json()["alerts"][0] == patient["alert"] == told[0]
    detail = service.get(f"/patients/{patient['patient']}").json()
    assert detail["open_alerts"][0] == patient["alert"]
    feeds = {feed["feed"]: feed for feed in service.get("/feeds").json()["feeds"]}
    assert feeds["MON|W"]["accepted"] == 1
    assert service.get("/health/ready").json()["status"] == "ok"


def test_an_alert_reaches_a_listener_while_it_is_raised(service: Service) -> None:
    """A stream that is open hears the alert as an event with its number; resumed after it, it hears the next only."""

    async def story() -> tuple[list[str], list[str]]:
        async with (
            httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client,
            client.stream("GET", service.url + "/alerts/stream") as stream,
        ):
            lines = stream.aiter_lines()
            await anext(lines)
            await asyncio.to_thread(service.send, admit(), chart(pulse=135, control_id="C1"))
            heard = await read_event(lines)
        await asyncio.to_thread(service.send, chart(pulse=135, control_id="C2", mrn="2"))
        headers = {"Last-Event-ID": next(line for line in heard if line.startswith("id:")).removeprefix("id:").strip()}
        async with (
            httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client,
            client.stream("GET", service.url + "/alerts/stream", headers=headers) as stream,
        ):
            return heard, await read_event(stream.aiter_lines())

    async def read_event(lines: Any) -> list[str]:
        event: list[str] = []
        async for line in lines:
            if line:
                event.append(line)
            elif {"event: raised", "event: updated"} & set(event):
                return event
            else:
                event = []
        return event

    first, second = asyncio.run(asyncio.wait_for(story(), WITHIN_S))
    documents = [
        json.loads(next(line for line in event if line.startswith("data:")).removeprefix("data:"))
        for event in (first, second)
    ]
    assert [document["state"] for document in documents] == ["raised", "raised"]
    assert documents[0]["patient"] != documents[1]["patient"]


def test_who_lost_the_last_alert_finds_it_out_by_the_next_heartbeat(service: Service) -> None:
    """The stream's heartbeat names the newest number: one beyond what was heard says that something is missing, and
    what. With nothing newer there is nothing more.
    """
    service.send(admit(), chart(pulse=135, control_id="C1"), chart(pulse=135, control_id="C2", mrn="2"))
    service.folded()
    told = service.get("/alerts?after=0").json()["alerts"]
    assert len(told) > 1
    heard = [event["id"] for event in _stream(service, after=0, count=len(told))][-2]

    newest = json.loads(_stream(service, None, 1, "heartbeat")[0]["data"])["newest"]
    assert newest > int(heard), "the last one was lost"
    caught_up = _stream(service, after=int(heard), count=1)
    assert (int(caught_up[0]["id"]), json.loads(caught_up[0]["data"])) == (newest, told[-1])
    assert service.get(f"/alerts?after={newest}").json()["alerts"] == []


def _stream(service: Service, after: int | None, count: int, kind: str = "") -> list[dict[str, str]]:
    """Give events of a new stream: of a kind, or else those that have a number."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    path = "/alerts/stream" if after is None else f"/alerts/stream?after={after}"
    with httpx.stream("GET", service.url + path, timeout=WITHIN_S, trust_env=False) as stream:
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
                continue
            found += [event] if (event.get("event") == kind if kind else "id" in event) else []
            event = {}
            if len(found) == count:
                return found
    pytest.fail("the stream ended")


def test_what_was_shown_is_shown_after_a_restart(service: Service, tmp_path: Path) -> None:
    """Stopped and started again, the board has the same patients, scores and alerts, and tells nothing anew."""
    service.send(admit(), chart(pulse=135, control_id="C1"))
    service.folded()
    before = service.get("/patients").json()["patients"]
    alerts = service.get("/alerts?after=0").json()
    assert service.stop() == 0
    again = Service(tmp_path / "data")
    after = again.get("/patients").json()["patients"]
    for field in ("patient", "ward", "bed", "scored_total", "scored_at", "probability", "alert"):
        assert [one[field] for one in after] == [one[field] for one in before]
    assert again.get("/alerts?after=0").json() == alerts
    assert again.stop() == 0


def test_stopped_in_order_it_answers_what_it_read(service: Service, tmp_path: Path) -> None:
    """SIGTERM under load: the process ends with 0, and every message that was answered is in the log."""
    stories = [story for story in Hospital(seed=2, beds=200, hours=48) if story.kind != "outcome"]

    async def story() -> list[str]:
        client = MllpClient("127.0.0.1", service.mllp, window=64)
        await client.open()
        answered: list[str] = []
        with suppress(MllpClientError):  # The connection ends when the service does.
            async for answer in client.send_all(filter(None, map(as_hl7, stories))):
                assert answer.stored
                answered.append(stories[len(answered)].control_id)
                if len(answered) == 300:
                    service.process.terminate()
        await client.close()
        return answered

    answered = asyncio.run(asyncio.wait_for(story(), WITHIN_S))
    assert service.process.wait(WITHIN_S) == 0
    assert len(answered) >= 300
    events = [line["event"] for line in service.logs()]
    assert "stopping" in events
    assert events[-1] == "stopped"
    journal = SqliteJournal(tmp_path / "data", read_only=True)
    stored = {envelope.message_id for _offset, envelope in journal.read()}
    journal.close()
    assert set(answered) <= stored


def test_neither_logs_nor_metrics_name_anybody(service: Service) -> None:
    """After good, refused and broken input, no name, number, visit or value stands in a log line, a metric or an error.

    The board and the alerts know the patient by a pseudonym.
    """
    service.send(admit(), chart(pulse=135, control_id="C1"))
    wrong = chart(pulse=1, control_id="C9").replace(b"|NM|", b"|ZZ|").replace(b"ORU^R01", b"ORU^R99")
    assert service.send(wrong)[0].code in ("AE", "AR")
    bad = json.dumps({"resourceType": "Patient", "id": NUMBER, "birthDate": SURNAME, "name": [{"family": SURNAME}]})
    answer = service.post("/fhir", content=bad, headers={"content-type": "application/fhir+json"})
    assert answer.status_code == 422
    with socket.create_connection(("127.0.0.1", service.mllp)) as stranger:
        stranger.sendall(f"GET /{SURNAME}/{NUMBER} HTTP/1.1\r\n\r\n".encode() * 10)
        while stranger.recv(4096):
            pass
    service.folded()
    shown = [service.get(path).text for path in ("/patients", "/alerts", "/feeds", "/health/ready")]
    metrics = service.get("/metrics").text
    assert service.stop() == 0
    for text in (*shown, metrics, answer.text, service.errors.read_text()):
        assert not re.search(f"{SURNAME}|{NUMBER}|{VISIT}|ANNA", text)
    assert "wardstream_dead_letters_total" in metrics


def test_metrics_are_openmetrics_and_count(service: Service) -> None:
    """The exposition parses as OpenMetrics, and its counters are those of what was sent."""
    twice = chart(pulse=135, control_id="C1")  # Made once: of two, a second may pass between, and they differ.
    service.send(admit(), twice, twice)
    service.folded()
    while sum((messages := counted(service)).values()) < 3:
        pass  # They are counted just after their senders are answered.
    assert messages == {("hl7v2", "accepted"): 2.0, ("hl7v2", "duplicate"): 1.0}
    families = exposed(service)
    assert families["wardstream_behind_records"].samples[0].value == 0
    assert families["wardstream_disk_free_bytes"].samples[0].value > 0


def exposed(service: Service) -> dict[str, Any]:
    """Read the exposition, as OpenMetrics."""
    answer = service.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def counted(service: Service) -> dict[tuple[str, str], float]:
    """Give the counts of messages by format and outcome."""
    return {
        (sample.labels["format"], sample.labels["outcome"]): sample.value
        for sample in exposed(service)["wardstream_messages"].samples
        if sample.name.endswith("_total")
    }


def test_a_port_that_is_taken_is_said(tmp_path: Path, service: Service) -> None:
    """A port in use ends the command with 1 and a line that names the address; nothing is left locked."""
    done = run("--data-dir", str(tmp_path / "other"), "--mllp-port", str(service.mllp), "--http-port", "0")
    assert done.returncode == 1
    assert f"{service.mllp}" in done.stderr
    assert "in use" in done.stderr


def test_a_folder_in_use_is_said(tmp_path: Path, service: Service) -> None:
    """A second process on one folder is refused with 1, and the first goes on."""
    done = run("--data-dir", str(tmp_path / "data"), "--mllp-port", "0", "--http-port", "0")
    assert done.returncode == 1
    assert "open in another process" in done.stderr
    assert service.get("/health/live").status_code == 200


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        ((), {}, "name the data folder"),
        (("--data-dir", "d", "--http-host", "0.0.0.0"), {}, "beyond this machine"),  # noqa: S104 - it is refused
        (("--data-dir", "d"), {"WARDSTREAM_HTTP_TOKEN": "short"}, "shorter than 16"),
        (("--data-dir", "d", "--config", "none.toml"), {}, "none.toml"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_made(
    tmp_path: Path, options: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    """Each ends with 2 and says what to do; no data folder is made."""
    done = run(*options, env=env, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "d").exists()


def test_a_mistake_in_the_configuration_is_named(tmp_path: Path) -> None:
    """The command ends with 2 and the line, the key and what is expected."""
    (tmp_path / "w.toml").write_text("[service]\nmllp_prot = 1\n")
    done = run("--config", "w.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "w.toml, line 2: service.mllp_prot: unknown key; did you mean mllp_port?" in done.stderr


def test_with_a_token_nobody_else_reads_or_posts(tmp_path: Path) -> None:
    """Without the bearer token everything but health is 401; with it, it is served."""
    token = "a-token-of-some-length"  # noqa: S105 - a test's
    service = Service(tmp_path / "data", env={"WARDSTREAM_HTTP_TOKEN": token})
    assert service.get("/patients").status_code == 401
    assert service.get("/metrics").status_code == 401
    assert service.post("/fhir", json={}).status_code == 401
    assert service.get("/health/live").status_code == 200
    allowed = service.get("/patients", headers={"Authorization": f"Bearer {token}"})
    assert allowed.status_code == 200
    assert service.stop() == 0


def test_a_disk_with_too_little_room_is_not_written_to(tmp_path: Path) -> None:
    """Below the configured room messages are refused with AR 207, and readiness says why; it still lives and shows."""
    config = tmp_path / "w.toml"
    config.write_text("[service]\ndisk_free_mib_min = 100000000\n")
    service = Service(tmp_path / "data", "--config", str(config))
    [answer] = service.send(admit())
    assert (answer.code, answer.error_code) == ("AR", "207")
    ready = service.get("/health/ready")
    assert ready.status_code == 503
    assert "MiB of disk are free" in ready.json()["problems"][0]
    posted = service.post("/hl7", content=admit(), headers={"content-type": "application/hl7-v2"})
    assert posted.status_code == 507
    assert service.get("/health/live").status_code == 200
    assert service.stop() == 0


def test_received_times_are_the_services_own(service: Service, tmp_path: Path) -> None:
    """A message dated a year ahead is refused or stamped with our time: it never moves the log's clock."""
    ahead = admit().replace(to_iso(wall_ms())[:4].encode(), b"2099")
    service.send(ahead, chart(pulse=135, control_id="C1"))
    service.folded()
    assert service.get("/patients").json()["clock"] <= to_iso(wall_ms())


def test_what_could_not_be_used_is_listed_and_tried_again(service: Service, tmp_path: Path) -> None:
    """A message of a version that is not read is a dead letter; once it is configured, redriving it is accepted."""
    data = tmp_path / "data"
    assert service.send(chart(pulse=135, control_id="C1").replace(b"|2.5.1|", b"|2.10|"))[0].code == "AR"
    listed = cli("deadletters", "list", "--data-dir", str(data))
    assert "unsupported_version" in listed.stdout
    assert "1 dead letters: 1 unsupported_version" in listed.stdout
    assert not re.search(f"{SURNAME}|{NUMBER}", listed.stdout + listed.stderr)
    assert SURNAME in cli("deadletters", "show", "1", "--data-dir", str(data)).stdout
    refused = cli("deadletters", "redrive", "1", "--data-dir", str(data), "--to", service.url)
    assert (refused.returncode, refused.stdout) == (3, "1 refused again\n")
    listed = cli("deadletters", "list", "--data-dir", str(data))
    assert listed.stdout.endswith("1 dead letters: 1 unsupported_version\n")
    assert service.stop() == 0
    config = tmp_path / "w.toml"
    config.write_text('[hl7]\naccepted_versions = ["2.5.1", "2.10"]\n')
    again = Service(data, "--config", str(config))
    for outcome in ("1 taken\n", "1 taken before\n"):
        taken = cli("deadletters", "redrive", "1", "--data-dir", str(data), "--to", again.url, "--config", str(config))
        assert (taken.returncode, taken.stdout) == (0, outcome)
    again.folded()
    assert again.get("/patients").json()["patients"][0]["news2"]["respiration_rate"] == 3
    assert again.stop() == 0
    lost = cli("deadletters", "redrive", "--data-dir", str(data), "--to", again.url)  # read by the defaults: not known
    assert lost.returncode == 1
    assert "does not answer" in lost.stderr


def test_systemd_hears_that_it_is_ready_and_stops(tmp_path: Path) -> None:
    """READY=1, WATCHDOG=1 while it lives and STOPPING=1 arrive at the socket that NOTIFY_SOCKET names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(WITHIN_S)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        service = Service(tmp_path / "data", env=env)
        assert [receiver.recv(64), receiver.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
        assert service.stop() == 0
        heard = [receiver.recv(64)]
        while heard[-1] == b"WATCHDOG=1":
            heard.append(receiver.recv(64))
        assert heard[-1] == b"STOPPING=1"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no socket is named, a notice goes nowhere and fails nowhere."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is None


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run another command of ours."""
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", *arguments], capture_output=True, text=True, timeout=WITHIN_S, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def run(*options: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", "run", *options],
        capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=cwd, env={**os.environ, **(env or {})},
    )  # fmt: skip
