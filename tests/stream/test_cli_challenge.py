"""`wardstream models challenge`: a person's word stands in the chain; who cannot take part is refused before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connectors.kafka.settings import KafkaSettings
from connectors.redis.settings import RedisSettings
from models.version import ModelVersion
from stream.contest_rows import SLOTS
from tests.stream.live.contest_cases import CHALLENGER_AT, version
from tests.stream.test_cli_control import site, trust
from tests.stream.test_promotion_cli import WHY, kept

__all__ = ["site"]


def test_a_person_names_challengers_up_to_the_places_there_are(
    cli: Any, site: Path, kafka: KafkaSettings, redis_settings: RedisSettings, shipped: ModelVersion, tmp_path: Path
) -> None:
    """Each enters once, and is shown; the shipped one, the one in force and one too many are told why not."""
    trust(cli, site, kafka, redis_settings, tmp_path / "key.pem")
    each = [version(CHALLENGER_AT, 1.0, -number / 10) for number in range(SLOTS + 2)]
    for one in each:
        file = kept(tmp_path / "models", one)
        assert cli("models", "publish", file, "--key", tmp_path / "key.pem", "--config", site).code == 0
    champion, *named, last = [one.version for one in each]
    assert cli("models", "promote", champion, *WHY, "--config", site).code == 0
    assert "is in force" in cli("models", "challenge", champion, *WHY, "--config", site).err
    assert "up to when it learned" in cli("models", "challenge", shipped.version, *WHY, "--config", site).err
    for name in named:
        assert cli("models", "challenge", name[:9], *WHY, "--config", site).code == 0
    again = cli("models", "challenge", named[0], *WHY, "--config", site)
    assert (again.code, "takes part already" in again.out) == (0, True)
    full = cli("models", "challenge", last, *WHY, "--config", site)
    assert full.code == 2
    assert all(name in full.err for name in named)
    found = json.loads(cli("models", "review", "--json", "--config", site).out)
    assert {one["version"] for one in found["challengers"]} == set(named)
    assert {tuple(one["lacking"]) for one in found["challengers"]} == {("it was proposed, and not judged yet",)}
    assert cli("models", "hold", named[0], *WHY, "--config", site).code == 0
    assert cli("models", "challenge", last, *WHY, "--config", site).code == 0
