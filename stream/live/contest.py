"""The contest: challengers in shadow beside the champion, on the rows that wards are scored by.

Owns asking each challenger at each scored row by its own scorer, the wait for the outcome, and giving the rows on which
one can be weighed. Must not know who enters a challenger, what evidence comes to, nor who promotes. What a challenger
says reaches no ward.

Which versions take part is written down for it in the topic (`told`), so all that it knows follows from the records. A
challenger that cannot be asked is refused by name, and one that fails at a row leaves at once: the fold goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

from events import Envelope, Millis
from models.evidence import Evidence, EvidenceError
from models.inputs import LEARNING_INPUTS, RowSpec, computes, row_spec_of
from models.labels import PATIENTS_MAX
from models.scorer import FAILED, Scorer
from models.version import ModelVersion, VersionError, dump, load
from models.weighing import NEWS2_ALONE, Levels, weigh_versions
from stream.candidates import outcome_name
from stream.contest_rows import ROWS_MAX, SLOTS, ContestRows, ContestRowsState, Heard, heard
from stream.live.beside import Beside
from stream.outcomes import OutcomeDefinition
from stream.row_recorder import RecorderState, RowRecorder, TrainingRow

NEWS2_AT = LEARNING_INPUTS.names.index("news2.total")
AGE_AT = LEARNING_INPUTS.names.index("age_years")

TOLD_MAX = 16
"""Names in one word; the companion tells of `SLOTS`. One of a megabyte would hold the fold up for minutes."""

Find = Callable[[str], ModelVersion | None]
"""Gives a version that is at hand, by its id."""


class Challenged(msgspec.Struct, frozen=True):
    """Who takes part from here on: the whole list, as it is written down for the fold."""

    challengers: Annotated[tuple[str, ...], msgspec.Meta(max_length=TOLD_MAX)] = ()


class Running(NamedTuple):
    """One that takes part."""

    slot: int
    since: int
    """The first score that it answers, counted over all scores heard."""
    version: ModelVersion
    scorer: Scorer
    spec: RowSpec


class RunningState(msgspec.Struct, frozen=True):
    """The same as plain values."""

    slot: int
    since: int
    version: bytes


class ContestState(msgspec.Struct, frozen=True):
    """All that the fold knows, as plain values. For MessagePack: a number may be NaN."""

    challengers: tuple[str, ...]
    running: dict[str, RunningState]
    refused: dict[str, str]
    rows: ContestRowsState
    recorder: RecorderState


class Contest(Beside):
    """Who is told nothing: the challengers.

    >>> contest = Contest(OutcomeDefinition(), lambda _name: None)
    >>> contest.told(b'{"challengers":["4f1c02aa91be"]}')
    >>> contest.refused
    {'4f1c02aa91be': 'it is not at hand'}
    """

    def __init__(self, definition: OutcomeDefinition, find: Find, *, rows_max: int = ROWS_MAX) -> None:
        """`find` must give the same version for the same id, always."""
        self.challengers: tuple[str, ...] = ()
        """Who is to take part, as it was last told."""
        self.refused: dict[str, str] = {}
        """Of those, who cannot, and why."""
        self.running: dict[str, Running] = {}
        """And who does, the eldest first."""
        self.rows = ContestRows(rows_max)
        self._definition, self._find, self._rows_max = definition, find, rows_max
        self._recorder = RowRecorder(definition, self._take, patients_max=PATIENTS_MAX)

    # -- who takes part ---------------------------------------------------------------------------------------------

    def told(self, content: bytes) -> None:
        """Hear who takes part from here on. Raises `msgspec.DecodeError`."""
        wanted = msgspec.json.decode(content, type=Challenged).challengers
        self.challengers = tuple(dict.fromkeys(wanted))
        self.running = {name: one for name, one in self.running.items() if name in self.challengers}
        self.refused = {name: why for name, why in self.refused.items() if name in self.challengers}
        for name in self.challengers:
            if name not in self.running and name not in self.refused:
                self._enter(name)
        if not self.running:
            self.rows = ContestRows(self._rows_max)

    def _enter(self, name: str) -> None:
        version, free = self._find(name), set(range(SLOTS)) - {one.slot for one in self.running.values()}
        why = "it is not at hand" if version is None else self._unfit(version)
        if not why and not free:
            why = f"{SLOTS} take part already"
        if why or version is None:
            self.refused[name] = why
            return
        try:
            scorer, spec = Scorer(version), row_spec_of(version.inputs)
        except Exception as fault:  # noqa: BLE001 - whatever a version does to our code, learning goes on
            self.refused[name] = f"it cannot be scored with: {type(fault).__name__}"
            return
        self.running[name] = Running(min(free), self._recorder.scores, version, scorer, spec)

    def _unfit(self, version: ModelVersion) -> str:
        """Say why rows of this process cannot be evidence on a version; nothing where they can."""
        lineage, definition = version.lineage, self._definition
        if not computes(version.inputs, version.schema_hash):
            return "it takes other inputs than this release computes, or means others by them"
        if lineage.learned_until is None:
            return "it does not say up to when it learned: no row is surely new to it"
        if version.horizon_h != definition.horizon_h or lineage.outcome not in ("", outcome_name(definition)):
            return "it predicts another outcome than the labels here are of"
        return ""

    # -- rows -------------------------------------------------------------------------------------------------------

    def scored(
        self, patient: str, at: Millis, vector: list[float], probability: float | None = None, version: str = ""
    ) -> None:
        """Hear of a score, ask the challengers, and let the row wait for its outcome."""
        own: list[float | None] = [None] * SLOTS
        if self.running and self.rows.takes(self._recorder.number_of(patient)):
            for name, one in list(self.running.items()):
                said = one.scorer.score(one.spec.pick(vector), explain=False)
                if said.reason.startswith(FAILED):
                    self.refused[name] = f"it failed at a row: {said.reason}"
                    del self.running[name]
                own[one.slot] = said.probability
        row = heard((vector[NEWS2_AT], vector[AGE_AT]), version, probability, own)
        self._recorder.scored(patient, at, list(row))

    def happened(self, envelope: Envelope) -> None:
        """Hear of what happened to a patient."""
        self._recorder.happened(envelope)

    def _take(self, rows: list[TrainingRow]) -> None:
        since = min((one.since for one in self.running.values()), default=None)
        for row in rows:
            if since is not None and row.row >= since:
                self.rows.add(row, since)

    # -- what it comes to -------------------------------------------------------------------------------------------

    def heard(self, name: str, champion: str) -> Heard:
        """Give the rows on a challenger beside a champion, a version's id or `news2`; they are copies."""
        one = self.running[name]
        assert one.version.lineage.learned_until is not None, "only such enter"
        return self.rows.heard(one.slot, one.since, one.version.lineage.learned_until, champion)

    # -- state ------------------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Give all it knows."""
        running = {name: RunningState(one.slot, one.since, dump(one.version)) for name, one in self.running.items()}
        state = ContestState(self.challengers, running, self.refused, self.rows.state(), self._recorder.state())
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> None:
        """Go on from a state, alike. Raises `ValueError`."""
        try:
            state = msgspec.msgpack.decode(data, type=ContestState)
            running = {name: _restored(name, one) for name, one in state.running.items()}
        except (msgspec.DecodeError, VersionError) as fault:
            raise ValueError(type(fault).__name__) from None
        self.rows.restore(state.rows)
        self._recorder.restore(state.recorder)
        self.challengers, self.refused, self.running = state.challengers, state.refused, running


def evidence_on(heard_rows: Heard, champion: ModelVersion | None, challenger: ModelVersion, levels: Levels) -> Evidence:
    """Weigh a challenger on the rows of the contest: the evidence that a file of the same rows gives, by the same code.

    Raises `EvidenceError` where they cannot be weighed (yet).
    """
    rows = heard_rows.rows
    if not len(rows.labels):
        beside = NEWS2_ALONE if champion is None else champion.version
        raise EvidenceError(f"no row has matured yet that {challenger.version} and {beside} both answered")
    source = f"examples.v1, in shadow beside the champion, from score {heard_rows.first_row} on"
    return weigh_versions(rows, champion, challenger, levels, source)


def _restored(name: str, state: RunningState) -> Running:
    version = load(state.version, version=name)
    return Running(state.slot, state.since, version, Scorer(version), row_spec_of(version.inputs))
