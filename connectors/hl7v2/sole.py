"""A segment of which a message may hold one: a further one of the same patient is passed over, any other refused.

Owns that check, at a cost that grows with the message and not with its square. Must not know what the segment says.
"""

from __future__ import annotations

from connectors.decoded import RefusalReason
from connectors.hl7v2.dialect import Dialect
from connectors.hl7v2.faults import Fault


class Sole:
    r"""Keeps the first line of a segment, and holds the others to the field that names the patient.

    >>> from connectors.hl7v2.dialect import dialect_of
    >>> sole = Sole("MRG", 1, dialect_of("|^~\\&"))
    >>> for line in ("MRG|7", "MRG|7|again"):
    ...     sole.take(line)
    >>> sole.line
    'MRG|7'
    >>> sole.take("MRG|8")
    Traceback (most recent call last):
    connectors.hl7v2.faults.Fault: invalid_value at MRG[2]-1
    """

    __slots__ = ("_field", "_index", "_mark", "_name", "line")

    def __init__(self, name: str, index: int, dialect: Dialect) -> None:
        self._name, self._index = name, index
        self._mark = dialect.delimiters.field
        self._field = ""
        self.line = ""

    def take(self, line: str) -> None:
        """Keep a line where there is none yet; raises `Fault` where it is of somebody else than the first."""
        fields = line.split(self._mark, self._index + 1)
        field = fields[self._index].strip() if len(fields) > self._index else ""
        if not self.line:
            self.line, self._field = line, field
        elif field != self._field:
            raise Fault(
                RefusalReason.INVALID_VALUE,
                f"{self._name}[2]-{self._index}",
                "the message is about more than one patient",
            )
