"""What goes wrong with a request, by whose fault it is, and how it is answered: always an OperationOutcome.

Owns the answers. Must not know a route, nor quote a request: its bytes stand in no answer and no log.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Mapping, Sequence

from aiohttp import web

from connectors.fhir.operation_outcome import Issue, render_outcome
from connectors.http.limits import RETRY_AFTER_S
from connectors.http.ports import Report
from connectors.intake import NotStoredError, NotStoredReason

FHIR_JSON = "application/fhir+json"

ISSUE_TYPES: dict[int, str] = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    411: "required",
    413: "too-long",
    415: "not-supported",
    417: "not-supported",
    431: "too-long",
    500: "exception",
    503: "throttled",
    507: "no-store",
}
"""FHIR's code for each status we answer with."""

NOT_STORED: dict[NotStoredReason, tuple[int, str, str]] = {
    "stopping": (503, "transient", "the service is stopping"),
    "overloaded": (503, "throttled", "the service has more than it can take in"),
    "disk_full": (507, "no-store", "the disk is full"),
    "failed": (503, "transient", "storing failed"),
}
"""Status, issue type and words where nothing was stored."""


class HttpFault(Exception):  # noqa: N818 - a fault is named for its blame, which is the request's
    """The request cannot be served: `status`, and words for whoever sent it."""

    def __init__(
        self, status: int, text: str, *, code: str = "", headers: Mapping[str, str] | None = None, close: bool = False
    ) -> None:
        super().__init__(text)
        self.status = status
        self.issue = Issue("error", code or ISSUE_TYPES[status], text)
        self.headers = dict(headers or {})
        self.close = close

    def answer(self) -> web.Response:
        """Make the answer."""
        return outcome(self.status, [self.issue], headers=self.headers, close=self.close)


def outcome(
    status: int, issues: Sequence[Issue], *, headers: Mapping[str, str] | None = None, close: bool = False
) -> web.Response:
    """Answer with an OperationOutcome; `close` ends the connection after it.

    >>> outcome(404, [Issue("error", "not-found", "no such path")]).content_type
    'application/fhir+json'
    """
    response = web.Response(status=status, body=render_outcome(issues), content_type=FHIR_JSON, headers=headers)
    if close:
        response.force_close()
    return response


def busy(text: str) -> HttpFault:
    """Say that it may be tried again later."""
    return HttpFault(503, text, headers={"Retry-After": str(RETRY_AFTER_S)}, close=True)


def not_stored(error: NotStoredError) -> web.Response:
    """Say that nothing can be relied on to be stored, and when to send it again."""
    status, code, words = NOT_STORED[error.reason]
    issue = Issue("error", code, f"{words}: send it again later; what was stored already counts once")
    return outcome(status, [issue], headers={"Retry-After": str(RETRY_AFTER_S)})


def incident(error: BaseException, report: Report) -> web.Response:
    """Answer for our own bug with a number that the log has too. Of the error only its type and place are told."""
    name = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].name}:{frames[-1].lineno}" if frames else ""
    report("failed", incident=name, error=type(error).__name__, where=where)
    return outcome(500, [Issue("error", "exception", f"our fault: incident {name}")], close=True)
