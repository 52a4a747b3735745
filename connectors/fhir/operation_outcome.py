"""What we answer in FHIR's own words: an OperationOutcome, one issue a thing that went well or wrong.

Owns the rendering and the table from our reasons of refusal to FHIR's issue types
(https://hl7.org/fhir/R4B/valueset-issue-type.html). Must not know HTTP, nor quote what was sent: a refusal's detail
never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from connectors.decoded import Refusal, RefusalReason

Severity = Literal["error", "warning", "information"]

ISSUES_MAX = 200
"""As many are listed; the last says how many more there were. A sender reads the first few; 200 are some 60 KB."""

ISSUE_TYPES: dict[RefusalReason, str] = {
    RefusalReason.GARBAGE: "structure",
    RefusalReason.TRUNCATED: "structure",
    RefusalReason.OVERSIZED: "too-long",
    RefusalReason.WRONG_ENCODING: "structure",
    RefusalReason.UNSUPPORTED_TYPE: "not-supported",
    RefusalReason.UNSUPPORTED_VERSION: "not-supported",
    RefusalReason.MISSING_SEGMENT: "required",
    RefusalReason.MISSING_FIELD: "required",
    RefusalReason.MISSING_IDENTIFIER: "required",
    RefusalReason.INVALID_VALUE: "value",
    RefusalReason.INVALID_TIME: "value",
    RefusalReason.FUTURE_TIME: "business-rule",
    RefusalReason.TOO_MANY_EVENTS: "too-costly",
    RefusalReason.UNAUTHORISED: "login",
    RefusalReason.FORGED: "security",
    RefusalReason.NOT_ENTITLED: "forbidden",
    RefusalReason.LATE: "business-rule",
    RefusalReason.OUTDATED: "conflict",
}
"""FHIR's code for each of our reasons."""

_encode = msgspec.json.Encoder().encode


class Issue(msgspec.Struct, frozen=True):
    """One thing to say: `text` for people, `diagnostics` for whoever repairs it, `expression` as a path if there is
    one.
    """

    severity: Severity
    code: str
    text: str
    diagnostics: str = ""
    expression: str = ""


def issue_of(refusal: Refusal, kind: str = "") -> Issue:
    """Say why something was refused, and that it is kept; `kind` is the resource's type, where it is known.

    >>> issue_of(Refusal(RefusalReason.MISSING_FIELD, "$.entry[3].resource.subject", "no subject")).expression
    'Bundle.entry[3].resource.subject'
    >>> issue_of(Refusal(RefusalReason.GARBAGE, "byte 7", "malformed")).diagnostics
    'byte 7: malformed'
    """
    expression, place = _placed(refusal.position, kind or refusal.message_id.partition("/")[0])
    text = f"{refusal.reason.replace('_', ' ')}; kept as a dead letter"
    diagnostics = ": ".join(part for part in (place, refusal.detail) if part)
    return Issue("error", ISSUE_TYPES[refusal.reason], text, diagnostics, expression)


def _placed(position: str, kind: str) -> tuple[str, str]:
    """Part a position into a path as FHIRPath writes it, and what is none (`byte 7`, `PID-3`)."""
    if not position.startswith("$"):
        return "", position
    path, _, place = position.partition(" ")
    root = "Bundle" if path.startswith("$.entry") else kind or "Resource"
    return root + path[1:], place


def render_outcome(issues: Sequence[Issue]) -> bytes:
    """Write an OperationOutcome (https://hl7.org/fhir/R4B/operationoutcome.html); it needs one issue at least.

    >>> render_outcome([Issue("error", "login", "no")])
    b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"login","details":{"text":"no"}}]}'
    """
    assert issues, "an OperationOutcome has one issue at least (1..*)"
    listed = list(issues)
    if len(listed) > ISSUES_MAX:
        listed = listed[: ISSUES_MAX - 1]
        more = len(issues) - len(listed)
        listed.append(Issue("warning", "informational", f"and {more} more, which are not listed"))
    return _encode({"resourceType": "OperationOutcome", "issue": [_rendered(issue) for issue in listed]})


def _rendered(issue: Issue) -> dict[str, Any]:
    rendered: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "details": {"text": issue.text}}
    if issue.diagnostics:
        rendered["diagnostics"] = issue.diagnostics
    if issue.expression:
        rendered["expression"] = [issue.expression]
    return rendered
