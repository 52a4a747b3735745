"""How a client is told to reach Kafka: from the settings and the password to what aiokafka takes.

Owns that translation and the errors that say what to mend. Must not know what is read or written. No secret enters a
log or an error's text.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

from connectors.kafka.faults import ConnectionSettingsError
from connectors.kafka.settings import PASSWORD_VARIABLE, KafkaSettings

REQUEST_TIMEOUT_MS = 10_000
"""One request to a broker; longer than a leader's election, short enough that a dead broker is noticed."""
PORT_MAX = 65_535

_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):(\d{1,5})$")


def client_options(settings: KafkaSettings, password: str = "") -> dict[str, Any]:
    """Give the keyword arguments of any aiokafka client; raises `ConnectionSettingsError` saying what to mend.

    >>> client_options(KafkaSettings(bootstrap="k1:9092, k2:9092"))["bootstrap_servers"]
    ['k1:9092', 'k2:9092']
    """
    options: dict[str, Any] = {
        "bootstrap_servers": _addresses(settings.bootstrap),
        "security_protocol": settings.security.upper(),
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
    }
    if settings.security in ("ssl", "sasl_ssl"):
        options["ssl_context"] = _tls(settings)
    elif settings.ca_file or settings.cert_file or settings.key_file:
        raise ConnectionSettingsError(
            f"kafka.security is {settings.security!r}, so certificates are not used: set it to 'ssl' or 'sasl_ssl', or "
            "leave out kafka.ca_file, kafka.cert_file and kafka.key_file"
        )
    if settings.security in ("sasl_plaintext", "sasl_ssl"):
        options |= _sasl(settings, password)
    elif settings.username or password:
        named = f"the variable {PASSWORD_VARIABLE}" if password else "kafka.username"
        raise ConnectionSettingsError(
            f"kafka.security is {settings.security!r}, so {named} is not used: set kafka.security to 'sasl_ssl' (or "
            "'sasl_plaintext' on a network nobody else reaches), or leave the name and the password out"
        )
    return options


def _addresses(bootstrap: str) -> list[str]:
    addresses = [address.strip() for address in bootstrap.split(",") if address.strip()]
    if not addresses:
        raise ConnectionSettingsError("kafka.bootstrap is empty: give host:port of one broker or more")
    for address in addresses:
        found = _ADDRESS.match(address)
        if not found or not 0 < int(found[2]) <= PORT_MAX:
            raise ConnectionSettingsError(f"kafka.bootstrap: {address!r} is not host:port, such as kafka-1:9092")
    return addresses


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    for key in ("ca_file", "cert_file", "key_file"):
        name = getattr(settings, key)
        if name and not Path(name).is_file():
            raise ConnectionSettingsError(f"kafka.{key}: there is no file {name}")
    if bool(settings.cert_file) != bool(settings.key_file):
        raise ConnectionSettingsError("kafka.cert_file and kafka.key_file belong together: give both or neither")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except (ssl.SSLError, OSError) as error:
        raise ConnectionSettingsError(
            f"kafka.ca_file: {settings.ca_file} cannot be read as PEM certificates ({_words(error)})"
        ) from None
    if settings.cert_file:
        try:
            # An encrypted key would ask the terminal for its pass phrase, and a service has none.
            context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_pass_phrase)
        except _EncryptedKeyError:
            raise ConnectionSettingsError(
                f"kafka.key_file: {settings.key_file} is encrypted; give a key without a pass phrase, readable by the "
                "service alone"
            ) from None
        except (ssl.SSLError, OSError) as error:
            raise ConnectionSettingsError(
                f"kafka.cert_file and kafka.key_file: {settings.cert_file} and {settings.key_file} cannot be read as a "
                f"PEM certificate and its key ({_words(error)})"
            ) from None
    return context


class _EncryptedKeyError(Exception):
    """A key file asked for a pass phrase."""


def _no_pass_phrase() -> str:
    raise _EncryptedKeyError


def _sasl(settings: KafkaSettings, password: str) -> dict[str, str]:
    if not settings.username:
        raise ConnectionSettingsError(f"kafka.security is {settings.security!r}: kafka.username is missing")
    if not password:
        raise ConnectionSettingsError(
            f"kafka.security is {settings.security!r}: set the environment variable {PASSWORD_VARIABLE} to the "
            f"password of {settings.username!r}"
        )
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.username,
        "sasl_plain_password": password,
    }


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return str(reason).replace("_", " ").lower()


def unseen(settings: KafkaSettings) -> str:
    """Say the other reason why a topic may seem absent: a broker with rights shows nobody what is not theirs.

    >>> unseen(KafkaSettings()), unseen(KafkaSettings(username="gateway"))
    ('', ", or grant our user 'gateway' access to it")
    """
    return f", or grant our user {settings.username!r} access to it" if settings.username else ""


def describe_failure(settings: KafkaSettings, error: BaseException) -> str:
    """Say what a failed attempt to reach Kafka most likely means and what to do. Holds no secret.

    >>> describe_failure(KafkaSettings(), OSError("x"))
    'no broker answered at 127.0.0.1:9092 (OSError): is Kafka running, and is kafka.bootstrap its address?'
    """
    kind = type(error).__name__
    if "Authentication" in kind or kind in ("UnsupportedSaslMechanismError", "IllegalSaslStateError"):
        return (
            f"Kafka at {settings.bootstrap} refused the login of {settings.username!r} with {settings.sasl_mechanism}: "
            f"check kafka.username, kafka.sasl_mechanism and the password in {PASSWORD_VARIABLE}"
        )
    if "Authorization" in kind:
        return (
            f"Kafka at {settings.bootstrap} does not allow {settings.username or 'us'} what is needed ({kind}): grant "
            f"access to topics, groups and transactional ids that begin with {settings.prefix!r}"
        )
    return (
        f"no broker answered at {settings.bootstrap} ({kind}): is Kafka running, and is kafka.bootstrap its address"
        + (_security_hint(settings) if settings.security != "plaintext" else "?")
    )


def _security_hint(settings: KafkaSettings) -> str:
    return (
        f"? Does that port speak {settings.security}, does kafka.ca_file hold the authority that signed its "
        "certificate, and is the certificate for that host name?"
    )
