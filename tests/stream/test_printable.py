"""Claims about what senders wrote, shown on a terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from connectors.decoded import Refusal
from connectors.hl7v2.codec import decode
from connectors.hl7v2.settings import Hl7Settings
from stream.cli import deadletters
from stream.conformance.terminal import show
from stream.letters.kept import KeptLetter
from stream.printable import in_a_cell, printable
from tests.stream.conformance.samples import oru, surveyed

ORDER = "\x1b[2J"
"""Clears a screen."""


def refused(sender: str) -> KeptLetter:
    """Give the letter of a message of another version, from a sender of this name."""
    data = oru(header="1.9").replace(b"|MON|", f"|{sender}|".encode())
    refusal = decode(data, Hl7Settings())
    assert isinstance(refusal, Refusal)
    assert sender in refusal.feed
    return KeptLetter(
        "1", "2026-03-03T12:00:00Z", refusal.reason.value, refusal.position, refusal.detail, "mllp/1#1", refusal.feed,
        data, len(data), "00" * 32,
    )  # fmt: skip


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """Of any text no control character but tab and line feed is left, and the rest stands as it stood."""
    shown = printable(text)
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown if char not in "\t\n")
    assert Text.from_markup(in_a_cell(text)).plain.rstrip() == shown.rstrip() or "\\" in text


@pytest.mark.parametrize("sender", ["[/x]", "[bold red]", f"A{ORDER}B"])
@pytest.mark.parametrize("each", [True, False])
def test_no_sender_can_spoil_the_list(capsys: pytest.CaptureFixture[str], sender: str, *, each: bool) -> None:
    """A sender's name is shown as it is: it neither breaks the table nor speaks to the terminal."""
    if each:
        deadletters._list_each([refused(sender)])
    else:
        deadletters._list_causes([refused(sender)], None)
    assert ORDER not in capsys.readouterr().out


def test_no_message_can_speak_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter that is shown is shown with what a terminal would obey written out."""
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_args: False)
    one = refused(f"A{ORDER}B")
    monkeypatch.setattr(deadletters, "folder_letters", lambda _folder: iter([one]))
    monkeypatch.setattr(deadletters, "Taken", lambda *_args: io.BytesIO())
    deadletters.show.callback("1", io.BytesIO(), None, raw=False)  # type: ignore[misc]
    told = capsys.readouterr().out
    assert ORDER not in told
    assert "A\\x1b[2JB" in told


def test_no_code_can_speak_to_the_terminal_of_a_survey() -> None:
    """A code of the sender's own is told in the tables, and no more than told."""
    report = surveyed(oru(f"OBX|1|NM|X{ORDER}^N{ORDER}^L||7|/min|||||F"))
    drawn = io.StringIO()
    show(report, Console(file=drawn, width=300), whole=True)
    assert "X\\x1b" in drawn.getvalue()
    assert ORDER not in drawn.getvalue()
