"""One code of one feed in one unit: how often it comes, in which range, how often a value is the one before.

Owns what is counted of a channel and what follows of it: the range of its usual values, the length of a run of equal
values that chance does not give, and the conversion that would explain values unlike all usual ones. Must not know
patients beside their keys, nor what is said.
"""

from __future__ import annotations

from math import inf, log

from alerts.monitoring.usual import above, bin_of
from events import Coding, Millis
from features.catalogue import Resolution
from features.units import MEASURES, UnitFault, conversion
from models.news2 import SOURCES

SAMPLED_FIRST, SAMPLED_LATER = 4 - 1, 16 - 1
"""One value in four goes into the histogram, one in sixteen once there is a range: it is as good, and the others cost
nothing. Masks of the count."""
SAMPLES_MIN, SAMPLES_MAX = 50, 1_024
"""Before so many, no value is unlike the others; beyond, all are halved, so that the range follows the feed."""
BOUNDED_EVERY = 16
"""Samples between two reckonings of the range."""
TAIL_PARTS = 200
"""One usual value in 200 may lie below the range and one above it."""
VALUE_STEPS = 1_000
"""Values are binned in whole thousandths of the unit as sent."""
SEEN_MAX = 1_024
"""Readings by which the share of a code in its feed's messages is reckoned: the newest, as the older are halved."""
VITALS = frozenset(name for names in SOURCES.values() for name in names)
"""What a patient is observed by."""
RUN_MIN = 4
"""From the fourth equal value on a run is counted: who repeats three times is more likely to than who does not."""
RUN_MAX = 100
"""Where chance gives longer runs than this, equal values say nothing."""
PRIOR_PAIRS = 20
PRIOR_SHARE_MIN, PRIOR_SHARE_MAX = 0.3, 0.99
"""Until twenty such pairs are known, a value that came three times is taken to come again twice as often as any value
of the feed comes again, and within these bounds: some patients are steadier than others."""
FIT_MAX = 0.25
"""How far, in natural logarithms, a median may be off from what a conversion makes of the usual one."""
APART_MIN = 0.45
"""A conversion that changes a number by less than a factor of 1.6 cannot be told from a change in the patients."""


class Channel:
    """What is known of one code in one unit, of one feed. `last` and `first` are numbers of the feed's messages."""

    __slots__ = (
        "again", "bins", "breaks", "code", "codings", "count", "feature", "first", "first_time",
        "from_message", "high", "index", "last", "last_time", "low", "newcomer", "odd", "passed", "qualifiers",
        "run_min", "same", "sampled", "samples", "seen", "standing", "unit", "vital", "watched",
    )  # fmt: skip

    def __init__(self, codings: tuple[Coding, ...], unit: str, first: int, at: Millis) -> None:
        self.codings, self.unit = codings, unit
        self.qualifiers: tuple[Coding, ...] = ()
        """Of its first reading: the one by which the code means another feature (an arterial specimen)."""
        self.index = -1
        """The feature's, -1 where no code is known."""
        self.feature = ""
        self.code = "|".join(codings[0]) if codings else ""
        self.count = self.seen = 0
        self.first = self.last = self.from_message = first
        self.first_time = self.last_time = at
        self.passed = 0
        """Readings of before `first_time`, which moves on while an unknown code comes seldom."""
        self.newcomer = False
        """Whether it began after its feed was known well: then each of its readings is looked at."""
        self.watched = False
        """Whether its readings need more than counting: an unknown code, a newcomer, a code that was lost."""
        self.vital = False
        """Whether it is a reading of NEWS2's."""
        self.low, self.high = -inf, inf
        self.bins: dict[int, int] = {}
        self.samples, self.sampled = 0, SAMPLED_FIRST
        self.odd: list[tuple[float, str]] = []
        """Values in succession unlike the usual ones, with their patients."""
        self.standing = 0
        """Usual values in succession while a change of scale is told."""
        self.same = self.again = self.breaks = 0
        """How often a value came again, how often one did that had come three times, and how often that one did not."""
        self.run_min = RUN_MIN
        """From which run on it is reckoned anew whether chance gives it."""

    @property
    def first_code(self) -> str:
        """Its first coding in short, by which signals name a code; empty where it has none."""
        return "|".join(self.codings[0])[:80] if self.codings else ""

    def resolve(self, resolution: Resolution | None, code: str) -> None:
        """Take over what the catalogue makes of it."""
        self.code = code
        if resolution is None:
            self.index, self.feature, self.watched, self.vital = -1, "", True, False
        else:
            self.index, self.feature = resolution.index, resolution.name
            self.watched = self.newcomer
            self.vital = resolution.name in VITALS

    # -- how often --------------------------------------------------------------------------------------------------

    def forget_half(self) -> None:
        """Reckon its share of the messages by the newer half of its readings."""
        self.seen >>= 1
        self.from_message = (self.from_message + self.last) >> 1

    def missed(self, number: int) -> int:
        """Give how many readings were to be expected since the last one, by its share of the messages until then."""
        return (number - self.last) * self.seen // max(self.last - self.from_message + 1, self.seen, 1)

    # -- which values -----------------------------------------------------------------------------------------------

    def sample(self, value: float) -> None:
        """Learn a value."""
        steps = int(value * VALUE_STEPS) if 0 < value < 1e12 else 0
        found = bin_of(steps) if steps > 0 else 0
        self.bins[found] = self.bins.get(found, 0) + 1
        self.samples += 1
        if self.samples >= SAMPLES_MAX:
            self.bins = {one: count >> 1 for one, count in self.bins.items() if count > 1}
            self.samples = sum(self.bins.values())
        if self.samples >= SAMPLES_MIN and (self.sampled == SAMPLED_FIRST or not self.samples % BOUNDED_EVERY):
            self._bound()

    def _bound(self) -> None:
        self.sampled = SAMPLED_LATER
        tail = self.samples // TAIL_PARTS
        lowest = self._quantile(tail)
        # 0 and what is below it have one bin: where that is usual, nothing is too low.
        self.low = _below(lowest) / VALUE_STEPS if lowest else -inf
        self.high = above_value(self._quantile(self.samples - tail - 1)) / VALUE_STEPS

    def _quantile(self, rank: int) -> int:
        for found in sorted(self.bins):
            rank -= self.bins[found]
            if rank < 0:
                return found
        return max(self.bins, default=0)

    def median(self) -> float:
        """Give the middle of the usual values, within a tenth."""
        found = self._quantile(self.samples // 2)
        return (_below(found) + above_value(found)) / 2 / VALUE_STEPS

    def explain(self, resolution: Resolution, value: float) -> str:
        """Name the unit in which the usual value would be this number, or nothing.

        >>> from features.catalogue import default_catalogue
        >>> codings = (("loinc", "2345-7"),)
        >>> channel = Channel(codings, "mmol/L", 0, 0)
        >>> for _ in range(60):
        ...     channel.sample(5.5)
        >>> channel.explain(default_catalogue().resolution(codings, "mmol/L", ()), 99.0)
        'mg/dL'
        """
        usual = self.median()
        if usual <= 0 or value <= 0 or resolution.fault:
            return ""
        feature = resolution.feature
        molar = feature.molar_mass_by_code.get(self.code.partition("|")[2], 0.0)
        steps = resolution.steps
        canonical = (usual * resolution.factor + resolution.offset - 0.5) / steps
        best, name = FIT_MAX, ""
        for unit in MEASURES:
            found = conversion(unit, feature, molar)
            if isinstance(found, UnitFault) or not found.factor:
                continue
            number = (canonical - found.offset) / found.factor
            if number <= 0 or abs(log(number / usual)) < APART_MIN:
                continue
            off = abs(log(value / number))
            if off < best:
                best, name = off, unit
        return name

    # -- how often the same -----------------------------------------------------------------------------------------

    def repeats(self, digits: int) -> int:
        """Give the length of a run of equal values whose chance is 0.1 to so many places; `RUN_MAX` + 1: none.

        Reckoned from how often a value that came `RUN_MIN` - 1 times or more in this feed came once more.
        """
        any_again = self.same / max(self.count, 1)
        prior = min(max(2 * any_again, PRIOR_SHARE_MIN), PRIOR_SHARE_MAX)
        share = (self.again + prior * PRIOR_PAIRS) / (self.again + self.breaks + PRIOR_PAIRS)
        share = max(share, any_again)  # Of runs that have not ended nothing is learned: where most last, this is more.
        needed = RUN_MIN - 1 + int(digits * log(10) / -log(share)) + 1 if share < 1 else RUN_MAX + 1
        return min(needed, RUN_MAX + 1)


def _below(found: int) -> int:
    """Give the least whole number of a quarter octave."""
    length, quarter = found >> 2, found & 3
    return -(-((4 + quarter) << length) // 8) if found else 0


def above_value(found: int) -> int:
    """Give the least whole number above a quarter octave, 1 above that of nothing."""
    return above(found) if found else 1
