"""How long the figures take on a hospital-year of rows, and how much memory.

Owns the made-up rows and the table it prints. Must not know what a figure means. The rows are random: this measures
time, nothing else. Run: `python benchmarks/figures.py --rows 800000 --rounds 1000` (about a minute on one core).
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from time import process_time

import numpy as np

from events import MILLIS_PER_HOUR
from models.figures.alert_episodes import onsets_of
from models.figures.bootstrap import bootstrap_interval, paired_difference
from models.figures.calibration import brier, calibration_figures, expected_calibration_error
from models.figures.challenge_utility import utility_curve, utility_interval
from models.figures.decision_curve import decision_curve
from models.figures.discrimination import auroc, average_precision
from models.figures.operating_points import alert_curve, hours_share_interval, operating_curve
from models.figures.subgroups import subgroup_figures

HOURS_A_STAY = 40


def main() -> None:
    """Print seconds of CPU by figure, and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--rounds", type=int, default=1000)
    asked = parser.parse_args()
    generator = np.random.default_rng(1)
    stays = asked.rows // HOURS_A_STAY
    groups = np.repeat(np.arange(stays), HOURS_A_STAY)
    times = np.tile(np.arange(HOURS_A_STAY) * MILLIS_PER_HOUR, stays)
    risk = np.repeat(generator.normal(-5.0, 1.0, stays), HOURS_A_STAY) + generator.normal(0.0, 0.7, len(groups))
    promised = 1.0 / (1.0 + np.exp(-risk))
    labels = generator.random(len(groups)) < promised
    other = np.clip(promised * generator.lognormal(0.0, 0.5, len(groups)), 0.0, 1.0)
    names = np.where(groups % 2 == 0, "female", "male")
    onsets = onsets_of(labels, groups, times + 6 * MILLIS_PER_HOUR)
    drawn, rounds = np.random.default_rng(2), asked.rounds
    work: dict[str, Callable[[], object]] = {
        f"AUROC, interval of {rounds} rounds": lambda: bootstrap_interval(
            auroc, labels, promised, groups, drawn, rounds
        ),
        f"average precision, {rounds} rounds": lambda: bootstrap_interval(
            average_precision, labels, promised, groups, drawn, rounds
        ),
        f"Brier, {rounds} rounds": lambda: bootstrap_interval(brier, labels, promised, groups, drawn, rounds),
        f"ECE, {rounds} rounds": lambda: bootstrap_interval(
            expected_calibration_error, labels, promised, groups, drawn, rounds
        ),
        f"AUROC of two models, {rounds} rounds": lambda: paired_difference(
            auroc, labels, promised, other, groups, drawn, rounds
        ),
        f"share at equal sensitivity, {rounds} rounds": lambda: hours_share_interval(
            labels, promised, other > np.quantile(other, 0.9), groups, drawn, rounds
        ),
        f"utility, {rounds} rounds": lambda: utility_interval(labels, promised > 0.05, groups, drawn, rounds),
        "all of calibration": lambda: calibration_figures(labels, promised, groups),
        "100 thresholds by hour": lambda: operating_curve(labels, promised),
        "40 thresholds by alert": lambda: alert_curve(promised, groups, times, onsets),
        "utility at 100 thresholds": lambda: utility_curve(labels, promised, groups),
        "decision curve, 40 thresholds": lambda: decision_curve(labels, promised),
        "two subgroups": lambda: subgroup_figures(labels, promised, groups, names, times, 0.05),
    }
    print(f"| figure, {len(groups):,} rows of {stays:,} stays | CPU s |\n| --- | --: |")
    for name, compute in work.items():
        began = process_time()
        compute()
        print(f"| {name} | {process_time() - began:.2f} |", flush=True)
    print(f"\nPeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB.")


if __name__ == "__main__":
    main()
