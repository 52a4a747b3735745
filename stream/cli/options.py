"""Options that several commands share, and what they mean.

Owns reading `--config`, `--model` and the pseudonym key. Must not know what a command does with them.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path

import click

from connectors.terminology.rows import MAP_BYTES_MAX
from events import Millis, from_iso
from models.version import ModelVersion
from stream.identity import Pseudonyms
from stream.release import Release
from stream.settings import ConfigurationError, Settings, SiteFile, parse_site
from stream.versions import choose_version, load_versions, shipped_version

PSEUDONYM_KEY_VARIABLE = "WARDSTREAM_PSEUDONYM_KEY"
BUILD_VARIABLE = "WARDSTREAM_BUILD"
"""Names a build, such as a commit: two builds of one version are two releases in the log."""
TOKEN_VARIABLE = "WARDSTREAM_HTTP_TOKEN"  # noqa: S105 - the variable's name
"""The bearer token that the service asks for, and that our own senders give."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="wardstream.toml; without it, the documented defaults.",
)
model_option = click.option(
    "--model",
    "model_name",
    default=None,
    metavar="VERSION",
    help="A version id or the beginning of one, or `none` for NEWS2 alone. Default: the version that ships, in shadow.",
)
models_folder_option = click.option(
    "--models-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of further versions (*.json).",
)


def read_settings(path: Path | None) -> Settings:
    """Read what the configuration says of decisions, or give the defaults; raises `ConfigurationError`."""
    return read_site(path).settings


def read_site(path: Path | None) -> SiteFile:
    """Read the whole configuration, or give the defaults; raises `ConfigurationError`."""
    if path is None:
        return SiteFile()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path.name}: not UTF-8, as TOML has to be") from None
    site = parse_site(text, path.name, lambda name: read_map_file(path.parent / name))
    for line in site.not_applied:
        warn_once(line)
    return site


def read_map_file(path: Path) -> bytes:
    """Read a code map's bytes, one more than it may have at the most; raises `OSError`."""
    with path.open("rb") as file:
        return file.read(MAP_BYTES_MAX + 1)


def read_instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Millis | None:
    """Read an option that is an instant; click's callback."""
    if text is None:
        return None
    try:
        return from_iso(text)
    except ValueError:
        raise click.BadParameter("an ISO 8601 instant with its zone, such as 2026-03-03T00:00:00Z") from None


def read_pseudonyms() -> Pseudonyms:
    """Give the site's pseudonyms (key from the environment), or the replay ones."""
    key = os.environ.get(PSEUDONYM_KEY_VARIABLE)
    return Pseudonyms(key.encode()) if key else Pseudonyms()


def code_version() -> str:
    """Give the release's version, with the name of the build where the environment has one."""
    build = os.environ.get(BUILD_VARIABLE, "")
    return installed_version("wardstream") + (f"+{build}" if build else "")


def make_release(
    settings: Settings,
    model_name: str | None,
    models_folder: Path | None,
    *,
    enabled: bool = False,
    trusted: Collection[str] = (),
) -> tuple[Release, dict[str, ModelVersion]]:
    """Give the release to run and the versions at hand; warns of version files that do not load.

    With `trusted` keys a version of the folder that none of them signed is among those.
    """
    versions, wrong = load_versions(models_folder, trusted)
    for line in wrong:
        warn(f"left out {line}")
    for name in sorted(settings.guardrails.versions.keys() - versions.keys()):
        warn(f"[guardrails.versions.{name}] is of a version that is not at hand here: it changes nothing")
    chosen = shipped_version(versions) if model_name is None else choose_version(model_name, versions)
    return Release(settings, code_version(), chosen, enabled), versions


@cache
def warn_once(text: str) -> None:
    """Tell the operator something, once a process."""
    warn(text)


def warn(text: str) -> None:
    """Tell the operator something on standard error."""
    click.echo(f"Warning: {text}", err=True)
