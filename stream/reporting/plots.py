"""The report's plots, each from the figures of one evaluation.

Owns what is on which axis, and the sentence that stands for a plot where it cannot be seen. Must not know how anything
is computed or how it becomes SVG. What is not there (no model with probabilities, no outcome in a window) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan
from typing import Any

from events import MILLIS_PER_DAY
from models.figures.operating_points import AlertPoint
from models.figures.rolling import WindowPoint
from models.figures.subgroups import SubgroupFigures
from stream.evaluating.shape import Evaluation, ModelFigures
from stream.reporting.drawing import FAINT, INK, Plot, draw, strokes
from stream.reporting.words import measured, number, percent

BARS_INCHES = (5.4, 0.34)
"""A plot of one line a model or group: its width, and the height of a line."""

FLAGGED_MIN = 30
"""Of fewer flagged hours the share that was right jumps from one to the next."""

STANDING_SHARE_MAX = 0.5
"""An alert that stands for more than half of all time tells nobody when to come."""


def _plainly(axis: Any) -> None:
    """Write numbers along a logarithmic axis as they are spoken."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def _lines(evaluation: Evaluation) -> list[tuple[ModelFigures, dict[str, Any]]]:
    styled = []
    for place, model in enumerate(evaluation.models):
        colour, dashes, width = strokes(place)
        # To matplotlib a name that begins so is none of the legend's.
        label = f" {model.title}" if model.title.startswith("_") else model.title
        styled.append((model, {"color": colour, "linestyle": dashes, "linewidth": width, "label": label}))
    return styled


def side_by_side(evaluation: Evaluation) -> Plot:
    """Draw each model's AUROC by hour, with its interval."""
    models = [model for model in evaluation.models if model.discrimination.auroc is not None]

    def paint(axes: Any) -> None:
        for place, model in enumerate(models):
            figure = model.discrimination.auroc
            assert figure is not None, "those without are left out"
            low, high = figure.interval or (figure.value, figure.value)
            axes.plot([low, high], [place, place], color=INK, linewidth=1.6)
            axes.plot([figure.value], [place], "o", color=strokes(place)[0], markersize=7)
        axes.axvline(0.5, color=FAINT, linewidth=1)
        axes.set_yticks(range(len(models)), [model.title for model in models])
        axes.set_ylim(max(1, len(models)) - 0.5, -0.5)
        axes.set_xlabel("AUROC by hour, 95 % interval")

    said = "; ".join(f"{model.title} {measured(model.discrimination.auroc)}" for model in models)
    height = 0.9 + BARS_INCHES[1] * max(2, len(models))
    return draw("models", f"AUROC of each model with its interval: {said}.", paint, (BARS_INCHES[0], height))


def roc(evaluation: Evaluation) -> Plot:
    """Draw sensitivity against the share of false alarms, by hour."""

    def paint(axes: Any) -> None:
        for model, how in _lines(evaluation):
            points = sorted((1 - x, y) for x, y in _pairs((p.specificity, p.sensitivity) for p in model.curve))
            if points:
                axes.plot(*zip((0.0, 0.0), *points, (1.0, 1.0), strict=True), **how)
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="1 - specificity", ylabel="sensitivity")

    return draw(
        "roc", "Receiver operating characteristic of each model, by hour; higher and further left is better.", paint
    )


def precision_recall(evaluation: Evaluation) -> Plot:
    """Draw the positive predictive value against sensitivity, by hour."""
    base = evaluation.models[0].discrimination
    share = base.positives / base.rows if base.rows else 0.0

    def paint(axes: Any) -> None:
        for model, how in _lines(evaluation):
            points = sorted(_pairs((p.sensitivity, p.ppv) for p in model.curve if p.flagged >= FLAGGED_MIN))
            if points:
                axes.plot(*zip(*points, strict=True), **how)
        axes.axhline(share, color=FAINT, linewidth=1)
        axes.set(xlim=(0, 1), xlabel="sensitivity", ylabel="positive predictive value")
        axes.set_ylim(bottom=0)

    said = f"Positive predictive value against sensitivity, by hour; flagging every hour would give {percent(share)}."
    return draw("precision", said, paint)


def _pairs(pairs: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _days(evaluation: Evaluation, point: WindowPoint) -> float:
    return (point.end - (evaluation.began or 0)) / MILLIS_PER_DAY


def over_time(evaluation: Evaluation) -> Plot:
    """Draw each model's AUROC in windows that end at a day of the run."""

    def paint(axes: Any) -> None:
        for model, how in _lines(evaluation):
            if model.kind == "rule" and model.name != "NEWS2":
                continue
            # A window without enough outcomes breaks the line rather than being drawn over.
            points = [(_days(evaluation, p), nan if p.figure is None else p.figure) for p in model.over_time]
            if points:
                axes.plot(*zip(*points, strict=True), **how)
            band = [(_days(evaluation, p), *(p.interval or (nan, nan))) for p in model.over_time]
            if any(p.interval is not None for p in model.over_time):
                axes.fill_between(*zip(*band, strict=True), color=how["color"], alpha=0.15)
        axes.axhline(0.5, color=FAINT, linewidth=1)
        axes.set(xlabel="days since the first score", ylabel="AUROC by hour")

    known = [p.figure for p in evaluation.models[0].over_time if p.figure is not None]
    said = (
        f"from {number(known[0], 2)} in the first to {number(known[-1], 2)} in the last window" if known else "too few"
    )
    return draw("time", f"AUROC in rolling windows of {evaluation.window_h} hours: {said} for the learner.", paint)


def promised_by_time(evaluation: Evaluation) -> Plot:
    """Draw outcomes that happened over outcomes promised, in the same windows."""
    points = [(_days(evaluation, p), nan if p.figure is None else p.figure) for p in evaluation.promised_by_time]

    def paint(axes: Any) -> None:
        if points:
            colour, dashes, width = strokes(0)
            axes.plot(*zip(*points, strict=True), color=colour, linestyle=dashes, linewidth=width)
        axes.axhline(1.0, color=FAINT, linewidth=1)
        axes.set(xlabel="days since the first score", ylabel="happened / promised")
        axes.set_ylim(bottom=0)

    return draw(
        "promised", "Outcomes that happened over outcomes promised, in rolling windows; 1 is right on average.", paint
    )


def reliability(evaluation: Evaluation) -> Plot:
    """Draw what happened against what was promised, in bins of equal count."""

    def paint(axes: Any) -> None:
        highest = 0.0
        for model, how in _lines(evaluation):
            bins = model.calibration.table if model.calibration is not None else ()
            if not bins:
                continue
            x, y = [b.promised for b in bins], [b.happened for b in bins]
            axes.plot(x, y, marker="o", markersize=4, **how)
            if model is evaluation.models[0]:
                for b in bins:
                    if b.interval is not None:
                        axes.plot([b.promised] * 2, b.interval, color=how["color"], linewidth=1)
                        highest = max(highest, b.interval[1])
                highest = max(highest, *x, *y)
        # As far as the learner goes and half as far again: one wild model should not make a dot of all the others.
        frame = (0.0, 1.5 * highest or 1.0)
        axes.plot(frame, frame, color=FAINT, linewidth=1)
        axes.set(xlabel="probability promised", ylabel="share that happened", xlim=frame, ylim=frame)

    said = (
        "Share that happened against probability promised, in ten bins of equal count; on the line the two are equal."
    )
    return draw("reliability", said, paint)


def _telling(model: ModelFigures) -> list[AlertPoint]:
    """Give the thresholds, ascending, at which an alert still says something of its time."""
    return [point for point in model.alerts if (point.standing_share or 0.0) <= STANDING_SHARE_MAX]


def burden(evaluation: Evaluation) -> Plot:
    """Draw the outcomes told in advance against what they cost in alerts."""
    marked = (("as configured", evaluation.at_threshold, "o"), ("NEWS2 of 5 or more", evaluation.news2_alerts, "s"))

    def paint(axes: Any) -> None:
        furthest = 0.0
        for model, how in _lines(evaluation):
            points = _pairs((p.alerts_per_patient_day, p.sensitivity) for p in _telling(model))
            if points:
                axes.plot(*zip(*points, strict=True), **how)
                if model.calibration is not None:
                    furthest = max(furthest, *(x for x, _ in points))
        for text, point, mark in marked:
            for x, y in _pairs([] if point is None else [(point.alerts_per_patient_day, point.sensitivity)]):
                axes.plot([x], [y], mark, color=INK, markersize=7, label=text)
                furthest = max(furthest, x)
        axes.set(xlabel="alerts per patient-day", ylabel="outcomes told in advance", ylim=(0, 1.01))
        axes.set_xlim(0, furthest * 1.05 or None)

    said = "; ".join(
        f"{text}: {percent(point.sensitivity)} at {number(point.alerts_per_patient_day)} alerts per patient-day"
        for text, point, _ in marked
        if point is not None
    )
    return draw("burden", f"Share of outcomes told in advance against alerts per patient-day. {said}.", paint)


def lead_time(evaluation: Evaluation) -> Plot:
    """Draw how long before the outcome the first alert came, along the threshold."""
    learner = evaluation.models[0]
    points = sorted((p.raise_at, *p.lead_h_quartiles) for p in _telling(learner) if p.lead_h_quartiles is not None)

    def paint(axes: Any) -> None:
        if points:
            at, low, middle, high = zip(*points, strict=True)
            colour, dashes, width = strokes(0)
            axes.fill_between(at, low, high, color=colour, alpha=0.18, label="middle half of the outcomes")
            axes.plot(at, middle, color=colour, linestyle=dashes, linewidth=width, label="median")
            axes.set_xscale("log")
            _plainly(axes.xaxis)
        axes.axvline(evaluation.threshold, color=INK, linewidth=1, linestyle=":")
        axes.set(xlabel="threshold (probability)", ylabel="hours before the outcome", ylim=(0, None))

    return draw(
        "lead", "Hours from the alert to the outcome it told of, median and quartiles, along the threshold.", paint
    )


def utility(evaluation: Evaluation) -> Plot:
    """Draw the challenge's utility along the threshold of each model that gives probabilities."""
    learner = evaluation.models[0].utility
    # As far as the learner's thresholds go: a model that says 1e-30 should not make a line of all the others.
    shown = [at for at, _ in (learner.curve if learner is not None else ()) if at > 0]

    def paint(axes: Any) -> None:
        for model, how in _lines(evaluation):
            if model.utility is not None and model.calibration is not None:
                points = [(at, value) for at, value in model.utility.curve if at > 0]
                axes.plot(*zip(*points, strict=True), **how)
        axes.axhline(0.0, color=FAINT, linewidth=1)
        axes.set_xscale("log")
        if shown:
            axes.set_xlim(min(shown) / 2, min(1.0, 2 * max(shown)))
        _plainly(axes.xaxis)
        axes.set_ylim(bottom=max(-0.5, axes.get_ylim()[0]))
        axes.set(xlabel="threshold (probability)", ylabel="normalised utility")

    return draw("utility", "The 2019 challenge's normalised utility along the threshold; 0 is never to flag.", paint)


def decision(evaluation: Evaluation) -> Plot:
    """Draw net benefit along the threshold, beside flagging all and none, and beside the rules."""

    def paint(axes: Any) -> None:
        points = evaluation.decision
        if not points:
            return
        at = [p.threshold for p in points]
        lines = [(model.net_benefit, how) for model, how in _lines(evaluation) if model.net_benefit]
        for place, name in enumerate(points[0].rules, len(evaluation.models)):
            colour, dashes, width = strokes(place)
            how = {"color": colour, "linestyle": dashes, "linewidth": width, "label": name}
            lines.append((tuple(p.rules[name] for p in points), how))
        top = max(value for row, _ in lines for value in row)
        for row, how in lines:
            axes.plot(at, row, **how)
        axes.plot(at, [p.treat_all for p in points], color=FAINT, linewidth=1.2, label="flag every hour")
        axes.axhline(0.0, color=INK, linewidth=1, label="flag none")
        axes.set_ylim(-0.3 * top, 1.15 * top) if top > 0 else None
        axes.set(xlabel="threshold (probability)", ylabel="net benefit, for one hour")

    return draw("decision", "Net benefit of the learner along the threshold, beside the rules, all and none.", paint)


def subgroups(evaluation: Evaluation, name: str, groups: tuple[SubgroupFigures, ...]) -> Plot:
    """Draw the sensitivity of each group with its interval; a withheld one is named, and has no mark."""

    def paint(axes: Any) -> None:
        for place, group in enumerate(groups):
            figure = group.sensitivity
            if figure is not None:
                low, high = figure.interval or (figure.value, figure.value)
                axes.plot([low, high], [place, place], color=INK, linewidth=1.6)
                axes.plot([figure.value], [place], "o", color=strokes(0)[0], markersize=7)
        axes.set_yticks(range(len(groups)), [group.name for group in groups])
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.set(xlim=(0, 1), xlabel="sensitivity by hour, 95 % interval")

    said = "; ".join(f"{group.name} {measured(group.sensitivity, 2)}" for group in groups)
    height = 0.9 + BARS_INCHES[1] * max(2, len(groups))
    title = f"Sensitivity at {number(evaluation.group_threshold)} by {name}: {said}."
    return draw(f"group-{name.replace(' ', '-')}", title, paint, (BARS_INCHES[0], height))
