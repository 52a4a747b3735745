"""`wardstream people add / list / gateway-key`: who may act, as lines for the configuration.

Owns the commands and the making of credentials. Must not know what an act does. A token is shown once and kept nowhere;
nothing is written but a private key where one is asked for.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import get_args

import click
import msgspec
from rich.console import Console
from rich.table import Table

from connectors.acts.people import PeopleSettings, Person, Right, Role
from stream.cli import EXIT_DONE
from stream.cli.key_file import make_key
from stream.cli.options import config_option, read_site

TOKEN_BYTES = 32
"""256 bits."""

HELP = """Say who may acknowledge, dismiss, decide and set limits: for [people] in wardstream.toml.

An actor is a role or a pseudonym, never a name. He acts over HTTP with a bearer token, or a ward system signs what it
writes to Kafka. The service keeps a token's hash alone. After a change send SIGHUP to
the service, or restart it.

\b
Examples:
  wardstream people add cedar-nurses --role nurse --right acknowledge --right feedback --ward Cedar >> wardstream.toml
  wardstream people add pager --role ward_system --right acknowledge --signing-key pager-key.pem >> wardstream.toml
  wardstream people gateway-key gateway-key.pem >> wardstream.toml
  wardstream people list --config wardstream.toml
"""


@click.group("people", help=HELP)
def command() -> None:
    """Hold the commands."""


@command.command("add")
@click.argument("actor")
@click.option("--role", required=True, type=click.Choice(get_args(Role)))
@click.option("--right", "rights", required=True, multiple=True, type=click.Choice(get_args(Right)))
@click.option("--ward", "wards", multiple=True, help="Only patients of this ward; may be given again. Default: all.")
@click.option(
    "--signing-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make a key pair instead of a token, the private half in this new file: for a ward system on Kafka.",
)
def add(actor: str, role: Role, rights: tuple[Right, ...], wards: tuple[str, ...], signing_key: Path | None) -> int:
    """Print the lines for ACTOR; the token, on standard error, is shown this once."""
    from connectors.acts.door import token_hash

    token = "" if signing_key else secrets.token_urlsafe(TOKEN_BYTES)
    document = {
        "role": role,
        "rights": list(rights),
        **({"wards": list(wards)} if wards else {}),
        **({"token_sha256": token_hash(token)} if token else {"public_key": "0" * 64}),
    }
    try:
        msgspec.convert({"actors": {actor: document}}, PeopleSettings)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"no actor can be called so, or have this: {error}") from None
    if signing_key is not None:
        document["public_key"] = make_key(signing_key)
    click.echo(f'[people.actors."{actor}"]')
    for name, value in document.items():
        click.echo(f"{name} = {msgspec.json.encode(value).decode()}")
    if token:
        click.echo(f"The token of {actor}, shown this once; only its hash is above:\n{token}", err=True)
    return EXIT_DONE


@command.command("gateway-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def gateway_key(file: Path) -> int:
    """Make the key by which a gateway vouches for whom it authenticated; FILE stays on the gateway's machine."""
    public = make_key(file)
    click.echo(f'[people]\ngateway_keys = ["{public}"]\ngateway_key_file = {msgspec.json.encode(str(file)).decode()}')
    click.echo("gateway_keys: in every gateway's and worker's file; gateway_key_file: in this gateway's.", err=True)
    return EXIT_DONE


@command.command("list")
@config_option
def list_people(config_path: Path | None) -> int:
    """List who may act, and on what."""
    people = read_site(config_path).people
    table = Table()
    for column in ("actor", "role", "rights", "wards", "by"):
        table.add_column(column)
    for name, person in sorted(people.actors.items()):
        wards = ", ".join(person.wards) or "all"
        table.add_row(name, person.role, ", ".join(person.rights), wards, _credentials(person))
    Console().print(table if people.configured else "Nobody may act: [people] names nobody.")
    return EXIT_DONE


def _credentials(person: Person) -> str:
    held = {"token": person.token_sha256, "key": person.public_key}
    return ", ".join(name for name, value in held.items() if value)
