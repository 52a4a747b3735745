"""Claims about the acknowledgements that senders ask for: the whole truth table, its laws, and what is written."""

from __future__ import annotations

from itertools import count, product
from pathlib import Path

import hl7
import pytest

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2.acknowledgement import NOT_STORED, answers, outcome_of
from connectors.hl7v2.asked import CONDITIONS, Asked, asked_table, codes_for
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings

WORDS = ("AL", "NE", "ER", "SU")
TABLE = {
    # Down: MSH-15. Across: MSH-16, as in WORDS.
    "AA": {
        "AL": ("CA AA", "CA", "CA", "CA AA"),
        "NE": ("AA", "", "", "AA"),
        "ER": ("AA", "", "", "AA"),
        "SU": ("CA AA", "CA", "CA", "CA AA"),
    },
    "AE": {
        "AL": ("CA AE", "CE", "CA AE", "CE"),
        "NE": ("AE", "", "AE", ""),
        "ER": ("AE", "CE", "AE", "CE"),
        "SU": ("CA AE", "", "CA AE", ""),
    },
    "AR": {
        "AL": ("CR", "CR", "CR", "CR"),
        "NE": ("AR", "", "AR", ""),
        "ER": ("CR", "CR", "CR", "CR"),
        "SU": ("AR", "", "AR", ""),
    },
    "not_stored": {
        "AL": ("CE", "CE", "CE", "CE"),
        "NE": ("AR", "", "AR", ""),
        "ER": ("CE", "CE", "CE", "CE"),
        "SU": ("AR", "", "AR", ""),
    },
}
NEGATIVE = frozenset({"AE", "AR", "CE", "CR"})
SPELLINGS = ("", '""', "AL", "NE", "ER", "SU", " al ", "YES")


@pytest.mark.parametrize("outcome", TABLE)
@pytest.mark.parametrize("accept", WORDS)
def test_the_table(outcome: str, accept: str) -> None:
    """What each outcome comes to for each word in MSH-15 and MSH-16, written out."""
    told = tuple(" ".join(codes_for(outcome, Asked(accept, application))) for application in WORDS)  # type: ignore[arg-type]
    assert told == TABLE[outcome][accept]


def test_the_documentation_has_the_table() -> None:
    """docs/hl7.md has the table that the code makes."""
    assert asked_table() in Path("docs/hl7.md").read_text(encoding="utf-8")


def test_the_words_are_those_of_table_0155() -> None:
    """The words are HL7 table 0155's; one that is empty or null means NE beside another, and an unknown one AL."""
    assert set(WORDS) == CONDITIONS
    for outcome in TABLE:
        for word in WORDS:
            assert codes_for(outcome, Asked(word, "")) == codes_for(outcome, Asked(word, "NE"))  # type: ignore[arg-type]
            assert codes_for(outcome, Asked('""', word)) == codes_for(outcome, Asked("NE", word))  # type: ignore[arg-type]
            assert codes_for(outcome, Asked("YES", word)) == codes_for(outcome, Asked("AL", word))  # type: ignore[arg-type]
            assert codes_for(outcome, Asked(word.lower(), " al ")) == codes_for(outcome, Asked(word, "AL"))  # type: ignore[arg-type]


def test_neither_is_the_original_mode() -> None:
    """Without a word in either, one answer is given, in the original mode's codes."""
    for nothing in ("", '""'):
        told = [codes_for(outcome, Asked(nothing, "")) for outcome in ("AA", "AE", "AR", "not_stored")]  # type: ignore[arg-type]
        assert told == [("AA",), ("AE",), ("AR",), ("AR",)]


@pytest.mark.parametrize(("accept", "application"), list(product(SPELLINGS, SPELLINGS)))
@pytest.mark.parametrize("outcome", TABLE)
def test_laws(outcome: str, accept: str, application: str) -> None:
    """No answer is positive unless the bytes are kept; one refusal at the most; AA only of what is charted; accept
    before application; and whoever asks to hear of errors does.
    """
    told = codes_for(outcome, Asked(accept, application))  # type: ignore[arg-type]
    assert not {"AA", "CA"} & set(told) or outcome in {"AA", "AE"}
    assert ("AA" in told) <= (outcome == "AA")
    assert sum(code in NEGATIVE for code in told) <= 1
    assert [code[0] for code in told] == sorted((code[0] for code in told), reverse=True)
    assert len({code[0] for code in told}) == len(told)
    wants = {accept.strip().upper(), application.strip().upper()}
    if outcome != "AA" and wants & {"AL", "ER", "YES"}:
        assert NEGATIVE & set(told)


def message(asked: bytes, *, identifier: bytes = b"9^^^H", kind: bytes = b"ORU^R01^ORU_R01") -> bytes:
    """Give a message that asks for acknowledgements."""
    return (
        b"MSH|^~\\&|LAB|MAIN|WARD|HOSP|20260101120000||" + kind + b"|M7|P|2.5.1|||" + asked + b"\r"
        b"PID|1||" + identifier + b"\rOBR|1||F1\rOBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F\r"
    )


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (message(b""), ["AA"]),
        (message(b"AL|NE"), ["CA"]),
        (message(b"AL|AL"), ["CA", "AA"]),
        (message(b"NE|NE"), []),
        (message(b"AL|NE", identifier=b""), ["CE"]),
        (message(b"AL|AL", identifier=b""), ["CA", "AE"]),
        (message(b"NE|ER", identifier=b""), ["AE"]),
        (message(b"AL|AL", kind=b"SIU^S12"), ["CR"]),
    ],
)
def test_what_is_written(data: bytes, codes: list[str]) -> None:
    """Read by python-hl7: each answer has a control id of its own, names the message, asks for no answer itself, and
    has an ERR exactly where it says no.
    """
    decoded = decode(data, Hl7Settings())
    verdict = decoded if isinstance(decoded, Refusal) else "stored"
    numbers = count(1)
    given = answers(data, verdict, now=0, control_id=lambda: f"A{next(numbers)}")
    told = [hl7.parse(one.decode("latin-1")) for one in given]
    assert [str(one["MSA"][0][1]) for one in told] == codes
    assert [str(one["MSH"][0][10]) for one in told] == [f"A{number}" for number in range(1, len(told) + 1)]
    for code, one in zip(codes, told, strict=True):
        header = str(one["MSH"][0]).split("|")
        assert str(one["MSA"][0][2]) == "M7"
        assert header[8] == f"ACK^{'S12' if b'SIU' in data else 'R01'}^ACK"
        assert header[14:16] == ([] if data == message(b"") else ["NE", "NE"])
        assert ("ERR" in str(one)) == (code in NEGATIVE)


def test_not_stored_says_send_it_again() -> None:
    """What is not stored is CE with 207 to who asks for accept acknowledgements, AR to who asks for the others."""
    for reason in NOT_STORED:
        for asked, code in ((b"AL|AL", "CE"), (b"NE|AL", "AR"), (b"", "AR")):
            (one,) = answers(message(asked), reason, now=0, control_id=lambda: "A1")  # type: ignore[arg-type]
            told = hl7.parse(one.decode())
            assert (str(told["MSA"][0][1]), str(told["ERR"][0]).split("|")[3][:3]) == (code, "207")
        assert outcome_of(message(b"NE|NE"), reason) == "not_stored"  # type: ignore[arg-type]


def test_an_unreadable_header_is_answered_in_the_original_mode() -> None:
    """Where no MSH can be read nobody knows what is asked for: AR."""
    refusal = Refusal(RefusalReason.GARBAGE, "byte 1", "no MSH")
    (one,) = answers(b"hello|||||||||||||AL|AL", refusal, now=0, control_id=lambda: "A1")
    assert b"MSA|AR|" in one
