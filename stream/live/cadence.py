"""How often the learner writes snapshots and makes candidates.

Owns the numbers and their defaults. Must not know what either holds. It stands apart so that a command can name the
defaults without loading a learner.
"""

from __future__ import annotations

import msgspec

SNAPSHOT_RECORDS = 20_000
"""A snapshot is written after so many records: folding them again takes some half a minute, writing one some 0.2 s."""
SNAPSHOT_S = 900.0
"""Or so long after the last one, where anything was folded since."""


class Cadence(msgspec.Struct, frozen=True):
    """How often what is made.

    >>> Cadence().snapshot_records
    20000
    """

    snapshot_records: int = SNAPSHOT_RECORDS
    snapshot_s: float = SNAPSHOT_S
    publish_s: float = 0.0
    """A candidate version; 0: never."""
