"""The chain: every filter a model's score must pass before a ward hears of it, in one readable order.

Owns the order and the reading of its verdicts. Must not know any alert. Adding a filter is a file and a line here. The
chain speaks for the model's scores only; the NEWS2 floor (`guardrails.floor`) never comes through it.
"""

from __future__ import annotations

from typing import Literal, Protocol

from guardrails.candidate import Candidate
from guardrails.delivery import Delivery
from guardrails.freshness import Freshness
from guardrails.out_of_distribution import OutOfDistribution
from guardrails.plausibility import Plausibility
from guardrails.refractory import Refractory
from guardrails.scope import Scope
from guardrails.subgroups import Subgroups
from guardrails.threshold import Threshold
from guardrails.uncertainty import Uncertainty
from guardrails.verdict import Verdict
from guardrails.version_status import VersionStatus


class Filter(Protocol):
    """One filter: a name, the reasons it may give, how it judges, what of it is configured, and one pure method."""

    @property
    def name(self) -> str:
        """How verdicts name it."""

    @property
    def REASONS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of each filter's class, read through the protocol
        """Every reason it may ever give."""

    @property
    def METHOD(self) -> tuple[str, str]:  # noqa: N802 - as `REASONS`
        """How it judges, and the source of that."""

    @property
    def KEYS(self) -> tuple[str, ...]:  # noqa: N802 - as `REASONS`
        """The keys of `GuardrailSettings` that it reads."""

    def check(self, candidate: Candidate) -> Verdict | None:
        """Judge one candidate; None where there is nothing for this filter to judge, and the next one is asked."""


CHAIN: tuple[Filter, ...] = (
    Plausibility(),
    Freshness(),
    Scope(),
    OutOfDistribution(),
    Uncertainty(),
    Subgroups(),
    VersionStatus(),
    Threshold(),
    Refractory(),
    Delivery(),
)

Decision = Literal["tell", "shadow", "hold", "same_episode", "below_threshold", "withheld"]
"""What the verdicts come to: told; published in shadow; held by the kill switch or as the version is held; already
known; too low; not said."""

_CHECKS = tuple(one.check for one in CHAIN)


def judge(candidate: Candidate) -> tuple[Verdict, ...]:
    """Ask each filter in order, up to the first that abstains, defers or suppresses. Pure.

    The last verdict is the one that decided; all of them are published and counted.
    """
    verdicts: list[Verdict] = []
    for check in _CHECKS:
        verdict = check(candidate)
        if verdict is None:
            continue
        verdicts.append(verdict)
        if verdict.verdict != "pass" and verdict.verdict != "annotate":  # noqa: PLR1714 - the set lookup costs double
            break
    return tuple(verdicts)


def judge_with(chain: tuple[Filter, ...], candidate: Candidate) -> tuple[Verdict, ...]:
    """Judge by another chain than the shipped one: for the laws, and for measuring what one filter does."""
    verdicts: list[Verdict] = []
    for one in chain:
        verdict = one.check(candidate)
        if verdict is None:
            continue
        verdicts.append(verdict)
        if not verdict.proceeds:
            break
    return tuple(verdicts)


_SUPPRESSED: dict[str, Decision] = {
    "delivery": "hold",
    "refractory": "same_episode",
    "threshold": "below_threshold",
}


def decision(verdicts: tuple[Verdict, ...]) -> Decision:
    """Read what the verdicts come to. No verdicts at all is `withheld`: silence is the safe reading for the model.

    >>> decision((Verdict("scope", "abstain", "under_16"),))
    'withheld'
    >>> decision((Verdict("delivery", "suppress", "kill_switch"),))
    'hold'
    """
    if not verdicts:
        return "withheld"
    last = verdicts[-1]
    if last.verdict == "suppress":
        return _SUPPRESSED.get(last.filter, "withheld")
    if not last.proceeds:
        return "withheld"
    reasons = [verdict.reason for verdict in verdicts]
    return "hold" if "held" in reasons else "shadow" if "shadow" in reasons else "tell"


def raises(verdicts: tuple[Verdict, ...]) -> bool:
    """Whether a ward would hear of it."""
    return decision(verdicts) == "tell"
