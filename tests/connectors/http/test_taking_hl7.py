"""Claims about taking HL7 v2 in over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.hl7v2.framing import frame
from connectors.http.limits import HL7_MESSAGES_MAX

HL7 = {"Content-Type": "application/hl7-v2"}


def message(control_id: str, person: str = "42^^^HOSP^MR") -> bytes:
    return (
        f"MSH|^~\\&|LAB|MAIN|||20260101120000||ORU^R01|{control_id}|P|2.5\rPID|1||{person}\r"
        "OBR|1||F1\rOBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F|||20260101115900\r"
    ).encode()


def answers(body: bytes) -> list[str]:
    """Give MSA-1 and MSA-2 of each ACK."""
    return [line.split("|", 1)[1] for line in body.decode().split("\r") if line.startswith("MSA")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "media", ["application/hl7-v2", "x-application/hl7-v2+er7", "text/plain; charset=iso-8859-15", "text/plain"]
)
async def test_a_message_is_acknowledged(serve, intake, media: str) -> None:
    """A message of each media type is stored and answered AA; the charset of the header counts for nothing."""
    site = await serve()
    async with site.client.post("/hl7", data=message("M1"), headers={"Content-Type": media}) as response:
        body = await response.read()
        assert (response.status, response.content_type) == (200, "application/hl7-v2")
    assert answers(body) == ["AA|M1"]
    [arrival] = intake.arrivals
    assert (arrival.format, arrival.position, arrival.decoded.message_id) == ("hl7v2", "http/1#1", "M1")


@pytest.mark.asyncio
@pytest.mark.parametrize("framed", [False, True])
async def test_several_messages_have_an_answer_each(serve, *, framed: bool) -> None:
    """Several messages in a body, framed or not, are answered in order; one that is refused makes the status 422."""
    site = await serve()
    messages = [message("M1"), message("M2", person=""), message("M3")]
    body = b"".join(frame(one) if framed else one for one in messages)
    async with site.client.post("/hl7", data=body, headers=HL7) as response:
        told = answers(await response.read())
    assert response.status == 422
    assert told == ["AA|M1", "AE|M2", "AA|M3"]


@pytest.mark.asyncio
async def test_a_batch_is_answered_by_a_batch(serve, intake) -> None:
    """A file of batches is answered by one that names it, with an ACK a message; where a count is wrong the status is
    422 and BTS-2 says why, and the messages are taken all the same.
    """
    site = await serve()
    head = b"FHS|^~\\&|LAB|MAIN|||||||F7\rBHS|^~\\&|LAB|MAIN|||||||B7\r"
    for counted, status, told in (
        (b"2", 200, b"BTS|2\r"),
        (b"3", 422, b"BTS|2|batch 1: BTS-1 counts 3, there are 2 messages\r"),
    ):
        body = head + message("M1") + message("M2") + b"BTS|" + counted + b"\rFTS|1\r"
        async with site.client.post("/hl7", data=body, headers=HL7) as response:
            answer = await response.read()
        assert response.status == status
        assert answers(answer) == ["AA|M1", "AA|M2"]
        segments = [line.split(b"|") for line in answer.split(b"\r") if line]
        assert [segment[0] for segment in segments] == [b"FHS", b"BHS", *[b"MSH", b"MSA"] * 2, b"BTS", b"FTS"]
        assert (segments[0][11], segments[1][11]) == (b"F7", b"B7")
        assert told in answer
    assert len(intake.arrivals) == 4
    async with site.client.post("/hl7", data=body, headers={**HL7, "Accept": "application/fhir+json"}) as response:
        issues = OperationOutcome.model_validate_json(await response.read()).issue
    assert [issue.details.text for issue in issues] == [
        "2 messages stored, 2 of them known already",
        issues[1].details.text,
    ]
    assert issues[1].details.text == "batch 1: BTS-1 counts 3, there are 2 messages"


@pytest.mark.asyncio
async def test_each_answer_has_its_own_control_id(serve) -> None:
    """No two ACKs have one MSH-10, and none is longer than the 20 characters of 2.5."""
    site = await serve()
    async with site.client.post("/hl7", data=message("M1") * 3, headers=HL7) as response:
        text = (await response.read()).decode()
    names = [line.split("|")[9] for line in text.split("\r") if line.startswith("MSH")]
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 20


@pytest.mark.asyncio
async def test_an_operation_outcome_is_given_where_it_is_asked_for(serve) -> None:
    """With Accept: application/fhir+json the answer is an OperationOutcome that names the place in HL7's words."""
    site = await serve()
    headers = {**HL7, "Accept": "application/fhir+json"}
    body = message("M1") + message("M2", person="")
    async with site.client.post("/hl7", data=body, headers=headers) as response:
        stored, refused = OperationOutcome.model_validate_json(await response.read()).issue
    assert (response.status, stored.details.text) == (422, "1 message stored")
    assert (refused.code, refused.diagnostics.partition(":")[0]) == ("required", "PID-3")


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"hello", b"\x00\xff\x0b\x1c", b"{}"])
async def test_garbage_is_refused_and_kept(serve, intake, body: bytes) -> None:
    """What is no HL7 is answered AR and kept."""
    site = await serve()
    async with site.client.post("/hl7", data=body, headers=HL7) as response:
        told = answers(await response.read())
    assert (response.status, [one[:2] for one in told]) == (422, ["AR"])
    assert len(intake.arrivals) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"\r\n", 400), (b"MSH|\r" * (HL7_MESSAGES_MAX + 1), 413)])
async def test_no_message_and_too_many_are_refused(serve, intake, body: bytes, status: int) -> None:
    """A body without a message, and one with more than the limit, are refused before anything is offered."""
    site = await serve()
    async with site.client.post("/hl7", data=body, headers=HL7) as response:
        assert OperationOutcome.model_validate_json(await response.read()).issue[0].severity == "error"
    assert (response.status, intake.arrivals) == (status, [])


@pytest.mark.asyncio
@pytest.mark.parametrize(("reason", "status"), [("overloaded", 503), ("disk_full", 507)])
@pytest.mark.parametrize("accept", ["*/*", "application/fhir+json"])
async def test_what_is_not_stored_is_ar(serve, intake, reason: Any, status: int, accept: str) -> None:
    """Where nothing is stored the ACK is AR and the status says when to come again; never a positive one."""
    site = await serve()
    intake.refuses_with = reason
    headers = {**HL7, "Accept": accept}
    async with site.client.post("/hl7", data=message("M1"), headers=headers) as response:
        body = await response.read()
    assert response.status == status
    assert int(response.headers["Retry-After"]) > 0
    if accept == "*/*":
        assert answers(body)[0].startswith("AR|M1")
    else:
        assert OperationOutcome.model_validate_json(body)
