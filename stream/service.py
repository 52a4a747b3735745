"""The embedded service over a data folder: journal and state in SQLite, the host between them.

Owns the wiring and what is read back from the folder. Must not know a format, a socket or how anything is shown.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from alerts.book import UnreadableBookError
from connectors.decoded import Identifier
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import JournalError, SqliteJournal
from connectors.sqlite.state_store import SqliteStateStore
from features.encoding import CorruptStateError, UnknownStateVersionError
from features.store import MemoryStateStore
from models.version import ModelVersion
from stream.control import ForeignStateError
from stream.digest import RunDigest
from stream.effects import Effect, effect_id, effect_kind, encode_effect
from stream.host import EmbeddedHost, Release
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parsed, Parser, RecentMessages
from stream.records import LIVE_RECORDS_MAX, UnreadableRecordError
from stream.settings import Settings

STATE_FILE = "state.db"
"""The states lie beside `journal.db`, and can be remade from it."""
DATA_FOLDER_MODE = 0o700
"""The folder holds patient identifiers: nobody but the service's user reads it."""


LOCK_FILE = "lock"
UNUSABLE_STATES = (
    ForeignStateError,
    UnreadableRecordError,
    UnreadableBookError,
    CorruptStateError,
    UnknownStateVersionError,
    UnicodeDecodeError,
    sqlite3.DatabaseError,
)
"""What says that stored states are of no use; all of them can be remade from the log."""


def _lock_folder(folder: Path) -> IO[bytes]:
    """Take the folder for this process; raises `JournalError` where another has it. Freed on any death."""
    lock = (folder / LOCK_FILE).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise JournalError(f"{folder} is open in another process; stop that one first") from None
    return lock


class JournalledMessages:
    """Remembers accepted messages in the journal, and those of the batch at hand."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._batch: set[bytes] = set()

    def add(self, content_hash: bytes) -> bool:
        """Remember a content hash; say whether it is new."""
        if content_hash in self._batch or self._journal.seen(content_hash):
            return False
        self._batch.add(content_hash)
        return True

    def clear(self) -> None:
        """Forget the batch: the journal has it."""
        self._batch.clear()


class EmbeddedService:
    """One data folder, opened by one process: a second one is refused.

    On opening, whatever was acknowledged and not yet folded is folded: a crash at any moment loses nothing. States that
    are damaged, or of another journal or release, are set aside and folded anew from the log.

    `listen` hears every effect as it is carried out; `warn` hears what the operator should know.
    """

    def __init__(
        self,
        folder: Path,
        release: Release,
        versions: Mapping[str, ModelVersion],
        pseudonyms: Pseudonyms | None = None,
        live_records_max: int = LIVE_RECORDS_MAX,
        *,
        listen: Callable[[Sequence[Effect]], None] = lambda _effects: None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=DATA_FOLDER_MODE)
        self._lock = _lock_folder(folder)
        self._folder = folder
        self.listen = listen
        self._warn = warn
        self.diverged = 0
        """Outputs that a repeat of work gave other bytes for; the first ones stand."""
        self.journal = SqliteJournal(folder)
        known = {Identifier(authority, value): key for authority, value, key in self.journal.identities()}
        self._seen = JournalledMessages(self.journal)
        self._store: SqliteStateStore | None = None
        self._parser = Parser(IdentityMap(pseudonyms or Pseudonyms(), known), self._seen)
        try:
            self._open(versions, live_records_max)
        except UNUSABLE_STATES as fault:
            if isinstance(fault, sqlite3.OperationalError):
                raise  # A full disk or a lock says nothing of the states.
            self._set_states_aside(type(fault).__name__)
            self._open(versions, live_records_max)
        # A millisecond on: a release that comes back without any traffic in between is a record of its own.
        self.host.release(release, self.host.pipeline.control.clock + 1)

    def _open(self, versions: Mapping[str, ModelVersion], live_records_max: int) -> None:
        self._store = None
        store = self._store = SqliteStateStore(self._folder / STATE_FILE)
        if store.watermark() > self.journal.end():
            # Records taken in now would stand before the watermark, and never be folded: nobody would be told.
            raise JournalError(
                f"{STATE_FILE} is ahead of the log: restore both files from one backup, or remove it to refold"
            )
        self.host = EmbeddedHost(
            self.journal,
            store,
            self._parser,
            versions=versions,
            carry_out=self._carry_out,
            live_records_max=live_records_max,
        )

    def _set_states_aside(self, fault: str) -> None:
        """Move the state files out of the way; the log remakes them."""
        if self._store is not None:
            self._store.close()
        number = 1
        while (self._folder / f"{STATE_FILE}.aside-{number}").exists():
            number += 1
        for suffix in ("", "-wal", "-shm"):
            path = self._folder / f"{STATE_FILE}{suffix}"
            if path.exists():
                path.rename(self._folder / f"{STATE_FILE}.aside-{number}{suffix}")
        self._warn(
            f"the stored states cannot be used ({fault}): set aside as {STATE_FILE}.aside-{number}, refolding the log"
        )

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        diverged = self.journal.append_outputs(
            [(effect_kind(effect), effect_id(effect), encode_effect(effect)) for effect in effects]
        )
        if diverged:
            self.diverged += len(diverged)
            self._warn(f"{len(diverged)} outputs came out otherwise than they were first given, such as {diverged[0]}")
        self.listen(effects)

    def accept(self, arrivals: Sequence[Arrival]) -> list[Parsed]:
        """Make a batch durable (its senders may be told on return), then fold it."""
        try:
            parsed = self.host.accept(arrivals)
        finally:
            # Also of a batch that could not be stored: sent again, its messages are new.
            self._seen.clear()
        self.host.fold()
        return parsed

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.host.pipeline.control.settings

    def close(self) -> None:
        """Store the states and close both files; opening again goes on from here."""
        self.host.checkpoint()
        if self._store is not None:
            self._store.close()
        self.journal.close()
        self._lock.close()

    def digest(self) -> str:
        """Digest everything ever put out by this folder: equal to a replay of its journal."""
        digest = RunDigest()
        for kind, name, content in self.journal.outputs():
            digest.add(kind, name, content)
        return digest.hexdigest()


def open_for_reading(folder: Path, versions: Mapping[str, ModelVersion]) -> EmbeddedHost:
    """Open a data folder beside the service that runs on it: everything acknowledged is folded, in memory alone.

    Raises `JournalError` where there is no journal.
    """
    journal = SqliteJournal(folder, read_only=True)
    states = folder / STATE_FILE
    return EmbeddedHost(
        journal,
        SqliteStateStore(states, read_only=True) if states.exists() else MemoryStateStore(),
        Parser(IdentityMap(Pseudonyms()), RecentMessages()),
        versions=versions,
        carry_out=lambda _effects: None,
        durable=False,
    )
