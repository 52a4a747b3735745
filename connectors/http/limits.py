"""What the HTTP server bounds, and why.

Owns `HttpLimits` and the fixed bounds. Must not know how a bound is kept.
"""

from __future__ import annotations

import msgspec

HEADER_BYTES_MAX = 8_190
"""A request line or one header field: a bearer token is a few hundred bytes, a cookie-laden proxy stays below this."""
HEADERS_MAX = 64
"""Header fields of a request: browsers send about 20, proxies add a few."""
READ_BUFFER_BYTES = 64 * 1024
"""A connection's bytes that are received and not yet taken: what lies unread in ours is pushed back to the sender."""
LINGER_S = 2.0
"""How long the rest of a refused body is read and thrown away, so that its sender gets to read why."""
OFFERED_AT_ONCE_MAX = 500
"""Messages of one request that are offered together: a group commit's worth, so that a large Bundle lets others in."""
HL7_MESSAGES_MAX = 5_000
"""Messages in one POST of HL7: an hour of a busy ward is some hundred."""
ENTRIES_MAX = 20_000
"""In one posted Bundle, those of the Bundles within it too: each that cannot be used is a dead letter of its own."""
DECODED_INLINE_BYTES_MAX = 128 * 1024
"""A longer body is decoded beside the event loop: this much takes about 2 ms, in which nobody else is answered."""
DECODERS_MAX = 1
"""So many such bodies are decoded at a time: the decoding is bound by the one interpreter anyway."""
ALERTS_PAGE_MAX = 1_000
"""Alert events in one answer: some 2 MB."""
ALERTS_PAGE = 100
"""Where the asker names no number, and the page in which a stream catches up: some 200 KB in memory a stream."""
NUMBER_DIGITS_MAX = 18
"""An alert's number in a request: below 2**63, as SQLite keeps it."""
STREAM_BUFFER_BYTES = 64 * 1024
"""Bytes of a stream that its client has not taken, in our memory and again in the kernel's, before we wait for him."""
STREAM_RETRY_MS = 3_000
"""After so long a client of a broken stream comes again."""
RETRY_AFTER_S = 5
"""After so long a sender may try again what was not stored: a group commit's backlog is gone, a restart is done."""
WRITE_TIMEOUT_S = 30.0
"""For a client to take an answer: the largest, of some megabytes, over a line of 2 Mbit/s."""
CLOSING_S = 1.0
"""After the grace of a stop, so long for the answers under way to leave."""


class HttpLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator may set.

    >>> HttpLimits(body_bytes_max=0)
    Traceback (most recent call last):
    ValueError: body_bytes_max: 0; expected more than 0
    """

    body_bytes_max: int = 16 * 1024 * 1024
    """A longer body, also once unpacked, is refused: the largest shared patient record is 3 MiB."""
    bodies_bytes_max: int = 64 * 1024 * 1024
    """Bodies held at a time by all requests together; decoded they take several times as much."""
    read_timeout_s: float = 60.0
    """For a whole body: 16 MiB over a line of 2 Mbit/s."""
    idle_timeout_s: float = 60.0
    """A connection that sends no whole request for so long is closed; engines open another."""
    offered_at_once_max: int = OFFERED_AT_ONCE_MAX
    """Messages of one request that are offered together; all of them where the intake stores a Bundle in one piece."""
    connections_max: int = 500
    """Open at a time; one more closes that which has been idle the longest. Half of a process's usual 1,024 files."""
    streams_max: int = 50
    """Streams of alerts at a time: a board on each of 50 screens."""
    heartbeat_s: float = 15.0
    """A stream is never silent for longer, so that silence means a broken line."""
    stream_write_timeout_s: float = 30.0
    """A client who takes nothing for so long is let go; he comes again with the last number he had."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"{name}: {value}; expected more than 0")
