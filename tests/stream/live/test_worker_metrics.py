"""What a worker counts, as Prometheus reads it: bounded labels, and counters that only rise."""

from __future__ import annotations

import io

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from connectors.kafka.faults import NotSentError
from features.store import StoreUnavailableError
from stream.live.worker_metrics import WorkerMetrics
from stream.logs import set_up_logs

Samples = dict[tuple[str, ...], float]


def samples(metrics: WorkerMetrics, name: str) -> Samples:
    """Give the samples of a metric by their labels' values, in order of the labels' names."""
    text, _ = metrics.expose()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == name
    }


def made() -> WorkerMetrics:
    return WorkerMetrics(set_up_logs("error", io.StringIO()), "0.0.0")


def test_a_retry_is_counted_by_its_step_and_names_no_partition() -> None:
    """The same step of many partitions is one series; other steps and faults are their own."""
    metrics = made()
    for partition in range(64):
        metrics.failed("patient", f"commit of events.v1/{partition}", StoreUnavailableError("away"))
    metrics.failed("patient", "produce of events.v1/3", NotSentError("unreachable", "away"))
    metrics.failed("ward", "open", StoreUnavailableError("away"))
    assert samples(metrics, "wardstream_stage_retries_total") == {
        ("patient", "StoreUnavailableError", "commit"): 64,
        ("patient", "NotSentError", "produce"): 1,
        ("ward", "StoreUnavailableError", "open"): 1,
    }


def test_what_others_count_is_shown_as_it_stands() -> None:
    """What the stages and the versions count is shown by its labels, however often one looks."""
    metrics = made()
    passed, refused = {"passed": 2, "gaps": 0}, {"unsigned": 1}
    metrics.warded, metrics.refused = lambda: passed, lambda: refused
    metrics.parsed, metrics.refused_decisions = lambda: {"accepted": 3}, lambda: {"outdated": 2}
    metrics.signals, metrics.acts_folded = lambda: {("heartbeat", "alive"): 7}, lambda: {"limit_set": 1}
    for _ in range(2):
        assert samples(metrics, "wardstream_warded_total") == {("passed",): 2, ("gaps",): 0}
        assert samples(metrics, "wardstream_versions_refused_total") == {("unsigned",): 1}
        assert samples(metrics, "wardstream_decisions_refused_total") == {("outdated",): 2}
        assert samples(metrics, "wardstream_parsed_total") == {("accepted",): 3}
        assert samples(metrics, "wardstream_signals_total") == {("heartbeat", "alive"): 7}
        assert samples(metrics, "wardstream_acts_folded_total") == {("limit_set",): 1}
    passed["passed"], refused["malformed"] = 5, 1
    assert samples(metrics, "wardstream_warded_total") == {("passed",): 5, ("gaps",): 0}
    assert samples(metrics, "wardstream_versions_refused_total") == {("unsigned",): 1, ("malformed",): 1}
