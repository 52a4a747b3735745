"""The learner's figures for Prometheus: what it has learned, how well, and what that took.

Owns their names. Must not know how any of them comes about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from models.evaluation import Figures

GAUGES = {
    "lag_records": "Records of examples.v1 beyond what is learned",
    "next_offset": "The next record of examples.v1",
    "repeats": "Records dropped because they came before",
    "undecodable": "Records that are no examples",
    "other_schema": "Rows of another release's inputs, not learned",
    "failed": "Examples that our own code failed on",
    "waiting": "Scores that wait for their outcome",
    "positives": "Scores whose outcome came within the horizon",
    "negatives": "Scores that no outcome followed",
    "rows_learned": "Rows learned since the first record",
    "refused": "Rows that matured and were not learned",
    "auroc": "Of what was said before it was learned, over the rows kept",
    "calibration_error": "The same: expected calibration error",
    "trees_grown": "Times the learner grew since this process began",
    "growing_seconds": "Seconds spent growing since this process began",
    "snapshot_age_seconds": "Since the newest snapshot of this process was written, or read",
    "snapshot_next_offset": "The record from which that snapshot goes on",
    "snapshot_bytes": "Its size",
    "snapshot_failures": "Snapshots that could not be written since this process began",
    "snapshots_refused": "Snapshots that were there at the start and were not used",
    "beside_faults": "Times that a fold beside the learner failed",
}

BY_VERSION = {
    "in_force_rows": ("rows", "Rows that matured of what each version said in force, as far as kept"),
    "in_force_positives": ("positives", "Of them, those that the outcome followed"),
    "in_force_auroc": ("auroc", "AUROC of what each version said in force"),
    "in_force_calibration_error": (
        "calibration_error",
        "Its expected calibration error",
    ),
}


class LearnerMetrics:
    """Gauges of one process, and what the operating system says it takes (`process_…`)."""

    def __init__(self, collectors: Iterable[Collector] = ()) -> None:
        """`collectors` give figures of their own."""
        self._registry = CollectorRegistry()
        for one in collectors:
            self._registry.register(one)
        ProcessCollector(registry=self._registry)
        self._gauges = {
            name: Gauge(f"wardstream_learner_{name}", words, registry=self._registry) for name, words in GAUGES.items()
        }
        self._by_version = {
            name: Gauge(f"wardstream_learner_{name}", words, ["version"], registry=self._registry)
            for name, (_, words) in BY_VERSION.items()
        }

    def exposed(self, values: Mapping[str, float | None], versions: Mapping[str, Figures]) -> tuple[bytes, str]:
        """Give all of it in Prometheus' own words; what is not known is NaN.

        >>> text, kind = LearnerMetrics().exposed({"waiting": 3}, {})
        >>> b"wardstream_learner_waiting 3.0" in text
        True
        """
        for name, value in values.items():
            self._gauges[name].set(nan if value is None else value)
        for name, gauge in self._by_version.items():
            gauge.clear()
            for version, figures in versions.items():
                value = getattr(figures, BY_VERSION[name][0])
                gauge.labels(version).set(nan if value is None else value)
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call] # the library's own gap
        return text, CONTENT_TYPE_LATEST
