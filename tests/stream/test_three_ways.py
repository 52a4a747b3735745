"""One stay, three ways in: as its rows, as HL7 v2 bytes and as FHIR bytes it comes to the same scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from connectors.datasets import physionet2012, physionet2019
from connectors.datasets.rendering import render_all
from connectors.decoded import Decoded
from connectors.fhir.codec import decode as decode_fhir
from connectors.fhir.settings import FhirSettings
from connectors.hl7v2.codec import decode as decode_hl7
from connectors.hl7v2.settings import Hl7Settings
from connectors.sources import Arrival
from connectors.sources.grouping import group_arrivals
from models.version import ModelVersion
from stream.release import Release
from stream.replay import Replay
from stream.settings import Settings

SAMPLES = ((physionet2019, 400), (physionet2012, 100))
COMPARED = ("patient", "event_time", "received_time", "news2", "probability", "model", "verdicts")
"""What a score says of the patient; the rest of the line are ids and places, which each way has its own of."""
SAID = ("received_time", "patient", "trigger", "state", "reason", "seq", "disposition", "priority", "ward")
"""The same of an alert event."""


class Replayed(NamedTuple):
    """What one way came to."""

    scores: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    summary: dict[str, Any]


Ways = dict[str, Replayed]


def rows(messages: Iterable[Decoded]) -> Iterator[Arrival]:
    for message in messages:
        yield Arrival(message.message_id, message.sent_time, None, "hl7v2", message)


def wire(messages: Iterable[Decoded], format_: Literal["hl7v2", "fhir"], server: str) -> Iterator[Arrival]:
    """Render and decode, as an importer's bytes would arrive."""
    fhir = FhirSettings(server=server)
    for message, data in render_all(messages, format_):
        decoded = [decode_hl7(data, Hl7Settings())] if format_ == "hl7v2" else decode_fhir(data, fhir)
        for one in decoded:
            yield Arrival(message.message_id, message.sent_time, data, format_, one)


def replayed(folder: Path, arrivals: Iterable[Arrival], version: ModelVersion) -> Replayed:
    release = Release(Settings(), "test", version.version, enabled=True)
    replay = Replay(folder, release, {version.version: version}, identified=True)
    replay.messages(group_arrivals(arrivals))
    summary = replay.finish(0.0).summary
    scores, alerts = (
        [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for name in ("scores.ndjson", "alerts.ndjson")
    )
    return Replayed(scores, alerts, summary)


@pytest.fixture(scope="module", params=SAMPLES, ids=[module.FEED for module, _ in SAMPLES])
def ways(
    request: pytest.FixtureRequest,
    shared_data: Path,
    shipped: ModelVersion,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ways:
    """Replay a sample of a public set, the three ways."""
    module, every = request.param
    messages = [one for one in module.read(shared_data / module.FEED, every) if isinstance(one, Decoded)]
    arrivals = {
        "rows": rows(messages),
        "hl7v2": wire(messages, "hl7v2", module.FEED),
        "fhir": wire(messages, "fhir", module.FEED),
    }
    folder = tmp_path_factory.mktemp("ways")
    return {way: replayed(folder / way, arrived, shipped) for way, arrived in arrivals.items()}


def compared(lines: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Take the named fields, in an order that is the same for all ways: lines of one instant have none of their own."""
    said = [{name: line[name] for name in names} for line in lines]
    return sorted(said, key=lambda line: (line["received_time"], line["patient"], json.dumps(line)))


@pytest.mark.parametrize("way", ["hl7v2", "fhir"])
def test_a_way_in_gives_the_same_scores(ways, way):
    """Every row's NEWS2 with all its fields, probability, verdicts and times are those of the rows themselves."""
    assert len(ways["rows"].scores) > 1_000
    assert compared(ways[way].scores, COMPARED) == compared(ways["rows"].scores, COMPARED)


@pytest.mark.parametrize("way", ["hl7v2", "fhir"])
def test_a_way_in_gives_the_same_alerts(ways, way):
    """What the ward is told is the same too, event by event, at the same times."""
    assert ways["rows"].alerts
    assert compared(ways[way].alerts, SAID) == compared(ways["rows"].alerts, SAID)


@pytest.mark.parametrize("way", ["hl7v2", "fhir"])
def test_a_way_in_loses_nothing(ways, way):
    """No message is refused, and observations, quarantine, patients and scores count the same."""
    found, expected = ways[way].summary, ways["rows"].summary
    assert found["dead_letters"] == 0
    for name in ("observations", "quarantined_by_reason", "patients", "scores"):
        assert found[name] == expected[name], name
