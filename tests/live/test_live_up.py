"""`wardstream live up` with all that is real: from an empty folder to a sick patient's alert on the gateway's API."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.kafka.reading import read_topic
from connectors.local.parts import find_broker_jars, find_java, find_redis
from connectors.local.ports import free_ports
from connectors.local.processes import await_that, mark_of, runs
from stream.settings import SiteFile, parse_site
from tests.bench import made
from tests.live.gateways import send
from tests.live.sick import sick_messages

READY_S = 180.0
"""For a broker, a Redis and four processes of ours on a machine that others use; some 20 s on an idle one."""
WITHIN_S = 60.0
DOWN_S = 150.0
NAMES = {"live", "kafka", "redis", "gateway", "worker-1", "worker-2", "learner"}


class Live:
    """The command in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        # Ports of our own: whoever else runs a bench at this moment takes those that everybody knows.
        names = ("kafka", "redis", "mllp", "http")
        (folder / "ports.json").write_text(json.dumps(dict(zip(names, free_ports(len(names)), strict=True))))
        self.output = folder.with_suffix(".output")
        with self.output.open("wb") as output:
            self.up = subprocess.Popen(self.words("up", "--workers", "2"), stdout=output, stderr=subprocess.STDOUT)

    def words(self, command: str, *options: str) -> list[str]:
        """Give a command line."""
        return [sys.executable, "-m", "stream.cli", "live", command, "--folder", str(self.folder), *options]

    def run(self, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(self.words(command), capture_output=True, text=True, timeout=timeout_s, check=False)

    def says(self, words: str) -> bool:
        """Whether `up` has said it."""
        return words in self.output.read_text(encoding="utf-8", errors="replace")

    def status(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """Ask how all are: the exit code, and a line a process."""
        done = self.run("status", WITHIN_S)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {line["process"]: line for line in lines}

    @property
    def site(self) -> SiteFile:
        """Give the configuration with which others find the bench."""
        return parse_site((self.folder / "wardstream.toml").read_text(encoding="utf-8"))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Bring everything up in an empty folder; whatever a test leaves is stopped."""
    made(lambda: (find_java(), find_broker_jars(), find_redis()))  # type: ignore[type-var] # only whether they are there
    bench = Live(tmp_path / "bench")
    try:
        assert await_that(lambda: bench.says("ready ") or bench.up.poll() is not None, READY_S)
        assert bench.says("ready "), bench.output.read_text()
        yield bench
    finally:
        if bench.up.poll() is None:
            bench.up.send_signal(signal.SIGTERM)
            bench.up.wait(DOWN_S)


class Stream:
    """Listens to the gateway's stream of alerts (SSE) beside the test."""

    def __init__(self, url: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.opened = threading.Event()
        self._url = url
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with httpx.stream("GET", self._url, trust_env=False, timeout=WITHIN_S) as answer:
            self.opened.set()
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    self.heard.append(json.loads(line.removeprefix("data:")))


def soon(claim: Callable[[], Any], what: str, within_s: float = WITHIN_S) -> Any:
    """Wait until a claim gives something, and give that."""
    deadline = time.monotonic() + within_s
    while not (found := claim()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        threading.Event().wait(0.25)
    return found


async def _values(site: SiteFile, topic: str) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") async for record in read_topic(site.kafka, topic)]


def test_a_sick_patient_crosses_the_whole_bench(live: Live) -> None:
    """Sent by MLLP, a patient is on the board, his alert on the API, the stream and alerts.v1; all are well, then down.

    `live down` ends what `up` started, and a bystander lives.
    """
    site = live.site
    url = f"http://127.0.0.1:{site.service.http_port}"
    stream = Stream(f"{url}/alerts/stream")
    assert stream.opened.wait(WITHIN_S)
    answers = asyncio.run(send(site.service.mllp_port, sick_messages()))
    assert [answer.code for answer in answers] == ["AA"] * len(answers)

    def open_alerts() -> list[dict[str, Any]]:
        alerts = httpx.get(f"{url}/alerts/open", trust_env=False, timeout=WITHIN_S).json()["alerts"]
        return [alert for alert in alerts if alert["ward"] == "Ward A"]

    [alert] = soon(open_alerts, f"an open alert\n{live.output.read_text()[-3000:]}")
    soon(lambda: [one for one in stream.heard if one.get("alert_id") == alert["alert_id"]], "the alert on the stream")
    told = asyncio.run(_values(site, "alerts.v1"))
    assert [one["alert_id"] for one in told if one["event_id"] == alert["event_id"]] == [alert["alert_id"]]

    def as_scored() -> bool:
        patients = httpx.get(f"{url}/patients", trust_env=False, timeout=WITHIN_S).json()["patients"]
        totals = [one["news2"]["total"] for one in patients if one["patient"] == alert["patient"]]
        scores = [one for one in asyncio.run(_values(site, "scores.v1")) if one["patient"] == alert["patient"]]
        return [max(one["news2"]["total"] for one in scores)] == totals and totals[0] >= 7

    soon(as_scored, "the patient on the board, as he was scored")  # an alert may be told before his state is stored

    code, lines = soon(lambda: (found := live.status())[0] == 0 and found, f"all well: {live.status()}")
    assert code == 0
    assert set(lines) == NAMES
    for name in NAMES - {"live", "kafka", "redis"}:
        assert lines[name]["well"], lines[name]

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        marks = [mark_of(line["pid"]) for line in lines.values()]
        done = live.run("down", DOWN_S)
        assert done.returncode == 0, done.stdout + done.stderr
        live.up.wait(WITHIN_S)
        assert not [mark for mark in marks if mark is not None and runs(mark)]
        assert bystander.poll() is None
    assert live.status()[0] == 1
