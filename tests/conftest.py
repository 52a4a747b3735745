"""Fixtures that every test may use: where the real data lies, and what its absence means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from stream import fold, pipeline
from stream.effects import Unfoldable

# Shared cores stall for longer than hypothesis' 200 ms; a slow example is no wrong one.
settings.register_profile("wardstream", deadline=None)
settings.load_profile("wardstream")

pytest_plugins = ("tests.bench", "tests.fhir_server.servers")
"""The broker and the Redis of the run: fixtures `kafka` and `redis_settings`; HAPI's FHIR servers."""


@pytest.fixture(autouse=True)
def nothing_unfoldable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which a host could not fold a record: the service survives that, a test must not hide it."""
    faults: list[str] = []

    def note(*fields: Any) -> Unfoldable:
        faults.append(fields[-1])
        return Unfoldable(*fields)

    for module in (fold, pipeline):
        monkeypatch.setattr(module, "Unfoldable", note)
    yield
    assert not faults or request.node.get_closest_marker("unfoldable"), f"records that could not be folded: {faults}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder of real data; skip loudly where it is absent, fail in CI."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WARDSTREAM_DATA", default))
    if not (folder / "README.md").exists():
        message = "REAL DATA ABSENT: set WARDSTREAM_DATA to the folder of shared real data; this claim was NOT tested"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
