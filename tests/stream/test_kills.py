"""kill -9 of `wardstream run` at random moments under load, over real MLLP and HTTP, and what must be true after it.

`WARDSTREAM_KILLS=200` (`make kills`) kills that often; without it, 20 times.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from connectors.hospital import Hospital, Story, as_fhir, as_hl7
from connectors.http.client import FhirClient, FhirClientError, Posted
from connectors.local.ports import free_ports
from connectors.mllp.client import MllpClient, MllpClientError
from connectors.sqlite.journal import SqliteJournal
from stream.demonstration import is_laboratory

KILLS = int(os.environ.get("WARDSTREAM_KILLS", "20"))
SEED = 20260104
CONNECTIONS = 8
WINDOW = 16
LABORATORIES = 4
"""Connections that post FHIR: results of one patient may then overtake each other, as they do."""
MOMENTS_S = (0.0, 0.05, 0.3, 1.0, 2.0)
"""Borders of the spans in which the kill comes, from the moment the service listens; before that, every fifth time."""
LEAST = (0, 0, 150, 350)
"""Of each span, how many messages it takes at least: a slow machine is killed later, in the midst of as much."""
RECONNECT_S = 0.05
LISTENS_WITHIN_S = 60
STOPS_WITHIN_S = 60
ENOUGH_WITHIN_S = 120


class Load:
    """What is sent, by how many connections, and what was acknowledged. A patient stays on one connection."""

    def __init__(self, mllp_port: int, http_port: int) -> None:
        self.mllp_port, self.http_port = mllp_port, http_port
        self.acknowledged: set[str] = set()
        self.codes: Counter[str] = Counter()
        self.enough = asyncio.Event()
        self._queues: list[asyncio.Queue[tuple[str, bytes]]] = [asyncio.Queue(64) for _ in range(CONNECTIONS + 1)]

    async def run(self) -> None:
        """Send until it is enough, then end what is in flight."""
        senders = [asyncio.create_task(self._speak_mllp(queue)) for queue in self._queues[:-1]]
        senders += [asyncio.create_task(self._speak_fhir(self._queues[-1])) for _ in range(LABORATORIES)]
        for story in Hospital(seed=SEED, beds=400, hours=24 * 365):
            if self.enough.is_set():
                break
            if story.kind == "outcome":
                continue
            queue, data = self._deal(story)
            await queue.put((story.control_id, data))
        await asyncio.gather(*(queue.join() for queue in self._queues))
        for sender in senders:
            sender.cancel()

    def _deal(self, story: Story) -> tuple[asyncio.Queue[tuple[str, bytes]], bytes]:
        if is_laboratory(story):
            bundle = as_fhir(story)
            assert bundle is not None
            return self._queues[-1], bundle
        message = as_hl7(story)
        assert message is not None
        return self._queues[int(story.encounter[1:7]) % CONNECTIONS], message

    async def _speak_mllp(self, queue: asyncio.Queue[tuple[str, bytes]]) -> None:
        pending: list[tuple[str, bytes]] = []
        while True:
            client = MllpClient("127.0.0.1", self.mllp_port, window=WINDOW)
            with suppress(MllpClientError):
                await client.open()
                while True:
                    if not pending:
                        pending.append(await queue.get())
                        while len(pending) < WINDOW and not queue.empty():
                            pending.append(queue.get_nowait())
                    async for answer in client.send_all([data for _, data in pending]):
                        self._note(pending.pop(0)[0], answer.code)
                        queue.task_done()
            await client.close()
            await pause()

    async def _speak_fhir(self, queue: asyncio.Queue[tuple[str, bytes]]) -> None:
        client = FhirClient(f"http://127.0.0.1:{self.http_port}/fhir", connections=WINDOW)
        while True:
            control_id, bundle = await queue.get()
            posted: Posted | None = None
            while posted is None or posted.status == 503:
                try:
                    posted = await client.send(bundle)
                except FhirClientError:
                    await pause()
            self._note(f"O{control_id}", str(posted.status))
            queue.task_done()

    def _note(self, control_id: str, code: str) -> None:
        self.codes[code] += 1
        if code in ("AA", "200"):
            self.acknowledged.add(control_id)


class Service:
    """`wardstream run` as a process that is killed and started again."""

    def __init__(self, folder: Path, mllp_port: int, http_port: int) -> None:
        self.command = [
            *(sys.executable, "-m", "stream.cli", "run", "--data-dir", str(folder)),
            *("--mllp-port", str(mllp_port), "--http-port", str(http_port)),
        ]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> asyncio.subprocess.Process:
        """Start it; it may not listen yet."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self.process

    async def listen(self) -> None:
        """Wait until it listens."""
        assert self.process is not None
        assert self.process.stdout is not None
        async with asyncio.timeout(LISTENS_WITHIN_S):
            line = await self.process.stdout.readline()
        assert json.loads(line)["event"] == "listening"

    async def kill_after(self, seconds: float, enough: Callable[[], bool] = lambda: True) -> None:
        """Let it run so long, until it was enough, and end it as a power cut would end the process."""
        assert self.process is not None
        with suppress(TimeoutError):
            code = await asyncio.wait_for(self.process.wait(), seconds)
            pytest.fail(f"it ended by itself: {code}")
        async with asyncio.timeout(ENOUGH_WITHIN_S):
            while not enough():
                await pause()
                assert self.process.returncode is None, "it ended by itself"
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Stop it in order; give its exit code."""
        assert self.process is not None
        self.process.terminate()
        async with asyncio.timeout(STOPS_WITHIN_S):
            return await self.process.wait()


async def pause() -> None:
    """Give a service that was killed a moment to come back."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), RECONNECT_S)


async def kill_again_and_again(service: Service, load: Load, kills: int) -> tuple[int, int]:
    """Start and kill under load; give how many kills came before it listened, and how many while it did."""
    moments = random.Random(SEED)  # noqa: S311 - chooses moments, keeps no secret
    sending = asyncio.create_task(load.run())
    early = late = 0
    for number in range(kills):
        await service.start()
        if number % 5 == 4:
            early += 1
            await service.kill_after(moments.uniform(0.3, 1.2))
        else:
            await service.listen()
            span = moments.randrange(len(MOMENTS_S) - 1)
            wanted = load.codes["AA"] + LEAST[span]
            late += 1
            await service.kill_after(
                moments.uniform(MOMENTS_S[span], MOMENTS_S[span + 1]), lambda wanted=wanted: load.codes["AA"] >= wanted
            )
        assert not sending.done(), sending.exception()
    await service.start()
    await service.listen()
    load.enough.set()
    async with asyncio.timeout(STOPS_WITHIN_S):
        await sending
    return early, late


def messages_in(folder: Path) -> set[str]:
    """Give what names each message in the log: the control id, or the order that a FHIR resource's id begins with."""
    journal = SqliteJournal(folder, read_only=True)
    found: set[str] = set()
    for _offset, envelope in journal.read():
        found.add(envelope.message_id)
        found.update(resource.rpartition("/")[2].rsplit("-", 2)[0] for resource in _resources(envelope.events))
    journal.close()
    return found


def _resources(events: tuple[Any, ...]) -> Iterator[str]:
    for event in events:
        observation = getattr(event, "observation", event)
        if resource := getattr(observation, "resource", ""):
            yield resource


def test_nothing_acknowledged_is_lost_and_the_outputs_are_those_of_a_replay(tmp_path: Path) -> None:
    """However often it is killed: each acknowledged message is in the log, and what was put out is its replay, byte for
    byte.
    """
    folder = tmp_path / "data"
    mllp_port, http_port = free_ports(2)  # every start of the service shall have them

    async def story() -> tuple[Load, int, int, int]:
        load, service = Load(mllp_port, http_port), Service(folder, mllp_port, http_port)
        try:
            early, late = await kill_again_and_again(service, load, KILLS)
            return load, early, late, await service.stop()
        finally:
            if service.process is not None and service.process.returncode is None:
                service.process.kill()
                await service.process.wait()

    load, early, late, code = asyncio.run(story())
    assert (early + late, code) == (KILLS, 0)
    assert late >= KILLS * 3 // 4
    assert set(load.codes) == {"AA", "200"}, load.codes
    assert load.codes["AA"] > 100 * late, "too little was sent: nothing was tested"
    assert load.codes["200"] > late
    lost = load.acknowledged - messages_in(folder)
    assert not lost, f"{len(lost)} of {len(load.acknowledged)} acknowledged messages are not in the log"
    replay = [
        sys.executable,
        "-m",
        "stream.cli",
        "replay",
        f"journal:{folder}",
        "--quiet",
        "--out",
        str(tmp_path / "r"),
    ]
    subprocess.run(replay, check=True, timeout=600)
    digest = subprocess.run(
        [sys.executable, "-c", DIGEST, str(folder)], check=True, timeout=600, capture_output=True, text=True
    ).stdout.strip()
    assert digest == (tmp_path / "r" / "digest.txt").read_text().strip()
    print(f"{early + late} kills ({early} before it listened), {sum(load.codes.values()):,} acknowledged, none lost")  # noqa: T201 - for `make kills`


DIGEST = """
import sys
from pathlib import Path
from connectors.sqlite.outputs import OUTPUTS_FILE, SqliteOutputs
from stream.digest import RunDigest
digest = RunDigest()
for output in SqliteOutputs(Path(sys.argv[1]) / OUTPUTS_FILE, read_only=True).outputs():
    digest.add(*output)
print(digest.hexdigest())
"""
"""The digest of what lies in outputs.db, read by a process of its own."""
