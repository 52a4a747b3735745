"""Bulk Data: an export is asked for, waited for, fetched file by file, and deleted on the server.

Owns the exchange. Must not know what is in a file. Source: HL7 Bulk Data Access 2.0, "Export".

A file may lie at another address than the server's: it is fetched from there without our token, over TLS alone; where
it asks for the token, it is not fetched at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from connectors.fhir.parse import UNDECODABLE
from connectors.fhir_sources.client import Sleep, SourceClient, same_server
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.pages import write_instant
from connectors.fhir_sources.settings import check_url
from events import Millis

NDJSON = "application/fhir+ndjson"
LOOK_S = 10.0
"""How often an export is asked after whose server does not say."""
LOOK_S_MAX = 600.0
WAIT_S_MAX = 24 * 3_600.0
"""An export that is not done within a day is given up, and deleted."""
FILES_MAX = 10_000
FILE_BYTES_MAX = 50 * 1024**3
"""Of one file: some hundred million Observations."""
ATTEMPTS_MAX = 4
"""To fetch one file; each begins it anew."""


class ExportFile(msgspec.Struct, frozen=True):
    """One file of an export."""

    type: str = ""
    url: str = ""

    def __repr__(self) -> str:
        return f"ExportFile({self.type})"


class Manifest(msgspec.Struct, frozen=True):
    """What an export holds.

    >>> msgspec.json.decode(b'{"output":[{"type":"Flag","url":"https://h/1"}],"error":[]}', type=Manifest).output
    [ExportFile(Flag)]
    """

    transactionTime: str = ""  # noqa: N815 - the guide's own name
    requiresAccessToken: bool = True  # noqa: N815 - the guide's own name
    output: list[ExportFile] = []
    error: list[ExportFile] = []
    """Files of OperationOutcomes: what the server could not export."""


class Export:
    """One export of one server."""

    def __init__(
        self,
        client: SourceClient,
        *,
        sleep: Sleep = asyncio.sleep,
        look_s_max: float = LOOK_S_MAX,
        told: Callable[[str], None] = lambda _text: None,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        """`look_s_max` is how long we wait between two looks at the most, whatever the server says."""
        self._client = client
        self._sleep = sleep
        self._look_s_max = look_s_max
        self._told = told
        self._file_bytes_max = file_bytes_max
        self._state_url = ""

    async def begin(self, types: Sequence[str], since: Millis | None = None, level: str = "") -> None:
        """Ask for an export: of all (`level` empty), of all patients (`Patient`), or a group (`Group/ID`).

        Raises `FhirSourceError`.
        """
        query = {"_outputFormat": NDJSON, "_type": ",".join(types)}
        if since is not None:
            query["_since"] = write_instant(since)
        path = f"{level}/$export" if level else "$export"
        answer = await self._client.get(f"{path}?{urlencode(query)}", prefer="respond-async")
        if answer.status != 202 or not answer.location:
            raise FhirSourceError("refused", "no export was begun", status=answer.status)
        self._state_url = self._client.within(answer.location)

    async def wait(self) -> Manifest:
        """Wait until it is done; raises `FhirSourceError`."""
        waited_s = 0.0
        while True:
            answer = await self._client.get(self._state_url, accept="application/json")
            if answer.status != 202:
                return _read(answer.body)
            asked_s = LOOK_S if answer.retry_after_s is None else answer.retry_after_s
            wait_s = max(0.1, min(asked_s, self._look_s_max))
            waited_s += wait_s
            if waited_s > WAIT_S_MAX:
                raise FhirSourceError("timeout", "the export is not done within a day")
            self._told(f"the server prepares the export; asked again in {wait_s:g} s")
            await self._sleep(wait_s)

    async def fetch(self, manifest: Manifest, file: ExportFile, path: Path) -> int:
        """Fetch a file, whole; give its size in bytes. Raises `FhirSourceError` or `OSError`."""
        ours = same_server(self._client.base, file.url)
        if not ours:
            if manifest.requiresAccessToken:
                raise FhirSourceError("foreign_link", "a file at another address asks for our token")
            try:
                check_url("url", file.url.partition("?")[0])
            except ValueError:
                raise FhirSourceError("foreign_link", "a file at another address has no TLS") from None
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, FhirSourceError) and error.passes),
            stop=stop_after_attempt(ATTEMPTS_MAX),
            wait=wait_exponential_jitter(initial=1.0, max=30.0),
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                return await self._once(file, path, authorized=ours and manifest.requiresAccessToken)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, file: ExportFile, path: Path, *, authorized: bool) -> int:
        size = 0
        handle = await asyncio.to_thread(path.open, "wb")
        try:
            async with self._client.stream(file.url, accept=NDJSON, authorized=authorized) as parts:
                async for part in parts:
                    size += len(part)
                    if size > self._file_bytes_max:
                        raise FhirSourceError("too_large", f"a file of more than {self._file_bytes_max} bytes")
                    await asyncio.to_thread(handle.write, part)
        finally:
            await asyncio.to_thread(handle.close)
        return size

    async def end(self) -> None:
        """Have the server delete it; one that does not keep it has nothing to delete."""
        if not self._state_url:
            return
        try:
            await self._client.ask("DELETE", self._state_url)
        except FhirSourceError as fault:
            self._told(f"the server did not delete the export ({fault})")


class _Listed(Manifest, frozen=True, kw_only=True):
    output: list[ExportFile]
    """To be there, though empty: without it any JSON, an error's too, would count as an export of nothing."""


def _read(body: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(body, type=_Listed)
    except UNDECODABLE:
        raise FhirSourceError("not_fhir", "the export's list of files cannot be read") from None
    if len(manifest.output) + len(manifest.error) > FILES_MAX:
        raise FhirSourceError("too_large", f"more than {FILES_MAX} files")
    return manifest
