"""What a sender's message numbers say: control ids (MSH-10) that come again for other content, and gaps in MSH-13.

Owns the window of each sender's newest ids and its sequence number. Must not know what is done with a message: a repeat
is known by its content alone, and a control id that is used anew is a new message (docs/decisions/0010). Both are told,
for a sender that reuses control ids cannot tell its own answers apart, and one that skips numbers has lost messages
before they came to us.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

IDS_MAX = 1_000
"""Of each sender: minutes of a busy feed. A repeat of an engine follows within seconds; a counter that begins anew each
day is told by its first thousand."""
NUMBER_DIGITS_MAX = 15
"""Of MSH-13 (NM), which counts messages: longer is no count."""
HEADER_BYTES_MAX = 4_096
"""As far as MSH-13 is looked for."""


class Numbering(msgspec.Struct):
    """What one sender's numbers have shown."""

    reused: int = 0
    """Messages whose control id, among the sender's newest, stood for other content."""
    gaps: int = 0
    """Times that MSH-13 went on by more than one."""
    missing: int = 0
    """Messages that those gaps leave out."""


class ControlIds:
    """One sender's newest control ids and last sequence number.

    >>> ids = ControlIds()
    >>> ids.take("1", "a", None), ids.take("1", "a", None), ids.take("1", "b", None), ids.take("2", "c", None)
    (False, False, True, False)
    >>> for number in (7, 8, 8, 11):
    ...     _ = ids.take(str(number), str(number), number)
    >>> ids.numbering
    Numbering(reused=1, gaps=1, missing=2)
    """

    __slots__ = ("_contents", "_last", "numbering")

    def __init__(self) -> None:
        self._contents: OrderedDict[str, str] = OrderedDict()
        self._last: int | None = None
        self.numbering = Numbering()

    def take(self, control_id: str, content: str, number: int | None) -> bool:
        """Take a message that is durable, by what names its content; say whether its id stood for another."""
        self._follow(number)
        before = self._contents.pop(control_id, None)
        self._contents[control_id] = content
        if len(self._contents) > IDS_MAX:
            self._contents.popitem(last=False)
        reused = before is not None and before != content
        self.numbering.reused += reused
        return reused

    def pass_by(self, number: int | None) -> None:
        """Take a message that could not be used: only its place in the sequence counts."""
        self._follow(number)

    def _follow(self, number: int | None) -> None:
        """Compare with the number before. A smaller one is a repeat, or a sender that begins anew: no gap."""
        if number is None:
            return
        if self._last is not None and number > self._last + 1:
            self.numbering.gaps += 1
            self.numbering.missing += number - self._last - 1
        self._last = number


def sequence_number(data: bytes | None) -> int | None:
    r"""Give MSH-13 of a message; None where it has none, or one that is no count (0 and -1 are of the protocol itself).

    >>> sequence_number(b"MSH|^~\\&|A|B|||2026||ORU^R01|7|P|2.5|41\rPID|1\r"), sequence_number(b"MSH|^~\\&|A\r")
    (41, None)
    """
    if not data:
        return None
    fields = data[:HEADER_BYTES_MAX].lstrip(b"\x0b\r\n\t ").split(b"\r", 1)[0].split(data[3:4] or b"|", 13)
    text = fields[12].strip() if len(fields) > 12 else b""
    return int(text) or None if text.isdigit() and len(text) <= NUMBER_DIGITS_MAX else None
