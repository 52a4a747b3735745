"""The embedded journal: messages, the events made of them, dead letters, identities and outputs, in one SQLite file.

Owns the schema, durability (WAL, `synchronous=FULL`: a commit returns after fsync) and the order of the log. Must not
know what an event means or what an output says: an output is bytes under an id here.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from connectors.sqlite.files import make_private
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


class LogRecord(NamedTuple):
    """One record of the log, ready to be appended, with the message it was made of (none for control events)."""

    envelope: Envelope
    message_hashes: tuple[bytes, ...] = ()
    """The content hashes by which the message, or each of its joined parts, is known again."""
    message: bytes | None = None


class DeadLetterRow(NamedTuple):
    """One dead letter, ready to be appended."""

    received_time: int
    letter: bytes
    message: bytes | None


class SqliteJournal:
    """The log of one embedded service, in `DIR/journal.db`. One writer at a time.

    Raises `JournalError` where the file is of another schema or no database.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or make the journal of `folder`; `read_only` opens one that is there and changes nothing."""
        self.path = folder / "journal.db"
        try:
            if read_only:
                self._db = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, isolation_level=None)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                make_private(self.path)
                self._db = sqlite3.connect(self.path, isolation_level=None)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.executescript(_SCHEMA)
                self._introduce()
            self._check_schema()
        except sqlite3.OperationalError as error:
            raise JournalError(f"{self.path}: {error}; check that it is there, readable and not locked") from None
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path.name} is no journal of ours ({error}); choose another folder") from None

    def _introduce(self) -> None:
        """Write the schema's number, and a name by which stored states know their journal."""
        rows = [("schema", str(SCHEMA_VERSION)), ("journal", secrets.token_hex(16))]
        self._db.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", rows)

    def _check_schema(self) -> None:
        found = self._about("schema")
        if found != str(SCHEMA_VERSION):
            raise JournalError(f"the journal has schema {found}, this release reads {SCHEMA_VERSION}")

    def _about(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    @property
    def name(self) -> str:
        """The journal's own random name, given when it was made."""
        return self._about("journal")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of a block or nothing of it; the error that stopped it is the one that is raised."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself (a full disk): rolling back again would hide the reason.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def append(
        self,
        records: Sequence[LogRecord],
        dead_letters: Sequence[DeadLetterRow],
        identities: Sequence[tuple[str, str, str]],
        counts: dict[str, int],
    ) -> int:
        """Store a batch in one transaction, durable on return; give the log's end offset."""
        with self._transaction() as db:
            end = self.end()
            for record in records:
                end += 1
                envelope = record.envelope
                db.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?)",
                    (end, envelope.envelope_id, envelope.received_time, encode_envelope(envelope)),
                )
                messages = [(content_hash, end, record.message) for content_hash in record.message_hashes]
                db.executemany("INSERT OR IGNORE INTO messages VALUES (?, ?, ?)", messages)
            db.executemany(
                "INSERT INTO dead_letters (received_time, letter, bytes) VALUES (?, ?, ?)",
                dead_letters,
            )
            db.executemany("INSERT OR REPLACE INTO identities VALUES (?, ?, ?)", identities)
            db.executemany(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                sorted(counts.items()),
            )
        return end

    def append_outputs(self, outputs: Sequence[tuple[str, str, bytes]]) -> list[str]:
        """Store (kind, id, content) durably; the same again is no change.

        What was said stands: a repeat that gives other bytes changes nothing either, and its `kind id` is given back,
        for the operator to hear of. It happens where a log is folded again by another release, or without a model.
        """
        diverged: list[str] = []
        with self._transaction() as db:
            for kind, name, content in outputs:
                added = db.execute(
                    "INSERT OR IGNORE INTO outputs (kind, id, content) VALUES (?, ?, ?)", (kind, name, content)
                ).rowcount
                if not added and not self._is_stored(kind, name, content):
                    diverged.append(f"{kind} {name}")
        return diverged

    def _is_stored(self, kind: str, name: str, content: bytes) -> bool:
        (stored,) = self._db.execute("SELECT content FROM outputs WHERE kind = ? AND id = ?", (kind, name)).fetchone()
        return bool(stored == content)

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
                if offset != after + 1:
                    raise JournalError(f"the log has a gap: record {after + 1} is missing; restore it from a backup")
                yield offset, decode_envelope(data)
                after = offset

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
