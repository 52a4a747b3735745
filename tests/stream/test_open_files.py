"""Claims about `wardstream run` and the machine it finds: how many files may be open, and where it listens."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.http.limits import HttpLimits
from stream.cli.listening import FILES_RESERVED
from stream.service_settings import ServiceSettings

COMMAND = (sys.executable, "-m", "stream.cli", "run", "--mllp-port", "0", "--http-port", "0")
WITHIN_S = 60
FRAME = b"\x0bMSH|^~\\&|LAB|MAIN|||20260101120000||ACK|M7|P|2.5\r\x1c\r"
ROOM = 3
"""Connections of senders that the limit of these tests leaves room for."""


def limited(files: int) -> Callable[[], None]:
    """Give what sets the hard limit of open files in a process that is about to begin."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


@contextmanager
def running(folder: Path, *options: str, files: int | None = None) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run the service, under a limit if one is given; give where it listens and its log, and stop it in the end."""
    log = folder.with_suffix(".log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "--data-dir", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=None if files is None else limited(files),  # noqa: PLW1509 - it takes no lock
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        yield json.loads(line), log
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def refused(folder: Path, *options: str, files: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the service where it is to refuse; give what it said. It is ended where it serves."""
    return subprocess.run(
        [*COMMAND, "--data-dir", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=None if files is None else limited(files),
    )


def mllp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)


def test_few_files_mean_few_connections(tmp_path: Path) -> None:
    """Where few files may be open, so many senders less are let in, it is told, and more of them keep nobody out."""
    files = HttpLimits().connections_max + FILES_RESERVED + ROOM
    with running(tmp_path / "data", files=files) as (said, log):
        port = int(said["mllp"].rpartition(":")[2])
        crowd = [mllp(port) for _ in range(files)]
        with mllp(port) as sender:
            sender.sendall(FRAME)
            assert b"|M7" in sender.recv(1_000)
        live = httpx.get(f"http://{said['http']}/health/live", timeout=WITHIN_S, trust_env=False)
        assert live.status_code == 200
        for one in crowd:
            one.close()
    told = [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == "few_files"]
    assert [(line["open_files_max"], line["mllp_connections_max"]) for line in told] == [(files, ROOM)]


def test_far_too_few_files_are_refused(tmp_path: Path) -> None:
    """Where too few files may be open for a single sender, the service says so in words and does not begin."""
    files = HttpLimits().connections_max + FILES_RESERVED
    done = refused(tmp_path / "data", files=files)
    wanted = files + ServiceSettings().mllp_connections_max
    assert done.returncode == 2
    assert f"only {files} files may be open (ulimit -n); {wanted} are needed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["--mllp-host", "--http-host"])
def test_an_empty_host_is_refused(tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty host, which would be every address there is, is refused; a token does not change that."""
    monkeypatch.setenv("WARDSTREAM_HTTP_TOKEN", "x" * 32)
    done = refused(tmp_path / "data", option, "")
    assert done.returncode == 2
    assert "an empty host would be every address there is" in done.stderr
    assert not (tmp_path / "data").exists()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6_addresses_are_told_as_in_a_url(tmp_path: Path) -> None:
    """Where it listens on ::1, the address it tells stands in brackets, and is one to be used as it is."""
    with running(tmp_path / "data", "--mllp-host", "::1", "--http-host", "::1") as (said, _):
        assert all(said[name].startswith("[::1]:") for name in ("mllp", "http"))
        live = httpx.get(f"http://{said['http']}/health/live", timeout=WITHIN_S, trust_env=False)
        assert live.status_code == 200
