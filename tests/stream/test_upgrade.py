"""The data directory of an earlier release: brought up to date whole or not at all, read as it is, never guessed at."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from alerts.book import AlertBook
from connectors.sqlite import journal_schema
from connectors.sqlite.journal import JournalError, SqliteJournal
from events import content_id
from features.catalogue import default_catalogue
from stream.records import PatientRecord, read_stored
from stream.release import Release
from stream.service import EmbeddedService, open_for_reading
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

RELEASES = Path(__file__).with_name("releases")
OLD = RELEASES / "0.1.0"
RELEASE = Release(Settings(), "0.1.0")
"""The same as in the log, so that opening adds nothing to it."""
DIGEST_NOW = "f51eb25f1521c6138c289915cbb617ae8061f97a628bf9acf055f0117e6a0f6b"
"""Of a replay of that log by this release: an emergency in it came late, and late news waits (decision 0025)."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a data directory as release 0.1.0 left it."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("journal", "state"):
        with closing(sqlite3.connect(data / f"{name}.db")) as database:
            database.executescript((OLD / f"{name}.sql").read_text())
            database.execute("PRAGMA journal_mode=WAL")
    return data


def digest_of_then() -> str:
    return (OLD / "digest.txt").read_text().strip()


def schema(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        return str(database.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()[0])


def test_what_an_earlier_release_kept_of_alerts_is_read_and_written_as_it_was(folder):
    """No open alert is lost by the upgrade, and a book that needs nothing new keeps the form of the older release."""
    with closing(sqlite3.connect(folder / "state.db")) as database:
        states = [state for (state,) in database.execute("SELECT state FROM patient_state WHERE key <> ''")]
    catalogue = default_catalogue()
    stored = [read_stored(state) for state in states]
    books = [AlertBook.decode(one.book) for one in stored]
    assert any(not book.idle for book in books)
    assert [book.encode() for book in books] == [one.book for one in stored]
    again = [read_stored(PatientRecord.decode(state, catalogue).encode()) for state in states]
    assert [(one.schema, one.book) for one in again] == [(one.schema, one.book) for one in stored]


def test_an_older_folder_is_brought_up_to_date_and_says_what_it_said(folder):
    """After the first opening the digest is that of the earlier release, and each record, letter and link is there."""
    with closing(sqlite3.connect(folder / "journal.db")) as old:
        events = old.execute("SELECT * FROM events ORDER BY offset").fetchall()
        hashes = old.execute("SELECT hash, offset FROM messages ORDER BY hash").fetchall()
        messages = old.execute("SELECT DISTINCT offset, bytes FROM messages ORDER BY offset").fetchall()
        letters = old.execute("SELECT letter, bytes FROM dead_letters").fetchall()
        links = old.execute("SELECT authority, value, patient FROM identities ORDER BY 1, 2").fetchall()
        outputs = old.execute("SELECT kind, id, content FROM outputs ORDER BY number").fetchall()
        counts = dict(old.execute("SELECT name, value FROM counts").fetchall())
    told: list[str] = []
    service = EmbeddedService(folder, RELEASE, {}, warn=told.append)
    assert service.digest() == digest_of_then()
    assert (told, service.diverged, service.lag()) == ([], 0, 0)
    assert schema(folder) == "2"
    assert list(service.outputs.outputs()) == outputs
    assert len(outputs) > 10
    journal = service.journal
    assert sorted(journal.identities()) == links
    assert list(journal.dead_letters()) == letters
    assert len(letters) == 1
    assert journal.counts() == counts
    database = journal._db
    assert database.execute("SELECT * FROM events ORDER BY offset").fetchall() == events
    assert database.execute("SELECT * FROM hashes ORDER BY hash").fetchall() == hashes
    assert database.execute("SELECT * FROM messages ORDER BY offset").fetchall() == messages
    latest = service.outputs.latest_score(links[0][2])
    assert latest is not None


def test_it_goes_on_as_one_that_was_always_of_this_release(folder, tmp_path):
    """More messages after the upgrade give what they give where the whole log was written by this release.

    All that is in the digest is compared, in order and in full, but for one alert: an emergency of that log came
    late, the older release told it at once, and this one waits a minute with it (decision 0025). So its events before
    the upgrade, and the scores that its timers made, are other ones; what it says after the upgrade is one further in
    its count, and otherwise the same.
    """
    more = list(arrivals_of(hospital_stream(seed=8, beds=4, hours=30), Settings()))
    service = EmbeddedService(folder, RELEASE, {})
    recorded = [envelope for _offset, envelope in service.journal.read()]
    service_before = len(_said(service))
    service.accept(more)
    fresh = EmbeddedService(tmp_path / "fresh", RELEASE, {})
    fresh.host.enter([one for one in recorded if one.message_id != "control"])
    fresh_before = len(_said(fresh))
    fresh.accept(more)
    ours, theirs = _said(service), _said(fresh)
    [late] = [said for _kind, _name, said in theirs if said.get("reason") == "late_stands"]
    assert _apart_from(late, ours[:service_before]) == _apart_from(late, theirs[:fresh_before])
    after = ours[service_before:]
    [end] = [said for _kind, _name, said in after if said.get("alert_id") == late["alert_id"]]
    [end_of_fresh] = [said for _kind, _name, said in theirs[fresh_before:] if said.get("alert_id") == late["alert_id"]]
    assert end_of_fresh == {**end, "seq": end["seq"] + 1, "event_id": end_of_fresh["event_id"]}
    assert [row for row in after if row[2] != end] == [row for row in theirs[fresh_before:] if row[2] != end_of_fresh]
    assert len(after) > 50


def _said(service: EmbeddedService) -> list[tuple[str, str, dict[str, Any]]]:
    """Give what is in the digest, in order."""
    return [(kind, name, json.loads(content)) for kind, name, content in service.outputs.outputs() if kind != "signals"]


def _apart_from(late: dict[str, Any], rows: list[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, str, Any]]:
    """Leave out one alert, and what its patient's timers had scored."""
    ticks = {
        name
        for kind, score, said in rows
        if kind == "scores" and said["patient"] == late["patient"] and said["message_id"] == "tick"
        for name in (score, content_id("suppressed", score))
    }
    return [row for row in rows if row[1] not in ticks and row[2].get("alert_id") != late["alert_id"]]


def test_what_was_sent_before_the_upgrade_is_a_duplicate_after_it(folder):
    """The memory of messages is carried over."""
    with closing(sqlite3.connect(folder / "journal.db")) as old:
        hashes = [content_hash for (content_hash,) in old.execute("SELECT hash FROM messages")]
    journal = SqliteJournal(folder)
    assert hashes
    assert all(journal.seen(content_hash) for content_hash in hashes)


class _Killed(BaseException):
    """Stands for the end of the process at that moment."""


def test_an_upgrade_that_was_interrupted_is_done_again(folder, monkeypatch):
    """Ended at any statement of it, the next opening finds a whole older folder and does all of it."""
    reached = 0
    while True:
        trial = folder.with_name(f"trial-{reached}")
        shutil.copytree(folder, trial)
        if not _die_at(trial, reached, monkeypatch):
            break
        assert schema(trial) == "1"
        service = EmbeddedService(trial, RELEASE, {})
        assert service.digest() == digest_of_then()
        service.close()
        assert not list(trial.glob("*.part*"))
        reached += 1
    assert reached > 10


def _die_at(folder: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Open a folder and end before the given step; say whether there was such a step."""
    done = 0

    def count() -> None:
        nonlocal done
        if done == step:
            raise _Killed
        done += 1

    class Counting(sqlite3.Connection):
        """A connection on which the process ends at a statement."""

        def execute(self, *arguments):
            count()
            return super().execute(*arguments)

    def sync(path: Path) -> None:
        count()

    with monkeypatch.context() as patch:
        patch.setattr(journal_schema, "sync_file", sync)
        with closing(sqlite3.connect(folder / "journal.db", isolation_level=None, factory=Counting)) as database:
            try:
                journal_schema.prepare(database, folder)
            except _Killed:
                return True
    return False


def test_an_older_folder_is_read_as_it_is(folder, tmp_path):
    """Replaying and looking into it changes no byte of it, and gives what the earlier said, but late news waits."""
    before = {path.name: path.read_bytes() for path in folder.glob("*.db")}
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", "replay", f"journal:{folder}", "--out", str(out), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr  # one dead letter
    assert (out / "digest.txt").read_text().strip() == DIGEST_NOW
    host = open_for_reading(folder, {})
    assert host.lag == 0
    assert {path.name: path.read_bytes() for path in folder.glob("*.db")} == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_folder_is_refused_and_left_alone(folder, read_only):
    """A folder of a later release is named as one, with what to do, and not touched."""
    with closing(sqlite3.connect(folder / "journal.db")) as database, database:
        database.execute("UPDATE about SET value = '3' WHERE name = 'schema'")
    before = (folder / "journal.db").read_bytes()
    with pytest.raises(JournalError, match=r"schema 3, this release reads up to 2: .* newer release"):
        SqliteJournal(folder, read_only=read_only)
    assert (folder / "journal.db").read_bytes() == before
    assert not (folder / "outputs.db").exists()
