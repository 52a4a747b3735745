"""Files that hold patient data: made so that nobody but their owner reads them, opened so that a commit is durable.

Owns the mode of a file and how a database is opened. Must not know what is in a file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from connectors.durable import sync_file

PRIVATE_MODE = 0o600
"""Read and written by the service's user alone; SQLite gives its -wal and -shm files the same mode."""
BUSY_TIMEOUT_S = 5.0
"""How long a commit waits for another connection to let the file go: thousands of times a batch of the retention."""
WAL_PAGES_MAX = 4_096
"""A commit that finds the write-ahead log this long (16 MiB) writes it back itself, where nobody did before: the log
is bounded, and opening after a crash reads little."""
WAL_BYTES_KEPT = 32 * 1024 * 1024
"""A write-ahead log that had to grow beyond this (one large batch) is cut back when it is begun anew."""

COPY_PAGES = 2_048
"""Pages copied at a time (8 MiB): few steps, and progress that moves."""


def make_private(path: Path) -> None:
    """Make an empty file of private mode where there is none; one that is there keeps its mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_MODE))


def open_database(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open or make a database whose every commit is on the disk when it returns; `read_only` changes nothing.

    A connection may be made in one thread and used in another, by one thread at a time. Raises `sqlite3.Error`.
    """
    if read_only:
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
    make_private(path)
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_MAX}")
        database.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def copy_database(
    source: sqlite3.Connection, path: Path, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> None:
    """Copy a database as it stands now, beside whoever writes to it; durable on return, and one file by itself.

    What is committed meanwhile is not in the copy. `on_progress` hears the pages done and their total. Raises
    `sqlite3.Error`, also where the copy reads back as damaged.
    """
    make_private(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        # One read transaction around it: a copy in steps would begin anew with each commit of somebody else's.
        source.execute("BEGIN")
        try:
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(
                copy, pages=COPY_PAGES, progress=lambda _status, left, total: on_progress(total - left, total)
            )
        finally:
            source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=DELETE")
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"{path.name}: the copy is damaged")
    sync_file(path)
