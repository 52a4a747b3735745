"""The gates on real data: what they let pass, and whether a poisoned stretch of labels is stopped.

Owns the runs and their table (docs/change-control.md quotes it). Must not know how a gate judges. Run:

    wardstream rows physionet2019:DIR --outcome sepsis --out rows.parquet
    python benchmarks/change_control.py rows.parquet

PhysioNet 2019, hospital A, rows in the order in which their labels came. The champion learns the first three eighths,
each challenger goes on from it to five eighths, and the next eighth is the evidence. The last quarter is not read. One
challenger learns the labels as they are; the others learn a stretch that was poisoned, or are judged on one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from models.change_control import Judgement, Pedigree, judge
from models.change_plan import ChangePlan
from models.figures.subgroups import age_band
from models.inputs import LEARNING_INPUTS
from models.learners.crossed_logistic import CrossedLogistic
from models.weighing import Levels, Rows, weigh

LEVELS = Levels(0.1, 0.07)
"""As a site has them that declares nothing."""
PLAN = ChangePlan(automatic=True, alerts_per_patient_day_max=0.3)
"""The defaults, but with a declared burden: the champion alerts so seldom that a tenth more is a handful of alerts."""
CHAMPION_UNTIL, CHALLENGER_UNTIL, EVIDENCE_UNTIL = 3 / 8, 5 / 8, 3 / 4
FACTS = ("label", "at", "matured_at", "patient", "sex", "unit_of_origin", "age_years")
Labels = NDArray[np.bool_]


def poisoned(labels: Labels, begin: float, end: float, how: str, seed: int = 0) -> Labels:
    """Give labels of which a stretch (shares of all) is turned round, or dealt out anew within itself."""
    found, part = labels.copy(), slice(int(begin * len(labels)), int(end * len(labels)))
    if how == "flipped":
        found[part] ^= True
    elif how == "exchanged":
        found[part] = np.random.default_rng(seed).permutation(found[part])
    elif how == "silenced":
        found[part] = False
    return found


class Stream:
    """The rows of a file up to the last quarter."""

    def __init__(self, path: Path) -> None:
        self._file = parquet.ParquetFile(path)
        self.rows = int(self._file.metadata.num_rows * EVIDENCE_UNTIL)
        facts = self._file.read(columns=list(FACTS)).slice(0, self.rows)
        self.facts = {name: facts.column(name).to_numpy() for name in FACTS}
        self.labels = self.facts["label"].astype(bool)

    def each(self, begin: float, end: float, take: Callable[[NDArray[np.float64], slice], None]) -> None:
        """Hand the inputs of a stretch over, in shares of the whole file, a part at a time."""
        total = self._file.metadata.num_rows
        first, last, at = int(begin * total), int(end * total), 0
        for part in self._file.iter_batches(8_192, columns=list(LEARNING_INPUTS.names)):
            low, high = max(first - at, 0), min(last - at, part.num_rows)
            if low < high:
                columns = [part.column(name).to_numpy(zero_copy_only=False)[low:high] for name in LEARNING_INPUTS.names]
                take(np.column_stack(columns).astype(np.float64), slice(at + low, at + high))
            at += part.num_rows
            if at >= last:
                return


def learn(stream: Stream, learners: list[tuple[CrossedLogistic, Labels]], begin: float, end: float) -> None:
    """Let each learner learn a stretch, with its own labels."""

    def take(matrix: NDArray[np.float64], where: slice) -> None:
        for learner, labels in learners:
            learner.learn_many(matrix, labels[where])

    stream.each(begin, end, take)


def said(stream: Stream, learners: dict[str, CrossedLogistic]) -> dict[str, NDArray[np.float64]]:
    """Give what each learner says of the evidence's rows, frozen."""
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in learners}

    def take(matrix: NDArray[np.float64], _where: slice) -> None:
        for name, learner in learners.items():
            found[name].append(learner.predict_proba_many(matrix))

    stream.each(CHALLENGER_UNTIL, EVIDENCE_UNTIL, take)
    return {name: np.nan_to_num(np.concatenate(parts), nan=0.0) for name, parts in found.items()}


def judged(stream: Stream, champion: NDArray[np.float64], challenger: NDArray[np.float64], labels: Labels) -> Judgement:
    """Judge one challenger on the evidence's rows with these labels."""
    total = stream._file.metadata.num_rows  # noqa: SLF001 - this file's own
    part = slice(int(CHALLENGER_UNTIL * total), int(EVIDENCE_UNTIL * total))
    facts = {name: column[part] for name, column in stream.facts.items()}
    rows = Rows(
        labels=labels[part],
        champion=champion,
        challenger=challenger,
        patients=facts["patient"].astype(np.int64),
        at=facts["at"].astype(np.int64),
        matured_at=facts["matured_at"].astype(np.int64),
        subgroups={
            "sex": facts["sex"].astype(np.str_),
            "unit_of_origin": facts["unit_of_origin"].astype(np.str_),
            "age_band": age_band(facts["age_years"].astype(np.float64)),
        },
    )
    before = stream.labels[: int(CHAMPION_UNTIL * total)]
    evidence = weigh(
        rows, champion="a" * 12, challenger="b" * 12, levels=LEVELS, source="physionet2019, hospital A",
        usual_rate=float(before.mean()),
    )  # fmt: skip
    made = Pedigree(
        version="a" * 12, inputs=(), schema_hash="", horizon_h=12, outcome="sepsis", kind="crossed", cost_of_miss=9.0,
        learned_until=int(stream.facts["matured_at"][part.start - 1]) - 1, data_digest="d", code_commit="c",
        lock_digest="l", configuration_hash="f",
    )  # fmt: skip
    return judge(PLAN, evidence, made, msgspec.structs.replace(made, version="b" * 12))


LEARNED = {
    "as they are": ("", 0.0),
    "flipped, 1 % of the stream": ("flipped", 0.01),
    "flipped, 5 %": ("flipped", 0.05),
    "exchanged, 12.5 %": ("exchanged", 0.125),
    "silenced, 12.5 %": ("silenced", 0.125),
}
"""Where the poisoned stretch ends with the learning, so that nothing is learned after it."""
JUDGED_ON = {
    "flipped, 5 % of the evidence": ("flipped", 0.05),
    "flipped, 20 %": ("flipped", 0.2),
    "exchanged, 10 %": ("exchanged", 0.1),
    "exchanged, 20 %": ("exchanged", 0.2),
    "silenced, 10 %": ("silenced", 0.1),
    "silenced, 20 %": ("silenced", 0.2),
}


def main() -> None:
    """Print one line a run: what was poisoned, the verdict, and each gate that did not pass with its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    stream = Stream(parser.parse_args().rows)
    champion = CrossedLogistic(LEARNING_INPUTS)
    learn(stream, [(champion, stream.labels)], 0.0, CHAMPION_UNTIL)
    taught = {}
    for name, (how, length) in LEARNED.items():
        end = CHALLENGER_UNTIL / EVIDENCE_UNTIL
        taught[name] = (
            CrossedLogistic.restored(champion.state()),
            poisoned(stream.labels, end - length / EVIDENCE_UNTIL, end, how),
        )
    learn(stream, list(taught.values()), CHAMPION_UNTIL, CHALLENGER_UNTIL)
    scores = said(stream, {"champion": champion, **{name: learner for name, (learner, _labels) in taught.items()}})
    for name in LEARNED:
        show(f"learned {name}", judged(stream, scores["champion"], scores[name], stream.labels))
    begin = CHALLENGER_UNTIL / EVIDENCE_UNTIL
    for name, (how, share) in JUDGED_ON.items():
        middle = begin + (1 - begin) * 0.4
        labels = poisoned(stream.labels, middle, middle + (1 - begin) * share, how)
        show(f"judged on {name}", judged(stream, scores["champion"], scores["as they are"], labels))


def show(name: str, found: Judgement) -> None:
    """Print one run."""
    print(f"\n{name}: {found.verdict}", flush=True)
    for gate in found.gates:
        mark = "" if gate.state == "passed" else f"{gate.state.upper()} "
        print(f"  {gate.name}: {mark}{gate.words}", flush=True)


if __name__ == "__main__":
    main()
