"""Filter 6, subgroups: say where a version is less to be trusted for the patient at hand, or has not shown that it is.

Owns what follows from a patient's groups, by the site's declared policy. Must not know how figures by group are made
(the version carries its own: models/drift/served.py), nor how a patient comes to a group.

The default is to say it, not to be silent: a model that is kept from those it serves worse leaves them with less than
the others have (docs/decisions/0039). What a monitor finds of a version in force comes in as a decision: a person
declares the group under that version, and the configuration stands in the log.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.configuration import POLICIES, GuardrailSettings, Policy
from guardrails.verdict import Verdict, VerdictKind
from models.drift.served import Served
from models.groups import NOT_RECORDED, Group

PLACES = frozenset({"ward", "unit_of_origin"})
"""Attributes of where a patient lies. Hardly any ward has enough outcomes to be known by, so it has its own policy."""
UNSAID = frozenset({"ethnicity"})
"""Attributes whose group no verdict names: a verdict goes out with scores and alerts."""

_RANKS = {policy: rank for rank, policy in enumerate(POLICIES)}
_REASONS = ("too_few_seen", "served_worse", "declared")
"""From the weakest to the strongest, where two groups ask for the same."""
_KINDS: dict[Policy, VerdictKind] = {"annotate": "annotate", "review": "defer", "abstain": "abstain"}

_Finding = tuple[Policy, str, str]
"""Policy, reason, and what is meant."""


class Subgroups:
    """Annotate, defer or abstain for a group that is served worse or hardly known, as the site declared it."""

    name = "subgroups"
    REASONS = ("not_worse", "served_worse", "too_few_seen", "declared", "no_figures", "reviewed")
    METHOD = (
        "the version's own counts by sex, age band, ethnicity, ward and unit of origin: a group is served worse where "
        "its sensitivity, PPV or calibration is beyond a limit from the rest's and the 99.9 % interval of the "
        "difference excludes none; it is known from 20 outcomes on; what follows is the site's declared policy",
        "Newcombe 1998 (method 10); decisions/0039",
    )
    KEYS = ("subgroups", "versions")

    _PASS = Verdict(name, "pass", "not_worse")

    def check(self, candidate: Candidate) -> Verdict | None:
        """Ask what is known and declared of each of the patient's groups; the strictest counts.

        Nothing is said without a probability, without groups, or of a version that brings no figures where nothing is
        declared.
        """
        prediction = candidate.prediction
        if not candidate.groups or prediction is None or prediction.probability is None:
            return None
        settings, served = candidate.settings, candidate.served
        found = _findings(candidate.groups, served, settings, prediction.version)
        if served is None and settings.subgroups.no_figures != "trust":
            found.append((settings.subgroups.no_figures, "no_figures", ""))
        if not found:
            return None if served is None else self._PASS
        policy, reason, _ = max(found, key=lambda one: (_RANKS[one[0]], _rank_of(one[1])))
        detail = "; ".join(what for also, why, what in found if (also, why) == (policy, reason) and what)
        if policy == "trust":
            return Verdict(self.name, "pass", reason, detail)
        reviewed_until = candidate.reviewed_until
        if policy == "review" and reviewed_until is not None and candidate.at < reviewed_until:
            return Verdict(self.name, "annotate", "reviewed", detail)
        return Verdict(self.name, _KINDS[policy], reason, detail)


def _findings(
    groups: tuple[Group, ...], served: Served | None, settings: GuardrailSettings, version: str
) -> list[_Finding]:
    """Give what is declared of each group; else what the version's figures say of it, where that is not nothing."""
    rules, declares = settings.subgroups, settings.declares_groups(version)
    found: list[_Finding] = []
    for group in groups:
        attribute, name = group
        if not name:
            name = NOT_RECORDED
            group = (attribute, name)  # noqa: PLW2901 - under the name it has in figures and settings
        declared = settings.policy_of(version, attribute, name) if declares else None
        if declared is not None:
            found.append((declared, "declared", _words_of(group)))
        elif served is not None:
            if group in served.worse:
                found.append((rules.worse, "served_worse", f"{_words_of(group)} ({served.worse[group]})"))
            elif attribute in served.attributes and group not in served.enough:
                too_few = rules.too_few_places if attribute in PLACES else rules.too_few
                if too_few != "trust":
                    found.append((too_few, "too_few_seen", _words_of(group)))
    return found


def _words_of(group: Group) -> str:
    attribute, name = group
    return attribute if attribute in UNSAID else f"{attribute} {name}"


def _rank_of(reason: str) -> int:
    return _REASONS.index(reason) if reason in _REASONS else -1
