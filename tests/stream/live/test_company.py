"""Companions of the learner's process: each is begun again where it fails, and what they say is told together."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from stream.live import company as module
from stream.live.company import Companion, Company, Learning


class Failing(Companion):
    """Fails at first, works then."""

    name = "failing"

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.runs = 0
        self.works = asyncio.Event()

    async def run(self, learning: Learning) -> None:
        """Fail once, with words that may quote a patient."""
        assert learning is None, "nothing is asked of it here"
        self.runs += 1
        if self.runs == 1:
            raise ValueError("Jane Doe")
        self.works.set()
        await asyncio.Event().wait()

    def notes(self) -> tuple[str, ...]:
        """Say something."""
        return ("something stands",)


@pytest.mark.asyncio
async def test_a_companion_that_fails_is_told_of_and_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in it ends neither the process nor itself; the words of the fault stay in the log."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    one = Failing()
    company = Company(None, (one, Companion()))
    task = asyncio.create_task(company.run(one, cast("Any", None)))
    async with asyncio.timeout(10):
        await one.works.wait()
    task.cancel()
    assert company.problems() == ("failing failed and was begun again: ValueError, see the log",)
    assert company.notes() == ("something stands",)
    assert list(company.makers) == ["failing", "companion"]
