"""Any bytes are decoded or refused: never an exception, and no refusal that quotes them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.decoded import Decoded, Identifier, Refusal
from connectors.hl7v2.codec import decode, decode_piece
from connectors.hl7v2.framing import split
from connectors.hl7v2.render import Result, render_adt, render_oru
from connectors.hl7v2.settings import Hl7Settings
from events import Envelope, Location, encode_envelope

SETTINGS = Hl7Settings(zone="Europe/London", events_max=50)
PATIENT = Identifier("HOSP", "4242424242")
SEEDS = [
    render_oru(
        control_id="1", sent_time=0, feed="A|B", patient=PATIENT, encounter="V", location=Location("W"),
        observed_time=0, order="1",
        results=[Result("8867-4", value=72.0, unit="/min"), Result("67775-7", value=("loinc", "A")),
                 Result("x", value="<1")],
    ),
    *[
        render_adt(trigger, control_id="1", sent_time=0, feed="A|B", patient=PATIENT, event_time=0,
                   location=Location("W"), retired=PATIENT)
        for trigger in ("A01", "A02", "A03", "A06", "A08", "A31", "A40", "A45", "A47")
    ],
    b"MSH|^~\\&|L|M|||202604191200||ADT^A17|1|P|2.5.1\rEVN|A17|202604191200\r"
    b"PID|1||4242424242^^^HOSP^MR\rPV1|1|I|W^1^2\rPID|2||43^^^HOSP^MR\rPV1|2|I|W^1^1",
    b"MSH|^~\\&|L|M|||202604191200||OML^O21|1|P|2.5.1\rPID|1||4242424242^^^HOSP^MR\rORC|NW|1\rOBR|1|1||X",
    b"MSH|^~\\&|L|M|||202604191200||ORU^R40|1|P|2.6\rPID|1||1^^^H\rOBR|1\r"
    b"OBX|1|NA|147842^^MDC|1.0|72|/min||H~PH|||R||||L1^Lab|||D1^NS^1.2^ISO~D2\rOBX|2|DTM|X|1|202604191200||||||F",
    b"MSH|^~\\&|L|M|||202604191200||ORU^R01|1|P|2.3||||||8859/1\nPID||1^^^H|2~3\n"
    b"OBR||||^X\nOBX||SN|A^B^MDC~&||>^1^-^2~\\X41\\||||||?\nSPM||||Z",
]  # fmt: skip
SCRAPS = [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\xb0", b"\xff", b"\x00", b"MSH|", b"\rOBX|", b"\rPID|",
          b"\\X", b"\xef\xbb\xbf", b"9" * 40]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Damage a message as wires and senders do: cut it, flip bytes, swap delimiters, repeat or drop pieces."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        match draw(st.integers(0, 5)):
            case 0:
                data = data[:start]
            case 1:
                data = data[:start] + draw(st.binary(max_size=3)) + data[start + 1 :]
            case 2:
                old, new = draw(st.tuples(*[st.sampled_from(SCRAPS)] * 2))
                data = data.replace(old, new)
            case 3:
                data = data[:start] + data[end:]
            case 4:
                data = data[:end] + data[start:end] + data[end:]
            case _:
                data = data[:start] + draw(st.sampled_from(SCRAPS)) + data[start:]
    return data


def check(data: bytes) -> None:
    """Check what holds of any bytes, as one message and as pieces of a source."""
    result = decode(data, SETTINGS)
    assert result == decode(data, SETTINGS)
    check_result(result)
    for piece in split(data):
        check_result(decode_piece(piece, SETTINGS))


def check_result(result: Decoded | Refusal) -> None:
    """Check what holds of any result."""
    if isinstance(result, Refusal):
        assert result.reason
        assert result.position
        assert PATIENT.value not in result.detail + result.position
        return
    assert isinstance(result, Decoded)
    assert len(result.events) <= SETTINGS.events_max
    assert result.subject or not result.events
    assert encode_envelope(Envelope("id", "p", result.event_time or 0, 0, result.events))
    if result.beside is not None:
        assert result.beside.beside is None
        check_result(result.beside)


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: b"MSH|^~\\&|" + data))
@settings(max_examples=300)
def test_random_bytes(data: bytes) -> None:
    """Random bytes, with or without a header before them, are decoded or refused."""
    check(data)


@given(mutated())
@settings(max_examples=1500, deadline=None)
def test_damaged_messages(data: bytes) -> None:
    """Damaged messages are decoded or refused, one by one and through the framing."""
    check(data)
