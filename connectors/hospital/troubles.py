"""What goes wrong with simulated patients: each trouble as a row of numbers, with the treatment that reverses it.

Owns the courses as data. Must not know patients, charts or messages. The sizes are plausible, chosen by the course that
textbooks and the RCP's NEWS2 report (2017) describe, and tuned as a whole to published distributions
(docs/hospital.md); no row is fitted to patients.
"""

from __future__ import annotations

from typing import Literal

import msgspec

TroubleName = Literal["sepsis", "bleeding", "respiratory", "arrhythmia", "opioid"]
Ending = Literal["home", "critical_care", "cardiac_arrest", "death"]


class Pull(msgspec.Struct, frozen=True):
    """By how much a trouble at its worst moves the vital signs: /min, /min, %, mmHg, degrees Celsius."""

    heart_rate: float = 0.0
    respiration_rate: float = 0.0
    spo2: float = 0.0
    systolic_bp: float = 0.0
    temperature: float = 0.0


class Treatment(msgspec.Struct, frozen=True):
    """What is done about it. The cause and the circulation (fluids, blood) recover at their own pace."""

    name: str
    share: float
    """Of those treated, so many get this one."""
    cause_half_life_h: float
    circulation_half_life_h: float


class Trouble(msgspec.Struct, frozen=True):
    """One kind of deterioration.

    Early signs grow as severity does, late ones (the pressure that falls once the body no longer makes up for it) as
    its square. `bloods` gives, by LOINC code, how far the early and the late course move a blood test.
    """

    name: TroubleName
    share: float
    """Of adult admissions, before age is reckoned in."""
    ramp_h: tuple[float, float]
    """From onset to its worst, untreated; drawn from this range."""
    early_h: float | None
    """The early signs are all there after so long, for what comes suddenly; None: they grow with the rest."""
    early: Pull
    late: Pull
    bloods: dict[str, tuple[float, float]]
    treatments: tuple[Treatment, ...]
    drowsy: bool = False
    """Clouds consciousness to Voice and Pain, not to new Confusion."""


WHITE_CELLS, PLATELETS, HAEMOGLOBIN = "6690-2", "777-3", "718-7"
CREATININE, UREA, SODIUM, POTASSIUM, CRP, LACTATE = "14682-9", "22664-7", "2951-2", "2823-3", "1988-5", "2524-7"

SEPSIS = Trouble(
    "sepsis",
    share=0.034,
    ramp_h=(14.0, 40.0),
    early_h=None,
    early=Pull(heart_rate=36, respiration_rate=10, spo2=-5, systolic_bp=-8, temperature=1.9),
    late=Pull(heart_rate=8, respiration_rate=3, systolic_bp=-36),
    bloods={
        WHITE_CELLS: (9, 0),
        PLATELETS: (-60, -50),
        CREATININE: (30, 60),
        UREA: (3, 4),
        CRP: (190, 0),
        LACTATE: (0.8, 3.7),
    },
    treatments=(Treatment("antibiotics and fluids", 1.0, cause_half_life_h=12.0, circulation_half_life_h=3.0),),
)
BLEEDING = Trouble(
    "bleeding",
    share=0.013,
    ramp_h=(6.0, 20.0),
    early_h=None,
    early=Pull(heart_rate=38, respiration_rate=5, spo2=-1, systolic_bp=-8, temperature=-0.3),
    late=Pull(heart_rate=10, respiration_rate=5, systolic_bp=-46, temperature=-0.4),
    bloods={HAEMOGLOBIN: (-15, -38), UREA: (8, 3), LACTATE: (0.6, 4.6), WHITE_CELLS: (2, 0), CREATININE: (0, 40)},
    treatments=(Treatment("transfusion and endoscopy", 1.0, cause_half_life_h=5.0, circulation_half_life_h=1.5),),
)
RESPIRATORY = Trouble(
    "respiratory",
    share=0.034,
    ramp_h=(10.0, 36.0),
    early_h=None,
    early=Pull(heart_rate=18, respiration_rate=12, spo2=-11, systolic_bp=5, temperature=0.4),
    late=Pull(heart_rate=8, respiration_rate=5, spo2=-4, systolic_bp=-10),
    bloods={CRP: (70, 0), WHITE_CELLS: (3, 0), LACTATE: (0.2, 1.0)},
    treatments=(
        Treatment("oxygen, nebulisers, antibiotics", 1.0, cause_half_life_h=10.0, circulation_half_life_h=4.0),
    ),
)
ARRHYTHMIA = Trouble(
    "arrhythmia",
    share=0.014,
    ramp_h=(5.0, 18.0),
    early_h=0.3,
    early=Pull(heart_rate=62, respiration_rate=3, systolic_bp=-6),
    late=Pull(heart_rate=8, respiration_rate=6, spo2=-4, systolic_bp=-40),
    bloods={POTASSIUM: (-0.8, 0), LACTATE: (0.2, 2.8), CREATININE: (0, 30)},
    treatments=(
        Treatment("cardioversion", 0.35, cause_half_life_h=0.1, circulation_half_life_h=0.3),
        Treatment("rate control", 0.65, cause_half_life_h=3.0, circulation_half_life_h=2.0),
    ),
)
OPIOID = Trouble(
    "opioid",
    share=0.007,
    ramp_h=(1.5, 5.0),
    early_h=None,
    early=Pull(heart_rate=-8, respiration_rate=-8.5, spo2=-9, systolic_bp=-8),
    late=Pull(heart_rate=-4, respiration_rate=-1.5, spo2=-5, systolic_bp=-8),
    bloods={LACTATE: (0.0, 0.6)},
    treatments=(Treatment("naloxone", 1.0, cause_half_life_h=0.12, circulation_half_life_h=0.12),),
    drowsy=True,
)
TROUBLES: tuple[Trouble, ...] = (SEPSIS, BLEEDING, RESPIRATORY, ARRHYTHMIA, OPIOID)

BROUGHT_IN: tuple[tuple[Trouble, float], ...] = ((SEPSIS, 0.5), (RESPIRATORY, 0.36), (BLEEDING, 0.14))
"""What an emergency patient is admitted with, milder, and already treated."""
