"""Which model versions the live service has: those that ship with the release, and the signed ones of `models.v1`.

Owns what is believed of a record of `models.v1`: nothing, until its signature is a trusted key's and its content has
the hash it is named by. Must not know Kafka's clients, what a version says, or which one is in force.

What is refused is never loaded, and told three ways: a line in the log, a count, and a problem in the health. The
versions that ship need no signature of their own: they came with the signed release (docs/decisions/0018).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from connectors.kafka.headers import header
from connectors.kafka.reading import KafkaRecord
from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import MODELS
from connectors.signing import Signature, SignatureError, verify
from models.version import ModelVersion, VersionError, VersionMismatchError, dump, load
from stream.live.tails import Tail
from stream.versions import load_versions

SIGNATURE_HEADER = "ws_signature"
KEY_ID_HEADER = "ws_key_id"
VERSIONS_MAX = 1_000
"""Of one site, in memory: at some 10 KB each. A weekly version makes 50 a year."""
PROBLEMS_MAX = 20
"""Named in health; the count tells of the rest."""

_NAME = re.compile(r"^[0-9a-f]{12}$")

OnRefusal = Callable[[str, str], None]
"""Hears the version's name, if it has one, and the reason, from a closed list."""


def version_record(version: ModelVersion, signature: Signature) -> Record:
    """Give the record that publishes a version."""
    headers = ((SIGNATURE_HEADER, signature.hex.encode()), (KEY_ID_HEADER, signature.key_id.encode()))
    return Record(MODELS, version.version.encode(), dump(version), headers)


class LiveVersions(Mapping[str, ModelVersion]):
    """The versions at hand, by id. One writer (the tail); readers in other threads see each whole."""

    def __init__(
        self,
        shipped: Mapping[str, ModelVersion],
        trusted: Iterable[str],
        on_refusal: OnRefusal = lambda _version, _reason: None,
    ) -> None:
        """Begin with the shipped ones; `trusted` are public keys in hexadecimal."""
        self._shipped = dict(shipped)
        self._published: dict[str, ModelVersion] = {}
        self._signed_by: dict[str, str] = {}
        self._trusted = tuple(trusted)
        self._on_refusal = on_refusal
        self._problems: dict[tuple[str, str], str] = {}
        self.refused: Counter[str] = Counter()
        """By reason, since the start."""

    def __getitem__(self, name: str) -> ModelVersion:
        """Give a version by its id; raises `KeyError`."""
        found = self._published.get(name)
        return self._shipped[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        """Go through the ids, the shipped first."""
        return iter(list(dict.fromkeys((*self._shipped, *self._published))))

    def __len__(self) -> int:
        """Count them."""
        return len(self._shipped.keys() | self._published.keys())

    def signed_by(self, name: str) -> str:
        """Give the id of the key that signed a version; nothing for one that came with the release."""
        return self._signed_by.get(name, "")

    def take(self, key: bytes, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bool:
        """Take one record; say whether the version it names is at hand now because of it.

        A version once loaded stays what it is: it is named by its content. A tombstone withdraws it.
        """
        name = key.decode("ascii", "replace")
        name = name if _NAME.match(name) else "unnamed"
        if value is None:
            self._published.pop(name, None)
            self._signed_by.pop(name, None)
            return False
        every = tuple(headers)
        written, key_id = header(every, SIGNATURE_HEADER), header(every, KEY_ID_HEADER)
        try:
            signer = verify(self._trusted, value, Signature(key_id, written) if written and key_id else None)
        except SignatureError as error:
            return self._refuse(name, error.fault, str(error))
        try:
            version = load(value, version=name)
        except VersionMismatchError:
            return self._refuse(name, "wrong_name", "its content has another hash than its name")
        except VersionError:
            return self._refuse(name, "malformed", "it is no model version that this release reads")
        if len(self._published) >= VERSIONS_MAX and name not in self._published:
            return self._refuse(name, "too_many", f"{VERSIONS_MAX} versions are at hand: withdraw old ones")
        self._signed_by[name] = signer
        self._published[name] = version
        # Mended by a good record under the same name: nothing is wrong with it any more.
        self._problems = {place: text for place, text in self._problems.items() if place[0] != name}
        return True

    def problems(self) -> tuple[str, ...]:
        """Say what was refused, and what to do."""
        return tuple(self._problems.values())

    def _refuse(self, name: str, reason: str, words: str) -> bool:
        self.refused[reason] += 1
        if len(self._problems) < PROBLEMS_MAX:
            self._problems[name, reason] = (
                f"{MODELS}: version {name} was refused ({words}); sign and publish it anew with "
                "`wardstream models publish`, and find out who wrote this record"
            )
        self._on_refusal(name, reason)
        return False


class VersionTail(LiveVersions):
    """The versions at hand, kept up with `models.v1`."""

    def __init__(self, settings: KafkaSettings, password: str, trusted: Iterable[str]) -> None:
        """Begin with those that ship; `start` reads the topic."""
        shipped, self._wrong = load_versions()
        super().__init__(shipped, trusted, _log_refusal)
        self._tail = Tail(settings, password, MODELS, self._take_record)

    async def start(self) -> None:
        """Read what is published by now, and go on. Raises `BrokerError`."""
        await self._tail.start()

    async def stop(self) -> None:
        """Read no more; what is at hand stays."""
        await self._tail.stop()

    def problems(self) -> tuple[str, ...]:
        """Say what was refused, what of the release does not load, and whether the topic is followed."""
        shipped = (f"a version that ships does not load: {line}" for line in self._wrong)
        return (*super().problems(), *shipped, *self._tail.problems())

    def _take_record(self, record: KafkaRecord) -> None:
        if self.take(record.key, record.value, record.headers):
            structlog.get_logger().info("version_loaded", version=record.key.decode("ascii", "replace"))


def _log_refusal(version: str, reason: str) -> None:
    structlog.get_logger().error("version_refused", version=version, reason=reason)
