"""How soon the monitors tell a drift that was put in, and how often they tell one that was not.

    .venv/bin/python benchmarks/drift.py --rows physionet2019.parquet [--final] [--starts 3] [--only NAME ...]

Owns the drifts, the counting and the comparison with River's detectors. Must not know a rule of the monitors: it hands
rows to stream/model_monitors.py as the learner's fold does and reads what stands. Its tables are docs/drift.md's.

Rows are those of `wardstream rows` (docs/rows.md). Stays are parted by admission: on the first quarter a small model is
fitted, on the second it is calibrated and its reference made, on the third limits were set. With `--final` the fourth
is looked at instead of the third: once. Everything is drawn from `--seed`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from river import drift
from scipy import optimize  # type: ignore[import-untyped]

from events import MILLIS_PER_HOUR
from models.drift.inputs import STAKES, InputLimits
from models.drift.sequential import Detector, mean_bets
from models.drift.summary import Reference, reference_of
from models.drift.thinning import thinned_rows
from models.inputs import LEARNING_INPUTS
from stream.model_monitors import ModelMonitors

NAMES = LEARNING_INPUTS.names
FITTED = (
    *(name for name in NAMES if name.split(".")[-1] in ("last", "age_h", "max_6h", "min_6h", "mean_24h", "change")),
    "age_years", "hours_since_admission", "news2.total", "shock_index",
)  # fmt: skip
"""Inputs of the small model."""
BINS = 8
VERSION = "0123456789ab"
MONTH_H = 30 * 24
FILLING_MS = 4 * 24 * MILLIS_PER_HOUR
FELT_MS = 14 * 24 * MILLIS_PER_HOUR
"""How long a drift is looked for."""
LABEL_MS = 13 * MILLIS_PER_HOUR
ALERT_SHARE = 0.04
"""Of rows, the share at or above the small model's threshold."""

Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """One stretch of a stream, in order of the rows' times."""

    matrix: NDArray[np.float32]
    label: NDArray[np.bool_]
    at: NDArray[np.int64]
    patient: NDArray[np.int64]
    logit: Floats


# -- rows and a small model --------------------------------------------------------------------------------------------


def quarters(path: str, wanted: tuple[int, ...]) -> Iterator[Rows]:
    """Give the rows of some quarters of the stays, read a row group at a time."""
    file = parquet.ParquetFile(path)
    patients = file.read(columns=["patient"])["patient"].to_numpy()
    per = (patients.max() + 1) / 4
    parts: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for batch in file.iter_batches(batch_size=16_384, columns=[*NAMES, "label", "at", "patient"]):
        matrix = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in NAMES])
        label, at, patient = (batch.column(name).to_numpy(zero_copy_only=False) for name in ("label", "at", "patient"))
        quarter = (patient / per).astype(int)
        for one in wanted:
            here = quarter == one
            parts[int(one)].append((matrix[here].astype(np.float32), label[here], at[here], patient[here]))
    for one in wanted:
        matrix, label, at, patient = (np.concatenate(column) for column in zip(*parts.pop(one), strict=True))
        _, first = np.unique(patient, return_index=True)
        # Only while the house is full: before, all are new, and after the last admission only long stays are left.
        full = (at >= at.min() + FILLING_MS) & (at <= np.array([at[place] for place in first]).max())
        matrix, label, at, patient = (column[full] for column in (matrix, label, at, patient))
        order = np.lexsort((patient, at))
        yield Rows(matrix[order], label[order].astype(bool), at[order], patient[order], np.zeros(len(order)))


class Model:
    """An additive logistic on quantile bins, fitted at once: something calibrated to watch, not something to use."""

    def __init__(self, rows: Rows) -> None:
        self._places = [NAMES.index(name) for name in FITTED]
        self._cuts = [
            np.unique(np.nanquantile(column, np.arange(1, BINS) / BINS)) if (~np.isnan(column)).any() else np.empty(0)
            for column in (rows.matrix[:, place] for place in self._places)
        ]
        codes, target = self._codes(rows.matrix), rows.label.astype(float)
        width = len(self._places) * (BINS + 1)

        def loss(weights: Floats) -> tuple[float, Floats]:
            logit = weights[codes].sum(axis=1) + weights[-1]
            p = 1.0 / (1.0 + np.exp(-logit))
            slope = np.append(
                np.bincount(codes.ravel(), np.repeat(p - target, codes.shape[1]), minlength=width), (p - target).sum()
            )
            value = float((np.logaddexp(0.0, logit) - target * logit).sum())
            return value + 100.0 * float(weights[:-1] @ weights[:-1]), slope + np.append(200.0 * weights[:-1], 0.0)

        start = np.append(np.zeros(width), np.log(target.mean() / (1 - target.mean())))
        self._weights = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
        self._slope, self._intercept = 1.0, 0.0

    def _codes(self, matrix: NDArray[np.float32]) -> NDArray[np.int32]:
        codes = np.empty((len(matrix), len(self._places)), dtype=np.int32)
        for at, (place, cuts) in enumerate(zip(self._places, self._cuts, strict=True)):
            column = matrix[:, place]
            own = np.where(np.isnan(column), 0, np.searchsorted(cuts, column, side="left") + 1)
            codes[:, at] = own + at * (BINS + 1)
        return codes

    def calibrate(self, rows: Rows) -> None:
        """Fit slope and intercept on rows that taught nothing."""
        logit, target = self.logit(rows.matrix), rows.label.astype(float)

        def loss(two: Floats) -> float:
            at = two[0] * logit + two[1]
            return float((np.logaddexp(0.0, at) - target * at).sum())

        self._slope, self._intercept = optimize.minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x

    def logit(self, matrix: NDArray[np.float32]) -> Floats:
        """Give the log-odds of rows."""
        plain = self._weights[self._codes(matrix)].sum(axis=1) + self._weights[-1]
        return np.asarray(plain * self._slope + self._intercept if hasattr(self, "_slope") else plain)


# -- drifts ------------------------------------------------------------------------------------------------------------


class Drift(NamedTuple):
    """One alteration from an instant on, and which monitors are to tell it."""

    told_by: tuple[str, ...]
    alter: Callable[[Rows, NDArray[np.bool_], np.random.Generator, Model], Rows]
    threshold_share: float = ALERT_SHARE


VALUES = ("last", "change", "mean_6h", "min_6h", "max_6h", "slope_6h", "mean_24h", "min_24h", "max_24h",
          "delta_baseline")  # fmt: skip


def _columns(feature: str, statistics: tuple[str, ...] = VALUES) -> list[int]:
    return [NAMES.index(f"{feature}.{one}") for one in statistics if f"{feature}.{one}" in NAMES]


def _scored(rows: Rows, matrix: NDArray[np.float32], model: Model, since: NDArray[np.bool_]) -> Rows:
    logit = rows.logit.copy()
    logit[since] = model.logit(matrix[since])
    return rows._replace(matrix=matrix, logit=logit)


def unit_change(feature: str, factor: float) -> Drift:
    """Let a feature come in another unit under the old one's name."""

    def alter(rows: Rows, since: NDArray[np.bool_], _: np.random.Generator, model: Model) -> Rows:
        matrix = rows.matrix.copy()
        matrix[np.ix_(np.flatnonzero(since), np.array(_columns(feature)))] *= np.float32(factor)
        return _scored(rows, matrix, model, since)

    return Drift((f"input_values:{feature}",), alter)


def shifted(feature: str, deviations: float, ramp_days: float = 0.0) -> Drift:
    """Let a feature's values move by so many standard deviations, at once or over days."""

    def alter(rows: Rows, since: NDArray[np.bool_], generator: np.random.Generator, model: Model) -> Rows:
        matrix = rows.matrix.copy()
        last = NAMES.index(f"{feature}.last")
        deviation = float(np.nanstd(matrix[~since, last]))
        days = (rows.at[since] - rows.at[since][0]) / (24.0 * MILLIS_PER_HOUR)
        by = np.clip(days / ramp_days, 0.0, 1.0) if ramp_days else np.ones(len(days))
        for place in _columns(feature, tuple(one for one in VALUES if one not in ("change", "slope_6h"))):
            if "delta" in NAMES[place]:
                continue
            moved = matrix[since, place] + by * deviations * deviation
            if ramp_days and "mean" not in NAMES[place]:
                # Charted in whole numbers: up or down by chance, so that a small shift is not seen as a fraction.
                moved = np.floor(moved + generator.random(len(moved)))
            matrix[since, place] = moved.astype(np.float32)
        return _scored(rows, matrix, model, since)

    return Drift((f"input_values:{feature}",), alter)


def missing_twice(feature: str) -> Drift:
    """Let a feature be missing twice as often: for some patients it is not charted at all."""

    def alter(rows: Rows, since: NDArray[np.bool_], generator: np.random.Generator, model: Model) -> Rows:
        matrix = rows.matrix.copy()
        missing = float(np.isnan(matrix[:, NAMES.index(f"{feature}.last")]).mean())
        lost = generator.random(int(rows.patient.max()) + 1) < missing / (1.0 - missing)
        gone = np.flatnonzero(since & lost[rows.patient])
        places = [place for place, name in enumerate(NAMES) if name.startswith(f"{feature}.")]
        counts = [place for place in places if "count" in NAMES[place]]
        matrix[np.ix_(gone, np.array(places, dtype=np.intp))] = np.nan
        matrix[np.ix_(gone, np.array(counts, dtype=np.intp))] = 0.0
        return _scored(rows, matrix, model, since)

    return Drift((f"input_missing:{feature}",), alter)


def labels_twice(rows: Rows, since: NDArray[np.bool_], generator: np.random.Generator, _: Model) -> Rows:
    """Let twice as many stays have the outcome: the newest rows of some others are labelled so."""
    label = rows.label.copy()
    positive = np.unique(rows.patient[rows.label])
    others = np.setdiff1d(np.unique(rows.patient[since]), positive)
    wanted = min(len(others), len(np.intersect1d(positive, rows.patient[since])))
    chosen = np.isin(rows.patient, generator.choice(others, wanted, replace=False)) & since
    per_stay = max(1, round(rows.label.sum() / max(len(positive), 1)))
    seen: Counter[int] = Counter()
    for place in np.flatnonzero(chosen)[::-1]:
        patient = int(rows.patient[place])
        if seen[patient] < per_stay:
            seen[patient] += 1
            label[place] = True
    return rows._replace(label=label)


def slope_halved(rows: Rows, since: NDArray[np.bool_], _: np.random.Generator, __: Model) -> Rows:
    """Let the log-odds be twice as far from their mean: the outcomes' slope on them is half."""
    logit = rows.logit.copy()
    middle = float(np.log(rows.label.mean() / (1 - rows.label.mean())))
    logit[since] = middle + 2.0 * (logit[since] - middle)
    return rows._replace(logit=logit)


def noise(rows: Rows, since: NDArray[np.bool_], generator: np.random.Generator, _: Model) -> Rows:
    """Let half of the rows be given another row's risk: discrimination goes, the risks stay as they were."""
    logit = rows.logit.copy()
    chosen = since & (generator.random(len(logit)) < 0.5)
    logit[chosen] = generator.permutation(logit[chosen])
    return rows._replace(logit=logit)


def unchanged(rows: Rows, _: NDArray[np.bool_], __: np.random.Generator, ___: Model) -> Rows:
    """Alter nothing."""
    return rows


DRIFTS: dict[str, Drift] = {
    "lactate in mg/dL, labelled mmol/L": unit_change("lactate", 9.01),
    "temperature in F, labelled C (kept by a broken check)": Drift(
        ("input_values:temperature",), lambda rows, since, _, model: _fahrenheit(rows, since, model)
    ),
    "creatinine from another analyser, + 1 SD": shifted("creatinine", 1.0),
    "haemoglobin from another analyser, - 0.5 SD": shifted("haemoglobin", -0.5),
    "heart rate + 1 SD over 10 days": shifted("heart_rate", 1.0, ramp_days=10.0),
    "respiration rate + 0.5 SD over 10 days": shifted("respiration_rate", 0.5, ramp_days=10.0),
    "temperature missing twice as often": missing_twice("temperature"),
    "creatinine missing twice as often": missing_twice("creatinine"),
    "label rate doubled": Drift(("label_rate:",), labels_twice),
    "calibration slope halved": Drift(("calibration:",), slope_halved),
    "half of the risks permuted": Drift(("discrimination:", "calibration:"), noise),
    "alert rate tripled": Drift(("alert_flood:",), unchanged, threshold_share=3 * ALERT_SHARE),
}


def _fahrenheit(rows: Rows, since: NDArray[np.bool_], model: Model) -> Rows:
    matrix = rows.matrix.copy()
    for place in _columns("temperature", ("last", "mean_6h", "min_6h", "max_6h", "mean_24h", "min_24h", "max_24h")):
        matrix[since, place] = matrix[since, place] * np.float32(1.8) + np.float32(32.0)
    return _scored(rows, matrix, model, since)


# -- the monitors over a stretch ---------------------------------------------------------------------------------------


class Told(NamedTuple):
    """Something that began to stand."""

    name: str
    at: int
    row: int
    response: str


class Watch:
    """The monitors, handed one row after the other; what began to stand is looked at each hour."""

    def __init__(self, reference: Reference, threshold: float) -> None:
        self.monitors = ModelMonitors(NAMES, lambda _: reference, label_after_ms=LABEL_MS)
        self.threshold = threshold
        self.told: list[Told] = []
        self._standing: set[tuple[str, str, str]] = set()
        self._above: dict[int, bool] = {}
        self._labels = self._hour = 0

    def run(self, rows: Rows, first: int, last: int) -> None:
        """Hand over the rows from one to before another. Labels come when their window has passed."""
        probability = 1.0 / (1.0 + np.exp(-rows.logit))
        monitors = self.monitors
        for number in range(first, last):
            at, patient, said = int(rows.at[number]), int(rows.patient[number]), float(probability[number])
            while self._labels < number and rows.at[self._labels] + LABEL_MS <= at:
                past = self._labels
                monitors.matured(
                    str(rows.patient[past]), int(rows.at[past]), float(probability[past]), VERSION, at,
                    label=bool(rows.label[past]),
                )  # fmt: skip
                self._labels += 1
            monitors.scored(str(patient), at, rows.matrix[number], said, VERSION)
            if said >= self.threshold and not self._above.get(patient, False):
                monitors.alerted(str(patient), at)
            self._above[patient] = said >= self.threshold
            if at // MILLIS_PER_HOUR > self._hour:
                self._hour = at // MILLIS_PER_HOUR
                self._look(at, number)

    def _look(self, at: int, number: int) -> None:
        now = {(one.monitor, str(one.figures["subject"]), one.response): one for one in self.monitors.findings()}
        new = [key for key in now if key not in self._standing]
        self.told += [Told(f"{key[0]}:{key[1]}", at, number, now[key].response) for key in new]
        self._standing = set(now)


def watch(rows: Rows, reference: Reference, threshold: float) -> list[Told]:
    """Give what began to stand in a stretch."""
    watched = Watch(reference, threshold)
    watched.run(rows, 0, len(rows.at))
    return watched.told


def is_told(one: Told, wanted: tuple[str, ...]) -> bool:
    """Whether it is one of those that are to tell a drift."""
    return any(one.name.startswith(name) for name in wanted)


def measure(rows: Rows, model: Model, reference: Reference, threshold: float, options: argparse.Namespace) -> Any:
    """Give false alarms of the stretch as it is and with its stays shuffled, and the delay of each drift."""
    hours = (rows.at[-1] - rows.at[0]) / MILLIS_PER_HOUR
    months = hours / MONTH_H
    clean = watch(rows, reference, threshold)
    false = {"as it came": _per_month(clean, months)}
    for number in range(options.shuffles):
        exchanged = shuffled(rows, np.random.default_rng(options.seed + number))
        false[f"stays exchanged {number + 1}"] = _per_month(watch(exchanged, reference, threshold), months)
    starts = [int(len(rows.at) * share) for share in np.linspace(0.3, 0.6, options.starts)]
    before, watched = [], Watch(reference, threshold)
    for first, start in zip([0, *starts], starts, strict=False):
        watched.run(rows, first, start)
        before.append(copy.deepcopy(watched))
    delays: dict[str, Any] = {}
    for name, one in DRIFTS.items():
        if options.only and not any(word in name for word in options.only):
            continue
        firsts = [
            _first_told(rows, start, copy.deepcopy(until), one, np.random.default_rng((options.seed, number)), model)
            for number, (start, until) in enumerate(zip(starts, before, strict=True))
        ]
        delays[name] = {
            kind: {
                "told": f"{sum(kind in first for first in firsts)} of {len(firsts)}",
                "hours": [first[kind][0] for first in firsts if kind in first],
                "rows": [first[kind][1] for first in firsts if kind in first],
            }
            for kind in sorted({kind for first in firsts for kind in first})
        }
        print(name, delays[name], flush=True)
    return {"stream_days": round(hours / 24, 1), "rows": len(rows.at), "false alarms a month": false, "delays": delays}


def _first_told(
    rows: Rows, start: int, watched: Watch, one: Drift, generator: np.random.Generator, model: Model
) -> dict[str, tuple[int, int]]:
    """Give hours and rows until a drift is told: by any test, by each, and with each response; within `FELT_MS`."""
    since = np.arange(len(rows.at)) >= start
    altered = one.alter(rows, since, generator, model)
    if one.threshold_share != ALERT_SHARE:
        watched.threshold = 1.0 / (1.0 + float(np.exp(-np.quantile(rows.logit, 1.0 - one.threshold_share))))
    begun = {(each.name, each.response) for each in watched.told}
    watched.run(altered, start, int(np.searchsorted(rows.at, rows.at[start] + FELT_MS)))
    first: dict[str, tuple[int, int]] = {}
    for each in watched.told:
        if each.row >= start and (each.name, each.response) not in begun and is_told(each, one.told_by):
            delay = (round((each.at - int(rows.at[start])) / MILLIS_PER_HOUR), each.row - start)
            for kind in ("any", "at once" if each.name.endswith("|step") else "window", each.response):
                first.setdefault(kind, delay)
    return first


def _per_month(told: list[Told], months: float) -> dict[str, float]:
    counted = Counter(one.name.split(":")[0] + (" (step)" if one.name.endswith("|step") else "") for one in told)
    counted |= Counter(f"response {one.response}" for one in told)
    return {name: round(number / months, 1) for name, number in sorted(counted.items())}


def shuffled(rows: Rows, generator: np.random.Generator) -> Rows:
    """Let other stays come at each stay's time: no drift between stays is left, and theirs are as they were."""
    # Who lay there at the beginning stays where he is, and so does who may not be through at the end.
    beginning = rows.at <= rows.at[0] + 2 * MILLIS_PER_HOUR
    late = rows.at > rows.at[-1] - 10 * 24 * MILLIS_PER_HOUR
    patients = np.setdiff1d(rows.patient, rows.patient[beginning | late])
    first = {int(patient): int(rows.at[np.argmax(rows.patient == patient)]) for patient in patients}
    others = generator.permutation(patients)
    moved = np.array([first[int(patient)] for patient in patients])
    by = dict(zip(map(int, others), moved - np.array([first[int(other)] for other in others]), strict=True))
    # Whole days, so that an hour of the day stays what it was.
    day = 24 * MILLIS_PER_HOUR
    shift = np.array([round(by.get(int(patient), 0) / day) * day for patient in rows.patient])
    at = rows.at + shift
    order = np.lexsort((rows.patient, at))
    return Rows(rows.matrix[order], rows.label[order], at[order], rows.patient[order], rows.logit[order])


# -- River's detectors on the same ranks -------------------------------------------------------------------------------


def river_compared(rows: Rows, reference: Reference) -> dict[str, Any]:
    """Give steps of River's detectors and ours on the thinned ranks of each input: clean, and with a step put in."""
    taken = thinned_rows(rows.patient, rows.at)
    matrix, at = rows.matrix[taken], rows.at[taken]
    months = (rows.at[-1] - rows.at[0]) / MILLIS_PER_HOUR / MONTH_H
    watched = [NAMES.index(f"{name}.last") for name in ("heart_rate", "respiration_rate", "systolic_bp", "spo2",
               "temperature", "creatinine", "haemoglobin", "lactate", "glucose", "potassium")]  # fmt: skip
    limits = InputLimits()

    class Ours:
        def __init__(self) -> None:
            limit = limits.rows_between_alarms * 2 * len(NAMES)
            self.detector = Detector(1, 2 * len(STAKES), limit)
            self.drift_detected = False

        def update(self, rank: float) -> None:
            low, high = 0.5 - limits.tolerance, 0.5 + limits.tolerance
            self.drift_detected = bool(self.detector.step(mean_bets(np.array([rank]), low, high, STAKES))[0])

    adwin: Any = drift.ADWIN
    kinds: dict[str, Callable[[], Any]] = {
        "ADWIN (delta 0.002)": adwin,
        "ADWIN (delta 1e-6)": partial(adwin, delta=1e-6),
        "Page-Hinkley (as it comes)": drift.PageHinkley,
        "Page-Hinkley (delta 0.05, threshold 10)": lambda: drift.PageHinkley(delta=0.05, threshold=10.0),
        "ours (evidence, tolerance 0.07)": Ours,
    }
    found: dict[str, Any] = {}
    start = len(matrix) // 3
    for name, make in kinds.items():
        false, seen, delays = 0, 0, []
        for place in watched:
            cuts = np.array(reference.inputs.cuts[place])
            shares = np.array(reference.inputs.shares[place])
            ranks = np.cumsum(shares) - shares / 2
            column = matrix[:, place].astype(float)
            for moved in (0.0, 0.5, 1.0):
                values = column.copy()
                values[start:] += moved * np.nanstd(column)
                known = ~np.isnan(values)
                stream = ranks[np.searchsorted(cuts, values[known], side="left")]
                times, begins = at[known], at[start]
                detector, told = make(), None
                for rank, when in zip(stream, times, strict=True):
                    detector.update(float(rank))
                    if detector.drift_detected:
                        if moved == 0.0:
                            false += 1
                        elif when >= begins:
                            told = (when - begins) / MILLIS_PER_HOUR
                            break
                if moved:
                    seen += told is not None
                    delays += [] if told is None else [told]
        found[name] = {
            "false steps an input and month": round(false / months / len(watched), 2),
            "told": f"{seen} of {2 * len(watched)}", "median_hours": round(median(delays)) if delays else None,
        }  # fmt: skip
        print(name, found[name], flush=True)
    return found


def main() -> None:
    """Print the tables as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", required=True, help="a file of `wardstream rows`")
    options.add_argument("--final", action="store_true", help="look at the last quarter instead of the third: once")
    options.add_argument("--starts", type=int, default=3, help="instants at which each drift is put in")
    options.add_argument("--shuffles", type=int, default=2, help="exchanges of the stays, for false alarms")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", nargs="+", default=[], help="drifts whose name holds one of these words")
    options.add_argument("--river", action="store_true", help="only the comparison with River's detectors")
    given = options.parse_args()
    began = time.perf_counter()
    fitting, own, chosen = quarters(given.rows, (0, 1, 3 if given.final else 2))
    model = Model(fitting)
    model.calibrate(own)
    own, chosen = (part._replace(logit=model.logit(part.matrix)) for part in (own, chosen))
    taken = thinned_rows(own.patient, own.at)
    said = 1.0 / (1.0 + np.exp(-own.logit[taken]))
    reference = reference_of(NAMES, own.matrix[taken], own.patient[taken], own.label[taken], said)
    assert reference is not None
    threshold = 1.0 / (1.0 + float(np.exp(-np.quantile(own.logit, 1.0 - ALERT_SHARE))))
    print(json.dumps({"base_rate": reference.base_rate, "auroc": reference.auroc, "inputs": len(NAMES)}), flush=True)
    found = river_compared(chosen, reference) if given.river else measure(chosen, model, reference, threshold, given)
    found["wall_s"] = round(time.perf_counter() - began, 1)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
