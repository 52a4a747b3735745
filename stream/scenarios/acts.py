"""What people do in a story, as the documents and control events that reach the service.

Owns the documents of acts, who the story's people are, and the control events of operators. Must not know a host.
"""

from __future__ import annotations

import msgspec

from connectors.acts.codec import Act, decoded_act, read_act
from connectors.acts.door import Door, Who
from connectors.acts.people import PeopleSettings, Person
from connectors.decoded import Decoded, Refusal, RefusalReason
from events import Configuration, Event, KillSwitch, Millis, Promotion, content_id, to_iso
from events.control import Standing
from stream.scenarios.moments import span
from stream.scenarios.names import Names
from stream.scenarios.sense import settings_of
from stream.scenarios.words import Step, Story
from stream.settings import configuration_hash, configuration_text

PEOPLE: dict[str, Person] = {
    "nurse": Person("nurse", ("acknowledge", "feedback"), token_sha256="1" * 64),
    "doctor": Person("doctor", ("acknowledge", "feedback", "review", "limit"), token_sha256="2" * 64),
    "outreach": Person("outreach", ("acknowledge", "feedback", "review"), token_sha256="3" * 64),
    "ward_system": Person("ward_system", ("acknowledge",), token_sha256="4" * 64),
}
"""Who may act in a story, as `by` says it. Anybody else is nobody the door knows."""
ACTS = ("acknowledge", "agree", "disagree", "dismiss", "review", "limit")
CONTROLS = ("kill_switch", "promote", "standing", "configure")


class Subject(msgspec.Struct, frozen=True):
    """Whom an act is about, as the ward was told it."""

    patient: str
    alert_id: str = ""
    score_id: str = ""


def act_document(step: Step, verb: str, number: int, at: Millis, start: Millis, subject: Subject) -> bytes:
    """Write the document of an act, as a ward system hands it in."""
    document: dict[str, object] = {
        "kind": verb,
        "act_id": f"story-act-{number:06d}-{content_id(subject.patient, str(at))[:8]}",
        "patient": subject.patient,
        "at": to_iso(at),
    }
    if step.reason:
        document["reason"] = step.reason
    if verb == "review":
        document |= {"score_id": subject.score_id or "unknown", "decision": step.review}
    elif step.limit is not None:
        limit = step.limit
        document |= {"limit_id": f"story-{limit.kind}", "limit": limit.kind}
        if limit.ended:
            document["kind"] = "withdraw_limit"
        else:
            document["expires_at"] = to_iso(start + span(limit.until))
        if limit.kind == "thresholds" and not limit.ended:
            document["thresholds"] = {
                "notify_at": limit.notify_at,
                "interrupt_at": limit.interrupt_at,
                "tell_red": limit.tell_red,
            }
    else:
        document["alert_id"] = subject.alert_id or "unknown"
    return msgspec.json.encode(document)


def take_act(data: bytes, by: str, received: Millis) -> Decoded | Refusal:
    """Let an act in by the door, or say why not: the same checks whoever hosts it."""
    act = read_act(data)
    if not isinstance(act, Act):
        return act
    person = PEOPLE.get(by)
    if person is None:
        return Refusal(RefusalReason.UNAUTHORISED, "actor", "somebody who may not act here")
    refusal = Door(PeopleSettings(actors=PEOPLE)).refusal(Who(by, person), act, received)
    return refusal or decoded_act(act, by)


def control_event(story: Story, names: Names, step: Step, verb: str, at: Millis, version: str) -> Event:
    """Give the control event of what an operator does."""
    if verb == "kill_switch":
        return KillSwitch(at, step.kill_switch == "engage", step.reason)
    if verb == "promote":
        return Promotion(at, "" if step.promote == "none" else version, step.promote == "aloud")
    if verb == "standing":
        return Standing(at, version, step.standing or "good", step.reason)
    settings = settings_of(story, step.configure, names.ward)
    return Configuration(at, configuration_hash(settings), configuration_text(settings))
