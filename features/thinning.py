"""A device's readings, thinned: a monitor that tells a number each second must not crowd out what a nurse charted.

Owns which readings are a device's, and what of them is kept. Must not know codes' features or units, nor alerts.

**Whose a reading is** goes by how it is coded: a device's where its first coding is of IEEE 11073-10101 (`mdc`), or its
method says that it was measured, set or computed by the device (`AMEAS`, `ASET`, `ACALC`), or it names a DeviceMetric;
a person's where the method says so (`MMEAS`, `MSET`, `MCALC`: IHE PCD TF-2, OBX-17), and everywhere else.

**What is kept** of one feature's device readings in each quarter of an hour of event time, the quarters beginning on
the hour: those of its newest time (of several devices the lowest and the highest), the lowest, and the highest. So the
newest value, the smallest and the greatest of any stretch of whole quarters are those of all readings, and a short
desaturation is not lost; counts, means and slopes are of what is kept. A person's entry is never thinned. What is kept
is a function of which readings came, not of their order, nor of how often each came, as long as they come before their
quarter has left `Series.raw` (four hours and more).

A device's reading is kept in `Series` under `~id`, which is negative: no word more a reading, and its mark goes
wherever the reading goes. `public_id` gives the id back.
"""

from __future__ import annotations

from typing import Literal

from events import Coding
from features.series import Mark, Put, Series, W

QUARTER_MS = 15 * 60_000
"""At the most four readings in it: the 64 that are held in full are then four hours, where seconds were one minute.
Wards that take numbers from monitors into the chart take one in 15 to 60 minutes."""
MANUAL_METHODS = frozenset({"MMEAS", "MSET", "MCALC"})
AUTOMATIC_METHODS = frozenset({"AMEAS", "ASET", "ACALC"})
Thinned = Literal["", "kept", "gone"]
"""Nothing was let go; others were for this one, which is kept; this one was."""
DEVICE_METRIC: Coding = ("fhir", "DeviceMetric")
"""How the FHIR codec says that an Observation refers to a DeviceMetric."""


def is_device_reading(codings: tuple[Coding, ...], qualifiers: tuple[Coding, ...]) -> bool:
    """Say whether a reading is a device's own, by its codings (best first) and qualifiers.

    >>> is_device_reading((("mdc", "150456"), ("loinc", "59408-5")), ()), is_device_reading((("loinc", "59408-5"),), ())
    (True, False)
    >>> is_device_reading((("mdc", "150456"),), (("mdc", "MMEAS"),))
    False
    """
    methods = {code for _, code in qualifiers}
    if methods & MANUAL_METHODS:
        return False
    return codings[0][0] == "mdc" or bool(methods & AUTOMATIC_METHODS) or DEVICE_METRIC in qualifiers


def public_id(identity: int) -> int:
    """Give the observation id of an entry of a series.

    >>> public_id(7), public_id(~7)
    (7, 7)
    """
    return identity if identity >= 0 else ~identity


def held_as(series: Series | None, identity: int, *, device: bool) -> int:
    """Give the key a result stands under, or would: a change of a device's result need not repeat whose it was.

    >>> series = Series()
    >>> series.put(0, 1, ~7), held_as(series, 7, device=False), held_as(series, 8, device=False)
    (<Put.STORED: 0>, -8, 8)
    """
    own = ~identity if device else identity
    return ~own if series is not None and series.holds(~own) and not series.holds(own) else own


def put_thinned(series: Series, event_time: int, value: int, identity: int) -> tuple[Put, Thinned]:
    """Put a device's reading (`identity` negative) where it belongs; say whether it, or others for it, were let go.

    >>> series = Series()
    >>> [put_thinned(series, second * 1_000, value, ~second)[1] for second, value in enumerate((97, 84, 96, 95))]
    ['', '', '', 'kept']
    >>> series.raw[1::3].tolist(), put_thinned(series, 500, 90, ~9)[1]
    ([97, 84, 95], 'gone')
    """
    if identity in series.raw[2::W]:  # the same result once more: a duplicate, or an update that moves it
        return series.put(event_time, value, identity), ""
    begin = event_time - event_time % QUARTER_MS
    rivals = _devices(series, begin)
    if not rivals:
        return series.put(event_time, value, identity), ""
    kept = {one for _, _, one in _kept([*rivals, (event_time, value, identity)])}
    if identity not in kept:
        return Put.STORED, "gone"
    gone = {one for _, _, one in rivals} - kept
    if not gone:
        return series.put(event_time, value, identity), ""
    _drop(series, begin, gone)
    return series.put(event_time, value, identity), "kept"


def thin(series: Series) -> None:
    """Thin what two series were joined to (a merge)."""
    raw = series.raw
    begins = {raw[at] - raw[at] % QUARTER_MS for at in range(0, len(raw), W) if raw[at + 2] < 0}
    for begin in sorted(begins):
        rivals = _devices(series, begin)
        kept = {one for _, _, one in _kept(rivals)}
        if gone := {one for _, _, one in rivals} - kept:
            _drop(series, begin, gone)


def _devices(series: Series, begin: int) -> list[Mark]:
    """Give a quarter's device readings, the newest first."""
    raw, end = series.raw, begin + QUARTER_MS
    found: list[Mark] = []
    at = len(raw) - W
    while at >= 0 and raw[at] >= begin:
        if raw[at] < end and raw[at + 2] < 0:
            found.append((raw[at], raw[at + 1], raw[at + 2]))
        at -= W
    return found


def _kept(readings: list[Mark]) -> list[Mark]:
    """Give what is kept of a quarter's readings: of any more that come, it is as if all of them were still there."""
    newest = max(time for time, _, _ in readings)
    last = [one for one in readings if one[0] == newest]
    if len(last) == 1:
        return [min(readings, key=_by_value), max(readings, key=_by_value), *last]
    return [pick(some, key=_by_value) for some in (readings, last) for pick in (min, max)]


def _by_value(mark: Mark) -> Mark:
    return mark[1], mark[0], mark[2]


def _drop(series: Series, begin: int, gone: set[int]) -> None:
    raw = series.raw
    series.carried = None
    at = len(raw) - W
    while at >= 0 and raw[at] >= begin:
        if raw[at + 2] in gone:
            del raw[at : at + W]
        at -= W
