"""The laws that [ward] obeys, whatever comes in whatever order, and whatever the settings, as functions tests apply.

Owns the laws. Must not know how the fold keeps them: each looks only at what came and what went out. Each raises
`LawBrokenError` with the law's name; tests feed them traffic made by hypothesis.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from alerts.lifecycle import TERMINAL
from alerts.shifts import Shifts
from alerts.telling import name_telling
from alerts.waiting import FIRST_OR_PERSISTS, MOVED, WAITING_MAX
from alerts.ward import WardFold, WardOutput
from alerts.ward_records import Candidate, read_candidate, state_key
from alerts.ward_settings import WardSettings
from events import MILLIS_PER_MINUTE, Millis
from guardrails.checks import LawBrokenError

Sent = tuple[str, bytes]
"""A record of `candidates.v1`: key and value; a tick has no key."""


class Stand(NamedTuple):
    """What stands at one record: whether the gate is closed, and the settings."""

    closed: bool
    settings: WardSettings | None


class Step(NamedTuple):
    """One record, and what it put out."""

    sent: Sent
    outputs: list[WardOutput[bytes]]


class Run(NamedTuple):
    """What a fold made of some records, and the fold as it stands then."""

    steps: list[Step]
    fold: WardFold

    @property
    def outputs(self) -> list[WardOutput[bytes]]:
        """All that went out, in order."""
        return [output for step in self.steps for output in step.outputs]


def run(records: Iterable[Sent], stand: Callable[[int], Stand], cuts: Sequence[int] = ()) -> Run:
    """Fold records; `stand` says what stands at each. After those numbered in `cuts` it is stored and restored."""
    fold, stored = WardFold(), dict[str, bytes]()
    steps = []
    for number, (key, content) in enumerate(records):
        closed, settings = stand(number)
        fold.gate(closed)
        fold.use(settings)
        steps.append(Step((key, content), fold.take(key, content)))
        if number in cuts:
            for name, data in fold.encode_changes().items():
                if data is None:
                    stored.pop(name, None)
                else:
                    stored[name] = data
            fold = WardFold()
            fold.restore(stored.items())
    return Run(steps, fold)


def check_floor_is_unchanged(done: Run, free: Run) -> None:
    """What the floor tells is the same, byte for byte, as without any budget."""
    if _floor(done) != _floor(free):
        raise LawBrokenError("the floor is told whatever the budget")


def _floor(done: Run) -> list[tuple[str, bytes]]:
    return [
        (output.ward, output.alert)
        for output in done.outputs
        if output.alert is not None and _frame(output.alert).trigger == "news2_floor"
    ]


def check_all_go_out(done: Run) -> None:
    """Each candidate goes out in its own step, once, under its own id; it waits, is held or goes as it came."""
    seen: set[tuple[str, str, int]] = set()
    for (key, content), outputs in done.steps:
        names = [output.event_id for output in outputs if output.alert is not None and output.queue != "told"]
        if not key:
            wanted: list[str] = []
        else:
            candidate = _frame(content)
            mark = (key, candidate.alert_id, candidate.seq)
            fresh = key == (candidate.ward or "-") and mark not in seen
            seen.add(mark)
            wanted = [candidate.event_id] if fresh else []
        if names != wanted:
            raise LawBrokenError("every candidate goes out at once, and once")


def check_nothing_is_dropped(done: Run) -> None:
    """What waits is told, or followed by a later event of its alert that went out, or has left, or still stands."""
    outputs = done.outputs
    for number, output in enumerate(outputs):
        if output.queue != "waits":
            continue
        assert output.alert is not None
        waits = _frame(output.alert)
        alert = state_key(output.ward, waits.alert_id)
        followed = any(later.state_key == alert for later in outputs[number + 1 :])
        if not followed and waits.alert_id not in done.fold.waiting(output.ward):
            raise LawBrokenError("what waits is never dropped")
    for ward in {output.ward: None for output in outputs}:
        for alert_id in done.fold.waiting(ward):
            last = [output for output in outputs if output.state_key == state_key(ward, alert_id)][-1]
            if last.alert is None or _frame(last.alert).state in TERMINAL or _frame(last.alert).disposition == "told":
                raise LawBrokenError("nobody waits who was told, has ended or has left")


def check_tellings_say_what_waited(done: Run) -> None:
    """A telling has an id of its own, the alert and `seq` of the newest that waited, and is told once."""
    waiting: dict[str, str] = {}
    told: set[str] = set()
    for output in done.outputs:
        if output.queue == "told":
            assert output.alert is not None
            said = _frame(output.alert)
            if output.event_id != name_telling(waiting.pop(output.state_key, "")) or said.event_id != output.event_id:
                raise LawBrokenError("a telling is of what waited")
            if said.disposition != "told" or output.event_id in told:
                raise LawBrokenError("a telling is told once")
            told.add(output.event_id)
        elif output.queue == "waits" or output.state_key in waiting:
            waiting[output.state_key] = output.event_id


def check_budget_is_kept(done: Run, settings: WardSettings) -> None:
    """No shift has more tellings that count than its budget, and no flood's length more than its number.

    For records in order of time; one that comes late may count at its own time or now.
    """
    shifts = Shifts(settings.zone, settings.shift_starts)
    told: dict[str, list[Millis]] = defaultdict(list)
    before: dict[str, WardOutput[bytes]] = {}
    for output in done.outputs:
        if output.alert is not None and _counts(output, before.get(output.state_key)):
            insort(told[output.ward], output.received_time)
        before[output.state_key] = output
    for ward, times in told.items():
        by_shift: dict[Millis, int] = defaultdict(int)
        for at in times:
            by_shift[shifts.around(at)[0]] += 1
        if max(by_shift.values()) > settings.budget_of(ward):
            raise LawBrokenError("a shift's budget is kept")
        length = settings.flood_minutes * MILLIS_PER_MINUTE
        pairs = zip(times, times[settings.flood_count :], strict=False)
        if any(last - first < length for first, last in pairs):
            raise LawBrokenError("a flood is held back")


def _counts(output: WardOutput[bytes], before: WardOutput[bytes] | None) -> bool:
    """Whether it is a telling that could have waited; `before` is what went out of the alert on this ward last."""
    assert output.alert is not None
    said = _frame(output.alert)
    if output.queue == "told":
        return True
    if said.trigger != "model" or said.disposition != "told" or said.state not in ("raised", "updated"):
        return False
    comes = before is None or before.state is None or before.queue == "waits"
    return said.reason in FIRST_OR_PERSISTS or (said.reason == MOVED and comes)


def check_the_rest_passes(done: Run) -> None:
    """Nothing waits but the model's first word of an alert, its repetition, and its coming to a ward."""
    for output in done.outputs:
        if output.queue != "waits":
            continue
        assert output.alert is not None
        said = _frame(output.alert)
        reasons = FIRST_OR_PERSISTS | {MOVED}
        if said.trigger != "model" or said.state not in ("raised", "updated") or said.reason not in reasons:
            raise LawBrokenError("worsening, escalations, answers and ends pass whatever the budget")


def check_counts_are_gapless(done: Run) -> None:
    """Each ward's events are numbered 1, 2, 3 ..."""
    numbers: dict[str, int] = defaultdict(int)
    for output in done.outputs:
        if output.alert is not None:
            numbers[output.ward] += 1
            if output.ward_seq != numbers[output.ward]:
                raise LawBrokenError("a ward's count has no gap")


def check_queue_is_bounded(done: Run, wards: Iterable[str]) -> None:
    """No more wait on a ward than may, and each is given a place that it can have."""
    if any(len(done.fold.waiting(ward)) > WAITING_MAX for ward in wards):
        raise LawBrokenError("a queue is bounded")
    for output in done.outputs:
        if output.queue == "waits":
            place = msgspec.json.decode(output.alert or b"", type=_Placed).waiting_place
            if not 1 <= place <= WAITING_MAX:
                raise LawBrokenError("a place is one of the queue's")


def check_order_is_nothing_within_limits(ordered: Run, other: Run) -> None:
    """Where nothing waits in order of time, any other order of the same records puts out the same."""
    if any(output.queue != "passes" for output in ordered.outputs):
        return
    if _contents(ordered) != _contents(other):
        raise LawBrokenError("within its limits a ward is told the same in any order")


def _contents(done: Run) -> set[tuple[str, bytes]]:
    return {(output.ward, output.alert) for output in done.outputs if output.alert is not None}


def check_restarts_change_nothing(records: Sequence[Sent], stand: Callable[[int], Stand], cuts: Sequence[int]) -> None:
    """Stored and restored after any record, the fold puts out the same bytes."""
    if run(records, stand, cuts).outputs != run(records, stand).outputs:
        raise LawBrokenError("a restart changes nothing")


class _Placed(msgspec.Struct, frozen=True):
    waiting_place: int


def _frame(content: bytes) -> Candidate:
    return read_candidate(content)[0]
