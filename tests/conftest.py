"""Fixtures that every test may use: where the real data lies, and what its absence means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Shared cores stall for longer than hypothesis' 200 ms; a slow example is no wrong one.
settings.register_profile("wardstream", deadline=None)
settings.load_profile("wardstream")


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
