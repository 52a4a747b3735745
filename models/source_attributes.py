"""The source attributes that a predictive decision support intervention owes its users in the United States.

Owns the 31 attributes of 45 CFR 170.315(b)(11)(iv)(B) (ONC's HTI-1 final rule, 2024), in our own words and the rule's
order, answered for one version. Must not know how a card is laid out. What a version does not hold is answered "not
known" or "none", never left out: an empty answer is what a reviewer has to see first.
"""

from __future__ import annotations

import msgspec

from events import to_iso
from models.drift.served import totals_of
from models.drift.subgroups import figures_of
from models.version import ModelVersion

ATTRIBUTES_REQUIRED = 31
"""So many has the rule."""


class SourceAttribute(msgspec.Struct, frozen=True):
    """One attribute with its answer."""

    category: str
    attribute: str
    answer: str


def source_attributes(version: ModelVersion) -> tuple[SourceAttribute, ...]:
    """Answer every attribute for a version, in the rule's order.

    >>> from models.version import Lineage
    >>> from models.rows import Inputs
    >>> version = ModelVersion(inputs=Inputs(("x",)), schema_hash="", means=(0.0,), deviations=(1.0,), weights=(1.0,),
    ...     intercept=0.0, clip_sd=6.0, horizon_h=12, threshold=0.1, threshold_release=0.05, cost_of_miss=9.0,
    ...     lineage=Lineage("example", 0, 0), river_version="")
    >>> found = source_attributes(version); len(found), found[4].attribute
    (31, 'intended use')
    """
    answers = {**_of_project(), **_of_version(version)}
    return tuple(
        SourceAttribute(category, attribute, answers[attribute])
        for category, attributes in _RULE.items()
        for attribute in attributes
    )


_RULE: dict[str, tuple[str, ...]] = {
    "Details and output": ("developer and contact", "funding", "value given as output", "kind of output"),
    "Purpose": ("intended use", "intended patients", "intended users", "role in decisions"),
    "Out of scope": ("not to be used for", "known risks and limits"),
    "Development": (
        "who was included and excluded",
        "inputs that are demographic or social",
        "representativeness of the training data",
        "relevance to where it is to be used",
    ),
    "Fairness in development": ("approach to fair output", "approach to bias"),
    "External validation": (
        "data and setting of the external validation",
        "who did the external validation",
        "representativeness of the external data",
        "how the external validation was done",
    ),
    "Performance": (
        "validity on data of the training source",
        "fairness on data of the training source",
        "validity on external data",
        "fairness on external data",
        "evidence on outcomes of its use",
    ),
    "Maintenance": (
        "how validity is watched, and how often",
        "validity on local data",
        "how fairness is watched, and how often",
        "fairness on local data",
    ),
    "Updates": ("how and how often it is updated", "how and how often it is corrected"),
}


def _of_project() -> dict[str, str]:
    """Answer what is the same for every version: what the software is for and how it is kept."""
    return {
        "developer and contact": (
            "The Wardstream project; SECURITY.md and the issue tracker. A site that trains a version is its developer."
        ),
        "funding": "None but the project's own.",
        "kind of output": "A prediction (a probability), and where it passes the guardrails an alert.",
        "intended use": "To draw attention to ward patients who may deteriorate, beside NEWS2, which always stands.",
        "intended patients": "Adults of 16 and over in hospital, not pregnant, not at the end of life.",
        "intended users": "Nurses, doctors and outreach teams who are trained in NEWS2.",
        "role in decisions": "It informs. It orders nothing and replaces no observation and no escalation by NEWS2.",
        "not to be used for": (
            "Children, pregnancy, the dying, triage before admission, diagnosis, withholding care; and no patient "
            "at all before a site has validated the version and a person has signed its promotion."
        ),
        "known risks and limits": (
            "docs/safety.md (hazard log). Correlation is not cause; a missing laboratory value or a long stay "
            "moves the score; of the first readings it says little; what an alert prevented is missing among the "
            "outcomes."
        ),
        "approach to fair output": (
            "Sensitivity, PPV, calibration and alert rate by age band, sex, ward type and unit, with intervals "
            "and minimum counts; a promotion is refused where a group falls behind (docs/change-control.md)."
        ),
        "approach to bias": (
            "No outcome is learned from what clinicians thought; labels that followed an acted-on alert are "
            "marked; NEWS2's floor is the same for everybody."
        ),
        "data and setting of the external validation": (
            "None. Public ICU data (PhysioNet 2012 and 2019) are used to evaluate the method "
            "(docs/evaluation.md), not this version on a site's patients."
        ),
        "who did the external validation": "Nobody yet.",
        "representativeness of the external data": "Not known: there is no external validation.",
        "how the external validation was done": "Not done.",
        "validity on external data": "Not measured.",
        "fairness on external data": "Not measured.",
        "evidence on outcomes of its use": "None.",
        "how validity is watched, and how often": (
            "By the learner process: prequentially at every matured label, and by monitors of drift, calibration and "
            "discrimination that it looks at every two seconds (docs/drift.md)."
        ),
        "validity on local data": "What the site's own learner and `wardstream evaluate` report.",
        "how fairness is watched, and how often": "By the subgroup monitor, with the other monitors (docs/drift.md).",
        "fairness on local data": "What the site's own learner and `wardstream evaluate` report.",
        "how and how often it is updated": (
            "By promotion under the change-control plan (docs/change-control.md); a version itself never changes. "
            "How often is the site's to configure."
        ),
        "how and how often it is corrected": (
            "Where a live monitor's limit is broken the learner process demotes the version by itself, unless the site "
            "leaves that to a person; that, rollback and kill switch take effect within seconds (docs/runbook.md)."
        ),
    }


def _of_version(version: ModelVersion) -> dict[str, str]:
    """Answer what follows from the version."""
    lineage = version.lineage
    kinds = " or ".join(kind.replace("_", " ") for kind in lineage.outcome_kinds) or "the configured outcome"
    patients = "an unknown number of" if lineage.patients is None else str(lineage.patients)
    times = ", of an unknown time"
    if lineage.first_time is not None and lineage.last_time is not None:
        times = f", {to_iso(lineage.first_time)} to {to_iso(lineage.last_time)}"
    trained = f"{lineage.rows} rows of {patients} patients ({lineage.source}){times}"
    demographic = [name for name in version.inputs.names if name.split(".")[0] in _DEMOGRAPHIC]
    return {
        "value given as output": f"The probability of {kinds} within {version.horizon_h} hours.",
        "who was included and excluded": f"{trained}. Whoever had a score and a settled outcome, without patients "
        "known to be at the end of life.",
        "inputs that are demographic or social": (
            f"{', '.join(demographic) or 'none'}; of race, language, sexual orientation, gender identity and social "
            "determinants none is an input."
        ),
        "representativeness of the training data": f"That of its source, {lineage.source}"
        + (f": {lineage.note}." if lineage.note else "; not described further."),
        "relevance to where it is to be used": (
            "To be judged by the site: a version learned elsewhere stays in shadow until its figures there are known."
        ),
        "validity on data of the training source": _figures(version),
        "fairness on data of the training source": _by_subgroup(version),
    }


_DEMOGRAPHIC = ("age_years", "sex", "ethnicity", "ward_type", "unit_of_origin")


def _figures(version: ModelVersion) -> str:
    measured = version.lineage.evaluation
    said = [
        f"{title} {measured[name]}"
        for name, title in (
            ("prequential_auroc", "AUROC"),
            ("prequential_average_precision", "average precision"),
            ("prequential_calibration_error", "expected calibration error"),
        )
        if measured.get(name) is not None
    ]
    return f"Each score evaluated before it was learned: {', '.join(said)}." if said else "No figures were recorded."


def _by_subgroup(version: ModelVersion) -> str:
    if version.groups:
        return _by_counts(version)
    groups = sorted(name for name in version.lineage.evaluation if name.startswith("subgroup_"))
    if not groups:
        return "Not recorded in the version."
    return "; ".join(f"{name.removeprefix('subgroup_')} {version.lineage.evaluation[name]}" for name in groups) + "."


def _by_counts(version: ModelVersion) -> str:
    """Say what the version counted of each group, with 95 % intervals where it saw enough."""
    said = []
    for one in figures_of(totals_of(version.groups)):
        found = f"{one.attribute} {one.group}: {one.positives} outcomes in {one.rows} rows"
        for title, figure in (("sensitivity", one.sensitivity), ("PPV", one.ppv), ("calibration", one.calibration)):
            if figure is not None and figure.interval is not None:
                low, high = figure.interval
                found += f", {title} {figure.value:.2f} ({low:.2f} to {high:.2f})"
        said.append(found)
    return f"At the recommended threshold, of rows scored before they were learned: {'; '.join(said)}."
