"""The HL7 v2 codec: one message's bytes to what it says, or to why it cannot be used.

Owns the order of the checks and the assembly. Must not know a socket, a clock or a patient key. `decode` is a
function of its arguments alone and never raises on any bytes: what cannot be used is a `Refusal` with its reason and
position, and quotes nothing of the message.

Nothing is guessed in silence. A message that names two patients, and whose type speaks of one, is refused whole, and
so is one with an unreadable time: dead-lettered, it can be driven again; half-read, it would be a wrong chart. A value
that is no number costs only itself.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from connectors.decoded import Decoded, Identifier, Refusal, RefusalReason
from connectors.hl7v2 import adt, moves, swap
from connectors.hl7v2.charset import declared, to_text
from connectors.hl7v2.dialect import NO_VISIT, Patient, Visit
from connectors.hl7v2.faults import Fault
from connectors.hl7v2.framing import Framed
from connectors.hl7v2.header import TIME_FROM_MESSAGE, Header, check_header, open_header
from connectors.hl7v2.oru import Results
from connectors.hl7v2.routes import route_of
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.sole import Sole
from connectors.hl7v2.strictness import check_strictly
from connectors.hl7v2.tolerated import TOLERATED_NOTE, check_alone
from events import Event, Millis

RESULTS = frozenset({"ORU^R01", "ORU^R30", "ORU^R31", "ORU^R32", "ORU^R40"})
"""Results, those of a point of care that order themselves (R30 to R32), and what a monitor measured when it gave an
alarm (R40, PCD-04): the last values to pass by."""
KINDS = RESULTS | {f"ADT^{trigger}" for trigger in adt.TRIGGERS}
"""The message types that are read."""

_FRAME = b"\x0b\x1c\r\n\t \x00"
"""What may stand around a message: MLLP's marks, line ends, blanks."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HASH_BYTES = 16
_OBX_MARKS_MIN = 11
"""An OBX with fewer delimiters lacks OBX-11, which is required (chapter 7, section 7.4.2)."""
SEGMENTS_AN_EVENT = 4
SEGMENTS_BESIDE = 1_000
"""A message of more segments than four an event that it may hold, and these beside, is refused: each is looked at."""
_HEADER_MARKS_MIN = 10
"""An only segment with fewer delimiters than up to MSH-11 is the beginning of a message, not a message."""


def decode(data: bytes, settings: Hl7Settings, port: int = 0) -> Decoded | Refusal:
    r"""Decode one ER7 message, segments ended by CR, LF or CRLF.

    Times are milliseconds; a time without an offset is read in the feed's zone, else by the offset of MSH-7, else in
    the settings' zone. `port` is the MLLP port that it came to, where a route goes by it.

    >>> message = b"MSH|^~\\&|LAB|MAIN|||20260101120000||ORU^R01|7|P|2.5\rPID|1||42^^^HOSP^MR\r"
    >>> message += b"OBR|1||F1\rOBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F|||20260101115900"
    >>> decoded = decode(message, Hl7Settings())
    >>> decoded.kind, decoded.subject[0].authority, decoded.events[0].value
    ('ORU^R01', 'HOSP', 72.0)
    >>> decode(b"hello", Hl7Settings()).reason.value
    'garbage'
    """
    header: Header | None = None
    try:
        body = _trimmed(data, settings)
        route = route_of(body, settings.routes, port)
        text, note = to_text(body, route.charset)
        lines = text.split("\r")
        header = open_header(lines[0], route)
        _check(header, lines, settings)
        if note:
            header.notes += (note,)
        if header.kind in RESULTS:
            decoded = _results(header, lines, body, settings)
        elif header.kind not in KINDS:
            decoded = _tolerated(header, lines, body)
        elif adt.TRIGGERS[header.kind[4:]] == "swap":
            decoded = _swap(header, lines, body, settings)
        else:
            decoded = _administration(header, lines, body, settings)
        if route.strict:
            check_strictly(decoded)
        return decoded  # noqa: TRY300 - the faults of all of it are caught below
    except Fault as fault:
        if header is None:
            return Refusal(fault.reason, fault.position, fault.detail)
        sent = None if header.sent is None else header.sent.millis
        return Refusal(
            fault.reason,
            fault.position,
            fault.detail,
            message_id=header.control_id,
            feed=header.feed,
            sent_time=sent,
        )


def decode_piece(piece: Framed, settings: Hl7Settings, port: int = 0) -> Decoded | Refusal:
    r"""Decode a piece of a source; one that was cut off is refused (`truncated`): its last value may be half of one.

    Cut off is a message whose frame was opened and not closed, and one without a frame that ends, without a line end,
    within an OBX before OBX-11. The end of a source tells no more than that: many files lack their last line end.

    >>> from connectors.hl7v2.framing import split
    >>> message = b"MSH|^~\\&|LAB|MAIN|||20260101120000||ORU^R01|7|P|2.5\rPID|1||42^^^HOSP^MR\rOBR|1||F1\r"
    >>> [piece] = split(message + b"OBX|1|NM|8867-4^Heart rate^LN||15")
    >>> decode_piece(piece, Hl7Settings()).reason.value
    'truncated'
    """
    result = decode(piece.data, settings, port)
    if piece.kind == "truncated":
        detail = "the MLLP frame is not closed"
    elif piece.open_ended and type(result) is Decoded and result.kind in RESULTS and _ends_within_obx(piece.data):
        detail = "ends within an OBX segment"
    elif piece.notes and type(result) is Decoded:
        return msgspec.structs.replace(result, notes=result.notes + piece.notes)
    else:
        return result
    return Refusal(
        RefusalReason.TRUNCATED,
        f"byte {len(piece.data)}",
        detail,
        message_id=result.message_id,
        feed=result.feed,
        sent_time=result.sent_time,
    )


def _ends_within_obx(data: bytes) -> bool:
    last = data[max(data.rfind(b"\r"), data.rfind(b"\n")) + 1 :]
    return last[:3].upper() == b"OBX" and last.count(data[3:4]) < _OBX_MARKS_MIN


def _check(header: Header, lines: list[str], settings: Hl7Settings) -> None:
    """Check the header before anything else is read; raises `Fault`."""
    if len(lines) > SEGMENTS_AN_EVENT * settings.events_max + SEGMENTS_BESIDE:
        raise Fault(RefusalReason.TOO_MANY_EVENTS, "MSH", "more segments than the events it may hold need")
    if len(lines) == 1 and lines[0].count(header.dialect.delimiters.field) < _HEADER_MARKS_MIN:
        raise Fault(RefusalReason.TRUNCATED, f"byte {len(lines[0])}", "ends within the MSH segment")
    if header.fields[17]:
        declared(lines[0])
    check_header(header, settings, KINDS)


def _trimmed(data: bytes, settings: Hl7Settings) -> bytes:
    """Take away what stands around the message, and make every line end a CR; raises `Fault`."""
    if len(data) > settings.message_bytes_max:
        raise Fault(RefusalReason.OVERSIZED, f"byte {settings.message_bytes_max + 1}", "longer than is accepted")
    body = data.strip(_FRAME)
    if body[:3] == _BYTE_ORDER_MARK:
        body = body[3:].lstrip(_FRAME)
    if not body:
        raise Fault(RefusalReason.GARBAGE, "byte 1", "no content")
    if b"\n" in body:
        body = body.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    if b"\x0b" in body and b"\x0bMSH" in body:
        raise Fault(RefusalReason.GARBAGE, "MSH[2]", "a second message begins inside the first")
    start = body[:3]
    if start == b"MSH" or start.upper() == b"MSH":
        return body
    if body[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"M\x00S\x00H" in body[:16]:
        raise Fault(RefusalReason.WRONG_ENCODING, "byte 1", "UTF-16 or UTF-32; HL7 v2 is sent in an ASCII-based set")
    if start.isalnum() and start.isupper() and body[3:4] == b"|":
        raise Fault(RefusalReason.MISSING_SEGMENT, "MSH", "the message does not begin with its header")
    raise Fault(RefusalReason.GARBAGE, "byte 1", "does not begin with MSH")


def _results(header: Header, lines: list[str], body: bytes, settings: Hl7Settings) -> Decoded:
    """Read ORU (chapter 7, sections 7.3.1 to 7.3.9)."""
    results = Results(header, settings)
    separator = header.dialect.delimiters.field
    result, obx = results.result, f"OBX{separator}"
    readers = {
        obx: result,
        f"OBR{separator}": results.order,
        f"ORC{separator}": results.common_order,
        f"SPM{separator}": results.specimen,
    }
    pid, pv1 = Sole("PID", 3, header.dialect), ""
    for line in lines[1:]:
        name = line[:4]
        if name == obx:
            result(line)
            continue
        reader = readers.get(name) or readers.get(name.upper())
        if reader is not None:
            reader(line)
            continue
        name = name[:3].upper()
        if name == "PID":
            pid.take(line)
        elif name == "PV1":
            pv1 = pv1 or line
        elif name == "MSH":
            raise Fault(RefusalReason.GARBAGE, "MSH[2]", "a second message begins inside the first")
    patient = _patient(pid.line, header)
    visit = header.dialect.visits[pv1] if pv1 else NO_VISIT
    sent = None if header.sent is None else header.sent.millis
    when = results.latest if sent is None else sent
    events = results.events
    if when is not None:
        about = _about(patient, visit, when, settings)
        events = about + events if about else events
    if len(events) > settings.events_max:
        raise Fault(RefusalReason.TOO_MANY_EVENTS, "OBX", f"more than {settings.events_max} events")
    event_time = when if results.latest is None else results.latest
    encounter = adt.encounter_of(patient, visit, settings)
    return _decoded(header, body, settings, patient, encounter, events, event_time, results.notes)


def _about(patient: Patient, visit: Visit, when: Millis, settings: Hl7Settings) -> list[Event]:
    """Tell what a result's PID and PV1 say of the patient, for feeds whose ADT we never see."""
    about: list[Event] = []
    if adt.says_who(patient, settings):
        about.append(adt.demographics(patient, when, settings))
    move = adt.location_event(visit, when, settings, incidental=True)
    if move is not None:
        about.append(move)
    return about


def _administration(header: Header, lines: list[str], body: bytes, settings: Hl7Settings) -> Decoded:
    """Read ADT (chapter 3)."""
    meaning = adt.TRIGGERS[header.kind[4:]]
    found: dict[str, str] = {}
    pid, second, mrg = (Sole(name, place, header.dialect) for name, place in (("PID", 3), ("PID", 3), ("MRG", 1)))
    for line in lines[1:]:
        name = line[:3].upper()
        if name == "MSH":
            raise Fault(RefusalReason.GARBAGE, "MSH[2]", "a second message begins inside the first")
        if name == "PID":
            (second if pid.line and meaning == "unmerge" else pid).take(line)
        elif name == "MRG":
            mrg.take(line)
        else:
            found.setdefault(name, line)
    patient = _patient(pid.line, header)
    if meaning == "visit_moved":
        move = moves.move_of(lines, header.dialect)
        return _moved(header, body, settings, patient, found.get("EVN", ""), move)
    visit = header.dialect.visits[found["PV1"]] if "PV1" in found and meaning not in adt.UNPLACED else NO_VISIT
    segments = adt.AdtSegments(patient, visit, found.get("EVN", ""), mrg.line)
    events, event_time, notes = adt.read_adt(header, segments, settings)
    prior: tuple[Identifier, ...] = ()
    if meaning in {"merge", "renumbered"} or (meaning == "unmerge" and not second.line):
        prior = adt.retired_identifiers(header, segments.mrg, settings)
    encounter = "" if meaning in adt.UNPLACED else adt.encounter_of(patient, visit, settings)
    decoded = _decoded(header, body, settings, patient, encounter, events, event_time, notes)
    if meaning == "merge":
        return msgspec.structs.replace(decoded, retired=prior)
    if meaning == "renumbered":
        return msgspec.structs.replace(decoded, aliases=prior)
    if meaning == "unmerge":
        other = prior or _subject(_patient(second.line, header), header, settings)
        return msgspec.structs.replace(decoded, parted=other)
    return decoded


def _moved(header: Header, body: bytes, settings: Hl7Settings, patient: Patient, evn: str, move: moves.Move) -> Decoded:
    """Read A44 or A45: told of whose the visit was, and beside it of whose it is."""
    visit = header.dialect.visits[move.pv1] if move.pv1 else NO_VISIT
    events, when, notes = adt.read_adt(header, adt.AdtSegments(patient, visit, evn, move.mrg), settings)
    former = adt.retired_identifiers(header, move.mrg, settings)
    number = adt.encounter_of(patient, visit, settings)
    prior = moves.prior_number(header, move.mrg, number, settings)
    events += moves.taken_away(prior, when)
    taken = _decoded(header, body, settings, patient, prior, events, when, notes)
    if swap.is_one(former, taken.subject):
        raise Fault(RefusalReason.INVALID_VALUE, "MRG-1", "a visit is moved from one patient to another")
    beside = None
    if told := moves.given(header, patient, visit, when, settings):
        beside = _beside(_decoded(header, body, settings, patient, number, told, when, notes))
    return msgspec.structs.replace(taken, subject=former, parted=taken.subject, beside=beside)


def _tolerated(header: Header, lines: list[str], body: bytes) -> Decoded:
    """Give what is accepted and of which nothing is used."""
    check_alone(lines)
    sent = None if header.sent is None else header.sent.millis
    name = _content_hash(header, body, timed=False)
    notes = (*header.notes, TOLERATED_NOTE)
    return Decoded(header.feed, header.control_id, name, sent, sent, (), (), kind=header.kind, notes=notes)


def _swap(header: Header, lines: list[str], body: bytes, settings: Hl7Settings) -> Decoded:
    """Read A17: what it says of the second patient stands beside what it says of the first."""
    evn, halves = swap.halves_of(lines, header.dialect)
    patients = [_patient(half.pid, header, f"PID[{number}]") for number, half in enumerate(halves, 1)]
    visits = [header.dialect.visits[half.pv1] for half in halves]
    swap.check([_subject(patient, header, settings) for patient in patients], visits)
    told: list[Decoded] = []
    for patient, visit in zip(patients, visits, strict=True):
        segments = adt.AdtSegments(patient, visit, evn, "")
        events, event_time, notes = adt.read_adt(header, segments, settings)
        encounter = adt.encounter_of(patient, visit, settings)
        told.append(_decoded(header, body, settings, patient, encounter, events, event_time, notes))
    first, second = told
    return msgspec.structs.replace(first, beside=_beside(second))


def _beside(told: Decoded) -> Decoded:
    """Give what a message says of its second patient the content hash of its own that it needs."""
    own = blake2b(told.content_hash, digest_size=_HASH_BYTES, person=b"second").digest()
    return msgspec.structs.replace(told, content_hash=own)


def _patient(pid: str, header: Header, segment: str = "PID") -> Patient:
    if not pid:
        raise Fault(RefusalReason.MISSING_SEGMENT, segment, "the message names no patient")
    patient = header.dialect.patients[pid]
    if not patient.identifiers:
        raise Fault(RefusalReason.MISSING_IDENTIFIER, f"{segment}-3", "the patient has no identifier")
    return patient


def _subject(patient: Patient, header: Header, settings: Hl7Settings) -> tuple[Identifier, ...]:
    if patient.complete:
        return patient.identifiers
    return header.dialect.identifiers(patient.field, header.authority(settings), header.facility or header.feed)


def _decoded(
    header: Header,
    body: bytes,
    settings: Hl7Settings,
    patient: Patient,
    encounter: str,
    events: list[Event],
    event_time: Millis | None,
    notes: list[str],
) -> Decoded:
    subject = _subject(patient, header, settings)
    if notes or header.notes or patient.notes:
        told = tuple(dict.fromkeys((*header.notes, *patient.notes, *notes)))
    else:
        told = ()
    return Decoded(
        header.feed,
        header.control_id,
        _content_hash(header, body, timed=TIME_FROM_MESSAGE not in notes),
        None if header.sent is None else header.sent.millis,
        event_time,
        subject,
        tuple(events),
        encounter,
        kind=header.kind,
        notes=told,
    )


def _content_hash(header: Header, body: bytes, *, timed: bool) -> bytes:
    """Hash what makes the message this message: sender, type, control id, and all after MSH, whatever the line ends
    were.

    MSH-7 is left out, for a repeat may be stamped anew; but where the contents state no time (`timed` is false) it is
    what tells today's emergency from yesterday's equal one of a sender that uses one control id for all.
    """
    name = f"{header.feed}\x1f{header.kind}\x1f{header.control_id}\x1f"
    if not timed and header.sent is not None:
        name = f"{name}{header.sent.millis}\x1f"
    digest = blake2b(name.encode(), digest_size=_HASH_BYTES)
    end = body.find(b"\r")
    if end >= 0:
        digest.update(memoryview(body)[end:])
    return digest.digest()
