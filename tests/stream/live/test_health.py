"""Claims about a process's health over HTTP: what is well, what is not, and a question that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio

from connectors.http.ports import Condition
from stream.live.health import HealthServer


class Process:
    """Something whose health a test sets."""

    def __init__(self) -> None:
        self.condition = Condition(well=True)
        self.broken = False

    def ask(self) -> Condition:
        """Say how it is."""
        if self.broken:
            raise RuntimeError("Jane Doe")
        return self.condition


@pytest.fixture
def process() -> Process:
    return Process()


@pytest_asyncio.fixture
async def get(process: Process) -> AsyncIterator[Callable]:
    async def answer() -> object:
        return {"version": "4f1c"}

    server = HealthServer(
        lambda: Condition(well=True), process.ask, lambda: (b"x 1\n# EOF\n", "text/plain"), {"/findings": answer}
    )
    port = await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:

        async def get(path: str) -> tuple[int, object]:
            async with client.get(path) as answer:
                return answer.status, await (answer.json() if "health" in path else answer.read())

        yield get
    await server.stop()


@pytest.mark.asyncio
async def test_a_well_process_says_so(get) -> None:
    """Both healths of a well process answer 200 without a problem."""
    assert await get("/health/live") == (200, {"well": True, "status": "ok", "problems": []})
    assert await get("/health/ready") == (200, {"well": True, "status": "ok", "problems": []})


@pytest.mark.asyncio
async def test_problems_are_named(get, process) -> None:
    """A process that is not ready answers 503 and names what is wrong; it lives all the same."""
    process.condition = Condition(well=False, problems=("no broker",))
    assert await get("/health/ready") == (503, {"well": False, "status": "failing", "problems": ["no broker"]})
    assert (await get("/health/live"))[0] == 200


@pytest.mark.asyncio
async def test_a_question_that_fails_is_not_well(get, process) -> None:
    """A health that cannot be told is answered 503, by the fault's type and nothing of its text."""
    process.broken = True
    status, body = await get("/health/ready")
    assert status == 503
    assert body["problems"] == ["the question itself fails: RuntimeError"]


@pytest.mark.asyncio
async def test_metrics_are_served(get) -> None:
    """The metrics come as they are given."""
    assert await get("/metrics") == (200, b"x 1\n# EOF\n")


@pytest.mark.asyncio
async def test_what_is_to_be_known_of_a_well_process_is_a_note(get, process) -> None:
    """It answers 200 and says it; who has nothing to note answers as before."""
    process.condition = Condition(well=True, notes=("a limit is broken",))
    answered = {"well": True, "status": "ok", "problems": [], "notes": ["a limit is broken"]}
    assert await get("/health/ready") == (200, answered)
    assert "notes" not in (await get("/health/live"))[1]


@pytest.mark.asyncio
async def test_a_process_s_own_answers_are_json(get) -> None:
    """Each by its path."""
    assert await get("/findings") == (200, b'{"version":"4f1c"}')
