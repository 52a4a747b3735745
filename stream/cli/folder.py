"""Deciding over an embedded service by its data folder, whether it runs or is stopped.

Owns the way there: the folder's socket where a service has the folder, its log where none has. Must not know what a
decision comes to. Who may write in the folder may decide.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.folder_socket import ask
from connectors.sqlite.journal import JOURNAL_FILE, Batch, JournalError, SqliteJournal
from connectors.sqlite.locks import LOCK_FILE, lock_folder, try_alone
from stream.settings import ConfigurationError

if TYPE_CHECKING:
    from stream.deciding import Answer
    from stream.decisions import Decision, Decisions

STARTED_WITHIN_S = 15.0
"""A service that has just been started listens once it has folded what it owed."""
ANSWERED_WITHIN_S = 30.0
TRY_S = 0.1


def decide_on_folder(folder: Path, decision: Decision, versions_folder: Path | None = None) -> Answer:
    """Put a decision into the log of a folder's service; what is in force is in the answer of one that runs.

    `versions_folder` has the further versions of one that is stopped. Raises `ConfigurationError`, `NoSuchVersionError`
    or `JournalError` where nothing was decided.
    """
    from stream.decisions import encode_decision

    answer = _ask_or_have(folder, encode_decision(decision))
    return answer if answer is not None else _enter(folder, decision, versions_folder)


def look_at_folder(folder: Path) -> Answer | None:
    """Ask what is in force; None where no service has the folder."""
    from stream.decision_desk import QUESTION

    return _ask_or_have(folder, QUESTION)


def folder_decisions(folder: Path) -> Decisions:
    """Read every decision of a folder, beside the service that may run on it; raises `JournalError`."""
    from stream.deciding import Deciding

    journal = SqliteJournal(folder, read_only=True)
    try:
        return Deciding(journal.decisions(), {}).decisions
    finally:
        journal.close()


def _ask_or_have(folder: Path, line: bytes) -> Answer | None:
    """Ask the service that has the folder; None where none has it."""
    import msgspec

    from stream.deciding import Answer

    if not (folder / JOURNAL_FILE).exists():
        raise JournalError(f"no {JOURNAL_FILE} in {folder}: give the --data-dir of an embedded service")
    until = time.monotonic() + STARTED_WITHIN_S
    while True:
        try:
            answer = msgspec.json.decode(ask(folder, line, ANSWERED_WITHIN_S), type=Answer)
        except (FileNotFoundError, ConnectionRefusedError):
            if (lock := try_alone(folder / LOCK_FILE)) is not None:
                lock.close()
                return None
            if time.monotonic() > until:
                raise JournalError(
                    f"{folder} is open in another process that takes no decisions: it is starting, or of an older "
                    "release; try again, or stop that one first"
                ) from None
            time.sleep(TRY_S)
            continue
        except (OSError, msgspec.DecodeError) as fault:
            raise JournalError(
                f"the service did not answer ({type(fault).__name__}): see `wardstream control status --data-dir "
                f"{folder}` for whether it stands"
            ) from None
        if answer.problem:
            raise ConfigurationError(answer.problem)
        return answer


def _enter(folder: Path, decision: Decision, versions_folder: Path | None) -> Answer:
    """Append a decision to the log of a stopped service; raises `JournalError` where it has been started meanwhile."""
    from stream.deciding import Answer, Deciding
    from stream.versions import load_versions

    versions, _wrong = load_versions(versions_folder)
    with lock_folder(folder):
        journal = SqliteJournal(folder)
        try:
            end = journal.end()
            newest = [envelope.received_time for _, envelope in journal.read(end - 1)] if end > journal.begin() else []
            deciding = Deciding(journal.decisions(), versions)
            # A millisecond on, as a release is entered: the log's clock is its own, and never the wall's.
            record = deciding.record_of(decision, max([journal.begin_clock(), *newest]) + 1)
            journal.append(Batch([record]))
            return Answer(deciding.stored(record))
        finally:
            journal.close()
