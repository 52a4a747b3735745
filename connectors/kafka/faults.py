"""What can go wrong with Kafka, named by whose it is to mend.

Owns the error types of this package. Must not know a client: its own errors are turned into these at the edge.
"""

from __future__ import annotations

from typing import Literal

NotSentReason = Literal["unreachable", "refused", "full", "stopped"]
"""`unreachable`: nobody answered within the time; `refused`: the broker or the size limit said no; `full`: more waits
for acknowledgement already than memory is given; `stopped`: we are shutting down."""


class BrokerError(Exception):
    """Kafka cannot be used as we need it: the operator's to mend; the text says what to do."""


class ConnectionSettingsError(BrokerError):
    """The `[kafka]` table or the password's variable is wrong: nothing was tried."""


class UnreachableError(BrokerError):
    """No broker answered, or it refused us."""


class WrongTopicError(BrokerError):
    """Topics are missing or are not as declared; the text names each, what was found and what was wanted."""


class LostRecordsError(BrokerError):
    """The log no longer reaches back to where reading was to begin: retention took what was asked for."""


class NotSentError(BrokerError):
    """Records were not acknowledged. Some may be stored all the same, now or a little later: send them again."""

    def __init__(self, reason: NotSentReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: NotSentReason = reason


class FencedProducerError(BrokerError):
    """Another process took our transactional id over: we are the zombie, and nothing of ours was committed."""
