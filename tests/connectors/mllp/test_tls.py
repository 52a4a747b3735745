"""Claims about MLLP over TLS: who is let in, who is not, and what is told of it; real sockets, real certificates."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hl7
import pytest
from cryptography.hazmat.primitives import serialization
from hl7.client import MLLPClient

from connectors.hl7v2.framing import frame
from connectors.local.certificates import Authority
from connectors.mllp.client import ConnectionBrokenError, MllpClient
from connectors.mllp.server import MllpServer
from connectors.mllp.settings import MllpSettings
from connectors.mllp.tls import LOOK_S, TlsFiles, TlsFilesError, make_context, problems


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    """The hospital's own authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Authority:
    """An authority that the hospital does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def settings_of(authority: Authority, *, mutual: bool = False) -> MllpSettings:
    """Give the settings of a server with a certificate of an authority."""
    files = authority.issue("server")
    return MllpSettings(str(files.cert_file), str(files.key_file), str(files.ca_file) if mutual else "")


def client_context(trusted: Authority, shown: Authority | None = None) -> ssl.SSLContext:
    """Give a client's context that trusts one authority and shows a certificate of another, or none."""
    context = ssl.create_default_context(cafile=str(trusted.ca_file))
    if shown is not None:
        files = shown.issue("engine")
        context.load_cert_chain(files.cert_file, files.key_file)
    return context


async def secured(ward, settings: MllpSettings) -> tuple[MllpServer, int]:
    """Have the ward's server listen on a port with TLS too."""
    return ward.server, await ward.server.start("127.0.0.1", 0, TlsFiles(settings))


async def open_and_send(client: MllpClient, message: bytes) -> None:
    """Open and send: with TLS 1.3 a client learns that it is not let in by its first read."""
    await client.open()
    await client.send(message)


class _SecureClient(MLLPClient):
    """python-hl7's client, its socket wrapped: it knows no TLS of its own."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", port)
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_messages_over_tls(serve, message, authority: Authority, version: ssl.TLSVersion) -> None:
    """A client that we did not write sends over TLS 1.2 and 1.3, and gets AA for each message, in order."""
    async with serve() as ward:
        _, port = await secured(ward, settings_of(authority))
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version

        def send() -> list[bytes]:
            with _SecureClient(port, context) as client:
                return [client.send_message(message(number)) for number in range(20)]

        answers = await asyncio.to_thread(send)
        told = [str(hl7.parse(answer.strip(b"\x0b\x1c\r").decode())["MSA"][0]) for answer in answers]
        assert told == [f"MSA|AA|M{number}" for number in range(20)]
        assert [arrival.data for arrival in ward.intake.arrivals] == [message(number) for number in range(20)]
        closed = await ward.notices.until("closed")
        assert closed.why == "peer"


@pytest.mark.asyncio
async def test_pipelined_over_tls(serve, message, authority: Authority) -> None:
    """Two hundred messages in flight over TLS are each answered in turn, whatever records they come in."""
    async with serve() as ward:
        _, port = await secured(ward, settings_of(authority))
        client = MllpClient("127.0.0.1", port, window=200, tls=client_context(authority))
        await client.open()
        answers = [answer.code async for answer in client.send_all(message(number) for number in range(200))]
        await client.close()
        assert answers == ["AA"] * 200


@pytest.mark.asyncio
async def test_mutual_tls(serve, message, authority: Authority, stranger: Authority) -> None:
    """Where senders must show a certificate, one of the right authority is let in, and nobody else: what they sent is
    in no intake.
    """
    async with serve() as ward:
        _, port = await secured(ward, settings_of(authority, mutual=True))
        for number, shown in enumerate((None, stranger), 1):
            client = MllpClient("127.0.0.1", port, tls=client_context(authority, shown))
            with pytest.raises(ConnectionBrokenError):
                await open_and_send(client, message(9))
            await client.close()
            failed = await ward.notices.until("handshake", number)
            assert failed.code == (
                "PEER_DID_NOT_RETURN_A_CERTIFICATE" if shown is None else "CERTIFICATE_VERIFY_FAILED"
            )
            assert (await ward.notices.until("closed", number)).why == "handshake"
        assert ward.intake.arrivals == []
        client = MllpClient("127.0.0.1", port, tls=client_context(authority, authority))
        await client.open()
        assert (await client.send(message(1))).code == "AA"
        await client.close()


@pytest.mark.asyncio
async def test_who_speaks_no_tls_is_told_apart(serve, message, authority: Authority) -> None:
    """HL7 without TLS, TLS 1.1 and a peer that goes away are counted by their kind; no byte of theirs is told."""
    async with serve() as ward:
        _, port = await secured(ward, settings_of(authority))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frame(message(1)))
        assert (await ward.notices.until("handshake")).code in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}
        writer.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority.ca_file)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):  # noqa: PT011 - an alert, or the end
            await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="127.0.0.1")
        assert (await ward.notices.until("handshake", 2)).code == "UNSUPPORTED_PROTOCOL"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await ward.notices.until("opened", 3)
        writer.transport.abort()
        assert (await ward.notices.until("handshake", 3)).code == "lost"
        assert ward.intake.arrivals == []
        assert {notice.host for notice in ward.notices.told if notice.what != "opened"} == {""}
        await ward.notices.until("closed", 3)
        assert ward.notices.counts("closed") == {"handshake": 3}


@pytest.mark.asyncio
async def test_a_peer_that_never_greets_holds_no_place(serve, message, authority: Authority) -> None:
    """A peer that connects and says nothing makes room for another; a stop does not wait for it."""
    async with serve(connections_max=2) as ward:
        server, port = await secured(ward, settings_of(authority))
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await ward.notices.until("opened", 2)
        client = MllpClient("127.0.0.1", port, tls=client_context(authority))
        await client.open()
        assert (await client.send(message(1))).code == "AA"
        assert (await ward.notices.until("closed")).why == "evicted"
        assert ward.notices.counts("handshake") == {}
        await client.close()
        await asyncio.wait_for(server.stop(20), 5)
        for _, writer in silent:
            writer.close()


@pytest.mark.asyncio
async def test_a_stop_over_tls_answers_what_was_read(serve, message, authority: Authority) -> None:
    """A stop answers what was read, and says good-bye: the client reads its answers and then the end."""
    async with serve() as ward:
        server, port = await secured(ward, settings_of(authority))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context(authority))
        ward.intake.durable = False
        writer.write(frame(message(1)) + frame(message(2)))
        await ward.intake.until(lambda: len(ward.intake.arrivals) == 2)
        stopping = asyncio.create_task(server.stop(20))
        with contextlib.suppress(OSError):
            while True:  # until nobody is let in any more
                _, other = await asyncio.open_connection("127.0.0.1", port)
                other.transport.abort()
        ward.intake.settle()
        answers = await asyncio.wait_for(reader.read(), 10)
        assert answers.count(b"MSA|AA|") == 2
        writer.close()
        await asyncio.wait_for(stopping, 10)


@pytest.mark.asyncio
async def test_a_renewed_certificate_counts_without_a_restart(
    serve, message, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """Files that are written anew count for who connects later; a broken one changes nothing, and is told."""
    told: list[str] = []
    now = [0.0]
    files = authority.issue("server")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    for place, source in ((certificate, files.cert_file), (key, files.key_file)):
        place.write_bytes(source.read_bytes())
    tls = TlsFiles(MllpSettings(str(certificate), str(key)), warn=told.append, elapsed_s=lambda: now[0])
    async with serve() as ward:
        port = await ward.server.start("127.0.0.1", 0, tls)

        async def trusts(who: Authority) -> bool:
            client = MllpClient("127.0.0.1", port, tls=client_context(who))
            try:
                await client.open()
            except ConnectionBrokenError:
                return False
            finally:
                await client.close()
            return True

        assert await trusts(authority)
        certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
        now[0] += LOOK_S
        assert await trusts(authority)
        assert len(told) == 1
        assert "mllp.tls_" in told[0]
        renewed = stranger.issue("server")
        certificate.write_bytes(renewed.cert_file.read_bytes())
        key.write_bytes(renewed.key_file.read_bytes())
        now[0] += LOOK_S
        assert await trusts(stranger)
        assert not await trusts(authority)
        assert tls.reloads == 1


@pytest.mark.asyncio
async def test_from_within_nobody_shows_a_certificate(serve, message, authority: Authority) -> None:
    """Who is in the process connects by no port: the canary needs no certificate."""
    async with serve() as ward:
        await secured(ward, settings_of(authority, mutual=True))
        client = MllpClient("", 0, dial=ward.server.dial)
        await client.open()
        assert (await client.send(message(1))).code == "AA"
        await client.close()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("missing", "mllp.tls_certificate: cannot be read: No such file or directory"),
        ("no_pem", "mllp.tls_certificate: not in PEM form"),
        ("other_key", "mllp.tls_key: not the key of the certificate in mllp.tls_certificate"),
        ("password", "mllp.tls_key: the key has a password"),
        ("no_ca", "mllp.tls_client_ca: no certificate in PEM form"),
    ],
)
def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path, broken: str, said: str) -> None:
    """A file that is missing, of another kind, or does not belong is refused at the start, by its key and why."""
    files, other = authority.issue("server"), authority.issue("other")
    text = tmp_path / "text.pem"
    text.write_text("hello")
    empty = tmp_path / "empty.pem"
    empty.write_text("-----BEGIN CERTIFICATE-----\n")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(files.key_file.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    given = {
        "missing": MllpSettings(str(tmp_path / "none.pem"), str(files.key_file)),
        "no_pem": MllpSettings(str(text), str(files.key_file)),
        "other_key": MllpSettings(str(files.cert_file), str(other.key_file)),
        "password": MllpSettings(str(files.cert_file), str(locked)),
        "no_ca": MllpSettings(str(files.cert_file), str(files.key_file), str(empty)),
    }[broken]
    with pytest.raises(TlsFilesError) as caught:
        make_context(given)
    assert str(caught.value).startswith(said)
    assert problems(given, datetime.now(UTC)) == [str(caught.value)]


def test_an_end_that_is_near_is_told(authority: Authority) -> None:
    """A certificate that ends soon, has ended or does not count yet is told, and so is a key that others may read."""
    settings = settings_of(authority)
    now = datetime.now(UTC)
    Path(settings.tls_key).chmod(0o600)
    assert ["ends on" in one for one in problems(settings, now)] == [True]
    assert ["ended on" in one for one in problems(settings, now + timedelta(days=2))] == [True]
    assert "counts from" in problems(settings, now - timedelta(days=2))[0]
    Path(settings.tls_key).chmod(0o640)
    assert any("others may read it" in one for one in problems(settings, now))
    ends = TlsFiles(settings).expires()
    assert ends is not None
    assert now < ends <= now + timedelta(days=1)


def test_a_table_that_contradicts_itself_is_refused() -> None:
    """A certificate without its key, and anything else of TLS without both, are refused by the key's name."""
    for table, key in (
        ({"tls_certificate": "c"}, "tls_key"),
        ({"tls_key": "k"}, "tls_certificate"),
        ({"tls_client_ca": "a"}, "tls_client_ca"),
        ({"plain_ports": (2575,)}, "plain_ports"),
    ):
        with pytest.raises(ValueError, match=f"^{key}: "):
            MllpSettings(**table)  # type: ignore[arg-type]


def test_a_handshake_of_garbage_leaves_nothing(authority: Authority) -> None:
    """A context takes no bytes of a peer into its errors' kinds: they are OpenSSL's own words."""
    context = make_context(settings_of(authority))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(b"MSH|^~\\&|Doe^John")
    with pytest.raises(ssl.SSLError) as caught:
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    assert caught.value.reason is not None
    assert caught.value.reason.replace("_", "").isalnum()
    assert "Doe" not in str(caught.value)
