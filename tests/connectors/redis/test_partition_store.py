"""The Redis store obeys the port's laws, and says which of its commits are done when answers are lost."""

from __future__ import annotations

import pytest
import redis
from redis.crc import key_slot

from connectors.redis.partition_store import (
    ENTRIES_MAX,
    EXPIRY_MIN_MS,
    ITEMS_PER_READ,
    UNANSWERED_MAX,
    RedisPartitionStore,
)
from connectors.redis.scripts import ARGUMENTS_MAX
from features import checks
from features.store import (
    BEFORE_FIRST,
    Entry,
    FencedError,
    LostStateError,
    StoreUnavailableError,
    WatermarkError,
)


@pytest.fixture
def second(client):
    """Opens a store's partition once more, as another worker would."""

    def open_again(store):
        again = RedisPartitionStore(client, "", "", 0)
        again._keys = store._keys
        return again

    return open_again


@pytest.mark.parametrize("law", [*checks.laws(), *checks.partition_laws()], ids=lambda law: law.__name__)
def test_the_redis_store_obeys(law, factory):
    """Every law of the port, and of a partition's store, holds for Redis."""
    law(factory)


@pytest.mark.parametrize("law", checks.shared_laws(), ids=lambda law: law.__name__)
def test_the_redis_store_obeys_when_shared(law, factory, second):
    """Every law of a store that several workers open holds for Redis."""
    law(factory, second)


def test_it_survives_being_opened_again(factory, second):
    """States, watermark and fence are there for another object."""
    checks.survives_reopening(factory, second)


def test_an_epoch_is_above_the_time_in_microseconds(factory, client):
    """An epoch rises though the store has forgotten the last one: it is the time at least."""
    seconds, micros = client.time()
    assert factory().acquire_epoch() >= seconds * 1_000_000 + micros


def test_an_epoch_rises_above_one_from_the_future(factory, client):
    """Where the store's last epoch is ahead of the time, the next is still above it."""
    store = factory()
    store.acquire_epoch()
    client.hset(store._keys.meta, "epoch", 4_000_000_000_000_000)
    assert store.acquire_epoch() == 4_000_000_000_000_001


@pytest.mark.parametrize("count", [ARGUMENTS_MAX // 2, ARGUMENTS_MAX + 1])
def test_a_commit_of_more_keys_than_lua_unpacks_is_whole(factory, count):
    """Thousands of entries are written, indexed, read and deleted in one call each."""
    store = factory()
    epoch = store.acquire_epoch()
    entries = {f"p{number}": Entry(b"%d" % number, number, b"{}") for number in range(count)}
    store.commit_entries(epoch, entries, 0)
    assert store.load(entries) == {key: entry.state for key, entry in entries.items()}
    assert len(store.deadlines()) == count
    store.commit_entries(epoch, dict.fromkeys(entries), 1)
    assert (store.load(entries), store.deadlines()) == ({}, [])


def test_two_thousand_entries_of_fifty_kilobytes_are_one_commit(own_redis, opened):
    """A hundred megabytes go in one call and come back in one, however long a busy machine takes for them."""
    server = own_redis(settings={"appendonly": "no"})
    store = RedisPartitionStore(opened(server.settings(), timeout_s=60.0), "ws", "patient", 0)
    entries = {f"p{number}": Entry(bytes([number % 256]) * 50_000) for number in range(2_000)}
    store.commit_entries(store.acquire_epoch(), entries, 0)
    assert store.load(entries) == {key: entry.state for key, entry in entries.items()}


def test_more_entries_than_one_commit_may_hold_are_refused(factory):
    """The bound on one call is kept, and nothing is written."""
    store = factory()
    epoch = store.acquire_epoch()
    with pytest.raises(ValueError, match="at most"):
        store.commit_entries(epoch, {str(number): Entry(b"") for number in range(ENTRIES_MAX + 1)}, 0)
    assert store.keys() == set()


def test_items_come_in_order_of_key_over_several_reads(factory):
    """More states than one read takes come whole, in order."""
    store = factory()
    states = {f"p{number:05}": b"x" for number in range(ITEMS_PER_READ * 2 + 1)}
    store.commit(store.acquire_epoch(), states, 0)
    assert list(store.items()) == sorted(states.items())


def test_a_commit_without_an_epoch_is_refused(factory):
    """An object that took no epoch writes nothing."""
    with pytest.raises(FencedError, match="acquire"):
        factory().commit(1, {"p": b"1"}, 0)


# -- what a restored or damaged store looks like ---------------------------------------------------------------------


def snapshot(client, store) -> dict[bytes, bytes]:
    """Take every key of a partition, as RDB would."""
    prefix = store._keys.meta.removesuffix(b"meta")
    return {key: client.dump(key) for key in client.scan_iter(match=prefix + b"*", count=1_000)}


def restore(client, store, taken: dict[bytes, bytes]) -> None:
    """Put a partition back to what it was."""
    now = snapshot(client, store)
    if now:
        client.unlink(*now)
    for key, value in taken.items():
        client.restore(key, 0, value)


def test_a_restored_snapshot_is_noticed_by_every_call(factory, client):
    """A worker over a store that went back to an earlier commit neither reads nor writes."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 1)
    taken = snapshot(client, store)
    store.commit(epoch, {"p": b"2"}, 2)
    restore(client, store, taken)
    for call in (lambda: store.load(["p"]), store.keys, store.deadlines, lambda: store.commit(epoch, {"p": b"3"}, 3)):
        with pytest.raises(LostStateError, match="another watermark"):
            call()


def test_after_a_restored_snapshot_work_goes_on_from_its_watermark(factory, client):
    """The snapshot is one moment: with a new epoch, its states and its watermark are used."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 1)
    taken = snapshot(client, store)
    store.commit(epoch, {"p": b"2"}, 2)
    restore(client, store, taken)
    with pytest.raises(LostStateError):
        store.load(["p"])
    assert store.acquire_epoch() > epoch
    assert (store.was_lost, store.watermark(), store.load(["p"])) == (False, 1, {"p": b"1"})


def test_a_snapshot_from_before_the_epoch_is_noticed(factory, client):
    """A store that does not know our epoch is not the one we left."""
    store = factory()
    store.acquire_epoch()
    taken = snapshot(client, store)
    epoch = store.acquire_epoch()
    restore(client, store, taken)
    with pytest.raises(LostStateError, match="older epoch"):
        store.commit(epoch, {"p": b"1"}, 0)


def test_a_wiped_store_is_noticed(factory, client):
    """Nothing is committed onto a store that was emptied, and the next epoch begins at the beginning."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 5)
    restore(client, store, {})
    with pytest.raises(LostStateError, match="wiped"):
        store.commit(epoch, {"p": b"2"}, 6)
    assert store.acquire_epoch() > epoch
    assert store.watermark() == BEFORE_FIRST


def test_an_evicted_state_is_noticed_and_the_partition_begins_anew(factory, client):
    """A state that went by itself makes the whole store worthless: the next epoch finds it empty."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 1, b"{}"), "q": Entry(b"2", 2, b"{}")}, 5)
    client.unlink(store._keys.state("p"))
    assert store.load(["q", "never"]) == {"q": b"2"}
    with pytest.raises(LostStateError, match="missing"):
        store.load(["p"])
    with pytest.raises(LostStateError):
        store.commit(epoch, {"q": b"3"}, 6)
    store.acquire_epoch()
    assert (store.was_lost, store.watermark(), store.keys(), store.load(["p", "q"])) == (True, BEFORE_FIRST, set(), {})
    assert client.exists(store._keys.view("q")) == 0


@pytest.mark.parametrize("gone", ["meta", "deadlines"])
def test_an_evicted_index_is_noticed_and_what_it_named_counts_no_more(factory, client, gone):
    """Without the index or the watermark no state is trusted, also not one that is still there."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"1"}, 5)
    client.unlink(getattr(store._keys, gone))
    with pytest.raises(LostStateError):
        store.load(["p"])
    store.acquire_epoch()
    assert (store.was_lost, store.watermark(), store.load(["p"])) == (True, BEFORE_FIRST, {})


def test_an_empty_partition_was_not_lost(factory):
    """A partition that nobody has worked is just empty."""
    store = factory()
    store.acquire_epoch()
    assert not store.was_lost


# -- answers that are lost -------------------------------------------------------------------------------------------


class LosesAnswers:
    """A client whose script calls fail on the way out or on the way back, as a test says."""

    def __init__(self, client):
        self._client = client
        self.before = False
        self.after = False
        self.held = None

    def evalsha(self, *words):
        """Call a script, or lose the call or its answer."""
        if self.before:
            self.held = words
            raise redis.TimeoutError("Timeout reading from socket")
        answer = self._client.evalsha(*words)
        if self.after:
            raise redis.TimeoutError("Timeout reading from socket")
        return answer

    def deliver_late(self):
        """Let the call that was lost on the way out arrive."""
        return self._client.evalsha(*self.held)

    def __getattr__(self, name):
        return getattr(self._client, name)


@pytest.fixture
def lossy(client, redis_settings):
    """A store with an epoch and one commit, over a connection that a test can break."""
    broken = LosesAnswers(client)
    store = RedisPartitionStore(broken, redis_settings.prefix, "patient", 99)
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", 1)}, 1)
    return store, epoch, broken


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_commit_without_an_answer_may_be_repeated(lossy, lost):
    """Whether it was written or not, the same commit again succeeds, and so do those after it."""
    store, epoch, broken = lossy
    setattr(broken, lost, True)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="in time"):
            store.commit_entries(epoch, {"p": Entry(b"2", 2)}, 2)
    setattr(broken, lost, False)
    store.commit_entries(epoch, {"p": Entry(b"2", 2)}, 2)
    assert (store.watermark(), store.load(["p"]), store.deadlines()) == (2, {"p": b"2"}, [(2, "p")])
    store.commit_entries(epoch, {"p": Entry(b"3", 3)}, 3)
    assert store.load(["p"]) == {"p": b"3"}


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_later_commit_may_follow_one_without_an_answer(lossy, lost):
    """A commit that holds everything of the lost one, and more, is written over either outcome."""
    store, epoch, broken = lossy
    setattr(broken, lost, True)
    with pytest.raises(StoreUnavailableError):
        store.commit(epoch, {"p": b"2"}, 2)
    setattr(broken, lost, False)
    store.commit(epoch, {"p": b"3", "q": b"3"}, 3)
    assert (store.watermark(), store.load(["p", "q"])) == (3, {"p": b"3", "q": b"3"})


def test_a_commit_that_arrives_after_its_successor_is_refused(lossy):
    """What a frozen Redis reads late, out of turn, writes nothing."""
    store, epoch, broken = lossy
    broken.before = True
    with pytest.raises(StoreUnavailableError):
        store.commit(epoch, {"p": b"2"}, 2)
    broken.before = False
    store.commit(epoch, {"p": b"3"}, 2)
    assert broken.deliver_late()[0] == b"LOST"
    assert (store.load(["p"]), store.watermark()) == ({"p": b"3"}, 2)


def test_a_commit_that_is_sent_twice_is_written_once(lossy):
    """The client's own repetition of a call is answered as the first was, and does not undo what it says."""
    store, epoch, broken = lossy
    broken.before = True
    with pytest.raises(StoreUnavailableError):
        store.commit(epoch, {"p": b"2"}, 2)
    assert broken.deliver_late() == [b"OK", b"written"]
    assert broken.deliver_late() == [b"OK", b"again"]
    broken.before = False
    assert store.load(["p"]) == {"p": b"2"}
    store.commit(epoch, {"p": b"3"}, 3)
    assert store.load(["p"]) == {"p": b"3"}


def test_commits_without_an_answer_are_bounded(lossy):
    """After many lost commits in a row the worker is told to take a new epoch, which settles all of them."""
    store, epoch, broken = lossy
    broken.before = True
    for _ in range(UNANSWERED_MAX):
        with pytest.raises(StoreUnavailableError):
            store.commit(epoch, {"p": b"2"}, 2)
    with pytest.raises(LostStateError, match="new epoch"):
        store.commit(epoch, {"p": b"2"}, 2)
    broken.before = False
    epoch = store.acquire_epoch()
    store.commit(epoch, {"p": b"2"}, 2)
    assert store.load(["p"]) == {"p": b"2"}


def test_a_clear_without_an_answer_may_be_repeated(lossy):
    """Clearing again after a lost answer succeeds."""
    store, epoch, broken = lossy
    broken.after = True
    with pytest.raises(StoreUnavailableError):
        store.clear(epoch)
    broken.after = False
    store.clear(epoch)
    assert (store.watermark(), store.keys()) == (BEFORE_FIRST, set())


def test_a_refused_commit_leaves_the_next_one_possible(lossy):
    """A watermark that turns back is refused, and is no lost answer."""
    store, epoch, _ = lossy
    with pytest.raises(WatermarkError):
        store.commit(epoch, {"p": b"0"}, 0)
    store.commit(epoch, {"p": b"2"}, 2)
    assert len(store._marks) == 1


# -- time to live ----------------------------------------------------------------------------------------------------


def test_what_expires_has_a_time_to_live_until_it_is_written_for_good(factory, client):
    """State and view expire at the given time, and no more once a commit does not say so."""
    store = factory()
    epoch = store.acquire_epoch()
    at = int(client.time()[0]) * 1000 + 3 * EXPIRY_MIN_MS
    names = [store._keys.state("p"), store._keys.view("p")]
    store.commit_entries(epoch, {"p": Entry(b"1", view=b"{}", expire_at=at)}, 0)
    assert [client.pexpiretime(name) for name in names] == [at, at]
    store.commit_entries(epoch, {"p": Entry(b"1", view=b"{}")}, 1)
    assert [client.pexpiretime(name) for name in names] == [-1, -1]


def test_an_expiry_of_long_ago_still_leaves_a_day(factory, client):
    """A log of last year, folded today, does not expire while it is folded."""
    store = factory()
    store.commit_entries(store.acquire_epoch(), {"p": Entry(b"1", expire_at=1_000)}, 0)
    assert client.pttl(store._keys.state("p")) > EXPIRY_MIN_MS - 60_000
    assert store.load(["p"]) == {"p": b"1"}


def test_a_commit_without_a_view_takes_the_old_view_away(factory, client):
    """A view never stands beside a state that it is not of."""
    store = factory()
    epoch = store.acquire_epoch()
    store.commit_entries(epoch, {"p": Entry(b"1", view=b"{}")}, 0)
    store.commit_entries(epoch, {"p": Entry(b"2")}, 1)
    assert client.get(store._keys.view("p")) is None


def test_every_key_of_a_partition_has_one_hash_tag(factory, client):
    """All that a script touches lies in one slot of a cluster."""
    store = factory()
    store.commit_entries(store.acquire_epoch(), {"p}{q": Entry(b"1", 1, b"{}")}, 0)
    keys = list(snapshot(client, store))
    assert len(keys) == 4
    assert len({key_slot(key) for key in keys}) == 1
