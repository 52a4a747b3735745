"""The laws of a state store, to be run against every one there is.

Owns the laws; each is a function of a factory of empty stores and raises `AssertionError` where the store breaks it.
Must not know any particular store. (After River's `checks`: the laws ship with the port.)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from features.store import BEFORE_FIRST, Entry, FencedError, PartitionStore, StateStore, WatermarkError

Factory = Callable[[], StateStore]
"""Gives a new, empty store."""
Reopen = Callable[[StateStore], StateStore]
"""Closes a durable store and opens it again from where it is kept."""
PartitionFactory = Callable[[], PartitionStore]
"""Gives a new, empty store of one partition."""
Second = Callable[[PartitionStore], PartitionStore]
"""Opens what a store is kept in once more, as another worker would, and leaves the first one open."""


def laws() -> list[Callable[[Factory], None]]:
    """List the laws that hold for every store, durable or not.

    >>> from features.store import MemoryStateStore
    >>> for law in laws():
    ...     law(MemoryStateStore)
    """
    return [
        empty_store_has_nothing,
        reads_its_writes,
        none_deletes,
        last_write_wins,
        old_epoch_is_refused_whole,
        epochs_rise,
        watermark_never_turns_back,
        refused_watermark_writes_nothing,
        bytes_come_back_unchanged,
    ]


def partition_laws() -> list[Callable[[PartitionFactory], None]]:
    """List the laws that hold beside those for every store of one partition.

    >>> from features.store import MemoryStateStore
    >>> for law in partition_laws():
    ...     law(MemoryStateStore)
    """
    return [
        deadlines_are_those_of_the_states,
        a_plain_commit_has_no_deadline,
        clearing_begins_anew,
        an_old_epoch_clears_nothing,
    ]


def shared_laws() -> list[Callable[[PartitionFactory, Second], None]]:
    """List the laws of a store that several workers open: what one sees, and what it may not see, of another's."""
    return [a_fenced_worker_reads_nothing, a_successor_goes_on_where_it_was_left, epochs_rise_over_workers]


def empty_store_has_nothing(factory: Factory) -> None:
    """An empty store has no state and a watermark before the first record."""
    store = factory()
    assert store.watermark() == BEFORE_FIRST
    assert store.load(["p"]) == {}
    assert store.load([]) == {}


def reads_its_writes(factory: Factory) -> None:
    """What was committed is loaded, with its watermark, and nothing else."""
    store = factory()
    store.commit(store.acquire_epoch(), {"p": b"1", "q": b"2"}, 5)
    assert store.load(["p", "q", "r"]) == {"p": b"1", "q": b"2"}
    assert store.load(["q"]) == {"q": b"2"}
    assert store.watermark() == 5


def none_deletes(factory: Factory) -> None:
    """None deletes a state; deleting one that is not there is no error."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 0)
    store.commit(epoch, {"p": None, "q": None}, 1)
    assert store.load(["p", "q"]) == {}
    assert store.watermark() == 1


def last_write_wins(factory: Factory) -> None:
    """A later commit replaces a state whole."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"long first state"}, 0)
    store.commit(epoch, {"p": b"2"}, 1)
    assert store.load(["p"]) == {"p": b"2"}


def old_epoch_is_refused_whole(factory: Factory) -> None:
    """After a newer epoch was taken, a commit under the old one raises and writes neither state nor watermark."""
    store = factory()
    old = store.acquire_epoch()
    store.commit(old, {"p": b"1"}, 0)
    new = store.acquire_epoch()
    try:
        store.commit(old, {"p": b"zombie", "q": b"zombie"}, 7)
    except FencedError:
        pass
    else:
        raise AssertionError("an old epoch was let in")
    assert store.load(["p", "q"]) == {"p": b"1"}
    assert store.watermark() == 0
    store.commit(new, {"p": b"2"}, 1)
    assert store.load(["p"]) == {"p": b"2"}


def epochs_rise(factory: Factory) -> None:
    """Every epoch is higher than the one before."""
    store = factory()
    epochs = [store.acquire_epoch() for _ in range(4)]
    assert epochs == sorted(set(epochs))


def watermark_never_turns_back(factory: Factory) -> None:
    """A watermark may stay or rise (a repeated batch), never fall."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {}, 9)
    store.commit(epoch, {}, 9)
    try:
        store.commit(epoch, {}, 8)
    except WatermarkError:
        pass
    else:
        raise AssertionError("the watermark was turned back")
    assert store.watermark() == 9


def refused_watermark_writes_nothing(factory: Factory) -> None:
    """A commit that is refused for its watermark leaves the states as they were."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 9)
    with suppress(WatermarkError):
        store.commit(epoch, {"p": b"2", "q": b"2"}, 3)
    assert store.load(["p", "q"]) == {"p": b"1"}


def bytes_come_back_unchanged(factory: Factory) -> None:
    """Every byte value, the empty state and keys beyond ASCII come back as they were given."""
    store = factory()
    states = {"p": bytes(range(256)), "empty": b"", "käse|7": b"x" * 100_000}
    store.commit(store.acquire_epoch(), states, 0)
    assert store.load(states) == states


def survives_reopening(factory: Factory, reopen: Reopen) -> None:
    """What a durable store committed is there when it is opened again: states, watermark and the fence."""
    store = factory()
    old = store.acquire_epoch()
    store.commit(old, {"p": b"1", "q": b"2"}, 3)
    store = reopen(store)
    assert store.load(["p", "q"]) == {"p": b"1", "q": b"2"}
    assert store.watermark() == 3
    new = store.acquire_epoch()
    assert new > old
    try:
        store.commit(old, {"p": b"zombie"}, 4)
    except FencedError:
        pass
    else:
        raise AssertionError("a restart lost the fence")
    store.commit(new, {"q": None}, 4)
    assert reopen(store).load(["p", "q"]) == {"p": b"1"}


def deadlines_are_those_of_the_states(factory: PartitionFactory) -> None:
    """Deadlines are replaced and deleted with the states, and a key without one is a key all the same."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 20), "q": Entry(b"2", 10), "": Entry(b"3")}, 0)
    assert store.deadlines() == [(10, "q"), (20, "p")]
    assert store.keys() == {"p", "q", ""}
    store.commit_entries(epoch, {"p": Entry(b"1"), "q": None, "r": Entry(b"4", 5)}, 1)
    assert store.deadlines() == [(5, "r")]
    assert dict(store.items()) == {"": b"3", "p": b"1", "r": b"4"}


def a_plain_commit_has_no_deadline(factory: PartitionFactory) -> None:
    """A commit of states alone replaces an entry whole: a deadline of before is gone."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 20)}, 0)
    store.commit(epoch, {"p": b"2"}, 1)
    assert store.deadlines() == []
    assert store.load(["p"]) == {"p": b"2"}


def clearing_begins_anew(factory: PartitionFactory) -> None:
    """A cleared store is as an empty one, and is written to under the same epoch."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 20)}, 7)
    store.clear(epoch)
    assert (store.watermark(), store.keys(), store.deadlines()) == (BEFORE_FIRST, set(), [])
    store.commit(epoch, {"q": b"2"}, 0)
    assert store.load(["p", "q"]) == {"q": b"2"}


def an_old_epoch_clears_nothing(factory: PartitionFactory) -> None:
    """A worker that was fenced deletes nothing."""
    store = factory()
    old = store.acquire_epoch()
    store.commit(old, {"p": b"1"}, 3)
    store.acquire_epoch()
    try:
        store.clear(old)
    except FencedError:
        pass
    else:
        raise AssertionError("an old epoch was let in")
    assert store.load(["p"]) == {"p": b"1"}
    assert store.watermark() == 3


def a_fenced_worker_reads_nothing(factory: PartitionFactory, second: Second) -> None:
    """Once another took an epoch, no reading of the first one succeeds: it would compute from a later state."""
    first = factory()
    first.commit_entries(first.acquire_epoch(), {"p": Entry(b"1", 20)}, 0)
    second(first).acquire_epoch()
    for read in (lambda: first.load(["p"]), first.keys, first.deadlines, lambda: list(first.items())):
        try:
            read()
        except FencedError:
            continue
        raise AssertionError("a fenced worker was answered")


def a_successor_goes_on_where_it_was_left(factory: PartitionFactory, second: Second) -> None:
    """The next worker finds states, deadlines and watermark, and the first one's commit is refused whole."""
    first = factory()
    old = first.acquire_epoch()
    first.commit_entries(old, {"p": Entry(b"1", 20)}, 4)
    other = second(first)
    new = other.acquire_epoch()
    assert (other.watermark(), other.load(["p"]), other.deadlines()) == (4, {"p": b"1"}, [(20, "p")])
    try:
        first.commit(old, {"p": b"zombie"}, 5)
    except FencedError:
        pass
    else:
        raise AssertionError("a fenced worker was let in")
    other.commit(new, {"p": b"2"}, 5)
    assert second(first).load(["p"]) == {"p": b"2"}


def epochs_rise_over_workers(factory: PartitionFactory, second: Second) -> None:
    """Whoever takes an epoch, it is higher than every one before."""
    first = factory()
    other = second(first)
    epochs = [store.acquire_epoch() for store in (first, other, first, other)]
    assert epochs == sorted(set(epochs))
