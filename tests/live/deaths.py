"""Why a worker ended by itself, in its own words; and of what it may.

A worker ends on purpose where only a process that begins anew can go on: what it held is of no use any more. Those
faults are declared here, each with its reason. Whatever else ends one is a bug of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

DECLARED = {
    "FencedError": "the store gave a partition away that the broker still calls ours",
    "LostStateError": "Redis is not as this worker left it: records before these must be read again",
    "HalfFoldedError": "Redis failed in the middle of a fold: what is in memory is of no use",
    "StoreUnavailableError": "Redis cannot be had while a worker starts",
    "RedisConnectionError": "the same, at the first connection",
    "UnreachableError": "Kafka cannot be had while a worker starts",
}
"""By the fault's type. Not among them: a gap in the log, a partition's states of another log, a bug's exception."""


class Death(msgspec.Struct, frozen=True):
    """A process that ended by itself."""

    name: str
    code: int
    """Its exit code; below 0 the signal's number."""
    fault: str
    """The type of what it died of; empty where it said nothing."""
    place: str = ""

    @property
    def declared(self) -> bool:
        """Whether it died as it should: with its word, of a fault that is declared, and with that exit code.

        >>> [Death("w0", code, fault).declared for code, fault in ((1, "LostStateError"), (1, "KeyError"), (-11, ""))]
        [True, False, False]
        """
        return self.code == 1 and self.fault in DECLARED


def log_lines(text: str) -> Iterator[dict[str, Any]]:
    r"""Give what a process logged, in order; a line that was cut off by a kill is left out.

    >>> [line["event"] for line in log_lines('{"event":"started"}\nTraceback\n{"event":"di')]
    ['started']
    """
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def read_death(name: str, code: int, text: str) -> Death:
    """Read a death from what the process logged since it was started: the last word is the cause.

    >>> read_death("w0", 1, '{"event":"died","fault":"GapError","place":"a.py:1"}').fault
    'GapError'
    """
    last: dict[str, Any] = {}
    for line in log_lines(text):
        if line.get("event") in ("died", "cannot_start"):
            last = {**last, **line}
    return Death(name, code, last.get("fault", ""), last.get("place", ""))


def undeclared(deaths: Iterable[Death]) -> list[str]:
    """Say which deaths were none that may be."""
    return [
        f"{death.name} ended by itself with code {death.code}, of {death.fault or 'nothing that it told'} {death.place}"
        for death in deaths
        if not death.declared
    ]
