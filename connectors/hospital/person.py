"""Who comes: age, habits of the body at rest, and what is never normal with some.

Owns the resting values and the kinds of patients, as data. Must not know what goes wrong with them.
"""

from __future__ import annotations

from random import Random

import msgspec

ADULT_FROM_YEARS = 16
"""NEWS2 is not for the younger (RCP 2017)."""
ELDERLY_FROM_YEARS = 65
"""As in Churpek et al., Crit Care Med 2015."""
CHILD_STAY_NUMBER = 3
"""Stay number 3 is a child, so that each hospital of some size has one."""
OXYGEN_STAY_NUMBER = 5
"""Stay number 5 is an old man on oxygen."""
CHILD_SHARE = 0.004
"""Children lie on wards of their own; one now and then lies here."""


CONFUSED_FROM, FRAIL_CONFUSED_FROM = 0.55, 0.08
FRAIL_SHARE = 0.26
"""Of the elderly, so many are confused by a mild illness already."""
HEART_ANSWER_ELDERLY, HEART_ANSWER_YOUNGER = (0.3, 0.8), (0.6, 1.1)
"""An old or beta-blocked heart answers less: before an arrest 88 a minute against 99 (Churpek et al., Crit Care Med
2015)."""


class Kind(msgspec.Struct, frozen=True):
    """What a long-standing illness does to the values at rest. `usual_flow` is home oxygen in L/min."""

    name: str
    share: float
    heart_rate: float = 0.0
    respiration_rate: float = 0.0
    spo2: float = 0.0
    systolic_bp: float = 0.0
    usual_flow: float = 0.0
    hypercapnic: bool = False
    """Target saturation 88 to 92 %; the ward scores by scale 2."""
    age_from: int = 0


HOME_OXYGEN = Kind("home_oxygen", 0.008, respiration_rate=2.0, spo2=-7.5, usual_flow=2.0, hypercapnic=True, age_from=60)
KINDS: tuple[Kind, ...] = (
    HOME_OXYGEN,
    Kind("chronic_lung", 0.06, heart_rate=4, respiration_rate=1.5, spo2=-4.6, hypercapnic=True, age_from=45),
    Kind("atrial_fibrillation", 0.07, heart_rate=13, systolic_bp=-4, age_from=55),
    Kind("hypertension", 0.16, systolic_bp=15, age_from=40),
    Kind("heart_failure", 0.04, heart_rate=6, respiration_rate=1.0, spo2=-1.0, systolic_bp=-14, age_from=55),
)
ORDINARY = Kind("ordinary", 0.0)


class Person(msgspec.Struct, frozen=True):
    """A patient's years, sex and values at rest; units as in `physiology.Vitals`."""

    age_years: int
    sex: str
    kind: Kind
    heart_rate: float
    respiration_rate: float
    spo2: float
    systolic_bp: float
    temperature: float
    heart_answer: float = 1.0
    """How much of a trouble's fast heart rate this heart shows."""
    confused_from: float = CONFUSED_FROM
    """The severity from which there may be new confusion."""

    @property
    def child(self) -> bool:
        """Whether NEWS2 does not apply."""
        return self.age_years < ADULT_FROM_YEARS

    @property
    def elderly(self) -> bool:
        """Whether of those among whom most deaths are."""
        return self.age_years >= ELDERLY_FROM_YEARS


def draw_person(random: Random, number: int) -> Person:
    """Draw who comes as stay `number`.

    >>> from random import Random
    >>> draw_person(Random(1), 3).child, draw_person(Random(1), 5).kind.name
    (True, 'home_oxygen')
    """
    sex = random.choice(("female", "male"))
    gauss = random.gauss
    if number == CHILD_STAY_NUMBER or random.random() < CHILD_SHARE:
        return Person(
            random.randint(6, 12), sex, ORDINARY, gauss(95, 8), gauss(20, 1.5), gauss(98, 0.6), gauss(102, 7),
            gauss(36.75, 0.2),
        )  # fmt: skip
    age_years = round(18 + 80 * random.betavariate(1.9, 1.5))
    kind = _draw_kind(random, age_years)
    if number == OXYGEN_STAY_NUMBER:
        age_years, sex, kind = 81, "male", HOME_OXYGEN
    elderly = age_years >= ELDERLY_FROM_YEARS
    return Person(
        age_years,
        sex,
        kind,
        heart_rate=gauss(77.0, 12.8) + kind.heart_rate,
        respiration_rate=gauss(16.9, 1.6) + kind.respiration_rate,
        spo2=gauss(97.7, 1.1) - max(0, age_years - 50) * 0.025 + kind.spo2,
        systolic_bp=gauss(113 + 0.26 * age_years, 18) + kind.systolic_bp,
        temperature=gauss(36.56, 0.32),
        heart_answer=random.uniform(*(HEART_ANSWER_ELDERLY if elderly else HEART_ANSWER_YOUNGER)),
        confused_from=FRAIL_CONFUSED_FROM if elderly and random.random() < FRAIL_SHARE else CONFUSED_FROM,
    )


def _draw_kind(random: Random, age_years: int) -> Kind:
    draw = random.random()
    for kind in KINDS:
        if draw < kind.share and age_years >= kind.age_from:
            return kind
        draw -= kind.share
    return ORDINARY
