"""The memory store obeys the port's laws."""

from __future__ import annotations

import pytest

from features import checks
from features.store import Entry, MemoryStateStore


@pytest.mark.parametrize("law", checks.laws(), ids=lambda law: law.__name__)
def test_the_memory_store_obeys(law):
    """Every law of the port holds for the store in memory."""
    law(MemoryStateStore)


@pytest.mark.parametrize("law", checks.partition_laws(), ids=lambda law: law.__name__)
def test_the_memory_store_obeys_as_a_partition(law):
    """Every law of a partition's store holds for the store in memory."""
    law(MemoryStateStore)


def test_the_memory_store_keeps_views():
    """A view is kept beside its state, and goes with it."""
    store = MemoryStateStore()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", view=b"{}"), "q": Entry(b"2", view=b"{}")}, 0)
    store.commit_entries(epoch, {"p": Entry(b"1"), "q": None}, 1)
    assert store.views == {}
