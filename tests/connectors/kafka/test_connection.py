"""From settings to a client's options: what is wrong is said with its key and its remedy, and no secret is repeated."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.kafka.admin import check, declare
from connectors.kafka.connection import client_options
from connectors.kafka.faults import ConnectionSettingsError, UnreachableError
from connectors.kafka.outbox import Outbox
from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings
from connectors.local.certificates import Authority

SECRET = "hunter2-not-to-be-seen"  # noqa: S105 - looked for in what is said


@pytest.mark.parametrize(
    ("fields", "password", "said"),
    [
        ({"bootstrap": ""}, "", "kafka.bootstrap is empty"),
        ({"bootstrap": "kafka"}, "", "'kafka' is not host:port"),
        ({"bootstrap": "kafka:99999"}, "", "'kafka:99999' is not host:port"),
        ({"security": "ssl", "ca_file": "no-such.pem"}, "", "kafka.ca_file: there is no file no-such.pem"),
        ({"ca_file": "no-such.pem"}, "", "set it to 'ssl' or 'sasl_ssl'"),
        ({"security": "sasl_plaintext"}, SECRET, "kafka.username is missing"),
        ({"security": "sasl_plaintext", "username": "ward"}, "", f"set the environment variable {PASSWORD_VARIABLE}"),
        ({"username": "ward"}, "", "kafka.username is not used"),
        ({}, SECRET, f"the variable {PASSWORD_VARIABLE} is not used"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(fields: dict[str, Any], password: str, said: str) -> None:
    """Each mistake names the key or the variable that is to be mended."""
    with pytest.raises(ConnectionSettingsError) as caught:
        client_options(KafkaSettings(**fields), password)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    """A client certificate needs its key, and the other way round."""
    own = Authority(tmp_path).issue("client")
    settings = KafkaSettings(security="ssl", ca_file=str(own.ca_file), cert_file=str(own.cert_file))
    with pytest.raises(ConnectionSettingsError, match="belong together"):
        client_options(settings)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    """A CA file that is no PEM is named."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConnectionSettingsError, match=r"kafka\.ca_file: .* cannot be read as PEM"):
        client_options(KafkaSettings(security="ssl", ca_file=str(tmp_path / "ca.pem")))


def test_an_encrypted_key_is_refused_without_asking_the_terminal(tmp_path: Path) -> None:
    """A key with a pass phrase is refused at once: a service has nobody to ask."""
    own = Authority(tmp_path).issue("client")
    key = ec.generate_private_key(ec.SECP256R1())
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"phrase"),
        )
    )
    settings = KafkaSettings(
        security="ssl", ca_file=str(own.ca_file), cert_file=str(own.cert_file), key_file=str(locked)
    )
    with pytest.raises(ConnectionSettingsError, match="is encrypted"):
        client_options(settings)


def test_tls_checks_the_brokers_name(tmp_path: Path) -> None:
    """The TLS context verifies the certificate and the host name."""
    own = Authority(tmp_path).issue("client")
    context = client_options(KafkaSettings(security="ssl", ca_file=str(own.ca_file)))["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.asyncio
async def test_no_broker_is_said_with_its_address() -> None:
    """Where nobody listens, the address is named, and what to look at."""
    settings = KafkaSettings(bootstrap="127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"nobody listens at 127\.0\.0\.1:9: .*kafka\.bootstrap"):
        await check(settings)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        await Outbox(settings, client_id="test").start()


@pytest.mark.asyncio
async def test_a_wrong_password_is_said_and_never_repeated(own_kafka: Any) -> None:
    """SASL over TLS works with the right password; a wrong one is named by its variable, without the password."""
    broker = own_kafka(security="sasl_ssl", users={"ward": "right"})
    settings = broker.settings(prefix="t.", username="ward")
    assert await declare(settings, "right")
    outbox = Outbox(settings, client_id="test", password=SECRET)
    with pytest.raises(UnreachableError, match=f"refused the login of 'ward'.*{PASSWORD_VARIABLE}") as caught:
        await outbox.start()
    assert SECRET not in str(caught.value)
    stranger = msgspec.structs.replace(settings, ca_file=str(Authority(broker.folder / "other").issue("x").ca_file))
    with pytest.raises(UnreachableError, match=r"certificate that is not trusted .*kafka\.ca_file"):
        await check(stranger, "right")
    in_the_clear = KafkaSettings(bootstrap=settings.bootstrap)
    with pytest.raises(UnreachableError, match=r"kafka\.security"):
        await check(in_the_clear)
