"""Claims about doctor's questions to a FHIR server: what polling rests on is tried, and each fault names the step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.fhir_sources.checking import Finding, examine
from connectors.fhir_sources.settings import FhirServer, SubscriptionSettings
from tests.connectors.fhir_sources.conftest import NOW, FakeFhir

pytestmark = pytest.mark.asyncio
Outcome = Callable[..., web.Response]


async def asked(fake: FakeFhir, **settings: Any) -> list[Finding]:
    """Examine the server, without waiting between attempts."""

    async def sleep(_seconds: float) -> None:
        return

    server = FhirServer(fake.base, settings.pop("types", ("Observation",)), **settings)
    return [finding async for finding in examine("ehr", server, lambda: NOW, sleep=sleep)]


async def test_a_server_that_will_do_is_well(fake: FakeFhir) -> None:
    """Reached, and nothing found that changes tomorrow; its clock is near ours."""
    fake.vital("o")
    assert [well for well, _, _ in await asked(fake)] == [True, True]


async def test_a_server_that_passes_over_the_search_is_told(fake: FakeFhir) -> None:
    """One that gives everything whatever is asked would be read whole with each look."""
    fake.vital("o", at=NOW + 90_000_000)
    [(well, _, remedy), _] = await asked(fake)
    assert (well, "passes over _lastUpdated" in remedy) == (False, True)


async def test_a_clock_that_is_off_and_a_refusal_are_told(fake: FakeFhir, outcome: Outcome) -> None:
    """Minutes between the clocks; rights that are missing, with what to do."""
    fake.now += 600_000
    assert [well for well, _, _ in await asked(fake)] == [True, False]
    fake.answers = [outcome(403, "forbidden")]
    [(well, subject, remedy)] = await asked(fake)
    assert (well, subject) == (False, "FHIR source ehr, Observation: forbidden: 403 forbidden")
    assert "rights" in remedy


async def test_a_server_that_is_away_is_said_once(fake: FakeFhir, outcome: Outcome) -> None:
    """Two types of a server that does not answer are one finding."""
    fake.search = lambda _kind, _request: outcome(503, "transient")  # type: ignore[method-assign] # a test's own
    [(well, subject, _)] = await asked(fake, types=("Observation", "Flag"))
    assert (well, subject) == (False, "FHIR source ehr, Observation: throttled: 503 transient")


async def test_files_of_secrets_are_looked_at(fake: FakeFhir, tmp_path: Path) -> None:
    """One that is not there, one that others may read, one that can be guessed; then our subscriptions are counted."""
    secret = tmp_path / "secret"
    chosen = SubscriptionSettings("criteria", "https://ward.example/fhir/subscriptions/ehr", str(secret))
    found = await asked(fake, token_file=str(tmp_path / "none"), subscription=chosen)
    assert [well for well, _, _ in found][:3] == [False, False, False]
    secret.write_text("short")
    secret.chmod(0o644)
    found = await asked(fake, subscription=chosen)
    assert [well for well, _, _ in found] == [False, False, True, True, True]
    assert found[-1][1] == "FHIR source ehr: 0 subscriptions of ours, 0 active"
    secret.write_text("s" * 32)
    secret.chmod(0o600)
    assert all(well for well, _, _ in await asked(fake, subscription=chosen))
