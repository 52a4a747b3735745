"""A bug of ours at one patient's timer."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.book import AlertBook


@pytest.mark.unfoldable
def test_a_bug_at_one_patient_s_timer_silences_nobody_else(ward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those due before and after him in the same tick escalate; the one whose timer fails is counted, once."""
    for mrn in ("1", "2", "3"):
        ward.admit(mrn)
        ward.chart(mrn, 10, ward.SICK)
    real, ticked = AlertBook.tick, []

    def tick(book: AlertBook, *which: Any, **how: Any) -> Any:
        ticked.append(book.subject.patient)
        if ticked.index(book.subject.patient) == 1:  # Neither the first nor the last: both sides must be told.
            raise KeyError("a bug")
        return real(book, *which, **how)

    monkeypatch.setattr(AlertBook, "tick", tick)
    assert ward.service.enter_tick(ward.at(10 + 61))
    ward.service.fold()
    states = {ward.key(mrn): [one["state"] for one in ward.alerts(mrn, "news2_floor")] for mrn in ("1", "2", "3")}
    assert states.pop(ticked[1]) == ["raised"]
    assert list(states.values()) == [["raised", "escalated"]] * 2
    assert ward.tally().unfoldable == 1
