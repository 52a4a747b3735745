"""Which partition a key lies in is the same for every client."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.partitioning import partition_for


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_key_lies_where_other_clients_put_it(key: bytes, partitions: int) -> None:
    """Ours is the partition that aiokafka's own partitioner names, and Java's by its word."""
    every = list(range(partitions))
    assert partition_for(key, partitions) == DefaultPartitioner()(key, every, every)
