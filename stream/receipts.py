"""What a sender is told of his message, by what became of it; and why, where it could not be stored.

Owns that answer. Must not know how it is sent.
"""

from __future__ import annotations

import errno
import sqlite3

from connectors.decoded import Decoded, Refusal
from connectors.intake import NotStoredReason, Receipt
from connectors.sources.arrival import Arrival
from events import Envelope
from stream.parse import DeadLetter, Duplicate, Parsed


def receipt_for(arrival: Arrival, parsed: Parsed) -> Receipt:
    """Say to a sender what became of his message."""
    if type(parsed) is Envelope:
        return Receipt("accepted")
    if type(parsed) is Duplicate:
        return Receipt("duplicate")
    assert type(parsed) is DeadLetter
    if type(arrival.decoded) is Refusal:
        return Receipt("refused", arrival.decoded)
    assert type(arrival.decoded) is Decoded
    return Receipt(
        "refused",
        Refusal(parsed.reason, parsed.fault, parsed.detail, parsed.message_id, parsed.feed, arrival.decoded.sent_time),
    )


def storage_fault(fault: BaseException) -> NotStoredReason:
    """Say why something could not be stored.

    >>> storage_fault(OSError(errno.ENOSPC, "full")), storage_fault(OSError(errno.EIO, "broken"))
    ('disk_full', 'failed')
    """
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
    full = full or (isinstance(fault, sqlite3.OperationalError) and "full" in str(fault))
    return "disk_full" if full else "failed"
