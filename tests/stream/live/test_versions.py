"""Versions of the live service: only what a trusted key signed as it is, is loaded; the rest is refused aloud."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from connectors.kafka.admin import declare
from connectors.kafka.outbox import Outbox
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import MODELS
from connectors.signing import generate_key, key_id, sign
from models.version import ModelVersion, dump
from stream.live import versions as versions_module
from stream.live.versions import LiveVersions, VersionTail, version_record
from stream.versions import load_versions

UNTIL_S = 60.0
SHIPPED, _WRONG = load_versions()
BASE = next(iter(SHIPPED.values()))
OURS, STRANGER = generate_key(), generate_key()


def version(number: int) -> ModelVersion:
    return replace(BASE, intercept=-float(number))


def record(number: int = 1, pem: bytes = OURS.private_pem) -> Record:
    made = version(number)
    return version_record(made, sign(pem, dump(made)))


def altered(record: Record) -> Record:
    assert record.value is not None
    return record._replace(value=record.value.replace(b'"intercept":-1.0', b'"intercept":-9.0'))


GOOD = record()
OTHERS = record(2)
REFUSED = {
    "unsigned": GOOD._replace(headers=()),
    "unknown_key": record(pem=STRANGER.private_pem),
    "wrong_signature": altered(GOOD),
    "wrong_name": GOOD._replace(key=OTHERS.key),
    "malformed": Record(
        MODELS,
        b"0123456789ab",
        b"{}",
        (("ws_signature", sign(OURS.private_pem, b"{}").hex.encode()), ("ws_key_id", key_id(OURS.public).encode())),
    ),
}


def take(versions: LiveVersions, each: Record) -> bool:
    return versions.take(each.key, each.value, each.headers)


def test_a_signed_version_is_loaded_beside_the_shipped() -> None:
    """What a trusted key signed is at hand under its content's name, and who signed it is known."""
    versions = LiveVersions(SHIPPED, [STRANGER.public, OURS.public])
    assert take(versions, GOOD)
    name = version(1).version
    assert versions[name] == version(1)
    assert set(versions) == {name, *SHIPPED}
    assert len(versions) == 1 + len(SHIPPED)
    assert versions.signed_by(name) == key_id(OURS.public)
    assert versions.signed_by(BASE.version) == ""
    assert versions.problems() == ()


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_signed_as_it_is_is_never_loaded(reason: str) -> None:
    """Each kind of doubtful record is refused: nothing is at hand, and the log, the count and the health say so."""
    heard: list[tuple[str, str]] = []
    versions = LiveVersions({}, [OURS.public], lambda name, why: heard.append((name, why)))
    each = REFUSED[reason]
    assert not take(versions, each)
    assert dict(versions) == {}
    assert heard == [(each.key.decode(), reason)]
    assert versions.refused == {reason: 1}
    assert each.key.decode() in versions.problems()[0]


def test_a_refused_record_does_not_unload_what_was_signed() -> None:
    """A doubtful record under a loaded version's name changes nothing; the version is what its name says."""
    versions = LiveVersions({}, [OURS.public])
    take(versions, GOOD)
    assert not take(versions, altered(GOOD))
    assert versions[version(1).version] == version(1)
    assert versions.problems()
    assert take(versions, GOOD)
    assert versions.problems() == ()


def test_a_name_that_is_none_is_not_repeated() -> None:
    """A record's key is shown only where it has the form of an id: anybody may have written it."""
    versions = LiveVersions({}, [OURS.public])
    versions.take(b"DOE^JANE", b"{}", ())
    assert "JANE" not in versions.problems()[0]


def test_a_tombstone_withdraws_a_published_version_only() -> None:
    """A version taken from the topic is gone for everybody alike; one that ships stays."""
    versions = LiveVersions(SHIPPED, [OURS.public])
    take(versions, GOOD)
    versions.take(GOOD.key, None, ())
    versions.take(BASE.version.encode(), None, ())
    assert set(versions) == set(SHIPPED)


def test_versions_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a further version is refused aloud."""
    monkeypatch.setattr(versions_module, "VERSIONS_MAX", 1)
    versions = LiveVersions({}, [OURS.public])
    assert take(versions, GOOD)
    assert not take(versions, OTHERS)
    assert take(versions, GOOD)
    assert versions.refused == {"too_many": 1}


@pytest.mark.asyncio
async def test_the_tail_loads_what_is_signed_and_refuses_the_rest(kafka: KafkaSettings) -> None:
    """Over a real broker: doubtful records and good ones, before and after the start; the good ones alone arrive."""
    await declare(kafka)
    outbox = Outbox(kafka, client_id="test")
    await outbox.start()
    tail = VersionTail(kafka, "", [OURS.public])
    try:
        await outbox.send([*REFUSED.values(), OTHERS])
        await tail.start()
        assert set(tail) == {version(2).version, *SHIPPED}
        assert tail.refused.total() == len(REFUSED)
        await outbox.send([altered(record()), record(3)])
        await until(lambda: version(3).version in tail)
        assert version(1).version not in tail
        assert tail.refused.total() == len(REFUSED) + 1
    finally:
        await tail.stop()
        await outbox.stop()


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so; the test fails where it does not become so in time."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        event.set() if reached() else loop.call_later(0.02, look)

    look()
    async with asyncio.timeout(UNTIL_S):
        await event.wait()
