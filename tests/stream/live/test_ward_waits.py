"""A budget in the live [ward]: settings by position, ticks where something waits, and the replay of both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.checks import Sent
from alerts.gate import GateChange, decode_change
from alerts.ward_beat import write_beat
from alerts.ward_records import read_tick
from alerts.ward_settings import WardSettings
from connectors.kafka.headers import header
from connectors.kafka.record import Record
from connectors.kafka.topics import ALERTS, CANDIDATES, GATES
from events import Configuration, KillSwitch
from features.store import MemoryStateStore
from stream.decisions import Decision, Decisions, encode_decision
from stream.fold import TICK_MS
from stream.live.stage import OWED_MS, LogItem
from stream.live.ward_stage import TICK_TYPE, WardPartition
from stream.settings import Settings, configuration_hash, configuration_text
from stream.ward_replay import RecordedWards, WhatIfWards
from tests.alerts.test_ward_budget import ONE, said
from tests.alerts.ward_traffic import MINUTE, START, traffic
from tests.stream.live.partitions import LOG


class Live:
    """One partition over a store in memory, what it wrote, and processes that follow each other."""

    def __init__(self, wards: WardSettings | None = ONE, **how: Any) -> None:
        self.decisions = Decisions()
        self.store = MemoryStateStore()
        self.log: list[LogItem] = []
        self.written: list[Record] = []
        self._how = how
        if wards is not None:
            self.decide(wards)
        self.begin()

    def begin(self) -> None:
        """Begin as a new process does."""
        self.stage = WardPartition(
            0,
            self.store,
            self.decisions,
            lambda _number: self.gates(),
            lambda _stage: max((int(header(one.headers, "ce_candidateoffset")) for one in self.told()), default=-1),
            **self._how,
        )
        self.at = self.stage.open(LOG)

    def decide(self, wards: WardSettings, *, kill_switch: bool = False) -> None:
        """Decide a configuration."""
        chosen = Settings(wards=wards)
        self.put(Configuration(0, configuration_hash(chosen), configuration_text(chosen)))
        if kill_switch:
            self.put(KillSwitch(0, engaged=True))

    def put(self, event: Any) -> None:
        """Put a decision on control.v1."""
        self.decisions.take(self.decisions.newest, encode_decision(Decision(event, "role:x")), START)

    def append(self, *sent: Sent) -> None:
        """Append to candidates.v1."""
        for key, content in sent:
            self.log.append(LogItem(len(self.log), key.encode(), content, (), 0))

    def work(self, *, commit: bool = True) -> list[Record]:
        """Fold what there is; where it does not commit it is killed right after writing."""
        records = self.stage.work(self.log[self.at :])
        self.written += records
        if commit:
            self.stage.commit()
            self.at = len(self.log)
        return records

    def idle(self, now: int) -> list[Record]:
        """Let a second pass; what is entered is appended."""
        records = self.stage.idle(now)
        for record in records:
            assert (record.topic, record.partition) == (CANDIDATES, 0)
            self.append(((record.key or b"").decode(), record.value or b""))
        return records

    def tick(self, now: int) -> list[Record]:
        """Let a second pass; give what is entered but for the minute's beat."""
        return ticks_of(self.idle(now))

    def told(self) -> list[Record]:
        """Give what is on alerts.v1."""
        return [record for record in self.written if record.topic == ALERTS]

    def gates(self) -> list[GateChange]:
        """Give what is on gates.v1."""
        return [decode_change(record.value or b"") for record in self.written if record.topic == GATES]

    def contents(self) -> dict[str, set[bytes | None]]:
        """Give what was told under each id."""
        found: dict[str, set[bytes | None]] = {}
        for record in self.told():
            found.setdefault(header(record.headers, "ce_id"), set()).add(record.value)
        return found

    def replayed(self) -> dict[str, set[bytes | None]]:
        """Give what a replay of the recorded candidates tells."""
        wards, found = RecordedWards(0, self.gates()), dict[str, set[bytes | None]]()
        for item in self.log:
            for output in wards.take(item.offset, (item.key or b"").decode(), item.value or b""):
                if output.alert is not None:
                    found.setdefault(output.event_id, set()).add(output.alert)
        return found


def ticks_of(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if header(record.headers, "ce_type") == TICK_TYPE]


def words(records: Sequence[Record]) -> list[tuple[str, str]]:
    documents = [json.loads(record.value or b"") for record in records if record.topic == ALERTS]
    return [(one["alert_id"], one["disposition"]) for one in documents]


def two_at_once(live: Live) -> None:
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("W1", said("b", 1, "risk_threshold", 1)))
    assert words(live.work()) == [("a", "told"), ("b", "waiting")]


def room_of(live: Live) -> int:
    due = live.stage._fold.due()
    assert due is not None
    return due


def test_a_tick_is_entered_when_there_is_room_and_not_before() -> None:
    """Where something waits and nothing comes, one tick lets it be told, as a record of the log, without an offset."""
    live = Live()
    two_at_once(live)
    due = room_of(live)
    assert live.tick(due - 1) == []
    (tick,) = live.tick(due + 30_000)
    at = read_tick(tick.value or b"")
    assert due <= at <= due + 30_000
    assert at % TICK_MS == 0
    assert live.tick(due + 30_001) == []
    assert words(live.work()) == [("b", "told")]
    assert live.tick(due + 10 * OWED_MS) == []
    assert live.contents() == live.replayed()


def test_a_tick_that_does_not_come_back_is_entered_again() -> None:
    """One that was lost is entered once more after a while, under the id of its minute."""
    live = Live()
    two_at_once(live)
    due = room_of(live)
    (first,) = ticks_of(live.stage.idle(due))
    (again,) = ticks_of(live.stage.idle(due + OWED_MS))
    assert header(first.headers, "ce_id") == header(again.headers, "ce_id")


def test_no_tick_is_entered_where_it_would_tell_nothing() -> None:
    """None where nothing waits, none under the kill switch, none where a worker folds a log of the past."""
    empty, past = Live(), Live(ticks=False)
    assert empty.tick(START + 10**9) == []
    two_at_once(past)
    assert past.tick(room_of(past)) == []
    silenced = Live()
    two_at_once(silenced)
    silenced.put(KillSwitch(0, engaged=True))
    assert silenced.tick(room_of(silenced) + MINUTE) == []
    silenced.put(KillSwitch(0, engaged=False))
    assert len(silenced.tick(room_of(silenced) + MINUTE)) == 1


def test_a_decision_that_makes_room_is_heard_by_a_tick_also_behind_a_beat() -> None:
    """A beat is folded under the larger budget already: what waits is found to have room, and is told by a tick."""
    live = Live()
    two_at_once(live)
    live.decide(WardSettings(budget=9, flood_count=9))
    live.append(("", write_beat(START + MINUTE)))
    assert words(live.work()) == []
    assert len(live.tick(START + 2 * MINUTE)) == 1
    assert words(live.work()) == [("b", "told")]
    assert live.contents() == live.replayed()


def test_a_decision_that_makes_room_is_heard_by_a_tick() -> None:
    """A larger budget is in force from the next record on: a tick is entered for it at once, and it tells."""
    live = Live()
    two_at_once(live)
    live.decide(WardSettings(budget=5, flood_count=5))
    assert len(live.tick(START + 2 * MINUTE)) == 1
    assert words(live.work()) == [("b", "told")]
    assert live.contents() == live.replayed()
    assert [change.wards is None for change in live.gates()] == [False, False]


def test_before_anything_is_decided_the_defaults_stand_and_are_recorded() -> None:
    """A site that decides nothing has the default budget, and gates.v1 says from which record on."""
    live = Live(None)
    live.append(*((("W1", said(f"a{n}", 1, "risk_threshold", n))) for n in range(5)))
    assert [said_so for _alert, said_so in words(live.work())] == ["told"] * 3 + ["waiting"] * 2
    (change,) = live.gates()
    assert (change.position, change.sequence, change.closed) == (0, 0, False)
    assert json.loads(change.wards or "")["budget"] == WardSettings().budget
    live.append(("W1", said("z", 1, "risk_threshold", 9)))
    live.work()
    assert len(live.gates()) == 1


def test_settings_move_past_what_a_crash_left_told() -> None:
    """Who was killed between telling and noting had told under other settings: new ones stand past all of it."""
    live = Live(WardSettings(budget=9, flood_count=9))
    live.append(*((("W1", said(f"a{n}", 1, "risk_threshold", n))) for n in range(4)))
    live.work(commit=False)
    live.decide(ONE)
    live.begin()
    live.append(("W1", said("z", 1, "risk_threshold", 9)))
    live.work()
    assert {len(contents) for contents in live.contents().values()} == {1}
    assert words(live.told())[-1] == ("z", "waiting")
    assert live.contents() == live.replayed()


def test_a_configuration_that_cuts_the_models_voice_closes_the_gate() -> None:
    """`[guardrails] kill_switch` holds what is candidate already, as the kill switch does."""
    live = Live()
    chosen = Settings(wards=ONE)
    text = configuration_text(chosen).replace('"kill_switch":false', '"kill_switch":true')
    live.put(Configuration(0, "0" * 16, text))
    live.append(("W1", said("a", 1, "risk_threshold", 0)))
    assert words(live.work()) == [("a", "held")]


def test_a_configuration_that_nobody_can_read_leaves_the_one_before() -> None:
    """What this release cannot read changes nothing here."""
    live = Live()
    live.put(Configuration(0, "0" * 16, '{"moons":3}'))
    two_at_once(live)


def test_each_alert_says_who_is_to_hear_of_it() -> None:
    """The header names the subscribers that cover the ward, or the catch-all."""
    live = Live(WardSettings(subscribers={"pager": ("W1",), "audit": ("*",)}))
    live.append(("W1", said("a", 1, "risk_threshold", 0)), ("W2", said("b", 1, "risk_threshold", 0, "W2")))
    live.work()
    assert [header(record.headers, "ce_subscribers") for record in live.told()] == ["audit,pager", "audit"]
    board = Live()
    board.append(("W1", said("a", 1, "risk_threshold", 0)))
    board.work()
    assert [header(record.headers, "ce_subscribers") for record in board.told()] == ["board"]


CHANGES = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["tight", "roomy", "kill", "free"])), max_size=4)


@settings(max_examples=60, deadline=None)
@given(traffic(), CHANGES, *([st.sets(st.integers(0, 30), max_size=4)] * 3))
def test_a_run_over_kills_and_decisions_is_its_replay(
    records: list[Sent], changes: list[tuple[int, str]], cuts: set[int], kills: set[int], beats: set[int]
) -> None:
    """Stopped, killed after writing or overtaken by a decision anywhere: one content an id, and the replay has it.

    Beats between them change nothing of that.
    """
    live = Live(None)
    for number, sent in enumerate(records):
        for at, what in changes:
            if at == number:
                decided = {"tight": ONE, "roomy": WardSettings(budget=9, flood_count=9)}
                live.decide(decided[what]) if what in decided else live.put(KillSwitch(0, engaged=what == "kill"))
        live.append(*([("", write_beat(START))] if number in beats else []), sent)
        if number in kills:
            live.work(commit=False)
            live.begin()
        elif number in cuts:
            live.work()
            live.begin()
    live.work()
    assert {len(contents) for contents in live.contents().values()} <= {1}
    assert live.contents() == live.replayed()


def test_a_what_if_keeps_to_its_own_budget() -> None:
    """Candidates of another release wait under that release's settings."""
    wards = WhatIfWards(ONE)
    for number, alert in enumerate("ba"):
        wards.add(START + number, f"{number}", "W1", said(alert, 1, "risk_threshold", number))
    assert [output.queue for output in wards.tell()] == ["passes", "waits"]


@pytest.mark.parametrize("closed", [False, True])
def test_a_gate_and_settings_that_change_together_are_one_record(*, closed: bool) -> None:
    """What was decided between two records is in force together from the next one on."""
    live = Live(None)
    live.decide(ONE, kill_switch=closed)
    live.append(("W1", said("a", 1, "risk_threshold", 0)))
    live.work()
    (change,) = live.gates()
    assert (change.closed, change.sequence) == (closed, 1 + closed)
