"""The load generator of `live.py`: a process that writes ORU^R01 to hl7v2.ingest.v1 at a set rate, as a gateway does.

Owns when a message is due and how late it went out. Must not know who reads it. Open loop: a message is due at its
moment whether or not anybody keeps up, and carries that moment as when it was received, so that our own lateness is
part of every latency.

Run by `live.py`: one JSON object in as the only argument, one JSON object out.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from live_traffic import Traffic

from connectors.kafka.producing import open_producer
from connectors.kafka.settings import KafkaSettings

STEP_S = 0.01
"""How often what is due is sent."""
TOPIC = "hl7v2.ingest.v1"
PENDING_MAX = 400
"""Batches that may wait for their acknowledgement; beyond, the generator is late, and says so."""


async def generate(told: dict[str, Any]) -> dict[str, Any]:
    """Send what is asked for; give what was sent and how."""
    kafka = KafkaSettings(bootstrap=told["bootstrap"], prefix=told["prefix"], partitions=told["partitions"])
    traffic = Traffic(told["patients"], told["partitions"])
    producer = await open_producer(kafka, client_id="bench-load")
    name = kafka.prefix + told.get("topic", TOPIC)
    per_s, first, count = float(told["per_s"]), int(told["first"]), int(told["count"])
    pending: set[Any] = set()
    late_s: list[float] = []
    seconds: dict[int, bytes] = {}
    cpu_s = time.process_time()
    begun, began = time.time(), time.perf_counter()
    sent = 0
    while sent < count:
        due = min(count, int((time.perf_counter() - began) * per_s) + 1)
        batches: dict[int, Any] = {}
        for number in range(first + sent, first + due):
            moment = begun + (number - first) / per_s
            second = int(moment)
            written = seconds.get(second)
            if written is None:
                seconds.clear()
                written = seconds[second] = datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S+0000").encode()
            place = traffic.partition(number)
            batch = batches.get(place)
            if batch is None:
                batch = batches[place] = producer.create_batch()
            millis = int(moment * 1_000)
            value = traffic.message(number, written, well=told["well"])
            headers = [("ws_received", b"%d" % millis)]
            while batch.append(timestamp=millis, key=traffic.key(number), value=value, headers=headers) is None:
                pending.add(await producer.send_batch(batch, name, partition=place))
                batch = batches[place] = producer.create_batch()
        for place, batch in batches.items():
            pending.add(await producer.send_batch(batch, name, partition=place))
        if due > sent:
            late_s.append(time.perf_counter() - began - (due - 1) / per_s)
        sent = due
        while len(pending) > PENDING_MAX:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            pending = _left(pending)
        pending = _left(pending)
        await asyncio.sleep(STEP_S)
    await asyncio.gather(*pending)
    took_s = time.perf_counter() - began
    await producer.stop()
    late_s.sort()
    return {
        "sent": sent,
        "seconds": took_s,
        "begun": begun,
        "cpu_s": time.process_time() - cpu_s,
        "late_p99_ms": late_s[int(0.99 * (len(late_s) - 1))] * 1e3 if late_s else 0.0,
    }


def _left(pending: set[Any]) -> set[Any]:
    """Give those not acknowledged yet; raises what one failed of."""
    left = set()
    for one in pending:
        if one.done():
            one.result()
        else:
            left.add(one)
    return left


if __name__ == "__main__":
    print(json.dumps(asyncio.run(generate(json.loads(sys.argv[1])))), flush=True)
