"""The board of a folder that is opened again: after a kill -9, and where what was put out is of another model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.version import ModelVersion
from stream.service import EmbeddedService
from stream.view import WardView

CERTAIN = 5.0
"""A logit far above every threshold."""


def contents(view: WardView, now: int) -> tuple[Any, Any]:
    """Give the patients, by their keys, and the open alerts, in the order shown."""
    patients = json.loads(view.patients(now))["patients"]
    return {one["patient"]: one for one in patients}, json.loads(view.open_alerts(now))["alerts"]


def shown(service: EmbeddedService, now: int) -> tuple[Any, Any]:
    """Give what a new board shows."""
    return contents(WardView(service), now)


def test_a_killed_service_s_board_shows_whom_it_showed(ward: Any, tmp_path: Path) -> None:
    """What a kill -9 leaves, no states stored yet, opens with the same patients, scores and open alerts."""
    view = WardView(ward.service)
    for minute, values in ((10, ward.SICK), (11, ward.WELL), (12, ward.SICK)):
        ward.admit(str(minute), minute - 1)
        ward.chart(str(minute), minute, values)
    now = ward.at(13)
    patients, alerts = contents(view, now)
    assert (len(patients), len(alerts)) == (3, 2)
    shutil.copytree(ward.service.journal.path.parent, tmp_path / "left")
    again = EmbeddedService(tmp_path / "left", ward.release, {})
    assert shown(again, now) == (patients, alerts)
    again.close()


def test_an_alert_that_the_fold_does_not_hold_open_is_not_shown_as_open(
    new_ward: Callable[..., Any], constant_version: Callable[[float], ModelVersion], tmp_path: Path
) -> None:
    """Folded anew without its model, the service shows no alert of that model as open, for nothing would ever end it;
    the floor's alert, which it holds, is shown.
    """
    ward = new_ward(version=constant_version(CERTAIN), enabled=True)
    ward.admit("1")
    ward.chart("1", 10, {**ward.SICK, "lactate": 2.0, "sodium": 140.0})
    now = ward.at(11)
    ward.service.host.checkpoint()
    before = {alert["trigger"] for alert in shown(ward.service, now)[1]}
    assert before == {"news2_floor", "model"}
    folder = ward.service.journal.path.parent
    ward.service.close()
    for path in folder.glob("state.db*"):
        path.unlink()
    again = EmbeddedService(folder, ward.release, {})
    again.host.checkpoint()
    assert [alert["trigger"] for alert in shown(again, now)[1]] == ["news2_floor"]
    again.close()
