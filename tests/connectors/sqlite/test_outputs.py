"""What was put out stays as it was first said, in order, and is found by what it is and whose."""

from __future__ import annotations

import sqlite3

import pytest

from connectors.sqlite.outputs import SqliteOutputs, StoredOutput


@pytest.fixture
def outputs(tmp_path):
    with SqliteOutputs(tmp_path / "outputs.db") as opened:
        yield opened


def output(kind: str, name: str, content: bytes = b"{}", patient: str = "p", offset: int = 1) -> StoredOutput:
    return StoredOutput(kind, name, patient, offset, content)


def test_the_same_output_again_is_no_change(outputs):
    """A repeat of work, byte for byte, changes nothing and keeps the order outputs first came in."""
    batch = [output("alerts", "a"), output("scores", "a")]
    outputs.append_outputs(batch)
    outputs.append_outputs([output("scores", "b"), *batch])
    assert [(kind, name) for kind, name, _content in outputs.outputs()] == [
        ("alerts", "a"),
        ("scores", "a"),
        ("scores", "b"),
    ]


def test_what_was_said_stands(outputs):
    """An output that comes out differently the second time changes nothing, and is named; the others are stored."""
    assert outputs.append_outputs([output("alerts", "a", b"1")]) == []
    assert outputs.append_outputs([output("alerts", "b", b"2"), output("alerts", "a", b"other")]) == ["alerts a"]
    assert list(outputs.outputs()) == [("alerts", "a", b"1"), ("alerts", "b", b"2")]


def test_outputs_after_a_record_are_those_that_came_of_later_ones(outputs):
    """Only what came of records after the offset is given."""
    outputs.append_outputs([output("scores", str(offset), offset=offset) for offset in (1, 2, 2, 3)])
    assert [name for _kind, name, _content in outputs.outputs(after=1)] == ["2", "3"]
    assert outputs.last_offset() == 3


def test_a_listener_goes_on_after_the_number_it_had_last(outputs, tmp_path):
    """Another connection gets the alerts after a number, in order, with their states, as many as it asks for."""
    states = ["raised", "updated", "resolved"]
    for number, state in enumerate(states):
        alert = output("alerts", f"a{number}", f'{{"state":"{state}"}}'.encode())
        outputs.append_outputs([output("scores", f"s{number}"), alert])
    with SqliteOutputs(outputs.path, read_only=True) as reader:
        first, second = reader.alerts_after(0, 2)
        assert (first.state, second.state) == ("raised", "updated")
        assert [row.state for row in reader.alerts_after(second.number, 10)] == ["resolved"]
        assert reader.newest_alert() == 6
        assert reader.oldest_alert() == 2


def test_a_number_is_never_given_twice(outputs):
    """After the newest outputs were removed, the next one still gets a new number: nobody resumes at the wrong one."""
    outputs.append_outputs([output("alerts", "a"), output("alerts", "b")])
    with sqlite3.connect(outputs.path) as database:
        database.execute("DELETE FROM outputs")
    outputs.append_outputs([output("alerts", "c")])
    assert outputs.newest_alert() == 3


def test_the_latest_score_is_the_patients_own_and_newest(outputs):
    """Of several scores, the last one put out of that patient is given; of nobody, nothing."""
    outputs.append_outputs(
        [output("scores", f"{name}{number}", name.encode(), name) for number in (1, 2) for name in "pq"]
    )
    outputs.append_outputs([output("scores", "p3", b"newest", "p"), output("alerts", "p4", b"{}", "p")])
    assert (outputs.latest_score("p"), outputs.latest_score("q"), outputs.latest_score("r")) == (b"newest", b"q", None)


def test_a_reader_changes_nothing(outputs):
    """Outputs opened for reading refuse to be written to."""
    with SqliteOutputs(outputs.path, read_only=True) as reader, pytest.raises(sqlite3.OperationalError):
        reader.append_outputs([output("scores", "s")])


def test_it_is_durable_and_its_owners_by_its_settings(outputs):
    """The file is in WAL mode with full synchronisation, and readable by its owner alone."""
    outputs.append_outputs([output("scores", "s")])
    assert outputs._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert outputs._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert {path.stat().st_mode & 0o077 for path in outputs.path.parent.iterdir()} == {0}
