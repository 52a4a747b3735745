"""Why somebody dismisses an alert, sets a limit or decides on a score: a code, never free text, for text names people.

Owns the codes and what each means. Must not know where one is used.
"""

from __future__ import annotations

from typing import Literal, get_args

Reason = Literal[
    "already_treated",
    "clinical_judgement",
    "comfort_care",
    "escalation_plan",
    "expected_course",
    "hypercapnic_failure",
    "known_baseline",
    "measurement_error",
    "other",
    "pregnancy",
]

REASONS: dict[Reason, str] = {
    "already_treated": "known, and being treated",
    "clinical_judgement": "the patient was seen, and is judged otherwise",
    "comfort_care": "end of life: comfort is the aim",
    "escalation_plan": "it was decided how far care goes",
    "expected_course": "to be expected after a procedure or a drug",
    "hypercapnic_failure": "an SpO2 of 88 to 92 % is prescribed",
    "known_baseline": "usual for this patient",
    "measurement_error": "a reading was wrong",
    "other": "none of these",
    "pregnancy": "NEWS2 is not for this patient: an obstetric score is used",
}
"""In words, for a board and for the documents."""

assert set(REASONS) == set(get_args(Reason)), "each code has its words"
