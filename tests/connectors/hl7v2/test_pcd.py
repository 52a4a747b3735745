"""Claims about IHE PCD-01: what bedside monitors and infusion pumps send, shaped as monitors on the market send it."""

from __future__ import annotations

import pytest

from connectors.decoded import Decoded
from connectors.hl7v2.codec import decode
from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from events import Correction, Observation, from_iso
from features.catalogue import default_catalogue
from features.state import PatientState
from models.news2 import score_news2

SETTINGS = Hl7Settings()
NOON = from_iso("2026-03-03T12:00:00Z")
PROFILE = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"


def pcd(*rows: str, at: str = "20260303120000+0000", control: str = "1914") -> bytes:
    """Make a message of a monitor (HL7 v2.6, MSH-21 the profile, MDC everywhere, MSH-16 NE)."""
    lines = (
        f"MSH|^~\\&|MON_VS^00A0370098007A80^EUI-64|MON|||{at}||ORU^R01^ORU_R01|{control}|P|2.6|||AL|NE||"
        f"UNICODE UTF-8|||{PROFILE}",
        "PID|||42^^^Hospital^PI||^^^^^^L",
        "PV1||I|W1^^3",
        f"OBR|1|{control}^MON_VS^00A0370098007A80^EUI-64|{control}^MON_VS^00A0370098007A80^EUI-64|"
        f"182777000^monitoring of patient^SCT|||{at}",
        *(f"OBX|{number}|{row}" for number, row in enumerate(rows, 1)),
    )
    return "\r".join(lines).encode()


def read(data: bytes) -> Decoded:
    decoded = decode(data, SETTINGS)
    assert isinstance(decoded, Decoded), decoded
    return decoded


def observations(*rows: str, **more: str) -> list[Observation]:
    found = [event for event in read(pcd(*rows, **more)).events if isinstance(event, Observation | Correction)]
    assert all(isinstance(event, Observation) for event in found), found
    return [event for event in found if isinstance(event, Observation)]


SPO2 = "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456|{}|262688^MDC_DIM_PERCENT^MDC||{}|||{}"


def spo2(value: str = "97", flag: str = "", status: str = "R") -> str:
    return SPO2.format(value, flag, status)


WARD = (
    "|69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||MON^^00A0370098007A80^EUI-64",
    "|70666^MDC_DEV_ECG_RESP_VMD^MDC|1.2.0.0|||||||X",
    "|70739^MDC_DEV_CARD_RATE_CHAN^MDC|1.2.1.0|||||||X",
    "NM|147842^MDC_ECG_HEART_RATE^MDC|1.2.1.147842|94|264864^MDC_DIM_BEAT_PER_MIN^MDC|50-120||||R|||20260303115958+0000",
    "NM|151562^MDC_RESP_RATE^MDC|1.2.2.151562|18|264928^MDC_DIM_RESP_PER_MIN^MDC|||||R",
    "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456|97|262688^MDC_DIM_PERCENT^MDC|||||R|||||||MON^^00A0370098007A80^EUI-64",
    "NM|149530^MDC_PULS_OXIM_PULS_RATE^MDC|1.3.1.149530|93|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R",
    "NM|150301^MDC_PRESS_CUFF_SYS^MDC|1.1.9.150301|147|266016^MDC_DIM_MMHG^MDC|||||R|||20260303113000+0000|||AMEAS^auto-measurement^MDC",
    "NM|150039^MDC_PRESS_BLD_ART_ABP_MEAN^MDC|1.4.1.150039|12.0|265987^MDC_DIM_KILO_PASCAL^MDC|||||R",
    "NM|150344^MDC_TEMP^MDC|1.5.1.150344|98.6|266560^MDC_DIM_FAHR^MDC|||||R",
    "NM|151708^MDC_CONC_AWAY_CO2_ET^MDC|1.6.1.151708|38|mm[Hg]^mm[Hg]^UCUM|||||R",
    "ST|184327^MDC_ECG_STAT_RHY^MDC|1.2.4.184327|MDC_ECG_SINUS_RHY||||||R",
)


def test_a_monitors_message_comes_to_features() -> None:
    """Each vital sign is read with its time (OBX-14, else OBR-7), in MDC or UCUM units, and converted."""
    state = PatientState()
    for one in observations(*WARD):
        state.observe(one, NOON, "m")
    found = {
        feature.name: (reading.value, reading.event_time)
        for feature in default_catalogue().features
        if (reading := state.latest(feature.name, NOON)) is not None
    }
    assert found == {
        "heart_rate": (93.0, NOON),
        "respiration_rate": (18.0, NOON),
        "spo2": (97.0, NOON),
        "systolic_bp": (147.0, from_iso("2026-03-03T11:30:00Z")),
        "mean_bp": (pytest.approx(90.008, abs=0.001), NOON),
        "temperature": (37.0, NOON),
        "etco2": (38.0, NOON),
    }


def test_rows_of_devices_are_no_results() -> None:
    """MDS, VMD and channel rows are noted and passed over; no code of theirs is shown as unmapped."""
    assert read(pcd(*WARD)).notes == ("obx_device_row",)
    assert len(observations(*WARD)) == len(WARD) - 3
    assert all(not code.startswith("MDC_DEV") for one in observations(*WARD) for _, code in one.codings)


def test_two_probes_are_two_results() -> None:
    """The same metric under 1.3.1 and 2.3.1 is two results of one time; the worse one scores."""
    first, second = observations(spo2("97"), spo2("84").replace("1.3.1", "2.3.1"))
    assert first.observation_id != second.observation_id
    assert first.event_time == second.event_time
    state = PatientState()
    for one in (first, second):
        assert state.observe(one, NOON, "m").outcome == "accepted"
    assert score_news2(state, NOON).spo2 == 3


def test_each_second_is_a_result_of_its_own() -> None:
    """The next second's number under the same containment replaces nothing."""
    [first] = observations(spo2("97"))
    [second] = observations(spo2("84"), at="20260303120001+0000", control="1915")
    assert first.observation_id != second.observation_id


@pytest.mark.parametrize("flag", ["INV", "QUES", "CALIB", "L~INV", "H^High^HL70078~QUES"])
def test_what_the_device_does_not_vouch_for_is_quarantined(flag: str) -> None:
    """An invalid or questionable number does not count, and is told: the parameter is quarantined, both bounds open."""
    state = PatientState()
    [good] = observations(spo2("97"), at="20260303115900+0000")
    state.observe(good, NOON, "m")
    message = read(pcd(spo2("60", flag)))
    assert "obx8_unreliable" in message.notes
    [doubted] = [event for event in message.events if isinstance(event, Observation)]
    assert (doubted.value, doubted.text, doubted.absent_reason) == (None, "60", "unreliable")
    fate = state.observe(doubted, NOON, "m")
    assert (fate.outcome, fate.reason) == ("quarantined", "unreliable")
    found = score_news2(state, NOON)
    assert (found.spo2, found.quarantined) == (0, ("spo2",))
    [again] = observations(spo2("96"), at="20260303120001+0000", control="1915")
    state.observe(again, NOON + 1_000, "m")
    assert score_news2(state, NOON + 1_000).quarantined == ()


def test_a_doubted_number_is_shown_as_it_was_sent() -> None:
    """Its comparator and its digits stand in the text: "<90" is not shown as 90."""
    for said, shown in (("<90", "<90"), ("1234567.5", "1234567.5")):
        [doubted] = observations(spo2(said, "INV"))
        assert doubted.text == shown


@pytest.mark.parametrize(("kind", "said"), [("ST", "Alert"), ("CWE", "LA9340-6^Alert^LN")])
def test_an_answer_that_the_device_does_not_vouch_for_is_quarantined_too(kind: str, said: str) -> None:
    """The words of a doubted answer are kept to be seen: they are not read as the answer again."""
    [doubted] = observations(f"{kind}|67775-7^Level of responsiveness^LN|1.3.1.1|{said}|||QUES|||F")
    state = PatientState()
    fate = state.observe(doubted, NOON, "m")
    assert (doubted.text, fate.outcome, fate.reason) == ("Alert", "quarantined", "unreliable")
    assert score_news2(state, NOON).consciousness is None


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("DEMO", "demo-data"), ("TEST", "test-data"), ("NAV", "not-available"), ("OFF", "not-available")],
)
def test_what_is_no_patients_is_no_value(flag: str, reason: str) -> None:
    """A monitor in demo mode, and a sensor that measures nothing, say nothing of the patient: neither well nor ill."""
    [told] = observations(spo2("60", flag))
    assert (told.value, told.text, told.absent_reason) == (None, "", reason)
    state = PatientState()
    assert state.observe(told, NOON, "m").outcome == "absent"
    assert score_news2(state, NOON).spo2 is None


@pytest.mark.parametrize("flag", ["", "L", "HH", "ALACT", "ALINH", "BUSY", "EARLY"])
def test_other_flags_change_no_value(flag: str) -> None:
    """Limits, alarms and early estimates are evidence: a monitor that alarms is the last to be hidden."""
    [told] = observations(spo2("84", flag))
    assert told.value == 84.0


def test_nothing_measured_at_this_second_takes_nothing_back() -> None:
    """OBX-11 X of a metric without a value is no withdrawal: it names no earlier result."""
    [told] = observations("|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456|||||||X")
    assert (told.value, told.absent_reason) == (None, "unknown")
    [event] = [
        event
        for event in read(pcd("NM|59408-5^SpO2^LN|1|97|%|||||X")).events
        if isinstance(event, Correction | Observation)
    ]
    assert isinstance(event, Correction)


def test_method_says_whose_it_is() -> None:
    """OBX-17 keeps a nurse's validated entry apart from the monitor's own number, whatever it is coded in."""
    row = "NM|151562^MDC_RESP_RATE^MDC|1.2.2.151562|26|264928^MDC_DIM_RESP_PER_MIN^MDC|||||F||||||"
    [nurse] = observations(row + "MMEAS^manual-measurement^MDC")
    state = PatientState()
    state.observe(nurse, NOON, "nurse")
    for second in range(1, 60):
        at = f"202603031200{second:02}+0000"
        [told] = observations(
            "NM|151562^MDC_RESP_RATE^MDC|1.2.2.151562|15|264928^^MDC|||||R", at=at, control=str(second)
        )
        state.observe(told, NOON + second * 1_000, "m")
    assert score_news2(state, NOON + 59_000).respiration_rate == 3


def test_a_waveform_is_no_feature() -> None:
    """Samples (NA) are noted and never a value."""
    message = read(
        pcd("NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.1.1.131329|-10^-10^-5^1^14|266418^MDC_DIM_MILLI_VOLT^MDC|||||R")
    )
    [told] = [event for event in message.events if isinstance(event, Observation)]
    assert (told.value, told.absent_reason) == (None, "unsupported")
    assert "obx2_unsupported" in message.notes


def test_a_route_of_devices() -> None:
    """A site may say that a sender is a monitor: its LOINC is a device's own, but for what a nurse validated."""
    route = Route("monitors", sender="MON_VS|*", devices=True)
    state = PatientState()
    for n in range(600):
        at = f"202603031200{n % 60:02}+0000".replace("1200", f"12{n // 60:02}")
        row = f"NM|9279-1^RR^LN|1|{26 if n == 0 else 15}|/min|||||F"
        validated = f"{row}||||||MMEAS" if n == 0 else row
        decoded = decode(pcd(validated, at=at, control=str(n)), Hl7Settings(routes=(route,)))
        assert isinstance(decoded, Decoded)
        for one in decoded.events:
            if isinstance(one, Observation):
                state.observe(one, NOON + n * 1_000, "m")
    end = NOON + 599_000
    assert score_news2(state, end).respiration_rate == 3
    assert state.statistic(end, "respiration_rate.count_1h") <= 4
    [plain] = observations("NM|9279-1^RR^LN|1|15|/min|||||F")
    assert plain.qualifiers == ()
