"""Dead letters to be worked on: one cause is one line, a fault is pointed at, driving again changes nothing twice."""

from __future__ import annotations

import base64
import json
from hashlib import sha256

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Refusal, RefusalReason
from connectors.hl7v2.codec import decode
from connectors.hl7v2.framing import MllpReader
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.arrivals import hl7_arrivals
from stream.causes import cause_of
from stream.letters.grouping import grouped
from stream.letters.kept import KeptLetter, read_written
from stream.letters.pointing import point
from stream.letters.redriving import Redriver, ServiceError
from stream.live.letters import letter_record
from stream.parse import DeadLetter
from tests.stream.conformance.samples import oru

ADMITTED = b"MSH|^~\\&|PAS|MAIN|||20260101120000||ADT^A01|7|P|2.5\rEVN|A01|20260101120000\rPID|1||42^^^HOSP^MR\r"


def letter(data: bytes, number: int = 1, *, reason: str = "missing_segment", fault: str = "PID", feed: str = "A|B",
           source: str = "mllp/1#1", size: int = 0) -> KeptLetter:  # fmt: skip
    received = f"2026-03-03T12:00:{number:02d}Z"
    size = size or len(data)
    return KeptLetter(str(number), received, reason, fault, "", source, feed, data, size, sha256(data).hexdigest())


class Service:
    """Takes what is good, refuses what is not, and counts the letters that refusing would add."""

    def __init__(self) -> None:
        self.good: set[bytes] = set()
        self.stored: list[bytes] = []
        self.letters_added = 0
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        good = request.content in self.good
        if request.url.path == "/check":
            self.asked += 1
        elif good:
            self.stored.append(request.content)
        else:
            self.letters_added += 1
        return httpx.Response(200 if good else 422)

    def redriver(self, **options: bool) -> Redriver:
        """Give a redriver to this service."""
        client = httpx.Client(transport=httpx.MockTransport(self))
        return Redriver(client, "http://service/", remedy="set TOKEN", **options)


def test_one_cause_is_one_group() -> None:
    """Letters of one reason and place are one group, whatever the number of the segment; repeats are one message."""
    letters = [
        letter(b"a", 1, reason="invalid_time", fault="OBX[1]-14"),
        letter(b"b", 2, reason="invalid_time", fault="OBX[7]-14"),
        letter(b"b", 3, reason="invalid_time", fault="OBX[7]-14", feed="C|D"), letter(b"c", 4),
    ]  # fmt: skip
    first, second = grouped(letters, taken=lambda one: one.data == b"a")
    assert (str(first.cause), first.letters, first.messages, first.open) == ("invalid_time at OBX-14", 3, 2, 1)
    assert (first.feeds, first.example, first.first[-3:-1], first.last[-3:-1]) == (("A|B", "C|D"), "3", "01", "03")
    assert (str(second.cause), second.letters) == ("missing_segment at PID", 1)


@pytest.mark.parametrize(
    ("data", "fault", "arrow", "said"),
    [
        (oru(), "PID-3", "→ PID|1||42^^^HOSP^MR", "PID-3 is: 42^^^HOSP^MR"),
        (oru(), "OBX[2]-5", "→ OBX|2|", "OBX[2]-5 is: 97"),
        (oru(), "MSH-9", "→ MSH|", "MSH-9 is: ORU^R01"),
        (oru(), "OBX[3]-14", "→ OBX|3|", "OBX[3]-14 is empty"),
        (oru(pid=""), "PID", "", "PID: there is no PID segment"),
        (b"hello", "byte 3", "", "byte 3: b'he' → b'llo'"),
        (b'{"resourceType":"Observation","status":"fnial"}', "$.status", "", '$.status is: "fnial"'),
        (b'{"id":"1"}', "$.entry[3].resource.subject", "", "$.entry[3].resource.subject: there is no subject"),
        (b'{"entry":[{"resource":{"id":"7"}}]}', "$.entry[0].resource.id", "", '$.entry[0].resource.id is: "7"'),
        (b'{"resourceType"', "byte 15", "", "byte 15: b'{\"resourceType' → b'\"'"),
    ],
)  # fmt: skip
def test_the_fault_is_pointed_at(data: bytes, fault: str, arrow: str, said: str) -> None:
    """An arrow stands before the segment at fault, and what stands at the fault is told."""
    lines, told = point(letter(data, fault=fault))
    assert told == said
    assert [line.startswith(arrow) for line in lines if line.startswith("→")] == ([True] if arrow else [])


@given(st.binary(max_size=300), st.sampled_from(["PID-3", "OBX[2]-5.1", "byte 9", "$.a[3].b", "file", ""]))
def test_any_bytes_can_be_pointed_at(data: bytes, fault: str) -> None:
    """Whatever the bytes and the position, something is shown and nothing raised."""
    lines, told = point(letter(data, fault=fault))
    assert isinstance(told, str)
    assert all(line[:2] in {"  ", "→ "} for line in lines)


def test_every_position_of_the_codec_can_be_pointed_at() -> None:
    """What the codec says of a bad message is found again in its bytes."""
    for data in (oru(pid=""), oru(observed="yesterday"), oru(header="1.9"), oru(pid="PID|1||^^^H"), b"MSH|^~"):
        refusal = decode(data, Hl7Settings())
        assert isinstance(refusal, Refusal)
        _lines, told = point(letter(data, reason=refusal.reason.value, fault=refusal.position))
        assert told.startswith(refusal.position)


def test_driving_again_is_idempotent() -> None:
    """However often letters are driven, what is refused adds no letter; what is good is stored."""
    service = Service()
    service.good = {b"MSH|good"}
    letters = [letter(b"MSH|good", 1), letter(b"MSH|bad", 2), letter(b"MSH|good", 3)]
    outcomes = [[redriver.drive(one) for one in letters] for redriver in (service.redriver() for _ in range(3))]
    assert outcomes == [["taken", "refused again", "the same message as another letter"]] * 3
    assert service.letters_added == 0
    assert set(service.stored) == {b"MSH|good"}


def test_a_letter_of_a_port_with_a_route_is_not_driven() -> None:
    """The service is told that a message came by MLLP; where its port has a route, it is for its sender to send."""
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers.get("wardstream-came-by", "")))
        return httpx.Response(409)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    redriver = Redriver(client, "http://service", remedy="set TOKEN")
    told = "of a port with a route: for its sender to send again"
    assert redriver.drive(letter(b"MSH|x", source="g1/mllp/1#2")) == told
    assert asked == [("/check", "mllp")]


def test_a_mended_cause_drives_through() -> None:
    """What was refused again is taken once the service would take it."""
    service = Service()
    assert service.redriver().drive(letter(b"MSH|x")) == "refused again"
    service.good = {b"MSH|x"}
    assert service.redriver().drive(letter(b"MSH|x")) == "taken"
    assert service.stored == [b"MSH|x"]


def test_a_dry_run_sends_nothing() -> None:
    """Only what would become of each is asked."""
    service = Service()
    service.good = {b"MSH|x"}
    redriver = service.redriver(dry_run=True)
    assert [redriver.drive(letter(data)) for data in (b"MSH|x", b"MSH|y")] == ["would be taken", "refused again"]
    assert (service.stored, service.letters_added, service.asked) == ([], 0, 2)


def test_what_cannot_be_driven_is_not() -> None:
    """Acts, what is not whole and what was no record of ours are not sent, and each is told as what it is."""
    service = Service()
    redriver = service.redriver()
    told = [
        redriver.drive(one)
        for one in (
            letter(b"{}", source="acts/1"), letter(b"MSH", reason="oversized", size=4), letter(b""),
            letter(b"x", reason="unreadable_record"),
        )
    ]  # fmt: skip
    assert told == ["acts: for their actor to do again", "not whole", "not whole", "no record of ours"]
    assert service.asked == 0


@pytest.mark.parametrize("within_frame", [True, False])
def test_what_was_cut_off_is_not_driven_as_if_it_were_whole(*, within_frame: bool) -> None:
    """A message whose frame was not closed, or that stood in none, reads without one as half of what it was."""
    reader = MllpReader()
    reader.read(b"\x0b" * within_frame + ADMITTED + b"PV1|1|I|WARD1")  # of WARD12^BAY^BED
    (piece,) = reader.end()
    assert [one.decoded.kind for one in hl7_arrivals(piece.data, Hl7Settings(), "check") or []] == ["ADT^A01"]
    service = Service()
    service.good = {piece.data}
    reason = "truncated" if within_frame else "garbage"
    assert service.redriver().drive(letter(piece.data, reason=reason, source="g1/mllp/1#1")) == "not whole"
    assert service.stored == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_service_that_cannot_be_asked_is_the_operators(status: int) -> None:
    """No token, or another release's service: said once, with what to do."""
    client = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(status)))
    with pytest.raises(ServiceError, match="token" if status != 404 else "release"):
        Redriver(client, "http://service", remedy="set TOKEN").drive(letter(b"MSH|x"))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(408, "not stored: try later"), (429, "not stored: try later"), (502, "not stored: try later"),
     (507, "not stored: try later"), (422, "refused again")],
)  # fmt: skip
def test_a_busy_service_has_refused_nothing(status: int, outcome: str) -> None:
    """Who is told `refused again` mends the message; whose message was only not read in time sends it once more."""
    client = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(status)))
    redriver = Redriver(client, "http://service", remedy="set TOKEN")
    assert redriver.drive(letter(oru(), reason="unknown_sender", fault="MSH-3")) == outcome


def test_a_letter_of_the_topic_is_read_as_it_was_written() -> None:
    """What the live service writes is read back: reason, place, source, bytes and their digest."""
    written = DeadLetter(RefusalReason.MISSING_FIELD, "MSH-10", "needs a control id", "g1/mllp/1#2", 0, "", "A|B")
    read = read_written("1-5", letter_record(written, b"MSH|", "A|B").value or b"")
    assert read is not None
    assert (read.name, read.reason, read.fault, read.source) == ("1-5", "missing_field", "MSH-10", "g1/mllp/1#2")
    assert (read.data, read.size, read.digest) == (b"MSH|", 4, sha256(b"MSH|").hexdigest())
    assert "MSH|" not in repr(read)


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(lambda d: json.dumps(d).encode())
)
def test_what_is_no_letter_is_none(value: bytes) -> None:
    """Any record that is no letter of ours is passed over."""
    assert read_written("0-0", value) is None


def test_a_letter_without_a_digest_is_none() -> None:
    """Who may write to the topic cannot write a record that keeps the others from being listed."""
    document = {"reason": "garbage", "fault": "byte 1", "detail": "", "source": "s", "feed": "",
                "received_time": "2026-03-03T12:00:00Z", "bytes_total": 1, "bytes_sha256": "no digest",
                "data_base64": "eA=="}  # fmt: skip
    assert grouped(filter(None, [read_written("0-1", json.dumps(document).encode())])) == []


def test_a_cut_letter_is_not_whole() -> None:
    """A letter that holds the beginning of a long message is never driven."""
    document = {"reason": "oversized", "fault": "byte 9", "detail": "", "source": "s", "feed": "",
                "received_time": "2026-03-03T12:00:00Z", "bytes_total": 9, "bytes_sha256": "00" * 32,
                "data_base64": base64.b64encode(b"MSH|").decode()}  # fmt: skip
    read = read_written("0-1", json.dumps(document).encode())
    assert read is not None
    assert Service().redriver().drive(read) == "not whole"


@given(st.sampled_from([reason.value for reason in RefusalReason]), st.integers(1, 99), st.integers(1, 30))
def test_a_cause_has_no_numbers_of_one_message(reason: str, number: int, field: int) -> None:
    """Two positions that differ in the number of a segment, entry or byte alone are one cause."""
    for places in ((f"OBX[{number}]-{field}", f"OBX[1]-{field}"), (f"byte {number}", "byte 1"),
                   (f"$.entry[{number}].resource.a", "$.entry[0].resource.a")):  # fmt: skip
        assert cause_of(reason, places[0]) == cause_of(reason, places[1])
