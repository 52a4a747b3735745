r"""Batches: what FHS, BHS, BTS and FTS say of the messages between them, and the batch that answers one.

Owns the accounting of a batch file (HL7 v2.5.1 chapter 2, section 2.10.3) and the answer's wrapper. Must not know the
messages themselves, which `connectors.hl7v2.framing` cuts out, nor a file or a socket. A count that is wrong makes no
message wrong: each is whole or is refused by itself. It says that one is missing, which only its sender can send.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from connectors.hl7v2.acknowledgement import APPLICATION
from connectors.hl7v2.render import render_time
from events import Millis

PROBLEMS_MAX = 20
"""Of one file, told; what is wrong with a file is wrong once or everywhere."""
REFERENCE_CHARS_MAX = 64
"""Repeated of a sender's batch or file id."""

_SEGMENT = re.compile(
    rb"(?:\A|[\r\n\x0b\x1c])[ \t\x00]*(?:\xef\xbb\xbf)?(MSH|FHS|BHS|BTS|FTS)([^A-Za-z0-9\r\n])([^\r\n\x1c]*)",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:, -]")
_CONTROL_ID_FIELD = 11


class BatchAccount(msgspec.Struct, frozen=True):
    """What a file's wrappers say, held against what is there."""

    wrapped: bool = False
    """Whether there is any wrapper at all."""
    closed: bool = True
    """Whether all that was opened is closed: where it is not, the file may be half written."""
    problems: tuple[str, ...] = ()
    """What does not agree, in words that quote nothing."""
    file_id: str = ""
    """FHS-11 as far as it is plain: our answer refers to it."""
    batch_id: str = ""
    """BHS-11 of the first batch."""


def account(data: bytes) -> BatchAccount:
    r"""Hold the wrappers of a file against its messages; never raises.

    >>> account(b"FHS|^~\\&\rBHS|^~\\&\rMSH|^~\\&|A\rBTS|2\rFTS|1\r").problems
    ('batch 1: BTS-1 counts 2, there is 1 message',)
    >>> account(b"BHS|^~\\&\rMSH|^~\\&|A\r").closed, account(b"MSH|^~\\&|A\r").wrapped
    (False, False)
    """
    problems: list[str] = []
    batches = messages = 0
    in_file = in_batch = wrapped = False
    ids = {"FHS": "", "BHS": ""}

    def end_batch(told: str = "") -> None:
        nonlocal in_batch
        if in_batch and told:
            problems.append(f"batch {batches}: {told}")
        in_batch = False

    for match in _SEGMENT.finditer(data):
        del problems[PROBLEMS_MAX:]  # or a file of nothing but wrappers takes many times its size
        name, fields = match[1].decode().upper(), match[3].split(match[2])
        if name == "MSH":
            messages += 1
            continue
        wrapped = True
        if name in ids:
            end_batch("not closed by BTS")
            ids[name] = ids[name] or _plain(fields, _CONTROL_ID_FIELD)
            if name == "FHS":
                problems += ["FHS: a file begins within another"] if in_file else []
                in_file, batches = True, 0
            else:
                in_batch, batches, messages = True, batches + 1, 0
        elif name == "BTS":
            if not in_batch:
                problems.append("BTS: closes a batch that BHS did not open")
            problems += _compare(f"batch {max(batches, 1)}: BTS-1", fields, messages, "message")
            end_batch()
        else:
            end_batch("not closed by BTS")
            problems += [] if in_file else ["FTS: closes a file that FHS did not open"]
            problems += _compare("FTS-1", fields, batches, "batch")
            in_file = False
    closed = not in_batch and not in_file
    end_batch("not closed by BTS")
    if in_file:
        problems.append("the file is not closed by FTS")
    return BatchAccount(wrapped, closed, tuple(problems[:PROBLEMS_MAX]), ids["FHS"], ids["BHS"])


def wrap_answers(answers: Sequence[bytes], of: BatchAccount, *, now: Millis, control_id: str) -> bytes:
    r"""Put the answers to a batch's messages into a batch of their own; what does not agree is said in BTS-2.

    >>> print(wrap_answers([b"MSH|A\rMSA|AA|1\r"], BatchAccount(True, batch_id="B7"), now=0, control_id="1")
    ...     .decode().replace("\r", "\n"), end="")
    FHS|^~\&|WARDSTREAM||||19700101000000+0000||||1|
    BHS|^~\&|WARDSTREAM||||19700101000000+0000||||1|B7
    MSH|A
    MSA|AA|1
    BTS|1
    FTS|1
    """
    time = render_time(now)
    told = "|" + "; ".join(_UNSAFE.sub(" ", problem) for problem in of.problems) if of.problems else ""
    lines = [
        f"FHS|^~\\&|{APPLICATION}||||{time}||||{control_id}|{of.file_id}",
        f"BHS|^~\\&|{APPLICATION}||||{time}||||{control_id}|{of.batch_id}",
    ]
    head = "".join(f"{line}\r" for line in lines).encode("ascii")
    return head + b"".join(answers) + f"BTS|{len(answers)}{told}\rFTS|1\r".encode("ascii")


def _compare(place: str, fields: list[bytes], found: int, noun: str) -> list[str]:
    """Say that a trailer's count is not what was found; one that is absent, or no number, says nothing."""
    text = fields[0].strip()
    if not text.isdigit() or len(text) > 9 or int(text) == found:
        return []
    plural = {"message": "messages", "batch": "batches"}[noun]
    there = f"there is 1 {noun}" if found == 1 else f"there are {found} {plural}"
    return [f"{place} counts {int(text)}, {there}"]


def _plain(fields: list[bytes], number: int) -> str:
    """Give a field of a wrapper, MSH-like (the separator is field 1), as far as it is plain."""
    text = fields[number - 2].decode("latin-1").strip() if len(fields) > number - 2 else ""
    return "" if _UNSAFE.search(text) else text[:REFERENCE_CHARS_MAX]
