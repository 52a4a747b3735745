"""A Redis with TLS and users, and a Redis Cluster: the rules of docs/redis.md are enough, and no more than that."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from connectors.local.redis import LocalRedisCluster
from connectors.redis.connection import RedisConnectionError
from connectors.redis.layout import LayoutError, PartitionKeys, partition_of, write_layout
from connectors.redis.partition_store import RedisPartitionStore
from connectors.redis.views import read_stored_view
from features import checks
from features.store import Entry, StoreUnavailableError

SECRET = "PASSWORD"  # noqa: S105 - the word that stands in the document
ADMIN = "of-the-bench"
PARTITIONS = 8
IN_A_CLUSTER = " +cluster|slots +command"


def documented_users() -> dict[str, str]:
    """Read the users' rules out of the document."""
    text = Path("docs/redis.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^user (\S+) (.+)$", text, re.MULTILINE))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Redis Cluster of three nodes with TLS and the documented users."""
    assert IN_A_CLUSTER.strip() in Path("docs/redis.md").read_text(encoding="utf-8")
    users = {name: rules + IN_A_CLUSTER for name, rules in documented_users().items()}
    made = LocalRedisCluster(tmp_path_factory.mktemp("cluster"), tls=True, users=users, admin_password=ADMIN)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def secured(own_redis):
    """One Redis with TLS and the documented users."""
    return own_redis(tls=True, users=documented_users(), admin_password=ADMIN)


@pytest.fixture(params=["single", "cluster"])
def server(request):
    """Each of the two."""
    return request.getfixturevalue({"single": "secured", "cluster": "cluster"}[request.param])


@pytest.fixture
def worker(server, opened):
    """A client with a worker's rights."""
    return opened(server.settings(username="ward-worker"), SECRET, timeout_s=5.0)


@pytest.fixture
def reader(server, opened):
    """A client with a reader's rights."""
    return opened(server.settings(username="ward-reader"), SECRET, timeout_s=5.0)


def test_a_worker_can_do_all_that_a_store_does(worker):
    """Every law of a partition's store holds with a worker's rights, in partitions of all nodes."""
    numbers = iter(range(10_000))

    def factory():
        return RedisPartitionStore(worker, "ws", "laws", next(numbers))

    for law in (*checks.laws(), *checks.partition_laws()):
        law(factory)


def test_a_reader_reads_views_and_nothing_else(worker, reader):
    """Views, layout and meta are open to a reader; states are not, and nothing can be written."""
    write_layout(worker, "ws", PARTITIONS)
    for number in range(20):
        patient = f"p{number}"
        partition = partition_of(patient, PARTITIONS)
        store = RedisPartitionStore(worker, "ws", "patient", partition)
        store.commit_entries(store.acquire_epoch(), {patient: Entry(b"state", view=b"{}")}, store.watermark() + 1)
        stored = read_stored_view(reader, "ws", patient)
        assert stored.document == b"{}"
        assert stored.partition == partition
        assert stored.committed_at > 0
    keys = PartitionKeys("ws", "patient", partition)
    for words in (("GET", keys.state(patient)), ("SET", keys.view(patient), b""), ("HSET", keys.meta, "epoch", "1")):
        with pytest.raises(Exception, match=r"(?i)permission"):
            reader.execute_command(*words)
    with pytest.raises(StoreUnavailableError, match="ACL"):
        RedisPartitionStore(reader, "ws", "patient", 0).acquire_epoch()


def test_a_worker_stays_under_its_prefix(worker):
    """Another installation's keys are out of a worker's reach."""
    with pytest.raises(StoreUnavailableError, match="ACL"):
        RedisPartitionStore(worker, "other", "patient", 0).acquire_epoch()


def test_a_cluster_that_is_taken_for_a_single_redis(cluster, opened):
    """A node of a cluster, without the setting that says so, is told as that."""
    wrong = msgspec.structs.replace(cluster.settings(username="ward-worker"), cluster=False)
    with pytest.raises(RedisConnectionError, match="cluster = true"):
        opened(wrong, SECRET)


def test_partitions_of_a_cluster_lie_on_several_nodes(cluster, opened):
    """The states of eight partitions are spread, each partition whole in one place."""
    client = opened(cluster.settings(username="ward-worker"), SECRET, timeout_s=5.0)
    owners = {client.get_node_from_key(PartitionKeys("ws", "patient", n).meta).port for n in range(PARTITIONS)}
    assert len(owners) > 1


def test_another_number_of_partitions_is_refused(worker):
    """A worker that is set to another number than what Redis holds does not start."""
    write_layout(worker, "ws", PARTITIONS)
    with pytest.raises(LayoutError, match=f"partitions to {PARTITIONS}"):
        write_layout(worker, "ws", PARTITIONS + 1)
