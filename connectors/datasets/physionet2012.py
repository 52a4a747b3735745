"""PhysioNet/CinC Challenge 2012 (Silva et al., Comput Cardiol 2012): the first 48 h of ICU stays, to the minute.

Owns its parameters, units and outcome. Must not know how the rows are stored (see `archive`) or scored.

- Lines are `HH:MM,Parameter,Value`. All lines of one minute become one message; -1 is the set's word for missing.
- Where one thing is charted twice in one minute, the last line has the minute and each one before it stands a second
  earlier, in a message of its own: so every value keeps a time of its own and the order needs no tie-break. A cuff
  pressure counts as charted before an arterial one of the same minute, for the line measures continuously.
- The set's page says magnesium in mmol/L; its values (median 2.0) are mg/dL, and are sent as such.
- SaO2 is of a blood gas, and never stands in for a pulse oximeter's (the set has none): it is sent as 2713-6.
- Age becomes a birth year, so the age is known within a year. A patient is admitted one minute before the first line.
- The recording ends at 48 h, and there the stay is closed. An in-hospital death (`Outcomes-*.txt`) is told at the
  length of stay (whole days after ICU admission), and not before 48 h: a second closing message, deceased. Where the
  length is not given, at 48 h.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from connectors.datasets.archive import DatasetError, Progress, read_files
from connectors.datasets.stays import Item, Sex, StayChart, merge_stays, schedule_start
from connectors.decoded import Decoded, Refusal, RefusalReason
from events import (
    MILLIS_PER_HOUR,
    MILLIS_PER_MINUTE,
    MILLIS_PER_SECOND,
    Coding,
    Millis,
    Observation,
    from_iso,
)

FEED = "physionet2012"
EPOCH: Millis = from_iso("2012-01-01T00:00:00Z")
"""The first stay's first minute. The set gives no dates; any would do, this one is its challenge's year."""
RECORDING_MS = 48 * MILLIS_PER_HOUR
_MISSING = -1.0

PARAMETERS: dict[str, tuple[tuple[Coding, ...], str, str]] = {
    "HR": ((("loinc", "8867-4"),), "/min", "heart_rate"),
    "NISysABP": ((("loinc", "8480-6"),), "mm[Hg]", "systolic"),
    "NIDiasABP": ((("loinc", "8462-4"),), "mm[Hg]", "diastolic"),
    "NIMAP": ((("loinc", "8478-0"),), "mm[Hg]", "mean"),
    "SysABP": ((("loinc", "8480-6"),), "mm[Hg]", "systolic"),
    "DiasABP": ((("loinc", "8462-4"),), "mm[Hg]", "diastolic"),
    "MAP": ((("loinc", "8478-0"),), "mm[Hg]", "mean"),
    "RespRate": ((("loinc", "9279-1"),), "/min", "respiration"),
    "Temp": ((("loinc", "8310-5"),), "Cel", "temperature"),
    "GCS": ((("loinc", "9269-2"),), "{score}", "gcs"),
    "FiO2": ((("loinc", "3150-6"),), "1", "fio2"),
    "MechVent": (((FEED, "MechVent"),), "", "ventilation"),
    "pH": ((("loinc", "2744-1"),), "[pH]", "ph"),
    "PaCO2": ((("loinc", "2019-8"),), "mm[Hg]", "paco2"),
    "PaO2": ((("loinc", "2703-7"),), "mm[Hg]", "pao2"),
    "SaO2": ((("loinc", "2713-6"),), "%", "sao2"),
    "HCO3": ((("loinc", "1963-8"),), "mmol/L", "bicarbonate"),
    "Lactate": ((("loinc", "2524-7"),), "mmol/L", "lactate"),
    "WBC": ((("loinc", "6690-2"),), "10*3/uL", "white_cells"),
    "Platelets": ((("loinc", "777-3"),), "10*3/uL", "platelets"),
    "HCT": ((("loinc", "4544-3"),), "%", "haematocrit"),
    "Creatinine": ((("loinc", "2160-0"),), "mg/dL", "creatinine"),
    "BUN": ((("loinc", "3094-0"),), "mg/dL", "urea"),
    "Bilirubin": ((("loinc", "1975-2"),), "mg/dL", "bilirubin"),
    "Glucose": ((("loinc", "2345-7"),), "mg/dL", "glucose"),
    "Na": ((("loinc", "2951-2"),), "mmol/L", "sodium"),
    "K": ((("loinc", "2823-3"),), "mmol/L", "potassium"),
    "Mg": ((("loinc", "19123-9"),), "mg/dL", "magnesium"),
    "ALP": ((("loinc", "6768-6"),), "[IU]/L", "alp"),
    "ALT": ((("loinc", "1742-6"),), "[IU]/L", "alt"),
    "AST": ((("loinc", "1920-8"),), "[IU]/L", "ast"),
    "Albumin": ((("loinc", "1751-7"),), "g/dL", "albumin"),
    "Cholesterol": ((("loinc", "2093-3"),), "mg/dL", "cholesterol"),
    "TroponinI": ((("loinc", "10839-9"),), "ug/L", "troponin_i"),
    "TroponinT": ((("loinc", "6598-7"),), "ug/L", "troponin_t"),
    "Urine": ((("loinc", "9187-6"),), "mL", "urine"),
    "Weight": ((("loinc", "29463-7"),), "kg", "weight"),
    "Height": ((("loinc", "8302-2"),), "cm", "height"),
}
"""Parameter: (codings, UCUM unit as charted, what it measures). Two that measure the same thing never share an instant;
in one minute the one that stands later in this table has the minute."""

_RANK = {name: rank for rank, name in enumerate(PARAMETERS)}
_DESCRIPTORS = frozenset({"RecordID", "Age", "Gender", "ICUType"})
_SEXES: dict[float, Sex] = {0.0: "female", 1.0: "male"}
_WARDS = {1.0: "CCU", 2.0: "CSRU", 3.0: "MICU", 4.0: "SICU"}
_FILE = re.compile(r"\d+\.txt")
_OUTCOMES = re.compile(r"Outcomes-\w+\.txt")
_TIME = re.compile(r"(\d\d):([0-5]\d)")
LINES_MAX = 100_000
"""A longer file is refused: the longest of the set is below 2,000 lines, and ids have room for so many."""

Reading = tuple[str, float, int]
"""(parameter, value, line number)."""


def read(path: Path, every: int = 1, progress: Progress | None = None) -> Iterator[Decoded | Refusal]:
    """Read the set at `path` (folder, archive, or folder of the archive) as messages in order of time.

    `every` n keeps each n-th stay by name (1 keeps all), at the times they have in the whole. A line that is not as
    described gives a `Refusal` in its place; `DatasetError` is raised where there is no such set.
    """
    return merge_stays(read_stays(path, every, progress))


def read_stays(path: Path, every: int = 1, progress: Progress | None = None) -> Iterator[list[Item]]:
    """Read each stay's messages, in order of time, stays in order of their files' names.

    The outcomes are read first; without an outcomes file no death is told.
    """
    deaths = _read_outcomes(path)
    for index, (name, data) in enumerate(read_files(path, _FILE, progress)):
        if index % every == 0:
            stay = name.removesuffix(".txt")
            yield parse_stay(stay, data, schedule_start(EPOCH, index), deaths.get(stay))


def _read_outcomes(path: Path) -> dict[str, int]:
    """Give the length of stay, in days, of each stay that ended in death; empty without an outcomes file."""
    try:
        files = [data for _, data in read_files(path, _OUTCOMES)]
    except DatasetError:
        beside = sorted(path.parent.glob("Outcomes-*.txt")) if path.is_dir() else []
        files = [file.read_bytes() for file in beside]
    deaths: dict[str, int] = {}
    for data in files:
        header, *rows = [line.split(",") for line in data.decode("ascii", "replace").split()] or [[]]
        if not {"RecordID", "Length_of_stay", "In-hospital_death"} <= set(header):
            raise DatasetError(f"{path}: its Outcomes file has not the columns of the 2012 set")
        stay, days, died = (header.index(name) for name in ("RecordID", "Length_of_stay", "In-hospital_death"))
        deaths |= {row[stay]: int(row[days]) for row in rows if len(row) == len(header) and row[died] == "1"}
    return deaths


def parse_stay(stay: str, data: bytes, start: Millis, death_after_days: int | None = None) -> list[Item]:
    r"""Parse one file into its messages: admission, one for each instant, discharge. `start` is the file's 00:00.

    `death_after_days` is the length of a stay that ended in death (-1: not given), None for one that did not.

    >>> text = b"Time,Parameter,Value\n00:00,Age,54\n00:07,HR,73\n00:07,Height,-1\n00:07,HR,74"
    >>> [item.message_id for _, item in parse_stay("132539", text, EPOCH)]
    ['132539#admission', '132539#00:06:59', '132539#00:07', '132539#discharge']
    """
    lines = data.decode("ascii", "replace").split()
    if not lines or lines[0] != "Time,Parameter,Value" or len(lines) > LINES_MAX:
        detail = f"not the header of the 2012 set, or more than {LINES_MAX} lines"
        return [(start, Refusal(RefusalReason.GARBAGE, f"{stay}#1", detail, stay, FEED, start))]
    chart = StayChart(FEED, stay)
    descriptors: dict[str, float] = {}
    minutes: dict[int, dict[str, list[Reading]]] = {}
    refused: list[Item] = []
    for number, line in enumerate(lines[1:], 2):
        parsed = _parse_line(line)
        if isinstance(parsed, str):
            position = f"{stay}#line{number}"
            refused.append((start, Refusal(RefusalReason.INVALID_VALUE, position, parsed, position, FEED, start)))
            continue
        minute, name, value = parsed
        if name in _DESCRIPTORS:
            descriptors.setdefault(name, value)
        elif value != _MISSING:
            minutes.setdefault(minute, {}).setdefault(PARAMETERS[name][2], []).append((name, value, number))
    items = [_admit(chart, descriptors, start - MILLIS_PER_MINUTE), *refused]
    for instant, readings in sorted(_place(minutes).items()):
        items.append(_write(chart, start, instant, readings))
    end = start + RECORDING_MS
    if death_after_days is None or death_after_days > 2:
        items.append(chart.discharge(end))
    if death_after_days is not None:
        time = max(end, start + death_after_days * 24 * MILLIS_PER_HOUR)
        items.append(chart.discharge(time, deceased=True, name="death"))
    items.sort(key=lambda item: item[0])
    return items


def _parse_line(line: str) -> tuple[int, str, float] | str:
    """Give (minute, parameter, value), or the fault in words."""
    cells = line.split(",")
    clock = _TIME.fullmatch(cells[0])
    if len(cells) != 3 or clock is None:
        return "not `HH:MM,Parameter,Value`"
    if cells[1] not in PARAMETERS and cells[1] not in _DESCRIPTORS:
        return "a parameter that the 2012 set does not have"
    try:
        value = float(cells[2])
    except ValueError:
        return "its value is not a number"
    if value - value != 0.0:
        return "its value is not finite"
    return int(clock[1]) * 60 + int(clock[2]), cells[1], value


def _admit(chart: StayChart, descriptors: dict[str, float], time: Millis) -> Item:
    age = descriptors.get("Age", _MISSING)
    birth_date = str(2012 - int(age)) if 0 <= age < 150 else None
    ward = _WARDS.get(descriptors.get("ICUType", _MISSING), "ICU")
    return chart.admit(time, ward, birth_date, _SEXES.get(descriptors.get("Gender", _MISSING)))


def _place(minutes: dict[int, dict[str, list[Reading]]]) -> dict[int, list[Reading]]:
    """Give each reading its second after 00:00: of those that measure one thing in one minute, only the last has it."""
    instants: dict[int, list[Reading]] = {}
    for minute, measured in minutes.items():
        for readings in measured.values():
            if len(readings) > 1:
                readings.sort(key=lambda reading: (_RANK[reading[0]], reading[2]))
            for before, reading in enumerate(reversed(readings)):
                instants.setdefault(minute * 60 - before, []).append(reading)
    return instants


def _write(chart: StayChart, start: Millis, instant: int, readings: list[Reading]) -> Item:
    time = start + instant * MILLIS_PER_SECOND
    readings.sort(key=lambda reading: reading[2])
    observations = tuple(
        Observation(chart.first_id + number, PARAMETERS[name][0], value, PARAMETERS[name][1], time)
        for name, value, number in readings
    )
    minute, second = divmod(instant, 60)
    clock = f"{minute // 60:02d}:{minute % 60:02d}" + (f":{second:02d}" if second else "")
    content = "|".join(f"{name}={value!r}" for name, value, _ in readings)
    return chart.write(clock, "row", time, observations, content)
