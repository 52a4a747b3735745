"""The report's sections on the scores themselves: ranking, the course of time, calibration.

Owns their words and tables: what each plot means, how to read it, what it cannot say, and the table behind it. Must not
know how a figure is computed or drawn. A section whose figures are not there gives None, and is left out.
"""

from __future__ import annotations

from events import MILLIS_PER_DAY
from models.figures.bootstrap import Difference
from stream.evaluating.shape import Evaluation, ModelFigures
from stream.reporting import plots
from stream.reporting.words import (
    Section,
    count,
    figure,
    interval,
    measured,
    number,
    paragraph,
    percent,
    table,
    thinned,
)


def _probable(evaluation: Evaluation) -> list[ModelFigures]:
    return [model for model in evaluation.models if model.calibration is not None]


def discrimination(evaluation: Evaluation) -> Section:
    """Say whether those with the outcome score above those without."""
    by_hour = [
        (model.title, measured(one.auroc), measured(one.average_precision), _beyond(model.auroc_beyond))
        for model in evaluation.models
        for one in (model.discrimination,)
    ]
    by_stay = [
        (model.title, measured(one.stay_auroc), measured(one.stay_average_precision), measured(one.stay_last_auroc))
        for model in evaluation.models
        for one in (model.discrimination,)
    ]
    found = evaluation.models[0].discrimination
    base = percent(found.positives / found.rows if found.rows else None)
    body = paragraph(
        "Does a higher score go with a higher risk? AUROC is the share of pairs, one hour before an outcome and one "
        "not, that a model puts in the right order: 0.5 is a coin, 1 is perfect. Average precision asks more of the "
        "highest scores: it is the share of flagged hours that were right, averaged over all sensitivities; chance "
        f"gives {base}."
    )
    body += figure(
        plots.side_by_side(evaluation),
        "AUROC by hour: the point is the figure, the line its interval. Where lines overlap, see the paired "
        "difference in the table: it is of the same hours, so it is surer than either figure.",
    )
    body += table(
        f"By hour, on the same {count(found.rows)} hours, {count(found.positives)} of them before an outcome",
        ("model", "AUROC", "average precision", "learner's AUROC beyond it"),
        by_hour,
    )
    body += table(
        f"By stay, on the same {count(found.stays)} stays, {count(found.positive_stays)} of them with an outcome",
        ("model", "AUROC", "average precision", "AUROC of the last score"),
        by_stay,
    )
    body += '<div class="plots">\n'
    body += figure(
        plots.roc(evaluation),
        "Each point of a line is a threshold: what share of the hours before an outcome it flags, and what share of "
        "the others it flags too.",
    )
    body += figure(
        plots.precision_recall(evaluation),
        "The same thresholds, asked differently: of the hours that are flagged, how many were before an outcome? The "
        f"thin line is what flagging everything gives ({base}).",
    )
    body += "</div>\n" + _operating_table(evaluation)
    body += paragraph(
        "Limits: by stay, the highest score of a stay counts, and a long stay has more chances to score high. Rows "
        "without a label (censored) are in none of these figures. A rule knows a handful of totals; between them its "
        "line is a chord.",
        kind="limit",
    )
    return Section("discrimination", "Does it rank the right patients higher?", body)


def _beyond(difference: Difference | None) -> str:
    if difference is None:
        return "(this is the learner)"
    return f"{number(difference.estimate)} ({interval(difference.interval)})"


def _operating_table(evaluation: Evaluation) -> str:
    learner = evaluation.models[0]
    rows = [
        (
            number(point.threshold, 4),
            count(point.flagged),
            percent(point.sensitivity),
            percent(point.specificity),
            percent(point.ppv),
            number(point.number_needed_to_evaluate, 1),
        )
        for point in thinned(learner.curve)
    ]
    return table(
        f"{learner.title} along the threshold, by hour (the other lines' points are in evaluation.json)",
        (
            "threshold",
            "hours flagged",
            "sensitivity",
            "specificity",
            "positive predictive value",
            "hours to look at for one",
        ),
        rows,
    )


def time(evaluation: Evaluation) -> Section:
    """Say how it went as time passed."""
    learner = evaluation.models[0]
    by_end = {point.end: point for point in evaluation.promised_by_time}
    rows = [
        (
            number((point.end - (evaluation.began or 0)) / MILLIS_PER_DAY, 1),
            count(point.rows),
            count(point.positives),
            number(point.figure),
            interval(point.interval),
            number(by_end[point.end].figure, 2) if point.end in by_end else "",
        )
        for point in thinned(learner.over_time)
    ]
    body = paragraph(
        f"The learner begins the run knowing nothing. Each point is the figure of the {evaluation.window_h // 24} days "
        "before it, of scores given before their outcomes were known. Another learner, River's too, is asked and told "
        "in the same order. A rule, a version and a file of predictions learn nothing here: their lines show how hard "
        "each stretch was."
    )
    body += '<div class="plots">\n'
    body += figure(
        plots.over_time(evaluation),
        "Ranking over time, the learner's with its 95 % interval as a band. A gap: fewer than ten hours before an "
        "outcome in that window.",
    )
    body += figure(
        plots.promised_by_time(evaluation),
        "Outcomes that happened for each one promised, over time. Above 1 the learner promised too little.",
    )
    body += "</div>\n"
    body += table(
        f"{learner.title} over time",
        ("day", "hours", "before an outcome", "AUROC", "95 % interval", "happened / promised"),
        rows,
    )
    body += paragraph(
        "Limits: windows overlap by three quarters, so neighbours are alike by making; a window with few outcomes "
        "swings by chance alone.",
        kind="limit",
    )
    return Section("time", "How did it go as time passed?", body)


def calibration(evaluation: Evaluation) -> Section | None:
    """Say whether what was promised happened."""
    models = _probable(evaluation)
    if not models:
        return None
    rows = []
    for model in models:
        found = model.calibration
        assert found is not None, "only such models were taken"
        bent, parts, top = found.recalibration, found.brier, found.top
        rows.append(
            (
                model.title,
                NO_FIT if bent is None else f"{number(bent.slope, 2)} ({interval(bent.slope_interval, 2)})",
                NO_FIT
                if bent is None
                else f"{number(bent.in_the_large, 2)} ({interval(bent.in_the_large_interval, 2)})",
                number(found.calibration_error, 4),
                number(None if parts is None else parts.brier, 4),
                number(None if parts is None else parts.skill),
                "" if top is None else f"{percent(top.promised)} / {percent(top.happened.value)}",
            )
        )
    learner = models[0].calibration
    bins = [
        (
            f"{number(one.low, 4)} to {number(one.high, 4)}",
            count(one.rows),
            percent(one.promised, 2),
            percent(one.happened, 2),
            "" if one.interval is None else f"{percent(one.interval[0], 2)} to {percent(one.interval[1], 2)}",
        )
        for one in (learner.table if learner is not None else ())
    ]
    body = paragraph(
        "When it says 5 %, does it happen 5 times in 100? Hours are sorted by what was promised and parted into ten "
        "bins of equal count; in each, the mean promise is laid beside what happened. On the thin line both agree; "
        "above it, too little was promised."
    )
    body += figure(
        plots.reliability(evaluation),
        "What happened against what was promised. Upright lines: 95 % intervals, the learner's.",
    )
    body += table(
        "Calibration of every model that gives probabilities (slope 1, in the large 0 and error 0 are perfect; a "
        "skill above 0 beats promising the average)",
        (
            "model",
            "slope",
            "in the large",
            "mean error (ECE)",
            "Brier score",
            "Brier skill",
            "highest tenth: promised / happened",
        ),
        rows,
    )
    body += table(
        "The bins behind the learner's line (the other lines' are in evaluation.json)",
        ("promised", "hours", "mean promise", "happened", "95 % interval"),
        bins,
    )
    body += paragraph(
        "Limits: these are all hours together. A model can be right on average and wrong for a group (see the groups "
        "below) or a time (see above).",
        kind="limit",
    )
    return Section("calibration", "Can its probabilities be taken at their word?", body)


NO_FIT = "no fit"
