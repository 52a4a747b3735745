"""What befalls a Redis: full, frozen, killed, restored, and users with half the rights. Nothing is written by half."""

from __future__ import annotations

import pytest

from connectors.redis.partition_store import RedisPartitionStore
from features.store import BEFORE_FIRST, Entry, LostStateError, StoreFullError, StoreUnavailableError

SECRET = "worker-word"  # noqa: S105 - of a server that lives for a test
ADMIN = "of-the-bench"
BIG = 256 * 1024


def make_store(client, partition=3):
    """Give the store of one partition."""
    return RedisPartitionStore(client, "ws", "patient", partition)


def fill(store, epoch):
    """Commit until there is no room; give the last watermark that was written and what was refused."""
    for watermark in range(1_000):
        entries = {f"p{watermark}-{n}": Entry(bytes([n]) * BIG, n, b"{}") for n in range(4)}
        try:
            store.commit_entries(epoch, {**entries, "p": Entry(b"%d" % watermark)}, watermark)
        except StoreFullError:
            return watermark - 1, entries
    raise AssertionError("it was never full")


def test_a_full_redis_refuses_a_commit_whole(own_redis, opened):
    """At maxmemory a commit writes nothing at all; what is there can be read; with room, the same commit succeeds."""
    server = own_redis(memory_max_mib=16)
    store = make_store(opened(server.settings()))
    epoch = store.acquire_epoch()
    written, refused = fill(store, epoch)
    assert store.load(["p", *refused]) == {"p": b"%d" % written}
    assert (store.watermark(), len(store.deadlines())) == (written, 4 * (written + 1))
    with server.client() as admin:
        admin.config_set("maxmemory", "64mb")
    store.commit_entries(epoch, refused, written + 1)
    assert store.load(refused) == {key: entry.state for key, entry in refused.items()}


def test_a_worker_may_take_over_a_full_redis(own_redis, opened):
    """Another worker reads where the first one was stopped by a full memory."""
    server = own_redis(memory_max_mib=16)
    store = make_store(opened(server.settings()))
    written, _ = fill(store, store.acquire_epoch())
    other = make_store(opened(server.settings()))
    other.acquire_epoch()
    assert (other.watermark(), other.load(["p"])) == (written, {"p": b"%d" % written})


def test_a_frozen_redis_is_unavailable_and_the_commit_may_be_repeated(own_redis, opened):
    """A commit that hung is repeated when Redis goes on, whichever of the two it reads first."""
    server = own_redis()
    store = make_store(opened(server.settings(), timeout_s=1.0))
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 1)
    server.freeze()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="in time"):
            store.commit(epoch, {"p": b"2"}, 2)
    with pytest.raises(StoreUnavailableError):
        store.load(["p"])
    server.thaw()
    store.commit(epoch, {"p": b"2"}, 2)
    assert (store.watermark(), store.load(["p"])) == (2, {"p": b"2"})


def test_a_restart_of_redis_is_survived(own_redis, opened):
    """After a stop and a start the same store goes on, though the server knows its scripts no more."""
    server = own_redis()
    store = make_store(opened(server.settings()))
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 1)
    server.stop()
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.commit(epoch, {"p": b"2"}, 2)
    server.start()
    store.commit(epoch, {"p": b"2"}, 2)
    assert store.load(["p"]) == {"p": b"2"}


def test_a_redis_restored_from_an_older_snapshot_is_noticed(own_redis, opened, tmp_path):
    """A worker neither reads nor writes over an older store; with a new epoch it goes on from what that one has."""
    server = own_redis()
    store = make_store(opened(server.settings()))
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 1)}, 1)
    with server.client() as admin:
        admin.config_set("appendfsync", "always")
    store.commit_entries(epoch, {"p": Entry(b"2", 2)}, 2)
    server.snapshot(tmp_path / "snapshot")
    store.commit_entries(epoch, {"p": Entry(b"3", 3)}, 3)
    server.restore(tmp_path / "snapshot")
    for call in (lambda: store.load(["p"]), lambda: store.commit(epoch, {"p": b"4"}, 4)):
        with pytest.raises(LostStateError):
            call()
    assert store.acquire_epoch() > epoch
    assert (store.watermark(), store.load(["p"]), store.deadlines()) == (2, {"p": b"2"}, [(2, "p")])


def test_a_user_with_half_the_rights_leaves_no_half_commit(own_redis, opened):
    """Where a right is missing in the middle of a commit, nothing of it is ever read: the next epoch begins anew."""
    rights = f"on >{SECRET} ~ws:* +@all -zrem"
    server = own_redis(users={"worker": rights}, admin_password=ADMIN)
    store = make_store(opened(server.settings(username="worker"), SECRET))
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1", "q": b"1"}, 1)
    with pytest.raises(StoreUnavailableError):
        store.commit(epoch, {"p": b"2", "q": None}, 2)
    with pytest.raises(LostStateError):
        store.load(["p"])
    store.acquire_epoch()
    assert (store.was_lost, store.watermark(), store.keys()) == (True, BEFORE_FIRST, set())


def test_a_policy_that_evicts_is_noticed(own_redis, opened):
    """Where Redis drops states to make room, a worker stops rather than go on without them."""
    server = own_redis(memory_max_mib=16, settings={"maxmemory-policy": "allkeys-random"})
    store = make_store(opened(server.settings()))
    epoch = store.acquire_epoch()

    def work():
        for watermark in range(200):
            store.commit(epoch, {f"p{watermark}-{n}": bytes([n]) * BIG for n in range(4)}, watermark)
            store.load([f"p{known}-{n}" for known in range(watermark + 1) for n in range(4)])

    with pytest.raises((LostStateError, StoreFullError)):
        work()
