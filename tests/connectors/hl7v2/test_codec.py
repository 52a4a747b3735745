"""Claims about the codec as a whole: encodings, delimiters, line ends, versions, the header."""

from __future__ import annotations

import pytest

from connectors.decoded import Decoded, Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import ALIKE_VERSIONS, VERSIONS, Hl7Settings
from events import Observation, from_iso

SETTINGS = Hl7Settings()
LINES = (
    "MSH|^~\\&|LAB|MAIN|||20260419120000||ORU^R01|77|P|2.5",
    "PID|1||42^^^HOSP^MR",
    "OBR|1||F1||||20260419115000",
    "OBX|1|NM|8310-5^Temperature^LN||36.6|°C",
)
PLAIN = "\r".join(LINES)


def read(data: bytes, settings: Hl7Settings = SETTINGS) -> Decoded:
    """Decode what must decode."""
    decoded = decode(data, settings)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def unit(decoded: Decoded) -> str:
    """Give the unit of the one observation."""
    [event] = decoded.events
    assert isinstance(event, Observation)
    return event.unit


def refused(data: bytes, settings: Hl7Settings = SETTINGS) -> Refusal:
    """Decode what must be refused."""
    refusal = decode(data, settings)
    assert isinstance(refusal, Refusal), refusal
    return refusal


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r", "\n\r\n", "  \r"])
def test_line_ends(end: str) -> None:
    """LF, CRLF, blank lines and trailing blanks give the same events and the same content hash as CR, blanks apart."""
    other = read(end.join(LINES).encode())
    assert other.events == read(PLAIN.encode()).events
    if end in {"\n", "\r\n"}:
        assert other == read(PLAIN.encode())


@pytest.mark.parametrize(
    "data",
    [b"\xef\xbb\xbf" + PLAIN.encode(), b"\x0b" + PLAIN.encode() + b"\x1c\r", b"\r\n " + PLAIN.encode() + b"\r\n\r\n"],
)
def test_what_stands_around(data: bytes) -> None:
    """A byte-order mark, an MLLP frame and blank lines around a message change nothing."""
    assert read(data) == read(PLAIN.encode())


def test_lower_case_segments() -> None:
    """Segment names in lower case are read."""
    data = PLAIN.replace("PID", "pid").replace("OBX", "obx").replace("OBR", "Obr").replace("MSH", "msh")
    assert read(data.encode()).events == read(PLAIN.encode()).events


def test_custom_delimiters() -> None:
    """A message with its own delimiters says the same."""
    table = str.maketrans({"|": "@", "^": "*", "~": "%", "\\": "!", "&": "$"})
    other = read(PLAIN.translate(table).encode())
    assert other.events == read(PLAIN.encode()).events
    assert other.subject == read(PLAIN.encode()).subject


def test_truncation_character() -> None:
    """The fifth character of MSH-2 (2.7) is accepted."""
    assert read(PLAIN.replace("^~\\&", "^~\\&#").encode()).events == read(PLAIN.encode()).events


def test_doubled_escape_in_msh_2() -> None:
    """An escape character that was itself escaped is understood and noted."""
    assert "msh2_escape_doubled" in read(PLAIN.replace("^~\\&", "^~\\\\&").encode()).notes


@pytest.mark.parametrize("marks", ["^~\\", "^^\\&", "^~\\& ", "^~A&", "^~\\&##"])
def test_bad_delimiters(marks: str) -> None:
    """Delimiters that repeat, are letters or blanks, or are too few refuse the message at MSH-2."""
    refusal = refused(PLAIN.replace("^~\\&", marks, 1).encode())
    assert (refusal.reason, refusal.position) == (RefusalReason.INVALID_VALUE, "MSH-2")


@pytest.mark.parametrize(
    ("name", "codec", "notes"),
    [
        ("", "utf-8", ("charset_guessed",)),
        ("", "latin-1", ("charset_guessed",)),
        ("ASCII", "latin-1", ("charset_guessed",)),
        ("UNICODE UTF-8", "utf-8", ()),
        ("utf-8", "utf-8", ()),
        ("8859/1", "latin-1", ()),
        ("8859/15", "iso8859-15", ()),
        ("8859/1~UNICODE UTF-8", "latin-1", ()),
    ],
)
def test_character_sets(name: str, codec: str, notes: tuple[str, ...]) -> None:
    """MSH-18 names the character set; where it is silent or wrong about ASCII the guess is noted."""
    decoded = read(PLAIN.replace("|P|2.5", f"|P|2.5||||||{name}").encode(codec))
    assert unit(decoded) == "°C"
    assert decoded.notes == notes


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (PLAIN.replace("|P|2.5", "|P|2.5||||||UTF-8").encode("latin-1"), f"byte {len(PLAIN) - 1 + len('||||||UTF-8')}"),
        (PLAIN.replace("|P|2.5", "|P|2.5||||||ISO IR87").encode(), "MSH-18"),
        (PLAIN.replace("|P|2.5", "|P|2.5||||||ISO IR87").replace("°", "").encode(), "MSH-18"),
        (PLAIN.encode("utf-16"), "byte 1"),
        (PLAIN.encode("utf-16-le"), "byte 1"),
        (PLAIN.encode("utf-16-be"), "byte 1"),
        (PLAIN.encode("utf-32"), "byte 1"),
    ],
)
def test_wrong_encoding(data: bytes, position: str) -> None:
    """Bytes that are not what MSH-18 names, unknown sets, and wide encodings are refused by that name."""
    refusal = refused(data)
    assert refusal.reason is RefusalReason.WRONG_ENCODING
    assert refusal.position == position


@pytest.mark.parametrize("version", sorted(VERSIONS | ALIKE_VERSIONS))
def test_versions(version: str) -> None:
    """Versions 2.1 to 2.9 are read, with or without the components that follow."""
    assert read(PLAIN.replace("|2.5", f"|{version}^USA").encode()).kind == "ORU^R01"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ACK", RefusalReason.UNSUPPORTED_TYPE), ("ACK^^ACK", RefusalReason.UNSUPPORTED_TYPE),
        ("ORU", RefusalReason.MISSING_FIELD), ("ADT^^ADT_A01", RefusalReason.MISSING_FIELD),
        ("ORM", RefusalReason.MISSING_FIELD), ("", RefusalReason.MISSING_FIELD), ("^R01", RefusalReason.MISSING_FIELD),
    ],
)  # fmt: skip
def test_a_type_without_a_trigger_event(kind: str, reason: RefusalReason) -> None:
    """An acknowledgement needs no trigger event to be none of ours; what is ours has one, and lacks it else."""
    refusal = refused(PLAIN.replace("ORU^R01", kind).encode())
    assert (refusal.reason, refusal.position) == (reason, "MSH-9")


def test_who_names_versions_reads_no_others() -> None:
    """A site's own list, or a route's, is all that it reads, whatever is laid out alike."""
    own = Hl7Settings(accepted_versions=frozenset({"2.5", "2.6"}))
    by_route = Hl7Settings(routes=(Route("r", sender="LAB|*", accepted_versions=frozenset({"2.5"})),))
    for settings in (own, by_route):
        refusal = decode(PLAIN.replace("|2.5", "|2.2").encode(), settings)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is RefusalReason.UNSUPPORTED_VERSION


@pytest.mark.parametrize("version", ["2.0", "2.99", "3.0", "x"])
def test_other_versions(version: str) -> None:
    """Other versions are refused; an absent one is read as if it were ours, and noted."""
    assert refused(PLAIN.replace("|2.5", f"|{version}").encode()).reason is RefusalReason.UNSUPPORTED_VERSION
    assert "version_absent" in read(PLAIN.replace("|2.5", "").encode()).notes


@pytest.mark.parametrize(
    ("data", "reason", "position"),
    [
        (b"", RefusalReason.GARBAGE, "byte 1"),
        (b"\r\n", RefusalReason.GARBAGE, "byte 1"),
        (b"\x00\x01\x02", RefusalReason.GARBAGE, "byte 1"),
        (b"EVN|A01|20260419\rPID|1||42", RefusalReason.MISSING_SEGMENT, "MSH"),
        (b"MSH|^~\\&|LAB|MAIN|||2026", RefusalReason.TRUNCATED, "byte 24"),
        (b"MSH|^~", RefusalReason.TRUNCATED, "byte 6"),
        (PLAIN.replace("ORU^R01", "").encode(), RefusalReason.MISSING_FIELD, "MSH-9"),
        (PLAIN.replace("ORU^R01", "ORU").encode(), RefusalReason.MISSING_FIELD, "MSH-9"),
        (PLAIN.replace("|77|", "||").encode(), RefusalReason.MISSING_FIELD, "MSH-10"),
        (PLAIN.replace("ORU^R01", "MDM^T02").encode(), RefusalReason.UNSUPPORTED_TYPE, "MSH-9"),
    ],
)
def test_refusals(data: bytes, reason: RefusalReason, position: str) -> None:
    """Each kind of unusable bytes has its own reason and place."""
    refusal = refused(data)
    assert (refusal.reason, refusal.position) == (reason, position)


def test_oversized() -> None:
    """A message past the limit is refused, one at the limit is not."""
    data = PLAIN.encode()
    assert refused(data, Hl7Settings(message_bytes_max=len(data) - 1)).reason is RefusalReason.OVERSIZED
    assert read(data, Hl7Settings(message_bytes_max=len(data))).message_id == "77"


def test_content_hash() -> None:
    """A repeat has the same hash though MSH-7 differs; another value, control id or sender has another."""
    one = read(PLAIN.encode()).content_hash
    assert len(one) == 16
    assert read(PLAIN.replace("20260419120000", "20260419120500").encode()).content_hash == one
    for old, new in (("36.6", "36.7"), ("|77|", "|78|"), ("|LAB|", "|LIS|")):
        assert read(PLAIN.replace(old, new).encode()).content_hash != one


def test_feed() -> None:
    """The feed is the first components of MSH-3 and MSH-4."""
    assert read(PLAIN.replace("|LAB|MAIN|", "|LAB^1.2^ISO|MAIN^1.3^ISO|").encode()).feed == "LAB|MAIN"


@pytest.mark.parametrize(
    ("zones", "sent", "expected"),
    [
        ({}, "20260419120000", "2026-04-19T09:50:00Z"),
        ({}, "20260419120000-0500", "2026-04-19T16:50:00Z"),
        ({"LAB|MAIN": "Europe/London"}, "20260419120000-0500", "2026-04-19T10:50:00Z"),
        ({"LIS|MAIN": "Europe/London"}, "20260419120000", "2026-04-19T09:50:00Z"),
    ],
)
def test_zones(zones: dict[str, str], sent: str, expected: str) -> None:
    """A time without an offset is in the feed's configured zone, else at MSH-7's offset, else in the default zone."""
    settings = Hl7Settings(zone="Europe/Berlin", zones=zones)
    assert read(PLAIN.replace("20260419120000", sent).encode(), settings).event_time == from_iso(expected)


def test_memos_do_not_show() -> None:
    """Decoding the same bytes again, with all fields remembered, gives an equal result; settings are not remembered."""
    data = PLAIN.replace("HOSP^MR", "").encode()
    first = read(data)
    assert read(data) == first
    configured = Hl7Settings(authorities={"LAB|MAIN": "TRUST"}, zone="Europe/Berlin")
    assert read(data, configured).subject != first.subject
    assert read(data, configured).event_time != first.event_time
    assert read(data) == first
