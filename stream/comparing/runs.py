"""What a replay wrote, read back as far as a comparison needs it.

Owns the files of a replay's folder and one alert's life as a ward heard it. Must not know another run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from events import Millis, from_iso
from guardrails.verdict import Verdict
from stream.board import GRAVITY

ALERTS, SCORES, LETTERS, SUMMARY = "alerts.ndjson", "scores.ndjson", "dead_letters.ndjson", "summary.json"
LINE_BYTES_MAX = 1 << 20
"""Many times the longest that we write."""

Line = TypeVar("Line")


class RunError(ValueError):
    """A folder is not what a replay writes: the text names it and what to do."""


class Life(msgspec.Struct, frozen=True):
    """One alert in one run, from its first event to its last."""

    alert_id: str
    patient: str
    trigger: str
    ward: str
    bed: str
    raised: Millis
    told: Millis | None
    """When its ward first heard of it; None where it never did."""
    silence: str
    """The disposition of its first event that was not told; empty where every one was."""
    priority: str
    """The gravest that was told, else the gravest."""
    end: str
    """The state of its last event."""


class ScoreLine(msgspec.Struct, frozen=True):
    """What is read of a line of `scores.ndjson`."""

    patient: str
    received_time: str
    source: str
    news2: dict[str, object]
    probability: float | None
    verdicts: tuple[Verdict, ...]
    model: str


class LetterLine(msgspec.Struct, frozen=True):
    """What is read of a line of `dead_letters.ndjson`."""

    source: str = ""
    reason: str = ""
    fault: str = ""


class _Event(msgspec.Struct, frozen=True):
    alert_id: str
    seq: int
    patient: str
    trigger: Literal["news2_floor", "model"]
    ward: str
    bed: str
    received_time: str
    disposition: str
    priority: str
    state: str


class _Summary(msgspec.Struct, frozen=True):
    messages: int
    accepted: int
    dead_letters: int
    patients: int
    scores: int
    alerts_per_patient_day: float | None
    digest: str
    versions: dict[str, object]


class Run(NamedTuple):
    """One replay."""

    folder: Path
    summary: _Summary
    alerts: dict[str, Life]
    """By `alert_id`."""
    patients: frozenset[str]
    """Whom any alert names."""


def read_run(folder: Path, progress: Callable[[int], None] = lambda _bytes: None) -> Run:
    """Read a replay's summary and alerts; raises `RunError`."""
    summary = _summary(folder)
    alerts: dict[str, Life] = {}
    for event in read_lines(folder / ALERTS, _Event, progress):
        alerts[event.alert_id] = _lived(alerts.get(event.alert_id), event)
    return Run(folder, summary, alerts, frozenset(one.patient for one in alerts.values()))


def _summary(folder: Path) -> _Summary:
    try:
        return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=_Summary)
    except OSError:
        raise RunError(
            f"{folder} holds no replay ({SUMMARY} cannot be read): write one with `wardstream replay SOURCE --out DIR`"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RunError(f"{folder / SUMMARY} is not of this release: replay the source again") from None


def _lived(before: Life | None, event: _Event) -> Life:
    at, told = from_iso(event.received_time), event.disposition == "told"
    if before is None:
        return Life(
            event.alert_id, event.patient, event.trigger, event.ward, event.bed, at, at if told else None,
            "" if told else event.disposition, event.priority, event.state,
        )  # fmt: skip
    priority = before.priority
    if told and (before.told is None or GRAVITY[event.priority] > GRAVITY[priority]):
        priority = event.priority
    return msgspec.structs.replace(
        before,
        told=at if before.told is None and told else before.told,
        silence=before.silence or ("" if told else event.disposition),
        priority=priority,
        end=event.state,
    )


def read_lines(path: Path, of: type[Line], progress: Callable[[int], None] = lambda _bytes: None) -> Iterator[Line]:
    """Give each line as `of`; `progress` hears of the bytes read. Raises `RunError` with the line that is none."""
    decode = msgspec.json.Decoder(of).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX), b""), 1):
                progress(len(line))
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    raise RunError(f"{path} line {number} is none of this release: replay the source again") from None
    except OSError as fault:
        raise RunError(f"{path} cannot be read ({fault.strerror}): replay the source again") from None
