"""Claims about our subscriptions on a server: each wanted one is there once, alive, and lasts; others are let be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.fhir_sources.numbers import EventNumbers
from connectors.fhir_sources.pages import Found
from connectors.fhir_sources.settings import FhirServer, FhirSources, SubscriptionSettings
from connectors.fhir_sources.subscribing import TWINS, There, Wanted, document, judge, read_there, wanted_of
from events import MILLIS_PER_SECOND

NOW = 1_770_000_000_000
ENDPOINT = "https://ward.example/fhir/subscriptions/ehr"
LASTS_S = 7 * 86_400.0
ENDS = NOW + int(LASTS_S * MILLIS_PER_SECOND)
WANT = Wanted("Observation?")


def there(**fields: object) -> There:
    """Give a subscription as we made it, but for some fields."""
    values: dict[str, object] = {
        "id": "1",
        "status": "active",
        "criteria": WANT.criteria,
        "endpoint": ENDPOINT,
        "headers": ("Authorization: Bearer s",),
        "ends": ENDS,
        "changed": NOW,
        "wanted": WANT,
    }
    return There(**{**values, **fields})  # type: ignore[arg-type] # a test's own


def steps(*found: There, wanted: tuple[Wanted, ...] = (WANT,)) -> list[tuple[str, str, str]]:
    """Give what is to be done: the step, to which, and why."""
    todo = judge(wanted, found, endpoint=ENDPOINT, secret="s", lasts_s=LASTS_S, now=NOW)  # noqa: S106 - a test's own
    return [(one.step, one.there.id if one.there else "", one.why) for one in todo]


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({}, ("keep", "1", "")),
        ({"status": "requested"}, ("keep", "1", "")),
        ({"status": "requested", "changed": NOW - 700_000}, ("remake", "1", "the server does not activate it")),
        ({"status": "error"}, ("remake", "1", "its status is error")),
        ({"status": "off"}, ("remake", "1", "its status is off")),
        ({"status": "Müller"}, ("remake", "1", "its status is none that we know")),
        ({"headers": ("Authorization: Bearer old",)}, ("remake", "1", "it does not know our secret")),
        ({"headers": ()}, ("keep", "1", "")),
        ({"ends": NOW - 1}, ("remake", "1", "it has ended")),
        ({"ends": NOW + int(LASTS_S * 400)}, ("renew", "1", "")),
        ({"ends": None}, ("keep", "1", "")),
    ],
)
def test_what_is_done_about_one(fields: dict[str, object], step: tuple[str, str, str]) -> None:
    """Alive it is kept, towards its end renewed, and dead made anew; a header that is not shown is not judged."""
    assert steps(there(**fields)) == [step]


def test_one_of_each_is_there_and_what_is_not_wanted_goes() -> None:
    """Twins are removed, and so is what nobody wants any more; of another endpoint nothing is touched."""
    assert steps() == [("create", "", "")]
    assert steps(there(), there(id="2")) == [("remove", "1", ""), ("remake", "2", TWINS)]
    assert steps(there(status="error"), there(id="0")) == [("remove", "1", ""), ("remake", "0", TWINS)]
    assert steps(there(), there(id="2", status="requested")) == [("remove", "2", ""), ("remake", "1", TWINS)]
    other = Wanted("Flag?")
    assert steps(there(wanted=other, criteria="Flag?")) == [("create", "", ""), ("remove", "1", "")]
    assert steps(there(endpoint="https://other.example/hook", status="error")) == [("create", "", "")]
    assert steps(there(), wanted=()) == [("remove", "1", "")]


def test_what_is_written_is_read_back() -> None:
    """A document that a server gives back as it got it is known as the one we want, in either style."""
    for style in ("criteria", "topic"):
        chosen = SubscriptionSettings(
            style,  # type: ignore[arg-type] # of the literals
            ENDPOINT,
            "secret",
            topic="http://topic",
            filters=("Observation?category=vital-signs",),
            content="id-only",
        )
        for want in wanted_of(FhirServer("https://ehr.example/fhir", ("Patient", "Flag"), subscription=chosen)):
            data = document(want, ENDPOINT, "s", ENDS, status="active", identity="1")
            found = read_there(Found("Subscription", "1", "1", NOW, data))
            assert found is not None
            assert steps(found, wanted=(want,)) == [("keep", "1", "")]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"channel":7}', b'{"status":null}', b"\xff"])
def test_a_subscription_that_cannot_be_read_is_none(data: bytes) -> None:
    """Nothing of a server's answer is an exception."""
    assert read_there(Found("Subscription", "1", "1", NOW, data)) is None


@given(st.integers(1, 40), st.data())
def test_every_event_is_heard_or_told_missing(count: int, data: st.DataObject) -> None:
    """In whatever order and however often events come, or do not: each up to the newest is heard or told, gaps once."""
    delivered = data.draw(st.lists(st.integers(1, count), min_size=1, max_size=60))
    numbers = EventNumbers()
    numbers.hear([], 0)
    told: list[int] = []
    for number in delivered:
        gap = numbers.hear([number], data.draw(st.sampled_from([number, None, max(delivered)])))
        if gap is not None:
            told += [one for one in range(gap.first, gap.last + 1) if one != number]
    assert set(delivered) | set(told) == set(range(1, max(delivered) + 1))
    assert all(first < second for first, second in pairwise(told)), "a gap is told once"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_url": ""}, "base_url: expected a URL"),
        ({"base_url": "https://ehr.example/fhir/"}, "base_url: ends with a slash"),
        ({"base_url": "https://u:p@ehr.example/fhir"}, "base_url: expected a URL"),
        ({"base_url": "https://ehr.example/fhir?x=1"}, "base_url: expected a URL"),
        ({"base_url": "http://ehr.example/fhir"}, "base_url: http beyond this machine"),
        ({"base_url": "http://ehr.example", "without_tls": True, "token_file": "t"}, "without_tls: a token"),
        ({"types": ()}, "types: empty"),
        ({"types": ("Obs",)}, "types: 'Obs'"),
    ],
)
def test_a_server_that_cannot_be_is_refused(fields: dict[str, object], words: str) -> None:
    """The key and what is expected are named."""
    with pytest.raises(ValueError, match=words):
        FhirServer(**{"base_url": "https://ehr.example/fhir", **fields})  # type: ignore[arg-type] # a test's own


def test_a_name_is_short_and_plain() -> None:
    """It is a label of metrics and a part of a path."""
    with pytest.raises(ValueError, match=r"servers: '\.\./x'"):
        FhirSources({"../x": FhirServer("https://ehr.example/fhir")})
