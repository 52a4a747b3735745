"""Answers unpacked in bounded pieces.

Owns the unpacking. Must not know what is in an answer, nor how much of it is too much: who reads counts.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

UNPACKED_AT_ONCE_MAX = 256 * 1024


async def unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    """Give a body as it was before it was packed, some bytes at a time; raises `httpx.DecodingError`.

    httpx unpacks whatever came at once, and packs within packs: 2 KB may become gigabytes.
    """
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed == "identity":
        async for part in response.aiter_raw():
            yield part
        return
    if packed != "gzip":
        raise httpx.DecodingError("packed otherwise than was asked for")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    begun = False
    try:
        async for part in response.aiter_raw():
            rest, begun = part, True
            while rest:
                if unpacking.eof:
                    raise httpx.DecodingError("more behind the end of a gzip")
                yield unpacking.decompress(rest, UNPACKED_AT_ONCE_MAX)
                rest = unpacking.unconsumed_tail or unpacking.unused_data
    except zlib.error:
        raise httpx.DecodingError("no gzip") from None
    if begun and not unpacking.eof:
        raise httpx.DecodingError("a gzip without its end")
