"""The journal's tables, and how an older release's file becomes this one's.

Owns the schema and its migrations. Must not know what an event or an output means.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from connectors.durable import sync_file
from connectors.sqlite.outputs import OUTPUTS_FILE, SqliteOutputs, StoredOutput, patient_of
from connectors.sqlite.transaction import transaction

JOURNAL_FILE = "journal.db"
SCHEMA_VERSION = 2
"""1, release 0.1.0: outputs in the journal, messages under their hashes. 2: outputs in a file of their own, a log that
may have a beginning."""
READABLE_SCHEMAS = ("1", "2")
"""The log itself has been the same since the first release, so an older file can be read as it is."""
MIGRATED_ROWS = 500
"""Outputs moved at a time: bounded memory."""


class JournalError(RuntimeError):
    """The journal cannot be used as it is: the operator's to mend; the text says how."""


_ABOUT = "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_FORMER_KEYS = (
    "CREATE TABLE IF NOT EXISTS former_keys ("
    " authority TEXT NOT NULL, value TEXT NOT NULL, keys TEXT NOT NULL, PRIMARY KEY (authority, value)) WITHOUT ROWID"
)
"""Added beside schema 2, not in its place: a release that does not know it works as it did, and unmerges nobody."""
_DECISIONS = (
    "CREATE TABLE IF NOT EXISTS decisions ("
    " sequence INTEGER PRIMARY KEY, received_time INTEGER NOT NULL, decision BLOB NOT NULL)"
)
"""What people decided, kept for good. Added beside schema 2 too: a release that does not know it reads the same log."""
_NEW_IN_2 = (
    _FORMER_KEYS,
    _DECISIONS,
    "CREATE TABLE IF NOT EXISTS messages (offset INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS hashes (hash BLOB PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS hashes_by_offset ON hashes (offset)",
    "CREATE INDEX IF NOT EXISTS dead_letters_by_time ON dead_letters (received_time)",
    "CREATE TABLE IF NOT EXISTS bases (offset INTEGER PRIMARY KEY, clock INTEGER NOT NULL)",
)
_SCHEMA = (
    _ABOUT,
    "CREATE TABLE IF NOT EXISTS events ("
    " offset INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, received_time INTEGER NOT NULL, envelope BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS dead_letters ("
    " number INTEGER PRIMARY KEY, received_time INTEGER NOT NULL, letter BLOB NOT NULL, bytes BLOB)",
    "CREATE TABLE IF NOT EXISTS identities ("
    " authority TEXT NOT NULL, value TEXT NOT NULL, patient TEXT NOT NULL, used_time INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (authority, value)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    *_NEW_IN_2,
)


def prepare(database: sqlite3.Connection, folder: Path) -> None:
    """Make the tables of a new journal, or bring an older one up to date; a newer one is left for its reader to refuse.

    Whole or not at all: what is interrupted is done again from its beginning by the next opening.
    """
    found = _schema_of(database)
    if found == 0:
        with transaction(database) as db:
            for statement in _SCHEMA:
                db.execute(statement)
            # A name by which stored states know their journal.
            rows = [("schema", str(SCHEMA_VERSION)), ("journal", secrets.token_hex(16))]
            db.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", rows)
    elif found == 1:
        _move_outputs(database, folder)
        with transaction(database) as db:
            _to_2(db)
    elif found == SCHEMA_VERSION:
        database.execute(_FORMER_KEYS)
        database.execute(_DECISIONS)


def _schema_of(database: sqlite3.Connection) -> int:
    """Give the schema's number, 0 where there is none yet."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    row = database.execute("SELECT value FROM about WHERE name = 'schema'").fetchone() if "about" in tables else None
    if row is None:
        # Release 0.1.0 made its tables before it wrote their number; killed in between, it left an empty journal.
        return 1 if "outputs" in tables else 0
    return int(row[0]) if str(row[0]).isdecimal() else SCHEMA_VERSION + 1


def _move_outputs(database: sqlite3.Connection, folder: Path) -> None:
    """Copy the outputs to their own file, complete before it has its name; the journal keeps them until it has."""
    part = folder / f"{OUTPUTS_FILE}.part"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{part}{suffix}").unlink(missing_ok=True)
    # An older release did not note which record an output came of: the last one is never before the true one, and the
    # log can only begin after it.
    (end,) = database.execute("SELECT coalesce(max(offset), 0) FROM events").fetchone()
    rows = database.execute("SELECT kind, id, content FROM outputs ORDER BY number")
    with SqliteOutputs(part) as outputs:
        while page := rows.fetchmany(MIGRATED_ROWS):
            outputs.append_outputs([StoredOutput(kind, name, patient_of(data), end, data) for kind, name, data in page])
        outputs.settle()
    sync_file(part)
    for suffix in ("-wal", "-shm"):
        Path(f"{folder / OUTPUTS_FILE}{suffix}").unlink(missing_ok=True)
    part.rename(folder / OUTPUTS_FILE)
    sync_file(folder)


def _to_2(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE messages RENAME TO messages_1")
    for statement in _NEW_IN_2:
        db.execute(statement)
    db.execute("INSERT INTO hashes SELECT hash, offset FROM messages_1")
    # The parts of one moment each carried the whole message.
    db.execute("INSERT INTO messages SELECT offset, max(bytes) FROM messages_1 WHERE bytes IS NOT NULL GROUP BY offset")
    db.execute("DROP TABLE messages_1")
    db.execute("ALTER TABLE identities ADD COLUMN used_time INTEGER NOT NULL DEFAULT 0")
    # From here on they count as named when the release came: none goes before it has had its full time.
    db.execute(
        "UPDATE identities SET used_time = coalesce((SELECT received_time FROM events ORDER BY offset DESC LIMIT 1), 0)"
    )
    db.execute("DROP TABLE outputs")
    rows = [("schema", "2"), ("journal", secrets.token_hex(16))]
    db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", rows[0])
    db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", rows[1])
