"""The MLLP servers that `mllp.py` compares, each a process of its own, and what the kernel says of each.

Owns how each is started and stopped, its CPU time and memory. Must not know what is sent to it.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("WARDSTREAM_CLIENTS", ROOT / ".clients"))
"""Where deploy/clients.sh put HAPI."""
LISTENING_S_MAX = 60.0
STOP_S_MAX = 120.0
"""Until a server that was told to stop is gone: ours folds what it has taken first."""
SETTLE_S_MAX = 300.0
"""Until we stop waiting for a server to finish what it does after its answers."""
IDLE_LOOK_S = 0.25
IDLE_SHARE_MAX = 0.1
"""A server that wants less of a core than this is done: our folding wants all of one, an idle JVM a hundredth."""
RUN, GATEWAY = "wardstream run", "wardstream gateway"
_NS_PER_S = 1e9
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One running server."""

    name: str
    process: subprocess.Popen[str]
    port: int
    errors: IO[bytes] = field(repr=False)

    def cpu_s(self) -> float:
        """Give the CPU time of the process and its descendants, in seconds; the kernel counts in hundredths."""
        return sum(_cpu_s(pid) for pid in _family(self.process.pid))

    def resident_mib_max(self) -> float:
        """Give the most memory the process has had resident (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def settle(self) -> float:
        """Wait until the server is idle; give the seconds that it was busy still."""
        busy_s = 0.0
        while busy_s < SETTLE_S_MAX:
            before_s, at = _wanted_s(self.process.pid), time.perf_counter()
            time.sleep(IDLE_LOOK_S)
            looked_s = time.perf_counter() - at
            if _wanted_s(self.process.pid) - before_s < IDLE_SHARE_MAX * looked_s:
                break
            busy_s += looked_s
        return busy_s

    def stop(self) -> int:
        """Ask the server to stop; give its exit code. What it wrote to stderr is shown if that is not 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def _family(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [one for child in children.read_text().split() for one in _family(int(child))]
        except (OSError, ProcessLookupError):
            continue
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _wanted_s(pid: int) -> float:
    """Give the time that the process ran and waited to run: on a loaded machine one that waits is not idle."""
    total_ns = 0
    for statistics in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            ran_ns, waited_ns, _slices = statistics.read_text().split()
        except OSError:
            continue  # The thread has ended.
        total_ns += int(ran_ns) + int(waited_ns)
    return total_ns / _NS_PER_S


def start_wardstream(folder: Path) -> Server:
    """Start our service on an empty data folder."""
    command = ("-m", "stream.cli", "run", "--data-dir", str(folder), "--mllp-port", "0", "--http-port", "0")
    return _start(RUN, folder.with_suffix(".log"), sys.executable, *command)


def start_gateway(config: Path) -> Server:
    """Start our gateway on the Kafka that `config` names."""
    command = ("-m", "stream.cli", "gateway", "--config", str(config), "--mllp-port", "0", "--http-port", "0")
    return _start(GATEWAY, config.with_name("gateway.log"), sys.executable, *command)


def start_python_hl7(folder: Path) -> Server:
    """Start python-hl7's server, which only acknowledges."""
    script = ROOT / "benchmarks" / "peers" / "python_hl7_server.py"
    return _start("python-hl7, ACK only", folder / "python_hl7.log", sys.executable, str(script))


def start_hapi(folder: Path) -> Server:
    """Start HAPI's server, which only acknowledges. Raises `FileNotFoundError` where Java or HAPI is absent."""
    libraries = CACHE / "hapi" / "libs"
    if not (shutil.which("java") and libraries.is_dir()):
        raise FileNotFoundError("HAPI IS ABSENT: run deploy/clients.sh; it was NOT compared with")
    script = ROOT / "benchmarks" / "peers" / "HapiServer.java"
    return _start("HAPI, ACK only", folder / "hapi.log", "java", "-cp", f"{libraries}/*", str(script))


def _start(name: str, log: Path, *command: str) -> Server:
    errors = log.open("wb")
    process = subprocess.Popen(  # noqa: S603 - the servers named above
        command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
    )
    where: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(process, where), daemon=True).start()
    address = where.get(timeout=LISTENING_S_MAX)
    if not address:
        raise RuntimeError(f"{name} ended at once: {log.read_text()[-2000:]}")
    return Server(name, process, int(address.rpartition(":")[2]), errors)


def _listen(process: subprocess.Popen[str], where: queue.Queue[str]) -> None:
    """Read all that a server prints, so that it never waits for a reader; pass on where it listens."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and (said := json.loads(line)).get("event") == "listening":
            where.put(said["mllp"])
    where.put("")
