"""What the listeners tell of themselves, counted and logged.

Owns which of it is worth a line. Must not know a socket. What happens with every message is counted only; what happens
to a connection is a line too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from structlog.typing import FilteringBoundLogger

from connectors.acts.audit import ActNote
from connectors.batches.taking import FileTold
from connectors.http.ports import Condition
from connectors.mllp.notice import Notice
from stream.effects import Effect, Unheeded
from stream.metrics import IntakeMetrics

QUIET_CLOSES = frozenset({"peer", "stopping"})
"""Ends of a connection that are as they should be."""
UNKNOWN_EVERY_S = 60.0
"""A line about requests of nobody we know comes at the most so often, with how many there were: else whoever reaches us
could fill the log."""


class Reports:
    """Hears the listeners of one service."""

    def __init__(
        self, metrics: IntakeMetrics, log: FilteringBoundLogger, elapsed_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.metrics = self._metrics = metrics
        self.log = self._log = log
        self._elapsed_s = elapsed_s
        self._unknown: Counter[str] = Counter()
        """Requests of nobody we know since the last line about them, by what they asked for."""
        self._unknown_told_s = float("-inf")
        self._condition = Condition(well=True)

    def readiness(self, condition: Condition) -> None:
        """Hear how it is, every few seconds; it is a line whenever that has changed."""
        self._tell_unknown()
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

    def tls(self, why: str) -> None:
        """Hear that files of MLLP's TLS were changed and cannot be used: those read before stay in use."""
        self._log.error(
            "mllp_tls_not_reread", why=why, advice="the certificate of before is shown still: mend the file"
        )

    def watch_certificate(self, expires: Callable[[], datetime | None]) -> None:
        """Have the metrics say until when MLLP's certificate counts; 0 where it cannot be read."""
        gauge = self._metrics.gauge("mllp_certificate_expires_seconds", "When MLLP's certificate ends, in Unix time.")

        def look() -> None:
            ends = expires()
            gauge.set(0 if ends is None else ends.timestamp())

        self._metrics.on_scrape(look)

    def file(self, told: FileTold) -> None:
        """Hear of a file that is done with: each is a line, for nobody else waits for its answer."""
        self._metrics.batch_files.labels(told.where).inc()
        say = self._log.info if told.where == "done" else self._log.warning
        say("batch_file", **msgspec.structs.asdict(told))

    def folder(self, why: str) -> None:
        """Hear that the watched folder cannot be read."""
        self._log.error("batch_folder", why=why)

    def act(self, one: ActNote) -> None:
        """Hear of an act: each is a line, for it must be known later who was let in and who was not.

        Those of nobody we know are counted together: nobody was let in, and there may be any number of them.
        """
        self._metrics.acts.labels(one.kind, one.outcome, one.reason).inc()
        if not one.actor:
            self._hear_unknown("act")
            return
        say = self._log.warning if one.outcome in {"refused", "not_stored"} else self._log.info
        say("act", **msgspec.structs.asdict(one))

    def take(self, effects: Sequence[Effect]) -> None:
        """Hear what was carried out: a limit that changed nothing is a line, for somebody believes otherwise."""
        for effect in effects:
            if type(effect) is Unheeded:
                self._log.warning("limit_unheeded", fault=effect.fault, limit=effect.limit, actor=effect.actor)

    def http(self, event: str, **fields: object) -> None:
        """Hear of a request."""
        if event == "answered":
            self._metrics.requests.labels(str(fields.get("route", "")), str(fields.get("status", ""))).inc()
            return
        if event == "unauthorized":
            self._hear_unknown("read")
            return
        self._log.warning(f"http_{event}", **fields)

    def _hear_unknown(self, asked: str) -> None:
        self._unknown[asked] += 1
        self._tell_unknown()

    def _tell_unknown(self) -> None:
        now_s = self._elapsed_s()
        if self._unknown and now_s - self._unknown_told_s >= UNKNOWN_EVERY_S:
            self._log.warning("unknown_token", **self._unknown)
            self._unknown.clear()
            self._unknown_told_s = now_s
