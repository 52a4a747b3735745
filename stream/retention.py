"""How long the embedded service keeps what it stored, and the steps by which the rest goes.

Owns when a base is made, when the log begins at it, and who is forgotten. Must not know how rows are removed, nor a
wall clock of its own: age is reckoned by the log's clock. See docs/decisions/0015.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

from connectors.sqlite.files import make_private
from connectors.sqlite.locks import COMPACTION_LOCK_FILE, try_alone
from connectors.sqlite.outputs import SqliteOutputs
from connectors.sqlite.retention import REMOVED_ROWS_MAX, Base, JournalRetention
from connectors.sqlite.state_store import SqliteStateStore
from events import Millis
from stream.host import EmbeddedHost
from stream.identity import USED_STEP_MS

BASES_PER_RETENTION = 4
"""A base each quarter of the retention: what is kept is at most a quarter older than asked for, and the copies of the
states are five at the most."""
BATCHES_PER_CALL = 2
"""Batches removed in one call, each some milliseconds: the folding thread goes back to folding in between."""
FORGOTTEN_PER_BATCH_MAX = 50
"""Patients let go of with one batch of messages: a few rows more for a commit."""


class Retention:
    """The retention of one open folder; for the folding thread, but for `take_forgettable`."""

    def __init__(
        self, folder: Path, outputs: SqliteOutputs, store: SqliteStateStore, retention_ms: Millis | None
    ) -> None:
        self._folder = folder
        self._outputs = outputs
        self._store = store
        self._retention_ms = retention_ms
        make_private(folder / COMPACTION_LOCK_FILE)  # There from the first, for whoever wants to share it.
        self._journal = JournalRetention(folder)
        self._forgettable: deque[str] = deque()
        self._forget_before: Millis = 0
        self._unfinished = True
        """What an earlier process began and did not end is gone on with."""
        self._find_forgettable()

    def work(self, host: EmbeddedHost, now: Millis) -> bool:
        """Do the next small part of what is due; say whether there is more to do at once."""
        for file in (self._journal, self._outputs, self._store):
            file.write_back()
        if self._retention_ms is None or host.folded == 0:
            return False
        clock = min(now, host.pipeline.control.clock)
        self._make_base(host, clock, self._retention_ms)
        # Whoever reads the folder over a longer time (a backup, a replay) is waited for.
        lock = try_alone(self._folder / COMPACTION_LOCK_FILE)
        if lock is None:
            return False
        with lock:
            self._move_beginning(host, clock - self._retention_ms)
            return self._remove()

    def _make_base(self, host: EmbeddedHost, clock: Millis, retention_ms: Millis) -> None:
        bases = self._journal.bases()
        newest = bases[-1] if bases else None
        if newest is not None and clock - newest.clock < retention_ms // BASES_PER_RETENTION:
            return
        host.checkpoint()
        base = Base(host.folded, host.pipeline.control.clock)
        self._journal.make_base(base, self._store.copy_to)

    def _move_beginning(self, host: EmbeddedHost, cut: Millis) -> None:
        begin = self._journal.begin()
        old = [base for base in self._journal.bases() if base.clock <= cut and base.offset > begin]
        if not old or not self._journal.begin_at(old[-1]):
            return
        self._unfinished = True
        host.checkpoint()
        self._find_forgettable()

    def _find_forgettable(self) -> None:
        """Find who was not named since the log begins, and of whom nothing is known any more."""
        before = self._journal.begin_clock() - USED_STEP_MS
        if before <= 0:
            return
        kept = set(self._store.keys())
        unused = [patient for patient in self._journal.patients_unused(before) if patient not in kept]
        # The storing thread takes from it: it is never seen with an earlier bound than its patients were found by.
        self._forgettable.clear()
        self._forget_before = before
        self._forgettable.extend(unused)

    def _remove(self) -> bool:
        if not self._unfinished:
            return False
        begin = self._journal.begin()
        for _ in range(BATCHES_PER_CALL):
            # Outputs first: a message is forgotten only when nothing of what it said is left to stand in its way.
            if begin > 0 and self._outputs.remove_some(begin, REMOVED_ROWS_MAX):
                continue
            if not self._journal.remove_some():
                self._journal.remove_bases()
                self._unfinished = False
                return False
        return True

    def take_forgettable(self) -> tuple[list[str], Millis]:
        """Give some patients that may be let go of, and since when they must not have been named; any thread."""
        taken: list[str] = []
        with suppress(IndexError):  # Empty; the folding thread may also clear it under our hands.
            while len(taken) < FORGOTTEN_PER_BATCH_MAX:
                taken.append(self._forgettable.popleft())
        return taken, self._forget_before

    def put_back(self, patients: list[str]) -> None:
        """Take patients back that could not be let go of."""
        self._forgettable.extendleft(reversed(patients))

    def close(self) -> None:
        """Close the connection."""
        self._journal.close()
