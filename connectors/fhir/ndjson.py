"""Lines of NDJSON, one resource each (FHIR Bulk Data), in bounded memory.

Owns the splitting. Must not know what is in a line, nor where the file is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from connectors.decoded import Refusal, RefusalReason
from connectors.fhir.settings import LINE_BYTES_MAX

SKIP_BYTES = 1024 * 1024
"""How much of an overlong line is thrown away at a time."""


def iter_ndjson(source: BinaryIO, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[tuple[int, bytes | Refusal]]:
    r"""Yield (line number from 1, line) for each line that is not blank; an overlong one is a Refusal, and skipped.

    >>> from io import BytesIO
    >>> [(n, type(line).__name__) for n, line in iter_ndjson(BytesIO(b"{}\n\n[1,2,3]\n{}"), line_bytes_max=4)]
    [(1, 'bytes'), (3, 'Refusal'), (4, 'bytes')]
    """
    number = 0
    while True:
        line = source.readline(line_bytes_max + 1)
        if not line:
            return
        number += 1
        if len(line) > line_bytes_max and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = source.readline(SKIP_BYTES)
            yield number, Refusal(RefusalReason.OVERSIZED, f"line {number}", f"more than {line_bytes_max} bytes")
            continue
        stripped = line.strip()
        if stripped:
            yield number, stripped
