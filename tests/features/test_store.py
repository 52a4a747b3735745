"""The memory store obeys the port's laws."""

from __future__ import annotations

import pytest

from features import checks
from features.store import MemoryStateStore


@pytest.mark.parametrize("law", checks.laws(), ids=lambda law: law.__name__)
def test_the_memory_store_obeys(law):
    """Every law of the port holds for the store in memory."""
    law(MemoryStateStore)
