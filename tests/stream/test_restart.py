"""The service stopped, started, changed and out of disk: what was acknowledged stays, what was not can come again."""

from __future__ import annotations

import sqlite3

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import render_adt
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from events import Envelope, KillSwitch
from stream.host import Release
from stream.service import EmbeddedService
from stream.settings import Settings

START = 1_767_225_600_000
RELEASE = Release(Settings(), "test")


def admission(number: int, *others: str, mrn: str = "4711") -> Arrival:
    """An A01 of a patient with several identifiers."""
    data = render_adt(
        "A01",
        control_id=f"C{number}",
        sent_time=START + number,
        feed="PAS|MAIN",
        patient=Identifier("MRN", mrn),
        event_time=START + number,
    )
    all_of_them = "~".join([f"{mrn}^^^MRN^MR", *others]).encode()
    data = data.replace(f"{mrn}^^^MRN^MR".encode(), all_of_them)
    return Arrival(f"x#{number}", START + number, data, "hl7v2", decode(data, Hl7Settings()))


def fill_the_disk(service: EmbeddedService) -> None:
    """Let the journal's file grow no more."""
    database = service.journal._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")


def free_the_disk(service: EmbeddedService) -> None:
    service.journal._db.execute("PRAGMA max_page_count=1000000")


def test_a_message_that_could_not_be_stored_is_no_duplicate_when_it_comes_again(tmp_path):
    """After a full disk the sender gets no answer; the same message sent again is stored, not called a duplicate."""
    service = EmbeddedService(tmp_path, RELEASE, {})
    fill_the_disk(service)
    batch = [admission(number, mrn=f"{number}") for number in range(200)]
    with pytest.raises(sqlite3.OperationalError):
        service.accept(batch)
    assert service.journal.counts().get("accepted", 0) == 0
    free_the_disk(service)
    service.accept(batch)
    assert service.journal.counts()["accepted"] == len(batch)
    assert service.journal.counts()["duplicates"] == 0


def test_identities_met_while_the_disk_was_full_are_stored_with_the_next_batch(tmp_path):
    """A patient's second number, first met in a batch that failed, still means the same patient after a restart."""
    service = EmbeddedService(tmp_path, RELEASE, {})
    batch = [admission(number, f"{number}^^^NHS^NH", mrn=f"M{number}") for number in range(200)]
    fill_the_disk(service)
    with pytest.raises(sqlite3.OperationalError):
        service.accept(batch)
    free_the_disk(service)
    service.accept(batch)
    service.close()
    known = {
        (authority, value): key for authority, value, key in EmbeddedService(tmp_path, RELEASE, {}).journal.identities()
    }
    assert known["NHS", "7"] == known["MRN", "M7"]
    assert len(known) == 2 * len(batch)


def test_a_release_may_go_back_and_forth_without_traffic(tmp_path):
    """Versions changed and changed back before any message are each a record, and the last is in force."""
    for version in ("a", "", "a", "", "a"):
        service = EmbeddedService(tmp_path, Release(Settings(), "test", version), {})
        assert service.host.pipeline.control.version == version
        service.close()


def test_a_refused_message_moves_no_clock(new_ward):
    """A dead letter dated hours ahead shifts the received time of nothing that follows, restarted or not."""
    ward = new_ward()
    ward.admit("1")
    ward.send(b"MSH|^~\\&|A|B|||20260101120000+0000||MDM^T02|1|P|2.5\r", 500)
    ward.chart("1", 30, ward.SICK)
    ward.pass_time(60)
    assert [alert["received_time"] for alert in ward.alerts("1")] == ["2026-01-01T00:30:00Z", "2026-01-01T00:45:00Z"]


def test_an_entered_control_event_moves_the_clock_as_a_restart_would(tmp_path):
    """After a control event a message never counts as received before it, whether or not the service restarted."""
    received = []
    for restart in (False, True):
        service = EmbeddedService(tmp_path / str(restart), RELEASE, {})
        service.accept([admission(1)])
        service.host.enter([Envelope("k", "", START + 900, START + 900, (KillSwitch(START + 900, engaged=True),))])
        if restart:
            service.close()
            service = EmbeddedService(tmp_path / str(restart), RELEASE, {})
        [parsed] = service.accept([admission(2)])
        received.append(parsed.received_time)
    assert received == [START + 900, START + 900]


def test_the_kill_switch_survives_a_restart(tmp_path):
    """Thrown once, the switch stays thrown when the service is opened again."""
    service = EmbeddedService(tmp_path, RELEASE, {})
    service.host.enter([Envelope("k", "", START, START, (KillSwitch(START, engaged=True),))])
    service.close()
    assert EmbeddedService(tmp_path, RELEASE, {}).host.pipeline.control.guardrails.kill_switch


def test_counts_add_up_across_restarts(tmp_path):
    """The accounting goes on where it was: sent twice over a restart, half are accepted and half duplicates."""
    batch = [admission(number) for number in range(20)]
    first = EmbeddedService(tmp_path, RELEASE, {})
    first.accept(batch)
    first.close()
    service = EmbeddedService(tmp_path, RELEASE, {})
    service.accept(batch)
    counts = service.journal.counts()
    assert (counts["messages"], counts["accepted"], counts["duplicates"]) == (40, 20, 20)


def test_the_data_folder_is_for_its_owner_only(tmp_path):
    """A folder the service makes is readable by nobody else: it holds patient identifiers."""
    EmbeddedService(tmp_path / "data", RELEASE, {})
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
