"""Claims about what we answer in FHIR's own words."""

from __future__ import annotations

import json

import msgspec
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.decoded import Refusal, RefusalReason
from connectors.fhir.operation_outcome import ISSUE_TYPES, ISSUES_MAX, Issue, issue_of, render_outcome

ISSUE_TYPE_CODES = frozenset(
    """
    invalid structure required value invariant security login unknown expired forbidden suppressed processing
    not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly
    business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational
    """.split()  # noqa: SIM905 - a value set reads better as text
)
"""https://hl7.org/fhir/R4B/valueset-issue-type.html; fhir.resources does not hold a code to its value set."""


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_each_reason_has_a_code_of_the_value_set(reason: RefusalReason) -> None:
    """Every reason of refusal has a code of FHIR's issue types, and its issue is valid R4B."""
    assert ISSUE_TYPES[reason] in ISSUE_TYPE_CODES
    body = render_outcome([issue_of(Refusal(reason, "$.entry[1].resource", "some detail"))])
    [issue] = OperationOutcome.model_validate_json(body).issue
    assert (issue.severity, issue.code) == ("error", ISSUE_TYPES[reason])
    assert "dead letter" in issue.details.text


@pytest.mark.parametrize(
    ("position", "kind", "message_id", "expression", "diagnostics"),
    [
        ("$.entry[3].resource.subject", "", "Observation/1", ["Bundle.entry[3].resource.subject"], "why"),
        ("$.status", "", "Observation/1/_history/2", ["Observation.status"], "why"),
        ("$.status", "Patient", "", ["Patient.status"], "why"),
        ("$", "", "", ["Resource"], "why"),
        ("$.entry[0].resource byte 12", "", "", ["Bundle.entry[0].resource"], "byte 12: why"),
        ("byte 512", "", "", None, "byte 512: why"),
        ("PID-3", "", "", None, "PID-3: why"),
    ],
)
def test_a_position_becomes_a_path(
    position: str, kind: str, message_id: str, expression: list[str] | None, diagnostics: str
) -> None:
    """A position in FHIR is given as a path from the resource's type; any other stands in the diagnostics."""
    refusal = Refusal(RefusalReason.INVALID_VALUE, position, "why", message_id)
    [issue] = OperationOutcome.model_validate_json(render_outcome([issue_of(refusal, kind)])).issue
    assert (issue.expression, issue.diagnostics) == (expression, diagnostics)


def test_a_long_list_is_cut_and_says_so() -> None:
    """Of a thousand issues no more than the limit are listed, and the last says how many are not."""
    issues = [Issue("error", "value", f"issue {number}") for number in range(1_000)]
    listed = json.loads(render_outcome(issues))["issue"]
    assert len(listed) == ISSUES_MAX
    assert listed[-1]["details"]["text"] == f"and {1_000 - ISSUES_MAX + 1} more, which are not listed"
    assert OperationOutcome.model_validate(msgspec.json.decode(render_outcome(issues)))
