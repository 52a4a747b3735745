"""What is a device's own in an ORU: rows without a value, and values that the device itself does not vouch for.

Owns the tables of IHE PCD-01 (Devices Technical Framework, volume 2, appendix B.8: OBX): containment in OBX-4 and
measurement status in OBX-8. Must not know features, nor what follows from a value that does not count. All else of
PCD-01 is an ORU like any other: codes and units of MDC, OBX-4 as a part of a result's identity, OBX-11 R as
preliminary.

A device that says its number is not to be trusted is believed, and seen: the value is no value, and the fold
quarantines what was said of it, so that neither the number counts nor an older one passes for the newest. A number of
a device in test or demo mode is no patient's at all.
"""

from __future__ import annotations

import re

import msgspec

from events import Coding, Observation
from events.clinical import UNRELIABLE, ObservationStatus, disclaimed_text

UNRELIABLE_FLAGS = frozenset({"INV", "QUES", "CALIB"})
"""OBX-8: invalid, questionable, calibration ongoing. IEEE 11073-10201's MeasurementStatus."""
ABSENT_FLAGS = {"NAV": "not-available", "OFF": "not-available", "TEST": "test-data", "DEMO": "demo-data"}
"""OBX-8: not available, sensor off; of a simulator, and of nobody."""
DISCLAIMING_FLAGS = UNRELIABLE_FLAGS | ABSENT_FLAGS.keys()
OF_A_DEVICE: tuple[Coding, ...] = (("mdc", "AMEAS"),)
"""The method (OBX-17) that the results of a route of devices have: measured by the device itself."""
NOT_AVAILABLE: tuple[ObservationStatus, str] = ("final", "")
"""OBX-11 X of a device without a value: it measures nothing at this second. Nothing earlier is taken back."""

_DEVICE_ROW = re.compile(r"(\d+\.){2,}0")


def is_devices(codings: tuple[Coding, ...]) -> bool:
    """Say whether an OBX is coded as devices do (OBX-3.3 is MDC).

    >>> is_devices((("mdc", "150456"),)), is_devices((("loinc", "59408-5"),))
    (True, False)
    """
    return codings[0][0] == "mdc"


def is_device_row(containment: str) -> bool:
    """Say whether OBX-4 (MDS.VMD.channel.metric) names the device itself, or a part, and no metric of it.

    >>> [is_device_row(one) for one in ("1.0.0.0", "1.2.1.0", "1.3.1.150456", "1", "")]
    [True, True, False, False, False]
    """
    return _DEVICE_ROW.fullmatch(containment) is not None


def as_vouched_for(observation: Observation, notes: list[str]) -> Observation:
    """Take the value out of a result whose flags (OBX-8) say that it does not count.

    >>> notes = []
    >>> told = Observation(1, (("mdc", "150456"),), 77.0, "%", 0, interpretation=("L", "INV"))
    >>> found = as_vouched_for(told, notes)
    >>> found.value, found.text, found.absent_reason, notes
    (None, '77', 'unreliable', ['obx8_unreliable'])
    """
    if DISCLAIMING_FLAGS.isdisjoint(observation.interpretation):  # nearly all there is: H, L, N
        return observation
    for flag in observation.interpretation:
        if (reason := ABSENT_FLAGS.get(flag)) is not None:
            notes.append("obx8_not_available" if reason == "not-available" else "obx8_no_patients")
            return msgspec.structs.replace(
                observation, value=None, comparator="", answers=(), text="", absent_reason=reason
            )
    notes.append("obx8_unreliable")
    said = disclaimed_text(observation.comparator, observation.value, observation.text)
    return msgspec.structs.replace(
        observation, value=None, comparator="", answers=(), text=said, absent_reason=UNRELIABLE
    )
