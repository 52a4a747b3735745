"""Where the stored states of a data folder come from: their own file, the base the log begins with, or nothing.

Owns that order, and setting aside what cannot be used. Must not know what a state says.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from alerts.book import UnreadableBookError
from alerts.ward_state import UnreadableWardStateError
from connectors.durable import sync_file
from connectors.sqlite.journal import SqliteJournal
from connectors.sqlite.retention import base_path
from connectors.sqlite.state_store import SqliteStateStore
from features.encoding import CorruptStateError, UnknownStateVersionError
from features.store import MemoryStateStore
from models.version import ModelVersion
from stream.control import Control, ForeignStateError
from stream.fold import CONTROL_KEY
from stream.records import UnreadableRecordError

STATE_FILE = "state.db"
"""The states lie beside `journal.db`, and can be remade from it."""
UNUSABLE_STATES = (
    ForeignStateError,
    UnreadableRecordError,
    UnreadableBookError,
    UnreadableWardStateError,
    CorruptStateError,
    UnknownStateVersionError,
    UnicodeDecodeError,
    sqlite3.DatabaseError,
)
"""What says that stored states are of no use; all of them can be remade from the log."""


def provide_states(
    folder: Path,
    journal: SqliteJournal,
    versions: Mapping[str, ModelVersion],
    warn: Callable[[str], None],
    *,
    use_base: bool = True,
) -> SqliteStateStore:
    """Open the states; where there are none and the log has a beginning, those it begins with.

    Without `use_base`, or where the base is gone, the log is folded from its beginning without what was known before:
    the operator is warned. Raises `ForeignStateError` for states from before the log's beginning.
    """
    path, begin = folder / STATE_FILE, journal.begin()
    if begin and not path.exists():
        base = base_path(folder, begin)
        part = folder / f"{STATE_FILE}.part"
        part.unlink(missing_ok=True)
        if use_base and base.exists():
            shutil.copy(base, part)
            part.chmod(base.stat().st_mode)
        else:
            warn(f"the states that the log begins with cannot be used: it is folded from record {begin + 1} on alone")
            with SqliteStateStore(part) as blank:
                blank.commit(blank.acquire_epoch(), {CONTROL_KEY: _blank(journal, versions)}, begin)
        sync_file(part)
        part.rename(path)
        sync_file(folder)
    store = SqliteStateStore(path)
    if begin and store.watermark() < begin:
        store.close()
        raise ForeignStateError("the states are from before the beginning of the log")
    return store


def set_states_aside(folder: Path) -> str:
    """Move the state files out of the way and give the name they have now."""
    number = 1
    while (folder / f"{STATE_FILE}.aside-{number}").exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        path = folder / f"{STATE_FILE}{suffix}"
        if path.exists():
            path.rename(folder / f"{STATE_FILE}.aside-{number}{suffix}")
    return f"{STATE_FILE}.aside-{number}"


def beginning_states(
    folder: Path, journal: SqliteJournal, versions: Mapping[str, ModelVersion], *, use_base: bool = True
) -> SqliteStateStore | MemoryStateStore:
    """Give the states that the log begins with, to be read only: what a replay of the journal starts from."""
    begin = journal.begin()
    base = base_path(folder, begin)
    if begin and use_base and base.exists():
        return SqliteStateStore(base, read_only=True)
    blank = MemoryStateStore()
    if begin:
        blank.commit(blank.acquire_epoch(), {CONTROL_KEY: _blank(journal, versions)}, begin)
    return blank


def _blank(journal: SqliteJournal, versions: Mapping[str, ModelVersion]) -> bytes:
    """Give the control state of nothing known, at the time the log begins."""
    control = Control(versions, journal.name)
    control.clock = journal.begin_clock()
    return control.encode()
