"""The laws every online calibrator obeys, as functions that tests apply to whatever they build.

Owns the laws. Must not know how one calibrates: it is given a way to make one. In the manner of models/checks.py.
A breach raises `BrokenLawError` with the law's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.checks import BrokenLawError

LABELS = 60_000
"""Labels a law is tried on: at 200 beds scored hourly twelve days, with some 1,200 outcomes."""


class OnlineCalibrator(Protocol):
    """What the laws ask of one."""

    def learn_one(self, logit: float, label: bool) -> str:  # noqa: FBT001 - River's own signature
        """Learn one label; gives why not, or nothing."""

    def transform(self, logit: float) -> float:
        """Give the mended logit."""

    def state(self) -> Any:
        """Give all it knows, as plain numbers that compare equal."""

    @classmethod
    def restored(cls, state: Any) -> Self:
        """Go on from a state."""


CalibratorFactory = Callable[[], OnlineCalibrator]
Told = tuple[NDArray[np.float64], NDArray[np.bool_]]


def _hold(claim: str, *, holds: bool) -> None:
    if not holds:
        raise BrokenLawError(claim)


def told(seed: int, count: int = LABELS, *, slope: float = 1.0, shift: float = 0.0) -> Told:
    """Draw logits as they are told, and labels that come true by `shift + slope * logit`.

    >>> logits, labels = told(1, 20_000)
    >>> abs(float(labels.mean()) - float((1 / (1 + np.exp(-logits))).mean())) < 0.003
    True
    """
    generator = np.random.default_rng(seed)
    logits = generator.normal(-4.3, 1.1, count)
    return logits, generator.random(count) < 1.0 / (1.0 + np.exp(-shift - slope * logits))


def _teach(calibrator: OnlineCalibrator, examples: Told) -> None:
    for logit, label in zip(*(column.tolist() for column in examples), strict=True):
        calibrator.learn_one(logit, label)


def _line(calibrator: OnlineCalibrator) -> tuple[float, float]:
    """Give the mended logit at -4, and the rise from -6 to -2 by unit."""
    low, middle, high = (calibrator.transform(at) for at in (-6.0, -4.0, -2.0))
    return middle, (high - low) / 4.0


def keeps_the_order(make: CalibratorFactory, seed: int = 11) -> None:
    """Whatever was learned, a higher logit stays higher: the AUROC of what stands still cannot change."""
    calibrator = make()
    grid = np.linspace(-25.0, 25.0, 2001).tolist()
    for examples in (told(seed, 3000, slope=-2.0, shift=-8.0), told(seed, 3000, slope=8.0), told(seed, 3000)):
        _teach(calibrator, examples)
        mended = [calibrator.transform(logit) for logit in grid]
        _hold("the order is kept", holds=all(a < b for a, b in pairwise(mended)))


def finite_in_finite_out(make: CalibratorFactory, seed: int = 12) -> None:
    """Any finite logit gives a finite one, after extremes, a single class and contradictions too."""
    calibrator = make()
    generator = np.random.default_rng(seed)
    for label in (True, False):
        for logit in (1e308, -1e308, 5e-324, 40.0, -40.0):
            calibrator.learn_one(logit, label)
    for number in range(5000):
        calibrator.learn_one(float(generator.standard_cauchy() * 10.0), number % 2 == 0)
    for logit in (1e308, -1e308, 0.0, 5e-324):
        _hold("finite in, finite out", holds=math.isfinite(calibrator.transform(logit)))
    _hold("what is no number stays none", holds=math.isnan(calibrator.transform(math.nan)))


def unusable_teaches_nothing(make: CalibratorFactory, seed: int = 13) -> None:
    """A logit that is no finite number is refused with a reason, and leaves the calibrator as it was."""
    calibrator = make()
    _teach(calibrator, told(seed, 2000))
    before = calibrator.state()
    for logit in (math.nan, math.inf, -math.inf):
        _hold("a refusal says why", holds=calibrator.learn_one(logit, True) == "not_finite")
    _hold("a refused label teaches nothing", holds=calibrator.state() == before)


def restored_goes_on_alike(make: CalibratorFactory, seed: int = 14) -> None:
    """Restored from its state it mends and learns on alike, bit for bit."""
    one = make()
    _teach(one, told(seed, 3000, shift=0.5))
    other = type(one).restored(one.state())
    logits, labels = told(seed + 1000, 3000, shift=0.5)
    for logit, label in zip(logits.tolist(), labels.tolist(), strict=True):
        _hold("restored mends alike", holds=one.transform(logit) == other.transform(logit))
        one.learn_one(logit, label)
        other.learn_one(logit, label)
    _hold("restored learns alike", holds=one.state() == other.state())


def harmless_when_calibrated(make: CalibratorFactory, seed: int = 15) -> None:
    """Where nothing is to be mended, what is said moves by less than the noise of the labels themselves."""
    calibrator = make()
    _teach(calibrator, told(seed))
    middle, rise = _line(calibrator)
    _hold("a calibrated rate stays", holds=abs(middle + 4.0) < 0.1)
    _hold("a calibrated slope stays", holds=abs(rise - 1.0) < 0.05)


def recovers_from_a_shift(make: CalibratorFactory, seed: int = 16) -> None:
    """After a long calm the rate doubles, or the slope falls: within `LABELS` labels the line is mended."""
    for slope, shift in ((1.0, 0.7), (0.7, -1.2), (1.4, 1.7)):
        calibrator = make()
        _teach(calibrator, told(seed))
        _teach(calibrator, told(seed + 1, slope=slope, shift=shift))
        middle, rise = _line(calibrator)
        _hold("the rate is mended", holds=abs(middle - (shift - 4.0 * slope)) < 0.15)
        _hold("the slope is mended", holds=abs(rise / slope - 1.0) < 0.2)


def survives_one_class(make: CalibratorFactory, seed: int = 17) -> None:
    """A stretch without outcomes bounds what is unlearned: when they come again the rate is mended once more."""
    calibrator = make()
    logits = told(seed)[0]
    _teach(calibrator, (logits, np.zeros(len(logits), dtype=bool)))
    _hold("no outcome is not never", holds=calibrator.transform(-4.0) > -8.0)
    _teach(calibrator, told(seed + 1))
    _hold("it comes back", holds=abs(_line(calibrator)[0] + 4.0) < 0.2)


def laws() -> Iterator[tuple[str, Callable[[CalibratorFactory], None]]]:
    """Give every law with its name.

    >>> [name for name, _ in laws()][0]
    'keeps_the_order'
    """
    for law in (
        keeps_the_order,
        finite_in_finite_out,
        unusable_teaches_nothing,
        restored_goes_on_alike,
        harmless_when_calibrated,
        recovers_from_a_shift,
        survives_one_class,
    ):
        yield law.__name__, law
