"""The monitors heard through the real pipeline's own interface: joined with what became, by group."""

from __future__ import annotations

import msgspec
import numpy as np

from events import MILLIS_PER_HOUR, Admission, Demographics, Discharge, Envelope, Location, Outcome
from models.inputs import LEARNING_INPUTS
from stream.facts import Facts
from stream.model_monitors import ModelMonitors
from stream.monitored import MonitoredState, MonitoredVersion
from stream.outcomes import OutcomeDefinition

NAMES = LEARNING_INPUTS.names
VERSION = "4f1c02aa91be"
DEATHS = OutcomeDefinition(kinds=("death",))


def made():
    groups = Facts()
    return MonitoredVersion(DEATHS, ModelMonitors(NAMES, facts=groups, thresholds=lambda _: 0.05), groups)


def row(age=50.0):
    vector = [float("nan")] * len(NAMES)
    vector[NAMES.index("age_years")] = age
    vector[NAMES.index("heart_rate.last")] = 80.0
    return vector


def live(monitored, patients, seed=0, first=0, rate=0.3, said=0.02, version=VERSION):
    """Patients who are scored at 0, 6 and 12 h, of whom some die at 13 h."""
    generator = np.random.default_rng(seed)
    for number in range(patients):
        patient = f"{first}/{number}"
        at = (first + number) * MILLIS_PER_HOUR
        sex = "female" if number % 2 else "male"
        told = (Admission(at, Location("W1")), Demographics(at, sex=sex))
        monitored.happened(Envelope(f"a{patient}", patient, at, at, told))
        monitored.scored(patient, at, row(), said, version)
        if generator.random() < rate:
            died = at + 5 * MILLIS_PER_HOUR
            monitored.happened(Envelope(f"d{patient}", patient, died, died, (Outcome(died, "death"),)))
    return monitored


def test_what_was_said_is_held_against_what_became():
    """A risk of 2 % of whom a third die demotes the version, and the figures count all whose time has passed."""
    monitored = live(made(), 200)
    monitored.advance(400 * MILLIS_PER_HOUR)
    assert monitored.monitors.label_figures().rows == 200
    found = {(one.monitor, one.response) for one in monitored.monitors.findings()}
    assert ("calibration", "demote") in found


def test_groups_are_those_at_the_score_s_time_also_after_he_left():
    """Whoever is discharged before his label is known is still counted where he was."""
    monitored = made()
    live(monitored, 60, rate=0.0)
    for number in range(60):
        at = (60 + number) * MILLIS_PER_HOUR
        monitored.happened(Envelope(f"x{number}", f"0/{number}", at, at, (Discharge(at),)))
    monitored.advance(400 * MILLIS_PER_HOUR)
    counted = {(one.attribute, one.group): one.rows for one in monitored.monitors.subgroups()}
    assert counted["sex", "female"] + counted["sex", "male"] == monitored.monitors.label_figures().rows
    assert ("age", "45-64") in counted
    assert ("ward", "W1") in counted


def test_labels_of_a_former_version_are_not_the_new_one_s():
    """However many promotions there were meanwhile."""
    monitored = made()
    for number in range(70):
        monitored.scored(f"p{number}", number, row(), 0.5, f"{number:012x}")
    monitored.scored("q", 1_000, row(), 0.5, VERSION)
    monitored.advance(14 * MILLIS_PER_HOUR)
    assert monitored.monitors.label_figures().rows == 1


def test_a_risk_that_rises_to_the_threshold_is_an_alert():
    """Each time anew, but for one patient once in four hours; where the host tells alerts, none is made up."""
    monitored = made()
    for hour, said in enumerate((0.01, 0.06, 0.07, 0.01, 0.08, 0.01, 0.09)):
        monitored.scored("p", hour * MILLIS_PER_HOUR, row(), said, VERSION)
    monitored.scored("p", 7 * MILLIS_PER_HOUR, row(), None, VERSION)
    counted = {one.group: one for one in monitored.monitors.subgroups() if one.attribute == "age"}
    assert set(counted) == {"45-64"}
    assert sum(monitored.monitors.state().alerts.reference_alerts) == 2
    groups = Facts()
    told = MonitoredVersion(DEATHS, ModelMonitors(NAMES, thresholds=lambda _: 0.05), groups, alerts_by_threshold=False)
    told.scored("p", 0, row(), 0.5, VERSION)
    told.advance(2 * MILLIS_PER_HOUR)
    assert sum(told.monitors.state().alerts.reference_alerts) == 0


def test_restored_goes_on_alike():
    """Through bytes and back: findings, figures and state."""
    one, other = made(), made()
    for step in range(4):
        for monitored in (one, other):
            live(monitored, 40, seed=step, first=50 * step)
        stored = msgspec.msgpack.encode(other.state())
        other = made()
        other.restore(msgspec.msgpack.decode(stored, type=MonitoredState))
    for monitored in (one, other):
        monitored.advance(400 * MILLIS_PER_HOUR)
    assert one.monitors.findings() == other.monitors.findings() != ()
    assert one.monitors.subgroups() == other.monitors.subgroups()
    assert msgspec.msgpack.encode(one.state()) == msgspec.msgpack.encode(other.state())
