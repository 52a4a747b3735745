"""Replaying `events.v1`: each partition is a log of its own, folded as the live service folded it, and beside it.

Owns the replay of a live run's logs, and what of it disagrees with what is recorded. Must not know how anything is
written to Kafka or Redis: neither a producer nor a Redis client can be reached from here, and an import contract holds
that.

What it rests on: [patient] is a function of its partition of `events.v1`, and [ward] of its partition of
`candidates.v1` with the positions of gate and ward settings on `gates.v1`. So scores and suppressed are regenerated
from `events.v1`, and alerts come of the recorded candidates, each of which must have been regenerated. What one fold
passes on to another partition must stand on `events.v1` as it is regenerated. A what-if has no recorded candidates:
its own are ordered by (received time, event id), and its summary says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from alerts.contract import AlertEvent
from alerts.gate import read_changes
from alerts.monitoring import Signal
from alerts.ward import CandidateError, WardOutput, routes
from alerts.ward_settings import WardSettings
from connectors.decoded import RefusalReason
from connectors.kafka.reading import KafkaRecord
from connectors.kafka.topics import CANDIDATES, EVENTS, GATES
from events import CodeVersion, Envelope, Millis
from events.encoding import UndecodableEnvelopeError
from models.version import ModelVersion
from stream.control import Control
from stream.effects import Effect, Forward, Score, Suppression, effect_id, effect_kind, encode_effect
from stream.kafka_log import Extent, KafkaLog
from stream.output_set import NAMED_MAX, OutputSet
from stream.outputs import FileOutputs
from stream.parse import DeadLetter
from stream.partition_fold import PartitionFold, add_tally, is_passed_on
from stream.release import Release
from stream.replay import ReplayResult, summarise
from stream.tally import Tally
from stream.ward_replay import RecordedWards, WhatIfWards

PROGRESS_RECORDS = 500
"""Records between two words of progress."""
RELEASES_NAMED_MAX = 1_000
"""Changes of release that the summary names; a hospital has some a month."""


class EventsReplay:
    """One replay of `events.v1`: made, run, finished.

    `since` leaves out of the output what was said before; `end` stops each partition at the first record received then
    or later. With a `release` it is a what-if: that one decides in the place of all recorded ones.
    """

    def __init__(
        self,
        log: KafkaLog,
        folder: Path,
        versions: Mapping[str, ModelVersion],
        *,
        release: Release | None = None,
        fhir: bool = False,
        since: Millis = 0,
        end: Millis | None = None,
    ) -> None:
        """Look at the log: what is written from here on is no part of this replay. Raises what `KafkaLog` raises."""
        self._log = log
        self._folder = folder
        self._versions = versions
        self._release = release
        self._since, self._end = since, end
        self.on_progress: Callable[[int], None] = lambda _done: None
        """Hears how many records are done."""
        # The candidates first: whatever the live service writes meanwhile, the cause of each is on events.v1 by then.
        self._candidates = {} if release else log.extents(CANDIDATES)
        self._events = log.extents(EVENTS)
        self.bytes_total = sum(extent.records for extent in (*self._events.values(), *self._candidates.values()))
        """Records, in truth: what a bar of progress is drawn by."""
        self.bytes_read = 0
        self.tally = Tally()
        self.outputs = OutputSet()
        """What this replay says: scores, suppressed, and alerts as the wards are told them."""
        self.regenerated = OutputSet()
        """Candidates and what is passed on, as the folds make them."""
        self.recorded = OutputSet()
        """The same, as the log has them."""
        self.warnings: list[str] = []
        self._releases: list[dict[str, object]] = []
        self._counts = {"messages": 0, "accepted": 0, "dead_letters": 0, "duplicates": 0}
        self.control = Control(versions)
        """What is in force at the end of the last partition."""
        self._files = FileOutputs(folder, fhir=fhir, since=since)
        self._what_if = WhatIfWards(release.settings.wards if release else WardSettings())

    def run(self) -> None:
        """Fold every partition, then the wards."""
        for partition, extent in self._events.items():
            if extent.begin:
                self.warnings.append(
                    f"{EVENTS}/{partition} begins at record {extent.begin}: retention took what was before, so what "
                    "was known by then is missing, and what is said of those patients may not be what was said live"
                )
            self._fold(partition, extent)
        if self._release is None:
            self._tell_as_recorded()
        else:
            self._say(output for output in self._what_if.tell())

    def _advance(self, count: int = 1) -> None:
        before = self.bytes_read // PROGRESS_RECORDS
        self.bytes_read += count
        if self.bytes_read // PROGRESS_RECORDS > before:
            self.on_progress(self.bytes_read)

    # -- patients ---------------------------------------------------------------------------------------------------

    def _fold(self, partition: int, extent: Extent) -> None:
        fold = PartitionFold(partition, len(self._events), self._versions, self._release)
        counts, left = self._counts, extent.records
        for record in self._log.read(EVENTS, partition, extent):
            left -= 1
            self._advance()
            try:
                envelope = fold.read(record.value, record.record_time)
            except UndecodableEnvelopeError as fault:
                self._refuse(EVENTS, record, str(fault))
                continue
            if envelope is None:
                counts["duplicates"] += 1
                continue
            if self._end is not None and envelope.received_time >= self._end:
                # The log goes on, so its next record fired what was due until then. What was received before it and
                # stands behind it is left out: the partition's clock had passed.
                self._take(fold.reach(self._end - 1))
                break
            self._note(envelope, record)
            self._take(fold.fold(envelope))
        self._advance(left)
        add_tally(self.tally, fold.pipeline.tally)
        self.control = fold.pipeline.control

    def _note(self, envelope: Envelope, record: KafkaRecord) -> None:
        """Count a record; note where the release changes, and what a fold has passed on."""
        if is_passed_on(envelope):
            self.recorded.add("forwards", envelope.envelope_id, record.value or b"")
        elif envelope.patient:
            self._counts["messages"] += 1
            self._counts["accepted"] += 1
        for event in envelope.events:
            if type(event) is CodeVersion and len(self._releases) < RELEASES_NAMED_MAX:
                place = f"{EVENTS}/{record.partition}/{record.offset}"
                self._releases.append({"code": event.version, "from": place, "received_time": envelope.received_time})

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is Forward:
                self.regenerated.add("forwards", effect_id(effect), encode_effect(effect))
            elif type(effect) is AlertEvent:
                content = encode_effect(effect)
                self.regenerated.add("candidates", effect.event_id, content)
                for ward in routes(effect) if self._release else ():
                    self._what_if.add(effect.received_time, effect.event_id, ward, content)
            elif isinstance(effect, Score | Suppression | Signal) and effect.received_time >= self._since:
                self.outputs.add(effect_kind(effect), effect_id(effect), encode_effect(effect))
        self._files.carry_out([effect for effect in effects if not isinstance(effect, Forward | AlertEvent)])

    def _refuse(self, topic: str, record: KafkaRecord, detail: str) -> None:
        self._counts["dead_letters"] += 1
        position = f"{topic}/{record.partition}/{record.offset}"
        letter = DeadLetter(RefusalReason.GARBAGE, "record", detail, position, record.record_time)
        self._files.refuse(letter, record.value)

    # -- wards ------------------------------------------------------------------------------------------------------

    def _tell_as_recorded(self) -> None:
        gates = read_changes(record.value for record in self._log.read_all(GATES))
        for partition, extent in self._candidates.items():
            wards = RecordedWards(partition, gates.get(partition, ()))
            left = extent.records
            for record in self._log.read(CANDIDATES, partition, extent):
                left -= 1
                self._advance()
                content = record.value or b""
                try:
                    name = record.key.decode("utf-8", "replace")
                    told = wards.take(record.offset, name, content, record.record_time)
                except CandidateError as fault:
                    self._refuse(CANDIDATES, record, f"no candidate: {fault.reason}")
                    continue
                if record.key:  # else a tick or a beat: what it has told follows from it, and nothing else does
                    self.recorded.add("candidates", msgspec.json.decode(content, type=_Candidate).event_id, content)
                self._say(told)
            self._advance(left)

    def _say(self, told: Iterable[WardOutput[bytes]]) -> None:
        for output in told:
            if output.alert is None or self._is_after(output):
                continue
            self.tally.count_queue(output.queue)
            if output.received_time >= self._since:
                self.outputs.add("alerts", output.event_id, output.alert)
            self._files.carry_out_alert(output.event_id, output.received_time, output.alert)

    def _is_after(self, output: WardOutput[bytes]) -> bool:
        """Whether it was said after the stretch that was asked for."""
        if self._end is None:
            return False
        if output.queue == "told":
            return output.received_time >= self._end
        return not self.regenerated.has("candidates", output.event_id)

    # -- what it came to --------------------------------------------------------------------------------------------

    def disagreements(self) -> list[str]:
        """Say what is recorded otherwise than it is regenerated: our fault, and the replay is void."""
        if self._release is not None:
            return []
        made, stands = self.regenerated, self.recorded
        lines = [f"{name} came with two contents" for name in (*made.diverged, *stands.diverged)]
        for kind in ("candidates", "forwards"):
            lines += [f"{kind} {name}: recorded with another content" for name in made.changed(stands, kind)]
            if self._end is None and not self.warnings:
                lines += [f"{kind} {name}: recorded, and nothing here gives it" for name in made.missing(stands, kind)]
        return lines

    def not_yet(self) -> dict[str, int]:
        """Count what is regenerated and not recorded: a live run that is behind, or stopped, has yet to write it."""
        kinds = () if self._release else ("candidates", "forwards")
        return {kind: len(self.recorded.missing(self.regenerated, kind)) for kind in kinds}

    def finish(self, wall_s: float) -> ReplayResult:
        """Write `summary.json` and `digest.txt`; give both. Raises `DivergedOutputError` where an id has two."""
        with self._files:
            digest = self.outputs.hexdigest()
        control = self.control
        summary = summarise(self._counts, self.tally)
        summary["outputs"] = self.outputs.counts()
        summary["wall_s"] = round(wall_s, 3)
        summary["digest"], summary["signals_digest"] = digest, self._files.signals_digest.hexdigest()
        summary["versions"] = {
            "code": control.code_version,
            "configuration": control.configuration_hash,
            "model": control.version,
            "model_enabled": control.enabled,
            "catalogue": control.catalogue.content_hash,
        }
        summary["releases"] = self._releases
        summary["log"] = {str(partition): [extent.begin, extent.end] for partition, extent in self._events.items()}
        summary["candidates_ordered_by"] = "received time, event id" if self._release else "candidates.v1"
        disagreements = self.disagreements()
        summary["disagreements"] = len(disagreements)
        summary["disagreements_named"] = disagreements[:NAMED_MAX]
        summary["not_yet_recorded"] = self.not_yet()
        summary["warnings"] = self.warnings
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (self._folder / "summary.json").write_bytes(text + b"\n")
        (self._folder / "digest.txt").write_text(digest + "\n")
        return ReplayResult(summary, digest)


class _Candidate(msgspec.Struct):
    event_id: str
