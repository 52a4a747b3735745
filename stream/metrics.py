"""The running service's metrics: names, labels and where each is counted.

Owns the registry. Must not know HTTP. No label is a patient, a message or anything a sender may choose freely; a feed
is named only once it has sent a message that could be used.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, Info, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from alerts.contract import AlertEvent
from alerts.monitoring.signal import Signal
from connectors.decoded import Decoded
from connectors.intake import NotStoredReason, Receipt
from connectors.sources.arrival import Arrival
from events import MILLIS_PER_SECOND, Millis
from stream.effects import Effect, Score, Suppression, Unfoldable, Unheeded
from stream.feeds import Feeds

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets from a fast disk's fsync to what a sender calls dead."""
BATCH_SIZES = (1, 2, 5, 10, 25, 50, 100, 256)
SIGNALS_TEXT = "What the monitoring said of what is not heard."
UNHEEDED_TEXT = "Limits for a patient that changed nothing, by why; each is a dead letter."
JOURNAL_FILES = ("journal.db", "outputs.db", "state.db")


class IntakeMetrics:
    """What every process counts that takes messages in, or runs at all; an observer of its intake."""

    def __init__(self, feeds: Feeds, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._feeds = feeds
        self._refreshers: list[Callable[[], None]] = []
        self._errors: Callable[[str, BaseException], None] = lambda _where, _fault: None
        Info("wardstream", "The release.", registry=registry).info({"version": version})
        counter, gauge = self.counter, self.gauge
        self.messages = counter("messages", "Messages that are durable.", "format", "outcome")
        self.dead_letters = counter("dead_letters", "Messages that could not be used.", "reason")
        self.turned_away = counter("not_stored", "Messages their senders were told to send again.", "reason")
        self.acks = counter("mllp_acknowledgements", "HL7 acknowledgements given.", "code")
        self.connections = gauge("mllp_connections", "MLLP connections that are open.")
        self.connection_events = counter("mllp_connection_events", "What befell MLLP connections.", "event")
        self.batch_files = counter("batch_files", "Files of the watched folder that are done with.", "where")
        self.acts = counter("acts", "What people did, as it was handed in.", "kind", "outcome", "reason")
        self.requests = counter("http_requests", "HTTP requests answered.", "route", "status")
        self.commit_seconds = Histogram(
            "wardstream_commit_seconds", "Time to make a batch durable.", buckets=SECONDS, registry=registry
        )
        self.commit_messages = Histogram(
            "wardstream_commit_messages", "Messages made durable at once.", buckets=BATCH_SIZES, registry=registry
        )
        self.waiting = gauge("waiting_messages", "Messages that are not durable yet.")
        self.faults = counter("faults", "Faults of storing, folding and maintaining.", "where", "type")
        self.clock_offset = gauge("clock_offset_seconds", "The service's clock less the machine's.")
        self.clock_steps = gauge("clock_steps", "Jumps of the machine's clock since the start.")
        self.feed_silent = gauge("feed_silent_seconds", "How long a feed has been silent.", "feed")
        self.feed_messages = gauge("feed_messages", "Messages of a feed since the start.", "feed", "outcome")
        self.feed_numbers = gauge("feed_numbering", "What a feed's message numbers have shown.", "feed", "finding")
        self.feed_tolerated = gauge("feed_tolerated", "Of a feed's accepted, those let pass unread.", "feed", "type")
        self.patients = gauge("patients", "Patients on the board.")

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Make a counter of this process."""
        return Counter(f"wardstream_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Make a gauge of this process."""
        return Gauge(f"wardstream_{name}", text, labels, registry=self.registry)

    def stored(self, arrivals: Sequence[Arrival], receipts: Sequence[Receipt], at: Millis, seconds: float) -> None:
        """Count a batch that is durable."""
        self.commit_seconds.observe(seconds)
        self.commit_messages.observe(len(arrivals))
        for arrival, receipt in zip(arrivals, receipts, strict=True):
            parts = arrival.decoded.parts if isinstance(arrival.decoded, Decoded) else 1
            self.messages.labels(arrival.format, receipt.outcome).inc(parts)
            if receipt.refusal is not None:
                self.dead_letters.labels(receipt.refusal.reason.value).inc(parts)
        self._feeds.count(arrivals, receipts, at)

    def not_stored(self, reason: NotStoredReason, count: int) -> None:
        """Count messages that could not be stored."""
        self.turned_away.labels(reason).inc(count)

    def failed(self, where: str, fault: BaseException) -> None:
        """Count a fault by its type; its text may quote what nobody should read."""
        self.faults.labels(where, type(fault).__name__).inc()
        self._errors(where, fault)

    def on_fault(self, hear: Callable[[str, BaseException], None]) -> None:
        """Have faults told to `hear` too."""
        self._errors = hear

    def on_scrape(self, refresh: Callable[[], None]) -> None:
        """Have gauges set by `refresh` whenever somebody looks."""
        self._refreshers.append(refresh)

    def measure_feeds(self, now: Millis) -> None:
        """Set the gauges of the feeds."""
        for name, counts in self._feeds.snapshot().items():
            self.feed_silent.labels(name).set(max(0, now - counts.last_received) / MILLIS_PER_SECOND)
            for outcome in ("accepted", "dead_letters", "duplicates"):
                self.feed_messages.labels(name, outcome).set(getattr(counts, outcome))
            for passed, count in counts.tolerated.items():
                self.feed_tolerated.labels(name, passed).set(count)

    def _measure_numbering(self) -> None:
        for name, numbering in self._feeds.numbering().items():
            for finding in ("reused", "gaps", "missing"):
                self.feed_numbers.labels(name, finding).set(getattr(numbering, finding))

    def expose(self) -> tuple[bytes, str]:
        """Give the metrics as OpenMetrics text, with its content type."""
        for refresh in (*self._refreshers, self._measure_numbering):
            refresh()
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call] # the library's own gap
        return text, CONTENT_TYPE_LATEST


class Metrics(IntakeMetrics):
    """Every metric of the embedded service; its engine's observer, and a listener to effects."""

    def __init__(self, feeds: Feeds, version: str) -> None:
        super().__init__(feeds, version)
        counter, gauge = self.counter, self.gauge
        self.fold_seconds = counter("fold_seconds", "Time spent folding and carrying out.")
        self.records = counter("records_folded", "Records of the log that were folded.")
        self.behind_records = gauge("behind_records", "Records stored and not folded yet.")
        self.behind_seconds = gauge("behind_seconds", "How long the fold has been behind the log.")
        self.scores = counter("scores", "Scores given.", "band")
        self.alerts = counter("alerts", "Alert events.", "trigger", "state", "priority", "disposition")
        self.withheld = counter("withheld", "Model alerts that a filter withheld.", "filter", "reason")
        self.unfoldable = counter("unfoldable_records", "Records that our own code could not fold: a bug of ours.")
        self.unheeded = counter("limits_unheeded", UNHEEDED_TEXT, "fault")
        self.signals = counter("signals", SIGNALS_TEXT, "kind", "state")
        self.diverged = gauge(
            "diverged_outputs", "Outputs that came out otherwise when work was repeated; the first stand."
        )
        self.file_bytes = gauge(
            "file_bytes", "Size of a file of the data folder, its write-ahead log included.", "file"
        )
        self.disk_free = gauge("disk_free_bytes", "Room left where the data folder lies.")
        self.identity_conflicts = gauge("identity_conflicts", "Messages whose identifiers disagree on a patient.")

    def folded(self, records: int, seconds: float) -> None:
        """Count what was folded."""
        self.records.inc(records)
        self.fold_seconds.inc(seconds)

    def take(self, effects: Sequence[Effect]) -> None:
        """Count what was carried out."""
        for effect in effects:
            if type(effect) is Score:
                self.scores.labels(effect.news2.band).inc()
            elif type(effect) is AlertEvent:
                self.alerts.labels(effect.trigger, effect.state, effect.priority, effect.disposition).inc()
            elif type(effect) is Suppression:
                self.withheld.labels(effect.withheld_by.filter, effect.withheld_by.reason).inc()
            elif type(effect) is Unfoldable:
                self.unfoldable.inc()
            elif type(effect) is Unheeded:
                self.unheeded.labels(effect.fault).inc()
            elif type(effect) is Signal:
                self.signals.labels(effect.kind, effect.state).inc()

    def measure_folder(self, folder: Path) -> None:
        """Set the gauges of the data folder."""
        self.disk_free.set(shutil.disk_usage(folder).free)
        for name in JOURNAL_FILES:
            size = sum(path.stat().st_size for path in (folder / name, folder / f"{name}-wal") if path.exists())
            self.file_bytes.labels(name).set(size)
