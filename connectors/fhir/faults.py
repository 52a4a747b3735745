"""The one exception of this package: a reader found what it cannot use.

Owns `Fault`. It never leaves the package: `codec.decode` turns each into a `Refusal`. Must not know the content that
was at fault: `detail` never quotes it.
"""

from __future__ import annotations

from connectors.decoded import RefusalReason


class Fault(Exception):  # noqa: N818 - a fault of the sender's, caught within the package, not an error of ours
    """A part of a resource that cannot be used, at `path` below the resource (`.subject.reference`)."""

    def __init__(self, reason: RefusalReason, path: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.path = path
        self.detail = detail
