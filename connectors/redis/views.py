"""Reading one patient's view from the online feature store, as anybody may.

Owns finding the partition and its keys. Must not know what a view says, nor write anything: a user with the reader's
rules of docs/redis.md can do all that is done here.
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.redis.faults import FAULTS, translated
from connectors.redis.layout import PATIENT_STAGE, Client, PartitionKeys, partition_of, read_layout
from events import Millis


class StoredView(NamedTuple):
    """A patient's document, and what can be said of its partition.

    `committed_at` is when a worker last committed anything there, by Redis's clock: workers commit each minute at
    least, so an old one means that nobody works the partition and the document stands still. None: never.
    """

    document: bytes
    partition: int
    committed_at: Millis | None


def read_stored_view(client: Client, prefix: str, patient: str) -> StoredView | None:
    """Give the view of a patient key, None where there is none; raises `LayoutError`, `StoreUnavailableError`."""
    try:
        partition = partition_of(patient, read_layout(client, prefix).partitions)
        keys = PartitionKeys(prefix, PATIENT_STAGE, partition)
        document = client.get(keys.view(patient))
        committed = client.hget(keys.meta, "written")
    except FAULTS as error:
        raise translated(error) from error
    if document is None:
        return None
    assert isinstance(document, bytes), "our clients decode nothing"
    return StoredView(document, partition, None if committed is None else int(committed))
