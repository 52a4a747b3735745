"""A plain Faust application that does the live service's work: the peer of `live.py`.

Owns what an honest engineer writes in a day from the libraries' own documentation: python-hl7 reads the message, the
patient's day of readings lies in Redis as JSON (one GET and one SET a message), windows are computed from the list, a
River model gives a probability, NEWS2 is computed by hand, a score is produced for each message and an alert where
NEWS2 rises to 7. Not slowed down on purpose, not tuned. Must not know our packages.

It does less than we do: no log between the stages, one coding and one unit, no bounds, no guardrails, no lifecycle,
no identity map, no de-duplication; a message may be lost or scored twice where a worker dies.

Run: `python benchmarks/peers/live_faust.py BROKER REDIS_PORT PREFIX`; it prints `ready`.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from random import Random
from typing import Any

import faust
import hl7
from redis.asyncio import Redis
from river import compose, linear_model, preprocessing

SEED = 2026
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
URGENT = 7
RESPIRATION, SPO2, SYSTOLIC, PULSE, TEMPERATURE = "9279-1", "59408-5", "8480-6", "8867-4", "8310-5"
OXYGEN, COMA = "3150-6", "9269-2"
BANDS: dict[str, tuple[tuple[float, int], ...]] = {
    # NEWS2 (Royal College of Physicians 2017): the first upper bound that holds gives the points
    RESPIRATION: ((8, 3), (11, 1), (20, 0), (24, 2), (999, 3)),
    SPO2: ((91, 3), (93, 2), (95, 1), (999, 0)),
    SYSTOLIC: ((90, 3), (100, 2), (110, 1), (219, 0), (999, 3)),
    PULSE: ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (999, 3)),
    TEMPERATURE: ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (999, 2)),
}


def news2(latest: dict[str, float]) -> int:
    """Add up the points of what is known."""
    total = sum(
        next(points for bound, points in bands if latest[code] <= bound)
        for code, bands in BANDS.items()
        if code in latest
    )
    return total + (2 if latest.get(OXYGEN, 21.0) > 21.0 else 0) + (3 if latest.get(COMA, 15.0) < 15.0 else 0)


def features_of(readings: dict[str, list[list[float]]], at: int) -> dict[str, float]:
    """Compute each vital sign's last value, and mean, extremes and trend of 6 hours against the day's mean."""
    found: dict[str, float] = {}
    for code, series in readings.items():
        values = [value for _, value in series]
        recent = [(time, value) for time, value in series if time > at - 6 * HOUR_MS]
        last = [value for _, value in recent]
        found[f"{code}.last"] = values[-1]
        found[f"{code}.age"] = (at - series[-1][0]) / HOUR_MS
        found[f"{code}.baseline"] = values[-1] - sum(values) / len(values)
        if last:
            mean = sum(last) / len(last)
            middle = sum(time for time, _ in recent) / len(recent)
            spread = sum((time - middle) ** 2 for time, _ in recent)
            found[f"{code}.mean"], found[f"{code}.min"], found[f"{code}.max"] = mean, min(last), max(last)
            trend = sum((time - middle) * (value - mean) for time, value in recent)
            found[f"{code}.slope"] = trend / spread * HOUR_MS if spread else 0.0
    return found


def trained() -> Any:
    """Give a model that has a weight for each feature, as a trained one has."""
    model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    rng = Random(SEED)  # noqa: S311 - seeded on purpose, guards nothing
    for _ in range(500):
        ill = rng.random() < 0.1
        series = {
            code: [[hour * HOUR_MS, 80 + rng.gauss(20.0 * ill, 5)] for hour in range(24)]
            for code in (*BANDS, OXYGEN, COMA, "8462-4")
        }
        model.learn_one(features_of(series, 24 * HOUR_MS), ill)
    return model


def make_app(broker: str, redis_port: int, prefix: str) -> faust.App:
    """Wire the application."""
    app = faust.App(
        f"{prefix}peer",
        broker=f"kafka://{broker}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
    )
    ingest = app.topic(f"{prefix}peer.ingest", value_type=bytes, value_serializer="raw", key_serializer="raw")
    scores = app.topic(f"{prefix}peer.scores", value_serializer="json")
    alerts = app.topic(f"{prefix}peer.alerts", value_serializer="json")
    redis = Redis(port=redis_port)
    model = trained()

    async def score(stream: Any) -> None:
        async for event in stream.events():
            message = hl7.parse(event.value.decode())
            received = int(dict(event.message.headers)["ws_received"])
            patient = str(message.segment("PID")[3][0][0])
            ward = str(message.segment("PV1")[3][0][0])
            state = json.loads(await redis.get(f"{prefix}peer:{patient}") or '{"readings": {}, "news2": 0}')
            readings = state["readings"]
            for obx in message.segments("OBX"):
                at = datetime.strptime(str(obx[14]), "%Y%m%d%H%M%S%z").timestamp() * 1_000
                readings.setdefault(str(obx[3][0][0]), []).append([at, float(str(obx[5]))])
            for code, series in readings.items():
                readings[code] = [reading for reading in series if reading[0] > received - DAY_MS]
            features = features_of(readings, received)
            total = news2({code: series[-1][1] for code, series in readings.items()})
            probability = model.predict_proba_one(features).get(True, 0.0)
            result = {
                "patient": patient, "ward": ward, "message_id": str(message.segment("MSH")[10]),
                "received_time": received, "news2": total, "probability": probability,
            }  # fmt: skip
            if total >= URGENT > state["news2"]:
                await alerts.send(key=ward, value=result)
            state["news2"] = total
            await redis.set(f"{prefix}peer:{patient}", json.dumps(state))
            await scores.send(key=patient, value=result)

    app.agent(ingest, name="score")(score)

    async def tell() -> None:
        print("ready", flush=True)

    app.task(tell)
    return app


if __name__ == "__main__":
    application = make_app(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    faust.Worker(application, loglevel="warning", override_logging=False).execute_from_commandline()
