"""What an error of Redis means for whoever keeps states there.

Owns the translation into the store port's errors. Must not know what was being done.
"""

from __future__ import annotations

from redis.exceptions import (
    ClusterError,
    NoPermissionError,
    OutOfMemoryError,
    RedisClusterException,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionLost
from redis.exceptions import TimeoutError as RedisTimeout

from features.store import StoreFault, StoreFullError, StoreUnavailableError

FAULTS = (RedisError, RedisClusterException)
"""What redis-py raises; the second is none of the first."""


def translated(error: Exception) -> StoreFault:
    """Say what Redis's refusal means; of its own text only the first word is told, for it may name a key."""
    if isinstance(error, OutOfMemoryError):
        return StoreFullError("Redis is over its maxmemory and wrote nothing: raise maxmemory, or free some")
    if isinstance(error, NoPermissionError):
        return StoreUnavailableError(
            "Redis's ACL user may not do this: docs/redis.md has the rules that a worker needs"
        )
    if isinstance(error, RedisTimeout):
        return StoreUnavailableError("Redis did not answer in time: look at its load, and at [redis] timeout_s")
    if isinstance(error, RedisConnectionLost | ClusterError | RedisClusterException):
        return StoreUnavailableError(f"Redis cannot be reached ({type(error).__name__})")
    if isinstance(error, ResponseError):
        word = str(error).partition(" ")[0]
        return StoreUnavailableError(f"Redis refuses ({word}): its own log says why")
    return StoreUnavailableError(f"Redis cannot be used ({type(error).__name__})")
