"""Where a patient lies, asked while nobody can know yet."""

from __future__ import annotations

import pytest

from connectors.redis.connection import connect
from connectors.redis.settings import RedisSettings
from features.store import StoreFault
from stream.live.board import StoredRecords
from stream.live.whereabouts import ward_of
from stream.settings import Settings


@pytest.mark.parametrize("end", [None, 1, 7])
def test_of_a_log_that_is_not_folded_nobody_can_say_that_a_patient_is_unknown(
    redis_settings: RedisSettings, end: int | None
) -> None:
    """Nor where the broker has not told yet where the log ends: that is not an empty log."""
    records = StoredRecords(connect(redis_settings), redis_settings.prefix, 1, Settings())
    with pytest.raises(StoreFault, match="is not folded yet"):
        ward_of(records, lambda _number: end, "p-1")


def test_where_all_is_folded_a_stranger_is_a_stranger(redis_settings: RedisSettings) -> None:
    """The log is empty, and known to be."""
    records = StoredRecords(connect(redis_settings), redis_settings.prefix, 1, Settings())
    assert ward_of(records, lambda _number: 0, "p-1") is None
