"""What befalls FHIR sources, counted and logged.

Owns the metrics' names and which of it is worth a line. Must not know a request. No line and no label names a patient,
an address or a server's own words.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.polling import Look
from connectors.fhir_sources.receiving import HookHearer
from connectors.fhir_sources.reconciling import Round, RoundHearer
from connectors.fhir_sources.source import Hearer
from connectors.fhir_sources.taking import Taken
from stream.metrics import IntakeMetrics


class SourceMetrics:
    """What is counted of FHIR servers; nothing is, where there is none."""

    def __init__(self, metrics: IntakeMetrics) -> None:
        counter, gauge = metrics.counter, metrics.gauge
        self.resources = counter("fhir_source_resources", "Resources handed on.", "source", "way", "type")
        self.outcomes = counter("fhir_source_outcomes", "What became of resources.", "source", "way", "outcome")
        self.looks = counter("fhir_source_looks", "Looks at a FHIR server that went through.", "source")
        self.failures = counter("fhir_source_failures", "Failed requests, looks and rounds.", "source", "kind")
        self.success_age = gauge("fhir_source_success_age_seconds", "How long ago a look went through.", "source")
        self.ours = gauge("fhir_source_ours", "Whether it is this process that asks.", "source")
        self.skipped = gauge("fhir_source_skipped_versions", "Versions between two looks, never seen.", "source")
        self.behind = gauge("fhir_source_read_to_age_seconds", "Age of the newest change read.", "source", "type")
        self.notified = counter("fhir_source_notifications", "Deliveries of subscriptions.", "source", "kind")
        self.missed = counter("fhir_source_missed", "Resources polling found and no subscription told.", "source")
        self.gaps = counter("fhir_source_gap_events", "Events missing by their numbers.", "source")
        self.steps = counter("fhir_source_subscription_steps", "What was done about subscriptions.", "source", "step")
        self.active = gauge("fhir_source_subscriptions_active", "Subscriptions of ours that are active.", "source")


class SourceReports(Hearer, HookHearer, RoundHearer):
    """Hears one source."""

    def __init__(
        self,
        name: str,
        metrics: SourceMetrics,
        log: FilteringBoundLogger,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._metrics = metrics
        self._log = log.bind(source=name)
        self._elapsed_s = elapsed_s
        self._well_s = elapsed_s()
        self._active: int | None = None
        self._said: dict[str, str] = {}
        """The last line of each kind that may come again and again: said once, until it changes."""
        metrics.looks.labels(name)
        metrics.missed.labels(name)

    def not_ours(self) -> None:
        """Count nothing: who looks counts; our age would be an alarm without a reason."""
        self._well_s = self._elapsed_s()
        self._metrics.ours.labels(self._name).set(0)

    def looked(self, look: Look, seconds: float) -> None:
        """Count a look; a line only where it brought something."""
        self._well_s = self._elapsed_s()
        self._metrics.looks.labels(self._name).inc()
        self._metrics.ours.labels(self._name).set(1)
        news = {kind: number for kind, number in look.taken.items() if number}
        if news:
            self._log.info("fhir_source_looked", taken=news, seconds=round(seconds, 3))

    def failed(self, kind: str, detail: str, advice: str) -> None:
        """Count it; a line where it is another fault than the last one, which `advice` says."""
        self._metrics.failures.labels(self._name, kind).inc()
        if advice:
            self._log.warning("fhir_source_failed", why=detail, advice=advice)

    def resumed(self) -> None:
        """Say that it works again."""
        self._log.info("fhir_source_resumed")

    def attempt(self, fault: FhirSourceError) -> None:
        """Count a request that did not go through, though the next may."""
        self._metrics.failures.labels(self._name, f"request_{fault.kind}").inc()

    def warn(self, text: str) -> None:
        """Tell what is odd of a server."""
        self._log.warning("fhir_source_odd", why=text)

    def took(self, way: str, taken: Taken) -> None:
        """Count what was handed on."""
        for kind, number in taken.by_type.items():
            self._metrics.resources.labels(self._name, way, kind).inc(number)
        for outcome, number in taken.outcomes.items():
            self._metrics.outcomes.labels(self._name, way, outcome).inc(number)

    # -- subscriptions ----------------------------------------------------------------------------------------------

    def notified(self, kind: str) -> None:
        """Count a delivery."""
        self._metrics.notified.labels(self._name, kind).inc()
        self._said.pop("silent", None)

    def gap(self, events: int, filled: int) -> None:
        """Tell of events that were missing."""
        self._metrics.gaps.labels(self._name).inc(events)
        self._log.warning("fhir_source_gap", events=events, filled=filled)

    def ailing(self, why: str) -> None:
        """Tell of a subscription that does not work."""
        self._log.warning("fhir_subscription_ailing", why=why)

    def went_round(self, one: Round) -> None:
        """Count what was done; a line where a subscription had to be made anew, or their number changed."""
        for step, number in one.steps.items():
            self._metrics.steps.labels(self._name, step).inc(number)
        self._metrics.active.labels(self._name).set(one.active)
        for why in one.faults:
            self._log.error("fhir_subscription_remade", why=why, advice="polling goes on; see the server's log")
        if one.active != self._active or set(one.steps) - {"keep"}:
            self._log.info("fhir_subscriptions", active=one.active, **one.steps)
        self._active = one.active
        self._said.pop("round", None)

    def round_failed(self, fault: FhirSourceError) -> None:
        """Tell, once, that subscriptions could not be looked after."""
        self._metrics.failures.labels(self._name, f"subscriptions_{fault.kind}").inc()
        self._metrics.active.labels(self._name).set(0)
        if self._say("round", str(fault)):
            self._log.warning("fhir_subscriptions_failed", why=str(fault), advice=fault.advice)

    def missed(self, number: int) -> None:
        """Count what polling found and nobody told."""
        self._metrics.missed.labels(self._name).inc(number)
        self._log.warning("fhir_subscription_missed", resources=number)

    def silent(self, silent_s: float) -> None:
        """Tell, once, that heartbeats are missing."""
        self._metrics.failures.labels(self._name, "heartbeat_missing").inc()
        if self._say("silent", "silent"):
            self._log.error("fhir_subscription_silent", silent_s=round(silent_s), advice="polled now; see the server")

    def _say(self, kind: str, text: str) -> bool:
        before = self._said.get(kind)
        self._said[kind] = text
        return before != text

    @property
    def success_age_s(self) -> float:
        """How long ago a look went through; before the first, since we began."""
        return self._elapsed_s() - self._well_s
