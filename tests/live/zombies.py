"""What a worker that slept through a rebalance tries when it wakes, and who refuses it: read from its log.

A refused write is a fault of the fence with the code that writes among its innermost frames: a batch's commit or claim
in Redis, or the transaction that tells the wards. To be refused when it looks whether a partition is its own, or when
it takes one, is no write.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.redis.identity_store import RedisIdentityStore
from connectors.redis.partition_store import RedisPartitionStore
from stream.live.state_delivery import StateDelivery
from tests.live.deaths import log_lines

FENCES = ("FencedError", "LostStateError")


def lines_of(function: Callable[..., Any]) -> tuple[str, range]:
    """Give the file's name and the lines of a function.

    >>> lines_of(lines_of)[0]
    'zombies.py'
    """
    lines, first = inspect.getsourcelines(function)
    return Path(inspect.getsourcefile(function) or "").name, range(first, first + len(lines))


WRITES = [
    lines_of(function)
    for function in (
        RedisPartitionStore.commit_entries,
        RedisIdentityStore.claim,
        RedisIdentityStore.commit,
        StateDelivery.__call__,
    )
]


def refused_writes(log: str) -> int:
    """Count the writes of a worker that a fence refused, by what it logged.

    >>> file, lines = WRITES[0]
    >>> line = '{"event":"tried_again","where":"fenced","fault":"FencedError","place":"%s:%d < b.py:2"}'
    >>> refused_writes(line % (file, lines[1])), refused_writes(line % (file, 1)), refused_writes("")
    (1, 0, 0)
    """
    return sum(
        line.get("event") == "tried_again"
        and line.get("where") == "fenced"
        and line.get("fault") in FENCES
        and any(_is_write(frame) for frame in str(line.get("place", "")).split(" < "))
        for line in log_lines(log)
    )


def _is_write(frame: str) -> bool:
    file, _, line = frame.rpartition(":")
    return line.isdigit() and any(file == name and int(line) in lines for name, lines in WRITES)
