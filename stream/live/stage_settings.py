"""How one stage of one process runs, and who hears of what it does.

Owns those settings and that port. Must not know Faust, nor what a stage folds.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class StageSettings(msgspec.Struct, frozen=True):
    """How one stage of one process runs."""

    name: str
    """`parse`, `patient`, `ward`: part of the consumer group's name."""
    topics: tuple[str, ...]
    """With the installation's prefix."""
    group: str
    instance: str
    """This process's own name within the group: a restart takes its partitions again at once."""
    brokers: str
    batch_records_max: int
    linger_s: float
    session_timeout_s: float
    progress_s_max: float
    """A partition with records to fold that has not moved for so long is told as stuck."""
    credentials: Any = None
    """Faust's broker credentials, or None."""


class StageObserver(Protocol):
    """Hears what a stage does; for metrics and logs."""

    def worked(self, stage: str, records: int, outputs: int, seconds: float) -> None:
        """A batch was folded, produced and committed."""
        ...

    def failed(self, stage: str, where: str, fault: BaseException) -> None:
        """Something went wrong and is tried again."""
        ...
