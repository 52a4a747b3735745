"""What the MLLP server tells of itself, for logs and counts.

Owns the words. Must not know who listens. A notice holds numbers and, of a connection that opens, the peer's host:
never a byte of what was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

What = Literal[
    "opened",
    "refused",
    "closed",
    "answered",
    "unanswered",
    "untold",
    "outside",
    "not_stored",
    "handshake",
    "fault",
]
"""`refused`: no room for another connection. `unanswered`: the peer was gone before its answers. `outside`: bytes
outside of frames. `handshake`: TLS could not be agreed on, or the peer showed no certificate that we trust.
`untold`: a message was refused or not stored, and its sender asked by MSH-15 and MSH-16 not to hear of it. `fault`:
the intake failed in a way that it does not promise, which is ours."""
Why = Literal[
    "peer",
    "lost",
    "evicted",
    "half_sent",
    "endless_frame",
    "no_frame",
    "slow_peer",
    "overloaded",
    "handshake",
    "stopping",
    "fault",
]
"""Why a connection closed. `peer`: it said good-bye. `lost`: it broke. `evicted`: it had never sent a message, and
made room for another. `half_sent`: it stopped within a frame. `no_frame`: it speaks no MLLP. `slow_peer`: it read no
answers. `overloaded`: too much is half sent, by all together."""


class Notice(msgspec.Struct, frozen=True):
    """One thing that happened, or `count` of the same kind.

    >>> Notice("answered", 7, count=3, code="AA").count
    3
    """

    what: What
    connection: int
    """Its number since the server started, from 1."""
    count: int = 1
    """Messages of `answered`, `unanswered` and `not_stored`; bytes of `outside`."""
    code: str = ""
    """MSA-1 of `answered`; of `untold` what it would have been, or `not_stored`; the reason of `not_stored`; the kind
    of error of a `fault` and of a `handshake`."""
    why: Why | None = None
    """Of `closed`."""
    host: str = ""
    """Of `opened` and `refused`."""


Report = Callable[[Notice], None]
"""Takes notices; it is called on the event loop, and must not wait."""
