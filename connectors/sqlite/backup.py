"""A copy of a data folder, taken beside the service that runs on it, and put back.

Owns the order of copying, the backup's list of contents and its checks. Must not know what a state or an output says.

The order makes the copies fit together: states first, then outputs (which then cover the states), then the log (which
then covers both), then the bases it names. Opened, such a folder folds what its log has beyond its states, as after a
crash. The retention waits meanwhile.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import file_digest
from pathlib import Path, PurePosixPath

import msgspec

from connectors.durable import sync_file
from connectors.sqlite.files import copy_database, make_private, open_database
from connectors.sqlite.journal_schema import JOURNAL_FILE, SCHEMA_VERSION
from connectors.sqlite.locks import COMPACTION_LOCK_FILE, LOCK_FILE, lock_folder, share
from connectors.sqlite.outputs import OUTPUTS_FILE
from connectors.sqlite.retention import BASES_FOLDER, FOLDER_MODE
from events import Millis

STATE_FILE = "state.db"
CONTENTS_FILE = "backup.json"
CONTENTS_BYTES_MAX = 1024 * 1024
"""A list of contents is some lines; a longer file is none of ours."""
FORMAT = "wardstream-backup-1"
TAR_ENDING = ".tar"
RESTORE_FOLDER = "restore.part"
"""Inside the data folder, so that it is on the same disk; one that an interrupted restore left may be removed."""

Progress = Callable[[str, int, int], None]
"""Hears the file at hand, how much of it is done and its whole, in pages or bytes."""


class BackupError(RuntimeError):
    """The backup cannot be made or put back: the operator's to mend; the text says how."""


class CopiedFile(msgspec.Struct, frozen=True):
    """One file of a backup."""

    name: str
    bytes_total: int
    sha256: str


class Contents(msgspec.Struct, frozen=True):
    """What a backup holds."""

    format: str
    schema: int
    journal: str
    """The journal's own name."""
    begin: int
    """The record after which the log begins."""
    end: int
    """The log's last record."""
    last_received_time: Millis
    """When that was received; 0 where there is none."""
    files: tuple[CopiedFile, ...]


def back_up(folder: Path, target: Path, on_progress: Progress = lambda _name, _done, _total: None) -> Contents:
    """Copy a data folder to a new folder, or to a new file where `target` ends in `.tar`; durable and checked.

    Raises `BackupError` where there is nothing to copy or something is there already, `sqlite3.Error` or `OSError`
    where copying fails; then nothing is left under the target's name.
    """
    if not (folder / JOURNAL_FILE).exists():
        raise BackupError(f"no {JOURNAL_FILE} in {folder}: give the --data-dir of an embedded service")
    if target.exists():
        raise BackupError(f"{target} is there already: a backup never overwrites one; give another name")
    part = target.with_name(f"{target.name}.part")
    if part.exists():
        raise BackupError(f"{part} is there: another backup is being made, or was interrupted; remove it then")
    part.mkdir(mode=FOLDER_MODE, parents=True)
    try:
        with share(folder / COMPACTION_LOCK_FILE):
            contents = _copy(folder, part, on_progress)
        _write(part / CONTENTS_FILE, msgspec.json.format(msgspec.json.encode(contents), indent=2) + b"\n")
        sync_file(part)
        if target.suffix == TAR_ENDING:
            _pack(part, target, contents, on_progress)
        else:
            part.rename(target)
        sync_file(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return contents


def _copy(folder: Path, part: Path, on_progress: Progress) -> Contents:
    for name in (STATE_FILE, OUTPUTS_FILE, JOURNAL_FILE):
        if (folder / name).exists():
            _copy_one(folder / name, part / name, on_progress)
    with closing(open_database(part / JOURNAL_FILE, read_only=True)) as journal:
        about = {str(name): str(value) for name, value in journal.execute("SELECT name, value FROM about")}
        if about.get("schema") != str(SCHEMA_VERSION):
            raise BackupError(f"the journal has schema {about.get('schema')}: open it once with this release first")
        begin = int(about.get("begin", 0))
        end, received = journal.execute(
            "SELECT offset, received_time FROM events ORDER BY offset DESC LIMIT 1"
        ).fetchone() or (begin, int(about.get("begin_clock", 0)))
        # Those before the beginning are on their way out.
        bases = [int(row[0]) for row in journal.execute("SELECT offset FROM bases WHERE offset >= ?", (begin,))]
    if bases:
        (part / BASES_FOLDER).mkdir(mode=FOLDER_MODE)
    for offset in bases:
        name = f"{BASES_FOLDER}/base-{offset}.db"
        if (folder / name).exists():
            _copy_one(folder / name, part / name, on_progress)
    if bases:
        sync_file(part / BASES_FOLDER)
    files = tuple(
        CopiedFile(path.relative_to(part).as_posix(), path.stat().st_size, _sha256(path))
        for path in sorted(part.rglob("*.db"))
    )
    return Contents(FORMAT, SCHEMA_VERSION, about["journal"], begin, end, received, files)


def _copy_one(source: Path, target: Path, on_progress: Progress) -> None:
    try:
        with closing(open_database(source, read_only=True)) as database:
            copy_database(database, target, lambda done, total: on_progress(source.name, done, total))
    except sqlite3.OperationalError:
        raise  # A full disk, a lock.
    except sqlite3.DatabaseError:
        raise BackupError(
            f"{source.name} is damaged and cannot be copied: restore the folder from an older backup"
        ) from None


def _pack(part: Path, target: Path, contents: Contents, on_progress: Progress) -> None:
    """Put the copy into one file; the list of contents first, so that it is found without reading on."""
    packed = part / "packed"
    make_private(packed)
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
        for number, name in enumerate((CONTENTS_FILE, *(file.name for file in contents.files))):
            archive.add(part / name, arcname=name, recursive=False)
            on_progress(target.name, number, len(contents.files))
    sync_file(packed)
    packed.rename(target)


def restore(backup: Path, folder: Path, on_progress: Progress = lambda _name, _done, _total: None) -> Contents:
    """Put a backup back into a folder that is new or empty; every file is held to the list of contents.

    Raises `JournalError` where the folder is in use, `BackupError` where it has something in it or the backup is not
    whole.
    """
    if folder.exists() and not folder.is_dir():
        raise BackupError(f"{folder} is no folder")
    if folder.exists() and (folder / LOCK_FILE).exists():
        lock_folder(folder).close()
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty: a backup is never put over something; give a new folder")
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    part = folder / RESTORE_FOLDER
    part.mkdir(mode=FOLDER_MODE)
    try:
        contents = _unpack(backup, part, on_progress) if backup.is_file() else _fetch(backup, part, on_progress)
        if (part / OUTPUTS_FILE).exists():
            _number_anew(part / OUTPUTS_FILE)
        _own_as(part, folder)
        # The log last: without it the folder is not taken for one of ours.
        for name in (BASES_FOLDER, STATE_FILE, OUTPUTS_FILE, JOURNAL_FILE):
            if (part / name).exists():
                sync_file(part / name)
                (part / name).rename(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_file(folder)
    return contents


def _number_anew(outputs: Path) -> None:
    """Let outputs be numbered from beyond any number given out since the backup: listeners resume by them.

    The microseconds since 1970 are beyond what any service numbers in the same time, and later after each restore.
    """
    with closing(sqlite3.connect(outputs, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=FULL")
        database.execute(
            "UPDATE sqlite_sequence SET seq = max(seq + 1, ?) WHERE name = 'outputs'", (time.time_ns() // 1000,)
        )


def _own_as(part: Path, folder: Path) -> None:
    """Give the files to the folder's owner, where root restores for the service's user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for path in (part, *part.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


def _fetch(backup: Path, part: Path, on_progress: Progress) -> Contents:
    try:
        data = (backup / CONTENTS_FILE).open("rb").read(CONTENTS_BYTES_MAX)
    except OSError:
        raise BackupError(f"no {CONTENTS_FILE} in {backup}: that is no backup of ours") from None
    contents = _read_contents(data)
    for number, file in enumerate(contents.files):
        on_progress(file.name, number, len(contents.files))
        target = _place(part, file)
        try:
            shutil.copyfile(backup / file.name, target)
        except FileNotFoundError:
            raise BackupError(f"{file.name} is missing in the backup") from None
        _check(target, file)
    return contents


def _unpack(backup: Path, part: Path, on_progress: Progress) -> Contents:
    try:
        with tarfile.open(backup, "r:") as archive:
            first = archive.next()
            source = archive.extractfile(first) if first is not None and first.name == CONTENTS_FILE else None
            if source is None:
                raise BackupError(f"{backup.name} does not begin with {CONTENTS_FILE}: that is no backup of ours")
            contents = _read_contents(source.read(CONTENTS_BYTES_MAX))
            for number, file in enumerate(contents.files):
                on_progress(file.name, number, len(contents.files))
                packed = archive.extractfile(file.name)
                if packed is None:
                    raise BackupError(f"{file.name} is missing in the backup")
                target = _place(part, file)
                with target.open("wb") as written:
                    shutil.copyfileobj(packed, written)
                _check(target, file)
    except KeyError:
        raise BackupError("a file is missing in the backup") from None
    except tarfile.TarError:
        raise BackupError(f"{backup.name} is no tar file, or is cut short") from None
    return contents


def _read_contents(data: bytes) -> Contents:
    try:
        contents = msgspec.json.decode(data, type=Contents)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BackupError(f"{CONTENTS_FILE} cannot be read: that is no backup of ours") from None
    if contents.format != FORMAT or contents.schema > SCHEMA_VERSION:
        raise BackupError(f"the backup is of a newer release (schema {contents.schema}); restore it with that one")
    return contents


def _place(part: Path, file: CopiedFile) -> Path:
    """Give where a file goes; a name that is none of ours goes nowhere."""
    name = PurePosixPath(file.name)
    known = (STATE_FILE, OUTPUTS_FILE, JOURNAL_FILE)
    is_base = name.parent == PurePosixPath(BASES_FOLDER) and name.name.startswith("base-") and name.suffix == ".db"
    if not (file.name in known or is_base):
        raise BackupError("the backup names a file that is none of ours")
    target = part / name
    target.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    make_private(target)
    return target


def _check(path: Path, file: CopiedFile) -> None:
    if path.stat().st_size != file.bytes_total or _sha256(path) != file.sha256:
        raise BackupError(f"{file.name} is not what was backed up: the backup is damaged")
    with closing(sqlite3.connect(path)) as database:
        try:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError:
            found = "no database"
    if found != "ok":
        raise BackupError(f"{file.name} is damaged")
    sync_file(path)


def _write(path: Path, data: bytes) -> None:
    make_private(path)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
