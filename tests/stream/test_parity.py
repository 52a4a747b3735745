"""Parity, the project's heart: the same input gives the same outputs, however the run is cut, seeded or sped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream
from stream.versions import load_versions

HOURS = 36
BEDS = 24
SEED = 11


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a day and a half of a simulated hospital as one HL7 file."""
    path = tmp_path_factory.mktemp("traffic") / "ward.hl7"
    path.write_bytes(b"".join(data for _time, data in hospital_stream(seed=SEED, beds=BEDS, hours=HOURS)))
    return path


def wardstream(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_runs_under_two_hash_seeds_give_the_same_digest_and_bytes(traffic, tmp_path):
    """Replaying one file twice, under two PYTHONHASHSEEDs, gives the same digest and the same lines."""
    for seed in ("0", "4242"):
        done = wardstream("replay", str(traffic), "--out", str(tmp_path / seed), "--quiet", hash_seed=seed)
        assert done.returncode == 0, done.stderr
    for name in ("digest.txt", "alerts.ndjson", "scores.ndjson", "suppressed.ndjson", "dead_letters.ndjson"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "4242" / name).read_bytes()
    assert (tmp_path / "0" / "alerts.ndjson").read_bytes(), "a hospital without one alert proves nothing"


def test_a_live_run_equals_the_replay_of_its_own_journal(tmp_path):
    """What the embedded service put out equals the replay of its journal, by the command."""
    versions, _wrong = load_versions()
    service = EmbeddedService(
        tmp_path / "live", Release(Settings(), "test", next(iter(versions)), enabled=True), versions
    )
    for one in arrivals_of(hospital_stream(seed=SEED, beds=BEDS, hours=HOURS), Settings()):
        service.accept([one])
    digest = service.digest()
    service.close()
    done = wardstream("replay", f"journal:{tmp_path / 'live'}", "--out", str(tmp_path / "again"), "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "digest.txt").read_text().strip() == digest
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert summary["alerts"]["news2_floor"]["raised"] > 0


@pytest.mark.parametrize("cut", [1, 2, 37, 100, 101, 200])
def test_a_run_cut_in_two_gives_the_same_digest(cut, tmp_path):
    """A service closed after any record and opened again ends in the digest of one that ran through."""
    arrivals = list(arrivals_of(hospital_stream(seed=SEED, beds=BEDS, hours=HOURS), Settings()))
    assert cut < len(arrivals)
    release = Release(Settings(), "test")
    whole = EmbeddedService(tmp_path / "whole", release, {})
    whole.accept(arrivals)
    first = EmbeddedService(tmp_path / "parts", release, {})
    first.accept(arrivals[:cut])
    first.close()
    second = EmbeddedService(tmp_path / "parts", release, {})
    second.accept(arrivals[cut:])
    assert second.digest() == whole.digest()


def test_a_tiny_shelf_of_live_records_changes_nothing(tmp_path, monkeypatch):
    """Evicting and reloading patients all the time gives the same digest as keeping them all."""
    arrivals = list(arrivals_of(hospital_stream(seed=SEED, beds=BEDS, hours=HOURS), Settings()))
    release = Release(Settings(), "test")
    whole = EmbeddedService(tmp_path / "whole", release, {})
    whole.accept(arrivals)
    small = EmbeddedService(tmp_path / "small", release, {}, live_records_max=2)
    small.accept(arrivals)
    assert small.digest() == whole.digest()
