"""Resources of a server into the intake, and which of them were taken: the same way in as `POST /fhir`.

Owns what is handed on, in which pieces, and that nothing counts as taken before it is durable. Must not know how the
resources came, nor who stores.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

import msgspec

from connectors.decoded import Decoded
from connectors.fhir.resource_types import RESOURCE_TYPES
from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.known import Judgement, Known
from connectors.fhir_sources.pages import Found, bundles
from connectors.http.arrivals import fhir_arrivals, in_portions
from connectors.intake import Intake

Way = str
"""How resources came: `poll`, `hook`, `census` or `import`."""


class Taken(msgspec.Struct, frozen=True):
    """What became of some resources."""

    outcomes: dict[str, int] = {}
    """How many were `accepted`, `duplicate` (of content known before), `refused` (kept as dead letters), `known` (this
    version was taken before) and `outdated` (a newer one was)."""
    by_type: dict[str, int] = {}
    """Of those handed on, how many of each type; `unreadable` where it is none of FHIR's."""

    @property
    def fresh(self) -> int:
        """How many were new to us."""
        return self.outcomes.get("accepted", 0)


class Taker:
    """Hands the resources of one server to the intake, one portion after the other."""

    def __init__(
        self,
        name: str,
        base: str,
        intake: Intake,
        fhir: FhirSettings,
        *,
        offered_at_once_max: int,
        counted: Callable[[Way, Taken], None] = lambda _way, _taken: None,
        known: Known | None = None,
    ) -> None:
        self._name = name
        self._base = base
        self._intake = intake
        self._fhir = fhir
        self._offered_at_once_max = offered_at_once_max
        self._counted = counted
        self._numbers = count(1)
        self._turn = asyncio.Lock()
        self.known = Known() if known is None else known

    async def take(self, found: Sequence[Found], way: Way) -> Taken:
        """Hand on what is new, wait until all of it is durable, remember it; raises `NotStoredError`.

        One call at a time: a hook and a look must not hand on two versions of one resource side by side.
        """
        async with self._turn:
            judged = self._judge(found)
            outcomes = Counter[str](judgement for _, judgement in judged if judgement != "new")
            new = [one for one, judgement in judged if judgement == "new"]
            for bundle in bundles(self._base, new):
                outcomes += await self._offer(bundle)
            for one in new:
                self.known.add(one)
        taken = Taken(dict(sorted(outcomes.items())), dict(sorted(Counter(_label(one.kind) for one in new).items())))
        self._counted(way, taken)
        return taken

    def _judge(self, found: Sequence[Found]) -> list[tuple[Found, Judgement]]:
        """Judge each by what was taken in, and by what stands before it."""
        here = Known()
        judged: list[tuple[Found, Judgement]] = []
        for one in found:
            judgement = self.known.judge(one)
            if judgement == "new" and (judgement := here.judge(one)) == "new":
                here.add(one)
            judged.append((one, judgement))
        return judged

    async def _offer(self, bundle: bytes) -> Counter[str]:
        name = f"fhir_{self._name}/{next(self._numbers)}"
        arrivals = await asyncio.to_thread(fhir_arrivals, bundle, self._fhir, name)
        outcomes = Counter[str]()
        for portion in in_portions(arrivals, self._offered_at_once_max):
            receipts = await (await self._intake.offer(portion))
            for arrival, receipt in zip(portion, receipts, strict=True):
                parts = arrival.decoded.parts if isinstance(arrival.decoded, Decoded) else 1
                outcomes[receipt.outcome] += parts
        return outcomes


def _label(kind: str) -> str:
    """Name a type in metrics: what is no type of FHIR may be anything, a name or a new one each time."""
    return kind if kind in RESOURCE_TYPES else "unreadable"
