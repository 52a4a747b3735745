"""What people decide reaches a running `wardstream run`: over its folder, at once, kept with who and why."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.decoded import Identifier
from connectors.folder_socket import SOCKET_FILE, ask
from connectors.hl7v2.render import Result, render_oru
from connectors.sqlite.journal import SqliteJournal
from events import Location, Standing
from models.version import ModelVersion, dump
from stream.clock import wall_ms
from stream.decisions import Decision, decode_decision
from stream.release import Release
from stream.service import EmbeddedService, open_for_reading
from tests.stream.conftest import CODES, SICK, WELL
from tests.stream.test_run import Service

WHY = ("--reason", "drill", "--as", "duty-manager")
ALWAYS = 6.0

Start = Callable[..., Service]


@pytest.fixture(scope="module")
def version(constant_version: Callable[[float], ModelVersion]) -> ModelVersion:
    """Give a version that warns of everybody."""
    return constant_version(ALWAYS)


@pytest.fixture
def start(tmp_path: Path, version: ModelVersion) -> Iterator[Start]:
    """Give a maker of services on one folder, which have a version that warns of everybody, in shadow."""
    models = tmp_path / "models"
    models.mkdir()
    (models / f"{version.version}.json").write_bytes(dump(version))
    made: list[Service] = []

    def make(*options: str) -> Service:
        options = options or ("--models-dir", str(models), "--model", version.version)
        made.append(Service(tmp_path / "data", *options))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def said(service: Service, mrn: str, values: dict[str, Any] = WELL) -> dict[str, list[str]]:
    """Chart a new patient; give the dispositions of what came of it, by trigger."""
    after = service.get("/alerts?after=0&limit=1000").json()["alerts"]
    now = wall_ms()
    message = render_oru(
        control_id=f"C{mrn}", sent_time=now, feed="MON|W", patient=Identifier("MRN", mrn), encounter=f"V{mrn}",
        location=Location(f"Ward {mrn}", "1", "1"), observed_time=now - 60_000, order=f"O{mrn}",
        results=[Result(code=CODES[name][0], value=value, unit=CODES[name][1]) for name, value in values.items()],
    )  # fmt: skip
    assert [answer.code for answer in service.send(message)] == ["AA"]
    service.folded()
    found: dict[str, list[str]] = {}
    for alert in service.get("/alerts?after=0&limit=1000").json()["alerts"][len(after) :]:
        found.setdefault(alert["trigger"], []).append(alert["disposition"])
    return found


def test_each_control_reaches_a_service_that_runs(
    cli: Any, start: Start, version: ModelVersion, tmp_path: Path
) -> None:
    """Promoted, silenced, held, demoted, restored, rolled back: in force when the command ends, and NEWS2 untouched."""
    service, where = start(), ("--data-dir", tmp_path / "data")

    def decide(*words: object) -> None:
        done = cli(*words, *WHY, *where)
        assert (done.code, done.err) == (0, "")
        assert "and is in force" in done.out

    assert said(service, "1") == {"model": ["shadow"]}
    decide("models", "promote", version.version[:6])
    assert said(service, "2") == {"model": ["told"]}
    decide("control", "kill-switch", "engage")
    sick = said(service, "3", SICK)
    assert sick["news2_floor"] == ["told"]
    assert set(sick.get("model", ["held"])) == {"held"}
    assert said(service, "4") == {"model": ["held"]}
    decide("control", "kill-switch", "release")
    assert said(service, "5") == {"model": ["told"]}
    decide("models", "hold", version.version)
    assert said(service, "6") == {"model": ["held"]}
    decide("models", "demote", version.version)
    assert said(service, "7") == {}
    decide("models", "restore", version.version)
    assert said(service, "8") == {"model": ["told"]}
    decide("models", "promote", version.version, "--shadow")
    assert said(service, "9") == {"model": ["shadow"]}
    decide("models", "rollback")
    assert said(service, "10") == {"model": ["told"]}
    decide("models", "rollback")
    assert said(service, "11") == {}
    status = cli("control", "status", *where)
    assert (status.code, status.err) == (0, "")
    assert "NEWS2 alone" in status.out
    assert "(rollback of 1)" in status.out
    assert service.stop() == 0


def test_who_decided_and_why_is_kept_and_a_replay_says_the_same(
    cli: Any, start: Start, version: ModelVersion, tmp_path: Path
) -> None:
    """The journal has each decision with who and why, the log of the process has who, and the replay has its effect."""
    service, data = start(), tmp_path / "data"
    for words in (("models", "promote", version.version), ("control", "kill-switch", "engage")):
        assert cli(*words, *WHY, "--data-dir", data).code == 0
    assert said(service, "1") == {"model": ["held"]}
    assert service.stop() == 0
    logged = [(line["sequence"], line["kind"], line["who"]) for line in service.logs() if line["event"] == "decision"]
    assert logged == [(1, "Promotion", "duty-manager"), (2, "KillSwitch", "duty-manager")]
    with closing(SqliteJournal(data, read_only=True)) as journal:
        kept = [decode_decision(decision) for _sequence, _received, decision in journal.decisions()]
    assert [(one.who, one.reason) for one in kept] == [("duty-manager", "drill")] * 2
    out = tmp_path / "out"
    replayed = cli("replay", f"journal:{data}", "--models-dir", tmp_path / "models", "--out", out, "--quiet")
    assert replayed.code == 0, replayed.err
    opened = EmbeddedService(data, _release_of(data), {version.version: version})
    assert (out / "digest.txt").read_text().strip() == opened.digest()
    opened.close()


def _release_of(data: Path) -> Any:
    """Give the release that the log has, so that opening adds nothing to it."""
    control = open_for_reading(data, {}).pipeline.control
    return Release(control.settings, control.code_version, control.version, control.enabled)


def test_what_was_decided_stands_after_a_kill_and_another_start(
    cli: Any, start: Start, version: ModelVersion, tmp_path: Path
) -> None:
    """However it is started again, what people promoted and silenced stays so; a version that is gone is not asked."""
    service, where = start(), ("--data-dir", tmp_path / "data")
    assert cli("models", "promote", version.version, *WHY, *where).code == 0
    service.stop(signal.SIGKILL)
    again = start("--models-dir", str(tmp_path / "models"), "--model", "none")
    assert said(again, "1") == {"model": ["told"]}
    assert any("as people decided" in line.get("text", "") for line in again.logs())
    assert cli("control", "kill-switch", "engage", *WHY, *where).code == 0
    again.stop(signal.SIGKILL)
    bare = start("--model", "none")
    assert bare.get("/health/ready").status_code == 503
    assert "NOT ASKED" in cli("control", "status", *where).out
    assert said(bare, "2") == {}
    assert bare.stop() == 0
    last = start()
    assert said(last, "3") == {"model": ["held"]}
    assert last.stop() == 0


def test_a_demoted_version_is_no_fault_of_the_service(
    cli: Any, start: Start, version: ModelVersion, tmp_path: Path
) -> None:
    """NEWS2 alone by decision: it is ready all the same, for who is not is sent no messages any more."""
    service = start()
    assert service.get("/health/ready").status_code == 200
    assert cli("models", "demote", version.version, *WHY, "--data-dir", tmp_path / "data").code == 0
    ready = service.get("/health/ready")
    assert (ready.status_code, ready.json()["problems"]) == (200, [])
    assert service.stop() == 0


def test_a_configuration_counts_without_a_restart(cli: Any, start: Start, tmp_path: Path) -> None:
    """Another threshold is in force when the command ends; a file with a mistake changes nothing."""
    service, where = start(), ("--data-dir", tmp_path / "data")
    quiet = tmp_path / "quiet.toml"
    quiet.write_text("[guardrails]\nraise_at = 0.9999\nclear_at = 0.9998\n")
    assert said(service, "1") == {"model": ["shadow"]}
    done = cli("control", "configure", quiet, *WHY, *where)
    assert (done.code, "and is in force" in done.out) == (0, True)
    assert said(service, "2") == {}
    quiet.write_text("[guardrails]\nraise_it = 0.9999\n")
    assert cli("control", "configure", quiet, *WHY, *where).code == 2
    assert "newest: 1)" in cli("control", "status", *where).out
    assert service.stop() == 0


def test_a_decided_configuration_that_a_start_undoes_is_told(cli: Any, start: Start, tmp_path: Path) -> None:
    """Killed and started again with its own file, the service says that what people configured is not in force now."""
    service, where = start(), ("--data-dir", tmp_path / "data")
    quiet = tmp_path / "quiet.toml"
    quiet.write_text("[guardrails]\nraise_at = 0.9999\nclear_at = 0.9998\n")
    assert cli("control", "configure", quiet, *WHY, *where).code == 0
    service.stop(signal.SIGKILL)
    again = start()
    assert any("as people decided, ends" in line.get("text", "") for line in again.logs())
    assert again.stop() == 0
    told = len(again.errors.read_text().split("as people decided, ends"))
    last = start()
    assert last.stop() == 0
    assert len(last.errors.read_text().split("as people decided, ends")) == told, "it is told once"


def test_what_cannot_be_put_in_force_is_refused_by_the_service(cli: Any, start: Start, tmp_path: Path) -> None:
    """A version that the service has not, and a rollback of nothing: said in words, and nothing is decided."""
    service, where = start(), ("--data-dir", tmp_path / "data")
    unknown = cli("models", "promote", "ffffffffffff", *WHY, *where)
    assert (unknown.code, "0 versions match" in unknown.err) == (2, True)
    nothing = cli("models", "rollback", *WHY, *where)
    assert (nothing.code, "nothing is promoted" in nothing.err) == (2, True)
    with closing(SqliteJournal(tmp_path / "data", read_only=True)) as journal:
        assert list(journal.decisions()) == []
    assert service.stop() == 0


def test_without_a_socket_the_ward_is_listened_to_all_the_same(cli: Any, start: Start, tmp_path: Path) -> None:
    """Where none can be made in the folder (a mount that has none), nothing can be decided, and that is told."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / SOCKET_FILE).mkdir()  # It can neither be removed nor bound.
    service = start("--model", "none")
    assert said(service, "1", SICK)["news2_floor"] == ["told"]
    assert any(line["event"] == "no_decisions" and line["level"] == "error" for line in service.logs())
    assert service.stop() == 0


def test_nobody_but_the_folders_owner_is_let_in(start: Start, tmp_path: Path) -> None:
    """The socket is the service's user's alone, in a folder that is too, and it goes with the service."""
    service = start()
    path = tmp_path / "data" / SOCKET_FILE
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert service.stop() == 0
    assert not path.exists()


def test_of_a_stopped_service_the_log_is_written(cli: Any, start: Start, version: ModelVersion, tmp_path: Path) -> None:
    """The same commands, where none runs: what they decide counts when it starts."""
    where = ("--data-dir", tmp_path / "data")
    assert start().stop() == 0
    assert cli("models", "promote", version.version, *WHY, *where).code == 2, "the shipped versions alone are at hand"
    promoted = cli("models", "promote", version.version, "--models-dir", tmp_path / "models", *WHY, *where)
    assert (promoted.code, "is in force" in promoted.out) == (0, False)
    assert cli("control", "kill-switch", "engage", *WHY, *where).code == 0
    assert "stopped" in cli("control", "status", *where).out
    assert said(start(), "1") == {"model": ["held"]}


def test_what_is_no_decision_changes_nothing(start: Start, tmp_path: Path) -> None:
    """Bytes of another release or of nobody's are answered with what is wrong, and the service goes on."""
    service = start()
    for line in (b"{}", b"\xff", b'{"event": {"type": "promotion"}}', b"x" * 1_100_000):
        assert b"problem" in ask(tmp_path / "data", line, 10.0)
    assert b"in_force" in ask(tmp_path / "data", b"null", 10.0)
    assert service.stop() == 0


def test_a_standing_is_kept_as_it_was_decided(cli: Any, new_ward: Callable[..., Any]) -> None:
    """A stopped folder's journal keeps who held a version, and the log's event why."""
    ward = new_ward()
    ward.service.close()
    assert cli("models", "hold", "4f1c02aa91be", *WHY, "--data-dir", ward.service._folder).code == 0
    with closing(SqliteJournal(ward.service._folder, read_only=True)) as journal:
        [(sequence, _received, decision)] = journal.decisions()
        [event] = [event for _offset, one in journal.read() for event in one.events if type(event) is Standing]
    assert (sequence, event.sequence, event.reason) == (1, 1, "drill")
    assert decode_decision(decision) == Decision(Standing(event.event_time, *_HELD), "duty-manager", "drill")


_HELD = ("4f1c02aa91be", "held", "drill")
