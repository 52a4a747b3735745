"""What people do on the live service: over HTTP by their token, on Kafka by their signature, and by nobody else."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from connectors.acts.door import sign_act, token_hash
from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_oru
from connectors.kafka.reading import KafkaRecord, read_topic
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.redis.connection import connect
from connectors.redis.settings import RedisSettings
from connectors.signing import KeyPair, generate_key
from events import Location, decode_envelope, to_iso
from events.control import Acknowledgement, Feedback, Limit
from stream.clock import wall_ms
from tests.live.cluster import Cluster
from tests.live.gateways import WITHIN_S, GatewayProcess, send
from tests.live.verdict import verdict

ACTS = "ack.ingest.v1"
NURSE, ELSEWHERE, DOCTOR = "n" * 43, "e" * 43, "d" * 43
RAISED_S = 60.0
REFUSED_BY_PARSE = ("unauthorised", "unauthorised", "forged", "unauthorised", "not_entitled", "late")


class Keys(msgspec.Struct, frozen=True):
    """Who signs."""

    gateway: KeyPair
    pager: KeyPair


class Site:
    """A worker and a gateway, a patient on `Ward A` with an alert, and who may act."""

    def __init__(self, cluster: Cluster, gateway: GatewayProcess, keys: Keys) -> None:
        self.cluster = cluster
        self.gateway = gateway
        self.keys = keys

    async def raise_alert(self) -> dict[str, Any]:
        """Chart a sick patient; give his alert once it is told."""
        [answer] = await send(self.gateway.mllp, [chart()])
        assert answer.code == "AA"
        found: list[dict[str, Any]] = []

        async def raised() -> bool:
            found[:] = [alert for alert in await self.alerts() if alert["state"] == "raised"]
            return bool(found)

        await self.cluster.until(raised, RAISED_S, lambda: "no alert is raised")
        await self.cluster.drain()  # [ward] may tell it before [patient] has stored where he lies
        return found[0]

    async def alerts(self) -> list[dict[str, Any]]:
        """Give what is on alerts.v1, in order."""
        return [json.loads(record.value or b"") async for record in read_topic(self.cluster.kafka, "alerts.v1")]

    async def act(self, token: str, **fields: Any) -> int:
        """Hand an act in over HTTP; give the status."""
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(timeout=WITHIN_S, trust_env=False) as client:
            answer = await client.post(self.gateway.url + "/acts", json=said(**fields), headers=headers)
        return answer.status_code

    async def write(self, data: bytes, private_pem: bytes | None = None, *, signed: bytes | None = None) -> None:
        """Write an act to Kafka as a ward system does; with a key signed, over `signed` where that is other."""
        headers: tuple[tuple[str, bytes], ...] = ()
        if private_pem is not None:
            signature = sign_act(private_pem, data if signed is None else signed)
            headers = (("ws_key_id", signature.key_id.encode()), ("ws_signature", signature.hex.encode()))
        await self.cluster.put([Record(ACTS, b"PAGER", data, headers)])

    async def done(self) -> list[Any]:
        """Give what people did, as the log has it once all is folded."""
        await self.cluster.drain()
        log = [record async for record in read_topic(self.cluster.kafka, "events.v1")]
        events = [event for record in log for event in decode_envelope(record.value or b"").events]
        return [event for event in events if isinstance(event, Acknowledgement | Feedback | Limit)]

    async def letters(self) -> list[str]:
        """Give the reasons of the dead letters, sorted."""
        records: list[KafkaRecord] = [one async for one in read_topic(self.cluster.kafka, "deadletters.v1")]
        return sorted(json.loads(one.value or b"")["reason"] for one in records)


def said(**fields: Any) -> dict[str, Any]:
    """Give an act of now."""
    return {"kind": "acknowledge", "act_id": "a" * 16, "at": to_iso(wall_ms()), **fields}


def chart() -> bytes:
    """Render a sick patient's chart of a minute ago."""
    values = [("9279-1", 30.0, "/min"), ("59408-5", 89.0, "%"), ("8867-4", 135.0, "/min"), ("8480-6", 85.0, "mm[Hg]")]
    return render_oru(
        control_id="C1", sent_time=wall_ms(), feed="MON|W", patient=Identifier("MRN", "42"), encounter="V1",
        location=Location("Ward A", "1", "12"), observed_time=wall_ms() - 60_000, order="O1",
        results=[Result(code, value=value, unit=unit) for code, value, unit in values],
    )  # fmt: skip


def people_of(keys: Keys, key_file: Path) -> str:
    return f"""
[people]
gateway_keys = ["{keys.gateway.public}"]
gateway_key_file = "{key_file}"
[people.actors.ward-a-nurses]
role = "nurse"
rights = ["acknowledge", "feedback"]
wards = ["Ward A"]
token_sha256 = "{token_hash(NURSE)}"
[people.actors.ward-b-nurses]
role = "nurse"
rights = ["acknowledge"]
wards = ["Ward B"]
token_sha256 = "{token_hash(ELSEWHERE)}"
[people.actors.doctor-7]
role = "doctor"
rights = ["limit"]
token_sha256 = "{token_hash(DOCTOR)}"
[people.actors.pager]
role = "ward_system"
rights = ["acknowledge"]
wards = ["Ward A"]
public_key = "{keys.pager.public}"
"""


@pytest.fixture
def site(tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings) -> Iterator[Site]:
    """Give a live service with people."""
    keys = Keys(generate_key(), generate_key())
    key_file = tmp_path / "gateway.pem"
    key_file.write_bytes(keys.gateway.private_pem)
    people = people_of(keys, key_file)
    cluster = Cluster(tmp_path, kafka, redis_settings)
    cluster.config.write_text(cluster.config.read_text() + people)
    asyncio.run(cluster.declare())
    cluster.start("w0")
    gateway = GatewayProcess(tmp_path / "g", kafka, redis_settings, people=people)
    try:
        yield Site(cluster, gateway, keys)
    finally:
        gateway.kill()
        cluster.stop()


def test_what_people_do_reaches_the_fold_under_their_names_and_replays(site: Site) -> None:
    """A nurse's acknowledgement over HTTP ends the waiting; a doctor's limit and the pager's signed acknowledgement lie
    in the log as theirs; said or written again nothing changes; a withdrawal of a limit that nobody set is a dead
    letter, counted by why; the run equals its replay.
    """

    async def story() -> None:
        alert = await site.raise_alert()
        on = {"patient": alert["patient"], "alert_id": alert["alert_id"]}
        assert await site.act(NURSE, **on) == 202
        assert await site.act(NURSE, **on) == 202  # a gateway remembers nothing: [parse] knows it

        async def answered() -> bool:
            return (await site.alerts())[-1]["state"] == "acknowledged"

        await site.cluster.until(answered, RAISED_S)
        limit = {
            "kind": "limit", "act_id": "b" * 16, "patient": alert["patient"], "limit_id": "l-1", "limit": "scale_2",
            "reason": "hypercapnic_failure", "expires_at": to_iso(wall_ms() + 86_400_000),
        }  # fmt: skip
        assert await site.act(DOCTOR, **limit) == 202
        gone = {"kind": "withdraw_limit", "act_id": "d" * 16, "patient": alert["patient"], "limit_id": "l-2"}
        assert await site.act(DOCTOR, **gone, limit="pregnancy") == 202
        paged = json.dumps(said(act_id="c" * 16, **on)).encode()
        for _ in range(2):
            await site.write(paged, site.keys.pager.private_pem)
        done = await site.done()
        assert sorted((type(one).__name__, one.actor) for one in done) == [
            ("Acknowledgement", "pager"),
            ("Acknowledgement", "ward-a-nurses"),
            ("Limit", "doctor-7"),
            ("Limit", "doctor-7"),
        ]
        assert await site.letters() == ["unheeded"]
        samples = await asyncio.to_thread(site.cluster.metrics, "w0")
        counted = [one for one in samples if one.name == "wardstream_limits_unheeded_total"]
        assert [(one.labels, one.value) for one in counted] == [({"fault": "unknown_limit"}, 1.0)]
        found = await verdict(site.cluster)
        assert found.well() == []

    asyncio.run(story())
    lines = [line for line in site.gateway.logs() if line["event"] == "act"]
    assert [(line["outcome"], line["actor"]) for line in lines] == [
        *[("accepted", "ward-a-nurses")] * 2,
        *[("accepted", "doctor-7")] * 2,
    ]


def test_what_nobody_may_do_changes_nothing(site: Site) -> None:
    """Unsigned, forged, of another ward, of a right that is not had, late, of nobody known: each is answered or kept
    with its reason, no event enters the log, the alert stays as it is, and the logs name neither patient nor alert.
    """

    async def story() -> dict[str, Any]:
        alert = await site.raise_alert()
        on = {"patient": alert["patient"], "alert_id": alert["alert_id"]}
        assert await site.act("x" * 43, **on) == 401
        assert await site.act(ELSEWHERE, **on) == 403
        assert await site.act(DOCTOR, **on) == 403
        assert await site.act(NURSE, **on | {"at": to_iso(wall_ms() - 7_200_000)}) == 422
        assert await site.act(NURSE, **on | {"kind": "dismiss"}) == 422
        pem = site.keys.pager.private_pem
        act = json.dumps(said(**on)).encode()
        await site.write(act)
        await site.write(json.dumps({**on, "at": to_iso(wall_ms()), "actor": "ward-a-nurses"}).encode())
        await site.write(act, pem, signed=act + b" ")
        await site.write(act, generate_key().private_pem)
        await site.write(json.dumps(said(**on | {"patient": "f" * 32})).encode(), pem)
        old = json.dumps(said(**on | {"at": to_iso(wall_ms() - 7_200_000)})).encode()
        await site.write(old, pem)
        assert await site.done() == []
        assert {one["state"] for one in await site.alerts()} <= {"raised", "updated", "escalated"}
        assert await site.letters() == sorted(
            ["not_entitled", "not_entitled", "late", "invalid_value", *REFUSED_BY_PARSE]
        )
        return alert

    alert = asyncio.run(story())
    logged = site.gateway.errors.read_text() + site.cluster.log_of("w0")
    assert alert["patient"] not in logged
    assert alert["alert_id"] not in logged
    told = [json.loads(line) for line in site.cluster.log_of("w0").splitlines() if '"event": "act"' in line]
    reasons = Counter(one["reason"] for one in told)  # again where work is repeated: until it is known who lies where
    assert reasons.keys() == set(REFUSED_BY_PARSE)
    assert reasons >= Counter(REFUSED_BY_PARSE)


def test_who_is_taken_off_the_list_acts_no_more_on_a_running_service(site: Site) -> None:
    """SIGHUP to gateway and worker, and a nurse's token is nobody's, a pager's signature a stranger's. A file without
    the gateway's own key is told by the gateway, and changes nothing there.
    """
    files = (site.cluster.config, site.gateway.config)
    whole = [file.read_text() for file in files]

    async def reread(keep: str, told: str, *, said_by: str) -> None:
        for file, text in zip(files, whole, strict=True):
            head, _, people = text.partition("[people]")
            first, *tables = people.split("[people.actors.")
            kept = [f"[people.actors.{table}" for table in tables if keep and not table.startswith((keep, "pager"))]
            file.write_text(f"{head}[people]{first if said_by != 'gateway' else ''}{''.join(kept)}")
        site.gateway.process.send_signal(signal.SIGHUP)
        if said_by == "both":
            site.cluster.processes["w0"].send_signal(signal.SIGHUP)

        async def heard() -> bool:
            logs = [site.gateway.errors.read_text()]
            logs += [site.cluster.log_of("w0")] if said_by == "both" else []
            return all(told in log for log in logs)

        await site.cluster.until(heard, RAISED_S, lambda: f"{told} is not told")

    async def story() -> None:
        alert = await site.raise_alert()
        on = {"patient": alert["patient"], "alert_id": alert["alert_id"]}
        await reread("ward-a-nurses", '"people_reread"', said_by="both")
        assert await site.act(NURSE, **on) == 401
        assert await site.act(ELSEWHERE, **on) == 403
        await site.write(json.dumps(said(act_id="c" * 16, **on)).encode(), site.keys.pager.private_pem)
        assert await site.done() == []
        assert await site.letters() == ["not_entitled", "unauthorised"]
        await reread("ward-b-nurses", '"people_not_reread"', said_by="gateway")
        assert await site.act(ELSEWHERE, **on) == 403

    asyncio.run(story())


def test_while_states_are_made_anew_an_actor_of_some_wards_is_asked_to_try_again(
    site: Site, redis_settings: RedisSettings
) -> None:
    """With the store wiped and nothing folded yet, nobody knows where the patient lies: 503 over HTTP, and what a pager
    signed waits. When the log is folded again both are taken, and a limit that a later one stands above is 409.
    """

    async def story() -> None:
        alert = await site.raise_alert()
        on = {"patient": alert["patient"], "alert_id": alert["alert_id"]}
        site.cluster.terminate("w0")
        client = connect(redis_settings)
        client.delete(*client.scan_iter(match=f"{redis_settings.prefix}:*", count=1_000))
        assert await site.act(NURSE, **on) == 503
        assert await site.act(ELSEWHERE, **on) == 503
        site.cluster.start("w1", "parse")
        await site.write(json.dumps(said(act_id="e" * 16, **on)).encode(), site.keys.pager.private_pem)
        await site.cluster.until_said("w1", "is not folded yet")
        assert await site.letters() == []
        site.cluster.start("w0", "patient,ward")
        assert [one.actor for one in await site.done()] == ["pager"]
        assert await site.act(NURSE, **on) == 202
        assert await site.act(ELSEWHERE, **on) == 403
        limit = {
            "kind": "limit", "patient": alert["patient"], "limit_id": "l-1", "limit": "scale_2",
            "reason": "hypercapnic_failure", "expires_at": to_iso(wall_ms() + 86_400_000),
        }  # fmt: skip
        assert await site.act(DOCTOR, **limit, act_id="b" * 16) == 202
        await site.cluster.drain()
        assert await site.act(DOCTOR, **limit, act_id="c" * 16, at=to_iso(wall_ms() - 60_000)) == 409
        assert await site.letters() == ["not_entitled", "outdated"]

    asyncio.run(story())


def test_a_gateway_whose_key_no_worker_would_trust_does_not_start(
    tmp_path: Path, kafka: KafkaSettings, redis_settings: RedisSettings
) -> None:
    """With somebody who acts over HTTP and no key of its own that is trusted, it ends and names the setting."""
    people = people_of(Keys(generate_key(), generate_key()), tmp_path / "absent.pem")
    with pytest.raises(AssertionError, match=r"people\.gateway_key_file: cannot be read"):
        GatewayProcess(tmp_path / "g", kafka, redis_settings, people=people)
