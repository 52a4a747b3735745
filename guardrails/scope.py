"""Filter 3, scope: outside the intended use of every version we ship, say so.

Owns age, stay, pregnancy and the end of life (no version we ship is meant for the last two). Must not know who said it,
nor a version's own narrower scope (that comes with its record). Unknown age counts as adult (design section 5), said as
an annotation; a feed without ADT is no reason for silence, a discharge or a death is.
"""

from __future__ import annotations

from guardrails.candidate import Candidate
from guardrails.verdict import Verdict

ADULT_AGE_YEARS_MIN = 16.0
"""NEWS2 and the models trained beside it are for 16 and over (RCP 2017: not for children under 16)."""


class Scope:
    """Abstain under 16, in pregnancy, at the end of life; suppress after death or discharge; annotate the unknown."""

    name = "scope"
    REASONS = (
        "in_scope",
        "age_unknown",
        "admission_unknown",
        "under_16",
        "pregnancy",
        "end_of_life",
        "discharged",
        "deceased",
    )
    METHOD = (
        "age and stay as the feed says them, pregnancy as the feed or a clinician's limit does, the end of life as a "
        "limit does; unknown age counts as adult",
        "RCP 2017",
    )
    KEYS: tuple[str, ...] = ()

    _PASS = Verdict(name, "pass", "in_scope")
    _AGE_UNKNOWN = Verdict(name, "annotate", "age_unknown")
    _ADMISSION_UNKNOWN = Verdict(name, "annotate", "admission_unknown")
    _UNDER_16 = Verdict(name, "abstain", "under_16")
    _PREGNANCY = Verdict(name, "abstain", "pregnancy")
    _END_OF_LIFE = Verdict(name, "abstain", "end_of_life")
    _DISCHARGED = Verdict(name, "suppress", "discharged")
    _DECEASED = Verdict(name, "suppress", "deceased")

    def check(self, candidate: Candidate) -> Verdict:
        """Ask for death, age, pregnancy, the end of life, then stay: the strongest reason is the one that is said."""
        if candidate.deceased:
            return self._DECEASED
        age_years = candidate.age_years
        if age_years is not None and age_years < ADULT_AGE_YEARS_MIN:
            return self._UNDER_16
        if candidate.pregnant or candidate.end_of_life:
            return self._PREGNANCY if candidate.pregnant else self._END_OF_LIFE
        if not candidate.admitted:
            return self._ADMISSION_UNKNOWN if candidate.discharged_time is None else self._DISCHARGED
        return self._AGE_UNKNOWN if age_years is None else self._PASS
