"""The one canonical encoding of an envelope, and the digest over it.

Owns the bytes: JSON, keys sorted, defaults left out, floats in their shortest round-trip form. Must not know where the
bytes go. Decoding is strict: an unknown tag or a wrong type is an error with its path.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from events.envelope import Envelope

ENVELOPE_BYTES_MAX = 4 * 1024 * 1024
"""The longest that is made of a message: no ward message that we accept (1 MiB at the most) grows past this."""
PASSED_ON_BYTES = 16 * 1024
"""What a record of that length may have grown by when it comes to its last reader: each time it is passed on from a
retired key its count is written and a key of 32 letters added, `stream.merging.HOPS_MAX` times at the most."""
READ_BYTES_MAX = ENVELOPE_BYTES_MAX + PASSED_ON_BYTES
"""A longer record is refused. A reader takes more than the first hand may write, or what is passed on would be lost."""

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Envelope)


class UndecodableEnvelopeError(ValueError):
    """The log holds bytes that are no envelope: ours to explain, the record is dead-lettered."""


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode an envelope canonically.

    >>> envelope = Envelope("id", "p", 0, 1, ())
    >>> decode_envelope(encode_envelope(envelope)) == envelope
    True
    """
    return _encoder.encode(envelope)


def decode_envelope(data: bytes) -> Envelope:
    """Decode what `encode_envelope` wrote; raises `UndecodableEnvelopeError` with the path of the fault.

    The error's text never holds the data itself.
    """
    if len(data) > READ_BYTES_MAX:
        raise UndecodableEnvelopeError(f"{len(data)} bytes, more than {READ_BYTES_MAX}")
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise UndecodableEnvelopeError("nested too deep") from None
    except msgspec.ValidationError as error:
        raise UndecodableEnvelopeError(misfit(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UndecodableEnvelopeError("no JSON") from None


def misfit(error: msgspec.ValidationError) -> str:
    """Say where a document does not fit its type, and nothing of it: msgspec quotes the value before the path.

    >>> try:
    ...     msgspec.json.decode(b'{"envelope_id": 7}', type=Envelope)
    ... except msgspec.ValidationError as error:
    ...     misfit(error)
    'wrong type or value at `$.envelope_id`'
    """
    return f"wrong type or value at {str(error).rpartition(' - at ')[2]}"


def envelope_digest(envelope: Envelope) -> str:
    """Digest what an envelope says: all of it but where it stood in its source.

    >>> a = Envelope("id", "p", 0, 1, (), position="a.hl7#1")
    >>> b = Envelope("id", "p", 0, 1, (), position="b.hl7#9")
    >>> envelope_digest(a) == envelope_digest(b)
    True
    """
    return sha256(_encoder.encode(msgspec.structs.replace(envelope, position=""))).hexdigest()
