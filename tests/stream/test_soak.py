"""A simulated month through the whole service, over real MLLP and HTTP: nothing grows without bound.

`make soak` runs a larger hospital (`WARDSTREAM_SOAK_BEDS`); the claim is the same.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import msgspec

from connectors.http.client import FhirClient
from connectors.mllp.client import MllpClient
from events import MILLIS_PER_DAY, Millis
from stream.demonstration import Sender, Step, demo_steps, stamp_as_sent
from stream.logs import set_up_logs
from stream.release import Release
from stream.run import RunningService
from stream.service import EmbeddedService
from stream.service_settings import ServiceSettings
from stream.settings import Settings

DAYS = 30
BEDS = int(os.environ.get("WARDSTREAM_SOAK_BEDS", "30"))
RETENTION_DAYS = 2
SETTLED_DAYS = 10
"""By then the beds are full, and the retention has gone over the log several times."""
GROWTH_MAX = 1.25
"""What the last ten days may have more than the ten before: noise of beds and of memory's pages, and no trend."""
WAL_BYTES_MAX = 34 * 1024 * 1024
"""A write-ahead log grows to its own bound and is then written anew: its size is no trend."""
HANDLES_MORE_MAX = 4
"""Above the number when the beds were full: a file that is written anew, a connection that is being closed."""


class Sample(msgspec.Struct, frozen=True):
    """What the process and its folder take, at one moment."""

    day: float
    memory_kib: int
    handles: int
    folder_kib: int
    records: int
    states: int


def sample(folder: Path, service: EmbeddedService, day: float) -> Sample:
    """Measure this process and the folder."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    logs = {name: size for name, size in sizes.items() if name.endswith("-wal")}
    assert max(logs.values()) <= WAL_BYTES_MAX, logs
    records = service.journal.end() - service.journal.begin()
    return Sample(
        day,
        int(status["VmRSS"].split()[0]),
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
        sum(size for name, size in sizes.items() if name not in logs) // 1024,
        records,
        len(service.patients()),
    )


async def run_month(folder: Path) -> list[Sample]:
    """Send a month; give a sample for each simulated day."""
    service = EmbeddedService(folder, Release(Settings(), "soak"), {}, retention_ms=RETENTION_DAYS * MILLIS_PER_DAY)
    running = RunningService(
        folder,
        service,
        ServiceSettings(mllp_port=0, http_port=0),
        version="soak",
        log=set_up_logs("error"),
        now=lambda: service.host.pipeline.control.clock,
        stamp=stamp_as_sent,
    )
    mllp_port, http_port = await running.start()
    mllp, fhir = MllpClient("127.0.0.1", mllp_port, window=64), FhirClient(f"http://127.0.0.1:{http_port}/fhir")
    await mllp.open()
    samples: list[Sample] = []
    sender = Sender(mllp, fhir)
    for day, steps in enumerate(by_day(demo_steps(seed=3, beds=BEDS, hours=DAYS * 24)), 1):
        await sender.send(iter(steps), ready=None, advanced=lambda _sent, _at: None)
        await running.engine.idle()
        # What the retention owes is done now: in a month of real time it would have been long ago.
        while await running.engine.ask(lambda one: one.maintain(one.host.pipeline.control.clock)):
            pass
        gc.collect()
        samples.append(await running.engine.ask(lambda one, day=day: sample(folder, one, day)))
    await mllp.close()
    await fhir.close()
    await running.stop()
    return samples


def by_day(steps: Iterator[Step]) -> Iterator[list[Step]]:
    """Part the traffic into days."""
    day: list[Step] = []
    first: Millis | None = None
    for step in steps:
        first = step.sent_time if first is None else first
        if day and step.sent_time >= first + MILLIS_PER_DAY:
            yield day
            day, first = [], first + MILLIS_PER_DAY
        day.append(step)
    if day:
        yield day


def test_a_month_takes_no_more_at_its_end_than_in_its_middle(tmp_path: Path) -> None:
    """Memory, file handles, folder, log and states of the last ten days are those of the ten days before."""
    samples = asyncio.run(run_month(tmp_path / "data"))
    assert len(samples) >= DAYS - 1
    middle, end = samples[SETTLED_DAYS : 2 * SETTLED_DAYS], samples[2 * SETTLED_DAYS :]
    table = "\n".join(str(one) for one in samples)
    for name in ("memory_kib", "folder_kib", "records", "states"):
        before, after = (mean(getattr(one, name) for one in part) for part in (middle, end))
        assert 0 < after <= before * GROWTH_MAX, f"{name}: {before:.0f}, then {after:.0f}\n{table}"
    assert max(one.handles for one in end) <= samples[SETTLED_DAYS].handles + HANDLES_MORE_MAX, table
    assert samples[-1].records < sum(one.records for one in samples[:3]) * 2, "the log was never shortened\n" + table
    print(table)  # noqa: T201 - for `make soak`
