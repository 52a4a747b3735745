"""The safety net: each type of a server is asked again and again for what has changed, and nothing is left out.

Owns the walk through pages, the overlap, the page's size and when the cursor moves. Must not know a schedule. The
cursor moves only past what is durable; killed at any moment, the next look reads again what was not, and what is known
already changes nothing.

What polling does not see: a deletion (a search has none), and versions between two looks (the newest is what counts).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec

from connectors.fhir_sources.client import Answer, SourceClient
from connectors.fhir_sources.faults import AGAIN, FaultKind, FhirSourceError
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
AWAY: frozenset[FaultKind] = AGAIN - SMALLER
"""What is of the whole server. Any other fault may be of one search alone: the others are asked all the same."""


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
        self._unsorted: set[str] = set()
        """Types whose pages do not come oldest first, whatever we ask for: of those the cursor waits for the last."""

    @property
    def progress(self) -> Progress:
        """How far the server was read."""
        return self._progress

    async def look(self) -> Look:
        """Read what has changed of each type; raises `FhirSourceError`, `NotStoredError` or `OSError`.

        What was taken in before the fault stays taken in; the next look goes on from there.
        """
        news: dict[str, int] = {}
        refused = await self._begin() if self._progress.beds_due or not self._progress.read_to else None
        for kind in self._server.types:
            try:
                news[kind] = await self._in_parts(partial(self._read, kind))
            except FhirSourceError as fault:
                if fault.kind in AWAY:
                    raise
                refused = refused or fault  # of this type: the others are read
        if refused is not None:
            raise refused
        return Look(news)

    async def _begin(self) -> FhirSourceError | None:
        """Read who is in a bed: they may have been admitted before the look-back, and what is measured names them.

        Gives a fault that may pass: the types are read meanwhile, and the next look asks again, also after a restart.
        """
        if "Encounter" not in self._server.types:
            return None
        try:
            await self._in_parts(self._beds)
        except FhirSourceError as fault:
            if fault.kind in AWAY:
                raise
            if fault.passes:
                self._progress = msgspec.structs.replace(self._progress, beds_due=True)
                return fault
            self._warn(f"who is in a bed now could not be asked ({fault})")
        if self._progress.beds_due:
            self._progress = msgspec.structs.replace(self._progress, beds_due=False)
            self._file.write(self._progress)
        return None

    async def _beds(self) -> int:
        fresh = 0
        async for page, _ in walk(self._client, occupied_beds(self._count)):
            fresh += (await self._take(page, "census")).fresh
        return fresh

    async def _in_parts(self, read: Callable[[], Awaitable[int]]) -> int:
        """Read; with fewer resources at a time where that may help."""
        while True:
            try:
                fresh = await read()
            except FhirSourceError as fault:
                if fault.kind not in SMALLER or self._count == 1:
                    raise
                self._count = max(1, self._count // 2)
                continue
            self._count = min(self._server.page_size, self._count * 2)
            return fresh

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
            if before is not None and server_now is not None and before - server_now > CLOCK_SLACK_MS:
                self._warn("the server's clock went back: what it stamped meanwhile is asked for again")
                # When it went back is not known: it may have been long before this look.
                self._set(kind, server_now - self._in_ms(self._server.look_back_s))
                return await self._read(kind)
            for one in page.found:
                if self._taker.known.judge(one) == "new":
                    self._news(one)
            fresh += (await self._take(page, "poll")).fresh
            times = [one.changed for one in page.found if one.changed is not None]
            ordered = ordered and times == sorted(times) and (newest is None or not times or newest <= times[0])
            newest = max([*times, *([] if newest is None else [newest])], default=None)
            if not ordered and kind not in self._unsorted:
                self._unsorted.add(kind)
                self._go_back(kind, before if before is not None else since)
            if kind not in self._unsorted:
                self._move(kind, newest, server_now)
        self._move(kind, newest if newest is not None else since, server_now)
        return fresh

    async def _first(self, kind: str) -> Millis:
        """Say from when a type is read of which nothing is known; by the server's clock, for ours may be another."""
        answer = await self._client.get(changed_since(kind, self._now(), 1))
        return (answer.server_time or self._now()) - self._in_ms(self._server.look_back_s)

    def _move(self, kind: str, seen: Millis | None, server_now: Millis | None) -> None:
        before = self._progress.read_to.get(kind)
        # Where the server does not tell its clock, ours is the bound: a stamp of the future would hide all until then.
        after = moved(before, seen, self._now() if server_now is None else server_now)
        if after is not None and after != before:
            self._set(kind, after)

    def _set(self, kind: str, after: Millis) -> None:
        self._progress = msgspec.structs.replace(self._progress, read_to={**self._progress.read_to, kind: after})
        self._file.write(self._progress)

    def _go_back(self, kind: str, where: Millis) -> None:
        """Take back what earlier pages moved: later ones hold what is older, and may not come."""
        if self._progress.read_to.get(kind, where) > where:
            self._set(kind, where)

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
