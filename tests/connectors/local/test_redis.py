"""A Redis of one's own: real, secured where asked, and as it was after a kill or a restore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, OutOfMemoryError
from redis.exceptions import TimeoutError as RedisTimeout

from connectors.redis.connection import RedisConnectionError, connect

Own = Callable[..., Any]


def test_answered_writes_survive_a_kill(own_redis: Own) -> None:
    """What was answered before kill -9 is there after a start on the same folder and port."""
    server = own_redis()
    with server.client() as client:
        for n in range(1_000):
            client.set(f"ws:{n}", n)
    before = server.port
    server.kill()
    server.start()
    with server.client() as client:
        assert (server.port, client.dbsize()) == (before, 1_000)


def test_a_frozen_one_answers_nobody_until_it_goes_on(own_redis: Own) -> None:
    """SIGSTOP makes a Redis that keeps its connections and says nothing; SIGCONT mends it."""
    server = own_redis()
    client = connect(msgspec.structs.replace(server.settings(), timeout_s=1.0))
    server.freeze()
    with pytest.raises(RedisTimeout):
        client.ping()
    server.thaw()
    assert client.ping()


def test_a_restored_one_holds_what_the_snapshot_held(own_redis: Own, tmp_path: Path) -> None:
    """A snapshot of a running Redis has every answered write; restored, later ones are gone."""
    server = own_redis()
    with server.client() as client:
        client.set("ws:a", "earlier")
        server.snapshot(tmp_path / "snapshot")
        client.set("ws:a", "later")
        client.set("ws:b", "later")
    server.restore(tmp_path / "snapshot")
    with server.client() as client:
        assert (client.get("ws:a"), client.get("ws:b")) == (b"earlier", None)


def test_tls_and_acl_ask_who_is_there(own_redis: Own) -> None:
    """With TLS, client certificates and users: the right ones get in, to their own keys; nobody else does."""
    server = own_redis(
        tls=True,
        client_certificates=True,
        users={"ward": "on >right ~ws:* +@all -@dangerous +info"},
        admin_password="bench's own",  # noqa: S106 - of a server that lives for this test
    )
    settings = server.settings(username="ward")
    client = connect(settings, "right")
    client.set("ws:a", "1")
    with pytest.raises(NoPermissionError):
        client.set("other:a", "1")
    with pytest.raises(RedisConnectionError):
        connect(settings, "wrong")
    with pytest.raises(RedisConnectionError):
        connect(msgspec.structs.replace(settings, cert_file="", key_file=""), "right")
    with pytest.raises(RedisConnectionError):
        connect(msgspec.structs.replace(settings, tls=False, ca_file="", cert_file="", key_file=""), "right")


def fill(client: Redis) -> None:
    """Write ten megabytes in small pieces."""
    for n in range(1_000):
        client.set(f"ws:{n}", b"x" * 10_000)


def test_a_full_one_refuses(own_redis: Own) -> None:
    """With maxmemory, a write past it is refused, and nothing that was written is evicted."""
    server = own_redis(memory_max_mib=8)
    with server.client() as client:
        client.set("ws:first", "here")
        with pytest.raises(OutOfMemoryError, match="maxmemory"):
            fill(client)
        assert client.get("ws:first") == b"here"


@pytest.mark.parametrize("tls", [False, True])
def test_a_cluster_serves_every_slot_and_survives_a_kill(own_redis_cluster: Own, tls: bool) -> None:  # noqa: FBT001
    """Three masters share the keys, plain or over TLS, and hold them after all three were killed."""
    cluster = own_redis_cluster(tls=tls)
    client = connect(cluster.settings())
    for n in range(100):
        client.set(f"{{ws-{n}}}:a", n)
    sizes = []
    for node in cluster.nodes:
        with node.client() as own:
            sizes.append(own.dbsize())
        node.kill()
    assert sum(sizes) == 100
    assert all(sizes)
    cluster.start()
    again = connect(cluster.settings())
    assert [int(again.get(f"{{ws-{n}}}:a")) for n in range(100)] == list(range(100))
