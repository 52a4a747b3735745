"""The first milestone: one A01 and one ORU become events, features, NEWS2 and an alert; kill -9; the same digest."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Location
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings

START = 1_767_225_600_000
PATIENT = Identifier("MRN", "4711")
SICK = (("9279-1", 28.0, "/min"), ("59408-5", 90.0, "%"), ("8480-6", 88.0, "mm[Hg]"), ("8867-4", 132.0, "/min"))
WELL = (("9279-1", 16.0, "/min"), ("59408-5", 98.0, "%"), ("8480-6", 128.0, "mm[Hg]"), ("8867-4", 72.0, "/min"))
RELEASE = Release(Settings(), "test")


def oru(number: int, values: tuple[tuple[str, float, str], ...], at: int) -> bytes:
    return render_oru(
        control_id=f"C{number}",
        sent_time=at,
        feed="MONITOR|WARD",
        patient=PATIENT,
        encounter="V1",
        location=Location("Ward A", "1", "12"),
        observed_time=at - MILLIS_PER_MINUTE,
        order=f"O{number}",
        results=[Result(code=code, value=value, unit=unit) for code, value, unit in values],
    )


def admission() -> bytes:
    return render_adt(
        "A01",
        control_id="C0",
        sent_time=START,
        feed="PAS|MAIN",
        patient=PATIENT,
        event_time=START,
        encounter="V1",
        location=Location("Ward A", "1", "12"),
        birth_date="1950-01-01",
        sex="female",
    )


def arrival(number: int, data: bytes) -> Arrival:
    decoded = decode(data, Hl7Settings())
    return Arrival(f"test#{number}", decoded.sent_time, data, "hl7v2", decoded)


def messages() -> list[Arrival]:
    hour = MILLIS_PER_HOUR
    return [
        arrival(1, admission()),
        arrival(2, oru(1, WELL, START + hour)),
        arrival(3, oru(2, SICK, START + 2 * hour)),
        arrival(4, oru(3, SICK, START + 3 * hour)),
        arrival(5, oru(4, WELL, START + 4 * hour)),
        arrival(6, oru(5, WELL, START + 5 * hour)),
    ]


def alerts_of(service: EmbeddedService) -> list[dict]:
    return [json.loads(content) for kind, _id, content in service.outputs.outputs() if kind == "alerts"]


def run(folder: Path, batch: list[Arrival]) -> EmbeddedService:
    service = EmbeddedService(folder, RELEASE, {})
    for one in batch:
        service.accept([one])
    return service


def test_an_admission_and_a_sick_patient_become_an_interrupting_alert(tmp_path):
    """One A01 and one ORU of a sick patient raise one NEWS2 alert that interrupts, with its evidence."""
    service = run(tmp_path, [messages()[0], messages()[2]])
    alerts = alerts_of(service)
    assert [alert["state"] for alert in alerts] == ["raised"]
    assert alerts[0]["priority"] == "interrupt"
    assert alerts[0]["trigger"] == "news2_floor"
    assert alerts[0]["news2"]["total"] == 12
    assert alerts[0]["ward"] == "Ward A"
    assert alerts[0]["bed"] == "12"
    assert {item["message_id"] for item in alerts[0]["evidence"]} == {"C2"}


def test_no_identifier_reaches_an_output(tmp_path):
    """What the service puts out names nobody: no record number, no visit number."""
    service = run(tmp_path, messages())
    text = b"\n".join(content for _kind, _id, content in service.outputs.outputs())
    assert b"4711" not in text
    assert b"V1" not in text


def test_a_service_that_is_opened_again_goes_on_where_it_was(tmp_path):
    """Closing and opening at any record changes nothing in what is put out."""
    whole = run(tmp_path / "whole", messages())
    for cut in range(len(messages()) + 1):
        folder = tmp_path / f"cut-{cut}"
        run(folder, messages()[:cut]).close()
        assert run(folder, messages()[cut:]).digest() == whole.digest()


def test_a_service_that_lost_its_states_folds_the_log_again(tmp_path):
    """Without the state file the same outputs come about again, under the same ids, with the same bytes."""
    service = run(tmp_path, messages())
    digest = service.digest()
    service.close()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    assert EmbeddedService(tmp_path, RELEASE, {}).digest() == digest


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path({test!r}).parent))
import importlib.util
spec = importlib.util.spec_from_file_location("milestone", {test!r})
milestone = importlib.util.module_from_spec(spec)
spec.loader.exec_module(milestone)
service = milestone.EmbeddedService(Path({folder!r}), milestone.RELEASE, {{}})
for one in milestone.messages():
    service.accept([one])
    print("acknowledged", one.position, flush=True)
    if one.position == {kill_after!r}:
        sys.stdin.read()
"""


@pytest.mark.parametrize("kill_after", ["test#1", "test#3", "test#5"])
def test_kill_9_loses_nothing_acknowledged(tmp_path, kill_after):
    """After kill -9 the acknowledged messages are there, and sending all again ends in the same digest."""
    script = CHILD.format(test=__file__, folder=str(tmp_path / "killed"), kill_after=kill_after)
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    acknowledged = 0
    for line in child.stdout:
        acknowledged += 1
        if kill_after in line:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    service = EmbeddedService(tmp_path / "killed", RELEASE, {})
    assert service.journal.counts()["accepted"] == acknowledged
    for one in messages():
        service.accept([one])
    assert service.journal.counts()["duplicates"] == acknowledged
    assert service.digest() == run(tmp_path / "whole", messages()).digest()
