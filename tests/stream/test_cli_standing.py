"""`models hold / demote / restore`: on the folder of a stopped service, and what is refused.

On one that runs: test_embedded_decisions.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings

ALWAYS = 6.0
WHY = ("--reason", "calibration drifts", "--as", "safety-officer")


@pytest.fixture
def folder(new_ward: Callable[..., Any], constant_version: Callable[[float], Any]) -> Callable[[], Any]:
    """Give a maker of a ward whose model always speaks, with one patient charted; and the version."""

    def make() -> Any:
        ward = new_ward(version=constant_version(ALWAYS), enabled=True)
        ward.admit("1")
        ward.chart("1", 10, ward.WELL)
        return ward

    return make


def reopened(ward: Any, version: Any) -> Any:
    folder = ward.service._folder
    ward.service = EmbeddedService(
        folder, Release(Settings(), "test", version.version, enabled=True), {version.version: version}
    )
    return ward


def dispositions(ward: Any) -> list[str]:
    return [alert["disposition"] for alert in ward.alerts("1", "model")]


def test_held_demoted_and_restored_from_the_next_start_on(cli: Any, folder: Any, constant_version: Any) -> None:
    """Each command is one event in the log of a stopped service, with who and why, and counts when it starts again."""
    version, ward = constant_version(ALWAYS), folder()
    assert dispositions(ward) == ["told"]
    for minute, word, said in ((400, "hold", "held"), (800, "demote", "told"), (1100, "restore", "told")):
        before = len(dispositions(ward))
        ward.service.close()
        done = cli("models", word, version.version, *WHY, "--data-dir", ward.service._folder)
        assert done.code == 0, done.err
        assert "NEWS2's alerts are not touched" in done.out
        ward = reopened(ward, version)
        ward.chart("1", minute, ward.WELL)
        assert set(dispositions(ward)[before:]) == {said}, word
    states = [(alert["state"], alert["reason"]) for alert in ward.alerts("1", "model")]
    assert ("updated", "abstained") in states
    control = ward.service.host.pipeline.control
    assert control.standings == {}


def test_a_folder_whose_holder_takes_no_decisions_is_left_alone(
    cli: Any, folder: Any, constant_version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder that something else than a listening service has, the command says so, and changes nothing."""
    monkeypatch.setattr("stream.cli.folder.STARTED_WITHIN_S", 0.0)
    ward = folder()
    end = ward.service.journal.end()
    done = cli("models", "hold", constant_version(ALWAYS).version, *WHY, "--data-dir", ward.service._folder)
    assert done.code != 0
    assert "open in another process" in done.err
    assert ward.service.journal.end() == end


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hold", "0" * 12, *WHY), "--data-dir"),
        (("hold", "0" * 12, "--data-dir", "."), "--reason"),
        (("demote", "4f1c", *WHY, "--data-dir", "."), "12 digits"),
        (("restore", "none", *WHY, "--data-dir", "."), "12 digits"),
    ],
)
def test_what_is_not_whole_is_refused(cli: Any, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """No service, no reason, or half an id: refused in words that say what is wanted."""
    done = cli("models", *(tmp_path if each == "." else each for each in arguments))
    assert done.code != 0
    assert said in done.err
