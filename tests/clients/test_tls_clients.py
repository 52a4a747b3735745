"""Clients that nobody here wrote send over mutual TLS: HAPI by the JVM's own TLS, node-hl7-client by Node's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from connectors.local.certificates import Authority, Certificates
from connectors.local.processes import await_that
from tests.clients.conftest import CLIENTS, absent

MESSAGES = 200
CLIENT_S_MAX = 200
PASSWORD = "of-a-test"  # noqa: S105 - of files that last as long as the test


def hapi_stores(folder: Path, files: Certificates) -> tuple[str, ...]:
    """Write the JVM's key store and trust store; give the options that name them."""
    password = serialization.BestAvailableEncryption(PASSWORD.encode())
    authority = x509.load_pem_x509_certificate(files.ca_file.read_bytes())
    certificate = x509.load_pem_x509_certificate(files.cert_file.read_bytes())
    key = serialization.load_pem_private_key(files.key_file.read_bytes(), None)
    trusted = [pkcs12.PKCS12Certificate(authority, b"authority")]
    (folder / "trust.p12").write_bytes(pkcs12.serialize_java_truststore(trusted, password))
    own = pkcs12.serialize_key_and_certificates(b"engine", key, certificate, [authority], password)  # type: ignore[arg-type]
    (folder / "own.p12").write_bytes(own)
    options = ["-Dmllp.tls=true"]
    for name, file in (("trustStore", "trust.p12"), ("keyStore", "own.p12")):
        options += [
            f"-Djavax.net.ssl.{name}={folder / file}",
            f"-Djavax.net.ssl.{name}Type=PKCS12",
            f"-Djavax.net.ssl.{name}Password={PASSWORD}",
        ]
    return tuple(options)


@pytest.mark.parametrize("name", ["hapi", "node_hl7_client"])
def test_a_client_over_mutual_tls(name: str, serve: Callable[..., Any], stream: Any, tmp_path: Path) -> None:
    """Each message is answered by its own MSA-2 over TLS, with a certificate of the authority that the service trusts;
    without one the same client gets nothing through.
    """
    client = CLIENTS[name]
    for need in client.needs:
        if not (Path(need).exists() if isinstance(need, Path) else shutil.which(need)):
            absent(f"THE CLIENT {name}" if isinstance(need, Path) else need)
    authority, stranger = Authority(tmp_path / "authority"), Authority(tmp_path / "stranger")
    server = authority.issue("server")
    config = tmp_path / "wardstream.toml"
    secured = {"tls_certificate": server.cert_file, "tls_key": server.key_file, "tls_client_ca": authority.ca_file}
    config.write_text("[mllp]\n" + "".join(f"{key} = {json.dumps(str(path))}\n" for key, path in secured.items()))
    service = serve(
        sys.executable, "-m", "stream.cli", "run", "--config", config, "--data-dir", tmp_path / "data",
        "--mllp-port", "0", "--http-port", "0",
    )  # fmt: skip
    path = tmp_path / "part.hl7"
    path.write_bytes(b"\x1c\r".join([*stream.path.read_bytes().split(b"\x1c\r")[:MESSAGES], b""]))

    def send(shown: Authority) -> subprocess.CompletedProcess[str]:
        files = shown.issue("engine")
        trusting = Certificates(authority.ca_file, files.cert_file, files.key_file)
        folder = tmp_path / files.ca_file.parent.name
        command = list(client.command)
        if name == "hapi":
            command[1:1] = hapi_stores(folder, trusting)
        pem = {"MLLP_TLS_CA": authority.ca_file, "MLLP_TLS_CERT": files.cert_file, "MLLP_TLS_KEY": files.key_file}
        environment = {**os.environ, **dict(client.environment), **{key: str(file) for key, file in pem.items()}}
        return subprocess.run(
            [*command, "127.0.0.1", str(service.port), path],
            capture_output=True, check=False, text=True, timeout=CLIENT_S_MAX, env=environment,
        )  # fmt: skip

    done = send(authority)
    assert done.returncode == 0, done.stderr[-2000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert tally["sent"] == tally["matched"] == sum(tally["acks"].values()) == MESSAGES
    assert tally["acks"]["CA"] > MESSAGES / 2, "the simulated hospital asks for accept acknowledgements"
    if name == "hapi":  # the other tries again for good
        assert send(stranger).returncode != 0
        errors, words = service.folder / "errors.log", ("CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT", "mllp_handshake")
        assert await_that(lambda: any(word in errors.read_text() for word in words), CLIENT_S_MAX)
    assert service.stop() == 0
