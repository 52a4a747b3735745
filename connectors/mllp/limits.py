"""What bounds the MLLP server: connections, frames, what is in flight, and how long anybody is waited for.

Owns the limits, their defaults and their reasons. Must not know how they are enforced.
"""

from __future__ import annotations

import msgspec

CONNECTIONS_MAX = 1_024
"""An engine opens one connection a feed, a large hospital has some hundreds. Each takes a file handle."""
MESSAGES_IN_FLIGHT_MAX = 256
"""Of one connection: at 5 ms a group commit that is 50,000 messages/s, more than one core decodes."""
BYTES_IN_FLIGHT_MAX = 4 * 1024 * 1024
"""Of one connection: four messages of the longest kind."""
BYTES_IN_FLIGHT_TOTAL_MAX = 64 * 1024 * 1024
"""Of all connections: what waits to be stored may take that much memory; then nobody is read from."""
BYTES_BEGUN_TOTAL_MAX = 256 * 1024 * 1024
"""Of all connections: frames that are not complete. 250 of the longest at once come from no hospital."""
OVERRUN_BYTES_MAX = 1024 * 1024
"""Past the limit of a message, its end is waited for so far, to answer it and go on; then the frame counts as
endless."""
OUTSIDE_BYTES_MAX = 64
"""Outside of any frame, since the last one: MLLP has none; an HTTP request, a TLS hello and a bare MSH have more."""
END_BLOCK_S = 0.05
"""After a 0x1C that is the last byte so far: who sends 0x1C CR sends them together, and the rest of a message that has
a 0x1C within it is on its way. A sender who forgets the CR is answered so much later."""
FRAME_IDLE_S = 60.0
"""A sender that stops within a frame for so long is not going to end it."""
WRITE_S = 30.0
"""A peer that reads no answers for so long is closed; what it sent is stored."""
LINGER_S = 2.0
"""After our last answer the peer has so long to read it and close: closing first would reset the connection, and an
answer on its way be lost."""


class MllpLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits, each a positive number; raises `ValueError` where one is not.

    >>> MllpLimits(connections_max=0)
    Traceback (most recent call last):
    ValueError: connections_max: 0; expected more than 0
    """

    connections_max: int = CONNECTIONS_MAX
    messages_in_flight_max: int = MESSAGES_IN_FLIGHT_MAX
    bytes_in_flight_max: int = BYTES_IN_FLIGHT_MAX
    bytes_in_flight_total_max: int = BYTES_IN_FLIGHT_TOTAL_MAX
    bytes_begun_total_max: int = BYTES_BEGUN_TOTAL_MAX
    overrun_bytes_max: int = OVERRUN_BYTES_MAX
    outside_bytes_max: int = OUTSIDE_BYTES_MAX
    end_block_s: float = END_BLOCK_S
    frame_idle_s: float = FRAME_IDLE_S
    write_s: float = WRITE_S
    linger_s: float = LINGER_S

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name}: {value}; expected more than 0")
