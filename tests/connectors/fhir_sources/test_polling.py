"""Claims about polling: all that changes is read, in order, once; the cursor moves past nothing that is not durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aiohttp import web

from connectors.fhir_sources.faults import FhirSourceError
from connectors.fhir_sources.pages import read_instant, read_resource
from connectors.intake import NotStoredError
from tests.connectors.fhir_sources.conftest import NOW, Asked, FakeFhir

pytestmark = pytest.mark.asyncio


async def test_all_pages_are_read_in_order_and_only_once(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Pages are followed to the end; the next look asks an overlap again, and hands nothing on twice."""
    asked = ask(page_size=2)
    for number in range(7):
        fake.vital(f"o{number}", value=70 + number)
        fake.now += 1_000
    look = await asked.poller.look()
    assert look.taken == {"Observation": 7}
    assert len(asked.ids) == 7
    before = len(fake.requests)
    assert (await asked.poller.look()).taken == {"Observation": 0}
    assert len(fake.requests) > before, "the overlap was asked for again"
    assert len(asked.intake.arrivals) == 7
    fake.vital("o7")
    assert (await asked.poller.look()).taken == {"Observation": 1}


async def test_many_of_one_instant_are_all_read(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """More resources of one instant than a page has, and one that is stamped the same later: none is left out."""
    asked = ask(page_size=3)
    for number in range(8):
        fake.vital(f"o{number}", value=70 + number)
    await asked.poller.look()
    fake.vital("o8", value=79)
    await asked.poller.look()
    assert len(asked.ids) == 9


async def test_what_is_seen_late_is_read_within_the_overlap(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A resource stamped before the newest that was read, and committed after: the overlap finds it."""
    asked = ask(overlap_s=60.0)
    fake.vital("new", at=NOW)
    await asked.poller.look()
    fake.vital("slow", at=NOW - 59_000)
    fake.now += 10_000
    assert (await asked.poller.look()).taken == {"Observation": 1}


async def test_the_cursor_moves_only_past_what_is_durable(
    fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path
) -> None:
    """What could not be stored is read again, also by the process that comes after."""
    asked = ask(overlap_s=0.0)
    fake.vital("first")
    await asked.poller.look()
    where = asked.file.read(fake.base)
    fake.now += 5_000
    fake.vital("second")
    asked.intake.fails_late = "failed"
    with pytest.raises(NotStoredError):
        await asked.poller.look()
    assert asked.file.read(fake.base) == where
    asked.intake.fails_late = None
    asked.begin()
    assert (await asked.poller.look()).taken["Observation"] >= 1
    assert asked.file.read(fake.base).read_to["Observation"] == read_instant(
        fake.stored["Observation/second"]["meta"]["lastUpdated"]
    )


async def test_pages_taken_before_a_fault_stay_taken(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """The cursor follows page by page: after a fault in the middle of many, the next look goes on from there."""
    asked = ask(page_size=2, overlap_s=0.0)
    for number in range(6):
        fake.vital(f"o{number}", value=70 + number)
        fake.now += 10_000
    first = (await asked.client.get("Observation?_count=1")).status
    assert first == 200

    async def whole(request: web.Request) -> web.StreamResponse:
        return fake.search("Observation", request)

    async def forbidden(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=403)

    fake.answers = [whole, whole, whole, forbidden]  # the probe of the first time, two pages, no third
    with pytest.raises(FhirSourceError, match="forbidden"):
        await asked.poller.look()
    assert len(asked.ids) == 4
    asked.begin()
    fake.requests.clear()
    await asked.poller.look()
    assert set(asked.ids) == {f"Observation/o{number}/1" for number in range(6)}
    assert not any("ge2026-02-01" in path for _, path in fake.requests), "it did not begin from the look-back again"


async def test_a_clock_that_was_ahead_hides_nothing(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A server whose clock runs ahead for a while, then is set right: what it stamps afterwards is read."""
    asked = ask(overlap_s=60.0)
    await asked.poller.look()
    fake.vital("ahead", at=NOW + 3_600_000)  # stamped by a clock an hour ahead, in an answer of the right one
    await asked.poller.look()
    fake.now += 20_000
    fake.vital("after")
    assert (await asked.poller.look()).taken == {"Observation": 1}


async def test_a_stamp_of_the_future_hides_nothing_where_the_server_tells_no_time(
    fake: FakeFhir, ask: Callable[..., Asked]
) -> None:
    """Answers without a Date, and one resource that is stamped in ten days: what comes after it is read."""
    asked = ask()

    async def dateless(request: web.Request) -> web.StreamResponse:
        answer = await fake.served(request)
        answer.headers["Date"] = ""
        return answer

    fake.extra["GET", "fhir/Observation"] = dateless
    fake.vital("ahead", at=NOW + 10 * 86_400_000)
    await asked.poller.look()
    fake.vital("after")
    assert (await asked.poller.look()).taken == {"Observation": 1}


async def test_a_server_whose_clock_went_back_is_followed(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """All of its clock goes back by an hour: what it stamps then is read, and it is told."""
    asked = ask(overlap_s=60.0)
    fake.vital("before")
    await asked.poller.look()
    fake.now -= 3_600_000
    await asked.poller.look()
    assert asked.warnings == ["the server's clock went back: what it stamped meanwhile is asked for again"]
    fake.now += 5_000
    fake.vital("after")
    await asked.poller.look()
    assert "Observation/after/1" in asked.ids


async def test_a_correction_after_the_clock_was_set_back_counts(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A value written while the clock ran ahead, corrected once it was right: the correction is handed on."""
    asked = ask(overlap_s=60.0)
    fake.now += 3_600_000
    fake.vital("o", value=40)
    await asked.poller.look()
    fake.now -= 3_600_000 - 20_000
    fake.vital("o", value=80)
    await asked.poller.look()
    await asked.poller.look()
    assert asked.ids == ["Observation/o/1", "Observation/o/2"]


async def test_a_lost_cursor_begins_with_the_look_back(
    fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path
) -> None:
    """No file, a damaged one, or one of another server: the declared look-back is read, by the server's clock."""
    asked = ask(look_back_s=3_600.0)
    fake.vital("old", at=NOW - 3_700_000)
    fake.vital("young", at=NOW - 3_500_000)
    await asked.poller.look()
    assert asked.ids == ["Observation/young/1"]
    path = tmp_path / "fhir-source-ehr.json"
    for damage in (
        b"{",
        b'{"base":"https://other.example","read_to":{"Observation":1770000000000}}',
        b"\x00" * 100_000,
    ):
        path.write_bytes(damage)
        fake.requests.clear()
        asked.begin()
        await asked.poller.look()
        assert fake.requests[1][1].startswith("fhir/Observation?_lastUpdated=ge2026-02-02T01:40"), damage


async def test_a_clock_set_back_while_nobody_looked_hides_nothing(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Set back by an hour, and a quarter of an hour until the next look: what was stamped in between is read."""
    asked = ask(overlap_s=300.0)
    fake.now += 3_600_000
    fake.vital("ahead")
    await asked.poller.look()
    fake.now -= 3_600_000
    fake.vital("meanwhile")
    fake.now += 900_000
    await asked.poller.look()
    await asked.poller.look()
    assert "Observation/meanwhile/1" in asked.ids


async def test_a_token_never_goes_to_another_server(fake: FakeFhir, ask: Callable[..., Asked], tmp_path: Path) -> None:
    """A next page at another host, port or path is not asked for: the look fails, and says what to do."""
    (tmp_path / "token").write_text("secret-token\n")
    asked = ask(page_size=1, token_file=str(tmp_path / "token"))
    fake.vital("a")
    fake.vital("b")
    for foreign in ("http://evil.example/fhir", "http://127.0.0.1:1/fhir", fake.base.replace("/fhir", "/fhirx")):
        fake.next_base = foreign
        seen = len(fake.requests)
        with pytest.raises(FhirSourceError) as raised:
            await asked.poller.look()
        assert raised.value.kind == "foreign_link"
        assert foreign not in str(raised.value)
        assert all("fhirx" not in path for _, path in fake.requests[seen:])
    assert set(fake.tokens_seen) == {"secret-token"}


async def test_pages_that_come_newest_first_and_break_off_lose_nothing(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Callable[..., web.Response]
) -> None:
    """A server that passes over _sort, pages of one, the last of which does not come: the next look reads it."""
    asked = ask(page_size=1, overlap_s=0.0)
    await asked.poller.look()
    fake.now += 1_000_000
    for number in range(3):
        fake.vital(f"o{number}", value=70 + number, at=fake.now - number * 100_000)
    breaks = [True]

    async def newest_first(request: web.Request) -> web.StreamResponse:
        start = int(request.query.get("offset", "0"))
        if start == 2 and breaks.pop():
            return outcome(403, "forbidden")
        since = read_instant(request.query["_lastUpdated"].removeprefix("ge")) or 0
        found = [x for x in fake.stored.values() if (read_instant(x["meta"]["lastUpdated"]) or 0) >= since]
        query = urlencode({"_lastUpdated": request.query["_lastUpdated"], "offset": start + 1})
        links = [{"relation": "next", "url": f"{fake.base}/Observation?{query}"}] if start + 1 < len(found) else []
        return fake.bundle(links, [{"resource": one} for one in found[start : start + 1]])

    fake.extra["GET", "fhir/Observation"] = newest_first
    with pytest.raises(FhirSourceError, match="forbidden"):
        await asked.poller.look()
    breaks.append(False)
    asked.begin()
    await asked.poller.look()
    assert "Observation/o2/1" in asked.ids


async def test_pages_that_never_end_are_told(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """A next page that came before ends the look."""
    asked = ask()
    fake.vital("a")

    async def again(request: web.Request) -> web.StreamResponse:
        return fake.bundle([{"relation": "next", "url": str(request.url)}], [])

    fake.answers = [again, again]
    with pytest.raises(FhirSourceError) as raised:
        await asked.poller.look()
    assert raised.value.kind == "endless"


async def test_a_page_that_is_too_large_is_asked_for_in_parts(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Pages past the bound are halved until they fit, and grow again afterwards; nothing is left out."""
    asked = ask(page_size=16)
    asked.begin(answer_bytes_max=4_000)
    for number in range(16):
        fake.vital(f"o{number}", value=60 + number, note=[{"text": "x" * 500}])
        fake.now += 1_000
    await asked.poller.look()
    assert len(asked.ids) == 16
    counts = [path.rpartition("_count=")[2].partition("&")[0] for _, path in fake.requests]
    assert list(dict.fromkeys(counts)) == ["1", "16", "8", "4", "2"]
    asked.begin(answer_bytes_max=100)
    with pytest.raises(FhirSourceError, match="too_large"):
        await asked.poller.look()


async def test_an_older_version_undoes_no_newer_one(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Versions between two looks are counted as never seen; one that comes late is not handed on."""
    asked = ask()
    fake.vital("o", value=70)
    await asked.poller.look()
    old = dict(fake.stored["Observation/o"])
    for value in (71, 72, 73):
        fake.now += 1_000
        fake.vital("o", value=value)
    await asked.poller.look()
    assert asked.taker.known.skipped == 2
    fake.stored["Observation/o"] = {**old, "valueQuantity": {**old["valueQuantity"], "value": 1}}
    await asked.poller.look()
    assert asked.ids == ["Observation/o/1", "Observation/o/4"]


async def test_an_older_version_behind_the_newer_in_one_delivery_is_dropped(
    fake: FakeFhir, ask: Callable[..., Asked]
) -> None:
    """Two versions in one Bundle, the newer first: the older does not undo it."""
    asked = ask()
    older = read_resource(msgspec.json.encode(fake.vital("o", value=40)))
    fake.now += 1_000
    newer = read_resource(msgspec.json.encode(fake.vital("o", value=80)))
    taken = await asked.taker.take([newer, older, newer], "hook")
    assert taken.outcomes == {"accepted": 1, "known": 1, "outdated": 1}
    assert asked.ids == ["Observation/o/2"]


async def test_a_server_set_up_anew_is_read_though_its_numbers_begin_again(
    fake: FakeFhir, ask: Callable[..., Asked]
) -> None:
    """Version 1 that was changed later than the version 3 we had is news."""
    asked = ask()
    for value in (70, 71, 72):
        fake.vital("o", value=value)
    await asked.poller.look()
    fake.stored.clear()
    fake.now += 60_000
    fake.vital("o", value=90)
    assert (await asked.poller.look()).taken == {"Observation": 1}


async def test_whoever_is_in_a_bed_is_read_first(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """The first look reads the stays that go on with their patients, however long ago they were changed."""
    asked = ask(types=("Patient", "Encounter", "Observation"))
    fake.put("Encounter", "e", at=NOW - 90 * 86_400_000, status="in-progress", subject={"reference": "Patient/p"})
    await asked.poller.look()
    assert [way for way, taken in asked.taken if taken.by_type] == ["census"]
    assert "fhir/Encounter?status=in-progress,onleave,on-hold&_include=Encounter:patient&_count=200" in [
        path for _, path in fake.requests
    ]
    fake.requests.clear()
    asked.begin()
    await asked.poller.look()
    assert not any("_include" in path for _, path in fake.requests)


async def test_a_type_that_fails_keeps_no_other_out(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Callable[..., web.Response]
) -> None:
    """What a server refuses of one type is told after all others were read; one that is away is not asked on."""
    asked = ask(types=("Flag", "Observation"))
    fake.vital("o")
    search = fake.search

    def refusing(kind: str, request: web.Request) -> web.Response:
        return outcome(404, "not-found") if kind == "Flag" else search(kind, request)

    fake.search = refusing  # type: ignore[method-assign] # a test's own
    for _ in range(2):
        with pytest.raises(FhirSourceError, match="not_found"):
            await asked.poller.look()
    assert asked.ids == ["Observation/o/1"]
    fake.requests.clear()
    fake.search = lambda _kind, _request: outcome(503, "transient", Retry_After="900")  # type: ignore[method-assign]
    with pytest.raises(FhirSourceError, match="throttled"):
        await asked.poller.look()
    assert len(fake.requests) == 1


async def test_a_search_that_breaks_the_server_keeps_no_other_out(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Callable[..., web.Response]
) -> None:
    """Who is in a bed is asked for in smaller pages, and again; a type that is a 500 is passed over."""
    asked = ask(types=("Patient", "Encounter", "Observation"))
    fake.put("Encounter", "e", at=NOW - 90 * 86_400_000, status="in-progress", subject={"reference": "Patient/p"})
    fake.vital("o")

    async def broken(_request: web.Request) -> web.StreamResponse:
        return outcome(500, "exception")

    async def fewer(request: web.Request) -> web.StreamResponse:
        return await (broken(request) if int(request.query["_count"]) > 50 else fake.served(request))

    fake.extra["GET", "fhir/Patient"], fake.extra["GET", "fhir/Encounter"] = broken, broken
    with pytest.raises(FhirSourceError, match="server_error"):
        await asked.poller.look()
    assert asked.ids == ["Observation/o/1"]
    fake.extra["GET", "fhir/Encounter"] = fewer
    for _ in range(2):
        asked.begin()
        fake.requests.clear()
        with pytest.raises(FhirSourceError, match="server_error"):
            await asked.poller.look()
    assert asked.ids[:3] == ["Observation/o/1", "Encounter/e/1", "Observation/o/1"]
    assert not any("_include" in path for _, path in fake.requests)
    assert asked.warnings == []


async def test_who_is_in_a_bed_cannot_be_asked_everywhere(
    fake: FakeFhir, ask: Callable[..., Asked], outcome: Callable[..., web.Response]
) -> None:
    """A server that knows no such search is read all the same, and it is told."""
    asked = ask(types=("Encounter",))
    fake.put("Encounter", "e", status="in-progress", subject={"reference": "Patient/p"})
    fake.answers = [outcome(400, "not-supported") for _ in range(8)]  # 200, 100, ... 1 at a time
    await asked.poller.look()
    assert asked.warnings == ["who is in a bed now could not be asked (refused: 400 not-supported)"]
    assert asked.ids == ["Encounter/e/1"]


async def test_entries_that_are_no_resources_do_no_harm(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """An OperationOutcome among the entries is told; what the codec refuses is offered, and kept as a dead letter."""
    asked = ask()
    await asked.poller.look()
    body: list[dict[str, Any]] = [
        {"resource": {"resourceType": "OperationOutcome", "issue": []}},
        {"resource": {"resourceType": "Observation", "id": "x", "status": "fnial"}},
        {"resource": {"resourceType": 7}},
        {},
    ]

    async def odd(_request: web.Request) -> web.StreamResponse:
        return fake.bundle([], body)

    fake.answers = [odd]
    await asked.poller.look()
    assert asked.warnings == ["the server left something out of an answer (OperationOutcome)"]
    assert asked.taken[-1][1].outcomes == {"refused": 2}


async def test_a_type_that_is_none_is_no_label(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """What a server writes as resourceType is counted by name only where FHIR has such a type."""
    asked = ask()

    async def odd(_request: web.Request) -> web.StreamResponse:
        return fake.bundle([], [{"resource": {"resourceType": f"Ada Lovelace {n}", "id": "x"}} for n in range(3)])

    fake.answers = [odd, odd]
    await asked.poller.look()
    assert [taken.by_type for _, taken in asked.taken if taken.by_type] == [{"unreadable": 3}]


async def test_a_look_that_is_cancelled_leaves_the_cursor(fake: FakeFhir, ask: Callable[..., Asked]) -> None:
    """Stopped while the intake holds its receipts back, nothing is past the cursor that has none."""
    asked = ask()
    await asked.poller.look()
    where = asked.file.read(fake.base)
    fake.now += 1_000
    fake.vital("o")
    asked.intake.held = asyncio.Event()
    look = asyncio.create_task(asked.poller.look())
    await asked.intake.offered.wait()
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    assert asked.file.read(fake.base) == where
