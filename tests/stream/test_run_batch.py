"""The service and its watched folder: what a kill -9 within a file leaves is taken in once, and the file is moved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from connectors.local.processes import await_that
from connectors.sqlite.journal import SqliteJournal
from tests.listening import WITHIN_S
from tests.stream.test_run_mllp import Running, chart, start

__all__ = ["start"]

MESSAGES = 3_000
KILLS = 3


def batch(count: int, first: int = 0) -> bytes:
    """Give a file of messages."""
    body = b"".join(chart(number) for number in range(first, first + count))
    return b"FHS|^~\\&|LAB|W\rBHS|^~\\&|LAB|W\r" + body + b"BTS|%d\rFTS|1\r" % count


def table(folder: Path) -> str:
    """Write the `[batch]` table."""
    return f"[batch]\nfolder = {json.dumps(str(folder))}\nlook_s = 0.05\nsettle_s = 0.1\n"


def test_nothing_of_a_file_is_lost_or_doubled_by_kills(start: Callable[[str], Running], tmp_path: Path) -> None:
    """Killed several times within a file, the service has each message once, and says so; then it goes on."""
    inbox, data = tmp_path / "in", tmp_path / "ward" / "data"
    inbox.mkdir()
    (inbox / ".day.hl7.part").write_bytes(batch(MESSAGES))
    (inbox / ".day.hl7.part").rename(inbox / "day.hl7")
    for kill in range(1, KILLS + 1):
        service = start(table(inbox))
        while _stored(service) < 300 and not (inbox / "done" / "day.hl7").exists():
            pass
        service.kill()
        assert kill == KILLS or not (inbox / "done" / "day.hl7").exists(), "the file was too short to be killed within"
    service = start(table(inbox))
    while not (inbox / "done" / "day.hl7").exists():
        assert service.process.poll() is None
    (inbox / "next.hl7").write_bytes(batch(1, first=MESSAGES))
    while not (inbox / "done" / "next.hl7").exists():
        assert service.process.poll() is None
    counted = 'wardstream_batch_files_total{where="done"} 2.0'
    assert await_that(lambda: counted in service.get("/metrics").text, WITHIN_S)  # a file is counted once it is moved
    assert service.stop() == 0
    journal = SqliteJournal(data, read_only=True)
    stored = Counter(envelope.message_id for _, envelope in journal.read() if envelope.patient)
    journal.close()
    assert stored == {str(number): 1 for number in range(MESSAGES + 1)}
    lines = [json.loads(line) for line in (inbox / "done" / "day.hl7.results.ndjson").read_text().splitlines()]
    assert [line["message_id"] for line in lines[:-1]] == [str(number) for number in range(MESSAGES)]
    assert sum(lines[-1]["summary"]["outcomes"].values()) == MESSAGES
    told = [line for line in service.logs() if line["event"] == "batch_file"]
    assert [line["where"] for line in told] == ["done", "done"]
    assert "day.hl7" not in service.errors.read_text(), "a file's name may name a patient"


def test_doctor_looks_at_the_folder(tmp_path: Path) -> None:
    """Doctor names a folder that is not there, and one in which files have failed."""
    config = tmp_path / "wardstream.toml"
    config.write_text(table(tmp_path / "in"))
    assert "WRONG watched folder" in _doctor(config)
    (tmp_path / "in" / "failed").mkdir(parents=True)
    assert "ok    watched folder" in _doctor(config)
    (tmp_path / "in" / "failed" / "a.hl7.results.ndjson").write_bytes(b"")
    assert "1 files in failed" in _doctor(config)


def _doctor(config: Path) -> str:
    command = [sys.executable, "-m", "stream.cli", "doctor", "--config", str(config)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "300"}
    ).stdout


def _stored(service: Running) -> int:
    return sum(feed["messages"] for feed in service.get("/feeds").json()["feeds"])
