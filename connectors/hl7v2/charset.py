"""Bytes to text: MSH-18 and what senders do about it.

Owns the table of character sets and the one guess we make. Must not know any field but MSH-18.
"""

from __future__ import annotations

from connectors.decoded import RefusalReason
from connectors.hl7v2.faults import Fault

CODECS = {
    "": "",
    "ASCII": "",
    "ISO IR6": "",
    "UNICODE UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "ISO-8859-1": "iso8859-1",
} | {f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)}
"""HL7 table 0211 names and the common misspellings, to Python's codecs; an empty codec means ASCII or not said."""

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def to_text(data: bytes, default: str = "") -> tuple[str, str]:
    r"""Decode a message and say what was odd about it.

    All-ASCII bytes need no declaration. Otherwise MSH-18 decides (its first repetition; a switch inside a field,
    `\C..\`, is left as it is). Where it says nothing, or ASCII and is wrong, `default` holds, the set of the sender's
    route; without one UTF-8 is tried and ISO 8859-1 taken else, noted as `charset_guessed`: what we read (codes,
    numbers, units such as µmol/L and °C) is the same in all of the 8859 and Windows family that hospitals use. Bytes
    that are not what MSH-18 names, or the route, are refused, as are sets that we do not know.

    >>> to_text("MSH|^~\\&|LAB\r\xb5mol/L".encode())[1]
    'charset_guessed'
    """
    if data.isascii():
        return data.decode("ascii"), ""
    if data[:2] in _UTF_16_MARKS or b"\x00" in data[:8]:
        raise Fault(RefusalReason.WRONG_ENCODING, "byte 1", "UTF-16 or UTF-32; HL7 v2 is sent in an ASCII-based set")
    named = CODECS[declared(data.split(b"\r", 1)[0].decode("latin-1"))]
    codec = named or CODECS[default.upper()]
    if codec:
        try:
            return data.decode(codec), ""
        except UnicodeDecodeError as error:
            detail = f"bytes are not {codec}, which {'MSH-18' if named else 'the route'} names"
            raise Fault(RefusalReason.WRONG_ENCODING, f"byte {error.start + 1}", detail) from None
    try:
        return data.decode("utf-8"), "charset_guessed"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "charset_guessed"


def declared(header: str) -> str:
    """Give the name in MSH-18 of an MSH segment, upper case; raises `Fault` where we do not know the set.

    Its further repetitions name sets that the message may switch to (section 2.14.9.18): each must be one that we know,
    for a switch to another would be read as something it is not.
    """
    fields = header.split(header[3:4] or "|", 18)
    if len(fields) < 18:
        return ""
    names = [name.strip().upper() for name in fields[17].split(fields[1][1:2] or "~")]
    names = ["" if name == '""' else name for name in names]
    if not all(name in CODECS for name in names):
        raise Fault(RefusalReason.WRONG_ENCODING, "MSH-18", "a character set that is not supported")
    return names[0]
