"""The embedded service over a data folder: journal, outputs and states in SQLite, the host between them.

Owns the wiring and what is read back from the folder. Must not know a format, a socket or how anything is shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from connectors.decoded import Identifier
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import JournalError, SqliteJournal
from connectors.sqlite.locks import LOCK_FILE, lock_folder
from connectors.sqlite.outputs import OUTPUTS_FILE, SqliteOutputs, StoredOutput
from connectors.sqlite.state_store import SqliteStateStore
from events import Millis
from models.version import ModelVersion
from stream.deciding import Deciding
from stream.decisions import Decision, availability
from stream.digest import RunDigest
from stream.effects import Effect, effect_id, effect_kind, encode_effect
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import DeadLetter, Parsed, Parser, RecentMessages
from stream.records import LIVE_RECORDS_MAX
from stream.release import Release
from stream.retention import Retention
from stream.settings import Settings, configuration_hash
from stream.states import STATE_FILE, UNUSABLE_STATES, beginning_states, provide_states, set_states_aside

__all__ = ["LOCK_FILE", "STATE_FILE", "EmbeddedService", "JournalledMessages", "open_for_reading"]

ATTEMPTS = 3
"""To open the states: as they are, from the base the log begins with, from the log alone."""
RECALLED_MAX = 5_000
"""Messages looked back over at the start for what their numbers say: some tens of milliseconds."""
DATA_FOLDER_MODE = 0o700
"""The folder holds patient identifiers: nobody but the service's user reads it."""


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


def _open_outputs(path: Path) -> SqliteOutputs:
    try:
        return SqliteOutputs(path)
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path.name} cannot be used ({error}); restore the folder from a backup") from None


class EmbeddedService:
    """One data folder, opened by one process: a second one is refused.

    On opening, whatever was acknowledged and not yet folded is folded: a crash at any moment loses nothing. States that
    are damaged, or of another journal or release, are set aside and folded anew from the log.

    Two threads may use it, one that stores and one that folds; what is for which is said below. Opening and closing is
    for the time before and after. `retention_ms` is how long things are kept, by the log's clock; None keeps all. It
    takes effect where `maintain` is called. `listen` hears every effect as it is carried out; `warn` hears what the
    operator should know.
    """

    def __init__(
        self,
        folder: Path,
        release: Release,
        versions: Mapping[str, ModelVersion],
        pseudonyms: Pseudonyms | None = None,
        live_records_max: int = LIVE_RECORDS_MAX,
        *,
        retention_ms: Millis | None = None,
        listen: Callable[[Sequence[Effect]], None] = lambda _effects: None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=DATA_FOLDER_MODE)
        self._lock = lock_folder(folder)
        self._folder = folder
        self.listen = listen
        self._warn = warn
        self.diverged = 0
        """Outputs that a repeat of work gave other bytes for; the first ones stand."""
        self.journal = SqliteJournal(folder)
        self.outputs = _open_outputs(folder / OUTPUTS_FILE)
        """For the folding thread; others read through a `SqliteOutputs` of their own, opened `read_only`."""
        known = {Identifier(authority, value): key for authority, value, key in self.journal.identities()}
        self._seen = JournalledMessages(self.journal)
        former = {Identifier(authority, value): keys for authority, value, keys in self.journal.former_keys()}
        identities = IdentityMap(pseudonyms or Pseudonyms(), known, used=self.journal.patients_used(), former=former)
        self._parser = Parser(identities, self._seen)
        self._store: SqliteStateStore | None = None
        store = self._open(versions, live_records_max)
        self._retention = Retention(folder, self.outputs, store, retention_ms)
        self._deciding = Deciding(self.journal.decisions(), versions)
        self._begin(release, versions)

    def _begin(self, release: Release, versions: Mapping[str, ModelVersion]) -> None:
        """Enter the release into the log; what people decided while it ran stands, as far as it is at hand."""
        control = self.host.pipeline.control
        # A millisecond on: a release that comes back without any traffic in between is a record of its own.
        at = control.clock + 1
        lacking = self._deciding.lacking(control.sequence, at)
        self.host.enter([*availability(control, versions, at, lacking), *lacking])
        if lacking:
            self._warn(f"{len(lacking)} decisions were lost with the states: they are entered again from the journal")
        decided_name = self._deciding.decided_configuration()
        if decided_name == control.configuration_hash != configuration_hash(release.settings):
            self._warn(f"configuration {decided_name}, as people decided, ends: this start has another --config")
        if control.awaits and (control.version, control.enabled) != (release.version, release.enabled):
            decided = f"version {control.version}" if control.version else "NEWS2 alone"
            self._warn(f"{decided} is in force, as people decided: how the service is started does not change that")
            release = msgspec.structs.replace(release, version=control.version, enabled=control.enabled)
        self.host.release(release, at)
        self._declare_keys(release.settings)

    def _declare_keys(self, settings: Settings) -> None:
        """Let the keys that a start's configuration declares be decided, and say where others stay in force."""
        for problem in self._deciding.decisions.problems():
            self._warn(problem)
        record = self._deciding.keys_of_start(settings, self.host.pipeline.control.clock)
        if record is not None:
            self.host.append_records([record])
            self._deciding.stored(record)
            self.host.fold()
            self._warn(f"decisions need a signature from here on: {', '.join(settings.decision_keys)} may sign")
        elif self._deciding.decisions.keys and not settings.decision_keys:
            self._warn(
                "decisions need a signature, though this start's configuration declares no key: those declared before "
                f"stay in force ({', '.join(self._deciding.decisions.keys)}); a signed `control configure` drops them"
            )

    def _open(self, versions: Mapping[str, ModelVersion], live_records_max: int) -> SqliteStateStore:
        """Open the states and fold what the log has beyond them; those that cannot be used are set aside and remade.

        Tried in turn: the states as they are, the base the log begins with, and the log alone.
        """
        for attempt in range(ATTEMPTS):
            self._store = None
            try:
                use_base = attempt < ATTEMPTS - 1
                store = self._store = provide_states(
                    self._folder, self.journal, versions, self._warn, use_base=use_base
                )
                self._check_watermark(store)
                self.host = EmbeddedHost(
                    self.journal,
                    store,
                    self._parser,
                    versions=versions,
                    carry_out=self._carry_out,
                    live_records_max=live_records_max,
                )
            except UNUSABLE_STATES as fault:
                # A full disk or a lock says nothing of the states.
                if isinstance(fault, sqlite3.OperationalError) or attempt == ATTEMPTS - 1:
                    raise
                self._set_states_aside(type(fault).__name__)
            else:
                return store
        raise AssertionError

    def _check_watermark(self, store: SqliteStateStore) -> None:
        if store.watermark() > self.journal.end():
            # Records taken in now would stand before the watermark, and never be folded: nobody would be told.
            raise JournalError(
                f"{STATE_FILE} is ahead of the log: restore the folder from a backup, or remove {STATE_FILE}* to refold"
            )

    def _set_states_aside(self, fault: str) -> None:
        """Move the state files out of the way; the log remakes them."""
        if self._store is not None:
            self._store.close()
        name = set_states_aside(self._folder)
        self._warn(f"the stored states cannot be used ({fault}): set aside as {name}, refolding the log")

    def _carry_out(self, effects: Sequence[Effect], offsets: Sequence[int]) -> None:
        rows = [
            StoredOutput(effect_kind(one), effect_id(one), getattr(one, "patient", ""), offset, encode_effect(one))
            for one, offset in zip(effects, offsets, strict=True)
        ]
        diverged = self.outputs.append_outputs(rows)
        if diverged:
            self.diverged += len(diverged)
            self._warn(f"{len(diverged)} outputs came out otherwise than they were first given, such as {diverged[0]}")
        self.listen(effects)

    # -- for the thread that stores ---------------------------------------------------------------------------------

    def store(self, arrivals: Sequence[Arrival]) -> list[Parsed]:
        """Make a batch durable, so that its senders may be told on return; folds nothing.

        Raises `sqlite3.Error` or `OSError` where it cannot be stored (a full disk): then nothing of it is kept, and
        the same messages sent again are new.
        """
        patients, before = self._retention.take_forgettable()
        try:
            return self.host.accept(arrivals, patients, before)
        except BaseException:
            self._retention.put_back(patients)
            raise
        finally:
            self._seen.clear()

    def enter_tick(self, at: Millis, *, behind: bool = False) -> bool:
        """Enter the passing of time into the log in a silence; durable on return, not folded.

        Says whether there was anything to enter: not where the log's clock is there already. `behind` says that until
        then senders may not have been heard.
        """
        return self.host.let_time_pass(at, behind=behind)

    def decide(self, decision: Decision, at: Millis) -> int:
        """Enter what somebody decided into the log; durable on return, not folded. Give its sequence.

        Raises `ConfigurationError` or `NoSuchVersionError` where it cannot be put into force, `sqlite3.Error` or
        `OSError` where it cannot be stored; nothing is entered then.
        """
        record = self._deciding.record_of(decision, max(at, self.host.arrival_clock))
        self.host.append_records([record])
        return self._deciding.stored(record)

    # -- for the thread that folds ----------------------------------------------------------------------------------

    def fold(self, limit: int | None = None) -> int:
        """Fold what is stored, at most `limit` records; give how many. Effects are carried out before this returns."""
        return self.host.fold(limit)

    def maintain(self, now: Millis) -> bool:
        """Do a small part of what the retention asks for; some tens of milliseconds, more where a base is made.

        `now` is the present; what is older than the retention at the earlier of it and the log's own clock goes, so
        that a clock that jumped removes nothing. Says whether there is more to do at once. Call it about each second.
        """
        return self._retention.work(self.host, now)

    # -- for any thread ---------------------------------------------------------------------------------------------

    def newest_messages(self) -> Iterator[tuple[str, str, str, bytes]]:
        """Give the newest HL7 messages as (feed, control id, content's name, bytes), in order; the content's name is
        empty of one that could not be used. For the time before two threads use it.
        """
        before = b""
        for _received, letter, envelope, data in self.journal.newest_messages(RECALLED_MAX):
            if envelope is None:
                document = msgspec.json.decode(letter, type=DeadLetter)
                yield document.feed, document.message_id, "", data
            elif data != before and data[:3] == b"MSH":  # of a message of two patients, the first record names it
                yield envelope.feed, envelope.message_id, envelope.envelope_id, data
            before = data

    def lag(self) -> int:
        """Give how many records are stored and not yet folded."""
        return self.host.lag

    def folded(self) -> int:
        """Give the offset of the last record folded."""
        return self.host.folded

    def identity_conflicts(self) -> int:
        """Give how many messages named identifiers that disagree on a patient, since the folder was opened."""
        return self._parser.conflicts

    def patients(self) -> list[str]:
        """Give the keys of all whose record was stored when the folder was opened, or since (folding thread)."""
        return sorted(self.host.shelf.keys())

    # -- for a service that one thread uses -------------------------------------------------------------------------

    def accept(self, arrivals: Sequence[Arrival]) -> list[Parsed]:
        """Make a batch durable (its senders may be told on return), then fold it."""
        parsed = self.store(arrivals)
        self.fold()
        return parsed

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.host.pipeline.control.settings

    def close(self) -> None:
        """Store the states and close the files; opening again goes on from here."""
        self.host.checkpoint()
        if self._store is not None:
            self._store.close()
        self._retention.close()
        self.outputs.close()
        self.journal.close()
        self._lock.close()

    def digest(self) -> str:
        """Digest everything ever put out by this folder: equal to a replay of its journal. Signals have their own."""
        digest = RunDigest()
        for kind, name, content in self.outputs.outputs(after=self.journal.begin()):
            if kind != "signals":
                digest.add(kind, name, content)
        return digest.hexdigest()


def open_for_reading(folder: Path, versions: Mapping[str, ModelVersion]) -> EmbeddedHost:
    """Open a data folder beside the service that runs on it: everything acknowledged is folded, in memory alone.

    Raises `JournalError` where there is no journal.
    """
    journal = SqliteJournal(folder, read_only=True)
    states = folder / STATE_FILE
    store = SqliteStateStore(states, read_only=True) if states.exists() else beginning_states(folder, journal, versions)
    return EmbeddedHost(
        journal,
        store,
        Parser(IdentityMap(Pseudonyms()), RecentMessages()),
        versions=versions,
        carry_out=lambda _effects, _offsets: None,
        durable=False,
    )
