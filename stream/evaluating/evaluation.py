"""One evaluation from end to end: what is kept is taken up, what is missing is made, in the order of the stages.

Owns the order, the keys under which parts are kept, and the putting together of `Evaluation`. Must not know options,
terminals or pages. Whoever calls it again with the same question gets the same answer, from the parts where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from connectors.datasets import physionet2019
from events import MILLIS_PER_HOUR, Millis
from models.evaluation import Accumulator, Figures
from models.figures.decision_curve import DecisionPoint, decision_curve
from models.figures.operating_points import RELEASE_SHARE
from models.holding import HeldBack
from models.inputs import CLINICAL_INPUTS
from stream.evaluating.contenders import NEWS2_MAX, RULES, TITLES, maker_of
from stream.evaluating.measuring import (
    NEWS2_URGENT,
    SEED,
    Ground,
    Model,
    alerts_at,
    ground_of,
    happened_over_promised,
    measure,
    measure_subgroups,
    observed_days,
    over_time,
    window_of,
)
from stream.evaluating.parts import Parts
from stream.evaluating.predicting import predicted, read_predictions
from stream.evaluating.provenance import MadeOf, digest_file
from stream.evaluating.scored_set import Chosen, Floats, ScoredSet, choose, covered, hours_of, read_scored
from stream.evaluating.scores import HEARD, LABELS, ROWS, Heard, Recorder, read_names, read_vectors
from stream.evaluating.shape import Evaluation, Kind, ModelFigures
from stream.outcomes import OutcomeDefinition

RULE_FLAGS: dict[str, tuple[str, float]] = {
    "NEWS2 of 5 or more": ("NEWS2", NEWS2_URGENT),
    "NEWS2 of 7 or more": ("NEWS2", 7.0),
    "qSOFA of 2 or more": ("qSOFA", 2.0),
    "SIRS of 2 or more": ("SIRS", 2.0),
}
"""The rules as they are used at the bedside, for the decision curve."""

Begin = Callable[[str, int], Callable[[int], None]]
"""Called with a stage's name and size; gives the function that hears how much of it is done."""


class Question(msgspec.Struct, frozen=True):
    """What is asked of an evaluation."""

    sources: tuple[str, ...]
    definition: OutcomeDefinition
    learner: str
    beside: tuple[str, ...]
    outside: dict[str, Path]
    """Files of other models' probabilities, by the name each is shown under."""
    border: Millis | None
    """From then on nothing is learned, and what is scored is measured apart."""
    rounds: int
    raise_at: float
    clear_at: float


class _Said(NamedTuple):
    models: list[Model]
    """The evaluated learner first, then NEWS2, then the others."""
    refused: dict[str, int]


def record(parts: Parts, definition: OutcomeDefinition, replay: Callable[[Recorder], str]) -> Heard:
    """Give what a run came to, replaying where that is not kept. `replay` lets a recorder hear, and gives a digest."""
    heard = parts.read(HEARD, Heard) if parts.has(ROWS, LABELS) else None
    if heard is not None:
        return heard
    with parts.making(ROWS) as rows, parts.making(LABELS) as labels:
        recorder = Recorder(definition, rows)
        digest = replay(recorder)
        recorder.finish()
        recorder.write_labels(labels)
    heard = recorder.heard(digest)
    parts.write(HEARD, heard)
    return heard


def evaluate(parts: Parts, heard: Heard, question: Question, made: MadeOf, begin: Begin) -> Evaluation:
    """Ask, measure and put together."""
    run = read_scored(parts, heard)
    said = _ask(parts, run, heard, question, begin)
    learner = said.models[0]
    border = question.border
    prequential = choose(run, border, "prequential")
    held_out = None if border is None else choose(run, border, "hold-out")
    chosen = prequential if held_out is None or not len(held_out.labelled) else held_out
    chosen = covered(run, chosen, [model.scores for model in said.models if model.kind == "outside"])
    ground = _ground(run, chosen, said.models, question)
    window_ms = window_of(ground)
    measured = _measure(parts, ground, said.models, window_ms, question, begin)
    times = run.at[chosen.scored]
    like = measured[0].alerts_like_news2
    levels = (
        (question.raise_at, question.clear_at) if like is None else (like.threshold, like.threshold * RELEASE_SHARE)
    )
    return Evaluation(
        outcomes=question.definition.kinds,
        horizon_h=question.definition.horizon_h,
        whole_stay=question.definition.whole_stay,
        patients=heard.patients,
        labels=heard.counts,
        refused=said.refused,
        figures=_figures(run, prequential, held_out, learner),
        digest=heard.digest,
        limits=None if held_out is None else _limits(parts, run, held_out, learner, question),
        made_of=made,
        made_of_digest=made.digest(),
        learner=question.learner,
        part=chosen.part,
        rows=heard.rows,
        stays=len(np.unique(run.stay[chosen.scored])),
        began=int(times.min()) if len(times) else None,
        ended=int(times.max()) if len(times) else None,
        patient_days=observed_days(ground),
        news2_is_partial=run.news2_is_partial,
        threshold=question.raise_at,
        rounds=question.rounds,
        seed=SEED,
        window_h=window_ms // MILLIS_PER_HOUR,
        models=tuple(measured),
        at_threshold=alerts_at(ground, learner, question.raise_at, question.clear_at),
        news2_alerts=alerts_at(ground, said.models[1], NEWS2_URGENT),
        decision=_decision(ground, learner),
        promised_by_time=over_time(ground, learner, window_ms, happened_over_promised),
        group_threshold=levels[0],
        subgroups=measure_subgroups(ground, learner, *levels),
    )


def _ask(parts: Parts, run: ScoredSet, heard: Heard, question: Question, begin: Begin) -> _Said:
    refused: dict[str, int] = {}
    models: list[Model] = []
    for name in dict.fromkeys((question.learner, *question.beside)):
        kind: Kind = "learner" if not models else "stock"
        file = name if question.border is None else f"{name}-until-{question.border}"
        said, found = predicted(
            parts,
            file,
            maker_of(name),
            run.labels,
            heard.rows,
            border=question.border,
            leave_out_acted=question.definition.after_action == "leave_out",
            advance=begin(name, heard.rows),
        )
        refused = refused if models else found.refused
        models.append(Model(name, TITLES.get(name, name), kind, said))
    rules = [Model(name, name, "rule", run.totals[name]) for name in RULES]
    models[1:1] = rules[:1]
    models += rules[1:]
    if heard.versions and not np.isnan(run.champion).all():
        title = f"the version that ran ({', '.join(version[:12] for version in heard.versions)})"
        models.append(Model("champion", title, "champion", run.champion))
    for name, path in question.outside.items():
        models.append(Model(name, name, "outside", read_predictions(path, parts, heard.rows)))
    return _Said(models, refused)


def _ground(run: ScoredSet, chosen: Chosen, models: list[Model], question: Question) -> Ground:
    of_challenge = all(source.startswith(f"{physionet2019.FEED}:") for source in question.sources)
    hours = hours_of(run, chosen) if of_challenge and "sepsis" in question.definition.kinds else None
    return ground_of(run, chosen, models, hours, question.definition.horizon_ms, question.rounds)


def _measure(
    parts: Parts, ground: Ground, models: list[Model], window_ms: Millis, question: Question, begin: Begin
) -> list[ModelFigures]:
    """Measure each model, or take up what was measured of it on the very same rows and scores."""
    learner, news2 = models[0], models[1]
    news2_alerts = alerts_at(ground, news2, NEWS2_URGENT)
    base = sha256(msgspec.msgpack.encode((ground.chosen.part, ground.horizon_ms, question.rounds, window_ms)))
    for content in (ground.rows, ground.labels, ground.chosen.scored, ground.scores(learner)):
        base.update(np.ascontiguousarray(content).tobytes())
    advance = begin("figures", len(models))
    measured = []
    for place, model in enumerate(models):
        key = base.copy()
        key.update(msgspec.msgpack.encode((model.name, model.title, model.kind)) + model.scores.tobytes())
        name = f"figures-{key.hexdigest()[:24]}.msgpack"
        figures = parts.read(name, ModelFigures)
        if figures is None:
            figures = measure(ground, model, learner, news2, news2_alerts, window_ms)
            parts.write(name, figures)
        measured.append(figures)
        advance(place + 1)
    return measured


def _figures(run: ScoredSet, prequential: Chosen, held_out: Chosen | None, learner: Model) -> dict[str, Figures]:
    """Give the figures that the first version had, under its names."""
    known = ~np.isnan(learner.scores[prequential.labelled])
    totals = np.nan_to_num(run.totals["NEWS2"]) / NEWS2_MAX
    same = msgspec.structs.replace(
        prequential, labelled=prequential.labelled[known], positive=prequential.positive[known]
    )
    found = {
        "learner, prequential": _accumulated(run, prequential, learner.scores),
        "NEWS2, same rows": _accumulated(run, same, totals),
    }
    if held_out is not None and len(held_out.labelled):
        found["learner, hold-out"] = _accumulated(run, held_out, learner.scores)
    return found


def _accumulated(run: ScoredSet, chosen: Chosen, scores: Floats) -> Figures:
    accumulator = Accumulator()
    patients = run.patient[chosen.labelled].tolist()
    for said, label, patient in zip(scores[chosen.labelled].tolist(), chosen.positive.tolist(), patients, strict=True):
        accumulator.add(None if said != said else said, label=label, group=str(patient))  # noqa: PLR0124 - NaN
    return accumulator.figures()


def _decision(ground: Ground, learner: Model) -> tuple[DecisionPoint, ...]:
    totals = {name: np.nan_to_num(ground.run.totals[name][ground.rows]) for name in RULES}
    flags = {title: totals[name] >= at for title, (name, at) in RULE_FLAGS.items()}
    return decision_curve(ground.labels, ground.scores(learner), flags)


def _limits(
    parts: Parts, run: ScoredSet, held_out: Chosen, learner: Model, question: Question
) -> dict[str, float | int | None]:
    """Measure what a version made of this run would say of its own limits, on the rows held out."""
    held = HeldBack(CLINICAL_INPUTS)
    names, labels = read_names(parts), run.labels
    out = np.zeros(len(run.at), dtype=bool)
    out[held_out.labelled] = True
    place_of = np.full(len(run.at), -1, dtype=np.int64)
    place_of[labels.row] = np.arange(len(labels.row))
    vectors: dict[int, tuple[float, ...]] = {}
    chosen = [names.index(name) for name in CLINICAL_INPUTS.names]
    for number, matrix in read_vectors(parts, names):
        for row, vector in enumerate(matrix[:, chosen].tolist(), number):
            if place_of[row] >= 0:
                vectors[row] = tuple(vector)
    border = question.border or 0
    for place, row in enumerate(labels.row.tolist()):
        label, said = bool(labels.label[place]), float(learner.scores[row])
        if out[row]:
            held.hold(vectors[row], None if said != said else said, label=label, patient=str(run.patient[row]))  # noqa: PLR0124
        elif labels.matured_at[place] < border and not CLINICAL_INPUTS.refusal(vectors[row]):
            held.learn(vectors[row], label=label)
    return held.summaries(question.raise_at).measured


def outside_digests(outside: dict[str, Path]) -> Iterable[tuple[str, str]]:
    """Give each outside file's name and the digest of its content, for the record of what an evaluation was made of."""
    return ((name, digest_file(path)) for name, path in sorted(outside.items()))
