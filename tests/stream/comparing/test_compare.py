"""Two replays side by side: what appeared, vanished or moved is named, with the reason that the outputs give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stream.conftest import SICK, WELL, Done, Ward

Replay = Callable[..., Path]


@pytest.fixture
def replay(cli: Callable[..., Done], tmp_path: Path) -> Replay:
    """Give what replays messages into a folder of its own."""

    def run(name: str, messages: list[bytes], *options: object) -> Path:
        source = tmp_path / name / "feed.hl7"
        source.parent.mkdir()
        source.write_bytes(b"\r".join(messages))
        done = cli("replay", source, "--out", tmp_path / f"{name}-out", *options)
        assert done.code in {0, 3}, done.err
        return tmp_path / f"{name}-out"

    return run


@pytest.fixture
def night(ward: Ward) -> list[bytes]:
    """Give a patient's night: well at first, very sick after an hour, and again."""
    ward.admit("1")
    for minute, values in ((10, WELL), (70, SICK), (100, SICK)):
        ward.chart("1", minute, values)
    return ward.sent


def compared(cli: Callable[..., Done], first: Path, second: Path) -> dict[str, Any]:
    """Give the report, as a program has it."""
    done = cli("compare", first, second, "--json", "-")
    assert done.code == 0, done.err
    report: dict[str, Any] = json.loads(done.out)
    return report


def test_a_replay_is_the_same_as_itself(cli: Callable[..., Done], replay: Replay, night: list[bytes]) -> None:
    """Nothing differs, to the terminal, to a program and to a script."""
    first, second = replay("a", night), replay("b", night)
    done = cli("compare", first, second, "--strict")
    assert (done.code, done.err) == (0, "")
    assert "1 same, 0 appeared, 0 vanished, 0 moved, 0 changed" in done.out
    assert "bit for bit" in done.out
    report = compared(cli, first, second)
    assert (report["identical"], report["differences"], report["versions"]) == (True, [], {})


def test_whose_messages_are_refused_hears_of_nothing_and_why(
    cli: Callable[..., Done], replay: Replay, night: list[bytes]
) -> None:
    """The alert has vanished; read the other way it has appeared: both for the message that was refused."""
    broken = [night[0], night[1], *(message.replace(b"|20260101", b"|20269999") for message in night[2:])]
    first, second = replay("a", night), replay("b", broken)
    done = cli("compare", first, second, "--strict")
    assert done.code == 3
    assert "1 vanished" in done.out
    assert "vanished" in done.out
    [gone] = compared(cli, first, second)["differences"]
    assert (gone["kind"], gone["trigger"], gone["second"], gone["moved_s"]) == ("vanished", "news2_floor", None, None)
    assert gone["why"].startswith("second: the message was refused, invalid_time at ")
    [come] = compared(cli, second, first)["differences"]
    assert (come["kind"], come["first"]) == ("appeared", None)
    assert come["why"].startswith("first: the message was refused, invalid_time at ")
    assert (come["second"]["ward"], come["second"]["priority"]) == ("Ward A", "interrupt")


def test_a_parameter_that_is_not_read_is_named(cli: Callable[..., Done], replay: Replay, night: list[bytes]) -> None:
    """Where units cannot be read the total falls: which sub-scores, and what they are in either run."""
    unread = [
        night[0],
        night[1],
        *(one.replace(b"/min", b"furlong").replace(b"mm[Hg]", b"furlong") for one in night[2:]),
    ]
    [changed] = compared(cli, replay("a", night), replay("b", unread))["differences"]
    assert changed["kind"] == "changed"
    graver, _, sub_scores = changed["why"].partition("; ")
    assert graver == "priority interrupt -> notify, ends escalated -> raised"
    assert sub_scores.startswith("NEWS2 12 in the first, 3 in the second: respiration rate 3 / ")
    assert "systolic bp 3 / " in sub_scores
    assert "spo2" not in sub_scores


def test_an_alert_that_is_told_later_has_moved(cli: Callable[..., Done], replay: Replay, night: list[bytes]) -> None:
    """Without the first sick chart it is told by the second: half an hour later."""
    [one] = compared(cli, replay("a", night), replay("b", [*night[:2], night[3]]))["differences"]
    assert (one["kind"], one["moved_s"]) == ("moved", 30 * 60)
    assert one["why"] == "second: nothing was scored at that moment"


def test_a_version_that_may_speak_is_heard(cli: Callable[..., Done], tmp_path: Path) -> None:
    """In shadow nobody hears it: enabled, its alert has appeared, and the report names what the runs were made with."""
    source = tmp_path / "hospital.hl7"
    assert cli("simulate", source, "--beds", 30, "--hours", 24, "--seed", 5).code == 0
    for name, options in (("shadow", ()), ("enabled", ("--enabled",))):
        assert cli("replay", source, "--out", tmp_path / name, *options).code == 0
    report = compared(cli, tmp_path / "shadow", tmp_path / "enabled")
    assert report["versions"] == {"model_enabled": [False, True]}
    assert [(one["kind"], one["trigger"], one["why"]) for one in report["differences"]] == [
        ("appeared", "model", "first: the version is in shadow")
    ]
    assert report["counts"]["same"] > 5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "write one with `wardstream replay"),
        (lambda folder: (folder / "summary.json").write_text("[]"), "is not of this release"),
        (lambda folder: (folder / "alerts.ndjson").write_text('{"alert_id": 7}\n'), "alerts.ndjson line 1 is none"),
        (lambda folder: (folder / "scores.ndjson").write_bytes(b"\xff\n"), "scores.ndjson line 1 is none"),
        (lambda folder: (folder / "alerts.ndjson").unlink(), "alerts.ndjson cannot be read"),
    ],
)
def test_a_folder_that_is_no_replay_is_told(
    cli: Callable[..., Done], replay: Replay, night: list[bytes], spoil: Callable[[Path], object], said: str
) -> None:
    """With its name and what to do; no line of it is quoted."""
    first, second = replay("a", night), replay("b", night[:2])
    spoil(second)
    done = cli("compare", first, second)
    assert done.code == 2
    assert said in done.err.replace("\n", " ")


def test_runs_of_other_patients_are_not_compared(
    cli: Callable[..., Done], replay: Replay, night: list[bytes], ward: Ward
) -> None:
    """Other pseudonyms, or another source: every alert would have vanished, and none would have."""
    first = replay("a", night)
    ward.sent = []
    ward.admit("2", 200)
    ward.chart("2", 270, SICK)
    done = cli("compare", first, replay("b", ward.sent))
    assert done.code == 2
    assert "no patient in common" in done.err
