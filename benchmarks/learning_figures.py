"""What the benchmark of learners says of probabilities: one line of a table for each learner, and the gap recovered.

Owns the figures' choice and the tables. Must not know a learner. The figures are those of models/figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from learning_rows import Bools, Floats, Rows
from rich.console import Console
from rich.table import Table

from models.figures.bootstrap import paired_difference
from models.figures.calibration import calibration_figures
from models.figures.discrimination import auroc, average_precision
from models.figures.operating_points import hours_at_sensitivity_of

ROUNDS = 100
Line = dict[str, Any]


def line(name: str, rows: Rows, said: Floats, *, other: Floats | None = None, probabilities: bool = True) -> Line:
    """Give the figures of one learner on these rows; `other` is what LightGBM said of them."""
    known = ~np.isnan(said)
    labels, told, stays = rows.labels[known], said[known], rows.stay[known]
    found: Line = {
        "learner": name,
        "rows": len(labels),
        "positives": int(labels.sum()),
        "unscored": int((~known).sum()),
    }
    found |= {"auroc": auroc(labels, told), "average_precision": average_precision(labels, told)}
    news2 = np.nan_to_num(rows.news2[known], nan=0.0)
    matched = hours_at_sensitivity_of(labels, told, news2 >= 5)
    found["alerts_of_news2"] = matched.share if matched else None
    if probabilities:
        figures = calibration_figures(labels, told, stays)
        found |= {
            "slope": figures.recalibration.slope if figures.recalibration else None,
            "ece": figures.calibration_error,
            "brier_skill": figures.brier.skill if figures.brier else None,
            "top_decile_error": figures.top.error_share if figures.top else None,
        }
    if other is not None:
        both = known & ~np.isnan(other)
        for figure in (auroc, average_precision):
            difference = paired_difference(
                figure, rows.labels[both], said[both], other[both], rows.stay[both], np.random.default_rng(7), ROUNDS
            )
            found[f"{figure.__name__}_minus_lightgbm"] = difference.estimate if difference else None
            found[f"{figure.__name__}_minus_lightgbm_interval"] = difference.interval if difference else None
    return found


def recovered(rows: Rows, ours: Floats, frozen: Floats, refitted: Floats) -> Line:
    """Give the share of the gap from the frozen to the refitted model that ours recovers, with an interval by stay."""

    def share(chosen: Bools | np.ndarray[Any, Any]) -> float | None:
        areas = [auroc(rows.labels[chosen], said[chosen]) for said in (ours, frozen, refitted)]
        if None in areas or areas[2] == areas[1]:
            return None
        own, low, high = (float(area) for area in areas if area is not None)
        return (own - low) / (high - low)

    order = np.argsort(rows.stay, kind="stable")
    borders = np.flatnonzero(np.diff(rows.stay[order])) + 1
    of_stay = np.split(order, borders)
    generator = np.random.default_rng(7)
    drawn = []
    for _ in range(ROUNDS):
        chosen = np.concatenate([of_stay[at] for at in generator.integers(len(of_stay), size=len(of_stay))])
        if (one := share(chosen)) is not None:
            drawn.append(one)
    interval = np.percentile(drawn, [2.5, 97.5]).round(3).tolist() if drawn else None
    return {"recovered": share(np.arange(len(rows.labels))), "interval": interval}


COLUMNS = (
    ("auroc", "AUROC"), ("auroc_minus_lightgbm", "less LightGBM"), ("auroc_minus_lightgbm_interval", "95 %"),
    ("average_precision", "AP"), ("average_precision_minus_lightgbm", "less LightGBM"), ("slope", "slope"),
    ("ece", "ECE"), ("brier_skill", "Brier skill"), ("top_decile_error", "top 10 % off by"),
    ("alerts_of_news2", "told / NEWS2 5"),
)  # fmt: skip


def show(console: Console, title: str, lines: list[Line]) -> None:
    """Print one table."""
    table = Table(title=title)
    table.add_column("learner")
    for _, heading in COLUMNS:
        table.add_column(heading, justify="right")
    for one in lines:
        table.add_row(one["learner"], *(_text(one.get(name)) for name, _ in COLUMNS))
    console.print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (tuple, list)):
        return " to ".join(f"{end:.3f}" for end in value)
    return f"{value:.4f}"
