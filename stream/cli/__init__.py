"""The command line. Each command is a module of its own and imports what it needs when it runs, so `--help` is quick.

Owns the command group, the exit codes and the line every command ends an error with: what is wrong, what to do. Must
not know how a command does its work.
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_USAGE = 2
EXIT_REFUSED_IN_PART = 3

_COMMANDS = {
    "demo": "stream.cli.demo",
    "run": "stream.cli.run",
    "gateway": "stream.cli.gateway",
    "simulate": "stream.cli.simulate",
    "replay": "stream.cli.replay",
    "compare": "stream.cli.compare",
    "conformance": "stream.cli.conformance",
    "fhir": "stream.cli.fhir",
    "codes": "stream.cli.codes",
    "census": "stream.cli.census",
    "scenarios": "stream.cli.scenarios",
    "evaluate": "stream.cli.evaluate",
    "rows": "stream.cli.rows",
    "models": "stream.cli.models",
    "control": "stream.cli.control",
    "changed": "stream.cli.changed",
    "audit": "stream.cli.audit",
    "people": "stream.cli.people",
    "features": "stream.cli.features",
    "deadletters": "stream.cli.deadletters",
    "backup": "stream.cli.backup",
    "restore": "stream.cli.restore",
    "doctor": "stream.cli.doctor",
    "topics": "stream.cli.topics",
    "live": "stream.cli.live",
    "worker": "stream.cli.worker",
    "learner": "stream.cli.learner",
}

EPILOG = """\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused in part.
Shell completion: eval "$(_WARDSTREAM_COMPLETE=bash_source wardstream)"   (or zsh_source, fish_source)
"""


class LazyGroup(click.Group):
    """A group that imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the commands in the order a newcomer meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Give one command."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wardstream")
def wardstream() -> None:
    """Streaming deterioration alerts from HL7 v2 and FHIR.

    Begin with `wardstream demo`; then replay something of yours: `wardstream replay feed.hl7 --out out/`.
    """


def main() -> None:
    """Run the command line; an error the operator can mend prints one line and exits with 1."""
    from stream.cli.faults import OPERATOR_FAULTS, USAGE_FAULTS

    try:
        code = wardstream(standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        code = EXIT_FAILED
    except USAGE_FAULTS as error:
        click.echo(f"Error: {error}", err=True)
        code = EXIT_WRONG_USAGE
    except OPERATOR_FAULTS as error:
        click.echo(f"Error: {error}", err=True)
        code = EXIT_FAILED
    sys.exit(code if isinstance(code, int) else EXIT_DONE)
