"""Calibration and "indeterminate" on a real stream, before and after a shift: a table for either.

    .venv/bin/python benchmarks/calibration.py --rows physionet2019.parquet [--final] [--every 4] [--told told.npz]

Owns the streams, the shifts put in, and the methods ours is compared with. Must not know how a figure is computed
(models/figures) or a row made (docs/rows.md). The tables are those of docs/calibration.md.

The model is the crossed logistic on the clinical inputs, uncalibrated, learning as labels mature. A score is told by
what was learned in the hours before it; its label comes when it matures, and only then is anything learned from it.
Stays are parted by admission: figures are of the second and third quarter; with `--final` of the last, once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from scipy import optimize  # type: ignore[import-untyped]

from events import MILLIS_PER_HOUR
from models.belt import belt_table, held_true, told_by
from models.calibration import Calibrator
from models.conformal import FALSE_RATE, MISSED_RATE, IntervalWidth, OutcomeSets
from models.figures.calibration import calibration_figures
from models.figures.discrimination import auroc, average_precision
from models.holding import BLOCK_ROWS, HELD_BACK_MAX, SHIFT_SHARE
from models.inputs import CLINICAL_INPUTS
from models.learners.crossed_logistic import CrossedLogistic
from models.rows import Inputs
from models.venn import VennTable, venn_table

ADMISSIONS_PER_H = 5.3
WARM_UP_H = 400
"""Before this no figure: the first thousands of labels teach the model what a patient is."""
DROPPED_SHARE = 0.6
"""Of the stays with the outcome, from the middle on: the rate falls to less than a half."""
THRESHOLDS = (0.04, 0.1)
JUDGED_ROWS = 20_000
"""Rows between two looks at what held, in the figures: four times what the width itself looks at."""
BETA_SHIFT = 1e-7

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Stream(NamedTuple):
    """One stream: what was told and what became of it, and the parts of it that figures are of. Times in hours."""

    logit: Floats
    label: Bools
    patient: Ints
    at: Ints
    matured: Ints
    parts: dict[str, Bools]


# -- rows and the model ------------------------------------------------------------------------------------------------


def columns(path: Path, every: int) -> dict[str, Any]:
    """Read rows: the matrix of the clinical inputs and the columns beside it."""
    table = parquet.read_table(
        path, columns=[*CLINICAL_INPUTS.names, "label", "at", "matured_at", "patient", "ward_type"]
    )
    patient = table["patient"].to_numpy()
    kept = patient % every == 0
    matrix = np.column_stack([table[name].to_numpy()[kept] for name in CLINICAL_INPUTS.names])
    start = int(table["at"].to_numpy().min())
    return {
        "matrix": matrix,
        "label": table["label"].to_numpy(zero_copy_only=False)[kept],
        "patient": patient[kept].astype(np.int64),
        "at": (table["at"].to_numpy()[kept] - start) // MILLIS_PER_HOUR,
        "matured": (table["matured_at"].to_numpy()[kept] - start) // MILLIS_PER_HOUR,
        "ward": np.array(table["ward_type"].to_pylist())[kept],
    }


def by_hour(hours: Ints, kept: Ints, last: int) -> list[Ints]:
    """Give the rows of each hour, in their order."""
    order = kept[np.argsort(hours[kept], kind="stable")]
    return np.split(order, np.searchsorted(hours[order], np.arange(1, last + 1)))


def told_logits(data: dict[str, Any], at: Ints, matured: Ints, used: Bools, border: int) -> tuple[Floats, Floats]:
    """Give the logits told by a model that keeps learning, and by one that stops at the border."""
    learner = CrossedLogistic(Inputs(CLINICAL_INPUTS.names))
    frozen: CrossedLogistic | None = None
    kept = np.flatnonzero(used)
    kept = kept[np.argsort(at[kept], kind="stable")]
    last = int(matured[kept].max()) + 1
    live, still = np.full(len(at), np.nan), np.full(len(at), np.nan)
    for hour, (scored, ripe) in enumerate(zip(by_hour(at, kept, last), by_hour(matured, kept, last), strict=True)):
        if hour == border:
            frozen = CrossedLogistic.restored(learner.state())
        if len(scored):
            matrix = data["matrix"][scored].astype(np.float64)
            live[scored] = learner.logits_many(matrix)
            still[scored] = live[scored] if frozen is None else frozen.logits_many(matrix)
        if len(ripe):
            learner.learn_many(data["matrix"][ripe].astype(np.float64), data["label"][ripe])
    return live, still


def relaid(data: dict[str, Any], first: str, second: str) -> tuple[Ints, Ints, Bools, int]:
    """Lay the stays of one unit before those of another, as many an hour as ever; give times, rows used, the border."""
    patient, at = data["patient"], data["at"]
    admitted = np.full(int(patient.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(admitted, patient, at)
    ward_of = np.zeros(len(admitted), dtype=data["ward"].dtype)
    ward_of[patient] = data["ward"]
    rate = ADMISSIONS_PER_H * len(np.unique(patient)) / len(admitted)
    stays = np.concatenate([np.flatnonzero(ward_of == first), np.flatnonzero(ward_of == second)])
    moved = np.zeros(len(admitted), dtype=np.int64)
    moved[stays] = (np.arange(len(stays)) / rate).astype(np.int64) - admitted[stays]
    used = np.isin(data["ward"], (first, second))
    border = int(np.sum(ward_of == first) / rate)
    return at + moved[patient], data["matured"] + moved[patient], used, border


def streams(data: dict[str, Any], *, final: bool, cache: Path | None) -> dict[str, Stream]:
    """Make the streams: as it was, Unit1 then Unit2 learning or frozen at the border, and the rate halved."""
    label, patient, at, matured = data["label"], data["patient"], data["at"], data["matured"]
    quarter = patient / (patient.max() + 1.0)
    inside = np.ones(len(at), dtype=bool) if final else quarter < 0.75
    at2, matured2, units, border = relaid(data, "MICU", "SICU")
    units &= inside
    if cache is not None and cache.exists():
        told = np.load(cache)
        live, live2, still2 = told["live"], told["live2"], told["still2"]
    else:
        live, _ = told_logits(data, at, matured, inside, -1)
        live2, still2 = told_logits(data, at2, matured2, units, border)
        if cache is not None:
            np.savez(cache, live=live, live2=live2, still2=still2)
    measured = quarter >= 0.75 if final else (quarter >= 0.25) & inside
    begin, end = np.quantile(at[measured], [0.0, 1.0])
    middle = int((begin + end) / 2)
    # From the middle on, stays with the outcome vanish: by number, so that nothing is drawn.
    admitted = np.full(int(patient.max()) + 1, 0)
    admitted[patient[::-1]] = at[::-1]
    outcome = np.zeros(len(admitted), dtype=bool)
    outcome[patient[label]] = True
    number = np.cumsum(outcome)
    gone = outcome & (admitted >= middle) & ((number * DROPPED_SHARE) % 1.0 < DROPPED_SHARE - 1e-9)
    thinned = inside & ~gone[patient]
    later = at2 >= border + (int(at2[units].max()) - border) // 2
    shifted = {"before": (at2 >= WARM_UP_H) & (at2 < border), "after": at2 >= border, "second half after": later}
    halves = {"before": measured & (at < middle), "after": measured & (at >= middle)}
    halves["second half after"] = measured & (at >= (middle + end) / 2)

    def cut(logit: Floats, hours: tuple[Ints, Ints], used: Bools, parts: dict[str, Bools]) -> Stream:
        used = used & np.isfinite(logit)
        parts = {**parts, "whole": np.ones(len(used), dtype=bool)} if "before" in parts else parts
        return Stream(
            logit[used], label[used], patient[used], hours[0][used], hours[1][used],
            {name: part[used] for name, part in parts.items()},
        )  # fmt: skip

    return {
        "as it was": cut(live, (at, matured), inside, {"all": measured & (at >= WARM_UP_H)}),
        "Unit1 to Unit2, learning on": cut(live2, (at2, matured2), units, shifted),
        "Unit1 to Unit2, frozen": cut(still2, (at2, matured2), units, shifted),
        "rate more than halved": cut(live, (at, matured), thinned, halves),
    }


# -- calibrators -------------------------------------------------------------------------------------------------------


class Nothing(Calibrator):
    """What was told."""

    def learn_one(self, logit: float, label: bool) -> Any:  # noqa: FBT001, ARG002
        """Learn nothing."""
        return ""


class Windowed:
    """A calibrator fitted anew on the newest labels: beta (Kull et al. 2017) or isotonic (Zadrozny and Elkan 2002)."""

    def __init__(self, fit: Callable[[Floats, Bools], Callable[[Floats], Floats]]) -> None:
        self._fit = fit
        self._mend: Callable[[Floats], Floats] = lambda logits: logits
        self._logits: list[float] = []
        self._labels: list[bool] = []

    def learn_one(self, logit: float, label: bool) -> str:  # noqa: FBT001
        """Take a label; every `BLOCK_ROWS` the curve is fitted anew."""
        self._logits.append(logit)
        self._labels.append(label)
        if len(self._logits) % BLOCK_ROWS == 0:
            del self._logits[:-HELD_BACK_MAX], self._labels[:-HELD_BACK_MAX]
            self._mend = self._fit(np.array(self._logits), np.array(self._labels))
        return ""

    def transform_many(self, logits: Floats) -> Floats:
        """Give the mended logits."""
        return self._mend(logits)


def beta_curve(logits: Floats, labels: Bools) -> Callable[[Floats], Floats]:
    """Fit a ln p - b ln (1 - p) + c, with a and b at least 0."""

    def parts(at: Floats) -> Floats:
        return np.column_stack((-np.logaddexp(0.0, -at), np.logaddexp(0.0, at), np.ones(len(at))))

    rows = parts(logits)

    def loss(line: Floats) -> tuple[float, Floats]:
        at = rows @ line
        apart = 1.0 / (1.0 + np.exp(-at)) - labels
        return float((np.logaddexp(0.0, at) - labels * at).mean()), rows.T @ apart / len(labels)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    line = optimize.minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x
    return lambda at: parts(at) @ line


def isotonic_curve(logits: Floats, labels: Bools) -> Callable[[Floats], Floats]:
    """Fit a rising step curve; between its places it is linear, and the ends are kept off 0 and 1."""
    order = np.argsort(logits, kind="stable")
    shares = optimize.isotonic_regression(labels[order].astype(float)).x
    shares = np.clip(shares, 1e-4, 1.0 - 1e-4)
    return lambda at: np.interp(at, logits[order], np.log(shares / (1.0 - shares)))


CALIBRATORS: dict[str, Callable[[], Any]] = {
    "none": Nothing,
    "line, 20,000 labels": lambda: Calibrator((20_000.0,)),
    "line, 100,000 labels": lambda: Calibrator((100_000.0,)),
    "beta, window": lambda: Windowed(beta_curve),
    "isotonic, window": lambda: Windowed(isotonic_curve),
    "lines averaged (ours)": Calibrator,
}


def mended(stream: Stream, calibrator: Any) -> Floats:
    """Give each score's mended logit as it would have been told: by the labels that had matured before it."""
    everything = np.arange(len(stream.at))
    last = int(stream.matured.max()) + 1
    told = np.empty(len(stream.at))
    hours = zip(by_hour(stream.at, everything, last), by_hour(stream.matured, everything, last), strict=True)
    for scored, ripe in hours:
        if len(scored):
            told[scored] = calibrator.transform_many(stream.logit[scored])
        for logit, label in zip(stream.logit[ripe].tolist(), stream.label[ripe].tolist(), strict=True):
            calibrator.learn_one(logit, label)
    return told


def calibration_row(stream: Stream, logits: Floats, part: Bools) -> dict[str, float]:
    """Give the figures of one part of a stream; what is undefined there is NaN."""
    labels, told = stream.label[part], 1.0 / (1.0 + np.exp(-logits[part]))
    found = calibration_figures(labels, told)
    top, bent = found.top, found.recalibration
    figures = {
        "rate": float(labels.mean()),
        "slope": bent.slope if bent else None,
        "ece": found.calibration_error,
        "skill": found.brier.skill if found.brier else None,
        "top": top.promised / top.happened.value - 1.0 if top and top.happened.value else None,
        "ap": average_precision(labels, told),
        "auroc": auroc(labels, told),
    }
    return {name: float("nan") if value is None else value for name, value in figures.items()}


# -- indeterminate -----------------------------------------------------------------------------------------------------


def interval_rows(stream: Stream, logits: Floats, method: str) -> tuple[Floats, Floats]:
    """Give the interval told with each score; NaN before the first table."""
    told = 1.0 / (1.0 + np.exp(-logits))
    low, high = np.full(len(told), np.nan), np.full(len(told), np.nan)
    everything = np.arange(len(told))
    last = int(stream.matured.max()) + 1
    width, table = IntervalWidth(), None
    ripe_all: list[int] = []
    looked = resting = 0
    hours = zip(by_hour(stream.at, everything, last), by_hour(stream.matured, everything, last), strict=True)
    for scored, ripe in hours:
        if table is not None and len(scored):
            low[scored], high[scored] = told_by(table, told[scored])
        ripe_all += ripe.tolist()
        if len(ripe_all) - looked < BLOCK_ROWS:
            continue
        fresh = len(ripe_all) - looked
        resting = min(HELD_BACK_MAX, resting + fresh)
        block = np.array(ripe_all[looked:])
        block = block[np.isfinite(low[block])]
        if method == "belt that follows (ours)" and len(block) > BLOCK_ROWS // 2:
            agrees = held_true(told[block], (low[block], high[block]), stream.label[block], stream.patient[block])
            if agrees is not None:
                missed = 1.0 - float(agrees.mean())
                width = width.after(missed)
                resting = fresh if missed > SHIFT_SHARE else resting
        newest = np.array(ripe_all[-resting:])
        rows = told[newest], stream.label[newest], stream.patient[newest]
        table = made(method, rows, width.width)
        looked = len(ripe_all)
    return low, high


def made(method: str, rows: tuple[Floats, Bools, Ints], width: float) -> VennTable | None:
    """Make a method's table of the newest rows."""
    return venn_table(*rows) if method == "Venn" else belt_table(*rows, width)


def interval_row(stream: Stream, logits: Floats, bounds: tuple[Floats, Floats], part: Bools) -> dict[str, float]:
    """Give what share of a part's intervals held, block by block, and what share is indeterminate."""
    told = 1.0 / (1.0 + np.exp(-logits))
    low, high = bounds
    rows = np.flatnonzero(part & np.isfinite(low))
    rows = rows[np.argsort(stream.at[rows], kind="stable")]
    held = []
    for block in np.array_split(rows, max(1, len(rows) // JUDGED_ROWS)):
        agrees = held_true(told[block], (low[block], high[block]), stream.label[block], stream.patient[block])
        if agrees is not None:
            held.append(float(agrees.mean()))
    found = {"held": float(np.mean(held))}
    for level in THRESHOLDS:
        found[f"at {level}"] = float(((low[rows] < level) & (level <= high[rows])).mean())
    return found


def set_row(stream: Stream, logits: Floats, rates: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Give, part by part, what share of the told outcome sets missed of either outcome, and left both possible."""
    sets = OutcomeSets(*rates)
    everything = np.arange(len(logits))
    last = int(stream.matured.max()) + 1
    lower, upper = np.empty(len(logits)), np.empty(len(logits))
    bounds: list[Any] = [None] * len(logits)
    hours = zip(by_hour(stream.at, everything, last), by_hour(stream.matured, everything, last), strict=True)
    for scored, ripe in hours:
        lower[scored], upper[scored] = sets.bounds.lower, sets.bounds.upper
        for row in scored.tolist():
            bounds[row] = sets.bounds
        for row in ripe.tolist():
            sets.learn_one(float(logits[row]), bool(stream.label[row]), bounds[row])
    label = stream.label
    return {
        name: {
            "missed": float((logits < lower)[part & label].mean()),
            "false": float((logits > upper)[part & ~label].mean()),
            "both": float(((logits >= lower) & (logits <= upper))[part].mean()),
        }
        for name, part in stream.parts.items()
    }


def main() -> None:
    """Run, print both tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="each so many-th stay")
    parser.add_argument("--final", action="store_true")
    parser.add_argument("--told", type=Path, help="where told logits are kept between runs")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    report: list[dict[str, Any]] = []

    def say(stream: str, method: str, part: str, figures: dict[str, float]) -> None:
        report.append({"stream": stream, "method": method, "part": part, **figures})
        print(
            f"| {stream} | {method} | {part} | " + " | ".join(f"{name} {value:.4f}" for name, value in figures.items()),
            flush=True,
        )

    for name, stream in streams(columns(options.rows, options.every), final=options.final, cache=options.told).items():
        logits = {}
        for method, make in CALIBRATORS.items():
            logits[method] = mended(stream, make())
            for part, inside in stream.parts.items():
                say(name, method, part, calibration_row(stream, logits[method], inside))
        for base in ("none", "lines averaged (ours)"):
            for method in ("Venn", "belt", "belt that follows (ours)"):
                bounds = interval_rows(stream, logits[base], method)
                for part, inside in stream.parts.items():
                    say(name, f"{method} on {base}", part, interval_row(stream, logits[base], bounds, inside))
        for rates in ((MISSED_RATE, FALSE_RATE), (0.1, 0.1), (0.3, 0.1)):
            for part, figures in set_row(stream, logits["lines averaged (ours)"], rates).items():
                say(name, f"sets {rates}", part, figures)
    print(f"{time.perf_counter() - started:.0f} s")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
