"""The one way a step of the codec says "this message cannot be used".

Owns the signal inside the codec. Must not know the message: `decode` turns it into a `Refusal`, which is a verdict; no
`Fault` leaves the codec.
"""

from __future__ import annotations

from connectors.decoded import RefusalReason


class Fault(Exception):  # noqa: N818 - it is the sender's fault, never an error of ours
    """The sender's fault: a reason, where it stands (`OBX[2]-14`), and words that quote nothing of the message."""

    def __init__(self, reason: RefusalReason, position: str, detail: str) -> None:
        super().__init__(f"{reason} at {position}")
        self.reason = reason
        self.position = position
        self.detail = detail
