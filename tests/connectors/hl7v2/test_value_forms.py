"""Claims about OBX-5 in the forms of chapter 2A, by OBX-2: what is a number, what stays text, what is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.decoded import Decoded
from connectors.hl7v2.codec import RESULTS, decode, decode_piece
from connectors.hl7v2.dialect import dialect_of
from connectors.hl7v2.framing import split
from connectors.hl7v2.settings import Hl7Settings
from connectors.hl7v2.value_table import value_table
from connectors.hl7v2.values import UNSUPPORTED, read_values
from events import Correction, Observation

SETTINGS = Hl7Settings()
DOCS = Path(__file__).resolve().parents[3] / "docs" / "hl7.md"


def message(*obx: str, kind: str = "ORU^R01") -> bytes:
    """Make a message of results, observed at ten to noon."""
    header = f"MSH|^~\\&|LAB|MAIN|||20260419120000||{kind}|77|P|2.5|||||||UNICODE UTF-8"
    return "\r".join([header, "PID|1||42^^^HOSP^MR", "OBR|1|P1|F1||||20260419115000", *obx]).encode()


def read(*obx: str, kind: str = "ORU^R01") -> Decoded:
    """Decode what must decode."""
    decoded = decode(message(*obx, kind=kind), SETTINGS)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def observed(decoded: Decoded) -> list[Observation]:
    """Give the observations of a message."""
    return [event for event in decoded.events if isinstance(event, Observation)]


def value(kind: str, field: str, unit: str = "/min") -> Observation:
    """Read the one observation of an OBX."""
    [event] = read(f"OBX|1|{kind}|8867-4^Heart rate^LN||{field}|{unit}|||||F").events
    assert isinstance(event, Observation)
    return event


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("kPa", "kPa"), ("kPa^kilopascal^UCUM", "kPa"), ("^^^kPa^^L", "kPa"), ("^kilopascal^^kPa^^L", "kPa"),
        ("^kPa", "kPa"), ("^^^^kPa^L", "kPa"), ("266016^MDC_DIM_MMHG^MDC^mm[Hg]^mm[Hg]^UCUM", "266016"),
        ('""^kPa', "kPa"), ("^^UCUM", ""), ("^^^^^L", ""), ("kPa~mm[Hg]", "kPa"),
    ],
)  # fmt: skip
def test_a_unit_that_is_there_is_never_none(field: str, unit: str) -> None:
    """OBX-6 by its code, else the alternate one, else its words: 16 of them are no 16 of the catalogue's own unit."""
    assert value("NM", "16", field).unit == unit
    assert value("SN", "^16", field).unit == unit


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("DT", "20260419"), ("DT", "2026"), ("TM", "1230"), ("TM", "123000.25+0100"), ("TS", "20260419120000"),
        ("DTM", "202604191200"), ("DTM", "20260419120000.1234+0100"),
    ],
)  # fmt: skip
def test_a_date_is_no_number(kind: str, field: str) -> None:
    """DT, TM, TS and DTM are text, whatever digits they are of: 1230 is half past twelve, not a heart rate."""
    observation = value(kind, field)
    assert (observation.value, observation.text) == (None, field)


@pytest.mark.parametrize(
    ("field", "number", "comparator"),
    [
        (">^400", 400, ">"), ("<^0.1", 0.1, "<"), (">=^90", 90, ">="), ("<=^5", 5, "<="), ("=^440", 440, ""),
        ("^100", 100, ""), ("^-2.5", -2.5, ""), ("<0.1", 0.1, "<"), (">^400^", 400, ">"),
    ],
)  # fmt: skip
def test_a_structured_number(field: str, number: float, comparator: str) -> None:
    """SN of one number is that number with its comparator."""
    observation = value("SN", field)
    assert (observation.value, observation.comparator, observation.text) == (number, comparator, "")


@pytest.mark.parametrize(
    ("field", "text"),
    [("^1^:^128", "1:128"), ("^2^-^5", "2-5"), ("^3^/^4", "3/4"), ("^2^+", "2+"), ("<>^5", "<>5")],
)
def test_a_structured_number_that_is_no_one_number(field: str, text: str) -> None:
    """A ratio, a range, a category and "not equal" are text."""
    observation = value("SN", field)
    assert (observation.value, observation.text) == (None, text)


@pytest.mark.parametrize("field", ["^", "^^^", '^""', "<^"])
def test_a_structured_number_of_nothing(field: str) -> None:
    """SN without a number says no number; where it says nothing at all, the value is absent."""
    observation = value("SN", field)
    assert observation.value is None
    assert (observation.absent_reason == "unknown") == (not observation.text)


@pytest.mark.parametrize("kind", ["ST", "TX", "FT", "NM", ""])
@pytest.mark.parametrize(
    ("field", "unit", "number", "comparator"),
    [
        ("5", "", 5, ""), ("> 90", "%", 90, ">"), ("<=0.1", "mg/L", 0.1, "<="), ("≥90", "%", 90, ">="),
        ("98%", "%", 98, ""), ("98 %", "%", 98, ""), ("<0.1 mg/L", "mg/L", 0.1, "<"), ("-2.5", "", -2.5, ""),
    ],
)  # fmt: skip
def test_a_text_that_is_a_number(kind: str, field: str, unit: str, number: float, comparator: str) -> None:
    """A number, one behind a comparator, and either followed by the very unit that OBX-6 says, are numbers."""
    observation = value(kind, field, unit)
    assert (observation.value, observation.comparator, observation.text) == (number, comparator, "")


@pytest.mark.parametrize("kind", ["ST", "TX", "FT", "NM", ""])
@pytest.mark.parametrize(
    "field",
    [
        "1,5", "5.0 H", "5 (H)", "98%", "1:5", "120/80", "90-100", "1+", "+", "NEG", "see note", "..", ".", "=<5",
        "ca. 5", "1 234", "1'234", "1e3", "0x1A", "nan", "inf", "\u22125", "\u0663", "5/min 6", "<>5", "<<5", "5 /MIN",
    ],
)  # fmt: skip
def test_a_text_that_might_be_a_number_stays_text(kind: str, field: str) -> None:
    """A decimal comma, a flag, another unit, a ratio, a range, words: never a guess."""
    observation = value(kind, field)
    assert (observation.value, observation.comparator, observation.text) == (None, "", field.strip())


def test_a_number_of_digits_is_never_cut_by_its_unit() -> None:
    """A unit that begins with a digit parts nothing: "510*9/L" is not five of "10*9/L"."""
    assert value("ST", "510*9/L", "10*9/L").value is None


@pytest.mark.parametrize(
    ("kind", "field", "answers", "text"),
    [
        ("CE", "LA9340-6^Alert^LN", (("loinc", "LA9340-6"),), "Alert"),
        ("CWE", "A^alert^L^LA9340-6^Alert^LN", (("L", "A"), ("loinc", "LA9340-6")), "alert"),
        ("CWE", "^^^^^^^^as dictated", (), "as dictated"),
        ("CWE", "^just text", (), "just text"),
        ("CWE", "A^^L^^^^1.0^2.0^^248234008^^SCT", (("L", "A"), ("snomed", "248234008")), "A"),
        ("CNE", "A^Alert^L^^^^1.0", (("L", "A"),), "Alert"),
        ("IS", "A", (("", "A"),), "A"),
    ],
)
def test_a_coded_answer(kind: str, field: str, answers: tuple[object, ...], text: str) -> None:
    """CE, CWE, CNE and IS give every coding and the best text; none of it is a number."""
    observation = value(kind, field)
    assert (observation.answers, observation.text, observation.value) == (answers, text, None)


@pytest.mark.parametrize(("field", "number"), [("72", 72), ("72^73", None), ("72~73", None), ("^72", None)])
def test_an_array_of_one_number_is_that_number(field: str, number: float | None) -> None:
    """NA of one number is a number; an array, as of a waveform, is no one value."""
    decoded = read(f"OBX|1|NA|8867-4^^LN||{field}|/min|||||F")
    [event] = decoded.events
    assert isinstance(event, Observation)
    assert (event.value, "obx2_unsupported" in decoded.notes) == (number, number is None)


@pytest.mark.parametrize("kind", ["XPN", "XAD", "XTN", "CX", "XCN", "PN", "TN", "ZZ", "ED", "RP", "CQ"])
def test_a_type_that_is_not_read_keeps_no_words(kind: str) -> None:
    """A name, an address or a document in OBX-5 enters no log; it is noted."""
    decoded = read(f"OBX|1|{kind}|8867-4^^LN||Doe^Jane|/min|||||F")
    [event] = decoded.events
    assert isinstance(event, Observation)
    assert (event.value, event.text, event.answers, event.absent_reason) == (None, "", (), "unsupported")
    assert "obx2_unsupported" in decoded.notes


def test_a_misspelt_type_of_a_number_costs_no_number() -> None:
    """A plain number under a type that HL7 has not is a number, noted: hiding it could hide a deterioration."""
    decoded = read("OBX|1|NUM|8867-4^^LN||131|/min|||||F")
    assert [event.value for event in decoded.events if isinstance(event, Observation)] == [131]
    assert decoded.notes == ("obx2_unknown",)


def test_repeats_and_sub_ids_are_results_of_their_own() -> None:
    """Two numbers in one OBX-5, and one code under two sub-ids, are two results each; a correction finds its own."""
    repeated = read("OBX|1|NM|8867-4^^LN||72~75|/min|||||F")
    assert [one.value for one in observed(repeated)] == [72, 75]
    assert "obx5_repeats" in repeated.notes
    left, right = (f"OBX|{n}|NM|8480-6^^LN|{arm}|{v}|mm[Hg]|||||F" for n, arm, v in ((1, "L", 120), (2, "R", 131)))
    both = read(left, right)
    ids = [one.observation_id for one in observed(both)]
    assert len(set(ids)) == 2
    [corrected] = read(right.replace("|131|", "|113|").replace("|F", "|C")).events
    assert isinstance(corrected, Correction)
    assert corrected.observation.observation_id == ids[1]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("P", "preliminary"), ("R", "preliminary"), ("I", "preliminary"), ("F", "final"), ("C", "corrected"),
        ("D", "withdrawn"), ("X", "withdrawn"), ("W", "withdrawn"),
    ],
)  # fmt: skip
def test_every_status(status: str, told: str) -> None:
    """OBX-11 P, R, I, F, C, D, X and W: the status, and whether it replaces or takes back."""
    [event] = read(f"OBX|1|NM|8867-4^^LN||72|/min|||||{status}").events
    if told in {"corrected", "withdrawn"}:
        assert isinstance(event, Correction)
        assert (event.observation.status, event.withdrawn) == (told, told == "withdrawn")
    else:
        assert isinstance(event, Observation)
        assert event.status == told


@pytest.mark.parametrize(("status", "field"), [("F", "72"), ("P", "72"), ("F", "72 H"), ("C", "72"), ("W", "72")])
def test_evidence_is_kept_with_the_value(status: str, field: str) -> None:
    """OBX-8, OBX-15 and OBX-18 stay with the result, of whatever status and kind: flags, who produced it, by what."""
    evidence = "||||LAB7^Main lab^L|||MON-3^ICU^1.2.3^ISO~X9"
    obx = f"OBX|1|NM|8867-4^^LN||{field}|/min|60-100|H~A^Abnormal^HL70078|||{status}{evidence}"
    [event] = read(obx).events
    told = event.observation if isinstance(event, Correction) else event
    assert isinstance(told, Observation)
    assert told.interpretation == ("H", "A")
    assert told.producer == ("L", "LAB7")
    assert told.devices == (("ICU", "MON-3"), ("", "X9"))


def test_evidence_changes_no_identity_and_no_value() -> None:
    """With and without it the result is the same one: a correction without flags finds it."""
    plain = value("NM", "72")
    [flagged] = read("OBX|1|NM|8867-4^Heart rate^LN||72|/min||HH|||F||||L1|||M1").events
    assert isinstance(flagged, Observation)
    assert (flagged.observation_id, flagged.value, flagged.unit) == (plain.observation_id, 72, "/min")
    assert (plain.interpretation, plain.producer, plain.devices) == ((), None, ())


def test_evidence_is_bounded() -> None:
    """However many flags a sender writes, and however long, so much of them is kept."""
    flags = "~".join(["X" * 500] * 500)
    [event] = read(f"OBX|1|NM|8867-4^^LN||72|/min||{flags}|||F||||{flags}|||{flags}").events
    assert isinstance(event, Observation)
    assert len(repr(event)) < 3_000


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_every_kind_of_result_is_read_alike(kind: str) -> None:
    """R30 to R32 of a point of care and R40 of an alarm hold values as R01 does."""
    obx = "OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC|1.0.0.1|138|/min||H~PH|||F"
    decoded = read(obx, kind=kind)
    assert decoded.kind == kind
    assert [event.value for event in decoded.events if isinstance(event, Observation)] == [138]


def test_an_alarm_of_a_monitor_is_a_value_and_words_for_the_rest() -> None:
    """Of an ORU^R40 (PCD-04) the measured number counts; what it says of the alarm itself is coded, and no number."""
    decoded = read(
        "OBX|1|CWE|68480^MDC_EVT_ALARM^MDC|1.0.0.1.1|196648^MDC_EVT_HI^MDC||||||F|||20260419115800",
        "OBX|2|NM|147842^MDC_ECG_HEART_RATE^MDC|1.0.0.1.2|138|264864^MDC_DIM_BEAT_PER_MIN^MDC|50-120|H~PH|||F|||20260419115800",
        "OBX|3|ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.0.0.1.3|start||||||F|||20260419115800",
        kind="ORU^R40",
    )
    told = [(event.value, event.text) for event in decoded.events if isinstance(event, Observation)]
    assert told == [(None, "MDC_EVT_HI"), (138, ""), (None, "start")]


@given(
    st.sampled_from(["NM", "SN", "ST", "TX", "FT", "", "NA", "XX", "DT", "CWE"]),
    st.text(max_size=20),
    st.text(max_size=4),
)
def test_no_value_raises_and_a_number_is_written_in_it(kind: str, field: str, unit: str) -> None:
    """Whatever OBX-5 and OBX-6 hold, nothing raises; a number that is told has its digits there."""
    clean = [text.translate({ord(mark): None for mark in "|~^&\\\r\n\x0b\x1c"}) for text in (field, unit)]
    decoded = decode(message(f"OBX|1|{kind}|8867-4^^LN||{clean[0]}|{clean[1]}|||||F"), SETTINGS)
    for event in decoded.events if isinstance(decoded, Decoded) else ():
        if isinstance(event, Observation) and event.value is not None:
            assert any(mark.isascii() and mark.isdigit() for mark in clean[0])


def test_the_table_of_the_documentation_is_what_the_code_does() -> None:
    """docs/hl7.md holds the table that the code writes by reading its own examples."""
    assert value_table() in DOCS.read_text(encoding="utf-8")


def test_structured_numbers_of_others(shared_data: Path) -> None:
    """The SN results that another library's authors wrote: numbers with comparators, ratios and ranges as text."""
    path = shared_data / "hl7v2" / "cosyte" / "canonical" / "oru-r01-sn-results.hl7"
    told = []
    for piece in split(path.read_bytes()):
        decoded = decode_piece(piece, SETTINGS)
        assert isinstance(decoded, Decoded), decoded
        told += [
            (event.comparator, event.value, event.text) for event in decoded.events if isinstance(event, Observation)
        ]
    assert told == [(">", 90, ""), ("", None, "100-200"), ("", None, "1:128")]


@pytest.mark.parametrize("kind", ["CX", "EI", "TN", "XTN", "XCN", "XAD"])
def test_the_digits_of_a_persons_number_are_no_value(kind: str) -> None:
    """A record's number or a telephone's is neither measured nor kept, alone or repeated."""
    dialect = dialect_of("|^~\\&")
    assert read_values(kind, "4711", dialect) == read_values(kind, "72~73", dialect) == [UNSUPPORTED]
