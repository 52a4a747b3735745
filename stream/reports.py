"""What the listeners tell of themselves, counted and logged.

Owns which of it is worth a line. Must not know a socket. What happens with every message is counted only; what happens
to a connection is a line too.
"""

from __future__ import annotations

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.acts.audit import ActNote
from connectors.http.ports import Condition
from connectors.mllp.notice import Notice
from stream.metrics import IntakeMetrics

QUIET_CLOSES = frozenset({"peer", "stopping"})
"""Ends of a connection that are as they should be."""


class Reports:
    """Hears the listeners of one service."""

    def __init__(self, metrics: IntakeMetrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log
        self._condition = Condition(well=True)

    def readiness(self, condition: Condition) -> None:
        """Hear how it is; it is a line whenever that has changed."""
        before, self._condition = self._condition, condition
        if condition != before:
            say = self._log.info if condition.well else self._log.warning
            say("readiness", ready=condition.well, problems=list(condition.problems))

    def mllp(self, notice: Notice) -> None:
        """Hear of a connection."""
        metrics = self._metrics
        if notice.what == "answered":
            metrics.acks.labels(notice.code).inc(notice.count)
            return
        event = notice.what if notice.why is None else f"{notice.what}_{notice.why}"
        metrics.connection_events.labels(event).inc(notice.count)
        if notice.what == "opened":
            metrics.connections.inc()
            self._log.info("mllp_opened", connection=notice.connection, host=notice.host)
        elif notice.what == "closed":
            metrics.connections.dec()
            say = self._log.info if notice.why in QUIET_CLOSES else self._log.warning
            say("mllp_closed", connection=notice.connection, why=notice.why)
        else:
            self._log.warning(f"mllp_{notice.what}", connection=notice.connection, count=notice.count, code=notice.code)

    def act(self, one: ActNote) -> None:
        """Hear of an act: each is a line, for it must be known later who was let in and who was not."""
        self._metrics.acts.labels(one.kind, one.outcome, one.reason).inc()
        say = self._log.warning if one.outcome in {"refused", "not_stored"} else self._log.info
        say("act", **msgspec.structs.asdict(one))

    def http(self, event: str, **fields: object) -> None:
        """Hear of a request."""
        if event == "answered":
            self._metrics.requests.labels(str(fields.get("route", "")), str(fields.get("status", ""))).inc()
            return
        self._log.warning(f"http_{event}", **fields)
