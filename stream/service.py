"""The embedded service over a data folder: journal and state in SQLite, the host between them.

Owns the wiring and what is read back from the folder. Must not know a format, a socket or how anything is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from connectors.decoded import Identifier
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import SqliteJournal
from connectors.sqlite.state_store import SqliteStateStore
from models.version import ModelVersion
from stream.catalogues import catalogue_for
from stream.digest import RunDigest
from stream.effects import Effect, effect_id, effect_kind, encode_effect
from stream.host import EmbeddedHost, Release
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Parsed, Parser
from stream.records import LIVE_RECORDS_MAX
from stream.settings import Settings

STATE_FILE = "state.db"
"""The states lie beside `journal.db`, and can be remade from it."""
DATA_FOLDER_MODE = 0o700
"""The folder holds patient identifiers: nobody but the service's user reads it."""


class JournalledMessages:
    """Remembers accepted messages in the journal, and those of the batch at hand."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self._batch: set[bytes] = set()

    def add(self, content_hash: bytes) -> bool:
        """Remember a content hash; say whether it is new."""
        if content_hash in self._batch or self._journal.seen(content_hash):
            return False
        self._batch.add(content_hash)
        return True

    def clear(self) -> None:
        """Forget the batch: the journal has it."""
        self._batch.clear()


class EmbeddedService:
    """One data folder, opened by one process.

    On opening, whatever was acknowledged and not yet folded is folded: a crash at any moment loses nothing.
    """

    def __init__(
        self,
        folder: Path,
        release: Release,
        versions: Mapping[str, ModelVersion],
        pseudonyms: Pseudonyms | None = None,
        live_records_max: int = LIVE_RECORDS_MAX,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=DATA_FOLDER_MODE)
        self.journal = SqliteJournal(folder)
        known = {Identifier(authority, value): key for authority, value, key in self.journal.identities()}
        self._seen = JournalledMessages(self.journal)
        self.effects: list[Effect] = []
        """What was carried out since `take_effects` was last called."""
        self.host = EmbeddedHost(
            self.journal,
            SqliteStateStore(folder / STATE_FILE),
            Parser(IdentityMap(pseudonyms or Pseudonyms(), known), self._seen),
            catalogue=catalogue_for(release.settings),
            versions=versions,
            carry_out=self._carry_out,
            live_records_max=live_records_max,
        )
        self.host.release(release, self.host.pipeline.control.clock)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        self.journal.append_outputs(
            [(effect_kind(effect), effect_id(effect), encode_effect(effect)) for effect in effects]
        )
        self.effects.extend(effects)

    def accept(self, arrivals: Sequence[Arrival]) -> list[Parsed]:
        """Make a batch durable (its senders may be told on return), then fold it."""
        parsed = self.host.accept(arrivals)
        self._seen.clear()
        self.host.fold()
        return parsed

    def take_effects(self) -> list[Effect]:
        """Give what was carried out since the last call."""
        effects, self.effects = self.effects, []
        return effects

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.host.pipeline.control.settings

    def close(self) -> None:
        """Store the states and close the journal; opening again goes on from here."""
        self.host.checkpoint()
        self.journal.close()

    def digest(self) -> str:
        """Digest everything ever put out by this folder: equal to a replay of its journal."""
        digest = RunDigest()
        for kind, name, content in self.journal.outputs():
            digest.add(kind, name, content)
        return digest.hexdigest()
