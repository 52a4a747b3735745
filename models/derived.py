"""Inputs that a clinician derives from others: ratios, differences, counts, each from the values of one row.

Owns their names, what they are made of, and the arithmetic. Must not know a patient: it is given numbers, NaN where
unknown, and an unknown part makes an unknown whole. Values that are too old have been taken out before.

Sources: shock index, Allgöwer and Burri 1967; modified with the mean pressure, Liu et al. 2012; times age, Kim et al.
2016. SpO2/FiO2, Rice et al. 2007; ROX index, Roca et al. 2016; PaO2/FiO2 as in the Berlin definition, 2012. SIRS, Bone
et al. 1992, as far as its criteria are known.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, nan

Formula = Callable[..., float]


def ratio(above: float, below: float) -> float:
    """Divide; NaN where either is unknown, or nothing positive is divided by.

    >>> ratio(120.0, 80.0), ratio(120.0, 0.0)
    (1.5, nan)
    """
    return above / below if below > 0.0 else nan


def _percent_ratio(above: float, percent: float) -> float:
    return above * 100.0 / percent if percent > 0.0 else nan


def _rox(spo2: float, fio2: float, respiration_rate: float) -> float:
    below = fio2 * respiration_rate
    return spo2 * 100.0 / below if below > 0.0 else nan


def _age_shock(age: float, heart_rate: float, systolic: float) -> float:
    return age * heart_rate / systolic if systolic > 0.0 else nan


def _anion_gap(sodium: float, chloride: float, bicarbonate: float) -> float:
    return sodium - chloride - bicarbonate


def _urea_to_creatinine(urea: float, creatinine: float) -> float:
    return urea * 1000.0 / creatinine if creatinine > 0.0 else nan


def _difference(high: float, low: float) -> float:
    return high - low


def _total(*counts: float) -> float:
    return sum(counts)


def sirs_known(
    temperature: float, heart_rate: float, respiration_rate: float, paco2: float, white_cells: float
) -> float:
    """Count the SIRS criteria that are met by what is known; NaN where none of the five values is.

    Cel, /min, /min, mm[Hg], 10*9/L.

    >>> sirs_known(38.5, 95.0, 18.0, nan, nan), sirs_known(nan, nan, nan, nan, nan)
    (2.0, nan)
    """
    if isnan(temperature) and isnan(heart_rate) and isnan(respiration_rate) and isnan(paco2) and isnan(white_cells):
        return nan
    return (
        float(temperature > 38.0 or temperature < 36.0)
        + float(heart_rate > 90.0)
        + float(respiration_rate > 20.0 or paco2 < 32.0)
        + float(white_cells > 12.0 or white_cells < 4.0)
    )


def _counts(features: str) -> tuple[str, ...]:
    return tuple(f"{feature}.count_24h" for feature in features.split())


FORMULAS: dict[str, tuple[tuple[str, ...], Formula]] = {
    "shock_index": (("heart_rate.last", "systolic_bp.last"), ratio),
    "modified_shock_index": (("heart_rate.last", "mean_bp.last"), ratio),
    "age_shock_index": (("age_years", "heart_rate.last", "systolic_bp.last"), _age_shock),
    "pulse_pressure": (("systolic_bp.last", "diastolic_bp.last"), _difference),
    "spo2_to_fio2": (("spo2.last", "fio2.last"), _percent_ratio),
    "pao2_to_fio2": (("pao2.last", "fio2.last"), _percent_ratio),
    "rox_index": (("spo2.last", "fio2.last", "respiration_rate.last"), _rox),
    "urea_to_creatinine": (("urea.last", "creatinine.last"), _urea_to_creatinine),
    "anion_gap": (("sodium.last", "chloride.last", "bicarbonate.last"), _anion_gap),
    "sirs_known": (
        ("temperature.last", "heart_rate.last", "respiration_rate.last", "paco2.last", "white_cells.last"),
        sirs_known,
    ),
    "vital_count_24h": (
        _counts("heart_rate respiration_rate spo2 systolic_bp diastolic_bp mean_bp temperature"),
        _total,
    ),
    "gas_count_24h": (_counts("ph paco2 lactate base_excess fio2"), _total),
    "laboratory_count_24h": (
        _counts("white_cells platelets creatinine potassium glucose bilirubin ptt magnesium"),
        _total,
    ),
}
"""Name: (what it is made of, how). The parts are names of `features.vector`."""
