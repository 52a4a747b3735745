"""`wardstream simulate` to endpoints: every message arrives, in order, and nothing is counted that was not answered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from hl7.mllp import start_hl7_server

from connectors.hospital.hospital import START_TIME
from connectors.http.client import Posted
from connectors.mllp.client import Acknowledged
from events import MILLIS_PER_HOUR
from stream.lane import Patience, SendError
from stream.links import MllpLink, judge
from stream.pacing import Schedule, present_of
from stream.resuming import Bookmark, BookmarkError, Ledger, load_bookmark, save_bookmark
from stream.sending import AHEAD_MESSAGES_MAX, Sender
from stream.simulation import hospital_stream
from stream.traffic import Rendered, Traffic, TrafficError, render_traffic, rendered_ahead

SIZE = ("--seed", "5", "--beds", "30", "--hours", "24")
TRAFFIC = Traffic(5, 30, 24.0, START_TIME, "hl7v2")
NOW_S = 1_000.0
BEARER = "let-me-in"


def control_id(message: bytes) -> str:
    return message.split(b"|", 10)[9].decode()


def expected(traffic: Traffic = TRAFFIC) -> list[str]:
    """Give the control ids of the hospital, what it resends left out."""
    return list(dict.fromkeys(control_id(rendered.data) for rendered in render_traffic(traffic)))


def patients() -> dict[str, int]:
    return {control_id(rendered.data): rendered.patient for rendered in render_traffic(TRAFFIC)}


def by_patient(names: Iterable[str]) -> dict[int, list[str]]:
    """Part first arrivals by patient."""
    of, parts = patients(), defaultdict(list)
    for name in dict.fromkeys(names):
        parts[of[name]].append(name)
    return parts


class Receiver:
    """An MLLP receiver by python-hl7, which shares no code with us; `judge_one` says AA, AE, AR, or None: hang up."""

    def __init__(self, judge_one: Callable[[int, str], str | None] = lambda _number, _name: "AA") -> None:
        self.received: list[str] = []
        self.stored: list[str] = []
        self.connections: list[list[str]] = []
        self.judge_one = judge_one
        self.port = 0
        self.progress = asyncio.Condition()

    async def serve(self, reader, writer) -> None:
        """Serve one connection."""
        mine: list[str] = []
        self.connections.append(mine)
        try:
            while True:
                message = await reader.readmessage()
                name = str(message.segment("MSH")[10])
                self.received.append(name)
                mine.append(name)
                code = self.judge_one(len(self.received), name)
                if code is None:
                    writer.transport.abort()
                    return
                answer = message.create_ack(code.split()[0])
                error = f"ERR||PID^1^3|{code.split()[1]}^told\r" if " " in code else ""
                if code == "AA":
                    self.stored.append(name)
                writer.writeblock(f"{str(answer).rstrip()}\r{error}".encode())
                await writer.drain()
                async with self.progress:
                    self.progress.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def wait_for(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.received) >= count)


@asynccontextmanager
async def receiving(
    judge_one: Callable[[int, str], str | None] = lambda _number, _name: "AA",
) -> AsyncIterator[Receiver]:
    receiver = Receiver(judge_one)
    server = await start_hl7_server(receiver.serve, "127.0.0.1", 0, encoding="utf-8")
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


async def messages_of(traffic: Traffic = TRAFFIC) -> AsyncIterator[Rendered]:
    for rendered in render_traffic(traffic):
        yield rendered


def sender_to(receiver: Receiver, *, connections: int = 1, window: int = 1, retry: bool = False) -> Sender:
    return Sender(
        lambda: MllpLink("127.0.0.1", receiver.port, window=window, ack_timeout_s=20.0),
        connections=connections, window=window, patience=Patience(retry=retry, give_up_after_s=20.0),
    )  # fmt: skip


async def start_command(*arguments: object, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.cli", "simulate", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip


async def run_command(*arguments: object, **environment: str) -> tuple[int | None, str, str]:
    process = await start_command(*arguments, **environment)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


# Schedules


@pytest.mark.parametrize(("number", "due_s"), [(0, NOW_S), (1, NOW_S + 0.02), (500, NOW_S + 10.0)])
def test_a_rate_is_a_schedule(number, due_s):
    """At 50 a second the n-th message is meant for n/50 s after the beginning, whatever became of those before."""
    assert Schedule(NOW_S, rate=50.0).due_s(number, sent_time=12_345) == pytest.approx(due_s)


def test_a_speed_keeps_the_hospitals_pauses():
    """At a speed of 60 an hour of the hospital is a minute; what was sent before the beginning is due at once."""
    schedule = Schedule(NOW_S, speed=60.0, first_time=START_TIME)
    assert schedule.due_s(0, START_TIME) == NOW_S
    assert schedule.due_s(1, START_TIME + MILLIS_PER_HOUR) == NOW_S + 60.0
    assert schedule.due_s(2, START_TIME - MILLIS_PER_HOUR) == NOW_S


def test_a_live_hospital_catches_up():
    """A hospital begun six hours ago at speed 1 sends those six hours at once, and the next hour in an hour."""
    now = START_TIME + 6 * MILLIS_PER_HOUR
    schedule = Schedule(NOW_S, speed=1.0, first_time=present_of(START_TIME, now, 1.0))
    assert schedule.due_s(0, START_TIME + 5 * MILLIS_PER_HOUR) == NOW_S
    assert schedule.due_s(1, START_TIME + 7 * MILLIS_PER_HOUR) == NOW_S + 3600.0


@pytest.mark.asyncio
@pytest.mark.parametrize(("behind_s", "told_s"), [(0.0, 0.0), (90.0, 90.0)])
async def test_a_schedule_that_is_not_kept_is_told(behind_s, told_s):
    """What goes out after its moment is counted as late by that much, by the clock that the schedule is on."""
    async with receiving() as receiver:
        link = MllpLink("127.0.0.1", receiver.port, window=1, ack_timeout_s=20.0)
        sender = Sender(lambda: link, clock=lambda: NOW_S + behind_s)
        await sender.run(messages_of(), Schedule(NOW_S, speed=1e12, first_time=START_TIME))
    assert sender.counts.late_max_s == pytest.approx(told_s, abs=0.001)


# Rendering ahead


@pytest.mark.asyncio
@pytest.mark.parametrize("wire", ["hl7v2", "fhir"])
async def test_the_rendering_process_gives_the_same_messages(wire):
    """What comes over the pipe is what is rendered here, from whichever message on."""
    traffic = msgspec.structs.replace(TRAFFIC, wire=wire, skip=7)
    async with rendered_ahead(traffic) as messages:
        got = [rendered async for rendered in messages]
    assert got == list(render_traffic(traffic))
    assert [rendered.data for rendered in got] == [
        data for _time, data in hospital_stream(seed=5, beds=30, hours=24.0, wire=wire)
    ][7:]


@pytest.mark.asyncio
async def test_a_rendering_process_that_fails_is_no_end():
    """A hospital that cannot be rendered raises: it is never taken for a hospital that is over."""
    async with rendered_ahead(msgspec.structs.replace(TRAFFIC, beds=0)) as messages:
        with pytest.raises(TrafficError):
            await anext(messages)


@pytest.mark.asyncio
async def test_a_rendering_process_goes_with_its_reader():
    """Where the sender was killed, nobody reads the pipe any more, and the rendering process ends by itself."""
    endless = msgspec.structs.replace(TRAFFIC, beds=300, hours=8_000.0)
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream.traffic", msgspec.json.encode(endless).decode(), stdout=writing
    )
    os.close(writing)
    assert await asyncio.to_thread(os.read, reading, 1)
    os.close(reading)
    assert await process.wait() == -signal.SIGPIPE


# Sending


@pytest.mark.asyncio
@pytest.mark.parametrize(("connections", "window"), [(1, 1), (1, 16), (4, 1), (4, 16)])
async def test_every_message_arrives_in_its_patients_order(connections, window):
    """Over any number of connections a patient's messages arrive once and in order, and all are acknowledged."""
    async with receiving() as receiver:
        sender = sender_to(receiver, connections=connections, window=window)
        await sender.run(messages_of(), Schedule(NOW_S))
    everything = [control_id(rendered.data) for rendered in render_traffic(TRAFFIC)]
    assert sorted(receiver.received) == sorted(everything)
    assert by_patient(receiver.received) == by_patient(everything)
    assert sender.ledger.settled == sender.counts.acknowledged == len(everything)
    assert len(receiver.connections) == connections


@pytest.mark.asyncio
async def test_a_merge_waits_for_all_before_it_and_none_overtakes_it():
    """With several connections a merge arrives after every earlier message, and before every later one."""
    traffic = Traffic(5, 60, 60.0, START_TIME, "hl7v2")
    stream = list(render_traffic(traffic))
    async with receiving() as receiver:
        await sender_to(receiver, connections=3, window=8).run(messages_of(traffic), Schedule(NOW_S))
    merges = [rendered for rendered in stream if rendered.alone]
    assert merges
    for merge in merges:
        assert control_id(stream[merge.number].data) == receiver.received[merge.number]
        before = {control_id(rendered.data) for rendered in stream[: merge.number]}
        assert set(receiver.received[: merge.number]) == before


@pytest.mark.asyncio
@pytest.mark.parametrize("window", [1, 16])
async def test_a_broken_connection_is_gone_on_from(window):
    """Where the receiver hangs up now and then, with --retry every message arrives, in order, at least once."""
    async with receiving(lambda number, _name: None if number % 37 == 0 else "AA") as receiver:
        sender = sender_to(receiver, window=window, retry=True)
        await sender.run(messages_of(), Schedule(NOW_S))
    assert list(dict.fromkeys(receiver.stored)) == expected()
    assert sender.counts.resent >= sender.counts.interruptions > 3
    assert sender.counts.in_flight == 0


@pytest.mark.asyncio
async def test_without_retry_a_broken_connection_fails():
    """Without --retry the first break ends it, and what was acknowledged before is what is counted."""
    async with receiving(lambda number, _name: None if number == 10 else "AA") as receiver:
        sender = sender_to(receiver)
        with pytest.raises(SendError, match="--retry"):
            await sender.run(messages_of(), Schedule(NOW_S))
    assert sender.ledger.settled == sender.counts.acknowledged == len(receiver.stored) == 9


@pytest.mark.asyncio
async def test_patience_ends():
    """A receiver that never settles anything is given up on."""
    async with receiving(lambda _number, _name: None) as receiver:
        sender = Sender(
            lambda: MllpLink("127.0.0.1", receiver.port, window=1, ack_timeout_s=5.0),
            patience=Patience(retry=True, give_up_after_s=0.2),
        )
        with pytest.raises(SendError, match="gave up"):
            await sender.run(messages_of(), Schedule(NOW_S))
    assert sender.ledger.settled == 0


@pytest.mark.asyncio
async def test_a_busy_receiver_gets_the_message_again_before_any_other():
    """After AR with 207 the same message is sent again until it is taken; none overtakes it."""
    async with receiving(lambda number, _name: "AR 207" if number % 50 == 0 else "AA") as receiver:
        sender = sender_to(receiver, retry=True)
        await sender.run(messages_of(), Schedule(NOW_S))
    assert list(dict.fromkeys(receiver.stored)) == expected()
    assert sender.counts.refused == 0
    assert sender.counts.resent == sender.counts.interruptions > 2
    assert len(receiver.connections) == 1


@pytest.mark.asyncio
async def test_busy_within_a_window_loses_nothing():
    """With messages in flight behind the one that is refused for now, each is stored, and none is sent for nothing."""
    async with receiving(lambda number, _name: "AR 207" if number % 50 < 3 else "AA") as receiver:
        sender = sender_to(receiver, window=8, retry=True)
        await sender.run(messages_of(), Schedule(NOW_S))
    assert sorted(dict.fromkeys(receiver.stored)) == sorted(expected())
    assert sender.ledger.settled == sender.counts.acknowledged == len(receiver.stored)


@pytest.mark.asyncio
async def test_a_refusal_is_counted_and_not_repeated():
    """AE, and AR with another code, are final: sent once, counted with the receiver's words."""
    codes = {5: "AE 101", 6: "AR 200"}
    async with receiving(lambda number, _name: codes.get(number, "AA")) as receiver:
        sender = sender_to(receiver, retry=True)
        await sender.run(messages_of(), Schedule(NOW_S))
    assert sender.counts.refused == sender.ledger.refused == 2
    assert sender.counts.resent == 0
    assert sender.counts.refusals == {"AE PID^1^3 101^told": 1, "AR PID^1^3 200^told": 1}


@pytest.mark.asyncio
async def test_a_slow_connection_bounds_the_others():
    """While one connection stands still the other runs ahead by `AHEAD_MESSAGES_MAX` messages, and no further."""
    go_on = asyncio.Event()
    only, *others = render_traffic(Traffic(5, 60, 96.0, START_TIME, "hl7v2"))
    only = msgspec.structs.replace(only, patient=0)

    class SlowLink(MllpLink):
        async def submit(self, data):
            if data == only.data:
                await go_on.wait()
            return await super().submit(data)

    async def stream():
        yield only
        for rendered in others:
            yield msgspec.structs.replace(rendered, patient=1, alone=False)

    async with receiving() as receiver:
        sender = Sender(lambda: SlowLink("127.0.0.1", receiver.port, window=1, ack_timeout_s=20.0), connections=2)
        running = asyncio.create_task(sender.run(stream(), Schedule(NOW_S)))
        await receiver.wait_for(AHEAD_MESSAGES_MAX)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receiver.wait_for(AHEAD_MESSAGES_MAX + 1), 0.2)
        assert sender.ledger.settled == 0
        go_on.set()
        await running
    assert sender.ledger.settled == len(others) + 1 > AHEAD_MESSAGES_MAX + 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Acknowledged("AA"), "stored"),
        (Acknowledged("CA"), "stored"),
        (Acknowledged("AR", "", "207"), "busy"),
        (Acknowledged("AE", "", "207"), "refused"),
        (Acknowledged("AR", "", "200"), "refused"),
        (Posted(200), "stored"),
        (Posted(200, ("error",)), "refused"),
        (Posted(422), "refused"),
        (Posted(500), "refused"),
        (Posted(408), "busy"),
        (Posted(429), "busy"),
        (Posted(502), "busy"),
        (Posted(503), "busy"),
        (Posted(507), "busy"),
        (Posted(401), "wrong_place"),
        (Posted(307), "wrong_place"),
        (Posted(404), "wrong_place"),
    ],
)
def test_an_answer_means_one_thing(answer, kind):
    """Each kind of answer has its consequence: counted, sent again, or the whole run ended."""
    assert judge(answer).kind == kind


# The command


@pytest.mark.asyncio
async def test_kill_9_repeats_a_few_and_loses_none(tmp_path):
    """Killed at two moments and started again, every message arrives, in order; what was settled is not begun anew."""
    place = tmp_path / "feed.json"
    async with receiving() as receiver:
        target = f"mllp://127.0.0.1:{receiver.port}"
        for count in (60, 200):
            process = await start_command(target, *SIZE, "--resume", place, "--rate", "100")
            await receiver.wait_for(count)
            process.send_signal(signal.SIGKILL)
            await process.communicate()
        begun = load_bookmark(place).settled
        code, out, err = await run_command(target, *SIZE, "--resume", place)
    assert code == 0, err
    assert list(dict.fromkeys(receiver.received)) == expected()
    assert begun > 0
    assert len(receiver.connections) == 3
    assert receiver.connections[2][0] == [control_id(rendered.data) for rendered in render_traffic(TRAFFIC)][begun]
    assert f"{load_bookmark(place).settled} messages of this hospital so far" in out


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_cleanly(tmp_path, number):
    """SIGTERM and Ctrl-C settle what is in flight and keep the place: going on repeats nothing at all."""
    place = tmp_path / "feed.json"
    async with receiving() as receiver:
        target = f"mllp://127.0.0.1:{receiver.port}"
        process = await start_command(target, *SIZE, "--resume", place, "--rate", "100")
        await receiver.wait_for(20)
        process.send_signal(number)
        _, err = await process.communicate()
        assert process.returncode == 1
        assert b"the same command goes on" in err
        assert b"Traceback" not in err
        assert load_bookmark(place).settled == len(receiver.received)
        code, _, _ = await run_command(target, *SIZE, "--resume", place, "--connections", "3")
        again, out, _ = await run_command(target, *SIZE, "--resume", place)
    assert code == again == 0
    assert out.startswith("0 messages")
    assert sorted(receiver.received) == sorted(control_id(rendered.data) for rendered in render_traffic(TRAFFIC))


@pytest.mark.asyncio
async def test_a_service_that_restarts_is_waited_for():
    """With --retry a command that was started before its receiver, or outlives it, sends everything."""
    async with receiving() as nobody:
        port = nobody.port
    receiver = Receiver()
    process = await start_command(f"mllp://127.0.0.1:{port}", *SIZE, "--retry", "--give-up-after", "30")
    server = await start_hl7_server(receiver.serve, "127.0.0.1", port, encoding="utf-8")
    out, err = await process.communicate()
    server.close()
    assert process.returncode == 0, err
    assert list(dict.fromkeys(receiver.stored)) == expected()
    assert out.endswith(b"/s)\n")


@pytest.mark.asyncio
async def test_refusals_are_shown_and_change_the_exit_code():
    """Refused messages give exit code 3, with the receiver's words on standard error."""
    async with receiving(lambda number, _name: "AE 101" if number == 3 else "AA") as receiver:
        code, out, err = await run_command(f"mllp://127.0.0.1:{receiver.port}", *SIZE)
    assert code == 3
    assert "1 refused" in out
    assert "refused 1 times: AE PID^1^3 101^told" in err


@asynccontextmanager
async def fhir_server(statuses: Callable[[int], tuple[int, dict[str, str]]]) -> AsyncIterator[tuple[str, list]]:
    received: list[tuple[bytes, str, int]] = []

    async def handle(request: web.Request) -> web.Response:
        status, headers = statuses(len(received) + 1)
        received.append((await request.read(), request.headers.get("authorization", ""), status))
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/fhir", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/fhir", received
    finally:
        await runner.cleanup()


@pytest.mark.asyncio
async def test_fhir_bundles_are_posted_in_order():
    """Every Bundle of the hospital is posted once stored, in order, with the token; busy ones are posted again."""

    def statuses(number: int) -> tuple[int, dict[str, str]]:
        return (503, {"retry-after": "0"}) if number % 40 == 0 else (200, {})

    async with fhir_server(statuses) as (url, received):
        code, out, err = await run_command(url, *SIZE, "--retry", WARDSTREAM_HTTP_TOKEN=BEARER)
    stored = [body for body, _token, status in received if status == 200]
    assert code == 0, err
    assert stored == [rendered.data for rendered in render_traffic(msgspec.structs.replace(TRAFFIC, wire="fhir"))]
    assert {token for _body, token, _status in received} == {f"Bearer {BEARER}"}
    assert BEARER not in out + err


@pytest.mark.asyncio
async def test_a_wrong_address_ends_at_once():
    """A base URL where nothing is served fails with the first answer, not after the whole hospital."""
    async with fhir_server(lambda _number: (404, {})) as (url, received):
        code, _, err = await run_command(url, *SIZE, "--retry")
    assert code == 1
    assert "HTTP 404" in err
    assert len(received) == 1


@pytest.mark.parametrize("name", ["a.hl7", "a.ndjson"])
def test_a_file_is_the_hospital_as_ever(cli, tmp_path, name):
    """A file holds the hospital's messages byte for byte, and --start only moves them."""
    assert cli("simulate", tmp_path / name, *SIZE).code == 0
    wire, end = ("hl7v2", b"") if name.endswith("hl7") else ("fhir", b"\n")
    stream = hospital_stream(seed=5, beds=30, hours=24.0, wire=wire)
    assert (tmp_path / name).read_bytes() == b"".join(data + end for _time, data in stream)
    assert cli("simulate", tmp_path / "b.hl7", *SIZE, "--start", "2026-02-05T07:00:00Z").code == 0
    assert b"|20260205" in (tmp_path / "b.hl7").read_bytes()


# Bookmarks and slips


def bookmark(**changes: object) -> Bookmark:
    plain = Bookmark(5, 30, 24.0, "2026-01-05T07:00:00Z", False, "mllp", "0.1.0", 12, 1)
    return msgspec.structs.replace(plain, **changes)


def test_a_bookmark_survives_its_file(tmp_path):
    """What is saved is what is loaded, over an older one too, and nothing else is left beside it."""
    for settled in (12, 13):
        save_bookmark(tmp_path / "feed.json", bookmark(settled=settled))
    assert load_bookmark(tmp_path / "feed.json") == bookmark(settled=13)
    assert os.listdir(tmp_path) == ["feed.json"]  # noqa: PTH208 - names only
    assert load_bookmark(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "{}", "\x00", "[]", '{"seed":"x"}', "MSH|^~\\&|"])
def test_another_file_is_no_bookmark(tmp_path, text):
    """A file that is no bookmark is refused, and is not written over."""
    (tmp_path / "notes").write_text(text)
    with pytest.raises(BookmarkError, match="name another file"):
        load_bookmark(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == text


def test_a_ledger_counts_in_order():
    """What is settled out of turn counts once all before it is; a second settling says nothing."""
    ledger = Ledger(10, 2)
    for number in (12, 11, 11, 9, 14):
        ledger.settle(number, refused=number == 11)
    assert (ledger.settled, ledger.refused) == (10, 2)
    ledger.settle(10, refused=False)
    assert (ledger.settled, ledger.refused) == (13, 3)


OTHERWISE = {
    "seed": ("--seed", "6", "--beds", "30", "--hours", "24"),
    "hours": ("--seed", "5", "--beds", "30", "--hours", "25"),
    "start_time": (*SIZE, "--start", "2026-01-06T07:00:00Z"),
    "live": (*SIZE, "--start", "now"),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_another_hospital_is_not_gone_on_with(cli, tmp_path, what):
    """A bookmark of another hospital is wrong usage, named by what differs, before anything is sent."""
    release = cli("--version").out.split()[-1]
    save_bookmark(tmp_path / "feed.json", bookmark(release=release))
    done = cli("simulate", "mllp://127.0.0.1:1", *OTHERWISE[what], "--resume", tmp_path / "feed.json")
    assert done.code == 2
    assert f"{what} (" in done.err
    assert json.loads((tmp_path / "feed.json").read_text())["settled"] == 12


SLIPS = {
    "mllp://127.0.0.1": "mllp://127.0.0.1:2575",
    "mllp://127.0.0.1:2575/fhir": "no paths",
    "mllp://:2575": "name the host",
    "mllp://127.0.0.1:0": "name the host and the port",
    "mllp://127.0.0.1:99999": "no such host and port",
    "http://127.0.0.1:8080": "name the FHIR base",
    "http://127.0.0.1:8080/fhir?x=1": "neither ? nor #",
    "http://user:hunter2@127.0.0.1:8080/fhir": "WARDSTREAM_HTTP_TOKEN",
    "ftp://127.0.0.1/x": "mllp:// or http://",
    "127.0.0.1:2575": "mllp://HOST:PORT",
    "feed.txt": ".hl7 or .ndjson",
    "feed.hl7 --rate 5": "not for a file",
    "feed.hl7 --resume x": "not for a file",
    "mllp://127.0.0.1:1 --rate 5 --speed 5": "not both",
    "http://127.0.0.1:1/fhir --window 2": "--connections",
    "mllp://127.0.0.1:1 --give-up-after 5": "--retry",
    "mllp://127.0.0.1:1 --start yesterday": "ISO 8601",
}


@pytest.mark.parametrize("line", SLIPS)
def test_a_slip_is_refused_with_what_would_be_right(cli, line):
    """An obvious slip is wrong usage: exit code 2, and words that help; a password is never repeated."""
    done = cli("simulate", *line.split())
    assert done.code == 2
    assert SLIPS[line] in done.err
    assert "hunter2" not in done.out + done.err
    assert not Path("feed.hl7").exists()
