"""Who may act, read again while a process runs: its `[people]` table and nothing else of `wardstream.toml`.

Owns when a new table is taken and when the one of before stays. Must not know who may do what, nor a signal. A table
that is wrong changes nothing and is told: nobody is let in, or kept out, by a slip.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from connectors.acts.people import PeopleSettings
from stream.settings import ConfigurationError, parse_people


class PeopleFile:
    """The file that a process was started with, if there was one."""

    def __init__(self, path: Path | None, people: PeopleSettings, log: FilteringBoundLogger) -> None:
        """`people` are those that the process began with."""
        self._path = path
        self._people = people
        self._log = log
        self.use: Callable[[PeopleSettings], None] = lambda _people: None
        """Is given each new table; may raise `ConfigurationError` where the process cannot go by it."""
        self._waits = self._owed = False

    def wait(self) -> None:
        """Read nothing before `begin`, for the process is only starting: note that it is to be read."""
        self._waits = True

    def begin(self, use: Callable[[PeopleSettings], None]) -> None:
        """Go by the table from here on; what was asked for meanwhile is done now."""
        self.use, self._waits = use, False
        if self._owed:
            self._owed = False
            self.reread()

    def reread(self) -> None:
        """Read the table again and go by it, or tell why those of before still may act."""
        if self._waits:
            self._owed = True
            return
        try:
            people = self._read()
            self.use(people)
        except ConfigurationError as fault:
            self._log.error("people_not_reread", why=str(fault), advice="those of before may act still: mend the file")
            return
        before, now = self._people.actors, people.actors
        self._people = people
        self._log.info(
            "people_reread",
            actors=len(now),
            added=sorted(now.keys() - before.keys()),
            removed=sorted(before.keys() - now.keys()),
            changed=sorted(name for name in now.keys() & before.keys() if now[name] != before[name]),
        )

    def _read(self) -> PeopleSettings:
        if self._path is None:
            raise ConfigurationError("there is no file to read: the process was started without --config")
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "not UTF-8, as TOML has to be"
            raise ConfigurationError(f"{self._path.name}: {why}") from None
        people = parse_people(text, self._path.name)
        if self._people.configured and not people.configured:
            # A file that is half written reads so too; and on Kafka it would open what asks for a signature now.
            raise ConfigurationError(f"{self._path.name}: [people] names nobody any more; that takes a restart")
        return people
