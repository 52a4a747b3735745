"""Claims about acknowledgements."""

from __future__ import annotations

import re

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import (
    CODES,
    ECHO_CHARS_MAX,
    NOT_STORED,
    POSITIONS,
    REASONS,
    acknowledge,
    code_of,
)
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings

MESSAGE = b"MSH|^~\\&|LAB|MAIN|WARD|HOSP|20260101120000||ORU^R01^ORU_R01|M7|P|2.5.1\rPID|1||\rOBR|1\rOBX|1"
NOW = 1_767_225_600_000


def answer(data: bytes, verdict: object = "stored") -> hl7.Message:
    """Acknowledge, and read the answer with python-hl7."""
    return hl7.parse(acknowledge(data, verdict, now=NOW, control_id="A1").decode("latin-1"))  # type: ignore[arg-type]


def refused(reason: RefusalReason, position: str = "byte 1", detail: str = "words") -> Refusal:
    return Refusal(reason, position, detail)


def with_version(version: bytes) -> bytes:
    return MESSAGE.replace(b"|2.5.1", b"|" + version)


def test_stored() -> None:
    """A stored message is answered AA: parties swapped, id, processing id and version as sent, and no ERR."""
    ack = answer(MESSAGE)
    assert [str(segment[0]) for segment in ack] == ["MSH", "MSA"]
    assert str(ack["MSH"][0]) == ("MSH|^~\\&|WARD|HOSP|LAB|MAIN|20260101000000+0000||ACK^R01^ACK|A1|P|2.5.1")
    assert str(ack["MSA"][0]) == "MSA|AA|M7"


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_every_reason(reason: RefusalReason) -> None:
    """Each reason of refusal has a code: AE or AR in MSA-1, one of HL7 table 0357 with its text in ERR-3, E, words."""
    ack = answer(MESSAGE, refused(reason))
    error = str(ack["ERR"][0]).split("|")
    number, text, system = error[3].split("^")
    assert str(ack["MSA"][0]) == f"MSA|{REASONS[reason][0]}|M7"
    assert REASONS[reason][0] in {"AE", "AR"}
    assert (CODES[number], system) == (text, "HL70357")
    assert (error[1], error[4], error[8]) == ("", "E", "byte 1: words")


@pytest.mark.parametrize(
    ("data", "code", "number", "where"),
    [
        (MESSAGE, "AE", "101", "PID^1^3^1"),
        (MESSAGE.replace(b"ORU^R01^", b"ORU^R99^"), "AR", "201", "MSH^1^9^1^2"),
        (MESSAGE.replace(b"ORU^R01^", b"SIU^S12^"), "AR", "200", "MSH^1^9^1^1"),
        (MESSAGE.replace(b"ORU^R01^ORU_R01", b""), "AE", "101", "MSH^1^9^1"),
        (MESSAGE.replace(b"|M7|", b"||"), "AE", "101", "MSH^1^10^1"),
        (with_version(b"3.0"), "AR", "203", "MSH^1^12^1"),
        (MESSAGE.replace(b"20260101120000", b"yesterday"), "AE", "102", "MSH^1^7^1"),
        (MESSAGE.replace(b"2.5.1", b"2.5.1||||||KLINGON"), "AR", "103", "MSH^1^18^1"),
        (MESSAGE.replace(b"\rPID|1||", b""), "AE", "100", "PID^1"),
        (MESSAGE.replace(b"\rOBR|1", b"||9^^^H\rOBR|1\rPID|2||8^^^H"), "AE", "102", "PID^2^3^1"),
        (MESSAGE + b"\rMSH|^~\\&|", "AR", "100", "MSH^2"),
        (b"PID|1||9^^^H", "AR", "100", "MSH^1"),
        (b"GET / HTTP/1.1", "AR", "100", ""),
        (b"", "AR", "100", ""),
        (b"\xff\xfeM\x00S\x00H\x00", "AR", "102", ""),
        (b"x" * 2_000_000, "AR", "104", ""),
        (b"MSH|^~\\&|LAB", "AE", "100", ""),
        (b"MSH|^^^^|LAB|||||||M7", "AE", "102", "MSH^1^2^1"),
    ],
)
def test_what_the_codec_refuses(data: bytes, code: str, number: str, where: str) -> None:
    """What the codec refuses is answered with HL7's code for it, and with the place of the fault."""
    verdict = decode(data, Hl7Settings())
    assert isinstance(verdict, Refusal)
    ack = answer(data, verdict)
    error = str(ack["ERR"][0]).split("|")
    assert (code_of(acknowledge(data, verdict, now=0, control_id="")), error[3][:3], error[2]) == (code, number, where)


def test_place_within_a_segment() -> None:
    """A component of a repeated segment is named by its place; an unsupported processing id has its own code."""
    error = str(answer(MESSAGE, refused(RefusalReason.INVALID_VALUE, "OBX[2]-5.1"))["ERR"][0])
    assert error.split("|")[2] == "OBX^2^5^1^1"
    other = answer(MESSAGE, refused(RefusalReason.INVALID_VALUE, "MSH-11"))
    assert (str(other["MSA"][0])[4:6], str(other["ERR"][0]).split("|")[3][:3]) == POSITIONS["MSH-11"]


@pytest.mark.parametrize("reason", list(NOT_STORED))
def test_not_stored(reason: str) -> None:
    """Where nothing is stored the answer is AR, 207, and words that say: send it again later."""
    ack = answer(MESSAGE, reason)
    error = str(ack["ERR"][0]).split("|")
    assert str(ack["MSA"][0]) == "MSA|AR|M7"
    assert (error[3], "send it again later" in error[8]) == ("207^Application internal error^HL70357", True)


@pytest.mark.parametrize(
    ("version", "kind", "old", "words"),
    [
        ("2.3", "ACK", "PID^1^3^101&Required field missing&HL70357", "words"),
        ("2.3.1", "ACK", "PID^1^3^101&Required field missing&HL70357", "words"),
        ("2.4", "ACK^R01^ACK", "PID^1^3^101&Required field missing&HL70357", "words"),
        ("2.5", "ACK^R01^ACK", "", ""),
        ("2.8.2", "ACK^R01^ACK", "", ""),
        ("rubbish", "ACK^R01^ACK", "", ""),
        ("", "ACK^R01^ACK", "", ""),
    ],
)
def test_versions(version: str, kind: str, old: str, words: str) -> None:
    """Senders before 2.5 get ERR-1 and MSA-3 beside the rest; before 2.4 an ACK has no trigger event."""
    ack = answer(with_version(version.encode()), refused(RefusalReason.MISSING_IDENTIFIER, "PID-3"))
    header, told, error = (str(segment).split("|") for segment in ack)
    assert (header[8], header[11]) == (kind, version or "2.5.1")
    assert (error[1], error[2]) == (old, "PID^1^3^1")
    assert (told[3:] or [""]) == [words]


def test_other_delimiters() -> None:
    """A sender's own delimiters are used throughout, and our words are escaped in them."""
    data = b"MSH$*!/%$LAB*1$MAIN$WARD$HOSP$20260101$$ORU*R01$M/F/7$P$2.4"
    verdict = refused(RefusalReason.INVALID_VALUE, "PID-3.1", "a 50% / $ * case")
    raw = acknowledge(data, verdict, now=NOW, control_id="A1").decode()
    assert raw.split("\r") == [
        "MSH$*!/%$WARD$HOSP$LAB*1$MAIN$20260101000000+0000$$ACK*R01*ACK$A1$P$2.4",
        "MSA$AE$M/F/7$a 50/T/ /E/ /F/ /S/ case",
        "ERR$PID*1*3*102%Data type error%HL70357$PID*1*3*1*1$102*Data type error*HL70357$E$$$$a 50/T/ /E/ /F/ /S/ case",
        "",
    ]
    ack = hl7.parse(raw)
    assert (str(ack["MSA"][0][2]), str(ack["ERR"][0][3][0][0])) == ("M/F/7", "102")


def test_truncation_mark_and_doubled_escape() -> None:
    """The fifth mark of 2.7 comes back; an escape character that a sender wrote twice comes back once."""
    assert acknowledge(b"MSH|^~\\&#|A", "stored", now=0, control_id="1").startswith(b"MSH|^~\\&#|")
    assert acknowledge(b"MSH|^~\\\\&|A", "stored", now=0, control_id="1").startswith(b"MSH|^~\\&|")


def test_unreadable_header() -> None:
    """Without a header to answer to, the usual delimiters are used, MSA-2 is empty, and the answer is AR and ERR."""
    ack = answer(b"\x16\x03\x01\x02\x00|||M7", refused(RefusalReason.TRUNCATED))
    assert str(ack["MSH"][0]) == "MSH|^~\\&|WARDSTREAM||||20260101000000+0000||ACK|A1|P|2.5.1"
    assert str(ack["MSA"][0]) == "MSA|AR|"
    assert len(ack) == 3


def test_character_set() -> None:
    """A name outside of ASCII comes back byte for byte, with the character set it was sent in; else none is named."""
    data = "MSH|^~\\&|Küche|MAIN|||20260101||ORU^R01|M7|P|2.5||||||8859/1".encode("latin-1")
    header = acknowledge(data, "stored", now=0, control_id="1").split(b"\r")[0].split(b"|")
    assert (header[4], header[17]) == ("Küche".encode("latin-1"), b"8859/1")
    assert b"8859/1" not in acknowledge(data.replace(b"\xfc", b"u"), "stored", now=0, control_id="1")


def test_what_is_repeated_is_bounded() -> None:
    """A control id of any length comes back cut to a bound, so an answer is small whatever was sent."""
    ack = acknowledge(MESSAGE.replace(b"|M7|", b"|" + b"7" * 5_000 + b"|"), "stored", now=0, control_id="1")
    assert ack.split(b"\r")[1] == b"MSA|AA|" + b"7" * ECHO_CHARS_MAX


VERDICTS = st.sampled_from(["stored", *NOT_STORED]) | st.builds(
    refused,
    st.sampled_from(RefusalReason),
    st.sampled_from(["PID-3", "OBX[2]-5.1", "byte 512", "MSH-9", "MSH[2]", "MSH-12", "", "$.entry[3]"]),
)
SCRAPS = st.sampled_from(
    [b"MSH", b"|", b"^~\\&", b"\\&#", b"\x0b", b"\x1c", b"\r", b"\n", b"M7", b"ORU^R01", b"2.3", b"\xff", b"\x00", b"$"]
)


@given(st.lists(SCRAPS | st.binary(max_size=6), max_size=30).map(b"".join), st.booleans(), VERDICTS)
def test_any_bytes(data: bytes, headed: bool, verdict: object) -> None:  # noqa: FBT001
    """Any bytes are answered: MSH, MSA and, unless stored, one ERR, each a line, with nothing that breaks a frame."""
    data = b"MSH|^~\\&|" + data if headed else data
    raw = acknowledge(data, verdict, now=NOW, control_id="A1")  # type: ignore[arg-type]
    lines = raw.split(b"\r")
    mark = raw[3:4]
    expected = [b"MSH", b"MSA", *([] if verdict == "stored" else [b"ERR"]), b""]
    assert [line.split(mark)[0] for line in lines] == expected
    assert not re.search(rb"[\x00-\x0c\x0e-\x1f\x7f]", raw)
    assert lines[1].split(mark)[1] == code_of(raw).encode()
    assert len(raw) < 4_096
    assert str(hl7.parse(raw.decode("latin-1"))["MSA"][0][1]) == code_of(raw)
