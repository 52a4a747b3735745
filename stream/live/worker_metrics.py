"""What a worker counts: records, outputs, seconds, what was tried again, and how far behind each partition is.

Owns the registry of a worker's metrics. Must not know a stage's content, nor HTTP. No label is a patient, a ward or a
text; a partition is one only where the figure is of that partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, Info, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from structlog.typing import FilteringBoundLogger

from connectors.acts.audit import ActNote
from connectors.kafka.faults import BrokerError
from features.store import StoreFault
from stream.live.progress import Progress
from stream.logs import describe
from stream.metrics import SIGNALS_TEXT, UNHEEDED_TEXT

SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From a batch of a few records on an idle machine to one that waits for a broker's election."""


class WorkerMetrics:
    """Hears what the stages do (`stream.live.stage_settings.StageObserver`)."""

    def __init__(self, log: FilteringBoundLogger, code_version: str) -> None:
        self._log = log
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("wardstream", "The release.", registry=registry).info({"version": code_version})
        self._records = Counter("wardstream_stage_records", "Records folded.", ["stage"], registry=registry)
        self._outputs = Counter("wardstream_stage_outputs", "Records produced.", ["stage"], registry=registry)
        self._seconds = Histogram(
            "wardstream_stage_batch_seconds",
            "From a batch's first record taken to its states stored.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._retries = Counter(
            "wardstream_stage_retries",
            "Steps tried again; `fenced`: a partition that somebody else has taken.",
            ["stage", "where", "type"],
            registry=registry,
        )
        self._behind = Gauge(
            "wardstream_stage_behind_records", "Records not folded yet.", ["topic", "partition"], registry=registry
        )
        self._still = Gauge(
            "wardstream_stage_still_seconds",
            "How long a partition with records to fold has not moved.",
            ["topic", "partition"],
            registry=registry,
        )
        self._parsed = Counter(
            "wardstream_parsed", "What [parse] made of messages, by outcome.", ["outcome"], registry=registry
        )
        self._warded = Counter(
            "wardstream_warded",
            "What [ward] did: candidates that passed (of them held by the gate), repeats, gaps in a `seq`, alerts that "
            "left a ward, alerts forgotten (of them abandoned: still open).",
            ["outcome"],
            registry=registry,
        )
        self._refused = Counter(
            "wardstream_versions_refused", "Records of models.v1 that were refused.", ["reason"], registry=registry
        )
        self._refused_decisions = Counter(
            "wardstream_decisions_refused",
            "Records of control.v1 that do not count, as they are not signed as the keys in force demand.",
            ["reason"],
            registry=registry,
        )
        self._acts = Counter(
            "wardstream_acts", "What people did, as it came.", ["kind", "outcome", "reason"], registry=registry
        )
        self._acts_folded = Counter(
            "wardstream_acts_folded",
            "What became in the fold of answers, reviews and limits, by outcome; again where work is repeated.",
            ["outcome"],
            registry=registry,
        )
        self._signals = Counter("wardstream_signals", SIGNALS_TEXT, ["kind", "state"], registry=registry)
        self._unheeded = Counter("wardstream_limits_unheeded", UNHEEDED_TEXT, ["fault"], registry=registry)
        self._told: dict[tuple[Counter, str | tuple[str, str]], int] = {}
        """What is counted elsewhere, as it stood when it was last shown."""
        self.progress: Callable[[], Iterable[Progress]] = tuple
        self.parsed: Callable[[], Mapping[str, int]] = dict
        self.warded: Callable[[], Mapping[str, int]] = dict
        self.refused: Callable[[], Mapping[str, int]] = dict
        self.refused_decisions: Callable[[], Mapping[str, int]] = dict
        self.unheeded: Callable[[], Mapping[str, int]] = dict
        self.signals: Callable[[], Mapping[tuple[str, str], int]] = dict
        self.acts_folded: Callable[[], Mapping[str, int]] = dict

    def worked(self, stage: str, records: int, outputs: int, seconds: float) -> None:
        """Count a batch that is through."""
        self._records.labels(stage).inc(records)
        self._outputs.labels(stage).inc(outputs)
        self._seconds.labels(stage).observe(seconds)

    def acted(self, one: ActNote) -> None:
        """Count and log an act: it must be known later who was let in and who was not."""
        self._acts.labels(one.kind, one.outcome, one.reason).inc()
        say = self._log.warning if one.outcome == "refused" else self._log.info
        say("act", **msgspec.structs.asdict(one))

    def failed(self, stage: str, where: str, fault: BaseException) -> None:
        """Count and log what is tried again."""
        # `work of events.v1/3` is the step `work`: a label for each partition would be a series for each.
        self._retries.labels(stage, where.partition(" of ")[0], type(fault).__name__).inc()
        # These texts are our own: they name nobody, and say what to do.
        told = {"text": str(fault)} if isinstance(fault, StoreFault | BrokerError) else {}
        self._log.warning("tried_again", stage=stage, where=where, **describe(fault), **told)

    def expose(self) -> tuple[bytes, str]:
        """Give the metrics as OpenMetrics text, with its content type."""
        self._behind.clear()  # A partition that went to another worker is no longer ours to tell of.
        self._still.clear()
        for one in self.progress():
            self._behind.labels(one.topic, str(one.partition)).set(one.lag + one.held)
            self._still.labels(one.topic, str(one.partition)).set(one.still_s)
        self._follow(self._parsed, self.parsed())
        self._follow(self._warded, self.warded())
        self._follow(self._refused, self.refused())
        self._follow(self._refused_decisions, self.refused_decisions())
        self._follow(self._unheeded, self.unheeded())
        self._follow(self._signals, self.signals())
        self._follow(self._acts_folded, self.acts_folded())
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call] # the library's own gap
        return text, CONTENT_TYPE_LATEST

    def _follow(self, counter: Counter, counts: Mapping[str, int] | Mapping[tuple[str, str], int]) -> None:
        """Let a counter stand where what was counted elsewhere stands."""
        for name, count in counts.items():
            labels = (name,) if isinstance(name, str) else name
            counter.labels(*labels).inc(count - self._told.get((counter, name), 0))
            self._told[counter, name] = count
