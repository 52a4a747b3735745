"""The laws every filter obeys, and the laws of the chain, as functions the tests apply to every filter found.

Owns the laws. Must not know any one filter, nor how a flow is played: that is handed in. Each raises `LawBrokenError`
with the law's name; tests feed them candidates made by hypothesis, NaN and all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from guardrails.candidate import Candidate
from guardrails.chain import Decision, Filter, decision, judge_with
from guardrails.configuration import GuardrailSettings
from guardrails.verdict import Verdict


class LawBrokenError(AssertionError):
    """A filter breaks a law: our bug."""


# -- of each filter ---------------------------------------------------------------------------------------------------


def is_pure(one: Filter, candidate: Candidate) -> None:
    """Same candidate in, same verdict out, however often it is asked; and the candidate is as it was."""
    before = msgspec.structs.astuple(candidate)
    if one.check(candidate) != one.check(candidate):
        raise LawBrokenError(f"{one.name}: not pure")
    if repr(msgspec.structs.astuple(candidate)) != repr(before):
        raise LawBrokenError(f"{one.name}: changes what it judges")


def speaks_for_itself(one: Filter, candidate: Candidate) -> None:
    """A verdict, where there is one, carries its filter's own name and a reason that the filter declared."""
    verdict = one.check(candidate)
    if verdict is None:
        return
    if verdict.filter != one.name:
        raise LawBrokenError(f"{one.name}: speaks as {verdict.filter}")
    if verdict.reason not in one.REASONS:
        raise LawBrokenError(f"{one.name}: undeclared reason {verdict.reason}")


def never_raises(one: Filter, candidate: Candidate) -> None:
    """No candidate, with NaN or without a model, makes a filter raise."""
    try:
        one.check(candidate)
    except Exception as error:
        raise LawBrokenError(f"{one.name}: raised {type(error).__name__}") from error


def says_how_it_judges(one: Filter, _candidate: Candidate) -> None:
    """A filter names its method and the method's source, and reads no settings but those it names."""
    if not all(one.METHOD):
        raise LawBrokenError(f"{one.name}: no method or no source")
    if not set(one.KEYS) <= set(GuardrailSettings.__struct_fields__):
        raise LawBrokenError(f"{one.name}: names keys that there are not")


FILTER_LAWS: tuple[Callable[[Filter, Candidate], None], ...] = (
    is_pure,
    speaks_for_itself,
    never_raises,
    says_how_it_judges,
)


def keeps_to_its_keys(one: Filter, candidate: Candidate, settings: GuardrailSettings) -> None:
    """Settings that differ only in keys a filter does not name change nothing it says."""
    own = {key: getattr(candidate.settings, key) for key in one.KEYS}
    others = msgspec.structs.replace(candidate, settings=msgspec.structs.replace(settings, **own))
    if one.check(candidate) != one.check(others):
        raise LawBrokenError(f"{one.name}: reads a key that it does not name")


# -- of the chain -----------------------------------------------------------------------------------------------------


def names_are_unique(chain: Sequence[Filter]) -> None:
    """No two filters answer to one name: counts by name would mix."""
    names = [one.name for one in chain]
    if len(set(names)) != len(names):
        raise LawBrokenError("two filters share a name")


def adding_never_raises_an_alert(chain: tuple[Filter, ...], added: Filter, place: int, candidate: Candidate) -> None:
    """A chain with one filter more never tells what the chain without it would not."""
    without = judge_with(chain, candidate)
    with_it = judge_with((*chain[:place], added, *chain[place:]), candidate)
    if decision(with_it) == "tell" and decision(without) != "tell":
        raise LawBrokenError(f"{added.name}: raises an alert at place {place}")


def holding_back_never_raises_an_alert(chain: tuple[Filter, ...], candidate: Candidate) -> None:
    """Held, demoted, in shadow or under the kill switch, a version tells nothing, whatever it would have told."""
    version = "" if candidate.prediction is None else candidate.prediction.version
    settings = candidate.settings
    silenced = [settings.with_kill_switch(engaged=True), settings.with_shadow(shadow=True)]
    if version:
        silenced += [settings.with_standing(version, "held"), settings.with_standing(version, "demoted")]
    for one in silenced:
        if decision(judge_with(chain, msgspec.structs.replace(candidate, settings=one))) == "tell":
            raise LawBrokenError("a version that is held back is told")


def the_chain_is_pure(chain: tuple[Filter, ...], candidate: Candidate) -> None:
    """The same candidate is judged alike whatever was judged in between."""
    first = judge_with(chain, candidate)
    judge_with(chain, msgspec.structs.replace(candidate, prediction=None, at=candidate.at + 1))
    if judge_with(chain, candidate) != first:
        raise LawBrokenError("the chain remembers")


def stops_at_first_stop(verdicts: tuple[Verdict, ...]) -> None:
    """Only the last verdict may stop the chain."""
    if any(not verdict.proceeds for verdict in verdicts[:-1]):
        raise LawBrokenError("the chain went on after a stop")


def silence_has_a_reason(verdicts: tuple[Verdict, ...]) -> None:
    """What is not told has a verdict that says why: a stop at the end, or a remark that it is held or in shadow."""
    silent: tuple[Decision, ...] = ("shadow", "hold", "same_episode", "below_threshold", "withheld")
    if decision(verdicts) in silent and all(
        verdict.proceeds and verdict.reason not in ("held", "shadow") for verdict in verdicts
    ):
        raise LawBrokenError("silent without a reason")


# -- of the flow around it --------------------------------------------------------------------------------------------


def every_verdict_is_published_and_counted(
    judged: Iterable[tuple[Verdict, ...]], published: Iterable[Verdict], counted: dict[str, int], quiet: frozenset[str]
) -> None:
    """Each stop that is not quiet is published, and each verdict that is no plain pass is counted, once, by its reason.

    `judged` are the chain's verdicts of each score, `published` those of the suppressions, `counted` the run's counts.
    """
    stops: Counter[Verdict] = Counter()
    remarks: Counter[str] = Counter()
    for verdicts in judged:
        stops_at_first_stop(verdicts)
        silence_has_a_reason(verdicts)
        stops.update(last for last in verdicts[-1:] if not last.proceeds and last.reason not in quiet)
        remarks.update(
            f"{verdict.filter}:{verdict.verdict}:{verdict.reason}" for verdict in verdicts if verdict.verdict != "pass"
        )
    if stops != Counter(published):
        raise LawBrokenError("a verdict that stopped the chain is not published, or published twice")
    if remarks != Counter(counted):
        raise LawBrokenError("a verdict is not counted by its reason, or counted twice")


def the_floor_is_unmoved(told_alone: Sequence[object], told_beside: Sequence[object]) -> None:
    """What the floor tells beside a model is, event by event, what it tells alone.

    Whatever the filters, settings, versions, standings and the kill switch were.
    """
    if list(told_alone) != list(told_beside):
        raise LawBrokenError("the floor tells something else where a model is judged beside it")
