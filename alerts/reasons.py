"""Why an alert event is said, as a table: the states that each reason may enter, and what it means.

Owns the table. Must not know when a reason is given: that is the channels'. The documentation's table is written from
here, and the tests hold every event of every story to it.
"""

from __future__ import annotations

from typing import NamedTuple

from alerts.contract import Reason
from alerts.lifecycle import State


class Row(NamedTuple):
    """One reason: the states it may enter, and its meaning in a ward's words."""

    states: tuple[State, ...]
    means: str


_TOLD: tuple[State, ...] = ("raised", "updated")

REASONS: dict[Reason, Row] = {
    "band_rise": Row(_TOLD, "NEWS2 rose into a band (5, 7, or the clinician's own totals)"),
    "new_red": Row(_TOLD, "a single parameter turned red"),
    "late_stands": Row(
        ("updated",), "a rise that came late, and waited a minute on the board: nothing newer superseded it"
    ),
    "band_fall": Row(("updated",), "the band fell; shown on the board"),
    "input_expired": Row(("updated",), "a value it rests on grew too old; its points are carried on"),
    "input_quarantined": Row(_TOLD, "a newer value is impossible; the last good one counts on"),
    "inputs_usable": Row(("resolved",), "every doubtful input has a good value again"),
    "calm": Row(("resolved",), "no band and no red parameter, over two scorings and half an hour"),
    "risk_threshold": Row(_TOLD, "the model's risk reached the ward's threshold"),
    "risk_risen": Row(("updated",), "the risk rose by a step since it was told"),
    "risk_persists": Row(("updated",), "the risk stands, a refractory time later, or is known again"),
    "now_audible": Row(("updated",), "what was held, in shadow or kept to the board by a limit is told now"),
    "risk_below_threshold": Row(("resolved",), "the risk stayed below the lower threshold, as calm asks"),
    "abstained": Row(("updated",), "the model can say nothing of this patient now; not knowing ends nothing"),
    "correction": Row(("updated", "retracted"), "a value it rests on was corrected or withdrawn"),
    "merge": Row(("retracted",), "two patients are one; what stands is raised anew under the one"),
    "admission_cancelled": Row(("retracted",), "the stay never was (ADT A11)"),
    "discharged": Row(("expired",), "the patient left"),
    "deceased": Row(("expired",), "the patient died"),
    "not_applicable": Row(("retracted",), "NEWS2 does not apply to this patient: under 16, or pregnant"),
    "transferred": Row(("updated",), "handed over: the patient lies elsewhere; `former_ward` is told too"),
    "acknowledged": Row(("acknowledged",), "somebody took it, or agreed"),
    "dismissed": Row(("acknowledged",), "seen and dismissed, with a coded reason (`answer_code`)"),
    "disagreed": Row(("acknowledged",), "seen, but whoever saw it disagrees"),
    "unanswered": Row(("escalated",), "nobody answered within its time"),
    "no_fresh_evidence": Row(("expired",), "nothing newer held it up for too long"),
}
