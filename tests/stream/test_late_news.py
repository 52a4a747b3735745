"""Late news on the embedded host: by the log's clock, whatever comes or does not come meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.decoded import Identifier
from events import KillSwitch
from guardrails.late import LATE_HELD_MS
from stream.service import EmbeddedService

CAME = 200
"""The minute at which an emergency of minute 20 comes."""
SECOND = 1 / 60


@pytest.fixture
def late(ward: Any) -> Any:
    """Give a ward on which an emergency of three hours ago has just come, and is on the board."""
    ward.admit("1")
    ward.chart("1", CAME, ward.SICK, observed=20)
    assert told(ward) == [("raised band_rise", "board")]
    return ward


def told(ward: Any, mrn: str = "1") -> list[tuple[str, str]]:
    """Give what was said of a patient, and how loudly."""
    return [(f"{alert['state']} {alert['reason']}", alert["disposition"]) for alert in ward.alerts(mrn, "news2_floor")]


STANDS = [("raised band_rise", "board"), ("updated late_stands", "told")]


def test_the_next_record_past_its_time_tells_it_first(late: Any) -> None:
    """No tick came: a record of somebody else, two hours on, has it told as of the minute it was due."""
    late.pass_time(CAME + 120)
    raised, stands = late.alerts("1", "news2_floor")[:2]
    assert told(late)[:2] == STANDS
    assert stands["received_time"] == raised["received_time"].replace("03:20", "03:21")
    assert stands["age_ms"] == raised["age_ms"] + LATE_HELD_MS


@pytest.mark.parametrize("seconds", [1, 30, 59])
def test_less_than_two_minutes_wherever_in_the_minute_it_came(ward: Any, seconds: int) -> None:
    """Between one and two minutes after it came, on the whole minute."""
    ward.admit("1")
    ward.chart("1", CAME + seconds * SECOND, ward.SICK, observed=20)
    ward.pass_time(CAME + 10)
    waited = [alert["age_ms"] for alert in ward.alerts("1", "news2_floor")]
    assert LATE_HELD_MS <= waited[1] - waited[0] < 2 * LATE_HELD_MS


def test_a_host_has_a_tick_entered_for_it(late: Any) -> None:
    """Where nothing comes at all the host knows that a tick is due, at the minute and not before."""
    host = late.service.host
    assert not host.tick_is_due(late.at(CAME + 1) - 1)
    assert host.tick_is_due(late.at(CAME + 1))
    assert late.service.enter_tick(late.at(CAME + 1))
    late.service.fold()
    assert told(late) == STANDS


def test_a_queue_in_order_pages_nobody(late: Any) -> None:
    """The queue's next messages are normal and newer: nothing is told, then or after the minute."""
    late.chart("1", CAME + SECOND, late.WELL, observed=100)
    late.chart("1", CAME + 2 * SECOND, late.WELL, observed=199)
    late.pass_time(CAME + 60)
    assert {loudness for _, loudness in told(late)} == {"board"}
    assert told(late)[-1] == ("resolved calm", "board")


def test_it_is_told_after_a_restart(late: Any, tmp_path: Any) -> None:
    """Stored while it waits, and opened again: told as of the same minute."""
    late.service.host.checkpoint()
    late.service.close()
    folder = next(tmp_path.glob("ward-*"))
    late.service = EmbeddedService(folder, late.release, {})
    late.pass_time(CAME + 5)
    assert told(late)[:2] == STANDS


def test_a_merge_within_the_minute_tells_it_under_the_one_who_remains(late: Any) -> None:
    """What waited is taken back on the board, and raised aloud at once: what is known is no flood."""
    late.admit("2", CAME + SECOND)
    late.adt("A40", "2", CAME + 10 * SECOND, retired=Identifier("MRN", "1"))
    late.pass_time(CAME + 5)
    assert told(late) == [("raised band_rise", "board"), ("retracted merge", "board")]
    (raised,) = late.alerts("2", "news2_floor")
    assert (raised["reason"], raised["disposition"], raised["late"]) == ("band_rise", "told", True)


def test_what_the_kill_switch_silences_is_not_this(late: Any) -> None:
    """Thrown within the minute, the switch leaves the telling as it is."""
    late.enter(KillSwitch(late.at(CAME + SECOND), engaged=True), CAME + SECOND)
    late.pass_time(CAME + 5)
    assert told(late) == STANDS


def test_a_correction_within_the_minute_leaves_nothing_to_tell(late: Any) -> None:
    """The values were wrong and are corrected: taken back on the board, and never told."""
    late.chart("1", CAME + 10 * SECOND, late.WELL, observed=20, status="C")
    late.pass_time(CAME + 60)
    assert told(late) == [("raised band_rise", "board"), ("retracted correction", "board")]
