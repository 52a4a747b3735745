"""Which pairs of inputs are looked at together: chosen beforehand, on clinical grounds, and declared.

Owns the list. Must not know how a pair is learned. Chosen by nobody's labels, so that no test is spoiled by the choice;
each group below says why its members belong together. Names that a release does not compute are left out.
"""

from __future__ import annotations

from itertools import combinations, product

from models.rows import Inputs

PAIRS_WANTED_MAX = 400
"""Pairs beyond this are left out, from the end of the list: a row's learning pays for each one."""

TOGETHER: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # A vital sign means one thing at rest and another beside the other vital signs: shock, failure of breathing, fever.
    (
        ("heart_rate", "respiration_rate", "spo2", "systolic_bp", "mean_bp", "temperature", "fio2"),
        ("heart_rate", "respiration_rate", "spo2", "systolic_bp", "mean_bp", "temperature", "fio2"),
    ),
    # Perfusion: pressure and pulse beside lactate and the acids.
    (("systolic_bp", "mean_bp", "heart_rate"), ("lactate", "bicarbonate", "base_excess", "ph")),
    # Infection: heat, pulse and breathing beside the white cells.
    (("temperature", "heart_rate", "respiration_rate"), ("white_cells", "crp")),
    # Organs: kidney, liver, marrow and clotting fail together, and with low pressure.
    (
        ("creatinine", "urea", "bilirubin", "platelets", "ptt", "lactate", "white_cells"),
        ("creatinine", "urea", "bilirubin", "platelets", "ptt", "lactate", "white_cells"),
    ),
    (("systolic_bp", "mean_bp"), ("creatinine", "urea", "platelets")),
    # Gas exchange.
    (("spo2", "respiration_rate", "fio2"), ("paco2", "ph", "bicarbonate", "fio2", "sao2")),
)
"""Features whose last values are paired, each of the first with each of the second."""

OF_STAY = ("age_years", "hours_since_admission")
"""Inputs that change what every other one means: each is paired with all features above and their trends."""

TRENDS = ("delta_baseline", "slope_6h", "mean_6h", "max_6h", "min_6h", "change", "age_h")


def clinical_pairs(inputs: Inputs) -> tuple[tuple[int, int], ...]:
    """Give the pairs of positions there are among these inputs, in a fixed order.

    >>> clinical_pairs(Inputs(("heart_rate.last", "age_years", "spo2.last")))
    ((0, 2), (1, 0), (1, 2))
    """
    wanted: dict[frozenset[str], tuple[str, str]] = {}

    def want(first: str, second: str) -> None:
        if first != second:
            wanted.setdefault(frozenset((first, second)), (first, second))

    want(*OF_STAY)
    features = list(dict.fromkeys(name for group in TOGETHER for side in group for name in side))
    for one, other in TOGETHER:
        for first, second in product(one, other):
            want(f"{first}.last", f"{second}.last")
    for of_stay, feature in product(OF_STAY, features):
        want(of_stay, f"{feature}.last")
    for feature in features:
        for trend in TRENDS:
            want(f"{feature}.last", f"{feature}.{trend}")
    for of_stay, feature, trend in product(OF_STAY[::-1], features, TRENDS):
        want(of_stay, f"{feature}.{trend}")
    for first, second in combinations(features, 2):
        want(f"{first}.age_h", f"{second}.age_h")
    place = {name: at for at, name in enumerate(inputs.names)}
    found = [(place[a], place[b]) for a, b in wanted.values() if a in place and b in place]
    return tuple(found[:PAIRS_WANTED_MAX])
