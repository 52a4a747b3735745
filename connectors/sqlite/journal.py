"""The embedded journal: the log, the messages it was made of, dead letters and identities, in one SQLite file.

Owns durability (WAL, `synchronous=FULL`: a commit returns after fsync) and the order of the log. Must not know what an
event means. What was put out lies in a file of its own (connectors/sqlite/outputs.py), so that neither waits for the
other. What the log has before its beginning was removed by the retention (connectors/sqlite/retention.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.sqlite.files import open_database
from connectors.sqlite.journal_schema import JOURNAL_FILE, READABLE_SCHEMAS, SCHEMA_VERSION, JournalError, prepare
from connectors.sqlite.transaction import transaction
from events import Envelope, Millis, decode_envelope, encode_envelope

__all__ = ["JOURNAL_FILE", "SCHEMA_VERSION", "Batch", "DeadLetterRow", "JournalError", "LogRecord", "SqliteJournal"]

PAGE_ROWS = 500
"""Rows fetched at a time when the log is read: bounded memory, few round trips."""


class LogRecord(NamedTuple):
    """One record of the log, ready to be appended, with the message it was made of (none for control events)."""

    envelope: Envelope
    message_hashes: tuple[bytes, ...] = ()
    """The content hashes by which the message, or each of its joined parts, is known again."""
    message: bytes | None = None
    decision: tuple[int, bytes] | None = None
    """Of a record that somebody decided: the decision's sequence and what is kept of it for good."""


class DeadLetterRow(NamedTuple):
    """One dead letter, ready to be appended."""

    received_time: int
    letter: bytes
    message: bytes | None


class Batch(msgspec.Struct, frozen=True):
    """What a journal stores together: all of it or nothing."""

    records: Sequence[LogRecord] = ()
    dead_letters: Sequence[DeadLetterRow] = ()
    identities: Sequence[tuple[str, str, str, Millis]] = ()
    """(authority, value, patient key, when the patient was last named, at most a day before)."""
    counts: Mapping[str, int] = {}
    """What is added to the message counts, by name."""
    forgotten: Sequence[tuple[str, str]] = ()
    """Identifiers (authority, value) whose link the retention lets go."""
    former: Sequence[tuple[str, str, str]] = ()
    """(authority, value, the keys that led to the patient's through merges; empty for none) where these changed."""


class SqliteJournal:
    """The log of one embedded service, in `DIR/journal.db`. One writer at a time.

    Two connections, so that two threads may use it: one writes (`append`, `seen`, `end`, `counts`, `identities`,
    `dead_letters`, `name`, `begin`), one reads the log (`read`). The reader sees nothing that is not on the disk.

    Raises `JournalError` where the file is of a newer schema or no database; an older one is brought up to date, or
    read as it is with `read_only`.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open or make the journal of `folder`; `read_only` opens one that is there and changes nothing."""
        self.path = folder / JOURNAL_FILE
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self._db = open_database(self.path, read_only=read_only)
            if not read_only:
                prepare(self._db, folder)
            self._check_schema()
            self._reader = open_database(self.path, read_only=True)
        except sqlite3.OperationalError as error:
            raise JournalError(f"{self.path}: {error}; check that it is there, readable and not locked") from None
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{self.path.name} is no journal of ours ({error}); choose another folder") from None

    def _check_schema(self) -> None:
        found = self._about("schema")
        if found not in READABLE_SCHEMAS:
            raise JournalError(
                f"the journal has schema {found or 'none'}, this release reads up to {SCHEMA_VERSION}: "
                "it was written by a newer release; run that one on it"
            )

    def _about(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    @property
    def name(self) -> str:
        """The journal's own random name, given when it was made."""
        return self._about("journal")

    def begin(self) -> int:
        """Give the offset up to which the log was removed, 0 where it is whole: the first record is the next one."""
        return int(self._about("begin") or 0)

    def begin_clock(self) -> Millis:
        """Give the log's clock at its beginning, 0 where it is whole."""
        return int(self._about("begin_clock") or 0)

    def append(self, batch: Batch) -> int:
        """Store a batch in one transaction, durable on return; give the log's end offset."""
        with transaction(self._db) as db:
            end = self.end()
            for record in batch.records:
                end += 1
                envelope = record.envelope
                db.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?)",
                    (end, envelope.envelope_id, envelope.received_time, encode_envelope(envelope)),
                )
                if record.message is not None:
                    db.execute("INSERT INTO messages VALUES (?, ?)", (end, record.message))
                for content_hash in record.message_hashes:
                    db.execute("INSERT OR IGNORE INTO hashes VALUES (?, ?)", (content_hash, end))
                if record.decision is not None:
                    sequence, decision = record.decision
                    db.execute("INSERT INTO decisions VALUES (?, ?, ?)", (sequence, envelope.received_time, decision))
            db.executemany(
                "INSERT INTO dead_letters (received_time, letter, bytes) VALUES (?, ?, ?)", batch.dead_letters
            )
            db.executemany("DELETE FROM identities WHERE authority = ? AND value = ?", batch.forgotten)
            db.executemany("INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?)", batch.identities)
            db.executemany("INSERT OR REPLACE INTO former_keys VALUES (?, ?, ?)", batch.former)
            if batch.former:
                db.execute("DELETE FROM former_keys WHERE keys = ''")
            db.executemany(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                sorted(batch.counts.items()),
            )
        return end

    def end(self) -> int:
        """Give the offset of the last record, 0 where there never was one."""
        (end,) = self._db.execute(
            "SELECT max(coalesce((SELECT max(offset) FROM events), 0),"
            " coalesce((SELECT CAST(value AS INTEGER) FROM about WHERE name = 'begin'), 0))"
        ).fetchone()
        return int(end)

    def seen(self, content_hash: bytes) -> bool:
        """Say whether a message of this content was accepted."""
        return self._db.execute("SELECT 1 FROM hashes WHERE hash = ?", (content_hash,)).fetchone() is not None

    def read(self, after: int = 0) -> Iterator[tuple[int, Envelope]]:
        """Give (offset, envelope) of the records after an offset, in order, a page at a time.

        Begins at the log's beginning; raises `JournalError` where a record after that is missing.
        """
        if after == 0:
            row = self._reader.execute("SELECT value FROM about WHERE name = 'begin'").fetchone()
            after = int(row[0]) if row else 0
        while True:
            page = self._reader.execute(
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

    def former_keys(self) -> Iterator[tuple[str, str, str]]:
        """Give (authority, value, former patient keys) of every identifier that a merge moved."""
        if self._has("former_keys"):
            yield from self._db.execute("SELECT authority, value, keys FROM former_keys")

    def decisions(self) -> Iterator[tuple[int, Millis, bytes]]:
        """Give (sequence, when it was stored, the decision) of everything that people decided, in order."""
        if self._has("decisions"):
            yield from self._db.execute("SELECT sequence, received_time, decision FROM decisions ORDER BY sequence")

    def _has(self, table: str) -> bool:
        """Whether the file has a table that came beside schema 2; one that is only read may be older."""
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None

    def patients_used(self) -> Iterator[tuple[str, Millis]]:
        """Give every patient that has an identity, with when it was last named."""
        yield from self._db.execute("SELECT patient, max(used_time) FROM identities GROUP BY patient")

    def numbered_dead_letters(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Give every (number, dead letter, original bytes), in order; a number stays with its letter."""
        yield from self._db.execute("SELECT number, letter, bytes FROM dead_letters ORDER BY number")

    def dead_letters(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Give every (dead letter, original bytes), in order."""
        yield from self._db.execute("SELECT letter, bytes FROM dead_letters ORDER BY number")

    def newest_messages(self, limit: int) -> list[tuple[Millis, str, Envelope | None, bytes]]:
        """Give the newest accepted messages and dead letters with their bytes, at most `limit` of each, in order: when
        it was received, the letter's JSON or nothing, the envelope or None, the message.
        """
        accepted = self._db.execute(
            "SELECT events.received_time, '', events.envelope, messages.bytes FROM messages JOIN events USING (offset)"
            " ORDER BY offset DESC LIMIT ?",
            (limit,),
        )
        letters = self._db.execute(
            "SELECT received_time, letter, NULL, bytes FROM dead_letters WHERE bytes IS NOT NULL"
            " ORDER BY number DESC LIMIT ?",
            (limit,),
        )
        rows = [*accepted.fetchall()[::-1], *letters.fetchall()[::-1]]
        found = [
            (
                received,
                bytes(letter).decode() if letter else "",
                decode_envelope(data) if data else None,
                bytes(message),
            )
            for received, letter, data, message in rows
        ]
        return sorted(found, key=lambda row: row[0])

    def counts(self) -> dict[str, int]:
        """Give the message counts as of the last commit."""
        return dict(self._db.execute("SELECT name, value FROM counts ORDER BY name").fetchall())

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._reader.close()
        self._db.close()
