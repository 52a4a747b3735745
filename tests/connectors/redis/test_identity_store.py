"""What [parse] keeps in Redis: written by the owner if all that was read is still so, or not at all."""

from __future__ import annotations

import struct
from hashlib import blake2b

import msgspec
import pytest

from connectors.kafka.record import Record
from connectors.redis import identity_store
from connectors.redis.connection import connect
from connectors.redis.identity_store import Change, ChangedError, IdentityRecord, Link, RedisIdentityStore
from features.store import FencedError, LostStateError, StoreFullError

TOPIC = "hl7v2.ingest.v1"
NAME = ("HOSP", "42")
NOTHING = Change({}, {})


def content(number):
    """Give a content hash."""
    return blake2b(b"%d" % number, digest_size=16).digest()


def noted(*offsets):
    """Give what is to be produced for some offsets."""
    return {offset: [Record("events.v1", b"p", b"{%d}" % offset, (("ce_id", b"x"),))] for offset in offsets}


def link(store, name, patient, *, version=0, former=""):
    """Link an identifier as a batch would."""
    snapshot = store.look([name], ())
    store.add_names(snapshot, snapshot.concerned({name: patient}))
    store.apply(snapshot, snapshot.change({name: Link(patient, 5, version or snapshot.version + 1, former)}))


def names_of(store, patient):
    """Give the identifiers that lead to a patient key."""
    snapshot = store.look([], ())
    store.add_names(snapshot, [patient])
    return snapshot.names[patient]


@pytest.fixture
def new_store(redis_settings):
    """Give a maker of stores, each as another worker's."""
    clients = []

    def make(settings=redis_settings, **options):
        clients.append(connect(settings))
        return RedisIdentityStore(clients[-1], settings.prefix, **options)

    yield make
    for client in clients:
        client.close()


def test_what_was_claimed_is_known_to_every_worker(new_store):
    """A content that one worker claimed is a duplicate to all others at once, and no other content is."""
    store, other = new_store(), new_store()
    place, _ = store.take(TOPIC, 0)
    store.claim(place, store.look([], [content(1)]), [content(1)], NOTHING, noted(0), 0)
    assert other.look([], [content(1), content(2)]).known == {content(1)}


def test_one_content_is_claimed_once(new_store):
    """Of two workers who read that a content is new, the second is told to look again, and leaves nothing."""
    store, other = new_store(), new_store()
    mine, _ = store.take(TOPIC, 0)
    his, _ = other.take(TOPIC, 1)
    before, his_before = store.look([], [content(1)]), other.look([], [content(1), content(2)])
    store.claim(mine, before, [content(1)], NOTHING, noted(0), 0)
    with pytest.raises(ChangedError):
        other.claim(his, his_before, [content(2), content(1)], NOTHING, noted(0), 0)
    assert other.look([], [content(2)]).known == frozenset()
    assert other.notes(his) == {}


def test_a_claim_on_a_link_that_was_moved_is_refused_whole(new_store):
    """What rests on a link that another worker moved in between is not written, its claims neither."""
    store, other = new_store(), new_store()
    link(other, NAME, "a")
    place, _ = store.take(TOPIC, 0)
    before = store.look([NAME], [content(1)])
    link(other, NAME, "b")
    with pytest.raises(ChangedError):
        store.claim(place, before, [content(1)], NOTHING, noted(0), 0)
    assert store.look([], [content(1)]).known == frozenset()


def test_a_claim_on_names_that_grew_is_refused(new_store):
    """Whoever retires a key must have seen all its identifiers: one that came in between makes him look again."""
    store, other = new_store(), new_store()
    link(other, NAME, "a")
    before = store.look([NAME], ())
    store.add_names(before, ["a", "b"])
    link(other, ("NHS", "9"), "a")
    with pytest.raises(ChangedError):
        store.apply(before, before.change({NAME: Link("b", 6, before.version + 1, "a")}))
    assert sorted(names_of(store, "a")) == [NAME, ("NHS", "9")]


def test_a_worker_that_was_replaced_writes_nothing(new_store):
    """After somebody took a newer epoch, claims and commits of the one before are refused."""
    store, other = new_store(), new_store()
    place, _ = store.take(TOPIC, 0)
    before = store.look([], [content(1)])
    taken, _ = other.take(TOPIC, 0)
    for act in (
        lambda: store.claim(place, before, [content(1)], NOTHING, noted(0), 0),
        lambda: store.commit(place, 0),
        lambda: store.notes(place),
    ):
        with pytest.raises(FencedError) as refused:
            act()
        assert not isinstance(refused.value, LostStateError)
    assert store.look([], [content(1)]).known == frozenset()
    assert other.take(TOPIC, 0)[0].watermark == taken.watermark == -1


def test_a_claim_whose_answer_was_lost_may_be_repeated(new_store):
    """The same claim again is no second one; another under the same offset is refused."""
    store = new_store()
    place, _ = store.take(TOPIC, 0)
    before = store.look([NAME], [content(1)])
    for _ in range(2):
        store.claim(place, before, [content(1)], NOTHING, noted(0), 0)
    with pytest.raises(LostStateError):
        store.claim(place, before, [content(2)], NOTHING, {0: []}, 0)


def test_what_was_claimed_and_not_committed_is_found_by_whoever_comes_next(new_store):
    """Notes are there until their offset is committed, and hold the records byte for byte."""
    store = new_store()
    place, _ = store.take(TOPIC, 0)
    store.claim(place, store.look([], ()), [], NOTHING, noted(0, 1), 1)
    store.claim(place, store.look([], ()), [], NOTHING, noted(2), 2)
    assert new_store().take(TOPIC, 0)[1] == noted(0, 1, 2)
    place, _ = store.take(TOPIC, 0)
    store.commit(place, 1)
    store.commit(place, 1)
    again, rest = new_store().take(TOPIC, 0)
    assert (again.watermark, rest) == (1, noted(2))


def test_an_older_record_of_a_link_never_wins(new_store):
    """Rebuilding the map from its log puts back what is missing, in whatever order, and never what is older."""
    store = new_store()
    log = [
        msgspec.json.encode(IdentityRecord(*NAME, key, former, 5, version))
        for key, former, version in (("b", "a", 2), ("a", "", 1))
    ]
    log.append(msgspec.json.encode(IdentityRecord("NHS", "9", "b", "", 5, 1)))
    assert store.rebuild(log) == 2
    assert store.look([NAME], ()).links[NAME] == Link("b", 5, 2, "a")
    assert sorted(names_of(store, "b")) == [NAME, ("NHS", "9")]
    link(store, NAME, "c", former="a b")
    assert store.rebuild(log) == 0
    assert names_of(store, "c") == [NAME]
    assert names_of(store, "b") == [("NHS", "9")]


def test_a_full_redis_refuses_a_claim_whole(own_redis, new_store):
    """At maxmemory nothing of a claim is written; with room, the same claim succeeds."""
    server = own_redis(memory_max_mib=16)
    store = new_store(server.settings())
    place, _ = store.take(TOPIC, 0)
    big = {0: [Record("events.v1", b"p", blake2b(b"%d" % n).digest() * 2**14) for n in range(1)]}
    with server.client() as admin:
        admin.config_set("maxmemory", "1mb")
        before = store.look([], [content(1)])
        with pytest.raises(StoreFullError):
            store.claim(place, before, [content(1)], NOTHING, big, 0)
        assert store.look([], [content(1)]).known == frozenset()
        admin.config_set("maxmemory", "64mb")
        store.claim(place, before, [content(1)], NOTHING, big, 0)
    assert store.look([], [content(1)]).known == {content(1)}


def test_a_restart_of_redis_is_noticed_by_everybody(own_redis, new_store):
    """After a restart a worker goes on only with a new epoch, and is told once since when things may be lost."""
    server = own_redis()
    store, other = new_store(server.settings()), new_store(server.settings())
    places = [store.take(TOPIC, 0)[0], other.take(TOPIC, 1)[0]]
    for one, place in zip((store, other), places, strict=True):
        one.claim(place, one.look([], ()), [], NOTHING, noted(0), 0)
        one.commit(place, 0)
    places[0], _ = store.take(TOPIC, 0)
    assert places[0].since is None
    server.kill()
    server.start()
    for one, place in zip((store, other), places, strict=True):
        with pytest.raises(LostStateError):
            one.commit(place, 0)
    for partition in (0, 1):
        place, _ = store.take(TOPIC, partition)
        assert place.since is not None
        assert place.since > 0
        store.commit(place, place.watermark)
        assert store.take(TOPIC, partition)[0].since is None


def test_a_redis_that_lost_all_says_so(own_redis, new_store):
    """An emptied Redis has to be made whole from the beginning of the log."""
    server = own_redis()
    store = new_store(server.settings())
    place, _ = store.take(TOPIC, 0)
    store.commit(place, 7)
    with server.client() as admin:
        admin.flushall()
    with pytest.raises(LostStateError):
        store.commit(place, 8)
    place, _ = store.take(TOPIC, 0)
    assert (place.watermark, place.since) == (-1, 0)


def test_all_keys_of_parse_lie_in_one_slot_of_a_cluster(own_redis_cluster, new_store):
    """On a Redis Cluster, looks and claims work, for all their keys share one hash tag."""
    store = new_store(own_redis_cluster().settings())
    place, _ = store.take(TOPIC, 0)
    before = store.look([NAME], [content(1)])
    store.add_names(before, ["a"])
    store.claim(place, before, [content(1)], before.change({NAME: Link("a", 5, 1)}), noted(0), 0)
    store.commit(place, 0)
    assert store.look([NAME], [content(1)]).known == {content(1)}


def test_a_claim_takes_some_ten_bytes(own_redis, new_store):
    """At the load of a national service, a claim takes less than 12 bytes of Redis's memory, all its keys with it."""
    server = own_redis()
    store = new_store(server.settings())
    place, _ = store.take(TOPIC, 0)
    per_bucket, buckets, batch = 400, 64, 800
    hashes = [
        struct.pack(">I", bucket << (32 - identity_store.BUCKETS_BITS)) + content(number * buckets + bucket)[4:]
        for number in range(per_bucket)
        for bucket in range(buckets)
    ]
    with server.client() as admin:
        before = admin.info("memory")["used_memory_dataset"]
        for start in range(0, len(hashes), batch):
            part = hashes[start : start + batch]
            store.claim(place, store.look([], part), part, NOTHING, {start: []}, start)
            store.commit(place, start)
        used = admin.info("memory")["used_memory_dataset"] - before
        assert used / len(hashes) < 12


def test_a_claim_is_known_for_as_long_as_is_said(own_redis, new_store):
    """A claim's bucket lives at least `claims_hours` and at most half as long again, by Redis's own clock."""
    server = own_redis()
    store = new_store(server.settings(), claims_hours=2)
    place, _ = store.take(TOPIC, 0)
    store.claim(place, store.look([], [content(1)]), [content(1)], NOTHING, noted(0), 0)
    with server.client() as admin:
        [bucket] = admin.keys("*:c:*")
        left_h = admin.pttl(bucket) / 3_600_000
    assert 2 <= left_h <= 3
