"""`wardstream models keygen / sign / publish / promote / rollback`: from a version on a disk to one in force.

Owns those commands. Must not know how a version scores, nor how a worker loads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table

from guardrails.configuration import VERSION_ID
from stream.cli import EXIT_DONE
from stream.cli.deciding import (
    Place,
    decide,
    key_option,
    place_options,
    read_decisions,
    read_versions,
    reason_option,
    send,
    site_option,
    who_option,
)
from stream.cli.key_file import make_key, read_key
from stream.cli.options import models_folder_option, read_site
from stream.clock import wall_ms
from stream.settings import ConfigurationError
from stream.versions import SIGNATURE_SUFFIX, StoredSignature

if TYPE_CHECKING:
    from connectors.signing import Signature
    from stream.live.versions import LiveVersions

KEYGEN_HELP = """Make a key pair for signing model versions, decisions or evidence (Ed25519).

The private key is written to FILE, readable by you alone: keep it on the machine where versions are reviewed, or with
who decides; never on a worker. The public key is printed; workers load versions that it signed once it is among [live]
version_keys; decisions that it signed count once it is among the decided [decision_keys]. Make one for each.

\b
Example:
  wardstream models keygen models-key.pem
"""
SIGN_HELP = """Sign a version's file with a private key; writes FILE.sig beside it.

Sign what you have reviewed (`wardstream models show`): workers load nothing that no trusted key has signed. No network
is needed.

\b
Example:
  wardstream models sign versions/4f1c02aa91be.json --key models-key.pem
"""
PUBLISH_HELP = """Publish a signed version to the live service (topic models.v1).

Its signature (FILE.sig, or --key to sign now) is checked against [live] version_keys as each worker does. A published
version scores nothing until it is promoted.

\b
Example:
  wardstream models publish versions/4f1c02aa91be.json --config wardstream.toml
"""
PROMOTE_HELP = """Put a model version in force for every patient within seconds, in the live service or an embedded one.

VERSION is an id or the beginning of one, shipped or published (of an embedded service: shipped or in its --models-dir);
`none` is NEWS2 alone. It stays in force when the service starts again. With --shadow it scores and is
recorded, and nobody is told. NEWS2's own alerts are never touched. To go back: `wardstream models rollback`. Where
[decision_keys] are in force a version that speaks needs --key; in shadow, or `none`, needs none.

\b
Examples:
  wardstream models promote 4f1c --config wardstream.toml --shadow --as safety-officer --reason "trial, ward 4A"
  wardstream models promote 4f1c --config wardstream.toml --as safety-officer --reason "trial passed"
  wardstream models promote none --data-dir ward/ --as safety-officer --reason "reviewed anew"
"""
ROLLBACK_HELP = """Go back to the promotion before the one in force; with none before it, to NEWS2 alone.

Takes effect within seconds, without a restart. Once more goes back one further: a promotion that was rolled back is not
come back to by itself. To silence the model at once, whatever is in force: `wardstream control kill-switch engage`.
Where [decision_keys] are in force, going back to a version that speaks needs --key; `models promote none` needs none.

\b
Example:
  wardstream models rollback --config wardstream.toml --as duty-manager --reason "alerts doubled on 4A"
  wardstream models rollback --data-dir ward/ --as duty-manager --reason "alerts doubled on 4A"
"""

_version_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_key_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("keygen", help=KEYGEN_HELP)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def keygen(file: Path) -> int:
    """Make a key pair."""
    from connectors.signing import key_id

    public = make_key(file)
    click.echo(f"{file}: private key, id {key_id(public)}. Keep it; who has it can sign for you.")
    click.echo("To sign decisions, for the configuration that is decided (`wardstream control configure`):\n")
    click.echo(f'[decision_keys.{file.stem}]\npublic_key = "{public}"\nroles = ["safety-officer"]\n')
    click.echo("To sign versions, for every worker's wardstream.toml:\n")
    click.echo(f'[live]\nversion_keys = ["{public}"]')
    return EXIT_DONE


@click.command("sign", help=SIGN_HELP)
@_version_file
@click.option("--key", "key_path", required=True, type=_key_file, help="The private key, of `models keygen`.")
def sign_version(file: Path, key_path: Path) -> int:
    """Sign a version."""
    from connectors.signing import sign

    name, content = _read_version(file)
    signature = sign(read_key(key_path), content)
    target = file.with_name(file.name + SIGNATURE_SUFFIX)
    stored = StoredSignature(name, signature.key_id, signature.hex)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(stored), indent=2) + b"\n")
    click.echo(f"{target}: version {name}, signed by key {signature.key_id}.")
    click.echo(f"Next: wardstream models publish {file} --config wardstream.toml")
    return EXIT_DONE


@click.command("publish", help=PUBLISH_HELP)
@_version_file
@site_option
@click.option("--key", "key_path", type=_key_file, help="Sign now, with this private key, instead of reading FILE.sig.")
def publish(file: Path, config_path: Path, key_path: Path | None) -> int:
    """Publish a version."""
    from connectors.signing import SignatureError, sign, verify
    from models.version import load
    from stream.live.versions import version_record

    site = read_site(config_path)
    name, content = _read_version(file)
    signature = _read_signature(file, name) if key_path is None else sign(read_key(key_path), content)
    try:
        verify(site.live.version_keys, content, signature)
    except SignatureError as error:
        raise ConfigurationError(f"{file.name} is not published, for every worker would refuse it: {error}") from None
    send(site, version_record(load(content), signature))
    click.echo(f"Version {name} is published, signed by key {signature.key_id}. It scores nothing yet.")
    click.echo(f"See it:     wardstream models list --live --config {config_path}")
    click.echo(f"In shadow:  wardstream models promote {name} --shadow --config {config_path}")
    return EXIT_DONE


@click.command("promote", help=PROMOTE_HELP)
@click.argument("version")
@click.option("--shadow", is_flag=True, help="Score and record, and tell nobody.")
@models_folder_option
@who_option
@reason_option
@key_option
@place_options
def promote(
    version: str,
    models_dir: Path | None,
    who: str,
    reason: str,
    key_path: Path | None,
    place: Place,
    *,
    shadow: bool,
) -> int:
    """Put a version in force."""
    from events import Promotion
    from stream.decisions import Decision
    from stream.promotion import grounds

    chosen = "" if version == "none" else version
    if place.folder is None:
        chosen = _chosen(version, read_versions(place.site()))
    elif key_path is not None and chosen and not VERSION_ID.fullmatch(chosen):
        chosen = _whole(chosen, models_dir)
    speaks = bool(chosen) and not shadow
    figures = grounds(read_decisions(place), chosen) if speaks else {}
    decision = Decision(Promotion(wall_ms(), chosen, speaks), who, reason, figures=figures)
    voice = "in shadow: recorded, and told to nobody" if shadow else "in force: wards are told what it says"
    click.echo(f"Promoting {chosen}, {voice}." if chosen else "Promoting NEWS2 alone.")
    decide(place, decision, models_dir, key_path)
    if chosen:
        click.echo(f"To go back: wardstream models rollback {place.option}")
    return EXIT_DONE


def _whole(name: str, models_dir: Path | None) -> str:
    """Give the whole id of a version: what is signed names it so, and the service that knows it does not sign."""
    from stream.versions import NoSuchVersionError, choose_version, load_versions

    try:
        return choose_version(name, load_versions(models_dir)[0])
    except NoSuchVersionError as fault:
        raise ConfigurationError(
            f"{fault}: name it by its whole id, 12 digits, or its folder by --models-dir"
        ) from None


def _chosen(name: str, versions: LiveVersions) -> str:
    """Give the whole id of a version that workers load, or nothing for NEWS2 alone."""
    from models.inputs import computes
    from stream.versions import choose_version

    chosen = choose_version(name, dict(versions))
    if chosen and not computes(versions[chosen].inputs, versions[chosen].schema_hash):
        raise ConfigurationError(f"version {chosen} takes other inputs than this release computes: train it anew")
    return chosen


@click.command("rollback", help=ROLLBACK_HELP)
@models_folder_option
@who_option
@reason_option
@key_option
@place_options
def rollback(models_dir: Path | None, who: str, reason: str, key_path: Path | None, place: Place) -> int:
    """Go back to the promotion before."""
    from events import Promotion
    from stream.decisions import Decision

    standing = read_decisions(place).standing_promotions()
    if not standing:
        raise ConfigurationError("nothing is promoted by anybody, so there is nothing to roll back")
    former = standing[-2].decision.event if len(standing) > 1 else None
    version, enabled = (former.version, former.enabled) if isinstance(former, Promotion) else ("", False)
    present_one = standing[-1].decision.event
    assert isinstance(present_one, Promotion), "standing promotions are promotions"
    click.echo(f"Rolling back from {_named(present_one.version, present_one.enabled)} to {_named(version, enabled)}.")
    decision = Decision(Promotion(wall_ms(), version, enabled), who, reason, standing[-1].sequence)
    decide(place, decision, models_dir, key_path)
    return EXIT_DONE


def live_table(config_path: Path) -> Table:
    """Give the versions that a worker of this site would load, and which is in force."""
    from events import Promotion

    place = Place(config_path, None)
    versions, decisions = read_versions(place.site()), read_decisions(place)
    promotions = decisions.standing_promotions()
    event = promotions[-1].decision.event if promotions else None
    table = Table()
    for column in ("version", "horizon", "trained on", "signed by", "in force"):
        table.add_column(column)
    for name, version in versions.items():
        said = ""
        if isinstance(event, Promotion) and event.version == name:
            said = "yes" if event.enabled else "in shadow"
        stands = decisions.standings.get(name)
        if stands is not None and stands.standing != "good":
            said = f"{said}, {stands.standing}".removeprefix(", ")
        signer = versions.signed_by(name) or "came with the release"
        table.add_row(name, f"{version.horizon_h} h", version.lineage.source, signer, said)
    return table


def _named(version: str, enabled: bool) -> str:  # noqa: FBT001 - as a promotion has it
    return "NEWS2 alone" if not version else version if enabled else f"{version} in shadow"


def _read_version(file: Path) -> tuple[str, bytes]:
    """Give a version's id and its canonical bytes: those are what is signed and published, whatever the file's form."""
    from models.version import VERSION_BYTES_MAX, VersionError, dump, load

    if file.stat().st_size > VERSION_BYTES_MAX:
        raise ConfigurationError(f"{file.name}: longer than {VERSION_BYTES_MAX} bytes, no version of ours")
    try:
        version = load(file.read_bytes())
    except VersionError as error:
        raise ConfigurationError(f"{file.name}: {error}") from None
    return version.version, dump(version)


def _read_signature(file: Path, name: str) -> Signature:
    from connectors.signing import Signature

    path = file.with_name(file.name + SIGNATURE_SUFFIX)
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=StoredSignature)
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no {path.name}: run `wardstream models sign {file} --key FILE` first, or give --key"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigurationError(f"{path.name}: not written by `wardstream models sign`") from None
    if stored.version != name:
        raise ConfigurationError(f"{path.name} signs version {stored.version}, {file.name} is {name}: sign it anew")
    return Signature(stored.key_id, stored.signature)
