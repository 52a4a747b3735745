"""Files, archives' members and gzip, read as far as they go.

Owns the reading of a stream that may break off: all that stands before the break is given (Python's `GzipFile` throws
the last part away, `tarfile` raises in the middle), and the fault is kept for the reader to tell. Must not know what is
in the stream.
"""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from typing import IO

_GZIP_WINDOW = 31
"""zlib's word for: a gzip header, and the largest window."""
_CHUNK_BYTES = 64 * 1024

BREAKS_OFF = "breaks off"
IS_DAMAGED = "is damaged"
CANNOT_BE_READ = "cannot be read"
DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What the readers of archives raise where the archive ends too early or was changed."""


class Guarded(io.RawIOBase):
    r"""A stream whose faults are an early end, with `fault` saying which.

    >>> class Torn(io.BytesIO):
    ...     def read(self, size: int = -1) -> bytes:
    ...         raise OSError("the disk is gone")
    >>> stream = Guarded(Torn())
    >>> stream.read(), stream.fault
    (b'', 'cannot be read')
    """

    def __init__(self, inner: IO[bytes] | None, fault: str = "") -> None:
        """Guard `inner`; without one there is nothing to read but the fault."""
        self._inner = inner
        self.fault = fault

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # what callers give
        """Fill `buffer`; 0 at the end and from the first fault on."""
        if self.fault or self._inner is None:
            return 0
        try:
            data = self._inner.read(len(buffer))
        except DAMAGE:
            self.fault = BREAKS_OFF
            return 0
        except OSError:
            self.fault = CANNOT_BE_READ
            return 0
        buffer[: len(data)] = data
        return len(data)


class Unpacking(io.RawIOBase):
    r"""A gzip stream, unpacked while it is read, in bounded memory; members may follow one another.

    >>> import gzip
    >>> stream = Unpacking(io.BytesIO(gzip.compress(b"MSH|", mtime=0)[:-4]))
    >>> stream.read(), stream.fault
    (b'MSH|', 'breaks off')
    """

    def __init__(self, packed: IO[bytes] | Guarded) -> None:
        """Unpack `packed`; `fault` is empty as long as all is well."""
        self.packed = packed
        self._step = _CHUNK_BYTES
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
                self._waiting = self.packed.read(_CHUNK_BYTES) or b""
            if not self._waiting:
                self.fault = getattr(self.packed, "fault", "") or (BREAKS_OFF if self._begun else "")
                return 0
            # zlib throws away what stood before a fault in one call's input: ever smaller steps get that back.
            before = self._member.copy()
            given = self._waiting[: self._step]
            try:
                data = self._member.decompress(given, len(buffer))
            except zlib.error:
                if len(given) == 1:
                    self.fault = IS_DAMAGED
                    return 0
                self._member, self._step = before, len(given) // 2
                continue
            self._begun = True
            self._waiting = self._member.unconsumed_tail + self._waiting[len(given) :]
            if self._member.eof:
                self._waiting = self._member.unused_data + self._waiting
                self._member = zlib.decompressobj(_GZIP_WINDOW)
                self._begun = False
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0
