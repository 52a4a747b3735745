"""The service stopped, started, changed and out of disk: what was acknowledged stays, what was not can come again."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.codec import decode
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from connectors.sqlite.journal import JournalError
from events import Envelope, KillSwitch, Location
from stream import host
from stream.effects import Effect
from stream.identity import Pseudonyms
from stream.release import Release
from stream.replay import Replay
from stream.service import EmbeddedService
from stream.settings import Settings, parse_toml
from stream.simulation import arrivals_of, hospital_stream

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


def oru_local(number: int) -> Arrival:
    """An ORU whose only code is one of the sender's own."""
    data = render_oru(
        control_id=f"L{number}",
        sent_time=START + number * 60_000,
        feed="MON|MAIN",
        patient=Identifier("MRN", "4711"),
        encounter="V1",
        location=Location("Ward A"),
        observed_time=START + number * 60_000,
        order=f"O{number}",
        results=[Result(code="hr", system="MON", value=140.0, unit="/min")],
    )
    return Arrival(f"l#{number}", START + number * 60_000, data, "hl7v2", decode(data, Hl7Settings()))


def fill_the_disk(service: EmbeddedService, database: sqlite3.Connection | None = None) -> None:
    """Let the journal's file, or another one, grow no more."""
    database = database or service.journal._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")


def free_the_disk(service: EmbeddedService, database: sqlite3.Connection | None = None) -> None:
    (database or service.journal._db).execute("PRAGMA max_page_count=1000000")


def merge(number: int, survivor: str, retired: str) -> Arrival:
    """An A40 that joins two record numbers."""
    data = render_adt(
        "A40",
        control_id=f"M{number}",
        sent_time=START + number,
        feed="PAS|MAIN",
        patient=Identifier("MRN", survivor),
        event_time=START + number,
        retired=Identifier("MRN", retired),
    )
    return Arrival(f"m#{number}", START + number, data, "hl7v2", decode(data, Hl7Settings()))


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


def test_what_was_not_stored_was_not_done(tmp_path):
    """A batch that the disk has no room for moves neither identities, nor the log's clock, nor any count; sent again,
    a merge in it still finds whom to retire.
    """
    service = EmbeddedService(tmp_path / "full", RELEASE, {})
    first = [admission(number, mrn=f"{number}") for number in range(4)]
    service.accept(first)
    end, counts = service.host.end, service.journal.counts()
    batch = [merge(500, "0", "1"), *(admission(600 + number, mrn=f"N{number}") for number in range(200))]
    fill_the_disk(service)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            service.store(batch)
    assert (service.host.end, service.lag(), service.journal.counts()) == (end, 0, counts)
    [early] = service.store([admission(10, mrn="2")])
    assert early.received_time == START + 10
    free_the_disk(service)
    stored = service.store(batch)
    [event] = stored[0].events
    assert event.retired == Pseudonyms().of("patient", "MRN", "1")
    service.fold()
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept([*first, admission(10, mrn="2"), *batch])
    assert service.digest() == whole.digest()
    assert sorted(service.journal.identities()) == sorted(whole.journal.identities())


def test_storing_folds_nothing_and_folding_goes_as_far_as_asked(tmp_path):
    """`store` only stores; `fold` folds at most as many records as it is told; `lag` says what is owed."""
    batch = list(arrivals_of(hospital_stream(seed=3, beds=12, hours=24), Settings()))
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(batch)
    service = EmbeddedService(tmp_path / "parts", RELEASE, {})
    stored = sum(type(parsed) is Envelope for parsed in service.store(batch))
    assert service.lag() == stored
    assert list(service.outputs.outputs()) == []
    assert service.fold(0) == 0
    folded = 0
    while service.lag():
        step = service.fold(7)
        assert 0 < step <= 7
        folded += step
        assert service.lag() == stored - folded
    assert service.fold() == 0
    assert service.digest() == whole.digest()


def test_one_thread_stores_while_another_folds(tmp_path):
    """Stored in one thread and folded in another at the same time, the outputs are those of one thread's run."""
    batch = list(arrivals_of(hospital_stream(seed=3, beds=24, hours=48), Settings()))
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(batch)
    service = EmbeddedService(tmp_path / "two", RELEASE, {}, retention_ms=365 * 86_400_000)
    stored = threading.Event()
    failed: list[BaseException] = []

    def fold() -> None:
        try:
            while not stored.is_set() or service.lag():
                service.fold(50)
                service.maintain(START)
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    folding = threading.Thread(target=fold)
    folding.start()
    for start in range(0, len(batch), 10):
        service.store(batch[start : start + 10])
    stored.set()
    folding.join(timeout=60)
    assert not folding.is_alive()
    assert failed == []
    assert service.lag() == 0
    assert service.digest() == whole.digest()


def test_time_passes_in_a_silence_by_an_entered_tick(new_ward):
    """A tick entered without any message fires what is due, is in the log, and is entered once for each moment."""
    ward = new_ward()
    ward.admit("1")
    ward.chart("1", 30, ward.SICK)
    service = ward.service
    assert service.enter_tick(ward.at(50))
    assert service.lag() == 1
    assert len(ward.alerts("1")) == 1
    service.fold()
    assert [alert["state"] for alert in ward.alerts("1")] == ["raised", "escalated"]
    assert not service.enter_tick(ward.at(50))
    assert not service.enter_tick(ward.at(40))
    assert service.enter_tick(ward.at(51))
    [late] = service.accept([admission(1, mrn="later")])
    assert late.received_time == ward.at(51)


@pytest.mark.parametrize("full", ["outputs", "states"])
def test_what_a_full_disk_kept_from_being_folded_is_folded_later(tmp_path, full, monkeypatch):
    """Where outputs or states find no room the fold raises, each time; with room again nothing was skipped."""
    monkeypatch.setattr(host, "CHECKPOINT_RECORDS", 100)
    batch = list(arrivals_of(hospital_stream(seed=3, beds=60, hours=48), Settings()))
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(batch)
    service = EmbeddedService(tmp_path / "full", RELEASE, {})
    service.accept(batch[:100])
    database = service.outputs._db if full == "outputs" else service._store._connection
    fill_the_disk(service, database)
    raised = 0
    for start in range(100, len(batch), 100):
        service.store(batch[start : start + 100])
        try:
            service.fold()
        except sqlite3.OperationalError as error:
            raised += "full" in str(error)
    assert raised > 1
    if full == "states":
        assert service.lag() == 0, "a full state file stopped alerts"
    free_the_disk(service, database)
    service.fold()
    assert service.lag() == 0
    assert service.digest() == whole.digest()
    service.close()
    again = EmbeddedService(tmp_path / "full", RELEASE, {})
    assert again.digest() == whole.digest()
    whole.host.checkpoint()
    journal_named = {""}
    stored, expected = (
        {key: state for key, state in one._store.items() if key not in journal_named} for one in (again, whole)
    )
    assert stored == expected


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


def damage_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[:40] = b"\xff" * 40
    path.write_bytes(data)


def damage_everywhere(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(200, len(data), 97):
        data[place] ^= 0x5A
    path.write_bytes(data)


def damage_a_record(path: Path) -> None:
    cut = "CAST(substr(state, 1, length(state) - 3) || x'000000' AS BLOB)"
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE patient_state SET state = {cut} WHERE key <> ''")


def damage_the_schema(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE patient_state SET state = x'93' WHERE key = ''")


def leave_only_a_stump(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


@pytest.mark.parametrize(
    "damage", [damage_header, damage_everywhere, damage_a_record, damage_the_schema, leave_only_a_stump]
)
def test_damaged_states_are_set_aside_and_remade_from_the_log(tmp_path, damage):
    """States that cannot be used stop nobody: they are moved away, the operator is told, the log is folded again."""
    batch = list(arrivals_of(hospital_stream(seed=3, beds=12, hours=24), Settings()))
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(batch)
    first = EmbeddedService(tmp_path / "hurt", RELEASE, {})
    first.accept(batch[:-5])
    first.close()
    damage(tmp_path / "hurt" / "state.db")
    told: list[str] = []
    again = EmbeddedService(tmp_path / "hurt", RELEASE, {}, warn=told.append)
    again.accept(batch[-5:])
    assert again.digest() == whole.digest()
    assert len(told) == 1
    assert (tmp_path / "hurt" / "state.db.aside-1").exists()


def test_states_of_another_journal_are_not_taken(tmp_path):
    """A state file put beside another journal is set aside, not believed."""
    batch = list(arrivals_of(hospital_stream(seed=3, beds=12, hours=24), Settings()))
    for name, part in (("one", batch), ("other", batch[:20])):
        service = EmbeddedService(tmp_path / name, RELEASE, {})
        service.accept(part)
        service.close()
    (tmp_path / "one" / "state.db").write_bytes((tmp_path / "other" / "state.db").read_bytes())
    told: list[str] = []
    EmbeddedService(tmp_path / "one", RELEASE, {}, warn=told.append)
    assert ["ForeignStateError" in text for text in told] == [True]


def test_a_folder_is_open_in_one_process_only(tmp_path):
    """A second service on the same folder is refused; after the first has closed it is not."""
    first = EmbeddedService(tmp_path, RELEASE, {})
    with pytest.raises(JournalError, match="open in another process"):
        EmbeddedService(tmp_path, RELEASE, {})
    first.close()
    EmbeddedService(tmp_path, RELEASE, {}).close()


def test_what_could_not_be_put_out_is_put_out_later(tmp_path, monkeypatch):
    """An output store that fails once loses nothing: the next call carries out what is still owed."""
    batch = list(arrivals_of(hospital_stream(seed=3, beds=12, hours=24), Settings()))
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(batch)
    service = EmbeddedService(tmp_path / "failing", RELEASE, {})
    store = service.outputs.append_outputs
    monkeypatch.setattr(service.outputs, "append_outputs", lambda _outputs: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        service.accept(batch[:30])
    monkeypatch.setattr(service.outputs, "append_outputs", store)
    service.accept(batch)
    assert service.digest() == whole.digest()


@pytest.mark.unfoldable
def test_a_record_that_cannot_be_folded_stops_nobody_else(tmp_path, monkeypatch):
    """A bug of ours in one patient's record is told and counted; the others are folded, and opening again works."""
    batch = [admission(number, mrn=f"{number}") for number in range(6)]
    service = EmbeddedService(tmp_path, RELEASE, {})
    step = service.host.pipeline.step
    poisoned = batch[2].decoded.message_id

    def fail(envelope: Envelope) -> list[Effect]:
        if envelope.message_id == poisoned:
            raise IndexError("secret 4711")
        return step(envelope)

    monkeypatch.setattr(service.host.pipeline, "step", fail)
    service.accept(batch)
    told = [content for kind, _name, content in service.outputs.outputs() if kind == "dead_letters"]
    assert len(told) == 1
    assert b"IndexError" in told[0]
    assert b"4711" not in told[0]
    assert service.host.pipeline.tally.patients == 5
    service.close()
    EmbeddedService(tmp_path, RELEASE, {}).close()


def test_local_codes_come_from_the_recorded_configuration(tmp_path):
    """A journal replays to its own digest with the codes it was run with, and opens under others after a crash."""
    coded = Release(parse_toml('[codes.MON]\nhr = "heart_rate"'), "test")
    ward = [oru_local(number) for number in range(5)]
    live = EmbeddedService(tmp_path / "live", coded, {})
    live.accept(ward)
    assert live.host.pipeline.tally.unmapped.total() == 0
    digest = live.digest()
    replay = Replay(tmp_path / "out", RELEASE, {})
    replay.log((envelope for _offset, envelope in live.journal.read()), counts={})
    assert replay.finish(0.0).digest == digest
    live._lock.close()  # as a crash would
    again = EmbeddedService(tmp_path / "live", RELEASE, {})
    assert again.diverged == 0
    assert again.digest() == digest
