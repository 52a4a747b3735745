"""How one process reaches Redis: the `[redis]` table of `wardstream.toml`.

Owns the shape, the defaults and their limits. Must not know what is kept there. The password is not here: it comes from
the environment variable WARDSTREAM_REDIS_PASSWORD.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

PASSWORD_VARIABLE = "WARDSTREAM_REDIS_PASSWORD"  # noqa: S105 - a variable's name


class RedisSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Redis is and how it is asked.

    >>> RedisSettings().prefix
    'ws'
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 6379
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "ws"
    """Stands before every key: one Redis serves several installations."""
    cluster: bool = False
    """Whether the address is a node of a Redis Cluster."""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    """An ACL user; empty is Redis's `default`."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    """How long one call may take before Redis counts as not reachable."""
