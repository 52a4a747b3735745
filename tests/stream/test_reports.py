"""What the listeners tell is counted, and what anybody can cause without end is no line each."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from connectors.acts.audit import ActNote
from connectors.http.ports import Condition
from stream.feeds import Feeds
from stream.logs import set_up_logs
from stream.metrics import IntakeMetrics
from stream.reports import UNKNOWN_EVERY_S, Reports

NOBODYS = ActNote("refused", "unauthorised")


class Told:
    """Reports with a log and a clock that a test can look at and set."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self._logged = io.StringIO()
        self.metrics = IntakeMetrics(Feeds(), "test")
        self.reports = Reports(self.metrics, set_up_logs("info", self._logged), lambda: self.at_s)

    def lines(self) -> list[dict[str, Any]]:
        """Give what was logged, without times and levels."""
        lines = [json.loads(line) for line in self._logged.getvalue().splitlines()]
        return [{key: one for key, one in line.items() if key not in ("timestamp", "level", "time")} for line in lines]

    def count(self) -> float | None:
        """Give how many acts of nobody we know were counted."""
        labels = {"kind": "", "outcome": "refused", "reason": "unauthorised"}
        return self.metrics.registry.get_sample_value("wardstream_acts_total", labels)


@pytest.fixture
def told() -> Told:
    return Told()


def test_unknown_tokens_are_one_line_a_minute_and_all_counted(told: Told) -> None:
    """A thousand requests of nobody we know are a line at once and one a minute later with the count of the others,
    whether or not any more come; each is counted.
    """
    for _ in range(1_000):
        told.reports.act(NOBODYS)
    told.at_s = UNKNOWN_EVERY_S - 1
    told.reports.act(NOBODYS)
    told.reports.http("unauthorized")
    told.reports.readiness(Condition(well=True))
    assert told.lines() == [{"event": "unknown_token", "act": 1}]
    told.at_s = UNKNOWN_EVERY_S
    told.reports.readiness(Condition(well=True))
    told.reports.readiness(Condition(well=True))
    assert told.lines()[1:] == [{"event": "unknown_token", "act": 1_000, "read": 1}]
    assert told.count() == 1_001


def test_what_somebody_known_does_is_a_line_each(told: Told) -> None:
    """It must be known later who was let in and who was not: nothing of that is counted together."""
    for _ in range(2):
        told.reports.act(ActNote("refused", "not_entitled", "limit", "n1", "nurse", "r"))
    assert [(line["event"], line["actor"]) for line in told.lines()] == [("act", "n1"), ("act", "n1")]
