"""Claims about escaping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7v2.delimiters import STANDARD, Delimiters, escape, unescape

ODD = Delimiters("@", "*", "%", "!", "$")


@given(st.text(), st.sampled_from([STANDARD, ODD]))
def test_round_trip(text: str, delimiters: Delimiters) -> None:
    """Escaped text holds no delimiter but the escape, no control character, and unescapes to what it was."""
    escaped = escape(text, delimiters)
    assert unescape(escaped, delimiters) == text
    marks = {delimiters.field, delimiters.component, delimiters.repetition, delimiters.subcomponent, "\r", "\n", "\x1c"}
    assert not marks & set(escaped)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("\\F\\\\S\\\\T\\\\R\\\\E\\\\P\\", "|^&~\\#"),
        ("a\\.br\\b\\.sp\\c\\.sp2\\d", "a\nb\nc\nd"),
        ("\\H\\high\\N\\", "high"),
        ("\\.in+4\\x\\.ce\\y", "x\ny"),
        ("\\X41\\\\XC2B5\\\\XB0\\", "Aµ°"),
        ("\\Z99\\ \\C2842\\ \\X4\\ \\XZZ\\", "\\Z99\\ \\C2842\\ \\X4\\ \\XZZ\\"),
        ("C:\\dir one\\F\\x", "C:\\dir one|x"),
        ("ends with \\", "ends with \\"),
    ],
)
def test_meanings(sent: str, meant: str) -> None:
    """Known escapes are undone; unknown ones and lone escape characters are kept as they stand."""
    assert unescape(sent) == meant


@given(st.text(st.sampled_from("\\FSX41.br Z|"), max_size=40))
def test_any_text(text: str) -> None:
    """Any text unescapes to some text."""
    assert isinstance(unescape(text), str)
