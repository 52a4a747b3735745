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

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from connectors.hospital import Hospital
from connectors.hospital.rendering import as_fhir, as_hl7
from events import MILLIS_PER_MINUTE
from stream.effects import Score
from tests.stream.days import DAY, START, Arriving, Known, Told, arrive
from tests.stream.random_days import PATIENTS, Story, shuffled

EXAMPLES = int(os.environ.get("WARDSTREAM_LAW_EXAMPLES", "80"))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "order-of-arrival.md"
LIMITS = {
    "several changes": "a result is changed once",
    "thinned": "the readings are people's",
    "unusable first": "a correction is a possible value",
    "versions": "the versions of an Encounter arrive in order among themselves",
    "taken back in FHIR": "an Encounter that had ended is not entered in error",
    "admitted anew": "who was not admitted after all is admitted again under another number",
    "where it began": "the ward where a stay began is not compared between the formats, nor after an A37",
    "declared dead": "who is not dead after all is not discharged again within the bound",
    "merge and unmerge": "an A37 arrives after its A40",
    "two visits": "of two numbers that are merged one has a visit",
    "visits while merged": "between a merge and its end no visit ends, and no move is taken back",
}
"""Rows of the page: how a law below is narrowed, because it does not reach further."""
HOUR = 60
RESULTS = ("chart", "chart", "chart", "correct", "withdraw")
STAYS = ("move", "back", "leave", "cancel_leave", "cancel_admission", "describe")

SEEDS = st.integers(0, 2**32 - 1)
"""A day and an order of arrival; what fails is told by its seed, and not shrunk: a day is one thing."""
quick = settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def in_order(told: Iterable[Told]) -> list[tuple[int, Any]]:
    return [(one.minute, one.hl7) for one in told]


def standing(log: Arriving, name: str) -> tuple[Any, ...] | None:
    """Give a patient's last NEWS2 and, where that is an emergency, what the floor's open alert says and where."""
    record, key = log.record(name), log.key(name)
    if record is None:
        return None
    news2 = next((one.news2 for one in reversed(log.effects) if type(one) is Score and one.patient == key), None)
    if news2 is None or not (news2.red or news2.band in {"medium", "high"}):
        return news2, None
    floor = record.book.floor.open
    return news2, floor and (floor.news2, floor.place)


def known(log: Arriving) -> dict[str, Known | None]:
    return {name: log.known(name, DAY) for name in PATIENTS}


def without_origins(log: Arriving) -> dict[str, Known | None]:
    """Give the same without the wards where stays began (where it began, visits while merged)."""
    return {name: one and one.without_origin() for name, one in known(log).items()}


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
    """Each has his own again, whatever came in between under either number (visits while merged)."""
    random = Random(seed)  # noqa: S311 - a day of a test
    kinds = (*RESULTS, "move", "describe", "merge", "unmerge")
    told = Story(random, kinds, silent=random.choice(("1", "2"))).day.told
    assert without_origins(arrive(shuffled(random, told))) == without_origins(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_fhir_in_any_order_is_hl7_in_order(seed: int) -> None:
    """The same day as FHIR resources, shuffled, ends where HL7 in order does (versions, where it began)."""
    random = Random(seed)  # noqa: S311 - a day of a test
    told = Story(random, RESULTS + STAYS).day.told
    assert without_origins(arrive(shuffled(random, told, fhir=True))) == without_origins(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_a_merge_by_fhir_in_any_order(seed: int) -> None:
    """A link that comes before or after either Patient, and what comes under either of the server's ids."""
    random = Random(seed)  # noqa: S311 - a day of a test
    told = Story(random, (*RESULTS, "describe", "merge", "merge"), silent=random.choice(("1", "2"))).day.told
    assert without_origins(arrive(shuffled(random, told, fhir=True))) == without_origins(arrive(in_order(told)))


@quick
@given(SEEDS)
def test_scores_and_alerts_that_stand_in_any_order(seed: int) -> None:
    """Once all of an hour's messages have come, late by an hour at most, the next reading finds the same NEWS2, and an
    emergency that stands is an open alert, whatever was told on the way.
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


@pytest.mark.parametrize("seed", [3, 4])
def test_a_simulated_hospital_shuffled_or_as_fhir(seed: int) -> None:
    """A hospital's days: in order, shuffled and repeated within six hours, and as FHIR, all patients end alike."""
    random = Random(seed)  # noqa: S311 - an order of a test
    stories = [story for story in Hospital(seed=seed, beds=8, hours=30) if as_hl7(story) is not None]
    told = [
        Told(-((START - story.sent_time) // MILLIS_PER_MINUTE), as_hl7(story), (as_fhir(story),)) for story in stories
    ]
    orders = (
        in_order(told),
        shuffled(random, told, latest=6 * HOUR),
        [(one.minute, one.fhir) for one in told],
    )
    logs = [arrive(order) for order in orders]
    names = sorted({story.patient for story in stories}, key=lambda each: each.value)
    end = told[-1].minute
    assert len(names) > 8
    for other in logs[1:]:
        for name in names:
            assert other.known(name.value, end, name.authority) == logs[0].known(name.value, end, name.authority)


def test_each_limit_of_a_law_is_on_the_page() -> None:
    """Where a law is narrowed the page says so, and it names nothing that is not narrowed."""
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [row for row in rows if row not in {"what", "---"}] == list(LIMITS)
