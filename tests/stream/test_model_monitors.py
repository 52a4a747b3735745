"""The monitors of the version in force: what they say of a stream, what is to be done, and that they go on alike."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from alerts.monitoring.signal import make_signal
from events import MILLIS_PER_HOUR, Envelope, Observation
from features.catalogue import default_catalogue
from models.change_control import MonitorFinding
from models.drift.inputs import InputLimits
from models.drift.summary import Reference, placements, summary_of
from stream.model_monitors import OWN_ROWS, ModelMonitors, MonitorLimits, MonitorsState

NAMES = ("heart_rate.last", "lactate.last", "age_years")
CHAMPION, CHALLENGER = "4f1c02aa91be", "0123456789ab"
PER_HOUR = 12


class Wards:
    """Every second patient is a woman."""

    def groups_of(self, patient, _at):
        """Give the patient's groups."""
        return (("sex", "female" if int(patient.rpartition("/")[2]) % 2 else "male"),)


def drawn(seed, count, *, pulse=80.0, odds=1.0):
    """Rows, the probabilities that the version gives them, and labels of `odds` times those."""
    generator = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            generator.normal(pulse, 12, count),
            np.where(generator.random(count) < 0.4, np.nan, generator.lognormal(0.5, 0.5, count)),
            generator.integers(18, 95, count),
        ]
    )
    said = 1 / (1 + np.exp(-generator.normal(-3.2, 1.2, count)))
    true = odds * said / (1 - said + odds * said)
    return rows, said, generator.random(count) < true


@pytest.fixture(scope="module")
def reference():
    rows, said, labels = drawn(0, 20_000)
    low, high = np.quantile(said, [0.5, 0.9])
    ranked = float(placements(said[labels], np.sort(said[~labels])).mean())
    inputs = summary_of(NAMES, rows[:4_000], np.arange(4_000))
    return Reference(inputs, float(labels.mean()), ranked, (float(low), float(high)))


def made(reference):
    return ModelMonitors(
        NAMES,
        {CHAMPION: reference}.get,
        thresholds=lambda _: 0.1,
        facts=Wards(),
        catalogue=default_catalogue(),
        limits=MonitorLimits(inputs=InputLimits(settling_ms=0)),
    )


def live(monitors, stream, *, first=0, flags=True, version=CHAMPION, prefix=""):
    """Let rows come, an alert of each at the threshold, and each label 13 hours later."""
    rows, said, labels = stream
    for number, row in enumerate(rows):
        at = (first + number // PER_HOUR) * MILLIS_PER_HOUR + number % PER_HOUR
        patient = f"{prefix}{first}/{number}"
        monitors.scored(patient, at, list(row), float(said[number]), version)
        if flags and said[number] >= 0.1:
            monitors.alerted(patient, at)
        past = number - 13 * PER_HOUR
        if past >= 0:
            then = (first + past // PER_HOUR) * MILLIS_PER_HOUR + past % PER_HOUR
            known = f"{prefix}{first}/{past}"
            monitors.matured(known, then, float(said[past]), version, at, label=bool(labels[past]))
    return monitors


def named(monitors):
    return {(one.monitor, one.figures["subject"], one.response) for one in monitors.findings()}


def test_what_is_as_it_was_asks_for_nothing(reference):
    """Two weeks of the reference's own law, its labels and its alerts: no finding at all."""
    assert live(made(reference), drawn(1, 14 * 24 * PER_HOUR)).findings() == ()


def test_an_input_that_moved_is_annotated_and_holds_nothing(reference):
    """By the window and at once, with figures that are plain numbers; its instant is not the question's."""
    monitors = live(made(reference), drawn(1, 72 * PER_HOUR, pulse=92.0))
    assert named(monitors) == {
        ("input_values", "heart_rate.last|step", "annotate"),
        ("input_values", "heart_rate.last", "annotate"),
    }
    before = monitors.findings()
    assert before == monitors.findings()
    assert all(isinstance(one, MonitorFinding) and one.version == CHAMPION for one in before)


def test_probabilities_that_are_far_too_low_demote(reference):
    """Outcomes at four times the odds: calibration is a demotion, the label rate holds promotions."""
    found = named(live(made(reference), drawn(2, 7 * 24 * PER_HOUR, odds=4.0)))
    assert ("calibration", "all", "demote") in found
    assert ("label_rate", "all", "hold_promotion") in found


def test_another_version_is_not_judged_by_what_was_said_of_the_former(reference):
    """With a promotion all monitors of the version begin anew; late labels of the former one are not its own."""
    monitors = live(made(reference), drawn(2, 7 * 24 * PER_HOUR, odds=4.0))
    assert monitors.findings()
    live(monitors, drawn(3, 24), first=200, version=CHALLENGER)
    assert monitors.findings() == ()
    monitors.matured("0/1", 0, 0.5, CHAMPION, 300 * MILLIS_PER_HOUR, label=True)
    assert monitors.label_figures().rows == 0


def test_positives_wait_for_the_negatives_of_their_time(reference):
    """Known at once, counted when their window has passed: the first hours of a stream are no flood of outcomes."""
    monitors = made(reference)
    monitors.scored("0/1", 0, [80.0, 1.0, 50.0], 0.1, CHAMPION)
    monitors.matured("0/1", 0, 0.1, CHAMPION, MILLIS_PER_HOUR, label=True)
    monitors.advance(12 * MILLIS_PER_HOUR)
    assert monitors.label_figures().rows == 0
    monitors.advance(13 * MILLIS_PER_HOUR)
    assert monitors.label_figures().positives == 1


def test_labels_of_one_patient_count_once_in_a_horizon(reference):
    """Two days of a patient's hourly rows, whose labels come half a day later, are four."""
    monitors = made(reference)
    for hour in range(72):
        monitors.scored("0/1", hour * MILLIS_PER_HOUR, [80.0, 1.0, 50.0], 0.1, CHAMPION)
        if 13 <= hour < 61:
            then = (hour - 13) * MILLIS_PER_HOUR
            monitors.matured("0/1", then, 0.1, CHAMPION, hour * MILLIS_PER_HOUR, label=False)
    assert monitors.label_figures().rows == 4


def test_a_version_without_a_reference_makes_its_own(reference):
    """What it meets first is held against what it meets then."""
    monitors = made(None)
    live(monitors, drawn(4, OWN_ROWS + PER_HOUR))
    assert monitors.findings() == ()
    live(monitors, drawn(5, 72 * PER_HOUR, pulse=92.0), first=100)
    assert ("input_values", "heart_rate.last", "annotate") in named(monitors)


def test_what_issue_6_says_of_upstream_is_heard_and_ends(reference):
    """Of a feature that the rows are made of it holds promotions, of another it is annotated."""
    monitors = live(made(reference), drawn(6, 24))
    raised = make_signal("unit_changed", "feed|LAB|lactate", "raised", 1, 60_000, 0, 0, feed="LAB", feature="lactate")
    other = make_signal("unit_changed", "feed|LAB|crp", "raised", 1, 60_000, 0, 0, feed="LAB", feature="crp")
    silent = make_signal("feed_silent", "feed|LAB", "raised", 1, 60_000, 0, 0, feed="LAB")
    for signal in (raised, other, silent):
        monitors.signalled(signal)
    assert named(monitors) == {
        ("upstream", "unit_changed|feed|LAB|lactate", "hold_promotion"),
        ("upstream", "unit_changed|feed|LAB|crp", "annotate"),
    }
    monitors.signalled(msgspec.structs.replace(raised, state="cleared"))
    monitors.signalled(msgspec.structs.replace(other, state="cleared"))
    assert monitors.findings() == ()


def test_values_are_read_by_feed_in_the_feature_s_own_unit(reference):
    """Lactate in mg/dL of one feed and in mmol/L of another are the same values."""
    monitors = made(reference)
    for number in range(1_500):
        value = 1.0 + number % 7 / 4
        for feed, unit, factor in (("A", "mmol/L", 1.0), ("B", "mg/dL", 9.008)):
            seen = Observation(
                event_time=number * 300_000, observation_id=number, codings=(("loinc", "2524-7"),),
                value=value * factor * (1.0 if number < 800 or feed == "A" else 2.0), unit=unit,
            )  # fmt: skip
            at = number * 300_000
            monitors.happened(Envelope(f"{feed}{number}", f"0/{number}", at, at, (seen,), feed=feed))
    monitors.advance(1_600 * 300_000)
    assert {one.figures["subject"].split("|")[0] for one in monitors.findings()} == {"B"}


def test_a_group_that_is_missed_holds_promotions(reference):
    """Women's probabilities are halved in odds below the threshold: their outcomes are not seen."""
    rows, said, labels = drawn(7, 14 * 24 * PER_HOUR)
    said = np.where(np.arange(len(said)) % 2 == 1, np.minimum(said, 0.08), said)
    monitors = live(made(reference), (rows, said, labels))
    assert ("subgroup_gap", "sex|female|sensitivity", "hold_promotion") in named(monitors)
    assert {gap.group for gap in monitors.gaps() if gap.measure == "sensitivity"} == {"female"}
    assert {one.group for one in monitors.subgroups()} == {"female", "male"}


def test_restored_at_any_place_it_goes_on_alike(reference):
    """Through bytes and back: the same findings, figures and state."""
    one, other = made(reference), made(reference)
    for step, (pulse, odds) in enumerate(((80.0, 1.0), (80.0, 1.0), (95.0, 3.0), (95.0, 3.0), (80.0, 1.0))):
        for monitors in (one, other):
            live(monitors, drawn(step, 30 * PER_HOUR, pulse=pulse, odds=odds), first=30 * step)
        stored = msgspec.msgpack.encode(other.state())
        other = made(reference)
        other.restore(msgspec.msgpack.decode(stored, type=MonitorsState))
        assert one.findings() == other.findings()
    assert one.findings() != ()
    assert msgspec.msgpack.encode(one.state()) == msgspec.msgpack.encode(other.state())


def test_a_stream_without_a_version_is_not_watched():
    """NEWS2 alone has no monitors here."""
    monitors = ModelMonitors(NAMES)
    monitors.scored("p", 0, [200.0, 9.0, 90.0])
    assert monitors.findings() == ()
    assert monitors.state().own_rows == ()
