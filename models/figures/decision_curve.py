"""Whether acting on a score does more good than acting on everybody or nobody: net benefit along the threshold.

Owns decision curves (Vickers and Elkin, Medical Decision Making 26 (2006) 565-574). Must not know what acting means.

A threshold probability says how many false alarms one found outcome is worth: at 5 % it is 19. Net benefit is the share
of rows that are true positives less the share that are false positives at that rate of exchange. Undefined is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from models.figures.bootstrap import BOOTSTRAP_ROUNDS, ratio_interval
from models.figures.proportions import LEVEL, Interval
from models.figures.scored_rows import Bools, Floats, Groups, Labels, Scores, checked_probabilities, truths

THRESHOLDS = tuple(n / 200.0 for n in range(1, 41))
"""Half a per cent to 20 %: from 199 false alarms for one found outcome to 4. No ward would go beyond either."""


def odds(at: float) -> float:
    """Give the odds of a threshold probability; raises `ValueError` where it does not lie inside (0, 1).

    >>> odds(0.2)
    0.25
    """
    if not 0.0 < at < 1.0:
        raise ValueError(f"a threshold probability lies between 0 and 1, not at {at}")
    return at / (1.0 - at)


def net_benefit(labels: Labels, flags: Sequence[bool] | Bools, at: float) -> float | None:
    """Give the net benefit of acting on the flagged rows at a threshold probability; None on nothing.

    >>> net_benefit([True, True, False, False, False], [True, False, True, False, False], at=0.2)
    0.15
    """
    exchange = odds(at)
    y, told = truths(labels), truths(flags, "flags")
    if y.shape != told.shape:
        raise ValueError(f"{told.shape} flags beside {len(y)} rows")
    if not len(y):
        return None
    return (int((told & y).sum()) - int((told & ~y).sum()) * exchange) / len(y)


def net_benefit_interval(
    labels: Labels,
    flags: Sequence[bool] | Bools,
    at: float,
    groups: Groups,
    generator: np.random.Generator,
    rounds: int = BOOTSTRAP_ROUNDS,
    level: float = LEVEL,
) -> Interval | None:
    """Give the bootstrap interval, by stay, of a net benefit."""
    exchange = odds(at)
    y, told = truths(labels), truths(flags, "flags")
    worth = np.where(told, np.where(y, 1.0, -exchange), 0.0)
    return ratio_interval(worth, np.ones(len(y)), groups, generator, rounds, level)


class DecisionPoint(msgspec.Struct, frozen=True):
    """Net benefits at one threshold probability. Treating nobody is 0 by definition."""

    threshold: float
    model: float
    treat_all: float
    rules: dict[str, float]
    """Of rules that only say yes or no, by name."""
    avoided_per_100: float
    """False alarms that the model avoids in 100 rows against treating all, for the same outcomes found."""
    treat_none: float = 0.0


def decision_curve(
    labels: Labels,
    probabilities: Scores,
    rules: Mapping[str, Sequence[bool] | Bools] | None = None,
    thresholds: Sequence[float] | Floats = THRESHOLDS,
) -> tuple[DecisionPoint, ...]:
    """Give the net benefit of a model, of rules, of treating all and of treating none, threshold by threshold.

    The model acts where its probability is at or above the threshold, so it is only as good as it is calibrated; a rule
    such as NEWS2 of 5 or more acts on the same rows whatever the threshold. Nothing on nothing.

    >>> point = decision_curve([True, False, False, False], [0.6, 0.3, 0.1, 0.1], {"rule": [True] * 4}, [0.2])[0]
    >>> point.model, point.treat_all == point.rules["rule"], round(point.avoided_per_100, 6)
    (0.1875, True, 50.0)
    """
    y, p = checked_probabilities(labels, probabilities)
    found = []
    for at in np.asarray(thresholds, dtype=np.float64).tolist():
        model, everybody = net_benefit(y, p >= at, at), net_benefit(y, np.ones(len(y), dtype=bool), at)
        of_rules = {name: net_benefit(y, flags, at) for name, flags in (rules or {}).items()}
        if model is None or everybody is None:
            return ()
        found.append(
            DecisionPoint(
                threshold=at,
                model=model,
                treat_all=everybody,
                rules={name: value for name, value in of_rules.items() if value is not None},
                avoided_per_100=(model - everybody) / odds(at) * 100.0,
            )
        )
    return tuple(found)
