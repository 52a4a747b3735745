"""The SQLite store obeys the port's laws, and what it committed survives."""

from __future__ import annotations

import itertools
import sqlite3

import pytest

from connectors.sqlite.state_store import KEYS_PER_QUERY_MAX, SqliteStateStore
from features import checks


@pytest.fixture
def factory(tmp_path):
    opened, numbers = [], itertools.count()

    def new() -> SqliteStateStore:
        opened.append(SqliteStateStore(tmp_path / f"{next(numbers)}.sqlite"))
        return opened[-1]

    yield new
    for store in opened:
        store.close()


@pytest.mark.parametrize("law", checks.laws(), ids=lambda law: law.__name__)
def test_the_sqlite_store_obeys(law, factory):
    """Every law of the port holds for SQLite."""
    law(factory)


def test_it_survives_being_closed_and_opened(factory):
    """States, watermark and fence are there after a restart."""

    def reopen(store):
        store.close()
        return SqliteStateStore(store.path)

    checks.survives_reopening(factory, reopen)


def test_a_second_process_fences_the_first(factory):
    """An epoch taken through another connection to the file shuts the first one out."""
    first = factory()
    old = first.acquire_epoch()
    with SqliteStateStore(first.path) as second:
        second.commit(second.acquire_epoch(), {"p": b"new"}, 1)
        with pytest.raises(Exception, match="epoch"):
            first.commit(old, {"p": b"zombie"}, 2)
        assert first.load(["p"]) == {"p": b"new"}


def test_a_commit_that_fails_half_way_writes_nothing(factory):
    """A state of a wrong type in the middle of a batch leaves the whole batch out, and the store usable."""
    store = factory()
    epoch = store.acquire_epoch()
    with pytest.raises((sqlite3.Error, TypeError)):
        store.commit(epoch, {"p": b"1", "q": object()}, 5)
    assert (store.load(["p", "q"]), store.watermark()) == ({}, -1)
    store.commit(epoch, {"p": b"1"}, 5)
    assert store.watermark() == 5


def test_more_keys_than_one_query_takes_are_loaded(factory):
    """A batch larger than a query's limit comes back whole."""
    store = factory()
    states = {f"p{number}": b"%d" % number for number in range(KEYS_PER_QUERY_MAX * 2 + 3)}
    store.commit(store.acquire_epoch(), states, 0)
    assert store.load(states) == states


def test_it_is_durable_by_its_settings(factory):
    """The file is in WAL mode with full synchronisation."""
    store = factory()
    assert store._connection.execute("pragma journal_mode").fetchone()[0] == "wal"
    assert store._connection.execute("pragma synchronous").fetchone()[0] == 2
