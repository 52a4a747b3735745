"""What a ward clerk gets wrong and puts right: what is taken back, numbers merged, birth dates.

Owns how often and when. Must not know messages.
"""

from __future__ import annotations

from random import Random

import msgspec

from connectors.hospital.plan import Plan
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Millis

MERGED_SHARE = 0.03
"""Stays that begin under a temporary number, merged (A40) once it is known who came."""
MERGE_REPEATED_SHARE, MERGE_INVERTED_SHARE = 0.12, 0.06
"""Of merges: told again in a new message; told the wrong way round, and then rightly again."""
WRONG_ADMISSION_SHARE = 0.01
"""Admitted under a wrong visit number (A01), which is taken back (A11) before the right one."""
DEMOGRAPHICS_SHARE = 0.03
"""Admitted with a miskeyed year of birth, put right later (A08)."""
WARD_MOVE_SHARE = 0.12
"""Stays that are moved to a bed of another ward (A02)."""
MOVE_CANCELLED_SHARE = 0.012
"""Stays with a move that was told and did not happen (A12)."""
DISCHARGE_CANCELLED_SHARE = 0.012
"""Stays whose discharge was told too early and taken back (A13)."""
MISTAKE_MIN, MISTAKE_LASTS_MIN = (60, 360), (20, 240)
"""When, after an admission, the patient is taken for another one, and how long it stands."""
QUIET_MS = 3 * MILLIS_PER_HOUR
"""No clerk's story begins later than this before a stay or its time on the ward ends."""


class Slips(msgspec.Struct, frozen=True):
    """When what happens; None: not in this stay."""

    wrong_admission_ms: Millis | None = None
    """How long the wrong admission stands before it is taken back, and the right one told."""
    demographics_time: Millis | None = None
    merge_time: Millis | None = None
    merge_again_times: tuple[Millis, ...] = ()
    merge_inverted_time: Millis | None = None
    move_time: Millis | None = None
    false_move_time: Millis | None = None
    false_move_ms: Millis = 0
    false_discharge_time: Millis | None = None
    false_discharge_ms: Millis = 0


def draw_slips(random: Random, plan: Plan) -> Slips:
    """Draw what the clerk of this stay gets wrong.

    >>> from random import Random
    >>> from connectors.hospital.plan import draw_plan
    >>> plan = draw_plan(Random(1), 1, 0)
    >>> draw_slips(Random(1), plan) == draw_slips(Random(1), plan)
    True
    """
    start_time, end_time = plan.start_time, plan.ward_end_time - QUIET_MS
    slips = Slips()
    if random.random() < WRONG_ADMISSION_SHARE:
        slips = msgspec.structs.replace(slips, wrong_admission_ms=random.randrange(2, 9) * MILLIS_PER_MINUTE)
    if random.random() < DEMOGRAPHICS_SHARE:
        at = start_time + random.randrange(15, 300) * MILLIS_PER_MINUTE
        slips = msgspec.structs.replace(slips, demographics_time=at)
    if random.random() < MERGED_SHARE:
        slips = _merge(random, slips, start_time + random.randrange(60, 360) * MILLIS_PER_MINUTE)
    hours = (end_time - start_time) // MILLIS_PER_HOUR
    draw = random.random()
    if hours <= 0:
        return slips
    at = start_time + QUIET_MS + random.randrange(int(hours * 60)) * MILLIS_PER_MINUTE
    if draw < WARD_MOVE_SHARE:
        return msgspec.structs.replace(slips, move_time=at)
    if draw < WARD_MOVE_SHARE + MOVE_CANCELLED_SHARE:
        lasts = random.randrange(8, 60) * MILLIS_PER_MINUTE
        return msgspec.structs.replace(slips, false_move_time=at, false_move_ms=lasts)
    if draw < WARD_MOVE_SHARE + MOVE_CANCELLED_SHARE + DISCHARGE_CANCELLED_SHARE and plan.ending == "home":
        lasts = random.randrange(8, 60) * MILLIS_PER_MINUTE
        return msgspec.structs.replace(slips, false_discharge_time=end_time, false_discharge_ms=lasts)
    return slips


def _merge(random: Random, slips: Slips, at: Millis) -> Slips:
    draw = random.random()
    later = at + random.randrange(5, 90) * MILLIS_PER_MINUTE
    if draw < MERGE_REPEATED_SHARE:
        return msgspec.structs.replace(slips, merge_time=at, merge_again_times=(later,))
    if draw < MERGE_REPEATED_SHARE + MERGE_INVERTED_SHARE:
        again = later + random.randrange(5, 40) * MILLIS_PER_MINUTE
        return msgspec.structs.replace(slips, merge_time=at, merge_inverted_time=later, merge_again_times=(again,))
    return msgspec.structs.replace(slips, merge_time=at)


class Mistake(msgspec.Struct, frozen=True):
    """The number before a stay's own is merged into it by mistake, and unmerged again."""

    time: Millis
    end_time: Millis


def draw_mistake(random: Random, start_time: Millis) -> Mistake:
    """Draw when a stay that begins then is taken for its neighbour's.

    >>> from random import Random
    >>> draw_mistake(Random(1), 0) == draw_mistake(Random(1), 0)
    True
    """
    at = start_time + random.randrange(*MISTAKE_MIN) * MILLIS_PER_MINUTE
    return Mistake(at, at + random.randrange(*MISTAKE_LASTS_MIN) * MILLIS_PER_MINUTE)
