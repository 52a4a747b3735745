"""The report's sections on whom and what the figures do not speak for: subgroups, and the limits of the whole.

Owns their words and tables. Must not know how a figure is computed or drawn.
"""

from __future__ import annotations

from html import escape

from stream.evaluating.shape import Evaluation
from stream.reporting import plots
from stream.reporting.words import (
    Section,
    count,
    figure,
    measured,
    number,
    paragraph,
    table,
)


def subgroups(evaluation: Evaluation) -> Section | None:
    """Say whether it serves each group alike."""
    if not evaluation.subgroups:
        return None
    why = (
        "the configured one"
        if evaluation.models[0].alerts_like_news2 is None
        else "where the learner tells as many outcomes in advance as NEWS2 of 5 or more"
    )
    body = paragraph(
        f"The same figures for each group, at a threshold of {number(evaluation.group_threshold, 4)}: {why}. Where "
        "intervals do not overlap, the groups are served differently, and somebody should know why. A figure of too "
        "few stays is not given: it would be chance, and might tell who they were."
    )
    for name, groups in evaluation.subgroups.items():
        body += f"<h3>By {escape(name)}</h3>\n"
        if any(group.sensitivity is not None for group in groups):
            body += figure(plots.subgroups(evaluation, name, groups), f"Sensitivity by {name}, with 95 % intervals.")
        rows = [
            (
                group.name,
                f"{count(group.stays)} ({count(group.positive_stays)})",
                f"{count(group.rows)} ({count(group.positives)})",
                measured(group.sensitivity, 2),
                measured(group.ppv, 3),
                measured(group.slope, 2),
                number(group.calibration_error, 4),
                measured(group.alerts_per_patient_day, 2),
            )
            for group in groups
        ]
        body += table(
            f"By {name}; in brackets: those with an outcome, and 95 % intervals",
            (
                "",
                "stays",
                "hours",
                "sensitivity",
                "positive predictive value",
                "slope",
                "mean error",
                "alerts per patient-day",
            ),
            rows,
        )
        withheld = [f"{group.name}: {'; '.join(group.withheld)}" for group in groups if group.withheld]
        if withheld:
            items = "".join(f"<li>{escape(line)}</li>\n" for line in withheld)
            body += f"<p>Not given, for want of numbers:</p>\n<ul>\n{items}</ul>\n"
    unknown = "" if "ethnicity" in evaluation.subgroups else " No ethnicity was recorded, so nothing is known of it."
    body += paragraph(
        f"Limits: groups are as recorded.{unknown} Many groups are looked at, and one interval in twenty misses by "
        "chance.",
        kind="limit",
    )
    return Section("groups", "Does it serve every group alike?", body)


def limits(evaluation: Evaluation) -> Section:
    """Say what the whole of it cannot show."""
    lines = [
        "The figures are of one run over these sources. Another hospital, another year or another way of charting "
        "may give others.",
        "Labels are what the records say happened, by the definition above. What was prevented by care looks harmless.",
        "Where the learner had nothing to go on, it said nothing, and those hours are in no comparison.",
    ]
    if evaluation.news2_is_partial:
        lines.insert(0, NEWS2_PARTIAL)
    if evaluation.refused:
        refused = ", ".join(
            f"{reason.replace('_', ' ')}: {count(rows)}" for reason, rows in sorted(evaluation.refused.items())
        )
        lines.append(f"Labelled rows that the learner did not learn: {refused}.")
    body = "<ul>\n" + "".join(f"<li>{escape(line)}</li>\n" for line in lines) + "</ul>\n"
    if evaluation.limits is not None:
        rows = [(name.replace("_", " "), str(value)) for name, value in evaluation.limits.items()]
        body += table(
            "What a version made of this run would say of its own limits, measured on what was held out", ("", ""), rows
        )
    return Section("limits", "What this cannot show", body)


NEWS2_PARTIAL = (
    "NEWS2 here is partial: these data have no level of consciousness, so it is of six signs, and lower than at a "
    "bedside. Every comparison with it is with that partial score; the same holds for qSOFA."
)
