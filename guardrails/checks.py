"""The laws every filter obeys, and the laws of the chain, as functions the tests apply to every filter found.

Owns the laws. Must not know any one filter. Each raises `LawBrokenError` with the law's name; tests feed them
candidates made by hypothesis, NaN and all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from guardrails.candidate import Candidate
from guardrails.chain import Filter, decision, judge_with
from guardrails.verdict import Verdict


class LawBrokenError(AssertionError):
    """A filter breaks a law: our bug."""


def is_pure(one: Filter, candidate: Candidate) -> None:
    """Same candidate in, same verdict out, however often it is asked."""
    if one.check(candidate) != one.check(candidate):
        raise LawBrokenError(f"{one.name}: not pure")


def speaks_for_itself(one: Filter, candidate: Candidate) -> None:
    """A verdict carries its filter's own name and a reason that the filter declared."""
    verdict = one.check(candidate)
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


FILTER_LAWS: tuple[Callable[[Filter, Candidate], None], ...] = (is_pure, speaks_for_itself, never_raises)


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


def stops_at_first_stop(verdicts: tuple[Verdict, ...]) -> None:
    """Only the last verdict may stop the chain."""
    if any(not verdict.proceeds for verdict in verdicts[:-1]):
        raise LawBrokenError("the chain went on after a stop")
