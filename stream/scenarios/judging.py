"""What came of a story, held against what it expects.

Owns the comparison. Must not know which host the outputs come from: both are judged by these lines. It is strict: each
expectation has one output of its own at its very moment, and an alert event that nobody expected is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from events import Millis, from_iso
from events.times import MILLIS_PER_MINUTE
from stream.scenarios.moments import span
from stream.scenarios.names import Names
from stream.scenarios.playing import Moment, Output, Played
from stream.scenarios.sense import outcome_of
from stream.scenarios.words import STATES, Expected, Scored, Step

TRIGGERS = {"floor": "news2_floor", "model": "model"}
NEWS2_FIELDS = {"news2": "total", "low": "low", "high": "high", "scale": "scale"}
LISTS = ("missing", "stale", "quarantined")


class Line(msgspec.Struct, frozen=True):
    """One line of what is told of a story: what was expected or came at a moment, and whether the two agree."""

    at: Millis
    mark: str
    """`ok`, `missing` (expected, did not come) or `unexpected` (came, not expected)."""
    words: str
    number: int = -1
    """Of the step that expects it; -1: none."""


class Judged(msgspec.Struct, frozen=True):
    """A story's judgement, in order of time."""

    lines: tuple[Line, ...]

    @property
    def well(self) -> bool:
        """Whether everything expected came, and nothing else."""
        return all(line.mark == "ok" for line in self.lines)


def judge(played: Played, names: Names) -> Judged:
    """Judge what came of a story."""
    alerts = [output for output in played.outputs if output.kind == "alerts"]
    episodes = _episodes(alerts)
    lines = list(_signals(played, names))
    used: set[int] = set()
    for moment in played.moments:
        then = moment.step.then
        for expected in then if isinstance(then, tuple) else ():
            if outcome_of(expected) in STATES:
                words = alert_words(expected, moment.step)
                found = _find(expected, moment, alerts, used, names, episodes)
                if found is None:
                    lines.append(Line(moment.at, "missing", words, moment.number))
                else:
                    used.add(found)
                    lines.append(Line(moment.at, "ok", words, moment.number))
            elif expected.signal is None:
                lines.append(_other(expected, moment, played, names))
    for place, output in enumerate(alerts):
        if place not in used:
            at = from_iso(output.document["received_time"])
            lines.append(Line(at, "unexpected", _came(output, names, episodes)))
    return Judged(tuple(sorted(lines, key=lambda line: line.at)))


def _find(
    expected: Expected,
    moment: Moment,
    alerts: Sequence[Output],
    used: set[int],
    names: Names,
    episodes: Mapping[str, str],
) -> int | None:
    wanted = dict(_wanted(expected, moment.step))
    for place, output in enumerate(alerts):
        if place in used or from_iso(output.document["received_time"]) != moment.at:
            continue
        said = _said(output.document, names, episodes)
        if all(said.get(name) == value for name, value in wanted.items()):
            return place
    return None


def _wanted(expected: Expected, step: Step) -> Iterator[tuple[str, Any]]:
    """Give what an expectation says, in the words that `_said` uses of an event."""
    state = outcome_of(expected)
    yield "state", state
    yield "reason", getattr(expected, state)
    yield "who", expected.who or step.who
    yield "trigger", expected.trigger
    yield "how", expected.how
    for name in ("ward", "bed", "news2", "low", "high", "scale", "late", "actor", "limit", "risk", "episode"):
        value = getattr(expected, name)
        if value is not None:
            yield name, value
    if expected.place is not None:
        yield "place", expected.place
    for name in ("age", "waited"):
        value = getattr(expected, name)
        if value is not None:
            yield name, span(value)
    for name in ("parameters", "missing", "quarantined"):
        value = getattr(expected, name)
        if value is not None:
            yield name, sorted(value)


def _said(document: Mapping[str, Any], names: Names, episodes: Mapping[str, str]) -> dict[str, Any]:
    """Give what an alert event says, in a story's words."""
    disposition, news2 = document["disposition"], document["news2"] or {}
    return {
        "state": document["state"],
        "reason": document["reason"],
        "who": names.who(document["patient"]),
        "trigger": "model" if document["trigger"] == "model" else "floor",
        "how": document["priority"] if disposition == "told" else disposition,
        "ward": names.ward_said(document["ward"]),
        "bed": document["bed"],
        "late": document["late"],
        "age": document["age_ms"] // MILLIS_PER_MINUTE * MILLIS_PER_MINUTE,
        "place": document.get("waiting_place"),
        "waited": document.get("waited_ms"),
        "actor": document["actor"],
        "limit": document["limit_reason"],
        "parameters": sorted(document["parameters"]),
        "risk": _risk(document),
        "episode": episodes[document["event_id"]],
        **{word: news2.get(field) for word, field in NEWS2_FIELDS.items()},
        **{name: sorted(news2.get(name, ())) for name in LISTS},
    }


def _risk(document: Mapping[str, Any]) -> str:
    if document["indeterminate"]:
        return "indeterminate"
    return percent(document["probability"])


def percent(probability: float | None) -> str:
    """Write a probability as a story does.

    >>> percent(0.4041), percent(None)
    ('40 %', 'none')
    """
    return "none" if probability is None else f"{probability * 100:.0f} %"


def _episodes(alerts: Iterable[Output]) -> dict[str, str]:
    """Say of each event whether its episode is the one of the patient's alert before, or a new one."""
    last: dict[tuple[str, str], tuple[str, str]] = {}
    before: dict[tuple[str, str], str] = {}
    found: dict[str, str] = {}
    for output in alerts:
        document = output.document
        place = (document["patient"], document["trigger"])
        known = last.get(place)
        if known is not None and known[0] != document["alert_id"]:
            before[place] = known[1]
        last[place] = (document["alert_id"], document["episode_id"])
        same = before.get(place) == document["episode_id"]
        found[document["event_id"]] = "same" if same else "new"
    return found


# -- scores, verdicts, messages ----------------------------------------------------------------------------------------


def _other(expected: Expected, moment: Moment, played: Played, names: Names) -> Line:
    """Judge what is not an alert; a failure says what there is instead."""
    outcome = outcome_of(expected)
    if outcome == "message":
        there = ", ".join(moment.messages) or "no message"
        return _line(moment, f"message {expected.message}", there, holds=there == expected.message)
    who = expected.who or moment.step.who
    if outcome == "withheld":
        return _withheld(expected, moment, played, names, who)
    score = _newest(played.outputs, "scores", moment, names, who)
    if score is None:
        return Line(moment.at, "missing", f"a score of {who}", moment.number)
    if outcome == "verdict":
        came = {verdict["filter"]: f"{verdict['verdict']} {verdict['reason']}" for verdict in score["verdicts"]}
        wanted: Mapping[str, Any] = expected.verdict or {}
        words = f"{who}: verdict {_listed(wanted)}"
    else:
        wanted = _scored(expected.score or Scored())
        came = _score_words(score)
        words = f"{who}: score {_listed(wanted)}"
    there = _listed({name: came.get(name, "none") for name in wanted})
    return _line(moment, words, there, holds=all(came.get(name) == value for name, value in wanted.items()))


def _withheld(expected: Expected, moment: Moment, played: Played, names: Names, who: str) -> Line:
    withheld = _newest(played.outputs, "suppressed", moment, names, who)
    verdict = withheld["withheld_by"] if withheld is not None else {}
    there = {verdict["filter"]: verdict["reason"]} if verdict else {}
    wanted = expected.withheld or {}
    return _line(moment, f"{who}: withheld {_listed(wanted)}", _listed(there) or "nothing", holds=there == wanted)


def _signals(played: Played, names: Names) -> Iterator[Line]:
    """Judge what is said of silence and change: of each kind that a story names, every signal must be expected."""
    signals = [output.document for output in played.outputs if output.kind == "signals"]
    used: set[int] = set()
    named: set[str] = set()
    for moment in played.moments:
        then = moment.step.then
        for expected in then if isinstance(then, tuple) else ():
            if expected.signal is None:
                continue
            named.add(expected.signal.partition(" ")[0])
            wanted = dict(_wanted_of_signal(expected))
            last = moment.at + span(expected.within or "+0:00")
            found = [
                place
                for place, document in enumerate(signals)
                if place not in used
                and moment.at <= from_iso(document["received_time"]) <= last
                and all(_signal_words(document, names).get(name) == value for name, value in wanted.items())
            ]
            used.update(found[:1])
            yield Line(moment.at, "ok" if found else "missing", _listed(wanted), moment.number)
    for place, document in enumerate(signals):
        if place not in used and document["kind"] in named:
            said = {name: value for name, value in _signal_words(document, names).items() if value}
            yield Line(from_iso(document["received_time"]), "unexpected", _listed(said))


def _wanted_of_signal(expected: Expected) -> Iterator[tuple[str, Any]]:
    yield "signal", expected.signal
    for name, value in (("feed", expected.feed), ("ward", expected.ward), ("who", expected.who)):
        if value:
            yield name, value


def _signal_words(document: Mapping[str, Any], names: Names) -> dict[str, Any]:
    patient = document["patient"]
    return {
        "signal": f"{document['kind']} {document['state']}",
        "feed": document["feed"],
        "ward": names.ward_said(document["ward"]),
        "who": names.who(patient) if patient else "",
        "code": document["code"],
        "detail": document["detail"],
    }


def _line(moment: Moment, words: str, there: str, *, holds: bool) -> Line:
    if holds:
        return Line(moment.at, "ok", words, moment.number)
    return Line(moment.at, "missing", f"{words}; there is {there}", moment.number)


def _newest(outputs: Sequence[Output], kind: str, moment: Moment, names: Names, who: str) -> Mapping[str, Any] | None:
    """Give the last output of a kind of a patient at this very moment."""
    for output in reversed(outputs):
        document = output.document
        ours = output.kind == kind and names.who(document["patient"]) == who
        if ours and from_iso(document["received_time"]) == moment.at:
            return document
    return None


def _scored(scored: Scored) -> dict[str, Any]:
    wanted = {name: value for name, value in msgspec.structs.asdict(scored).items() if value is not None}
    return {
        name: None if value == "none" and name != "risk" else sorted(value) if name in LISTS else value
        for name, value in wanted.items()
    }


def _score_words(score: Mapping[str, Any]) -> dict[str, Any]:
    news2 = score["news2"]
    return {
        **news2,
        "news2": news2["total"],
        "risk": percent(score["probability"]),
        **{name: sorted(news2[name]) for name in LISTS},
    }


# -- words -------------------------------------------------------------------------------------------------------------


def alert_words(expected: Expected, step: Step) -> str:
    """Write an expected alert in one line."""
    return _alert_line(dict(_wanted(expected, step)))


def _came(output: Output, names: Names, episodes: Mapping[str, str]) -> str:
    said = _said(output.document, names, episodes)
    shown = (
        "state",
        "reason",
        "who",
        "trigger",
        "how",
        "ward",
        "bed",
        "news2",
        "late",
        "age",
        "place",
        "waited",
        "actor",
    )
    words = {name: said[name] for name in (*shown, "risk", "parameters", "missing", "quarantined", "limit")}
    return _alert_line({name: value for name, value in words.items() if _tells(value)})


def _tells(value: Any) -> bool:
    """Whether a field is worth a word in a line that says what came."""
    return value is not False and value not in ("", None, [], "none")


def _alert_line(said: dict[str, Any]) -> str:
    who, trigger, state = said.pop("who"), said.pop("trigger"), said.pop("state")
    reason, how = said.pop("reason"), said.pop("how")
    for name in ("age", "waited"):
        if isinstance(said.get(name), int):
            said[name] = f"{said[name] // MILLIS_PER_MINUTE} min"
    rest = _listed(said)
    return f"{who}: {trigger} {state} {reason}, {how}" + (f" ({rest})" if rest else "")


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {' '.join(value) if isinstance(value, list) else 'none' if value is None else value}"
        for name, value in values.items()
    )
