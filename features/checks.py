"""The laws of a state store, to be run against every one there is.

Owns the laws; each is a function of a factory of empty stores and raises `AssertionError` where the store breaks it.
Must not know any particular store. (After River's `checks`: the laws ship with the port.)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from features.store import BEFORE_FIRST, FencedError, StateStore, WatermarkError

Factory = Callable[[], StateStore]
"""Gives a new, empty store."""
Reopen = Callable[[StateStore], StateStore]
"""Closes a durable store and opens it again from where it is kept."""


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
