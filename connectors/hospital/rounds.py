"""When a ward looks at a patient, and how much later it writes down what it saw.

Owns intervals and delays. Must not know what is measured.
"""

from __future__ import annotations

import math
from random import Random

from connectors.hospital.noise import BITS, NORMAL
from connectors.hospital.wards import CRITICAL_CARE_WARD
from events import MILLIS_PER_HOUR, MILLIS_PER_MINUTE, MILLIS_PER_SECOND, Millis

DELAY_LOWER_QUARTILE_MIN, DELAY_MEDIAN_MIN, DELAY_UPPER_QUARTILE_MIN = 13.7, 41.97, 104.17
"""Metitiri and Perotte, Pediatr Crit Care Med 2023: 13:42, 41:58 and 1:44:10."""
_QUARTILE_OF_NORMAL = 0.674489750196082
_SIGMA_BELOW = math.log(DELAY_MEDIAN_MIN / DELAY_LOWER_QUARTILE_MIN) / _QUARTILE_OF_NORMAL
_SIGMA_ABOVE = math.log(DELAY_UPPER_QUARTILE_MIN / DELAY_MEDIAN_MIN) / _QUARTILE_OF_NORMAL
"""Of two halves of lognormal laws that meet in the median and have these quartiles."""
_DELAY_MU = math.log(DELAY_MEDIAN_MIN)
DELAY_MAX_MIN = 12 * 60.0
"""Nothing is charted later than its shift."""
BATCH_FROM, BATCH_SHARE = 1.0, 0.25
"""Of the latest sixth of rounds, these wait for the end of the shift, to be charted together."""
SHIFT_ENDS_H = (7, 19)
MONITOR_DELAY_MS = 1 * MILLIS_PER_MINUTE
"""In critical care the monitor files by itself."""

URGENT_FROM, EMERGENCY_FROM = 5, 7
"""RCP NEWS2 2017, chart 4: from 5, or with one parameter red, hourly; from 7 without a pause."""
ROUTINE_HOURS = (5.5, 12.2)
"""NEWS2 0: at least 12-hourly; wards come by two or three times a day."""
WATCHED_HOURS = (4.0, 6.2)
"""NEWS2 1 to 4: at least 4- to 6-hourly."""
HOURLY_MEDIAN_H, HOURLY_SIGMA = 1.17, 0.38
"""The hour is often overrun: of patients of high acuity a median of 44 % of observations a day were late or missed
(Redfern et al., BMJ Open 2019), late meaning overdue by a third of the interval."""
EMERGENCY_FACTOR = 0.78
"""Round the bed of a NEWS2 of 7 somebody stands, but charts no more than every 47 min or so."""
HOURLY_MIN_H = 0.25
CRITICAL_CARE_HOURS = 1.0


def next_round(random: Random, ward: str, total: int, *, red: bool) -> Millis:
    """Draw how long until the next round, in milliseconds, after a NEWS2 of `total`, by the RCP's response."""
    if ward == CRITICAL_CARE_WARD:
        hours = CRITICAL_CARE_HOURS
    elif red or total >= URGENT_FROM:
        hours = HOURLY_MEDIAN_H * math.exp(HOURLY_SIGMA * NORMAL[random.getrandbits(BITS)])
        if total >= EMERGENCY_FROM:
            hours *= EMERGENCY_FACTOR
        hours = max(HOURLY_MIN_H, hours)
    else:
        least, most = WATCHED_HOURS if total else ROUTINE_HOURS
        hours = least + (most - least) * random.random()
    return int(hours * 3600) * MILLIS_PER_SECOND


def draw_delay(random: Random, ward: str, at: Millis) -> Millis:
    """Draw how long after a round at `at` its values are charted, in whole seconds of milliseconds."""
    if ward == CRITICAL_CARE_WARD:
        return MONITOR_DELAY_MS
    normal = NORMAL[random.getrandbits(BITS)]
    if normal > BATCH_FROM and random.random() < BATCH_SHARE:
        hour = at / MILLIS_PER_HOUR % 24
        waits = min((end - hour) % 24 for end in SHIFT_ENDS_H)
        return int(waits * 3600 + random.uniform(60, 900)) * MILLIS_PER_SECOND
    sigma = _SIGMA_ABOVE if normal > 0 else _SIGMA_BELOW
    minutes = min(DELAY_MAX_MIN, math.exp(_DELAY_MU + sigma * normal))
    return int(minutes * 60) * MILLIS_PER_SECOND
