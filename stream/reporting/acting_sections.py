"""The report's sections on acting on scores: alerts and lead times, the challenge's utility, net benefit.

Owns their words and tables. Must not know how a figure is computed or drawn. A section whose figures are not there
gives None, and is left out.
"""

from __future__ import annotations

from models.figures.operating_points import AlertPoint
from stream.evaluating.shape import Evaluation, ModelFigures
from stream.reporting import plots
from stream.reporting.words import (
    NONE,
    Section,
    count,
    figure,
    measured,
    number,
    paragraph,
    percent,
    table,
    thinned,
)


def _alert_row(name: str, point: AlertPoint) -> tuple[str, ...]:
    lead = point.lead_h_quartiles
    return (
        name,
        count(point.alerts),
        number(point.alerts_per_patient_day),
        percent(point.stays_alerted),
        percent(point.sensitivity),
        percent(point.ppv),
        number(point.number_needed_to_evaluate, 1),
        "" if lead is None else f"{number(lead[1], 1)} ({number(lead[0], 1)} to {number(lead[2], 1)})",
    )


def alerts(evaluation: Evaluation) -> Section:
    """Say what it would cost in alerts, what they would find, and how early."""
    body = paragraph(
        "Each alert calls somebody away from something else. An alert here is what the service raises: it begins when "
        "the score reaches the threshold, stands until the score has fallen clearly below, and is not raised again "
        f"meanwhile. An outcome is told in advance where an alert stood in the {evaluation.horizon_h} hours before it."
    )
    body += '<div class="plots">\n'
    body += figure(
        plots.burden(evaluation),
        "Further left is quieter, higher finds more. Between two models at one height, the left one calls less often "
        "for the same outcomes. Not drawn: thresholds so low that an alert would stand for more than half of all time.",
    )
    body += figure(
        plots.lead_time(evaluation),
        "How long before the outcome the alert began. The dotted line: the configured threshold.",
    )
    body += "</div>\n"
    body += _alert_tables(evaluation)
    body += paragraph(
        f"Limits: a lead counts {evaluation.horizon_h} hours at the most. Alerts at or after the outcome are counted "
        "as a burden, for they call somebody too, and are not judged right or wrong. The filters and limits that the "
        "service lays on alerts (quiet hours of a ward, repeats, missing data) are not applied here. Nobody acted on "
        "these alerts: what would have become of the patients is not known.",
        kind="limit",
    )
    return Section("alerts", "What would it cost in alerts, and how early would they come?", body)


def _share_of_hours(model: ModelFigures) -> str:
    if model.like_news2 is None:
        return NONE
    ends = model.like_news2_interval
    return percent(model.like_news2.share) + ("" if ends is None else f" ({percent(ends[0])} to {percent(ends[1])})")


def _alert_tables(evaluation: Evaluation) -> str:
    rows = [
        _alert_row(f"learner at {number(point.raise_at, 4)}", point) for point in thinned(evaluation.models[0].alerts)
    ]
    if evaluation.at_threshold is not None:
        rows.append(_alert_row(f"learner as configured, {number(evaluation.threshold, 4)}", evaluation.at_threshold))
    if evaluation.news2_alerts is not None:
        rows.append(_alert_row("NEWS2 of 5 or more", evaluation.news2_alerts))
    like = [
        (
            model.title,
            number(model.alerts_like_news2.threshold, 4),
            percent(model.alerts_like_news2.sensitivity),
            f"{count(model.alerts_like_news2.alerts)} / {count(model.alerts_like_news2.comparator_alerts)}",
            percent(model.alerts_like_news2.share),
            _share_of_hours(model),
        )
        for model in evaluation.models
        if model.alerts_like_news2 is not None
    ]
    body = ""
    if like:
        body += table(
            "At the sensitivity of NEWS2 of 5 or more: how many alerts each model needs for as many outcomes",
            (
                "model",
                "threshold",
                "told in advance",
                "alerts / NEWS2's",
                "share of NEWS2's alerts",
                "share of NEWS2's hours",
            ),
            like,
        )
    body += table(
        "Alerts along the threshold",
        (
            "",
            "alerts",
            "per patient-day",
            "stays with any",
            "told in advance",
            "came true",
            "alerts for one",
            "median lead, h (quartiles)",
        ),
        rows,
    )
    return body


def utility(evaluation: Evaluation) -> Section | None:
    """Give the 2019 challenge's utility, where it was asked for."""
    models = [model for model in evaluation.models if model.utility is not None]
    if not models:
        return None
    rows = []
    for model in models:
        found = model.utility
        assert found is not None, "only such models were taken"
        best = max(found.curve, key=lambda point: point[1], default=(0.0, 0.0))
        rows.append(
            (
                model.title,
                "every hour" if found.threshold < 0 else number(found.threshold, 4),
                measured(found.measured),
                f"{number(best[1])} at {number(best[0], 4)}",
            )
        )
    first = models[0].utility
    stays = "" if first is None else f" ({count(first.earlier_stays)} earlier stays, {count(first.stays)} later)"
    body = paragraph(
        "The public challenge on these data rewards a warning from 12 hours before sepsis, most at 6, punishes a "
        "missed hour up to 3 hours after, and a false one a little. 1 is the best possible, 0 is never to say "
        "anything, and below 0 silence would be better. It is of every hour of a stay, labelled or not."
    )
    body += figure(
        plots.utility(evaluation),
        "Utility along the threshold, of all stays. The highest point is found with hindsight.",
    )
    body += table(
        f"Utility at a threshold chosen on the earlier half of the stays, measured on the later{stays}",
        ("model", "threshold", "utility (95 % interval)", "best with hindsight"),
        rows,
    )
    body += paragraph(
        "Limits: the challenge's weights are its authors' judgement, not this hospital's. The labels are of a "
        "definition of sepsis made of records, not of a diagnosis.",
        kind="limit",
    )
    return Section("utility", "The 2019 challenge's utility", body)


def decision(evaluation: Evaluation) -> Section | None:
    """Say at which thresholds acting on it does more good than acting on all, none or a rule."""
    points = evaluation.decision
    if not points:
        return None
    names = list(points[0].rules)
    models = [model for model in evaluation.models if model.net_benefit]
    rows = [
        (
            percent(points[place].threshold),
            *(number(1000 * model.net_benefit[place], 2) for model in models),
            number(1000 * points[place].treat_all, 2),
            *(number(1000 * points[place].rules[name], 2) for name in names),
        )
        for place in thinned(range(len(points)))
    ]
    body = paragraph(
        "Is it worth acting on? Whoever acts at a threshold of 5 % says that one outcome found is worth 19 false "
        "alarms. Net benefit counts the outcomes found, less the false alarms at that rate of exchange: whatever lies "
        "highest at the threshold of your ward does the most good there. Doing nothing is 0."
    )
    body += figure(
        plots.decision(evaluation),
        "Net benefit along the threshold. A rule flags the same hours whatever the threshold.",
    )
    body += table(
        "Net benefit, for 1000 hours",
        ("threshold", *(model.title for model in models), "flag every hour", *names),
        rows,
    )
    body += paragraph(
        "Limits: this counts hours, not alerts, and takes a found outcome to be as good early as late. It needs "
        "probabilities that can be taken at their word.",
        kind="limit",
    )
    return Section("decision", "Where is acting on it worth its false alarms?", body)
