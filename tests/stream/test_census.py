"""Going live with occupied beds: a census alerts nobody, is taken in once, and moves nobody back; nor does a day that
an engine sends again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations, islice, permutations
from pathlib import Path
from typing import Any

import pytest

from connectors.census.encounters import bundles_of, read_answers
from connectors.census.messages import messages_of
from connectors.census.rows import Lying
from connectors.decoded import Decoded, Refusal
from connectors.fhir.codec import decode_each
from connectors.hl7v2.codec import decode
from connectors.sources import Arrival, SourceSettings, group_arrivals, open_source
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, Admission, Discharge, Event, Location, Transfer
from features.stay import Stay
from stream.parse import Duplicate
from stream.release import Release
from stream.service import EmbeddedService
from stream.settings import Settings
from stream.simulation import arrivals_of, hospital_stream
from stream.view import WardView
from tests.stream.conftest import SICK, START, WELL, Ward

BEDS = 400
WARDS = 16
AS_OF = START
PUBLISHED = 1_500
"""Messages of SimHospital: all 6,885 take five times as long, and end as equal."""


def census(beds: int = BEDS, **changed: Any) -> list[Lying]:
    """Give who lies where: admitted up to three weeks ago, on wards of 25 beds."""
    return [
        Lying(
            str(number), "MRN", Location(f"Ward {number % WARDS}", "1", str(number)),
            admitted=AS_OF - (1 + number * 37 % 500) * MILLIS_PER_HOUR, sex="female", birth_date="1950-01-01",
            visit=f"VISIT-{number}", **changed,
        )
        for number in range(beds)
    ]  # fmt: skip


def take(ward: Ward, lying: list[Lying], minute: float = 1.0, *, as_of: int = AS_OF) -> Counter[str]:
    """Let a census arrive; count what became of its messages."""
    arrivals = [
        Arrival("census#1", ward.at(minute), data, "hl7v2", decode(data, Settings().hl7))
        for one in lying
        for data in messages_of(one, as_of, "PAS|MAIN")
    ]
    return Counter(type(one).__name__ for one in ward.service.accept(arrivals))


def stay_of(ward: Ward, mrn: str) -> Stay:
    """Give a patient's stay."""
    record = ward.service.host.shelf.find(ward.key(mrn))
    assert record is not None
    return record.state.stay


def wait(ward: Ward, hours: float) -> None:
    """Let time pass, a tick each minute as a host enters them."""
    for minute in range(1, int(hours * 60) + 1):
        ward.service.enter_tick(ward.at(minute))
        if not minute % 60:
            ward.service.fold()
    ward.service.fold()


def signals(ward: Ward) -> Counter[str]:
    """Count the signals that were raised."""
    return Counter(one["kind"] for one in ward.outputs("signals") if one["state"] == "raised")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Give a hospital of 400 occupied beds that was told by a census, four hours ago; nothing else was heard since."""
    ward = Ward(tmp_path_factory.mktemp("settled"))
    assert take(ward, census()) == {"Envelope": 2 * BEDS}
    wait(ward, 4.2)
    yield ward
    ward.service.close()


def test_a_census_of_400_beds_alerts_nobody(settled: Ward) -> None:
    """Nobody is scored, alerted or lost, everybody lies where the census says, since he was admitted."""
    assert settled.outputs("alerts") == []
    assert settled.outputs("scores") == []
    stays = {key: stay_of(settled, key) for key in ("0", "17", "399")}
    assert {key: (stay.admitted, stay.location.ward, stay.location.bed) for key, stay in stays.items()} == {
        "0": (True, "Ward 0", "0"), "17": (True, "Ward 1", "17"), "399": (True, "Ward 15", "399"),
    }  # fmt: skip
    assert [stays[key].admitted_time for key in ("0", "17")] == [
        AS_OF - MILLIS_PER_HOUR, AS_OF - (1 + 17 * 37 % 500) * MILLIS_PER_HOUR,
    ]  # fmt: skip


def test_everybody_of_a_census_is_on_the_board(settled: Ward) -> None:
    """In his bed, without a score: a ward that looks before anything is charted sees no empty ward."""
    rows = json.loads(WardView(settled.service).patients(settled.at(252)))["patients"]
    assert len(rows) == BEDS
    assert {row["scored_total"] for row in rows} == {None}
    assert [row["bed"] for row in rows if row["patient"] == settled.key("17")] == ["17"]


def test_where_no_observations_follow_wards_say_so_and_not_400_patients(settled: Ward) -> None:
    """After four hours each ward is told as silent, once, beside the feed; no patient is overdue by then."""
    assert signals(settled) == {"feed_silent": 1, "ward_silent": WARDS}


def test_the_same_census_again_is_nothing_but_duplicates(new_ward: Callable[..., Ward]) -> None:
    """The same file sent twice changes no output, state or clock of the patients' stays."""
    ward = new_ward()
    take(ward, census(40))
    ward.chart("7", 3, WELL)
    digest, stay = ward.service.digest(), stay_of(ward, "7")
    assert take(ward, census(40), 5) == {"Duplicate": 80}
    assert ward.service.digest() == digest
    assert stay_of(ward, "7") == stay


def test_the_first_observation_after_it_is_scored_and_told(new_ward: Callable[..., Ward]) -> None:
    """A patient whom only the census announced is scored, and his emergency is told on the ward it named."""
    ward = new_ward()
    take(ward, census(20))
    ward.chart("3", 10, WELL)
    assert ward.score("3")["news2"]["total"] == 0
    assert ward.alerts() == []
    ward.chart("3", 20, SICK)
    [alert] = ward.alerts("3")
    assert (alert["state"], alert["ward"]) == ("raised", "Ward 3")


def test_a_census_that_is_older_than_a_move_moves_nobody_back(new_ward: Callable[..., Ward]) -> None:
    """Whichever comes first, a move of after the census's moment counts, and a discharge; one of before does not."""
    for census_first in (True, False):
        ward = new_ward()
        if census_first:
            take(ward, census(20))
        ward.adt("A02", "3", 30, ward="ICU")
        ward.adt("A03", "4", 30)
        ward.adt("A02", "5", 30, event_minute=-120, ward="ICU")
        if not census_first:
            take(ward, census(20), 31)
        stays = {key: stay_of(ward, key) for key in ("3", "4", "5")}
        told = {key: (stay.admitted, stay.location.ward) for key, stay in stays.items()}
        assert told == {"3": (True, "ICU"), "4": (False, told["4"][1]), "5": (True, "Ward 5")}, census_first


def test_the_newer_of_two_censuses_counts(new_ward: Callable[..., Ward]) -> None:
    """The second says who lies where now; the first, sent again, moves nobody."""
    ward = new_ward()
    first = census(20)
    moved = [Lying(one.patient, one.authority, Location("Ward Z", "1", "1"), visit=one.visit) for one in first]
    take(ward, first)
    take(ward, moved, 70, as_of=AS_OF + MILLIS_PER_HOUR)
    take(ward, first, 80)
    wards = {stay_of(ward, one.patient).location.ward for one in first}
    assert wards == {"Ward Z"}


HOUR = MILLIS_PER_HOUR
MOVES: dict[str, Event] = {
    "admitted": Admission(AS_OF - HOUR, Location("A&E")),
    "moved before": Transfer(AS_OF - HOUR // 2, Location("Ward X")),
    "moved after": Transfer(AS_OF + HOUR // 2, Location("Ward Y")),
    "left before": Discharge(AS_OF - HOUR // 4),
    "left after": Discharge(AS_OF + HOUR),
}
"""What ADT messages may say of a patient around the census's moment."""


@pytest.mark.parametrize("visit", ["", "V1"])
def test_in_whatever_order_it_comes_among_adt_messages_he_is_where_the_newest_says(visit: str) -> None:
    """Law, by trying all: of up to three ADT messages and the census, in any order, the newest by event time decides
    whether a patient is here and where.
    """
    lying = Lying("1", "MRN", Location("Ward C"), admitted=AS_OF - HOUR, visit=visit)
    told = [decode(data, Settings().hl7) for data in messages_of(lying, AS_OF, "PAS|MAIN")]
    census_events = [event for one in told if isinstance(one, Decoded) for event in one.events]
    assert len(census_events) == 2
    for names in (names for count in range(4) for names in combinations(sorted(MOVES), count)):
        expected = ("left after" not in names, "Ward Y" if "moved after" in names else "Ward C")
        for order in permutations([*census_events, *(MOVES[name] for name in names)]):
            stay = Stay()
            for event in order:
                if isinstance(event, Admission):
                    stay.admit(event, visit)
                elif isinstance(event, Transfer):
                    stay.transfer(event, visit)
                elif isinstance(event, Discharge):
                    stay.discharge(event, visit)
            assert (stay.admitted, stay.location.ward) == expected, (names, order)


def test_who_is_in_the_census_is_here_whatever_an_older_discharge_said(new_ward: Callable[..., Ward]) -> None:
    """A discharge of before the census's moment, whose cancellation was never heard, is overruled."""
    ward = new_ward()
    ward.admit("3", -600)
    ward.adt("A03", "3", -60)
    take(ward, census(20))
    assert stay_of(ward, "3").admitted


def test_who_left_with_an_emergency_and_is_in_the_census_is_told_again(new_ward: Callable[..., Ward]) -> None:
    """A census alerts nobody of whom it is the first news; one who had left with readings that still stand is told
    anew, on the ward that it names, for there he is said to lie.
    """
    ward = new_ward()
    ward.admit("3", -600)
    ward.chart("3", -70, SICK)
    ward.adt("A03", "3", -60)
    take(ward, census(20))
    told = [(alert["state"], alert["ward"]) for alert in ward.alerts("3")]
    assert told == [("raised", "Ward A"), ("expired", "Ward A"), ("raised", "Ward 3")]
    assert {alert["patient"] for alert in ward.alerts()} == {ward.key("3")}


def test_observations_in_a_flood_of_admissions_are_not_taken(new_ward: Callable[..., Ward]) -> None:
    """An A01 may carry OBX: what it says of then is no observation of now, and alerts nobody."""
    ward = new_ward()
    [data] = messages_of(Lying("1", "MRN", Location("Ward A"), birth_date="1950-01-01"), AS_OF, "PAS|MAIN")
    ward.send(data + b"OBX|1|NM|59408-5^SpO2^LN||70|%|||||F|||20251201\r", 1)
    assert (ward.outputs("alerts"), ward.outputs("scores")) == ([], [])
    assert stay_of(ward, "1").location.ward == "Ward A"


def test_old_observations_behind_it_go_to_the_board_or_are_told_as_late(new_ward: Callable[..., Ward]) -> None:
    """An engine that sends last night's chart too: an emergency that fresh normal readings have superseded is told
    nobody; one without a newer reading is told as late, with its age.
    """
    ward = new_ward()
    take(ward, census(20))
    ward.chart("1", 5, SICK, observed=-300)
    ward.chart("1", 5, WELL, observed=-10)
    ward.chart("2", 5, SICK, observed=-300)
    wait(ward, 0.5)
    assert {alert["disposition"] for alert in ward.alerts("1")} == {"board"}
    told = next(alert for alert in ward.alerts("2") if alert["disposition"] == "told")
    assert (told["reason"], told["late"], told["age_ms"] >= 300 * MILLIS_PER_MINUTE) == ("late_stands", True, True)


def test_an_answer_of_a_fhir_search_places_them_too(new_ward: Callable[..., Ward]) -> None:
    """Encounters under way go in as Bundles: patients lie there, nobody is alerted, the second time is nothing."""
    ward = new_ward()
    encounters = [
        {
            "resourceType": "Encounter", "id": f"e{number}", "status": "in-progress",
            "meta": {"lastUpdated": "2026-01-01T00:00:00Z"}, "period": {"start": "2025-12-31T00:00:00Z"},
            "subject": {"reference": f"Patient/{number}"}, "location": [{"location": {"display": "Ward A"}}],
        }
        for number in range(30)
    ]  # fmt: skip
    found = read_answers(["\n".join(map(json.dumps, encounters)).encode()])
    outcomes: list[Counter[str]] = []
    for minute in (1.0, 2.0):
        arrivals = [
            Arrival("f#1", ward.at(minute), resource, "fhir", decoded)
            for data in bundles_of(found)
            for decoded, resource in decode_each(data, Settings().fhir)
        ]
        outcomes.append(Counter(type(one).__name__ for one in ward.service.accept(arrivals)))
    assert outcomes == [{"Envelope": 30}, {"Duplicate": 30}]
    places = [
        record.state.stay.location.ward
        for record in map(ward.service.host.shelf.find, ward.service.patients())
        if record
    ]
    assert (places, ward.outputs("alerts")) == (["Ward A"] * 30, [])


def resent(arrivals: list[Arrival], folder: Path) -> tuple[str, str, int, int]:
    """Send a day, and all of it again; give both digests, and of the second time duplicates and all."""
    service = EmbeddedService(folder, Release(Settings(), "test"), {})
    service.accept(arrivals)
    first = service.digest()
    late = max(one.received_time or 0 for one in arrivals)
    again = [one.__class__(one.position, late, one.data, one.format, one.decoded) for one in arrivals]
    parsed = service.accept(again)
    digest = service.digest()
    service.close()
    return first, digest, sum(isinstance(one, Duplicate) for one in parsed), len(parsed)


def test_an_engine_that_sends_a_whole_day_again_changes_nothing(tmp_path: Path) -> None:
    """The simulated hospital's day again: every message is a duplicate, and the outputs are what they were."""
    arrivals = list(arrivals_of(hospital_stream(seed=5, beds=24, hours=24), Settings()))
    first, again, duplicates, count = resent(arrivals, tmp_path)
    assert (again, duplicates) == (first, count)


def test_a_published_hospital_s_messages_again_change_nothing(shared_data: Path, tmp_path: Path) -> None:
    """The first of SimHospital's messages, again: what was taken is a duplicate, what was refused is refused."""
    source = open_source(str(shared_data / "hl7v2" / "simhospital" / "default_pathways.hl7.gz"), SourceSettings())
    arrivals = list(islice(group_arrivals(source), PUBLISHED))
    first, again, duplicates, count = resent(arrivals, tmp_path)
    assert again == first
    assert count == PUBLISHED
    assert count - duplicates == sum(isinstance(one.decoded, Refusal) for one in arrivals)
