"""The embedded journal: messages, the events made of them, dead letters, identities and outputs, in one SQLite file.

Owns the schema, durability (WAL, `synchronous=FULL`: a commit returns after fsync) and the order of the log. Must not
know what an event means or what an output says: an output is bytes under an id here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from events import Envelope, decode_envelope, encode_envelope

SCHEMA_VERSION = 1
PAGE_ROWS = 500
"""Rows fetched at a time when the log is read: bounded memory, few round trips."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    offset INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, received_time INTEGER NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (hash BLOB PRIMARY KEY, offset INTEGER NOT NULL, bytes BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    number INTEGER PRIMARY KEY, received_time INTEGER NOT NULL, letter BLOB NOT NULL, bytes BLOB);
CREATE TABLE IF NOT EXISTS identities (
    authority TEXT NOT NULL, value TEXT NOT NULL, patient TEXT NOT NULL, PRIMARY KEY (authority, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outputs (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, content BLOB NOT NULL, UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


class JournalError(RuntimeError):
    """The journal cannot be used as it is: the operator's to mend; the text says how."""


class DivergedOutputError(RuntimeError):
    """A repeat of work gave other bytes under the same id: our bug, and never written over."""


class LogRecord(NamedTuple):
    """One record of the log, ready to be appended, with the message it was made of (None for control events)."""

    envelope: Envelope
    message_hash: bytes | None
    message: bytes | None


class DeadLetterRow(NamedTuple):
    """One dead letter, ready to be appended."""

    received_time: int
    letter: bytes
    message: bytes | None


class SqliteJournal:
    """The log of one embedded service, in `DIR/journal.db`. One writer at a time.

    Raises `JournalError` where the file is of another schema or no database.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.db"
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._check_schema()
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path.name} is no journal of ours ({error}); choose another folder") from None

    def _check_schema(self) -> None:
        self._db.execute("INSERT OR IGNORE INTO about VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        (found,) = self._db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
        if found != str(SCHEMA_VERSION):
            raise JournalError(f"the journal has schema {found}, this release reads {SCHEMA_VERSION}")

    def append(
        self,
        records: Sequence[LogRecord],
        dead_letters: Sequence[DeadLetterRow],
        identities: Sequence[tuple[str, str, str]],
        counts: dict[str, int],
    ) -> int:
        """Store a batch in one transaction, durable on return; give the log's end offset."""
        db = self._db
        end = self.end()
        db.execute("BEGIN IMMEDIATE")
        try:
            for record in records:
                end += 1
                envelope = record.envelope
                db.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?)",
                    (end, envelope.envelope_id, envelope.received_time, encode_envelope(envelope)),
                )
                if record.message_hash is not None:
                    db.execute("INSERT INTO messages VALUES (?, ?, ?)", (record.message_hash, end, record.message))
            db.executemany(
                "INSERT INTO dead_letters (received_time, letter, bytes) VALUES (?, ?, ?)",
                dead_letters,
            )
            db.executemany("INSERT OR REPLACE INTO identities VALUES (?, ?, ?)", identities)
            db.executemany(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                sorted(counts.items()),
            )
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return end

    def append_outputs(self, outputs: Sequence[tuple[str, str, bytes]]) -> None:
        """Store (kind, id, content) durably; the same again is no change, other bytes raise `DivergedOutputError`."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for kind, name, content in outputs:
                added = db.execute(
                    "INSERT OR IGNORE INTO outputs (kind, id, content) VALUES (?, ?, ?)", (kind, name, content)
                ).rowcount
                if not added:
                    self._check_same(kind, name, content)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _check_same(self, kind: str, name: str, content: bytes) -> None:
        (stored,) = self._db.execute("SELECT content FROM outputs WHERE kind = ? AND id = ?", (kind, name)).fetchone()
        if stored != content:
            raise DivergedOutputError(f"{kind} {name}: a repeat gave other content")

    def end(self) -> int:
        """Give the offset of the last record, 0 where there is none."""
        (end,) = self._db.execute("SELECT coalesce(max(offset), 0) FROM events").fetchone()
        return int(end)

    def seen(self, content_hash: bytes) -> bool:
        """Say whether a message of this content was accepted."""
        return self._db.execute("SELECT 1 FROM messages WHERE hash = ?", (content_hash,)).fetchone() is not None

    def read(self, after: int = 0) -> Iterator[tuple[int, Envelope]]:
        """Give (offset, envelope) of the records after an offset, in order, a page at a time."""
        while True:
            page = self._db.execute(
                "SELECT offset, envelope FROM events WHERE offset > ? ORDER BY offset LIMIT ?", (after, PAGE_ROWS)
            ).fetchall()
            if not page:
                return
            for offset, data in page:
                yield offset, decode_envelope(data)
            after = page[-1][0]

    def identities(self) -> Iterator[tuple[str, str, str]]:
        """Give every stored (authority, value, patient)."""
        yield from self._db.execute("SELECT authority, value, patient FROM identities")

    def outputs(self) -> Iterator[tuple[str, str, bytes]]:
        """Give every stored (kind, id, content), in the order they came about."""
        yield from self._db.execute("SELECT kind, id, content FROM outputs ORDER BY number")

    def dead_letters(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Give every (dead letter, original bytes), in order."""
        yield from self._db.execute("SELECT letter, bytes FROM dead_letters ORDER BY number")

    def counts(self) -> dict[str, int]:
        """Give the message counts as of the last commit."""
        return dict(self._db.execute("SELECT name, value FROM counts ORDER BY name").fetchall())

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()
