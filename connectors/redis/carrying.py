"""What [parse] remembers, carried from one prefix (or server) to another: links, names and claims, with their lives.

Owns which keys those are. Must not know why they are carried. Epochs, watermarks and notes stay behind: they are of the
other installation's partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from connectors.redis.faults import FAULTS, translated
from connectors.redis.layout import Client

PORTION_KEYS = 500
"""Keys carried in one round trip: Redis serves others in between."""
KINDS = (b"id:", b"names:", b"c:")
"""Links, the identifiers of each patient key, and claims: docs/decisions/0019 has the layout."""


def carry_parse(source: Client, prefix: str, target: Client, to: str) -> int:
    """Copy what [parse] knows under `prefix` at one Redis to `to` at another, or the same; give how many keys.

    Safe to repeat. Nobody may be writing there meanwhile. Raises a `StoreFault`.
    """
    begin, end = _tag(prefix), _tag(to)
    count = 0
    try:
        for kind in KINDS:
            names = source.scan_iter(match=_literal(begin + kind) + b"*", count=1_000)
            for portion in _portions(names):
                count += _carry(source, target, portion, begin, end, sets=kind == b"c:")
        version = source.hget(begin + b"meta", "version")
        if version is not None:
            target.hset(end + b"meta", "version", version)
    except FAULTS as error:
        raise translated(error) from error
    return count


def parsed_through(client: Client, prefix: str, topic: str, partition: int) -> int:
    """Give the last record of an ingest partition that is through [parse]; -1 where none. Raises a `StoreFault`."""
    try:
        found: Any = client.hget((_tag(prefix) + f"p:{topic}/{partition}".encode()).decode(), "watermark")
    except FAULTS as error:
        raise translated(error) from error
    return -1 if found is None else int(found)


def _carry(source: Client, target: Client, names: list[bytes], begin: bytes, end: bytes, *, sets: bool) -> int:
    read: Any = source.pipeline(transaction=False)
    for name in names:
        read.smembers(name) if sets else read.get(name)
        read.pttl(name)
    answers = read.execute()
    write: Any = target.pipeline(transaction=False)
    count = 0
    for name, value, life in zip(names, answers[::2], answers[1::2], strict=True):
        if not value:
            continue  # its life ended at this moment
        key = end + name[len(begin) :]
        write.sadd(key, *value) if sets else write.set(key, value)
        if life > 0:
            write.pexpire(key, life)
        count += 1
    write.execute()
    return count


def _portions(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    iterator = iter(names)
    while portion := list(islice(iterator, PORTION_KEYS)):
        yield portion


def _tag(prefix: str) -> bytes:
    return f"{prefix}:{{parse}}:".encode()


def _literal(prefix: bytes) -> bytes:
    """Take the meaning of a pattern from its signs."""
    return b"".join(b"\\" + bytes([sign]) if sign in b"*?[]\\" else bytes([sign]) for sign in prefix)
