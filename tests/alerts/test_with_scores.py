"""The alert book fed by the real patient state and the real NEWS2: the seams between the packages."""

from __future__ import annotations

from alerts.book import AlertBook
from alerts.configuration import AlertSettings
from alerts.contract import AlertEvent
from alerts.scored import ScoredContext
from events import Location, Observation
from features.state import PatientState
from models.news2 import News2, news2_evidence, score_news2

HOUR = 3_600_000
CODES = {
    "9279-1": ("/min", 16.0),
    "59408-5": ("%", 98.0),
    "8480-6": ("mm[Hg]", 120.0),
    "8867-4": ("/min", 70.0),
    "8310-5": ("Cel", 37.0),
    "3150-6": ("%", 21.0),
}


class Patient:
    """A patient charted by LOINC code, scored and judged by the floor alone."""

    def __init__(self) -> None:
        self.state = PatientState()
        self.book = AlertBook()
        self.results = 0

    def chart(self, at: int, only: tuple[str, ...] = (), event_time: int | None = None, **values: float) -> None:
        """Chart a set of vital signs; `values` are by code, as `c9279_1=30.0`."""
        changed = {code[1:].replace("_", "-"): value for code, value in values.items()}
        for code, (unit, usual) in CODES.items():
            if not only or code in only:
                self.results += 1
                observation = Observation(
                    self.results,
                    (("loinc", code),),
                    changed.get(code, usual),
                    unit,
                    at if event_time is None else event_time,
                )
                self.state.observe(observation, at, f"m{at}")

    def news2(self, at: int) -> News2:
        """Score as of `at`."""
        return score_news2(self.state, at)

    def assess(self, at: int) -> list[AlertEvent]:
        """Score as of `at` and let the book speak."""
        scored = ScoredContext(
            patient="p",
            encounter="e",
            location=Location(ward="W"),
            envelope_id=f"e{at}",
            at=at,
            event_time=at,
            news2=self.news2(at),
            prediction=None,
            verdicts=(),
            settings=AlertSettings(),
            readings=lambda: news2_evidence(self.state, at),
        )
        return self.book.assess(scored)


def test_an_emergency_cites_the_readings_that_made_it() -> None:
    """A charted emergency is raised with each value, its unit and its message."""
    patient = Patient()
    patient.chart(0, c9279_1=30.0, c59408_5=91.0, c8480_6=95.0)
    (event,) = patient.assess(0)
    assert (event.state, event.priority) == ("raised", "interrupt")
    assert [(item.feature, item.value, item.unit, item.message_id) for item in event.evidence][:2] == [
        ("respiration_rate", 30.0, "/min", "m0"),
        ("spo2", 91.0, "%", "m0"),
    ]


def test_an_aged_input_updates_the_alert_at_the_book_s_deadline() -> None:
    """When the book's deadline for the oldest input comes and the patient is scored anew, the loss is told."""
    patient = Patient()
    patient.chart(0, c9279_1=30.0, c59408_5=91.0, c8480_6=95.0)
    patient.assess(0)
    others = tuple(code for code in CODES if code != "9279-1")
    patient.chart(6 * HOUR, only=others, c59408_5=91.0, c8480_6=95.0)
    assert patient.assess(6 * HOUR) == []
    assert patient.book.floor.open is not None
    review_at = patient.book.floor.open.review_at
    assert review_at == 12 * HOUR + 1
    assert patient.assess(review_at - 1) == []
    (event,) = patient.assess(review_at)
    assert (event.reason, event.parameters, event.priority) == ("input_expired", ("respiration_rate",), "notify")
    assert patient.book.floor.memory.rank == 3


def test_an_impossible_value_is_told_and_the_good_one_counts_on() -> None:
    """A saturation of 6932 % during an alert: told as quarantined, the band unchanged."""
    patient = Patient()
    patient.chart(0, c9279_1=30.0, c59408_5=91.0, c8480_6=95.0)
    patient.assess(0)
    patient.chart(HOUR, only=("59408-5",), c59408_5=6932.0)
    (event,) = patient.assess(HOUR)
    assert (event.reason, event.parameters) == ("input_quarantined", ("spo2",))
    assert event.news2 is not None
    assert event.news2.total >= 7


def test_old_news_that_is_superseded_pages_nobody() -> None:
    """An emergency charted late behind fresh normal readings raises nothing; with nothing newer it raises, late."""
    superseded, only_news = Patient(), Patient()
    superseded.chart(5 * HOUR)
    superseded.assess(5 * HOUR)
    for patient in (superseded, only_news):
        patient.chart(5 * HOUR, event_time=2 * HOUR, c9279_1=30.0, c59408_5=91.0, c8480_6=95.0)
    assert superseded.assess(5 * HOUR) == []
    (shown,) = only_news.assess(5 * HOUR)
    assert (shown.late, shown.age_ms, shown.disposition) == (True, 3 * HOUR, "board")
    (event,) = only_news.assess(5 * HOUR + 60_000)
    assert (event.late, event.age_ms, event.priority) == (True, 3 * HOUR + 60_000, "interrupt")


def test_recovery_on_real_scores_resolves() -> None:
    """Two normal sets of observations an hour apart resolve, though consciousness was never charted."""
    patient = Patient()
    patient.chart(0, c9279_1=30.0, c59408_5=91.0, c8480_6=95.0)
    patient.assess(0)
    patient.chart(HOUR)
    assert patient.assess(HOUR) == []
    patient.chart(2 * HOUR)
    (event,) = patient.assess(2 * HOUR)
    assert (event.state, event.reason) == ("resolved", "calm")
