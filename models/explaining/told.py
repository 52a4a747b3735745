"""An explanation as a ward is told it: the few largest reasons, all others as one, and together the score to the digit.

Owns that shape, its rounding and its stored form. Must not know a version, a patient's state or who reads it: the words
are made by models/explaining/explanation.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

import msgspec

from events import Millis

DECIMALS = 6
"""Of log-odds, as of a probability (`models.scorer.PROBABILITY_DECIMALS`, which says why)."""

_UNITS = 1_000_000

NOTABLE = 0.005
"""A contribution that two decimals show as 0 is no reason."""


def direction(log_odds: float) -> str:
    """Say what a contribution does.

    >>> direction(0.412), direction(-0.1)
    ('raises risk (+0.41)', 'lowers risk (-0.10)')
    """
    return f"{'raises' if log_odds > 0.0 else 'lowers'} risk ({log_odds:+.2f})"


class ToldReason(msgspec.Struct, frozen=True):
    """What one feature did to a score: all of the version's inputs that are about it, as one."""

    feature: str
    text: str
    """In clinical words, with unit and age: "respiration rate 29 /min, 12 min old"."""
    direction: Literal["raises", "lowers"]
    """The risk, against the version's `base`; not against the patient's last score, nor a healthy person."""
    log_odds: float
    value: float | None
    """In `unit`; null where it is not known, or too old to count."""
    unit: str
    """As a ward writes it."""
    age_ms: int | None
    """How old the last reading was as of the score, of a value too old to count as well; null: never measured, or no
    measurement."""

    @property
    def brief(self) -> str:
        """The words where there is no room for the statistic that carried most of it.

        >>> ToldReason("x", "pH 7.2, 1 h old (mainly: lowest in 6 h 7.1)", "raises", 0.5, 7.2, "", 3_600_000).brief
        'pH 7.2, 1 h old, raises the risk'
        >>> ToldReason("hour_of_day", "hour of the day (UTC) 3", "lowers", -0.5, 3.0, "", None).brief
        'hour of the day (UTC) 3, lowers the risk'
        """
        return f"{self.text.partition(' (mainly: ')[0]}, {self.direction} the risk"

    def sentence(self) -> str:
        """Say it in one line.

        >>> ToldReason("lactate", "lactate 4.1 mmol/L, 2 h old", "raises", 0.5, 4.1, "mmol/L", 7_200_000).sentence()
        'lactate 4.1 mmol/L, 2 h old: raises risk (+0.50)'
        """
        return f"{self.text}: {direction(self.log_odds)}"


class ToldExplanation(msgspec.Struct, frozen=True):
    """Why a score is what it is: in log-odds `base`, the reasons and `others_log_odds` add up to `log_odds` exactly.

    Exactly in decimals, as written: 6 digits each. The logistic function of `log_odds` is the probability that was
    told. It says what moved the number, not what makes the patient ill.
    """

    as_of: Millis
    """The received time of the score that is explained. Later events of an alert repeat what it was last told for."""
    base: float
    """Where the version starts: what it says of its reference rows on average."""
    log_odds: float
    reasons: tuple[ToldReason, ...]
    """The largest, largest first."""
    others: int
    """How many features more had a part."""
    others_log_odds: float

    @property
    def main(self) -> ToldReason | None:
        """The reason to name where there is room for one: the largest that raises the risk, else the largest."""
        return next((reason for reason in self.reasons if reason.direction == "raises"), next(iter(self.reasons), None))

    def sentences(self) -> tuple[str, ...]:
        """Say it, a line each; what all others come to only where two decimals show it.

        >>> ToldExplanation(0, -4.0, -3.9, (), 3, 0.1).sentences()
        ('3 others together: raises risk (+0.10)',)
        """
        rest = (f"{self.others} others together: {direction(self.others_log_odds)}",)
        return (*(reason.sentence() for reason in self.reasons), *rest[: abs(self.others_log_odds) >= NOTABLE])

    def pack(self) -> tuple[Any, ...]:
        """Give the stored form: the fields in order, without their names."""
        fields = list(msgspec.structs.astuple(self))
        fields[3] = tuple(map(msgspec.structs.astuple, self.reasons))
        return tuple(fields)

    @classmethod
    def unpack(cls, packed: Iterable[Any]) -> Self:
        """Read what `pack` gave.

        >>> told = ToldExplanation(0, -4.0, -3.9, (ToldReason("x", "x", "lowers", -0.1, None, "", None),), 3, 0.2)
        >>> ToldExplanation.unpack(told.pack()) == told
        True
        """
        as_of, base, log_odds, reasons, others, others_log_odds = packed
        return cls(as_of, base, log_odds, tuple(ToldReason(*reason) for reason in reasons), others, others_log_odds)


def add_up(base: float, log_odds: float, parts: Iterable[float]) -> tuple[float, float, list[float], float]:
    """Round base, log-odds and the told parts, and give with them what all else comes to, so that the sum is exact.

    >>> add_up(-1.00000049, 0.5, [1.2])
    (-1.0, 0.5, [1.2], 0.3)
    """
    first, total = _units(base), _units(log_odds)
    told = [_units(part) for part in parts]
    rest = total - first - sum(told)
    return first / _UNITS, total / _UNITS, [one / _UNITS for one in told], rest / _UNITS


def _units(value: float) -> int:
    return round(value * _UNITS)
