"""The safety net: each type of a server is asked again and again for what has changed, and nothing is left out.

Owns the walk through pages, the overlap, the page's size and when the cursor moves. Must not know a schedule. The
cursor moves only past what is durable; killed at any moment, the next look reads again what was not, and what is known
already changes nothing.

What polling does not see: a deletion (a search has none), and versions between two looks (the newest is what counts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from connectors.fhir_sources.client import Answer, SourceClient
from connectors.fhir_sources.faults import FaultKind, FhirSourceError
from connectors.fhir_sources.pages import Found, Page, changed_since, occupied_beds, read_page
from connectors.fhir_sources.progress import Progress, ProgressFile, moved
from connectors.fhir_sources.settings import FhirServer
from connectors.fhir_sources.taking import Taken, Taker, Way
from events import MILLIS_PER_SECOND, Millis

PAGES_MAX = 20_000
"""Of one search: four million resources at the default page size. Past it the search counts as endless."""
CLOCK_SLACK_MS = 5_000
"""Machines that share an address differ by less, and Date has whole seconds."""
SMALLER: frozenset[FaultKind] = frozenset({"too_large", "timeout", "refused", "server_error"})
"""What fewer resources at a time may help against."""


class Look(msgspec.Struct, frozen=True):
    """What one look at a server gave."""

    taken: dict[str, int]
    """By type: how many resources were new to us."""


class Poller:
    """Looks at one server. For one task at a time."""

    def __init__(
        self,
        server: FhirServer,
        client: SourceClient,
        taker: Taker,
        file: ProgressFile,
        *,
        now: Callable[[], Millis],
        news: Callable[[Found], None] = lambda _one: None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`now` is our clock, for a server that does not tell its own; `news` hears of each resource that polling found
        first.
        """
        self._server = server
        self._client = client
        self._taker = taker
        self._file = file
        self._now = now
        self._news = news
        self._warn = warn
        self._progress = file.read(server.base_url)
        self._count = server.page_size

    @property
    def progress(self) -> Progress:
        """How far the server was read."""
        return self._progress

    async def look(self) -> Look:
        """Read what has changed of each type; raises `FhirSourceError`, `NotStoredError` or `OSError`.

        What was taken in before the fault stays taken in; the next look goes on from there.
        """
        if not self._progress.read_to:
            await self._begin()
        news: dict[str, int] = {}
        refused: FhirSourceError | None = None
        for kind in self._server.types:
            try:
                news[kind] = await self._changes(kind)
            except FhirSourceError as fault:
                if fault.passes:
                    raise
                refused = refused or fault  # of this type: the others are read
        if refused is not None:
            raise refused
        return Look(news)

    async def _begin(self) -> None:
        """Read who is in a bed: they may have been admitted before the look-back, and what is measured names them."""
        if "Encounter" not in self._server.types:
            return
        try:
            async for page, _ in walk(self._client, occupied_beds(self._count)):
                await self._take(page, "census")
        except FhirSourceError as fault:
            if fault.passes:
                raise
            self._warn(f"who is in a bed now could not be asked ({fault})")

    async def _changes(self, kind: str) -> int:
        while True:
            try:
                found = await self._read(kind)
            except FhirSourceError as fault:
                if fault.kind not in SMALLER or self._count == 1:
                    raise
                self._count = max(1, self._count // 2)
                continue
            self._count = min(self._server.page_size, self._count * 2)
            return found

    async def _read(self, kind: str) -> int:
        """Walk through what has changed of one type; the cursor follows page by page while pages come in order."""
        before = self._progress.read_to.get(kind)
        since = before - self._in_ms(self._server.overlap_s) if before is not None else await self._first(kind)
        fresh = 0
        newest: Millis | None = None
        ordered = True
        server_now: Millis | None = None
        async for page, answer in walk(self._client, changed_since(kind, since, self._count)):
            server_now = server_now or answer.server_time  # of the first page: what is stamped after it may be missing
            for one in page.found:
                if self._taker.known.judge(one) == "new":
                    self._news(one)
            fresh += (await self._take(page, "poll")).fresh
            times = [one.changed for one in page.found if one.changed is not None]
            ordered = ordered and times == sorted(times) and (newest is None or not times or newest <= times[0])
            newest = max([*times, *([] if newest is None else [newest])], default=None)
            if ordered:
                self._move(kind, newest, server_now)
        self._move(kind, newest if newest is not None else since, server_now)
        return fresh

    async def _first(self, kind: str) -> Millis:
        """Say from when a type is read of which nothing is known; by the server's clock, for ours may be another."""
        answer = await self._client.get(changed_since(kind, self._now(), 1))
        return (answer.server_time or self._now()) - self._in_ms(self._server.look_back_s)

    def _move(self, kind: str, seen: Millis | None, server_now: Millis | None) -> None:
        before = self._progress.read_to.get(kind)
        after = moved(before, seen, server_now)
        if after is None or after == before:
            return
        if before is not None and before - after > CLOCK_SLACK_MS:
            self._warn("the server's clock went back: what it stamped meanwhile is asked for again")
        self._progress = msgspec.structs.replace(self._progress, read_to={**self._progress.read_to, kind: after})
        self._file.write(self._progress)

    async def _take(self, page: Page, way: Way) -> Taken:
        if page.problems:
            self._warn("the server left something out of an answer (OperationOutcome)")
        return await self._taker.take(page.found, way)

    @staticmethod
    def _in_ms(seconds: float) -> Millis:
        return int(seconds * MILLIS_PER_SECOND)


async def walk(client: SourceClient, search: str) -> AsyncIterator[tuple[Page, Answer]]:
    """Give the pages of a search, one after the other; raises `FhirSourceError`.

    A next page is asked of the server itself alone: a token never goes to another address.
    """
    url = search
    asked: set[str] = set()
    while url:
        whole = client.within(url)
        if whole in asked or len(asked) >= PAGES_MAX:
            raise FhirSourceError("endless", "a next page that came before" if whole in asked else "too many pages")
        asked.add(whole)
        answer = await client.get(whole)
        page = read_page(answer.body)
        yield page, answer
        url = page.next_url
