"""An act is read by its kind, becomes one event of the log, and what is none is refused with its reason and place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.limits import LIMIT_MS_MAX
from connectors.acts.codec import ACT_BYTES_MAX, Act, decoded_act, read_act
from connectors.acts.documents import ActKind
from connectors.acts.people import RIGHT_OF
from connectors.acts.reasons import REASONS
from connectors.decoded import Refusal
from events import Acknowledgement, Envelope, to_iso
from stream.identity import IdentityMap, Pseudonyms
from stream.parse import Duplicate, Parser, RecentMessages
from tests.connectors.acts.each_act import ALERT, AT, COMMON, EACH, LIMIT, PATIENT


def read(document: Any) -> Act:
    """Read what has to be an act."""
    act = read_act(json.dumps(document).encode())
    assert isinstance(act, Act), act
    return act


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(("document", "event"), EACH, ids=lambda one: one.get("kind") if isinstance(one, dict) else "")
def test_each_kind_becomes_its_event_by_who_authenticated(document: dict[str, Any], event: Any) -> None:
    """Each kind is one event, at the act's own time, of the actor who is given; the patient key is the document's."""
    decoded = decoded_act(read(document), "n1")
    assert (decoded.events, decoded.patient, decoded.event_time) == ((event,), PATIENT, AT)


def test_every_kind_is_tried_and_has_its_right() -> None:
    """The cases above have every kind, and each kind says which right it takes."""
    assert {document["kind"] for document, _ in EACH} == set(get_args(ActKind)) == set(RIGHT_OF)


def test_a_plain_acknowledgement_is_read_as_before() -> None:
    """Without a kind it is the acknowledgement of earlier releases; whom it names counts only as far as it is given."""
    act = read({"patient": PATIENT, "alert_id": "a-1", "actor": "nurse", "at": "2026-01-01T13:00:00+01:00"})
    assert act.plain
    assert decoded_act(act, "n1").events == (Acknowledgement(AT, "a-1", "n1"),)


def test_an_act_is_known_by_its_id_and_what_it_says() -> None:
    """The same document is the same act, whoever sends it and whenever; another id, or another document, is another."""
    first = decoded_act(read(EACH[0][0]), "n1").content_hash
    assert decoded_act(read({**EACH[0][0], "at": to_iso(AT + 1_000)}), "n1").content_hash == first
    assert decoded_act(read(dict(reversed(EACH[0][0].items()))), "n2").content_hash == first
    other = {**EACH[0][0], "act_id": "5f1c4cf9-0000-4000-8000-000000000002"}
    assert decoded_act(read(other), "n1").content_hash != first
    assert decoded_act(read({**EACH[1][0]}), "n1").content_hash != first


@pytest.mark.parametrize(
    ("data", "reason", "place"),
    [
        (b"", "garbage", "$"),
        (b"{", "garbage", "$"),
        ({**EACH[0][0], "alert_id": "Jane Doe, bed 4"}, "invalid_value", "$.alert_id"),
        ({**EACH[0][0], "x - at Jane Doe": 1}, "invalid_value", "$"),
        ({**EACH[0][0], "x - at `$.jane doe`": 1}, "invalid_value", "$"),
        (b"\xff", "garbage", "$"),
        (b"[]", "invalid_value", "$"),
        (b"null", "invalid_value", "$"),
        (b"[" * 4_000, "invalid_value", "$"),
        (b"{" + b" " * ACT_BYTES_MAX + b"}", "oversized", "$"),
        ({**ALERT, "kind": "resolve"}, "invalid_value", "$.kind"),
        ({**ALERT, "kind": 3}, "invalid_value", "$.kind"),
        (without(EACH[0][0], "act_id"), "invalid_value", "$"),
        ({**EACH[0][0], "act_id": "short"}, "invalid_value", "$.act_id"),
        ({**EACH[0][0], "actor": "doctor"}, "invalid_value", "$"),
        ({**EACH[0][0], "patient": "Doe, John"}, "invalid_value", "$.patient"),
        ({**EACH[0][0], "alert_id": "x" * 65}, "invalid_value", "$.alert_id"),
        ({**EACH[0][0], "at": "2026-01-01T12:00:00"}, "invalid_time", "$.at"),
        ({**EACH[0][0], "at": "0001-01-01T12:00:00Z"}, "invalid_time", "$.at"),
        (without(EACH[1][0], "reason"), "invalid_value", "$"),
        ({**EACH[1][0], "reason": "he is Mr Doe"}, "invalid_value", "$.reason"),
        ({**EACH[4][0], "decision": "perhaps"}, "invalid_value", "$.decision"),
        (without(LIMIT, "reason"), "invalid_value", "$"),
        ({**LIMIT, "limit": "no_alerts"}, "invalid_value", "$.limit"),
        ({**LIMIT, "limit": "scale_2"}, "invalid_value", "$.thresholds"),
        (without(LIMIT, "thresholds"), "invalid_value", "$.thresholds"),
        ({**LIMIT, "thresholds": {"notify_at": 9, "interrupt_at": 7}}, "invalid_value", "$.thresholds.interrupt_at"),
        ({**LIMIT, "thresholds": {"notify_at": 0, "interrupt_at": 7}}, "invalid_value", "$.thresholds.notify_at"),
        ({**LIMIT, "thresholds": {"notify_at": 7}}, "invalid_value", "$.thresholds"),
        ({**LIMIT, "expires_at": COMMON["at"]}, "invalid_value", "$.expires_at"),
        ({**LIMIT, "expires_at": to_iso(AT + LIMIT_MS_MAX + 1)}, "invalid_value", "$.expires_at"),
        ({**LIMIT, "expires_at": "never"}, "invalid_time", "$.expires_at"),
    ],
)
def test_what_is_no_act_is_refused(data: Any, reason: str, place: str) -> None:
    """Each fault has its reason and place, and nothing of the content is quoted."""
    refusal = read_act(data if isinstance(data, bytes) else json.dumps(data).encode(), "WARD")
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.position, refusal.feed) == (reason, place, "WARD")
    assert "Doe" not in refusal.detail


def test_the_page_has_every_reason() -> None:
    """The table of docs/acts.md is that of the code."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "acts.md").read_text(encoding="utf-8")
    table = page.partition("| reason | means |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| `{code}` | {words} |" for code, words in REASONS.items()]


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_bytes_make_it_raise(data: bytes | str) -> None:
    """Whatever comes is an act or a refusal."""
    assert isinstance(read_act(data if isinstance(data, bytes) else data.encode()), Refusal)


@given(st.sampled_from([document for document, _ in EACH]), st.data())
def test_a_changed_field_is_an_act_or_a_refusal(document: dict[str, Any], data: st.DataObject) -> None:
    """One field made anything at all never raises, and an act that is still one still becomes one event."""
    field = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.lists(st.integers()))
    act = read_act(json.dumps({**document, field: value}).encode())
    assert isinstance(act, Refusal) or len(decoded_act(act, "n1").events) == 1


def test_another_act_under_a_taken_id_is_not_a_repeat() -> None:
    """A withdrawal under the id of the limit that it ends is an act of its own; the same document again is none."""
    parser = Parser(IdentityMap(Pseudonyms(b"k")), RecentMessages())
    limit = {**LIMIT, "limit": "end_of_life", "thresholds": None, "reason": "comfort_care"}
    withdrawn = {**COMMON, "kind": "withdraw_limit", "limit_id": limit["limit_id"], "limit": "end_of_life"}
    parsed = [
        parser.step(decoded_act(read(document), actor), AT, "p")[0]
        for document, actor in ((limit, "doctor-7"), (withdrawn, "doctor-7"), (withdrawn, "doctor-8"))
    ]
    assert [type(one) for one in parsed] == [Envelope, Envelope, Duplicate]
