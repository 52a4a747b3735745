"""What a service outlives beside its work: logs that nobody takes, and a disk that cannot be looked at."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from connectors.mllp.client import Acknowledged, MllpClient
from stream import run as run_module
from stream.logs import set_up_logs
from stream.run import RunningService
from stream.service_settings import ServiceSettings

COMMAND = (sys.executable, "-m", "stream.cli", "run", "--mllp-port", "0", "--http-port", "0")
WITHIN_S = 30


async def send(port: int, *messages: bytes) -> list[Acknowledged]:
    """Send over a connection of its own; give what was answered."""
    client = MllpClient("127.0.0.1", port, window=1)
    await client.open()
    answers = [answer async for answer in client.send_all(messages)]
    await client.close()
    return answers


def test_a_service_whose_logs_nobody_reads_goes_on(ward: Any, tmp_path: Path) -> None:
    """With its standard error a broken pipe, messages are acknowledged, questions answered, and it ends in order."""
    ward.admit("1")
    ward.chart("1", 10, ward.SICK)
    reader, writer = os.pipe()
    command = [*COMMAND, "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writer, text=True) as process:
        try:
            os.close(writer)
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            os.close(reader)
            port = int(said["mllp"].rpartition(":")[2])
            for message in ward.sent:
                assert [answer.code for answer in asyncio.run(send(port, message))] == ["AA"]
            asked = httpx.get(f"http://{said['http']}/alerts?after=x", timeout=WITHIN_S, trust_env=False)
            assert asked.status_code == 400
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN_S) == 0
        finally:
            process.kill()


def test_the_disk_is_watched_on_after_a_fault(ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one look at the disk that failed, the next one finds it full and closes the service."""
    monkeypatch.setattr(run_module, "WATCH_S", 0.001)

    async def story() -> None:
        running = RunningService(
            ward.service.journal.path.parent,
            ward.service,
            ServiceSettings(mllp_port=0, http_port=0),
            version="test",
            log=set_up_logs("critical", (tmp_path / "log").open("w")),
        )
        looks: list[object] = []
        seen = asyncio.Event()

        def look(folder: object) -> Any:
            looks.append(folder)
            if len(looks) == 1:
                raise OSError(5, "Input/output error")
            if len(looks) > 2:  # The second one has been judged.
                seen.set()
            return SimpleNamespace(free=0)

        await running.start()
        try:
            assert running.engine.closed_for is None
            monkeypatch.setattr(shutil, "disk_usage", look)
            waiting = asyncio.create_task(seen.wait())
            assert running._watch is not None
            await asyncio.wait({running._watch, waiting}, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            assert seen.is_set(), "nobody looks any more"
            assert running.engine.closed_for == "disk_full"
        finally:
            await running.stop()

    asyncio.run(story())
