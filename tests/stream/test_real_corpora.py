"""The real HL7 v2 and FHIR corpora replay: no exception, every message accounted for, the same digest again."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sources import open_source
from models.version import ModelVersion
from stream.release import Release
from stream.replay import Replay, ReplayResult
from stream.settings import Settings

CORPORA = (
    "hl7v2/cosyte",
    "hl7v2/linuxforhealth",
    "hl7v2/microsoft",
    "hl7v2/simhospital",
    "fhir/subscriptions",
    "fhir/synthea",
    "v2-to-fhir",
)


def replayed(source: Path, folder: Path, version: ModelVersion) -> ReplayResult:
    replay = Replay(folder, Release(Settings(), "test", version.version), {version.version: version})
    replay.messages(open_source(str(source)))
    return replay.finish(0.0)


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_real_corpus_replays(shared_data, tmp_path, shipped, corpus):
    """Each corpus replays without an exception; messages, reasons and lines balance; some of it is used."""
    summary = replayed(shared_data / corpus, tmp_path, shipped).summary
    assert summary["messages"] == summary["accepted"] + summary["dead_letters"] + summary["duplicates"]
    assert summary["accepted"] > 0
    assert sum(summary["dead_letters_by_reason"].values()) == summary["dead_letters"]
    lines = (tmp_path / "dead_letters.ndjson").read_bytes().count(b"\n")
    assert lines == summary["dead_letters"]
    assert (tmp_path / "scores.ndjson").read_bytes().count(b"\n") == summary["scores"]
    assert sum(summary["intakes"].values()) <= summary["observations"]


def test_a_real_corpus_gives_the_same_digest_again(shared_data, tmp_path, shipped):
    """The simulated hospital of others, 6,885 messages, gives the same digest and the same files twice."""
    source = shared_data / "hl7v2" / "simhospital"
    first, second = (replayed(source, tmp_path / name, shipped) for name in ("first", "second"))
    assert first.digest == second.digest
    for name in ("scores.ndjson", "alerts.ndjson", "suppressed.ndjson", "dead_letters.ndjson"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert first.summary["messages"] == 6_885
    assert first.summary["alerts"]["news2_floor"]["raised"] > 0
