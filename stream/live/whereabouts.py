"""Where a patient lies at this moment, for who may act on some wards only.

Owns the difference between "nobody knows him" and "we do not know yet". Must not know who asks, or what for.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.kafka.topics import EVENTS
from connectors.redis.layout import partition_of
from features.store import StoreFault
from stream.live.board import StoredRecords
from stream.records import UnreadableRecordError


def ward_of(records: StoredRecords, end_of: Callable[[int], int | None], patient: str) -> str | None:
    """Give the ward the store has a patient in, None for one whom nobody knows; blocks.

    `end_of` gives the end of a partition of events.v1, None before the broker has told it. While the log is being
    folded anew a patient whom nobody knows may be in what is left of it: that raises a `StoreFault`, for what he did
    waits with it, and would be folded after it.
    """
    try:
        record = records.read_one(patient)
    except UnreadableRecordError:
        return None  # [patient] finds it and folds anew.
    if record is not None:
        return record.state.location.ward
    watermarks = records.watermarks()
    number = partition_of(patient, len(watermarks))
    end = end_of(number)
    if end is None or watermarks[number] < end - 1:
        raise StoreFault(f"{EVENTS}/{number} is not folded yet: where a patient lies is not known")
    return None
