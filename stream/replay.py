"""Replay: any source through the same core, to files, a summary and a digest.

Owns the wiring of a source to the embedded host over memory, and `summary.json`. Must not know a format (sources
decode) or decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from connectors.decoded import Identifier
from connectors.memory import MemoryJournal
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import Batch, SqliteJournal
from events import MILLIS_PER_DAY, CodeVersion, Configuration, Envelope, Millis, Promotion
from features.store import MemoryStateStore, StateStore
from models.version import ModelVersion
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.outputs import FileOutputs
from stream.parse import DeadLetter, Parser, RecentMessages
from stream.release import Release
from stream.scoring import Learner
from stream.states import UNUSABLE_STATES, beginning_states
from stream.tally import Tally

BATCH = 200
"""Messages taken in between two folds: large enough to spread the cost, small enough to show progress."""


class ReplayResult(msgspec.Struct, frozen=True):
    """What a replay came to."""

    summary: dict[str, object]
    digest: str


class Replay:
    """One replay of one or more sources.

    `on_progress` is called with the number of messages done after every batch.
    """

    def __init__(
        self,
        folder: Path,
        release: Release,
        versions: Mapping[str, ModelVersion],
        *,
        pseudonyms: Pseudonyms | None = None,
        identified: bool = False,
        fhir: bool = False,
        since: Millis = 0,
        on_progress: Callable[[int], None] = lambda _done: None,
        learner: Learner | None = None,
    ) -> None:
        names: dict[str, Identifier] = {}
        self.identity = IdentityMap(pseudonyms or Pseudonyms(), names=names if identified else None)
        self.outputs = FileOutputs(folder, names if identified else None, fhir=fhir, since=since)
        self._folder = folder
        self._release = release
        self._on_progress = on_progress
        self.versions = versions
        self._learner = learner
        self._journal = MemoryJournal()
        self._host = self._make_host(MemoryStateStore())

    def _make_host(self, states: StateStore) -> EmbeddedHost:
        return EmbeddedHost(
            self._journal,
            states,
            Parser(self.identity, RecentMessages()),
            versions=self.versions,
            carry_out=lambda effects, _offsets: self.outputs.carry_out(effects),
            refuse=self.outputs.refuse,
            learner=self._learner,
            durable=False,
        )

    def start_from(self, states: StateStore, *, name: str, begin: int) -> None:
        """Begin after record `begin` of the log called `name`, from the states of then; before anything is replayed.

        Raises one of `stream.states.UNUSABLE_STATES` where they are of no use to this release.
        """
        self._journal = MemoryJournal(name, begin)
        self._host = self._make_host(states)

    def messages(self, arrivals: Iterable[Arrival]) -> None:
        """Replay messages, in the order given."""
        self._host.release(self._release, 0)
        done = 0
        iterator: Iterator[Arrival] = iter(arrivals)
        while batch := list(islice(iterator, BATCH)):
            self._host.accept(batch)
            self._host.fold()
            done += len(batch)
            self._on_progress(done)

    def log(self, envelopes: Iterable[Envelope], *, counts: Mapping[str, int], what_if: bool = False) -> None:
        """Replay a recorded log. `what_if` puts this run's release in the place of the recorded ones."""
        if what_if:
            self._host.release(self._release, 0)
        self._journal.append(Batch(counts=counts))
        done = 0
        iterator = (envelope for envelope in envelopes if not (what_if and _is_release(envelope)))
        while batch := list(islice(iterator, BATCH)):
            self._host.enter(batch)
            done += len(batch)
            self._on_progress(done)

    def dead_letters(self, letters: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write the dead letters that a journal holds."""
        for letter, data in letters:
            self.outputs.refuse(msgspec.json.decode(letter, type=DeadLetter), data)

    def finish(self, wall_s: float) -> ReplayResult:
        """Write `summary.json` and `digest.txt`; give both."""
        with self.outputs:
            digest = self.outputs.digest.hexdigest()
            signals_digest = self.outputs.signals_digest.hexdigest()
        control = self._host.pipeline.control
        summary = summarise(self._journal.counts(), self._host.pipeline.tally)
        summary["identity_conflicts"] = self.identity.conflicts
        summary["wall_s"] = round(wall_s, 3)
        summary["digest"], summary["signals_digest"] = digest, signals_digest
        summary["versions"] = {
            "code": control.code_version,
            "configuration": control.configuration_hash,
            "model": control.version,
            "model_enabled": control.enabled,
            "catalogue": control.catalogue.content_hash,
        }
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (self._folder / "summary.json").write_bytes(text + b"\n")
        (self._folder / "digest.txt").write_text(digest + "\n")
        return ReplayResult(summary, digest)


def start_at_beginning(replay: Replay, folder: Path, journal: SqliteJournal, warn: Callable[[str], None]) -> None:
    """Let a replay of a journal whose earlier part the retention removed start from the states it begins with.

    Where this release cannot use those, the log is folded without what was known before it, and `warn` hears so.
    """
    for use_base in (True, False):
        states = beginning_states(folder, journal, replay.versions, use_base=use_base)
        try:
            replay.start_from(states, name=journal.name, begin=journal.begin())
        except UNUSABLE_STATES as fault:
            if not use_base:
                raise
            warn(f"the states that the log begins with cannot be used ({type(fault).__name__}): folded without them")
        else:
            return


def summarise(counts: Mapping[str, int], tally: Tally) -> dict[str, object]:
    """Give the figures of `summary.json` from the message counts and the pipeline's tally."""
    days = tally.patient_millis / MILLIS_PER_DAY
    alerts: dict[str, dict[str, int]] = {}
    for name, count in sorted(tally.alerts.items()):
        trigger, state = name.split(":")
        alerts.setdefault(trigger, {})[state] = count
    return {
        "messages": counts.get("messages", 0),
        "accepted": counts.get("accepted", 0),
        "dead_letters": counts.get("dead_letters", 0),
        "duplicates": counts.get("duplicates", 0),
        "dead_letters_by_reason": {
            name.partition(":")[2]: count for name, count in counts.items() if name.startswith("dead_letters:")
        },
        "tolerated_by_type": {
            name.partition(":")[2]: count for name, count in sorted(counts.items()) if name.startswith("tolerated:")
        },
        "events": tally.events,
        "observations": tally.observations,
        "quarantined": sum(tally.quarantined.values()),
        "quarantined_by_reason": dict(sorted(tally.quarantined.items())),
        "unmapped_codes": sum(tally.unmapped.values()),
        "unmapped_by_code": dict(sorted(tally.unmapped.items(), key=lambda item: (-item[1], item[0]))),
        "intakes": dict(sorted(tally.intakes.items())),
        "patients": tally.patients,
        "patient_days": round(days, 3),
        "scores": tally.scores,
        "unfoldable": tally.unfoldable,
        "unexplained": tally.unexplained,
        "alerts": alerts,
        "ward_budget": {"waited": tally.waited, "told_later": tally.told_later},
        "alerts_per_patient_day": round(tally.told / days, 4) if days else None,
        "verdicts": tally.verdict_counts(),
        "acts": dict(sorted(tally.acts.items())),
    }


def _is_release(envelope: Envelope) -> bool:
    return any(isinstance(event, CodeVersion | Configuration | Promotion) for event in envelope.events)
