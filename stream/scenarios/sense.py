"""What makes a story sensible, beyond the shape of its words.

Owns those checks: who is meant, one thing a step, times in order, words that go together. Must not know YAML or hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from alerts.monitoring.signal import KINDS
from connectors.zones import check_zone
from guardrails.configuration import ConfigurationError
from stream.scenarios.faults import PlaceError
from stream.scenarios.moments import is_clock, on_clock, span
from stream.scenarios.names import OTHERS_NUMBER
from stream.scenarios.stand_in import StandInError, make_stand_in
from stream.scenarios.vitals import UnknownWordError, findings
from stream.scenarios.words import OF_NOBODY, OUTCOMES, RETAKES, STATES, VERBS, Expected, Step, Story
from stream.settings import Settings

SIGNALS = tuple(f"{kind} {state}" for kind in KINDS for state in ("raised", "cleared") if kind != "heartbeat")
"""The signals that a story may expect."""
STEPS_MAX = 2_000
"""Of one story, repeated ones counted: what plays in a second."""
MODIFIERS: dict[str, tuple[str, ...]] = {
    "taken": (
        "chart",
        "correct",
        "withdraw",
        "hl7",
        "fhir",
        "acknowledge",
        "agree",
        "disagree",
        "dismiss",
        "review",
        "limit",
    ),
    "to": ("cancel",),
    "by": ("acknowledge", "agree", "disagree", "dismiss", "review", "limit", "kill_switch", "promote", "standing"),
    "reason": ("dismiss", "disagree", "review", "limit", "kill_switch", "standing"),
    "feed": ("chart", "correct", "withdraw", "admit", "transfer", "discharge", "cancel", "update", "merge", "unmerge"),
    "order": ("chart", "correct", "withdraw"),
    "form": ("chart", "correct", "withdraw", "admit", "transfer", "discharge", "cancel", "merge"),
    "every": ("chart", "hl7", "fhir"),
    "until": ("chart", "hl7", "fhir"),
}
"""Which words go with which verbs."""


def verb_of(step: Step) -> str:
    """Give what happens in a step, or nothing.

    >>> verb_of(Step(at="+0:00", admit="A/1")), verb_of(Step(at="+1:00"))
    ('admit', '')
    """
    return next((verb for verb in VERBS if getattr(step, verb) is not None), "")


def outcome_of(expected: Expected) -> str:
    """Give what an expectation is of.

    >>> outcome_of(Expected(raised="band_rise"))
    'raised'
    """
    return next(name for name in OUTCOMES if getattr(expected, name) is not None)


def settings_of(
    story: Story, changes: dict[str, Any] | None = None, ward: Callable[[str], str] = lambda name: name
) -> Settings:
    """Give the configuration a story runs under; the ward's zone is that of its messages unless it says otherwise.

    `ward` gives a ward's name as it is sent: settings of one ward are by that name.
    """
    document = dict(story.configuration if changes is None else changes)
    for table, key in (("guardrails", "wards"), ("wards", "budgets")):
        named = document.get(table, {}).get(key)
        if isinstance(named, dict):
            document[table] = document[table] | {key: {ward(name): value for name, value in named.items()}}
    hl7 = document.get("hl7", {})
    document["hl7"] = {"zone": story.zone, **(hl7 if isinstance(hl7, dict) else {})}
    guardrails = document.get("guardrails")
    if isinstance(guardrails, dict):
        document["guardrails"] = {**msgspec.to_builtins(Settings().guardrails), **guardrails}
    return msgspec.convert(document, Settings)


def check_sense(story: Story) -> None:
    """Refuse what no host could play; raises `PlaceError`."""
    try:
        check_zone("zone", story.zone)
    except ValueError as error:
        raise PlaceError(("zone",), str(error)) from None
    _check_settings(story, story.configuration, ("configuration",))
    for name in story.scale_2:
        _check_person(story, name, ("scale_2",))
    if not story.shows:
        raise PlaceError(("shows",), "shows nothing")
    _check_model(story)
    before, names, steps = -1, set[str](), 0
    for number, step in enumerate(story.timeline):
        place = ("timeline", number)
        at = span(step.at)
        if at < before:
            raise PlaceError((*place, "at"), "is before the step above it")
        before = at
        steps += _check_step(story, step, place, names)
        if step.name:
            names.add(step.name)
    if steps > STEPS_MAX:
        raise PlaceError(("timeline",), f"{steps} steps with the repeated ones; at most {STEPS_MAX}")


def _check_model(story: Story) -> None:
    model = story.model
    if model is None:
        return
    if bool(model.risk) == bool(model.follows):
        raise PlaceError(("model",), "needs either a risk or an input that it follows")
    if len(model.usual) > 1:
        raise PlaceError(("model", "usual"), "is of one input")
    try:
        make_stand_in(model)
    except StandInError as error:
        raise PlaceError(("model",), str(error)) from None


def _check_settings(story: Story, document: dict[str, Any], place: tuple[str | int, ...]) -> None:
    try:
        settings_of(story, document)
    except (msgspec.ValidationError, ConfigurationError, ValueError) as error:
        raise PlaceError(place, str(error)) from None


def _check_person(story: Story, name: str, place: tuple[str | int, ...]) -> None:
    if name not in story.patients:
        raise PlaceError(place, f"{name!r} is none of the patients")


def _check_step(story: Story, step: Step, place: tuple[str | int, ...], names: set[str]) -> int:
    """Refuse a step that says two things, or half of one; give how many moments it is."""
    said = [verb for verb in VERBS if getattr(step, verb) is not None]
    if len(said) > 1:
        raise PlaceError((*place, said[1]), f"a step is one thing, and this one has {said[0]} already")
    verb = said[0] if said else ""
    for word, verbs in MODIFIERS.items():
        if getattr(step, word) != getattr(_PLAIN, word) and verb not in verbs:
            raise PlaceError((*place, "as" if word == "form" else word), f"goes with {', '.join(verbs)}")
    if step.who:
        _check_person(story, step.who, (*place, "who"))
    elif verb and verb not in OF_NOBODY:
        raise PlaceError((*place, verb), "needs `who`")
    for other in (step.merge, step.unmerge, *OTHERS_NUMBER.findall(step.hl7 or "")):
        if other is not None:
            _check_person(story, other, (*place, verb))
    if step.repeat is not None and step.repeat not in names:
        raise PlaceError((*place, "repeat"), f"no step above has the name {step.repeat!r}")
    if step.configure is not None:
        _check_settings(story, step.configure, (*place, "configure"))
    _check_charted(story, step, verb, place)
    for number, expected in enumerate(step.then if isinstance(step.then, tuple) else ()):
        _check_expected(story, step, expected, (*place, "then", number))
    return _check_repeated(step, place)


_PLAIN = Step(at="+0:00")


def _check_charted(story: Story, step: Step, verb: str, place: tuple[str | int, ...]) -> None:
    if verb in RETAKES and not step.taken:
        raise PlaceError((*place, verb), "needs `taken`: when what it changes was taken")
    if step.taken and is_clock(step.taken):
        on_clock(step.taken, story.zone)
    try:
        findings(step.chart or step.correct or dict.fromkeys(step.withdraw or ()))
    except UnknownWordError as error:
        raise PlaceError((*place, verb), str(error)) from None


def _check_repeated(step: Step, place: tuple[str | int, ...]) -> int:
    if bool(step.every) != bool(step.until):
        raise PlaceError(place, "`every` needs `until`")
    if not step.every:
        return 1
    if span(step.every) == 0 or span(step.until) < span(step.at):
        raise PlaceError((*place, "every"), "never comes to `until`")
    if isinstance(step.then, tuple):
        raise PlaceError((*place, "then"), "of a repeated step: say it in steps of their own, at their times")
    return (span(step.until) - span(step.at)) // span(step.every) + 1


def _check_expected(story: Story, step: Step, expected: Expected, place: tuple[str | int, ...]) -> None:
    said = [name for name in OUTCOMES if getattr(expected, name) is not None]
    if len(said) != 1:
        raise PlaceError(place, f"expects one of {', '.join(OUTCOMES)}; found {', '.join(said) or 'none'}")
    if expected.who:
        _check_person(story, expected.who, (*place, "who"))
    elif not step.who and said[0] not in ("message", "signal"):
        raise PlaceError(place, "needs `who`")
    if expected.signal is not None and expected.signal not in SIGNALS:
        raise PlaceError((*place, "signal"), f"{expected.signal!r}; expected one of {', '.join(SIGNALS)}")
    if said[0] != "signal" and (expected.feed or expected.within):
        raise PlaceError(place, "`feed` and `within` belong to a signal")
    if (said[0] in STATES) != (expected.how is not None):
        raise PlaceError(place, "`how` the ward hears of it belongs to an alert, and each alert needs it")
