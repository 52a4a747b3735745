"""Reading a patient's view: found by the key alone, and told apart from a store that nobody has written."""

from __future__ import annotations

import pytest

from connectors.redis.layout import LayoutError, layout_key, partition_of, read_layout, write_layout
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.views import read_stored_view
from features.store import Entry

PARTITIONS = 5


@pytest.fixture
def prefix(client, redis_settings):
    """A prefix whose layout was written."""
    write_layout(client, redis_settings.prefix, PARTITIONS)
    return redis_settings.prefix


def test_a_view_is_found_in_its_patients_partition(client, prefix):
    """Each patient's document is read from where the worker of its partition put it."""
    patients = [f"patient-{number}" for number in range(30)]
    assert {partition_of(patient, PARTITIONS) for patient in patients} == set(range(PARTITIONS))
    for number, patient in enumerate(patients):
        store = RedisPartitionStore(client, prefix, "patient", partition_of(patient, PARTITIONS))
        store.commit_entries(store.acquire_epoch(), {patient: Entry(b"s", view=patient.encode())}, number)
    for patient in patients:
        assert read_stored_view(client, prefix, patient).document == patient.encode()


def test_a_view_comes_with_the_time_of_the_last_commit(client, prefix):
    """The last commit's time is Redis's own, and rises with a commit that concerns others."""
    store = RedisPartitionStore(client, prefix, "patient", partition_of("p", PARTITIONS))
    epoch = store.acquire_epoch()
    before = int(client.time()[0]) * 1000
    store.commit_entries(epoch, {"p": Entry(b"s", view=b"{}")}, 0)
    first = read_stored_view(client, prefix, "p").committed_at
    store.commit_entries(epoch, {"other": Entry(b"s")}, 1)
    assert before <= first <= read_stored_view(client, prefix, "p").committed_at


def test_who_has_no_view_has_none(client, prefix):
    """An unknown patient is no error."""
    assert read_stored_view(client, prefix, "nobody") is None


def test_a_store_that_no_worker_has_used_says_so(client, redis_settings):
    """Without a layout there is nothing to read, and the prefix is named."""
    with pytest.raises(LayoutError, match=redis_settings.prefix):
        read_stored_view(client, redis_settings.prefix, "p")


def test_the_layout_may_be_written_again(client, prefix):
    """A worker that starts again finds its own number of partitions."""
    write_layout(client, prefix, PARTITIONS)
    assert read_layout(client, prefix).partitions == PARTITIONS


def test_another_number_of_partitions_is_refused_and_not_written(client, prefix):
    """A worker with another number says which one Redis holds, and leaves it."""
    with pytest.raises(LayoutError, match=f"holds the states of {PARTITIONS} partitions"):
        write_layout(client, prefix, PARTITIONS * 2)
    assert read_layout(client, prefix).partitions == PARTITIONS


def test_what_is_not_our_layout_is_refused(client, prefix):
    """A key of somebody else under our name is no layout."""
    client.set(layout_key(prefix), b"theirs")
    with pytest.raises(LayoutError, match="not ours"):
        read_layout(client, prefix)
