"""The service as a process, and what its `[mllp]` and `[hl7]` say of its MLLP ports: TLS, routes, what is told."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.decoded import Identifier
from connectors.hl7v2.render import Result, render_oru
from connectors.local.certificates import Authority
from connectors.local.ports import free_ports
from connectors.mllp.client import Acknowledged, ConnectionBrokenError, MllpClient
from connectors.sqlite.journal import SqliteJournal
from connectors.sqlite.outputs import SqliteOutputs
from events import Location
from tests.listening import COMMAND, WITHIN_S, ListeningProcess

AT = 1_767_225_600_000


class Running(ListeningProcess):
    """One running service, with a configuration."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir(exist_ok=True)
        self.config = folder / "wardstream.toml"
        self.config.write_text(text + "\n[service]\nmllp_port = 0\nhttp_port = 0\n")
        data = str(folder / "data")
        super().__init__(("run", "--data-dir", data, "--config", str(self.config)), folder / "service.log")

    def send(self, *messages: bytes, tls: ssl.SSLContext | None = None, port: int = 0) -> list[Acknowledged]:
        """Send over MLLP; give what was answered."""

        async def send() -> list[Acknowledged]:
            client = MllpClient("127.0.0.1", port or self.mllp, window=16, tls=tls)
            try:
                await client.open()
                return [answer async for answer in client.send_all(messages)]
            finally:
                await client.close()

        return asyncio.run(send())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    """Give what starts a service on the test's folder; none outlives the test."""
    started: list[Running] = []

    def begin(text: str) -> Running:
        started.append(Running(tmp_path / "ward", text))
        return started[-1]

    yield begin
    for running in started:
        running.kill()


def chart(number: int, *, feed: str = "MON|W") -> bytes:
    """Render a message; its control id is `number`."""
    return render_oru(
        control_id=str(number),
        sent_time=AT + number * 1_000,
        feed=feed,
        patient=Identifier("MRN", "42"),
        encounter="V1",
        location=Location("Ward A", "1", "12"),
        observed_time=AT + number * 1_000,
        order=f"O{number}",
        results=[Result(code="8867-4", value=72.0, unit="/min")],
    )


def table(**keys: Any) -> str:
    """Write the `[mllp]` table."""
    return "[mllp]\n" + "\n".join(f"{key} = {json.dumps(str(value))}" for key, value in keys.items())


def test_the_service_over_mutual_tls(start: Callable[[str], Running], tmp_path: Path) -> None:
    """A sender with the authority's certificate is answered AA; one without is counted and told, and nothing of his is
    kept; a stop is in order.
    """
    authority = Authority(tmp_path / "authority")
    server, engine = authority.issue("server"), authority.issue("engine")
    service = start(table(tls_certificate=server.cert_file, tls_key=server.key_file, tls_client_ca=authority.ca_file))
    tls = ssl.create_default_context(cafile=str(authority.ca_file))
    with pytest.raises(ConnectionBrokenError):
        service.send(chart(9), tls=tls)
    with pytest.raises(ConnectionBrokenError):
        service.send(chart(9))
    tls.load_cert_chain(engine.cert_file, engine.key_file)
    assert [answer.code for answer in service.send(chart(1), chart(2), tls=tls)] == ["AA", "AA"]
    metrics = service.get("/metrics").text
    assert 'wardstream_mllp_connection_events_total{event="handshake"} 2.0' in metrics
    assert "wardstream_mllp_certificate_expires_seconds 1." in metrics
    while len(feeds := service.get("/feeds").json()["feeds"]) < 1 or feeds[0]["messages"] < 2:
        pass  # They are counted just after their senders are answered.
    assert [feed["messages"] for feed in feeds] == [2]
    assert service.stop() == 0
    refused = [line for line in service.logs() if line["event"] == "mllp_handshake"]
    assert refused[0]["code"] == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    assert not any("host" in line for line in refused)


def local(number: int, hour: str, *, code: str = "8867-4^Heart rate^LN") -> bytes:
    """Give a message whose times have no offset."""
    text = (
        f"MSH|^~\\&|MON|W|||20260110{hour}0000||ORU^R01|{number}|P|2.5.1\rPID|1||42^^^MRN\rPV1|1|I|Ward A^1^12\r"
        f"OBR|1||F{number}\rOBX|1|NM|{code}||72|/min|||||F|||20260110{hour}0000\r"
    )
    return text.encode()


def test_a_route_by_port_is_taken_and_kept(start: Callable[[str], Running], tmp_path: Path) -> None:
    """What comes to a route's port is read by its zone and its codes, what comes to the other is not; a replay of the
    journal, which has no port, gives the same.
    """
    [port] = free_ports(1)
    service = start(
        f"""
[[hl7.routes]]
name = "monitors"
port = {port}
zone = "Asia/Tokyo"
codes = "MONITORS"
[codes.MONITORS]
HR = "heart_rate"
"""
    )
    assert service.said[f"mllp_{port}"] == f"127.0.0.1:{port}"
    assert [one.code for one in service.send(local(1, "12", code="HR^Pulse^L"), port=port)] == ["AA"]
    assert [one.code for one in service.send(local(2, "12"))] == ["AA"]
    while service.get("/patients").json()["behind_records"]:
        pass
    service.kill()
    data = tmp_path / "ward" / "data"
    journal = SqliteJournal(data, read_only=True)
    times = {one.message_id: one.event_time for _, one in journal.read() if one.patient}
    journal.close()
    assert times["2"] - times["1"] == 9 * 3_600_000
    outputs = [json.loads(row[2]) for row in SqliteOutputs(data / "outputs.db", read_only=True).outputs()]
    scored = [one for one in outputs if one.get("message_id") == "1" and "news2" in one]
    assert scored
    assert scored[0]["news2"]["stale"] == ["pulse"], "its code is known; it is of January"
    done = subprocess.run(
        [*COMMAND, "replay", f"journal:{data}", "--out", str(tmp_path / "out"), "--quiet"],
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0
    again = [json.loads(line) for line in (tmp_path / "out" / "scores.ndjson").read_text().splitlines()]
    told = ("patient", "event_time", "news2", "probability")
    assert [[one[key] for key in told] for one in again if one["message_id"] == "1"] == [
        [one[key] for key in told] for one in scored
    ]


def test_files_that_cannot_be_used_end_the_start_and_are_what_doctor_says(tmp_path: Path) -> None:
    """A key of another certificate: neither host starts, each says which key of the configuration; doctor says it."""
    authority = Authority(tmp_path / "authority")
    server, other = authority.issue("server"), authority.issue("other")
    config = tmp_path / "wardstream.toml"
    config.write_text(table(tls_certificate=server.cert_file, tls_key=other.key_file))
    commands = (
        ("run", "--data-dir", tmp_path / "data", "--config", config),
        ("doctor", "--config", config),
    )
    for command in commands:
        done = subprocess.run(
            [*COMMAND, *command], capture_output=True, text=True, check=False, timeout=WITHIN_S, env={**os.environ}
        )
        assert done.returncode != 0
        assert "mllp.tls_key: not the key of the certificate" in " ".join((done.stdout + done.stderr).split())
