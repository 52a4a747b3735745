"""The incremental learners on ICU data beside batch LightGBM, NEWS2 and River's logistic: one table a question.

    .venv/bin/python benchmarks/learning.py --rows physionet2019.parquet [--every 4] [--json OUT]
    .venv/bin/python benchmarks/learning.py --parts death --death physionet2012-stay.parquet

Owns the protocol. Must not know how a learner learns. Needs `pip install -e '.[bench]'` for LightGBM; rows are made by
`wardstream rows` (docs/rows.md), and docs/learning.md explains the tables.

hospital: one pass over the first three quarters of stays with the true delay of labels, the last quarter told frozen.
shift: the same learner goes from one unit's stays to another's and keeps learning; figures on the second half of these.
Both come with a table of calibration, before and after the shift, with intervals by stay (docs/calibration.md).
death: five folds by stay, what is said of a stay's last row within 48 h.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from learning_calibration import CalibrationLine, calibration_line, halves, plain, show_calibration
from learning_figures import Line, line, recovered, show
from learning_rows import Rows, read_rows
from learning_runs import Pass, ask_frozen, batch, run, run_refitted
from rich.console import Console
from rich.progress import Progress

from models.learners.ensemble import CrossedBoosted
from models.learners.factory import LEARNERS, SHIPPED, to_bytes

FOLDS = 5
Out = dict[str, Any]


class Found(NamedTuple):
    """What one part of the benchmark came to."""

    lines: list[Line]
    calibration: list[CalibrationLine]
    other: Out
    """Costs of the hospital, the gap recovered of the shift."""
    told: dict[str, np.ndarray[Any, Any]]
    """Columns to count other figures of: labels, times, stays, what was said, log-odds before calibration."""


def hospital(rows: Rows, names: list[str], progress: Progress, *, validate: bool) -> Found:
    """Learn on the first three quarters of stays and test frozen on the last; `validate`: on a half, and the third."""
    learns = rows.admitted(0.5 if validate else 0.75)
    tested = rows.only(rows.admitted(0.75) & ~learns if validate else ~learns)
    began = time.process_time()
    of_batch = batch(rows.only(learns))(tested)
    costs: Out = {"lightgbm_s": round(time.process_time() - began, 1)}
    lines: list[Line] = []
    calibration: list[CalibrationLine] = []
    told: dict[str, np.ndarray[Any, Any]] = {**_columns(tested), "lightgbm": of_batch}
    for name in names:
        learner = LEARNERS[name](rows.inputs)
        asks = learns if name == SHIPPED else np.zeros_like(learns)
        done = run(learner, rows, learns, asks, _told(progress, name, int(learns.sum())))
        said = told[name] = ask_frozen(learner, tested)
        lines.append(line(name, tested, said, other=of_batch))
        if isinstance(learner, CrossedBoosted):
            lines += [
                line(f"  its {type(part).__name__}", tested, ask_frozen(part, tested), other=of_batch)
                for part in (learner.boosting, learner.crossed)
            ]
        costs[name] = _costs(learner, done)
        if asks.any():
            costs[name]["predict_us_a_row"] = round(1e6 * done.predict_s / max(1, done.predicted), 1)
            later = asks & (rows.at > np.quantile(rows.at[asks], 1 / 3))
            lines.append(line(f"{name}, prequential after the first third", rows.only(later), done.said[later]))
            calibration.append(
                calibration_line("as it learned, after a third", name, rows.only(later), done.said[later])
            )
            calibration.append(calibration_line("tested, frozen", name, tested, said))
    calibration.append(calibration_line("tested, frozen", "LightGBM, batch", tested, of_batch))
    lines.append(line("LightGBM, batch", tested, of_batch))
    news2 = np.nan_to_num(tested.news2, nan=0.0)
    lines.append(line("NEWS2 (partial)", tested, news2, other=of_batch, probabilities=False))
    return Found(lines, calibration, costs, told)


def _columns(rows: Rows) -> dict[str, np.ndarray[Any, Any]]:
    return {name: getattr(rows, name) for name in ("labels", "at", "matured_at", "stay")}


def _told(progress: Progress, name: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(name, total=total)
    return lambda count: progress.advance(task, count)


def _costs(learner: Any, done: Pass) -> dict[str, float]:
    found = {
        "learn_us_a_label": round(1e6 * done.learn_s / max(1, done.learned), 1),
        "longest_batch_ms": round(1e3 * done.longest_growth_s, 1),
        "state_bytes": len(to_bytes(learner)),
    }
    if hasattr(learner, "weights"):
        found["version_bytes"] = len(msgspec.json.encode(learner.weights()))
    return found


def relaid(rows: Rows, units: tuple[str, str]) -> tuple[Rows, Rows, Rows]:
    """Lay one unit's stays before another's, whose stream begins when the first one's has ended; both, then each."""
    old, new = (rows.only(rows.unit == unit) for unit in units)
    gap = int(old.matured_at.max() - new.at.min()) + 1
    new = new._replace(at=new.at + gap, matured_at=new.matured_at + gap)
    columns: dict[str, Any] = {
        name: np.concatenate((getattr(old, name), getattr(new, name))) for name in Rows._fields if name != "inputs"
    }
    return old._replace(**columns), old, new


def shift(rows: Rows, units: tuple[str, str], refit_every: int, progress: Progress) -> Found:
    """Learn one unit's stays, then another's: figures are of the second half of these."""
    both, old, new = relaid(rows, units)
    learner = LEARNERS[SHIPPED](rows.inputs)
    everything = np.ones(len(both.labels), dtype=bool)
    name = f"{SHIPPED}, {units[0]} then {units[1]}"
    done = run(learner, both, everything, everything, _told(progress, name, len(everything)))
    before, ours = done.said[: len(old.labels)], done.said[len(old.labels) :]
    refit = f"LightGBM, refitted every {refit_every} stays"
    refitted = run_refitted(old, new, refit_every, _told(progress, refit, len(new.labels)))
    frozen = batch(old)(new)
    first, half = halves(new)
    judged = new.only(half)
    known = half & ~np.isnan(ours)
    lines = [
        line(f"{SHIPPED}, learning on", judged, ours[half], other=refitted[half]),
        line("LightGBM, frozen", judged, frozen[half], other=refitted[half]),
        line(refit, judged, refitted[half]),
        line("NEWS2 (partial)", judged, np.nan_to_num(judged.news2), other=refitted[half], probabilities=False),
    ]
    late = halves(old)[1]
    calibration = [calibration_line(f"{units[0]}, second half", SHIPPED, old.only(late), before[late])]
    for part, chosen in ((f"{units[1]}, first half", first), (f"{units[1]}, second half", half)):
        for learned, said in ((f"{SHIPPED}, learning on", ours), (refit, refitted), ("LightGBM, frozen", frozen)):
            calibration.append(calibration_line(part, learned, new.only(chosen), said[chosen]))
    told = {**_columns(both), "said": done.said, "raw": done.raw, "frozen": frozen, "refitted": refitted}
    gap = recovered(new.only(known), ours[known], frozen[known], refitted[known])
    return Found(lines, calibration, gap, told)


def death(rows: Rows, hours: float, thin: int, progress: Progress) -> list[Line]:
    """Five folds by stay: a stay's last row within so many hours; learners take one pass over the other folds.

    `thin`: every n-th row of a stay, counted from its last, is learned from, by all learners alike.
    """
    stays = np.unique(rows.stay)
    fold_of = np.random.default_rng(5).permutation(len(stays)) % FOLDS
    fold = fold_of[np.searchsorted(stays, rows.stay)]
    begin = np.full(int(stays.max()) + 1, np.iinfo(np.int64).max)
    end = np.zeros(len(begin), dtype=np.int64)
    np.minimum.at(begin, rows.stay, rows.at)
    np.maximum.at(end, rows.stay, rows.at)
    # The file says when a death was, and nothing of when a survivor went: an outcome is heard with the last row.
    rows = rows._replace(matured_at=end[rows.stay])
    within = rows.at - begin[rows.stay] <= hours * 3_600_000
    order = np.lexsort((rows.at, rows.stay))
    order = order[within[order]]
    last = order[np.append(np.flatnonzero(np.diff(rows.stay[order])), len(order) - 1)]
    kept = _from_the_last(rows) % thin == 0
    said = {name: np.full(len(rows.labels), np.nan) for name in ("LightGBM, batch", SHIPPED)}
    task = progress.add_task("five folds", total=FOLDS)
    for number in range(FOLDS):
        learned, asked = (fold != number) & kept, last[fold[last] == number]
        chosen = np.zeros(len(rows.labels), dtype=bool)
        chosen[asked] = True
        learner = LEARNERS[SHIPPED](rows.inputs)
        run(learner, rows, learned, learned, lambda _: None)
        said[SHIPPED][chosen] = ask_frozen(learner, rows.only(chosen))
        said["LightGBM, batch"][chosen] = batch(rows.only(learned))(rows.only(chosen))
        progress.advance(task)
    judged = np.zeros(len(rows.labels), dtype=bool)
    judged[last] = True
    stays_rows, of_batch = rows.only(judged), said["LightGBM, batch"][judged]
    news2 = np.nan_to_num(stays_rows.news2)
    return [
        line(SHIPPED, stays_rows, said[SHIPPED][judged], other=of_batch),
        line("LightGBM, batch", stays_rows, of_batch),
        line("NEWS2 (partial)", stays_rows, news2, other=of_batch, probabilities=False),
    ]


def _from_the_last(rows: Rows) -> np.ndarray[Any, Any]:
    """Number each stay's rows from its last one, from 0."""
    order = np.lexsort((-rows.at, rows.stay))
    begins = np.concatenate(([0], np.flatnonzero(np.diff(rows.stay[order])) + 1))
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return numbers


def show_part(console: Console, title: str, part: Found, told: Path | None) -> dict[str, Any]:
    """Print a part's tables, keep what was told where that is asked for, and give its figures as JSON has them."""
    show(console, title, part.lines)
    console.print(part.other)
    show_calibration(console, f"{title}: calibration", part.calibration)
    if told is not None:
        told.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = part.told
        np.savez(told / f"{title.partition(' ')[0].lower()}.npz", **columns)
    return {"lines": part.lines, "other": part.other, "calibration": plain(part.calibration)}


def main() -> None:
    """Run the parts asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help="rows of PhysioNet 2019, from `wardstream rows`")
    parser.add_argument("--death", type=Path, help="rows of PhysioNet 2012 labelled with in-hospital death")
    parser.add_argument("--parts", nargs="+", choices=("hospital", "shift", "death"), default=["hospital", "shift"])
    parser.add_argument("--every", type=int, default=1, help="every n-th stay only")
    parser.add_argument("--learners", nargs="+", default=[SHIPPED, "river-logistic"], choices=list(LEARNERS))
    parser.add_argument("--validate", action="store_true", help="half learned, third quarter tested; the last unseen")
    parser.add_argument("--share", type=float, default=1.0, help="of the stays in order of admission, for the shift")
    parser.add_argument("--units", nargs=2, default=("MICU", "SICU"), help="from one unit to another")
    parser.add_argument("--refit-every", type=int, default=500, help="stays between two refits")
    parser.add_argument("--thin", type=int, default=1, help="of death's rows learn every n-th of a stay")
    parser.add_argument("--told", type=Path, help="a folder for what was told, to count other figures of it")
    parser.add_argument("--json", type=Path, help="write all figures here as well")
    asked = parser.parse_args()
    console, found = Console(width=200), dict[str, Any]()
    with Progress(console=Console(stderr=True)) as progress:
        if {"hospital", "shift"} & set(asked.parts):
            rows = read_rows(asked.rows, asked.every)
        if "hospital" in asked.parts:
            part = hospital(rows, asked.learners, progress, validate=asked.validate)
            found["hospital"] = show_part(console, "Hospital A", part, asked.told)
        if "shift" in asked.parts:
            chosen = rows.only(rows.admitted(asked.share))
            part = shift(chosen, tuple(asked.units), asked.refit_every, progress)
            title = f"From {asked.units[0]} to {asked.units[1]}, second half"
            found["shift"] = show_part(console, title, part, asked.told)
        if "death" in asked.parts:
            lines = death(read_rows(asked.death, asked.every), 48.0, asked.thin, progress)
            show(console, "Death, at 48 h", lines)
            found["death"] = {"lines": lines}
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
