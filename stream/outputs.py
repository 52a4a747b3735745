"""Where a replay's outputs go: `scores`, `alerts`, `suppressed`, `signals` and `dead_letters`, each an `.ndjson`.

Owns the lines' form and the run's digest. Must not know what an output means. The digest is taken over the canonical
content alone, so `--identified` and the place of a message in its file never change it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from alerts.contract import AlertEvent, from_json
from connectors.decoded import Identifier
from connectors.fhir.alert import render_alert
from events import Millis, to_iso
from stream.digest import RunDigest
from stream.effects import Effect, Score, effect_id, effect_kind, encode_effect
from stream.parse import DeadLetter

DEAD_LETTER_BYTES_SHOWN = 64 * 1024
"""A dead letter's line carries at most this much of the original; the source keeps the whole."""
NAMING_RESOURCES = ("Patient/", "Encounter/")
"""FHIR resources whose own id names a person or a visit: the id is shown only where identifiers are asked for."""
STREAMS = ("scores", "alerts", "suppressed", "signals", "dead_letters")

_encoder = msgspec.json.Encoder(order="sorted")


class FileOutputs:
    """Writes effects to a folder as they come.

    `names` maps patient keys to the source's own identifiers; where it is given (`--identified`) lines carry those.
    With `fhir`, `alerts.fhir.ndjson` gets each alert event as a Bundle (connectors.fhir.alert).
    """

    def __init__(
        self, folder: Path, names: Mapping[str, Identifier] | None = None, *, fhir: bool = False, since: Millis = 0
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._fhir = (folder / "alerts.fhir.ndjson").open("wb") if fhir else None
        self.digest = RunDigest()
        self.signals_digest = RunDigest()
        self._names = names
        self._since = since
        self._files: dict[str, IO[bytes]] = {stream: (folder / f"{stream}.ndjson").open("wb") for stream in STREAMS}

    def __enter__(self) -> Self:
        """Use the outputs within a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        if self._fhir is not None:
            self._fhir.close()

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Write effects, each to its stream's file; what came before `since` is left out, of the digest too."""
        for effect in effects:
            if effect.received_time < self._since:
                continue
            kind = effect_kind(effect)
            content = encode_effect(effect)
            # What is said of silence has a digest of its own: the clinical one tells whether patients were told alike.
            digest = self.signals_digest if kind == "signals" else self.digest
            digest.add(kind, effect_id(effect), content)
            line = content
            if type(effect) is Score:
                line = content[:-1] + b',"source":' + _encoder.encode(effect.source) + b"}"
            if self._names is not None:
                line = self._identify(line)
            self._files[kind].write(line + b"\n")
            if self._fhir is not None and type(effect) is AlertEvent:
                self._fhir.write(render_alert(effect) + b"\n")

    def carry_out_alert(self, event_id: str, received_time: Millis, content: bytes) -> None:
        """Write an alert event that is bytes already: what a ward was told, as the release that said it wrote it."""
        if received_time < self._since:
            return
        self.digest.add("alerts", event_id, content)
        self._files["alerts"].write(content + b"\n")
        if self._fhir is not None:
            self._fhir.write(render_alert(from_json(content)) + b"\n")

    def _identify(self, line: bytes) -> bytes:
        """Put the source's own identifiers in the place of the pseudonyms."""
        assert self._names is not None
        document = msgspec.json.decode(line)
        for field in ("patient", "encounter"):
            name = self._names.get(document.get(field, ""))
            if name is not None:
                document[field] = name.value
        return _encoder.encode(document)

    def refuse(self, letter: DeadLetter, data: bytes | None) -> None:
        """Write a dead letter: the fault, where the original stands, its size and hash.

        The original bytes name people, so they are written only where identifiers are asked for.
        """
        if letter.received_time < self._since:
            return
        original = data or b""
        message_id = letter.message_id
        if self._names is None and message_id.startswith(NAMING_RESOURCES):
            message_id = message_id.partition("/")[0]
        document = {
            "reason": letter.reason,
            "fault": letter.fault,
            "detail": letter.detail,
            "source": letter.position,
            "received_time": to_iso(letter.received_time),
            "message_id": message_id,
            "feed": letter.feed,
            "bytes_total": len(original),
            "bytes_sha256": sha256(original).hexdigest(),
        }
        if self._names is not None:
            document["bytes"] = base64.b64encode(original[:DEAD_LETTER_BYTES_SHOWN]).decode()
        self._files["dead_letters"].write(_encoder.encode(document) + b"\n")
