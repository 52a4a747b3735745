"""The beginning of the log: what lies before it is removed, and the states it begins with are kept as a base.

Owns the base files `DIR/bases/base-N.db` (the states after record N), the log's beginning, and the removal of what is
before it. Must not know how long anything is kept, nor what a state holds.

The order makes a crash at any step harmless: the base is on the disk, then the journal knows of it, then the log
begins there, then rows go (a reader begins where the log begins, so rows still lying before it are not there for it),
then older bases go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from connectors.durable import sync_file
from connectors.sqlite.files import open_database
from connectors.sqlite.journal_schema import JOURNAL_FILE
from connectors.sqlite.transaction import transaction
from events import Millis

BASES_FOLDER = "bases"
FOLDER_MODE = 0o700
REMOVED_ROWS_MAX = 200
"""Rows removed in one transaction: some milliseconds, ten or twenty where the pages have to be read from the disk (500
rows of a journal of 5 GB took 60 ms). So long an append of messages waits for it at the most."""


class Base(NamedTuple):
    """States the log can begin with."""

    offset: int
    """The last record whose effect is in them."""
    clock: Millis
    """The log's clock then."""


def base_path(folder: Path, offset: int) -> Path:
    """Give the file of the base after a record.

    >>> base_path(Path("data"), 12).as_posix()
    'data/bases/base-12.db'
    """
    return folder / BASES_FOLDER / f"base-{offset}.db"


class JournalRetention:
    """Moves the log's beginning; a connection of its own, for the thread that folds, beside the one that appends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._db = open_database(folder / JOURNAL_FILE)

    def bases(self) -> list[Base]:
        """Give the bases there are, oldest first."""
        return [Base(*row) for row in self._db.execute("SELECT offset, clock FROM bases ORDER BY offset")]

    def begin(self) -> int:
        """Give the record after which the log begins, 0 where it is whole."""
        return self._about("begin")

    def begin_clock(self) -> Millis:
        """Give the log's clock at its beginning, 0 where it is whole."""
        return self._about("begin_clock")

    def _about(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def make_base(self, base: Base, copy_to: Callable[[Path], None]) -> None:
        """Make a base, whole before it has its name, and note it; `copy_to` writes the states to a path, durably."""
        path = base_path(self._folder, base.offset)
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        part = path.with_suffix(".part")
        for leftover in path.parent.glob("*.part*"):
            leftover.unlink()
        copy_to(part)
        part.rename(path)
        sync_file(path.parent)
        sync_file(self._folder)
        self._db.execute("INSERT OR REPLACE INTO bases VALUES (?, ?)", base)

    def begin_at(self, base: Base) -> bool:
        """Let the log begin after a base, durably; says whether it does: not where the base's file is gone."""
        if not base_path(self._folder, base.offset).exists():
            self._db.execute("DELETE FROM bases WHERE offset = ?", (base.offset,))
            return False
        with transaction(self._db) as db:
            db.execute("INSERT OR REPLACE INTO about VALUES ('begin', ?)", (str(base.offset),))
            db.execute("INSERT OR REPLACE INTO about VALUES ('begin_clock', ?)", (str(base.clock),))
        return True

    def remove_some(self) -> bool:
        """Remove a batch of what lies before the beginning; say whether there may be more.

        Not synchronised by itself: a removal that a loss of power undoes is done again.
        """
        begin = self.begin()
        if begin == 0:
            return False
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            with transaction(self._db) as db:
                (first,) = db.execute("SELECT min(offset) FROM events").fetchone()
                if first is not None and first <= begin:
                    last = min(first + REMOVED_ROWS_MAX - 1, begin)
                    # Together: a message is remembered exactly as long as its record is there.
                    for statement in _REMOVALS:
                        db.execute(statement, (last,))
                    return True
                removed = db.execute(_OLD_LETTERS, (self.begin_clock(), REMOVED_ROWS_MAX)).rowcount
            return int(removed) == REMOVED_ROWS_MAX
        finally:
            self._db.execute("PRAGMA synchronous=FULL")

    def remove_bases(self) -> None:
        """Remove the bases before the beginning, and files nobody knows of (a base that was interrupted)."""
        begin = self.begin()
        self._db.execute("DELETE FROM bases WHERE offset < ?", (begin,))
        kept = {base_path(self._folder, base.offset) for base in self.bases()} | {base_path(self._folder, begin)}
        for path in (self._folder / BASES_FOLDER).glob("base-*"):
            if path not in kept:
                path.unlink()

    def patients_unused(self, before: Millis) -> Iterator[str]:
        """Give the patients that no message has named since `before`."""
        query = "SELECT patient FROM identities GROUP BY patient HAVING max(used_time) < ?"
        for (patient,) in self._db.execute(query, (before,)):
            yield str(patient)

    def write_back(self) -> None:
        """Write the write-ahead log back into the file as far as no reader needs it; nobody waits for it."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


_REMOVALS = (
    "DELETE FROM events WHERE offset <= ?",
    "DELETE FROM messages WHERE offset <= ?",
    "DELETE FROM hashes WHERE offset <= ?",
)
_OLD_LETTERS = (
    "DELETE FROM dead_letters WHERE number IN (SELECT number FROM dead_letters WHERE received_time < ? LIMIT ?)"
)
