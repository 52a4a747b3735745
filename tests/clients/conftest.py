"""Clients that nobody here wrote, what they send, and a server to send it to, each a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connectors.hl7v2.framing import frame, split

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("WARDSTREAM_CLIENTS", ROOT / ".clients"))
"""Where deploy/clients.sh put the clients of others."""
LISTENING_S_MAX = 60
"""Until a server says where it listens: a loaded machine takes seconds to start one."""
CLIENT_S_MAX = 300
"""For the whole stream; the slowest client needs ten seconds on a quiet machine."""
STOP_S_MAX = 60
"""Until a server that was told to stop is gone."""


class Client(NamedTuple):
    """A program that sends a file: its command but for host, port and file, and what must be there for it."""

    command: tuple[str | Path, ...]
    needs: tuple[str | Path, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def _node(script: str, package: str) -> Client:
    modules = CACHE / "node" / "node_modules"
    return Client(("node", HERE / "node" / script), ("node", modules / package), (("NODE_PATH", str(modules)),))


CLIENTS = {
    "python_hl7": Client((sys.executable, HERE / "python" / "mllp_client.py")),
    "mllp_send": Client((sys.executable, HERE / "python" / "mllp_send.py")),
    "hapi": Client(
        ("java", "-cp", CACHE / "hapi" / "libs" / "*", HERE / "hapi" / "Send.java"),
        ("java", CACHE / "hapi" / "libs"),
    ),
    "medplum": _node("medplum.cjs", "@medplum/hl7"),
    "node_hl7_client": _node("node_hl7_client.cjs", "node-hl7-client"),
}


class Stream(NamedTuple):
    """The shared stream as MLLP frames in a file, and the MSH-10 of each of its messages."""

    path: Path
    control_ids: tuple[str, ...]


class Server(NamedTuple):
    """A server that runs as a process of its own."""

    process: subprocess.Popen[str]
    port: int
    folder: Path

    def stop(self) -> int:
        """Ask it to stop; give its exit code. Its errors are in `errors.log` of its folder."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)


def absent(what: str) -> None:
    """Skip the test loudly; fail it in CI."""
    message = f"{what} IS ABSENT: run deploy/clients.sh; what this client sees was NOT tested"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(params=sorted(CLIENTS))
def client(request: pytest.FixtureRequest) -> Callable[[int, Path], dict[str, Any]]:
    """Give each client as a function of port and file that gives the tally it printed last."""
    chosen = CLIENTS[request.param]
    for need in chosen.needs:
        if not (Path(need).exists() if isinstance(need, Path) else shutil.which(need)):
            absent(f"THE CLIENT {request.param}" if isinstance(need, Path) else need)

    def send(port: int, path: Path) -> dict[str, Any]:
        done = subprocess.run(
            [*chosen.command, "127.0.0.1", str(port), path],
            capture_output=True,
            check=False,
            text=True,
            timeout=CLIENT_S_MAX,
            env={**os.environ, **dict(chosen.environment)},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        tally: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return tally

    return send


@pytest.fixture
def clients_of_others() -> Callable[[str], Client]:
    """Give a client by name; without it the test is skipped, loudly."""

    def find(name: str) -> Client:
        for need in CLIENTS[name].needs:
            if not (Path(need).exists() if isinstance(need, Path) else shutil.which(need)):
                absent(f"THE CLIENT {name}")
        return CLIENTS[name]

    return find


@pytest.fixture(scope="session")
def stream(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """Cut the simulated hospital's stream into MLLP frames, in the system's folder for temporary files."""
    packed = shared_data / "hl7v2" / "simhospital" / "default_pathways.hl7.gz"
    messages = [piece.data for piece in split(gzip.decompress(packed.read_bytes()))]
    path = tmp_path_factory.mktemp("stream") / "stream.hl7"
    path.write_bytes(b"".join(frame(message) for message in messages))
    return Stream(path, tuple(message.split(b"|", 10)[9].decode() for message in messages))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Give a starter of servers that print where they listen; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*command: str | Path) -> Server:
        with (tmp_path / "errors.log").open("w") as errors:
            process = subprocess.Popen(
                [*command], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, start_new_session=True
            )
        started.append(process)
        where: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_listen, args=(process, where), daemon=True).start()
        address = where.get(timeout=LISTENING_S_MAX)
        assert address, f"it ended: {(tmp_path / 'errors.log').read_text()[-2000:]}"
        return Server(process, int(address.rpartition(":")[2]), tmp_path)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def _listen(process: subprocess.Popen[str], where: queue.Queue[str | None]) -> None:
    """Read all that a server prints, so that it never waits for a reader; pass on where it listens."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and (said := json.loads(line)).get("event") == "listening":
            where.put(said["mllp"])
    where.put(None)
