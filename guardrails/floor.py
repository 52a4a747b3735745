"""The NEWS2 floor: what is always told, whatever the model, the filters, the thresholds or the kill switch do.

Owns the memory of one patient's open NEWS2 episode and what a new score adds to it. Must not know the chain, any
verdict, any configuration, or how alerts are made. The rules, and why:

- The *rank* of a score is 3 at a total of 7 or more, 2 at 5-6, 1 for a red parameter below 5, else 0. The total is the
  sum of what is present, so a missing input never invents points. Every rise of rank is told, and every parameter that
  turns red. A rank that was told is told again only after it fell and rose again.
- Rank falls only by fresh evidence. While an episode is open, a parameter that goes missing, stale or into quarantine
  keeps the points it last had (`carried`): the rank may fall no lower than the carried total allows. So an input that
  expires is told (once) and lowers nothing. Carried points never raise a rank.
- An episode resolves when the rank, carried points included, is 0, nothing that had points is missing, nothing is in
  quarantine, and this held over `CALM_SCORINGS_MIN` scorings on successively newer readings that span
  `RESOLVE_AFTER_MS` of the patient's time.
- Where no episode is open, an input that is quarantined opens a *watch*: an episode of rank 0. It is the board's while
  `CALM_PARAMETERS_MIN` parameters are usable, and the ward's below that: most of what NEWS2 needs is in doubt, and
  somebody must look. It ends when each input in doubt has a good value again, or becomes an episode when a rank comes.
  An input that merely expires opens nothing: with observations every 12 hours that is every ward's every day, and the
  board shows it.
- What is told late is told, with its age; a rise by values that came late waits a minute for newer ones before it is
  (`guardrails.late`). An old value that newer readings superseded changes no latest reading, hence no score and no
  rank: it never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from events import MILLIS_PER_MINUTE, Millis
from features.reading import Reading
from guardrails.limits import INTERRUPT_AT, NOTIFY_AT, ClinicianLimit
from guardrails.parameters import PARAMETER_OF_FEATURE, points_of
from guardrails.scope import ADULT_AGE_YEARS_MIN
from guardrails.verdict import Verdict
from models.news2 import PARAMETERS, News2

LATE_AFTER_MS = 60 * MILLIS_PER_MINUTE
"""An emergency older than this is told as late: charting takes a median of 42 minutes (Metitiri et al. 2023)."""
RESOLVE_AFTER_MS = 30 * MILLIS_PER_MINUTE
"""Calm must span this much of the patient's time: half the hourly reobservation the RCP asks for at 5 and above."""
CALM_SCORINGS_MIN = 2
"""One normal set of observations after an emergency is a reading, two are a course."""
CALM_PARAMETERS_MIN = 4
"""Calm on fewer of the seven parameters is mostly silence."""
RED_POINTS = 3
"""A single parameter's points that make it red (RCP 2017)."""
NEVER_SEEN = -1
"""Carried in place of points for a parameter that was not seen in this episode."""

WATCH_BOARD = 1
WATCH_WARD = 2

RANK_RED = 1
RANK_MEDIUM = 2
RANK_HIGH = 3

Change = Literal[
    "", "band_rise", "new_red", "band_fall", "input_expired", "input_quarantined", "inputs_usable", "resolved"
]
Priority = Literal["interrupt", "notify", "board"]
Applicability = Literal["", "under_16", "pregnancy", "deceased"]


class FloorMemory(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the floor remembers of one patient; without `carried` no episode is open, and without `watch` no watch."""

    rank: int = 0
    carried: tuple[int, ...] = ()
    """Points last known of each parameter, in the order of `PARAMETERS`."""
    lost: tuple[str, ...] = ()
    """Parameters already said to be missing in this episode."""
    quarantined: tuple[str, ...] = ()
    """Parameters already said to have a newer, impossible value; the last good one counts on."""
    calm_since: Millis | None = None
    """Event time of the newest reading at the first calm scoring."""
    calm_newest: Millis = 0
    calm_scorings: int = 0
    watch: int = 0
    """0: none; else whose matter the inputs in doubt (`quarantined`) are, `WATCH_BOARD` or `WATCH_WARD`."""


class FloorFinding(msgspec.Struct, frozen=True, gc=False):
    """What one score adds: the memory to keep, and what has to be told if `change` is not empty.

    `standing` is true while the present score itself has a rank; `age_ms` is the age, at the received time, of the
    newest reading that made the change. `parameters` names what turned red or was lost.
    """

    memory: FloorMemory
    change: Change = ""
    priority: Priority = "board"
    standing: bool = False
    late: bool = False
    age_ms: int = 0
    parameters: tuple[str, ...] = ()
    came_now: bool = False
    """Whether a reading that made the rise came at this very moment."""


NO_MEMORY = FloorMemory()
QUIET = FloorFinding(NO_MEMORY)

_FLOOR_VERDICTS = {
    "": Verdict("news2_floor", "pass", "applies"),
    "under_16": Verdict("news2_floor", "abstain", "under_16"),
    "pregnancy": Verdict("news2_floor", "abstain", "pregnancy"),
    "deceased": Verdict("news2_floor", "abstain", "deceased"),
}


def applicability(age_years: float | None, *, pregnant: bool = False, deceased: bool = False) -> Applicability:
    """Say why NEWS2 does not apply, or nothing where it does. Unknown age counts as adult (RCP 2017; design section 5).

    >>> applicability(15.9)
    'under_16'
    >>> applicability(None)
    ''
    """
    if deceased:
        return "deceased"
    if age_years is not None and age_years < ADULT_AGE_YEARS_MIN:
        return "under_16"
    return "pregnancy" if pregnant else ""


def floor_verdict(applies: Applicability) -> Verdict:
    """Give the verdict under which "NEWS2 does not apply here" is published beside the chain's.

    >>> floor_verdict("pregnancy").reason
    'pregnancy'
    """
    return _FLOOR_VERDICTS[applies]


def rank_of(total: int, *, red: bool, limit: ClinicianLimit | None = None) -> int:
    """Rank a score: 3 interrupts, 2 and 1 notify, 0 is not told.

    >>> [rank_of(7, red=False), rank_of(5, red=True), rank_of(3, red=True), rank_of(4, red=False)]
    [3, 2, 1, 0]
    """
    if total >= (INTERRUPT_AT if limit is None else limit.interrupt_at):
        return RANK_HIGH
    if total >= (NOTIFY_AT if limit is None else limit.notify_at):
        return RANK_MEDIUM
    return RANK_RED if red and (limit is None or limit.tell_red) else 0


def assess_floor(
    memory: FloorMemory,
    news2: News2,
    at: Millis,
    readings: Callable[[], Sequence[Reading]],
    limit: ClinicianLimit | None = None,
) -> FloorFinding:
    """Say what must be told of `news2`, computed at received time `at`, given what was told before. Pure.

    `readings` gives the readings that `news2` rests on; it is called only if an episode is open or opens. The caller
    asks `applicability` first. An expired limit is no limit.
    """
    if limit is not None:
        limit = limit.in_force(at)
    rank = rank_of(news2.total, red=news2.red, limit=limit)
    if memory.carried:
        return _continued(memory, news2, at, readings(), limit)
    if rank > 0:
        return _opened(news2, at, readings(), rank)
    return _watched(memory, news2) if news2.quarantined or memory.watch else QUIET


def corrected(
    memory: FloorMemory, replaced: Mapping[str, int | None], at: Millis, limit: ClinicianLimit | None = None
) -> FloorMemory:
    """Give the memory after a result was corrected or withdrawn: what it alone had contributed is carried no longer.

    `replaced` gives, for each parameter whose reading was changed, the points it has now, None where it has none. This
    is the one way, beside fresh evidence, in which a rank falls.
    """
    if not memory.carried:
        return memory
    if limit is not None:
        limit = limit.in_force(at)
    carried: list[int] = []
    for name, old in zip(PARAMETERS, memory.carried, strict=True):
        new = replaced.get(name, old)
        carried.append(NEVER_SEEN if new is None else new)
    rank = rank_of(sum(value for value in carried if value > 0), red=RED_POINTS in carried, limit=limit)
    return FloorMemory(min(memory.rank, rank), tuple(carried), memory.lost, memory.quarantined)


def _watched(memory: FloorMemory, news2: News2) -> FloorFinding:
    """Open, keep or end a watch over inputs in doubt. Each is named once, and whose matter it is only ever grows."""
    known = dict(zip(PARAMETERS, points_of(news2), strict=True))
    new = tuple(name for name in news2.quarantined if name not in memory.quarantined)
    if not new:
        # In doubt no longer is not yet known: a value that was withdrawn leaves the parameter missing.
        over = not news2.quarantined and all(known[name] is not None for name in memory.quarantined)
        return FloorFinding(NO_MEMORY, "inputs_usable") if over else FloorFinding(memory)
    usable = sum(points is not None and name not in news2.quarantined for name, points in known.items())
    watch = max(memory.watch, WATCH_BOARD if usable >= CALM_PARAMETERS_MIN else WATCH_WARD)
    return FloorFinding(
        FloorMemory(quarantined=memory.quarantined + new, watch=watch),
        "input_quarantined",
        "notify" if watch > max(memory.watch, WATCH_BOARD) else "board",
        parameters=new,
    )


def _opened(news2: News2, at: Millis, readings: Sequence[Reading], rank: int) -> FloorFinding:
    points = points_of(news2)
    red = tuple(name for name, value in zip(PARAMETERS, points, strict=True) if value == RED_POINTS)
    age_ms, came_now = _age_of_makers(news2, readings, red if rank == RANK_RED else (), at)
    carried = tuple(NEVER_SEEN if value is None else value for value in points)
    return FloorFinding(
        memory=FloorMemory(rank, carried, quarantined=news2.quarantined),
        change=_rise(rank),
        priority=_priority(rank),
        standing=True,
        late=age_ms > LATE_AFTER_MS,
        age_ms=age_ms,
        parameters=red,
        came_now=came_now,
    )


def _continued(
    memory: FloorMemory, news2: News2, at: Millis, readings: Sequence[Reading], limit: ClinicianLimit | None
) -> FloorFinding:
    points = points_of(news2)
    rank = rank_of(news2.total, red=news2.red, limit=limit)
    carried, lost, turned_red = _carry(points, memory.carried)
    carried_rank = rank_of(sum(value for value in carried if value > 0), red=RED_POINTS in carried, limit=limit)
    after = FloorMemory(max(rank, min(memory.rank, carried_rank)), carried, lost, news2.quarantined)
    if _is_calm(after, points, readings):
        after = _calmed(memory, after, max(reading.event_time for reading in readings))
        if after is NO_MEMORY:
            return FloorFinding(NO_MEMORY, "resolved")
    if rank > memory.rank or (turned_red and rank > 0 and (limit is None or limit.tell_red)):
        change: Change = _rise(rank) if rank > memory.rank else "new_red"
        age_ms, came_now = _age_of_makers(news2, readings, turned_red if change == "new_red" else (), at)
        return FloorFinding(after, change, _priority(rank), True, age_ms > LATE_AFTER_MS, age_ms, turned_red, came_now)
    return _worn(memory, after, standing=rank > 0)


def _carry(
    points: tuple[int | None, ...], before: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Give the points carried on, the parameters that were seen before and are missing, and those that turned red."""
    carried: list[int] = []
    lost: tuple[str, ...] = ()
    turned_red: tuple[str, ...] = ()
    for name, new, old in zip(PARAMETERS, points, before, strict=True):
        if new is None:
            carried.append(old)
            if old != NEVER_SEEN:
                lost += (name,)
        else:
            carried.append(new)
            if new == RED_POINTS != old:
                turned_red += (name,)
    return tuple(carried), lost, turned_red


def _worn(memory: FloorMemory, after: FloorMemory, *, standing: bool) -> FloorFinding:
    """Say what was lost since the last moment, or that the rank fell."""
    lost = tuple(name for name in after.lost if name not in memory.lost)
    quarantined = tuple(name for name in after.quarantined if name not in memory.quarantined)
    if lost or quarantined:
        # A normal value that is gone is the board's to show; one the alert rests on is the ward's to measure again.
        rests_on_it = any(memory.carried[PARAMETERS.index(name)] > 0 for name in (*lost, *quarantined))
        return FloorFinding(
            after,
            "input_quarantined" if quarantined else "input_expired",
            "notify" if rests_on_it else "board",
            standing,
            parameters=lost + tuple(name for name in quarantined if name not in lost),
        )
    return FloorFinding(after, "band_fall" if 0 < after.rank < memory.rank else "", standing=standing)


def _is_calm(after: FloorMemory, points: tuple[int | None, ...], readings: Sequence[Reading]) -> bool:
    """Whether nothing is told, nothing that had points is missing or in doubt, and enough is known."""
    return (
        after.rank == 0
        and bool(readings)
        and not after.quarantined
        and not any(new is None and old > 0 for new, old in zip(points, after.carried, strict=True))
        and sum(new is not None for new in points) >= CALM_PARAMETERS_MIN
    )


def _calmed(memory: FloorMemory, after: FloorMemory, newest: Millis) -> FloorMemory:
    """Count a calm scoring on newer readings; `NO_MEMORY` once calm has lasted."""
    if memory.calm_since is None:
        return msgspec.structs.replace(after, calm_since=newest, calm_newest=newest, calm_scorings=1)
    scorings = memory.calm_scorings + (newest > memory.calm_newest)
    if scorings >= CALM_SCORINGS_MIN and newest - memory.calm_since >= RESOLVE_AFTER_MS:
        return NO_MEMORY
    return msgspec.structs.replace(
        after,
        calm_since=memory.calm_since,
        calm_newest=max(newest, memory.calm_newest),
        calm_scorings=scorings,
    )


def _rise(rank: int) -> Change:
    return "new_red" if rank == RANK_RED else "band_rise"


def _priority(rank: int) -> Priority:
    return "interrupt" if rank == RANK_HIGH else "notify"


def standing_priority(memory: FloorMemory) -> Priority:
    """Give the priority of what stands.

    >>> standing_priority(FloorMemory(RANK_HIGH)), standing_priority(FloorMemory(watch=WATCH_BOARD))
    ('interrupt', 'board')
    """
    if memory.watch:
        return "notify" if memory.watch == WATCH_WARD else "board"
    return _priority(memory.rank)


def _age_of_makers(
    news2: News2, readings: Sequence[Reading], parameters: tuple[str, ...], at: Millis
) -> tuple[int, bool]:
    """Age of the newest reading that makes the score what it is: of those that came just now, if any did; and if so."""
    making = [
        reading
        for reading in readings
        if (name := PARAMETER_OF_FEATURE.get(reading.feature)) is not None
        and ((name in parameters) if parameters else (getattr(news2, name) or 0) > 0)
    ]
    arrived = [reading for reading in making if reading.received_time == at]
    return max(0, at - max((reading.event_time for reading in arrived or making), default=at)), bool(arrived)
