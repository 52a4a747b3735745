"""The model card: what a version is, in words a clinician and an auditor can read.

Owns the card's text. Must not know how the version is used. Everything in it comes from the version itself, so the card
cannot say what the version does not (Mitchell et al., "Model Cards for Model Reporting", 2019).
"""

from __future__ import annotations

from events import Millis, to_iso
from models.explaining.on_card import known_failures, listening
from models.source_attributes import source_attributes
from models.version import ModelVersion

WEIGHTS_SHOWN = 15
"""The heaviest inputs, by logits a standard deviation: what the version listens to at all."""

_HELD_BACK = {
    "held_back_rows": "rows held back",
    "held_back_positives": "of them followed by the outcome",
    "held_back_patients": "patients",
    "unlike_share_without_outcome": "called unlike by mistake, of those without the outcome",
    "unlike_share_with_outcome": "called unlike by mistake, of those with the outcome",
    "interval_agreement": "rows whose interval agrees with what was found",
    "indeterminate_share": "indeterminate at the recommended threshold",
    "indeterminate_share_of_raised": "indeterminate, of those at or above it",
}
"""Measured by models/holding.py."""

_FIGURES = {
    "prequential_rows": "scores evaluated",
    "prequential_positives": "of them followed by the outcome",
    "prequential_groups": "patients",
    "prequential_unscored": "scores refused (nothing usable known)",
    "prequential_auroc": "AUROC",
    "prequential_average_precision": "average precision",
    "prequential_brier": "Brier score",
    "prequential_brier_of_base_rate": "Brier score of always saying the base rate",
    "prequential_calibration_error": "expected calibration error (10 bins of equal count)",
}


def model_card(version: ModelVersion) -> str:
    """Write the card of a version as Markdown."""
    lineage = version.lineage
    share = lineage.positives / lineage.rows if lineage.rows else 0.0
    lines = [
        f"# Model version {version.version}",
        "",
        "**Not for clinical use.** This version is a demonstration of the software. It has not been validated on the",
        "patients of any hospital, is no medical device, and must stay in shadow wherever real patients are.",
        "",
        f"It was trained on: **{lineage.source}**.",
        "",
        "## What it says",
        "",
        f"The probability of {_outcomes(lineage.outcome_kinds)} within {version.horizon_h} hours.",
        *_kind(version),
        "NEWS2 is computed beside it and never depends on it.",
        "",
        "## Training",
        "",
        "| | |",
        "|---|---|",
        f"| content hash | `{version.digest}` |",
        f"| inputs' schema | `{version.schema_hash}` |",
        f"| rows | {lineage.rows} |",
        f"| positives | {lineage.positives} ({share:.2%}) |",
        f"| patients | {_said(lineage.patients)} |",
        f"| seed of the data | {_said(lineage.seed)} |",
        f"| stream time | {_time(lineage.first_time)} to {_time(lineage.last_time)} |",
        f"| code version | {lineage.code_version or 'not recorded'} |",
        "",
        *_evaluation(version),
        *_limits(version),
        "## Recommended use of the number",
        "",
        f"Tell at {version.threshold:.4f} or above, release below {version.threshold_release:.4f}: the point at which",
        f"one missed deterioration weighs {version.cost_of_miss:g} false alarms, if the probability is calibrated.",
        "The ward's own configuration decides.",
        "",
        "## What it listens to",
        "",
        *(listening(version) if version.ensemble is not None else _weights(version)),
        "",
        *(["## Known failures", "", *known_failures(version), ""] if version.ensemble is not None else []),
        "## Limits",
        "",
        "- Correlation, not cause: a missing laboratory value or a long stay may move the score.",
        "- Adults only; pregnancy and palliative care are outside its scope.",
        "- Trends carry it: of an emergency in a patient's first readings it says little. NEWS2 tells that, always.",
        "- Where an alert was acted on, the outcome may have been prevented and the label with it.",
    ]
    if lineage.note:
        lines += ["", "## Note", "", lineage.note]
    lines += ["", "## Source attributes", "", "The 31 of 45 CFR 170.315(b)(11)(iv)(B) (HTI-1).", ""]
    lines += ["| | attribute | |", "| --- | --- | --- |"]
    lines += [f"| {one.category} | {one.attribute} | {one.answer} |" for one in source_attributes(version)]
    return "\n".join(lines) + "\n"


def _kind(version: ModelVersion) -> list[str]:
    names, flags = len(version.inputs.names), len(version.inputs.indicators)
    if (ensemble := version.ensemble) is None:
        return [
            f"A logistic regression on {names} inputs and {flags} flags of",
            f"missing ones, each scaled and clipped at {version.clip_sd:g} standard deviations; trained online with",
            f"River {version.river_version}.",
        ]
    parts = []
    if ensemble.crossed is not None:
        parts.append(f"a logistic regression of lines and {len(ensemble.crossed.pairs)} pairs of cells")
    if ensemble.trees is not None:
        parts.append(f"{len(ensemble.trees.trees)} small trees")
    return [
        f"On {names} inputs: {' and '.join(parts)}, mixed on the scale of log-odds and calibrated by a line",
        f"(slope {ensemble.slope:.3f}, intercept {ensemble.intercept:+.3f}); learned online, in one pass.",
    ]


def _outcomes(kinds: tuple[str, ...]) -> str:
    words = [kind.replace("_", " ") for kind in kinds]
    return " or ".join(words) if words else "the configured outcome"


def _said(value: int | None) -> str:
    return "not recorded" if value is None else str(value)


def _time(instant: Millis | None) -> str:
    return "not recorded" if instant is None else to_iso(instant)


def _evaluation(version: ModelVersion) -> list[str]:
    measured = {name: value for name, value in version.lineage.evaluation.items() if name not in _HELD_BACK}
    if not measured:
        return ["No figures were recorded.", ""]
    lines = [
        "Figures, each score predicted before it was learned from (prequential), on the training stream itself:",
        "",
    ]
    lines += ["| | |", "|---|---|"]
    for name in sorted(
        measured, key=lambda key: (list(_FIGURES).index(key) if key in _FIGURES else len(_FIGURES), key)
    ):
        value = measured[name]
        lines.append(f"| {_FIGURES.get(name, name.replace('_', ' '))} | {'undefined' if value is None else value} |")
    return [*lines, ""]


def _limits(version: ModelVersion) -> list[str]:
    """Say what the version knows of its own limits, and how that was measured."""
    lines = ["## What it says of its own limits", ""]
    if version.likeness is None:
        lines += ["No summary of what it was made on: a patient unlike all it has seen is not noticed.", ""]
    else:
        shapes = " and ".join(
            f"{shape.rows} learned rows {'with' if shape.label else 'without'} the outcome"
            f" (limit from {shape.held_back} held back, stated false rate {shape.false_rate:.2%})"
            for shape in version.likeness.shapes
        )
        lines += [f"Unlike: beyond the limit of {shapes}, by {', '.join(version.likeness.inputs)}.", ""]
    if version.venn is None:
        lines += ["No intervals: it cannot say where it is unsure.", ""]
    else:
        lines += [
            f"Intervals of {version.venn.coverage:.0%} in {len(version.venn.categories)} ranges of its probability.",
            "",
            "| given a probability below | rows held back | patients | with the outcome | interval |",
            "|---|---|---|---|---|",
        ]
        for edge, category in zip((*version.venn.edges, 1.0), version.venn.categories, strict=True):
            share = f"{category.positives / category.rows:.2%}" if category.rows else ""
            interval = f"{category.low:.2%} to {category.high:.2%}"
            lines.append(f"| {edge:g} | {category.rows} | {category.patients} | {share} | {interval} |")
        lines.append("")
    measured = [(name, version.lineage.evaluation[name]) for name in _HELD_BACK if name in version.lineage.evaluation]
    if measured:
        lines += ["Measured on patients that shaped none of what they were measured with:", "", "| | |", "|---|---|"]
        lines += [f"| {_HELD_BACK[name]} | {'undefined' if value is None else value} |" for name, value in measured]
        lines.append("")
    return lines


def _weights(version: ModelVersion) -> list[str]:
    head = ["| input | logits a standard deviation |", "|---|---|"]
    by_size = sorted(
        zip(version.inputs.all_names(), version.weights, strict=True), key=lambda item: (-abs(item[1]), item[0])
    )
    return head + [f"| `{name}` | {weight:+.3f} |" for name, weight in by_size[:WEIGHTS_SHOWN] if weight]
