"""How far each type of a server was read, kept so that a restart goes on from there.

Owns the cursor's rule and its file. Must not know a request. A file that is lost or damaged is a cursor that is lost:
the look begins with the declared look-back, which repeats work and loses nothing of that span.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from connectors.durable import sync_file, write_whole
from events import Millis

FILE_BYTES_MAX = 64 * 1024
PRIVATE_MODE = 0o700


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far one server was read: by type, the newest `meta.lastUpdated` of which all before is taken in."""

    base: str = ""
    """The server's address: of another server nothing is known."""
    read_to: dict[str, Millis] = {}
    beds_due: bool = False
    """Whether it is still to be asked who is in a bed."""


def moved(before: Millis | None, seen: Millis | None, server_now: Millis | None) -> Millis | None:
    """Give the cursor after a page: not back, unless the server's own clock is behind it.

    A server whose clock was ahead and was set right stamps what comes next earlier than what it stamped before: past
    that moment nothing can be relied on to be seen.

    >>> moved(10, 20, 30), moved(20, 10, 30), moved(None, 50, 30), moved(50, None, 30), moved(None, None, 30)
    (20, 20, 30, 30, None)
    """
    newest = max((one for one in (before, seen) if one is not None), default=None)
    return newest if newest is None or server_now is None else min(newest, server_now)


class ProgressFile:
    """Keeps the progress of one server in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"fhir-source-{name}.json"

    def read(self, base: str) -> Progress:
        """Read how far a server was read; a new beginning where that is not known, or of another server."""
        try:
            data = self._path.read_bytes()
            found = msgspec.json.decode(data, type=Progress) if len(data) <= FILE_BYTES_MAX else Progress()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return Progress(base)
        return found if found.base == base else Progress(base)

    def write(self, progress: Progress) -> None:
        """Have it on the disk on return; raises `OSError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_MODE)
        write_whole(self._path, self._path.with_suffix(".draft"), msgspec.json.encode(progress))
        sync_file(self._path.parent)
