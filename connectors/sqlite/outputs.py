"""What the service put out, in a SQLite file of its own: alerts, scores, suppressions, in the order they came about.

Owns the table `outputs` of `DIR/outputs.db`. Must not know what an output says beyond whose it is and, of an alert, its
state. Its commits never wait for those of the log: another file, another thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from connectors.sqlite.files import open_database
from connectors.sqlite.transaction import transaction

OUTPUTS_FILE = "outputs.db"

_SCHEMA = (
    # AUTOINCREMENT: a number is never given twice, also after the retention removed the newest; listeners resume by it.
    "CREATE TABLE IF NOT EXISTS outputs ("
    " number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, patient TEXT NOT NULL,"
    " offset INTEGER NOT NULL, content BLOB NOT NULL, UNIQUE (kind, id))",
    "CREATE INDEX IF NOT EXISTS outputs_by_patient ON outputs (patient, number)",
    "CREATE INDEX IF NOT EXISTS outputs_by_kind ON outputs (kind, number)",
    "CREATE INDEX IF NOT EXISTS outputs_by_offset ON outputs (offset)",
)


class StoredOutput(NamedTuple):
    """One output, ready to be stored."""

    kind: str
    name: str
    """Its derived id: the same cause gives the same one."""
    patient: str
    """The patient key; empty where it is of none."""
    offset: int
    """The record of the log that it came of."""
    content: bytes


class AlertRow(NamedTuple):
    """One alert event as it was put out."""

    number: int
    """Its place among all outputs: listeners resume after it."""
    state: str
    disposition: str
    content: bytes


class _Whose(msgspec.Struct):
    patient: str = ""


class _AlertState(msgspec.Struct):
    state: str = ""
    disposition: str = ""


def patient_of(content: bytes) -> str:
    """Give the patient key of an output's content, empty where it names none.

    >>> patient_of(b'{"patient":"p1","total":3}'), patient_of(b"{}")
    ('p1', '')
    """
    return msgspec.json.decode(content, type=_Whose).patient


class SqliteOutputs:
    """The outputs of one embedded service. One writer; any number of readers, each with an object of its own.

    `path` is the file. Raises `sqlite3.Error` where it cannot be used.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or make the file; `read_only` opens one that is there and changes nothing."""
        self.path = path
        self._db = open_database(path, read_only=read_only)
        if not read_only:
            with transaction(self._db) as db:
                for statement in _SCHEMA:
                    db.execute(statement)

    def append_outputs(self, outputs: Sequence[StoredOutput]) -> list[str]:
        """Store outputs durably; the same again is no change.

        What was said stands: a repeat that gives other bytes changes nothing either, and its `kind id` is given back,
        for the operator to hear of. It happens where a log is folded again by another release, or without a model.
        """
        diverged: list[str] = []
        with transaction(self._db) as db:
            for output in outputs:
                added = db.execute(
                    "INSERT OR IGNORE INTO outputs (kind, id, patient, offset, content) VALUES (?, ?, ?, ?, ?)", output
                ).rowcount
                if not added and not self._is_stored(output):
                    diverged.append(f"{output.kind} {output.name}")
        return diverged

    def _is_stored(self, output: StoredOutput) -> bool:
        (stored,) = self._db.execute(
            "SELECT content FROM outputs WHERE kind = ? AND id = ?", (output.kind, output.name)
        ).fetchone()
        return bool(stored == output.content)

    def outputs(self, after: int = 0) -> Iterator[tuple[str, str, bytes]]:
        """Give (kind, id, content) of all that came of records after an offset, in the order they came about."""
        yield from self._db.execute("SELECT kind, id, content FROM outputs WHERE offset > ? ORDER BY number", (after,))

    def alerts_after(self, number: int, limit: int) -> list[AlertRow]:
        """Give the alert events after a number, in order, at most `limit`."""
        rows = self._db.execute(
            "SELECT number, content FROM outputs WHERE kind = 'alerts' AND number > ? ORDER BY number LIMIT ?",
            (number, limit),
        )
        read = msgspec.json.Decoder(_AlertState).decode
        said = ((at, read(content), content) for at, content in rows)
        return [AlertRow(at, alert.state, alert.disposition, content) for at, alert, content in said]

    def newest_alert(self) -> int:
        """Give the number of the newest alert event, 0 where there is none."""
        (newest,) = self._db.execute("SELECT coalesce(max(number), 0) FROM outputs WHERE kind = 'alerts'").fetchone()
        return int(newest)

    def oldest_alert(self) -> int:
        """Give the number of the oldest alert event that is kept, 0 where there is none."""
        (oldest,) = self._db.execute("SELECT coalesce(min(number), 0) FROM outputs WHERE kind = 'alerts'").fetchone()
        return int(oldest)

    def latest_score(self, patient: str) -> bytes | None:
        """Give a patient's newest score as it was put out, or None."""
        row = self._db.execute(
            "SELECT content FROM outputs INDEXED BY outputs_by_patient WHERE patient = ? AND kind = 'scores'"
            " ORDER BY number DESC LIMIT 1",
            (patient,),
        ).fetchone()
        return bytes(row[0]) if row else None

    def alerts_of(self, patient: str) -> list[bytes]:
        """Give a patient's alert events that are kept, in order."""
        rows = self._db.execute(
            "SELECT content FROM outputs INDEXED BY outputs_by_patient WHERE patient = ? AND kind = 'alerts'"
            " ORDER BY number",
            (patient,),
        )
        return [bytes(content) for (content,) in rows]

    def last_offset(self) -> int:
        """Give the record of the log that the newest output came of, 0 where there is none."""
        (last,) = self._db.execute("SELECT coalesce(max(offset), 0) FROM outputs").fetchone()
        return int(last)

    def remove_some(self, offset: int, rows_max: int) -> bool:
        """Remove outputs that came of records up to an offset, some rows at a time; say whether any are left."""
        with transaction(self._db) as db:
            removed = db.execute(
                "DELETE FROM outputs WHERE number IN (SELECT number FROM outputs WHERE offset <= ? LIMIT ?)",
                (offset, rows_max),
            ).rowcount
        return int(removed) == rows_max

    def write_back(self) -> None:
        """Write the write-ahead log back into the file as far as no reader needs it; nobody waits for it."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def settle(self) -> None:
        """Have all of it in the one file, without a write-ahead log beside it: the file may then be moved."""
        self._db.execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
