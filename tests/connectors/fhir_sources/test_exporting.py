"""Claims about Bulk Data exports: waited for, fetched whole, the token kept at home, deleted; old news comes last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.fhir.settings import FhirSettings
from connectors.fhir_sources.exporting import Export, ExportFile, Manifest
from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.importing import bodies_of
from connectors.fhir_sources.pages import write_instant
from tests.connectors.fhir_sources.conftest import NOW, Asked, FakeFhir
from tests.fhir_server.servers import observation, patient

LINES = b"".join(msgspec.json.encode(patient(f"p{number}")) + b"\n" for number in range(3))


def exporting(fake: FakeFhir, manifest: dict[str, object], *, states: int = 2) -> None:
    """Have the server export: asked so often until it is done."""
    left = [states]

    async def kick_off(request: web.Request) -> web.Response:
        assert request.headers["Prefer"] == "respond-async"
        return web.Response(status=202, headers={"Content-Location": f"{fake.base}/jobs/1"})

    async def state(_request: web.Request) -> web.Response:
        left[0] -= 1
        if left[0] >= 0:
            return web.Response(status=202, headers={"Retry-After": "120", "X-Progress": "Patient/p is read"})
        return web.json_response(manifest)

    async def remove(_request: web.Request) -> web.Response:
        return web.Response(status=202)

    fake.extra["GET", "fhir/$export"] = kick_off
    fake.extra["GET", "fhir/jobs/1"] = state
    fake.extra["DELETE", "fhir/jobs/1"] = remove


@pytest.mark.asyncio
async def test_an_answer_without_files_is_no_export(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A 200 that lists nothing at all, such as an OperationOutcome, is a failure; an empty list is an empty export."""
    export = Export(ask().client)
    exporting(fake, {"resourceType": "OperationOutcome", "issue": [{"code": "transient"}]}, states=0)
    await export.begin(("Patient",))
    with pytest.raises(FhirSourceError, match="not_fhir"):
        await export.wait()
    exporting(fake, {"output": []}, states=0)
    assert (await export.wait()).output == []


@pytest.mark.asyncio
async def test_an_export_is_waited_for_fetched_and_deleted(
    fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path
) -> None:
    """Retry-After is kept to, up to a bound; a file that breaks off is fetched anew; at the end it is deleted."""
    exporting(fake, {"output": [{"type": "Patient", "url": f"{fake.base}/files/1"}], "error": []})
    tries = [0]

    async def file(request: web.Request) -> web.StreamResponse:
        tries[0] += 1
        response = web.StreamResponse(headers={"Content-Length": str(len(LINES))})
        await response.prepare(request)
        await response.write(LINES[:50] if tries[0] == 1 else LINES)
        if tries[0] == 1:
            assert request.transport is not None
            request.transport.close()
        return response

    fake.extra["GET", "fhir/files/1"] = file
    asked = ask()
    told: list[str] = []
    export = Export(asked.client, sleep=asked._sleep, look_s_max=30.0, told=told.append)
    await export.begin(("Patient", "Flag"), NOW)
    manifest = await export.wait()
    assert asked.slept == [30.0, 30.0]
    assert "Patient" not in "".join(told), "a server's progress names whom it pleases"
    path = tmp_path / "1.ndjson"
    assert await export.fetch(manifest, manifest.output[0], path) == len(LINES)
    assert path.read_bytes() == LINES
    await export.end()
    assert fake.requests[0][1].startswith(
        "fhir/$export?_outputFormat=application/fhir%2Bndjson&_type=Patient,Flag&_since=2026"
    )
    assert fake.requests[-1] == ("DELETE", "fhir/jobs/1")


@pytest.mark.asyncio
async def test_a_token_stays_at_home(fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path) -> None:
    """A file elsewhere is fetched without the token, and not at all where it asks for it or has no TLS."""
    (tmp_path / "token").write_text("secret-token")
    asked = ask(token_file=str(tmp_path / "token"))
    export = Export(asked.client, sleep=asked._sleep)
    seen: list[str | None] = []

    async def file(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(body=LINES)

    app = web.Application()
    app.router.add_get("/file", file)
    fake.extra["GET", "fhir/file"] = file
    async with TestServer(app) as elsewhere:
        there = ExportFile("Patient", str(elsewhere.make_url("/file")))
        await export.fetch(Manifest(requiresAccessToken=False), there, tmp_path / "1")
        with pytest.raises(FhirSourceError, match="asks for our token"):
            await export.fetch(Manifest(requiresAccessToken=True), there, tmp_path / "2")
    with pytest.raises(FhirSourceError, match="no TLS"):
        await export.fetch(
            Manifest(requiresAccessToken=False), ExportFile("Patient", "http://h.example/1"), tmp_path / "3"
        )
    await export.fetch(Manifest(requiresAccessToken=True), ExportFile("Patient", f"{fake.base}/file"), tmp_path / "4")
    await export.fetch(Manifest(requiresAccessToken=False), ExportFile("Patient", f"{fake.base}/file"), tmp_path / "5")
    assert seen == [None, "Bearer secret-token", None]


@pytest.mark.asyncio
async def test_what_is_no_export_is_told(fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path) -> None:
    """No job, a state at another address, a list that cannot be read, a file past its bound: each is a fault."""
    asked = ask()
    fake.answers = [
        web.Response(status=200),
        web.Response(status=202, headers={"Content-Location": "http://evil.example/1"}),
    ]
    for match in ("no export was begun", "another server"):
        with pytest.raises(FhirSourceError, match=match):
            await Export(asked.client).begin(("Patient",))
    exporting(fake, {"output": 7}, states=0)
    export = Export(asked.client)
    await export.begin(("Patient",))
    with pytest.raises(FhirSourceError, match="cannot be read"):
        await export.wait()
    fake.answers = [web.Response(body=LINES)]
    with pytest.raises(FhirSourceError, match="too_large"):
        await Export(asked.client, file_bytes_max=10).fetch(
            Manifest(), ExportFile("Patient", f"{fake.base}/x"), tmp_path / "1"
        )


def test_measurements_come_newest_first_in_bounded_memory(tmp_path: Path) -> None:
    """However they lie in however many files: patients, then stays, then what was measured from the newest back."""
    measured = [
        observation(f"o{number}", "p1", 70 + number, write_instant(NOW + number * 60_000)) for number in range(30)
    ]
    for part in (0, 1):
        (tmp_path / f"o{part}").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in measured[part::2]))
    (tmp_path / "p").write_bytes(LINES)
    files = [("Observation", tmp_path / "o0"), ("Patient", tmp_path / "p"), ("Observation", tmp_path / "o1")]
    bodies = list(bodies_of("https://h.example/fhir", files, FhirSettings(), records_in_memory=4))
    ids = [entry["resource"]["id"] for body in bodies for entry in msgspec.json.decode(body)["entry"]]
    assert ids == ["p0", "p1", "p2", *(f"o{number}" for number in reversed(range(30)))]


def test_no_line_is_lost_without_a_word(tmp_path: Path) -> None:
    """What is no JSON is posted by itself, to be refused and kept; blank lines are none."""
    (tmp_path / "f").write_bytes(LINES + b"\n{broken\n\xff\xfe\n" + b'{"resourceType":"Patient"}\n')
    bodies = list(bodies_of("https://h.example/fhir", [("Patient", tmp_path / "f")], FhirSettings()))
    whole = [body for body in bodies if body.startswith(b'{"resourceType":"Bundle"')]
    assert sorted(set(bodies) - set(whole)) == [b"{broken", b"\xff\xfe"]
    assert sum(len(msgspec.json.decode(body)["entry"]) for body in whole) == 4
