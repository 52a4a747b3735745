"""Senders of others whose connections are cut at random: what was answered, and what each is to send again.

Owns the cutting proxy, the sending of what is left, and what the server's answers were. Must not know what the server
did with a message. A sender that is cut off is ended and begun anew with what no answer had reached it for: so an
engine does, and so a message may arrive twice.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from connectors.decoded import Identifier
from connectors.hl7v2.framing import frame
from connectors.hl7v2.render import Result, render_oru
from connectors.mllp.client import control_id_of
from events import Location

AT_ONCE = 5_000
"""Messages written to a file for a sender; what is left of them when it is cut off is the next file's beginning."""
UNCUT_BYTES_MIN, UNCUT_BYTES_MAX = 1_500, 4_000_000
"""A connection is cut after so many bytes, both ways together: between the first message and the 6,000th or so."""
MESSAGE_BYTES = 700
"""About: a message and its answer."""
GRACE_S = 1.0
"""For a sender that was cut off, to end by itself: some wait half a minute for an answer that will not come."""
SENDER_S_MAX = 120
BAD_EVERY = 41
"""One message in so many has a time that nobody can read: it is refused (AE), and must not be found."""
PATIENTS = 400
READ_BYTES = 1 << 16
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset, and what was on its way is lost."""
NACKS = frozenset({"AE", "AR", "CE", "CR"})


def message(number: int, sent_time: int) -> bytes:
    """Write a message of its own control id; one in `BAD_EVERY` is one that must be refused."""
    patient = f"P{number % PATIENTS}"
    data = render_oru(
        control_id=f"S{number}", sent_time=sent_time, feed="SOAK|MAIN", patient=Identifier("MRN", patient),
        encounter=f"V{patient}", location=Location("W1", "1", patient), observed_time=sent_time, order=f"O{number}",
        results=[Result("8867-4", value=60.0 + number % 60, unit="/min"), Result("9279-1", value=16.0, unit="/min")],
    )  # fmt: skip
    data = data.replace(b"|2.5.1|", b"|2.3|", 1)  # HAPI here has the structures of 2.3
    return _spoilt(data) if number % BAD_EVERY == 0 else data


def _spoilt(data: bytes) -> bytes:
    """Make OBR-7 no time."""
    head, mark, rest = data.partition(b"\rOBR|")
    fields = rest.split(b"|")
    fields[6] = b"yesterday"
    return head + mark + b"|".join(fields)


class Answer(NamedTuple):
    """What the server answered, and whether all of the answer was handed to the sender."""

    code: str
    delivered: bool


class Cutter:
    """A TCP proxy on loopback that cuts each connection after a number of bytes drawn by chance."""

    def __init__(self, port: int, random: Random, messages: int) -> None:
        """Cut in front of the server at `port`; each connection, on average, before half of `messages` are through."""
        self._server, self._random = port, random
        self._uncut = UNCUT_BYTES_MIN, min(UNCUT_BYTES_MAX, messages * MESSAGE_BYTES)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answers: dict[int, Answer] = {}
        self.refusals_and_acks: set[int] = set()
        """Numbers that were answered both ways: a server that changes its mind."""
        self.cuts = 0
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sender, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            room = [self._random.randint(*self._uncut)]
            ends = (sender, server)
            threading.Thread(target=self._pump, args=(sender, server, room, ends, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, sender, room, ends, bytearray()), daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, room: list[int], ends: tuple[socket.socket, socket.socket],
        answers: bytearray | None,
    ) -> None:  # fmt: skip
        """Hand on what comes, until it ends or there is no more room; read the answers among it."""
        while True:
            try:
                data = source.recv(READ_BYTES)
            except OSError:
                break
            if not data:
                break
            handed = data[: max(room[0], 0)]
            room[0] -= len(data)
            try:
                sink.sendall(handed)
            except OSError:
                handed = b""
            if answers is not None:
                self._read(answers, data, len(handed))
            if room[0] <= 0:
                self.cuts += 1
                self._break(ends)
                self.cut.set()
                return
        for end in ends:
            try:
                end.shutdown(socket.SHUT_WR)
            except OSError:
                continue

    def _break(self, ends: tuple[socket.socket, socket.socket]) -> None:
        """Close both ends: half of the time by a reset."""
        reset = self._random.random() < 0.5
        for end in ends:
            try:
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _read(self, before: bytearray, data: bytes, handed: int) -> None:
        """Note each answer that the server has given; delivered is one of which every byte was handed on."""
        kept = len(before)
        before += data
        place = 0
        while (end := before.find(b"\x1c\r", place)) >= 0:
            for line in bytes(before[place:end]).split(b"\r"):
                if line.startswith(b"MSA|"):
                    _, code, control_id, *_ = [*line.split(b"|"), b""]
                    self._note(int(control_id[1:]), code.decode(), delivered=end + 2 <= kept + handed)
            place = end + 2
        del before[:place]

    def _note(self, number: int, code: str, *, delivered: bool) -> None:
        known = self.answers.get(number)
        if known is not None and (known.code in NACKS) != (code in NACKS):
            self.refusals_and_acks.add(number)
        self.answers[number] = Answer(code, delivered or (known is not None and known.delivered))


class Sender:
    """Sends its numbers by one client of others, again and again what no answer came for, until all are answered."""

    def __init__(
        self, command: tuple[str | Path, ...], environ: dict[str, str], cutter: Cutter, numbers: range, folder: Path,
        sent_time: Callable[[], int],
    ) -> None:  # fmt: skip
        self._command, self._environment, self.cutter = command, environ, cutter
        self._numbers, self._path, self._sent_time = numbers, folder / f"{numbers.start}.hl7", sent_time
        self.runs = 0
        self.faults: list[str] = []

    def send_all(self) -> None:
        """Send all; a sender that gets nowhere, though nobody cut it, is noted and ends the rest."""
        fresh: Iterator[int] = iter(self._numbers)
        left: dict[int, bytes] = {}  # sent again it is the same message
        while True:
            for number in islice(fresh, AT_ONCE - len(left)):
                left[number] = frame(message(number, self._sent_time()))
            if not left:
                return
            self._path.write_bytes(b"".join(left.values()))
            self.cutter.cut.clear()
            error = self._run()
            waiting = {number: data for number, data in left.items() if not self._delivered(number)}
            if error and len(waiting) == len(left) and not self.cutter.cut.is_set():
                self.faults.append(error)
                return
            left = waiting

    def _delivered(self, number: int) -> bool:
        answer = self.cutter.answers.get(number)
        return answer is not None and answer.delivered

    def _run(self) -> str:
        """Run the client once over the file; give what it said of a fault."""
        self.runs += 1
        command = [str(part) for part in (*self._command, "127.0.0.1", self.cutter.port, self._path)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environment},
        )
        said: list[str] = []
        reader = threading.Thread(
            target=lambda: said.append(process.stderr.read() if process.stderr else ""), daemon=True
        )
        reader.start()
        waited = 0.0
        while process.poll() is None and waited < SENDER_S_MAX:
            if self.cutter.cut.wait(0.2):
                try:
                    process.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                break
            waited += 0.2
        else:
            if process.poll() is None:
                process.kill()
        process.wait()
        reader.join()
        return "" if process.returncode == 0 else "".join(said)[-1_000:] or f"exit code {process.returncode}"


def summary(cutters: dict[str, Cutter], senders: dict[str, Sender]) -> str:
    """Say in one line a client what happened."""
    lines = []
    for name, cutter in cutters.items():
        codes: dict[str, int] = {}
        for answer in cutter.answers.values():
            codes[answer.code] = codes.get(answer.code, 0) + 1
        lines.append(json.dumps({"client": name, "answers": codes, "cuts": cutter.cuts, "runs": senders[name].runs}))
    return "\n".join(lines)


def accounted(journal_ids: Iterator[str], numbers: int) -> bytearray:
    """Count how often each number's message is in the journal, 255 at the most."""
    counts = bytearray(numbers)
    for control_id in journal_ids:
        if control_id.startswith("S"):
            number = int(control_id[1:])
            counts[number] = min(255, counts[number] + 1)
    return counts


def lettered(letters: Iterable[bytes]) -> set[int]:
    """Give the numbers of dead letters; of what was cut before its control id there is none."""
    ids = (control_id_of(data) for data in letters)
    return {int(found[1:]) for found in ids if found[:1] == b"S" and found[1:].isdigit()}


def untrue(answers: dict[int, Answer], counts: bytearray, kept: Container[int]) -> dict[str, list[Any]]:
    """Name what was acknowledged and is not there once, and what was refused and is there, or is not `kept` apart."""
    acked = [number for number, answer in answers.items() if answer.code not in NACKS]
    nacked = [number for number, answer in answers.items() if answer.code in NACKS]
    return {
        "acknowledged and not there": [number for number in acked if counts[number] == 0],
        "acknowledged and there more than once": [number for number in acked if counts[number] > 1],
        "refused and there": [number for number in nacked if counts[number]],
        "refused and no dead letter": [number for number in nacked if number not in kept],
    }
