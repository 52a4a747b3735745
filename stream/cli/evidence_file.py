"""Evidence in a file, and its signature beside it (`evidence.json.sig`).

Owns reading, writing and signing the two. Must not know what evidence comes to. A signature is over the evidence's
canonical bytes, so a file that holds it under `change_control`, or indented, has the same one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import msgspec

from stream.settings import ConfigurationError
from stream.versions import SIGNATURE_FILE_BYTES_MAX, SIGNATURE_SUFFIX

if TYPE_CHECKING:
    from models.evidence import Evidence
    from models.version import ModelVersion
    from stream.decisions import Decisions
    from stream.trust import DecisionSignature


class StoredEvidenceSignature(msgspec.Struct, frozen=True):
    """What stands beside signed evidence."""

    evidence: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    """Its digest."""
    key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$")]


def read_evidence(path: Path) -> Evidence:
    """Read evidence; raises `ConfigurationError`."""
    from models.evidence import EvidenceError, load_evidence

    try:
        return load_evidence(path.read_bytes())
    except EvidenceError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None


def write_evidence(path: Path, evidence: Evidence, key: bytes | None) -> None:
    """Write evidence, and where there is a key its signature beside it; raises `ConfigurationError`."""
    from models.evidence import dump_evidence, evidence_digest
    from stream.trust import EVIDENCE_DOMAIN, sign_content

    content, beside = dump_evidence(evidence), _beside(path)
    path.write_bytes(msgspec.json.format(content, indent=2) + b"\n")
    if key is None:
        beside.unlink(missing_ok=True)  # One of an earlier run is of other figures.
        return
    signature = sign_content(key, content, domain=EVIDENCE_DOMAIN)
    stored = StoredEvidenceSignature(evidence_digest(evidence), signature.key_id, signature.signature)
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=2) + b"\n")
    click.echo(f"{beside}: signed by key {signature.key_id}.")


def signer_of_evidence(path: Path, evidence: Evidence, decisions: Decisions) -> str:
    """Give the name of the declared key that signed it; empty where none is declared. Raises `ConfigurationError`."""
    from models.evidence import dump_evidence
    from stream.decision_keys import EVIDENCE
    from stream.trust import EVIDENCE_DOMAIN, signer_of

    if not decisions.keys:
        return ""
    given = _signature(_beside(path))
    name, fault = signer_of(decisions.keys, EVIDENCE, dump_evidence(evidence), given, domain=EVIDENCE_DOMAIN)
    if fault is None:
        return name
    entitled = ", ".join(name for name, key in decisions.keys.items() if key.may_sign(EVIDENCE)) or "none yet"
    words = {
        "unsigned": f"there is no {_beside(path).name} that could be read",
        "unknown_key": "its key is not among the [decision_keys] in force",
        "wrong_role": f"key {name} has not the role `{EVIDENCE}`",
    }.get(fault, "its signature does not fit it: it was altered after signing")
    raise ConfigurationError(
        f"{path.name} is not trusted: {words}. Weigh it anew: wardstream models weigh ... --key FILE, with a key whose "
        f"roles have `{EVIDENCE}` ({entitled})"
    )


def check_usual(evidence: Evidence, champion: ModelVersion | None, challenger: ModelVersion) -> None:
    """Hold what the evidence calls usual against what the version in force says of its own learning.

    A stretch of labels is judged by it, so it is not the file's to say. Raises `ConfigurationError`.
    """
    lineage = (challenger if champion is None else champion).lineage
    rate = lineage.positives / lineage.rows if lineage.rows else 0.0
    ranked = None if champion is None else lineage.evaluation.get("auroc")
    if abs(rate - evidence.usual_rate) > 1e-9 or evidence.usual_auroc != ranked:
        raise ConfigurationError(
            f"the evidence calls {evidence.usual_rate:.4%} positives usual, and an AUROC of {evidence.usual_auroc}; "
            f"version {(challenger if champion is None else champion).version} says {rate:.4%} of what it learned, and "
            f"{ranked}: weigh it anew beside that version"
        )


def _beside(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _signature(path: Path) -> DecisionSignature | None:
    from stream.trust import DecisionSignature

    try:
        with path.open("rb") as stream:
            stored = msgspec.json.decode(stream.read(SIGNATURE_FILE_BYTES_MAX), type=StoredEvidenceSignature)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return DecisionSignature(stored.key_id, stored.signature)
