"""A story that was played, told to a person: what happened, what was expected, what came, at what time.

Owns the text. Must not know how it was judged.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events import Millis
from stream.scenarios.judging import Judged, Line
from stream.scenarios.moments import clock_text, moment, on_clock
from stream.scenarios.playing import Played
from stream.scenarios.sense import verb_of
from stream.scenarios.words import Step, Story

MARKS = {"ok": "  ok     ", "missing": "  MISSING ", "unexpected": "  TOO MUCH"}


def timeline(story: Story, played: Played, judged: Judged, *, whole: bool = True) -> str:
    """Tell a story moment by moment; not `whole`: only the moments at which something is wrong."""
    start = on_clock(story.start, story.zone)
    lines = [story.title]
    for at, steps, found in _moments(played, judged):
        wrong = [line for line in found if line.mark != "ok"]
        if not whole and not wrong:
            continue
        lines.append(f"  {moment(at - start)}  {clock_text(at, story.zone)}")
        lines += [f"      {words}" for words in steps]
        lines += [f"    {MARKS[line.mark]} {line.words}" for line in found]
    return "\n".join(lines)


def _moments(played: Played, judged: Judged) -> Iterator[tuple[Millis, list[str], list[Line]]]:
    times = sorted({one.at for one in played.moments} | {line.at for line in judged.lines})
    for at in times:
        steps = [step_words(one.step) for one in played.moments if one.at == at]
        yield at, [words for words in steps if words], [line for line in judged.lines if line.at == at]


def step_words(step: Step) -> str:
    """Write a step in one line.

    >>> step_words(Step(at="+0:10", who="Mr Ito", chart={"pulse": 132, "oxygen": "air"}, taken="+0:05"))
    'Mr Ito: chart pulse 132, oxygen air (taken +0:05)'
    """
    verb = verb_of(step)
    if not verb:
        return ""
    value = getattr(step, verb)
    if isinstance(value, dict):
        words = ", ".join(
            f"{name} {each:g}" if isinstance(each, float) else f"{name} {each}" for name, each in value.items()
        )
    elif isinstance(value, msgspec.Struct):
        said = msgspec.to_builtins(value)
        words = ", ".join(f"{name} {each}" for name, each in said.items())
    elif verb in ("hl7", "fhir"):
        words = "a message as it is"
    else:
        words = " ".join(value) if isinstance(value, tuple) else str(value)
    who = f"{step.who}: " if step.who else ""
    taken = f" (taken {step.taken})" if step.taken else ""
    actor = f" by {step.by}" if step.by else ""
    return f"{who}{verb.replace('_', ' ')} {words}{taken}{actor}"
