"""Gzip, read as far as it goes.

Owns the unpacking of a stream that may break off: all that was packed before the break is given (Python's `GzipFile`
throws the last part away), and the fault is kept for the reader to tell. Must not know what is in the stream.
"""

from __future__ import annotations

import io
import zlib
from typing import IO

_GZIP_WINDOW = 31
"""zlib's word for: a gzip header, and the largest window."""
_CHUNK_BYTES = 64 * 1024


class Unpacking(io.RawIOBase):
    r"""A gzip stream, unpacked while it is read, in bounded memory; members may follow one another.

    >>> import gzip
    >>> stream = Unpacking(io.BytesIO(gzip.compress(b"MSH|", mtime=0)[:-4]))
    >>> stream.read(), stream.fault
    (b'MSH|', 'breaks off')
    """

    def __init__(self, packed: IO[bytes]) -> None:
        """Unpack `packed`; `fault` is empty as long as all is well."""
        self._packed = packed
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._waiting = b""
        self._begun = False
        self.fault = ""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # what callers give
        """Fill `buffer` with unpacked bytes; 0 at the end, or where the stream breaks."""
        while not self.fault:
            if not self._waiting:
                self._waiting = self._packed.read(_CHUNK_BYTES)
            if not self._waiting:
                self.fault = "breaks off" if self._begun else ""
                return 0
            try:
                data = self._member.decompress(self._waiting, len(buffer))
            except zlib.error:
                self.fault = "is damaged"
                return 0
            self._begun = True
            self._waiting = self._member.unconsumed_tail
            if self._member.eof:
                self._waiting = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP_WINDOW)
                self._begun = False
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0
