"""The journal keeps what it took, in order and whole, or says that it did not take it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryJournal
from connectors.sqlite.journal import (
    PAGE_ROWS,
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
    return journal.append([record(number) for number in numbers], (), (), counts)


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
        journal.append(batch, [DeadLetterRow(0, b"{}", b"x")], [("MRN", "1", "p")], {"messages": 4})
    assert read(journal) == [(1, "e1")]
    assert not journal.seen((2).to_bytes(16, "big"))
    assert list(journal.dead_letters()) == []
    assert list(journal.identities()) == []
    assert journal.counts() == {"accepted": 1, "messages": 1}
    assert append(journal, 2) == 2


def test_what_was_seen_is_known_after_opening_again(tmp_path):
    """Content hashes, identities, dead letters, outputs and counts are there after a restart."""
    journal = SqliteJournal(tmp_path)
    journal.append([record(1)], [DeadLetterRow(5, b"{}", b"bad")], [("MRN", "1", "p")], {"messages": 2})
    journal.append_outputs([("scores", "s1", b"content")])
    journal.close()
    again = SqliteJournal(tmp_path)
    assert again.seen((1).to_bytes(16, "big"))
    assert list(again.identities()) == [("MRN", "1", "p")]
    assert list(again.dead_letters()) == [(b"{}", b"bad")]
    assert list(again.outputs()) == [("scores", "s1", b"content")]
    assert again.counts() == {"messages": 2}


def test_a_control_record_has_no_message(tmp_path):
    """A record without a message is in the log and in no list of seen messages."""
    journal = SqliteJournal(tmp_path)
    journal.append([record(1, message=None)], (), (), {})
    assert read(journal) == [(1, "e1")]
    assert not journal.seen((1).to_bytes(16, "big"))


def test_counts_add_up_over_batches(tmp_path):
    """Counts of batches are added, name by name."""
    journal = SqliteJournal(tmp_path)
    for counts in ({"a": 1, "b": 2}, {"b": 3, "c": 0}):
        journal.append((), (), (), counts)
    assert journal.counts() == {"a": 1, "b": 5, "c": 0}


def test_an_identity_that_moved_is_the_newer_one(tmp_path):
    """A link stored again, after a merge, points at the survivor."""
    journal = SqliteJournal(tmp_path)
    journal.append((), (), [("MRN", "1", "old")], {})
    journal.append((), (), [("MRN", "1", "new")], {})
    assert list(journal.identities()) == [("MRN", "1", "new")]


def test_the_same_output_again_is_no_change(tmp_path):
    """A repeat of work, byte for byte, changes nothing and keeps the order outputs first came in."""
    journal = SqliteJournal(tmp_path)
    outputs = [("alerts", "a", b"1"), ("scores", "a", b"2")]
    journal.append_outputs(outputs)
    journal.append_outputs([("scores", "b", b"3"), *outputs])
    assert list(journal.outputs()) == [*outputs, ("scores", "b", b"3")]


def test_what_was_said_stands(tmp_path):
    """An output that comes out differently the second time changes nothing, and is named; the others are stored."""
    journal = SqliteJournal(tmp_path)
    assert journal.append_outputs([("alerts", "a", b"1")]) == []
    assert journal.append_outputs([("alerts", "b", b"2"), ("alerts", "a", b"other")]) == ["alerts a"]
    assert list(journal.outputs()) == [("alerts", "a", b"1"), ("alerts", "b", b"2")]


def test_a_gap_in_the_log_is_named(tmp_path):
    """A record that is missing from the log stops the reading there, by number: nothing is folded past it."""
    journal = SqliteJournal(tmp_path)
    journal.append([record(number) for number in (1, 2, 3)], (), (), {})
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("DELETE FROM events WHERE offset = 2")
    with pytest.raises(JournalError, match="record 2 is missing"):
        list(SqliteJournal(tmp_path).read())


def test_a_reader_changes_nothing(tmp_path):
    """A journal opened for reading gives what is there, and refuses to be written to."""
    SqliteJournal(tmp_path).append([record(1)], (), (), {})
    reader = SqliteJournal(tmp_path, read_only=True)
    assert [offset for offset, _envelope in reader.read()] == [1]
    with pytest.raises(sqlite3.OperationalError):
        reader.append([record(2)], (), (), {})


def test_the_files_are_their_owners(tmp_path):
    """The journal is readable by nobody but the user who made it."""
    SqliteJournal(tmp_path).append([record(1)], (), (), {})
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


CHILD = """
import sys
from pathlib import Path
from connectors.sqlite.journal import LogRecord, SqliteJournal
from events import Envelope
journal = SqliteJournal(Path(sys.argv[1]))
for number in range(1, 10_000):
    journal.append([LogRecord(Envelope(f"e{number}", "p", number, number, ()))], (), (), {"messages": 1})
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
        ends = {journal.append(records, (), (), {"messages": size}) for journal in (disk, memory)}
        assert ends == {number}
        assert read(disk, folded) == read(memory, folded)
        folded = number
    assert disk.counts() == memory.counts()
    disk.close()
