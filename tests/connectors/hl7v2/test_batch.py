"""Claims about what FHS, BHS, BTS and FTS say, held against what is there."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hl7v2.batch import PROBLEMS_MAX, account, wrap_answers
from connectors.hl7v2.framing import frame, split

FHS, BHS = b"FHS|^~\\&|LAB|MAIN|||||||F7\r", b"BHS|^~\\&|LAB|MAIN|||||||B7\r"
MESSAGE = b"MSH|^~\\&|LAB|MAIN|||2026||ORU^R01|1|P|2.5\rPID|1\r"


def test_a_whole_file_has_no_problem() -> None:
    """Two batches in a file, each with its count, however lines end and whether messages are framed or not."""
    whole = FHS + BHS + MESSAGE * 2 + b"BTS|2\r" + BHS + MESSAGE + b"BTS|1\rFTS|2\r"
    for data in (whole, whole.replace(b"\r", b"\n"), whole.replace(b"\r", b"\r\n"), b"\xef\xbb\xbf" + whole):
        found = account(data)
        assert (found.wrapped, found.closed, found.problems) == (True, True, ())
        assert (found.file_id, found.batch_id) == ("F7", "B7")
    assert account(BHS + frame(MESSAGE) * 2 + b"BTS|2\r").problems == ()
    assert account(BHS + MESSAGE + b"BTS\r").closed is False, "a trailer without a field mark is none"
    assert account(BHS + MESSAGE + b"BTS|\r").problems == ()


@pytest.mark.parametrize(
    ("data", "closed", "problems"),
    [
        (BHS + MESSAGE + b"BTS|2\r", True, ["batch 1: BTS-1 counts 2, there is 1 message"]),
        (BHS + b"BTS|0\r" + BHS + MESSAGE * 3 + b"BTS|1\r", True, ["batch 2: BTS-1 counts 1, there are 3 messages"]),
        (BHS + MESSAGE, False, ["batch 1: not closed by BTS"]),
        (FHS + BHS + MESSAGE + b"BTS|1\r", False, ["the file is not closed by FTS"]),
        (FHS + BHS + MESSAGE, False, ["batch 1: not closed by BTS", "the file is not closed by FTS"]),
        (FHS + BHS + MESSAGE + b"BTS|1\rFTS|2\r", True, ["FTS-1 counts 2, there is 1 batch"]),
        (BHS + MESSAGE + BHS + MESSAGE + b"BTS|1\r", True, ["batch 1: not closed by BTS"]),
        (MESSAGE + b"BTS|1\r", True, ["BTS: closes a batch that BHS did not open"]),
        (
            MESSAGE + b"FTS|1\r",
            True,
            ["FTS: closes a file that FHS did not open", "FTS-1 counts 1, there are 0 batches"],
        ),
    ],
)
def test_what_does_not_agree_is_said(data: bytes, closed: bool, problems: list[str]) -> None:  # noqa: FBT001
    """A count that is wrong, and a wrapper that is not closed or not opened, are each said by their place."""
    found = account(data)
    assert (found.closed, list(found.problems)) == (closed, problems)


def test_messages_alone_are_no_batch() -> None:
    """Messages without a wrapper, and words that only look like one, have nothing to agree with."""
    for data in (MESSAGE * 3, b"", b"hello", MESSAGE + b"NTE|1||see BHS|x\rBTSX|9\r"):
        found = account(data)
        assert (found.wrapped, found.closed, found.problems) == (False, True, ())


PARTS = st.sampled_from(
    [FHS, BHS, MESSAGE, b"BTS|1\r", b"FTS|1\r", b"bts|2\r", b"\x0b", b"\x1c\r", b"junk\r", b"BTS||\r"]
)


@given(st.lists(PARTS | st.binary(max_size=5), max_size=30).map(b"".join))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are accounted for without an exception, in bounded words that quote nothing; no wrapper, no problem."""
    found = account(data)
    assert len(found.problems) <= PROBLEMS_MAX
    assert found.wrapped or (not found.problems and found.closed)
    answer = wrap_answers([b"MSH|x\r"], found, now=0, control_id="A1")
    assert [line[:4] for line in answer.split(b"\r")] == [b"FHS|", b"BHS|", b"MSH|", b"BTS|", b"FTS|", b""]
    assert answer.isascii()


def test_a_file_of_nothing_but_wrappers_takes_little_memory() -> None:
    """What is wrong with a file is kept as far as it is told, however often it is wrong."""
    data = b"BHS|\r" * 50_000
    tracemalloc.start()
    try:
        found = account(data)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.problems) == PROBLEMS_MAX
    assert peak < len(data)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_a_file_that_counts_itself_agrees(sizes: list[int]) -> None:
    """A file written by its own counts has no problem, and the cutter finds as many messages."""
    data = FHS + b"".join(BHS + MESSAGE * size + b"BTS|%d\r" % size for size in sizes) + b"FTS|%d\r" % len(sizes)
    assert account(data).problems == ()
    assert sum(piece.data.startswith(b"MSH") for piece in split(data)) == sum(sizes)
