"""Days drawn by chance, and their messages delayed and repeated by chance.

Owns which stories make sense, and the order of arrival. Must not know what is to hold of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from tests.stream.days import DAY, Day, Told

LATEST = DAY // 2
"""Minutes: the length of the day that is told, and the longest delay. Both together are the bound of lateness."""
RANGES = {"rr": (10, 30), "spo2": (85, 99), "sbp": (80, 160), "hr": (50, 140), "temp": (36, 40)}
PATIENTS = ("1", "2", "3")


class Story:
    """Makes a day of random steps: each patient is admitted, and what makes no sense is left out."""

    def __init__(self, random: Random, kinds: tuple[str, ...], *, silent: str = "", pace: int = 30) -> None:
        self.random = random
        self.day = Day()
        self.silent = silent
        """Whose number has results only (two visits)."""
        self.ward = dict.fromkeys(PATIENTS, "A")
        self.charted: dict[str, list[tuple[int, dict[str, float]]]] = {name: [] for name in PATIENTS}
        self.gone: set[str] = set()
        self.never: set[str] = set()
        self.dead: set[str] = set()
        self.left: set[str] = set()
        self.merged = self.parted = False
        for minute, name in enumerate(PATIENTS):
            if name != silent:
                self.day.admit(name, minute, "A")
            elif random.random() < 0.5:
                self.day.introduce(name, minute)
        minute = len(PATIENTS)
        for _ in range(random.randint(2, 20)):
            minute += random.randint(1, pace)
            getattr(self, random.choice(kinds))(random.choice(PATIENTS), minute)

    def chart(self, name: str, minute: int) -> None:
        """Chart some of the vital signs."""
        values = {code: float(self.random.randint(*RANGES[code])) for code in RANGES if self.random.random() < 0.7}
        if values:
            self.day.chart(name, minute, minute, values)
            self.charted[name].append((minute, values))

    def _change(self, name: str, minute: int, status: str) -> None:
        if self.charted[name]:  # taken out: several changes
            observed, values = self.charted[name].pop(self.random.randrange(len(self.charted[name])))
            changed = {code: value + 1 for code, value in values.items() if self.random.random() < 0.7}
            if changed:
                self.day.chart(name, minute, observed, changed, status)

    def correct(self, name: str, minute: int) -> None:
        """Correct some values of a chart, once."""
        self._change(name, minute, "C")

    def withdraw(self, name: str, minute: int) -> None:
        """Take some values of a chart back."""
        self._change(name, minute, "W")

    def move(self, name: str, minute: int, *, back: bool = False) -> None:
        """Move him, or take a move back."""
        if name not in self.gone and name != self.silent:
            self.ward[name] = self.random.choice("ABC")
            self.day.move(name, minute, self.ward[name], back=back)

    def back(self, name: str, minute: int) -> None:
        """Take a move back."""
        self.move(name, minute, back=True)

    def leave(self, name: str, minute: int) -> None:
        """Discharge him; some die, and who is not dead after all does not leave again (declared dead)."""
        if name not in self.gone and name not in self.dead and name != self.silent:
            self.gone.add(name)
            self.left.add(name)
            dead = self.random.random() < 0.3
            self.dead |= {name} if dead else set()
            self.day.leave(name, minute, self.ward[name], dead=dead)

    def cancel_leave(self, name: str, minute: int) -> None:
        """Take the discharge back."""
        if name in self.gone and name not in self.never:
            self.gone.discard(name)
            self.day.cancel_leave(name, minute, self.ward[name])

    def cancel_admission(self, name: str, minute: int) -> None:
        """Take back the admission of who never left (declared dead, taken back in FHIR); results alone follow."""
        if name not in self.gone and name not in self.left and name != self.silent:
            self.left.add(name)
            self.gone.add(name)
            self.never.add(name)
            self.day.cancel_admission(name, minute)

    def describe(self, name: str, minute: int) -> None:
        """Say who he is anew."""
        if name != self.silent and name not in self.never:
            self.day.describe(name, minute, f"19{self.random.randint(30, 90)}-01-01", self.ward[name])

    def merge(self, _: str, minute: int) -> None:
        """Make one patient of two numbers, once."""
        if not self.merged:
            self.merged = True
            self.day.merge("1", "2", minute)

    def unmerge(self, _: str, minute: int) -> None:
        """Part them again, once."""
        if self.merged and not self.parted:
            self.parted = True
            self.day.unmerge("1", "2", minute)


def shuffled(
    random: Random, told: Iterable[Told], *, fhir: bool = False, latest: int = LATEST
) -> list[tuple[int, Any]]:
    """Delay and repeat each message by chance; give (arrival, message) in order of arrival."""
    arrivals: list[tuple[int, int, Any]] = []
    before: dict[str, int] = {}
    for number, one in enumerate(told):
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            delay = random.choice((0, 0, random.randint(0, min(30, latest)), random.randint(0, latest)))
            arrival = min(max(one.minute + delay, before.get(one.chain, 0)), one.minute + latest)
            # Messages of a chain keep their order (versions, merge and unmerge): their number decides a tie.
            tie = number if one.chain and (fhir or one.chain == "merge") else random.randrange(10_000)
            if one.chain and (fhir or one.chain == "merge"):
                before[one.chain] = arrival
            arrivals.append((arrival, tie, one.fhir if fhir else one.hl7))
    return [(arrival, message) for arrival, _, message in sorted(arrivals, key=lambda each: each[:2])]
