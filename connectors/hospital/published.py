"""What is published of real wards, beside what the simulated one does: the rows of docs/hospital.md.

Owns the published figures, their sources, and how near the simulation is held to each. Must not know how a figure is
measured. Each figure was read in its abstract or table, never recalled; what could not be
read is not here.
"""

from __future__ import annotations

import msgspec

from connectors.hospital.figures_of_stays import measure_stays
from connectors.hospital.figures_of_traffic import Figures, measure_traffic
from connectors.hospital.hospital import Hospital

SEED, BEDS, DAYS, STAYS = 1, 200, 28, 120_000
"""What docs/hospital.md is measured on: a month of wards, and as many stays as make some 200 arrests."""

SOURCES: dict[str, str] = {
    "Metitiri": "Metitiri KRS, Perotte A. Delay between actual occurrence of patient vital sign and the nominal "
    "appearance in the electronic health record. Pediatr Crit Care Med 2023; 9,818,901 recordings of "
    "a paediatric ICU. Abstract. No such figure of adult wards was found.",
    "Pedersen": "Pedersen NE et al. A critical assessment of early warning score records in 168,000 patients. J "
    "Clin Monit Comput 2018 (doi 10.1007/s10877-017-0003-5); 2,835,331 NEWS records. Abstract; its "
    "first author is named from memory.",
    "Faisal": "Faisal M et al. Computer-aided National Early Warning Score to predict the risk of sepsis. CMAJ "
    "2019; table 1, validation set: 35,161 emergency medical admissions, first values. "
    "Author and year from memory; title, table and counts read.",
    "Griffiths": "Griffiths P et al. Nurse staffing levels, missed vital signs and mortality in hospitals. Health "
    "Serv Deliv Res 2018 (doi 10.3310/hsdr06380); the cohort's table of 138,133 admissions, read in "
    "BMJ Open.",
    "Redfern": "Redfern OC et al. The association between nurse staffing levels and the timeliness of vital "
    "signs monitoring. BMJ Open 2019 (doi 10.1136/bmjopen-2019-032157). Abstract: late and missed, "
    "high acuity, median; the protocol there is not the RCP's.",
    "RCP": "Royal College of Physicians. National Early Warning Score (NEWS) 2. London 2017; chart 4, response.",
    "Edelson": "Edelson DP et al. Early warning scores with and without artificial intelligence. JAMA Netw Open "
    "2024 (doi 10.1001/jamanetworkopen.2024.38986); 362,926 ward encounters. Abstract.",
    "Churpek 2014": "Churpek MM et al. Multicenter development and validation of a risk stratification tool for ward "
    "patients. Am J Respir Crit Care Med 2014; 269,999 admissions, 13,188 ICU transfers, 2,840 ward "
    "deaths. Abstract.",
    "Churpek 2015": "Churpek MM et al. Differences in vital signs between elderly and non-elderly patients prior to "
    "ward cardiac arrest. Crit Care Med 2015; 269,956 admissions. Abstract.",
    "Nolan": "Nolan JP et al. Incidence and outcome of in-hospital cardiac arrest in the UK National Cardiac "
    "Arrest Audit. Resuscitation 2014; 22,628 arrests. Abstract.",
    "Andersen": "Andersen LW et al. The prevalence and significance of abnormal vital signs prior to in-hospital "
    "cardiac arrest. Resuscitation 2016; 7,851 arrests. Abstract.",
    "Spångfors": "Spångfors M et al. In-hospital cardiac arrest and preceding National Early Warning Score. Clin "
    "Med 2020; 127 arrests, 254 controls. Abstract: medians range over four timespans of the day "
    "before; that the worst is the last is assumed here.",
}


class Row(msgspec.Struct, frozen=True):
    """One published figure, the name of ours, and how far off (in its own unit) ours may be."""

    what: str
    figure: str
    published: float
    within: float
    source: str
    decimals: int = 1


ROWS: dict[str, tuple[Row, ...]] = {
    "First vital signs of a stay": (
        Row("heart rate, mean, /min", "first.heart_rate.mean", 81.2, 3, "Faisal"),
        Row("heart rate, sd", "first.heart_rate.sd", 17.8, 4, "Faisal"),
        Row("respiration rate, mean, /min", "first.respiration_rate.mean", 18.1, 1, "Faisal"),
        Row("respiration rate, sd", "first.respiration_rate.sd", 3.6, 0.8, "Faisal"),
        Row("SpO2, mean, %", "first.spo2.mean", 95.9, 1, "Faisal"),
        Row("SpO2, sd", "first.spo2.sd", 3.0, 1.2, "Faisal"),
        Row("systolic pressure, mean, mmHg", "first.systolic_bp.mean", 129.4, 4, "Faisal"),
        Row("systolic pressure, sd", "first.systolic_bp.sd", 23, 3, "Faisal"),
        Row("diastolic pressure, mean, mmHg", "first.diastolic_bp.mean", 74.9, 3, "Faisal"),
        Row("diastolic pressure, sd", "first.diastolic_bp.sd", 14.9, 3, "Faisal"),
        Row("temperature, mean, °C", "first.temperature.mean", 36.5, 0.3, "Faisal", 2),
        Row("temperature, sd", "first.temperature.sd", 0.7, 0.3, "Faisal", 2),
        Row("on oxygen, %", "first.oxygen", 19.2, 4, "Faisal"),
        Row("alert, %", "first.alert", 98.1, 1.5, "Faisal"),
        Row("NEWS, mean", "first.news.mean", 2.1, 0.5, "Faisal", 2),
        Row("NEWS, sd", "first.news.sd", 2.3, 0.4, "Faisal", 2),
        Row("NEWS, median", "first.news.median", 1, 0.5, "Griffiths", 0),
        Row("NEWS below 3, %", "first.news.below_3", 74, 5, "Griffiths"),
        Row("NEWS 3 to 5, %", "first.news.3_5", 20, 4, "Griffiths"),
        Row("NEWS above 5, %", "first.news.from_6", 6, 4, "Griffiths"),
    ),
    "All sets on the wards": (
        Row("NEWS 1 or more, %", "news.from_1", 64, 6, "Pedersen"),
        Row("NEWS 3 or more, %", "news.from_3", 29, 4, "Pedersen"),
        Row("NEWS 6 or more, %", "news.from_6", 8, 2, "Pedersen"),
        Row("incomplete, %", "sets.incomplete", 10, 1, "Pedersen"),
        Row("an implausible value, %", "sets.implausible", 0.2, 0.15, "Pedersen", 2),
    ),
    "Charting": (
        Row("delay, lower quartile, min", "delay.p25", 13.7, 1.5, "Metitiri"),
        Row("delay, median, min", "delay.p50", 41.97, 3, "Metitiri"),
        Row("delay, upper quartile, min", "delay.p75", 104.2, 8, "Metitiri"),
        Row("interval after NEWS 0, median, h (at most 12)", "interval.0.median", 12, 4, "RCP"),
        Row("interval after NEWS 1 to 4, median, h (4 to 6)", "interval.1_4.median", 5, 1, "RCP"),
        Row("interval after NEWS 5 or 6, median, h (1)", "interval.5_6.median", 1, 0.4, "RCP", 2),
        Row("of these late by a third, %", "interval.5_6.late", 44, 6, "Redfern"),
    ),
    "Stays and how they end": (
        Row("age, lower quartile, years", "age.p25", 47, 3, "Edelson", 0),
        Row("age, median", "age.p50", 64, 3, "Edelson", 0),
        Row("age, upper quartile", "age.p75", 77, 3, "Edelson", 0),
        Row("length of stay, median, days", "stay_days.p50", 2.73, 0.3, "Griffiths", 2),
        Row("intensive care or death on the ward, % of stays", "event", 4.6, 0.5, "Edelson", 2),
        Row("moved to intensive care, %", "critical_care", 4.88, 1.4, "Churpek 2014", 2),
        Row("died on the ward, %", "ward_death", 1.05, 0.3, "Churpek 2014", 2),
        Row("died in hospital, 65 and older, %", "elderly.mortality", 2.9, 0.5, "Churpek 2015", 2),
        Row("died in hospital, younger, %", "younger.mortality", 0.7, 0.2, "Churpek 2015", 2),
        Row("died in hospital, all, % (the published with palliative care)", "mortality", 4.1, 3, "Griffiths", 2),
        Row("cardiac arrests per 1,000 stays", "arrest_per_1000", 1.6, 0.4, "Nolan", 2),
        Row("the same, 65 and older", "elderly.arrest_per_1000", 2.2, 0.6, "Churpek 2015", 2),
        Row("the same, younger", "younger.arrest_per_1000", 1.0, 0.4, "Churpek 2015", 2),
        Row("of arrests, survived to discharge, %", "arrest.survived", 18.4, 7, "Nolan"),
    ),
    "Before an event": (
        Row("AUROC of NEWS for intensive care or death in 24 h", "news.auroc", 0.829, 0.07, "Edelson", 3),
        Row("NEWS, median, 24 to 18 h before an arrest", "arrest.news.first.p50", 3, 2, "Spångfors", 0),
        Row("its upper quartile", "arrest.news.first.p75", 6, 3, "Spångfors", 0),
        Row("NEWS, median, last 6 h before an arrest", "arrest.news.last.p50", 6, 2, "Spångfors", 0),
        Row("its lower quartile", "arrest.news.last.p25", 3, 2, "Spångfors", 0),
        Row("its upper quartile", "arrest.news.last.p75", 9, 3, "Spångfors", 0),
        Row("of these at NEWS 7 or more, %", "arrest.news.last.from_7", 45, 15, "Spångfors"),
        Row("NEWS, median, of the others", "controls.news.p50", 1, 1, "Spångfors", 0),
        Row("its upper quartile", "controls.news.p75", 3, 1, "Spångfors", 0),
        Row("of these at NEWS 7 or more, %", "controls.news.from_7", 6, 4, "Spångfors"),
        Row("an abnormal sign 1 to 4 h before an arrest, %", "arrest.abnormal", 59.4, 25, "Andersen"),
        Row("a severely abnormal one, %", "arrest.severe", 13.4, 9, "Andersen"),
        Row("heart rate 4 h before an arrest, 65 and older, mean", "arrest.elderly.heart_rate", 88, 14, "Churpek 2015"),
        Row("the same, younger", "arrest.younger.heart_rate", 99, 14, "Churpek 2015"),
    ),
}
TREND_WINDOWS = (("24", "24 to 12 h"), ("12", "12 to 4 h"), ("4", "last 4 h"))
TREND_NAMES = (
    ("heart_rate", "heart rate, /min"),
    ("respiration_rate", "respiration rate, /min"),
    ("systolic_bp", "systolic pressure, mmHg"),
    ("spo2", "SpO2, %"),
    ("news", "NEWS"),
)

TITLE = "# The simulated hospital beside published figures"
HEAD = """\
Written by `make hospital`; do not edit. The tables are measured on seed {seed}: {beds} ward beds for {days}
days ({sets} sets of vital signs, {first} adult stays), and {stays} adult stays drawn, of which {arrests} have
an arrest. The same seed gives the same figures. `tests/connectors/hospital/test_published.py` holds these
tables to the code, and each row to the bound in its column "within".

No patient stands behind any simulated figure. The published ones come from different countries, cohorts and
years and disagree among themselves, so a simulation can lie near each but not on all. They were read in the
abstract or table named below; a figure that could not be read is left out. NEWS is by scale 1 and of complete
sets, as published; the child (stay 3) is left out. Of NEWS2's own bands over all sets of a hospital no
published shares were found: ours are given alone.
"""


def measure() -> Figures:
    """Measure what docs/hospital.md shows; some seconds."""
    return measure_traffic(Hospital(SEED, BEDS, DAYS * 24)) | measure_stays(SEED, STAYS)


def write_tables(figures: Figures) -> str:
    """Give the generated part of docs/hospital.md."""
    head = HEAD.format(
        seed=SEED, beds=BEDS, days=DAYS, sets=f"{figures['sets']:,.0f}", first=f"{figures['stays']:,.0f}",
        stays=f"{figures['admissions']:,.0f}", arrests=f"{figures['arrests']:.0f}",
    )  # fmt: skip
    parts = [TITLE, "", head]
    for title, rows in ROWS.items():
        parts += [f"## {title}", "", "| what | published | simulated | off by | within | source |"]
        parts += ["| --- | ---: | ---: | ---: | ---: | --- |", *(_line(row, figures[row.figure]) for row in rows), ""]
    parts += ["## Simulated only", "", _bands(figures), "", *_trends(figures), "", "## Sources", ""]
    parts += [f"- **{name}**: {text}" for name, text in SOURCES.items()]
    return "\n".join(parts) + "\n"


def _line(row: Row, simulated: float) -> str:
    places = row.decimals
    off = round(simulated - row.published, places) + 0.0
    return (
        f"| {row.what} | {row.published:.{places}f} | {simulated:.{places}f} | {off:+.{places}f} | {row.within:g} "
        f"| {row.source} |"
    )


def _bands(figures: Figures) -> str:
    bands = (("0", "band_0"), ("1 to 4", "band_1_4"), ("5 or 6", "band_5_6"), ("7 or more", "band_from_7"))
    shares = ", ".join(f"{name}: {figures[f'news.{key}']:.1f} %" for name, key in bands)
    return f"NEWS bands of all ward sets: {shares}. Means before a transfer to critical care or a death:"


def _trends(figures: Figures) -> list[str]:
    lines = [f"| mean | {' | '.join(title for _, title in TREND_WINDOWS)} |", "| --- | ---: | ---: | ---: |"]
    for key, name in TREND_NAMES:
        cells = " | ".join(f"{figures[f'event.{key}.{window}']:.1f}" for window, _ in TREND_WINDOWS)
        lines.append(f"| {name} | {cells} |")
    return lines
