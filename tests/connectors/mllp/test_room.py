"""Claims about room."""

from __future__ import annotations

import asyncio

import pytest

from connectors.mllp.room import Room


@pytest.mark.asyncio
async def test_room_is_given_in_order() -> None:
    """Who asked first is let in first, even where a later and smaller wish would fit."""
    room = Room(10, 100)
    await room.take(1, 80)
    order: list[int] = []

    async def want(size: int) -> None:
        await room.take(1, size)
        order.append(size)

    tasks = [asyncio.create_task(want(size)) for size in (50, 10)]
    await asyncio.wait(tasks, timeout=0)
    assert not room.take_now(1, 1)
    room.give(1, 80)
    await asyncio.gather(*tasks)
    assert (order, room.bytes_held) == ([50, 10], 60)


@pytest.mark.asyncio
async def test_room_lets_a_giant_in_alone() -> None:
    """What is larger than the room is let in when nothing is there, and then nothing else is."""
    room = Room(10, 100)
    await room.take(1, 1_000)
    assert not room.take_now(1, 0)
    room.give(1, 1_000)
    assert room.take_now(1, 100)


@pytest.mark.asyncio
async def test_room_forgets_who_gave_up() -> None:
    """One that waits no longer neither holds room nor keeps those behind it waiting."""
    room = Room(1, 100)
    await room.take(1, 1)
    first, second = (asyncio.create_task(room.take(1, size)) for size in (2, 3))
    await asyncio.wait([first, second], timeout=0)
    first.cancel()
    room.give(1, 1)
    await second
    assert room.bytes_held == 3


@pytest.mark.asyncio
async def test_room_let_in_and_cancelled_at_once() -> None:
    """One that is cancelled in the instant it is let in gives its room back."""
    room = Room(1, 100)
    await room.take(1, 1)
    task = asyncio.create_task(room.take(1, 2))
    await asyncio.wait([task], timeout=0)
    room.give(1, 1)
    task.cancel()
    await asyncio.wait([task])
    assert room.bytes_held == 0
    with pytest.raises(AssertionError):
        room.give(1, 1)
