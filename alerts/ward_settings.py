"""What a site declares of its wards: the budget of the model's alerts, shifts, flood control, and who hears of a ward.

Owns the `[wards]` table, its defaults with their reasons, its validation and its text in the log. Must not know a file,
nor how a budget is kept (alerts/budget.py). Nothing here reaches the NEWS2 floor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec

from alerts.shifts import find_zone, read_start
from guardrails.configuration import ConfigurationError

SHIFT_STARTS_DEFAULT = ("07:00", "19:00")
"""Two shifts of twelve hours, the commonest pattern of acute wards in the UK."""
BUDGET_DEFAULT = 6
"""The model's tellings on one ward in one shift. The programme that lowered mortality told 0.029 alerts per patient-day
(Kaiser AAM, NEJM 2020): 0.4 a shift on a ward of 30 beds. Poisson with that mean reaches 4 once in 950 shifts; an
alert that lasts all shift is told three times (every four hours). So six is room for two that last and some that do
not; a model that needs more is fourteen times as loud as one that is known to have helped."""
BUDGET_MAX = 100
"""A telling every few minutes all shift: beyond, a budget is none. It bounds what is remembered of a ward."""
FLOOD_COUNT_DEFAULT = 3
FLOOD_MINUTES_DEFAULT = 15
"""Three patients of one ward whom the model tells within a quarter of an hour are all that its nurses can go to; more
at once is far oftener a batch of late charting than a ward that deteriorates together."""
FLOOD_MINUTES_MAX = 24 * 60
SHIFTS_PER_DAY_MAX = 6
NAME_LENGTH_MAX = 128
NAMED_MAX = 1_000
"""Wards or subscribers that a configuration may name: more than the largest hospital has."""
EVERY_WARD = "*"
"""As a subscriber's ward: all of them."""
BOARD = "board"
"""The ward board: it shows every ward, and is the catch-all unless a site names another."""

Budget = Annotated[int, msgspec.Meta(ge=1, le=BUDGET_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH_MAX)]


class WardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[wards]` table; raises `ConfigurationError` naming the key.

    >>> WardSettings().budget_of("Ward 7"), WardSettings(budgets={"Ward 7": 9}).budget_of("Ward 7")
    (6, 9)
    >>> WardSettings(catch_all="", subscribers={"pager": ("Ward 7",)})
    Traceback (most recent call last):
    ...
    guardrails.configuration.ConfigurationError: catch_all: is empty, so nobody hears of a ward that no subscriber \
covers; name one, such as "board"
    """

    zone: str = "UTC"
    """IANA zone of `shift_starts`."""
    shift_starts: tuple[str, ...] = SHIFT_STARTS_DEFAULT
    """Times of day at which a shift, and its budget, begins."""
    budget: Budget = BUDGET_DEFAULT
    """How often in one shift a ward is told a model's alert for the first time, or that it persists; the rest waits."""
    budgets: dict[Name, Budget] = {}
    """The wards that have another budget, by name."""
    flood_count: Budget = FLOOD_COUNT_DEFAULT
    """Of those tellings, at most so many ..."""
    flood_minutes: Annotated[int, msgspec.Meta(ge=1, le=FLOOD_MINUTES_MAX)] = FLOOD_MINUTES_DEFAULT
    """... within so many minutes."""
    subscribers: dict[Name, tuple[Name, ...]] = {}
    """Who hears of which wards: a subscriber's name, and its wards; `"*"` is every ward."""
    catch_all: str = BOARD
    """Who hears of the wards that no subscriber covers; one seen for the first time is such a ward."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, and a ward of which nobody would hear."""
        try:
            find_zone(self.zone)
        except ValueError as fault:
            raise ConfigurationError("zone", str(fault)) from None
        self._check_shifts()
        for key in ("budgets", "subscribers"):
            if len(getattr(self, key)) > NAMED_MAX:
                raise ConfigurationError(key, f"more than {NAMED_MAX}")
        self._check_subscribers()

    def _check_shifts(self) -> None:
        starts = self.shift_starts
        if not 1 <= len(starts) <= SHIFTS_PER_DAY_MAX:
            raise ConfigurationError("shift_starts", f"{len(starts)} are not within 1 and {SHIFTS_PER_DAY_MAX}")
        try:
            minutes = [read_start(start) for start in starts]
        except ValueError as fault:
            raise ConfigurationError("shift_starts", str(fault)) from None
        if minutes != sorted(set(minutes)):
            raise ConfigurationError("shift_starts", "are not in order of the day, each once")

    def _check_subscribers(self) -> None:
        for name in sorted(self.subscribers):
            if not self.subscribers[name]:
                raise ConfigurationError(f"subscribers.{name}", "covers no ward")
            if "," in name:
                raise ConfigurationError(f"subscribers.{name}", "a name has no comma")
        if "," in self.catch_all or len(self.catch_all) > NAME_LENGTH_MAX:
            raise ConfigurationError("catch_all", f"{self.catch_all!r} is no name")
        if self.catch_all or any(EVERY_WARD in wards for wards in self.subscribers.values()):
            return
        uncovered = sorted(ward for ward in self.budgets if not _covering(ward, self))
        named = f", {uncovered[0]!r} among them" if uncovered else ""
        raise ConfigurationError(
            "catch_all",
            f'is empty, so nobody hears of a ward that no subscriber covers{named}; name one, such as "{BOARD}"',
        )

    def budget_of(self, ward: str) -> int:
        """Give how many tellings a ward takes in a shift."""
        return self.budgets.get(ward, self.budget)


def subscribers_of(ward: str, settings: WardSettings) -> tuple[str, ...]:
    """Give who is to hear of a ward, in order of name: those that cover it, else the catch-all. Never nobody.

    >>> settings = WardSettings(subscribers={"pager": ("W1",), "audit": ("*",)})
    >>> subscribers_of("W1", settings), subscribers_of("W2", WardSettings())
    (('audit', 'pager'), ('board',))
    """
    return _covering(ward, settings) or (settings.catch_all,)


def _covering(ward: str, settings: WardSettings) -> tuple[str, ...]:
    subscribers = settings.subscribers
    return tuple(name for name in sorted(subscribers) if ward in subscribers[name] or EVERY_WARD in subscribers[name])


def write_wards(settings: WardSettings) -> str:
    """Write the settings as they stand in the log: equal settings, equal text."""
    return msgspec.json.encode(settings, order="sorted").decode()


@lru_cache(maxsize=16)
def read_wards(text: str) -> WardSettings:
    """Read what `write_wards` wrote; raises `msgspec.DecodeError`.

    >>> read_wards(write_wards(WardSettings(budget=4))).budget
    4
    """
    return msgspec.json.decode(text, type=WardSettings)
