"""Every record's type made known to msgspec before threads decode.

Owns that one step of a host's start. Must not know any type by name.

msgspec builds what it knows of a Struct when the Struct is first decoded, and a second thread that decodes it meanwhile
meets it half built: a null pointer, and the process is gone (seen once in some 300 starts of a worker under load, in
`mpack_decode` of msgspec 0.21.1). Built beforehand, on one thread, there is nothing left to build.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

PACKAGES = ("events", "features", "models", "guardrails", "alerts", "connectors", "stream")


def settle_types() -> int:
    """Build the decoders of all of our Structs that are imported; give how many. To be called before threads start.

    >>> settle_types() > 0
    True
    """
    return sum(_settled(one) for one in _ours(msgspec.Struct))


def _ours(base: type) -> Iterator[type]:
    found: list[type] = base.__subclasses__()
    for one in found:
        if one.__module__.partition(".")[0] in PACKAGES:
            yield one
        yield from _ours(one)


def _settled(one: type) -> bool:
    try:
        msgspec.msgpack.Decoder(one)
        msgspec.json.Decoder(one)
    except (
        TypeError,
        NameError,
    ):  # One that is never decoded: it holds a function, or a type of a type checker's alone.
        return False
    return True
