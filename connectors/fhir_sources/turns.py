"""Whose turn it is to ask a FHIR server, where several processes name the same one.

Owns the port, and the turn of a process that is alone. Must not know where turns are kept. Two that ask at once do no
harm: what is read twice is known by its content; it is only twice the work.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """What a process learns when it asks for its turn."""

    mine: bool = True
    heard: int = 0
    """Resources that servers told of themselves, to whichever process."""


class Turns(Protocol):
    """Says whose turn it is to ask one server."""

    async def take(self, heard: int) -> Turn:
        """Take or keep the turn where nobody else has it. `heard` is how many resources were told us since last asked.

        Never raises: where it cannot be known, it is ours, for a server that nobody asks is worse than one asked twice.
        """
        ...

    async def give_back(self) -> None:
        """Let another take it."""
        ...


class Alone:
    """Of a process that shares its servers with nobody."""

    def __init__(self) -> None:
        self._heard = 0

    async def take(self, heard: int) -> Turn:
        """It is ours."""
        self._heard += heard
        return Turn(mine=True, heard=self._heard)

    async def give_back(self) -> None:
        """There is nobody to take it."""
