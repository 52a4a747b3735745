"""[ward] in the embedded host: a budget in a whole hospital's traffic, over restarts, silences, replays and faults."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alerts.configuration import AlertSettings
from alerts.contract import AlertEvent, from_json
from alerts.ward import EventWards
from alerts.ward_settings import WardSettings
from connectors.sources.arrival import Arrival
from connectors.sqlite.state_store import SqliteStateStore
from events import Envelope, KillSwitch, Location
from features.store import MemoryStateStore
from stream.control import Control
from stream.effects import Effect, Unfoldable
from stream.embedded_wards import WARD_PREFIX, WARDS_KEY, EmbeddedWards
from stream.fold import TICK_MS, fold_record
from stream.pipeline import Pipeline
from stream.records import RecordShelf
from stream.release import Release
from stream.replay import Replay
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream
from stream.states import STATE_FILE
from stream.tally import Tally
from stream.versions import load_versions
from stream.view import WardView
from tests.alerts.test_ward_budget import ONE, said
from tests.alerts.ward_traffic import START

BEDS, HOURS, SEED = 12, 16, 11
SHIPPED = next(iter(load_versions()[0].values()))
EAGER = msgspec.structs.replace(SHIPPED, weights=(0.0,) * len(SHIPPED.weights), intercept=2.0)
"""Says of every patient that he is likely to deteriorate, so that a small hospital fills a budget."""
VERSIONS = {EAGER.version: EAGER}


def eager(wards: WardSettings) -> Release:
    return Release(Settings(wards=wards), "test", EAGER.version, enabled=True)


TIGHT = eager(WardSettings(budget=2, flood_count=1, flood_minutes=30))
ROOMY = eager(WardSettings(budget=100, flood_count=100))


@pytest.fixture(scope="module")
def arrivals() -> list[Arrival]:
    return list(arrivals_of(hospital_stream(seed=SEED, beds=BEDS, hours=HOURS), Settings()))


def alerts_of(service: EmbeddedService) -> list[AlertEvent]:
    return [from_json(content) for kind, _name, content in service.outputs.outputs() if kind == "alerts"]


def run(folder: Path, release: Release, arrivals: Sequence[Arrival]) -> EmbeddedService:
    service = EmbeddedService(folder, release, VERSIONS)
    service.accept(arrivals)
    return service


def test_a_budgets_run_is_its_replay(tmp_path: Path, arrivals: list[Arrival]) -> None:
    """Of a hospital whose wards are past their budgets, alerts wait and are told; its journal replays to the same."""
    service = run(tmp_path / "live", TIGHT, arrivals)
    counts = Counter(event.disposition for event in alerts_of(service))
    told_later = sum(event.waited_ms is not None for event in alerts_of(service))
    assert counts["waiting"] > 5
    assert told_later > 1
    tally = service.host.pipeline.tally
    assert (tally.waited, tally.told_later) == (counts["waiting"], told_later)
    again = Replay(tmp_path / "again", Release(Settings(), "other"), VERSIONS)
    again.log((envelope for _offset, envelope in service.journal.read()), counts={})
    result = again.finish(0.0)
    assert result.digest == service.digest()
    assert result.summary["ward_budget"] == {"waited": tally.waited, "told_later": tally.told_later}


@pytest.mark.parametrize("cut", [5, 150])
def test_what_waits_outlives_a_restart(tmp_path: Path, arrivals: list[Arrival], cut: int) -> None:
    """A service that is stopped and started amid its waits says in the end what one says that ran through."""
    whole = run(tmp_path / "whole", TIGHT, arrivals)
    for number in range(0, len(arrivals), cut):
        parts = run(tmp_path / "parts", TIGHT, arrivals[number : number + cut])
        digest = parts.digest()
        parts.close()
    assert digest == whole.digest()


def test_below_its_budget_a_ward_is_told_what_it_was_told_without_one(tmp_path: Path, arrivals: list[Arrival]) -> None:
    """With room for all, every alert event has the bytes that the patients' folds gave it."""
    service = run(tmp_path, ROOMY, arrivals)
    control = Control(VERSIONS)
    pipeline = Pipeline(RecordShelf(MemoryStateStore(), control.catalogue), control)

    candidates = [
        effect
        for _offset, envelope in service.journal.read()
        for effect in fold_record(pipeline, envelope)
        if type(effect) is AlertEvent
    ]
    told = alerts_of(service)
    assert len(told) > 20
    assert [msgspec.structs.replace(one, former_ward=None) for one in candidates] == told


def test_the_floor_is_the_same_under_any_budget(tmp_path: Path, arrivals: list[Arrival]) -> None:
    """What NEWS2's floor tells of a hospital does not depend on the model's budget."""

    def floor(release: Release, name: str) -> list[AlertEvent]:
        told = alerts_of(run(tmp_path / name, release, arrivals))
        return [
            msgspec.structs.replace(event, configuration_hash="") for event in told if event.trigger == "news2_floor"
        ]

    tight = floor(TIGHT, "tight")
    assert tight
    assert tight == floor(ROOMY, "roomy")


def test_in_a_silence_a_tick_tells_what_waits(tmp_path: Path, arrivals: list[Arrival]) -> None:
    """Where nothing comes any more, time alone makes room: the host asks for a tick, and the tick tells."""
    service = run(tmp_path, TIGHT, arrivals)
    waits = _waiting(alerts_of(service))
    assert waits
    board = json.loads(WardView(service).open_alerts(0))["alerts"]
    shown = [one["waiting_place"] for one in board if one["disposition"] == "waiting"]
    assert sorted(shown)[0] == 1
    host = service.host
    due = host._wards.due()
    assert due is not None
    at = -(-due // TICK_MS) * TICK_MS
    assert host.tick_is_due(at)
    service.enter_tick(at)
    service.fold()
    later = [event for event in alerts_of(service) if event.waited_ms is not None and event.received_time == at]
    assert later
    assert {event.alert_id for event in later} <= set(waits)


def _waiting(events: Sequence[AlertEvent]) -> dict[str, AlertEvent]:
    newest = {event.alert_id: event for event in events}
    return {name: event for name, event in newest.items() if event.disposition == "waiting"}


# -- by hand ----------------------------------------------------------------------------------------------------------


class Desk:
    """The embedded wards over a control state, without patients."""

    def __init__(self) -> None:
        self.control = Control({})
        self.control.settings = Settings(wards=ONE)
        self.tally = Tally()
        self.wards = EmbeddedWards(self.control, self.tally)

    def tell(self, at: int, *contents: bytes) -> list[Effect]:
        """Take the events of one record; give what is carried out."""
        self.control.clock = START + at
        envelope = Envelope(f"record {at}", "", START + at, START + at, ())
        return list(self.wards.tell(envelope, [from_json(content) for content in contents]))


def test_an_event_that_passes_is_not_touched() -> None:
    """A passing event goes on as the object it is, and a record without alerts as the list it is."""
    desk = Desk()
    event = from_json(said("a", 1, "risk_threshold", 0))
    effects: list[Effect] = [event]
    envelope = Envelope("x", "", START, START, ())
    assert desk.wards.tell(envelope, effects)[0] is event
    nothing: list[Effect] = []
    assert desk.wards.tell(envelope, nothing) is nothing


def test_a_record_of_anybodys_lets_time_pass() -> None:
    """Whatever record comes after there is room, what waits is told with it."""
    desk = Desk()
    desk.tell(0, said("a", 1, "risk_threshold", 0))
    (waits,) = desk.tell(1, said("b", 1, "risk_threshold", 1))
    assert isinstance(waits, AlertEvent)
    assert waits.disposition == "waiting"
    due = desk.wards.due()
    assert due is not None
    assert desk.tell(due - 1 - START) == []
    (told,) = desk.tell(due - START)
    assert isinstance(told, AlertEvent)
    assert (told.alert_id, told.disposition, told.received_time) == ("b", "told", due)
    assert desk.wards.due() is None


def test_while_the_model_is_silenced_nothing_that_waits_is_told() -> None:
    """Under the kill switch time makes no room; released, what waits is told."""
    desk = Desk()
    desk.tell(0, said("a", 1, "risk_threshold", 0))
    desk.tell(1, said("b", 1, "risk_threshold", 1))
    desk.control.apply(KillSwitch(0, engaged=True))
    desk.control.settings = Settings(wards=ONE)
    assert (desk.wards.due(), desk.tell(48 * 3_600_000)) == (None, [])
    desk.control.apply(KillSwitch(0, engaged=False))
    assert len(desk.tell(48 * 3_600_000 + 1)) == 1


def test_a_bug_in_the_wards_fold_keeps_no_alert_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that our own code fails on goes out as it is, and the fault is told."""

    def fail(_self: Any, _event: Any) -> Any:
        raise KeyError("x")

    desk = Desk()
    monkeypatch.setattr(EventWards, "take", fail)
    content = said("a", 1, "risk_threshold", 0)
    event, fault = desk.tell(0, content)
    assert event == from_json(content)
    assert isinstance(fault, Unfoldable)
    assert fault.fault == "KeyError"


# -- patients who move ------------------------------------------------------------------------------------------------

PATIENT_ALERTS = AlertSettings(escalate_notify_ms=24 * 3_600_000)
SEVEN = 7 * 60
"""The minute at which a shift begins: the ward's first is midnight."""


@pytest.fixture
def two_wards(new_ward: Any) -> Any:
    """Give two wards, each with one patient whose alert was told and one whose alert waits; all by messages."""
    settings = Settings(wards=WardSettings(budget=1, flood_count=1), alerts=PATIENT_ALERTS)
    made = new_ward(settings=settings, version=EAGER, enabled=True)
    for number, (mrn, ward) in enumerate((("1", "Ward A"), ("2", "Ward A"), ("3", "Ward B"), ("4", "Ward B"))):
        made.admit(mrn, number, ward=ward)
        made.chart(mrn, number + 5, made.WELL)
    assert [heard(made, mrn) for mrn in "1234"] == [
        ["Ward A told"],
        ["Ward A waiting 1"],
        ["Ward B told"],
        ["Ward B waiting 1"],
    ]
    return made


def heard(ward: Any, mrn: str) -> list[str]:
    """Give what went out of a patient's model alert: ward, disposition, place."""
    return [
        " ".join(str(one[name]) for name in ("ward", "disposition", "waiting_place") if name in one)
        for one in ward.alerts(mrn, "model")
    ]


def test_two_waiting_patients_swap_wards(two_wards: Any) -> None:
    """By two ADT^A02 each alert leaves one queue for the other, and in the next shift each ward is told of its own."""
    two_wards.adt("A02", "2", 20, ward="Ward B")
    two_wards.adt("A02", "4", 20, ward="Ward A")
    assert heard(two_wards, "2") == ["Ward A waiting 1", "Ward B waiting 2"]
    assert heard(two_wards, "4") == ["Ward B waiting 1", "Ward A waiting 1"]
    two_wards.pass_time(SEVEN)
    assert heard(two_wards, "2")[-1] == "Ward B told"
    assert heard(two_wards, "4")[-1] == "Ward A told"
    assert [len(heard(two_wards, mrn)) for mrn in "24"] == [3, 3]


def test_a_told_alert_that_moves_is_the_new_wards_first_word(two_wards: Any) -> None:
    """An open alert comes to a ward whose budget is spent: it waits there, behind the one that waits already."""
    two_wards.adt("A02", "1", 20, ward="Ward B")
    assert heard(two_wards, "1") == ["Ward A told", "Ward B waiting 2"]
    two_wards.pass_time(SEVEN)
    assert heard(two_wards, "4")[-1] == "Ward B told"
    assert heard(two_wards, "1")[-1] == "Ward B waiting 2"


def test_a_waiting_patient_who_goes_home_is_told_of_no_more(two_wards: Any) -> None:
    """The end of a stay ends the wait: the ending is the board's, for nobody was told, and no shift tells the alert."""
    two_wards.adt("A03", "2", 20)
    two_wards.pass_time(SEVEN)
    assert heard(two_wards, "2") == ["Ward A waiting 1", "Ward A board"]
    assert two_wards.alerts("2", "model")[-1]["state"] == "expired"


def test_who_waits_for_an_hour_is_told_by_escalation(new_ward: Any) -> None:
    """With the default timers nothing waits unheard for longer than the model's own answer time."""
    made = new_ward(settings=Settings(wards=WardSettings(budget=1, flood_count=1)), version=EAGER, enabled=True)
    for number, mrn in enumerate("12"):
        made.admit(mrn, number, ward="Ward A")
        made.chart(mrn, number + 5, made.WELL)
    made.pass_time(67)
    last = made.alerts("2", "model")[-1]
    assert (last["state"], last["disposition"]) == ("escalated", "told")


def test_a_bed_of_the_same_ward_keeps_the_place(two_wards: Any) -> None:
    """Another bed changes neither the queue nor what is told of an alert that was told."""
    for mrn in "12":
        two_wards.adt("A02", mrn, 20, location=Location("Ward A", "2", f"{mrn}9"))
    assert heard(two_wards, "1") == ["Ward A told", "Ward A told"]
    assert heard(two_wards, "2") == ["Ward A waiting 1", "Ward A waiting 1"]


# -- the stored form --------------------------------------------------------------------------------------------------


def wards_of(service: EmbeddedService) -> dict[str, bytes]:
    """Give the fold's records as they lie in the store."""
    return {key: data for key, data in service.host._store.items() if key.startswith(WARDS_KEY)}


def test_a_checkpoint_stores_the_wards_that_something_came_for(two_wards: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the other wards nothing is encoded; what a store that failed did not take is stored by the next checkpoint."""
    host = two_wards.service.host
    host.checkpoint()
    before = wards_of(two_wards.service)
    assert {"~wards/w/Ward A", "~wards/w/Ward B", "~wards/~fold"} <= before.keys()

    def fail(*_arguments: Any) -> None:
        raise OSError("full")

    two_wards.chart("1", 30, two_wards.SICK)
    with monkeypatch.context() as broken:
        broken.setattr(host._store, "commit", fail)
        with pytest.raises(OSError, match="full"):
            host.checkpoint()
    changes = host._wards.take_changes()
    assert "~wards/w/Ward A" in changes
    assert "~wards/w/Ward B" not in changes
    host._wards.put_back(changes)
    host.checkpoint()
    after = wards_of(two_wards.service)
    assert {key for key in after.keys() | before.keys() if after.get(key) != before.get(key)} == changes.keys()
    assert host._wards.take_changes() == {}


def test_one_record_of_an_earlier_release_is_read_and_goes(two_wards: Any) -> None:
    """The whole fold under one key is taken over, and lies ward by ward once states are stored again."""
    service = two_wards.service
    folder, release = service._folder, two_wards.release
    service.close()
    with SqliteStateStore(folder / STATE_FILE) as store:
        parts = {key: data for key, data in store.items() if key.startswith(WARD_PREFIX)}
        whole = msgspec.msgpack.encode({key.removeprefix(WARD_PREFIX): data for key, data in parts.items()})
        gone = dict.fromkeys(parts, None)
        store.commit(store.acquire_epoch(), {**gone, WARDS_KEY: whole}, store.watermark())
    again = EmbeddedService(folder, release, VERSIONS)
    again.host.checkpoint()
    assert wards_of(again) == parts
    two_wards.service = again
    two_wards.pass_time(SEVEN + 1)
    assert heard(two_wards, "2")[-1] == "Ward A told"
