"""The `[wards]` table: what it refuses, and who hears of a ward."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.ward_settings import WardSettings, read_wards, subscribers_of, write_wards
from guardrails.configuration import ConfigurationError
from tests.alerts.ward_traffic import SETTINGS

NAMES = st.sampled_from(["W1", "W2", "W3", "pager", "*"])


@given(SETTINGS)
def test_the_text_in_the_log_says_the_settings(settings: WardSettings) -> None:
    """What is written is read back the same, and equal settings are the same text."""
    assert read_wards(write_wards(settings)) == settings
    assert write_wards(read_wards(write_wards(settings))) == write_wards(settings)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"shift_starts": ()}, "shift_starts"),
        ({"shift_starts": ("19:00", "07:00")}, "shift_starts"),
        ({"shift_starts": ("07:00", "07:00")}, "shift_starts"),
        ({"shift_starts": ("7",)}, "shift_starts"),
        ({"catch_all": ""}, "catch_all"),
        ({"catch_all": "", "subscribers": {"pager": ("W1",)}}, "catch_all"),
        ({"catch_all": "a,b"}, "catch_all"),
        ({"subscribers": {"pager": ()}}, "subscribers.pager"),
        ({"subscribers": {"a,b": ("W1",)}}, "subscribers.a,b"),
    ],
)
def test_what_contradicts_itself_is_refused_by_its_key(wrong: dict[str, Any], key: str) -> None:
    """A zone, a start, a subscriber or a catch-all that cannot be is named by its key."""
    with pytest.raises(ConfigurationError) as refusal:
        WardSettings(**wrong)
    assert refusal.value.key == key


@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=3), st.text(max_size=6))
def test_nobody_is_without_somebody_who_hears(subscribers: dict[str, tuple[str, ...]], ward: str) -> None:
    """Whatever is declared and whatever a ward is called: somebody hears of it, or the declaration is refused."""
    covered = subscribers_of(ward, WardSettings(subscribers=subscribers))
    assert covered == (tuple(n for n in sorted(subscribers) if {ward, "*"} & set(subscribers[n])) or ("board",))
    try:
        bare = WardSettings(subscribers=subscribers, catch_all="")
    except ConfigurationError:
        return
    assert subscribers_of(ward, bare)
    assert "" not in subscribers_of(ward, bare)


def test_a_subscriber_of_every_ward_may_stand_for_the_catch_all() -> None:
    """Without a catch-all a site may start where somebody covers all wards."""
    settings = WardSettings(catch_all="", subscribers={"audit": ("*",), "pager": ("W1",)})
    assert subscribers_of("seen for the first time", settings) == ("audit",)
