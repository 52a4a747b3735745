"""What goes wrong with a FHIR server, in words that name nobody: addresses carry ids, and so do a server's own words.

Owns the kinds and who is to do what about each. Must not know a request.
"""

from __future__ import annotations

from typing import Literal

FaultKind = Literal[
    "unreachable",
    "timeout",
    "broken_off",
    "throttled",
    "server_error",
    "unauthorized",
    "forbidden",
    "not_found",
    "refused",
    "too_large",
    "not_fhir",
    "foreign_link",
    "endless",
    "no_token",
]

AGAIN: frozenset[FaultKind] = frozenset({"unreachable", "timeout", "broken_off", "throttled", "server_error"})
"""What passes by itself: the same request is made again."""

ADVICE: dict[FaultKind, str] = {
    "unreachable": "see that the server runs, and base_url, firewall and ca_file",
    "timeout": "the server does not answer in time: see its load, or raise timeout_s",
    "broken_off": "answers break off: see the server and what stands between",
    "throttled": "the server asks for patience: poll less often, or ask for a higher allowance",
    "server_error": "the server says that the fault is its own: see its log",
    "unauthorized": "the server does not know our token: see token_file, or smart",
    "forbidden": "the server knows us and does not let us read this: see the rights (smart.scope)",
    "not_found": "there is nothing at this address: see base_url and types",
    "refused": "the server cannot do what is asked: see types and subscription",
    "too_large": "a single resource or page is larger than we read",
    "not_fhir": "the answer is no FHIR JSON: see base_url",
    "foreign_link": "the next page is at another address than base_url: give base_url as the server calls itself",
    "endless": "the pages of one search do not end: see the server",
    "no_token": "no token is given to us: see smart.client_id, key_file, key_id and token_url",
}


class FhirSourceError(Exception):
    """A FHIR server did not give what was asked. The text names neither address nor patient."""

    def __init__(
        self, kind: FaultKind, detail: str = "", *, status: int = 0, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind: FaultKind = kind
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def passes(self) -> bool:
        """Whether the same request may do later.

        >>> FhirSourceError("throttled", status=429).passes, FhirSourceError("forbidden", status=403).passes
        (True, False)
        """
        return self.kind in AGAIN

    @property
    def advice(self) -> str:
        """What the operator may do."""
        return ADVICE[self.kind]


def fault_of(status: int, codes: str, retry_after_s: float | None) -> FhirSourceError:
    """Give the fault that a status says; `codes` is what an OperationOutcome's issues are called.

    >>> fault_of(503, "", 2.0)
    FhirSourceError('throttled: 503')
    >>> fault_of(400, "not-supported", None)
    FhirSourceError('refused: 400 not-supported')
    """
    detail = f"{status} {codes}".strip()
    kinds: dict[int, FaultKind] = {
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        408: "timeout",
        409: "server_error",  # somebody changes it at this moment: again
        410: "not_found",
        413: "too_large",
        429: "throttled",
        503: "throttled",
        504: "timeout",
    }
    kind = kinds.get(status) or ("server_error" if status >= 500 else "refused")
    return FhirSourceError(kind, detail, status=status, retry_after_s=retry_after_s)
