"""What changes upstream: codes, units, scales, sensors that stand still, feeds that repeat themselves."""

from __future__ import annotations

from random import Random

from alerts.monitoring import Monitor, MonitoringSettings
from events import Coding
from features.catalogue import default_catalogue
from tests.alerts.monitoring.hospital_log import DAY, GLUCOSE, HOUR, MINUTE, PULSE, TEMPERATURE, Log

LOCAL: Coding = ("SIMHOSP", "HR-2")
START = 1500
"""Messages of `learned`: one each two minutes, somewhat over two days."""


class Ward(Log):
    """Ten patients, each with a pulse, a temperature and a glucose by chance from one seed, a set each two minutes."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.random = Random(seed)  # noqa: S311 - a simulation
        self.at = 0
        self.codes: dict[str, tuple[Coding, str]] = {
            "pulse": (PULSE, "/min"), "temperature": (TEMPERATURE, "Cel"), "glucose": (GLUCOSE, "mmol/L"),
        }  # fmt: skip
        self.alter = {name: (lambda value: value) for name in self.codes}

    def sets(self, count: int) -> None:
        """Chart so many sets."""
        for _ in range(count):
            usual = {
                "pulse": float(self.random.randint(55, 110)),
                "temperature": self.random.randint(361, 385) / 10,
                "glucose": self.random.randint(40, 120) / 10,
            }
            self.message(
                self.at, f"p{self.count % 10}",
                [(self.codes[name][0], self.alter[name](value), self.codes[name][1])
                 for name, value in usual.items() if name in self.codes],
            )  # fmt: skip
            self.at += 2 * MINUTE


def learned(seed: int = 1) -> Ward:
    """Give a ward after two days."""
    ward = Ward(seed)
    ward.sets(START)
    return ward


def test_a_ward_as_usual_raises_nothing() -> None:
    """Ten days of ten patients by chance: no signal of a change."""
    ward = Ward(3)
    ward.sets(7200)
    assert ward.said == []


def test_a_code_remapped_upstream_is_told_after_twelve_missed_readings() -> None:
    """The pulse comes under a local code that no table has: told by the 16th set, with both codes."""
    ward = learned()
    ward.codes["pulse"] = (LOCAL, "/min")
    ward.sets(16)
    told = ward.of("code_remapped")
    assert [(one.code, one.feature, one.wards) for one in told] == [("loinc|8867-4", "heart_rate", ("W3",))]
    assert "SIMHOSP|HR-2" in told[0].detail
    assert told[0].received_time - told[0].since <= 16 * 2 * MINUTE


def test_a_remapping_is_cleared_when_the_feature_is_heard_again() -> None:
    """By the old code, or because the site's configuration maps the new one."""
    ward = learned()
    ward.codes["pulse"] = (LOCAL, "/min")
    ward.sets(20)
    catalogue = default_catalogue().with_codes({LOCAL: "heart_rate"})
    ward.monitor.use(catalogue, MonitoringSettings())
    ward.sets(1)
    assert [one.detail for one in ward.of("code_remapped", "cleared")] == ["heart_rate is heard again, by SIMHOSP|HR-2"]


def test_an_unknown_code_beside_the_known_ones_is_no_remapping() -> None:
    """A new unmapped code while every known one goes on is counted elsewhere, and is no signal."""
    ward = learned()
    for _ in range(100):
        ward.sets(1)
        ward.message(ward.at, "p1", [(LOCAL, 1.0, "")])
    assert ward.said == []


def test_a_code_that_changes_to_another_known_code_is_no_remapping() -> None:
    """8889-8 means heart rate too: nothing is lost."""
    ward = learned()
    ward.codes["pulse"] = (("loinc", "8889-8"), "/min")
    for _ in range(50):
        ward.sets(1)
        ward.message(ward.at, "p1", [(LOCAL, 1.0, "")])
    assert ward.said == []


def test_another_unit_is_told_at_its_third_reading() -> None:
    """Temperatures that come in degrees Fahrenheit are told, though they convert."""
    ward = learned()
    ward.codes["temperature"] = (TEMPERATURE, "[degF]")
    ward.alter["temperature"] = lambda value: round(value * 1.8 + 32, 1)
    ward.sets(3)
    told = ward.of("unit_changed")
    assert [(one.feature, one.received_time - one.since) for one in told] == [("temperature", 4 * MINUTE)]
    assert "'[degF]'" in told[0].detail
    assert "'Cel'" in told[0].detail


def test_a_unit_that_cannot_be_used_is_told_as_quarantined() -> None:
    """Readings in a unit that no table has are quarantined, and the signal says so."""
    ward = learned()
    ward.codes["glucose"] = (GLUCOSE, "furlong")
    ward.sets(3)
    assert ward.of("unit_changed")[0].detail.endswith("they are quarantined")


def test_a_new_unit_is_the_usual_one_after_a_day() -> None:
    """It is cleared by 100 readings over 24 h."""
    ward = learned()
    ward.codes["temperature"] = (TEMPERATURE, "[degF]")
    ward.alter["temperature"] = lambda value: round(value * 1.8 + 32, 1)
    ward.sets(730)
    assert len(ward.of("unit_changed", "cleared")) == 1


def test_a_second_unit_from_the_beginning_is_usual() -> None:
    """A ward that charts Fahrenheit beside one in Celsius, from the first day on, is no change."""
    ward = Ward()
    for _ in range(1500):
        ward.sets(1)
        ward.message(ward.at, f"f{ward.count % 3}", [(TEMPERATURE, ward.random.randint(970, 1010) / 10, "[degF]")])
    assert ward.of("unit_changed") == []


def test_a_scale_that_changes_under_the_same_label_is_told_after_eight_readings() -> None:
    """Glucose in mg/dL that says mmol/L passes as possible; eight in succession are explained by the other unit."""
    ward = learned()
    ward.alter["glucose"] = lambda value: round(value * 18.016)
    ward.sets(8)
    told = ward.of("scale_changed")
    assert [(one.feature, one.code) for one in told] == [("glucose", "loinc|2345-7")]
    assert "mg/dL" in told[0].detail


def test_fahrenheit_under_the_label_of_celsius_is_told() -> None:
    """They are impossible, so they are quarantined one by one; the signal says that it is all of them."""
    ward = learned()
    ward.alter["temperature"] = lambda value: round(value * 1.8 + 32, 1)
    ward.sets(8)
    assert "[degF]" in ward.of("scale_changed")[0].detail


def test_a_change_of_scale_is_cleared_by_usual_readings() -> None:
    """Eight usual readings in succession clear it."""
    ward = learned()
    ward.alter["glucose"] = lambda value: round(value * 18.016)
    ward.sets(20)
    ward.alter["glucose"] = lambda value: value
    ward.sets(8)
    assert len(ward.of("scale_changed", "cleared")) == 1


def test_one_sick_patient_is_no_change_of_scale() -> None:
    """A hundred high glucoses of one patient are his illness."""
    ward = learned()
    for _ in range(100):
        ward.message(ward.at, "sick", [(GLUCOSE, float(ward.random.randint(90, 110)), "mmol/L")])
        ward.at += MINUTE
    assert ward.of("scale_changed") == []


def test_a_flat_line_is_told_by_the_feeds_own_repeats() -> None:
    """A pulse that stands still is told once chance gives it once in a million, and cleared as it moves."""
    ward = learned()
    runs = 0
    while not ward.of("flat_line") and runs < 60:
        ward.message(ward.at, "p3", [(PULSE, 77.0, "/min")])
        ward.at += 5 * MINUTE
        runs += 1
    told = ward.of("flat_line")
    assert [(one.patient, one.feature, one.ward) for one in told] == [("p3", "heart_rate", "W3")]
    assert 8 <= runs <= 40
    ward.message(ward.at, "p3", [(PULSE, 78.0, "/min")])
    assert len(ward.of("flat_line", "cleared")) == 1


def test_a_value_that_usually_stays_is_no_flat_line() -> None:
    """FiO2 of 21 %, hour after hour and patient after patient, says nothing."""
    ward = Ward()
    for number in range(3000):
        oxygen = 21.0 if number % 50 else 28.0
        ward.message(
            ward.at, f"p{number % 10}", [(("loinc", "3150-6"), oxygen, "%"), (PULSE, 60.0 + number % 37, "/min")]
        )
        ward.at += 2 * MINUTE
    assert ward.of("flat_line") == []


def test_a_frozen_feed_is_told_after_twenty_messages() -> None:
    """Every patient's values are said again and again with new times: told within 20 messages or 15 minutes."""
    ward = learned()
    last = {f"p{n}": (float(60 + n), 37.0 + n / 10, 5.0 + n) for n in range(10)}
    for again in range(4):
        for patient, (pulse, temperature, glucose) in last.items():
            ward.message(
                ward.at, patient,
                [(PULSE, pulse, "/min"), (TEMPERATURE, temperature, "Cel"), (GLUCOSE, glucose, "mmol/L")],
            )  # fmt: skip
            ward.at += 2 * MINUTE
        if again == 2:
            assert [one.feed for one in ward.of("feed_frozen")] == ["CHART"]
    ward.sets(1)
    assert len(ward.of("feed_frozen", "cleared")) == 1


def test_event_times_that_stand_still_are_a_frozen_feed() -> None:
    """Messages keep coming and none is newer than the last one of its patient."""
    ward = learned()
    for number in range(40):
        ward.message(
            ward.at, f"p{number % 10}", [(PULSE, 60.0 + number % 23, "/min")], event_time=ward.at - number * MINUTE * 2
        )
        ward.at += 2 * MINUTE
    assert [one.feed for one in ward.of("feed_frozen")] == ["CHART"]


def test_a_shift_charted_at_once_is_no_frozen_feed() -> None:
    """Observations of twelve hours that are charted at the end of the shift, out of order, bring news."""
    ward = learned()
    for patient in range(10):
        for taken in (4, 12, 8, 1):
            ward.message(
                ward.at, f"p{patient}", [(PULSE, float(ward.random.randint(55, 110)), "/min")],
                event_time=ward.at - taken * HOUR + patient,
            )  # fmt: skip
            ward.at += MINUTE // 2
    assert ward.of("feed_frozen") == []


def test_nothing_is_judged_before_a_day_was_heard() -> None:
    """What begins on the first day is usual: no change is told."""
    ward = Ward()
    ward.sets(300)
    ward.codes["pulse"] = (LOCAL, "/min")
    ward.codes["glucose"] = (GLUCOSE, "furlong")
    ward.sets(100)
    assert ward.at < DAY
    assert ward.said == []


def test_a_vital_sign_that_a_feed_no_longer_sends_is_told_after_twelve_hours() -> None:
    """The temperature stops and nothing unknown comes instead: told once the whole feed was without it for 12 h, at
    the next sixteenth message; by the first readings after that it is cleared.
    """
    ward = learned()
    del ward.codes["temperature"], ward.alter["temperature"]
    ward.sets(12 * 30 - 1)
    assert ward.said == []
    ward.sets(17)
    [told] = ward.of("code_silent")
    assert (told.code, told.feature, told.wards) == ("loinc|8310-5", "temperature", ("W3",))
    assert 12 * HOUR <= told.received_time - told.since <= 12 * HOUR + 32 * MINUTE
    ward.codes["temperature"], ward.alter["temperature"] = (TEMPERATURE, "Cel"), lambda value: value
    ward.sets(16)
    assert len(ward.of("code_silent", "cleared")) == 1


def test_a_laboratory_code_that_stops_is_not_told() -> None:
    """Glucose is of a few patients, who leave: its absence says nothing."""
    ward = learned()
    del ward.codes["glucose"], ward.alter["glucose"]
    ward.sets(24 * 30)
    assert ward.said == []


def test_a_vital_sign_that_goes_on_under_another_code_is_not_silent() -> None:
    """8889-8 means heart rate too."""
    ward = learned()
    ward.codes["pulse"] = (("loinc", "8889-8"), "/min")
    ward.sets(24 * 30)
    assert ward.said == []


def unknown(ward: Ward, count: int, per_hour: int) -> None:
    """Let an unknown code come beside the usual ones."""
    for number in range(count):
        if number % max(1, per_hour // 30) == 0:
            ward.sets(1)
        ward.message(ward.at + number * HOUR // per_hour % (2 * MINUTE), "p1", [(LOCAL, 1.0, "")])


def test_a_new_unknown_code_at_500_an_hour_is_told_within_a_quarter_of_an_hour() -> None:
    """It is told at the sixteenth message after its hundredth reading, with its rate in words."""
    ward = learned()
    unknown(ward, 130, 500)
    [told] = ward.of("code_unmapped")
    assert (told.code, told.feature, told.received_time - told.since <= 15 * MINUTE) == ("SIMHOSP|HR-2", "", True)
    assert [one.kind for one in ward.said] == ["code_unmapped"]


def test_an_unknown_code_is_no_news_once_it_is_mapped_or_usual_or_gone() -> None:
    """It is cleared by a code map, after a day, and after an hour without it."""
    mapped, usual, gone = learned(1), learned(2), learned(3)
    for ward in (mapped, usual, gone):
        unknown(ward, 130, 500)
    mapped.monitor.use(default_catalogue().with_codes({LOCAL: "lactate"}), MonitoringSettings())
    mapped.sets(16)
    unknown(usual, 24 * 500, 500)
    gone.sets(64)
    said = [ward.of("code_unmapped", "cleared")[0].detail for ward in (mapped, usual, gone)]
    assert said[0] == "it is mapped to lactate"
    assert said[1].endswith("readings of it: it is usual now")
    assert said[2] == "not heard for an hour"
    assert all(len(ward.of("code_unmapped")) == 1 for ward in (mapped, usual, gone))


def test_an_unknown_code_in_two_units_is_told_once() -> None:
    """A code that comes in one unit and then in another is one code: it does not come and go sixteen messages long."""
    ward = learned()
    for number in range(1200):
        if number % 4 == 0:
            ward.sets(1)
        ward.message(ward.at, "p1", [(LOCAL, 1.0, "a" if number < 150 else "b")])
    assert [(one.kind, one.state) for one in ward.said if one.kind == "code_unmapped"] == [("code_unmapped", "raised")]


def test_a_message_of_a_test_hides_no_unknown_code() -> None:
    """One reading of it, a day or half a day before it comes for good, makes it neither usual nor slow; what is kept
    over a restart says the same.
    """
    for hours in (25, 12):
        ward = learned()
        ward.message(ward.at, "p1", [(LOCAL, 1.0, "")])
        ward.sets(hours * 30)
        kept = {key: data for key, data in ward.monitor.take_changes().items() if data is not None}
        ward.monitor = Monitor()
        assert ward.monitor.restore(kept)
        unknown(ward, 600, 500)
        [told] = ward.of("code_unmapped")
        assert told.received_time - told.since <= HOUR
        assert [one.kind for one in ward.said] == ["code_unmapped"]


def test_of_a_hundred_new_codes_twenty_are_told_at_once() -> None:
    """A device that brings a hundred codes, or a sender that makes them up, takes no room from signals of patients."""
    ward = learned()
    for number in range(120):
        values = [(("NEW", f"C{one}"), 1.0, "") for one in range(100)]
        ward.message(ward.at + number * 10_000, "p1", values)
    assert len(ward.of("code_unmapped")) == 20


def test_an_unknown_code_that_comes_seldom_is_never_told() -> None:
    """Fifty an hour for three days are no hundred within an hour."""
    ward = learned()
    unknown(ward, 72 * 50, 50)
    assert ward.of("code_unmapped") == []


def test_an_unknown_code_that_is_mapped_after_a_day_unheard_is_cleared() -> None:
    """Its first reading by the map finds it mapped, though it is no newcomer any more."""
    ward = learned()
    unknown(ward, 130, 500)
    ward.at += DAY
    ward.monitor.use(default_catalogue().with_codes({LOCAL: "lactate"}), MonitoringSettings())
    for _ in range(16):
        ward.message(ward.at, "p1", [(LOCAL, 1.0, "mmol/L"), (LOCAL, 1.0, "")])
    assert [one.detail for one in ward.of("code_unmapped", "cleared")] == ["it is mapped to lactate"]


def test_a_reading_by_a_code_that_is_seldom_used_hides_no_vital_sign_that_stopped() -> None:
    """The temperature stops, and one single oral one comes after it: it is as silent as without."""
    ward = learned()
    del ward.codes["temperature"], ward.alter["temperature"]
    ward.sets(1)
    ward.message(ward.at, "p1", [(("loinc", "8331-1"), 37.0, "Cel")])
    ward.sets(14 * 30)
    [told] = ward.of("code_silent")
    assert (told.code, told.feature) == ("loinc|8310-5", "temperature")


def test_a_code_that_was_replaced_long_ago_makes_no_silence() -> None:
    """8310-5 gave way to 8331-1, which comes seldom: nights without it are no news of 8310-5."""
    ward = learned()
    del ward.codes["temperature"], ward.alter["temperature"]
    for _ in range(8):
        ward.message(ward.at, "p1", [(("loinc", "8331-1"), 37.0 + ward.count % 7 / 10, "Cel")])
        ward.sets(13 * 30)
    assert len(ward.of("code_silent")) == 1  # while 8310-5 was of the last twelve hours
