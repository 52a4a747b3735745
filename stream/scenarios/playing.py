"""A story played on the embedded host: bytes in by the codecs and [parse], effects out, and the log it came to.

Owns the order of a story's moments and the record of what came. Must not know what was expected. The log is what the
live host is given: the same envelopes, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from connectors.decoded import Refusal
from connectors.http.arrivals import fhir_arrivals, hl7_arrivals
from connectors.memory import MemoryJournal
from connectors.sources.arrival import Arrival
from connectors.sqlite.journal import Batch
from events import MILLIS_PER_MINUTE, Envelope, Event, Millis, content_id
from features.store import MemoryStateStore
from models.version import ModelVersion
from stream.effects import Effect, Unfoldable, effect_id, effect_kind, encode_effect
from stream.host import EmbeddedHost
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import DeadLetter, Duplicate, Parsed, Parser, RecentMessages
from stream.release import Release
from stream.scenarios.acts import ACTS, CONTROLS, Subject, act_document, control_event, take_act
from stream.scenarios.messages import Sent, Writer
from stream.scenarios.moments import span
from stream.scenarios.names import Names
from stream.scenarios.sense import settings_of, verb_of
from stream.scenarios.stand_in import make_stand_in
from stream.scenarios.words import Step, Story
from stream.settings import Settings

CODE_VERSION = "scenario"
ABSENT_VERSION = "0" * 12
"""The id of a version whose file is gone."""


class Output(msgspec.Struct, frozen=True):
    """One output, as its canonical JSON says it."""

    kind: str
    name: str
    document: dict[str, Any]


class Moment(msgspec.Struct, frozen=True):
    """One moment of a story that has been played."""

    at: Millis
    number: int
    """Of the step in the story, from 0; a repeated step has several moments."""
    step: Step
    messages: tuple[str, ...] = ()
    """What became of each message: `accepted`, `duplicate`, `refused REASON`."""


class Played(msgspec.Struct, frozen=True):
    """What came of a story."""

    moments: tuple[Moment, ...]
    outputs: tuple[Output, ...]
    log: tuple[Envelope, ...]
    end: Millis


class _Journal(MemoryJournal):
    """A journal that keeps the log of the one run it is for."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Envelope] = []

    def append(self, batch: Batch) -> int:
        """Take a batch, and keep it."""
        self.log += [record.envelope for record in batch.records]
        return super().append(batch)


class Play:
    """One story on an embedded host of its own."""

    def __init__(self, story: Story, names: Names, *, code_version: str = CODE_VERSION) -> None:
        """Put the story's configuration and model in force."""
        self._story, self._names = story, names
        self._writer = Writer(story, names)
        self._settings = with_scale_2(story, names)
        self.versions = versions_of(story)
        self.version = version_of(story, self.versions)
        self._journal = _Journal()
        self._minute = -(-self._writer.start // MILLIS_PER_MINUTE) * MILLIS_PER_MINUTE
        self._outputs: list[Output] = []
        self._sent: dict[str, Sent] = {}
        self._acts = 0
        self._acted: dict[str | None, tuple[bytes, str]] = {}
        self._store = MemoryStateStore()
        self._parser = Parser(IdentityMap(Pseudonyms()), RecentMessages())
        self._host = self._start()
        model = story.model
        enabled = model is not None and not model.shadow
        release = Release(self._settings, code_version, self.version, enabled)
        self._host.release(release, self._writer.start)

    def _start(self) -> EmbeddedHost:
        return EmbeddedHost(self._journal, self._store, self._parser, versions=self.versions, carry_out=self._carry_out)

    def run(self) -> Played:
        """Play every moment, in order of time."""
        played = [self._moment(at, number, step) for at, number, step in moments(self._story, self._writer.start)]
        end = max((moment.at for moment in played), default=self._writer.start)
        return Played(tuple(played), tuple(self._outputs), tuple(self._journal.log), end)

    def _moment(self, at: Millis, number: int, step: Step) -> Moment:
        verb = verb_of(step)
        self._let_time_pass(at)
        outcome: tuple[str, ...] = ()
        if verb in ACTS:
            outcome = (self._act(step, verb, at),)
        elif step.repeat in self._acted:
            outcome = (self._hand_in(*self._acted[step.repeat], at),)
        elif verb in CONTROLS:
            event = control_event(self._story, self._names, step, verb, at, self.version)
            self._enter(event, at)
        elif verb == "restart":
            self._host.checkpoint()
            self._host = self._start()
        elif verb:
            outcome = self._send(step, verb, at, number)
        self._host.fold()
        return Moment(at, number, step, outcome)

    def _let_time_pass(self, at: Millis) -> None:
        """Tick up to an instant as a running host does: each minute at which a timer is due."""
        while self._minute <= at:
            if self._host.tick_is_due(self._minute):
                self._host.let_time_pass(self._minute)
                self._host.fold()
            self._minute += MILLIS_PER_MINUTE

    def _enter(self, event: Event, at: Millis) -> None:
        name = content_id("control", repr(event))
        self._host.append([Envelope(name, "", at, at, (event,), message_id="control")])

    def _send(self, step: Step, verb: str, at: Millis, number: int) -> tuple[str, ...]:
        sent = self._sent[step.repeat] if step.repeat else self._writer.write(step, verb, at)
        if step.name:
            self._sent[step.name] = sent
        position = f"story#{number + 1}"
        if sent.format == "hl7v2":
            arrivals = hl7_arrivals(sent.data, self._settings.hl7, position) or []
        else:
            arrivals = fhir_arrivals(sent.data, self._settings.fhir, position)
        stamped = [msgspec.structs.replace(arrival, received_time=at) for arrival in arrivals]
        return tuple(map(_became, self._host.accept(stamped)))

    def _act(self, step: Step, verb: str, at: Millis) -> str:
        self._acts += 1
        trigger = getattr(step, verb) if verb not in ("review", "limit") else ""
        subject = self._subject(step.who, trigger)
        decided = self._writer.taken(step, at) if step.taken else at
        data, by = act_document(step, verb, self._acts, decided, self._writer.start, subject), step.by or "nurse"
        if step.name:
            self._acted[step.name] = data, by
        return self._hand_in(data, by, at)

    def _hand_in(self, data: bytes, by: str, at: Millis) -> str:
        taken = take_act(data, by, at)
        if isinstance(taken, Refusal):
            return f"refused {taken.reason}"
        arrival = Arrival(f"story/act#{self._acts}", at, data, "act", taken)
        return _became(self._host.accept([arrival])[0])

    def _subject(self, who: str, trigger: str) -> Subject:
        """Find what the ward was told last: the alert or the score that somebody answers."""
        key, alert_id, score_id = self._names.key(who), "", ""
        named = {"floor": "news2_floor", "model": "model"}.get(trigger)
        for output in self._outputs:
            document = output.document
            if self._names.who(document.get("patient", "")) != who:
                continue
            if output.kind == "alerts" and document["trigger"] == named:
                key, alert_id = document["patient"], document["alert_id"]
            elif output.kind == "scores":
                key, score_id = document["patient"], document["score_id"]
        return Subject(key, alert_id, score_id)

    def _carry_out(self, effects: Sequence[Effect], _offsets: Sequence[int]) -> None:
        for effect in effects:
            assert type(effect) is not Unfoldable, f"a record could not be folded: {effect.fault}"
            content = msgspec.json.decode(encode_effect(effect))
            self._outputs.append(Output(effect_kind(effect), effect_id(effect), content))


def play(story: Story, names: Names | None = None, *, code_version: str = CODE_VERSION) -> Played:
    """Play a story on an embedded host of its own."""
    return Play(story, names or Names(story), code_version=code_version).run()


def moments(story: Story, start: Millis) -> Iterator[tuple[Millis, int, Step]]:
    """Give every moment of a story with its step, repeated ones as often as they come, in order of time."""
    found: list[tuple[Millis, int, Step]] = []
    for number, step in enumerate(story.timeline):
        at = span(step.at)
        found.append((at, number, step))
        while step.every and at + span(step.every) <= span(step.until):
            at += span(step.every)
            found.append((at, number, step))
    found.sort(key=lambda one: (one[0], one[1]))
    return ((start + at, number, step) for at, number, step in found)


def with_scale_2(story: Story, names: Names) -> Settings:
    """Give the story's configuration, with the patient keys for whom it records scale 2."""
    settings = settings_of(story, ward=names.ward)
    keys = tuple(names.key(name) for name in story.scale_2)
    return msgspec.structs.replace(settings, news2_scale_2=(*settings.news2_scale_2, *keys))


def versions_of(story: Story) -> dict[str, ModelVersion]:
    """Give the versions that are at hand in a story."""
    if story.model is None or story.model.absent:
        return {}
    version = make_stand_in(story.model)
    return {version.version: version}


def version_of(story: Story, versions: dict[str, ModelVersion]) -> str:
    """Give the id of the version in force."""
    if story.model is None:
        return ""
    return next(iter(versions), ABSENT_VERSION)


def _became(parsed: Parsed) -> str:
    if isinstance(parsed, Duplicate):
        return "duplicate"
    return f"refused {parsed.reason}" if isinstance(parsed, DeadLetter) else "accepted"
