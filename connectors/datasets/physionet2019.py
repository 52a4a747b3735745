"""PhysioNet/CinC Challenge 2019 (Reyna et al., Crit Care Med 2020): hourly ICU rows with a sepsis label.

Owns its columns, units and label. Must not know how the rows are stored (see `archive`) or scored.

- One pipe-separated file a stay, one row an hour: a row becomes one message; `NaN` and empty cells are not charted.
- Units are US conventional, as charted. The challenge's page calls FiO2 `%` and lactate `mg/dL`; the values are
  fractions and mmol/L, and are sent as such. A FiO2 of 50 among them is sent as charted and left to be quarantined.
- Age becomes a birth year, so the age is known within a year.
- SepsisLabel is 1 from six hours before onset: the onset is the first such row plus 6 h. It is told at the row of the
  onset, or at the last row where the stay ends before it.
- SaO2 is of a blood gas, and never stands in for a pulse oximeter's O2Sat: it is sent as 2713-6. A row with nothing
  charted is no message.
- The set has no consciousness; a NEWS2 from it is partial.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from connectors.datasets.archive import Progress, read_files
from connectors.datasets.stays import Item, Sex, StayChart, merge_stays, schedule_start
from connectors.decoded import Decoded, Refusal, RefusalReason
from events import MILLIS_PER_HOUR, Coding, Event, Millis, Observation, Outcome, from_iso

FEED = "physionet2019"
EPOCH: Millis = from_iso("2019-01-01T00:00:00Z")
"""The first stay's first row. The set gives no dates; any would do, this one is its challenge's year."""
ONSET_AFTER_LABEL_MS = 6 * MILLIS_PER_HOUR

COLUMNS: dict[str, tuple[tuple[Coding, ...], str]] = {
    "HR": ((("loinc", "8867-4"),), "/min"),
    "O2Sat": ((("loinc", "59408-5"),), "%"),
    "Temp": ((("loinc", "8310-5"),), "Cel"),
    "SBP": ((("loinc", "8480-6"),), "mm[Hg]"),
    "MAP": ((("loinc", "8478-0"),), "mm[Hg]"),
    "DBP": ((("loinc", "8462-4"),), "mm[Hg]"),
    "Resp": ((("loinc", "9279-1"),), "/min"),
    "EtCO2": ((("loinc", "19891-1"),), "mm[Hg]"),
    "BaseExcess": ((("loinc", "1925-7"),), "mmol/L"),
    "HCO3": ((("loinc", "1963-8"),), "mmol/L"),
    "FiO2": ((("loinc", "3150-6"),), "1"),
    "pH": ((("loinc", "2744-1"),), "[pH]"),
    "PaCO2": ((("loinc", "2019-8"),), "mm[Hg]"),
    "SaO2": ((("loinc", "2713-6"),), "%"),
    "AST": ((("loinc", "1920-8"),), "[IU]/L"),
    "BUN": ((("loinc", "3094-0"),), "mg/dL"),
    "Alkalinephos": ((("loinc", "6768-6"),), "[IU]/L"),
    "Calcium": ((("loinc", "17861-6"),), "mg/dL"),
    "Chloride": ((("loinc", "2075-0"),), "mmol/L"),
    "Creatinine": ((("loinc", "2160-0"),), "mg/dL"),
    "Bilirubin_direct": ((("loinc", "1968-7"),), "mg/dL"),
    "Glucose": ((("loinc", "2345-7"),), "mg/dL"),
    "Lactate": ((("loinc", "2524-7"),), "mmol/L"),
    "Magnesium": ((("loinc", "19123-9"),), "mg/dL"),
    "Phosphate": ((("loinc", "2777-1"),), "mg/dL"),
    "Potassium": ((("loinc", "2823-3"),), "mmol/L"),
    "Bilirubin_total": ((("loinc", "1975-2"),), "mg/dL"),
    "TroponinI": ((("loinc", "10839-9"),), "ng/mL"),
    "Hct": ((("loinc", "4544-3"),), "%"),
    "Hgb": ((("loinc", "718-7"),), "g/dL"),
    "PTT": ((("loinc", "14979-9"),), "s"),
    "WBC": ((("loinc", "6690-2"),), "10*3/uL"),
    "Fibrinogen": ((("loinc", "3255-7"),), "mg/dL"),
    "Platelets": ((("loinc", "777-3"),), "10*3/uL"),
}
"""Column: (codings, UCUM unit as charted). In the order of the file."""

HEADER = (*COLUMNS, "Age", "Gender", "Unit1", "Unit2", "HospAdmTime", "ICULOS", "SepsisLabel")

_FILE = re.compile(r"p\d+\.psv")
_SEXES: dict[str, Sex] = {"0": "female", "1": "male"}
_SPECS = tuple((place, codings, unit) for place, (codings, unit) in enumerate(COLUMNS.values()))
_AGE, _GENDER, _UNIT1, _UNIT2, _ICULOS, _LABEL = (
    HEADER.index(name) for name in ("Age", "Gender", "Unit1", "Unit2", "ICULOS", "SepsisLabel")
)
ROWS_MAX = 4_096
"""A longer stay is refused: the longest of the set is 336 rows, and ids have room for so many (6 bits of column)."""


def read(path: Path, every: int = 1, progress: Progress | None = None) -> Iterator[Decoded | Refusal]:
    """Read the set at `path` (folder, archive, or folder of the archive) as messages in order of time.

    `every` n keeps each n-th stay by name (1 keeps all), at the times they have in the whole. A stay file that is not
    as described gives a `Refusal` in its place; `DatasetError` is raised where there is no such set.
    """
    return merge_stays(read_stays(path, every, progress))


def read_stays(path: Path, every: int = 1, progress: Progress | None = None) -> Iterator[list[Item]]:
    """Read each stay's messages, in order of time, stays in order of their files' names."""
    for index, (name, data) in enumerate(read_files(path, _FILE, progress)):
        if index % every == 0:
            yield parse_stay(name.removesuffix(".psv"), data, schedule_start(EPOCH, index))


def parse_stay(stay: str, data: bytes, start: Millis) -> list[Item]:
    r"""Parse one file into its messages: admission, rows, outcome, discharge. `start` is the time of its first row.

    >>> row = "|".join(["97"] + ["NaN"] * 33 + ["83.14", "0", "NaN", "NaN", "-0.03", "1", "0"])
    >>> [item.message_id for _, item in parse_stay("p1", ("|".join(HEADER) + "\n" + row).encode(), EPOCH)]
    ['p1#admission', 'p1#1', 'p1#discharge']
    """
    lines = data.decode("ascii", "replace").split()
    if not lines or tuple(lines[0].split("|")) != HEADER or not 2 <= len(lines) <= ROWS_MAX:
        detail = f"not the header of the 2019 set, no rows, or more than {ROWS_MAX} of them"
        return [(start, Refusal(RefusalReason.GARBAGE, f"{stay}#1", detail, stay, FEED, start))]
    chart = StayChart(FEED, stay)
    first_cells = lines[1].split("|")
    first_hour = _hour(first_cells, 1)
    items = [_admit(chart, first_cells, start)]
    onset: Millis | None = None
    told = False
    time = start
    for number, line in enumerate(lines[1:], 1):
        cells = line.split("|")
        time = start + (_hour(cells, first_hour + number - 1) - first_hour) * MILLIS_PER_HOUR
        item = _row(chart, number, line, time)
        if item is not None:
            items.append(item)
        if onset is None and cells[-1] == "1":
            onset = time + ONSET_AFTER_LABEL_MS
        if onset is not None and time >= onset and not told:
            items.append(_outcome(chart, onset, time))
            told = True
    if onset is not None and not told:
        items.append(_outcome(chart, onset, time))
    items.append(chart.discharge(time + MILLIS_PER_HOUR))
    items.sort(key=lambda item: item[0])
    return items


def _hour(cells: list[str], otherwise: int) -> int:
    """ICULOS, the hours in the ICU; the next hour in turn where the row does not say."""
    hour = cells[_ICULOS] if len(cells) == len(HEADER) else ""
    return int(hour) if hour.isdigit() and len(hour) <= 5 else otherwise


def _admit(chart: StayChart, cells: list[str], start: Millis) -> Item:
    if len(cells) != len(HEADER):
        return chart.admit(start, "ICU", None, None)
    ward = "MICU" if cells[_UNIT1] == "1" else "SICU" if cells[_UNIT2] == "1" else "ICU"
    age = cells[_AGE].split(".")[0]
    birth_date = str(2019 - int(age)) if age.isdigit() and len(age) <= 3 else None
    return chart.admit(start, ward, birth_date, _SEXES.get(cells[_GENDER]))


def _row(chart: StayChart, number: int, line: str, time: Millis) -> Item | None:
    observations: list[Event] = []
    cells = line.split("|")
    first_id = chart.first_id + (number << 6)
    fault = "" if len(cells) == len(HEADER) else f"{len(cells)} cells, not {len(HEADER)}"
    for (place, codings, unit), cell in zip(_SPECS, cells, strict=False):
        if cell not in ("NaN", ""):
            try:
                value = float(cell)
            except ValueError:
                value = float("nan")
            # NaN and the infinities, and nothing else, differ from themselves less themselves.
            if value - value != 0.0:
                fault = f"column {place + 1} is not a finite number"
            observations.append(Observation(first_id + place, codings, value, unit, time))
    if fault:
        position = f"{chart.stay}#{number}"
        return time, Refusal(RefusalReason.INVALID_VALUE, position, fault, position, FEED, time)
    return chart.write(str(number), "row", time, tuple(observations), line) if observations else None


def _outcome(chart: StayChart, onset: Millis, told_at: Millis) -> Item:
    return chart.write("outcome", "outcome", told_at, (Outcome(onset, "sepsis"),))
