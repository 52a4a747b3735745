"""What is older than the retention goes; what is kept replays to its own digest, whatever interrupts the going."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from connectors.decoded import Identifier
from connectors.sources import Arrival
from connectors.sqlite import retention as steps
from connectors.sqlite.files import WAL_PAGES_MAX
from connectors.sqlite.locks import COMPACTION_LOCK_FILE, share
from connectors.sqlite.retention import base_path
from events import MILLIS_PER_HOUR, KillSwitch, uuid_text
from stream import retention as policy
from stream.decisions import Decision
from stream.effects import decode_score
from stream.records import UNHEARD_RETENTION_MS
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

RELEASE = Release(Settings(), "test")
RETENTION_MS = 24 * MILLIS_PER_HOUR
SEED = 5
BEDS = 30
HOURS = 96
BATCH = 20


def traffic(hours: float = HOURS) -> list[Arrival]:
    return list(arrivals_of(hospital_stream(seed=SEED, beds=BEDS, hours=hours), Settings()))


def open_service(folder: Path, warned: list[str] | None = None) -> EmbeddedService:
    heard = [] if warned is None else warned
    return EmbeddedService(folder, RELEASE, {}, retention_ms=RETENTION_MS, warn=heard.append)


def maintain(service: EmbeddedService) -> None:
    """Let the retention do all that is due."""
    while service.maintain(service.host.pipeline.control.clock):
        pass


def run(service: EmbeddedService, arrivals: list[Arrival]) -> None:
    iterator = iter(arrivals)
    while batch := list(islice(iterator, BATCH)):
        service.accept(batch)
        maintain(service)


def replayed(folder: Path, out: Path) -> str:
    """Replay a folder's journal by the command; give its digest."""
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", "replay", f"journal:{folder}", "--out", str(out), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (out / "digest.txt").read_text().strip()


def rows(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / "journal.db") as database:
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "messages", "hashes", "dead_letters", "identities", "bases")
        }
    with sqlite3.connect(folder / "outputs.db") as database:
        counts["outputs"] = database.execute("SELECT count(*) FROM outputs").fetchone()[0]
    return counts


@pytest.fixture(scope="module")
def arrivals() -> list[Arrival]:
    return traffic()


@pytest.fixture(scope="module")
def untouched(arrivals, tmp_path_factory) -> dict[tuple[str, str], bytes]:
    """What a service that keeps everything puts out."""
    service = EmbeddedService(tmp_path_factory.mktemp("all"), RELEASE, {})
    service.accept(arrivals)
    found = {(kind, name): content for kind, name, content in service.outputs.outputs()}
    service.close()
    return found


def test_what_is_kept_replays_to_its_own_digest_and_says_what_it_said(arrivals, untouched, tmp_path):
    """Over many compactions the log is cut, everything put out is what it would have been, and the rest replays."""
    service = open_service(tmp_path / "data")
    said: dict[tuple[str, str], bytes] = {}
    iterator = iter(arrivals)
    while batch := list(islice(iterator, BATCH)):
        service.accept(batch)
        said.update({(kind, name): content for kind, name, content in service.outputs.outputs()})
        maintain(service)
    begin = service.journal.begin()
    assert begin > BATCH, "nothing was cut: nothing was tested"
    assert said == untouched
    digest = service.digest()
    service.close()
    assert replayed(tmp_path / "data", tmp_path / "out") == digest
    found = rows(tmp_path / "data")
    assert found["events"] < len(arrivals)
    assert found["hashes"] <= found["events"]
    assert found["bases"] <= 6
    assert sorted(path.name for path in (tmp_path / "data" / "bases").iterdir()) == sorted(
        base_path(tmp_path, base.offset).name for base in service_bases(tmp_path / "data")
    )


def service_bases(folder: Path) -> list[steps.Base]:
    found = steps.JournalRetention(folder)
    try:
        return found.bases()
    finally:
        found.close()


def test_what_is_younger_than_the_retention_stays(arrivals, tmp_path):
    """After all that is due was done, each record of the last day is in the log, and at most a quarter day more."""
    service = open_service(tmp_path)
    run(service, arrivals)
    clock = service.host.pipeline.control.clock
    first = {uuid_text(one.decoded.content_hash): one.received_time for one in reversed(arrivals)}
    kept = [envelope for _offset, envelope in service.journal.read()]
    young = {name for name, received in first.items() if received > clock - RETENTION_MS}
    assert young
    assert young <= {envelope.envelope_id for envelope in kept}
    assert clock - kept[0].received_time <= RETENTION_MS * 1.5


def test_the_files_stop_growing(tmp_path):
    """Over ten days with one day kept, the second half's files are no larger than the first half's, but for chance."""
    service = open_service(tmp_path)
    days: list[int] = []
    iterator = iter(traffic(240))
    start = None
    while batch := list(islice(iterator, BATCH)):
        service.accept(batch)
        maintain(service)
        start = start or batch[0].received_time
        day = (batch[-1].received_time - start) // RETENTION_MS
        size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.suffix != ".db-shm")
        days.extend([0] * (day + 1 - len(days)))
        days[day] = max(days[day], size)
    assert len(days) >= 9
    assert max(days[5:]) < 1.25 * max(days[:5])
    assert all(path.stat().st_size <= WAL_PAGES_MAX * 4_200 for path in tmp_path.glob("*-wal"))


def test_a_clock_that_jumped_removes_nothing(arrivals, tmp_path):
    """However far ahead the present is said to be, what the log's own clock calls young is kept."""
    service = open_service(tmp_path)
    service.accept(arrivals[:200])
    while service.maintain(service.host.pipeline.control.clock + 1000 * RETENTION_MS):
        pass
    assert service.journal.begin() == 0


def test_without_a_retention_nothing_goes(arrivals, tmp_path):
    """A service that keeps everything makes no base and cuts nothing."""
    service = EmbeddedService(tmp_path, RELEASE, {})
    run(service, arrivals)
    assert service.journal.begin() == 0
    assert not (tmp_path / "bases").exists()


def test_the_digest_holds_while_rows_are_still_going(arrivals, tmp_path, monkeypatch):
    """From the moment the log begins later, what counts as kept is what a replay gives, whatever still lies there."""
    for module in (steps, policy):
        monkeypatch.setattr(module, "REMOVED_ROWS_MAX", 1)
    service = open_service(tmp_path / "data")
    iterator = iter(arrivals)
    going = 0
    while going < BATCH:
        batch = list(islice(iterator, BATCH))
        assert batch, "rows went as fast as they came: nothing was tested"
        service.accept(batch)
        service.maintain(service.host.pipeline.control.clock)
        kept = list(service.outputs.outputs(after=service.journal.begin()))
        going = len(list(service.outputs.outputs())) - len(kept)
    assert kept
    assert replayed(tmp_path / "data", tmp_path / "out") == service.digest()


class _Killed(BaseException):
    """Stands for the end of the process at that moment."""


STEPS = ("make_base", "begin_at", "remove_some", "remove_bases")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_retention_that_ends_at_any_step_leaves_a_folder_that_goes_on(
    step, after, arrivals, untouched, tmp_path, monkeypatch
):
    """Stopped before or after any step, every time it comes, the folder opens, goes on, and replays to its digest."""
    original = getattr(steps.JournalRetention, step)
    interrupted = 0

    def die(self, *arguments):
        nonlocal interrupted
        if interrupted >= 3:
            return original(self, *arguments)
        if after:
            original(self, *arguments)
        interrupted += 1
        raise _Killed

    folder = tmp_path / "data"
    monkeypatch.setattr(steps.JournalRetention, step, die)
    service = open_service(folder)
    iterator = iter(arrivals)
    while batch := list(islice(iterator, BATCH)):
        service.accept(batch)
        try:
            maintain(service)
        except _Killed:
            for part in (service._retention, service.outputs, service._store, service.journal, service._lock):
                part.close()
            service = open_service(folder)
    assert interrupted == 3
    assert service.journal.begin() > BATCH
    kept = list(service.outputs.outputs(after=service.journal.begin()))
    assert kept
    assert all(untouched[kind, name] == content for kind, name, content in kept)
    maintain(service)
    digest = service.digest()
    service.close()
    assert replayed(folder, tmp_path / "out") == digest
    assert rows(folder)["outputs"] == len(kept)


CHILD = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("retention", {test!r})
retention = importlib.util.module_from_spec(spec)
spec.loader.exec_module(retention)
service = retention.open_service(Path({folder!r}))
done = service.journal.counts().get("messages", 0)
service.listen = lambda _effects: print("carried out", flush=True)
print("open", flush=True)
retention.run(service, retention.traffic()[done:])
service.close()
print("done", flush=True)
"""
KILLS = 8
LINES_MAX = 6
"""A kill comes after so many batches at the most, in whatever is done then."""


def test_kill_9_in_the_middle_of_it_loses_nothing(arrivals, untouched, tmp_path):
    """Killed at seeded moments while it compacts all the time, the run ends with what it would have put out, and the
    rest replays.
    """
    folder = tmp_path / "data"
    script = [sys.executable, "-c", CHILD.format(test=__file__, folder=str(folder))]
    moments = random.Random(SEED)  # noqa: S311 - chooses moments, keeps no secret
    killed = 0
    for _ in range(KILLS):
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "open\n"
            for _line in range(moments.randrange(1, LINES_MAX)):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            child.wait()
            killed += child.returncode == -signal.SIGKILL
    assert killed > KILLS // 2
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL, timeout=300)
    service = open_service(folder)
    assert service.journal.begin() > BATCH
    kept = list(service.outputs.outputs(after=service.journal.begin()))
    assert all(untouched[kind, name] == content for kind, name, content in kept)
    assert service.journal.counts()["messages"] == len(arrivals)
    digest = service.digest()
    service.close()
    assert replayed(folder, tmp_path / "out") == digest


def lose(folder: Path) -> None:
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (folder / name).unlink(missing_ok=True)


def spoil(folder: Path) -> None:
    (folder / "state.db").write_bytes(b"\xff" * 4096)


@pytest.mark.parametrize("hurt", [lose, spoil])
def test_lost_states_are_remade_from_the_base_the_log_begins_with(hurt, arrivals, tmp_path):
    """A log without its earlier part still remakes the states, and says nothing else than it said."""
    service = open_service(tmp_path)
    run(service, arrivals)
    digest = service.digest()
    service.close()
    hurt(tmp_path)
    again = open_service(tmp_path)
    assert again.diverged == 0
    assert again.digest() == digest


def test_a_base_that_cannot_be_used_stops_nobody(arrivals, tmp_path):
    """Without states and without a base the log is folded from where it begins; the operator is told."""
    service = open_service(tmp_path)
    run(service, arrivals[:-50])
    begin = service.journal.begin()
    service.close()
    lose(tmp_path)
    base_path(tmp_path, begin).write_bytes(b"\xff" * 4096)
    told: list[str] = []
    again = open_service(tmp_path, told)
    again.accept(arrivals[-50:])
    assert again.lag() == 0
    assert any("that the log begins with" in text for text in told)
    again.close()


def test_what_people_decided_outlives_the_states_and_their_base(arrivals, tmp_path):
    """A kill switch that was engaged before the log begins is engaged still, where only the journal remembers it."""
    service = open_service(tmp_path)
    service.accept(arrivals[:1])
    service.decide(Decision(KillSwitch(0, True, "drill"), "duty-manager", "drill"), arrivals[0].received_time)
    run(service, arrivals[1:-50])
    begin = service.journal.begin()
    assert begin > 2, "the decision's record is gone"
    assert service.host.pipeline.control.kill_switch
    service.close()
    lose(tmp_path)
    base_path(tmp_path, begin).write_bytes(b"\xff" * 4096)
    again = open_service(tmp_path)
    assert again.host.pipeline.control.kill_switch
    assert again.host.pipeline.control.sequence == 1
    end = again.journal.end()
    again.close()
    once_more = open_service(tmp_path)
    assert once_more.journal.end() == end, "it is entered once"
    once_more.close()


def test_a_record_number_is_never_given_twice(arrivals, tmp_path):
    """Where the whole log was removed, the next record goes on counting."""
    service = open_service(tmp_path)
    service.accept(arrivals[:100])
    maintain(service)
    end = service.host.end
    service.enter_tick(service.host.pipeline.control.clock + 3 * RETENTION_MS)
    service.fold()
    maintain(service)
    assert service.journal.begin() == end
    service.close()
    again = open_service(tmp_path)
    assert again.host.end == end + 1
    again.accept(arrivals[100:101])
    assert [offset for offset, _envelope in again.journal.read()] == [end + 1, end + 2]


def test_what_is_being_read_does_not_go_away(arrivals, tmp_path):
    """While a backup or a replay has the folder, nothing is removed; afterwards it is."""
    service = open_service(tmp_path)
    maintain(service)
    with share(tmp_path / COMPACTION_LOCK_FILE):
        run(service, arrivals)
        assert service.journal.begin() == 0
    maintain(service)
    assert service.journal.begin() > 0


def test_a_message_is_a_duplicate_exactly_as_long_as_its_record_is_kept(arrivals, tmp_path):
    """What the log still has is recognised when it comes again; what was removed is new."""
    service = open_service(tmp_path)
    run(service, arrivals)
    first = next(iter(service.journal.read()))[1]
    [kept] = [one for one in arrivals if uuid_text(one.decoded.content_hash) == first.envelope_id]
    before = service.journal.counts()["duplicates"]
    service.accept([kept])
    assert service.journal.counts()["duplicates"] == before + 1
    accepted = service.journal.counts()["accepted"]
    service.accept([arrivals[0]])
    assert service.journal.counts()["accepted"] == accepted + 1


def test_who_is_gone_is_forgotten_and_who_is_known_is_not(new_ward, tmp_path):
    """Identities of patients of whom nothing is kept go with the next messages; those of patients here stay."""
    ward = new_ward()
    ward.service.close()
    ward.service = EmbeddedService(tmp_path / "data", RELEASE, {}, retention_ms=RETENTION_MS)
    ward.admit("gone")
    ward.admit("stays")
    ward.adt("A03", "gone", 10)
    minute = 10.0
    while minute < 5 * 24 * 60:
        minute += 60
        ward.pass_time(minute)
        maintain(ward.service)
    known = {value for _authority, value, _patient in ward.service.journal.identities()}
    assert known == {"stays", "other-ward"}
    assert ward.service.host._parser._identity._key_of.keys() == {("MRN", "stays"), ("MRN", "other-ward")}


def test_a_batch_that_fails_forgets_nobody_half(new_ward, tmp_path):
    """Who was to be forgotten with a batch that could not be stored is known still, and forgotten with a later one."""
    ward = new_ward()
    ward.service.close()
    ward.service = EmbeddedService(tmp_path / "data", RELEASE, {}, retention_ms=RETENTION_MS)
    ward.admit("gone")
    ward.adt("A03", "gone", 10)
    day = 0
    while not ward.service._retention._forgettable:
        day += 1
        ward.pass_time(day * 24 * 60)
        maintain(ward.service)
    identity = ward.service.host._parser._identity
    append, calls = ward.service.journal.append, []

    def fail(batch):
        calls.append(batch)
        raise sqlite3.OperationalError("database or disk is full")

    ward.service.journal.append = fail
    with pytest.raises(sqlite3.OperationalError):
        ward.pass_time(day * 24 * 60 + 1)
    assert calls[0].forgotten == [("MRN", "gone")]
    assert ("MRN", "gone") in identity._key_of
    ward.service.journal.append = append
    ward.pass_time(day * 24 * 60 + 2)
    assert ("MRN", "gone") not in identity._key_of
    assert "gone" not in {value for _authority, value, _patient in ward.service.journal.identities()}


def test_nobody_is_kept_who_was_not_heard_of_for_thirty_days(new_ward):
    """A record without a discharge and without an open alert goes after thirty days of silence, and not before."""
    ward = new_ward()
    ward.admit("silent")
    ward.admit("heard")
    day = 24 * 60
    days = UNHEARD_RETENTION_MS // (24 * MILLIS_PER_HOUR)
    ward.chart("heard", 10 * day, ward.WELL)
    ward.pass_time(days * day - 1)
    assert ward.service.host.shelf.find(ward.key("silent")) is not None
    ward.pass_time(days * day + 1)
    assert ward.service.host.shelf.find(ward.key("silent")) is None
    assert ward.service.host.shelf.find(ward.key("heard")) is not None
    ward.pass_time((days + 10) * day - 1)
    assert ward.service.host.shelf.find(ward.key("heard")) is not None
    ward.pass_time((days + 10) * day + 1)
    assert ward.service.host.shelf.find(ward.key("heard")) is None


def test_a_restart_changes_nothing_in_when_a_silent_patient_goes(new_ward, tmp_path):
    """Opened again in the middle of the silence, the record goes at the same moment."""
    ward = new_ward()
    ward.service.close()
    ward.service = EmbeddedService(tmp_path / "data", RELEASE, {})
    ward.admit("silent")
    ward.service.close()
    ward.service = EmbeddedService(tmp_path / "data", RELEASE, {})
    days = UNHEARD_RETENTION_MS // (24 * MILLIS_PER_HOUR)
    ward.pass_time(days * 24 * 60 - 1)
    assert ward.service.host.shelf.find(ward.key("silent")) is not None
    ward.pass_time(days * 24 * 60 + 1)
    assert ward.service.host.shelf.find(ward.key("silent")) is None


def test_an_identifier_that_comes_back_has_its_old_pseudonym():
    """Who comes back after the retention has the key of before: it is a function of the identifier."""
    from stream.identity import IdentityMap, Pseudonyms

    people = IdentityMap(Pseudonyms(b"key"))
    key = people.resolve((Identifier("MRN", "1"),))
    people.touch(key, 1)
    assert people.forget([key], 2) == [("MRN", "1")]
    assert people.resolve((Identifier("MRN", "1"),)) == key


def test_a_message_forgotten_while_rows_are_going_is_told_anew(arrivals, tmp_path, monkeypatch):
    """Sent again as soon as the log has forgotten it, an old message is said anew, and the rest replays."""
    monkeypatch.setattr(policy, "REMOVED_ROWS_MAX", 1)
    monkeypatch.setattr(policy, "BATCHES_PER_CALL", 1)
    folder = tmp_path / "data"
    service = open_service(folder)
    iterator = iter(arrivals)
    while not service.journal.begin():
        service.accept(list(islice(iterator, BATCH)))
        service.maintain(service.host.pipeline.control.clock)
    begin = service.journal.begin()
    clock = service.host.pipeline.control.clock
    sent = {one.decoded.message_id: one for one in arrivals}
    with sqlite3.connect(folder / "outputs.db") as database:
        query = "SELECT content FROM outputs WHERE kind = 'scores' AND offset <= ? ORDER BY number DESC LIMIT 1"
        [content] = database.execute(query, (begin,)).fetchone()
    old = sent[decode_score(content).message_id]
    while service.journal.seen(old.decoded.content_hash):
        service.maintain(clock)
    service.accept([msgspec.structs.replace(old, received_time=clock + 1)])
    maintain(service)
    assert service.diverged == 0
    assert any(kind == "scores" for kind, _name, _content in service.outputs.outputs(after=service.host.end - 1))
    digest = service.digest()
    service.close()
    assert replayed(folder, tmp_path / "out") == digest
