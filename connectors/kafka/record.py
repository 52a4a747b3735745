"""One record to be written: where, under which key, what, with which headers.

Owns the shape that stages hand to the producer. Must not know a client.
"""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """A record for a topic, by the topic's own name (without an installation's prefix).

    >>> Record("alerts.v1", b"W1", b"{}").partition is None
    True
    """

    topic: str
    key: bytes
    value: bytes | None
    """None is a tombstone: the key's record goes at the next compaction."""
    headers: Headers = ()
    partition: int | None = None
    """None: by the key (murmur2, as every Kafka client does)."""
