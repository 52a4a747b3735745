"""Patient states in SQLite, for the embedded host.

Owns the tables `patient_state` and `state_log` of its file. Must not know what a state holds. One commit is one
transaction with `synchronous=FULL` on a write-ahead log: what was committed survives a kill and a loss of power.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from connectors.sqlite.files import copy_database, open_database
from connectors.sqlite.transaction import transaction
from features.store import FencedError, WatermarkError

KEYS_PER_QUERY_MAX = 500
"""SQLite builds have allowed no more than 999 parameters in one statement; half of it leaves room."""

NO_EPOCH = 0
"""The epoch of a reader: every commit under it is fenced."""

_SCHEMA = """
create table if not exists patient_state (key text primary key, state blob not null) without rowid;
create table if not exists state_log (
    only integer primary key check (only = 1), epoch integer not null, watermark integer not null
);
-- -1 is features.store.BEFORE_FIRST; the laws test it
insert or ignore into state_log values (1, 0, -1);
"""


class SqliteStateStore:
    """The state store port on one SQLite file; `:memory:` is allowed. Close it, or use it in `with`.

    >>> with SqliteStateStore(":memory:") as store:
    ...     store.commit(store.acquire_epoch(), {"p": b"state"}, watermark=0)
    ...     store.load(["p", "q"]), store.watermark()
    ({'p': b'state'}, 0)
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        """Open or make the store; `read_only` opens one that is there, and no commit to it is possible."""
        self.path = path
        self._read_only = read_only
        if isinstance(path, Path):
            self._connection = open_database(path, read_only=read_only)
        else:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if read_only:
            # One moment for all that is read: the watermark and the states of then, whoever stores beside us.
            self._connection.execute("begin")
            self._connection.execute("select 1 from state_log").fetchone()
        else:
            self._connection.executescript(_SCHEMA)

    def acquire_epoch(self) -> int:
        """Take a new epoch, one higher than any before, also across processes."""
        if self._read_only:
            return NO_EPOCH
        row = self._connection.execute("update state_log set epoch = epoch + 1 returning epoch").fetchone()
        return int(row[0])

    def watermark(self) -> int:
        """Give the position of the last record whose effect is here."""
        return int(self._connection.execute("select watermark from state_log").fetchone()[0])

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the states of those keys that have one."""
        wanted = list(keys)
        found: dict[str, bytes] = {}
        for start in range(0, len(wanted), KEYS_PER_QUERY_MAX):
            part = wanted[start : start + KEYS_PER_QUERY_MAX]
            marks = ",".join("?" * len(part))
            query = f"select key, state from patient_state where key in ({marks})"  # noqa: S608 -- only question marks
            found.update(self._connection.execute(query, part))
        return found

    def keys(self) -> set[str]:
        """Give every key that has a state."""
        return {key for (key,) in self._connection.execute("select key from patient_state")}

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Give every key with its state, in order of key."""
        yield from self._connection.execute("select key, state from patient_state order by key")

    def commit(self, epoch: int, states: Mapping[str, bytes | None], watermark: int) -> None:
        """Write states (None deletes) with the new watermark, in one transaction."""
        with transaction(self._connection) as connection:
            owner, reached = connection.execute("select epoch, watermark from state_log").fetchone()
            if epoch != owner:
                raise FencedError(f"epoch {epoch}, now {owner}")
            if watermark < reached:
                raise WatermarkError(f"{watermark} is before {reached}")
            connection.executemany(
                "insert into patient_state values (?, ?) on conflict (key) do update set state = excluded.state",
                [(key, state) for key, state in states.items() if state is not None],
            )
            connection.executemany(
                "delete from patient_state where key = ?", [(key,) for key, state in states.items() if state is None]
            )
            connection.execute("update state_log set watermark = ?", (watermark,))

    def write_back(self) -> None:
        """Write the write-ahead log back into the file as far as no reader needs it; nobody waits for it."""
        self._connection.execute("pragma wal_checkpoint(passive)").fetchone()

    def copy_to(self, path: Path) -> None:
        """Write a copy as it is committed now, in one file that needs nothing beside it; durable on return."""
        copy_database(self._connection, path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
