"""Claims about what may be asked."""

from __future__ import annotations

import pytest

from connectors.http.ports import Condition, NumberedAlert


@pytest.mark.asyncio
async def test_health_is_200_or_503(serve, reading) -> None:
    """Health is 200 where all is well and 503 with the problems where it is not."""
    site = await serve()
    for path in ("/health/live", "/health/ready"):
        reading.condition = Condition(well=True)
        async with site.client.get(path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok", "problems": []})
        reading.condition = Condition(well=False, problems=("the fold is behind",))
        async with site.client.get(path) as response:
            assert (response.status, (await response.json())["problems"]) == (503, ["the fold is behind"])


@pytest.mark.asyncio
async def test_documents_are_passed_on(serve, reading) -> None:
    """Patients, one patient, feeds, open alerts, version and metrics are given as the service has them."""
    site = await serve()
    reading.documents["patients"]["patients"] = [{"patient": "k1", "ward": "A&B"}, {"patient": "k2", "ward": "C"}]
    async with site.client.get("/patients") as response:
        assert len((await response.json())["patients"]) == 2
        assert response.headers["Cache-Control"] == "no-store"
    async with site.client.get("/patients", params={"ward": "A&B"}) as response:
        assert [one["patient"] for one in (await response.json())["patients"]] == ["k1"]
    async with site.client.get("/patients/k2") as response:
        assert (await response.json())["ward"] == "C"
    async with site.client.get("/feeds") as response:
        assert (await response.json())["feeds"] == []
    async with site.client.get("/alerts/open") as response:
        assert await response.json() == {"alerts": []}
    async with site.client.get("/version") as response:
        assert (await response.json())["name"] == "wardstream"
    async with site.client.get("/metrics") as response:
        assert response.content_type == "application/openmetrics-text"
        assert await response.text() == "# EOF\n"


@pytest.mark.asyncio
async def test_alerts_are_paged_by_number(serve, reading) -> None:
    """Following `next` gives every alert once, and a page at the end names the same number again."""
    site = await serve()
    await reading.say(*(NumberedAlert(number, b'{"seq":%d}' % number, "raised") for number in range(2, 20, 3)))
    found: list[int] = []
    after = 0
    for _ in range(4):
        async with site.client.get("/alerts", params={"after": after, "limit": 2}) as response:
            page = await response.json()
        found += [one["seq"] for one in page["alerts"]]
        after = page["next"]
    assert found == [2, 5, 8, 11, 14, 17]
    assert after == 17


@pytest.mark.asyncio
async def test_figures_count_by_declared_route(serve) -> None:
    """Requests are counted by route and status; what was asked for, a patient's key, is no label."""
    site = await serve()
    for path in ("/patients/JANE-DOE", "/patients/JOHN-DOE", "/version", "/JANE"):
        async with site.client.get(path):
            pass
    assert site.server.figures.requests == {("/patients/{key}", 404): 2, ("/version", 200): 1, ("none", 404): 1}
    assert {(one["route"], one["status"]) for one in site.answered} == set(site.server.figures.requests)
    assert len(site.answered) == 4
