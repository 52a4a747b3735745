"""What one message may cost: escapes, repetitions and segments by the hundred thousand are read or refused at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded, Refusal
from connectors.hl7v2.codec import decode
from connectors.hl7v2.delimiters import UNESCAPED_CHARS_MAX, Delimiters, _meaning, unescape
from connectors.hl7v2.dialect import REPETITIONS_MAX
from connectors.hl7v2.oru import QUALIFIERS_MAX
from connectors.hl7v2.settings import Hl7Settings

SECONDS_MAX = 0.25
"""Of CPU for a megabyte on a machine that does other work too; before their bounds these took up to two seconds."""
HEAD = b"MSH|^~\\&|A|B|||20260101120000||ADT^A01|1|P|2.5\r"
PID = b"PID|1||42^^^HOSP^MR\r"
OTHER = Delimiters("!", "$", "%", "#", "*")


def unescape_by_the_letter(text: str, delimiters: Delimiters) -> str:
    """Undo escapes one after the other, as section 2.7 tells it: slow, and what the quick way is held to."""
    mark = delimiters.escape
    parts: list[str] = []
    at = 0
    while True:
        start = text.find(mark, at)
        end = text.find(mark, start + 1) if start >= 0 else -1
        if end < 0:
            return "".join([*parts, text[at:]])
        parts.append(text[at:start])
        token = text[start + 1 : end]
        meaning = _meaning(token, delimiters)
        if meaning is not None:
            parts.append(meaning)
            at = end + 1
        elif token.isalnum():
            parts.append(text[start : end + 1])
            at = end + 1
        else:
            parts.append(text[start:end])
            at = end


PIECES = st.sampled_from(
    [
        "\\",
        "#",
        "F",
        "S",
        "X41",
        "Xc3a9",
        "X4",
        "Xzz",
        ".br",
        ".sp3",
        ".xx",
        "H",
        "N",
        "Z9",
        "a",
        " ",
        "_",
        "²",
        "é",
        "\n",
        "^",
        "X",
    ]
)


@given(st.lists(PIECES, max_size=30), st.sampled_from([Delimiters(), OTHER]))
def test_unescaping_means_what_it_says(pieces: list[str], delimiters: Delimiters) -> None:
    """Whatever escapes, halves of escapes and plain text follow each other, the quick way is the slow one."""
    text = "".join(pieces)
    assert unescape(text, delimiters) == unescape_by_the_letter(text, delimiters)


def test_a_long_text_is_unescaped_as_far_as_it_is_kept() -> None:
    """Beyond the bound a text is kept as it stands: nothing of it is lost."""
    text = "\\S\\" + "x" * UNESCAPED_CHARS_MAX + "\\S\\"
    assert unescape(text) == "^" + "x" * UNESCAPED_CHARS_MAX + "\\S\\"


def padded(make: Callable[[bytes], bytes], unit: bytes) -> bytes:
    """Fill a message up to a megabyte."""
    return make(unit * ((1_000_000 - 200) // len(unit)))


COSTLY = {
    "escapes in a name": padded(lambda fill: HEAD + b"PID|1||" + fill + b"^^^HOSP^MR\r", b"\\X41\\"),
    "escape characters": padded(lambda fill: HEAD + PID + b"PV1|1|I|" + fill + b"\r", b"\\"),
    "escapes that are none": padded(lambda fill: HEAD + PID + b"PV1|1|I|" + fill + b"\r", b"\\a b"),
    "identifiers": padded(lambda fill: HEAD + b"PID|1||42^^^HOSP^MR" + fill + b"\r", b"~1"),
    "races": padded(lambda fill: HEAD + b"PID|1||42^^^HOSP^MR|||||||" + fill + b"\r", b"~1"),
    "citizenships": padded(lambda fill: HEAD + b"PID|1||42^^^HOSP^MR" + b"|" * 19 + fill + b"\r", b"~1"),
    "conditions": padded(lambda fill: HEAD + PID + b"PV1|1|I" + b"|" * 13 + fill + b"\r", b"~1"),
    "segments": padded(lambda fill: HEAD + PID + fill, b"Z\r"),
    "patients": padded(lambda fill: HEAD + fill, PID),
    "patients beside a long one": padded(
        lambda fill: HEAD + b"PID|||1" + b"|" * (len(fill) // 2) + b"\r" + fill[: len(fill) // 10], b"PID|||1\r"
    ),
    "former numbers beside a long one": padded(
        lambda fill: (
            HEAD.replace(b"A01", b"A40") + PID + b"MRG|1" + b"|" * (len(fill) // 2) + b"\r" + fill[: len(fill) // 10]
        ),
        b"MRG|1\r",
    ),
    "results beside a long patient": padded(
        lambda fill: (
            HEAD.replace(b"ADT^A01", b"ORU^R01")
            + (b"PID|||1" + b"|" * (len(fill) // 2) + b"\r" + fill[: len(fill) // 10])
        ),
        b"PID|||1\r",
    ),
    "methods of one result": padded(
        lambda fill: HEAD.replace(b"ADT^A01", b"ORU^R01") + PID + b"OBX|1|NM|8867-4^HR^LN||72|||||||||||" + fill, b"a~"
    ),
    "specimens of an order": padded(
        lambda fill: (
            HEAD.replace(b"ADT^A01", b"ORU^R01") + PID + b"OBR|1||F1\r" + b"OBX|1|NM|a^^L||1\r" * 2_000 + fill[:100_000]
        ),
        b"SPM||||x\r",
    ),
    "results": padded(
        lambda fill: HEAD.replace(b"ADT^A01", b"ORU^R01") + PID + fill, b"OBX|1|NM|8867-4^HR^LN||72|/min|||||F\r"
    ),
    "values in one result": padded(
        lambda fill: HEAD.replace(b"ADT^A01", b"ORU^R01") + PID + b"OBX|1|NM|8867-4^HR^LN||1" + fill, b"~1"
    ),
}


@pytest.mark.parametrize("what", COSTLY)
def test_no_megabyte_takes_long(what: str) -> None:
    """A megabyte of one thing is read or refused within the bound, and a refusal has its place."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        result = decode(COSTLY[what], Hl7Settings())
        took.append(time.thread_time() - began)
    assert min(took) < SECONDS_MAX
    assert isinstance(result, Decoded) or (result.reason and result.position)


def test_more_identifiers_than_anybody_has_are_refused_in_their_place() -> None:
    """The bound on repetitions names the field; one below it is read."""
    fill = b"~1^^^HOSP^MR"
    refused = decode(HEAD + b"PID|1||42^^^HOSP^MR" + fill * REPETITIONS_MAX + b"\r", Hl7Settings())
    assert isinstance(refused, Refusal)
    assert (refused.reason.value, refused.position) == ("invalid_value", "PID-3")
    assert isinstance(decode(HEAD + b"PID|1||42^^^HOSP^MR" + fill * 99 + b"\r", Hl7Settings()), Decoded)


def test_more_codings_than_a_result_has_are_refused_in_their_place() -> None:
    """Methods and sites are kept up to the bound, which names the field beyond it."""
    head = HEAD.replace(b"ADT^A01", b"ORU^R01") + PID + b"OBX|1|NM|8867-4^HR^LN||72|/min|||||F||||||"
    read = decode(head + b"~".join([b"a"] * QUALIFIERS_MAX), Hl7Settings())
    assert isinstance(read, Decoded)
    assert len(read.events[0].qualifiers) == QUALIFIERS_MAX
    refused = decode(head + b"~".join([b"a"] * (QUALIFIERS_MAX + 1)), Hl7Settings())
    assert isinstance(refused, Refusal)
    assert (refused.reason.value, refused.position) == ("invalid_value", "OBX[1]-17")
