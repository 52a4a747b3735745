"""Who may act is read again while a process runs: the one table, and what is wrong with it changes nothing."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.acts.door import token_hash
from connectors.acts.people import PeopleSettings
from stream.logs import set_up_logs
from stream.people_file import PeopleFile
from stream.settings import ConfigurationError, parse_site
from tests.stream.test_run import COMMAND, WITHIN_S, Service

NURSES = f'[people.actors.nurses]\nrole = "nurse"\nrights = ["acknowledge"]\ntoken_sha256 = "{"1" * 64}"\n'
DOCTOR = f'[people.actors.doctor-7]\nrole = "doctor"\nrights = ["limit"]\ntoken_sha256 = "{"2" * 64}"\n'
SITE = "[service]\nhttp_port = 8081\n"


class Running:
    """A process that goes by a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "wardstream.toml"
        self.path.write_text(SITE + NURSES + DOCTOR)
        self._logged = io.StringIO()
        self.people = parse_site(self.path.read_text()).people
        self.file = PeopleFile(self.path, self.people, set_up_logs("info", self._logged))
        self.file.use = self._use

    def _use(self, people: PeopleSettings) -> None:
        self.people = people

    def told(self) -> dict[str, Any]:
        """Give the newest line."""
        last: dict[str, Any] = json.loads(self._logged.getvalue().splitlines()[-1])
        return last


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_who_is_taken_off_and_who_is_added_are_so_at_once(running: Running) -> None:
    """The new table counts from the moment it is read, and the line says who came, went and was changed."""
    running.path.write_text(
        SITE + NURSES.replace('"acknowledge"', '"feedback"') + DOCTOR.replace("doctor-7", "doctor-8")
    )
    running.file.reread()
    assert set(running.people.actors) == {"nurses", "doctor-8"}
    told = running.told()
    assert (told["event"], told["added"], told["removed"], told["changed"]) == (
        "people_reread", ["doctor-8"], ["doctor-7"], ["nurses"],
    )  # fmt: skip


def test_only_the_one_table_is_read(running: Running) -> None:
    """What else the file says by now, and be it wrong, neither counts nor keeps anybody in."""
    running.path.write_text('[service]\nhttp_port = "none"\n[gardrails]\n' + NURSES)
    running.file.reread()
    assert set(running.people.actors) == {"nurses"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SITE + NURSES.replace('nurse"', 'nrse"'), "people.actors.role"),
        (SITE + NURSES + "[people", "wardstream.toml"),
        (SITE + NURSES + DOCTOR.replace("2" * 64, "1" * 64), "another actor's"),
        (SITE, "names nobody any more"),
        ("", "names nobody any more"),
        (None, "No such file"),
    ],
    ids=["a wrong role", "no TOML", "a token twice", "no table", "cut off", "no file"],
)
def test_a_bad_table_changes_nothing_and_is_told(running: Running, text: str | None, why: str) -> None:
    """Those of before may act still, and the line names the file and what is wrong with it, and no token's hash."""
    before = running.people
    if text is None:
        running.path.unlink()
    else:
        running.path.write_text(text)
    running.file.reread()
    assert running.people is before
    told = running.told()
    assert (told["event"], told["level"]) == ("people_not_reread", "error")
    assert "wardstream.toml" in told["why"]
    assert why in told["why"]
    assert "1" * 64 not in told["why"]


def test_what_the_process_cannot_go_by_changes_nothing(running: Running) -> None:
    """A table that the process itself refuses, such as a gateway that could not sign for it, is not the one it has."""

    def refuse(_people: PeopleSettings) -> None:
        raise ConfigurationError("people.gateway_key_file: missing")

    running.path.write_text(SITE + NURSES)
    running.file.use = refuse
    running.file.reread()
    assert running.told()["why"] == "people.gateway_key_file: missing"
    running.file.use = running._use
    running.file.reread()
    assert running.told()["removed"] == ["doctor-7"]


def test_without_a_file_it_is_told(tmp_path: Path) -> None:
    """A process that was started without a configuration has nothing to read, says so, and goes on."""
    logged = io.StringIO()
    PeopleFile(None, PeopleSettings(), set_up_logs("info", logged)).reread()
    assert "without --config" in json.loads(logged.getvalue())["why"]


def test_what_is_asked_for_at_the_start_is_done_once_the_process_can(running: Running) -> None:
    """While a process starts nothing is read; as it begins, what was asked for counts, and is told."""
    running.file.wait()
    running.path.write_text(SITE + NURSES)
    running.file.reread()
    assert set(running.people.actors) == {"nurses", "doctor-7"}
    running.file.begin(running._use)
    assert set(running.people.actors) == {"nurses"}
    assert running.told()["removed"] == ["doctor-7"]


def test_a_service_that_is_starting_is_not_ended_by_sighup(tmp_path: Path) -> None:
    """It opens its folder, then goes by the table that it was told to read."""
    data, config = tmp_path / "data", tmp_path / "wardstream.toml"
    config.write_text(NURSES + DOCTOR)
    assert Service(data, "--config", str(config)).stop() == 0
    with (
        closing(sqlite3.connect(data / "state.db", isolation_level=None)) as states,
        (tmp_path / "log").open("wb") as log,
    ):
        states.execute("BEGIN IMMEDIATE")  # It waits for this as it opens.
        process = subprocess.Popen(
            [*COMMAND, "--data-dir", str(data), "--config", str(config)], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            until = time.monotonic() + WITHIN_S
            while b'"opening"' not in (tmp_path / "log").read_bytes():
                assert time.monotonic() < until
            config.write_text(NURSES)
            process.send_signal(signal.SIGHUP)
            states.execute("ROLLBACK")
            assert process.stdout is not None
            assert '"listening"' in process.stdout.readline()
            lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
            assert [line["removed"] for line in lines if line["event"] == "people_reread"] == [["doctor-7"]]
        finally:
            process.kill()
            process.wait()


def told(service: Service, event: str, count: int) -> dict[str, Any]:
    """Wait until something was logged so many times; give the newest line."""
    until = time.monotonic() + WITHIN_S
    while len(lines := [line for line in service.logs() if line["event"] == event]) < count:
        assert time.monotonic() < until, service.errors.read_text()
    return lines[-1]


def test_a_token_is_taken_away_from_a_running_service(tmp_path: Path) -> None:
    """SIGHUP, and who was taken off the list is nobody, without a restart; a file that is wrong by then is told and
    changes nothing, and the service goes on.
    """
    nurse, doctor = "n" * 43, "d" * 43
    nurses, doctors = NURSES.replace("1" * 64, token_hash(nurse)), DOCTOR.replace("2" * 64, token_hash(doctor))
    config = tmp_path / "wardstream.toml"
    config.write_text(nurses + doctors)
    service = Service(tmp_path / "data", "--config", str(config))

    def status(token: str) -> int:
        return service.post("/acts", json={}, headers={"Authorization": f"Bearer {token}"}).status_code

    try:
        assert (status(nurse), status(doctor)) == (422, 422)
        config.write_text(nurses)
        service.process.send_signal(signal.SIGHUP)
        assert told(service, "people_reread", 1)["removed"] == ["doctor-7"]
        assert (status(nurse), status(doctor)) == (422, 401)
        config.write_text("[people.actors.x]")
        service.process.send_signal(signal.SIGHUP)
        assert "people.actors" in told(service, "people_not_reread", 1)["why"]
        assert (status(nurse), status(doctor)) == (422, 401)
        assert service.stop() == 0
    finally:
        service.process.kill()
        service.process.wait()
