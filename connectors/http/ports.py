"""What the HTTP server reads of the service: documents that are JSON already, and the state of its health.

Owns the port. Must not know how a document came about; the server passes it on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from alerts.limits import PatientLimits


class Condition(msgspec.Struct, frozen=True):
    """Whether all is well, and what is not: `problems` are words for an operator, without any patient in them."""

    well: bool
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What an operator should know of, though the process is well."""


class NumberedAlert(msgspec.Struct, frozen=True):
    """An alert event as it was stored: its number (1, 2, 3 ... with gaps, rising) and its JSON (alert.v1)."""

    number: int
    document: bytes
    kind: str
    """The SSE event's name: the alert's `state`, such as `raised`; of what no ward is told, its `disposition`."""


class Reading(Protocol):
    """What may be asked of a running service."""

    def live(self) -> Condition:
        """Say whether the process works at all: its threads run. Failing means: restart me."""
        ...

    def ready(self) -> Condition:
        """Say whether it takes messages in and keeps up. Failing means: send me nothing, call somebody."""
        ...

    async def patients(self, ward: str | None) -> bytes:
        """Give the patients who are here, the sickest first, as one JSON document; of one ward where it is named."""
        ...

    def signals(self, wards: Collection[str]) -> bytes:
        """Give the newest signals of some wards, and those that name none, as a JSON list; of all where none is named.

        Of the document of all patients the signals are the newest of all wards.
        """
        ...

    async def patient(self, key: str) -> bytes | None:
        """Give one patient's features and scores as a JSON document, or None."""
        ...

    async def alerts(self, after: int, limit: int) -> list[NumberedAlert]:
        """Give alert events with a number above `after`, in order, at most `limit`."""
        ...

    async def reaches(self, after: int) -> bool:
        """Say whether every alert event after a number can still be given; False where some are no longer kept."""
        ...

    async def open_alerts(self) -> bytes:
        """Give the newest event of every open alert, as one JSON document."""
        ...

    async def newest_alert(self) -> int:
        """Give the number of the newest alert event, 0 where there is none."""
        ...

    async def wait_for_alert(self, after: int, timeout_s: float) -> bool:
        """Wait until there is an alert event above `after`; False where none came in time."""
        ...

    async def ward_of(self, key: str) -> str | None:
        """Say on which ward a patient lies, None where nobody knows him."""
        ...

    async def caught_up(self) -> bool:
        """Say whether all that was stored by now is folded, after waiting a moment for it."""
        ...

    async def limits_of(self, key: str) -> PatientLimits:
        """Give a patient's limits as far as they are known here; none where that cannot be known."""
        ...

    async def feeds(self) -> bytes:
        """Give each feed's last message, counts and age, as one JSON document."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Give the metrics (OpenMetrics text) and their content type."""
        ...


class Report(Protocol):
    """Where the server tells an operator what happened: a log line and a counter. No field may hold what was sent.

    The words: `answered` (route, status: each request), `unreadable` (no HTTP), `unauthorized`, `not_stored` (reason),
    `failed` and `connection_failed` (our bugs: incident, error, where), `connection_evicted` (idle, to make room),
    `answer_not_taken` and `stream_too_slow` (clients that do not read), `stopped_with_requests`.
    """

    def __call__(self, event: str, **fields: str | int) -> None:
        """Tell of one thing; it is called on the event loop and must not wait."""
        ...
