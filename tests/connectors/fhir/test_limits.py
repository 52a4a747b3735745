"""Claims about Flag, ServiceRequest and Condition: nothing unless the site chose it, and never the floor's silence."""

from __future__ import annotations

import re
from typing import Any

import fhir.resources.flag as r5_flag
import fhir.resources.R4B.flag as r4b_flag
import fhir.resources.R4B.servicerequest as r4b_request
import fhir.resources.servicerequest as r5_request
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.limits import PatientLimits
from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.fhir.codec import decode
from connectors.fhir.operation_outcome import issue_of
from connectors.fhir.settings import FhirSettings
from events import MILLIS_PER_HOUR, Demographics, Limit, from_iso
from features.pregnancy import is_pregnant
from features.state import PatientState

DAY = 24 * MILLIS_PER_HOUR
SCT = "http://snomed.info/sct"
SCALE_2, NO_CALLS, PREGNANT = f"{SCT}|1101000175101", f"!{SCT}|89666000", f"{SCT}|77386006"
SETTINGS = FhirSettings(
    server="ehr",
    limits={SCALE_2: "scale_2", NO_CALLS: "not_for_escalation"},
    limit_authors=("Practitioner/17", "http://hosp/staff|9"),
    pregnancy_conditions=(PREGNANT,),
)
SENT, END = "2026-03-03T12:00:00Z", "2026-03-20T00:00:00Z"
AT = from_iso(SENT)


def flag(**changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Flag",
        "id": "f1",
        "meta": {"versionId": "2", "lastUpdated": SENT},
        "status": "active",
        "code": {"coding": [{"system": SCT, "code": "1101000175101"}]},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-03-01T00:00:00Z", "end": END},
        "author": {"reference": "Practitioner/17"},
    }
    return {name: value for name, value in (resource | changes).items() if value is not ...}


def request(**changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "meta": {"lastUpdated": SENT},
        "status": "active",
        "intent": "order",
        "doNotPerform": True,
        "code": {"coding": [{"system": SCT, "code": "89666000"}]},
        "subject": {"reference": "Patient/p1"},
        "requester": {"reference": "http://ehr/fhir/Practitioner/17"},
    }
    return {name: value for name, value in (resource | changes).items() if value is not ...}


def condition(**changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Condition",
        "id": "c1",
        "meta": {"lastUpdated": SENT},
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": {"coding": [{"system": SCT, "code": "77386006"}]},
        "subject": {"reference": "Patient/p1"},
    }
    return resource | changes


def result(resource: dict[str, Any], settings: FhirSettings = SETTINGS) -> Decoded | Refusal:
    [found] = decode(msgspec.json.encode(resource), settings)
    return found


def limit(resource: dict[str, Any]) -> Limit:
    found = result(resource)
    assert isinstance(found, Decoded), found
    [event] = found.events
    assert isinstance(event, Limit)
    return event


def test_nothing_unless_the_site_chose_it() -> None:
    """By default a Flag, a ServiceRequest and a Condition hold nothing for us; nor do other codes."""
    for resource in (flag(), request(), condition(), flag(status="bogus"), flag(author=...)):
        found = result(resource, FhirSettings(server="ehr"))
        assert isinstance(found, Decoded)
        assert (found.events, found.subject) == ((), ())
    other = {
        "coding": [
            {"system": SCT, "code": "1"},
            {"system": "urn:x", "code": "1101000175101"},
            {"code": "1101000175101"},
        ]
    }
    first = flag(code=other, meta={"versionId": "1", "lastUpdated": SENT})
    for resource in (first, request(code=other), condition(code=other), request(doNotPerform=...)):
        found = result(resource)
        assert isinstance(found, Decoded)
        assert found.events == ()


def test_a_flag_sets_a_limit() -> None:
    """An active Flag of a named author sets its limit to its end, decided when this version was stored."""
    for model in (r4b_flag.Flag, r5_flag.Flag):
        model.model_validate(flag())
    found = limit(flag())
    assert (found.event_time, found.kind, found.expires_at) == (AT, "scale_2", from_iso(END))
    assert (found.limit_id, found.withdrawn) == ("fhir/ehr/Flag/f1", False)
    assert re.fullmatch(r"fhir/ehr/[0-9a-f]{12}", found.actor), "a pseudonym, and no reference to a person"
    assert PatientLimits().take(found, AT) == "limit_set"


def test_a_request_sets_a_limit() -> None:
    """An order in force does too; what is not to be done is another code than what is; R5 has its code one deeper."""
    r4b_request.ServiceRequest.model_validate(request())
    deeper = request(code={"concept": request()["code"]})
    r5_request.ServiceRequest.model_validate(deeper)
    assert limit(request()) == limit(deeper)
    assert limit(request()).kind == "not_for_escalation"


def test_without_an_end_a_week() -> None:
    """What nobody repeats within a week is looked at again."""
    assert limit(request()).expires_at == AT + 7 * DAY
    assert limit(flag(period=...)).expires_at == AT + 7 * DAY


@pytest.mark.parametrize(
    "changes", [{"status": "inactive"}, {"status": "entered-in-error"}, {"period": {"end": "2026-03-03T11:59:59Z"}}]
)
def test_what_ends_a_limit(changes: dict[str, Any]) -> None:
    """An inactive, mistaken or ended Flag takes its limit back, whoever wrote it: that only tells more."""
    ended = limit(flag(**changes, author={"reference": "Practitioner/99"}))
    assert ended.withdrawn
    limits = PatientLimits()
    limits.take(msgspec.structs.replace(limit(flag()), event_time=AT - 1), AT)
    assert limits.take(ended, AT) == "limit_withdrawn"
    assert not limits.at(AT).scale_2


def test_a_flag_that_no_longer_has_the_code_ends_its_limit() -> None:
    """A wrong code is mended in the Flag, and not only by a new one: what it had set must not last for 90 days."""
    limits = PatientLimits()
    limits.take(msgspec.structs.replace(limit(flag()), event_time=AT - 1), AT)
    assert limits.at(AT).scale_2
    recoded = flag(code={"coding": [{"system": SCT, "code": "fall risk"}]})
    assert limits.take(limit(recoded), AT) == "limit_withdrawn"
    assert not limits.at(AT).scale_2
    of_a_ward = result(recoded | {"subject": {"reference": "Location/7"}})
    assert isinstance(of_a_ward, Decoded)
    assert of_a_ward.events == ()


@pytest.mark.parametrize("status", ["on-hold", "revoked", "completed", "unknown"])
def test_what_ends_a_request(status: str) -> None:
    """An order that is not in force sets nothing, and ends what it had set."""
    assert limit(request(status=status)).withdrawn


@pytest.mark.parametrize(
    "changes", [{"intent": "proposal"}, {"intent": "plan"}, {"intent": "option"}, {"status": "draft"}]
)
def test_what_is_no_order(changes: dict[str, Any]) -> None:
    """A proposal, a plan and a draft decide nothing."""
    found = result(request(**changes))
    assert isinstance(found, Decoded)
    assert found.events == ()


@pytest.mark.parametrize(
    ("changes", "reason", "position"),
    [
        ({"author": {"reference": "Practitioner/18"}}, RefusalReason.NOT_ENTITLED, "$.author"),
        ({"author": {"reference": "Device/17"}}, RefusalReason.NOT_ENTITLED, "$.author"),
        ({"author": {"display": "Practitioner/17"}}, RefusalReason.NOT_ENTITLED, "$.author"),
        ({"author": {"identifier": {"system": "http://other", "value": "9"}}}, RefusalReason.NOT_ENTITLED, "$.author"),
        ({"author": ...}, RefusalReason.MISSING_FIELD, "$.author"),
        ({"status": ...}, RefusalReason.MISSING_FIELD, "$.status"),
        ({"id": ...}, RefusalReason.MISSING_FIELD, "$.id"),
        ({"meta": ...}, RefusalReason.MISSING_FIELD, "$.meta.lastUpdated"),
        ({"subject": ...}, RefusalReason.MISSING_IDENTIFIER, "$.subject"),
        ({"period": {"end": "2026-07-01"}}, RefusalReason.INVALID_TIME, "$.period.end"),
        ({"period": {"start": "2026-03-04"}}, RefusalReason.INVALID_TIME, "$.period.start"),
        ({"period": {"end": "soon"}}, RefusalReason.INVALID_TIME, "$.period.end"),
        ({"status": "bogus"}, RefusalReason.INVALID_VALUE, "$.status"),
    ],
)
def test_a_chosen_code_is_never_passed_over_silently(changes: Any, reason: RefusalReason, position: str) -> None:
    """Where somebody believes a limit in force and it is not, there is a dead letter that says why."""
    found = result(flag(**changes))
    assert isinstance(found, Refusal), found
    assert (found.reason, found.position, found.feed) == (reason, position, "ehr")


@pytest.mark.parametrize("resource", [flag(meta=..., period=...), condition(meta={"versionId": "3"})])
def test_a_page_read_again_renews_nothing(resource: dict[str, Any]) -> None:
    """Without meta.lastUpdated the Bundle's time is none of a version's: a limit would last for as long as we poll."""
    bundle = {"resourceType": "Bundle", "type": "searchset", "timestamp": SENT, "entry": [{"resource": resource}]}
    [found] = decode(msgspec.json.encode(bundle), SETTINGS)
    assert isinstance(found, Refusal), found
    assert found.position == "$.entry[0].resource.meta.lastUpdated"


def test_an_outcome_says_who_may_not() -> None:
    """Over HTTP a refused limit is `forbidden` at its author, with the path in FHIRPath."""
    found = result(flag(author={"reference": "Practitioner/18"}))
    assert isinstance(found, Refusal)
    issue = issue_of(found)
    assert (issue.severity, issue.code, issue.expression) == ("error", "forbidden", "Flag.author")


@given(st.sampled_from([flag(), request(), condition()]), st.data())
def test_it_never_raises(resource: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands in a field of a chosen resource, there is a result."""
    name = data.draw(st.sampled_from(sorted(resource)))
    junk = data.draw(
        st.recursive(st.none() | st.booleans() | st.text(max_size=9) | st.integers(), st.lists, max_leaves=4)
    )
    found = result(resource | {name: junk})
    assert isinstance(found, Decoded | Refusal)


def test_an_author_by_identifier_and_by_url() -> None:
    """An author is named as the site named him: a reference of this server, or an identifier."""
    assert limit(flag(author={"identifier": {"system": "http://hosp/staff", "value": "9"}})).kind == "scale_2"
    assert limit(flag(author={"reference": "http://ehr/fhir/Practitioner/17/_history/3"})).kind == "scale_2"
    foreign = msgspec.structs.replace(SETTINGS, bases=("http://ehr/fhir",))
    found = result(flag(author={"reference": "http://elsewhere/fhir/Practitioner/17"}), foreign)
    assert isinstance(found, Refusal)
    assert found.reason is RefusalReason.NOT_ENTITLED


def test_any_order_of_versions() -> None:
    """The newest version holds, in whatever order they come."""
    first = limit(flag(meta={"lastUpdated": "2026-03-01T12:00:00Z"}))
    ended = limit(flag(status="inactive"))
    for order in ((first, ended), (ended, first)):
        limits = PatientLimits()
        for one in order:
            limits.take(one, AT)
        assert not limits.at(AT).scale_2


@pytest.mark.parametrize("kind", ["end_of_life", "thresholds", "pregnancy"])
def test_no_feed_silences_the_floor(kind: str) -> None:
    """What silences the floor cannot be configured for a feed: it is an act, with a right and a proof of who it is."""
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value"):
        msgspec.convert({"limits": {SCALE_2: kind}, "limit_authors": ["Practitioner/17"]}, FhirSettings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"limits": {SCALE_2: "scale_2"}}, "limit_authors: empty"),
        ({"limits": {"scale": "scale_2"}, "limit_authors": ["x"]}, "expected 'system|code'"),
        ({"pregnancy_conditions": ["77386006"]}, "expected 'system|code'"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], words: str) -> None:
    """A table that could never count is refused at the start."""
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(settings, FhirSettings)
    assert words in str(raised.value)


def pregnant_after(*conditions: dict[str, Any]) -> bool:
    state = PatientState()
    for one in conditions:
        found = result(one)
        assert isinstance(found, Decoded)
        [event] = found.events
        assert isinstance(event, Demographics)
        state.apply(event, AT)
    return is_pregnant(state, AT)


def test_a_condition_says_a_pregnancy() -> None:
    """Active and confirmed: pregnant, as by PV1-15. Resolved, refuted, provisional or unsaid: not."""
    assert pregnant_after(condition())
    later = {"meta": {"lastUpdated": "2026-03-03T12:00:01Z"}}
    for changes in (
        {"clinicalStatus": {"coding": [{"code": "resolved"}]}},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}},
        {"verificationStatus": {"coding": [{"code": "provisional"}]}},
        {"clinicalStatus": {}},
    ):
        found = result(condition(**changes, **later))
        assert isinstance(found, Decoded)
        [event] = found.events
        assert isinstance(event, Demographics)
        assert event.pregnant is False


@pytest.mark.parametrize("name", ["onsetDateTime", "recordedDate"])
def test_a_pregnancy_of_years_ago_is_none(name: str) -> None:
    """An active Condition that nobody cleared, stored anew, would silence the floor: it is a dead letter."""
    assert pregnant_after(condition(**{name: "2025-06-01"}))
    found = result(condition(**{name: "2023-06-01"}))
    assert isinstance(found, Refusal)
    assert (found.reason, found.position) == (RefusalReason.INVALID_TIME, f"$.{name}")
    assert not pregnant_after(condition(abatementDateTime="2026-03-01"))


def test_a_condition_sets_no_limit() -> None:
    """A diagnosis is no decision: a code chosen for Flags does nothing in a Condition."""
    found = result(condition(code=flag()["code"]))
    assert isinstance(found, Decoded)
    assert found.events == ()
