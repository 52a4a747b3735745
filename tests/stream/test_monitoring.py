"""The monitoring in the hosts: the same signals whichever host folds the log, however the run is cut."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from alerts.monitoring import MONITOR_KEY, MonitoringSettings, Signal, encode_signal
from alerts.monitoring.feed import Feed
from connectors.sources import Arrival
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Carried, Envelope
from stream.fold import tick
from stream.hearing import Hearing
from stream.partition_fold import PartitionFold
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import ConfigurationError, Settings, configuration_text, parse_toml
from stream.simulation import arrivals_of, hospital_stream
from stream.states import STATE_FILE
from stream.view import WardView
from tests.stream.test_engine import Running

RELEASE = Release(Settings(), "test")
OUTAGE = (30, 33)
"""Hours in which nothing is sent."""


@pytest.fixture(scope="module")
def arrivals() -> list[Arrival]:
    """Give two days of a simulated hospital with an outage of three hours in it."""
    sent = list(arrivals_of(hospital_stream(seed=5, beds=24, hours=48), Settings()))
    begin = sent[0].received_time or 0
    out = range(begin + OUTAGE[0] * MILLIS_PER_HOUR, begin + OUTAGE[1] * MILLIS_PER_HOUR)
    return [one for one in sent if one.received_time not in out]


@pytest.fixture(scope="module")
def whole(arrivals: list[Arrival], tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedService]:
    """Give a service that heard all of it in one go."""
    service = EmbeddedService(tmp_path_factory.mktemp("whole"), RELEASE, {})
    service.accept(arrivals)
    yield service
    service.close()


def signals(service: EmbeddedService) -> list[bytes]:
    """Give the signals that a service put out, in their order."""
    return [content for kind, _id, content in service.outputs.outputs() if kind == "signals"]


def test_the_outage_is_told_and_cleared(whole: EmbeddedService) -> None:
    """The story is worth the comparisons below: a feed that fell silent, and patients who were overdue."""
    said = [json.loads(content) for content in signals(whole)]
    feed = [(one["state"], one["seq"]) for one in said if one["kind"] == "feed_silent"]
    assert feed == [("raised", 1), ("cleared", 2)]
    assert any(one["kind"] == "patient_silent" for one in said)


@pytest.mark.parametrize("cut", [1, 137, 250])
def test_a_run_cut_in_two_says_the_same_of_silence(
    cut: int, arrivals: list[Arrival], whole: EmbeddedService, tmp_path: Path
) -> None:
    """A service closed after any record and opened again says what one says that ran through."""
    assert cut < len(arrivals)
    for part in (arrivals[:cut], arrivals[cut:]):
        service = EmbeddedService(tmp_path, RELEASE, {})
        service.accept(part)
        said = signals(service)
        service.close()
    assert said == signals(whole)


def test_a_partition_folded_beside_the_hosts_says_the_same(whole: EmbeddedService) -> None:
    """What replays a log of the live service says what the embedded host said of the same records."""
    fold = PartitionFold(0, 1, {})
    said = [
        encode_signal(effect)
        for _offset, envelope in whole.journal.read()
        for effect in fold.fold(envelope)
        if type(effect) is Signal
    ]
    assert said == signals(whole)


def test_a_replay_writes_the_signals_and_their_own_digest(
    whole: EmbeddedService, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    """`signals.ndjson` holds what was put out; the clinical digest is that of the outputs without them."""
    done = cli("replay", f"journal:{whole._folder}", "--out", str(tmp_path), "--quiet")
    assert done.code == 0, done.err
    assert (tmp_path / "signals.ndjson").read_bytes().splitlines() == signals(whole)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["digest"] == whole.digest()
    assert summary["signals_digest"] != summary["digest"]


@pytest.mark.parametrize("spoil", [lambda _data: None, lambda data: data[:-2], lambda _data: b"\x93\x63\x00\xc4\x00"])
def test_without_its_state_no_clinical_output_differs(
    spoil: Callable[[bytes], bytes | None], arrivals: list[Arrival], whole: EmbeddedService, tmp_path: Path
) -> None:
    """Where the monitoring's state is missing, damaged or of another release, the digest of the rest is the same."""
    first = EmbeddedService(tmp_path, RELEASE, {})
    first.accept(arrivals[:150])
    first.close()
    spoil_state(tmp_path, spoil)
    second = EmbeddedService(tmp_path, RELEASE, {})
    second.accept(arrivals[150:])
    assert not list(tmp_path.glob(f"{STATE_FILE}.aside*"))
    assert second.digest() == whole.digest()
    second.close()


def spoil_state(folder: Path, spoil: Callable[[bytes], bytes | None]) -> None:
    """Alter the head of the monitoring in a folder's states, or take it away."""
    with closing(sqlite3.connect(folder / STATE_FILE)) as states, states:
        [[data]] = states.execute("select state from patient_state where key = ?", [MONITOR_KEY]).fetchall()
        spoilt = spoil(data)
        if spoilt is None:
            states.execute("delete from patient_state where key = ?", [MONITOR_KEY])
        else:
            states.execute("update patient_state set state = ? where key = ?", [spoilt, MONITOR_KEY])


def test_a_bug_in_the_monitoring_silences_no_patient(
    arrivals: list[Arrival], whole: EmbeddedService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it raises at every message, every clinical output is what it was, and one signal says that it fails."""

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Feed, "take", fail)
    service = EmbeddedService(tmp_path, RELEASE, {})
    service.accept(arrivals)
    assert service.digest() == whole.digest()
    assert [json.loads(one)["kind"] for one in signals(service)].count("monitor_failed") == 1
    service.close()


def test_a_patient_who_is_carried_into_another_log_is_watched_there(ward: Any) -> None:
    """Nothing is heard of him in the new log: he and his ward are overdue an interval and a grace after it began."""
    ward.admit("1")
    ward.chart("1", 5, ward.WELL)
    record = ward.service.host.shelf.find(ward.key("1")).encode()
    fold, begin = PartitionFold(0, 1, {}), ward.at(60)
    fold.fold(Envelope("c", ward.key("1"), begin, begin, (Carried(begin, record),)))
    said = [one for one in fold.fold(tick(ward.at(60 + 14 * 60))) if type(one) is Signal]
    told = {(one.kind, one.patient, one.since) for one in said}
    assert told == {("patient_silent", ward.key("1"), begin), ("ward_silent", "", begin)}


@pytest.mark.unfoldable
def test_a_record_that_cannot_be_folded_still_clears_a_silence(ward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the monitoring said of a record is put out though our code fails on the rest of it: `seq` has no gap."""
    ward.chart("1", 5, ward.WELL)
    ward.service.enter_tick(ward.at(200))
    ward.service.fold()

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ward.service.host.pipeline, "_take_in", fail)
    ward.chart("1", 210, ward.WELL)
    said = [one for one in ward.outputs("signals") if one["kind"] == "feed_silent"]
    assert [(one["state"], one["seq"]) for one in said] == [("raised", 1), ("cleared", 2)]
    assert ward.tally().unfoldable == 1


def test_the_defaults_leave_the_configurations_name_as_it_was() -> None:
    """A configuration that says nothing of the monitoring has the text, and so the hash, that it had before."""
    assert "monitoring" not in configuration_text(Settings())
    changed = Settings(monitoring=MonitoringSettings(unwatched_feeds=("CLINIC",)))
    assert "CLINIC" in configuration_text(changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[monitoring]\nfeed_silence_ms_max = 5", "feed_silence_ms_min"),
        ("[monitoring]\npatient_interval_high_ms = 30000000", "sicker"),
        ("[monitoring]\nwindow = 5", "unknown key"),
        ("[monitoring]\nfalse_alarm_digits = 40", "not within"),
        ("[monitoring]\nunit_readings = 0", "not positive"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_key(text: str, said: str) -> None:
    """What contradicts itself, or is no key, is refused at start, and the text says which."""
    with pytest.raises(ConfigurationError, match=said):
        parse_toml(text)


def test_the_board_and_the_feeds_show_what_stands(ward: Any) -> None:
    """A feed that fell silent stands on the board of its ward and beside its feed, also after a restart."""
    ward.admit("1")
    ward.chart("1", 5, ward.WELL)
    ward.service.enter_tick(ward.at(200))
    ward.service.fold()
    view = WardView(ward.service)
    shown = json.loads(view.patients(ward.at(200), "Ward A"))["signals"]
    assert {one["feed"] for one in shown if one["kind"] == "feed_silent"} == {"PAS|MAIN", "MONITOR|WARD"}
    assert json.loads(view.patients(ward.at(200), "Ward B"))["signals"] == [
        one for one in shown if one["feed"] == "PAS|MAIN" and not one["ward"]
    ]
    assert list(view.board.signals.by_feed()) == ["PAS|MAIN", "MONITOR|WARD"]


# -- the feed is silent, or we were not listening ----------------------------------------------------------------------


def story(folder: Path, tell: Callable[[Running], Any]) -> None:
    """Run one engine over a folder, and stop it."""

    async def whole_story() -> None:
        running = Running(folder)
        running.engine.start()
        try:
            async with asyncio.timeout(60):
                await tell(running)
        finally:
            await running.engine.stop()
            running.service.close()

    asyncio.run(whole_story())


def kinds(folder: Path) -> list[str]:
    """Give what was said of silence in a folder."""
    service = EmbeddedService(folder, RELEASE, {})
    said = [json.loads(content)["kind"] for content in signals(service)]
    service.close()
    return said


def test_a_service_that_was_stopped_calls_no_feed_silent_when_it_starts(tmp_path: Path) -> None:
    """Four hours in which nobody listened are ours: the first message after them raises and clears nothing."""

    async def before(running: Running) -> None:
        await running.put(running.arrival())

    async def after(running: Running) -> None:
        running.sent = 10
        running.time += 4 * 60 * MILLIS_PER_MINUTE
        await running.put(running.arrival())
        await running.engine.idle()

    story(tmp_path, before)
    story(tmp_path, after)
    assert kinds(tmp_path) == []


def test_a_feed_that_is_silent_while_we_listen_is_told(tmp_path: Path) -> None:
    """The same four hours while the service runs are the feed's."""

    async def whole_day(running: Running) -> None:
        await running.put(running.arrival())
        await running.engine.idle()
        running.time += 4 * 60 * MILLIS_PER_MINUTE
        await running.put(running.arrival(heart_rate=80.0))
        await running.engine.idle()

    story(tmp_path, whole_day)
    assert kinds(tmp_path) == ["feed_silent", "feed_silent"]


def test_what_a_closed_service_refused_is_no_silence(tmp_path: Path) -> None:
    """While a full disk closes it, feeds speak in vain; when it takes messages again none was silent."""

    async def closed(running: Running) -> None:
        await running.put(running.arrival())
        await running.engine.idle()
        running.engine.closed_for = "disk_full"
        running.time += 4 * 60 * MILLIS_PER_MINUTE
        with pytest.raises(Exception, match="disk_full"):
            await running.engine.offer([running.arrival(heart_rate=75.0)])
        running.engine.closed_for = None
        await running.put(running.arrival(heart_rate=80.0))
        await running.engine.idle()

    story(tmp_path, closed)
    assert kinds(tmp_path) == []


def test_a_batch_that_waited_long_for_the_disk_excuses_the_next() -> None:
    """After eleven seconds of waiting the next record is preceded by a tick that says so; after one there is none."""
    entered: list[tuple[int, bool]] = []

    class Log:
        def enter_tick(self, at: int, *, behind: bool = False) -> bool:
            entered.append((at, behind))
            return True

    hearing = Hearing(resumed=False)
    for seconds, at in ((1.0, 1), (11.0, 2), (0.1, 3)):
        hearing.took(seconds)
        hearing.resume(Log(), at)
    assert entered == [(2, True)]


def test_a_tick_that_cannot_be_stored_is_entered_later() -> None:
    """Where the disk refuses it the stretch is still excused by the next."""
    fails = [True, False]

    class Log:
        def enter_tick(self, at: int, *, behind: bool = False) -> bool:
            assert behind
            if fails.pop(0):
                raise OSError(at)
            return True

    hearing = Hearing(resumed=True)
    hearing.resume(Log(), 1)
    hearing.resume(Log(), 2)
    hearing.resume(Log(), 3)
    assert fails == []
