"""The journal keeps what it took, in order and whole, or says that it did not take it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryJournal
from connectors.sqlite.journal import (
    PAGE_ROWS,
    Batch,
    DeadLetterRow,
    JournalError,
    LogRecord,
    SqliteJournal,
)
from events import Demographics, Envelope


def record(number: int, *, message: bytes | None = b"bytes") -> LogRecord:
    envelope = Envelope(f"e{number}", "patient", number, number, (Demographics(number, sex="female"),))
    return LogRecord(envelope, () if message is None else (number.to_bytes(16, "big"),), message)


def append(journal: SqliteJournal, *numbers: int) -> int:
    counts = {"messages": len(numbers), "accepted": len(numbers)}
    return journal.append(Batch([record(number) for number in numbers], counts=counts))


def read(journal: SqliteJournal | MemoryJournal, after: int = 0) -> list[tuple[int, str]]:
    return [(offset, envelope.envelope_id) for offset, envelope in journal.read(after)]


def test_records_are_read_in_the_order_they_were_appended(tmp_path):
    """Offsets count from 1 without a gap, over batches and pages, and reading goes on after any of them."""
    journal = SqliteJournal(tmp_path)
    total = PAGE_ROWS * 2 + 1
    assert append(journal, *range(1, 11)) == 10
    assert append(journal, *range(11, total + 1)) == total
    assert read(journal) == [(number, f"e{number}") for number in range(1, total + 1)]
    assert read(journal, after=total - 2) == [(total - 1, f"e{total - 1}"), (total, f"e{total}")]
    assert read(journal, after=total) == []


def test_an_envelope_comes_back_as_it_was(tmp_path):
    """What is read equals what was appended, field by field."""
    journal = SqliteJournal(tmp_path)
    append(journal, 1)
    [(_offset, envelope)] = journal.read()
    assert envelope == record(1).envelope


def test_an_empty_journal_ends_at_nought(tmp_path):
    """Nothing appended: the end is 0, nothing is read, nothing was seen."""
    journal = SqliteJournal(tmp_path)
    assert (journal.end(), read(journal), journal.seen(b"x"), journal.counts()) == (0, [], False, {})


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path):
    """A batch whose last record cannot be stored leaves no trace: no record, no letter, no link, no count."""
    journal = SqliteJournal(tmp_path)
    append(journal, 1)
    batch = [record(2), record(3), record(1)]
    with pytest.raises(sqlite3.IntegrityError):
        journal.append(Batch(batch, [DeadLetterRow(0, b"{}", b"x")], [("MRN", "1", "p", 5)], {"messages": 4}))
    assert read(journal) == [(1, "e1")]
    assert not journal.seen((2).to_bytes(16, "big"))
    assert list(journal.dead_letters()) == []
    assert list(journal.identities()) == []
    assert journal.counts() == {"accepted": 1, "messages": 1}
    assert append(journal, 2) == 2


def test_what_was_seen_is_known_after_opening_again(tmp_path):
    """Content hashes, identities, dead letters and counts are there after a restart."""
    journal = SqliteJournal(tmp_path)
    journal.append(Batch([record(1)], [DeadLetterRow(5, b"{}", b"bad")], [("MRN", "1", "p", 5)], {"messages": 2}))
    journal.close()
    again = SqliteJournal(tmp_path)
    assert again.seen((1).to_bytes(16, "big"))
    assert list(again.identities()) == [("MRN", "1", "p")]
    assert list(again.dead_letters()) == [(b"{}", b"bad")]
    assert list(again.patients_used()) == [("p", 5)]
    assert again.counts() == {"messages": 2}


def test_a_control_record_has_no_message(tmp_path):
    """A record without a message is in the log and in no list of seen messages."""
    journal = SqliteJournal(tmp_path)
    journal.append(Batch([record(1, message=None)]))
    assert read(journal) == [(1, "e1")]
    assert not journal.seen((1).to_bytes(16, "big"))


def test_counts_add_up_over_batches(tmp_path):
    """Counts of batches are added, name by name."""
    journal = SqliteJournal(tmp_path)
    for counts in ({"a": 1, "b": 2}, {"b": 3, "c": 0}):
        journal.append(Batch(counts=counts))
    assert journal.counts() == {"a": 1, "b": 5, "c": 0}


def test_an_identity_that_moved_is_the_newer_one(tmp_path):
    """A link stored again, after a merge, points at the survivor."""
    journal = SqliteJournal(tmp_path)
    journal.append(Batch(identities=[("MRN", "1", "old", 1)]))
    journal.append(Batch(identities=[("MRN", "1", "new", 2)]))
    assert list(journal.identities()) == [("MRN", "1", "new")]


def test_an_identity_that_is_let_go_is_gone(tmp_path):
    """Identifiers forgotten with a batch are removed, unless the same batch names them anew."""
    journal = SqliteJournal(tmp_path)
    journal.append(Batch(identities=[("MRN", "1", "p", 1), ("MRN", "2", "q", 1)]))
    journal.append(Batch(identities=[("MRN", "2", "q2", 9)], forgotten=[("MRN", "1"), ("MRN", "2")]))
    assert list(journal.identities()) == [("MRN", "2", "q2")]


def test_the_parts_of_one_moment_are_known_and_its_bytes_kept_once(tmp_path):
    """Each joined part is a message seen, and the message they came in lies there once."""
    journal = SqliteJournal(tmp_path)
    envelope = record(1).envelope
    journal.append(Batch([LogRecord(envelope, (b"a", b"b"), b"bytes")]))
    assert [journal.seen(content_hash) for content_hash in (b"a", b"b", b"c")] == [True, True, False]
    assert journal._db.execute("SELECT * FROM messages").fetchall() == [(1, b"bytes")]


def test_the_reader_sees_only_what_is_committed(tmp_path):
    """While a batch is being stored nobody reads any of it: the fold is never ahead of what is durable."""
    journal = SqliteJournal(tmp_path)
    append(journal, 1)
    seen = []

    class Watching(tuple):
        """A batch of records that looks into the journal while it is stored."""

        __slots__ = ()

        def __iter__(self):
            for one in super().__iter__():
                yield one
                seen.append([offset for offset, _envelope in journal.read()])

    journal.append(Batch(Watching((record(2), record(3)))))
    assert seen == [[1], [1]]
    assert [offset for offset, _envelope in journal.read()] == [1, 2, 3]


def test_one_thread_reads_while_another_appends(tmp_path):
    """A reading thread gets each record once and in order while another stores them, and the two do not wait."""
    journal = SqliteJournal(tmp_path)
    total = 300
    found: list[int] = []

    def follow() -> None:
        while len(found) < total:
            found.extend(offset for offset, _envelope in journal.read(len(found)))

    reader = threading.Thread(target=follow)
    reader.start()
    for number in range(1, total + 1):
        append(journal, number)
    reader.join(timeout=30)
    assert found == list(range(1, total + 1))


def test_a_gap_in_the_log_is_named(tmp_path):
    """A record that is missing from the log stops the reading there, by number: nothing is folded past it."""
    journal = SqliteJournal(tmp_path)
    journal.append(Batch([record(number) for number in (1, 2, 3)]))
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("DELETE FROM events WHERE offset = 2")
    with pytest.raises(JournalError, match="record 2 is missing"):
        list(SqliteJournal(tmp_path).read())


def test_a_reader_changes_nothing(tmp_path):
    """A journal opened for reading gives what is there, and refuses to be written to."""
    SqliteJournal(tmp_path).append(Batch([record(1)]))
    reader = SqliteJournal(tmp_path, read_only=True)
    assert [offset for offset, _envelope in reader.read()] == [1]
    with pytest.raises(sqlite3.OperationalError):
        reader.append(Batch([record(2)]))


def test_the_files_are_their_owners(tmp_path):
    """The journal is readable by nobody but the user who made it."""
    SqliteJournal(tmp_path).append(Batch([record(1)]))
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_another_schema_is_refused_by_name(tmp_path):
    """A journal of another release is not written into; the error names both schemas."""
    SqliteJournal(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE about SET value = '99' WHERE name = 'schema'")
    with pytest.raises(JournalError, match="schema 99"):
        SqliteJournal(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """Something else under the journal's name is the operator's to mend, and is left as it is."""
    (tmp_path / "journal.db").write_bytes(b"nothing of ours" * 100)
    with pytest.raises(JournalError, match="no journal of ours"):
        SqliteJournal(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == b"nothing of ours" * 100


def test_a_decision_is_kept_beside_its_record(tmp_path):
    """Record and decision are stored together or not at all; an earlier release's journal has none, and takes one."""
    journal = SqliteJournal(tmp_path)
    journal._db.execute("DROP TABLE decisions")
    journal.close()
    older = SqliteJournal(tmp_path, read_only=True)
    assert list(older.decisions()) == []
    older.close()
    journal = SqliteJournal(tmp_path)
    decided = LogRecord(Envelope("e1", "", 7, 9, ()), decision=(1, b"why"))
    assert journal.append(Batch([decided])) == 1
    with pytest.raises(sqlite3.IntegrityError):
        journal.append(Batch([LogRecord(Envelope("e2", "", 8, 10, ()), decision=(1, b"another"))]))
    assert list(journal.decisions()) == [(1, 9, b"why")]
    assert journal.end() == 1


CHILD = """
import sys
import threading
from pathlib import Path
from connectors.sqlite.journal import Batch, LogRecord, SqliteJournal
from events import Envelope
journal = SqliteJournal(Path(sys.argv[1]))
for number in range(1, 10_000):
    journal.append(Batch([LogRecord(Envelope(f"e{number}", "p", number, number, ()))], counts={"messages": 1}))
    print(number, flush=True)
"""


def test_what_append_returned_from_survives_kill_9(tmp_path):
    """After SIGKILL every acknowledged record is there, with no gap, and the counts agree with the log."""
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(50)][-1]
        child.kill()
    journal = SqliteJournal(tmp_path)
    end = journal.end()
    assert end >= acknowledged
    assert read(journal) == [(number, f"e{number}") for number in range(1, end + 1)]
    assert journal.counts() == {"messages": end}


def test_reading_sees_what_is_appended_while_it_reads(tmp_path):
    """A reader that is handed pages goes on into records appended meanwhile, and misses none."""
    journal = SqliteJournal(tmp_path)
    append(journal, *range(1, PAGE_ROWS + 1))
    seen = []
    for offset, _envelope in journal.read():
        seen.append(offset)
        if offset == 1:
            append(journal, PAGE_ROWS + 1)
    assert seen == list(range(1, PAGE_ROWS + 2))


@settings(max_examples=30)
@given(batches=st.lists(st.integers(0, 5), max_size=8))
def test_memory_and_sqlite_give_the_same_log(tmp_path_factory, batches):
    """The journal of a replay numbers and hands over the same records as the one on disk."""
    disk, memory = SqliteJournal(tmp_path_factory.mktemp("journal")), MemoryJournal()
    folded, number = 0, 0
    for size in batches:
        records = [record(number + place) for place in range(1, size + 1)]
        number += size
        ends = {journal.append(Batch(records, counts={"messages": size})) for journal in (disk, memory)}
        assert ends == {number}
        assert read(disk, folded) == read(memory, folded)
        folded = number
    assert disk.counts() == memory.counts()
    disk.close()
