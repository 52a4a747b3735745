"""An alert's explanation through the alert's life: given with what is told of a score, repeated, and dropped."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from alerts.book import BEFORE_LIMITS, BOOK_SCHEMA_VERSION, AlertBook
from alerts.contract import from_json, to_json
from alerts.schema import alert_schema
from alerts.scored import Why
from alerts.telling import EventForm, JsonForm
from events import Acknowledgement
from models.explaining.told import ToldExplanation, ToldReason

HOUR = 3_600_000
MINUTE = 60_000


def told(at: int, log_odds: float = 0.405465) -> ToldExplanation:
    reasons = (
        ToldReason("respiration_rate", "respiration rate 29 /min, just measured", "raises", 0.5, 29.0, "/min", 0),
        ToldReason("lactate", "lactate never measured", "lowers", -0.12, None, "mmol/L", None),
    )
    return ToldExplanation(at, -3.9, log_odds, reasons, 49, round(log_odds + 3.9 - 0.38, 6))


class Asked:
    """Explains, and counts how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def at(self, at: int, log_odds: float = 0.405465) -> dict[str, Any]:
        """Give what goes to a scored moment."""

        def explain() -> Why:
            self.times += 1
            return Why((("respiration_rate", 0.5),), told(at, log_odds))

        return {"explain": explain}


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_what_is_told_of_a_score_says_why(bed: Any, asked: Asked) -> None:
    """Raised, risen and resolved each have their own score's explanation; a score of which nothing is said has none."""
    (raised,) = bed.score(0, probability=0.6, **asked.at(0))
    assert raised.explanation == told(0)
    assert raised.contributions[0].feature == "respiration_rate"
    assert bed.score(MINUTE, probability=0.62, **asked.at(MINUTE)) == []
    assert asked.times == 1
    (risen,) = bed.score(2 * MINUTE, probability=0.75, **asked.at(2 * MINUTE, 1.1))
    assert (risen.reason, risen.explanation) == ("risk_risen", told(2 * MINUTE, 1.1))
    bed.score(HOUR, probability=0.1, **asked.at(HOUR))
    (resolved,) = bed.score(2 * HOUR, probability=0.1, **asked.at(2 * HOUR, -2.2))
    assert (resolved.state, resolved.explanation) == ("resolved", told(2 * HOUR, -2.2))
    assert asked.times == 3


def test_what_follows_repeats_it_with_its_time(bed: Any, asked: Asked) -> None:
    """An answer and an escalation say again what the ward was told, as of when it was."""
    (raised,) = bed.score(0, probability=0.6, **asked.at(0))
    bed.score(MINUTE, probability=0.62, **asked.at(MINUTE))
    (taken,) = bed.keep(bed.book.acknowledge(Acknowledgement(2 * MINUTE, raised.alert_id, "nurse"), 2 * MINUTE))
    assert (taken.state, taken.explanation, taken.contributions) == ("acknowledged", told(0), raised.contributions)
    assert asked.times == 1


def test_who_abstains_explains_nothing(bed: Any, asked: Asked) -> None:
    """Where the model has no answer there is nothing to explain; when it has one again, that is explained."""
    bed.score(0, probability=0.6, **asked.at(0))
    (abstained,) = bed.score(MINUTE, probability=None, **asked.at(MINUTE))
    assert (abstained.reason, abstained.explanation, abstained.contributions) == ("abstained", None, ())
    (again,) = bed.score(2 * MINUTE, probability=0.6, **asked.at(2 * MINUTE))
    assert (again.reason, again.explanation) == ("risk_persists", told(2 * MINUTE))


def test_the_floor_explains_nothing(bed: Any, asked: Asked) -> None:
    """What NEWS2 alone says has the bytes it has without any model's explanation, and nobody is asked for one."""
    (floor,) = bed.score(0, bed.HIGH, **asked.at(0))
    assert (floor.trigger, floor.explanation, asked.times) == ("news2_floor", None, 0)
    assert b"explanation" not in to_json(floor)


def test_an_explained_event_keeps_to_the_contract(bed: Any, asked: Asked) -> None:
    """It validates, its times are ISO 8601, it is read back whole, and a ward's two forms of it agree."""
    (raised,) = bed.score(1_000, probability=0.6, **asked.at(1_000))
    content = to_json(raised)
    jsonschema.Draft202012Validator(alert_schema()).validate(json.loads(content))
    assert json.loads(content)["explanation"]["as_of"] == "1970-01-01T00:00:01Z"
    assert from_json(content) == raised
    assert JsonForm().wait(content, 3) == to_json(EventForm().wait(raised, 3))


def test_readers_of_before_read_it(bed: Any, asked: Asked) -> None:
    """It is an addition: who knows only the fields of before reads the same event, less the explanation."""
    (raised,) = bed.score(0, probability=0.6, **asked.at(0))
    document = json.loads(to_json(raised))
    assert document["contract"] == "1"
    del document["explanation"]
    assert from_json(msgspec.json.encode(document)) == msgspec.structs.replace(raised, explanation=None)


def test_a_book_that_explains_nothing_is_stored_as_before(bed: Any, asked: Asked) -> None:
    """Only an explained alert needs the newer form, it comes back whole, and it stays under two kilobytes."""
    bed.score(0, probability=0.6)
    assert bed.book.encode()[0] == BEFORE_LIMITS
    bed.score(HOUR, bed.HIGH, probability=0.9, **asked.at(HOUR))
    data = bed.book.encode()
    assert data[0] == BOOK_SCHEMA_VERSION
    assert AlertBook.decode(data) == bed.book
    assert len(data) < 2048
