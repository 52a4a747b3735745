"""The straightforward pipeline that Wardstream is compared with, and the messages that both sides are given.

Owns the peer: python-hl7 parses the ORU^R01, fhir.resources holds each OBX as an Observation, running statistics make
the features, and a River model gives a probability against a threshold. It is what an honest engineer writes in an
afternoon from the libraries' own documentation: not slowed down on purpose, not tuned. Must not know our packages.

Run it: `python benchmarks/peer.py` prints the microseconds a message.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from time import perf_counter
from typing import Any

import hl7
from fhir.resources.R4B.observation import Observation
from river import compose, linear_model, preprocessing, stats

SEED = 2026
FIRST_TIME = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
ROUND_STEP = timedelta(minutes=1)
"""Each patient is charted once a minute: a monitored ward, the heaviest feed we state a bound for."""

VITALS = (
    # LOINC, display, UCUM unit, normal value, spread of one step, decimals
    ("8867-4", "Heart rate", "/min", 80.0, 3.0, 0),
    ("9279-1", "Respiratory rate", "/min", 16.0, 1.0, 0),
    ("59408-5", "Oxygen saturation", "%", 97.0, 0.6, 0),
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 122.0, 4.0, 0),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]", 76.0, 3.0, 0),
    ("8310-5", "Body temperature", "Cel", 36.8, 0.1, 1),
    ("3150-6", "Inhaled oxygen concentration", "%", 21.0, 0.0, 0),
    ("9269-2", "Glasgow coma score total", "{score}", 15.0, 0.0, 0),
)
PULL = 0.05
"""How much of the way back to normal a vital goes in a step, so that a long run stays a living patient's."""
THRESHOLD = 0.5
WARM_UP_ROWS = 500
"""Rows the model learns before it is timed, so that it has a weight for each feature, as a trained one has."""


def messages(
    patients: int, count: int, seed: int = SEED, *, first_time: datetime = FIRST_TIME, step: timedelta = ROUND_STEP
) -> Iterator[bytes]:
    """Give `count` ORU^R01 messages of 8 vital signs, round robin over `patients`, one minute (`step`) a round.

    Segments end in CR; times carry their zone; each message has its own MSH-10. The same seed gives the same bytes.
    A running service stamps with its own clock: to be charted as now, the first round is given its time.

    >>> first = next(messages(patients=1, count=1))
    >>> first.count(b"OBX|"), first[:4]
    (8, b'MSH|')
    """
    rng = Random(seed)  # noqa: S311 - seeded on purpose, guards nothing
    values = [[normal for _, _, _, normal, _, _ in VITALS] for _ in range(patients)]
    for number in range(count):
        patient = number % patients
        moment = first_time + (number // patients) * step
        yield _message(number, patient, moment, _step(values[patient], rng))


def _step(values: list[float], rng: Random) -> list[float]:
    for index, (_, _, _, normal, spread, _) in enumerate(VITALS):
        values[index] += rng.gauss(0.0, spread) + PULL * (normal - values[index])
    values[2] = min(values[2], 100.0)
    return values


def _message(number: int, patient: int, moment: datetime, values: list[float]) -> bytes:
    time = moment.strftime("%Y%m%d%H%M%S+0000")
    segments = [
        f"MSH|^~\\&|MONITOR|WARD7|WARDSTREAM|HOSPITAL|{time}||ORU^R01^ORU_R01|B{number:08d}|P|2.5.1",
        f"PID|1||P{patient:06d}^^^BENCH^MR||||19500101|F",
        f"PV1|1|I|WARD7^R{patient // 4:03d}^B{patient % 4}||||||||||||||||V{patient:06d}",
        f"OBR|1||F{number:08d}|85353-1^Vital signs panel^LN|||{time}",
    ]
    segments += [
        f"OBX|{index}|NM|{code}^{display}^LN||{value:.{decimals}f}|{unit}^{unit}^UCUM|||||F|||{time}"
        for index, ((code, display, unit, _, _, decimals), value) in enumerate(
            zip(VITALS, values, strict=True), start=1
        )
    ]
    return ("\r".join(segments) + "\r").encode()


class PeerPipeline:
    """ORU^R01 bytes to a verdict, by python-hl7, fhir.resources and River."""

    def __init__(self) -> None:
        self.model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
        self.means: dict[str, dict[str, stats.Mean]] = {}
        self._learn()

    def handle(self, message: bytes) -> dict[str, Any]:
        """Give the verdict on one message: patient, probability and whether it is above the threshold."""
        parsed = hl7.parse(message.decode())
        patient = str(parsed.segment("PID")[3][0][0])
        observations = [self._observation(segment, patient) for segment in parsed.segments("OBX")]
        features = self._features(patient, observations)
        probability = self.model.predict_proba_one(features).get(True, 0.0)
        return {
            "patient": patient,
            "message_id": str(parsed.segment("MSH")[10]),
            "probability": probability,
            "alert": probability >= THRESHOLD,
        }

    def _observation(self, segment: hl7.Segment, patient: str) -> Observation:
        code, display = str(segment[3][0][0]), str(segment[3][0][1])
        unit = str(segment[6][0][0])
        moment = datetime.strptime(str(segment[14]), "%Y%m%d%H%M%S%z")
        fields: dict[str, Any] = {
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]},
            "subject": {"reference": f"Patient/{patient}"},
            "effectiveDateTime": moment,
            "valueQuantity": {
                "value": float(str(segment[5])),
                "unit": unit,
                "system": "http://unitsofmeasure.org",
                "code": unit,
            },
        }
        return Observation(**fields)

    def _features(self, patient: str, observations: list[Observation]) -> dict[str, float]:
        means = self.means.setdefault(patient, {})
        features: dict[str, float] = {}
        for observation in observations:
            # Made above: its parts are there, which the library's types do not say.
            made: Any = observation
            code = made.code.coding[0].code
            value = float(made.valueQuantity.value)
            mean = means.setdefault(code, stats.Mean())
            mean.update(value)
            features[f"{code}.last"] = value
            features[f"{code}.mean"] = mean.get()
        return features

    def _learn(self) -> None:
        rng = Random(SEED)  # noqa: S311 - seeded on purpose, guards nothing
        for _ in range(WARM_UP_ROWS):
            ill = rng.random() < 0.1
            row: dict[str, float] = {}
            for code, _, _, normal, spread, _ in VITALS:
                value = normal + rng.gauss(4 * spread if ill else 0.0, spread)
                row[f"{code}.last"] = value
                row[f"{code}.mean"] = value
            self.model.learn_one(row, ill)


def time_pipeline(pipeline: PeerPipeline, traffic: list[bytes]) -> float:
    """Give the microseconds a message that the pipeline takes over the traffic."""
    start = perf_counter()
    for message in traffic:
        pipeline.handle(message)
    return (perf_counter() - start) / len(traffic) * 1e6


def main(count: int = 1_000, patients: int = 50) -> None:
    """Warm up, time and print."""
    traffic = messages(patients, 2 * count)
    pipeline = PeerPipeline()
    time_pipeline(pipeline, list(islice(traffic, count // 4)))
    took_us = time_pipeline(pipeline, list(islice(traffic, count)))
    print(f"peer: {took_us:,.0f} µs a message, {1e6 / took_us:,.0f} messages/s ({count} messages, {patients} patients)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
