"""The log's beginning moves forward only, and what lies before it goes in small steps that any crash may end."""

from __future__ import annotations

import pytest

from connectors.sqlite.journal import Batch, DeadLetterRow, LogRecord, SqliteJournal
from connectors.sqlite.retention import REMOVED_ROWS_MAX, Base, JournalRetention, base_path
from connectors.sqlite.state_store import SqliteStateStore
from events import Envelope

RECORDS = REMOVED_ROWS_MAX * 2 + 7


@pytest.fixture
def journal(tmp_path):
    opened = SqliteJournal(tmp_path)
    records = [
        LogRecord(Envelope(f"e{number}", "p", number, number, ()), (b"%d" % number,), b"bytes")
        for number in range(1, RECORDS + 1)
    ]
    letters = [DeadLetterRow(number, b"{}", None) for number in (1, RECORDS)]
    opened.append(Batch(records, letters, [("MRN", "1", "p", 5), ("MRN", "2", "q", RECORDS)]))
    yield opened
    opened.close()


@pytest.fixture
def retention(tmp_path, journal):
    opened = JournalRetention(tmp_path)
    yield opened
    opened.close()


def make_base(retention: JournalRetention, offset: int) -> Base:
    base = Base(offset, offset)
    with SqliteStateStore(":memory:") as states:
        states.commit(states.acquire_epoch(), {"p": b"state"}, offset)
        retention.make_base(base, states.copy_to)
    return base


def test_a_log_removed_to_its_end_goes_on_counting(journal, retention):
    """Where nothing is left, the end stays where it was, and the next record has the next number."""
    assert retention.begin_at(make_base(retention, RECORDS))
    while retention.remove_some():
        pass
    assert list(journal.read()) == []
    assert (journal.begin(), journal.end()) == (RECORDS, RECORDS)
    assert journal.append(Batch([LogRecord(Envelope("next", "p", 1, 1, ()))])) == RECORDS + 1
    assert [offset for offset, _envelope in journal.read()] == [RECORDS + 1]


def test_what_lies_before_the_beginning_is_not_there_for_a_reader(journal, retention):
    """From the moment the log begins at a base, before any row is gone, reading begins there."""
    assert retention.begin_at(make_base(retention, 100))
    assert next(iter(journal.read()))[0] == 101


def test_rows_go_a_bounded_number_at_a_time_and_all_of_a_record_together(journal, retention):
    """Each step removes at most so many records, with their messages and hashes, and says when there is no more."""
    retention.begin_at(make_base(retention, RECORDS - 1))
    left = [RECORDS]
    while retention.remove_some():
        counts = {
            journal._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "messages", "hashes")
        }
        [count] = counts
        assert left[-1] - count <= REMOVED_ROWS_MAX
        left.append(count)
    assert left[-1] == 1
    assert not journal.seen(b"1")
    assert journal.seen(b"%d" % RECORDS)
    assert len(list(journal.dead_letters())) == 1


def test_a_log_does_not_begin_at_a_base_that_is_gone(tmp_path, journal, retention):
    """A base whose file was removed by hand is forgotten, and the log stays whole."""
    base = make_base(retention, 100)
    base_path(tmp_path, 100).unlink()
    assert not retention.begin_at(base)
    assert (journal.begin(), retention.bases()) == (0, [])


def test_older_bases_and_leftovers_go_and_the_others_stay(tmp_path, journal, retention):
    """Only the base the log begins with and later ones are kept."""
    bases = [make_base(retention, offset) for offset in (10, 20, 30)]
    base_path(tmp_path, 25).write_bytes(b"of a base that was interrupted")
    retention.begin_at(bases[1])
    retention.remove_bases()
    assert retention.bases() == bases[1:]
    assert {path.name for path in (tmp_path / "bases").iterdir()} == {"base-20.db", "base-30.db"}


def test_a_base_is_the_states_in_one_file_of_its_owner(tmp_path, journal, retention):
    """A base needs nothing beside it to be read, and is readable by nobody else."""
    make_base(retention, 10)
    assert [path.name for path in (tmp_path / "bases").iterdir()] == ["base-10.db"]
    assert base_path(tmp_path, 10).stat().st_mode & 0o077 == 0
    with SqliteStateStore(base_path(tmp_path, 10), read_only=True) as states:
        assert (states.watermark(), dict(states.items())) == (10, {"p": b"state"})


def test_who_was_named_lately_is_in_use(journal, retention):
    """Patients count as unused only before the time asked for."""
    assert list(retention.patients_unused(5)) == []
    assert list(retention.patients_unused(6)) == ["p"]
