"""The catalogue's rows: codes, unit, what is possible, how long a value counts.

Owns the data. Must not know how a code is looked up or a value used. LOINC codes were checked against loinc.org's
names where a stored page was to be had and by LOINC's check digit (a test); MDC numbers are IEEE 11073-10101
(partition * 65536 + code); SNOMED CT observables are those of UK feeds: CareConnect, the NHS NEWS2 guidance, and the
codes most used in English primary care. Possible ranges are wide on purpose: impossible is not extreme. Molar masses
in g/mol from the IUPAC 2021 atomic weights.
"""

from __future__ import annotations

import msgspec

HOUR_MS = 3_600_000

VITAL_AGE_H = 12
"""NEWS2's longest interval between observations (RCP 2017): an older vital sign says nothing of now."""
GAS_AGE_H = 12
"""Blood gases and lactate change within hours; half a day is the longest they are let stand."""
LAB_AGE_H = 48
"""Blood tests on a ward are daily: one missed round is allowed for."""
SLOW_AGE_H = 72
"""Weight, and tests that are repeated every few days."""
STATEMENT_AGE_H = 7 * 24
"""What a feed says of a patient and nobody measured is looked at again each week (docs/decisions/0026)."""


class FeatureRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table; `Feature` documents the fields. Codes are blank-separated, one text a code system."""

    name: str
    unit: str
    low: float
    high: float
    age_h: int
    decimals: int = 0
    loinc: str = ""
    mdc: str = ""
    snomed: str = ""
    unit_optional: bool = False
    coded: bool = False
    steps: int = 1000
    molar_mass: float = 0.0
    valence: int = 0
    molar_mass_by_code: tuple[tuple[str, float], ...] = ()


_VITALS = (
    # 0 is possible: asystole and apnoea are charted as 0, and a lead that fell off must be looked at, not hidden.
    FeatureRow(
        name="heart_rate", unit="/min", low=0, high=350, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="8867-4 8889-8 76282-3 8893-0",
        mdc="147842 MDC_ECG_HEART_RATE MDC_ECG_CARD_BEAT_RATE 149530 MDC_PULS_OXIM_PULS_RATE 149514 MDC_PULS_RATE "
        "149546 MDC_PULS_RATE_NON_INV 149522 MDC_BLD_PULS_RATE_INV",
        snomed="364075005 78564009 8499008",
    ),
    FeatureRow(
        name="respiration_rate", unit="/min", low=0, high=120, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="9279-1", snomed="86290005",
        mdc="151562 MDC_RESP_RATE 151578 MDC_TTHOR_RESP_RATE 151594 MDC_CO2_RESP_RATE",
    ),
    # 0 % is a probe without a pulse, never a saturation.
    FeatureRow(
        name="spo2", unit="%", low=1, high=100, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="59408-5 2708-6", mdc="150456 MDC_PULS_OXIM_SAT_O2", snomed="431314004 103228002 866721000000109",
    ),
    FeatureRow(
        name="systolic_bp", unit="mm[Hg]", low=20, high=350, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="8480-6 76534-7 76215-3",
        mdc="150021 MDC_PRESS_BLD_NONINV_SYS 150033 MDC_PRESS_BLD_ART_SYS 150037 MDC_PRESS_BLD_ART_ABP_SYS "
        "150301 MDC_PRESS_CUFF_SYS 150017 MDC_PRESS_BLD_SYS",
        snomed="271649006 72313002",
    ),
    FeatureRow(
        name="diastolic_bp", unit="mm[Hg]", low=1, high=250, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="8462-4 76535-4 76213-8",
        mdc="150022 MDC_PRESS_BLD_NONINV_DIA 150034 MDC_PRESS_BLD_ART_DIA 150038 MDC_PRESS_BLD_ART_ABP_DIA "
        "150302 MDC_PRESS_CUFF_DIA 150018 MDC_PRESS_BLD_DIA",
        snomed="271650006 1091811000000102",
    ),
    FeatureRow(
        name="mean_bp", unit="mm[Hg]", low=5, high=300, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="8478-0 76536-2 76214-6",
        mdc="150023 MDC_PRESS_BLD_NONINV_MEAN 150035 MDC_PRESS_BLD_ART_MEAN 150039 MDC_PRESS_BLD_ART_ABP_MEAN "
        "150303 MDC_PRESS_CUFF_MEAN 150019 MDC_PRESS_BLD_MEAN",
        snomed="6797001",
    ),
    FeatureRow(
        name="temperature", unit="Cel", low=20, high=46, age_h=VITAL_AGE_H, decimals=1,
        loinc="8310-5 8331-1 8332-9 8328-7 8333-7 8329-5 8334-5 76011-6 76010-8 75539-7",
        mdc="150344 MDC_TEMP 150364 MDC_TEMP_BODY 150368 MDC_TEMP_CORE 150392 MDC_TEMP_TYMP 188420 MDC_TEMP_RECT "
        "188424 MDC_TEMP_ORAL 188428 MDC_TEMP_EAR 188496 MDC_TEMP_AXIL 150348 MDC_TEMP_FOLEY 150372 MDC_TEMP_ESOPH "
        "150380 MDC_TEMP_NASOPH 188436 MDC_TEMP_BLD",
        snomed="386725007 276885007 415945006 415882003 415974002 307047009 703421000",
    ),
    # 20: a fraction of 0.2 is how some charts round air. 0.4 sent as percent is impossible, and is not made 40.
    FeatureRow(
        name="fio2", unit="%", low=20, high=100, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="3150-6 3150-0 19994-3 19996-8", mdc="152196 MDC_CONC_AWAY_O2_INSP", snomed="250774007",
    ),
    FeatureRow(
        name="o2_flow", unit="L/min", low=0, high=100, age_h=VITAL_AGE_H, decimals=1,
        loinc="3151-8 19941-4", snomed="427081008",
    ),
    FeatureRow(
        name="supplemental_oxygen", unit="{score}", low=0, high=1, age_h=VITAL_AGE_H, coded=True, snomed="371825009",
    ),
    FeatureRow(
        name="consciousness", unit="{score}", low=0, high=4, age_h=VITAL_AGE_H, coded=True,
        loinc="67775-7 80288-4 11454-6", snomed="1104441000000107",
    ),
    FeatureRow(
        name="gcs_total", unit="{score}", low=3, high=15, age_h=VITAL_AGE_H, unit_optional=True,
        loinc="9269-2", snomed="248241002",
    ),
    FeatureRow(
        name="etco2", unit="mm[Hg]", low=0, high=150, age_h=VITAL_AGE_H,
        loinc="19891-1 19889-5", mdc="151708 MDC_CONC_AWAY_CO2_ET MDC_AWAY_CO2_ET",
    ),
    FeatureRow(
        name="urine_output", unit="mL", low=0, high=10_000, age_h=VITAL_AGE_H, loinc="9187-6", snomed="364202003",
    ),
    FeatureRow(
        name="weight", unit="kg", low=0.2, high=700, age_h=SLOW_AGE_H, decimals=1,
        loinc="29463-7 3141-9", mdc="188736 MDC_MASS_BODY_ACTUAL", snomed="27113001",
    ),
)  # fmt: skip

_GASES = (
    FeatureRow(
        name="ph", unit="[pH]", low=6.3, high=8.0, age_h=GAS_AGE_H, decimals=2, unit_optional=True, loinc="2744-1",
    ),
    FeatureRow(name="paco2", unit="mm[Hg]", low=4, high=250, age_h=GAS_AGE_H, loinc="2019-8"),
    FeatureRow(name="pao2", unit="mm[Hg]", low=5, high=800, age_h=GAS_AGE_H, loinc="2703-7"),
    FeatureRow(
        name="sao2", unit="%", low=1, high=100, age_h=GAS_AGE_H, unit_optional=True, loinc="2713-6 2714-4",
        snomed="442476006",
    ),
    FeatureRow(
        name="base_excess", unit="mmol/L", low=-50, high=50, age_h=GAS_AGE_H, decimals=1, valence=1,
        loinc="1925-7 11555-0",
    ),
    FeatureRow(
        name="lactate", unit="mmol/L", low=0.05, high=50, age_h=GAS_AGE_H, decimals=1, molar_mass=90.078, valence=1,
        loinc="2524-7 32693-4 2518-9",
    ),
)  # fmt: skip

_LABS = (
    FeatureRow(
        name="white_cells", unit="10*9/L", low=0, high=1000, age_h=LAB_AGE_H, decimals=1,
        loinc="6690-2 26464-8 804-5", snomed="1022541000000102",
    ),
    FeatureRow(
        name="platelets", unit="10*9/L", low=0, high=5000, age_h=LAB_AGE_H, loinc="777-3 26515-7",
        snomed="1022651000000100",
    ),
    FeatureRow(
        name="haemoglobin", unit="g/L", low=10, high=300, age_h=LAB_AGE_H, loinc="718-7",
        snomed="1022431000000105",
    ),
    FeatureRow(name="haematocrit", unit="%", low=3, high=85, age_h=LAB_AGE_H, decimals=1, loinc="4544-3 20570-8"),
    FeatureRow(
        name="creatinine", unit="umol/L", low=1, high=5000, age_h=LAB_AGE_H, molar_mass=113.12,
        loinc="2160-0 38483-4 14682-9", snomed="1000731000000107",
    ),
    # Urea nitrogen (BUN) weighs 2 N a urea, 28.014; urea itself 60.056: the mass belongs to the code.
    FeatureRow(
        name="urea", unit="mmol/L", low=0.1, high=150, age_h=LAB_AGE_H, decimals=1,
        loinc="22664-7 14937-7 3094-0 6299-2 3091-6", snomed="1000951000000103",
        molar_mass_by_code=(("3094-0", 28.014), ("6299-2", 28.014), ("3091-6", 60.056)),
    ),
    FeatureRow(
        name="bilirubin", unit="umol/L", low=0, high=1500, age_h=LAB_AGE_H, molar_mass=584.66,
        loinc="1975-2 42719-5 14631-6",
    ),
    FeatureRow(
        name="bilirubin_direct", unit="umol/L", low=0, high=1500, age_h=LAB_AGE_H, molar_mass=584.66,
        loinc="1968-7 14629-0",
    ),
    FeatureRow(
        name="glucose", unit="mmol/L", low=0.1, high=120, age_h=LAB_AGE_H, decimals=1, molar_mass=180.156,
        loinc="2345-7 2339-0 41653-7 14749-6 15074-8 14743-9",
    ),
    FeatureRow(
        name="sodium", unit="mmol/L", low=80, high=220, age_h=LAB_AGE_H, molar_mass=22.990, valence=1,
        loinc="2951-2 2947-0", snomed="1000661000000107",
    ),
    FeatureRow(
        name="potassium", unit="mmol/L", low=0.5, high=20, age_h=LAB_AGE_H, decimals=1, molar_mass=39.098, valence=1,
        loinc="2823-3 6298-4", snomed="1000651000000109",
    ),
    # Total CO2 (2028-9, 20565-8) is what US chemistry panels report as bicarbonate.
    FeatureRow(
        name="bicarbonate", unit="mmol/L", low=1, high=80, age_h=LAB_AGE_H, molar_mass=61.017, valence=1,
        loinc="1963-8 1959-6 1960-4 2028-9 20565-8",
    ),
    FeatureRow(
        name="chloride", unit="mmol/L", low=40, high=200, age_h=LAB_AGE_H, molar_mass=35.45, valence=1,
        loinc="2075-0 2069-3",
    ),
    # ng/L; conventional assays report ug/L (= ng/mL). Tenths suffice and keep squares within 63 bits.
    FeatureRow(
        name="troponin_i", unit="ng/L", low=0, high=2_000_000, age_h=LAB_AGE_H, steps=10,
        loinc="10839-9 89579-7 49563-0 42757-5",
    ),
    FeatureRow(
        name="crp", unit="mg/L", low=0, high=1500, age_h=LAB_AGE_H, loinc="1988-5 30522-7", snomed="1001371000000100",
    ),
    FeatureRow(name="ast", unit="U/L", low=0, high=100_000, age_h=LAB_AGE_H, steps=10, loinc="1920-8 30239-8"),
    FeatureRow(name="alp", unit="U/L", low=0, high=20_000, age_h=LAB_AGE_H, steps=10, loinc="6768-6"),
    FeatureRow(name="ptt", unit="s", low=5, high=400, age_h=LAB_AGE_H, decimals=1, loinc="3173-2 14979-9"),
    FeatureRow(name="fibrinogen", unit="g/L", low=0, high=30, age_h=LAB_AGE_H, decimals=1, loinc="3255-7"),
    FeatureRow(
        name="calcium", unit="mmol/L", low=0.2, high=8, age_h=LAB_AGE_H, decimals=2, molar_mass=40.078, valence=2,
        loinc="17861-6 49765-1 2000-8",
    ),
    FeatureRow(
        name="magnesium", unit="mmol/L", low=0.05, high=15, age_h=LAB_AGE_H, decimals=2, molar_mass=24.305, valence=2,
        loinc="19123-9 2601-3",
    ),
    # Mass concentrations of phosphate are of phosphorus (LOINC 2777-1 is reported as P).
    FeatureRow(
        name="phosphate", unit="mmol/L", low=0.02, high=15, age_h=LAB_AGE_H, decimals=2, molar_mass=30.974,
        loinc="2777-1 14879-1",
    ),
)  # fmt: skip

_STATEMENTS = (
    # 0 not pregnant, 1 pregnant, 2 unknown.
    FeatureRow(
        name="pregnancy", unit="{score}", low=0, high=2, age_h=STATEMENT_AGE_H, coded=True, loinc="82810-3",
    ),
)  # fmt: skip

FEATURE_ROWS: tuple[FeatureRow, ...] = (*_VITALS, *_GASES, *_LABS, *_STATEMENTS)
"""In order: a feature's index is its place here, so new rows go to the end of the last group."""

GAS_SPECIMENS: frozenset[str] = frozenset({"BLDA", "ABLD", "122552005", "BLDC", "BLDV", "122554006", "122555007"})
"""Specimen codes (HL7 tables 0487 and 0070, SNOMED CT) that make 2708-6 a blood gas: arterial, capillary, venous."""
REDIRECTED: dict[tuple[str, str], tuple[frozenset[str], str]] = {("loinc", "2708-6"): (GAS_SPECIMENS, "sao2")}
"""A code that means another feature when one of these qualifiers stands beside it."""
