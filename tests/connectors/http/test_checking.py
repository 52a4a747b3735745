"""Claims about asking whether a message would be taken."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.hl7v2.routes import Route
from connectors.hl7v2.settings import Hl7Settings
from connectors.http.checking import CAME_BY
from tests.connectors.http.test_taking_hl7 import HL7, message

TOKEN = "secret"  # noqa: S105 - of a server that lives for one test
FHIR = {"Content-Type": "application/fhir+json"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (HL7, message("M1"), 200),
        (HL7, message("M1") + message("M2", person=""), 422),
        (HL7, b"hello", 422),
        (HL7, b"", 400),
        (FHIR, b'{"resourceType":"Patient","id":"1"}', 200),
        (FHIR, b'{"resourceType":"Observation","id":"1"}', 422),
        (FHIR, b"{", 422),
        ({"Content-Type": "image/png"}, b"x", 415),
    ],
)
async def test_what_would_be_taken_is_said_and_nothing_is_stored(
    serve: Any, intake: Any, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Good and bad input is answered by what would become of it, and the intake is offered neither."""
    site = await serve()
    async with site.client.post("/check", data=body, headers=headers) as response:
        said = await response.json(content_type=None)
    assert response.status == status
    assert said["resourceType"] == "OperationOutcome"
    assert intake.arrivals == []


@pytest.mark.asyncio
async def test_the_place_of_the_fault_is_said_and_nobody_named(serve: Any) -> None:
    """A refusal names segment, field and reason, and quotes nothing of the message."""
    site = await serve()
    async with site.client.post("/check", data=message("M1", person="^^^Doe"), headers=HL7) as response:
        text = await response.text()
    assert "PID-3" in text
    assert "Doe" not in text


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("came_by", "sender", "status"), [("mllp", "LAB", 409), ("mllp", "PAS", 200), ("", "LAB", 200)]
)
async def test_what_a_port_decides_is_not_said_to_be_taken(
    serve: Any, monkeypatch: pytest.MonkeyPatch, came_by: str, sender: str, status: int
) -> None:
    """A dead letter of a port with a route of its own would be read by another zone over HTTP: it is not to be sent."""
    routes = (Route("monitors", port=2576, sender="LAB|*", zone="Asia/Tokyo"),)
    monkeypatch.setattr("tests.connectors.http.conftest.Hl7Settings", lambda: Hl7Settings(routes=routes))
    site = await serve()
    body = message("M1").replace(b"|LAB|", f"|{sender}|".encode())
    headers = HL7 | ({CAME_BY: came_by} if came_by else {})
    async with site.client.post("/check", data=body, headers=headers) as response:
        assert response.status == status


@pytest.mark.asyncio
async def test_it_asks_for_the_token(serve: Any) -> None:
    """Where the service has a token, who has none may not ask."""
    site = await serve(token=TOKEN)
    async with site.client.post("/check", data=message("M1"), headers=HL7) as response:
        assert response.status == 401
