"""Options that several commands share, and what they mean.

Owns reading `--config`, `--model` and the pseudonym key. Must not know what a command does with them.
"""

from __future__ import annotations

import os
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import click

from models.version import ModelVersion
from stream.host import Release
from stream.identity import Pseudonyms
from stream.settings import Settings, parse_toml
from stream.versions import choose_version, load_versions

PSEUDONYM_KEY_VARIABLE = "WARDSTREAM_PSEUDONYM_KEY"

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
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of further versions (*.json).",
)


def read_settings(path: Path | None) -> Settings:
    """Read the configuration, or give the defaults."""
    return Settings() if path is None else parse_toml(path.read_text())


def read_pseudonyms() -> Pseudonyms:
    """Give the site's pseudonyms (key from the environment), or the replay ones."""
    key = os.environ.get(PSEUDONYM_KEY_VARIABLE)
    return Pseudonyms(key.encode()) if key else Pseudonyms()


def code_version() -> str:
    """Give the release's version."""
    return installed_version("wardstream")


def make_release(
    settings: Settings, model_name: str | None, models_folder: Path | None, *, enabled: bool = False
) -> tuple[Release, dict[str, ModelVersion]]:
    """Give the release to run and the versions at hand; warns of version files that do not load."""
    versions, wrong = load_versions(models_folder)
    for line in wrong:
        click.echo(f"Warning: left out {line}", err=True)
    chosen = choose_version(model_name or "", versions) if (model_name or versions) else ""
    return Release(settings, code_version(), chosen, enabled), versions


def apply_options(command: Any, options: list[Any]) -> Any:
    """Put several options on a command."""
    for option in reversed(options):
        command = option(command)
    return command
