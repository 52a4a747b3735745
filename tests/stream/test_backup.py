"""A backup taken under load is whole, goes back only where nothing is, and goes on as the service would have."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from connectors.sources import Arrival
from connectors.sqlite.backup import CONTENTS_FILE, BackupError, back_up, restore
from connectors.sqlite.journal import JournalError, SqliteJournal
from connectors.sqlite.state_store import SqliteStateStore
from events import MILLIS_PER_HOUR
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream

RELEASE = Release(Settings(), "test")
RETENTION_MS = 24 * MILLIS_PER_HOUR
BACKUPS = 5


def traffic() -> list[Arrival]:
    return list(arrivals_of(hospital_stream(seed=6, beds=30, hours=96), Settings()))


def open_service(folder: Path) -> EmbeddedService:
    return EmbeddedService(folder, RELEASE, {}, retention_ms=RETENTION_MS)


def run(service: EmbeddedService, arrivals: list[Arrival], batch_size: int = 5) -> None:
    iterator = iter(arrivals)
    while batch := list(islice(iterator, batch_size)):
        service.accept(batch)
        while service.maintain(service.host.pipeline.control.clock):
            pass


def wardstream(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def replayed(folder: Path, out: Path) -> str:
    done = wardstream("replay", f"journal:{folder}", "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    return (out / "digest.txt").read_text().strip()


@pytest.fixture(scope="module")
def arrivals() -> list[Arrival]:
    return traffic()


@pytest.fixture
def data(arrivals, tmp_path) -> Path:
    """Make a folder that has been compacted."""
    service = open_service(tmp_path / "data")
    run(service, arrivals[:700], 100)
    assert service.journal.begin() > 0
    service.close()
    return tmp_path / "data"


CHILD = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("backup", {test!r})
backup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(backup)
arrivals = backup.traffic()
service = backup.open_service(Path({folder!r}))
backup.run(service, arrivals[:400])
print("running", flush=True)
backup.run(service, arrivals[400:])
print("done", flush=True)
sys.stdin.read()
"""


def test_backups_under_load_fit_together_and_go_on(arrivals, tmp_path):
    """Of a service that stores, folds and compacts all the while, each copy opens, replays to its own digest, and with
    the rest of the traffic says what an undisturbed service says.
    """
    whole = EmbeddedService(tmp_path / "whole", RELEASE, {})
    whole.accept(arrivals)
    expected = {(kind, name): content for kind, name, content in whole.outputs.outputs()}
    folder = tmp_path / "data"
    command = [sys.executable, "-c", CHILD.format(test=__file__, folder=str(folder))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "running\n"
        contents = [back_up(folder, tmp_path / f"backup-{number}") for number in range(BACKUPS)]
        assert child.stdout.readline() == "done\n"
        child.kill()
    with_rest = SqliteJournal(folder, read_only=True)
    assert contents[0].end < with_rest.end(), "the service was done before the first backup: nothing was tested"
    assert len({one.end for one in contents}) > 1
    for number in (0, BACKUPS - 1):
        again = tmp_path / f"again-{number}"
        assert restore(tmp_path / f"backup-{number}", again) == contents[number]
        with SqliteStateStore(again / "state.db", read_only=True) as states:
            assert states.watermark() <= contents[number].end
        service = open_service(again)
        assert (service.lag(), service.diverged) == (0, 0)
        assert service.host.end == contents[number].end
        run(service, arrivals[service.journal.counts()["messages"] :], 100)
        begin = service.journal.begin()
        kept = list(service.outputs.outputs(after=begin))
        assert kept
        assert all(expected[kind, name] == content for kind, name, content in kept)
        assert service.journal.counts()["messages"] == len(arrivals)
        digest = service.digest()
        service.close()
        assert replayed(again, tmp_path / f"out-{number}") == digest


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_the_commands_say_what_they_copied_and_put_back(data, tmp_path, name):
    """`backup` and `restore` name the records and up to when; what comes back has the digest of what was there."""
    expected = replayed(data, tmp_path / "before")
    done = wardstream("backup", "--data-dir", data, "--to", tmp_path / name)
    assert done.returncode == 0, done.stderr
    journal = SqliteJournal(data, read_only=True)
    words = f"{journal.end() - journal.begin():,} records ({journal.begin() + 1} to {journal.end()}), up to 2026-01-0"
    assert words in done.stdout
    done = wardstream("restore", tmp_path / name, "--data-dir", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert replayed(tmp_path / "again", tmp_path / "after") == expected
    found = {path.name for path in (tmp_path / "again").iterdir()}
    assert found >= {"journal.db", "outputs.db", "state.db", "bases"}
    assert "restore.part" not in found
    copied = tmp_path / name
    private = [copied, *copied.rglob("*"), *(tmp_path / "again").rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in private} == {0}


def test_a_backup_overwrites_nothing(data, tmp_path):
    """A target that is there, whatever it is, is left as it is."""
    (tmp_path / "there").mkdir()
    done = wardstream("backup", "--data-dir", data, "--to", tmp_path / "there")
    assert done.returncode == 1
    assert "never overwrites" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "there").iterdir())


def test_a_restore_overwrites_nothing(data, tmp_path):
    """A folder with something in it, or one that a service has open, is refused and left as it is."""
    back_up(data, tmp_path / "backup")
    before = (data / "journal.db").read_bytes()
    with pytest.raises(BackupError, match="not empty"):
        restore(tmp_path / "backup", data)
    service = open_service(tmp_path / "open")
    with pytest.raises(JournalError, match="open in another process"):
        restore(tmp_path / "backup", tmp_path / "open")
    service.close()
    assert (data / "journal.db").read_bytes() == before


def test_an_empty_folder_is_restored_into(data, tmp_path):
    """A folder made beforehand (a mounted disk, a folder of the service's user) takes the backup."""
    contents = back_up(data, tmp_path / "backup")
    (tmp_path / "again").mkdir()
    restore(tmp_path / "backup", tmp_path / "again")
    service = open_service(tmp_path / "again")
    assert service.host.end == contents.end


def cut(backup: Path) -> None:
    path = backup / "journal.db"
    path.write_bytes(path.read_bytes()[:-1000])


def change(backup: Path) -> None:
    path = backup / "outputs.db"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(backup: Path) -> None:
    (backup / "state.db").unlink()


def empty(backup: Path) -> None:
    (backup / CONTENTS_FILE).unlink()


def rename(backup: Path) -> None:
    contents = json.loads((backup / CONTENTS_FILE).read_text())
    contents["files"][-1]["name"] = "../escaped.db"
    (backup / CONTENTS_FILE).write_text(json.dumps(contents))


def newer(backup: Path) -> None:
    contents = json.loads((backup / CONTENTS_FILE).read_text())
    (backup / CONTENTS_FILE).write_text(json.dumps({**contents, "schema": 99}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "not what was backed up"),
        (change, "not what was backed up"),
        (remove, "missing"),
        (empty, "no backup of ours"),
        (rename, "none of ours"),
        (newer, "newer release"),
    ],
)
def test_a_damaged_backup_is_refused_whole(data, tmp_path, damage, words):
    """A backup that is not as it was made puts nothing back, and says what is wrong."""
    back_up(data, tmp_path / "backup")
    damage(tmp_path / "backup")
    with pytest.raises(BackupError, match=words):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())
    assert not (tmp_path / "escaped.db").exists()


def test_a_tar_that_was_cut_short_is_refused(data, tmp_path):
    """Half a tar file puts nothing back."""
    back_up(data, tmp_path / "backup.tar")
    whole = (tmp_path / "backup.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.tar").write_bytes(b"nothing of ours" * 100)
    for name in ("half.tar", "other.tar"):
        with pytest.raises(BackupError, match=r"cut short|not what was backed up|missing"):
            restore(tmp_path / name, tmp_path / "again")
        assert not list((tmp_path / "again").iterdir())


def test_a_backup_that_fails_leaves_nothing_under_its_name(data, tmp_path):
    """What is damaged cannot be copied: the file is named, and neither a backup nor its remains are left."""
    path = data / "outputs.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    hurt = bytearray(path.read_bytes())
    hurt[4096:12288] = b"\xff" * 8192
    path.write_bytes(hurt)
    with pytest.raises(BackupError, match=r"outputs\.db is damaged"):
        back_up(data, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_listener_of_before_a_restore_misses_nothing_said_since(arrivals, tmp_path):
    """Alert numbers given out after a restore are above any given out before it: resuming by the last one heard gives
    all that was said since.
    """
    service = EmbeddedService(tmp_path / "data", RELEASE, {})
    service.accept(arrivals[:150])
    back_up(tmp_path / "data", tmp_path / "backup")
    service.accept(arrivals[150:300])
    heard = service.outputs.newest_alert()
    service.close()
    restore(tmp_path / "backup", tmp_path / "again")
    again = EmbeddedService(tmp_path / "again", RELEASE, {})
    kept = again.outputs.newest_alert()
    assert kept < heard
    again.accept(arrivals[300:600])
    said = again.outputs.alerts_after(kept, 10_000)
    assert said
    assert again.outputs.alerts_after(heard, 10_000) == said
    again.close()
