"""How the report begins and ends: what was found, in a few sentences, and what it was all made of.

Owns the answers at the top, the table of rows, and the record of the inputs. Must not know how a figure is computed.
"""

from __future__ import annotations

from html import escape

from events import MILLIS_PER_DAY, to_iso
from models.figures.proportions import Measured
from stream.evaluating.shape import Evaluation, ModelFigures
from stream.reporting.words import Section, count, interval, listed, measured, number, paragraph, percent, table

NOT_FOR_USE = (
    "Not for clinical use: these are figures of a run on recorded data, not of care that was changed by alerts."
)


def opening(evaluation: Evaluation) -> str:
    """Give what a reader in a hurry should know."""
    return (
        paragraph(NOT_FOR_USE, kind="warning")
        + paragraph(*_asked(evaluation))
        + "<h2>What was found</h2>\n"
        + "".join(paragraph(sentence, kind="answers") for sentence in _answers(evaluation))
        + paragraph(
            "Every figure has its 95 % interval beside it where one can be given. Intervals are made by drawing "
            "whole stays again and again, for the hours of one stay resemble each other; they do not speak for "
            "another hospital.",
        )
        + "<h2>What it rests on</h2>\n"
        + _rows(evaluation)
    )


def foretold(evaluation: Evaluation) -> str:
    """Say in which time an outcome counts."""
    return "at any time of the stay" if evaluation.whole_stay else f"within {evaluation.horizon_h} hours"


def _learner(evaluation: Evaluation) -> ModelFigures:
    return evaluation.models[0]


def _asked(evaluation: Evaluation) -> list[str]:
    first, last = evaluation.began, evaluation.ended
    span = "no time at all" if first is None or last is None else f"{number((last - first) / MILLIS_PER_DAY, 1)} days"
    how = (
        "Each score was asked of the learner before it had learned anything of that patient's outcome, in the order "
        "of time, and each outcome was told to it as late as it would have been known at the bedside."
        if evaluation.part == "prequential"
        else "The learner stopped learning at a given time; the figures are of patients first seen after it."
    )
    return [
        f"The question: will {listed(evaluation.outcomes)} come {foretold(evaluation)} after a score?",
        f"Evaluated: {_learner(evaluation).title}, on {count(evaluation.stays)} stays over {span}.",
        how,
        "An hour in this report is one score: a patient is scored whenever something new is known, here about once "
        "an hour.",
    ]


def _answers(evaluation: Evaluation) -> list[str]:
    learner = _learner(evaluation)
    found = learner.discrimination
    said = [
        "Ranking: of two hours, one of which an outcome followed, the learner put the right one higher in "
        f"{_share(found.auroc)} of pairs (AUROC {measured(found.auroc)}). {_beside_news2(evaluation)}"
    ]
    if learner.alerts_like_news2 is not None:
        like = learner.alerts_like_news2
        said.append(
            f"Alerts: to tell {percent(like.sensitivity, 0)} of outcomes in advance, as NEWS2 of 5 or more does, the "
            f"learner raises {percent(like.share, 0)} of NEWS2's alerts ({count(like.alerts)} for "
            f"{count(like.comparator_alerts)})."
        )
    if (point := evaluation.at_threshold) is not None:
        lead = (
            ""
            if point.lead_h_quartiles is None
            else f", half of them {number(point.lead_h_quartiles[1], 1)} hours before or more"
        )
        said.append(
            f"At the configured threshold of {number(evaluation.threshold)}: {number(point.alerts_per_patient_day)} "
            f"alerts per patient-day, {percent(point.sensitivity, 0)} of outcomes told in advance{lead}; "
            f"{percent(point.ppv, 0)} of alerts came true."
        )
    if learner.calibration is not None:
        skill, error = learner.calibration.brier, learner.calibration.calibration_error
        worth = "better" if skill is not None and (skill.skill or 0) > 0 else "no better"
        said.append(
            f"Probabilities: they are {worth} than always promising the average (Brier skill "
            f"{number(None if skill is None else skill.skill)}); on average a promise is off by {percent(error, 2)}."
        )
    if learner.utility is not None:
        said.append(
            "The 2019 challenge's utility, on stays that did not choose the threshold: "
            f"{measured(learner.utility.measured)}."
        )
    return said


def _share(figure: Measured | None) -> str:
    return "no" if figure is None else percent(figure.value, 0)


def _beside_news2(evaluation: Evaluation) -> str:
    news2 = next((model for model in evaluation.models if model.name == "NEWS2"), None)
    if news2 is None or news2.auroc_beyond is None:
        return ""
    beyond = news2.auroc_beyond
    partial = " (partial, see the limits)" if evaluation.news2_is_partial else ""
    low, high = beyond.interval or (0.0, 0.0)
    how = "surely" if low > 0 else "surely not" if high < 0 else "perhaps"
    return (
        f"NEWS2{partial} on the same hours has {measured(news2.discrimination.auroc)}: the learner is {how} the "
        f"better, by {number(beyond.estimate)} ({interval(beyond.interval)})."
    )


def _which(evaluation: Evaluation) -> str:
    part = (
        "all that were scored" if evaluation.part == "prequential" else "of patients first scored in the held-out time"
    )
    outside = [model.title for model in evaluation.models if model.kind == "outside"]
    return f"{part}, and of which {listed(outside)} said anything" if outside else part


def _rows(evaluation: Evaluation) -> str:
    found, counts = _learner(evaluation).discrimination, evaluation.labels
    rows = [
        ("scores", count(evaluation.rows), "of the whole run: each time something new was known of a patient"),
        ("labels: yes", count(counts.positives), f"an outcome {foretold(evaluation)}"),
        ("labels: no", count(counts.negatives), "observed for all of that time, without one"),
        ("censored", count(counts.censored), "observation ended before that: no label, and in no figure of ranking"),
        ("at or after the outcome", count(counts.after_onset), "nothing left to foretell"),
        ("within half an hour of another", count(counts.thinned), "would count one moment twice"),
        ("stays reported on", count(evaluation.stays), _which(evaluation)),
        ("their patient-days", number(evaluation.patient_days, 1), "between the first and the last score of each stay"),
        (
            "hours compared",
            count(found.rows),
            f"labelled, and every model spoke: {count(found.positives)} before an outcome",
        ),
    ]
    return table(
        "How many rows there are, and why not all have a label", ("", "number", "what it means"), rows, "words"
    )


def made_of(evaluation: Evaluation) -> Section:
    """Give the digests that name the evaluation and all that entered it."""
    made = evaluation.made_of
    inputs = [
        (f"source {place}: {one.kind}", f"{count(one.files)} file(s), {count(one.bytes)} bytes", one.sha256)
        for place, one in enumerate(made.sources, 1)
    ]
    others = [("configuration", "", made.configuration), ("our code", made.release, made.code)]
    others += [(f"library {name}", version, "") for name, version in sorted(made.libraries.items())]
    others += [("Python", made.python, ""), ("outputs of the replay", "", evaluation.digest)]
    body = paragraph(
        "This report follows from its inputs alone: the same inputs give the same evaluation.json and the same page, "
        "byte for byte. The digest below names them all together, and so this report."
    )
    body += f"<p><code>{escape(evaluation.made_of_digest)}</code></p>\n"
    body += table("Inputs, by SHA-256 of their content", ("", "what", "digest"), [*inputs, *others], "words")
    body += table("What was asked for", ("", "choice"), sorted(made.choices.items()), "words")
    body += paragraph(
        f"Bootstrap: {evaluation.rounds} rounds, seed {evaluation.seed}. All figures, unrounded and with every point "
        "of every curve, are in evaluation.json beside this page; docs/evaluation.md describes each."
    )
    if evaluation.began is not None and evaluation.ended is not None:
        body += paragraph(
            f"Times of the scores: {to_iso(evaluation.began)} to {to_iso(evaluation.ended)} (the public data sets have "
            "no dates of their own; theirs are made up)."
        )
    return Section("made-of", "What this report was made of", body)
