r"""Acknowledgements: what answers one message, in HL7's original and enhanced modes (v2.5.1 chapter 2, section 2.9).

Owns the ACK's layout, what of the sender's header it repeats, and the table from our reasons of refusal to HL7's
codes. Must not know a socket, a clock or a store: the verdict, the time and the control id are given. AA means stored.
AE means that the message is at fault, AR that nothing of the kind is taken, or nothing at all just now. What MSH-15 and
MSH-16 ask for, `connectors.hl7v2.asked` says.

Any bytes are answered. What is repeated of them is bounded and holds no control character, so that no sender can write
a segment or a frame into our answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2.asked import Asked, Code, Outcome, codes_for
from connectors.hl7v2.codec import KINDS
from connectors.hl7v2.delimiters import STANDARD, Delimiters, escape
from connectors.hl7v2.dialect import dialect_of
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.render import render_time
from events import Millis

Verdict = Refusal | Literal["stored", "stopping", "disk_full", "overloaded", "failed"]
"""What became of a message: durable, refused (and kept as a dead letter), or not stored at all, and why."""

HEADER_BYTES_MAX = 8 * 1024
"""As far as an MSH is read: its eighteen fields of at most 227 characters are half of that."""
ECHO_CHARS_MAX = 256
"""Repeated of one field: HD, the longest of them, has 227 characters, and MSH-10 at most 199 (v2.7)."""
APPLICATION = "WARDSTREAM"
"""Our MSH-3, where the sender named none in MSH-5."""

CODES = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "207": "Application internal error",
}
"""HL7 table 0357, as far as we use it. 204, unknown key identifier, is not: a patient we do not know is no error."""

REASONS: dict[RefusalReason, tuple[Outcome, str]] = {
    RefusalReason.GARBAGE: ("AR", "100"),
    RefusalReason.TRUNCATED: ("AE", "100"),
    RefusalReason.OVERSIZED: ("AR", "104"),
    RefusalReason.WRONG_ENCODING: ("AE", "102"),
    RefusalReason.UNSUPPORTED_TYPE: ("AR", "200"),
    RefusalReason.UNSUPPORTED_VERSION: ("AR", "203"),
    RefusalReason.MISSING_SEGMENT: ("AE", "100"),
    RefusalReason.MISSING_FIELD: ("AE", "101"),
    RefusalReason.MISSING_IDENTIFIER: ("AE", "101"),
    RefusalReason.INVALID_VALUE: ("AE", "102"),
    RefusalReason.INVALID_TIME: ("AE", "102"),
    RefusalReason.FUTURE_TIME: ("AE", "102"),
    RefusalReason.TOO_MANY_EVENTS: ("AE", "207"),
    # Of acts, which do not come as HL7 v2.
    RefusalReason.UNAUTHORISED: ("AR", "207"),
    RefusalReason.FORGED: ("AR", "207"),
    RefusalReason.NOT_ENTITLED: ("AR", "207"),
    RefusalReason.LATE: ("AE", "102"),
    RefusalReason.OUTDATED: ("AE", "102"),
}
"""MSA-1 and ERR-3 by reason (section 2.9.2.2: AR for MSH-9, MSH-11 and MSH-12, and for what is not the message's
fault). A message that can never be taken, but for its size, is AE: sending it again would not help."""
POSITIONS: dict[str, tuple[Outcome, str]] = {"MSH-11": ("AR", "202"), "MSH-18": ("AR", "103")}
"""Where the place of a fault says more than its reason."""

NOT_STORED = {
    "stopping": "the service is stopping; the message is not stored, send it again later",
    "disk_full": "there is no room to store; the message is not stored, send it again later",
    "overloaded": "too much is waiting; the message is not stored, send it again later",
    "failed": "storing failed; the message is not stored, send it again later",
}
"""ERR-8 where nothing is stored: AR, for the message is not to blame."""

_CONTROL = dict.fromkeys((*range(0x20), 0x7F))
_EDGE = b"\x0b\x1c\r\n\t \x00"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d{1,6})\])?(?:-(\d{1,3})(?:\.(\d{1,3}))?)?", re.ASCII)
_TYPES = frozenset(kind[:3] for kind in KINDS)
_VERSION = re.compile(r"2\.(\d)(?:\.\d)?", re.ASCII)
_FIELDS = 19


class _Sender(msgspec.Struct, frozen=True):
    """What of a message's MSH the answer needs; where it cannot be read, nothing, and the usual delimiters."""

    marks: Delimiters = STANDARD
    fields: tuple[str, ...] = ("",) * _FIELDS
    """`fields[n]` is MSH-(n+1), bounded and without control characters; one character a byte."""
    readable: bool = False

    def component(self, number: int, component: int) -> str:
        """Give a component of a field's first repetition, as sent."""
        parts = self.fields[number - 1].split(self.marks.repetition, 1)[0].split(self.marks.component)
        return parts[component - 1].strip() if len(parts) >= component else ""

    @property
    def enhanced(self) -> bool:
        """Whether MSH-15 or MSH-16 says anything."""
        return Asked(self.component(15, 1), self.component(16, 1)).enhanced

    @property
    def minor(self) -> int:
        """The n of version 2.n; of an unknown version, that of the newest form."""
        match = _VERSION.match(self.component(12, 1))
        return 9 if match is None else int(match[1])


def answers(
    data: bytes, verdict: Verdict, *, now: Millis, control_id: Callable[[], str], asked: bool = True
) -> list[bytes]:
    r"""Render what the sender of a message asked for: one ACK, two (accept, then application), or none.

    Where neither MSH-15 nor MSH-16 says anything, and where it is not to be `asked`, the original mode holds, which is
    `acknowledge`. Never raises.

    >>> message = b"MSH|^~\\&|LAB|MAIN|WARD|HOSP|20260101120000||ORU^R01^ORU_R01|M7|P|2.5.1|||AL|AL\rPID|1||||\r"
    >>> [code_of(ack) for ack in answers(message, "stored", now=0, control_id=lambda: "A1")]
    ['CA', 'AA']
    """
    if not asked:
        return [acknowledge(data, verdict, now=now, control_id=control_id())]
    sender = _read_sender(data)
    judged = _judge(verdict, sender)
    codes = codes_for(judged[0], Asked(sender.component(15, 1), sender.component(16, 1)))
    return [_render(sender, judged, verdict, code, now, control_id()) for code in codes]


def outcome_of(data: bytes, verdict: Verdict) -> Outcome:
    """Say what the original mode would answer, whoever asked for what: for counts."""
    return _judge(verdict, _read_sender(data))[0]


def acknowledge(data: bytes, verdict: Verdict, *, now: Millis, control_id: str) -> bytes:
    r"""Render the ACK for a message in the original mode, without its frame; never raises, whatever the bytes are.

    `control_id` is the ACK's own MSH-10. The sender's delimiters, MSH-10, MSH-11 and MSH-12 come back as they were
    sent, MSH-3 and 4 change places with MSH-5 and 6.

    >>> message = b"MSH|^~\\&|LAB|MAIN|WARD|HOSP|20260101120000||ORU^R01^ORU_R01|M7|P|2.5.1\rPID|1||||\r"
    >>> refusal = Refusal(RefusalReason.MISSING_IDENTIFIER, "PID-3", "the patient has no identifier")
    >>> print(acknowledge(message, refusal, now=0, control_id="A1").decode().replace("\r", "\n"), end="")
    MSH|^~\&|WARD|HOSP|LAB|MAIN|19700101000000+0000||ACK^R01^ACK|A1|P|2.5.1
    MSA|AE|M7
    ERR||PID^1^3^1|101^Required field missing^HL70357|E||||the patient has no identifier
    """
    sender = _read_sender(data)
    judged = _judge(verdict, sender)
    (code,) = codes_for(judged[0], Asked())
    return _render(sender, judged, verdict, code, now, control_id)


def _render(
    sender: _Sender, judged: tuple[Outcome, str | None], verdict: Verdict, code: Code, now: Millis, control_id: str
) -> bytes:
    mark = sender.marks.field
    segment = None if code in {"AA", "CA"} else judged[1]
    lines = [_header(sender, now, control_id, quiet=sender.enhanced)]
    told = f"MSA{mark}{code}{mark}{sender.fields[9]}"
    if segment is None:
        lines.append(told)
    else:
        words = escape(_words(verdict), sender.marks)
        # MSA-3 and ERR-1 are where senders before 2.5 look; both left the standard in 2.7.
        lines += [f"{told}{mark}{words}" if sender.minor < 5 else told, segment]
    return ("\r".join(lines) + "\r").encode("latin-1", "replace")


def code_of(acknowledgement: bytes) -> str:
    r"""Give MSA-1 of an ACK that was rendered here.

    >>> code_of(acknowledge(b"", "stored", now=0, control_id="1"))
    'AA'
    """
    at = acknowledgement.find(b"\rMSA")
    return acknowledgement[at + 5 : at + 7].decode("ascii")


def _read_sender(data: bytes) -> _Sender:
    """Read the MSH as far as an answer needs it, with less than the codec asks of it."""
    start = data[:HEADER_BYTES_MAX].lstrip(_EDGE)
    if start[:3] == _BYTE_ORDER_MARK:
        start = start[3:].lstrip(_EDGE)
    if start[:3].upper() != b"MSH":
        return _Sender()
    line = _LINE_END.split(start, 1)[0].decode("latin-1")
    fields = [part.translate(_CONTROL)[:ECHO_CHARS_MAX] for part in line.split(line[3:4] or "|", _FIELDS - 1)]
    if len(fields) < 2:
        return _Sender()
    try:
        marks = dialect_of(line[3:4] + fields[1]).delimiters
    except Fault:
        if line[3:4] != "|":
            return _Sender()
        marks = STANDARD  # only MSH-2 is spoilt: what else it says can still name the message
    fields += [""] * (_FIELDS - len(fields))
    return _Sender(marks, (marks.field, *fields[1 : _FIELDS - 1]), readable=True)


def _header(sender: _Sender, now: Millis, control_id: str, *, quiet: bool) -> str:
    """Render the ACK's MSH; `quiet` asks for no acknowledgement of it, in so many words."""
    marks, sent = sender.marks, sender.fields
    encoding = f"{marks.component}{marks.repetition}{marks.escape}{marks.subcomponent}{marks.truncation}"
    kind = "ACK"
    if sender.minor >= 4:  # before, an ACK had no trigger event (2.1, section 2.25.1)
        trigger = sender.component(9, 2)
        kind = f"ACK{marks.component}{trigger}{marks.component}ACK" if trigger else "ACK"
    fields = [
        "MSH",
        encoding,
        sent[4] or APPLICATION,
        sent[5],
        sent[2],
        sent[3],
        render_time(now),
        "",
        kind,
        escape(control_id, marks),
        sent[10] or "P",
        sent[11] or "2.5.1",
    ]
    fields += ["", "", "NE", "NE"] if quiet else ["", "", "", ""]
    if sent[17] and not "".join([*fields, sent[9]]).isascii():
        fields += ["", sent[17]]  # what is repeated is in the sender's character set
    while not fields[-1]:
        fields.pop()
    return marks.field.join(fields)


def _judge(verdict: Verdict, sender: _Sender) -> tuple[Outcome, str | None]:
    """Give what became of it, and the ERR segment where there is one."""
    if verdict == "stored":
        return "AA", None
    if not isinstance(verdict, Refusal):
        return "not_stored", _error(sender, "207", None, 0, _words(verdict))
    code, number = POSITIONS.get(verdict.position) or REASONS[verdict.reason]
    component = 0
    if verdict.reason is RefusalReason.UNSUPPORTED_TYPE:
        known = sender.component(9, 1).upper() in _TYPES
        number, component = ("201", 2) if known else ("200", 1)
    if not sender.readable:
        code = "AR"
    return code, _error(sender, number, _PLACE.fullmatch(verdict.position), component, _words(verdict))


def _error(sender: _Sender, number: str, place: re.Match[str] | None, component: int, words: str) -> str:
    """Render ERR: where (ERL, section 2.A.28), what (HL7 table 0357), that it is an error, and why."""
    marks = sender.marks
    where: list[str] = []
    if place is not None:
        part = place[4] or (str(component) if component else "")
        where = [place[1], place[2] or "1", place[3] or "", "1" if place[3] else "", part]
        while not where[-1]:
            where.pop()
    old = ""
    if sender.minor < 5:
        error = marks.subcomponent.join((number, CODES[number], "HL70357"))
        old = marks.component.join([*[*where, "", "", ""][:3], error])
    what = marks.component.join((number, CODES[number], "HL70357"))
    fields = ["ERR", old, marks.component.join(where), what, "E", "", "", "", escape(words, marks)]
    return marks.field.join(fields)


def _words(verdict: Verdict) -> str:
    """Say it in short words; a place that no ERL can name stands before them."""
    if not isinstance(verdict, Refusal):
        return NOT_STORED[verdict]
    placed = _PLACE.fullmatch(verdict.position)
    return verdict.detail if placed or not verdict.position else f"{verdict.position}: {verdict.detail}"
