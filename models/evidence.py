"""Evidence on a challenger: the figures on which change control decides, as one document named by its content.

Owns the document's shape, its checks and its digest. Must not know how the figures were computed
(models/weighing.py) nor what they come to (models/change_control.py). Everything in it is a count or a figure over many
patients: nothing of any one.
"""

from __future__ import annotations

import math
import re
from hashlib import sha256

import msgspec

from events import Millis

EVIDENCE_BYTES_MAX = 1024 * 1024
"""Some kilobytes are usual: 64 subgroups and 64 stretches of a hundred bytes each."""
SUBGROUPS_MAX = 200
STRETCHES_MAX = 200
ROUNDS_MIN = 100
"""Draws below which an interval's ends are its few extremes; of a single draw it has no width, and rules out all."""
EVIDENCE_FORMAT = 1


class EvidenceError(ValueError):
    """No evidence that this release reads, or figures that cannot be; the operator's, who named the file."""


class Paired(msgspec.Struct, frozen=True):
    """A figure of both versions on the same rows; the interval is of their difference, drawn by patient."""

    champion: float
    challenger: float
    difference: float
    low: float
    high: float


class Calibration(msgspec.Struct, frozen=True):
    """How well a version's probabilities keep what they promise."""

    slope: float
    calibration_error: float
    brier_skill: float
    """Over always answering the base rate: 1 - Brier / Brier of that."""


class Subgroup(msgspec.Struct, frozen=True):
    """Sensitivity by row at the declared threshold, in one group of one dimension (`sex`, `F`)."""

    dimension: str
    group: str
    rows: int
    positive_patients: int
    sensitivity: Paired | None = None
    """None where no row of it is positive, or too few to draw from."""


class Stretch(msgspec.Struct, frozen=True):
    """A part of the evidence in the order in which its labels came."""

    first_matured: Millis
    last_matured: Millis
    rows: int
    positives: int
    positive_patients: int
    champion_auroc: float | None = None
    """How the champion ranks these labels: it learned none of them. None where there is one class only."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a challenger did beside the champion on rows that it had not learned."""

    champion: str
    """Version ids; the champion may be `news2`, where no version was in force."""
    challenger: str
    source: str
    """The data, in words."""
    data_digest: str
    """SHA-256, in hexadecimal, of the rows with their labels."""
    first_time: Millis
    last_time: Millis
    """Of the rows scored."""
    first_matured: Millis
    """When the first of their labels was known."""
    rows: int
    positives: int
    patients: int
    positive_patients: int
    raise_at: float
    clear_at: float
    """The declared levels at which alerts and sensitivity are counted."""
    auroc: Paired
    average_precision: Paired
    champion_calibration: Calibration | None = None
    """None where the champion gives no probabilities, as NEWS2."""
    calibration: Calibration
    """The challenger's."""
    champion_alerts_per_patient_day: float
    alerts_per_patient_day: float
    flips: float
    """Share of the rows at which one of the two would alert and the other would not."""
    subgroups: tuple[Subgroup, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    usual_rate: float
    """The share of positives that history has: of what the champion learned, or before the evidence."""
    usual_auroc: float | None = None
    """How the champion ranked before the evidence, where that is known."""
    rounds: int
    seed: int
    """Of the bootstrap: the same rows, rounds and seed give the same intervals."""
    format: int = EVIDENCE_FORMAT

    @property
    def days(self) -> float:
        """How long the rows run, in days."""
        return (self.last_time - self.first_time) / 86_400_000


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Evidence)


def dump_evidence(evidence: Evidence) -> bytes:
    """Write evidence as canonical JSON."""
    return _encoder.encode(evidence)


def evidence_digest(evidence: Evidence) -> str:
    """Name evidence by its content: 64 hexadecimal digits."""
    return sha256(dump_evidence(evidence)).hexdigest()


def load_evidence(data: bytes) -> Evidence:
    """Read and check what `dump_evidence` wrote, or a document that has it under `change_control`.

    Raises `EvidenceError`.

    >>> load_evidence(b"[]")
    Traceback (most recent call last):
    ...
    models.evidence.EvidenceError: no evidence: Expected `object`, got `array`
    """
    if len(data) > EVIDENCE_BYTES_MAX:
        raise EvidenceError(f"{len(data)} bytes, more than {EVIDENCE_BYTES_MAX}")
    try:
        within = msgspec.json.decode(data, type=_Holder).change_control
        found = _decoder.decode(within if bytes(within) else data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"no evidence: {error}") from None
    problem = _problem_of(found)
    if problem:
        raise EvidenceError(f"impossible evidence: {problem}")
    return found


class _Holder(msgspec.Struct, frozen=True):
    change_control: msgspec.Raw = msgspec.Raw()


def _problem_of(found: Evidence) -> str:
    """Say what cannot be; nothing where all can."""
    if not _all_finite(msgspec.to_builtins(found)):
        return "a figure is not finite"
    pairs = [found.auroc, found.average_precision, *(one.sensitivity for one in found.subgroups if one.sensitivity)]
    shares = (found.flips, found.usual_rate, found.calibration.calibration_error, found.usual_auroc or 0.0)
    parts = (sum(one.rows for one in found.stretches), sum(one.positives for one in found.stretches))
    checks = (
        (found.format == EVIDENCE_FORMAT, f"format {found.format}, this release reads {EVIDENCE_FORMAT}"),
        (len(found.subgroups) <= SUBGROUPS_MAX, "too many subgroups"),
        (len(found.stretches) <= STRETCHES_MAX, "too many stretches"),
        (0 < found.positives < found.rows, "one class is missing"),
        (0 < found.positive_patients <= found.patients <= found.rows, "the counts contradict each other"),
        (found.first_time <= found.last_time and found.first_time <= found.first_matured, "the times go backwards"),
        (
            0 < found.clear_at <= found.raise_at < 1,
            "the levels are no probabilities, or it would clear as it is raised",
        ),
        (all(_is_whole(pair) for pair in pairs), "a figure lies outside 0 and 1, or is not its own difference"),
        (all(0 <= share <= 1 for share in shares), "a share lies outside 0 and 1"),
        (min(found.alerts_per_patient_day, found.champion_alerts_per_patient_day) >= 0, "a rate is negative"),
        (found.rounds >= ROUNDS_MIN, f"{found.rounds} draws, fewer than {ROUNDS_MIN}"),
        (re.fullmatch("[0-9a-f]{64}", found.data_digest) is not None, "the data have no digest"),
        (found.calibration.brier_skill <= 1, "a skill above 1"),
        (
            not found.stretches or min(one.first_matured for one in found.stretches) == found.first_matured,
            "the stretches begin at another label than the evidence",
        ),
        (not found.stretches or parts == (found.rows, found.positives), "the stretches are not all of the rows"),
    )
    return next((words for holds, words in checks if not holds), "")


def _is_whole(pair: Paired) -> bool:
    gap = abs(pair.challenger - pair.champion - pair.difference)
    return 0 <= pair.champion <= 1 and 0 <= pair.challenger <= 1 and gap < 1e-6 and pair.low <= pair.high


def _all_finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(_all_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(_all_finite(one) for one in value)
    return not isinstance(value, float) or math.isfinite(value)
