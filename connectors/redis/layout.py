"""The names of our keys in Redis, and which partition a patient is in.

Owns the key names that docs/redis.md promises to readers, and the record of how many partitions there are. Must not
know what the values hold. All keys of one partition share a hash tag, so that they lie in one slot of a cluster and one
script may touch them together.
"""

from __future__ import annotations

import msgspec
import redis

from connectors.kafka.partitioning import partition_for
from connectors.redis.faults import FAULTS, translated

Client = redis.Redis | redis.RedisCluster
"""What `connectors.redis.connection.connect` gives."""

LAYOUT_VERSION = 1
"""Raised when the names or meanings of keys change."""
PATIENT_STAGE = "patient"


class LayoutError(Exception):
    """Redis holds another installation's layout, or none: the operator's to mend. The text says how."""


class Layout(msgspec.Struct, frozen=True):
    """What `<prefix>:layout` says, as JSON."""

    layout: int
    partitions: int


class PartitionKeys:
    """The keys of one partition of one stage.

    >>> keys = PartitionKeys("ws", "patient", 3)
    >>> keys.meta, keys.state("p"), keys.view("p")
    (b'ws:{patient-3}:meta', b'ws:{patient-3}:s:p', b'ws:{patient-3}:v:p')
    """

    __slots__ = ("_states", "_views", "deadlines", "meta")

    def __init__(self, prefix: str, stage: str, partition: int) -> None:
        tagged = f"{prefix}:{{{stage}-{partition}}}".encode()
        self.meta = tagged + b":meta"
        self.deadlines = tagged + b":deadlines"
        self._states = tagged + b":s:"
        self._views = tagged + b":v:"

    @property
    def state_prefix(self) -> bytes:
        """What stands before the name of every state."""
        return self._states

    @property
    def view_prefix(self) -> bytes:
        """What stands before the name of every view."""
        return self._views

    def state(self, key: str) -> bytes:
        """Name the state of a key."""
        return self._states + key.encode()

    def view(self, key: str) -> bytes:
        """Name the view of a patient."""
        return self._views + key.encode()


def layout_key(prefix: str) -> str:
    """Name the key that says how many partitions there are.

    >>> layout_key("ws")
    'ws:layout'
    """
    return f"{prefix}:layout"


def partition_of(key: str, partitions: int) -> int:
    """Give the partition that a patient's key is in, in Kafka and so in Redis.

    >>> partition_of("21", 16), partition_of("patient", 1)
    (12, 0)
    """
    return partition_for(key.encode(), partitions)


def write_layout(client: Client, prefix: str, partitions: int) -> None:
    """Record how many partitions there are; called by a worker at its start. Raises `LayoutError` for another number,
    and a `StoreFault` where Redis does not let us.

    States of another number of partitions lie in the wrong ones: nothing must be computed from them.
    """
    wanted = Layout(LAYOUT_VERSION, partitions)
    try:
        client.set(layout_key(prefix), msgspec.json.encode(wanted), nx=True)
        found = read_layout(client, prefix)
    except FAULTS as error:
        raise translated(error) from error
    if found != wanted:
        raise LayoutError(
            f"Redis holds the states of {found.partitions} partitions (layout {found.layout}) under prefix {prefix!r}; "
            f"this worker is set to {partitions} (layout {LAYOUT_VERSION}). Set [kafka] partitions to "
            f"{found.partitions}, or take another [redis] prefix and let the workers fold the log anew"
        )


def read_layout(client: Client, prefix: str) -> Layout:
    """Give what was recorded; raises `LayoutError` where nothing was, or not by us."""
    data = client.get(layout_key(prefix))
    if data is None:
        raise LayoutError(f"Redis holds nothing under prefix {prefix!r}: no worker has run with it")
    try:
        return msgspec.json.decode(data, type=Layout)
    except msgspec.DecodeError:
        raise LayoutError(f"{layout_key(prefix)} in Redis is not ours: take another [redis] prefix") from None
