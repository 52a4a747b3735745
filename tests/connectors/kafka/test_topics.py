"""The table of topics: what is kept how long, in how many partitions, and that an accepted record fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import BATCH_BYTES_MAX, RECORD_BYTES_MAX, TOPICS, Declaration, declarations
from events.encoding import ENVELOPE_BYTES_MAX

ROOT = Path(__file__).resolve().parents[3]
DAY_MS = 86_400_000


def declared(settings: KafkaSettings) -> dict[str, Declaration]:
    return {each.topic.name: each for each in declarations(settings)}


def test_topics_of_one_order_have_one_partition() -> None:
    """Examples, findings, models, decisions and gates have one partition; all others the installation's number."""
    counts = {name: each.partitions for name, each in declared(KafkaSettings(partitions=12)).items()}
    single = {name for name, count in counts.items() if count == 1}
    assert single == {"examples.v1", "findings.v1", "models.v1", "control.v1", "gates.v1"}
    assert {counts[name] for name in set(counts) - single} == {12}


def test_retention_is_what_the_settings_say() -> None:
    """Logs are kept for events_days, outputs for outputs_days, decisions and what is compacted for good."""
    kept = {
        name: each.config["retention.ms"]
        for name, each in declared(KafkaSettings(events_days=10, outputs_days=3.5)).items()
    }
    assert kept["events.v1"] == kept["hl7v2.ingest.v1"] == str(10 * DAY_MS)
    assert kept["alerts.v1"] == kept["deadletters.v1"] == str(3 * DAY_MS + DAY_MS // 2)
    assert {name for name, ms in kept.items() if ms == "-1"} == {
        "alerts.state.v1", "findings.v1", "models.v1", "control.v1", "gates.v1", "identities.v1",
    }  # fmt: skip


def test_states_findings_models_and_identities_are_compacted() -> None:
    """Only where a newer record of a key replaces the older one is the log compacted."""
    compacted = {name for name, each in declared(KafkaSettings()).items() if each.config["cleanup.policy"] == "compact"}
    assert compacted == {"alerts.state.v1", "findings.v1", "models.v1", "identities.v1"}


def test_three_copies_mean_that_two_acknowledge() -> None:
    """With three copies a write needs two; a lone broker cannot ask for more than itself."""
    assert declared(KafkaSettings(replication=3))["events.v1"].config["min.insync.replicas"] == "2"
    assert declared(KafkaSettings(replication=1))["events.v1"].config["min.insync.replicas"] == "1"


def test_the_longest_record_fits() -> None:
    """A topic takes the longest envelope with its headers, in a batch of its own."""
    assert ENVELOPE_BYTES_MAX < RECORD_BYTES_MAX < BATCH_BYTES_MAX
    assert {each.config["max.message.bytes"] for each in declarations(KafkaSettings())} == {str(BATCH_BYTES_MAX)}


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_names_a_schema_that_is_there(name: str) -> None:
    """Each schema that a topic names lies under docs/schemas; a topic without one carries a foreign format."""
    schema = TOPICS[name].schema
    if schema:
        assert (ROOT / "docs" / "schemas" / schema).is_file()
    else:
        assert TOPICS[name].content_type != "application/json"
