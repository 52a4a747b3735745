"""The words a ward story is written in.

Owns the shape of a story: its patients, its steps in time, and what is expected. Must not know YAML, messages or hosts.
What stands in a description here is what the schema for editors and the table in scenarios/WORDS.md say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from alerts.contract import Reason

Moment = Annotated[str, msgspec.Meta(pattern=r"^\+\d+:[0-5]\d(:[0-5]\d)?$")]
"""Hours, minutes and seconds since the story's start: `+0:10`, `+26:00`."""
WallTime = Annotated[str, msgspec.Meta(pattern=r"^(\+\d+:[0-5]\d(:[0-5]\d)?|\d{4}-\d\d-\d\d \d\d:\d\d)$")]
"""A moment, or the time on the ward's clock, sent without an offset as many charts send it."""
Value = float | str | None
Trigger = Literal["floor", "model"]
Target = Literal["floor", "model", "unknown"]
How = Literal["interrupt", "notify", "board", "held", "shadow", "waiting"]
Format = Literal["hl7", "fhir"]


def said(words: str) -> msgspec.Meta:
    """Describe a field for whoever writes a story."""
    return msgspec.Meta(description=words)


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who a story is about. Names are made up; they travel in the messages and must never come out."""

    age: Annotated[int | None, said("Age in years at the start; left out, the birth date is not sent.")] = None
    born: Annotated[str, said("A birth date in place of an age: `2026-01-03`.")] = ""
    sex: Annotated[Literal["female", "male", "other", "unknown"] | None, said("Administrative sex.")] = None
    mrn: Annotated[str, said("The hospital's number; given by order where it is left out.")] = ""
    authority: Annotated[str, said("Who gave the number, where not this hospital.")] = ""


class Risk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One point of the line a stand-in model follows."""

    at: Annotated[float, said("The input's value, in the catalogue's unit.")]
    risk: Annotated[str, said("The probability there: `40 %`.")]


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A stand-in for a model version: one risk for everybody, or one that follows an input."""

    risk: Annotated[str, said("One probability for everybody: `40 %`.")] = ""
    follows: Annotated[str, said("An input of the model: `lactate.last`, `news2.total`.")] = ""
    low: Annotated[Risk | None, said("A first point of the line; also the risk where the input is unknown.")] = None
    high: Annotated[Risk | None, said("A second point of the line.")] = None
    usual: Annotated[
        dict[str, tuple[float, float]], said("What it was made on: of one input, the range; beyond it is unlike.")
    ] = {}
    interval: Annotated[
        tuple[str, str] | None, said("The interval around each of its probabilities: `[5 %, 60 %]`.")
    ] = None
    served: Annotated[
        dict[str, dict[str, tuple[int, int]]],
        said("What it counted by group: of so many outcomes it called so many, `sex: {female: [60, 20]}`."),
    ] = {}
    shadow: Annotated[bool, said("Computed and recorded, told to nobody.")] = False
    absent: Annotated[bool, said("In force and not at hand: its file is gone.")] = False


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a clinician sets for one patient."""

    kind: Annotated[
        Literal["thresholds", "scale_2", "end_of_life", "not_for_escalation", "pregnancy"], said("What is limited.")
    ]
    until: Annotated[Moment, said("When it ends by itself.")]
    notify_at: Annotated[int, said("Of `thresholds`: the NEWS2 total the ward is told from.")] = 0
    interrupt_at: Annotated[int, said("Of `thresholds`: the total that interrupts.")] = 0
    tell_red: Annotated[bool, said("Of `thresholds`: whether one red parameter is told.")] = True
    ended: Annotated[bool, said("Takes the limit back before its time.")] = False


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an ADT update (A08) says anew of a person."""

    age: Annotated[int | None, said("Age in years at the start.")] = None
    born: Annotated[str, said("Birth date.")] = ""
    died: Annotated[bool | None, said("Whether the patient is dead.")] = None
    ward: Annotated[str, said("Where the patient lies, as `Ward A/12`.")] = ""


class Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a score says. Only what is named is compared; `none` is a parameter without a sub-score."""

    news2: int | None = None
    low: int | None = None
    high: int | None = None
    band: Literal["low", "low_medium", "medium", "high"] | None = None
    red: bool | None = None
    scale: int | None = None
    respiration_rate: int | Literal["none"] | None = None
    spo2: int | Literal["none"] | None = None
    oxygen: int | Literal["none"] | None = None
    systolic_bp: int | Literal["none"] | None = None
    pulse: int | Literal["none"] | None = None
    consciousness: int | Literal["none"] | None = None
    temperature: int | Literal["none"] | None = None
    missing: tuple[str, ...] | None = None
    stale: tuple[str, ...] | None = None
    quarantined: tuple[str, ...] | None = None
    risk: str | None = None


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that must come of a moment. What an alert says beside its state, reason and `how` may be left out."""

    raised: Annotated[Reason | None, said("A new alert, and why.")] = None
    updated: Annotated[Reason | None, said("News of an open alert.")] = None
    acknowledged: Annotated[Reason | None, said("Somebody took it.")] = None
    escalated: Annotated[Reason | None, said("Nobody took it in time.")] = None
    resolved: Annotated[Reason | None, said("The patient got better, and it lasted.")] = None
    retracted: Annotated[Reason | None, said("It should never have been said.")] = None
    expired: Annotated[Reason | None, said("Nobody can say any more.")] = None
    score: Annotated[Scored | None, said("What the score of this moment says.")] = None
    verdict: Annotated[
        dict[str, str] | None, said("What filters said of this moment's score: `{scope: abstain under_16}`.")
    ] = None
    withheld: Annotated[dict[str, str] | None, said("Published as withheld from the ward: `{filter: reason}`.")] = None
    signal: Annotated[
        str | None,
        said(
            "What is no longer heard, or otherwise: `feed_silent raised`. Of a kind that is named, no other may come."
        ),
    ] = None
    message: Annotated[str | None, said("What became of the message: `accepted`, `duplicate`, `refused REASON`.")] = (
        None
    )
    trigger: Annotated[Trigger, said("Whose alert: the NEWS2 floor's (unless said) or the model's.")] = "floor"
    how: Annotated[How | None, said("How the ward hears of it; always said of an alert.")] = None
    who: Annotated[str, said("Of whom, where it is not the step's patient.")] = ""
    ward: Annotated[str | None, said("The ward that is told.")] = None
    bed: Annotated[str | None, said("The bed it names.")] = None
    news2: Annotated[int | None, said("The NEWS2 total it tells.")] = None
    feed: Annotated[str | None, said("The feed that a signal is of.")] = None
    within: Annotated[Moment | None, said("How long after `at` a signal may come at the latest: `+0:15`.")] = None
    low: Annotated[int | None, said("The least the total could be.")] = None
    high: Annotated[int | None, said("The most the total could be.")] = None
    scale: Annotated[int | None, said("The SpO2 scale.")] = None
    late: Annotated[bool | None, said("Whether it is told as late.")] = None
    age: Annotated[Moment | None, said("The age of its evidence: `+3:00`.")] = None
    parameters: Annotated[tuple[str, ...] | None, said("The parameters it is about.")] = None
    missing: Annotated[tuple[str, ...] | None, said("The parameters it names as missing.")] = None
    quarantined: Annotated[tuple[str, ...] | None, said("The parameters it names as in quarantine.")] = None
    risk: Annotated[str | None, said("The model's probability, to a whole per cent, or `indeterminate`.")] = None
    actor: Annotated[str | None, said("Who took it.")] = None
    limit: Annotated[str | None, said("The code of the clinician's limit it names.")] = None
    place: Annotated[int | None, said("Its place among those that wait on the ward; 1 is next.")] = None
    waited: Annotated[Moment | None, said("How long it has waited for room: `+0:15`.")] = None
    episode: Annotated[Literal["same", "new"] | None, said("Of the patient's last episode, or a new one.")] = None


STATES = ("raised", "updated", "acknowledged", "escalated", "resolved", "retracted", "expired")
OUTCOMES = (*STATES, "score", "verdict", "withheld", "signal", "message")
"""The fields of `Expected` of which each has exactly one."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"form": "as"}):
    """One moment: at most one thing that happens, and what must come of it."""

    at: Annotated[Moment, said("When it reaches us: `+0:10` is ten minutes after the start.")]
    who: Annotated[str, said("Which of the patients.")] = ""
    admit: Annotated[str | None, said("A stay begins (A01) at a place: `Ward A/12` is ward and bed.")] = None
    transfer: Annotated[str | None, said("The patient moves (A02) to a place.")] = None
    discharge: Annotated[Literal["home", "died"] | None, said("The stay ends (A03).")] = None
    cancel: Annotated[
        Literal["admission", "transfer", "discharge"] | None, said("It never was (A11, A12, A13); `to` says where.")
    ] = None
    update: Annotated[Update | None, said("What is said anew of the person (A08).")] = None
    merge: Annotated[str | None, said("This patient's record was also kept under `who` (A40): `who` remains.")] = None
    unmerge: Annotated[str | None, said("`who` and this patient are two people after all (A37).")] = None
    chart: Annotated[
        dict[str, Value] | None, said("Observations, by the vital sign's word; `rest: normal` fills in the others.")
    ] = None
    correct: Annotated[dict[str, Value] | None, said("Values that replace those taken at `taken` (OBX-11 C).")] = None
    withdraw: Annotated[tuple[str, ...] | None, said("Values taken back (OBX-11 W) of those taken at `taken`.")] = None
    acknowledge: Annotated[Target | None, said("`by` takes the patient's alert of this trigger.")] = None
    agree: Annotated[Target | None, said("`by` finds the alert right.")] = None
    disagree: Annotated[Target | None, said("`by` has seen the alert and disagrees.")] = None
    dismiss: Annotated[Target | None, said("`by` dismisses the alert for a coded `reason`.")] = None
    review: Annotated[Literal["tell", "withhold"] | None, said("`by` decides on the score deferred to review.")] = None
    limit: Annotated[Limit | None, said("`by` sets a limit for the patient.")] = None
    kill_switch: Annotated[Literal["engage", "release"] | None, said("The model's voice is cut, or given back.")] = None
    promote: Annotated[Literal["aloud", "shadow", "none"] | None, said("The model may speak, or not; none: NEWS2.")] = (
        None
    )
    standing: Annotated[Literal["good", "held", "demoted"] | None, said("Somebody's word on the model.")] = None
    configure: Annotated[dict[str, Any] | None, said("Another configuration from here on, as `configuration`.")] = None
    restart: Annotated[Literal["service"] | None, said("The service ends and begins again from what it stored.")] = None
    repeat: Annotated[str | None, said("The message of the step of this `name` comes again, byte for byte.")] = None
    hl7: Annotated[
        str | None,
        said(
            "A message as it is: `{mrn}`, `{mrn of NAME}`, `{visit}`, `{now}`, `{taken}`, `{ward}`, `{id}` are filled "
            "in."
        ),
    ] = None
    fhir: Annotated[dict[str, Any] | None, said("A FHIR resource as it is; texts are filled in likewise.")] = None
    name: Annotated[str, said("A name for `repeat`.")] = ""
    taken: Annotated[
        WallTime, said("When it was true of the patient (left out, a minute before `at`), or decided (`at`).")
    ] = ""
    to: Annotated[str, said("Where a cancelled transfer or discharge leaves the patient.")] = ""
    by: Annotated[str, said("The role of whoever acts: `nurse`.")] = ""
    reason: Annotated[str, said("The code of the reason: `known_baseline`.")] = ""
    feed: Annotated[str, said("The sender, as `APPLICATION|FACILITY`.")] = ""
    order: Annotated[str, said("The order number; left out, it follows from patient and time.")] = ""
    form: Annotated[Format, said("`hl7` (unless said) or `fhir`.")] = "hl7"
    every: Annotated[Moment, said("Again and again at this interval, up to `until`.")] = ""
    until: Annotated[Moment, said("The last moment of `every`.")] = ""
    then: Annotated[
        tuple[Expected, ...] | Literal["nothing"] | None,
        said("What must come of this moment, in any order. All that is not expected anywhere is a failure."),
    ] = None


VERBS = (
    "admit", "transfer", "discharge", "cancel", "update", "merge", "unmerge", "chart", "correct", "withdraw",
    "acknowledge", "agree", "disagree", "dismiss", "review", "limit", "kill_switch", "promote", "standing", "configure",
    "restart", "repeat", "hl7", "fhir",
)  # fmt: skip
"""What may happen in a step; one without any only lets time pass."""
OF_NOBODY = ("kill_switch", "promote", "standing", "configure", "restart", "repeat", "hl7")
"""Those that need no patient."""
RETAKES = ("correct", "withdraw")
"""Those that need to say what they change."""


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A ward story."""

    title: Annotated[str, said("One line, in words of the ward.")]
    shows: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$")], ...],
        said("What it shows: `pains.1`, `filter.scope.under_16`, `state.expired`, `hazard.H04`, `topic.merge`."),
    ]
    story: Annotated[str, said("What happens, and why it matters.")]
    start: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d$", description="On the ward's clock.")]
    zone: Annotated[str, said("The ward's time zone.")] = "Europe/London"
    ward: Annotated[str, said("The ward of a place that names none.")] = "Ward A"
    configuration: Annotated[dict[str, Any], said("Keys of wardstream.toml that differ from the defaults.")] = {}
    scale_2: Annotated[tuple[str, ...], said("Patients for whom the site's configuration records scale 2.")] = ()
    model: Annotated[Model | None, said("The model in force; without one, NEWS2 alone.")] = None
    patients: Annotated[dict[str, Person], said("Who it is about, by name.")]
    timeline: Annotated[tuple[Step, ...], said("What happens, in order of time.")]
    awaits: Annotated[str, said("Why it cannot pass yet. Listed loudly, counted in CI; aim for none.")] = ""
