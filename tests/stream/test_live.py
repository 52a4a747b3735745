"""`wardstream live`: a real broker and Redis with processes of ours; all stop, and nothing else does.

The gateway, the workers and the learner are played here by a program that only listens where it is told to: the claims
are about starting, finding, restarting and stopping processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.local.parts import MissingPartError, find_broker_jars, find_java, find_redis
from connectors.local.processes import Mark, await_that, mark_of, runs
from stream.cli.live_bench import Bench, Ports
from stream.settings import parse_site

PLAYED = """
import http.server, json, signal, socket, sys, tomllib
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if sys.argv[1] == "topics":
    sys.exit(0)
site = tomllib.load(open(sys.argv[sys.argv.index("--config") + 1], "rb"))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"problems": []}')
    def log_message(self, *words):
        pass
socket_of_senders = socket.create_server(("127.0.0.1", site["service"]["mllp_port"] if sys.argv[1] == "gateway" else 0))
print(sys.argv[1], "listens", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", site["live"]["health_port"]), Health).serve_forever()
"""
LIVE = """
import functools, sys
from stream.cli import live, main
live.Bench = functools.partial(live.Bench, wardstream=(sys.executable, {played!r}))
main()
"""
WITHIN_S = 150.0
"""For a broker, a Redis and four processes on a machine that other tests use."""
PROCESSES = ["gateway", "kafka", "learner", "live", "redis", "worker-1", "worker-2"]


@pytest.fixture(autouse=True)
def _parts() -> None:
    """Skip loudly where a program is not installed; fail in CI."""
    try:
        find_java(), find_broker_jars(), find_redis()
    except MissingPartError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"this claim was NOT tested: {error}")


class Live:
    """The command in a folder, in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "played.py").write_text(PLAYED, encoding="utf-8")
        (folder / "live.py").write_text(LIVE.format(played=str(folder / "played.py")), encoding="utf-8")
        self.words = [sys.executable, str(folder / "live.py"), "live"]
        self.output = folder / "output"
        self.up: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it says that it is ready."""
        with self.output.open("wb") as output:
            words = [*self.words, "up", "--workers", "2"]
            self.up = subprocess.Popen(words, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)
        up = self.up
        assert await_that(lambda: self.says("ready ") or up.poll() is not None, WITHIN_S)
        assert self.says("ready "), self.output.read_text()
        return up

    def says(self, text: str) -> bool:
        """Tell whether `up` has said something."""
        return text in self.output.read_text()

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same folder."""
        return subprocess.run([*self.words, command], cwd=self.folder, capture_output=True, text=True, check=False)

    def marks(self) -> dict[str, Mark]:
        """Give the process of each name that `status` says runs."""
        lines = [json.loads(line) for line in self.run("status").stdout.splitlines()]
        found = {line["process"]: mark_of(line["pid"]) for line in lines if line["running"]}
        return {name: mark for name, mark in found.items() if mark is not None}


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Give the command; whatever it left is stopped."""
    one = Live(tmp_path)
    try:
        yield one
    finally:
        one.run("down")
        if one.up is not None:
            one.up.kill()
            one.up.wait()


def gone(marks: dict[str, Mark]) -> bool:
    """Tell whether none of them runs."""
    return not any(runs(mark) for mark in marks.values())


def test_up_restarts_what_dies_and_ctrl_c_stops_all(live: Live) -> None:
    """Everything runs, logs are shown, a frozen worker is told as ill, a killed one is started again, a second `up` is
    refused, and Ctrl-C ends every process.
    """
    up = live.start()
    marks = live.marks()
    assert sorted(marks) == PROCESSES
    assert live.run("status").returncode == 0
    assert await_that(lambda: live.says("worker-2   worker listens"), WITHIN_S)
    os.kill(marks["worker-2"].pid, signal.SIGSTOP)
    ill = live.run("status")
    assert ill.returncode == 1
    assert [line["process"] for line in map(json.loads, ill.stdout.splitlines()) if not line.get("well", True)] == [
        "worker-2"
    ]
    os.kill(marks["worker-2"].pid, signal.SIGCONT)
    os.kill(marks["worker-1"].pid, signal.SIGKILL)
    assert await_that(lambda: live.says("worker-1   died; it is started again (1)"), WITHIN_S)
    assert await_that(lambda: live.marks().get("worker-1") not in {None, marks["worker-1"]}, WITHIN_S)
    second = live.run("up")
    assert second.returncode == 1
    assert "runs already" in second.stderr
    again = live.marks()
    up.send_signal(signal.SIGINT)
    assert up.wait(WITHIN_S) == 0
    assert gone(again)
    assert live.run("status").returncode == 1


def test_down_finds_what_a_killed_up_has_left(live: Live) -> None:
    """After kill -9 of `up` the others still run; `down` stops exactly those, and a bystander lives on."""
    up = live.start()
    marks = live.marks()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as bystander:
        try:
            (live.folder / "live" / "stale.pid").write_text(json.dumps({"pid": bystander.pid, "started": "0"}))
            up.kill()
            up.wait()
            del marks["live"]
            assert all(runs(mark) for mark in marks.values())
            down = live.run("down")
            assert down.returncode == 0, down.stderr
            assert gone(marks)
            assert mark_of(bystander.pid) is not None
        finally:
            bystander.kill()
    assert "nothing runs" in live.run("down").stdout


def test_down_ends_a_running_up(live: Live) -> None:
    """`down` from another terminal ends `up` itself, which stops the rest in order."""
    up = live.start()
    marks = live.marks()
    assert live.run("down").returncode == 0
    assert up.wait(WITHIN_S) == 0
    assert gone(marks)
    assert live.says("learner    stopped")


def test_what_does_not_start_is_told_and_nothing_stays(live: Live) -> None:
    """Where a process of ours does not come up, its last words are told and all that was started is stopped."""
    (live.folder / "played.py").write_text("raise SystemExit('no such topic')", encoding="utf-8")
    up = live.run("up")
    assert up.returncode == 1
    assert "no such topic" in up.stderr
    assert not live.marks()


def test_a_site_keeps_its_decisions_and_gets_the_benchs_addresses(tmp_path: Path) -> None:
    """A configuration of a site decides as it says; where the broker and Redis are is the bench's."""
    base = """
    news2_scale_2 = ["p1"]
    [kafka]
    bootstrap = "kafka.hospital.example:9093"
    security = "ssl"
    [service]
    behind_s_max = 30.0
    mllp_port = 6661
    [codes."Welch Allyn"]
    "tt-0005-03" = "fio2"
    """
    bench = Bench(tmp_path, 1, base=base)
    site = parse_site(bench.site.read_text(encoding="utf-8"))
    assert site.settings == parse_site(base).settings
    assert site.kafka.security == "plaintext"
    assert site.kafka.bootstrap.startswith("127.0.0.1:")
    assert site.service.behind_s_max == 30.0
    assert site.service.mllp_port != 6661
    worker = parse_site((tmp_path / "processes" / "worker-1.toml").read_text(encoding="utf-8"))
    assert worker.live.name == "worker-1"
    assert worker.live.health_port


def test_addresses_outlive_a_restart(tmp_path: Path) -> None:
    """The ports of a folder are chosen once; a name that comes later gets one of its own."""
    first = Ports(tmp_path / "ports.json")
    chosen = [first.of(name) for name in ("kafka", "redis", "worker-1")]
    first.keep()
    second = Ports(tmp_path / "ports.json")
    assert [second.of(name) for name in ("kafka", "redis", "worker-1")] == chosen
    assert second.of("worker-2") not in chosen
