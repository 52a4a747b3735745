"""In whatever order a day's messages arrive, and however often, what is known of each patient in the end is the same.

The bound of lateness is 24 hours from when it was true to when it arrives: half of it is the day told here, half the
delay. What does not hold is in docs/order-of-arrival.md; each of its rows that narrows a law here is named in
`LIMITS`. `WARDSTREAM_LAW_EXAMPLES` says how many days are tried; `make laws` tries many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stream.effects import Score
from tests.stream.days import DAY, Arriving, Known, Told, arrive
from tests.stream.random_days import PATIENTS, Story, shuffled

EXAMPLES = int(os.environ.get("WARDSTREAM_LAW_EXAMPLES", "40"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "order-of-arrival.md"
LIMITS = {
    "several-changes": "a result is changed once: of several changes the one that arrives last holds",
    "declared-dead": "who was discharged as dead, which was taken back, is not discharged again within the bound",
    "versions": "the versions of an Encounter arrive in order among themselves",
    "merge-and-unmerge": "an A37 arrives after its A40",
    "two-visits": "of two numbers that are merged one has a visit",
    "visits-while-merged": "between a merge and its end no visit ends",
    "fhir-origin": "a FHIR Encounter tells where the stay began only in the version that says so",
}
"""Rows of the page, by anchor: where a law below does not reach, and why."""
HOUR = 60
RESULTS = ("chart", "chart", "chart", "correct", "withdraw")
STAYS = ("move", "back", "leave", "cancel_leave", "cancel_admission", "describe")

SEEDS = st.integers(0, 2**32 - 1)
"""A day and an order of arrival; what fails is told by its seed, and not shrunk: a day is one thing."""
quick = settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def in_order(told: Iterable[Told]) -> list[tuple[int, Any]]:
    return [(one.minute, one.hl7) for one in told]


def standing(log: Arriving, name: str) -> tuple[Any, ...] | None:
    """Give a patient's last NEWS2 and what of the floor stands: priority, score and place."""
    record, key = log.record(name), log.key(name)
    if record is None:
        return None
    scores = [effect.news2 for effect in log.effects if type(effect) is Score and effect.patient == key]
    floor = record.book.floor.open
    return scores[-1:], floor and (floor.priority, floor.news2, floor.place)


def known(log: Arriving) -> dict[str, Known | None]:
    return {name: log.known(name, DAY) for name in PATIENTS}


@quick
@given(SEEDS)
def test_results_and_stays_in_any_order(seed: int) -> None:
    """Results, corrections, withdrawals, moves, discharges, and what takes each back."""
    random = Random(seed)  # noqa: S311 - a day of a test
    told = Story(random, RESULTS + STAYS).day.told
    assert known(arrive(shuffled(random, told))) == known(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_a_merge_in_any_order(seed: int) -> None:
    """Two numbers become one patient's, before or after whatever came under either."""
    random = Random(seed)  # noqa: S311 - a day of a test
    story = Story(random, (*RESULTS, *STAYS, "merge", "merge"), silent=random.choice(("1", "2")))
    told = story.day.told
    assert known(arrive(shuffled(random, told))) == known(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_a_merge_and_its_end_in_any_order(seed: int) -> None:
    """Each has his own again, whatever came in between under either number (visits-while-merged)."""
    random = Random(seed)  # noqa: S311 - a day of a test
    kinds = (*RESULTS, "move", "back", "describe", "merge", "unmerge")
    told = Story(random, kinds, silent=random.choice(("1", "2"))).day.told
    assert known(arrive(shuffled(random, told))) == known(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_fhir_in_any_order_is_hl7_in_order(seed: int) -> None:
    """The same day as FHIR resources, shuffled, ends where HL7 in order does (versions, fhir-origin)."""
    random = Random(seed)  # noqa: S311 - a day of a test
    told = Story(random, RESULTS + STAYS).day.told
    wanted, found = known(arrive(in_order(told))), known(arrive(shuffled(random, told, fhir=True)))
    assert {name: one and one.without_origin() for name, one in found.items()} == {
        name: one and one.without_origin() for name, one in wanted.items()
    }


@quick
@given(SEEDS)
def test_scores_and_alerts_that_stand_in_any_order(seed: int) -> None:
    """Once all of an hour's messages have come, late by an hour at most, the next reading finds the same: the same
    NEWS2, and the same emergency standing or not.
    """
    random = Random(seed)  # noqa: S311 - a day of a test
    story = Story(random, (*RESULTS, "move", "back", "leave", "cancel_leave"), pace=5)
    body = story.day.told.copy()
    end = body[-1].minute + HOUR + 1
    for name in PATIENTS:
        story.day.chart(name, end, end, {"hr": float(random.randint(50, 140))})
    last = in_order(story.day.told[len(body) :])
    there = arrive([*in_order(body), *last])
    here = arrive([*shuffled(random, body, latest=HOUR), *last])
    assert [standing(here, name) for name in PATIENTS] == [standing(there, name) for name in PATIENTS]
